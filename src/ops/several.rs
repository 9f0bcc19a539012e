//! One backup into several stores: the source is read, compressed and encrypted once, and each store commits by itself.

use std::sync::Arc;

use super::Run;
use super::backup::{
    BackupOptions, BackupOutcome, BackupPlan, Counted, backup, clock_warning, first_free, is_taken, look_at,
    plan_backup, plan_parts, stream,
};
use super::commit::commit;
use super::lock::SeriesLock;
use super::lock_until::{begin, unlockable};
use super::shape::compare;
use crate::base::failure::{Failure, Kind, Result};
use crate::catalog::index_file::FinishedIndex;
use crate::catalog::layout::Layout;
use crate::catalog::manifest::Manifest;
use crate::pipeline::fan_out::{Branch, FanOut, within_both};
use crate::source::Source;
use crate::store::object_lock::ObjectLock;
use crate::store::{Key, Store};

/// One of the stores.
#[derive(Clone)]
pub struct Destination {
    /// The store.
    pub store: Arc<dyn Store>,
    /// Where keys lie in it.
    pub layout: Layout,
}

/// What became of the backup in one store.
pub struct StoreOutcome {
    /// The store's URL.
    pub url: String,
    /// The committed backup, or why there is none.
    pub result: Result<BackupOutcome>,
}

/// What a backup into several stores would do.
pub struct SeveralPlan {
    /// What is the same in all of them; the key is that of the first store.
    pub plan: BackupPlan,
    /// Each store's URL, and the data key there or why it cannot take part.
    pub stores: Vec<(String, Result<Key>)>,
}

/// The stores as one, and what is planned.
struct Planned {
    fan_out: FanOut,
    plan: BackupPlan,
    keys: Vec<Key>,
    /// How each store locks what is written.
    locks: Vec<Option<ObjectLock>>,
}

/// Checks the source and the stores and says what a backup would do; changes nothing.
///
/// # Errors
/// Whatever would make the backup fail before its first byte; a store that would is told in its place.
pub fn plan_several(
    destinations: &[Destination],
    source: &mut dyn Source,
    options: &BackupOptions,
    run: &Run,
) -> Result<SeveralPlan> {
    if let [only] = destinations {
        let plan = plan_backup(&only.store, source, options, run)?;
        let stores = vec![(only.store.url(), Ok(plan.data_key.clone()))];
        return Ok(SeveralPlan { plan, stores });
    }
    let planned = prepare(destinations, source, Counted::First, options, run)?;
    let stores = destinations.iter().zip(planned.keys).enumerate();
    let stores = stores
        .map(|(place, (destination, key))| {
            let result = planned.fan_out.take_failure(place).map_or(Ok(key), Err);
            (destination.store.url(), result)
        })
        .collect();
    Ok(SeveralPlan {
        plan: planned.plan,
        stores,
    })
}

/// Streams the source into all stores at once; each commits by itself. A store that fails is given up, the others go on.
///
/// `options.layout` is the first store's: its file names are used in all of them, so that the id is the same.
///
/// # Errors
/// What is wrong with the source, or keeps every store from taking part; the failures of single stores stand in their
/// outcomes, and all of them may have failed.
pub fn backup_to_several(
    destinations: &[Destination],
    source: &mut dyn Source,
    options: &BackupOptions,
    run: &Run,
) -> Result<Vec<StoreOutcome>> {
    if let [only] = destinations {
        return Ok(vec![StoreOutcome {
            url: only.store.url(),
            result: Ok(backup(&only.store, source, options, run)?),
        }]);
    }
    let locks = take_locks(destinations, options, run)?;
    let planned = prepare(destinations, source, Counted::Meanwhile, options, run)?;
    let Planned { fan_out, plan, .. } = &planned;
    let warning = locks
        .iter()
        .filter_map(SeriesLock::last_started)
        .max()
        .and_then(|last| clock_warning(last, plan.started, &options.name));
    let as_one: Arc<dyn Store> = Arc::new(fan_out.clone());
    let streamed = stream(&as_one, plan, source, options, warning, run);
    let all_failed = (0..destinations.len()).all(|place| fan_out.is_out(place));
    let committed = match streamed {
        Ok((manifest, index)) => commit_each(destinations, &planned, &manifest, &index, options, run),
        // Each store's own failure says more than the consequence that the source met.
        Err(failure) if all_failed && failure.kind() != Kind::Interrupted => {
            destinations.iter().map(|_| None).collect()
        }
        Err(failure) => {
            fan_out.clear_up(true);
            return Err(failure);
        }
    };
    fan_out.clear_up(false);
    let mut outcomes = Vec::with_capacity(destinations.len());
    for (place, (destination, committed)) in destinations.iter().zip(committed).enumerate() {
        let result = committed.unwrap_or_else(|| {
            Err(fan_out
                .take_failure(place)
                .unwrap_or_else(|| Failure::new(Kind::Failed, "The store did not take part")))
        });
        outcomes.push(StoreOutcome {
            url: destination.store.url(),
            result,
        });
    }
    run.cancel.check().or_else(|interrupted| {
        // What was committed before the interruption is a backup.
        match outcomes.iter().any(|outcome| outcome.result.is_ok()) {
            true => Ok(()),
            false => Err(interrupted),
        }
    })?;
    if outcomes.iter().any(|outcome| outcome.result.is_ok()) {
        locks.iter().for_each(|lock| lock.remember(plan.started));
    }
    Ok(outcomes)
}

/// The series' lock in every store, always in the same order, so that two runs do not wait for each other.
fn take_locks(destinations: &[Destination], options: &BackupOptions, run: &Run) -> Result<Vec<SeriesLock>> {
    let mut urls: Vec<String> = destinations.iter().map(|destination| destination.store.url()).collect();
    urls.sort();
    // Two providers may have buckets of the same name.
    urls.dedup();
    urls.iter()
        .map(|url| SeriesLock::take(&options.lock_folder, url, &options.name, options.lock_timeout, run))
        .collect()
}

/// Looks at the source, and for a second whose keys are free in every store; a store that cannot be asked is left out.
fn prepare(
    destinations: &[Destination],
    source: &mut dyn Source,
    counted: Counted,
    options: &BackupOptions,
    run: &Run,
) -> Result<Planned> {
    let Some(first) = destinations.first() else {
        return Err(Failure::new(Kind::Usage, "There is no store to back up to"));
    };
    let limits = destinations
        .iter()
        .map(|destination| destination.store.limits())
        .fold(first.store.limits(), within_both);
    let look = look_at(source, first.store.as_ref(), limits, counted, options, run)?;
    let mut failures: Vec<Option<Failure>> = destinations.iter().map(|_| None).collect();
    let locks = begin_locks(destinations, options, &mut failures, run)?;
    let mut keys = Vec::new();
    let (data_key, started) = first_free(source.extension(), options, run, |key, started| {
        keys = keys_in(destinations, key, started, options)?;
        for ((destination, key), failure) in destinations.iter().zip(&keys).zip(&mut failures) {
            if failure.is_some() {
                continue;
            }
            match is_taken(destination.store.as_ref(), key) {
                Ok(true) => return Ok(true),
                Ok(false) => {}
                Err(interrupted) if interrupted.kind() == Kind::Interrupted => return Err(interrupted),
                Err(other) => *failure = Some(other),
            }
        }
        Ok(false)
    })?;
    let branches = destinations.iter().zip(&keys).map(|(destination, key)| Branch {
        store: destination.store.clone(),
        data_key: key.clone(),
    });
    let fan_out = FanOut::new(branches.collect(), run.reporter.clone())?;
    let parts = plan_parts(fan_out.limits(), look.expected_stored_bytes, source, options)?;
    for (place, failure) in failures.into_iter().enumerate() {
        if let Some(failure) = failure {
            fan_out.leave_out(place, failure);
        }
    }
    Ok(Planned {
        fan_out,
        plan: BackupPlan {
            data_key,
            started,
            estimate: look.estimate,
            parts,
            lock: locks.iter().flatten().copied().next(),
            _counting: look.counting,
        },
        keys,
        locks,
    })
}

/// The lock in each store, all until the same time. A folder never locks anything, so that it has its copy without a lock;
/// a bucket that could and is not set up for it is left out.
fn begin_locks(
    destinations: &[Destination],
    options: &BackupOptions,
    failures: &mut [Option<Failure>],
    run: &Run,
) -> Result<Vec<Option<ObjectLock>>> {
    let mut locks: Vec<Option<ObjectLock>> = Vec::with_capacity(destinations.len());
    for (destination, failure) in destinations.iter().zip(failures.iter_mut()) {
        let lock = match begin(destination.store.as_ref(), options.lock.as_ref(), run) {
            Ok(lock) => lock,
            Err(other) if matches!(other.kind(), Kind::Interrupted | Kind::Usage | Kind::Refused) => return Err(other),
            Err(other) => {
                *failure = Some(other);
                None
            }
        };
        let first = locks.iter().flatten().copied().next();
        locks.push(lock.map(|lock| first.unwrap_or(lock)));
    }
    if options.lock.is_none() {
        return Ok(locks);
    }
    let unlocked = || {
        let all = destinations.iter().zip(&locks).zip(failures.iter());
        all.filter(|((_, lock), failure)| lock.is_none() && failure.is_none())
            .map(|((destination, _), _)| destination.store.url())
    };
    if unlocked().count() == destinations.len() {
        let urls: Vec<String> = unlocked().collect();
        return Err(unlockable(&urls.join(" and ")));
    }
    for url in unlocked() {
        run.note(format!("{url} cannot lock anything: the backup there is not locked."));
    }
    Ok(locks)
}

/// The data key in each store: its own folder, and the file name that the first store's layout gives.
fn keys_in(
    destinations: &[Destination],
    first: &Key,
    started: jiff::Timestamp,
    options: &BackupOptions,
) -> Result<Vec<Key>> {
    let mut keys = vec![first.clone()];
    for destination in &destinations[1..] {
        keys.push(
            destination
                .layout
                .key_of_copy(&options.name, &options.host, started, first.file_name())?,
        );
    }
    Ok(keys)
}

/// Writes index and manifest into every store that holds the data, into all at once: one that hangs does not keep the
/// others from having a backup. None where the store has failed before.
fn commit_each(
    destinations: &[Destination],
    planned: &Planned,
    manifest: &Manifest,
    index: &FinishedIndex,
    options: &BackupOptions,
    run: &Run,
) -> Vec<Option<Result<BackupOutcome>>> {
    let fan_out = &planned.fan_out;
    let mut options = options.clone();
    // Each sends the index by itself.
    options.transfer.memory_bytes /= destinations.len() as u64;
    let options = &options;
    std::thread::scope(|scope| {
        let threads: Vec<_> = destinations
            .iter()
            .zip(&planned.keys)
            .enumerate()
            .map(|(place, (destination, key))| {
                let lock = planned.locks.get(place).copied().flatten();
                let own = (!fan_out.is_out(place)).then(|| own_manifest(manifest, fan_out, place));
                own.map(|own| {
                    scope.spawn(move || {
                        let mut own = own?;
                        let percent = options.shape_guard_percent;
                        own.shape = compare(destination.store.as_ref(), &destination.layout, &own, percent, run);
                        commit(&destination.store, key, lock, index, own, options, run)
                    })
                })
            })
            .collect();
        threads
            .into_iter()
            .map(|thread| {
                let outcome = thread?.join().unwrap_or_else(|_| {
                    Err(Failure::new(
                        Kind::Failed,
                        "The thread that commits ended by a panic, which is a bug",
                    ))
                });
                Some(outcome)
            })
            .collect()
    })
}

/// The manifest as it is in one of the stores, which has keys, versions, tokens and entity tags of its own.
fn own_manifest(manifest: &Manifest, fan_out: &FanOut, place: usize) -> Result<Manifest> {
    let mut own = manifest.clone();
    for object in &mut own.objects {
        let meta = fan_out.meta_of(place, &object.key).ok_or_else(|| {
            Failure::new(
                Kind::Failed,
                format!("`{}` was not completed everywhere, which is a bug", object.key),
            )
        })?;
        object.key = meta.key;
        object.version_id = meta.version_id;
        object.etag = meta.etag;
        object.token = meta.token.unwrap_or_default();
    }
    Ok(own)
}
