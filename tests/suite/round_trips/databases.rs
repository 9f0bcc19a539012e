//! The ways to bring a database back: beside what is there, in its place, and not at all if anything is wrong.

use super::{EVERY_OBJECT, Restored, back_up, id_of};
use crate::support::cli::Cli;
use crate::support::place::{Place, PlaceKind};
use crate::support::postgres::{Database, PASSWORD, PostgresServer};

/// The other databases that a restore to `name` has made: kept ones and leftovers.
fn relatives(name: &str) -> Vec<String> {
    let begin = format!("{name}__");
    let mut all = PostgresServer::shared().databases();
    all.retain(|other| other.starts_with(&begin));
    all
}

fn names(cli: &Cli, name: &str) -> Vec<String> {
    let rows = cli.run(["list", "--json", "--name", name]).success().json();
    let rows = rows.as_array().expect("a list");
    rows.iter()
        .map(|row| row["id"].as_str().expect("an id").to_owned())
        .collect()
}

#[test]
fn a_replaced_database_is_backed_up_first_and_kept() {
    let server = PostgresServer::shared();
    for place in Place::both() {
        let cli = place.cli();
        let database = Database::fresh();
        database.psql("CREATE TABLE t (v text); INSERT INTO t VALUES ('then');");
        let then = database.dump();
        let id = back_up(&cli, &[&database.url()]);
        database.psql("UPDATE t SET v = 'now'; CREATE TABLE u AS SELECT 1 AS one;");
        database.psql(&format!(
            "ALTER DATABASE \"{}\" SET work_mem = '5MB'; COMMENT ON DATABASE \"{0}\" IS 'mine'",
            database.name
        ));
        let now = database.dump();
        let keys = place.keys();

        // Off a terminal nobody can be asked.
        cli.run(["restore", "--to", &database.url()])
            .exits_with(21)
            .stderr_has("--confirm")
            .nowhere(PASSWORD);
        let planned = cli
            .run(["restore", "--to", &database.url(), "--dry-run"])
            .success()
            .nowhere(PASSWORD);
        assert!(planned.stdout().contains("will be replaced"), "{planned}");
        assert_eq!(database.dump(), now);
        assert_eq!(place.keys(), keys);
        assert_eq!(relatives(&database.name), Vec::<String>::new());

        let run = cli
            .run(["restore", "--to", &database.url(), "--confirm", "--json"])
            .success()
            .nowhere(PASSWORD);
        let summary = run.json_lines().pop().expect("a summary");
        assert_eq!(summary["snapshot_id"], id.as_str());
        assert_eq!(database.dump(), then);
        let kept = relatives(&database.name);
        let _kept = Restored::named(&kept);
        assert_eq!(kept.len(), 1, "{kept:?}");
        assert!(kept[0].starts_with(&format!("{}__replaced_2", database.name)));
        assert_eq!(summary["replaced_as"], kept[0].as_str());
        assert_eq!(server.dump(&kept[0]), now);
        // What belongs to the database itself is in no dump, and stays.
        let own = "SELECT shobj_description(oid, 'pg_database'), current_setting('work_mem') \
             FROM pg_database WHERE datname = current_database()";
        assert_eq!(database.psql(own), "mine|5MB\n");

        let safety_name = format!("{}-before-restore", database.name);
        let safety = names(&cli, &safety_name);
        assert_eq!(safety.len(), 1);
        assert_eq!(summary["safety_backup"], safety[0].as_str());
        assert!(run.stderr().contains(&safety[0]), "{run}");
        // It is the newest of the store, and yet `latest` does not mean it.
        let latest = cli.run(["show", "--json"]).success().json();
        assert_eq!(latest["id"], id.as_str());
        let back = format!("{}-back", database.name);
        let _back = Restored::named(std::slice::from_ref(&back));
        cli.run(["restore", &format!("{safety_name}@latest"), "--to", &server.url(&back)])
            .success();
        assert_eq!(server.dump(&back), now);
    }
}

#[test]
fn what_is_replaced_is_dropped_and_not_backed_up_if_the_user_says_so() {
    let place = Place::fresh(PlaceKind::Folder);
    let cli = place.cli();
    let database = Database::fresh();
    database.psql("CREATE TABLE t AS SELECT 1 AS v");
    let then = database.dump();
    back_up(&cli, &[&database.url()]);
    database.psql("UPDATE t SET v = 2");
    let keys = place.keys();
    let run = cli
        .run([
            "restore",
            "--to",
            &database.url(),
            "--confirm",
            "--drop-replaced",
            "--no-safety-backup",
        ])
        .success();
    assert!(run.stderr().contains("No safety backup"), "{run}");
    assert_eq!(database.dump(), then);
    assert_eq!(relatives(&database.name), Vec::<String>::new());
    assert_eq!(place.keys(), keys);
    // An empty database is no loss: nothing to confirm, to back up or to keep.
    let empty = Database::fresh();
    cli.run(["restore", "--to", &empty.url()]).success();
    assert_eq!(empty.dump(), then);
    assert_eq!(place.keys(), keys);
    // A session on the database is ended, and the application goes on with the restored one.
    database.psql("UPDATE t SET v = 3");
    let server = PostgresServer::shared();
    let mut session = server
        .program("psql")
        .args(["-XAtqw", "-d", &database.name, "-c", "SELECT pg_sleep(60)"])
        .env("PGPASSWORD", PASSWORD)
        .stdout(std::process::Stdio::null())
        .stderr(std::process::Stdio::null())
        .spawn()
        .expect("psql starts");
    let asked = format!(
        "SELECT count(*) FROM pg_stat_activity WHERE datname = '{}' AND query LIKE '%pg_sleep%'",
        database.name
    );
    while server.psql("postgres", &asked) != "1\n" {
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    cli.run([
        "restore",
        "--to",
        &database.url(),
        "-y",
        "--drop-replaced",
        "--no-safety-backup",
    ])
    .success();
    assert!(!session.wait().expect("psql ends").success());
    assert_eq!(database.dump(), then);
}

#[test]
fn a_restore_that_fails_half_way_leaves_the_database_alone() {
    let broken = [
        // The server refuses a statement in the middle.
        "CREATE TABLE t (v int);\nINSERT INTO t VALUES (1);\nSELECT 1 / 0;\nINSERT INTO t VALUES (2);\n",
        // The last one of all.
        "CREATE TABLE t (v int);\nINSERT INTO t VALUES ('no number');\n",
        // Rows that do not fit.
        "CREATE TABLE t (v int);\nCOPY t (v) FROM stdin;\n1\ntwo\n\\.\n",
        // At the commit itself.
        "CREATE TABLE t (v int PRIMARY KEY);\nCREATE TABLE r (v int REFERENCES t DEFERRABLE INITIALLY DEFERRED);\nINSERT INTO r VALUES (1);\n",
        // It would leave its database.
        "CREATE TABLE t (v int);\n\\connect postgres\nCREATE TABLE stray (v int);\n",
        // It would end the transaction.
        "CREATE TABLE t (v int);\nCOMMIT;\nCREATE TABLE half (v int);\nSELECT 1 / 0;\n",
        // It would run a program.
        "CREATE TABLE t (v int);\n\\! touch stray\n",
    ];
    for place in Place::both() {
        let cli = place.cli();
        let database = Database::fresh();
        database.psql("CREATE TABLE live (v int); INSERT INTO live VALUES (42);");
        let before = database.dump();
        // Where the dump comes from makes no difference to what the server refuses.
        let tried = if place.kind == PlaceKind::Folder {
            &broken[..]
        } else {
            &broken[..2]
        };
        for dump in tried.iter().copied() {
            let run = cli
                .command(["backup", "--json", "-", "--stdin-name", "dump.sql"])
                .input(dump)
                .run()
                .success();
            let id = id_of(&run);
            let failed = cli.run([
                "restore",
                &id,
                "--to",
                &database.url(),
                "--confirm",
                "--no-safety-backup",
            ]);
            assert!([1, 20, 21].contains(&failed.code()), "{dump}\n{failed}");
            assert!(failed.stderr().contains("Error: "), "{failed}");
            assert!(!cli.home().join("stray").exists());
            assert_eq!(database.dump(), before, "{dump}\n{failed}");
            assert_eq!(relatives(&database.name), Vec::<String>::new(), "{dump}\n{failed}");
            // Nor does a database come into being that was not there.
            let fresh = format!("{}-fresh", database.name);
            let failed = cli.run(["restore", &id, "--to", &PostgresServer::shared().url(&fresh)]);
            assert!([1, 20, 21].contains(&failed.code()), "{dump}\n{failed}");
            assert!(
                !PostgresServer::shared().databases().contains(&fresh),
                "{dump}\n{failed}"
            );
        }
        assert_eq!(
            PostgresServer::shared().psql("postgres", "SELECT count(*) FROM pg_class WHERE relname = 'stray'"),
            "0\n"
        );
    }
}

#[test]
fn a_truncated_or_damaged_object_leaves_the_database_alone() {
    for place in Place::both() {
        let cli = place.cli();
        let database = Database::fresh();
        database.psql("CREATE TABLE t AS SELECT n, md5(n::text) AS m FROM generate_series(1, 40000) n");
        let id = back_up(&cli, &[&database.url()]);
        let before = database.dump();
        let key = place.data_key();
        let whole = place.shell(&place.reading(&key), &[]);
        let mut flipped = whole.clone();
        let middle = flipped.len() / 2;
        flipped[middle] ^= 4;
        for damaged in [whole[..middle].to_vec(), flipped, whole[..whole.len() - 9].to_vec()] {
            if place.kind == PlaceKind::Folder {
                std::fs::write(place.store_folder().join(&key), damaged).expect("the file is written");
            } else {
                place.bucket().put(&key, &damaged);
            }
            cli.run([
                "restore",
                &id,
                "--to",
                &database.url(),
                "--confirm",
                "--no-safety-backup",
            ])
            .exits_with(20);
            assert_eq!(database.dump(), before);
            assert_eq!(relatives(&database.name), Vec::<String>::new());
        }
    }
}

#[test]
fn a_dump_goes_into_a_file_as_it_is() {
    for place in Place::both() {
        let cli = place.cli();
        let database = Database::fresh();
        database.psql(EVERY_OBJECT);
        let id = back_up(&cli, &[&database.url()]);
        cli.run(["restore", &id, "--to", "dump.sql"]).success();
        let file = std::fs::read(cli.home().join("dump.sql")).expect("the file");
        let stock = place.shell(&format!("{} | gunzip", place.reading(&place.data_key())), &[]);
        assert!(file == stock, "the file is not the dump");
        // A folder cannot hold a database.
        std::fs::create_dir(cli.home().join("folder")).expect("a folder");
        cli.run(["restore", &id, "--to", "folder"])
            .exits_with(2)
            .stderr_has("SQL");
    }
}

#[test]
fn a_time_chooses_the_state_of_a_database() {
    let place = Place::fresh(PlaceKind::UnknownS3);
    let server = PostgresServer::shared();
    let database = Database::fresh();
    let cli = place.cli().env("DATABASE_URL", database.url());
    let mut dumps = Vec::new();
    for state in ["first", "second"] {
        database.psql(&format!("CREATE TABLE {state} (v int)"));
        dumps.push(database.dump());
        // The database of DATABASE_URL, since nothing else is named.
        back_up(&cli, &[]);
    }
    let listed = cli.run(["list", "--json"]).success().json();
    let time = listed[1]["time"].as_str().expect("a time");
    let target = format!("{}-at", database.name);
    let _restored = Restored::named(std::slice::from_ref(&target));
    cli.run(["restore", "--at", time, "--to", &server.url(&target)])
        .success();
    assert_eq!(server.dump(&target), dumps[0]);
    cli.run(["restore", "--to", &server.url(&target), "-y"]).success();
    assert_eq!(server.dump(&target), dumps[1]);
    let _kept = Restored::named(&relatives(&target));
}
