//! How many items of each kind an index names, and whether a manifest's counts agree with it.

use super::index::EntryKind;
use super::manifest::Counts;

/// How many lines of an index are of which kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct KindCounts {
    files: u64,
    folders: u64,
    others: u64,
    /// Further names. The line does not say of what: a link or a pipe can have several, too.
    hardlinks: u64,
}

impl KindCounts {
    /// Counts one line.
    pub fn add(&mut self, kind: EntryKind) {
        match kind {
            EntryKind::File => self.files += 1,
            EntryKind::Folder => self.folders += 1,
            EntryKind::Symlink | EntryKind::Fifo | EntryKind::Device => self.others += 1,
            EntryKind::Hardlink => self.hardlinks += 1,
            EntryKind::Table | EntryKind::Object => {}
        }
    }

    /// What a manifest says otherwise: of what, how many it says, how many there are.
    ///
    /// Further names are taken for what the manifest counts them as, as far as there are any.
    #[must_use]
    pub fn contradictions(&self, counts: &Counts) -> Vec<(&'static str, u64, u64)> {
        let within = |said: Option<u64>, own: u64| said.map_or(own, |said| said.clamp(own, own + self.hardlinks));
        let files = within(counts.files, self.files);
        let others = match counts.files {
            Some(_) => self.others + self.hardlinks - (files - self.files),
            None => within(counts.others, self.others),
        };
        [
            ("files", counts.files, files),
            ("folders", counts.folders, self.folders),
            ("other items", counts.others, others),
        ]
        .into_iter()
        .filter_map(|(what, said, found)| said.filter(|said| *said != found).map(|said| (what, said, found)))
        .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kinds() -> KindCounts {
        let mut kinds = KindCounts::default();
        for (kind, count) in [
            (EntryKind::File, 5),
            (EntryKind::Folder, 2),
            (EntryKind::Symlink, 3),
            (EntryKind::Fifo, 1),
            (EntryKind::Hardlink, 2),
            (EntryKind::Table, 7),
        ] {
            (0..count).for_each(|_| kinds.add(kind));
        }
        kinds
    }

    fn said(files: u64, folders: u64, others: u64) -> Vec<(&'static str, u64, u64)> {
        kinds().contradictions(&Counts {
            files: Some(files),
            folders: Some(folders),
            others: Some(others),
            ..Counts::default()
        })
    }

    #[test]
    fn a_further_name_is_that_of_a_file_or_of_something_else() {
        for (files, others) in [(7, 4), (6, 5), (5, 6)] {
            assert_eq!(said(files, 2, others), [], "{files} {others}");
        }
        assert_eq!(kinds().contradictions(&Counts::default()), []);
    }

    #[test]
    fn every_other_number_is_a_contradiction() {
        assert_eq!(said(8, 2, 4), [("files", 8, 7)]);
        assert_eq!(said(4, 2, 6), [("files", 4, 5)]);
        assert_eq!(said(7, 2, 5), [("other items", 5, 4)], "one further name counts once");
        assert_eq!(said(6, 2, 4), [("other items", 4, 5)], "or not at all");
        assert_eq!(said(7, 3, 4), [("folders", 3, 2)]);
        let others_alone = Counts {
            others: Some(7),
            ..Counts::default()
        };
        assert_eq!(kinds().contradictions(&others_alone), [("other items", 7, 6)]);
    }
}
