//! The index as a file: written line by line while a backup runs, read line by line afterwards.
//!
//! Lines of JSON, gzipped: first `index`, then, in an encrypted backup, what its manifest does not say (`private`, `warning`,
//! `problem`), then `e` (an entry) and `m` (a run of members) as they come, last `end` with the sums. An index without its
//! `end` line is truncated and is not believed.

use std::io::{BufRead, BufReader, Cursor, Read, Seek, SeekFrom, Write};

use flate2::read::MultiGzDecoder;
use libdeflater::{CompressionLvl, Compressor, Decompressor};
use serde::{Deserialize, Serialize};

use super::index::{Entry, INDEX_FORMAT, MemberRun};
use super::manifest::Problem;
use super::private::{Private, PrivateCore};
use crate::base::failure::{Failure, IoContext, Kind, Result};

/// The longest line that is read: a run of members or an entry with two paths of 4 KiB stays far below it.
const LINE_BYTES_MAX: u64 = 1024 * 1024;

/// How much of the lines is compressed at a time, as one gzip member of whole lines; a longer line has one of its own.
const MEMBER_PLAIN_BYTES: usize = 1024 * 1024;

/// The format of an index with nothing private and no checksums of members.
const FORMAT_PLAIN: u32 = 1;

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
    has_checksums: bool,
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

    /// Reads it from its beginning.
    ///
    /// # Errors
    /// If the temporary file cannot be rewound.
    pub fn reader(&mut self) -> Result<impl Read + '_> {
        self.file
            .seek(SeekFrom::Start(0))
            .doing(|| "read the index back from its temporary file")?;
        Ok(Cursor::new(&self.head).chain(&self.file))
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
        self.has_checksums |= !run.crc32s.is_empty();
        self.write(&LineRef::Members(run))
    }

    /// Adds the lines of the index of a later stream, which begins at these places of the whole.
    ///
    /// # Errors
    /// If a temporary file cannot be read or written.
    pub fn append(&mut self, stream: Self, plain_offset: u64, stored_offset: u64) -> Result<()> {
        let mut finished = stream.finish(None)?;
        let mut lines = IndexReader::open(finished.reader()?, "of a stream")?;
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
        let format = match private.is_some() || self.has_checksums {
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

    /// What the manifest of an encrypted backup does not say; `None` if this index has nothing private. To be asked for
    /// before any line.
    ///
    /// # Errors
    /// [`Kind::Damaged`] if the index is cut short or is not consistent.
    pub fn private(&mut self) -> Result<Option<Private>> {
        let mut private: Option<Private> = None;
        loop {
            match (self.next_line()?, &mut private) {
                (Some(Line::Private(core)), None) => {
                    private = Some(Private {
                        core,
                        ..Private::default()
                    });
                }
                (Some(Line::Warning { text }), Some(private)) => private.warnings.push(text),
                (Some(Line::Problem(problem)), Some(private)) => private.problems.push(problem),
                _ => return Ok(private),
            }
        }
    }

    /// The next line; `None` after a good end.
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
            Some(line @ (Line::Private(_) | Line::Warning { .. } | Line::Problem(_)))
                if self.entries == 0 && self.members == 0 =>
            {
                Ok(Some(line))
            }
            Some(Line::Private(_) | Line::Warning { .. } | Line::Problem(_)) => {
                Err(self.damaged(anyhow::anyhow!("Something private stands among its lines")))
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
                crc32s: Vec::new(),
            })
            .unwrap();
        content_of(spool.finish(None).unwrap())
    }

    fn content_of(mut index: FinishedIndex) -> Vec<u8> {
        let mut content = Vec::new();
        for _ in 0..2 {
            content.clear();
            index.reader().unwrap().read_to_end(&mut content).unwrap();
            assert_eq!(content.len() as u64, index.bytes());
        }
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
        let content = content_of(spool.finish(None).unwrap());
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
    fn what_is_private_stands_first_and_needs_the_newer_format() {
        use crate::catalog::manifest::{ProblemKind, SourceInfo};
        let private = Private {
            core: PrivateCore {
                source: SourceInfo {
                    kind: "directory".to_owned(),
                    what: "/srv/www".to_owned(),
                    ..SourceInfo::default()
                },
                plain_sha256: Some("00".repeat(32)),
                stream_sha256s: Vec::new(),
            },
            problems: vec![Problem {
                item: "www/a".to_owned(),
                kind: ProblemKind::Vanished,
                message: "gone".to_owned(),
            }],
            warnings: vec!["Look.".to_owned(), "Again.".to_owned()],
        };
        let mut spool = IndexSpool::create().unwrap();
        spool.entry(&entry(b"www/b")).unwrap();
        let content = content_of(spool.finish(Some(&private)).unwrap());
        assert_eq!(
            IndexReader::open(&content[..], "x").unwrap().private().unwrap(),
            Some(private)
        );
        assert_eq!(read_all(&content).unwrap().len(), 5);
        for (content, format) in [(content, INDEX_FORMAT), (sample(), FORMAT_PLAIN)] {
            let mut first = String::new();
            BufReader::new(MultiGzDecoder::new(&content[..]))
                .read_line(&mut first)
                .unwrap();
            assert_eq!(first, format!("{{\"t\":\"index\",\"format\":{format}}}\n"));
        }
        assert_eq!(IndexReader::open(&sample()[..], "x").unwrap().private().unwrap(), None);
    }

    #[test]
    fn the_index_of_a_later_stream_is_moved_to_where_it_begins() {
        let run = |plain_offset, stored_offset| MemberRun {
            plain_offset,
            stored_offset,
            members: vec![MemberSize { plain: 10, stored: 4 }],
            crc32s: Vec::new(),
        };
        let moved = |name: &[u8], by: u64| {
            let mut entry = entry(name);
            entry.offset += by;
            entry
        };
        let mut first = IndexSpool::create().unwrap();
        first.entry(&entry(b"a")).unwrap();
        first.members(&run(0, 0)).unwrap();
        let mut second = IndexSpool::create().unwrap();
        second.members(&run(0, 0)).unwrap();
        second.entry(&entry(b"b")).unwrap();
        first.append(second, 10, 4).unwrap();
        let content = content_of(first.finish(None).unwrap());
        assert_eq!(
            read_all(&content).unwrap(),
            [
                Line::Entry(entry(b"a")),
                Line::Members(run(0, 0)),
                Line::Members(run(10, 4)),
                Line::Entry(moved(b"b", 10)),
            ]
        );
    }

    #[test]
    fn checksums_of_members_need_the_newer_format() {
        let run = MemberRun {
            plain_offset: 0,
            stored_offset: 0,
            members: vec![MemberSize { plain: 5, stored: 5 }],
            crc32s: vec![7],
        };
        let mut spool = IndexSpool::create().unwrap();
        spool.members(&run).unwrap();
        let content = content_of(spool.finish(None).unwrap());
        assert_eq!(read_all(&content).unwrap(), [Line::Members(run)]);
    }

    #[test]
    fn a_later_format_is_refused_by_name() {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(b"{\"t\":\"index\",\"format\":99}\n").unwrap();
        let content = encoder.finish().unwrap();
        assert_eq!(read_all(&content).unwrap_err().kind(), Kind::Unsupported);
    }
}
