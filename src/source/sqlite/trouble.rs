//! What SQLite says, as failures.

use std::fmt::Display;

use rusqlite::{Error, ErrorCode};

use super::files::DatabaseFile;
use super::holders;
use crate::base::failure::{Failure, Kind};

/// Turns what SQLite says into a failure to do `doing`, an infinitive with its object.
pub(super) fn failure(doing: impl Display, error: Error) -> Failure {
    let code = error.sqlite_error_code();
    let kind = match code {
        Some(ErrorCode::DiskFull) => Kind::NoSpace,
        Some(ErrorCode::PermissionDenied) => Kind::Denied,
        Some(ErrorCode::OperationInterrupted) => Kind::Interrupted,
        _ => Kind::Source,
    };
    let failure = Failure::new(kind, format!("Could not {doing}")).caused_by(words(&error));
    match code {
        Some(ErrorCode::DiskFull) => {
            failure.hint("Free some space on that file system, or point TMPDIR at a folder with more room")
        }
        Some(ErrorCode::DatabaseCorrupt) => failure
            .hint("The database is damaged; `sqlite3 FILE .recover` salvages what can be read")
            .hint("Earlier backups are as they were: `backup-cli list` shows them"),
        Some(ErrorCode::NotADatabase) => failure.hint("It is encrypted, or damaged from its first page on"),
        _ => failure,
    }
}

/// SQLite's words, and the number by which its documentation knows them.
pub(super) fn words(error: &Error) -> anyhow::Error {
    match error {
        Error::SqliteFailure(code, Some(words)) => anyhow::anyhow!("{words} (SQLite code {})", code.extended_code),
        other => anyhow::anyhow!("{other}"),
    }
}

/// Whether somebody else is at the database, so that it may work a moment later.
pub(super) fn is_busy(error: &Error) -> bool {
    matches!(
        error.sqlite_error_code(),
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked)
    )
}

/// Whether the database can only be read after something that a reader may not do: rolling back, making a file.
pub(super) fn needs_writing(error: &Error) -> bool {
    matches!(
        error.sqlite_error_code(),
        Some(ErrorCode::ReadOnly | ErrorCode::CannotOpen)
    )
}

/// A database that somebody keeps locked, with who that is.
pub(super) fn locked(file: &DatabaseFile, waited: std::time::Duration) -> Failure {
    let waited = crate::base::units::format_duration(waited);
    let failure = Failure::new(
        Kind::Source,
        format!("The database `{}` is locked, and was for {waited}", file.path.display()),
    );
    match holders::lock_holder(&file.path) {
        Some(holder) => failure.hint(format!(
            "{holder} holds the lock; end its transaction, or run the backup when it is idle"
        )),
        None => failure.hint("End the transaction that holds the lock, or run the backup when the application is idle"),
    }
}
