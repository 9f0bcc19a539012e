//! Backups in an archive storage class: what is shown, what a restore says, what is asked of the store, and the wait.

use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use rustix::process::Signal;

use crate::support::cli::{Cli, Outcome};
use crate::support::fault_s3::{Fault, FaultS3, Op, Options, Thaw, When};

use crate::support::ministack::Ministack;
use crate::support::place::{Place, PlaceKind};
use crate::support::server::{fresh_folder, process_folder};
use crate::support::trees::{Compare, assert_same_tree, make_small_tree};

fn tree() -> &'static Path {
    static TREE: OnceLock<PathBuf> = OnceLock::new();
    TREE.get_or_init(|| {
        let tree = process_folder().join("archived-tree");
        make_small_tree(&tree);
        tree
    })
}

/// A backup in an archive of a server whose faults are chosen.
struct Scene {
    server: FaultS3,
    bucket: String,
    cli: Cli,
    folder: tempfile::TempDir,
    id: String,
}

impl Scene {
    fn new(class: &str, thaw_looks: u32) -> Self {
        let server = FaultS3::with(Options {
            thaw_looks,
            ..Options::default()
        });
        let bucket = server.bucket();
        let cli = Cli::new()
            .envs(server.environment(&bucket))
            .env("BACKUP_PATH_STYLE", "true")
            .env("BACKUP_RETRY_DELAY", "0s")
            .env("BACKUP_RETRY_DELAY_MAX", "1s");
        let run = cli
            .run([
                Path::new("backup"),
                tree(),
                Path::new("--storage-class"),
                Path::new(class),
                Path::new("--json"),
            ])
            .success();
        let summary = run.json_lines().pop().expect("a summary");
        server.forget_requests();
        Self {
            server,
            bucket,
            cli,
            folder: fresh_folder("archives"),
            id: summary["snapshot_id"].as_str().expect("an id").to_owned(),
        }
    }

    fn target(&self) -> PathBuf {
        self.folder.path().join("restored")
    }

    fn restore(&self, arguments: &[&str]) -> Outcome {
        let to = self.target();
        let to = to.to_str().expect("UTF-8");
        self.cli.run([&["restore", "latest", "--to", to], arguments].concat())
    }

    fn data_key(&self) -> String {
        let keys = self.server.keys(&self.bucket);
        keys.into_iter().find(|key| key.ends_with(".tar.gz")).expect("the data")
    }

    fn asked(&self) -> Vec<Option<u16>> {
        let requests = self.server.requests_of(Op::RestoreObject);
        requests.iter().map(|request| request.status).collect()
    }

    fn class_in_list(&self) -> serde_json::Value {
        let listed = self.cli.run(["list", "--json"]).success().json();
        serde_json::json!([listed[0]["storage_class"], listed[0]["archive"]])
    }

    #[track_caller]
    fn is_restored(&self) {
        assert_same_tree(tree(), &self.target().join("archived-tree"), Compare::all());
    }
}

#[test]
fn an_archived_backup_is_shown_as_such_and_refused_before_anything_changes() {
    for (class, takes) in [("GLACIER", "5 h"), ("DEEP_ARCHIVE", "12 h")] {
        let scene = Scene::new(class, 0);
        assert_eq!(scene.class_in_list(), serde_json::json!([class, "frozen"]));
        let run = scene.cli.run(["list"]).success();
        run.stdout_has(&format!("{class}, archived"));
        // What is inside is known from the index, which is in no archive.
        let run = scene.cli.run(["ls", "latest"]).success();
        run.stdout_has("archived-tree");
        for more in [&[][..], &["--dry-run"], &["--include", "**/*"]] {
            let run = scene.restore(more).exits_with(1);
            let says = format!("The data of `{}` lies in an archive ({class})", scene.id);
            let hint = format!(
                "`backup-cli restore {} --thaw` asks for it, which takes up to {takes}",
                scene.id
            );
            assert!(run.stderr().contains(&says) && run.stderr().contains(&hint), "{run}");
            assert!(!scene.target().exists(), "{run}");
        }
        assert_eq!(scene.server.requests_of(Op::RestoreObject).len(), 0);
        let run = scene
            .cli
            .run(["copy", "latest", "--to", scene.target().to_str().expect("UTF-8")])
            .exits_with(1);
        assert!(run.stderr().contains("lies in an archive"), "{run}");
    }
}

#[test]
fn a_thaw_is_asked_for_once_and_the_same_command_restores_later() {
    let scene = Scene::new("GLACIER", 3);
    let run = scene
        .restore(&["--thaw", "--tier", "bulk", "--thaw-days", "7"])
        .exits_with(3);
    assert!(
        run.stderr()
            .contains("is not restored yet: 1 data object of it is being thawed, which takes up to 12 h"),
        "{run}"
    );
    assert!(run.stderr().contains("Run the same command again"), "{run}");
    assert!(!scene.target().exists());
    assert_eq!(scene.asked(), [Some(200)]);
    assert_eq!(scene.class_in_list(), serde_json::json!(["GLACIER", "thawing"]));
    // In between it is not asked for again, and says how far it is.
    let run = scene.restore(&["--thaw", "--json"]).exits_with(3);
    let summary = run.json_lines().pop().expect("a summary");
    assert_eq!(
        (
            &summary["state"],
            &summary["objects_thawing"],
            &summary["objects_asked_for"]
        ),
        (&"thawing".into(), &1.into(), &0.into())
    );
    let run = scene.restore(&[]).exits_with(1);
    assert!(
        run.stderr()
            .contains("is being thawed: 0 of its 1 data objects can be read"),
        "{run}"
    );
    assert_eq!(scene.asked(), [Some(200)]);
    let run = scene.restore(&["--thaw"]).success();
    assert!(run.stderr().contains("can be read until 2100-01-01"), "{run}");
    scene.is_restored();
    let run = scene.cli.run(["list"]).success();
    run.stdout_has("GLACIER, thawed until 2100-01-01");
}

#[test]
fn a_restore_that_waits_goes_on_when_the_data_is_there() {
    let scene = Scene::new("DEEP_ARCHIVE", 1);
    let run = scene.restore(&["--thaw", "--wait"]).success();
    assert!(
        run.stderr().contains("0 of 1 data objects can be read; waiting"),
        "{run}"
    );
    scene.is_restored();
}

#[test]
fn what_another_run_asked_for_is_no_failure() {
    let scene = Scene::new("GLACIER", 1);
    let conflict = Fault::Error {
        status: 409,
        code: "RestoreAlreadyInProgress",
    };
    scene.server.fault(When::first(Op::RestoreObject), conflict);
    let _ = scene.restore(&["--thaw"]).exits_with(3);
    scene.server.assert_all_faults_happened();
    // Of the first request nothing came: it is asked for again.
    let _ = scene.restore(&["--thaw", "--wait"]).success();
    assert_eq!(scene.asked(), [Some(409), Some(200)]);
    scene.is_restored();
}

#[test]
fn what_freezes_again_meanwhile_is_asked_for_again() {
    let scene = Scene::new("GLACIER", 1);
    // The server acknowledges the first request and forgets it.
    let forgotten = Fault::Reply {
        status: 202,
        headers: Vec::new(),
        body: String::new(),
    };
    scene.server.fault(When::first(Op::RestoreObject), forgotten);
    let run = scene.restore(&["--thaw", "--wait"]).success();
    assert!(run.stderr().contains("froze again and is asked for once more"), "{run}");
    scene.is_restored();
    // A copy that has expired is as frozen as before.
    scene.server.set_thaw(&scene.bucket, &scene.data_key(), Thaw::Frozen);
    std::fs::remove_dir_all(scene.target()).expect("the target");
    let run = scene.restore(&[]).exits_with(1);
    assert!(run.stderr().contains("lies in an archive"), "{run}");
}

#[test]
fn an_archive_that_cannot_be_that_fast_says_so_at_once() {
    let scene = Scene::new("GLACIER", 1);
    let busy = Fault::Error {
        status: 503,
        code: "GlacierExpeditedRetrievalNotAvailable",
    };
    scene.server.fault(When::every(Op::RestoreObject), busy);
    let run = scene.restore(&["--thaw", "--tier", "expedited"]).exits_with(1);
    assert!(run.stderr().contains("--tier standard"), "{run}");
    assert_eq!(scene.asked(), [Some(503)]);
    let deep = Scene::new("DEEP_ARCHIVE", 1);
    let run = deep.restore(&["--thaw", "--tier", "expedited"]).exits_with(2);
    assert!(
        run.stderr()
            .contains("Nothing comes out of a deep archive within minutes"),
        "{run}"
    );
    assert_eq!(deep.asked(), []);
}

#[test]
fn a_thaw_that_is_denied_names_the_permission() {
    let scene = Scene::new("GLACIER", 1);
    scene.server.fault(When::every(Op::RestoreObject), Fault::ACCESS_DENIED);
    let run = scene.restore(&["--thaw"]).exits_with(1);
    assert!(run.stderr().contains("s3:RestoreObject"), "{run}");
}

#[test]
fn data_that_is_archived_between_the_look_and_the_read_is_told_from_damage() {
    let scene = Scene::new("GLACIER", 1);
    scene.server.set_thaw(&scene.bucket, &scene.data_key(), Thaw::Thawed);
    let archived = Fault::Error {
        status: 403,
        code: "InvalidObjectState",
    };
    scene
        .server
        .fault(When::every(Op::GetObject).key_contains(".tar.gz"), archived);
    let run = scene.restore(&[]);
    assert_eq!(run.code(), 1, "{run}");
    assert!(run.stderr().contains("it lies in an archive"), "{run}");
    assert!(!scene.target().exists());
}

#[test]
fn a_dry_run_asks_for_nothing_and_a_wait_can_be_interrupted() {
    let scene = Scene::new("GLACIER", 1000);
    let run = scene.restore(&["--thaw", "--dry-run"]).success();
    run.stdout_has("Would ask for 1 data object");
    assert_eq!(scene.asked(), []);
    let to = scene.target();
    let arguments = [
        "restore",
        "latest",
        "--to",
        to.to_str().expect("UTF-8"),
        "--thaw",
        "--wait",
    ];
    let mut running = scene.cli.command(arguments).start();
    running.wait_until("the wait", |running| {
        running.stderr_so_far().contains("waiting for the rest")
    });
    running.signal(Signal::INT);
    let run = running.wait().exits_with(130);
    assert!(run.took().as_secs() < 20, "{run}");
    assert!(!to.exists());
}

#[test]
fn options_of_a_thaw_need_a_thaw() {
    let scene = Scene::new("GLACIER", 1);
    for more in [
        &["--wait"][..],
        &["--tier", "bulk"],
        &["--thaw-days", "2"],
        &["--thaw", "--thaw-days", "0"],
    ] {
        let _ = scene.restore(more).exits_with(2);
    }
}

#[test]
fn a_server_with_an_archive_of_its_own_thaws_and_restores() {
    let server = Ministack::start();
    let bucket = server.bucket();
    let cli = Cli::new().envs(bucket.environment()).env("BACKUP_PATH_STYLE", "true");
    let _ = cli
        .run([
            Path::new("backup"),
            tree(),
            Path::new("--storage-class"),
            Path::new("GLACIER"),
        ])
        .success();
    let folder = fresh_folder("ministack");
    let to = folder.path().join("restored");
    let to_text = to.to_str().expect("UTF-8");
    let run = cli.run(["restore", "latest", "--to", to_text]).exits_with(1);
    assert!(run.stderr().contains("lies in an archive (GLACIER)"), "{run}");
    let _ = cli
        .run(["restore", "latest", "--to", to_text, "--thaw", "--wait"])
        .success();
    assert_same_tree(tree(), &to.join("archived-tree"), Compare::all());
}

#[test]
fn where_the_class_is_but_a_label_a_backup_is_restored_like_any_other() {
    let place = Place::fresh(PlaceKind::UnknownS3);
    let cli = place.cli();
    let class = ["--storage-class", "GLACIER"].map(Path::new);
    let _ = cli.run([&[Path::new("backup"), tree()], &class[..]].concat()).success();
    let folder = fresh_folder("label");
    let to = folder.path().join("restored");
    let _ = cli
        .run(["restore", "latest", "--to", to.to_str().expect("UTF-8")])
        .success();
    for level in ["quick", "data", "deep"] {
        let run = cli.run(["verify", "latest", "--level", level]).success();
        assert!(!run.stdout().contains("lie in an archive"), "{run}");
    }
    assert_same_tree(tree(), &to.join("archived-tree"), Compare::all());
}
