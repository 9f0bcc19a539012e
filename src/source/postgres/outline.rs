//! Finds the tables in a plain SQL dump while it streams, so that each begins a member and has a line in the index.

use super::lexer::{Statement, Visitor};
use crate::source::dump_writer::{Mark, table_entry};

/// The line of two dashes that opens a header, with the longest line end.
const OPENING_BYTES_MAX: u64 = 4;

#[derive(Debug)]
struct Table {
    start: u64,
    header_path: Vec<u8>,
    path: Option<Vec<u8>>,
    header_closed: bool,
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
    pub fn finish(&mut self, end: u64) {
        self.opened = None;
        self.end_table(end);
    }

    fn end_table(&mut self, end: u64) {
        let Some(table) = self.table.take() else { return };
        self.tables += 1;
        self.rows += table.rows;
        self.marks.push(Mark {
            offset: end,
            entry: Some(table_entry(
                table.path.unwrap_or(table.header_path),
                table.start,
                end,
                table.size,
                table.rows,
            )),
        });
    }
}

impl Visitor for Outline {
    fn comment(&mut self, start: u64, text: &[u8]) {
        if !text.is_empty() {
            let opened = self.opened.filter(|opened| start <= opened + OPENING_BYTES_MAX);
            if let (Some(start), Some(header_path)) = (opened, header_path(text)) {
                self.started = Some(String::from_utf8_lossy(&header_path).into_owned());
                self.marks.push(Mark {
                    offset: start,
                    entry: None,
                });
                self.table = Some(Table {
                    start,
                    header_path,
                    path: None,
                    header_closed: false,
                    size: 0,
                    rows: 0,
                });
            }
            self.opened = None;
            return;
        }
        match &mut self.table {
            Some(table) if !table.header_closed => table.header_closed = true,
            _ => {
                self.end_table(start);
                self.opened = Some(start);
            }
        }
    }

    fn command(&mut self, start: u64, _text: &[u8]) {
        self.opened = None;
        self.end_table(start);
    }

    fn statement(&mut self, statement: &Statement<'_>) {
        self.opened = None;
        let Some(table) = &mut self.table else { return };
        let inserts = statement.lead.starts_with("insert into");
        if !inserts && !statement.lead.starts_with("copy") {
            return;
        }
        table.header_closed = true;
        if inserts {
            table.rows += statement.rows;
            table.size += statement.end - statement.start;
        }
        if table.path.is_none() {
            // The header shows names with line ends made blank; the statement has them as they are. A partition
            // may be loaded through its parent, and then the header is right.
            let name = table_name(statement.head);
            table.path = Some(match name {
                Some(name) if without_line_ends(&name) == table.header_path => name,
                _ => table.header_path.clone(),
            });
        }
    }

    fn copy(&mut self, start: u64, data_end: u64, _end: u64, rows: u64) {
        if let Some(table) = &mut self.table {
            table.size += data_end - start;
            table.rows += rows;
        }
    }
}

fn without_line_ends(name: &[u8]) -> Vec<u8> {
    name.iter()
        .map(|byte| if matches!(byte, b'\n' | b'\r') { b' ' } else { *byte })
        .collect()
}

/// `schema.table` from `Data for Name: t; Type: TABLE DATA; Schema: s; Owner: o`.
fn header_path(text: &[u8]) -> Option<Vec<u8>> {
    const TYPE: &[u8] = b"; Type: TABLE DATA; Schema: ";
    let text = text.strip_prefix(b"Data for Name: ")?;
    let at = memchr::memmem::rfind(text, TYPE)?;
    let (name, rest) = (&text[..at], &text[at + TYPE.len()..]);
    let schema = &rest[..memchr::memmem::rfind(rest, b"; Owner: ")?];
    Some([schema, b".", name].concat())
}

/// `schema.table` from `COPY "schema".table (…` or `INSERT INTO schema."table" …`, without quotes.
fn table_name(statement: &[u8]) -> Option<Vec<u8>> {
    let mut rest = statement;
    loop {
        let end = rest.iter().position(u8::is_ascii_whitespace)?;
        let keyword = rest[..end].to_ascii_lowercase();
        if !matches!(keyword.as_slice(), b"copy" | b"insert" | b"into") {
            break;
        }
        rest = rest[end..].trim_ascii_start();
        if matches!(keyword.as_slice(), b"copy" | b"into") {
            break;
        }
    }
    let mut name = Vec::new();
    loop {
        if let Some(quoted) = rest.strip_prefix(b"\"") {
            rest = quoted;
            loop {
                let end = memchr::memchr(b'"', rest)?;
                name.extend_from_slice(&rest[..end]);
                rest = &rest[end + 1..];
                match rest.strip_prefix(b"\"") {
                    Some(more) => {
                        name.push(b'"');
                        rest = more;
                    }
                    None => break,
                }
            }
        } else {
            let end = rest
                .iter()
                .position(|byte| byte.is_ascii_whitespace() || matches!(byte, b'.' | b'(' | b';'))?;
            name.extend_from_slice(&rest[..end]);
            rest = &rest[end..];
        }
        match rest.strip_prefix(b".") {
            Some(more) => {
                name.push(b'.');
                rest = more;
            }
            None => return Some(name).filter(|name| !name.is_empty()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_come_from_statements_as_they_are() {
        for (statement, name) in [
            ("COPY public.t (a) FROM stdin;", "public.t"),
            (
                "COPY \"My Schema\".\"a.b\"\"c\nd\" (x) FROM stdin;",
                "My Schema.a.b\"c\nd",
            ),
            ("INSERT INTO public.t VALUES (1);", "public.t"),
            ("insert into t(a) values (1);", "t"),
        ] {
            assert_eq!(
                table_name(statement.as_bytes()).unwrap(),
                name.as_bytes(),
                "{statement}"
            );
        }
        assert_eq!(table_name(b"COPY \"never closed"), None);
    }

    #[test]
    fn headers_are_read_from_their_end() {
        let header =
            b"Data for Name: a; Type: TABLE DATA; Schema: x; Owner: y; Type: TABLE DATA; Schema: public; Owner: me";
        assert_eq!(
            header_path(header).unwrap(),
            b"public.a; Type: TABLE DATA; Schema: x; Owner: y"
        );
        assert_eq!(
            header_path(b"Data for Name: BLOBS; Type: BLOBS; Schema: -; Owner: -"),
            None
        );
        assert_eq!(header_path(b"Name: t; Type: TABLE; Schema: public; Owner: me"), None);
    }
}
