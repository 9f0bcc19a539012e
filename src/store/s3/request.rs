//! What is asked of the store, what it travels on, what stops it, and what it has been through.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use aws_sdk_s3::config::SharedHttpClient;
use tokio::runtime::Runtime;
use tokio::sync::watch;

use super::timer::Timer;

/// What stops a request.
#[derive(Clone, Debug)]
pub(super) enum Stop {
    /// The run's cancellation.
    OnCancel,
    /// The run's cancellation, or this flag.
    OnCancelOr(watch::Receiver<bool>),
    /// The run's cancellation, so much later: for what is better answered than dropped half-way.
    LateOnCancel(Duration),
    /// Nothing but this much time: for what must be done after a cancellation too.
    After(Duration),
}

/// A request of the clean-up that gets no answer in this time is repeated.
const CLEAN_UP_ATTEMPT_TIMEOUT: Duration = Duration::from_secs(15);

/// What is asked of the store, apart from the SDK's own input.
#[derive(Clone, Debug)]
pub(super) struct Request {
    /// An infinitive with its object, for messages.
    pub(super) doing: String,
    /// The permission that it needs.
    pub(super) permission: &'static str,
    /// The object's key, if it is about one.
    pub(super) key: Option<String>,
    /// How long one attempt may take; `None` for what carries next to nothing.
    pub(super) attempt_timeout: Option<Duration>,
    /// Whether its bytes share the line with others': an attempt may then stand still for its time, and take as long as all
    /// that is on its way needs.
    pub(super) shares_the_line: bool,
    /// How long the store may be silent about this request, whatever the budget: what is known to take its time.
    pub(super) silence_allowed: Duration,
    /// Whether the SDK may repeat it by itself.
    pub(super) sdk_retries: bool,
    /// Whether its answer proves that the store works; the head of a body that never comes does not.
    pub(super) answer_is_progress: bool,
    /// What stops it.
    pub(super) stop: Stop,
}

impl Request {
    /// A request without a body to speak of.
    pub(super) fn new(doing: String, permission: &'static str, key: Option<&str>) -> Self {
        Self {
            doing,
            permission,
            key: key.map(str::to_owned),
            attempt_timeout: None,
            shares_the_line: false,
            silence_allowed: Duration::ZERO,
            sdk_retries: true,
            answer_is_progress: true,
            stop: Stop::OnCancel,
        }
    }

    /// The same request, stopped by something else; an attempt takes no longer than the patience allows.
    pub(super) fn stopped_by(self, stop: &Stop) -> Self {
        let attempt_timeout = match stop {
            Stop::After(_) => Some(self.attempt_timeout.map_or(CLEAN_UP_ATTEMPT_TIMEOUT, |timeout| {
                timeout.min(CLEAN_UP_ATTEMPT_TIMEOUT)
            })),
            Stop::OnCancel | Stop::OnCancelOr(_) | Stop::LateOnCancel(_) => self.attempt_timeout,
        };
        Self {
            attempt_timeout,
            stop: stop.clone(),
            ..self
        }
    }
}

/// What a request has been through.
#[derive(Debug, Default)]
pub(super) struct Tries {
    /// When the first attempt began; what waits and times are counted from if a patience ends them.
    pub(super) started: Option<Duration>,
    /// When the last attempt began.
    pub(super) began: Duration,
    /// When the last attempt last got anywhere: its bytes moved, or it began.
    pub(super) silent_since: Duration,
    /// Whether the last attempt was ended by us, so that nothing is known of the store since then.
    pub(super) hung: bool,
    pub(super) generation: u64,
    pub(super) failures: u32,
    pub(super) corrupted: u32,
    pub(super) renewals: u32,
    pub(super) clock_set: bool,
}

impl Tries {
    pub(super) fn new() -> Self {
        Self::default()
    }

    /// Notes that something that may fail begins now.
    pub(super) fn begin(&mut self, now: Duration) {
        self.started.get_or_insert(now);
        self.began = now;
        self.silent_since = now;
        self.hung = false;
    }
}

/// What requests travel on.
#[derive(Debug)]
pub(super) struct Network {
    pub(super) runtime: Runtime,
    pub(super) timer: Timer,
    pub(super) http: SharedHttpClient,
}

/// A part that is being sent.
#[derive(Debug)]
pub(super) struct OnItsWay<'a> {
    in_flight: &'a AtomicU64,
    bytes: u64,
}

impl<'a> OnItsWay<'a> {
    pub(super) fn new(in_flight: &'a AtomicU64, bytes: u64) -> Self {
        in_flight.fetch_add(bytes, Ordering::AcqRel);
        Self { in_flight, bytes }
    }
}

impl Drop for OnItsWay<'_> {
    fn drop(&mut self) {
        self.in_flight.fetch_sub(self.bytes, Ordering::AcqRel);
    }
}
