//! Passes a plain SQL dump on into a sink, with a member for each table and an index entry for each object, and judges its end.

use super::SourceSink;
use crate::base::failure::{Result, from_io};
use crate::base::report::Progress;
use crate::catalog::index::{Entry, EntryKind};

/// How much of a program's output is read at once, in bytes: several pipes full.
pub const READ_BYTES: usize = 256 * 1024;

/// A place in the dump at which something begins or ends.
#[derive(Debug)]
pub struct Mark {
    /// Bytes from the beginning of the dump.
    pub offset: u64,
    /// Whether a member begins here.
    pub cut: bool,
    /// The line of the index of what ends here.
    pub entry: Option<Entry>,
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

/// Who reads a dump of one kind while it passes.
pub trait Watch {
    /// Reads the next bytes.
    fn scan(&mut self, bytes: &[u8]);
    /// The place up to which nothing can become a mark any more.
    fn settled(&self) -> u64;
    /// The marks found since the last call, in order.
    fn take_marks(&mut self) -> Vec<Mark>;
    /// The last table that has begun since the last call.
    fn take_started(&mut self) -> Option<String>;
    /// Takes the end of the dump into account and returns where it lies.
    fn finish(&mut self) -> u64;
    /// What there was, once it has come to its end.
    fn summary(&self) -> DumpSummary;
}

/// Between a dump and a sink. What could still turn out to be the header of a table is held back, a few lines at most.
pub struct DumpWriter<'a, W> {
    sink: &'a mut dyn SourceSink,
    progress: &'a Progress,
    base: u64,
    written: u64,
    last_cut: Option<u64>,
    held: Vec<u8>,
    watch: W,
}

impl<'a, W: Watch> DumpWriter<'a, W> {
    /// A dump that begins at the sink's position and is read by `watch` while it passes.
    pub fn new(sink: &'a mut dyn SourceSink, progress: &'a Progress, watch: W) -> Self {
        Self {
            base: sink.position(),
            sink,
            progress,
            written: 0,
            last_cut: None,
            held: Vec::new(),
            watch,
        }
    }

    /// Passes the next bytes on.
    ///
    /// # Errors
    /// If the sink fails.
    pub fn write(&mut self, bytes: &[u8]) -> Result<()> {
        self.watch.scan(bytes);
        let mut rest = bytes;
        self.pass_marks(&mut rest)?;
        self.pass(self.watch.settled(), &mut rest)?;
        self.held.extend_from_slice(rest);
        if let Some(table) = self.watch.take_started() {
            self.progress.set_current(&table);
        }
        Ok(())
    }

    /// Passes on what was held back, and says what the dump was.
    ///
    /// # Errors
    /// If the sink fails.
    pub fn finish(mut self) -> Result<DumpSummary> {
        let end = self.watch.finish();
        let mut rest: &[u8] = &[];
        self.pass_marks(&mut rest)?;
        self.pass(end, &mut rest)?;
        Ok(self.watch.summary())
    }

    fn pass_marks(&mut self, rest: &mut &[u8]) -> Result<()> {
        for mark in self.watch.take_marks() {
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
