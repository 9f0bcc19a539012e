//! What stands where a database is to be restored.

use std::fs::{File, OpenOptions};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::files::{DatabaseFile, read_header};
use super::holders::{LockKind, lock, lock_holder, named, openers};
use crate::base::cancel::Cancel;
use crate::base::failure::{Failure, IoContext, Kind, Result, io_failure};

/// How long to wait for somebody who only has a look at the database that is to be replaced.
const LOCK_WAIT: Duration = Duration::from_secs(2);

/// What a restore would meet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SqliteTarget {
    /// The file, free of links.
    pub path: PathBuf,
    /// Whether there is a file, if only an empty one.
    pub exists: bool,
    /// Whether that is an SQLite database.
    pub is_database: bool,
    /// Its length in bytes, with what its log holds.
    pub bytes: u64,
    state: State,
}

impl SqliteTarget {
    /// Whether anything would be lost if the file were replaced.
    #[must_use]
    pub fn holds_something(&self) -> bool {
        self.bytes > 0
    }

    pub(super) fn file(&self) -> DatabaseFile {
        DatabaseFile {
            path: self.path.clone(),
        }
    }

    /// The folder in which it lies.
    pub(super) fn folder(&self) -> &Path {
        self.path.parent().unwrap_or(Path::new("/"))
    }

    /// Whether nobody has changed anything since this was looked at.
    pub(super) fn is_unchanged(&self) -> bool {
        State::of(&self.file()) == self.state
    }
}

/// By what a file is known to be the one that it was.
type Stamp = (u64, u64, u64, i64, i64);

/// The database, its log and its journal, where they hold anything.
#[derive(Clone, Debug, PartialEq, Eq)]
struct State([Option<Stamp>; 3]);

impl State {
    fn of(file: &DatabaseFile) -> Self {
        Self([&file.path, &file.log(), &file.journal()].map(|path| {
            let meta = path.symlink_metadata().ok().filter(|meta| meta.len() > 0)?;
            Some((meta.dev(), meta.ino(), meta.len(), meta.mtime(), meta.mtime_nsec()))
        }))
    }
}

/// Looks at what would be replaced, changing nothing.
///
/// # Errors
/// [`Kind::Refused`] if it is no database and `any_file` does not say that this does not matter, if it is no file, or if
/// somebody uses it; [`Kind::Failed`] if there is no folder for it.
pub fn inspect_target(path: &Path, any_file: bool, cancel: &Cancel) -> Result<SqliteTarget> {
    let shown = path.display();
    let doing = || format!("look at `{shown}`");
    let refused = |what: &str| Failure::new(Kind::Refused, format!("`{shown}` {what}"));
    let (found, exists) = match path.symlink_metadata() {
        Ok(_) => match std::fs::canonicalize(path) {
            Ok(found) => (found, true),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                return Err(refused("is a link to a file that is not there")
                    .caused_by(error)
                    .hint("Name the file itself, or remove the link"));
            }
            Err(error) => return Err(io_failure(doing(), error)),
        },
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => (absent(path)?, false),
        Err(error) => return Err(io_failure(doing(), error)),
    };
    let file = DatabaseFile { path: found };
    let mut target = SqliteTarget {
        exists,
        is_database: false,
        bytes: 0,
        state: State::of(&file),
        path: file.path.clone(),
    };
    if !exists {
        return Ok(target);
    }
    let meta = file.path.metadata().doing(doing)?;
    if !meta.is_file() {
        return Err(refused("is not a regular file").hint("Choose another path"));
    }
    target.bytes = meta.len();
    if meta.len() > 0 {
        target.is_database = File::open(&file.path)
            .and_then(|file| read_header(&file))
            .doing(doing)?
            .is_some();
        if !target.is_database && !any_file {
            return Err(refused("exists, and is not an SQLite database")
                .hint("Choose another path, or add --replace if the file is to be replaced whatever it is"));
        }
    }
    if target.is_database {
        target.bytes = target.bytes.saturating_add(super::files::length_of(&file.log()));
    }
    let mut file = open_for_lock(&file.path)?;
    take(&mut file, &target, cancel)?;
    Ok(target)
}

fn open_for_lock(path: &Path) -> Result<File> {
    OpenOptions::new()
        .read(true)
        .write(true)
        .open(path)
        .doing(|| format!("open `{}`, which is to be replaced", path.display()))
        .map_err(|failure| match failure.kind() {
            Kind::Denied => failure.hint("Run it as the user who owns the file"),
            _ => failure,
        })
}

/// Locks what is to be replaced against everybody; the lock is held until the file is closed.
///
/// # Errors
/// [`Kind::Refused`] if somebody uses it, with who that is.
pub(super) fn lock_out_others(target: &SqliteTarget, cancel: &Cancel) -> Result<File> {
    let mut file = open_for_lock(&target.path)?;
    take(&mut file, target, cancel)?;
    Ok(file)
}

fn take(file: &mut File, target: &SqliteTarget, cancel: &Cancel) -> Result<()> {
    let used = |by: &str| {
        Failure::new(
            Kind::Refused,
            format!("The database `{}` is in use", target.path.display()),
        )
        .hint(format!("{by}; stop it, restore, and start it again"))
    };
    if !lock(file, &target.path, LockKind::Exclusive, LOCK_WAIT, cancel)? {
        return Err(match (openers(&target.path).as_slice(), lock_holder(&target.path)) {
            ([], Some(holder)) => used(&format!("{holder} holds a lock on it")),
            ([], None) => used("Somebody holds a lock on it"),
            (several, _) => used(&format!("{} has it open", named(several))),
        });
    }
    // An idle application holds no lock; it would go on with the file that has been replaced.
    match openers(&target.path).as_slice() {
        [] => Ok(()),
        several => Err(used(&format!("{} has it open", named(several)))),
    }
}

/// The path of a file that is not there, in a folder that is.
fn absent(path: &Path) -> Result<PathBuf> {
    let folder = match path.parent() {
        Some(folder) if folder != Path::new("") => folder,
        _ => Path::new("."),
    };
    let Some(name) = path.file_name() else {
        return Err(Failure::new(Kind::Usage, format!("`{}` names no file", path.display()))
            .hint("Write the path of the database file"));
    };
    let found = std::fs::canonicalize(folder)
        .doing(|| format!("find the folder `{}`", folder.display()))
        .map_err(|failure| match failure.kind() {
            // "Not found" is said of backups.
            Kind::NotFound => failure.with_kind(Kind::Failed).hint("Make the folder first"),
            _ => failure,
        })?;
    Ok(found.join(name))
}
