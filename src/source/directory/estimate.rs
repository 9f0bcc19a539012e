//! How much a tree holds: found by a quick walk, or bounded by what its file systems hold.

use std::collections::HashSet;
use std::time::{Duration, Instant};

use rustix::fs::{Access, AtFlags, FileType, Mode, OFlags};
use rustix::io::Errno;

use super::header::{BLOCK_BYTES, padding_bytes};
use super::roots::Root;
use super::walk::{Found, Next, Visitor};
use crate::base::failure::{Failure, Kind, Result};

/// A walk that takes longer is given up: the estimate is worth less than the wait.
pub(super) const ESTIMATE_TIME_MAX: Duration = Duration::from_secs(5);

/// A count that nobody waits for goes on for longer, but not for the days that a broken file system may take.
pub(super) const COUNT_TIME_MAX: Duration = Duration::from_secs(3600);

/// Files with several names remembered while counting; after that their names are counted each.
const LINKED_FILES_MAX: usize = 200_000;

/// Headers of an item with a fraction in its time: its own, and the record's two blocks.
const HEADER_BYTES: u64 = 3 * BLOCK_BYTES;

/// Adds up what an archive of the tree would hold.
pub(super) struct Estimator {
    pub(super) plain_bytes: u64,
    pub(super) items: u64,
    /// What this user cannot read, and the first of it; looked for if somebody wants to know.
    pub(super) unreadable: Option<(u64, Vec<u8>)>,
    looks_closely: bool,
    linked: HashSet<(u64, u64)>,
    until: Instant,
}

impl Estimator {
    pub(super) fn new(time_max: Duration) -> Self {
        Self {
            plain_bytes: 0,
            items: 0,
            unreadable: None,
            looks_closely: false,
            linked: HashSet::new(),
            until: Instant::now() + time_max,
        }
    }

    /// Looks also for what this user cannot read.
    pub(super) fn looking_closely(self) -> Self {
        Self {
            looks_closely: true,
            ..self
        }
    }

    fn cannot_read(&mut self, path: &[u8]) {
        let (count, _) = self.unreadable.get_or_insert_with(|| (0, path.to_vec()));
        *count += 1;
    }

    /// Whether a walk ended because it took too long, and not because it failed.
    pub(super) fn gave_up(&self) -> bool {
        Instant::now() >= self.until
    }
}

impl Visitor for Estimator {
    fn visit(&mut self, found: &Found<'_>) -> Result<Next> {
        // The clock is cheap, but not as cheap as a name.
        if self.items.is_multiple_of(1024) && self.gave_up() {
            return Err(Failure::new(Kind::Failed, "Counting the files takes too long"));
        }
        let Ok(stat) = rustix::fs::statat(found.folder, found.name, AtFlags::SYMLINK_NOFOLLOW) else {
            return Ok(Next::Onward);
        };
        self.items += 1;
        self.plain_bytes += HEADER_BYTES;
        let identity = (stat.st_dev, stat.st_ino);
        match FileType::from_raw_mode(stat.st_mode) {
            FileType::RegularFile => {
                let access = || rustix::fs::accessat(found.folder, found.name, Access::READ_OK, AtFlags::EACCESS);
                if self.looks_closely && access().is_err() {
                    self.cannot_read(found.path);
                }
                let linked = stat.st_nlink > 1 && self.linked.len() < LINKED_FILES_MAX;
                if !linked || self.linked.insert(identity) {
                    let size = u64::try_from(stat.st_size).unwrap_or(0);
                    // A file with holes is stored without them.
                    let allocated = u64::try_from(stat.st_blocks).unwrap_or(0).saturating_mul(512);
                    let stored = size.min(allocated.max(BLOCK_BYTES));
                    self.plain_bytes = self.plain_bytes.saturating_add(stored + padding_bytes(stored) as u64);
                }
                Ok(Next::Onward)
            }
            FileType::Directory => {
                let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
                match rustix::fs::openat(found.folder, found.name, flags, Mode::empty()) {
                    Ok(folder) => Ok(Next::Into(folder, identity)),
                    Err(_) => {
                        self.cannot_read(found.path);
                        Ok(Next::Onward)
                    }
                }
            }
            _ => Ok(Next::Onward),
        }
    }

    /// What cannot be read is found out, and reported, when it is backed up.
    fn unlisted(&mut self, _path: &[u8], _errno: Errno) {}

    fn skipped(&mut self, _count: u64) {}
}

/// How much the file systems hold on which the roots are; `None` if one of them does not say, as those of the kernel and
/// some of other programs do not. What is mounted further down is not among it.
pub(super) fn used_bytes(roots: &[Root]) -> Option<u64> {
    let mut seen = HashSet::new();
    let mut used_bytes = 0u64;
    for root in roots {
        if seen.insert(rustix::fs::stat(&root.real).ok()?.st_dev) {
            let stat = rustix::fs::statvfs(&root.real).ok()?;
            let used = stat.f_blocks.checked_sub(stat.f_bfree)?.saturating_mul(stat.f_frsize);
            used_bytes = used_bytes.saturating_add(used);
        }
    }
    (used_bytes > 0).then_some(used_bytes)
}
