//! Pours a dump into `psql`, which keeps nothing of it unless all of it was there.

use std::io::{ErrorKind, Read, Write};

use rand::Rng;

use super::clients::{Client, Version};
use super::lexer::Lexer;
use super::screen::Screen;
use super::server::Server;
use super::trouble::{Trouble, warnings};
use crate::base::failure::{Failure, Kind, Result, from_io};
use crate::base::process::Running;
use crate::source::SourceContext;
use crate::source::detect::{Content, SqlDialect, detect, sql_dialect};

/// How much of a dump is read before anything is done: its settings and its first comments lie within the first 2 KiB.
const HEAD_BYTES: usize = 64 * 1024;

/// Bytes poured at once.
const POUR_BYTES: usize = 256 * 1024;

/// Characters of the key under which psql runs no commands; nobody guesses it.
const RESTRICT_KEY_CHARS: usize = 40;

/// Settings with which newer versions of `pg_dump` begin, and the version from which servers know them.
///
/// They are timeouts, switched off for the restore's session, which an older server has not got in the first place.
const SETTINGS_SINCE: &[(&str, u32)] = &[("SET transaction_timeout = 0;", 17)];

/// What a script is poured into.
#[derive(Clone, Copy, Debug)]
pub enum Destination<'a> {
    /// A database that was made for it.
    NewDatabase(&'a str),
    /// Tables of the database that the URL names.
    Tables,
}

/// A dump whose beginning has been looked at.
pub struct Dump<'a> {
    head: Vec<u8>,
    rest: &'a mut dyn Read,
    lexer: Lexer,
    screen: Screen,
    dialect: SqlDialect,
}

impl std::fmt::Debug for Dump<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Dump")
            .field("dialect", &self.dialect)
            .finish_non_exhaustive()
    }
}

impl<'a> Dump<'a> {
    /// Reads the beginning of a dump and refuses what `psql` cannot take.
    ///
    /// # Errors
    /// What reading fails with; [`Kind::Damaged`] if there is nothing; [`Kind::Unsupported`] if it is no SQL for
    /// PostgreSQL; [`Kind::Refused`] if it would leave its database.
    pub fn open(rest: &'a mut dyn Read) -> Result<Self> {
        let mut head = vec![0; HEAD_BYTES];
        let mut filled = 0;
        while filled < head.len() {
            match rest.read(&mut head[filled..]) {
                Ok(0) => break,
                Ok(count) => filled += count,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(from_io("read the dump", error)),
            }
        }
        head.truncate(filled);
        let dialect = check_content(&head)?;
        let mut dump = Self {
            head,
            rest,
            lexer: Lexer::default(),
            screen: Screen::default(),
            dialect,
        };
        dump.lexer.scan(&dump.head, &mut dump.screen);
        match dump.screen.take_refusal() {
            Some(refusal) => Err(refusal),
            None => Ok(dump),
        }
    }

    /// The `psql` to use: the newest, unless only another one knows the dump's `\restrict`.
    ///
    /// # Errors
    /// [`Kind::Tool`] if none knows it.
    pub fn choose_psql(&self, clients: &[Client]) -> Result<Client> {
        let needs_restrict = self.screen.ending.uses_restrict();
        let fits = |client: &&Client| !needs_restrict || client.version.knows_restrict();
        let chosen = clients.iter().rev().filter(fits).max_by_key(|client| client.version);
        chosen.cloned().ok_or_else(|| {
            let found = clients.iter().map(|client| client.version).max();
            let found = found.map_or_else(String::new, |version| format!("; the newest `psql` found is {version}"));
            Failure::new(
                Kind::Tool,
                format!("The dump uses `\\restrict`, which `psql` knows from 13.22, 14.19, 15.14, 16.10, 17.6 and 18 on{found}"),
            )
            .hint("Update PostgreSQL's client programs, for example: apt-get install postgresql-client")
        })
    }

    /// The encoding that the dump says it is in.
    #[must_use]
    pub fn encoding(&self) -> Option<String> {
        let text = String::from_utf8_lossy(&self.head);
        let line = text
            .lines()
            .find_map(|line| line.strip_prefix("SET client_encoding = '"))?;
        let name = line.strip_suffix("';")?;
        let is_name = name
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-'));
        is_name.then(|| name.to_ascii_uppercase())
    }

    /// Pours the dump into `database` in one transaction and returns what the server warned of.
    ///
    /// After the dump's last byte, and before `psql` learns that it was the last, the dump's end is judged and `verify` asked.
    ///
    /// # Errors
    /// The dump's own failure to be read; [`Kind::Damaged`] if it is not whole; `verify`'s failure; the server's words.
    /// In each case nothing of the dump is in the database.
    pub fn pour(
        mut self,
        server: &Server,
        psql: &Client,
        into: Destination<'_>,
        server_version: Version,
        verify: &mut dyn FnMut() -> Result<()>,
        context: &SourceContext<'_>,
    ) -> Result<Vec<String>> {
        // psql is told to run no commands of its own before it sees the first byte, with a key that the dump cannot
        // know: whatever the dump does to make psql read it differently from here, it gets out of nothing.
        let is_restricted = psql.version.knows_restrict();
        let database = match into {
            Destination::NewDatabase(name) => Some(name),
            Destination::Tables => None,
        };
        let mut program = server
            .connection()
            .program(&psql.path, database)
            .args(["--no-psqlrc", "--quiet", "--single-transaction", "--output=/dev/null"])
            .args(["--set", "ON_ERROR_STOP=1", "--set", "VERBOSITY=verbose"]);
        if is_restricted {
            let key: String = rand::rng()
                .sample_iter(rand::distr::Alphanumeric)
                .take(RESTRICT_KEY_CHARS)
                .map(char::from)
                .collect();
            program = program.arg("--command").arg(format!("\\restrict {key}"));
        }
        let mut psql = program.arg("--file=-").with_input().start(context.cancel)?;
        // Nothing should come, but a full pipe would stop everything.
        let drain = psql.stdout.take().map(|mut stdout| {
            std::thread::spawn(move || {
                let _ = std::io::copy(&mut stdout, &mut std::io::sink());
            })
        });
        let poured = self
            .pour_all(&mut psql, server_version, is_restricted, into, context)
            .and_then(|taken| {
                if taken {
                    self.judge()?;
                    verify()?;
                    context.cancel.check()?;
                }
                Ok(taken)
            });
        if let Err(failure) = poured {
            // The end of its input would make psql commit; it must be dead before it can see it.
            psql.kill();
            drop(psql);
            context.cancel.check()?;
            return Err(failure);
        }
        let exit = psql.wait()?;
        if let Some(drain) = drain {
            let _ = drain.join();
        }
        context.cancel.check()?;
        let trouble = Trouble::read(&exit.stderr_tail);
        if !exit.is_success() {
            return Err(restore_failure(trouble, &exit.describe(), server, into));
        }
        Ok(warnings(&exit.stderr_tail))
    }

    /// Pours everything; false if `psql` did not take it all, in which case its own words say why.
    fn pour_all(
        &mut self,
        psql: &mut Running,
        server_version: Version,
        is_restricted: bool,
        into: Destination<'_>,
        context: &SourceContext<'_>,
    ) -> Result<bool> {
        let makes_schemas = matches!(into, Destination::NewDatabase(_));
        let progress = context.reporter.progress();
        let mut piece = Piece {
            bytes: std::mem::take(&mut self.head),
            start: 0,
        };
        if self.dialect == SqlDialect::Postgres {
            blank_unknown_settings(&mut piece.bytes, server_version);
        }
        loop {
            // The beginning of a line that may become a command or a header waits for its end.
            let open_line = self.lexer.open_line();
            let markers = self.screen.take_markers();
            if is_restricted {
                piece.blank(&markers);
            }
            let mut schemas = self.screen.take_missing_schemas();
            schemas.retain(|_| makes_schemas);
            let count = piece.write(psql, open_line.unwrap_or(self.lexer.offset()), &schemas)?;
            let Some(count) = count else { return Ok(false) };
            progress.add_plain(count as u64);
            (0..self.screen.take_copies()).for_each(|_| progress.add_item());
            if let Some(table) = self.screen.take_current() {
                progress.set_current(&table);
            }
            context.cancel.check()?;
            let begin = piece.bytes.len();
            piece.bytes.resize(begin + POUR_BYTES, 0);
            let read = loop {
                match self.rest.read(&mut piece.bytes[begin..]) {
                    Err(error) if error.kind() == ErrorKind::Interrupted => {}
                    other => break other,
                }
            };
            let count = read.map_err(|error| from_io("read the dump", error))?;
            piece.bytes.truncate(begin + count);
            if count == 0 {
                break;
            }
            self.lexer.scan(&piece.bytes[begin..], &mut self.screen);
            if let Some(refusal) = self.screen.take_refusal() {
                return Err(refusal);
            }
        }
        self.lexer.finish(&mut self.screen);
        if let Some(refusal) = self.screen.take_refusal() {
            return Err(refusal);
        }
        let markers = self.screen.take_markers();
        if is_restricted {
            piece.blank(&markers);
        }
        let count = piece.write(psql, self.lexer.offset(), &[])?;
        progress.add_plain(count.unwrap_or(0) as u64);
        Ok(count.is_some())
    }

    fn judge(&self) -> Result<()> {
        match self.screen.ending.fault(&self.lexer) {
            None => Ok(()),
            Some(fault) => Err(Failure::new(Kind::Damaged, format!("The dump is not whole: {fault}"))
                .hint("It was cut off when it was made or copied; restore another backup")),
        }
    }
}

/// What has been read of a dump and not been written yet.
struct Piece {
    bytes: Vec<u8>,
    /// Where it stands in the dump.
    start: u64,
}

impl Piece {
    /// Makes the dump's own `\restrict` and `\unrestrict` blank, which psql would refuse under another key.
    fn blank(&mut self, markers: &[(u64, usize)]) {
        for (at, length) in markers {
            // One that has been written already is for psql to refuse.
            let from = at.checked_sub(self.start).and_then(|from| usize::try_from(from).ok());
            if let Some(marker) = from.and_then(|from| self.bytes.get_mut(from..from.saturating_add(*length))) {
                marker.fill(b' ');
            }
        }
    }

    /// Writes what stands before `end` in the dump, and says how much that was; `None` if psql takes no more.
    ///
    /// Of `schemas`, each is made where it says, unless it is there.
    fn write(&mut self, psql: &mut Running, end: u64, schemas: &[(u64, Vec<u8>)]) -> Result<Option<usize>> {
        let mut count = 0;
        // What begins before that has been written already, in a line that was too long to wait for.
        for (at, schema) in schemas.iter().filter(|(at, _)| *at >= self.start).collect::<Vec<_>>() {
            match self.write_before(psql, *at)? {
                Some(written) if write(psql, &make_schema(schema))? => count += written,
                _ => return Ok(None),
            }
        }
        Ok(self.write_before(psql, end)?.map(|written| count + written))
    }

    fn write_before(&mut self, psql: &mut Running, end: u64) -> Result<Option<usize>> {
        let count = usize::try_from(end.saturating_sub(self.start)).unwrap_or(usize::MAX);
        let count = count.min(self.bytes.len());
        if !write(psql, &self.bytes[..count])? {
            return Ok(None);
        }
        self.bytes.drain(..count);
        self.start += count as u64;
        Ok(Some(count))
    }
}

/// What makes a schema that a dump of single tables lacks; its name is in the dump's encoding.
fn make_schema(name: &[u8]) -> Vec<u8> {
    let mut sql = b"CREATE SCHEMA IF NOT EXISTS \"".to_vec();
    for byte in name {
        sql.push(*byte);
        if *byte == b'"' {
            sql.push(b'"');
        }
    }
    sql.extend_from_slice(b"\";\n");
    sql
}

fn write(psql: &mut Running, bytes: &[u8]) -> Result<bool> {
    let Some(stdin) = psql.stdin.as_mut() else {
        return Ok(false);
    };
    match stdin.write_all(bytes) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(false),
        Err(error) => Err(from_io("write to `psql`", error)),
    }
}

fn check_content(head: &[u8]) -> Result<SqlDialect> {
    let unsupported = |what: &str, hint: &str| {
        Err(Failure::new(
            Kind::Unsupported,
            format!("This is {what}, which cannot be restored into PostgreSQL as SQL"),
        )
        .hint(hint))
    };
    match detect(head) {
        Content::Sql => {}
        Content::Empty => {
            return Err(Failure::new(Kind::Damaged, "The dump is empty").hint("Restore another backup"));
        }
        Content::PgDumpCustom => {
            return unsupported(
                "a dump in pg_dump's custom format",
                "Create the database, then: backup-cli restore BACKUP --to - | pg_restore --exit-on-error \
                 --single-transaction --no-owner --no-acl --no-password -d postgres://USER@HOST/NEW_DATABASE",
            );
        }
        Content::Sqlite => return unsupported("an SQLite database", "Restore it to a file"),
        Content::Tar => return unsupported("a tar archive", "Restore it to a folder"),
        Content::Gzip | Content::Zstd => return unsupported("compressed twice", "Restore it to a file and unpack it"),
        Content::Age => return unsupported("encrypted", "Restore it to a file and decrypt it with age"),
        Content::Unknown => return unsupported("no SQL script", "Restore it to a file to see what it is"),
    }
    match sql_dialect(head) {
        SqlDialect::Mysql => unsupported(
            "a dump of MySQL or MariaDB",
            "Restore it into MySQL or MariaDB, or to a file",
        ),
        SqlDialect::Sqlite => unsupported("a dump of SQLite", "Restore it to a file and read it with sqlite3"),
        dialect => Ok(dialect),
    }
}

/// Makes lines blank that only a newer server understands, keeping their length.
fn blank_unknown_settings(head: &mut [u8], server_version: Version) {
    for (line, since) in SETTINGS_SINCE {
        let with_ends = format!("\n{line}\n");
        if server_version.major < *since
            && let Some(at) = memchr::memmem::find(head, with_ends.as_bytes())
        {
            head[at + 1..=at + line.len()].fill(b' ');
        }
    }
}

fn restore_failure(trouble: Trouble, ending: &str, server: &Server, into: Destination<'_>) -> Failure {
    let is = |state: &str| trouble.sqlstate.as_deref() == Some(state);
    let hint = if trouble.says("role \"") && trouble.says("does not exist") {
        Some(
            "Create the role first (CREATE ROLE name; a backup made with --globals has all of them), or make the backup with \
             --pg-dump-arg=--no-owner --pg-dump-arg=--no-acl",
        )
    } else if trouble.says("extension \"") && (trouble.says("is not available") || trouble.says("control file")) {
        Some("Install the extension's package on the server first")
    } else if is("42501") && matches!(into, Destination::Tables) {
        Some(
            "Use the owner of the tables, or a superuser; triggers, which are off while rows are loaded, are the owner's",
        )
    } else if is("42501") {
        Some("Restore as a superuser, or make the backup with --pg-dump-arg=--no-owner --pg-dump-arg=--no-acl")
    } else if trouble.says("unrecognized configuration parameter") || is("42601") {
        Some("The dump may be for a newer server than this one; restore into that version")
    } else if trouble.says("tablespace \"") && trouble.says("does not exist") {
        Some("Create the tablespace first, or make the backup with --pg-dump-arg=--no-tablespaces")
    } else if is("23503") && matches!(into, Destination::Tables) {
        Some("Rows refer to rows of another table that are not there; restore that table as well, or first")
    } else if is("0A000") && trouble.says("truncate") {
        Some("Another table refers to this one; name both with --table, so that they are replaced together")
    } else if is("2BP01") {
        Some("Something else depends on the table; leave --with-schema out to replace its rows only")
    } else if is("3F000") {
        Some("Create the schema first (CREATE SCHEMA name)")
    } else if is("42P01") && matches!(into, Destination::Tables) && !trouble.says("nextval(") {
        Some("A table that is referred to is not there; restore it as well, or first")
    } else {
        None
    };
    let hint = missing_sequence(&trouble, into)
        .or(hint.map(str::to_owned))
        .or_else(|| trouble.hint(server.connection().url()));
    let what = match into {
        Destination::NewDatabase(name) => format!("The dump could not be restored into the new database `{name}`"),
        Destination::Tables => "The tables could not be restored".to_owned(),
    };
    let message = format!("{what}: `psql` ended with {ending}");
    let mut failure = Failure::new(trouble.kind(), message);
    if !trouble.lines.is_empty() {
        failure = failure.caused_by(trouble);
    }
    match hint {
        Some(hint) => failure.hint(hint),
        None => failure,
    }
}

/// What to do about a sequence that a default uses and no table owns, which therefore comes with no table.
fn missing_sequence(trouble: &Trouble, into: Destination<'_>) -> Option<String> {
    if trouble.sqlstate.as_deref() != Some("42P01") || !matches!(into, Destination::Tables) || !trouble.says("nextval(")
    {
        return None;
    }
    let named = trouble.lines.iter().find_map(|line| {
        let (_, rest) = line.split_once("ERROR:")?.1.split_once('"')?;
        Some(format!(" `{}`", rest.rsplit_once('"')?.0))
    });
    Some(format!(
        "A default takes its numbers from a sequence{} that no table owns: make it first (CREATE SEQUENCE), and set it behind \
         the greatest number in use (setval)",
        named.unwrap_or_default()
    ))
}

#[cfg(test)]
mod tests {
    use super::super::samples;
    use super::*;

    #[test]
    fn what_is_no_sql_for_postgres_is_known_by_its_beginning() {
        for (head, kind) in [
            (&b""[..], Kind::Damaged),
            (b"PGDMP\x01\x0e", Kind::Unsupported),
            (b"\x1f\x8b\x08", Kind::Unsupported),
            (b"hello world", Kind::Unsupported),
            (b"-- MySQL dump 10.13\n", Kind::Unsupported),
            (b"PRAGMA foreign_keys=OFF;\n", Kind::Unsupported),
            (b"--\n-- PostgreSQL database cluster dump\n--\n", Kind::Refused),
            (b"\\connect x\n", Kind::Unsupported),
        ] {
            let mut rest = head;
            let failure = Dump::open(&mut rest).unwrap_err();
            assert_eq!(failure.kind(), kind, "{failure:?}");
            assert!(!failure.hints().is_empty());
        }
        let mut custom = &b"PGDMP\x01\x0e"[..];
        assert!(Dump::open(&mut custom).unwrap_err().hints()[0].contains("pg_restore --exit-on-error"));
    }

    #[test]
    fn the_head_tells_encoding_and_what_psql_must_know() {
        let mut text = samples::RESTRICTED.as_bytes();
        let dump = Dump::open(&mut text).unwrap();
        assert_eq!(dump.encoding().as_deref(), Some("UTF8"));
        let client = |major, minor| Client {
            path: "/x/psql".into(),
            version: Version { major, minor },
            version_text: String::new(),
        };
        assert_eq!(dump.choose_psql(&[client(15, 13)]).unwrap_err().kind(), Kind::Tool);
        let chosen = dump.choose_psql(&[client(15, 18), client(17, 5)]).unwrap();
        assert_eq!(chosen.version.major, 15);
        let mut text = samples::OLDER.as_bytes();
        let dump = Dump::open(&mut text).unwrap();
        assert_eq!(
            dump.choose_psql(&[client(15, 18), client(17, 5)])
                .unwrap()
                .version
                .major,
            17
        );
    }

    #[test]
    fn settings_of_newer_servers_are_made_blank_for_older_ones() {
        let text = b"--\nSET transaction_timeout = 0;\nSET x = 1;\n";
        let version = |major| Version { major, minor: 0 };
        let mut older = text.to_vec();
        blank_unknown_settings(&mut older, version(16));
        assert_eq!(older.len(), text.len());
        assert!(older.ends_with(b" \nSET x = 1;\n") && !older.contains(&b't'));
        let mut newer = text.to_vec();
        blank_unknown_settings(&mut newer, version(17));
        assert_eq!(newer, text);
    }
}
