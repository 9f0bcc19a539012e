//! What else a role may do, and may not: the policies that this tool gave it for other roles.
//!
//! A policy of the writer refuses to remove anything, whatever others grant. Under the name of a role that has become another
//! one such a policy has to go; one of another store, or that somebody has changed, is theirs to judge.

use serde::Serialize;
use serde_json::Value;

use super::{Step, Wanted, parsed, pretty};
use crate::base::failure::{Kind, Result};
use crate::bucket::iam::policy::OWN_SID;
use crate::bucket::iam::service::IdentityService;
use crate::bucket::iam::{Place, is_policy_name};

/// A policy of ours for other roles at the same place, which goes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Superseded {
    /// Its name.
    pub name: String,
    /// What becomes of it.
    #[serde(flatten)]
    pub step: Step,
}

/// A policy that stays beside ours, and refuses something here.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Refusing {
    /// Its name.
    pub name: String,
    /// The permissions that nobody has while it is there.
    pub refuses: Vec<String>,
    /// The command that removes it.
    pub remove: String,
}

/// What stands beside the policy that is wanted.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Beside {
    /// What goes.
    pub superseded: Vec<Superseded>,
    /// What stays and is told.
    pub refusing: Vec<Refusing>,
    /// The permission without which nobody could look.
    pub not_looked: Option<&'static str>,
}

/// Looks at the role's policies with names that this tool gives.
///
/// # Errors
/// The service's failures; that listing is not allowed is none.
pub(super) fn look(service: &IdentityService, wanted: &Wanted) -> Result<Beside> {
    let mut beside = Beside::default();
    let names = match service.role_policies(&wanted.role) {
        Ok(names) => names,
        Err(failure) if failure.kind() == Kind::Denied => {
            beside.not_looked = Some("iam:ListRolePolicies");
            return Ok(beside);
        }
        Err(failure) => return Err(failure),
    };
    let others = names.into_iter().filter(|name| *name != wanted.policy_name);
    for name in others.filter(|name| is_policy_name(name)) {
        // It may have gone in the meantime.
        let Some(document) = service.role_policy(&wanted.role, &name)? else {
            continue;
        };
        let document = parsed(&document, &wanted.role)?;
        if is_ours_for(&document, &wanted.place) {
            let lines = pretty(&document)?;
            let diff = lines.lines().map(|line| format!("- {line}")).collect();
            beside.superseded.push(Superseded {
                name,
                step: Step::Removed { diff },
            });
            continue;
        }
        let refuses = refused_at(&document, &wanted.place);
        if !refuses.is_empty() {
            beside.refusing.push(Refusing {
                remove: removal(&wanted.role, &name),
                name,
                refuses,
            });
        }
    }
    Ok(beside)
}

/// The command that removes a policy.
pub(super) fn removal(role: &str, policy: &str) -> String {
    format!("aws iam delete-role-policy --role-name {role} --policy-name {policy}")
}

/// Whether a policy is as this tool writes it, for this bucket and prefix and nothing else.
fn is_ours_for(document: &Value, place: &Place) -> bool {
    let all = statements(document);
    let is_own = |statement: &&Value| {
        let sid = statement["Sid"].as_str().unwrap_or_default();
        sid.starts_with(OWN_SID)
    };
    let whole = format!("{}*", place.objects);
    let resources: Vec<&str> = all.iter().flat_map(|statement| texts(&statement["Resource"])).collect();
    let is_here = |resource: &&str| {
        // The key's own statement says for which objects it is used.
        resource.contains(":kms:") || **resource == place.bucket || resource.starts_with(&place.objects)
    };
    !all.is_empty() && all.iter().all(is_own) && resources.contains(&whole.as_str()) && resources.iter().all(is_here)
}

/// What a policy refuses in the bucket.
fn refused_at(document: &Value, place: &Place) -> Vec<String> {
    let within = format!("{}/", place.bucket);
    let is_here = |resource: &&str| *resource == "*" || *resource == place.bucket || resource.starts_with(&within);
    let mut refused: Vec<String> = Vec::new();
    for statement in statements(document) {
        let is_refusal = statement["Effect"] == "Deny";
        if !is_refusal || !texts(&statement["Resource"]).iter().any(is_here) {
            continue;
        }
        for action in texts(&statement["Action"]) {
            if !refused.iter().any(|known| known == action) {
                refused.push(action.to_owned());
            }
        }
    }
    refused
}

/// A list, or the one that stands for it.
fn statements(document: &Value) -> Vec<&Value> {
    match &document["Statement"] {
        Value::Array(all) => all.iter().collect(),
        Value::Null => Vec::new(),
        one => vec![one],
    }
}

fn texts(value: &Value) -> Vec<&str> {
    match value {
        Value::Array(all) => all.iter().filter_map(Value::as_str).collect(),
        Value::String(one) => vec![one],
        _ => Vec::new(),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::bucket::iam::{Partition, PolicyOptions, Role, policy};
    use serde_json::json;

    fn options(bucket: &str, prefix: &str) -> PolicyOptions {
        PolicyOptions {
            bucket: bucket.to_owned(),
            prefix: prefix.to_owned(),
            partition: Partition::of_region("us-east-1"),
            kms_key: Some("arn:aws:kms:us-east-1:210987654321:key/1".to_owned()),
            tags: false,
            locks: false,
            purges_versions: false,
            reads_back: false,
            replaces: false,
        }
    }

    fn document(role: Role, options: &PolicyOptions) -> Value {
        serde_json::to_value(policy(&[role], options).unwrap()).unwrap()
    }

    #[test]
    fn only_what_this_tool_wrote_for_this_place_goes() {
        for prefix in ["", "web"] {
            let here = options("b", prefix);
            let place = here.place();
            for role in Role::ALL {
                assert!(is_ours_for(&document(role, &here), &place), "{role:?} {prefix}");
                for elsewhere in [options("b", "web/deeper"), options("b", "other"), options("bb", prefix)] {
                    let theirs = document(role, &elsewhere);
                    assert!(!is_ours_for(&theirs, &place), "{role:?} {elsewhere:?}");
                }
                let mut edited = document(role, &here);
                let own = json!({"Sid": "Mine", "Effect": "Allow", "Action": "s3:*", "Resource": place.bucket});
                edited["Statement"].as_array_mut().unwrap().push(own);
                assert!(!is_ours_for(&edited, &place), "{role:?}");
            }
            assert!(!is_ours_for(&json!({}), &place));
        }
    }

    #[test]
    fn what_stays_is_told_if_it_refuses_something_here() {
        let place = options("b", "web").place();
        let other_bucket = document(Role::Writer, &options("bb", "web"));
        assert_eq!(refused_at(&other_bucket, &place), [""; 0]);
        // Another prefix of the bucket: the rules of the bucket are one for all.
        let other_prefix = document(Role::Writer, &options("b", "x"));
        assert!(refused_at(&other_prefix, &place).contains(&"s3:PutLifecycleConfiguration".to_owned()));
        let single = json!({"Statement": {"Effect": "Deny", "Action": "s3:DeleteObject", "Resource": "*"}});
        assert_eq!(refused_at(&single, &place), ["s3:DeleteObject"]);
        let allowed = json!({"Statement": {"Effect": "Allow", "Action": "s3:DeleteObject", "Resource": "*"}});
        assert_eq!(refused_at(&allowed, &place), [""; 0]);
    }
}
