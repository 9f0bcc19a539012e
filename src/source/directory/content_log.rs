//! Writes down what the content of each restored file was in the archive, so that the files can be compared with it later.

use std::fs::File;
use std::io::{BufReader, BufWriter, Read, Seek, Write};
use std::sync::{Arc, Mutex, PoisonError};

use sha2::{Digest, Sha256};

use crate::base::failure::{Failure, IoContext, Kind, Result};

/// No path is longer than this; a record that says so is not one.
const PATH_BYTES_MAX: u32 = 1 << 20;

/// A log in a temporary file without a name. Clones write into the same.
#[derive(Clone, Debug)]
pub struct ContentLog(Arc<Mutex<BufWriter<File>>>);

/// The content of one file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LoggedContent {
    /// The file's path inside the archive, as it was restored.
    pub path: Vec<u8>,
    /// Its size in bytes, holes included.
    pub size: u64,
    /// SHA-256 of its content; `None` for a file with holes, which may be larger than can be read in a lifetime.
    pub sha256: Option<[u8; 32]>,
}

impl ContentLog {
    /// An empty log.
    ///
    /// # Errors
    /// If no temporary file can be made.
    pub fn new() -> Result<Self> {
        let file = tempfile::tempfile().doing(|| "make a temporary file")?;
        Ok(Self(Arc::new(Mutex::new(BufWriter::new(file)))))
    }

    /// Adds the content of a file.
    ///
    /// # Errors
    /// If the temporary file cannot be written.
    pub fn add(&self, content: &LoggedContent) -> Result<()> {
        let mut record = Vec::with_capacity(content.path.len() + 48);
        let length = u32::try_from(content.path.len()).unwrap_or(u32::MAX);
        record.extend_from_slice(&length.to_le_bytes());
        record.extend_from_slice(&content.path);
        record.extend_from_slice(&content.size.to_le_bytes());
        record.push(u8::from(content.sha256.is_some()));
        record.extend_from_slice(&content.sha256.unwrap_or_default());
        let mut file = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        file.write_all(&record).doing(|| "write to a temporary file")
    }

    /// Visits everything in the order in which it was written; nothing may be added meanwhile.
    ///
    /// # Errors
    /// If the file cannot be read; the visitor's own.
    pub fn visit(&self, mut visit: impl FnMut(LoggedContent) -> Result<()>) -> Result<()> {
        let doing = || "read a temporary file";
        let mut guard = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        guard.flush().doing(doing)?;
        let file = guard.get_mut();
        file.rewind().doing(doing)?;
        let mut reader = BufReader::new(file);
        loop {
            let mut length = [0; 4];
            match reader.read_exact(&mut length) {
                Ok(()) => {}
                Err(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => return Ok(()),
                Err(error) => return Err(error).doing(doing),
            }
            let length = u32::from_le_bytes(length);
            if length > PATH_BYTES_MAX {
                return Err(Failure::new(Kind::Failed, "A temporary file has changed"));
            }
            let mut path = vec![0; length as usize];
            let (mut size, mut has, mut sha256) = ([0; 8], [0; 1], [0; 32]);
            reader
                .read_exact(&mut path)
                .and_then(|()| reader.read_exact(&mut size))
                .and_then(|()| reader.read_exact(&mut has))
                .and_then(|()| reader.read_exact(&mut sha256))
                .doing(doing)?;
            visit(LoggedContent {
                path,
                size: u64::from_le_bytes(size),
                sha256: (has == [1]).then_some(sha256),
            })?;
        }
    }
}

/// The digest of a file that is being written, if a log wants it.
pub(super) struct ContentDigest(Option<Sha256>);

impl ContentDigest {
    pub(super) fn of(log: Option<&ContentLog>) -> Self {
        Self(log.map(|_| Sha256::new()))
    }

    pub(super) fn update(&mut self, block: &[u8]) {
        if let Some(digest) = &mut self.0 {
            digest.update(block);
        }
    }

    pub(super) fn finish(self) -> Option<[u8; 32]> {
        self.0.map(|digest| digest.finalize().into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_in_its_order() {
        let log = ContentLog::new().unwrap();
        let all: Vec<LoggedContent> = (0..100u8)
            .map(|number| LoggedContent {
                path: vec![number; usize::from(number)],
                size: u64::from(number) << 40,
                sha256: (number % 3 > 0).then_some([number; 32]),
            })
            .collect();
        for content in &all {
            log.clone().add(content).unwrap();
        }
        for _ in 0..2 {
            let mut read = Vec::new();
            log.visit(|content| {
                read.push(content);
                Ok(())
            })
            .unwrap();
            assert_eq!(read, all);
        }
    }
}
