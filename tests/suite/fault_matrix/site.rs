//! Where the commands run: what there is before them, and a server and a user for each run.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use backup_cli::base::cancel::Cancel;
use backup_cli::base::report::Recorder;
use backup_cli::catalog::layout::Layout;
use backup_cli::ops::backup::BackupOptions;
use backup_cli::store::Store;
use backup_cli::store::s3::S3Store;

use super::commands::{Command, Flaw, History};
use super::mended::Mended;
use super::papers;
use crate::encryption::KeyPair;
use crate::support::cli::{Cli, Outcome};
use crate::support::fault_s3::{Content, FaultS3, Options, SECRET_KEY};
use crate::support::library::{self, run_at};
use crate::support::postgres::Database;
use crate::support::server::process_folder;
use crate::support::trees::{Compare, Noise, differences, make_small_tree};

/// A bucket with a history, and what it was made of.
pub struct Fixture {
    pub content: Content,
    pub tree: PathBuf,
    large: PathBuf,
    old: String,
    pub new: String,
    pub sealed: String,
    pub key: KeyPair,
}

/// Small pages, so that every listing has several.
pub fn server_options() -> Options {
    Options {
        page_keys_max: 4,
        ..Options::default()
    }
}

/// A run that takes more is not bounded: what the program, its threads' stacks and its buffers may hold of their own.
const DATA_BYTES_MAX: u64 = 128 << 20;

/// A user of the server, with the patience of a test.
pub fn user_of(server: &FaultS3, bucket: &str) -> Cli {
    let limit = format!("--data={DATA_BYTES_MAX}");
    Cli::new()
        .through(["prlimit", limit.as_str(), "--"])
        .envs(server.environment(bucket))
        .env("BACKUP_PROVIDER", "aws")
        .env("BACKUP_PATH_STYLE", "true")
        .env("BACKUP_LEVEL", "1")
        .env("BACKUP_RETRY_DELAY", "20ms")
        .env("BACKUP_RETRY_DELAY_MAX", "100ms")
        .env("BACKUP_RETRY_BUDGET", "600ms")
        .env("BACKUP_REQUEST_TIMEOUT", "3s")
        .env("BACKUP_STALL_TIMEOUT", "3s")
        // One run at a time: whatever an earlier one left is left for good.
        .env("BACKUP_CLEANUP_OLDER_THAN", "0s")
}

impl Fixture {
    pub fn shared() -> &'static Self {
        static FIXTURE: OnceLock<Fixture> = OnceLock::new();
        FIXTURE.get_or_init(Self::make)
    }

    fn make() -> Self {
        let folder = process_folder().join("fault-matrix");
        let tree = folder.join("tree");
        make_small_tree(&tree);
        let large = folder.join("large");
        std::fs::write(&large, Noise::new(7).bytes(6 << 20)).expect("a file");
        let key = KeyPair::generate(&folder, "key.txt");
        let server = FaultS3::with(server_options());
        let bucket = server.bucket();
        let cli = user_of(&server, &bucket);
        let back_up = |words: &[&str]| {
            let mut line = vec!["backup", tree.to_str().expect("a path"), "--json"];
            line.extend(words);
            crate::round_trips::id_of(&cli.run(&line).success())
        };
        let old = back_up(&["--name", "web", "--exclude", "noise"]);
        let new = back_up(&["--name", "web"]);
        let sealed = back_up(&["--name", "vault", "--recipient", &key.public]);
        Self {
            content: server.content(&bucket),
            tree,
            large,
            old,
            new,
            sealed,
            key,
        }
    }

    /// What must turn up nowhere.
    pub fn secrets(&self) -> [String; 2] {
        [SECRET_KEY.to_owned(), self.key.secret()]
    }
}

/// A server with the history, and a user who is about to run a command.
pub struct Site {
    pub server: FaultS3,
    pub bucket: String,
    pub cli: Cli,
}

/// A history of days long ago.
pub struct Past {
    pub content: Content,
    pinned: String,
    /// The keys of the backups that a prune of `app` to one removes.
    pruned: BTreeSet<String>,
    /// The keys of what a crash has left.
    left: BTreeSet<String>,
    pin: String,
}

impl Past {
    pub fn shared() -> &'static Self {
        static PAST: OnceLock<Past> = OnceLock::new();
        PAST.get_or_init(Self::make)
    }

    fn make() -> Self {
        let server = FaultS3::start();
        let bucket = server.bucket();
        let mut s3 = crate::store_contract::s3_options(&server.access(), &bucket, Some("aws"));
        s3.prefix = "backups".to_owned();
        let store: Arc<dyn Store> =
            Arc::new(S3Store::open(s3, Cancel::new(), Arc::new(Recorder::default())).expect("a store"));
        let back_up = |name: &str, day: u32, bytes: usize| {
            let (run, _) = run_at(&format!("2026-01-{day}T02:00:00Z"));
            let options = BackupOptions {
                layout: Layout::with_prefix("backups").expect("a layout"),
                shape_guard_percent: Some(50),
                ..library::options(name, None)
            };
            let source = library::Bytes::new(Noise::new(u64::from(day)).bytes(bytes));
            library::back_up(&store, source, &options, &run)
                .expect("a backup")
                .manifest
        };
        let keys_of = |day: u32, name: &str| -> BTreeSet<String> {
            let begin = format!("backups/202601{day}/{name}_");
            let keys = server.keys(&bucket).into_iter();
            keys.filter(|key| key.starts_with(&begin)).collect()
        };
        for day in 10..=13 {
            let _ = back_up("app", day, 3000);
        }
        let pinned = back_up("odd", 10, 3000).id;
        for (day, bytes) in [(11, 3000), (12, 3000), (13, 600)] {
            let _ = back_up("odd", day, bytes);
        }
        let cli = user_of(&server, &bucket);
        let _ = cli.run(["pin", &pinned]).success();
        let mut content = server.content(&bucket);
        let left = keys_of(10, "app");
        let manifest = left
            .iter()
            .find(|key| key.ends_with(".manifest.json"))
            .expect("a manifest")
            .clone();
        content.remove(&manifest);
        let left: BTreeSet<String> = left.into_iter().filter(|key| *key != manifest).collect();
        let pin = content
            .keys()
            .find(|key| key.ends_with(".pin.json"))
            .expect("a pin")
            .clone();
        Self {
            content,
            pinned,
            pruned: [keys_of(11, "app"), keys_of(12, "app")].concat_sets(),
            left,
            pin,
        }
    }

    pub fn doomed(&self, command: &str) -> BTreeSet<String> {
        match command {
            "prune" => [self.pruned.clone(), self.left.clone()].concat_sets(),
            "cleanup" => self.left.clone(),
            _ => BTreeSet::from([self.pin.clone()]),
        }
    }
}

trait ConcatSets {
    fn concat_sets(self) -> BTreeSet<String>;
}

impl<const N: usize> ConcatSets for [BTreeSet<String>; N] {
    fn concat_sets(self) -> BTreeSet<String> {
        self.into_iter().flatten().collect()
    }
}

/// A database whose tables are dumped by several workers.
fn database() -> &'static Database {
    static DATABASE: OnceLock<Database> = OnceLock::new();
    DATABASE.get_or_init(|| {
        let database = Database::fresh();
        let _ = database.psql(
            "CREATE TABLE one AS SELECT generate_series(1, 900) AS v; CREATE TABLE two AS SELECT 'x' AS w; \
             CREATE TABLE three (v int PRIMARY KEY)",
        );
        database
    })
}

impl Site {
    pub fn for_command(command: &Command) -> Self {
        let options = match command.history {
            History::Recent => server_options(),
            // Several pages, and not a dozen of them.
            History::Past | History::Unmended(_) => Options {
                page_keys_max: 12,
                ..Options::default()
            },
            History::Nothing | History::Others | History::Ours => Options {
                has_settings: true,
                page_keys_max: 12,
                ..Options::default()
            },
        };
        let server = FaultS3::with(options);
        let bucket = match command.history {
            History::Recent | History::Past | History::Unmended(_) => server.bucket_with(command.before()),
            // Policies tell its name.
            History::Nothing => papers::BUCKET.to_owned(),
            History::Others | History::Ours => {
                server.bucket_named(papers::BUCKET, command.before());
                papers::BUCKET.to_owned()
            }
        };
        server.set_papers(command.papers().clone());
        if command.name == "cleanup" {
            let key = "backups/20260109/app_backup_20260109_020000.bin.gz";
            server.client().begin_upload(&bucket, key);
            server.age(&bucket, SETTLED);
            server.forget_requests();
        }
        let cli = user_of(&server, &bucket);
        std::fs::create_dir(cli.home().join("targets")).expect("a folder");
        Self { server, bucket, cli }
    }

    pub fn targets(&self) -> PathBuf {
        self.cli.home().join("targets")
    }

    /// Runs the command to its end.
    pub fn run(&self, command: &Command) -> Outcome {
        let fixture = Fixture::shared();
        let text = |path: &Path| path.to_str().expect("a path in UTF-8").to_owned();
        let words = command.words.iter().map(|word| match *word {
            "TREE" => text(&fixture.tree),
            "LARGE" => text(&fixture.large),
            "OLD" => fixture.old.clone(),
            "NEW" => fixture.new.clone(),
            "SEALED" => fixture.sealed.clone(),
            "PUBLIC" => fixture.key.public.clone(),
            "IDENTITY" => fixture.key.path().to_owned(),
            "TARGET" => text(&self.targets().join("target")),
            "ELSEWHERE" => format!("s3://{}/elsewhere", self.bucket),
            "HERE" => format!("s3://{}/backups", self.bucket),
            "UNMANAGED" => Mended::of(Flaw::Unmanaged).id.clone(),
            "PINNED" => Past::shared().pinned.clone(),
            "DATABASE" => database().url(),
            word => word.to_owned(),
        });
        self.cli.command(words).time_max(RUN_MAX).run()
    }

    /// What a later run, that nothing befalls, finds to take away and takes away.
    ///
    /// # Errors
    /// What is left after it all the same.
    pub fn tidy(&self) -> Result<(), String> {
        self.server.heal();
        self.server.age(&self.bucket, SETTLED);
        for prefix in ["backups", "elsewhere"] {
            let store = format!("s3://{}/{prefix}", self.bucket);
            let outcome = self.cli.run(["cleanup", "--confirm", "--store", &store]);
            if outcome.code() != 0 {
                return Err(format!("the clean-up afterwards failed\n{outcome}"));
            }
        }
        match self.server.open_uploads(&self.bucket) {
            left if left.is_empty() => Ok(()),
            left => Err(format!("unfinished uploads are left after the clean-up: {left:?}")),
        }
    }

    /// What a restore has not brought back as it was; `None` if there is no target at all.
    pub fn restored(&self) -> Option<Vec<String>> {
        let target = self.targets().join("target");
        target
            .exists()
            .then(|| differences(&Fixture::shared().tree, &target.join("tree"), Compare::basics()))
    }
}

/// By the clocks of here and there, which tell full seconds only, what is of this age is older than any run.
const SETTLED: Duration = Duration::from_secs(5);

/// Whatever befalls it, a run of these sizes and budgets ends before this.
const RUN_MAX: Duration = Duration::from_secs(60);
