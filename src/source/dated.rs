//! Dated names: under which a replaced database is kept, and by which a scratch database goes.

use jiff::{SignedDuration, Timestamp};

/// How many seconds the date steps forward to find a name that is free: as many restores of one database do not end in one
/// second.
const TRIES_MAX: i64 = 60;

/// The name of this second, or of the next one that is free. `name_at` makes a name of the date.
#[must_use]
pub fn free_name(now: Timestamp, name_at: impl Fn(&str) -> String, mut is_taken: impl FnMut(&str) -> bool) -> String {
    let dated = |seconds: i64| {
        let at = now.checked_add(SignedDuration::from_secs(seconds)).unwrap_or(now);
        name_at(&at.strftime("%Y%m%d_%H%M%S").to_string())
    };
    (0..TRIES_MAX)
        .map(dated)
        .find(|name| !is_taken(name))
        .unwrap_or_else(|| dated(TRIES_MAX))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_is_taken_is_stepped_over_into_the_next_minute() {
        let now: Timestamp = "2026-01-31T23:59:58Z".parse().unwrap();
        let taken = ["a__20260131_235958", "a__20260131_235959"];
        let name = free_name(now, |date| format!("a__{date}"), |name| taken.contains(&name));
        assert_eq!(name, "a__20260201_000000");
        let first = free_name(now, |date| format!("a__{date}"), |_| false);
        assert_eq!(first, taken[0]);
    }
}
