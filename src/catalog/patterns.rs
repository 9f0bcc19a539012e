//! Globs that users write for what is inside backups.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use globset::{GlobBuilder, GlobSet, GlobSetBuilder};

use super::index::{Entry, EntryKind};
use crate::base::failure::{Failure, Kind, Result};

/// How patterns are compared.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PatternOptions {
    /// Letters of both cases are the same.
    pub ignore_case: bool,
}

/// Patterns for single entries: a pattern without a slash is for the name, wherever it is; one with a slash for the whole
/// path. `*`, `?`, `[…]` and `{a,b}` stay within one part of a path, `**` crosses slashes. A table is meant by its name, or
/// by `schema.name`. What is spelled out as it is matches even if it contains such characters.
#[derive(Clone, Debug, Default)]
pub struct EntryPatterns {
    names: Patterns,
    paths: Patterns,
}

/// Patterns for tables: with a dot for `schema.name`, without one for the name in any schema.
#[derive(Clone, Debug, Default)]
pub struct TablePatterns(Vec<(String, Patterns)>);

#[derive(Clone, Debug, Default)]
struct Patterns {
    globs: GlobSet,
    literals: Vec<Vec<u8>>,
}

impl Patterns {
    fn new(patterns: &[&str], separated: bool, options: PatternOptions) -> Result<Self> {
        let mut globs = GlobSetBuilder::new();
        for pattern in patterns {
            let glob = GlobBuilder::new(pattern)
                .literal_separator(separated)
                .backslash_escape(true)
                .case_insensitive(options.ignore_case)
                .build()
                .map_err(|error| wrong(pattern).caused_by(error))?;
            globs.add(glob);
        }
        let globs = globs
            .build()
            .map_err(|error| Failure::new(Kind::Usage, "Could not use the patterns together").caused_by(error))?;
        Ok(Self {
            globs,
            literals: patterns.iter().map(|pattern| pattern.as_bytes().to_vec()).collect(),
        })
    }

    fn matches(&self, text: &[u8]) -> bool {
        self.literals.iter().any(|literal| literal == text) || self.globs.is_match(Path::new(OsStr::from_bytes(text)))
    }
}

fn wrong(pattern: &str) -> Failure {
    Failure::new(Kind::Usage, format!("Not a pattern: `{pattern}`"))
        .hint("Write for example `*.conf`, `www/**/*.html` or `public.orders`")
}

impl EntryPatterns {
    /// Reads patterns.
    ///
    /// # Errors
    /// [`Kind::Usage`] for one that is none.
    pub fn new(patterns: &[String], options: PatternOptions) -> Result<Self> {
        let mut names = Vec::new();
        let mut paths = Vec::new();
        for pattern in patterns {
            let bare = pattern.trim_end_matches('/');
            match bare.strip_prefix("./").unwrap_or(bare) {
                "" => return Err(wrong(pattern)),
                path if path.contains('/') => paths.push(path.trim_start_matches('/')),
                name => names.push(name),
            }
        }
        Ok(Self {
            names: Patterns::new(&names, true, options)?,
            paths: Patterns::new(&paths, true, options)?,
        })
    }

    /// Whether the entry itself is meant; what is below a folder is not meant with it.
    #[must_use]
    pub fn matches(&self, entry: &Entry) -> bool {
        let path = entry.path.0.as_slice();
        match entry.kind {
            EntryKind::Table | EntryKind::Object => {
                self.names.matches(path) || table_name(path).is_some_and(|name| self.names.matches(name))
            }
            _ => {
                let name = path.rsplit(|byte| *byte == b'/').next().unwrap_or(path);
                self.names.matches(name) || self.paths.matches(path)
            }
        }
    }
}

/// What stands after the schema.
fn table_name(path: &[u8]) -> Option<&[u8]> {
    let dot = memchr::memchr(b'.', path)?;
    Some(&path[dot + 1..])
}

impl TablePatterns {
    /// Reads patterns.
    ///
    /// # Errors
    /// [`Kind::Usage`] for one that is none.
    pub fn new(patterns: &[String]) -> Result<Self> {
        let mut read = Vec::with_capacity(patterns.len());
        for pattern in patterns {
            if pattern.is_empty() {
                return Err(wrong(pattern));
            }
            let one = Patterns::new(&[pattern], false, PatternOptions::default())?;
            read.push((pattern.clone(), one));
        }
        Ok(Self(read))
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether the table `schema.name` is meant; the places of the patterns that mean it are marked in `used`.
    pub fn matches(&self, table: &[u8], used: &mut Vec<bool>) -> bool {
        used.resize(self.0.len(), false);
        let mut any = false;
        for ((text, pattern), used) in self.0.iter().zip(used) {
            let fits = match table_name(table) {
                Some(name) if !text.contains('.') => pattern.matches(name),
                Some(name) => pattern.matches(table) || pattern.literals.iter().any(|literal| literal == name),
                None => pattern.matches(table),
            };
            *used |= fits;
            any |= fits;
        }
        any
    }

    /// The first pattern whose place is not marked.
    #[must_use]
    pub fn first_unused(&self, used: &[bool]) -> Option<&str> {
        self.0
            .iter()
            .enumerate()
            .find(|(at, _)| !used.get(*at).copied().unwrap_or(false))
            .map(|(_, (text, _))| text.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::index::RawPath;

    fn entry(kind: EntryKind, path: &[u8]) -> Entry {
        Entry::new(kind, RawPath(path.to_vec()), 0..0)
    }

    #[test]
    fn names_are_found_at_every_depth_and_paths_from_the_top() {
        for (pattern, path, is) in [
            ("a.txt", &b"www/x/a.txt"[..], true),
            ("*.txt", b"www/x/a.txt", true),
            ("*.txt", b"www/x.txt/b", false),
            ("www", b"www/a", false),
            ("www/*/a.txt", b"www/x/a.txt", true),
            ("www/*", b"www/x/a.txt", false),
            ("/www/**", b"www/x/a.txt", true),
            ("./www/x/", b"www/x", true),
            ("x/a.txt", b"www/x/a.txt", false),
            ("[x]", b"www/[x]", true),
            ("caf?", b"caf\xe9", true),
            ("*new*", b"www/a\nnew", true),
            ("A.TXT", b"www/a.txt", false),
        ] {
            let patterns = EntryPatterns::new(&[pattern.to_owned()], PatternOptions::default()).unwrap();
            assert_eq!(
                patterns.matches(&entry(EntryKind::File, path)),
                is,
                "{pattern} {path:?}"
            );
        }
        let options = PatternOptions { ignore_case: true };
        let patterns = EntryPatterns::new(&["A.TXT".to_owned()], options).unwrap();
        assert!(patterns.matches(&entry(EntryKind::File, b"www/a.txt")));
    }

    #[test]
    fn tables_are_found_with_and_without_their_schema() {
        for (pattern, path, is) in [
            ("orders", "public.orders", true),
            ("public.orders", "public.orders", true),
            ("public.*", "public.orders", true),
            ("ord*", "public.orders", true),
            ("other.*", "public.orders", false),
            ("a.b", "public.a.b", true),
            ("a/b", "public.a/b", false),
        ] {
            let patterns = EntryPatterns::new(&[pattern.to_owned()], PatternOptions::default()).unwrap();
            assert_eq!(
                patterns.matches(&entry(EntryKind::Table, path.as_bytes())),
                is,
                "{pattern} {path}"
            );
        }
        let patterns = TablePatterns::new(&["ord*".to_owned(), "a/b".to_owned(), "none".to_owned()]).unwrap();
        let mut used = Vec::new();
        assert!(patterns.matches(b"public.orders", &mut used));
        assert!(patterns.matches(b"public.a/b", &mut used));
        assert!(patterns.matches(b"orders", &mut used));
        assert!(!patterns.matches(b"public.items", &mut used));
        assert_eq!(patterns.first_unused(&used), Some("none"));
        assert_eq!(TablePatterns::new(&["a[".to_owned()]).unwrap_err().kind(), Kind::Usage);
    }
}
