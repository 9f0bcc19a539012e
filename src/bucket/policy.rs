//! What a bucket's policy demands, read from its JSON; and the statements of ours that make it demand more.

use serde_json::{Value, json};

/// By these our statements are known among those of others. Letters and digits only: not every server takes more.
const OWN_TLS_SID: &str = "BackupCliTlsOnly";
const OWN_NEW_KEYS_SID: &str = "BackupCliCreateOnly";

/// A policy that cannot be read, so that nothing can be added to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotAPolicy;

/// What a policy is to demand.
#[derive(Clone, Copy, Debug)]
pub struct PolicyWish<'a> {
    /// The bucket's name.
    pub bucket: &'a str,
    /// Where it is; some regions have names of their own for everything.
    pub region: &'a str,
    /// What the keys of backups begin with.
    pub folder: &'a str,
    /// Whether requests have to be encrypted on their way.
    pub tls_only: bool,
    /// Whether objects below the folder can only be created, and not replaced.
    pub create_only: bool,
}

impl PolicyWish<'_> {
    /// The policy with what it lacks of the wish; `None` if it lacks nothing. The statements of others stay as they are.
    ///
    /// # Errors
    /// If there is a policy and it is not one that can be read.
    pub fn added_to(&self, policy: Option<&str>) -> Result<Option<String>, NotAPolicy> {
        let mut whole = match policy {
            None => json!({ "Version": "2012-10-17", "Statement": [] }),
            Some(policy) => serde_json::from_str::<Value>(policy).map_err(|_| NotAPolicy)?,
        };
        let needs_tls = self.tls_only && policy.is_none_or(|policy| !demands_tls(policy));
        let needs_new_keys = self.create_only && policy.is_none_or(|policy| !demands_new_keys(policy, self.folder));
        if !needs_tls && !needs_new_keys {
            return Ok(None);
        }
        let object = whole.as_object_mut().ok_or(NotAPolicy)?;
        let statements = match object.remove("Statement") {
            Some(Value::Array(all)) => all,
            Some(one @ Value::Object(_)) => vec![one],
            None => Vec::new(),
            Some(_) => return Err(NotAPolicy),
        };
        let mut statements = statements;
        if needs_tls {
            put(&mut statements, self.tls_statement());
        }
        if needs_new_keys {
            let resources = own_resources(&statements);
            put(&mut statements, self.new_keys_statement(resources));
        }
        object.insert("Statement".to_owned(), Value::Array(statements));
        object
            .entry("Version")
            .or_insert_with(|| Value::String("2012-10-17".to_owned()));
        Ok(Some(whole.to_string()))
    }

    fn arn(&self) -> String {
        let partition = match self.region {
            region if region.starts_with("cn-") => "aws-cn",
            region if region.starts_with("us-gov-") => "aws-us-gov",
            _ => "aws",
        };
        format!("arn:{partition}:s3:::{}", self.bucket)
    }

    fn tls_statement(&self) -> Value {
        let arn = self.arn();
        json!({
            "Sid": OWN_TLS_SID,
            "Effect": "Deny",
            "Principal": "*",
            "Action": "s3:*",
            "Resource": [arn, format!("{arn}/*")],
            "Condition": { "Bool": { "aws:SecureTransport": "false" } },
        })
    }

    /// Beginning an upload and sending its parts cannot carry the condition; what makes an object of them can.
    fn new_keys_statement(&self, mut resources: Vec<Value>) -> Value {
        let own = Value::String(format!("{}/{}*", self.arn(), self.folder));
        if !resources.contains(&own) {
            resources.push(own);
        }
        json!({
            "Sid": OWN_NEW_KEYS_SID,
            "Effect": "Deny",
            "Principal": "*",
            "Action": "s3:PutObject",
            "Resource": resources,
            "Condition": {
                "Null": { "s3:if-none-match": "true" },
                "Bool": { "s3:ObjectCreationOperation": "true" },
            },
        })
    }
}

/// Puts a statement in the place of the one with its id, or at the end.
fn put(statements: &mut Vec<Value>, own: Value) {
    match statements.iter_mut().find(|statement| statement["Sid"] == own["Sid"]) {
        Some(old) => *old = own,
        None => statements.push(own),
    }
}

/// What our own statement covers already: several stores may share a bucket.
fn own_resources(statements: &[Value]) -> Vec<Value> {
    let own = statements.iter().find(|statement| statement["Sid"] == OWN_NEW_KEYS_SID);
    match own.map(|statement| &statement["Resource"]) {
        Some(Value::Array(all)) => all.clone(),
        Some(one @ Value::String(_)) => vec![one.clone()],
        _ => Vec::new(),
    }
}

/// Whether a policy refuses every request that is not encrypted on its way.
#[must_use]
pub fn demands_tls(policy: &str) -> bool {
    denials(policy).iter().any(|statement| {
        let is_plain = |value: &Value| value == false || value == "false";
        any_of(&statement["Action"], |action| action == "*" || action == "s3:*")
            && statement["Condition"]["Bool"].as_object().is_some_and(|tests| {
                // A further test would narrow the refusal.
                tests.len() == 1
                    && statement["Condition"].as_object().is_some_and(|kinds| kinds.len() == 1)
                    && tests.iter().any(|(name, value)| {
                        name.eq_ignore_ascii_case("aws:SecureTransport")
                            && (is_plain(value) || value.as_array().is_some_and(|all| all.iter().any(is_plain)))
                    })
            })
    })
}

/// Whether a policy refuses writes that could replace an object whose key begins with `folder`.
#[must_use]
pub fn demands_new_keys(policy: &str, folder: &str) -> bool {
    denials(policy).iter().any(|statement| {
        any_of(&statement["Action"], |action| {
            matches!(action, "*" | "s3:*" | "s3:PutObject")
        }) && covers(&statement["Resource"], folder)
            && statement["Condition"]["Null"].as_object().is_some_and(|tests| {
                tests.iter().any(|(name, value)| {
                    name.eq_ignore_ascii_case("s3:if-none-match") && (value == true || value == "true")
                })
            })
    })
}

/// Whether a statement is about everything whose key begins with `folder`; one that names nothing is about everything.
fn covers(resource: &Value, folder: &str) -> bool {
    resource.is_null()
        || any_of(resource, |name| {
            let keys = match name.split_once('/') {
                Some((_, keys)) => keys,
                None => name,
            };
            keys.strip_suffix('*').is_some_and(|begin| folder.starts_with(begin))
        })
}

/// The statements that refuse something to everybody.
fn denials(policy: &str) -> Vec<Value> {
    let policy: Value = serde_json::from_str(policy).unwrap_or_default();
    let statements = match &policy["Statement"] {
        Value::Array(all) => all.clone(),
        Value::Object(_) => vec![policy["Statement"].clone()],
        _ => Vec::new(),
    };
    statements
        .into_iter()
        .filter(|statement| {
            let principal = &statement["Principal"];
            statement["Effect"] == "Deny" && (principal == "*" || any_of(&principal["AWS"], |who| who == "*"))
        })
        .collect()
}

/// Whether a text, or one of a list of texts, is what is looked for.
fn any_of(value: &Value, is: impl Fn(&str) -> bool) -> bool {
    match value {
        Value::String(text) => is(text),
        Value::Array(all) => all.iter().filter_map(Value::as_str).any(is),
        _ => false,
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_policy_that_demands_tls_is_told_from_one_that_only_looks_like_it() {
        let statement = |rest: &str| format!(r#"{{"Statement":[{{{rest},"Resource":"arn:aws:s3:::b/*"}}]}}"#);
        for (rest, demands) in [
            (
                r#""Effect":"Deny","Principal":"*","Action":"s3:*","Condition":{"Bool":{"aws:SecureTransport":"false"}}"#,
                true,
            ),
            (
                r#""Effect":"Deny","Principal":{"AWS":"*"},"Action":["s3:*"],"Condition":{"Bool":{"aws:securetransport":[false]}}"#,
                true,
            ),
            (
                r#""Effect":"Allow","Principal":"*","Action":"s3:*","Condition":{"Bool":{"aws:SecureTransport":"false"}}"#,
                false,
            ),
            (
                r#""Effect":"Deny","Principal":"*","Action":"s3:*","Condition":{"Bool":{"aws:SecureTransport":"true"}}"#,
                false,
            ),
            (
                r#""Effect":"Deny","Principal":"*","Action":"s3:GetObject","Condition":{"Bool":{"aws:SecureTransport":"false"}}"#,
                false,
            ),
            (
                r#""Effect":"Deny","Principal":{"AWS":"arn:aws:iam::1:root"},"Action":"s3:*","Condition":{"Bool":{"aws:SecureTransport":"false"}}"#,
                false,
            ),
            (
                r#""Effect":"Deny","Principal":"*","Action":"s3:*","Condition":{"Bool":{"aws:SecureTransport":"false"},"StringLike":{"aws:UserAgent":"x"}}"#,
                false,
            ),
        ] {
            assert_eq!(demands_tls(&statement(rest)), demands, "{rest}");
        }
        assert!(!demands_tls("not JSON") && !demands_tls("{}"));
    }

    #[test]
    fn a_policy_that_demands_new_keys_is_found() {
        let of = |value: &str| {
            format!(
                r#"{{"Statement":{{"Effect":"Deny","Principal":"*","Action":"s3:PutObject","Resource":"*","Condition":{{"Null":{{"s3:if-none-match":{value}}}}}}}}}"#
            )
        };
        let demands = |policy: &str| demands_new_keys(policy, "backups/");
        assert!(demands(&of("\"true\"")) && demands(&of("true")));
        assert!(!demands(&of("\"false\"")) && !demands("{}"));
        for (resource, covers) in [
            ("arn:aws:s3:::b/*", true),
            ("arn:aws:s3:::b/backups/*", true),
            ("arn:aws:s3:::b/back*", true),
            ("arn:aws:s3:::b/backups/app/*", false),
            ("arn:aws:s3:::b/other/*", false),
            ("arn:aws:s3:::b", false),
        ] {
            let policy = of("true").replace(r#""Resource":"*""#, &format!(r#""Resource":["{resource}"]"#));
            assert_eq!(demands(&policy), covers, "{resource}");
        }
    }

    fn wish(folder: &str) -> PolicyWish<'_> {
        PolicyWish {
            bucket: "b",
            region: "eu-central-1",
            folder,
            tls_only: true,
            create_only: true,
        }
    }

    #[test]
    fn what_is_added_to_a_policy_is_what_it_demands_then() {
        let made = wish("backups/").added_to(None).unwrap().unwrap();
        assert!(demands_tls(&made) && demands_new_keys(&made, "backups/"));
        assert!(!demands_new_keys(&made, "other/"));
        assert_eq!(wish("backups/").added_to(Some(&made)), Ok(None));
        let value: Value = serde_json::from_str(&made).unwrap();
        assert_eq!(
            value["Statement"][0]["Resource"],
            json!(["arn:aws:s3:::b", "arn:aws:s3:::b/*"])
        );
        assert_eq!(
            value["Statement"][1]["Condition"]["Bool"],
            json!({ "s3:ObjectCreationOperation": "true" })
        );
        // A second store in the same bucket takes nothing from the first.
        let both = wish("other/").added_to(Some(&made)).unwrap().unwrap();
        assert!(demands_new_keys(&both, "backups/") && demands_new_keys(&both, "other/"));
        let value: Value = serde_json::from_str(&both).unwrap();
        assert_eq!(value["Statement"].as_array().unwrap().len(), 2);
        let china = PolicyWish {
            region: "cn-north-1",
            ..wish("")
        };
        assert!(china.added_to(None).unwrap().unwrap().contains("arn:aws-cn:s3:::b/*"));
    }

    #[test]
    fn the_statements_of_others_stay() {
        let foreign = json!({ "Sid": "Web", "Effect": "Allow", "Principal": { "AWS": "arn:aws:iam::1:root" },
            "Action": ["s3:GetObject"], "Resource": "arn:aws:s3:::b/web/*" });
        for policy in [
            json!({ "Version": "2008-10-17", "Id": "x", "Statement": foreign }),
            json!({ "Version": "2008-10-17", "Id": "x", "Statement": [foreign] }),
        ] {
            let made = wish("backups/").added_to(Some(&policy.to_string())).unwrap().unwrap();
            let value: Value = serde_json::from_str(&made).unwrap();
            assert_eq!(value["Statement"][0], foreign);
            assert_eq!((&value["Version"], &value["Id"]), (&json!("2008-10-17"), &json!("x")));
            assert_eq!(value["Statement"].as_array().unwrap().len(), 3);
        }
        // What somebody else's statement demands already is not demanded twice.
        let theirs = json!({ "Statement": { "Sid": "Tls", "Effect": "Deny", "Principal": "*", "Action": "s3:*",
            "Resource": ["arn:aws:s3:::b", "arn:aws:s3:::b/*"],
            "Condition": { "Bool": { "aws:SecureTransport": "false" } } } });
        let made = wish("").added_to(Some(&theirs.to_string())).unwrap().unwrap();
        assert!(!made.contains(OWN_TLS_SID) && made.contains(OWN_NEW_KEYS_SID));
        for broken in ["not JSON", "[]", r#"{"Statement":1}"#] {
            assert_eq!(wish("").added_to(Some(broken)), Err(NotAPolicy), "{broken}");
        }
    }
}
