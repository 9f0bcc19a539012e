//! The rules against an oracle that shares nothing with them: its own calendar, sets instead of a walk.
//!
//! `BACKUP_CLI_TEST_HISTORIES=1000000` runs a million histories; without it there are some twenty thousand.

use std::collections::BTreeSet;

use jiff::Timestamp;

use super::plan::{Entry, Guards, Standing, plan_series};
use super::policy::{Count, Period, Policy};
use super::rules::{Item, apply};

/// How many histories are tried if nobody says.
const HISTORIES: u64 = 20_000;

/// Year and month of a day since 1970, by counting.
fn year_and_month(day: i64) -> (i64, i64) {
    let shifted = day + 719_468;
    let era = shifted.div_euclid(146_097);
    let of_era = shifted.rem_euclid(146_097);
    let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month = (5 * of_year + 2) / 153;
    let month = if month < 10 { month + 3 } else { month - 9 };
    (year_of_era + era * 400 + i64::from(month <= 2), month)
}

fn period(place: usize, secs: i64, at: usize) -> i64 {
    let day = secs.div_euclid(86_400);
    let (year, month) = year_and_month(day);
    match place {
        0 => i64::try_from(at).unwrap(),
        1 => secs.div_euclid(3600),
        2 => day,
        // The 1st of January 1970 was a Thursday.
        3 => (day + 3).div_euclid(7),
        4 => year * 12 + month,
        _ => year,
    }
}

/// Which of the times (newest first) stay; spans are in hours.
fn oracle(counts: &[Option<u64>; 6], within: Option<i64>, spans: &[Option<i64>; 6], secs: &[i64]) -> BTreeSet<usize> {
    let mut kept = BTreeSet::new();
    let is_within = |at: usize, hours: i64| secs[at] > secs[0] - hours * 3600;
    if let Some(hours) = within {
        kept.extend((0..secs.len()).filter(|at| is_within(*at, hours)));
    }
    for place in 0..6 {
        // Rules: how many of which candidates.
        for (number, hours) in [(counts[place], None), (spans[place].map(|_| u64::MAX), spans[place])] {
            let Some(number) = number.filter(|number| *number > 0) else {
                continue;
            };
            let candidates: Vec<usize> = (0..secs.len())
                .filter(|at| hours.is_none_or(|hours| is_within(*at, hours)))
                .collect();
            let newest_of_each: Vec<usize> = candidates
                .iter()
                .copied()
                .filter(|at| *at == 0 || period(place, secs[*at], *at) != period(place, secs[at - 1], at - 1))
                .collect();
            let taken = usize::try_from(number).unwrap_or(usize::MAX).min(newest_of_each.len());
            kept.extend(&newest_of_each[..taken]);
            if (taken as u64) < number && candidates.last() == Some(&(secs.len() - 1)) {
                kept.insert(secs.len() - 1);
            }
        }
    }
    kept
}

/// Which backups stay by the guards too, stated as sets: each list of equals by itself, then what is never given up.
fn oracle_of_plan(
    counts: &[Option<u64>; 6],
    within: Option<i64>,
    keep_min: usize,
    secs: &[i64],
    standings: &[Standing],
) -> BTreeSet<usize> {
    let places =
        |wanted: &[Standing]| -> Vec<usize> { (0..secs.len()).filter(|at| wanted.contains(&standings[*at])).collect() };
    let lists = [
        places(&[Standing::Good]),
        places(&[Standing::Partial, Standing::Flagged]),
        places(&[Standing::Damaged]),
    ];
    let mut kept: BTreeSet<usize> = places(&[doubtful()]).into_iter().collect();
    for list in &lists {
        let own: Vec<i64> = list.iter().map(|at| secs[*at]).collect();
        if !own.is_empty() {
            kept.extend(oracle(counts, within, &[None; 6], &own).iter().map(|at| list[*at]));
        }
    }
    // The best that there is, the newest of all, and the newest that is not damaged.
    let best = lists.iter().find(|list| !list.is_empty());
    kept.extend(best.into_iter().flatten().take(keep_min));
    kept.extend(lists.iter().filter_map(|list| list.first()).min());
    let trusted = lists[..2].iter().filter_map(|list| list.first()).min();
    kept.extend(trusted);
    match trusted.is_some_and(|at| standings[*at] == Standing::Flagged) {
        true => (0..secs.len()).collect(),
        false => kept,
    }
}

fn doubtful() -> Standing {
    Standing::Doubtful("its manifest is damaged".to_owned())
}

struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) % bound
    }

    fn one_in(&mut self, chances: u64) -> bool {
        self.below(chances) == 0
    }
}

fn history(random: &mut Random) -> Vec<i64> {
    let step = [900, 3600, 40_000, 86_400, 300_000, 2_000_000, 20_000_000][random.below(7) as usize];
    let mut at = 1_400_000_000 + random.below(400_000_000) as i64;
    let mut secs: Vec<i64> = (0..=random.below(24))
        .map(|_| {
            at += random.below(step) as i64;
            at
        })
        .collect();
    secs.reverse();
    secs
}

#[test]
fn the_rules_keep_what_an_independent_oracle_keeps() {
    let histories = std::env::var("BACKUP_CLI_TEST_HISTORIES")
        .ok()
        .map_or(HISTORIES, |text| text.parse().unwrap());
    let mut random = Random(0x9e37_79b9_7f4a_7c15);
    for number in 0..histories {
        let secs = history(&mut random);
        let mut counts = [None; 6];
        let mut spans = [None; 6];
        for place in 0..6 {
            if random.one_in(3) {
                counts[place] = Some(if random.one_in(8) { u64::MAX } else { random.below(9) });
            }
            if place > 0 && random.one_in(6) {
                spans[place] = Some(1 + random.below(2000) as i64);
            }
        }
        let within = random.one_in(4).then(|| 1 + random.below(1000) as i64);
        let hours = |hours: i64| format!("{hours}h").parse().unwrap();
        let policy = Policy {
            counts: counts.map(|count| match count {
                None => Count::default(),
                Some(u64::MAX) => Count::Unlimited,
                Some(number) => Count::Number(number),
            }),
            within: within.map(hours),
            within_periods: spans.map(|span| span.map(hours)),
            ..Policy::default()
        };
        let times: Vec<Timestamp> = secs.iter().map(|secs| Timestamp::from_second(*secs).unwrap()).collect();
        let items: Vec<Item<'_>> = times.iter().map(|time| Item { time: *time, tags: &[] }).collect();
        let verdicts = apply(&policy, &items, times[0]);
        let kept: BTreeSet<usize> = (0..secs.len()).filter(|at| verdicts[*at].is_kept()).collect();
        assert_eq!(
            kept,
            oracle(&counts, within, &spans, &secs),
            "history {number}: {policy} of {times:?}"
        );
        for verdict in &verdicts {
            assert!(policy.is_empty() || !verdict.matches.is_empty() || !verdict.misses.is_empty());
        }
    }
    assert_eq!(Period::ALL.len(), 6);
}

#[test]
fn what_is_not_good_changes_nothing_for_what_is() {
    let histories = std::env::var("BACKUP_CLI_TEST_HISTORIES")
        .ok()
        .map_or(HISTORIES / 4, |text| text.parse().unwrap());
    let mut random = Random(0x2545_f491_4f6c_dd1d);
    for number in 0..histories {
        let secs = history(&mut random);
        let mut counts = [None; 6];
        for count in &mut counts {
            if random.one_in(3) {
                *count = Some(1 + random.below(5));
            }
        }
        let within = random.one_in(4).then(|| 1 + random.below(1000) as i64);
        let keep_min = 1 + random.below(3) as usize;
        let policy = Policy {
            counts: counts.map(|count| count.map_or_else(Count::default, Count::Number)),
            within: within.map(|hours| format!("{hours}h").parse().unwrap()),
            ..Policy::default()
        };
        let standings: Vec<Standing> = secs
            .iter()
            .map(|_| match random.below(9) {
                0..4 => Standing::Good,
                4 => Standing::Partial,
                5 => Standing::Flagged,
                6 | 7 => Standing::Damaged,
                _ => doubtful(),
            })
            .collect();
        let guards = Guards {
            now: Timestamp::from_second(secs[0] + 86_400).unwrap(),
            keep_min,
            settling: jiff::SignedDuration::from_mins(10),
        };
        let plan = |standings: &[Standing], is_wanted: &dyn Fn(&Standing) -> bool| -> BTreeSet<i64> {
            let entries: Vec<Entry> = secs
                .iter()
                .zip(standings)
                .filter(|(_, standing)| is_wanted(standing))
                .map(|(secs, standing)| Entry {
                    time: Timestamp::from_second(*secs).unwrap(),
                    standing: standing.clone(),
                    tags: Vec::new(),
                    is_pinned: false,
                })
                .collect();
            let decisions = plan_series(&entries, &policy, &guards);
            let kept = entries.iter().zip(decisions).filter(|(_, decision)| decision.keep);
            kept.map(|(entry, _)| entry.time.as_second()).collect()
        };
        let all = plan(&standings, &|_| true);
        let what = format!("history {number}: {policy} of {secs:?} as {standings:?}");
        let expected = oracle_of_plan(&counts, within, keep_min, &secs, &standings);
        let expected: BTreeSet<i64> = expected.into_iter().map(|at| secs[at]).collect();
        assert_eq!(all, expected, "{what}");
        // Were the others not there, no more of the good ones would be kept than are.
        let alone = plan(&standings, &|standing| *standing == Standing::Good);
        assert!(alone.is_subset(&all), "{what}");
        let without_damaged = plan(&standings, &|standing| *standing != Standing::Damaged);
        assert!(without_damaged.is_subset(&all), "{what}");
    }
}
