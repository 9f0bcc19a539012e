//! The commit protocol on a store that fails at every call in turn, as SQLite's I/O-error tests do: the first call fails,
//! then the second, and so on until none fails any more. After each, what is listed restores, and what failed has left
//! nothing behind.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use backup_cli::base::failure::{Failure, Kind, Result};
use backup_cli::base::report::Recorder;
use backup_cli::ops::Run;
use backup_cli::ops::backup::BackupOutcome;
use backup_cli::ops::list::ListedState;
use backup_cli::ops::restore::{RestoreOptions, RestoreTarget, plan_restore, restore};
use backup_cli::source::directory::Existing;
use backup_cli::store::faulty::{Fault, FaultyStore, Method, When};
use backup_cli::store::memory::{MEMORY_LIMITS, MemoryStore};
use backup_cli::store::{Limits, Store};

use crate::support::library::{Bytes, back_up, find, list_all, options, read_back, run_at, warnings};
use crate::support::server::fresh_folder;
use crate::support::trees::Noise;

const EARLIER: &str = "app_backup_20260130_020000";
const NOW: &str = "2026-01-31T02:00:00Z";
const ID: &str = "app_backup_20260131_020000";

/// Small enough for two objects when each may have two parts, large enough for the tests to be fast.
const PART_BYTES: u64 = 300_000;

const METHODS: [Method; 11] = [
    Method::Put,
    Method::StartUpload,
    Method::PutPart,
    Method::Complete,
    Method::Abort,
    Method::Get,
    Method::Head,
    Method::List,
    Method::ListFolders,
    Method::Delete,
    Method::UnfinishedUploads,
];

/// A store with one backup in it, and what is needed to look at it from both sides of the faults.
struct Scene {
    memory: MemoryStore,
    faulty: FaultyStore,
    store: Arc<dyn Store>,
    behind: Arc<dyn Store>,
    before: BTreeMap<String, bytes::Bytes>,
    content: Vec<u8>,
    streams: usize,
}

impl Scene {
    fn new(shape: impl Into<Shape>) -> Self {
        let Shape { limits, streams } = shape.into();
        let memory = MemoryStore::new().with_limits(limits);
        let behind: Arc<dyn Store> = Arc::new(memory.clone());
        let (run, _) = run_at("2026-01-30T02:00:00Z");
        back_up(&behind, Bytes::new("earlier"), &options("app", None), &run).unwrap();
        let faulty = FaultyStore::new(behind.clone());
        Self {
            before: objects(&memory),
            store: Arc::new(faulty.clone()),
            memory,
            faulty,
            behind,
            content: content().to_vec(),
            streams,
        }
    }

    fn back_up(&self, run: &Run) -> Result<BackupOutcome> {
        let source = Bytes {
            streams: self.streams,
            ..Bytes::new(self.content.clone())
        };
        self.back_up_source(source, run)
    }

    fn back_up_source(&self, source: Bytes, run: &Run) -> Result<BackupOutcome> {
        back_up(&self.store, source, &options("app", Some(PART_BYTES)), run)
    }

    /// A success is listed and restores; a failure is not listed. Earlier backups are as they were.
    fn check_listing(&self, outcome: &Result<BackupOutcome>, what: &str) {
        let (run, _) = run_at(NOW);
        let listed = list_all(&self.behind, &run).unwrap();
        let ids: Vec<_> = listed.backups.iter().map(|backup| backup.id.as_str()).collect();
        match outcome {
            Ok(outcome) => {
                let id = outcome.manifest.id.as_str();
                assert_eq!(ids, [id, EARLIER], "{what}: it succeeded");
                assert_eq!(listed.backups[0].state, ListedState::Complete, "{what}");
                assert_eq!(listed.uncommitted, [], "{what}");
                let restored = read_back(&self.behind, id, &run).unwrap();
                assert!(restored == self.content, "{what}: the content differs");
            }
            Err(failure) => assert_eq!(ids, [EARLIER], "{what}: it failed: {failure:?}"),
        }
        let now = objects(&self.memory);
        for (key, body) in &self.before {
            assert_eq!(now.get(key), Some(body), "{what}: `{key}` of the earlier backup");
        }
    }

    fn check_nothing_left(&self, failure: &Failure, what: &str) {
        assert_eq!(
            self.memory.keys(),
            self.before.keys().cloned().collect::<Vec<_>>(),
            "{what}: objects are left after {failure:?}"
        );
        assert_eq!(self.uploads_left(), 0, "{what}: uploads are left after {failure:?}");
    }

    fn uploads_left(&self) -> usize {
        self.behind.unfinished_uploads("").unwrap().len()
    }
}

/// More than one member of bytes that do not compress.
fn content() -> &'static [u8] {
    static CONTENT: OnceLock<Vec<u8>> = OnceLock::new();
    CONTENT.get_or_init(|| Noise::new(3).bytes(1_150_000))
}

fn objects(memory: &MemoryStore) -> BTreeMap<String, bytes::Bytes> {
    memory
        .keys()
        .into_iter()
        .map(|key| (key.clone(), memory.body(&key).unwrap()))
        .collect()
}

/// What a backup consists of.
#[derive(Clone, Copy)]
struct Shape {
    limits: Limits,
    streams: usize,
}

impl From<Limits> for Shape {
    fn from(limits: Limits) -> Self {
        Self { limits, streams: 1 }
    }
}

/// One object, several of two parts each, and several streams of which some have two objects.
fn shapes() -> [(&'static str, Shape); 3] {
    let rolled_over = Limits {
        parts_max: 2,
        parts_equal: true,
        ..MEMORY_LIMITS
    };
    let streams = Shape {
        limits: Limits {
            parts_max: 1,
            ..rolled_over
        },
        streams: 3,
    };
    [
        ("one object", MEMORY_LIMITS.into()),
        ("rolled over", rolled_over.into()),
        ("several streams", streams),
    ]
}

fn each_call_fails_once(fault: impl Fn() -> Fault) {
    for (shape, limits) in shapes() {
        for method in METHODS {
            for nth in 1.. {
                let scene = Scene::new(limits);
                scene.faulty.fail_nth(method, nth, fault());
                let what = format!("{shape}: call {nth} of {method:?}: {:?}", fault());
                let (run, _) = run_at(NOW);
                let outcome = scene.back_up(&run);
                scene.check_listing(&outcome, &what);
                if scene.faulty.calls(method) < nth {
                    assert!(outcome.is_ok(), "{what}: nothing was hit, and yet: {outcome:?}");
                    break;
                }
                match outcome {
                    // An upload whose id was lost with the reply cannot be named any more.
                    Err(failure) if method == Method::StartUpload && matches!(fault(), Fault::After(_)) => {
                        assert_eq!(scene.memory.keys().len(), scene.before.len(), "{what}: {failure:?}");
                        assert_eq!(scene.uploads_left(), 1, "{what}");
                    }
                    Err(failure) => scene.check_nothing_left(&failure, &what),
                    Ok(_) => assert_eq!(scene.uploads_left(), 0, "{what}"),
                }
            }
        }
    }
}

#[test]
fn a_call_that_fails_without_effect_leaves_nothing() {
    each_call_fails_once(|| Fault::Before(Kind::Unreachable));
}

#[test]
fn a_call_that_is_denied_leaves_nothing() {
    each_call_fails_once(|| Fault::Before(Kind::Denied));
}

#[test]
fn a_call_that_fails_with_its_effect_leaves_nothing() {
    each_call_fails_once(|| Fault::After(Kind::Unreachable));
}

#[test]
fn a_store_that_lies_once_is_not_believed() {
    for (shape, limits) in shapes() {
        for method in [
            Method::Put,
            Method::StartUpload,
            Method::PutPart,
            Method::Complete,
            Method::Head,
        ] {
            for nth in 1.. {
                let scene = Scene::new(limits);
                scene.faulty.fail_nth(method, nth, Fault::Lie);
                let what = format!("{shape}: call {nth} of {method:?} lies");
                let (run, _) = run_at(NOW);
                let outcome = scene.back_up(&run);
                scene.check_listing(&outcome, &what);
                if scene.faulty.calls(method) < nth {
                    break;
                }
                if let Err(failure) = outcome {
                    scene.check_nothing_left(&failure, &what);
                }
            }
        }
    }
}

/// Runs a backup in which something happens before the kth call, whatever that is; false if there were fewer calls.
fn at_call(
    k: u64,
    scene: &Scene,
    run: &Run,
    act: impl Fn(&FaultyStore) + Send + Sync + 'static,
) -> (bool, Result<BackupOutcome>) {
    let calls = Arc::new(AtomicU64::new(0));
    let act = Arc::new(act);
    for method in METHODS {
        let (calls, act, faulty) = (calls.clone(), act.clone(), scene.faulty.clone());
        scene.faulty.fail_always(
            method,
            Fault::Hook(Arc::new(move || {
                if calls.fetch_add(1, Ordering::SeqCst) + 1 == k {
                    act(&faulty);
                }
            })),
        );
    }
    let outcome = scene.back_up(run);
    (calls.load(Ordering::SeqCst) >= k, outcome)
}

#[test]
fn a_store_that_dies_at_any_call_lists_no_backup_that_was_not_reported() {
    for (shape, limits) in shapes() {
        for k in 1.. {
            let scene = Scene::new(limits);
            let (run, recorder) = run_at(NOW);
            let (hit, outcome) = at_call(k, &scene, &run, |faulty| {
                faulty.heal();
                for method in METHODS {
                    faulty.fail_always(method, Fault::Before(Kind::Unreachable));
                }
            });
            let what = format!("{shape}: dead after call {k}");
            scene.check_listing(&outcome, &what);
            // What could not be removed is at least named.
            if outcome.is_err() && (scene.memory.keys().len() > scene.before.len() || scene.uploads_left() > 0) {
                assert!(
                    !warnings(&recorder).is_empty() || mentions_doubt(&outcome),
                    "{what}: {outcome:?}"
                );
            }
            if !hit {
                break;
            }
        }
    }
}

fn mentions_doubt(outcome: &Result<BackupOutcome>) -> bool {
    matches!(outcome, Err(failure) if failure.message().contains("cannot be told"))
}

#[test]
fn an_interruption_at_any_call_leaves_nothing() {
    for (shape, limits) in shapes() {
        for k in 1.. {
            let scene = Scene::new(limits);
            let (run, _) = run_at(NOW);
            let cancel = run.cancel.clone();
            let (hit, outcome) = at_call(k, &scene, &run, move |_| cancel.cancel());
            let what = format!("{shape}: interrupted at call {k}");
            scene.check_listing(&outcome, &what);
            if let Err(failure) = outcome {
                assert_eq!(failure.kind(), Kind::Interrupted, "{what}: {failure:?}");
                scene.check_nothing_left(&failure, &what);
            }
            if !hit {
                break;
            }
        }
    }
}

#[test]
fn a_manifest_of_which_nobody_can_tell_is_left_alone_with_its_data() {
    let scene = Scene::new(MEMORY_LIMITS);
    scene.faulty.fail_always(Method::Put, Fault::After(Kind::Unreachable));
    // The heads before: two for the free key, one each for data and index.
    scene.faulty.fail(
        Method::Head,
        When::KeyContains(format!("{ID}.bin.gz.manifest")),
        Fault::Hook(Arc::new({
            let faulty = scene.faulty.clone();
            let heads = AtomicU64::new(0);
            move || {
                if heads.fetch_add(1, Ordering::SeqCst) == 0 {
                    faulty.heal();
                    faulty.fail_always(Method::Put, Fault::After(Kind::Unreachable));
                    faulty.fail(
                        Method::Head,
                        When::KeyContains("manifest".to_owned()),
                        Fault::Before(Kind::Unreachable),
                    );
                }
            }
        })),
    );
    let (run, _) = run_at(NOW);
    let outcome = scene.back_up(&run);
    assert!(mentions_doubt(&outcome), "{outcome:?}");
    let listed = list_all(&scene.behind, &run).unwrap();
    assert_eq!(listed.backups[0].state, ListedState::Complete);
    assert!(read_back(&scene.behind, ID, &run).unwrap() == scene.content);
}

#[test]
fn a_source_that_fails_while_the_store_cannot_clear_up_is_not_listed_and_said() {
    for method in [Method::Abort, Method::Delete, Method::Head] {
        let scene = Scene::new(MEMORY_LIMITS);
        scene.faulty.fail(
            method,
            When::From(if method == Method::Head { 3 } else { 1 }),
            Fault::Before(Kind::Unreachable),
        );
        let (run, recorder) = run_at(NOW);
        // Long enough for parts to be on their way at its end.
        let source = Bytes {
            ends_well: false,
            ..Bytes::new(scene.content.repeat(12))
        };
        let outcome = scene.back_up_source(source, &run);
        scene.check_listing(&outcome, &format!("{method:?}"));
        assert_eq!(outcome.unwrap_err().kind(), Kind::Source);
        assert_eq!(
            warnings(&recorder).len(),
            usize::from(method == Method::Abort),
            "{:?}",
            warnings(&recorder)
        );
    }
}

#[test]
fn a_completion_that_fails_while_nothing_can_be_removed_is_said() {
    let scene = Scene::new(MEMORY_LIMITS);
    scene
        .faulty
        .fail_always(Method::Complete, Fault::After(Kind::Unreachable));
    scene.faulty.fail_always(Method::Delete, Fault::Before(Kind::Denied));
    let (run, recorder) = run_at(NOW);
    let outcome = scene.back_up(&run);
    scene.check_listing(&outcome, "nothing can be removed");
    let left = format!("{ID}.bin.gz");
    assert!(
        warnings(&recorder).iter().any(|text| text.contains(&left)),
        "{:?}",
        warnings(&recorder)
    );
}

#[test]
fn a_listing_that_fails_midway_is_an_error_and_never_a_shorter_list() {
    for after in 0..6 {
        for fault in [
            Fault::Break { after },
            Fault::Before(Kind::Denied),
            Fault::After(Kind::Unreachable),
        ] {
            let scene = Scene::new(MEMORY_LIMITS);
            let (run, _) = run_at(NOW);
            scene.back_up(&run).unwrap();
            scene.faulty.fail_always(Method::List, fault.clone());
            assert!(list_all(&scene.store, &run).is_err(), "{fault:?}");
            assert!(find(&scene.store, "latest", &run).is_err(), "{fault:?}");
            assert!(find(&scene.store, "app_backup_20260131", &run).is_err(), "{fault:?}");
        }
    }
}

#[test]
fn a_manifest_that_cannot_be_read_fails_the_list_and_one_that_is_cut_is_shown_as_damaged() {
    for (fault, listed) in [
        (Fault::Before(Kind::Unreachable), None),
        (Fault::Break { after: 10 }, None),
        (Fault::Cut { after: 10 }, Some(ListedState::Damaged)),
    ] {
        let scene = Scene::new(MEMORY_LIMITS);
        let (run, _) = run_at(NOW);
        scene.back_up(&run).unwrap();
        scene.faulty.fail(
            Method::Get,
            When::KeyContains(format!("{ID}.bin.gz.manifest")),
            fault.clone(),
        );
        match (list_all(&scene.store, &run), listed) {
            (Err(failure), None) => assert_eq!(failure.kind(), Kind::Unreachable, "{fault:?}"),
            (Ok(report), Some(state)) => assert_eq!(report.backups[0].state, state, "{fault:?}"),
            (other, _) => panic!("{fault:?}: {other:?}"),
        }
    }
}

fn restore_options(target: &std::path::Path) -> RestoreOptions {
    RestoreOptions {
        existing: Existing::Replace,
        threads: 2,
        ..RestoreOptions::new(RestoreTarget::Path(target.to_owned()))
    }
}

fn restore_latest(store: &Arc<dyn Store>, target: &std::path::Path) -> Result<Arc<Recorder>> {
    let (run, recorder) = run_at(NOW);
    let chosen = find(store, "latest", &run)?;
    let options = restore_options(target);
    let plan = plan_restore(store, chosen, &options, &run)?;
    restore(plan, &options, &mut std::io::sink(), &run)?;
    Ok(recorder)
}

#[test]
fn a_restore_brings_back_every_byte_or_leaves_the_target_as_it_was() {
    let folder = fresh_folder("restore-faults");
    let target = folder.path().join("target");
    for (shape, limits) in shapes() {
        for method in [Method::List, Method::Head, Method::Get] {
            let faults: Vec<Fault> = match method {
                Method::Get => vec![
                    Fault::Before(Kind::Unreachable),
                    Fault::Lie,
                    Fault::Break { after: 1000 },
                    Fault::Cut { after: 1000 },
                    Fault::Flip { offset: 30 },
                    Fault::Flip { offset: 1_100_000 },
                    Fault::Flip { offset: 70_000 },
                ],
                _ => vec![Fault::Before(Kind::Unreachable), Fault::Lie],
            };
            for fault in faults {
                for nth in 1.. {
                    let scene = Scene::new(limits);
                    let (run, _) = run_at(NOW);
                    scene.back_up(&run).unwrap();
                    let calls_before = scene.faulty.calls(method);
                    scene.faulty.fail_nth(method, calls_before + nth, fault.clone());
                    std::fs::write(&target, "as it was").unwrap();
                    let outcome = restore_latest(&scene.store, &target);
                    let now = std::fs::read(&target).unwrap();
                    let what = format!("{shape}: {fault:?} at call {nth} of {method:?}");
                    match &outcome {
                        // A listing or a look that says that there is nothing makes an older backup the latest one.
                        Ok(_) if matches!(fault, Fault::Lie) => {}
                        Ok(_) => assert!(now == scene.content, "{what}: the content differs"),
                        Err(failure) => assert_eq!(now, b"as it was", "{what}: {failure:?}"),
                    }
                    let names: Vec<_> = std::fs::read_dir(folder.path()).unwrap().collect();
                    assert_eq!(names.len(), 1, "{what}: {names:?}");
                    if scene.faulty.calls(method) < calls_before + nth {
                        assert!(outcome.is_ok(), "{what}");
                        break;
                    }
                }
            }
        }
    }
}
