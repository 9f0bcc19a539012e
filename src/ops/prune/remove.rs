//! The removal itself: manifests first, data last, in batches, with what became of each object.

use std::collections::BTreeSet;

use super::{LockHint, Objects};
use crate::base::failure::{Failure, Kind, Result};
use crate::catalog::layout::{KeyRole, role_of};
use crate::ops::Run;
use crate::ops::many::in_parallel;
use crate::store::removal::{Deletion, Doomed, Retained, Version};
use crate::store::{Key, Store};

/// How many backups are removed between two looks at whether the run is to end: what has lost its manifest loses the rest
/// before that.
const BACKUPS_AT_ONCE: usize = 300;

/// What to do about the rest of a backup without a manifest.
pub const LEFTOVERS_HINT: &str = "`backup-cli cleanup` removes what is left of them once it is old enough; --older-than 0s at once, if no backup is running";

/// What a removal did.
#[derive(Debug, Default)]
pub struct Removal {
    /// The backups that are gone, by their data keys.
    pub removed: BTreeSet<Key>,
    /// The stored length of their data, in bytes.
    pub backups_bytes: u64,
    /// The leftovers of earlier runs that are gone, by the data keys that they had.
    pub leftovers: BTreeSet<Key>,
    /// The objects that could not be removed, and why.
    pub failed: Vec<(Key, Failure)>,
    /// The objects that are locked.
    pub retained: Vec<(Key, Retained)>,
    /// The backups that have lost their manifests, so that no list has them, and of which something is left.
    pub unlisted: BTreeSet<Key>,
    /// How many objects are only covered: their versions stay.
    pub covered: u64,
    /// The series that were left alone because another run has them, and how many backups of each were to go.
    pub skipped: Vec<(String, usize, Failure)>,
}

impl Removal {
    pub(super) fn skip(&mut self, name: &str, backups: usize, failure: Failure) {
        self.skipped.push((name.to_owned(), backups, failure));
    }

    pub(in crate::ops) fn add_leftovers(&mut self, other: Self) {
        self.leftovers.extend(other.removed);
        self.failed.extend(other.failed);
        self.retained.extend(other.retained);
        self.covered += other.covered;
    }

    /// Whether everything that was to go is gone, but for what is locked.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.failed.is_empty() && self.skipped.is_empty()
    }

    /// Takes down what became of some objects; the ones that are out of the way.
    fn take(&mut self, keys: Vec<Key>, outcomes: Vec<Deletion>) -> BTreeSet<Key> {
        let mut gone = BTreeSet::new();
        for (key, outcome) in keys.into_iter().zip(outcomes) {
            match outcome {
                Deletion::Gone => {
                    gone.insert(key);
                }
                Deletion::Covered => {
                    self.covered += 1;
                    gone.insert(key);
                }
                Deletion::Retained(retained) => self.retained.push((key, retained)),
                Deletion::Failed(failure) => self.failed.push((key, failure)),
            }
        }
        gone
    }
}

/// Removes families, the first one first.
///
/// # Errors
/// [`Kind::Interrupted`] between two batches; the failure of a request of which it is not known what it did.
pub(in crate::ops) fn remove_families(
    store: &dyn Store,
    families: &[&Objects],
    purge_versions: bool,
    removal: &mut Removal,
    run: &Run,
) -> Result<()> {
    for batch in families.chunks(BACKUPS_AT_ONCE) {
        run.cancel.check()?;
        match purge_versions {
            false => remove_batch(store, &unlocked(store, batch, removal, run)?, removal)?,
            true => {
                for family in batch {
                    run.cancel.check()?;
                    purge(store, family, removal)?;
                }
            }
        }
    }
    Ok(())
}

/// The families without those that are locked now: what is locked goes on being a backup until the lock ends, while a marker
/// would only hide it.
fn unlocked<'a>(
    store: &dyn Store,
    families: &[&'a Objects],
    removal: &mut Removal,
    run: &Run,
) -> Result<Vec<&'a Objects>> {
    let looked = in_parallel(families, |family| -> Result<Option<(Key, Retained)>> {
        if family.lock == LockHint::Unlikely {
            return Ok(None);
        }
        run.cancel.check()?;
        match (retained(store, family), family.lock) {
            (Err(failure), LockHint::Recorded(until)) if failure.kind() == Kind::Denied => {
                Ok(Some((family.data_key.clone(), Retained { until: Some(until) })))
            }
            (Err(failure), _) if failure.kind() == Kind::Denied => Ok(None),
            (looked, _) => looked,
        }
    });
    run.cancel.check()?;
    let mut free = Vec::with_capacity(families.len());
    for (family, looked) in families.iter().zip(looked) {
        match looked? {
            Some(retained) => removal.retained.push(retained),
            None => free.push(*family),
        }
    }
    Ok(free)
}

/// What keeps a backup from going: a lock of its data, or of its manifest, which is written last and so may be locked for
/// longer.
///
/// # Errors
/// If the store cannot tell.
pub(super) fn retained(store: &dyn Store, family: &Objects) -> Result<Option<(Key, Retained)>> {
    let manifest = family.keys().next().filter(|key| step_of(key) == 0);
    for key in manifest.into_iter().chain([family.data_key.clone()]) {
        if let Some(retained) = store.retained(&key)? {
            return Ok(Some((key, retained)));
        }
    }
    Ok(None)
}

/// What stands at the front of the queue, in this order: nothing of a later step goes before all of an earlier one.
fn step_of(key: &Key) -> usize {
    match role_of(key) {
        KeyRole::Manifest { .. } => 0,
        KeyRole::Note { .. } => 1,
        KeyRole::Index { .. } => 2,
        KeyRole::Continuation { .. } => 3,
        KeyRole::Data => 4,
    }
}

const STEPS: usize = 5;

fn remove_batch(store: &dyn Store, families: &[&Objects], removal: &mut Removal) -> Result<()> {
    // What keeps its manifest stays as a whole; so does data of which something else could not be removed, so that the
    // next run finds it.
    let mut stuck: BTreeSet<&Key> = BTreeSet::new();
    let mut unlisted: BTreeSet<Key> = BTreeSet::new();
    for step in 0..STEPS {
        let mut keys = Vec::new();
        let mut owners = Vec::new();
        for family in families.iter().filter(|family| !stuck.contains(&family.data_key)) {
            for key in family.keys().filter(|key| step_of(key) == step) {
                keys.push(key);
                owners.push(&family.data_key);
            }
        }
        if keys.is_empty() {
            continue;
        }
        let doomed: Vec<Doomed> = keys.iter().map(Doomed::object).collect();
        let deleted = store.delete_many(&doomed);
        let outcomes = deleted
            .and_then(|outcomes| check_number(&outcomes, doomed.len()).map(|()| outcomes))
            .map_err(|failure| half_way(failure, unlisted.len()))?;
        let all = keys.clone();
        let gone = removal.take(keys, outcomes);
        stuck.extend(
            all.iter()
                .zip(owners)
                .filter(|(key, _)| !gone.contains(*key))
                .map(|(_, owner)| owner),
        );
        if step == 0 {
            unlisted.extend(gone.iter().filter_map(|key| match role_of(key) {
                KeyRole::Manifest { of } => Some(of),
                _ => None,
            }));
        }
    }
    removal
        .unlisted
        .extend(unlisted.into_iter().filter(|key| stuck.contains(key)));
    let done = families.iter().filter(|family| !stuck.contains(&family.data_key));
    removal.removed.extend(done.map(|family| family.data_key.clone()));
    Ok(())
}

/// What a failure in the midst of a removal leaves.
fn half_way(failure: Failure, unlisted: usize) -> Failure {
    match unlisted {
        0 => failure,
        1 => failure.context("1 backup is in no list any more, and something of it is left"),
        count => failure.context(format!(
            "{count} backups are in no list any more, and something of them is left"
        )),
    }
    .hint(LEFTOVERS_HINT)
}

fn check_number<T>(outcomes: &[T], asked: usize) -> Result<()> {
    match outcomes.len() == asked {
        true => Ok(()),
        false => Err(Failure::new(
            Kind::Failed,
            format!(
                "The store told what became of {} objects instead of {asked}",
                outcomes.len()
            ),
        )),
    }
}

/// Removes a family with all versions of its objects. The data's own version goes last: as long as anything is left, a
/// listing shows it.
fn purge(store: &dyn Store, family: &Objects, removal: &mut Removal) -> Result<()> {
    // What is locked goes on being a backup until the lock ends.
    if let Some(retained) = retained(store, family)? {
        removal.retained.push(retained);
        return Ok(());
    }
    let mut versions: Vec<Version> = Vec::new();
    let mut keys: Vec<Key> = family.keys().collect();
    let mut is_clear = true;
    // A marker first: with the newest version alone gone, an older one would be seen.
    if let Some(manifest) = keys.first().filter(|key| step_of(key) == 0).cloned() {
        let outcomes = store.delete_many(&[Doomed::object(&manifest)])?;
        check_number(&outcomes, 1)?;
        let covered = removal.covered;
        is_clear = removal.take(vec![manifest.clone()], outcomes).contains(&manifest);
        removal.covered = covered;
        if !is_clear {
            return Ok(());
        }
    }
    store.list_versions(family.data_key.as_str(), &mut |version| {
        if belongs(&version.key, &family.data_key) {
            versions.push(version);
        }
        Ok(std::ops::ControlFlow::Continue(()))
    })?;
    if versions.is_empty() {
        // A store without versions.
        return remove_batch(store, &[family], removal);
    }
    keys.extend(versions.iter().map(|version| version.key.clone()));
    keys.sort_by_key(step_of);
    keys.dedup();
    for key in keys {
        let of_key = || versions.iter().filter(|version| version.key == key);
        // The version that is seen goes after the others, and a marker after all that it covers.
        for is_seen in [false, true] {
            let some: Vec<&Version> = of_key()
                .filter(|version| !version.is_marker && version.is_latest == is_seen)
                .collect();
            is_clear &= purge_versions(store, &some, removal)?;
        }
        if is_clear {
            let markers: Vec<&Version> = of_key().filter(|version| version.is_marker).collect();
            is_clear &= purge_versions(store, &markers, removal)?;
        }
        if !is_clear {
            return Ok(());
        }
    }
    removal.removed.insert(family.data_key.clone());
    Ok(())
}

/// Whether all of them are gone.
fn purge_versions(store: &dyn Store, versions: &[&Version], removal: &mut Removal) -> Result<bool> {
    if versions.is_empty() {
        return Ok(true);
    }
    let doomed: Vec<Doomed> = versions.iter().map(|version| Doomed::version(version)).collect();
    let outcomes = store.delete_many(&doomed)?;
    check_number(&outcomes, doomed.len())?;
    let is_gone = outcomes
        .iter()
        .all(|outcome| matches!(outcome, Deletion::Gone | Deletion::Covered));
    removal.take(versions.iter().map(|version| version.key.clone()).collect(), outcomes);
    Ok(is_gone)
}

/// Whether a key is of the family of the data key, by its name.
fn belongs(key: &Key, data_key: &Key) -> bool {
    match role_of(key) {
        KeyRole::Data => key == data_key,
        KeyRole::Manifest { of } | KeyRole::Index { of } | KeyRole::Continuation { of } | KeyRole::Note { of, .. } => {
            of == *data_key
        }
    }
}
