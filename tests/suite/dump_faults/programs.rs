//! SQLite, any command, and standard input: what can be known of their end.

use std::path::Path;
use std::process::Command;

use backup_cli::source::command::CommandSource;
use backup_cli::source::sqlite::{SqliteOptions, SqliteSource};

use super::stage::{Asked, Bench, Stage, Way, around, fail_everywhere, fail_whole, places, tries_all};
use crate::support::place::{Place, PlaceKind};
use crate::support::server::fresh_folder;
use crate::support::system_tool;
use crate::support::trees::Noise;

const POSTGRES: &[u8] = include_bytes!("../../../src/source/postgres/samples/restricted.sql");
const MARIADB: &[u8] = include_bytes!("../../../src/source/mysql/tests/mariadb.sql");

/// A database of several pages of every kind, with a text in it that looks like the end of its script.
fn make_database(path: &Path) {
    let content = "CREATE TABLE item (id INTEGER PRIMARY KEY, name TEXT, content TEXT);
        WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 150)
        INSERT INTO item SELECT i, 'größe € ' || i, hex(randomblob(i)) FROM n;
        INSERT INTO item (name) VALUES ('x' || char(10) || 'COMMIT;' || char(10));
        CREATE INDEX item_name ON item (name);
        CREATE TRIGGER t AFTER INSERT ON item BEGIN
/* it's
COMMIT;
*/
        SELECT 1; END;
        CREATE VIEW \"odd
COMMIT;
name\" AS SELECT 1;";
    sqlite(path, content);
}

fn sqlite(path: &Path, words: &str) -> Vec<u8> {
    let output = Command::new(system_tool("sqlite3"))
        .arg(path)
        .arg(words)
        .output()
        .expect("sqlite3 starts");
    output.stdout
}

#[test]
fn a_database_file_that_was_cut_off_anywhere_is_never_a_backup() {
    let folder = fresh_folder("cut");
    let path = folder.path().join("app.db");
    make_database(&path);
    let whole = std::fs::read(&path).expect("the database");
    let mut bench = Bench::new();
    bench.succeeds(
        &mut SqliteSource::new(SqliteOptions::new(path.clone())),
        "the whole file",
    );
    let edges: Vec<usize> = (1..whole.len() / 4096)
        .flat_map(|page| [page * 4096 - 1, page * 4096])
        .collect();
    for cut in places(&whole, &edges, whole.len(), 6) {
        let path = folder.path().join(format!("cut-{cut}.db"));
        std::fs::write(&path, &whole[..cut]).expect("a file");
        bench.fails(
            &mut SqliteSource::new(SqliteOptions::new(path)),
            &format!("{cut} of {} bytes", whole.len()),
        );
    }
    bench.report("a cut SQLite file");
}

#[test]
fn sqlite3_dump_by_a_command_that_fails_at_any_place_in_any_way_is_never_a_backup() {
    let folder = fresh_folder("dump");
    let path = folder.path().join("app.db");
    make_database(&path);
    let dump = sqlite(&path, ".dump");
    let (stage, mut source, mut bench) = commanded("sql", &dump);
    bench.succeeds(&mut source, "the whole script");
    let end = memchr::memmem::rfind(&dump, b"COMMIT;").expect("the end") + "COMMIT;".len();
    // Without its first line nobody can tell what it was going to be.
    let begun = "PRAGMA foreign_keys=OFF;".len();
    let named: Vec<usize> = ["COMMIT;\n", "BEGIN TRANSACTION;", "CREATE TRIGGER"]
        .iter()
        .flat_map(|text| around(&dump[begun..], text))
        .collect();
    let places: Vec<usize> = places(&dump[begun..], &named, end - begun, 7)
        .iter()
        .map(|at| at + begun)
        .collect();
    fail_everywhere(&stage, &mut source, &bench, &places);
    // A shell that finds damage exits with 0 all the same, and says so in its script alone.
    let mut damaged = std::fs::read(&path).expect("the database");
    damaged[4096..8192].fill(0xa5);
    std::fs::write(&path, damaged).expect("the database");
    let script = sqlite(&path, ".dump");
    assert!(
        script.ends_with(b"ROLLBACK; -- due to errors\n"),
        "{}",
        String::from_utf8_lossy(&script)
    );
    std::fs::write(stage.path("dump"), &script).expect("the script");
    stage.order_whole("exit 0");
    bench.fails(&mut source, "a script that ends in a rollback");
    bench.report("sqlite3 .dump by --command");
}

/// A command that writes this, with orders to write all of it.
fn commanded(extension: &str, content: &[u8]) -> (Stage, Asked<CommandSource>, Bench) {
    let stage = Stage::new("dumper", Path::new("/bin/false"), content);
    let argv = vec![stage.path("dumper").to_str().expect("a path").to_owned()];
    stage.order_whole("exit 0");
    (
        stage,
        Asked::new(CommandSource::new(argv, false, extension.to_owned())),
        Bench::new(),
    )
}

#[test]
fn a_command_that_fails_at_any_place_in_any_way_is_never_a_backup_where_its_content_tells() {
    for (of, dump, marker) in [
        ("pg_dump by --command", POSTGRES, "\\unrestrict "),
        ("mariadb-dump by --command", MARIADB, "-- Dump completed"),
    ] {
        let (stage, mut source, mut bench) = commanded("sql", dump);
        bench.succeeds(&mut source, "the whole dump");
        let marker = memchr::memmem::rfind(dump, marker.as_bytes()).expect("the marker") + marker.len();
        // Without its first line nobody can tell what it was going to be.
        let begun = 100;
        let named = around(dump, "CREATE TABLE");
        let places: Vec<usize> = places(&dump[begun..], &named, marker - begun, 8)
            .iter()
            .map(|at| at + begun)
            .collect();
        fail_everywhere(&stage, &mut source, &bench, &places);
        bench.report(of);
    }
}

#[test]
fn a_command_of_any_content_that_does_not_end_well_is_never_a_backup() {
    let content = Noise::new(9).bytes(70_000);
    let (stage, mut source, mut bench) = commanded("bin", &content);
    bench.succeeds(&mut source, "all of it");
    for cut in places(&content, &[], content.len(), 9) {
        for way in Way::CUT.into_iter().filter(|way| way.is_told()) {
            stage.order_cut(cut, way);
            bench.fails(&mut source, &format!("{cut} bytes, then {way:?}"));
        }
    }
    fail_whole(&stage, &mut source, &bench);
    for then in [
        "exit 0",
        "exec >&-; sleep 0.05; exit 0",
        "echo 'error: no rows' >&2; exit 0",
    ] {
        stage.order(then);
        bench.fails(&mut source, &format!("nothing, then {then}"));
    }
    bench.report("any content by --command");
}

#[test]
fn standard_input_that_ends_at_any_place_of_a_dump_is_never_a_backup() {
    let folder = fresh_folder("piped");
    let path = folder.path().join("app.db");
    make_database(&path);
    let sqlite = sqlite(&path, ".dump");
    let place = Place::fresh(PlaceKind::Folder);
    let cli = place.cli();
    std::fs::create_dir_all(place.store_folder()).expect("a folder");
    let mut runs = 0;
    for (dump, marker) in [
        (POSTGRES, "\\unrestrict "),
        (MARIADB, "-- Dump completed"),
        (sqlite.as_slice(), "COMMIT;"),
    ] {
        let end = memchr::memmem::rfind(dump, marker.as_bytes()).expect("the marker") + marker.len();
        let begun = 100;
        let all = places(&dump[begun..], &[], end - begun, 10);
        // A hundred places among the three; each is a run of the program itself.
        for cut in all.iter().map(|at| at + begun).step_by(if tries_all() { 1 } else { 3 }) {
            let run = cli
                .command(["backup", "-", "--stdin-name", "db.sql"])
                .input(&dump[..cut])
                .run()
                .exits_with(1);
            assert_eq!(place.leftovers(), Vec::<String>::new(), "{cut}: {run}");
            runs += 1;
        }
    }
    let _ = std::io::Write::write_all(
        &mut std::io::stderr(),
        format!("faults of standard input: {runs} failing runs, 0 false completes\n").as_bytes(),
    );
    assert!(runs >= 100, "{runs}");
}
