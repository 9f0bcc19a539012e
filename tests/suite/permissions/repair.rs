//! What tidies up, repairs, copies and counts, under exactly its role.

use std::sync::OnceLock;

use super::{Case, OLD, Stage, fails_and_names, policy_of, scene};
use crate::support::cli::Cli;
use crate::support::fault_s3::Content;
use crate::support::project;

/// What belongs to no backup: the data of a run that was killed before its manifest.
const ORPHAN: &str = "backups/20260104/gone_backup_20260104_020000.tar.gz";
/// What a script has left.
const FOREIGN: &str = "backups/20260102/web_backup_20260102_020000.tar.gz";

/// The bucket of the scene, with what has to be tidied up and repaired.
fn disorder() -> &'static Content {
    static CONTENT: OnceLock<Content> = OnceLock::new();
    CONTENT.get_or_init(|| {
        let scene = scene();
        let bucket = scene.server.bucket_with(&scene.content);
        let client = scene.server.client();
        let data = client.get(&bucket, &format!("backups/20260131/{OLD}.tar.gz"));
        client.put(&bucket, FOREIGN, &data);
        let index = format!("backups/20260131/{OLD}.tar.gz.index.gz");
        scene.server.tamper(&bucket, &index, |mut bytes| {
            bytes.truncate(bytes.len() / 2);
            Some(bytes)
        });
        let root = Cli::new().envs(scene.server.environment(&bucket));
        std::fs::create_dir(root.home().join("gone")).unwrap();
        std::fs::write(root.home().join("gone/text"), "gone").unwrap();
        let made = root
            .run([
                "backup",
                "gone",
                "--key-template",
                "20260104/{name}_backup_{date}_{time}",
                "--json",
            ])
            .success();
        let id = made.json_lines().pop().unwrap()["snapshot_id"]
            .as_str()
            .unwrap()
            .to_owned();
        client.delete(&bucket, &format!("backups/20260104/{id}.tar.gz.manifest.json"));
        scene.server.content(&bucket)
    })
}

/// An upload that nobody ends, and which is older than the bound of the case.
fn begin_upload(stage: &Stage) {
    scene().server.client().begin_upload(&stage.bucket, ORPHAN);
    std::thread::sleep(std::time::Duration::from_millis(1_100));
}

#[test]
fn a_pruner_tidies_up() {
    Case {
        content: disorder,
        before: begin_upload,
        ..Case::new("cleanup", &["pruner"], &["cleanup", "--older-than", "1s", "--confirm"])
    }
    .check();
}

#[test]
fn an_admin_counts_and_repairs() {
    const ADMIN: &[&str] = &["admin"];
    for case in [
        Case {
            degraded: |need, stage, outcome| {
                let outcome = outcome.success();
                let was_asked = stage.gate.refused().iter().any(|refused| refused == need.action);
                let is_told = outcome.stdout().contains(need.action) || outcome.stderr().contains(need.action);
                // Versions are counted where there are any.
                assert_eq!(is_told, was_asked, "{}\n{outcome}", need.action);
                assert!(
                    was_asked || need.action == "s3:ListBucketVersions",
                    "{}\n{outcome}",
                    need.action
                );
            },
            ..Case::new("cost", ADMIN, &["cost"])
        },
        Case {
            content: disorder,
            degraded: |_, _, outcome| drop(outcome.success()),
            ..Case::new("rebuild-index", ADMIN, &["rebuild-index", OLD])
        },
        Case {
            content: disorder,
            degraded: |_, _, outcome| drop(outcome.success()),
            ..Case::new("adopt", ADMIN, &["adopt", "web_backup_20260102_020000"])
        },
    ] {
        case.check();
    }
}

#[test]
fn a_copy_takes_at_its_target_what_its_note_says() {
    let role = policy_of(&["restorer", "writer"], &[]);
    // Where the backup comes from is a folder, so that only the target can refuse.
    let source = project().join("tests/samples/v1/store");
    let source = source.to_str().unwrap();
    for missing in [None, Some("s3:PutObject"), Some("s3:GetObject"), Some("s3:ListBucket")] {
        let stage = Stage::new(&missing.map_or_else(|| role.clone(), |action| role.without(action)));
        let to = format!("s3://{}/backups", scene().server.bucket());
        let copy = ["copy", "words@latest", "--store", source, "--to", &to];
        let outcome = stage.cli.run(copy);
        match missing {
            None => drop(outcome.success()),
            Some(action @ "s3:PutObject") => fails_and_names(action, &outcome),
            // What stands there is looked at only if something does.
            Some(action) => {
                let _ = outcome.success();
                fails_and_names(action, &stage.cli.run(copy));
            }
        }
    }
}

#[test]
fn damage_is_told_by_who_may_not_write_it_down() {
    let role = policy_of(&["restorer"], &[]);
    for (policy, warns) in [(role.clone(), false), (role.without("s3:PutObject"), true)] {
        let stage = Stage::of(&policy, disorder());
        for arguments in [&["verify", OLD][..], &["verify", OLD, "--level", "quick"]] {
            let outcome = stage.cli.run(arguments).exits_with(20);
            let warned = outcome.stderr().contains("could not be remembered beside it")
                && outcome.stderr().contains("s3:PutObject on `arn:aws:s3:::");
            assert_eq!(warned, warns, "{outcome}");
        }
    }
}
