//! The commands: one line each, and what it means that one has succeeded.

use std::collections::BTreeSet;
use std::sync::OnceLock;

use super::mended::Mended;
use super::papers;
use super::site::{Fixture, Past};
use crate::support::fault_s3::{Content, Papers};

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
    /// It makes a backup in each of two places of the bucket; one may succeed where the other fails.
    Several,
    /// It makes a backup whose data is another one each time.
    Streams,
    /// It judges, and changes nothing.
    Verdict,
    /// It removes what [`Past::doomed`] names for it.
    Removes,
    /// It writes a note beside a backup.
    Note,
    /// It makes a backup of what is there: a new index, and a manifest that is new, replaced or right as it is.
    Mends,
    /// It makes settings of the bucket, or the account's roles, and touches no object.
    Settings,
}

/// The history that a command finds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum History {
    /// Three backups that were just made.
    Recent,
    /// Backups of days long ago: a series to prune, one that shrank, a pin, and what a crash left behind.
    Past,
    /// As the first, but something is missing or wrong of one backup.
    Unmended(Flaw),
    /// No bucket at all, and an account without roles.
    Nothing,
    /// As the first, in a bucket with rules and statements of others, and an account with roles of theirs.
    Others,
    /// The same, and everything of ours is set up.
    Ours,
}

/// What is to be mended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Flaw {
    /// The index of `NEW` is lost.
    LostIndex,
    /// The index of `SEALED` is lost, which cannot be made again to the byte.
    LostSealedIndex,
    /// There is a dump that a script has left, `UNMANAGED`.
    Unmanaged,
    /// The manifest of `NEW` is damaged.
    DamagedManifest,
}

/// A line of the table.
#[derive(Clone, Copy, Debug)]
pub struct Command {
    pub name: &'static str,
    pub words: &'static [&'static str],
    pub effect: Effect,
    pub history: History,
}

impl Command {
    /// Whether it may have done a part of its work when it fails.
    pub fn goes_one_by_one(&self) -> bool {
        matches!(self.effect, Effect::Copies | Effect::Several)
    }

    /// Whether it is run once more, and what it has made is looked at by another run.
    pub fn is_run_again(&self) -> bool {
        matches!(self.effect, Effect::Mends | Effect::Settings)
    }

    /// What there is before it.
    pub fn before(&self) -> &'static Content {
        match self.history {
            History::Recent | History::Others | History::Ours => &Fixture::shared().content,
            History::Past => &Past::shared().content,
            History::Unmended(flaw) => &Mended::of(flaw).content,
            History::Nothing => {
                static NOTHING: OnceLock<Content> = OnceLock::new();
                NOTHING.get_or_init(Content::new)
            }
        }
    }

    /// What is set before it.
    pub fn papers(&self) -> &'static Papers {
        papers::before(self.history)
    }

    /// What it is to mend.
    pub fn mended(&self) -> Option<&'static Mended> {
        match self.history {
            History::Unmended(flaw) => Some(Mended::of(flaw)),
            _ => None,
        }
    }

    /// The keys that it is to remove.
    pub fn doomed(&self) -> BTreeSet<String> {
        match self.effect {
            Effect::Removes => Past::shared().doomed(self.words[0]),
            _ => BTreeSet::new(),
        }
    }
}

/// What is run against faults. Of the words these stand for something: `TREE`, `LARGE` (two parts), `OLD`, `NEW` and
/// `SEALED` (ids), `UNMANAGED` (an object of others), `PUBLIC` and `IDENTITY` (a key pair), `TARGET` (a folder that is not there yet), `ELSEWHERE` (another
/// prefix of the bucket), `HERE` (the usual prefix), `DATABASE` (a PostgreSQL database of some tables).
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
    line("copy of one", &["copy", "NEW", "--to", "ELSEWHERE"], Effect::Copies),
    line(
        "backup to several stores",
        &[
            "backup",
            "TREE",
            "--name",
            "www",
            "--store",
            "HERE",
            "--store",
            "ELSEWHERE",
        ],
        Effect::Several,
    ),
    line(
        "backup in streams",
        &["backup", "DATABASE", "--name", "base", "--jobs", "2"],
        Effect::Streams,
    ),
    line("verify", &["verify", "--all", "--level", "quick"], Effect::Verdict),
    line("verify of the data", &["verify", "NEW"], Effect::Verdict),
    line(
        "verify of the content",
        &["verify", "NEW", "--level", "deep"],
        Effect::Verdict,
    ),
    line("doctor", &["doctor"], Effect::Verdict),
    line("cost", &["cost"], Effect::Verdict),
    line("pin", &["pin", "NEW", "--why", "matrix"], Effect::Note),
    past("unpin", &["unpin", "PINNED"], Effect::Removes),
    past("accept", &["accept", "odd@latest"], Effect::Note),
    past(
        "prune",
        &["prune", "--name", "app", "--keep-last", "1", "--confirm"],
        Effect::Removes,
    ),
    past("cleanup", &["cleanup", "--confirm"], Effect::Removes),
    mends("rebuild-index", &["rebuild-index", "NEW"], Flaw::LostIndex),
    mends(
        "rebuild-index of an encrypted one",
        &["rebuild-index", "SEALED", "--identity", "IDENTITY"],
        Flaw::LostSealedIndex,
    ),
    mends("adopt", &["adopt", "UNMANAGED"], Flaw::Unmanaged),
    mends("adopt of a damaged manifest", &["adopt", "NEW"], Flaw::DamagedManifest),
    sets(
        "lifecycle apply",
        &[
            "lifecycle",
            "apply",
            "--transition",
            "30:GLACIER_IR",
            "--delete-days",
            "400",
            "--confirm",
        ],
        Effect::Settings,
        History::Others,
    ),
    sets(
        "lifecycle apply as a dry run",
        &["lifecycle", "apply", "--delete-days", "400", "--dry-run"],
        Effect::Verdict,
        History::Others,
    ),
    sets(
        "lifecycle show",
        &["lifecycle", "show", "--json"],
        Effect::Answer,
        History::Ours,
    ),
    sets(
        "lifecycle remove",
        &["lifecycle", "remove", "--confirm"],
        Effect::Settings,
        History::Ours,
    ),
    sets(
        "bucket create",
        &[
            "bucket",
            "create",
            "--create-only",
            "--tls-only",
            "--object-lock",
            "governance:3",
            "--confirm",
        ],
        Effect::Settings,
        History::Nothing,
    ),
    sets(
        "bucket create of an older one",
        papers::CREATE,
        Effect::Settings,
        History::Others,
    ),
    sets(
        "bucket create as a dry run",
        &["bucket", "create", "--create-only", "--tls-only", "--dry-run"],
        Effect::Verdict,
        History::Others,
    ),
    sets(
        "bucket check",
        &["bucket", "check", "--json"],
        Effect::Answer,
        History::Ours,
    ),
    sets(
        "iam apply",
        &[
            "iam",
            "apply",
            "--role",
            "writer",
            "--for",
            "fly",
            "--org",
            "acme",
            "--app",
            "web",
            "--confirm",
        ],
        Effect::Settings,
        History::Others,
    ),
    sets(
        "iam apply to a role of others",
        papers::APPLY,
        Effect::Settings,
        History::Others,
    ),
    sets(
        "iam apply as a dry run",
        &[
            "iam",
            "apply",
            "--role",
            "writer",
            "--for",
            "fly",
            "--org",
            "acme",
            "--app",
            "web",
            "--dry-run",
        ],
        Effect::Verdict,
        History::Others,
    ),
];

const fn line(name: &'static str, words: &'static [&'static str], effect: Effect) -> Command {
    Command {
        name,
        words,
        effect,
        history: History::Recent,
    }
}

const fn past(name: &'static str, words: &'static [&'static str], effect: Effect) -> Command {
    Command {
        name,
        words,
        effect,
        history: History::Past,
    }
}

const fn mends(name: &'static str, words: &'static [&'static str], flaw: Flaw) -> Command {
    Command {
        name,
        words,
        effect: Effect::Mends,
        history: History::Unmended(flaw),
    }
}

const fn sets(name: &'static str, words: &'static [&'static str], effect: Effect, history: History) -> Command {
    Command {
        name,
        words,
        effect,
        history,
    }
}
