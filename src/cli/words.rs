//! Sentences and numbers that several commands print in the same way.

use jiff::{Timestamp, Unit};

use crate::base::units::format_bytes;
use crate::catalog::manifest::{Counts, Manifest};
use crate::store::object_lock::ObjectLock;

/// A time for people: `2026-01-31 02:00:00Z`.
#[must_use]
pub fn time(time: Timestamp) -> String {
    time.strftime("%Y-%m-%d %H:%M:%SZ").to_string()
}

/// How long ago a time was: `3 h`, `5 d`.
#[must_use]
pub fn age(time: Timestamp, now: Timestamp) -> String {
    let secs = now.since((Unit::Second, time)).map_or(0, |span| span.get_seconds());
    match secs {
        i64::MIN..=-1 => "in the future".to_owned(),
        0..=59 => format!("{secs} s"),
        60..=3599 => format!("{} min", secs / 60),
        3600..=172_799 => format!("{} h", secs / 3600),
        _ => format!("{} d", secs / 86_400),
    }
}

/// A lock for people: `governance until 2026-12-31 02:00:00Z`.
#[must_use]
pub fn until(lock: &ObjectLock) -> String {
    format!("{} until {}", lock.mode, time(lock.until))
}

/// A number with its noun: `1 file`, `46,000 files`.
#[must_use]
pub fn count(number: u64, one: &str, many: &str) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    format!("{text} {}", if number == 1 { one } else { many })
}

/// What is inside, in a phrase: `46,000 files, 3,100 folders`.
#[must_use]
pub fn counts(counts: &Counts) -> String {
    let named = [
        (counts.files, "file", "files"),
        (counts.folders, "folder", "folders"),
        (counts.others, "other item", "other items"),
        (counts.tables, "table", "tables"),
        (counts.rows, "row", "rows"),
    ];
    let phrases: Vec<String> = named
        .iter()
        .filter_map(|(number, one, many)| {
            number
                .filter(|number| *number > 0)
                .map(|number| count(number, one, many))
        })
        .collect();
    phrases.join(", ")
}

/// The sizes of a backup in a phrase: `670 MiB, stored as 125 MiB (5.4 : 1)`.
#[must_use]
pub fn sizes(manifest: &Manifest) -> String {
    let stored = manifest.data_bytes();
    let ratio = match stored {
        0 => String::new(),
        _ => format!(" ({:.1} : 1)", manifest.plain_bytes as f64 / stored as f64),
    };
    format!(
        "{}, stored as {}{ratio}",
        format_bytes(manifest.plain_bytes),
        format_bytes(stored)
    )
}

/// Lines of a label and a value, the values in one column.
#[must_use]
pub fn lines(pairs: &[(&str, String)]) -> String {
    let width = pairs.iter().map(|(label, _)| label.len()).max().unwrap_or(0);
    let mut text = String::new();
    for (label, value) in pairs {
        text.push_str(&format!("  {label:width$}  {value}\n"));
    }
    text
}

/// A path as the index has it: without slashes at its ends.
#[must_use]
pub fn trimmed(mut path: &[u8]) -> &[u8] {
    while let [b'/', rest @ ..] = path {
        path = rest;
    }
    while let [rest @ .., b'/'] = path {
        path = rest;
    }
    path
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_ages_read_well() {
        assert_eq!(count(1, "file", "files"), "1 file");
        assert_eq!(count(46_000, "file", "files"), "46,000 files");
        assert_eq!(count(1_234_567, "file", "files"), "1,234,567 files");
        let now: Timestamp = "2026-01-31T02:00:00Z".parse().unwrap();
        for (then, text) in [
            ("2026-01-31T01:59:18Z", "42 s"),
            ("2026-01-31T01:00:00Z", "1 h"),
            ("2026-01-01T02:00:00Z", "30 d"),
            ("2026-02-01T02:00:00Z", "in the future"),
        ] {
            assert_eq!(age(then.parse().unwrap(), now), text);
        }
    }
}
