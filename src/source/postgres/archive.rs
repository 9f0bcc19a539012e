//! Dumps in `pg_dump`'s custom format, which only `pg_restore` can read.
//!
//! Going out, `pg_restore` reads the whole archive along while it is uploaded: its table of contents stands at the front,
//! so that one that was cut off looks good until the end is asked for. Coming back, `pg_restore` writes it out as a script,
//! and that takes the way of every other script: screened, in one transaction, into a database that nobody uses yet.

use std::io::{ErrorKind, Read, Write};
use std::path::Path;
use std::sync::{Mutex, PoisonError};
use std::thread::ScopedJoinHandle;

use super::clients::{Client, find_clients};
use super::trouble::Trouble;
use crate::base::cancel::Cancel;
use crate::base::failure::{Failure, Kind, Result, from_io, into_io};
use crate::base::process::{Program, Running};

/// With these bytes an archive begins.
const MAGIC: &[u8] = b"PGDMP";

/// The first major version that writes a script to standard output only if told to.
const TAKES_FILE_SINCE: u32 = 12;

/// Bytes of an archive handed over at once.
const PASS_BYTES: usize = 256 * 1024;

/// The `pg_restore` for the archives of `dumper`, or the newest one.
///
/// # Errors
/// [`Kind::Tool`] if there is none, or none that is not older.
pub fn find_restorer(folder: Option<&Path>, dumper: Option<&Client>, cancel: &Cancel) -> Result<Client> {
    let restorers = find_clients("pg_restore", folder, cancel)?;
    let needed = dumper.map(|dumper| dumper.version.generation());
    let suits = |client: &&Client| needed.is_none_or(|needed| client.version.generation() >= needed);
    let chosen = restorers.iter().rev().filter(suits).max_by_key(|client| client.version);
    chosen.cloned().ok_or_else(|| {
        let wanted = dumper.map_or_else(String::new, |dumper| format!(" {}", dumper.version));
        Failure::new(
            Kind::Tool,
            format!("Every `pg_restore` found is older than the `pg_dump`{wanted} whose archive it has to read"),
        )
        .hint("Install the `pg_restore` of that version; it is in the same package, such as postgresql-client")
    })
}

fn restorer_program(restorer: &Client, file: &str) -> Program {
    let program = Program::new(&restorer.path)
        .env("LC_ALL", "C")
        .env_remove("LANGUAGE")
        .with_input();
    match file {
        "-" if restorer.version.major < TAKES_FILE_SINCE => program,
        file => program.arg(format!("--file={file}")),
    }
}

/// A `pg_restore` that reads an archive while it is written and keeps nothing of it.
pub struct ArchiveCheck {
    restorer: Running,
    head: Vec<u8>,
    /// It has stopped reading: because it has seen enough, or because it cannot go on.
    is_done: bool,
}

impl ArchiveCheck {
    /// Starts it.
    ///
    /// # Errors
    /// [`Kind::Tool`].
    pub fn start(restorer: &Client, cancel: &Cancel) -> Result<Self> {
        Ok(Self {
            restorer: restorer_program(restorer, "/dev/null").start(cancel)?,
            head: Vec::new(),
            is_done: false,
        })
    }

    /// Hands the next bytes over.
    ///
    /// # Errors
    /// If the pipe breaks in another way than by its reader's end, of which [`Self::finish`] tells.
    pub fn write(&mut self, bytes: &[u8]) -> Result<()> {
        let missing = MAGIC.len().saturating_sub(self.head.len()).min(bytes.len());
        self.head.extend_from_slice(&bytes[..missing]);
        if self.is_done {
            return Ok(());
        }
        self.is_done = !pass(&mut self.restorer, bytes)?;
        Ok(())
    }

    /// Why the archive, of which everything has been handed over, is not whole; `None` if it is.
    ///
    /// # Errors
    /// If the system cannot tell how `pg_restore` ended.
    pub fn finish(self) -> Result<Option<String>> {
        if self.head.is_empty() {
            return Ok(Some("it is empty".to_owned()));
        }
        let is_archive = self.head == MAGIC;
        let exit = self.restorer.wait()?;
        if exit.is_success() && is_archive {
            return Ok(None);
        }
        if !is_archive {
            return Ok(Some("it does not begin like an archive of `pg_dump`".to_owned()));
        }
        let words = match exit.stderr_tail.last() {
            Some(line) => format!(": {line}"),
            None => String::new(),
        };
        Ok(Some(format!(
            "`pg_restore`, which read it along, ended with {}{words}",
            exit.describe()
        )))
    }
}

/// Has `pg_restore` read a whole archive; why it is not whole, or `None` if it is. All of `archive` is read.
///
/// # Errors
/// [`Kind::Tool`] if there is no `pg_restore`; the input's own failure.
pub fn check_archive(archive: &mut dyn Read, folder: Option<&Path>, cancel: &Cancel) -> Result<Option<String>> {
    let restorer = find_restorer(folder, None, cancel)?;
    let mut check = ArchiveCheck::start(&restorer, cancel)?;
    let mut buffer = vec![0; PASS_BYTES];
    loop {
        match archive.read(&mut buffer) {
            Ok(0) => return check.finish(),
            Ok(count) => check.write(&buffer[..count])?,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(from_io("read the archive", error)),
        }
    }
}

/// Writes to a program; false if it reads no more.
fn pass(program: &mut Running, bytes: &[u8]) -> Result<bool> {
    let Some(stdin) = program.stdin.as_mut() else {
        return Ok(false);
    };
    match stdin.write_all(bytes) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(false),
        Err(error) => Err(from_io(format!("write to `{}`", program.name()), error)),
    }
}

/// Calls `then` with the script that `pg_restore` makes of an archive.
///
/// The script ends well only if the archive was read to its last byte and `pg_restore` called it whole.
///
/// # Errors
/// `then`'s failure, in which those of the archive and of `pg_restore` come up as failures to read the script.
pub fn with_script<T>(
    archive: &mut (dyn Read + Send),
    restorer: &Client,
    cancel: &Cancel,
    then: impl FnOnce(&mut dyn Read) -> Result<T>,
) -> Result<T> {
    let mut running = restorer_program(restorer, "-").start(cancel)?;
    let stdin = running.stdin.take();
    let trouble: Mutex<Option<Failure>> = Mutex::default();
    std::thread::scope(|scope| {
        let keeper = &trouble;
        let feeder = scope.spawn(move || {
            if let Some(stdin) = stdin
                && let Err(failure) = feed(archive, stdin)
            {
                *keeper.lock().unwrap_or_else(PoisonError::into_inner) = Some(failure);
            }
        });
        // Dropped before the feeder is waited for: without a reader of its pipe the feeder ends.
        let mut script = Script {
            running: Some(running),
            feeder: Some(feeder),
            trouble: &trouble,
            cancel,
        };
        then(&mut script)
    })
}

/// Reads the archive to its end, whether or not all of it is wanted: its digest is taken on the way.
fn feed(archive: &mut (dyn Read + Send), stdin: std::process::ChildStdin) -> Result<()> {
    let mut stdin = Some(stdin);
    let mut buffer = vec![0; PASS_BYTES];
    loop {
        let count = match archive.read(&mut buffer) {
            Ok(0) => return Ok(()),
            Ok(count) => count,
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            Err(error) => return Err(from_io("read the dump", error)),
        };
        if let Some(pipe) = stdin.as_mut()
            && let Err(error) = pipe.write_all(&buffer[..count])
        {
            if error.kind() != ErrorKind::BrokenPipe {
                return Err(from_io("write to `pg_restore`", error));
            }
            stdin = None;
        }
    }
}

struct Script<'scope, 'a> {
    running: Option<Running>,
    feeder: Option<ScopedJoinHandle<'scope, ()>>,
    trouble: &'a Mutex<Option<Failure>>,
    cancel: &'a Cancel,
}

impl Script<'_, '_> {
    /// At the end of the script: whether it is one.
    fn judge(&mut self) -> Result<()> {
        if let Some(feeder) = self.feeder.take()
            && feeder.join().is_err()
        {
            return Err(Failure::new(
                Kind::Failed,
                "Reading the dump ended in a panic, which is a bug",
            ));
        }
        let exit = self.running.take().map(Running::wait).transpose()?;
        self.cancel.check()?;
        if let Some(failure) = self.trouble.lock().unwrap_or_else(PoisonError::into_inner).take() {
            return Err(failure);
        }
        let Some(exit) = exit.filter(|exit| !exit.is_success()) else {
            return Ok(());
        };
        let trouble = Trouble::read(&exit.stderr_tail);
        if trouble.says("unsupported version") {
            return Err(Failure::new(
                Kind::Tool,
                "The dump was made by a newer `pg_dump` than this `pg_restore` reads",
            )
            .caused_by(trouble)
            .hint("Install the newer client programs, for example: apt-get install postgresql-client"));
        }
        Err(Failure::new(
            Kind::Damaged,
            format!("`pg_restore` cannot read the dump: it ended with {}", exit.describe()),
        )
        .caused_by(trouble)
        .hint("It was cut off when it was made or copied; restore another backup"))
    }
}

impl Read for Script<'_, '_> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let Some(stdout) = self.running.as_mut().and_then(|running| running.stdout.as_mut()) else {
            return Ok(0);
        };
        let count = stdout.read(buffer)?;
        if count == 0 && !buffer.is_empty() {
            self.judge().map_err(into_io)?;
        }
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use super::super::clients::Version;
    use super::*;

    fn restorer(major: u32) -> Client {
        Client {
            path: "/bin/cat".into(),
            version: Version { major, minor: 0 },
            version_text: String::new(),
        }
    }

    #[test]
    fn older_versions_are_told_nothing_of_standard_output() {
        assert!(!format!("{:?}", restorer_program(&restorer(11), "-")).contains("--file"));
        assert!(format!("{:?}", restorer_program(&restorer(12), "-")).contains("--file=-"));
    }

    #[test]
    fn what_is_no_archive_is_not_whole_whatever_reads_it() {
        let cancel = Cancel::new();
        for (bytes, why) in [
            (&b""[..], "it is empty"),
            (b"PGDM", "does not begin"),
            (b"--\n--\n", "does not begin"),
        ] {
            let mut check = ArchiveCheck {
                restorer: Program::new("/bin/cat").with_input().start(&cancel).unwrap(),
                head: Vec::new(),
                is_done: false,
            };
            check.write(bytes).unwrap();
            let fault = check.finish().unwrap().unwrap();
            assert!(fault.contains(why), "{fault}");
        }
    }

    #[test]
    fn a_script_that_is_given_up_ends_its_feeder() {
        let cancel = Cancel::new();
        let mut cat = restorer(11);
        cat.version.major = 11;
        let mut endless = std::io::repeat(b'x').take(1 << 24);
        let read = with_script(&mut endless, &cat, &cancel, |script| {
            let mut some = [0; 10];
            script.read_exact(&mut some).map_err(|error| from_io("read", error))?;
            Ok(some)
        });
        assert_eq!(read.unwrap(), [b'x'; 10]);
    }
}
