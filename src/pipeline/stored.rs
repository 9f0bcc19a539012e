//! The data of a backup as it is stored: streams of objects, how they are compressed, and with which keys they open.

use std::ops::Range;

use super::crypt::{Keys, Sealed, stored_range_in};
use super::download::StoredObject;
use crate::catalog::codec::Codec;

/// The data of a backup.
#[derive(Clone, Debug)]
pub struct StoredData {
    /// What it is, for messages: its name in backticks.
    pub what: String,
    /// Its streams, in the order in which their plaintexts make the whole.
    pub streams: Vec<StoredStream>,
    /// How it is compressed; `None` if its bytes are to tell.
    pub codec: Option<Codec>,
    /// Whether it is encrypted; `None` if its bytes are to tell.
    pub is_encrypted: Option<bool>,
    /// For whom, where that is known.
    pub recipients: Vec<String>,
    /// With which keys it is opened.
    pub keys: Keys,
}

/// One stream of a backup: an age file of its own, if the backup is encrypted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StoredStream {
    /// Its objects, in the order in which `cat` joins them.
    pub objects: Vec<StoredObject>,
    /// Its length in bytes, compressed and not encrypted, where that is known.
    pub compressed_bytes: Option<u64>,
    /// The length of its plaintext in bytes, where that is known.
    pub plain_bytes: Option<u64>,
    /// SHA-256 of its plaintext, where that is known.
    pub plain_sha256: Option<[u8; 32]>,
}

impl StoredStream {
    /// Its stored length in bytes.
    #[must_use]
    pub fn stored_bytes(&self) -> u64 {
        self.objects
            .iter()
            .fold(0, |sum, object| sum.saturating_add(object.bytes))
    }
}

impl StoredData {
    /// Data that is not encrypted, in one stream.
    #[must_use]
    pub fn plain(objects: Vec<StoredObject>, codec: Option<Codec>) -> Self {
        let stream = StoredStream {
            objects,
            ..StoredStream::default()
        };
        Self {
            what: "the data".to_owned(),
            streams: vec![stream],
            codec,
            is_encrypted: Some(false),
            recipients: Vec::new(),
            keys: Keys::default(),
        }
    }

    /// All objects of all streams, in order.
    #[must_use]
    pub fn objects(&self) -> Vec<StoredObject> {
        self.streams
            .iter()
            .flat_map(|stream| stream.objects.iter().cloned())
            .collect()
    }

    /// The objects that hold a range of the compressed bytes, which counts over all streams; all of them where nobody knows
    /// which these are.
    #[must_use]
    pub fn objects_of(&self, compressed: &Range<u64>) -> Vec<&StoredObject> {
        self.known_objects_of(compressed)
            .unwrap_or_else(|| self.streams.iter().flat_map(|stream| &stream.objects).collect())
    }

    fn known_objects_of(&self, compressed: &Range<u64>) -> Option<Vec<&StoredObject>> {
        let is_encrypted = self.is_encrypted?;
        let (mut found, mut begin) = (Vec::new(), 0u64);
        for stream in &self.streams {
            let stored_bytes = stream.stored_bytes();
            let bytes = match is_encrypted {
                true => stream.compressed_bytes?,
                false => stored_bytes,
            };
            let end = begin.saturating_add(bytes);
            let within = compressed.start.clamp(begin, end) - begin..compressed.end.clamp(begin, end) - begin;
            begin = end;
            if within.is_empty() {
                continue;
            }
            let stored = match is_encrypted {
                true => stored_range_in(stored_bytes, bytes, &within)?,
                false => within,
            };
            let mut object_begin = 0u64;
            for object in &stream.objects {
                let object_end = object_begin.saturating_add(object.bytes);
                if object_begin < stored.end && stored.start < object_end {
                    found.push(object);
                }
                object_begin = object_end;
            }
        }
        Some(found)
    }

    pub(super) fn sealed(&self) -> Sealed<'_> {
        Sealed {
            what: &self.what,
            recipients: &self.recipients,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::Key;

    /// Two streams of three objects of 100,000 bytes each.
    fn data(is_encrypted: Option<bool>, compressed_bytes: Option<u64>) -> StoredData {
        let object = |name: String| StoredObject {
            key: Key::new(name),
            bytes: 100_000,
            sha256: None,
        };
        let stream = |number| StoredStream {
            objects: (0..3).map(|part| object(format!("{number}{part}"))).collect(),
            compressed_bytes,
            ..StoredStream::default()
        };
        StoredData {
            streams: vec![stream(0), stream(1)],
            is_encrypted,
            ..StoredData::plain(Vec::new(), None)
        }
    }

    fn names(data: &StoredData, range: Range<u64>) -> Vec<&str> {
        data.objects_of(&range)
            .iter()
            .map(|object| object.key.as_str())
            .collect()
    }

    #[test]
    fn a_range_of_the_compressed_bytes_lies_in_these_objects() {
        let plain = data(Some(false), None);
        assert_eq!(names(&plain, 0..1), ["00"]);
        assert_eq!(names(&plain, 99_999..100_001), ["00", "01"]);
        assert_eq!(names(&plain, 299_999..300_001), ["02", "10"]);
        assert_eq!(names(&plain, 599_999..u64::MAX), ["12"]);
        assert!(names(&plain, 600_000..700_000).is_empty());
        // A header of 200 bytes and five chunks, of which the second reaches from one object into the next.
        let compressed = 300_000 - 200 - 5 * 16;
        let sealed = data(Some(true), Some(compressed));
        assert_eq!(names(&sealed, 0..1), ["00"]);
        assert_eq!(names(&sealed, 65_535..65_536), ["00"]);
        assert_eq!(names(&sealed, 65_536..65_537), ["00", "01"]);
        assert_eq!(names(&sealed, compressed - 1..compressed + 1), ["02", "10"]);
    }

    #[test]
    fn where_nobody_knows_it_may_be_any_object() {
        for data in [
            data(None, None),
            data(Some(true), None),
            data(Some(true), Some(300_000)),
            data(Some(true), Some(u64::MAX)),
        ] {
            assert_eq!(names(&data, 1..2), ["00", "01", "02", "10", "11", "12"]);
        }
    }
}
