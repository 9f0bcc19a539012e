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
                    let cancel = cancel.clone();
                    let asked = std::thread::Builder::new().spawn({
                        let cancel = cancel.clone();
                        move || cancel.cancel()
                    });
                    if asked.is_err() {
                        cancel.cancel();
                    }
                }
            }
        })
        .doing(|| "start the thread that watches for signals")?;
    Ok(())
}
