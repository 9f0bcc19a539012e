//! The index as a file: written line by line while a backup runs, read line by line afterwards.
//!
//! Lines of JSON, gzipped: first `index`, then, in an encrypted backup, what its manifest does not say (`private`, `warning`,
//! `problem`), then `e` (an entry) and `m` (a run of members) as they come, last `end` with the sums. An index without its
//! `end` line is truncated and is not believed.

mod reader;
mod spool;
#[cfg(test)]
mod tests;

use serde::{Deserialize, Serialize};

use super::index::{Entry, MemberRun};
use super::manifest::Problem;
use super::private::PrivateCore;

pub use reader::IndexReader;
pub use spool::{FinishedIndex, IndexSpool};

/// One line of an index.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "t")]
pub enum Line {
    /// The first line.
    #[serde(rename = "index")]
    Index {
        /// Up to [`INDEX_FORMAT`].
        format: u32,
    },
    /// The first of what the manifest of an encrypted backup does not say.
    #[serde(rename = "private")]
    Private(PrivateCore),
    /// A warning of an encrypted backup.
    #[serde(rename = "warning")]
    Warning {
        /// The sentence.
        text: String,
    },
    /// A problem of an encrypted backup.
    #[serde(rename = "problem")]
    Problem(Problem),
    /// An entry.
    #[serde(rename = "e")]
    Entry(Entry),
    /// A run of members.
    #[serde(rename = "m")]
    Members(MemberRun),
    /// The last line.
    #[serde(rename = "end")]
    End {
        /// How many entries there were.
        entries: u64,
        /// How many members there were.
        members: u64,
        /// Their plaintext bytes.
        plain_bytes: u64,
        /// Their stored bytes.
        stored_bytes: u64,
    },
}
