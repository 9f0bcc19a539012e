//! MariaDB dumps that die, at any point and in any way: no backup is listed, and nothing of the run is left.

use super::Programs;
use crate::support::cli::{Cli, Outcome};
use crate::support::mariadb::{Database, MariaDbServer, PASSWORD};
use crate::support::place::{Place, PlaceKind, files_below};
use crate::support::server::fresh_folder;

/// Lets so many bytes of the dump through, then ends as told; with `GATE`, waits there for a file of that name and goes on.
const DUMPER: &str = r#"set -o pipefail
if [ -n "$GATE" ]; then
    "$REAL" "$@" | { head -c "$CUT"; : >"$GATE.reached"; until [ -e "$GATE" ]; do sleep 0.01; done; exec cat; }
    exit
fi
if [ "$CUT" = whole ]; then "$REAL" "$@"; else "$REAL" "$@" 2>/dev/null | head -c "$CUT"; fi
[ -n "$LAST_WORDS" ] && echo "$LAST_WORDS" >&2
case $END in
    signal-*) kill -s "${END#signal-}" $$ ;;
    *) exit "$END" ;;
esac"#;

const LAST_WORDS: &str =
    "mariadb-dump: Error 2013: Lost connection to server during query when dumping table `t` at row: 7";

struct Victim {
    programs: Programs,
    temporary: tempfile::TempDir,
}

impl Victim {
    fn of(place: &Place) -> Self {
        // The first backup that succeeds would make it; without one there would be nothing to list.
        std::fs::create_dir_all(place.store_folder()).expect("a folder");
        Self {
            programs: Programs::new(&[("mariadb-dump", DUMPER)]),
            temporary: fresh_folder("tmp"),
        }
    }

    fn cli(&self, place: &Place) -> Cli {
        self.programs.cli(place.cli()).env("TMPDIR", self.temporary.path())
    }

    fn dump(&self, place: &Place, url: &str, cut: &str, end: &str) -> Outcome {
        self.cli(place)
            .command(["backup", url, "--part-size", "5MiB"])
            .env("CUT", cut)
            .env("END", end)
            .env("LAST_WORDS", if end == "0" { "" } else { LAST_WORDS })
            .run()
    }

    #[track_caller]
    fn nothing_is_left(&self, place: &Place, why: &Outcome) {
        assert_eq!(place.leftovers(), Vec::<String>::new(), "{why}");
        assert_eq!(files_below(self.temporary.path()), Vec::<String>::new(), "{why}");
        let listed = self.cli(place).run(["list", "--json"]).success();
        assert_eq!(listed.json(), serde_json::json!([]), "{why}");
    }
}

fn small_database() -> Database {
    let database = Database::fresh();
    database.sql(
        "CREATE TABLE t AS SELECT seq AS id, repeat('v', seq) AS v FROM seq_1_to_40; CREATE PROCEDURE p() SELECT 1;",
    );
    database
}

#[test]
fn a_dump_cut_anywhere_with_exit_0_leaves_nothing() {
    let database = small_database();
    let place = Place::fresh(PlaceKind::Folder);
    let victim = Victim::of(&place);
    victim.dump(&place, &database.url(), "whole", "0").success();
    let dump = victim
        .cli(&place)
        .run(["restore", "--to", "-"])
        .success()
        .stdout()
        .to_owned();
    let place = Place::fresh(PlaceKind::Folder);
    let victim = Victim::of(&place);
    let find = |what: &str| dump.find(what).unwrap_or_else(|| panic!("`{what}` is in the dump"));
    let marker = find("-- Dump completed");
    let mut cuts = vec![
        0,
        1,
        30,
        find("CREATE TABLE") + 9,
        find("INSERT INTO") + 20,
        find("ENABLE KEYS"),
        find("DELIMITER"),
        marker - 2,
        marker,
        marker + 10,
    ];
    cuts.extend((1..8).map(|part| dump.len() * part / 8));
    for cut in cuts {
        let run = victim
            .dump(&place, &database.url(), &cut.to_string(), "0")
            .exits_with(1)
            .nowhere(PASSWORD);
        assert!(run.stderr().contains("not whole"), "{run}");
        victim.nothing_is_left(&place, &run);
    }
}

#[test]
fn a_dump_that_ends_badly_leaves_nothing_and_its_last_words_are_shown() {
    let database = small_database();
    for place in Place::both() {
        let victim = Victim::of(&place);
        for (cut, end, words) in [
            ("0", "1", "exit status 1"),
            ("1500", "2", "exit status 2"),
            ("1500", "signal-KILL", "signal 9"),
            ("1500", "signal-SEGV", "signal 11"),
            // Every byte has arrived, and yet it is not good.
            ("whole", "3", "exit status 3"),
            ("whole", "signal-TERM", "signal 15"),
        ] {
            let run = victim.dump(&place, &database.url(), cut, end).exits_with(1);
            assert!(
                run.stderr().contains(words) && run.stderr().contains("Lost connection"),
                "{cut} {end}\n{run}"
            );
            victim.nothing_is_left(&place, &run);
        }
    }
}

/// Waits in the middle of the dump of a database that is several parts long, does something to it, lets the dump go on.
fn in_the_middle(
    place: &Place,
    server: &MariaDbServer,
    url: &str,
    what: impl FnOnce(&MariaDbServer),
) -> (Victim, Outcome) {
    let victim = Victim::of(place);
    let gate = victim.programs.path("gate");
    let reached = victim.programs.path("gate.reached");
    let mut running = victim
        .cli(place)
        .command(["backup", url, "--part-size", "5MiB"])
        // What follows is more than the sockets between server and client hold.
        .env("CUT", (1 << 20).to_string())
        .env("GATE", &gate)
        .start();
    running.wait_until("the middle of the dump", |_| reached.exists());
    what(server);
    std::fs::write(&gate, "").expect("the gate opens");
    (victim, running.wait())
}

fn fill(server: &MariaDbServer, name: &str) {
    server.sql(
        name,
        "CREATE TABLE large AS SELECT seq AS n, repeat(md5(rand(seq)), 30) AS v FROM seq_1_to_20000;
         CREATE TABLE second AS SELECT 1 AS n; CREATE TABLE third AS SELECT 1 AS n; CREATE TABLE zero AS SELECT 1 AS n;",
    );
}

#[test]
fn a_connection_that_is_killed_during_the_dump_leaves_nothing() {
    let server = MariaDbServer::shared();
    let database = Database::fresh();
    fill(server, &database.name);
    for place in Place::both() {
        let (victim, run) = in_the_middle(&place, server, &database.url(), |server| {
            let of_dump = format!(
                "SELECT ID FROM information_schema.PROCESSLIST WHERE DB = '{}' AND ID <> CONNECTION_ID()",
                database.name
            );
            let id = server.sql("", &of_dump);
            server.sql("", &format!("KILL CONNECTION {}", id.trim()));
        });
        let run = run.exits_with(1).nowhere(PASSWORD);
        assert!(
            run.stderr().contains("`large`") && run.stderr().contains("Hint: "),
            "{run}"
        );
        victim.nothing_is_left(&place, &run);
    }
}

#[test]
fn tables_that_others_change_during_the_dump_make_it_fail() {
    let server = MariaDbServer::shared();
    for (change, words) in [
        (
            "ALTER TABLE second ADD b int, ALGORITHM=COPY",
            "Table definition has changed",
        ),
        ("TRUNCATE TABLE third", "Table definition has changed"),
        ("DROP TABLE zero", "zero"),
        ("RENAME TABLE zero TO one", "zero"),
    ] {
        let database = Database::fresh();
        fill(server, &database.name);
        let place = Place::fresh(PlaceKind::Folder);
        let (victim, run) = in_the_middle(&place, server, &database.url(), |_| {
            database.sql(change);
        });
        let run = run.exits_with(1);
        assert!(run.stderr().contains(words), "{change}\n{run}");
        assert!(run.stderr().contains("when nobody does that"), "{change}\n{run}");
        victim.nothing_is_left(&place, &run);
    }
}

#[test]
fn a_server_that_goes_down_during_the_dump_leaves_nothing() {
    let server = MariaDbServer::start();
    server.sql("", "CREATE DATABASE doomed");
    fill(&server, "doomed");
    let place = Place::fresh(PlaceKind::UnknownS3);
    let (victim, run) = in_the_middle(&place, &server, &server.url("doomed"), |server| {
        server.server().kill();
    });
    let run = run.exits_with(1);
    assert!(
        run.stderr().contains("Lost connection") || run.stderr().contains("gone away"),
        "{run}"
    );
    victim.nothing_is_left(&place, &run);
    assert_eq!(place.uploads_by_the_aws_cli(), "");
}

#[test]
fn an_interrupted_backup_and_restore_leave_nothing() {
    let server = MariaDbServer::shared();
    let database = Database::fresh();
    fill(server, &database.name);
    let place = Place::fresh(PlaceKind::Folder);
    let id = crate::round_trips::back_up(&place.cli(), &[&database.url()]);
    let before = (database.dump(), place.keys());
    let slow = Programs::new(&[(
        "mariadb",
        "case \"$*\" in *--local-infile=0*) { head -c 2000000; : >$AT/reached; sleep 60; } | $REAL \"$@\" ;; *) exec $REAL \"$@\" ;; esac",
    )]);
    let mut running = slow
        .cli(place.cli())
        .command([
            "restore",
            &id,
            "--to",
            &database.url(),
            "--confirm",
            "--no-safety-backup",
        ])
        .start();
    running.wait_until("the middle of the restore", |_| slow.path("reached").exists());
    running.signal(rustix::process::Signal::INT);
    let run = running.wait().exits_with(130);
    assert!(run.stderr().contains("as it was before"), "{run}");
    assert_eq!((database.dump(), place.keys()), before);
    assert_eq!(database.relatives(), Vec::<String>::new());
}
