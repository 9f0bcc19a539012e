//! An age file addressed by its plaintext: which bytes of it are needed for a range, and what they hold.

use std::io::{self, Read, Seek, SeekFrom};
use std::ops::Range;
use std::sync::Arc;

use super::open::{Unlocked, damaged_payload, explain};
use super::{CHUNK_BYTES, Sealed, TAG_BYTES};
use crate::base::failure::{Failure, Kind, Result, from_io};

/// How much a chunk takes in the file, in bytes.
const STORED_CHUNK_BYTES: u64 = CHUNK_BYTES + TAG_BYTES;

/// An unlocked age file of known length.
pub struct Chunks {
    unlocked: Unlocked,
    plain_bytes: u64,
    what: String,
}

impl Chunks {
    /// The age file of `file_bytes` in all whose header was unlocked.
    ///
    /// # Errors
    /// [`Kind::Damaged`] if an age file cannot have that length.
    pub fn new(unlocked: Unlocked, file_bytes: u64, what: impl Into<String>) -> Result<Self> {
        let what = what.into();
        let payload_bytes = file_bytes.saturating_sub(unlocked.header_bytes());
        let chunk_count = payload_bytes.div_ceil(STORED_CHUNK_BYTES);
        match payload_bytes.checked_sub(chunk_count * TAG_BYTES) {
            Some(plain_bytes) if chunk_count > 0 => Ok(Self {
                unlocked,
                plain_bytes,
                what,
            }),
            _ => Err(Failure::new(
                Kind::Damaged,
                format!("The encrypted content of {what} is cut short"),
            )),
        }
    }

    /// The length of the plaintext in bytes.
    #[must_use]
    pub fn plain_bytes(&self) -> u64 {
        self.plain_bytes
    }

    /// Where in the file the chunks are that hold a range of the plaintext.
    #[must_use]
    pub fn stored_range(&self, plain: &Range<u64>) -> Range<u64> {
        chunks_of(self.unlocked.header_bytes(), self.plain_bytes, plain)
    }

    /// How much plaintext the whole chunks hold that fit into so many bytes of the file.
    #[must_use]
    pub fn plain_within(stored_bytes: u64) -> u64 {
        stored_bytes / STORED_CHUNK_BYTES * CHUNK_BYTES
    }

    /// Appends a range of the plaintext to `target`; `stored` is what the file holds in [`Chunks::stored_range`].
    ///
    /// A range that reaches to the end of the plaintext is right only if the last chunk is the last one.
    ///
    /// # Errors
    /// [`Kind::Damaged`] if a chunk is not what was encrypted in its place.
    pub fn decrypt(&self, plain: &Range<u64>, stored: &[u8], target: &mut Vec<u8>) -> Result<()> {
        if plain.is_empty() {
            return Ok(());
        }
        let sealed = Sealed {
            what: &self.what,
            recipients: &[],
        };
        let window = Window {
            header: self.unlocked.header(),
            begin: self.stored_range(plain).start,
            bytes: stored,
            position: 0,
        };
        let mut reader = self.unlocked.decrypt(window).map_err(|error| explain(error, &sealed))?;
        let mut copy = || -> io::Result<()> {
            if plain.start > 0 && plain.start.is_multiple_of(CHUNK_BYTES) {
                // To a byte inside the chunk first, which reads it: to seek to a chunk's first byte the library would look
                // at the end of the file, which is not at hand.
                reader.seek(SeekFrom::Start(plain.start + 1))?;
            }
            reader.seek(SeekFrom::Start(plain.start))?;
            let wanted = plain.end - plain.start;
            let before = target.len();
            (&mut reader).take(wanted).read_to_end(target)?;
            if ((target.len() - before) as u64) < wanted {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            if plain.end == self.plain_bytes {
                // The library says only now whether the last chunk was the last one.
                reader.read_to_end(&mut Vec::new())?;
            }
            Ok(())
        };
        copy().map_err(|error| from_io(format!("decrypt {}", self.what), damaged_payload(error, &self.what)))
    }
}

/// Where in an age file of `file_bytes` in all the chunks are that hold a range of its `plain_bytes`, for whoever has no key;
/// `None` if the two lengths cannot belong together.
#[must_use]
pub(in crate::pipeline) fn stored_range_in(
    file_bytes: u64,
    plain_bytes: u64,
    plain: &Range<u64>,
) -> Option<Range<u64>> {
    let tags_bytes = plain_bytes.div_ceil(CHUNK_BYTES).max(1) * TAG_BYTES;
    let header_bytes = file_bytes.checked_sub(plain_bytes)?.checked_sub(tags_bytes)?;
    Some(chunks_of(header_bytes, plain_bytes, plain))
}

fn chunks_of(header_bytes: u64, plain_bytes: u64, plain: &Range<u64>) -> Range<u64> {
    let begin = plain.start / CHUNK_BYTES * STORED_CHUNK_BYTES;
    let chunk_end = plain.end.div_ceil(CHUNK_BYTES);
    let end = match chunk_end * CHUNK_BYTES <= plain_bytes {
        true => chunk_end * STORED_CHUNK_BYTES,
        false => plain_bytes + chunk_end * TAG_BYTES,
    };
    header_bytes + begin..header_bytes + end
}

/// A file of which only the header and some bytes are at hand.
struct Window<'a> {
    header: Arc<[u8]>,
    /// Where in the file `bytes` begin.
    begin: u64,
    bytes: &'a [u8],
    position: u64,
}

impl Read for Window<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let header_bytes = self.header.len() as u64;
        let (part, begin) = match self.position < header_bytes {
            true => (&self.header[..], 0),
            false => (self.bytes, self.begin),
        };
        let at = self
            .position
            .checked_sub(begin)
            .and_then(|at| usize::try_from(at).ok())
            .ok_or(io::ErrorKind::InvalidInput)?;
        let left = part.get(at..).unwrap_or_default();
        let count = left.len().min(buffer.len());
        buffer[..count].copy_from_slice(&left[..count]);
        self.position += count as u64;
        Ok(count)
    }
}

impl Seek for Window<'_> {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.position = match to {
            SeekFrom::Start(position) => position,
            SeekFrom::Current(by) => self
                .position
                .checked_add_signed(by)
                .ok_or(io::ErrorKind::InvalidInput)?,
            SeekFrom::End(_) => return Err(io::ErrorKind::Unsupported.into()),
        };
        Ok(self.position)
    }
}
