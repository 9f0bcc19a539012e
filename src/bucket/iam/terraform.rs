//! Policies as Terraform reads them.
//!
//! Every object of JSON is an expression of Terraform's language too, but for the marks of its templates in texts.

use super::policy::Document;
use super::trust::{Trust, TrustOptions};
use crate::base::failure::Result;

/// What stands in a document where the provider's full name goes, which only Terraform knows.
const PROVIDER: &str = "\u{1}provider";

/// A policy as a resource.
///
/// # Errors
/// As [`Document::to_json`].
pub fn policy_resource(name: &str, description: &str, policy: &Document) -> Result<String> {
    Ok(format!(
        "resource \"aws_iam_policy\" \"{label}\" {{\n  name        = {name}\n  description = {description}\n  policy = {policy}\n}}\n",
        label = label(name),
        name = quoted(name),
        description = quoted(description),
        policy = encoded(policy)?,
    ))
}

/// A provider of tokens and a role that trusts it, as resources. With the number of the account the role names the
/// provider by itself; without it Terraform fills it in.
///
/// # Errors
/// As [`Document::to_json`].
pub fn trust_resources(name: &str, trust: &Trust, options: &TrustOptions) -> Result<String> {
    let provider = trust.word();
    let reference = format!("aws_iam_openid_connect_provider.{provider}.arn");
    let trusted = encoded(&trust.document(PROVIDER, options))?.replace(&quoted(PROVIDER), &reference);
    Ok(format!(
        "resource \"aws_iam_openid_connect_provider\" \"{provider}\" {{\n  url            = {url}\n  client_id_list = [{audience}]\n}}\n\n\
         resource \"aws_iam_role\" \"{label}\" {{\n  name = {name}\n  assume_role_policy = {trusted}\n}}\n",
        url = quoted(&trust.url()),
        audience = quoted(&trust.audience(options)),
        label = label(name),
        name = quoted(name),
    ))
}

/// A document as a call that makes JSON of it.
fn encoded(document: &Document) -> Result<String> {
    let json = document.to_json()?.replace("\\u0001", "\u{1}");
    let mut lines = json.lines();
    let mut text = format!("jsonencode({}", lines.next().unwrap_or_default());
    for line in lines {
        text.push_str("\n  ");
        // In the way in which Terraform's own formatter writes it.
        text.push_str(&line.replacen("\": ", "\" : ", 1));
    }
    text.push(')');
    // Variables of policies look like those of templates.
    Ok(text.replace("${", "$${").replace("%{", "%%{"))
}

fn quoted(text: &str) -> String {
    let mut out = String::from("\"");
    for letter in text.chars() {
        match letter {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            other => out.push(other),
        }
    }
    out.push('"');
    out.replace("${", "$${").replace("%{", "%%{")
}

/// A name of a resource inside of Terraform.
fn label(name: &str) -> String {
    let label: String = name
        .chars()
        .map(|letter| if letter.is_ascii_alphanumeric() { letter } else { '_' })
        .collect();
    match label.starts_with(|letter: char| letter.is_ascii_digit()) {
        true => format!("_{label}"),
        false => label,
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::bucket::iam::policy::{Partition, PolicyOptions, policy};
    use crate::bucket::iam::{Role, trust::GithubSource};

    fn document(prefix: &str) -> Document {
        let options = PolicyOptions {
            bucket: "my-backups".to_owned(),
            prefix: prefix.to_owned(),
            partition: Partition::of_region("us-east-1"),
            kms_key: None,
            tags: false,
            locks: false,
            purges_versions: false,
            reads_back: false,
            replaces: false,
        };
        policy(&[Role::Writer], &options).unwrap()
    }

    /// What stands between the first `jsonencode(` and the parenthesis that closes it.
    fn encoded_json(text: &str) -> String {
        let (_, rest) = text.split_once("jsonencode(").unwrap();
        let (json, _) = rest.split_once("\n  })").unwrap();
        format!("{json}\n}}").replace("$${", "${").replace("\" : ", "\": ")
    }

    #[test]
    fn the_policy_in_it_is_the_policy() {
        for prefix in ["web", "we${b}*"] {
            let document = document(prefix);
            let text = policy_resource("backup-cli-writer", "Says \"what\" ${it} is", &document).unwrap();
            let found: serde_json::Value = serde_json::from_str(&encoded_json(&text)).unwrap();
            assert_eq!(found, serde_json::to_value(&document).unwrap());
            assert!(text.starts_with("resource \"aws_iam_policy\" \"backup_cli_writer\" {\n"));
            assert!(text.contains(r#"description = "Says \"what\" $${it} is""#), "{text}");
        }
    }

    #[test]
    fn a_trust_names_the_provider_beside_it() {
        let trust = Trust::Github {
            repository: "acme/web".to_owned(),
            from: GithubSource::Environment("prod".to_owned()),
        };
        let options = TrustOptions {
            partition: Partition::of_region("us-east-1"),
            audience: None,
        };
        let text = trust_resources("backup-cli-writer", &trust, &options).unwrap();
        assert!(
            text.contains("\"Federated\" : aws_iam_openid_connect_provider.github.arn\n"),
            "{text}"
        );
        assert!(!text.contains('\u{1}') && text.matches('{').count() == text.matches('}').count());
    }
}
