//! Where bytes come from and go back to: directories, PostgreSQL, MySQL and MariaDB, SQLite, commands, standard input.

use std::io::Write;

use serde::{Deserialize, Serialize};

use crate::base::cancel::Cancel;
use crate::base::failure::{Result, from_io};
use crate::base::report::Reporter;
use crate::catalog::index::Entry;
use crate::catalog::manifest::{Counts, Problem, SourceInfo};

/// What a source writes into: plaintext bytes, with marks for the index.
pub trait SourceSink: Write {
    /// How many bytes have been written so far.
    fn position(&self) -> u64;

    /// Begins a new member at this position, so that what follows can be fetched by itself.
    ///
    /// # Errors
    /// If what went before cannot be passed on.
    fn cut(&mut self) -> Result<()>;

    /// Writes what `fill` appends to the vector that it is given, `bytes_max` at most, for which there is room. All of it
    /// belongs together: it is put into one member where it is short enough. If `fill` says no, nothing of it is written.
    ///
    /// # Errors
    /// If what went before, or this, cannot be passed on.
    fn write_together(&mut self, bytes_max: usize, fill: &mut dyn FnMut(&mut Vec<u8>) -> bool) -> Result<()> {
        let mut bytes = Vec::with_capacity(bytes_max);
        match fill(&mut bytes) {
            true => self
                .write_all(&bytes)
                .map_err(|error| from_io("pass on what was read", error)),
            false => Ok(()),
        }
    }

    /// Adds a line to the index.
    ///
    /// # Errors
    /// If the index cannot be spooled.
    fn entry(&mut self, entry: &Entry) -> Result<()>;
}

/// The sink of one of a backup's streams.
pub trait StreamSink: SourceSink + Send {
    /// Ends the stream, whose source has ended well. One that is dropped instead leaves nothing behind, and no backup.
    ///
    /// # Errors
    /// If what is left cannot be passed on.
    fn finish(self: Box<Self>) -> Result<()>;
}

/// Opens the streams of a backup. Nothing of any of them can be seen before the whole source has ended well.
pub trait SourceSinks: Sync {
    /// Opens the stream `number`, from 0 on; the backup's content is that of its streams in the order of their numbers, none
    /// of which is left out. About `expected_bytes` of plaintext go into it, where that is known and more than the others.
    ///
    /// # Errors
    /// If it has been opened before, or cannot be.
    fn open(&self, number: u64, expected_bytes: Option<u64>) -> Result<Box<dyn StreamSink + '_>>;
}

/// What a source needs from its run.
pub struct SourceContext<'a> {
    /// Set when the run has to end; a source that blocks must react to it.
    pub cancel: &'a Cancel,
    /// Who listens.
    pub reporter: &'a dyn Reporter,
}

/// What a source can say before it streams.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Estimate {
    /// Plaintext bytes; `None` if unknown.
    pub plain_bytes: Option<u64>,
    /// Files or tables; `None` if unknown.
    pub items: Option<u64>,
}

/// Counts what a source holds; ends early, with anything, once it is cancelled.
pub type Count = Box<dyn FnOnce(&Cancel) -> Estimate + Send>;

/// A source of which something is known without counting.
pub struct Bounded {
    /// About how many plaintext bytes there can be at most.
    pub plain_bytes_max: u64,
    /// Counts, while the source is read.
    pub count: Count,
}

/// What something to look into is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Topic {
    /// The programs that dump, beside the server's version.
    Tools,
    /// What the account may see, or which files can be read.
    Rights,
    /// Whether everything will be of one moment.
    Consistency,
    /// What is left out as the user asked.
    Selection,
}

/// Something to look into that is known before the first byte.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Concern {
    /// What it is about.
    pub topic: Topic,
    /// A full sentence with a stop.
    pub text: String,
}

/// The verdict of a source that ended well; there is no verdict for one that did not, only a failure.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SourceReport {
    /// Items that are missing from the backup or are not as they were; any makes the backup partial.
    pub problems: Vec<Problem>,
    /// How many problems there were in all; `problems` keeps the first of them.
    pub problem_count: u64,
    /// What the user should look into.
    pub warnings: Vec<String>,
    /// Files, tables and rows, where known.
    pub counts: Counts,
}

/// Something that can be backed up.
///
/// The order of calls is: [`Source::prepare`], then the other questions, then [`Source::stream`] once.
pub trait Source: Send {
    /// Checks everything that can be checked before the first byte: existence, tools, versions, credentials.
    ///
    /// # Errors
    /// Whatever would make the backup fail later.
    fn prepare(&mut self, context: &SourceContext<'_>) -> Result<()>;

    /// What is recorded about the source in the manifest. No secret.
    fn info(&self) -> SourceInfo;

    /// The extension of the plaintext: `tar`, `sql`, `dump`.
    fn extension(&self) -> &str;

    /// How much there will be, as far as can be told cheaply.
    ///
    /// # Errors
    /// If the question itself fails in a way that would fail the backup.
    fn estimate(&mut self, context: &SourceContext<'_>) -> Result<Estimate>;

    /// What is known without looking at everything; `None` if [`Source::estimate`] tells as soon, or nothing is known.
    fn bounded(&self) -> Option<Bounded> {
        None
    }

    /// What the user should look into that is known before the first byte, for those who look before they run.
    ///
    /// # Errors
    /// [`crate::base::failure::Kind::Interrupted`].
    fn concerns(&mut self, _context: &SourceContext<'_>) -> Result<Vec<Concern>> {
        Ok(Vec::new())
    }

    /// What a run takes beside time, each in a sentence, for those who look before they run.
    fn remarks(&self) -> Vec<String> {
        Vec::new()
    }

    /// How many streams are open at the same time at most; their memory is shared out among so many.
    fn streams_at_once(&self) -> usize {
        1
    }

    /// Writes everything into as many streams as it takes, of which most sources have one.
    ///
    /// # Errors
    /// As [`Source::stream`]; then no stream is kept.
    fn stream_all(&mut self, sinks: &dyn SourceSinks, context: &SourceContext<'_>) -> Result<SourceReport> {
        stream_one(self, sinks, context)
    }

    /// Writes everything into the sink, then judges the end: exit status, end marker, more than nothing read.
    ///
    /// # Errors
    /// Anything but a proven good end. The caller then poisons the upload.
    fn stream(&mut self, sink: &mut dyn SourceSink, context: &SourceContext<'_>) -> Result<SourceReport>;
}

/// Writes a source into the only stream of its backup.
///
/// # Errors
/// As [`Source::stream`].
fn stream_one<S: Source + ?Sized>(
    source: &mut S,
    sinks: &dyn SourceSinks,
    context: &SourceContext<'_>,
) -> Result<SourceReport> {
    let mut sink = sinks.open(0, None)?;
    let report = source.stream(sink.as_mut(), context)?;
    context.cancel.check()?;
    sink.finish()?;
    Ok(report)
}

pub mod command;
mod command_line;
pub mod content;
pub mod dated;
pub mod detect;
pub mod directory;
mod dump_writer;
pub mod mysql;
pub mod postgres;
pub mod scratch;
pub mod script;
pub mod sqlite;
pub mod stdin;
#[cfg(test)]
pub(crate) mod testing;
mod url_text;
