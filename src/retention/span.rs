//! Spans such as `2y5m7d3h`, in restic's spelling and with its calendar.

use std::fmt;
use std::str::FromStr;

use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Span, Timestamp};

use crate::base::failure::{Failure, Kind, Result};

/// No calendar that a computer keeps reaches further than this many of any unit.
const UNITS_MAX: u32 = 1_000_000;

/// Years, months, days and hours; at least one of them is not zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeepSpan {
    years: u32,
    months: u32,
    days: u32,
    hours: u32,
}

impl KeepSpan {
    /// So many days; `None` for none.
    #[must_use]
    pub fn days(days: u32) -> Option<Self> {
        let span = Self {
            years: 0,
            months: 0,
            days: days.min(UNITS_MAX),
            hours: 0,
        };
        (days > 0).then_some(span)
    }

    /// Its length in whole days, none of them cut off: years and months count as their longest.
    #[must_use]
    pub fn days_max(self) -> u64 {
        u64::from(self.years) * 366
            + u64::from(self.months) * 31
            + u64::from(self.days)
            + u64::from(self.hours.div_ceil(24))
    }

    /// The moment so long before `time`, in UTC. A day that its month does not have runs over into the next month, as in
    /// restic: one month before the 31st of March is the 3rd of March (or the 2nd in a leap year). Before the beginning of
    /// the calendar it is the earliest moment that there is.
    #[must_use]
    pub fn before(self, time: Timestamp) -> Timestamp {
        self.try_before(time).unwrap_or(Timestamp::MIN)
    }

    fn try_before(self, time: Timestamp) -> Option<Timestamp> {
        let civil = TimeZone::UTC.to_datetime(time);
        let months = i64::from(civil.year()) * 12 + i64::from(civil.month())
            - 1
            - i64::from(self.years) * 12
            - i64::from(self.months);
        let year = i16::try_from(months.div_euclid(12)).ok()?;
        let month = i8::try_from(months.rem_euclid(12) + 1).ok()?;
        let days = i64::from(civil.day()) - 1 - i64::from(self.days);
        let date = Date::new(year, month, 1)
            .ok()?
            .checked_add(Span::new().try_days(days).ok()?)
            .ok()?;
        let moment = TimeZone::UTC.to_timestamp(date.to_datetime(civil.time())).ok()?;
        moment
            .checked_sub(SignedDuration::from_hours(i64::from(self.hours)))
            .ok()
    }
}

impl fmt::Display for KeepSpan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, unit) in [
            (self.years, 'y'),
            (self.months, 'm'),
            (self.days, 'd'),
            (self.hours, 'h'),
        ] {
            if number > 0 {
                write!(f, "{number}{unit}")?;
            }
        }
        Ok(())
    }
}

impl FromStr for KeepSpan {
    type Err = Failure;

    fn from_str(text: &str) -> Result<Self> {
        let wrong = || {
            Failure::new(Kind::Usage, format!("Not a span: `{text}`"))
                .hint("Write years, months, days and hours, each once, such as 2y5m7d3h or 30d; a week is 7d")
        };
        let mut numbers: [Option<u32>; 4] = [None; 4];
        let mut digits = String::new();
        for c in text.trim().chars() {
            if c.is_ascii_digit() {
                digits.push(c);
                continue;
            }
            let place = "ymdh".find(c).ok_or_else(wrong)?;
            let number: u32 = digits.parse().map_err(|_| wrong())?;
            if numbers[place].is_some() || number > UNITS_MAX {
                return Err(wrong());
            }
            numbers[place] = Some(number);
            digits.clear();
        }
        let [years, months, days, hours] = numbers.map(Option::unwrap_or_default);
        let span = Self {
            years,
            months,
            days,
            hours,
        };
        match digits.is_empty() && years + months + days + hours > 0 {
            true => Ok(span),
            false => Err(wrong()),
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn spans_are_read_and_written() {
        for (text, written) in [
            ("2y5m7d3h", "2y5m7d3h"),
            ("7d", "7d"),
            ("3h2y", "2y3h"),
            (" 12h ", "12h"),
            ("0y1d", "1d"),
        ] {
            assert_eq!(text.parse::<KeepSpan>().unwrap().to_string(), written, "{text}");
        }
        for text in [
            "",
            "0d",
            "1w",
            "1",
            "d",
            "1d2",
            "1d1d",
            "-1d",
            "1.5d",
            "1D",
            "99999999999d",
            "2000000d",
            "1 d",
            "1é",
        ] {
            let failure = text.parse::<KeepSpan>().unwrap_err();
            assert_eq!(failure.kind(), Kind::Usage, "{text}");
            assert!(!failure.hints().is_empty());
        }
    }

    #[test]
    fn a_span_goes_back_as_the_calendar_of_restic_does() {
        for (span, from, to) in [
            ("1m", "2026-03-31T12:00:00Z", "2026-03-03T12:00:00Z"),
            ("1m", "2024-03-31T12:00:00Z", "2024-03-02T12:00:00Z"),
            ("1y", "2024-02-29T00:00:00Z", "2023-03-01T00:00:00Z"),
            ("1y1m1d1h", "2026-01-01T00:00:00Z", "2024-11-29T23:00:00Z"),
            ("7d", "2026-01-03T08:00:00Z", "2025-12-27T08:00:00Z"),
            ("14m", "2026-01-15T08:00:00Z", "2024-11-15T08:00:00Z"),
            ("26h", "2026-01-01T01:00:00Z", "2025-12-30T23:00:00Z"),
            ("999999y", "2026-01-01T01:00:00Z", "-009999-01-02T01:59:59Z"),
        ] {
            let before = span.parse::<KeepSpan>().unwrap().before(from.parse().unwrap());
            assert_eq!(before, to.parse::<Timestamp>().unwrap(), "{span} before {from}");
        }
    }
}
