//! Backups whose data lies in an archive: what can be read, asking for the rest, and waiting for it.

use std::io::Read;
use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::Timestamp;

use super::Run;
use super::lifecycle::RECORD_BYTES_MAX;
use super::many::in_parallel;
use crate::base::failure::{Failure, Kind, Result};
use crate::base::report::Phase;
use crate::base::units::format_duration;
use crate::catalog::manifest::Manifest;
use crate::catalog::selection::Chosen;
use crate::store::archive::{Archive, ThawRequest, ThawState, ThawTier};
use crate::store::{Key, Store};

/// The first wait before looking again: an expedited thaw takes a minute.
const POLL_FIRST: Duration = Duration::from_secs(1);

/// The longest wait: a thaw takes hours, and a look costs a request for each object.
const POLL_MAX: Duration = Duration::from_secs(5 * 60);

/// How long a thaw is waited for: half as long again as the slowest tier of the deepest archive takes.
const WAIT_MAX: Duration = Duration::from_secs(72 * 3600);

/// How often an object is asked for: it may freeze again while the others are waited for.
const ASKED_MAX: u32 = 3;

/// How archived data is asked for.
#[derive(Clone, Copy, Debug)]
pub struct ThawOptions {
    /// How fast.
    pub tier: ThawTier,
    /// How many days the thawed copies are to stay.
    pub days: u32,
}

/// The archived data objects of a backup, and its index, if that is archived too.
#[derive(Clone, Debug, Default)]
pub struct ArchivedData {
    objects: Vec<(Key, Archive)>,
    /// How many data objects the backup has in all.
    total: usize,
}

impl ArchivedData {
    /// How many of the backup's data objects cannot be read now.
    #[must_use]
    pub fn unreadable(&self) -> u64 {
        self.objects
            .iter()
            .filter(|(_, archive)| !matches!(archive.state, ThawState::Thawed { .. }))
            .count() as u64
    }

    fn frozen(&self) -> impl Iterator<Item = &(Key, Archive)> {
        self.objects
            .iter()
            .filter(|(_, archive)| archive.state == ThawState::Frozen)
    }

    /// How many objects nobody has asked for yet.
    #[must_use]
    pub fn unasked(&self) -> u64 {
        self.frozen().count() as u64
    }

    /// When the first thawed copy is gone again, if there is one and the store says so.
    #[must_use]
    pub fn thawed_until(&self) -> Option<Timestamp> {
        let untils = self.objects.iter().filter_map(|(_, archive)| match archive.state {
            ThawState::Thawed { until } => until,
            _ => None,
        });
        untils.min()
    }

    /// How long the slowest of the objects takes to thaw.
    #[must_use]
    pub fn expected(&self, tier: ThawTier) -> Duration {
        let is_deep = self.objects.iter().any(|(_, archive)| archive.is_deep);
        expected(is_deep, tier)
    }
}

/// How long a thaw takes at most, by what AWS tells.
fn expected(is_deep: bool, tier: ThawTier) -> Duration {
    let minutes = match (tier, is_deep) {
        (ThawTier::Expedited, _) => 5,
        (ThawTier::Standard, false) => 5 * 60,
        (ThawTier::Standard, true) | (ThawTier::Bulk, false) => 12 * 60,
        (ThawTier::Bulk, true) => 48 * 60,
    };
    Duration::from_secs(minutes * 60)
}

/// The index, if it is so long that the rules of a bucket may move it as they move data.
fn long_index(chosen: &Chosen) -> Option<Key> {
    let index = chosen.manifest.as_ref().and_then(Manifest::index_object)?;
    (index.bytes > RECORD_BYTES_MAX).then(|| index.key.clone())
}

/// Looks at the data objects of a backup, if its storage class is one that may be an archive, and at an index that may be in
/// one.
///
/// # Errors
/// If the store cannot tell.
pub fn archived_data(store: &Arc<dyn Store>, chosen: &Chosen, run: &Run) -> Result<ArchivedData> {
    // A listing tells the class; the standard one is in no archive.
    let data: &[(Key, u64)] = match chosen.found.storage_class {
        None => &[],
        Some(_) => &chosen.found.data,
    };
    let index = long_index(chosen);
    let keys: Vec<&Key> = data.iter().map(|(key, _)| key).chain(&index).collect();
    if keys.is_empty() {
        return Ok(ArchivedData::default());
    }
    let looked = in_parallel(&keys, |key| {
        run.cancel.check()?;
        let archive = store.head(key)?.and_then(|meta| meta.archive);
        Ok(archive.filter(|archive| archive.state != ThawState::Frozen || !can_be_read(store.as_ref(), key)))
    });
    run.cancel.check()?;
    let mut objects = Vec::new();
    for (key, archive) in keys.iter().zip(looked) {
        if let Some(archive) = archive? {
            objects.push(((*key).clone(), archive));
        }
    }
    let has_index = objects.iter().any(|(key, _)| Some(key) == index.as_ref());
    Ok(ArchivedData {
        objects,
        total: data.len() + usize::from(has_index),
    })
}

/// Whether an object is read although its class is an archive's: to some servers a class is but a label.
pub(in crate::ops) fn can_be_read(store: &dyn Store, key: &Key) -> bool {
    let mut first = [0];
    store
        .get(key, Some(0..1))
        .is_ok_and(|mut body| body.read_exact(&mut first).is_ok())
}

/// Refuses a backup whose data cannot be read now.
///
/// # Errors
/// [`Kind::Archived`] with what to type.
pub fn require_readable(store: &Arc<dyn Store>, chosen: &Chosen, run: &Run) -> Result<()> {
    let data = archived_data(store, chosen, run)?;
    if data.unreadable() == 0 {
        return Ok(());
    }
    let id = &chosen.found.id;
    let what = match &chosen.found.storage_class {
        Some(class) => format!("The data of `{id}` lies in an archive ({class})"),
        None => format!("The index of `{id}` lies in an archive"),
    };
    Err(match data.unasked() {
        0 => Failure::new(
            Kind::Archived,
            format!(
                "`{id}` is being thawed: {} of its {} data objects can be read",
                data.total as u64 - data.unreadable(),
                data.total
            ),
        )
        .hint("Run this again later, or add --thaw --wait to wait for it"),
        _ => Failure::new(Kind::Archived, what).hint(format!(
            "`backup-cli restore {id} --thaw` asks for it, which takes up to {} and costs money; add --wait to wait for it",
            format_duration(data.expected(ThawTier::Standard))
        )),
    })
}

/// Asks for every data object that is in an archive and was not asked for yet; returns what is known of them.
///
/// # Errors
/// [`Kind::Usage`] for a tier that the archive does not have; the store's failures.
pub fn ask(store: &Arc<dyn Store>, chosen: &Chosen, options: ThawOptions, run: &Run) -> Result<ArchivedData> {
    let data = archived_data(store, chosen, run)?;
    check_tier(&data, options.tier)?;
    ask_for(store, data.frozen(), options, run)?;
    Ok(data)
}

/// Refuses a tier that the archive does not have, before anything is asked.
///
/// # Errors
/// [`Kind::Usage`].
pub fn check_tier(data: &ArchivedData, tier: ThawTier) -> Result<()> {
    if tier == ThawTier::Expedited && data.frozen().any(|(_, archive)| archive.is_deep) {
        return Err(
            Failure::new(Kind::Usage, "Nothing comes out of a deep archive within minutes")
                .hint("Use --tier standard (up to 12 h) or --tier bulk (up to 48 h)"),
        );
    }
    Ok(())
}

fn ask_for<'a>(
    store: &Arc<dyn Store>,
    objects: impl Iterator<Item = &'a (Key, Archive)>,
    options: ThawOptions,
    run: &Run,
) -> Result<()> {
    let objects: Vec<_> = objects.collect();
    let asked = in_parallel(&objects, |(key, archive)| {
        run.cancel.check()?;
        let request = ThawRequest {
            days: (!archive.returns).then_some(options.days),
            tier: options.tier,
        };
        store.thaw(key, &request)
    });
    asked.into_iter().collect()
}

/// Waits until every data object can be read. What freezes meanwhile is asked for again.
///
/// # Errors
/// [`Kind::Interrupted`]; [`Kind::Archived`] if it takes longer than any thaw does.
pub fn wait(store: &Arc<dyn Store>, chosen: &Chosen, options: ThawOptions, run: &Run) -> Result<()> {
    run.phase(Phase::Thawing);
    let began = Instant::now();
    let mut pause = POLL_FIRST;
    let mut asked = 1;
    let mut readable = None;
    // A cancellation ends the wait at once.
    let (wake, woken) = crossbeam_channel::bounded::<()>(1);
    let _guard = run.cancel.on_cancel(move || drop(wake));
    loop {
        let data = archived_data(store, chosen, run)?;
        let unreadable = data.unreadable();
        if unreadable == 0 {
            return Ok(());
        }
        if data.unasked() > 0 && readable.is_some() {
            asked += 1;
            if asked > ASKED_MAX {
                return Err(Failure::new(
                    Kind::Archived,
                    format!(
                        "Objects of `{}` freeze again before all of them are thawed",
                        chosen.found.id
                    ),
                )
                .hint("Ask for more days with --thaw-days"));
            }
            run.warn(format!(
                "{} of `{}` froze again and {} asked for once more.",
                match data.unasked() {
                    1 => "An object".to_owned(),
                    several => format!("{several} objects"),
                },
                chosen.found.id,
                if data.unasked() == 1 { "is" } else { "are" }
            ));
            ask_for(store, data.frozen(), options, run)?;
        }
        if began.elapsed() > WAIT_MAX {
            return Err(Failure::new(
                Kind::Archived,
                format!(
                    "`{}` has not been thawed in {}",
                    chosen.found.id,
                    format_duration(WAIT_MAX)
                ),
            )
            .hint("Look at the objects in the provider's console"));
        }
        let now = data.total as u64 - unreadable;
        if readable != Some(now) {
            run.note(format!(
                "{now} of {} data objects can be read; waiting for the rest, up to {}.",
                data.total,
                format_duration(data.expected(options.tier))
            ));
            readable = Some(now);
        }
        let _ = woken.recv_timeout(pause);
        run.cancel.check()?;
        pause = (pause * 2).min(POLL_MAX);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_slowest_object_decides_how_long_it_takes() {
        let archive = |is_deep| Archive {
            is_deep,
            returns: false,
            state: ThawState::Frozen,
        };
        let data = |depths: &[bool]| ArchivedData {
            objects: depths.iter().map(|deep| (Key::new("k"), archive(*deep))).collect(),
            total: depths.len(),
        };
        let hours = |data: ArchivedData, tier| data.expected(tier).as_secs() / 3600;
        assert_eq!(hours(data(&[false]), ThawTier::Standard), 5);
        assert_eq!(hours(data(&[false, true]), ThawTier::Standard), 12);
        assert_eq!(hours(data(&[true]), ThawTier::Bulk), 48);
        assert!(check_tier(&data(&[false]), ThawTier::Expedited).is_ok());
        assert_eq!(
            check_tier(&data(&[false, true]), ThawTier::Expedited)
                .unwrap_err()
                .kind(),
            Kind::Usage
        );
    }
}
