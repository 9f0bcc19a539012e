//! Copying between stores that fail at every call in turn: what a failure leaves at the target is nothing, a damaged
//! source is never committed there, and what is there afterwards restores.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use backup_cli::base::failure::{Failure, Kind, Result};
use backup_cli::catalog::layout::Layout;
use backup_cli::ops::Run;
use backup_cli::ops::backup::TransferOptions;
use backup_cli::ops::copy::{CopyOptions, CopyOutcome, CopyTarget, copy, plan_copy};
use backup_cli::ops::list::ListedState;
use backup_cli::store::faulty::{Fault, FaultyStore, Method};
use backup_cli::store::memory::{MEMORY_LIMITS, MemoryStore};
use backup_cli::store::{Key, Limits, Store};

use crate::support::library::{Bytes, back_up, find, list_all, options, read_back, run_at};
use crate::support::trees::Noise;

const THEN: &str = "2026-01-31T02:00:00Z";
const NOW: &str = "2026-02-01T00:00:00Z";
const ID: &str = "app_backup_20260131_020000";
const EARLIER: &str = "other_backup_20260130_020000";
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

/// A source with one backup, a target with one of another series, faults before both.
struct Scene {
    source_memory: MemoryStore,
    source: FaultyStore,
    target_memory: MemoryStore,
    target: FaultyStore,
    options: CopyOptions,
    before: BTreeMap<String, bytes::Bytes>,
}

/// Objects of two parts each, so that a stream takes several.
const ROLLED_OVER: Limits = Limits {
    parts_max: 2,
    parts_equal: true,
    ..MEMORY_LIMITS
};

/// The limits of source and target: streams may be cut in different ways.
fn shapes() -> [(&'static str, Limits, Limits); 3] {
    [
        ("one object", MEMORY_LIMITS, MEMORY_LIMITS),
        ("many into one", ROLLED_OVER, MEMORY_LIMITS),
        ("one into many", MEMORY_LIMITS, ROLLED_OVER),
    ]
}

impl Scene {
    fn new(source_limits: Limits, target_limits: Limits) -> Self {
        let source_memory = MemoryStore::new().with_limits(source_limits);
        let target_memory = MemoryStore::new().with_limits(target_limits);
        let behind: Arc<dyn Store> = Arc::new(source_memory.clone());
        let (run, _) = run_at(THEN);
        back_up(&behind, Bytes::new(content()), &options("app", Some(PART_BYTES)), &run).unwrap();
        let other: Arc<dyn Store> = Arc::new(target_memory.clone());
        let (run, _) = run_at("2026-01-30T02:00:00Z");
        back_up(&other, Bytes::new("earlier"), &options("other", None), &run).unwrap();
        Self {
            source: FaultyStore::new(behind),
            target: FaultyStore::new(other),
            options: copy_options(Some(PART_BYTES)),
            before: objects(&target_memory),
            source_memory,
            target_memory,
        }
    }

    fn copy(&self, run: &Run) -> Result<CopyOutcome> {
        let source: Arc<dyn Store> = Arc::new(self.source.clone());
        let chosen = find(&source, ID, run)?;
        copy(&source, &chosen, &self.to(), &self.options, run)
    }

    fn to(&self) -> CopyTarget {
        target_of(Arc::new(self.target.clone()), "")
    }

    fn behind_target(&self) -> Arc<dyn Store> {
        Arc::new(self.target_memory.clone())
    }

    /// A success is listed and restores; a failure is not listed. What was there before is as it was.
    fn check(&self, outcome: &Result<CopyOutcome>, what: &str) {
        let (run, _) = run_at(NOW);
        let listed = list_all(&self.behind_target(), &run).unwrap();
        let ids: Vec<_> = listed.backups.iter().map(|backup| backup.id.as_str()).collect();
        match outcome {
            Ok(_) => {
                assert_eq!(ids, [ID, EARLIER], "{what}: it succeeded");
                assert_eq!(listed.backups[0].state, ListedState::Complete, "{what}");
                assert_eq!(listed.uncommitted, [], "{what}");
                assert!(
                    read_back(&self.behind_target(), ID, &run).unwrap() == content(),
                    "{what}"
                );
            }
            Err(failure) => assert_eq!(ids, [EARLIER], "{what}: it failed: {failure:?}"),
        }
        let now = objects(&self.target_memory);
        for (key, body) in &self.before {
            assert_eq!(now.get(key), Some(body), "{what}: `{key}` of the earlier backup");
        }
    }

    fn check_nothing_left(&self, failure: &Failure, what: &str) {
        let keys: Vec<_> = self.before.keys().cloned().collect();
        assert_eq!(
            self.target_memory.keys(),
            keys,
            "{what}: objects are left after {failure:?}"
        );
        assert_eq!(self.uploads_left(), 0, "{what}: uploads are left after {failure:?}");
    }

    fn uploads_left(&self) -> usize {
        self.behind_target().unfinished_uploads("").unwrap().len()
    }

    /// The next run makes good what the failed one did not.
    fn check_rerun(&self, what: &str) {
        self.source.heal();
        self.target.heal();
        let (run, _) = run_at(NOW);
        let outcome = self.copy(&run);
        assert!(outcome.is_ok(), "{what}: the rerun: {outcome:?}");
        self.check(&outcome, &format!("{what}: the rerun"));
    }
}

fn target_of(store: Arc<dyn Store>, prefix: &str) -> CopyTarget {
    CopyTarget {
        store,
        layout: Layout::with_prefix(prefix).unwrap(),
    }
}

fn copy_options(part_bytes: Option<u64>) -> CopyOptions {
    let like = options("app", part_bytes);
    CopyOptions {
        transfer: TransferOptions { ..like.transfer },
        lock: None,
        lock_folder: like.lock_folder,
        lock_timeout: like.lock_timeout,
    }
}

fn content() -> &'static [u8] {
    static CONTENT: OnceLock<Vec<u8>> = OnceLock::new();
    CONTENT.get_or_init(|| Noise::new(8).bytes(650_000))
}

fn objects(memory: &MemoryStore) -> BTreeMap<String, bytes::Bytes> {
    let keys = memory.keys().into_iter();
    keys.map(|key| (key.clone(), memory.body(&key).unwrap())).collect()
}

fn each_call_at_the_target_fails_once(
    shapes: impl IntoIterator<Item = (&'static str, Limits, Limits)>,
    fault: impl Fn() -> Fault,
) {
    for (shape, source_limits, target_limits) in shapes {
        for method in METHODS {
            for nth in 1.. {
                let scene = Scene::new(source_limits, target_limits);
                scene.target.fail_nth(method, nth, fault());
                let what = format!("{shape}: call {nth} of {method:?}: {:?}", fault());
                let (run, _) = run_at(NOW);
                let outcome = scene.copy(&run);
                scene.check(&outcome, &what);
                if scene.target.calls(method) < nth {
                    assert!(outcome.is_ok(), "{what}: nothing was hit, and yet: {outcome:?}");
                    break;
                }
                match outcome {
                    // An upload whose id was lost with the reply cannot be named any more.
                    Err(_) if method == Method::StartUpload && matches!(fault(), Fault::After(_)) => {
                        assert_eq!(scene.target_memory.keys().len(), scene.before.len(), "{what}");
                        assert_eq!(scene.uploads_left(), 1, "{what}");
                    }
                    Err(failure) => scene.check_nothing_left(&failure, &what),
                    Ok(_) => assert_eq!(scene.uploads_left(), 0, "{what}"),
                }
                scene.check_rerun(&what);
            }
        }
    }
}

#[test]
fn a_call_at_the_target_that_fails_without_effect_leaves_nothing() {
    each_call_at_the_target_fails_once(shapes(), || Fault::Before(Kind::Unreachable));
}

#[test]
fn a_call_at_the_target_that_is_denied_leaves_nothing() {
    each_call_at_the_target_fails_once(shapes().into_iter().skip(2), || Fault::Before(Kind::Denied));
}

#[test]
fn a_target_that_is_full_at_any_call_is_left_as_it_was() {
    each_call_at_the_target_fails_once(shapes().into_iter().skip(2), || Fault::Before(Kind::NoSpace));
}

#[test]
fn a_call_at_the_target_that_fails_with_its_effect_leaves_nothing() {
    each_call_at_the_target_fails_once(shapes(), || Fault::After(Kind::Unreachable));
}

#[test]
fn a_target_that_lies_once_is_not_believed() {
    for (shape, source_limits, target_limits) in shapes() {
        for method in [
            Method::Put,
            Method::StartUpload,
            Method::PutPart,
            Method::Complete,
            Method::Head,
        ] {
            for nth in 1.. {
                let scene = Scene::new(source_limits, target_limits);
                scene.target.fail_nth(method, nth, Fault::Lie);
                let what = format!("{shape}: call {nth} of {method:?} lies");
                let (run, _) = run_at(NOW);
                let outcome = scene.copy(&run);
                scene.check(&outcome, &what);
                if scene.target.calls(method) < nth {
                    break;
                }
                if let Err(failure) = outcome {
                    scene.check_nothing_left(&failure, &what);
                }
            }
        }
    }
}

#[test]
fn a_source_that_fails_or_is_damaged_is_never_committed_at_the_target() {
    for (shape, source_limits, target_limits) in shapes() {
        for method in [Method::List, Method::Head, Method::Get] {
            let mut faults: Vec<Fault> = match method {
                Method::Get => vec![
                    Fault::Before(Kind::Denied),
                    Fault::Lie,
                    Fault::Cut { after: 1000 },
                    Fault::Flip { offset: 30 },
                    Fault::Flip { offset: 70_000 },
                    Fault::Flip { offset: 600_000 },
                ],
                _ => vec![Fault::Before(Kind::Unreachable), Fault::Lie],
            };
            // What passes is waited for, which takes its time: once is enough.
            if method == Method::Get && shape == "many into one" {
                faults.extend([Fault::Before(Kind::Unreachable), Fault::Break { after: 1000 }]);
            }
            for fault in faults {
                for nth in 1.. {
                    let scene = Scene::new(source_limits, target_limits);
                    scene.source.fail_nth(method, nth, fault.clone());
                    let what = format!("{shape}: {fault:?} at call {nth} of {method:?} at the source");
                    let (run, _) = run_at(NOW);
                    let outcome = scene.copy(&run);
                    scene.check(&outcome, &what);
                    if let Err(failure) = &outcome {
                        scene.check_nothing_left(failure, &what);
                    }
                    if scene.source.calls(method) < nth {
                        assert!(outcome.is_ok(), "{what}: {outcome:?}");
                        break;
                    }
                }
            }
        }
    }
}

/// What becomes of an object; nothing if it is removed.
type Damage = fn(Vec<u8>) -> Option<Vec<u8>>;

#[test]
fn a_damaged_object_of_the_source_is_damage() {
    let keys = {
        let scene = Scene::new(ROLLED_OVER, MEMORY_LIMITS);
        let keys = scene.source_memory.keys();
        keys.into_iter()
            .filter(|key| !key.ends_with(".manifest.json"))
            .collect::<Vec<_>>()
    };
    assert!(keys.len() >= 3, "{keys:?}");
    for key in keys {
        let damages: [Damage; 4] = [
            |mut body| {
                let middle = body.len() / 2;
                body[middle] ^= 1;
                Some(body)
            },
            |mut body| {
                body.pop();
                Some(body)
            },
            |mut body| {
                body.push(0);
                Some(body)
            },
            |_| None,
        ];
        for (nth, damage) in damages.into_iter().enumerate() {
            let scene = Scene::new(ROLLED_OVER, MEMORY_LIMITS);
            let body = scene.source_memory.body(&key).unwrap().to_vec();
            scene.source.delete(&Key::new(key.as_str())).unwrap();
            if let Some(body) = damage(body) {
                scene.source_memory.set_body(&key, body);
            }
            let (run, _) = run_at(NOW);
            let outcome = scene.copy(&run);
            let what = format!("damage {nth} of `{key}`");
            scene.check(&outcome, &what);
            let failure = outcome.expect_err(&what);
            assert_eq!(failure.kind(), Kind::Damaged, "{what}: {failure:?}");
            scene.check_nothing_left(&failure, &what);
        }
    }
}

#[test]
fn an_interruption_at_any_call_leaves_nothing() {
    for (shape, source_limits, target_limits) in shapes() {
        for k in 1.. {
            let scene = Scene::new(source_limits, target_limits);
            let (run, _) = run_at(NOW);
            let calls = Arc::new(AtomicU64::new(0));
            for store in [&scene.source, &scene.target] {
                for method in METHODS {
                    let (calls, cancel) = (calls.clone(), run.cancel.clone());
                    store.fail_always(
                        method,
                        Fault::Hook(Arc::new(move || {
                            if calls.fetch_add(1, Ordering::SeqCst) + 1 == k {
                                cancel.cancel();
                            }
                        })),
                    );
                }
            }
            let outcome = scene.copy(&run);
            let what = format!("{shape}: interrupted at call {k}");
            scene.check(&outcome, &what);
            if let Err(failure) = outcome {
                assert_eq!(failure.kind(), Kind::Interrupted, "{what}: {failure:?}");
                scene.check_nothing_left(&failure, &what);
            }
            if calls.load(Ordering::SeqCst) < k {
                break;
            }
        }
    }
}

#[test]
fn a_target_that_dies_at_any_call_lists_nothing_and_a_rerun_succeeds() {
    for (shape, source_limits, target_limits) in shapes() {
        for k in 1.. {
            let scene = Scene::new(source_limits, target_limits);
            let (run, _) = run_at(NOW);
            let calls = Arc::new(AtomicU64::new(0));
            for method in METHODS {
                let (calls, faulty) = (calls.clone(), scene.target.clone());
                scene.target.fail_always(
                    method,
                    Fault::Hook(Arc::new(move || {
                        if calls.fetch_add(1, Ordering::SeqCst) + 1 == k {
                            faulty.heal();
                            for method in METHODS {
                                faulty.fail_always(method, Fault::Before(Kind::Unreachable));
                            }
                        }
                    })),
                );
            }
            let outcome = scene.copy(&run);
            let what = format!("{shape}: dead after call {k}");
            scene.check(&outcome, &what);
            // What could not be removed, as after a kill, does not stand in the way of the next run.
            scene.check_rerun(&what);
            if calls.load(Ordering::SeqCst) < k {
                break;
            }
        }
    }
}

#[test]
fn leftovers_of_somebody_else_are_left_alone() {
    let scene = Scene::new(MEMORY_LIMITS, MEMORY_LIMITS);
    let key = format!("20260131/{ID}.bin.gz");
    scene.target_memory.set_body(&key, b"somebody else's".to_vec());
    let (run, _) = run_at(NOW);
    let failure = scene.copy(&run).unwrap_err();
    assert_eq!(failure.kind(), Kind::Conflict, "{failure:?}");
    assert!(failure.hints()[0].contains("another machine"), "{failure:?}");
    assert_eq!(scene.target_memory.body(&key).unwrap(), &b"somebody else's"[..]);
}

#[test]
fn a_copy_that_is_there_already_is_a_success_without_work() {
    for (shape, source_limits, target_limits) in shapes() {
        let scene = Scene::new(source_limits, target_limits);
        let (run, _) = run_at(NOW);
        assert!(!scene.copy(&run).unwrap().already_there);
        let before = (objects(&scene.target_memory), scene.target.calls(Method::StartUpload));
        let again = scene.copy(&run).unwrap();
        assert!(again.already_there, "{shape}");
        assert_eq!(
            before,
            (objects(&scene.target_memory), scene.target.calls(Method::StartUpload)),
            "{shape}"
        );
    }
}

#[test]
fn another_backup_with_the_same_id_is_refused_and_kept() {
    let scene = Scene::new(MEMORY_LIMITS, MEMORY_LIMITS);
    let (run, _) = run_at(THEN);
    let other = Bytes::new("another content of the same second");
    back_up(&scene.behind_target(), other, &options("app", None), &run).unwrap();
    let before = objects(&scene.target_memory);
    let source: Arc<dyn Store> = Arc::new(scene.source.clone());
    let chosen = find(&source, ID, &run).unwrap();
    for failure in [
        plan_copy(&chosen, &scene.to(), &run).unwrap_err(),
        scene.copy(&run).unwrap_err(),
    ] {
        assert_eq!(failure.kind(), Kind::Refused, "{failure:?}");
    }
    assert_eq!(objects(&scene.target_memory), before);
}

#[test]
fn a_copy_that_lacks_objects_is_damage_and_not_already_there() {
    let scene = Scene::new(MEMORY_LIMITS, MEMORY_LIMITS);
    let (run, _) = run_at(NOW);
    scene.copy(&run).unwrap();
    scene.target.delete(&Key::new(format!("20260131/{ID}.bin.gz"))).unwrap();
    assert_eq!(scene.copy(&run).unwrap_err().kind(), Kind::Damaged);
}

#[test]
fn the_manifest_changes_in_nothing_but_where_the_objects_are() {
    let source = MemoryStore::new().with_prefix("here");
    let target = MemoryStore::new().with_prefix("there/deep");
    let (run, _) = run_at(THEN);
    let mut backup_options = options("app", Some(PART_BYTES));
    backup_options.layout = Layout::with_prefix("here").unwrap();
    backup_options.tags = vec!["weekly".to_owned()];
    let store: Arc<dyn Store> = Arc::new(source.clone());
    back_up(&store, Bytes::new(content()), &backup_options, &run).unwrap();
    let key = format!("here/20260131/{ID}.bin.gz.manifest.json");
    // A field of a later version.
    let mut manifest: serde_json::Value = serde_json::from_slice(&source.body(&key).unwrap()).unwrap();
    manifest["later"] = "kept".into();
    source.set_body(&key, serde_json::to_vec(&manifest).unwrap());

    let (run, _) = run_at(NOW);
    let chosen = find(&store, ID, &run).unwrap();
    let layout = Layout::new(
        "there/deep",
        "{name}/{date}/{name}_backup_{date}_{time}",
        BTreeMap::new(),
    )
    .unwrap();
    let to = CopyTarget {
        store: Arc::new(target.clone()),
        layout,
    };
    let outcome = copy(&store, &chosen, &to, &copy_options(Some(400_000)), &run).unwrap();
    let data_key = format!("there/deep/app/20260131/{ID}.bin.gz");
    assert_eq!(outcome.data_key.as_str(), data_key);
    assert_eq!(
        target.body(&data_key).unwrap(),
        source.body(&format!("here/20260131/{ID}.bin.gz")).unwrap()
    );
    let mut copied: serde_json::Value =
        serde_json::from_slice(&target.body(&format!("{data_key}.manifest.json")).unwrap()).unwrap();
    assert_eq!(
        copied["copied_from"],
        serde_json::json!({
            "store": store.url(),
            "key": format!("here/20260131/{ID}.bin.gz"),
            "time": NOW,
        })
    );
    copied.as_object_mut().unwrap().remove("copied_from");
    // The digest of itself is each one's own.
    assert_ne!(copied["seal"], manifest["seal"]);
    for document in [&mut copied, &mut manifest] {
        document.as_object_mut().unwrap().remove("seal");
        document.as_object_mut().unwrap().remove("sealed");
    }
    for (was, now) in manifest["objects"]
        .as_array_mut()
        .unwrap()
        .iter_mut()
        .zip(copied["objects"].as_array_mut().unwrap())
    {
        assert!(now["key"].as_str().unwrap().starts_with("there/deep/app/20260131/"));
        assert_ne!(was["token"], now["token"]);
        for store_dependent in ["key", "token", "etag", "part_bytes", "parts"] {
            was.as_object_mut().unwrap().remove(store_dependent);
            now.as_object_mut().unwrap().remove(store_dependent);
        }
    }
    assert_eq!(copied, manifest);
}

#[test]
fn a_key_template_under_which_a_copy_would_not_be_found_is_refused() {
    let scene = Scene::new(MEMORY_LIMITS, MEMORY_LIMITS);
    let (run, _) = run_at(NOW);
    let source: Arc<dyn Store> = Arc::new(scene.source.clone());
    let chosen = find(&source, ID, &run).unwrap();
    let to = CopyTarget {
        store: scene.behind_target(),
        layout: Layout::new("", "x-{name}-{date}_{time}", BTreeMap::new()).unwrap(),
    };
    let failure = plan_copy(&chosen, &to, &run).unwrap_err();
    assert_eq!(failure.kind(), Kind::Config, "{failure:?}");
}

#[test]
fn a_backup_of_several_streams_keeps_them_however_the_target_cuts_them() {
    for (shape, source_limits, target_limits) in shapes() {
        let source: Arc<dyn Store> = Arc::new(MemoryStore::new().with_limits(source_limits));
        let target: Arc<dyn Store> = Arc::new(MemoryStore::new().with_limits(target_limits));
        let (run, _) = run_at(THEN);
        let bytes = Bytes {
            streams: 3,
            ..Bytes::new(content().repeat(4))
        };
        back_up(&source, bytes, &options("app", Some(PART_BYTES)), &run).unwrap();
        let chosen = find(&source, ID, &run).unwrap();
        let to = target_of(target.clone(), "");
        let options = copy_options(Some(PART_BYTES));
        assert!(
            !copy(&source, &chosen, &to, &options, &run).unwrap().already_there,
            "{shape}"
        );
        assert!(
            copy(&source, &chosen, &to, &options, &run).unwrap().already_there,
            "{shape}"
        );
        assert!(read_back(&target, ID, &run).unwrap() == content().repeat(4), "{shape}");
        let copied = find(&target, ID, &run).unwrap().manifest.unwrap();
        assert_eq!(copied.streams.len(), 3, "{shape}");
    }
}
