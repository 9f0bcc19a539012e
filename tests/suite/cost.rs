//! `cost`: what a store holds, its bill, and what it comes to.

use std::sync::Arc;

use backup_cli::catalog::layout::Layout;
use backup_cli::ops::cost::{CostOptions, Sort, cost};
use backup_cli::pricing::{Aging, Prices, STANDARD};
use backup_cli::retention::{KeepSpan, Policy};
use backup_cli::store::Store;
use backup_cli::store::memory::MemoryStore;
use jiff::{SignedDuration, Timestamp};

use crate::support::aws;
use crate::support::cli::Cli;
use crate::support::library::run_at;
use crate::support::ministack::Ministack;

fn options() -> CostOptions {
    CostOptions {
        name: None,
        layout: Layout::with_prefix("backups").unwrap(),
        policy: Policy::default(),
        keep_min: 1,
        every: None,
        arrives_in: STANDARD.to_owned(),
        part_bytes: None,
        aging: Aging::default(),
        has_versions: false,
        prices: Some(Prices::builtin().unwrap().clone()),
    }
}

/// The base of a backup's keys.
fn key(prefix: &str, name: &str, time: Timestamp) -> String {
    let day = time.strftime("%Y%m%d");
    format!("{prefix}{day}/{name}_backup_{day}_{}.sql.gz", time.strftime("%H%M%S"))
}

fn daily(count: i64) -> impl Iterator<Item = Timestamp> {
    let first: Timestamp = "2000-01-01T03:00:00Z".parse().unwrap();
    (0..count).map(move |day| first + SignedDuration::from_hours(24 * day))
}

#[test]
fn a_store_is_added_up_from_its_listing_alone() {
    const COUNT: i64 = 2000;
    let memory = MemoryStore::new();
    for (number, time) in daily(COUNT).enumerate() {
        // No manifest is one, so that whoever reads any finds nothing.
        let key = key("backups/", if number % 2 == 0 { "app" } else { "web" }, time);
        memory.set_body(&key, vec![7; 100]);
        memory.set_body(&format!("{key}.index.gz"), vec![7; 20]);
        memory.set_body(&format!("{key}.manifest.json"), vec![7; 10]);
    }
    memory.set_body("backups/20200101/old_backup_20200101_000000.sql.gz", vec![7; 5]);
    memory.set_body("backups/notes.txt", vec![7; 6]);
    memory.set_body("elsewhere/big", vec![7; 1000]);
    let store: Arc<dyn Store> = Arc::new(memory);
    let (run, _) = run_at("2026-01-01T00:00:00Z");
    let mut thirty = options();
    thirty.policy.retention = KeepSpan::days(30);
    let report = cost(store.as_ref(), &thirty, &run).unwrap();
    let of = |sort: Sort| {
        let tally = report.holdings.sorts.get(&sort).unwrap();
        (tally.objects(), tally.bytes())
    };
    assert_eq!(of(Sort::Data), (2000, 200_000));
    assert_eq!(of(Sort::Index), (2000, 40_000));
    assert_eq!(of(Sort::Manifest), (2000, 20_000));
    assert_eq!(of(Sort::Unmanaged), (3, 1011));
    assert_eq!((report.total.objects(), report.total.bytes()), (6003, 261_011));
    let app = &report.holdings.series["app"];
    assert_eq!((app.backups, app.tally.bytes()), (1000, 130_000));
    let forecast = app.forecast.unwrap().unwrap();
    assert_eq!(forecast.interval.as_hours(), 48);
    assert_eq!(forecast.backups.round(), 15.0);
    assert_eq!(forecast.bytes, 15 * 130);
    assert!(!forecast.is_endless && !report.is_endless());

    // One series alone, and a rhythm that is stated.
    let mut one = options();
    one.name = Some("web".to_owned());
    one.every = Some(std::time::Duration::from_secs(3600));
    one.policy.retention = KeepSpan::days(2);
    let report = cost(store.as_ref(), &one, &run).unwrap();
    assert_eq!(report.holdings.series.keys().collect::<Vec<_>>(), ["web"]);
    assert_eq!(
        report.holdings.series["web"].forecast.unwrap().unwrap().backups.round(),
        48.0
    );
    // Nothing that removes any: it grows for ever.
    assert!(cost(store.as_ref(), &options(), &run).unwrap().is_endless());
}

#[test]
fn a_folder_has_sizes_and_with_prices_of_its_own_a_bill() {
    let cli = Cli::new();
    let folder = cli.home().join("store");
    for time in daily(3) {
        let key = key("", "app", time);
        let path = folder.join(&key);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, vec![7; 1 << 20]).unwrap();
        std::fs::write(folder.join(format!("{key}.manifest.json")), "{}").unwrap();
    }
    let cli = cli.env("BACKUP_STORE", folder.display().to_string());
    let plain = cli.run(["cost", "--json"]).exits_with(0).json();
    assert_eq!(plain["bill"], serde_json::Value::Null);
    assert_eq!(plain["series"][0]["backups"], 3);
    assert_eq!(plain["series"][0]["bytes"], 3 * (1 << 20) + 6);
    let _ = cli
        .run(["cost"])
        .exits_with(0)
        .stdout_has("app")
        .stdout_has("6 objects")
        .stderr_has("There is no bill");

    let own = "date = \"2026-01-01\"\ncurrency = \"EUR\"\nsource = \"the contract\"\nregion = \"here\"\n[class.STANDARD]\nstorage = 1024\n";
    std::fs::write(cli.home().join("own.toml"), own).unwrap();
    let _ = cli
        .run(["cost", "--prices", "own.toml", "--retention-days", "2"])
        .exits_with(0)
        .stdout_has("cost about 3.00 EUR a month")
        .stdout_has("By retention-days 2 it comes to about 2.00 EUR a month in the long run");
    std::fs::write(cli.home().join("cheap.toml"), own.replace("1024", "0.000001")).unwrap();
    let _ = cli
        .run(["cost", "--prices", "cheap.toml"])
        .exits_with(0)
        .stdout_has("cost less than 0.00001 EUR a month");
    for every in ["0s", "59s"] {
        let _ = cli
            .run(["cost", "--every", every])
            .exits_with(2)
            .stderr_has("a minute apart");
    }
    let priced = cli.run(["cost", "--prices", "own.toml", "--json"]).exits_with(0).json();
    assert_eq!(priced["prices"]["currency"], "EUR");
    assert_eq!(priced["later"]["grows_for_ever"], true);

    // What is printed can be read; and what cannot be read is told with its line.
    let printed = Cli::new().run(["cost", "--print-prices"]).exits_with(0);
    assert_eq!(printed.stderr(), "", "it takes no store");
    std::fs::write(cli.home().join("printed.toml"), printed.stdout()).unwrap();
    let _ = cli
        .run(["cost", "--prices", "printed.toml"])
        .exits_with(0)
        .stdout_has("$");
    std::fs::write(cli.home().join("bad.toml"), own.replace("STANDARD", "STANDRAD")).unwrap();
    let _ = cli
        .run(["cost", "--prices", "bad.toml"])
        .exits_with(2)
        .stderr_has("Unknown storage class: `STANDRAD`")
        .stderr_has("line 5");
    let _ = cli
        .run(["cost", "--prices", "none.toml"])
        .exits_with(2)
        .stderr_has("none.toml");
}

#[test]
fn a_bucket_is_billed_by_class_and_by_what_it_does_to_its_objects() {
    let bucket = Ministack::shared().bucket();
    let keys: Vec<String> = daily(3).map(|time| key("backups/", "app", time)).collect();
    let rules = r#"{"Rules":[{"ID":"cold","Status":"Enabled","Filter":{"Prefix":"backups/"},"Transitions":[{"Days":30,"StorageClass":"GLACIER"}],"Expiration":{"Days":90},"NoncurrentVersionExpiration":{"NoncurrentDays":7}}]}"#;
    let script = r#"
        s3() { aws --endpoint-url "$AWS_ENDPOINT_URL" s3api "$@" --bucket "$NAME" >/dev/null; }
        s3 put-bucket-versioning --versioning-configuration Status=Enabled
        s3 put-object --key "$COLD" --storage-class GLACIER --body "$FILE"
        s3 put-object --key "$HOT" --body "$FILE"
        s3 put-bucket-lifecycle-configuration --lifecycle-configuration "$RULES"
    "#;
    let cli = Cli::new().envs(bucket.environment()).env("BACKUP_PROVIDER", "aws");
    let file = cli.home().join("file");
    std::fs::write(&file, vec![7; 400_000]).unwrap();
    let file = file.display().to_string();
    let variables = [
        ("NAME", bucket.name.as_str()),
        ("COLD", keys[0].as_str()),
        ("HOT", keys[1].as_str()),
        ("RULES", rules),
        ("FILE", &file),
        ("AWS_ENDPOINT_URL", &bucket.access.endpoint),
    ];
    let _ = aws::shell(&bucket.access, script, &variables);
    // The same key again leaves an old version.
    bucket.put(&keys[1], b"younger");
    let other = key("backups/", "app_staging", daily(1).next().unwrap());
    for body in [&b"old"[..], b"new"] {
        bucket.put(&other, body);
        bucket.put(&format!("{other}.manifest.json"), body);
    }
    for key in &keys[..2] {
        bucket.put(&format!("{key}.manifest.json"), b"{}");
    }
    let cli = cli.env("BACKUP_PATH_STYLE", "true");
    let answer = cli.run(["cost", "--json"]).exits_with(0).json();
    let held_in = |answer: &serde_json::Value, what: &str, class: &str| -> u64 {
        let all = answer["holdings"].as_array().unwrap();
        let found = all.iter().find(|held| held["what"] == what && held["class"] == class);
        found.map_or(0, |held| held["bytes"].as_u64().unwrap())
    };
    // A series alone has its own older versions, and nobody else's.
    let app = cli.run(["cost", "--name", "app", "--json"]).exits_with(0).json();
    assert_eq!(held_in(&app, "old versions", "STANDARD"), 400_000, "{app:#}");
    let staging = cli
        .run(["cost", "--name", "app_staging", "--json"])
        .exits_with(0)
        .json();
    assert_eq!(held_in(&staging, "old versions", "STANDARD"), 6, "{staging:#}");
    assert_eq!(held_in(&answer, "old versions", "STANDARD"), 400_006, "{answer:#}");
    let (answer, held) = (&app, |what: &str, class: &str| held_in(&app, what, class));
    assert_eq!(held("data", "GLACIER"), 400_000, "{answer:#}");
    assert_eq!(held("data", "STANDARD"), 7, "{answer:#}");
    assert_eq!(held("manifests", "STANDARD"), 4, "{answer:#}");
    assert_eq!(held("old versions", "STANDARD"), 400_000, "{answer:#}");
    assert_eq!(answer["prices"]["region"], "us-east-1");
    let later = &answer["series"][0]["later"];
    // 90 days of a daily backup, and 7 of each day's removed one.
    assert_eq!(later["every_secs"], 86_400);
    assert_eq!(later["backups"].as_f64().unwrap().round(), 90.0, "{answer:#}");
    assert_eq!(later["grows_for_ever"], false, "{answer:#}");
    let glacier = answer["later"]["bill"]["classes"].as_array().unwrap();
    let glacier = glacier.iter().find(|line| line["class"] == "GLACIER").expect("a line");
    assert_eq!(glacier["objects"], 67, "{answer:#}");
    assert!(glacier["transitions"].as_f64().unwrap() > 0.0 && glacier["early_removal"].as_f64().unwrap() > 0.0);
}
