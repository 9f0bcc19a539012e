//! What changed between two backups, from their indexes.

use std::cmp::Ordering;
use std::ops::ControlFlow;
use std::sync::Arc;

use super::Run;
use super::ls::{IndexItem, is_at_or_below, read_index};
use crate::base::failure::{Failure, Kind, Result};
use crate::catalog::index::{Entry, EntryKind};
use crate::catalog::selection::Chosen;
use crate::store::Store;

mod spill;

use spill::{Sorted, Sorter, archive_order};

/// How something differs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ChangeKind {
    /// Only the second backup has it.
    Added,
    /// Only the first backup has it.
    Removed,
    /// Its size, its time of change, where it points, or its number of rows.
    Content,
    /// Its permissions, its owner, or which file it is another name of.
    Metadata,
    /// It is something else now: a file that was a folder.
    Type,
}

impl ChangeKind {
    /// The letter that restic has for it.
    #[must_use]
    pub fn letter(self) -> char {
        match self {
            Self::Added => '+',
            Self::Removed => '-',
            Self::Content => 'M',
            Self::Metadata => 'U',
            Self::Type => 'T',
        }
    }
}

/// One difference.
#[derive(Clone, Copy, Debug)]
pub struct Change<'a> {
    /// How it differs.
    pub kind: ChangeKind,
    /// As it was; `None` if it was not there.
    pub before: Option<&'a Entry>,
    /// As it is; `None` if it is gone.
    pub after: Option<&'a Entry>,
}

/// Numbers of things by what they are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct Tally {
    /// Regular files, further names included.
    pub files: u64,
    /// Folders.
    pub dirs: u64,
    /// Links, pipes, devices.
    pub others: u64,
    /// Tables of a dump.
    pub tables: u64,
    /// The sizes of their contents, in bytes.
    pub bytes: u64,
}

impl Tally {
    fn add(&mut self, entry: &Entry) {
        match entry.kind {
            EntryKind::File | EntryKind::Hardlink => self.files += 1,
            EntryKind::Folder => self.dirs += 1,
            EntryKind::Table => self.tables += 1,
            EntryKind::Symlink | EntryKind::Fifo | EntryKind::Device | EntryKind::Object => self.others += 1,
        }
        self.bytes += entry.size;
    }
}

/// The sums over all differences.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DiffReport {
    /// What only the second backup has.
    pub added: Tally,
    /// What only the first backup has.
    pub removed: Tally,
    /// What differs in any way, as it is in the second backup.
    pub changed: Tally,
}

/// Visits what differs at or below `path` (everywhere, if `None`), in the order of archives.
///
/// Contents are not compared: a file is taken for changed if its size or its time of change is another, a table if its
/// number of rows or its size is. The time of a folder alone, which follows from what is in it, is no difference.
///
/// # Errors
/// [`Kind::NotFound`] if a backup has no index, or neither holds `path`; [`Kind::Damaged`]; the visitor's own failure.
pub fn diff(
    backups: [(&Arc<dyn Store>, &Chosen); 2],
    path: Option<&[u8]>,
    run: &Run,
    mut visit: impl FnMut(&Change<'_>) -> Result<()>,
) -> Result<DiffReport> {
    let [(first_store, first), (second_store, second)] = backups;
    let (before, after) = std::thread::scope(|scope| {
        let before = scope.spawn(|| entries_of(first_store, first, path, run));
        let after = entries_of(second_store, second, path, run);
        let before = before
            .join()
            .unwrap_or_else(|_| Err(Failure::new(Kind::Failed, "The thread that reads an index died")));
        (before, after)
    });
    let (mut before, mut after) = (before?, after?);
    if let Some(path) = path
        && before.is_empty()
        && after.is_empty()
    {
        return Err(Failure::new(
            Kind::NotFound,
            format!(
                "Nothing at `{}` in `{}` nor in `{}`",
                String::from_utf8_lossy(path),
                first.found.id,
                second.found.id
            ),
        )
        .hint("Paths begin with the source's base name; `backup-cli ls` shows them"));
    }
    let mut report = DiffReport::default();
    let (mut left, mut right) = (before.next()?, after.next()?);
    loop {
        run.cancel.check()?;
        let order = match (&left, &right) {
            (None, None) => return Ok(report),
            (Some(_), None) => Ordering::Less,
            (None, Some(_)) => Ordering::Greater,
            (Some(left), Some(right)) => archive_order(&left.path.0, &right.path.0),
        };
        let old = if order.is_le() { left.take() } else { None };
        let new = if order.is_ge() { right.take() } else { None };
        if let Some(kind) = compare(old.as_ref(), new.as_ref()) {
            match (kind, &old, &new) {
                (ChangeKind::Removed, Some(old), _) => report.removed.add(old),
                (ChangeKind::Added, _, Some(new)) => report.added.add(new),
                (_, _, Some(new)) => report.changed.add(new),
                _ => {}
            }
            visit(&Change {
                kind,
                before: old.as_ref(),
                after: new.as_ref(),
            })?;
        }
        if order.is_le() {
            left = before.next()?;
        }
        if order.is_ge() {
            right = after.next()?;
        }
    }
}

fn entries_of(store: &Arc<dyn Store>, chosen: &Chosen, path: Option<&[u8]>, run: &Run) -> Result<Sorted> {
    let mut sorter = Sorter::default();
    read_index(store, chosen, run, |item| {
        if let IndexItem::Entry(entry) = item
            && entry.kind != EntryKind::Object
            && path.is_none_or(|path| is_at_or_below(&entry.path.0, path))
        {
            sorter.push(entry)?;
        }
        Ok(ControlFlow::Continue(()))
    })?;
    sorter.finish()
}

fn compare(before: Option<&Entry>, after: Option<&Entry>) -> Option<ChangeKind> {
    use EntryKind::{File, Folder, Hardlink, Symlink, Table};
    let (before, after) = match (before, after) {
        (Some(before), Some(after)) => (before, after),
        (None, Some(_)) => return Some(ChangeKind::Added),
        (Some(_), None) => return Some(ChangeKind::Removed),
        (None, None) => return None,
    };
    let time = |entry: &Entry| (entry.mtime, entry.mtime_nanos);
    let has_other_owner = (before.mode, before.uid, before.gid) != (after.mode, after.uid, after.gid)
        || before.user != after.user
        || before.group != after.group;
    let content = match (before.kind, after.kind) {
        // Which of a file's names comes first, and so has the content, says nothing about it.
        (File, File) => before.size != after.size || time(before) != time(after),
        (File | Hardlink, File | Hardlink) => time(before) != time(after),
        (Symlink, Symlink) => before.link != after.link,
        (Table, Table) => (before.rows, before.size) != (after.rows, after.size),
        (before, after) if before != after => return Some(ChangeKind::Type),
        _ => false,
    };
    let metadata = has_other_owner
        || match (before.kind, after.kind) {
            (Folder, Folder) | (Table, Table) | (File, File) => false,
            (File | Hardlink, File | Hardlink) => (before.kind, &before.link) != (after.kind, &after.link),
            _ => time(before) != time(after),
        };
    match (content, metadata) {
        (true, _) => Some(ChangeKind::Content),
        (false, true) => Some(ChangeKind::Metadata),
        (false, false) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::index::RawPath;

    fn entry(kind: EntryKind) -> Entry {
        Entry {
            size: 3,
            mode: Some(0o644),
            uid: Some(1),
            gid: Some(1),
            user: Some("me".to_owned()),
            mtime: Some(5),
            link: Some(RawPath::from("to")),
            rows: Some(2),
            ..Entry::new(kind, RawPath::from("a"), 0..9)
        }
    }

    #[test]
    fn each_kind_of_difference_has_its_letter() {
        let changed = |kind: EntryKind, change: fn(&mut Entry)| {
            let mut after = entry(kind);
            change(&mut after);
            compare(Some(&entry(kind)), Some(&after)).map(ChangeKind::letter)
        };
        for kind in [
            EntryKind::File,
            EntryKind::Folder,
            EntryKind::Symlink,
            EntryKind::Hardlink,
            EntryKind::Table,
        ] {
            assert_eq!(changed(kind, |_| {}), None);
            // Where it lies in the archive says nothing.
            assert_eq!(changed(kind, |entry| entry.offset = 7), None);
            assert_eq!(changed(kind, |entry| entry.mode = Some(0o600)), Some('U'));
            assert_eq!(changed(kind, |entry| entry.user = None), Some('U'));
            assert_eq!(changed(kind, |entry| entry.kind = EntryKind::Fifo), Some('T'));
        }
        assert_eq!(changed(EntryKind::File, |entry| entry.size = 4), Some('M'));
        assert_eq!(changed(EntryKind::File, |entry| entry.mtime_nanos = 1), Some('M'));
        assert_eq!(
            changed(EntryKind::File, |entry| entry.kind = EntryKind::Hardlink),
            Some('U')
        );
        assert_eq!(changed(EntryKind::Hardlink, |entry| entry.mtime = None), Some('M'));
        assert_eq!(changed(EntryKind::Hardlink, |entry| entry.link = None), Some('U'));
        assert_eq!(changed(EntryKind::Symlink, |entry| entry.link = None), Some('M'));
        assert_eq!(changed(EntryKind::Symlink, |entry| entry.mtime = None), Some('U'));
        assert_eq!(changed(EntryKind::Folder, |entry| entry.mtime = None), None);
        assert_eq!(changed(EntryKind::Table, |entry| entry.rows = Some(3)), Some('M'));
        assert_eq!(compare(None, Some(&entry(EntryKind::File))).unwrap().letter(), '+');
        assert_eq!(compare(Some(&entry(EntryKind::File)), None).unwrap().letter(), '-');
    }
}
