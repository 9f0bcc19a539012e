//! A stream that is longer than one object may be: it goes on in further ones, which `cat` joins.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use backup_cli::base::failure::Kind;
use backup_cli::base::report::{Recorder, Reporter};
use backup_cli::ops::Run;
use backup_cli::ops::backup::backup;
use backup_cli::ops::list::ListedState;
use backup_cli::ops::restore::{RestoreOptions, RestoreReport, RestoreTarget, plan_restore, restore};
use backup_cli::source::directory::{DirectoryOptions, DirectorySource};
use backup_cli::store::faulty::{FaultyStore, Method};
use backup_cli::store::memory::{MEMORY_LIMITS, MemoryStore};
use backup_cli::store::{Key, Limits, Store};

use crate::store_contract::s3_store;
use crate::support::aws;
use crate::support::cli::Cli;
use crate::support::library::{Bytes, back_up, find, list_all, options, run_at};
use crate::support::server::fresh_folder;
use crate::support::system_tool;
use crate::support::trees::{Compare, Noise, TreeOptions, assert_same_tree, make_nasty_tree};
use crate::support::weed::Bucket;

const NOW: &str = "2026-01-31T02:00:00Z";
const DATA: &str = "20260131/app_backup_20260131_020000.tar.gz";

struct Scene {
    folder: tempfile::TempDir,
    memory: MemoryStore,
    store: Arc<dyn Store>,
    run: Run,
}

impl Scene {
    /// Backs a nasty tree up in objects of at most four parts.
    fn new() -> Self {
        let folder = fresh_folder("rollover");
        let tree = folder.path().join("tree");
        make_nasty_tree(&tree, TreeOptions::all());
        std::fs::write(tree.join("noise"), Noise::new(9).bytes(2 << 20)).unwrap();
        std::fs::write(tree.join("zz-wanted"), Noise::new(10).bytes(10_000)).unwrap();
        let memory = MemoryStore::new().with_limits(Limits {
            parts_max: 4,
            parts_equal: true,
            ..MEMORY_LIMITS
        });
        let store: Arc<dyn Store> = Arc::new(memory.clone());
        let (run, _) = run_at(NOW);
        let mut source = DirectorySource::new(DirectoryOptions {
            paths: vec![tree],
            ..DirectoryOptions::default()
        });
        let outcome = backup(&store, &mut source, &options("app", Some(200_000)), &run).unwrap();
        assert_eq!(outcome.manifest.problem_count, 0);
        Self {
            folder,
            memory,
            store,
            run,
        }
    }

    fn data_keys(&self) -> Vec<String> {
        self.memory
            .keys()
            .into_iter()
            .filter(|key| !key.ends_with(".index.gz") && !key.ends_with(".manifest.json"))
            .collect()
    }

    fn tree(&self) -> PathBuf {
        self.folder.path().join("tree")
    }

    fn restore(
        &self,
        store: &Arc<dyn Store>,
        target: &Path,
        include: &[&str],
    ) -> backup_cli::base::failure::Result<(RestoreReport, Arc<Recorder>)> {
        let (run, recorder) = run_at(NOW);
        let chosen = find(store, "latest", &run)?;
        let options = RestoreOptions {
            include: include.iter().map(|text| (*text).to_owned()).collect(),
            threads: 2,
            ..RestoreOptions::new(RestoreTarget::Path(target.to_owned()))
        };
        let plan = plan_restore(store, chosen, &options, &run)?;
        Ok((restore(plan, &options, &mut std::io::sink(), &run)?, recorder))
    }
}

#[test]
fn the_objects_are_numbered_and_cat_joins_them() {
    let scene = Scene::new();
    let keys = scene.data_keys();
    assert!(keys.len() >= 3, "{keys:?}");
    for (number, key) in keys.iter().enumerate() {
        let expected = match number {
            0 => DATA.to_owned(),
            _ => format!("{DATA}.part-{:04}", number + 1),
        };
        assert_eq!(*key, expected);
        let bytes = scene.memory.body(key).unwrap().len();
        assert!(
            bytes == 800_000 || number + 1 == keys.len(),
            "`{key}` has {bytes} bytes"
        );
    }
    let joined: Vec<u8> = keys.iter().flat_map(|key| scene.memory.body(key).unwrap()).collect();
    let file = scene.folder.path().join("joined.tar.gz");
    std::fs::write(&file, &joined).unwrap();
    let says_yes = |program: &str, arguments: &[&str]| {
        let output = Command::new(system_tool(program))
            .args(arguments)
            .arg(&file)
            .output()
            .unwrap();
        assert!(
            output.status.success(),
            "{program}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        String::from_utf8_lossy(&output.stdout).into_owned()
    };
    says_yes("gzip", &["-t"]);
    assert!(says_yes("tar", &["-tzf"]).contains("tree/zz-wanted"));
}

#[test]
fn they_are_one_backup_with_the_sum_of_their_sizes() {
    let scene = Scene::new();
    let listed = list_all(&scene.store, &scene.run).unwrap();
    let [backup] = listed.backups.as_slice() else {
        panic!("{listed:?}");
    };
    let sum: usize = scene
        .data_keys()
        .iter()
        .map(|key| scene.memory.body(key).unwrap().len())
        .sum();
    assert_eq!(backup.stored_bytes, sum as u64);
    assert_eq!(backup.state, ListedState::Complete);
    assert_eq!(listed.uncommitted, []);
}

#[test]
fn they_restore_as_one() {
    let scene = Scene::new();
    let target = scene.folder.path().join("target");
    let (report, _) = scene.restore(&scene.store, &target, &[]).unwrap();
    assert_eq!(report.problem_count, 0, "{:?}", report.problems);
    assert_same_tree(&scene.tree(), &target.join("tree"), Compare::all());
}

#[test]
fn one_file_is_fetched_out_of_the_object_that_holds_it() {
    let scene = Scene::new();
    let faulty = FaultyStore::new(scene.store.clone());
    let store: Arc<dyn Store> = Arc::new(faulty.clone());
    let target = scene.folder.path().join("target");
    let (_, recorder) = scene.restore(&store, &target, &["tree/zz-wanted"]).unwrap();
    let wanted = std::fs::read(scene.tree().join("zz-wanted")).unwrap();
    assert_eq!(std::fs::read(target.join("tree/zz-wanted")).unwrap(), wanted);
    let fetched = recorder.progress().snapshot().stored_bytes;
    let stored: usize = scene
        .data_keys()
        .iter()
        .map(|key| scene.memory.body(key).unwrap().len())
        .sum();
    assert!(
        fetched > 10_000 && fetched < stored as u64 / 3,
        "{fetched} of {stored} bytes were fetched"
    );
    let gets: Vec<String> = faulty
        .log()
        .into_iter()
        .filter(|(method, key)| *method == Method::Get && scene.data_keys().contains(key))
        .map(|(_, key)| key)
        .collect();
    // The folder at the beginning, and the file at the end; a member may lie across a border.
    let untouched = scene.data_keys().iter().filter(|key| !gets.contains(key)).count();
    assert!(untouched >= 1, "every object was read: {gets:?}");
}

#[test]
fn one_file_goes_to_a_stream_out_of_the_object_that_holds_it() {
    let scene = Scene::new();
    for (name, path) in [("zz-wanted", "tree/zz-wanted"), ("noise", "tree/noise")] {
        let (run, recorder) = run_at(NOW);
        let options = RestoreOptions {
            paths: vec![path.as_bytes().to_vec()],
            ..RestoreOptions::new(RestoreTarget::Stream)
        };
        let plan = plan_restore(
            &scene.store,
            find(&scene.store, "latest", &run).unwrap(),
            &options,
            &run,
        )
        .unwrap();
        let mut content = Vec::new();
        let report = restore(plan, &options, &mut content, &run).unwrap();
        let wanted = std::fs::read(scene.tree().join(name)).unwrap();
        assert!(content == wanted, "{name}");
        assert_eq!(report.plain_bytes, wanted.len() as u64);
        // Its own members; a small file shares one of at most a mebibyte.
        let fetched = recorder.progress().snapshot().stored_bytes;
        assert!(fetched < wanted.len() as u64 + (1 << 20), "{name}: {fetched}");
    }
}

#[test]
fn without_a_continuation_it_is_damaged_and_nothing_is_restored() {
    let scene = Scene::new();
    for key in scene.data_keys() {
        for change in ["gone", "cut"] {
            let body = scene.memory.body(&key).unwrap();
            match change {
                "gone" => scene.memory.delete(&Key::new(key.clone())).unwrap(),
                _ => scene.memory.set_body(&key, body.slice(..body.len() - 1)),
            }
            let what = format!("`{key}` is {change}");
            let listed = list_all(&scene.store, &scene.run).unwrap();
            assert_eq!(listed.backups.len(), 1, "{what}");
            assert_eq!(listed.backups[0].state, ListedState::Damaged, "{what}");
            assert!(
                listed.backups[0].trouble.as_ref().unwrap().contains(&key),
                "{what}: {listed:?}"
            );
            let target = scene.folder.path().join("target");
            for include in [&[][..], &["tree/zz-wanted"]] {
                let failure = scene.restore(&scene.store, &target, include).map(|_| ()).unwrap_err();
                assert_eq!(failure.kind(), Kind::Damaged, "{what}: {failure:?}");
                assert!(!target.exists(), "{what}");
            }
            scene.memory.set_body(&key, body);
        }
    }
    assert_eq!(
        list_all(&scene.store, &scene.run).unwrap().backups[0].state,
        ListedState::Complete
    );
}

/// The same against a real server: it lists two objects, and stock tools read them as one.
#[test]
fn a_stream_too_long_for_one_object_of_a_bucket_is_joined_by_cat() {
    let bucket = Bucket::fresh();
    let limits = Limits {
        parts_max: 3,
        parts_equal: true,
        ..MEMORY_LIMITS
    };
    let s3: Arc<dyn Store> = Arc::new(s3_store(&bucket.access, &bucket.name, Some("seaweedfs")));
    let mut limited = FaultyStore::new(s3);
    limited.limits = Some(limits);
    let store: Arc<dyn Store> = Arc::new(limited);
    let content = Noise::new(21).bytes(34 << 20);
    let (run, _) = run_at(NOW);
    let options = options("app", Some(5 << 20));
    let outcome = back_up(&store, Bytes::new(content.clone()), &options, &run).unwrap();
    let data: Vec<String> = bucket
        .keys()
        .into_iter()
        .filter(|key| key.contains(".bin.gz") && !key.contains(".index") && !key.contains(".manifest"))
        .collect();
    assert_eq!(data.len(), 3, "{data:?}");
    assert_eq!(bucket.uploads(), Vec::<String>::new());
    let reads: Vec<String> = data
        .iter()
        .map(|key| format!("aws s3 cp 's3://{}/{key}' -;", bucket.name))
        .collect();
    let stock = aws::shell(&bucket.access, &format!("{{ {} }} | gunzip", reads.join(" ")), &[]);
    assert!(stock == content, "what gunzip says differs");
    // And by the tool, to which the server's own limits are as good.
    let cli = Cli::new()
        .envs(bucket.access.environment())
        .env("BACKUP_STORE", format!("s3://{}", bucket.name));
    let id = &outcome.manifest.id;
    cli.run(["verify", id]).success();
    let back = cli.run(["restore", id, "--to", "-"]).success();
    assert!(back.stdout_bytes() == content, "what the tool says differs");
}
