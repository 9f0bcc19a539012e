//! The folders of a tree that is being made, entered and left as the archive goes on.

use std::os::fd::{BorrowedFd, OwnedFd};

use rustix::fs::{AtFlags, FileType, Mode};
use rustix::io::Errno;

use super::handles::{FOLDER_FLAGS, Handles};
use super::metadata::{Applier, Metadata, mtime_of, mtime_only};
use super::problems::{Problems, words};
use crate::base::failure::{Failure, Kind, io_failure};

/// The mode of a folder that the archive says nothing about.
const DEFAULT_MODE: u32 = 0o755;

/// Why something could not be made.
#[derive(Debug)]
pub(super) enum Trouble {
    /// This item's own matter; the others go on.
    Item(String),
    /// The whole restore is at its end.
    Fatal(Failure),
}

impl From<Failure> for Trouble {
    fn from(failure: Failure) -> Self {
        Self::Fatal(failure)
    }
}

impl Trouble {
    /// What an error of the system means: a full or broken disk ends the restore, anything else concerns the item.
    pub(super) fn from_errno(errno: Errno, path: &[u8]) -> Self {
        match errno {
            Errno::NOSPC | Errno::DQUOT | Errno::IO | Errno::ROFS | Errno::MFILE | Errno::NFILE | Errno::NOMEM => {
                let path = String::from_utf8_lossy(path).into_owned();
                Self::Fatal(io_failure(format_args!("write `{path}`"), errno.into()))
            }
            _ => Self::Item(words(errno)),
        }
    }
}

/// What a folder gets when it is left: until then it has to be writable, and every item in it moves its time.
enum Pending {
    /// What the archive says.
    Said(Box<Metadata>),
    /// The archive has said nothing.
    Default,
    /// It was left before, and gets back what it had.
    Again { mode: u32, mtime: (i64, u32) },
}

/// A tree under a folder of our own. Only the current folder and those above it are held.
pub(super) struct Folders {
    handles: Handles,
    /// For each folder in `handles` but the top: how long its path is, and what it gets.
    open: Vec<(usize, Pending)>,
    path: Vec<u8>,
    top: OwnedFd,
    is_root: bool,
}

impl Folders {
    /// A tree in the folder `top`.
    pub(super) fn new(top: OwnedFd) -> Result<Self, Errno> {
        let stat = rustix::fs::fstat(&top)?;
        let mut handles = Handles::default();
        handles.push(rustix::io::fcntl_dupfd_cloexec(&top, 0)?, (stat.st_dev, stat.st_ino));
        Ok(Self {
            handles,
            open: Vec::new(),
            path: Vec::new(),
            top,
            is_root: rustix::process::geteuid().is_root(),
        })
    }

    /// The current folder.
    pub(super) fn current(&self) -> Result<BorrowedFd<'_>, Trouble> {
        self.handles
            .current()
            .ok_or_else(|| Failure::new(Kind::Failed, "The folder that is restored into has been moved away").into())
    }

    /// Makes `folder` (a path without `..`, empty for the top) the current one. Folders on the way are made if they are
    /// missing, with what was `announced` about them.
    pub(super) fn go_to(
        &mut self,
        folder: &[u8],
        announced: &[(Vec<u8>, Metadata)],
        applier: &mut Applier,
        problems: &mut Problems<'_>,
    ) -> Result<(), Trouble> {
        self.go_up(folder, applier, problems)?;
        while self.path.len() < folder.len() {
            let start = self.path.len() + usize::from(!self.path.is_empty());
            let end = folder[start..]
                .iter()
                .position(|byte| *byte == b'/')
                .map_or(folder.len(), |slash| start + slash);
            let pending = match announced.iter().rev().find(|(path, _)| path == &folder[..end]) {
                Some((_, metadata)) => Pending::Said(Box::new(metadata.clone())),
                None => Pending::Default,
            };
            self.go_down(&folder[start..end], &folder[..end], pending)?;
        }
        Ok(())
    }

    /// Makes a folder that the archive names, and makes it the current one. Its parent is current already.
    pub(super) fn make(&mut self, name: &[u8], path: &[u8], metadata: Metadata) -> Result<(), Trouble> {
        let current = self.current()?;
        match rustix::fs::mkdirat(current, name, Mode::RWXU) {
            Ok(()) => {}
            Err(Errno::EXIST) => {
                let stat = rustix::fs::statat(current, name, AtFlags::SYMLINK_NOFOLLOW)
                    .map_err(|errno| Trouble::from_errno(errno, path))?;
                if FileType::from_raw_mode(stat.st_mode) != FileType::Directory {
                    // The later of two items with one path wins.
                    rustix::fs::unlinkat(current, name, AtFlags::empty())
                        .and_then(|()| rustix::fs::mkdirat(current, name, Mode::RWXU))
                        .map_err(|errno| Trouble::from_errno(errno, path))?;
                }
            }
            Err(errno) => return Err(Trouble::from_errno(errno, path)),
        }
        self.enter(name, path, |_| Pending::Said(Box::new(metadata)))
    }

    /// Leaves all folders, so that each gets what is pending.
    pub(super) fn finish(&mut self, applier: &mut Applier, problems: &mut Problems<'_>) -> Result<(), Trouble> {
        self.go_up(b"", applier, problems)
    }

    /// Opens the folder that holds `path`, without following links and without leaving the current one.
    pub(super) fn open_parent_of(&self, path: &[u8]) -> Result<OwnedFd, Errno> {
        let mut folder = rustix::io::fcntl_dupfd_cloexec(&self.top, 0)?;
        let parent = path
            .iter()
            .rposition(|byte| *byte == b'/')
            .map_or(&path[..0], |slash| &path[..slash]);
        // One open file is held at a time, so the depth does not matter.
        for name in parent.split(|byte| *byte == b'/').filter(|name| !name.is_empty()) {
            folder = rustix::fs::openat(&folder, name, FOLDER_FLAGS, Mode::empty())?;
        }
        Ok(folder)
    }

    fn go_down(&mut self, name: &[u8], path: &[u8], pending: Pending) -> Result<(), Trouble> {
        let current = self.current()?;
        match rustix::fs::mkdirat(current, name, Mode::RWXU) {
            Ok(()) => self.enter(name, path, |_| pending),
            Err(Errno::EXIST) => self.enter(name, path, |stat| Pending::Again {
                mode: stat.st_mode & 0o7777,
                mtime: mtime_of(stat),
            }),
            Err(errno) => Err(Trouble::from_errno(errno, path)),
        }
    }

    fn enter(
        &mut self,
        name: &[u8],
        path: &[u8],
        pending: impl FnOnce(&rustix::fs::Stat) -> Pending,
    ) -> Result<(), Trouble> {
        let current = self.current()?;
        let refused = |errno| match errno {
            Errno::NOTDIR | Errno::LOOP => Trouble::Item(format!(
                "`{}` is not a folder in the archive, and links are not followed",
                String::from_utf8_lossy(path)
            )),
            errno => Trouble::from_errno(errno, path),
        };
        let stat = rustix::fs::statat(current, name, AtFlags::SYMLINK_NOFOLLOW).map_err(refused)?;
        if FileType::from_raw_mode(stat.st_mode) != FileType::Directory {
            return Err(refused(Errno::NOTDIR));
        }
        if !self.is_root && stat.st_mode & 0o700 != 0o700 {
            let mode = Mode::from_raw_mode(stat.st_mode & 0o7777 | 0o700);
            rustix::fs::chmodat(current, name, mode, AtFlags::empty()).map_err(refused)?;
        }
        let folder = rustix::fs::openat(current, name, FOLDER_FLAGS, Mode::empty()).map_err(refused)?;
        self.handles.push(folder, (stat.st_dev, stat.st_ino));
        if !self.path.is_empty() {
            self.path.push(b'/');
        }
        self.path.extend_from_slice(name);
        self.open.push((self.path.len(), pending(&stat)));
        Ok(())
    }

    /// Leaves folders until the current one holds, or is, `folder`.
    fn go_up(&mut self, folder: &[u8], applier: &mut Applier, problems: &mut Problems<'_>) -> Result<(), Trouble> {
        while let Some((path_bytes, _)) = self.open.last() {
            let here = &self.path[..*path_bytes];
            if folder.starts_with(here) && matches!(folder.get(*path_bytes), None | Some(b'/')) {
                return Ok(());
            }
            self.leave(applier, problems)?;
        }
        Ok(())
    }

    fn leave(&mut self, applier: &mut Applier, problems: &mut Problems<'_>) -> Result<(), Trouble> {
        let Some((_, pending)) = self.open.pop() else {
            return Ok(());
        };
        if let Some(folder) = self.handles.current() {
            match pending {
                Pending::Said(metadata) => applier.apply(folder, &metadata, true, &self.path, problems),
                Pending::Default => {
                    rustix::fs::fchmod(folder, Mode::from_raw_mode(DEFAULT_MODE))
                        .map_err(|errno| Trouble::from_errno(errno, &self.path))?;
                }
                Pending::Again { mode, mtime } => {
                    rustix::fs::fchmod(folder, Mode::from_raw_mode(mode))
                        .and_then(|()| rustix::fs::futimens(folder, &mtime_only(mtime.0, mtime.1)))
                        .map_err(|errno| Trouble::from_errno(errno, &self.path))?;
                }
            }
        }
        let left = self
            .handles
            .leave()
            .map_err(|errno| Trouble::from_errno(errno, &self.path));
        self.path
            .truncate(self.open.last().map_or(0, |(path_bytes, _)| *path_bytes));
        left
    }
}
