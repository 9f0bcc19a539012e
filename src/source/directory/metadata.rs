//! Putting mode, owner, attributes and times onto what was restored.

use std::os::fd::BorrowedFd;

use rustix::fs::{AtFlags, Gid, Mode, Stat, Timespec, Timestamps, UTIME_OMIT, Uid, XattrFlags};
use rustix::io::Errno;

use super::archive::ArchiveItem;
use super::attributes::{OwnerIds, is_kept};
use super::problems::{Problems, words};
use crate::catalog::manifest::ProblemKind;

/// Bits that lend a program its owner's rights.
const SET_ID_BITS: u32 = 0o6000;

/// What an item is to get beside its content.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Metadata {
    pub(super) mode: u32,
    pub(super) uid: Option<u32>,
    pub(super) gid: Option<u32>,
    pub(super) user: Vec<u8>,
    pub(super) group: Vec<u8>,
    pub(super) mtime: i64,
    pub(super) mtime_nanos: u32,
    pub(super) attributes: Vec<(Vec<u8>, Vec<u8>)>,
}

impl Metadata {
    /// Takes what an archive says about an item.
    pub(super) fn take_from(item: &mut ArchiveItem) -> Self {
        Self {
            mode: item.mode,
            uid: item.uid,
            gid: item.gid,
            user: std::mem::take(&mut item.user),
            group: std::mem::take(&mut item.group),
            mtime: item.mtime,
            mtime_nanos: item.mtime_nanos,
            attributes: std::mem::take(&mut item.attributes),
        }
    }

    fn times(&self) -> Timestamps {
        mtime_only(self.mtime, self.mtime_nanos)
    }
}

/// Seconds (negative before 1970) and nanoseconds of the last change of an item's content.
pub(super) fn mtime_of(stat: &Stat) -> (i64, u32) {
    let nanos = u32::try_from(stat.st_mtime_nsec).unwrap_or(0);
    (stat.st_mtime, nanos.min(999_999_999))
}

/// Times that leave the last access as it is.
pub(super) fn mtime_only(seconds: i64, nanos: u32) -> Timestamps {
    Timestamps {
        last_access: Timespec {
            tv_sec: 0,
            tv_nsec: UTIME_OMIT,
        },
        last_modification: Timespec {
            tv_sec: seconds,
            tv_nsec: nanos.into(),
        },
    }
}

/// Applies metadata; what the system refuses is recorded, and the item stays.
pub(super) struct Applier {
    owners: bool,
    is_root: bool,
    ids: OwnerIds,
    /// What new items belong to by themselves, so that no call is needed to say so.
    own: (u32, u32),
    /// How many items lost bits that lend rights, because their owner is not restored.
    pub(super) bits_dropped: u64,
}

impl Applier {
    /// Restores owners if told so, by name and then by number.
    pub(super) fn new(owners: Option<bool>) -> Self {
        let uid = rustix::process::geteuid();
        Self {
            owners: owners.unwrap_or(uid.is_root()),
            is_root: uid.is_root(),
            ids: OwnerIds::default(),
            own: (uid.as_raw(), rustix::process::getegid().as_raw()),
            bits_dropped: 0,
        }
    }

    /// Whether owners are restored, and with them devices and bits that lend rights.
    pub(super) fn restores_owners(&self) -> bool {
        self.owners
    }

    /// Makes an open file or folder what it was. The order matters: a new owner clears bits and capabilities, a mode
    /// changes an ACL, and everything but itself moves the time.
    pub(super) fn apply(
        &mut self,
        file: BorrowedFd<'_>,
        metadata: &Metadata,
        is_folder: bool,
        path: &[u8],
        problems: &mut Problems<'_>,
    ) {
        let mut is_owned = true;
        if let Some((uid, gid)) = self.wanted_owner(metadata)
            && let Err(errno) = rustix::fs::fchown(file, uid, gid)
        {
            is_owned = false;
            complain(problems, path, "the owner", errno);
        }
        let mode = self.mode(metadata.mode, is_folder, is_owned);
        if let Err(errno) = rustix::fs::fchmod(file, mode) {
            complain(problems, path, "the mode", errno);
        }
        for (name, value) in &metadata.attributes {
            if !is_kept(name) || !self.may_set(name) {
                continue;
            }
            if let Err(errno) = rustix::fs::fsetxattr(file, name.as_slice(), value, XattrFlags::empty()) {
                complain(problems, path, &String::from_utf8_lossy(name), errno);
            }
        }
        if let Err(errno) = rustix::fs::futimens(file, &metadata.times()) {
            complain(problems, path, "the time", errno);
        }
    }

    /// The same for what cannot be opened without consequences: links, pipes and devices.
    pub(super) fn apply_at(
        &mut self,
        folder: BorrowedFd<'_>,
        name: &[u8],
        metadata: &Metadata,
        is_link: bool,
        path: &[u8],
        problems: &mut Problems<'_>,
    ) {
        let mut is_owned = true;
        if let Some((uid, gid)) = self.wanted_owner(metadata)
            && let Err(errno) = rustix::fs::chownat(folder, name, uid, gid, AtFlags::SYMLINK_NOFOLLOW)
        {
            is_owned = false;
            complain(problems, path, "the owner", errno);
        }
        // A link has no mode of its own. What else stands here was made a moment ago in a folder that nobody else enters.
        if !is_link {
            let mode = self.mode(metadata.mode, false, is_owned);
            if let Err(errno) = rustix::fs::chmodat(folder, name, mode, AtFlags::empty()) {
                complain(problems, path, "the mode", errno);
            }
        }
        if let Err(errno) = rustix::fs::utimensat(folder, name, &metadata.times(), AtFlags::SYMLINK_NOFOLLOW) {
            complain(problems, path, "the time", errno);
        }
    }

    fn wanted_owner(&mut self, metadata: &Metadata) -> Option<(Option<Uid>, Option<Gid>)> {
        if !self.owners {
            return None;
        }
        let uid = self.ids.user(&metadata.user).or(metadata.uid);
        let gid = self.ids.group(&metadata.group).or(metadata.gid);
        if (uid.unwrap_or(self.own.0), gid.unwrap_or(self.own.1)) == self.own {
            return None;
        }
        Some((uid.map(Uid::from_raw), gid.map(Gid::from_raw)))
    }

    /// The mode without the bits that would lend the rights of somebody else than the original owner. On a folder they
    /// lend none.
    fn mode(&mut self, mode: u32, is_folder: bool, is_owned: bool) -> Mode {
        let mut mode = mode & 0o7777;
        if !is_folder && mode & SET_ID_BITS != 0 && !(self.owners && is_owned) {
            mode &= !SET_ID_BITS;
            self.bits_dropped += 1;
        }
        Mode::from_raw_mode(mode)
    }

    /// Others than root may set only these; trying the rest would fail for each file.
    fn may_set(&self, name: &[u8]) -> bool {
        name.starts_with(b"user.") || name.starts_with(b"system.posix_acl_") || (self.is_root && self.owners)
    }
}

fn complain(problems: &mut Problems<'_>, path: &[u8], what: &str, errno: Errno) {
    problems.add(
        path,
        ProblemKind::Attributes,
        format!("Could not set {what}: {}", words(errno)),
    );
}
