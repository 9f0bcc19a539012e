//! Sizes and durations as people write and read them.

use std::time::Duration;

use super::failure::{Failure, Kind, Result};

/// One kibibyte.
pub const KIB: u64 = 1024;
/// One mebibyte.
pub const MIB: u64 = 1024 * KIB;
/// One gibibyte.
pub const GIB: u64 = 1024 * MIB;
/// One tebibyte.
pub const TIB: u64 = 1024 * GIB;

/// Reads a size: `1048576`, `64MiB`, `64M`, `1.5 GiB`. Letters are powers of 1024, as in restic and the AWS CLI.
///
/// # Errors
/// [`Kind::Usage`] if it is not a size.
pub fn parse_bytes(text: &str) -> Result<u64> {
    let wrong = || {
        Failure::new(Kind::Usage, format!("Not a size: `{text}`"))
            .hint("Write a number with an optional unit, for example 64MiB, 1.5GiB or 1048576")
    };
    let trimmed = text.trim();
    let split = trimmed
        .find(|c: char| !c.is_ascii_digit() && c != '.')
        .unwrap_or(trimmed.len());
    let (number, unit) = trimmed.split_at(split);
    let factor = match unit.trim().to_ascii_lowercase().as_str() {
        "" | "b" => 1,
        "k" | "kb" | "kib" => KIB,
        "m" | "mb" | "mib" => MIB,
        "g" | "gb" | "gib" => GIB,
        "t" | "tb" | "tib" => TIB,
        _ => return Err(wrong()),
    };
    if let Ok(whole) = number.parse::<u64>() {
        return whole.checked_mul(factor).ok_or_else(wrong);
    }
    let fraction: f64 = number.parse().map_err(|_| wrong())?;
    let bytes = fraction * factor as f64;
    if !bytes.is_finite() || bytes < 0.0 || bytes >= u64::MAX as f64 {
        return Err(wrong());
    }
    Ok(bytes as u64)
}

/// Writes a size for people: `1.50 MiB`.
#[must_use]
pub fn format_bytes(bytes: u64) -> String {
    humansize::format_size(bytes, humansize::BINARY)
}

/// Reads a duration: `500ms`, `90s`, `15m`, `26h`, `7d`, `2w`, or several together (`1h30m`). A bare number is seconds.
///
/// # Errors
/// [`Kind::Usage`] if it is not a duration.
pub fn parse_duration(text: &str) -> Result<Duration> {
    let wrong = || {
        Failure::new(Kind::Usage, format!("Not a duration: `{text}`"))
            .hint("Write for example 90s, 15m, 26h, 7d or 1h30m")
    };
    let trimmed = text.trim();
    if let Ok(seconds) = trimmed.parse::<u64>() {
        return Ok(Duration::from_secs(seconds));
    }
    let mut total_millis = 0u64;
    let mut number = String::new();
    let mut letters = trimmed.chars().peekable();
    while let Some(c) = letters.next() {
        if c.is_ascii_digit() {
            number.push(c);
            continue;
        }
        let factor = match c {
            'm' if letters.next_if_eq(&'s').is_some() => 1,
            's' => 1000,
            'm' => 60_000,
            'h' => 3_600_000,
            'd' => 86_400_000,
            'w' => 7 * 86_400_000,
            _ => return Err(wrong()),
        };
        let value: u64 = number.parse().map_err(|_| wrong())?;
        number.clear();
        total_millis = value
            .checked_mul(factor)
            .and_then(|v| v.checked_add(total_millis))
            .ok_or_else(wrong)?;
    }
    if !number.is_empty() || trimmed.is_empty() {
        return Err(wrong());
    }
    Ok(Duration::from_millis(total_millis))
}

/// Writes a duration for people in its two largest units: `2 h 5 min`, `3 d 4 h`, `1.4 s`.
#[must_use]
pub fn format_duration(duration: Duration) -> String {
    let secs = duration.as_secs();
    match secs {
        0..=9 => format!("{:.1} s", duration.as_secs_f64()),
        10..=59 => format!("{secs} s"),
        60..=3599 => format!("{} min {} s", secs / 60, secs % 60),
        3600..=86_399 => format!("{} h {} min", secs / 3600, secs % 3600 / 60),
        _ => format!("{} d {} h", secs / 86_400, secs % 86_400 / 3600),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn sizes_read_as_people_write_them() {
        for (text, bytes) in [
            ("0", 0),
            ("17", 17),
            ("64MiB", 64 * MIB),
            ("64m", 64 * MIB),
            ("1.5 GiB", 3 * GIB / 2),
            ("2TB", 2 * TIB),
        ] {
            assert_eq!(parse_bytes(text).unwrap(), bytes, "{text}");
        }
        for text in ["", "MiB", "-1", "1.2.3", "5 parsecs", "99999999999999999999", "1e400"] {
            assert!(parse_bytes(text).is_err(), "{text}");
        }
    }

    #[test]
    fn durations_read_as_people_write_them() {
        for (text, secs) in [
            ("90", 90),
            ("90s", 90),
            ("1h30m", 5400),
            ("26h", 93_600),
            ("7d", 604_800),
        ] {
            assert_eq!(parse_duration(text).unwrap().as_secs(), secs, "{text}");
        }
        assert_eq!(parse_duration("500ms").unwrap(), Duration::from_millis(500));
        assert_eq!(parse_duration("1m2s3ms").unwrap(), Duration::from_millis(62_003));
        for text in ["", "h", "1x", "1h30", "-5m", "ms", "5mss"] {
            assert!(parse_duration(text).is_err(), "{text}");
        }
    }
}
