//! What became of a backup in each of several stores, in words.

use super::Context;
use super::words::count;
use crate::base::failure::{Failure, Kind, Result};
use crate::ops::backup::BackupOutcome;
use crate::ops::several::StoreOutcome;

/// The stores that hold the backup.
pub fn committed(outcomes: &[StoreOutcome]) -> impl Iterator<Item = (&str, &BackupOutcome)> {
    outcomes
        .iter()
        .filter_map(|outcome| Some((outcome.url.as_str(), outcome.result.as_ref().ok()?)))
}

/// The stores as the summary for programs lists them.
pub fn as_json(outcomes: &[StoreOutcome]) -> serde_json::Value {
    let one = |outcome: &StoreOutcome| match &outcome.result {
        Ok(made) => serde_json::json!({
            "store": outcome.url,
            "state": "committed",
            "key": made.manifest.data_objects().next().map(|object| &object.key),
        }),
        Err(failure) => serde_json::json!({
            "store": outcome.url,
            "state": "failed",
            "error": failure.message(),
        }),
    };
    outcomes.iter().map(one).collect()
}

/// Prints why stores have failed, and makes one failure of it: of all of them a plain one, of some an incomplete backup.
///
/// # Errors
/// [`Kind::Failed`] or [`Kind::Incomplete`], if any store has failed.
pub fn judge(outcomes: Vec<StoreOutcome>, context: &Context) -> Result<()> {
    let total = outcomes.len();
    let failures: Vec<Failure> = outcomes
        .into_iter()
        .filter_map(|outcome| {
            let failure = outcome.result.err()?;
            Some(failure.context(format!("Could not back up to {}", outcome.url)))
        })
        .collect();
    if failures.is_empty() {
        return Ok(());
    }
    failures.iter().for_each(|failure| context.console.failure(failure));
    let stores = count(total as u64, "store", "stores");
    Err(match failures.len() == total {
        true => Failure::new(Kind::Failed, format!("The backup failed in all {stores}"))
            .hint("No store has this backup: mend the causes above, and run it again"),
        false => Failure::new(
            Kind::Incomplete,
            format!("The backup is missing in {} of {stores}", failures.len()),
        )
        .hint("Mend the cause, then `backup-cli copy` brings it there"),
    })
}
