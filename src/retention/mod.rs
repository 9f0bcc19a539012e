//! What may go: pure functions from times and facts to decisions, each with its reasons.
//!
//! The rules are restic's, to the letter: [`rules`] applies them to one list of backups. [`plan`] puts the guards around
//! them, by which what is incomplete or doubtful never costs a good backup. All periods are those of UTC, in which backups
//! are dated.

pub mod plan;
pub mod policy;
pub mod rules;
pub mod span;

pub use plan::{Decision, Entry, Guards, Reason, Standing, plan_series};
pub use policy::{Count, FOREVER_DAYS, Period, Policy};
pub use span::KeepSpan;

#[cfg(test)]
mod golden_tests;
#[cfg(test)]
mod oracle_tests;
#[cfg(test)]
mod plan_tests;
