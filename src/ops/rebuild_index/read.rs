//! One pass over all the data of a backup: what it holds becomes an index, what it is is proved.

use std::io::{Cursor, Read, Write};
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use libdeflater::Crc;

use super::super::Run;
use super::super::plaintext::segment_ends;
use crate::base::failure::{Failure, IoContext, Kind, Result, from_io};
use crate::catalog::index::{Entry, EntryKind, MemberRun, MemberSize};
use crate::catalog::index_file::IndexSpool;
use crate::catalog::manifest::Counts;
use crate::pipeline::check::{ReadObject, WantedObject, WholeReader};
use crate::pipeline::download::DownloadOptions;
use crate::pipeline::inflate::{InflateOptions, MembersReader, PlainReport, Seen};
use crate::pipeline::stored::StoredData;
use crate::pipeline::streams::StreamsReader;
use crate::source::SourceSink;
use crate::source::content::ContentWriter;
use crate::source::detect::{Content, DETECT_BYTES, SqlDialect, detect, sql_dialect};
use crate::source::directory::scan_archive;
use crate::source::postgres::check_archive;
use crate::source::sqlite::look_into;
use crate::store::Store;

/// How many members one line of the index names: as many as a backup's.
const RUN_MEMBERS_MAX: usize = 256;

/// How much is copied at a time, in bytes.
const COPY_BYTES: usize = 256 * 1024;

/// How the data is read.
pub(in crate::ops) struct How<'a> {
    /// The store.
    pub(in crate::ops) store: &'a Arc<dyn Store>,
    /// Threads that inflate.
    pub(in crate::ops) threads: usize,
    /// Whether ranges of the data can be read, so that it is of use to name its members.
    pub(in crate::ops) names_members: bool,
    /// Whether a custom archive of PostgreSQL is read by `pg_restore`, found in this folder if one is named.
    pub(in crate::ops) restorer: Option<Option<&'a Path>>,
    /// The run.
    pub(in crate::ops) run: &'a Run,
}

/// What all of the data turned out to be.
pub(in crate::ops) struct Reading {
    /// The lines of the index, which has not been ended.
    pub(in crate::ops) index: IndexSpool,
    /// How many entries it has.
    pub(in crate::ops) entries: u64,
    /// What the data holds.
    pub(in crate::ops) content: Content,
    /// Who wrote it, if it is SQL.
    pub(in crate::ops) dialect: SqlDialect,
    /// Files, tables and rows, where they could be counted.
    pub(in crate::ops) counts: Counts,
    /// Why the content is not whole, where it tells.
    pub(in crate::ops) fault: Option<String>,
    /// Whether the content itself has an end, and it was found.
    pub(in crate::ops) is_proved: bool,
    /// What the user should look into, in sentences.
    pub(in crate::ops) warnings: Vec<String>,
    /// The plaintext, and how it is compressed.
    pub(in crate::ops) plain: PlainReport,
    /// The stored objects, in order.
    pub(in crate::ops) objects: Vec<ReadObject>,
    /// How many members each stream has; none if the index cannot name them.
    pub(in crate::ops) members: Option<Vec<u64>>,
}

/// Reads everything.
///
/// # Errors
/// [`Kind::Damaged`] if the data cannot be inflated to its end; [`Kind::WrongKey`]; [`Kind::Tool`] if a program is missing
/// that has to read the content; the store's failures.
pub(in crate::ops) fn read_all(how: &How<'_>, data: &StoredData) -> Result<Reading> {
    let first = read_once(how, data, how.names_members)?;
    match first.1 {
        false => Ok(first.0),
        // Members of ours beside somebody else's: no index can name some of them and not the others.
        true => Ok(read_once(how, data, false)?.0),
    }
}

/// One pass; whether members were named that should not have been.
fn read_once(how: &How<'_>, data: &StoredData, names_members: bool) -> Result<(Reading, bool)> {
    let run = how.run;
    let wanted = data
        .objects()
        .into_iter()
        .map(|object| WantedObject {
            available_bytes: object.bytes,
            object,
            part_bytes: None,
        })
        .collect();
    let reader = WholeReader::new(
        how.store.clone(),
        wanted,
        &DownloadOptions::default(),
        run.cancel.clone(),
        run.reporter.clone(),
    )?
    .without_gaps();
    let streams = StreamsReader::open(reader, data.clone()).map_err(|failure| run.interruption_or(failure))?;
    let shared = Arc::new(Mutex::new(Lines {
        spool: IndexSpool::create()?,
        entries: 0,
        members: Members::new(segment_ends(&data.streams), names_members),
    }));
    let lines = shared.clone();
    let options = InflateOptions {
        codec: data.codec,
        segment_ends: segment_ends(&data.streams),
        threads: how.threads,
    };
    let mut plain = MembersReader::open_showing(
        streams,
        options,
        Box::new(move |seen| locked(&lines).see(seen)),
        &run.cancel,
    )?;
    let walked = walk(how, &mut plain, &shared).map_err(|failure| run.interruption_or(failure))?;
    let (streams, plain) = plain.finish().map_err(|failure| run.interruption_or(failure))?;
    let objects = streams.into_inner()?.finish()?;
    if let Some(trouble) = objects.iter().find_map(|object| object.trouble.clone()) {
        return Err(Failure::new(Kind::Damaged, trouble));
    }
    let mut lines = locked(&shared);
    lines.flush()?;
    let named = lines.members.named.clone();
    let stored_bytes = lines.members.stored;
    // Padding behind the last member is in none of them.
    let is_all =
        data.is_encrypted == Some(true) || stored_bytes == objects.iter().map(|object| object.bytes).sum::<u64>();
    let has_foreign = lines.members.has_foreign;
    let is_named = names_members && !has_foreign && (is_all || stored_bytes == 0);
    let has_superfluous = !is_named && stored_bytes > 0 && names_members;
    let entries = lines.entries;
    let index = std::mem::replace(&mut lines.spool, IndexSpool::create()?);
    drop(lines);
    let reading = Reading {
        index,
        entries,
        is_proved: walked.is_proved,
        content: walked.content,
        dialect: walked.dialect,
        counts: walked.counts,
        fault: walked.fault,
        warnings: walked.warnings,
        plain,
        objects,
        members: (is_named && stored_bytes > 0).then_some(named),
    };
    Ok((reading, has_superfluous))
}

/// What goes into the index, from two threads.
struct Lines {
    spool: IndexSpool,
    entries: u64,
    members: Members,
}

fn locked(lines: &Mutex<Lines>) -> MutexGuard<'_, Lines> {
    lines.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The members that have passed.
struct Members {
    names: bool,
    has_foreign: bool,
    run: MemberRun,
    plain: u64,
    stored: u64,
    /// How many each stream has so far.
    named: Vec<u64>,
    /// Where the streams end in the plaintext.
    ends: Vec<u64>,
}

impl Members {
    fn new(ends: Vec<u64>, names: bool) -> Self {
        Self {
            names,
            has_foreign: false,
            run: MemberRun {
                plain_offset: 0,
                stored_offset: 0,
                members: Vec::new(),
                crc32s: Vec::new(),
            },
            plain: 0,
            stored: 0,
            named: vec![0; ends.len().max(1)],
            ends,
        }
    }

    /// How far the stream goes on in which the next member begins.
    fn left(&self) -> u64 {
        let end = self.ends.iter().find(|end| **end > self.plain);
        end.map_or(u64::MAX, |end| end - self.plain)
    }
}

impl Lines {
    fn see(&mut self, seen: Seen<'_>) -> Result<()> {
        match seen {
            Seen::Foreign => self.members.has_foreign = true,
            Seen::Member(size) => self.member(size, None)?,
            Seen::Piece(mut piece) => {
                // A member ends where its stream does.
                while !piece.is_empty() {
                    let left = usize::try_from(self.members.left()).unwrap_or(usize::MAX);
                    let (now, later) = piece.split_at(left.min(piece.len()));
                    let mut crc = Crc::new();
                    crc.update(now);
                    // A piece is no longer than a member may be.
                    let bytes = now.len() as u32;
                    let size = MemberSize {
                        plain: bytes,
                        stored: bytes,
                    };
                    self.member(size, Some(crc.sum()))?;
                    piece = later;
                }
            }
        }
        Ok(())
    }

    fn member(&mut self, size: MemberSize, crc32: Option<u32>) -> Result<()> {
        let members = &mut self.members;
        let stream = members.ends.iter().take_while(|end| **end <= members.plain).count();
        let last = members.named.len() - 1;
        if let Some(count) = members.named.get_mut(stream.min(last)) {
            *count += 1;
        }
        if members.run.members.is_empty() {
            members.run.plain_offset = members.plain;
            members.run.stored_offset = members.stored;
        }
        members.plain += u64::from(size.plain);
        members.stored += u64::from(size.stored);
        members.run.members.push(size);
        members.run.crc32s.extend(crc32);
        match members.run.members.len() >= RUN_MEMBERS_MAX {
            true => self.flush(),
            false => Ok(()),
        }
    }

    fn flush(&mut self) -> Result<()> {
        let run = &mut self.members.run;
        if !run.members.is_empty() && self.members.names {
            self.spool.members(run)?;
        }
        run.members.clear();
        run.crc32s.clear();
        Ok(())
    }

    fn entry(&mut self, entry: &Entry) -> Result<()> {
        self.entries += 1;
        self.spool.entry(entry)
    }
}

/// What the content was.
struct Walked {
    content: Content,
    dialect: SqlDialect,
    counts: Counts,
    fault: Option<String>,
    is_proved: bool,
    warnings: Vec<String>,
}

/// Reads the content to its end, tells the index what is in it, and judges its end.
fn walk(how: &How<'_>, plain: &mut dyn Read, lines: &Mutex<Lines>) -> Result<Walked> {
    let mut head = Vec::new();
    (&mut *plain)
        .take(DETECT_BYTES as u64)
        .read_to_end(&mut head)
        .map_err(|error| from_io("read the content", error))?;
    let content = detect(&head);
    let dialect = match content {
        Content::Sql => sql_dialect(&head),
        _ => SqlDialect::Other,
    };
    let mut walked = Walked {
        content,
        dialect,
        counts: Counts::default(),
        fault: None,
        is_proved: false,
        warnings: Vec::new(),
    };
    let mut all = Cursor::new(head).chain(plain);
    match content {
        Content::Tar => walk_archive(&mut all, lines, &mut walked)?,
        Content::Sql => walk_dump(how, &mut all, lines, &mut walked)?,
        Content::Sqlite => walk_database(how, &mut all, lines, &mut walked)?,
        Content::PgDumpCustom => {
            if let Some(folder) = how.restorer {
                walked.fault = check_archive(&mut all, folder, &how.run.cancel)?;
                walked.is_proved = walked.fault.is_none();
            }
        }
        Content::Gzip | Content::Zstd | Content::Age | Content::Empty | Content::Unknown => {}
    }
    copy(&mut all, &mut std::io::sink())?;
    Ok(walked)
}

fn walk_archive(all: &mut dyn Read, lines: &Mutex<Lines>, walked: &mut Walked) -> Result<()> {
    let (mut files, mut folders, mut others) = (0, 0, 0);
    let scanned = scan_archive(all, &mut |entry| {
        match entry.kind {
            EntryKind::Folder => folders += 1,
            EntryKind::File | EntryKind::Hardlink => files += 1,
            _ => others += 1,
        }
        locked(lines).entry(&entry)?;
        Ok(ControlFlow::Continue(()))
    });
    match scanned {
        Ok(()) => walked.is_proved = true,
        // What is wrong with the stored bytes comes up when they are read to their end.
        Err(failure) if failure.kind() == Kind::Damaged => walked.fault = Some(failure.in_one_line()),
        Err(failure) => return Err(failure),
    }
    walked.counts = Counts {
        files: Some(files),
        folders: Some(folders),
        others: Some(others),
        ..Counts::default()
    };
    Ok(())
}

fn walk_dump(how: &How<'_>, all: &mut dyn Read, lines: &Mutex<Lines>, walked: &mut Walked) -> Result<()> {
    let mut sink = EntriesOnly { lines, position: 0 };
    let mut writer = ContentWriter::new(&mut sink, how.run.reporter.progress());
    let mut buffer = vec![0; COPY_BYTES];
    loop {
        let read = read_some(all, &mut buffer)?;
        if read == 0 {
            break;
        }
        writer.write(&buffer[..read])?;
    }
    let report = writer.finish()?;
    walked.counts = report.counts;
    walked.is_proved = report.fault.is_none() && walked.dialect != SqlDialect::Other;
    walked.fault = report.fault;
    Ok(())
}

fn walk_database(how: &How<'_>, all: &mut dyn Read, lines: &Mutex<Lines>, walked: &mut Walked) -> Result<()> {
    let mut file = tempfile::NamedTempFile::new().doing(|| "make a temporary file for the database")?;
    copy(all, file.as_file_mut())?;
    let looked = look_into(file.path(), &how.run.cancel)?;
    let mut lines = locked(lines);
    looked.entries.iter().try_for_each(|entry| lines.entry(entry))?;
    walked.is_proved = looked.fault.is_none();
    walked.fault = looked.fault;
    walked.counts = looked.counts;
    walked.warnings = looked.warnings;
    Ok(())
}

fn read_some(input: &mut dyn Read, buffer: &mut [u8]) -> Result<usize> {
    loop {
        match input.read(buffer) {
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            other => return other.map_err(|error| from_io("read the content", error)),
        }
    }
}

fn copy(input: &mut dyn Read, output: &mut dyn Write) -> Result<()> {
    let mut buffer = vec![0; COPY_BYTES];
    loop {
        let read = read_some(input, &mut buffer)?;
        if read == 0 {
            return Ok(());
        }
        output
            .write_all(&buffer[..read])
            .doing(|| "write the content to a temporary file")?;
    }
}

/// A sink of which only the lines of the index are kept.
struct EntriesOnly<'a> {
    lines: &'a Mutex<Lines>,
    position: u64,
}

impl Write for EntriesOnly<'_> {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.position += bytes.len() as u64;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl SourceSink for EntriesOnly<'_> {
    fn position(&self) -> u64 {
        self.position
    }

    fn cut(&mut self) -> Result<()> {
        Ok(())
    }

    fn entry(&mut self, entry: &Entry) -> Result<()> {
        locked(self.lines).entry(entry)
    }
}
