//! Object lock on what is written: everything of a backup is locked until one time, counted from its end; a lock that was
//! asked for and is not there is told; what is locked is retained and no error.

use std::sync::Arc;
use std::time::Duration;

use backup_cli::base::clock::{Clock, FixedClock};
use backup_cli::base::failure::Kind;
use backup_cli::catalog::layout::Layout;
use backup_cli::ops::backup::BackupOptions;
use backup_cli::ops::copy::{CopyOptions, CopyTarget, copy};
use backup_cli::ops::lock_until::{LockRequest, LockSpan};
use backup_cli::ops::prune::{PruneOptions, plan_prune, prune};
use backup_cli::ops::several::{Destination, backup_to_several};
use backup_cli::retention::{Count, Policy};
use backup_cli::store::memory::{MemoryLocks, MemoryStore};
use backup_cli::store::object_lock::{LockMode, LockSeen, ObjectLock};
use backup_cli::store::{Key, Store};
use jiff::{SignedDuration, Timestamp};

use crate::support::cli::Cli;
use crate::support::library::{Bytes, back_up, find, layout, list_all, options, run_at, warnings};
use crate::support::ministack::Ministack;
use crate::support::s3_client::S3Client;
use crate::support::weed::{Bucket, Weed};

const NOW: &str = "2026-01-31T02:00:00Z";

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn days(days: i64) -> SignedDuration {
    SignedDuration::from_hours(24 * days)
}

fn request(span: LockSpan) -> LockRequest {
    LockRequest {
        mode: LockMode::Compliance,
        span,
        days_max: 3660,
    }
}

fn locked(name: &str, span: LockSpan) -> BackupOptions {
    BackupOptions {
        lock: Some(request(span)),
        ..options(name, None)
    }
}

fn memory(locks: MemoryLocks) -> MemoryStore {
    MemoryStore::new()
        .with_locks(locks)
        .with_clock(Arc::new(FixedClock(at(NOW))))
}

fn locks_of(store: &MemoryStore) -> Vec<LockSeen> {
    let keys = store.keys();
    keys.iter()
        .map(|key| store.lock_of(&Key::new(key.as_str()), None).unwrap())
        .collect()
}

#[test]
fn everything_of_a_backup_is_locked_until_one_time() {
    let (run, _) = run_at(NOW);
    let memory = memory(MemoryLocks::Kept);
    let store: Arc<dyn Store> = Arc::new(memory.clone());
    let made = back_up(&store, Bytes::new("x"), &locked("app", LockSpan::Days(30)), &run).unwrap();
    let lock = ObjectLock {
        mode: LockMode::Compliance,
        until: at("2026-03-02T03:00:00Z"),
    };
    assert_eq!(locks_of(&memory), [LockSeen::Locked(lock); 3]);
    assert_eq!((made.manifest.lock, made.unlocked), (Some(lock), None));
    assert_eq!(list_all(&store, &run).unwrap().backups[0].lock, Some(lock));
    let (later, _) = run_at("2026-03-02T03:00:00Z");
    assert_eq!(list_all(&store, &later).unwrap().backups[0].lock, None);
}

/// Two days later as soon as the store holds anything: the upload took that long.
struct LongUpload(MemoryStore);

impl Clock for LongUpload {
    fn now(&self) -> Timestamp {
        let took = if self.0.keys().is_empty() { 0 } else { 2 };
        at(NOW).checked_add(days(took)).unwrap()
    }
}

#[test]
fn days_count_from_the_end_of_a_long_upload() {
    let content = MemoryStore::new().with_locks(MemoryLocks::Kept);
    let clock = Arc::new(LongUpload(content.clone()));
    let memory = content.with_clock(clock.clone());
    let store: Arc<dyn Store> = Arc::new(memory.clone());
    let (mut run, _) = run_at(NOW);
    run.clock = clock;
    let made = back_up(&store, Bytes::new("x"), &locked("app", LockSpan::Days(30)), &run).unwrap();
    let lock = made.manifest.lock.unwrap();
    assert_eq!(lock.until, at("2026-03-04T03:00:00Z"));
    assert_eq!(locks_of(&memory), [LockSeen::Locked(lock); 3]);
    // A time that is named stays what it is, and one that has passed meanwhile is told.
    let until = |until| {
        let content = MemoryStore::new().with_locks(MemoryLocks::Kept);
        let clock = Arc::new(LongUpload(content.clone()));
        let store: Arc<dyn Store> = Arc::new(content.with_clock(clock.clone()));
        let (mut run, _) = run_at(NOW);
        run.clock = clock;
        back_up(
            &store,
            Bytes::new("x"),
            &locked("app", LockSpan::Until(at(until))),
            &run,
        )
        .unwrap()
    };
    let kept = until("2026-02-03T00:00:00.5Z");
    assert_eq!(kept.manifest.lock.unwrap().until, at("2026-02-03T00:00:00Z"));
    let over = until("2026-02-01T00:00:00Z");
    assert_eq!(over.manifest.lock, None);
    assert!(over.unlocked.unwrap().contains("it was over before"));
}

#[test]
fn a_lock_that_the_store_ignores_is_asked_for_again_and_told_if_it_stays_away() {
    let (run, _) = run_at(NOW);
    let memory_once = memory(MemoryLocks::IgnoredInUploads);
    let store: Arc<dyn Store> = Arc::new(memory_once.clone());
    let made = back_up(&store, Bytes::new("x"), &locked("app", LockSpan::Days(1)), &run).unwrap();
    assert_eq!(made.unlocked, None);
    assert_eq!(
        locks_of(&memory_once),
        [LockSeen::Locked(made.manifest.lock.unwrap()); 3]
    );

    let store: Arc<dyn Store> = Arc::new(memory(MemoryLocks::Ignored));
    let made = back_up(&store, Bytes::new("x"), &locked("app", LockSpan::Days(1)), &run).unwrap();
    let why = made.unlocked.unwrap();
    assert!(why.contains("not locked") && why.contains("took no notice"), "{why}");
    assert_eq!(made.manifest.lock, None);
    assert_eq!(made.manifest.warnings, [why]);
    assert_eq!(list_all(&store, &run).unwrap().backups.len(), 1);
}

#[test]
fn a_lock_that_cannot_be_is_refused_before_anything_is_written() {
    let (run, _) = run_at(NOW);
    let day = |day: &str| LockSpan::Until(at(&format!("{day}T02:00:00Z")));
    for (locks, span, kind) in [
        (MemoryLocks::Never, LockSpan::Days(1), Kind::Config),
        (MemoryLocks::Missing, LockSpan::Days(1), Kind::Config),
        (MemoryLocks::Kept, day("2026-01-30"), Kind::Usage),
        (MemoryLocks::Kept, day("2026-01-31"), Kind::Usage),
        (MemoryLocks::Kept, day("2126-01-31"), Kind::Refused),
        (MemoryLocks::Kept, LockSpan::Days(3661), Kind::Refused),
        (MemoryLocks::Kept, LockSpan::Days(u64::MAX), Kind::Refused),
    ] {
        let memory = memory(locks);
        let store: Arc<dyn Store> = Arc::new(memory.clone());
        let failure = back_up(&store, Bytes::new("x"), &locked("app", span), &run).unwrap_err();
        assert_eq!(failure.kind(), kind, "{span:?}: {failure}");
        assert!(memory.keys().is_empty() && store.unfinished_uploads("").unwrap().is_empty());
    }
    let mut allowed = locked("app", LockSpan::Days(36_500));
    allowed.lock.as_mut().unwrap().days_max = 36_500;
    let store: Arc<dyn Store> = Arc::new(memory(MemoryLocks::Kept));
    let made = back_up(&store, Bytes::new("x"), &allowed, &run).unwrap();
    assert_eq!(made.manifest.lock.unwrap().until, at("2126-01-07T03:00:00Z"));
}

#[test]
fn the_stores_clock_says_when_a_lock_ends() {
    // This machine believes that it is a hundred years ago.
    let (run, _) = run_at("1926-01-31T02:00:00Z");
    let store: Arc<dyn Store> = Arc::new(memory(MemoryLocks::Kept));
    let made = back_up(&store, Bytes::new("x"), &locked("app", LockSpan::Days(1)), &run).unwrap();
    assert_eq!(made.manifest.lock.unwrap().until, at("2026-02-01T03:00:00Z"));
}

#[test]
fn of_several_stores_those_with_locks_are_locked() {
    let (run, recorder) = run_at(NOW);
    let to = |locks: &[MemoryLocks]| -> Vec<Destination> {
        let store = |locks: &MemoryLocks| -> Arc<dyn Store> { Arc::new(memory(*locks)) };
        locks
            .iter()
            .map(|locks| Destination {
                store: store(locks),
                layout: layout(),
            })
            .collect()
    };
    let options = locked("app", LockSpan::Days(1));
    let all = to(&[MemoryLocks::Never, MemoryLocks::Kept, MemoryLocks::Missing]);
    let outcomes = backup_to_several(&all, &mut Bytes::new("x"), &options, &run).unwrap();
    let lock = |place: usize| outcomes[place].result.as_ref().map(|made| made.manifest.lock);
    assert_eq!(lock(0).unwrap(), None);
    assert_eq!(lock(1).unwrap().unwrap().until, at("2026-02-01T03:00:00Z"));
    assert_eq!(lock(2).unwrap_err().kind(), Kind::Config);
    assert!(warnings(&recorder).iter().any(|text| text.contains("no object lock")));
    let none = to(&[MemoryLocks::Never, MemoryLocks::Never]);
    let refused = backup_to_several(&none, &mut Bytes::new("x"), &options, &run);
    assert_eq!(refused.err().unwrap().kind(), Kind::Config);
}

#[test]
fn a_copy_has_a_lock_of_its_own() {
    let (run, _) = run_at(NOW);
    let source: Arc<dyn Store> = Arc::new(memory(MemoryLocks::Kept));
    let made = back_up(&source, Bytes::new("x"), &locked("app", LockSpan::Days(30)), &run).unwrap();
    let chosen = find(&source, &made.manifest.id, &run).unwrap();
    for (locks, span, until) in [
        (MemoryLocks::Never, None, None),
        (
            MemoryLocks::Kept,
            Some(LockSpan::Days(1)),
            Some(at("2026-02-01T03:00:00Z")),
        ),
    ] {
        let memory = memory(locks);
        let target = CopyTarget {
            store: Arc::new(memory.clone()),
            layout: layout(),
        };
        let like = options("app", None);
        let copying = CopyOptions {
            transfer: like.transfer,
            lock: span.map(request),
            lock_folder: like.lock_folder,
            lock_timeout: Duration::ZERO,
        };
        let copied = copy(&source, &chosen, &target, &copying, &run).unwrap();
        assert_eq!(copied.unlocked, None);
        let found = find(&target.store, &made.manifest.id, &run).unwrap();
        assert_eq!(found.manifest.unwrap().lock.map(|lock| lock.until), until);
        let expected = until.map_or(LockSeen::Unlocked, |until| {
            LockSeen::Locked(ObjectLock {
                mode: LockMode::Compliance,
                until,
            })
        });
        assert_eq!(locks_of(&memory), [expected; 3]);
        assert!(copy(&source, &chosen, &target, &copying, &run).unwrap().already_there);
    }
}

fn prune_options(like: BackupOptions) -> PruneOptions {
    let mut policy = Policy::default();
    policy.counts[0] = Count::Number(1);
    PruneOptions {
        name: None,
        layout: layout(),
        policy,
        keep_min: 1,
        purge_versions: false,
        leftovers_older_than: Duration::from_secs(3600),
        lock_folder: like.lock_folder,
        lock_timeout: Duration::ZERO,
    }
}

#[test]
fn what_is_locked_is_kept_whole_until_its_lock_ends() {
    let content = memory(MemoryLocks::Kept);
    let store: Arc<dyn Store> = Arc::new(content.clone());
    let (run, _) = run_at(NOW);
    let options = locked("app", LockSpan::Days(7));
    back_up(&store, Bytes::new("old"), &options, &run).unwrap();
    let (run, _) = run_at("2026-01-31T03:00:00Z");
    let unlocked = BackupOptions {
        lock: None,
        ..options.clone()
    };
    back_up(&store, Bytes::new("new"), &unlocked, &run).unwrap();
    let prune_at = |time: &str| {
        let store: Arc<dyn Store> = Arc::new(content.clone().with_clock(Arc::new(FixedClock(at(time)))));
        let (run, _) = run_at(time);
        let asked = prune_options(options.clone());
        let plan = plan_prune(&store, &asked, &run).unwrap();
        let until = plan.series[0].removals().map(|backup| backup.retained).next();
        (until, prune(&store, &plan, &asked, &run).unwrap())
    };
    let ends = at("2026-02-07T03:00:00Z");
    let (until, removal) = prune_at("2026-02-06T00:00:00Z");
    assert_eq!(until.flatten().and_then(|retained| retained.until), Some(ends));
    assert_eq!(removal.retained.len(), 1);
    assert_eq!(removal.retained[0].1.until, Some(ends));
    assert!(removal.removed.is_empty() && removal.is_complete());
    assert_eq!(content.keys().len(), 6);
    let (until, removal) = prune_at("2026-02-07T03:00:00Z");
    assert_eq!((until, removal.removed.len()), (Some(None), 1));
    assert_eq!(content.keys().len(), 3);
}

fn lockable(access: &crate::support::s3_client::S3Access, name: &str) -> Bucket {
    access.client().create_lockable_bucket(name);
    Bucket {
        name: name.to_owned(),
        access: access.clone(),
    }
}

/// The mode and the end of the lock of each object below the prefix.
fn all_locks(client: &S3Client, bucket: &str) -> Vec<Option<(String, i64)>> {
    let keys = client.keys(bucket, "backups/");
    keys.iter().map(|key| client.lock_of(bucket, key)).collect()
}

/// Two backups of a file, both locked; the older one's id, and what `list` says of it.
fn two_locked_backups(cli: &Cli, mode: &str, bucket: &Bucket) -> (String, serde_json::Value) {
    let file = cli.home().join("file");
    std::fs::write(&file, "content").unwrap();
    let file = file.to_str().unwrap();
    let arguments = ["backup", file, "--name", "app", "--lock-mode", mode, "--lock-days", "1"];
    let made = cli.run(arguments).success();
    assert!(made.stdout().contains(&format!("{mode} until ")), "{made}");
    let _ = cli.run(arguments).success();
    let listed = cli.run(["list", "--json"]).success().json();
    assert_eq!(listed.as_array().unwrap().len(), 2);
    let old = listed[1].clone();
    assert_eq!(old["lock"]["mode"], mode);
    let until = at(old["lock"]["until"].as_str().unwrap());
    let left = until.duration_since(Timestamp::now());
    assert!(
        left > days(1) && left <= days(1) + SignedDuration::from_hours(1),
        "{left:?}"
    );
    let locks = all_locks(&bucket.client(), &bucket.name);
    assert_eq!(locks.len(), 6);
    for lock in &locks {
        let (found, end) = lock.as_ref().expect("every object is locked");
        assert_eq!(found, &mode.to_uppercase());
        assert!((end - until.as_second()).abs() < 60);
    }
    (old["id"].as_str().unwrap().to_owned(), old)
}

#[test]
fn a_locked_backup_stands_until_its_lock_is_lifted() {
    let weed = Weed::shared();
    for mode in ["governance", "compliance"] {
        let bucket = lockable(weed.access(), &format!("object-lock-{mode}"));
        let client = bucket.client();
        let cli = Cli::new().envs(bucket.environment());
        let (id, old) = two_locked_backups(&cli, mode, &bucket);
        let until = old["lock"]["until"].as_str().unwrap().replace('T', " ");
        let _ = cli.run(["list"]).success().stdout_has("LOCKED").stdout_has(&until);
        let _ = cli
            .run(["show", &id])
            .success()
            .stdout_has(&format!("{mode} until {until}"));
        // No version of any of them can be removed.
        assert_eq!(client.delete_versions(&bucket.name, "backups/", false).len(), 6);
        let ancient = ancient_backup(mode, &bucket);
        let is_retained = format!("`{ancient}.manifest.json` is retained until ");
        let shown = cli.run(["prune", "--keep-last", "1", "--dry-run"]).success();
        assert!(shown.stdout().contains(", locked until "), "{shown}");
        for purge in [None, Some("--purge-versions")] {
            let arguments = ["prune", "--keep-last", "1", "-y"];
            let _ = cli
                .run(arguments.into_iter().chain(purge))
                .success()
                .stderr_has(&is_retained);
            assert_eq!(client.keys(&bucket.name, "backups/").len(), 9);
            assert_eq!(client.versions(&bucket.name).len(), 9, "nothing is hidden");
        }
        if mode == "compliance" {
            assert_eq!(client.delete_versions(&bucket.name, "backups/", true).len(), 9);
            continue;
        }
        // What the manifest says is not what counts.
        for key in client.keys(&bucket.name, "backups/20200101/") {
            client.lift_lock(&bucket.name, &key);
        }
        std::thread::sleep(Duration::from_millis(1100));
        let _ = cli
            .run(["prune", "--keep-last", "1", "-y", "--purge-versions"])
            .success()
            .stdout_has("Removed 1 backup ");
        assert_eq!(client.versions(&bucket.name).len(), 6);
        assert!(client.delete_versions(&bucket.name, "backups/", true).is_empty());
    }
}

/// A locked backup of long ago; its data key.
fn ancient_backup(mode: &str, bucket: &Bucket) -> String {
    let (run, _) = run_at("2020-01-01T02:00:00Z");
    let store: Arc<dyn Store> = Arc::new(crate::store_contract::s3_store(
        &bucket.access,
        &bucket.name,
        Some("seaweedfs"),
    ));
    let options = BackupOptions {
        layout: Layout::with_prefix("backups").unwrap(),
        lock: Some(LockRequest {
            mode: mode.parse().unwrap(),
            ..request(LockSpan::Days(1))
        }),
        ..options("app", None)
    };
    let made = back_up(&store, Bytes::new("ancient"), &options, &run).unwrap();
    assert_eq!(made.unlocked, None);
    let data = made.manifest.data_objects().next().unwrap();
    data.key.to_string()
}

#[test]
fn an_orphan_that_is_locked_is_retained_by_cleanup() {
    let bucket = lockable(Weed::shared().access(), "object-lock-orphan");
    let client = bucket.client();
    let cli = Cli::new().envs(bucket.environment());
    let store = crate::store_contract::s3_store(&bucket.access, &bucket.name, Some("seaweedfs"));
    let key = "backups/20200101/app_backup_20200101_020000.bin.gz";
    let until = Timestamp::now().checked_add(days(1)).unwrap();
    let put = backup_cli::store::PutOptions {
        role: backup_cli::store::Role::Data,
        token: "0123456789abcdef0123456789abcdef".to_owned(),
        content_type: "application/octet-stream",
        metadata: std::collections::BTreeMap::new(),
        lock: Some(ObjectLock {
            mode: LockMode::Governance,
            until,
        }),
    };
    store
        .put(&Key::new(key), bytes::Bytes::from_static(b"x"), &put)
        .unwrap();
    for purge in [None, Some("--purge-versions")] {
        let arguments = ["cleanup", "--older-than", "0s", "-y"];
        let _ = cli
            .run(arguments.into_iter().chain(purge))
            .success()
            .stderr_has(&format!("`{key}` is retained until "));
        assert_eq!(client.keys(&bucket.name, "backups/"), [key]);
    }
    assert!(client.delete_versions(&bucket.name, "backups/", true).is_empty());
    let _ = cli.run(["cleanup", "--older-than", "0s"]).success();
}

#[test]
fn a_server_that_ignores_locks_of_uploads_is_made_to_keep_them() {
    let server = Ministack::shared();
    let plain = server.bucket();
    let bucket = lockable(&plain.access, "object-lock-stack");
    let cli = Cli::new().envs(bucket.environment());
    let _ = two_locked_backups(&cli, "governance", &bucket);
}

#[test]
fn locks_that_make_no_sense_are_refused_with_what_to_do() {
    let bucket = Weed::shared().bucket();
    let cli = Cli::new().envs(bucket.environment());
    let file = cli.home().join("file");
    std::fs::write(&file, "content").unwrap();
    let refuse = |store: Option<&str>, words: &str, code: i32, said: &str| {
        let mut command = vec!["backup", file.to_str().unwrap(), "--name", "app"];
        command.extend(store.iter().flat_map(|store| ["--store", store]));
        command.extend(words.split_whitespace());
        let refused = cli.run(command).exits_with(code);
        assert!(refused.stderr().contains(said), "{words}: {refused}");
    };
    let folder = cli.home().join("folder");
    let folder = folder.to_str();
    refuse(None, "--lock-mode governance", 2, "not until when");
    refuse(None, "--lock-days 3", 2, "not how firm");
    refuse(
        None,
        "--lock-mode governance --lock-days 3 --lock-until 2030-01-01",
        2,
        "Both `--lock-until` and `--lock-days`",
    );
    refuse(
        None,
        "--lock-mode governance --lock-until soon",
        2,
        "Not a time: `soon`",
    );
    refuse(None, "--lock-mode firm --lock-days 3", 2, "firm");
    refuse(None, "--lock-mode governance --lock-days 0", 2, "--lock-days");
    refuse(None, "--lock retention", 2, "nobody can say how long");
    refuse(None, "--lock-mode governance --lock-days 3", 2, "has no object lock");
    refuse(
        folder,
        "--lock-mode governance --lock-days 3",
        2,
        "cannot lock anything",
    );
    let locking = lockable(&bucket.access, "object-lock-bad");
    let store = locking.store("backups");
    refuse(
        Some(&store),
        "--lock-mode governance --lock-until 2020-01-01",
        2,
        "would be over",
    );
    refuse(
        Some(&store),
        "--lock-mode compliance --lock-until 2126-01-01",
        21,
        "Nobody can take a compliance lock back",
    );
    assert!(bucket.client().keys(&locking.name, "").is_empty());
    // The nearest layer counts: what the profile says is undone, or said otherwise, on the command line.
    let config = cli.home().join("config.toml");
    std::fs::write(&config, "[profile.p]\nlock = \"retention\"\nkeep-daily = 2\n").unwrap();
    let cli = cli.env("BACKUP_CONFIG", &config);
    let backup = |words: &[&str]| {
        let mut command = vec!["backup", file.to_str().unwrap(), "--name", "app", "-p", "p", "--json"];
        command.extend(["--store", &store]);
        command.extend(words);
        cli.run(command).success().json_lines().pop().unwrap()
    };
    let by_policy = backup(&["--dry-run"]);
    assert_eq!(by_policy["lock"]["mode"], "governance");
    let until = at(by_policy["lock"]["until"].as_str().unwrap());
    assert!((until.duration_since(Timestamp::now()) - days(2)).as_secs() <= 3600);
    assert_eq!(backup(&["--lock", "off", "--dry-run"])["lock"], serde_json::Value::Null);
    let named = backup(&[
        "--lock-mode",
        "compliance",
        "--lock-until",
        "2030-01-01T00:00:00Z",
        "--dry-run",
    ]);
    assert_eq!(named["lock"]["until"], "2030-01-01T00:00:00Z");
}
