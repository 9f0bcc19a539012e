//! Time, as something that a test can set.

use jiff::Timestamp;
use jiff::civil::{Date, DateTime};
use jiff::tz::TimeZone;

use super::failure::{Failure, Kind, Result};

/// Where a run takes the time of day from.
pub trait Clock: Send + Sync {
    /// The time now, UTC.
    fn now(&self) -> Timestamp;
}

/// The system's clock.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        Timestamp::now()
    }
}

/// A clock that stands still, for tests.
#[derive(Clone, Copy, Debug)]
pub struct FixedClock(pub Timestamp);

impl Clock for FixedClock {
    fn now(&self) -> Timestamp {
        self.0
    }
}

/// Which moment of a day is meant where only the day is named.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DayTime {
    /// Its first second.
    First,
    /// Its last second.
    Last,
}

/// Reads a time: RFC 3339, or a date with or without a time of day in this machine's time zone.
///
/// # Errors
/// [`Kind::Usage`].
pub fn parse_time(text: &str, day_time: DayTime) -> Result<Timestamp> {
    if let Ok(time) = text.parse::<Timestamp>() {
        return Ok(time);
    }
    let civil = text
        .parse::<DateTime>()
        .or_else(|_| {
            text.parse::<Date>().map(|date| match day_time {
                DayTime::First => date.at(0, 0, 0, 0),
                DayTime::Last => date.at(23, 59, 59, 0),
            })
        })
        .map_err(|error| {
            Failure::new(Kind::Usage, format!("Not a time: `{text}`"))
                .caused_by(error)
                .hint("Write for example `2025-01-31T12:00:00Z`, `2025-01-31 12:00` or `2025-01-31`")
        })?;
    civil
        .to_zoned(TimeZone::system())
        .map(|zoned| zoned.timestamp())
        .map_err(|error| Failure::new(Kind::Usage, format!("Not a time here: `{text}`")).caused_by(error))
}
