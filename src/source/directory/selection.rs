//! Which paths of an archive are wanted.

use std::collections::HashSet;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use globset::{GlobBuilder, GlobSet, GlobSetBuilder};

use crate::base::failure::{Failure, Kind, Result};

/// Paths chosen by patterns.
///
/// `*`, `?`, `[…]` and `{a,b}` stay within one part of a path, `**` crosses slashes. A pattern without a slash is looked
/// for at every depth, one with a slash from the top of the archive. A pattern that matches a folder brings all below it.
/// A path spelled out as it is matches even if it contains such characters. Nothing included means everything; what is
/// excluded stays out in any case.
#[derive(Clone, Debug, Default)]
pub struct PathSelection {
    include: Patterns,
    exclude: Patterns,
    /// The paths that were spelled out, and so have to be there.
    paths: Vec<Vec<u8>>,
}

#[derive(Clone, Debug, Default)]
struct Patterns {
    globs: GlobSet,
    literal: HashSet<Vec<u8>>,
}

impl PathSelection {
    /// Reads the patterns.
    ///
    /// # Errors
    /// [`Kind::Usage`] for one that is none.
    pub fn new(include: &[String], exclude: &[String]) -> Result<Self> {
        Ok(Self {
            include: Patterns::new(include)?,
            exclude: Patterns::new(exclude)?,
            paths: Vec::new(),
        })
    }

    /// Includes these paths too, spelled out as they are, with what is below them.
    #[must_use]
    pub fn with_paths(mut self, paths: &[Vec<u8>]) -> Self {
        self.include.literal.extend(paths.iter().cloned());
        self.paths.extend(paths.iter().cloned());
        self
    }

    /// The paths of [`Self::with_paths`].
    #[must_use]
    pub fn paths(&self) -> &[Vec<u8>] {
        &self.paths
    }

    /// Whether there is no pattern, so that every path is wanted.
    #[must_use]
    pub fn is_everything(&self) -> bool {
        self.include.is_empty() && self.exclude.is_empty()
    }

    /// Whether a path of the archive (without a slash at either end) is wanted.
    #[must_use]
    pub fn matches(&self, archive_path: &[u8]) -> bool {
        (self.include.is_empty() || self.include.reaches(archive_path))
            && (self.exclude.is_empty() || !self.exclude.reaches(archive_path))
    }
}

impl Patterns {
    fn new(patterns: &[String]) -> Result<Self> {
        let mut globs = GlobSetBuilder::new();
        let mut literal = HashSet::new();
        for pattern in patterns {
            let bare = pattern.strip_prefix("./").unwrap_or(pattern);
            let bare = bare.trim_end_matches('/');
            let anchored = bare.trim_start_matches('/');
            if anchored.is_empty() {
                return Err(wrong(pattern));
            }
            literal.insert(anchored.as_bytes().to_vec());
            let text = match bare.contains('/') {
                true => anchored.to_owned(),
                false => format!("**/{anchored}"),
            };
            let glob = GlobBuilder::new(&text)
                .literal_separator(true)
                .backslash_escape(true)
                .build()
                .map_err(|error| wrong(pattern).caused_by(error))?;
            globs.add(glob);
        }
        let globs = globs
            .build()
            .map_err(|error| Failure::new(Kind::Usage, "Could not use the patterns together").caused_by(error))?;
        Ok(Self { globs, literal })
    }

    fn is_empty(&self) -> bool {
        self.literal.is_empty()
    }

    /// Whether a pattern matches the path or a folder above it.
    fn reaches(&self, path: &[u8]) -> bool {
        let ends = path
            .iter()
            .enumerate()
            .filter(|(_, byte)| **byte == b'/')
            .map(|(index, _)| index);
        ends.chain(std::iter::once(path.len())).any(|end| {
            let part = &path[..end];
            self.literal.contains(part) || self.globs.is_match(Path::new(OsStr::from_bytes(part)))
        })
    }
}

fn wrong(pattern: &str) -> Failure {
    Failure::new(Kind::Usage, format!("Not a pattern for paths: `{pattern}`"))
        .hint("Write for example `www/*.html`, `**/config.toml` or a path as `backup-cli ls` shows it")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn selection(include: &[&str], exclude: &[&str]) -> PathSelection {
        let owned = |patterns: &[&str]| patterns.iter().map(|pattern| (*pattern).to_owned()).collect::<Vec<_>>();
        PathSelection::new(&owned(include), &owned(exclude)).unwrap()
    }

    #[test]
    fn nothing_said_is_everything() {
        assert!(selection(&[], &[]).is_everything());
        assert!(selection(&[], &[]).matches(b"a/\xff"));
        assert!(!selection(&[], &["x"]).is_everything());
    }

    #[test]
    fn a_folder_brings_all_below_it() {
        let chosen = selection(&["www/img"], &[]);
        assert!(chosen.matches(b"www/img"));
        assert!(chosen.matches(b"www/img/a/b.png"));
        assert!(!chosen.matches(b"www"));
        assert!(!chosen.matches(b"www/img2"));
        assert!(!chosen.matches(b"x/www/img"));
        assert!(selection(&["/www/img/"], &[]).matches(b"www/img/x"));
    }

    #[test]
    fn stars_stay_within_a_part_and_double_stars_do_not() {
        assert!(selection(&["www/*.html"], &[]).matches(b"www/a.html"));
        assert!(!selection(&["www/*.html"], &[]).matches(b"www/x/a.html"));
        assert!(selection(&["www/**/*.html"], &[]).matches(b"www/x/y/a.html"));
        assert!(selection(&["*.html"], &[]).matches(b"www/x/a.html"));
        assert!(selection(&["caf?"], &[]).matches(b"x/caf\xe9"));
    }

    #[test]
    fn excludes_win() {
        let chosen = selection(&["www"], &["*.tmp", "www/cache"]);
        assert!(chosen.matches(b"www/a"));
        assert!(!chosen.matches(b"www/a.tmp"));
        assert!(!chosen.matches(b"www/cache/b"));
    }

    #[test]
    fn a_path_spelled_out_matches_itself() {
        assert!(selection(&["www/[x]*.txt"], &[]).matches(b"www/[x]*.txt"));
    }

    #[test]
    fn broken_patterns_are_usage_errors() {
        for pattern in ["a[", "", "/", "{a"] {
            let failure = PathSelection::new(&[pattern.to_owned()], &[]).unwrap_err();
            assert_eq!(failure.kind(), Kind::Usage, "{pattern}");
        }
    }
}
