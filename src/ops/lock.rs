//! The lock of a series: one run at a time on this machine.
//!
//! It is an advisory lock on a file, which the system lets go when the process ends in any way: there is no stale lock.
//! Runs on other machines are kept apart by create-only keys instead.
//!
//! The file remembers when the last committed backup began: by that a clock that has gone back is noticed. It also holds a
//! random name, by which a run that holds the lock knows the leftovers of an earlier one.

use std::fs::File;
use std::os::unix::fs::{DirBuilderExt, FileExt};
use std::path::Path;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use rustix::fs::{FlockOperation, flock};
use sha2::{Digest, Sha256};

use super::Run;
use crate::base::failure::{Failure, IoContext, Kind, Result, io_failure};
use crate::base::units::format_duration;

/// How often a waiting run looks again.
const POLL_INTERVAL: Duration = Duration::from_millis(200);

/// The length of a time in the file; it is written over in one step.
const TIME_BYTES: usize = "2026-01-31T02:00:00Z".len();

/// Where the lock's own random name stands in the file, behind the time and a line end.
const IDENTITY_OFFSET: u64 = TIME_BYTES as u64 + 1;

/// The length of that name: 64 random bits in hexadecimal.
const IDENTITY_BYTES: usize = 16;

/// Holds the lock of a series until it is dropped.
#[derive(Debug)]
pub struct SeriesLock {
    file: File,
}

impl SeriesLock {
    /// When the last backup of the series that this machine committed was begun, if the file tells.
    #[must_use]
    pub fn last_started(&self) -> Option<Timestamp> {
        let mut text = [0; TIME_BYTES];
        self.file.read_exact_at(&mut text, 0).ok()?;
        std::str::from_utf8(&text).ok()?.parse().ok()
    }

    /// Remembers when a backup was begun. It is only a help: what cannot be written is not missed.
    pub fn remember(&self, started: Timestamp) {
        let text = started.strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
        if text.len() == TIME_BYTES {
            let _ = self.file.write_all_at(text.as_bytes(), 0);
        }
    }

    /// The lock's own random name, which stays the same from run to run.
    ///
    /// Whoever holds the lock knows that what carries this name was made by a run that has ended.
    ///
    /// # Errors
    /// If a name that is made now cannot be written down.
    pub fn identity(&self) -> Result<String> {
        let mut text = [0; IDENTITY_BYTES];
        let read = self.file.read_exact_at(&mut text, IDENTITY_OFFSET);
        if read.is_ok() && text.iter().all(u8::is_ascii_hexdigit) {
            return Ok(String::from_utf8_lossy(&text).into_owned());
        }
        let identity = hex::encode(rand::random::<[u8; IDENTITY_BYTES / 2]>());
        self.file
            .write_all_at(identity.as_bytes(), IDENTITY_OFFSET)
            .and_then(|()| self.file.sync_all())
            .doing(|| "write the lock's name into its file")?;
        Ok(identity)
    }

    /// Takes the lock of the series `name` in the store at `store_url`, waiting at most `timeout`.
    ///
    /// # Errors
    /// [`Kind::Locked`] if another run holds it, [`Kind::Interrupted`] while waiting.
    pub fn take(folder: &Path, store_url: &str, name: &str, timeout: Duration, run: &Run) -> Result<Self> {
        std::fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(folder)
            .doing(|| format!("make the folder for locks `{}`", folder.display()))?;
        let mut digest = Sha256::new();
        digest.update(store_url.as_bytes());
        digest.update([0]);
        digest.update(name.as_bytes());
        let path = folder.join(format!("{name}-{}.lock", &hex::encode(digest.finalize())[..16]));
        let file = File::options()
            .create(true)
            .truncate(false)
            .read(true)
            .write(true)
            .open(&path)
            .doing(|| format!("open the lock `{}`", path.display()))?;
        let began = Instant::now();
        let mut told = false;
        loop {
            match flock(&file, FlockOperation::NonBlockingLockExclusive) {
                Ok(()) => return Ok(Self { file }),
                Err(rustix::io::Errno::WOULDBLOCK) => {}
                Err(error) => return Err(io_failure(format!("take the lock `{}`", path.display()), error.into())),
            }
            if began.elapsed() >= timeout {
                let waited = match timeout.is_zero() {
                    true => String::new(),
                    false => format!(" (waited {})", format_duration(timeout)),
                };
                return Err(Failure::new(
                    Kind::Locked,
                    format!("Another run is backing up `{name}` to the same store{waited}"),
                )
                .hint("Wait for it with --lock-timeout 1h, or look for the other backup-cli process"));
            }
            if !told {
                run.note(format!(
                    "Another run is backing up `{name}`; waiting up to {}.",
                    format_duration(timeout)
                ));
                told = true;
            }
            run.cancel.check()?;
            std::thread::sleep(POLL_INTERVAL.min(timeout));
        }
    }
}
