//! `diff`: what changed between two backups.

use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt;

use clap::Args as ClapArgs;
use serde::Serialize;

use super::page::Page;
use super::target::find;
use super::words::{count, lines, trimmed};
use super::{Context, help};
use crate::base::failure::{Failure, Kind, Result};
use crate::base::units::format_bytes;
use crate::catalog::index::{Entry, EntryKind, RawPath};
use crate::ops::diff::{Change, ChangeKind, DiffReport, Tally, diff};
use crate::ui::escape::escape_line;

/// Show what changed between two backups
///
/// Reads the two indexes only, not the data, so a file counts as changed if its size or its time of change is another, and
/// a table if its number of rows or its size is. Each line has a letter: + added, - removed, M changed, U changed in its
/// permissions or owner only, T of another type. The sums follow.
#[derive(Clone, Debug, Default, ClapArgs)]
#[command(after_long_help = help::closing("diff"))]
pub struct Args {
    /// The older backup: an id, a unique prefix of one, latest, oldest, NAME@latest, or an s3:// URL or path
    #[arg(value_name = "BACKUP")]
    pub before: String,

    /// The newer backup
    #[arg(value_name = "BACKUP")]
    pub after: String,

    /// Compare only this path and what is below it
    #[arg(value_name = "PATH")]
    pub path: Option<OsString>,
}

/// Prints the differences.
///
/// # Errors
/// [`Kind::NotFound`] if there is no such backup, index or path.
pub fn run(args: &Args, context: &Context) -> Result<()> {
    let run = context.run();
    let before = find(&args.before, None, context, &run)?;
    let after = find(&args.after, None, context, &run)?;
    let path = args.path.as_ref().map(|path| trimmed(path.as_bytes()));
    let mut page = Page::new(&context.console);
    let sides = [(&before.store, &before.chosen), (&after.store, &after.chosen)];
    let report = diff(sides, path, &run, |change| match context.console.is_json() {
        true => page.line(&json(change)?),
        false => page.line(&line(change)),
    })?;
    page.print()?;
    context.listener.end();
    let ids = [before.chosen.found.id.as_str(), after.chosen.found.id.as_str()];
    print_sums(&report, ids, context)
}

fn line(change: &Change<'_>) -> String {
    let Some(entry) = change.after.or(change.before) else {
        return String::new();
    };
    let slash = if entry.kind == EntryKind::Folder { "/" } else { "" };
    let rows = match (change.kind, change.before, change.after) {
        (ChangeKind::Content, Some(before), Some(after)) => before
            .rows
            .zip(after.rows)
            .map(|(before, after)| format!(" ({before} rows, now {after})"))
            .unwrap_or_default(),
        _ => String::new(),
    };
    let text = format!("{}    {}{slash}{rows}", change.kind.letter(), entry.path.display());
    escape_line(&text).into_owned()
}

fn json(change: &Change<'_>) -> Result<String> {
    #[derive(Serialize)]
    struct Line<'a> {
        message_type: &'static str,
        path: &'a RawPath,
        modifier: char,
        before: Option<&'a Entry>,
        after: Option<&'a Entry>,
    }
    let path = change.after.or(change.before).map(|entry| &entry.path);
    let line = path.map(|path| Line {
        message_type: "change",
        path,
        modifier: change.kind.letter(),
        before: change.before,
        after: change.after,
    });
    serde_json::to_string(&line)
        .map_err(|error| Failure::new(Kind::Failed, "Could not print a difference").caused_by(error))
}

fn print_sums(report: &DiffReport, ids: [&str; 2], context: &Context) -> Result<()> {
    if context.console.is_json() {
        return context.console.json_line(&serde_json::json!({
            "message_type": "statistics",
            "source_snapshot": ids[0],
            "target_snapshot": ids[1],
            "changed_files": report.changed.files,
            "added": report.added,
            "removed": report.removed,
            "changed": report.changed,
        }));
    }
    let sums = [
        ("added", &report.added),
        ("removed", &report.removed),
        ("changed", &report.changed),
    ];
    let pairs: Vec<(&str, String)> = sums.into_iter().map(|(label, tally)| (label, words(tally))).collect();
    let text = format!("From {} to {}:\n{}", ids[0], ids[1], lines(&pairs));
    context.console.summary(&crate::ui::escape::escape_text(&text))
}

/// `3 files, 1 folder, 20 KiB`.
fn words(tally: &Tally) -> String {
    let named = [
        (tally.files, "file", "files"),
        (tally.dirs, "folder", "folders"),
        (tally.others, "other item", "other items"),
        (tally.tables, "table", "tables"),
    ];
    let mut phrases: Vec<String> = named
        .into_iter()
        .filter(|(number, _, _)| *number > 0)
        .map(|(number, one, many)| count(number, one, many))
        .collect();
    if phrases.is_empty() {
        return "nothing".to_owned();
    }
    phrases.push(format_bytes(tally.bytes));
    phrases.join(", ")
}
