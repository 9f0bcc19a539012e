//! Entries in a temporary file: what a comparison needs, small because most of a path is that of the one before.

use std::fs::File;
use std::io::{BufReader, BufWriter, Read, Seek, SeekFrom, Write};

use crate::base::failure::{Failure, IoContext, Kind, Result};
use crate::catalog::index::{Entry, EntryKind, RawPath};

/// What is read or written at a time, in bytes; each of the files that are merged has as much.
const BUFFER_BYTES: usize = 64 * 1024;

/// Every kind, in an order that is only used within one run.
const KINDS: [EntryKind; 8] = [
    EntryKind::File,
    EntryKind::Folder,
    EntryKind::Symlink,
    EntryKind::Hardlink,
    EntryKind::Fifo,
    EntryKind::Device,
    EntryKind::Table,
    EntryKind::Object,
];

/// The texts of the entry before, of which the next one has most again.
#[derive(Default)]
struct Before {
    path: Vec<u8>,
    user: Option<String>,
    group: Option<String>,
}

/// Writes entries into a file without a name.
pub(super) struct RunWriter {
    file: BufWriter<File>,
    before: Before,
    record: Vec<u8>,
}

impl RunWriter {
    pub(super) fn create() -> Result<Self> {
        let file = tempfile::tempfile().doing(doing)?;
        Ok(Self {
            file: BufWriter::with_capacity(BUFFER_BYTES, file),
            before: Before::default(),
            record: Vec::new(),
        })
    }

    /// The path of the last entry written.
    pub(super) fn last_path(&self) -> &[u8] {
        &self.before.path
    }

    pub(super) fn write(&mut self, entry: &Entry) -> Result<()> {
        let record = &mut self.record;
        record.clear();
        let shared = self
            .before
            .path
            .iter()
            .zip(&entry.path.0)
            .take_while(|(a, b)| a == b)
            .count();
        put(record, shared as u64);
        put_bytes(record, &entry.path.0[shared..]);
        let kind = KINDS.iter().position(|kind| *kind == entry.kind).unwrap_or(0);
        put(record, kind as u64);
        put(record, entry.size);
        for number in [entry.mode, entry.uid, entry.gid] {
            put_option(record, number.map(u64::from));
        }
        put_option(record, entry.mtime.map(i64::cast_unsigned));
        put(record, u64::from(entry.mtime_nanos));
        put_option(record, entry.rows);
        for (text, before) in [
            (&entry.user, &mut self.before.user),
            (&entry.group, &mut self.before.group),
        ] {
            put(record, u64::from(text != before));
            if text != before {
                put_option_bytes(record, text.as_deref().map(str::as_bytes));
                before.clone_from(text);
            }
        }
        put_option_bytes(record, entry.link.as_ref().map(|link| link.0.as_slice()));
        self.before.path.clone_from(&entry.path.0);
        self.file.write_all(record).doing(doing)
    }

    pub(super) fn finish(self) -> Result<RunReader> {
        let mut file = self
            .file
            .into_inner()
            .map_err(std::io::IntoInnerError::into_error)
            .doing(doing)?;
        let bytes = file.stream_position().doing(doing)?;
        file.seek(SeekFrom::Start(0)).doing(doing)?;
        Ok(RunReader {
            file: BufReader::with_capacity(BUFFER_BYTES, file).take(bytes),
            before: Before::default(),
        })
    }
}

/// Reads them back.
pub(super) struct RunReader {
    file: std::io::Take<BufReader<File>>,
    before: Before,
}

impl RunReader {
    /// The next entry; `None` after the last.
    pub(super) fn read(&mut self) -> Result<Option<Entry>> {
        if self.file.limit() == 0 {
            return Ok(None);
        }
        let shared = self.length()?;
        let suffix = self.bytes()?;
        self.before.path.truncate(shared);
        self.before.path.extend_from_slice(&suffix);
        let kind = *KINDS.get(self.length()?).ok_or_else(broken)?;
        let size = self.number()?;
        let mut small = || Ok(self.option()?.and_then(|number| u32::try_from(number).ok()));
        let (mode, uid, gid): (Option<u32>, Option<u32>, Option<u32>) = (small()?, small()?, small()?);
        let mtime = self.option()?.map(u64::cast_signed);
        let mtime_nanos = u32::try_from(self.number()?).map_err(|_| broken())?;
        let rows = self.option()?;
        if self.number()? == 1 {
            self.before.user = self.text()?;
        }
        if self.number()? == 1 {
            self.before.group = self.text()?;
        }
        let link = self.option_bytes()?.map(RawPath);
        Ok(Some(Entry {
            size,
            mode,
            uid,
            gid,
            user: self.before.user.clone(),
            group: self.before.group.clone(),
            mtime,
            mtime_nanos,
            link,
            rows,
            ..Entry::new(kind, RawPath(self.before.path.clone()), 0..0)
        }))
    }

    fn number(&mut self) -> Result<u64> {
        let mut number = 0u64;
        for shift in (0..64).step_by(7) {
            let mut byte = [0];
            self.file.read_exact(&mut byte).doing(doing)?;
            number |= u64::from(byte[0] & 0x7f) << shift;
            if byte[0] & 0x80 == 0 {
                return Ok(number);
            }
        }
        Err(broken())
    }

    fn length(&mut self) -> Result<usize> {
        usize::try_from(self.number()?).map_err(|_| broken())
    }

    fn option(&mut self) -> Result<Option<u64>> {
        match self.number()? {
            0 => Ok(None),
            _ => self.number().map(Some),
        }
    }

    fn bytes(&mut self) -> Result<Vec<u8>> {
        let length = self.length()?;
        if length as u64 > self.file.limit() {
            return Err(broken());
        }
        let mut bytes = vec![0; length];
        self.file.read_exact(&mut bytes).doing(doing)?;
        Ok(bytes)
    }

    fn option_bytes(&mut self) -> Result<Option<Vec<u8>>> {
        match self.number()? {
            0 => Ok(None),
            _ => self.bytes().map(Some),
        }
    }

    fn text(&mut self) -> Result<Option<String>> {
        self.option_bytes()?
            .map(|bytes| String::from_utf8(bytes).map_err(|_| broken()))
            .transpose()
    }
}

fn doing() -> &'static str {
    "keep the entries of an index in a temporary file"
}

fn broken() -> Failure {
    Failure::new(Kind::Failed, "A temporary file does not hold what was written into it")
        .hint("Look after the disk that holds the temporary folder, or set TMPDIR to another one")
}

/// Seven bits at a time, the lowest first.
fn put(record: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        record.push(number as u8 | 0x80);
        number >>= 7;
    }
    record.push(number as u8);
}

fn put_option(record: &mut Vec<u8>, number: Option<u64>) {
    put(record, u64::from(number.is_some()));
    if let Some(number) = number {
        put(record, number);
    }
}

fn put_bytes(record: &mut Vec<u8>, bytes: &[u8]) {
    put(record, bytes.len() as u64);
    record.extend_from_slice(bytes);
}

fn put_option_bytes(record: &mut Vec<u8>, bytes: Option<&[u8]>) {
    put(record, u64::from(bytes.is_some()));
    if let Some(bytes) = bytes {
        put_bytes(record, bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_field_that_is_compared_comes_back() {
        let full = |path: &[u8], kind| Entry {
            size: u64::MAX,
            mode: Some(0o7777),
            uid: Some(u32::MAX),
            gid: Some(0),
            user: Some("me".to_owned()),
            group: None,
            mtime: Some(-5),
            mtime_nanos: 999_999_999,
            link: Some(RawPath(b"\xff\n".to_vec())),
            rows: Some(1 << 40),
            ..Entry::new(kind, RawPath(path.to_vec()), 0..0)
        };
        let mut entries: Vec<Entry> = KINDS.iter().map(|kind| full(b"www/\xfe\n", *kind)).collect();
        entries.push(full(b"www", EntryKind::Folder));
        entries.push(Entry::new(EntryKind::File, RawPath(b"x".to_vec()), 0..0));
        let mut writer = RunWriter::create().unwrap();
        for entry in &entries {
            writer.write(entry).unwrap();
        }
        assert_eq!(writer.last_path(), b"x");
        let mut reader = writer.finish().unwrap();
        for entry in &entries {
            assert_eq!(reader.read().unwrap().as_ref(), Some(entry));
        }
        assert_eq!(reader.read().unwrap(), None);
    }
}
