//! The programs that dump a server's databases.

use std::collections::BTreeMap;
use std::path::PathBuf;

use backup_cli::source::mysql::{MysqlOptions, MysqlSource, MysqlUrl};
use backup_cli::source::postgres::{
    DumpFormat, GlobalsOptions, GlobalsSource, PostgresOptions, PostgresSource, PostgresUrl,
};

use super::stage::{Asked, Bench, PLACES, Stage, Way, around, fail_everywhere, fail_whole, places, tries_all};
use crate::support::mariadb;
use crate::support::postgres::{Database, PASSWORD, PostgresServer, server_programs};
use crate::support::system_tool;

/// Rows of several characters of several bytes, an end marker in each place where there may be any text, and tables large
/// enough for the dump to have several members and parts.
const CONTENT: &str = "CREATE TABLE plain (id int PRIMARY KEY, v text);
    INSERT INTO plain SELECT n, repeat('größe € 😀 ', n % 9) FROM generate_series(1, 600) n;
    CREATE TABLE marked (v text);
    INSERT INTO marked VALUES ('-- PostgreSQL database dump complete'), (E'a\\n--\\n-- PostgreSQL database dump complete\\n--\\nb');
    COMMENT ON TABLE marked IS E'x\\n--\\n-- PostgreSQL database dump complete\\n--\\n\\n';
    CREATE FUNCTION f() RETURNS text LANGUAGE sql AS $$ SELECT '
--
-- PostgreSQL database dump complete
--
' $$;
    CREATE VIEW seen AS SELECT '
-- PostgreSQL database dump complete
'::text AS v;
    CREATE TABLE other AS SELECT n, md5(n::text) AS v FROM generate_series(1, 700) n;";

fn database() -> Database {
    let database = Database::fresh();
    database.psql(CONTENT);
    database
}

fn dump(program: &str, arguments: &[&str]) -> Vec<u8> {
    let output = PostgresServer::shared()
        .program(program)
        .arg("-w")
        .args(arguments)
        .env("PGPASSWORD", PASSWORD)
        .output()
        .expect("it starts");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    output.stdout
}

/// A stand-in for a program of PostgreSQL's; the other programs are the real ones.
fn stage(program: &str, dump: &[u8]) -> Stage {
    let real = |name: &str| server_programs().join(name);
    let stage = Stage::new(program, &real(program), dump);
    for name in ["pg_dump", "pg_dumpall", "pg_restore", "psql"] {
        if name != program {
            stage.link(&real(name));
        }
    }
    stage
}

fn options(database: &Database, stage: &Stage) -> PostgresOptions {
    PostgresOptions {
        url: PostgresUrl::parse(&database.url()).expect("a URL"),
        client_folder: Some(stage.folder().to_owned()),
        ..PostgresOptions::default()
    }
}

/// Where what counts of a plain dump ends; blank lines and dashes may follow.
fn end_of(dump: &[u8], marker: &str) -> usize {
    let last = |text: &str| memchr::memmem::rfind(dump, text.as_bytes());
    let end = last(marker).expect("the marker") + marker.len();
    // `pg_dump` takes its restriction back behind the marker, `pg_dumpall` before it.
    match last("\\unrestrict ") {
        Some(at) if at > end => dump.trim_ascii_end().len(),
        _ => end,
    }
}

#[test]
fn pg_dump_that_fails_at_any_place_in_any_way_is_never_a_backup() {
    let database = database();
    let dump = dump("pg_dump", &["-d", &database.name]);
    let stage = stage("pg_dump", &dump);
    let mut source = Asked::new(PostgresSource::new(options(&database, &stage)));
    let mut bench = Bench::new();
    stage.order_whole("exit 0");
    bench.succeeds(&mut source, "the whole dump");
    let named: Vec<usize> = [
        "-- PostgreSQL database dump\n",
        "\\restrict ",
        "COPY public.",
        "\n\\.\n",
        "$$",
        "-- PostgreSQL database dump complete",
        "\\unrestrict ",
        "ALTER TABLE ONLY",
    ]
    .iter()
    .flat_map(|text| around(&dump, text))
    .collect();
    let places = places(&dump, &named, end_of(&dump, "-- PostgreSQL database dump complete"), 1);
    fail_everywhere(&stage, &mut source, &bench, &places);
    // Right behind each line that looks like the end and is data.
    let marker = b"-- PostgreSQL database dump complete\n";
    let lines: Vec<usize> = memchr::memmem::find_iter(&dump, marker)
        .map(|at| at + marker.len())
        .collect();
    assert!(lines.len() >= 4, "{lines:?}");
    for cut in &lines[..lines.len() - 1] {
        for more in [0, "--\n".len(), "--\n\n".len()] {
            stage.order_cut(cut + more, Way::ExitsWell);
            bench.fails(&mut source, &format!("a marker in the data before {cut}"));
        }
    }
    bench.report("pg_dump");
}

#[test]
fn pg_dump_of_an_archive_that_fails_at_any_place_in_any_way_is_never_a_backup() {
    let database = database();
    let dump = dump("pg_dump", &["-Fc", "-Z0", "-d", &database.name]);
    let stage = stage("pg_dump", &dump);
    let mut source = Asked::new(PostgresSource::new(PostgresOptions {
        format: DumpFormat::Custom,
        ..options(&database, &stage)
    }));
    let mut bench = Bench::new();
    stage.order_whole("exit 0");
    bench.succeeds(&mut source, "the whole archive");
    let named = around(&dump, "COPY public.");
    let places = places(&dump, &named, dump.len(), 2);
    for (at, cut) in places.iter().enumerate() {
        // The archive's own reader is asked each time; it is the truncated one with a good status that it is for.
        for way in [Way::ExitsWell, Way::CUT[1 + at % (Way::CUT.len() - 1)]] {
            stage.order_cut(*cut, way);
            bench.fails(&mut source, &format!("{cut} of {} bytes, then {way:?}", dump.len()));
        }
    }
    fail_whole(&stage, &mut source, &bench);
    bench.report("pg_dump --format=custom");
}

#[test]
fn pg_dumpall_that_fails_at_any_place_in_any_way_is_never_a_backup() {
    let database = database();
    let dump = dump("pg_dumpall", &["--globals-only", "-l", &database.name]);
    let stage = stage("pg_dumpall", &dump);
    let mut source = Asked::new(GlobalsSource::new(GlobalsOptions {
        url: PostgresUrl::parse(&database.url()).expect("a URL"),
        client_folder: Some(stage.folder().to_owned()),
    }));
    let mut bench = Bench::new();
    stage.order_whole("exit 0");
    bench.succeeds(&mut source, "all of it");
    let end = end_of(&dump, "-- PostgreSQL database cluster dump complete");
    let places = places(&dump, &around(&dump, "cluster dump"), end, 3);
    for (at, cut) in places.iter().enumerate() {
        for way in [Way::ExitsWell, Way::CUT[1 + at % (Way::CUT.len() - 1)]] {
            stage.order_cut(*cut, way);
            bench.fails(&mut source, &format!("{cut} bytes, then {way:?}"));
        }
    }
    fail_whole(&stage, &mut source, &bench);
    bench.report("pg_dumpall --globals-only");
}

/// Tells the calls of one parallel dump apart, whatever its snapshot is called.
const BY_CALL: &str =
    "call=$(for word in \"$@\"; do case $word in --snapshot=*) ;; *) printf '%s\\n' \"$word\" ;; esac; done | cksum)
call=${call%% *}
";

#[test]
fn workers_of_a_parallel_dump_that_fail_at_any_place_in_any_way_are_never_a_backup() {
    let database = database();
    database.psql(
        "CREATE TABLE large AS SELECT n, md5(n::text) || 'ü' AS v FROM generate_series(1, 6000) n;
         CREATE TABLE larger AS SELECT n, md5(n::text) || md5((-n)::text) AS v FROM generate_series(1, 6000) n; ANALYZE;",
    );
    let stage = stage("pg_dump", b"");
    let mut source = Asked::new(PostgresSource::new(PostgresOptions {
        jobs: 3,
        ..options(&database, &stage)
    }));
    let mut bench = Bench::new();
    // What each call of the real one writes is kept.
    stage.order(&format!(
        "{BY_CALL}set -e\n'{}' \"$@\" >\"$AT/dump.$call\"\ncat \"$AT/dump.$call\"\n",
        server_programs().join("pg_dump").display()
    ));
    bench.succeeds(&mut source, "the whole dump");
    let mut calls: BTreeMap<String, Vec<u8>> = BTreeMap::new();
    for entry in std::fs::read_dir(stage.folder()).expect("the folder") {
        let entry = entry.expect("an entry");
        if let Some(call) = entry.file_name().to_str().and_then(|name| name.strip_prefix("dump.")) {
            calls.insert(call.to_owned(), std::fs::read(entry.path()).expect("a dump"));
        }
    }
    // What stands before the rows, the rows of several workers, and what comes after.
    assert!(calls.len() >= 4, "{:?}", calls.keys());
    let rest = format!("{BY_CALL}exec cat \"$AT/dump.$call\"\n");
    stage.order(&rest);
    bench.succeeds(&mut source, "the whole dump, replayed");
    let order = |call: &str, first: &str, then: &str| {
        stage.order(&format!(
            "{BY_CALL}if [ $call = {call} ]; then\n{first}\n{then}\nfi\nexec cat \"$AT/dump.$call\"\n"
        ));
    };
    let mut at = 0;
    for (call, dump) in &calls {
        let end = end_of(dump, "-- PostgreSQL database dump complete");
        let places = places(dump, &around(dump, "COPY public."), end, 4);
        // A hundred places among all the calls.
        let step = if tries_all() { 1 } else { calls.len() };
        for cut in places.iter().step_by(step) {
            let ways = if tries_all() {
                &Way::CUT[..]
            } else {
                &Way::CUT[at % Way::CUT.len()..][..1]
            };
            for way in ways {
                order(call, &format!("head -c {cut} \"$AT/dump.$call\""), &way.script());
                bench.fails(&mut source, &format!("{cut} bytes of call {call}, then {way:?}"));
            }
            at += 1;
        }
        for then in ["exit 1", "kill -s KILL $$", "exec >&-; sleep 0.05; exit 1"] {
            order(call, "cat \"$AT/dump.$call\"", then);
            bench.fails(&mut source, &format!("all of call {call}, then {then}"));
        }
        order(call, "cat \"$AT/dump.$call\"", "exec >&-; exec sleep 1000");
        bench.hangs(&mut source, &format!("all of call {call}, and no end"));
    }
    assert!(at >= PLACES, "{at}");
    bench.report("pg_dump by workers");
}

/// As for PostgreSQL. The bodies of routines and names are written as they are, so a line of theirs may be the marker.
const MARIADB_CONTENT: &str =
    "CREATE TABLE plain AS SELECT seq AS id, repeat('größe € 😀 ', seq % 9) AS v FROM seq_1_to_600;
    CREATE TABLE marked (v text) COMMENT 'x\n-- Dump completed on 2026-01-02  3:04:05\n';
    INSERT INTO marked VALUES ('-- Dump completed'), ('a\n-- Dump completed on 2026-01-02  3:04:05\nb');
    CREATE TABLE `odd
-- Dump completed on 2026-01-02  3:04:05
name` (id int);
    CREATE TABLE other AS SELECT seq AS n, md5(seq) AS v FROM seq_1_to_700;
    DELIMITER $$
    CREATE PROCEDURE p() BEGIN
-- Dump completed on 2026-01-02  3:04:05
    SELECT '
-- Dump completed on 2026-01-02  3:04:05
'; END $$
    CREATE TRIGGER t BEFORE INSERT ON other FOR EACH ROW BEGIN
-- Dump completed on 2026-01-02  3:04:05
    SET NEW.n = 1; END $$
    CREATE EVENT e ON SCHEDULE EVERY 1 DAY DISABLE DO BEGIN
-- Dump completed on 2026-01-02  3:04:05
    SELECT 1; END $$
    DELIMITER ;
    CREATE VIEW seen AS SELECT '
-- Dump completed on 2026-01-02  3:04:05
' AS v;";

#[test]
fn mariadb_dump_that_fails_at_any_place_in_any_way_is_never_a_backup() {
    let database = mariadb::Database::fresh();
    database.sql(MARIADB_CONTENT);
    let stage = Stage::new("mariadb-dump", &system_tool("mariadb-dump"), b"");
    stage.script(
        "mariadb",
        &format!("#!/bin/sh\nexec '{}' \"$@\"\n", system_tool("mariadb").display()),
    );
    let mut source = Asked::new(MysqlSource::new(MysqlOptions {
        url: MysqlUrl::parse(&database.url()).expect("a URL"),
        client_folder: Some(stage.folder().to_owned()),
        ..MysqlOptions::default()
    }));
    let mut bench = Bench::new();
    // As the tool itself asks for it.
    stage.order(&format!(
        "set -e\n'{}' \"$@\" >\"$AT/dump\"\ncat \"$AT/dump\"\n",
        system_tool("mariadb-dump").display()
    ));
    bench.succeeds(&mut source, "the whole dump");
    let dump = std::fs::read(stage.path("dump")).expect("the dump");
    let marker = "-- Dump completed";
    let end = memchr::memmem::rfind(&dump, marker.as_bytes()).expect("the marker") + marker.len();
    let named: Vec<usize> = [
        "-- MariaDB dump",
        "INSERT INTO",
        "DELIMITER ;;",
        "CREATE TABLE",
        "UNLOCK TABLES",
        "DELIMITER ;\n",
    ]
    .iter()
    .flat_map(|text| around(&dump, text))
    .chain([end - marker.len(), end - marker.len() - 1])
    .collect();
    let places = places(&dump, &named, end, 5);
    fail_everywhere(&stage, &mut source, &bench, &places);
    // Right behind each line that looks like the end and is none.
    let lines: Vec<usize> = memchr::memmem::find_iter(&dump[..end - marker.len()], format!("\n{marker}").as_bytes())
        .map(|at| at + 1)
        .collect();
    assert!(lines.len() >= 4, "{lines:?}");
    for start in lines {
        let line = memchr::memchr(b'\n', &dump[start..]).expect("a line end");
        for cut in [start + marker.len(), start + line, start + line + 1] {
            stage.order_cut(cut, Way::ExitsWell);
            bench.fails(&mut source, &format!("a marker in the dump, before {cut}"));
        }
    }
    bench.report("mariadb-dump");
}

/// Where the programs of a version that does not suit the server lie: its answer, and nothing else, is another.
#[test]
fn a_dumper_older_than_its_server_is_refused_before_it_writes_an_empty_dump() {
    let database = database();
    let stage = stage("pg_dump", b"");
    let old: PathBuf = stage.path("pg_dump");
    std::fs::write(
        &old,
        "#!/bin/sh\ncase \"$*\" in *--version*) echo 'pg_dump (PostgreSQL) 9.6.24'; exit ;; esac\nexit 0\n",
    )
    .expect("a script");
    let store: std::sync::Arc<dyn backup_cli::store::Store> =
        std::sync::Arc::new(backup_cli::store::memory::MemoryStore::new());
    let (run, _) = crate::support::library::run_at("2026-01-02T03:04:05Z");
    let mut source = PostgresSource::new(options(&database, &stage));
    let failure = backup_cli::ops::backup::backup(
        &store,
        &mut source,
        &crate::support::library::options("old", None),
        &run,
    )
    .map(|done| done.manifest)
    .expect_err("it is refused");
    assert_eq!(failure.kind(), backup_cli::base::failure::Kind::Tool, "{failure:?}");
    assert!(failure.message().contains("9.6"), "{failure:?}");
}
