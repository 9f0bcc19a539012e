//! Moving a restored tree from its staging folder to where it belongs, and back again if that fails half way.

use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd};

use rustix::fs::{AtFlags, FileType, Gid, Mode, RawDir, RenameFlags, Stat, Uid};
use rustix::io::Errno;

use super::handles::Handles;
use super::journal::{Journal, Step, move_item};
use super::metadata::{mtime_of, mtime_only};
use super::names::Names;
use super::restore::Existing;
use super::staging::{JOURNAL, REPLACED, Staging, TREE, names_in, not_empty};
use crate::base::cancel::Cancel;
use crate::base::failure::{Failure, IoContext, Kind, Result, io_failure};

const LISTING_BYTES: usize = 64 * 1024;

/// Moves everything into place.
///
/// # Errors
/// [`Kind::Refused`] if something is in the way that must not be replaced; the system's; cancellation. The target is as
/// before then, or the failure says what of it is not.
pub(super) fn place(staging: &mut Staging, existing: Existing, cancel: &Cancel) -> Result<()> {
    let target = staging.target();
    if existing == Existing::Refuse {
        let names = names_in(target, Some(staging.name()))
            .doing(|| format!("look into the target `{}`", staging.target_path().display()))?;
        if !names.is_empty() {
            return Err(not_empty(staging.target_path(), &names));
        }
    }
    let tree = staging.open(TREE)?;
    let aside = staging.open(REPLACED)?;
    let journal = Journal::create(staging.folder(), JOURNAL)
        .doing(|| format!("restore into `{}`", staging.target_path().display()))?;
    let mut mover = Mover {
        staging,
        merges: existing == Existing::Merge,
        cancel,
        aside: aside.as_fd(),
        aside_count: 0,
        journal,
        from: Handles::default(),
        to: Handles::default(),
        frames: Vec::new(),
        path: Vec::new(),
    };
    let Err(failure) = mover.run(tree.as_fd(), target.as_fd()) else {
        return Ok(());
    };
    let undone = mover.journal.undo(target.as_fd(), tree.as_fd(), aside.as_fd());
    drop(mover);
    let Err(left) = undone else {
        return Err(failure);
    };
    // What the target held before and did not get back lies in the staging folder, and nowhere else.
    let kept = staging.keep();
    Err(failure
        .hint(format!(
            "Not everything in the target could be put back as it was: {}",
            left.join("; ")
        ))
        .hint(format!(
            "What the target held and did not get back is in `{}`; move it back by hand",
            kept.join(REPLACED).display()
        )))
}

struct Mover<'a> {
    staging: &'a Staging,
    /// Whether folders that exist on both sides become one; otherwise the restored one replaces the other.
    merges: bool,
    cancel: &'a Cancel,
    aside: BorrowedFd<'a>,
    aside_count: u64,
    journal: Journal,
    /// The folder of the restored tree whose items are being moved, and the one of the target that gets them.
    from: Handles,
    to: Handles,
    frames: Vec<Frame>,
    path: Vec<u8>,
}

struct Frame {
    names: Names,
    next: usize,
    path_bytes: usize,
    /// What the restored folder has beside its items.
    wanted: Stat,
}

impl Mover<'_> {
    fn run(&mut self, tree: BorrowedFd<'_>, target: BorrowedFd<'_>) -> Result<()> {
        let pushed = push(&mut self.from, tree).and_then(|()| push(&mut self.to, target));
        self.context(pushed)?;
        self.begin_folder()?;
        while let Some(frame) = self.frames.last_mut() {
            self.path.truncate(frame.path_bytes);
            let index = frame.next;
            frame.next += 1;
            let name = frame.names.get(index).map(|(name, _)| name.to_bytes().to_vec());
            let Some(name) = name else {
                self.end_folder()?;
                continue;
            };
            self.cancel.check()?;
            if !self.path.is_empty() {
                self.path.push(b'/');
            }
            self.path.extend_from_slice(&name);
            if self.item(&name)? {
                let entered = self.from.enter(&name).and_then(|()| self.to.enter(&name));
                self.context(entered)?;
                self.begin_folder()?;
            }
        }
        Ok(())
    }

    /// Moves one item; true if it is a folder on both sides, whose items are to be moved instead.
    fn item(&mut self, name: &[u8]) -> Result<bool> {
        let (from, to) = self.folders()?;
        let restored = self.context(rustix::fs::statat(from, name, AtFlags::SYMLINK_NOFOLLOW))?;
        let present = match rustix::fs::statat(to, name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) => Some(stat),
            Err(Errno::NOENT) => None,
            Err(errno) => return self.context(Err(errno)),
        };
        if let Some(present) = present {
            let is_folder = |stat: &Stat| FileType::from_raw_mode(stat.st_mode) == FileType::Directory;
            match (is_folder(&restored), is_folder(&present)) {
                (true, true) if self.merges => return Ok(true),
                (false, true) if self.merges => {
                    return Err(Failure::new(
                        Kind::Refused,
                        format!(
                            "`{}` is a folder, and no folder in the backup",
                            self.staging.target_path().join(self.display()).display()
                        ),
                    )
                    .hint("Move the folder away, restore into another target, or use --replace"));
                }
                _ => {
                    if self.exchange(name)? {
                        return Ok(false);
                    }
                    self.move_aside(name)?;
                }
            }
        }
        let (from, to) = self.folders()?;
        self.context(move_item(from, name, to, name))?;
        let step = Step::In {
            path: self.path.clone(),
        };
        if let Err(error) = self.journal.add(&step) {
            // A step that cannot be written down is taken back at once; if that fails too, the hint of the undo says so.
            let _ = move_item(to, name, from, name);
            return Err(self.failed(error));
        }
        Ok(false)
    }

    /// Puts an item in the place of one that is there, which goes aside, in one step: whenever a run is killed, one of the two
    /// stands in the target, and what it held before is there or aside. False if the file system cannot do that.
    fn exchange(&mut self, name: &[u8]) -> Result<bool> {
        let (from, to) = self.folders()?;
        let number = self.aside_count;
        let aside_name = number.to_string();
        let aside_name = aside_name.as_bytes();
        let swap = || rustix::fs::renameat_with(self.aside, aside_name, to, name, RenameFlags::EXCHANGE);
        let take_back = || move_item(self.aside, aside_name, from, name);
        self.context(move_item(from, name, self.aside, aside_name))?;
        if let Err(errno) = swap() {
            self.context(take_back())?;
            return match errno {
                Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP => Ok(false),
                errno => self.context(Err(errno)),
            };
        }
        let path = self.path.clone();
        if let Err(error) = self.journal.add(&Step::Aside { path, number }) {
            // What cannot be written down is taken back at once.
            let _ = swap().and_then(|()| take_back());
            return Err(self.failed(error));
        }
        let step = Step::In {
            path: self.path.clone(),
        };
        if let Err(error) = self.journal.add(&step) {
            let _ = move_item(to, name, from, name);
            return Err(self.failed(error));
        }
        self.aside_count += 1;
        Ok(true)
    }

    fn move_aside(&mut self, name: &[u8]) -> Result<()> {
        let (_, to) = self.folders()?;
        let number = self.aside_count;
        let aside_name = number.to_string();
        self.context(move_item(to, name, self.aside, aside_name.as_bytes()))?;
        let step = Step::Aside {
            path: self.path.clone(),
            number,
        };
        if let Err(error) = self.journal.add(&step) {
            let _ = move_item(self.aside, aside_name.as_bytes(), to, name);
            return Err(self.failed(error));
        }
        self.aside_count += 1;
        Ok(())
    }

    /// Lists the current folder of the tree, and writes down what the target's folder was.
    fn begin_folder(&mut self) -> Result<()> {
        let (from, to) = self.folders()?;
        let before = self.context(rustix::fs::fstat(to))?;
        let wanted = self.context(rustix::fs::fstat(from))?;
        if wanted.st_mode & 0o700 != 0o700 {
            // Its items are moved out of it, which others than root may only do with a folder that they may write to.
            self.context(rustix::fs::fchmod(
                from,
                Mode::from_raw_mode(wanted.st_mode & 0o7777) | Mode::RWXU,
            ))?;
        }
        let step = Step::folder(&self.path, &before);
        self.journal.add(&step).map_err(|error| self.failed(error))?;
        let mut names = Names::default();
        let mut buffer = vec![MaybeUninit::uninit(); LISTING_BYTES];
        let mut listing = RawDir::new(from, &mut buffer);
        while let Some(entry) = listing.next() {
            let entry = match entry {
                Ok(entry) => entry,
                Err(errno) => return self.context(Err(errno)),
            };
            let name = entry.file_name();
            if name != c"." && name != c".." {
                names.push(name, entry.file_type())?;
            }
        }
        names.sort();
        self.frames.push(Frame {
            names,
            next: 0,
            path_bytes: self.path.len(),
            wanted,
        });
        Ok(())
    }

    /// Gives the target's folder what the restored one has, now that all items are in it; the target itself keeps what
    /// it has.
    fn end_folder(&mut self) -> Result<()> {
        if let [_, .., frame] = self.frames.as_slice() {
            let (_, to) = self.folders()?;
            self.context(give_metadata(to, &frame.wanted))?;
        }
        self.frames.pop();
        let left = self.from.leave().and_then(|()| self.to.leave());
        if self.frames.is_empty() {
            return Ok(());
        }
        self.context(left)
    }

    fn folders(&self) -> Result<(BorrowedFd<'_>, BorrowedFd<'_>)> {
        match (self.from.current(), self.to.current()) {
            (Some(from), Some(to)) => Ok((from, to)),
            _ => self.context(Err(Errno::NOENT)),
        }
    }

    fn display(&self) -> String {
        String::from_utf8_lossy(&self.path).into_owned()
    }

    fn context<T>(&self, result: Result<T, Errno>) -> Result<T> {
        result.map_err(|errno| match errno {
            Errno::XDEV | Errno::BUSY => self
                .failed(errno.into())
                .hint("Another file system is mounted there; restore into a target that is on one file system"),
            errno => self.failed(errno.into()),
        })
    }

    fn failed(&self, error: std::io::Error) -> Failure {
        let path = self.staging.target_path().join(self.display());
        let failure = io_failure(format_args!("move `{}` into place", path.display()), error);
        match failure.kind() {
            // What is missing here is not what the user asked for.
            Kind::NotFound => failure.with_kind(Kind::Failed),
            _ => failure,
        }
    }
}

fn push(handles: &mut Handles, folder: BorrowedFd<'_>) -> Result<(), Errno> {
    let stat = rustix::fs::fstat(folder)?;
    handles.push(rustix::io::fcntl_dupfd_cloexec(folder, 0)?, (stat.st_dev, stat.st_ino));
    Ok(())
}

/// Gives a folder the owner, mode and time of another; extended attributes of a folder that was there stay its own.
fn give_metadata(to: BorrowedFd<'_>, wanted: &Stat) -> Result<(), Errno> {
    let present = rustix::fs::fstat(to)?;
    if (wanted.st_uid, wanted.st_gid) != (present.st_uid, present.st_gid) {
        let owner = (Uid::from_raw(wanted.st_uid), Gid::from_raw(wanted.st_gid));
        match rustix::fs::fchown(to, Some(owner.0), Some(owner.1)) {
            // Somebody else's folder, and not restored by root: it stays theirs.
            Ok(()) | Err(Errno::PERM) => {}
            Err(errno) => return Err(errno),
        }
    }
    match rustix::fs::fchmod(to, Mode::from_raw_mode(wanted.st_mode & 0o7777)) {
        Ok(()) | Err(Errno::PERM) => {}
        Err(errno) => return Err(errno),
    }
    let mtime = mtime_of(wanted);
    match rustix::fs::futimens(to, &mtime_only(mtime.0, mtime.1)) {
        Ok(()) | Err(Errno::PERM) => Ok(()),
        Err(errno) => Err(errno),
    }
}
