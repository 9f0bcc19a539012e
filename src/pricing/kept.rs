//! How many backups of a series are there at any time, by their age: what retention comes to in the long run.

use jiff::{SignedDuration, Timestamp};

use super::MONTH_DAYS;
use crate::retention::policy::{Count, FOREVER_DAYS, Period, Policy};
use crate::retention::rules::{Item, apply};

/// How many backups of one series are looked at to learn what a policy keeps; beyond this nothing is estimated.
pub const MODEL_ENTRIES_MAX: usize = 100_000;

/// The newest of all is dated so, in the middle of a day, a week, a month and a year: 2026-07-15 12:00:00.
const NEWEST: Timestamp = Timestamp::constant(1_784_116_800, 0);

/// One day, in seconds.
const DAY_SECS: f64 = 86_400.0;

/// How many backups there are of each age in the long run.
#[derive(Clone, Debug, PartialEq)]
pub struct Kept {
    /// By the age in whole days, how many; they never become more with age.
    pub(super) by_day: Vec<f64>,
    /// Whether more and more are kept, of which `by_day` holds those of the first year.
    pub is_endless: bool,
}

impl Kept {
    /// What is kept of a series of which one backup is made each `interval`, by a policy and a number of the newest that
    /// stay whatever it says. An empty policy keeps everything.
    ///
    /// The answer is `None` if more than [`MODEL_ENTRIES_MAX`] backups would have to be looked at.
    #[must_use]
    pub fn by_policy(policy: &Policy, keep_min: usize, interval: SignedDuration) -> Option<Self> {
        let per_day = DAY_SECS / interval.as_secs_f64().max(1.0);
        if policy.is_empty() {
            return Self::everything(per_day, f64::INFINITY);
        }
        // What depends on tags cannot be foreseen; it is left out.
        let is_endless = policy.counts.contains(&Count::Unlimited);
        let horizon_days = match is_endless {
            true => YEAR_DAYS,
            false => horizon_days(policy, keep_min, per_day)?,
        };
        let ages = ages(policy, keep_min, interval, horizon_days)?;
        let days = ages.last().map_or(0, |age| (age / DAY_SECS) as usize + 1);
        let mut by_day = vec![0.0; days];
        for age in ages {
            by_day[(age / DAY_SECS) as usize] += 1.0;
        }
        Some(Self {
            by_day: falling(&by_day),
            is_endless,
        })
    }

    /// Everything of the last `days`, of which so many are made a day; endless if the days are.
    #[must_use]
    pub fn everything(per_day: f64, days: f64) -> Option<Self> {
        let is_endless = days > FOREVER_DAYS as f64;
        let days = if is_endless { YEAR_DAYS } else { days };
        let whole = days.floor() as usize;
        let mut by_day = vec![per_day; whole];
        if days > whole as f64 {
            by_day.push(per_day * (days - whole as f64));
        }
        Some(Self { by_day, is_endless })
    }

    /// How many backups there are in all.
    #[must_use]
    pub fn count(&self) -> f64 {
        self.by_day.iter().sum()
    }

    /// The same without those of `days` and more.
    #[must_use]
    pub fn until(&self, days: u64) -> Self {
        let days = usize::try_from(days).unwrap_or(usize::MAX);
        if !self.is_endless || days <= self.by_day.len() {
            return Self {
                by_day: self.by_day.iter().take(days).copied().collect(),
                is_endless: self.is_endless && days > self.by_day.len(),
            };
        }
        // Of what is endless, as much comes each day as on the last one that was looked at.
        let tail = self.by_day.iter().rev().take(MONTH_DAYS as usize);
        let mean = tail.clone().sum::<f64>() / (tail.count().max(1)) as f64;
        let mut by_day = self.by_day.clone();
        by_day.resize(days.min(FOREVER_DAYS as usize), mean);
        Self {
            by_day,
            is_endless: false,
        }
    }
}

const YEAR_DAYS: f64 = 365.0;

/// Beyond how many days the policy keeps nothing.
fn horizon_days(policy: &Policy, keep_min: usize, per_day: f64) -> Option<f64> {
    let by_number = |number: u64| number as f64 / per_day;
    let counted = Period::ALL.iter().zip(policy.counts).map(|(period, count)| {
        let Count::Number(number) = count else {
            return f64::INFINITY;
        };
        // Periods in which nothing is made use nothing up.
        let of_period = match period {
            Period::Each => 0.0,
            Period::Hour => 1.0 / 24.0,
            Period::Day => 1.0,
            Period::Week => 7.0,
            Period::Month => 31.0,
            Period::Year => 366.0,
        };
        match number {
            0 => 0.0,
            number => by_number(number).max((number as f64 + 1.0) * of_period),
        }
    });
    let spans = policy.within_periods.iter().chain([&policy.within, &policy.retention]);
    let spanned = spans.flatten().map(|span| span.days_max() as f64);
    let days = counted.chain(spanned).fold(by_number(keep_min as u64), f64::max) + 2.0;
    (days <= FOREVER_DAYS as f64 * 2.0).then_some(days)
}

/// The ages of what is kept, in seconds, youngest first.
fn ages(policy: &Policy, keep_min: usize, interval: SignedDuration, horizon_days: f64) -> Option<Vec<f64>> {
    let step = interval.as_secs_f64().max(1.0);
    let fine_days = fine_days(policy, keep_min, DAY_SECS / step).min(horizon_days);
    let expected = fine_days * DAY_SECS / step + (horizon_days - fine_days) * (DAY_SECS / step).min(1.0);
    if expected >= MODEL_ENTRIES_MAX as f64 {
        return None;
    }
    let mut times = Vec::new();
    let mut back = 0.0;
    let mut last_day = None;
    while back <= horizon_days * DAY_SECS {
        let time = NEWEST.checked_sub(SignedDuration::from_secs_f64(back)).ok()?;
        // Beyond the rules that may keep several of a day, the newest of each day stands for all.
        let day = time.as_second().div_euclid(DAY_SECS as i64);
        if back <= fine_days * DAY_SECS || last_day != Some(day) {
            times.push((time, back));
            last_day = Some(day);
            back += step;
        } else {
            let to_midnight = (time.as_second() - day * DAY_SECS as i64) as f64;
            back += (to_midnight / step).floor().max(0.0) * step + step;
        }
    }
    let no_tags: [String; 0] = [];
    let items: Vec<Item<'_>> = times
        .iter()
        .map(|(time, _)| Item {
            time: *time,
            tags: &no_tags,
        })
        .collect();
    let verdicts = apply(policy, &items, NEWEST);
    // The newest is on average half an interval old.
    Some(
        times
            .iter()
            .zip(&verdicts)
            .enumerate()
            .filter(|(place, (_, verdict))| *place < keep_min.max(1) || verdict.is_kept())
            .map(|(_, ((_, back), _))| back + step / 2.0)
            .collect(),
    )
}

/// For how many days the policy may keep more than one backup of a day.
fn fine_days(policy: &Policy, keep_min: usize, per_day: f64) -> f64 {
    let newest = match policy.counts[0] {
        Count::Number(number) => number.max(keep_min as u64) as f64 / per_day,
        Count::Unlimited => f64::INFINITY,
    };
    let hourly = match policy.counts[1] {
        Count::Number(number) => number as f64 / per_day.min(24.0),
        Count::Unlimited => f64::INFINITY,
    };
    let spans = [policy.within, policy.retention, policy.within_periods[1]];
    let spanned = spans.iter().flatten().map(|span| span.days_max() as f64);
    spanned.fold(newest.max(hourly), f64::max) + 1.0
}

/// The same numbers smoothed so that none is greater than the one before, with the same sum: how many reach an age cannot
/// grow with it, but in one moment's picture the backup of a month stands on one day of it.
fn falling(counts: &[f64]) -> Vec<f64> {
    let mut blocks: Vec<(f64, usize)> = Vec::new();
    for count in counts {
        blocks.push((*count, 1));
        while let [.., (a, a_days), (b, b_days)] = blocks[..]
            && b / b_days as f64 > a / a_days as f64
        {
            blocks.pop();
            blocks.pop();
            blocks.push((a + b, a_days + b_days));
        }
    }
    blocks
        .into_iter()
        .flat_map(|(sum, days)| std::iter::repeat_n(sum / days as f64, days))
        .collect()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::retention::KeepSpan;

    fn days(number: i64) -> SignedDuration {
        SignedDuration::from_hours(24 * number)
    }

    fn policy(change: impl FnOnce(&mut Policy)) -> Policy {
        let mut policy = Policy::default();
        change(&mut policy);
        policy
    }

    #[test]
    fn as_many_are_kept_as_prune_would_leave() {
        let retention = policy(|policy| policy.retention = KeepSpan::days(30));
        for (policy, keep_min, interval, count) in [
            (&retention, 1, days(1), 30),
            (&retention, 1, days(7), 5),
            (&retention, 1, SignedDuration::from_hours(1), 720),
            (&retention, 3, days(60), 3),
            (&policy(|policy| policy.counts[0] = Count::Number(5)), 1, days(1), 5),
            (
                &policy(|policy| policy.counts[2] = Count::Number(7)),
                1,
                SignedDuration::from_hours(6),
                7,
            ),
            (
                &policy(|policy| policy.counts[1] = Count::Number(48)),
                1,
                SignedDuration::from_mins(5),
                48,
            ),
            (
                &policy(|policy| policy.counts[5] = Count::Number(10)),
                1,
                SignedDuration::from_hours(1),
                10,
            ),
            (&policy(|policy| policy.counts[4] = Count::Number(12)), 1, days(1), 12),
        ] {
            let kept = Kept::by_policy(policy, keep_min, interval).unwrap();
            assert_eq!(kept.count().round() as u64, count, "{policy} each {interval:?}");
            assert!(!kept.is_endless);
            assert!(kept.by_day.is_sorted_by(|a, b| a >= b), "{policy}: {:?}", kept.by_day);
        }
    }

    #[test]
    fn backups_of_a_day_grow_old_one_by_one() {
        let kept = Kept::by_policy(&policy(|policy| policy.retention = KeepSpan::days(30)), 1, days(1)).unwrap();
        assert_eq!(kept.by_day, [1.0; 30]);
    }

    #[test]
    fn several_rules_keep_what_any_of_them_keeps() {
        let mixed = policy(|policy| {
            policy.counts[2] = Count::Number(7);
            policy.counts[3] = Count::Number(4);
            policy.counts[4] = Count::Number(12);
        });
        let kept = Kept::by_policy(&mixed, 1, days(1)).unwrap();
        let count = kept.count();
        assert!((19.0..=22.0).contains(&count), "{count}");
        assert!(
            kept.by_day.len() > 300 && kept.by_day.len() < 380,
            "{}",
            kept.by_day.len()
        );
    }

    #[test]
    fn what_is_kept_for_ever_is_endless_until_something_ends_it() {
        for policy in [Policy::default(), policy(|policy| policy.counts[2] = Count::Unlimited)] {
            let kept = Kept::by_policy(&policy, 1, days(1)).unwrap();
            assert!(kept.is_endless, "{policy}");
            assert!((364.0..=367.0).contains(&kept.count()), "{}", kept.count());
            let ended = kept.until(1000);
            assert!(!ended.is_endless);
            assert!((ended.count() - 1000.0).abs() < 3.0, "{}", ended.count());
        }
    }

    #[test]
    fn a_model_of_too_many_backups_is_refused() {
        let all = policy(|policy| policy.within = KeepSpan::days(3650));
        assert_eq!(Kept::by_policy(&all, 1, SignedDuration::from_secs(60)), None);
    }

    #[test]
    fn smoothing_keeps_the_sum_and_never_rises() {
        for (counts, smooth) in [
            (vec![1.0, 1.0, 0.0], vec![1.0, 1.0, 0.0]),
            (vec![1.0, 0.0, 0.0, 0.0, 1.0], vec![1.0, 0.25, 0.25, 0.25, 0.25]),
            (vec![0.0, 0.0, 1.0], vec![1.0 / 3.0; 3]),
            (vec![], vec![]),
        ] {
            assert_eq!(falling(&counts), smooth);
        }
    }
}
