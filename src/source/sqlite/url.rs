//! `sqlite://` URLs, as applications write them.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::path::PathBuf;

use percent_encoding::percent_decode_str;

use crate::base::failure::{Failure, Kind, Result};
use crate::base::secret::redact;

const SCHEME: &str = "sqlite://";

/// Whether a source or a target is the URL of an SQLite database.
#[must_use]
pub fn is_sqlite(text: &str) -> bool {
    text.starts_with(SCHEME)
}

/// The file that a URL names: `sqlite:///absolute/path` or `sqlite://relative/path`.
///
/// What stands behind a question mark tells the application how to open the file, and does not matter here.
///
/// # Errors
/// [`Kind::Usage`] if it names no file.
pub fn parse_url(url: &str) -> Result<PathBuf> {
    let wrong = |what: &str| {
        Failure::new(Kind::Usage, format!("{what}: `{}`", redact(url)))
            .hint("Write sqlite:///absolute/path or sqlite://relative/path")
    };
    let Some(rest) = url.strip_prefix(SCHEME) else {
        return Err(wrong("Not the URL of an SQLite database"));
    };
    let path = rest.split('?').next().unwrap_or_default();
    if path.contains(":memory:") {
        return Err(wrong(
            "A database in memory cannot be reached from outside of its application",
        ));
    }
    let path: Vec<u8> = percent_decode_str(path).collect();
    if path.is_empty() || path.ends_with(b"/") || path.contains(&0) {
        return Err(wrong("No file is named"));
    }
    Ok(PathBuf::from(OsString::from_vec(path)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_name_files() {
        for (url, path) in [
            ("sqlite:///var/lib/app.db", "/var/lib/app.db"),
            ("sqlite:////var/lib/app.db", "//var/lib/app.db"),
            ("sqlite://app.db", "app.db"),
            ("sqlite://./data/app.db?mode=rwc&cache=shared", "./data/app.db"),
            ("sqlite:///srv/a%20b%3F.db", "/srv/a b?.db"),
        ] {
            assert_eq!(parse_url(url).unwrap(), PathBuf::from(path), "{url}");
        }
        for url in [
            "sqlite://",
            "sqlite:///",
            "sqlite://data/",
            "sqlite://:memory:",
            "sqlite://?mode=memory",
            "sqlite://a%00b",
            "postgres://db/app",
        ] {
            assert_eq!(parse_url(url).unwrap_err().kind(), Kind::Usage, "{url}");
        }
    }
}
