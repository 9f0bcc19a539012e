//! `verify`: what is told of a backup that is whole, damaged, encrypted, old, small, out of reach.

use std::sync::Arc;

use backup_cli::base::failure::Kind;
use backup_cli::base::secret::{Secret, SecretSource};
use backup_cli::ops::Run;
use backup_cli::ops::backup::{BackupOptions, backup};
use backup_cli::ops::verify::{Checked, Level, Reached, Sample, Subject, VerifyOptions, verify};
use backup_cli::pipeline::crypt::{Keys, KeysOptions, Recipients, generate_identity};
use backup_cli::source::directory::{DirectoryOptions, DirectorySource};
use backup_cli::store::faulty::{Fault, FaultyStore, Method, When};
use backup_cli::store::memory::{MEMORY_LIMITS, MemoryStore};
use backup_cli::store::{Key, Limits, Store};

use crate::support::cli::{Cli, Outcome};
use crate::support::library::{Bytes, back_up, find, options, run_at};
use crate::support::server::fresh_folder;
use crate::support::trees::{Noise, make_small_tree};

const NOW: &str = "2026-02-01T02:00:00Z";

fn plain_options(level: Level) -> VerifyOptions {
    VerifyOptions {
        level,
        sample: None,
        client_folder: None,
        threads: 2,
    }
}

/// One backup, checked; why it could not be, if it could not.
fn check(
    store: &Arc<dyn Store>,
    reference: &str,
    options: &VerifyOptions,
    run: &Run,
) -> Result<Checked, backup_cli::base::failure::Failure> {
    let chosen = find(store, reference, run)?;
    let mut all = Vec::new();
    let subjects = vec![Subject::Chosen(Box::new(chosen))];
    verify(store, subjects, None, options, run, &mut |_, checked| {
        all.push(checked);
        Ok(())
    })?;
    all.pop().unwrap()
}

fn memory() -> (MemoryStore, Arc<dyn Store>) {
    let memory = MemoryStore::new();
    (memory.clone(), Arc::new(memory))
}

fn told(checked: &Checked) -> String {
    let damage: Vec<&str> = checked.damage.iter().map(|damage| damage.what.as_str()).collect();
    damage.join("; ")
}

#[test]
fn what_is_lost_and_what_is_not_is_told_by_name() {
    let folder = fresh_folder("verify-loss");
    let tree = folder.path().join("tree");
    std::fs::create_dir(&tree).unwrap();
    for name in ["a", "b", "c"] {
        std::fs::write(tree.join(name), Noise::new(name.len() as u64).bytes(1_200_000)).unwrap();
    }
    let (memory, store) = memory();
    for time in ["2026-01-30T02:00:00Z", "2026-01-31T02:00:00Z"] {
        let (run, _) = run_at(time);
        let mut source = DirectorySource::new(DirectoryOptions {
            paths: vec![tree.clone()],
            ..DirectoryOptions::default()
        });
        backup(&store, &mut source, &options("tree", None), &run).unwrap();
    }
    let (run, _) = run_at(NOW);
    for level in [Level::Quick, Level::Data, Level::Deep] {
        let checked = check(&store, "tree@latest", &plain_options(level), &run).unwrap();
        assert_eq!(
            (checked.damage.len(), checked.is_incomplete),
            (0, false),
            "{}",
            told(&checked)
        );
    }
    let key = "20260131/tree_backup_20260131_020000.tar.gz";
    let mut body = memory.body(key).unwrap().to_vec();
    let middle = body.len() / 2;
    body[middle] ^= 1;
    memory.set_body(key, body);
    let checked = check(&store, "tree@latest", &plain_options(Level::Deep), &run).unwrap();
    let loss = checked.loss.clone().unwrap();
    assert_eq!(loss.entries, ["tree/b"], "{}", told(&checked));
    assert_eq!((loss.entries_lost, loss.entries_whole), (1, 3));
    assert_eq!(loss.older.as_deref(), Some("tree_backup_20260130_020000"));
    assert!(loss.is_known && loss.is_divisible && loss.is_readable);
    assert!(told(&checked).contains("its SHA-256 is"), "{}", told(&checked));
    assert!(told(&checked).contains("The member at bytes"), "{}", told(&checked));
}

#[test]
fn what_is_missing_of_one_object_is_lost_and_nothing_of_the_others() {
    let folder = fresh_folder("verify-gap");
    let tree = folder.path().join("tree");
    std::fs::create_dir(&tree).unwrap();
    for (seed, name) in (1..).zip(["a", "b", "c", "d"]) {
        std::fs::write(tree.join(name), Noise::new(seed).bytes(1_300_000)).unwrap();
    }
    let (secret, public) = generate_identity();
    for recipients in [None, Some(Recipients::of_keys(&[&public.0]).unwrap())] {
        // Objects of 800,000 bytes, of which the third holds a piece of `b` and of nothing else; what is encrypted is lost
        // by chunks of 64 KiB, and they end in `b` as well.
        let memory = MemoryStore::new().with_limits(Limits {
            parts_max: 4,
            parts_equal: true,
            ..MEMORY_LIMITS
        });
        let store: Arc<dyn Store> = Arc::new(memory.clone());
        let (mut run, _) = run_at(NOW);
        run.keys = Keys::new(KeysOptions {
            identity: Some(SecretSource::Text(Secret::new(secret.expose()))),
            ..KeysOptions::default()
        });
        let mut source = DirectorySource::new(DirectoryOptions {
            paths: vec![tree.clone()],
            ..DirectoryOptions::default()
        });
        let options = BackupOptions {
            recipients,
            ..options("tree", Some(200_000))
        };
        backup(&store, &mut source, &options, &run).unwrap();
        let keys = memory.keys();
        let third = keys.iter().find(|key| key.ends_with(".part-0003")).unwrap();
        let body = memory.body(third).unwrap();
        assert_eq!(body.len(), 800_000);
        let look = |level: Level| {
            let checked = check(&store, "tree@latest", &plain_options(level), &run).unwrap();
            let loss = checked.loss.clone().unwrap();
            assert_eq!(loss.entries, ["tree/b"], "{}", told(&checked));
            assert_eq!((loss.entries_lost, loss.entries_whole), (1, 4));
            assert!(!loss.is_readable);
            let objects: Vec<_> = checked.damage.iter().map(|damage| damage.object.as_ref()).collect();
            assert!(objects.len() > 1, "{}", told(&checked));
            let is_third = |key: &Option<&Key>| key.is_some_and(|key| key.as_str() == third);
            assert!(objects.iter().all(is_third), "{}", told(&checked));
        };
        memory.set_body(third, body[..400_000].to_vec());
        look(Level::Data);
        look(Level::Deep);
        store.delete(&Key::new(third.clone())).unwrap();
        look(Level::Data);
    }
}

#[test]
fn a_store_that_does_not_answer_is_no_damage() {
    let (memory, store) = memory();
    let (run, _) = run_at("2026-01-31T02:00:00Z");
    back_up(
        &store,
        Bytes::new(Noise::new(1).bytes(3 << 20)),
        &options("app", None),
        &run,
    )
    .unwrap();
    let (run, _) = run_at(NOW);
    let data = When::KeyContains("app_backup_20260131_020000.bin.gz".to_owned());
    for (method, fault, kind) in [
        (Method::Head, Fault::Before(Kind::Unreachable), Kind::Unreachable),
        (Method::Head, Fault::Before(Kind::Denied), Kind::Denied),
        (Method::Get, Fault::Before(Kind::Denied), Kind::Denied),
        (Method::Get, Fault::Cut { after: 100_000 }, Kind::Unreachable),
    ] {
        let faulty = FaultyStore::new(Arc::new(memory.clone()));
        let faulty = Arc::new(faulty);
        let store: Arc<dyn Store> = faulty.clone();
        let chosen = find(&store, "app@latest", &run).unwrap();
        faulty.fail(method, data.clone(), fault.clone());
        let mut told = Vec::new();
        verify(
            &store,
            vec![Subject::Chosen(Box::new(chosen))],
            None,
            &plain_options(Level::Data),
            &run,
            &mut |_, checked| {
                told.push(checked.map(|checked| checked.damage));
                Ok(())
            },
        )
        .unwrap();
        assert_eq!(told.pop().unwrap().unwrap_err().kind(), kind, "{method:?}, {fault:?}");
    }
}

#[test]
fn bytes_that_change_on_their_way_are_no_damage() {
    let (memory, store) = memory();
    let (run, _) = run_at("2026-01-31T02:00:00Z");
    back_up(
        &store,
        Bytes::new(Noise::new(1).bytes(100_000)),
        &options("app", None),
        &run,
    )
    .unwrap();
    let (run, _) = run_at(NOW);
    let faulty = Arc::new(FaultyStore::new(Arc::new(memory)));
    let store: Arc<dyn Store> = faulty.clone();
    // The manifest, the index, then the data for the first time.
    faulty.fail_nth(Method::Get, 3, Fault::Flip { offset: 5000 });
    let failure = check(&store, "app@latest", &plain_options(Level::Data), &run).unwrap_err();
    assert_eq!(failure.kind(), Kind::Failed, "{failure:?}");
    assert!(failure.message().contains("other bytes each time"), "{failure:?}");
    let checked = check(&store, "app@latest", &plain_options(Level::Data), &run).unwrap();
    assert_eq!(checked.damage, []);
}

#[test]
fn a_lost_object_is_told_and_a_backup_that_was_removed_meanwhile_is_not() {
    let (memory, store) = memory();
    let (run, _) = run_at("2026-01-31T02:00:00Z");
    back_up(
        &store,
        Bytes::new(Noise::new(1).bytes(100_000)),
        &options("app", None),
        &run,
    )
    .unwrap();
    let (run, _) = run_at(NOW);
    let chosen = find(&store, "app@latest", &run).unwrap();
    let data = "20260131/app_backup_20260131_020000.bin.gz";
    let body = memory.body(&format!("{data}.index.gz")).unwrap();
    store.delete(&Key::new(format!("{data}.index.gz"))).unwrap();
    let checked = check(&store, "app@latest", &plain_options(Level::Data), &run).unwrap();
    assert!(told(&checked).contains("index.gz` is missing"), "{}", told(&checked));
    assert_eq!((checked.damage_count, checked.reached), (1, Reached::Data));
    memory.set_body(&format!("{data}.index.gz"), body);
    store.delete(&Key::new(data)).unwrap();
    let checked = check(&store, "app@latest", &plain_options(Level::Quick), &run).unwrap();
    assert_eq!(told(&checked), format!("The object `{data}` is missing"));
    let checked = check(&store, "app@latest", &plain_options(Level::Data), &run).unwrap();
    assert!(checked.is_damaged());
    store.delete(&Key::new(format!("{data}.manifest.json"))).unwrap();
    let mut count = 0;
    let subjects = vec![Subject::Chosen(Box::new(chosen))];
    verify(
        &store,
        subjects,
        None,
        &plain_options(Level::Quick),
        &run,
        &mut |_, _| {
            count += 1;
            Ok(())
        },
    )
    .unwrap();
    assert_eq!(count, 0);
}

#[test]
fn seven_shares_read_every_member_once() {
    let (memory, store) = memory();
    let (run, _) = run_at("2026-01-31T02:00:00Z");
    back_up(
        &store,
        Bytes::new(Noise::new(1).bytes(20 << 20)),
        &options("app", None),
        &run,
    )
    .unwrap();
    let (run, _) = run_at(NOW);
    let sampled = |text: &str| {
        let options = VerifyOptions {
            sample: Some(Sample::parse(text, 1).unwrap()),
            ..plain_options(Level::Data)
        };
        check(&store, "app@latest", &options, &run).unwrap()
    };
    let shares: Vec<Checked> = (1..=7).map(|number| sampled(&format!("{number}/7"))).collect();
    let members: u64 = shares.iter().map(|share| share.amount.members).sum();
    let plain_bytes: u64 = shares.iter().map(|share| share.amount.plain_bytes).sum();
    assert_eq!((members, plain_bytes), (20, 20 << 20));
    assert!(
        shares
            .iter()
            .all(|share| share.reached == Reached::Sample && share.amount.members >= 2)
    );
    assert!((1..8).contains(&sampled("10%").amount.members));
    assert_eq!(sampled("0.001%").amount.members, 1);
    // Each damaged member is found by exactly one of the shares, which then tells all of it.
    let key = "20260131/app_backup_20260131_020000.bin.gz";
    let mut body = memory.body(key).unwrap().to_vec();
    body[7 << 20] ^= 1;
    memory.set_body(key, body);
    let found: Vec<Checked> = (1..=7).map(|number| sampled(&format!("{number}/7"))).collect();
    let told_of_members = found
        .iter()
        .filter(|checked| told(checked).contains("The member at"))
        .count();
    assert_eq!(told_of_members, 1);
}

/// A user with a store in a folder and a tree of which there is a backup.
struct Scene {
    cli: Cli,
    folder: tempfile::TempDir,
}

impl Scene {
    fn new() -> Self {
        let folder = fresh_folder("verify");
        make_small_tree(&folder.path().join("tree"));
        let cli = Cli::new().env("BACKUP_STORE", folder.path().join("store"));
        Self { cli, folder }
    }

    fn back_up(&self, more: &[&str]) {
        let tree = self.folder.path().join("tree");
        self.cli
            .run([&["backup", tree.to_str().unwrap()], more].concat())
            .success();
    }

    fn verify(&self, arguments: &[&str]) -> Outcome {
        self.cli.run([&["verify"], arguments].concat())
    }

    fn stored(&self, end: &str) -> std::path::PathBuf {
        let mut files = crate::support::place::files_below(&self.folder.path().join("store"));
        files.retain(|file| file.ends_with(end));
        self.folder.path().join("store").join(files.pop().unwrap())
    }
}

#[test]
fn exit_statuses_say_what_was_found() {
    let scene = Scene::new();
    scene.verify(&[]).exits_with(10);
    scene.back_up(&["--name", "web"]);
    scene.verify(&[]).success().stdout_has("no damage found");
    scene
        .verify(&["latest", "--level", "deep"])
        .success()
        .stdout_has("deep");
    scene.verify(&["nothing_like_it"]).exits_with(10);
    scene
        .verify(&["--max-age", "26h", "--min-size", "1KiB", "--max-shrink", "50%"])
        .success();
    scene
        .verify(&["--min-size", "1GiB"])
        .exits_with(21)
        .stderr_has("should have at least");
    scene.verify(&["--max-age", "0s"]).exits_with(22).stderr_has("`web`");
    scene.verify(&["--max-age", "0s", "--min-size", "1GiB"]).exits_with(22);
    scene.verify(&["--level", "quick", "--sample", "2/7"]).exits_with(2);
    scene
        .verify(&["latest", "--sample", "50%", "--seed", "7"])
        .success()
        .stderr_has("--seed 7");
    let data = scene.stored(".tar.gz");
    let mut body = std::fs::read(&data).unwrap();
    let middle = body.len() / 2;
    body[middle] ^= 8;
    std::fs::write(&data, body).unwrap();
    let run = scene.verify(&["latest", "--max-age", "0s"]).exits_with(20);
    run.stdout_has("Lost:")
        .stdout_has("tree/folder/noise")
        .stderr_has("1 of 1 backup is damaged");
    let run = scene.verify(&["latest", "--json"]).exits_with(20);
    let summary = run.json_lines().pop().unwrap();
    assert_eq!(
        (&summary["message_type"], &summary["backups_damaged"]),
        (&"summary".into(), &1.into())
    );
    assert!(summary["num_errors"].as_u64().unwrap() >= 1);
    std::fs::remove_file(&data).unwrap();
    scene.verify(&[]).exits_with(20).stdout_has("is missing");
}

#[test]
fn an_encrypted_backup_is_checked_as_far_as_its_key_goes() {
    let scene = Scene::new();
    let key_file = scene.folder.path().join("key.txt");
    let key_file = key_file.to_str().unwrap();
    scene.cli.run(["key", "generate", "--output", key_file]).success();
    let public = scene
        .cli
        .run(["key", "public", key_file])
        .success()
        .stdout()
        .trim()
        .to_owned();
    scene.back_up(&["--recipient", &public, "--name", "web"]);
    scene
        .verify(&["latest"])
        .success()
        .stdout_has("stored")
        .stdout_has("no key was given");
    scene.verify(&["latest", "--level", "deep"]).exits_with(3);
    scene
        .verify(&["latest", "--level", "deep", "--identity", key_file])
        .success()
        .stdout_has("deep");
    let other = scene.folder.path().join("other.txt");
    let other = other.to_str().unwrap();
    scene.cli.run(["key", "generate", "--output", other]).success();
    scene.verify(&["latest", "--identity", other]).exits_with(12);
    let data = scene.stored(".tar.gz.age");
    let mut body = std::fs::read(&data).unwrap();
    let last = body.len() - 1;
    body[last] ^= 8;
    std::fs::write(&data, body).unwrap();
    for more in [
        &["latest"][..],
        &["latest", "--identity", key_file],
        &["latest", "--identity", other],
    ] {
        scene.verify(more).exits_with(20);
    }
}

#[test]
fn what_a_manifest_claims_and_is_not_there_is_not_waited_for() {
    const CLAIMED_BYTES: u64 = 1 << 50;
    let scene = Scene::new();
    let key_file = scene.folder.path().join("key.txt");
    let key_file = key_file.to_str().unwrap();
    scene.cli.run(["key", "generate", "--output", key_file]).success();
    let public = scene.cli.run(["key", "public", key_file]).success();
    scene.back_up(&["--name", "plain"]);
    scene.back_up(&["--name", "sealed", "--recipient", public.stdout().trim()]);
    for end in ["tar.gz.manifest.json", "tar.gz.age.manifest.json"] {
        let path = scene.stored(end);
        let mut manifest: serde_json::Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
        // As another program would write it: with one number changed, and without the seal.
        let fields = manifest.as_object_mut().unwrap();
        fields.remove("sealed").and(fields.remove("seal")).unwrap();
        let objects = manifest["objects"].as_array_mut().unwrap();
        let data = objects.iter_mut().find(|object| object["role"] == "data").unwrap();
        data["bytes"] = CLAIMED_BYTES.into();
        std::fs::write(&path, serde_json::to_vec(&manifest).unwrap()).unwrap();
    }
    for id in ["plain@latest", "sealed@latest"] {
        let run = scene
            .verify(&[id, "--level", "data", "--identity", key_file])
            .exits_with(20);
        run.stdout_has(&format!("instead of {CLAIMED_BYTES}"));
        scene
            .verify(&[id, "--level", "deep", "--identity", key_file])
            .exits_with(20);
    }
}

#[test]
fn a_series_without_a_backup_is_no_success() {
    let scene = Scene::new();
    scene.back_up(&["--name", "web"]);
    for more in [&["--all"][..], &["--all", "--level", "data"], &[]] {
        let named = [&["--name", "wbe"], more].concat();
        scene.verify(&named).exits_with(10).stderr_has("No backups of `wbe`");
        scene
            .verify(&[&named[..], &["--json"]].concat())
            .exits_with(10)
            .stderr_has("exit_error");
    }
    // Nothing was said of an age.
    let small = ["--all", "--name", "wbe", "--min-size", "1"];
    scene.verify(&small).exits_with(21).stderr_has("has no complete backup");
    let old = ["--all", "--name", "wbe", "--max-age", "1d", "--json"];
    let outcome = scene.verify(&old).exits_with(22);
    assert_eq!(outcome.stderr().matches("exit_error").count(), 1, "{outcome}");
    // Who names a backup twice means it once.
    scene
        .verify(&["latest", "web@latest"])
        .success()
        .stdout_has("Checked 1 backup ");
    let metrics = scene.folder.path().join("m.prom");
    let watched = [
        "--name",
        "web",
        "--max-age",
        "0s",
        "--metrics-file",
        metrics.to_str().unwrap(),
    ];
    scene.verify(&watched).exits_with(22);
    let told = std::fs::read_to_string(&metrics).unwrap();
    assert!(
        told.contains("backup_cli_last_verify_success{profile=\"\",source=\"web\"} 0\n"),
        "{told}"
    );
}

#[test]
fn a_key_that_opens_the_index_is_the_right_one() {
    let scene = Scene::new();
    let key = crate::encryption::KeyPair::generate(scene.folder.path(), "key.txt");
    scene.back_up(&["--recipient", &key.public, "--name", "web"]);
    let data = scene.stored(".tar.gz.age");
    let mut body = std::fs::read(&data).unwrap();
    // In the line that names the recipient's share of the key.
    body[30] ^= 4;
    std::fs::write(&data, body).unwrap();
    let target = scene.folder.path().join("back");
    let target = target.to_str().unwrap();
    let identity = ["--identity", key.path()];
    for arguments in [
        &["restore", "web@latest", "--to", target][..],
        &["restore", "web@latest", "--to", target, "--include", "**"],
        &["verify", "--restore", "web@latest"],
        &["verify", "web@latest"],
    ] {
        let outcome = scene.cli.run([arguments, &identity].concat()).exits_with(20);
        assert!(!std::path::Path::new(target).exists(), "{outcome}");
    }
    let shares = (1..=7)
        .map(|share| scene.verify(&[&["web@latest", "--sample", &format!("{share}/7")], &identity[..]].concat()));
    let codes: Vec<i32> = shares.map(|outcome| outcome.code()).collect();
    assert!(
        codes.contains(&20) && codes.iter().all(|code| [0, 20].contains(code)),
        "{codes:?}"
    );
}

#[test]
fn of_what_has_no_manifest_no_more_is_said_than_is_known() {
    let scene = Scene::new();
    scene.back_up(&["--name", "web"]);
    let manifest = scene.stored(".manifest.json");
    std::fs::remove_file(&manifest).unwrap();
    let id = manifest
        .file_name()
        .unwrap()
        .to_str()
        .unwrap()
        .split('.')
        .next()
        .unwrap()
        .to_owned();
    scene
        .verify(&[&id])
        .success()
        .stdout_has("its manifest was lost, unless")
        .stdout_has("backup-cli adopt");
    let folder = scene.folder.path().join("store/20250101");
    std::fs::create_dir_all(&folder).unwrap();
    let _ = std::fs::write(folder.join("none_backup_20250101_000000.sql.gz"), "");
    scene
        .verify(&["none_backup_20250101_000000"])
        .exits_with(20)
        .stdout_has("It is empty");
    let _ = std::fs::write(folder.join("some_backup_20250101_000000.sql"), "select 1;\n");
    scene
        .verify(&["some_backup_20250101_000000", "--level", "deep"])
        .success()
        .stdout_has("nothing can tell whether it is whole");
}

#[test]
fn a_look_at_a_bucket_says_what_it_could_not_see_and_what_is_only_hidden() {
    use crate::support::place::{Place, PlaceKind};
    let place = Place::fresh(PlaceKind::UnknownS3);
    let bucket = place.bucket();
    bucket.client().enable_versioning(&bucket.name);
    let cli = place.cli();
    std::fs::write(cli.home().join("x"), "x").unwrap();
    let _ = cli.run(["backup", "x", "--name", "x"]).success();
    let _ = cli.run(["verify"]).success().stderr_has("The content was not compared");
    let known = cli.run(["verify", "--provider", "seaweedfs"]).success();
    assert!(!known.stderr().contains("not compared"), "{known}");
    let data = place.data_key();
    bucket.client().delete(&bucket.name, &data);
    let _ = cli
        .run(["verify", "x@latest", "--level", "quick"])
        .exits_with(20)
        .stdout_has("is only hidden, by the delete marker");
}
