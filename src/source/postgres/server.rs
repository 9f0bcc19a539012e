//! Asks a PostgreSQL server things, through `psql`.

use std::io::{Read, Write};

use super::clients::{Client, Version};
use super::connection::Connection;
use super::trouble::Trouble;
use super::url::PostgresUrl;
use crate::base::cancel::Cancel;
use crate::base::failure::{Failure, IoContext, Kind, Result};
use crate::base::process::Program;

/// Separates fields of an answer; it cannot be typed into a name by accident.
pub const FIELD_SEPARATOR: char = '\u{1f}';
/// Separates its rows.
pub const ROW_SEPARATOR: char = '\u{1e}';

/// The longest answer that is read: the settings of ten thousand databases fit.
const ANSWER_BYTES_MAX: u64 = 64 * crate::base::units::MIB;

/// The databases to stand in while another one is created or renamed.
const MAINTENANCE_DATABASES: &[&str] = &["postgres", "template1"];

/// A way to ask.
#[derive(Debug)]
pub struct Server {
    connection: Connection,
    psql: Client,
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
    pub fn failure(self, doing: &str, url: &PostgresUrl) -> Failure {
        match self {
            Self::Trouble(trouble) => trouble.failure(doing, url),
            Self::Failure(failure) => failure,
        }
    }
}

impl Server {
    /// Asks the server of `url` through `psql`.
    ///
    /// # Errors
    /// If the password cannot be put into a private file.
    pub fn new(url: &PostgresUrl, psql: Client) -> Result<Self> {
        Ok(Self {
            connection: Connection::new(url)?,
            psql,
        })
    }

    /// How children connect.
    #[must_use]
    pub fn connection(&self) -> &Connection {
        &self.connection
    }

    /// A `psql` whose answers are easy to take apart, and that ends at the first error.
    #[must_use]
    pub fn session(&self, database: Option<&str>) -> Program {
        self.connection
            .program(&self.psql.path, database)
            .env("PGCLIENTENCODING", "UTF8")
            .args(["--no-psqlrc", "--quiet", "--tuples-only", "--no-align"])
            .args(["--set", "ON_ERROR_STOP=1", "--set", "VERBOSITY=verbose"])
            .arg(format!("--field-separator={FIELD_SEPARATOR}"))
            .arg(format!("--record-separator={ROW_SEPARATOR}"))
    }

    /// Runs statements in `database`, one after the other, each by itself, of which only the last may return rows. A row
    /// of one field that is empty or null is left out.
    ///
    /// # Errors
    /// What the server or `psql` says to the first statement that fails; the rest is not run.
    pub fn ask(
        &self,
        database: Option<&str>,
        statements: &[String],
        cancel: &Cancel,
    ) -> Result<Vec<Vec<String>>, Unanswered> {
        let mut rows = self.ask_exactly(database, statements, cancel)?;
        rows.retain(|row| row.len() != 1 || !row[0].is_empty());
        Ok(rows)
    }

    /// As [`Server::ask`], with every row of the answer.
    ///
    /// # Errors
    /// As there.
    pub fn ask_exactly(
        &self,
        database: Option<&str>,
        statements: &[String],
        cancel: &Cancel,
    ) -> Result<Vec<Vec<String>>, Unanswered> {
        let mut program = self.session(database);
        // Nobody's function in a public schema may stand in for the system's own.
        let mut script = "SET search_path TO pg_catalog;\n".to_owned();
        for statement in statements {
            script.push_str(statement);
            script.push_str(";\n");
        }
        // Settings of a database may hold secrets, and a command line can be read by everybody on this machine.
        program = program.with_input();
        let run = || -> Result<_> {
            let mut running = program.start(cancel)?;
            if let Some(mut stdin) = running.stdin.take() {
                // If it goes away before it has read everything, its own words say why.
                let _ = stdin.write_all(script.as_bytes());
            }
            let mut answer = Vec::new();
            if let Some(stdout) = running.stdout.take() {
                stdout
                    .take(ANSWER_BYTES_MAX)
                    .read_to_end(&mut answer)
                    .doing(|| "read the output of `psql`")?;
            }
            let exit = running.wait()?;
            cancel.check()?;
            Ok((answer, exit))
        };
        let (answer, exit) = run().map_err(Unanswered::Failure)?;
        if !exit.is_success() {
            if exit.stderr_tail.is_empty() {
                return Err(Unanswered::Failure(exit.failure(Kind::Failed, "psql")));
            }
            return Err(Unanswered::Trouble(Trouble::read(&exit.stderr_tail)));
        }
        // Of no rows `psql` writes nothing, and the last one it ends with a newline.
        let text = String::from_utf8_lossy(&answer);
        if text.is_empty() {
            return Ok(Vec::new());
        }
        Ok(text
            .strip_suffix('\n')
            .unwrap_or(&text)
            .split(ROW_SEPARATOR)
            .map(|row| row.split(FIELD_SEPARATOR).map(str::to_owned).collect())
            .collect())
    }

    /// One row of as many fields as asked for.
    ///
    /// # Errors
    /// As [`Server::ask`]; also if the answer has another shape.
    pub fn ask_row<const FIELDS: usize>(
        &self,
        database: Option<&str>,
        question: &str,
        cancel: &Cancel,
    ) -> Result<[String; FIELDS], Unanswered> {
        let mut rows = self.ask(database, &[question.to_owned()], cancel)?;
        let row = if rows.len() == 1 { rows.pop() } else { None };
        row.and_then(|row| row.try_into().ok()).ok_or_else(|| {
            Unanswered::Failure(
                Failure::new(
                    Kind::Failed,
                    format!("The answer of `{}` has an unexpected shape", self.psql.path.display()),
                )
                .hint("Is this a PostgreSQL server, and `psql` PostgreSQL's own?"),
            )
        })
    }

    /// The version of the server, asked in `database`, or in the URL's.
    ///
    /// # Errors
    /// The way to the server, with kind and hint; [`Kind::NotFound`] for an unknown database in whatever language the server speaks.
    pub fn version(&self, database: Option<&str>, cancel: &Cancel) -> Result<Version> {
        let url = self.connection.url();
        let question = "SELECT current_setting('server_version_num')";
        match self.ask_row::<1>(database, question, cancel) {
            Ok([number]) => number.parse().map(Version::from_number).map_err(|_| {
                Failure::new(
                    Kind::Failed,
                    format!("The server's version is not a number: `{number}`"),
                )
            }),
            Err(Unanswered::Trouble(mut trouble)) => {
                let wanted = database.or(url.database());
                if let Some(wanted) = wanted
                    && trouble.is_unclear()
                    && self.lacks_database(wanted, cancel)
                {
                    trouble.sqlstate = Some("3D000".to_owned());
                }
                Err(trouble.failure("ask for the server's version", url))
            }
            Err(Unanswered::Failure(failure)) => Err(failure),
        }
    }

    /// The URL's database, or else one that every server has, and the server's version.
    ///
    /// # Errors
    /// The way to the server, with kind and hint.
    pub fn any_database(&self, cancel: &Cancel) -> Result<(String, Version)> {
        match self.connection.url().database() {
            Some(database) => Ok((database.to_owned(), self.version(Some(database), cancel)?)),
            None => {
                let (database, version) = self.maintenance("", cancel)?;
                Ok((database.to_owned(), version))
            }
        }
    }

    /// A database to stand in that is not `target`, and the server's version.
    ///
    /// # Errors
    /// The way to the server, with kind and hint.
    pub fn maintenance(&self, target: &str, cancel: &Cancel) -> Result<(&'static str, Version)> {
        let mut first_failure = None;
        for database in MAINTENANCE_DATABASES.iter().copied().filter(|name| *name != target) {
            match self.version(Some(database), cancel) {
                Ok(version) => return Ok((database, version)),
                Err(failure) if matches!(failure.kind(), Kind::NotFound | Kind::Denied) => {
                    first_failure.get_or_insert(failure);
                }
                Err(failure) => return Err(failure),
            }
        }
        Err(first_failure.unwrap_or_else(|| Failure::new(Kind::Failed, "There is no database to connect to")))
    }

    /// Whether the server lets this user in elsewhere and says that there is no such database.
    fn lacks_database(&self, database: &str, cancel: &Cancel) -> bool {
        let question = format!(
            "SELECT count(*) FROM pg_database WHERE datname = {}",
            quote_literal(database)
        );
        MAINTENANCE_DATABASES.iter().any(|elsewhere| {
            self.ask_row::<1>(Some(elsewhere), &question, cancel)
                .is_ok_and(|[count]| count == "0")
        })
    }
}

/// A name as SQL has it.
#[must_use]
pub fn quote_name(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// A text constant as SQL has it, whatever `standard_conforming_strings` says.
#[must_use]
pub fn quote_literal(text: &str) -> String {
    let doubled = text.replace('\'', "''");
    if doubled.contains('\\') {
        format!("E'{}'", doubled.replace('\\', "\\\\"))
    } else {
        format!("'{doubled}'")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_texts_are_quoted() {
        assert_eq!(quote_name("a\"b c"), "\"a\"\"b c\"");
        assert_eq!(quote_literal("it's"), "'it''s'");
        assert_eq!(quote_literal("a\\'b"), "E'a\\\\''b'");
    }
}
