//! The words and the variables that users of earlier scripts have in their crontabs and `.env` files.
//!
//! What those scripts made is there already: objects without a manifest, named in their way, put by the AWS CLI.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::round_trips::Restored;
use crate::sqlite::session::sqlite3;
use crate::support::aws;
use crate::support::cli::Cli;
use crate::support::place::files_below;
use crate::support::postgres::{Database, PASSWORD, PostgresServer};
use crate::support::server::fresh_folder;
use crate::support::trees::{Compare, assert_same_tree, make_small_tree};
use crate::support::weed::Bucket;

const KEY: &str = "backups/20250120/astro_backup_20250120_143000.sql.gz";
const OLDER_KEY: &str = "backups/20250119/astro_backup_20250119_030000.sql.gz";

/// The user of the scripts: a bucket, a database, and what `.env` says.
struct Astro {
    bucket: Bucket,
    database: Database,
    folder: tempfile::TempDir,
}

impl Astro {
    fn new() -> Self {
        let database = Database::fresh();
        database.psql("CREATE TABLE star (name text); INSERT INTO star VALUES ('Sirius'), (E'it''s\\n\\\\.');");
        Self {
            bucket: Bucket::fresh(),
            database,
            folder: fresh_folder("astro"),
        }
    }

    fn cli(&self) -> Cli {
        Cli::new()
            .envs(self.bucket.access.environment())
            .env("BACKUP_S3_BUCKET", &self.bucket.name)
            .env("DATABASE_URL", self.database.url())
    }

    fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// What the script did every night: `pg_dump | gzip -9`.
    fn dump_as_the_script_did(&self, name: &str) -> PathBuf {
        let output = PostgresServer::shared()
            .program("pg_dump")
            .args(["-w", "-d", &self.database.name])
            .env("PGPASSWORD", PASSWORD)
            .output()
            .expect("pg_dump starts");
        assert!(output.status.success());
        let file = self.file(name);
        std::fs::write(&file, gzip(&output.stdout)).expect("the file is written");
        file
    }

    fn upload(&self, file: &Path, key: &str) {
        aws::run(
            &self.bucket.access,
            &[
                "s3",
                "cp",
                "--quiet",
                file.to_str().expect("a path"),
                &format!("s3://{}/{key}", self.bucket.name),
            ],
        );
    }

    fn kept(&self) -> Vec<String> {
        let begin = format!("{}__", self.database.name);
        let mut all = PostgresServer::shared().databases();
        all.retain(|name| name.starts_with(&begin));
        all
    }
}

fn gzip(content: &[u8]) -> Vec<u8> {
    let mut child = Command::new("gzip")
        .arg("-9")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("gzip starts");
    let mut stdin = child.stdin.take().expect("a pipe");
    let output = std::thread::scope(|scope| {
        scope.spawn(move || stdin.write_all(content));
        child.wait_with_output().expect("gzip ends")
    });
    assert!(output.status.success());
    output.stdout
}

#[test]
fn what_the_old_script_left_is_listed_and_restored() {
    let astro = Astro::new();
    let old = astro.database.dump();
    astro.upload(&astro.dump_as_the_script_did("older.sql.gz"), OLDER_KEY);
    astro
        .database
        .psql("INSERT INTO star VALUES ('Vega'); CREATE TABLE planet (name text)");
    let backed_up = astro.database.dump();
    assert_ne!(old, backed_up);
    astro.upload(&astro.dump_as_the_script_did("newer.sql.gz"), KEY);
    astro.database.psql("DROP TABLE planet; DELETE FROM star");
    let damaged = astro.database.dump();
    let cli = astro.cli();

    for listing in [&["list", "--json"][..], &["restore", "--list-s3", "--json"]] {
        let rows = cli.run(listing).success().json();
        assert_eq!(rows.as_array().map(Vec::len), Some(2), "{rows}");
        assert_eq!(rows[0]["id"], "astro_backup_20250120_143000");
        assert_eq!(rows[0]["key"], KEY);
        assert_eq!(rows[0]["time"], "2025-01-20T14:30:00Z");
        assert_eq!(rows[0]["name"], "astro");
        assert_eq!(rows[1]["id"], "astro_backup_20250119_030000");
        for row in rows.as_array().expect("a list") {
            assert_eq!(row["state"], "unmanaged");
        }
    }
    let table = cli.run(["restore", "--list-s3"]).success();
    assert!(table.stdout().contains("unmanaged"), "{table}");
    assert!(table.stdout().contains("astro_backup_20250120_143000"), "{table}");

    // Off a terminal nobody can be asked.
    cli.run(["restore", "--from-s3-latest"])
        .exits_with(21)
        .stderr_has("--confirm")
        .nowhere(PASSWORD);
    assert_eq!(astro.database.dump(), damaged);
    let planned = cli
        .run(["restore", "--from-s3-latest", "--dry-run"])
        .success()
        .nowhere(PASSWORD);
    assert!(planned.stdout().contains("astro_backup_20250120_143000"), "{planned}");
    assert!(planned.stderr().contains("unmanaged"), "{planned}");
    assert_eq!(astro.database.dump(), damaged);
    assert_eq!(astro.bucket.keys(), [OLDER_KEY, KEY]);

    let run = cli
        .run(["restore", "--from-s3-latest", "--confirm"])
        .success()
        .nowhere(PASSWORD);
    assert!(run.stderr().contains("unmanaged"), "{run}");
    assert_eq!(astro.database.dump(), backed_up);
    let kept = astro.kept();
    let _kept = Restored::named(&kept);
    assert_eq!(kept.len(), 1);
    assert_eq!(PostgresServer::shared().dump(&kept[0]), damaged);
    // The pre-restore safety backup, in the same bucket.
    let safety = format!("{}-before-restore", astro.database.name);
    let rows = cli.run(["list", "--json", "--name", &safety]).success().json();
    assert_eq!(rows[0]["state"], "complete", "{rows}");

    // A certain one, copied from the list; the bucket's variable is not needed.
    let certain = Cli::new()
        .envs(astro.bucket.access.environment())
        .env("DATABASE_URL", astro.database.url());
    let url = format!("s3://{}/{OLDER_KEY}", astro.bucket.name);
    certain
        .run([
            "restore",
            "--from-s3",
            &url,
            "--confirm",
            "--drop-replaced",
            "--no-safety-backup",
        ])
        .success();
    assert_eq!(astro.database.dump(), old);

    // The legacy way: downloaded by hand.
    let file = astro.file("newer.sql.gz");
    let by_hand = Cli::new().env("DATABASE_URL", astro.database.url());
    let arguments = ["restore", "--backup-file", file.to_str().expect("a path")];
    by_hand.run(arguments).exits_with(21).stderr_has("--confirm");
    by_hand
        .run(arguments.into_iter().chain(["--dry-run"]))
        .success()
        .stdout_has(&astro.database.name);
    assert_eq!(astro.database.dump(), old);
    by_hand
        .run(
            arguments
                .into_iter()
                .chain(["--confirm", "--drop-replaced", "--no-safety-backup"]),
        )
        .success();
    assert_eq!(astro.database.dump(), backed_up);

    // Nothing of the script's is ever touched.
    assert!(astro.bucket.keys().iter().any(|key| key == KEY));
    assert!(astro.bucket.keys().iter().any(|key| key == OLDER_KEY));
}

#[test]
fn a_new_backup_comes_before_what_the_script_left() {
    let astro = Astro::new();
    astro.upload(&astro.dump_as_the_script_did("old.sql.gz"), KEY);
    astro.database.psql("CREATE TABLE moon (name text)");
    let now = astro.database.dump();
    let cli = astro.cli().env("BACKUP_NAME", "astro");
    // Without a word: the database of DATABASE_URL, into the bucket of BACKUP_S3_BUCKET.
    let run = cli.run(["backup"]).success().nowhere(PASSWORD);
    assert!(run.stdout().contains("astro_backup_2"), "{run}");
    let keys = astro.bucket.keys();
    assert_eq!(keys.len(), 4, "{keys:?}");
    assert!(keys.iter().all(|key| key.starts_with("backups/20")), "{keys:?}");
    astro.database.psql("DROP TABLE moon");
    cli.run([
        "restore",
        "--from-s3-latest",
        "--confirm",
        "--drop-replaced",
        "--no-safety-backup",
    ])
    .success();
    assert_eq!(astro.database.dump(), now);
}

#[test]
fn a_terminal_is_asked() {
    let astro = Astro::new();
    let then = astro.database.dump();
    astro.upload(&astro.dump_as_the_script_did("a.sql.gz"), KEY);
    astro.database.psql("DELETE FROM star");
    let now = astro.database.dump();
    let tool = env!("CARGO_BIN_EXE_backup-cli");
    let line = format!("{tool} restore --from-s3-latest --drop-replaced --no-safety-backup");
    for (answer, code, after) in [("n\n", 21, &now), ("\n", 21, &now), ("yes\n", 0, &then)] {
        // `script` gives the tool a terminal of its own.
        let mut child = Command::new(crate::support::system_tool("script"))
            .args(["--quiet", "--return", "--command", &line, "/dev/null"])
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("TERM", "xterm")
            .env("HOME", astro.folder.path())
            .env("SHELL", "/bin/sh")
            .envs(astro.bucket.access.environment())
            .env("BACKUP_S3_BUCKET", &astro.bucket.name)
            .env("DATABASE_URL", astro.database.url())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("script starts");
        let mut stdin = child.stdin.take().expect("a pipe");
        stdin.write_all(answer.as_bytes()).expect("the answer is typed");
        let output = child.wait_with_output().expect("script ends");
        drop(stdin);
        let said = String::from_utf8_lossy(&output.stdout);
        assert_eq!(output.status.code(), Some(code), "{answer:?}: {said}");
        assert!(said.contains("will be replaced"), "{said}");
        assert_eq!(&astro.database.dump(), after, "{answer:?}: {said}");
    }
}

#[test]
fn what_is_inside_is_found_by_its_bytes_and_not_by_its_name() {
    let astro = Astro::new();
    let cli = astro.cli();
    let url = |key: &str| format!("s3://{}/{key}", astro.bucket.name);

    // A tar that is called SQL.
    let tree = astro.file("www");
    make_small_tree(&tree);
    let tar = Command::new("tar")
        .args(["--format=posix", "-czf", "-", "-C"])
        .arg(astro.folder.path())
        .arg("www")
        .output()
        .expect("tar starts");
    astro.bucket.put(KEY, &tar.stdout);
    let target = astro.file("restored");
    cli.run([
        "restore",
        "--from-s3",
        &url(KEY),
        "--to",
        target.to_str().expect("a path"),
    ])
    .success();
    assert_same_tree(&tree, &target.join("www"), Compare::basics());
    let before = astro.database.dump();
    cli.run(["restore", "--from-s3-latest", "--confirm"])
        .exits_with(2)
        .stderr_has("--to DIR");
    assert_eq!(astro.database.dump(), before);
    assert_eq!(astro.kept(), Vec::<String>::new());

    // pg_dump's own format that is called SQL, compressed once more or not.
    let custom = PostgresServer::shared()
        .program("pg_dump")
        .args(["-Fc", "-w", "-d", &astro.database.name])
        .env("PGPASSWORD", PASSWORD)
        .output()
        .expect("pg_dump starts")
        .stdout;
    assert!(custom.starts_with(b"PGDMP"));
    for content in [custom.clone(), gzip(&custom)] {
        astro.bucket.put(KEY, &content);
        cli.run([
            "restore",
            "--from-s3-latest",
            "--confirm",
            "--drop-replaced",
            "--no-safety-backup",
        ])
        .success();
        assert_eq!(astro.database.dump(), before);
        let out = cli.run(["restore", "--from-s3-latest", "--to", "-"]).success();
        assert!(out.stdout_bytes() == custom, "the dump differs");
    }

    // A database of SQLite that is called SQL, and one that is called by its name.
    let made = astro.file("made.sqlite");
    sqlite3(&made, "CREATE TABLE t (v); INSERT INTO t VALUES ('seven')");
    let sqlite = std::fs::read(&made).expect("the database");
    for key in [KEY, "backups/20250121/app_backup_20250121_000000.sqlite.gz"] {
        astro.bucket.put(key, &gzip(&sqlite));
        let file = astro.file("app.sqlite");
        cli.run([
            "restore",
            "--from-s3",
            &url(key),
            "--to",
            file.to_str().expect("a path"),
            "--replace",
            "--confirm",
        ])
        .success();
        assert!(std::fs::read(&file).expect("the file") == sqlite, "the file differs");
        cli.run([
            "restore",
            "--from-s3",
            &url(key),
            "--to",
            &astro.database.url(),
            "--confirm",
        ])
        .exits_with(2)
        .stderr_has("SQLite");
    }
    assert_eq!(astro.database.dump(), before);

    // SQL that is called an archive, and SQL that nobody compressed.
    let sql = b"CREATE TABLE made (v int);\nINSERT INTO made VALUES (7);\n";
    for (key, content) in [
        ("backups/20250122/x_backup_20250122_000000.tar.gz", gzip(sql)),
        (KEY, sql.to_vec()),
    ] {
        astro.bucket.put(key, &content);
        let name = format!("{}-made", astro.database.name);
        let _made = Restored::named(std::slice::from_ref(&name));
        let server = PostgresServer::shared();
        cli.run(["restore", "--from-s3", &url(key), "--to", &server.url(&name)])
            .success();
        assert_eq!(server.psql(&name, "SELECT v FROM made"), "7\n");
    }
}

#[test]
fn the_variables_of_the_scripts_mean_what_they_meant() {
    let astro = Astro::new();
    // Keys of their own for backups win over the application's.
    let env_file = astro.file(".env");
    std::fs::write(
        &env_file,
        format!(
            "# AWS Credentials (shared with PDF storage)\nAWS_ACCESS_KEY_ID=pdf-storage-key\nAWS_SECRET_ACCESS_KEY=pdf-storage-secret\n\
             AWS_REGION=us-east-1\nAWS_S3_ENDPOINT={}\n\n# Backup S3 Configuration\nBACKUP_S3_BUCKET={}\nBACKUP_S3_PREFIX=deep/er\n\
             BACKUP_S3_RETENTION_DAYS=30\nBACKUP_S3_GLACIER_DAYS=30\nBACKUP_S3_DELETE_DAYS=90\n\
             BACKUP_AWS_ACCESS_KEY_ID={}       # For backups (optional)\nBACKUP_AWS_SECRET_ACCESS_KEY={}\n\
             BACKUP_HEALTHCHECK_URL=https://hc-ping.example/your-uuid\nDATABASE_URL={}\n",
            astro.bucket.access.endpoint,
            astro.bucket.name,
            astro.bucket.access.access_key,
            astro.bucket.access.secret_key,
            astro.database.url(),
        ),
    )
    .expect("the file is written");
    let cli = Cli::new();
    let env_file = env_file.to_str().expect("a path");
    let run = cli
        .run(["--env-file", env_file, "backup"])
        .success()
        .nowhere(PASSWORD)
        .nowhere(&astro.bucket.access.secret_key);
    let keys = astro.bucket.keys();
    assert_eq!(keys.len(), 3, "{run}");
    assert!(keys.iter().all(|key| key.starts_with("deep/er/20")), "{keys:?}");
    cli.run(["--env-file", env_file, "restore", "--list-s3"])
        .success()
        .stdout_has("complete");
    // The application's keys alone are refused.
    let denied = cli
        .command(["--env-file", env_file, "list"])
        .env("BACKUP_AWS_ACCESS_KEY_ID", &astro.bucket.access.access_key)
        .env(
            "BACKUP_AWS_SECRET_ACCESS_KEY",
            "wrong/secret0000000000000000000000000000",
        )
        .run();
    assert_eq!(denied.code(), 1, "{denied}");

    // The fallbacks of an application's own names.
    let fallback = Cli::new()
        .env("AWS_ACCESS_KEY_ID", &astro.bucket.access.access_key)
        .env("AWS_SECRET_ACCESS_KEY", &astro.bucket.access.secret_key)
        .env("AWS_S3_REGION", &astro.bucket.access.region)
        .env("AWS_S3_ENDPOINT", &astro.bucket.access.endpoint)
        .env("AWS_S3_BUCKET", &astro.bucket.name)
        .env("BACKUP_S3_PREFIX", "deep/er");
    let rows = fallback.run(["list", "--json"]).success().json();
    assert_eq!(rows.as_array().map(Vec::len), Some(1), "{rows}");
}

#[test]
fn without_aws_backups_go_to_a_folder() {
    let astro = Astro::new();
    for (name, value) in [("BACKUP_USE_AWS", "false"), ("BACKUP_S3_BUCKET", "")] {
        let cli = astro.cli().env(name, value);
        cli.run(["backup"]).success();
        assert_eq!(astro.bucket.keys(), Vec::<String>::new());
        let files = files_below(&cli.home().join(".local/share"));
        assert_eq!(files.len(), 3, "{files:?}");
        let rows = cli.run(["list", "--json"]).success().json();
        assert_eq!(rows[0]["state"], "complete");
        let dump = astro.database.dump();
        astro.database.psql("DELETE FROM star WHERE name = 'Sirius'");
        cli.run(["restore", "--confirm", "--drop-replaced", "--no-safety-backup"])
            .success();
        assert_eq!(astro.database.dump(), dump);
        assert_eq!(cli.run(["restore", "--list-s3", "--json"]).success().json(), rows);
        // The newest backup of the bucket is not to be had from a folder.
        cli.run(["restore", "--from-s3-latest", "--confirm"])
            .exits_with(2)
            .stderr_has("S3 is not configured")
            .stderr_has("BACKUP_S3_BUCKET");
    }
}

#[test]
fn an_empty_bucket_says_so() {
    let astro = Astro::new();
    let cli = astro.cli();
    assert_eq!(
        cli.run(["restore", "--list-s3", "--json"]).success().json(),
        serde_json::json!([])
    );
    cli.run(["restore", "--from-s3-latest", "--confirm"])
        .exits_with(10)
        .stderr_has("No backup");
    let missing = format!("s3://{}/{KEY}", astro.bucket.name);
    cli.run(["restore", "--from-s3", &missing, "--confirm"])
        .exits_with(10)
        .stderr_has("astro_backup_20250120_143000");
    cli.run(["restore", "--backup-file", "/nowhere/a.sql.gz", "--confirm"])
        .exits_with(10)
        .stderr_has("/nowhere/a.sql.gz");
    // Two that exclude each other.
    cli.run(["restore", "--from-s3-latest", "--from-s3", &missing])
        .exits_with(2);
}
