//! Signals: SIGINT, SIGTERM and SIGHUP end the run in order, a second one at once; SIGUSR1 prints the progress.

use std::sync::{Arc, Mutex, PoisonError, Weak};

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM, SIGUSR1};
use signal_hook::iterator::Signals;

use crate::base::cancel::Cancel;
use crate::base::failure::{IoContext, Kind, Result};
use crate::ui::Listener;

/// The listener of the run that goes on now, for SIGUSR1.
#[derive(Clone, Default)]
pub struct Current(Arc<Mutex<Weak<Listener>>>);

impl Current {
    /// Names the listener.
    pub fn set(&self, listener: &Arc<Listener>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Arc::downgrade(listener);
    }

    fn get(&self) -> Option<Arc<Listener>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).upgrade()
    }
}

/// Starts to watch for signals.
///
/// # Errors
/// If the system does not allow it.
pub fn watch(cancel: &Cancel, current: &Current) -> Result<()> {
    let mut signals = Signals::new([SIGINT, SIGTERM, SIGHUP, SIGUSR1]).doing(|| "watch for signals")?;
    let (cancel, current) = (cancel.clone(), current.clone());
    std::thread::Builder::new()
        .name("signals".to_owned())
        .spawn(move || {
            for signal in signals.forever() {
                if signal == SIGUSR1 {
                    if let Some(listener) = current.get() {
                        listener.print_now();
                    }
                } else if cancel.is_cancelled() {
                    std::process::exit(i32::from(Kind::Interrupted.exit_code()));
                } else {
                    // What unblocks the run may take its time, and a second signal must not have to wait for it.
                    let asked = cancel.clone();
                    if std::thread::Builder::new().spawn(move || asked.cancel()).is_err() {
                        cancel.cancel();
                    }
                }
            }
        })
        .doing(|| "start the thread that watches for signals")?;
    Ok(())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use std::time::{Duration, Instant};

    #[test]
    fn sigterm_asks_the_run_to_stop() {
        let cancel = Cancel::new();
        watch(&cancel, &Current::default()).unwrap();
        rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::TERM).unwrap();
        let begun = Instant::now();
        while !cancel.is_cancelled() {
            assert!(begun.elapsed() < Duration::from_secs(10), "the signal did not arrive");
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}
