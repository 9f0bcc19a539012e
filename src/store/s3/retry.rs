//! When a failed request is tried again: the schedule of waits, and the budget that ends them.
//!
//! The budget belongs to the whole store: it runs from when a failing request last got anywhere, or from the last success of
//! any request after that. One part that fails while others pass is tried on; a store that answers nobody is given up after
//! one budget. Only an answer starts it anew: bytes that were sent and not acknowledged are no progress.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
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

impl RetryOptions {
    /// How long an attempt at the end of the budget may be silent. It is what an answer takes, and follows from the budget, so that
    /// who gives the store seconds does not wait for a quarter of a minute more.
    fn last_silence(&self) -> Duration {
        (self.budget / 60).clamp(Duration::from_secs(3), Duration::from_secs(15))
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

/// An attempt that failed in a passing way. All times are those of one monotonic clock.
#[derive(Clone, Copy, Debug)]
pub(super) struct FailedAttempt {
    /// Which attempt of its request it was, from 1.
    pub(super) number: u32,
    /// The store has never answered and could not even be connected to.
    pub(super) first_contact: bool,
    /// When it began.
    pub(super) began: Duration,
    /// When it last got anywhere: a byte of it moved, or it began.
    pub(super) silent_since: Duration,
    /// Whether it was ended by us, so that nothing is known of the store since it last got anywhere.
    pub(super) hung: bool,
    /// When it failed.
    pub(super) now: Duration,
}

/// The state that all requests of a store share.
#[derive(Debug, Default)]
pub(super) struct Budget {
    /// Whether `failing_since` holds anything, so that the successes of a healthy run take no lock.
    failing: AtomicBool,
    /// Since when nothing has succeeded: the end of the last progress that any failed attempt saw.
    failing_since: Mutex<Option<Duration>>,
    /// The time of the last success.
    success_micros: AtomicU64,
}

impl Budget {
    /// A request succeeded, or bytes arrived.
    pub(super) fn success(&self, now: Duration) {
        let micros = u64::try_from(now.as_micros()).unwrap_or(u64::MAX);
        self.success_micros.fetch_max(micros, Ordering::AcqRel);
        if self.failing.load(Ordering::Acquire) {
            *self.failing_since.lock().unwrap_or_else(PoisonError::into_inner) = None;
            self.failing.store(false, Ordering::Release);
        }
    }

    /// Whether anything has failed since the last success.
    pub(super) fn is_failing(&self) -> bool {
        self.failing.load(Ordering::Acquire)
    }

    fn last_success(&self) -> Duration {
        Duration::from_micros(self.success_micros.load(Ordering::Acquire))
    }

    /// When an attempt is given up of which nothing has moved since `silent_since`: at the end of the budget. The last attempt
    /// stands there, and may be silent as long as an answer takes; so may, for `allowed`, what is known to take its time.
    pub(super) fn end(&self, options: &RetryOptions, silent_since: Duration, allowed: Duration) -> Duration {
        let since = match self.failing.load(Ordering::Acquire) {
            true => *self.failing_since.lock().unwrap_or_else(PoisonError::into_inner),
            false => None,
        };
        let since = since.unwrap_or_else(|| silent_since.max(self.last_success()));
        since
            .saturating_add(options.budget)
            .max(silent_since.saturating_add(options.last_silence().max(allowed)))
    }

    /// A request failed in a passing way; `random` is in 0..1.
    pub(super) fn failed(&self, options: &RetryOptions, failed: &FailedAttempt, random: f64) -> Next {
        let silent_since = failed.silent_since.max(self.last_success()).min(failed.now);
        let since = {
            let mut since = self.failing_since.lock().unwrap_or_else(PoisonError::into_inner);
            self.failing.store(true, Ordering::Release);
            let earliest = since.map_or(silent_since, |since| since.min(silent_since));
            *since.insert(earliest)
        };
        let end = since.saturating_add(options.budget);
        let left = end.saturating_sub(failed.now);
        // What hung since before the end may have missed that the store is back.
        if left.is_zero() && (!failed.hung || failed.began >= end) {
            return Next::GiveUp;
        }
        let wait = if failed.first_contact {
            let index = usize::try_from(failed.number.saturating_sub(1)).unwrap_or(usize::MAX);
            match FIRST_CONTACT_WAITS.get(index) {
                Some(wait) => (*wait).min(options.max_wait),
                None => return Next::GiveUp,
            }
        } else {
            jittered(options, failed.number, random)
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

    /// The `number`th attempt of a request, refused at once.
    fn refused(number: u32, now: Duration) -> FailedAttempt {
        FailedAttempt {
            number,
            first_contact: false,
            began: now,
            silent_since: now,
            hung: false,
            now,
        }
    }

    #[test]
    fn a_store_that_stays_away_is_given_up_after_one_budget() {
        let options = RetryOptions::default();
        let budget = Budget::default();
        let mut now = secs(1000);
        let mut attempts = 0;
        while let Next::Wait(wait) = {
            attempts += 1;
            budget.failed(&options, &refused(attempts, now), 0.5)
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
        let failed = |number, now| budget.failed(&options, &refused(number, secs(now)), 0.5);
        assert_ne!(failed(1, 0), Next::GiveUp);
        assert_ne!(failed(2, 899), Next::GiveUp);
        budget.success(secs(900));
        assert_ne!(failed(3, 1200), Next::GiveUp);
        assert_ne!(failed(4, 2099), Next::GiveUp);
        assert_eq!(failed(5, 2100), Next::GiveUp);
    }

    #[test]
    fn a_long_quiet_time_before_the_first_failure_costs_nothing() {
        let options = RetryOptions::default();
        let budget = Budget::default();
        budget.success(secs(1));
        assert_eq!(
            budget.failed(&options, &refused(1, secs(100_000)), 0.5),
            Next::Wait(secs(5))
        );
        let began = secs(200_000);
        budget.success(secs(100_010));
        assert_eq!(budget.end(&options, began, Duration::ZERO), began + options.budget);
    }

    #[test]
    fn the_last_wait_ends_with_the_budget() {
        let options = RetryOptions {
            budget: secs(12),
            ..RetryOptions::default()
        };
        let budget = Budget::default();
        let failed = |number, now| budget.failed(&options, &refused(number, secs(now)), 0.5);
        assert_eq!(failed(1, 0), Next::Wait(secs(5)));
        assert_eq!(failed(2, 5), Next::Wait(secs(7)));
        assert_eq!(failed(3, 12), Next::GiveUp);
    }

    #[test]
    fn the_time_of_an_attempt_that_got_no_answer_counts() {
        let options = RetryOptions::default();
        let budget = Budget::default();
        let silent = FailedAttempt {
            number: 1,
            first_contact: false,
            began: secs(100),
            silent_since: secs(110),
            hung: true,
            now: secs(600),
        };
        assert_eq!(budget.failed(&options, &silent, 0.5), Next::Wait(secs(5)));
        assert_eq!(budget.end(&options, secs(605), Duration::ZERO), secs(110 + 900));
        // One that was sent at the same time has been silent for longer.
        let longer = FailedAttempt {
            silent_since: secs(105),
            ..silent
        };
        assert_ne!(budget.failed(&options, &longer, 0.5), Next::GiveUp);
        assert_eq!(budget.end(&options, secs(605), Duration::ZERO), secs(105 + 900));
    }

    #[test]
    fn an_attempt_that_hung_over_the_end_is_made_once_more() {
        let options = RetryOptions::default();
        let budget = Budget::default();
        let hung = FailedAttempt {
            number: 7,
            first_contact: false,
            began: secs(0),
            silent_since: secs(0),
            hung: true,
            now: secs(900),
        };
        let answered = FailedAttempt { hung: false, ..hung };
        assert_eq!(Budget::default().failed(&options, &answered, 0.5), Next::GiveUp);
        assert_eq!(budget.failed(&options, &hung, 0.5), Next::Wait(Duration::ZERO));
        assert_eq!(budget.end(&options, secs(900), Duration::ZERO), secs(915));
        assert_eq!(budget.end(&options, secs(900), secs(400)), secs(1300));
        let last = FailedAttempt {
            number: 8,
            began: secs(900),
            silent_since: secs(900),
            now: secs(915),
            ..hung
        };
        assert_eq!(budget.failed(&options, &last, 0.5), Next::GiveUp);
    }

    #[test]
    fn bytes_that_nobody_acknowledges_start_no_budget_anew() {
        let options = RetryOptions::default();
        let budget = Budget::default();
        for number in 1..=9 {
            let now = secs(u64::from(number) * 100);
            let sent_in_vain = FailedAttempt {
                began: now - secs(90),
                ..refused(number, now)
            };
            assert_ne!(budget.failed(&options, &sent_in_vain, 0.5), Next::GiveUp);
        }
        assert_eq!(budget.failed(&options, &refused(10, secs(1000)), 0.5), Next::GiveUp);
    }

    #[test]
    fn a_small_budget_is_outlived_by_seconds() {
        let options = RetryOptions {
            budget: secs(6),
            ..RetryOptions::default()
        };
        let budget = Budget::default();
        assert_eq!(budget.end(&options, secs(50), Duration::ZERO), secs(56));
        assert_ne!(budget.failed(&options, &refused(1, secs(50)), 0.5), Next::GiveUp);
        assert_eq!(budget.end(&options, secs(56), Duration::ZERO), secs(59));
    }

    #[test]
    fn an_endpoint_that_never_answered_is_given_up_in_seconds() {
        let options = RetryOptions::default();
        let budget = Budget::default();
        let failed = |number, now| {
            let unconnected = FailedAttempt {
                first_contact: true,
                ..refused(number, secs(now))
            };
            budget.failed(&options, &unconnected, 0.5)
        };
        assert_eq!(failed(1, 0), Next::Wait(secs(1)));
        assert_eq!(failed(2, 4), Next::Wait(secs(2)));
        assert_eq!(failed(3, 9), Next::GiveUp);
    }
}
