//! The use cases on the memory store: what a source that ends badly leaves behind, and what a store that fails does.

use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use backup_cli::base::cancel::Cancel;
use backup_cli::base::clock::FixedClock;
use backup_cli::base::failure::{Failure, Kind, Result};
use backup_cli::base::report::Recorder;
use backup_cli::catalog::codec::Codec;
use backup_cli::catalog::layout::Layout;
use backup_cli::catalog::manifest::{Counts, SourceInfo, State};
use backup_cli::catalog::selection::{BackupRef, Choice, choose};
use backup_cli::ops::Run;
use backup_cli::ops::backup::{BackupOptions, BackupOutcome, TransferOptions, backup, plan_backup};
use backup_cli::ops::list::{ListOptions, ListedState, list};
use backup_cli::ops::ls::read_index;
use backup_cli::ops::plaintext::Plaintext;
use backup_cli::pipeline::crypt::Keys;
use backup_cli::source::{Bounded, Estimate, Source, SourceContext, SourceReport, SourceSink};
use backup_cli::store::faulty::{Fault, FaultyStore, Method, When};
use backup_cli::store::memory::{MEMORY_LIMITS, MemoryStore};
use backup_cli::store::{Key, Limits, Role, Store};

use crate::support::library;
use crate::support::trees::Noise;

/// A source that writes so many bytes and then ends as told.
struct Scripted {
    bytes: u64,
    end: End,
}

#[derive(Clone, Copy, PartialEq)]
enum End {
    Well,
    Fails,
    Panics,
    Cancelled,
}

impl Source for Scripted {
    fn prepare(&mut self, _: &SourceContext<'_>) -> Result<()> {
        Ok(())
    }
    fn info(&self) -> SourceInfo {
        SourceInfo {
            kind: "command".into(),
            what: "scripted".into(),
            ..SourceInfo::default()
        }
    }
    fn extension(&self) -> &str {
        "bin"
    }
    fn estimate(&mut self, _: &SourceContext<'_>) -> Result<Estimate> {
        Ok(Estimate::default())
    }
    fn stream(&mut self, sink: &mut dyn SourceSink, context: &SourceContext<'_>) -> Result<SourceReport> {
        let mut state = 1u64;
        let mut left = self.bytes;
        let mut block = vec![0u8; 64 * 1024];
        while left > 0 {
            for chunk in block.chunks_mut(8) {
                // Half the bytes are noise, so that the stored form grows with the plain one.
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                chunk.copy_from_slice(&(state >> 32).to_le_bytes());
            }
            let take = left.min(block.len() as u64) as usize;
            sink.write_all(&block[..take])
                .map_err(|error| backup_cli::base::failure::from_io("write", error))?;
            left -= take as u64;
        }
        match self.end {
            End::Well => Ok(SourceReport {
                counts: Counts {
                    rows: Some(1),
                    ..Counts::default()
                },
                ..SourceReport::default()
            }),
            End::Fails => Err(Failure::new(Kind::Source, "The scripted source failed")),
            End::Panics => panic!("the scripted source panics"),
            End::Cancelled => {
                context.cancel.cancel();
                Err(Failure::new(Kind::Source, "Its child was killed"))
            }
        }
    }
}

fn run_at(time: &str) -> Run {
    Run {
        cancel: Cancel::new(),
        reporter: Arc::new(Recorder::default()),
        clock: Arc::new(FixedClock(time.parse().unwrap())),
        keys: Keys::default(),
    }
}

static LOCK_FOLDERS: AtomicU32 = AtomicU32::new(0);

fn options(name: &str) -> BackupOptions {
    BackupOptions {
        name: name.into(),
        host: "here".into(),
        tags: vec![],
        layout: Layout::with_prefix("").unwrap(),
        codec: Codec::Gzip,
        level: 1,
        recipients: None,
        transfer: TransferOptions {
            threads: 2,
            part_bytes: None,
            parts_in_flight: None,
            memory_bytes: 64 << 20,
        },
        expected_bytes: None,
        shape_guard_percent: None,
        lock: None,
        // Every memory store has the same URL, so tests that run at once would lock each other out of a common folder.
        lock_folder: std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!(
            "locks-{}-{}",
            std::process::id(),
            LOCK_FOLDERS.fetch_add(1, Ordering::Relaxed)
        )),
        lock_timeout: Duration::ZERO,
    }
}

fn backup_scripted(store: &Arc<dyn Store>, name: &str, source: Scripted, run: &Run) -> Result<BackupOutcome> {
    let mut source = source;
    backup(store, &mut source, &options(name), run)
}

fn keys(store: &dyn Store) -> Vec<String> {
    let mut keys = Vec::new();
    store
        .list("", &mut |meta| {
            keys.push(meta.key.to_string());
            Ok(ControlFlow::Continue(()))
        })
        .unwrap();
    keys
}

fn assert_nothing_left(store: &dyn Store, what: &str) {
    assert_eq!(keys(store), Vec::<String>::new(), "{what}: objects");
    assert_eq!(store.unfinished_uploads("").unwrap(), vec![], "{what}: uploads");
}

#[test]
fn a_backup_that_is_listed_restores_byte_for_byte() {
    let store: Arc<dyn Store> = Arc::new(MemoryStore::new());
    let run = run_at("2026-01-31T02:00:00Z");
    let source = |end| Scripted { bytes: 3_500_001, end };
    let outcome = backup_scripted(&store, "app", source(End::Well), &run).unwrap();
    assert_eq!(outcome.manifest.id, "app_backup_20260131_020000");
    assert_eq!(
        keys(store.as_ref()),
        [
            "20260131/app_backup_20260131_020000.bin.gz",
            "20260131/app_backup_20260131_020000.bin.gz.index.gz",
            "20260131/app_backup_20260131_020000.bin.gz.manifest.json",
        ]
    );
    let report = list(&store, &Layout::with_prefix("").unwrap(), &ListOptions::default(), &run).unwrap();
    assert_eq!(report.backups.len(), 1);
    assert_eq!(report.backups[0].state, ListedState::Complete);
    assert_eq!(report.backups[0].plain_bytes, Some(3_500_001));

    let layout = Layout::with_prefix("").unwrap();
    let latest = BackupRef::parse("latest");
    let chosen = choose(store.as_ref(), &layout, &latest, &Choice::default(), &run.cancel).unwrap();
    let (mut plaintext, _) = Plaintext::open(&store, &chosen, 2, &run).unwrap();
    let mut content = Vec::new();
    std::io::Read::read_to_end(&mut plaintext, &mut content).unwrap();
    plaintext.verify().unwrap();
    assert_eq!(content.len(), 3_500_001);
}

#[test]
fn a_source_that_ends_badly_at_any_point_leaves_nothing() {
    for bytes in [0, 1, 1 << 20, (1 << 20) + 1, 20 << 20, 40 << 20] {
        let store: Arc<dyn Store> = Arc::new(MemoryStore::new());
        let run = run_at("2026-01-31T02:00:00Z");
        let failure = backup_scripted(&store, "dies", Scripted { bytes, end: End::Fails }, &run).unwrap_err();
        assert_eq!(failure.kind(), Kind::Source);
        assert_nothing_left(store.as_ref(), &format!("failure after {bytes} bytes"));
    }
}

#[test]
fn a_source_that_panics_leaves_nothing() {
    let store: Arc<dyn Store> = Arc::new(MemoryStore::new());
    let run = run_at("2026-01-31T02:00:00Z");
    let source = Scripted {
        bytes: 20 << 20,
        end: End::Panics,
    };
    let panicked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        backup_scripted(&store, "panics", source, &run)
    }));
    assert!(panicked.is_err());
    assert_nothing_left(store.as_ref(), "panic");
}

#[test]
fn an_interruption_is_told_as_one_and_leaves_nothing() {
    let store: Arc<dyn Store> = Arc::new(MemoryStore::new());
    let run = run_at("2026-01-31T02:00:00Z");
    let source = Scripted {
        bytes: 20 << 20,
        end: End::Cancelled,
    };
    let failure = backup_scripted(&store, "cancelled", source, &run).unwrap_err();
    assert_eq!(failure.kind(), Kind::Interrupted);
    assert_nothing_left(store.as_ref(), "cancellation");
}

#[test]
fn two_backups_in_one_second_get_two_ids() {
    let store: Arc<dyn Store> = Arc::new(MemoryStore::new());
    let run = run_at("2026-01-31T02:00:00Z");
    let source = || Scripted {
        bytes: 10,
        end: End::Well,
    };
    let first = backup_scripted(&store, "twice", source(), &run).unwrap();
    let second = backup_scripted(&store, "twice", source(), &run).unwrap();
    assert_eq!(first.manifest.id, "twice_backup_20260131_020000");
    assert_eq!(second.manifest.id, "twice_backup_20260131_020001");
    assert_eq!(second.manifest.state, State::Complete);
}

#[test]
fn a_series_whose_name_begins_another_is_not_mixed_up_with_it() {
    let store: Arc<dyn Store> = Arc::new(MemoryStore::new());
    let layout = Layout::with_prefix("").unwrap();
    let source = || Scripted {
        bytes: 10,
        end: End::Well,
    };
    backup_scripted(&store, "app", source(), &run_at("2026-01-31T02:00:00Z")).unwrap();
    let run = run_at("2026-02-01T02:00:00Z");
    backup_scripted(&store, "app_test", source(), &run).unwrap();
    let choice = Choice {
        name: Some("app"),
        at: None,
    };
    let chosen = choose(
        store.as_ref(),
        &layout,
        &BackupRef::parse("latest"),
        &choice,
        &run.cancel,
    )
    .unwrap();
    assert_eq!(chosen.found.id, "app_backup_20260131_020000");
    let unnamed = choose(
        store.as_ref(),
        &layout,
        &BackupRef::parse("latest"),
        &Choice::default(),
        &run.cancel,
    )
    .unwrap_err();
    assert_eq!(unnamed.kind(), Kind::Usage);
    let named = choose(
        store.as_ref(),
        &layout,
        &BackupRef::parse("app_test@latest"),
        &Choice::default(),
        &run.cancel,
    )
    .unwrap();
    assert_eq!(named.found.id, "app_test_backup_20260201_020000");
}

#[test]
fn two_runs_of_a_series_at_once_are_kept_apart() {
    let store: Arc<dyn Store> = Arc::new(MemoryStore::new());
    let run = run_at("2026-01-31T02:00:00Z");
    let options = options("locked");
    let _held =
        backup_cli::ops::lock::SeriesLock::take(&options.lock_folder, &store.url(), "locked", Duration::ZERO, &run)
            .unwrap();
    let mut source = Scripted {
        bytes: 10,
        end: End::Well,
    };
    let failure = backup(&store, &mut source, &options, &run).unwrap_err();
    assert_eq!(failure.kind(), Kind::Locked);
    assert_nothing_left(store.as_ref(), "lock");
}

/// A memory store, and the same one with faults.
fn faulty() -> (MemoryStore, FaultyStore, Arc<dyn Store>) {
    let memory = MemoryStore::new();
    let faulty = FaultyStore::new(Arc::new(memory.clone()));
    (memory, faulty.clone(), Arc::new(faulty))
}

fn on_manifest() -> When {
    When::KeyContains(".manifest.json".into())
}

fn small() -> Scripted {
    Scripted {
        bytes: 10,
        end: End::Well,
    }
}

#[test]
fn a_manifest_whose_reply_was_lost_is_a_backup() {
    let (memory, faults, store) = faulty();
    faults.fail(Method::Put, on_manifest(), Fault::After(Kind::Unreachable));
    backup_scripted(&store, "lost", small(), &run_at("2026-01-31T02:00:00Z")).unwrap();
    assert_eq!(memory.keys().len(), 3);
}

#[test]
fn a_manifest_that_arrived_cut_is_no_backup_and_goes_before_its_data() {
    let (memory, faults, store) = faulty();
    faults.fail(Method::Put, on_manifest(), Fault::After(Kind::Unreachable));
    let cutting = memory.clone();
    let cut = move || {
        for key in cutting.keys().iter().filter(|key| key.ends_with(".manifest.json")) {
            let body = cutting.body(key).unwrap();
            cutting.set_body(key, body.slice(..body.len() / 2));
        }
    };
    faults.fail(Method::Head, on_manifest(), Fault::Hook(Arc::new(cut)));
    let failure = backup_scripted(&store, "cut", small(), &run_at("2026-01-31T02:00:00Z")).unwrap_err();
    assert_eq!(failure.kind(), Kind::Unreachable);
    assert_nothing_left(&memory, "cut manifest");
    let removed: Vec<String> = faults
        .log()
        .into_iter()
        .filter_map(|(method, key)| (method == Method::Delete).then_some(key))
        .collect();
    assert!(removed[0].ends_with(".manifest.json"), "{removed:?}");
}

#[test]
fn data_stays_while_a_manifest_may_name_it() {
    let (memory, faults, store) = faulty();
    faults.fail(Method::Put, on_manifest(), Fault::After(Kind::Unreachable));
    // Two looks for a free key, one at the data and one at the index; the fifth is for the manifest.
    faults.fail(Method::Head, When::From(5), Fault::Before(Kind::Unreachable));
    let failure = backup_scripted(&store, "untold", small(), &run_at("2026-01-31T02:00:00Z")).unwrap_err();
    assert!(failure.message().contains("cannot be told"), "{failure:?}");
    assert_eq!(memory.keys().len(), 3, "what may be a backup is left alone");
}

#[test]
fn a_commit_that_fails_at_any_step_leaves_nothing() {
    for (method, suffix) in [
        (Method::StartUpload, ".index.gz"),
        (Method::PutPart, ".index.gz"),
        (Method::Complete, ".index.gz"),
        (Method::Put, ".manifest.json"),
    ] {
        for kind in [Kind::Unreachable, Kind::Denied, Kind::Failed] {
            let (memory, faults, store) = faulty();
            faults.fail(method, When::KeyContains(suffix.into()), Fault::Before(kind));
            let failure = backup_scripted(&store, "step", small(), &run_at("2026-01-31T02:00:00Z")).unwrap_err();
            assert_eq!(failure.kind(), kind);
            assert_nothing_left(&memory, &format!("{method:?} of {suffix}, {kind:?}"));
        }
    }
}

#[test]
fn an_interruption_of_the_commit_leaves_nothing() {
    for suffix in [".bin.gz", ".index.gz", ".manifest.json"] {
        let (memory, faults, store) = faulty();
        let run = run_at("2026-01-31T02:00:00Z");
        let cancel = run.cancel.clone();
        let method = if suffix == ".manifest.json" {
            Method::Put
        } else {
            Method::Complete
        };
        let hook = Fault::Hook(Arc::new(move || cancel.cancel()));
        faults.fail(method, When::KeyContains(suffix.into()), hook);
        match backup_scripted(&store, "stopped", small(), &run) {
            // Too late to stop: it is there, and it is whole.
            Ok(_) => assert_eq!((suffix, memory.keys().len()), (".manifest.json", 3)),
            Err(failure) => {
                assert_eq!(failure.kind(), Kind::Interrupted, "{suffix}");
                assert_nothing_left(&memory, suffix);
            }
        }
    }
}

#[test]
fn an_id_belongs_to_one_backup_whatever_its_extension() {
    let (memory, _, store) = faulty();
    memory.set_body("20260131/app_backup_20260131_020000.sql.gz", "older");
    memory.set_body("20260131/app_backup_20260131_020001.bin.gz.index.gz", "left by a crash");
    let outcome = backup_scripted(&store, "app", small(), &run_at("2026-01-31T02:00:00Z")).unwrap();
    assert_eq!(outcome.manifest.id, "app_backup_20260131_020002");
}

#[test]
fn a_template_of_ones_own_does_not_hide_its_backups() {
    for (template, name) in [
        ("{name}_{date}_{time}", "my_backup"),
        ("{host}_{name}_backup_{date}_{time}", "app"),
        ("{name}/{date}_{time}", "app"),
        ("{date}_{time}_{name}", "app"),
    ] {
        let store: Arc<dyn Store> = Arc::new(MemoryStore::new());
        let layout = Layout::new("", template, Default::default()).unwrap();
        for (host, time) in [("a", "2026-01-31T02:00:00Z"), ("b", "2026-02-01T02:00:00Z")] {
            let options = BackupOptions {
                layout: layout.clone(),
                host: host.into(),
                ..options(name)
            };
            backup(&store, &mut small(), &options, &run_at(time)).unwrap();
        }
        let cancel = Cancel::new();
        let latest = BackupRef::parse("latest");
        for name in [Some(name), None] {
            let choice = Choice { name, at: None };
            let chosen = choose(store.as_ref(), &layout, &latest, &choice, &cancel)
                .unwrap_or_else(|failure| panic!("{template} {name:?}: {failure:?}"));
            assert_eq!(
                chosen.time(),
                "2026-02-01T02:00:00Z".parse().unwrap(),
                "{template} {name:?}"
            );
        }
    }
}

#[test]
fn a_broken_manifest_of_another_series_does_not_stand_in_the_way() {
    let memory = MemoryStore::new();
    let store: Arc<dyn Store> = Arc::new(memory.clone());
    backup_scripted(&store, "app", small(), &run_at("2026-01-31T02:00:00Z")).unwrap();
    memory.set_body("20260201/app2_backup_20260201_020000.bin.gz.manifest.json", "{");
    let layout = Layout::with_prefix("").unwrap();
    let named = |name| {
        let choice = Choice {
            name: Some(name),
            at: None,
        };
        choose(
            store.as_ref(),
            &layout,
            &BackupRef::parse("latest"),
            &choice,
            &Cancel::new(),
        )
    };
    assert_eq!(named("app").unwrap().found.id, "app_backup_20260131_020000");
    // The newest of the series itself is not passed over in silence.
    assert_eq!(named("app2").unwrap_err().kind(), Kind::Damaged);
}

#[test]
fn a_manifest_is_never_longer_than_can_be_read() {
    let store: Arc<dyn Store> = Arc::new(MemoryStore::new());
    let run = run_at("2026-01-31T02:00:00Z");
    let mut manifest = backup_scripted(&store, "long", small(), &run).unwrap().manifest;
    // Names that the owner of a single folder can choose.
    let problem = backup_cli::catalog::manifest::Problem {
        item: "\u{1}".repeat(4096),
        kind: backup_cli::catalog::manifest::ProblemKind::Unreadable,
        message: "Permission denied".into(),
    };
    manifest.problems = vec![problem; 1000];
    manifest.problem_count = 1000;
    let json = manifest.to_json().unwrap();
    // By its size, the rules of a bucket tell a manifest from data that may move into an archive.
    assert!(json.len() as u64 <= backup_cli::catalog::manifest::MANIFEST_WRITTEN_BYTES_MAX);
    let read = backup_cli::catalog::manifest::Manifest::from_json(&Key::new("x"), &json).unwrap();
    assert_eq!(read.problem_count, 1000);
    assert!(read.problems.len() >= 250);
}

#[test]
fn an_index_of_another_backup_is_not_believed() {
    let memory = MemoryStore::new();
    let store: Arc<dyn Store> = Arc::new(memory.clone());
    let run = run_at("2026-01-31T02:00:00Z");
    backup_scripted(&store, "app", small(), &run).unwrap();
    let other = Scripted { bytes: 11, ..small() };
    backup_scripted(&store, "app", other, &run_at("2026-02-01T02:00:00Z")).unwrap();
    let index = "20260131/app_backup_20260131_020000.bin.gz.index.gz";
    let layout = Layout::with_prefix("").unwrap();
    let read = || {
        let oldest = BackupRef::parse("oldest");
        let chosen = choose(store.as_ref(), &layout, &oldest, &Choice::default(), &run.cancel).unwrap();
        read_index(&store, &chosen, &run, |_| Ok(ControlFlow::Continue(())))
    };
    read().unwrap();
    let others = memory
        .body("20260201/app_backup_20260201_020000.bin.gz.index.gz")
        .unwrap();
    memory.set_body(index, others);
    assert_eq!(read().unwrap_err().kind(), Kind::Damaged);
}

#[test]
fn a_clock_that_has_gone_back_is_said_and_recorded() {
    let store: Arc<dyn Store> = Arc::new(MemoryStore::new());
    let options = options("clock");
    let at = |time: &str| {
        backup(&store, &mut small(), &options, &run_at(time))
            .unwrap()
            .manifest
            .warnings
    };
    for (time, warnings) in [
        ("2026-01-31T02:00:00Z", 0),
        ("2026-01-31T02:00:00Z", 0),
        ("2026-02-01T02:00:00Z", 0),
        ("2026-01-31T03:00:00Z", 1),
    ] {
        assert_eq!(at(time).len(), warnings, "{time}");
    }
}

/// A source that says what it can hold at most, and is counted in its own time.
struct Large {
    inner: Scripted,
    plain_bytes_max: u64,
    estimates: u32,
}

impl Source for Large {
    fn prepare(&mut self, context: &SourceContext<'_>) -> Result<()> {
        self.inner.prepare(context)
    }
    fn info(&self) -> SourceInfo {
        self.inner.info()
    }
    fn extension(&self) -> &str {
        self.inner.extension()
    }
    fn estimate(&mut self, _: &SourceContext<'_>) -> Result<Estimate> {
        self.estimates += 1;
        Ok(Estimate {
            plain_bytes: Some(400 << 30),
            items: Some(5),
        })
    }
    fn bounded(&self) -> Option<Bounded> {
        Some(Bounded {
            plain_bytes_max: self.plain_bytes_max,
            count: Box::new(|_| Estimate {
                plain_bytes: Some(77),
                items: Some(5),
            }),
        })
    }
    fn stream(&mut self, sink: &mut dyn SourceSink, context: &SourceContext<'_>) -> Result<SourceReport> {
        // Whoever shows how far the run has come hears what is expected while it goes on.
        let until = std::time::Instant::now() + Duration::from_secs(10);
        while context.reporter.progress().snapshot().total_items != 5 {
            assert!(std::time::Instant::now() < until, "nobody has counted");
            std::thread::sleep(Duration::from_millis(1));
        }
        self.inner.stream(sink, context)
    }
}

#[test]
fn only_what_may_need_larger_parts_is_counted_before_the_first_byte() {
    let store: Arc<dyn Store> = Arc::new(MemoryStore::new());
    let run = run_at("2026-01-31T02:00:00Z");
    let large = |plain_bytes_max| Large {
        inner: small(),
        plain_bytes_max,
        estimates: 0,
    };
    let (gib, mib) = (1u64 << 30, 1u64 << 20);
    for (bytes_max, part_bytes, estimates, total) in [
        (4 * gib, None, 0, 77),
        (400 * gib, None, 1, 400 * gib),
        (400 * gib, Some(8 * mib), 0, 77),
    ] {
        let mut source = large(bytes_max);
        let mut options = options(&format!("s{bytes_max}-{}", part_bytes.is_some()));
        options.transfer.part_bytes = part_bytes;
        backup(&store, &mut source, &options, &run).unwrap();
        assert_eq!(source.estimates, estimates, "{bytes_max}");
        assert_eq!(run.reporter.progress().snapshot().total_plain_bytes, total);
    }
    // Who looks before a run wants to know.
    let mut source = large(4 * gib);
    let plan = plan_backup(&store, &mut source, &options("looked-at"), &run).unwrap();
    assert_eq!((source.estimates, plan.estimate.items), (1, Some(5)));
}

/// A source that does not know its size has parts by what it was told, or else by what the series' last backup took; four
/// times as much fits into the parts that an object may have.
#[test]
fn parts_are_as_large_as_the_last_backup_or_the_user_says() {
    let limits = Limits {
        parts_max: 8,
        parts_equal: true,
        ..MEMORY_LIMITS
    };
    let store: Arc<dyn Store> = Arc::new(MemoryStore::new().with_limits(limits));
    let mib = 1 << 20;
    let noise = library::Bytes::new(Noise::new(5).bytes(39 << 20));
    let part_bytes = |time: &str, options: &BackupOptions| {
        let outcome = library::back_up(&store, noise.clone(), options, &run_at(time)).unwrap();
        let data = outcome.manifest.objects.iter().find(|object| object.role == Role::Data);
        let data = data.expect("data");
        assert!(data.parts > 1, "a part that is not full tells nothing");
        (data.part_bytes, data.bytes)
    };

    let (first, stored) = part_bytes("2026-01-31T02:00:00Z", &library::options("app", None));
    assert_eq!(first, 16 * mib, "nothing is known yet");
    assert!(stored > 39 * mib && stored < 40 * mib, "{stored}");
    let (second, _) = part_bytes("2026-01-31T03:00:00Z", &library::options("app", None));
    assert_eq!(second, 20 * mib, "an eighth of four times the last backup");
    let (other, _) = part_bytes("2026-01-31T03:00:00Z", &library::options("other", None));
    assert_eq!(other, 16 * mib, "another series says nothing about it");
    let told = BackupOptions {
        expected_bytes: Some(36 * mib),
        ..library::options("app", None)
    };
    let (told, _) = part_bytes("2026-01-31T04:00:00Z", &told);
    assert_eq!(told, 18 * mib);
}
