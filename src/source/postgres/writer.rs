//! Passes a plain SQL dump on into a sink, with a member for each table and an index entry for each object, and judges its end.

use super::ending::{Ending, Flavour};
use super::lexer::{Lexer, Statement, Visitor};
use super::outline::Outline;
use crate::base::failure::{Result, from_io};
use crate::base::report::Progress;
use crate::catalog::index::EntryKind;
use crate::source::SourceSink;

/// Two that follow the same script.
#[derive(Debug, Default)]
pub struct Watch {
    /// Its tables.
    pub outline: Outline,
    /// Its end.
    pub ending: Ending,
}

impl Visitor for Watch {
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

/// What a dump turned out to hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DumpSummary {
    /// Tables with data, or with a place for it.
    pub tables: u64,
    /// Rows in them.
    pub rows: u64,
    /// Why the dump is not whole; `None` if it is.
    pub fault: Option<String>,
}

/// Between a dump and a sink. What could still turn out to be the header of a table is held back, a few lines at most.
pub struct DumpWriter<'a> {
    sink: &'a mut dyn SourceSink,
    progress: &'a Progress,
    base: u64,
    written: u64,
    last_cut: Option<u64>,
    held: Vec<u8>,
    lexer: Lexer,
    watch: Watch,
}

impl<'a> DumpWriter<'a> {
    /// A dump that begins at the sink's position.
    pub fn new(sink: &'a mut dyn SourceSink, progress: &'a Progress) -> Self {
        Self {
            base: sink.position(),
            sink,
            progress,
            written: 0,
            last_cut: None,
            held: Vec::new(),
            lexer: Lexer::default(),
            watch: Watch::default(),
        }
    }

    /// Says who writes it, so that the end marker is missed even if not so much as the header came.
    #[must_use]
    pub fn by(mut self, flavour: Flavour) -> Self {
        self.watch.ending = Ending::of(flavour);
        self
    }

    /// Passes the next bytes on.
    ///
    /// # Errors
    /// If the sink fails.
    pub fn write(&mut self, bytes: &[u8]) -> Result<()> {
        self.lexer.scan(bytes, &mut self.watch);
        let mut rest = bytes;
        self.pass_marks(&mut rest)?;
        let (offset, open_line) = (self.lexer.offset(), self.lexer.open_line());
        let settled = self
            .watch
            .outline
            .unsettled(offset, open_line)
            .or(open_line)
            .unwrap_or(offset);
        self.pass(settled, &mut rest)?;
        self.held.extend_from_slice(rest);
        if let Some(table) = self.watch.outline.take_started() {
            self.progress.set_current(&table);
        }
        Ok(())
    }

    /// Passes on what was held back, and says what the dump was.
    ///
    /// # Errors
    /// If the sink fails.
    pub fn finish(mut self) -> Result<DumpSummary> {
        self.lexer.finish(&mut self.watch);
        let end = self.lexer.offset();
        self.watch.outline.finish(end);
        let mut rest: &[u8] = &[];
        self.pass_marks(&mut rest)?;
        self.pass(end, &mut rest)?;
        Ok(DumpSummary {
            tables: self.watch.outline.tables(),
            rows: self.watch.outline.rows(),
            fault: self.watch.ending.fault(&self.lexer),
        })
    }

    fn pass_marks(&mut self, rest: &mut &[u8]) -> Result<()> {
        for mark in self.watch.outline.take_marks() {
            self.pass(mark.offset, rest)?;
            if mark.cut && self.last_cut != Some(self.written) {
                self.sink.cut()?;
                self.last_cut = Some(self.written);
            }
            if let Some(mut entry) = mark.entry {
                entry.offset += self.base;
                self.sink.entry(&entry)?;
                if entry.kind == EntryKind::Table {
                    self.progress.add_item();
                }
            }
        }
        Ok(())
    }

    /// Writes up to an offset, first what is held and then what is new.
    fn pass(&mut self, upto: u64, rest: &mut &[u8]) -> Result<()> {
        let mut wanted = usize::try_from(upto.saturating_sub(self.written)).unwrap_or(usize::MAX);
        if wanted > 0 && !self.held.is_empty() {
            let count = wanted.min(self.held.len());
            write_all(self.sink, &self.held[..count])?;
            self.held.drain(..count);
            self.written += count as u64;
            wanted -= count;
        }
        let count = wanted.min(rest.len());
        if count > 0 {
            write_all(self.sink, &rest[..count])?;
            *rest = &rest[count..];
            self.written += count as u64;
        }
        Ok(())
    }
}

fn write_all(sink: &mut dyn SourceSink, bytes: &[u8]) -> Result<()> {
    sink.write_all(bytes)
        .map_err(|error| from_io("pass the dump on", error))
}
