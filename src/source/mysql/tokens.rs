//! The words, names and signs of one statement that lies in memory.

/// What a piece of a statement is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Token {
    /// Letters and digits: a keyword, or a name without quotes.
    Word,
    /// A name in backquotes, or in double quotes, which may be a text too.
    Name,
    /// A text constant.
    Text,
    /// Anything else, one byte each.
    Sign,
}

/// A piece of a statement, with its place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Piece<'a> {
    /// What it is.
    pub kind: Token,
    /// Where it begins, in bytes from the beginning of the statement.
    pub start: usize,
    /// As it stands there, quotes included.
    pub text: &'a [u8],
}

impl Piece<'_> {
    /// Where the byte after it lies.
    #[must_use]
    pub fn end(&self) -> usize {
        self.start + self.text.len()
    }

    /// Whether it is this keyword, in lower case.
    #[must_use]
    pub fn is_word(&self, word: &str) -> bool {
        self.kind == Token::Word && self.text.eq_ignore_ascii_case(word.as_bytes())
    }

    /// Whether it is this sign.
    #[must_use]
    pub fn is_sign(&self, sign: u8) -> bool {
        self.kind == Token::Sign && self.text == [sign]
    }

    /// The name that it is, without quotes, if it can be one.
    #[must_use]
    pub fn name(&self) -> Option<Vec<u8>> {
        match self.kind {
            Token::Word => Some(self.text.to_vec()),
            Token::Name => table_name(self.text),
            Token::Text | Token::Sign => None,
        }
    }
}

/// The pieces of a statement, without white space, comments, and the marks of conditional comments.
pub fn tokens(statement: &[u8]) -> impl Iterator<Item = Piece<'_>> {
    let mut at = 0;
    std::iter::from_fn(move || {
        loop {
            let rest = statement.get(at..).filter(|rest| !rest.is_empty())?;
            let (kind, length) = piece(rest);
            let start = at;
            at += length;
            if let Some(kind) = kind {
                return Some(Piece {
                    kind,
                    start,
                    text: &rest[..length],
                });
            }
        }
    })
}

fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'$') || byte >= 0x80
}

/// What begins here and how long it is; nothing for what is skipped.
fn piece(rest: &[u8]) -> (Option<Token>, usize) {
    let line = || memchr::memchr(b'\n', rest).unwrap_or(rest.len());
    match rest {
        [byte, ..] if byte.is_ascii_whitespace() => (None, 1),
        [b'#', ..] => (None, line()),
        [b'-', b'-'] => (None, 2),
        [b'-', b'-', third, ..] if third.is_ascii_whitespace() => (None, line()),
        [b'/', b'*', b'!', more @ ..] => (None, 3 + digits(more)),
        [b'/', b'*', b'M', b'!', more @ ..] => (None, 4 + digits(more)),
        [b'/', b'*', more @ ..] => {
            let end = memchr::memmem::find(more, b"*/").map_or(rest.len(), |found| found + 4);
            (None, end)
        }
        [b'*', b'/', ..] => (None, 2),
        [quote @ (b'\'' | b'"' | b'`'), more @ ..] => {
            let kind = if *quote == b'\'' { Token::Text } else { Token::Name };
            (Some(kind), 1 + quoted(*quote, more))
        }
        [byte, ..] if is_word(*byte) => {
            let end = rest.iter().position(|byte| !is_word(*byte)).unwrap_or(rest.len());
            (Some(Token::Word), end)
        }
        _ => (Some(Token::Sign), 1),
    }
}

fn digits(text: &[u8]) -> usize {
    text.iter()
        .position(|byte| !byte.is_ascii_digit())
        .unwrap_or(text.len())
}

/// The length of what stands before the closing quote, with that quote; doubled quotes and backslashes are passed over.
fn quoted(quote: u8, text: &[u8]) -> usize {
    let mut at = 0;
    while at < text.len() {
        match text[at] {
            b'\\' if quote != b'`' => at += 2,
            byte if byte == quote && text.get(at + 1) == Some(&quote) => at += 2,
            byte if byte == quote => return at + 1,
            _ => at += 1,
        }
    }
    text.len()
}

/// The name in a quoted text, if that is closed.
#[must_use]
pub fn table_name(quoted: &[u8]) -> Option<Vec<u8>> {
    let (quote, rest) = quoted.split_first().filter(|(quote, _)| matches!(quote, b'`' | b'"'))?;
    let inner = rest.strip_suffix(&[*quote])?;
    let mut name = Vec::with_capacity(inner.len());
    let mut bytes = inner.iter();
    while let Some(byte) = bytes.next() {
        if byte == quote && bytes.next() != Some(quote) {
            return None;
        }
        name.push(*byte);
    }
    Some(name).filter(|name| !name.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_are_told_apart() {
        let statement = "/*!50003 CREATE*/ /* x */ a.`b``c` -- d\n'it''s\\'' (\"e\"), f-- g";
        let shown: Vec<_> = tokens(statement.as_bytes())
            .map(|piece| (piece.kind, std::str::from_utf8(piece.text).unwrap()))
            .collect();
        use Token::{Name, Sign, Text, Word};
        assert_eq!(
            shown,
            [
                (Word, "CREATE"),
                (Word, "a"),
                (Sign, "."),
                (Name, "`b``c`"),
                (Text, "'it''s\\''"),
                (Sign, "("),
                (Name, "\"e\""),
                (Sign, ")"),
                (Sign, ","),
                (Word, "f"),
            ]
        );
        assert_eq!(table_name(b"`b``c`").unwrap(), b"b`c");
        assert_eq!(table_name(b"`b`c`"), None);
        assert_eq!(table_name(b"`b"), None);
        assert_eq!(tokens(b"'never closed").count(), 1);
    }
}
