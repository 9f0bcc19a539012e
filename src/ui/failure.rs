//! How a failure is printed: for people, and as `exit_error` for programs.

use serde::Serialize;

use super::escape::escape_text;
use crate::base::failure::{Failure, Kind};
use crate::base::secret::redact;

/// The words that begin the lines of a message, painted or not.
#[derive(Clone, Copy, Debug)]
pub struct Headings {
    color: bool,
}

impl Headings {
    /// Headings in colour, or plain.
    #[must_use]
    pub fn new(color: bool) -> Self {
        Self { color }
    }

    fn paint(self, word: &str, code: &str) -> String {
        match self.color {
            true => format!("\u{1b}[{code}m{word}:\u{1b}[0m"),
            false => format!("{word}:"),
        }
    }

    /// `Error:` in red.
    #[must_use]
    pub fn error(self) -> String {
        self.paint("Error", "1;31")
    }

    /// `Warning:` in yellow.
    #[must_use]
    pub fn warning(self) -> String {
        self.paint("Warning", "1;33")
    }

    /// `Caused by:` in bold.
    #[must_use]
    pub fn cause(self) -> String {
        self.paint("Caused by", "1")
    }

    /// `Hint:` in cyan.
    #[must_use]
    pub fn hint(self) -> String {
        self.paint("Hint", "1;36")
    }
}

/// What came from outside, without secrets and without control characters.
#[must_use]
pub fn clean(text: &str) -> String {
    escape_text(&redact(text)).into_owned()
}

/// The lines of a failure for people: `Error:`, `Caused by:`, `Hint:`; ends with a line end.
///
/// A run that was done but is incomplete begins with `Warning:`.
#[must_use]
pub fn render(failure: &Failure, headings: Headings) -> String {
    let heading = match failure.kind() {
        Kind::Incomplete => headings.warning(),
        _ => headings.error(),
    };
    let mut lines = vec![format!("{heading} {}", indented(failure.message()))];
    lines.extend(
        failure
            .causes()
            .iter()
            .map(|cause| format!("{} {}", headings.cause(), indented(cause))),
    );
    lines.extend(
        failure
            .hints()
            .iter()
            .map(|hint| format!("{} {}", headings.hint(), indented(hint))),
    );
    lines.push(String::new());
    lines.join("\n")
}

/// Further lines of a text stand under its first.
fn indented(text: &str) -> String {
    clean(text.trim_end()).replace('\n', "\n  ")
}

/// The last line of a run that failed, in restic's vocabulary.
#[derive(Debug, Serialize)]
pub struct ExitError {
    message_type: &'static str,
    code: u8,
    message: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    causes: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    hints: Vec<String>,
}

impl ExitError {
    /// The line for a failure.
    #[must_use]
    pub fn new(failure: &Failure) -> Self {
        Self {
            message_type: "exit_error",
            code: failure.kind().exit_code(),
            message: redact(failure.message()),
            causes: failure.causes().iter().map(|cause| redact(cause)).collect(),
            hints: failure.hints().iter().map(|hint| redact(hint)).collect(),
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn sample() -> Failure {
        Failure::new(Kind::Source, "`pg_dump` failed with exit status 1")
            .caused_by(anyhow::anyhow!(
                "line one\nline \u{1b}[31mtwo of postgres://u:geheim@h/d\n"
            ))
            .context("Could not back up `app`")
            .hint("Look at the server's log")
    }

    #[test]
    fn a_failure_says_what_why_and_what_to_do() {
        assert_eq!(
            render(&sample(), Headings::new(false)),
            "Error: Could not back up `app`\n\
             Caused by: `pg_dump` failed with exit status 1\n\
             Caused by: line one\n  line \\u{1b}[31mtwo of postgres://u:********@h/d\n\
             Hint: Look at the server's log\n"
        );
    }

    #[test]
    fn colour_is_only_in_the_headings() {
        let failure = Failure::new(Kind::Incomplete, "3 files could not be read");
        assert_eq!(
            render(&failure, Headings::new(true)),
            "\u{1b}[1;33mWarning:\u{1b}[0m 3 files could not be read\n"
        );
    }

    #[test]
    fn a_program_gets_one_line_with_the_code() {
        assert_eq!(
            serde_json::to_string(&ExitError::new(&sample())).unwrap(),
            r#"{"message_type":"exit_error","code":1,"message":"Could not back up `app`","causes":["`pg_dump` failed with exit status 1","line one\nline \u001b[31mtwo of postgres://u:********@h/d\n"],"hints":["Look at the server's log"]}"#
        );
        let plain = Failure::new(Kind::NotFound, "No such backup: `x`");
        assert_eq!(
            serde_json::to_string(&ExitError::new(&plain)).unwrap(),
            r#"{"message_type":"exit_error","code":10,"message":"No such backup: `x`"}"#
        );
    }
}
