//! Files and folders: the whole archive, or only the byte ranges of what was asked for.

use std::cell::RefCell;
use std::collections::{HashMap, HashSet};
use std::io::Read;
use std::ops::{ControlFlow, Range};
use std::rc::Rc;
use std::sync::Arc;

use super::super::Run;
use super::super::located::{Backup, NOT_RANGED, is_index_trouble, open_ranges};
use super::super::ls::{IndexItem, read_index};
use super::super::plaintext::Plaintext;
use super::RestoreReport;
use crate::base::failure::{Failure, Kind, Result};
use crate::catalog::index::{EntryKind, MemberRun};
use crate::catalog::selection::Chosen;
use crate::pipeline::ranges::RangesReader;
use crate::source::detect::Content;
use crate::source::directory::{Existing, TreeRestoreOptions, restore_tree};
use crate::store::Store;

/// Where the archive's bytes come from.
pub(super) enum From {
    /// All of them.
    Whole(Box<Plaintext>, Content),
    /// Only what the index shows to be needed.
    Ranges(Box<RangesReader>),
}

impl From {
    pub(super) fn content(&self) -> Content {
        match self {
            Self::Whole(_, content) => *content,
            Self::Ranges(_) => Content::Tar,
        }
    }

    pub(super) fn into_plaintext(self) -> Result<Plaintext> {
        match self {
            Self::Whole(plaintext, _) => Ok(*plaintext),
            Self::Ranges(_) => Err(Failure::new(
                Kind::Usage,
                "Selected files cannot be written into one file",
            )),
        }
    }
}

/// Opens what is needed: with a selection and an index only the ranges, else everything.
pub(super) fn open(
    store: &Arc<dyn Store>,
    chosen: &Chosen,
    options: &mut TreeRestoreOptions,
    paths: &[Vec<u8>],
    threads: usize,
    remarks: &mut Vec<String>,
    run: &Run,
) -> Result<From> {
    if !options.selection.is_everything()
        && chosen
            .manifest
            .as_ref()
            .is_some_and(|manifest| manifest.extension == "tar" && manifest.is_ranged())
    {
        match wanted(store, chosen, options, paths, run) {
            Ok(wanted) => {
                options.expect_end = false;
                run.reporter.progress().set_totals(wanted.plain_bytes, wanted.items);
                let backup = Backup {
                    store,
                    chosen,
                    threads,
                    run,
                };
                let reader = open_ranges(&backup, &wanted.runs, wanted.ranges)?;
                return Ok(From::Ranges(Box::new(reader)));
            }
            Err(failure) if is_index_trouble(&failure) => {
                remarks.push(format!(
                    "The index cannot be used, so the whole backup is read instead: {failure}."
                ));
            }
            Err(failure) => return Err(failure),
        }
    }
    if !options.selection.is_everything() && chosen.manifest.as_ref().is_some_and(|manifest| !manifest.is_ranged()) {
        remarks.push(NOT_RANGED.to_owned());
    }
    let (plaintext, content) = Plaintext::open(store, chosen, threads, run)?;
    Ok(From::Whole(Box::new(plaintext), content))
}

struct Wanted {
    ranges: Vec<Range<u64>>,
    runs: Vec<MemberRun>,
    plain_bytes: u64,
    items: u64,
}

/// A path that was spelled out has to be there.
fn check_paths(missing: &HashSet<&[u8]>, chosen: &Chosen) -> Result<()> {
    match missing.iter().min() {
        None => Ok(()),
        Some(path) => Err(super::not_there(&chosen.found.id, path)),
    }
}

/// Reads the index: the ranges of what is selected, of what selected hard links are further names of, and all members.
fn wanted(
    store: &Arc<dyn Store>,
    chosen: &Chosen,
    options: &TreeRestoreOptions,
    paths: &[Vec<u8>],
    run: &Run,
) -> Result<Wanted> {
    let mut wanted = Wanted {
        ranges: Vec::new(),
        runs: Vec::new(),
        plain_bytes: 0,
        items: 0,
    };
    let mut link_targets: HashSet<Vec<u8>> = HashSet::new();
    // A folder's own entry stands before what is in it; it is only wanted if something in it turns out to be.
    let mut folders: HashMap<Vec<u8>, Range<u64>> = HashMap::new();
    let mut missing: HashSet<&[u8]> = paths.iter().map(Vec::as_slice).collect();
    read_index(store, chosen, run, |item| {
        match item {
            IndexItem::Members(members) => wanted.runs.push(members),
            IndexItem::Entry(entry) => {
                let range = entry.range();
                missing.remove(entry.path.0.as_slice());
                if options.selection.matches(&entry.path.0) {
                    wanted.items += 1;
                    if let (EntryKind::Hardlink, Some(link)) = (entry.kind, &entry.link)
                        && !options.selection.matches(&link.0)
                    {
                        link_targets.insert(link.0.clone());
                    }
                    take_parents(&entry.path.0, &mut folders, &mut wanted.ranges);
                    wanted.ranges.push(range);
                } else if entry.kind == EntryKind::Folder {
                    folders.insert(entry.path.0, range);
                }
            }
        }
        Ok(ControlFlow::Continue(()))
    })?;
    check_paths(&missing, chosen)?;
    if wanted.items == 0 {
        return Err(Failure::new(Kind::NotFound, format!("Nothing in `{}` matches the selection", chosen.found.id)).hint(format!(
            "Paths begin with the source's base name, as `backup-cli ls {}` shows them; `**/NAME` finds a name anywhere",
            chosen.found.id
        )));
    }
    if !link_targets.is_empty() {
        add_link_targets(store, chosen, options, &link_targets, &mut wanted.ranges, run)?;
    }
    wanted.ranges.sort_by_key(|range| range.start);
    merge_adjacent(&mut wanted.ranges);
    wanted.plain_bytes = wanted.ranges.iter().map(|range| range.end - range.start).sum();
    Ok(wanted)
}

/// Moves the entries of the folders above `path` from `folders` to `ranges`.
fn take_parents(path: &[u8], folders: &mut HashMap<Vec<u8>, Range<u64>>, ranges: &mut Vec<Range<u64>>) {
    let mut rest = path;
    while let Some(slash) = rest.iter().rposition(|byte| *byte == b'/') {
        rest = &rest[..slash];
        if let Some(range) = folders.remove(rest) {
            ranges.push(range);
        }
    }
}

/// Adds the ranges of what is not selected and yet lends its content to hard links that are.
///
/// A link stands behind what it links to, so its target has gone by when the link is met; holding every entry until then
/// would take memory for a million files, and reading the index again takes a second for as many.
fn add_link_targets(
    store: &Arc<dyn Store>,
    chosen: &Chosen,
    options: &TreeRestoreOptions,
    targets: &HashSet<Vec<u8>>,
    ranges: &mut Vec<Range<u64>>,
    run: &Run,
) -> Result<()> {
    read_index(store, chosen, run, |item| {
        if let IndexItem::Entry(entry) = item
            && !matches!(entry.kind, EntryKind::Folder | EntryKind::Hardlink)
            && targets.contains(&entry.path.0)
            && !options.selection.matches(&entry.path.0)
        {
            ranges.push(entry.range());
        }
        Ok(ControlFlow::Continue(()))
    })
}

/// Joins ranges that touch or overlap; they are sorted.
fn merge_adjacent(ranges: &mut Vec<Range<u64>>) {
    let mut merged: Vec<Range<u64>> = Vec::with_capacity(ranges.len().min(1024));
    for range in ranges.drain(..) {
        match merged.last_mut() {
            Some(last) if last.end >= range.start => last.end = last.end.max(range.end),
            _ => merged.push(range),
        }
    }
    *ranges = merged;
}

/// What will be changed at a target that is not empty.
pub(super) fn destruction(options: &TreeRestoreOptions) -> Option<String> {
    let mut items = std::fs::read_dir(&options.target).ok()?;
    items.next()?.ok()?;
    let target = options.target.display();
    match options.existing {
        Existing::Refuse => None,
        Existing::Merge => Some(format!("Files of the same name in `{target}` will be overwritten")),
        Existing::Replace => Some(format!(
            "What `{target}` holds under the same top-level names will be replaced"
        )),
    }
}

struct Shared<R>(Rc<RefCell<R>>);

impl<R: Read> Read for Shared<R> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        self.0.borrow_mut().read(buffer)
    }
}

/// Unpacks into the target; what was read is verified before anything is moved into place.
pub(super) fn restore(from: From, options: &TreeRestoreOptions, report: &mut RestoreReport, run: &Run) -> Result<()> {
    let context = run.source_context();
    let tree = match from {
        From::Whole(plaintext, _) => {
            let shared = Rc::new(RefCell::new(*plaintext));
            let mut archive = Shared(shared.clone());
            restore_tree(&mut archive, options, &mut || shared.borrow_mut().verify(), &context)?
        }
        // Every member's own checksum has been compared by then.
        From::Ranges(mut reader) => restore_tree(&mut reader, options, &mut || Ok(()), &context)?,
    };
    report.plain_bytes = tree.bytes;
    report.problems.clone_from(&tree.problems);
    report.problem_count = tree.problem_count;
    report.tree = Some(tree);
    Ok(())
}

#[cfg(test)]
#[allow(clippy::single_range_in_vec_init)]
mod tests {
    use super::*;

    #[test]
    fn touching_ranges_become_one() {
        let mut ranges = vec![0..10, 10..20, 15..18, 30..40];
        merge_adjacent(&mut ranges);
        assert_eq!(ranges, vec![0..20, 30..40]);
    }
}
