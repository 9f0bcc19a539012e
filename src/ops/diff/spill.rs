//! Entries in the order of archives, whatever order they come in, however many there are.
//!
//! They nearly always come in that order. Those that do not, because an archive has several roots or was made by another
//! program, are sorted in pieces that are merged when they are read. What does not fit into one piece waits in a temporary
//! file, a few dozen bytes for each entry.

use std::cmp::Ordering;

use crate::base::failure::Result;
use crate::catalog::index::Entry;

mod record;

use record::{RunReader, RunWriter};

/// What is held in memory before it goes into a file, in bytes.
const PIECE_BYTES: usize = 8 * 1024 * 1024;

/// What an entry takes in memory beside its texts, in bytes.
const ENTRY_BYTES: usize = std::mem::size_of::<Entry>() + 32;

/// Compares paths as archives have them: folder by folder, the names in one by their bytes, a folder before what is in it.
pub(super) fn archive_order(a: &[u8], b: &[u8]) -> Ordering {
    let same = a.iter().zip(b).take_while(|(a, b)| a == b).count();
    let rank = |byte: Option<&u8>| match byte {
        None => 0,
        Some(b'/') => 1,
        Some(byte) => 2 + u16::from(*byte),
    };
    rank(a.get(same)).cmp(&rank(b.get(same)))
}

/// Takes entries in any order.
pub(super) struct Sorter {
    piece: Vec<Entry>,
    piece_bytes: usize,
    piece_bytes_max: usize,
    is_in_order: bool,
    runs: Vec<RunWriter>,
}

impl Default for Sorter {
    fn default() -> Self {
        Self::with_pieces_of(PIECE_BYTES)
    }
}

impl Sorter {
    fn with_pieces_of(piece_bytes_max: usize) -> Self {
        Self {
            piece: Vec::new(),
            piece_bytes: 0,
            piece_bytes_max,
            is_in_order: true,
            runs: Vec::new(),
        }
    }

    /// Adds an entry.
    ///
    /// # Errors
    /// If the temporary file cannot be written.
    pub(super) fn push(&mut self, entry: Entry) -> Result<()> {
        self.is_in_order &= self
            .piece
            .last()
            .is_none_or(|last| archive_order(&last.path.0, &entry.path.0).is_le());
        let link_bytes = entry.link.as_ref().map_or(0, |link| link.0.len());
        self.piece_bytes += ENTRY_BYTES + entry.path.0.len() + link_bytes;
        self.piece.push(entry);
        if self.piece_bytes >= self.piece_bytes_max {
            self.spill()?;
        }
        Ok(())
    }

    fn sort_piece(&mut self) {
        if !self.is_in_order {
            // Of entries with one path the later one stays the later one.
            self.piece.sort_by(|a, b| archive_order(&a.path.0, &b.path.0));
        }
        self.is_in_order = true;
        self.piece_bytes = 0;
    }

    /// Moves the piece into a file: at the end of the last one if it belongs there, else into one of its own.
    fn spill(&mut self) -> Result<()> {
        self.sort_piece();
        let Some(first) = self.piece.first() else {
            return Ok(());
        };
        let continues = self
            .runs
            .last()
            .is_some_and(|run| archive_order(run.last_path(), &first.path.0).is_le());
        if !continues {
            self.runs.push(RunWriter::create()?);
        }
        if let Some(run) = self.runs.last_mut() {
            for entry in self.piece.drain(..) {
                run.write(&entry)?;
            }
        }
        Ok(())
    }

    /// All of them, in order.
    ///
    /// # Errors
    /// If the temporary file cannot be written or read.
    pub(super) fn finish(mut self) -> Result<Sorted> {
        let mut runs = Vec::with_capacity(self.runs.len() + 1);
        self.sort_piece();
        let piece = std::mem::take(&mut self.piece);
        for run in self.runs {
            runs.push(Run::open(Entries::File(run.finish()?))?);
        }
        runs.push(Run::open(Entries::Memory(piece.into_iter()))?);
        runs.retain(|run| run.next.is_some());
        Ok(Sorted { runs })
    }
}

/// Entries in order, of each path the last one that came.
pub(super) struct Sorted {
    /// In the order in which they came.
    runs: Vec<Run>,
}

struct Run {
    next: Option<Entry>,
    rest: Entries,
}

enum Entries {
    Memory(std::vec::IntoIter<Entry>),
    File(RunReader),
}

impl Run {
    fn open(rest: Entries) -> Result<Self> {
        let mut run = Self { next: None, rest };
        run.take()?;
        Ok(run)
    }

    fn take(&mut self) -> Result<Option<Entry>> {
        let next = match &mut self.rest {
            Entries::Memory(entries) => entries.next(),
            Entries::File(reader) => reader.read()?,
        };
        Ok(std::mem::replace(&mut self.next, next))
    }
}

impl Sorted {
    pub(super) fn is_empty(&self) -> bool {
        self.runs.is_empty()
    }

    /// The next entry.
    ///
    /// # Errors
    /// If the temporary file cannot be read.
    pub(super) fn next(&mut self) -> Result<Option<Entry>> {
        let mut found: Option<Entry> = None;
        loop {
            let mut least: Option<usize> = None;
            for (at, run) in self.runs.iter().enumerate() {
                let Some(entry) = &run.next else { continue };
                let path = &entry.path.0;
                let is_wanted = match (&found, least.and_then(|least| self.runs[least].next.as_ref())) {
                    (Some(found), _) => found.path.0 == *path && least.is_none(),
                    (None, Some(least)) => archive_order(path, &least.path.0).is_lt(),
                    (None, None) => true,
                };
                if is_wanted {
                    least = Some(at);
                }
            }
            match least {
                Some(at) => found = self.runs[at].take()?,
                None => return Ok(found),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::index::{EntryKind, RawPath};
    use proptest::prelude::*;

    #[test]
    fn a_folder_stands_before_what_is_in_it_and_that_before_its_neighbours() {
        let sorted: [&[u8]; 8] = [b"a", b"a/b", b"a/b/c", b"a/b-c", b"a/b.c", b"a-b", b"a.b", b"a\xff"];
        for (at, a) in sorted.iter().enumerate() {
            for (other, b) in sorted.iter().enumerate() {
                assert_eq!(archive_order(a, b), at.cmp(&other), "{a:?} {b:?}");
            }
        }
    }

    fn entry(path: &[u8], size: u64) -> Entry {
        Entry {
            size,
            ..Entry::new(EntryKind::File, RawPath(path.to_vec()), 0..0)
        }
    }

    proptest! {
        #[test]
        fn entries_of_any_order_come_sorted_and_the_later_of_two_wins(
            paths in proptest::collection::vec("[ab/-]{1,4}", 0..60),
            piece_bytes in 1usize..5000,
        ) {
            let mut sorter = Sorter::with_pieces_of(piece_bytes);
            let mut expected: Vec<(Vec<u8>, u64)> = Vec::new();
            for (number, path) in paths.iter().enumerate() {
                sorter.push(entry(path.as_bytes(), number as u64)).unwrap();
                expected.retain(|(other, _)| other != path.as_bytes());
                expected.push((path.as_bytes().to_vec(), number as u64));
            }
            expected.sort_by(|a, b| archive_order(&a.0, &b.0));
            let mut sorted = sorter.finish().unwrap();
            let mut found = Vec::new();
            while let Some(entry) = sorted.next().unwrap() {
                found.push((entry.path.0, entry.size));
            }
            prop_assert_eq!(found, expected);
        }
    }

    #[test]
    fn entries_in_order_share_one_file() {
        let mut sorter = Sorter::with_pieces_of(2000);
        for number in 0..1000 {
            sorter
                .push(entry(format!("www/{number:04}").as_bytes(), number))
                .unwrap();
        }
        assert_eq!(sorter.runs.len(), 1);
    }
}
