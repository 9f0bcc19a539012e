//! One backup into several stores: the source is read once, each store commits by itself, and one that fails does not take
//! the others with it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use backup_cli::base::failure::{Kind, Result};
use backup_cli::catalog::layout::Layout;
use backup_cli::ops::Run;
use backup_cli::ops::list::ListedState;
use backup_cli::ops::several::{Destination, StoreOutcome, backup_to_several};
use backup_cli::store::faulty::{Fault as StoreFault, FaultyStore, Method};
use backup_cli::store::memory::{MEMORY_LIMITS, MemoryStore};
use backup_cli::store::{Limits, Store};

use crate::many_backups::peak_resident_kib;
use crate::support::cli::{Cli, Outcome};
use crate::support::fault_s3::{Fault, FaultS3, Op, Options, When};
use crate::support::library::{Bytes, back_up, list_all, options, read_back, run_at};
use crate::support::place::files_below;
use crate::support::server::{fresh_folder, process_folder};
use crate::support::trees::{Compare, Noise, assert_same_tree, make_small_tree};

const NOW: &str = "2026-01-31T02:00:00Z";
const ID: &str = "app_backup_20260131_020000";
const PART_BYTES: u64 = 300_000;

const METHODS: [Method; 8] = [
    Method::Put,
    Method::StartUpload,
    Method::PutPart,
    Method::Complete,
    Method::Abort,
    Method::Head,
    Method::List,
    Method::Delete,
];

fn content() -> &'static [u8] {
    static CONTENT: OnceLock<Vec<u8>> = OnceLock::new();
    CONTENT.get_or_init(|| Noise::new(9).bytes(1_150_000))
}

/// A store that works and one that fails as told.
struct Pair {
    good: MemoryStore,
    bad: MemoryStore,
    faulty: FaultyStore,
}

impl Pair {
    /// With the limits of the one that fails.
    fn new(limits: Limits) -> Self {
        let bad = MemoryStore::new().with_limits(limits);
        Self {
            good: MemoryStore::new(),
            faulty: FaultyStore::new(Arc::new(bad.clone())),
            bad,
        }
    }

    /// The one that fails stands first, or last.
    fn destinations(&self, fails_first: bool) -> Vec<Destination> {
        let mut stores: Vec<Arc<dyn Store>> = vec![Arc::new(self.good.clone()), Arc::new(self.faulty.clone())];
        if fails_first {
            stores.reverse();
        }
        stores.into_iter().map(destination).collect()
    }

    fn back_up(&self, fails_first: bool, source: Bytes, run: &Run) -> Result<Vec<StoreOutcome>> {
        let mut source = source;
        let mut options = options("app", Some(PART_BYTES));
        // Both have the same URL, and so the same lock.
        options.lock_timeout = Duration::from_secs(10);
        let mut outcomes = backup_to_several(&self.destinations(fails_first), &mut source, &options, run)?;
        if fails_first {
            outcomes.reverse();
        }
        Ok(outcomes)
    }

    fn check_good(&self, what: &str) {
        check_whole(&self.good, what);
    }
}

fn destination(store: Arc<dyn Store>) -> Destination {
    Destination {
        store,
        layout: Layout::with_prefix("").unwrap(),
    }
}

fn check_whole(memory: &MemoryStore, what: &str) {
    let store: Arc<dyn Store> = Arc::new(memory.clone());
    let (run, _) = run_at(NOW);
    let listed = list_all(&store, &run).unwrap();
    assert_eq!(listed.backups.len(), 1, "{what}");
    assert_eq!(listed.backups[0].id, ID, "{what}");
    assert_eq!(listed.backups[0].state, ListedState::Complete, "{what}");
    assert_eq!(listed.uncommitted, [], "{what}");
    assert!(read_back(&store, ID, &run).unwrap() == content(), "{what}");
    assert_eq!(store.unfinished_uploads("").unwrap(), [], "{what}");
}

fn check_empty(memory: &MemoryStore, what: &str) {
    assert_eq!(memory.keys(), Vec::<String>::new(), "{what}");
    assert_eq!(memory.unfinished_uploads("").unwrap(), [], "{what}");
}

#[test]
fn two_names_of_one_store_cost_the_second_its_copy_and_not_the_backup() {
    let memory = MemoryStore::new();
    for whole in 0..2 {
        let destinations = vec![
            destination(Arc::new(memory.clone())),
            destination(Arc::new(memory.clone())),
        ];
        let now = ["2026-01-31T02:00:00Z", "2026-02-01T02:00:00Z"][whole];
        let (run, _) = run_at(now);
        let mut source = Bytes::new(content());
        let outcomes = backup_to_several(&destinations, &mut source, &options("app", Some(PART_BYTES)), &run).unwrap();
        let made: Vec<bool> = outcomes.iter().map(|outcome| outcome.result.is_ok()).collect();
        assert_eq!(made.iter().filter(|made| **made).count(), 1, "{made:?}");
        let store: Arc<dyn Store> = Arc::new(memory.clone());
        let listed = list_all(&store, &run).unwrap();
        assert_eq!(listed.backups.len(), whole + 1);
        for backup in &listed.backups {
            assert_eq!(backup.state, ListedState::Complete);
            assert!(read_back(&store, &backup.id, &run).unwrap() == content());
        }
        assert_eq!(listed.uncommitted, []);
        assert_eq!(store.unfinished_uploads("").unwrap(), []);
    }
}

const ROLLED_OVER: Limits = Limits {
    parts_max: 2,
    parts_equal: true,
    ..MEMORY_LIMITS
};

#[test]
fn the_source_is_read_once_and_every_store_holds_the_same_backup() {
    let stores = [
        MemoryStore::new(),
        MemoryStore::new().with_limits(ROLLED_OVER),
        MemoryStore::new(),
    ];
    let layouts = [
        "{date}/{name}_backup_{date}_{time}",
        "{name}/{date}/{name}_backup_{date}_{time}",
        "{name}_backup_{date}_{time}",
    ];
    let destinations: Vec<Destination> = stores
        .iter()
        .zip(layouts)
        .map(|(store, template)| Destination {
            store: Arc::new(store.clone()),
            layout: Layout::new("", template, BTreeMap::new()).unwrap(),
        })
        .collect();
    let (run, _) = run_at(NOW);
    let mut source = Bytes::new(content());
    let outcomes = backup_to_several(&destinations, &mut source, &options("app", Some(PART_BYTES)), &run).unwrap();
    assert_eq!(outcomes.len(), 3);
    let mut manifests = Vec::new();
    for (outcome, store) in outcomes.into_iter().zip(&stores) {
        check_whole(store, "one of three");
        let made = outcome.result.unwrap();
        assert!(store.keys().contains(&made.manifest_key.to_string()));
        manifests.push(made.manifest);
    }
    assert!(manifests.iter().all(|manifest| manifest.id == ID));
    let digests: Vec<Vec<_>> = manifests
        .iter()
        .map(|manifest| manifest.data_objects().map(|object| object.sha256.clone()).collect())
        .collect();
    assert!(digests[0].len() > 1 && digests[0] == digests[1] && digests[1] == digests[2]);
    assert_eq!(
        manifests[1].data_objects().next().unwrap().key.as_str(),
        format!("app/20260131/{ID}.bin.gz")
    );
}

#[test]
fn a_key_that_is_taken_in_one_store_is_used_in_none() {
    let pair = Pair::new(MEMORY_LIMITS);
    let store: Arc<dyn Store> = Arc::new(pair.bad.clone());
    let (run, _) = run_at(NOW);
    back_up(&store, Bytes::new("earlier"), &options("app", None), &run).unwrap();
    let outcomes = pair.back_up(false, Bytes::new(content()), &run).unwrap();
    for outcome in outcomes {
        assert_eq!(outcome.result.unwrap().manifest.id, "app_backup_20260131_020001");
    }
}

fn each_call_fails_once(fault: &StoreFault, limits: Limits, fails_first: bool, streams: usize) {
    for method in METHODS {
        for nth in 1.. {
            let pair = Pair::new(limits);
            pair.faulty.fail_nth(method, nth, fault.clone());
            let what = format!("call {nth} of {method:?}: {fault:?}, first: {fails_first}");
            let (run, _) = run_at(NOW);
            let source = Bytes {
                streams,
                ..Bytes::new(content())
            };
            let outcomes = pair.back_up(fails_first, source, &run).expect(&what);
            assert!(
                outcomes[0].result.is_ok(),
                "{what}: {:?}",
                outcomes[0].result.as_ref().err()
            );
            pair.check_good(&what);
            let was_hit = pair.faulty.calls(method) >= nth;
            match &outcomes[1].result {
                Ok(_) => check_whole(&pair.bad, &what),
                // An upload whose id was lost with the reply cannot be named any more.
                Err(_) if method == Method::StartUpload && matches!(fault, StoreFault::After(_)) => {
                    assert_eq!(pair.bad.keys(), Vec::<String>::new(), "{what}");
                }
                Err(_) => check_empty(&pair.bad, &what),
            }
            if !was_hit {
                assert!(outcomes[1].result.is_ok(), "{what}");
                break;
            }
        }
    }
}

#[test]
fn a_store_that_fails_at_any_call_without_effect_is_given_up_and_the_other_holds_the_backup() {
    for fails_first in [false, true] {
        each_call_fails_once(&StoreFault::Before(Kind::Unreachable), MEMORY_LIMITS, fails_first, 1);
    }
    each_call_fails_once(&StoreFault::Before(Kind::Denied), ROLLED_OVER, false, 3);
}

#[test]
fn a_store_that_fails_at_any_call_with_its_effect_is_given_up_and_the_other_holds_the_backup() {
    each_call_fails_once(&StoreFault::After(Kind::Unreachable), MEMORY_LIMITS, true, 3);
    each_call_fails_once(&StoreFault::After(Kind::Unreachable), ROLLED_OVER, false, 1);
}

#[test]
fn a_store_that_dies_at_any_call_lists_nothing_and_the_other_holds_the_backup() {
    for k in 1.. {
        let pair = Pair::new(ROLLED_OVER);
        let (run, _) = run_at(NOW);
        let calls = Arc::new(AtomicU64::new(0));
        for method in METHODS {
            let (calls, faulty) = (calls.clone(), pair.faulty.clone());
            pair.faulty.fail_always(
                method,
                StoreFault::Hook(Arc::new(move || {
                    if calls.fetch_add(1, Ordering::SeqCst) + 1 == k {
                        faulty.heal();
                        for method in METHODS {
                            faulty.fail_always(method, StoreFault::Before(Kind::Unreachable));
                        }
                    }
                })),
            );
        }
        let what = format!("dead after call {k}");
        let outcomes = pair.back_up(k % 2 == 0, Bytes::new(content()), &run).expect(&what);
        assert!(outcomes[0].result.is_ok(), "{what}");
        pair.check_good(&what);
        let store: Arc<dyn Store> = Arc::new(pair.bad.clone());
        let listed = list_all(&store, &run).unwrap().backups.len();
        match &outcomes[1].result {
            Ok(_) => assert_eq!(listed, 1, "{what}"),
            Err(failure) if failure.message().contains("cannot be told") => {}
            Err(failure) => assert_eq!(listed, 0, "{what}: {failure:?}"),
        }
        if calls.load(Ordering::SeqCst) < k {
            break;
        }
    }
}

#[test]
fn when_all_stores_fail_each_says_why_and_nothing_is_left() {
    for method in [
        Method::Head,
        Method::StartUpload,
        Method::PutPart,
        Method::Complete,
        Method::Put,
    ] {
        let pair = Pair::new(MEMORY_LIMITS);
        let other = FaultyStore::new(Arc::new(pair.good.clone()));
        pair.faulty.fail_always(method, StoreFault::Before(Kind::Denied));
        other.fail_always(method, StoreFault::Before(Kind::NoSpace));
        if method == Method::Head {
            // Who is denied a look is not kept from writing.
            pair.faulty
                .fail_always(Method::StartUpload, StoreFault::Before(Kind::Denied));
        }
        let (run, _) = run_at(NOW);
        let stores: [Arc<dyn Store>; 2] = [Arc::new(pair.faulty.clone()), Arc::new(other)];
        let destinations: Vec<_> = stores.into_iter().map(destination).collect();
        let mut source = Bytes::new(content());
        let options = options("app", Some(PART_BYTES));
        let outcomes = backup_to_several(&destinations, &mut source, &options, &run).unwrap();
        let kinds: Vec<Kind> = outcomes
            .iter()
            .map(|one| one.result.as_ref().unwrap_err().kind())
            .collect();
        assert_eq!(kinds, [Kind::Denied, Kind::NoSpace], "{method:?}");
        check_empty(&pair.bad, &format!("{method:?}"));
        check_empty(&pair.good, &format!("{method:?}"));
    }
}

#[test]
fn a_source_that_fails_leaves_nothing_in_any_store() {
    let pair = Pair::new(MEMORY_LIMITS);
    let (run, _) = run_at(NOW);
    let source = Bytes {
        ends_well: false,
        ..Bytes::new(content())
    };
    let failure = pair.back_up(false, source, &run).map(drop).unwrap_err();
    assert_eq!(failure.kind(), Kind::Source);
    check_empty(&pair.good, "good");
    check_empty(&pair.bad, "bad");
}

#[test]
fn an_interruption_at_any_call_leaves_nothing_that_is_not_whole() {
    for k in 1.. {
        let pair = Pair::new(MEMORY_LIMITS);
        let (run, _) = run_at(NOW);
        let calls = Arc::new(AtomicU64::new(0));
        for method in METHODS {
            let (calls, cancel) = (calls.clone(), run.cancel.clone());
            pair.faulty.fail_always(
                method,
                StoreFault::Hook(Arc::new(move || {
                    if calls.fetch_add(1, Ordering::SeqCst) + 1 == k {
                        cancel.cancel();
                    }
                })),
            );
        }
        let what = format!("interrupted at call {k}");
        match pair.back_up(false, Bytes::new(content()), &run) {
            Err(failure) => {
                assert_eq!(failure.kind(), Kind::Interrupted, "{what}: {failure:?}");
                check_empty(&pair.good, &what);
                check_empty(&pair.bad, &what);
            }
            Ok(outcomes) => {
                for (outcome, memory) in outcomes.iter().zip([&pair.good, &pair.bad]) {
                    match &outcome.result {
                        Ok(_) => check_whole(memory, &what),
                        Err(_) => check_empty(memory, &what),
                    }
                }
            }
        }
        if calls.load(Ordering::SeqCst) < k {
            break;
        }
    }
}

// The binary.

fn tree() -> &'static Path {
    static TREE: OnceLock<PathBuf> = OnceLock::new();
    TREE.get_or_init(|| {
        let tree = process_folder().join("several-tree");
        make_small_tree(&tree);
        std::fs::write(tree.join("large"), Noise::new(7).bytes(11 << 20)).expect("a file");
        tree
    })
}

/// A user whose profile names a folder and the store of another profile.
struct Scene {
    cli: Cli,
    folder: tempfile::TempDir,
    server: FaultS3,
    bucket: String,
}

impl Scene {
    fn new(options: Options) -> Self {
        let server = FaultS3::with(options);
        let bucket = server.bucket();
        let access = server.access();
        let folder = fresh_folder("several");
        let config = folder.path().join("config.toml");
        let profile = |name: &str, prefix: &str| {
            format!(
                "[profile.{name}]\nstore = \"s3://{bucket}/{prefix}\"\nendpoint-url = \"{}\"\nregion = \"{}\"\n\
                 aws-access-key-id = \"{}\"\naws-secret-access-key = \"{}\"\nprovider = \"aws\"\npath-style = true\n",
                access.endpoint, access.region, access.access_key, access.secret_key
            )
        };
        std::fs::write(
            &config,
            format!(
                "[profile.web]\nstore = [\"./here\", \"@offsite\"]\n\n{}\n{}",
                profile("offsite", "second"),
                profile("third", "third")
            ),
        )
        .expect("a file");
        let cli = Cli::new()
            .env("BACKUP_CONFIG", &config)
            .env("BACKUP_LEVEL", "1")
            .env("BACKUP_PART_SIZE", "5MiB")
            .env("BACKUP_RETRY_DELAY", "0s")
            .env("BACKUP_RETRY_DELAY_MAX", "1s")
            .env("BACKUP_RETRY_BUDGET", "1s");
        Self {
            cli,
            folder,
            server,
            bucket,
        }
    }

    fn back_up(&self, more: &[&str]) -> Outcome {
        let tree = tree().to_str().expect("UTF-8");
        self.cli.run([&["-p", "web", "backup", tree], more].concat())
    }

    fn here(&self) -> PathBuf {
        self.folder.path().join("here")
    }

    fn list(&self, store: &str) -> serde_json::Value {
        self.cli
            .run(["-p", "web", "--store", store, "list", "--json"])
            .success()
            .json()
    }

    #[track_caller]
    fn restores(&self, store: Option<&str>) {
        let to = self.folder.path().join("restored");
        let store = store.map_or_else(Vec::new, |store| vec!["--store", store]);
        let to_text = to.to_str().expect("UTF-8");
        let _ = self
            .cli
            .run([&["-p", "web"], &store[..], &["restore", "latest", "--to", to_text]].concat())
            .success();
        assert_same_tree(tree(), &to.join("several-tree"), Compare::all());
        std::fs::remove_dir_all(to).expect("the target");
    }
}

#[test]
fn a_profile_with_two_stores_backs_up_into_both_and_restores_from_either() {
    let scene = Scene::new(Options::default());
    let run = scene.back_up(&["--json"]).success();
    let summary = run.json_lines().pop().expect("a summary");
    let stores = summary["stores"].as_array().expect("the stores");
    let urls: Vec<_> = stores
        .iter()
        .map(|store| store["store"].as_str().expect("a URL").to_owned())
        .collect();
    assert_eq!(
        urls,
        [
            format!("file://{}", scene.here().display()),
            format!("s3://{}/second", scene.bucket)
        ]
    );
    assert!(stores.iter().all(|store| store["state"] == "committed"), "{run}");
    assert_eq!(summary["store"], urls[0].as_str());
    let id = &summary["snapshot_id"];
    // Without being told, all else uses the first.
    let first = scene.cli.run(["-p", "web", "list", "--json"]).success().json();
    assert_eq!((&first[0]["id"], scene.list("@offsite")[0]["id"] == *id), (id, true));
    scene.restores(None);
    scene.restores(Some("@offsite"));
    // The stored bytes are the same, made once.
    let key = stores[1]["key"].as_str().expect("a key");
    let there = scene.server.object(&scene.bucket, key).expect("the data").content();
    assert!(there == std::fs::read(scene.here().join(stores[0]["key"].as_str().expect("a key"))).expect("the data"));

    let shown = scene
        .cli
        .run(["-p", "web", "config", "show", "--json"])
        .success()
        .json();
    let store = &shown["settings"]["store"]["value"];
    assert_eq!(*store, serde_json::json!([urls[0], "@offsite"]));
    let run = scene.cli.run(["-p", "web", "config", "show"]).success();
    run.stdout_has(&format!("{} @offsite", urls[0]));
}

#[test]
fn one_store_that_dies_in_mid_backup_leaves_the_other_a_good_one_and_exit_3() {
    let scene = Scene::new(Options::default());
    scene.server.fault(
        When::every(Op::UploadPart).occurrences(2..u64::MAX),
        Fault::ResetInBody { after_bytes: 1000 },
    );
    let run = scene.back_up(&["--json"]).exits_with(3);
    let summary = run.json_lines().pop().expect("a summary");
    assert_eq!(summary["stores"][0]["state"], "committed");
    assert_eq!(summary["stores"][1]["state"], "failed");
    assert!(run.stderr().contains("The backup is missing in 1 of 2 stores"), "{run}");
    assert!(
        run.stderr()
            .contains(&format!("Could not back up to s3://{}/second", scene.bucket)),
        "{run}"
    );
    scene.restores(None);
    scene.server.heal();
    assert_eq!(scene.list("@offsite"), serde_json::json!([]));
    assert_eq!(scene.server.keys(&scene.bucket), Vec::<String>::new());
    assert_eq!(scene.server.open_uploads(&scene.bucket), []);
    // What is missing there is brought there.
    let run = scene
        .cli
        .run(["-p", "web", "copy", "--all", "--to", "@offsite"])
        .success();
    run.stdout_has("Copied 1 backup");
    scene.restores(Some("@offsite"));
}

#[test]
fn a_store_that_cannot_be_reached_at_all_takes_no_part() {
    let scene = Scene::new(Options::default());
    scene.server.fault(When::everything(), Fault::ACCESS_DENIED);
    let run = scene.back_up(&[]).exits_with(3);
    run.stdout_has("Backed up");
    scene.restores(None);
}

#[test]
fn stores_that_all_die_fail_the_run() {
    let scene = Scene::new(Options::default());
    scene.server.fault(When::every(Op::UploadPart), Fault::ACCESS_DENIED);
    let tree = tree().to_str().expect("UTF-8");
    let run = scene
        .cli
        .run(["--store", "@offsite", "--store", "@third", "backup", tree])
        .exits_with(1);
    assert!(run.stderr().contains("The backup failed in all 2 stores"), "{run}");
    assert_eq!(scene.server.keys(&scene.bucket), Vec::<String>::new());
    assert_eq!(scene.server.open_uploads(&scene.bucket), []);
    assert_eq!(run.stdout(), "");
}

#[test]
fn a_dry_run_names_every_store_and_writes_to_none() {
    let scene = Scene::new(Options::default());
    let run = scene.back_up(&["--dry-run", "--json"]).success();
    let summary = run.json_lines().pop().expect("a summary");
    assert_eq!(summary["stores"].as_array().map(Vec::len), Some(2));
    assert_eq!(files_below(&scene.here()), Vec::<String>::new());
    assert_eq!(scene.server.keys(&scene.bucket), Vec::<String>::new());
}

#[test]
fn stores_on_the_command_line_are_repeated_and_checked() {
    let scene = Scene::new(Options::default());
    let (one, two) = (scene.folder.path().join("one"), scene.folder.path().join("two"));
    let (one, two) = (one.to_str().expect("UTF-8"), two.to_str().expect("UTF-8"));
    let tree = tree().to_str().expect("UTF-8");
    let run = scene
        .cli
        .run(["--store", one, "--store", two, "backup", tree])
        .success();
    run.stdout_has(&format!("to file://{one} and file://{two}"));
    assert_eq!(files_below(Path::new(one)), files_below(Path::new(two)));
    assert_eq!(files_below(Path::new(one)).len(), 3);
    // A store in what is backed up is left out of it, whichever it is.
    let inside = scene.folder.path().join("source");
    std::fs::create_dir_all(inside.join("a")).expect("a folder");
    let (a, b) = (inside.join("store-a"), inside.join("store-b"));
    let (a, b) = (a.to_str().expect("UTF-8"), b.to_str().expect("UTF-8"));
    for _ in 0..2 {
        let _ = scene
            .cli
            .run(["--store", a, "--store", b, "backup", inside.to_str().expect("UTF-8")])
            .success();
    }
    let run = scene.cli.run(["--store", b, "ls", "latest", "--json"]).success();
    assert!(!run.stdout().contains("_backup_"), "{run}");
    for (arguments, code, says) in [
        (["--store", one, "--store", one], 2, "is named twice"),
        (["--store", one, "--store", "@nowhere"], 10, "No such profile"),
        (
            ["--store", one, "--store", "@web"],
            2,
            "names other profiles or several stores",
        ),
        (["--store", one, "--store", "gs://x"], 2, "is not a kind of store"),
    ] {
        let run = scene
            .cli
            .run([&arguments[..], &["backup", tree]].concat())
            .exits_with(code);
        assert!(run.stderr().contains(says), "{run}");
    }
}

#[test]
fn a_slow_store_holds_the_backup_up_and_not_in_memory() {
    let scene = Scene::new(Options {
        sink: true,
        ..Options::default()
    });
    scene.server.fault(
        When::every(Op::UploadPart),
        Fault::Delay {
            time: Duration::from_millis(150),
        },
    );
    // 320 MiB that do not compress, far more than may be in memory.
    let mut run = scene
        .cli
        .command([
            "-p",
            "web",
            "backup",
            "--command",
            "head -c 335544320 /dev/urandom",
            "--name",
            "noise",
        ])
        .env("BACKUP_PART_SIZE", "8MiB")
        .start();
    let status = format!("/proc/{}/status", run.pid().as_raw_nonzero());
    let began = Instant::now();
    let mut resident_kib = 0;
    while !run.has_ended() {
        resident_kib = resident_kib.max(peak_resident_kib(&status));
        std::thread::sleep(Duration::from_millis(5));
    }
    let outcome = run.wait().success();
    assert!(began.elapsed() > Duration::from_secs(2), "{outcome}");
    assert!((1_000..128 * 1024).contains(&resident_kib), "{resident_kib} KiB");
}
