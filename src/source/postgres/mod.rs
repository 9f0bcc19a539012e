//! PostgreSQL databases, both ways: `pg_dump` out, `psql` into a new database and a swap back.
//!
//! Going out: [`PostgresSource`] checks versions, streams the dump through [`DumpWriter`](super::dump_writer::DumpWriter) and judges its end.
//! Coming back: [`restore_database`] fills a database that nobody uses yet and renames it into its place at the very end.
//! Both follow the script with [`lexer::Lexer`], so that rows never pass for statements or marks.

mod arguments;
mod belongs;
mod clients;
mod connection;
mod dump;
mod ending;
mod feed;
mod lexer;
mod names;
mod outline;
mod restore;
mod screen;
mod server;
mod statement;
mod swap;
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

pub use dump::{PostgresOptions, PostgresSource};
pub use restore::{PostgresRestoreOptions, PostgresRestoreReport, PostgresTarget, inspect_target, restore_database};
pub use url::PostgresUrl;
