//! What a copy holds, in every state in which a database can be found, and that the original stays as it is.

use std::os::unix::fs::PermissionsExt;
use std::time::{Duration, Instant};

use backup_cli::base::failure::Kind;
use backup_cli::catalog::index::EntryKind;
use backup_cli::source::sqlite::library_version;

use super::session::{Folder, SCHEMA, Session, ask, copy, copy_with, dump, dump_of, sqlite3};
use crate::support::cli::Cli;
use crate::support::server::fresh_folder;
use crate::support::system_tool;

#[test]
fn the_library_has_no_known_fault() {
    let version: Vec<u32> = library_version().split('.').map(|part| part.parse().unwrap()).collect();
    assert!(version >= vec![3, 51, 3], "{version:?}");
}

#[test]
fn a_database_that_nobody_uses_is_copied_without_a_trace() {
    for (mode, version) in [("delete", 1), ("truncate", 1), ("persist", 1), ("wal", 2)] {
        let folder = Folder::with(mode);
        let before = folder.state();
        let (copied, report) = copy(&folder.db()).unwrap();
        assert_eq!(folder.state(), before, "{mode}");
        assert_eq!(dump_of(&copied.bytes), dump(&folder.db()), "{mode}");
        assert_eq!(
            copied.bytes[18..20],
            [version; 2],
            "{mode}: the journal mode is the database's own"
        );
        assert_eq!(report.warnings, Vec::<String>::new());
        assert_eq!((report.counts.tables, report.counts.rows), (Some(2), Some(503)));
        let tables: Vec<_> = copied
            .entries
            .iter()
            .map(|entry| (entry.path.display(), entry.kind, entry.rows, entry.size > 0))
            .collect();
        assert_eq!(
            tables,
            [
                ("item".to_owned(), EntryKind::Table, Some(500), true),
                ("odd \"name".to_owned(), EntryKind::Table, Some(3), true)
            ]
        );
    }
}

#[test]
fn a_database_in_use_is_copied_and_stays_as_it_is() {
    for mode in ["wal", "delete", "persist"] {
        let folder = Folder::with(mode);
        let mut session = Session::open(&folder.db());
        session.run("PRAGMA wal_autocheckpoint=0; UPDATE item SET name = 'new' WHERE id <= 100;");
        // A transaction that is still open is in no copy.
        session.run("BEGIN; UPDATE item SET name = 'newer' WHERE id <= 50;");
        let before = folder.state();
        let (copied, _) = copy(&folder.db()).unwrap();
        assert_eq!(folder.state(), before, "{mode}");
        session.run("ROLLBACK;");
        assert_eq!(dump_of(&copied.bytes), session.run(".dump"), "{mode}");
        session.close();
        assert_eq!(
            ask(&folder.db(), "SELECT count(*) FROM item WHERE name = 'new'"),
            "100\n"
        );
    }
}

#[test]
fn what_a_crash_left_unfinished_is_finished_in_the_copy_alone() {
    // In mid-transaction, when pages of it are in the file already: the journal must be rolled back.
    let folder = Folder::with("delete");
    let committed = dump(&folder.db());
    let mut session = Session::open(&folder.db());
    session.run(
        "PRAGMA cache_size=5; PRAGMA cache_spill=5; BEGIN; UPDATE item SET content = randomblob(400), name = 'lost';",
    );
    session.kill();
    let before = folder.state();
    assert_eq!(folder.names(), ["app.db", "app.db-journal"]);
    let alone = fresh_folder("alone");
    let without_journal = alone.path().join("app.db");
    std::fs::copy(folder.db(), &without_journal).unwrap();
    let lost = ask(
        &without_journal,
        "SELECT count(*) FROM item NOT INDEXED WHERE name = 'lost'",
    );
    assert_ne!(lost, "0\n", "the file itself holds a part of the transaction");
    let (copied, _) = copy(&folder.db()).unwrap();
    assert_eq!(dump_of(&copied.bytes), committed);
    assert_eq!(folder.state(), before);

    // With a log that was never merged: with its shared memory, without it, and in a folder that nobody may write.
    let folder = Folder::with("wal");
    let mut session = Session::open(&folder.db());
    session.run("PRAGMA wal_autocheckpoint=0; UPDATE item SET name = 'kept'; CREATE TABLE late AS SELECT 1 AS one;");
    let committed = session.run(".dump");
    session.run("BEGIN; DELETE FROM item;");
    session.kill();
    assert_eq!(folder.names(), ["app.db", "app.db-shm", "app.db-wal"]);
    for with_shared_memory in [true, false] {
        if !with_shared_memory {
            std::fs::remove_file(folder.file("app.db-shm")).unwrap();
        }
        let before = folder.state();
        let (copied, _) = copy(&folder.db()).unwrap();
        assert_eq!(dump_of(&copied.bytes), committed, "{with_shared_memory}");
        assert_eq!(folder.state(), before, "{with_shared_memory}");
    }
}

#[test]
fn a_database_in_a_folder_that_cannot_be_written_is_copied() {
    for mode in ["wal", "delete"] {
        let folder = Folder::with(mode);
        let expected = dump(&folder.db());
        let place = fresh_folder("store");
        std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o555)).unwrap();
        std::fs::set_permissions(folder.db(), std::fs::Permissions::from_mode(0o444)).unwrap();
        let before = folder.state();
        let mut cli = Cli::new().env("BACKUP_STORE", place.path());
        if rustix::process::geteuid().is_root() {
            let setpriv = system_tool("setpriv").display().to_string();
            cli = cli.through([&setpriv, "--bounding-set=-dac_override,-dac_read_search", "--"]);
        }
        let _ = cli.run(["backup", &folder.text()]).success();
        let out = cli.run(["restore", "app@latest", "--to", "-"]).success();
        assert_eq!(dump_of(out.stdout_bytes()), expected, "{mode}");
        assert_eq!(folder.state(), before, "{mode}");
        std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
    }
}

#[test]
fn who_keeps_a_database_locked_is_named_after_a_bounded_wait() {
    for mode in ["wal", "delete"] {
        let folder = Folder::with(mode);
        let mut session = Session::open(&folder.db());
        session.run("PRAGMA locking_mode=EXCLUSIVE; BEGIN EXCLUSIVE; UPDATE item SET name = 'x' WHERE id = 1;");
        let began = Instant::now();
        let failure = copy_with(&folder.db(), Duration::from_millis(300), || ())
            .err()
            .expect("a failure");
        assert!(began.elapsed() < Duration::from_secs(10), "{:?}", began.elapsed());
        assert_eq!(failure.kind(), Kind::Source, "{failure:?}");
        assert!(failure.message().contains("locked"), "{failure:?}");
        let holder = format!("Process {} (`sqlite3`)", session.pid());
        assert!(failure.hints()[0].contains(&holder), "{:?}", failure.hints());

        // Who ends in time is waited for.
        let waiting = std::thread::spawn({
            let path = folder.db();
            move || copy_with(&path, Duration::from_secs(60), || ()).map(|(copied, _)| copied.bytes)
        });
        std::thread::sleep(Duration::from_millis(300));
        assert!(!waiting.is_finished());
        session.run("COMMIT;");
        session.close();
        let bytes = waiting.join().unwrap().unwrap();
        assert_eq!(dump_of(&bytes), dump(&folder.db()));
    }
}

#[test]
fn a_database_that_vanishes_before_it_is_read_is_told() {
    for mode in ["wal", "delete"] {
        let folder = Folder::with(mode);
        let failure = copy_with(&folder.db(), Duration::from_secs(1), || {
            std::fs::remove_file(folder.db()).unwrap();
        })
        .err()
        .expect("a failure");
        assert!(matches!(failure.kind(), Kind::Source | Kind::NotFound), "{failure:?}");
        assert_eq!(folder.names(), Vec::<String>::new());
    }
}

#[test]
fn a_damaged_database_is_no_backup() {
    // A page of the index is overwritten; reading the table would not show it.
    let folder = Folder::with("delete");
    let page: u64 = ask(
        &folder.db(),
        "SELECT pageno FROM dbstat WHERE name = 'item_name' AND pagetype = 'leaf' LIMIT 1",
    )
    .trim()
    .parse()
    .unwrap();
    let mut bytes = std::fs::read(folder.db()).unwrap();
    let start = (page as usize - 1) * 4096;
    for byte in &mut bytes[start + 200..start + 4000] {
        *byte ^= 0x55;
    }
    std::fs::write(folder.db(), &bytes).unwrap();
    let failure = copy(&folder.db()).err().expect("a failure");
    assert_eq!(failure.kind(), Kind::Source);
    assert!(failure.message().contains("damaged"), "{failure:?}");
    assert!(!failure.causes().is_empty() && failure.hints().iter().any(|hint| hint.contains(".recover")));

    // The file ends too early: in the header, after it, and in the middle.
    let whole = Folder::with("delete");
    let bytes = std::fs::read(whole.db()).unwrap();
    for length in [16, 60, 100, 4096, bytes.len() / 2, bytes.len() - 4096, bytes.len() - 1] {
        std::fs::write(whole.db(), &bytes[..length]).unwrap();
        let failure = copy(&whole.db())
            .err()
            .unwrap_or_else(|| panic!("{length} bytes are no database"));
        assert_eq!(failure.kind(), Kind::Source, "{length}: {failure:?}");
    }
}

#[test]
fn what_an_application_may_want_is_a_warning() {
    let folder = Folder::empty();
    sqlite3(
        &folder.db(),
        "CREATE TABLE parent (id INTEGER PRIMARY KEY); CREATE TABLE child (p REFERENCES parent (id));
         PRAGMA foreign_keys=OFF; INSERT INTO child VALUES (1), (2);
         CREATE TABLE rule (v CHECK (v > 0)); PRAGMA ignore_check_constraints=ON; INSERT INTO rule VALUES (-1);",
    );
    let (copied, report) = copy(&folder.db()).unwrap();
    assert_eq!(
        report.warnings,
        [
            "Rows break CHECK constraints of: rule. They are backed up as they are.",
            "In the table `child`, 2 rows refer to rows of `parent` that are not there.",
        ]
    );
    assert_eq!(report.problem_count, 0);
    let out = fresh_folder("out");
    let path = out.path().join("copy.db");
    std::fs::write(&path, &copied.bytes).unwrap();
    assert_eq!(ask(&path, ".dump"), ask(&folder.db(), ".dump"));
}

#[test]
fn what_only_the_application_can_read_is_backed_up_all_the_same() {
    let folder = Folder::with("delete");
    // A collation, a function and a module that nobody here has.
    sqlite3(
        &folder.db(),
        "PRAGMA writable_schema=ON;
         CREATE TABLE people (name TEXT); INSERT INTO people VALUES ('b'), ('a'); CREATE INDEX people_name ON people (name);
         UPDATE sqlite_schema SET sql = 'CREATE INDEX people_name ON people (name COLLATE icu_de)' WHERE name = 'people_name';
         INSERT INTO sqlite_schema VALUES ('table', 'far', 'far', 0, 'CREATE VIRTUAL TABLE far USING spellfix9()');",
    );
    let (copied, report) = copy(&folder.db()).unwrap();
    assert!(
        report
            .warnings
            .iter()
            .any(|warning| warning.contains("`people`") && warning.contains("icu_de")),
        "{:?}",
        report.warnings
    );
    assert_eq!(copied.bytes.len() as u64, folder.db().metadata().unwrap().len());
    // Of the other tables damage is still found.
    let page: usize = ask(
        &folder.db(),
        "SELECT pageno FROM dbstat WHERE name = 'item_name' AND pagetype = 'leaf' LIMIT 1",
    )
    .trim()
    .parse()
    .unwrap();
    let mut bytes = std::fs::read(folder.db()).unwrap();
    bytes[(page - 1) * 4096 + 200..(page - 1) * 4096 + 4000].fill(0x55);
    std::fs::write(folder.db(), &bytes).unwrap();
    let failure = copy(&folder.db()).err().expect("a failure");
    assert!(failure.message().contains("damaged"), "{failure:?}");
}

#[test]
fn odd_page_sizes_names_and_links_are_no_matter() {
    for page_bytes in [512, 1024, 65536] {
        let folder = Folder::empty();
        let path = folder.file("data ?#%20 ä.sqlite3");
        sqlite3(
            &path,
            &format!("PRAGMA page_size={page_bytes}; PRAGMA journal_mode=wal; {SCHEMA}"),
        );
        let link = folder.file("link");
        std::os::unix::fs::symlink(&path, &link).unwrap();
        let before = folder.state();
        let (copied, _) = copy(&link).unwrap();
        assert_eq!(dump_of(&copied.bytes), dump(&path));
        assert_eq!(folder.state(), before);
    }
}
