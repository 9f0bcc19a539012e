//! Where a key lies in the folder: checked names, folders that no link leads out of, and durable changes to them.

use std::fs::{DirBuilder, File};
use std::io::ErrorKind;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, Mode, OFlags};
use rustix::io::Errno;

use crate::base::failure::{Failure, IoContext, Kind, Result, io_failure};

/// How the names of unfinished files begin: hidden from `ls`, and easy to recognise for people.
pub(super) const TEMPORARY_PREFIX: &str = ".backup-cli-unfinished.";

/// Backups hold what their sources protect, so what this store creates is for its owner alone, as in restic.
const FOLDER_MODE: u32 = 0o700;

/// A key as it lies below the store's folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Place<'a> {
    /// The folders from the store's folder down; may be none.
    pub(super) folders: Vec<&'a str>,
    /// The file's name.
    pub(super) file_name: &'a str,
}

impl<'a> Place<'a> {
    /// Splits a key.
    ///
    /// # Errors
    /// [`Kind::Unsupported`] if no file can stand for the key, or if it could stand for one outside of the store.
    pub(super) fn of(key: &'a str) -> Result<Self> {
        let refuse = |why: &str| {
            Failure::new(
                Kind::Unsupported,
                format!("A folder store cannot hold the key `{}`: {why}", key.escape_debug()),
            )
        };
        if key.contains('\0') {
            return Err(refuse("it contains a NUL byte"));
        }
        for segment in key.split('/') {
            match segment {
                "" => return Err(refuse("a part between its slashes is empty")),
                "." | ".." => return Err(refuse("`.` and `..` are not names")),
                _ if segment.starts_with(TEMPORARY_PREFIX) => {
                    return Err(refuse("names that begin so belong to unfinished files"));
                }
                _ => {}
            }
        }
        let (folders, file_name) = match key.rsplit_once('/') {
            Some((folders, file_name)) => (folders.split('/').collect(), file_name),
            None => (Vec::new(), key),
        };
        Ok(Self { folders, file_name })
    }

    /// The file's path, for reading: links are followed.
    pub(super) fn path(&self, root: &Path) -> PathBuf {
        let mut path = root.to_path_buf();
        path.extend(&self.folders);
        path.push(self.file_name);
        path
    }
}

/// An open folder inside the store, reached without following a link, so that no write lands elsewhere.
#[derive(Debug)]
pub(super) struct Folder {
    fd: OwnedFd,
    /// For messages only.
    pub(super) path: PathBuf,
}

impl AsFd for Folder {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

const OPEN_FOLDER: OFlags = OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::CLOEXEC);

impl Folder {
    /// Opens a folder if it exists.
    ///
    /// # Errors
    /// If it cannot be told, or if something on the way is a link or a file.
    pub(super) fn find(root: &Path, folders: &[&str]) -> Result<Option<Self>> {
        let fd = match rustix::fs::open(root, OPEN_FOLDER, Mode::empty()) {
            Ok(fd) => fd,
            Err(Errno::NOENT) => return Ok(None),
            Err(error) => {
                return Err(io_failure(
                    format!("open the folder `{}`", root.display()),
                    error.into(),
                ));
            }
        };
        let mut here = Self {
            fd,
            path: root.to_path_buf(),
        };
        for name in folders {
            match here.enter(name)? {
                Some(next) => here = next,
                None => return Ok(None),
            }
        }
        Ok(Some(here))
    }

    /// Opens a folder and creates what is missing on the way, durably.
    ///
    /// # Errors
    /// If something cannot be created, or if something on the way is a link or a file.
    pub(super) fn find_or_create(root: &Path, folders: &[&str]) -> Result<Self> {
        create_root(root)?;
        let mut here = match Self::find(root, &[])? {
            Some(here) => here,
            None => return Err(vanished(root)),
        };
        for name in folders {
            here = match here.enter(name)? {
                Some(next) => next,
                None => {
                    match rustix::fs::mkdirat(&here, *name, Mode::from_raw_mode(FOLDER_MODE)) {
                        Ok(()) => here.sync()?,
                        // Another run was faster, and the folder serves as well.
                        Err(Errno::EXIST) => {}
                        // The folder that it should stand in was empty and somebody tidied it away.
                        Err(Errno::NOENT) => return Err(vanished(&here.path)),
                        Err(error) => {
                            let path = here.path.join(name);
                            return Err(io_failure(
                                format!("create the folder `{}`", path.display()),
                                error.into(),
                            ));
                        }
                    }
                    here.enter(name)?.ok_or_else(|| vanished(&here.path.join(name)))?
                }
            };
        }
        Ok(here)
    }

    fn enter(&self, name: &str) -> Result<Option<Self>> {
        let path = self.path.join(name);
        match rustix::fs::openat(self, name, OPEN_FOLDER | OFlags::NOFOLLOW, Mode::empty()) {
            Ok(fd) => Ok(Some(Self { fd, path })),
            Err(Errno::NOENT) => Ok(None),
            Err(Errno::LOOP | Errno::NOTDIR) => Err(self.in_the_way(name, &path)),
            Err(error) => Err(io_failure(
                format!("open the folder `{}`", path.display()),
                error.into(),
            )),
        }
    }

    fn in_the_way(&self, name: &str, path: &Path) -> Failure {
        let is_link = rustix::fs::statat(self, name, AtFlags::SYMLINK_NOFOLLOW)
            .is_ok_and(|stat| rustix::fs::FileType::from_raw_mode(stat.st_mode).is_symlink());
        if is_link {
            Failure::new(
                Kind::Refused,
                format!(
                    "Nothing is written or removed through the symbolic link `{}`",
                    path.display()
                ),
            )
            .hint("Name the folder that it points to as the store")
        } else {
            Failure::new(
                Kind::Conflict,
                format!("A file stands where a folder is needed: `{}`", path.display()),
            )
        }
    }

    /// Makes changes to this folder's names survive a crash of the machine.
    ///
    /// # Errors
    /// If the system cannot say so, on a file system that knows how.
    pub(super) fn sync(&self) -> Result<()> {
        match rustix::fs::fsync(&self.fd) {
            // Some network and FUSE file systems have no such call for folders; they have no other either.
            Ok(()) | Err(Errno::INVAL | Errno::BADF | Errno::OPNOTSUPP | Errno::NOSYS) => Ok(()),
            Err(error) => Err(io_failure(
                format!("make the folder `{}` durable", self.path.display()),
                error.into(),
            )),
        }
    }
}

/// What is reported when a folder goes away between two steps; the caller tries again.
pub(super) fn vanished(path: &Path) -> Failure {
    Failure::new(
        Kind::NotFound,
        format!("The folder `{}` vanished while it was used", path.display()),
    )
}

/// Creates the store's own folder and its missing parents, each made durable in the one above it.
fn create_root(root: &Path) -> Result<()> {
    let mut missing = Vec::new();
    for folder in root.ancestors() {
        match folder.metadata() {
            Ok(meta) if meta.is_dir() => break,
            Ok(_) => return Err(not_a_folder(folder)),
            // Below a file there is nothing either; the file itself comes next.
            Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {
                missing.push(folder)
            }
            Err(error) => return Err(io_failure(format!("look at the folder `{}`", folder.display()), error)),
        }
    }
    for folder in missing.into_iter().rev() {
        match DirBuilder::new().mode(FOLDER_MODE).create(folder) {
            Ok(()) => {}
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
            Err(error) => {
                return Err(
                    io_failure(format!("create the folder `{}`", folder.display()), error).hint(format!(
                        "The store `{}` is created when it is first written to",
                        root.display()
                    )),
                );
            }
        }
        if let Some(parent) = folder.parent() {
            sync_parent(parent)?;
        }
    }
    Ok(())
}

fn sync_parent(parent: &Path) -> Result<()> {
    match File::open(parent) {
        Ok(fd) => Folder {
            fd: fd.into(),
            path: parent.to_path_buf(),
        }
        .sync(),
        // A folder in which one may create but not read cannot be opened, and thus not synced by us.
        Err(error) if error.kind() == ErrorKind::PermissionDenied => Ok(()),
        Err(error) => Err(error).doing(|| format!("open the folder `{}`", parent.display())),
    }
}

/// The failure for a store whose path is taken by something else.
pub(super) fn not_a_folder(path: &Path) -> Failure {
    Failure::new(Kind::Config, format!("Not a folder: `{}`", path.display()))
        .hint("A store is a folder, and so is everything above it")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_that_could_leave_the_store_have_no_place() {
        for key in [
            "",
            "/",
            "/etc/passwd",
            "a//b",
            "a/",
            "..",
            "../x",
            "a/../../x",
            "a/..",
            "./a",
            "a\0b",
            ".backup-cli-unfinished.1.x",
            ".backup-cli-unfinished.1/x",
        ] {
            let failure = Place::of(key).expect_err(key);
            assert_eq!(failure.kind(), Kind::Unsupported, "{key}");
        }
    }

    #[test]
    fn ordinary_keys_lie_where_one_looks_for_them() {
        let root = Path::new("/store");
        for (key, path) in [
            ("a", "/store/a"),
            ("a/b c/ü", "/store/a/b c/ü"),
            ("...", "/store/..."),
            (".x", "/store/.x"),
        ] {
            assert_eq!(Place::of(key).expect(key).path(root), Path::new(path));
        }
    }
}
