//! Just enough of Rust's grammar to tell code from comments and strings.

/// A word or a sign of the code, with its line from 1. `::` is one sign; literals of text are left out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Token<'a> {
    pub(super) text: &'a str,
    pub(super) line: usize,
}

/// Whether a token is an identifier, a keyword or a number.
pub(super) fn is_word(text: &str) -> bool {
    text.starts_with(|c: char| c.is_alphanumeric() || c == '_')
}

/// Splits a text into tokens. Anything that is not Rust gives some tokens too: the compiler is there to complain.
pub(super) fn tokens_of(text: &str) -> Vec<Token<'_>> {
    let mut tokens = Vec::new();
    let mut rest = text;
    let mut line = 1;
    while let Some(first) = rest.chars().next() {
        let skipped = comment(rest).or_else(|| literal(rest));
        let length = match skipped {
            Some(length) => length,
            None if is_word(rest) => {
                let length = word(rest);
                tokens.push(Token {
                    text: &rest[..length],
                    line,
                });
                length
            }
            None if first.is_whitespace() => first.len_utf8(),
            None => {
                let length = if rest.starts_with("::") { 2 } else { first.len_utf8() };
                tokens.push(Token {
                    text: &rest[..length],
                    line,
                });
                length
            }
        };
        line += rest[..length].matches('\n').count();
        rest = &rest[length..];
    }
    tokens
}

fn word(rest: &str) -> usize {
    rest.find(|c: char| !(c.is_alphanumeric() || c == '_'))
        .unwrap_or(rest.len())
}

fn comment(rest: &str) -> Option<usize> {
    if rest.starts_with("//") {
        return Some(rest.find('\n').unwrap_or(rest.len()));
    }
    if !rest.starts_with("/*") {
        return None;
    }
    let mut depth = 0;
    let mut at = 0;
    while at < rest.len() {
        if rest[at..].starts_with("/*") {
            depth += 1;
            at += 2;
        } else if rest[at..].starts_with("*/") {
            depth -= 1;
            at += 2;
            if depth == 0 {
                return Some(at);
            }
        } else {
            at += rest[at..].chars().next().map_or(1, char::len_utf8);
        }
    }
    Some(rest.len())
}

fn literal(rest: &str) -> Option<usize> {
    let prefix = word(rest);
    // A word directly before a quote belongs to it if it is one of these; else it is a word of its own.
    if !matches!(&rest[..prefix], "" | "b" | "c" | "r" | "br" | "cr") {
        return None;
    }
    let body = &rest[prefix..];
    if rest[..prefix].ends_with('r') {
        let hashes = body.len() - body.trim_start_matches('#').len();
        if body[hashes..].starts_with('"') {
            let end = format!("\"{}", "#".repeat(hashes));
            let from = hashes + 1;
            let length = body[from..].find(&end).map_or(body.len(), |at| from + at + end.len());
            return Some(prefix + length);
        }
        // `r#type` is a word whose sign does not matter here.
        return (prefix == 1 && hashes == 1).then_some(2);
    }
    if body.starts_with('"') {
        return Some(prefix + quoted(body, '"'));
    }
    if body.starts_with('\'') && matches!(&rest[..prefix], "" | "b") {
        let mut chars = body[1..].chars();
        return match (chars.next(), chars.next()) {
            (Some('\\'), _) | (Some(_), Some('\'')) => Some(prefix + quoted(body, '\'')),
            // A lifetime or a label: its name is no word of interest.
            _ => Some(prefix + 1 + word(&body[1..])),
        };
    }
    None
}

/// The length of a text in quotes, both included.
fn quoted(body: &str, quote: char) -> usize {
    let mut escaped = false;
    for (at, c) in body.char_indices().skip(1) {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            c if c == quote => return at + 1,
            _ => {}
        }
    }
    body.len()
}
