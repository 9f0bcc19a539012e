//! Members of every codec: how one is made and proved, and how one is read and checked.
//!
//! The gzip member is in [`super::member`].

use libdeflater::Crc;

use super::member::{self, MEMBER_PLAIN_BYTES_MAX, MEMBER_STORED_BYTES_MAX, MemberMaker, MemberReader};
use crate::base::failure::{Failure, Kind, Result};
use crate::catalog::codec::Codec;

pub mod frame;

use frame::{FRAME_STORED_BYTES_MAX, FRAME_STORED_BYTES_MIN, FrameMaker, FrameReader};

/// The longest stored member of any codec, in bytes: how large the buffers for them are.
pub const STORED_BYTES_MAX: usize = if FRAME_STORED_BYTES_MAX > MEMBER_STORED_BYTES_MAX {
    FRAME_STORED_BYTES_MAX
} else {
    MEMBER_STORED_BYTES_MAX
};

/// Whether a stored member of so many bytes, with so much plaintext, can be.
#[must_use]
pub fn is_possible(codec: Codec, plain_bytes: u32, stored_bytes: u32) -> bool {
    let (plain, stored) = (plain_bytes as usize, stored_bytes as usize);
    plain <= MEMBER_PLAIN_BYTES_MAX
        && match codec {
            Codec::Gzip => (member::MEMBER_STORED_BYTES_MIN..=MEMBER_STORED_BYTES_MAX).contains(&stored),
            Codec::Zstd => (FRAME_STORED_BYTES_MIN..=FRAME_STORED_BYTES_MAX).contains(&stored),
            Codec::None => stored == plain,
        }
}

/// The fault of a codec or of memory, found while a member was made.
fn fault(what: &str) -> Failure {
    Failure::new(
        Kind::Failed,
        format!("A codec or memory fault: {what} while compressing"),
    )
    .hint("Test this machine's memory, then run the backup again")
}

/// A member that was made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Made {
    /// Its length in bytes.
    pub stored_bytes: usize,
    /// CRC-32 of its plaintext, if it does not hold a checksum itself.
    pub crc32: Option<u32>,
}

/// Makes members of one codec, and proves each before it is let out.
pub enum Maker {
    /// Gzip members.
    Gzip(MemberMaker),
    /// Zstandard frames.
    Zstd(FrameMaker),
    /// Pieces of the plaintext as it is.
    None,
}

impl Maker {
    /// A maker for one of the codec's levels.
    ///
    /// # Errors
    /// [`Kind::Usage`] for any other level.
    pub fn new(codec: Codec, level: u32) -> Result<Self> {
        match codec {
            Codec::Gzip => MemberMaker::new(level).map(Self::Gzip),
            Codec::Zstd => FrameMaker::new(level).map(Self::Zstd),
            Codec::None => Ok(Self::None),
        }
    }

    /// Makes one member of at most [`MEMBER_PLAIN_BYTES_MAX`] bytes at the start of `stored`, which is
    /// [`STORED_BYTES_MAX`] long.
    ///
    /// # Errors
    /// If the member does not give the plaintext back.
    pub fn make(&mut self, plain: &[u8], stored: &mut [u8]) -> Result<Made> {
        let held = |stored_bytes| Made {
            stored_bytes,
            crc32: None,
        };
        match self {
            Self::Gzip(maker) => maker.make(plain, stored).map(held),
            Self::Zstd(maker) => maker.make(plain, stored).map(held),
            Self::None => copy(plain, stored),
        }
    }
}

fn copy(plain: &[u8], stored: &mut [u8]) -> Result<Made> {
    let Some(copy) = stored.get_mut(..plain.len()) else {
        return Err(fault("a member was given a buffer of the wrong size"));
    };
    copy.copy_from_slice(plain);
    let crc32 = crc32_of(plain);
    match crc32_of(copy) == crc32 {
        true => Ok(Made {
            stored_bytes: plain.len(),
            crc32: Some(crc32),
        }),
        false => Err(fault("a copy is not its original")),
    }
}

/// What is known of a member before it is read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Expected {
    /// The length of its plaintext in bytes.
    pub plain_bytes: Option<u32>,
    /// CRC-32 of its plaintext.
    pub crc32: Option<u32>,
}

/// Reads whole members of every codec.
#[derive(Default)]
pub struct Reader {
    gzip: MemberReader,
    zstd: FrameReader,
}

impl Reader {
    /// Reads one whole member of ours into the start of `plain`, which is [`MEMBER_PLAIN_BYTES_MAX`] long, and checks it.
    /// Returns the plaintext's length.
    ///
    /// # Errors
    /// What is wrong with the member, as the end of a sentence.
    pub fn read(
        &mut self,
        codec: Codec,
        stored: &[u8],
        plain: &mut [u8],
        expected: Expected,
    ) -> Result<usize, &'static str> {
        let bytes = match codec {
            Codec::Gzip => self.gzip.read(stored, plain)?,
            Codec::Zstd => self.zstd.read(stored, plain)?,
            Codec::None => match plain.get_mut(..stored.len()) {
                Some(plain) => {
                    plain.copy_from_slice(stored);
                    stored.len()
                }
                None => return Err("it is longer than a member may be"),
            },
        };
        if expected.plain_bytes.is_some_and(|expected| expected as usize != bytes) {
            return Err("it holds another length of plaintext");
        }
        match expected.crc32 {
            Some(crc32) if crc32 != crc32_of(&plain[..bytes]) => Err("its checksum is wrong"),
            _ => Ok(bytes),
        }
    }
}

fn crc32_of(bytes: &[u8]) -> u32 {
    let mut crc = Crc::new();
    crc.update(bytes);
    crc.sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_codec_gives_back_what_it_was_given() {
        for codec in Codec::ALL {
            let mut maker = Maker::new(codec, codec.level_default()).unwrap();
            let mut reader = Reader::default();
            let mut stored = vec![0; STORED_BYTES_MAX];
            let mut plain = vec![0; MEMBER_PLAIN_BYTES_MAX];
            for content in [&b""[..], b"x", &[7; MEMBER_PLAIN_BYTES_MAX]] {
                let made = maker.make(content, &mut stored).unwrap();
                assert!(is_possible(codec, content.len() as u32, made.stored_bytes as u32));
                let expected = Expected {
                    plain_bytes: Some(content.len() as u32),
                    crc32: made.crc32,
                };
                let stored = &stored[..made.stored_bytes];
                let bytes = reader.read(codec, stored, &mut plain, expected).unwrap();
                assert_eq!(&plain[..bytes], content, "{codec}");
                let other = Expected {
                    plain_bytes: Some(content.len() as u32 + 1),
                    ..expected
                };
                assert!(reader.read(codec, stored, &mut plain, other).is_err());
            }
        }
    }

    #[test]
    fn a_flipped_bit_of_a_piece_is_told_by_its_checksum() {
        let mut stored = vec![0; STORED_BYTES_MAX];
        let made = Maker::None.make(b"some content", &mut stored).unwrap();
        let mut plain = vec![0; MEMBER_PLAIN_BYTES_MAX];
        stored[3] ^= 1;
        let expected = Expected {
            plain_bytes: None,
            crc32: made.crc32,
        };
        let read = Reader::default().read(Codec::None, &stored[..made.stored_bytes], &mut plain, expected);
        assert_eq!(read, Err("its checksum is wrong"));
    }
}
