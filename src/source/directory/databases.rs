//! SQLite databases among the files of a tree: a tar archive holds them as they were read, which may be in mid-write.

use crate::source::sqlite::begins_as_database;

/// How many are named; of the others it is told how many there are.
const NAMED_MAX: usize = 3;

/// The databases that were met.
#[derive(Debug, Default)]
pub(super) struct Databases {
    named: Vec<String>,
    count: usize,
}

impl Databases {
    /// Looks at how a file begins.
    pub(super) fn note(&mut self, path: &[u8], first_bytes: &[u8]) {
        if begins_as_database(first_bytes) {
            self.count += 1;
            if self.named.len() < NAMED_MAX {
                self.named.push(format!("`{}`", String::from_utf8_lossy(path)));
            }
        }
    }

    /// What the user should know of them, if there are any.
    pub(super) fn warning(&self) -> Option<String> {
        let more = match self.count - self.named.len() {
            0 => String::new(),
            more => format!(" and {more} more"),
        };
        let (what, it) = match self.count {
            0 => return None,
            1 => ("is an SQLite database, and was copied as a file", "it"),
            _ => ("are SQLite databases, and were copied as files", "them"),
        };
        Some(format!(
            "{}{more} {what}: good only if nobody wrote to {it} meanwhile. `backup-cli backup PATH` of such a file makes a \
             consistent copy.",
            self.named.join(", ")
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn databases_are_known_by_their_first_bytes_and_the_first_are_named() {
        let mut databases = Databases::default();
        databases.note(b"www/text.db", b"SQLite format 2");
        databases.note(b"www/empty.db", b"");
        assert_eq!(databases.warning(), None);
        databases.note(b"www/a.db", b"SQLite format 3\0\x10");
        let warning = databases.warning().unwrap();
        assert!(warning.starts_with("`www/a.db` is an SQLite database"), "{warning}");
        for number in 0..4 {
            databases.note(format!("www/{number}").as_bytes(), b"SQLite format 3\0\x10");
        }
        let warning = databases.warning().unwrap();
        assert!(
            warning.starts_with("`www/a.db`, `www/0`, `www/1` and 2 more are"),
            "{warning}"
        );
    }
}
