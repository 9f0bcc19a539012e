//! `rebuild-index`: the index comes back from the data, and the backup is one at every step.

use std::sync::Arc;

use backup_cli::base::failure::{Failure, Kind};
use backup_cli::catalog::codec::Codec;
use backup_cli::catalog::listing::load_manifest;
use backup_cli::catalog::manifest::Manifest;
use backup_cli::ops::Run;
use backup_cli::ops::backup::{BackupOptions, backup};
use backup_cli::ops::list::ListedState;
use backup_cli::ops::rebuild_index::{Commit, RebuildOptions, RebuildOutcome, rebuild_index};
use backup_cli::ops::verify::{Checked, Level, Subject, VerifyOptions, verify};
use backup_cli::pipeline::crypt::{Keys, KeysOptions, Recipients, generate_identity};
use backup_cli::source::Source;
use backup_cli::source::directory::{DirectoryOptions, DirectorySource};
use backup_cli::source::sqlite::{SqliteOptions, SqliteSource};
use backup_cli::store::faulty::{Fault, FaultyStore, Method};
use backup_cli::store::memory::{MEMORY_LIMITS, MemoryStore};
use backup_cli::store::{Key, Limits, Store};

use crate::support::cli::Cli;
use crate::support::library::{Bytes, back_up, find, list_all, options, read_back, run_at};
use crate::support::postgres::PostgresServer;
use crate::support::server::fresh_folder;
use crate::support::trees::{Noise, make_small_tree};

const TIME: &str = "2026-01-31T02:00:00Z";
const LATER: &str = "2026-02-01T02:00:00Z";

/// A store with one backup in it.
struct Scene {
    memory: MemoryStore,
    store: Arc<dyn Store>,
    run: Run,
    id: String,
    index: String,
    manifest: String,
    content: Vec<u8>,
    _folder: tempfile::TempDir,
}

impl Scene {
    fn of(
        source: &mut dyn Source,
        options: &BackupOptions,
        limits: Limits,
        run: Run,
        folder: tempfile::TempDir,
    ) -> Self {
        let memory = MemoryStore::new().with_limits(limits);
        let store: Arc<dyn Store> = Arc::new(memory.clone());
        let outcome = backup(&store, source, options, &run).unwrap();
        let record = outcome.manifest.index_object().unwrap();
        let index = record.key.as_str().to_owned();
        let (mut later, _) = run_at(LATER);
        later.keys = run.keys;
        Self {
            content: read_back(&store, &outcome.manifest.id, &later).unwrap(),
            id: outcome.manifest.id.clone(),
            manifest: outcome.manifest_key.as_str().to_owned(),
            memory,
            store,
            run: later,
            index,
            _folder: folder,
        }
    }

    fn tree(change: impl FnOnce(&mut BackupOptions)) -> Self {
        let folder = fresh_folder("rebuild-tree");
        let tree = folder.path().join("www");
        make_small_tree(&tree);
        std::fs::write(tree.join("large"), Noise::new(5).bytes(1_500_000)).unwrap();
        let mut options = options("www", None);
        change(&mut options);
        let (run, _) = run_at(TIME);
        let mut source = DirectorySource::new(DirectoryOptions {
            paths: vec![tree],
            ..DirectoryOptions::default()
        });
        Self::of(&mut source, &options, MEMORY_LIMITS, run, folder)
    }

    fn bytes(content: Vec<u8>, streams: usize, limits: Limits, change: impl FnOnce(&mut BackupOptions)) -> Self {
        let mut options = options("app", Some(300_000));
        change(&mut options);
        let (run, _) = run_at(TIME);
        let mut source = Bytes {
            streams,
            ..Bytes::new(content)
        };
        Self::of(&mut source, &options, limits, run, fresh_folder("rebuild-bytes"))
    }

    /// A small encrypted backup, whose index is never the same twice, so that the manifest has to change.
    fn sealed() -> Self {
        let (secret, public) = generate_identity();
        let folder = fresh_folder("rebuild-sealed");
        let path = folder.path().join("key.txt");
        std::fs::write(&path, secret.expose()).unwrap();
        let mut options = options("app", None);
        options.recipients = Some(Recipients::of_keys(&[public.0]).unwrap());
        let (mut run, _) = run_at(TIME);
        run.keys = Keys::new(KeysOptions {
            identity_files: vec![path],
            ..KeysOptions::default()
        });
        let mut source = Bytes::new(Noise::new(3).bytes(3000));
        Self::of(&mut source, &options, MEMORY_LIMITS, run, folder)
    }

    fn rebuild_with(&self, store: &Arc<dyn Store>, is_dry_run: bool) -> Result<RebuildOutcome, Failure> {
        rebuild(store, &self.id, is_dry_run, &self.run)
    }

    fn rebuild(&self) -> RebuildOutcome {
        self.rebuild_with(&self.store, false).unwrap()
    }

    fn manifest(&self) -> Manifest {
        load_manifest(self.store.as_ref(), &Key::new(self.manifest.clone())).unwrap()
    }

    /// It is listed and restores.
    fn check_backup(&self, what: &str) {
        let listed = list_all(&self.store, &self.run).unwrap();
        assert_eq!(listed.backups.len(), 1, "{what}");
        assert_eq!(
            listed.backups[0].state,
            ListedState::Complete,
            "{what}: {:?}",
            listed.backups[0]
        );
        let chosen = find(&self.store, &self.id, &self.run).unwrap();
        let (mut plaintext, _) =
            backup_cli::ops::plaintext::Plaintext::open(&self.store, &chosen, 1, &self.run).unwrap();
        let mut content = Vec::new();
        std::io::Read::read_to_end(&mut plaintext, &mut content).unwrap();
        plaintext.verify().unwrap();
        assert!(content == self.content, "{what}: the content differs");
    }

    /// The deepest look finds it whole.
    fn check_whole(&self, what: &str) {
        self.check_backup(what);
        let checked = check(&self.store, &self.id, Level::Deep, &self.run);
        assert_eq!(checked.damage, [], "{what}");
        assert!(!checked.is_incomplete, "{what}: {:?}", checked.remarks);
    }
}

fn rebuild(store: &Arc<dyn Store>, id: &str, is_dry_run: bool, run: &Run) -> Result<RebuildOutcome, Failure> {
    let chosen = find(store, id, run)?;
    let options = RebuildOptions {
        is_dry_run,
        threads: 2,
        memory_bytes: 64 << 20,
        lock_folder: options("locks", None).lock_folder,
        lock_timeout: std::time::Duration::ZERO,
    };
    rebuild_index(store, chosen, &options, run)
}

fn check(store: &Arc<dyn Store>, id: &str, level: Level, run: &Run) -> Checked {
    let chosen = find(store, id, run).unwrap();
    let options = VerifyOptions {
        level,
        sample: None,
        client_folder: None,
        threads: 2,
    };
    let mut all = Vec::new();
    let subjects = vec![Subject::Chosen(Box::new(chosen))];
    verify(store, subjects, None, &options, run, &mut |_, checked| {
        all.push(checked);
        Ok(())
    })
    .unwrap();
    all.pop().unwrap().unwrap()
}

#[test]
fn a_lost_index_of_files_comes_back_to_the_byte_and_the_manifest_stays() {
    let scene = Scene::tree(|_| {});
    let (index, manifest) = (scene.memory.body(&scene.index), scene.memory.body(&scene.manifest));
    assert_eq!(scene.rebuild().commit, Commit::IndexIsGood);
    for damage in ["lost", "cut", "changed"] {
        match damage {
            "lost" => scene.store.delete(&Key::new(scene.index.clone())).unwrap(),
            "cut" => scene.memory.set_body(&scene.index, index.clone().unwrap().slice(..20)),
            _ => scene.memory.set_body(&scene.index, "something else"),
        }
        scene.check_backup(damage);
        assert!(
            check(&scene.store, &scene.id, Level::Data, &scene.run).is_damaged(),
            "{damage}"
        );
        let dry = scene.rebuild_with(&scene.store, true).unwrap();
        assert_eq!(dry.commit, Commit::Stays, "{damage}");
        assert!(
            check(&scene.store, &scene.id, Level::Data, &scene.run).is_damaged(),
            "{damage}"
        );
        let outcome = scene.rebuild();
        assert_eq!(outcome.commit, Commit::Stays, "{damage}");
        assert!(outcome.trouble.is_some() && outcome.entries > 3, "{outcome:?}");
        assert_eq!(scene.memory.body(&scene.index), index, "{damage}");
        assert_eq!(scene.memory.body(&scene.manifest), manifest, "{damage}");
        scene.check_whole(damage);
    }
}

#[test]
fn every_kind_of_backup_gets_its_index_back() {
    let (secret, public) = generate_identity();
    let keys = || {
        let file = fresh_folder("rebuild-key");
        let path = file.path().join("key.txt");
        std::fs::write(&path, secret.expose()).unwrap();
        let keys = Keys::new(KeysOptions {
            identity_files: vec![path],
            ..KeysOptions::default()
        });
        (keys, file)
    };
    let noise = Noise::new(9).bytes(1_100_000);
    let dump = format!(
        "-- MariaDB dump 10.19\n--\n-- Table structure for table `t`\n--\n\nCREATE TABLE `t` (a int);\n\n--\n-- Dumping data for table `t`\n--\n\n{}-- Dump completed\n",
        "INSERT INTO `t` VALUES (1),(2),(3);\n".repeat(30_000)
    );
    let rolled = Limits {
        parts_max: 2,
        parts_equal: true,
        ..MEMORY_LIMITS
    };
    for codec in Codec::ALL {
        for is_encrypted in [false, true] {
            for (what, content, streams, limits) in [
                ("bytes", noise.clone(), 1, MEMORY_LIMITS),
                ("several objects", noise.clone(), 1, rolled),
                ("several streams", noise.clone(), 3, rolled),
                ("a dump", dump.clone().into_bytes(), 1, MEMORY_LIMITS),
                ("nothing", Vec::new(), 1, MEMORY_LIMITS),
            ] {
                let what = format!("{what}, {codec}, encrypted: {is_encrypted}");
                let (keys, _file) = keys();
                let mut options = options("app", Some(300_000));
                options.codec = codec;
                options.level = codec.level_default().min(1);
                options.recipients = is_encrypted.then(|| Recipients::of_keys(&[&public.0]).unwrap());
                let (mut run, _) = run_at(TIME);
                run.keys = keys;
                let mut source = Bytes {
                    streams,
                    ..Bytes::new(content)
                };
                let scene = Scene::of(&mut source, &options, limits, run, fresh_folder("rebuild-kinds"));
                let before = scene.manifest();
                scene.store.delete(&Key::new(scene.index.clone())).unwrap();
                let outcome = scene.rebuild();
                assert_ne!(outcome.commit, Commit::IndexIsGood, "{what}");
                scene.check_whole(&what);
                let after = scene.manifest();
                assert_eq!(
                    (
                        before.plain_bytes,
                        before.plain_sha256,
                        before.streams.len(),
                        before.recipients
                    ),
                    (
                        after.plain_bytes,
                        after.plain_sha256,
                        after.streams.len(),
                        after.recipients
                    ),
                    "{what}"
                );
                let data = |manifest: &[backup_cli::catalog::manifest::ObjectRecord]| {
                    manifest
                        .iter()
                        .filter(|object| object.role == backup_cli::store::Role::Data)
                        .cloned()
                        .collect::<Vec<_>>()
                };
                assert_eq!(data(&before.objects), data(&after.objects), "{what}");
            }
        }
    }
}

#[test]
fn the_tables_of_a_database_come_back() {
    let folder = fresh_folder("rebuild-sqlite");
    let path = folder.path().join("app.db");
    let connection = rusqlite::Connection::open(&path).unwrap();
    connection
        .execute_batch("CREATE TABLE users (name); INSERT INTO users VALUES ('a'), ('b'); CREATE TABLE empty (x);")
        .unwrap();
    drop(connection);
    let (run, _) = run_at(TIME);
    let mut source = SqliteSource::new(SqliteOptions::new(path));
    let scene = Scene::of(&mut source, &options("app", None), MEMORY_LIMITS, run, folder);
    let index = scene.memory.body(&scene.index);
    scene.store.delete(&Key::new(scene.index.clone())).unwrap();
    let outcome = scene.rebuild();
    assert_eq!((outcome.entries, outcome.commit), (2, Commit::Stays));
    assert_eq!(scene.memory.body(&scene.index), index);
    scene.check_whole("sqlite");
}

#[test]
fn damaged_data_gets_no_index_and_nothing_is_written() {
    let scene = Scene::bytes(Noise::new(3).bytes(400_000), 1, MEMORY_LIMITS, |_| {});
    scene.store.delete(&Key::new(scene.index.clone())).unwrap();
    let data = scene.index.trim_end_matches(".index.gz").to_owned();
    let mut body = scene.memory.body(&data).unwrap().to_vec();
    body[200_000] ^= 1;
    scene.memory.set_body(&data, body);
    let before = scene.memory.keys();
    let failure = scene.rebuild_with(&scene.store, false).unwrap_err();
    assert_eq!(failure.kind(), Kind::Damaged);
    assert_eq!(scene.memory.keys(), before);
}

#[test]
fn without_the_key_and_under_a_lock_nothing_is_done() {
    let (_, public) = generate_identity();
    let folder = fresh_folder("rebuild-locked");
    let mut backup_options = options("app", None);
    backup_options.recipients = Some(Recipients::of_keys(&[public.0]).unwrap());
    let memory = MemoryStore::new();
    let store: Arc<dyn Store> = Arc::new(memory.clone());
    let (run, _) = run_at(TIME);
    back_up(&store, Bytes::new("secret"), &backup_options, &run).unwrap();
    let failure = rebuild(&store, "app_backup_20260131_020000", false, &run).unwrap_err();
    assert_eq!(failure.kind(), Kind::WrongKey);

    let scene = Scene::bytes(b"x".to_vec(), 1, MEMORY_LIMITS, |_| {});
    let lock_folder = folder.path().join("locks");
    let _lock = backup_cli::ops::lock::SeriesLock::take(
        &lock_folder,
        &scene.store.url(),
        "app",
        std::time::Duration::ZERO,
        &scene.run,
    )
    .unwrap();
    let options = RebuildOptions {
        is_dry_run: false,
        threads: 1,
        memory_bytes: 64 << 20,
        lock_folder,
        lock_timeout: std::time::Duration::ZERO,
    };
    let chosen = find(&scene.store, &scene.id, &scene.run).unwrap();
    let failure = rebuild_index(&scene.store, chosen, &options, &scene.run).unwrap_err();
    assert_eq!(failure.kind(), Kind::Locked);
}

#[test]
fn borg_3444_a_repair_that_fails_at_any_call_makes_nothing_worse() {
    const METHODS: [Method; 9] = [
        Method::Put,
        Method::ReplaceIf,
        Method::StartUpload,
        Method::PutPart,
        Method::Complete,
        Method::Abort,
        Method::Get,
        Method::Head,
        Method::Delete,
    ];
    for is_lost in [true, false] {
        for fault in [Fault::Before(Kind::Denied), Fault::After(Kind::Unreachable), Fault::Lie] {
            for method in METHODS {
                if matches!((method, &fault), (Method::Get, Fault::After(_))) {
                    continue;
                }
                for nth in 1.. {
                    let scene = Scene::sealed();
                    match is_lost {
                        true => scene.store.delete(&Key::new(scene.index.clone())).unwrap(),
                        false => scene.memory.set_body(&scene.index, "damaged"),
                    }
                    let faulty = FaultyStore::new(scene.store.clone());
                    let through: Arc<dyn Store> = Arc::new(faulty.clone());
                    faulty.fail_nth(method, nth, fault.clone());
                    let what = format!("lost: {is_lost}, call {nth} of {method:?}: {fault:?}");
                    let outcome = scene.rebuild_with(&through, false);
                    match outcome.is_ok() && !matches!(fault, Fault::Lie) {
                        true => scene.check_whole(&what),
                        false => scene.check_backup(&what),
                    }
                    let was_hit = faulty.calls(method) >= nth;
                    if was_hit {
                        // The next run brings it to its end.
                        scene.rebuild();
                        scene.check_whole(&format!("{what}: again"));
                    } else {
                        assert_eq!(outcome.unwrap().commit, Commit::Replaced, "{what}");
                        break;
                    }
                }
            }
        }
    }
}

#[test]
fn a_manifest_that_was_changed_meanwhile_is_left_alone() {
    let scene = Scene::sealed();
    scene.memory.set_body(&scene.index, "damaged");
    let faulty = FaultyStore::new(scene.store.clone());
    let through: Arc<dyn Store> = Arc::new(faulty.clone());
    let (memory, key) = (scene.memory.clone(), scene.manifest.clone());
    faulty.fail_nth(
        Method::ReplaceIf,
        1,
        Fault::Hook(Arc::new(move || memory.set_body(&key, "another"))),
    );
    let failure = scene.rebuild_with(&through, false).unwrap_err();
    assert_eq!(failure.kind(), Kind::Conflict);
    assert_eq!(scene.memory.body(&scene.manifest).unwrap(), "another");
}

#[test]
fn the_streams_of_a_parallel_dump_come_back_with_their_tables() {
    let server = PostgresServer::shared();
    let database = server.fresh_database();
    database.psql(
        "CREATE TABLE a (x int PRIMARY KEY); INSERT INTO a SELECT generate_series(1, 500); CREATE TABLE b (y text); \
         INSERT INTO b VALUES ('one'), ('two'); CREATE INDEX i ON b (y); CREATE VIEW v AS SELECT * FROM a;",
    );
    let cli = Cli::new();
    let store = cli.home().join("store");
    let store_text = store.to_str().unwrap();
    let run = |arguments: &[&str]| cli.run([&["--store", store_text], arguments].concat()).success();
    run(&["backup", &database.url(), "--name", "app", "--jobs", "2"]);
    let listed = || run(&["ls", "latest", "--json"]).stdout().to_owned();
    let (before, key) = (
        listed(),
        run(&["list", "--json"]).json()[0]["key"].as_str().unwrap().to_owned(),
    );
    std::fs::remove_file(store.join(format!("{key}.index.gz"))).unwrap();
    run(&["rebuild-index", "latest"]);
    assert_eq!(listed(), before);
    run(&["verify", "latest", "--level", "deep"]);
    let table = run(&["restore", "latest", "--table", "b", "--to", "-"]);
    assert!(table.stdout().contains("one\ntwo\n"), "{}", table.stdout());
}

#[test]
fn the_command_tells_what_it_did() {
    let cli = Cli::new();
    let tree = cli.home().join("www");
    make_small_tree(&tree);
    let store = cli.home().join("store");
    let store_text = store.to_str().unwrap();
    cli.run(["--store", store_text, "backup", tree.to_str().unwrap(), "--name", "www"])
        .success();
    let list = cli.run(["--store", store_text, "list", "--json"]).success().json();
    let key = list[0]["key"].as_str().unwrap();
    std::fs::remove_file(store.join(format!("{key}.index.gz"))).unwrap();
    let done = cli
        .run(["--store", store_text, "rebuild-index", "www@latest", "--json"])
        .success()
        .json();
    assert_eq!(
        (&done["rebuilt"], &done["manifest"]),
        (&true.into(), &"unchanged".into())
    );
    cli.run(["--store", store_text, "rebuild-index", "latest"])
        .success()
        .stdout_has("is as it should be");
    cli.run(["--store", store_text, "verify", "latest", "--level", "deep"])
        .success();
}
