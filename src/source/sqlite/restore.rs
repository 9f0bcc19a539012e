//! Puts a database into the place of another one: beside it first, checked, then by one rename.

use std::fs::{File, Permissions};
use std::io::{Read, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_encode};
use rusqlite::{Connection, OpenFlags};
use tempfile::NamedTempFile;

use super::check::{Findings, check};
use super::copy::harden;
use super::files::DatabaseFile;
use super::held::{Aside, Held};
use super::target::SqliteTarget;
use super::trouble;
use crate::base::cancel::Cancel;
use crate::base::failure::{Failure, IoContext, Kind, Result, from_io, io_failure};
use crate::base::report::{Event, Phase};
use crate::source::SourceContext;

/// How much is written at a time.
const WRITE_BYTES: usize = 256 * 1024;

/// How many names are tried for a replaced file: one more for each restore in the same second.
const KEPT_NAMES_MAX: u32 = 100;

/// What a URI may hold as it is.
const URI_SAFE: &AsciiSet = &NON_ALPHANUMERIC.remove(b'/').remove(b'.').remove(b'-').remove(b'_');

/// How to restore a database.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SqliteRestoreOptions {
    /// Whether the replaced file is kept under another name.
    pub keep_replaced: bool,
}

/// What a restore has done.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SqliteRestoreReport {
    /// How many bytes were restored.
    pub plain_bytes: u64,
    /// The name under which the replaced file is kept.
    pub replaced_as: Option<PathBuf>,
    /// What the user should look into.
    pub warnings: Vec<String>,
}

/// Restores a database to where `target` was looked at.
///
/// `verify` is called after the last byte. Until the restored file has been checked and the old one is known to be unused
/// and unchanged, nothing that is there has changed; then one rename replaces it.
///
/// # Errors
/// The content's and `verify`'s own failures; [`Kind::Damaged`] if the content is not a whole database;
/// [`Kind::Refused`] if somebody uses or has changed what is to be replaced. The target is then as it was before.
pub fn restore_database(
    content: &mut dyn Read,
    target: &SqliteTarget,
    options: SqliteRestoreOptions,
    verify: &mut dyn FnMut() -> Result<()>,
    context: &SourceContext<'_>,
) -> Result<SqliteRestoreReport> {
    super::check_library()?;
    let folder = target.folder();
    let mut new = tempfile::Builder::new()
        .prefix(".backup-cli-restore-")
        .tempfile_in(folder)
        .doing(|| format!("make a file in `{}`", folder.display()))?;
    let mut report = SqliteRestoreReport {
        plain_bytes: fill(content, &mut new, context)?,
        ..SqliteRestoreReport::default()
    };
    context.reporter.event(Event::Phase(Phase::Finishing));
    verify()?;
    let findings = check_file(new.path(), context.cancel)?;
    if !findings.damage.is_empty() {
        return Err(findings
            .failure(Kind::Damaged, "The database in the backup")
            .hint("Restore an older backup: `backup-cli list` shows them")
            .hint("`backup-cli restore BACKUP --to - > FILE` writes it as it is; `sqlite3 FILE .recover` salvages what can be read"));
    }
    report.warnings = findings.warnings;
    report.warnings.extend(dress(&new, target)?);
    new.as_file()
        .sync_all()
        .doing(|| format!("write `{}` to disk", new.path().display()))?;
    context.cancel.check()?;
    place(new, target, options, &mut report, context.cancel)?;
    Ok(report)
}

fn fill(content: &mut dyn Read, new: &mut NamedTempFile, context: &SourceContext<'_>) -> Result<u64> {
    let mut buffer = vec![0; WRITE_BYTES];
    let mut total = 0u64;
    loop {
        let read = content
            .read(&mut buffer)
            .map_err(|error| from_io("read the backup", error))?;
        if read == 0 {
            return Ok(total);
        }
        new.write_all(&buffer[..read])
            .map_err(|error| io_failure(format!("write `{}`", new.path().display()), error))?;
        total += read as u64;
        context.reporter.progress().add_plain(read as u64);
    }
}

/// Why a copy of a database, which nobody else knows of, is damaged; `None` if it is whole.
///
/// # Errors
/// [`Kind::Interrupted`]; what keeps the check itself from being made.
pub fn check_copy(path: &Path, cancel: &Cancel) -> Result<Option<String>> {
    super::check_library()?;
    let findings = match check_file(path, cancel) {
        Err(failure) if failure.kind() == Kind::Damaged => return Ok(Some(failure.message().to_owned())),
        findings => findings?,
    };
    let failure = findings.failure(Kind::Damaged, "The database");
    Ok((!findings.damage.is_empty()).then(|| failure.causes().join(": ")))
}

/// Checks a file that nobody else knows of. It is opened as one that never changes, so that nothing is made beside it.
fn check_file(path: &Path, cancel: &Cancel) -> Result<Findings> {
    check(&open_unused(path)?, cancel)
}

/// Opens a file that nobody else knows of, as one that never changes, so that nothing is made beside it.
pub(super) fn open_unused(path: &Path) -> Result<Connection> {
    let uri = format!(
        "file:{}?immutable=1",
        percent_encode(path.as_os_str().as_bytes(), URI_SAFE)
    );
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX | OpenFlags::SQLITE_OPEN_URI;
    Connection::open_with_flags(uri, flags)
        .and_then(|connection| harden(&connection).map(|()| connection))
        .map_err(|error| trouble::failure("open the restored database", error).with_kind(Kind::Damaged))
}

/// Gives the new file the owner and the mode of the old one; returns what could not be given.
fn dress(new: &NamedTempFile, target: &SqliteTarget) -> Result<Option<String>> {
    if !target.exists {
        return Ok(None);
    }
    let doing = || format!("look at `{}`", target.path.display());
    let (old, own) = (
        target.path.metadata().doing(doing)?,
        new.as_file().metadata().doing(doing)?,
    );
    let mut warning = None;
    if (old.uid(), old.gid()) != (own.uid(), own.gid())
        && let Err(error) = std::os::unix::fs::fchown(new.as_file(), Some(old.uid()), Some(old.gid()))
    {
        warning = Some(format!(
            "`{}` belongs to another user or group than before ({}:{}): {error}.",
            target.path.display(),
            old.uid(),
            old.gid()
        ));
    }
    new.as_file()
        .set_permissions(Permissions::from_mode(old.mode() & 0o7777))
        .doing(|| format!("set the mode of `{}`", new.path().display()))?;
    Ok(warning)
}

/// Replaces the old file. It is brought to rest first, so that a crash at any step leaves either it or the new one, whole.
fn place(
    new: NamedTempFile,
    target: &SqliteTarget,
    options: SqliteRestoreOptions,
    report: &mut SqliteRestoreReport,
    cancel: &Cancel,
) -> Result<()> {
    let held = match target.exists {
        true => Some(Held::take(target, cancel)?),
        false => None,
    };
    let file = target.file();
    let kept = free_name(&file)?;
    let at_rest = held.as_ref().is_some_and(Held::is_at_rest);
    let aside = Aside::clear(&file, &kept, at_rest)?;
    let keeps = options.keep_replaced && target.holds_something();
    let placed = sync_folder(target).and_then(|()| {
        if keeps {
            std::fs::hard_link(&file.path, &kept.path).map_err(|error| {
                io_failure(format!("keep the replaced file as `{}`", kept.path.display()), error)
                    .hint("If this file system cannot give a file two names, restore without --keep-replaced")
            })?;
        }
        let moved = match held {
            Some(_) => new.persist(&file.path),
            None => new.persist_noclobber(&file.path),
        };
        moved.map(drop).map_err(|error| {
            if keeps {
                // The name is the second one of a file that is still in its place.
                let _ = std::fs::remove_file(&kept.path);
            }
            io_failure(
                format!("move the restored database to `{}`", file.path.display()),
                error.error,
            )
        })
    });
    if let Err(failure) = placed {
        return Err(aside.back(failure));
    }
    if let Err(failure) = sync_folder(target) {
        report.warnings.push(format!(
            "The database is in its place, but a crash may undo that: {failure}."
        ));
    }
    drop(held);
    if keeps {
        report.replaced_as = Some(kept.path);
    } else if target.holds_something() {
        report.warnings.extend(aside.discard());
    } else {
        // There was no database, but the log or journal of one that somebody may still be looking for.
        report.warnings.extend(
            aside
                .names()
                .into_iter()
                .map(|name| format!("What was left of another database is kept as `{}`.", name.display())),
        );
    }
    Ok(())
}

/// A name for the old file that nothing has yet, nor a log or journal of that name.
fn free_name(file: &DatabaseFile) -> Result<DatabaseFile> {
    let now = Timestamp::now().strftime("%Y%m%d_%H%M%S").to_string();
    for number in 1..=KEPT_NAMES_MAX {
        let number = if number == 1 {
            String::new()
        } else {
            format!("_{number}")
        };
        let kept = DatabaseFile {
            path: file.beside(&format!(".replaced_{now}{number}")),
        };
        let taken = [kept.path.clone(), kept.log(), kept.journal()]
            .iter()
            .any(|path| path.symlink_metadata().is_ok());
        if !taken {
            return Ok(kept);
        }
    }
    Err(Failure::new(
        Kind::Conflict,
        format!(
            "Every name for what is replaced is taken beside `{}`",
            file.path.display()
        ),
    )
    .hint("Remove replaced files that are not needed any more, and restore again"))
}

fn sync_folder(target: &SqliteTarget) -> Result<()> {
    let folder = target.folder();
    File::open(folder)
        .and_then(|folder| folder.sync_all())
        .doing(|| format!("write the folder `{}` to disk", folder.display()))
}
