//! The zstd member: its bytes, how one is made, and how one is read and checked.
//!
//! A member is a skippable frame and a Zstandard frame (RFC 8878), as the parallel tools of zstd write them:
//!
//! | offset | bytes | what |
//! |---|---|---|
//! | 0 | `50 2a 4d 18` | skippable frame |
//! | 4 | `04 00 00 00` | its content has 4 bytes |
//! | 8 | 4 bytes | length of the frame that follows |
//! | 12 | `28 b5 2f fd` | Zstandard frame, with the content's size and checksum |
//! | 16 | … | the rest of its header, its blocks, the checksum |
//!
//! The same plaintext at the same level, of one version of the library, gives the same bytes.

use zstd::bulk::{Compressor, Decompressor};
use zstd::zstd_safe;

use super::fault;
use crate::base::failure::{Failure, Kind, Result};
use crate::catalog::codec::Codec;
use crate::pipeline::member::MEMBER_PLAIN_BYTES_MAX;

/// The length of the skippable frame before a frame, in bytes.
const PREFIX_BYTES: usize = 12;

/// How many bytes from its beginning tell what a member is: the prefix, and the longest header of a frame.
pub const FRAME_HEAD_BYTES: usize = PREFIX_BYTES + 18;

/// The shortest member: the prefix, the shortest header with a size, one empty block, the checksum.
pub const FRAME_STORED_BYTES_MIN: usize = PREFIX_BYTES + 6 + 3 + 4;

/// The longest member: the prefix, and what the library says of a full member that cannot be compressed.
pub const FRAME_STORED_BYTES_MAX: usize = PREFIX_BYTES + MEMBER_PLAIN_BYTES_MAX + 4096;

const PREFIX: [u8; 8] = [0x50, 0x2a, 0x4d, 0x18, 0x04, 0, 0, 0];
const MAGIC: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];

/// The bits of a frame's descriptor: a dictionary's number follows, a checksum stands at the end, nothing is said.
const DICTIONARY_BITS: u8 = 0b11;
const CHECKSUM_BIT: u8 = 0b100;
const UNUSED_BITS: u8 = 0b1_1000;

/// What the first bytes of a member say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Head {
    /// One of our members, of so many bytes in all; the number is as it stands there and may be a lie.
    Ours {
        /// The member's length in bytes, prefix included.
        stored_bytes: u32,
    },
    /// Another frame, of any length.
    Foreign,
    /// Not Zstandard.
    Other,
}

/// Looks at the first bytes of what may be a member: [`FRAME_HEAD_BYTES`], or all there are.
#[must_use]
pub fn parse_head(bytes: &[u8]) -> Head {
    let is_skippable = matches!(bytes, [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..]);
    if !is_skippable && !bytes.starts_with(&MAGIC) {
        return Head::Other;
    }
    match (
        bytes.get(..PREFIX.len()),
        bytes.get(8..PREFIX_BYTES),
        bytes.get(PREFIX_BYTES..),
    ) {
        (Some(prefix), Some(length), Some(frame)) if prefix == PREFIX && is_ours(frame) => {
            let length = length.iter().rev().fold(0u32, |sum, byte| sum << 8 | u32::from(*byte));
            Head::Ours {
                stored_bytes: length.saturating_add(PREFIX_BYTES as u32),
            }
        }
        _ => Head::Foreign,
    }
}

/// Whether nothing but the beginning of one of our members is left: what it announces is missing.
#[must_use]
pub fn is_bare_prefix(rest: &[u8]) -> bool {
    rest.len() == PREFIX_BYTES && rest.starts_with(&PREFIX)
}

/// Whether a frame by its header can be read as one of ours: of known and small size, with a checksum.
fn is_ours(frame: &[u8]) -> bool {
    let descriptor = match frame.strip_prefix(&MAGIC) {
        Some([descriptor, ..]) => *descriptor,
        _ => return false,
    };
    descriptor & DICTIONARY_BITS == 0
        && descriptor & CHECKSUM_BIT != 0
        && descriptor & UNUSED_BITS == 0
        && plain_bytes_of(frame).is_some()
}

/// The length of a frame's plaintext by its header, if a member can hold it.
fn plain_bytes_of(frame: &[u8]) -> Option<usize> {
    let bytes = zstd_safe::get_frame_content_size(frame).ok().flatten()?;
    usize::try_from(bytes)
        .ok()
        .filter(|bytes| *bytes <= MEMBER_PLAIN_BYTES_MAX)
}

/// Makes members, and proves each before it is let out.
pub struct FrameMaker {
    compressor: Compressor<'static>,
    checker: FrameReader,
    plain: Vec<u8>,
}

impl FrameMaker {
    /// A maker for one of the levels of [`Codec::Zstd`].
    ///
    /// # Errors
    /// [`Kind::Usage`] for any other level.
    pub fn new(level: u32) -> Result<Self> {
        let levels = Codec::Zstd.levels();
        if !levels.contains(&level) {
            return Err(
                Failure::new(Kind::Usage, format!("There is no compression level {level}")).hint(format!(
                    "Choose a level from {} (fast) to {} (small); {} is the default",
                    levels.start(),
                    levels.end(),
                    Codec::Zstd.level_default()
                )),
            );
        }
        let make = || -> std::io::Result<Compressor<'static>> {
            let mut compressor = Compressor::new(i32::try_from(level).unwrap_or(i32::MAX))?;
            compressor.include_checksum(true)?;
            compressor.include_contentsize(true)?;
            compressor.include_dictid(false)?;
            Ok(compressor)
        };
        let compressor =
            make().map_err(|error| Failure::new(Kind::Failed, "Could not start the compressor").caused_by(error))?;
        Ok(Self {
            compressor,
            checker: FrameReader::default(),
            plain: vec![0; MEMBER_PLAIN_BYTES_MAX],
        })
    }

    /// Makes one member of at most [`MEMBER_PLAIN_BYTES_MAX`] bytes at the start of `stored`, which is
    /// [`FRAME_STORED_BYTES_MAX`] long, and returns its length.
    ///
    /// # Errors
    /// If the member does not give the plaintext back.
    pub fn make(&mut self, plain: &[u8], stored: &mut [u8]) -> Result<usize> {
        if plain.len() > MEMBER_PLAIN_BYTES_MAX || stored.len() < FRAME_STORED_BYTES_MAX {
            return Err(fault("a member was given buffers of the wrong size"));
        }
        let frame_bytes = self
            .compressor
            .compress_to_buffer(plain, &mut stored[PREFIX_BYTES..])
            .map_err(|error| fault("a member became too long").caused_by(error))?;
        let total = PREFIX_BYTES + frame_bytes;
        stored[..PREFIX.len()].copy_from_slice(&PREFIX);
        stored[PREFIX.len()..PREFIX_BYTES].copy_from_slice(&(frame_bytes as u32).to_le_bytes());
        match self.checker.read(&stored[..total], &mut self.plain) {
            Ok(count) if self.plain[..count] == *plain => Ok(total),
            Ok(_) => Err(fault("a member gives back other bytes than its plaintext")),
            Err(reason) => Err(fault(&format!("a member cannot be read back ({reason})"))),
        }
    }
}

/// Reads whole members of ours.
#[derive(Default)]
pub struct FrameReader {
    decompressor: Decompressor<'static>,
}

impl FrameReader {
    /// Reads one whole member of ours into the start of `plain`, which is [`MEMBER_PLAIN_BYTES_MAX`] long; checks its
    /// length and its checksum. Returns the plaintext's length.
    ///
    /// # Errors
    /// What is wrong with the member, as the end of a sentence.
    pub fn read(&mut self, stored: &[u8], plain: &mut [u8]) -> std::result::Result<usize, &'static str> {
        let Head::Ours { stored_bytes } = parse_head(stored) else {
            return Err("its header is not ours");
        };
        let frame = &stored[PREFIX_BYTES..];
        // One frame, not two: the decompressor would read both.
        if stored_bytes as usize != stored.len()
            || !(FRAME_STORED_BYTES_MIN..=FRAME_STORED_BYTES_MAX).contains(&stored.len())
            || zstd_safe::find_frame_compressed_size(frame) != Ok(frame.len())
        {
            return Err("its header lies about its length");
        }
        let plain = plain_bytes_of(frame)
            .and_then(|plain_bytes| plain.get_mut(..plain_bytes))
            .ok_or("its header claims more plaintext than a member holds")?;
        match self.decompressor.decompress_to_buffer(frame, plain) {
            Ok(count) if count == plain.len() => Ok(count),
            Ok(_) => Err("it holds less plaintext than its header claims"),
            Err(_) => Err("its data is damaged"),
        }
    }
}

#[cfg(test)]
mod tests;
