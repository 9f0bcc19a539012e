//! A statement while it is read: its first words, its parentheses, and what follows from them.

/// Words of a statement kept.
const LEAD_WORDS_MAX: usize = 6;

/// Bytes of a word kept: the longest that matters is `no_backslash_escapes`.
const WORD_BYTES_MAX: usize = 32;

/// A mode of the server in which a backslash in a text is nothing special.
const NO_ESCAPES: &[u8] = b"NO_BACKSLASH_ESCAPES";

/// What is known of the statement that is being read.
#[derive(Debug, Default)]
pub struct OpenStatement {
    lead: String,
    words: usize,
    word: Vec<u8>,
    is_insert: bool,
    after_values: bool,
    /// Whether something else than words has come.
    mixed: bool,
    parens: u32,
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

    /// How many rows an `INSERT … VALUES` has; 0 for other statements.
    #[must_use]
    pub fn rows(&self) -> u64 {
        if self.is_insert { self.rows.max(1) } else { 0 }
    }

    /// Whether the only word so far is the clients' `DELIMITER`.
    #[must_use]
    pub fn is_delimiter_command(&self) -> bool {
        self.words == 1 && !self.mixed && self.lead == "delimiter"
    }

    /// Whether further words can change what the statement is.
    #[must_use]
    pub fn wants_words(&self) -> bool {
        !self.word.is_empty()
            || if self.is_insert {
                !self.after_values
            } else {
                self.words < LEAD_WORDS_MAX
            }
    }

    /// Adds a byte to the word, or begins one.
    pub fn push_word(&mut self, byte: u8) {
        if self.word.len() < WORD_BYTES_MAX {
            self.word.push(byte.to_ascii_lowercase());
        }
    }

    /// Something else than a word stands here.
    pub fn symbol(&mut self) {
        self.mixed = true;
    }

    /// An opening parenthesis stands here.
    pub fn open_paren(&mut self) {
        self.mixed = true;
        self.rows += u64::from(self.parens == 0 && self.after_values);
        self.parens = self.parens.saturating_add(1);
    }

    /// A closing parenthesis stands here.
    pub fn close_paren(&mut self) {
        self.parens = self.parens.saturating_sub(1);
    }

    /// The word, if there is one, has ended.
    pub fn end_word(&mut self) {
        if self.word.is_empty() {
            return;
        }
        let mut word = std::mem::take(&mut self.word);
        if self.words == 0 {
            self.is_insert = matches!(word.as_slice(), b"insert" | b"replace");
        }
        if self.words < LEAD_WORDS_MAX {
            if !self.lead.is_empty() {
                self.lead.push(' ');
            }
            self.lead.push_str(&String::from_utf8_lossy(&word));
        }
        self.words += 1;
        self.after_values |= self.is_insert && self.parens == 0 && matches!(word.as_slice(), b"values" | b"value");
        word.clear();
        self.word = word;
    }

    /// Whether backslashes escape in texts from here on, if the statement says so.
    #[must_use]
    pub fn backslash_escapes(&self, text: &[u8]) -> Option<bool> {
        let sets_mode = self.lead.starts_with("set") && self.lead.contains("sql_mode");
        sets_mode.then(|| {
            let upper = text.to_ascii_uppercase();
            memchr::memmem::find(&upper, NO_ESCAPES).is_none()
        })
    }
}
