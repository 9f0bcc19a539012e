//! `ls`: what is inside a backup.

use clap::Args as ClapArgs;

use jiff::Timestamp;
use serde::Serialize;

use super::page::Page;
use super::target::find;
use super::words::{count, time};
use super::{Context, help};
use crate::base::failure::{Failure, Kind, Result};
use crate::catalog::index::{Entry, EntryKind};
use crate::ops::ls::ls;
use crate::ui::escape::escape_line;

/// List the files or tables inside a backup
///
/// Reads the index only, not the data.
#[derive(Clone, Debug, Default, ClapArgs)]
#[command(after_long_help = help::closing("ls"))]
pub struct Args {
    /// An id, a unique prefix of one, latest, oldest, NAME@latest, or an s3:// URL or path
    #[arg(value_name = "BACKUP", default_value = "latest")]
    pub backup: String,

    /// List only this path and what is below it
    #[arg(value_name = "PATH")]
    pub path: Option<String>,

    /// Print mode, owner, size and time too
    #[arg(long, short)]
    pub long: bool,

    /// List everything that a dump makes, not only its tables
    #[arg(long)]
    pub objects: bool,
}

/// Prints what is inside.
///
/// # Errors
/// [`Kind::NotFound`] if there is no such backup or path.
pub fn run(args: &Args, context: &Context) -> Result<()> {
    let run = context.run();
    let target = find(&args.backup, None, context, &run)?;
    let mut page = Page::new(&context.console);
    let path = args.path.as_deref();
    ls(&target.store, &target.chosen, path, args.objects, &run, |entry| {
        if context.console.is_json() {
            page.line(&json(entry)?)
        } else if args.long {
            page.line(&long(entry))
        } else {
            page.line(&escape_line(&name(entry)))
        }
    })?;
    context.listener.end();
    page.print()
}

fn name(entry: &Entry) -> String {
    match entry.kind {
        EntryKind::Folder => format!("{}/", entry.path.display()),
        _ => entry.path.display(),
    }
}

fn json(entry: &Entry) -> Result<String> {
    #[derive(Serialize)]
    struct Node<'a> {
        message_type: &'static str,
        #[serde(flatten)]
        entry: &'a Entry,
    }
    let node = Node {
        message_type: "node",
        entry,
    };
    serde_json::to_string(&node)
        .map_err(|error| Failure::new(Kind::Failed, "Could not print an entry").caused_by(error))
}

fn long(entry: &Entry) -> String {
    let letter = match entry.kind {
        EntryKind::File | EntryKind::Hardlink => '-',
        EntryKind::Folder => 'd',
        EntryKind::Symlink => 'l',
        EntryKind::Fifo => 'p',
        EntryKind::Device => 'c',
        EntryKind::Table => 't',
        EntryKind::Object => 'o',
    };
    let who = |name: &Option<String>, id: Option<u32>| match (name, id) {
        (Some(name), _) => name.clone(),
        (None, Some(id)) => id.to_string(),
        (None, None) => "-".to_owned(),
    };
    let changed = entry
        .mtime
        .and_then(|secs| Timestamp::from_second(secs).ok())
        .map_or_else(|| "-".to_owned(), time);
    let mut text = format!(
        "{letter}{} {:8} {:8} {:>12} {changed:20} {}",
        entry.mode.map_or_else(|| "---------".to_owned(), permissions),
        who(&entry.user, entry.uid),
        who(&entry.group, entry.gid),
        entry.size,
        name(entry)
    );
    if let Some(object) = &entry.object {
        text.push_str(&format!(" ({object})"));
    }
    if let Some(link) = &entry.link {
        let arrow = match entry.kind {
            EntryKind::Symlink => "->",
            EntryKind::Object => "of",
            _ => "=",
        };
        text.push_str(&format!(" {arrow} {}", link.display()));
    }
    if let Some(rows) = entry.rows {
        text.push_str(&format!(" ({})", count(rows, "row", "rows")));
    }
    escape_line(&text).into_owned()
}

/// `rwxr-xr-x`, with the letters of ls(1) for set-user-id, set-group-id and sticky.
fn permissions(mode: u32) -> String {
    let mut text = String::new();
    for (shift, special, letter) in [(6, 0o4000, 's'), (3, 0o2000, 's'), (0, 0o1000, 't')] {
        let bits = mode >> shift;
        text.push(if bits & 4 != 0 { 'r' } else { '-' });
        text.push(if bits & 2 != 0 { 'w' } else { '-' });
        text.push(match (mode & special != 0, bits & 1 != 0) {
            (true, true) => letter,
            (true, false) => letter.to_ascii_uppercase(),
            (false, true) => 'x',
            (false, false) => '-',
        });
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn permissions_look_as_in_ls() {
        for (mode, text) in [
            (0o755, "rwxr-xr-x"),
            (0o4711, "rws--x--x"),
            (0o1777, "rwxrwxrwt"),
            (0o2640, "rw-r-S---"),
        ] {
            assert_eq!(permissions(mode), text);
        }
    }
}
