//! What people see: the words of the commands that look, back up and restore, and what goes to which stream.

use std::process::Stdio;

use crate::support::cli::{Cli, Outcome};

/// A user with a small tree, whose times and sizes are always the same, and a store in a folder.
fn user() -> Cli {
    let cli = Cli::new();
    let tree = cli.home().join("www");
    std::fs::create_dir_all(tree.join("below")).expect("folders");
    std::fs::write(tree.join("a.txt"), "alpha\n").expect("a file");
    std::fs::write(tree.join("below/b.txt"), "beta\n").expect("a file");
    let store = format!("file://{}/store", cli.home().display());
    cli.env("BACKUP_STORE", store).env("BACKUP_HOST", "web-1")
}

/// What a run printed, without what differs from run to run; stored sizes depend on times and owners.
fn words(outcome: &Outcome) -> String {
    let mut text = outcome.snapshot().replace(
        concat!("backup-cli ", env!("CARGO_PKG_VERSION")),
        "backup-cli [VERSION]",
    );
    for (before, after) in [
        ("stored as ", " B"),
        ("(", " : 1)"),
        ("sha256   ", " (content)"),
        (".gz  ", " B"),
    ] {
        text = between(&text, before, after);
    }
    between(&text, ".gz  ", " B")
}

/// Replaces what stands between two texts on one line, if it is one word.
fn between(text: &str, before: &str, after: &str) -> String {
    let mut out = String::new();
    for line in text.split_inclusive('\n') {
        let replaced = line.split_once(before).and_then(|(head, rest)| {
            let (word, tail) = rest.split_once(after)?;
            let is_word = !word.is_empty() && !word.contains(' ');
            is_word.then(|| format!("{head}{before}[N]{after}{tail}"))
        });
        out.push_str(replaced.as_deref().unwrap_or(line));
    }
    out
}

#[track_caller]
fn says(outcome: &Outcome, expected: &str) {
    let found = words(outcome);
    assert!(found == expected, "it said:\n{found}\ninstead of:\n{expected}");
}

#[test]
fn a_backup_tells_where_it_went_and_how_large_it_is() {
    let cli = user();
    says(
        &cli.run(["backup", "www", "--dry-run"]),
        "\
exit code: 0
--- standard output
Would back up, but this is a dry run:
  source  directory [HOME]/www
  size    about 17 KiB, 4 items
  name    www
  store   file://[HOME]/store
  object  [DAY]/www_backup_[STAMP].tar.gz
  parts   16 MiB each, 3 at once
--- standard error
",
    );
    assert!(!cli.home().join("store").exists());
    says(
        &cli.run(["backup", "www"]),
        "\
exit code: 0
--- standard output
Backed up [HOME]/www to file://[HOME]/store in [DURATION].
  www_backup_[STAMP]
  content  2 files, 2 folders
  size     10 KiB, stored as [N] B ([N] : 1)
--- standard error
",
    );
    says(
        &cli.run(["backup", "www", "--quiet"]),
        "\
exit code: 0
--- standard output
--- standard error
",
    );
}

#[test]
fn a_list_is_a_table() {
    let cli = user();
    let _ = cli.run(["backup", "www", "--name", "first"]).success();
    let _ = cli.run(["backup", "www", "--name", "second"]).success();
    let listed = cli.run(["list"]).success();
    let rows: Vec<Vec<&str>> = listed
        .stdout()
        .lines()
        .map(|line| line.split_whitespace().collect())
        .collect();
    assert_eq!(
        rows[0],
        ["ID", "NAME", "TIME", "AGE", "SIZE", "STORED", "STATE", "CLASS"]
    );
    assert_eq!(rows.len(), 3, "{listed}");
    let mut names: Vec<&str> = rows[1..].iter().map(|row| row[1]).collect();
    names.sort_unstable();
    assert_eq!(names, ["first", "second"]);
    assert_eq!(listed.stderr(), "");
    // Columns stand below each other.
    let columns: Vec<Option<usize>> = listed
        .stdout()
        .lines()
        .map(|line| line.find("  complete").or(line.find("  STATE")))
        .collect();
    assert!(columns.iter().all(|column| *column == columns[0]), "{listed}");
}

#[test]
fn show_is_a_page() {
    let cli = user();
    let _ = cli.run(["backup", "www", "--tag", "nightly", "--tag", "web"]).success();
    says(
        &cli.run(["show", "latest"]),
        "\
exit code: 0
--- standard output
www_backup_[STAMP]
  name     www
  state    complete
  source   directory [HOME]/www
  host     web-1
  started  [TIME]Z
  took     [DURATION]
  content  2 files, 2 folders
  size     10 KiB, stored as [N] B ([N] : 1)
  format   tar, gzip level 6, 1 member
  sha256   [N] (content)
  tags     nightly, web
  made by  backup-cli [VERSION]
  objects
    [DAY]/www_backup_[STAMP].tar.gz  [N] B
    [DAY]/www_backup_[STAMP].tar.gz.index.gz  [N] B
--- standard error
",
    );
}

#[test]
fn ls_prints_paths_or_looks_like_ls() {
    let cli = user();
    let _ = cli.run(["backup", "www"]).success();
    says(
        &cli.run(["ls", "latest"]),
        "\
exit code: 0
--- standard output
www/
www/a.txt
www/below/
www/below/b.txt
--- standard error
",
    );
    says(
        &cli.run(["ls", "latest", "www/below"]),
        "\
exit code: 0
--- standard output
www/below/
www/below/b.txt
--- standard error
",
    );
    let long = cli.run(["ls", "latest", "--long"]).success();
    let sizes: Vec<&str> = long
        .stdout()
        .lines()
        .filter_map(|line| line.split_whitespace().nth(3))
        .collect();
    assert_eq!(sizes, ["0", "6", "0", "5"]);
}

#[test]
fn a_restore_tells_what_it_brought_back() {
    let cli = user();
    let _ = cli.run(["backup", "www"]).success();
    says(
        &cli.run(["restore", "latest", "--to", "out", "--dry-run"]),
        "\
exit code: 0
--- standard output
Would restore, but this is a dry run:
  backup   www_backup_[STAMP] of [TIME]Z
  from     file://[HOME]/store
  content  an archive of files
  size     10 KiB, stored as [N] B
  to       out
--- standard error
",
    );
    assert!(!cli.home().join("out").exists());
    says(
        &cli.run(["restore", "latest", "--to", "out"]),
        "\
exit code: 0
--- standard output
Restored www_backup_[STAMP] to out in [DURATION].
  content  2 files, 2 folders
  size     11 B
--- standard error
",
    );
    says(
        &cli.run(["restore", "latest", "--to", "out", "--replace", "--dry-run"]),
        "\
exit code: 0
--- standard output
Would restore, but this is a dry run:
  backup   www_backup_[STAMP] of [TIME]Z
  from     file://[HOME]/store
  content  an archive of files
  size     10 KiB, stored as [N] B
  to       out
  loss     What `out` holds under the same top-level names will be replaced
--- standard error
",
    );
    says(
        &cli.run(["restore", "latest", "--to", "quiet", "--quiet"]),
        "\
exit code: 0
--- standard output
--- standard error
",
    );
}

#[test]
fn with_nothing_configured_one_line_says_where_backups_go_and_how_to_send_them_to_s3() {
    let cli = Cli::new();
    std::fs::write(cli.home().join("a.txt"), "alpha\n").expect("a file");
    let made = cli.run(["backup", "a.txt"]).success();
    let folder = cli.home().join(".local/share/backup-cli");
    assert_eq!(
        made.stderr(),
        format!(
            "No store is configured: backups live in file://{}. \
             To send them to S3: --store s3://bucket/prefix, or set BACKUP_S3_BUCKET.\n",
            std::fs::read_dir(&folder)
                .map_or(folder.clone(), |mut entries| entries
                    .next()
                    .and_then(|entry| Some(entry.ok()?.path()))
                    .unwrap_or(folder))
                .display()
        )
    );
    assert_eq!(cli.run(["list", "--quiet"]).success().stderr(), "");
}

#[test]
fn every_layer_is_an_origin() {
    let cli = Cli::new();
    let home = cli.home().to_owned();
    let file = "[defaults]\nlevel = 2\nthreads = 2\nhost = \"defaults\"\n[profile.web]\nthreads = 3\nname = \"web\"\n";
    std::fs::write(home.join("c.toml"), file).expect("a file");
    std::fs::write(home.join(".env"), "BACKUP_TAGS=nightly\n").expect("a file");
    let cli = cli.env("BACKUP_PARTS_IN_FLIGHT", "5").env("AWS_REGION", "eu-north-1");
    let shown = cli
        .run([
            "--config",
            "c.toml",
            "-p",
            "web",
            "--env-file",
            ".env",
            "--store",
            "/srv/backups",
            "config",
            "show",
        ])
        .success();
    let origin = |key: &str| {
        let line = shown
            .stdout()
            .lines()
            .find(|line| line.split_whitespace().next() == Some(key));
        let line = line.unwrap_or_else(|| panic!("no line of `{key}`\n{shown}"));
        line.rsplit("  ")
            .next()
            .expect("a column")
            .trim()
            .replace(home.to_str().expect("UTF-8"), "[HOME]")
    };
    for (key, expected) in [
        ("store", "flag --store"),
        ("parts-in-flight", "environment BACKUP_PARTS_IN_FLIGHT"),
        ("region", "environment AWS_REGION"),
        ("tags", ".env BACKUP_TAGS"),
        ("threads", "profile web ([HOME]/c.toml:6)"),
        ("name", "profile web ([HOME]/c.toml:7)"),
        ("level", "defaults ([HOME]/c.toml:2)"),
        ("memory", "built-in"),
    ] {
        assert_eq!(origin(key), expected, "{key}\n{shown}");
    }
}

#[test]
fn colour_is_for_those_who_want_it() {
    let cli = user();
    let escape = |outcome: &Outcome| outcome.stderr().contains('\u{1b}') || outcome.stdout().contains('\u{1b}');
    let plain = cli
        .command(["show", "none"])
        .env_remove("NO_COLOR")
        .run()
        .exits_with(10);
    assert!(!escape(&plain), "{plain}");
    let forced = cli.command(["--color", "always", "show", "none"]).run().exits_with(10);
    assert!(escape(&forced), "{forced}");
    let never = cli.command(["--color", "never", "backup", "www"]).run().success();
    assert!(!escape(&never), "{never}");
}

#[test]
fn a_reader_that_leaves_early_ends_the_command_quietly() {
    let cli = user();
    let many = cli.home().join("many");
    std::fs::create_dir(&many).expect("a folder");
    for number in 0..3000 {
        std::fs::write(many.join(format!("a-file-with-a-rather-long-name-{number}")), "").expect("a file");
    }
    let _ = cli.run(["backup", "many"]).success();
    for arguments in [
        "ls latest",
        "ls latest --long",
        "ls latest --json",
        "list",
        "list --json",
        "show latest",
        "config show",
        "--help",
    ] {
        let script = format!("\"$0\" {arguments} 2>stderr | head -1 >/dev/null; echo \"${{PIPESTATUS[0]}}\"");
        let output = std::process::Command::new("bash")
            .args(["-c", &script, env!("CARGO_BIN_EXE_backup-cli")])
            .current_dir(cli.home())
            .env("HOME", cli.home())
            .env("BACKUP_STORE", cli.home().join("store"))
            .stdin(Stdio::null())
            .output()
            .expect("bash starts");
        let code = String::from_utf8_lossy(&output.stdout).trim().to_owned();
        let stderr = std::fs::read_to_string(cli.home().join("stderr")).expect("its standard error");
        assert_eq!((code.as_str(), stderr.as_str()), ("0", ""), "{arguments}");
    }
}
