//! Signals end a run in order and soon, and leave nothing; SIGUSR1 prints the progress; `kill -9` harms no later run.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal};

use crate::round_trips::{Restored, back_up, id_of};
use crate::support::cli::{Cli, Outcome, RunningCli};
use crate::support::place::{Place, PlaceKind, files_below};
use crate::support::postgres::{Database, PASSWORD, PostgresServer};
use crate::support::server::{fresh_folder, is_running};
use crate::support::trees::{Compare, Noise, assert_same_tree, make_small_tree};

/// A person does not wait longer; a busy machine needs some of it.
const SOON: Duration = Duration::from_secs(15);

/// More than a part at once, then a little now and then, for ever. Tells its process ids.
const SLOW: &str = r#"#!/bin/sh
echo $$ >>"$PIDS"
cat "$NOISE"
while :; do
    head -c 10000 "$NOISE" || exit 9
    sleep 0.1 &
    echo $! >>"$PIDS"
    wait
done
"#;

/// A source without an end.
struct Slow {
    folder: tempfile::TempDir,
}

impl Slow {
    fn new() -> Self {
        let folder = fresh_folder("slow");
        std::fs::write(folder.path().join("noise"), Noise::new(31).bytes(11 << 20)).expect("the file is written");
        let script = folder.path().join("slow");
        std::fs::write(&script, SLOW).expect("the script is written");
        std::fs::set_permissions(&script, std::fs::Permissions::from_mode(0o755)).expect("its mode");
        std::fs::create_dir(folder.path().join("tmp")).expect("a folder");
        Self { folder }
    }

    fn pids(&self) -> Vec<Pid> {
        let text = std::fs::read_to_string(self.folder.path().join("pids")).unwrap_or_default();
        text.lines()
            .filter_map(|line| Pid::from_raw(line.parse().ok()?))
            .collect()
    }

    /// A backup of it that has begun to upload.
    fn begin(&self, place: &Place, cli: &Cli, more: &[&str]) -> RunningCli {
        let script = self.folder.path().join("slow");
        let mut arguments = vec![
            "backup",
            "--command",
            text(&script),
            "--name",
            "slow",
            "--part-size",
            "5MiB",
        ];
        arguments.extend(more);
        let mut running = cli
            .command(&arguments)
            .env("PIDS", self.folder.path().join("pids"))
            .env("NOISE", self.folder.path().join("noise"))
            .env("TMPDIR", self.folder.path().join("tmp"))
            .start();
        running.wait_until("the first part", |_| match place.kind {
            PlaceKind::Folder => !files_below(&place.store_folder()).is_empty(),
            _ => !place.bucket().uploads().is_empty(),
        });
        running
    }

    #[track_caller]
    fn nothing_runs(&self) {
        let pids = self.pids();
        assert!(!pids.is_empty());
        let began = Instant::now();
        while let Some(pid) = pids.iter().find(|pid| is_running(**pid)) {
            assert!(began.elapsed() < SOON, "the process {pid:?} is still there");
            std::thread::sleep(Duration::from_millis(10));
        }
        assert_eq!(files_below(&self.folder.path().join("tmp")), Vec::<String>::new());
    }
}

fn text(path: &Path) -> &str {
    path.to_str().expect("a path in UTF-8")
}

/// Ends a run by a signal and asserts that it obeys soon.
#[track_caller]
fn interrupt(running: RunningCli, signal: Signal, whole_group: bool) -> Outcome {
    let asked = Instant::now();
    if whole_group {
        running.signal_group(signal);
    } else {
        running.signal(signal);
    }
    let run = running.wait().exits_with(130);
    assert!(asked.elapsed() < SOON, "{:?}\n{run}", asked.elapsed());
    assert!(run.stderr().to_lowercase().contains("interrupted"), "{run}");
    run
}

#[test]
fn a_backup_that_is_interrupted_leaves_nothing() {
    for place in Place::both() {
        let slow = Slow::new();
        let cli = place.cli();
        for (signal, whole_group) in [
            (Signal::INT, true),
            (Signal::INT, false),
            (Signal::TERM, false),
            (Signal::HUP, false),
        ] {
            let running = slow.begin(&place, &cli, &[]);
            let run = interrupt(running, signal, whole_group);
            assert_eq!(place.leftovers(), Vec::<String>::new(), "{run}");
            slow.nothing_runs();
            let listed = cli.run(["list", "--json"]).success().json();
            assert_eq!(listed, serde_json::json!([]));
        }
        assert_eq!(place.uploads_by_the_aws_cli(), "");
    }
}

#[test]
fn a_program_that_reads_json_is_told_of_the_interruption() {
    let place = Place::fresh(PlaceKind::Folder);
    let slow = Slow::new();
    let running = slow.begin(&place, &place.cli(), &["--json"]);
    let run = interrupt(running, Signal::TERM, false);
    let last = run.stderr().lines().last().expect("a line");
    let last: serde_json::Value = serde_json::from_str(last).expect("a JSON line");
    assert_eq!(last["message_type"], "exit_error");
    assert_eq!(last["code"], 130);
}

#[test]
fn sigusr1_prints_the_progress_and_the_run_goes_on() {
    let place = Place::fresh(PlaceKind::UnknownS3);
    let slow = Slow::new();
    let cli = place.cli();
    let mut running = slow.begin(&place, &cli, &["--no-progress"]);
    for _ in 0..2 {
        let before = running.stderr_so_far().matches("Backing up: ").count();
        running.signal(Signal::USR1);
        running.wait_until("a line of progress", |running| {
            running.stderr_so_far().matches("Backing up: ").count() > before
        });
    }
    assert!(running.stderr_so_far().contains("MiB"), "{}", running.stderr_so_far());
    assert!(!running.has_ended());
    let _ = interrupt(running, Signal::TERM, false);
}

#[test]
fn a_backup_of_a_locked_database_can_be_interrupted() {
    let server = PostgresServer::shared();
    let database = Database::fresh();
    database.psql("CREATE TABLE t (v int)");
    let mut locker = server
        .program("psql")
        .args(["-XAtqw", "-d", &database.name, "-c"])
        .arg("BEGIN; LOCK TABLE t IN ACCESS EXCLUSIVE MODE; SELECT pg_sleep(100)")
        .env("PGPASSWORD", PASSWORD)
        .stdout(std::process::Stdio::null())
        .stderr(std::process::Stdio::null())
        .spawn()
        .expect("psql starts");
    let waiting = format!(
        "SELECT count(*) FROM pg_stat_activity WHERE datname = '{}' AND query LIKE 'LOCK TABLE%' AND wait_event_type = 'Lock'",
        database.name
    );
    let locked = format!(
        "SELECT count(*) FROM pg_stat_activity WHERE datname = '{}' AND wait_event = 'PgSleep'",
        database.name
    );
    while server.psql("postgres", &locked) != "1\n" {
        std::thread::sleep(Duration::from_millis(20));
    }
    let place = Place::fresh(PlaceKind::Folder);
    std::fs::create_dir(place.store_folder()).expect("a folder");
    let mut running = place.cli().command(["backup", &database.url()]).start();
    running.wait_until("pg_dump waits", |_| server.psql("postgres", &waiting) == "1\n");
    let run = interrupt(running, Signal::INT, true).nowhere(PASSWORD);
    assert_eq!(place.leftovers(), Vec::<String>::new(), "{run}");
    locker.kill().expect("psql is ended");
    let _ = locker.wait();
}

/// A tree whose restore takes long enough to be interrupted in its middle.
fn make_large_tree(top: &Path) {
    let mut noise = Noise::new(32);
    for number in 0..3000 {
        let folder = top.join(format!("{:02}", number % 30));
        std::fs::create_dir_all(&folder).expect("a folder");
        std::fs::write(folder.join(format!("{number}")), noise.bytes(3000)).expect("the file is written");
    }
}

/// What a restore makes beside or in its target while it works.
fn staging(folder: &Path) -> Option<PathBuf> {
    std::fs::read_dir(folder).ok()?.find_map(|entry| {
        let entry = entry.ok()?;
        let name = entry.file_name();
        name.to_string_lossy()
            .starts_with(".backup-cli-restore-")
            .then(|| entry.path())
    })
}

fn holds_something(path: &Path) -> bool {
    if path.is_dir() {
        !files_below(path).is_empty()
    } else {
        path.metadata().is_ok_and(|meta| meta.len() > 0)
    }
}

#[test]
fn a_restore_of_files_that_is_interrupted_leaves_the_target_as_it_was() {
    for place in Place::both() {
        let cli = place.cli();
        let scratch = fresh_folder("interrupted");
        let tree = scratch.path().join("www");
        make_large_tree(&tree);
        let id = back_up(&cli, &[text(&tree), "--level", "1"]);
        let mine = scratch.path().join("mine");
        make_small_tree(&mine);
        std::fs::create_dir(mine.join("www")).expect("a folder");
        std::fs::write(mine.join("www/kept"), "kept\n").expect("the file is written");
        let copy = scratch.path().join("copy");
        place.shell("cp -a \"$FROM\" \"$TO\"", &[("FROM", text(&mine)), ("TO", text(&copy))]);
        for (signal, target, way) in [
            (Signal::INT, scratch.path().join("fresh"), &[][..]),
            (Signal::TERM, mine.clone(), &["--merge", "-y"]),
            (Signal::HUP, mine.clone(), &["--replace", "-y"]),
        ] {
            let existed = target.exists();
            let mut arguments = vec!["restore", &id, "--to", text(&target)];
            arguments.extend(way);
            let mut running = cli.command(&arguments).start();
            let above = target.parent().expect("a folder").to_owned();
            running.wait_until("the first files", |_| {
                [&target, &above]
                    .into_iter()
                    .filter_map(|folder| staging(folder))
                    .any(|staging| holds_something(&staging))
            });
            let run = interrupt(running, signal, false);
            assert_eq!(staging(&target), None, "{run}");
            assert_eq!(staging(&above), None, "{run}");
            assert_eq!(target.exists(), existed, "{run}");
            assert_same_tree(&copy, &mine, Compare::all());
        }
    }
}

#[test]
fn a_restore_into_a_file_that_is_interrupted_leaves_nothing() {
    for place in Place::both() {
        let cli = place.cli();
        let id = back_up(
            &cli,
            &[
                "--command",
                "head -c 200000000 /dev/zero",
                "--name",
                "zeros",
                "--level",
                "1",
            ],
        );
        let folder = fresh_folder("to-a-file");
        let file = folder.path().join("file");
        std::fs::write(&file, "mine\n").expect("the file is written");
        let mut running = cli
            .command(["restore", &id, "--to", text(&file), "--replace", "-y"])
            .start();
        running.wait_until("the first bytes", |_| {
            staging(folder.path()).is_some_and(|staging| holds_something(&staging))
        });
        let run = interrupt(running, Signal::INT, true);
        assert_eq!(files_below(folder.path()), ["file"], "{run}");
        assert_eq!(std::fs::read_to_string(&file).expect("the file"), "mine\n");
    }
}

/// A dump that the server needs long for.
const SLEEPING_DUMP: &str = "CREATE TABLE restored (v int);\nSELECT pg_sleep(100);\n";

fn relatives(name: &str) -> Vec<String> {
    let begin = format!("{name}__");
    let mut all = PostgresServer::shared().databases();
    all.retain(|other| other.starts_with(&begin));
    all
}

/// A restore of [`SLEEPING_DUMP`] in its middle.
fn sleeping_restore(cli: &Cli, database: &Database) -> RunningCli {
    let server = PostgresServer::shared();
    let run = cli
        .command(["backup", "--json", "-", "--stdin-name", "sleeping.sql"])
        .input(SLEEPING_DUMP)
        .run()
        .success();
    let id = id_of(&run);
    let mut running = cli
        .command([
            "restore",
            &id,
            "--to",
            &database.url(),
            "--confirm",
            "--no-safety-backup",
        ])
        .start();
    let asleep = format!(
        "SELECT count(*) FROM pg_stat_activity WHERE starts_with(datname, '{}__restore_') AND wait_event = 'PgSleep'",
        database.name
    );
    running.wait_until("the middle of the restore", |_| {
        server.psql("postgres", &asleep) == "1\n"
    });
    running
}

#[test]
fn a_restore_of_a_database_that_is_interrupted_leaves_the_server_as_it_was() {
    let place = Place::fresh(PlaceKind::UnknownS3);
    let cli = place.cli();
    let database = Database::fresh();
    database.psql("CREATE TABLE live AS SELECT 42 AS v");
    let before = database.dump();
    for (signal, whole_group) in [(Signal::INT, true), (Signal::TERM, false), (Signal::HUP, false)] {
        let running = sleeping_restore(&cli, &database);
        let run = interrupt(running, signal, whole_group).nowhere(PASSWORD);
        assert_eq!(relatives(&database.name), Vec::<String>::new(), "{run}");
        assert_eq!(database.dump(), before);
    }
}

#[test]
fn after_kill_9_nothing_is_listed_and_the_next_backup_works() {
    for place in Place::both() {
        let slow = Slow::new();
        let cli = place.cli();
        let running = slow.begin(&place, &cli, &[]);
        running.signal(Signal::KILL);
        let _ = running.wait().exits_with(137);
        // Nobody reads what it writes, so it ends too.
        slow.nothing_runs();
        let listed = cli.run(["list", "--json"]).success().json();
        assert_eq!(listed, serde_json::json!([]));
        assert!(!place.keys().iter().any(|key| key.ends_with(".manifest.json")));
        cli.run(["restore", "slow@latest", "--to", "-"]).exits_with(10);
        // The same series: its lock went with its holder.
        let id = back_up(&cli, &["--command", "echo whole", "--name", "slow"]);
        let listed = cli.run(["list", "--json"]).success().json();
        assert_eq!(listed.as_array().map(Vec::len), Some(1), "{listed}");
        assert_eq!(listed[0]["id"], id.as_str());
        let out = cli.run(["restore", "--to", "-"]).success();
        assert_eq!(out.stdout(), "whole\n");
    }
}

#[test]
fn after_kill_9_the_next_restore_works() {
    let place = Place::fresh(PlaceKind::Folder);
    let cli = place.cli();
    let database = Database::fresh();
    database.psql("CREATE TABLE live AS SELECT 42 AS v");
    let before = database.dump();
    let good = back_up(&cli, &[&database.url(), "--name", "good"]);
    let running = sleeping_restore(&cli, &database);
    running.signal(Signal::KILL);
    let _ = running.wait().exits_with(137);
    assert_eq!(database.dump(), before);
    let leftover = relatives(&database.name);
    let _leftover = Restored::named(&leftover);
    assert_eq!(leftover.len(), 1, "{leftover:?}");
    let run = cli
        .run([
            "restore",
            &good,
            "--to",
            &database.url(),
            "--confirm",
            "--no-safety-backup",
            "--drop-replaced",
        ])
        .success();
    assert!(run.stderr().contains(&leftover[0]), "it is named\n{run}");
    assert_eq!(database.dump(), before);

    let scratch = fresh_folder("killed");
    let tree = scratch.path().join("www");
    make_large_tree(&tree);
    let id = back_up(&cli, &[text(&tree), "--level", "1"]);
    let target = scratch.path().join("target");
    std::fs::create_dir(&target).expect("a folder");
    let mut running = cli.command(["restore", &id, "--to", text(&target)]).start();
    running.wait_until("the first files", |_| {
        staging(&target).is_some_and(|staging| holds_something(&staging))
    });
    running.signal(Signal::KILL);
    let _ = running.wait().exits_with(137);
    assert!(!target.join("www").exists());
    let next = scratch.path().join("next");
    cli.run(["restore", &id, "--to", text(&next)]).success();
    assert_same_tree(&tree, &next.join("www"), Compare::all());
    // What the killed one left is in the way only of whom it is in the way.
    cli.run(["restore", &id, "--to", text(&target), "--merge", "-y"])
        .success();
    assert_same_tree(&tree, &target.join("www"), Compare::all());
}
