//! The digests of plaintext, one for each of its segments.

use sha2::{Digest, Sha256};

/// Takes the SHA-256 of each segment of what passes by.
pub(super) struct Segments {
    ends: std::vec::IntoIter<u64>,
    /// Where the segment being read ends; the last one goes on to the end.
    end: Option<u64>,
    position: u64,
    sha256: Sha256,
    done: Vec<[u8; 32]>,
}

impl Segments {
    /// Segments that end at these places, in order, and one more for what follows; one in all if there are none.
    pub(super) fn new(ends: Vec<u64>) -> Self {
        let mut ends = ends.into_iter();
        Self {
            end: ends.next(),
            ends,
            position: 0,
            sha256: Sha256::new(),
            done: Vec::new(),
        }
    }

    pub(super) fn update(&mut self, mut bytes: &[u8]) {
        self.close();
        while let Some(left) = self.end.map(|end| end.saturating_sub(self.position))
            && left < bytes.len() as u64
        {
            let (now, later) = bytes.split_at(usize::try_from(left).unwrap_or(bytes.len()));
            self.sha256.update(now);
            self.position += now.len() as u64;
            bytes = later;
            self.close();
        }
        self.sha256.update(bytes);
        self.position += bytes.len() as u64;
    }

    /// Ends every segment that ends here.
    fn close(&mut self) {
        while self.end.is_some_and(|end| end <= self.position) {
            self.done.push(self.sha256.finalize_reset().into());
            self.end = self.ends.next();
        }
    }

    /// The digests of all segments that were begun; what follows the last end only if there is something.
    pub(super) fn finish(&mut self) -> Vec<[u8; 32]> {
        self.close();
        let begun = self.done.is_empty() || self.end.is_some() || {
            let rest: [u8; 32] = self.sha256.clone().finalize().into();
            rest != <[u8; 32]>::from(Sha256::digest([]))
        };
        if begun {
            self.done.push(self.sha256.finalize_reset().into());
        }
        std::mem::take(&mut self.done)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pipeline::digest::sha256_of;

    fn segments(ends: &[u64], pieces: &[&[u8]]) -> Vec<[u8; 32]> {
        let mut segments = Segments::new(ends.to_vec());
        pieces.iter().for_each(|piece| segments.update(piece));
        segments.finish()
    }

    #[test]
    fn every_segment_has_its_own_digest_however_the_pieces_fall() {
        let of = |parts: &[&[u8]]| parts.iter().map(|part| sha256_of(part)).collect::<Vec<_>>();
        for pieces in [
            &[&b"abcdef"[..]][..],
            &[b"ab", b"cdef"],
            &[b"a", b"bc", b"d", b"e", b"f"],
            &[b"", b"abc", b"def"],
        ] {
            assert_eq!(segments(&[], pieces), of(&[b"abcdef"]));
            assert_eq!(segments(&[2, 6], pieces), of(&[b"ab", b"cdef"]));
            assert_eq!(segments(&[0, 2, 2, 6], pieces), of(&[b"", b"ab", b"", b"cdef"]));
            assert_eq!(segments(&[2, 5], pieces), of(&[b"ab", b"cde", b"f"]));
            assert_eq!(segments(&[2, 9], pieces), of(&[b"ab", b"cdef"]));
        }
        assert_eq!(segments(&[], &[]), of(&[b""]));
    }
}
