//! The index as a file: written line by line while a backup runs, read line by line afterwards.
//!
//! Lines of JSON, gzipped: first `index`, then `e` (an entry) and `m` (a run of members) as they come, last `end` with the
//! sums. An index without its `end` line is truncated and is not believed.

use std::io::{BufRead, BufReader, Read, Seek, SeekFrom, Write};

use flate2::read::MultiGzDecoder;
use libdeflater::{CompressionLvl, Compressor, Decompressor};
use serde::{Deserialize, Serialize};

use super::index::{Entry, INDEX_FORMAT, MemberRun};
use crate::base::failure::{Failure, IoContext, Kind, Result};

/// The longest line that is read: a run of members or an entry with two paths of 4 KiB stays far below it.
const LINE_BYTES_MAX: u64 = 1024 * 1024;

/// How much of the lines is compressed at a time, as one gzip member of whole lines; a longer line has one of its own.
const MEMBER_PLAIN_BYTES: usize = 1024 * 1024;

/// One line of an index.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "t")]
pub enum Line {
    /// The first line.
    #[serde(rename = "index")]
    Index {
        /// [`INDEX_FORMAT`].
        format: u32,
    },
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

/// A line as it is written: what it says is borrowed, because there may be a million of them.
#[derive(Serialize)]
#[serde(tag = "t")]
enum LineRef<'a> {
    #[serde(rename = "index")]
    Index { format: u32 },
    #[serde(rename = "e")]
    Entry(&'a Entry),
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
}

impl IndexSpool {
    /// Begins an index.
    ///
    /// # Errors
    /// If the temporary file cannot be made.
    pub fn create() -> Result<Self> {
        let file = tempfile::tempfile().doing(|| "make a temporary file for the index")?;
        let mut spool = Self {
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
        };
        spool.write(&LineRef::Index { format: INDEX_FORMAT })?;
        Ok(spool)
    }

    fn write(&mut self, line: &LineRef<'_>) -> Result<()> {
        let before = self.lines.len();
        serde_json::to_writer(&mut self.lines, line)
            .map_err(|error| Failure::new(Kind::Failed, "Could not write a line of the index").caused_by(error))?;
        self.lines.push(b'\n');
        if self.lines.len() > MEMBER_PLAIN_BYTES && before > 0 {
            self.write_member(before)?;
        }
        Ok(())
    }

    /// Compresses the first `plain_bytes` of the lines at hand, proves that they can be read back, and writes them down.
    fn write_member(&mut self, plain_bytes: usize) -> Result<()> {
        let plain = &self.lines[..plain_bytes];
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
        self.file
            .write_all(stored)
            .doing(|| "write the index to a temporary file")?;
        self.file_bytes += stored_bytes as u64;
        self.lines.drain(..plain_bytes);
        Ok(())
    }

    /// Adds an entry.
    ///
    /// # Errors
    /// If the temporary file cannot be written.
    pub fn entry(&mut self, entry: &Entry) -> Result<()> {
        self.entries += 1;
        self.write(&LineRef::Entry(entry))
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
        self.write(&LineRef::Members(run))
    }

    /// Ends the index and gives back its file, rewound, with its length in bytes.
    ///
    /// # Errors
    /// If the temporary file cannot be written.
    pub fn finish(mut self) -> Result<(std::fs::File, u64)> {
        self.write(&LineRef::End {
            entries: self.entries,
            members: self.members,
            plain_bytes: self.plain_bytes,
            stored_bytes: self.stored_bytes,
        })?;
        self.write_member(self.lines.len())?;
        self.file
            .seek(SeekFrom::Start(0))
            .doing(|| "write the index to a temporary file")?;
        Ok((self.file, self.file_bytes))
    }
}

/// Reads an index line by line and checks its end.
pub struct IndexReader<R: Read> {
    lines: BufReader<MultiGzDecoder<BufReader<R>>>,
    line: Vec<u8>,
    what: String,
    entries: u64,
    members: u64,
    ended: bool,
}

impl<R: Read> IndexReader<R> {
    /// Opens an index; `what` names it in messages.
    ///
    /// # Errors
    /// [`Kind::Unsupported`] if a later version made it, [`Kind::Damaged`] if it is no index.
    pub fn open(input: R, what: impl Into<String>) -> Result<Self> {
        let mut reader = Self {
            lines: BufReader::new(MultiGzDecoder::new(BufReader::new(input))),
            line: Vec::new(),
            what: what.into(),
            entries: 0,
            members: 0,
            ended: false,
        };
        match reader.read_line()? {
            Some(Line::Index { format }) if (1..=INDEX_FORMAT).contains(&format) => Ok(reader),
            Some(Line::Index { format }) => Err(Failure::new(
                Kind::Unsupported,
                format!(
                    "The index {} has format {format}; this version of backup-cli reads up to {INDEX_FORMAT}",
                    reader.what
                ),
            )
            .hint("Install a newer backup-cli, or restore the whole backup, which needs no index")),
            _ => Err(reader.damaged(anyhow::anyhow!("It does not begin like an index"))),
        }
    }

    /// The input, after the last line read to its end.
    pub fn into_inner(self) -> R {
        self.lines.into_inner().into_inner().into_inner()
    }

    fn damaged(&self, cause: impl Into<anyhow::Error>) -> Failure {
        Failure::new(Kind::Damaged, format!("The index {} is damaged", self.what))
            .caused_by(cause)
            .hint("The data does not need it: restore the whole backup, without --include")
    }

    fn read_line(&mut self) -> Result<Option<Line>> {
        self.line.clear();
        let read = (&mut self.lines).take(LINE_BYTES_MAX).read_until(b'\n', &mut self.line);
        let bytes = match read {
            Ok(bytes) => bytes,
            Err(error) => match crate::base::failure::from_io("read the index", error) {
                // The store's own failure says more than "damaged" would.
                failure if !matches!(failure.kind(), Kind::Failed) => return Err(failure),
                failure => return Err(self.damaged(failure)),
            },
        };
        if bytes == 0 {
            return Ok(None);
        }
        serde_json::from_slice(&self.line)
            .map(Some)
            .map_err(|error| self.damaged(error))
    }

    /// The next entry or run of members; `None` after a good end.
    ///
    /// # Errors
    /// [`Kind::Damaged`] if the index is cut short or is not consistent.
    pub fn next_line(&mut self) -> Result<Option<Line>> {
        if self.ended {
            return Ok(None);
        }
        match self.read_line()? {
            Some(line @ Line::Entry(_)) => {
                self.entries += 1;
                Ok(Some(line))
            }
            Some(Line::Members(run)) => {
                self.members += run.members.len() as u64;
                Ok(Some(Line::Members(run)))
            }
            Some(Line::End { entries, members, .. }) if entries == self.entries && members == self.members => {
                self.ended = true;
                match self.read_line()? {
                    None => Ok(None),
                    Some(_) => Err(self.damaged(anyhow::anyhow!("Something stands after its end"))),
                }
            }
            Some(Line::End { .. }) => Err(self.damaged(anyhow::anyhow!("Its sums do not agree with its lines"))),
            Some(Line::Index { .. }) => Err(self.damaged(anyhow::anyhow!("A second beginning stands inside it"))),
            None => Err(self.damaged(anyhow::anyhow!("Its end is missing"))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::index::{EntryKind, MemberSize, RawPath};

    fn entry(path: &[u8]) -> Entry {
        Entry {
            size: 3,
            mode: Some(0o644),
            uid: Some(0),
            gid: Some(0),
            user: Some("root".into()),
            mtime: Some(-1),
            mtime_nanos: 5,
            ..Entry::new(EntryKind::File, RawPath(path.to_vec()), 512..1536)
        }
    }

    fn sample() -> Vec<u8> {
        let mut spool = IndexSpool::create().unwrap();
        spool.entry(&entry(b"www/a\nb")).unwrap();
        spool.entry(&entry(b"www/\xff\xfe")).unwrap();
        spool
            .members(&MemberRun {
                plain_offset: 0,
                stored_offset: 0,
                members: vec![MemberSize { plain: 10, stored: 5 }],
            })
            .unwrap();
        let (mut file, bytes) = spool.finish().unwrap();
        let mut content = Vec::new();
        file.read_to_end(&mut content).unwrap();
        assert_eq!(content.len() as u64, bytes);
        content
    }

    fn read_all(content: &[u8]) -> Result<Vec<Line>> {
        let mut reader = IndexReader::open(content, "x")?;
        let mut lines = Vec::new();
        while let Some(line) = reader.next_line()? {
            lines.push(line);
        }
        Ok(lines)
    }

    #[test]
    fn what_was_written_is_read_non_utf8_included() {
        let lines = read_all(&sample()).unwrap();
        assert_eq!(lines[0], Line::Entry(entry(b"www/a\nb")));
        assert_eq!(lines[1], Line::Entry(entry(b"www/\xff\xfe")));
        assert_eq!(lines.len(), 3);
    }

    #[test]
    fn an_index_of_many_members_is_read_line_by_line() {
        let mut spool = IndexSpool::create().unwrap();
        let long = entry(&[b'l'; 700_000]);
        for number in 0..6_000 {
            spool.entry(&entry(format!("www/{number}").as_bytes())).unwrap();
            if number % 2_000 == 0 {
                spool.entry(&long).unwrap();
            }
        }
        let (mut file, bytes) = spool.finish().unwrap();
        let mut content = Vec::new();
        file.read_to_end(&mut content).unwrap();
        assert_eq!(content.len() as u64, bytes);
        let members = content.windows(4).filter(|bytes| *bytes == [0x1f, 0x8b, 8, 0]).count();
        assert!(members >= 3, "{members}");
        let lines = read_all(&content).unwrap();
        assert_eq!(lines.len(), 6_003);
        assert_eq!(lines[1], Line::Entry(long));
        assert_eq!(lines[6_002], Line::Entry(entry(b"www/5999")));
    }

    #[test]
    fn an_index_cut_anywhere_is_damaged_never_shorter() {
        let content = sample();
        for end in 0..content.len() {
            assert_eq!(
                read_all(&content[..end]).unwrap_err().kind(),
                Kind::Damaged,
                "cut at {end}"
            );
        }
    }

    #[test]
    fn a_later_format_is_refused_by_name() {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(b"{\"t\":\"index\",\"format\":99}\n").unwrap();
        let content = encoder.finish().unwrap();
        assert_eq!(read_all(&content).unwrap_err().kind(), Kind::Unsupported);
    }
}
