//! What a store holds, from one pass over its keys: no manifest is read.

use std::collections::BTreeMap;

use jiff::Timestamp;

use super::CostOptions;
use super::forecast::{Forecast, Unforeseen};
use crate::base::failure::Result;
use crate::catalog::layout::{KeyRole, name_and_time_of, role_of};
use crate::catalog::listing::{FamilyMember, visit_members};
use crate::ops::Run;
use crate::pricing::{STANDARD, Tally};
use crate::store::{Key, ObjectMeta, Store};

/// From how many of the newest backups of a series it is told how often one is made, and how large it is.
pub(super) const NEWEST_LOOKED_AT: usize = 8;

/// What an object is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Sort {
    /// The backups' bytes.
    Data,
    /// The tables of what is inside.
    Index,
    /// The records of the commits.
    Manifest,
    /// Remarks beside backups.
    Note,
    /// What belongs to no backup: objects of others, and what a run that goes on or broke off has written.
    Unmanaged,
    /// Versions that nobody sees any more.
    OldVersion,
}

impl Sort {
    /// All of them, in the order in which they are shown.
    pub const ALL: [Self; 6] = [
        Self::Data,
        Self::Index,
        Self::Manifest,
        Self::Note,
        Self::Unmanaged,
        Self::OldVersion,
    ];

    /// The word for it.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Data => "data",
            Self::Index => "indexes",
            Self::Manifest => "manifests",
            Self::Note => "notes",
            Self::Unmanaged => "unmanaged",
            Self::OldVersion => "old versions",
        }
    }
}

/// One of the newest backups of a series.
#[derive(Clone, Copy, Debug)]
pub(super) struct Recent {
    pub(super) time: Timestamp,
    pub(super) data_bytes: u64,
    pub(super) data_objects: u32,
    pub(super) side_bytes: u64,
    pub(super) side_objects: u32,
}

/// What there is of one series.
#[derive(Clone, Debug, Default)]
pub struct SeriesHoldings {
    /// How many committed backups there are.
    pub backups: u64,
    /// All their objects.
    pub tally: Tally,
    /// What the series comes to; `None` without prices.
    pub forecast: Option<Result<Forecast, Unforeseen>>,
    /// The newest, the newest first.
    pub(super) recent: Vec<Recent>,
}

impl SeriesHoldings {
    fn note(&mut self, recent: Recent) {
        let place = self.recent.partition_point(|known| known.time >= recent.time);
        if place < NEWEST_LOOKED_AT {
            self.recent.reserve_exact(1);
            self.recent.insert(place, recent);
            self.recent.truncate(NEWEST_LOOKED_AT);
        }
    }
}

/// What a store holds.
#[derive(Clone, Debug, Default)]
pub struct Holdings {
    /// By series.
    pub series: BTreeMap<String, SeriesHoldings>,
    /// By what objects are for.
    pub sorts: BTreeMap<Sort, Tally>,
}

impl Holdings {
    /// Everything together.
    #[must_use]
    pub fn total(&self) -> Tally {
        let mut total = Tally::default();
        self.sorts.values().for_each(|tally| total.extend(tally));
        total
    }
}

/// Adds up what begins with `prefix`.
///
/// # Errors
/// If the listing fails anywhere.
pub(super) fn add_up(store: &dyn Store, prefix: &str, options: &CostOptions, run: &Run) -> Result<Holdings> {
    let mut holdings = Holdings::default();
    visit_members(store, prefix, &run.cancel, &mut |data_key, members| {
        add_family(&mut holdings, &data_key, &members, options);
        Ok(())
    })?;
    Ok(holdings)
}

fn add_family(holdings: &mut Holdings, data_key: &Key, members: &[FamilyMember], options: &CostOptions) {
    let is_committed = members.iter().any(|(_, role)| matches!(role, KeyRole::Manifest { .. }));
    let (name, time) = series_and_time_of(data_key, options);
    if options.name.as_ref().is_some_and(|wanted| *wanted != name) {
        return;
    }
    let add = |tally: &mut Tally, meta: &ObjectMeta| {
        let class = meta.storage_class.as_deref().unwrap_or(STANDARD);
        tally.add(class, meta.bytes, 1, options.prices.as_ref());
    };
    if !is_committed {
        let tally = holdings.sorts.entry(Sort::Unmanaged).or_default();
        members.iter().for_each(|(meta, _)| add(tally, meta));
        return;
    }
    let series = match holdings.series.get_mut(&name) {
        Some(series) => series,
        None => holdings.series.entry(name).or_default(),
    };
    let mut recent = Recent {
        time: time.unwrap_or(Timestamp::UNIX_EPOCH),
        data_bytes: 0,
        data_objects: 0,
        side_bytes: 0,
        side_objects: 0,
    };
    for (meta, role) in members {
        let sort = match role {
            KeyRole::Data | KeyRole::Continuation { .. } => Sort::Data,
            KeyRole::Index { .. } => Sort::Index,
            KeyRole::Manifest { .. } => Sort::Manifest,
            KeyRole::Note { .. } => Sort::Note,
        };
        add(holdings.sorts.entry(sort).or_default(), meta);
        add(&mut series.tally, meta);
        match sort {
            Sort::Data => {
                recent.data_bytes += meta.bytes;
                recent.data_objects += 1;
            }
            _ => {
                recent.side_bytes += meta.bytes;
                recent.side_objects += 1;
            }
        }
    }
    series.backups += 1;
    // The time in the key is that of the backup; without one the store's own is near enough.
    if time.is_none() {
        let modified = members.iter().filter_map(|(meta, _)| meta.modified).min();
        recent.time = modified.unwrap_or(recent.time);
    }
    series.note(recent);
}

/// The series that a data object's key tells, and the time.
fn series_and_time_of(data_key: &Key, options: &CostOptions) -> (String, Option<Timestamp>) {
    let (hint, time) = name_and_time_of(data_key);
    (options.layout.own_series_of(data_key).unwrap_or(hint), time)
}

/// Whether an object is one of the series that is looked at, or of any if none is named.
fn is_wanted(key: &Key, options: &CostOptions) -> bool {
    let Some(wanted) = &options.name else {
        return true;
    };
    let data_key = match role_of(key) {
        KeyRole::Data => key.clone(),
        KeyRole::Continuation { of } | KeyRole::Index { of } | KeyRole::Manifest { of } | KeyRole::Note { of, .. } => {
            of
        }
    };
    series_and_time_of(&data_key, options).0 == *wanted
}

/// Adds what nobody sees any more, in a bucket that keeps versions.
///
/// # Errors
/// If the listing fails anywhere.
pub(super) fn add_old_versions(
    store: &dyn Store,
    prefix: &str,
    holdings: &mut Holdings,
    options: &CostOptions,
    run: &Run,
) -> Result<()> {
    let mut tally = Tally::default();
    store.list_versions(prefix, &mut |version| {
        run.cancel.check()?;
        if !version.is_latest && !version.is_marker && is_wanted(&version.key, options) {
            let class = version.storage_class.as_deref().unwrap_or(STANDARD);
            tally.add(class, version.bytes, 1, options.prices.as_ref());
        }
        Ok(std::ops::ControlFlow::Continue(()))
    })?;
    if !tally.is_empty() {
        holdings.sorts.insert(Sort::OldVersion, tally);
    }
    Ok(())
}
