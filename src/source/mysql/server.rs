//! Asks a MySQL or MariaDB server things, through a client.

use std::io::{Read, Write};

use super::clients::{Client, Maker, Version};
use super::connection::Connection;
use super::trouble::Trouble;
use super::url::{MysqlUrl, SslMode};
use crate::base::cancel::Cancel;
use crate::base::failure::{Failure, IoContext, Kind, Result};

/// The longest answer that is read: the definitions of ten thousand routines fit.
const ANSWER_BYTES_MAX: u64 = 64 * crate::base::units::MIB;

/// The longest statement or row that a client takes; the server's own bound may be lower.
pub const PACKET: &str = "--max-allowed-packet=1073741824";

/// What every session begins with: our own statements mean the same whatever the server's defaults are.
const OPENING: &str = "SET SESSION sql_mode = '', autocommit = 1, foreign_key_checks = 0, sql_safe_updates = 0;\n";

/// A row of an answer; each field as the server sent it.
pub type Row = Vec<Vec<u8>>;

/// A way to ask.
#[derive(Clone, Debug)]
pub struct Server {
    connection: Connection,
    client: Client,
}

/// What a server says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct About {
    /// Who made it.
    pub maker: Maker,
    /// Its version.
    pub version: Version,
    /// Its version as it says itself.
    pub version_text: String,
}

/// Why a question was not answered.
#[derive(Debug)]
pub enum Unanswered {
    /// The server or the way to it.
    Trouble(Trouble),
    /// This side.
    Failure(Failure),
}

impl Unanswered {
    /// As a failure to do `doing`.
    #[must_use]
    pub fn failure(self, doing: &str, url: &MysqlUrl) -> Failure {
        match self {
            Self::Trouble(trouble) => trouble.failure(doing, url),
            Self::Failure(failure) => failure,
        }
    }
}

impl Server {
    /// Asks the server of `url` through `client`.
    #[must_use]
    pub fn new(url: &MysqlUrl, client: Client) -> Self {
        Self {
            connection: Connection::new(url),
            client,
        }
    }

    /// The same server through another client.
    #[must_use]
    pub fn through(self, client: Client) -> Self {
        Self { client, ..self }
    }

    /// How children connect.
    #[must_use]
    pub fn connection(&self) -> &Connection {
        &self.connection
    }

    /// The program that asks.
    #[must_use]
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// Runs a script in `database` and returns the rows of all its answers.
    ///
    /// # Errors
    /// What the server or the client says to the first statement that fails; the rest is not run.
    pub fn ask(&self, database: Option<&str>, script: &[u8], cancel: &Cancel) -> Result<Vec<Row>, Unanswered> {
        let mut program = self
            .connection
            .program(&self.client, true)
            .args([
                "--batch",
                "--skip-column-names",
                "--binary-mode",
                "--skip-reconnect",
                "--skip-force",
            ])
            .args(["--default-character-set=utf8mb4", PACKET]);
        if let Some(database) = database {
            program = program.arg(format!("--database={database}"));
        }
        let program = program.with_input();
        let run = || -> Result<_> {
            let mut running = program.start(cancel)?;
            let stdin = running.stdin.take();
            let mut answer = Vec::new();
            std::thread::scope(|scope| {
                scope.spawn(move || {
                    if let Some(mut stdin) = stdin {
                        // If the client goes away before it has read everything, its own words say why.
                        let _ = stdin
                            .write_all(OPENING.as_bytes())
                            .and_then(|()| stdin.write_all(script));
                    }
                });
                match running.stdout.take() {
                    Some(stdout) => stdout
                        .take(ANSWER_BYTES_MAX)
                        .read_to_end(&mut answer)
                        .doing(|| "read the output of the client"),
                    None => Ok(0),
                }
            })?;
            let exit = running.wait()?;
            cancel.check()?;
            Ok((answer, exit))
        };
        let (answer, exit) = run().map_err(Unanswered::Failure)?;
        if !exit.is_success() {
            return Err(if exit.stderr_tail.is_empty() {
                Unanswered::Failure(exit.failure(Kind::Failed, &self.client.name()))
            } else {
                Unanswered::Trouble(Trouble::read(&exit.stderr_tail))
            });
        }
        Ok(answer
            .split(|byte| *byte == b'\n')
            .filter(|line| !line.is_empty())
            .map(|line| line.split(|byte| *byte == b'\t').map(unescaped).collect())
            .collect())
    }

    /// As [`Server::ask`], with every field as text.
    ///
    /// # Errors
    /// As [`Server::ask`].
    pub fn ask_texts(&self, question: &str, cancel: &Cancel) -> Result<Vec<Vec<String>>, Unanswered> {
        let rows = self.ask(None, question.as_bytes(), cancel)?;
        Ok(rows
            .into_iter()
            .map(|row| row.iter().map(|field| text(field)).collect())
            .collect())
    }

    /// One row of as many fields as asked for.
    ///
    /// # Errors
    /// As [`Server::ask`]; also if the answer has another shape.
    pub fn ask_row<const FIELDS: usize>(
        &self,
        question: &str,
        cancel: &Cancel,
    ) -> Result<[String; FIELDS], Unanswered> {
        let mut rows = self.ask_texts(question, cancel)?;
        let row = if rows.len() == 1 { rows.pop() } else { None };
        row.and_then(|row| row.try_into().ok()).ok_or_else(|| {
            Unanswered::Failure(
                Failure::new(
                    Kind::Failed,
                    format!("The answer of `{}` has an unexpected shape", self.client.path.display()),
                )
                .hint("Is this a MySQL or MariaDB server, and the client one of theirs?"),
            )
        })
    }

    /// Reaches the server and asks what it is.
    ///
    /// # Errors
    /// The way to the server, with kind and hint; [`Kind::Unreachable`] if the connection is not encrypted and must be.
    pub fn about(&self, cancel: &Cancel) -> Result<About> {
        let url = self.connection.url();
        let [version_text, comment] = self
            .ask_row("SELECT VERSION(), @@version_comment;", cancel)
            .map_err(|unanswered| unanswered.failure("ask for the server's version", url))?;
        let maker = Maker::of(&format!("{version_text} {comment}"));
        let version = Version::parse(&version_text).ok_or_else(|| {
            Failure::new(
                Kind::Failed,
                format!("The server's version is not a number: `{version_text}`"),
            )
        })?;
        if matches!(
            url.ssl_mode(),
            Some(SslMode::Required | SslMode::VerifyCa | SslMode::VerifyIdentity)
        ) {
            // Some clients take `ssl` for a wish.
            let rows = self
                .ask_texts("SHOW SESSION STATUS LIKE 'Ssl_cipher';", cancel)
                .map_err(|unanswered| unanswered.failure("ask whether the connection is encrypted", url))?;
            if rows.first().and_then(|row| row.get(1)).is_none_or(String::is_empty) {
                return Err(Failure::new(
                    Kind::Unreachable,
                    format!("The connection to `{url}` would not be encrypted"),
                )
                .hint("Give the server a certificate, or write ssl-mode=PREFERRED"));
            }
        }
        Ok(About {
            maker,
            version,
            version_text,
        })
    }
}

/// A field as text.
#[must_use]
pub fn text(field: &[u8]) -> String {
    String::from_utf8_lossy(field).into_owned()
}

/// Undoes what the clients do to a field in batch mode.
fn unescaped(field: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(field.len());
    let mut bytes = field.iter();
    while let Some(byte) = bytes.next() {
        match byte {
            b'\\' => match bytes.next() {
                Some(b'n') => out.push(b'\n'),
                Some(b't') => out.push(b'\t'),
                Some(b'0') => out.push(0),
                Some(other) => out.push(*other),
                None => out.push(b'\\'),
            },
            other => out.push(*other),
        }
    }
    out
}

/// A name as SQL has it.
#[must_use]
pub fn quote_name(name: &str) -> String {
    format!("`{}`", name.replace('`', "``"))
}

/// A text constant as SQL has it.
#[must_use]
pub fn quote_literal(text: &str) -> String {
    format!("'{}'", text.replace('\\', "\\\\").replace('\'', "''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_texts_are_quoted() {
        assert_eq!(quote_name("a`b c"), "`a``b c`");
        assert_eq!(quote_literal("it's \\"), "'it''s \\\\'");
    }

    #[test]
    fn fields_are_read_as_they_were() {
        assert_eq!(unescaped(b"a\\tb\\nc\\\\d\\0e\\"), b"a\tb\nc\\d\0e\\");
    }
}
