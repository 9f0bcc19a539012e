//! MySQL and MariaDB databases, both ways: the server's own dumper out, a client into a scratch database and a swap back.
//!
//! Going out: [`MysqlSource`] checks the server and the account, streams the dump through
//! [`DumpWriter`](super::dump_writer::DumpWriter) and judges its end. Both ways the script is followed with
//! [`lexer::Lexer`], so that rows never pass for statements or marks.

mod arguments;
mod clients;
mod connection;
mod dump;
mod lexer;
mod outline;
mod rights;
mod server;
mod statement;
mod tokens;
mod trouble;
mod url;
pub(in crate::source) mod watch;

pub use dump::{MysqlOptions, MysqlSource};
pub use url::MysqlUrl;
