//! Reads a dump by `pg_dump` while it passes: its tables and its end.

use super::ending::{Ending, Flavour};
use super::lexer::{Lexer, Statement, Visitor};
use super::outline::Outline;
use crate::source::dump_writer::{DumpSummary, Mark, Watch};

/// Follows a dump from its first byte to its last.
#[derive(Debug, Default)]
pub struct PostgresWatch {
    lexer: Lexer,
    followers: Followers,
}

impl PostgresWatch {
    /// Of a dump of which it is known who writes it, so that its end marker is missed even if not so much as its header came.
    #[must_use]
    pub fn by(flavour: Flavour) -> Self {
        Self {
            followers: Followers {
                ending: Ending::of(flavour),
                ..Followers::default()
            },
            ..Self::default()
        }
    }
}

impl Watch for PostgresWatch {
    fn scan(&mut self, bytes: &[u8]) {
        self.lexer.scan(bytes, &mut self.followers);
    }

    fn settled(&self) -> u64 {
        let (offset, open_line) = (self.lexer.offset(), self.lexer.open_line());
        self.followers
            .outline
            .unsettled(offset, open_line)
            .or(open_line)
            .unwrap_or(offset)
    }

    fn take_marks(&mut self) -> Vec<Mark> {
        self.followers.outline.take_marks()
    }

    fn take_started(&mut self) -> Option<String> {
        self.followers.outline.take_started()
    }

    fn finish(&mut self) -> u64 {
        self.lexer.finish(&mut self.followers);
        let end = self.lexer.offset();
        self.followers.outline.finish(end);
        end
    }

    fn summary(&self) -> DumpSummary {
        DumpSummary {
            tables: self.followers.outline.tables(),
            rows: self.followers.outline.rows(),
            fault: self.followers.ending.fault(&self.lexer),
        }
    }
}

/// Two that follow the same script.
#[derive(Debug, Default)]
struct Followers {
    outline: Outline,
    ending: Ending,
}

impl Visitor for Followers {
    fn comment(&mut self, start: u64, text: &[u8]) {
        self.outline.comment(start, text);
        self.ending.comment(start, text);
    }
    fn command(&mut self, start: u64, text: &[u8]) {
        self.outline.command(start, text);
        self.ending.command(start, text);
    }
    fn statement(&mut self, statement: &Statement<'_>) {
        self.outline.statement(statement);
        self.ending.statement(statement);
    }
    fn copy(&mut self, start: u64, data_end: u64, end: u64, rows: u64) {
        self.outline.copy(start, data_end, end, rows);
        self.ending.copy(start, data_end, end, rows);
    }
}
