//! The lifecycle rule that tidies up: of the rules that `lifecycle apply` writes the one that every bucket of backups needs.

use super::plan::{Left, LeftBecause, Wanted};
use crate::base::failure::{Failure, Kind, Result};
use crate::bucket::{Bucket, LifecycleDocument};
use crate::ops::Run;
use crate::ops::lifecycle::{self, Patience, Step, carry_out, is_own, plan_rules, read_rules};

/// Has unfinished uploads removed and, if asked for, older versions. Whatever else our rules say stays.
///
/// # Errors
/// As [`carry_out`].
pub(super) fn tidy(bucket: &Bucket, wanted: &Wanted, run: &Run) -> Result<()> {
    let before = read_rules(bucket)?;
    let mut rules = so_far(before.as_ref(), &wanted.folder);
    rules.noncurrent_days = rules.noncurrent_days.or(wanted.noncurrent_days);
    if rules.abort_days == 0 {
        rules.abort_days = wanted.abort_days;
    }
    let plan = plan_rules(before, Some(&rules), &wanted.folder)?;
    match plan.is_idle() {
        true => Ok(()),
        false => carry_out(bucket, &plan, Patience::default(), run),
    }
}

/// What our rules for the folder say by now.
fn so_far(document: Option<&LifecycleDocument>, folder: &str) -> lifecycle::Wanted {
    let mut wanted = lifecycle::Wanted::default();
    let rules = document.into_iter().flat_map(LifecycleDocument::rules);
    for rule in rules.filter(|rule| is_own(rule, folder)) {
        wanted.abort_days = wanted.abort_days.max(rule.abort_days.unwrap_or(0));
        wanted.noncurrent_days = wanted.noncurrent_days.or(rule.noncurrent_days);
        // Of the records and the data it is the records that are removed after the days that were asked for.
        if rule.above_bytes.is_none() {
            wanted.delete_days = wanted.delete_days.or(rule.expires_days);
        }
        wanted.steps.extend(rule.transitions.iter().filter_map(|transition| {
            Some(Step {
                days: transition.days?,
                class: transition.class.clone(),
            })
        }));
    }
    wanted
}

/// That the rule could not be written.
///
/// # Errors
/// What makes it pointless to go on.
pub(super) fn left(point: &'static str, failure: Failure, wanted: &Wanted) -> Result<Left> {
    let because = match failure.kind() {
        Kind::Interrupted | Kind::Unreachable => return Err(failure),
        Kind::Denied => LeftBecause::NotAllowed,
        Kind::Unsupported => LeftBecause::NotThere,
        _ => LeftBecause::Failed,
    };
    let hint = failure.hints().first().map(|hint| format!(". {hint}"));
    Ok(Left {
        point,
        because,
        why: format!("{}{}", failure.in_one_line(), hint.unwrap_or_default()),
        asked: wanted.noncurrent_days.is_some(),
    })
}
