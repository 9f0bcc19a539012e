//! The use cases called as a library, with a source that yields bytes of the test's choice.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use backup_cli::base::cancel::Cancel;
use backup_cli::base::clock::FixedClock;
use backup_cli::base::failure::{Failure, Kind, Result, from_io};
use backup_cli::base::report::{Event, Recorder};
use backup_cli::catalog::codec::Codec;
use backup_cli::catalog::layout::Layout;
use backup_cli::catalog::manifest::SourceInfo;
use backup_cli::catalog::selection::{BackupRef, Choice, Chosen, choose};
use backup_cli::ops::Run;
use backup_cli::ops::backup::{BackupOptions, BackupOutcome, TransferOptions, backup};
use backup_cli::ops::list::{ListOptions, ListReport, list};
use backup_cli::ops::plaintext::Plaintext;
use backup_cli::ops::reveal::reveal;
use backup_cli::pipeline::crypt::Keys;
use backup_cli::source::{Estimate, Source, SourceContext, SourceReport, SourceSink, SourceSinks};
use backup_cli::store::Store;

use super::server::process_folder;

/// A source that yields these bytes, then ends well or not.
#[derive(Clone, Debug)]
pub struct Bytes {
    pub content: Vec<u8>,
    pub ends_well: bool,
    /// How many streams the content is divided among, which are open at the same time.
    pub streams: usize,
}

impl Bytes {
    pub fn new(content: impl Into<Vec<u8>>) -> Self {
        Self {
            content: content.into(),
            ends_well: true,
            streams: 1,
        }
    }
}

impl Source for Bytes {
    fn prepare(&mut self, _: &SourceContext<'_>) -> Result<()> {
        Ok(())
    }

    fn info(&self) -> SourceInfo {
        SourceInfo {
            kind: "command".to_owned(),
            what: "bytes".to_owned(),
            ..SourceInfo::default()
        }
    }

    fn extension(&self) -> &str {
        "bin"
    }

    fn estimate(&mut self, _: &SourceContext<'_>) -> Result<Estimate> {
        Ok(Estimate::default())
    }

    fn stream(&mut self, sink: &mut dyn SourceSink, _: &SourceContext<'_>) -> Result<SourceReport> {
        for block in self.content.chunks(64 * 1024) {
            sink.write_all(block).map_err(|error| from_io("write", error))?;
        }
        self.verdict()
    }

    fn streams_at_once(&self) -> usize {
        self.streams
    }

    fn stream_all(&mut self, sinks: &dyn SourceSinks, _: &SourceContext<'_>) -> Result<SourceReport> {
        let share = self.content.len().div_ceil(self.streams.max(1)).max(1);
        let mut open = Vec::new();
        for (share, number) in self.content.chunks(share).zip(0..) {
            let mut sink = sinks.open(number, Some(share.len() as u64))?;
            sink.write_all(share).map_err(|error| from_io("write", error))?;
            open.push(sink);
        }
        if open.is_empty() {
            open.push(sinks.open(0, None)?);
        }
        let report = self.verdict()?;
        // The last one first: the order of the content is that of the numbers.
        while let Some(sink) = open.pop() {
            sink.finish()?;
        }
        Ok(report)
    }
}

impl Bytes {
    fn verdict(&self) -> Result<SourceReport> {
        match self.ends_well {
            true => Ok(SourceReport::default()),
            false => Err(Failure::new(Kind::Source, "The source failed at its end")),
        }
    }
}

/// A run at a fixed time, and what it reports.
pub fn run_at(time: &str) -> (Run, Arc<Recorder>) {
    let recorder = Arc::new(Recorder::default());
    let run = Run {
        cancel: Cancel::new(),
        reporter: recorder.clone(),
        clock: Arc::new(FixedClock(time.parse().expect("a time"))),
        keys: Keys::default(),
    };
    (run, recorder)
}

/// The warnings among the events.
pub fn warnings(recorder: &Recorder) -> Vec<String> {
    recorder
        .events()
        .into_iter()
        .filter_map(|event| match event {
            Event::Warning(text) => Some(text),
            _ => None,
        })
        .collect()
}

/// Options for a series in a store without a prefix, with a lock folder of its own.
pub fn options(name: &str, part_bytes: Option<u64>) -> BackupOptions {
    static LOCK_FOLDERS: AtomicU32 = AtomicU32::new(0);
    BackupOptions {
        name: name.to_owned(),
        host: "here".to_owned(),
        tags: Vec::new(),
        layout: layout(),
        codec: Codec::Gzip,
        level: 1,
        recipients: None,
        transfer: TransferOptions {
            threads: 2,
            part_bytes,
            parts_in_flight: Some(2),
            memory_bytes: 64 << 20,
        },
        expected_bytes: None,
        shape_guard_percent: None,
        lock: None,
        lock_folder: lock_folder(LOCK_FOLDERS.fetch_add(1, Ordering::Relaxed)),
        lock_timeout: Duration::ZERO,
    }
}

fn lock_folder(number: u32) -> PathBuf {
    // Every memory store has the same URL, so tests that run at once would lock each other out of a common folder.
    process_folder().join(format!("locks-{number}"))
}

/// The layout of [`options`].
pub fn layout() -> Layout {
    Layout::with_prefix("").expect("a layout")
}

/// Backs bytes up.
pub fn back_up(store: &Arc<dyn Store>, source: Bytes, options: &BackupOptions, run: &Run) -> Result<BackupOutcome> {
    let mut source = source;
    backup(store, &mut source, options, run)
}

/// Everything that the store holds.
pub fn list_all(store: &Arc<dyn Store>, run: &Run) -> Result<ListReport> {
    list(store, &layout(), &ListOptions::default(), run)
}

/// Finds a backup.
pub fn find(store: &Arc<dyn Store>, reference: &str, run: &Run) -> Result<Chosen> {
    find_at(store, &layout(), reference, run)
}

fn find_at(store: &Arc<dyn Store>, layout: &Layout, reference: &str, run: &Run) -> Result<Chosen> {
    choose(
        store.as_ref(),
        layout,
        &BackupRef::parse(reference),
        &Choice::default(),
        &run.cancel,
    )
}

/// The plaintext of a backup, verified.
pub fn read_back(store: &Arc<dyn Store>, reference: &str, run: &Run) -> Result<Vec<u8>> {
    read_back_at(store, &layout(), reference, run)
}

/// As [`read_back`], with keys of another layout.
pub fn read_back_at(store: &Arc<dyn Store>, layout: &Layout, reference: &str, run: &Run) -> Result<Vec<u8>> {
    let mut chosen = find_at(store, layout, reference, run)?;
    reveal(store, &mut chosen, run)?;
    let (mut plaintext, _) = Plaintext::open(store, &chosen, 2, run)?;
    let mut content = Vec::new();
    std::io::Read::read_to_end(&mut plaintext, &mut content).map_err(|error| from_io("read", error))?;
    plaintext.verify()?;
    Ok(content)
}
