//! Who is at a database: locks, and processes that have it open.
//!
//! SQLite's locks are those of POSIX: they belong to a process, and closing any descriptor of the file ends them all. So
//! nothing here may run while a connection of this process to the same file is in use.

use std::fs::File;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::{Duration, Instant};

use rustix::fs::FlockOperation;
use rustix::io::Errno;
use rustix::process::{Flock, FlockOffsetType, FlockType, Pid, fcntl_getlk};

use crate::base::cancel::Cancel;
use crate::base::failure::{Result, io_failure};

/// At what distance a lock is tried again.
pub(super) const LOCK_INTERVAL: Duration = Duration::from_millis(50);

/// How many processes a message names.
const PROCESSES_SHOWN_MAX: usize = 3;

/// A process, for messages.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Process {
    pid: Option<u32>,
    name: Option<String>,
}

impl Process {
    fn of(pid: u32) -> Self {
        let name = std::fs::read_to_string(format!("/proc/{pid}/comm")).ok();
        Self {
            pid: Some(pid),
            name: name.map(|name| name.trim().to_owned()).filter(|name| !name.is_empty()),
        }
    }
}

impl std::fmt::Display for Process {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match (self.pid, &self.name) {
            (Some(pid), Some(name)) => write!(f, "Process {pid} (`{name}`)"),
            (Some(pid), None) => write!(f, "Process {pid}"),
            (None, _) => f.write_str("A process outside of this container"),
        }
    }
}

/// Who holds a lock on the database that keeps it from being written, if anybody does.
pub(super) fn lock_holder(path: &Path) -> Option<Process> {
    let file = File::open(path).ok()?;
    let asked = Flock {
        start: 0,
        length: 0,
        pid: None,
        typ: FlockType::WriteLock,
        offset_type: FlockOffsetType::Set,
    };
    let held = fcntl_getlk(&file, &asked).ok()??;
    Some(match held.pid.map(Pid::as_raw_nonzero) {
        Some(pid) if pid.get() > 0 => Process::of(pid.get().unsigned_abs()),
        _ => Process { pid: None, name: None },
    })
}

/// Other processes that have the file open, as far as this user may see them.
pub(super) fn openers(file: &Path) -> Vec<Process> {
    let Ok(wanted) = file.metadata() else {
        return Vec::new();
    };
    let Ok(processes) = std::fs::read_dir("/proc") else {
        return Vec::new();
    };
    let own = std::process::id();
    processes
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<u32>().ok())
        .filter(|pid| *pid != own)
        .filter(|pid| {
            let descriptors = std::fs::read_dir(format!("/proc/{pid}/fd"));
            descriptors.is_ok_and(|mut descriptors| {
                descriptors.any(|descriptor| {
                    // Through the link to the file itself.
                    let meta = descriptor.and_then(|descriptor| std::fs::metadata(descriptor.path()));
                    meta.is_ok_and(|meta| meta.ino() == wanted.ino() && meta.dev() == wanted.dev())
                })
            })
        })
        .map(Process::of)
        .collect()
}

/// Several processes as the subject of a sentence.
pub(super) fn named(processes: &[Process]) -> String {
    let shown: Vec<String> = processes
        .iter()
        .take(PROCESSES_SHOWN_MAX)
        .map(Process::to_string)
        .collect();
    match processes.len().saturating_sub(PROCESSES_SHOWN_MAX) {
        0 => shown.join(", "),
        more => format!("{} and {more} more", shown.join(", ")),
    }
}

/// How a lock was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum LockKind {
    /// Nobody may write.
    Shared,
    /// Nobody may read or write.
    Exclusive,
}

/// Takes a lock that SQLite respects, waiting for up to `wait`; false if somebody else keeps it.
///
/// It covers the whole file and all that SQLite locks behind its end, and is held until `file` is closed.
pub(super) fn lock(file: &File, path: &Path, kind: LockKind, wait: Duration, cancel: &Cancel) -> Result<bool> {
    let operation = match kind {
        LockKind::Shared => FlockOperation::NonBlockingLockShared,
        LockKind::Exclusive => FlockOperation::NonBlockingLockExclusive,
    };
    let until = Instant::now() + wait;
    loop {
        cancel.check()?;
        match rustix::fs::fcntl_lock(file, operation) {
            Ok(()) => return Ok(true),
            Err(Errno::AGAIN | Errno::ACCESS) if Instant::now() >= until => return Ok(false),
            Err(Errno::AGAIN | Errno::ACCESS) => std::thread::sleep(LOCK_INTERVAL),
            Err(Errno::INTR) => {}
            Err(errno) => return Err(io_failure(format!("lock `{}`", path.display()), errno.into())),
        }
    }
}
