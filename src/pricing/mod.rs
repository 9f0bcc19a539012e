//! What storing backups costs: pure functions from sizes, classes and prices to a monthly bill.
//!
//! [`Prices`] is one table, the built-in one or a file's. A [`Tally`] is what lies in a store, and [`Prices::bill`] what it
//! costs a month. [`steady_state`] is what a series comes to when it has gone on for so long that as much leaves the store as
//! arrives: by its [`Rhythm`], by what retention keeps ([`Kept`]), and by what the bucket does as objects age ([`Aging`]).
//! All of it is an estimate: taxes, discounts, traffic and restores are left out.

mod bill;
mod kept;
mod prices;
mod reader;
mod steady;

pub use bill::{Bill, ClassBill, Tally};
pub use kept::{Kept, MODEL_ENTRIES_MAX};
pub use prices::{ClassPrices, KNOWN_CLASSES, Prices, STANDARD, StoragePrice};
pub use steady::{Aging, AgingRule, Noncurrent, Piece, Rhythm, SteadyState, Step, steady_state};

/// A GB of the bills, in bytes: Amazon counts by powers of two there.
pub const GB_BYTES: f64 = (1u64 << 30) as f64;

/// The mean length of a month in days.
pub const MONTH_DAYS: f64 = 365.25 / 12.0;

#[cfg(test)]
mod golden_tests;
