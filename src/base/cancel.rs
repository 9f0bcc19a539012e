//! Cancellation: one flag that every loop looks at, with callbacks for what blocks.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use super::failure::{Failure, Kind, Result};

type Callback = Box<dyn FnOnce() + Send>;

#[derive(Default)]
struct Shared {
    cancelled: AtomicBool,
    next_id: std::sync::atomic::AtomicU64,
    callbacks: Mutex<Vec<(u64, Callback)>>,
}

/// A token that is set once, by a signal or by the first part of a run that fails.
///
/// Clones share the flag.
#[derive(Clone, Default)]
pub struct Cancel(Arc<Shared>);

impl std::fmt::Debug for Cancel {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Cancel").field(&self.is_cancelled()).finish()
    }
}

impl Cancel {
    /// A token that nobody has set.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets the flag and runs every callback once.
    pub fn cancel(&self) {
        self.0.cancelled.store(true, Ordering::SeqCst);
        let callbacks = std::mem::take(&mut *self.0.callbacks.lock().unwrap_or_else(PoisonError::into_inner));
        for (_, callback) in callbacks {
            callback();
        }
    }

    /// Whether the run has been asked to stop.
    #[must_use]
    pub fn is_cancelled(&self) -> bool {
        self.0.cancelled.load(Ordering::SeqCst)
    }

    /// Fails once the run has been asked to stop.
    ///
    /// # Errors
    /// [`Kind::Interrupted`].
    pub fn check(&self) -> Result<()> {
        if self.is_cancelled() {
            Err(Failure::new(
                Kind::Interrupted,
                "Interrupted: the run was asked to stop",
            ))
        } else {
            Ok(())
        }
    }

    /// Registers what unblocks a wait (kill a child, wake a task); runs at once if already cancelled.
    ///
    /// The callback is forgotten when the returned guard is dropped.
    #[must_use = "the callback is forgotten when the guard is dropped"]
    pub fn on_cancel(&self, callback: impl FnOnce() + Send + 'static) -> CancelGuard {
        let id = self.0.next_id.fetch_add(1, Ordering::Relaxed);
        self.0
            .callbacks
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push((id, Box::new(callback)));
        // A cancel between the flag and the push would have missed the callback.
        if self.is_cancelled() {
            self.cancel();
        }
        CancelGuard {
            cancel: self.clone(),
            id,
        }
    }
}

/// Keeps a callback of [`Cancel::on_cancel`] registered.
#[derive(Debug)]
pub struct CancelGuard {
    cancel: Cancel,
    id: u64,
}

impl Drop for CancelGuard {
    fn drop(&mut self) {
        let mut callbacks = self.cancel.0.callbacks.lock().unwrap_or_else(PoisonError::into_inner);
        callbacks.retain(|(id, _)| *id != self.id);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::AtomicUsize;

    #[test]
    fn callbacks_run_once_and_guards_forget_them() {
        let cancel = Cancel::new();
        let hits = Arc::new(AtomicUsize::new(0));
        let counter = hits.clone();
        let kept = cancel.on_cancel(move || {
            counter.fetch_add(1, Ordering::SeqCst);
        });
        let counter = hits.clone();
        drop(cancel.on_cancel(move || {
            counter.fetch_add(100, Ordering::SeqCst);
        }));
        assert!(cancel.check().is_ok());
        cancel.cancel();
        cancel.cancel();
        assert_eq!(hits.load(Ordering::SeqCst), 1);
        assert_eq!(cancel.check().map_err(|f| f.kind()), Err(Kind::Interrupted));
        drop(kept);
    }
}
