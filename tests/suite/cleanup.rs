//! Cleaning up: what is ours and old goes, what is young or somebody else's stays, and nothing of it harms a backup.

use std::sync::Arc;
use std::time::Duration;

use backup_cli::base::clock::FixedClock;
use backup_cli::base::failure::Kind;
use backup_cli::ops::Run;
use backup_cli::ops::cleanup::{CleanupOptions, cleanup, plan_cleanup, tidy_series};
use backup_cli::store::faulty::{Fault, FaultyStore, Method};
use backup_cli::store::local::LocalStore;
use backup_cli::store::memory::MemoryStore;
use backup_cli::store::{Key, PutOptions, Role, Store};

use crate::support::library::{Bytes, back_up, layout, list_all, options as backup_options, read_back, run_at};
use crate::support::place::{Place, PlaceKind};

const NOW: &str = "2026-01-31T12:00:00Z";
const LONG_AGO: &str = "2026-01-10T12:00:00Z";
const DAY: Duration = Duration::from_secs(86_400);

fn options(name: Option<&str>) -> CleanupOptions {
    CleanupOptions {
        name: name.map(str::to_owned),
        layout: layout(),
        older_than: 7 * DAY,
        purge_versions: false,
    }
}

fn put_options() -> PutOptions {
    PutOptions {
        role: Role::Data,
        token: "0123456789abcdef0123456789abcdef".to_owned(),
        content_type: "application/octet-stream",
        metadata: std::collections::BTreeMap::new(),
        lock: None,
    }
}

fn begin(store: &dyn Store, key: &str) {
    // Dropping it leaves it.
    let _ = store.start_upload(&Key::new(key), &put_options()).unwrap();
}

/// A store with one good backup, and all that can be left behind: old and young, ours and others'.
fn scene() -> (MemoryStore, FaultyStore, Arc<dyn Store>, Run) {
    let at = |time: &str| Arc::new(FixedClock(time.parse().unwrap()));
    let memory = MemoryStore::new().with_clock(at(NOW));
    let old = memory.clone().with_clock(at(LONG_AGO));
    let old_store: Arc<dyn Store> = Arc::new(old.clone());
    let (run, _) = run_at("2026-01-01T02:00:00Z");
    back_up(&old_store, Bytes::new("good"), &backup_options("app", None), &run).unwrap();
    let put = |store: &MemoryStore, key: &str| {
        store
            .put(&Key::new(key), bytes::Bytes::from_static(b"x"), &put_options())
            .unwrap();
    };
    // Left by crashes of a backup and of a prune.
    put(&old, "20260102/app_backup_20260102_020000.sql.gz");
    put(&old, "20260102/app_backup_20260102_020000.sql.gz.part-0002");
    put(&old, "20260102/app_backup_20260102_020000.sql.gz.index.gz");
    put(&old, "20260103/web_backup_20260103_020000.tar.gz.index.gz");
    put(&old, "20260103/web_backup_20260103_020000.tar.gz.pin.json");
    // In the making.
    put(&memory, "20260131/app_backup_20260131_110000.sql.gz");
    // Somebody else's: by the name, by the token.
    put(&old, "20260102/readme.txt");
    old.set_body("20260104/app_backup_20260104_020000.sql.gz", "an older script's");
    begin(&old, "20260105/app_backup_20260105_020000.sql.gz");
    begin(&old, "20260105/web_backup_20260105_020000.tar.gz.index.gz");
    begin(&old, "20260105/film.mkv");
    begin(&memory, "20260131/app_backup_20260131_110000.sql.gz");
    let faulty = FaultyStore::new(Arc::new(memory.clone()));
    let (run, _) = run_at(NOW);
    (memory, faulty.clone(), Arc::new(faulty), run)
}

fn uploads(store: &MemoryStore) -> Vec<String> {
    let mut keys: Vec<String> = store
        .unfinished_uploads("")
        .unwrap()
        .into_iter()
        .map(|upload| upload.key.to_string())
        .collect();
    keys.sort();
    keys
}

#[test]
fn what_is_ours_and_old_goes_and_all_else_stays() {
    let (memory, _, store, run) = scene();
    let plan = plan_cleanup(&store, &options(None), &run).unwrap();
    assert_eq!(
        (plan.uploads.len(), plan.young_uploads, plan.foreign_uploads),
        (2, 1, 1)
    );
    assert_eq!((plan.leftovers.len(), plan.unmanaged), (2, 3));
    let outcome = cleanup(&store, &plan, &options(None), &run).unwrap();
    assert!(outcome.is_complete());
    assert_eq!((outcome.uploads, outcome.removal.leftovers.len()), (2, 2));
    assert_eq!(
        uploads(&memory),
        ["20260105/film.mkv", "20260131/app_backup_20260131_110000.sql.gz"]
    );
    let mut keys = memory.keys();
    keys.retain(|key| !key.contains("20260101_020000"));
    assert_eq!(
        keys,
        [
            "20260102/readme.txt",
            "20260104/app_backup_20260104_020000.sql.gz",
            "20260131/app_backup_20260131_110000.sql.gz"
        ]
    );
    assert!(plan_cleanup(&store, &options(None), &run).unwrap().is_idle());
}

#[test]
fn one_series_alone_is_cleaned_up() {
    let (memory, _, store, run) = scene();
    let plan = plan_cleanup(&store, &options(Some("web")), &run).unwrap();
    assert_eq!((plan.uploads.len(), plan.leftovers.len()), (1, 1));
    let _ = cleanup(&store, &plan, &options(Some("web")), &run).unwrap();
    assert_eq!(uploads(&memory).len(), 3);
    assert!(memory.keys().iter().any(|key| key.contains("20260102_020000")));
}

#[test]
fn a_backup_clears_up_the_uploads_of_its_own_series() {
    let (memory, faulty, store, run) = scene();
    assert_eq!(tidy_series(&store, "app", &layout(), 7 * DAY, &run), 1);
    assert_eq!(uploads(&memory).len(), 3);
    assert_eq!(tidy_series(&store, "nobody", &layout(), 7 * DAY, &run), 0);
    // Whatever is wrong, it is of no consequence.
    for method in [Method::UnfinishedUploads, Method::Now, Method::AbortUnfinished] {
        faulty.heal();
        faulty.fail_always(method, Fault::Before(Kind::Denied));
        assert_eq!(tidy_series(&store, "web", &layout(), 7 * DAY, &run), 0, "{method:?}");
    }
}

#[test]
fn after_a_crash_at_any_request_the_backup_restores_and_the_next_clean_up_finishes() {
    let (clean, faulty, store, run) = scene();
    let plan = plan_cleanup(&store, &options(None), &run).unwrap();
    let _ = cleanup(&store, &plan, &options(None), &run).unwrap();
    let expected = (clean.keys(), uploads(&clean));
    let methods = [
        Method::Now,
        Method::UnfinishedUploads,
        Method::List,
        Method::Head,
        Method::AbortUnfinished,
        Method::DeleteMany,
    ];
    for method in methods {
        let calls = faulty.calls(method);
        assert!(calls > 0, "{method:?} is never called");
        for nth in 1..=calls {
            let mut faults = vec![Fault::Before(Kind::Unreachable), Fault::After(Kind::Unreachable)];
            if method == Method::DeleteMany {
                faults.extend((0..3).map(|after| Fault::Break { after }));
            }
            for fault in faults {
                let (memory, faulty, store, run) = scene();
                faulty.fail_nth(method, nth, fault.clone());
                let plan = plan_cleanup(&store, &options(None), &run);
                let outcome = plan.and_then(|plan| cleanup(&store, &plan, &options(None), &run));
                faulty.heal();
                let what = format!("{method:?} {nth} {fault:?}: {:?}", outcome.err());
                let listed = list_all(&store, &run).unwrap();
                assert_eq!(
                    listed.backups.iter().filter(|backup| backup.host.is_some()).count(),
                    1,
                    "{what}"
                );
                assert_eq!(read_back(&store, "app@oldest", &run).unwrap(), b"good", "{what}");
                let plan = plan_cleanup(&store, &options(None), &run).unwrap();
                let outcome = cleanup(&store, &plan, &options(None), &run).unwrap();
                assert!(outcome.is_complete(), "{what}");
                assert_eq!((memory.keys(), uploads(&memory)), expected, "{what}");
            }
        }
    }
}

#[test]
fn a_listing_that_breaks_or_is_cut_short_costs_nothing() {
    for after in 0..13 {
        for fault in [Fault::Break { after }, Fault::Cut { after }] {
            let (_, faulty, store, run) = scene();
            faulty.fail_always(Method::List, fault);
            if let Ok(plan) = plan_cleanup(&store, &options(None), &run) {
                let _ = cleanup(&store, &plan, &options(None), &run).unwrap();
            }
            faulty.heal();
            assert_eq!(read_back(&store, "app@oldest", &run).unwrap(), b"good", "{after}");
        }
    }
}

#[test]
fn unfinished_files_of_a_folder_are_known_by_their_key_and_their_last_part() {
    let folder = tempfile::tempdir().unwrap();
    let local = LocalStore::open(folder.path().to_owned()).unwrap();
    let upload = local
        .start_upload(&Key::new("20260105/app_backup_20260105_020000.sql.gz"), &put_options())
        .unwrap();
    let store: Arc<dyn Store> = Arc::new(local.clone());
    let (run, _) = run_at(&jiff::Timestamp::now().to_string());
    let plan = plan_cleanup(&store, &options(None), &run).unwrap();
    assert_eq!((plan.uploads.len(), plan.young_uploads), (0, 1));
    let all = CleanupOptions {
        older_than: Duration::ZERO,
        ..options(None)
    };
    let plan = plan_cleanup(&store, &all, &run).unwrap();
    assert_eq!(plan.uploads.len(), 1);
    let _ = cleanup(&store, &plan, &all, &run).unwrap();
    assert!(local.unfinished_uploads("").unwrap().is_empty());
    // What is at work fails, and leaves nothing.
    drop(upload);
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
}

#[test]
fn the_command_asks_first_and_says_what_it_does() {
    let place = Place::fresh(PlaceKind::SeaweedFs);
    let cli = place.cli();
    let bucket = place.bucket();
    let ours = "backups/20200105/app_backup_20200105_020000.sql.gz";
    bucket.client().begin_upload(&bucket.name, ours);
    bucket.client().begin_upload(&bucket.name, "backups/20200105/film.mkv");
    let _ = cli
        .run(["cleanup"])
        .success()
        .stdout_has("Nothing is to be removed")
        .stderr_has("1 unfinished upload is younger and stays.");
    let _ = cli
        .run(["cleanup", "--older-than", "0s", "--dry-run"])
        .success()
        .stdout_has(ours)
        .stderr_has("taken for left behind");
    let _ = cli.run(["cleanup", "--older-than", "0s"]).exits_with(21);
    assert_eq!(bucket.uploads().len(), 2);
    let document = cli
        .run(["cleanup", "--older-than", "0s", "-y", "--json"])
        .success()
        .json();
    assert_eq!(document["uploads_aborted"], 1, "{document}");
    assert_eq!(bucket.uploads(), ["backups/20200105/film.mkv"]);
}
