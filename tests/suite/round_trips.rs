//! Every source into every store and back, through the binary, compared byte by byte; and back without this tool.

mod databases;
mod files;
mod sealed;

use sha2::{Digest, Sha256};

use crate::support::cli::{Cli, Outcome};
use crate::support::place::{Place, PlaceKind};
use crate::support::postgres::{Database, PASSWORD, PostgresServer, USER};
use crate::support::server::fresh_folder;
use crate::support::trees::{Compare, Noise, TreeOptions, assert_same_tree, make_nasty_tree};

/// One of every kind of object that PostgreSQL has, with names and rows that are hard on whoever reads the dump.
pub const EVERY_OBJECT: &str = include_str!("round_trips/every_object.sql");

/// The id in the summary of a backup that was made with `--json`.
#[track_caller]
pub fn id_of(outcome: &Outcome) -> String {
    let lines = outcome.json_lines();
    let summary = lines.last().expect("a summary");
    assert_eq!(summary["message_type"], "summary", "{outcome}");
    summary["snapshot_id"].as_str().expect("an id").to_owned()
}

/// Backs up, with the arguments after `backup --json`, and returns the id.
#[track_caller]
pub fn back_up(cli: &Cli, arguments: &[&str]) -> String {
    id_of(&cli.run(["backup", "--json"].iter().chain(arguments)).success())
}

/// What `list`, `show` and `ls` say of the only backup of a place agrees with the place; returns what `ls` lists.
#[track_caller]
fn look_around(place: &Place, cli: &Cli, id: &str, name: &str, kind: &str) -> Vec<serde_json::Value> {
    let listed = cli.run(["list", "--json"]).success().json();
    assert_eq!(listed.as_array().map(Vec::len), Some(1), "{listed}");
    let row = &listed[0];
    assert_eq!(row["id"], id);
    assert_eq!(row["name"], name);
    assert_eq!(row["state"], "complete");
    assert_eq!(row["source"], kind);
    let table = cli.run(["list"]).success().stdout_has(id).stdout_has("complete");
    assert_eq!(table.stderr(), "");

    let manifest = cli.run(["show", id, "--json"]).success().json();
    let text = cli.run(["show", id]).success().stdout_has(id);
    assert!(!text.stdout().contains("canary"));
    let data: Vec<_> = manifest["objects"]
        .as_array()
        .expect("objects")
        .iter()
        .filter(|object| object["role"] == "data")
        .collect();
    assert_eq!(data.len(), 1, "{manifest}");
    let key = data[0]["key"].as_str().expect("a key");
    assert_eq!(key, place.data_key());
    let stored = place.shell(&place.reading(key), &[]);
    assert_eq!(data[0]["bytes"], stored.len());
    assert_eq!(row["stored_bytes"], stored.len());
    assert_eq!(data[0]["sha256"], hex::encode(Sha256::digest(&stored)));
    let plain = place.shell(&format!("{} | gunzip", place.reading(key)), &[]);
    assert_eq!(manifest["plain_bytes"], plain.len());
    assert_eq!(row["plain_bytes"], plain.len());
    assert_eq!(manifest["plain_sha256"], hex::encode(Sha256::digest(&plain)));
    let all = place.keys();
    assert_eq!(all.len(), 3, "{all:?}");
    assert!(all.contains(&format!("{key}.index.gz")) && all.contains(&format!("{key}.manifest.json")));
    cli.run(["ls", id, "--json"]).success().json_lines()
}

/// All paths of a tree, as the archive names them.
fn paths_of(top: &std::path::Path) -> usize {
    let mut count = 1;
    let mut waiting = vec![top.to_owned()];
    while let Some(folder) = waiting.pop() {
        for entry in std::fs::read_dir(folder).expect("a folder") {
            let entry = entry.expect("an entry");
            count += 1;
            if entry.file_type().expect("its kind").is_dir() {
                waiting.push(entry.path());
            }
        }
    }
    count
}

fn directory(kind: PlaceKind) {
    let place = Place::fresh(kind);
    let cli = place.cli();
    let scratch = fresh_folder("tree");
    let tree = scratch.path().join("web");
    make_nasty_tree(&tree, TreeOptions::all());
    // Small parts, so that there are several.
    let id = back_up(&cli, &["--part-size", "5MiB", tree.to_str().expect("a path")]);
    assert!(id.starts_with("web_backup_2"), "{id}");
    let nodes = look_around(&place, &cli, &id, "web", "directory");
    assert_eq!(nodes.len(), paths_of(&tree));
    for wanted in ["web", "web/sizes/zeros", "web/links/a/b/hard-3"] {
        assert!(nodes.iter().any(|node| node["path"] == wanted), "{wanted}");
    }
    cli.run(["ls", &id, "web/links/a"])
        .success()
        .stdout_has("web/links/a/hard-2\n");

    let target = scratch.path().join("restored");
    let to = target.to_str().expect("a path");
    cli.run(["restore", &id, "--to", to]).success();
    assert_same_tree(&tree, &target.join("web"), Compare::all());
    assert_eq!(
        std::fs::read_dir(&target).expect("the target").count(),
        1,
        "nothing else is left in the target"
    );

    let stock = scratch.path().join("stock");
    std::fs::create_dir(&stock).expect("a folder");
    place.shell(
        &format!(
            // With --acls it would read the list as text, as it writes it itself, and ignore what the kernel wrote.
            "{} | gunzip | tar x -p --xattrs --xattrs-include='*' -C \"$TO\"",
            place.reading(&place.data_key())
        ),
        &[("TO", stock.to_str().expect("a path"))],
    );
    assert_same_tree(&tree, &stock.join("web"), Compare::all());
    // The plainest way of all.
    let plain = scratch.path().join("plain");
    std::fs::create_dir(&plain).expect("a folder");
    place.shell(
        &format!("{} | gunzip | tar x -C \"$TO\"", place.reading(&place.data_key())),
        &[("TO", plain.to_str().expect("a path"))],
    );
    if rustix::process::geteuid().is_root() {
        assert_same_tree(&tree, &plain.join("web"), Compare::basics());
    }

    // Whatever stands in it, further names of a link among it, is what was meant.
    for check in [&["verify", &id][..], &["verify", "--restore", &id]] {
        cli.run(check).success();
    }
    cli.run(["rebuild-index", &id]).success();
    cli.run(["verify", &id]).success();
}

#[test]
fn a_directory_to_seaweedfs_and_back() {
    directory(PlaceKind::SeaweedFs);
}

#[test]
fn a_directory_to_an_unknown_s3_server_and_back() {
    directory(PlaceKind::UnknownS3);
}

#[test]
fn a_directory_to_a_folder_and_back() {
    directory(PlaceKind::Folder);
}

/// Drops databases that a test made by restoring, however it ends.
pub struct Restored(pub Vec<String>);

impl Restored {
    /// The names of databases that do not exist yet.
    pub fn named(names: &[String]) -> Self {
        Self(names.to_vec())
    }
}

impl Drop for Restored {
    fn drop(&mut self) {
        for name in &self.0 {
            let sql = format!("DROP DATABASE IF EXISTS \"{name}\" WITH (FORCE)");
            let _ = PostgresServer::shared().try_psql("postgres", PASSWORD, &sql);
        }
    }
}

fn database(kind: PlaceKind) {
    let server = PostgresServer::shared();
    let place = Place::fresh(kind);
    let cli = place.cli();
    let database = Database::fresh();
    database.psql(EVERY_OBJECT);
    let before = database.dump();
    let id = back_up(&cli, &[&database.url()]);
    let nodes = look_around(&place, &cli, &id, &database.name, "postgresql");
    let rows = |table: &str| {
        nodes
            .iter()
            .find(|node| node["path"] == table)
            .unwrap_or_else(|| panic!("`{table}` is not listed: {nodes:?}"))["rows"]
            .clone()
    };
    assert_eq!(rows("public.hostile"), 11);
    assert_eq!(rows("Odd; Schema.weird \"name\", (x)"), 50);
    assert_eq!(rows("public.measure_2025"), 2);

    let [fresh, stock] = ["own", "stock"].map(|way| format!("{}-{way}", database.name));
    let _restored = Restored::named(&[fresh.clone(), stock.clone()]);
    cli.run(["restore", &id, "--to", &server.url(&fresh)])
        .success()
        .nowhere(PASSWORD);
    assert_eq!(server.dump(&fresh), before);

    server.psql("postgres", &format!("CREATE DATABASE \"{stock}\" TEMPLATE template0"));
    place.shell(
        &format!(
            "{} | gunzip | psql -X -q -v ON_ERROR_STOP=1 -d \"$DATABASE\" >/dev/null",
            place.reading(&place.data_key())
        ),
        &[
            ("DATABASE", stock.as_str()),
            ("PGHOST", "127.0.0.1"),
            ("PGPORT", &server.port().to_string()),
            ("PGUSER", USER),
            ("PGPASSWORD", PASSWORD),
        ],
    );
    assert_eq!(server.dump(&stock), before);
    // And the dump itself is what pg_dump wrote.
    let plain = cli.run(["restore", &id, "--to", "-"]).success();
    let text = plain.stdout();
    assert!(text.contains("\n-- PostgreSQL database dump complete\n"), "it is whole");
}

#[test]
fn a_database_to_seaweedfs_and_back() {
    database(PlaceKind::SeaweedFs);
}

#[test]
fn a_database_to_an_unknown_s3_server_and_back() {
    database(PlaceKind::UnknownS3);
}

#[test]
fn a_database_to_a_folder_and_back() {
    database(PlaceKind::Folder);
}

#[test]
fn the_output_of_a_command_to_every_store_and_back() {
    for place in Place::all() {
        let cli = place.cli();
        let scratch = fresh_folder("command");
        let content = [Noise::new(11).bytes(6 << 20), Noise::new(12).text(1 << 20)].concat();
        let file = scratch.path().join("content");
        std::fs::write(&file, &content).expect("the file is written");
        let command = format!("cat '{}'", file.display());
        let id = back_up(
            &cli,
            &[
                "--command",
                &command,
                "--name",
                "mongo",
                "--extension",
                "archive",
                "--part-size",
                "5MiB",
            ],
        );
        look_around(&place, &cli, &id, "mongo", "command");
        assert!(place.data_key().ends_with(".archive.gz"), "{}", place.data_key());
        comes_back(&place, &cli, &id, &content);
    }
}

#[test]
fn standard_input_to_every_store_and_back() {
    for place in Place::all() {
        let cli = place.cli();
        // What is being compressed already, and so does not shrink, is a stream like any other.
        let content = Noise::new(13).bytes((1 << 20) * 6 + 12_345);
        let run = cli
            .command([
                "backup",
                "--json",
                "-",
                "--stdin-name",
                "mail.mbox",
                "--part-size",
                "5MiB",
            ])
            .input(content.clone())
            .run()
            .success();
        let id = id_of(&run);
        look_around(&place, &cli, &id, "mail", "stdin");
        assert!(place.data_key().ends_with(".mbox.gz"), "{}", place.data_key());
        comes_back(&place, &cli, &id, &content);
    }
}

/// A stream comes back to standard output, to a file, and without this tool.
fn comes_back(place: &Place, cli: &Cli, id: &str, content: &[u8]) {
    let out = cli.run(["restore", id, "--to", "-"]).success();
    assert!(out.stdout_bytes() == content, "standard output differs");
    let file = cli.home().join("restored.bin");
    cli.run(["restore", id, "--to", "restored.bin"]).success();
    assert!(std::fs::read(&file).expect("the file") == content, "the file differs");
    // A file that is there is not overwritten by accident.
    std::fs::write(&file, b"mine").expect("the file is written");
    cli.run(["restore", id, "--to", "restored.bin"])
        .exits_with(21)
        .stderr_has("exists already");
    cli.run(["restore", id, "--to", "restored.bin", "--replace"])
        .exits_with(21)
        .stderr_has("--confirm");
    assert_eq!(std::fs::read(&file).expect("the file"), b"mine");
    cli.run(["restore", id, "--to", "restored.bin", "--replace", "--confirm"])
        .success();
    assert!(std::fs::read(&file).expect("the file") == content, "the file differs");
    let stock = place.shell(&format!("{} | gunzip", place.reading(&place.data_key())), &[]);
    assert!(stock == content, "what gunzip says differs");
}

#[test]
fn a_dump_by_a_command_goes_back_into_a_database() {
    let server = PostgresServer::shared();
    let database = Database::fresh();
    database.psql(EVERY_OBJECT);
    for place in Place::both() {
        let cli = place.cli().envs(server.environment());
        let command = format!("pg_dump {}", database.name);
        back_up(
            &cli,
            &["--command", &command, "--name", "by-hand", "--extension", "sql"],
        );
        let target = format!("{}-by-hand", database.name);
        let _restored = Restored::named(std::slice::from_ref(&target));
        cli.run(["restore", "--to", &server.url(&target)]).success();
        assert_eq!(server.dump(&target), database.dump());
    }
}
