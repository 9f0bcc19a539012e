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

/// Patterns for tables: with a dot for `schema.name`, without one for the name in any schema. What stands in double quotes
/// is a name as it is, dots and capitals and all; letters keep their case outside of quotes too.
#[derive(Clone, Debug, Default)]
pub struct TablePatterns(Vec<TablePattern>);

#[derive(Clone, Debug)]
struct TablePattern {
    text: String,
    meaning: Meaning,
}

#[derive(Clone, Debug)]
enum Meaning {
    /// The name in any schema.
    Name(Patterns),
    /// A schema, which has so many dots itself, and a name.
    Qualified(Patterns, usize, Patterns),
    /// Alternatives that have a dot each.
    Path(Patterns),
}

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

/// A part of a pattern for tables, between dots.
#[derive(Default)]
struct Part {
    glob: String,
    /// Without quotes.
    literal: String,
    quoted_dots: usize,
}

impl Part {
    fn patterns(&self, pattern: &str) -> Result<Patterns> {
        let mut patterns = Patterns::new(&[&self.glob], false, PatternOptions::default())
            .map_err(|failure| wrong(pattern).caused_by(failure))?;
        patterns.literals = vec![self.literal.clone().into_bytes()];
        Ok(patterns)
    }
}

/// Splits at the first dot outside of quotes, brackets and braces. A quote that is never closed stands for itself.
fn parts(pattern: &str) -> (Part, Option<Part>) {
    let may_quote = pattern.matches('"').count().is_multiple_of(2);
    let mut first = None;
    let mut part = Part::default();
    let mut is_quoted = false;
    let mut depth = 0_usize;
    let mut letters = pattern.chars().peekable();
    while let Some(letter) = letters.next() {
        if letter == '"' && may_quote {
            if is_quoted && letters.next_if_eq(&'"').is_some() {
                part.glob.push('"');
                part.literal.push('"');
            } else {
                is_quoted = !is_quoted;
            }
            continue;
        }
        if is_quoted {
            part.quoted_dots += usize::from(letter == '.');
            if letter.is_ascii_punctuation() {
                part.glob.push('\\');
            }
            part.glob.push(letter);
            part.literal.push(letter);
            continue;
        }
        match letter {
            '.' if depth == 0 && first.is_none() => {
                first = Some(std::mem::take(&mut part));
                continue;
            }
            '[' | '{' => depth += 1,
            ']' | '}' => depth = depth.saturating_sub(1),
            _ => {}
        }
        part.glob.push(letter);
        part.literal.push(letter);
        if letter == '\\'
            && let Some(escaped) = letters.next()
        {
            part.glob.push(escaped);
            part.literal.push(escaped);
        }
    }
    match first {
        Some(schema) => (schema, Some(part)),
        None => (part, None),
    }
}

impl TablePattern {
    fn new(pattern: &str) -> Result<Self> {
        let meaning = match parts(pattern) {
            (schema, Some(name)) => {
                Meaning::Qualified(schema.patterns(pattern)?, schema.quoted_dots, name.patterns(pattern)?)
            }
            (name, None) if name.literal.contains('.') && name.quoted_dots == 0 => {
                Meaning::Path(name.patterns(pattern)?)
            }
            (name, None) => Meaning::Name(name.patterns(pattern)?),
        };
        Ok(Self {
            text: pattern.to_owned(),
            meaning,
        })
    }

    fn matches(&self, table: &[u8]) -> bool {
        match &self.meaning {
            Meaning::Name(name) => name.matches(table_name(table).unwrap_or(table)),
            Meaning::Path(path) => path.matches(table),
            Meaning::Qualified(schema, dots, name) => memchr::memchr_iter(b'.', table)
                .nth(*dots)
                .is_some_and(|at| schema.matches(&table[..at]) && name.matches(&table[at + 1..])),
        }
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
            read.push(TablePattern::new(pattern)?);
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
        for (pattern, used) in self.0.iter().zip(used) {
            let fits = pattern.matches(table);
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
            .map(|(_, pattern)| pattern.text.as_str())
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
        for (pattern, path, is) in [
            ("a.b", "a.b", true),
            ("a.b", "public.a.b", false),
            ("*.b", "a.b", true),
            ("*.b", "public.a.b", false),
            ("\"a.b\"", "public.a.b", true),
            ("\"a.b\"", "a.b", false),
            ("public.\"a.b\"", "public.a.b", true),
            ("public.a.b", "public.a.b", true),
            ("app.\"Order\"", "app.Order", true),
            ("app.Order", "app.Order", true),
            ("app.order", "app.Order", false),
            ("\"My Schema.x\".\"T\"", "My Schema.x.T", true),
            ("\"My Schema.x\".*", "My Schema.x.T", true),
            ("\"My Schema.x\".\"T\"", "My Schema.y.T", false),
            ("\"a*\"", "public.abc", false),
            ("\"a*\"", "public.a*", true),
            ("\"a\\\"", "public.a\\", true),
            ("\"a\"\"b\"", "public.a\"b", true),
            ("a\"b", "public.a\"b", true),
            ("\"Or\"*", "public.Orders", true),
            ("{a,b}.c", "b.c", true),
            ("{a.x,b.y}", "b.y", true),
            ("t[1]", "public.t[1]", true),
            ("a.b", "b", false),
        ] {
            let patterns = TablePatterns::new(&[pattern.to_owned()]).unwrap();
            assert_eq!(
                patterns.matches(path.as_bytes(), &mut Vec::new()),
                is,
                "{pattern} {path}"
            );
        }
        assert_eq!(TablePatterns::new(&["a[".to_owned()]).unwrap_err().kind(), Kind::Usage);
    }
}
