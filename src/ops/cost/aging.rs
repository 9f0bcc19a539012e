//! What a bucket does to backups as they age, by its own settings.

use crate::bucket::{Lifecycle, Reading, Versioning};
use crate::ops::lifecycle::is_own;
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
        let is_for_all_keys = rule.is_enabled && rule.tags.is_empty() && folder.starts_with(&rule.prefix);
        // What is small beside data, and is removed by a rule of its own, hardly shows in a bill.
        if is_for_all_keys && rule.below_bytes.is_some() && is_own(rule, folder) {
            continue;
        }
        // Data is what is above a size, if any is named.
        if !is_for_all_keys || rule.below_bytes.is_some() {
            let says_something = !rule.transitions.is_empty() || rule.expires_days.is_some() || rule.expires_on_date;
            is_part_left_out |= rule.concerns(folder) && says_something;
            continue;
        }
        if let Some(above) = rule.above_bytes.filter(|_| !rule.transitions.is_empty()) {
            found.aging.moves_from_bytes = found.aging.moves_from_bytes.max(above.saturating_add(1));
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
        found.aging.moves_from_bytes = found.aging.moves_from_bytes.max(SPARED_BELOW_BYTES);
    }
    if is_part_left_out {
        found.notes.push(
            "Lifecycle rules of the bucket that hold for some of the backups only, or on a date, are left out."
                .to_owned(),
        );
    }
    noncurrent_days
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::bucket::LifecycleRule;
    use crate::ops::lifecycle::{RECORD_BYTES_MAX, Step as Move, Wanted};

    fn found(rules: Vec<LifecycleRule>) -> AgingFound {
        let lifecycle = Lifecycle {
            rules,
            spares_small_objects: true,
        };
        aging_of_bucket(&Reading::Is(lifecycle), &Reading::NotConfigured, "backups/", false)
    }

    #[test]
    fn the_rules_of_the_tool_itself_are_understood() {
        let wanted = Wanted {
            steps: vec![Move::parse("30:GLACIER_IR").unwrap()],
            delete_days: Some(90),
            noncurrent_days: None,
            abort_days: 7,
        };
        let found = found(wanted.rules("backups/"));
        assert!(found.notes.is_empty(), "{:?}", found.notes);
        assert_eq!(found.aging.expires_after_days, Some(92));
        assert_eq!(found.aging.moves_from_bytes, RECORD_BYTES_MAX + 1);
        assert_eq!((found.aging.steps.len(), found.aging.steps[0].after_days), (1, 30));
    }

    #[test]
    fn rules_for_a_part_are_left_out_and_it_is_said() {
        let rule = LifecycleRule {
            is_enabled: true,
            expires_days: Some(5),
            ..LifecycleRule::default()
        };
        let parts = [
            LifecycleRule {
                prefix: "backups/2026".to_owned(),
                ..rule.clone()
            },
            LifecycleRule {
                below_bytes: Some(9),
                ..rule.clone()
            },
            LifecycleRule {
                tags: vec![("k".to_owned(), "v".to_owned())],
                ..rule.clone()
            },
        ];
        for part in parts {
            let found = found(vec![part]);
            assert_eq!((found.aging.expires_after_days, found.notes.len()), (None, 1));
        }
        assert_eq!(found(vec![rule]).aging.expires_after_days, Some(5));
    }
}
