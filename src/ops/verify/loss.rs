//! What is lost with damaged bytes, by the index, and what can be had instead.

use std::ops::{ControlFlow, Range};
use std::sync::Arc;

use super::super::Run;
use super::super::ls::{IndexItem, read_index};
use super::{Checked, quick};
use crate::base::failure::Result;
use crate::catalog::index::{Entry, EntryKind};
use crate::catalog::listing::{contradiction, load_manifest, scan};
use crate::catalog::selection::Chosen;
use crate::store::Store;

/// How many lost entries are named; the rest are counted.
const NAMED_MAX: usize = 20;

/// How many separate places of damage are told apart; what is between later ones counts as lost with them.
const PLACES_MAX: usize = 100_000;

/// How many older backups are looked at before the search for a good one is given up.
const OLDER_MAX: usize = 20;

/// Damaged places of the plaintext, in order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct LostPlaces {
    places: Vec<Range<u64>>,
    /// Whether something was lost of which it is not known where it lies.
    pub(super) is_vague: bool,
}

impl LostPlaces {
    /// Adds a place behind the others.
    pub(super) fn add(&mut self, place: Option<Range<u64>>) {
        let Some(place) = place else {
            self.is_vague = true;
            return;
        };
        let is_full = self.places.len() >= PLACES_MAX;
        match self.places.last_mut() {
            Some(last) if last.end >= place.start || is_full => last.end = last.end.max(place.end),
            _ => self.places.push(place),
        }
    }

    /// How many bytes are lost.
    pub(super) fn bytes(&self) -> u64 {
        self.places.iter().map(|place| place.end - place.start).sum()
    }

    fn touch(&self, range: &Range<u64>) -> bool {
        let after = self.places.partition_point(|place| place.end <= range.start);
        self.places.get(after).is_some_and(|place| place.start < range.end)
    }
}

/// What is lost of a backup, and what can be had instead.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Loss {
    /// Plaintext bytes that are lost.
    pub plain_bytes: u64,
    /// The first of the files or tables of which something is lost.
    pub entries: Vec<String>,
    /// How many there are.
    pub entries_lost: u64,
    /// How many files or tables are whole.
    pub entries_whole: u64,
    /// Whether single files or tables can be had without the rest.
    pub is_divisible: bool,
    /// Whether a restore reads it: not while a data object is gone or has another length than it had.
    pub is_readable: bool,
    /// Whether it is known at all which they are.
    pub is_known: bool,
    /// The next older backup of the series of which all is there.
    pub older: Option<String>,
}

/// Finds out what is lost.
///
/// # Errors
/// The store's failures.
pub(super) fn find_loss(
    store: &Arc<dyn Store>,
    chosen: &Chosen,
    places: &LostPlaces,
    index_is_good: bool,
    run: &Run,
) -> Result<Loss> {
    let manifest = chosen.manifest.as_ref();
    let mut loss = Loss {
        plain_bytes: places.bytes(),
        is_readable: manifest.is_none_or(|manifest| contradiction(&chosen.found, manifest).is_none()),
        is_known: index_is_good && !places.is_vague,
        older: next_older(store, chosen, run)?,
        ..Loss::default()
    };
    if loss.is_known {
        read_index(store, chosen, run, |item| {
            if let IndexItem::Entry(entry) = item {
                take(&mut loss, &entry, places, chosen);
            }
            Ok(ControlFlow::Continue(()))
        })?;
    }
    Ok(loss)
}

fn take(loss: &mut Loss, entry: &Entry, places: &LostPlaces, chosen: &Chosen) {
    // A folder or an object without bytes of its own is lost with nothing.
    if places.touch(&entry.range()) {
        loss.entries_lost += 1;
        if loss.entries.len() < NAMED_MAX {
            loss.entries.push(entry.path.display());
        }
    } else {
        loss.entries_whole += 1;
    }
    let plain_bytes = chosen.manifest.as_ref().map_or(0, |manifest| manifest.plain_bytes);
    let is_all = entry.kind == EntryKind::Table && entry.offset == 0 && entry.length == plain_bytes;
    loss.is_divisible |= !is_all;
}

/// The next older backup of the series that is all there at a look.
fn next_older(store: &Arc<dyn Store>, chosen: &Chosen, run: &Run) -> Result<Option<String>> {
    let prefix = match store.prefix() {
        "" => String::new(),
        prefix => format!("{prefix}/"),
    };
    let older = scan(store.as_ref(), &prefix, &run.cancel)?.into_iter().filter(|found| {
        found.time < chosen.found.time
            && found.known_damage().is_none()
            && found.data_key != chosen.found.data_key
            && (found.name_hint == chosen.found.name_hint || found.name_hint == chosen.name())
    });
    for found in older.take(OLDER_MAX) {
        let Some(Ok(manifest)) = found
            .manifest_key
            .as_ref()
            .map(|key| load_manifest(store.as_ref(), key))
        else {
            continue;
        };
        if manifest.name != chosen.name() {
            continue;
        }
        let older = Chosen {
            found,
            manifest: Some(manifest),
        };
        let mut looked = Checked::new(&older, super::Level::Quick);
        if quick::look_at_objects(store, &older, &mut looked, run).is_ok() && !looked.is_damaged() {
            return Ok(Some(looked.id));
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_overlaps_a_damaged_place_is_lost() {
        let mut places = LostPlaces::default();
        for place in [10..20, 20..30, 50..60] {
            places.add(Some(place));
        }
        assert_eq!(places.bytes(), 30);
        for (range, lost) in [
            (0..10, false),
            (0..11, true),
            (29..31, true),
            (30..50, false),
            (59..99, true),
            (60..70, false),
        ] {
            assert_eq!(places.touch(&range), lost, "{range:?}");
        }
        assert!(!places.is_vague);
        places.add(None);
        assert!(places.is_vague);
    }
}
