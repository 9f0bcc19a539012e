//! A copy of a database as it was at one moment, in a temporary file without a name.
//!
//! While others use the database, SQLite itself copies it, page by page within one read transaction. A reader cannot do so
//! if it would have to write first: to roll back what a crash left unfinished, or to make the shared memory of a log that
//! nobody uses. Then the files are copied as they are, under a lock that keeps everybody from writing, and SQLite tidies
//! up in the copy.

use std::fs::{File, OpenOptions, Permissions};
use std::io::Read;
use std::os::unix::fs::{FileExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rusqlite::backup::{Backup, StepResult};
use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags};
use tempfile::TempDir;

use super::files::{CHANGES, DatabaseFile, Header, VERSIONS, length_of, read_header};
use super::holders::{LOCK_INTERVAL, LockKind, lock};
use super::trouble;
use crate::base::cancel::Cancel;
use crate::base::failure::{Failure, IoContext, Kind, Result};
use crate::base::units::{MIB, format_bytes};

/// Pages that are copied between two looks at whether the run is to end: some megabytes.
const PAGES_AT_ONCE: i32 = 1024;

/// Bytes that are copied between two such looks.
const BYTES_AT_ONCE: u64 = 8 * MIB;

/// How often the way to read is chosen anew, where somebody begins or ends to use the database meanwhile.
const WAYS_TRIED_MAX: u32 = 10;

/// A database is at least this many bytes; the smallest page.
const PAGE_BYTES_MIN: u64 = 512;

/// How a database can be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    /// By SQLite, while others use it.
    Live,
    /// As files, while a lock keeps others from writing.
    Still,
}

impl Way {
    /// Without the shared memory of its log a database is used by nobody, and to use it is to make that memory.
    fn of(file: &DatabaseFile, header: &Header) -> Self {
        match header.has_log() && !file.shared_memory().exists() {
            true => Self::Still,
            false => Self::Live,
        }
    }
}

/// How one way ended.
enum Tried<T> {
    Done(T),
    /// This way is barred; the failure is for when the other one is too.
    Barred(Failure),
}

/// What is known of a database before it is copied.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Measure {
    /// How large the copy will be, in bytes.
    pub(super) bytes: u64,
    /// How much room making it takes, in bytes.
    pub(super) temporary_bytes: u64,
    /// Whether those who write wait while it is copied.
    pub(super) writers_wait: bool,
}

/// Finds out how large a copy will be.
///
/// # Errors
/// Whatever keeps the database from being read.
pub(super) fn measure(file: &DatabaseFile, wait: Duration, cancel: &Cancel) -> Result<Measure> {
    by_either_way(file, |way, header| match way {
        Way::Live => Ok(match begin_reading(file, wait, cancel)? {
            Tried::Barred(failure) => Tried::Barred(failure),
            Tried::Done(original) => {
                let ask = |question: &str| original.query_row(question, [], |row| row.get::<_, i64>(0));
                let bytes = ask("PRAGMA page_count")
                    .and_then(|pages| ask("PRAGMA page_size").map(|bytes| pages.unsigned_abs() * bytes.unsigned_abs()))
                    .map_err(|error| trouble::failure(reading(file), error))?;
                Tried::Done(Measure {
                    bytes,
                    temporary_bytes: bytes,
                    writers_wait: !header.has_log(),
                })
            }
        }),
        Way::Still => {
            let bytes = length_of(&file.path);
            let beside = length_of(&file.log()).saturating_add(length_of(&file.journal()));
            Ok(Tried::Done(Measure {
                bytes,
                // What is in the log may be new pages.
                temporary_bytes: bytes.saturating_add(beside.saturating_mul(2)),
                writers_wait: !header.has_log(),
            }))
        }
    })
}

/// Refuses to begin what the file system of temporary files has no room for.
pub(super) fn check_room(file: &DatabaseFile, measure: &Measure) -> Result<()> {
    let folder = std::env::temp_dir();
    let Some(free) = free_bytes(&folder) else {
        return Ok(());
    };
    if free >= measure.temporary_bytes {
        return Ok(());
    }
    Err(Failure::new(
        Kind::NoSpace,
        format!(
            "There is no room in `{}` for a copy of `{}`",
            folder.display(),
            file.path.display()
        ),
    )
    .caused_by(anyhow::anyhow!(
        "{} are needed, and {} are free",
        format_bytes(measure.temporary_bytes),
        format_bytes(free)
    ))
    .hint("Point TMPDIR at a folder with more room"))
}

/// How much this user may still write into a folder; `None` if the system does not say.
pub(super) fn free_bytes(folder: &Path) -> Option<u64> {
    let stat = rustix::fs::statvfs(folder).ok()?;
    Some(stat.f_bavail.saturating_mul(stat.f_frsize))
}

/// A copy that only this process can reach, and that ends with it.
#[derive(Debug)]
pub(super) struct Copy {
    /// A connection to the copy.
    pub(super) connection: Connection,
    file: File,
    // The name of the file was in it. It stays so that nobody else can give a file that name.
    _folder: TempDir,
}

impl Copy {
    /// Copies a database.
    ///
    /// # Errors
    /// Whatever keeps it from being read, or the copy from being written.
    pub(super) fn make(file: &DatabaseFile, wait: Duration, cancel: &Cancel) -> Result<Self> {
        let copy = by_either_way(file, |way, header| match way {
            Way::Live => copy_live(file, header, wait, cancel),
            Way::Still => copy_still(file, header, wait, cancel),
        })?;
        let bytes = copy.bytes()?;
        match bytes >= PAGE_BYTES_MIN {
            true => Ok(copy),
            // Its only transaction was never committed.
            false => Err(Failure::new(
                Kind::Source,
                format!(
                    "The database `{}` is empty: nothing was ever committed to it",
                    file.path.display()
                ),
            )
            .hint("Is it the file that the application uses?")),
        }
    }

    /// Its length.
    ///
    /// # Errors
    /// The system's words.
    pub(super) fn bytes(&self) -> Result<u64> {
        self.file
            .metadata()
            .map(|meta| meta.len())
            .doing(|| "look at the copy of the database")
    }

    /// Lets `look` ask the copy.
    ///
    /// SQLite looks for a log beside a database whose header tells of one, and beside a file without a name there is no
    /// place. So meanwhile the header tells of none; what is in the log has been copied into the file.
    ///
    /// # Errors
    /// What `look` says, or the system.
    pub(super) fn look<T>(&self, look: impl FnOnce(&Connection) -> Result<T>) -> Result<T> {
        let doing = || "look at the copy of the database";
        let Some(header) = read_header(&self.file).doing(doing)? else {
            return look(&self.connection);
        };
        let mut without_log = header;
        without_log.0[VERSIONS].fill(1);
        let changes = &mut without_log.0[CHANGES];
        changes.iter_mut().for_each(|byte| *byte = !*byte);
        self.file.write_all_at(&without_log.0, 0).doing(doing)?;
        let seen = look(&self.connection);
        self.file.write_all_at(&header.0, 0).doing(doing)?;
        seen
    }

    /// Its bytes from the first to the last.
    pub(super) fn read_at(&self, buffer: &mut [u8], offset: u64) -> std::io::Result<usize> {
        self.file.read_at(buffer, offset)
    }
}

/// Tries the way that looks right, then the other one, for as long as the database changes between them.
fn by_either_way<T>(file: &DatabaseFile, mut attempt: impl FnMut(Way, &Header) -> Result<Tried<T>>) -> Result<T> {
    let mut barred = None;
    for _ in 0..WAYS_TRIED_MAX {
        let header = file.header()?;
        let way = match (Way::of(file, &header), &barred) {
            // What bars the way to SQLite is a journal to be rolled back, which looking does not show.
            (Way::Live, Some(_)) if !header.has_log() || !file.shared_memory().exists() => Way::Still,
            (way, _) => way,
        };
        match attempt(way, &header)? {
            Tried::Done(value) => return Ok(value),
            Tried::Barred(failure) => barred = Some(failure),
        }
        std::thread::sleep(LOCK_INTERVAL);
    }
    Err(barred.unwrap_or_else(|| Failure::new(Kind::Source, format!("Could not {}", reading(file)))))
}

fn reading(file: &DatabaseFile) -> String {
    format!("read the database `{}`", file.path.display())
}

/// Opens the original read-only and begins a transaction, in which it is as it is now.
fn begin_reading(file: &DatabaseFile, wait: Duration, cancel: &Cancel) -> Result<Tried<Connection>> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let until = Instant::now() + wait;
    loop {
        cancel.check()?;
        let begun = Connection::open_with_flags(&file.path, flags).and_then(|original| {
            original.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
            original.busy_timeout(Duration::ZERO)?;
            original.execute_batch("BEGIN")?;
            // Asks for a number in the header, which is what begins the reading, without looking at the tables.
            original.query_row("PRAGMA schema_version", [], |row| row.get::<_, i64>(0))?;
            Ok(original)
        });
        match begun {
            Ok(original) => return Ok(Tried::Done(original)),
            Err(error) if trouble::is_busy(&error) => {
                if Instant::now() >= until {
                    return Err(trouble::locked(file, wait).caused_by(trouble::words(&error)));
                }
                std::thread::sleep(LOCK_INTERVAL);
            }
            Err(error) if !file.path.exists() => {
                return Err(Failure::new(
                    Kind::Source,
                    format!("The database `{}` is not there any more", file.path.display()),
                )
                .caused_by(trouble::words(&error)));
            }
            Err(error) if trouble::needs_writing(&error) => {
                let failure = trouble::failure(reading(file), error).hint(
                    "Run it as the user who owns the database: who only reads its log must be able to write the `-shm` file",
                );
                return Ok(Tried::Barred(failure));
            }
            Err(error) => return Err(trouble::failure(reading(file), error)),
        }
    }
}

/// Lets SQLite copy the original.
fn copy_live(file: &DatabaseFile, header: &Header, wait: Duration, cancel: &Cancel) -> Result<Tried<Copy>> {
    let original = match begin_reading(file, wait, cancel)? {
        Tried::Done(original) => original,
        Tried::Barred(failure) => return Ok(Tried::Barred(failure)),
    };
    if !header.has_log() {
        // With a log, somebody may be making the file longer now; what counts then is in the log as well.
        file.check_length(header)?;
    }
    let (folder, path, copied) = private_file()?;
    let mut connection = connect(&path)?;
    let without_name = std::fs::remove_file(&path);
    without_name.doing(|| "remove the name of the temporary copy")?;
    let copying = |error| trouble::failure(format!("copy the database `{}`", file.path.display()), error);
    // Nothing of an empty file can be lost, a journal would need the name, and nobody misses it if the machine crashes.
    let settled = connection.execute_batch("PRAGMA synchronous=OFF; PRAGMA journal_mode=MEMORY");
    settled.map_err(copying)?;
    {
        let backup = Backup::new(&original, &mut connection).map_err(copying)?;
        loop {
            cancel.check()?;
            match backup.step(PAGES_AT_ONCE).map_err(copying)? {
                StepResult::Done => break,
                StepResult::More => {}
                // The transaction has begun and nobody knows of the copy, so there is nobody to wait for.
                _ => {
                    return Err(Failure::new(
                        Kind::Source,
                        format!("Could not copy the database `{}`: it is locked", file.path.display()),
                    ));
                }
            }
        }
    }
    Ok(Tried::Done(Copy {
        connection,
        file: copied,
        _folder: folder,
    }))
}

/// Copies the files of a database that nobody uses, and lets SQLite tidy up in the copy.
fn copy_still(file: &DatabaseFile, header: &Header, wait: Duration, cancel: &Cancel) -> Result<Tried<Copy>> {
    let shown = file.path.display();
    let original = File::open(&file.path).doing(|| reading(file))?;
    if !lock(&original, &file.path, LockKind::Shared, wait, cancel)? {
        drop(original);
        return Err(trouble::locked(file, wait));
    }
    // While the lock is held, who begins to use the log leaves its shared memory: removing it takes a lock on everything.
    let in_use = || -> Result<Option<Failure>> {
        let uses_log = read_header(&original)
            .doing(|| reading(file))?
            .is_some_and(|header| header.has_log());
        Ok((uses_log && file.shared_memory().exists()).then(|| {
            Failure::new(
                Kind::Source,
                format!("The database `{shown}` is opened and closed all the time"),
            )
            .hint("Run the backup again")
        }))
    };
    if let Some(failure) = in_use()? {
        return Ok(Tried::Barred(failure));
    }
    file.check_length(header)?;
    let (folder, path, copied) = private_file()?;
    copy_bytes(&original, &copied, cancel).doing(|| format!("copy the database `{shown}`"))?;
    let copy_file = DatabaseFile { path: path.clone() };
    let mut untidy = false;
    for (beside, beside_copy) in [(file.journal(), copy_file.journal()), (file.log(), copy_file.log())] {
        if length_of(&beside) > 0 {
            let doing = || format!("copy `{}`", beside.display());
            let from = File::open(&beside).doing(doing)?;
            let to = create_private(&beside_copy).doing(doing)?;
            copy_bytes(&from, &to, cancel).doing(doing)?;
            untidy = true;
        }
    }
    if let Some(failure) = in_use()? {
        return Ok(Tried::Barred(failure));
    }
    drop(original);
    if untidy {
        tidy_up(&path)?;
        for leftover in [copy_file.journal(), copy_file.log(), copy_file.shared_memory()] {
            match std::fs::remove_file(&leftover) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                    return Err(crate::base::failure::io_failure(
                        format!("remove `{}`", leftover.display()),
                        error,
                    ));
                }
                _ => {}
            }
        }
    }
    let connection = connect(&path)?;
    std::fs::remove_file(&path).doing(|| "remove the name of the temporary copy")?;
    Ok(Tried::Done(Copy {
        connection,
        file: copied,
        _folder: folder,
    }))
}

/// Rolls back in a copy what was not committed, and merges into it what is in its log.
fn tidy_up(path: &Path) -> Result<()> {
    let tidied = connect(path).and_then(|connection| {
        merge(&connection).map_err(|error| trouble::failure("recover the copy of the database", error))
    });
    tidied.map_err(|failure| failure.hint("Open the database once with `sqlite3`, which recovers it in its place"))
}

/// Takes a database for this connection alone, rolls back what was not committed, and merges the log into the file.
///
/// # Errors
/// SQLite's; busy if anybody else is at the database.
pub(super) fn merge(connection: &Connection) -> rusqlite::Result<()> {
    connection.execute_batch("PRAGMA locking_mode=EXCLUSIVE; BEGIN EXCLUSIVE; COMMIT")?;
    let busy = connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get::<_, i64>(0))?;
    match busy {
        0 => Ok(()),
        _ => Err(rusqlite::Error::SqliteFailure(
            rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_BUSY),
            None,
        )),
    }
}

/// An empty file in a folder that only this user may enter.
fn private_file() -> Result<(TempDir, PathBuf, File)> {
    let folder = tempfile::Builder::new()
        .prefix("backup-cli-sqlite-")
        .permissions(Permissions::from_mode(0o700))
        .tempdir()
        .doing(|| format!("make a folder in `{}`", std::env::temp_dir().display()))?;
    let path = folder.path().join("copy");
    let file = create_private(&path).doing(|| format!("make a file in `{}`", folder.path().display()))?;
    Ok((folder, path, file))
}

fn create_private(path: &Path) -> std::io::Result<File> {
    OpenOptions::new()
        .read(true)
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)
}

/// A connection to a copy. It does not look into the file yet: a log would be opened beside it.
fn connect(path: &Path) -> Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connected =
        Connection::open_with_flags(path, flags).and_then(|connection| harden(&connection).map(|()| connection));
    connected.map_err(|error| trouble::failure("open the temporary copy", error))
}

/// What a database brings along in its schema is not trusted: it may be an attacker's.
pub(super) fn harden(connection: &Connection) -> rusqlite::Result<()> {
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_DEFENSIVE, true)?;
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_TRUSTED_SCHEMA, false)?;
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_TRIGGER, false)?;
    Ok(())
}

/// Copies to the end of the file, by the system's own means where it has some.
fn copy_bytes(from: &File, to: &File, cancel: &Cancel) -> std::io::Result<()> {
    let mut to = to;
    loop {
        cancel.check().map_err(crate::base::failure::into_io)?;
        if std::io::copy(&mut from.take(BYTES_AT_ONCE), &mut to)? == 0 {
            return Ok(());
        }
    }
}
