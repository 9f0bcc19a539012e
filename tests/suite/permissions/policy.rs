//! Policies as AWS evaluates them, only stricter: what is not granted is refused, and what a request asks for is taken from
//! AWS's own list of actions. A request that is not known here is refused; an operator that is not known fails the test.

use std::collections::BTreeMap;
use std::sync::Mutex;

use serde_json::Value;

use crate::support::fault_s3::{Gate, Op, Request, StoredObject};

/// A policy of an identity.
#[derive(Clone, Debug)]
pub struct Policy {
    document: Value,
}

/// What a request asks for: an action on a resource, with what conditions can look at.
#[derive(Clone, Debug)]
struct Asked {
    action: &'static str,
    resource: String,
    context: BTreeMap<&'static str, String>,
}

impl Policy {
    /// Reads a policy, JSON.
    pub fn parse(json: &str) -> Self {
        let document: Value = serde_json::from_str(json).expect("a policy is JSON");
        assert_eq!(document["Version"], "2012-10-17");
        Self { document }
    }

    /// The document, JSON.
    pub fn json(&self) -> String {
        self.document.to_string()
    }

    /// The same policy with one permission granted nowhere.
    pub fn without(&self, action: &str) -> Self {
        let mut document = self.document.clone();
        for statement in document["Statement"].as_array_mut().expect("statements") {
            if statement["Effect"] == "Allow" {
                let actions = statement["Action"].as_array_mut().expect("actions");
                actions.retain(|granted| granted != action);
            }
        }
        Self { document }
    }

    /// Whether it grants a permission anywhere.
    pub fn grants(&self, action: &str) -> bool {
        let statements = self.document["Statement"].as_array().expect("statements");
        statements
            .iter()
            .filter(|statement| statement["Effect"] == "Allow")
            .any(|statement| texts(&statement["Action"]).iter().any(|granted| granted == action))
    }

    fn allows(&self, asked: &Asked) -> bool {
        let statements = self.document["Statement"].as_array().expect("statements");
        let matching = |effect: &str| {
            statements.iter().any(|statement| {
                statement["Effect"] == effect
                    && texts(&statement["Action"])
                        .iter()
                        .any(|pattern| like(asked.action, pattern))
                    && texts(&statement["Resource"])
                        .iter()
                        .any(|pattern| like(&asked.resource, pattern))
                    && holds(&statement["Condition"], &asked.context)
            })
        };
        !matching("Deny") && matching("Allow")
    }
}

fn texts(value: &Value) -> Vec<String> {
    match value {
        Value::String(text) => vec![text.clone()],
        Value::Array(all) => all
            .iter()
            .map(|text| text.as_str().expect("a text").to_owned())
            .collect(),
        other => panic!("neither a text nor a list of texts: {other}"),
    }
}

/// Whether all conditions hold, of those operators that this tool uses.
fn holds(conditions: &Value, context: &BTreeMap<&'static str, String>) -> bool {
    let Some(operators) = conditions.as_object() else {
        return true;
    };
    operators.iter().all(|(operator, keys)| {
        keys.as_object().expect("keys").iter().all(|(key, wanted)| {
            let found = context.get(key.as_str());
            let wanted = texts(wanted);
            match operator.as_str() {
                "StringEquals" | "Bool" => found.is_some_and(|found| wanted.contains(found)),
                "StringLike" => found.is_some_and(|found| wanted.iter().any(|pattern| like(found, pattern))),
                "Null" => wanted.iter().any(|wanted| (wanted == "true") == found.is_none()),
                other => panic!("the operator {other} is not known here"),
            }
        })
    })
}

/// Whether a text is like a pattern, in which `*` stands for any letters and `?` for one; `${*}` stands for itself.
fn like(text: &str, pattern: &str) -> bool {
    #[derive(PartialEq)]
    enum Piece {
        Any,
        One,
        Letter(char),
    }
    let mut pieces = Vec::new();
    let mut rest = pattern;
    while let Some(letter) = rest.chars().next() {
        let escaped = rest.strip_prefix("${").and_then(|rest| {
            let letter = rest.chars().next()?;
            rest[letter.len_utf8()..].strip_prefix('}').map(|rest| (letter, rest))
        });
        let (piece, after) = match (escaped, letter) {
            (Some((letter, after)), _) => (Piece::Letter(letter), after),
            (None, '*') => (Piece::Any, &rest[1..]),
            (None, '?') => (Piece::One, &rest[1..]),
            (None, letter) => (Piece::Letter(letter), &rest[letter.len_utf8()..]),
        };
        pieces.push(piece);
        rest = after;
    }
    let text: Vec<char> = text.chars().collect();
    // `reached[i]` says whether the pieces so far can stand for the first `i` letters.
    let mut reached = vec![false; text.len() + 1];
    reached[0] = true;
    for piece in &pieces {
        let mut next = vec![false; text.len() + 1];
        for at in 0..=text.len() {
            next[at] = match piece {
                Piece::Any => reached[..=at].contains(&true),
                Piece::One => at > 0 && reached[at - 1],
                Piece::Letter(letter) => at > 0 && reached[at - 1] && text[at - 1] == *letter,
            };
        }
        reached = next;
    }
    reached[text.len()]
}

/// The service through which a key is used.
const S3: &str = "s3.us-east-1.amazonaws.com";

/// What a request asks for; nothing for one that is not known.
fn asked_for(request: &Request, stands: Option<&StoredObject>) -> Vec<Asked> {
    let bucket = format!("arn:aws:s3:::{}", request.bucket);
    let object = format!("{bucket}/{}", request.key);
    let has = |name: &str| request.parameter(name).is_some();
    let of_bucket = |action| vec![asked(action, &bucket, &[])];
    let of_object = |action| vec![asked(action, &object, &[])];
    match request.op {
        Op::HeadBucket => of_bucket("s3:ListBucket"),
        Op::ListObjects | Op::Other if has("versions") => vec![listing("s3:ListBucketVersions", &bucket, request)],
        Op::ListObjects => vec![listing("s3:ListBucket", &bucket, request)],
        Op::ListMultipartUploads => of_bucket("s3:ListBucketMultipartUploads"),
        Op::ListParts => of_object("s3:ListMultipartUploadParts"),
        Op::AbortMultipartUpload => of_object("s3:AbortMultipartUpload"),
        Op::RestoreObject => of_object("s3:RestoreObject"),
        Op::DeleteObject if has("versionId") => of_object("s3:DeleteObjectVersion"),
        Op::DeleteObject => of_object("s3:DeleteObject"),
        Op::GetObject | Op::HeadObject => {
            let action = match has("versionId") {
                true => "s3:GetObjectVersion",
                false => "s3:GetObject",
            };
            let mut all = of_object(action);
            match stands {
                // Who may list is told that there is nothing. The key is what the listing would have been of.
                None => all.push(asked("s3:ListBucket", &bucket, &[("s3:prefix", &request.key)])),
                Some(stands) if request.op == Op::GetObject => {
                    all.extend(with_key("kms:Decrypt", stands.kms_key.as_deref()))
                }
                Some(_) => {}
            }
            all
        }
        Op::PutObject | Op::CreateMultipartUpload => writing(request, &object),
        Op::UploadPart | Op::CompleteMultipartUpload => {
            let mut write = asked("s3:PutObject", &object, &[]);
            write.context = creating(request, request.op == Op::CompleteMultipartUpload);
            let key = stands.and_then(|upload| upload.kms_key.as_deref());
            std::iter::once(write).chain(with_key("kms:Decrypt", key)).collect()
        }
        // Each key is decided by itself.
        Op::DeleteObjects => Vec::new(),
        Op::ListBuckets | Op::CreateBucket => of_bucket("s3:NothingOfOurs"),
        // Everybody may ask who they are.
        Op::Identity | Op::Caller => Vec::new(),
        Op::ReadSetting => of_bucket(setting(request)),
        Op::WriteSetting | Op::Other => of_bucket("s3:NothingOfOurs"),
    }
}

/// The settings of a bucket, by the parameter that names them.
fn setting(request: &Request) -> &'static str {
    const READS: [(&str, &str); 9] = [
        ("location", "s3:GetBucketLocation"),
        ("versioning", "s3:GetBucketVersioning"),
        ("object-lock", "s3:GetBucketObjectLockConfiguration"),
        ("encryption", "s3:GetEncryptionConfiguration"),
        ("publicAccessBlock", "s3:GetBucketPublicAccessBlock"),
        ("policyStatus", "s3:GetBucketPolicyStatus"),
        ("policy", "s3:GetBucketPolicy"),
        ("ownershipControls", "s3:GetBucketOwnershipControls"),
        ("cors", "s3:GetBucketCORS"),
    ];
    let named = READS.iter().find(|(name, _)| request.parameter(name).is_some());
    match named {
        Some((_, action)) => action,
        None if request.parameter("lifecycle").is_some() => "s3:GetLifecycleConfiguration",
        None => "s3:NothingOfOurs",
    }
}

fn listing(action: &'static str, bucket: &str, request: &Request) -> Asked {
    let mut asked = asked(action, bucket, &[]);
    if let Some(prefix) = request.parameter("prefix") {
        asked.context.insert("s3:prefix", prefix);
    }
    asked
}

fn writing(request: &Request, object: &str) -> Vec<Asked> {
    let mut write = asked("s3:PutObject", object, &[]);
    write.context = creating(request, request.op == Op::PutObject);
    let mut all = vec![write];
    for (header, action) in [
        ("x-amz-tagging", "s3:PutObjectTagging"),
        ("x-amz-object-lock-mode", "s3:PutObjectRetention"),
        ("x-amz-object-lock-legal-hold", "s3:PutObjectLegalHold"),
    ] {
        if request.header(header).is_some() {
            all.push(asked(action, object, &[]));
        }
    }
    let key = request.header("x-amz-server-side-encryption-aws-kms-key-id");
    all.extend(with_key("kms:GenerateDataKey", key));
    all
}

fn creating(request: &Request, creates: bool) -> BTreeMap<&'static str, String> {
    let mut context = BTreeMap::from([("s3:ObjectCreationOperation", creates.to_string())]);
    if let Some(condition) = request.header("if-none-match") {
        context.insert("s3:if-none-match", condition.to_owned());
    }
    context
}

fn with_key(action: &'static str, key: Option<&str>) -> Option<Asked> {
    key.map(|key| asked(action, key, &[("kms:ViaService", S3)]))
}

fn asked(action: &'static str, resource: &str, context: &[(&'static str, &str)]) -> Asked {
    Asked {
        action,
        resource: resource.to_owned(),
        context: context.iter().map(|(key, value)| (*key, (*value).to_owned())).collect(),
    }
}

/// Lets pass what a policy grants, and keeps a list of what it refused.
#[derive(Debug)]
pub struct Enforced {
    policy: Policy,
    refused: Mutex<Vec<String>>,
}

impl Enforced {
    pub fn new(policy: Policy) -> Self {
        Self {
            policy,
            refused: Mutex::default(),
        }
    }

    /// The actions that were refused, in the order in which they were asked for.
    pub fn refused(&self) -> Vec<String> {
        self.refused.lock().expect("a list").clone()
    }

    fn may(&self, asked: &Asked) -> bool {
        let allowed = self.policy.allows(asked);
        if !allowed {
            self.refused.lock().expect("a list").push(asked.action.to_owned());
        }
        allowed
    }
}

impl Gate for Enforced {
    fn refuse(&self, request: &Request, stands: Option<&StoredObject>) -> Option<String> {
        let refused = asked_for(request, stands).into_iter().find(|asked| !self.may(asked))?;
        // S3 does not say what is missing, the key management service does.
        Some(match refused.action.starts_with("kms:") {
            true => format!(
                "User: arn:aws:iam::210987654321:user/test is not authorized to perform: {} on resource: {} because no \
                 identity-based policy allows the {} action",
                refused.action, refused.resource, refused.action
            ),
            false => "Access Denied".to_owned(),
        })
    }

    fn removes(&self, bucket: &str, key: &str) -> bool {
        self.may(&asked("s3:DeleteObject", &format!("arn:aws:s3:::{bucket}/{key}"), &[]))
    }
}

#[test]
fn patterns_match_as_those_of_policies_do() {
    for (text, pattern, is_like) in [
        ("arn:aws:s3:::b/p/x/y", "arn:aws:s3:::b/p/*", true),
        ("arn:aws:s3:::b/q/x", "arn:aws:s3:::b/p/*", false),
        ("p/", "p/*", true),
        ("p", "p/*", false),
        ("a.pin.json", "*.pin.json", true),
        ("a.pin.jsonx", "*.pin.json", false),
        ("ab", "a?", true),
        ("a", "a?", false),
        ("a*b", "a${*}b", true),
        ("axb", "a${*}b", false),
        ("", "*", true),
    ] {
        assert_eq!(like(text, pattern), is_like, "{text} {pattern}");
    }
}
