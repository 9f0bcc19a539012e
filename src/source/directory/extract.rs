//! Making the items of an archive in a folder of our own, which nothing in the archive can get out of.

use std::collections::HashSet;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::fs::{AtFlags, FileType, Mode, OFlags};
use rustix::io::Errno;

use super::archive::{ArchiveItem, ArchiveReader};
use super::content_log::{ContentDigest, ContentLog, LoggedContent};
use super::folders::{Folders, Trouble};
use super::header::ItemKind;
use super::metadata::{Applier, Metadata};
use super::problems::{Problems, words};
use super::selection::PathSelection;
use crate::base::failure::{Failure, Kind, Result};
use crate::base::report::Event;
use crate::catalog::manifest::ProblemKind;
use crate::source::SourceContext;

/// How deep a path may lead. No tree of this world is a tenth as deep, and going up and down takes the system quadratic
/// time, which an archive could use to keep it busy for days.
const DEPTH_MAX: usize = 10_000;

/// How new files are opened: never an existing one, never through a link.
const NEW_FILE_FLAGS: OFlags = OFlags::WRONLY
    .union(OFlags::CREATE)
    .union(OFlags::EXCL)
    .union(OFlags::NOFOLLOW)
    .union(OFlags::CLOEXEC);

/// What was made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Made {
    pub(super) files: u64,
    pub(super) folders: u64,
    pub(super) others: u64,
    pub(super) bytes: u64,
}

/// Makes items, one after the other.
pub(super) struct Extractor<'a> {
    context: &'a SourceContext<'a>,
    selection: &'a PathSelection,
    /// Whether what is not selected may lend its content to hard links that are.
    lends: bool,
    tree: Folders,
    side: Folders,
    applier: Applier,
    problems: Problems<'a>,
    made: Made,
    /// Folders on the way to the current item that are not selected, with what the archive says about them.
    announced: Vec<(Vec<u8>, Metadata)>,
    /// The paths that were spelled out and have not come by yet.
    missing: HashSet<&'a [u8]>,
    has_absolute: bool,
    content_log: Option<ContentLog>,
}

/// Which tree an item goes into.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    Tree,
    Side,
}

impl<'a> Extractor<'a> {
    pub(super) fn new(
        context: &'a SourceContext<'a>,
        selection: &'a PathSelection,
        lends: bool,
        owners: Option<bool>,
        content_log: Option<ContentLog>,
        tree: OwnedFd,
        side: OwnedFd,
    ) -> Result<Self> {
        let open = |folder| {
            Folders::new(folder).map_err(|errno| {
                Failure::new(Kind::Failed, "Could not open the folder that is restored into")
                    .caused_by(std::io::Error::from(errno))
            })
        };
        Ok(Self {
            context,
            selection,
            lends,
            tree: open(tree)?,
            side: open(side)?,
            applier: Applier::new(owners),
            problems: Problems::new(context.reporter, "restore"),
            made: Made::default(),
            announced: Vec::new(),
            missing: selection.paths().iter().map(Vec::as_slice).collect(),
            has_absolute: false,
            content_log,
        })
    }

    /// Makes everything that the archive holds and the selection wants.
    ///
    /// # Errors
    /// A damaged archive, the input's own failure, a full disk, cancellation. What concerns single items is recorded.
    pub(super) fn run(&mut self, reader: &mut ArchiveReader<'_>) -> Result<()> {
        while let Some(mut item) = reader.next()? {
            self.context.cancel.check()?;
            let path = match inside(&item.path) {
                Ok(path) => path,
                Err(why) => {
                    self.problems.add(&item.path, ProblemKind::Unreadable, why);
                    continue;
                }
            };
            self.has_absolute |= item.path.first() == Some(&b'/');
            self.meet(&path);
            match self.item(reader, &path, &mut item) {
                Ok(()) => {}
                Err(Trouble::Item(why)) => self.problems.add(&path, ProblemKind::Unreadable, why),
                Err(Trouble::Fatal(failure)) => return Err(failure),
            }
        }
        for folders in [&mut self.tree, &mut self.side] {
            match folders.finish(&mut self.applier, &mut self.problems) {
                Ok(()) => {}
                Err(Trouble::Item(why)) => return Err(Failure::new(Kind::Failed, why)),
                Err(Trouble::Fatal(failure)) => return Err(failure),
            }
        }
        if self.has_absolute {
            self.context.reporter.event(Event::Warning(
                "The archive has paths that begin with a slash; they were restored inside the target.".to_owned(),
            ));
        }
        if self.applier.bits_dropped > 0 {
            self.context.reporter.event(Event::Warning(format!(
                "{} files were restored without their set-user-ID and set-group-ID bits, because owners are restored by \
                 root only.",
                self.applier.bits_dropped
            )));
        }
        Ok(())
    }

    /// A path is there if something at it or below it is: not every archive has entries of its folders.
    fn meet(&mut self, path: &[u8]) {
        let mut met = path;
        while !self.missing.is_empty() {
            self.missing.remove(met);
            match met.iter().rposition(|byte| *byte == b'/') {
                Some(slash) => met = &met[..slash],
                None => return,
            }
        }
    }

    /// Checks, at the end of a whole archive, that a selection has found what it asks for.
    ///
    /// # Errors
    /// [`Kind::NotFound`] if a path that was spelled out is not there, or if nothing at all was selected.
    pub(super) fn check_found(&self) -> Result<()> {
        let hint =
            "Paths begin with the source's base name, as `backup-cli ls` shows them; `**/NAME` finds a name anywhere";
        if let Some(path) = self.missing.iter().min() {
            let path = String::from_utf8_lossy(path);
            return Err(Failure::new(Kind::NotFound, format!("Nothing at `{path}` in the archive")).hint(hint));
        }
        let has_something = self.made.files + self.made.folders + self.made.others > 0 || !self.problems.is_empty();
        match has_something || self.selection.is_everything() {
            true => Ok(()),
            false => Err(Failure::new(Kind::NotFound, "Nothing in the archive matches the selection").hint(hint)),
        }
    }

    /// What was made, and what was not.
    pub(super) fn into_parts(self) -> (Made, Problems<'a>) {
        (self.made, self.problems)
    }

    fn item(&mut self, reader: &mut ArchiveReader<'_>, path: &[u8], item: &mut ArchiveItem) -> Result<(), Trouble> {
        let Some(kind) = item.kind else {
            // A volume's label says something about the archive and is no item.
            return match item.type_flag {
                b'V' => Ok(()),
                flag => Err(Trouble::Item(format!(
                    "It has the unknown type `{}`",
                    flag.escape_ascii()
                ))),
            };
        };
        if path.is_empty() {
            // The archive's own top is the target, which keeps what it has.
            return match kind {
                ItemKind::Folder => Ok(()),
                _ => Err(Trouble::Item("It has no name".to_owned())),
            };
        }
        self.announced.retain(|(folder, _)| is_below(path, folder));
        let is_selected = self.selection.is_everything() || self.selection.matches(path);
        let place = match (is_selected, kind) {
            (true, _) => Place::Tree,
            (false, ItemKind::Folder) => {
                let metadata = Metadata::take_from(item);
                self.announced.push((path.to_vec(), metadata));
                return Ok(());
            }
            // A link to a link has to find the thing itself.
            (false, ItemKind::Hardlink) => return Ok(()),
            (false, _) if self.lends => Place::Side,
            (false, _) => return Ok(()),
        };
        self.context
            .reporter
            .progress()
            .set_current(&String::from_utf8_lossy(path));
        let (parent, name) = split(path);
        let announced = match place {
            Place::Tree => self.announced.as_slice(),
            Place::Side => &[],
        };
        let folders = match place {
            Place::Tree => &mut self.tree,
            Place::Side => &mut self.side,
        };
        folders.go_to(parent, announced, &mut self.applier, &mut self.problems)?;
        match kind {
            ItemKind::Folder => {
                let metadata = Metadata::take_from(item);
                self.tree.make(name, path, metadata)?;
                self.made.folders += 1;
            }
            ItemKind::File => {
                self.file(reader, place, name, path, item)?;
                if place == Place::Side {
                    return Ok(());
                }
                self.made.files += 1;
            }
            ItemKind::Hardlink => match self.hard_link(name, path, &item.link)? {
                FileType::RegularFile => self.made.files += 1,
                _ => self.made.others += 1,
            },
            ItemKind::Symlink | ItemKind::Fifo | ItemKind::CharDevice | ItemKind::BlockDevice => {
                self.other(kind, place, name, path, item)?;
                if place == Place::Side {
                    return Ok(());
                }
                self.made.others += 1;
            }
        }
        self.context.reporter.progress().add_item();
        Ok(())
    }

    fn file(
        &mut self,
        reader: &mut ArchiveReader<'_>,
        place: Place,
        name: &[u8],
        path: &[u8],
        item: &mut ArchiveItem,
    ) -> Result<(), Trouble> {
        let folder = match place {
            Place::Tree => self.tree.current()?,
            Place::Side => self.side.current()?,
        };
        let file = making(folder, name, path, || {
            rustix::fs::openat(folder, name, NEW_FILE_FLAGS, Mode::RUSR | Mode::WUSR)
        })?;
        let mut digest = ContentDigest::of(self.content_log.as_ref());
        let written = match &item.extents {
            None => write_whole(reader, &file, path, &mut digest, self.context),
            Some(extents) => write_sparse(reader, &file, path, item.size, extents, self.context),
        };
        match written {
            Ok(()) => {
                if place == Place::Tree {
                    self.made.bytes += item.size;
                    let sha256 = digest.finish().filter(|_| item.extents.is_none());
                    self.log(path, item.size, sha256)?;
                }
            }
            Err(trouble) => {
                // Half a file is worse than none. If even that fails, the trouble is reported all the same.
                let _ = rustix::fs::unlinkat(folder, name, AtFlags::empty());
                return Err(trouble);
            }
        }
        let metadata = Metadata::take_from(item);
        self.applier
            .apply(file.as_fd(), &metadata, false, path, &mut self.problems);
        Ok(())
    }

    fn log(&self, path: &[u8], size: u64, sha256: Option<[u8; 32]>) -> Result<(), Trouble> {
        let Some(log) = &self.content_log else {
            return Ok(());
        };
        let content = LoggedContent {
            path: path.to_vec(),
            size,
            sha256,
        };
        log.add(&content).map_err(Trouble::Fatal)
    }

    /// Adds a name to something that was made before, and says what that is.
    fn hard_link(&mut self, name: &[u8], path: &[u8], link: &[u8]) -> Result<FileType, Trouble> {
        let first = inside(link).map_err(|why| Trouble::Item(format!("Its other name is of no use: {why}")))?;
        if first.is_empty() {
            return Err(Trouble::Item("It is a link to nothing".to_owned()));
        }
        let folder = self.tree.current()?;
        let (first_parent, first_name) = split(&first);
        let mut result = Errno::NOENT;
        for (place, source) in [(Place::Tree, &self.tree), (Place::Side, &self.side)] {
            let opened;
            // Most often both names stand in one folder, which is open already.
            let from = if place == Place::Tree && first_parent == split(path).0 {
                folder
            } else {
                match source.open_parent_of(&first) {
                    Ok(parent) => {
                        opened = parent;
                        opened.as_fd()
                    }
                    Err(errno) => {
                        result = errno;
                        continue;
                    }
                }
            };
            // The other name is looked at first: making room for a link that cannot be made would lose what is there.
            match rustix::fs::statat(from, first_name, AtFlags::SYMLINK_NOFOLLOW) {
                Ok(stat) => {
                    let file_type = FileType::from_raw_mode(stat.st_mode);
                    if file_type == FileType::Directory {
                        return Err(Trouble::Item("It claims to be another name of a folder".to_owned()));
                    }
                    // An item that claims to be another name of itself is there already.
                    if first != path {
                        making(folder, name, path, || {
                            rustix::fs::linkat(from, first_name, folder, name, AtFlags::empty())
                        })?;
                    }
                    // The first name that content on loan gets is the one that brings its bytes back.
                    if place == Place::Side && file_type == FileType::RegularFile && stat.st_nlink == 1 {
                        self.made.bytes += u64::try_from(stat.st_size).unwrap_or(0);
                    }
                    return Ok(file_type);
                }
                Err(errno) => result = errno,
            }
        }
        match result {
            Errno::NOENT | Errno::NOTDIR | Errno::LOOP => Err(Trouble::Item(format!(
                "It is another name of `{}`, which was not restored",
                String::from_utf8_lossy(&first)
            ))),
            errno => Err(Trouble::from_errno(errno, path)),
        }
    }

    fn other(
        &mut self,
        kind: ItemKind,
        place: Place,
        name: &[u8],
        path: &[u8],
        item: &mut ArchiveItem,
    ) -> Result<(), Trouble> {
        let folder = match place {
            Place::Tree => self.tree.current()?,
            Place::Side => self.side.current()?,
        };
        let is_device = matches!(kind, ItemKind::CharDevice | ItemKind::BlockDevice);
        if is_device && !self.applier.restores_owners() {
            return Err(Trouble::Item(
                "Devices are restored together with owners, by root".to_owned(),
            ));
        }
        let link = std::mem::take(&mut item.link);
        if kind == ItemKind::Symlink && link.is_empty() {
            return Err(Trouble::Item("It is a link to nothing".to_owned()));
        }
        let file_type = match kind {
            ItemKind::CharDevice => FileType::CharacterDevice,
            ItemKind::BlockDevice => FileType::BlockDevice,
            _ => FileType::Fifo,
        };
        let device = match is_device {
            true => rustix::fs::makedev(item.device.0, item.device.1),
            false => 0,
        };
        making(folder, name, path, || match kind {
            ItemKind::Symlink => rustix::fs::symlinkat(link.as_slice(), folder, name),
            _ => rustix::fs::mknodat(folder, name, file_type, Mode::RUSR | Mode::WUSR, device),
        })?;
        let metadata = Metadata::take_from(item);
        let is_link = kind == ItemKind::Symlink;
        self.applier
            .apply_at(folder, name, &metadata, is_link, path, &mut self.problems);
        Ok(())
    }
}

/// Makes something, and makes room for it once if the path is taken: of two items with one path the later wins.
fn making<T>(
    folder: BorrowedFd<'_>,
    name: &[u8],
    path: &[u8],
    make: impl Fn() -> Result<T, Errno>,
) -> Result<T, Trouble> {
    let result = match make() {
        Err(Errno::EXIST) => match rustix::fs::unlinkat(folder, name, AtFlags::empty()) {
            Ok(()) => make(),
            Err(Errno::ISDIR | Errno::PERM) => match rustix::fs::unlinkat(folder, name, AtFlags::REMOVEDIR) {
                Ok(()) => make(),
                Err(_) => {
                    return Err(Trouble::Item(
                        "A folder with content has the same path in the archive".to_owned(),
                    ));
                }
            },
            Err(errno) => Err(errno),
        },
        result => result,
    };
    result.map_err(|errno| Trouble::from_errno(errno, path))
}

fn write_whole(
    reader: &mut ArchiveReader<'_>,
    file: &OwnedFd,
    path: &[u8],
    digest: &mut ContentDigest,
    context: &SourceContext<'_>,
) -> Result<(), Trouble> {
    loop {
        let block = reader.content()?;
        if block.is_empty() {
            return Ok(());
        }
        digest.update(block);
        write_all(block, path, |rest, _| rustix::io::write(file, rest))?;
        context.reporter.progress().add_plain(block.len() as u64);
        context.cancel.check()?;
    }
}

fn write_sparse(
    reader: &mut ArchiveReader<'_>,
    file: &OwnedFd,
    path: &[u8],
    size: u64,
    extents: &[super::sparse::Extent],
    context: &SourceContext<'_>,
) -> Result<(), Trouble> {
    rustix::fs::ftruncate(file, size).map_err(|errno| Trouble::from_errno(errno, path))?;
    let mut extents = extents.iter();
    let mut current = extents.next().copied();
    loop {
        let block = reader.content()?;
        if block.is_empty() {
            return Ok(());
        }
        context.reporter.progress().add_plain(block.len() as u64);
        context.cancel.check()?;
        let mut rest = block;
        while !rest.is_empty() {
            let Some(extent) = &mut current else {
                // The map was found to cover the content exactly.
                return Err(Trouble::Item("It has more data than its map says".to_owned()));
            };
            let take = usize::try_from(extent.length).unwrap_or(usize::MAX).min(rest.len());
            let start = extent.offset;
            write_all(&rest[..take], path, |part, done| {
                rustix::io::pwrite(file, part, start + done)
            })?;
            rest = &rest[take..];
            extent.offset += take as u64;
            extent.length -= take as u64;
            if extent.length == 0 {
                current = extents.next().copied();
            }
        }
    }
}

fn write_all(mut rest: &[u8], path: &[u8], write: impl Fn(&[u8], u64) -> Result<usize, Errno>) -> Result<(), Trouble> {
    let mut done = 0;
    while !rest.is_empty() {
        match write(rest, done) {
            Ok(0) => return Err(Trouble::Item(words(Errno::IO))),
            Ok(written) => {
                rest = &rest[written..];
                done += written as u64;
            }
            Err(Errno::INTR) => {}
            Err(errno) => return Err(Trouble::from_errno(errno, path)),
        }
    }
    Ok(())
}

/// The path as it can be used inside the target: without slashes at its ends, empty parts and `.`.
pub(super) fn inside(path: &[u8]) -> Result<Vec<u8>, &'static str> {
    let mut out = Vec::with_capacity(path.len());
    let mut depth = 0;
    for part in path.split(|byte| *byte == b'/') {
        match part {
            b"" | b"." => {}
            b".." => return Err("Its path leads upwards by `..`"),
            part if part.contains(&0) => return Err("Its path has a NUL in it"),
            _ if depth == DEPTH_MAX => return Err("Its path is deeper than any that makes sense"),
            part => {
                depth += 1;
                if !out.is_empty() {
                    out.push(b'/');
                }
                out.extend_from_slice(part);
            }
        }
    }
    Ok(out)
}

fn is_below(path: &[u8], folder: &[u8]) -> bool {
    path.len() > folder.len() && path.starts_with(folder) && path.get(folder.len()) == Some(&b'/')
}

fn split(path: &[u8]) -> (&[u8], &[u8]) {
    match path.iter().rposition(|byte| *byte == b'/') {
        Some(slash) => (&path[..slash], &path[slash + 1..]),
        None => (&[], path),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_stay_inside() {
        assert_eq!(inside(b"/etc//./passwd/"), Ok(b"etc/passwd".to_vec()));
        assert_eq!(inside(b"./"), Ok(Vec::new()));
        assert_eq!(inside(b"..."), Ok(b"...".to_vec()));
        for path in [b"..".as_slice(), b"a/../b", b"/..", b"a/..", b"a\0b"] {
            assert!(inside(path).is_err());
        }
    }
}
