//! JSON documents on standard output: one for a command, or one for each profile of it.

use std::io::Write;

use serde::Serialize;

use super::{Console, locked, not_json};
use crate::base::failure::{IoContext, Result};

/// How much of a long array is held back before it is written, in bytes.
const ARRAY_TEXT_BYTES: usize = 64 * 1024;

/// How a JSON document is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Form {
    /// Indented.
    #[default]
    Pretty,
    /// In one line.
    Line,
}

/// Writes pieces of an answer to standard output; if nobody reads it any more, that is no failure.
struct Pieces<'a>(&'a Console);

impl Write for Pieces<'_> {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.above_bar(|| {
            let mut stdout = locked(&self.0.inner.stdout);
            if stdout.closed {
                return Ok(bytes.len());
            }
            match stdout.sink.write(bytes) {
                Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => {
                    stdout.closed = true;
                    Ok(bytes.len())
                }
                other => other,
            }
        })
    }

    fn flush(&mut self) -> std::io::Result<()> {
        let mut stdout = locked(&self.0.inner.stdout);
        match stdout.closed {
            true => Ok(()),
            false => stdout.sink.flush(),
        }
    }
}

impl Console {
    /// Prints a command's one JSON document.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn answer_json<T: Serialize>(&self, document: &T) -> Result<()> {
        let text = match self.form {
            Form::Pretty => serde_json::to_string_pretty(document),
            Form::Line => serde_json::to_string(document),
        };
        self.answer(&text.map_err(not_json)?)
    }

    /// Prints a command's one JSON document, an array, item by item: in the same form as [`Console::answer_json`], in
    /// memory for some of them.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn answer_json_array<T: Serialize>(&self, items: &[T]) -> Result<()> {
        self.answer_json_rows(items.iter().map(Ok))
    }

    /// Prints one JSON array whose items come one after the other. After a failure in their midst the array has no end, so
    /// that nobody takes it for whole.
    ///
    /// # Errors
    /// If it cannot be written; the failure among the items.
    pub fn answer_json_rows<T: Serialize>(&self, items: impl Iterator<Item = Result<T>>) -> Result<()> {
        if self.form == Form::Line {
            return self.answer_rows_in_a_line(items);
        }
        let mut text = String::from("[");
        let mut is_empty = true;
        for item in items {
            let item = item?;
            text.push_str(if is_empty { "\n" } else { ",\n" });
            is_empty = false;
            // The end of the line is the next one's beginning, which is not known yet.
            if text.len() >= ARRAY_TEXT_BYTES {
                self.answer(text.trim_end_matches('\n'))?;
                text.clear();
            }
            for (place, line) in serde_json::to_string_pretty(&item)
                .map_err(not_json)?
                .lines()
                .enumerate()
            {
                text.push_str(if place == 0 { "  " } else { "\n  " });
                text.push_str(line);
            }
        }
        match is_empty {
            true => self.answer("[]"),
            false => self.answer(&format!("{text}\n]")),
        }
    }

    fn answer_rows_in_a_line<T: Serialize>(&self, items: impl Iterator<Item = Result<T>>) -> Result<()> {
        let mut pieces = std::io::BufWriter::with_capacity(ARRAY_TEXT_BYTES, Pieces(self));
        let doing = || "write to standard output";
        pieces.write_all(b"[").doing(doing)?;
        for (place, item) in items.enumerate() {
            if place > 0 {
                pieces.write_all(b",").doing(doing)?;
            }
            serde_json::to_writer(&mut pieces, &item?).map_err(not_json)?;
        }
        pieces.write_all(b"]\n").and_then(|()| pieces.flush()).doing(doing)
    }

    /// Prints a command's one JSON document as it comes to be, in memory for a small part of it.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn answer_json_streamed<T: Serialize>(&self, document: &T) -> Result<()> {
        let mut pieces = std::io::BufWriter::with_capacity(ARRAY_TEXT_BYTES, Pieces(self));
        match self.form {
            Form::Pretty => serde_json::to_writer_pretty(&mut pieces, document),
            Form::Line => serde_json::to_writer(&mut pieces, document),
        }
        .map_err(not_json)?;
        pieces
            .write_all(b"\n")
            .and_then(|()| pieces.flush())
            .doing(|| "write to standard output")
    }
}
