//! What a bucket does to backups as they age, by its own settings.

use crate::bucket::{Lifecycle, Reading, Versioning};
use crate::pricing::{Aging, Noncurrent, Step};

/// Objects below this length stay in their class, where a bucket spares small ones.
const SPARED_BELOW_BYTES: u64 = 128 << 10;

/// What a bucket does, and what could not be learnt or is left out.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AgingFound {
    /// What it does.
    pub aging: Aging,
    /// Whether there may be older versions.
    pub has_versions: bool,
    /// What the user should know, in full sentences.
    pub notes: Vec<String>,
}

/// What a bucket does to what begins with `folder`. With `purges_versions` prune leaves no older versions.
#[must_use]
pub fn aging_of_bucket(
    lifecycle: &Reading<Lifecycle>,
    versioning: &Reading<Versioning>,
    folder: &str,
    purges_versions: bool,
) -> AgingFound {
    let mut found = AgingFound::default();
    let mut noncurrent_days = None;
    match lifecycle {
        Reading::Is(lifecycle) => {
            noncurrent_days = add_rules(lifecycle, folder, &mut found);
        }
        Reading::NotConfigured | Reading::NotSupported => {}
        Reading::NotAllowed { permission } => found.notes.push(format!(
            "The bucket's lifecycle rules are left out, because {permission} is not allowed."
        )),
        Reading::Failed(failure) => found.notes.push(format!(
            "The bucket's lifecycle rules are left out: {}.",
            failure.message()
        )),
    }
    match versioning {
        // What is suspended may have left versions, and makes no more.
        Reading::Is(versioning) => {
            found.has_versions = true;
            found.aging.noncurrent = match (versioning.is_enabled && !purges_versions, noncurrent_days) {
                (false, _) => Noncurrent::Gone,
                (true, Some(days)) => Noncurrent::Days(days),
                (true, None) => Noncurrent::Forever,
            };
        }
        Reading::NotConfigured | Reading::NotSupported => {}
        Reading::NotAllowed { permission } => found.notes.push(format!(
            "Old versions are not looked for, because {permission} is not allowed."
        )),
        Reading::Failed(failure) => found
            .notes
            .push(format!("Old versions are not looked for: {}.", failure.message())),
    }
    found
}

/// Adds what the rules do to everything below the folder; returns after how many days they remove older versions.
fn add_rules(lifecycle: &Lifecycle, folder: &str, found: &mut AgingFound) -> Option<u64> {
    let mut noncurrent_days: Option<u64> = None;
    let mut is_part_left_out = false;
    for rule in &lifecycle.rules {
        if !rule.covers(folder) {
            let says_something = !rule.transitions.is_empty() || rule.expires_days.is_some() || rule.expires_on_date;
            is_part_left_out |= rule.concerns(folder) && says_something;
            continue;
        }
        for transition in &rule.transitions {
            match transition.days {
                Some(days) => found.aging.steps.push(Step {
                    after_days: u64::from(days),
                    class: transition.class.clone(),
                }),
                None => is_part_left_out = true,
            }
        }
        let earlier = |known: Option<u64>, days: Option<u32>| {
            let days = days.map(u64::from);
            known.into_iter().chain(days).min()
        };
        found.aging.expires_after_days = earlier(found.aging.expires_after_days, rule.expires_days);
        noncurrent_days = earlier(noncurrent_days, rule.noncurrent_days);
    }
    if lifecycle.spares_small_objects {
        found.aging.moves_from_bytes = SPARED_BELOW_BYTES;
    }
    if is_part_left_out {
        found.notes.push(
            "Lifecycle rules of the bucket that hold for some of the backups only, or on a date, are left out."
                .to_owned(),
        );
    }
    noncurrent_days
}
