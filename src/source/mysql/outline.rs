//! Finds the tables in a dump while it streams, so that each begins a member and has a line in the index.
//!
//! A table whose place in the dump is not beyond doubt is left out of the index; the dump itself is not the worse for it.

use super::lexer::{Statement, Visitor};
use super::tokens::{Token, table_name, tokens};
use crate::source::dump_writer::{Mark, table_entry};

/// The line of two dashes that opens a header, with the longest line end.
const OPENING_BYTES_MAX: u64 = 4;

const DATA_HEADER: &[u8] = b"Dumping data for table `";

#[derive(Debug)]
struct Table {
    start: u64,
    // Where it ends if nothing more comes.
    end: u64,
    header_name: Option<Vec<u8>>,
    name: Option<Vec<u8>>,
    doubtful: bool,
    size: u64,
    rows: u64,
}

/// Follows a dump and collects [`Mark`]s.
#[derive(Debug, Default)]
pub struct Outline {
    marks: Vec<Mark>,
    // The `--` line that may open a header.
    opened: Option<u64>,
    table: Option<Table>,
    tables: u64,
    rows: u64,
    started: Option<String>,
}

impl Outline {
    /// The marks found since the last call, in order.
    pub fn take_marks(&mut self) -> Vec<Mark> {
        std::mem::take(&mut self.marks)
    }

    /// Where a table's header may have begun, of which the rest is not read yet.
    ///
    /// `offset` is how far the dump has been read, `open_line` where the comment began that it is read into.
    #[must_use]
    pub fn unsettled(&self, offset: u64, open_line: Option<u64>) -> Option<u64> {
        self.opened
            .filter(|opened| open_line.unwrap_or(offset) <= opened + OPENING_BYTES_MAX)
    }

    /// Tables that have ended so far.
    #[must_use]
    pub fn tables(&self) -> u64 {
        self.tables
    }

    /// Rows of the tables that have ended so far.
    #[must_use]
    pub fn rows(&self) -> u64 {
        self.rows
    }

    /// The last table that has begun since the last call.
    pub fn take_started(&mut self) -> Option<String> {
        self.started.take()
    }

    /// Ends the last table at the end of the dump.
    pub fn finish(&mut self) {
        self.opened = None;
        self.end_table();
    }

    fn end_table(&mut self) {
        let Some(table) = self.table.take() else { return };
        let path = table.name.or(table.header_name);
        let entry = path.filter(|_| !table.doubtful);
        if entry.is_some() {
            self.tables += 1;
            self.rows += table.rows;
        }
        self.marks.push(Mark {
            offset: table.end,
            entry: entry.map(|path| table_entry(path, table.start, table.end, table.size, table.rows)),
        });
    }
}

impl Visitor for Outline {
    fn comment(&mut self, start: u64, text: &[u8]) {
        if text.is_empty() {
            if self.table.as_ref().is_none_or(|table| table.name.is_some()) {
                self.end_table();
                self.opened = Some(start);
            }
            return;
        }
        let opened = self.opened.take().filter(|opened| start <= opened + OPENING_BYTES_MAX);
        if let Some(start) = opened
            && text.starts_with(DATA_HEADER)
        {
            self.end_table();
            // A name with a line end is a header of several lines; the statements that follow have it whole.
            let header_name = table_name(&text[DATA_HEADER.len() - 1..]);
            if let Some(name) = &header_name {
                self.started = Some(String::from_utf8_lossy(name).into_owned());
            }
            self.marks.push(Mark {
                offset: start,
                entry: None,
            });
            self.table = Some(Table {
                start,
                end: start,
                header_name,
                name: None,
                doubtful: false,
                size: 0,
                rows: 0,
            });
        }
    }

    fn statement(&mut self, statement: &Statement<'_>) {
        self.opened = None;
        let Some(table) = &mut self.table else { return };
        let lead = statement.lead;
        let begins = |words: &str| lead == words || lead.strip_prefix(words).is_some_and(|rest| rest.starts_with(' '));
        if begins("unlock tables") {
            table.end = statement.end;
            return self.end_table();
        }
        let is_insert = begins("insert") || begins("replace");
        if is_insert || begins("lock tables") || begins("alter table") {
            let name = first_name(statement.head);
            let known = table.name.as_ref().or(table.header_name.as_ref());
            table.doubtful |= name.is_none() || known.is_some_and(|known| Some(known) != name.as_ref());
            if table.name.is_none() {
                table.name = name;
            }
            if is_insert {
                table.rows += statement.rows;
                table.size += statement.end - statement.start;
            }
        } else if !begins("set autocommit") && !begins("commit") {
            return self.end_table();
        }
        table.end = statement.end;
    }
}

/// The first name in backquotes.
fn first_name(head: &[u8]) -> Option<Vec<u8>> {
    tokens(head)
        .find(|token| matches!(token.kind, Token::Name))
        .and_then(|token| table_name(token.text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_come_from_statements_as_they_are() {
        for (statement, name) in [
            ("INSERT INTO `t` VALUES (1)", "t"),
            ("/*!40000 ALTER TABLE `a``b.c\nd` DISABLE KEYS */", "a`b.c\nd"),
            ("LOCK TABLES `t t` WRITE", "t t"),
        ] {
            assert_eq!(
                first_name(statement.as_bytes()).unwrap(),
                name.as_bytes(),
                "{statement}"
            );
        }
        assert_eq!(first_name(b"INSERT INTO `never closed"), None);
    }
}
