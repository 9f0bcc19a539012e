//! The way back: to a new file, into the place of another database, and not at all where a guard says no.

use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;

use super::session::{Folder, Session, ask, dump, dump_of, sqlite3};
use crate::round_trips::back_up;
use crate::support::cli::Cli;
use crate::support::place::{Place, PlaceKind};
use crate::support::server::fresh_folder;

fn ids(cli: &Cli, name: &str) -> Vec<String> {
    let rows = cli.run(["list", "--json", "--name", name]).success().json();
    let rows = rows.as_array().expect("a list");
    rows.iter()
        .map(|row| row["id"].as_str().expect("an id").to_owned())
        .collect()
}

fn text(path: &Path) -> &str {
    path.to_str().expect("a path")
}

fn gzip(content: &[u8]) -> Vec<u8> {
    use std::io::Write;
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(content).unwrap();
    encoder.finish().unwrap()
}

#[test]
fn a_database_to_every_store_and_back() {
    for place in Place::all() {
        let folder = Folder::with("wal");
        let cli = place.cli();
        let expected = dump(&folder.db());
        let planned = cli.run(["backup", &folder.text(), "--dry-run"]).success();
        assert!(planned.stdout().contains("A temporary copy takes"), "{planned}");
        assert_eq!(place.keys(), Vec::<String>::new());
        let id = back_up(&cli, &[&folder.text()]);
        assert!(id.starts_with("app_backup_"), "{id}");
        let key = place.data_key();
        assert!(key.ends_with(&format!("{id}.sqlite.gz")), "{key}");

        // Without this tool.
        let out = fresh_folder("out");
        let stock = place.shell(
            &format!(
                "{} | gunzip > \"$OUT\" && sqlite3 \"$OUT\" .sha3sum",
                place.reading(&key)
            ),
            &[("OUT", text(&out.path().join("stock.db")))],
        );
        let sums = |path: &Path| ask(path, ".sha3sum");
        assert_eq!(String::from_utf8(stock).unwrap(), sums(&folder.db()));

        // With it: to a file, by a URL, to standard output; by the id, the name, and the object itself.
        let file = out.path().join("back.db");
        cli.run(["restore", &id, "--to", text(&file)]).success();
        assert_eq!(dump(&file), expected);
        let names: Vec<_> = std::fs::read_dir(out.path())
            .unwrap()
            .map(|entry| entry.unwrap().file_name())
            .collect();
        assert!(
            !names.iter().any(|name| name.display().to_string().starts_with('.')),
            "{names:?}"
        );
        let url = format!("sqlite://{}", text(&out.path().join("by url.db")));
        cli.run(["restore", "app@latest", "--to", &url]).success();
        assert_eq!(dump(&out.path().join("by url.db")), expected);
        let streamed = cli.run(["restore", &id, "--to", "-"]).success();
        assert_eq!(dump_of(streamed.stdout_bytes()), expected);
        // What the copy has beside the original is one number by which SQLite knows that its schema is another one.
        assert_eq!(
            streamed.stdout_bytes().len() as u64,
            folder.db().metadata().unwrap().len()
        );

        let shown = cli.run(["show", &id, "--json"]).success().json();
        assert_eq!(shown["source"]["kind"], "sqlite");
        assert_eq!(shown["source"]["database"], "app.db");
        assert_eq!(shown["state"], "complete");
        assert_eq!(shown["counts"], serde_json::json!({"tables": 2, "rows": 503}));
        let listed = cli.run(["ls", &id]).success();
        assert!(
            listed.stdout().contains("item") && listed.stdout().contains("odd \"name"),
            "{listed}"
        );
        // It is one file and no archive: there is nothing to choose from, and no folder to unpack it into.
        cli.run(["restore", &id, "--to", text(out.path())])
            .exits_with(2)
            .stderr_has("--to ./app.db");
        cli.run(["restore", &id, "--to", text(&out.path().join("x")), "--include", "item"])
            .exits_with(2)
            .stderr_has("choose among files");
    }
}

#[test]
fn a_url_a_profile_and_the_environment_name_a_database() {
    let folder = Folder::with("delete");
    let place = Place::fresh(PlaceKind::Folder);
    let cli = place.cli().in_folder(folder.path());
    let expected = dump(&folder.db());
    for source in [
        format!("sqlite://{}", folder.text()),
        "sqlite://app.db?mode=rw".to_owned(),
        "app.db".to_owned(),
    ] {
        let id = back_up(&cli, &[&source]);
        assert!(id.starts_with("app_backup_"), "{id}");
        let out = cli.run(["restore", &id, "--to", "-"]).success();
        assert_eq!(dump_of(out.stdout_bytes()), expected, "{source}");
    }
    // In a configuration file a path starts from the file's folder.
    let elsewhere = fresh_folder("elsewhere");
    let config = folder.file("config.toml");
    std::fs::write(&config, "[profile.shop]\nsources = [\"sqlite://app.db\"]\n").unwrap();
    let cli = place.cli().in_folder(elsewhere.path()).env("BACKUP_CONFIG", &config);
    let _ = cli.run(["backup", "-p", "shop"]).success();
    // A folder beside it is a backup of its own, in which a database is copied as a file, and that is told.
    std::fs::create_dir(elsewhere.path().join("www")).unwrap();
    std::fs::copy(folder.db(), elsewhere.path().join("www/inner.db")).unwrap();
    let run = place
        .cli()
        .in_folder(elsewhere.path())
        .run(["backup", "www", &folder.text()])
        .success();
    assert!(
        run.stderr().contains("www/inner.db") && run.stderr().contains("backup-cli backup PATH"),
        "{run}"
    );
    for name in ["shop", "www", "app"] {
        assert!(!ids(&cli, name).is_empty(), "{name}");
    }
}

#[test]
fn the_words_of_the_seeds_restore_a_database() {
    let place = Place::fresh(PlaceKind::UnknownS3);
    let folder = Folder::with("wal");
    let cli = place.cli().env("DATABASE_URL", format!("sqlite://{}", folder.text()));
    let then = dump(&folder.db());
    let _ = cli.run(["backup"]).success();
    sqlite3(&folder.db(), "DELETE FROM item WHERE id > 10");
    let now = dump(&folder.db());
    cli.run(["restore", "--from-s3-latest", "--dry-run"])
        .success()
        .stdout_has("will be replaced");
    cli.run(["restore", "--from-s3-latest"])
        .exits_with(21)
        .stderr_has("--confirm");
    assert_eq!(dump(&folder.db()), now);
    let _ = cli.run(["restore", "--from-s3-latest", "--confirm"]).success();
    assert_eq!(dump(&folder.db()), then);
    // What an earlier script left, under the names that scripts give.
    for (number, ending) in ["db.gz", "sqlite.gz", "sqlite3.gz", "db", "sql.gz"].iter().enumerate() {
        let key = format!("backups/20300101/old_backup_20300101_00000{number}.{ending}");
        let content = std::fs::read(folder.db()).unwrap();
        let content = if ending.ends_with("gz") {
            gzip(&content)
        } else {
            content
        };
        place.bucket().put(&key, &content);
        sqlite3(&folder.db(), "DELETE FROM item");
        let url = format!("s3://{}/{key}", place.bucket().name);
        // The name says SQL, the bytes say otherwise: then the target has to be named.
        let target = format!("sqlite://{}", folder.text());
        let mut words = vec!["restore", "--from-s3", &url, "--confirm", "--no-safety-backup"];
        if ending.starts_with("sql.") {
            words.extend(["--to", &target]);
        }
        let _ = cli.run(words).success();
        assert_eq!(dump(&folder.db()), then, "{key}");
    }
}

#[test]
fn a_replaced_database_is_backed_up_first_and_kept_on_request() {
    let place = Place::fresh(PlaceKind::Folder);
    let cli = place.cli();
    for (mode, keep) in [("wal", true), ("delete", true), ("wal", false)] {
        let folder = Folder::with(mode);
        let then = dump(&folder.db());
        let id = back_up(&cli, &[&folder.text()]);
        // The old database has its last transactions in a log, and an unfinished one, when it is replaced.
        let mut session = Session::open(&folder.db());
        session.run("PRAGMA wal_autocheckpoint=0; CREATE TABLE late AS SELECT 1 AS one;");
        let now = session.run(".dump");
        session.run("PRAGMA cache_size=5; PRAGMA cache_spill=5; BEGIN; UPDATE item SET content = randomblob(400);");
        session.kill();
        assert!(folder.names().len() > 1);
        std::fs::set_permissions(folder.db(), std::fs::Permissions::from_mode(0o640)).unwrap();
        if rustix::process::geteuid().is_root() {
            std::os::unix::fs::chown(folder.db(), Some(4321), Some(1234)).unwrap();
        }
        let old = folder.db().metadata().unwrap();
        let before = folder.state();

        cli.run(["restore", &id, "--to", &folder.text()])
            .exits_with(21)
            .stderr_has("--confirm");
        let planned = cli.run(["restore", &id, "--to", &folder.text(), "--dry-run"]).success();
        assert!(planned.stdout().contains("will be replaced"), "{planned}");
        assert_eq!(folder.state(), before);

        let mut words = vec!["restore", &id, "--to", folder.text().leak(), "--confirm", "--json"];
        words.extend(keep.then_some("--keep-replaced"));
        let run = cli.run(words).success();
        assert_eq!(dump(&folder.db()), then);
        let new = folder.db().metadata().unwrap();
        assert_eq!(
            (new.mode(), new.uid(), new.gid()),
            (old.mode(), old.uid(), old.gid()),
            "who may use it"
        );
        let summary = run.json_lines().pop().expect("a summary");
        let safety = ids(&cli, "app-before-restore");
        assert_eq!(summary["safety_backup"], safety[0].as_str());
        let out = cli.run(["restore", &safety[0], "--to", "-"]).success();
        assert_eq!(dump_of(out.stdout_bytes()), now);
        match keep {
            true => {
                let kept = summary["replaced_as"].as_str().expect("a path");
                assert!(kept.starts_with(&format!("{}.replaced_2", folder.text())), "{kept}");
                assert_eq!(dump(Path::new(kept)), now);
                assert_eq!(folder.names().len(), 2, "{:?}", folder.names());
            }
            false => {
                assert_eq!(summary["replaced_as"], serde_json::Value::Null);
                assert_eq!(folder.names(), ["app.db"]);
            }
        }
    }
    let folder = Folder::with("delete");
    let id = back_up(&cli, &[&folder.text()]);
    let keys = place.keys();
    let run = cli
        .run([
            "restore",
            &id,
            "--to",
            &folder.text(),
            "--confirm",
            "--no-safety-backup",
            "--drop-replaced",
        ])
        .success();
    assert!(run.stderr().contains("No safety backup"), "{run}");
    assert_eq!(place.keys(), keys);
    // An empty file is no loss.
    std::fs::write(folder.file("empty.db"), "").unwrap();
    let _ = cli
        .run(["restore", &id, "--to", text(&folder.file("empty.db"))])
        .success();
    assert_eq!(dump(&folder.file("empty.db")), dump(&folder.db()));
}

#[test]
fn a_database_in_use_is_not_replaced() {
    let place = Place::fresh(PlaceKind::Folder);
    let cli = place.cli();
    for mode in ["wal", "delete"] {
        let folder = Folder::with(mode);
        let id = back_up(&cli, &[&folder.text()]);
        let mut session = Session::open(&folder.db());
        session.run("UPDATE item SET name = 'new'; SELECT 1;");
        let (before, keys) = (folder.state(), place.keys());
        let stop = format!("Process {} (`sqlite3`)", session.pid());
        for statement in [
            "",
            "BEGIN IMMEDIATE;",
            "COMMIT; BEGIN; SELECT count(*) FROM item;",
            "COMMIT;",
        ] {
            session.run(statement);
            cli.run(["restore", &id, "--to", &folder.text(), "--confirm"])
                .exits_with(21)
                .stderr_has(&stop)
                .stderr_has("is in use");
        }
        assert_eq!(folder.state(), before);
        assert_eq!(place.keys(), keys, "not even a safety backup");
        session.close();
        let _ = cli.run(["restore", &id, "--to", &folder.text(), "--confirm"]).success();
    }
}

#[test]
fn what_is_no_database_is_not_overwritten() {
    let place = Place::fresh(PlaceKind::Folder);
    let cli = place.cli();
    let folder = Folder::with("delete");
    let expected = dump(&folder.db());
    let id = back_up(&cli, &[&folder.text()]);
    let other = folder.file("notes.txt");
    std::fs::write(&other, "years of work\n").unwrap();
    std::os::unix::fs::symlink("nowhere", folder.file("dangling")).unwrap();
    std::os::unix::fs::symlink("real.db", folder.file("link.db")).unwrap();
    std::fs::copy(folder.db(), folder.file("real.db")).unwrap();
    for name in ["notes.txt", "dangling"] {
        let run = cli
            .run(["restore", &id, "--to", text(&folder.file(name)), "--confirm"])
            .exits_with(21);
        assert_eq!(std::fs::read_to_string(&other).unwrap(), "years of work\n", "{run}");
    }
    cli.run(["restore", &id, "--to", "/dev/null", "--confirm", "--replace"])
        .exits_with(21)
        .stderr_has("regular file");
    cli.run(["restore", &id, "--to", text(&folder.file("no/such/folder/x.db"))])
        .exits_with(1)
        .stderr_has("Make the folder");
    // Whoever insists keeps it all the same, if asked.
    let _ = cli
        .run([
            "restore",
            &id,
            "--to",
            text(&other),
            "--confirm",
            "--replace",
            "--keep-replaced",
        ])
        .success();
    assert_eq!(dump(&other), expected);
    let kept = folder
        .names()
        .into_iter()
        .find(|name| name.starts_with("notes.txt.replaced_"))
        .expect("it is kept");
    assert_eq!(std::fs::read_to_string(folder.file(&kept)).unwrap(), "years of work\n");
    // A link stays one.
    let _ = cli
        .run(["restore", &id, "--to", text(&folder.file("link.db")), "--confirm"])
        .success();
    assert!(folder.file("link.db").symlink_metadata().unwrap().is_symlink());
    assert_eq!(dump(&folder.file("real.db")), expected);
    // Other content than a database is not put where one is asked for.
    std::fs::create_dir(folder.file("tree")).unwrap();
    std::fs::write(folder.file("tree/a"), "a").unwrap();
    let tree = back_up(&cli, &[text(&folder.file("tree"))]);
    let url = format!("sqlite://{}", folder.text());
    cli.run(["restore", &tree, "--to", &url, "--confirm"])
        .exits_with(2)
        .stderr_has("not an SQLite database");
    assert_eq!(dump(&folder.db()), expected);
}

#[test]
fn a_broken_database_is_replaced_and_a_broken_backup_is_not_restored() {
    let place = Place::fresh(PlaceKind::Folder);
    let cli = place.cli();
    let folder = Folder::with("wal");
    let expected = dump(&folder.db());
    let id = back_up(&cli, &[&folder.text()]);
    let whole = std::fs::read(folder.db()).unwrap();
    // What is there is broken, with a log that may be of use to somebody who salvages.
    std::fs::write(folder.db(), &whole[..whole.len() / 2]).unwrap();
    std::fs::write(folder.file("app.db-wal"), b"the last hope").unwrap();
    let before = folder.state();
    cli.run(["restore", &id, "--to", &folder.text(), "--confirm"])
        .exits_with(1)
        .stderr_has("--no-safety-backup");
    assert_eq!(folder.state(), before);
    let _ = cli
        .run([
            "restore",
            &id,
            "--to",
            &folder.text(),
            "--confirm",
            "--no-safety-backup",
            "--keep-replaced",
        ])
        .success();
    assert_eq!(dump(&folder.db()), expected);
    let names = folder.names();
    assert_eq!(names.len(), 3, "{names:?}");
    assert_eq!(
        std::fs::read(folder.file(&names[1])).unwrap(),
        &whole[..whole.len() / 2]
    );
    assert_eq!(names[2], format!("{}-wal", names[1]));
    assert_eq!(std::fs::read(folder.file(&names[2])).unwrap(), b"the last hope");

    // A log whose database is gone would be taken for the new one's.
    let orphan = Folder::with("wal");
    let mut session = Session::open(&orphan.db());
    session.run("PRAGMA wal_autocheckpoint=0; UPDATE item SET name = 'other'; DELETE FROM \"odd \"\"name\";");
    session.kill();
    std::fs::remove_file(orphan.db()).unwrap();
    cli.run(["restore", &id, "--to", &orphan.text()])
        .success()
        .stderr_has("What was left of another database");
    assert_eq!(sqlite3(&orphan.db(), ".dump"), expected);

    // A backup that somebody else made of a damaged database.
    let mut damaged = whole.clone();
    damaged[5 * 4096..7 * 4096].fill(0x55);
    let file = folder.file("foreign.db.gz");
    std::fs::write(&file, gzip(&damaged)).unwrap();
    let before = folder.state();
    for target in [folder.text(), text(&folder.file("new.db")).to_owned()] {
        cli.run([
            "restore",
            "--backup-file",
            text(&file),
            "--to",
            &target,
            "--confirm",
            "--no-safety-backup",
        ])
        .exits_with(20)
        .stderr_has("damaged")
        .stderr_has("The target is as it was before");
    }
    assert_eq!(folder.state(), before);
}
