//! A statement while it is read: its first words, its parentheses, and what follows from them.

/// Words of a statement kept: `create or replace function` and one more.
const LEAD_WORDS_MAX: usize = 5;

/// Bytes of a word kept: the longest that matters is `standard_conforming_strings`.
const WORD_BYTES_MAX: usize = 32;

/// Statements with a body in standard SQL, whose semicolons do not end the statement.
const FUNCTIONS: &[&str] = &[
    "create function",
    "create procedure",
    "create or replace function",
    "create or replace procedure",
];

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Kind {
    #[default]
    Unknown,
    Copy,
    Insert,
    Other,
}

/// What is known of the statement that is being read.
#[derive(Debug, Default)]
pub struct OpenStatement {
    kind: Kind,
    lead: String,
    words: usize,
    word: Vec<u8>,
    from_seen: bool,
    after_from: bool,
    reads_stdin: bool,
    after_values: bool,
    function: bool,
    parens: u32,
    begins: u32,
    rows: u64,
}

impl OpenStatement {
    /// Begins another statement.
    pub fn clear(&mut self) {
        let (mut lead, mut word) = (std::mem::take(&mut self.lead), std::mem::take(&mut self.word));
        lead.clear();
        word.clear();
        *self = Self {
            lead,
            word,
            ..Self::default()
        };
    }

    /// The first words outside of quotes, in lower case, with single spaces.
    #[must_use]
    pub fn lead(&self) -> &str {
        &self.lead
    }

    /// Whether it is a `COPY` whose rows follow.
    #[must_use]
    pub fn reads_stdin(&self) -> bool {
        self.reads_stdin
    }

    /// How many rows an `INSERT … VALUES` has; 0 for other statements.
    #[must_use]
    pub fn rows(&self) -> u64 {
        match self.kind {
            Kind::Insert => self.rows.max(1),
            _ => 0,
        }
    }

    /// Whether a word has begun.
    #[must_use]
    pub fn in_word(&self) -> bool {
        !self.word.is_empty()
    }

    /// Adds a byte to the word, or begins one.
    pub fn push_word(&mut self, byte: u8) {
        if self.word.len() < WORD_BYTES_MAX {
            self.word.push(byte.to_ascii_lowercase());
        }
    }

    /// A name in quotes stands here.
    pub fn quoted_name(&mut self) {
        self.after_from = false;
    }

    /// An opening parenthesis stands here.
    pub fn open_paren(&mut self) {
        self.rows += u64::from(self.parens == 0 && self.after_values);
        self.parens = self.parens.saturating_add(1);
    }

    /// A closing parenthesis stands here.
    pub fn close_paren(&mut self) {
        self.parens = self.parens.saturating_sub(1);
    }

    /// Whether a semicolon here ends the statement.
    #[must_use]
    pub fn ends_at_semicolon(&self) -> bool {
        self.parens == 0 && self.begins == 0
    }

    /// Whether further words can change what the statement is.
    #[must_use]
    pub fn wants_words(&self) -> bool {
        self.words < LEAD_WORDS_MAX
            || self.function
            || self.kind == Kind::Copy
            || (self.kind == Kind::Insert && !self.after_values)
    }

    /// The word has ended.
    pub fn end_word(&mut self) {
        let mut word = std::mem::take(&mut self.word);
        if self.words == 0 {
            self.kind = match word.as_slice() {
                b"copy" => Kind::Copy,
                b"insert" => Kind::Insert,
                _ => Kind::Other,
            };
        }
        if self.words < LEAD_WORDS_MAX {
            if !self.lead.is_empty() {
                self.lead.push(' ');
            }
            self.lead.push_str(&String::from_utf8_lossy(&word));
            self.function = FUNCTIONS.iter().any(|begin| self.lead.starts_with(begin));
        }
        self.words += 1;
        if self.parens == 0 {
            match self.kind {
                Kind::Copy => {
                    // Only what stands behind the first one names the source; a condition may have others.
                    self.reads_stdin |= self.after_from && word == b"stdin";
                    self.after_from = !self.from_seen && word == b"from";
                    self.from_seen |= self.after_from;
                }
                Kind::Insert => self.after_values |= word == b"values",
                _ => {}
            }
            match word.as_slice() {
                b"begin" if self.function => self.begins += 1,
                b"case" if self.function && self.begins > 0 => self.begins += 1,
                b"end" if self.function => self.begins = self.begins.saturating_sub(1),
                _ => {}
            }
        }
        word.clear();
        self.word = word;
    }
}
