//! Copying a committed backup to another store: the bytes as they are, the digests of its manifest compared on the way.
//!
//! The commit protocol is that of a backup: nothing is visible before everything has been proved, the manifest comes last.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use super::Run;
use super::backup::TransferOptions;
use super::commit::{commit_manifest, lock_objects, roll_back};
use super::lock::SeriesLock;
use super::lock_until::{LockRequest, at_commit, begin_in_one};
use super::plaintext::stored_data;
use super::thaw::require_readable;
use crate::base::failure::{Failure, Kind, Result};
use crate::base::report::Phase;
use crate::catalog::layout::Layout;
use crate::catalog::manifest::{CopiedFrom, Manifest, ObjectRecord};
use crate::catalog::selection::Chosen;
use crate::pipeline::download::{BLOCK_BYTES_DEFAULT, IN_FLIGHT_DEFAULT};
use crate::pipeline::plan::{PlanInput, plan};
use crate::store::{Key, Role, Store};

mod select;
mod standing;
mod stream;

pub use select::{Candidate, Selection, select};

use standing::{Standing, look};
use stream::{Stream, Way, copy_stream, streams_of};

/// Where a copy goes.
#[derive(Clone)]
pub struct CopyTarget {
    /// The store.
    pub store: Arc<dyn Store>,
    /// Where keys lie in it.
    pub layout: Layout,
}

/// How copies are made.
#[derive(Clone, Debug)]
pub struct CopyOptions {
    /// How bytes are moved.
    pub transfer: TransferOptions,
    /// How what is written at the target is locked; `None` leaves it to the bucket.
    pub lock: Option<LockRequest>,
    /// Where locks lie.
    pub lock_folder: PathBuf,
    /// How long to wait for another run of the series at the target.
    pub lock_timeout: Duration,
}

/// What a copy would do, or has done.
#[derive(Clone, Debug)]
pub struct CopyOutcome {
    /// The id, which stays the same.
    pub id: String,
    /// The series, which stays the same.
    pub name: String,
    /// The stored length of its data, in bytes.
    pub data_bytes: u64,
    /// The first data object's key at the target.
    pub data_key: Key,
    /// Whether the target holds the very backup already, so that there is nothing to do.
    pub already_there: bool,
    /// Why the copy is not locked as was asked for, if it is not.
    pub unlocked: Option<String>,
}

/// Looks at both sides and says what a copy would do; changes nothing.
///
/// # Errors
/// [`Kind::Refused`] if the backup has no manifest, or if the target holds another one with the same id;
/// [`Kind::Damaged`] if the source or the copy that is there lacks objects.
pub fn plan_copy(chosen: &Chosen, target: &CopyTarget, run: &Run) -> Result<CopyOutcome> {
    let manifest = committed(chosen)?;
    let data_key = key_at(target, chosen, manifest)?;
    // Sizes and presence, as far as the listing told.
    stored_data(chosen, run)?;
    let standing = look(target, &data_key, manifest, &run.cancel)?;
    Ok(outcome(manifest, data_key, matches!(standing, Standing::AlreadyThere)))
}

/// Copies a backup, unless the target holds it already.
///
/// # Errors
/// As [`plan_copy`]; [`Kind::Damaged`] if what was read is not what was backed up; whatever the target says. Then nothing
/// of the copy is left at the target, as far as it lets it be removed.
pub fn copy(
    source: &Arc<dyn Store>,
    chosen: &Chosen,
    target: &CopyTarget,
    options: &CopyOptions,
    run: &Run,
) -> Result<CopyOutcome> {
    let manifest = committed(chosen)?;
    let data_key = key_at(target, chosen, manifest)?;
    let lock = SeriesLock::take(
        &options.lock_folder,
        &target.store.url(),
        &manifest.name,
        options.lock_timeout,
        run,
    )?;
    let identity = lock.identity()?;
    let streams = streams_of(chosen, manifest, &data_key, run)?;
    match look(target, &data_key, manifest, &run.cancel)? {
        Standing::AlreadyThere => return Ok(outcome(manifest, data_key, true)),
        Standing::Leftovers(keys) => standing::remove_leftovers(target, &keys, &identity, run)?,
        Standing::Free => {}
    }

    require_readable(source, chosen, run)?;
    let begun = begin_in_one(target.store.as_ref(), options.lock.as_ref(), run)?;
    run.phase(Phase::Copying);
    let way = Way {
        source,
        target: &target.store,
        lock: begun,
        identity: &identity,
        manifest,
    };
    let objects = copy_streams(&way, &streams, options, run)?;

    let mut copied = manifest.clone();
    for (record, (stream, objects)) in copied.streams.iter_mut().zip(streams.iter().zip(&objects)) {
        if stream.role == Role::Data {
            record.objects = objects.len() as u64;
        }
    }
    copied.objects = objects.into_iter().flatten().collect();
    copied.copied_from = Some(CopiedFrom {
        store: source.url(),
        key: chosen.found.data_key.clone(),
        time: run.clock.now(),
    });
    run.phase(Phase::Committing);
    // The copy's lock is its own. That it is not there stands in no manifest: copies differ in nothing else.
    copied.lock = None;
    let lock = at_commit(target.store.as_ref(), options.lock.as_ref(), begun, run);
    let unlocked = lock_objects(target.store.as_ref(), begun, lock, &mut copied, run);
    let committed = commit_manifest(&target.store, &data_key, copied, run)?;
    Ok(CopyOutcome {
        unlocked: unlocked.or(committed.unlocked),
        ..outcome(manifest, data_key, false)
    })
}

/// Copies every stream in turn and returns the objects of each; if one fails, those before it are removed again.
fn copy_streams(way: &Way<'_>, streams: &[Stream], options: &CopyOptions, run: &Run) -> Result<Vec<Vec<ObjectRecord>>> {
    let mut copied = Vec::new();
    for stream in streams {
        let objects = plan(&PlanInput {
            limits: way.target.limits(),
            expected_stored_bytes: Some(stream.bytes()),
            part_bytes: options.transfer.part_bytes,
            in_flight: options.transfer.parts_in_flight,
            memory_bytes: memory_for_parts(options.transfer.memory_bytes),
        })
        .and_then(|parts| copy_stream(way, stream, parts, run));
        match objects {
            Ok(objects) => copied.push(objects),
            Err(failure) => {
                roll_back(way.target.as_ref(), &copied.concat(), way.lock, run);
                let failure = run.interruption_or(failure);
                return Err(match failure.kind() {
                    Kind::Interrupted => failure,
                    _ => failure.context(format!("Could not copy `{}` to {}", way.manifest.id, way.target.url())),
                });
            }
        }
    }
    Ok(copied)
}

/// What the parts may hold: the blocks that are being read share the memory with them.
fn memory_for_parts(memory_bytes: u64) -> u64 {
    let reading_bytes = BLOCK_BYTES_DEFAULT * (IN_FLIGHT_DEFAULT as u64 + 1);
    memory_bytes.saturating_sub(reading_bytes).max(memory_bytes / 2)
}

/// Only what was committed can be proved right at the other end.
fn committed(chosen: &Chosen) -> Result<&Manifest> {
    chosen.manifest.as_ref().ok_or_else(|| {
        Failure::new(
            Kind::Refused,
            format!(
                "`{}` has no manifest, so that nothing would prove a copy of it right",
                chosen.found.data_key
            ),
        )
        .hint("Only committed backups are copied; copy the object itself with the provider's tools")
    })
}

/// The key of the first data object at the target: its folder, and the file name that the backup has already.
fn key_at(target: &CopyTarget, chosen: &Chosen, manifest: &Manifest) -> Result<Key> {
    let file_name = chosen.found.data_key.file_name();
    target
        .layout
        .key_of_copy(&manifest.name, &manifest.host, manifest.started, file_name)
}

fn outcome(manifest: &Manifest, data_key: Key, already_there: bool) -> CopyOutcome {
    CopyOutcome {
        id: manifest.id.clone(),
        name: manifest.name.clone(),
        data_bytes: manifest.data_bytes(),
        data_key,
        already_there,
        unlocked: None,
    }
}
