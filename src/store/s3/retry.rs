//! When a failed request is tried again: the schedule of waits, and the budget that ends them.
//!
//! The budget belongs to the whole store: it runs from the first failure after the last success, whichever requests they
//! were. One part that fails while others pass is tried on; a store that answers nobody is given up after one budget.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// How failed requests are tried again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RetryOptions {
    /// The wait after the first failure; it doubles with each further one.
    pub first_wait: Duration,
    /// No wait is longer than this.
    pub max_wait: Duration,
    /// How long the store may go without any success before a failing request is given up.
    pub budget: Duration,
    /// How many attempts the SDK makes by itself, a second or two apart, before one counts as failed; at least 1.
    pub sdk_attempts: u32,
}

impl Default for RetryOptions {
    fn default() -> Self {
        Self {
            first_wait: Duration::from_secs(5),
            max_wait: Duration::from_secs(60),
            budget: Duration::from_secs(15 * 60),
            sdk_attempts: 2,
        }
    }
}

/// The waits before a store has answered for the first time: a wrong host name should be said at once.
const FIRST_CONTACT_WAITS: [Duration; 2] = [Duration::from_secs(1), Duration::from_secs(2)];

/// What is to be done about a failed attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// Try again after this time.
    Wait(Duration),
    /// The failure stands.
    GiveUp,
}

/// The state that all requests of a store share.
#[derive(Debug, Default)]
pub(super) struct Budget {
    /// Whether `failing_since` holds anything, so that the successes of a healthy run take no lock.
    failing: AtomicBool,
    /// The time of the first failure since the last success.
    failing_since: Mutex<Option<Duration>>,
}

impl Budget {
    /// A request succeeded, or bytes arrived.
    pub(super) fn success(&self) {
        if self.failing.load(Ordering::Acquire) {
            *self.failing_since.lock().unwrap_or_else(PoisonError::into_inner) = None;
            self.failing.store(false, Ordering::Release);
        }
    }

    /// A request failed in a passing way for the `attempt`th time (from 1), at the time `now` of a monotonic clock.
    ///
    /// `first_contact` says that the store has never answered and could not even be connected to; `random` is in 0..1.
    pub(super) fn failed(
        &self,
        options: &RetryOptions,
        attempt: u32,
        first_contact: bool,
        now: Duration,
        random: f64,
    ) -> Next {
        let since = {
            let mut since = self.failing_since.lock().unwrap_or_else(PoisonError::into_inner);
            self.failing.store(true, Ordering::Release);
            *since.get_or_insert(now)
        };
        let left = options.budget.saturating_sub(now.saturating_sub(since));
        if left.is_zero() {
            return Next::GiveUp;
        }
        let wait = if first_contact {
            let index = usize::try_from(attempt.saturating_sub(1)).unwrap_or(usize::MAX);
            match FIRST_CONTACT_WAITS.get(index) {
                Some(wait) => (*wait).min(options.max_wait),
                None => return Next::GiveUp,
            }
        } else {
            jittered(options, attempt, random)
        };
        // The last attempt stands at the very end of the budget.
        Next::Wait(wait.min(left))
    }
}

/// The `attempt`th wait: doubled each time, capped, and spread by a quarter either way so that parts that failed
/// together do not come back together.
fn jittered(options: &RetryOptions, attempt: u32, random: f64) -> Duration {
    let doublings = attempt.saturating_sub(1).min(20);
    let full = options.first_wait.saturating_mul(1 << doublings).min(options.max_wait);
    full.mul_f64(0.75 + random.clamp(0.0, 1.0) / 2.0).min(options.max_wait)
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn secs(secs: u64) -> Duration {
        Duration::from_secs(secs)
    }

    #[test]
    fn waits_double_and_are_capped() {
        let options = RetryOptions::default();
        let waits: Vec<u64> = (1..=6)
            .map(|attempt| jittered(&options, attempt, 0.5).as_secs())
            .collect();
        assert_eq!(waits, [5, 10, 20, 40, 60, 60]);
        assert_eq!(jittered(&options, u32::MAX, 1.0), secs(60));
        assert_eq!(jittered(&options, 1, 0.0), Duration::from_millis(3750));
        assert_eq!(jittered(&options, 1, 1.0), Duration::from_millis(6250));
    }

    #[test]
    fn a_store_that_stays_away_is_given_up_after_one_budget() {
        let options = RetryOptions::default();
        let budget = Budget::default();
        let mut now = secs(1000);
        let mut attempts = 0;
        while let Next::Wait(wait) = {
            attempts += 1;
            budget.failed(&options, attempts, false, now, 0.5)
        } {
            assert!(!wait.is_zero());
            now += wait;
        }
        assert_eq!(now, secs(1000 + 15 * 60));
        assert!((15..30).contains(&attempts), "{attempts}");
    }

    #[test]
    fn a_success_anywhere_starts_the_budget_anew() {
        let options = RetryOptions::default();
        let budget = Budget::default();
        assert_ne!(budget.failed(&options, 1, false, secs(0), 0.5), Next::GiveUp);
        assert_ne!(budget.failed(&options, 2, false, secs(899), 0.5), Next::GiveUp);
        budget.success();
        assert_ne!(budget.failed(&options, 3, false, secs(1200), 0.5), Next::GiveUp);
        assert_ne!(budget.failed(&options, 4, false, secs(2099), 0.5), Next::GiveUp);
        assert_eq!(budget.failed(&options, 5, false, secs(2100), 0.5), Next::GiveUp);
    }

    #[test]
    fn a_long_quiet_time_before_the_first_failure_costs_nothing() {
        let options = RetryOptions::default();
        let budget = Budget::default();
        budget.success();
        assert_eq!(
            budget.failed(&options, 1, false, secs(100_000), 0.5),
            Next::Wait(secs(5))
        );
    }

    #[test]
    fn the_last_wait_ends_with_the_budget() {
        let options = RetryOptions {
            budget: secs(12),
            ..RetryOptions::default()
        };
        let budget = Budget::default();
        assert_eq!(budget.failed(&options, 1, false, secs(0), 0.5), Next::Wait(secs(5)));
        assert_eq!(budget.failed(&options, 2, false, secs(5), 0.5), Next::Wait(secs(7)));
        assert_eq!(budget.failed(&options, 3, false, secs(12), 0.5), Next::GiveUp);
    }

    #[test]
    fn an_endpoint_that_never_answered_is_given_up_in_seconds() {
        let options = RetryOptions::default();
        let budget = Budget::default();
        assert_eq!(budget.failed(&options, 1, true, secs(0), 0.5), Next::Wait(secs(1)));
        assert_eq!(budget.failed(&options, 2, true, secs(4), 0.5), Next::Wait(secs(2)));
        assert_eq!(budget.failed(&options, 3, true, secs(9), 0.5), Next::GiveUp);
    }
}
