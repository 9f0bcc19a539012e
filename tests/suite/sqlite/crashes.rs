//! A restore that ends at any of its steps, by kill or by a system call that fails: what is there is the old database or
//! the new one, and never a mixture.

use std::collections::BTreeMap;
use std::path::Path;

use super::session::{Folder, Session, ask, dump, sqlite3};
use crate::round_trips::back_up;
use crate::support::cli::{Cli, Outcome};
use crate::support::place::{Place, PlaceKind};
use crate::support::server::fresh_folder;
use crate::support::system_tool;

/// The system calls that change files.
const CALLS: &str =
    "rename,renameat,renameat2,unlink,unlinkat,link,linkat,fsync,fdatasync,ftruncate,fchmod,fchown,pwrite64";

/// The old database, as an application that died left it: its last transactions in the log or its last one unfinished.
fn left_by_a_crash(mode: &str) -> (Folder, String) {
    let folder = Folder::with(mode);
    let mut session = Session::open(&folder.db());
    session.run("PRAGMA wal_autocheckpoint=0; CREATE TABLE late AS SELECT 1 AS one; UPDATE item SET name = 'old';");
    let old = session.run(".dump");
    session.run("PRAGMA cache_size=5; PRAGMA cache_spill=5; BEGIN; UPDATE item SET content = randomblob(400);");
    session.kill();
    assert!(folder.names().len() > 1, "{:?}", folder.names());
    (folder, old)
}

/// Puts the files back as they were; the content tells all.
fn arrange(folder: &Folder, files: &BTreeMap<String, Vec<u8>>) {
    for name in folder.names() {
        std::fs::remove_file(folder.file(&name)).unwrap();
    }
    for (name, content) in files {
        std::fs::write(folder.file(name), content).unwrap();
    }
}

fn traced(place: &Place, trace: &Path, options: &[&str]) -> Cli {
    let strace = system_tool("strace").display().to_string();
    let trace = trace.to_str().expect("a path");
    let mut words = vec![strace.as_str(), "-f", "--seccomp-bpf", "-qqq", "-o", trace];
    words.extend(options);
    words.push("--");
    place.cli().through(words)
}

fn restored(cli: &Cli, id: &str, folder: &Folder) -> Outcome {
    cli.run([
        "restore",
        id,
        "--to",
        &folder.text(),
        "--confirm",
        "--keep-replaced",
        "--no-safety-backup",
    ])
}

/// Ends a restore over a database with this journal mode at each of its steps, in each of the ways.
fn end_at_every_step(mode: &str) {
    let (folder, old) = left_by_a_crash(mode);
    let files: BTreeMap<String, Vec<u8>> = folder
        .names()
        .into_iter()
        .map(|name| (name.clone(), std::fs::read(folder.file(&name)).unwrap()))
        .collect();
    let source = Folder::with("wal");
    sqlite3(&source.db(), "UPDATE item SET name = 'new'");
    let new = dump(&source.db());
    let place = Place::fresh(PlaceKind::Folder);
    let id = back_up(&place.cli(), &[&source.text()]);
    let out = fresh_folder("trace");
    let trace = out.path().join("trace");

    // The steps of a restore that nothing befalls.
    let filter = format!("--trace={CALLS}");
    let _ = restored(&traced(&place, &trace, &[&filter]), &id, &folder).success();
    assert_eq!(dump(&folder.db()), new);
    let mut steps: BTreeMap<String, usize> = BTreeMap::new();
    let lines = std::fs::read_to_string(&trace).unwrap();
    // Only what happens in the folder counts; the rest is the tool's own state.
    for line in lines.lines() {
        let call = line.split_whitespace().nth(1).unwrap_or_default();
        let name = call.split('(').next().unwrap_or_default();
        if call.contains('(') {
            *steps.entry(name.to_owned()).or_default() += 1;
        }
    }
    assert!(steps.values().sum::<usize>() >= 8, "{lines}");
    assert!(
        steps.contains_key("fsync") || steps.contains_key("fdatasync"),
        "{lines}"
    );

    let (mut olds, mut news) = (0, 0);
    for (call, times) in &steps {
        for number in 1..=*times {
            for fate in ["signal=KILL", "error=EIO"] {
                arrange(&folder, &files);
                let inject = format!("--inject={call}:{fate}:when={number}");
                let outcome = restored(&traced(&place, &trace, &[&filter, &inject]), &id, &folder);
                let context = format!("{mode}: {call} {number} {fate}: {:?}\n{outcome}", folder.names());
                assert!(folder.db().exists(), "{context}");
                // Whoever opens it next recovers what it finds beside it, as an application would.
                let found = sqlite3(&folder.db(), ".dump");
                assert_eq!(sqlite3(&folder.db(), "PRAGMA integrity_check"), "ok\n", "{context}");
                match (found == old, found == new) {
                    (true, false) => {
                        olds += 1;
                        assert_ne!(outcome.code(), 0, "{context}");
                    }
                    (false, true) => news += 1,
                    _ => panic!("neither the old nor the new database\n{context}"),
                }
                if fate == "error=EIO" {
                    let left: Vec<_> = folder
                        .names()
                        .into_iter()
                        .filter(|name| name.starts_with(".backup-cli"))
                        .collect();
                    // A file that could not be removed is left; nothing else is.
                    assert!(left.is_empty() || call.starts_with("unlink"), "{left:?} {context}");
                }
            }
        }
    }
    assert!(
        olds > 0 && news > 0,
        "{olds} ended before the replacement, {news} behind it"
    );
}

#[test]
fn a_restore_that_ends_at_any_step_leaves_the_old_database_with_its_log_or_the_new_one() {
    end_at_every_step("wal");
}

#[test]
fn a_restore_that_ends_at_any_step_leaves_the_old_database_with_its_journal_or_the_new_one() {
    end_at_every_step("delete");
}

#[test]
fn the_log_of_the_old_database_is_never_applied_to_the_new_one() {
    let (folder, old) = left_by_a_crash("wal");
    let source = Folder::with("wal");
    sqlite3(
        &source.db(),
        "UPDATE item SET name = 'new'; DELETE FROM \"odd \"\"name\"",
    );
    let new = dump(&source.db());
    let place = Place::fresh(PlaceKind::Folder);
    let id = back_up(&place.cli(), &[&source.text()]);
    let log = std::fs::read(folder.file("app.db-wal")).unwrap();
    let _ = restored(&place.cli(), &id, &folder).success();
    assert_eq!(sqlite3(&folder.db(), ".dump"), new);
    // Had it been left, this is what would have become of it: the danger is real.
    std::fs::copy(source.db(), folder.db()).unwrap();
    std::fs::write(folder.file("app.db-wal"), log).unwrap();
    assert_ne!(
        ask(&folder.db(), "SELECT count(*) FROM sqlite_schema WHERE name = 'late'"),
        "0\n"
    );
    assert_ne!(new, old);
}
