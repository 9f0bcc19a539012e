//! Text from outside, made harmless for a terminal.

use std::borrow::Cow;

/// Whether a character could move the cursor, ring, or turn the reading direction around.
fn is_unsafe(c: char) -> bool {
    c.is_control() || matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// A text for one line: every control character is shown as its escape (`\n`, `\u{1b}`).
#[must_use]
pub fn escape_line(text: &str) -> Cow<'_, str> {
    escape(text, |_| false)
}

/// A text of several lines: line ends and tabs stay, other control characters are shown as their escapes.
#[must_use]
pub fn escape_text(text: &str) -> Cow<'_, str> {
    escape(text, |c| matches!(c, '\n' | '\t'))
}

fn escape(text: &str, allowed: impl Fn(char) -> bool) -> Cow<'_, str> {
    if !text.chars().any(|c| is_unsafe(c) && !allowed(c)) {
        return Cow::Borrowed(text);
    }
    let mut safe = String::with_capacity(text.len() + 8);
    for c in text.chars() {
        if is_unsafe(c) && !allowed(c) {
            safe.extend(c.escape_default());
        } else {
            safe.push(c);
        }
    }
    Cow::Owned(safe)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_terminal_cannot_be_steered_by_a_file_name() {
        for (text, line) in [
            ("plain Straße 日本", "plain Straße 日本"),
            ("a\u{1b}[2Jb", "a\\u{1b}[2Jb"),
            ("a\rb\nc\td", "a\\rb\\nc\\td"),
            ("\u{7f}\u{9b}31m", "\\u{7f}\\u{9b}31m"),
            ("gpj.\u{202e}exe", "gpj.\\u{202e}exe"),
        ] {
            assert_eq!(escape_line(text), line);
        }
        assert_eq!(escape_text("a\nb\t\u{7}"), "a\nb\t\\u{7}");
    }
}
