//! A storage node of a cluster dies while a backup is written: it is survived, for two of three are left and new blocks go
//! there. Another one dies while a backup is read: that survives or fails cleanly, for some blocks may have been on these
//! two alone. Nothing is ever called complete that is not.

use std::path::Path;
use std::time::Duration;

use crate::support::cli::Cli;
use crate::support::three_nodes::ThreeNodes;
use crate::support::trees::Noise;

#[test]
fn a_node_that_dies_during_a_backup_is_survived() {
    let cluster = ThreeNodes::start();
    let bucket = cluster.bucket("node-failure");
    let cli = Cli::new()
        .envs(bucket.environment())
        .env("BACKUP_PROVIDER", "seaweedfs")
        .env("BACKUP_PART_SIZE", "5MiB")
        .env("BACKUP_LEVEL", "1")
        .env("BACKUP_RETRY_DELAY", "1s")
        .env("BACKUP_RETRY_DELAY_MAX", "2s")
        .env("BACKUP_RETRY_BUDGET", "60s");
    let half = Noise::new(1).bytes(13 << 20);
    std::fs::write(cli.home().join("half"), &half).unwrap();
    let whole = [half.as_slice(), &half].concat();
    let back_up = |name: &str, command: &str| {
        cli.command(["backup", "--name", name, "--shell", "--command", command])
            .start()
    };
    let target = |name: &str| cli.home().join("targets").join(name);
    std::fs::create_dir(cli.home().join("targets")).unwrap();
    let restore = |reference: &str, path: &Path| {
        cli.command(["restore", reference, "--to", path.to_str().unwrap()])
            .start()
    };

    let _ = back_up("before", "cat half half").wait().success();

    // During the backup: some parts are there, some are still to come.
    let mut run = back_up("during", "cat half; while ! [ -e go-on ]; do sleep 0.1; done; cat half");
    run.wait_until("the upload", |_| !bucket.uploads().is_empty());
    cluster.kill_node(0);
    std::fs::write(cli.home().join("go-on"), "").unwrap();
    let outcome = run.wait();
    assert_eq!(cluster.nodes_alive(), 2);
    let outcome = outcome.success();
    let listed = cli.run(["list"]).success();
    assert!(listed.stdout().contains("during_backup_"), "{listed}\n{outcome}");
    let _ = restore("during@latest", &target("during")).wait().success();
    assert!(
        std::fs::read(target("during")).unwrap() == whole,
        "it was called complete"
    );

    // What was there before has a copy on another node.
    let _ = restore("before@latest", &target("after-one")).wait().success();
    assert!(std::fs::read(target("after-one")).unwrap() == whole);

    // During the restore: with the second node some blocks may have lost their last copy.
    let run = cli
        .command([
            "restore",
            "before@latest",
            "--to",
            target("after-two").to_str().unwrap(),
        ])
        .env("BACKUP_RETRY_BUDGET", "8s")
        .start();
    std::thread::sleep(Duration::from_millis(60));
    cluster.kill_node(1);
    let outcome = run.wait();
    match outcome.code() {
        0 => assert!(
            std::fs::read(target("after-two")).unwrap() == whole,
            "it was called restored"
        ),
        _ => assert!(!target("after-two").exists(), "half a file was left\n{outcome}"),
    }
    let names: Vec<_> = std::fs::read_dir(cli.home().join("targets"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    assert!(names.iter().all(|name| !name.starts_with('.')), "{names:?}");
}
