//! MySQL and MariaDB databases, both ways: the server's own dumper out, a client into a scratch database and a swap back.
//!
//! Going out: [`MysqlSource`] checks the server and the account, streams the dump through
//! [`DumpWriter`](super::dump_writer::DumpWriter) and judges its end. Both ways the script is followed with
//! [`lexer::Lexer`], so that rows never pass for statements or marks.

mod arguments;
#[allow(dead_code, reason = "the way back needs more of it")]
mod clients;
mod connection;
mod dump;
#[allow(dead_code, reason = "the way back needs more of it")]
mod lexer;
mod outline;
mod rights;
#[allow(dead_code, reason = "the way back needs more of it")]
mod server;
mod statement;
#[allow(dead_code, reason = "the way back needs more of it")]
mod tokens;
mod trouble;
mod url;
pub(in crate::source) mod watch;

#[cfg(test)]
mod tests;

pub use dump::{MysqlOptions, MysqlSource};
pub use url::MysqlUrl;
