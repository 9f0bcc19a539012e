//! Reads a dump by `mysqldump` or `mariadb-dump` while it passes: its tables and its end.

use super::lexer::Lexer;
use super::outline::Outline;
use crate::source::dump_writer::{DumpSummary, Mark, Watch};

/// Bytes of a dump's end that are kept: the end marker with its date fits many times.
const TAIL_BYTES: usize = 1024;

/// The last line of a whole dump begins with this.
const END_MARKER: &[u8] = b"-- Dump completed";

/// Follows a dump from its first byte to its last.
#[derive(Debug, Default)]
pub struct MysqlWatch {
    lexer: Lexer,
    outline: Outline,
    ending: Ending,
}

impl Watch for MysqlWatch {
    fn scan(&mut self, bytes: &[u8]) {
        self.ending.scan(bytes);
        self.lexer.scan(bytes, &mut self.outline);
    }

    fn settled(&self) -> u64 {
        let (offset, open_line) = (self.lexer.offset(), self.lexer.open_line());
        self.outline
            .unsettled(offset, open_line)
            .or(open_line)
            .unwrap_or(offset)
    }

    fn take_marks(&mut self) -> Vec<Mark> {
        self.outline.take_marks()
    }

    fn take_started(&mut self) -> Option<String> {
        self.outline.take_started()
    }

    fn finish(&mut self) -> u64 {
        self.lexer.finish(&mut self.outline);
        let end = self.lexer.offset();
        self.outline.finish(end);
        end
    }

    fn summary(&self) -> DumpSummary {
        DumpSummary {
            tables: self.outline.tables(),
            rows: self.outline.rows(),
            fault: self.ending.fault(&self.lexer),
        }
    }
}

/// Keeps the end of a dump, which says whether it is whole however confused the rest may be.
#[derive(Debug, Default)]
pub struct Ending {
    bytes: u64,
    tail: Vec<u8>,
}

impl Ending {
    /// Reads the next bytes.
    pub fn scan(&mut self, bytes: &[u8]) {
        self.bytes += bytes.len() as u64;
        let kept = &bytes[bytes.len().saturating_sub(TAIL_BYTES)..];
        let surplus = (self.tail.len() + kept.len()).saturating_sub(TAIL_BYTES);
        self.tail.drain(..surplus);
        self.tail.extend_from_slice(kept);
    }

    /// Why what has been read, by `lexer` too, is not a whole dump; `None` if it is.
    ///
    /// In texts the dumpers write line ends as `\n`, so no row can hold a line that begins with the marker; the bodies of
    /// routines and names can.
    #[must_use]
    pub fn fault(&self, lexer: &Lexer) -> Option<String> {
        if self.bytes == 0 {
            return Some("it is empty".to_owned());
        }
        let last = self.tail.trim_ascii_end().rsplit(|byte| *byte == b'\n').next();
        let is_whole = last.is_some_and(|line| line.starts_with(END_MARKER));
        if !is_whole {
            return Some(format!(
                "its end marker `{}` is missing",
                String::from_utf8_lossy(END_MARKER)
            ));
        }
        lexer.open_body().map(|place| format!("it ends {place}"))
    }
}
