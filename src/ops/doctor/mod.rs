//! What a backup depends on, tried with real calls: stores, sources, this machine.
//!
//! Looking and judging are apart: what was found is plain data, and what it means is decided by functions that need no
//! store, so that each verdict can be tested by itself. Nothing that was found is changed; what was made is removed.

mod check;
mod machine;
mod series;
mod sources;
mod stores;
mod timers;

mod local;
mod s3;

pub use check::{Check, Section, Status, worst};
pub use machine::{Machine, Sealing, check_machine};
pub use series::check_series;
pub use sources::{SourceToCheck, SourceVerdict, check_source};
pub use stores::{Beside, Retention, StoreToCheck, StoreVerdict, check_store};
pub use timers::check_timers;

/// The throw-away object's name below the prefix. It ends as an index does, and an index alone is no backup: no listing
/// shows it. It is always the same, and written once where it cannot be removed, so that it does not pile up.
pub const TRIAL_NAME: &str = "backup-cli-doctor.index.gz";

#[cfg(test)]
mod tests;
