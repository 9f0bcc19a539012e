//! Removing a tree without following links, leaving its file system, or opening many folders.

use std::mem::MaybeUninit;
use std::os::fd::BorrowedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use rustix::fs::{AtFlags, FileType, Mode, RawDir};
use rustix::io::Errno;

use super::handles::{FOLDER_FLAGS, Handles};
use super::names::Names;
use crate::base::failure::{Failure, IoContext, Kind};

const LISTING_BYTES: usize = 64 * 1024;

/// Removes `name` from `parent`, whatever it is; nothing to remove is fine.
///
/// # Errors
/// The system's; [`Errno::XDEV`] if another file system is mounted inside, which is left alone.
pub(super) fn remove(parent: BorrowedFd<'_>, name: &[u8]) -> Result<(), Errno> {
    match rustix::fs::unlinkat(parent, name, AtFlags::empty()) {
        Ok(()) | Err(Errno::NOENT) => return Ok(()),
        Err(Errno::ISDIR | Errno::PERM) => {}
        Err(errno) => return Err(errno),
    }
    // Most folders met here are empty, or are not folders at all and the error was meant.
    match rustix::fs::unlinkat(parent, name, AtFlags::REMOVEDIR) {
        Ok(()) | Err(Errno::NOENT) => return Ok(()),
        Err(Errno::NOTEMPTY | Errno::EXIST | Errno::ACCESS) => {}
        Err(errno) => return Err(errno),
    }
    Removal {
        handles: Handles::default(),
        frames: Vec::new(),
        listing: vec![MaybeUninit::uninit(); LISTING_BYTES],
        is_root: rustix::process::geteuid().is_root(),
    }
    .run(parent, name)
}

/// Removes a folder and all that is in it; one that is not there is gone as well.
///
/// # Errors
/// The system's; a mounted file system inside is left alone.
pub fn remove_tree(path: &Path) -> Result<(), Failure> {
    let doing = || format!("remove `{}`", path.display());
    let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else {
        return Err(Failure::new(
            Kind::Failed,
            format!("`{}` is no folder that can be removed", path.display()),
        ));
    };
    let parent = if parent == Path::new("") {
        Path::new(".")
    } else {
        parent
    };
    let parent = rustix::fs::open(parent, FOLDER_FLAGS, Mode::empty())
        .map_err(std::io::Error::from)
        .doing(doing)?;
    remove(std::os::fd::AsFd::as_fd(&parent), name.as_bytes())
        .map_err(std::io::Error::from)
        .doing(doing)
}

struct Removal {
    handles: Handles,
    /// The folders still to be removed in each folder of `handles`, and which comes next.
    frames: Vec<(Names, usize)>,
    listing: Vec<MaybeUninit<u8>>,
    is_root: bool,
}

impl Removal {
    fn run(&mut self, parent: BorrowedFd<'_>, name: &[u8]) -> Result<(), Errno> {
        self.enter(parent, name)?;
        while let Some((names, next)) = self.frames.last_mut() {
            let index = *next;
            *next += 1;
            let below = names.get(index).map(|(name, _)| name.to_owned());
            if let Some(below) = below {
                let current = self.handles.current().ok_or(Errno::NOENT)?;
                match rustix::fs::unlinkat(current, &below, AtFlags::REMOVEDIR) {
                    Ok(()) | Err(Errno::NOENT) => {}
                    Err(_) => {
                        let current = rustix::io::fcntl_dupfd_cloexec(current, 0)?;
                        self.enter(std::os::fd::AsFd::as_fd(&current), below.to_bytes())?;
                    }
                }
                continue;
            }
            self.frames.pop();
            self.handles.leave()?;
            match (self.frames.last(), self.handles.current()) {
                (Some((names, next)), Some(current)) => {
                    if let Some((emptied, _)) = names.get(next - 1) {
                        rustix::fs::unlinkat(current, emptied, AtFlags::REMOVEDIR)?;
                    }
                }
                _ => rustix::fs::unlinkat(parent, name, AtFlags::REMOVEDIR)?,
            }
        }
        Ok(())
    }

    /// Opens a folder, removes all but the folders in it, and notes those.
    fn enter(&mut self, parent: BorrowedFd<'_>, name: &[u8]) -> Result<(), Errno> {
        let folder = match rustix::fs::openat(parent, name, FOLDER_FLAGS, Mode::empty()) {
            Err(Errno::ACCESS) if !self.is_root => {
                // It is a folder: anything else would have been unlinked.
                rustix::fs::chmodat(parent, name, Mode::RWXU, AtFlags::empty())?;
                rustix::fs::openat(parent, name, FOLDER_FLAGS, Mode::empty())?
            }
            result => result?,
        };
        let stat = rustix::fs::fstat(&folder)?;
        if self.handles.identity().is_some_and(|(device, _)| device != stat.st_dev) {
            return Err(Errno::XDEV);
        }
        if !self.is_root && stat.st_mode & 0o700 != 0o700 {
            rustix::fs::fchmod(&folder, Mode::RWXU)?;
        }
        let mut names = Names::default();
        let mut listing = RawDir::new(&folder, &mut self.listing);
        while let Some(entry) = listing.next() {
            let entry = entry?;
            let below = entry.file_name();
            if below == c"." || below == c".." {
                continue;
            }
            let is_folder = match entry.file_type() {
                FileType::Directory => true,
                _ => match rustix::fs::unlinkat(&folder, below, AtFlags::empty()) {
                    Ok(()) | Err(Errno::NOENT) => false,
                    Err(Errno::ISDIR) => true,
                    Err(errno) => return Err(errno),
                },
            };
            if is_folder && names.push(below, FileType::Directory).is_err() {
                return Err(Errno::OVERFLOW);
            }
        }
        self.handles.push(folder, (stat.st_dev, stat.st_ino));
        self.frames.push((names, 0));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::fd::AsFd;

    fn open(path: &std::path::Path) -> std::os::fd::OwnedFd {
        rustix::fs::open(path, FOLDER_FLAGS, Mode::empty()).unwrap()
    }

    #[test]
    fn whole_trees_go_and_what_links_point_to_stays() {
        let top = tempfile::tempdir().unwrap();
        std::fs::write(top.path().join("kept"), "x").unwrap();
        let mut folder = top.path().join("tree");
        for depth in 0..100 {
            std::fs::create_dir(&folder).unwrap();
            std::fs::write(folder.join("file"), "x").unwrap();
            std::fs::create_dir(folder.join(format!("empty{depth}"))).unwrap();
            std::os::unix::fs::symlink(top.path(), folder.join("link")).unwrap();
            folder.push("d");
        }
        remove(open(top.path()).as_fd(), b"tree").unwrap();
        let left: Vec<_> = std::fs::read_dir(top.path())
            .unwrap()
            .map(|entry| entry.unwrap().file_name())
            .collect();
        assert_eq!(left, ["kept"]);
        remove(open(top.path()).as_fd(), b"kept").unwrap();
        remove(open(top.path()).as_fd(), b"never").unwrap();
    }
}
