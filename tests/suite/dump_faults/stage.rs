//! What the tests of failing dump programs share: the ways to fail, the places, the stand-ins, and the verdict.

use std::fmt::Write as _;
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use backup_cli::base::failure::{Kind, Result};
use backup_cli::catalog::manifest::SourceInfo;
use backup_cli::ops::backup::{BackupOptions, backup};
use backup_cli::source::{Estimate, Source, SourceContext, SourceReport, SourceSink, SourceSinks};
use backup_cli::store::Store;
use backup_cli::store::memory::MemoryStore;

use crate::support::library::{list_all, options, run_at};
use crate::support::server::fresh_folder;
use crate::support::trees::Noise;

/// How many places of a program's output it fails at.
pub const PLACES: usize = 100;

/// How long a program that hangs is watched before the run is interrupted.
const HANG: Duration = Duration::from_millis(150);

/// How many series the runs take turns in.
const SERIES: u64 = 32;

/// Small enough for the shortest dump here to have several parts.
const PART_BYTES: u64 = 16 << 10;

/// Whether everything that can be tried is tried.
pub fn tries_all() -> bool {
    std::env::var("BACKUP_CLI_TEST_FAULTS").is_ok_and(|value| value == "all")
}

/// A way to fail after so many bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// It says that all went well.
    ExitsWell,
    /// It says that it did not.
    ExitsBadly,
    /// Somebody kills it, or it crashes.
    Killed(&'static str),
    /// It closes its standard output, goes on, and says that all went well.
    ClosesAndExitsWell,
    /// It closes its standard output, goes on, and says that it did not go well.
    ClosesAndExitsBadly,
    /// It complains, and says that all went well.
    ComplainsAndExitsWell,
    /// A process that it started goes on writing nothing into its standard error, and it says that all went well.
    LeavesAChildAndExitsWell,
}

impl Way {
    /// Those of a program of which not everything has come.
    pub const CUT: [Self; 8] = [
        Self::ExitsWell,
        Self::ExitsBadly,
        Self::Killed("KILL"),
        Self::Killed("SEGV"),
        Self::ClosesAndExitsWell,
        Self::ClosesAndExitsBadly,
        Self::ComplainsAndExitsWell,
        Self::LeavesAChildAndExitsWell,
    ];

    /// What the stand-in does once it has written.
    pub fn script(self) -> String {
        match self {
            Self::ExitsWell => "exit 0".to_owned(),
            Self::ExitsBadly => "exit 1".to_owned(),
            Self::Killed(signal) => format!("kill -s {signal} $$"),
            Self::ClosesAndExitsWell => "exec >&-\nexit 0".to_owned(),
            Self::ClosesAndExitsBadly => "exec >&-\necho 'the end was not reached' >&2\nexit 3".to_owned(),
            Self::ComplainsAndExitsWell => "echo 'error: the connection to the server was lost' >&2\nexit 0".to_owned(),
            // Its standard input and output are not those that anybody waits for.
            Self::LeavesAChildAndExitsWell => "sleep 0.02 >/dev/null 2>&1 &\nexit 0".to_owned(),
        }
    }

    /// Whether an exit status or a signal tells.
    pub fn is_told(self) -> bool {
        matches!(self, Self::ExitsBadly | Self::Killed(_) | Self::ClosesAndExitsBadly)
    }
}

/// [`PLACES`] places before `end`: those that are named, edges of pipes, the middle of characters, and others by chance.
pub fn places(dump: &[u8], named: &[usize], end: usize, seed: u64) -> Vec<usize> {
    let mut all = vec![0, 1, 2, end - 1, end - 2, end - 3];
    all.extend(named);
    for edge in (0..end).step_by(end.div_ceil(7)).skip(1) {
        // Where one read of a pipe ends and the next begins.
        let edge = edge.next_multiple_of(4096);
        all.extend([edge - 1, edge, edge + 1]);
    }
    // In the middle of characters of several bytes.
    let middles = (0..end).filter(|at| dump[*at] & 0b1100_0000 == 0b1000_0000);
    all.extend(middles.step_by(97).take(8));
    all.retain(|place| *place < end);
    all.sort_unstable();
    all.dedup();
    let mut noise = Noise::new(seed);
    while all.len() > PLACES {
        all.remove(usize::try_from(noise.number()).unwrap_or(0) % all.len());
    }
    while all.len() < PLACES {
        let place = usize::try_from(noise.number() >> 1).unwrap_or(0) % end;
        if !all.contains(&place) {
            all.push(place);
        }
    }
    all.sort_unstable();
    all
}

/// The places at which a text stands, and a few bytes into it.
pub fn around(dump: &[u8], text: &str) -> Vec<usize> {
    memchr::memmem::find_iter(dump, text)
        .take(3)
        .flat_map(|at| [at.saturating_sub(1), at, at + text.len() / 2, at + text.len()])
        .collect()
}

/// A folder with a stand-in that does what the file `orders` beside it says.
pub struct Stage {
    folder: tempfile::TempDir,
}

impl Stage {
    /// `real` answers what is asked before a dump; the dump itself is `replayed`.
    pub fn new(program: &str, real: &Path, replayed: &[u8]) -> Self {
        let stage = Self {
            folder: fresh_folder("stage"),
        };
        std::fs::write(stage.path("dump"), replayed).expect("the dump is written");
        let at = stage.folder.path().display().to_string();
        let text = format!(
            "#!/bin/sh\ncase \"$*\" in *--version*) exec '{}' \"$@\" ;; esac\nAT='{at}'\n. '{at}/orders'\n",
            real.display()
        );
        stage.script(program, &text);
        stage
    }

    /// Adds a program to the folder.
    pub fn script(&self, name: &str, text: &str) {
        std::fs::write(self.path(name), text).expect("the script is written");
        std::fs::set_permissions(self.path(name), std::fs::Permissions::from_mode(0o755)).expect("its mode");
    }

    /// Adds a program that is the real one.
    pub fn link(&self, real: &Path) {
        let name = real.file_name().expect("a name");
        std::os::unix::fs::symlink(real, self.folder.path().join(name)).expect("a link");
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    pub fn order(&self, script: &str) {
        std::fs::write(self.path("orders"), script).expect("the orders are written");
    }

    /// The next run writes so many bytes of the dump and then fails.
    pub fn order_cut(&self, cut: usize, way: Way) {
        self.order(&format!("head -c {cut} \"$AT/dump\"\n{}\n", way.script()));
    }

    /// The next run writes all of it, and then does something.
    pub fn order_whole(&self, then: &str) {
        self.order(&format!("cat \"$AT/dump\"\n{then}\n"));
    }
}

/// A source that asks its server once, however often it dumps.
pub struct Asked<S> {
    source: S,
    is_prepared: bool,
}

impl<S> Asked<S> {
    pub fn new(source: S) -> Self {
        Self {
            source,
            is_prepared: false,
        }
    }
}

impl<S: Source> Source for Asked<S> {
    fn prepare(&mut self, context: &SourceContext<'_>) -> Result<()> {
        if !self.is_prepared {
            self.source.prepare(context)?;
            self.is_prepared = true;
        }
        Ok(())
    }
    fn info(&self) -> SourceInfo {
        self.source.info()
    }
    fn extension(&self) -> &str {
        self.source.extension()
    }
    fn estimate(&mut self, context: &SourceContext<'_>) -> Result<Estimate> {
        self.source.estimate(context)
    }
    fn streams_at_once(&self) -> usize {
        self.source.streams_at_once()
    }
    fn stream_all(&mut self, sinks: &dyn SourceSinks, context: &SourceContext<'_>) -> Result<SourceReport> {
        self.source.stream_all(sinks, context)
    }
    fn stream(&mut self, sink: &mut dyn SourceSink, context: &SourceContext<'_>) -> Result<SourceReport> {
        self.source.stream(sink, context)
    }
}

/// Where the runs go, and how many there were.
pub struct Bench {
    memory: MemoryStore,
    store: Arc<dyn Store>,
    options: BackupOptions,
    runs: AtomicU64,
}

impl Bench {
    pub fn new() -> Self {
        let memory = MemoryStore::new();
        let store: Arc<dyn Store> = Arc::new(memory.clone());
        let mut options = options("faults", Some(PART_BYTES));
        options.transfer.threads = 1;
        options.lock_timeout = Duration::from_secs(60);
        Self {
            memory,
            store,
            options,
            runs: AtomicU64::new(0),
        }
    }

    /// The options of one more run, of a series that none of the last few runs was of: a child that another test is just
    /// starting has the lock's file open until it has become the new program.
    fn next_options(&self) -> BackupOptions {
        let number = self.runs.fetch_add(1, Ordering::Relaxed);
        BackupOptions {
            name: format!("faults-{}", number % SERIES),
            ..self.options.clone()
        }
    }

    /// Runs a backup that must fail; nothing of it may be left.
    #[track_caller]
    pub fn fails(&self, source: &mut dyn Source, what: &str) {
        let (run, _) = run_at("2026-01-02T03:04:05Z");
        let options = self.next_options();
        match backup(&self.store, source, &options, &run) {
            Ok(done) => panic!("a false complete: {what}: {:?}", done.manifest),
            Err(failure) => assert_eq!(failure.kind(), Kind::Source, "{what}: {failure:?}"),
        }
        self.is_empty(what);
    }

    /// Runs a backup whose program never ends, and interrupts it.
    #[track_caller]
    pub fn hangs(&self, source: &mut dyn Source, what: &str) {
        let (run, _) = run_at("2026-01-02T03:04:05Z");
        let options = self.next_options();
        let cancel = run.cancel.clone();
        let ended = std::thread::scope(|scope| {
            let running = scope.spawn(|| backup(&self.store, source, &options, &run));
            std::thread::sleep(HANG);
            assert!(!running.is_finished(), "{what}: it did not wait");
            assert_eq!(self.memory.keys(), Vec::<String>::new(), "{what}");
            cancel.cancel();
            running.join().expect("no panic")
        });
        let failure = ended.map(|done| done.manifest).expect_err(what);
        assert_eq!(failure.kind(), Kind::Interrupted, "{what}: {failure:?}");
        self.is_empty(what);
    }

    /// Runs a backup that must succeed, and forgets it.
    #[track_caller]
    pub fn succeeds(&mut self, source: &mut dyn Source, what: &str) {
        let (run, _) = run_at("2026-01-02T03:04:05Z");
        if let Err(failure) = backup(&self.store, source, &self.options, &run) {
            panic!("{what}: {failure:?}");
        }
        assert_eq!(list_all(&self.store, &run).expect("a list").backups.len(), 1, "{what}");
        self.memory = MemoryStore::new();
        self.store = Arc::new(self.memory.clone());
    }

    #[track_caller]
    fn is_empty(&self, what: &str) {
        assert_eq!(self.memory.keys(), Vec::<String>::new(), "{what}");
        let uploads = self.store.unfinished_uploads("").expect("a list of uploads");
        assert!(uploads.is_empty(), "{what}: {uploads:?}");
    }

    /// Says how many runs there were. Not one of them was a false complete, or the test would have failed.
    pub fn report(&self, of: &str) {
        let mut line = String::new();
        let runs = self.runs.load(Ordering::Relaxed);
        writeln!(line, "faults of {of}: {runs} failing runs, 0 false completes").expect("a line");
        // Past the harness, which keeps what a test that passes has printed.
        let _ = std::io::stderr().write_all(line.as_bytes());
    }
}

/// Lets a replayed dump fail at every place in every way, then whole in the ways that only an exit status or a signal tells.
pub fn fail_everywhere(stage: &Stage, source: &mut dyn Source, bench: &Bench, places: &[usize]) {
    assert_eq!(places.len(), PLACES);
    for cut in places {
        for way in Way::CUT {
            stage.order_cut(*cut, way);
            bench.fails(source, &format!("{cut} bytes, then {way:?}"));
        }
    }
    fail_whole(stage, source, bench);
}

/// Every byte has come, and yet it is not good; or it never ends.
pub fn fail_whole(stage: &Stage, source: &mut dyn Source, bench: &Bench) {
    let statuses = [1, 2, 3, 75, 126, 127, 255].map(|status| format!("exit {status}"));
    // Not those that a test run in the background or under `nohup` ignores, and with it all that it starts: they kill nobody.
    let signals = ["USR1", "USR2", "TERM", "KILL", "SEGV", "ABRT", "PIPE", "BUS", "XCPU"]
        .map(|signal| format!("kill -s {signal} $$"));
    let late = ["exec >&-; sleep 0.05; exit 1", "exec >&-; sleep 0.05; kill -s KILL $$"].map(str::to_owned);
    for then in statuses.iter().chain(&signals).chain(&late) {
        stage.order_whole(then);
        bench.fails(source, &format!("everything, then {then}"));
    }
    for words in ["cat \"$AT/dump\"", "head -c 700 \"$AT/dump\"", ":"] {
        for then in ["exec >&-; exec sleep 1000", "exec sleep 1000"] {
            stage.order(&format!("{words}\n{then}\n"));
            bench.hangs(source, &format!("{words}, then {then}"));
        }
    }
}
