//! One PostgreSQL database by several workers, out and back: the same content, all of it once, or nothing at all.

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crate::round_trips::{EVERY_OBJECT, Restored, back_up};
use crate::support::cli::{Cli, Outcome};
use crate::support::place::{Place, PlaceKind, files_below};
use crate::support::postgres::{Database, PASSWORD, PostgresServer, server_programs};
use crate::support::server::fresh_folder;

/// Tables that are large enough to be given to workers, in every relation to each other and to sequences.
const LARGE_TABLES: &str = r#"
CREATE SCHEMA "Large; ""Schema""";
CREATE TABLE large_a (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, v text);
INSERT INTO large_a (v) SELECT repeat(md5(n::text), 8) FROM generate_series(1, 4000) n;
CREATE TABLE "Large; ""Schema"""."b*c? d" (id serial PRIMARY KEY, a int REFERENCES large_a, v text);
INSERT INTO "Large; ""Schema"""."b*c? d" (a, v) SELECT n, repeat(md5(n::text), 8) FROM generate_series(1, 3000) n;
CREATE TABLE large_parts (id int, v text) PARTITION BY RANGE (id);
CREATE TABLE large_parts_1 PARTITION OF large_parts FOR VALUES FROM (0) TO (2000);
CREATE TABLE large_parts_2 PARTITION OF large_parts FOR VALUES FROM (2000) TO (9000);
INSERT INTO large_parts SELECT n, repeat(md5(n::text), 8) FROM generate_series(1, 5000) n;
CREATE TABLE "large.dots" (v text); INSERT INTO "large.dots" SELECT repeat(md5(n::text), 8) FROM generate_series(1, 1500) n;
CREATE TABLE large_child () INHERITS (large_a);
CREATE UNLOGGED TABLE large_fast AS SELECT n, repeat(md5(n::text), 8) AS v FROM generate_series(1, 2000) n;
CREATE TABLE "größer" AS SELECT n, repeat(md5(n::text), 8) AS v FROM generate_series(1, 2000) n;
CREATE TABLE "Line
end" AS SELECT n, repeat(md5(n::text), 8) AS v FROM generate_series(1, 2000) n;
CREATE MATERIALIZED VIEW large_view AS SELECT * FROM large_a; CREATE MATERIALIZED VIEW over_view AS SELECT count(*) FROM large_view;
SELECT lo_create(71001); SELECT lo_put(71001, 0, decode(repeat('00ff5c0a', 5000), 'hex')); SELECT lo_create(71002);
SELECT setval(pg_get_serial_sequence('large_a', 'id'), 90000);
"#;

fn large_database() -> Database {
    let database = Database::fresh();
    database.psql(EVERY_OBJECT);
    database.psql(LARGE_TABLES);
    database
}

/// The keys of the data objects, in the order in which the manifest names them.
fn data_keys(cli: &Cli, id: &str) -> Vec<String> {
    let manifest = cli.run(["show", id, "--json"]).success().json();
    let objects = manifest["objects"].as_array().expect("objects").iter();
    objects
        .filter(|object| object["role"] == "data")
        .map(|object| object["key"].as_str().expect("a key").to_owned())
        .collect()
}

/// How often each thing of a dump is in the index: names with kinds and rows.
fn contents(cli: &Cli, id: &str) -> BTreeMap<String, usize> {
    let listed = cli.run(["ls", id, "--json"]).success();
    let mut found = BTreeMap::new();
    for mut entry in listed.json_lines() {
        let entry = entry.as_object_mut().expect("an entry");
        for place in ["offset", "length"] {
            entry.remove(place);
        }
        *found.entry(serde_json::to_string(entry).expect("JSON")).or_default() += 1;
    }
    found
}

/// The lines of a script that set something's value or load something, each with how often it is there.
fn loading_lines(script: &str) -> BTreeMap<String, usize> {
    let mut found = BTreeMap::new();
    for line in script.lines() {
        let loads = [
            "COPY ",
            "SELECT pg_catalog.setval(",
            "SELECT pg_catalog.lo_open(",
            "REFRESH ",
        ];
        if loads.iter().any(|begin| line.starts_with(begin)) {
            *found.entry(line.to_owned()).or_default() += 1;
        }
    }
    found
}

#[test]
fn a_dump_by_workers_holds_what_a_single_one_does_and_all_of_it_once() {
    let server = PostgresServer::shared();
    for place in Place::both() {
        let cli = place.cli();
        let database = large_database();
        let then = database.dump();
        let single = back_up(&cli, &[&database.url(), "--name", "single"]);
        for jobs in ["2", "4"] {
            let id = back_up(&cli, &[&database.url(), "--name", "parallel", "--jobs", jobs]);
            let manifest = cli.run(["show", &id, "--json"]).success().json();
            let streams = manifest["streams"].as_array().expect("streams");
            assert_eq!(
                streams.len().to_string(),
                (jobs.parse::<usize>().unwrap() + 2).to_string(),
                "{manifest}"
            );
            assert_eq!(contents(&cli, &id), contents(&cli, &single));
            let script = |id: &str| cli.run(["restore", id, "--to", "-"]).success().stdout().to_owned();
            let (own, other) = (script(&id), script(&single));
            assert_eq!(loading_lines(&own), loading_lines(&other));
            assert_eq!(own.len() as u64, manifest["plain_bytes"].as_u64().expect("a number"));
            // Back again, by several sessions, beside what is there and in its place.
            let copy = format!("{}-copy", database.name);
            let _copy = Restored::named(std::slice::from_ref(&copy));
            cli.run(["restore", &id, "--to", &server.url(&copy)])
                .success()
                .nowhere(PASSWORD);
            assert_eq!(server.dump(&copy), then);
            assert_eq!(server.psql(&copy, "SELECT count(*) FROM over_view"), "1\n");
            server.psql(&copy, "CREATE TABLE later (a int)");
            cli.run([
                "restore",
                &id,
                "--to",
                &server.url(&copy),
                "--confirm",
                "--no-safety-backup",
                "--drop-replaced",
            ])
            .success();
            assert_eq!(server.dump(&copy), then);
        }
        assert_eq!(place.uploads_by_the_aws_cli(), "");
    }
}

#[test]
fn stock_tools_restore_the_streams_in_the_order_of_the_readme() {
    let server = PostgresServer::shared();
    let readme = include_str!("../../README.md");
    let lines = readme
        .split("```")
        .find(|block| block.contains("stream-0002"))
        .expect("the README has the lines")
        .trim()
        .to_owned();
    for place in Place::both() {
        let cli = place.cli();
        let database = large_database();
        let then = database.dump();
        let id = back_up(&cli, &[&database.url(), "--jobs", "2", "--name", "shop"]);
        let keys = data_keys(&cli, &id);
        assert_eq!(keys.len(), 4, "{keys:?}");
        let first = &keys[0];
        let named: Vec<String> = (2..=4).map(|number| format!("{first}.stream-{number:04}")).collect();
        assert_eq!(keys[1..], named);
        let copy = format!("{}-stock", database.name);
        let _copy = Restored::named(std::slice::from_ref(&copy));
        server.psql("postgres", &format!("CREATE DATABASE \"{copy}\" TEMPLATE template0"));
        // Word by word what the README says, but for the names of this place.
        let stem = "s3://my-bucket/backups/20260131/shop_backup_20260131_020000.sql.gz";
        assert!(lines.contains(stem), "{lines}");
        let script = match place.kind {
            PlaceKind::Folder => lines
                .replace(stem, &place.store_folder().join(first).display().to_string())
                .replace("aws s3 cp ", "cat ")
                .replace(" - |", " |"),
            _ => lines.replace(stem, &format!("s3://{}/{first}", place.bucket().name)),
        };
        let script = script.replace("-d new", &format!("-d '{copy}'"));
        let variables = server.environment();
        let variables: Vec<(&str, &str)> = variables
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()))
            .collect();
        place.shell(&script, &variables);
        assert_eq!(server.dump(&copy), then, "{script}");
    }
}

#[test]
fn a_selection_and_an_encrypted_backup_are_made_by_workers_too() {
    let server = PostgresServer::shared();
    let place = Place::fresh(PlaceKind::Folder);
    let cli = place.cli();
    let database = large_database();
    let options = [
        "--exclude-table",
        "large_p*",
        "--exclude-table-data",
        "large_a",
        "--exclude-schema",
        "\"Odd; Schema\"",
    ];
    let run = |jobs: &str| {
        let arguments: Vec<&str> = [database.url().as_str(), "--name", jobs, "--jobs", jobs]
            .iter()
            .chain(&options)
            .map(|text| &*(*text).to_owned().leak())
            .collect();
        let id = back_up(&cli, &arguments);
        cli.run(["restore", &id, "--to", "-"]).success().stdout().to_owned()
    };
    let (single, parallel) = (run("1"), run("3"));
    assert!(
        !single.contains("large_parts") && single.contains("COPY public.large_fast"),
        "the options count"
    );
    assert_eq!(loading_lines(&parallel), loading_lines(&single));

    let folder = fresh_folder("keys");
    let identity = folder.path().join("identity").display().to_string();
    let made = std::process::Command::new("age-keygen")
        .args(["-o", &identity])
        .output()
        .expect("age-keygen starts");
    assert!(made.status.success());
    let text = std::fs::read_to_string(&identity).expect("the identity is there");
    let recipient = text
        .split_whitespace()
        .find(|word| word.starts_with("age1"))
        .expect("a public key");
    let url = database.url();
    let id = back_up(
        &cli,
        &[&url, "--name", "secret", "--jobs", "2", "--recipient", recipient],
    );
    let copy = format!("{}-copy", database.name);
    let _copy = Restored::named(std::slice::from_ref(&copy));
    cli.run(["restore", &id, "--to", &server.url(&copy), "--identity", &identity])
        .success();
    assert_eq!(server.dump(&copy), database.dump());
}

#[test]
fn a_copy_in_another_store_has_every_stream() {
    let server = PostgresServer::shared();
    let (place, other) = (Place::fresh(PlaceKind::Folder), fresh_folder("copy"));
    let cli = place.cli();
    let database = large_database();
    let id = back_up(&cli, &[&database.url(), "--jobs", "3"]);
    let store = other.path().join("store").display().to_string();
    cli.run(["copy", &id, "--to", &store]).success();
    let copy = format!("{}-copy", database.name);
    let _copy = Restored::named(std::slice::from_ref(&copy));
    cli.run(["restore", &id, "--store", &store, "--to", &server.url(&copy)])
        .success();
    assert_eq!(server.dump(&copy), database.dump());
}

#[test]
fn what_cannot_be_divided_is_refused() {
    let place = Place::fresh(PlaceKind::Folder);
    let cli = place.cli();
    let database = Database::fresh();
    for options in [
        &["--jobs", "2", "--format", "custom"][..],
        &["--jobs", "2", "--pg-dump-arg=--section=data"],
        &["--jobs", "2", "--pg-dump-arg=-t", "--pg-dump-arg=x"],
        &["--jobs", "0"],
        &["--jobs", "9"],
    ] {
        cli.run(
            ["backup", &database.url()]
                .iter()
                .chain(options)
                .copied()
                .collect::<Vec<_>>(),
        )
        .exits_with(2);
    }
    assert_eq!(place.keys(), Vec::<String>::new());
    // So many streams do not fit into the memory that a run may take.
    let place = Place::fresh(PlaceKind::SeaweedFs);
    let run = place
        .cli()
        .run(["backup", &database.url(), "--jobs", "8", "--memory", "64MiB"])
        .exits_with(2);
    assert!(run.stderr().contains("--jobs"), "{run}");
    assert_eq!(place.leftovers(), Vec::<String>::new());
}

/// Stands before the real `pg_dump`: where the arguments match, it lets so many bytes through and ends as told.
const PG_DUMP: &str = r#"#!/bin/bash
set -o pipefail
case "$* " in *$WHEN*) ;; *) exec "$REAL_PG_DUMP" "$@" ;; esac
for argument in "$@"; do [ "$argument" = --version ] && exec "$REAL_PG_DUMP" --version; done
if [ -n "$GATE" ]; then
    "$REAL_PG_DUMP" "$@" | { head -c "$CUT"; : >"$GATE.reached"; until [ -e "$GATE" ]; do sleep 0.01; done; exec cat; }
    exit
fi
if [ "$CUT" = whole ]; then "$REAL_PG_DUMP" "$@"; else "$REAL_PG_DUMP" "$@" 2>/dev/null | head -c "$CUT"; fi
echo "pg_dump: error: the disk is on fire" >&2
case $END in signal-*) kill -s "${END#signal-}" $$ ;; *) exit "$END" ;; esac
"#;

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
        std::fs::create_dir_all(place.store_folder()).expect("a folder");
        let script = programs.join("pg_dump");
        std::fs::write(&script, PG_DUMP).expect("the script is written");
        std::fs::set_permissions(&script, std::fs::Permissions::from_mode(0o755)).expect("its mode");
        let path = std::env::var("PATH").expect("a PATH");
        let cli = place
            .cli()
            .env("PATH", format!("{}:{path}", programs.display()))
            .env("REAL_PG_DUMP", server_programs().join("pg_dump"))
            .env("TMPDIR", folder.path().join("tmp"));
        Self { cli, folder }
    }

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

#[test]
fn a_worker_that_dies_anywhere_leaves_nothing_of_any() {
    let database = large_database();
    for place in Place::both() {
        let victim = Victim::of(&place);
        for (when, cut, end, words) in [
            ("--section=pre-data", "900", "1", "exit status 1"),
            ("--section=pre-data", "900", "0", "not whole"),
            ("--section=data", "0", "0", "not whole"),
            ("large_a", "200000", "1", "exit status 1"),
            ("--table=", "300000", "0", "not whole"),
            ("--table=", "whole", "3", "exit status 3"),
            ("--table=", "100", "signal-KILL", "signal 9"),
            ("--section=post-data", "whole", "signal-TERM", "signal 15"),
            ("--section=post-data", "300", "0", "not whole"),
        ] {
            let run = victim
                .cli
                .command([
                    "backup",
                    &database.url(),
                    "--jobs",
                    "2",
                    "--part-size",
                    "5MiB",
                    "--memory",
                    "64MiB",
                ])
                .env("WHEN", when)
                .env("CUT", cut)
                .env("END", end)
                .run()
                .exits_with(1)
                .nowhere(PASSWORD);
            assert!(run.stderr().contains(words), "{when} {cut} {end}: {run}");
            victim.nothing_is_left(&place, &run);
        }
        assert_eq!(place.uploads_by_the_aws_cli(), "");
    }
}

#[test]
fn a_snapshot_whose_session_ends_fails_the_backup() {
    let server = PostgresServer::shared();
    let database = large_database();
    let place = Place::fresh(PlaceKind::Folder);
    let victim = Victim::of(&place);
    let gate = victim.folder.path().join("gate");
    let reached = victim.folder.path().join("gate.reached");
    let mut running = victim
        .cli
        .command(["backup", &database.url(), "--jobs", "2"])
        .env("WHEN", "--table=")
        .env("CUT", "1000")
        .env("GATE", &gate)
        .start();
    running.wait_until("the middle of the rows", |_| reached.exists());
    // What the snapshot shows cannot be taken away from the workers while it is held.
    let emptied = server.try_psql(
        &database.name,
        PASSWORD,
        "SET lock_timeout = '200ms'; TRUNCATE nothing_at_all, large_fast",
    );
    assert!(emptied.is_err());
    let emptied = server.try_psql(
        &database.name,
        PASSWORD,
        "SET lock_timeout = '200ms'; TRUNCATE large_fast",
    );
    assert!(emptied.is_err_and(|why| why.contains("lock timeout")));
    let ended = server.psql(
        "postgres",
        &format!(
            "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE datname = '{}' AND state = 'idle in transaction' \
             AND backend_xmin IS NOT NULL AND query NOT LIKE 'COPY%'",
            database.name
        ),
    );
    assert_ne!(ended, "0\n");
    // The gate stays shut: the watch alone has to end the run.
    let run = running.wait().exits_with(1).nowhere(PASSWORD);
    assert!(run.stderr().contains("snapshot"), "{run}");
    victim.nothing_is_left(&place, &run);
}

#[test]
fn an_interrupted_run_of_workers_leaves_nothing_and_no_session() {
    let server = PostgresServer::shared();
    let database = large_database();
    let place = Place::fresh(PlaceKind::SeaweedFs);
    let victim = Victim::of(&place);
    let gate = victim.folder.path().join("gate");
    let reached = victim.folder.path().join("gate.reached");
    let mut running = victim
        .cli
        .command(["backup", &database.url(), "--jobs", "3"])
        .env("WHEN", "--section=data")
        .env("CUT", "1000")
        .env("GATE", &gate)
        .start();
    running.wait_until("the middle of the rows", |_| reached.exists());
    running.signal(rustix::process::Signal::INT);
    let run = running.wait().exits_with(130);
    victim.nothing_is_left(&place, &run);
    let deadline = Instant::now() + Duration::from_secs(10);
    let sessions = format!(
        "SELECT count(*) FROM pg_stat_activity WHERE datname = '{}'",
        database.name
    );
    while server.psql("postgres", &sessions) != "0\n" {
        assert!(Instant::now() < deadline, "sessions stay");
        std::thread::sleep(Duration::from_millis(100));
    }
}

#[test]
fn a_stream_that_is_damaged_changes_nothing_that_lives() {
    let place = Place::fresh(PlaceKind::Folder);
    let cli = place.cli();
    let database = large_database();
    let id = back_up(&cli, &[&database.url(), "--jobs", "2"]);
    database.psql("CREATE TABLE later (a int)");
    let now = database.dump();
    for key in data_keys(&cli, &id) {
        let path = place.store_folder().join(&key);
        let whole = std::fs::read(&path).expect("the object");
        let mut damaged = whole.clone();
        let middle = damaged.len() / 2;
        damaged[middle] ^= 0x10;
        std::fs::write(&path, &damaged).expect("it is written");
        cli.run([
            "restore",
            &id,
            "--to",
            &database.url(),
            "--confirm",
            "--no-safety-backup",
        ])
        .exits_with(20);
        std::fs::write(&path, &whole[..middle]).expect("it is written");
        cli.run([
            "restore",
            &id,
            "--to",
            &database.url(),
            "--confirm",
            "--no-safety-backup",
        ])
        .exits_with(20);
        std::fs::write(&path, &whole).expect("it is written");
        assert_eq!(database.dump(), now);
    }
    let begin = format!("{}__", database.name);
    let left: Vec<String> = PostgresServer::shared()
        .databases()
        .into_iter()
        .filter(|name| name.starts_with(&begin))
        .collect();
    assert_eq!(left, Vec::<String>::new());
}

#[test]
fn under_load_every_backup_is_a_state_that_existed() {
    const CYCLES: usize = 50;
    const ACCOUNTS: i64 = 400;
    let server = PostgresServer::shared();
    let place = Place::fresh(PlaceKind::Folder);
    let cli = place.cli();
    let database = Database::fresh();
    // Every transfer moves money between two tables and writes its number down: sums never change, and the numbers have
    // no gap in any state that existed.
    database.psql(&format!(
        "CREATE TABLE left_side (id int PRIMARY KEY, amount bigint, ballast text);
         CREATE TABLE right_side (id int PRIMARY KEY, amount bigint, ballast text);
         CREATE TABLE journal (number bigint PRIMARY KEY, amount bigint);
         INSERT INTO left_side SELECT n, 1000, repeat(md5(n::text), 30) FROM generate_series(1, {ACCOUNTS}) n;
         INSERT INTO right_side SELECT n, 1000, repeat(md5(n::text), 30) FROM generate_series(1, {ACCOUNTS}) n;
         CREATE PROCEDURE transfer() LANGUAGE plpgsql AS $$
         DECLARE moved bigint := (random() * 100)::bigint; who int := 1 + (random() * {last})::int;
         BEGIN
           LOCK TABLE journal IN EXCLUSIVE MODE;
           UPDATE left_side SET amount = amount - moved WHERE id = who;
           UPDATE right_side SET amount = amount + moved WHERE id = who;
           INSERT INTO journal SELECT coalesce(max(number), 0) + 1, moved FROM journal;
         END $$;",
        last = ACCOUNTS - 1
    ));
    let over = AtomicBool::new(false);
    let transfers = AtomicU64::new(0);
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while !over.load(Ordering::SeqCst) {
                    let batch = "DO $$ BEGIN FOR i IN 1..20 LOOP CALL transfer(); COMMIT; PERFORM pg_sleep(0.002); END LOOP; END $$";
                    if server.try_psql(&database.name, PASSWORD, batch).is_ok() {
                        transfers.fetch_add(20, Ordering::SeqCst);
                    }
                }
            });
        }
        let _end = scopeguard(&over);
        let mut ids = Vec::new();
        for cycle in 0..CYCLES {
            let before: u64 = database
                .psql("SELECT count(*) FROM journal")
                .trim()
                .parse()
                .expect("a number");
            let jobs = if cycle % 2 == 0 { "1" } else { "2" };
            let id = back_up(&cli, &[&database.url(), "--jobs", jobs, "--name", "ledger"]);
            let after: u64 = database
                .psql("SELECT count(*) FROM journal")
                .trim()
                .parse()
                .expect("a number");
            ids.push((id, before, after));
        }
        over.store(true, Ordering::SeqCst);
        for (id, before, after) in ids {
            let script = cli.run(["restore", &id, "--to", "-"]).success().stdout().to_owned();
            let rows = |table: &str| -> Vec<Vec<String>> {
                let begin = format!("\nCOPY public.{table} (");
                let from = script.find(&begin).unwrap_or_else(|| panic!("{table} is in {id}")) + 1;
                script[from..]
                    .lines()
                    .skip(1)
                    .take_while(|line| *line != "\\.")
                    .map(|line| line.split('\t').map(str::to_owned).collect())
                    .collect()
            };
            let sum = |table: &str| -> i64 {
                rows(table)
                    .iter()
                    .map(|row| row[1].parse::<i64>().expect("a number"))
                    .sum()
            };
            let journal = rows("journal");
            let mut numbers: Vec<u64> = journal.iter().map(|row| row[0].parse().expect("a number")).collect();
            numbers.sort_unstable();
            assert!(numbers.iter().copied().eq(1..=numbers.len() as u64), "{id} has gaps");
            assert!(
                (before..=after).contains(&(numbers.len() as u64)),
                "{id}: {before} {} {after}",
                numbers.len()
            );
            let moved = sum("journal");
            assert_eq!(sum("left_side"), ACCOUNTS * 1000 - moved, "{id}");
            assert_eq!(sum("right_side"), ACCOUNTS * 1000 + moved, "{id}");
        }
    });
    assert!(transfers.load(Ordering::SeqCst) > 100);
}

/// Sets a flag however its scope ends, so that threads that wait for it end, too.
fn scopeguard(flag: &AtomicBool) -> impl Drop + '_ {
    struct Guard<'a>(&'a AtomicBool);
    impl Drop for Guard<'_> {
        fn drop(&mut self) {
            self.0.store(true, Ordering::SeqCst);
        }
    }
    Guard(flag)
}
