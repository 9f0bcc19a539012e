//! Parts of a backup's plaintext: where they lie, by its index or else by reading it all, and their bytes.

use std::io::Read;
use std::ops::{ControlFlow, Range};
use std::sync::Arc;

use super::Run;
use super::ls::{IndexItem, read_index};
use super::plaintext::{Plaintext, stored_data};
use crate::base::failure::{Failure, Kind, Result};
use crate::catalog::index::MemberRun;
use crate::catalog::selection::Chosen;
use crate::pipeline::download::DownloadOptions;
use crate::pipeline::ranges::RangesReader;
use crate::source::detect::{Content, sql_dialect};
use crate::source::directory::scan_archive;
use crate::source::script::scan_dump;
use crate::store::Store;

/// How much of what nobody wants is passed over at a time, in bytes.
const SKIP_BYTES: usize = 256 * 1024;

/// What is said of an adopted backup of which a part is wanted.
pub(super) const NOT_RANGED: &str =
    "Its stream is not cut into members, so the whole backup is read to find what is wanted.";

/// A backup of which parts are wanted.
#[derive(Clone, Copy)]
pub struct Backup<'a> {
    /// Where it is.
    pub store: &'a Arc<dyn Store>,
    /// Which it is.
    pub chosen: &'a Chosen,
    /// Threads that inflate.
    pub threads: usize,
    /// The run that asks.
    pub run: &'a Run,
}

/// Where what is inside a backup is learned from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum From {
    /// Its index.
    Index,
    /// All of its data, which is read once for that.
    Data,
}

impl Backup<'_> {
    /// Asks `collect` for what is wanted: by the index if there is a good one, else, with a remark, by all of the data.
    ///
    /// # Errors
    /// Those of `collect`, and whatever keeps the backup from being read.
    pub fn locate<T>(&self, remarks: &mut Vec<String>, collect: impl Fn(From) -> Result<T>) -> Result<(T, From)> {
        if let Some(manifest) = &self.chosen.manifest {
            if !manifest.is_ranged() {
                remarks.push(NOT_RANGED.to_owned());
                return collect(From::Data).map(|found| (found, From::Data));
            }
            match collect(From::Index) {
                Ok(found) => return Ok((found, From::Index)),
                Err(failure) if is_index_trouble(&failure) => remarks.push(format!(
                    "The index cannot be used, so the whole backup is read to find what is wanted: {failure}."
                )),
                Err(failure) => return Err(failure),
            }
        }
        collect(From::Data).map(|found| (found, From::Data))
    }

    /// Visits what is inside, in the order of the plaintext; by the index also where the members lie.
    ///
    /// # Errors
    /// [`Kind::NotFound`] and [`Kind::Damaged`] if the index is lost or damaged; [`Kind::Usage`] if the data is of a kind
    /// of which nobody knows what is inside; the visitor's own.
    pub fn visit(&self, from: From, visit: &mut dyn FnMut(IndexItem) -> Result<ControlFlow<()>>) -> Result<()> {
        match from {
            From::Index => read_index(self.store, self.chosen, self.run, visit),
            From::Data => {
                let (mut plaintext, content) = Plaintext::open(self.store, self.chosen, self.threads, self.run)?;
                let mut visit = |entry| visit(IndexItem::Entry(entry));
                match content {
                    Content::Tar => scan_archive(&mut plaintext, &mut visit)?,
                    Content::Sql => {
                        let dialect = sql_dialect(plaintext.head());
                        scan_dump(&mut plaintext, dialect, &mut visit)?;
                    }
                    content => {
                        return Err(Failure::new(
                            Kind::Usage,
                            format!(
                                "`{}` is {}, of which single parts cannot be found without an index",
                                self.chosen.found.id,
                                content.describe()
                            ),
                        )
                        .hint("Restore the whole backup instead"));
                    }
                }
                Ok(())
            }
        }
    }

    /// A reader of these ranges of the plaintext, one after the other.
    ///
    /// # Errors
    /// As [`RangesReader::new`] and [`Plaintext::open`]; without an index, if the ranges are not in order.
    pub fn open(&self, from: From, runs: &[MemberRun], ranges: Vec<Range<u64>>) -> Result<Parts> {
        match from {
            From::Index => open_ranges(self, runs, ranges).map(|reader| Parts::Ranges(Box::new(reader))),
            From::Data => {
                if ranges.windows(2).any(|two| two[1].start < two[0].end) {
                    return Err(Failure::new(
                        Kind::Unsupported,
                        "What is wanted stands in another order in the backup, and cannot be had without an index",
                    )
                    .hint("Restore into a folder instead"));
                }
                let (plaintext, _) = Plaintext::open(self.store, self.chosen, self.threads, self.run)?;
                Ok(Parts::Whole(Box::new(Picked {
                    plaintext,
                    at: 0,
                    wanted: ranges
                        .into_iter()
                        .filter(|range| !range.is_empty())
                        .collect::<Vec<_>>()
                        .into_iter(),
                    range: 0..0,
                })))
            }
        }
    }
}

/// A reader of the ranges alone, which an index has told.
///
/// # Errors
/// As [`RangesReader::new`].
pub(super) fn open_ranges(backup: &Backup<'_>, runs: &[MemberRun], ranges: Vec<Range<u64>>) -> Result<RangesReader> {
    RangesReader::new(
        backup.store.clone(),
        &stored_data(backup.chosen, backup.run)?,
        runs,
        ranges,
        &DownloadOptions::default(),
        backup.threads,
        backup.run.cancel.clone(),
        backup.run.reporter.clone(),
    )
}

/// A selection that matches nothing is the user's; a lost or damaged index is not needed for the data.
pub(super) fn is_index_trouble(failure: &Failure) -> bool {
    failure.kind() == Kind::Damaged || (failure.kind() == Kind::NotFound && failure.message().contains("has no index"))
}

/// The wanted parts of a plaintext.
pub enum Parts {
    /// Only they are fetched.
    Ranges(Box<RangesReader>),
    /// Everything is fetched, and they are picked out.
    Whole(Box<Picked>),
}

impl Parts {
    /// Reads what is left and checks it: every member by itself, or the whole backup with its manifest.
    ///
    /// # Errors
    /// [`Kind::Damaged`].
    pub fn verify(&mut self) -> Result<()> {
        match self {
            // Every member that was read has been compared with its own checksum.
            Self::Ranges(_) => Ok(()),
            Self::Whole(picked) => picked.plaintext.verify(),
        }
    }
}

impl Read for Parts {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        match self {
            Self::Ranges(reader) => reader.read(buffer),
            Self::Whole(picked) => picked.read(buffer),
        }
    }
}

/// Ranges picked out of the whole plaintext.
pub struct Picked {
    plaintext: Plaintext,
    at: u64,
    wanted: std::vec::IntoIter<Range<u64>>,
    range: Range<u64>,
}

impl Read for Picked {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        if buffer.is_empty() {
            return Ok(0);
        }
        if self.range.is_empty() {
            match self.wanted.next() {
                Some(range) => self.range = range,
                None => return Ok(0),
            }
        }
        let mut skipped = Vec::new();
        while self.at < self.range.start {
            let left = usize::try_from(self.range.start - self.at).unwrap_or(usize::MAX);
            skipped.resize(left.min(SKIP_BYTES), 0);
            self.at += self.read_some(&mut skipped)? as u64;
        }
        let left = usize::try_from(self.range.end - self.at).unwrap_or(usize::MAX);
        let count = left.min(buffer.len());
        let read = self.read_some(&mut buffer[..count])?;
        self.at += read as u64;
        self.range.start = self.at;
        Ok(read)
    }
}

impl Picked {
    fn read_some(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        loop {
            match self.plaintext.read(buffer) {
                Ok(0) => return Err(std::io::ErrorKind::UnexpectedEof.into()),
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                other => return other,
            }
        }
    }
}
