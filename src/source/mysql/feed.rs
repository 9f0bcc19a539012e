//! Reads a dump piece by piece, has each statement looked at, and passes it on as it may go.

use super::lexer::{Lexer, STATEMENT_HEAD_BYTES, Statement, Visitor};
use super::rewrite::{Edits, apply};
use super::screen::{Screen, Verdict};
use super::watch::Ending;
use crate::base::failure::{Failure, Kind, Result};
use crate::source::detect::SqlDialect;

/// The longest statement that is looked at as a whole: routines and views; rows pass at any length.
const STATEMENT_BYTES_MAX: usize = 16 * 1024 * 1024;

/// The line by which newer dumps keep clients from running programs, in its two forms.
const SANDBOX_LINES: &[&[u8]] = &[b"/*M!999999\\-", b"/*!999999\\-"];

/// A place in the script that has been read.
#[derive(Debug)]
struct Found {
    start: u64,
    text_end: u64,
    end: u64,
}

#[derive(Debug, Default)]
struct Collector {
    statements: Vec<Found>,
    comments: Vec<Vec<u8>>,
    tables: u64,
}

impl Visitor for Collector {
    fn comment(&mut self, _start: u64, text: &[u8]) {
        if self.comments.len() < COMMENTS_MAX {
            self.comments.push(text.to_vec());
        }
    }

    fn statement(&mut self, statement: &Statement<'_>) {
        self.tables += u64::from(statement.lead.starts_with("alter table enable keys"));
        self.statements.push(Found {
            start: statement.start,
            text_end: statement.text_end,
            end: statement.end,
        });
    }
}

/// How many comments are looked at: the database is named in the third line.
const COMMENTS_MAX: usize = 16;

/// Between a dump and a client.
#[derive(Debug)]
pub struct Feed {
    lexer: Lexer,
    collector: Collector,
    /// What it has found so far.
    pub screen: Screen,
    ending: Ending,
    has_marker: bool,
    // What has been read and not passed on, and where that begins.
    held: Vec<u8>,
    start: u64,
    // The statement whose beginning has been looked at and passed on.
    passing: Option<u64>,
    drops_sandbox_line: bool,
}

impl Feed {
    /// At the beginning of a dump; with `drops_sandbox_line` for a client that does not understand that line.
    #[must_use]
    pub fn new(dialect: SqlDialect, drops_sandbox_line: bool) -> Self {
        Self {
            lexer: Lexer::default(),
            collector: Collector::default(),
            screen: Screen::default(),
            ending: Ending::default(),
            has_marker: dialect == SqlDialect::Mysql,
            held: Vec::new(),
            start: 0,
            passing: None,
            drops_sandbox_line,
        }
    }

    /// Reads the next bytes and passes on what is settled.
    ///
    /// # Errors
    /// [`Kind::Refused`] for a statement that would leave its database; what `pass` fails with.
    pub fn read(&mut self, bytes: &[u8], pass: &mut dyn FnMut(&[u8]) -> Result<()>) -> Result<()> {
        self.ending.scan(bytes);
        self.held.extend_from_slice(bytes);
        self.lexer.scan(bytes, &mut self.collector);
        self.settle(pass)
    }

    /// Passes on the rest, once the dump has come to its end.
    ///
    /// # Errors
    /// As [`Feed::read`]; [`Kind::Damaged`] if the dump is not whole.
    pub fn finish(&mut self, pass: &mut dyn FnMut(&[u8]) -> Result<()>) -> Result<()> {
        self.lexer.finish(&mut self.collector);
        let open = self.lexer.open_end();
        self.settle(pass)?;
        let fault = match (self.has_marker, open) {
            (true, _) => self.ending.fault(&self.lexer),
            (false, Some(place)) => Some(format!("it ends {place}")),
            (false, None) if self.lexer.offset() == 0 => Some("it is empty".to_owned()),
            (false, None) => None,
        };
        if let Some(fault) = fault {
            return Err(Failure::new(Kind::Damaged, format!("The dump is not whole: {fault}"))
                .hint("It was cut off when it was made or copied; restore another backup"));
        }
        self.pass_to(self.lexer.offset(), &Edits::new(), pass)
    }

    /// Tables whose rows have ended since the last call.
    pub fn take_tables(&mut self) -> u64 {
        std::mem::take(&mut self.collector.tables)
    }

    fn settle(&mut self, pass: &mut dyn FnMut(&[u8]) -> Result<()>) -> Result<()> {
        for comment in self.collector.comments.drain(..) {
            self.screen.comment(&comment);
        }
        if self.drops_sandbox_line && self.start == 0 {
            self.drop_sandbox_line();
        }
        for found in std::mem::take(&mut self.collector.statements) {
            if self.passing.take() == Some(found.start) {
                self.pass_to(found.end, &Edits::new(), pass)?;
                continue;
            }
            self.pass_to(found.start, &Edits::new(), pass)?;
            let text = &self.held[..index(found.text_end - self.start)];
            match self.screen.judge(text)? {
                Verdict::Pass(edits) => self.pass_to(found.end, &edits, pass)?,
                Verdict::Drop => self.skip_to(found.end),
            }
        }
        match self.lexer.open_statement() {
            None => self.pass_to(
                self.lexer.open_line().unwrap_or(self.lexer.offset()),
                &Edits::new(),
                pass,
            ),
            Some(start) if self.passing == Some(start) => self.pass_to(self.lexer.offset(), &Edits::new(), pass),
            Some(start) => {
                self.pass_to(start, &Edits::new(), pass)?;
                self.look_at_open(start, pass)
            }
        }
    }

    /// Rows are passed on when it is known where they go; anything else waits for its end.
    fn look_at_open(&mut self, start: u64, pass: &mut dyn FnMut(&[u8]) -> Result<()>) -> Result<()> {
        let inserts = |lead: &str| lead.starts_with("insert") || lead.starts_with("replace");
        if self.lexer.open_head().is_some_and(|(lead, _)| inserts(lead)) {
            let head = &self.held[..self.held.len().min(STATEMENT_HEAD_BYTES)];
            if let Verdict::Pass(edits) = self.screen.judge(head)? {
                self.passing = Some(start);
                return self.pass_to(self.lexer.offset(), &edits, pass);
            }
        }
        if self.held.len() > STATEMENT_BYTES_MAX {
            return Err(Failure::new(
                Kind::Unsupported,
                format!("A statement of the dump has more than {STATEMENT_BYTES_MAX} bytes and does not insert rows"),
            )
            .hint("Restore the dump by hand: restore --to - | mariadb DATABASE"));
        }
        Ok(())
    }

    /// Passes on what stands before `end`, with changes to it.
    fn pass_to(&mut self, end: u64, edits: &Edits, pass: &mut dyn FnMut(&[u8]) -> Result<()>) -> Result<()> {
        let count = index(end.saturating_sub(self.start)).min(self.held.len());
        if count > 0 {
            if edits.is_empty() {
                pass(&self.held[..count])?;
            } else {
                pass(&apply(&self.held[..count], edits))?;
            }
        }
        self.skip_to(end);
        Ok(())
    }

    fn skip_to(&mut self, end: u64) {
        let count = index(end.saturating_sub(self.start)).min(self.held.len());
        self.held.drain(..count);
        self.start += count as u64;
    }

    fn drop_sandbox_line(&mut self) {
        if SANDBOX_LINES.iter().any(|line| self.held.starts_with(line))
            && let Some(end) = memchr::memchr(b'\n', &self.held)
        {
            self.skip_to(end as u64 + 1);
        }
    }
}

fn index(count: u64) -> usize {
    usize::try_from(count).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::super::tests::samples::{MARIADB, MYSQL};
    use super::*;

    fn fed(dump: &str, piece: usize, drops: bool) -> Result<String> {
        let mut feed = Feed::new(SqlDialect::Mysql, drops);
        let mut out = Vec::new();
        let mut pass = |bytes: &[u8]| {
            out.extend_from_slice(bytes);
            Ok(())
        };
        for piece in dump.as_bytes().chunks(piece) {
            feed.read(piece, &mut pass)?;
        }
        feed.finish(&mut pass)?;
        Ok(String::from_utf8(out).unwrap())
    }

    /// The statements that lock tables are left out, the ends of their lines stay.
    fn without_locks(dump: &str) -> String {
        let lines =
            dump.split('\n').map(
                |line| match line.starts_with("LOCK TABLES") || line.starts_with("UNLOCK TABLES") {
                    true => "",
                    false => line,
                },
            );
        lines.collect::<Vec<_>>().join("\n")
    }

    #[test]
    fn ordinary_dumps_pass_with_their_events_asleep() {
        let expected = MARIADB.replace("NOT PRESERVE ENABLE", "NOT PRESERVE DISABLE");
        for piece in [1, 3, 100, usize::MAX] {
            assert_eq!(fed(MYSQL, piece, false).unwrap(), without_locks(MYSQL));
            assert_eq!(fed(MARIADB, piece, false).unwrap(), without_locks(&expected));
        }
    }

    #[test]
    fn the_sandbox_line_is_dropped_for_clients_that_do_not_know_it() {
        let (first, rest) = MARIADB.split_once('\n').unwrap();
        assert!(first.contains("sandbox"));
        for dump in [MARIADB.to_owned(), MARIADB.replacen("/*M!", "/*!", 1)] {
            assert!(fed(&dump, usize::MAX, true).unwrap().starts_with("-- MariaDB dump"));
            assert!(fed(&dump, usize::MAX, false).unwrap().contains("sandbox"));
        }
        // It is a line of the beginning only.
        assert!(fed(rest, 64, true).unwrap().starts_with(&rest[..100]));
    }

    #[test]
    fn rows_of_any_length_pass_in_pieces_and_others_wait() {
        let rows = "(1,'x'),".repeat(100_000);
        let dump = format!(
            "-- MySQL dump\n--\n-- Host: h    Database: shop\nINSERT INTO `shop`.`t` VALUES {rows}(2,'y');\n-- Dump completed\n"
        );
        let expected = dump.replacen("`shop`.`t`", "`t`", 1);
        for piece in [1000, 65536] {
            assert!(fed(&dump, piece, false).unwrap() == expected);
        }
        let mut feed = Feed::new(SqlDialect::Mysql, false);
        let mut longest = 0;
        for piece in dump.as_bytes().chunks(65536) {
            feed.read(piece, &mut |_| Ok(())).unwrap();
            longest = longest.max(feed.held.len());
        }
        assert!(longest < 65536, "{longest}");
    }

    #[test]
    fn a_dump_that_is_cut_or_leaves_its_database_is_stopped() {
        let cut = fed(&MYSQL[..MYSQL.len() / 2], 64, false).unwrap_err();
        assert_eq!(cut.kind(), Kind::Damaged);
        let left = MYSQL.replacen("UNLOCK TABLES;", "UNLOCK TABLES;\nUSE other;USE another;", 1);
        assert_eq!(fed(&left, 64, false).unwrap_err().kind(), Kind::Refused);
        let data = MYSQL.replacen("'x\\'),(y'", "'; DROP DATABASE x; '", 1);
        assert_eq!(fed(&data, 64, false).unwrap(), without_locks(&data));
    }
}
