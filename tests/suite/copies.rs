//! `copy` as a user types it: between S3 servers with credentials of their own, folders and profiles.

use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::time::Duration;

use rustix::process::Signal;

use crate::support::cli::{Cli, Outcome};
use crate::support::fault_s3::{Fault, FaultS3, Op, Options, When};
use crate::support::place::files_below;
use crate::support::server::{fresh_folder, process_folder};
use crate::support::system_tool;
use crate::support::trees::{Compare, Noise, assert_same_tree, make_small_tree};
use crate::support::weed::Bucket;

/// A tree whose archive takes two parts of the least size.
fn tree() -> &'static Path {
    static TREE: OnceLock<PathBuf> = OnceLock::new();
    TREE.get_or_init(|| {
        let tree = process_folder().join("copies-tree");
        make_small_tree(&tree);
        std::fs::write(tree.join("large"), Noise::new(6).bytes(6 << 20)).expect("a file");
        tree
    })
}

/// A user whose store is a folder with some backups in it, and a configuration that knows a second site.
struct Scene {
    cli: Cli,
    folder: tempfile::TempDir,
}

impl Scene {
    fn new(offsite: &str) -> Self {
        let folder = fresh_folder("copies");
        let config = folder.path().join("config.toml");
        std::fs::write(&config, format!("[profile.offsite]\n{offsite}\n")).expect("a file");
        let cli = Cli::new()
            .env("BACKUP_CONFIG", &config)
            .env("BACKUP_STORE", folder.path().join("here"))
            .env("BACKUP_LEVEL", "1")
            .env("BACKUP_RETRY_DELAY", "0s")
            .env("BACKUP_RETRY_DELAY_MAX", "1s")
            // What is meant for the run's own store must not reach the other one.
            .env("BACKUP_AWS_ACCESS_KEY_ID", "AKTESTELSEWHERE00001")
            .env("BACKUP_AWS_SECRET_ACCESS_KEY", "canary/elsewhere+secret");
        Self { cli, folder }
    }

    /// With a server whose faults are chosen as the second site.
    fn with_faults() -> (Self, FaultS3, String) {
        Self::with_server(FaultS3::start())
    }

    fn with_server(server: FaultS3) -> (Self, FaultS3, String) {
        let bucket = server.bucket();
        let access = server.access();
        let scene = Self::new(&format!(
            "store = \"s3://{bucket}/second\"\nendpoint-url = \"{}\"\nregion = \"{}\"\naws-access-key-id = \"{}\"\n\
             aws-secret-access-key = \"{}\"\nprovider = \"aws\"\npath-style = true\npart-size = \"5MiB\"",
            access.endpoint, access.region, access.access_key, access.secret_key
        ));
        (scene, server, bucket)
    }

    fn back_up(&self, name: &str) -> String {
        let run = self
            .cli
            .run([
                Path::new("--json"),
                Path::new("backup"),
                Path::new("--name"),
                Path::new(name),
                tree(),
            ])
            .success();
        let summary = run.json_lines().pop().expect("a summary");
        summary["snapshot_id"].as_str().expect("an id").to_owned()
    }

    fn here(&self) -> PathBuf {
        self.folder.path().join("here")
    }

    fn there(&self) -> PathBuf {
        self.folder.path().join("there")
    }

    fn copy(&self, arguments: &[&str]) -> Outcome {
        self.cli.run([&["copy"], arguments].concat())
    }
}

fn summary(run: &Outcome) -> serde_json::Value {
    run.json_lines().pop().expect("a summary")
}

#[test]
fn a_backup_goes_to_another_provider_with_other_credentials_and_back() {
    let bucket = Bucket::fresh();
    let scene = Scene::new(&format!(
        "store = \"s3://{}/second\"\nendpoint-url = \"{}\"\nregion = \"{}\"\naws-access-key-id = \"{}\"\n\
         aws-secret-access-key = \"{}\"\npath-style = true\nkey-template = \"{{name}}/{{date}}/{{name}}_backup_{{date}}_{{time}}\"",
        bucket.name, bucket.access.endpoint, bucket.access.region, bucket.access.access_key, bucket.access.secret_key
    ));
    let id = scene.back_up("web");
    let run = scene.copy(&["latest", "--to", "@offsite"]).success();
    run.stdout_has(&format!("Copied {id} to s3://{}/second", bucket.name))
        .nowhere(&bucket.access.secret_key)
        .nowhere("canary/elsewhere");
    let day = &id["web_backup_".len().."web_backup_".len() + 8];
    let data = format!("second/web/{day}/{id}.tar.gz");
    let keys: Vec<String> = ["", ".index.gz", ".manifest.json"]
        .map(|end| format!("{data}{end}"))
        .into();
    assert_eq!(bucket.keys(), keys);
    let original = std::fs::read(scene.here().join(format!("{day}/{id}.tar.gz"))).expect("the data");
    assert!(
        bucket.access.client().get(&bucket.name, &data) == original,
        "the bytes differ"
    );

    // What is there already is no work, and no failure.
    let run = scene.copy(&["latest", "--to", "@offsite"]).success();
    run.stdout_has("already there");
    // The second site stands on its own: its copy restores, and can be copied on.
    let cli = Cli::new()
        .envs(bucket.environment())
        .env("BACKUP_STORE", format!("s3://{}/second", bucket.name))
        .env("BACKUP_KEY_TEMPLATE", "{name}/{date}/{name}_backup_{date}_{time}");
    let restored = scene.folder.path().join("restored");
    let to = restored.to_str().expect("UTF-8");
    let _ = cli.run(["restore", "web@latest", "--to", to]).success();
    assert_same_tree(tree(), &restored.join("copies-tree"), Compare::all());
    let shown = cli.run(["show", "latest", "--json"]).success().json();
    assert_eq!(
        shown["copied_from"]["store"],
        format!("file://{}", scene.here().display())
    );
    let third = scene.there();
    let third = third.to_str().expect("UTF-8");
    let _ = cli.run(["copy", &id, "--to", third]).success();
    let listed = scene.cli.run(["--store", third, "list", "--json"]).success().json();
    assert_eq!(listed[0]["id"], id.as_str());
    assert_eq!(listed[0]["state"], "complete");
}

#[test]
fn a_series_is_kept_in_step_and_only_what_is_missing_is_copied() {
    let scene = Scene::new("");
    let there = scene.there();
    let to = there.to_str().expect("UTF-8");
    let first = scene.back_up("web");
    let other = scene.back_up("db");
    let run = scene.copy(&["--json", "--all", "--name", "web", "--to", to]).success();
    assert_eq!(summary(&run)["copied"], 1);
    let second = scene.back_up("web");
    let third = scene.back_up("web");
    // An object of an earlier script is no backup to copy.
    std::fs::write(scene.here().join("old_backup_20200101_000000.sql.gz"), "x").expect("a file");

    let run = scene.copy(&["--json", "--dry-run", "--all", "--to", to]).success();
    let planned = summary(&run);
    assert_eq!(
        (&planned["dry_run"], &planned["copied"], &planned["already_there"]),
        (&true.into(), &3.into(), &1.into())
    );
    assert_eq!(planned["backups"][0]["state"], "would_copy");
    assert!(run.stderr().contains("1 object has no manifest"), "{run}");
    let listed = || scene.cli.run(["--store", to, "list", "--json"]).success().json();
    assert_eq!(listed().as_array().expect("a list").len(), 1);

    // Of each series the newest one.
    let run = scene.copy(&["--json", "--all", "--last", "1", "--to", to]).success();
    let done = summary(&run);
    let ids = |done: &serde_json::Value| -> Vec<String> {
        let all = done["backups"].as_array().expect("a list").iter();
        all.map(|one| one["snapshot_id"].as_str().expect("an id").to_owned())
            .collect()
    };
    assert_eq!(ids(&done), [third.clone(), other.clone()]);
    let run = scene.copy(&["--all", "--to", to]).success();
    run.stdout_has("Copied 1 backup of")
        .stdout_has("3 were already there")
        .stdout_has(&format!("{second}  "));
    let mut ids: Vec<String> = listed()
        .as_array()
        .expect("a list")
        .iter()
        .map(|one| one["id"].as_str().expect("an id").to_owned())
        .collect();
    ids.sort();
    assert_eq!(ids, [other, first, second, third]);
    let run = scene.copy(&["--all", "--to", to]).success();
    run.stdout_has("Copied 0 backups of 0 B");
}

#[test]
fn one_of_several_that_is_damaged_is_not_copied_and_the_others_are() {
    let scene = Scene::new("");
    let there = scene.there();
    let to = there.to_str().expect("UTF-8");
    let (good, bad) = (scene.back_up("good"), scene.back_up("bad"));
    let data = files_below(&scene.here())
        .into_iter()
        .find(|key| key.ends_with(&format!("{bad}.tar.gz")))
        .expect("data");
    let path = scene.here().join(data);
    let mut body = std::fs::read(&path).expect("the data");
    let middle = body.len() / 2;
    body[middle] ^= 1;
    std::fs::write(&path, body).expect("a file");
    for arguments in [vec!["--all"], vec![bad.as_str(), good.as_str(), "nothing-of-the-kind"]] {
        let run = scene
            .copy(&[&arguments[..], &["--json", "--to", to]].concat())
            .exits_with(20);
        let done = summary(&run);
        let failed = done["backups"]
            .as_array()
            .expect("a list")
            .iter()
            .find(|one| one["code"] == 20);
        assert_eq!(failed.expect("a failure")["snapshot_id"], bad.as_str(), "{run}");
        let listed = scene.cli.run(["--store", to, "list", "--json"]).success().json();
        assert_eq!(listed.as_array().expect("a list").len(), 1, "{run}");
        assert_eq!(listed[0]["id"], good.as_str());
    }
    let run = scene.copy(&[&bad, "--to", to]).exits_with(20);
    assert!(run.stderr().contains(&format!("Could not copy `{bad}`")), "{run}");
    let run = scene.copy(&["old_backup", "--to", to]).exits_with(10);
    assert!(run.stderr().contains("No backup with the id"), "{run}");
}

#[test]
fn a_copy_that_is_killed_lists_nothing_and_the_next_one_succeeds() {
    for (op, key) in [
        (Op::UploadPart, ".tar.gz"),
        (Op::CompleteMultipartUpload, ".index.gz"),
        (Op::PutObject, ".manifest.json"),
    ] {
        let (scene, server, bucket) = Scene::with_faults();
        let id = scene.back_up("web");
        let stall = Fault::Stall {
            time: Duration::from_secs(600),
        };
        server.fault(When::every(op).key_contains(key), stall);
        let mut running = scene.cli.command(["copy", "latest", "--to", "@offsite"]).start();
        running.wait_until("the request", |_| {
            server.requests_of(op).iter().any(|request| request.key.ends_with(key))
        });
        running.signal(Signal::KILL);
        let _ = running.wait().exits_with(137);
        server.heal();
        assert!(
            !server.keys(&bucket).iter().any(|key| key.ends_with(".manifest.json")),
            "{op:?}"
        );
        let _ = scene.copy(&["latest", "--to", "@offsite"]).success();
        let keys = server.keys(&bucket);
        assert_eq!(keys.len(), 3, "{op:?}: {keys:?}");
        let data = keys
            .iter()
            .find(|key| key.ends_with(&format!("{id}.tar.gz")))
            .expect("the data");
        let copied = server.object(&bucket, data).expect("the object").content();
        let day = &id["web_backup_".len().."web_backup_".len() + 8];
        assert!(copied == std::fs::read(scene.here().join(format!("{day}/{id}.tar.gz"))).expect("the data"));
    }
}

#[test]
fn a_target_that_goes_away_ends_the_copy_and_the_rest_is_not_tried() {
    let (scene, server, bucket) = Scene::with_faults();
    let _ = scene.back_up("a");
    let newest = scene.back_up("a");
    // Longer than one retry, so that the budget of the run decides.
    server.fault(When::every(Op::UploadPart), Fault::ResetInBody { after_bytes: 1000 });
    let run = scene
        .cli
        .command(["--json", "copy", "--all", "--to", "@offsite"])
        .env("BACKUP_RETRY_BUDGET", "1s")
        .run()
        .exits_with(1);
    let done = summary(&run);
    assert_eq!(done["backups"][0]["snapshot_id"], newest.as_str());
    assert_eq!(done["backups"][0]["state"], "failed");
    assert_eq!(done["backups"][1]["state"], "not_tried");
    assert!(run.stderr().contains("1 of them was not tried"), "{run}");
    assert_eq!(server.keys(&bucket), Vec::<String>::new());
    assert_eq!(server.open_uploads(&bucket), []);
}

#[test]
fn a_target_that_is_full_keeps_nothing_of_the_copy() {
    let scene = Scene::new("");
    let _ = scene.back_up("web");
    let disk = scene.folder.path().join("disk");
    std::fs::create_dir(&disk).expect("a folder");
    let script = format!(
        "mount -t tmpfs -o size=1m tmpfs '{0}'\ncode=0\n\"$@\" || code=$?\nfind '{0}' -type f | sed 's/^/LEFT: /' >&2\nexit $code",
        disk.display()
    );
    let flags = if rustix::process::geteuid().is_root() {
        "-m"
    } else {
        "-rm"
    };
    let unshare = system_tool("unshare").display().to_string();
    let cli = Cli::new().env("BACKUP_STORE", scene.here()).through([
        unshare.as_str(),
        flags,
        "/bin/sh",
        "-ec",
        &script,
        "sh",
    ]);
    let to = disk.join("store");
    let run = cli
        .run(["copy", "latest", "--to", to.to_str().expect("UTF-8")])
        .exits_with(1);
    assert!(run.stderr().contains("No space left on device"), "{run}");
    assert!(!run.stderr().contains("LEFT:"), "{run}");
}

#[test]
fn what_cannot_be_a_target_is_said() {
    let scene = Scene::new("region = \"eu-west-1\"");
    let _ = scene.back_up("web");
    for (to, code, says) in [
        ("@nowhere", 10, "No such profile: `nowhere`"),
        ("@offsite", 2, "The profile `offsite` names no store"),
        ("gs://bucket", 2, "`gs:` is not a kind of store"),
    ] {
        let run = scene.copy(&["latest", "--to", to]).exits_with(code);
        assert!(run.stderr().contains(says), "{run}");
    }
    std::fs::write(scene.here().join("old_backup_20200101_000000.sql.gz"), "x").expect("a file");
    let there = scene.there();
    let run = scene
        .copy(&["old_backup_20200101_000000", "--to", there.to_str().expect("UTF-8")])
        .exits_with(21);
    assert!(run.stderr().contains("has no manifest"), "{run}");
    assert_eq!(files_below(&there), Vec::<String>::new());
}

#[test]
fn another_run_of_the_series_at_the_target_locks_the_copy_out() {
    let (scene, server, _) = Scene::with_faults();
    let _ = scene.back_up("web");
    server.fault(
        When::every(Op::CompleteMultipartUpload),
        Fault::Delay {
            time: Duration::from_secs(3),
        },
    );
    let mut first = scene.cli.command(["copy", "latest", "--to", "@offsite"]).start();
    first.wait_until("the upload", |_| {
        !server.requests_of(Op::CreateMultipartUpload).is_empty()
    });
    let run = scene.copy(&["latest", "--to", "@offsite"]).exits_with(11);
    assert!(run.stderr().contains("Another run"), "{run}");
    // Who waits finds it done.
    let run = scene
        .copy(&["latest", "--to", "@offsite", "--lock-timeout", "1m"])
        .success();
    run.stdout_has("already there");
    let _ = first.wait().success();
}

#[test]
fn an_encrypted_backup_is_copied_without_a_key_and_restores_with_it() {
    let scene = Scene::new("");
    let key = scene.folder.path().join("key.txt");
    let key_text = key.to_str().expect("UTF-8");
    let made = std::process::Command::new(system_tool("age-keygen"))
        .args(["-o", key_text])
        .output()
        .expect("age-keygen runs");
    assert!(made.status.success());
    let secret = std::fs::read_to_string(&key).expect("the key");
    let public = secret
        .lines()
        .find_map(|line| line.strip_prefix("# public key: "))
        .expect("the public half");
    let tree = tree().to_str().expect("UTF-8");
    let _ = scene
        .cli
        .run(["backup", tree, "--name", "web", "--recipient", public])
        .success();
    let there = scene.there();
    let to = there.to_str().expect("UTF-8");
    let run = scene.copy(&["latest", "--to", to]).success();
    run.stdout_has("Copied");
    let (here, copied) = (files_below(&scene.here()), files_below(&there));
    assert_eq!(here, copied);
    for name in here.iter().filter(|name| !name.ends_with(".manifest.json")) {
        assert!(name.ends_with(".age"), "{name}");
        let of = |store: PathBuf| std::fs::read(store.join(name)).expect("a file");
        assert!(of(scene.here()) == of(scene.there()), "{name}");
    }
    let restored = scene.folder.path().join("restored");
    let arguments = [
        "--store",
        to,
        "restore",
        "latest",
        "--to",
        restored.to_str().expect("UTF-8"),
    ];
    let _ = scene.cli.run(arguments).exits_with(12);
    let _ = scene
        .cli
        .run([&arguments[..], &["--identity", key_text]].concat())
        .success();
    assert_same_tree(Path::new(tree), &restored.join("copies-tree"), Compare::all());
}

#[test]
fn a_copy_between_two_servers_stays_within_the_memory() {
    let bucket = Bucket::fresh();
    let (scene, _server, _) = Scene::with_server(FaultS3::with(Options {
        sink: true,
        ..Options::default()
    }));
    let cli = scene
        .cli
        .envs(bucket.environment())
        .env("BACKUP_AWS_ACCESS_KEY_ID", &bucket.access.access_key)
        .env("BACKUP_AWS_SECRET_ACCESS_KEY", &bucket.access.secret_key);
    let noise = "head -c 268435456 /dev/urandom";
    let _ = cli
        .run(["backup", "--command", noise, "--name", "noise", "--compression", "none"])
        .success();
    let mut run = cli.command(["copy", "latest", "--to", "@offsite"]).start();
    let status = format!("/proc/{}/status", run.pid().as_raw_nonzero());
    let mut resident_kib = 0;
    while !run.has_ended() {
        resident_kib = resident_kib.max(crate::many_backups::peak_resident_kib(&status));
        std::thread::sleep(Duration::from_millis(2));
    }
    let _ = run.wait().success();
    assert!((1_000..128 * 1024).contains(&resident_kib), "{resident_kib} KiB");
}
