//! Metrics of a run, if a file for them is set.

use super::Context;
use crate::base::clock::{Clock, SystemClock};
use crate::ops::metrics::{Labels, Told, write_metrics};

/// Writes what a run has to tell of the series `source`. What cannot be written is said, and fails nothing: the run is
/// what counts.
pub fn tell(context: &Context, source: &str, told: Told) {
    let settings = &context.settings;
    let Some(path) = &settings.metrics_file.value else {
        return;
    };
    let labels = Labels {
        profile: settings.profile.as_deref().unwrap_or_default(),
        source,
    };
    if let Err(failure) = write_metrics(path, labels, told, SystemClock.now(), &settings.lock_folder.value) {
        context
            .console
            .warning(&format!("The metrics were not written: {}.", failure.in_one_line()));
    }
}
