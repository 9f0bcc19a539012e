//! What a backup does when it has been made: it clears up after earlier runs, and prunes its series if asked to.

use super::Context;
use super::prune::{after_backup, prune_options};
use super::words::count;
use crate::base::failure::Result;
use crate::ops::Run;
use crate::ops::cleanup::tidy_series;
use crate::ops::several::Destination;

/// Throws away what earlier runs of the series did not finish; nothing that goes wrong here is of any consequence.
pub fn tidy(name: &str, stores: &[Destination], context: &Context, run: &Run) {
    for destination in stores {
        let older_than = context.settings.cleanup_older_than.value;
        let aborted = tidy_series(&destination.store, name, &destination.layout, older_than, run);
        if aborted > 0 {
            context.console.note(&format!(
                "{} that earlier runs of `{name}` had left behind.",
                count(
                    aborted,
                    "Unfinished upload was thrown away",
                    "unfinished uploads were thrown away"
                )
            ));
        }
    }
}

/// Prunes the series in every store, each by itself; the last failure is returned, the others are printed.
///
/// # Errors
/// As `prune`.
pub fn prune_stores(name: &str, stores: &[Destination], context: &Context, run: &Run) -> Result<()> {
    let mut last: Result<()> = Ok(());
    for destination in stores {
        let mut options = prune_options(&context.settings, destination.store.as_ref(), Some(name.to_owned()))?;
        options.layout = destination.layout.clone();
        if let Err(failure) = after_backup(&destination.store, &options, context, run)
            && let Err(earlier) = std::mem::replace(&mut last, Err(failure))
        {
            context.console.failure(&earlier);
        }
    }
    last
}
