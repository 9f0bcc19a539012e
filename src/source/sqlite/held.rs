//! The database that is replaced, held so that nobody writes to it between the last look and the replacement.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::config::DbConfig;
use rusqlite::{Connection, ErrorCode, OpenFlags};

use super::copy::{harden, merge};
use super::files::{DatabaseFile, length_of};
use super::target::{SqliteTarget, lock_out_others};
use super::trouble;
use crate::base::cancel::Cancel;
use crate::base::failure::{Failure, IoContext, Kind, Result, io_failure};

/// A database at rest: one file that holds everything, or one that SQLite cannot open.
///
/// Both hold locks, which end with this value.
pub(super) struct Held {
    _file: File,
    connection: Option<Connection>,
}

impl Held {
    /// Takes the lock, sees that nothing has changed since `target` was looked at, and brings the database to rest: what
    /// was not committed is rolled back and the log is merged into the file. From then on the file can be replaced in one
    /// step, because nothing beside it matters any more.
    ///
    /// # Errors
    /// [`Kind::Refused`] if somebody uses it, or has changed it.
    pub(super) fn take(target: &SqliteTarget, cancel: &Cancel) -> Result<Self> {
        let file = lock_out_others(target, cancel)?;
        let changed = || {
            Failure::new(
                Kind::Refused,
                format!(
                    "`{}` was changed while the backup was being restored",
                    target.path.display()
                ),
            )
            .hint("Stop whatever writes to it, and restore again")
        };
        if !target.is_unchanged() {
            return Err(changed());
        }
        let connection = match target.is_database {
            true => rest(&target.path)?,
            false => None,
        };
        Ok(Self {
            _file: file,
            connection,
        })
    }

    /// Whether everything that the database holds is in its one file.
    pub(super) fn is_at_rest(&self) -> bool {
        self.connection.is_some()
    }
}

/// Brings a database to rest; `None` if SQLite cannot open it.
fn rest(path: &Path) -> Result<Option<Connection>> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let rested = Connection::open_with_flags(path, flags).and_then(|connection| {
        harden(&connection)?;
        // The log's name will be that of another database's log when this connection ends.
        connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
        connection.busy_timeout(Duration::ZERO)?;
        merge(&connection)?;
        Ok(connection)
    });
    match rested {
        Ok(connection) => Ok(Some(connection)),
        Err(error)
            if matches!(
                error.sqlite_error_code(),
                Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase)
            ) =>
        {
            Ok(None)
        }
        Err(error) if trouble::is_busy(&error) => Err(Failure::new(
            Kind::Refused,
            format!("The database `{}` is in use", path.display()),
        )
        .caused_by(trouble::words(&error))
        .hint("Stop whatever uses it, restore, and start it again")),
        Err(error) => Err(trouble::failure(
            format!(
                "bring the database `{}` to rest, which is to be replaced",
                path.display()
            ),
            error,
        )
        .with_kind(Kind::Failed)),
    }
}

/// Files beside a database that must not be taken for those of its successor.
#[derive(Debug, Default)]
pub(super) struct Aside {
    moved: Vec<(PathBuf, PathBuf)>,
}

impl Aside {
    /// Removes what holds nothing, and moves the rest to beside `kept`, where it can be moved back from.
    ///
    /// # Errors
    /// The system's words; then nothing has been moved.
    pub(super) fn clear(file: &DatabaseFile, kept: &DatabaseFile, at_rest: bool) -> Result<Self> {
        let mut aside = Self::default();
        let cleared = aside.clear_each(file, kept, at_rest);
        match cleared {
            Ok(()) => Ok(aside),
            Err(failure) => Err(aside.back(failure)),
        }
    }

    fn clear_each(&mut self, file: &DatabaseFile, kept: &DatabaseFile, at_rest: bool) -> Result<()> {
        for (from, to) in [(file.log(), kept.log()), (file.journal(), kept.journal())] {
            if !at_rest && length_of(&from) > 0 {
                std::fs::rename(&from, &to).doing(|| format!("move `{}` aside", from.display()))?;
                self.moved.push((from, to));
            } else {
                remove(&from)?;
            }
        }
        remove(&file.shared_memory())
    }

    /// What has been moved, under the new names.
    pub(super) fn names(&self) -> Vec<&Path> {
        self.moved.iter().map(|(_, to)| to.as_path()).collect()
    }

    /// Moves everything back, after a failure; it is added to if that fails too.
    pub(super) fn back(self, mut failure: Failure) -> Failure {
        for (from, to) in self.moved.into_iter().rev() {
            if let Err(error) = std::fs::rename(&to, &from) {
                failure = failure.hint(format!("Move `{}` back to `{}`: {error}", to.display(), from.display()));
            }
        }
        failure
    }

    /// Removes what has been moved; returns what could not be, as warnings.
    pub(super) fn discard(self) -> Vec<String> {
        self.moved
            .into_iter()
            .filter_map(|(_, to)| {
                let error = std::fs::remove_file(&to).err()?;
                Some(format!(
                    "`{}` is left over and could not be removed: {error}.",
                    to.display()
                ))
            })
            .collect()
    }
}

fn remove(path: &Path) -> Result<()> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(io_failure(format!("remove `{}`", path.display()), error))
        }
        _ => Ok(()),
    }
}
