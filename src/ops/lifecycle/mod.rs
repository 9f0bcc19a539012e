//! The lifecycle of a bucket: rules of ours are put beside those of others, and taken away again.
//!
//! A write replaces all rules, and S3 has nothing that would refuse it if somebody else has written meanwhile. So the rules
//! are read once more right before, and compared right after; what lies between is left to people.

use std::time::Duration;

use super::Run;
use crate::base::failure::{Failure, Kind, Result};
use crate::bucket::{Bucket, Deviation, LifecycleDocument, Reading, Refusal, Why};

mod classes;
mod expiry;
mod own;
mod plan;
mod remarks;
mod words;

pub use expiry::{Expiry, archiving, expiry, freezes_records, tearing};
pub use own::{ABORT_DAYS_MIN, DATA_OUTLIVES_DAYS, DAYS_MAX, Owner, RECORD_BYTES_MAX, Step, Wanted, is_own, owner};
pub use plan::{Change, LifecyclePlan, RuleChange, plan_rules};
pub use remarks::{Beside, Remarks, remarks};
pub use words::{actions, in_days, scope, sentence};

/// How long a bucket may go on showing its old rules: settings of a bucket are not seen everywhere at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Patience {
    /// The first wait; each further one is twice as long.
    pub first: Duration,
    /// How often to look in all.
    pub looks: u32,
}

impl Default for Patience {
    /// Eight seconds in all.
    fn default() -> Self {
        Self {
            first: Duration::from_millis(250),
            looks: 6,
        }
    }
}

/// The rules as they stand; `None` if the bucket has none.
///
/// # Errors
/// Whatever keeps them from being read: who does not know what is there must not replace it.
pub fn read_rules(bucket: &Bucket) -> Result<Option<LifecycleDocument>> {
    match bucket.lifecycle_document() {
        Reading::Is(document) => Ok(Some(document)),
        Reading::NotConfigured => Ok(None),
        Reading::NotSupported => Err(Failure::new(
            Kind::Unsupported,
            format!("The server of `s3://{}` has no lifecycle rules", bucket.name()),
        )
        .hint("Let `backup-cli prune` remove backups, and `backup-cli cleanup` unfinished uploads")),
        Reading::NotAllowed { permission } => Err(Failure::new(
            Kind::Denied,
            format!("Could not read the lifecycle rules of `s3://{}`", bucket.name()),
        )
        .hint(format!(
            "The credentials need the permission {permission} on `arn:aws:s3:::{}`",
            bucket.name()
        ))),
        Reading::Failed(failure) => Err(failure),
    }
}

/// Writes what was planned, and looks whether it holds.
///
/// # Errors
/// [`Kind::Refused`] if the rules are not those any more that the plan was made from; [`Kind::Denied`] without the
/// permission; [`Kind::Failed`] if what the bucket shows afterwards is not what was written.
pub fn carry_out(bucket: &Bucket, plan: &LifecyclePlan, patience: Patience, run: &Run) -> Result<()> {
    run.cancel.check()?;
    if !is_as(&read_rules(bucket)?, &plan.before, plan) {
        return Err(Failure::new(
            Kind::Refused,
            format!(
                "Somebody else has changed the lifecycle rules of `s3://{}` meanwhile, so nothing was written",
                bucket.name()
            ),
        )
        .hint("Run this again: it starts from the rules that are there now"));
    }
    run.cancel.check()?;
    let written = match plan.leaves_nothing() {
        true => bucket.delete_lifecycle(),
        false => bucket.put_lifecycle(&plan.after),
    };
    if let Err(refusal) = written {
        return after_refusal(bucket, plan, refusal);
    }
    read_back(bucket, plan, patience, run)
}

/// What the plan leads to; `None` for no rules at all.
fn goal(plan: &LifecyclePlan) -> Option<&LifecycleDocument> {
    (!plan.leaves_nothing()).then_some(&plan.after)
}

fn deviations(
    wanted: Option<&LifecycleDocument>,
    found: Option<&LifecycleDocument>,
    plan: &LifecyclePlan,
) -> Vec<Deviation> {
    let empty = LifecycleDocument::empty();
    wanted
        .unwrap_or(&empty)
        .deviations(found.unwrap_or(&empty), |rule| is_own(rule, &plan.folder))
}

fn is_as(found: &Option<LifecycleDocument>, wanted: &Option<LifecycleDocument>, plan: &LifecyclePlan) -> bool {
    deviations(wanted.as_ref(), found.as_ref(), plan).is_empty()
}

/// A write that failed may have been done all the same, if it was the answer that got lost.
fn after_refusal(bucket: &Bucket, plan: &LifecyclePlan, refusal: Refusal) -> Result<()> {
    if !matches!(refusal.why, Why::Unreachable | Why::NoStore) {
        let old: Vec<&str> = plan.after.of_old_form().collect();
        return Err(match (refusal.why, old.as_slice()) {
            (Why::Rejected, [_, ..]) => refusal.failure.hint(format!(
                "Rules of the older form, whose prefix is not in a filter, are not taken beside newer ones by AWS; write anew with a filter: `{}`",
                old.join("`, `")
            )),
            _ => refusal.failure,
        });
    }
    match read_rules(bucket) {
        Ok(found) if deviations(goal(plan), found.as_ref(), plan).is_empty() => Ok(()),
        Ok(found) if is_as(&found, &plan.before, plan) => {
            Err(refusal.failure.hint("The rules are as they were; run this again"))
        }
        _ => Err(refusal.failure.hint(
            "Nobody knows whether the rules were written: look with `backup-cli lifecycle show`, then run this again",
        )),
    }
}

fn read_back(bucket: &Bucket, plan: &LifecyclePlan, patience: Patience, run: &Run) -> Result<()> {
    let mut pause = patience.first;
    let mut looks = 0;
    loop {
        let found = read_rules(bucket).map_err(|failure| {
            failure.context(format!(
                "The lifecycle rules of `s3://{}` were written, and could not be read again to compare them",
                bucket.name()
            ))
        })?;
        let deviations = deviations(goal(plan), found.as_ref(), plan);
        if deviations.is_empty() {
            return Ok(());
        }
        looks += 1;
        // Rules that are neither the old nor the new ones do not become right by waiting.
        if looks >= patience.looks || !is_as(&found, &plan.before, plan) {
            return Err(not_as_written(bucket, &deviations));
        }
        wait(pause, run)?;
        pause *= 2;
    }
}

fn not_as_written(bucket: &Bucket, deviations: &[Deviation]) -> Failure {
    let told: Vec<String> = deviations
        .iter()
        .map(|deviation| match deviation {
            Deviation::Missing(id) => format!("`{id}` is missing"),
            Deviation::Unexpected(id) => format!("`{id}` was not written"),
            Deviation::Different(id) => format!("`{id}` says something else"),
        })
        .collect();
    Failure::new(
        Kind::Failed,
        format!(
            "The lifecycle rules of `s3://{}` are not those that were written",
            bucket.name()
        ),
    )
    .caused_by(anyhow::anyhow!("{}", told.join("; ")))
    .hint(
        "Somebody else may have written rules in the same moment (S3 has no way to refuse that), or the server does not keep all of a rule: look with `backup-cli lifecycle show`, then run this again, or take ours away with `backup-cli lifecycle remove`",
    )
}

/// Sleeps, unless the run is asked to stop.
fn wait(pause: Duration, run: &Run) -> Result<()> {
    let (wake, woken) = crossbeam_channel::bounded::<()>(1);
    let _guard = run.cancel.on_cancel(move || drop(wake));
    let _ = woken.recv_timeout(pause);
    run.cancel.check()
}
