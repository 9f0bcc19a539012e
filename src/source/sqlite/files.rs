//! A database as files: the file itself, and what SQLite keeps beside it.

use std::ffi::OsString;
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use crate::base::failure::{Failure, IoContext, Kind, Result};

/// With these bytes every database begins.
const MAGIC: &[u8] = b"SQLite format 3\0";

/// The length of the header, in bytes.
const HEADER_BYTES: usize = 100;

/// Where the header says how the file is written and read; 2 means with a write-ahead log.
pub(super) const VERSIONS: std::ops::Range<usize> = 18..20;

/// Where the header counts changes, by which others see that what they remember is out of date.
pub(super) const CHANGES: std::ops::Range<usize> = 24..28;

const WITH_LOG: u8 = 2;

/// Whether a file begins as an SQLite database does.
#[must_use]
pub fn begins_as_database(first_bytes: &[u8]) -> bool {
    first_bytes.starts_with(MAGIC)
}

/// Whether there is a file at `path` that begins as an SQLite database does.
#[must_use]
pub fn is_database(path: &Path) -> bool {
    path.metadata().is_ok_and(|meta| meta.is_file())
        && File::open(path)
            .and_then(|file| read_header(&file))
            .is_ok_and(|header| header.is_some())
}

/// The header of a database.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Header(pub(super) [u8; HEADER_BYTES]);

impl Header {
    /// Whether the database is used with a write-ahead log.
    pub(super) fn has_log(&self) -> bool {
        self.0[VERSIONS].contains(&WITH_LOG)
    }

    /// The size of a page, in bytes.
    fn page_bytes(&self) -> u64 {
        match u16::from_be_bytes([self.0[16], self.0[17]]) {
            // The one size that does not fit.
            1 => 65_536,
            bytes => u64::from(bytes),
        }
    }
}

/// Reads the header from an open file; `None` if it is not that of a database. What a file that was cut short lacks is zeros.
pub(super) fn read_header(file: &File) -> std::io::Result<Option<Header>> {
    let mut header = [0; HEADER_BYTES];
    let mut read = 0;
    while read < HEADER_BYTES {
        match file.read_at(&mut header[read..], read as u64) {
            Ok(0) => break,
            Ok(more) => read += more,
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(begins_as_database(&header).then_some(Header(header)))
}

/// A database file that exists.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct DatabaseFile {
    /// Its own path, free of links: SQLite keeps the other files beside this one.
    pub(super) path: PathBuf,
}

impl DatabaseFile {
    /// Finds a database that is to be read.
    ///
    /// # Errors
    /// [`Kind::NotFound`] if there is none: a missing file is never created. [`Kind::Source`] if it is none, or empty.
    pub(super) fn find(path: &Path) -> Result<Self> {
        let shown = path.display();
        let found = std::fs::canonicalize(path).map_err(|error| match error.kind() {
            std::io::ErrorKind::NotFound => {
                let failure = Failure::new(Kind::NotFound, format!("There is no database at `{shown}`"))
                    .caused_by(error)
                    .hint("Check the path; a database that is not there is never created");
                match path.strip_prefix("/") {
                    Ok(relative) if relative.exists() => failure.hint(format!(
                        "A path from here is written with two slashes: sqlite://{}",
                        relative.display()
                    )),
                    _ => failure,
                }
            }
            _ => crate::base::failure::io_failure(format!("find the database `{shown}`"), error),
        })?;
        let meta = found.metadata().doing(|| format!("look at the database `{shown}`"))?;
        if !meta.is_file() {
            let what = if meta.is_dir() {
                "a folder"
            } else {
                "not a regular file"
            };
            return Err(
                Failure::new(Kind::Source, format!("`{shown}` is {what}, not an SQLite database"))
                    .hint("Name the database file itself"),
            );
        }
        if meta.len() == 0 {
            return Err(Failure::new(
                Kind::Source,
                format!("The database `{shown}` is empty: it has not a single byte"),
            )
            .hint("Nothing was ever written to it; is it the file that the application uses?"));
        }
        let file = Self { path: found };
        file.header()?;
        Ok(file)
    }

    /// Reads the header.
    ///
    /// # Errors
    /// [`Kind::Source`] if the file is not a database.
    pub(super) fn header(&self) -> Result<Header> {
        let shown = self.path.display();
        let header = File::open(&self.path)
            .and_then(|file| read_header(&file))
            .doing(|| format!("read the database `{shown}`"))?;
        header.ok_or_else(|| {
            Failure::new(
                Kind::Source,
                format!("`{shown}` is not an SQLite database, or is encrypted"),
            )
            .hint("An encrypted one is dumped by a program that has its key: `backup-cli backup --command 'PROGRAM …'`")
            .hint("As a plain file it is backed up by its path, while nobody writes to it")
        })
    }

    /// Refuses a file that ends in the middle of a page: SQLite would take what is missing for zeros.
    ///
    /// # Errors
    /// [`Kind::Source`].
    pub(super) fn check_length(&self, header: &Header) -> Result<()> {
        match (length_of(&self.path), header.page_bytes()) {
            (bytes, page_bytes) if page_bytes > 0 && bytes % page_bytes != 0 => Err(Failure::new(
                Kind::Source,
                format!("The database `{}` was cut short: it ends in the middle of a page", self.path.display()),
            )
            .hint("`sqlite3 FILE .recover` salvages what can be read; earlier backups are as they were: `backup-cli list`")),
            _ => Ok(()),
        }
    }

    /// The path of a file beside the database.
    pub(super) fn beside(&self, suffix: &str) -> PathBuf {
        let mut name = OsString::from(&self.path);
        name.push(suffix);
        PathBuf::from(name)
    }

    /// The write-ahead log: transactions that are committed and not yet in the file.
    pub(super) fn log(&self) -> PathBuf {
        self.beside("-wal")
    }

    /// The memory that those who use the log share. It stands there while anybody does, and after one has died.
    pub(super) fn shared_memory(&self) -> PathBuf {
        self.beside("-shm")
    }

    /// The rollback journal: what the file held before a transaction that is not yet committed.
    pub(super) fn journal(&self) -> PathBuf {
        self.beside("-journal")
    }
}

/// A file's length in bytes; 0 if it is not there.
pub(super) fn length_of(path: &Path) -> u64 {
    path.metadata().map_or(0, |meta| meta.len())
}
