//! Which files with several names have been stored already, and under which name.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

/// How many files with several names are remembered at a time. With the paths below 30 bytes of their own each this is
/// some 70 MiB; a file met after that is stored once more under each of its names.
const FILES_MAX: usize = 900_000;

/// No parent: the folder is a source root.
const NO_PARENT: u32 = u32::MAX;

#[derive(Clone, Copy, Debug)]
struct Seen {
    /// Where the name stands in the arena.
    name: u32,
    /// How many names of the file are still to come; the file is forgotten with the last.
    left: u32,
}

/// What is known about a file with several names.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Known {
    /// It is met for the first time: store it, then call [`HardLinks::stored`].
    New,
    /// It is in the archive under this path.
    At(Vec<u8>),
}

/// Files with several names that stand in the archive.
///
/// Paths are kept as (folder, name) pairs, so that a folder's path is held once however many files it has.
#[derive(Debug, Default)]
pub(super) struct HardLinks {
    seen: HashMap<(u64, u64), Seen>,
    /// Records: parent (4 bytes), length (4 bytes), bytes.
    arena: Vec<u8>,
    /// The folder of the last file, which most often is that of the next as well.
    last_folder: Option<(Vec<u8>, u32)>,
    overflowed: bool,
}

impl HardLinks {
    /// Looks a file up by its device and number.
    pub(super) fn look_up(&mut self, identity: (u64, u64)) -> Known {
        let Entry::Occupied(mut entry) = self.seen.entry(identity) else {
            return Known::New;
        };
        let name = entry.get().name;
        entry.get_mut().left -= 1;
        if entry.get().left == 0 {
            entry.remove();
        }
        Known::At(self.path(name))
    }

    /// Remembers a file that has been stored under `path`, of `links` names in all.
    pub(super) fn stored(&mut self, identity: (u64, u64), links: u64, path: &[u8]) {
        let left = u32::try_from(links.saturating_sub(1)).unwrap_or(u32::MAX);
        if left == 0 {
            return;
        }
        if self.seen.len() >= FILES_MAX {
            self.overflowed = true;
            return;
        }
        // Once all files are forgotten, their names can go as well.
        if self.seen.is_empty() {
            self.arena.clear();
            self.last_folder = None;
        }
        let (folder, name) = match path.iter().rposition(|byte| *byte == b'/') {
            Some(slash) => (&path[..slash], &path[slash + 1..]),
            None => (&path[..0], path),
        };
        let parent = match &self.last_folder {
            Some((last, at)) if last == folder => Some(*at),
            _ if folder.is_empty() => Some(NO_PARENT),
            _ => self.record(NO_PARENT, folder),
        };
        let Some(parent) = parent else {
            self.overflowed = true;
            return;
        };
        if parent != NO_PARENT {
            self.last_folder = Some((folder.to_vec(), parent));
        }
        match self.record(parent, name) {
            Some(name) => {
                self.seen.insert(identity, Seen { name, left });
            }
            None => self.overflowed = true,
        }
    }

    /// Whether some files were not remembered because there were too many.
    pub(super) fn overflowed(&self) -> bool {
        self.overflowed
    }

    fn record(&mut self, parent: u32, bytes: &[u8]) -> Option<u32> {
        let at = u32::try_from(self.arena.len()).ok().filter(|at| *at < NO_PARENT)?;
        let length = u32::try_from(bytes.len()).ok()?;
        self.arena.extend_from_slice(&parent.to_le_bytes());
        self.arena.extend_from_slice(&length.to_le_bytes());
        self.arena.extend_from_slice(bytes);
        Some(at)
    }

    fn number(&self, at: usize) -> u32 {
        match self.arena.get(at..at + 4) {
            Some(&[a, b, c, d]) => u32::from_le_bytes([a, b, c, d]),
            _ => NO_PARENT,
        }
    }

    fn path(&self, record: u32) -> Vec<u8> {
        let at = record as usize;
        let parent = self.number(at);
        let length = self.number(at + 4) as usize;
        let name = self.arena.get(at + 8..at + 8 + length).unwrap_or_default();
        if parent == NO_PARENT {
            return name.to_vec();
        }
        let mut path = self.path(parent);
        path.push(b'/');
        path.extend_from_slice(name);
        path
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn later_names_find_the_first_until_all_have_come() {
        let mut links = HardLinks::default();
        assert_eq!(links.look_up((1, 7)), Known::New);
        links.stored((1, 7), 3, b"www/a/x");
        links.stored((1, 8), 2, b"www/a/y");
        links.stored((2, 7), 2, b"z");
        assert_eq!(links.look_up((1, 7)), Known::At(b"www/a/x".to_vec()));
        assert_eq!(links.look_up((1, 7)), Known::At(b"www/a/x".to_vec()));
        assert_eq!(links.look_up((1, 7)), Known::New);
        assert_eq!(links.look_up((2, 7)), Known::At(b"z".to_vec()));
        assert_eq!(links.look_up((1, 8)), Known::At(b"www/a/y".to_vec()));
        links.stored((3, 3), 2, b"new/start");
        assert_eq!(links.look_up((3, 3)), Known::At(b"new/start".to_vec()));
        assert!(!links.overflowed());
    }
}
