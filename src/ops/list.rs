//! What the store holds: committed backups with what their manifests say, and unmanaged objects.

use std::collections::VecDeque;
use std::sync::Arc;

use jiff::Timestamp;
use serde::Serialize;

use super::Run;
use super::drill::DrillBody;
use super::many::in_parallel;
use crate::base::failure::{Kind, Result};
use crate::catalog::layout::Layout;
use crate::catalog::listing::{Found, Slim, contradiction, is_uncommitted, load_manifest, scan_slim};
use crate::catalog::manifest::{Manifest, State};
use crate::catalog::notes::{Note, NoteKind, load_note};
use crate::store::archive::ThawState;
use crate::store::object_lock::ObjectLock;
use crate::store::{Key, Store};

/// The storage classes whose objects may have to be thawed before they are read.
const ARCHIVES: [&str; 3] = ["GLACIER", "DEEP_ARCHIVE", "INTELLIGENT_TIERING"];

/// How many rows are made at a time, at most: their manifests are read at once.
const ROWS_AT_ONCE: usize = 1000;

/// How many are looked at, at least, for some rows of one series: as many as are read at once.
const ROWS_AT_LEAST: usize = 16;

/// What can be said of a backup without reading its data.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum ListedState {
    /// Committed, and everything is in it.
    Complete,
    /// Committed; some items could not be read.
    Partial,
    /// Somebody else's object: no manifest, never proved whole.
    Unmanaged,
    /// Committed, but objects are missing or have another size, the manifest cannot be read, or a verification found damage.
    Damaged,
    /// Committed by a later version of this tool.
    Newer,
}

/// Whether data that lies in an archive can be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum ListedArchive {
    /// It has to be asked for.
    Frozen,
    /// It was asked for.
    Thawing,
    /// It can be read for some days.
    Thawed,
}

/// One line of the list.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Listed {
    /// The id.
    pub id: String,
    /// The series.
    pub name: String,
    /// When it was begun.
    pub time: Timestamp,
    /// The plaintext's size in bytes, where known.
    pub plain_bytes: Option<u64>,
    /// The stored size of its data in bytes.
    pub stored_bytes: u64,
    /// What can be said of it.
    pub state: ListedState,
    /// What is wrong, for [`ListedState::Damaged`] and [`ListedState::Newer`].
    pub trouble: Option<String>,
    /// The storage class; `None` is the standard one.
    pub storage_class: Option<String>,
    /// Whether its data can be read, if it lies in an archive.
    pub archive: Option<ListedArchive>,
    /// Until when it can be read, if it was thawed and the store says so.
    pub thawed_until: Option<Timestamp>,
    /// The first data object's key.
    pub key: Key,
    /// The source's kind, where known.
    pub source: Option<String>,
    /// The host, where known.
    pub host: Option<String>,
    /// The user's tags.
    pub tags: Vec<String>,
    /// Why it is flagged as far smaller than those before it, unless it was accepted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub flagged: Option<String>,
    /// Since when damage stands that verifications found.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub damaged_since: Option<Timestamp>,
    /// Whether somebody pinned it, so that it is never pruned.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub pinned: bool,
    /// How it is locked, by its manifest; of a lock that is over nothing is said.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lock: Option<ObjectLock>,
    /// The newest drill that was made of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub drill: Option<ListedDrill>,
}

/// A drill, in a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct ListedDrill {
    /// When it began.
    pub time: Timestamp,
    /// Whether the backup proved good; `None` if the evidence cannot be read, or says neither.
    pub passed: Option<bool>,
    /// Whether nothing was found wrong, and not all that was asked had an answer.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub incomplete: bool,
}

/// The list, newest first.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct ListReport {
    /// The backups.
    pub backups: Vec<Listed>,
    /// Data of our own runs that was never committed: in the making, or left by a crash. Not backups.
    pub uncommitted: Vec<Key>,
}

/// What to list.
#[derive(Clone, Debug, Default)]
pub struct ListOptions {
    /// Only this series.
    pub name: Option<String>,
    /// At most so many, the newest.
    pub limit: Option<usize>,
}

/// Lists what the store holds.
///
/// # Errors
/// If the listing or a request fails; what is wrong with one backup is said in its line instead.
pub fn list(store: &Arc<dyn Store>, layout: &Layout, options: &ListOptions, run: &Run) -> Result<ListReport> {
    let mut rows = rows(store, layout, options, run)?;
    let mut backups = rows.by_ref().collect::<Result<Vec<Listed>>>()?;
    backups.sort_by(newest_first);
    Ok(ListReport {
        backups,
        uncommitted: rows.uncommitted,
    })
}

fn newest_first(a: &Listed, b: &Listed) -> std::cmp::Ordering {
    (b.time, &b.id).cmp(&(a.time, &a.id))
}

/// The list as it comes to be: the keys are listed at once, the manifests are read as the rows are taken, the newest first.
///
/// # Errors
/// If the listing fails.
pub fn rows<'a>(store: &'a Arc<dyn Store>, layout: &Layout, options: &ListOptions, run: &'a Run) -> Result<Rows<'a>> {
    let prefix = match &options.name {
        Some(name) => layout.series_prefix(name),
        None if store.prefix().is_empty() => String::new(),
        None => format!("{}/", store.prefix()),
    };
    let mut found = scan_slim(store.as_ref(), &prefix, &run.cancel)?;
    // Every template puts the name into the key, but only the manifest tells where in it.
    if let Some(name) = &options.name {
        found.retain(|slim| !slim.is_committed() || slim.data_key().contains(name.as_str()));
    }
    Ok(Rows {
        store,
        run,
        name: options.name.clone(),
        left: options.limit.unwrap_or(usize::MAX),
        found: found.into_iter(),
        pending: Vec::new(),
        ready: VecDeque::new(),
        uncommitted: Vec::new(),
    })
}

/// The rows of a list; see [`rows`].
pub struct Rows<'a> {
    store: &'a Arc<dyn Store>,
    run: &'a Run,
    name: Option<String>,
    /// How many rows may still be handed on.
    left: usize,
    found: std::vec::IntoIter<Slim>,
    /// Rows that a later one may have to stand before.
    pending: Vec<Listed>,
    ready: VecDeque<Listed>,
    uncommitted: Vec<Key>,
}

impl Rows<'_> {
    /// Describes some more of what was found; whether there was any.
    fn fill(&mut self) -> Result<bool> {
        // Of one series not every candidate makes a row.
        let least = if self.name.is_some() { ROWS_AT_LEAST } else { 1 };
        let number = self.left.clamp(least, ROWS_AT_ONCE);
        // What the keys tell is let go as the rows come to be, so that there is never twice of a hundred thousand.
        let some: Vec<Found> = self.found.by_ref().take(number).map(Slim::into_found).collect();
        let Some(last) = some.last().map(|found| found.time) else {
            return Ok(false);
        };
        let rows = describe_all(self.store.as_ref(), &some, self.run)?;
        for (candidate, row) in some.into_iter().zip(rows) {
            match row {
                None => self.uncommitted.push(candidate.data_key),
                Some(row) if self.name.as_ref().is_none_or(|name| *name == row.name) => self.pending.push(row),
                Some(_) => {}
            }
        }
        self.pending.sort_by(newest_first);
        // Of the same second others may come, and a manifest may tell of an earlier time than the key.
        let settled = self.pending.partition_point(|row| row.time > last);
        self.ready.extend(self.pending.drain(..settled));
        Ok(true)
    }
}

impl Iterator for Rows<'_> {
    type Item = Result<Listed>;

    fn next(&mut self) -> Option<Self::Item> {
        while self.left > 0 && self.ready.is_empty() {
            match self.fill() {
                Ok(true) => {}
                Ok(false) if self.pending.is_empty() => return None,
                Ok(false) => self.ready.extend(self.pending.drain(..)),
                Err(failure) => {
                    self.left = 0;
                    return Some(Err(failure));
                }
            }
        }
        self.left = self.left.checked_sub(1)?;
        self.ready.pop_front().map(Ok)
    }
}

/// A row for each candidate, in order; `None` for an uncommitted leftover.
fn describe_all(store: &dyn Store, found: &[Found], run: &Run) -> Result<Vec<Option<Listed>>> {
    let rows = in_parallel(found, |candidate| {
        run.cancel
            .check()
            .and_then(|()| describe(store, candidate, run.clock.now()))
    });
    run.cancel.check()?;
    rows.into_iter().collect()
}

fn describe(store: &dyn Store, found: &Found, now: Timestamp) -> Result<Option<Listed>> {
    let mut row = Listed {
        id: found.id.clone(),
        name: found.name_hint.clone(),
        time: found.time,
        plain_bytes: None,
        stored_bytes: found.data_bytes(),
        state: ListedState::Unmanaged,
        trouble: None,
        storage_class: found.storage_class.clone(),
        archive: None,
        thawed_until: None,
        key: found.data_key.clone(),
        source: None,
        host: None,
        tags: Vec::new(),
        flagged: None,
        damaged_since: None,
        pinned: found.has_note(NoteKind::Pin),
        lock: None,
        drill: newest_drill(store, found)?,
    };
    if row
        .storage_class
        .as_deref()
        .is_some_and(|class| ARCHIVES.contains(&class))
    {
        (row.archive, row.thawed_until) = archive(store, &found.data_key)?;
    }
    let Some(manifest_key) = &found.manifest_key else {
        return Ok(if is_uncommitted(store, found)? { None } else { Some(row) });
    };
    match load_manifest(store, manifest_key) {
        Ok(manifest) => {
            let known = found.known_damage();
            row.damaged_since = known.as_ref().map(|known| known.since);
            row.trouble = contradiction(found, &manifest).or_else(|| known.map(|known| known.in_words()));
            row.state = match (&row.trouble, manifest.state) {
                (Some(_), _) => ListedState::Damaged,
                (None, State::Complete) => ListedState::Complete,
                (None, State::Partial) => ListedState::Partial,
            };
            if !found.has_note(NoteKind::Accepted) {
                row.flagged = flag_in(&manifest);
            }
            row.lock = manifest.lock.filter(|lock| lock.until > now);
            fill_in(&mut row, manifest);
        }
        Err(failure) if matches!(failure.kind(), Kind::Damaged | Kind::Unsupported) => {
            row.state = if failure.kind() == Kind::Damaged {
                ListedState::Damaged
            } else {
                ListedState::Newer
            };
            row.trouble = Some(failure.message().to_owned());
        }
        // It was removed between the listing and now.
        Err(failure) if failure.kind() == Kind::NotFound => return Ok(None),
        Err(failure) => return Err(failure),
    }
    Ok(Some(row))
}

/// Whether an archived object can be read. Who may list but not look sees the class alone.
fn archive(store: &dyn Store, key: &Key) -> Result<(Option<ListedArchive>, Option<Timestamp>)> {
    let meta = match store.head(key) {
        Err(failure) if failure.kind() == Kind::Denied => None,
        other => other?,
    };
    Ok(match meta.and_then(|meta| meta.archive).map(|archive| archive.state) {
        None => (None, None),
        Some(ThawState::Frozen) => (Some(ListedArchive::Frozen), None),
        Some(ThawState::Thawing) => (Some(ListedArchive::Thawing), None),
        Some(ThawState::Thawed { until }) => (Some(ListedArchive::Thawed), until),
    })
}

/// The newest drill whose evidence lies beside the backup.
fn newest_drill(store: &dyn Store, found: &Found) -> Result<Option<ListedDrill>> {
    let drills = found.notes.iter().filter_map(|note| match note.kind {
        NoteKind::Drill(time) => Some((time, &note.key)),
        NoteKind::Pin | NoteKind::Accepted | NoteKind::Damaged(..) | NoteKind::Whole(..) => None,
    });
    let Some((time, key)) = drills.max() else {
        return Ok(None);
    };
    let listed = |time, passed, incomplete| ListedDrill {
        time,
        passed,
        incomplete,
    };
    // The key of the second of two drills in one second is a second ahead; what the note says is the time itself.
    Ok(Some(match load_note::<DrillBody>(store, key) {
        Ok(Note { body, .. }) if body.is_incomplete() => listed(body.started, None, true),
        Ok(Note { body, .. }) => listed(body.started, Some(body.passed()), false),
        Err(failure)
            if matches!(
                failure.kind(),
                Kind::NotFound | Kind::Damaged | Kind::Unsupported | Kind::Denied
            ) =>
        {
            listed(time, None, false)
        }
        Err(failure) => return Err(failure),
    }))
}

fn flag_in(manifest: &Manifest) -> Option<String> {
    let shape = manifest.shape.as_ref().filter(|shape| shape.flagged)?;
    Some(shape.why.clone().unwrap_or_default())
}

fn fill_in(row: &mut Listed, manifest: Manifest) {
    row.id = manifest.id;
    row.name = manifest.name;
    row.time = manifest.started;
    row.plain_bytes = Some(manifest.plain_bytes);
    row.source = Some(manifest.source.kind);
    row.host = Some(manifest.host);
    row.tags = manifest.tags;
}
