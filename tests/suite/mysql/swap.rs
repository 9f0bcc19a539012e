//! A database that is replaced: kept beside, backed up first, and as it was if anything fails at any step.

use super::{EVERY_OBJECT, Programs, asleep, pretty_assertions_eq, restore, stored};
use crate::round_trips::back_up;
use crate::support::mariadb::{Database, MariaDbServer, PASSWORD};
use crate::support::place::{Place, PlaceKind};

/// Another state of [`EVERY_OBJECT`]'s database: something of every kind is other, gone or new.
const CHANGES: &str = r#"
DROP VIEW aview; CREATE VIEW other AS SELECT 1 AS one; DROP TRIGGER after_child; DELETE FROM child;
CREATE TRIGGER later BEFORE UPDATE ON child FOR EACH ROW SET @z = 1;
DROP FUNCTION plain; CREATE FUNCTION plain(a int) RETURNS int DETERMINISTIC RETURN a;
CREATE PROCEDURE added() SELECT 1; DROP EVENT asleep; ALTER TABLE empty ADD b int; CREATE TABLE added (a int);
CREATE EVENT ticking ON SCHEDULE EVERY 1 DAY STARTS '2037-01-01 00:00:00' DO SELECT 2; DROP TABLE latin;
"#;

#[test]
fn a_replaced_database_is_backed_up_first_and_kept() {
    let server = MariaDbServer::shared();
    for place in Place::both() {
        let cli = place.cli();
        let database = Database::fresh();
        database.sql(EVERY_OBJECT);
        database.sql("CREATE ROLE IF NOT EXISTS callers; GRANT EXECUTE ON PROCEDURE touch TO callers");
        let then = database.dump();
        let id = back_up(&cli, &[&database.url()]);
        database.sql(CHANGES);
        let now = database.dump();

        // Off a terminal nobody can be asked.
        cli.run(["restore", "--to", &database.url()])
            .exits_with(21)
            .stderr_has("--confirm")
            .nowhere(PASSWORD);
        let planned = cli.run(["restore", "--to", &database.url(), "--dry-run"]).success();
        assert!(planned.stdout().contains("will be replaced"), "{planned}");
        pretty_assertions_eq(&database.dump(), &now);
        assert_eq!(database.relatives(), Vec::<String>::new());

        let globals =
            "SELECT @@global.sql_mode, @@global.foreign_key_checks, @@global.event_scheduler, @@global.time_zone";
        let settings = server.sql("", globals);
        let run = cli
            .run(["restore", "--to", &database.url(), "--confirm", "--json"])
            .success()
            .nowhere(PASSWORD);
        let summary = run.json_lines().pop().expect("a summary");
        assert_eq!(summary["snapshot_id"], id.as_str());
        pretty_assertions_eq(&database.dump(), &then);
        assert_eq!(server.sql("", globals), settings);
        let kept = database.relatives();
        assert_eq!(kept.len(), 1, "{kept:?}");
        assert!(kept[0].starts_with(&format!("{}__replaced_2", database.name)));
        assert_eq!(summary["replaced_as"], kept[0].as_str());
        // All of it, but events do not run beside the application.
        let same = |dump: String| dump.replace(&format!("nextval(`{}`.", database.name), "nextval(`DATABASE`.");
        pretty_assertions_eq(&same(server.dump(&kept[0])), &asleep(&now));
        // Rights on routines that did not change are in no dump, and stay.
        assert!(server.sql("", "SHOW GRANTS FOR callers").contains("`touch`"));
        // An application goes on: triggers fire, routines run, sequences count.
        assert_eq!(
            database.sql("INSERT INTO child (id) VALUES (3); SELECT p FROM child WHERE id = 3"),
            "1\n"
        );
        assert_eq!(database.sql("SELECT p FROM aview WHERE id = 1"), "é;1\n");
        database.sql("INSERT INTO counted (v) VALUES (3)");

        let safety_name = format!("{}-before-restore", database.name);
        let safety = summary["safety_backup"].as_str().expect("an id").to_owned();
        assert!(
            safety.starts_with(&safety_name) && run.stderr().contains(&safety),
            "{run}"
        );
        let back = format!("{}-back", database.name);
        restore(&cli, &format!("{safety_name}@latest"), &server.url(&back), &[]).success();
        pretty_assertions_eq(
            &server
                .dump(&back)
                .replace(&format!("nextval(`{back}`."), "nextval(`DATABASE`."),
            &now,
        );
    }
}

#[test]
fn what_is_replaced_is_dropped_and_not_backed_up_if_the_user_says_so() {
    let server = MariaDbServer::shared();
    let place = Place::fresh(PlaceKind::Folder);
    let cli = place.cli();
    let database = Database::fresh();
    database.sql("CREATE TABLE t (v int); INSERT INTO t VALUES (1)");
    let then = database.dump();
    let id = back_up(&cli, &[&database.url()]);
    database.sql("UPDATE t SET v = 2");
    let keys = place.keys();
    let run = restore(
        &cli,
        &id,
        &database.url(),
        &["--confirm", "--drop-replaced", "--no-safety-backup"],
    )
    .success();
    assert!(run.stderr().contains("No safety backup"), "{run}");
    assert_eq!(database.dump(), then);
    assert_eq!(database.relatives(), Vec::<String>::new());
    assert_eq!(place.keys(), keys);
    // An empty database is no loss: nothing to confirm, to back up or to keep.
    let empty = Database::fresh();
    restore(&cli, &id, &empty.url(), &[]).success();
    assert_eq!(empty.dump(), then);
    assert_eq!((empty.relatives(), place.keys()), (Vec::new(), keys));
    // Keys of other databases would go with the replaced tables.
    let other = Database::fresh();
    database.sql("ALTER TABLE t ADD PRIMARY KEY (v)");
    other.sql(&format!(
        "CREATE TABLE r (v int, FOREIGN KEY (v) REFERENCES `{}`.t (v))",
        database.name
    ));
    let run = restore(&cli, &id, &database.url(), &["--confirm"]).exits_with(21);
    assert!(run.stderr().contains(&format!("{}.r", other.name)), "{run}");
    other.sql("DROP TABLE r");
    // A session that holds a table keeps it; nothing happens to either.
    let before = database.dump();
    let mut holder = server
        .program("mariadb", crate::support::mariadb::USER, PASSWORD)
        .args([&database.name, "-e", "BEGIN; SELECT * FROM t; SELECT SLEEP(600)"])
        .stdout(std::process::Stdio::null())
        .stderr(std::process::Stdio::null())
        .spawn()
        .expect("mariadb starts");
    let held = format!(
        "SELECT count(*) FROM information_schema.PROCESSLIST WHERE DB = '{}' AND INFO LIKE '%SLEEP(600)%' AND ID <> CONNECTION_ID()",
        database.name
    );
    while server.sql("", &held) != "1\n" {
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    let programs = Programs::new(&[(
        "mariadb",
        "sed -u 's/lock_wait_timeout = 30/lock_wait_timeout = 1/' | $REAL \"$@\"; exit ${PIPESTATUS[1]}",
    )]);
    let run = restore(
        &programs.cli(place.cli()),
        &id,
        &database.url(),
        &["--confirm", "--no-safety-backup"],
    )
    .exits_with(1);
    assert!(run.stderr().contains("Lock wait timeout"), "{run}");
    holder.kill().expect("mariadb ends");
    holder.wait().expect("mariadb has ended");
    assert_eq!(database.dump(), before);
    assert_eq!(database.relatives(), Vec::<String>::new());
}

/// Something of every kind, as little as that takes: its swap is tried many times.
const A_FEW_OBJECTS: &str = r#"
CREATE TABLE p (id int PRIMARY KEY); CREATE TABLE c (id int, FOREIGN KEY (id) REFERENCES p (id)); INSERT INTO p VALUES (1);
CREATE SEQUENCE s; CREATE TABLE d (id int DEFAULT nextval(s)); CREATE FUNCTION f() RETURNS int DETERMINISTIC RETURN 1;
CREATE VIEW zv AS SELECT id FROM p; CREATE VIEW av AS SELECT id, f() AS f FROM zv; CREATE PROCEDURE same() SELECT 1;
CREATE TRIGGER t BEFORE INSERT ON c FOR EACH ROW SET @a = 1;
CREATE EVENT e ON SCHEDULE EVERY 1 DAY STARTS '2037-01-01 00:00:00' DO SELECT 1;
"#;

/// What stands in their place when they are restored.
const OTHER_OBJECTS: &str = r#"
DROP VIEW av; DROP TABLE c; CREATE TABLE x (id int PRIMARY KEY); INSERT INTO x VALUES (2); INSERT INTO p VALUES (3);
DROP FUNCTION f; CREATE FUNCTION f() RETURNS int DETERMINISTIC RETURN 2; CREATE VIEW aw AS SELECT id FROM zv;
CREATE TRIGGER u BEFORE INSERT ON p FOR EACH ROW SET @a = 2; DROP EVENT e;
CREATE EVENT g ON SCHEDULE EVERY 1 DAY STARTS '2037-01-01 00:00:00' DO SELECT 2;
"#;

#[test]
fn a_swap_that_fails_at_any_step_is_undone() {
    let place = Place::fresh(PlaceKind::Folder);
    let database = Database::fresh();
    database.sql(A_FEW_OBJECTS);
    let then = database.dump();
    let id = back_up(&place.cli(), &[&database.url()]);
    database.sql(OTHER_OBJECTS);
    let before = database.dump();
    // Once the dump is loaded every run of the client counts; the one whose turn it is fails, before or after the
    // server has done its work.
    let script = "case \"$*\" in *--local-infile=0*) echo 0 >$AT/count; exec $REAL \"$@\" ;; esac
[ -e $AT/count ] || exec $REAL \"$@\"
n=$(($(cat $AT/count) + 1)); echo $n >$AT/count
[ $n = \"$FAILS\" ] || exec $REAL \"$@\"
if [ \"$HOW\" = before ]; then cat >/dev/null; else $REAL \"$@\" >/dev/null; fi
echo 'ERROR 2013 (HY000): lost on purpose' >&2; exit 1";
    let programs = Programs::new(&[("mariadb", script)]);
    let cli = programs.cli(place.cli());
    // To fail before a step leaves the server as it was after the step before.
    let tries = std::iter::once((1, "before")).chain((1..STEPS_MAX).map(|number| (number, "after")));
    for (failed, (number, how)) in tries.enumerate() {
        let _ = std::fs::remove_file(programs.path("count"));
        let run = cli
            .command([
                "restore",
                &id,
                "--to",
                &database.url(),
                "--confirm",
                "--no-safety-backup",
            ])
            .env("FAILS", number.to_string())
            .env("HOW", how)
            .run();
        if run.code() == 0 {
            pretty_assertions_eq(&database.dump(), &then);
            let count: u32 = programs.seen("count").trim().parse().expect("a number");
            if number >= count {
                // The last step only drops what is empty by then; what fails there is warned of.
                assert!(failed > 15, "{failed}");
                return;
            }
            // A view that stands on another one fails once in any case and is made when that is there.
            let server = MariaDbServer::shared();
            for name in database.relatives().iter().chain([&database.name]) {
                server.sql("", &format!("DROP DATABASE `{name}`"));
            }
            server.sql("", &format!("CREATE DATABASE `{}`", database.name));
            database.sql(A_FEW_OBJECTS);
            database.sql(OTHER_OBJECTS);
            continue;
        }
        assert_eq!(run.code(), 1, "{number} {how}\n{run}");
        pretty_assertions_eq(&database.dump(), &before);
        let left = database.relatives();
        assert!(left.is_empty(), "{number} {how} {left:?}\n{run}");
    }
    panic!("more than {STEPS_MAX} steps");
}

/// More steps than a swap has.
const STEPS_MAX: u32 = 60;

#[test]
fn a_restore_that_fails_half_way_leaves_the_database_alone() {
    let server = MariaDbServer::shared();
    let head = "-- MariaDB dump 10.19  Distrib 10.11.6-MariaDB\n--\n-- Host: h    Database: d\n";
    let broken = [
        // The server refuses a statement in the middle, the last one, rows that do not fit.
        (
            "CREATE TABLE t (v int);\nSELECT no_such_function(1);\nINSERT INTO t VALUES (2);\n",
            1,
        ),
        ("CREATE TABLE t (v int NOT NULL);\nINSERT INTO t VALUES (NULL);\n", 1),
        (
            "CREATE TABLE t (v int PRIMARY KEY, s text);\nINSERT INTO t VALUES (1,'private-data'),(1,'x');\n",
            1,
        ),
        // It would leave its database, change the server, or run a program.
        ("CREATE TABLE t (v int);\nUSE mysql;\nUSE test;\n", 21),
        ("CREATE TABLE t (v int);\nINSERT INTO mysql.user VALUES (1);\n", 21),
        ("CREATE TABLE t (v int);\nDROP DATABASE `other`;\nUSE `third`;\n", 21),
        ("CREATE TABLE t (v int);\nGRANT ALL ON *.* TO x;\n", 21),
        ("CREATE TABLE t (v int);\n\\! touch stray\n;\n", 21),
        ("CREATE TABLE t (v int);\nsystem touch stray\n;\n", 21),
        ("CREATE TABLE t (v int);\n/*! \\! touch stray\n*/;\n", 21),
        ("CREATE TABLE t (v int);\nsource /etc/passwd\n;\n", 21),
        (
            "CREATE TABLE t (v int);\nLOAD DATA LOCAL INFILE '/etc/passwd' INTO TABLE t;\n",
            21,
        ),
        ("CREATE TABLE t (v int);\nSET GLOBAL event_scheduler = OFF;\n", 21),
        // It is not SQL.
        ("CREATE TABLE t (v int);\nnonsense;\n", 21),
    ];
    for place in Place::both() {
        let cli = place.cli();
        let database = Database::fresh();
        database.sql("CREATE TABLE live (v int); INSERT INTO live VALUES (42); CREATE VIEW seen AS SELECT * FROM live");
        let before = database.dump();
        let tried = if place.kind == PlaceKind::Folder {
            &broken[..]
        } else {
            &broken[..2]
        };
        for (dump, code) in tried {
            let id = stored(&cli, &format!("{head}{dump}-- Dump completed on 2025-01-01\n"));
            let failed = restore(&cli, &id, &database.url(), &["--confirm", "--no-safety-backup"]).exits_with(*code);
            assert!(failed.stderr().contains("Hint: "), "{failed}");
            let failed = failed.nowhere("private-data");
            assert!(!cli.home().join("stray").exists());
            assert_eq!(database.dump(), before, "{dump}\n{failed}");
            assert_eq!(database.relatives(), Vec::<String>::new(), "{dump}\n{failed}");
            // Nor does a database come into being that was not there.
            let fresh = format!("{}-fresh", database.name);
            restore(&cli, &id, &server.url(&fresh), &[]).exits_with(*code);
            assert!(!server.databases().contains(&fresh), "{dump}\n{failed}");
        }
    }
}

#[test]
fn a_truncated_or_damaged_object_leaves_the_database_alone() {
    for place in Place::both() {
        let cli = place.cli();
        let database = Database::fresh();
        database.sql("CREATE TABLE t AS SELECT seq AS n, md5(seq) AS m FROM seq_1_to_40000");
        let id = back_up(&cli, &[&database.url()]);
        let before = database.dump();
        let key = place.data_key();
        let whole = place.shell(&place.reading(&key), &[]);
        let mut flipped = whole.clone();
        let middle = flipped.len() / 2;
        flipped[middle] ^= 4;
        // No statement may reach the server before the whole is known to be good: a client that is run to load fails the test.
        let programs = Programs::new(&[(
            "mariadb",
            "case \"$*\" in *--local-infile=0*) touch $AT/loaded ;; esac; exec $REAL \"$@\"",
        )]);
        let cli = programs.cli(cli);
        for damaged in [whole[..middle].to_vec(), flipped, whole[..whole.len() - 9].to_vec()] {
            if place.kind == PlaceKind::Folder {
                std::fs::write(place.store_folder().join(&key), damaged).expect("the file is written");
            } else {
                place.bucket().put(&key, &damaged);
            }
            restore(&cli, &id, &database.url(), &["--confirm", "--no-safety-backup"]).exits_with(20);
            assert_eq!(database.dump(), before);
            assert_eq!(database.relatives(), Vec::<String>::new());
            assert!(!programs.path("loaded").exists());
        }
    }
}

#[test]
fn events_of_a_backup_do_not_run_before_all_is_in_its_place() {
    let server = MariaDbServer::shared();
    let place = Place::fresh(PlaceKind::Folder);
    let database = Database::fresh();
    // One that would eat the rows as soon as it is made.
    database.sql(
        "CREATE TABLE t AS SELECT seq AS n FROM seq_1_to_50; CREATE TABLE log (at timestamp(6));
         CREATE EVENT hungry ON SCHEDULE EVERY 1 SECOND STARTS '2037-01-01 00:00:00' DO BEGIN END;",
    );
    let id = back_up(&place.cli(), &[&database.url()]);
    let dump = String::from_utf8(
        place
            .cli()
            .run(["restore", &id, "--to", "-"])
            .success()
            .stdout_bytes()
            .to_vec(),
    )
    .expect("UTF-8");
    let hungry = dump.replace("'2037-01-01 00:00:00'", "'2020-01-01 00:00:00'").replace(
        "DO BEGIN END",
        "DO INSERT INTO log SELECT now(6) FROM t WHERE n = (SELECT max(n) FROM t)",
    );
    let id = stored(&place.cli(), &hungry);
    // The client that loads takes its time after the events are made.
    let slow = Programs::new(&[(
        "mariadb",
        "case \"$*\" in *--local-infile=0*) $REAL \"$@\"; s=$?; sleep 2.5; exit $s ;; esac; exec $REAL \"$@\"",
    )]);
    let name = format!("{}-events", database.name);
    restore(&slow.cli(place.cli()), &id, &server.url(&name), &[]).success();
    let early: u32 = server
        .sql(&name, "SELECT count(*) FROM log")
        .trim()
        .parse()
        .expect("a number");
    assert!(early <= 1, "{early} runs of the event before the end of the restore");
    assert_eq!(
        server.sql(
            &name,
            "SELECT STATUS FROM information_schema.EVENTS WHERE EVENT_SCHEMA = database()"
        ),
        "ENABLED\n"
    );
}

#[test]
fn a_dated_name_that_is_taken_is_stepped_over() {
    let server = MariaDbServer::shared();
    let [_, folder] = Place::both();
    let cli = folder.cli();
    let database = Database::fresh();
    database.sql("CREATE TABLE old (i int)");
    back_up(&cli, &[&database.url()]);
    let now = jiff::Timestamp::now();
    let mut kept: Vec<String> = (0..8)
        .map(|seconds| {
            let at = now + jiff::SignedDuration::from_secs(seconds);
            format!("{}__replaced_{}", database.name, at.strftime("%Y%m%d_%H%M%S"))
        })
        .collect();
    for name in &kept {
        server.sql("", &format!("CREATE DATABASE `{name}`"));
    }
    let run = cli
        .run([
            "restore",
            "--to",
            &database.url(),
            "--confirm",
            "--json",
            "--no-safety-backup",
        ])
        .success();
    let summary = run.json_lines().pop().expect("a summary");
    let replaced = summary["replaced_as"].as_str().expect("a name").to_owned();
    assert!(!kept.contains(&replaced), "{replaced}");
    assert_eq!(server.sql(&replaced, "SELECT count(*) FROM old"), "0\n");
    kept.push(replaced);
    for name in &kept {
        server.sql("", &format!("DROP DATABASE `{name}`"));
    }
}
