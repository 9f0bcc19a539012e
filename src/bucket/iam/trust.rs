//! Who may take a role without a key of its own: workflows of GitHub and machines of fly.io, by the tokens that they get.
//!
//! A token is taken only for the right audience and from the right subject. Without the subject every workflow of every
//! repository could take the role.

use std::collections::BTreeMap;

use super::policy::{Condition, Document, LANGUAGE, OWN_SID, Partition, Statement, one};
use crate::base::failure::{Failure, Kind, Result};

/// Whose tokens are trusted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Trust {
    /// Workflows of a repository.
    Github {
        /// The repository, `ORG/REPO` or `ORG@ID/REPO@ID`.
        repository: String,
        /// Which of its workflows.
        from: GithubSource,
    },
    /// The machines of an app.
    Fly {
        /// The organisation.
        organisation: String,
        /// The app.
        app: String,
    },
}

/// Which workflows of a repository.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum GithubSource {
    /// Jobs of a deployment environment.
    Environment(String),
    /// Runs on a branch, of jobs without an environment.
    Branch(String),
    /// Runs on a tag, of jobs without an environment.
    Tag(String),
}

/// What stands around a trust.
#[derive(Clone, Debug)]
pub struct TrustOptions {
    /// Where the account is.
    pub partition: Partition,
    /// For whom the tokens must be made out; `None` takes the provider's token service.
    pub audience: Option<String>,
}

/// The host whose tokens GitHub's workflows get.
const GITHUB: &str = "token.actions.githubusercontent.com";

impl Trust {
    /// Refuses what is no name, and above all every pattern.
    ///
    /// # Errors
    /// [`Kind::Usage`].
    pub fn check(&self) -> Result<()> {
        match self {
            Self::Github { repository, from } => {
                let whole = repository
                    .split_once('/')
                    .is_some_and(|(owner, name)| is_named(owner, is_owner) && is_named(name, is_repository));
                let ids = repository.split('/').filter(|part| part.contains('@')).count();
                if !whole || ids == 1 {
                    return Err(no_name("repository", repository)
                        .hint("Write --repo ORG/REPO, or --repo ORG@ID/REPO@ID with the numbers of both; never a pattern: it would let other repositories in"));
                }
                let (what, name, is_right): (&str, &str, fn(&str) -> bool) = match from {
                    GithubSource::Environment(name) => ("environment", name, is_environment),
                    GithubSource::Branch(name) => ("branch", name, is_reference),
                    GithubSource::Tag(name) => ("tag", name, is_reference),
                };
                match is_right(name) {
                    true => Ok(()),
                    false => Err(no_name(what, name).hint(format!(
                        "Write --{what} with the one name; a pattern would let others in"
                    ))),
                }
            }
            Self::Fly { organisation, app } => {
                for (what, name) in [("organisation", organisation), ("app", app)] {
                    if !is_slug(name) {
                        return Err(no_name(what, name)
                            .hint("Write its name as `fly orgs list` and `fly apps list` show it; a pattern would let others in"));
                    }
                }
                Ok(())
            }
        }
    }

    /// Whether the name of the repository alone may be not enough: repositories made or renamed since July 2026 carry
    /// their numbers in the subject.
    #[must_use]
    pub fn is_by_name_only(&self) -> bool {
        matches!(self, Self::Github { repository, .. } if !repository.contains('@'))
    }

    /// The URL of the provider of tokens.
    #[must_use]
    pub fn url(&self) -> String {
        format!("https://{}", self.host())
    }

    /// The provider's URL without its scheme, by which conditions and ARNs name it.
    #[must_use]
    pub fn host(&self) -> String {
        match self {
            Self::Github { .. } => GITHUB.to_owned(),
            Self::Fly { organisation, .. } => format!("oidc.fly.io/{organisation}"),
        }
    }

    /// A word for the provider.
    #[must_use]
    pub fn word(&self) -> &'static str {
        match self {
            Self::Github { .. } => "github",
            Self::Fly { .. } => "fly",
        }
    }

    /// The provider's full name in an account.
    #[must_use]
    pub fn provider_arn(&self, account: &str, partition: Partition) -> String {
        format!("arn:{}:iam::{account}:oidc-provider/{}", partition.name, self.host())
    }

    /// What the role trusts, when the provider of tokens has this full name.
    #[must_use]
    pub fn document(&self, provider: &str, options: &TrustOptions) -> Document {
        let host = self.host();
        let mut equals = one(&format!("{host}:aud"), &self.audience(options));
        let mut condition = Condition::new();
        let name = match self {
            Self::Github { repository, from } => {
                let part = match from {
                    // GitHub writes the colons of a name in this way.
                    GithubSource::Environment(name) => format!("environment:{}", name.replace(':', "%3A")),
                    GithubSource::Branch(name) => format!("ref:refs/heads/{name}"),
                    GithubSource::Tag(name) => format!("ref:refs/tags/{name}"),
                };
                equals.extend(one(&format!("{host}:sub"), &format!("repo:{repository}:{part}")));
                "TrustGithub"
            }
            Self::Fly { organisation, app } => {
                // Only the name of the machine, which is another one after each deployment, is left open.
                let subject = format!("{organisation}:{app}:*");
                condition.insert("StringLike", one(&format!("{host}:sub"), &subject));
                "TrustFly"
            }
        };
        condition.insert("StringEquals", equals);
        Document {
            version: LANGUAGE,
            statement: vec![Statement {
                sid: format!("{OWN_SID}{name}"),
                effect: "Allow",
                principal: BTreeMap::from([("Federated", provider.to_owned())]),
                action: vec!["sts:AssumeRoleWithWebIdentity"],
                condition,
                ..Statement::default()
            }],
        }
    }

    /// For whom the tokens must be made out.
    #[must_use]
    pub fn audience(&self, options: &TrustOptions) -> String {
        match (&options.audience, options.partition.name) {
            (Some(audience), _) => audience.clone(),
            (None, "aws-cn") => "sts.amazonaws.com.cn".to_owned(),
            (None, _) => "sts.amazonaws.com".to_owned(),
        }
    }
}

/// Accounts that stand in documentation and belong to nobody.
const PLACEHOLDERS: [&str; 4] = ["123456789012", "111122223333", "444455556666", "111111111111"];

/// Checks that a text is the number of an account, and one that somebody has.
///
/// # Errors
/// [`Kind::Usage`].
pub fn check_account(text: &str) -> Result<()> {
    let hint = "`aws sts get-caller-identity --query Account --output text` prints the number";
    if text.len() != 12 || !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(
            Failure::new(Kind::Usage, format!("Not the number of an account: `{text}`"))
                .hint(format!("It has twelve digits; {hint}")),
        );
    }
    if PLACEHOLDERS.contains(&text) {
        return Err(Failure::new(
            Kind::Usage,
            format!("`{text}` is an account of the documentation, not yours"),
        )
        .hint(hint));
    }
    Ok(())
}

fn no_name(what: &str, name: &str) -> Failure {
    Failure::new(Kind::Usage, format!("Not the name of one {what}: `{name}`"))
}

/// A name, with or without its number behind an `@`.
fn is_named(text: &str, is_name: fn(&str) -> bool) -> bool {
    match text.split_once('@') {
        None => is_name(text),
        Some((name, id)) => is_name(name) && !id.is_empty() && id.bytes().all(|byte| byte.is_ascii_digit()),
    }
}

fn is_owner(text: &str) -> bool {
    !text.is_empty()
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
}

fn is_repository(text: &str) -> bool {
    !matches!(text, "" | "." | "..")
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.'))
}

fn is_environment(text: &str) -> bool {
    !text.is_empty()
        && !text
            .chars()
            .any(|letter| letter.is_control() || matches!(letter, '*' | '?' | '$'))
}

/// The rules of git for names of branches and tags leave out patterns, colons and blanks by themselves.
fn is_reference(text: &str) -> bool {
    !text.is_empty()
        && !text.starts_with('/')
        && !text.ends_with('/')
        && !text.contains("..")
        && !text
            .chars()
            .any(|letter| letter.is_control() || letter.is_whitespace() || "*?[\\^~:$".contains(letter))
}

fn is_slug(text: &str) -> bool {
    !text.is_empty()
        && text
            .bytes()
            .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn github(repository: &str, from: GithubSource) -> Trust {
        Trust::Github {
            repository: repository.to_owned(),
            from,
        }
    }

    fn environment(name: &str) -> GithubSource {
        GithubSource::Environment(name.to_owned())
    }

    fn options() -> TrustOptions {
        TrustOptions {
            partition: Partition::of_region("us-east-1"),
            audience: None,
        }
    }

    #[test]
    fn a_subject_is_one_repository_and_one_place_in_it() {
        for (trust, subject) in [
            (
                github("acme/web", environment("prod")),
                "repo:acme/web:environment:prod",
            ),
            (
                github("acme@12/web@345", environment("a:b")),
                "repo:acme@12/web@345:environment:a%3Ab",
            ),
            (
                github("acme/web", GithubSource::Branch("main".to_owned())),
                "repo:acme/web:ref:refs/heads/main",
            ),
            (
                github("acme/web.js", GithubSource::Tag("v1".to_owned())),
                "repo:acme/web.js:ref:refs/tags/v1",
            ),
        ] {
            trust.check().unwrap();
            let document = trust.document("arn", &options());
            let equals = &document.statement[0].condition["StringEquals"];
            assert_eq!(equals[&format!("{GITHUB}:sub")], [subject]);
            assert_eq!(equals[&format!("{GITHUB}:aud")], ["sts.amazonaws.com"]);
        }
    }

    #[test]
    fn patterns_and_half_names_are_refused() {
        for repository in [
            "*",
            "acme",
            "acme/*",
            "*/web",
            "acme/",
            "/web",
            "acme/web/x",
            "acme/we b",
            "acme/web:ref",
            "acme@1/web",
            "acme@x/web@1",
            "acme/..",
            "acme/w?b",
            "acme/${aws:x}",
            "",
        ] {
            let refused = github(repository, environment("prod")).check().unwrap_err();
            assert_eq!(refused.kind(), Kind::Usage, "{repository}");
        }
        for from in [
            environment("*"),
            environment(""),
            environment("pr?d"),
            GithubSource::Branch("*".to_owned()),
            GithubSource::Branch("release/*".to_owned()),
            GithubSource::Tag("v1..2".to_owned()),
            GithubSource::Branch("a b".to_owned()),
        ] {
            assert!(github("acme/web", from.clone()).check().is_err(), "{from:?}");
        }
        for (organisation, app) in [
            ("*", "web"),
            ("acme", "*"),
            ("acme", ""),
            ("acme/x", "web"),
            ("acme", "we:b"),
        ] {
            let trust = Trust::Fly {
                organisation: organisation.to_owned(),
                app: app.to_owned(),
            };
            assert!(trust.check().is_err(), "{organisation} {app}");
        }
    }

    #[test]
    fn accounts_of_the_documentation_are_nobodys() {
        check_account("210987654321").unwrap();
        for text in [
            "123456789012",
            "111122223333",
            "ACCOUNT_ID",
            "<account>",
            "21098765432",
            "",
            "２１０９８７６５４３２１",
        ] {
            assert_eq!(check_account(text).unwrap_err().kind(), Kind::Usage, "{text}");
        }
    }
}
