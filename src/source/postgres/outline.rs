//! Finds what is in a plain SQL dump while it streams: each table's data begins a member, and each object has a line in
//! the index.

use super::belongs::relation;
use super::lexer::{Statement, Visitor};
use super::names::{Header, header, join, tokens, without_line_ends};
use crate::catalog::index::{Entry, EntryKind, RawPath};
use crate::source::dump_writer::Mark;

/// The line of two dashes that opens a header, with the longest line end.
pub(super) const OPENING_BYTES_MAX: u64 = 4;

/// What a setting between two objects is called in the index.
pub const SETTING: &str = "SETTING";

/// What has begun and not ended.
#[derive(Debug)]
enum Open {
    Table(Table),
    Object(Object),
    Setting { start: u64, name: Vec<u8> },
}

#[derive(Debug)]
struct Table {
    start: u64,
    header: Header,
    path: Option<Vec<u8>>,
    header_closed: bool,
    size: u64,
    rows: u64,
}

#[derive(Debug)]
struct Object {
    start: u64,
    header: Header,
    header_closed: bool,
    /// Its names, once its first statement has been read.
    path: Option<Vec<u8>>,
    owner: Option<Vec<u8>>,
}

/// Follows a dump and collects [`Mark`]s.
#[derive(Debug, Default)]
pub struct Outline {
    marks: Vec<Mark>,
    // The `--` line that may open a header.
    opened: Option<u64>,
    open: Option<Open>,
    /// Whether anything has had a header; what stands before the first one is the dump's head.
    is_past_head: bool,
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

    /// Ends what is open at the end of the dump.
    pub fn finish(&mut self, end: u64) {
        self.opened = None;
        self.end(end);
    }

    fn begin(&mut self, start: u64, header: Header) {
        self.is_past_head = true;
        if header.is_data {
            self.started = Some(String::from_utf8_lossy(&header.path).into_owned());
            self.marks.push(Mark {
                offset: start,
                cut: true,
                entry: None,
            });
            self.open = Some(Open::Table(Table {
                start,
                header,
                path: None,
                header_closed: false,
                size: 0,
                rows: 0,
            }));
        } else {
            self.open = Some(Open::Object(Object {
                start,
                header,
                header_closed: false,
                path: None,
                owner: None,
            }));
        }
    }

    fn end(&mut self, end: u64) {
        let entry = |kind, path, start| Entry::new(kind, RawPath(path), start..end);
        let entry = match self.open.take() {
            None => return,
            Some(Open::Table(table)) => {
                self.tables += 1;
                self.rows += table.rows;
                Entry {
                    size: table.size,
                    rows: Some(table.rows),
                    ..entry(EntryKind::Table, table.path.unwrap_or(table.header.path), table.start)
                }
            }
            Some(Open::Object(object)) => Entry {
                link: object.owner.map(RawPath),
                object: Some(object.header.what),
                ..entry(
                    EntryKind::Object,
                    object.path.unwrap_or(object.header.path),
                    object.start,
                )
            },
            Some(Open::Setting { start, name }) => Entry {
                object: Some(SETTING.to_owned()),
                ..entry(EntryKind::Object, name, start)
            },
        };
        self.marks.push(Mark {
            offset: end,
            cut: entry.kind == EntryKind::Table,
            entry: Some(entry),
        });
    }

    /// Whether the two dashes are those that close the header of what is open.
    fn closes_header(&mut self) -> bool {
        let closed = match &mut self.open {
            Some(Open::Table(table)) => &mut table.header_closed,
            Some(Open::Object(object)) => &mut object.header_closed,
            _ => return false,
        };
        !std::mem::replace(closed, true)
    }
}

impl Visitor for Outline {
    fn comment(&mut self, start: u64, text: &[u8]) {
        if !text.is_empty() {
            let opened = self.opened.filter(|opened| start <= opened + OPENING_BYTES_MAX);
            if let (Some(start), Some(header)) = (opened, header(text)) {
                self.begin(start, header);
            }
            self.opened = None;
        } else if !self.closes_header() {
            self.end(start);
            self.opened = Some(start);
        }
    }

    fn command(&mut self, start: u64, _text: &[u8]) {
        self.opened = None;
        self.end(start);
    }

    fn statement(&mut self, statement: &Statement<'_>) {
        self.opened = None;
        if matches!(self.open, Some(Open::Setting { .. })) {
            self.end(statement.start);
        }
        if self.is_past_head && statement.lead.starts_with("set ") {
            // It goes for what follows, whatever it stands behind.
            self.end(statement.start);
            self.open = Some(Open::Setting {
                start: statement.start,
                name: setting_name(statement.lead),
            });
            return;
        }
        match &mut self.open {
            Some(Open::Table(table)) => table.statement(statement),
            Some(Open::Object(object)) => object.statement(statement),
            _ => {}
        }
    }

    fn copy(&mut self, start: u64, data_end: u64, _end: u64, rows: u64) {
        if let Some(Open::Table(table)) = &mut self.open {
            table.size += data_end - start;
            table.rows += rows;
        }
    }
}

impl Table {
    fn statement(&mut self, statement: &Statement<'_>) {
        let inserts = statement.lead.starts_with("insert into");
        if !inserts && !statement.lead.starts_with("copy") {
            return;
        }
        self.header_closed = true;
        if inserts {
            self.rows += statement.rows;
            self.size += statement.end - statement.start;
        }
        if self.path.is_none() {
            // The header shows names with line ends made blank; the statement has them as they are. A partition
            // may be loaded through its parent, and then the header is right.
            let name = table_name(statement.head, self.header.schema.as_deref());
            self.path = Some(match name {
                Some(name) if without_line_ends(&name) == self.header.path => name,
                _ => self.header.path.clone(),
            });
        }
    }
}

impl Object {
    fn statement(&mut self, statement: &Statement<'_>) {
        self.header_closed = true;
        if self.path.is_none() {
            let found = relation(&self.header, statement.head);
            self.path = Some(found.path);
            self.owner = found.owner;
        }
    }
}

/// `schema.table` from `COPY "schema".table (…` or `INSERT INTO schema."table" …`, without quotes.
fn table_name(statement: &[u8], schema: Option<&[u8]>) -> Option<Vec<u8>> {
    let tokens = tokens(statement);
    let name = tokens
        .iter()
        .find(|token| !["copy", "insert", "into"].iter().any(|word| token.is(word)))?
        .path()?;
    // Old versions write names without a schema, in which a dot is a part of the name.
    match schema {
        Some(schema) if !name.starts_with(&join(schema, b"")) => Some(join(schema, &name)),
        _ => Some(name),
    }
}

/// What a `SET` sets, by its first words.
fn setting_name(lead: &str) -> Vec<u8> {
    const SESSION: &str = "session authorization";
    let rest = lead.strip_prefix("set ").unwrap_or(lead);
    let name = if rest.starts_with(SESSION) {
        SESSION
    } else {
        rest.split(' ').next().unwrap_or(rest)
    };
    name.as_bytes().to_vec()
}
