//! Drills: what passes, what is found, what is refused, and that nothing is left behind.

use std::path::Path;
use std::time::Duration;

use rustix::process::Signal;

use crate::support::cli::{Cli, Outcome};
use crate::support::mariadb::{self, MariaDbServer};
use crate::support::place::{Place, PlaceKind, files_below};
use crate::support::postgres::{self, PostgresServer};

/// Which of a server's databases are of drills of these series; other tests make drills on the same server.
fn scratch_of<'a>(databases: &'a [String], series: &[&str]) -> Vec<&'a String> {
    let of_series = |name: &&String| {
        let stem = name.split("__").next().unwrap_or_default();
        name.contains("_drill_") && series.contains(&stem)
    };
    databases.iter().filter(of_series).collect()
}

fn evidence(place: &Place) -> Vec<serde_json::Value> {
    let mut keys = place.keys();
    keys.retain(|key| key.contains(".drill-"));
    keys.iter()
        .map(|key| serde_json::from_slice(&place.get(key)).unwrap())
        .collect()
}

/// A dump of `tables` tables with three rows each, whose last words undo something.
fn dump_of(server: &PostgresServer, database: &str, last_words: &str) -> String {
    let dump = server.dump(database);
    let end = dump.rfind("--\n-- PostgreSQL database dump complete").unwrap();
    format!("{}{last_words}\n\n{}\n\n", &dump[..end], &dump[end..])
}

/// Waits until a drill asks its check, which takes long, then ends it in some way.
fn end_in_mid_drill(
    cli: &Cli,
    arguments: &[&str],
    slow_check: &str,
    is_asking: impl Fn() -> bool,
    signal: Signal,
) -> Outcome {
    let mut all = arguments.to_vec();
    all.extend(["--check", slow_check]);
    let mut running = cli.command(all).time_max(Duration::from_secs(60)).start();
    running.wait_until("the check", |_| is_asking());
    running.signal(signal);
    running.wait()
}

#[test]
fn a_dump_of_postgres_is_proved_in_a_database_that_is_gone_afterwards() {
    let server = PostgresServer::shared();
    let source = server.fresh_database();
    source.psql(
        "CREATE TABLE users (id int PRIMARY KEY, name text); INSERT INTO users SELECT g, 'n' || g FROM generate_series(1, 120) g; \
         CREATE TABLE empty (x int); CREATE SCHEMA s; CREATE TABLE s.\"odd.name\" (x int); INSERT INTO s.\"odd.name\" VALUES (1); \
         CREATE TABLE parent (x int); CREATE TABLE child () INHERITS (parent); INSERT INTO child VALUES (1), (2); \
         INSERT INTO parent VALUES (3);",
    );
    let place = Place::fresh(PlaceKind::SeaweedFs);
    let cli = place.cli();
    let to = server.url("");
    let metrics = cli.home().join("m.prom");
    cli.run([
        "backup",
        &source.url(),
        "--name",
        "shop",
        "--metrics-file",
        metrics.to_str().unwrap(),
    ])
    .success();
    let config = cli.home().join("c.toml");
    let good = r#"["select count(*) = 120 from users", { query = "select count(*) from users", expect = ">= 100" }]"#;
    let profile = |checks: &str| {
        let text = format!("[profile.shop]\nname = \"shop\"\n[profile.shop.drill]\nto = \"{to}\"\nchecks = {checks}\n");
        std::fs::write(&config, text).unwrap();
    };
    profile(good);
    let with = [
        "--config",
        config.to_str().unwrap(),
        "-p",
        "shop",
        "--metrics-file",
        metrics.to_str().unwrap(),
    ];
    let verify: Vec<&str> = ["verify", "--restore"].into_iter().chain(with).collect();
    let passed = cli
        .run(&verify)
        .success()
        .stdout_has("5 tables, 124 rows: all as recorded")
        .stdout_has("2 of 2 hold")
        .nowhere(postgres::PASSWORD);
    assert!(passed.stdout().contains("__drill_"), "{passed}");
    assert!(
        scratch_of(&server.databases(), &["shop"]).is_empty(),
        "{:?}",
        server.databases()
    );

    // A check that does not hold is the backup's fault.
    profile(r#"["select count(*) > 1000 from users", "www/index.html"]"#);
    cli.run(&verify)
        .exits_with(20)
        .stderr_has("does not hold: select count(*) > 1000 from users (f)")
        .stderr_has("not made: www/index.html")
        .stderr_has("1 of 2 checks do not go with");
    assert!(scratch_of(&server.databases(), &["shop"]).is_empty());
    let notes = evidence(&place);
    assert_eq!(notes.len(), 2);
    let passed = notes.iter().find(|note| note["result"] == "passed").unwrap();
    assert_eq!(passed["compared"]["rows"], 124);
    assert_eq!(passed["kind"], "drill");
    assert!(!passed.to_string().contains("canary"), "{passed}");
    cli.run(["list"]).success().stdout_has("DRILL").stdout_has("FAILED, ");
    cli.run(["show", "latest"])
        .success()
        .stdout_has("drill    ")
        .stdout_has("passed in");
    let shown = cli.run(["show", "latest", "--json"]).success().json();
    assert_eq!(shown["drills"].as_array().unwrap().len(), 2);
    let told = std::fs::read_to_string(&metrics).unwrap();
    for line in [
        "backup_cli_last_run_success{profile=\"\",source=\"shop\"} 1",
        "backup_cli_last_verify_success{profile=\"shop\",source=\"shop\"} 0",
        "backup_cli_drills_total{profile=\"shop\",source=\"shop\",result=\"good\"} 1",
        "backup_cli_drills_total{profile=\"shop\",source=\"shop\",result=\"failed\"} 1",
    ] {
        assert!(told.lines().any(|found| found == line), "{line}\n{told}");
    }
    assert!(
        told.contains("backup_cli_last_verify_timestamp_seconds{profile=\"shop\""),
        "{told}"
    );

    // However it was dumped.
    for (name, option, value, compared, against) in [
        (
            "custom",
            "--format",
            "custom",
            "nothing, for nothing was recorded; restored: 5 tables, 124 rows",
            "nothing",
        ),
        ("jobs", "--jobs", "2", "5 tables, 124 rows: all as recorded", "each"),
    ] {
        cli.run(["backup", &source.url(), "--name", name, option, value])
            .success();
        let reference = format!("{name}@latest");
        cli.run(["verify", "--restore", &reference, "--to", &to])
            .success()
            .stdout_has(compared);
        cli.run(["show", &reference]).success().stdout_has(compared);
        let shown = cli.run(["show", &reference, "--json"]).success().json();
        assert_eq!(shown["drills"][0]["compared"]["against"], against, "{shown}");
        assert!(shown["drills"][0]["seconds"].as_f64().unwrap() > 0.0, "{shown}");
    }
    assert!(scratch_of(&server.databases(), &["custom", "jobs"]).is_empty());

    // Never into what is there, least of all the source.
    for existing in [source.url(), server.url("template1")] {
        cli.run(["verify", "--restore", "shop@latest", "--to", &existing])
            .exits_with(21)
            .nowhere(postgres::PASSWORD);
    }
    assert_eq!(source.psql("SELECT count(*) FROM users").trim(), "120");
    cli.run(["verify", "--restore", "shop@latest"])
        .exits_with(2)
        .stderr_has("no PostgreSQL server for a scratch database was named");
    let other = "mysql://admin@127.0.0.1:1/";
    cli.run(["verify", "--restore", "shop@latest", "--to", other])
        .exits_with(2)
        .stderr_has("only one of MySQL or MariaDB");
    cli.run([
        "verify",
        "--restore",
        "shop@latest",
        "--to",
        "postgres://nobody@127.0.0.1:1/",
    ])
    .exits_with(1)
    .stderr_has("could not be made");
    let kept = cli
        .run(["verify", "--restore", "shop@latest", "--keep", "--json", "--to", &to])
        .success();
    let summary = kept.json_lines().pop().unwrap();
    assert_eq!(summary["result"], "passed");
    let left = server.databases();
    let left = scratch_of(&left, &["shop"]);
    assert_eq!(left.len(), 1);
    assert!(
        summary["kept"].as_str().unwrap().contains(left[0].as_str()),
        "{summary}"
    );
    server.psql("postgres", &format!("DROP DATABASE \"{}\"", left[0]));
}

#[test]
fn what_a_dump_of_postgres_has_lost_is_found_and_every_way_out_drops_the_scratch_database() {
    let server = PostgresServer::shared();
    let source = server.fresh_database();
    source.psql("CREATE TABLE a (id int); INSERT INTO a SELECT generate_series(1, 5); CREATE TABLE b (x int); INSERT INTO b VALUES (1);");
    let place = Place::fresh(PlaceKind::Folder);
    let cli = place.cli();
    let to = server.url("");
    let scripts = cli.home().join("dumps");
    std::fs::create_dir(&scripts).unwrap();
    const SERIES: [&str; 4] = ["whole", "rows", "table", "broken"];
    let drill = |name: &str, last_words: &str| {
        let path = scripts.join(format!("{name}.sql"));
        std::fs::write(&path, dump_of(server, &source.name, last_words)).unwrap();
        let command = format!("cat {}", path.display());
        cli.run(["backup", "--command", &command, "--extension", "sql", "--name", name])
            .success();
        let reference = format!("{name}@latest");
        cli.run(["verify", "--restore", &reference, "--to", &to])
    };
    drill("whole", "")
        .success()
        .stdout_has("2 tables, 6 rows: all as recorded");
    drill("rows", "DELETE FROM public.a WHERE id > 3;")
        .exits_with(20)
        .stderr_has("public.a: 3 rows instead of 5 rows");
    drill("table", "DROP TABLE public.b;")
        .exits_with(20)
        .stderr_has("public.b: no such table instead of 1 row");
    drill("broken", "INSERT INTO public.nowhere VALUES (1);")
        .exits_with(20)
        .stderr_has("nowhere");
    // What would stay on the server when its database is gone comes to no server.
    drill("role", "CREATE ROLE left_by_a_drill SUPERUSER;")
        .exits_with(21)
        .stderr_has("`CREATE ROLE`");
    drill("owner", "ALTER TABLE public.a OWNER TO nobody_of_that_name;")
        .exits_with(1)
        .stderr_has("--pg-dump-arg=--no-owner");
    let roles = server.psql(
        "postgres",
        "SELECT count(*) FROM pg_roles WHERE rolname = 'left_by_a_drill'",
    );
    assert_eq!(roles.trim(), "0");
    assert!(
        scratch_of(&server.databases(), &SERIES).is_empty(),
        "{:?}",
        server.databases()
    );

    let is_asking = || {
        let count = server.psql(
            "postgres",
            "SELECT count(*) FROM pg_stat_activity WHERE query LIKE 'select pg_sleep%' AND datname LIKE '%drill%'",
        );
        count.trim() != "0"
    };
    let verify = ["verify", "--restore", "whole@latest", "--to", &to];
    end_in_mid_drill(&cli, &verify, "select pg_sleep(60)", is_asking, Signal::INT).exits_with(130);
    assert!(
        scratch_of(&server.databases(), &SERIES).is_empty(),
        "{:?}",
        server.databases()
    );
    end_in_mid_drill(&cli, &verify, "select pg_sleep(60)", is_asking, Signal::KILL).exits_with(137);
    assert_eq!(scratch_of(&server.databases(), &SERIES).len(), 1);
    cli.run(verify).success().stderr_has("a drill that was killed had left");
    assert!(
        scratch_of(&server.databases(), &SERIES).is_empty(),
        "{:?}",
        server.databases()
    );
    // What never ended left no evidence.
    assert_eq!(evidence(&place).len(), 5);

    // What a drill could not drop, the next one drops at once.
    let mut slow = verify.to_vec();
    slow.extend(["--check", "select pg_sleep(1)::text = ''"]);
    let mut running = cli.command(slow).time_max(Duration::from_secs(60)).start();
    running.wait_until("the check", |_| is_asking());
    let databases = server.databases();
    let [name] = scratch_of(&databases, &SERIES)[..] else {
        panic!("{databases:?}");
    };
    let is_template = |is| server.psql("postgres", &format!("ALTER DATABASE \"{name}\" IS_TEMPLATE {is}"));
    is_template(true);
    let stuck = running.wait().success().stderr_has("could not be dropped");
    assert!(stuck.stderr().contains(name.as_str()), "{stuck}");
    is_template(false);
    cli.run(verify).success().stderr_has("or one that could not drop it");
    assert!(
        scratch_of(&server.databases(), &SERIES).is_empty(),
        "{:?}",
        server.databases()
    );
}

#[test]
fn a_check_without_an_answer_is_neither_damage_nor_a_pass() {
    let server = PostgresServer::shared();
    let source = server.fresh_database();
    source.psql("CREATE TABLE users (id int); INSERT INTO users VALUES (1), (2), (3)");
    let place = Place::fresh(PlaceKind::Folder);
    let cli = place.cli();
    let to = server.url("");
    cli.run(["backup", &source.url(), "--name", "asked"]).success();
    let drill = |checks: &[&str]| {
        let checks = checks.iter().flat_map(|check| ["--check", *check]);
        let verify = ["verify", "--restore", "asked@latest", "--to", &to];
        cli.run(verify.into_iter().chain(checks))
    };
    let verdicts = || {
        let mut keys = place.keys();
        keys.retain(|key| key.contains(".damaged-") || key.contains(".whole-"));
        keys.len()
    };
    // The question's own fault.
    drill(&[
        "select count(*) > 0 from users",
        "select 1/0",
        "select true, false",
        "select count(*) > 0 from user_table",
    ])
    .exits_with(1)
    .stdout_has("1 of 4 hold, 3 without an answer")
    .stderr_has("select 1/0 (ERROR: division by zero)")
    .stderr_has("select true, false (2 fields")
    .stderr_has("\"user_table\" does not exist")
    .stderr_has("Look at the check");
    // What is no question at all is not passed over.
    drill(&["selct 1", "(select true)", "explain select 1", "users/x"])
        .exits_with(3)
        .stderr_has("4 of 4 checks do not go with")
        .stderr_has("a question begins with select");
    assert_eq!(verdicts(), 0);
    assert!(evidence(&place).iter().all(|note| note["result"] == "incomplete"));
    let listed = cli.run(["list"]).success().stdout_has("incomplete, ");
    assert!(!listed.stdout().contains("future"), "{listed}");
    cli.run(["show", "asked@latest"])
        .success()
        .stdout_has("selct 1 was not made");

    // An answer that is wrong is damage, which a drill that does not ask for it leaves standing.
    drill(&["select count(*) > 99999 from users", "select null"])
        .exits_with(20)
        .stderr_has("select null (null or empty)")
        .stderr_has("It is remembered");
    drill(&["select count(*) = 3 from users"])
        .success()
        .stderr_has("goes on counting as damaged");
    assert_eq!(verdicts(), 1);
    cli.run(["restore", "latest", "--to", "x.sql"])
        .exits_with(20)
        .stderr_has("that restores, compares and asks as much");
    // A question that was wrong itself would otherwise stand for ever.
    cli.run(["verify", "--restore", "asked@latest", "--to", &to, "--withdraw-checks"])
        .success()
        .stderr_has("it counts as good again");
    assert_eq!(verdicts(), 2);
}

#[test]
fn a_dump_of_mariadb_is_proved_and_what_it_has_lost_is_found() {
    let server = MariaDbServer::shared();
    let source = server.fresh_database();
    source.sql("CREATE TABLE users (id int PRIMARY KEY); INSERT INTO users VALUES (1), (2), (3); CREATE TABLE empty (x int); CREATE TABLE `odd name` (x int); INSERT INTO `odd name` VALUES (7); CREATE VIEW v AS SELECT * FROM users;");
    let place = Place::fresh(PlaceKind::SeaweedFs);
    let cli = place.cli();
    let to = server.url("");
    cli.run(["backup", &source.url(), "--name", "shop"]).success();
    let verify = ["verify", "--restore", "shop@latest", "--to", &to];
    cli.run(verify.iter().chain(&["--check", "select count(*) = 3 from users"]))
        .success()
        .stdout_has("3 tables, 4 rows: all as recorded")
        .stdout_has("1 of 1 hold")
        .nowhere(mariadb::PASSWORD);
    cli.run(verify.iter().chain(&["--check", "select nothing from nowhere"]))
        .exits_with(1)
        .stderr_has("no answer")
        .stderr_has("nowhere");
    cli.run(["verify", "--restore", "shop@latest", "--to", &source.url()])
        .exits_with(21)
        .nowhere(mariadb::PASSWORD);
    assert_eq!(source.sql("SELECT COUNT(*) FROM users").trim(), "3");

    let dump = server
        .program("mariadb-dump", mariadb::USER, mariadb::PASSWORD)
        .arg(&source.name)
        .output()
        .unwrap();
    let dump = String::from_utf8(dump.stdout).unwrap();
    let end = dump.rfind("-- Dump completed").unwrap();
    let lossy = format!("{}DELETE FROM `users` WHERE id = 2;\n{}", &dump[..end], &dump[end..]);
    std::fs::write(cli.home().join("lossy.sql"), lossy).unwrap();
    cli.run([
        "backup",
        "--command",
        "cat lossy.sql",
        "--extension",
        "sql",
        "--name",
        "lossy",
    ])
    .success();
    cli.run(["verify", "--restore", "lossy@latest", "--to", &to])
        .exits_with(20)
        .stderr_has("2 rows instead of 3 rows");
    assert!(
        scratch_of(&server.databases(), &["shop", "lossy"]).is_empty(),
        "{:?}",
        server.databases()
    );

    // The server goes on with a question whose asker is gone, so that only those count whose database is still there.
    let asking = "SELECT COUNT(*) FROM information_schema.PROCESSLIST p JOIN information_schema.SCHEMATA s \
         ON s.SCHEMA_NAME = p.DB WHERE p.INFO LIKE 'select sleep%'";
    let is_asking = || server.sql("", asking).trim() != "0";
    end_in_mid_drill(&cli, &verify, "select sleep(60)", is_asking, Signal::INT).exits_with(130);
    assert!(
        scratch_of(&server.databases(), &["shop", "lossy"]).is_empty(),
        "{:?}",
        server.databases()
    );
    end_in_mid_drill(&cli, &verify, "select sleep(60)", is_asking, Signal::KILL).exits_with(137);
    assert_eq!(scratch_of(&server.databases(), &["shop", "lossy"]).len(), 1);
    cli.run(verify).success().stderr_has("a drill that was killed had left");
    assert!(
        scratch_of(&server.databases(), &["shop", "lossy"]).is_empty(),
        "{:?}",
        server.databases()
    );
}

#[test]
fn an_sqlite_database_is_proved_in_a_file_that_is_gone_afterwards() {
    let place = Place::fresh(PlaceKind::UnknownS3);
    let cli = place.cli();
    let database = cli.home().join("app.db");
    let connection = rusqlite::Connection::open(&database).unwrap();
    connection
        .execute_batch("CREATE TABLE t (x); INSERT INTO t VALUES (1), (2); CREATE TABLE \"o.dd\" (y);")
        .unwrap();
    drop(connection);
    let scratch = cli.home().join("scratch");
    std::fs::create_dir(&scratch).unwrap();
    cli.run(["backup", "app.db"]).success();
    let verify = ["verify", "--restore", "--to", scratch.to_str().unwrap()];
    cli.run(verify.iter().chain(&["--check", "select count(*) from t where x > 1"]))
        .success()
        .stdout_has("2 tables, 2 rows: all as recorded")
        .stdout_has("1 of 1 hold");
    cli.run(verify.iter().chain(&["--check", "select count(*) > 2 from t"]))
        .exits_with(20)
        .stderr_has("(0)");
    for (check, why) in [
        ("select y from nowhere", "no such table"),
        ("select 1, 1", "2 fields"),
        ("select x from t", "more than one row"),
    ] {
        cli.run(verify.iter().chain(&["--check", check]))
            .exits_with(1)
            .stderr_has(why);
    }
    assert_eq!(files_below(&scratch), Vec::<String>::new());
}

fn tree_in(folder: &Path) {
    std::fs::create_dir_all(folder.join("sub/deeper")).unwrap();
    std::fs::write(folder.join("index.html"), "<html>").unwrap();
    std::fs::write(folder.join("sub/deeper/large"), vec![7u8; 3 << 20]).unwrap();
    std::fs::hard_link(folder.join("index.html"), folder.join("sub/same")).unwrap();
    std::os::unix::fs::symlink("index.html", folder.join("link")).unwrap();
    let holes = std::fs::File::create(folder.join("holes")).unwrap();
    holes.set_len(64 << 20).unwrap();
    std::os::unix::fs::FileExt::write_all_at(&holes, b"x", 32 << 20).unwrap();
    let locked = folder.join("locked");
    std::fs::create_dir(&locked).unwrap();
    std::fs::write(locked.join("in"), "x").unwrap();
    std::fs::set_permissions(&locked, std::os::unix::fs::PermissionsExt::from_mode(0o555)).unwrap();
}

/// A path may be longer than the system takes at once; that is no fault of the backup.
#[test]
fn what_lies_very_deep_is_proved_too() {
    let place = Place::fresh(PlaceKind::Folder);
    let cli = place.cli();
    let script = "import os\nos.mkdir('deep'); os.chdir('deep')\n\
                  for i in range(25):\n    n = '%02d' % i + 'd' * 200; os.mkdir(n); os.chdir(n)\n\
                  open('leaf', 'w').write('x'); os.link('leaf', 'twin'); os.symlink('leaf', 'link')\n";
    let made = std::process::Command::new(crate::support::system_tool("python3"))
        .args(["-c", script])
        .current_dir(cli.home())
        .status()
        .unwrap();
    assert!(made.success());
    cli.run(["backup", "deep"]).success();
    cli.run(["verify", "--restore", "latest"])
        .success()
        .stdout_has("all as recorded");
}

#[test]
fn files_are_proved_in_a_folder_that_is_gone_afterwards() {
    let place = Place::fresh(PlaceKind::Folder);
    let cli = place.cli();
    tree_in(&cli.home().join("www"));
    let scratch = cli.home().join("scratch");
    std::fs::create_dir(&scratch).unwrap();
    let key = cli.run(["key", "generate", "--output", "key.txt"]).success();
    let recipient = key
        .stdout()
        .lines()
        .chain(key.stderr().lines())
        .find_map(|line| {
            line.find("age1")
                .map(|at| line[at..].split(['`', ' ', '.']).next().unwrap().to_owned())
        })
        .unwrap();
    cli.run(["backup", "www"]).success();
    cli.run(["backup", "www", "--name", "sealed", "--recipient", &recipient])
        .success();
    let to = scratch.to_str().unwrap();
    let checks = [
        "--check",
        "www/index.html",
        "--check",
        r#"{"path":"www/**/large","min-size":"3MiB"}"#,
    ];
    let drill = |more: &[&str]| cli.run(["verify", "--restore", "--to", to].iter().chain(more).chain(&checks));
    drill(&["www@latest"])
        .success()
        .stdout_has("all as recorded")
        .stdout_has("2 of 2 hold");
    drill(&["sealed@latest"]).exits_with(12);
    drill(&["sealed@latest", "--identity", "key.txt"]).success();
    drill(&["www@latest", "--check", "www/gone"])
        .exits_with(20)
        .stderr_has("www/gone (nothing matches)");
    drill(&["www@latest", "--check", "select 1"])
        .exits_with(3)
        .stderr_has("select 1 (an archive of files was restored as files");
    assert_eq!(std::fs::read_dir(&scratch).unwrap().count(), 0);
    // Beside an encrypted backup nothing says what is in it.
    let sealed = evidence(&place)
        .into_iter()
        .find(|note| note["id"].as_str().unwrap().starts_with("sealed"))
        .unwrap();
    assert_eq!(sealed["result"], "passed");
    assert!(
        !sealed.to_string().contains("large") && !sealed.to_string().contains("scratch"),
        "{sealed}"
    );
    let kept = drill(&["www@latest", "--keep"]).success();
    assert!(kept.stdout().contains("backup-cli-drill-kept-"), "{kept}");
    assert!(
        files_below(&scratch)
            .iter()
            .any(|path| path.ends_with("restored/www/index.html"))
    );
    drill(&["www@latest"]).success();
    assert_eq!(std::fs::read_dir(&scratch).unwrap().count(), 1);

    // Anything else is a file, whose bytes are proved.
    cli.run(["backup", "--command", "printf 'anything at all'", "--name", "any"])
        .success();
    cli.run(["verify", "--restore", "any@latest", "--to", to])
        .success()
        .stdout_has("1 file: all as recorded");
    let data = place
        .keys()
        .into_iter()
        .find(|key| key.contains("any_backup") && key.ends_with(".gz") && !key.ends_with(".index.gz"))
        .unwrap();
    let path = place.store_folder().join(data);
    let mut bytes = std::fs::read(&path).unwrap();
    let last = bytes.len() - 1;
    bytes[last] ^= 1;
    std::fs::write(&path, bytes).unwrap();
    // What cannot even be looked at was restored nowhere.
    let nowhere = cli
        .run(["verify", "--restore", "any@latest", "--to", to])
        .exits_with(20);
    assert!(!nowhere.stdout().contains("  restored "), "{nowhere}");
    assert_eq!(std::fs::read_dir(&scratch).unwrap().count(), 1);
}
