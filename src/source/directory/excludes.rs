//! What is left out of a backup: patterns in gitignore's syntax.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use ignore::gitignore::{Gitignore, GitignoreBuilder};

use crate::base::failure::{Failure, IoContext, Kind, Result};

/// Exclude files larger than this are taken for a mistake.
const EXCLUDE_FILE_BYTES_MAX: u64 = 16 * crate::base::units::MIB;

/// Patterns in gitignore's syntax, each relative to every source's own folder.
#[derive(Clone, Debug)]
pub(super) struct Excludes {
    patterns: Gitignore,
}

impl Excludes {
    /// Reads the patterns of the files, then those given one by one; as in gitignore the last one that matches decides.
    ///
    /// # Errors
    /// [`Kind::Usage`] for a pattern that is none, and if an exclude file cannot be read.
    pub(super) fn new(patterns: &[String], files: &[PathBuf]) -> Result<Self> {
        // The builder's folder is empty because paths are given relative to the source's own folder.
        let mut builder = GitignoreBuilder::new("");
        for file in files {
            let bytes = std::fs::metadata(file)
                .doing(|| format!("read the exclude file `{}`", file.display()))?
                .len();
            if bytes > EXCLUDE_FILE_BYTES_MAX {
                return Err(Failure::new(
                    Kind::Usage,
                    format!("The exclude file `{}` is too large: {bytes} bytes", file.display()),
                )
                .hint("Write one pattern per line, in gitignore's syntax"));
            }
            let text = std::fs::read_to_string(file).doing(|| format!("read the exclude file `{}`", file.display()))?;
            for line in text.trim_start_matches('\u{feff}').lines() {
                add(&mut builder, line, Some(file))?;
            }
        }
        for pattern in patterns {
            add(&mut builder, pattern, None)?;
        }
        let patterns = builder.build().map_err(|error| {
            Failure::new(Kind::Usage, "Could not use the exclude patterns together").caused_by(error)
        })?;
        Ok(Self { patterns })
    }

    /// Whether nothing is excluded.
    pub(super) fn is_empty(&self) -> bool {
        self.patterns.is_empty()
    }

    /// Whether the item at `relative`, below a source's folder, is left out. Its parents are known not to be.
    pub(super) fn excludes(&self, relative: &[u8], is_folder: bool) -> bool {
        !relative.is_empty()
            && self
                .patterns
                .matched(Path::new(OsStr::from_bytes(relative)), is_folder)
                .is_ignore()
    }
}

fn add(builder: &mut GitignoreBuilder, line: &str, file: Option<&Path>) -> Result<()> {
    builder.add_line(None, line).map(|_| ()).map_err(|error| {
        let place = match file {
            Some(file) => format!(" in `{}`", file.display()),
            None => String::new(),
        };
        Failure::new(Kind::Usage, format!("Not an exclude pattern{place}: `{line}`"))
            .caused_by(error)
            .hint("Patterns follow gitignore: `*.tmp`, `/cache/`, `**/node_modules`, `!keep.tmp`")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_follow_gitignore() {
        let excludes = Excludes::new(
            &["*.tmp", "/cache/", "logs/**/old", "!keep.tmp", "# a comment"].map(String::from),
            &[],
        )
        .unwrap();
        assert!(excludes.excludes(b"a/b/x.tmp", false));
        assert!(!excludes.excludes(b"a/keep.tmp", false));
        assert!(excludes.excludes(b"cache", true));
        assert!(!excludes.excludes(b"cache", false));
        assert!(!excludes.excludes(b"a/cache", true));
        assert!(excludes.excludes(b"logs/a/b/old", true));
        assert!(excludes.excludes(b"\xff.tmp", false));
        assert!(!excludes.excludes(b"", true));
        assert!(!excludes.excludes(b"# a comment", false));
    }

    #[test]
    fn the_command_line_has_the_last_word_over_files() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "\u{feff}*.log\r\n\n# none\nbuild/\n").unwrap();
        let excludes = Excludes::new(&["!wanted.log".to_owned()], &[file.path().to_owned()]).unwrap();
        assert!(excludes.excludes(b"x/a.log", false));
        assert!(!excludes.excludes(b"x/wanted.log", false));
        assert!(excludes.excludes(b"x/build", true));
    }

    #[test]
    fn a_missing_exclude_file_is_named() {
        let failure = Excludes::new(&[], &[PathBuf::from("/nonexistent/patterns")]).unwrap_err();
        assert_eq!(failure.kind(), Kind::NotFound);
        assert!(failure.message().contains("/nonexistent/patterns"), "{failure:?}");
    }

    #[test]
    fn a_broken_pattern_is_a_usage_error() {
        let failure = Excludes::new(&["a[z-a]".to_owned()], &[]).unwrap_err();
        assert_eq!(failure.kind(), Kind::Usage);
    }
}
