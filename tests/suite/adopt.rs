//! `adopt`: objects that something else made become backups, if they are whole.

use std::io::Write;
use std::sync::Arc;

use backup_cli::base::failure::{Failure, Kind};
use backup_cli::catalog::layout::Layout;
use backup_cli::catalog::manifest::TimeFrom;
use backup_cli::ops::Run;
use backup_cli::ops::adopt::{AdoptOptions, AdoptOutcome, adopt};
use backup_cli::ops::list::ListedState;
use backup_cli::ops::verify::{Checked, Level, Subject, VerifyOptions, verify};
use backup_cli::pipeline::crypt::{Keys, KeysOptions, Recipients, Sealer, generate_identity};
use backup_cli::store::faulty::{Fault, FaultyStore, Method, When};
use backup_cli::store::memory::MemoryStore;
use backup_cli::store::{Key, Store};

use crate::support::cli::Cli;
use crate::support::library::{Bytes, back_up, find, layout, list_all, options, read_back, run_at};
use crate::support::server::fresh_folder;
use crate::support::trees::{Noise, make_small_tree};

const LATER: &str = "2026-02-01T02:00:00Z";
const DUMP: &str = "--\n-- PostgreSQL database dump\n--\n\nCREATE TABLE public.t (a integer);\n\n--\n-- Data for Name: t; Type: TABLE DATA; Schema: public; Owner: me\n--\n\nCOPY public.t (a) FROM stdin;\n1\n2\n\\.\n\n\n--\n-- PostgreSQL database dump complete\n--\n\n";

fn gz(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn zst(bytes: &[u8]) -> Vec<u8> {
    zstd::stream::encode_all(bytes, 1).unwrap()
}

/// An archive of some files, by another program's hand.
fn tar() -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    for (name, content) in [("www/a", Noise::new(1).bytes(3000)), ("www/b", b"hello".to_vec())] {
        let mut header = tar::Header::new_gnu();
        header.set_size(content.len() as u64);
        header.set_mode(0o644);
        header.set_mtime(1_700_000_000);
        builder.append_data(&mut header, name, content.as_slice()).unwrap();
    }
    builder.into_inner().unwrap()
}

fn sqlite() -> Vec<u8> {
    let folder = fresh_folder("adopt-sqlite");
    let path = folder.path().join("x.db");
    let connection = rusqlite::Connection::open(&path).unwrap();
    connection
        .execute_batch("BEGIN; CREATE TABLE t (a); CREATE INDEX i ON t (a);")
        .unwrap();
    for number in 0..2000 {
        connection
            .execute("INSERT INTO t VALUES (?)", [format!("row number {number}")])
            .unwrap();
    }
    connection.execute_batch("COMMIT").unwrap();
    drop(connection);
    std::fs::read(path).unwrap()
}

fn adopt_options(name: Option<&str>, layout: Layout) -> AdoptOptions {
    AdoptOptions {
        name: name.map(str::to_owned),
        layout,
        is_dry_run: false,
        client_folder: None,
        threads: 2,
        memory_bytes: 64 << 20,
        lock_folder: options("locks", None).lock_folder,
        lock_timeout: std::time::Duration::ZERO,
    }
}

fn adopted(store: &Arc<dyn Store>, key: &str, run: &Run) -> Result<AdoptOutcome, Failure> {
    adopt(store, &Key::new(key), &adopt_options(None, layout()), run)
}

fn memory() -> (MemoryStore, Arc<dyn Store>) {
    let memory = MemoryStore::new();
    (memory.clone(), Arc::new(memory))
}

fn check(store: &Arc<dyn Store>, id: &str, level: Level, run: &Run) -> Result<Checked, Failure> {
    let chosen = find(store, id, run)?;
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
    })?;
    all.pop().unwrap()
}

#[test]
fn what_scripts_have_left_becomes_a_backup_and_stays_as_it_was() {
    for (file, stored, plain, kind, entries) in [
        ("sql.gz", gz(DUMP.as_bytes()), DUMP.as_bytes().to_vec(), "sql", 1),
        ("sql", DUMP.as_bytes().to_vec(), DUMP.as_bytes().to_vec(), "sql", 1),
        ("tar.gz", gz(&tar()), tar(), "tar", 2),
        ("tar", tar(), tar(), "tar", 2),
        ("tgz", gz(&tar()), tar(), "tar", 2),
        ("tar.zst", zst(&tar()), tar(), "tar", 2),
        ("sqlite.gz", gz(&sqlite()), sqlite(), "sqlite", 1),
        (
            "rdb.gz",
            gz(&Noise::new(2).bytes(70_000)),
            Noise::new(2).bytes(70_000),
            "rdb",
            0,
        ),
    ] {
        let (memory, store) = memory();
        let (run, _) = run_at(LATER);
        let key = format!("20250128/shop_backup_20250128_143000.{file}");
        memory.set_body(&key, stored.clone());
        let outcome = adopted(&store, &key, &run).unwrap();
        assert_eq!((outcome.entries, outcome.is_remade), (entries, false), "{file}");
        let manifest = &outcome.manifest;
        assert_eq!(
            (manifest.name.as_str(), manifest.extension.as_str()),
            ("shop", kind),
            "{file}"
        );
        assert_eq!(manifest.started, "2025-01-28T14:30:00Z".parse().unwrap(), "{file}");
        assert_eq!(manifest.adopted.as_ref().unwrap().time_from, TimeFrom::Name, "{file}");
        assert_eq!(memory.body(&key).unwrap(), stored, "{file}");
        let listed = list_all(&store, &run).unwrap();
        assert_eq!(listed.backups[0].state, ListedState::Complete, "{file}");
        assert!(read_back(&store, "shop@latest", &run).unwrap() == plain, "{file}");
        for level in [Level::Quick, Level::Data, Level::Deep] {
            let checked = check(&store, "shop@latest", level, &run).unwrap();
            assert_eq!(checked.damage, [], "{file}, {level}");
            assert!(!checked.is_incomplete, "{file}, {level}: {:?}", checked.remarks);
        }
        // Once is enough.
        assert_eq!(adopted(&store, &key, &run).unwrap_err().kind(), Kind::Usage, "{file}");
        // And what happens to it afterwards is damage.
        let mut body = stored.clone();
        let middle = body.len() / 2;
        body[middle] ^= 1;
        memory.set_body(&key, body);
        assert!(
            check(&store, "shop@latest", Level::Data, &run).unwrap().is_damaged(),
            "{file}"
        );
    }
}

#[test]
fn what_is_cut_short_or_damaged_is_refused_and_nothing_is_written() {
    let half = |bytes: &[u8]| bytes[..bytes.len() / 2].to_vec();
    let mut bad_database = sqlite();
    // The middle of a page of rows, which nothing but SQLite itself notices.
    let middle = bad_database.len() / 2;
    bad_database[middle..middle + 2000].fill(0xff);
    let mut bad_checksum = gz(DUMP.as_bytes());
    let end = bad_checksum.len() - 6;
    bad_checksum[end] ^= 1;
    let tar_half = tar()[..2000].to_vec();
    for (file, stored) in [
        ("sql.gz", half(&gz(DUMP.as_bytes()))),
        ("sql.gz", gz(&DUMP.as_bytes()[..DUMP.len() - 30])),
        ("sql.gz", bad_checksum),
        ("sql", DUMP.as_bytes()[..DUMP.len() - 30].to_vec()),
        ("tar.gz", gz(&tar_half)),
        ("tar.zst", half(&zst(&tar()))),
        ("sqlite.gz", gz(&bad_database)),
        ("sqlite", half(&sqlite())),
        ("sql.gz", gz(b"")),
        ("sql", Vec::new()),
        ("sql.gz", [gz(DUMP.as_bytes()), b"garbage".to_vec()].concat()),
    ] {
        let (memory, store) = memory();
        let (run, _) = run_at(LATER);
        let key = format!("20250128/shop_backup_20250128_143000.{file}");
        memory.set_body(&key, stored);
        let failure = adopted(&store, &key, &run).unwrap_err();
        assert_eq!(failure.kind(), Kind::Damaged, "{file}: {failure:?}");
        assert_eq!(memory.keys(), [key], "{file}");
    }
}

#[test]
fn a_key_that_listings_of_the_series_would_not_find_is_refused() {
    let (memory, store) = memory();
    let (run, _) = run_at(LATER);
    for key in ["nightly/shop.sql.gz", "nightly/www-20250128.tar.gz"] {
        memory.set_body(key, gz(DUMP.as_bytes()));
    }
    let named = |key: &str, name: &str| adopt(&store, &Key::new(key), &adopt_options(Some(name), layout()), &run);
    assert_eq!(named("nightly/shop.sql.gz", "store").unwrap_err().kind(), Kind::Usage);
    let by_name = Layout::new("", "{name}/{date}_{time}", Default::default()).unwrap();
    let elsewhere = adopt(
        &store,
        &Key::new("nightly/shop.sql.gz"),
        &adopt_options(Some("shop"), by_name),
        &run,
    );
    assert_eq!(elsewhere.unwrap_err().kind(), Kind::Usage);
    assert_eq!(
        named("nightly/shop.sql.gz.index.gz", "shop").unwrap_err().kind(),
        Kind::Usage
    );
    assert_eq!(named("nightly/none.sql.gz", "none").unwrap_err().kind(), Kind::NotFound);
    // Without a time in its name that of its last change counts.
    let outcome = named("nightly/shop.sql.gz", "shop").unwrap();
    assert_eq!(outcome.manifest.adopted.unwrap().time_from, TimeFrom::Modified);
    assert!(outcome.remarks.iter().any(|remark| remark.contains("tells no time")));
    assert_eq!(find(&store, "shop@latest", &run).unwrap().found.id, "shop");
    assert!(find(&store, "shop@latest", &run).unwrap().manifest.is_some());
    // A day is a time.
    let key = Key::new("nightly/www-20250128.tar.gz");
    let outcome = adopt(&store, &key, &adopt_options(None, layout()), &run).unwrap();
    assert_eq!(outcome.manifest.name, "www");
    assert_eq!(outcome.manifest.started.to_string(), "2025-01-28T00:00:00Z");
    assert!(outcome.remarks.iter().any(|remark| remark.contains("tells the day")));
    assert!(find(&store, "www@latest", &run).unwrap().manifest.is_some());
}

#[test]
fn what_is_encrypted_is_adopted_with_its_key_alone() {
    let (secret, public) = generate_identity();
    let mut sealer = Sealer::new(Vec::new(), Some(&Recipients::of_keys(&[&public.0]).unwrap())).unwrap();
    sealer.write_all(&gz(&tar())).unwrap();
    let stored = sealer.finish().unwrap();
    let (memory, store) = memory();
    let key = "20250128/www_backup_20250128_143000.tar.gz.age";
    memory.set_body(key, stored);
    let (mut run, _) = run_at(LATER);
    assert_eq!(adopted(&store, key, &run).unwrap_err().kind(), Kind::WrongKey);
    assert_eq!(memory.keys().len(), 1);
    let folder = fresh_folder("adopt-key");
    let path = folder.path().join("key.txt");
    std::fs::write(&path, secret.expose()).unwrap();
    run.keys = Keys::new(KeysOptions {
        identity_files: vec![path],
        ..KeysOptions::default()
    });
    let outcome = adopted(&store, key, &run).unwrap();
    assert_eq!(outcome.manifest.recipients, [public.0]);
    assert!(read_back(&store, "www@latest", &run).unwrap() == tar());
    let checked = check(&store, "www@latest", Level::Deep, &run).unwrap();
    assert_eq!(checked.damage, []);
    // The index names files, so it is encrypted, too.
    let index = memory.body(&format!("{key}.index.gz.age")).unwrap();
    assert!(index.starts_with(b"age-encryption.org/"));
}

#[test]
fn a_damaged_manifest_of_our_own_is_made_anew() {
    for streams in [1, 3] {
        let (memory, store) = memory();
        let (run, _) = run_at("2026-01-31T02:00:00Z");
        let source = Bytes {
            streams,
            ..Bytes::new(DUMP)
        };
        let outcome = back_up(&store, source, &options("app", None), &run).unwrap();
        let (run, _) = run_at(LATER);
        let manifest_key = outcome.manifest_key.as_str();
        let whole = memory.body(manifest_key).unwrap();
        let data_key = outcome.manifest.objects[0].key.clone();
        for damage in ["cut", "flipped", "empty"] {
            let mut body = whole.to_vec();
            match damage {
                "cut" => body.truncate(200),
                "flipped" => body[150] ^= 1,
                _ => body.clear(),
            }
            memory.set_body(manifest_key, body);
            let outcome = adopt(&store, &data_key, &adopt_options(None, layout()), &run).unwrap();
            assert!(outcome.is_remade, "{damage}");
            assert!(
                outcome.remarks.iter().any(|remark| remark.contains("is lost")),
                "{damage}"
            );
            assert_eq!(
                read_back(&store, "app@latest", &run).unwrap(),
                DUMP.as_bytes(),
                "{damage}"
            );
            let checked = check(&store, "app@latest", Level::Deep, &run).unwrap();
            assert_eq!(checked.damage, [], "{damage}");
        }
    }
}

#[test]
fn a_manifest_that_was_taken_keeps_its_index_however_often_the_store_denies_it() {
    let key = "20250128/www_backup_20250128_143000.tar.gz";
    // The looks at the manifest, the object, and the index come before; and there is an end.
    for nth in 1..=8 {
        let (memory, behind) = memory();
        memory.set_body(key, gz(&tar()));
        let faulty = FaultyStore::new(behind.clone());
        let store: Arc<dyn Store> = Arc::new(faulty.clone());
        faulty.fail(Method::Head, When::From(nth), Fault::Lie);
        let (run, _) = run_at(LATER);
        let outcome = adopted(&store, key, &run);
        let has = |suffix: &str| memory.keys().contains(&format!("{key}{suffix}"));
        assert!(
            has(".index.gz") || !has(".manifest.json"),
            "look {nth}: {:?}",
            outcome.as_ref().err()
        );
        if outcome.is_ok() {
            assert!(read_back(&behind, "www@latest", &run).unwrap() == tar(), "look {nth}");
        }
    }
}

#[test]
fn an_object_that_is_told_to_be_another_one_is_looked_at_again() {
    let key = "20250128/www_backup_20250128_143000.tar.gz";
    let (memory, behind) = memory();
    memory.set_body(key, gz(&tar()));
    let faulty = FaultyStore::new(behind.clone());
    let store: Arc<dyn Store> = Arc::new(faulty.clone());
    faulty.fail_nth(Method::Head, 2, Fault::Lie);
    let (run, _) = run_at(LATER);
    let outcome = adopted(&store, key, &run).unwrap();
    assert_eq!(outcome.manifest.objects[0].bytes, gz(&tar()).len() as u64);
    // While it is read, it becomes another one of the same length.
    let (memory, behind) = self::memory();
    memory.set_body(key, gz(&tar()));
    let faulty = FaultyStore::new(behind);
    let store: Arc<dyn Store> = Arc::new(faulty.clone());
    let behind_its_back = memory.clone();
    let other = gz(&tar()).len();
    let change = move || behind_its_back.set_body(key, vec![7; other]);
    faulty.fail_nth(Method::Get, 1, Fault::Hook(Arc::new(change)));
    assert!(adopted(&store, key, &run).is_err());
    assert_eq!(memory.keys(), [key]);
}

#[test]
fn an_index_that_may_be_right_is_never_gone_while_a_damaged_manifest_is_made_anew() {
    for (method, fault) in [
        (Method::ReplaceIf, Fault::Before(Kind::Unreachable)),
        (Method::StartUpload, Fault::Before(Kind::Unreachable)),
        (Method::Put, Fault::Before(Kind::Denied)),
    ] {
        for nth in 1..=2 {
            let (memory, behind) = memory();
            let (run, _) = run_at("2026-01-31T02:00:00Z");
            let outcome = back_up(&behind, Bytes::new(DUMP), &options("app", None), &run).unwrap();
            let (run, _) = run_at(LATER);
            let [data, index] = [0, 1].map(|place| outcome.manifest.objects[place].key.clone());
            memory.set_body(outcome.manifest_key.as_str(), b"{".to_vec());
            let faulty = FaultyStore::new(behind.clone());
            let store: Arc<dyn Store> = Arc::new(faulty.clone());
            faulty.fail_nth(method, nth, fault.clone());
            let adopt_it = |store| adopt(store, &data, &adopt_options(None, layout()), &run);
            let failed = adopt_it(&store).is_err();
            assert_eq!(failed, method == Method::ReplaceIf, "call {nth} of {method:?}");
            assert_eq!(faulty.calls(Method::Delete), 0, "call {nth} of {method:?}");
            assert!(memory.body(index.as_str()).is_some(), "call {nth} of {method:?}");
            if failed {
                let _ = adopt_it(&behind).unwrap();
            }
            let checked = check(&behind, "app@latest", Level::Deep, &run).unwrap();
            assert_eq!(checked.damage, [], "call {nth} of {method:?}");
        }
    }
}

#[test]
fn data_of_a_run_that_never_committed_is_adopted_only_if_its_end_is_proved() {
    for (content, kind) in [
        (DUMP.as_bytes().to_vec(), None),
        (Noise::new(4).bytes(9000), Some(Kind::Refused)),
    ] {
        let (memory, store) = memory();
        let (run, _) = run_at("2026-01-31T02:00:00Z");
        let then: Arc<dyn Store> = Arc::new(memory.clone().with_clock(run.clock.clone()));
        let outcome = back_up(&then, Bytes::new(content), &options("app", None), &run).unwrap();
        let key = outcome.manifest.objects[0].key.clone();
        store.delete(&outcome.manifest_key).unwrap();
        store.delete(&outcome.manifest.objects[1].key).unwrap();
        // The run may be about to commit it.
        let (soon, _) = run_at("2026-01-31T02:05:00Z");
        let young = adopt(&store, &key, &adopt_options(None, layout()), &soon).unwrap_err();
        assert_eq!(young.kind(), Kind::Refused);
        let (later, _) = run_at(LATER);
        let outcome = adopt(&store, &key, &adopt_options(None, layout()), &later);
        assert_eq!(outcome.err().map(|failure| failure.kind()), kind);
    }
}

#[test]
fn an_adoption_that_fails_at_any_call_leaves_the_object_and_no_backup_that_is_none() {
    let key = "20250128/www_backup_20250128_143000.tar.gz";
    for fault in [
        Fault::Before(Kind::Unreachable),
        Fault::After(Kind::Unreachable),
        Fault::Lie,
    ] {
        for method in [
            Method::Put,
            Method::StartUpload,
            Method::PutPart,
            Method::Complete,
            Method::Get,
            Method::Head,
            Method::List,
        ] {
            if matches!((method, &fault), (Method::Get, Fault::After(_))) {
                continue;
            }
            for nth in 1.. {
                let (memory, behind) = memory();
                memory.set_body(key, gz(&tar()));
                let faulty = FaultyStore::new(behind.clone());
                let store: Arc<dyn Store> = Arc::new(faulty.clone());
                faulty.fail_nth(method, nth, fault.clone());
                let (run, _) = run_at(LATER);
                let outcome = adopted(&store, key, &run);
                let what = format!("call {nth} of {method:?}: {fault:?}: {:?}", outcome.as_ref().err());
                assert_eq!(memory.body(key).unwrap(), gz(&tar()), "{what}");
                let listed = list_all(&behind, &run).unwrap();
                assert_eq!(listed.backups.len(), 1, "{what}");
                match listed.backups[0].state {
                    ListedState::Complete => {
                        assert!(read_back(&behind, "www@latest", &run).unwrap() == tar(), "{what}")
                    }
                    state => {
                        assert_eq!(state, ListedState::Unmanaged, "{what}");
                        assert!(outcome.is_err(), "{what}");
                        adopted(&behind, key, &run).unwrap();
                    }
                }
                if faulty.calls(method) < nth {
                    assert!(outcome.is_ok(), "{what}");
                    break;
                }
            }
        }
    }
}

#[test]
fn the_command_adopts_what_list_shows_and_a_part_of_it_is_restored() {
    let cli = Cli::new();
    let store = cli.home().join("store");
    std::fs::create_dir_all(store.join("20250128")).unwrap();
    let path = store.join("20250128/www_backup_20250128_143000.tar.gz");
    make_small_tree(&cli.home().join("www"));
    std::fs::write(&path, gz(&tar())).unwrap();
    let text = store.to_str().unwrap();
    let dry = cli
        .run(["--store", text, "adopt", path.to_str().unwrap(), "--dry-run", "--json"])
        .success()
        .json();
    assert_eq!(
        (&dry["name"], &dry["entries"], &dry["time_from"]),
        (&"www".into(), &2.into(), &"name".into())
    );
    cli.run(["--store", text, "adopt", "www_backup_20250128_143000"])
        .success()
        .stdout_has("was adopted");
    cli.run(["--store", text, "show", "latest"])
        .success()
        .stdout_has("adopted");
    cli.run(["--store", text, "ls", "latest"]).success().stdout_has("www/b");
    let target = cli.home().join("back");
    cli.run([
        "--store",
        text,
        "restore",
        "latest",
        "www/b",
        "--to",
        target.to_str().unwrap(),
    ])
    .success();
    assert_eq!(std::fs::read(target.join("www/b")).unwrap(), b"hello");
    cli.run([
        "--store",
        text,
        "prune",
        "--name",
        "www",
        "--keep-last",
        "1",
        "--dry-run",
    ])
    .success()
    .stdout_has("www_backup_20250128_143000");
}
