//! A role that may do what a policy says, and that workflows or machines take by the tokens that they get: what stands of
//! it in the account is compared with what is wanted, and only what differs is written.
//!
//! What is not ours stays: further statements of what the role trusts, its other policies, tags and description, and the
//! other audiences of the provider. A policy that this tool wrote for other roles at the same place goes: the role is to be
//! what is asked for, and what the old policy refuses would stay refused.

use serde::Serialize;
use serde_json::Value;

use crate::base::failure::{Failure, Kind, Result};
use crate::bucket::iam::diff::{lines, same_meaning};
use crate::bucket::iam::policy::Document;
use crate::bucket::iam::service::IdentityService;
use crate::bucket::iam::{Place, Trust, TrustOptions};

mod beside;

pub use beside::{Beside, Refusing, Superseded};

/// What is wanted.
#[derive(Clone, Debug)]
pub struct Wanted {
    /// The account, twelve digits.
    pub account: String,
    /// The role.
    pub role: String,
    /// The name of its policy.
    pub policy_name: String,
    /// What it may do.
    pub policy: Document,
    /// What that is about.
    pub place: Place,
    /// Whose tokens it takes.
    pub trust: Trust,
    /// What stands around the trust.
    pub trust_options: TrustOptions,
}

impl Wanted {
    /// The provider's full name.
    #[must_use]
    pub fn provider_arn(&self) -> String {
        self.trust.provider_arn(&self.account, self.trust_options.partition)
    }

    fn audience(&self) -> String {
        self.trust.audience(&self.trust_options)
    }
}

/// What becomes of one thing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "step", rename_all = "lowercase")]
pub enum Step {
    /// It is as it should be.
    Stays,
    /// It is made.
    Made {
        /// The document, if it is one.
        document: Option<String>,
    },
    /// It is changed.
    Changed {
        /// What it will be, if it is a document.
        document: Option<String>,
        /// What differs, line by line.
        diff: Vec<String>,
    },
    /// It goes.
    Removed {
        /// What it was, line by line.
        diff: Vec<String>,
    },
}

impl Step {
    /// Whether there is anything to do.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        *self == Self::Stays
    }

    fn document(&self) -> Option<&str> {
        match self {
            Self::Stays | Self::Removed { .. } => None,
            Self::Made { document } | Self::Changed { document, .. } => document.as_deref(),
        }
    }
}

/// What would be done.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Plan {
    /// The provider of tokens.
    pub provider: Step,
    /// The role and what it trusts.
    pub role: Step,
    /// Its policy.
    pub policy: Step,
    /// What stands beside it of ours.
    pub beside: Beside,
    /// How many statements of what the role trusts are not ours and stay.
    pub foreign_statements: usize,
}

impl Plan {
    /// Whether there is nothing to do.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        self.provider.is_idle() && self.role.is_idle() && self.policy.is_idle() && self.beside.superseded.is_empty()
    }
}

/// Compares what stands with what is wanted; changes nothing.
///
/// # Errors
/// [`Kind::Denied`] without a permission; the service's failures; [`Kind::Refused`] if what the role trusts is no JSON.
pub fn plan(service: &IdentityService, wanted: &Wanted) -> Result<Plan> {
    let arn = wanted.provider_arn();
    let audience = wanted.audience();
    let provider = match service.provider_audiences(&arn)? {
        None => Step::Made { document: None },
        Some(audiences) if audiences.contains(&audience) => Step::Stays,
        Some(_) => Step::Changed {
            document: None,
            diff: vec![format!("+ audience {audience}")],
        },
    };
    let trusted = wanted.trust.document(&arn, &wanted.trust_options);
    let (role, foreign_statements) = match service.role(&wanted.role)? {
        None => (
            Step::Made {
                document: Some(trusted.to_json()?),
            },
            0,
        ),
        Some(found) => {
            let stands = parsed(&found.trust, &wanted.role)?;
            let (merged, foreign) = merge(&stands, &trusted)?;
            (change(&stands, &merged)?, foreign)
        }
    };
    let policy = match &role {
        Step::Made { .. } => None,
        _ => service.role_policy(&wanted.role, &wanted.policy_name)?,
    };
    let beside = match &role {
        Step::Made { .. } => Beside::default(),
        _ => beside::look(service, wanted)?,
    };
    let policy = match policy {
        None => Step::Made {
            document: Some(wanted.policy.to_json()?),
        },
        Some(stands) => {
            let stands = parsed(&stands, &wanted.role)?;
            change(&stands, &as_value(&wanted.policy)?)?
        }
    };
    Ok(Plan {
        provider,
        role,
        policy,
        beside,
        foreign_statements,
    })
}

/// Does what the plan says: first the provider, then the role that names it, then the policy, and at last what goes. A run
/// that breaks off leaves a role that may do less, and the next one goes on where it ended.
///
/// # Errors
/// The service's failures.
pub fn apply(service: &IdentityService, wanted: &Wanted, plan: &Plan) -> Result<()> {
    match &plan.provider {
        Step::Stays | Step::Removed { .. } => {}
        Step::Made { .. } => {
            let made = service.create_provider(&wanted.trust.url(), &wanted.audience());
            made.or_else(|failure| unless_ours(failure, service, wanted, |now| now.provider.is_idle()))?;
        }
        Step::Changed { .. } => service.add_audience(&wanted.provider_arn(), &wanted.audience())?,
    }
    if let Some(document) = plan.role.document() {
        match plan.role {
            Step::Made { .. } => {
                let made = service.create_role(&wanted.role, document, DESCRIPTION);
                made.or_else(|failure| unless_ours(failure, service, wanted, |now| now.role.is_idle()))?;
            }
            _ => service.set_trust(&wanted.role, document)?,
        }
    }
    if let Some(document) = plan.policy.document() {
        service.put_role_policy(&wanted.role, &wanted.policy_name, document)?;
    }
    for old in &plan.beside.superseded {
        service.delete_role_policy(&wanted.role, &old.name).map_err(|failure| {
            failure.hint(format!(
                "What `{}` refuses stays refused until it is gone: `{}`",
                old.name,
                beside::removal(&wanted.role, &old.name)
            ))
        })?;
    }
    Ok(())
}

/// What is there already when it is to be made may be what an attempt has made whose answer was lost: then it is as it is
/// wanted, and the failure is none.
fn unless_ours(
    failure: Failure,
    service: &IdentityService,
    wanted: &Wanted,
    is_as_wanted: impl FnOnce(&Plan) -> bool,
) -> Result<()> {
    if failure.kind() != Kind::Conflict {
        return Err(failure);
    }
    match is_as_wanted(&plan(service, wanted)?) {
        true => Ok(()),
        false => Err(failure),
    }
}

/// What a new role says it is.
const DESCRIPTION: &str = "Made by backup-cli iam apply";

/// The change from one document to another; nothing if they mean the same.
fn change(stands: &Value, wanted: &Value) -> Result<Step> {
    if same_meaning(stands, wanted) {
        return Ok(Step::Stays);
    }
    let document = pretty(wanted)?;
    Ok(Step::Changed {
        diff: lines(&pretty(stands)?, &document),
        document: Some(document),
    })
}

/// What the role is to trust: what it trusts now, with our statement in the place of the one of the same name, or behind
/// the others; and how many others there are.
fn merge(stands: &Value, wanted: &Document) -> Result<(Value, usize)> {
    let mut merged = stands.clone();
    let mut statements = match &stands["Statement"] {
        Value::Array(all) => all.clone(),
        Value::Null => Vec::new(),
        one => vec![one.clone()],
    };
    for ours in &wanted.statement {
        let value = as_value(ours)?;
        match statements
            .iter()
            .position(|statement| statement["Sid"] == ours.sid.as_str())
        {
            Some(at) => statements[at] = value,
            None => statements.push(value),
        }
    }
    let foreign = statements.len() - wanted.statement.len();
    merged["Statement"] = Value::Array(statements);
    Ok((merged, foreign))
}

fn parsed(json: &str, role: &str) -> Result<Value> {
    let wrong = || {
        Failure::new(
            Kind::Refused,
            format!("What the role `{role}` has for a document cannot be read"),
        )
        .hint("Look at it with `aws iam get-role`, or take another name with --role-name")
    };
    let value: Value = serde_json::from_str(json).map_err(|error| wrong().caused_by(error))?;
    match value.is_object() {
        true => Ok(value),
        false => Err(wrong()),
    }
}

fn as_value<T: Serialize>(document: &T) -> Result<Value> {
    serde_json::to_value(document).map_err(unwritten)
}

fn pretty(value: &Value) -> Result<String> {
    serde_json::to_string_pretty(value).map_err(unwritten)
}

fn unwritten(error: serde_json::Error) -> Failure {
    Failure::new(Kind::Failed, "Could not write a document").caused_by(error)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::bucket::iam::Partition;
    use crate::bucket::iam::trust::GithubSource;
    use serde_json::json;

    fn wanted() -> Document {
        let trust = Trust::Github {
            repository: "acme/web".to_owned(),
            from: GithubSource::Environment("prod".to_owned()),
        };
        let options = TrustOptions {
            partition: Partition::of_region("us-east-1"),
            audience: None,
        };
        trust.document("arn:aws:iam::210987654321:oidc-provider/x", &options)
    }

    #[test]
    fn statements_of_others_stay_where_they_are() {
        let others = json!({"Sid": "Ops", "Effect": "Allow", "Principal": {"AWS": "arn:aws:iam::2:root"}, "Action": "sts:AssumeRole"});
        let stale = json!({"Sid": "BackupCliTrustGithub", "Effect": "Allow"});
        let stands = json!({"Version": "2012-10-17", "Id": "x", "Statement": [stale, others]});
        let (merged, foreign) = merge(&stands, &wanted()).unwrap();
        assert_eq!(foreign, 1);
        assert_eq!(merged["Id"], "x");
        assert_eq!(merged["Statement"][1], others);
        assert_eq!(merged["Statement"][0], as_value(&wanted().statement[0]).unwrap());
        let Step::Changed { diff, .. } = change(&stands, &merged).unwrap() else {
            panic!("nothing has changed");
        };
        assert!(
            diff.iter()
                .any(|line| line.starts_with('+') && line.contains("repo:acme/web:environment:prod"))
        );
        assert!(diff.iter().all(|line| !line.starts_with('-') || !line.contains("Ops")));
        // Once it is there, it stays, in whatever way the service writes it.
        let (again, _) = merge(&merged, &wanted()).unwrap();
        assert_eq!(change(&merged, &again).unwrap(), Step::Stays);
        let mut single = as_value(&wanted()).unwrap();
        single["Statement"] = single["Statement"][0].clone();
        single["Statement"]["Action"] = json!("sts:AssumeRoleWithWebIdentity");
        let (merged, foreign) = merge(&single, &wanted()).unwrap();
        assert_eq!((change(&single, &merged).unwrap(), foreign), (Step::Stays, 0));
    }

    #[test]
    fn what_cannot_be_read_is_not_replaced() {
        for text in ["", "[]", "no JSON", "null"] {
            assert_eq!(parsed(text, "r").unwrap_err().kind(), Kind::Refused, "{text}");
        }
    }
}
