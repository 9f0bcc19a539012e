//! The open folders of a descent, few of them at a time however deep it goes.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;

/// Folders held open at a time; those further up are closed and found again by `..`.
const FOLDERS_OPEN_MAX: usize = 32;

/// How a folder is opened: never through a link.
pub(super) const FOLDER_FLAGS: OFlags = OFlags::RDONLY
    .union(OFlags::DIRECTORY)
    .union(OFlags::NOFOLLOW)
    .union(OFlags::CLOEXEC);

/// The folders from a top down to the current one.
#[derive(Debug, Default)]
pub(super) struct Handles {
    stack: Vec<Handle>,
}

#[derive(Debug)]
struct Handle {
    /// `None` while it is closed.
    folder: Option<OwnedFd>,
    /// Device and number, by which it is known again.
    identity: (u64, u64),
}

impl Handles {
    /// Goes down into an open folder, of a known device and number.
    pub(super) fn push(&mut self, folder: OwnedFd, identity: (u64, u64)) {
        self.stack.push(Handle {
            folder: Some(folder),
            identity,
        });
        if let Some(far) = self.stack.len().checked_sub(FOLDERS_OPEN_MAX + 1)
            && let Some(handle) = self.stack.get_mut(far)
        {
            handle.folder = None;
        }
    }

    /// Goes down into the folder `name` of the current one.
    pub(super) fn enter(&mut self, name: &[u8]) -> Result<(), Errno> {
        let current = self.current().ok_or(Errno::NOENT)?;
        let folder = rustix::fs::openat(current, name, FOLDER_FLAGS, Mode::empty())?;
        let stat = rustix::fs::fstat(&folder)?;
        self.push(folder, (stat.st_dev, stat.st_ino));
        Ok(())
    }

    /// The current folder; `None` at the very end, or after it could not be found again.
    pub(super) fn current(&self) -> Option<BorrowedFd<'_>> {
        self.stack.last()?.folder.as_ref().map(AsFd::as_fd)
    }

    /// The current folder's device and number.
    pub(super) fn identity(&self) -> Option<(u64, u64)> {
        self.stack.last().map(|handle| handle.identity)
    }

    /// Goes up, and finds the folder above again if it had to be closed.
    ///
    /// # Errors
    /// If it is no longer where it was; there is no current folder then.
    pub(super) fn leave(&mut self) -> Result<(), Errno> {
        let Some(left) = self.stack.pop() else {
            return Ok(());
        };
        let Some(above) = self.stack.last_mut() else {
            return Ok(());
        };
        if above.folder.is_none() {
            let below = left.folder.ok_or(Errno::NOENT)?;
            let folder = rustix::fs::openat(&below, c"..", FOLDER_FLAGS, Mode::empty())?;
            let stat = rustix::fs::fstat(&folder)?;
            if (stat.st_dev, stat.st_ino) != above.identity {
                return Err(Errno::NOENT);
            }
            above.folder = Some(folder);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_descent_of_two_hundred_folders_holds_few_of_them_and_comes_back() {
        let top = tempfile::tempdir().unwrap();
        let mut handles = Handles::default();
        let folder = rustix::fs::open(top.path(), FOLDER_FLAGS, Mode::empty()).unwrap();
        let stat = rustix::fs::fstat(&folder).unwrap();
        handles.push(folder, (stat.st_dev, stat.st_ino));
        let mut identities = vec![handles.identity()];
        for _ in 0..200 {
            rustix::fs::mkdirat(handles.current().unwrap(), c"d", Mode::RWXU).unwrap();
            handles.enter(b"d").unwrap();
            identities.push(handles.identity());
        }
        let open = handles.stack.iter().filter(|handle| handle.folder.is_some()).count();
        assert_eq!(open, FOLDERS_OPEN_MAX);
        while let Some(identity) = identities.pop() {
            assert_eq!(handles.identity(), identity);
            let stat = rustix::fs::fstat(handles.current().unwrap()).unwrap();
            assert_eq!(Some((stat.st_dev, stat.st_ino)), identity);
            handles.leave().unwrap();
        }
        assert!(handles.current().is_none());
    }

    #[test]
    fn a_folder_moved_meanwhile_is_not_taken_for_another() {
        let top = tempfile::tempdir().unwrap();
        let mut handles = Handles::default();
        let folder = rustix::fs::open(top.path(), FOLDER_FLAGS, Mode::empty()).unwrap();
        let stat = rustix::fs::fstat(&folder).unwrap();
        handles.push(folder, (stat.st_dev, stat.st_ino));
        for _ in 0..=FOLDERS_OPEN_MAX {
            rustix::fs::mkdirat(handles.current().unwrap(), c"d", Mode::RWXU).unwrap();
            handles.enter(b"d").unwrap();
        }
        std::fs::rename(top.path().join("d/d"), top.path().join("elsewhere")).unwrap();
        let mut result = Ok(());
        for _ in 0..FOLDERS_OPEN_MAX {
            result = handles.leave();
        }
        assert_eq!(result, Err(Errno::NOENT));
        assert!(handles.current().is_none());
    }
}
