//! `list`: the backups of a store.

use clap::Args as ClapArgs;

use jiff::Timestamp;

use super::assemble::{layout, open_store};
use super::words::{age, count, time, until};
use super::{Context, help};
use crate::base::failure::Result;
use crate::base::units::format_bytes;
use crate::ops::list::{ListOptions, ListReport, Listed, ListedArchive, ListedState, list, rows};
use crate::ui::table::{Column, render_long};

/// List backups, newest first
///
/// Prints id, name, time, age, size, stored size, state and storage class. Objects without a manifest, such as those of an
/// earlier script, are listed as unmanaged. With the class it says whether data that lies in an archive can be read. A state `damaged` is that of a backup of which objects are missing or in which `verify` found damage; `flagged` that of one that is far smaller than those before it; a `pinned` one is never pruned. A column tells until when backups are locked, if any is, and one the last drill (`verify --restore`), if there was any. --name lists one series only.
#[derive(Clone, Debug, Default, ClapArgs)]
#[command(after_long_help = help::closing("list"))]
pub struct Args {
    /// List every series, whatever name the profile or the environment sets
    #[arg(long)]
    pub all: bool,

    /// List no more than this many
    #[arg(long, value_name = "N")]
    pub limit: Option<usize>,
}

/// Prints the list.
///
/// # Errors
/// If the store cannot be listed.
pub fn run(args: &Args, context: &Context) -> Result<()> {
    let run = context.run();
    let store = open_store(&context.settings, &run)?;
    let options = ListOptions {
        name: context.settings.name.value.clone().filter(|_| !args.all),
        limit: args.limit,
    };
    let layout = layout(&context.settings, store.as_ref())?;
    if context.console.is_json() {
        // As they come: a hundred thousand of them would fill the memory.
        let answered = context.console.answer_json_rows(rows(&store, &layout, &options, &run)?);
        context.listener.end();
        return answered;
    }
    let report = list(&store, &layout, &options, &run)?;
    context.listener.end();
    print(&report, &options, &store.url(), run.clock.now(), context)
}

fn print(report: &ListReport, options: &ListOptions, store_url: &str, now: Timestamp, context: &Context) -> Result<()> {
    let console = &context.console;
    if !report.uncommitted.is_empty() {
        console.note(&format!(
            "{} not listed: data of a run that goes on now, or that never committed it.",
            count(report.uncommitted.len() as u64, "object is", "objects are")
        ));
    }
    for backup in &report.backups {
        if let Some(trouble) = &backup.trouble {
            console.warning(&format!("`{}`: {trouble}.", backup.id));
        }
        if let Some(why) = &backup.flagged {
            console.note(&format!(
                "`{}` is flagged. {why}; if that is right: `backup-cli accept {}`.",
                backup.id, backup.id
            ));
        }
    }
    if report.backups.is_empty() {
        let of = options
            .name
            .as_ref()
            .map(|name| format!(" of `{name}`"))
            .unwrap_or_default();
        return console.answer(&format!("No backups{of} in {store_url}."));
    }
    let has_drills = report.backups.iter().any(|backup| backup.drill.is_some());
    let mut columns = vec![
        Column::left("ID"),
        Column::left("NAME"),
        Column::left("TIME"),
        Column::right("AGE"),
        Column::right("SIZE"),
        Column::right("STORED"),
        Column::left("STATE"),
        Column::left("CLASS"),
    ];
    let has_locks = report.backups.iter().any(|backup| backup.lock.is_some());
    if has_locks {
        columns.push(Column::left("LOCKED"));
    }
    if has_drills {
        columns.push(Column::left("DRILL"));
    }
    let cells = |backup: &Listed| {
        let mut row = vec![
            backup.id.clone(),
            backup.name.clone(),
            time(backup.time),
            age(backup.time, now),
            backup.plain_bytes.map_or_else(|| "-".to_owned(), format_bytes),
            format_bytes(backup.stored_bytes),
            state_of(backup),
            class(backup),
        ];
        if has_locks {
            row.push(backup.lock.as_ref().map_or_else(|| "-".to_owned(), until));
        }
        if has_drills {
            row.push(drill(backup, now));
        }
        row
    };
    render_long(&columns, &report.backups, cells, |piece| console.answer(piece))
}

/// How the last drill ended, and how long ago it was.
fn drill(backup: &Listed, now: Timestamp) -> String {
    let Some(drill) = backup.drill else {
        return "-".to_owned();
    };
    let result = match drill.passed {
        Some(true) => "passed",
        Some(false) => "FAILED",
        None if drill.incomplete => "incomplete",
        None => "unreadable",
    };
    format!("{result}, {}", age(drill.time, now))
}

/// The storage class, and whether what lies in an archive can be read.
fn class(backup: &Listed) -> String {
    let class = backup.storage_class.as_deref().unwrap_or("-");
    match (backup.archive, backup.thawed_until) {
        (None, _) => class.to_owned(),
        (Some(ListedArchive::Frozen), _) => format!("{class}, archived"),
        (Some(ListedArchive::Thawing), _) => format!("{class}, being thawed"),
        (Some(ListedArchive::Thawed), None) => format!("{class}, thawed"),
        (Some(ListedArchive::Thawed), Some(until)) => format!("{class}, thawed until {}", time(until)),
    }
}

fn state_of(backup: &Listed) -> String {
    let mut words = state(backup.state).to_owned();
    if let Some(since) = backup.damaged_since {
        words.push_str(&format!(" since {}", time(since)));
    }
    if backup.flagged.is_some() {
        words.push_str(", flagged");
    }
    if backup.pinned {
        words.push_str(", pinned");
    }
    words
}

fn state(state: ListedState) -> &'static str {
    match state {
        ListedState::Complete => "complete",
        ListedState::Partial => "partial",
        ListedState::Unmanaged => "unmanaged",
        ListedState::Damaged => "damaged",
        ListedState::Newer => "newer format",
    }
}
