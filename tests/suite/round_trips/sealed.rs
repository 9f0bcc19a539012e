//! Every source x {plain, encrypted} x {gzip, zstd, none} x {S3, folder}: into the place and back, by us and by stock tools.
//!
//! A source is a row of [`SOURCES`]: what it is made of, and how what came back is compared. Plain gzip is what all other
//! round trips are made with.

use std::path::Path;

use super::{EVERY_OBJECT, Restored, back_up};
use crate::encryption::{KeyPair, undoing};
use crate::mysql;
use crate::sqlite::session::{Folder, dump};
use crate::support::cli::Cli;
use crate::support::mariadb::{self, MariaDbServer};
use crate::support::place::{Place, PlaceKind};
use crate::support::postgres::{Database, PASSWORD, PostgresServer, USER};
use crate::support::server::fresh_folder;
use crate::support::trees::{Compare, Noise, TreeOptions, assert_same_tree, make_nasty_tree};

/// Something that is backed up, and that knows what has to come back.
trait Sample {
    /// The arguments of `backup` that name it.
    fn arguments(&self) -> Vec<String>;

    /// Restores the backup and compares.
    fn comes_back(&self, cli: &Cli, id: &str, identity: &str);

    /// The plaintext that stock tools make of the object is what it should be; `plain` is a pipeline that yields it.
    fn by_stock_tools(&self, place: &Place, plain: &str);
}

/// One row a source.
const SOURCES: &[fn() -> Box<dyn Sample>] = &[Tree::make, Dump::make, Tables::make, File::make, Output::make];

fn every_combination(place: &Place) {
    let cli = place.cli();
    let key = KeyPair::generate(cli.home(), "key");
    for make in SOURCES {
        let sample = make();
        for codec in ["gzip", "zstd", "none"] {
            for is_encrypted in [false, true] {
                if codec == "gzip" && !is_encrypted {
                    continue;
                }
                let name = format!("{codec}-{is_encrypted}");
                let mut arguments = sample.arguments();
                arguments.extend(["--compression", codec, "--name", &name].map(str::to_owned));
                if is_encrypted {
                    arguments.extend(["--recipient".to_owned(), key.public.clone()]);
                }
                let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
                let before = place.keys();
                let id = back_up(&cli, &arguments);
                let added: Vec<String> = place.keys().into_iter().filter(|key| !before.contains(key)).collect();
                assert_eq!(added.len(), 3, "{added:?}");
                let data = added
                    .iter()
                    .find(|key| !key.contains(".index.gz") && !key.ends_with(".manifest.json"))
                    .expect("the data");
                assert_eq!(data.ends_with(".age"), is_encrypted, "{data}");
                sample.comes_back(&cli, &id, key.path());
                // The bytes are the same in a bucket, out of which the other round trips read with the AWS CLI.
                if place.kind == PlaceKind::Folder {
                    let plain = format!("{}{}", place.reading(data), undoing(data, key.path()));
                    sample.by_stock_tools(place, &plain);
                }
            }
        }
    }
}

#[test]
fn every_source_of_every_codec_encrypted_or_not_to_an_s3_server_and_back() {
    let [bucket, _] = Place::both();
    every_combination(&bucket);
}

#[test]
fn every_source_of_every_codec_encrypted_or_not_to_a_folder_and_back() {
    let [_, folder] = Place::both();
    every_combination(&folder);
}

/// A directory.
struct Tree(tempfile::TempDir);

impl Tree {
    fn make() -> Box<dyn Sample> {
        let scratch = fresh_folder("tree");
        make_nasty_tree(&scratch.path().join("web"), TreeOptions::all());
        Box::new(Self(scratch))
    }

    fn tree(&self) -> std::path::PathBuf {
        self.0.path().join("web")
    }
}

fn text(path: &Path) -> &str {
    path.to_str().expect("a path in UTF-8")
}

impl Sample for Tree {
    fn arguments(&self) -> Vec<String> {
        vec![text(&self.tree()).to_owned()]
    }

    fn comes_back(&self, cli: &Cli, id: &str, identity: &str) {
        let target = fresh_folder("back");
        cli.run(["restore", id, "--to", text(target.path()), "--identity", identity])
            .success();
        assert_same_tree(&self.tree(), &target.path().join("web"), Compare::all());
        // And a part of it by ranges.
        let part = fresh_folder("part");
        cli.run([
            "restore",
            id,
            "--include",
            "web/links",
            "--to",
            text(part.path()),
            "--identity",
            identity,
        ])
        .success();
        assert_same_tree(
            &self.tree().join("links"),
            &part.path().join("web/links"),
            Compare::basics(),
        );
    }

    fn by_stock_tools(&self, place: &Place, plain: &str) {
        let target = fresh_folder("stock");
        let script = format!("{plain} | tar x -p --xattrs --xattrs-include='*' -C \"$TO\"");
        place.shell(&script, &[("TO", text(target.path()))]);
        assert_same_tree(&self.tree(), &target.path().join("web"), Compare::all());
    }
}

/// A PostgreSQL database.
struct Dump {
    database: Database,
    before: String,
}

impl Dump {
    fn make() -> Box<dyn Sample> {
        let database = Database::fresh();
        database.psql(EVERY_OBJECT);
        let before = database.dump();
        Box::new(Self { database, before })
    }
}

impl Sample for Dump {
    fn arguments(&self) -> Vec<String> {
        vec![self.database.url()]
    }

    fn comes_back(&self, cli: &Cli, id: &str, identity: &str) {
        let server = PostgresServer::shared();
        let fresh = format!("{}-sealed", self.database.name);
        let _restored = Restored::named(std::slice::from_ref(&fresh));
        cli.run(["restore", id, "--to", &server.url(&fresh), "--identity", identity])
            .success()
            .nowhere(PASSWORD);
        assert_eq!(server.dump(&fresh), self.before);
    }

    fn by_stock_tools(&self, place: &Place, plain: &str) {
        let server = PostgresServer::shared();
        let stock = format!("{}-stock", self.database.name);
        let _restored = Restored::named(std::slice::from_ref(&stock));
        server.psql("postgres", &format!("CREATE DATABASE \"{stock}\" TEMPLATE template0"));
        place.shell(
            &format!("{plain} | psql -X -q -v ON_ERROR_STOP=1 -d \"$DATABASE\" >/dev/null"),
            &[
                ("DATABASE", stock.as_str()),
                ("PGHOST", "127.0.0.1"),
                ("PGPORT", &server.port().to_string()),
                ("PGUSER", USER),
                ("PGPASSWORD", PASSWORD),
            ],
        );
        assert_eq!(server.dump(&stock), self.before);
    }
}

/// A MariaDB database.
struct Tables {
    database: mariadb::Database,
    before: String,
}

impl Tables {
    fn make() -> Box<dyn Sample> {
        let database = mariadb::Database::fresh();
        database.sql(mysql::EVERY_OBJECT);
        let before = database.dump();
        Box::new(Self { database, before })
    }

    /// Makes `fresh` the name of no database, whatever the combination before has left there.
    fn without(fresh: &str) -> &'static MariaDbServer {
        let server = MariaDbServer::shared();
        server.sql("", &format!("DROP DATABASE IF EXISTS `{fresh}`"));
        server
    }
}

impl Sample for Tables {
    fn arguments(&self) -> Vec<String> {
        vec![self.database.url()]
    }

    fn comes_back(&self, cli: &Cli, id: &str, identity: &str) {
        let fresh = format!("{}-sealed", self.database.name);
        let server = Self::without(&fresh);
        cli.run(["restore", id, "--to", &server.url(&fresh), "--identity", identity])
            .success()
            .nowhere(mariadb::PASSWORD);
        assert_eq!(server.dump(&fresh), self.before);
    }

    fn by_stock_tools(&self, place: &Place, plain: &str) {
        let stock = format!("{}-stock", self.database.name);
        let server = Self::without(&stock);
        server.sql("", &format!("CREATE DATABASE `{stock}`"));
        // mariadb-dump names the database in the default of a column that counts by a sequence.
        let dump = String::from_utf8(place.shell(plain, &[]))
            .expect("UTF-8")
            .replace(&format!("`{}`.", self.database.name), &format!("`{stock}`."));
        server.sql(&stock, &dump);
        assert_eq!(server.dump(&stock), self.before);
    }
}

/// An SQLite database, written ahead into its log.
struct File(Folder);

impl File {
    fn make() -> Box<dyn Sample> {
        Box::new(Self(Folder::with("wal")))
    }
}

impl Sample for File {
    fn arguments(&self) -> Vec<String> {
        vec![self.0.text()]
    }

    fn comes_back(&self, cli: &Cli, id: &str, identity: &str) {
        let target = fresh_folder("back");
        let file = target.path().join("back.db");
        cli.run(["restore", id, "--to", text(&file), "--identity", identity])
            .success();
        assert_eq!(dump(&file), dump(&self.0.db()));
    }

    fn by_stock_tools(&self, place: &Place, plain: &str) {
        let target = fresh_folder("stock");
        let file = target.path().join("stock.db");
        place.shell(&format!("{plain} > \"$OUT\""), &[("OUT", text(&file))]);
        assert_eq!(dump(&file), dump(&self.0.db()));
    }
}

/// The output of a command: of what looks compressed already, which nobody may mistake for it.
struct Output {
    folder: tempfile::TempDir,
    content: Vec<u8>,
}

impl Output {
    fn make() -> Box<dyn Sample> {
        let folder = fresh_folder("output");
        let content = [
            &b"\x1f\x8b\x08\x00"[..],
            &Noise::new(17).bytes(1 << 20),
            &Noise::new(18).text(1 << 20),
        ]
        .concat();
        std::fs::write(folder.path().join("content"), &content).expect("the file is written");
        Box::new(Self { folder, content })
    }
}

impl Sample for Output {
    fn arguments(&self) -> Vec<String> {
        let command = format!("cat '{}'", text(&self.folder.path().join("content")));
        ["--command", &command, "--extension", "archive"]
            .map(str::to_owned)
            .to_vec()
    }

    fn comes_back(&self, cli: &Cli, id: &str, identity: &str) {
        let out = cli.run(["restore", id, "--to", "-", "--identity", identity]).success();
        assert!(out.stdout_bytes() == self.content, "standard output differs");
    }

    fn by_stock_tools(&self, place: &Place, plain: &str) {
        assert!(place.shell(plain, &[]) == self.content, "what stock tools say differs");
    }
}
