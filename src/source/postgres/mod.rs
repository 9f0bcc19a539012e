//! PostgreSQL databases, both ways: `pg_dump` out, `psql` into a new database and a swap back.
//!
//! Going out: [`PostgresSource`] checks versions, streams the dump through [`DumpWriter`](super::dump_writer::DumpWriter) and judges its end;
//! [`GlobalsSource`] does the same with what is in no database. Coming back: [`restore_database`] fills a database that nobody uses yet and renames it into its place at the very end.
//! Both follow the script with [`lexer::Lexer`], so that rows never pass for statements or marks.

mod archive;
mod arguments;
mod belongs;
mod clients;
mod connection;
mod databases;
mod dump;
mod ending;
mod feed;
mod globals;
mod lexer;
mod names;
mod outline;
mod parallel;
mod restore;
mod scratch;
mod screen;
mod selection;
mod server;
mod statement;
mod swap;
mod tables;
mod target;
mod trouble;
mod url;
pub(in crate::source) mod watch;

#[cfg(test)]
mod lexer_tests;
#[cfg(test)]
mod samples;
#[cfg(test)]
mod tests;

pub use archive::check_archive;
pub use arguments::selecting;
pub use databases::list_databases;
pub use dump::{DumpFormat, JOBS_OPTION, PostgresOptions, PostgresSource};
pub use globals::{GLOBALS_KIND, GlobalsOptions, GlobalsSource};
pub use parallel::{DumpStream, restore_streams};
pub use restore::{PostgresRestoreOptions, PostgresRestoreReport, PostgresTarget, inspect_target, restore_database};
pub use scratch::PostgresScratch;
pub use selection::DumpSelection;
pub use tables::{PostgresTable, PostgresTables, PostgresTablesOptions};
pub use url::PostgresUrl;
