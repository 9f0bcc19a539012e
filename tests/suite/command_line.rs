//! What the binary does before it does anything: arguments, environment, configuration, exit codes.
#![allow(clippy::expect_used)]

use std::path::Path;
use std::process::{Command, Output, Stdio};

use crate::support::place::{Place, PlaceKind};

/// The binary in an empty environment, with a home of its own.
fn backup_cli(home: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_backup-cli"));
    command
        .args(arguments)
        .env_clear()
        .env("HOME", home)
        .current_dir(home)
        .stdin(Stdio::null());
    command
}

fn run(home: &Path, arguments: &[&str]) -> Output {
    backup_cli(home, arguments).output().expect("the binary starts")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn home() -> tempfile::TempDir {
    tempfile::tempdir().expect("a temporary folder")
}

#[test]
fn without_arguments_it_prints_its_help_and_fails() {
    let home = home();
    let output = run(home.path(), &[]);
    assert_eq!(output.status.code(), Some(2));
    assert!(text(&output.stderr).contains("Usage: backup-cli"), "{output:?}");
    assert_eq!(text(&output.stdout), "");
}

#[test]
fn help_version_and_completions_work_with_a_broken_configuration() {
    let home = home();
    let file = home.path().join("c.toml");
    std::fs::write(&file, "[defaults\n").expect("the file can be written");
    let file = file.to_str().expect("a path in UTF-8");
    for arguments in [
        &["--config", file, "--help"][..],
        &["--config", file, "--version"],
        &["--config", file, "version", "--json"],
        &["--config", file, "completions", "fish"],
        &["--config", file, "config", "init", "-"],
    ] {
        let output = run(home.path(), arguments);
        assert_eq!(output.status.code(), Some(0), "{arguments:?}: {output:?}");
        assert!(!output.stdout.is_empty());
    }
    let output = run(home.path(), &["--config", file, "list"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(text(&output.stderr).contains("c.toml`, line 1"), "{output:?}");
}

#[test]
fn wrong_words_have_their_exit_codes() {
    let home = home();
    std::fs::write(home.path().join("c.toml"), "[profile.web]\nlevell = 1\n").expect("the file can be written");
    for (arguments, code, words) in [
        (&["frobnicate"][..], 2, "Error: Unrecognized subcommand `frobnicate`"),
        (&["backup", "x", "--level", "13"], 2, "Error: Wrong value of `--level`"),
        (&["--store", "ftp://x", "list"], 2, "Error: Wrong value of `--store`"),
        (
            &["--config", "none.toml", "list"],
            2,
            "Error: Could not read the configuration file",
        ),
        (&["--config", "c.toml", "list"], 2, "Hint: Did you mean `level`?"),
        (&["--profile", "web", "list"], 10, "Error: No such profile: `web`"),
        (
            &["--env-file", "none.env", "list"],
            2,
            "Error: Could not read the environment file",
        ),
        (
            &["-p", "a", "-p", "b", "show"],
            2,
            "Error: This command takes one profile",
        ),
    ] {
        let output = run(home.path(), arguments);
        let stderr = text(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {stderr}");
        assert!(stderr.contains(words), "{arguments:?}: {stderr}");
        assert_eq!(text(&output.stdout), "");
    }
}

#[test]
fn failures_are_json_for_programs() {
    let home = home();
    for (arguments, code) in [
        (&["--json", "--frobnicate"][..], 2),
        (&["--json", "-p", "web", "list"], 10),
    ] {
        let output = run(home.path(), arguments);
        assert_eq!(output.status.code(), Some(code));
        let stderr = text(&output.stderr);
        let last = stderr.lines().last().expect("a line");
        let line: serde_json::Value = serde_json::from_str(last).expect("a JSON line");
        assert_eq!(line["message_type"], "exit_error");
        assert_eq!(line["code"], code);
    }
}

#[test]
fn an_environment_file_counts_below_the_environment_itself() {
    let home = home();
    let file = "BACKUP_S3_BUCKET=from-file\nBACKUP_LEVEL=3\nBACKUP_AWS_ACCESS_KEY_ID=id\nBACKUP_AWS_SECRET_ACCESS_KEY='canary$1'\n";
    std::fs::write(home.path().join(".env"), file).expect("the file can be written");
    let output = backup_cli(home.path(), &["--env-file", ".env", "config", "show", "--json"])
        .env("BACKUP_LEVEL", "9")
        .output()
        .expect("the binary starts");
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let document: serde_json::Value = serde_json::from_slice(&output.stdout).expect("a JSON document");
    let setting = |key: &str| document["settings"][key].clone();
    assert_eq!(setting("store")["value"], "s3://from-file/backups");
    assert_eq!(setting("store")["origin"], ".env BACKUP_S3_BUCKET");
    assert_eq!(
        setting("level"),
        serde_json::json!({"value": 9, "origin": "environment BACKUP_LEVEL"})
    );
    assert!(!text(&output.stdout).contains("canary"));
}

#[test]
fn a_reader_that_has_seen_enough_is_no_failure() {
    let home = home();
    let mut child = backup_cli(home.path(), &["config", "show"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the binary starts");
    drop(child.stdout.take());
    let output = child.wait_with_output().expect("the binary ends");
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    assert_eq!(text(&output.stderr), "");
}

#[test]
fn a_full_disk_below_standard_output_is_a_failure() {
    let home = home();
    let full = std::fs::OpenOptions::new()
        .write(true)
        .open("/dev/full")
        .expect("/dev/full");
    let output = backup_cli(home.path(), &["config", "show"])
        .stdout(full)
        .output()
        .expect("the binary starts");
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    assert!(text(&output.stderr).starts_with("Error: Could not write to standard output\n"));
}

#[test]
fn a_second_signal_ends_what_cannot_be_ended_in_order() {
    let home = home();
    // A program that prints a secret is waited for, whatever it waits for itself.
    let mut child = backup_cli(home.path(), &["list", "--store", "s3://bkt"])
        .env("PATH", "/usr/bin:/bin")
        .env("BACKUP_AWS_ACCESS_KEY_ID", "id")
        .env(
            "BACKUP_AWS_SECRET_ACCESS_KEY_COMMAND",
            "sh -c 'touch started; sleep 20'",
        )
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("the binary starts");
    let begun = std::time::Instant::now();
    let wait = || {
        assert!(begun.elapsed().as_secs() < 15, "it takes too long");
        std::thread::sleep(std::time::Duration::from_millis(50));
    };
    while !home.path().join("started").exists() {
        wait();
    }
    let status = loop {
        let pid = rustix::process::Pid::from_child(&child);
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).expect("the signal is sent");
        wait();
        if let Some(status) = child.try_wait().expect("the binary can be waited for") {
            break status;
        }
    };
    assert_eq!(status.code(), Some(130));
}

/// What stands in the README as code: the lines of its blocks, and what stands between backticks, without `backup-cli`.
fn commands_in_the_readme() -> Vec<(bool, Vec<String>)> {
    let readme = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/README.md")).expect("the README");
    let mut found = Vec::new();
    let mut is_block = false;
    for line in readme.lines() {
        if line.starts_with("```") {
            is_block = !is_block;
        } else if is_block {
            let Some((_, command)) = line.split_once("backup-cli ") else {
                continue;
            };
            let command = command.split([';', '|', '>', '#']).next().unwrap_or_default();
            let command = command.split(" &&").next().unwrap_or_default();
            if let Ok(words) = shell_words::split(command) {
                found.push((true, words));
            }
        } else {
            for span in line.split('`').skip(1).step_by(2) {
                let is_ours = span.starts_with("backup-cli ");
                let command = span.strip_prefix("backup-cli ").unwrap_or(span);
                let words = shell_words::split(command);
                found.push((is_ours, words.unwrap_or_default()));
            }
        }
    }
    found
}

#[test]
fn every_command_that_the_readme_names_is_one() {
    use clap::CommandFactory;
    let root = backup_cli::cli::Cli::command();
    let has = |command: &clap::Command, option: &str| {
        let is_it = |argument: &clap::Arg| {
            argument.get_long() == Some(option) || argument.get_all_aliases().is_some_and(|all| all.contains(&option))
        };
        command.get_arguments().any(is_it)
    };
    let mut named = 0;
    for (is_ours, words) in commands_in_the_readme() {
        let mut command = &root;
        let mut rest = words.as_slice();
        while let Some((word, more)) = rest.split_first() {
            let Some(below) = command.find_subcommand(word) else {
                break;
            };
            (command, rest) = (below, more);
        }
        if command.get_name() == root.get_name() {
            // `backup-cli COMMAND --help` and options that go with every command.
            let is_place = rest
                .first()
                .is_none_or(|word| word.starts_with('-') || word.chars().all(char::is_uppercase));
            assert!(!is_ours || is_place, "no command of ours: {words:?}");
            continue;
        }
        assert!(
            !command.has_subcommands() || rest.is_empty() || rest[0].starts_with('-'),
            "no command of ours: {words:?}"
        );
        named += 1;
        for option in rest.iter().filter_map(|word| word.strip_prefix("--")) {
            let option = option.split('=').next().unwrap_or_default();
            let option = option.trim_end_matches(|c: char| !c.is_ascii_alphanumeric());
            assert!(
                option.is_empty() || option == "help" || has(command, option) || has(&root, option),
                "`{}` has no --{option}: {words:?}",
                command.get_name()
            );
        }
    }
    assert!(named > 60, "only {named} commands were found");
}

/// A command in a profile is words and not a line for a shell: nothing in them means anything to anybody but the program.
#[test]
fn the_command_of_a_profile_is_run_as_it_stands() {
    let place = Place::fresh(PlaceKind::Folder);
    let cli = place.cli();
    let config = cli.home().join("words.toml");
    let text = "[profile.words]\nname = \"words\"\nextension = \"txt\"\n\
                command = [\"printf\", \"%s|\", \"a  b\", \"$HOME; exit 1\", \"*\", \"\"]\n";
    std::fs::write(&config, text).expect("the file is written");
    let config = config.to_str().expect("a path in UTF-8");
    cli.run(["backup", "--config", config, "--profile", "words"]).success();
    let back = cli
        .run([
            "restore",
            "latest",
            "--config",
            config,
            "--profile",
            "words",
            "--to",
            "-",
        ])
        .success();
    assert_eq!(back.stdout(), "a  b|$HOME; exit 1|*||");
    let other = text.replace("printf", "false");
    std::fs::write(config, other).expect("the file is written");
    cli.run(["backup", "--config", config, "--profile", "words"])
        .exits_with(1);
    assert_eq!(place.leftovers().len(), 3, "the first backup and nothing else");
}
