//! Asks a bucket everything that can be asked.

use super::facts::{Facts, No, Reached, Tried};
use super::trial::{Known, try_object};
use crate::base::failure::{Failure, Kind};
use crate::bucket::{Bucket, Reading, Refusal, Seen, Trial, Versioning, Why};
use crate::store::s3::S3Store;
use crate::store::{Key, Store};

/// Looks at the bucket of a store; `key` is the throw-away object's.
///
/// # Errors
/// [`Kind::Interrupted`]; everything else is a fact.
pub(in crate::ops::doctor) fn look(store: &S3Store, key: &Key) -> Result<Facts, Failure> {
    let bucket = Bucket::of(store);
    let region_first = bucket.region_in_use();
    let mut location = Tried::of(bucket.location());
    bucket.check()?;
    // What answers every question with a page has answered that one too.
    let before = match is_answer(&location) {
        true => Some(Trial::new(&bucket, key.clone()).head()),
        false => None,
    };
    if let Some(Err(refusal)) = &before
        && refusal.why == Why::NoStore
    {
        location = Tried::Refused(No::of(refusal));
    }
    bucket.check()?;
    let credentials = match bucket.credentials() {
        Ok(found) => Tried::Is(found),
        Err(failure) => Tried::Refused(No {
            why: Why::Credentials,
            ..No::of_failure(&failure)
        }),
    };
    let reached = match before.filter(|_| is_answer(&location)) {
        Some(before) => Some(reach(store, &bucket, key, before)?),
        None => None,
    };
    Ok(Facts {
        location,
        region_first,
        region_last: bucket.region_in_use(),
        heads: bucket.heads(),
        credentials,
        reached,
    })
}

/// Whether the first question got through to the bucket: many credentials may not ask it, and some servers do not know it.
pub(in crate::ops::doctor) fn is_answer(location: &Tried<String>) -> bool {
    match location {
        Tried::Is(_) => true,
        Tried::Refused(no) => matches!(
            no.why,
            Why::NotAllowed | Why::NotSupported | Why::NotThere | Why::Rejected
        ),
        Tried::Untried(_) => false,
    }
}

fn reach(store: &S3Store, bucket: &Bucket, key: &Key, before: Result<Seen, Refusal>) -> Result<Reached, Failure> {
    let caller = bucket.caller();
    bucket.check()?;
    let settings = bucket.settings();
    bucket.check()?;
    let locks_by_itself =
        matches!(&settings.object_lock, Reading::Is(lock) if lock.is_enabled && lock.default_retention.is_some());
    let known = Known {
        before,
        locks_by_itself,
        keeps_versions: keeps_versions(&settings.versioning),
    };
    let trial = try_object(bucket, key, store.prefix(), &known)?;
    let unfinished = match store.unfinished_uploads(&folder(store.prefix())) {
        Ok(uploads) => Tried::Is(
            uploads
                .into_iter()
                .filter(|upload| upload.key != *key)
                .map(|upload| upload.initiated)
                .collect(),
        ),
        Err(failure) => Tried::Refused(not_listed(&failure)),
    };
    bucket.check()?;
    Ok(Reached {
        caller,
        settings,
        trial,
        unfinished,
    })
}

/// Whether the bucket keeps versions; `None` if that is not known.
pub(in crate::ops::doctor) fn keeps_versions(versioning: &Reading<Versioning>) -> Option<bool> {
    match versioning {
        Reading::Is(versioning) => Some(versioning.is_enabled),
        Reading::NotConfigured | Reading::NotSupported => Some(false),
        Reading::NotAllowed { .. } | Reading::Failed(_) => None,
    }
}

fn not_listed(failure: &Failure) -> No {
    No {
        why: match failure.kind() {
            Kind::Denied => Why::NotAllowed,
            Kind::Unsupported | Kind::NotFound => Why::NotSupported,
            _ => Why::Rejected,
        },
        permission: "s3:ListBucketMultipartUploads",
        ..No::of_failure(failure)
    }
}

/// What the keys of a store begin with.
pub(in crate::ops::doctor) fn folder(prefix: &str) -> String {
    match prefix {
        "" => String::new(),
        prefix => format!("{prefix}/"),
    }
}
