//! The gzip member: its bytes, how one is made, and how one is read and checked.
//!
//! A member is RFC 1952 with no name, no time, no operating system, and one extra field with one subfield `BK`, which holds
//! the member's whole length, header and trailer included, as a 32-bit little-endian number:
//!
//! | offset | bytes | what |
//! |---|---|---|
//! | 0 | `1f 8b 08 04` | gzip, deflate, extra field present |
//! | 4 | `00 00 00 00` | no time |
//! | 8 | `00 ff` | no extra flags, unknown operating system |
//! | 10 | `08 00` | length of the extra field |
//! | 12 | `42 4b 04 00` | subfield `BK`, 4 bytes |
//! | 16 | 4 bytes | length of the member |
//! | 20 | … | deflate data |
//! | length − 8 | 4 bytes | CRC-32 of the plaintext |
//! | length − 4 | 4 bytes | length of the plaintext |
//!
//! The same plaintext at the same level gives the same bytes, whoever makes them.

mod variety;

use libdeflater::{CompressionLvl, Compressor, Crc, Decompressor};
use memchr::memmem;

use crate::base::failure::{Failure, Kind, Result};

/// The most plaintext that one member holds, in bytes: small enough to fetch one file by itself, large enough that cutting
/// costs less than one percent of the ratio.
pub const MEMBER_PLAIN_BYTES_MAX: usize = 1024 * 1024;

/// The length of a member's header in bytes.
pub const MEMBER_HEADER_BYTES: usize = 20;

/// The length of a member's trailer in bytes.
pub const MEMBER_TRAILER_BYTES: usize = 8;

/// The shortest member: header, trailer and an empty final block.
pub const MEMBER_STORED_BYTES_MIN: usize = MEMBER_HEADER_BYTES + MEMBER_TRAILER_BYTES + 2;

/// The longest member. Plaintext that cannot be compressed is stored in blocks of at least 5,000 bytes with 5 bytes of
/// overhead each, which is some 1,050 bytes for a full member; the rest is room for other encoders of this format.
pub const MEMBER_STORED_BYTES_MAX: usize = MEMBER_PLAIN_BYTES_MAX + 4096;

/// The levels that there are, from fast to small.
pub const LEVELS: std::ops::RangeInclusive<u32> = 1..=12;

/// The level used where nobody chose one.
pub const LEVEL_DEFAULT: u32 = 6;

const FIXED: [u8; 16] = [
    0x1f, 0x8b, 0x08, 0x04, 0, 0, 0, 0, 0x00, 0xff, 0x08, 0x00, b'B', b'K', 0x04, 0x00,
];

/// What the first bytes of a member say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Header {
    /// One of our members, of so many bytes in all; the number is as it stands there and may be a lie.
    Ours {
        /// The member's length in bytes, header and trailer included.
        stored_bytes: u32,
    },
    /// Another gzip member, whose length nobody knows.
    Foreign,
    /// Not gzip.
    Other,
}

/// Looks at the first bytes of what may be a member: [`MEMBER_HEADER_BYTES`], or all there are.
#[must_use]
pub fn parse_header(bytes: &[u8]) -> Header {
    if bytes.len() < 2 || bytes[..2] != FIXED[..2] {
        return Header::Other;
    }
    match bytes.first_chunk::<MEMBER_HEADER_BYTES>() {
        // The time and the two bytes after it say nothing about the layout.
        Some(header) if header[..4] == FIXED[..4] && header[10..16] == FIXED[10..] => Header::Ours {
            stored_bytes: u32::from_le_bytes([header[16], header[17], header[18], header[19]]),
        },
        _ => Header::Foreign,
    }
}

/// Makes members, and proves each before it is let out.
///
/// At the default level, plaintext of much variety is compressed at the level below it: there a deeper search for
/// repetitions costs a quarter more time and finds one percent or nothing.
pub struct MemberMaker {
    compressor: Compressor,
    /// For plaintext of much variety, where that is told apart.
    compressor_of_variety: Option<Compressor>,
    checker: MemberReader,
    inflated: Vec<u8>,
}

fn compressor(level: u32) -> Result<Compressor> {
    i32::try_from(level)
        .ok()
        .filter(|_| LEVELS.contains(&level))
        .and_then(|level| CompressionLvl::new(level).ok())
        .map(Compressor::new)
        .ok_or_else(|| {
            Failure::new(Kind::Usage, format!("There is no compression level {level}")).hint(format!(
                "Choose a level from {} (fast) to {} (small); {LEVEL_DEFAULT} is the default",
                LEVELS.start(),
                LEVELS.end()
            ))
        })
}

impl MemberMaker {
    /// A maker for one of the [`LEVELS`].
    ///
    /// # Errors
    /// [`Kind::Usage`] for any other level.
    pub fn new(level: u32) -> Result<Self> {
        Ok(Self {
            compressor: compressor(level)?,
            compressor_of_variety: (level == LEVEL_DEFAULT)
                .then(|| compressor(LEVEL_DEFAULT - 1))
                .transpose()?,
            checker: MemberReader::new(),
            inflated: vec![0; MEMBER_PLAIN_BYTES_MAX],
        })
    }

    /// Makes one member of at most [`MEMBER_PLAIN_BYTES_MAX`] bytes at the start of `stored`, which is
    /// [`MEMBER_STORED_BYTES_MAX`] long, and returns its length.
    ///
    /// The member is inflated and compared with its plaintext before this returns, by the same steps by which it will be
    /// read: a bug in the codec or bad memory is found while the source is still there.
    ///
    /// # Errors
    /// If the member does not give the plaintext back.
    pub fn make(&mut self, plain: &[u8], stored: &mut [u8]) -> Result<usize> {
        let fault = |what: &str| {
            Failure::new(
                Kind::Failed,
                format!("A codec or memory fault: {what} while compressing"),
            )
            .hint("Test this machine's memory, then run the backup again")
        };
        if plain.len() > MEMBER_PLAIN_BYTES_MAX || stored.len() < MEMBER_STORED_BYTES_MAX {
            return Err(fault("a member was given buffers of the wrong size"));
        }
        let body_end = stored.len() - MEMBER_TRAILER_BYTES;
        let compressor = match &mut self.compressor_of_variety {
            Some(quick) if variety::is_great(plain) => quick,
            _ => &mut self.compressor,
        };
        let body_bytes = compressor
            .deflate_compress(plain, &mut stored[MEMBER_HEADER_BYTES..body_end])
            .map_err(|error| fault("a member became too long").caused_by(error))?;
        let trailer = MEMBER_HEADER_BYTES + body_bytes;
        let total = trailer + MEMBER_TRAILER_BYTES;
        stored[..16].copy_from_slice(&FIXED);
        stored[16..20].copy_from_slice(&(total as u32).to_le_bytes());
        stored[trailer..trailer + 4].copy_from_slice(&crc32_of(plain).to_le_bytes());
        stored[trailer + 4..total].copy_from_slice(&(plain.len() as u32).to_le_bytes());
        match self.checker.read(&stored[..total], &mut self.inflated) {
            Ok(count) if self.inflated[..count] == *plain => Ok(total),
            Ok(_) => Err(fault("a member inflates to other bytes than its plaintext")),
            Err(reason) => Err(fault(&format!("a member does not inflate ({reason})"))),
        }
    }
}

/// Reads whole members of ours.
pub struct MemberReader {
    decompressor: Decompressor,
}

impl Default for MemberReader {
    fn default() -> Self {
        Self::new()
    }
}

impl MemberReader {
    /// A reader with nothing read yet.
    #[must_use]
    pub fn new() -> Self {
        Self {
            decompressor: Decompressor::new(),
        }
    }

    /// Inflates one whole member of ours into the start of `plain`, which is [`MEMBER_PLAIN_BYTES_MAX`] long; checks its
    /// length, its CRC-32 and that nothing stands between its deflate data and its trailer. Returns the plaintext's length.
    ///
    /// # Errors
    /// What is wrong with the member, as the end of a sentence.
    pub fn read(&mut self, stored: &[u8], plain: &mut [u8]) -> std::result::Result<usize, &'static str> {
        let Header::Ours { stored_bytes } = parse_header(stored) else {
            return Err("its header is not ours");
        };
        if stored_bytes as usize != stored.len()
            || !(MEMBER_STORED_BYTES_MIN..=MEMBER_STORED_BYTES_MAX).contains(&stored.len())
        {
            return Err("its header lies about its length");
        }
        let (body, trailer) = stored[MEMBER_HEADER_BYTES..].split_at(stored.len() - MEMBER_HEADER_BYTES - 8);
        let crc = u32::from_le_bytes([trailer[0], trailer[1], trailer[2], trailer[3]]);
        let plain_bytes = u32::from_le_bytes([trailer[4], trailer[5], trailer[6], trailer[7]]) as usize;
        if plain_bytes > MEMBER_PLAIN_BYTES_MAX || plain_bytes > plain.len() {
            return Err("its trailer claims more plaintext than a member holds");
        }
        let plain = &mut plain[..plain_bytes];
        match self.decompressor.deflate_decompress(body, plain) {
            Ok(count) if count == plain_bytes => {}
            Ok(_) => return Err("it holds less plaintext than its trailer claims"),
            Err(_) => return Err("its deflate data is damaged"),
        }
        if crc32_of(plain) != crc {
            return Err("its checksum is wrong");
        }
        // The inflater stops at the end of the deflate data and does not say where that was. A header whose length covers
        // this member and a later one of the same content would hide the later one; then this member's own trailer stands
        // somewhere inside. That is next to never true of an honest member, so the exact check costs nothing.
        if memmem::find(body, trailer).is_some() && deflate_bytes_of(body) != Some(body.len() as u64) {
            return Err("its header lies about its length");
        }
        Ok(plain_bytes)
    }
}

fn crc32_of(bytes: &[u8]) -> u32 {
    let mut crc = Crc::new();
    crc.update(bytes);
    crc.sum()
}

/// How many bytes the deflate data at the start of `body` has; `None` if it has no end.
fn deflate_bytes_of(body: &[u8]) -> Option<u64> {
    let mut inflater = flate2::Decompress::new(false);
    let mut sink = vec![0u8; 64 * 1024];
    loop {
        let before = (inflater.total_in(), inflater.total_out());
        let at = usize::try_from(before.0).ok()?;
        match inflater.decompress(body.get(at..)?, &mut sink, flate2::FlushDecompress::None) {
            Ok(flate2::Status::StreamEnd) => return Some(inflater.total_in()),
            Ok(_) if (inflater.total_in(), inflater.total_out()) != before => {}
            _ => return None,
        }
    }
}

#[cfg(test)]
mod tests;
