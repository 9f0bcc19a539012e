//! `prune`, `pin` and `backup --prune` as a user runs them: in a folder, in a bucket, in one with versions and locks.

use std::time::Duration;

use backup_cli::store::{Key, PutOptions, Role, Store};
use jiff::{SignedDuration, Timestamp};

use crate::many_backups::Template;
use crate::support::cli::Cli;
use crate::support::fault_s3::FaultS3;
use crate::support::weed::{Bucket, Weed};

/// Backups of a series on the first days of 2020, as objects.
pub(crate) fn days(name: &str, count: i64) -> Vec<(String, bytes::Bytes)> {
    let template = Template::new();
    let first: Timestamp = "2020-01-01T02:00:00Z".parse().unwrap();
    (0..count)
        .flat_map(|day| template.at(name, first.checked_add(SignedDuration::from_hours(24 * day)).unwrap()))
        .collect()
}

fn put_all(store: &dyn Store, prefix: &str, objects: &[(String, bytes::Bytes)]) {
    let put = |(key, body): &(String, bytes::Bytes)| {
        let options = PutOptions {
            role: Role::Data,
            token: "0123456789abcdef0123456789abcdef".to_owned(),
            content_type: "application/octet-stream",
            metadata: std::collections::BTreeMap::new(),
            lock: None,
        };
        store
            .put(&Key::new(format!("{prefix}{key}")), body.clone(), &options)
            .unwrap();
    };
    std::thread::scope(|scope| {
        for chunk in objects.chunks(objects.len().div_ceil(8)) {
            scope.spawn(move || chunk.iter().for_each(put));
        }
    });
}

pub(crate) fn fill(bucket: &Bucket, objects: &[(String, bytes::Bytes)]) {
    let store = crate::store_contract::s3_store(&bucket.access, &bucket.name, Some("seaweedfs"));
    put_all(&store, "backups/", objects);
}

fn with_folder(count: i64) -> Cli {
    let cli = Cli::new();
    let store = cli.home().join("store");
    for (key, body) in days("app", count) {
        let path = store.join(key);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, body).unwrap();
    }
    cli.env("BACKUP_STORE", &store)
}

fn ids(cli: &Cli) -> Vec<String> {
    let listed = cli.run(["list", "--json"]).success().json();
    let listed = listed.as_array().unwrap().iter();
    listed
        .map(|backup| backup["id"].as_str().unwrap()["app_backup_".len()..].to_owned())
        .collect()
}

#[test]
fn a_plan_is_shown_with_its_reasons_and_nothing_goes_without_a_yes() {
    let cli = with_folder(5);
    let all = ids(&cli);
    let _ = cli
        .run(["prune"])
        .exits_with(2)
        .stderr_has("No rule says what is to be kept");
    let refused = cli.run(["prune", "--keep-last", "2"]).exits_with(21);
    assert!(refused.stderr().contains("no terminal to ask on"), "{refused}");
    let shown = cli
        .run(["prune", "--keep-last", "2", "--keep-weekly", "3", "--dry-run"])
        .success();
    assert_eq!(
        shown.stdout(),
        "\
Kept by: keep-last 2, keep-weekly 3
        ID                          TIME                  STORED  WHY
keep    app_backup_20200105_020000  2020-01-05 02:00:00Z    38 B  last, weekly, newest complete
keep    app_backup_20200104_020000  2020-01-04 02:00:00Z    38 B  last
remove  app_backup_20200103_020000  2020-01-03 02:00:00Z    38 B  2 newer ones are kept, a newer weekly one is kept
remove  app_backup_20200102_020000  2020-01-02 02:00:00Z    38 B  2 newer ones are kept, a newer weekly one is kept
keep    app_backup_20200101_020000  2020-01-01 02:00:00Z    38 B  oldest weekly
3 backups are kept; 2 backups of 76 B would be removed, but this is a dry run.
",
        "{shown}"
    );
    assert_eq!(ids(&cli), all);
    let _ = cli
        .run(["prune", "--keep-last", "2", "--keep-weekly", "3", "-y"])
        .success()
        .stdout_has("Removed 2 backups of 76 B");
    assert_eq!(ids(&cli), ["20200105_020000", "20200104_020000", "20200101_020000"]);
    let _ = cli
        .run(["prune", "--keep-last", "2", "--keep-weekly", "3", "-y"])
        .success()
        .stdout_has("3 backups are kept; 0 backups of 0 B to be removed.");
}

#[test]
fn rules_come_from_flags_environment_and_profile_together() {
    let cli = with_folder(6);
    let file = cli.home().join("config.toml");
    std::fs::write(
        &file,
        "[profile.app]\nkeep-last = 1\nkeep-tag = [\"a,b\"]\nmin-keep = 2\nretention-days = 1\n",
    )
    .unwrap();
    let cli = cli.env("BACKUP_CONFIG", &file).env("BACKUP_S3_RETENTION_DAYS", "3");
    let shown = cli
        .run(["prune", "-p", "app", "--keep-yearly", "unlimited", "-n"])
        .success()
        .stdout_has("Kept by: keep-last 1, keep-yearly unlimited, retention-days 3, keep-tag a,b\n")
        .stdout_has("one of the newest 2 complete");
    assert_eq!(shown.stdout().matches("\nremove").count(), 2, "{shown}");
    let document = cli.run(["prune", "-p", "app", "--dry-run", "--json"]).success().json();
    let group = &document[0];
    assert_eq!(group["name"], "app");
    assert_eq!(group["keep"].as_array().unwrap().len(), 3);
    assert_eq!(group["remove"].as_array().unwrap().len(), 3);
    assert_eq!(group["reasons"][0]["matches"][0], "within 3d");
    assert_eq!(group["reasons"][0]["snapshot"]["id"], "app_backup_20200106_020000");
    assert_eq!(group["remove_reasons"][0]["matches"][1], "a newer one is kept");
    let _ = cli
        .run(["config", "show", "-p", "app"])
        .success()
        .stdout_has("keep-last")
        .stdout_has("BACKUP_S3_RETENTION_DAYS");
}

#[test]
fn a_pinned_backup_stays_and_is_shown_as_such() {
    let cli = with_folder(4);
    let id = "app_backup_20200102_020000";
    let _ = cli
        .run(["pin", id, "--why", "before the migration"])
        .success()
        .stdout_has("Pinned app_backup_20200102_020000.");
    let _ = cli.run(["pin", id]).success().stdout_has("was pinned already");
    let _ = cli.run(["list"]).success().stdout_has("complete, pinned");
    let _ = cli.run(["show", id]).success().stdout_has(": before the migration");
    let _ = cli.run(["prune", "--keep-last", "1", "-y"]).success();
    assert_eq!(ids(&cli), ["20200104_020000", "20200102_020000"]);
    let _ = cli.run(["unpin", id]).success().stdout_has("Unpinned");
    let _ = cli.run(["unpin", id]).success().stdout_has("was not pinned");
    let _ = cli.run(["prune", "--keep-last", "1", "-y"]).success();
    assert_eq!(ids(&cli), ["20200104_020000"]);
    assert_eq!(crate::support::place::files_below(&cli.home().join("store")).len(), 3);
    let _ = cli.run(["pin", "nothing"]).exits_with(10);
}

#[test]
fn a_backup_prunes_its_series_only_after_success() {
    let cli = with_folder(4).env("BACKUP_NAME", "app");
    let source = cli.home().join("source");
    std::fs::create_dir(&source).unwrap();
    std::fs::write(source.join("a"), "a").unwrap();
    let source = source.to_str().unwrap();
    let _ = cli
        .run(["backup", source, "--prune"])
        .exits_with(2)
        .stderr_has("no rule says what is to be kept");
    assert_eq!(ids(&cli).len(), 4);
    let cli = cli.env("BACKUP_KEEP_LAST", "2");
    let _ = cli.run(["backup", "--command", "false", "--prune"]).exits_with(1);
    assert_eq!(ids(&cli).len(), 4);
    let _ = cli
        .run(["backup", source, "--prune"])
        .success()
        .stdout_has("Removed 3 backups");
    assert_eq!(ids(&cli)[1..], ["20200104_020000"]);
}

#[test]
fn restic_1246_more_than_a_page_of_keys_is_seen_and_removed_in_batches() {
    let bucket = Bucket::fresh();
    fill(&bucket, &days("app", 350));
    let cli = Cli::new().envs(bucket.environment());
    let run = cli
        .run(["prune", "--keep-last", "3", "-y"])
        .success()
        .stdout_has("Removed 347 backups");
    assert!(run.took() < Duration::from_secs(60), "{run}");
    assert_eq!(bucket.keys().len(), 9, "{:?}", bucket.keys());
    assert_eq!(ids(&cli).len(), 3);
}

#[test]
fn a_server_without_batches_is_served_one_by_one() {
    let server = FaultS3::start();
    let bucket = server.bucket();
    let store = crate::store_contract::s3_store(&server.access(), &bucket, Some("aws"));
    put_all(&store, "backups/", &days("app", 6));
    let cli = Cli::new().envs(server.environment(&bucket));
    let cli = cli.env("BACKUP_STORE", format!("s3://{bucket}/backups"));
    let _ = cli
        .run(["prune", "--keep-last", "1", "-y"])
        .success()
        .stdout_has("Removed 5 backups");
    assert_eq!(server.keys(&bucket).len(), 3, "{:?}", server.keys(&bucket));
}

#[test]
fn a_bucket_with_versions_says_what_stays_and_purges_on_request() {
    let bucket = Bucket::fresh();
    bucket.client().enable_versioning(&bucket.name);
    fill(&bucket, &days("app", 3));
    let cli = Cli::new().envs(bucket.environment());
    let _ = cli
        .run(["prune", "--keep-last", "2", "-y"])
        .success()
        .stderr_has("3 objects are only hidden and still cost money");
    assert_eq!(ids(&cli).len(), 2);
    // Three versions of each backup, and a marker over each object of the hidden one.
    assert_eq!(bucket.client().versions(&bucket.name).len(), 12);
    let _ = cli
        .run(["prune", "--keep-last", "1", "-y", "--purge-versions"])
        .success();
    assert_eq!(ids(&cli).len(), 1);
    let left = bucket.client().versions(&bucket.name);
    assert_eq!(left.len(), 9, "{left:?}");
    assert!(!left.iter().any(|key| key.contains("20200102")), "{left:?}");
}

#[test]
fn what_is_locked_is_retained_and_no_error() {
    let weed = Weed::shared();
    let name = format!("locked-{:08x}", rand::random::<u32>());
    weed.client().create_lockable_bucket(&name);
    let bucket = Bucket {
        name,
        access: weed.access().clone(),
    };
    fill(&bucket, &days("app", 3));
    // The manifest is written last, so that its lock may end after that of the data.
    let locked = [
        "backups/20200101/app_backup_20200101_020000.bin.gz.manifest.json",
        "backups/20200102/app_backup_20200102_020000.bin.gz",
    ];
    for key in locked {
        bucket.client().lock(&bucket.name, key);
    }
    let cli = Cli::new().envs(bucket.environment());
    let prune = ["prune", "--keep-last", "1"];
    // No manifest tells of these locks, and the plan shows them all the same.
    let plan = cli.run(prune.iter().chain(&["--dry-run"])).success();
    assert_eq!(plan.stdout().matches(", locked until ").count(), 2, "{plan}");
    let _ = plan.stdout_has(" 2 of these are locked, and stay until their locks end.");
    let plan = cli.run(prune.iter().chain(&["--dry-run", "--json"])).success().json();
    assert_eq!(plan[0]["remove"][0]["locked"], true, "{plan:#}");
    for purge in [None, Some(&"--purge-versions")] {
        let outcome = cli.run(prune.iter().chain(&["-y"]).chain(purge)).success();
        for key in locked {
            let is_told = outcome.stderr().contains(&format!("`{key}` is retained until "));
            assert!(is_told, "{key}: {outcome}");
        }
        assert_eq!(ids(&cli), ["20200103_020000", "20200102_020000", "20200101_020000"]);
        assert_eq!(bucket.client().versions(&bucket.name).len(), 9);
    }
}

#[test]
fn several_profiles_answer_in_a_line_each() {
    let cli = with_folder(2);
    let folder = cli.home().join(".config/backup-cli");
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(
        folder.join("config.toml"),
        "[profile.app]\n[profile.web]\nname = \"web\"\n",
    )
    .unwrap();
    for command in [
        &["prune", "--keep-last", "1", "-n"][..],
        &["list"],
        &["cost"],
        &["cleanup", "-n"],
    ] {
        let both = ["-p", "app", "-p", "web", "--json"];
        let outcome = cli.run(command.iter().chain(&both)).success();
        let documents: Vec<serde_json::Value> = outcome
            .stdout()
            .lines()
            .map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {outcome}")))
            .collect();
        assert_eq!(documents.len(), 2, "{outcome}");
    }
}

#[test]
fn a_comma_separates_the_tags_of_a_backup_as_it_does_those_of_a_rule() {
    let cli = with_folder(0);
    std::fs::write(cli.home().join("x"), "x").unwrap();
    let backup = ["backup", "x", "--name", "t", "--tag", "release, prod", "--tag", "prod"];
    let _ = cli.run(backup).success();
    let listed = cli.run(["list", "--json"]).success().json();
    assert_eq!(listed[0]["tags"], serde_json::json!(["release", "prod"]), "{listed:#}");
    let _ = cli.run(["backup", "x", "--name", "t"]).success();
    let _ = cli
        .run(["prune", "--keep-tag", "release,prod", "-n"])
        .success()
        .stdout_has("has tags [release, prod]");
    let _ = cli
        .run(["backup", "x", "--tag", " , "])
        .exits_with(2)
        .stderr_has("Expected tags");
}

#[test]
fn a_clock_that_is_not_that_of_the_disk_removes_nothing() {
    use backup_cli::ops::prune::plan_prune;
    use backup_cli::store::local::LocalStore;
    let cli = with_folder(3);
    let store: std::sync::Arc<dyn Store> = std::sync::Arc::new(LocalStore::open(cli.home().join("store")).unwrap());
    let now = Timestamp::now();
    for (minutes, is_refused) in [(-6, true), (-4, false), (4, false), (6, true)] {
        let at = now.checked_add(SignedDuration::from_mins(minutes)).unwrap();
        let (run, _) = super::support::library::run_at(&at.to_string());
        let plan = plan_prune(&store, &super::prune::prune_options(super::prune::keep_last(1)), &run);
        assert_eq!(plan.is_err(), is_refused, "{minutes}");
    }
}
