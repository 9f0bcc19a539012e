//! Reads a folder tree in the order of keys, with bounded memory however many files a folder holds.

use std::collections::BinaryHeap;
use std::ops::ControlFlow;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::place::TEMPORARY_PREFIX;
use super::staged::final_name;
use crate::base::failure::{IoContext, Result};

/// How many names of one folder are sorted at a time. A larger folder is read again for each further batch, which costs
/// less than to hold a million names; at some 100 bytes a name this is 6 MiB.
const BATCH_NAMES_MAX: usize = 65_536;

/// The folder that ext file systems keep at their root, unreadable for others and never of interest.
const LOST_AND_FOUND: &str = "lost+found";

/// What a walk looks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wanted {
    /// Files under their final names.
    Objects,
    /// Files under temporary names.
    Unfinished,
}

/// Something that a walk found.
pub(super) struct Found<'a> {
    /// The key, in the case of an unfinished file the one that it was to have.
    pub(super) key: &'a str,
    /// Where the file is.
    pub(super) path: &'a Path,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum NameKind {
    File,
    Folder,
}

/// A name in the order of keys: a folder's has its slash, so that `a-b` stands before `a/b` and `a.b` before both.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Name {
    sort: String,
    kind: NameKind,
}

/// A folder in the midst of being walked.
struct Level {
    path: PathBuf,
    /// The folder's key with its slash; empty for the root.
    key: String,
    /// What the names must begin with.
    filter: String,
    /// Device and inode, by which a link back to a folder above is recognised.
    identity: (u64, u64),
    /// The next names, last first.
    batch: Vec<Name>,
    /// The last name of the batch, if the folder holds more than the batch.
    more_after: Option<String>,
}

/// A walk over the files whose keys begin with a prefix.
pub(super) struct Walk {
    levels: Vec<Level>,
    wanted: Wanted,
    batch_names_max: usize,
}

impl Walk {
    /// Prepares a walk below the store's folder; there is nothing below a prefix that no key can begin with.
    ///
    /// # Errors
    /// If the folder where the walk begins cannot be read.
    pub(super) fn new(root: &Path, prefix: &str, wanted: Wanted) -> Result<Self> {
        Self::with_batches(root, prefix, wanted, BATCH_NAMES_MAX)
    }

    fn with_batches(root: &Path, prefix: &str, wanted: Wanted, batch_names_max: usize) -> Result<Self> {
        let mut walk = Self {
            levels: Vec::new(),
            wanted,
            batch_names_max,
        };
        let (folders, filter) = match prefix.rfind('/') {
            Some(slash) => prefix.split_at(slash + 1),
            None => ("", prefix),
        };
        let has_place = folders
            .split_terminator('/')
            .all(|segment| !matches!(segment, "" | "." | "..") && !segment.starts_with(TEMPORARY_PREFIX));
        if has_place && !prefix.contains('\0') {
            walk.descend(root.join(folders), folders.to_owned(), filter.to_owned())?;
        }
        Ok(walk)
    }

    /// Visits what is wanted in the order of keys, until the visitor breaks.
    ///
    /// # Errors
    /// If any folder cannot be read; and the visitor's own.
    pub(super) fn files(&mut self, visit: &mut dyn FnMut(Found<'_>) -> Result<ControlFlow<()>>) -> Result<()> {
        while let Some(level) = self.levels.last_mut() {
            let Some(name) = level.next(self.wanted, self.batch_names_max)? else {
                self.levels.pop();
                continue;
            };
            match name.kind {
                NameKind::Folder => {
                    let path = level.path.join(name.sort.trim_end_matches('/'));
                    let key = format!("{}{}", level.key, name.sort);
                    self.descend(path, key, String::new())?;
                }
                NameKind::File => {
                    let path = level.path.join(&name.sort);
                    let file_name = match self.wanted {
                        Wanted::Objects => &name.sort,
                        Wanted::Unfinished => final_name(&name.sort).unwrap_or(&name.sort),
                    };
                    let key = format!("{}{file_name}", level.key);
                    if visit(Found { key: &key, path: &path })?.is_break() {
                        return Ok(());
                    }
                }
            }
        }
        Ok(())
    }

    /// Visits the folders where the walk begins, each with its slash, if anything that is wanted is below them.
    ///
    /// # Errors
    /// As [`Walk::files`].
    pub(super) fn folders(&mut self, visit: &mut dyn FnMut(&str) -> Result<ControlFlow<()>>) -> Result<()> {
        let Some(mut level) = self.levels.pop() else {
            return Ok(());
        };
        while let Some(name) = level.next(self.wanted, self.batch_names_max)? {
            if name.kind != NameKind::Folder {
                continue;
            }
            let key = format!("{}{}", level.key, name.sort);
            self.descend(
                level.path.join(name.sort.trim_end_matches('/')),
                key.clone(),
                String::new(),
            )?;
            let mut holds_any = false;
            self.files(&mut |_| {
                holds_any = true;
                Ok(ControlFlow::Break(()))
            })?;
            self.levels.clear();
            if holds_any && visit(&key)?.is_break() {
                return Ok(());
            }
        }
        Ok(())
    }

    fn descend(&mut self, path: PathBuf, key: String, filter: String) -> Result<()> {
        let Some(meta) = present(path.metadata()).doing(|| format!("look at the folder `{}`", path.display()))? else {
            return Ok(());
        };
        let identity = (meta.dev(), meta.ino());
        // A link that leads back up would be walked for ever.
        let is_loop = self.levels.iter().any(|level| level.identity == identity);
        if meta.is_dir() && !is_loop {
            self.levels.push(Level {
                path,
                key,
                filter,
                identity,
                batch: Vec::new(),
                more_after: Some(String::new()),
            });
        }
        Ok(())
    }
}

impl Level {
    fn next(&mut self, wanted: Wanted, batch_names_max: usize) -> Result<Option<Name>> {
        if self.batch.is_empty()
            && let Some(after) = self.more_after.take()
        {
            self.read(&after, wanted, batch_names_max)?;
        }
        Ok(self.batch.pop())
    }

    /// Reads the smallest names that are greater than `after`.
    fn read(&mut self, after: &str, wanted: Wanted, batch_names_max: usize) -> Result<()> {
        let doing = || format!("read the folder `{}`", self.path.display());
        let Some(entries) = present(std::fs::read_dir(&self.path)).doing(doing)? else {
            return Ok(());
        };
        let mut smallest: BinaryHeap<Name> = BinaryHeap::new();
        let mut dropped_some = false;
        for entry in entries {
            let entry = entry.doing(doing)?;
            let Ok(text) = entry.file_name().into_string() else {
                // A key is UTF-8, so this is no object and nothing that this tool made.
                continue;
            };
            if !text.starts_with(&self.filter) {
                continue;
            }
            let Some(kind) = kind_of(&entry).doing(doing)? else {
                continue;
            };
            let is_temporary = text.starts_with(TEMPORARY_PREFIX);
            let is_wanted = match kind {
                NameKind::File => is_temporary == (wanted == Wanted::Unfinished),
                NameKind::Folder => !(is_temporary || self.key.is_empty() && text == LOST_AND_FOUND),
            };
            if !is_wanted {
                continue;
            }
            let sort = match kind {
                NameKind::File => text,
                NameKind::Folder => text + "/",
            };
            if sort.as_str() <= after {
                continue;
            }
            smallest.push(Name { sort, kind });
            if smallest.len() > batch_names_max {
                smallest.pop();
                dropped_some = true;
            }
        }
        self.batch = smallest.into_sorted_vec();
        self.more_after = self.batch.last().filter(|_| dropped_some).map(|last| last.sort.clone());
        self.batch.reverse();
        Ok(())
    }
}

/// What an entry is once links are followed; `None` for what is neither file nor folder, or is gone.
fn kind_of(entry: &std::fs::DirEntry) -> std::io::Result<Option<NameKind>> {
    let Some(mut file_type) = present(entry.file_type())? else {
        return Ok(None);
    };
    if file_type.is_symlink() {
        file_type = match present(entry.path().metadata()) {
            Ok(Some(meta)) => meta.file_type(),
            Ok(None) => return Ok(None),
            // A link to itself leads nowhere, like one to what is gone.
            Err(error) if error.raw_os_error() == Some(rustix::io::Errno::LOOP.raw_os_error()) => return Ok(None),
            Err(error) => return Err(error),
        };
    }
    Ok(if file_type.is_dir() {
        Some(NameKind::Folder)
    } else if file_type.is_file() {
        Some(NameKind::File)
    } else {
        None
    })
}

/// The answer, unless the thing is gone: whoever walks a living tree must expect that.
pub(super) fn present<T>(answer: std::io::Result<T>) -> std::io::Result<Option<T>> {
    match answer {
        Ok(answer) => Ok(Some(answer)),
        Err(error)
            if matches!(
                error.kind(),
                std::io::ErrorKind::NotFound | std::io::ErrorKind::NotADirectory
            ) =>
        {
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::ffi::OsStrExt;
    use std::os::unix::fs::symlink;

    fn touch(root: &Path, key: &str) {
        let path = root.join(key);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, b"x").unwrap();
    }

    fn walk(root: &Path, prefix: &str, wanted: Wanted, batch_names_max: usize) -> Vec<String> {
        let mut keys = Vec::new();
        Walk::with_batches(root, prefix, wanted, batch_names_max)
            .unwrap()
            .files(&mut |found| {
                keys.push(found.key.to_owned());
                Ok(ControlFlow::Continue(()))
            })
            .unwrap();
        keys
    }

    #[test]
    fn order_is_that_of_keys_whatever_the_batch() {
        let root = tempfile::tempdir().unwrap();
        let mut keys: Vec<String> = ["a-b", "a.b", "a/b", "a/b-c", "a/b/c/d", "a0", "b", "é/x", "Z"]
            .iter()
            .map(|key| (*key).to_owned())
            .collect();
        keys.retain(|key| key != "a/b");
        keys.extend((0..37).map(|i| format!("many/{i}")));
        for key in &keys {
            touch(root.path(), key);
        }
        keys.sort();
        for batch in [1, 2, 3, 36, 37, 1000] {
            assert_eq!(
                walk(root.path(), "", Wanted::Objects, batch),
                keys,
                "batches of {batch}"
            );
        }
        let below_a: Vec<_> = keys.iter().filter(|key| key.starts_with("a/b")).cloned().collect();
        assert_eq!(walk(root.path(), "a/b", Wanted::Objects, 1), below_a);
    }

    #[test]
    fn prefixes_that_no_key_begins_with_find_nothing() {
        let root = tempfile::tempdir().unwrap();
        touch(root.path(), "store/a/b");
        let store = root.path().join("store");
        for prefix in ["/", "//", "../", "a/../a/", "./", "a//", "none/", "a/b/", "a\0/"] {
            assert!(walk(&store, prefix, Wanted::Objects, 10).is_empty(), "{prefix:?}");
        }
    }

    #[test]
    fn unfinished_and_foreign_things_are_not_objects() {
        let root = tempfile::tempdir().unwrap();
        touch(root.path(), "a/x");
        touch(root.path(), "lost+found/y");
        touch(root.path(), &format!("a/{TEMPORARY_PREFIX}0123.z.tar.gz"));
        fs::write(root.path().join(std::ffi::OsStr::from_bytes(b"\xff")), b"x").unwrap();
        let _socket = std::os::unix::net::UnixListener::bind(root.path().join("socket")).unwrap();
        assert_eq!(walk(root.path(), "", Wanted::Objects, 10), ["a/x"]);
        assert_eq!(walk(root.path(), "", Wanted::Unfinished, 10), ["a/z.tar.gz"]);
    }

    #[test]
    fn links_are_read_through_but_not_in_circles() {
        let root = tempfile::tempdir().unwrap();
        let elsewhere = tempfile::tempdir().unwrap();
        touch(elsewhere.path(), "old/x");
        touch(root.path(), "a/y");
        symlink(elsewhere.path(), root.path().join("moved")).unwrap();
        symlink(root.path(), root.path().join("a/up")).unwrap();
        symlink("none", root.path().join("dangling")).unwrap();
        symlink("itself", root.path().join("itself")).unwrap();
        symlink("a/y", root.path().join("latest")).unwrap();
        assert_eq!(
            walk(root.path(), "", Wanted::Objects, 10),
            ["a/y", "latest", "moved/old/x"]
        );
    }
}
