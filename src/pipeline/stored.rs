//! The data of a backup as it is stored: streams of objects, how they are compressed, and with which keys they open.

use super::crypt::{Keys, Sealed};
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

    pub(super) fn sealed(&self) -> Sealed<'_> {
        Sealed {
            what: &self.what,
            recipients: &self.recipients,
        }
    }
}
