//! What the rules of a bucket, all taken together, make of the backups under a prefix.

use super::classes::class;
use super::own::{Owner, RECORD_BYTES_MAX, is_own, owner};
use crate::bucket::{Lifecycle, LifecycleRule, Transition};

/// Manifests are larger than this only if very many items could not be read; S3's own line for small objects, too.
const SMALL_BYTES: u64 = 128 * 1024;

/// When backups are removed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expiry<'a> {
    /// Never.
    Never,
    /// On a day that this rule sets, however new they are.
    OnDate(&'a LifecycleRule),
    /// Some objects sooner than others, by this rule, so that a manifest may outlive its data, or the other way round.
    Apart(&'a LifecycleRule),
    /// After so many days, the manifest not later than the data.
    After(&'a LifecycleRule, u32),
}

/// When the rules remove what begins with `folder`.
#[must_use]
pub fn expiry<'a>(lifecycle: &'a Lifecycle, folder: &str) -> Expiry<'a> {
    let removing = removing(lifecycle, folder);
    if let Some(rule) = removing.iter().find(|rule| rule.expires_on_date) {
        return Expiry::OnDate(rule);
    }
    if let Some(rule) = removing.iter().find(|rule| is_partial(rule, folder)) {
        return Expiry::Apart(rule);
    }
    of_whole(&removing)
}

/// Every rule that removes on a day that is set, however new backups are.
#[must_use]
pub fn dated<'a>(lifecycle: &'a Lifecycle, folder: &str) -> Vec<&'a LifecycleRule> {
    let mut dated = removing(lifecycle, folder);
    dated.retain(|rule| rule.expires_on_date);
    dated
}

/// Every rule of others that removes some objects sooner than the rest, so that it can tear a backup apart: those for a tag
/// or a part of the keys, each by itself, and those for some sizes if they do not belong together.
#[must_use]
pub fn tearing<'a>(lifecycle: &'a Lifecycle, folder: &str) -> Vec<&'a LifecycleRule> {
    let (mut tearing, whole): (Vec<_>, Vec<_>) = removing(lifecycle, folder)
        .into_iter()
        .filter(|rule| !rule.expires_on_date)
        .partition(|rule| is_partial(rule, folder));
    if matches!(of_whole(&whole), Expiry::Apart(_)) {
        tearing.extend(whole.into_iter().filter(|rule| rule.is_narrowed()));
    }
    tearing.retain(|rule| !is_own(rule, folder));
    tearing
}

/// The rules that remove anything that begins with `folder`.
fn removing<'a>(lifecycle: &'a Lifecycle, folder: &str) -> Vec<&'a LifecycleRule> {
    lifecycle
        .rules
        .iter()
        .filter(|rule| rule.concerns(folder) && (rule.expires_days.is_some() || rule.expires_on_date))
        // Those of a store below this one hold its backups together by themselves.
        .filter(|rule| folder.starts_with(&rule.prefix) || owner(rule, folder) != Owner::OtherPrefix)
        .collect()
}

/// Whether a rule is for some objects only, by something other than their sizes.
fn is_partial(rule: &LifecycleRule, folder: &str) -> bool {
    !rule.tags.is_empty() || !folder.starts_with(&rule.prefix)
}

/// What rules come to that are for all keys, of all sizes or of some.
fn of_whole<'a>(removing: &[&'a LifecycleRule]) -> Expiry<'a> {
    let Some((rule, days)) = removing
        .iter()
        .filter_map(|rule| Some((*rule, rule.expires_days?)))
        .min_by_key(|(_, days)| *days)
    else {
        return Expiry::Never;
    };
    // Each size at which another rule begins or ends, and what is removed of it.
    let mut sizes: Vec<u64> = removing
        .iter()
        .flat_map(|rule| [rule.above_bytes.map(|bytes| bytes.saturating_add(1)), rule.below_bytes])
        .flatten()
        .chain([0])
        .collect();
    sizes.sort_unstable();
    let after = |size: u64| {
        removing
            .iter()
            .filter(|rule| rule.above_bytes.is_none_or(|bytes| size > bytes))
            .filter(|rule| rule.below_bytes.is_none_or(|bytes| size < bytes))
            .filter_map(|rule| rule.expires_days)
            .min()
    };
    let together = sizes
        .iter()
        .all(|size| match (after(*size), *size <= RECORD_BYTES_MAX) {
            (Some(found), true) => found == days,
            (Some(found), false) => found >= days,
            (None, _) => false,
        });
    match together {
        true => Expiry::After(rule, days),
        false => Expiry::Apart(removing.iter().copied().find(|rule| rule.is_narrowed()).unwrap_or(rule)),
    }
}

/// The first move into an archive of something that begins with `folder`.
#[must_use]
pub fn archiving<'a>(lifecycle: &'a Lifecycle, folder: &str) -> Option<(&'a LifecycleRule, &'a Transition)> {
    let moving = |rule: &&LifecycleRule| rule.concerns(folder);
    lifecycle
        .rules
        .iter()
        .filter(moving)
        // What would take manifests along is worth more words than what would not.
        .max_by_key(|rule| archive_step(rule).is_some().then(|| freezes_records(lifecycle, rule)))
        .and_then(|rule| Some((rule, archive_step(rule)?)))
}

/// Whether a rule's move takes manifests along, so that they cannot be read any more.
#[must_use]
pub fn freezes_records(lifecycle: &Lifecycle, rule: &LifecycleRule) -> bool {
    let is_for_large_ones = rule.above_bytes.is_some_and(|bytes| bytes >= SMALL_BYTES);
    archive_step(rule).is_some() && !is_for_large_ones && rule.tags.is_empty() && !lifecycle.spares_small_objects
}

fn archive_step(rule: &LifecycleRule) -> Option<&Transition> {
    rule.transitions
        .iter()
        .find(|step| class(&step.class).is_some_and(|class| class.is_archive))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::super::own::Wanted;
    use super::*;

    fn rule(prefix: &str, days: u32, above: Option<u64>, below: Option<u64>) -> LifecycleRule {
        LifecycleRule {
            id: "r".to_owned(),
            is_enabled: true,
            prefix: prefix.to_owned(),
            above_bytes: above,
            below_bytes: below,
            expires_days: Some(days),
            ..LifecycleRule::default()
        }
    }

    fn of(rules: Vec<LifecycleRule>) -> String {
        let lifecycle = Lifecycle {
            rules,
            spares_small_objects: false,
        };
        match expiry(&lifecycle, "backups/") {
            Expiry::Never => "never".to_owned(),
            Expiry::OnDate(_) => "on a date".to_owned(),
            Expiry::Apart(_) => "apart".to_owned(),
            Expiry::After(_, days) => format!("after {days}"),
        }
    }

    #[test]
    fn what_tears_backups_apart_is_told_from_what_does_not() {
        const T: u64 = RECORD_BYTES_MAX;
        assert_eq!(of(Vec::new()), "never");
        assert_eq!(of(vec![rule("backups/", 9, None, None)]), "after 9");
        assert_eq!(
            of(vec![rule("", 9, None, None), rule("backups/", 5, None, None)]),
            "after 5"
        );
        assert_eq!(of(vec![rule("logs/", 1, None, None)]), "never");
        // One size only; a part of the keys; a tag.
        assert_eq!(of(vec![rule("", 9, Some(T), None)]), "apart");
        assert_eq!(of(vec![rule("", 9, None, Some(T + 1))]), "apart");
        assert_eq!(of(vec![rule("backups/2026", 9, None, None)]), "apart");
        let tagged = LifecycleRule {
            tags: vec![("k".to_owned(), "v".to_owned())],
            ..rule("", 9, None, None)
        };
        assert_eq!(of(vec![tagged]), "apart");
        // The sizes together, data not before manifests, and nothing between them left out.
        let two = |small, large, above, below| {
            of(vec![
                rule("", small, None, Some(below)),
                rule("", large, Some(above), None),
            ])
        };
        assert_eq!(two(9, 11, T, T + 1), "after 9");
        assert_eq!(two(9, 9, T, T + 1), "after 9");
        assert_eq!(two(9, 8, T, T + 1), "apart");
        assert_eq!(two(9, 11, T + 5, T + 1), "apart");
        assert_eq!(two(9, 11, 100, 101), "apart");
        // A rule of somebody else's that is for all: the sooner of the two.
        assert_eq!(of(vec![rule("", 5, None, None), rule("", 9, Some(T), None)]), "after 5");
        assert_eq!(of(vec![rule("", 50, None, None), rule("", 9, Some(T), None)]), "apart");
        let off = LifecycleRule {
            is_enabled: false,
            ..rule("", 1, Some(T), None)
        };
        assert_eq!(of(vec![off]), "never");
    }

    #[test]
    fn our_own_rules_never_tear_a_backup_apart() {
        for delete in [1, 2, 30, 3650] {
            for folder in ["", "backups/", "deep/er/"] {
                let wanted = Wanted {
                    delete_days: Some(delete),
                    abort_days: 7,
                    ..Wanted::default()
                };
                let lifecycle = Lifecycle {
                    rules: wanted.rules(folder),
                    spares_small_objects: false,
                };
                assert!(matches!(expiry(&lifecycle, folder), Expiry::After(_, days) if days == delete));
                // And another store's within or around it neither.
                for other in ["", "backups/", "backups/web/", "deep/er/"] {
                    let mut both = lifecycle.clone();
                    both.rules.extend(wanted.rules(other));
                    assert!(matches!(expiry(&both, folder), Expiry::After(..)), "{folder} {other}");
                }
            }
        }
    }
}
