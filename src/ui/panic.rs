//! Panics: bugs of this program, which must never look like a success.

use std::sync::atomic::{AtomicBool, Ordering};

use super::console::Console;
use crate::base::failure::{Failure, Kind};

static PANICKED: AtomicBool = AtomicBool::new(false);

/// Prints a panic of any thread as a failure, and remembers that there was one.
pub fn report_to(console: Console) {
    std::panic::set_hook(Box::new(move |info| {
        PANICKED.store(true, Ordering::SeqCst);
        let message = info.payload_as_str().unwrap_or("unknown");
        let place = info
            .location()
            .map_or_else(|| "an unknown place".to_owned(), ToString::to_string);
        console.failure(
            &Failure::new(
                Kind::Failed,
                format!("This is a bug in backup-cli: {message}, at {place}"),
            )
            .hint("Nothing that this run made counts as a backup. Please report this message and how it came about"),
        );
    }));
}

/// Whether any thread has panicked.
#[must_use]
pub fn happened() -> bool {
    PANICKED.load(Ordering::SeqCst)
}
