//! The commands: one line each, and what it means that one has succeeded.

use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::time::Duration;

use crate::encryption::KeyPair;
use crate::support::cli::{Cli, Outcome};
use crate::support::fault_s3::{Content, FaultS3, Options, SECRET_KEY};
use crate::support::server::process_folder;
use crate::support::trees::{Compare, Noise, differences, make_small_tree};

/// What a command is to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// It answers on standard output and changes nothing.
    Answer,
    /// It makes so many backups.
    Backups(usize),
    /// It restores the tree into the target.
    Restore,
    /// It copies what there is to another place of the bucket.
    Copies,
}

/// A line of the table.
#[derive(Clone, Copy, Debug)]
pub struct Command {
    pub name: &'static str,
    pub words: &'static [&'static str],
    pub effect: Effect,
}

/// What is run against faults. Of the words these stand for something: `TREE`, `LARGE` (two parts), `OLD`, `NEW` and
/// `SEALED` (ids), `PUBLIC` and `IDENTITY` (a key pair), `TARGET` (a folder that is not there yet), `ELSEWHERE` (another
/// prefix of the bucket).
pub const COMMANDS: &[Command] = &[
    line(
        "backup of a directory",
        &["backup", "TREE", "--name", "www"],
        Effect::Backups(1),
    ),
    line(
        "backup in parts",
        &[
            "backup",
            "LARGE",
            "--name",
            "large",
            "--compression",
            "none",
            "--part-size",
            "5MiB",
        ],
        Effect::Backups(1),
    ),
    line(
        "backup with encryption",
        &["backup", "TREE", "--name", "safe", "--recipient", "PUBLIC"],
        Effect::Backups(1),
    ),
    line("list", &["list", "--json"], Effect::Answer),
    line("show", &["show", "NEW", "--json"], Effect::Answer),
    line("ls", &["ls", "OLD"], Effect::Answer),
    line(
        "ls of an encrypted one",
        &["ls", "SEALED", "--identity", "IDENTITY"],
        Effect::Answer,
    ),
    line("find", &["find", "n*", "--json", "--name", "web"], Effect::Answer),
    line("diff", &["diff", "OLD", "NEW", "--json"], Effect::Answer),
    line("restore", &["restore", "web@latest", "--to", "TARGET"], Effect::Restore),
    line(
        "restore of an encrypted one",
        &["restore", "SEALED", "--to", "TARGET", "--identity", "IDENTITY"],
        Effect::Restore,
    ),
    line(
        "restore of some files",
        &["restore", "NEW", "--to", "TARGET", "--include", "**"],
        Effect::Restore,
    ),
    line(
        "restore to standard output",
        &["restore", "NEW", "--to", "-"],
        Effect::Answer,
    ),
    line("copy", &["copy", "--all", "--to", "ELSEWHERE"], Effect::Copies),
];

const fn line(name: &'static str, words: &'static [&'static str], effect: Effect) -> Command {
    Command { name, words, effect }
}

/// A bucket with a history, and what it was made of.
pub struct Fixture {
    pub content: Content,
    pub tree: PathBuf,
    large: PathBuf,
    old: String,
    new: String,
    sealed: String,
    key: KeyPair,
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

impl Site {
    pub fn new() -> Self {
        let server = FaultS3::with(server_options());
        let bucket = server.bucket_with(&Fixture::shared().content);
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
            word => word.to_owned(),
        });
        self.cli.command(words).time_max(RUN_MAX).run()
    }

    /// What a restore has not brought back as it was; `None` if there is no target at all.
    pub fn restored(&self) -> Option<Vec<String>> {
        let target = self.targets().join("target");
        target
            .exists()
            .then(|| differences(&Fixture::shared().tree, &target.join("tree"), Compare::basics()))
    }
}

/// Whatever befalls it, a run of these sizes and budgets ends before this.
const RUN_MAX: Duration = Duration::from_secs(60);
