//! What has been moved into a target, on disk, so that it can be moved back however much it is.

use std::fs::File;
use std::io::{BufReader, Read, Seek, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use cap_std::fs::Dir;
use rustix::fs::{Mode, RenameFlags, Stat};
use rustix::io::Errno;

use super::handles::FOLDER_FLAGS;
use super::metadata::{mtime_of, mtime_only};

/// Something that was done to the target.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// An item of the target was moved aside, under this number.
    Aside { path: Vec<u8>, number: u64 },
    /// An item of the restored tree was moved into the target.
    In { path: Vec<u8> },
    /// A folder of the target changed what stands beside its content: this is what it had.
    Folder {
        path: Vec<u8>,
        mode: u32,
        uid: u32,
        gid: u32,
        mtime: (i64, u32),
    },
}

impl Step {
    /// What a folder is before it is changed.
    pub(super) fn folder(path: &[u8], stat: &Stat) -> Self {
        Self::Folder {
            path: path.to_vec(),
            mode: stat.st_mode & 0o7777,
            uid: stat.st_uid,
            gid: stat.st_gid,
            mtime: mtime_of(stat),
        }
    }
}

/// The steps taken so far, in a file.
pub(super) struct Journal {
    file: File,
}

impl Journal {
    /// An empty journal under `name` in a folder.
    ///
    /// # Errors
    /// The system's.
    pub(super) fn create(folder: &Dir, name: &str) -> std::io::Result<Self> {
        let mut options = cap_std::fs::OpenOptions::new();
        options.read(true).write(true).create_new(true);
        let file = folder.open_with(name, &options)?.into_std();
        Ok(Self { file })
    }

    /// Writes a step down.
    ///
    /// # Errors
    /// The system's; the step then has to be undone by whoever took it.
    pub(super) fn add(&self, step: &Step) -> std::io::Result<()> {
        let mut record = Vec::new();
        let mut numbers = |kind: u8, path: &[u8], values: &[u64]| {
            record.push(kind);
            record.extend_from_slice(&(path.len() as u64).to_le_bytes());
            record.extend_from_slice(path);
            for value in values {
                record.extend_from_slice(&value.to_le_bytes());
            }
        };
        match step {
            Step::Aside { path, number } => numbers(b'A', path, &[*number]),
            Step::In { path } => numbers(b'I', path, &[]),
            Step::Folder {
                path,
                mode,
                uid,
                gid,
                mtime,
            } => numbers(
                b'F',
                path,
                &[
                    u64::from(*mode),
                    u64::from(*uid),
                    u64::from(*gid),
                    mtime.0.cast_unsigned(),
                    u64::from(mtime.1),
                ],
            ),
        }
        (&self.file).write_all(&record)
    }

    fn each(&self, mut take: impl FnMut(Step)) -> std::io::Result<()> {
        (&self.file).rewind()?;
        let mut reader = BufReader::new(&self.file);
        loop {
            let mut kind = [0];
            if reader.read(&mut kind)? == 0 {
                return Ok(());
            }
            let path_bytes = read_number(&mut reader)?;
            let mut path = Vec::new();
            reader.by_ref().take(path_bytes).read_to_end(&mut path)?;
            match kind[0] {
                b'A' => {
                    let number = read_number(&mut reader)?;
                    take(Step::Aside { path, number });
                }
                b'I' => take(Step::In { path }),
                _ => {
                    let mut next = || read_number(&mut reader);
                    take(Step::Folder {
                        path,
                        mode: next()? as u32,
                        uid: next()? as u32,
                        gid: next()? as u32,
                        mtime: (next()?.cast_signed(), next()? as u32),
                    });
                }
            }
        }
    }

    /// Undoes every step: first folders are made writable, then the restored items go back into `tree`, then what was
    /// moved aside comes back, then folders get what they had. Says what could not be undone.
    pub(super) fn undo(
        &self,
        target: BorrowedFd<'_>,
        tree: BorrowedFd<'_>,
        aside: BorrowedFd<'_>,
    ) -> Result<(), Vec<String>> {
        let mut failed = Vec::new();
        let mut note = |path: &[u8], result: Result<(), Errno>| {
            if let Err(errno) = result {
                failed.push(format!(
                    "`{}`: {}",
                    String::from_utf8_lossy(path),
                    std::io::Error::from(errno)
                ));
            }
        };
        let passes = [
            self.each(|step| {
                if let Step::Folder { path, .. } = step {
                    // It may have been given a mode by now that keeps even its owner from moving anything out of it. If
                    // it cannot be opened up, the moves below fail and say so.
                    let _ = open_up(target, &path);
                }
            }),
            self.each(|step| {
                if let Step::In { path } = step {
                    note(&path, move_path(target, &path, tree, &path));
                }
            }),
            self.each(|step| {
                if let Step::Aside { path, number } = step {
                    note(&path, move_path(aside, number.to_string().as_bytes(), target, &path));
                }
            }),
            self.each(|step| {
                if let Step::Folder {
                    path,
                    mode,
                    uid,
                    gid,
                    mtime,
                } = step
                {
                    note(&path, give_back(target, &path, mode, (uid, gid), mtime));
                }
            }),
        ];
        for pass in passes {
            if let Err(error) = pass {
                failed.push(format!("the list of what was moved: {error}"));
            }
        }
        if failed.is_empty() { Ok(()) } else { Err(failed) }
    }
}

fn read_number(reader: &mut impl Read) -> std::io::Result<u64> {
    let mut bytes = [0; 8];
    reader.read_exact(&mut bytes)?;
    Ok(u64::from_le_bytes(bytes))
}

/// Lets a folder's owner change what is in it.
fn open_up(target: BorrowedFd<'_>, path: &[u8]) -> Result<(), Errno> {
    let folder = open_folder(target, path)?;
    let mode = Mode::from_raw_mode(rustix::fs::fstat(&folder)?.st_mode & 0o7777);
    match mode.contains(Mode::RWXU) {
        true => Ok(()),
        false => rustix::fs::fchmod(&folder, mode | Mode::RWXU),
    }
}

fn give_back(
    target: BorrowedFd<'_>,
    path: &[u8],
    mode: u32,
    owner: (u32, u32),
    mtime: (i64, u32),
) -> Result<(), Errno> {
    let folder = open_folder(target, path)?;
    let stat = rustix::fs::fstat(&folder)?;
    if (stat.st_uid, stat.st_gid) != owner {
        rustix::fs::fchown(
            &folder,
            Some(rustix::fs::Uid::from_raw(owner.0)),
            Some(rustix::fs::Gid::from_raw(owner.1)),
        )?;
    }
    rustix::fs::fchmod(&folder, Mode::from_raw_mode(mode))?;
    rustix::fs::futimens(&folder, &mtime_only(mtime.0, mtime.1))
}

/// Opens the folder at `path` below `top`, without following links.
pub(super) fn open_folder(top: BorrowedFd<'_>, path: &[u8]) -> Result<OwnedFd, Errno> {
    let mut folder = rustix::io::fcntl_dupfd_cloexec(top, 0)?;
    for name in path.split(|byte| *byte == b'/').filter(|name| !name.is_empty()) {
        folder = rustix::fs::openat(&folder, name, FOLDER_FLAGS, Mode::empty())?;
    }
    Ok(folder)
}

fn move_path(from: BorrowedFd<'_>, from_path: &[u8], to: BorrowedFd<'_>, to_path: &[u8]) -> Result<(), Errno> {
    let parts = |path: &[u8]| match path.iter().rposition(|byte| *byte == b'/') {
        Some(slash) => (path[..slash].to_vec(), path[slash + 1..].to_vec()),
        None => (Vec::new(), path.to_vec()),
    };
    let (from_parent, from_name) = parts(from_path);
    let (to_parent, to_name) = parts(to_path);
    let from = open_folder(from, &from_parent)?;
    let to = open_folder(to, &to_parent)?;
    move_item(from.as_fd(), &from_name, to.as_fd(), &to_name)
}

/// Renames, unless something has appeared at the new name; a file system that cannot tell takes the caller's word for it.
fn rename(from: BorrowedFd<'_>, from_name: &[u8], to: BorrowedFd<'_>, to_name: &[u8]) -> Result<(), Errno> {
    match rustix::fs::renameat_with(from, from_name, to, to_name, RenameFlags::NOREPLACE) {
        Err(Errno::INVAL | Errno::NOSYS) => rustix::fs::renameat(from, from_name, to, to_name),
        result => result,
    }
}

/// Moves an item to a name that is free. A folder that may not be written to is made writable for that moment: moving it changes its `..`.
pub(super) fn move_item(
    from: BorrowedFd<'_>,
    from_name: &[u8],
    to: BorrowedFd<'_>,
    to_name: &[u8],
) -> Result<(), Errno> {
    match rename(from, from_name, to, to_name) {
        Err(Errno::ACCESS) => {}
        result => return result,
    }
    let folder = rustix::fs::openat(from, from_name, FOLDER_FLAGS, Mode::empty()).map_err(|_| Errno::ACCESS)?;
    let mode = Mode::from_raw_mode(rustix::fs::fstat(&folder)?.st_mode & 0o7777);
    rustix::fs::fchmod(&folder, mode | Mode::RWXU)?;
    let result = rename(from, from_name, to, to_name);
    rustix::fs::fchmod(&folder, mode)?;
    result
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_come_back_as_they_were_written() {
        let folder = tempfile::tempdir().unwrap();
        let dir = Dir::open_ambient_dir(folder.path(), cap_std::ambient_authority()).unwrap();
        let journal = Journal::create(&dir, "journal").unwrap();
        let steps = [
            Step::Aside {
                path: b"a/\xff\n".to_vec(),
                number: 7,
            },
            Step::In { path: b"b".to_vec() },
            Step::Folder {
                path: Vec::new(),
                mode: 0o750,
                uid: 1,
                gid: u32::MAX - 1,
                mtime: (-5, 999_999_999),
            },
        ];
        for step in &steps {
            journal.add(step).unwrap();
        }
        let mut read = Vec::new();
        journal.each(|step| read.push(step)).unwrap();
        assert_eq!(read, steps);
    }
}
