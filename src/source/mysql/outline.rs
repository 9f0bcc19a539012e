//! Finds what is in a dump while it streams: each table's data begins a member, and each object has a line in the index.
//!
//! A table whose place in the dump is not beyond doubt is left out of the index; the dump itself is not the worse for it.

use super::lexer::{Statement, Visitor};
use super::tokens::{Token, table_name, tokens};
use crate::catalog::index::{Entry, EntryKind, RawPath};
use crate::source::dump_writer::Mark;

/// The line of two dashes that opens a header, with the longest line end.
const OPENING_BYTES_MAX: u64 = 4;

/// What stands in the header of a table's rows, before its name.
const DATA_HEADER: &[u8] = b"Dumping data for table ";

/// The same for everything else, and what it is called in the index. Names of databases stand in other quotes.
const OBJECT_HEADERS: &[(&[u8], &str)] = &[
    (b"Table structure for table ", "TABLE"),
    (b"Sequence structure for ", "SEQUENCE"),
    (b"Temporary table structure for view ", "VIEW"),
    (b"Temporary view structure for view ", "VIEW"),
    (b"Final view structure for view ", "VIEW"),
    (b"Dumping events for database ", "EVENTS"),
    (b"Dumping routines for database ", "ROUTINES"),
];

/// What stands between a table's rows and the next header.
const TRIGGERS: &str = "TRIGGERS";

/// What has begun and not ended.
#[derive(Debug)]
enum Open {
    Table(Table),
    Object(Object),
}

#[derive(Debug)]
struct Table {
    start: u64,
    // Where it ends if nothing more comes.
    end: u64,
    header_name: Option<Vec<u8>>,
    header_closed: bool,
    name: Option<Vec<u8>>,
    doubtful: bool,
    is_over: bool,
    size: u64,
    rows: u64,
}

#[derive(Debug)]
struct Object {
    start: u64,
    header_closed: bool,
    what: &'static str,
    name: Vec<u8>,
    owner: Option<Vec<u8>>,
}

/// Follows a dump and collects [`Mark`]s.
#[derive(Debug, Default)]
pub struct Outline {
    marks: Vec<Mark>,
    // The `--` line that may open a header.
    opened: Option<u64>,
    open: Option<Open>,
    /// The table whose rows have ended, and whose triggers may follow.
    ended: Option<Vec<u8>>,
    tables: u64,
    rows: u64,
    started: Option<String>,
}

impl Outline {
    /// The marks found since the last call, in order.
    pub fn take_marks(&mut self) -> Vec<Mark> {
        std::mem::take(&mut self.marks)
    }

    /// Where a header may have begun, of which the rest is not read yet.
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

    /// Ends what is open at the end of the dump.
    pub fn finish(&mut self, end: u64) {
        self.opened = None;
        self.end(end);
    }

    /// Ends what is open: an object here, a table with its last statement.
    fn end(&mut self, end: u64) {
        let entry = |kind, path, range| Entry::new(kind, RawPath(path), range);
        match self.open.take() {
            None => {}
            Some(Open::Table(table)) => {
                let path = table.name.or(table.header_name).filter(|_| !table.doubtful);
                self.ended.clone_from(&path);
                if path.is_some() {
                    self.tables += 1;
                    self.rows += table.rows;
                }
                self.marks.push(Mark {
                    offset: table.end,
                    cut: true,
                    entry: path.map(|path| Entry {
                        size: table.size,
                        rows: Some(table.rows),
                        ..entry(EntryKind::Table, path, table.start..table.end)
                    }),
                });
            }
            Some(Open::Object(object)) => self.marks.push(Mark {
                offset: end,
                cut: false,
                entry: Some(Entry {
                    link: object.owner.map(RawPath),
                    object: Some(object.what.to_owned()),
                    ..entry(EntryKind::Object, object.name, object.start..end)
                }),
            }),
        }
    }

    fn begin(&mut self, start: u64, text: &[u8]) {
        let name =
            |text: &[u8]| table_name(text).or_else(|| Some(text.strip_prefix(b"'")?.strip_suffix(b"'")?.to_vec()));
        if let Some(rest) = text.strip_prefix(DATA_HEADER) {
            // A name with a line end makes a header of several lines; the statements that follow have it whole.
            let header_name = table_name(rest);
            self.started = header_name
                .as_deref()
                .map(|name| String::from_utf8_lossy(name).into_owned());
            self.marks.push(Mark {
                offset: start,
                cut: true,
                entry: None,
            });
            self.open = Some(Open::Table(Table {
                start,
                end: start,
                header_name,
                header_closed: false,
                name: None,
                doubtful: false,
                is_over: false,
                size: 0,
                rows: 0,
            }));
            return;
        }
        let found = OBJECT_HEADERS
            .iter()
            .find_map(|(begin, what)| Some((*what, name(text.strip_prefix(*begin)?)?)));
        self.open = found.map(|(what, name)| {
            Open::Object(Object {
                start,
                header_closed: false,
                what,
                name,
                owner: None,
            })
        });
    }

    /// Whether the two dashes are those that close the header of what is open.
    fn closes_header(&mut self) -> bool {
        let closed = match &mut self.open {
            Some(Open::Table(table)) => &mut table.header_closed,
            Some(Open::Object(object)) => &mut object.header_closed,
            None => return false,
        };
        !std::mem::replace(closed, true)
    }
}

impl Visitor for Outline {
    fn comment(&mut self, start: u64, text: &[u8]) {
        if !text.is_empty() {
            let opened = self.opened.filter(|opened| start <= opened + OPENING_BYTES_MAX);
            if let Some(start) = opened {
                self.begin(start, text);
            }
            self.opened = None;
        } else if !self.closes_header() {
            self.end(start);
            self.ended = None;
            self.opened = Some(start);
        }
    }

    fn statement(&mut self, statement: &Statement<'_>) {
        self.opened = None;
        match &mut self.open {
            Some(Open::Table(table)) => {
                if !table.statement(statement) {
                    self.end(statement.start);
                    self.begin_triggers(statement.start);
                } else if table.is_over {
                    self.end(statement.end);
                }
            }
            Some(Open::Object(object)) => object.header_closed = true,
            None => self.begin_triggers(statement.start),
        }
    }
}

impl Outline {
    fn begin_triggers(&mut self, start: u64) {
        self.open = self.ended.take().map(|table| {
            Open::Object(Object {
                start,
                header_closed: true,
                what: TRIGGERS,
                name: table.clone(),
                owner: Some(table),
            })
        });
    }
}

impl Table {
    /// Takes a statement in; false if it cannot be one about the table's rows.
    fn statement(&mut self, statement: &Statement<'_>) -> bool {
        let lead = statement.lead;
        let begins = |words: &str| {
            lead.strip_prefix(words)
                .is_some_and(|rest| rest.is_empty() || rest.starts_with(' '))
        };
        let is_insert = begins("insert") || begins("replace");
        if is_insert || begins("lock tables") || begins("alter table") {
            let name = first_name(statement.head);
            let known = self.name.as_ref().or(self.header_name.as_ref());
            self.doubtful |= name.is_none() || known.is_some_and(|known| Some(known) != name.as_ref());
            if self.name.is_none() {
                self.name = name;
            }
            if is_insert {
                self.rows += statement.rows;
                self.size += statement.end - statement.start;
            }
        } else if begins("unlock tables") {
            self.is_over = true;
        } else if !begins("set autocommit") && !begins("commit") {
            return false;
        }
        self.header_closed = true;
        self.end = statement.end;
        true
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
