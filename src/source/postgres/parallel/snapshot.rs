//! The session that holds a snapshot and its locks while workers dump what it shows.

use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::process::{ChildStdin, ChildStdout};

use super::super::clients::Version;
use super::super::server::{FIELD_SEPARATOR, ROW_SEPARATOR, Server, quote_literal, quote_name};
use super::super::trouble::Trouble;
use super::super::url::PostgresUrl;
use super::split::Table;
use crate::base::cancel::Cancel;
use crate::base::failure::{Failure, IoContext, Kind, Result};
use crate::base::process::Running;

/// The first major version whose standby servers export snapshots, too.
const EXPORTS_SINCE: u32 = 10;

/// Timeouts that would end a session which only waits, and the version from which servers know them.
const TIMEOUTS: &[(&str, u32)] = &[
    ("statement_timeout", 0),
    ("idle_in_transaction_session_timeout", 0),
    ("transaction_timeout", 17),
];

/// Tables locked by one statement.
const LOCKED_AT_ONCE: usize = 500;

/// The longest answer that is read: a line for each of a million tables.
const ANSWER_BYTES_MAX: usize = 256 * 1024 * 1024;

/// Ordinary tables that no extension owns, with the sequences that belong to their columns.
const TABLES: &str = "SELECT n.nspname, c.relname, coalesce(pg_table_size(c.oid), 0), \
     coalesce((SELECT string_agg(sn.nspname || E'\\x1d' || s.relname, E'\\x1c') FROM pg_depend d \
       JOIN pg_class s ON s.oid = d.objid AND s.relkind = 'S' JOIN pg_namespace sn ON sn.oid = s.relnamespace \
       WHERE d.classid = 'pg_class'::regclass AND d.refclassid = 'pg_class'::regclass AND d.refobjid = c.oid \
       AND d.deptype IN ('a', 'i')), '') \
     FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace \
     WHERE c.relkind = 'r' AND c.relpersistence <> 't' AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema' \
     AND NOT EXISTS (SELECT 1 FROM pg_depend d WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e')";

/// Tables whose storage is not the one that the snapshot shows.
const REWRITTEN: &str = "SELECT n.nspname || '.' || c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace \
     WHERE c.relkind = 'r' AND c.relpersistence <> 't' AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema' \
     AND c.relfilenode <> pg_relation_filenode(c.oid)";

/// What of a database is not in those: large objects, and what extensions keep.
const OTHER_BYTES: &str = "SELECT pg_table_size('pg_largeobject')";

/// A transaction that lasts as long as the dump.
pub struct Snapshot {
    running: Running,
    stdin: ChildStdin,
    stdout: ChildStdout,
    mark: String,
    url: PostgresUrl,
    is_lost: bool,
    /// Its name, under which other sessions see what this one sees.
    pub id: String,
}

impl Snapshot {
    /// Begins the transaction and exports its snapshot. Locks are waited for as long as `lock_timeout` says, else without end.
    ///
    /// # Errors
    /// [`Kind::Unsupported`] for a server that is too old; the way to the server.
    pub fn take(
        server: &Server,
        database: &str,
        version: Version,
        lock_timeout: Option<&str>,
        cancel: &Cancel,
    ) -> Result<Self> {
        if version.major < EXPORTS_SINCE {
            return Err(Failure::new(
                Kind::Unsupported,
                format!("PostgreSQL {version} cannot be dumped by several sessions at once"),
            )
            .hint("Leave --jobs out"));
        }
        let mut running = server.session(Some(database)).with_input().start(cancel)?;
        let (Some(stdin), Some(stdout)) = (running.stdin.take(), running.stdout.take()) else {
            return Err(Failure::new(
                Kind::Failed,
                "`psql` has no standard input or output, which is a bug",
            ));
        };
        let mut snapshot = Self {
            running,
            stdin,
            stdout,
            mark: format!("\u{1c}{:016x}", rand::random::<u64>()),
            url: server.connection().url().clone(),
            is_lost: false,
            id: String::new(),
        };
        let mut statements: Vec<String> = TIMEOUTS
            .iter()
            .filter(|(_, since)| version.major >= *since)
            .map(|(setting, _)| format!("SET {setting} = 0"))
            .collect();
        // Nobody's function in a public schema may stand in for the system's own.
        statements.push("SET search_path TO pg_catalog".to_owned());
        if let Some(timeout) = lock_timeout {
            statements.push(format!("SET lock_timeout = {}", quote_literal(timeout)));
        }
        statements.push("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY".to_owned());
        statements.push("SELECT pg_catalog.pg_export_snapshot()".to_owned());
        let rows = match snapshot.ask(&statements) {
            Ok(rows) => rows,
            Err(failure) => return Err(snapshot.last_words(failure)),
        };
        snapshot.id = rows.into_iter().flatten().next().unwrap_or_default();
        match snapshot.id.is_empty() {
            false => Ok(snapshot),
            true => Err(Failure::new(Kind::Failed, "The server exported no snapshot")),
        }
    }

    /// The ordinary tables, and the bytes of everything beside them.
    ///
    /// # Errors
    /// The server's words.
    pub fn tables(&mut self) -> Result<(Vec<Table>, u64)> {
        let rows = self.ask(&[TABLES.to_owned()])?;
        let tables = rows
            .into_iter()
            .filter_map(|row| {
                let [schema, name, bytes, sequences] = <[String; 4]>::try_from(row).ok()?;
                Some(Table {
                    schema,
                    name,
                    bytes: bytes.parse().unwrap_or(0),
                    sequences: sequences
                        .split('\u{1c}')
                        .filter_map(|pair| pair.split_once('\u{1d}'))
                        .map(|(schema, name)| (schema.to_owned(), name.to_owned()))
                        .collect(),
                })
            })
            .collect();
        let other = self.ask(&[OTHER_BYTES.to_owned()])?;
        let other = other.into_iter().flatten().next().and_then(|bytes| bytes.parse().ok());
        Ok((tables, other.unwrap_or(0)))
    }

    /// Keeps tables from being emptied, changed or dropped until the dump has ended: a later worker would not see what the
    /// snapshot shows.
    ///
    /// # Errors
    /// The server's words: a table that has been dropped meanwhile, a lock that nobody gives up within the user's own timeout.
    pub fn lock(&mut self, tables: &[Table]) -> Result<()> {
        for tables in tables.chunks(LOCKED_AT_ONCE) {
            let names: Vec<String> = tables
                .iter()
                .map(|table| format!("ONLY {}.{}", quote_name(&table.schema), quote_name(&table.name)))
                .collect();
            self.ask(&[format!("LOCK TABLE {} IN ACCESS SHARE MODE", names.join(", "))])?;
        }
        Ok(())
    }

    /// Checks that no table among `defined` has been emptied or rewritten between the snapshot and its lock: such a change
    /// shows through every snapshot, and the rows would be missing.
    ///
    /// # Errors
    /// [`Kind::Source`] if one has.
    pub fn check_content(&mut self, defined: &BTreeSet<Vec<u8>>) -> Result<()> {
        let changed = self.ask(&[REWRITTEN.to_owned()])?;
        match changed
            .into_iter()
            .flatten()
            .find(|path| defined.contains(path.as_bytes()))
        {
            None => Ok(()),
            Some(path) => Err(Failure::new(
                Kind::Source,
                format!("The table `{path}` was emptied or rewritten just when the dump began"),
            )
            .hint("Run the backup again")),
        }
    }

    /// Whether the session was found to have ended.
    #[must_use]
    pub fn is_lost(&self) -> bool {
        self.is_lost
    }

    /// Fails if the session has ended, and its snapshot and its locks with it.
    ///
    /// # Errors
    /// [`Kind::Source`].
    pub fn check(&mut self) -> Result<()> {
        self.ask(&["SELECT 1".to_owned()]).map(drop)
    }

    /// Ends the transaction, which has lasted until now.
    ///
    /// # Errors
    /// [`Kind::Source`] if it had ended before: what was dumped after that may not be what was dumped before it.
    pub fn end(mut self) -> Result<()> {
        let ended = self.ask(&["COMMIT".to_owned()]);
        if let Err(failure) = ended {
            return Err(self.last_words(failure));
        }
        drop(self.stdin);
        let exit = self.running.wait()?;
        match exit.is_success() {
            true => Ok(()),
            false => Err(exit.failure(Kind::Source, "psql")),
        }
    }

    /// Ends what is left of the session and adds what it said last.
    #[must_use]
    pub fn last_words(self, failure: Failure) -> Failure {
        let Self {
            running,
            stdin,
            stdout,
            url,
            ..
        } = self;
        drop((stdin, stdout));
        match running.wait() {
            Ok(exit) if !exit.stderr_tail.is_empty() => {
                let trouble = Trouble::read(&exit.stderr_tail);
                let hint = trouble.hint(&url);
                let failure = failure.caused_by(trouble);
                match hint {
                    Some(hint) => failure.hint(hint),
                    None => failure,
                }
            }
            _ => failure,
        }
    }

    /// Runs statements and returns the rows of the last one that has any.
    fn ask(&mut self, statements: &[String]) -> Result<Vec<Vec<String>>> {
        let answer = self.exchange(statements);
        self.is_lost |= answer.is_err();
        answer
    }

    fn exchange(&mut self, statements: &[String]) -> Result<Vec<Vec<String>>> {
        let gone = || {
            Failure::new(
                Kind::Source,
                format!("The session that held the snapshot of `{}` has ended", self.url),
            )
        };
        let mut script = String::new();
        for statement in statements {
            script.push_str(statement);
            script.push_str(";\n");
        }
        // It is printed when everything before it has been answered.
        script.push_str(&format!("SELECT {};\n", quote_literal(&self.mark)));
        if self.stdin.write_all(script.as_bytes()).is_err() {
            return Err(gone());
        }
        let mut answer: Vec<u8> = Vec::new();
        let end = format!("{}\n", self.mark);
        let mut piece = [0; 8192];
        while !answer.ends_with(end.as_bytes()) {
            let count = self.stdout.read(&mut piece).doing(|| "read the output of `psql`")?;
            if count == 0 || answer.len() > ANSWER_BYTES_MAX {
                return Err(gone());
            }
            answer.extend_from_slice(&piece[..count]);
        }
        answer.truncate(answer.len() - end.len());
        let text = String::from_utf8_lossy(&answer);
        Ok(text
            .strip_suffix('\n')
            .unwrap_or(&text)
            .split(ROW_SEPARATOR)
            .filter(|row| !row.is_empty())
            .map(|row| row.split(FIELD_SEPARATOR).map(str::to_owned).collect())
            .collect())
    }
}
