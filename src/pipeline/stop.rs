//! How the threads behind one reader or writer end together, and how the first failure among them is kept.

use std::convert::Infallible;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, bounded, select};

use crate::base::cancel::{Cancel, CancelGuard};
use crate::base::failure::{Failure, Kind, Result};

/// The common end of a group of threads: set once, it wakes every wait that goes through it.
pub(super) struct Stop {
    /// Dropped to close `closed`, which is how all waits are woken at once.
    open: Mutex<Option<Sender<Infallible>>>,
    closed: Receiver<Infallible>,
    stopped: AtomicBool,
    failure: Mutex<Option<Failure>>,
}

impl Stop {
    pub(super) fn new() -> Arc<Self> {
        let (open, closed) = bounded(0);
        Arc::new(Self {
            open: Mutex::new(Some(open)),
            closed,
            stopped: AtomicBool::new(false),
            failure: Mutex::new(None),
        })
    }

    /// Fails the group with [`Kind::Interrupted`] once `cancel` is set, for as long as the guard lives.
    pub(super) fn watch(self: &Arc<Self>, cancel: &Cancel) -> CancelGuard {
        let stop = Arc::downgrade(self);
        let token = cancel.clone();
        cancel.on_cancel(move || {
            if let (Some(stop), Err(failure)) = (stop.upgrade(), token.check()) {
                stop.fail(failure);
            }
        })
    }

    /// Ends the group because of a failure; only the first one is kept.
    pub(super) fn fail(&self, failure: Failure) {
        self.failure
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .get_or_insert(failure);
        self.end();
    }

    /// Ends the group.
    pub(super) fn end(&self) {
        self.stopped.store(true, Ordering::SeqCst);
        self.open.lock().unwrap_or_else(PoisonError::into_inner).take();
    }

    pub(super) fn is_stopped(&self) -> bool {
        self.stopped.load(Ordering::SeqCst)
    }

    /// The failure that ended the group: the first caller gets it with its whole chain, later ones a copy of its words.
    pub(super) fn failure(&self) -> Failure {
        let mut slot = self.failure.lock().unwrap_or_else(PoisonError::into_inner);
        match slot.take() {
            Some(failure) => {
                *slot = Some(copy_of(&failure));
                failure
            }
            None => Failure::new(Kind::Failed, "The stream was ended before it was whole"),
        }
    }

    /// Fails if the group has ended.
    pub(super) fn check(&self) -> Result<()> {
        if self.is_stopped() { Err(self.failure()) } else { Ok(()) }
    }

    /// The next value; `None` if the group has ended or all senders are gone.
    pub(super) fn receive<T>(&self, receiver: &Receiver<T>) -> Option<T> {
        if self.is_stopped() {
            return None;
        }
        select! {
            recv(receiver) -> value => value.ok(),
            recv(self.closed) -> _ => None,
        }
    }

    /// Hands a value over; `false` if the group has ended or all receivers are gone.
    pub(super) fn send<T>(&self, sender: &Sender<T>, value: T) -> bool {
        if self.is_stopped() {
            return false;
        }
        select! {
            send(sender, value) -> sent => sent.is_ok(),
            recv(self.closed) -> _ => false,
        }
    }

    /// Sleeps; `false` at once if the group ends meanwhile.
    pub(super) fn sleep(&self, time: Duration) -> bool {
        matches!(self.closed.recv_timeout(time), Err(RecvTimeoutError::Timeout))
    }

    /// Starts a thread of the group; if it panics, the group fails.
    pub(super) fn spawn<T: Send + 'static>(
        self: &Arc<Self>,
        name: &'static str,
        body: impl FnOnce(&Arc<Self>) -> T + Send + 'static,
    ) -> Result<JoinHandle<T>> {
        let stop = self.clone();
        std::thread::Builder::new()
            .name(name.to_owned())
            .spawn(move || {
                let watch = PanicWatch { stop: &stop, name };
                let value = body(&stop);
                drop(watch);
                value
            })
            .map_err(|error| {
                Failure::new(Kind::Failed, format!("Could not start the thread `{name}`"))
                    .caused_by(error)
                    .hint("The system's limit of processes or of memory may have been reached")
            })
    }
}

struct PanicWatch<'a> {
    stop: &'a Stop,
    name: &'static str,
}

impl Drop for PanicWatch<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.stop.fail(Failure::new(
                Kind::Failed,
                format!("The thread `{}` ended by a panic, which is a bug", self.name),
            ));
        }
    }
}

fn copy_of(failure: &Failure) -> Failure {
    let mut copy = Failure::new(failure.kind(), failure.message());
    let causes = failure.causes();
    if !causes.is_empty() {
        copy = copy.caused_by(anyhow::anyhow!(causes.join(": ")));
    }
    for hint in failure.hints() {
        copy = copy.hint(hint.as_str());
    }
    copy
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_wakes_every_wait_and_is_told_to_each_who_asks() {
        let stop = Stop::new();
        let (_sender, receiver) = bounded::<u8>(1);
        let waiting = stop.spawn("test-wait", move |stop| stop.receive(&receiver)).unwrap();
        stop.fail(
            Failure::new(Kind::NoSpace, "First")
                .hint("Free some")
                .caused_by(anyhow::anyhow!("why")),
        );
        stop.fail(Failure::new(Kind::Failed, "Second"));
        assert_eq!(waiting.join().unwrap(), None);
        for _ in 0..3 {
            let failure = stop.failure();
            assert_eq!(
                (failure.kind(), failure.message(), failure.causes(), failure.hints()),
                (
                    Kind::NoSpace,
                    "First",
                    vec!["why".to_owned()],
                    &["Free some".to_owned()][..]
                )
            );
        }
        assert!(!stop.sleep(Duration::from_secs(60)));
    }

    #[test]
    fn a_panic_in_one_thread_fails_the_group() {
        let stop = Stop::new();
        let thread = stop.spawn("test-panic", |_| panic!("on purpose")).unwrap();
        assert!(thread.join().is_err());
        assert!(stop.failure().message().contains("test-panic"));
    }

    #[test]
    fn a_cancellation_fails_the_group_as_interrupted() {
        let cancel = Cancel::new();
        let stop = Stop::new();
        let guard = stop.watch(&cancel);
        assert!(stop.check().is_ok());
        cancel.cancel();
        assert_eq!(stop.check().map_err(|failure| failure.kind()), Err(Kind::Interrupted));
        drop(guard);
    }
}
