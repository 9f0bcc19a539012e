//! `kill -9` at random times of a backup and of a restore: nothing that was committed is lost,
//! nothing is committed falsely, a target is the old one or the new one, and the next run works.
//!
//! `BACKUP_CLI_TEST_SEED=n` chooses other times.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, OnceLock};
use std::time::Duration;

use rustix::process::Signal;

use crate::round_trips::id_of;
use crate::support::cli::{Cli, Outcome};
use crate::support::fault_s3::{Content, FaultS3, Options};
use crate::support::server::process_folder;
use crate::support::trees::{Compare, differences, make_small_tree};

/// How many runs are ended at random times, of each of the four ways.
const KILLS_EACH: u64 = 75;

const WORKERS: usize = 3;

/// How a run's expected length follows the runs, for the machine may be busier at one time than at another: it grows with
/// each that was killed and shrinks with each that had ended before, so that most are killed and some are not.
const LENGTHENED: f64 = 1.03;
const SHORTENED: f64 = 0.9;

/// What is ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    BackupToS3,
    BackupToFolder,
    RestoreAfresh,
    RestoreReplacing,
}

const WAYS: [Way; 4] = [
    Way::BackupToS3,
    Way::BackupToFolder,
    Way::RestoreAfresh,
    Way::RestoreReplacing,
];

/// The old tree and the new one, the folder of a store and a bucket with a backup of the new one.
struct Fixture {
    old: PathBuf,
    new: PathBuf,
    store: PathBuf,
    content: Content,
    id: String,
}

fn fixture() -> &'static Fixture {
    static FIXTURE: OnceLock<Fixture> = OnceLock::new();
    FIXTURE.get_or_init(|| {
        let top = process_folder().join("kills");
        let (old, new) = (top.join("old/tree"), top.join("new/tree"));
        make_small_tree(&new);
        std::fs::create_dir_all(&old).unwrap();
        std::fs::write(old.join("hello.txt"), "the old one\n").unwrap();
        let store = top.join("store");
        let back_up = |cli: &Cli| id_of(&cli.run(["backup", text(&new), "--name", "web", "--json"]).success());
        let id = back_up(&Cli::new().env("BACKUP_STORE", &store));
        let server = FaultS3::start();
        let bucket = server.bucket();
        let _ = back_up(&on_server(&server, &bucket));
        Fixture {
            old,
            new,
            store,
            content: server.content(&bucket),
            id,
        }
    })
}

fn text(path: &Path) -> &str {
    path.to_str().expect("a path in UTF-8")
}

fn on_server(server: &FaultS3, bucket: &str) -> Cli {
    Cli::new()
        .envs(server.environment(bucket))
        .env("BACKUP_PROVIDER", "aws")
        .env("BACKUP_PATH_STYLE", "true")
        .env("BACKUP_RETRY_DELAY", "20ms")
}

fn copy_tree(from: &Path, to: &Path) {
    let done = std::process::Command::new("cp")
        .arg("-a")
        .arg(from)
        .arg(to)
        .status()
        .unwrap();
    assert!(done.success());
}

/// A place in which one run is ended.
struct Scene {
    way: Way,
    server: Option<(FaultS3, String)>,
    cli: Cli,
    top: tempfile::TempDir,
}

impl Scene {
    fn new(way: Way) -> Self {
        let top = crate::support::server::fresh_folder("killed");
        let server = (way == Way::BackupToS3).then(|| {
            let server = FaultS3::with(Options::default());
            let bucket = server.bucket_with(&fixture().content);
            (server, bucket)
        });
        let cli = match &server {
            Some((server, bucket)) => on_server(server, bucket),
            None => {
                let store = top.path().join("store");
                copy_tree(&fixture().store, &store);
                Cli::new().env("BACKUP_STORE", store)
            }
        };
        if way == Way::RestoreReplacing {
            std::fs::create_dir(top.path().join("target")).unwrap();
            copy_tree(&fixture().old, &top.path().join("target"));
        }
        Self { way, server, cli, top }
    }

    fn target(&self) -> PathBuf {
        self.top.path().join("target")
    }

    fn words(&self) -> Vec<String> {
        let fixture = fixture();
        let target = self.target();
        let words = match self.way {
            Way::BackupToS3 | Way::BackupToFolder => vec!["backup", text(&fixture.new), "--name", "web", "--json"],
            Way::RestoreAfresh => vec!["restore", &fixture.id, "--to", text(&target)],
            Way::RestoreReplacing => vec!["restore", &fixture.id, "--to", text(&target), "--replace", "--confirm"],
        };
        words.into_iter().map(str::to_owned).collect()
    }

    /// What must hold after a run that may have been ended anywhere.
    fn check(&self, what: &str, outcome: &Outcome) {
        let context = || format!("{:?}, {what}\n{outcome}", self.way);
        match self.way {
            Way::BackupToS3 | Way::BackupToFolder => self.check_backups(&context),
            Way::RestoreAfresh | Way::RestoreReplacing => self.check_target(&context),
        }
    }

    /// A user who runs the tool as it is.
    fn plain(&self) -> Cli {
        match &self.server {
            Some((server, bucket)) => on_server(server, bucket),
            None => Cli::new().env("BACKUP_STORE", self.top.path().join("store")),
        }
    }

    fn listed(&self, cli: &Cli) -> Vec<String> {
        let listed = cli.run(["list", "--json"]).success().json();
        listed
            .as_array()
            .expect("a list")
            .iter()
            .map(|backup| {
                assert_eq!(backup["state"], "complete", "{listed}");
                backup["id"].as_str().expect("an id").to_owned()
            })
            .collect()
    }

    /// The earlier backup is there, what is listed besides is whole, and the next run works.
    fn check_backups(&self, context: &dyn Fn() -> String) {
        let cli = self.plain();
        let before = self.listed(&cli);
        assert!((1..=2).contains(&before.len()), "{before:?} {}", context());
        let next = id_of(&cli.run(self.words()).success());
        let after = self.listed(&cli);
        assert_eq!(after.len(), before.len() + 1, "{after:?} {}", context());
        assert!(after.contains(&next), "{}", context());
        assert!(
            before.iter().all(|id| after.contains(id)),
            "{before:?} {after:?} {}",
            context()
        );
        // The one that the ended run committed, or else the next one: either is what was backed up.
        let made = before.iter().find(|id| !self.was_there(id)).unwrap_or(&next);
        let target = self.top.path().join("made");
        let _ = cli.run(["restore", made, "--to", text(&target)]).success();
        let differences = differences(&fixture().new, &target.join("tree"), Compare::basics());
        assert!(differences.is_empty(), "`{made}`: {differences:?} {}", context());
    }

    fn was_there(&self, id: &str) -> bool {
        match &self.server {
            Some(_) => fixture().content.keys().any(|key| key.contains(id)),
            None => fixture().id == id,
        }
    }

    /// The target is the old one or the new one, and the next restore makes it the new one.
    fn check_target(&self, context: &dyn Fn() -> String) {
        let tree = self.target().join("tree");
        let is = |expected: &Path| tree.exists() && differences(expected, &tree, Compare::basics()).is_empty();
        let is_old = match self.way {
            Way::RestoreReplacing => is(&fixture().old),
            _ => !tree.exists(),
        };
        assert!(
            is_old || is(&fixture().new),
            "the target is neither the old nor the new one: {:?} {}",
            crate::support::place::files_below(&self.target()),
            context()
        );
        let fixture = fixture();
        let _ = self
            .plain()
            .run([
                "restore",
                &fixture.id,
                "--to",
                text(&self.target()),
                "--replace",
                "--confirm",
            ])
            .success();
        assert!(is(&fixture.new), "after the next restore: {}", context());
    }
}

/// Calls a function for every number below a bound, several at a time.
fn in_parallel(count: usize, act: impl Fn(usize) + Sync) {
    let next = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for _ in 0..WORKERS {
            scope.spawn(|| {
                loop {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    if number >= count {
                        return;
                    }
                    act(number);
                }
            });
        }
    });
}

#[test]
fn a_run_that_is_killed_at_any_time_loses_nothing_and_leaves_nothing_half() {
    let seed: u64 = std::env::var("BACKUP_CLI_TEST_SEED")
        .ok()
        .and_then(|seed| seed.parse().ok())
        .unwrap_or(1);
    let took: BTreeMap<usize, Duration> = WAYS
        .iter()
        .enumerate()
        .map(|(number, way)| {
            let scene = Scene::new(*way);
            (number, scene.cli.run(scene.words()).success().took())
        })
        .collect();
    let took = Mutex::new(took);
    let ends = Mutex::new((0, 0));
    in_parallel(WAYS.len() * usize::try_from(KILLS_EACH).unwrap(), |number| {
        let which = number % WAYS.len();
        let scene = Scene::new(WAYS[which]);
        // From the very beginning to a little after the end, spread evenly and shifted by the seed.
        let share = ((number / WAYS.len()) as u64 * 7_919 + seed * 104_729) % 1000;
        let time = took.lock().unwrap()[&which].mul_f64(1.3 * share as f64 / 1000.0);
        let mut run = scene.cli.command(scene.words()).start();
        std::thread::sleep(time);
        let ended = run.has_ended();
        if !ended {
            run.signal(Signal::KILL);
        }
        let outcome = run.wait();
        let factor = if outcome.code() == 0 { SHORTENED } else { LENGTHENED };
        took.lock()
            .unwrap()
            .entry(which)
            .and_modify(|length| *length = length.mul_f64(factor));
        let mut ends = ends.lock().unwrap();
        match outcome.code() {
            0 => ends.1 += 1,
            137 => ends.0 += 1,
            other => panic!("it ended with {other}\n{outcome}"),
        }
        drop(ends);
        scene.check(&format!("killed after {time:?}"), &outcome);
    });
    let (killed, ended) = ends.into_inner().unwrap();
    println!(
        "{} runs: {killed} were killed, {ended} had ended before, 0 violations",
        killed + ended
    );
    assert!(killed > 100, "{killed} were killed, {ended} had ended before");
}
