//! What every other module stands on: failures, reports, units, secrets, time, child processes, cancellation.

pub mod cancel;
pub mod clock;
pub mod failure;
pub mod process;
pub mod report;
pub mod secret;
pub mod units;
