//! What the bucket is set to.

use super::way::unread;
use crate::bucket::{BucketSettings, Encryption, ObjectLock, PublicAccessBlock, Reading, Versioning};
use crate::ops::doctor::check::Check;
use crate::ops::doctor::stores::Retention;

/// What else is known.
#[derive(Clone, Copy, Debug)]
pub(in crate::ops::doctor) struct Beside<'a> {
    /// How long backups are kept.
    pub(in crate::ops::doctor) retention: Retention,
    /// Whether backups are encrypted before they leave.
    pub(in crate::ops::doctor) is_sealed: bool,
    /// What the server said that it encrypted with.
    pub(in crate::ops::doctor) encrypted_with: Option<&'a str>,
    /// What the keys of the store begin with.
    pub(in crate::ops::doctor) folder: &'a str,
}

/// Judges everything but the lifecycle.
pub(in crate::ops::doctor) fn judge(settings: &BucketSettings, beside: Beside<'_>) -> Vec<Check> {
    vec![
        versioning(&settings.versioning, &settings.lifecycle, beside),
        object_lock(&settings.object_lock, beside.retention),
        encryption(&settings.encryption, beside),
        public_access(&settings.public_access_block),
        public_policy(&settings.is_public_by_policy),
        ownership(&settings.ownership),
    ]
}

fn versioning(
    reading: &Reading<Versioning>,
    lifecycle: &Reading<crate::bucket::Lifecycle>,
    beside: Beside<'_>,
) -> Check {
    const ID: &str = "bucket.versioning";
    if let Some(check) = unread(ID, reading) {
        return check;
    }
    let Reading::Is(versioning) = reading else {
        return Check::ok(ID, "Versions are not kept: what is removed is gone at once");
    };
    if versioning.needs_second_factor {
        return Check::warning(
            ID,
            "Versions are kept, and removing one takes a second factor: `prune` cannot free any space",
            "Let the bucket remove older versions by a lifecycle rule (NoncurrentVersionExpiration)",
        );
    }
    if !versioning.is_enabled {
        return Check::warning(
            ID,
            "Versions are kept no more, but those of an earlier time stay and cost money",
            "Remove them by a lifecycle rule (NoncurrentVersionExpiration), or turn versioning on again",
        );
    }
    match lifecycle {
        Reading::Is(lifecycle)
            if lifecycle
                .rules
                .iter()
                .any(|rule| rule.covers(beside.folder) && rule.noncurrent_days.is_some()) =>
        {
            Check::ok(ID, "Versions are kept; a lifecycle rule removes older ones")
        }
        Reading::Is(_) | Reading::NotConfigured => Check::warning(
            ID,
            "Versions are kept, and nothing removes them: what is removed only hides, and goes on costing money",
            "Add a lifecycle rule with NoncurrentVersionExpiration",
        ),
        _ => Check::ok(ID, "Versions are kept"),
    }
}

fn object_lock(reading: &Reading<ObjectLock>, retention: Retention) -> Check {
    const ID: &str = "bucket.object-lock";
    if let Some(check) = unread(ID, reading) {
        return check;
    }
    let lock = match reading {
        Reading::Is(lock) if lock.is_enabled => lock,
        _ => {
            return Check::ok(
                ID,
                "Objects cannot be locked: whoever may remove them can do so at any time",
            );
        }
    };
    let Some(default) = &lock.default_retention else {
        return Check::ok(ID, "Objects can be locked; new ones are not by themselves");
    };
    let days = if default.days == 1 { "day" } else { "days" };
    let message = format!("New objects are locked for {} {days} ({})", default.days, default.mode);
    match retention.keep_days {
        Some(keep) if u64::from(default.days) > keep => Check::warning(
            ID,
            format!(
                "{message}, longer than the {keep} days for which backups are kept: `prune` cannot remove them in time"
            ),
            "Shorten the bucket's default retention, or keep backups as long",
        ),
        _ => Check::ok(ID, message),
    }
}

fn encryption(reading: &Reading<Encryption>, beside: Beside<'_>) -> Check {
    const ID: &str = "bucket.encryption";
    if let Some(check) = unread(ID, reading) {
        return check;
    }
    match (reading, beside.encrypted_with) {
        (Reading::Is(found), _) => match (&found.kms_key_id, found.algorithm.as_str()) {
            (Some(key), algorithm) => Check::ok(ID, format!("Encrypted by default: {algorithm} with the key `{key}`")),
            (None, algorithm) => Check::ok(ID, format!("Encrypted by default: {algorithm}")),
        },
        (_, Some(with)) => Check::ok(
            ID,
            format!("Not encrypted by default, but what was written was: {with}"),
        ),
        _ if beside.is_sealed => Check::ok(
            ID,
            "Not encrypted by default; backups are encrypted by age before they leave",
        ),
        _ => Check::warning(
            ID,
            "Nothing encrypts what is stored: neither the bucket nor age",
            "Encrypt backups with --recipient, or turn the bucket's default encryption on",
        ),
    }
}

fn public_access(reading: &Reading<PublicAccessBlock>) -> Check {
    const ID: &str = "bucket.public-access";
    if let Some(check) = unread(ID, reading) {
        return check;
    }
    let missing = match reading {
        Reading::Is(blocks) => blocks.missing(),
        _ => PublicAccessBlock::default().missing(),
    };
    match missing.as_slice() {
        [] => Check::ok(ID, "All four blocks of public access are on"),
        missing => Check::warning(
            ID,
            format!("Blocks of public access that are off: {}", missing.join(", ")),
            "Turn all four on: one wrong policy or access list would make the backups public",
        ),
    }
}

fn public_policy(reading: &Reading<bool>) -> Check {
    const ID: &str = "bucket.public-policy";
    match reading {
        Reading::Is(true) => Check::failed(
            ID,
            "The bucket's policy makes it public: everybody can come in",
            "Look at it with `aws s3api get-bucket-policy` and remove what allows `\"Principal\": \"*\"`",
        ),
        Reading::Is(false) => Check::ok(ID, "The bucket's policy lets nobody in from outside"),
        Reading::NotConfigured => Check::ok(ID, "The bucket has no policy that could make it public"),
        other => unread(ID, other).unwrap_or_else(|| Check::skipped(ID, "this server does not have it")),
    }
}

fn ownership(reading: &Reading<String>) -> Check {
    const ID: &str = "bucket.ownership";
    match reading {
        Reading::Is(who) if who == "BucketOwnerEnforced" => {
            Check::ok(ID, "The bucket's owner owns every object; access lists do not count")
        }
        Reading::Is(who) => Check::warning(
            ID,
            format!("Access lists count ({who}): an object can belong to another account, or be public by itself"),
            "Set object ownership to BucketOwnerEnforced",
        ),
        Reading::NotConfigured => Check::skipped(ID, "nothing is set about it"),
        other => unread(ID, other).unwrap_or_else(|| Check::skipped(ID, "this server does not have it")),
    }
}
