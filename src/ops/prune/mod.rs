//! Pruning: what the policy does not keep is removed, after a plan that says why of every backup.
//!
//! [`plan_prune`] changes nothing; [`prune`] removes what a plan says, the manifests first: what has lost its manifest is
//! no backup any more, and whatever a crash leaves of it is taken away by the next run.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use super::Run;
use super::leftovers::{Leftover, find_leftovers};
use super::lock::SeriesLock;
use crate::base::failure::{Failure, Kind, Result};
use crate::catalog::layout::Layout;
use crate::catalog::listing::Family;
use crate::retention::{Decision, Guards, Policy};
use crate::store::removal::Retained;
use crate::store::{Key, Store};

mod plan;
mod remove;

pub use plan::plan_prune;
pub(super) use remove::remove_families;
pub use remove::{LEFTOVERS_HINT, Removal};

/// How far this machine's clock may be from the store's. What is in the future, and what was begun just now, is told by
/// clocks; beyond this nothing of it can be believed.
pub const CLOCK_SKEW_MAX: SignedDuration = SignedDuration::from_mins(5);

/// What was begun less than this ago stays, whatever the policy says: somebody may just be reading, copying or testing it.
/// It is twice what the clocks may be apart.
pub const SETTLING: SignedDuration = SignedDuration::from_mins(10);

/// What is asked of a prune.
#[derive(Clone, Debug)]
pub struct PruneOptions {
    /// Only this series; without a name every series of the store, each by itself.
    pub name: Option<String>,
    /// Where keys lie.
    pub layout: Layout,
    /// What is kept.
    pub policy: Policy,
    /// How many of the newest complete backups of a series stay whatever the policy says.
    pub keep_min: usize,
    /// Whether all versions of what is pruned go, in a bucket that keeps versions.
    pub purge_versions: bool,
    /// How old the leftovers of earlier runs must be to be taken away.
    pub leftovers_older_than: Duration,
    /// Where locks lie.
    pub lock_folder: PathBuf,
    /// How long to wait for another run of the series.
    pub lock_timeout: Duration,
}

/// One backup in a plan.
#[derive(Clone, Debug)]
pub struct Planned {
    /// Its id.
    pub id: String,
    /// When it was begun.
    pub time: Timestamp,
    /// The stored length of its data, in bytes.
    pub bytes: u64,
    /// Its tags.
    pub tags: Vec<String>,
    /// The host that made it; empty if its manifest cannot be read.
    pub host: String,
    /// What becomes of it.
    pub decision: Decision,
    /// The lock of what is to go: until its end it stays, whatever is decided.
    pub retained: Option<Retained>,
    /// Its objects, in the order in which they go; known only of what is to be removed.
    objects: Objects,
}

/// The keys of a family without what they have in common.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Objects {
    pub(super) data_key: Key,
    suffixes: Vec<Box<str>>,
    pub(super) lock: LockHint,
}

/// What is known of the lock of a family before it is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum LockHint {
    /// Nothing speaks for one.
    Unlikely,
    /// It has to be looked for: in a bucket that keeps versions, what is locked would only be hidden.
    Possible,
    /// The manifest tells of one that lasts until then.
    Recorded(Timestamp),
}

impl Objects {
    pub(super) fn of(family: &Family) -> Self {
        let strip = |key: &Key| key.as_str().strip_prefix(family.data_key.as_str()).map(Box::from);
        Self {
            data_key: family.data_key.clone(),
            suffixes: family.keys_in_order_of_removal().iter().filter_map(strip).collect(),
            lock: LockHint::Unlikely,
        }
    }

    pub(super) fn keys(&self) -> impl Iterator<Item = Key> + '_ {
        self.suffixes.iter().map(|suffix| self.data_key.with_suffix(suffix))
    }
}

impl Planned {
    /// The first data object's key.
    #[must_use]
    pub fn data_key(&self) -> &Key {
        &self.objects.data_key
    }
}

/// What becomes of one series.
#[derive(Clone, Debug)]
pub struct SeriesPlan {
    /// The series.
    pub name: String,
    /// Its backups, newest first.
    pub backups: Vec<Planned>,
}

impl SeriesPlan {
    /// What is to be removed, newest first.
    pub fn removals(&self) -> impl Iterator<Item = &Planned> {
        self.backups.iter().filter(|backup| !backup.decision.keep)
    }
}

/// Manifests that are there and could not be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unread {
    /// How many.
    pub count: u64,
    /// Why the first of them could not be read.
    pub why: String,
    /// What to do about it.
    pub hint: Option<String>,
}

/// What a prune would do.
#[derive(Clone, Debug, Default)]
pub struct PrunePlan {
    /// The series, by their names.
    pub series: Vec<SeriesPlan>,
    /// What earlier runs left of these series: data or companions of ours without a manifest.
    pub leftovers: Vec<Leftover>,
    /// Objects of somebody else, which stay.
    pub unmanaged: u64,
    /// What could not be read, so that nothing is known of it and it stays.
    pub unread: Option<Unread>,
    /// Whether the store keeps versions, as far as the newest of what is to be removed tells.
    pub keeps_versions: bool,
}

impl PrunePlan {
    /// How many backups are to be removed.
    #[must_use]
    pub fn removal_count(&self) -> usize {
        self.series.iter().map(|series| series.removals().count()).sum()
    }

    /// The stored length of what is to be removed, in bytes.
    #[must_use]
    pub fn removal_bytes(&self) -> u64 {
        let removals = self.series.iter().flat_map(SeriesPlan::removals);
        let leftovers = self.leftovers.iter().map(|leftover| leftover.bytes);
        removals.map(|backup| backup.bytes).chain(leftovers).sum()
    }

    /// How many of the backups to be removed are locked, so that they stay.
    #[must_use]
    pub fn locked_count(&self) -> usize {
        let removals = self.series.iter().flat_map(SeriesPlan::removals);
        removals.filter(|backup| backup.retained.is_some()).count()
    }

    /// Whether there is nothing to do.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        self.leftovers.is_empty() && self.removal_count() == 0
    }

    /// Keeps whatever another plan, made later, would keep: only what both would remove is removed.
    #[must_use]
    pub fn and(mut self, later: &Self) -> Self {
        use std::collections::BTreeSet;
        let still: BTreeSet<&Key> = later
            .series
            .iter()
            .flat_map(SeriesPlan::removals)
            .map(Planned::data_key)
            .collect();
        for series in &mut self.series {
            for backup in &mut series.backups {
                backup.decision.keep |= !still.contains(&backup.objects.data_key);
            }
        }
        self.leftovers.retain(|leftover| later.leftovers.contains(leftover));
        self
    }
}

/// Learns how far the clocks are apart, and returns the store's time.
///
/// # Errors
/// [`Kind::Refused`] if it is more than [`CLOCK_SKEW_MAX`], or if the store cannot be asked.
pub(super) fn common_time(store: &dyn Store, run: &Run) -> Result<Timestamp> {
    let own = run.clock.now();
    let Some(theirs) = store.now().map_err(refused)? else {
        return Ok(own);
    };
    let apart = theirs.duration_since(own);
    if apart.abs() <= CLOCK_SKEW_MAX {
        return Ok(theirs);
    }
    let side = if apart.is_positive() { "behind" } else { "ahead of" };
    Err(Failure::new(
        Kind::Refused,
        format!(
            "This machine's clock is {} {side} the store's, so nothing is removed",
            crate::base::units::format_duration(apart.unsigned_abs())
        ),
    )
    .caused_by(anyhow::anyhow!("It is {own} here and {theirs} at {}", store.url()))
    .hint("Set the clock, for example by NTP, and run it again"))
}

/// Whatever keeps the store from being seen as a whole is a reason to remove nothing. What was never there, and what the
/// user asked for, keep their own exit codes.
pub(super) fn refused(failure: Failure) -> Failure {
    match failure.kind() {
        Kind::NotFound | Kind::Interrupted | Kind::Usage | Kind::Config | Kind::Refused => failure,
        _ => failure
            .context("The store could not be seen as a whole, so nothing was removed")
            .with_kind(Kind::Refused),
    }
}

/// Removes what the plan says, series by series, each under its lock.
///
/// # Errors
/// [`Kind::Incomplete`] never: what could not be removed stands in the outcome. [`Kind::Locked`] if the only series is
/// locked; [`Kind::Interrupted`]; the failure of a request about which nothing is known, after which nothing more is tried.
pub fn prune(store: &Arc<dyn Store>, plan: &PrunePlan, options: &PruneOptions, run: &Run) -> Result<Removal> {
    let mut removal = Removal::default();
    let busy: Vec<&SeriesPlan> = plan
        .series
        .iter()
        .filter(|series| series.removals().next().is_some())
        .collect();
    for series in &busy {
        run.cancel.check()?;
        let lock = SeriesLock::take(
            &options.lock_folder,
            &store.url(),
            &series.name,
            options.lock_timeout,
            run,
        );
        let _lock = match lock {
            Ok(lock) => lock,
            Err(failure) if failure.kind() == Kind::Locked && busy.len() > 1 => {
                let count = series.removals().count();
                removal.skip(&series.name, count, failure);
                continue;
            }
            Err(failure) => return Err(failure),
        };
        // The oldest go first: whatever ends this, the younger ones are still there.
        let doomed: Vec<&Objects> = series.removals().map(|backup| &backup.objects).collect();
        let doomed: Vec<&Objects> = doomed.into_iter().rev().collect();
        remove_families(store.as_ref(), &doomed, options.purge_versions, &mut removal, run)?;
        removal.backups_bytes += series
            .removals()
            .filter(|backup| removal.removed.contains(&backup.objects.data_key))
            .map(|backup| backup.bytes)
            .sum::<u64>();
    }
    let leftovers: Vec<&Objects> = plan.leftovers.iter().map(|leftover| &leftover.objects).collect();
    let mut of_leftovers = Removal::default();
    remove_families(
        store.as_ref(),
        &leftovers,
        options.purge_versions,
        &mut of_leftovers,
        run,
    )?;
    removal.add_leftovers(of_leftovers);
    Ok(removal)
}

/// The guards of a plan.
fn guards(options: &PruneOptions, now: Timestamp) -> Guards {
    Guards {
        now,
        keep_min: options.keep_min,
        settling: SETTLING,
    }
}
