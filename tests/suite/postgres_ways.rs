//! The other ways to back a PostgreSQL server up: a part of a database, archives for `pg_restore`, roles, every database.

use crate::round_trips::{EVERY_OBJECT, Restored, back_up, id_of};
use crate::support::place::{Place, PlaceKind};
use crate::support::postgres::{Database, PASSWORD, PostgresServer};
use crate::support::server::fresh_folder;

/// Two schemas, a name with capitals, rows that matter and rows that do not.
fn two_schemas() -> Database {
    let database = Database::fresh();
    database.psql(
        "CREATE SCHEMA app; CREATE SCHEMA log;
         CREATE TABLE app.\"Orders\" (id int PRIMARY KEY, v text); INSERT INTO app.\"Orders\" VALUES (1, 'one'), (2, 'two');
         CREATE TABLE app.sessions AS SELECT n FROM generate_series(1, 9) n;
         CREATE TABLE log.lines AS SELECT n FROM generate_series(1, 5) n;
         CREATE TABLE plain AS SELECT 1 AS a;",
    );
    database
}

fn tables(server: &PostgresServer, database: &str) -> String {
    server.psql(
        database,
        "SELECT string_agg(schemaname || '.' || tablename, ' ' ORDER BY 1) FROM pg_tables
         WHERE schemaname NOT IN ('pg_catalog', 'information_schema')",
    )
}

#[test]
fn a_selection_is_dumped_recorded_and_never_taken_for_the_whole() {
    let server = PostgresServer::shared();
    let place = Place::fresh(PlaceKind::Folder);
    let cli = place.cli();
    let database = two_schemas();
    let url = database.url();
    let copy = format!("{}-copy", database.name);
    let _copy = Restored::named(std::slice::from_ref(&copy));
    for (options, expected) in [
        (&["--schema", "app"][..], "app.Orders app.sessions\n"),
        (
            &["--table", "app.\"Orders\"", "--table", "log.*"],
            "app.Orders log.lines\n",
        ),
        (
            &["--exclude-schema", "log", "--exclude-table", "app.ses*"],
            "app.Orders public.plain\n",
        ),
        (
            &["--exclude-table-data", "app.sessions"],
            "app.Orders app.sessions log.lines public.plain\n",
        ),
    ] {
        let arguments: Vec<&str> = [url.as_str(), "--name", "part"]
            .iter()
            .chain(options)
            .copied()
            .collect();
        let run = cli
            .run(["backup", "--json"].iter().chain(&arguments))
            .success()
            .nowhere(PASSWORD);
        let id = id_of(&run);
        let manifest = cli.run(["show", &id, "--json"]).success().json();
        let recorded = manifest["source"]["options"].to_string();
        assert!(recorded.contains(options[0]), "{recorded}");
        assert_ne!(manifest["warnings"], serde_json::Value::Null);
        cli.run(["show", &id])
            .success()
            .stdout_has("only a part of the database");
        if options[0] == "--table" {
            let run = cli.run(["restore", &id, "--to", "-"]).success();
            assert!(
                run.stdout().contains("COPY app.\"Orders\"") && !run.stdout().contains("sessions"),
                "{run}"
            );
            // By workers it is the same, and a drill says so: the schemas come with the tables.
            let by_two = back_up(
                &cli,
                &[&[url.as_str(), "--name", "two", "--jobs", "2"][..], options].concat(),
            );
            cli.run(["restore", &by_two, "--to", &server.url(&copy)]).success();
            assert_eq!(tables(server, &copy), expected, "{options:?}");
            server.psql("postgres", &format!("DROP DATABASE \"{copy}\""));
        }
        cli.run(["restore", &id, "--to", &server.url(&copy)]).success();
        assert_eq!(tables(server, &copy), expected, "{options:?}");
        if options[0] == "--exclude-table-data" {
            assert_eq!(server.psql(&copy, "SELECT count(*) FROM app.sessions"), "0\n");
            // Alone it comes empty as well, and never without a word.
            let alone = ["restore", &id, "--table", "app.sessions", "--to", "-"];
            cli.run(alone).exits_with(10).stderr_has("--with-schema");
            cli.run(alone.iter().chain(&["--with-schema"]))
                .success()
                .stderr_has("no rows of `app.sessions`");
        }
        server.psql("postgres", &format!("DROP DATABASE \"{copy}\""));
        // Over the whole database it would lose the rest.
        let planned = cli.run(["restore", &id, "--to", &url, "--dry-run"]).success();
        assert!(planned.stdout().contains("THIS BACKUP IS ONLY A PART"), "{planned}");
        let refused = cli.run(["restore", &id, "--to", &url]).exits_with(21);
        assert!(refused.stderr().contains("only a part of its database"), "{refused}");
    }
    let whole = back_up(&cli, &[&url, "--name", "whole"]);
    let planned = cli.run(["restore", &whole, "--to", &url, "--dry-run"]).success();
    assert!(!planned.stdout().contains("PART"), "{planned}");
}

#[test]
fn a_pattern_that_matches_nothing_is_an_error_even_if_it_leaves_out() {
    let place = Place::fresh(PlaceKind::Folder);
    let cli = place.cli();
    let database = two_schemas();
    let url = database.url();
    let harm = fresh_folder("harm");
    let shell = format!("`touch {}`", harm.path().join("done").display());
    for (option, pattern) in [
        ("--table", "orders"),
        ("--exclude-table", "app.session"),
        ("--schema", "\"App\""),
        ("--exclude-schema", "\"LOG\""),
        ("--exclude-table-data", "plain.plain"),
        ("--table", shell.as_str()),
        ("--table", "it's"),
    ] {
        for dry_run in [&["--dry-run"][..], &[]] {
            let run = cli
                .run(["backup", &url, option, pattern].iter().chain(dry_run))
                .exits_with(2)
                .nowhere(PASSWORD);
            assert!(
                run.stderr().contains(option) && run.stderr().contains("Hint: "),
                "{run}"
            );
        }
    }
    assert!(!harm.path().join("done").exists());
    assert_eq!(place.keys(), Vec::<String>::new());
    // Nor does a choice among tables mean anything to a folder.
    cli.run(["backup", "/etc/hostname", "--table", "t"])
        .exits_with(2)
        .stderr_has("is for PostgreSQL");
}

#[test]
fn an_archive_comes_back_like_a_script_and_stock_tools_read_it() {
    let server = PostgresServer::shared();
    for place in Place::both() {
        let cli = place.cli();
        let database = Database::fresh();
        database.psql(EVERY_OBJECT);
        let then = database.dump();
        let id = back_up(&cli, &[&database.url(), "--format", "custom"]);
        let key = place.data_key();
        assert!(key.ends_with(".dump.gz"), "{key}");
        let copy = format!("{}-copy", database.name);
        let stock = format!("{}-stock", database.name);
        let _copies = Restored::named(&[copy.clone(), stock.clone()]);
        let run = cli
            .run(["restore", &id, "--to", &server.url(&copy)])
            .success()
            .nowhere(PASSWORD);
        drop(run);
        assert_eq!(server.dump(&copy), then);
        server.psql("postgres", &format!("CREATE DATABASE \"{stock}\" TEMPLATE template0"));
        let script = format!(
            "{} | gunzip | pg_restore --exit-on-error --single-transaction -w -d \"$DB\"",
            place.reading(&key)
        );
        let mut variables = server.environment();
        variables.push(("DB".to_owned(), stock.clone()));
        let variables: Vec<(&str, &str)> = variables
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()))
            .collect();
        place.shell(&script, &variables);
        assert_eq!(server.dump(&stock), then);
        // In the place of what is there: backed up first, kept, as with a script.
        database.psql("CREATE TABLE another_one (a int)");
        cli.run(["restore", &id, "--to", &database.url(), "--confirm", "--drop-replaced"])
            .success();
        assert_eq!(database.dump(), then);
    }
}

#[test]
fn an_archive_that_no_manifest_knows_is_restored_and_a_damaged_one_changes_nothing() {
    let server = PostgresServer::shared();
    let place = Place::fresh(PlaceKind::Folder);
    let cli = place.cli();
    let database = two_schemas();
    let then = database.dump();
    let folder = fresh_folder("archives");
    let write = |name: &str, bytes: &[u8]| {
        let path = folder.path().join(name);
        std::fs::write(&path, bytes).expect("the file is written");
        path.to_str().expect("a path").to_owned()
    };
    let dump = |options: &[&str]| {
        let output = server
            .program("pg_dump")
            .args(["-w", "-Fc", "-d", &database.name])
            .args(options)
            .env("PGPASSWORD", PASSWORD)
            .output()
            .expect("pg_dump starts");
        assert!(output.status.success());
        output.stdout
    };
    // Compressed by pg_dump itself, as older scripts have it.
    let archive = dump(&[]);
    let copy = format!("{}-copy", database.name);
    let _copy = Restored::named(std::slice::from_ref(&copy));
    let whole = write("app_backup_20250101_020000.dump", &archive);
    cli.run(["restore", "--backup-file", &whole, "--to", &server.url(&copy)])
        .success();
    assert_eq!(server.dump(&copy), then);
    // Tests beside this one make databases of their own on the shared server.
    let own = || {
        let mut names = server.databases();
        names.retain(|name| {
            name.starts_with(&format!("{}-", database.name)) || name.starts_with(&format!("{}__", database.name))
        });
        names
    };
    let databases = own();
    for cut in [archive.len() / 3, archive.len() - 40, archive.len() - 1] {
        let part = write("cut_backup_20250101_020000.dump", &archive[..cut]);
        let run = cli
            .run([
                "restore",
                "--backup-file",
                &part,
                "--to",
                &database.url(),
                "--confirm",
                "--no-safety-backup",
            ])
            .exits_with(20);
        assert!(run.stderr().contains("pg_restore"), "{run}");
        assert_eq!(database.dump(), then);
    }
    // A script would be refused for this; so is an archive.
    let mut hostile = dump(&["-Z0"]);
    let at = hostile
        .windows(17)
        .position(|window| window == b"CREATE SCHEMA app")
        .expect("the statement is in the archive");
    hostile[at..at + 17].copy_from_slice(b"ALTER SYSTEM  RES");
    let hostile = write("hostile_backup_20250101_020000.dump", &hostile);
    cli.run([
        "restore",
        "--backup-file",
        &hostile,
        "--to",
        &database.url(),
        "--confirm",
        "--no-safety-backup",
    ])
    .exits_with(21)
    .stderr_has("ALTER SYSTEM");
    assert_eq!(database.dump(), then);
    assert_eq!(own(), databases);
}

#[test]
fn roles_and_tablespaces_are_a_backup_of_their_own() {
    let server = PostgresServer::shared();
    let place = Place::fresh(PlaceKind::Folder);
    let cli = place.cli();
    server.psql(
        "postgres",
        "CREATE ROLE globals_reader LOGIN PASSWORD 'canary' CONNECTION LIMIT 7; CREATE ROLE globals_group;
         GRANT globals_group TO globals_reader; ALTER ROLE globals_reader SET work_mem = '7MB';",
    );
    let run = cli
        .run(["backup", "--json", "--globals", &server.url("postgres")])
        .success();
    let id = id_of(&run.nowhere(PASSWORD));
    assert!(id.starts_with("globals_backup_"), "{id}");
    let manifest = cli.run(["show", &id, "--json"]).success().json();
    assert_eq!(manifest["source"]["kind"], "postgresql-globals");
    assert_eq!(manifest["warnings"], serde_json::Value::Null);
    let script = cli.run(["restore", &id, "--to", "-"]).success().stdout().to_owned();
    assert!(
        script.contains("CREATE ROLE globals_reader") && script.contains("SCRAM-SHA-256"),
        "{script}"
    );
    cli.run(["restore", &id, "--to", &server.url("postgres")])
        .exits_with(2)
        .stderr_has("--to - | psql");

    // Who may not read the passwords gets the rest, and is told.
    let limited = server
        .url("postgres")
        .replace(&format!("{}:", crate::support::postgres::USER), "globals_reader:");
    let limited = limited.replacen(
        limited
            .split("globals_reader:")
            .nth(1)
            .expect("a password")
            .split('@')
            .next()
            .expect("it"),
        "canary",
        1,
    );
    let run = cli
        .run(["backup", "--json", "--globals", &limited, "--name", "limited"])
        .success();
    assert!(run.stderr().contains("may not read the passwords"), "{run}");
    let id = id_of(&run);
    let without = cli.run(["restore", &id, "--to", "-"]).success().stdout().to_owned();
    assert!(
        without.contains("CREATE ROLE globals_reader") && !without.contains("SCRAM-SHA-256"),
        "{without}"
    );

    // Another server has the roles afterwards.
    let other = PostgresServer::start();
    for statement in [
        "DROP OWNED BY globals_reader",
        "DROP ROLE globals_reader, globals_group",
    ] {
        server.psql("postgres", statement);
    }
    let _ = other.try_psql("postgres", PASSWORD, &script.replace("\\restrict", "-- "));
    let mut restore = other
        .program("psql")
        .args(["-XAtqw", "-d", "postgres"])
        .env("PGPASSWORD", PASSWORD)
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::null())
        .stderr(std::process::Stdio::null())
        .spawn()
        .expect("psql starts");
    std::io::Write::write_all(&mut restore.stdin.take().expect("a pipe"), script.as_bytes()).expect("it reads");
    assert!(restore.wait().expect("it ends").success());
    let role = "SELECT rolconnlimit, rolconfig, pg_has_role('globals_reader', 'globals_group', 'MEMBER') FROM pg_roles
        WHERE rolname = 'globals_reader'";
    assert_eq!(other.psql("postgres", role), "7|{work_mem=7MB}|t\n");
}

#[test]
fn every_database_is_a_backup_and_one_that_fails_does_not_stop_the_others() {
    // Of its own: the shared one has databases of other tests.
    let server = PostgresServer::start();
    let place = Place::fresh(PlaceKind::Folder);
    let cli = place.cli();
    for (name, options) in [
        ("shop", ""),
        ("a/b", ""),
        ("a_b", ""),
        ("globals", ""),
        ("closed", "ALLOW_CONNECTIONS false"),
        ("model", "IS_TEMPLATE true"),
    ] {
        server.psql("postgres", &format!("CREATE DATABASE \"{name}\" {options}"));
        if options.is_empty() {
            server.psql(name, &format!("CREATE TABLE t AS SELECT '{name}'::text AS name"));
        }
    }
    let url = format!("{}?sslmode=disable", server.url("postgres"));
    let series = |cli: &crate::support::cli::Cli| {
        let listed = cli.run(["list", "--json"]).success().json();
        let mut names: Vec<String> = listed
            .as_array()
            .expect("a list")
            .iter()
            .map(|row| row["name"].as_str().expect("a name").to_owned())
            .collect();
        names.sort();
        names
    };
    let run = cli.run(["backup", "--all-databases", &url]).success().nowhere(PASSWORD);
    assert!(run.stdout().contains("6 of 6 backups were made"), "{run}");
    let names = series(&cli);
    assert_eq!(names.len(), 6, "{names:?}");
    for name in ["shop", "a_b", "postgres", "globals"] {
        assert!(names.iter().any(|other| other == name), "{name} in {names:?}");
    }
    for begin in ["a_b-", "globals-"] {
        assert!(names.iter().any(|name| name.starts_with(begin)), "{begin} in {names:?}");
    }
    let odd = names.iter().find(|name| name.starts_with("a_b-")).expect("it is there");
    let script = cli.run(["restore", &format!("{odd}@latest"), "--to", "-"]).success();
    assert!(script.stdout().contains("\na/b\n"), "{script}");

    // One database whose dump fails: the rest is made all the same, and the run says so.
    let second = Place::fresh(PlaceKind::Folder);
    let cli = second.cli();
    server.psql("shop", "CREATE ROLE dumper LOGIN PASSWORD 'canary' IN ROLE pg_read_all_data; REVOKE CONNECT ON DATABASE shop FROM PUBLIC");
    let limited = format!("postgres://dumper:canary@127.0.0.1:{}/postgres", server.port());
    let run = cli
        .run(["backup", "--all-databases", &limited, "--name", "prod", "--json"])
        .exits_with(1);
    let summary = run.json_lines().pop().expect("a summary");
    assert_eq!(summary["message_type"], "run_summary");
    assert_eq!(summary["backups_made"], 5);
    assert_eq!(summary["backups_failed"], 1);
    let names = series(&cli);
    assert_eq!(names.len(), 5);
    assert!(
        names
            .iter()
            .all(|name| name.starts_with("prod-") && name != "prod-shop"),
        "{names:?}"
    );
    assert!(run.stderr().contains("shop"), "{run}");
}
