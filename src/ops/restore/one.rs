//! One file, or one folder as an archive, to the caller's stream.

use std::collections::{HashMap, HashSet};
use std::io::{Read, Write};
use std::ops::{ControlFlow, Range};

use super::super::Run;
use super::super::located::{Backup, From, Parts};
use super::super::ls::{IndexItem, is_at_or_below};
use super::{RestoreReport, not_there};
use crate::base::failure::{Failure, IoContext, Kind, Result, from_io, io_failure};
use crate::catalog::index::{Entry, EntryKind, MemberRun, RawPath};
use crate::source::directory::{archive_end, copy_content, copy_item_as};

/// How much is copied at a time, in bytes.
const COPY_BYTES: usize = 256 * 1024;

/// What goes to the stream, and the reader that brings it.
pub(super) struct One {
    parts: Parts,
    shape: Shape,
}

enum Shape {
    /// A file: the path that its content stands under in the archive.
    File(Vec<u8>),
    /// A folder: pieces of the archive, in order.
    Folder(Vec<Piece>),
}

/// A piece of a new archive.
enum Piece {
    /// So many bytes as they are.
    Raw(u64),
    /// A further name of a file outside of the folder: it gets the content, whose item has so many bytes.
    Link { path: Vec<u8>, target: Vec<u8>, bytes: u64 },
}

/// A further name, and the name of the file outside of the folder that it is one of.
type Link = (Vec<u8>, Vec<u8>);

/// What is found of a path.
#[derive(Default)]
struct Found {
    /// The entry itself.
    entry: Option<Entry>,
    /// It and what is below it.
    pieces: Vec<(Range<u64>, Option<Link>)>,
    below: u64,
    bytes: u64,
    runs: Vec<MemberRun>,
    /// Up to where of the entry's range the runs are known.
    covered: u64,
}

/// Finds `path` and opens what is needed of the backup; nothing is written yet.
pub(super) fn open(backup: &Backup<'_>, path: &[u8], remarks: &mut Vec<String>) -> Result<One> {
    let (found, from) = backup.locate(remarks, |from| look_up(backup, from, path))?;
    backup
        .run
        .reporter
        .progress()
        .set_totals(found.bytes, found.below.max(1));
    let mut ranges = Vec::with_capacity(found.pieces.len());
    let shape = match &found.entry {
        Some(entry) if entry.kind == EntryKind::File => {
            ranges.push(entry.range());
            Shape::File(entry.path.0.clone())
        }
        _ => {
            let mut pieces: Vec<Piece> = Vec::new();
            for (range, link) in found.pieces {
                let bytes = range.end - range.start;
                ranges.push(range);
                match (link, pieces.last_mut()) {
                    (Some((path, target)), _) => pieces.push(Piece::Link { path, target, bytes }),
                    (None, Some(Piece::Raw(before))) => *before += bytes,
                    (None, _) => pieces.push(Piece::Raw(bytes)),
                }
            }
            Shape::Folder(pieces)
        }
    };
    let parts = backup.open(from, &found.runs, ranges)?;
    Ok(One { parts, shape })
}

fn look_up(backup: &Backup<'_>, from: From, path: &[u8]) -> Result<Found> {
    let mut found = Found::default();
    backup.visit(from, &mut |item| {
        match item {
            IndexItem::Members(run) => found.runs.push(run),
            IndexItem::Entry(entry) if entry.kind != EntryKind::Object && is_at_or_below(&entry.path.0, path) => {
                found.take(entry, path);
            }
            IndexItem::Entry(_) => {}
        }
        // A file that an index names is named once, and the rest of a long index is not needed.
        match from == From::Index && found.is_covered() {
            true => Ok(ControlFlow::Break(())),
            false => Ok(ControlFlow::Continue(())),
        }
    })?;
    if found.below == 0 {
        return Err(not_there(&backup.chosen.found.id, path));
    }
    match found.entry.as_ref().map(|entry| entry.kind) {
        None | Some(EntryKind::Folder) => found.lend(backup, from)?,
        Some(EntryKind::File) => {}
        Some(EntryKind::Hardlink) => {
            // The content of a further name is that of the first one.
            let target = found
                .entry
                .take()
                .and_then(|entry| entry.link)
                .unwrap_or_else(|| RawPath(Vec::new()));
            found.runs.clear();
            let mut first = first_names(backup, from, &HashSet::from([target.0.clone()]), &mut found.runs)?;
            let first = first.remove(&target.0).ok_or_else(|| dangling(path, &target))?;
            if first.kind != EntryKind::File {
                return Err(no_content(path, &first));
            }
            found.bytes = first.size;
            found.entry = Some(first);
        }
        Some(_) => {
            if let Some(entry) = &found.entry {
                return Err(no_content(path, entry));
            }
        }
    }
    Ok(found)
}

impl Found {
    fn take(&mut self, entry: Entry, path: &[u8]) {
        self.below += 1;
        self.bytes += entry.size;
        let link = match (entry.kind, &entry.link) {
            (EntryKind::Hardlink, Some(link)) if !is_at_or_below(&link.0, path) => {
                Some((entry.path.0.clone(), link.0.clone()))
            }
            _ => None,
        };
        match (&link, self.pieces.last_mut()) {
            (None, Some((last, None))) if last.end == entry.offset => last.end = entry.range().end,
            _ => self.pieces.push((entry.range(), link)),
        }
        if entry.path.0 == path {
            self.covered = entry.offset;
            self.entry = Some(entry);
        }
    }

    /// Whether it is a file, and where its bytes are stored is known.
    fn is_covered(&mut self) -> bool {
        let Some(entry) = self.entry.as_ref().filter(|entry| entry.kind == EntryKind::File) else {
            return false;
        };
        let end = entry.range().end;
        while self.covered < end {
            let covered = self.covered;
            let next = self.runs.iter().rev().find_map(|run| {
                let bytes: u64 = run.members.iter().map(|member| u64::from(member.plain)).sum();
                let run_end = run.plain_offset.saturating_add(bytes);
                (run.plain_offset <= covered && covered < run_end).then_some(run_end)
            });
            match next {
                Some(run_end) => self.covered = run_end,
                None => return false,
            }
        }
        true
    }

    /// Gives further names of files outside of the folder their content.
    fn lend(&mut self, backup: &Backup<'_>, from: From) -> Result<()> {
        let targets: HashSet<Vec<u8>> = self
            .pieces
            .iter()
            .filter_map(|(_, link)| Some(link.as_ref()?.1.clone()))
            .collect();
        if targets.is_empty() {
            return Ok(());
        }
        let first_names = first_names(backup, from, &targets, &mut Vec::new())?;
        for (range, link) in &mut self.pieces {
            let first = link.as_ref().and_then(|(_, target)| first_names.get(target));
            match first.filter(|first| first.kind == EntryKind::File) {
                Some(first) => {
                    self.bytes += first.size;
                    *range = first.range();
                }
                // A further name of a link is as good as that.
                None => *link = None,
            }
        }
        Ok(())
    }
}

/// What these paths are that hard links name; and all members, of which only those before a break are known by now.
fn first_names(
    backup: &Backup<'_>,
    from: From,
    targets: &HashSet<Vec<u8>>,
    runs: &mut Vec<MemberRun>,
) -> Result<HashMap<Vec<u8>, Entry>> {
    let mut found = HashMap::new();
    backup.visit(from, &mut |item| {
        match item {
            IndexItem::Members(run) => runs.push(run),
            IndexItem::Entry(entry)
                if !matches!(entry.kind, EntryKind::Folder | EntryKind::Hardlink)
                    && targets.contains(&entry.path.0) =>
            {
                found.insert(entry.path.0.clone(), entry);
            }
            IndexItem::Entry(_) => {}
        }
        Ok(ControlFlow::Continue(()))
    })?;
    Ok(found)
}

fn shown(path: &[u8]) -> String {
    String::from_utf8_lossy(path).into_owned()
}

fn no_content(path: &[u8], entry: &Entry) -> Failure {
    let is = |what: String, hint: String| {
        Failure::new(
            Kind::Usage,
            format!("`{}` is {what}, which has no content of its own", shown(path)),
        )
        .hint(hint)
    };
    let folder = "Restore it into a folder: `--to DIR`".to_owned();
    match (entry.kind, &entry.link) {
        (EntryKind::Symlink, Some(link)) => is(
            format!("a symbolic link to `{}`", link.display()),
            "Name the file that it points to, or restore it into a folder: `--to DIR`".to_owned(),
        ),
        (EntryKind::Table, _) => Failure::new(Kind::Usage, format!("`{}` is a table", shown(path)))
            .hint(format!("Name it as one: `--table '{}'`", shown(path))),
        (EntryKind::Fifo, _) => is("a named pipe".to_owned(), folder),
        _ => is("a device".to_owned(), folder),
    }
}

fn dangling(path: &[u8], target: &RawPath) -> Failure {
    Failure::new(
        Kind::Damaged,
        format!(
            "`{}` is a further name of `{}`, which the backup does not hold",
            shown(path),
            target.display()
        ),
    )
    .hint("Choose another backup: `backup-cli list` shows them")
}

/// Writes what was opened; what is wrong with a file is found before its first byte is written, unless it is in the data.
pub(super) fn restore(one: One, output: &mut dyn Write, report: &mut RestoreReport, run: &Run) -> Result<()> {
    let context = run.source_context();
    let mut parts = one.parts;
    match one.shape {
        Shape::File(path) => report.plain_bytes = copy_content(&mut parts, &path, output, &context)?,
        Shape::Folder(pieces) => {
            let mut output = Counted { output, bytes: 0 };
            for piece in pieces {
                match piece {
                    Piece::Raw(bytes) => copy(&mut parts, bytes, &mut output, run)?,
                    Piece::Link { path, target, bytes } => {
                        copy_item_as(&mut (&mut parts).take(bytes), &target, &path, &mut output, &context)?;
                    }
                }
            }
            let end = archive_end(output.bytes);
            output.write_all(&end).map_err(|error| io_failure(WRITING, error))?;
            report.plain_bytes = output.bytes;
        }
    }
    expect_end(&mut parts)?;
    parts.verify()?;
    output.flush().doing(|| WRITING)
}

const WRITING: &str = "write to standard output";

struct Counted<'a> {
    output: &'a mut dyn Write,
    bytes: u64,
}

impl Write for Counted<'_> {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let written = self.output.write(bytes)?;
        self.bytes += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.output.flush()
    }
}

fn copy(parts: &mut Parts, bytes: u64, output: &mut dyn Write, run: &Run) -> Result<()> {
    let mut buffer = vec![0; COPY_BYTES];
    let mut left = bytes;
    while left > 0 {
        run.cancel.check()?;
        let count = usize::try_from(left).unwrap_or(usize::MAX).min(COPY_BYTES);
        let read = parts
            .read(&mut buffer[..count])
            .map_err(|error| from_io("read the backup", error))?;
        if read == 0 {
            return Err(Failure::new(
                Kind::Damaged,
                "The backup ends before what the index says",
            ));
        }
        output
            .write_all(&buffer[..read])
            .map_err(|error| io_failure(WRITING, error))?;
        left -= read as u64;
        run.reporter.progress().add_plain(read as u64);
    }
    Ok(())
}

/// The reader says only at its end that everything was there.
fn expect_end(parts: &mut Parts) -> Result<()> {
    match parts
        .read(&mut [0])
        .map_err(|error| from_io("read the backup", error))?
    {
        0 => Ok(()),
        _ => Err(Failure::new(
            Kind::Failed,
            "More was fetched than wanted, which is a bug",
        )),
    }
}
