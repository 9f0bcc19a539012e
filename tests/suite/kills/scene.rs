//! The places in which a run is ended, and what must hold afterwards.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use backup_cli::base::cancel::Cancel;
use backup_cli::base::report::Recorder;
use backup_cli::catalog::layout::Layout;
use backup_cli::ops::backup::BackupOptions;
use backup_cli::ops::list::{ListOptions, ListedState, list};
use backup_cli::store::Store;
use backup_cli::store::local::LocalStore;
use backup_cli::store::s3::S3Store;

use crate::round_trips::id_of;
use crate::support::cli::{Cli, Outcome, RunningCli};
use crate::support::fault_s3::{Content, FaultS3, Options};
use crate::support::library::{self, run_at};
use crate::support::place::files_below;
use crate::support::server::process_folder;
use crate::support::trees::{Compare, Noise, differences, make_small_tree};

/// What is ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    BackupToS3,
    BackupToFolder,
    RestoreAfresh,
    RestoreReplacing,
    PruneInS3,
    PruneInFolder,
}

pub const WAYS: [Way; 6] = [
    Way::BackupToS3,
    Way::BackupToFolder,
    Way::RestoreAfresh,
    Way::RestoreReplacing,
    Way::PruneInS3,
    Way::PruneInFolder,
];

impl Way {
    fn is_in_s3(self) -> bool {
        matches!(self, Self::BackupToS3 | Self::PruneInS3)
    }

    fn is_prune(self) -> bool {
        matches!(self, Self::PruneInS3 | Self::PruneInFolder)
    }
}

/// The old tree and the new one; a folder and a bucket with a backup of the new one, and such with a series to prune.
struct Fixture {
    old: PathBuf,
    new: PathBuf,
    store: PathBuf,
    content: Content,
    id: String,
    prunable_store: PathBuf,
    prunable_content: Content,
}

/// The days of the series that is pruned to its newest backup.
const DAYS: [u32; 3] = [10, 11, 12];

fn layout(store: &dyn Store) -> Layout {
    Layout::with_prefix(store.prefix()).expect("a layout")
}

fn open_s3(server: &FaultS3, bucket: &str) -> Arc<dyn Store> {
    let options = crate::store_contract::s3_options(&server.access(), bucket, Some("aws"));
    Arc::new(S3Store::open(options, Cancel::new(), Arc::new(Recorder::default())).expect("a store"))
}

fn open_folder(folder: &Path) -> Arc<dyn Store> {
    Arc::new(LocalStore::open(folder.to_owned()).expect("a store"))
}

fn content_of(day: u32) -> Vec<u8> {
    Noise::new(u64::from(day)).bytes(5000)
}

fn fill(store: &Arc<dyn Store>) {
    for day in DAYS {
        let (run, _) = run_at(&format!("2026-01-{day}T02:00:00Z"));
        let options = BackupOptions {
            layout: layout(store.as_ref()),
            ..library::options("app", None)
        };
        let source = library::Bytes::new(content_of(day));
        let _ = library::back_up(store, source, &options, &run).expect("a backup");
    }
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
        let prunable_store = top.join("prunable");
        std::fs::create_dir(&prunable_store).unwrap();
        fill(&open_folder(&prunable_store));
        let prunable_bucket = server.bucket();
        fill(&open_s3(&server, &prunable_bucket));
        Fixture {
            old,
            new,
            store,
            content: server.content(&bucket),
            id,
            prunable_store,
            prunable_content: server.content(&prunable_bucket),
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
pub struct Scene {
    way: Way,
    server: Option<(FaultS3, String)>,
    cli: Cli,
    top: tempfile::TempDir,
}

impl Scene {
    pub fn new(way: Way) -> Self {
        let top = crate::support::server::fresh_folder("killed");
        let server = way.is_in_s3().then(|| {
            let server = FaultS3::with(Options::default());
            let content = match way.is_prune() {
                true => &fixture().prunable_content,
                false => &fixture().content,
            };
            let bucket = server.bucket_with(content);
            (server, bucket)
        });
        let cli = match &server {
            Some((server, bucket)) => on_server(server, bucket),
            None => {
                let store = top.path().join("store");
                let from = match way.is_prune() {
                    true => &fixture().prunable_store,
                    false => &fixture().store,
                };
                copy_tree(from, &store);
                Cli::new().env("BACKUP_STORE", store)
            }
        };
        // No two runs are at work at once: what an earlier one left is nobody's any more.
        let cli = cli.env("BACKUP_CLEANUP_OLDER_THAN", "0s");
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
            Way::PruneInS3 | Way::PruneInFolder => vec!["prune", "--name", "app", "--keep-last", "1", "--confirm"],
        };
        words.into_iter().map(str::to_owned).collect()
    }

    /// Begins the run that is to be ended.
    pub fn start(&self) -> RunningCli {
        self.cli.command(self.words()).start()
    }

    /// As [`Scene::start`], under a program that takes the command line as its last words.
    pub fn start_under(&self, wrapper: &[&str]) -> RunningCli {
        self.cli.command_through(wrapper, self.words()).start()
    }

    /// What must hold after a run that may have been ended anywhere.
    pub fn check(&self, what: &str, outcome: &Outcome) {
        let context = || format!("{:?}, {what}\n{outcome}", self.way);
        match self.way {
            Way::BackupToS3 | Way::BackupToFolder => self.check_backups(&context),
            Way::RestoreAfresh | Way::RestoreReplacing => self.check_target(&context),
            Way::PruneInS3 | Way::PruneInFolder => self.check_pruned(&context),
        }
        let hidden: Vec<String> = std::fs::read_dir(self.top.path())
            .unwrap()
            .map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned())
            .filter(|name| !matches!(name.as_str(), "store" | "target" | "made"))
            .collect();
        assert!(hidden.is_empty(), "{hidden:?} {}", context());
    }

    fn store(&self) -> Arc<dyn Store> {
        match &self.server {
            Some((server, bucket)) => open_s3(server, bucket),
            None => open_folder(&self.top.path().join("store")),
        }
    }

    /// The ids that are listed, all of them complete.
    fn listed(&self, context: &dyn Fn() -> String) -> Vec<String> {
        let store = self.store();
        let (run, _) = run_at("2026-02-01T00:00:00Z");
        let listed = list(&store, &layout(store.as_ref()), &ListOptions::default(), &run).unwrap();
        let backups = listed.backups.into_iter();
        backups
            .map(|backup| {
                assert_eq!(backup.state, ListedState::Complete, "`{}` {}", backup.id, context());
                backup.id
            })
            .collect()
    }

    /// Everything in the store, unfinished files and uploads too.
    fn all_keys(&self) -> Vec<String> {
        match &self.server {
            Some((server, bucket)) => {
                let uploads = server.open_uploads(bucket).into_iter();
                let uploads = uploads.map(|upload| format!("unfinished: {upload:?}"));
                server.keys(bucket).into_iter().chain(uploads).collect()
            }
            None => files_below(&self.top.path().join("store")),
        }
    }

    /// The earlier backup is there, what is listed besides is whole, and the next run works and clears up.
    fn check_backups(&self, context: &dyn Fn() -> String) {
        let before = self.listed(context);
        assert!((1..=2).contains(&before.len()), "{before:?} {}", context());
        let next = id_of(&self.cli.run(self.words()).success());
        let after = self.listed(context);
        assert_eq!(after.len(), before.len() + 1, "{after:?} {}", context());
        assert!(after.contains(&next), "{}", context());
        assert!(
            before.iter().all(|id| after.contains(id)),
            "{before:?} {after:?} {}",
            context()
        );
        self.check_nothing_is_left(&after, context);
        // The one that the ended run committed, or else the next one: either is what was backed up.
        let made = before.iter().find(|id| !self.was_there(id)).unwrap_or(&next);
        let target = self.top.path().join("made");
        let _ = self.cli.run(["restore", made, "--to", text(&target)]).success();
        let differences = differences(&fixture().new, &target.join("tree"), Compare::basics());
        assert!(differences.is_empty(), "`{made}`: {differences:?} {}", context());
    }

    /// The next backup has thrown unfinished uploads away, and objects without a manifest go with a clean-up.
    fn check_nothing_is_left(&self, ids: &[String], context: &dyn Fn() -> String) {
        let is_of_backup = |key: &String| {
            ids.iter()
                .any(|id| key.contains(id.as_str()) && !key.contains("unfinished"))
        };
        let left = || -> Vec<String> { self.all_keys().into_iter().filter(|key| !is_of_backup(key)).collect() };
        let unfinished: Vec<String> = left().into_iter().filter(|key| key.contains("unfinished")).collect();
        assert!(
            unfinished.is_empty(),
            "after the next backup: {unfinished:?} {}",
            context()
        );
        if left().is_empty() {
            return;
        }
        let cleaned = self.cli.run(["cleanup", "--confirm"]).success();
        assert!(left().is_empty(), "{:?} {cleaned} {}", left(), context());
    }

    fn was_there(&self, id: &str) -> bool {
        match &self.server {
            Some(_) => fixture().content.keys().any(|key| key.contains(id)),
            None => fixture().id == id,
        }
    }

    /// The target is the old one or the new one, and the next restore makes it the new one and leaves nothing beside it.
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
            files_below(&self.target()),
            context()
        );
        let fixture = fixture();
        let target = self.target();
        let words = ["restore", &fixture.id, "--to", text(&target), "--replace", "--confirm"];
        let _ = self.cli.run(words).success();
        assert!(is(&fixture.new), "after the next restore: {}", context());
        let beside: Vec<_> = std::fs::read_dir(&target)
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .filter(|path| !path.ends_with("tree"))
            // What the target held before is nobody's to throw away.
            .filter(|path| !std::fs::read_dir(path.join("replaced")).is_ok_and(|mut items| items.next().is_some()))
            .collect();
        assert!(beside.is_empty(), "beside what was restored: {beside:?} {}", context());
    }

    /// The newest is there, what is listed besides is whole, and the next prune removes all the rest.
    fn check_pruned(&self, context: &dyn Fn() -> String) {
        let store = self.store();
        let newest = "app_backup_20260112_020000";
        let listed = self.listed(context);
        assert!(listed.iter().any(|id| id == newest), "{listed:?} {}", context());
        let (run, _) = run_at("2026-02-01T00:00:00Z");
        for id in &listed {
            let content = read_back(&store, id, &run);
            let right = DAYS.map(content_of);
            assert!(right.contains(&content), "`{id}` {}", context());
        }
        let _ = self.cli.run(self.words()).success();
        assert_eq!(self.listed(context), [newest], "{}", context());
        let expected: BTreeSet<String> = self.all_keys().into_iter().filter(|key| key.contains(newest)).collect();
        let left: BTreeSet<String> = self.all_keys().into_iter().collect();
        assert_eq!(left, expected, "{}", context());
    }
}

fn read_back(store: &Arc<dyn Store>, id: &str, run: &backup_cli::ops::Run) -> Vec<u8> {
    library::read_back_at(store, &layout(store.as_ref()), id, run).unwrap()
}
