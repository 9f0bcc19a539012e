//! A sink for the tests of sources.

use std::io::Write;

use super::SourceSink;
use crate::base::failure::Result;
use crate::catalog::index::Entry;

/// Keeps what it is given.
#[derive(Debug, Default)]
pub struct MemorySink {
    /// The content.
    pub bytes: Vec<u8>,
    /// Where members were to begin.
    pub cuts: Vec<u64>,
    /// The lines of the index.
    pub entries: Vec<Entry>,
}

impl Write for MemorySink {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.bytes.extend_from_slice(bytes);
        Ok(bytes.len())
    }
    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl SourceSink for MemorySink {
    fn position(&self) -> u64 {
        self.bytes.len() as u64
    }
    fn cut(&mut self) -> Result<()> {
        self.cuts.push(self.position());
        Ok(())
    }
    fn entry(&mut self, entry: &Entry) -> Result<()> {
        self.entries.push(entry.clone());
        Ok(())
    }
}
