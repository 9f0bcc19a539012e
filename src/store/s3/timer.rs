//! Time as the requests of a store see it: what they wait by, the SDK's own timeouts included. A test lets it pass by itself.

use std::sync::Arc;
use std::time::{Duration, Instant};

use aws_sdk_s3::config::{AsyncSleep, Sleep};

/// A clock that only goes forward, and waits by it.
pub(super) trait Time: AsyncSleep {
    /// The time since some moment in the past.
    fn now(&self) -> Duration;
}

/// The time of one store.
#[derive(Clone, Debug)]
pub(super) struct Timer(Arc<dyn Time>);

impl Timer {
    /// Time as it passes.
    pub(super) fn real() -> Self {
        Self::new(Monotonic(Instant::now()))
    }

    pub(super) fn new(time: impl Time + 'static) -> Self {
        Self(Arc::new(time))
    }

    /// The time since some moment in the past.
    pub(super) fn now(&self) -> Duration {
        self.0.now()
    }
}

impl AsyncSleep for Timer {
    fn sleep(&self, duration: Duration) -> Sleep {
        self.0.sleep(duration)
    }
}

#[derive(Debug)]
struct Monotonic(Instant);

impl Time for Monotonic {
    fn now(&self) -> Duration {
        self.0.elapsed()
    }
}

impl AsyncSleep for Monotonic {
    fn sleep(&self, duration: Duration) -> Sleep {
        // The timer of the runtime is looked for when the sleep is first waited for.
        Sleep::new(async move { tokio::time::sleep(duration).await })
    }
}
