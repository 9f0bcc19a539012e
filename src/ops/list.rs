//! What the store holds: committed backups with what their manifests say, and unmanaged objects.

use std::sync::Arc;

use jiff::Timestamp;
use serde::Serialize;

use super::Run;
use super::drill::DrillBody;
use super::many::in_parallel;
use crate::base::failure::{Kind, Result};
use crate::catalog::layout::Layout;
use crate::catalog::listing::{Found, contradiction, is_uncommitted, load_manifest, scan};
use crate::catalog::manifest::{Manifest, State};
use crate::catalog::notes::{NoteKind, load_note};
use crate::store::archive::ThawState;
use crate::store::{Key, Store};

/// The storage classes whose objects may have to be thawed before they are read.
const ARCHIVES: [&str; 3] = ["GLACIER", "DEEP_ARCHIVE", "INTELLIGENT_TIERING"];

/// How many rows are made at a time.
const ROWS_AT_ONCE: usize = 1000;

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
    /// The newest drill that was made of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub drill: Option<ListedDrill>,
}

/// A drill, in a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct ListedDrill {
    /// When it began.
    pub time: Timestamp,
    /// Whether the backup proved good; `None` if the evidence cannot be read.
    pub passed: Option<bool>,
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
    let prefix = match &options.name {
        Some(name) => layout.series_prefix(name),
        None if store.prefix().is_empty() => String::new(),
        None => format!("{}/", store.prefix()),
    };
    let mut found = scan(store.as_ref(), &prefix, &run.cancel)?;
    if options.name.is_none()
        && let Some(limit) = options.limit
    {
        // Uncommitted leftovers are sorted out below and must not use up the limit.
        let managed = found.iter().position({
            let mut seen = 0;
            move |candidate| {
                seen += usize::from(candidate.manifest_key.is_some());
                seen > limit
            }
        });
        found.truncate(managed.unwrap_or(found.len()));
    }
    let mut report = ListReport::default();
    // What the keys tell is let go as the rows come to be, so that there is never twice of a hundred thousand.
    let mut found = found.into_iter();
    loop {
        let some: Vec<Found> = found.by_ref().take(ROWS_AT_ONCE).collect();
        if some.is_empty() {
            break;
        }
        let rows = describe_all(store.as_ref(), &some, run)?;
        for (candidate, row) in some.into_iter().zip(rows) {
            match row {
                None => report.uncommitted.push(candidate.data_key),
                Some(row) if options.name.as_ref().is_none_or(|name| *name == row.name) => report.backups.push(row),
                Some(_) => {}
            }
        }
    }
    report.backups.sort_by(|a, b| (b.time, &b.id).cmp(&(a.time, &a.id)));
    report.backups.truncate(options.limit.unwrap_or(usize::MAX));
    Ok(report)
}

/// A row for each candidate, in order; `None` for an uncommitted leftover.
fn describe_all(store: &dyn Store, found: &[Found], run: &Run) -> Result<Vec<Option<Listed>>> {
    let rows = in_parallel(found, |candidate| {
        run.cancel.check().and_then(|()| describe(store, candidate))
    });
    run.cancel.check()?;
    rows.into_iter().collect()
}

fn describe(store: &dyn Store, found: &Found) -> Result<Option<Listed>> {
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
    let passed = match load_note::<DrillBody>(store, key) {
        Ok(note) => Some(note.body.passed()),
        Err(failure)
            if matches!(
                failure.kind(),
                Kind::NotFound | Kind::Damaged | Kind::Unsupported | Kind::Denied
            ) =>
        {
            None
        }
        Err(failure) => return Err(failure),
    };
    Ok(Some(ListedDrill { time, passed }))
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
