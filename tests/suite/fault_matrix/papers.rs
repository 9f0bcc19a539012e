//! The settings of the bucket and the roles of the account: what there is of others, and what may have become of it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::OnceLock;

use serde_json::Value;

use super::commands::History;
use super::site::{Fixture, user_of};
use crate::support::fault_s3::{ACCOUNT, FaultS3, Options, Papers, paper_of};

/// The bucket that has settings.
pub const BUCKET: &str = "matrix-backups";

/// Sets up everything that there is in an older bucket.
pub const CREATE: &[&str] = &[
    "bucket",
    "create",
    "--create-only",
    "--tls-only",
    "--cors-origin",
    "https://backups.example.org",
    "--noncurrent-days",
    "30",
    "--confirm",
];

/// Adds to the role of others, and to the audiences of their provider.
pub const APPLY: &[&str] = &[
    "iam",
    "apply",
    "--role",
    "pruner",
    "--role-name",
    "shared",
    "--for",
    "github",
    "--repo",
    "acme@12/web@345",
    "--environment",
    "prod",
    "--confirm",
];

/// A rule of others, as nobody else would write it.
const LIFECYCLE: &str = r#"<?xml version="1.0" encoding="UTF-8"?>
<LifecycleConfiguration xmlns="http://s3.amazonaws.com/doc/2006-03-01/">
  <Rule><Status>Enabled</Status><ID>ledgers</ID>
    <Filter><Prefix>ledgers/</Prefix></Filter><!-- ten years -->
    <Expiration><Days>3653</Days></Expiration></Rule>
</LifecycleConfiguration>"#;

/// What the rule of others is, to the byte.
const RULE: &str = r#"<Rule><Status>Enabled</Status><ID>ledgers</ID>
    <Filter><Prefix>ledgers/</Prefix></Filter><!-- ten years -->
    <Expiration><Days>3653</Days></Expiration></Rule>"#;

const POLICY: &str = r#"{"Version":"2012-10-17","Id":"theirs","Statement":{"Sid":"Readers","Effect":"Allow",
 "Principal":{"AWS":"arn:aws:iam::210987654321:role/readers"},"Action":"s3:GetObject","Resource":"arn:aws:s3:::matrix-backups/reports/*"}}"#;

const CORS: &str = "<CORSConfiguration><CORSRule><ID>theirs</ID><AllowedMethod>PUT</AllowedMethod>\
     <AllowedOrigin>https://upload.example.org</AllowedOrigin></CORSRule></CORSConfiguration>";

const TRUST: &str = r#"{"Version":"2012-10-17","Statement":[{"Sid":"Ops","Effect":"Allow","Principal":{"AWS":"arn:aws:iam::210987654321:root"},"Action":"sts:AssumeRole"}]}"#;

const ROLE_POLICY: &str =
    r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"s3:ListAllMyBuckets","Resource":"*"}]}"#;

/// What is set before a command.
pub fn before(history: History) -> &'static Papers {
    static NONE: Papers = Papers::new();
    static OTHERS: OnceLock<Papers> = OnceLock::new();
    static OURS: OnceLock<Papers> = OnceLock::new();
    match history {
        History::Recent | History::Past | History::Unmended(_) | History::Nothing => &NONE,
        History::Others => OTHERS.get_or_init(of_others),
        History::Ours => OURS.get_or_init(ours),
    }
}

fn of_others() -> Papers {
    let paper = |setting, text: &str| (paper_of(setting, BUCKET), text.to_owned());
    Papers::from([
        paper("lifecycle", LIFECYCLE),
        paper("policy", POLICY),
        paper("cors", CORS),
        ("role shared".to_owned(), TRUST.to_owned()),
        ("policy theirs of role shared".to_owned(), ROLE_POLICY.to_owned()),
        (
            format!("provider arn:aws:iam::{ACCOUNT}:oidc-provider/token.actions.githubusercontent.com"),
            "https://github.com/acme".to_owned(),
        ),
    ])
}

fn ours() -> Papers {
    let server = FaultS3::with(Options {
        has_settings: true,
        ..Options::default()
    });
    server.bucket_named(BUCKET, &Fixture::shared().content);
    server.set_papers(of_others());
    let cli = user_of(&server, BUCKET);
    let apply = [
        "lifecycle",
        "apply",
        "--delete-days",
        "400",
        "--noncurrent-days",
        "30",
        "--confirm",
    ];
    for words in [CREATE, &apply] {
        let _ = cli.run(words).success();
    }
    server.papers()
}

/// Whether there is nothing but what was there before or what a clean run makes, each whole; and, of a success, all of it.
///
/// # Errors
/// The paper that is neither.
pub fn check(history: History, now: &Papers, clean: &Clean, must_be_done: bool) -> Result<(), String> {
    let before = before(history);
    if let Some(rules) = now.get(&paper_of("lifecycle", BUCKET))
        && history != History::Nothing
        && !rules.contains(RULE)
    {
        return Err(format!("the rule of others is changed: {rules}"));
    }
    let names: BTreeSet<&String> = before.keys().chain(now.keys()).chain(clean.papers.keys()).collect();
    for name in names {
        let (old, new, stands) = (before.get(name), clean.papers.get(name), now.get(name));
        let is_done = meaning(stands) == meaning(new);
        if is_done {
            continue;
        }
        if must_be_done {
            return Err(format!(
                "`{name}` is not what a clean run makes: {stands:?} instead of {new:?}"
            ));
        }
        let in_between = clean.written.get(name).map_or(&[][..], Vec::as_slice);
        let was_written = in_between.iter().any(|text| meaning(Some(text)) == meaning(stands));
        if meaning(stands) != meaning(old) && !was_written && !is_of_both(stands, old, new) {
            return Err(format!("`{name}` is neither the old nor the new one: {stands:?}"));
        }
    }
    Ok(())
}

/// What a clean run makes.
#[derive(Default)]
pub struct Clean {
    pub papers: Papers,
    /// Every document that it has written, by its name.
    pub written: BTreeMap<String, Vec<String>>,
}

/// A document without what means nothing: the order of a policy's statements, and the head and the names' space of XML.
fn meaning(text: Option<&String>) -> Option<Value> {
    let text = text?;
    match serde_json::from_str::<Value>(text) {
        Ok(mut document) => {
            let mut statements = statements(&document);
            statements.sort_by_key(Value::to_string);
            document["Statement"] = Value::Array(statements);
            Some(document)
        }
        Err(_) => {
            let text = text.split_once("?>").map_or(text.as_str(), |(_, body)| body);
            let text = text.replace(" xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\"", "");
            Some(Value::String(text))
        }
    }
}

fn statements(document: &Value) -> Vec<Value> {
    match &document["Statement"] {
        Value::Array(all) => all.clone(),
        Value::Null => Vec::new(),
        one => vec![one.clone()],
    }
}

/// Whether a policy has all statements that stay, and no other than these and the new ones.
fn is_of_both(stands: Option<&String>, old: Option<&String>, new: Option<&String>) -> bool {
    let read = |text: Option<&String>| {
        let document = serde_json::from_str::<Value>(text?).ok()?;
        let mut rest = document.clone();
        rest["Statement"] = Value::Null;
        Some((statements(&document), rest))
    };
    let (Some((stands, rest)), Some((new, rest_of_new))) = (read(stands), read(new)) else {
        return false;
    };
    let old = read(old).map_or_else(Vec::new, |(statements, _)| statements);
    let mut staying = old.iter().filter(|statement| new.contains(statement));
    rest == rest_of_new
        && staying.all(|statement| stands.contains(statement))
        && stands
            .iter()
            .all(|statement| old.contains(statement) || new.contains(statement))
}
