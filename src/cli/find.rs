//! `find`: which backups hold something.

use clap::{Args as ClapArgs, ValueEnum};

use jiff::Timestamp;
use serde::Serialize;

use super::assemble::{layout, open_store};
use super::page::Page;
use super::target::{DayTime, parse_time};
use super::words::{count, time};
use super::{Context, help};
use crate::base::failure::{Failure, Kind, Result};
use crate::base::units::format_bytes;
use crate::catalog::index::{Entry, EntryKind};
use crate::catalog::patterns::{EntryPatterns, PatternOptions};
use crate::catalog::selection::Chosen;
use crate::ops::find::{FindOptions, FindReport, find};
use crate::ui::escape::escape_line;

/// Find which backups hold a file or a table
///
/// Searches the indexes of all backups, or with --name of one series, newest first. A pattern without a slash is compared
/// with names, one with a slash with whole paths as `ls` shows them; `*`, `?`, `[…]` and `{a,b}` stay within a folder, `**`
/// goes through folders. A table is found by its name or by `schema.name`.
///
/// Each line is the id of the backup, its time, the size and the time of the last change of what was found, and its path.
/// A backup whose index is missing, damaged or locked is named, and the exit status is 3.
#[derive(Clone, Debug, Default, ClapArgs)]
#[command(after_long_help = help::closing("find"))]
pub struct Args {
    /// What to find, for example `*.conf`, `www/**/*.html` or `public.orders`
    #[arg(value_name = "PATTERN", required = true)]
    pub patterns: Vec<String>,

    /// Find only files, folders, symbolic links or tables; may be repeated
    #[arg(long = "type", short = 't', value_name = "TYPE")]
    pub types: Vec<EntryType>,

    /// Take small and capital letters for the same
    #[arg(long, short)]
    pub ignore_case: bool,

    /// Search backups that were begun at this time or later, for example 2025-01-31
    #[arg(long, value_name = "TIME")]
    pub since: Option<String>,

    /// Search backups that were begun at this time or earlier
    #[arg(long, value_name = "TIME")]
    pub until: Option<String>,

    /// Search every series, whatever name the profile or the environment sets
    #[arg(long)]
    pub all: bool,
}

/// What may be asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum EntryType {
    /// A regular file
    #[value(name = "f", alias = "file")]
    File,
    /// A folder
    #[value(name = "d", alias = "dir", alias = "folder")]
    Folder,
    /// A symbolic link
    #[value(name = "l", alias = "symlink")]
    Symlink,
    /// A table
    #[value(name = "table")]
    Table,
}

impl EntryType {
    fn kinds(self) -> &'static [EntryKind] {
        match self {
            Self::File => &[EntryKind::File, EntryKind::Hardlink],
            Self::Folder => &[EntryKind::Folder],
            Self::Symlink => &[EntryKind::Symlink],
            Self::Table => &[EntryKind::Table],
        }
    }
}

/// Prints what is found.
///
/// # Errors
/// [`Kind::NotFound`] if there is no backup to search; [`Kind::Incomplete`] if some could not be searched,
/// [`Kind::WrongKey`] if all could not for want of their keys.
pub fn run(args: &Args, context: &Context) -> Result<()> {
    let run = context.run();
    let options = FindOptions {
        patterns: EntryPatterns::new(
            &args.patterns,
            PatternOptions {
                ignore_case: args.ignore_case,
            },
        )?,
        kinds: args.types.iter().flat_map(|one| one.kinds()).copied().collect(),
        name: context.settings.name.value.clone().filter(|_| !args.all),
        since: time_of(args.since.as_deref(), DayTime::First)?,
        until: time_of(args.until.as_deref(), DayTime::Last)?,
    };
    let store = open_store(&context.settings, &run)?;
    let layout = layout(&context.settings, store.as_ref())?;
    let mut page = Page::new(&context.console);
    let report = find(&store, &layout, &options, &run, |chosen, entry| {
        match context.console.is_json() {
            true => page.line(&json(chosen, entry)?),
            false => page.line(&line(chosen, entry)),
        }
    });
    // What was found before a failure was found all the same.
    page.print()?;
    let report = report?;
    context.listener.end();
    end(&report, context)
}

fn time_of(text: Option<&str>, day_time: DayTime) -> Result<Option<Timestamp>> {
    text.map(|text| parse_time(text, day_time)).transpose()
}

fn line(chosen: &Chosen, entry: &Entry) -> String {
    let changed = entry
        .mtime
        .and_then(|secs| Timestamp::from_second(secs).ok())
        .map_or_else(|| "-".to_owned(), time);
    let slash = if entry.kind == EntryKind::Folder { "/" } else { "" };
    let rows = entry
        .rows
        .map(|rows| format!(" ({})", count(rows, "row", "rows")))
        .unwrap_or_default();
    let text = format!(
        "{}  {}  {:>10}  {changed:20}  {}{slash}{rows}",
        chosen.found.id,
        time(chosen.time()),
        format_bytes(entry.size),
        entry.path.display()
    );
    escape_line(&text).into_owned()
}

fn json(chosen: &Chosen, entry: &Entry) -> Result<String> {
    #[derive(Serialize)]
    struct Match<'a> {
        message_type: &'static str,
        snapshot_id: &'a str,
        name: &'a str,
        time: Timestamp,
        #[serde(flatten)]
        entry: &'a Entry,
    }
    let found = Match {
        message_type: "match",
        snapshot_id: &chosen.found.id,
        name: chosen.name(),
        time: chosen.time(),
        entry,
    };
    serde_json::to_string(&found)
        .map_err(|error| Failure::new(Kind::Failed, "Could not print what was found").caused_by(error))
}

fn end(report: &FindReport, context: &Context) -> Result<()> {
    let console = &context.console;
    if console.is_json() {
        console.json_line(&serde_json::json!({
            "message_type": "summary",
            "matches": report.matches,
            "snapshots_with_matches": report.backups_with_matches,
            "snapshots_searched": report.searched,
            "snapshots_unreadable": report.unreadable,
            "unmanaged": report.unmanaged,
        }))?;
    } else if report.matches == 0 {
        console.note(&format!(
            "Nothing found in {}.",
            count(report.searched, "backup", "backups")
        ));
    }
    if report.unmanaged > 0 {
        console.note(&format!(
            "{} left out: without a manifest there is no index to search.",
            count(report.unmanaged, "object was", "objects were")
        ));
    }
    if report.unreadable == 0 {
        return Ok(());
    }
    let failure = |kind| {
        Failure::new(
            kind,
            format!(
                "{} not be searched",
                count(report.unreadable, "backup could", "backups could")
            ),
        )
    };
    if report.locked == report.unreadable && report.searched == 0 {
        return Err(failure(Kind::WrongKey).hint("Their indexes are encrypted; name the key with --identity"));
    }
    let failure = match &report.missing_right {
        Some(hint) => failure(Kind::Incomplete).hint(hint.clone()),
        None => failure(Kind::Incomplete),
    };
    Err(failure
        .hint("Each was named above; `backup-cli restore BACKUP --include PATTERN` reads a backup without its index"))
}
