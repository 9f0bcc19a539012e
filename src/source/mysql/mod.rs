//! MySQL and MariaDB databases, both ways: the server's own dumper out, a client into a scratch database and a swap back.
//!
//! Going out: [`MysqlSource`] checks the server and the account, streams the dump through
//! [`DumpWriter`](super::dump_writer::DumpWriter) and judges its end. Coming back: [`restore_database`] reads the whole
//! dump once before its first statement runs, fills a database that nobody uses, and swaps tables at the very end. Both ways the script is followed with
//! [`lexer::Lexer`], so that rows never pass for statements or marks.

mod arguments;
mod clients;
mod code;
mod connection;
mod dump;
mod feed;
mod history;
mod lexer;
mod outline;
mod restore;
mod rewrite;
mod rights;
mod scratch;
mod screen;
mod server;
mod statement;
mod swap;
mod target;
mod tokens;
mod trouble;
mod url;
pub(in crate::source) mod watch;

#[cfg(test)]
mod tests;

pub use arguments::selecting;
pub use dump::{MysqlOptions, MysqlSource};
pub use restore::{
    CheckedDump, MysqlRestoreOptions, MysqlRestoreReport, MysqlTarget, inspect_target, restore_database,
};
pub use scratch::MysqlScratch;
pub use swap::NOT_UNDONE;
pub use url::MysqlUrl;
