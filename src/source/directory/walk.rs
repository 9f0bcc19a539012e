//! Walking a tree without following links, with few open files however deep it is.

use std::ffi::CStr;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, CWD, FileType, Mode, OFlags, RawDir};
use rustix::io::Errno;

use super::excludes::Excludes;
use super::handles::Handles;
use super::names::Names;
use super::roots::Root;
use crate::base::cancel::Cancel;
use crate::base::failure::{IoContext, Result};

/// Bytes of folder listing fetched in one system call.
const LISTING_BYTES: usize = 64 * 1024;

/// Names listed between two looks at the cancellation.
const NAMES_PER_CHECK: usize = 4096;

const CACHE_TAG_NAME: &CStr = c"CACHEDIR.TAG";
const CACHE_TAG_SIGNATURE: &[u8] = b"Signature: 8a477f597d28d172789f06886806bc55";

/// What is walked, and what is left out.
pub(super) struct WalkOptions<'a> {
    pub(super) excludes: &'a Excludes,
    /// Folders whose content is left out, by their real paths.
    pub(super) store_folders: &'a [PathBuf],
    /// Of a folder with a `CACHEDIR.TAG`, only the folder and the tag are visited.
    pub(super) exclude_caches: bool,
    /// Folders on another file system are visited, but not listed.
    pub(super) one_file_system: bool,
}

/// A thing met on the way.
pub(super) struct Found<'a> {
    /// The folder that holds it.
    pub(super) folder: BorrowedFd<'a>,
    /// Its name there.
    pub(super) name: &'a CStr,
    /// Its path in the archive.
    pub(super) path: &'a [u8],
    /// What the listing says that it is; may be unknown, may be out of date.
    pub(super) file_type: FileType,
}

/// What to do after a thing.
pub(super) enum Next {
    /// Go on to its neighbour.
    Onward,
    /// List this folder, whose device and number are given.
    Into(OwnedFd, (u64, u64)),
}

/// Who looks at the things met.
pub(super) trait Visitor {
    /// Takes one thing; a folder before what is in it.
    ///
    /// # Errors
    /// Only what ends the walk.
    fn visit(&mut self, found: &Found<'_>) -> Result<Next>;

    /// A folder could not be listed to its end, or not be found again.
    fn unlisted(&mut self, path: &[u8], errno: Errno);

    /// Things were left out on purpose.
    fn skipped(&mut self, count: u64);
}

struct Frame {
    names: Names,
    next: usize,
    /// How long the path is at this folder.
    path_bytes: usize,
}

/// Visits a source and everything below it. In a folder, what is no folder comes first, so that neighbours stand side by side in
/// the archive and compress well together; either in the byte order of names.
///
/// # Errors
/// What the visitor fails with, cancellation, and a source that has gone.
pub(super) fn walk(root: &Root, options: &WalkOptions<'_>, visitor: &mut dyn Visitor, cancel: &Cancel) -> Result<()> {
    let parent = root.real.parent().unwrap_or(Path::new("/"));
    let name = root.real.file_name().unwrap_or(std::ffi::OsStr::new("."));
    let doing = || format!("open `{}`", root.given.display());
    let name = std::ffi::CString::new(std::os::unix::ffi::OsStrExt::as_bytes(name))
        .map_err(std::io::Error::from)
        .doing(doing)?;
    let top = rustix::fs::openat(
        CWD,
        parent,
        OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC,
        Mode::empty(),
    )
    .map_err(std::io::Error::from)
    .doing(doing)?;
    let mut walk = Walk {
        options,
        visitor,
        cancel,
        handles: Handles::default(),
        frames: Vec::new(),
        path: root.name.clone(),
        root_bytes: root.name.len(),
        store_bytes: options
            .store_folders
            .iter()
            .filter_map(|store| store.strip_prefix(&root.real).ok())
            .map(|below| std::os::unix::ffi::OsStrExt::as_bytes(below.as_os_str()))
            .collect(),
        device: None,
        listing: vec![MaybeUninit::uninit(); LISTING_BYTES],
    };
    let next = walk.visitor.visit(&Found {
        folder: top.as_fd(),
        name: &name,
        path: &walk.path,
        file_type: FileType::Unknown,
    })?;
    drop(top);
    if let Next::Into(folder, identity) = next {
        walk.enter(folder, identity)?;
        walk.run()?;
    }
    Ok(())
}

struct Walk<'a> {
    options: &'a WalkOptions<'a>,
    visitor: &'a mut dyn Visitor,
    cancel: &'a Cancel,
    handles: Handles,
    /// What is left to do in each of the folders in `handles`.
    frames: Vec<Frame>,
    path: Vec<u8>,
    /// How much of a path is the source's name; what follows is what patterns look at.
    root_bytes: usize,
    /// The stores' folders, as paths below the source's.
    store_bytes: Vec<&'a [u8]>,
    device: Option<u64>,
    listing: Vec<MaybeUninit<u8>>,
}

impl Walk<'_> {
    fn run(&mut self) -> Result<()> {
        while let Some(frame) = self.frames.last_mut() {
            self.path.truncate(frame.path_bytes);
            let index = frame.next;
            frame.next += 1;
            if index >= frame.names.len() {
                self.leave();
                continue;
            }
            self.cancel.check()?;
            let (Some((name, file_type)), Some(folder)) = (frame.names.get(index), self.handles.current()) else {
                self.leave();
                continue;
            };
            self.path.push(b'/');
            self.path.extend_from_slice(name.to_bytes());
            if !self.options.excludes.is_empty() {
                let is_folder = match file_type {
                    FileType::Directory => true,
                    FileType::Unknown => rustix::fs::statat(folder, name, AtFlags::SYMLINK_NOFOLLOW)
                        .is_ok_and(|stat| FileType::from_raw_mode(stat.st_mode) == FileType::Directory),
                    _ => false,
                };
                let relative = &self.path[self.root_bytes + 1..];
                if self.options.excludes.excludes(relative, is_folder) {
                    self.visitor.skipped(1);
                    continue;
                }
            }
            let next = self.visitor.visit(&Found {
                folder,
                name,
                path: &self.path,
                file_type,
            })?;
            if let Next::Into(folder, identity) = next {
                self.enter(folder, identity)?;
            }
        }
        Ok(())
    }

    /// Lists a folder and makes it the one that is walked.
    fn enter(&mut self, folder: OwnedFd, identity: (u64, u64)) -> Result<()> {
        if self
            .store_bytes
            .iter()
            .any(|store| self.path.get(self.root_bytes + 1..) == Some(store))
        {
            self.visitor.skipped(1);
            return Ok(());
        }
        let device = *self.device.get_or_insert(identity.0);
        if self.options.one_file_system && identity.0 != device {
            self.visitor.skipped(1);
            return Ok(());
        }
        let mut names = self.list(folder.as_fd())?;
        names.sort();
        if self.options.exclude_caches
            && let Some(index) = names.find(CACHE_TAG_NAME.to_bytes())
            && is_cache_tag(folder.as_fd())
        {
            self.visitor.skipped(names.len() as u64 - 1);
            names.keep_only(index);
        }
        self.handles.push(folder, identity);
        self.frames.push(Frame {
            names,
            next: 0,
            path_bytes: self.path.len(),
        });
        Ok(())
    }

    fn list(&mut self, folder: BorrowedFd<'_>) -> Result<Names> {
        let mut names = Names::default();
        let mut listing = RawDir::new(folder, &mut self.listing);
        while let Some(entry) = listing.next() {
            match entry {
                Ok(entry) => {
                    let name = entry.file_name();
                    if name != c"." && name != c".." {
                        names.push(name, entry.file_type())?;
                    }
                }
                Err(errno) => {
                    self.visitor.unlisted(&self.path, errno);
                    break;
                }
            }
            if names.len().is_multiple_of(NAMES_PER_CHECK) {
                self.cancel.check()?;
            }
        }
        Ok(names)
    }

    /// Goes back to the folder above.
    fn leave(&mut self) {
        self.frames.pop();
        if let Err(errno) = self.handles.leave()
            && let Some(above) = self.frames.last()
        {
            // What was walked has been moved elsewhere meanwhile, and the rest of the folders above cannot be reached
            // from here; each is recorded as it is left.
            self.visitor.unlisted(&self.path[..above.path_bytes], errno);
        }
    }
}

fn is_cache_tag(folder: BorrowedFd<'_>) -> bool {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let Ok(tag) = rustix::fs::openat(folder, CACHE_TAG_NAME, flags, Mode::empty()) else {
        return false;
    };
    let mut start = [0; CACHE_TAG_SIGNATURE.len()];
    matches!(rustix::io::read(&tag, &mut start), Ok(read) if start[..read] == *CACHE_TAG_SIGNATURE)
}
