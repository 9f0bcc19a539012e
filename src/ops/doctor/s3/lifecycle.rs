//! What the bucket does by itself, beside what is to be kept.

use super::way::unread;
use crate::bucket::{Lifecycle, LifecycleRule, Reading};
use crate::ops::doctor::check::Check;
use crate::ops::doctor::stores::Retention;
use crate::ops::lifecycle::{ABORT_DAYS_MIN, Expiry, archiving, expiry as expiry_of, freezes_records, tearing};

/// Judges the lifecycle; `folder` is what the keys of the store begin with.
pub(in crate::ops::doctor) fn judge(reading: &Reading<Lifecycle>, retention: Retention, folder: &str) -> Vec<Check> {
    let none = Lifecycle::default();
    let ids = [
        "bucket.lifecycle-expiry",
        "bucket.lifecycle-archive",
        "bucket.lifecycle-uploads",
    ];
    if unread(ids[0], reading).is_some() {
        return ids.iter().filter_map(|id| unread(id, reading)).collect();
    }
    let lifecycle = match reading {
        Reading::Is(lifecycle) => lifecycle,
        _ => &none,
    };
    vec![
        expiry(ids[0], lifecycle, retention, folder),
        archive(ids[1], lifecycle, folder),
        uploads(ids[2], lifecycle, folder),
    ]
}

/// A rule for messages.
fn named(rule: &LifecycleRule) -> String {
    match rule.id.as_str() {
        "" => "A lifecycle rule without a name".to_owned(),
        id => format!("The lifecycle rule `{id}`"),
    }
}

fn expiry(id: &'static str, lifecycle: &Lifecycle, retention: Retention, folder: &str) -> Check {
    let (rule, days) = match expiry_of(lifecycle, folder) {
        Expiry::OnDate(rule) => {
            return Check::failed(
                id,
                format!(
                    "{} removes backups on a day that is set, however new they are",
                    named(rule)
                ),
                "Remove the rule, or write it with a number of days",
            );
        }
        Expiry::Apart(rule) => {
            let mut rules = tearing(lifecycle, folder);
            if rules.is_empty() {
                rules.push(rule);
            }
            let (ids, verb, end) = match rules.as_slice() {
                [one] => (named(one), "removes", "the rule"),
                all => {
                    let ids: Vec<String> = all.iter().map(|rule| format!("`{}`", rule.id)).collect();
                    (format!("The lifecycle rules {}", ids.join(", ")), "remove", "each rule")
                }
            };
            return Check::warning(
                id,
                format!("{ids} {verb} some objects only (by prefix, tag or size), and can tear a backup apart"),
                format!(
                    "Let {end} be for the whole prefix, without tags and sizes; `backup-cli lifecycle apply` writes such rules"
                ),
            );
        }
        Expiry::Never => return Check::ok(id, "No lifecycle rule removes backups"),
        Expiry::After(rule, days) => (rule, days),
    };
    let message = format!("{} removes backups after {days} days", named(rule));
    match (retention.keep_days, retention.delete_days) {
        (Some(keep), _) if u64::from(days) < keep => Check::failed(
            id,
            format!("{message}, and they are to be kept for {keep}"),
            format!("Set the rule to {keep} days or more, or keep backups for {days}"),
        ),
        (Some(keep), _) => Check::ok(id, format!("{message}, not before the {keep} for which they are kept")),
        (None, Some(delete)) if u64::from(days) < delete => Check::failed(
            id,
            format!("{message}, and the settings say {delete}"),
            format!("Set the rule to {delete} days, or lifecycle-delete-days (BACKUP_S3_DELETE_DAYS) to {days}"),
        ),
        (None, Some(_)) => Check::ok(id, message),
        (None, None) => Check::warning(
            id,
            format!("{message}, also the last one if no new ones come"),
            "Let `backup-cli prune` remove them, which never removes the newest; or say how long they are to be kept (BACKUP_S3_RETENTION_DAYS)",
        ),
    }
}

fn archive(id: &'static str, lifecycle: &Lifecycle, folder: &str) -> Check {
    let Some((rule, step)) = archiving(lifecycle, folder) else {
        return Check::ok(id, "No lifecycle rule moves backups into an archive");
    };
    let when = match step.days {
        Some(days) => format!("after {days} days"),
        None => "on a day that is set".to_owned(),
    };
    let message = format!("{} moves backups to {} {when}", named(rule), step.class);
    if lifecycle.spares_small_objects {
        return Check::ok(
            id,
            format!("{message}; manifests and indexes below 128 KiB stay where they can be read"),
        );
    }
    if !freezes_records(lifecycle, rule) {
        return Check::ok(id, format!("{message}, by tag or size"));
    }
    Check::warning(
        id,
        format!("{message}, manifests and indexes too: `list` and `restore` cannot read them there"),
        "Let the rule leave small objects out (ObjectSizeGreaterThan 131072), or be for objects with a tag",
    )
}

fn uploads(id: &'static str, lifecycle: &Lifecycle, folder: &str) -> Check {
    let soonest = lifecycle
        .rules
        .iter()
        .filter(|rule| rule.covers(folder))
        .filter_map(|rule| Some((rule, rule.abort_days?)))
        .min_by_key(|(_, days)| *days);
    match soonest {
        Some((rule, days)) if days < ABORT_DAYS_MIN => Check::warning(
            id,
            format!(
                "{} ends uploads after {days} day: a backup that takes longer would fail",
                named(rule)
            ),
            "Set it to 7 days",
        ),
        Some((_, days)) => Check::ok(id, format!("Uploads that nobody ended are removed after {days} days")),
        None => Check::warning(
            id,
            "No lifecycle rule removes uploads that nobody ended: after a crash their parts go on costing money",
            "Let `backup-cli lifecycle apply` add one (AbortIncompleteMultipartUpload after 7 days)",
        ),
    }
}
