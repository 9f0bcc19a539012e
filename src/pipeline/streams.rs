//! The compressed data of a backup, decrypted stream by stream: from beginning to end, or by ranges.

use std::collections::VecDeque;
use std::io::{self, Chain, Cursor, Read, Take};
use std::ops::Range;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use age::armor::ArmoredReader;

use super::crypt::{Chunks, Keys, OpenReader, Sealed, is_age, read_header};
use super::fetch::{FetchRange, Source};
use super::stop::Stop;
use super::stored::{StoredData, StoredStream};
use crate::base::failure::{Failure, Kind, Result, from_io, into_io};

/// How many bytes from its beginning tell whether something is encrypted.
const MAGIC_BYTES: u64 = 64;

/// How much of an encrypted stream is fetched first to find its header, in bytes; four times as much if it is longer.
const HEADER_BYTES: u64 = 8 * 1024;

/// One reader in two hands: the stream being read, and whoever wants it back.
struct Shared<R>(Arc<Mutex<R>>);

impl<R: Read> Read for Shared<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).read(buffer)
    }
}

type Piece<R> = Chain<Cursor<Vec<u8>>, Take<Shared<R>>>;

/// The same as text; the library buffers it itself.
type Armored<R> = ArmoredReader<io::BufReader<Piece<R>>>;

/// The stream being read.
enum Current<R: Read> {
    Plain(Piece<R>),
    Age(Box<OpenReader<Piece<R>>>),
    Armored(Box<OpenReader<Armored<R>>>),
}

/// A reader of the compressed data, one stream after the other. The end of file means that the end of every encrypted stream
/// was there.
pub struct StreamsReader<R: Read> {
    input: Arc<Mutex<R>>,
    current: Option<Current<R>>,
    left: VecDeque<u64>,
    data: StoredData,
}

impl<R: Read> StreamsReader<R> {
    /// Opens the data that `input` reads from its first stored byte on, and the first of its streams.
    ///
    /// # Errors
    /// [`Kind::WrongKey`] if it is encrypted and no key opens it; the input's own failures.
    pub fn open(input: R, data: StoredData) -> Result<Self> {
        let mut reader = Self {
            input: Arc::new(Mutex::new(input)),
            current: None,
            left: data.streams.iter().map(StoredStream::stored_bytes).collect(),
            data,
        };
        reader.open_next()?;
        Ok(reader)
    }

    /// Gives the input back; it is at its end if this is.
    ///
    /// # Errors
    /// Never while nobody else holds the input, which nobody does.
    pub fn into_inner(mut self) -> Result<R> {
        self.current = None;
        let input = Arc::try_unwrap(self.input)
            .map_err(|_| Failure::new(Kind::Failed, "The stored stream is still being read, which is a bug"))?;
        Ok(input.into_inner().unwrap_or_else(PoisonError::into_inner))
    }

    /// Opens the next stream; `false` after the last.
    fn open_next(&mut self) -> Result<bool> {
        self.current = None;
        let Some(bytes) = self.left.pop_front() else {
            return Ok(false);
        };
        let what = self.data.what.clone();
        let mut piece = Shared(self.input.clone()).take(bytes);
        let mut head = Vec::new();
        if self.data.is_encrypted != Some(false) {
            (&mut piece)
                .take(MAGIC_BYTES)
                .read_to_end(&mut head)
                .map_err(|error| from_io(format!("read {what}"), error))?;
        }
        let is_encrypted = self.data.is_encrypted.unwrap_or_else(|| is_age(&head));
        let is_armored = is_encrypted && head.first() == Some(&b'-');
        let piece = Cursor::new(head).chain(piece);
        self.current = Some(match (is_encrypted, is_armored) {
            (false, _) => Current::Plain(piece),
            (true, false) => Current::Age(Box::new(self.unlocked(piece)?)),
            (true, true) => {
                let input = ArmoredReader::new(piece);
                Current::Armored(Box::new(self.unlocked(input)?))
            }
        });
        Ok(true)
    }

    fn unlocked<I: Read>(&self, mut input: I) -> Result<OpenReader<I>> {
        let header = read_header(&mut input, &self.data.sealed())?;
        let unlocked = self.data.keys.unlock(header, &self.data.sealed())?;
        unlocked.reader(input, &self.data.what)
    }
}

impl<R: Read> Read for StreamsReader<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if buffer.is_empty() {
            return Ok(0);
        }
        loop {
            let count = match &mut self.current {
                None => return Ok(0),
                Some(Current::Plain(piece)) => piece.read(buffer)?,
                Some(Current::Age(reader)) => reader.read(buffer)?,
                Some(Current::Armored(reader)) => reader.read(buffer)?,
            };
            if count > 0 || !self.open_next().map_err(into_io)? {
                return Ok(count);
            }
        }
    }
}

/// The compressed data of a backup by ranges. Offsets count over all streams, before encryption.
pub(super) struct Compressed {
    source: Arc<Source>,
    streams: Vec<CompressedStream>,
    data: StoredData,
}

struct CompressedStream {
    /// Where it begins among the compressed bytes.
    start: u64,
    /// How many compressed bytes it has.
    bytes: u64,
    /// Where it lies among the stored bytes.
    stored: Range<u64>,
    chunks: OnceLock<Chunks>,
}

impl Compressed {
    /// Looks at the streams whose compressed length is not known, which needs their keys.
    pub(super) fn open(source: Arc<Source>, data: &StoredData, stop: &Stop) -> Result<Self> {
        let mut compressed = Self {
            source,
            streams: Vec::with_capacity(data.streams.len()),
            data: data.clone(),
        };
        let (mut start, mut stored_start) = (0u64, 0u64);
        for stream in &data.streams {
            let stored = stored_start..stored_start.saturating_add(stream.stored_bytes());
            stored_start = stored.end;
            let chunks = OnceLock::new();
            let bytes = match (data.is_encrypted, stream.compressed_bytes) {
                (Some(true), Some(bytes)) => bytes,
                (Some(true), None) => {
                    let opened = compressed.open_chunks(&stored, stop)?;
                    let bytes = opened.plain_bytes();
                    let _ = chunks.set(opened);
                    bytes
                }
                _ => stored.end - stored.start,
            };
            compressed.streams.push(CompressedStream {
                start,
                bytes,
                stored,
                chunks,
            });
            start = start.saturating_add(bytes);
        }
        Ok(compressed)
    }

    /// The length of all streams in bytes, compressed.
    pub(super) fn bytes(&self) -> u64 {
        self.streams
            .last()
            .map_or(0, |stream| stream.start.saturating_add(stream.bytes))
    }

    /// Finds the keys of the streams that hold the range: once for each, and before anything of it is wanted.
    pub(super) fn unlock(&self, range: &Range<u64>, stop: &Stop) -> Result<()> {
        if self.data.is_encrypted != Some(true) {
            return Ok(());
        }
        for stream in self.overlapping(range) {
            if stream.chunks.get().is_some() {
                continue;
            }
            let chunks = self.open_chunks(&stream.stored, stop)?;
            if chunks.plain_bytes() != stream.bytes {
                return Err(Failure::new(
                    Kind::Damaged,
                    format!("{} has another length than its manifest says", self.data.what),
                ));
            }
            let _ = stream.chunks.set(chunks);
        }
        Ok(())
    }

    fn overlapping<'a>(&'a self, range: &'a Range<u64>) -> impl Iterator<Item = &'a CompressedStream> {
        self.streams
            .iter()
            .filter(|stream| stream.start < range.end && stream.start.saturating_add(stream.bytes) > range.start)
    }

    /// Fetches the header of the stream that is stored at `stored`, and unlocks it.
    fn open_chunks(&self, stored: &Range<u64>, stop: &Stop) -> Result<Chunks> {
        let mut bytes = HEADER_BYTES;
        loop {
            let end = stored.end.min(stored.start.saturating_add(bytes));
            let mut head = Vec::new();
            self.source.fetch(stop, stored.start..end, &mut head)?;
            match read_header(&head[..], &self.data.sealed()) {
                Err(failure) if failure.kind() == Kind::Damaged && end < stored.end && bytes < HEADER_BYTES << 8 => {
                    bytes <<= 2;
                }
                header => {
                    let unlocked = self.data.keys.unlock(header?, &self.data.sealed())?;
                    return Chunks::new(unlocked, stored.end - stored.start, &self.data.what);
                }
            }
        }
    }
}

impl FetchRange for Compressed {
    fn fetch(&self, stop: &Stop, range: Range<u64>, buffer: &mut Vec<u8>) -> Result<()> {
        if self.data.is_encrypted != Some(true) {
            return self.source.fetch(stop, range, buffer);
        }
        buffer.clear();
        buffer.reserve_exact(usize::try_from(range.end - range.start).unwrap_or(usize::MAX));
        let mut stored = Vec::new();
        for stream in self.overlapping(&range) {
            let Some(chunks) = stream.chunks.get() else {
                return Err(Failure::new(
                    Kind::Failed,
                    "An encrypted stream was not unlocked, which is a bug",
                ));
            };
            let plain =
                range.start.max(stream.start) - stream.start..range.end.min(stream.start + stream.bytes) - stream.start;
            let within = chunks.stored_range(&plain);
            let place = stream.stored.start + within.start..stream.stored.start + within.end;
            self.source.fetch(stop, place, &mut stored)?;
            chunks.decrypt(&plain, &stored, buffer)?;
        }
        match buffer.len() as u64 == range.end - range.start {
            true => Ok(()),
            false => Err(Failure::new(
                Kind::Damaged,
                format!(
                    "{} ends before byte {} of its compressed content",
                    self.data.what, range.end
                ),
            )),
        }
    }
}

/// Decrypts something small that `input` reads from its first byte on, such as an index.
///
/// # Errors
/// [`Kind::WrongKey`] if no key opens it; the input's own failures.
pub fn decrypt<R: Read>(mut input: R, keys: &Keys, sealed: &Sealed<'_>) -> Result<OpenReader<R>> {
    let header = read_header(&mut input, sealed)?;
    keys.unlock(header, sealed)?.reader(input, sealed.what)
}
