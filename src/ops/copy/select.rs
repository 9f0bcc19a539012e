//! Which backups of a store are copied when all are asked for.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::super::Run;
use super::super::many::in_parallel;
use crate::base::failure::{Failure, Kind, Result};
use crate::catalog::layout::Layout;
use crate::catalog::listing::{Found, is_uncommitted, load_manifest, scan};
use crate::catalog::selection::Chosen;
use crate::store::Store;

/// A committed backup of the source.
pub struct Candidate {
    /// Its id, by its key.
    pub id: String,
    /// The backup, or why its manifest cannot be read.
    pub chosen: Result<Chosen>,
}

/// What a store holds for copying.
pub struct Selection {
    /// Committed backups, newest first: the one that matters most is safe first.
    pub candidates: Vec<Candidate>,
    /// Objects of somebody else, which are not copied.
    pub unmanaged: u64,
}

/// Finds the committed backups of a store, or of one series; of each series only the newest `last`, if a number is given.
///
/// # Errors
/// If the listing fails; what is wrong with one backup stands in its place.
pub fn select(
    store: &Arc<dyn Store>,
    layout: &Layout,
    name: Option<&str>,
    last: Option<usize>,
    run: &Run,
) -> Result<Selection> {
    let prefix = match name {
        Some(name) => layout.series_prefix(name),
        None if store.prefix().is_empty() => String::new(),
        None => format!("{}/", store.prefix()),
    };
    let found = scan(store.as_ref(), &prefix, &run.cancel)?;
    let (managed, others): (Vec<Found>, Vec<Found>) = found
        .into_iter()
        .partition(|candidate| candidate.manifest_key.is_some());
    let loaded = in_parallel(&managed, |candidate| {
        run.cancel.check()?;
        match &candidate.manifest_key {
            Some(key) => load_manifest(store.as_ref(), key),
            None => Err(Failure::new(Kind::NotFound, "There is no manifest")),
        }
    });
    run.cancel.check()?;
    let mut taken: BTreeMap<String, usize> = BTreeMap::new();
    let mut candidates = Vec::new();
    for (found, manifest) in managed.into_iter().zip(loaded) {
        let series = match &manifest {
            Ok(manifest) => manifest.name.clone(),
            // It was removed between the listing and now.
            Err(failure) if failure.kind() == Kind::NotFound => continue,
            Err(_) => found.name_hint.clone(),
        };
        if name.is_some_and(|name| name != series) {
            continue;
        }
        let so_far = taken.entry(series).or_default();
        *so_far += 1;
        if last.is_some_and(|last| *so_far > last) {
            continue;
        }
        candidates.push(Candidate {
            id: found.id.clone(),
            chosen: manifest.map(|manifest| Chosen {
                found,
                manifest: Some(manifest),
            }),
        });
    }
    Ok(Selection {
        candidates,
        unmanaged: count_unmanaged(store, &others, name, run)?,
    })
}

fn count_unmanaged(store: &Arc<dyn Store>, others: &[Found], name: Option<&str>, run: &Run) -> Result<u64> {
    let of_series: Vec<&Found> = others
        .iter()
        .filter(|other| name.is_none_or(|name| name == other.name_hint))
        .collect();
    let uncommitted = in_parallel(&of_series, |other| {
        run.cancel.check()?;
        is_uncommitted(store.as_ref(), other)
    });
    let mut count = 0;
    for is_ours in uncommitted {
        count += u64::from(!is_ours?);
    }
    Ok(count)
}
