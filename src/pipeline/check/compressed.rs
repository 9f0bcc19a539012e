//! The compressed bytes of a backup, stream by stream, decrypted as far as they can be.

use std::io::{self, Read};

use super::whole::WholeReader;
use crate::base::failure::{Failure, Kind, Result, from_io};
use crate::pipeline::crypt::{Chunks, read_header};
use crate::pipeline::stored::StoredData;

/// How much is decrypted at once, in bytes: a whole number of chunks. Where one of them is damaged they are tried alone.
const BATCH_BYTES: u64 = 16 * CHUNK_BYTES;

/// What a chunk of an age file holds.
const CHUNK_BYTES: u64 = 64 * 1024;

/// A reader of one stream after the other: the end of file is the end of a stream. Where bytes cannot be decrypted it gives
/// zeros, so that what follows stays in its place.
pub(super) struct CompressedReader {
    stored: WholeReader,
    data: StoredData,
    next: usize,
    current: Current,
    /// Parts of the encrypted content that could not be decrypted.
    pub(super) undecrypted: u64,
}

enum Current {
    /// So many bytes, as they are stored.
    Plain(u64),
    /// So many zeros, for a stream whose header is damaged.
    Lost(u64),
    Age(Box<Age>),
}

struct Age {
    chunks: Chunks,
    /// Where in the stream the next batch begins.
    position: u64,
    stored: Vec<u8>,
    plain: Vec<u8>,
    consumed: usize,
}

impl CompressedReader {
    pub(super) fn new(stored: WholeReader, data: StoredData) -> Self {
        Self {
            stored,
            data,
            next: 0,
            current: Current::Plain(0),
            undecrypted: 0,
        }
    }

    /// Goes on to the next stream, whose number it returns; `None` after the last. The one before has been read to its end.
    ///
    /// # Errors
    /// [`Kind::WrongKey`]; the store's failures.
    pub(super) fn next_stream(&mut self) -> Result<Option<usize>> {
        let Some(stream) = self.data.streams.get(self.next) else {
            return Ok(None);
        };
        let stored_bytes = stream.stored_bytes();
        let number = self.next;
        self.next += 1;
        if self.data.is_encrypted != Some(true) {
            self.current = Current::Plain(stored_bytes);
            return Ok(Some(number));
        }
        let compressed_bytes = stream.compressed_bytes;
        let sealed = self.data.sealed();
        let mut input = Counting {
            inner: (&mut self.stored).take(stored_bytes),
            count: 0,
        };
        let opened = read_header(&mut input, &sealed).and_then(|header| self.data.keys.unlock(header, &sealed));
        let read = input.count;
        let opened = opened.and_then(|unlocked| Chunks::new(unlocked, stored_bytes, &self.data.what));
        self.current = match opened {
            Ok(chunks) => Current::Age(Box::new(Age {
                chunks,
                position: 0,
                stored: Vec::new(),
                plain: Vec::new(),
                consumed: 0,
            })),
            Err(failure) if failure.kind() == Kind::Damaged => {
                self.undecrypted += 1;
                // Its bytes have digests all the same.
                self.stored.skip(stored_bytes - read)?;
                Current::Lost(compressed_bytes.unwrap_or(0))
            }
            Err(failure) => return Err(failure),
        };
        Ok(Some(number))
    }

    /// Goes past what is left of the stream, and returns how much that was.
    ///
    /// # Errors
    /// The store's failures.
    pub(super) fn skip_rest(&mut self) -> Result<u64> {
        match &mut self.current {
            Current::Plain(left) => {
                let skipped = self.stored.skip(*left)?;
                *left -= skipped;
                Ok(skipped)
            }
            Current::Lost(left) => Ok(std::mem::take(left)),
            Current::Age(age) => {
                let begin = age.position - (age.plain.len() - age.consumed) as u64;
                loop {
                    self.undecrypted += age.skip_missing(&mut self.stored)?;
                    if age.position == age.chunks.plain_bytes() {
                        break;
                    }
                    self.undecrypted += age.decrypt_next(&mut self.stored).map_err(read_failure)?;
                }
                age.consumed = age.plain.len();
                Ok(age.position - begin)
            }
        }
    }

    pub(super) fn into_stored(self) -> WholeReader {
        self.stored
    }
}

impl Read for CompressedReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match &mut self.current {
            Current::Plain(left) => {
                let count = usize::try_from(*left).unwrap_or(usize::MAX).min(buffer.len());
                let read = self.stored.read(&mut buffer[..count])?;
                *left -= read as u64;
                Ok(read)
            }
            Current::Lost(left) => {
                let count = usize::try_from(*left).unwrap_or(usize::MAX).min(buffer.len());
                buffer[..count].fill(0);
                *left -= count as u64;
                Ok(count)
            }
            Current::Age(age) => {
                if age.consumed == age.plain.len() {
                    self.undecrypted += age.decrypt_next(&mut self.stored)?;
                }
                let unread = &age.plain[age.consumed..];
                let count = unread.len().min(buffer.len());
                buffer[..count].copy_from_slice(&unread[..count]);
                age.consumed += count;
                Ok(count)
            }
        }
    }
}

impl Age {
    /// Goes past the chunks of which nothing is there, and returns how many those are.
    fn skip_missing(&mut self, input: &mut WholeReader) -> Result<u64> {
        let end = self.chunks.plain_bytes();
        let missing = input.missing_bytes();
        let rest = self.chunks.stored_range(&(self.position..end));
        let skipped_end = match missing >= rest.end - rest.start {
            true => end,
            false => end.min(self.position + Chunks::plain_within(missing)),
        };
        if skipped_end == self.position {
            return Ok(0);
        }
        let stored = self.chunks.stored_range(&(self.position..skipped_end));
        input.skip(stored.end - stored.start)?;
        let chunks = (skipped_end - self.position).div_ceil(CHUNK_BYTES);
        self.position = skipped_end;
        Ok(chunks)
    }

    /// Decrypts what comes next; returns how many chunks could not be.
    fn decrypt_next(&mut self, input: &mut WholeReader) -> io::Result<u64> {
        self.consumed = 0;
        self.plain.clear();
        let end = self.chunks.plain_bytes().min(self.position + BATCH_BYTES);
        let range = self.position..end;
        if range.is_empty() {
            return Ok(0);
        }
        let stored = self.chunks.stored_range(&range);
        self.stored.clear();
        input.take(stored.end - stored.start).read_to_end(&mut self.stored)?;
        self.position = end;
        if self.chunks.decrypt(&range, &self.stored, &mut self.plain).is_ok() {
            return Ok(0);
        }
        self.plain.clear();
        let mut damaged = 0;
        let mut at = range.start;
        while at < range.end {
            let chunk = at..range.end.min(at + CHUNK_BYTES);
            let place = self.chunks.stored_range(&chunk);
            let begin = usize::try_from(place.start - stored.start).unwrap_or(usize::MAX);
            let end = usize::try_from(place.end - stored.start).unwrap_or(usize::MAX);
            let before = self.plain.len();
            let bytes = self.stored.get(begin..end).unwrap_or_default();
            if self.chunks.decrypt(&chunk, bytes, &mut self.plain).is_err() {
                damaged += 1;
                self.plain.truncate(before);
                let length = usize::try_from(chunk.end - chunk.start).unwrap_or(0);
                self.plain.resize(before + length, 0);
            }
            at = chunk.end;
        }
        Ok(damaged)
    }
}

/// Counts what is read.
struct Counting<R> {
    inner: R,
    count: u64,
}

impl<R: Read> Read for Counting<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buffer)?;
        self.count += count as u64;
        Ok(count)
    }
}

/// What a reader fails with that others stop.
pub(super) fn read_failure(error: io::Error) -> Failure {
    from_io("read the stored stream", error)
}
