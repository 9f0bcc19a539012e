//! The series: how old its newest backup is, beside its own rhythm.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;

use super::check::{Check, Status};
use crate::base::failure::{Kind, Result};
use crate::base::units::format_duration;
use crate::catalog::layout::Layout;
use crate::catalog::listing::scan;
use crate::ops::Run;
use crate::store::Store;

/// So many of the newest gaps make the rhythm.
const GAPS: usize = 10;

/// With fewer gaps than this there is no rhythm yet.
const GAPS_MIN: usize = 2;

/// A backup that takes longer than the last one is late by as much; this is what a rhythm may be off, at least.
const GRACE: Duration = Duration::from_secs(60 * 60);

/// Looks how old the newest committed backup of a series is.
///
/// # Errors
/// [`Kind::Interrupted`].
pub fn check_series(store: &Arc<dyn Store>, layout: &Layout, name: &str, run: &Run) -> Result<Check> {
    const ID: &str = "series.age";
    let found = match scan(store.as_ref(), &layout.series_prefix(name), &run.cancel) {
        Ok(found) => found,
        Err(failure) if failure.kind() == Kind::Interrupted => return Err(failure),
        Err(failure) if failure.kind() == Kind::Denied => {
            return Ok(Check::skipped(ID, format!("`{name}`: not allowed: s3:ListBucket")));
        }
        Err(failure) if failure.kind() == Kind::NotFound => Vec::new(),
        Err(failure) => return Ok(Check::of_failure(ID, Status::Warning, &failure)),
    };
    let times: Vec<Timestamp> = found
        .iter()
        .filter(|backup| backup.manifest_key.is_some() && backup.name_hint == name)
        .map(|backup| backup.time)
        .collect();
    Ok(judge(name, &times, run.clock.now()))
}

/// Judges the times of a series, newest first.
pub(super) fn judge(name: &str, times: &[Timestamp], now: Timestamp) -> Check {
    const ID: &str = "series.age";
    let Some(newest) = times.first() else {
        return Check::warning(
            ID,
            format!("`{name}` has no backup yet"),
            format!(
                "Make the first one with `backup-cli backup`, and try to restore it: `backup-cli restore {name}@latest --to ./restored`"
            ),
        );
    };
    let Ok(age) = Duration::try_from(now.duration_since(*newest)) else {
        return Check::warning(
            ID,
            format!("The newest backup of `{name}` is from the future"),
            "Look at this machine's clock, and at the one of the machine that makes the backups",
        );
    };
    let message = format!("The newest backup of `{name}` is {} old", format_duration(age));
    let mut gaps: Vec<Duration> = times
        .windows(2)
        .take(GAPS)
        .filter_map(|two| Duration::try_from(two[0].duration_since(two[1])).ok())
        .collect();
    gaps.sort();
    match gaps.get(gaps.len() / 2) {
        Some(usual) if gaps.len() >= GAPS_MIN && age > usual.saturating_mul(2) + GRACE => Check::warning(
            ID,
            format!("{message}; usually one comes every {}", format_duration(*usual)),
            "Look whether the timer still runs, and what the last run said",
        ),
        _ => Check::ok(ID, message),
    }
}
