//! What a bucket does to backups as they age, by its own settings.

use crate::bucket::{Lifecycle, Reading, Versioning};
use crate::pricing::{Aging, AgingRule, Noncurrent, Step};

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

/// Adds what the rules do to what lies below the folder; returns after how many days they remove older versions.
fn add_rules(lifecycle: &Lifecycle, folder: &str, found: &mut AgingFound) -> Option<u64> {
    let mut noncurrent_days: Option<u64> = None;
    let mut is_part_left_out = false;
    for rule in &lifecycle.rules {
        // Sizes can be told of what is to come, tags and longer prefixes cannot.
        let is_whole = rule.is_enabled && rule.tags.is_empty() && folder.starts_with(&rule.prefix);
        if !is_whole {
            let says_something = !rule.transitions.is_empty() || rule.expires_days.is_some() || rule.expires_on_date;
            is_part_left_out |= rule.concerns(folder) && says_something;
            continue;
        }
        is_part_left_out |= rule.expires_on_date || rule.transitions.iter().any(|step| step.days.is_none());
        let step = |days: u32, class: &str| Step {
            after_days: u64::from(days),
            class: class.to_owned(),
        };
        let own = AgingRule {
            above_bytes: rule.above_bytes,
            below_bytes: rule.below_bytes,
            steps: rule
                .transitions
                .iter()
                .filter_map(|transition| Some(step(transition.days?, &transition.class)))
                .collect(),
            expires_after_days: rule.expires_days.map(u64::from),
        };
        if own != AgingRule::default() {
            found.aging.rules.push(own);
        }
        let days = rule.noncurrent_days.map(u64::from);
        noncurrent_days = noncurrent_days.into_iter().chain(days).min();
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bucket::{LifecycleRule, Transition};
    use crate::ops::lifecycle::{RECORD_BYTES_MAX, Step as Move, Wanted};

    fn rule(prefix: &str) -> LifecycleRule {
        LifecycleRule {
            is_enabled: true,
            prefix: prefix.to_owned(),
            ..LifecycleRule::default()
        }
    }

    #[test]
    fn rules_that_hold_for_all_of_the_folder_count_and_the_others_are_told() {
        let data = LifecycleRule {
            above_bytes: Some(1 << 20),
            transitions: vec![Transition {
                days: Some(30),
                class: "GLACIER".to_owned(),
            }],
            expires_days: Some(92),
            ..rule("backups/")
        };
        let versions = LifecycleRule {
            noncurrent_days: Some(7),
            ..rule("")
        };
        let tagged = LifecycleRule {
            tags: vec![("a".to_owned(), "b".to_owned())],
            expires_days: Some(1),
            ..rule("")
        };
        let elsewhere = LifecycleRule {
            expires_days: Some(1),
            ..rule("logs/")
        };
        let off = LifecycleRule {
            is_enabled: false,
            expires_days: Some(1),
            ..rule("")
        };
        let of = |rules: Vec<LifecycleRule>| {
            let lifecycle = Reading::Is(Lifecycle {
                rules,
                spares_small_objects: true,
            });
            let versioning = Reading::Is(Versioning {
                is_enabled: true,
                needs_second_factor: false,
            });
            aging_of_bucket(&lifecycle, &versioning, "backups/", false)
        };
        let found = of(vec![data.clone(), versions.clone(), elsewhere, off]);
        assert!(found.notes.is_empty(), "{:?}", found.notes);
        assert_eq!(found.aging.rules.len(), 1);
        assert_eq!(found.aging.rules[0].above_bytes, Some(1 << 20));
        assert_eq!(found.aging.expires_after_days(), Some(92));
        assert_eq!(found.aging.noncurrent, Noncurrent::Days(7));
        assert_eq!(found.aging.moves_from_bytes, 131_072);
        let found = of(vec![data, tagged]);
        assert_eq!(found.notes.len(), 1, "{:?}", found.notes);
        assert_eq!(found.aging.noncurrent, Noncurrent::Forever);
        let unread = aging_of_bucket(
            &Reading::NotAllowed {
                permission: "s3:GetLifecycleConfiguration",
            },
            &Reading::NotConfigured,
            "backups/",
            false,
        );
        assert!(unread.notes[0].contains("s3:GetLifecycleConfiguration"), "{unread:?}");
        assert!(!unread.has_versions);
    }

    #[test]
    fn the_rules_of_the_tool_itself_are_understood() {
        let wanted = Wanted {
            steps: vec![Move {
                days: 30,
                class: "GLACIER_IR".to_owned(),
            }],
            delete_days: Some(90),
            noncurrent_days: None,
            abort_days: 7,
        };
        let lifecycle = Reading::Is(Lifecycle {
            rules: wanted.rules("backups/"),
            spares_small_objects: true,
        });
        let found = aging_of_bucket(&lifecycle, &Reading::NotConfigured, "backups/", false);
        assert!(found.notes.is_empty(), "{:?}", found.notes);
        let [records, data] = found.aging.rules.as_slice() else {
            panic!("{found:?}")
        };
        assert_eq!(
            (records.below_bytes, records.expires_after_days, records.steps.len()),
            (Some(RECORD_BYTES_MAX + 1), Some(90), 0)
        );
        assert_eq!(
            (data.above_bytes, data.expires_after_days, data.steps[0].after_days),
            (Some(RECORD_BYTES_MAX), Some(92), 30)
        );
    }
}
