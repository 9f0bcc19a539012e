//! What can go wrong with the temporary copy: no room, no disk, signals. Nothing of it is ever left.

use std::path::Path;

use rustix::process::Signal;

use super::session::{Folder, sqlite3};
use crate::support::cli::Cli;
use crate::support::place::{Place, PlaceKind, files_below};
use crate::support::server::fresh_folder;
use crate::support::system_tool;

/// Bytes of all files below a folder.
fn bytes_below(folder: &Path) -> u64 {
    files_below(folder)
        .iter()
        .map(|name| folder.join(name).metadata().map_or(0, |meta| meta.len()))
        .sum()
}

#[test]
fn a_copy_that_does_not_fit_is_told_before_it_is_begun() {
    let folder = Folder::with("wal");
    sqlite3(
        &folder.db(),
        "CREATE TABLE big AS SELECT randomblob(2000000) AS content",
    );
    let place = Place::fresh(PlaceKind::Folder);
    let small = fresh_folder("small");
    let mount = format!(
        "mount -t tmpfs -o size=1m tmpfs '{}'; exec \"$@\"",
        small.path().display()
    );
    let flags = if rustix::process::geteuid().is_root() {
        "-m"
    } else {
        "-rm"
    };
    let unshare = system_tool("unshare").display().to_string();
    let cli = place.cli().env("TMPDIR", small.path());
    let cli = cli.through([&unshare, flags, "/bin/sh", "-ec", &mount, "sh"]);
    for words in [&["backup", "--dry-run"][..], &["backup"]] {
        cli.run([words, &[&folder.text()]].concat())
            .exits_with(1)
            .stderr_has("There is no room in")
            .stderr_has("Point TMPDIR at a folder with more room");
    }
    assert_eq!(place.keys(), Vec::<String>::new());
    assert_eq!(folder.names(), ["app.db"]);
}

#[test]
fn a_disk_that_fills_up_or_fails_while_the_copy_is_made_ends_the_backup() {
    let place = Place::fresh(PlaceKind::Folder);
    std::fs::create_dir_all(place.store_folder()).unwrap();
    let strace = system_tool("strace").display().to_string();
    // Copied by SQLite, and, with a log and no shared memory, as a file.
    for (mode, call, number) in [("delete", "pwrite64", 3), ("wal", "copy_file_range", 1)] {
        for (error, hint) in [("ENOSPC", "Free some space"), ("EIO", "")] {
            let folder = Folder::with(mode);
            let before = folder.state();
            let temporary = fresh_folder("tmp");
            let cli = place.cli().env("TMPDIR", temporary.path()).through([
                strace.as_str(),
                "-f",
                "-qqq",
                "-o",
                "/dev/null",
                &format!("--trace={call}"),
                &format!("--inject={call}:error={error}:when={number}"),
                "--",
            ]);
            let run = cli.run(["backup", &folder.text()]).exits_with(1);
            assert!(run.stderr().contains(hint), "{run}");
            assert_eq!(files_below(temporary.path()), Vec::<String>::new());
            assert_eq!(place.leftovers(), Vec::<String>::new());
            assert_eq!(folder.state(), before);
        }
    }
}

/// A database whose upload takes long enough to be interrupted.
fn large() -> Folder {
    let folder = Folder::with("wal");
    sqlite3(
        &folder.db(),
        "CREATE TABLE big (content); WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 20)
         INSERT INTO big SELECT hex(randomblob(500000)) FROM n;",
    );
    folder
}

#[test]
fn the_temporary_copy_has_no_name_and_ends_with_the_run() {
    let folder = large();
    let before = folder.state();
    for (signal, code) in [(Signal::TERM, 130), (Signal::INT, 130), (Signal::KILL, 137)] {
        let place = Place::fresh(PlaceKind::Folder);
        let temporary = fresh_folder("tmp");
        let cli: Cli = place.cli().env("TMPDIR", temporary.path());
        let mut running = cli
            .command([
                "backup",
                &folder.text(),
                "--level",
                "12",
                "--threads",
                "1",
                "--part-size",
                "5MiB",
                "--parts-in-flight",
                "1",
            ])
            .start();
        running.wait_until("the upload has begun", |_| bytes_below(&place.store_folder()) > 0);
        assert_eq!(
            bytes_below(temporary.path()),
            0,
            "{signal:?}: the copy has no name while it is there"
        );
        running.signal(signal);
        let outcome = running.wait();
        assert_eq!(outcome.code(), code, "{outcome}");
        assert_eq!(bytes_below(temporary.path()), 0);
        if signal != Signal::KILL {
            assert_eq!(std::fs::read_dir(temporary.path()).unwrap().count(), 0, "{outcome}");
            assert_eq!(place.leftovers(), Vec::<String>::new());
        }
        assert_eq!(cli.run(["list", "--json"]).success().json(), serde_json::json!([]));
        assert_eq!(folder.state(), before);
    }
}
