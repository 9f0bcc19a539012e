//! The answers of `lifecycle` for programs.

use serde::Serialize;

use super::bill::Estimate;
use crate::bucket::LifecycleRule;
use crate::ops::lifecycle::{Change, Owner, RuleChange, actions};

/// The word for whose a rule is.
pub(super) fn owner_word(owner: Owner) -> &'static str {
    match owner {
        Owner::Ours => "ours",
        Owner::OtherPrefix => "other-prefix",
        Owner::Foreign => "foreign",
    }
}

/// The answer of `apply` and `remove` for programs.
#[derive(Serialize)]
pub(super) struct Document<'a> {
    pub(super) bucket: &'a str,
    pub(super) prefix: &'a str,
    /// Whether it was written.
    pub(super) changed: bool,
    pub(super) changes: Vec<ChangeDocument<'a>>,
    pub(super) warnings: &'a [String],
    pub(super) notes: &'a [String],
    /// The estimated bill; `null` where there is nothing to do, or no estimate.
    pub(super) cost: Option<&'a Estimate>,
}

#[derive(Serialize)]
pub(super) struct ChangeDocument<'a> {
    pub(super) id: &'a str,
    pub(super) change: &'static str,
    pub(super) owner: &'static str,
    pub(super) before: Option<RuleDocument<'a>>,
    pub(super) after: Option<RuleDocument<'a>>,
}

impl<'a> ChangeDocument<'a> {
    pub(super) fn of(change: &'a RuleChange) -> Self {
        Self {
            id: change.id(),
            change: match change.change {
                Change::Added => "add",
                Change::Changed => "change",
                Change::Removed => "remove",
                Change::Kept => "keep",
            },
            owner: owner_word(change.owner),
            before: change.before.as_ref().map(RuleDocument::of),
            after: change.after.as_ref().map(RuleDocument::of),
        }
    }
}

/// The answer of `show` for programs.
#[derive(Serialize)]
pub(super) struct ShowDocument<'a> {
    pub(super) bucket: &'a str,
    pub(super) prefix: &'a str,
    pub(super) spares_small_objects: bool,
    pub(super) rules: Vec<ShownRule<'a>>,
}

#[derive(Serialize)]
pub(super) struct ShownRule<'a> {
    #[serde(flatten)]
    pub(super) rule: RuleDocument<'a>,
    pub(super) owner: &'static str,
    /// The rule to the byte.
    pub(super) xml: &'a str,
}

/// A rule for programs, as far as this version understands it.
#[derive(Serialize)]
pub(super) struct RuleDocument<'a> {
    pub(super) id: &'a str,
    pub(super) enabled: bool,
    pub(super) prefix: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) above_bytes: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) below_bytes: Option<u64>,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    pub(super) tags: &'a [(String, String)],
    /// What it does, in words.
    pub(super) does: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) transitions: Vec<StepDocument<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) delete_days: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) noncurrent_days: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) abort_days: Option<u32>,
}

#[derive(Serialize)]
pub(super) struct StepDocument<'a> {
    pub(super) days: Option<u32>,
    pub(super) class: &'a str,
}

impl<'a> RuleDocument<'a> {
    pub(super) fn of(rule: &'a LifecycleRule) -> Self {
        Self {
            id: &rule.id,
            enabled: rule.is_enabled,
            prefix: &rule.prefix,
            above_bytes: rule.above_bytes,
            below_bytes: rule.below_bytes,
            tags: &rule.tags,
            does: actions(rule),
            transitions: rule
                .transitions
                .iter()
                .map(|step| StepDocument {
                    days: step.days,
                    class: &step.class,
                })
                .collect(),
            delete_days: rule.expires_days,
            noncurrent_days: rule.noncurrent_days,
            abort_days: rule.abort_days,
        }
    }
}
