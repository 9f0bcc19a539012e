//! MariaDB both ways, through the binary, against a real server: every kind of object, replacing, failing, rights, secrets.

mod dying;
mod load;
mod swap;

use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use crate::round_trips::{back_up, id_of};
use crate::support::cli::{Cli, Outcome};
use crate::support::mariadb::{Database, MariaDbServer, PASSWORD, USER};
use crate::support::place::{Place, PlaceKind, files_below};
use crate::support::postgres;
use crate::support::server::fresh_folder;
use crate::support::system_tool;

/// One of every kind of object that MariaDB has, with names and rows that are hard on whoever reads the dump.
pub const EVERY_OBJECT: &str = include_str!("mysql/every_object.sql");

/// A folder of programs that stand before the real ones; each finds the real one of its name in `$REAL`.
struct Programs {
    folder: tempfile::TempDir,
}

impl Programs {
    fn new(scripts: &[(&str, &str)]) -> Self {
        let folder = fresh_folder("programs");
        for name in ["mariadb", "mariadb-dump"] {
            let script = scripts
                .iter()
                .find(|(known, _)| *known == name)
                .map_or("exec $REAL \"$@\"", |(_, script)| script);
            let real = system_tool(name);
            let text = format!(
                "#!/bin/bash\nREAL={}\nAT={}\ncase \"$*\" in --version) [ -n \"$SAYS\" ] && {{ echo \"$SAYS\"; exit; }}; exec $REAL --version ;; esac\n{script}\n",
                real.display(),
                folder.path().display()
            );
            let path = folder.path().join(name);
            std::fs::write(&path, text).expect("the script is written");
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).expect("its mode");
        }
        Self { folder }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn seen(&self, name: &str) -> String {
        std::fs::read_to_string(self.path(name)).unwrap_or_default()
    }

    fn cli(&self, cli: Cli) -> Cli {
        cli.env("BACKUP_MYSQL_CLIENT_FOLDER", self.folder.path())
    }
}

/// A dump by hand, as a backup; returns its id.
fn stored(cli: &Cli, dump: &str) -> String {
    let run = cli
        .command(["backup", "--json", "-", "--stdin-name", "dump.sql"])
        .input(dump)
        .run()
        .success();
    id_of(&run)
}

fn restore(cli: &Cli, id: &str, url: &str, more: &[&str]) -> Outcome {
    cli.run(["restore", id, "--to", url].iter().chain(more))
}

fn asleep(dump: &str) -> String {
    dump.replace("NOT PRESERVE ENABLE", "NOT PRESERVE DISABLE")
}

#[test]
fn every_kind_of_object_comes_back() {
    let server = MariaDbServer::shared();
    for place in Place::both() {
        let cli = place.cli();
        let database = Database::fresh();
        database.sql(EVERY_OBJECT);
        // A trigger and views that name their own database, as people write them.
        database.sql(&format!(
            "CREATE TRIGGER `{0}`.named BEFORE DELETE ON `{0}`.child FOR EACH ROW SET @y = 1;
             CREATE VIEW mixed AS SELECT c.id FROM `{0}`.child c JOIN mysql.user u ON u.User = 'x';",
            database.name
        ));
        database.sql(&format!("ALTER DATABASE `{}` COLLATE latin1_swedish_ci", database.name));
        let before = database.dump();
        let run = cli
            .run(["backup", "--json", &database.url()])
            .success()
            .nowhere(PASSWORD);
        let id = id_of(&run);
        let warned = run.stderr();
        for name in ["`mem` (MEMORY)", "(MyISAM)"] {
            assert!(warned.contains(name), "{run}");
        }
        let manifest = cli.run(["show", &id, "--json"]).success().json();
        assert_eq!(manifest["source"]["kind"], "mariadb");
        assert_eq!(manifest["source"]["collation"], "latin1_swedish_ci");
        assert_eq!(manifest["source"]["tool"], "mariadb-dump");
        assert_eq!(manifest["counts"]["tables"], 10, "{manifest}");
        assert!(manifest["warnings"].to_string().contains("MEMORY"), "{manifest}");
        let tables: Vec<(String, u64)> = cli
            .run(["ls", &id, "--json"])
            .success()
            .json_lines()
            .iter()
            .map(|line| {
                (
                    line["path"].as_str().unwrap_or_default().to_owned(),
                    line["rows"].as_u64().unwrap_or(99),
                )
            })
            .collect();
        for (name, rows) in [
            ("parent", 4),
            ("we`ird; \"name\" (x)", 2),
            ("line\nend", 1),
            ("empty", 0),
            ("parts", 20),
        ] {
            assert!(tables.contains(&(name.to_owned(), rows)), "{name} in {tables:?}");
        }
        cli.run(["show", &id]).success().stdout_has("mariadb").nowhere(PASSWORD);

        let name = format!("{}-restored", database.name);
        restore(&cli, &id, &server.socket_url(&name), &[])
            .success()
            .nowhere(PASSWORD);
        // The view over two databases names the one that it is in.
        let same = |dump: String| {
            dump.replace(&format!("`{}`", database.name), "`DATABASE`")
                .replace(" `DATABASE`.", " ")
                .replace("(`DATABASE`.", "(")
        };
        pretty_assertions_eq(&same(server.dump(&name)), &same(unbound(&before, &database.name)));
        let collation = server.sql(
            "",
            &format!("SELECT DEFAULT_COLLATION_NAME FROM information_schema.SCHEMATA WHERE SCHEMA_NAME = '{name}'"),
        );
        assert_eq!(collation, "latin1_swedish_ci\n");
        assert_eq!(server.relatives(&name), Vec::<String>::new());
        // The rows that were, with the times from when to when they were.
        let history = "SELECT a, row_start, row_end FROM versions FOR SYSTEM_TIME ALL ORDER BY row_start, row_end, a";
        let versions = server.sql(&database.name, history);
        assert_eq!(versions.lines().count(), 4, "{versions}");
        assert_eq!(server.sql(&name, history), versions);

        // And without this tool.
        let stock = format!("{}-stock", database.name);
        server.sql("", &format!("CREATE DATABASE `{stock}` COLLATE latin1_swedish_ci"));
        let plain = place.shell(&format!("{} | gunzip", place.reading(&place.data_key())), &[]);
        let text = String::from_utf8(plain)
            .expect("UTF-8")
            .replace(&format!("`{}`", database.name), &format!("`{stock}`"));
        server.sql(&stock, &text);
        assert_eq!(server.sql(&stock, "SELECT count(*) FROM parent"), "4\n");
        assert_eq!(server.sql(&stock, history), versions);
    }
}

/// The dump of a trigger that named its own database, when it does not any more.
fn unbound(dump: &str, name: &str) -> String {
    dump.replace(&format!("TRIGGER `{name}`.named"), "TRIGGER named")
        .replace("TRIGGER `DATABASE`.named", "TRIGGER named")
        .replace("`DATABASE`.child", "child")
}

/// Shows the first line that differs instead of two long texts.
#[track_caller]
fn pretty_assertions_eq(left: &str, right: &str) {
    for (number, (left, right)) in left.lines().zip(right.lines()).enumerate() {
        assert_eq!(left, right, "in line {number}");
    }
    assert_eq!(left.lines().count(), right.lines().count());
}

#[test]
fn where_the_database_is_may_be_said_elsewhere() {
    let server = MariaDbServer::shared();
    let database = Database::fresh();
    database.sql("CREATE TABLE t (v int)");
    let place = Place::fresh(PlaceKind::Folder);
    let port = server.port();
    let bare = format!("mysql://{USER}@127.0.0.1:{port}/{}", database.name);
    let secret = fresh_folder("secret");
    let file = secret.path().join("password");
    std::fs::write(&file, PASSWORD).expect("the file is written");
    // In the settings, in the clients' own variable and file.
    let cli = place.cli().env("BACKUP_MYSQL_PASSWORD_FILE", &file);
    back_up(&cli, &[&bare]);
    back_up(&place.cli().env("MYSQL_PWD", PASSWORD).env("DATABASE_URL", &bare), &[]);
    let cli = place.cli();
    let quoted = PASSWORD.replace('\\', "\\\\").replace('"', "\\\"");
    let own = format!("[client]\nuser={USER}\npassword=\"{quoted}\"\nhost=127.0.0.1\nport={port}\n");
    std::fs::write(cli.home().join(".my.cnf"), &own).expect("the file is written");
    back_up(&cli, &[&format!("mysql:///{}", database.name)]);
    // What the URL says wins over the file.
    std::fs::write(
        cli.home().join(".my.cnf"),
        own.replace(USER, "nobody").replace("canary", "wrong"),
    )
    .expect("the file is written");
    back_up(&cli, &[&database.url()]);
    back_up(&cli, &[&server.socket_url(&database.name)]);
    assert_eq!(place.keys().len(), 15);
}

#[test]
fn what_is_wrong_is_said_with_what_to_do() {
    let server = MariaDbServer::shared();
    let port = server.port();
    let database = Database::fresh();
    database.sql("CREATE TABLE t (v int)");
    let name = &database.name;
    server.sql("", &format!("CREATE OR REPLACE USER reader@'%' IDENTIFIED BY 'reader-canary'; GRANT SELECT, SHOW VIEW, LOCK TABLES ON `{name}`.* TO reader@'%'"));
    let place = Place::fresh(PlaceKind::Folder);
    let cli = place.cli();
    for (url, code, words) in [
        (server.url_of(USER, "wrong-canary", name), 1, "Check the password"),
        (
            format!("mysql://{USER}@127.0.0.1:{port}/{name}"),
            1,
            "BACKUP_MYSQL_PASSWORD",
        ),
        (
            server.url("no such database"),
            1,
            "There is no database `no such database`",
        ),
        (
            format!("mysql://{USER}:x@127.0.0.1:1/{name}"),
            1,
            "Is the server running",
        ),
        (format!("mysql:///{name}?socket=/no/such/socket"), 1, "socket"),
        (
            format!("mysql://{USER}:x@no-such-host.invalid/{name}"),
            1,
            "Check the host's name",
        ),
        (format!("mysql://{USER}:x@127.0.0.1:{port}"), 2, "names no database"),
        (server.url("mysql"), 1, "belongs to the server"),
        (server.url_of("reader", "reader-canary", name), 1, "TRIGGER, EVENT"),
        (format!("{}?ssl-mode=REQUIRED", database.url()), 1, "encrypt"),
        (format!("{}?ssl-mod=x", database.url()), 2, "Did you mean `ssl-mode`"),
    ] {
        let run = cli
            .run(["backup", &url])
            .exits_with(code)
            .nowhere(PASSWORD)
            .nowhere("canary");
        assert!(
            run.stderr().contains(words) && run.stderr().contains("Hint: "),
            "{words}\n{run}"
        );
    }
    assert_eq!(place.keys(), Vec::<String>::new());
    // Without what it may not see it is a backup, and says so.
    let skips = ["--mysql-dump-arg=--skip-triggers", "--mysql-dump-arg=--skip-events"];
    let url = server.url_of("reader", "reader-canary", name);
    let run = cli.run(["backup", &url].iter().chain(&skips)).success();
    assert!(
        run.stderr().contains("no triggers, as asked") && run.stderr().contains("stored routines"),
        "{run}"
    );
    for argument in ["--skip-comments", "--databases", "-pcanary", "other_table"] {
        cli.run(["backup", &database.url(), &format!("--mysql-dump-arg={argument}")])
            .exits_with(2);
    }
    // Every object is there, but nobody may load it.
    let id = back_up(&cli, &[&database.url()]);
    server.sql("", &format!("GRANT ALL ON `{name}`.* TO reader@'%'"));
    let run = restore(
        &cli,
        &id,
        &server.url_of("reader", "reader-canary", name),
        &["-y", "--no-safety-backup"],
    )
    .exits_with(1);
    assert!(run.stderr().contains("GRANT ALL ON"), "{run}");
}

#[test]
fn no_secret_is_on_a_command_line_or_left_behind() {
    let database = Database::fresh();
    database.sql("CREATE TABLE t (v int); INSERT INTO t VALUES (1)");
    let look = "tr '\\0' '\\n' </proc/$$/cmdline >>$AT/argv; env >>$AT/env; exec $REAL \"$@\"";
    let programs = Programs::new(&[("mariadb", look), ("mariadb-dump", look)]);
    let place = Place::fresh(PlaceKind::Folder);
    let temporary = fresh_folder("tmp");
    let cli = programs.cli(place.cli()).env("TMPDIR", temporary.path());
    let id = back_up(&cli, &[&database.url()]);
    let run = restore(&cli, &id, &database.url(), &["--confirm", "-vvv"]).success();
    let _ = run.nowhere(PASSWORD).nowhere("canary");
    let argv = programs.seen("argv");
    assert!(
        argv.contains("--defaults-extra-file=/dev/fd/") && argv.contains("--single-transaction"),
        "{argv}"
    );
    assert!(!argv.contains("canary") && !argv.contains("backup_tests"), "{argv}");
    assert!(!programs.seen("env").contains("canary"));
    assert_eq!(files_below(temporary.path()), Vec::<String>::new());
    for key in place.keys() {
        let stored = std::fs::read(place.store_folder().join(&key)).expect("the file");
        assert!(!String::from_utf8_lossy(&stored).contains("canary"), "{key}");
    }
}

#[test]
fn older_clients_do_not_see_the_sandbox_line_and_newer_ones_do() {
    let server = MariaDbServer::shared();
    let database = Database::fresh();
    database.sql("CREATE TABLE t (v int); INSERT INTO t VALUES (1)");
    let place = Place::fresh(PlaceKind::Folder);
    let id = back_up(&place.cli(), &[&database.url()]);
    let programs = Programs::new(&[("mariadb", "tee -a $AT/input | $REAL \"$@\"")]);
    let name = format!("{}-new", database.name);
    restore(&programs.cli(place.cli()), &id, &server.url(&name), &[]).success();
    assert!(programs.seen("input").contains("sandbox"));
    let old = Programs::new(&[(
        "mariadb",
        "grep -v 'sandbox' <(echo \"$*\") >/dev/null || exit 9; tee -a $AT/input | $REAL \"$@\"",
    )]);
    let cli = old.cli(place.cli()).env(
        "SAYS",
        "mariadb  Ver 15.1 Distrib 10.11.7-MariaDB, for debian-linux-gnu",
    );
    let name = format!("{}-old", database.name);
    restore(&cli, &id, &server.url(&name), &[]).success();
    assert!(!old.seen("input").contains("sandbox"));
    assert_eq!(server.dump(&name), database.dump());
}

#[test]
fn dumps_of_others_are_known_by_their_bytes() {
    let server = MariaDbServer::shared();
    let database = Database::fresh();
    database.sql(EVERY_OBJECT);
    let name = &database.name;
    let place = Place::fresh(PlaceKind::Folder);
    let folder = place.store_folder().join("20250101");
    std::fs::create_dir_all(&folder).expect("a folder");
    let shell = |line: &str| {
        let output = std::process::Command::new("/bin/sh")
            .args(["-c", line])
            .env("MYSQL_PWD", PASSWORD)
            .env("S", server.socket())
            .env("DB", name)
            .env("TO", &folder)
            .output()
            .expect("sh starts");
        assert!(output.status.success(), "{output:?}");
    };
    // As scripts make them: with the statements that create the database and stand in it, or without.
    shell(&format!(
        "mysqldump --no-defaults -S $S -u {USER} --databases $DB -R -E | gzip >$TO/old_backup_20250101_000000.sql.gz"
    ));
    let pg = postgres::Database::fresh();
    pg.psql("CREATE TABLE t (v int)");
    let cli = place.cli();
    let file = folder.join("old_backup_20250101_000000.sql.gz");
    let file = file.to_str().expect("a path");
    let target = format!("{name}-moved");
    let run = cli
        .run(["restore", "--backup-file", file, "--to", &server.url(&target)])
        .success();
    assert!(run.stderr().contains("unmanaged"), "{run}");
    assert_eq!(server.dump(&target), database.dump());
    let run = cli
        .run([
            "restore",
            "--backup-file",
            file,
            "--to",
            &pg.url(),
            "-y",
            "--no-safety-backup",
        ])
        .exits_with(1);
    assert!(run.stderr().contains("a dump of MySQL or MariaDB"), "{run}");
    let id = back_up(&cli, &[&pg.url()]);
    let before = database.dump();
    let run = restore(&cli, &id, &database.url(), &["-y", "--no-safety-backup"]).exits_with(1);
    assert!(run.stderr().contains("a dump of PostgreSQL"), "{run}");
    assert_eq!(database.dump(), before);
}

#[test]
fn a_folder_without_clients_is_said() {
    let database = Database::fresh();
    let place = Place::fresh(PlaceKind::Folder);
    let empty = fresh_folder("empty");
    let cli = place.cli().env("BACKUP_MYSQL_CLIENT_FOLDER", empty.path());
    cli.run(["backup", &database.url()])
        .exits_with(1)
        .stderr_has("mysql-client-folder");
}
