//! The ways to bring files back: a choice of them, into folders of every kind, from one source and from several.

use std::os::unix::fs::MetadataExt;
use std::path::Path;

use super::back_up;
use crate::support::place::{Place, PlaceKind, files_below};
use crate::support::server::fresh_folder;
use crate::support::trees::{Compare, assert_same_tree, make_small_tree};

fn text(path: &Path) -> &str {
    path.to_str().expect("a path in UTF-8")
}

fn write(path: &Path, content: &str) {
    std::fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
    std::fs::write(path, content).expect("the file is written");
}

#[test]
fn only_what_is_chosen_comes_back() {
    for place in Place::both() {
        let cli = place.cli();
        let scratch = fresh_folder("choice");
        let tree = scratch.path().join("www");
        for name in [
            "etc/a.conf",
            "etc/b.conf",
            "etc/c.txt",
            "log/x.log",
            "log/old/y.log",
            "top.conf",
        ] {
            write(&tree.join(name), name);
        }
        std::fs::write(tree.join("large"), vec![7; 3 << 20]).expect("the file is written");
        let id = back_up(&cli, &[text(&tree)]);
        for (number, (options, expected)) in [
            (
                vec!["--include", "*.conf"],
                vec!["www/etc/a.conf", "www/etc/b.conf", "www/top.conf"],
            ),
            (vec!["--include", "www/log"], vec!["www/log/old/y.log", "www/log/x.log"]),
            (
                vec!["--include", "www/etc/*", "--exclude", "b.*"],
                vec!["www/etc/a.conf", "www/etc/c.txt"],
            ),
            (
                vec!["--include", "**/y.log", "--include", "c.txt"],
                vec!["www/etc/c.txt", "www/log/old/y.log"],
            ),
            (
                vec!["--exclude", "large", "--exclude", "log/", "--exclude", "etc"],
                vec!["www/top.conf"],
            ),
        ]
        .into_iter()
        .enumerate()
        {
            let target = scratch.path().join(format!("to-{number}"));
            let mut arguments = vec!["restore", &id, "--to", text(&target)];
            arguments.extend(&options);
            cli.run(&arguments).success();
            assert_eq!(files_below(&target), expected, "{options:?}");
            for name in expected {
                let restored = std::fs::metadata(target.join(name)).expect("the file");
                let original = std::fs::metadata(scratch.path().join(name)).expect("the file");
                assert_eq!(
                    (restored.mtime(), restored.mtime_nsec(), restored.mode()),
                    (original.mtime(), original.mtime_nsec(), original.mode())
                );
                assert_eq!(
                    std::fs::read(target.join(name)).expect("the file"),
                    std::fs::read(scratch.path().join(name)).expect("the file")
                );
            }
        }
        let nothing = scratch.path().join("nothing");
        cli.run(["restore", &id, "--to", text(&nothing), "--include", "*.jpg"])
            .exits_with(10)
            .stderr_has("Nothing in")
            .stderr_has("backup-cli ls");
        assert!(!nothing.exists());
        cli.run(["restore", &id, "--to", "-", "--include", "*.conf"])
            .exits_with(2)
            .stderr_has("has to be spelled out");
    }
}

#[test]
fn the_target_is_empty_or_merged_into_or_replaced() {
    let place = Place::fresh(PlaceKind::Folder);
    let cli = place.cli();
    let scratch = fresh_folder("targets");
    let tree = scratch.path().join("www");
    make_small_tree(&tree);
    let id = back_up(&cli, &[text(&tree)]);

    let empty = scratch.path().join("empty");
    std::fs::create_dir(&empty).expect("a folder");
    cli.run(["restore", &id, "--to", text(&empty)]).success();
    assert_same_tree(&tree, &empty.join("www"), Compare::all());

    let used = scratch.path().join("used");
    write(&used.join("www/hello.txt"), "mine\n");
    write(&used.join("www/more"), "mine too\n");
    write(&used.join("beside"), "untouched\n");
    let before = files_below(&used);
    let refused = cli.run(["restore", &id, "--to", text(&used)]).exits_with(21);
    assert!(refused.stderr().contains("Hint:"), "{refused}");
    // Off a terminal nobody can be asked.
    for way in ["--merge", "--replace"] {
        cli.run(["restore", &id, "--to", text(&used), way])
            .exits_with(21)
            .stderr_has("--confirm");
        let planned = cli
            .run(["restore", &id, "--to", text(&used), way, "--dry-run", "--json"])
            .success();
        assert_eq!(planned.json_lines().last().expect("a summary")["dry_run"], true);
    }
    assert_eq!(files_below(&used), before);
    assert_eq!(
        std::fs::read_to_string(used.join("www/hello.txt")).expect("the file"),
        "mine\n"
    );

    cli.run(["restore", &id, "--to", text(&used), "--merge", "--confirm"])
        .success();
    assert_eq!(
        files_below(&used),
        [
            "beside",
            "www/folder/noise",
            "www/folder/numbers",
            "www/hello.txt",
            "www/more"
        ]
    );
    assert_eq!(
        std::fs::read_to_string(used.join("www/hello.txt")).expect("the file"),
        "hello\n"
    );

    cli.run(["restore", &id, "--to", text(&used), "--replace", "-y"])
        .success();
    assert_eq!(
        files_below(&used),
        ["beside", "www/folder/noise", "www/folder/numbers", "www/hello.txt"]
    );
    assert_same_tree(&tree, &used.join("www"), Compare::all());
}

#[test]
fn a_file_and_several_sources_in_one_backup() {
    for place in Place::both() {
        let cli = place.cli();
        let scratch = fresh_folder("sources");
        let file = scratch.path().join("notes.txt");
        write(&file, "one file\n");
        let id = back_up(&cli, &[text(&file)]);
        let target = scratch.path().join("file");
        cli.run(["restore", &id, "--to", text(&target)]).success();
        assert_eq!(files_below(&target), ["notes.txt"]);
        assert_eq!(
            std::fs::read_to_string(target.join("notes.txt")).expect("the file"),
            "one file\n"
        );

        make_small_tree(&scratch.path().join("a"));
        write(&scratch.path().join("b/c/inside"), "b\n");
        let (a, c) = (scratch.path().join("a"), scratch.path().join("b/c"));
        let id = back_up(&cli, &[text(&a), text(&c), text(&file), "--name", "several"]);
        let listed = cli.run(["ls", &id]).success();
        for path in ["a/", "a/hello.txt", "c/", "c/inside", "notes.txt"] {
            assert!(listed.stdout().lines().any(|line| line == path), "{listed}");
        }
        let target = scratch.path().join("several");
        cli.run(["restore", "several@latest", "--to", text(&target)]).success();
        assert_same_tree(&a, &target.join("a"), Compare::all());
        assert_same_tree(&c, &target.join("c"), Compare::all());
        assert_eq!(
            std::fs::read_to_string(target.join("notes.txt")).expect("the file"),
            "one file\n"
        );
    }
}

#[test]
fn excludes_stay_out_and_a_socket_is_told() {
    let place = Place::fresh(PlaceKind::Folder);
    let cli = place.cli();
    let scratch = fresh_folder("excludes");
    let tree = scratch.path().join("www");
    for name in [
        "keep.rs",
        "target/debug/x",
        "a.log",
        "deep/b.log",
        "deep/important.log",
        "cache/data",
    ] {
        write(&tree.join(name), name);
    }
    write(
        &tree.join("cache/CACHEDIR.TAG"),
        "Signature: 8a477f597d28d172789f06886806bc55\n",
    );
    let patterns = scratch.path().join("patterns");
    write(&patterns, "# logs\n*.log\n!important.log\n");
    let id = back_up(
        &cli,
        &[
            text(&tree),
            "--exclude",
            "target/",
            "--exclude-file",
            text(&patterns),
            "--exclude-caches",
        ],
    );
    let target = scratch.path().join("restored");
    cli.run(["restore", &id, "--to", text(&target)]).success();
    assert_eq!(
        files_below(&target),
        ["www/cache/CACHEDIR.TAG", "www/deep/important.log", "www/keep.rs"]
    );
    // A socket cannot be backed up; that is said, and nothing is missing.
    let _socket = std::os::unix::net::UnixListener::bind(tree.join("socket")).expect("a socket");
    cli.run(["backup", text(&tree)]).success().stderr_has("socket");
}

#[test]
fn another_file_system_is_left_out_by_the_flag() {
    let place = Place::fresh(PlaceKind::Folder);
    let cli = place.cli();
    // `/proc` is another one wherever Linux runs.
    let choice = ["--exclude", "/*", "--exclude", "!/proc", "--one-file-system"];
    let arguments = [&["/", "--name", "all"], &choice[..]].concat();
    let id = back_up(&cli, &arguments);
    let paths: Vec<String> = cli
        .run(["ls", &id, "--json"])
        .success()
        .json_lines()
        .iter()
        .filter_map(|node| node["path"].as_str().map(str::to_owned))
        .collect();
    assert_eq!(paths, ["root", "root/proc"]);
}

#[test]
fn standard_output_receives_the_archive_itself() {
    for place in Place::both() {
        let cli = place.cli();
        let scratch = fresh_folder("stdout");
        let tree = scratch.path().join("www");
        make_small_tree(&tree);
        let id = back_up(&cli, &[text(&tree)]);
        let out = cli.run(["restore", &id, "--to", "-"]).success();
        let stock = place.shell(&format!("{} | gunzip", place.reading(&place.data_key())), &[]);
        assert!(out.stdout_bytes() == stock, "standard output is not the archive");
        let archive = scratch.path().join("www.tar");
        std::fs::write(&archive, out.stdout_bytes()).expect("the file is written");
        let target = scratch.path().join("untarred");
        std::fs::create_dir(&target).expect("a folder");
        place.shell(
            "tar xf \"$FROM\" -C \"$TO\"",
            &[("FROM", text(&archive)), ("TO", text(&target))],
        );
        assert_same_tree(&tree, &target.join("www"), Compare::basics());
    }
}

#[test]
fn a_time_chooses_the_backup_that_was_there_then() {
    for place in Place::both() {
        let cli = place.cli();
        let scratch = fresh_folder("times");
        let file = scratch.path().join("state");
        let mut ids = Vec::new();
        for state in ["first", "second", "third"] {
            write(&file, state);
            ids.push(back_up(&cli, &[text(&file)]));
        }
        let listed = cli.run(["list", "--json"]).success().json();
        let rows = listed.as_array().expect("a list");
        let newest_first: Vec<&str> = rows.iter().map(|row| row["id"].as_str().expect("an id")).collect();
        assert_eq!(newest_first, ids.iter().rev().map(String::as_str).collect::<Vec<_>>());
        for (row, state) in rows.iter().rev().zip(["first", "second", "third"]) {
            let time = row["time"].as_str().expect("a time");
            let target = scratch.path().join(format!("at-{state}"));
            cli.run(["restore", "--at", time, "--to", text(&target)]).success();
            assert_eq!(std::fs::read_to_string(target.join("state")).expect("the file"), state);
        }
        for (word, state) in [("oldest", "first"), ("latest", "third"), ("state@latest", "third")] {
            let target = scratch.path().join(word);
            cli.run(["restore", word, "--to", text(&target)]).success();
            assert_eq!(std::fs::read_to_string(target.join("state")).expect("the file"), state);
        }
        cli.run(["restore", "--at", "2001-01-01", "--to", "never"])
            .exits_with(10)
            .stderr_has("No backup");
    }
}
