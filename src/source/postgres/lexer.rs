//! Reads SQL as `psql` does, as far as it takes to tell statements, comments, `psql` commands and `COPY` data apart.
//!
//! It takes the script in pieces of any size and holds no more than a few short texts, so that rows of any length pass.

use super::statement::OpenStatement;

/// Bytes of a statement kept for those who look at it: two quoted identifiers of 63 bytes each fit several times.
pub const STATEMENT_HEAD_BYTES: usize = 1024;

/// Bytes of a comment or of a `psql` command kept; `pg_dump` writes far shorter ones.
pub const LINE_BYTES_MAX: usize = 1024;

/// A dollar-quote's tag may not be longer; PostgreSQL's own identifiers end at 63 bytes.
const TAG_BYTES_MAX: usize = 256;

/// A statement that has just ended with its semicolon.
#[derive(Debug)]
pub struct Statement<'a> {
    /// Where its first byte lies.
    pub start: u64,
    /// Where the byte after its semicolon lies.
    pub end: u64,
    /// Its first words outside of quotes, in lower case, with single spaces.
    pub lead: &'a str,
    /// Its first [`STATEMENT_HEAD_BYTES`].
    pub head: &'a [u8],
    /// How many rows an `INSERT … VALUES` has.
    pub rows: u64,
    /// Whether it is a `COPY` whose rows follow.
    pub reads_stdin: bool,
}

/// Who is told what is in a script. Offsets count from the script's first byte.
pub trait Visitor {
    /// A `--` comment between statements, without its dashes.
    fn comment(&mut self, _start: u64, _text: &[u8]) {}
    /// A `psql` command, with its backslash.
    fn command(&mut self, _start: u64, _text: &[u8]) {}
    /// A statement.
    fn statement(&mut self, _statement: &Statement<'_>) {}
    /// The rows of the last statement, a `COPY … FROM stdin`: from `start` to `data_end`, and after `\.` `end`.
    fn copy(&mut self, _start: u64, _data_end: u64, _end: u64, _rows: u64) {}
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Plain,
    Dash { start: u64 },
    Slash { start: u64 },
    LineComment { start: u64, alone: bool },
    BlockComment { depth: u32, last: u8 },
    Single { escapes: bool },
    SingleEscaped,
    SingleEnd { escapes: bool },
    Double,
    DollarTag,
    Dollar { matched: usize },
    Command { start: u64 },
    CopyStart { matched: u8 },
    CopyLine,
}

/// The state of a script after the bytes read so far.
#[derive(Debug)]
pub struct Lexer {
    state: State,
    offset: u64,
    last: [u8; 2],
    standard_strings: bool,
    line: Vec<u8>,
    tag: Vec<u8>,
    // The statement that has begun and not ended.
    start: Option<u64>,
    ended: bool,
    head: Vec<u8>,
    open: OpenStatement,
    // `COPY` statements on one line are all sent before their data is read.
    copies: u32,
    copy_start: u64,
    copy_line: u64,
    copy_rows: u64,
}

impl Default for Lexer {
    fn default() -> Self {
        Self {
            state: State::Plain,
            offset: 0,
            last: [0; 2],
            standard_strings: true,
            line: Vec::new(),
            tag: Vec::new(),
            start: None,
            ended: false,
            head: Vec::new(),
            open: OpenStatement::default(),
            copies: 0,
            copy_start: 0,
            copy_line: 0,
            copy_rows: 0,
        }
    }
}

fn is_word_start(byte: u8) -> bool {
    byte.is_ascii_alphabetic() || byte == b'_' || byte >= 0x80
}

fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'$' || byte >= 0x80
}

/// Bytes that mean something inside a statement whose words no longer matter.
const fn special_bytes() -> [bool; 256] {
    let mut table = [false; 256];
    let special = b"'\"$-/();\\";
    let mut at = 0;
    while at < special.len() {
        table[special[at] as usize] = true;
        at += 1;
    }
    table
}

static SPECIAL: [bool; 256] = special_bytes();

impl Lexer {
    /// Reads the next bytes of the script.
    pub fn scan(&mut self, bytes: &[u8], visitor: &mut impl Visitor) {
        let base = self.offset;
        let mut at = 0;
        while at < bytes.len() {
            let begun = at;
            self.offset = base + at as u64;
            at = self.step(bytes, at, visitor);
            self.offset = base + at as u64;
            if let Some(start) = self.start
                && self.head.len() < STATEMENT_HEAD_BYTES
            {
                // White space before the statement may have been read in the same step.
                let from = begun.max(usize::try_from(start.saturating_sub(base)).unwrap_or(at));
                let room = STATEMENT_HEAD_BYTES - self.head.len();
                self.head.extend_from_slice(&bytes[from..at.min(from + room)]);
            }
            match at - begun {
                0 => {}
                1 => self.last = [self.last[1], bytes[at - 1]],
                _ => self.last = [bytes[at - 2], bytes[at - 1]],
            }
            if self.ended {
                self.end_statement(visitor);
            }
        }
    }

    /// Takes the end of the script into account: a last line without a newline.
    pub fn finish(&mut self, visitor: &mut impl Visitor) {
        match self.state {
            State::LineComment { start, alone } => self.end_comment(start, alone, visitor),
            State::Command { start } => self.end_command(start, visitor),
            _ => {}
        }
    }

    /// How many bytes have been read.
    #[must_use]
    pub fn offset(&self) -> u64 {
        self.offset
    }

    /// Where the comment or command begins that may be reported later on, if one has begun.
    #[must_use]
    pub fn open_line(&self) -> Option<u64> {
        match self.state {
            State::Dash { start } | State::Command { start } | State::LineComment { start, alone: true }
                if self.start.is_none() && self.line.len() < LINE_BYTES_MAX =>
            {
                Some(start)
            }
            _ => None,
        }
    }

    /// What the script is in the middle of, if it is.
    #[must_use]
    pub fn open_end(&self) -> Option<&'static str> {
        match self.state {
            State::CopyStart { .. } | State::CopyLine => Some("in the rows of a table"),
            State::Single { .. } | State::SingleEscaped => Some("in a text constant"),
            State::Double => Some("in a quoted name"),
            State::Dollar { .. } | State::DollarTag => Some("in a dollar-quoted text"),
            State::BlockComment { .. } => Some("in a comment"),
            _ if self.copies > 0 => Some("before the rows of a table"),
            _ if self.start.is_some() => Some("in a statement"),
            _ => None,
        }
    }

    fn step(&mut self, bytes: &[u8], at: usize, visitor: &mut impl Visitor) -> usize {
        let rest = &bytes[at..];
        match self.state {
            State::Plain => self.plain(bytes, at),
            State::Dash { start } => {
                if rest[0] == b'-' {
                    self.line.clear();
                    let alone = self.start.is_none();
                    self.state = State::LineComment { start, alone };
                    return at + 1;
                }
                self.not_a_comment(start, b'-');
                at
            }
            State::Slash { start } => {
                if rest[0] == b'*' {
                    self.state = State::BlockComment { depth: 1, last: 0 };
                    return at + 1;
                }
                self.not_a_comment(start, b'/');
                at
            }
            State::LineComment { start, alone } => {
                let (next, ended) = self.take_line(rest, at);
                if ended {
                    self.end_comment(start, alone, visitor);
                    self.end_line(self.offset + (next - at) as u64);
                }
                next
            }
            State::Command { start } => {
                let (next, ended) = self.take_line(rest, at);
                if ended {
                    self.end_command(start, visitor);
                    self.end_line(self.offset + (next - at) as u64);
                }
                next
            }
            State::BlockComment { depth, last } => self.block_comment(rest, at, depth, last),
            State::Single { escapes } => {
                let found = if escapes {
                    memchr::memchr2(b'\'', b'\\', rest)
                } else {
                    memchr::memchr(b'\'', rest)
                };
                let Some(found) = found else { return bytes.len() };
                self.state = match (rest[found], rest.get(found + 1)) {
                    (b'\\', _) => State::SingleEscaped,
                    (_, Some(b'\'') | None) => State::SingleEnd { escapes },
                    _ => State::Plain,
                };
                at + found + 1
            }
            State::SingleEscaped => {
                self.state = State::Single { escapes: true };
                at + 1
            }
            State::SingleEnd { escapes } => {
                if rest[0] == b'\'' {
                    self.state = State::Single { escapes };
                    return at + 1;
                }
                self.state = State::Plain;
                at
            }
            State::Double => {
                let Some(found) = memchr::memchr(b'"', rest) else {
                    return bytes.len();
                };
                // A doubled quote closes and opens again, which comes to the same.
                self.state = State::Plain;
                at + found + 1
            }
            State::DollarTag => self.dollar_tag(rest[0], at),
            State::Dollar { matched } => self.dollar(rest, at, matched),
            State::CopyStart { matched } => self.copy_start(rest[0], at, matched, visitor),
            State::CopyLine => {
                let Some(found) = memchr::memchr(b'\n', rest) else {
                    return bytes.len();
                };
                self.copy_rows += 1;
                self.copy_lines(bytes, at + found + 1)
            }
        }
    }

    /// Text outside of quotes and comments, up to the first byte that changes the state.
    fn plain(&mut self, bytes: &[u8], mut at: usize) -> usize {
        let base = self.offset - at as u64;
        while at < bytes.len() {
            let byte = bytes[at];
            if self.open.in_word() {
                if is_word(byte) {
                    self.open.push_word(byte);
                    at += 1;
                    continue;
                }
                self.open.end_word();
            }
            if self.start.is_none() {
                match byte {
                    b'\n' => {
                        at += 1;
                        if self.copies > 0 {
                            self.begin_copy(base + at as u64);
                            return at;
                        }
                        continue;
                    }
                    _ if byte.is_ascii_whitespace() || byte == b';' => {
                        at += 1;
                        continue;
                    }
                    b'-' | b'/' | b'\\' => {}
                    _ => {
                        self.begin_statement(base + at as u64);
                        return at;
                    }
                }
            }
            let before = if at == 0 { self.last[1] } else { bytes[at - 1] };
            match byte {
                b'\'' => {
                    let second = match at {
                        0 => self.last[0],
                        1 => self.last[1],
                        _ => bytes[at - 2],
                    };
                    let marked = matches!(before, b'e' | b'E') && !is_word(second);
                    let escapes = marked || !self.standard_strings;
                    self.state = State::Single { escapes };
                    return at + 1;
                }
                b'"' => {
                    self.open.quoted_name();
                    self.state = State::Double;
                    return at + 1;
                }
                b'$' if !is_word(before) => {
                    self.tag.clear();
                    self.tag.push(b'$');
                    self.state = State::DollarTag;
                    return at + 1;
                }
                b'-' => {
                    let start = base + at as u64;
                    self.state = State::Dash { start };
                    return at + 1;
                }
                b'/' => {
                    let start = base + at as u64;
                    self.state = State::Slash { start };
                    return at + 1;
                }
                b'\\' => {
                    self.line.clear();
                    self.line.push(byte);
                    let start = base + at as u64;
                    self.state = State::Command { start };
                    return at + 1;
                }
                b'(' => self.open.open_paren(),
                b')' => self.open.close_paren(),
                b';' if self.open.ends_at_semicolon() => {
                    self.ended = true;
                    return at + 1;
                }
                _ if !self.open.wants_words() => {
                    let skipped = bytes[at..].iter().position(|byte| SPECIAL[usize::from(*byte)]);
                    at = skipped.map_or(bytes.len(), |skipped| at + skipped.max(1));
                    continue;
                }
                _ if is_word_start(byte) && !is_word(before) => self.open.push_word(byte),
                _ => {}
            }
            at += 1;
        }
        at
    }

    fn begin_statement(&mut self, start: u64) {
        self.start = Some(start);
        self.ended = false;
        self.head.clear();
        self.open.clear();
    }

    fn end_statement(&mut self, visitor: &mut impl Visitor) {
        self.ended = false;
        let Some(start) = self.start.take() else { return };
        if self.open.lead().starts_with("set standard_conforming_strings") {
            let text = self.head.to_ascii_lowercase();
            self.standard_strings = !text.windows(3).any(|three| three == b"off");
        }
        self.copies += u32::from(self.open.reads_stdin());
        visitor.statement(&Statement {
            start,
            end: self.offset,
            lead: self.open.lead(),
            head: &self.head,
            rows: self.open.rows(),
            reads_stdin: self.open.reads_stdin(),
        });
    }

    /// The byte before was a dash or a slash that stands for itself.
    fn not_a_comment(&mut self, start: u64, byte: u8) {
        self.state = State::Plain;
        if self.start.is_none() {
            self.begin_statement(start);
            self.head.push(byte);
        }
    }

    fn take_line(&mut self, rest: &[u8], at: usize) -> (usize, bool) {
        let end = memchr::memchr(b'\n', rest);
        let text = &rest[..end.unwrap_or(rest.len())];
        let room = LINE_BYTES_MAX.saturating_sub(self.line.len());
        self.line.extend_from_slice(&text[..text.len().min(room)]);
        (at + end.map_or(rest.len(), |end| end + 1), end.is_some())
    }

    /// After a newline that ended a comment or a command: the rows of a `COPY` may begin.
    fn end_line(&mut self, next: u64) {
        self.state = State::Plain;
        self.line.clear();
        if self.copies > 0 && self.start.is_none() {
            self.begin_copy(next);
        }
    }

    fn end_comment(&mut self, start: u64, alone: bool, visitor: &mut impl Visitor) {
        if alone {
            visitor.comment(start, self.line.trim_ascii());
        }
    }

    fn end_command(&mut self, start: u64, visitor: &mut impl Visitor) {
        visitor.command(start, self.line.trim_ascii_end());
    }

    fn block_comment(&mut self, rest: &[u8], at: usize, mut depth: u32, mut last: u8) -> usize {
        for (index, byte) in rest.iter().enumerate() {
            match (last, *byte) {
                (b'*', b'/') => {
                    depth -= 1;
                    last = 0;
                    if depth == 0 {
                        self.state = State::Plain;
                        return at + index + 1;
                    }
                }
                (b'/', b'*') => {
                    depth = depth.saturating_add(1);
                    last = 0;
                }
                _ => last = *byte,
            }
        }
        self.state = State::BlockComment { depth, last };
        at + rest.len()
    }

    fn dollar_tag(&mut self, byte: u8, at: usize) -> usize {
        if byte == b'$' {
            self.tag.push(byte);
            self.state = State::Dollar { matched: 0 };
            return at + 1;
        }
        let fits = if self.tag.len() == 1 {
            is_word_start(byte)
        } else {
            is_word(byte)
        };
        if fits && self.tag.len() < TAG_BYTES_MAX {
            self.tag.push(byte);
            return at + 1;
        }
        self.state = State::Plain;
        at
    }

    fn dollar(&mut self, rest: &[u8], at: usize, mut matched: usize) -> usize {
        let mut index = 0;
        while index < rest.len() {
            if matched == 0 {
                let Some(found) = memchr::memchr(b'$', &rest[index..]) else {
                    break;
                };
                index += found + 1;
                matched = 1;
                continue;
            }
            if rest[index] == self.tag[matched] {
                index += 1;
                matched += 1;
                if matched == self.tag.len() {
                    self.state = State::Plain;
                    return at + index;
                }
            } else {
                // A dollar that does not fit may still begin the tag; it is looked at again.
                matched = 0;
            }
        }
        self.state = State::Dollar { matched };
        at + rest.len()
    }

    fn begin_copy(&mut self, start: u64) {
        self.copies -= 1;
        self.copy_start = start;
        self.copy_line = start;
        self.copy_rows = 0;
        self.state = State::CopyStart { matched: 0 };
    }

    /// Whole rows, as many as there are, from the beginning of a line on.
    fn copy_lines(&mut self, bytes: &[u8], mut at: usize) -> usize {
        let mut rows = 0;
        self.state = State::CopyStart { matched: 0 };
        // Only a backslash and a dot can begin the end; a backslash at the end of the piece is looked at with the next one.
        while at < bytes.len() && (bytes[at] != b'\\' || bytes.get(at + 1).is_some_and(|byte| *byte != b'.')) {
            match memchr::memchr(b'\n', &bytes[at..]) {
                Some(found) => {
                    rows += 1;
                    at += found + 1;
                }
                None => {
                    self.state = State::CopyLine;
                    at = bytes.len();
                }
            }
        }
        self.copy_rows += rows;
        at
    }

    /// The first bytes of a line of data: a backslash, a dot and nothing else end it.
    fn copy_start(&mut self, byte: u8, at: usize, matched: u8, visitor: &mut impl Visitor) -> usize {
        if matched == 0 {
            self.copy_line = self.offset;
        }
        let matched = match (matched, byte) {
            (0, b'\\') => 1,
            (1, b'.') => 2,
            (2, b'\r') => 3,
            (2 | 3, b'\n') => {
                let end = self.offset + 1;
                visitor.copy(self.copy_start, self.copy_line, end, self.copy_rows);
                self.state = State::Plain;
                if self.copies > 0 {
                    self.begin_copy(end);
                }
                return at + 1;
            }
            _ => {
                self.state = State::CopyLine;
                return at;
            }
        };
        self.state = State::CopyStart { matched };
        at + 1
    }
}
