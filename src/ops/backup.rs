//! Backing up: the commit protocol from the lock to the manifest.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use super::Run;
use super::commit::commit;
use super::counting::{Counting, is_small};
use super::lock::SeriesLock;
use super::lock_until::{LockRequest, begin_in_one};
use super::recent::recent;
use super::shape::compare;
use super::streams::{EndedStreams, Streams};
use crate::base::failure::{Failure, Kind, Result};
use crate::base::report::Phase;
use crate::catalog::codec::Codec;
use crate::catalog::index_file::FinishedIndex;
use crate::catalog::layout::{ENCRYPTED_SUFFIX, Layout, MANIFEST_SUFFIX, check_name, id_of};
use crate::catalog::manifest::{Manifest, State};
use crate::pipeline::crypt::Recipients;
use crate::pipeline::plan::{PartPlan, PlanInput, plan};
use crate::source::{Estimate, Source, SourceReport};
use crate::store::object_lock::ObjectLock;
use crate::store::{Key, Limits, Store};

/// How many seconds a run steps forward to find a free key before it gives up.
const FREE_KEY_TRIES_MAX: u32 = 60;

/// How bytes are moved.
#[derive(Clone, Debug)]
pub struct TransferOptions {
    /// Threads that deflate or inflate.
    pub threads: usize,
    /// The part size that the user insists on, in bytes.
    pub part_bytes: Option<u64>,
    /// How many parts are sent at once, if the user insists.
    pub parts_in_flight: Option<usize>,
    /// What the parts in flight may occupy, in bytes.
    pub memory_bytes: u64,
}

/// What is asked of one backup.
#[derive(Clone, Debug)]
pub struct BackupOptions {
    /// The series.
    pub name: String,
    /// The host, for people.
    pub host: String,
    /// The user's tags.
    pub tags: Vec<String>,
    /// Where keys lie.
    pub layout: Layout,
    /// How members are made.
    pub codec: Codec,
    /// One of the codec's levels.
    pub level: u32,
    /// For whom everything is encrypted; `None` leaves it readable for everybody.
    pub recipients: Option<Recipients>,
    /// How bytes are moved.
    pub transfer: TransferOptions,
    /// The stored size that the user expects, in bytes.
    pub expected_bytes: Option<u64>,
    /// Below which part of the median of earlier backups, in percent, one is flagged; `None` if it is not compared.
    pub shape_guard_percent: Option<u8>,
    /// How what is written is locked; `None` leaves it to the bucket.
    pub lock: Option<LockRequest>,
    /// Where locks lie.
    pub lock_folder: PathBuf,
    /// How long to wait for another run of the series.
    pub lock_timeout: Duration,
}

/// What a backup would do.
#[derive(Clone, Debug)]
pub struct BackupPlan {
    /// The data object's key.
    pub data_key: Key,
    /// When it was begun.
    pub started: Timestamp,
    /// What the source expects.
    pub estimate: Estimate,
    /// How it is cut into parts.
    pub parts: PartPlan,
    /// How everything is locked that is written.
    pub lock: Option<ObjectLock>,
    /// What goes on counting what is expected; it ends with the plan.
    pub(super) _counting: Option<Arc<Counting>>,
}

/// When what a source holds is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Counted {
    /// Before anything else, for those who want to know.
    First,
    /// While the source is read, if nothing depends on it.
    Meanwhile,
}

/// What is known of a source before its first byte.
pub(super) struct Look {
    pub(super) estimate: Estimate,
    /// How many bytes are likely to be stored, if anybody knows.
    pub(super) expected_stored_bytes: Option<u64>,
    pub(super) counting: Option<Arc<Counting>>,
}

/// What a backup has done.
#[derive(Clone, Debug)]
pub struct BackupOutcome {
    /// The commit record.
    pub manifest: Manifest,
    /// Where it lies.
    pub manifest_key: Key,
    /// Why it is not locked as was asked for, if it is not.
    pub unlocked: Option<String>,
}

/// Checks the source and the store and says what a backup would do; changes nothing.
///
/// # Errors
/// Whatever would make the backup fail before its first byte.
pub fn plan_backup(
    store: &Arc<dyn Store>,
    source: &mut dyn Source,
    options: &BackupOptions,
    run: &Run,
) -> Result<BackupPlan> {
    plan_one(store, source, Counted::First, options, run)
}

fn plan_one(
    store: &Arc<dyn Store>,
    source: &mut dyn Source,
    counted: Counted,
    options: &BackupOptions,
    run: &Run,
) -> Result<BackupPlan> {
    let lock = begin_in_one(store.as_ref(), options.lock.as_ref(), run)?;
    let limits = store.limits();
    let look = look_at(source, store.as_ref(), limits, counted, options, run)?;
    let parts = plan_parts(limits, look.expected_stored_bytes, source, options)?;
    let (data_key, started) = free_key(store.as_ref(), source.extension(), options, run)?;
    Ok(BackupPlan {
        data_key,
        started,
        estimate: look.estimate,
        parts,
        lock,
        _counting: look.counting,
    })
}

/// How each stream is cut into parts.
pub(super) fn plan_parts(
    limits: Limits,
    expected_stored_bytes: Option<u64>,
    source: &dyn Source,
    options: &BackupOptions,
) -> Result<PartPlan> {
    plan(&PlanInput {
        limits,
        expected_stored_bytes,
        part_bytes: options.transfer.part_bytes,
        in_flight: options.transfer.parts_in_flight,
        memory_bytes: options.transfer.memory_bytes / source.streams_at_once().max(1) as u64,
    })
    .map_err(|failure| sharing(failure, source.streams_at_once()))
}

/// Prepares the source, and says what is known of it.
pub(super) fn look_at(
    source: &mut dyn Source,
    store: &dyn Store,
    limits: Limits,
    counted: Counted,
    options: &BackupOptions,
    run: &Run,
) -> Result<Look> {
    check_name(&options.name)?;
    run.phase(Phase::Preparing);
    run.reporter.progress().reset();
    source.prepare(&run.source_context()).map_err(of_source)?;
    let bounded = source.bounded().filter(|bounded| {
        let is_planned = options.expected_bytes.is_some() || options.transfer.part_bytes.is_some();
        counted == Counted::Meanwhile && (is_planned || is_small(bounded, limits))
    });
    if let Some(bounded) = bounded {
        let shows = run.reporter.shows_progress();
        return Ok(Look {
            estimate: Estimate::default(),
            expected_stored_bytes: options.expected_bytes,
            counting: shows.then(|| Arc::new(Counting::start(bounded.count, run.reporter.clone()))),
        });
    }
    let estimate = source.estimate(&run.source_context()).map_err(of_source)?;
    run.reporter
        .progress()
        .set_totals(estimate.plain_bytes.unwrap_or(0), estimate.items.unwrap_or(0));
    let expected_stored_bytes = match options.expected_bytes.or(estimate.plain_bytes) {
        Some(bytes) => Some(bytes),
        None => last_stored_bytes(store, options, run),
    };
    Ok(Look {
        estimate,
        expected_stored_bytes,
        counting: None,
    })
}

/// Streams the source into the store and commits it.
///
/// # Errors
/// Anything that leaves the backup unproved; then it is not listed, and neither objects nor uploads of it remain.
pub fn backup(
    store: &Arc<dyn Store>,
    source: &mut dyn Source,
    options: &BackupOptions,
    run: &Run,
) -> Result<BackupOutcome> {
    check_name(&options.name)?;
    let lock = SeriesLock::take(
        &options.lock_folder,
        &store.url(),
        &options.name,
        options.lock_timeout,
        run,
    )?;
    let planned = plan_one(store, source, Counted::Meanwhile, options, run)?;
    let clock_warning = lock
        .last_started()
        .and_then(|last| clock_warning(last, planned.started, &options.name));

    let (mut manifest, index) = stream(store, &planned, source, options, clock_warning, run)?;
    manifest.shape = compare(
        store.as_ref(),
        &options.layout,
        &manifest,
        options.shape_guard_percent,
        run,
    );
    let outcome = commit(store, &planned.data_key, planned.lock, &index, manifest, options, run)?;
    lock.remember(planned.started);
    Ok(outcome)
}

/// Streams the source into the store and makes the data visible there: what is missing then is the index and the manifest,
/// which are returned as they are to be written.
///
/// # Errors
/// Anything that leaves the backup unproved; then no data is left.
pub(super) fn stream(
    store: &Arc<dyn Store>,
    planned: &BackupPlan,
    source: &mut dyn Source,
    options: &BackupOptions,
    warning: Option<String>,
    run: &Run,
) -> Result<(Manifest, FinishedIndex)> {
    run.phase(Phase::BackingUp);
    let streams = Streams::new(store, planned, options, source.streams_at_once(), run);
    // Dropping the streams before they are made visible throws their uploads away.
    let report = source
        .stream_all(&streams, &run.source_context())
        .map_err(|failure| run.interruption_or(of_source(failure)))?;
    run.cancel.check()?;
    let mut streams = streams.end()?;
    let finished = run.clock.now();
    let mut manifest = describe(source, planned, options, report, &streams, finished);
    manifest.warnings.extend(warning);

    run.phase(Phase::Committing);
    let parts = streams.take_parts();
    // Before the data becomes visible: from then on only `commit` fails, and it rolls back.
    let index = streams.index.finish(manifest.private().as_ref())?;
    let objects = EndedStreams::finish(parts, store.as_ref(), planned.lock, run)?;
    for (stream, objects) in manifest.streams.iter_mut().zip(&objects) {
        stream.objects = objects.len() as u64;
    }
    manifest.objects = objects.into_iter().flatten().collect();
    Ok((manifest, index))
}

/// What does not fit into the memory may fit if fewer streams share it.
pub(super) fn sharing(failure: Failure, at_once: usize) -> Failure {
    match at_once > 1 {
        true => failure.hint(format!("{at_once} streams share the memory; ask for fewer --jobs")),
        false => failure,
    }
}

/// A source that is not there is the source's failure: "not found" is said of buckets, profiles and backups.
fn of_source(failure: Failure) -> Failure {
    let failure = match failure.kind() {
        Kind::NotFound => failure.with_kind(Kind::Source),
        _ => failure,
    };
    match failure.hints().is_empty() && failure.kind() != Kind::Interrupted {
        true => failure.hint("Nothing of this run was kept; mend the cause and run it again"),
        false => failure,
    }
}

/// What to say if the clock has gone back since the last backup; a run may step forward by as much as it looks for a key.
pub(super) fn clock_warning(last: Timestamp, now: Timestamp, name: &str) -> Option<String> {
    let tolerance = SignedDuration::from_secs(i64::from(FREE_KEY_TRIES_MAX));
    (last.duration_since(now) > tolerance).then(|| {
        format!(
            "This machine's clock has gone back: a backup of `{name}` was begun at {last}, which is later than now. Until then `latest` means that one."
        )
    })
}

fn describe(
    source: &dyn Source,
    planned: &BackupPlan,
    options: &BackupOptions,
    report: SourceReport,
    streams: &EndedStreams,
    finished: Timestamp,
) -> Manifest {
    // Several streams have a digest each, and none together.
    let plain_sha256 = match streams.members.as_slice() {
        [only] => Some(hex::encode(only.plain_sha256)),
        _ => None,
    };
    Manifest {
        // Raised to what the content needs when it is written.
        format: 1,
        id: id_of(&planned.data_key),
        name: options.name.clone(),
        host: options.host.clone(),
        source: source.info(),
        started: planned.started,
        finished: finished.max(planned.started),
        state: if report.problem_count == 0 {
            State::Complete
        } else {
            State::Partial
        },
        problems: report.problems,
        problem_count: report.problem_count,
        objects: Vec::new(),
        extension: source.extension().to_owned(),
        plain_bytes: streams.plain_bytes(),
        plain_sha256,
        streams: streams.records(),
        codec: options.codec,
        level: options.level,
        members: streams.member_count(),
        recipients: options.recipients.as_ref().map(Recipients::names).unwrap_or_default(),
        tags: options.tags.clone(),
        warnings: report.warnings,
        counts: report.counts,
        shape: None,
        lock: None,
        copied_from: None,
        adopted: None,
        tool_version: env!("CARGO_PKG_VERSION").to_owned(),
        other: BTreeMap::new(),
    }
}

/// The stored size of the series' newest backup. Credentials that may only write cannot list, and need not.
fn last_stored_bytes(store: &dyn Store, options: &BackupOptions, run: &Run) -> Option<u64> {
    let found = recent(store, &options.layout, &options.name, run.clock.now(), 1, run).ok()?;
    found
        .iter()
        .find(|candidate| candidate.name_hint == options.name)
        .map(crate::catalog::listing::Found::data_bytes)
}

/// Whether a backup with other extensions has the id already. Who may not list relies on the key alone.
fn is_id_taken(store: &dyn Store, key: &Key) -> Result<bool> {
    let folder_bytes = key.as_str().len() - key.file_name().len();
    let prefix = format!("{}{}.", &key.as_str()[..folder_bytes], id_of(key));
    let mut taken = false;
    let listed = store.list(&prefix, &mut |_| {
        taken = true;
        Ok(ControlFlow::Break(()))
    });
    match listed {
        Err(failure) if failure.kind() == Kind::Interrupted => Err(failure),
        _ => Ok(taken),
    }
}

/// What a data object's name ends in, after the extension of its plaintext.
fn stored_extension(options: &BackupOptions) -> String {
    let codec = options.codec.extension();
    match options.recipients {
        None => codec.to_owned(),
        Some(_) => format!("{codec}{ENCRYPTED_SUFFIX}").trim_start_matches('.').to_owned(),
    }
}

/// The first second from now on whose key is free.
fn free_key(store: &dyn Store, extension: &str, options: &BackupOptions, run: &Run) -> Result<(Key, Timestamp)> {
    first_free(extension, options, run, |key, _| is_taken(store, key))
}

/// The first second from now on of whose key `is_taken` says no.
pub(super) fn first_free(
    extension: &str,
    options: &BackupOptions,
    run: &Run,
    mut is_taken: impl FnMut(&Key, Timestamp) -> Result<bool>,
) -> Result<(Key, Timestamp)> {
    let now = run.clock.now();
    let mut started = Timestamp::from_second(now.as_second()).unwrap_or(now);
    let stored_as = stored_extension(options);
    for _ in 0..FREE_KEY_TRIES_MAX {
        let key = options
            .layout
            .data_key(&options.name, &options.host, started, extension, &stored_as)?;
        if !is_taken(&key, started)? {
            return Ok((key, started));
        }
        started = started
            .checked_add(SignedDuration::from_secs(1))
            .map_err(|error| Failure::new(Kind::Failed, "The clock is at the end of time").caused_by(error))?;
    }
    Err(Failure::new(
        Kind::Conflict,
        format!(
            "The next {FREE_KEY_TRIES_MAX} seconds are taken by other backups of `{}`",
            options.name
        ),
    )
    .hint("Check this machine's clock"))
}

/// Whether a backup has the data key, or the id that it stands for.
pub(super) fn is_taken(store: &dyn Store, key: &Key) -> Result<bool> {
    for key in [key, &key.with_suffix(MANIFEST_SUFFIX)] {
        match store.head(key) {
            Ok(None) => {}
            Ok(Some(_)) => return Ok(true),
            // Whoever may not look is still kept from overwriting: every object is created only if its key is free.
            Err(failure) if failure.kind() == Kind::Denied => {}
            Err(failure) => return Err(failure),
        }
    }
    is_id_taken(store, key)
}
