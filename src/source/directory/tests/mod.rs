//! Both ways together, against stock readers, and against archives made to harm.

mod advisories;
mod attacks;
mod changes;
mod placing;
mod readers;
mod roundtrip;
mod selecting;
mod tree;

use std::io::Write;
use std::path::{Path, PathBuf};

use super::*;
use crate::base::cancel::Cancel;
use crate::base::failure::{Result, from_io};
use crate::base::report::Recorder;
use crate::catalog::index::Entry;
use crate::source::{Source, SourceContext, SourceReport, SourceSink};

/// A sink in memory that keeps everything it is told, and may do something before each write.
#[derive(Default)]
pub(super) struct MemorySink {
    pub(super) bytes: Vec<u8>,
    pub(super) cuts: Vec<u64>,
    /// Where something begins that belongs together, and how many bytes it has.
    pub(super) together: Vec<(u64, u64)>,
    pub(super) entries: Vec<Entry>,
    /// Called with the position before a write.
    pub(super) before_write: Option<Box<dyn FnMut(u64)>>,
}

impl Write for MemorySink {
    fn write(&mut self, buffer: &[u8]) -> std::io::Result<usize> {
        let position = self.bytes.len() as u64;
        if let Some(before_write) = &mut self.before_write {
            before_write(position);
        }
        self.bytes.extend_from_slice(buffer);
        Ok(buffer.len())
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
        self.cuts.push(self.bytes.len() as u64);
        Ok(())
    }
    fn write_together(&mut self, bytes_max: usize, fill: &mut dyn FnMut(&mut Vec<u8>) -> bool) -> Result<()> {
        self.together.push((self.bytes.len() as u64, bytes_max as u64));
        // More room than was asked for, as a block has it.
        let mut bytes = Vec::with_capacity(2 * bytes_max);
        match fill(&mut bytes) {
            true => self.write_all(&bytes).map_err(|error| from_io("write", error)),
            false => Ok(()),
        }
    }
    fn entry(&mut self, entry: &Entry) -> Result<()> {
        self.entries.push(entry.clone());
        Ok(())
    }
}

/// A run's surroundings.
#[derive(Default)]
pub(super) struct Surroundings {
    pub(super) cancel: Cancel,
    pub(super) recorder: Recorder,
}

impl Surroundings {
    pub(super) fn context(&self) -> SourceContext<'_> {
        SourceContext {
            cancel: &self.cancel,
            reporter: &self.recorder,
        }
    }
}

pub(super) fn options_for(paths: &[&Path]) -> DirectoryOptions {
    DirectoryOptions {
        paths: paths.iter().map(|path| path.to_path_buf()).collect(),
        ..DirectoryOptions::default()
    }
}

/// Backs up into memory.
pub(super) fn back_up_with(options: DirectoryOptions, mut sink: MemorySink) -> Result<(MemorySink, SourceReport)> {
    let surroundings = Surroundings::default();
    let mut source = DirectorySource::new(options);
    source.prepare(&surroundings.context())?;
    let report = source.stream(&mut sink, &surroundings.context())?;
    Ok((sink, report))
}

pub(super) fn back_up(path: &Path) -> (MemorySink, SourceReport) {
    back_up_with(options_for(&[path]), MemorySink::default()).unwrap()
}

pub(super) fn restore_options(target: &Path) -> TreeRestoreOptions {
    TreeRestoreOptions {
        target: target.to_owned(),
        expect_end: true,
        ..TreeRestoreOptions::default()
    }
}

pub(super) fn restore_with(options: &TreeRestoreOptions, archive: &[u8]) -> Result<TreeRestoreReport> {
    let surroundings = Surroundings::default();
    restore_tree(&mut &*archive, options, &mut || Ok(()), &surroundings.context())
}

pub(super) fn restore(target: &Path, archive: &[u8]) -> TreeRestoreReport {
    restore_with(&restore_options(target), archive).unwrap()
}

/// A temporary folder whose path has no links in it.
pub(super) fn scratch() -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().canonicalize().unwrap();
    (folder, path)
}
