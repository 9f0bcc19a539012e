//! What an object's name tells of its series and its time, where scripts name things in ways of their own.

use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;

use crate::catalog::layout::name_and_time_of;
use crate::store::Key;

/// How scripts write a day.
const DAYS: [(&str, usize); 2] = [("%Y%m%d", 8), ("%Y-%m-%d", 10)];

/// The time that a name tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Told {
    /// To the second.
    Time(Timestamp),
    /// No more than the day: its first moment, UTC.
    Day(Timestamp),
    /// None.
    Nothing,
}

/// The series and the time, from the name as backups of this program have it, or else from a day at its end or in the folder
/// that it lies in: `www-20250128.tar.gz`, `2025-01-28/www.tar.gz`.
pub(super) fn series_and_time_of(key: &Key) -> (String, Told) {
    let (name, time) = name_and_time_of(key);
    if let Some(time) = time {
        return (name, Told::Time(time));
    }
    if let Some((head, day)) = day_at_end(&name) {
        let head = head.trim_end_matches(['_', '-', '.']);
        let series = ["_backup", "-backup"].iter().find_map(|end| head.strip_suffix(end));
        let series = series.unwrap_or(head);
        return match series {
            "" => ("backup".to_owned(), Told::Day(day)),
            series => (series.to_owned(), Told::Day(day)),
        };
    }
    let folder = key.as_str().rsplit('/').nth(1);
    match folder.and_then(day_at_end) {
        Some(("", day)) => (name, Told::Day(day)),
        _ => (name, Told::Nothing),
    }
}

/// What stands before a day at the end of a text, and the day.
fn day_at_end(text: &str) -> Option<(&str, Timestamp)> {
    DAYS.iter().find_map(|(form, bytes)| {
        let (head, tail) = text.split_at_checked(text.len().checked_sub(*bytes)?)?;
        let is_apart = head
            .chars()
            .next_back()
            .is_none_or(|last| matches!(last, '_' | '-' | '.'));
        let date = Date::strptime(form, tail).ok().filter(|_| is_apart)?;
        // The year of a number that is no day is seldom one of ours.
        let is_likely = (1990..2100).contains(&date.year());
        let midnight = date.to_zoned(TimeZone::UTC).ok().filter(|_| is_likely)?;
        Some((head, midnight.timestamp()))
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn the_days_of_scripts_are_read() {
        let day = Told::Day("2025-01-28T00:00:00Z".parse().unwrap());
        let second = Told::Time("2025-01-28T14:30:00Z".parse().unwrap());
        for (key, name, told) in [
            ("b/www-20250128.tar.gz", "www", day),
            ("2025/01/28/www-2025-01-28.tar.gz", "www", day),
            ("www_backup_20250128.sql.gz", "www", day),
            ("www.20250128.sql", "www", day),
            ("20250128.sql.gz", "backup", day),
            ("daily/20250128/site.tar.gz", "site", day),
            ("daily/2025-01-28/site.tar.gz", "site", day),
            ("20250128/www_backup_20250128_143000.tar.gz", "www", second),
            (
                "20250128/www_backup_20250127_143000.tar.gz",
                "www",
                Told::Time("2025-01-27T14:30:00Z".parse().unwrap()),
            ),
            ("order-20251399.tar.gz", "order-20251399", Told::Nothing),
            ("part-99990101.tar.gz", "part-99990101", Told::Nothing),
            ("site20250128.tar.gz", "site20250128", Told::Nothing),
            ("nightly/shop.sql.gz", "shop", Told::Nothing),
        ] {
            assert_eq!(series_and_time_of(&Key::new(key)), (name.to_owned(), told), "{key}");
        }
    }
}
