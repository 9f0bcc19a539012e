//! The shape guard: a backup that is far smaller than those before it is made, but flagged until somebody accepts it.
//!
//! A dump of an emptied database ends as well as any other. So each backup is compared with the newest ones of its series
//! that can be trusted: complete, and not flagged themselves. A flag that was accepted begins a new history, for somebody
//! has looked and said that this is how it is now.

use std::sync::Arc;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::Run;
use super::many::in_parallel;
use super::notes::put_note;
use super::recent::recent;
use crate::base::failure::{Failure, Kind, Result};
use crate::base::units::format_bytes;
use crate::catalog::codec::Codec;
use crate::catalog::layout::Layout;
use crate::catalog::listing::{Found, load_manifest};
use crate::catalog::manifest::{Manifest, State};
use crate::catalog::notes::{Note, NoteKind, notes_beside};
use crate::catalog::selection::Chosen;
use crate::catalog::shape::{Measures, Shape};
use crate::store::{Key, Store};

/// How many earlier backups one is compared with: with daily ones a week, so that each day of the week has its say.
pub const REFERENCES_MAX: usize = 7;

/// With fewer earlier backups nothing is said: two may both be tries.
pub const REFERENCES_MIN: usize = 3;

/// How many manifests are read in search of them: flagged, partial and damaged ones may stand in between.
const MANIFESTS_MAX: usize = 4 * REFERENCES_MAX;

/// How a measure is called, in the order of [`Measures::all`].
const NOUNS: [&str; Measures::COUNT] = ["stored size", "size", "files", "tables", "rows"];

/// An earlier backup.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reference {
    /// What is measured of it.
    pub measures: Measures,
    /// What makes its content comparable in length: the extension of the plaintext.
    pub extension: String,
    /// What makes its stored length comparable.
    pub codec: Codec,
    /// Whether it was flagged, and somebody said that it is right as it is.
    pub accepted: bool,
}

impl Reference {
    fn of(manifest: &Manifest, accepted: bool) -> Self {
        Self {
            measures: Measures {
                stored_bytes: Some(manifest.data_bytes()),
                plain_bytes: Some(manifest.plain_bytes),
                files: manifest.counts.files,
                tables: manifest.counts.tables,
                rows: manifest.counts.rows,
            },
            extension: manifest.extension.clone(),
            codec: manifest.codec,
            accepted,
        }
    }

    /// Its measures, without those that mean something else for `other`.
    fn comparable_with(&self, other: &Self) -> Measures {
        let mut measures = self.measures.clone();
        if self.extension != other.extension {
            measures.plain_bytes = None;
        }
        if (self.codec, &self.extension) != (other.codec, &other.extension) {
            measures.stored_bytes = None;
        }
        measures
    }
}

/// Compares a backup with earlier ones, the newest first; `None` if they are too few.
///
/// Only what became smaller is flagged. An accepted reference ends the history: what is older than it is another normal.
#[must_use]
pub fn judge(new: &Reference, earlier: &[Reference], threshold_percent: u8) -> Option<Shape> {
    let last = earlier.iter().position(|reference| reference.accepted);
    let end = last.map_or(earlier.len(), |at| at + 1);
    let history = &earlier[..end.min(REFERENCES_MAX)];
    // Somebody has vouched for an accepted one, so that it alone is history enough.
    let enough = match last.is_some_and(|last| last < history.len()) {
        true => 1,
        false => REFERENCES_MIN,
    };
    if history.len() < enough {
        return None;
    }
    let comparable: Vec<_> = history
        .iter()
        .map(|reference| reference.comparable_with(new).all())
        .collect();
    let measured = new.measures.all();
    let mut medians = [None; Measures::COUNT];
    let mut reasons = Vec::new();
    for (at, median) in medians.iter_mut().enumerate() {
        let known: Vec<u64> = comparable.iter().filter_map(|measures| measures[at]).collect();
        let (true, Some(value)) = (known.len() >= enough, measured[at]) else {
            continue;
        };
        let middle = middle_of(known);
        *median = Some(middle);
        if u128::from(value) * 100 < u128::from(middle) * u128::from(threshold_percent) {
            let shown = |number| match at {
                0 | 1 => format_bytes(number),
                _ => number.to_string(),
            };
            reasons.push(format!(
                "{} {} instead of about {}",
                NOUNS[at],
                shown(value),
                shown(middle)
            ));
        }
    }
    if medians.iter().all(Option::is_none) {
        return None;
    }
    Some(Shape {
        measured: new.measures.clone(),
        medians: Measures::of(medians),
        compared_with: u32::try_from(history.len()).unwrap_or(u32::MAX),
        threshold_percent,
        flagged: !reasons.is_empty(),
        why: (!reasons.is_empty()).then(|| format!("Far smaller than the backups before it: {}", reasons.join(", "))),
    })
}

/// The median; of an even number the greater of the two in the middle, so that the guard errs on the loud side.
fn middle_of(mut values: Vec<u64>) -> u64 {
    values.sort_unstable();
    values.get(values.len() / 2).copied().unwrap_or(0)
}

/// The shape of a backup whose data stands in the store and whose manifest is about to be written; `None` if it is not
/// compared. What keeps it from being compared is said, and keeps no backup from being made.
pub(super) fn compare(
    store: &dyn Store,
    layout: &Layout,
    manifest: &Manifest,
    threshold_percent: Option<u8>,
    run: &Run,
) -> Option<Shape> {
    let threshold_percent = threshold_percent?;
    match references(store, layout, &manifest.name, manifest.started, run) {
        Ok(earlier) => judge(&Reference::of(manifest, false), &earlier, threshold_percent),
        // Whoever commits will notice.
        Err(failure) if failure.kind() == Kind::Interrupted => None,
        Err(failure) if failure.kind() == Kind::Denied => {
            run.note(
                "The size of this backup is not compared with earlier ones: these credentials may not list or read them. --shape-guard off says no more of it.",
            );
            None
        }
        Err(failure) => {
            run.warn(format!(
                "The size of this backup could not be compared with earlier ones: {}.",
                failure.message()
            ));
            None
        }
    }
}

/// The earlier backups of a series that one can be compared with, the newest first.
fn references(store: &dyn Store, layout: &Layout, name: &str, before: Timestamp, run: &Run) -> Result<Vec<Reference>> {
    let mut references = Vec::new();
    visit_good(store, layout, name, before, run, |_, manifest, accepted| {
        let is_enough = accepted || references.len() + 1 >= REFERENCES_MAX;
        references.push(Reference::of(manifest, accepted));
        !is_enough
    })?;
    Ok(references)
}

/// Visits the complete backups of a series that were begun before a time and are not flagged, or that were and are
/// accepted, the newest first, for as long as `visit` returns true.
fn visit_good(
    store: &dyn Store,
    layout: &Layout,
    name: &str,
    before: Timestamp,
    run: &Run,
    mut visit: impl FnMut(&Found, &Manifest, bool) -> bool,
) -> Result<()> {
    let mut found = recent(store, layout, name, before, MANIFESTS_MAX, run)?;
    found.truncate(MANIFESTS_MAX);
    for some in found.chunks(REFERENCES_MAX) {
        run.cancel.check()?;
        let manifests = in_parallel(some, |found| match &found.manifest_key {
            Some(key) => load_manifest(store, key).map(Some),
            None => Ok(None),
        });
        for (found, manifest) in some.iter().zip(manifests) {
            let manifest = match manifest {
                Ok(Some(manifest)) => manifest,
                Ok(None) => continue,
                // Removed meanwhile, or not readable: it tells nothing.
                Err(failure) if matches!(failure.kind(), Kind::NotFound | Kind::Damaged | Kind::Unsupported) => {
                    continue;
                }
                Err(failure) => return Err(failure),
            };
            let flagged = manifest.shape.as_ref().is_some_and(|shape| shape.flagged);
            let accepted = flagged && found.has_note(NoteKind::Accepted);
            if manifest.name == name
                && manifest.state == State::Complete
                && (accepted || !flagged)
                && !visit(found, &manifest, accepted)
            {
                return Ok(());
            }
        }
    }
    Ok(())
}

/// The newest backup of the same series that was begun before `chosen` and is complete and neither flagged nor known to be
/// damaged, if there is one among the last of them.
///
/// # Errors
/// If the store cannot be listed or read.
pub fn last_good_before(store: &Arc<dyn Store>, layout: &Layout, chosen: &Chosen, run: &Run) -> Result<Option<String>> {
    let mut last = None;
    visit_good(
        store.as_ref(),
        layout,
        chosen.name(),
        chosen.time(),
        run,
        |found, manifest, _| {
            if found.known_damage().is_none() {
                last = Some(manifest.id.clone());
            }
            last.is_none()
        },
    )?;
    Ok(last)
}

/// What makes a chosen backup a flagged one; `None` if it is not, or if it was accepted.
///
/// # Errors
/// If the store cannot tell whether it was accepted.
pub fn flag_of<'a>(store: &Arc<dyn Store>, chosen: &'a Chosen) -> Result<Option<&'a Shape>> {
    let Some(shape) = flagged_shape(chosen) else {
        return Ok(None);
    };
    Ok(match is_accepted(store, chosen)? {
        true => None,
        false => Some(shape),
    })
}

fn flagged_shape(chosen: &Chosen) -> Option<&Shape> {
    let shape = chosen.manifest.as_ref()?.shape.as_ref()?;
    shape.flagged.then_some(shape)
}

fn is_accepted(store: &Arc<dyn Store>, chosen: &Chosen) -> Result<bool> {
    if chosen.found.has_note(NoteKind::Accepted) {
        return Ok(true);
    }
    // A backup that was found by its own key comes without its notes.
    let beside = notes_beside(store.as_ref(), &chosen.found.data_key)?;
    Ok(beside.iter().any(|note| note.kind == NoteKind::Accepted))
}

/// What an acceptance says.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct AcceptedBody {
    /// Why, in the user's words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
}

/// What became of an acceptance.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Acceptance {
    /// The note was written.
    Written(Key),
    /// It stood there already.
    Stands,
    /// There is nothing to accept: the backup is not flagged.
    NotFlagged,
}

/// Says of a flagged backup that it is right as it is.
///
/// # Errors
/// [`Kind::Refused`] for an object without a manifest; the store's failures.
pub fn accept(
    store: &Arc<dyn Store>,
    chosen: &Chosen,
    host: &str,
    why: Option<String>,
    run: &Run,
) -> Result<Acceptance> {
    if chosen.manifest.is_none() {
        return Err(Failure::new(
            Kind::Refused,
            format!(
                "`{}` has no manifest, so it was never compared with others",
                chosen.found.id
            ),
        )
        .hint("Only backups that `backup-cli list` shows as flagged are accepted"));
    }
    if flagged_shape(chosen).is_none() {
        return Ok(Acceptance::NotFlagged);
    }
    if is_accepted(store, chosen)? {
        return Ok(Acceptance::Stands);
    }
    let note = Note::new(NoteKind::Accepted, run.clock.now(), host, AcceptedBody { why });
    match put_note(
        store.as_ref(),
        &chosen.found.data_key,
        chosen.name(),
        NoteKind::Accepted,
        &note,
    ) {
        Ok(key) => Ok(Acceptance::Written(key)),
        Err(failure) if failure.kind() == Kind::Conflict => Ok(Acceptance::Stands),
        Err(failure) => Err(failure),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;
