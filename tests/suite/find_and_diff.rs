//! `find` and `diff`: what the indexes of many backups tell.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::support::cli::{Cli, Outcome};
use crate::support::postgres::Database;
use crate::support::trees::set_modified;

/// A user with a store in a folder and a small tree.
struct Scene {
    cli: Cli,
}

impl Scene {
    fn new() -> Self {
        let cli = Cli::new();
        let store = format!("file://{}/store", cli.home().display());
        let scene = Self {
            cli: cli.env("BACKUP_STORE", store),
        };
        std::fs::create_dir_all(scene.tree().join("below")).unwrap();
        scene.write("a.txt", "alpha\n");
        scene.write("below/b.txt", "beta\n");
        scene
    }

    fn tree(&self) -> PathBuf {
        self.cli.home().join("www")
    }

    fn write(&self, name: impl AsRef<Path>, content: &str) {
        std::fs::write(self.tree().join(name), content).unwrap();
    }

    /// Backs the tree up and returns the id.
    fn back_up(&self, more: &[&str]) -> String {
        let mut line = vec!["backup", "www", "--json"];
        line.extend(more);
        let outcome = self.cli.run(line).success();
        let summary = outcome.json_lines().pop().unwrap();
        summary["snapshot_id"].as_str().unwrap().to_owned()
    }

    fn run(&self, line: &[&str]) -> Outcome {
        self.cli.run(line)
    }

    /// The file of a backup that ends so.
    fn file_of(&self, id: &str, ending: &str) -> PathBuf {
        let mut folders = vec![self.cli.home().join("store")];
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                let name = path.file_name().unwrap().to_str().unwrap();
                if path.is_dir() {
                    folders.push(path);
                } else if name.starts_with(id) && name.ends_with(ending) {
                    return path;
                }
            }
        }
        panic!("no `{ending}` of `{id}`");
    }
}

/// The first and the last word of each line: the id and the path.
fn ids_and_paths(outcome: &Outcome) -> Vec<(String, String)> {
    outcome
        .stdout()
        .lines()
        .map(|line| {
            let mut words = line.split_whitespace();
            let first = words.next().unwrap().to_owned();
            (first, words.next_back().unwrap().to_owned())
        })
        .collect()
}

#[test]
fn find_names_every_backup_that_holds_it_newest_first() {
    let scene = Scene::new();
    let first = scene.back_up(&[]);
    scene.write("new.txt", "new\n");
    let second = scene.back_up(&[]);
    std::fs::remove_file(scene.tree().join("a.txt")).unwrap();
    let third = scene.back_up(&[]);
    let found = |pattern: &str| ids_and_paths(&scene.run(&["find", pattern]).success());
    let pair = |id: &str, path: &str| (id.to_owned(), path.to_owned());
    assert_eq!(found("a.txt"), [pair(&second, "www/a.txt"), pair(&first, "www/a.txt")]);
    assert_eq!(
        found("new.*"),
        [pair(&third, "www/new.txt"), pair(&second, "www/new.txt")]
    );
    assert_eq!(
        found("www/*/b.txt"),
        [&third, &second, &first].map(|id| pair(id, "www/below/b.txt"))
    );
    assert_eq!(found("below").len(), 3, "a folder is itself, not what is in it");

    let line = scene.run(&["find", "new.txt"]).success();
    let line = line.stdout().lines().next().unwrap().to_owned();
    assert!(line.contains("  4 B  ") && line.contains(&third), "{line}");

    let nothing = scene.run(&["find", "none"]).success();
    assert_eq!(nothing.stdout(), "");
    assert!(nothing.stderr().contains("Nothing found in 3 backups."), "{nothing}");
}

#[test]
fn find_takes_types_cases_times_and_series() {
    let scene = Scene::new();
    symlink("a.txt", scene.tree().join("link.txt")).unwrap();
    std::fs::hard_link(scene.tree().join("a.txt"), scene.tree().join("other.txt")).unwrap();
    std::fs::create_dir(scene.tree().join("folder.txt")).unwrap();
    let www = scene.back_up(&[]);
    let other = scene.back_up(&["--name", "zz"]);
    let paths = |line: &[&str]| -> Vec<String> {
        let found = ids_and_paths(&scene.run(line).success());
        found.into_iter().map(|(_, path)| path).collect()
    };
    let name = ["--name", "www"];
    let with = |more: &[&'static str]| paths(&[&["find"][..], more, &name].concat());
    assert_eq!(with(&["*.txt", "-t", "l"]), ["www/link.txt"]);
    assert_eq!(with(&["*.txt", "--type", "d"]), ["www/folder.txt/"]);
    assert_eq!(
        with(&["*.txt", "--type", "f"]),
        ["www/a.txt", "www/other.txt", "www/below/b.txt"]
    );
    assert_eq!(with(&["LINK.TXT"]), Vec::<String>::new());
    assert_eq!(with(&["LINK.TXT", "-i"]), ["www/link.txt"]);
    assert_eq!(with(&["a.txt", "b.txt"]), ["www/a.txt", "www/below/b.txt"]);

    let ids = |line: &[&str]| -> Vec<String> {
        let found = ids_and_paths(&scene.run(line).success());
        found.into_iter().map(|(id, _)| id).collect()
    };
    assert_eq!(ids(&["find", "a.txt"]), [other.clone(), www.clone()]);
    assert_eq!(ids(&["find", "a.txt", "--name", "zz"]), std::slice::from_ref(&other));
    assert_eq!(ids(&["find", "a.txt", "--name", "zz", "--all"]), [other, www]);
    assert_eq!(
        ids(&["find", "a.txt", "--since", "2020-01-01", "--until", "2999-01-01"]).len(),
        2
    );
    for line in [
        &["find", "a.txt", "--name", "none"][..],
        &["find", "a.txt", "--since", "2999-01-01"],
        &["find", "a.txt", "--until", "2020-01-01"],
    ] {
        let _ = scene.run(line).exits_with(10).stderr_has("No backup");
    }
    for line in [
        &["find"][..],
        &["find", "a["],
        &["find", "a", "--type", "x"],
        &["find", "a", "--since", "yesterday"],
    ] {
        let _ = scene.run(line).exits_with(2);
    }
}

#[test]
fn names_that_are_no_text_are_found_and_shown_harmless() {
    let scene = Scene::new();
    scene.write(OsStr::from_bytes(b"caf\xe9\nbar"), "x");
    let id = scene.back_up(&[]);
    let found = scene.run(&["find", "caf*"]).success();
    assert_eq!(found.stdout().lines().count(), 1, "{found}");
    assert!(found.stdout().ends_with("www/caf\u{fffd}\\nbar\n"), "{found}");
    let lines = scene.run(&["find", "caf??bar", "--json"]).success().json_lines();
    assert_eq!(lines.len(), 2);
    assert_eq!(lines[0]["message_type"], "match");
    assert_eq!(lines[0]["snapshot_id"], id.as_str());
    assert_eq!(lines[0]["path"]["base64"], "d3d3L2NhZukKYmFy");
    assert_eq!(lines[1]["message_type"], "summary");
    assert_eq!(lines[1]["matches"], 1);
}

#[test]
fn backups_that_cannot_be_searched_are_named_and_make_it_incomplete() {
    let scene = Scene::new();
    let ids: Vec<String> = (0..4).map(|_| scene.back_up(&[])).collect();
    std::fs::remove_file(scene.file_of(&ids[0], ".index.gz")).unwrap();
    let index = scene.file_of(&ids[1], ".index.gz");
    let whole = std::fs::read(&index).unwrap();
    std::fs::write(&index, &whole[..whole.len() / 2]).unwrap();
    std::fs::write(scene.file_of(&ids[2], ".manifest.json"), "{}").unwrap();
    // Somebody else's object.
    std::fs::write(scene.cli.home().join("store/dump.sql.gz"), "").unwrap();

    let found = scene.run(&["find", "a.txt"]).exits_with(3);
    assert_eq!(
        ids_and_paths(&found),
        [(ids[3].clone(), "www/a.txt".to_owned())],
        "{found}"
    );
    for id in &ids[..3] {
        assert!(found.stderr().contains(&format!("Could not search `{id}`")), "{found}");
    }
    let found = found
        .stderr_has("has no index")
        .stderr_has("damaged")
        .stderr_has("3 backups could not be searched")
        .stderr_has("1 object was left out");
    let json = scene.run(&["find", "a.txt", "--json"]).exits_with(3);
    let summary = json.json_lines().pop().unwrap();
    assert_eq!(summary["snapshots_unreadable"], 3, "{json}");
    assert_eq!(summary["snapshots_searched"], 1, "{json}");
    assert_eq!(summary["unmanaged"], 1, "{json}");
    drop(found);
}

/// Letters and paths of the differences, in order.
fn changes(outcome: &Outcome) -> Vec<String> {
    outcome
        .stdout()
        .lines()
        .take_while(|line| !line.starts_with("From "))
        .map(|line| line.split_whitespace().collect::<Vec<_>>().join(" "))
        .collect()
}

#[test]
fn diff_says_what_was_added_removed_and_changed_and_how() {
    let scene = Scene::new();
    for name in ["gone", "grown", "touched", "mode", "kind", "same", "z"] {
        scene.write(name, name);
    }
    symlink("a.txt", scene.tree().join("pointer")).unwrap();
    std::fs::hard_link(scene.tree().join("z"), scene.tree().join("zz")).unwrap();
    // Names that sort differently as whole paths than folder by folder.
    std::fs::create_dir(scene.tree().join("below-")).unwrap();
    scene.write("below-/x", "x");
    scene.write("below.c", "c");
    let first = scene.back_up(&[]);
    assert_eq!(
        changes(&scene.run(&["diff", &first, &first]).success()),
        Vec::<String>::new()
    );

    std::fs::remove_file(scene.tree().join("gone")).unwrap();
    scene.write("grown", "grown more");
    set_modified(&scene.tree().join("touched"), 5, 0);
    std::fs::set_permissions(scene.tree().join("mode"), std::fs::Permissions::from_mode(0o600)).unwrap();
    std::fs::remove_file(scene.tree().join("kind")).unwrap();
    std::fs::create_dir(scene.tree().join("kind")).unwrap();
    std::fs::remove_file(scene.tree().join("pointer")).unwrap();
    symlink("below", scene.tree().join("pointer")).unwrap();
    scene.write("below/added", "added");
    scene.write(OsStr::from_bytes(b"n\xe9w\nline"), "");
    let second = scene.back_up(&[]);
    let expected = [
        "+ www/below/added",
        "- www/gone",
        "M www/grown",
        "T www/kind/",
        "U www/mode",
        "+ www/n\u{fffd}w\\nline",
        "M www/pointer",
        "M www/touched",
    ];
    let outcome = scene.run(&["diff", &first, &second]).success();
    assert_eq!(changes(&outcome), expected, "{outcome}");
    let outcome = outcome
        .stdout_has("added    2 files, 5 B")
        .stdout_has("removed  1 file, 4 B")
        .stdout_has("changed  3 files, 1 folder, 1 other item");
    drop(outcome);

    assert_eq!(
        changes(&scene.run(&["diff", "oldest", "latest", "www/below/"]).success()),
        ["+ www/below/added"]
    );
    let backwards = changes(&scene.run(&["diff", &second, &first, "/www/gone"]).success());
    assert_eq!(backwards, ["+ www/gone"]);

    let lines = scene.run(&["diff", &first, &second, "--json"]).success().json_lines();
    assert_eq!(lines.len(), expected.len() + 1);
    let of = |path: &str| lines.iter().find(|line| line["path"] == path).unwrap();
    assert_eq!(of("www/grown")["modifier"], "M");
    assert_eq!(of("www/grown")["before"]["size"], 5);
    assert_eq!(of("www/grown")["after"]["size"], 10);
    assert_eq!(of("www/gone")["after"], Value::Null);
    let statistics = lines.last().unwrap();
    assert_eq!(statistics["message_type"], "statistics");
    assert_eq!(statistics["source_snapshot"], first.as_str());
    assert_eq!(statistics["target_snapshot"], second.as_str());
    assert_eq!(statistics["changed_files"], 3);
    assert_eq!(statistics["added"]["files"], 2);
    assert_eq!(statistics["removed"]["bytes"], 4);
}

#[test]
fn archives_of_several_roots_are_compared_whatever_their_order() {
    let scene = Scene::new();
    for root in ["m", "c", "x"] {
        std::fs::create_dir(scene.cli.home().join(root)).unwrap();
        std::fs::write(scene.cli.home().join(root).join("f"), root).unwrap();
    }
    let back_up = |roots: &[&str]| {
        let line = [&["backup"][..], roots, &["--name", "several"]].concat();
        let _ = scene.run(&line).success();
    };
    back_up(&["x", "m", "c"]);
    std::fs::write(scene.cli.home().join("c/g"), "").unwrap();
    back_up(&["c", "x", "m"]);
    let outcome = scene.run(&["diff", "several@oldest", "several@latest"]).success();
    assert_eq!(changes(&outcome), ["+ c/g"], "{outcome}");
}

#[test]
fn tables_differ_by_their_rows() {
    let scene = Scene::new();
    let database = Database::fresh();
    database.psql(
        "CREATE SCHEMA shop; CREATE TABLE shop.orders (id int); CREATE TABLE gone (id int); CREATE TABLE same (id int);
         INSERT INTO shop.orders SELECT generate_series(1, 10); INSERT INTO same VALUES (1);",
    );
    let _ = scene.run(&["backup", &database.url(), "--name", "db"]).success();
    database.psql(
        "INSERT INTO shop.orders VALUES (11), (12); DROP TABLE gone; CREATE TABLE fresh (id int);
         CREATE INDEX orders_id ON shop.orders (id);",
    );
    let _ = scene.run(&["backup", &database.url(), "--name", "db"]).success();
    let outcome = scene.run(&["diff", "db@oldest", "db@latest"]).success();
    assert_eq!(
        changes(&outcome),
        ["+ public.fresh", "- public.gone", "M shop.orders (10 rows, now 12)"],
        "{outcome}"
    );
    for pattern in ["orders", "shop.*", "ord?rs"] {
        let found = scene.run(&["find", pattern, "--type", "table"]).success();
        assert_eq!(found.stdout().lines().count(), 2, "{found}");
        assert!(
            found
                .stdout()
                .lines()
                .next()
                .unwrap()
                .ends_with("shop.orders (12 rows)"),
            "{found}"
        );
    }
    // What makes a table is listed when it is asked for.
    let listed = scene.run(&["ls", "db@latest"]).success();
    assert_eq!(listed.stdout(), "public.fresh\npublic.same\nshop.orders\n");
    let objects = scene
        .run(&["ls", "db@latest", "--objects", "--json"])
        .success()
        .json_lines();
    let index = objects.iter().find(|node| node["object"] == "INDEX").unwrap();
    assert_eq!(
        (index["path"].as_str(), index["link"].as_str()),
        (Some("shop.orders_id"), Some("shop.orders"))
    );
}

#[test]
fn diff_needs_both_indexes_and_a_path_that_is_there() {
    let scene = Scene::new();
    let first = scene.back_up(&[]);
    let second = scene.back_up(&[]);
    let _ = scene
        .run(&["diff", &first, &second, "www/none"])
        .exits_with(10)
        .stderr_has("Nothing at `www/none`");
    let _ = scene.run(&["diff", &first]).exits_with(2);
    let _ = scene.run(&["diff", &first, "none"]).exits_with(10);
    std::fs::remove_file(scene.file_of(&first, ".index.gz")).unwrap();
    let _ = scene
        .run(&["diff", &first, &second])
        .exits_with(10)
        .stderr_has("has no index");
    std::fs::write(scene.file_of(&second, ".index.gz"), "no index").unwrap();
    let _ = scene.run(&["diff", &second, &second]).exits_with(20);
}
