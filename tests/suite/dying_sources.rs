//! Sources that die, at any point and in any way: no backup is listed, and nothing of the run is left.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::round_trips::back_up;
use crate::support::cli::{Cli, Outcome};
use crate::support::place::{Place, PlaceKind, files_below};
use crate::support::postgres::{Database, PASSWORD, PostgresServer, server_programs};
use crate::support::server::fresh_folder;
use crate::support::trees::Noise;

/// Stands before the real `pg_dump` in `PATH`: lets so many bytes through, then ends as told.
///
/// With `GATE` it waits after those bytes until a file of that name is there, lets the rest through, and ends as the
/// real one did.
const PG_DUMP: &str = r#"#!/bin/bash
set -o pipefail
for argument in "$@"; do
    [ "$argument" = --version ] && exec "$REAL_PG_DUMP" --version
done
if [ -n "$GATE" ]; then
    "$REAL_PG_DUMP" "$@" | { head -c "$CUT"; : >"$GATE.reached"; until [ -e "$GATE" ]; do sleep 0.01; done; exec cat; }
    exit
fi
if [ "$CUT" = whole ]; then "$REAL_PG_DUMP" "$@"; else "$REAL_PG_DUMP" "$@" 2>/dev/null | head -c "$CUT"; fi
[ -n "$LAST_WORDS" ] && echo "$LAST_WORDS" >&2
case $END in
    signal-*) kill -s "${END#signal-}" $$ ;;
    *) exit "$END" ;;
esac
"#;

const LAST_WORDS: &str = "pg_dump: error: connection to server was lost";

/// A user whose first `pg_dump` is [`PG_DUMP`], and whose temporary files can be counted.
struct Victim {
    cli: Cli,
    folder: tempfile::TempDir,
}

impl Victim {
    fn of(place: &Place) -> Self {
        let folder = fresh_folder("victim");
        let programs = folder.path().join("bin");
        std::fs::create_dir_all(&programs).expect("a folder");
        std::fs::create_dir_all(folder.path().join("tmp")).expect("a folder");
        script(&programs.join("pg_dump"), PG_DUMP);
        // The first backup that succeeds would make it; without one there would be nothing to list.
        std::fs::create_dir_all(place.store_folder()).expect("a folder");
        let path = std::env::var("PATH").expect("a PATH");
        let cli = place
            .cli()
            .env("PATH", format!("{}:{path}", programs.display()))
            .env("REAL_PG_DUMP", real_pg_dump())
            .env("TMPDIR", folder.path().join("tmp"));
        Self { cli, folder }
    }

    fn dump(&self, url: &str, cut: &str, end: &str) -> Outcome {
        self.dump_as(&[], url, cut, end)
    }

    fn dump_as(&self, options: &[&str], url: &str, cut: &str, end: &str) -> Outcome {
        self.cli
            .command(["backup", url, "--part-size", "5MiB"].iter().chain(options))
            .env("CUT", cut)
            .env("END", end)
            .env("LAST_WORDS", if end == "0" { "" } else { LAST_WORDS })
            .run()
    }

    /// Nothing is listed, and nothing is left, neither in the place nor in this user's folders.
    #[track_caller]
    fn nothing_is_left(&self, place: &Place, why: &Outcome) {
        assert_eq!(place.leftovers(), Vec::<String>::new(), "{why}");
        assert_eq!(
            files_below(&self.folder.path().join("tmp")),
            Vec::<String>::new(),
            "{why}"
        );
        let listed = self.cli.run(["list", "--json"]).success();
        assert_eq!(listed.json(), serde_json::json!([]), "{why}");
    }
}

fn real_pg_dump() -> PathBuf {
    server_programs().join("pg_dump")
}

fn script(path: &Path, text: &str) {
    std::fs::write(path, text).expect("the script is written");
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755)).expect("its mode");
}

/// Places in a dump of a small database where it may end.
fn cuts(dump: &str) -> Vec<usize> {
    let find = |what: &str| dump.find(what).unwrap_or_else(|| panic!("`{what}` is in the dump"));
    let copy = find("COPY public.t");
    let end_of_copy = copy + dump[copy..].find("\n\\.\n").expect("the end of the rows") + 1;
    let marker = find("-- PostgreSQL database dump complete");
    let mut cuts = vec![
        0,
        1,
        // In the header.
        30,
        find("SET statement_timeout"),
        // In a statement, in a quoted body, in the rows, at the end of the rows.
        find("CREATE TABLE") + 9,
        find("$$") + 10,
        copy + 4,
        copy + 40,
        end_of_copy,
        end_of_copy + 2,
        end_of_copy + 3,
        // Between statements, where nothing is open.
        find("ALTER TABLE ONLY public.t") - 1,
        marker - 3,
        marker,
        marker + 24,
    ];
    if let Some(unrestrict) = dump.find("\\unrestrict ") {
        cuts.extend([unrestrict - 1, unrestrict + 5, unrestrict + 20]);
    }
    cuts.extend((1..12).map(|part| dump.len() * part / 12));
    cuts.retain(|cut| *cut < dump.len() - 80);
    cuts.sort_unstable();
    cuts.dedup();
    cuts
}

fn small_database() -> Database {
    let database = Database::fresh();
    database.psql(
        "CREATE TABLE t (id int PRIMARY KEY, v text); INSERT INTO t SELECT n, repeat('v', n) FROM generate_series(1, 40) n;
         CREATE FUNCTION f() RETURNS int LANGUAGE plpgsql AS $$ BEGIN RETURN 1; END $$;",
    );
    database
}

fn whole_dump(database: &Database) -> String {
    let output = PostgresServer::shared()
        .program("pg_dump")
        .args(["-w", "-d", &database.name])
        .env("PGPASSWORD", PASSWORD)
        .output()
        .expect("pg_dump starts");
    assert!(output.status.success());
    String::from_utf8(output.stdout).expect("a dump in UTF-8")
}

#[test]
fn a_dump_cut_anywhere_with_exit_0_leaves_nothing() {
    let database = small_database();
    let place = Place::fresh(PlaceKind::Folder);
    let victim = Victim::of(&place);
    for cut in cuts(&whole_dump(&database)) {
        let run = victim
            .dump(&database.url(), &cut.to_string(), "0")
            .exits_with(1)
            .nowhere(PASSWORD);
        assert!(run.stderr().contains("Error: "), "{run}");
        victim.nothing_is_left(&place, &run);
    }
    // The same user's next run, with the whole dump, is a backup.
    victim.dump(&database.url(), "whole", "0").success();
    assert_eq!(place.keys().len(), 3);
}

#[test]
fn a_dump_that_ends_badly_leaves_nothing_and_its_last_words_are_shown() {
    let database = small_database();
    let length = whole_dump(&database).len().to_string();
    for place in Place::both() {
        let victim = Victim::of(&place);
        for (cut, end, words) in [
            ("0", "1", "exit status 1"),
            ("700", "1", "exit status 1"),
            ("1500", "signal-KILL", "signal 9"),
            ("1500", "signal-SEGV", "signal 11"),
            // Every byte has arrived, and yet it is not good.
            ("whole", "3", "exit status 3"),
            (length.as_str(), "1", "exit status 1"),
            ("whole", "signal-TERM", "signal 15"),
        ] {
            let run = victim.dump(&database.url(), cut, end).exits_with(1);
            assert!(run.stderr().contains(words), "{cut} {end}\n{run}");
            assert!(run.stderr().contains("connection to server was lost"), "{run}");
            victim.nothing_is_left(&place, &run);
        }
    }
}

#[test]
fn an_archive_cut_anywhere_or_ending_badly_leaves_nothing() {
    let database = small_database();
    database.psql("CREATE TABLE more AS SELECT n, md5(n::text) AS v FROM generate_series(1, 400) n");
    let output = PostgresServer::shared()
        .program("pg_dump")
        .args(["-w", "-Fc", "-Z0", "-d", &database.name])
        .env("PGPASSWORD", PASSWORD)
        .output()
        .expect("pg_dump starts");
    let length = output.stdout.len();
    let place = Place::fresh(PlaceKind::Folder);
    let victim = Victim::of(&place);
    let custom = ["--format", "custom"];
    let mut cuts: Vec<usize> = (0..16).map(|part| length * part / 16).collect();
    // The last rows and the end of the data are the hardest to miss.
    cuts.extend([3, 5, 20, length - 1, length - 4, length - 5, length - 30]);
    for cut in cuts {
        let run = victim
            .dump_as(&custom, &database.url(), &cut.to_string(), "0")
            .exits_with(1);
        assert!(run.stderr().contains("not whole"), "{cut} of {length}: {run}");
        victim.nothing_is_left(&place, &run);
    }
    for (cut, end, words) in [
        ("whole", "3", "exit status 3"),
        ("whole", "signal-TERM", "signal 15"),
        ("700", "1", "exit status 1"),
        ("0", "signal-KILL", "signal 9"),
    ] {
        let run = victim
            .dump_as(&custom, &database.url(), cut, end)
            .exits_with(1)
            .nowhere(PASSWORD);
        assert!(run.stderr().contains(words), "{run}");
        victim.nothing_is_left(&place, &run);
    }
    victim.dump_as(&custom, &database.url(), "whole", "0").success();
    assert_eq!(place.keys().len(), 3);
}

/// A database whose dump is several parts long.
fn large_database() -> Database {
    let database = Database::fresh();
    database.psql(
        "CREATE TABLE large AS SELECT n, (SELECT string_agg(md5(random()::text || n || m), '') FROM generate_series(1, 30) m) AS v
         FROM generate_series(1, 20000) n",
    );
    database
}

#[test]
fn a_dump_that_dies_after_parts_were_uploaded_leaves_no_upload() {
    let database = large_database();
    let half = (12 << 20).to_string();
    for place in Place::both() {
        let victim = Victim::of(&place);
        for (cut, end) in [(half.as_str(), "0"), (half.as_str(), "1"), ("whole", "1")] {
            let run = victim.dump(&database.url(), cut, end).exits_with(1);
            victim.nothing_is_left(&place, &run);
        }
        assert_eq!(place.uploads_by_the_aws_cli(), "");
    }
}

#[test]
fn a_server_process_that_is_ended_during_the_dump_leaves_nothing() {
    let database = large_database();
    for place in Place::both() {
        let victim = Victim::of(&place);
        let gate = victim.folder.path().join("gate");
        let reached = victim.folder.path().join("gate.reached");
        let mut running = victim
            .cli
            .command(["backup", &database.url(), "--part-size", "5MiB"])
            // What follows is more than the sockets between server and client hold.
            .env("CUT", (1 << 20).to_string())
            .env("GATE", &gate)
            .start();
        running.wait_until("the middle of the dump", |_| reached.exists());
        let ended = PostgresServer::shared().psql(
            "postgres",
            &format!(
                "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE datname = '{}' AND query LIKE 'COPY%'",
                database.name
            ),
        );
        assert_eq!(ended, "1\n");
        std::fs::write(&gate, "").expect("the gate opens");
        let run = running.wait().exits_with(1).nowhere(PASSWORD);
        assert!(run.stderr().contains("pg_dump"), "{run}");
        assert!(run.stderr().contains("COPY public.large"), "{run}");
        assert!(run.stderr().contains("Hint: "), "{run}");
        victim.nothing_is_left(&place, &run);
    }
}

#[test]
fn a_command_that_dies_leaves_nothing_and_its_last_words_are_shown() {
    for place in Place::both() {
        let victim = Victim::of(&place);
        let content = victim.folder.path().join("content");
        std::fs::write(&content, Noise::new(21).bytes(7 << 20)).expect("the file is written");
        let dump = victim.folder.path().join("dump");
        script(
            &dump,
            "#!/bin/sh\nhead -c \"$CUT\" \"$CONTENT\"\necho 'dump: the disk is on fire' >&2\n[ -n \"$SIGNAL\" ] && kill -s \"$SIGNAL\" $$\nexit \"$END\"\n",
        );
        for (cut, end, signal, words) in [
            ("0", "1", "", "exit status 1"),
            ("10", "2", "", "exit status 2"),
            ("6000000", "1", "", "exit status 1"),
            ("7340032", "127", "", "exit status 127"),
            ("6000000", "0", "KILL", "signal 9"),
            ("10", "0", "PIPE", "signal 13"),
            // It says that all is well, but there is nothing.
            ("0", "0", "", "wrote nothing"),
        ] {
            let run = victim
                .cli
                .command([
                    "backup",
                    "--command",
                    dump.to_str().expect("a path"),
                    "--part-size",
                    "5MiB",
                ])
                .env("CUT", cut)
                .env("END", end)
                .env("SIGNAL", signal)
                .env("CONTENT", &content)
                .run()
                .exits_with(1);
            assert!(run.stderr().contains(words), "{run}");
            assert!(run.stderr().contains("the disk is on fire"), "{run}");
            victim.nothing_is_left(&place, &run);
        }
    }
}

#[test]
fn where_a_shell_loses_the_status_only_the_end_marker_tells() {
    let database = small_database();
    let dump = whole_dump(&database);
    for place in Place::both() {
        let victim = Victim::of(&place);
        let folder = victim.folder.path();
        std::fs::write(folder.join("dump.sql"), &dump).expect("the file is written");
        let mysql = format!(
            "-- MariaDB dump 10.19  Distrib 10.11.6-MariaDB\n--\n{}-- Dump completed on 2025-01-02  3:04:05\n",
            "INSERT INTO `t` VALUES (1,'x');\n".repeat(100)
        );
        std::fs::write(folder.join("mysql.sql"), &mysql).expect("the file is written");
        let run = |line: &str| {
            victim
                .cli
                .command([
                    "backup",
                    "--shell",
                    "--command",
                    line,
                    "--name",
                    "piped",
                    "--extension",
                    "sql",
                ])
                .env("AT", folder)
                .run()
        };
        for line in [
            "false | cat",
            "head -c 900 \"$AT/dump.sql\" | cat; true",
            "{ head -c 2000 \"$AT/dump.sql\"; false; } | cat",
            "grep -v 'dump complete' \"$AT/dump.sql\"",
            "head -c 1500 \"$AT/mysql.sql\" | cat",
        ] {
            let failed = run(line).exits_with(1);
            victim.nothing_is_left(&place, &failed);
        }
        for line in ["cat \"$AT/dump.sql\" | cat", "cat \"$AT/mysql.sql\" | cat"] {
            run(line).success();
        }
        assert_eq!(place.keys().len(), 6);
    }
}

#[test]
fn a_pipe_whose_writer_ended_early_leaves_nothing_where_the_content_tells() {
    let database = small_database();
    let dump = whole_dump(&database);
    for place in Place::both() {
        let victim = Victim::of(&place);
        for cut in [0, 1, dump.len() / 3, dump.len() / 2, dump.len() - 200] {
            let failed = victim
                .cli
                .command(["backup", "-", "--stdin-name", "db.sql"])
                .input(&dump.as_bytes()[..cut])
                .run();
            // A single byte is as good as any other content.
            if cut == 1 {
                let _ = failed.exits_with(0);
                place.keys().iter().for_each(|key| remove(&place, key));
                continue;
            }
            let failed = failed.exits_with(1);
            assert!(failed.stderr().contains("--command"), "{failed}");
            victim.nothing_is_left(&place, &failed);
        }
    }
}

fn remove(place: &Place, key: &str) {
    if place.kind == PlaceKind::Folder {
        std::fs::remove_file(place.store_folder().join(key)).expect("the file is removed");
    } else {
        place.bucket().client().delete(&place.bucket().name, key);
    }
}

#[test]
fn a_directory_that_is_not_there_leaves_nothing() {
    for place in Place::both() {
        let victim = Victim::of(&place);
        let gone = victim.folder.path().join("gone");
        let run = victim.cli.run(["backup", gone.to_str().expect("a path")]).exits_with(1);
        victim.nothing_is_left(&place, &run);
    }
}

#[test]
fn a_source_that_dies_does_not_harm_the_backups_before() {
    let database = small_database();
    for place in Place::both() {
        let victim = Victim::of(&place);
        let cli = place.cli();
        let id = back_up(&cli, &[&database.url()]);
        let before = place.leftovers();
        let began = Instant::now();
        victim.dump(&database.url(), "900", "1").exits_with(1);
        victim.dump(&database.url(), "900", "0").exits_with(1);
        assert!(began.elapsed() < Duration::from_secs(60));
        assert_eq!(place.leftovers(), before);
        let latest = cli.run(["show", "latest", "--json"]).success().json();
        assert_eq!(latest["id"], id.as_str());
    }
}
