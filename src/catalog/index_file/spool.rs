//! An index that is being made: lines, compressed and proved as they come, in a temporary file.

use std::io::{Cursor, Read, Write};
use std::os::unix::fs::FileExt;

use libdeflater::{CompressionLvl, Compressor, Decompressor};
use serde::Serialize;

use super::{IndexReader, Line};
use crate::base::failure::{Failure, IoContext, Kind, Result};
use crate::catalog::index::{Entry, EntryKind, INDEX_FORMAT, MemberRun, RawPath};
use crate::catalog::manifest::Problem;
use crate::catalog::private::{Private, PrivateCore};

/// How much of the lines is compressed at a time, as one gzip member of whole lines; a longer line has one of its own.
const MEMBER_PLAIN_BYTES: usize = 1024 * 1024;

/// The format of an index with nothing private, no checksums of members, and an offset in each entry.
pub(super) const FORMAT_PLAIN: u32 = 1;

/// A line as it is written: what it says is borrowed, because there may be a million of them.
#[derive(Serialize)]
#[serde(tag = "t")]
enum LineRef<'a> {
    #[serde(rename = "index")]
    Index { format: u32 },
    #[serde(rename = "private")]
    Private(&'a PrivateCore),
    #[serde(rename = "warning")]
    Warning { text: &'a str },
    #[serde(rename = "problem")]
    Problem(&'a Problem),
    #[serde(rename = "e")]
    Entry(EntryRef<'a>),
    #[serde(rename = "m")]
    Members(&'a MemberRun),
    #[serde(rename = "end")]
    End {
        entries: u64,
        members: u64,
        plain_bytes: u64,
        stored_bytes: u64,
    },
}

/// An [`Entry`] as it is written, without what can be told from the one before it.
#[derive(Serialize)]
pub(super) struct EntryRef<'a> {
    path: &'a RawPath,
    kind: EntryKind,
    #[serde(skip_serializing_if = "Option::is_none")]
    offset: Option<u64>,
    length: u64,
    size: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    mode: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    uid: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    gid: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    user: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    group: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    mtime: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    mtime_nanos: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    link: Option<&'a RawPath>,
    #[serde(skip_serializing_if = "Option::is_none")]
    rows: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    object: Option<&'a str>,
}

impl<'a> EntryRef<'a> {
    /// An entry behind one that ended at `before_end`.
    pub(super) fn new(entry: &'a Entry, before_end: u64) -> Self {
        Self {
            path: &entry.path,
            kind: entry.kind,
            offset: Some(entry.offset).filter(|offset| *offset != before_end),
            length: entry.length,
            size: entry.size,
            mode: entry.mode,
            uid: entry.uid,
            gid: entry.gid,
            user: entry.user.as_deref(),
            group: entry.group.as_deref(),
            mtime: entry.mtime,
            mtime_nanos: Some(entry.mtime_nanos).filter(|nanos| *nanos != 0),
            link: entry.link.as_ref(),
            rows: entry.rows,
            object: entry.object.as_deref(),
        }
    }
}

/// An index that is being made. It lies in a temporary file without a name, so that a million entries cost no memory.
pub struct IndexSpool {
    file: std::fs::File,
    compressor: Compressor,
    checker: Decompressor,
    /// Whole lines that are still to be compressed.
    lines: Vec<u8>,
    stored: Vec<u8>,
    inflated: Vec<u8>,
    file_bytes: u64,
    entries: u64,
    members: u64,
    plain_bytes: u64,
    stored_bytes: u64,
    has_checksums: bool,
    /// Where the last entry ended in the plaintext.
    entries_end: u64,
    leaves_offsets_out: bool,
}

/// A finished index, to be read from its beginning as often as it is stored.
pub struct FinishedIndex {
    /// The lines that were known only at the end and yet stand first.
    head: Vec<u8>,
    file: std::fs::File,
    bytes: u64,
}

impl FinishedIndex {
    /// Its length in bytes.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Reads it from its beginning; several readers do not disturb each other.
    #[must_use]
    pub fn reader(&self) -> impl Read + '_ {
        Cursor::new(&self.head).chain(FromStart {
            file: &self.file,
            at: 0,
        })
    }
}

/// Reads a file from its start, whoever else reads it.
struct FromStart<'a> {
    file: &'a std::fs::File,
    at: u64,
}

impl Read for FromStart<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let count = self.file.read_at(buffer, self.at)?;
        self.at += count as u64;
        Ok(count)
    }
}

impl IndexSpool {
    /// Begins an index.
    ///
    /// # Errors
    /// If the temporary file cannot be made.
    pub fn create() -> Result<Self> {
        let file = tempfile::tempfile().doing(|| "make a temporary file for the index")?;
        Ok(Self {
            file,
            compressor: Compressor::new(CompressionLvl::default()),
            checker: Decompressor::new(),
            lines: Vec::new(),
            stored: Vec::new(),
            inflated: Vec::new(),
            file_bytes: 0,
            entries: 0,
            members: 0,
            plain_bytes: 0,
            stored_bytes: 0,
            has_checksums: false,
            entries_end: 0,
            leaves_offsets_out: false,
        })
    }

    fn write(&mut self, line: &LineRef<'_>) -> Result<()> {
        let before = self.lines.len();
        push_line(&mut self.lines, line)?;
        if self.lines.len() > MEMBER_PLAIN_BYTES && before > 0 {
            self.write_member(before)?;
        }
        Ok(())
    }

    /// Writes the first `plain_bytes` of the lines at hand down.
    fn write_member(&mut self, plain_bytes: usize) -> Result<()> {
        let lines = std::mem::take(&mut self.lines);
        let stored_bytes = self.make_member(&lines[..plain_bytes])?;
        self.lines = lines;
        self.file
            .write_all(&self.stored[..stored_bytes])
            .doing(|| "write the index to a temporary file")?;
        self.file_bytes += stored_bytes as u64;
        self.lines.drain(..plain_bytes);
        Ok(())
    }

    /// Compresses lines into the start of `self.stored`, and proves that they can be read back.
    fn make_member(&mut self, plain: &[u8]) -> Result<usize> {
        let fault = || {
            Failure::new(
                Kind::Failed,
                "A codec or memory fault: the index does not inflate to what it was",
            )
            .hint("Test this machine's memory, then run the backup again")
        };
        let bound = self.compressor.gzip_compress_bound(plain.len());
        if self.stored.len() < bound {
            self.stored.resize(bound, 0);
        }
        if self.inflated.len() < plain.len() {
            self.inflated.resize(plain.len(), 0);
        }
        let stored_bytes = self
            .compressor
            .gzip_compress(plain, &mut self.stored)
            .map_err(|error| fault().caused_by(error))?;
        let stored = &self.stored[..stored_bytes];
        let inflated_bytes = self
            .checker
            .gzip_decompress(stored, &mut self.inflated[..plain.len()])
            .map_err(|error| fault().caused_by(error))?;
        if self.inflated[..inflated_bytes] != *plain {
            return Err(fault());
        }
        Ok(stored_bytes)
    }

    /// Adds an entry.
    ///
    /// # Errors
    /// If the temporary file cannot be written.
    pub fn entry(&mut self, entry: &Entry) -> Result<()> {
        self.entries += 1;
        let line = EntryRef::new(entry, self.entries_end);
        self.leaves_offsets_out |= line.offset.is_none();
        self.entries_end = entry.range().end;
        self.write(&LineRef::Entry(line))
    }

    /// Adds a run of members.
    ///
    /// # Errors
    /// If the temporary file cannot be written.
    pub fn members(&mut self, run: &MemberRun) -> Result<()> {
        for member in &run.members {
            self.members += 1;
            self.plain_bytes += u64::from(member.plain);
            self.stored_bytes += u64::from(member.stored);
        }
        self.has_checksums |= !run.crc32s.is_empty();
        self.write(&LineRef::Members(run))
    }

    /// Adds the lines of the index of a later stream, which begins at these places of the whole.
    ///
    /// # Errors
    /// If a temporary file cannot be read or written.
    pub fn append(&mut self, stream: Self, plain_offset: u64, stored_offset: u64) -> Result<()> {
        let finished = stream.finish(None)?;
        let mut lines = IndexReader::open(finished.reader(), "of a stream")?;
        while let Some(line) = lines.next_line()? {
            match line {
                Line::Entry(mut entry) => {
                    entry.offset += plain_offset;
                    self.entry(&entry)?;
                }
                Line::Members(mut run) => {
                    run.plain_offset += plain_offset;
                    run.stored_offset += stored_offset;
                    self.members(&run)?;
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// Ends the index. What the manifest does not say comes first, so that it is read without the rest.
    ///
    /// # Errors
    /// If the temporary file cannot be written.
    pub fn finish(mut self, private: Option<&Private>) -> Result<FinishedIndex> {
        self.write(&LineRef::End {
            entries: self.entries,
            members: self.members,
            plain_bytes: self.plain_bytes,
            stored_bytes: self.stored_bytes,
        })?;
        self.write_member(self.lines.len())?;
        let mut lines = Vec::new();
        let format = match private.is_some() || self.has_checksums || self.leaves_offsets_out {
            true => INDEX_FORMAT,
            false => FORMAT_PLAIN,
        };
        push_line(&mut lines, &LineRef::Index { format })?;
        if let Some(private) = private {
            push_line(&mut lines, &LineRef::Private(&private.core))?;
            for text in &private.warnings {
                push_line(&mut lines, &LineRef::Warning { text })?;
            }
            for problem in &private.problems {
                push_line(&mut lines, &LineRef::Problem(problem))?;
            }
        }
        let head_bytes = self.make_member(&lines)?;
        let mut head = self.stored;
        head.truncate(head_bytes);
        Ok(FinishedIndex {
            bytes: self.file_bytes + head_bytes as u64,
            head,
            file: self.file,
        })
    }
}

fn push_line(lines: &mut Vec<u8>, line: &LineRef<'_>) -> Result<()> {
    serde_json::to_writer(&mut *lines, line)
        .map_err(|error| Failure::new(Kind::Failed, "Could not write a line of the index").caused_by(error))?;
    lines.push(b'\n');
    Ok(())
}
