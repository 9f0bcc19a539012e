//! Reads a backup's objects as one stream, by several ranged requests at once, and checks them at the end.

use std::io::{self, Read};
use std::sync::Arc;

use sha2::{Digest, Sha256};

use super::fetch::{Fetcher, Source, wrong_length};
use crate::base::cancel::Cancel;
use crate::base::failure::{Failure, Kind, Result, into_io};
use crate::base::report::Reporter;
use crate::base::units::MIB;
use crate::store::{Key, Store};

/// How much one request asks for by default, in bytes: large enough that the wait for the first byte is small beside it.
pub const BLOCK_BYTES_DEFAULT: u64 = 4 * MIB;

/// How many requests run at once by default. With the block being read they hold 20 MiB.
pub const IN_FLIGHT_DEFAULT: usize = 4;

/// An object as it should be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredObject {
    /// Its key.
    pub key: Key,
    /// Its length in bytes.
    pub bytes: u64,
    /// Its SHA-256, where it is known.
    pub sha256: Option<[u8; 32]>,
}

/// How objects are read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DownloadOptions {
    /// How much one request asks for, in bytes.
    pub block_bytes: u64,
    /// How many requests run at once.
    pub in_flight: usize,
}

impl Default for DownloadOptions {
    fn default() -> Self {
        Self {
            block_bytes: BLOCK_BYTES_DEFAULT,
            in_flight: IN_FLIGHT_DEFAULT,
        }
    }
}

/// A reader of all objects, joined in order.
///
/// The end of file means that every byte was read; whether they were the right ones, [`ObjectsReader::verify`] says.
pub struct ObjectsReader {
    source: Arc<Source>,
    fetcher: Fetcher,
    block: Option<Vec<u8>>,
    consumed: usize,
    hashing: Sha256,
    hashed_bytes: u64,
    sha256s: Vec<[u8; 32]>,
}

impl ObjectsReader {
    /// A reader that begins to fetch with the first read.
    pub fn new(
        store: Arc<dyn Store>,
        objects: Vec<StoredObject>,
        options: &DownloadOptions,
        cancel: Cancel,
        reporter: Arc<dyn Reporter>,
    ) -> Self {
        let source = Arc::new(Source::new(store, objects, reporter));
        let total = source.bytes();
        let block_bytes = options.block_bytes.max(1);
        let mut at = 0u64;
        let ranges = std::iter::from_fn(move || {
            let range = at..total.min(at.saturating_add(block_bytes));
            at = range.end;
            (!range.is_empty()).then_some(range)
        });
        let fetcher = Fetcher::new(source.clone(), Box::new(ranges), options, &cancel);
        Self {
            source,
            fetcher,
            block: None,
            consumed: 0,
            hashing: Sha256::new(),
            hashed_bytes: 0,
            sha256s: Vec::new(),
        }
    }

    /// Says, after the end of file, whether the objects were what they should be.
    ///
    /// # Errors
    /// [`Kind::Damaged`] if not all bytes were read, an object is longer than it should be, or its SHA-256 is another.
    pub fn verify(&mut self) -> Result<()> {
        self.close_objects();
        let source = &self.source;
        if self.sha256s.len() != source.objects().len() {
            return Err(Failure::new(
                Kind::Damaged,
                "The backup's objects were not read to their end",
            ));
        }
        for (object, sha256) in source.objects().iter().zip(&self.sha256s) {
            if object.sha256.is_some_and(|expected| expected != *sha256) {
                return Err(Failure::new(
                    Kind::Damaged,
                    format!("The content of the object `{}` is not what was backed up", object.key),
                )
                .caused_by(anyhow::anyhow!(
                    "Its SHA-256 is {} instead of {}",
                    hex::encode(sha256),
                    hex::encode(object.sha256.unwrap_or_default())
                ))
                .hint("Restore another backup, or an older version of the object if the bucket keeps versions"));
            }
            // What follows the expected end was never asked for.
            match source.store().head(&object.key)? {
                Some(meta) if meta.bytes == object.bytes => {}
                Some(meta) => return Err(wrong_length(object, meta.bytes)),
                None => {
                    return Err(Failure::new(
                        Kind::Damaged,
                        format!("The object `{}` was removed while it was read", object.key),
                    ));
                }
            }
        }
        Ok(())
    }

    /// Makes sure that there is an unread byte, unless the end is reached.
    fn advance(&mut self) -> Result<()> {
        if self.block.as_ref().is_some_and(|block| self.consumed < block.len()) {
            return Ok(());
        }
        if let Some(block) = self.block.take() {
            self.fetcher.recycle(block);
        }
        self.consumed = 0;
        self.block = self.fetcher.next_block()?;
        if let Some(block) = self.block.take() {
            self.hash(&block);
            self.block = Some(block);
        }
        Ok(())
    }

    fn hash(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            self.close_objects();
            let Some(object) = self.source.objects().get(self.sha256s.len()) else {
                return;
            };
            let left = usize::try_from(object.bytes - self.hashed_bytes).unwrap_or(usize::MAX);
            let (now, later) = bytes.split_at(left.min(bytes.len()));
            self.hashing.update(now);
            self.hashed_bytes += now.len() as u64;
            bytes = later;
        }
    }

    /// Takes the digest of every object of which all bytes are there.
    fn close_objects(&mut self) {
        while let Some(object) = self.source.objects().get(self.sha256s.len()) {
            if object.bytes != self.hashed_bytes {
                break;
            }
            self.sha256s.push(self.hashing.finalize_reset().into());
            self.hashed_bytes = 0;
        }
    }
}

impl Read for ObjectsReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if buffer.is_empty() {
            return Ok(0);
        }
        self.advance().map_err(into_io)?;
        let Some(block) = &self.block else {
            return Ok(0);
        };
        let unread = &block[self.consumed..];
        let count = unread.len().min(buffer.len());
        buffer[..count].copy_from_slice(&unread[..count]);
        self.consumed += count;
        Ok(count)
    }
}

#[cfg(test)]
mod tests;
