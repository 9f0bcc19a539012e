//! SQLite databases: a consistent copy while others write, and the way back into the place of a live file.
//!
//! The original is opened read-only and never written: a log is not merged into it, an unfinished transaction is not
//! rolled back in it. What has to be tidied up is tidied up in the copy.

use crate::base::failure::{Failure, Kind, Result};

mod backup;
mod check;
mod content;
mod copy;
pub(in crate::source) mod ending;
mod files;
mod held;
mod holders;
mod restore;
mod scratch;
mod target;
mod trouble;
mod url;

pub use backup::{SqliteOptions, SqliteSource};
pub use content::{DatabaseContent, look_into};
pub use files::{begins_as_database, is_database};
pub use restore::{SqliteRestoreOptions, SqliteRestoreReport, check_copy, restore_database};
pub use scratch::SqliteScratch;
pub use target::{SqliteTarget, inspect_target};
pub use url::{is_sqlite, parse_url};

/// The first version without the fault that could corrupt a database when its write-ahead log was begun anew.
const VERSION_MIN: i32 = 3_051_003;

/// The version of the library that is built in.
#[must_use]
pub fn library_version() -> &'static str {
    rusqlite::version()
}

/// Refuses to touch a database with a library that has a known fault.
fn check_library() -> Result<()> {
    match rusqlite::version_number() {
        VERSION_MIN.. => Ok(()),
        _ => Err(Failure::new(
            Kind::Unsupported,
            format!(
                "This program was built with SQLite {}, which can corrupt databases",
                library_version()
            ),
        )
        .hint("Build it with the SQLite that it brings along, 3.51.3 or later")),
    }
}
