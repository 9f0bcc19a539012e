//! `verify --level deep`: content that was damaged before it was stored, so that every digest is right; what lies in an
//! archive; and the entity tags of parts.

use std::sync::Arc;

use backup_cli::base::failure::{Failure, Kind};
use backup_cli::ops::Run;
use backup_cli::ops::verify::{Checked, Level, Reached, Subject, VerifyOptions, verify};
use backup_cli::store::Store;
use backup_cli::store::faulty::{Fault, FaultyStore, Method, When};
use backup_cli::store::memory::MemoryStore;

use crate::support::cli::Cli;
use crate::support::fault_s3::{FaultS3, Options};
use crate::support::library::{Bytes, back_up, find, options, run_at};
use crate::support::postgres::PostgresServer;
use crate::support::server::fresh_folder;
use crate::support::trees::{Noise, make_small_tree};

const LATER: &str = "2026-02-01T02:00:00Z";
const DATA: &str = "20260131/app_backup_20260131_020000.bin.gz";

fn stored(content: Vec<u8>, part_bytes: Option<u64>) -> (MemoryStore, Arc<dyn Store>) {
    let memory = MemoryStore::new();
    let store: Arc<dyn Store> = Arc::new(memory.clone());
    let (run, _) = run_at("2026-01-31T02:00:00Z");
    back_up(&store, Bytes::new(content), &options("app", part_bytes), &run).unwrap();
    (memory, store)
}

fn check(store: &Arc<dyn Store>, level: Level) -> Result<Checked, Failure> {
    let (run, _): (Run, _) = run_at(LATER);
    let chosen = find(store, "app_backup_20260131_020000", &run)?;
    let options = VerifyOptions {
        level,
        sample: None,
        client_folder: None,
        threads: 2,
    };
    let mut all = Vec::new();
    let subjects = vec![Subject::Chosen(Box::new(chosen))];
    verify(store, subjects, None, &options, &run, &mut |_, checked| {
        all.push(checked);
        Ok(())
    })?;
    all.pop().unwrap()
}

/// What only a look at the content finds.
fn is_found_by_deep_alone(content: Vec<u8>, words: &str) {
    let (_, store) = stored(content, None);
    for level in [Level::Quick, Level::Data] {
        assert_eq!(check(&store, level).unwrap().damage, [], "{words}, {level}");
    }
    let checked = check(&store, Level::Deep).unwrap();
    assert_eq!(
        (checked.reached, checked.damage_count),
        (Reached::Deep, 1),
        "{words}: {:?}",
        checked.remarks
    );
    assert!(checked.damage[0].what.contains(words), "{words}: {:?}", checked.damage);
}

fn database() -> Vec<u8> {
    let folder = fresh_folder("deep-sqlite");
    let path = folder.path().join("x.db");
    let connection = rusqlite::Connection::open(&path).unwrap();
    connection
        .execute_batch("BEGIN; CREATE TABLE t (a, b); CREATE INDEX i ON t (b);")
        .unwrap();
    let mut insert = connection.prepare("INSERT INTO t VALUES (?, ?)").unwrap();
    for number in 0..3000 {
        insert
            .execute((number, format!("row number {number} of the table")))
            .unwrap();
    }
    drop(insert);
    connection.execute_batch("COMMIT").unwrap();
    drop(connection);
    std::fs::read(path).unwrap()
}

#[test]
fn pages_of_a_database_that_were_damaged_before_they_were_stored_are_found() {
    let whole = database();
    let (_, store) = stored(whole.clone(), None);
    let checked = check(&store, Level::Deep).unwrap();
    assert_eq!(
        (checked.reached, checked.damage_count),
        (Reached::Deep, 0),
        "{:?}",
        checked.damage
    );
    let page_bytes = usize::from(u16::from_be_bytes([whole[16], whole[17]]));
    // A page of the table or the index, the header of one, half of the file.
    for page in [2, 5, whole.len() / page_bytes - 1] {
        let mut damaged = whole.clone();
        damaged[page * page_bytes..][..64].fill(0xff);
        is_found_by_deep_alone(damaged, "The database is damaged");
    }
    is_found_by_deep_alone(whole[..whole.len() / 2].to_vec(), "The database is damaged");
}

#[test]
fn an_archive_of_pg_dump_that_was_damaged_before_it_was_stored_is_found() {
    let server = PostgresServer::shared();
    let database = server.fresh_database();
    database.psql("CREATE TABLE t (a int, b text); INSERT INTO t SELECT g, repeat(md5(g::text), 4) FROM generate_series(1, 3000) g;");
    let cli = Cli::new();
    let store = cli.home().join("store");
    let store = store.to_str().unwrap();
    cli.run([
        "--store",
        store,
        "backup",
        &database.url(),
        "--format",
        "custom",
        "--name",
        "app",
    ])
    .success();
    let restored = cli.run(["--store", store, "restore", "latest", "--to", "-"]).success();
    let whole = restored.stdout_bytes().to_vec();
    assert!(whole.starts_with(b"PGDMP"));
    let (_, behind) = stored(whole.clone(), None);
    let checked = check(&behind, Level::Deep).unwrap();
    assert_eq!(
        (checked.reached, checked.damage_count),
        (Reached::Deep, 0),
        "{:?}",
        checked.remarks
    );
    // Cut in its data, and with a table of contents that names what cannot be.
    is_found_by_deep_alone(whole[..whole.len() - 1000].to_vec(), "The archive is not whole");
    let mut contents = whole;
    contents[40..90].fill(0xff);
    is_found_by_deep_alone(contents, "The archive is not whole");
}

#[test]
fn other_content_that_was_damaged_before_it_was_stored_is_found_and_whole_content_is_not() {
    let mut builder = tar::Builder::new(Vec::new());
    let mut header = tar::Header::new_gnu();
    header.set_size(5);
    header.set_mode(0o644);
    builder.append_data(&mut header, "www/a", &b"hello"[..]).unwrap();
    let archive = builder.into_inner().unwrap();
    let dump = "-- MariaDB dump 10.19\n\nCREATE TABLE `t` (a int);\n-- Dump completed\n";
    let shell = "PRAGMA foreign_keys=OFF;\nBEGIN TRANSACTION;\nCREATE TABLE t(a);\nCOMMIT;\n";
    let other = "CREATE TABLE t (a int);\nINSERT INTO t VALUES (1);\n";
    for whole in [
        archive.clone(),
        dump.into(),
        shell.into(),
        other.into(),
        Noise::new(1).bytes(3000),
    ] {
        let (_, store) = stored(whole.clone(), None);
        let checked = check(&store, Level::Deep).unwrap();
        let head = String::from_utf8_lossy(&whole[..whole.len().min(30)]).into_owned();
        assert_eq!((checked.damage, checked.is_incomplete), (Vec::new(), false), "{head}");
    }
    is_found_by_deep_alone(archive[..700].to_vec(), "");
    is_found_by_deep_alone(dump[..dump.len() - 10].into(), "The dump is not whole");
    is_found_by_deep_alone(shell[..shell.len() - 8].into(), "The dump is not whole");
    is_found_by_deep_alone(shell.replace("COMMIT", "ROLLBACK").into(), "The dump is not whole");
}

#[test]
fn what_lies_in_an_archive_is_told_as_such_and_is_no_damage() {
    // A store that says so only when the data is read.
    let (memory, _) = stored(Noise::new(1).bytes(50_000), None);
    let faulty = FaultyStore::new(Arc::new(memory));
    let store: Arc<dyn Store> = Arc::new(faulty.clone());
    for level in [Level::Data, Level::Deep] {
        faulty.heal();
        let (run, _) = run_at(LATER);
        let chosen = find(&store, "app@latest", &run).unwrap();
        // Behind the index, which is in no archive.
        let first = faulty.calls(Method::Get) + 2;
        faulty.fail(Method::Get, When::From(first), Fault::Before(Kind::Archived));
        let mut all = Vec::new();
        let options = VerifyOptions {
            level,
            sample: None,
            client_folder: None,
            threads: 1,
        };
        let subjects = vec![Subject::Chosen(Box::new(chosen))];
        verify(&store, subjects, None, &options, &run, &mut |_, checked| {
            all.push(checked);
            Ok(())
        })
        .unwrap();
        let checked = all.pop().unwrap().unwrap();
        assert_eq!(checked.damage, [], "{level}");
        assert!(checked.is_incomplete, "{level}");
        assert!(
            checked.remarks.iter().any(|remark| remark.contains("archive")),
            "{:?}",
            checked.remarks
        );
    }
}

#[test]
fn the_command_says_of_archived_data_that_it_was_not_read() {
    let server = FaultS3::with(Options::default());
    let bucket = server.bucket();
    let cli = Cli::new()
        .envs(server.environment(&bucket))
        .env("BACKUP_PATH_STYLE", "true");
    let tree = cli.home().join("www");
    make_small_tree(&tree);
    cli.run(["backup", tree.to_str().unwrap(), "--storage-class", "GLACIER"])
        .success();
    for level in ["data", "deep"] {
        let told = cli.run(["verify", "latest", "--level", level]).exits_with(3);
        assert!(told.stdout().contains("archive"), "{}", told.stdout());
        assert!(!told.stdout().contains("Damaged"), "{}", told.stdout());
    }
    let keys = server.keys(&bucket);
    assert!(!keys.iter().any(|key| key.contains(".damaged-")), "{keys:?}");
}

#[test]
fn the_entity_tag_of_parts_tells_whether_the_store_changed_what_it_held() {
    let (memory, store) = stored(Noise::new(1).bytes(1_000_000), Some(300_000));
    let etag_of = |memory: &MemoryStore| {
        memory
            .head(&backup_cli::store::Key::new(DATA))
            .unwrap()
            .unwrap()
            .etag
            .unwrap()
    };
    let etag = etag_of(&memory);
    assert!(etag.ends_with("-4"), "{etag}");
    let checked = check(&store, Level::Data).unwrap();
    assert!(
        !checked.remarks.iter().any(|remark| remark.contains("entity tag")),
        "{:?}",
        checked.remarks
    );
    // A bit decays: the store goes on saying what it computed when the parts came.
    let mut body = memory.body(DATA).unwrap().to_vec();
    body[500_000] ^= 1;
    memory.decay(DATA, body);
    assert_eq!(etag_of(&memory), etag);
    let checked = check(&store, Level::Data).unwrap();
    assert!(checked.is_damaged());
    let remark = checked
        .remarks
        .iter()
        .find(|remark| remark.contains("entity tag"))
        .unwrap();
    assert!(remark.contains("it has changed in the store"), "{remark}");
}
