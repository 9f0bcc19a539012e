//! What the credentials may do, each right by itself.

use std::time::Duration;

use jiff::Timestamp;

use super::facts::{Condition, No, Reached, TrialFacts, Tried};
use super::look::keeps_versions;
use crate::bucket::Why;
use crate::ops::doctor::check::Check;

/// An upload that was begun longer ago than this is nobody's any more.
const UNFINISHED_AGE: Duration = Duration::from_secs(7 * 24 * 60 * 60);

/// Judges the rights. With `makes_backups` this machine has something to back up.
pub(in crate::ops::doctor) fn judge(reached: &Reached, makes_backups: bool, now: Timestamp) -> Vec<Check> {
    let trial = &reached.trial;
    vec![
        write(trial, makes_backups),
        read(trial),
        list(trial),
        delete(trial, keeps_versions(&reached.settings.versioning)),
        replace(trial),
        multipart(trial, makes_backups),
        abort(trial),
        unfinished(&reached.unfinished, now),
    ]
}

/// A right that is missing, with those who can do without it.
fn missing(id: &'static str, no: &No, without: &str, grant_on: &str) -> Check {
    match no.why {
        Why::NotAllowed => Check::warning(
            id,
            format!("Not allowed: {}. {without}", no.permission),
            format!("If this machine needs it, grant {} on {grant_on}", no.permission),
        ),
        _ => broken(id, no),
    }
}

/// The same of the object that was tried: what stays of it is told.
fn broken_and_left(id: &'static str, no: &No, stays: &str) -> Check {
    broken(
        id,
        &No {
            text: format!("{}{stays}", no.text),
            ..no.clone()
        },
    )
}

fn broken(id: &'static str, no: &No) -> Check {
    Check::failed(
        id,
        no.text.clone(),
        no.hint.clone().unwrap_or_else(|| {
            "Try the same with another client, such as `aws s3api`, to see whose fault it is".to_owned()
        }),
    )
}

/// The bucket, or everything below the prefix, as policies name it.
fn resource(trial: &TrialFacts, is_bucket: bool) -> String {
    let path = trial.address.trim_start_matches("s3://");
    let bucket = path.split('/').next().unwrap_or_default();
    let folder = path.rsplit_once('/').map_or(bucket, |(folder, _)| folder);
    match is_bucket {
        true => format!("`arn:aws:s3:::{bucket}`"),
        false => format!("`arn:aws:s3:::{folder}/*`"),
    }
}

fn write(trial: &TrialFacts, makes_backups: bool) -> Check {
    const ID: &str = "store.write";
    match &trial.write {
        Tried::Is(_) => Check::ok(ID, "Objects can be written (s3:PutObject)"),
        Tried::Refused(no) if no.why == Why::NotAllowed => {
            let message = format!(
                "Not allowed: {}. No backup can be made with these credentials",
                no.permission
            );
            let hint = format!("Grant {} on {}", no.permission, resource(trial, false));
            let is_reader = trial.read.is().is_some() || trial.list.is().is_some();
            match is_reader && !makes_backups {
                true => Check::warning(
                    ID,
                    format!("{message}; right for a machine that only restores"),
                    format!("If this machine makes backups: {hint}"),
                ),
                false => Check::failed(ID, message, hint),
            }
        }
        Tried::Refused(no) => broken(ID, no),
        Tried::Untried(why) => Check::skipped(ID, why.clone()),
    }
}

fn read(trial: &TrialFacts) -> Check {
    const ID: &str = "store.read";
    match &trial.read {
        Tried::Is(true) => Check::ok(ID, "Objects can be read (s3:GetObject)"),
        Tried::Is(false) => Check::failed(
            ID,
            "What was read is not what had been written",
            "Something between here and the store changes or caches answers: try without a proxy",
        ),
        Tried::Refused(no) if no.why == Why::NotThere => Check::failed(
            ID,
            "An object that was just written is not there",
            "This store does not show at once what it holds; backups cannot be checked on it",
        ),
        Tried::Refused(no) => missing(
            ID,
            no,
            "Right for a machine that only makes backups, except that a lost answer cannot be cleared up by looking; `restore`, `verify` and `copy` need it",
            &resource(trial, false),
        ),
        Tried::Untried(why) => Check::skipped(ID, why.clone()),
    }
}

fn list(trial: &TrialFacts) -> Check {
    const ID: &str = "store.list";
    match &trial.list {
        Tried::Is(true) => Check::ok(ID, "Objects can be listed (s3:ListBucket)"),
        Tried::Is(false) => Check::failed(
            ID,
            "The listing does not show an object that was just written",
            "This store's listings lag behind; `list` and `prune` would work on old ones",
        ),
        Tried::Refused(no) => missing(
            ID,
            no,
            "Right for a machine that only makes backups; `list`, `restore`, `verify` and `prune` need it",
            &resource(trial, true),
        ),
        Tried::Untried(why) => Check::skipped(ID, why.clone()),
    }
}

fn delete(trial: &TrialFacts, keeps_versions: Option<bool>) -> Check {
    const ID: &str = "store.delete";
    let has_version = trial.write.is().is_some_and(|written| written.version_id.is_some());
    let stays = match (&trial.left, &trial.create_only) {
        (None, _) => String::new(),
        (Some(_), Tried::Is(Condition::Ignored)) if has_version && trial.seen.is().is_none() => format!(
            "; `{}` stays, a few bytes, and each run adds versions of it, because the server ignores If-None-Match",
            trial.address
        ),
        (Some(_), _) => format!(
            "; `{}` stays, a few bytes, and further runs add nothing to it",
            trial.address
        ),
    };
    let left = trial.left.as_ref();
    match (&trial.delete, &trial.hide) {
        (Tried::Is(()), _) if left.is_none() => {
            match trial.write.is().and_then(|written| written.version_id.as_ref()) {
                Some(_) => Check::ok(
                    ID,
                    "Objects can be removed with their versions (s3:DeleteObjectVersion)",
                ),
                None => Check::ok(ID, "Objects can be removed (s3:DeleteObject)"),
            }
        }
        (Tried::Is(()), _) => Check::warning(
            ID,
            format!(
                "Not everything could be removed again: {}",
                left.map_or("", |no| no.text.as_str())
            ),
            format!("Remove `{}` and its unfinished uploads", trial.address),
        ),
        (Tried::Refused(no), Tried::Is(())) => missing(
            ID,
            no,
            &format!(
                "Objects can be hidden but their versions not removed, so `prune` frees no space; right where versions protect against deletion{stays}"
            ),
            &resource(trial, false),
        ),
        (Tried::Refused(no), _) if no.why != Why::NotAllowed => broken_and_left(ID, no, &stays),
        (Tried::Refused(no), _) => {
            // What is said does not depend on whether this run or an earlier one made the object.
            let permission = match (no.permission, keeps_versions) {
                ("s3:DeleteObject" | "s3:DeleteObjectVersion", Some(false)) => "s3:DeleteObject",
                ("s3:DeleteObject" | "s3:DeleteObjectVersion", None) => {
                    "s3:DeleteObject (in a bucket that keeps versions: s3:DeleteObjectVersion)"
                }
                (permission, _) => permission,
            };
            missing(
                ID,
                &No {
                    permission,
                    ..no.clone()
                },
                &format!("Right for a machine that only makes backups, and safer; `prune` needs it{stays}"),
                &resource(trial, false),
            )
        }
        (Tried::Untried(why), _) => match trial.write.is() {
            Some(_) => Check::skipped(ID, format!("{why}{stays}")),
            None => Check::skipped(ID, why.clone()),
        },
    }
}

/// The same credentials in somebody else's hands.
fn replace(trial: &TrialFacts) -> Check {
    const ID: &str = "store.replace";
    match &trial.replace {
        Tried::Is(true) => Check::ok(
            ID,
            "Whoever gets hold of these credentials can replace backups; a server that knows such policies refuses it after `backup-cli bucket create --create-only`",
        ),
        Tried::Is(false) => Check::ok(ID, "Backups cannot be replaced, whatever a request leaves out"),
        Tried::Refused(no) => broken(ID, no),
        Tried::Untried(why) => Check::skipped(ID, why.clone()),
    }
}

fn multipart(trial: &TrialFacts, makes_backups: bool) -> Check {
    const ID: &str = "store.multipart";
    match &trial.multipart {
        Tried::Is(_) => Check::ok(ID, "Uploads in parts work"),
        Tried::Refused(no) if no.why == Why::NotAllowed => {
            let message = format!("Not allowed: {}. No backup can be sent in parts", no.permission);
            let hint = format!("Grant {} on {}", no.permission, resource(trial, false));
            match makes_backups || trial.write.is().is_some() {
                true => Check::failed(ID, message, hint),
                false => Check::warning(ID, message, hint),
            }
        }
        Tried::Refused(no) => broken(ID, no),
        Tried::Untried(_) if trial.part_sent.is().is_some() => Check::ok(
            ID,
            "Uploads in parts work up to the last step, which was not taken: its object could not be removed",
        ),
        Tried::Untried(why) => Check::skipped(ID, why.clone()),
    }
}

fn abort(trial: &TrialFacts) -> Check {
    const ID: &str = "store.abort";
    match &trial.abort {
        Tried::Is(()) => Check::ok(ID, "Uploads can be aborted (s3:AbortMultipartUpload)"),
        Tried::Refused(no) if no.why == Why::NotAllowed => Check::warning(
            ID,
            format!(
                "Not allowed: {}. The parts of a backup that fails stay and cost money",
                no.permission
            ),
            format!("Grant {} on {}", no.permission, resource(trial, false)),
        ),
        Tried::Refused(no) => broken(ID, no),
        Tried::Untried(why) => Check::skipped(ID, why.clone()),
    }
}

fn unfinished(uploads: &Tried<Vec<Option<Timestamp>>>, now: Timestamp) -> Check {
    const ID: &str = "store.unfinished";
    match uploads {
        Tried::Is(begun) => {
            let is_old = |begun: &&Option<Timestamp>| {
                begun.is_some_and(|begun| {
                    Duration::try_from(now.duration_since(begun)).is_ok_and(|age| age >= UNFINISHED_AGE)
                })
            };
            match (begun.iter().filter(is_old).count(), begun.len()) {
                (0, 0) => Check::ok(ID, "No upload was left unfinished"),
                (0, 1) => Check::ok(
                    ID,
                    "One upload is going on, or was left unfinished within the last week",
                ),
                (0, all) => Check::ok(
                    ID,
                    format!("{all} uploads are going on, or were left unfinished within the last week"),
                ),
                (old, _) => Check::warning(
                    ID,
                    format!(
                        "Uploads that were left unfinished more than a week ago, and whose parts cost money: {old}"
                    ),
                    "Abort them with `backup-cli cleanup`, and let the bucket do it by a lifecycle rule",
                ),
            }
        }
        Tried::Refused(no) if no.why == Why::NotAllowed => {
            Check::skipped(ID, format!("not allowed: {}", no.permission))
        }
        Tried::Refused(no) if no.why == Why::NotSupported => Check::skipped(ID, "this server does not have it"),
        Tried::Refused(no) => Check::skipped(ID, no.text.clone()),
        Tried::Untried(why) => Check::skipped(ID, why.clone()),
    }
}
