//! The newest backups of a series, without listing all of them where the key template allows it.

use std::collections::BTreeSet;
use std::ops::ControlFlow;

use jiff::Timestamp;

use super::Run;
use super::many::in_parallel;
use crate::base::failure::Result;
use crate::catalog::layout::Layout;
use crate::catalog::listing::{Found, scan};
use crate::store::Store;

/// How many days, or months, are listed at the same time: most series are found in the first few.
const PERIODS_AT_ONCE: usize = 8;

/// How many days on which any backup was made are looked at: more than a year's, so that a monthly series that shares its
/// store with a daily one still has a history.
const DAYS_MAX: usize = 400;

/// How many months are looked at where the days are no folders.
const MONTHS_MAX: usize = 24;

/// The committed backups of the series `name` that were begun before `before`, by their keys: at least `count` of the
/// newest, newest first, or as many as there are within [`DAYS_MAX`] days.
///
/// The name is looked for in the keys alone; only a manifest tells the series for certain.
///
/// # Errors
/// If a listing fails.
pub(super) fn recent(
    store: &dyn Store,
    layout: &Layout,
    name: &str,
    before: Timestamp,
    count: usize,
    run: &Run,
) -> Result<Vec<Found>> {
    let mut recent: Vec<Found> = Vec::new();
    for some in periods(store, layout, name, before, run)?.chunks(PERIODS_AT_ONCE) {
        run.cancel.check()?;
        for found in in_parallel(some, |prefix| scan(store, prefix, &run.cancel)) {
            recent.extend(found?.into_iter().filter(|found| {
                found.manifest_key.is_some() && found.time < before && found.data_key.as_str().contains(name)
            }));
        }
        if recent.len() >= count {
            break;
        }
    }
    recent.sort_by(|a, b| (b.time, &b.data_key).cmp(&(a.time, &a.data_key)));
    Ok(recent)
}

/// What the keys of a series begin with, day by day or month by month, the newest first; or else what all begin with.
fn periods(store: &dyn Store, layout: &Layout, name: &str, before: Timestamp, run: &Run) -> Result<Vec<String>> {
    let whole = layout.series_prefix(name);
    if layout.has_folders_of_days() {
        let mut days: BTreeSet<String> = BTreeSet::new();
        let last = before.strftime("%Y%m%d").to_string();
        store.list_folders(&whole, &mut |folder| {
            run.cancel.check()?;
            let day = folder.trim_end_matches('/').rsplit('/').next().unwrap_or_default();
            if day.len() == last.len() && day.bytes().all(|byte| byte.is_ascii_digit()) && *day <= *last {
                days.insert(day.to_owned());
                if days.len() > DAYS_MAX {
                    days.pop_first();
                }
            }
            Ok(ControlFlow::Continue(()))
        })?;
        return Ok(days.iter().rev().map(|day| layout.day_prefix(name, day)).collect());
    }
    if layout.has_days_in_names() {
        let (mut year, mut month) = (before.strftime("%Y").to_string(), before.strftime("%m").to_string());
        let mut months = Vec::with_capacity(MONTHS_MAX);
        for _ in 0..MONTHS_MAX {
            months.push(format!("{whole}{year}{month}"));
            let number: u32 = month.parse().unwrap_or(1);
            if number == 1 {
                year = format!("{:04}", year.parse::<u32>().unwrap_or(0).saturating_sub(1));
            }
            month = format!("{:02}", if number == 1 { 12 } else { number - 1 });
        }
        return Ok(months);
    }
    Ok(vec![whole])
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::base::cancel::Cancel;
    use crate::base::clock::FixedClock;
    use crate::base::report::Recorder;
    use crate::catalog::layout::DEFAULT_TEMPLATE;
    use crate::pipeline::crypt::Keys;
    use crate::store::faulty::FaultyStore;
    use crate::store::memory::MemoryStore;
    use std::collections::BTreeMap;
    use std::sync::Arc;

    fn run() -> Run {
        Run {
            cancel: Cancel::new(),
            reporter: Arc::new(Recorder::default()),
            clock: Arc::new(FixedClock(Timestamp::UNIX_EPOCH)),
            keys: Keys::default(),
        }
    }

    #[test]
    fn the_newest_are_found_with_every_key_template() {
        for template in [
            DEFAULT_TEMPLATE,
            "{name}/{date}/x_{date}_{time}",
            "{name}/{name}_backup_{date}_{time}",
            "{name}_backup_{date}_{time}",
            "{host}/{name}_backup_{date}_{time}",
        ] {
            let layout = Layout::new("p", template, BTreeMap::new()).unwrap();
            let memory = MemoryStore::new();
            let mut times: Vec<Timestamp> = Vec::new();
            for day in ["2024-12-31", "2025-01-01", "2025-01-30", "2025-02-01", "2025-02-02"] {
                for name in ["app", "other"] {
                    for hour in ["02", "14"] {
                        let time: Timestamp = format!("{day}T{hour}:00:00Z").parse().unwrap();
                        let key = layout.data_key(name, "here", time, "sql", "gz").unwrap();
                        memory.set_body(key.as_str(), "x");
                        memory.set_body(&format!("{key}.manifest.json"), "{}");
                        times.push(time);
                    }
                }
            }
            times.sort();
            times.dedup();
            let before: Timestamp = "2025-02-02T14:00:00Z".parse().unwrap();
            let found = recent(&memory, &layout, "app", before, 4, &run()).unwrap();
            let newest: Vec<Timestamp> = found.iter().map(|found| found.time).take(4).collect();
            let expected: Vec<Timestamp> = times.iter().rev().skip(1).take(4).copied().collect();
            assert_eq!(newest, expected, "{template}");
            assert!(
                found.iter().all(|found| found.data_key.as_str().contains("app")),
                "{template}"
            );
        }
    }

    #[test]
    fn ten_thousand_backups_are_not_listed_for_the_last_few() {
        let layout = Layout::with_prefix("p").unwrap();
        let memory = MemoryStore::new();
        let first: Timestamp = "2020-01-01T00:00:00Z".parse().unwrap();
        for hour in 0..10_000 {
            let time = first.checked_add(jiff::SignedDuration::from_hours(hour)).unwrap();
            let key = layout.data_key("app", "here", time, "sql", "gz").unwrap();
            memory.set_body(key.as_str(), "x");
            memory.set_body(&format!("{key}.manifest.json"), "{}");
        }
        let counted = Arc::new(FaultyStore::new(Arc::new(memory)));
        let before = first.checked_add(jiff::SignedDuration::from_hours(10_000)).unwrap();
        let found = recent(counted.as_ref(), &layout, "app", before, 28, &run()).unwrap();
        assert!((28..=24 * PERIODS_AT_ONCE).contains(&found.len()), "{}", found.len());
    }
}
