//! Writing items into an archive, whatever the files do while they are read.

mod content;

use std::os::fd::{AsFd, OwnedFd};

use rustix::fs::{AtFlags, FileType, Mode, OFlags, Stat};
use rustix::io::Errno;

use super::attributes::{AttributeReader, OwnerNames};
use super::databases::Databases;
use super::hardlinks::{HardLinks, Known};
use super::header::{self, Item, ItemKind};
use super::metadata::mtime_of;
use super::problems::{Problems, words};
use super::walk::{Found, Next, Visitor};
use crate::base::failure::{Failure, Kind, Result, from_io};
use crate::catalog::index::{Entry, EntryKind, RawPath};
use crate::catalog::manifest::{Counts, ProblemKind};
use crate::source::{SourceContext, SourceReport, SourceSink};

/// Bytes read from a file in one system call; small enough to stay in a core's own cache until they are passed on.
const READ_BYTES: usize = 256 * 1024;

/// An archive is padded to a multiple of this, as every tar does by default.
pub(super) const RECORD_BYTES: u64 = 10_240;

/// Reads one item after the other and writes it into the sink.
pub(super) struct Archiver<'a> {
    sink: &'a mut dyn SourceSink,
    context: &'a SourceContext<'a>,
    problems: Problems<'a>,
    counts: Tally,
    sockets: u64,
    first_socket: Option<String>,
    databases: Databases,
    links: HardLinks,
    owners: OwnerNames,
    attributes: AttributeReader,
    /// Whether the last access time can be left alone; the system allows it to a file's owner only.
    keeps_access_time: bool,
    /// The headers of one item.
    headers: Vec<u8>,
    records: Vec<u8>,
    content: Vec<u8>,
    /// The line of the index, its memory used again for each.
    entry: Entry,
}

#[derive(Default)]
struct Tally {
    files: u64,
    folders: u64,
    others: u64,
    skipped: u64,
}

/// What an item is beside what the system says about it.
struct Shape<'a> {
    kind: ItemKind,
    link: &'a [u8],
    stored_bytes: u64,
    sparse_bytes: Option<u64>,
}

impl<'a> Archiver<'a> {
    pub(super) fn new(sink: &'a mut dyn SourceSink, context: &'a SourceContext<'a>) -> Self {
        Self {
            sink,
            context,
            problems: Problems::new(context.reporter, "archive"),
            counts: Tally::default(),
            sockets: 0,
            first_socket: None,
            databases: Databases::default(),
            links: HardLinks::default(),
            owners: OwnerNames::default(),
            attributes: AttributeReader::new(),
            keeps_access_time: true,
            headers: Vec::new(),
            records: Vec::new(),
            content: vec![0; READ_BYTES],
            entry: Entry::new(EntryKind::File, RawPath(Vec::new()), 0..0),
        }
    }

    /// Whether nothing has been stored yet.
    pub(super) fn is_empty(&self) -> bool {
        self.counts.files + self.counts.folders + self.counts.others == 0
    }

    /// Writes the end of the archive and gives the verdict.
    pub(super) fn finish(self, begin: u64) -> Result<SourceReport> {
        let written = self.sink.position() - begin + 2 * header::BLOCK_BYTES;
        let padding = (RECORD_BYTES - written % RECORD_BYTES) % RECORD_BYTES;
        let end = vec![0; (2 * header::BLOCK_BYTES + padding) as usize];
        self.sink.write_all(&end).map_err(pass_on)?;
        let mut warnings: Vec<String> = self.databases.warning().into_iter().collect();
        if let Some(first) = self.first_socket {
            warnings.push(match self.sockets {
                1 => format!("The socket `{first}` was left out."),
                count => format!("{count} sockets were left out, `{first}` among them."),
            });
        }
        if self.links.overflowed() {
            warnings.push(
                "There are more files with several names than fit into memory; some were stored once for each name."
                    .to_owned(),
            );
        }
        let (problems, problem_count) = self.problems.into_parts();
        Ok(SourceReport {
            problems,
            problem_count,
            warnings,
            counts: Counts {
                files: Some(self.counts.files),
                folders: Some(self.counts.folders),
                others: Some(self.counts.others),
                skipped: Some(self.counts.skipped),
                ..Counts::default()
            },
        })
    }

    /// Opens for reading without following a link, waiting for a pipe's other end, or moving the time of last access.
    fn open(&mut self, found: &Found<'_>, extra: OFlags) -> Result<OwnedFd, Errno> {
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC | extra;
        if self.keeps_access_time {
            match rustix::fs::openat(found.folder, found.name, flags | OFlags::NOATIME, Mode::empty()) {
                Err(Errno::PERM) => self.keeps_access_time = false,
                result => return result,
            }
        }
        rustix::fs::openat(found.folder, found.name, flags, Mode::empty())
    }

    /// Records an item that could not be opened or read; running out of the system's means ends the run.
    fn failed(&mut self, path: &[u8], errno: Errno) -> Result<()> {
        match errno {
            Errno::MFILE | Errno::NFILE | Errno::NOMEM => Err(Failure::new(
                Kind::Source,
                format!("Could not read `{}`", String::from_utf8_lossy(path)),
            )
            .caused_by(std::io::Error::from(errno))
            .hint("The system has run out of memory or open files; end other programs or raise `ulimit -n`")),
            Errno::NOENT | Errno::STALE => {
                self.problems
                    .add(path, ProblemKind::Vanished, "It was gone when it was opened");
                Ok(())
            }
            _ => {
                self.problems.add(path, ProblemKind::Unreadable, words(errno));
                Ok(())
            }
        }
    }

    fn visit_file(&mut self, found: &Found<'_>) -> Result<Next> {
        let file = match self.open(found, OFlags::empty()) {
            Ok(file) => file,
            // It is a link, a socket or a device without a driver by now.
            Err(Errno::LOOP | Errno::NXIO | Errno::NODEV) => return self.visit_other(found),
            Err(errno) => return self.failed(found.path, errno).map(|()| Next::Onward),
        };
        let stat = match rustix::fs::fstat(&file) {
            Ok(stat) => stat,
            Err(errno) => return self.failed(found.path, errno).map(|()| Next::Onward),
        };
        match FileType::from_raw_mode(stat.st_mode) {
            FileType::RegularFile => {}
            FileType::Directory => return self.visit_folder(found),
            _ => return self.visit_other(found),
        }
        let is_linked = stat.st_nlink > 1;
        if is_linked && self.visit_known_link(found, &stat)? {
            return Ok(Next::Onward);
        }
        self.read_attributes(found.path, &file);
        let is_stored = self.store_file(found, &file, &stat)?;
        if is_stored && is_linked {
            self.links
                .stored((stat.st_dev, stat.st_ino), names_of(&stat), found.path);
        }
        Ok(Next::Onward)
    }

    /// Writes a further name of a file that is in the archive already; false if it is not.
    fn visit_known_link(&mut self, found: &Found<'_>, stat: &Stat) -> Result<bool> {
        let Known::At(first) = self.links.look_up((stat.st_dev, stat.st_ino)) else {
            return Ok(false);
        };
        self.attributes.clear();
        let shape = Shape {
            kind: ItemKind::Hardlink,
            link: &first,
            stored_bytes: 0,
            sparse_bytes: None,
        };
        self.store_headers_only(found.path, stat, &shape)?;
        if FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile {
            self.counts.files += 1;
        } else {
            self.counts.others += 1;
        }
        Ok(true)
    }

    fn read_attributes(&mut self, path: &[u8], file: &OwnedFd) {
        if let Err((name, errno)) = self.attributes.read(file.as_fd()) {
            self.problems.add(
                path,
                ProblemKind::Attributes,
                format!("Could not read `{name}`: {}", words(errno)),
            );
        }
    }

    fn visit_folder(&mut self, found: &Found<'_>) -> Result<Next> {
        let (folder, stat) = match self.open(found, OFlags::DIRECTORY) {
            Ok(folder) => match rustix::fs::fstat(&folder) {
                Ok(stat) => (Some(folder), stat),
                Err(errno) => return self.failed(found.path, errno).map(|()| Next::Onward),
            },
            Err(errno @ (Errno::ACCESS | Errno::PERM)) => {
                // What it is can still be told, though not what is in it.
                let stat = match rustix::fs::statat(found.folder, found.name, AtFlags::SYMLINK_NOFOLLOW) {
                    Ok(stat) => stat,
                    Err(errno) => return self.failed(found.path, errno).map(|()| Next::Onward),
                };
                self.failed(found.path, errno)?;
                (None, stat)
            }
            Err(Errno::LOOP | Errno::NOTDIR) => return self.visit_other(found),
            Err(errno) => return self.failed(found.path, errno).map(|()| Next::Onward),
        };
        self.attributes.clear();
        if let Some(folder) = &folder {
            self.read_attributes(found.path, folder);
        }
        let shape = Shape {
            kind: ItemKind::Folder,
            link: b"",
            stored_bytes: 0,
            sparse_bytes: None,
        };
        self.store_headers_only(found.path, &stat, &shape)?;
        self.counts.folders += 1;
        Ok(match folder {
            Some(folder) => Next::Into(folder, (stat.st_dev, stat.st_ino)),
            None => Next::Onward,
        })
    }

    /// Stores what is neither a file nor a folder, after asking the system what it is.
    fn visit_other(&mut self, found: &Found<'_>) -> Result<Next> {
        let stat = match rustix::fs::statat(found.folder, found.name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) => stat,
            Err(errno) => return self.failed(found.path, errno).map(|()| Next::Onward),
        };
        let mut link = Vec::new();
        let kind = match FileType::from_raw_mode(stat.st_mode) {
            FileType::Symlink => {
                match rustix::fs::readlinkat(found.folder, found.name, Vec::new()) {
                    Ok(target) => link = target.into_bytes(),
                    Err(errno) => return self.failed(found.path, errno).map(|()| Next::Onward),
                }
                ItemKind::Symlink
            }
            FileType::Fifo => ItemKind::Fifo,
            FileType::CharacterDevice => ItemKind::CharDevice,
            FileType::BlockDevice => ItemKind::BlockDevice,
            FileType::Socket => {
                self.counts.skipped += 1;
                self.sockets += 1;
                self.first_socket
                    .get_or_insert_with(|| String::from_utf8_lossy(found.path).into_owned());
                return Ok(Next::Onward);
            }
            _ => {
                self.problems.add(
                    found.path,
                    ProblemKind::Changed,
                    "It became something else while it was looked at",
                );
                return Ok(Next::Onward);
            }
        };
        let is_linked = stat.st_nlink > 1;
        if is_linked && self.visit_known_link(found, &stat)? {
            return Ok(Next::Onward);
        }
        self.attributes.clear();
        let shape = Shape {
            kind,
            link: &link,
            stored_bytes: 0,
            sparse_bytes: None,
        };
        self.store_headers_only(found.path, &stat, &shape)?;
        self.counts.others += 1;
        if is_linked {
            self.links
                .stored((stat.st_dev, stat.st_ino), names_of(&stat), found.path);
        }
        Ok(Next::Onward)
    }

    fn store_headers_only(&mut self, path: &[u8], stat: &Stat, shape: &Shape<'_>) -> Result<()> {
        self.encode(path, stat, shape);
        let begin = self.sink.position();
        self.sink.write_all(&self.headers).map_err(pass_on)?;
        self.add_entry(path, stat, shape, begin, 0)
    }

    fn encode(&mut self, path: &[u8], stat: &Stat, shape: &Shape<'_>) {
        self.headers.clear();
        let (user, group) = self.owners.names(stat.st_uid, stat.st_gid);
        let (mtime, mtime_nanos) = mtime_of(stat);
        let item = Item {
            kind: shape.kind,
            path,
            link: shape.link,
            mode: stat.st_mode & 0o7777,
            uid: stat.st_uid,
            gid: stat.st_gid,
            user,
            group,
            mtime,
            mtime_nanos,
            device: match shape.kind {
                ItemKind::CharDevice | ItemKind::BlockDevice => {
                    (rustix::fs::major(stat.st_rdev), rustix::fs::minor(stat.st_rdev))
                }
                _ => (0, 0),
            },
            stored_bytes: shape.stored_bytes,
            sparse_bytes: shape.sparse_bytes,
            attributes: self.attributes.records(),
        };
        header::encode(&item, &mut self.records, &mut self.headers);
    }

    fn add_entry(&mut self, path: &[u8], stat: &Stat, shape: &Shape<'_>, begin: u64, size: u64) -> Result<()> {
        let entry = &mut self.entry;
        entry.path.0.clear();
        entry.path.0.extend_from_slice(path);
        entry.kind = match shape.kind {
            ItemKind::File => EntryKind::File,
            ItemKind::Hardlink => EntryKind::Hardlink,
            ItemKind::Symlink => EntryKind::Symlink,
            ItemKind::CharDevice | ItemKind::BlockDevice => EntryKind::Device,
            ItemKind::Folder => EntryKind::Folder,
            ItemKind::Fifo => EntryKind::Fifo,
        };
        entry.offset = begin;
        entry.length = self.sink.position() - begin;
        entry.size = size;
        entry.mode = Some(stat.st_mode & 0o7777);
        if (entry.uid, entry.gid) != (Some(stat.st_uid), Some(stat.st_gid)) {
            entry.uid = Some(stat.st_uid);
            entry.gid = Some(stat.st_gid);
            let (user, group) = self.owners.names(stat.st_uid, stat.st_gid);
            entry.user = Some(user.to_owned()).filter(|name| !name.is_empty());
            entry.group = Some(group.to_owned()).filter(|name| !name.is_empty());
        }
        let (mtime, mtime_nanos) = mtime_of(stat);
        entry.mtime = Some(mtime);
        entry.mtime_nanos = mtime_nanos;
        entry.link = match shape.kind {
            ItemKind::Symlink | ItemKind::Hardlink => Some(RawPath(shape.link.to_vec())),
            _ => None,
        };
        self.sink.entry(entry)?;
        self.context.reporter.progress().add_item();
        Ok(())
    }
}

impl Visitor for Archiver<'_> {
    fn visit(&mut self, found: &Found<'_>) -> Result<Next> {
        if found.file_type != FileType::Directory {
            self.context
                .reporter
                .progress()
                .set_current(&String::from_utf8_lossy(found.path));
        }
        match found.file_type {
            FileType::RegularFile => self.visit_file(found),
            FileType::Directory => self.visit_folder(found),
            FileType::Unknown => match rustix::fs::statat(found.folder, found.name, AtFlags::SYMLINK_NOFOLLOW) {
                Ok(stat) => match FileType::from_raw_mode(stat.st_mode) {
                    FileType::RegularFile => self.visit_file(found),
                    FileType::Directory => self.visit_folder(found),
                    _ => self.visit_other(found),
                },
                Err(errno) => self.failed(found.path, errno).map(|()| Next::Onward),
            },
            _ => self.visit_other(found),
        }
    }

    fn unlisted(&mut self, path: &[u8], errno: Errno) {
        self.problems.add(
            path,
            ProblemKind::Unreadable,
            format!("Could not list the whole folder: {}", words(errno)),
        );
    }

    fn skipped(&mut self, count: u64) {
        self.counts.skipped += count;
    }
}

/// The sink's own failure, as it is.
fn pass_on(error: std::io::Error) -> Failure {
    from_io("pass on the archive", error)
}

/// How many names a file has. The field's type differs between machines.
#[allow(clippy::useless_conversion)]
fn names_of(stat: &Stat) -> u64 {
    u64::from(stat.st_nlink)
}
