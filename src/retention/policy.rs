//! A policy: which rules there are, and how far each goes.

use std::fmt;
use std::str::FromStr;

use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::span::KeepSpan;
use crate::base::failure::{Failure, Kind, Result};

/// How many backups a rule keeps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Count {
    /// At most so many; 0 is no rule.
    Number(u64),
    /// One for every period.
    Unlimited,
}

impl Default for Count {
    fn default() -> Self {
        Self::Number(0)
    }
}

impl Count {
    /// Whether any may still be kept.
    pub(super) fn is_left(self) -> bool {
        self != Self::Number(0)
    }

    /// One less.
    pub(super) fn use_one(&mut self) {
        if let Self::Number(number) = self {
            *number = number.saturating_sub(1);
        }
    }
}

impl fmt::Display for Count {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Number(number) => number.fmt(f),
            Self::Unlimited => f.write_str("unlimited"),
        }
    }
}

impl FromStr for Count {
    type Err = Failure;

    fn from_str(text: &str) -> Result<Self> {
        let text = text.trim();
        match text.parse() {
            Ok(number) => Ok(Self::Number(number)),
            Err(_) if text.eq_ignore_ascii_case("unlimited") || text == "-1" => Ok(Self::Unlimited),
            Err(_) => Err(Failure::new(Kind::Usage, format!("Not a number of backups: `{text}`"))
                .hint("Write a whole number, or unlimited")),
        }
    }
}

/// What stands for "for ever", in days: no rule of a bucket lasts a hundred years.
pub const FOREVER_DAYS: u64 = 36_500;

/// What a rule keeps one backup of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Period {
    /// Each backup by itself.
    Each,
    /// An hour.
    Hour,
    /// A day.
    Day,
    /// A week of ISO 8601, which begins on Monday.
    Week,
    /// A month.
    Month,
    /// A year.
    Year,
}

impl Period {
    /// From the finest to the coarsest.
    pub const ALL: [Self; 6] = [Self::Each, Self::Hour, Self::Day, Self::Week, Self::Month, Self::Year];

    /// The word in the names of rules: `--keep-daily`.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Each => "last",
            Self::Hour => "hourly",
            Self::Day => "daily",
            Self::Week => "weekly",
            Self::Month => "monthly",
            Self::Year => "yearly",
        }
    }

    /// How many days so many periods take at most; `None` where it depends on how often backups are made.
    fn days_of(self, number: u64) -> Option<u64> {
        match self {
            Self::Each => None,
            Self::Hour => Some(number.div_ceil(24)),
            Self::Day => Some(number),
            Self::Week => Some(number.saturating_mul(7)),
            Self::Month => Some(number.saturating_mul(31)),
            Self::Year => Some(number.saturating_mul(366)),
        }
    }

    /// The period that a time lies in, as a number; `place` is the backup's in its list.
    pub(super) fn of(self, time: Timestamp, place: usize) -> i64 {
        let at = TimeZone::UTC.to_datetime(time);
        let (year, month, day) = (i64::from(at.year()), i64::from(at.month()), i64::from(at.day()));
        match self {
            Self::Each => i64::try_from(place).unwrap_or(i64::MAX),
            Self::Hour => ((year * 100 + month) * 100 + day) * 100 + i64::from(at.hour()),
            Self::Day => (year * 100 + month) * 100 + day,
            Self::Week => {
                let week = at.date().iso_week_date();
                i64::from(week.year()) * 100 + i64::from(week.week())
            }
            Self::Month => year * 100 + month,
            Self::Year => year,
        }
    }
}

/// Which backups of a series are kept: whatever any of the rules keeps.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Policy {
    /// How many of each period, in the order of [`Period::ALL`].
    pub counts: [Count; 6],
    /// Everything within this span of the newest.
    pub within: Option<KeepSpan>,
    /// Everything within so many days of the newest; beside `within`, where both are given.
    pub retention: Option<KeepSpan>,
    /// One of each period within this span of the newest, in the order of [`Period::ALL`]; the first is not used.
    pub within_periods: [Option<KeepSpan>; 6],
    /// Everything that has all tags of one of these lists.
    pub tags: Vec<Vec<String>>,
}

impl Policy {
    /// Whether no rule says anything, so that everything would go.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        !self.counts.iter().any(|count| count.is_left())
            && self.within.is_none()
            && self.retention.is_none()
            && self.within_periods.iter().all(Option::is_none)
            && self.tags.is_empty()
    }

    /// For how many days the rules keep a backup at most, where one is made in each period; `None` if none of them goes by
    /// time. What is kept for ever is kept for [`FOREVER_DAYS`].
    #[must_use]
    pub fn days_max(&self) -> Option<u64> {
        let counted = Period::ALL
            .iter()
            .zip(self.counts)
            .filter_map(|(period, count)| match count {
                Count::Number(0) => None,
                Count::Number(number) => period.days_of(number),
                Count::Unlimited => Some(FOREVER_DAYS),
            });
        let spans = self.within_periods.iter().chain([&self.within, &self.retention]);
        counted
            .chain(spans.flatten().map(|span| span.days_max()))
            .max()
            .map(|days| days.min(FOREVER_DAYS))
    }

    /// Whether tags matter.
    #[must_use]
    pub fn needs_tags(&self) -> bool {
        !self.tags.is_empty()
    }
}

impl fmt::Display for Policy {
    /// The rules as they are written on a command line, without the dashes.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut rules = Vec::new();
        for (period, count) in Period::ALL.iter().zip(self.counts) {
            if count.is_left() {
                rules.push(format!("keep-{} {count}", period.word()));
            }
        }
        if let Some(span) = self.within {
            rules.push(format!("keep-within {span}"));
        }
        if let Some(span) = self.retention {
            rules.push(format!("retention-days {}", span.to_string().trim_end_matches('d')));
        }
        for (period, span) in Period::ALL.iter().zip(self.within_periods) {
            if let Some(span) = span {
                rules.push(format!("keep-within-{} {span}", period.word()));
            }
        }
        for tags in &self.tags {
            rules.push(format!("keep-tag {}", tags.join(",")));
        }
        f.write_str(&rules.join(", "))
    }
}
