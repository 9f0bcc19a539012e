//! What went wrong with single items of a tree, while the rest went on.

use crate::base::report::{Event, Reporter};
use crate::catalog::manifest::{PROBLEMS_MAX, Problem, ProblemKind};

/// Collects problems: the first [`PROBLEMS_MAX`] with their words, the others as a number.
pub(super) struct Problems<'a> {
    reporter: &'a dyn Reporter,
    during: &'static str,
    list: Vec<Problem>,
    count: u64,
}

impl<'a> Problems<'a> {
    /// Nothing wrong yet; `during` is what is being done: `archive`, `restore`.
    pub(super) fn new(reporter: &'a dyn Reporter, during: &'static str) -> Self {
        Self {
            reporter,
            during,
            list: Vec::new(),
            count: 0,
        }
    }

    /// Records a problem with the item at `path` and tells the listener.
    pub(super) fn add(&mut self, path: &[u8], kind: ProblemKind, message: impl Into<String>) {
        let item = String::from_utf8_lossy(path).into_owned();
        let message = message.into();
        self.count += 1;
        self.reporter.progress().add_error();
        self.reporter.event(Event::ItemFailed {
            item: item.clone(),
            during: self.during,
            message: message.clone(),
        });
        if self.list.len() < PROBLEMS_MAX {
            self.list.push(Problem { item, kind, message });
        }
    }

    /// Whether nothing went wrong.
    pub(super) fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// The problems kept, and how many there were in all.
    pub(super) fn into_parts(self) -> (Vec<Problem>, u64) {
        (self.list, self.count)
    }
}

/// The words for an error of the system, without its number.
pub(super) fn words(error: rustix::io::Errno) -> String {
    let text = std::io::Error::from(error).to_string();
    match text.split_once(" (os error") {
        Some((words, _)) => words.to_owned(),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::report::Recorder;

    #[test]
    fn problems_are_counted_beyond_those_that_are_kept() {
        let recorder = Recorder::default();
        let mut problems = Problems::new(&recorder, "archive");
        for _ in 0..PROBLEMS_MAX + 5 {
            problems.add(b"a/\xff", ProblemKind::Unreadable, words(rustix::io::Errno::ACCESS));
        }
        let (list, count) = problems.into_parts();
        assert_eq!(list.len(), PROBLEMS_MAX);
        assert_eq!(count, PROBLEMS_MAX as u64 + 5);
        assert_eq!(list[0].item, "a/\u{fffd}");
        assert_eq!(list[0].message, "Permission denied");
        assert_eq!(recorder.progress().snapshot().errors, count);
        assert_eq!(recorder.events().len() as u64, count);
    }
}
