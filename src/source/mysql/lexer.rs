//! Reads SQL as MySQL's clients do, as far as it takes to tell statements and comments apart.
//!
//! It takes the script in pieces of any size and holds no more than a few short texts, so that rows of any length pass.

use super::statement::OpenStatement;

/// Bytes of a statement kept for those who look at it: three quoted names of 64 characters fit several times.
pub const STATEMENT_HEAD_BYTES: usize = 2048;

/// Bytes of a comment or of a `DELIMITER` line kept; the clients write far shorter ones.
const LINE_BYTES_MAX: usize = 1024;

/// The longest delimiter that the clients take.
const DELIMITER_BYTES_MAX: usize = 15;

/// A statement that has just ended with its delimiter, or with the script.
#[derive(Debug)]
pub struct Statement<'a> {
    /// Where its first byte lies.
    pub start: u64,
    /// Where the byte after its text lies, and before its delimiter.
    pub text_end: u64,
    /// Where the byte after its delimiter lies.
    pub end: u64,
    /// Its first words outside of quotes, in lower case, with single spaces.
    pub lead: &'a str,
    /// Its first [`STATEMENT_HEAD_BYTES`].
    pub head: &'a [u8],
    /// How many rows an `INSERT … VALUES` has.
    pub rows: u64,
}

/// Who is told what is in a script. Offsets count from the script's first byte.
pub trait Visitor {
    /// A `--` or `#` comment between statements, without its dashes.
    fn comment(&mut self, _start: u64, _text: &[u8]) {}
    /// A statement.
    fn statement(&mut self, _statement: &Statement<'_>) {}
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Plain,
    /// One dash, or two of which the third byte decides.
    Dash {
        start: u64,
        two: bool,
    },
    Slash {
        start: u64,
    },
    /// After `/*`: an exclamation mark makes it a statement.
    Opened {
        start: u64,
        maria: bool,
    },
    /// The version after `/*!`.
    Version {
        start: u64,
    },
    LineComment {
        start: u64,
        alone: bool,
    },
    BlockComment {
        star: bool,
    },
    Quoted {
        quote: u8,
        escaped: bool,
    },
    DelimiterLine,
}

/// The state of a script after the bytes read so far.
#[derive(Debug)]
pub struct Lexer {
    state: State,
    offset: u64,
    last: u8,
    delimiter: Vec<u8>,
    matched: usize,
    line: Vec<u8>,
    // The statement that has begun and not ended.
    start: Option<u64>,
    head: Vec<u8>,
    open: OpenStatement,
    in_version: bool,
    backslash_escapes: bool,
}

impl Default for Lexer {
    fn default() -> Self {
        Self {
            state: State::Plain,
            offset: 0,
            last: b'\n',
            delimiter: b";".to_vec(),
            matched: 0,
            line: Vec::new(),
            start: None,
            head: Vec::new(),
            open: OpenStatement::default(),
            in_version: false,
            backslash_escapes: true,
        }
    }
}

fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'$' | b'@') || byte >= 0x80
}

/// Bytes that mean something inside a statement whose words no longer matter, beside the delimiter's first.
const fn special_bytes() -> [bool; 256] {
    let mut table = [false; 256];
    let special = b"'\"`-/#()*";
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
        let mut at = 0;
        while at < bytes.len() {
            let count = self.skippable(&bytes[at..]);
            self.take(&bytes[at..at + count]);
            at += count;
            if let Some(byte) = bytes.get(at) {
                self.byte(*byte, visitor);
                at += 1;
            }
        }
    }

    /// Takes the end of the script into account: a last line without a newline, a last statement without a delimiter.
    pub fn finish(&mut self, visitor: &mut impl Visitor) {
        self.settle_delimiter(visitor);
        match self.state {
            State::LineComment { start, alone } => self.end_comment(start, alone, visitor),
            State::Plain if self.start.is_some() => {
                self.open.end_word();
                self.end_statement(self.offset, visitor);
            }
            _ => {}
        }
    }

    /// How many bytes have been read.
    #[must_use]
    pub fn offset(&self) -> u64 {
        self.offset
    }

    /// Where the comment begins that may be reported later on, if one has begun.
    #[must_use]
    pub fn open_line(&self) -> Option<u64> {
        match self.state {
            State::Dash { start, .. } | State::LineComment { start, alone: true } if self.start.is_none() => {
                Some(start)
            }
            _ => None,
        }
    }

    /// Where the statement begins that has not ended, if one has begun; what may turn out to be one counts.
    #[must_use]
    pub fn open_statement(&self) -> Option<u64> {
        self.start.or(match self.state {
            State::Slash { start } | State::Opened { start, .. } | State::Version { start } => Some(start),
            _ => None,
        })
    }

    /// The first words and bytes of the statement that has begun and not ended, once its words are known.
    #[must_use]
    pub fn open_head(&self) -> Option<(&str, &[u8])> {
        let settled = !self.open.wants_words() || self.head.len() >= STATEMENT_HEAD_BYTES;
        (self.start.is_some() && settled).then(|| (self.open.lead(), self.head.as_slice()))
    }

    /// What the script is in the middle of, if it is.
    #[must_use]
    pub fn open_end(&self) -> Option<&'static str> {
        match self.state {
            State::Quoted { quote: b'`', .. } => Some("in a quoted name"),
            State::Quoted { .. } => Some("in a text constant"),
            State::BlockComment { .. } | State::Opened { .. } | State::Version { .. } => Some("in a comment"),
            _ if self.start.is_some() => Some("in a statement"),
            _ => None,
        }
    }

    /// What the script is in the middle of, where not even a quote that was misread could have led: the body of a routine,
    /// which stands between two `DELIMITER` lines, or a name.
    ///
    /// Both are written as they are, so that a line of theirs may look like anything.
    #[must_use]
    pub fn open_body(&self) -> Option<&'static str> {
        match self.state {
            State::Quoted { quote: b'`', .. } => Some("in a quoted name"),
            _ if self.delimiter != b";" => Some("in the body of a routine, trigger or event"),
            _ => None,
        }
    }

    /// How many of the next bytes change nothing but the offset.
    fn skippable(&self, rest: &[u8]) -> usize {
        let found = match self.state {
            State::Quoted { escaped: true, .. } => return 0,
            State::Quoted { quote, .. } if self.escapes_in(quote) => memchr::memchr2(quote, b'\\', rest),
            State::Quoted { quote, .. } => memchr::memchr(quote, rest),
            State::BlockComment { star: false } => memchr::memchr(b'*', rest),
            State::Plain if self.start.is_some() && self.matched == 0 && !self.open.wants_words() => {
                let delimiter = self.delimiter.first().copied();
                rest.iter()
                    .position(|byte| SPECIAL[usize::from(*byte)] || Some(*byte) == delimiter)
            }
            _ => return 0,
        };
        found.unwrap_or(rest.len())
    }

    fn take(&mut self, bytes: &[u8]) {
        let Some(last) = bytes.last() else { return };
        self.last = *last;
        self.offset += bytes.len() as u64;
        if self.collects() && self.head.len() < STATEMENT_HEAD_BYTES {
            let room = STATEMENT_HEAD_BYTES - self.head.len();
            self.head.extend_from_slice(&bytes[..bytes.len().min(room)]);
        }
    }

    fn escapes_in(&self, quote: u8) -> bool {
        quote != b'`' && self.backslash_escapes
    }

    fn byte(&mut self, byte: u8, visitor: &mut impl Visitor) {
        match self.state {
            State::Plain => return self.plain(byte, visitor),
            State::Dash { start, two: false } if byte == b'-' => self.state = State::Dash { start, two: true },
            State::Dash { start, two: true } if self.start.is_none() || byte.is_ascii_whitespace() => {
                let alone = self.start.is_none();
                self.line.clear();
                self.state = State::LineComment { start, alone };
                return self.byte(byte, visitor);
            }
            State::Dash { start, .. } | State::Slash { start } if byte != b'*' || self.is_dash() => {
                self.state = State::Plain;
                self.begin_statement(start);
                self.open.symbol();
                return self.plain(byte, visitor);
            }
            State::Dash { .. } => {}
            State::Slash { start } => self.state = State::Opened { start, maria: false },
            State::Opened { start, maria: false } if byte == b'M' => self.state = State::Opened { start, maria: true },
            State::Opened { start, .. } if byte == b'!' => self.state = State::Version { start },
            State::Opened { .. } => self.state = State::BlockComment { star: byte == b'*' },
            State::Version { .. } if byte.is_ascii_digit() => {}
            // A command of the client itself, such as the one that enables the sandbox, and no statement.
            State::Version { .. } if byte == b'\\' && self.start.is_none() => {
                self.state = State::BlockComment { star: false };
            }
            State::Version { start } => {
                self.in_version = true;
                self.state = State::Plain;
                self.begin_statement(start);
                return self.plain(byte, visitor);
            }
            State::LineComment { start, alone } => {
                if byte == b'\n' {
                    self.end_comment(start, alone, visitor);
                } else if alone && self.line.len() < LINE_BYTES_MAX {
                    self.line.push(byte);
                }
            }
            State::BlockComment { star } => match (star, byte) {
                (true, b'/') => self.state = State::Plain,
                (_, byte) => self.state = State::BlockComment { star: byte == b'*' },
            },
            State::Quoted { quote, escaped: true } => self.state = State::Quoted { quote, escaped: false },
            State::Quoted { quote, .. } if byte == quote => self.state = State::Plain,
            State::Quoted { quote, .. } => {
                let escaped = byte == b'\\' && self.escapes_in(quote);
                self.state = State::Quoted { quote, escaped };
            }
            State::DelimiterLine => {
                if byte == b'\n' {
                    self.end_delimiter_line();
                } else if self.line.len() < LINE_BYTES_MAX {
                    self.line.push(byte);
                }
            }
        }
        self.take(&[byte]);
    }

    fn is_dash(&self) -> bool {
        matches!(self.state, State::Dash { .. })
    }

    /// A byte outside of quotes and comments. What may be a delimiter is taken when it is known to be one or not.
    fn plain(&mut self, byte: u8, visitor: &mut impl Visitor) {
        if self.delimiter.get(self.matched) == Some(&byte) {
            self.matched += 1;
            if self.matched == self.delimiter.len() {
                self.matched = 0;
                self.open.end_word();
                let text_end = self.offset;
                self.take(&self.delimiter.clone());
                self.end_statement(text_end, visitor);
            }
            return;
        }
        self.settle_delimiter(visitor);
        match self.state {
            State::Plain => self.ordinary(byte),
            _ => self.byte(byte, visitor),
        }
    }

    /// What looked like a delimiter was not; only its first byte is settled by that.
    fn settle_delimiter(&mut self, visitor: &mut impl Visitor) {
        if self.matched == 0 {
            return;
        }
        let begun = self.delimiter[..self.matched].to_vec();
        self.matched = 0;
        self.ordinary(begun[0]);
        for byte in &begun[1..] {
            self.byte(*byte, visitor);
        }
    }

    /// A byte outside of quotes and comments that is not of a delimiter.
    fn ordinary(&mut self, byte: u8) {
        let at = self.offset;
        if is_word(byte) {
            self.begin_statement(at);
            self.open.push_word(byte);
            return self.take(&[byte]);
        }
        self.open.end_word();
        if self.at_delimiter_command(byte) {
            return self.take(&[byte]);
        }
        if self.start.is_none() && matches!(byte, b'-' | b'/') {
            self.head.clear();
        }
        match byte {
            _ if byte.is_ascii_whitespace() => {}
            b'-' => self.state = State::Dash { start: at, two: false },
            b'/' if self.in_version && self.last == b'*' => self.in_version = false,
            b'/' => self.state = State::Slash { start: at },
            b'#' => {
                self.line.clear();
                let alone = self.start.is_none();
                self.state = State::LineComment { start: at, alone };
            }
            b'\'' | b'"' | b'`' => {
                self.begin_statement(at);
                self.open.symbol();
                self.state = State::Quoted {
                    quote: byte,
                    escaped: false,
                };
            }
            b'(' => {
                self.begin_statement(at);
                self.open.open_paren();
            }
            b')' => self.open.close_paren(),
            _ => {
                self.begin_statement(at);
                self.open.symbol();
            }
        }
        self.take(&[byte]);
    }

    fn begin_statement(&mut self, start: u64) {
        if self.start.is_some() {
            return;
        }
        self.start = Some(start);
        self.open.clear();
        // What a dash or a slash began has been collected meanwhile.
        if self.offset == start {
            self.head.clear();
        }
    }

    /// Whether bytes belong to a statement, or may turn out to.
    fn collects(&self) -> bool {
        self.open_statement().is_some() || self.is_dash()
    }

    /// Whether the first word of a line is the clients' own `DELIMITER`.
    fn at_delimiter_command(&mut self, byte: u8) -> bool {
        if self.start.is_none() || !self.open.is_delimiter_command() || !byte.is_ascii_whitespace() {
            return false;
        }
        self.start = None;
        self.open.clear();
        self.line.clear();
        self.state = State::DelimiterLine;
        if byte == b'\n' {
            self.end_delimiter_line();
        }
        true
    }

    fn end_delimiter_line(&mut self) {
        let text = self.line.trim_ascii();
        let end = text.iter().position(u8::is_ascii_whitespace).unwrap_or(text.len());
        let delimiter = &text[..end];
        if !delimiter.is_empty() && delimiter.len() <= DELIMITER_BYTES_MAX && !delimiter.contains(&b'\\') {
            self.delimiter = delimiter.to_vec();
        }
        self.state = State::Plain;
    }

    fn end_comment(&mut self, start: u64, alone: bool, visitor: &mut impl Visitor) {
        self.state = State::Plain;
        if alone {
            let text = self.line.trim_ascii();
            visitor.comment(start, text);
        }
    }

    fn end_statement(&mut self, text_end: u64, visitor: &mut impl Visitor) {
        self.in_version = false;
        let Some(start) = self.start.take() else { return };
        if let Some(escapes) = self.open.backslash_escapes(&self.head) {
            self.backslash_escapes = escapes;
        }
        let text_bytes = usize::try_from(text_end - start).unwrap_or(usize::MAX);
        let head = &self.head[..self.head.len().min(text_bytes)];
        visitor.statement(&Statement {
            start,
            text_end,
            end: self.offset,
            lead: self.open.lead(),
            head,
            rows: self.open.rows(),
        });
        self.open.clear();
    }
}
