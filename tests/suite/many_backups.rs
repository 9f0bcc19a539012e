//! Thousands of backups: lists stay fast and small, and `latest` is found among them.

use std::sync::Arc;
use std::time::{Duration, Instant};

use backup_cli::catalog::manifest::Manifest;
use backup_cli::catalog::selection::{BackupRef, Choice, choose};
use backup_cli::ops::list::{ListOptions, list};
use backup_cli::store::memory::MemoryStore;
use backup_cli::store::{Key, Store};
use jiff::{SignedDuration, Timestamp};

use crate::support::cli::Cli;
use crate::support::library::{Bytes, back_up, layout, list_all, options, read_back, run_at};
use crate::support::weed::Bucket;

const FIRST: &str = "2020-01-01T02:00:00Z";

/// The three objects of one small backup, to be copied under other names.
pub struct Template {
    data: bytes::Bytes,
    index: bytes::Bytes,
    manifest: Manifest,
}

impl Template {
    pub fn new() -> Self {
        let memory = MemoryStore::new();
        let store: Arc<dyn Store> = Arc::new(memory.clone());
        let (run, _) = run_at(FIRST);
        let outcome = back_up(&store, Bytes::new("small"), &options("app", None), &run).unwrap();
        let key = outcome.manifest.objects[0].key.to_string();
        Self {
            data: memory.body(&key).unwrap(),
            index: memory.body(&format!("{key}.index.gz")).unwrap(),
            manifest: outcome.manifest,
        }
    }

    /// The objects of the same backup of another series at another time; three keys with their contents.
    pub fn at(&self, name: &str, time: Timestamp) -> [(String, bytes::Bytes); 3] {
        let key = layout().data_key(name, "here", time, "bin", "gz").unwrap();
        let mut manifest = self.manifest.clone();
        manifest.id = key.file_name().trim_end_matches(".bin.gz").to_owned();
        manifest.name = name.to_owned();
        manifest.started = time;
        manifest.finished = time;
        manifest.objects[0].key = key.clone();
        manifest.objects[1].key = key.with_suffix(".index.gz");
        [
            (key.to_string(), self.data.clone()),
            (format!("{key}.index.gz"), self.index.clone()),
            (format!("{key}.manifest.json"), manifest.to_json().unwrap().into()),
        ]
    }
}

/// `count` times, an hour apart.
pub fn times(count: i64) -> impl Iterator<Item = Timestamp> {
    let first: Timestamp = FIRST.parse().unwrap();
    (0..count).map(move |hour| first.checked_add(SignedDuration::from_hours(hour)).unwrap())
}

fn id(name: &str, time: Timestamp) -> String {
    format!("{name}_backup_{}", time.strftime("%Y%m%d_%H%M%S"))
}

#[test]
fn ten_thousand_backups_are_listed_in_order_and_the_newest_is_found() {
    const COUNT: i64 = 10_000;
    let memory = MemoryStore::new();
    let template = Template::new();
    for (number, time) in times(COUNT).enumerate() {
        // Every tenth is of a series whose name begins like the other's.
        let name = if number % 10 == 9 { "app_two" } else { "app" };
        for (key, body) in template.at(name, time) {
            memory.set_body(&key, body);
        }
    }
    let store: Arc<dyn Store> = Arc::new(memory);
    let (run, _) = run_at("2026-01-31T02:00:00Z");
    let began = Instant::now();
    let listed = list_all(&store, &run).unwrap();
    assert_eq!(listed.backups.len(), usize::try_from(COUNT).unwrap());
    assert!(listed.backups.windows(2).all(|pair| pair[0].time > pair[1].time));
    // Generous: a machine that is busy with other tests takes a few seconds.
    assert!(began.elapsed() < Duration::from_secs(60), "{:?}", began.elapsed());

    let limited = |name: Option<&str>, limit| {
        let options = ListOptions {
            name: name.map(str::to_owned),
            limit: Some(limit),
        };
        let report = list(&store, &layout(), &options, &run).unwrap();
        report.backups.into_iter().map(|backup| backup.id).collect::<Vec<_>>()
    };
    let all: Vec<String> = listed.backups.iter().map(|backup| backup.id.clone()).collect();
    assert_eq!(limited(None, 7), all[..7]);
    assert_eq!(limited(None, 0), Vec::<String>::new());
    let of_app: Vec<String> = all.iter().filter(|id| id.starts_with("app_backup")).cloned().collect();
    assert_eq!(limited(Some("app"), 12), of_app[..12]);

    let newest = times(COUNT).last().unwrap();
    let find = |reference: &str, choice: Choice<'_>| {
        let reference = BackupRef::parse(reference);
        choose(store.as_ref(), &layout(), &reference, &choice, &run.cancel)
            .unwrap()
            .found
            .id
    };
    assert_eq!(find("app_two@latest", Choice::default()), id("app_two", newest));
    assert_eq!(find("app@latest", Choice::default()), of_app[0]);
    assert_eq!(find("app@oldest", Choice::default()), id("app", FIRST.parse().unwrap()));
    let noon: Timestamp = "2020-06-01T12:30:00Z".parse().unwrap();
    let at = Choice {
        name: Some("app"),
        at: Some(noon),
    };
    let chosen = find("latest", at);
    assert!(
        chosen == "app_backup_20200601_120000" || chosen == "app_backup_20200601_110000",
        "{chosen}"
    );
    let one = "app_backup_20200301_05";
    assert!(read_back(&store, one, &run).is_ok_and(|content| content == b"small"));
}

#[test]
fn a_limited_list_reads_few_manifests() {
    let memory = MemoryStore::new();
    let template = Template::new();
    for time in times(2_000) {
        for (key, body) in template.at("app", time) {
            memory.set_body(&key, body);
        }
    }
    let faulty = backup_cli::store::faulty::FaultyStore::new(Arc::new(memory));
    let store: Arc<dyn Store> = Arc::new(faulty.clone());
    let (run, _) = run_at("2026-01-31T02:00:00Z");
    let options = ListOptions {
        name: None,
        limit: Some(3),
    };
    assert_eq!(list(&store, &layout(), &options, &run).unwrap().backups.len(), 3);
    assert!(faulty.calls(backup_cli::store::faulty::Method::Get) <= 4);
}

#[test]
fn two_thousand_backups_in_a_folder_are_listed_in_moderate_memory() {
    let cli = Cli::new();
    let store = cli.home().join("store");
    let template = Template::new();
    for time in times(2_000) {
        for (key, body) in template.at("app", time) {
            let path = store.join(key);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, body).unwrap();
        }
    }
    let cli = cli.env("BACKUP_STORE", &store);
    let mut run = cli.command(["list", "--json"]).start();
    let status = format!("/proc/{}/status", run.pid().as_raw_nonzero());
    let mut resident_kib = 0;
    while !run.has_ended() {
        resident_kib = resident_kib.max(peak_resident_kib(&status));
        std::thread::sleep(Duration::from_millis(2));
    }
    let outcome = run.wait().success();
    assert!(outcome.took() < Duration::from_secs(30), "{outcome}");
    assert!((1_000..100_000).contains(&resident_kib), "{resident_kib} KiB");
    let newest = id("app", times(2_000).last().unwrap());
    let outcome = cli.run(["list", "--limit", "1"]).success().stdout_has(&newest);
    assert!(!outcome.stdout().contains("app_backup_2020010"), "{outcome}");
    let target = cli.home().join("target.bin");
    let _ = cli
        .command(["restore", "latest", "--to", target.to_str().unwrap()])
        .run()
        .success()
        .stdout_has(&newest);
    assert_eq!(std::fs::read(target).unwrap(), b"small");
}

/// The most memory that a process ever had, in KiB; 0 if it has just ended.
pub fn peak_resident_kib(status: &str) -> u64 {
    std::fs::read_to_string(status)
        .ok()
        .and_then(|text| {
            let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
            line.trim().trim_end_matches(" kB").parse().ok()
        })
        .unwrap_or(0)
}

#[test]
fn a_bucket_of_more_than_a_page_of_keys_is_listed_whole() {
    const COUNT: i64 = 400;
    let bucket = Bucket::fresh();
    let template = Template::new();
    let all: Vec<(String, bytes::Bytes)> = times(COUNT).flat_map(|time| template.at("app", time)).collect();
    let store = super::store_contract::s3_store(&bucket.access, &bucket.name, Some("seaweedfs"));
    let put = |(key, body): &(String, bytes::Bytes)| {
        let options = backup_cli::store::PutOptions {
            role: backup_cli::store::Role::Data,
            token: "0123456789abcdef".to_owned(),
            content_type: "application/octet-stream",
            metadata: std::collections::BTreeMap::new(),
            lock: None,
        };
        store
            .put(&Key::new(format!("backups/{key}")), body.clone(), &options)
            .unwrap();
    };
    std::thread::scope(|scope| {
        for chunk in all.chunks(all.len().div_ceil(8)) {
            scope.spawn(|| chunk.iter().for_each(put));
        }
    });
    let cli = Cli::new().envs(bucket.environment());
    let listed = cli.run(["list", "--json"]).success();
    let newest = id("app", times(COUNT).last().unwrap());
    for time in [times(COUNT).next().unwrap(), times(COUNT).last().unwrap()] {
        assert!(listed.stdout().contains(&id("app", time)), "{listed}");
    }
    assert_eq!(
        listed.stdout().matches("\"complete\"").count(),
        usize::try_from(COUNT).unwrap()
    );
    let _ = cli.run(["list", "--limit", "2"]).success().stdout_has(&newest);
}
