//! Where bytes come from and go back to: directories, PostgreSQL, MySQL and MariaDB, commands, standard input.

use std::io::Write;

use serde::{Deserialize, Serialize};

use crate::base::cancel::Cancel;
use crate::base::failure::Result;
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

    /// Adds a line to the index.
    ///
    /// # Errors
    /// If the index cannot be spooled.
    fn entry(&mut self, entry: &Entry) -> Result<()>;
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

    /// Writes everything into the sink, then judges the end: exit status, end marker, more than nothing read.
    ///
    /// # Errors
    /// Anything but a proven good end. The caller then poisons the upload.
    fn stream(&mut self, sink: &mut dyn SourceSink, context: &SourceContext<'_>) -> Result<SourceReport>;
}

pub mod command;
mod command_line;
mod content;
pub mod detect;
pub mod directory;
mod dump_writer;
pub mod mysql;
pub mod postgres;
pub mod script;
pub mod stdin;
#[cfg(test)]
pub(crate) mod testing;
mod url_text;
