//! Policies of roles: the table of needs, made into JSON for one bucket and prefix.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use super::needs::{Grant, On, Role, When, needs_of};
use crate::base::failure::{Failure, Kind, Result};

pub use crate::store::s3::Partition;

/// What a policy is for.
#[derive(Clone, Debug)]
pub struct PolicyOptions {
    /// The bucket.
    pub bucket: String,
    /// The part of every key that belongs to this tool, with no slash at its ends.
    pub prefix: String,
    /// Where it is.
    pub partition: Partition,
    /// The ARN of the key of the key management service, if there is one.
    pub kms_key: Option<String>,
    /// Whether objects carry tags.
    pub tags: bool,
    /// Whether what is written is locked.
    pub locks: bool,
    /// Whether all versions of what is removed go.
    pub purges_versions: bool,
    /// Whether the writer may look at what it has written, and so read every backup.
    pub reads_back: bool,
    /// Whether a write may replace what stands there.
    pub replaces: bool,
}

/// What a policy's statements are about, as full names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The bucket.
    pub bucket: String,
    /// What the full names of all objects below the prefix begin with.
    pub objects: String,
}

impl PolicyOptions {
    /// The bucket and its objects, as the policy names them.
    #[must_use]
    pub fn place(&self) -> Place {
        let bucket = format!("arn:{}:s3:::{}", self.partition.name, self.bucket);
        let objects = match self.prefix.as_str() {
            "" => format!("{bucket}/"),
            prefix => format!("{bucket}/{}/", literal(prefix)),
        };
        Place { bucket, objects }
    }
}

/// A policy, in the order in which people read it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Document {
    /// The version of the language.
    pub version: &'static str,
    /// What it grants and refuses.
    pub statement: Vec<Statement>,
}

/// The version of the language of policies.
pub const LANGUAGE: &str = "2012-10-17";

/// One statement of a policy.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Statement {
    /// Its name; ours begin with [`OWN_SID`].
    pub sid: String,
    /// `Allow` or `Deny`.
    pub effect: &'static str,
    /// Whom it is about; only in what a role trusts.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub principal: BTreeMap<&'static str, String>,
    /// The permissions.
    pub action: Vec<&'static str>,
    /// What they are about; not in what a role trusts.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub resource: Vec<String>,
    /// When it holds: operator, key, values.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub condition: Condition,
}

/// When a statement holds: operator, key, values.
pub type Condition = BTreeMap<&'static str, BTreeMap<String, Vec<String>>>;

/// What the names of this tool's statements begin with.
pub const OWN_SID: &str = "BackupCli";

impl Document {
    /// The policy as people read it, without a line end.
    ///
    /// # Errors
    /// Never, as far as is known.
    pub fn to_json(&self) -> Result<String> {
        serde_json::to_string_pretty(self)
            .map_err(|error| Failure::new(Kind::Failed, "Could not write the policy").caused_by(error))
    }
}

/// What is refused, whatever other policies grant, unless one of the roles is for it.
const REFUSED: [(&str, On); 5] = [
    ("s3:DeleteObject", On::Objects),
    ("s3:DeleteObjectVersion", On::Objects),
    ("s3:PutObjectRetention", On::Objects),
    ("s3:BypassGovernanceRetention", On::Objects),
    ("s3:PutLifecycleConfiguration", On::Bucket),
];

/// The policy that lets its holder do what the roles are for, and no more.
///
/// # Errors
/// [`Kind::Usage`] if the key cannot stand in a policy.
pub fn policy(roles: &[Role], options: &PolicyOptions) -> Result<Document> {
    let granted = granted(roles, options);
    let bucket = format!("arn:{}:s3:::{}", options.partition.name, options.bucket);
    let folder = match options.prefix.as_str() {
        "" => String::new(),
        prefix => format!("{}/", literal(prefix)),
    };
    let mut by_place: BTreeMap<On, Vec<&'static str>> = BTreeMap::new();
    for (on, action) in &granted {
        by_place.entry(*on).or_default().push(action);
    }
    let mut statement = Vec::new();
    for (on, action) in by_place {
        let (name, resource, condition) = match on {
            On::Listing => ("List", bucket.clone(), below(&folder)),
            On::Bucket => ("UseBucket", bucket.clone(), Condition::new()),
            On::Objects => ("UseObjects", format!("{bucket}/{folder}*"), Condition::new()),
            On::Named(pattern) => (
                name_of(pattern),
                format!("{bucket}/{folder}{pattern}"),
                Condition::new(),
            ),
            On::Key => {
                let Some(key) = &options.kms_key else { continue };
                ("UseKey", key.clone(), through_s3(key, options.partition)?)
            }
            On::Identity => continue,
        };
        statement.push(Statement {
            sid: format!("{OWN_SID}{name}"),
            effect: "Allow",
            action,
            resource: vec![resource],
            condition,
            ..Statement::default()
        });
    }
    statement.extend(refusals(&granted, &bucket, &folder));
    let writes = granted.iter().any(|(_, action)| *action == "s3:PutObject");
    // The admin's doctor writes its throw-away object more than once.
    if writes && !options.replaces && !roles.contains(&Role::Admin) {
        statement.push(no_replacing(format!("{bucket}/{folder}*")));
    }
    Ok(Document {
        version: LANGUAGE,
        statement,
    })
}

/// Whether something that is only asked for at times is asked for here.
fn applies(when: When, options: &PolicyOptions) -> bool {
    match when {
        // In an emergency nobody wants to wait for a policy.
        When::Always | When::Thawing => true,
        When::Tags => options.tags,
        When::Locks => options.locks,
        When::Purging => options.purges_versions,
        When::Kms => options.kms_key.is_some(),
    }
}

/// What the roles' commands need.
fn granted(roles: &[Role], options: &PolicyOptions) -> BTreeSet<(On, &'static str)> {
    let commands = roles.iter().flat_map(|role| role.commands());
    let mut granted: BTreeSet<(On, &'static str)> = commands
        .filter_map(|command| needs_of(command))
        .flat_map(|command| command.needs)
        .filter(|need| applies(need.when, options))
        .filter(|need| match need.grant {
            Grant::Required | Grant::Advised(_) => true,
            Grant::Withheld(_) => options.reads_back && need.action == "s3:GetObject",
        })
        .map(|need| (need.on, need.action))
        .collect();
    let everywhere: Vec<&'static str> = granted
        .iter()
        .filter(|(on, _)| *on == On::Objects)
        .map(|(_, action)| *action)
        .collect();
    granted.retain(|(on, action)| !matches!(on, On::Named(_)) || !everywhere.contains(action));
    granted
}

fn refusals(granted: &BTreeSet<(On, &'static str)>, bucket: &str, folder: &str) -> Vec<Statement> {
    let refused = |place: On| -> Vec<&'static str> {
        REFUSED
            .into_iter()
            .filter(|(action, on)| *on == place && !granted.iter().any(|(_, granted)| granted == action))
            .map(|(action, _)| action)
            .collect()
    };
    [
        ("SpareObjects", refused(On::Objects), format!("{bucket}/{folder}*")),
        ("SpareBucket", refused(On::Bucket), bucket.to_owned()),
    ]
    .into_iter()
    .filter(|(_, action, _)| !action.is_empty())
    .map(|(name, action, resource)| Statement {
        sid: format!("{OWN_SID}{name}"),
        effect: "Deny",
        action,
        resource: vec![resource],
        ..Statement::default()
    })
    .collect()
}

/// A write that does not say that it is to create an object is refused; that of a part says nothing and creates nothing.
fn no_replacing(resource: String) -> Statement {
    Statement {
        sid: format!("{OWN_SID}ReplaceNothing"),
        effect: "Deny",
        action: vec!["s3:PutObject"],
        resource: vec![resource],
        condition: BTreeMap::from([
            ("Null", one("s3:if-none-match", "true")),
            ("Bool", one("s3:ObjectCreationOperation", "true")),
        ]),
        ..Statement::default()
    }
}

fn below(folder: &str) -> Condition {
    match folder {
        "" => Condition::new(),
        folder => BTreeMap::from([("StringLike", one("s3:prefix", &format!("{folder}*")))]),
    }
}

/// A key is used for the objects of the bucket alone, not by itself.
fn through_s3(key: &str, partition: Partition) -> Result<Condition> {
    let region = region_of_key(key, partition)?;
    let service = format!("s3.{region}.{}", partition.domain);
    Ok(BTreeMap::from([("StringEquals", one("kms:ViaService", &service))]))
}

/// The region in the ARN of a key.
fn region_of_key(key: &str, partition: Partition) -> Result<&str> {
    let parts: Vec<&str> = key.split(':').collect();
    match parts.as_slice() {
        ["arn", theirs, "kms", region, account, id] if *theirs == partition.name => {
            let is_account = account.len() == 12 && account.bytes().all(|byte| byte.is_ascii_digit());
            match id.strip_prefix("key/") {
                Some(id)
                    if is_account
                        && !region.is_empty()
                        && !id.is_empty()
                        && id.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-') =>
                {
                    Ok(region)
                }
                _ => Err(no_key(key, partition)),
            }
        }
        _ => Err(no_key(key, partition)),
    }
}

fn no_key(key: &str, partition: Partition) -> Failure {
    let failure = Failure::new(
        Kind::Usage,
        format!("Not the ARN of a key that a policy can name: `{key}`"),
    );
    let failure = match key.contains("alias/") {
        true => failure
            .hint("An alias grants nothing in a policy; `aws kms describe-key --key-id ALIAS` prints the key's ARN"),
        false => failure,
    };
    failure.hint(format!(
        "Write --kms-key arn:{}:kms:REGION:ACCOUNT:key/ID",
        partition.name
    ))
}

/// A text that is to be taken as it is where a policy takes patterns and variables.
fn literal(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '*' | '?' | '$' => {
                out.push_str("${");
                out.push(letter);
                out.push('}');
            }
            other => out.push(other),
        }
    }
    out
}

/// What a statement about some names is called.
fn name_of(pattern: &str) -> &'static str {
    match pattern {
        "*.pin.json" => "Pin",
        "*.accepted.json" => "Accept",
        "*.drill-*.json" => "KeepEvidence",
        "*.damaged-*.json" => "RememberDamage",
        "*.whole-*.json" => "RememberRepair",
        _ => "Doctor",
    }
}

pub(super) fn one(key: &str, value: &str) -> BTreeMap<String, Vec<String>> {
    BTreeMap::from([(key.to_owned(), vec![value.to_owned()])])
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn options() -> PolicyOptions {
        PolicyOptions {
            bucket: "my-backups".to_owned(),
            prefix: "web".to_owned(),
            partition: Partition::of_region("eu-central-1"),
            kms_key: None,
            tags: false,
            locks: false,
            purges_versions: false,
            reads_back: false,
            replaces: false,
        }
    }

    fn statements(roles: &[Role], options: &PolicyOptions) -> BTreeMap<String, Statement> {
        let document = policy(roles, options).unwrap();
        document
            .statement
            .into_iter()
            .map(|statement| (statement.sid.clone(), statement))
            .collect()
    }

    #[test]
    fn settings_ask_for_more_and_nothing_else_does() {
        let actions = |options: &PolicyOptions| {
            statements(&[Role::Writer], options)["BackupCliUseObjects"]
                .action
                .clone()
        };
        let plain = ["s3:AbortMultipartUpload", "s3:ListMultipartUploadParts", "s3:PutObject"];
        assert_eq!(actions(&options()), plain);
        let more = |change: fn(&mut PolicyOptions)| {
            let mut options = options();
            change(&mut options);
            let all = actions(&options);
            all.into_iter()
                .filter(|action| !plain.contains(action))
                .collect::<Vec<_>>()
        };
        assert_eq!(more(|options| options.tags = true), ["s3:PutObjectTagging"]);
        assert_eq!(more(|options| options.locks = true), ["s3:PutObjectRetention"]);
        assert_eq!(more(|options| options.reads_back = true), ["s3:GetObject"]);
        assert_eq!(more(|options| options.purges_versions = true), [""; 0]);
        let mut locking = options();
        locking.locks = true;
        let spared = &statements(&[Role::Writer], &locking)["BackupCliSpareObjects"].action;
        assert_eq!(
            *spared,
            [
                "s3:DeleteObject",
                "s3:DeleteObjectVersion",
                "s3:BypassGovernanceRetention"
            ]
        );
    }

    #[test]
    fn two_roles_together_refuse_nothing_that_one_of_them_is_for() {
        let both = statements(&[Role::Writer, Role::Pruner], &options());
        assert!(both["BackupCliUseObjects"].action.contains(&"s3:DeleteObject"));
        assert_eq!(
            both["BackupCliSpareObjects"].action,
            [
                "s3:DeleteObjectVersion",
                "s3:PutObjectRetention",
                "s3:BypassGovernanceRetention"
            ]
        );
        // What is granted on every object is not granted on some of them once more.
        assert!(!both.contains_key("BackupCliPin"), "{both:#?}");
    }

    #[test]
    fn no_prefix_means_the_whole_bucket_and_a_strange_one_means_itself() {
        let whole = PolicyOptions {
            prefix: String::new(),
            ..options()
        };
        let all = statements(&[Role::Restorer], &whole);
        assert!(all["BackupCliList"].condition.is_empty());
        assert_eq!(all["BackupCliUseObjects"].resource, ["arn:aws:s3:::my-backups/*"]);
        let strange = PolicyOptions {
            prefix: "a*/${x}?".to_owned(),
            ..options()
        };
        let all = statements(&[Role::Restorer], &strange);
        assert_eq!(
            all["BackupCliUseObjects"].resource,
            ["arn:aws:s3:::my-backups/a${*}/${$}{x}${?}/*"]
        );
    }

    #[test]
    fn a_key_is_used_through_s3_alone_and_an_alias_is_refused() {
        let key = "arn:aws-cn:kms:cn-north-1:210987654321:key/0a1b-2c";
        let mut options = PolicyOptions {
            partition: Partition::of_region("cn-north-1"),
            kms_key: Some(key.to_owned()),
            ..options()
        };
        let writer = statements(&[Role::Writer], &options);
        let statement = &writer["BackupCliUseKey"];
        assert_eq!(statement.action, ["kms:Decrypt", "kms:GenerateDataKey"]);
        assert_eq!(statement.resource, [key]);
        assert_eq!(
            statement.condition["StringEquals"]["kms:ViaService"],
            ["s3.cn-north-1.amazonaws.com.cn"]
        );
        let reader = statements(&[Role::Restorer], &options);
        assert!(reader["BackupCliUseKey"].action.contains(&"kms:Decrypt"));
        for wrong in [
            "arn:aws:kms:cn-north-1:210987654321:key/0a1b",
            "arn:aws-cn:kms:cn-north-1:210987654321:alias/backups",
            "arn:aws-cn:kms:cn-north-1:ACCOUNT:key/0a1b",
            "arn:aws-cn:kms::210987654321:key/0a1b",
            "0a1b",
            "*",
        ] {
            options.kms_key = Some(wrong.to_owned());
            assert_eq!(
                policy(&[Role::Writer], &options).unwrap_err().kind(),
                Kind::Usage,
                "{wrong}"
            );
        }
    }
}
