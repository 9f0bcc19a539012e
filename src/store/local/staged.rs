//! A file that nobody can see yet: written under a temporary name, published in one step, only if its name is free.

use std::fs::File;
use std::os::unix::fs::{FileExt, MetadataExt};

use rustix::fs::{AtFlags, Mode, OFlags, RenameFlags, XattrFlags};
use rustix::io::Errno;

use super::place::{Folder, TEMPORARY_PREFIX, vanished};
use crate::base::failure::{Failure, IoContext, Kind, Result, io_failure};

/// The extended attribute that holds an object's token.
const TOKEN_XATTR: &str = "user.backup-cli.token";

/// Tokens are some 32 characters; a longer attribute was not written by this tool.
const TOKEN_BYTES_MAX: usize = 256;

/// What Linux and all its file systems allow for one name.
const NAME_BYTES_MAX: usize = 255;

const FILE_MODE: u32 = 0o600;

/// A file under a temporary name.
#[derive(Debug)]
pub(super) struct Staged {
    folder: Folder,
    temporary: String,
    file_name: String,
    file: File,
}

impl Staged {
    /// Creates the temporary file in the folder that will hold the final name.
    ///
    /// # Errors
    /// [`Kind::NotFound`] if the folder has just been removed; else if the file cannot be created.
    pub(super) fn create(folder: Folder, file_name: &str) -> Result<Self> {
        if file_name.len() > NAME_BYTES_MAX {
            return Err(Failure::new(
                Kind::Unsupported,
                format!("A file's name has at most {NAME_BYTES_MAX} bytes: `{file_name}`"),
            ));
        }
        let temporary = temporary_name(file_name, rand::random());
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        match rustix::fs::openat(&folder, temporary.as_str(), flags, Mode::from_raw_mode(FILE_MODE)) {
            Ok(fd) => Ok(Self {
                file: File::from(fd),
                folder,
                temporary,
                file_name: file_name.to_owned(),
            }),
            Err(Errno::NOENT) => Err(vanished(&folder.path)),
            Err(error) => Err(io_failure(
                format!("create a file in `{}`", folder.path.display()),
                error.into(),
            )),
        }
    }

    /// The open file.
    pub(super) fn file(&self) -> &File {
        &self.file
    }

    /// Writes at a place; callable from several threads at once.
    ///
    /// # Errors
    /// [`Kind::NoSpace`] if the file system is full.
    pub(super) fn write_at(&self, bytes: &[u8], offset: u64) -> Result<()> {
        write_at(&self.file, bytes, offset, &self.shown())
    }

    /// Puts the token beside the content; `false` if the file system has no place for it.
    pub(super) fn set_token(&self, token: &str) -> bool {
        rustix::fs::fsetxattr(&self.file, TOKEN_XATTR, token.as_bytes(), XattrFlags::empty()).is_ok()
    }

    /// Makes the content durable, then gives the file its name.
    ///
    /// # Errors
    /// [`Kind::Conflict`] if the name is taken. After any other failure nothing is known of what is on the disk: the file must be
    /// thrown away, since a second fsync would report success for pages that were lost.
    pub(super) fn publish(&self, bytes: u64) -> Result<()> {
        self.make_durable(bytes)?;
        match rustix::fs::linkat(
            &self.folder,
            self.temporary.as_str(),
            &self.folder,
            self.file_name.as_str(),
            AtFlags::empty(),
        ) {
            // A temporary name that cannot be removed is untidy, but the object is whole: success is the truth.
            Ok(()) => drop(self.unlink()),
            // Over NFS a reply can be lost and the call be repeated: then the name that is taken is our own.
            Err(Errno::EXIST) if self.is_published() => drop(self.unlink()),
            Err(Errno::EXIST) => return Err(self.conflict()),
            // FAT, exFAT and many FUSE file systems have no hard links.
            Err(Errno::PERM | Errno::OPNOTSUPP | Errno::NOSYS | Errno::MLINK | Errno::INVAL) => self.rename()?,
            Err(error) => return Err(io_failure(format!("publish {}", self.shown()), error.into())),
        }
        self.stand_by(self.folder.sync())
    }

    /// Makes the content durable, then puts the file in the place of the one that has its name, in one step.
    ///
    /// # Errors
    /// After any failure the old or the new one has the name, whole.
    pub(super) fn replace(&self, bytes: u64) -> Result<()> {
        self.make_durable(bytes)?;
        rustix::fs::renameat(
            &self.folder,
            self.temporary.as_str(),
            &self.folder,
            self.file_name.as_str(),
        )
        .map_err(|error| io_failure(format!("replace {}", self.shown()), error.into()))?;
        self.folder.sync()
    }

    fn make_durable(&self, bytes: u64) -> Result<()> {
        let found = self
            .file
            .metadata()
            .doing(|| format!("look at {}", self.shown()))?
            .len();
        if found != bytes {
            return Err(Failure::new(
                Kind::Failed,
                format!(
                    "The file for {} has {found} bytes instead of {bytes}; something else changed it",
                    self.shown()
                ),
            ));
        }
        self.file
            .sync_all()
            .doing(|| format!("make {} durable", self.shown()))?;
        Ok(())
    }

    /// Takes the name back if it could not be made durable: what may be gone after a crash must not be found and believed.
    fn stand_by(&self, durable: Result<()>) -> Result<()> {
        if durable.is_err() && self.is_published() {
            let _ = rustix::fs::unlinkat(&self.folder, self.file_name.as_str(), AtFlags::empty());
        }
        durable
    }

    fn rename(&self) -> Result<()> {
        match rustix::fs::renameat_with(
            &self.folder,
            self.temporary.as_str(),
            &self.folder,
            self.file_name.as_str(),
            RenameFlags::NOREPLACE,
        ) {
            Ok(()) => Ok(()),
            Err(Errno::EXIST) => Err(self.conflict()),
            Err(error @ (Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP)) => Err(Failure::new(
                Kind::Unsupported,
                format!(
                    "The file system of `{}` cannot create a file only if its name is free",
                    self.folder.path.display()
                ),
            )
            .caused_by(std::io::Error::from(error))
            .hint("Choose a folder on another file system; ext4, XFS, Btrfs, ZFS, NFS and exFAT can do it")),
            Err(error) => Err(io_failure(format!("publish {}", self.shown()), error.into())),
        }
    }

    fn is_published(&self) -> bool {
        let stands = rustix::fs::statat(&self.folder, self.file_name.as_str(), AtFlags::SYMLINK_NOFOLLOW);
        match (stands, self.file.metadata()) {
            (Ok(stands), Ok(ours)) => stands.st_dev == ours.dev() && stands.st_ino == ours.ino(),
            _ => false,
        }
    }

    fn conflict(&self) -> Failure {
        Failure::new(Kind::Conflict, format!("The object exists already: {}", self.shown()))
    }

    /// Removes the temporary name; removing it twice is a success.
    ///
    /// # Errors
    /// If it may still be there.
    pub(super) fn unlink(&self) -> Result<()> {
        match rustix::fs::unlinkat(&self.folder, self.temporary.as_str(), AtFlags::empty()) {
            Ok(()) | Err(Errno::NOENT) => Ok(()),
            Err(error) => {
                let path = self.folder.path.join(&self.temporary);
                Err(io_failure(
                    format!("remove the unfinished file `{}`", path.display()),
                    error.into(),
                ))
            }
        }
    }

    fn shown(&self) -> String {
        format!("`{}`", self.folder.path.join(&self.file_name).display())
    }
}

/// A name that says to people what it was to become; the random number keeps runs apart.
fn temporary_name(file_name: &str, random: u64) -> String {
    let mut name = format!("{TEMPORARY_PREFIX}{random:016x}.");
    // A name that fills the limit by itself leaves no room, and its end has to go.
    let room = NAME_BYTES_MAX - name.len();
    let mut end = file_name.len().min(room);
    while !file_name.is_char_boundary(end) {
        end -= 1;
    }
    name.push_str(&file_name[..end]);
    name
}

/// The name that an unfinished file was to have; cut if it was very long.
pub(super) fn final_name(temporary: &str) -> Option<&str> {
    temporary
        .strip_prefix(TEMPORARY_PREFIX)?
        .split_once('.')
        .map(|(_, file_name)| file_name)
}

/// The token of an open file, if its file system kept it.
pub(super) fn token_of(file: &File) -> Option<String> {
    let mut buffer = vec![0u8; TOKEN_BYTES_MAX];
    let length = rustix::fs::fgetxattr(file, TOKEN_XATTR, buffer.as_mut_slice()).ok()?;
    buffer.truncate(length);
    String::from_utf8(buffer).ok()
}

fn write_at(file: &File, bytes: &[u8], offset: u64, shown: &str) -> Result<()> {
    file.write_all_at(bytes, offset).map_err(|error| {
        let too_large = error.kind() == std::io::ErrorKind::FileTooLarge;
        let failure = io_failure(format!("write {shown}"), error);
        if too_large {
            failure.hint("The file system, or a limit of this process (`ulimit -f`), does not allow files so large")
        } else {
            failure
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_file_system_has_its_own_kind() {
        let full = std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
        let failure = write_at(&full, b"x", 0, "`x`").unwrap_err();
        assert_eq!(failure.kind(), Kind::NoSpace);
    }

    #[test]
    fn a_temporary_name_fits_and_tells_the_final_one() {
        let name = temporary_name("x.tar.gz", 7);
        assert_eq!(final_name(&name), Some("x.tar.gz"));
        let long = "ü".repeat(127);
        let name = temporary_name(&long, u64::MAX);
        assert!(name.len() <= NAME_BYTES_MAX);
        assert!(long.starts_with(final_name(&name).unwrap()));
        assert_eq!(final_name("x.tar.gz"), None);
    }

    #[test]
    fn without_hard_links_a_rename_publishes_and_never_replaces() {
        let folder = tempfile::tempdir().unwrap();
        let stage = |content: &[u8]| {
            let staged = Staged::create(Folder::find(folder.path(), &[]).unwrap().unwrap(), "x").unwrap();
            staged.write_at(content, 0).unwrap();
            staged
        };
        stage(b"first").rename().unwrap();
        let second = stage(b"second");
        assert_eq!(second.rename().unwrap_err().kind(), Kind::Conflict);
        second.unlink().unwrap();
        second.unlink().unwrap();
        assert_eq!(std::fs::read(folder.path().join("x")).unwrap(), b"first");
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_name_that_could_not_be_made_durable_is_taken_back() {
        let folder = tempfile::tempdir().unwrap();
        let staged = Staged::create(Folder::find(folder.path(), &[]).unwrap().unwrap(), "x").unwrap();
        staged.publish(0).unwrap();
        assert!(folder.path().join("x").exists());
        staged
            .stand_by(Err(Failure::new(Kind::Failed, "I/O error")))
            .unwrap_err();
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
    }

    #[test]
    fn a_file_that_others_changed_is_not_published() {
        let folder = tempfile::tempdir().unwrap();
        let staged = Staged::create(Folder::find(folder.path(), &[]).unwrap().unwrap(), "x").unwrap();
        staged.write_at(b"abc", 0).unwrap();
        let path = folder.path().join(&staged.temporary);
        std::fs::write(path, b"a").unwrap();
        assert!(staged.publish(3).is_err());
        assert!(!folder.path().join("x").exists());
    }
}
