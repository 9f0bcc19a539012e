//! What a use case tells its listeners while it runs: facts as events, bytes as counters.

use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::atomic::{AtomicU64, Ordering};

/// The stages of a run, in the words that a listener shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Looking at the source or at the store before the first byte moves.
    Preparing,
    /// Bytes stream from the source into the store.
    BackingUp,
    /// The upload is being completed, checked and committed.
    Committing,
    /// Bytes stream from the store to the target.
    Restoring,
    /// Archived objects have been asked for, and are waited for.
    Thawing,
    /// Bytes stream from one store to another.
    Copying,
    /// Stored bytes are being checked where they lie.
    Verifying,
    /// Restored content is being checked and moved into its place.
    Finishing,
}

/// A fact that a use case reports.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// A new stage begins.
    Phase(Phase),
    /// Something that the user should know, in a full sentence with a stop.
    Note(String),
    /// Something that the user should look into, in a full sentence with a stop.
    Warning(String),
    /// One item of many failed; the run goes on.
    ItemFailed {
        /// The path or the object.
        item: String,
        /// What was being done: `read`, `archive`, `restore`.
        during: &'static str,
        /// Why it failed.
        message: String,
    },
    /// A request failed in a passing way and is tried again.
    Retrying {
        /// The request.
        what: String,
        /// Which attempt failed, from 1.
        attempt: u32,
        /// How long until the next attempt, in milliseconds.
        wait_millis: u64,
        /// Why the attempt failed.
        cause: String,
    },
}

/// Counters that grow while bytes move; read by whoever draws them.
#[derive(Debug, Default)]
pub struct Progress {
    plain_bytes: AtomicU64,
    stored_bytes: AtomicU64,
    items: AtomicU64,
    errors: AtomicU64,
    total_plain_bytes: AtomicU64,
    total_items: AtomicU64,
    current: Mutex<String>,
}

impl Progress {
    /// Bytes of the source read, or of the target written.
    pub fn add_plain(&self, bytes: u64) {
        self.plain_bytes.fetch_add(bytes, Ordering::Relaxed);
    }
    /// Bytes that the store has acknowledged, or delivered.
    pub fn add_stored(&self, bytes: u64) {
        self.stored_bytes.fetch_add(bytes, Ordering::Relaxed);
    }
    /// Files or tables done.
    pub fn add_item(&self) {
        self.items.fetch_add(1, Ordering::Relaxed);
    }
    /// Items that failed.
    pub fn add_error(&self) {
        self.errors.fetch_add(1, Ordering::Relaxed);
    }
    /// Begins anew, for the next stage of a run that moves other bytes.
    pub fn reset(&self) {
        for counter in [
            &self.plain_bytes,
            &self.stored_bytes,
            &self.items,
            &self.errors,
            &self.total_plain_bytes,
            &self.total_items,
        ] {
            counter.store(0, Ordering::Relaxed);
        }
        self.set_current("");
    }
    /// Begins the same bytes once more; what is expected stays.
    pub fn restart(&self) {
        for counter in [&self.plain_bytes, &self.items, &self.errors] {
            counter.store(0, Ordering::Relaxed);
        }
    }
    /// The expected totals; 0 means unknown.
    pub fn set_totals(&self, plain_bytes: u64, items: u64) {
        self.total_plain_bytes.store(plain_bytes, Ordering::Relaxed);
        self.total_items.store(items, Ordering::Relaxed);
    }
    /// The item being worked on.
    pub fn set_current(&self, item: &str) {
        let mut current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        current.clear();
        current.push_str(item);
    }
    /// All counters at one moment.
    #[must_use]
    pub fn snapshot(&self) -> ProgressSnapshot {
        ProgressSnapshot {
            plain_bytes: self.plain_bytes.load(Ordering::Relaxed),
            stored_bytes: self.stored_bytes.load(Ordering::Relaxed),
            items: self.items.load(Ordering::Relaxed),
            errors: self.errors.load(Ordering::Relaxed),
            total_plain_bytes: self.total_plain_bytes.load(Ordering::Relaxed),
            total_items: self.total_items.load(Ordering::Relaxed),
            current: self.current.lock().unwrap_or_else(PoisonError::into_inner).clone(),
        }
    }
}

/// The counters of [`Progress`] at one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ProgressSnapshot {
    /// Bytes of the source read, or of the target written.
    pub plain_bytes: u64,
    /// Bytes that the store has acknowledged, or delivered.
    pub stored_bytes: u64,
    /// Files or tables done.
    pub items: u64,
    /// Items that failed.
    pub errors: u64,
    /// Expected plaintext bytes; 0 if unknown.
    pub total_plain_bytes: u64,
    /// Expected items; 0 if unknown.
    pub total_items: u64,
    /// The item being worked on.
    pub current: String,
}

/// Who listens to a use case: bars, plain lines, JSON lines, or a test's recorder.
pub trait Reporter: Send + Sync {
    /// Takes a fact; called from any thread.
    fn event(&self, event: Event);
    /// The counters that the use case moves.
    fn progress(&self) -> &Progress;
    /// Whether it is worth counting what is expected; not if nobody is shown how far a run has come.
    fn shows_progress(&self) -> bool {
        true
    }
}

/// A listener that keeps every event, for tests and for callers that want them afterwards.
#[derive(Debug, Default)]
pub struct Recorder {
    progress: Progress,
    events: Mutex<Vec<Event>>,
}

impl Recorder {
    /// What has been reported so far.
    #[must_use]
    pub fn events(&self) -> Vec<Event> {
        self.events.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Reporter for Recorder {
    fn event(&self, event: Event) {
        self.events.lock().unwrap_or_else(PoisonError::into_inner).push(event);
    }
    fn progress(&self) -> &Progress {
        &self.progress
    }
}
