//! What a monitor asks of each series: is its newest backup young enough, and large enough.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use super::super::Run;
use crate::base::failure::{Kind, Result};
use crate::base::units::{format_bytes, format_duration};
use crate::catalog::listing::{Found, load_manifest};
use crate::catalog::manifest::State;
use crate::catalog::selection::SAFETY_SUFFIX;
use crate::store::Store;

/// How many backups before the newest one its size is compared with.
const RECENT_MAX: usize = 10;

/// How many of them it takes to say that one is unusually small.
const RECENT_MIN: usize = 3;

/// How far ahead of this machine's clock a backup may be dated.
const AHEAD_MAX: SignedDuration = SignedDuration::from_hours(1);

/// What is asked of each series.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Guards {
    /// How old the newest complete backup may be.
    pub max_age: Option<Duration>,
    /// How many bytes of plaintext it has at least.
    pub min_bytes: Option<u64>,
    /// By how many percent it may be smaller than the median of the ones before it.
    pub max_shrink_percent: Option<u32>,
}

impl Guards {
    /// Whether anything is asked.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// Something that is asked of a series and does not hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Alarm {
    /// The series.
    pub name: String,
    /// [`Kind::TooOld`] or [`Kind::Refused`].
    pub kind: Kind,
    /// What does not hold, in a sentence without a stop.
    pub what: String,
}

/// What is known of a series.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Series {
    /// The id, time and plaintext size of the newest complete backup, if there is one.
    newest: Option<(String, Timestamp, u64)>,
    /// The plaintext sizes of the complete ones before it, newest first.
    before: Vec<u64>,
    /// Whether there are newer ones that are partial.
    has_newer_partial: bool,
    /// Whether there are newer ones that were found damaged.
    has_newer_damaged: bool,
}

impl Series {
    fn is_known(&self) -> bool {
        self.newest.is_some() && self.before.len() >= RECENT_MAX
    }
}

/// Asks each series of the store, or only those that are named. `found` stands newest first.
///
/// # Errors
/// If the store cannot tell.
pub fn watch(
    store: &Arc<dyn Store>,
    found: &[Found],
    names: Option<&BTreeSet<String>>,
    guards: &Guards,
    run: &Run,
) -> Result<Vec<Alarm>> {
    let mut series: BTreeMap<String, Series> = BTreeMap::new();
    if let Some(names) = names {
        series.extend(names.iter().map(|name| (name.clone(), Series::default())));
    }
    for candidate in found {
        run.cancel.check()?;
        let Some(key) = &candidate.manifest_key else { continue };
        let hint = &candidate.name_hint;
        // Of a series that is known well enough no further manifest is read.
        if series.get(hint).is_some_and(Series::is_known) {
            continue;
        }
        let manifest = match load_manifest(store.as_ref(), key) {
            Ok(manifest) => manifest,
            Err(failure) if matches!(failure.kind(), Kind::Damaged | Kind::Unsupported | Kind::NotFound) => continue,
            Err(failure) => return Err(failure),
        };
        let is_wanted = match names {
            Some(names) => names.contains(&manifest.name),
            None => !manifest.name.ends_with(SAFETY_SUFFIX),
        };
        if !is_wanted {
            continue;
        }
        let known = series.entry(manifest.name.clone()).or_default();
        if candidate.known_damage().is_some() {
            known.has_newer_damaged |= known.newest.is_none();
            continue;
        }
        match (manifest.state, &known.newest) {
            (State::Partial, None) => known.has_newer_partial = true,
            (State::Partial, Some(_)) => {}
            (State::Complete, None) => known.newest = Some((manifest.id, manifest.started, manifest.plain_bytes)),
            (State::Complete, Some(_)) => known.before.push(manifest.plain_bytes),
        }
    }
    let now = run.clock.now();
    Ok(series
        .iter()
        .flat_map(|(name, series)| alarms(name, series, guards, now))
        .collect())
}

fn alarms(name: &str, series: &Series, guards: &Guards, now: Timestamp) -> Vec<Alarm> {
    let mut alarms = Vec::new();
    let mut alarm = |kind, what: String| {
        alarms.push(Alarm {
            name: name.to_owned(),
            kind,
            what,
        });
    };
    let Some((id, time, plain_bytes)) = &series.newest else {
        if !guards.is_empty() {
            let why = match (series.has_newer_partial, series.has_newer_damaged) {
                (true, false) => "all of its backups are partial",
                (false, true) => "all of its backups were found damaged",
                (true, true) => "all of its backups are partial or were found damaged",
                (false, false) => "there is none",
            };
            // What is not there is neither too old nor too small: it is what was asked for that is not kept.
            let kind = match guards.max_age {
                Some(_) => Kind::TooOld,
                None => Kind::Refused,
            };
            alarm(kind, format!("`{name}` has no complete backup: {why}"));
        }
        return alarms;
    };
    if let Some(max_age) = guards.max_age {
        let age = now.duration_since(*time);
        let allowed = SignedDuration::try_from(max_age).unwrap_or(SignedDuration::MAX);
        let newer = match (series.has_newer_partial, series.has_newer_damaged) {
            (true, false) => "; newer ones are partial and do not count",
            (false, true) => "; newer ones were found damaged and do not count",
            (true, true) => "; newer ones are partial or were found damaged and do not count",
            (false, false) => "",
        };
        if age > allowed {
            let age = format_duration(age.unsigned_abs());
            alarm(
                Kind::TooOld,
                format!(
                    "The newest complete backup of `{name}`, `{id}`, is {age} old and may be {}{newer}",
                    format_duration(max_age)
                ),
            );
        } else if age < -AHEAD_MAX {
            alarm(
                Kind::TooOld,
                format!("`{id}` of `{name}` is dated {time}, in the future, so that its age cannot be told"),
            );
        }
    }
    if let Some(min_bytes) = guards.min_bytes.filter(|min_bytes| plain_bytes < min_bytes) {
        alarm(
            Kind::Refused,
            format!(
                "`{id}` of `{name}` has {} and should have at least {}",
                format_bytes(*plain_bytes),
                format_bytes(min_bytes)
            ),
        );
    }
    if let (Some(percent), Some(median)) = (guards.max_shrink_percent, median(&series.before)) {
        let least = u128::from(median) * u128::from(100 - percent.min(100)) / 100;
        if u128::from(*plain_bytes) < least {
            alarm(
                Kind::Refused,
                format!(
                    "`{id}` of `{name}` has {}, more than {percent} % below the median of the {} before it, {}",
                    format_bytes(*plain_bytes),
                    series.before.len().min(RECENT_MAX),
                    format_bytes(median)
                ),
            );
        }
    }
    alarms
}

/// The median of the newest of these sizes, if there are enough to tell what is usual.
fn median(sizes: &[u64]) -> Option<u64> {
    let mut recent: Vec<u64> = sizes.iter().take(RECENT_MAX).copied().collect();
    recent.sort_unstable();
    recent
        .get(recent.len() / 2)
        .copied()
        .filter(|_| recent.len() >= RECENT_MIN)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn alarms_of(series: &Series, guards: Guards) -> Vec<(Kind, String)> {
        let now = "2026-01-31T02:00:00Z".parse().unwrap();
        alarms("app", series, &guards, now)
            .into_iter()
            .map(|alarm| (alarm.kind, alarm.what))
            .collect()
    }

    fn series(time: &str, plain_bytes: u64, before: &[u64]) -> Series {
        Series {
            newest: Some(("id".to_owned(), time.parse().unwrap(), plain_bytes)),
            before: before.to_vec(),
            has_newer_partial: false,
            has_newer_damaged: false,
        }
    }

    #[test]
    fn only_the_newest_complete_backup_keeps_a_series_young() {
        let guards = Guards {
            max_age: Some(Duration::from_secs(26 * 3600)),
            ..Guards::default()
        };
        assert_eq!(alarms_of(&series("2026-01-30T01:00:00Z", 1, &[]), guards), []);
        let mut old = series("2026-01-29T23:00:00Z", 1, &[]);
        old.has_newer_partial = true;
        let told = alarms_of(&old, guards);
        assert_eq!(told[0].0, Kind::TooOld);
        assert!(
            told[0].1.contains("1 d 3 h") && told[0].1.contains("partial"),
            "{told:?}"
        );
        assert_eq!(alarms_of(&Series::default(), guards)[0].0, Kind::TooOld);
        assert_eq!(alarms_of(&Series::default(), Guards::default()), []);
        assert_eq!(
            alarms_of(&series("2026-02-02T00:00:00Z", 1, &[]), guards)[0].0,
            Kind::TooOld
        );
    }

    #[test]
    fn a_collapse_is_told_only_against_enough_others() {
        let guards = Guards {
            max_shrink_percent: Some(50),
            ..Guards::default()
        };
        let newest = |bytes, before: &[u64]| alarms_of(&series("2026-01-31T00:00:00Z", bytes, before), guards).len();
        assert_eq!(newest(49, &[100, 90, 110]), 1);
        assert_eq!(newest(50, &[100, 90, 110]), 0);
        assert_eq!(newest(1, &[100, 100]), 0);
        let small = Guards {
            min_bytes: Some(10),
            ..Guards::default()
        };
        assert_eq!(
            alarms_of(&series("2026-01-31T00:00:00Z", 9, &[]), small)[0].0,
            Kind::Refused
        );
        assert_eq!(alarms_of(&series("2026-01-31T00:00:00Z", 10, &[]), small), []);
    }
}
