//! Single items of an archive: where they lie in it, and their content without a file to put it into.

use std::io::{Read, Write};
use std::ops::ControlFlow;

use super::archive::{ArchiveItem, ArchiveReader};
use super::archiver::RECORD_BYTES;
use super::extract::inside;
use super::header::{BLOCK_BYTES, Item, ItemKind, encode, pad, push_xattr_record, sparse_stored_bytes};
use super::sparse::encode_map;
use crate::base::failure::{Failure, Kind, Result, io_failure};
use crate::catalog::index::{Entry, EntryKind, RawPath};
use crate::source::SourceContext;

/// Zeros written at a time for a hole.
static ZEROS: [u8; 64 * 1024] = [0; 64 * 1024];

/// Visits every item of an archive that can be restored, as an index would name it, in order.
///
/// # Errors
/// [`Kind::Damaged`] if the archive is cut off or is none; the input's own failure and the visitor's.
pub fn scan_archive(archive: &mut dyn Read, visit: &mut dyn FnMut(Entry) -> Result<ControlFlow<()>>) -> Result<()> {
    let mut reader = ArchiveReader::new(archive, true);
    loop {
        let Some(item) = reader.next()? else { return Ok(()) };
        let range = reader.item_range();
        let Some(kind) = item.kind else { continue };
        let Ok(path) = inside(&item.path) else { continue };
        if path.is_empty() {
            continue;
        }
        if visit(entry_of(kind, path, &item, range))?.is_break() {
            return Ok(());
        }
    }
}

fn entry_of(kind: ItemKind, path: Vec<u8>, item: &ArchiveItem, range: std::ops::Range<u64>) -> Entry {
    let name = |bytes: &[u8]| (!bytes.is_empty()).then(|| String::from_utf8_lossy(bytes).into_owned());
    let link = match kind {
        // What it is a further name of is looked for by its path in the index.
        ItemKind::Hardlink => inside(&item.link).ok().map(RawPath),
        ItemKind::Symlink => Some(RawPath(item.link.clone())),
        _ => None,
    };
    Entry {
        size: item.size,
        mode: Some(item.mode),
        uid: item.uid,
        gid: item.gid,
        user: name(&item.user),
        group: name(&item.group),
        mtime: Some(item.mtime),
        mtime_nanos: item.mtime_nanos,
        link,
        ..Entry::new(
            match kind {
                ItemKind::File => EntryKind::File,
                ItemKind::Hardlink => EntryKind::Hardlink,
                ItemKind::Symlink => EntryKind::Symlink,
                ItemKind::CharDevice | ItemKind::BlockDevice => EntryKind::Device,
                ItemKind::Folder => EntryKind::Folder,
                ItemKind::Fifo => EntryKind::Fifo,
            },
            RawPath(path),
            range,
        )
    }
}

/// Writes the content of the file `path`, whose item the input is, with zeros where it has holes. Returns its size.
///
/// # Errors
/// [`Kind::Damaged`] if something else stands there, before anything is written; the input's and the output's own.
pub fn copy_content(
    archive: &mut dyn Read,
    path: &[u8],
    output: &mut dyn Write,
    context: &SourceContext<'_>,
) -> Result<u64> {
    let mut reader = ArchiveReader::new(archive, false);
    let item = the_item(&mut reader, path)?;
    let mut writer = Content { output, context };
    let mut end = 0;
    let mut data_left = match item.extents {
        None => item.size,
        Some(_) => 0,
    };
    let mut extents = item.extents.iter().flatten();
    loop {
        let mut rest = reader.content()?;
        if rest.is_empty() {
            break;
        }
        while !rest.is_empty() {
            if data_left == 0 {
                let extent = extents.next().ok_or_else(|| elsewhere(path))?;
                writer.zeros(extent.offset - end)?;
                end = extent.offset + extent.length;
                data_left = extent.length;
            }
            let take = usize::try_from(data_left).unwrap_or(usize::MAX).min(rest.len());
            writer.bytes(&rest[..take])?;
            rest = &rest[take..];
            data_left -= take as u64;
        }
    }
    if item.extents.is_some() {
        writer.zeros(item.size - end)?;
    }
    expect_end(&mut reader, path)?;
    context.reporter.progress().add_item();
    Ok(item.size)
}

/// Writes the item of the file `path`, which the input is, as an item of the name `new_path`: a further name that becomes
/// a file of its own.
///
/// # Errors
/// As [`copy_content`].
pub fn copy_item_as(
    archive: &mut dyn Read,
    path: &[u8],
    new_path: &[u8],
    output: &mut dyn Write,
    context: &SourceContext<'_>,
) -> Result<()> {
    let mut reader = ArchiveReader::new(archive, false);
    let item = the_item(&mut reader, path)?;
    let mut attributes = Vec::new();
    for (name, value) in &item.attributes {
        push_xattr_record(&mut attributes, name, value);
    }
    let map = item.extents.as_deref().map(|extents| encode_map(extents, item.size));
    let stored_bytes = match (&map, item.extents.as_deref()) {
        (Some(map), Some(extents)) => sparse_stored_bytes(map, extents),
        _ => item.size,
    };
    let mut headers = Vec::new();
    encode(
        &Item {
            kind: ItemKind::File,
            path: new_path,
            link: b"",
            mode: item.mode,
            uid: item.uid.unwrap_or(0),
            gid: item.gid.unwrap_or(0),
            user: &String::from_utf8_lossy(&item.user),
            group: &String::from_utf8_lossy(&item.group),
            mtime: item.mtime,
            mtime_nanos: item.mtime_nanos,
            device: (0, 0),
            stored_bytes,
            sparse_bytes: map.as_ref().map(|_| item.size),
            attributes: &attributes,
        },
        &mut Vec::new(),
        &mut headers,
    );
    headers.extend_from_slice(map.as_deref().unwrap_or_default());
    let mut writer = Content { output, context };
    writer.bytes(&headers)?;
    loop {
        let block = reader.content()?;
        if block.is_empty() {
            break;
        }
        writer.bytes(block)?;
    }
    let mut padding = Vec::new();
    pad(&mut padding, stored_bytes);
    writer.bytes(&padding)?;
    expect_end(&mut reader, path)?;
    context.reporter.progress().add_item();
    Ok(())
}

/// What ends an archive of `bytes` bytes.
#[must_use]
pub fn archive_end(bytes: u64) -> Vec<u8> {
    let written = bytes + 2 * BLOCK_BYTES;
    let padding = (RECORD_BYTES - written % RECORD_BYTES) % RECORD_BYTES;
    vec![0; usize::try_from(2 * BLOCK_BYTES + padding).unwrap_or(0)]
}

struct Content<'a> {
    output: &'a mut dyn Write,
    context: &'a SourceContext<'a>,
}

impl Content<'_> {
    fn bytes(&mut self, bytes: &[u8]) -> Result<()> {
        self.context.cancel.check()?;
        self.context.reporter.progress().add_plain(bytes.len() as u64);
        self.output
            .write_all(bytes)
            .map_err(|error| io_failure("write to standard output", error))
    }

    fn zeros(&mut self, mut count: u64) -> Result<()> {
        while count > 0 {
            let now = usize::try_from(count).unwrap_or(usize::MAX).min(ZEROS.len());
            self.bytes(&ZEROS[..now])?;
            count -= now as u64;
        }
        Ok(())
    }
}

fn the_item(reader: &mut ArchiveReader<'_>, path: &[u8]) -> Result<ArchiveItem> {
    match reader.next()? {
        Some(item) if item.kind == Some(ItemKind::File) && inside(&item.path).as_deref() == Ok(path) => Ok(item),
        _ => Err(elsewhere(path)),
    }
}

fn expect_end(reader: &mut ArchiveReader<'_>, path: &[u8]) -> Result<()> {
    match reader.next()? {
        None => Ok(()),
        Some(_) => Err(elsewhere(path)),
    }
}

fn elsewhere(path: &[u8]) -> Failure {
    Failure::new(
        Kind::Damaged,
        format!("`{}` is not where the index says", String::from_utf8_lossy(path)),
    )
    .hint("Restore into a folder without a selection, which needs no index; if that fails too, choose an older backup")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::cancel::Cancel;
    use crate::base::report::Recorder;

    fn archive(path: &str, content: &[u8]) -> Vec<u8> {
        let mut builder = tar::Builder::new(Vec::new());
        let mut header = tar::Header::new_gnu();
        header.set_size(content.len() as u64);
        header.set_mode(0o640);
        builder.append_data(&mut header, path, content).unwrap();
        builder.into_inner().unwrap()
    }

    fn content(archive: &[u8], path: &[u8]) -> (Result<u64>, Vec<u8>) {
        let (cancel, recorder) = (Cancel::new(), Recorder::default());
        let context = SourceContext {
            cancel: &cancel,
            reporter: &recorder,
        };
        let mut output = Vec::new();
        let result = copy_content(&mut &*archive, path, &mut output, &context);
        (result, output)
    }

    #[test]
    fn an_item_that_is_not_the_one_that_was_promised_gives_no_byte() {
        let bytes = archive("www/a", b"alpha");
        let (result, output) = content(&bytes, b"www/a");
        assert_eq!((result.unwrap(), output.as_slice()), (5, &b"alpha"[..]));
        for path in [&b"www/b"[..], b"www", b""] {
            let (result, output) = content(&bytes, path);
            assert_eq!(result.unwrap_err().kind(), Kind::Damaged);
            assert_eq!(output, b"");
        }
        assert_eq!(content(b"", b"www/a").0.unwrap_err().kind(), Kind::Damaged);
        assert_eq!(content(&bytes[..600], b"www/a").0.unwrap_err().kind(), Kind::Damaged);
    }

    #[test]
    fn items_are_where_the_scan_says() {
        let mut bytes = Vec::new();
        for (path, length) in [("a", 10), ("long/".repeat(60).as_str(), 1000), ("empty", 0)] {
            let one = archive(path.trim_end_matches('/'), &vec![7; length]);
            bytes.extend_from_slice(&one[..one.len() - 1024]);
        }
        bytes.extend_from_slice(&[0; 1024]);
        let mut found = Vec::new();
        scan_archive(&mut bytes.as_slice(), &mut |entry| {
            found.push(entry);
            Ok(ControlFlow::Continue(()))
        })
        .unwrap();
        assert_eq!(found.iter().map(|entry| entry.size).collect::<Vec<_>>(), [10, 1000, 0]);
        let mut end = 0;
        for entry in &found {
            assert_eq!(entry.offset, end, "{entry:?}");
            end = entry.range().end;
            let range = entry.offset as usize..end as usize;
            let (size, output) = content(&bytes[range], &entry.path.0);
            assert_eq!(size.unwrap(), entry.size);
            assert_eq!(output, vec![7; entry.size as usize]);
        }
        assert_eq!(end as usize, bytes.len() - 1024);
    }
}
