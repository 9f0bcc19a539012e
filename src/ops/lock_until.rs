//! Locking a backup: until when, and the proof that the store keeps what it was asked for.
//!
//! All objects of a backup are locked until one time, which counts from the moment in which it is committed: an upload may
//! take days, and whoever asks for thirty days of safety means a backup that exists. What was locked at the beginning for
//! too short a time is locked for longer at the end.

use jiff::{SignedDuration, Timestamp};

use super::Run;
use crate::base::failure::{Failure, Kind, Result};
use crate::catalog::manifest::ObjectRecord;
use crate::store::object_lock::{LockMode, LockSeen, ObjectLock};
use crate::store::{Key, Store};

/// A lock of days lasts this much longer, so that a backup that is made within it needs no lock to be lengthened, and so
/// that it holds from the last request on as well as from the first.
const ALLOWANCE: SignedDuration = SignedDuration::from_hours(1);

/// A lock may not end sooner than this: it would be over before anything is written.
const LEAST: SignedDuration = SignedDuration::from_mins(1);

/// Until when.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LockSpan {
    /// Until this time.
    Until(Timestamp),
    /// For so many days from the commit on.
    Days(u64),
}

/// The lock that is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LockRequest {
    /// How firmly.
    pub mode: LockMode,
    /// Until when.
    pub span: LockSpan,
    /// How many days from now on it may last at most.
    pub days_max: u64,
}

impl LockRequest {
    /// The lock of what is committed at `now`, by the store's clock.
    ///
    /// # Errors
    /// [`Kind::Usage`] if it would end before it begins; [`Kind::Refused`] if it would last too long.
    pub fn at(&self, now: Timestamp) -> Result<ObjectLock> {
        let until = match self.span {
            LockSpan::Until(until) => Some(until),
            LockSpan::Days(days) => days_after(now, days).and_then(|until| until.checked_add(ALLOWANCE).ok()),
        };
        let latest = days_after(now, self.days_max).and_then(|latest| latest.checked_add(ALLOWANCE).ok());
        let until = match (until, latest) {
            (Some(until), None) => until,
            (Some(until), Some(latest)) if until <= latest => until,
            _ => return Err(self.too_far(now)),
        };
        if until.duration_since(now) < LEAST {
            return Err(Failure::new(
                Kind::Usage,
                format!(
                    "The lock would be over before anything is written: it is to end at {until}, and it is {now} now"
                ),
            )
            .hint("Name a later time, or --lock-days; the time is judged by the store's clock"));
        }
        let until = Timestamp::from_second(until.as_second()).unwrap_or(until);
        Ok(ObjectLock { mode: self.mode, until })
    }

    fn too_far(&self, now: Timestamp) -> Failure {
        let what = match self.span {
            LockSpan::Until(until) => format!("until {until}"),
            LockSpan::Days(days) => format!("for {days} days"),
        };
        let failure = Failure::new(
            Kind::Refused,
            format!(
                "A lock {what} is longer than {} days, which a lock may last from {now} on",
                self.days_max
            ),
        );
        let failure = match self.mode {
            LockMode::Compliance => {
                failure.hint("Nobody can take a compliance lock back, and the storage is paid for until it ends")
            }
            LockMode::Governance => failure,
        };
        failure.hint("If it is meant, allow it with --lock-days-max")
    }
}

fn days_after(now: Timestamp, days: u64) -> Option<Timestamp> {
    let hours = i64::try_from(days).ok()?.checked_mul(24)?;
    now.checked_add(SignedDuration::try_from_hours(hours)?).ok()
}

/// The time by which a lock begins and ends: the store's, where it has a clock.
///
/// # Errors
/// If the store has a clock and does not tell it.
fn time_of(store: &dyn Store, run: &Run) -> Result<Timestamp> {
    Ok(store.now()?.unwrap_or_else(|| run.clock.now()))
}

/// The lock that everything of a backup begins with; looks whether the store can keep it, before the first byte. `None`
/// where no lock is asked for, or objects are never locked.
///
/// # Errors
/// [`Kind::Config`] if the store could lock objects and is not set up for it; as [`LockRequest::at`].
pub(super) fn begin(store: &dyn Store, request: Option<&LockRequest>, run: &Run) -> Result<Option<ObjectLock>> {
    let Some(request) = request else {
        return Ok(None);
    };
    match store.prepare_locks()? {
        true => request.at(time_of(store, run)?).map(Some),
        false => Ok(None),
    }
}

/// As [`begin`], where the only store is one that never locks anything.
///
/// # Errors
/// As [`begin`]; [`Kind::Config`] if objects are never locked there.
pub fn begin_in_one(store: &dyn Store, request: Option<&LockRequest>, run: &Run) -> Result<Option<ObjectLock>> {
    let lock = begin(store, request, run)?;
    match (request, &lock) {
        (Some(_), None) => Err(unlockable(&store.url())),
        _ => Ok(lock),
    }
}

/// Objects are never locked there.
pub(super) fn unlockable(url: &str) -> Failure {
    Failure::new(
        Kind::Config,
        format!("A lock is asked for, but {url} cannot lock anything"),
    )
    .hint("Object lock is a matter of S3 buckets: back up to one that has it, or leave the lock out (--lock off)")
}

/// The lock that everything of the backup has in the end: the one that it began with, unless that ends too soon after what
/// has become of the commit's time. `None` if it is over by now.
pub(super) fn at_commit(
    store: &dyn Store,
    request: Option<&LockRequest>,
    begun: Option<ObjectLock>,
    run: &Run,
) -> Option<ObjectLock> {
    let (request, begun) = (request?, begun?);
    // A store that has told its time once and does not now has taken the data meanwhile: the run's own clock must do.
    let now = time_of(store, run).unwrap_or_else(|_| run.clock.now());
    let wanted = match request.span {
        LockSpan::Until(until) => until,
        LockSpan::Days(days) => days_after(now, days)?,
    };
    let lock = match begun.until.as_second() >= wanted.as_second() {
        true => begun,
        // A clock that has jumped makes no lock that could not have been begun with.
        false => request.at(now).unwrap_or(begun),
    };
    (lock.until.duration_since(now) >= LEAST).then_some(lock)
}

/// What became of the lock of some objects.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Proof {
    /// All of them are locked.
    Kept,
    /// The store acknowledged it and the credentials may not look.
    Untold,
    /// One of them is not locked as it should be, and why.
    Missing(String),
}

impl Proof {
    pub(super) fn and(self, other: Self) -> Self {
        match (self, other) {
            (Self::Missing(why), _) | (_, Self::Missing(why)) => Self::Missing(why),
            (Self::Untold, _) | (_, Self::Untold) => Self::Untold,
            (Self::Kept, Self::Kept) => Self::Kept,
        }
    }
}

/// Looks whether each object is locked as firmly and as long as it should be, and locks the ones that are not.
pub(super) fn prove<'a>(
    store: &dyn Store,
    lock: &ObjectLock,
    objects: impl IntoIterator<Item = (&'a Key, Option<&'a str>)>,
) -> Proof {
    objects
        .into_iter()
        .map(|(key, version_id)| prove_one(store, lock, key, version_id))
        .fold(Proof::Kept, Proof::and)
}

/// The objects of a manifest, as [`prove`] takes them.
pub(super) fn keys_of(objects: &[ObjectRecord]) -> impl Iterator<Item = (&Key, Option<&str>)> {
    objects.iter().map(|object| (&object.key, object.version_id.as_deref()))
}

fn prove_one(store: &dyn Store, lock: &ObjectLock, key: &Key, version_id: Option<&str>) -> Proof {
    match store.lock_of(key, version_id) {
        Ok(LockSeen::Locked(seen)) if seen.covers(lock) => return Proof::Kept,
        Ok(LockSeen::Locked(_) | LockSeen::Unlocked) => {}
        // What the store acknowledged when the object was created counts, unless that ends too soon.
        Ok(LockSeen::Untold) | Err(_) => {
            return match store.extend_lock(key, version_id, lock) {
                Ok(()) => Proof::Untold,
                Err(failure) => Proof::Missing(format!("`{key}`: {}", with_cause(&failure))),
            };
        }
    }
    // Some servers take no notice of a lock in the request that creates an object, and others came to lock it for too
    // short a time: the upload took longer than it was thought to.
    let locked = store.extend_lock(key, version_id, lock);
    match (locked, store.lock_of(key, version_id)) {
        (_, Ok(LockSeen::Locked(seen))) if seen.covers(lock) => Proof::Kept,
        (Err(failure), _) => Proof::Missing(format!("`{key}`: {}", with_cause(&failure))),
        (Ok(()), Ok(LockSeen::Locked(seen))) => {
            Proof::Missing(format!("`{key}` is locked by {} until {}", seen.mode, seen.until))
        }
        (Ok(()), _) => Proof::Missing(format!("`{key}` is not locked; the store took no notice of the lock")),
    }
}

fn with_cause(failure: &Failure) -> String {
    let cause = failure.causes().into_iter().next();
    cause.map_or_else(
        || failure.message().to_owned(),
        |cause| format!("{}: {cause}", failure.message()),
    )
}

/// What is said of a backup whose lock is not there.
pub(super) fn missing(lock: &ObjectLock, why: &str) -> String {
    format!(
        "The backup is not locked by {} until {} as was asked for: {why}",
        lock.mode, lock.until
    )
}

/// What is said where nobody may look.
pub(super) fn untold(lock: &ObjectLock) -> String {
    format!(
        "The store acknowledged the lock by {} until {}; these credentials may not look whether it is there, which takes s3:GetObject and s3:GetObjectRetention.",
        lock.mode, lock.until
    )
}
