//! A store in a folder: the same layout as in a bucket, each object a file.
//!
//! A file is written under a temporary name in the folder where it will stand, made durable, and given its name in one step
//! that fails if the name is taken. Files are created for their owner alone (0600, folders 0700).
//!
//! The token is kept in the extended attribute `user.backup-cli.token`. Where the file system has none, it is remembered in
//! memory for as long as this store is open, which is what the end of an upload needs; a later run is told `None`. The other
//! metadata of [`PutOptions`] has no place in a folder and is left out. There are no entity tags: a file system computes no
//! checksum, and the manifest has one.
//!
//! Reading follows symbolic links, so that old backups can be moved to another disk and linked; writing and removing never
//! go through a linked folder.

use std::collections::{BTreeMap, VecDeque};
use std::fs::File;
use std::io::Read;
use std::ops::{ControlFlow, Range};
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use jiff::Timestamp;
use rustix::fs::AtFlags;
use rustix::io::Errno;

use self::place::{Folder, Place, not_a_folder};
use self::staged::{Staged, final_name, token_of};
use self::walk::{Walk, Wanted, present};
use super::address::folder_url;
use super::archive::ThawRequest;
use super::{Key, Limits, ObjectMeta, Part, PartReceipt, PutOptions, Store, UnfinishedUpload, Upload, not_expected};
use crate::base::failure::{Failure, IoContext, Kind, Result, into_io, io_failure};
use crate::base::units::GIB;

mod place;
mod staged;
mod walk;

/// A folder has no limits worth planning for, but the list of parts is held in memory: this is some 6 MiB of it, and
/// 1.6 TB at 16 MiB a part, beyond which parts grow.
const PARTS_MAX: u32 = 100_000;

/// A part stands in memory, so this bound is S3's.
const PART_BYTES_MAX: u64 = 5 * GIB;

/// How many tokens are remembered where files cannot carry them: one run writes a handful of objects.
const TOKENS_REMEMBERED_MAX: usize = 1000;

/// How often a folder is created again that another run tidies away in the same moment.
const VANISHED_ATTEMPTS_MAX: u32 = 16;

/// The store of one folder; see the module's own words.
#[derive(Clone, Debug)]
pub struct LocalStore {
    root: PathBuf,
    tokens: Arc<Mutex<VecDeque<RememberedToken>>>,
}

/// A token of a file that cannot carry it itself.
#[derive(Clone, Debug)]
struct RememberedToken {
    device: u64,
    inode: u64,
    token: String,
}

impl LocalStore {
    /// Opens the store of a folder, which is created by the first write if it does not exist.
    ///
    /// # Errors
    /// [`Kind::Config`] if something else has the folder's name.
    pub fn open(folder: PathBuf) -> Result<Self> {
        let root =
            std::path::absolute(&folder).doing(|| format!("find the folder `{}` of the store", folder.display()))?;
        let meta = present(root.metadata()).doing(|| format!("look at the folder `{}`", root.display()))?;
        if meta.is_some_and(|meta| !meta.is_dir()) {
            return Err(not_a_folder(&root));
        }
        Ok(Self {
            root,
            tokens: Arc::default(),
        })
    }

    /// Refuses to take a folder that is missing for a store that is empty: it may be on a disk that is not mounted.
    fn check_exists(&self) -> Result<()> {
        match present(self.root.metadata()).doing(|| format!("look at the folder `{}`", self.root.display()))? {
            Some(meta) if meta.is_dir() => Ok(()),
            Some(_) => Err(not_a_folder(&self.root)),
            None => Err(Failure::new(
                Kind::NotFound,
                format!("The folder of the store does not exist: `{}`", self.root.display()),
            )
            .hint("The first backup creates it; if it should be there, check that its disk is mounted and the path is right")),
        }
    }

    fn stage(&self, key: &Key) -> Result<Staged> {
        let place = Place::of(key.as_str())?;
        let mut attempt = 1;
        loop {
            let staged = Folder::find_or_create(&self.root, &place.folders)
                .and_then(|folder| Staged::create(folder, place.file_name));
            match staged {
                Err(failure) if failure.kind() == Kind::NotFound && attempt < VANISHED_ATTEMPTS_MAX => attempt += 1,
                other => {
                    return other.map_err(|failure| begun(failure, key));
                }
            }
        }
    }

    fn meta(&self, key: &Key, file: &std::fs::Metadata, token: Option<String>) -> ObjectMeta {
        ObjectMeta {
            key: key.clone(),
            bytes: file.len(),
            modified: file.modified().ok().and_then(|time| Timestamp::try_from(time).ok()),
            etag: None,
            etag_is_md5: false,
            version_id: None,
            storage_class: None,
            archive: None,
            token,
        }
    }

    fn remembered_token(&self, file: &std::fs::Metadata) -> Option<String> {
        lock(&self.tokens)
            .iter()
            .rev()
            .find(|known| (known.device, known.inode) == (file.dev(), file.ino()))
            .map(|known| known.token.clone())
    }

    /// Opens the file of a key; `None` if there is none, or if a folder stands there.
    fn open_file(&self, key: &Key) -> Result<Option<(File, std::fs::Metadata)>> {
        let path = Place::of(key.as_str())?.path(&self.root);
        let doing = || format!("read `{}`", path.display());
        // Looked at before it is opened: to open a named pipe would wait for somebody to write to it.
        match present(path.metadata()).doing(doing)? {
            Some(meta) if meta.is_file() => {}
            _ => return Ok(None),
        }
        let Some(file) = present(File::open(&path)).doing(doing)? else {
            return Ok(None);
        };
        let meta = file.metadata().doing(doing)?;
        Ok(Some((file, meta)))
    }

    /// Removes the folders that a removed object leaves empty, up to the store's own.
    fn tidy(&self, folders: &[&str]) -> Result<()> {
        for depth in (0..folders.len()).rev() {
            let Some(parent) = Folder::find(&self.root, &folders[..depth])? else {
                return Ok(());
            };
            match rustix::fs::unlinkat(&parent, folders[depth], AtFlags::REMOVEDIR) {
                Ok(()) => parent.sync()?,
                // Not empty is the usual case; and an empty folder that stays does no harm.
                Err(_) => return Ok(()),
            }
        }
        Ok(())
    }
}

impl Store for LocalStore {
    fn url(&self) -> String {
        folder_url(&self.root)
    }

    fn prefix(&self) -> &str {
        ""
    }

    /// The time of whoever keeps the file system, as a file that is made now has it. Where nothing can be made, nobody tells.
    fn now(&self) -> Result<Option<Timestamp>> {
        let Ok(made) = tempfile::tempfile_in(&self.root) else {
            return Ok(None);
        };
        let stat = rustix::fs::fstat(&made).map_err(std::io::Error::from);
        let stat = stat.doing(|| format!("look at a file of `{}`", self.root.display()))?;
        let nanoseconds = i32::try_from(stat.st_mtime_nsec).unwrap_or(0);
        Ok(Timestamp::new(stat.st_mtime, nanoseconds).ok())
    }

    fn limits(&self) -> Limits {
        Limits {
            part_bytes_min: 1,
            part_bytes_max: PART_BYTES_MAX,
            parts_max: PARTS_MAX,
            parts_equal: false,
            // The greatest offset that the system's calls can express.
            object_bytes_max: i64::MAX as u64,
        }
    }

    fn put(&self, key: &Key, body: Bytes, options: &PutOptions) -> Result<ObjectMeta> {
        let upload = self.begin(key, options)?;
        upload.staged.write_at(&body, 0)?;
        upload.publish(body.len() as u64)
    }

    fn replace_if(&self, key: &Key, body: Bytes, options: &PutOptions, expected: &ObjectMeta) -> Result<ObjectMeta> {
        let upload = self.begin(key, options)?;
        upload.staged.write_at(&body, 0)?;
        // The last moment before the rename: a file system knows no condition on what is replaced.
        match self.head(key)? {
            Some(stands) if expected.is_still(&stands) => upload.replace(body.len() as u64),
            _ => Err(not_expected(key)),
        }
    }

    fn start_upload(&self, key: &Key, options: &PutOptions) -> Result<Box<dyn Upload>> {
        Ok(Box::new(self.begin(key, options)?))
    }

    fn get(&self, key: &Key, range: Option<Range<u64>>) -> Result<Box<dyn Read + Send>> {
        let Some((file, meta)) = self.open_file(key)? else {
            return Err(Failure::new(
                Kind::NotFound,
                format!("No such object: `{key}` in {}", self.url()),
            ));
        };
        let range = range.unwrap_or(0..meta.len());
        if range.start > range.end || range.end > meta.len() {
            return Err(Failure::new(
                Kind::Damaged,
                format!(
                    "The object `{key}` has {} bytes; bytes {} to {} were asked for",
                    meta.len(),
                    range.start,
                    range.end
                ),
            ));
        }
        Ok(Box::new(RangeReader {
            key: key.clone(),
            file,
            range,
        }))
    }

    fn head(&self, key: &Key) -> Result<Option<ObjectMeta>> {
        Ok(self.open_file(key)?.map(|(file, meta)| {
            let token = token_of(&file).or_else(|| self.remembered_token(&meta));
            self.meta(key, &meta, token)
        }))
    }

    fn list(&self, prefix: &str, visit: &mut dyn FnMut(ObjectMeta) -> Result<ControlFlow<()>>) -> Result<()> {
        self.check_exists()?;
        Walk::new(&self.root, prefix, Wanted::Objects)?.files(&mut |found| {
            let meta =
                present(found.path.metadata()).doing(|| format!("look at the file `{}`", found.path.display()))?;
            match meta {
                Some(meta) => visit(self.meta(&Key::new(found.key), &meta, None)),
                // Removed since its name was read.
                None => Ok(ControlFlow::Continue(())),
            }
        })
    }

    fn list_folders(&self, prefix: &str, visit: &mut dyn FnMut(&str) -> Result<ControlFlow<()>>) -> Result<()> {
        self.check_exists()?;
        Walk::new(&self.root, prefix, Wanted::Objects)?.folders(visit)
    }

    fn delete(&self, key: &Key) -> Result<()> {
        let place = Place::of(key.as_str())?;
        let failed = |failure: Failure| failure.context(format!("Could not remove the object `{key}`"));
        let folder = match Folder::find(&self.root, &place.folders) {
            Ok(Some(folder)) => folder,
            Ok(None) => return Ok(()),
            // Where a file stands in place of the folder, there is no such object.
            Err(failure) if failure.kind() == Kind::Conflict => return Ok(()),
            Err(failure) => return Err(failed(failure)),
        };
        match rustix::fs::unlinkat(&folder, place.file_name, AtFlags::empty()) {
            Ok(()) => folder.sync().map_err(failed)?,
            Err(Errno::NOENT) => return Ok(()),
            // A folder of that name is no object.
            Err(Errno::ISDIR) => return Ok(()),
            Err(error) => {
                let path = folder.path.join(place.file_name);
                return Err(io_failure(format!("remove `{}`", path.display()), error.into()));
            }
        }
        self.tidy(&place.folders).map_err(failed)
    }

    fn thaw(&self, key: &Key, _: &ThawRequest) -> Result<()> {
        Err(Failure::new(Kind::Unsupported, format!("`{key}` is in no archive")))
    }

    fn unfinished_uploads(&self, prefix: &str) -> Result<Vec<UnfinishedUpload>> {
        let mut uploads = Vec::new();
        // The names in a folder differ from the keys' by their beginning, so the last part of the prefix is looked at here.
        let folder = &prefix[..prefix.rfind('/').map_or(0, |slash| slash + 1)];
        Walk::new(&self.root, folder, Wanted::Unfinished)?.files(&mut |found| {
            if found.key.starts_with(prefix)
                && let Some(meta) =
                    present(found.path.metadata()).doing(|| format!("look at the file `{}`", found.path.display()))?
            {
                let name = found.path.strip_prefix(&self.root).unwrap_or(found.path);
                // The time of the last part, where there is any: as long as parts arrive, somebody is at work.
                let initiated = meta.modified().or_else(|_| meta.created()).ok();
                uploads.push(UnfinishedUpload {
                    key: Key::new(found.key),
                    upload_id: name.to_string_lossy().into_owned(),
                    initiated: initiated.and_then(|time| Timestamp::try_from(time).ok()),
                });
            }
            Ok(ControlFlow::Continue(()))
        })?;
        Ok(uploads)
    }

    fn abort_unfinished(&self, upload: &UnfinishedUpload) -> Result<()> {
        let place = Place::of(upload.key.as_str())?;
        let name = upload.upload_id.rsplit('/').next().unwrap_or_default();
        // Nothing but a temporary file of that very key is ever removed here.
        if final_name(name) != Some(place.file_name) {
            return Err(Failure::new(
                Kind::Usage,
                format!("Not an unfinished file of `{}`: `{name}`", upload.key),
            ));
        }
        let Some(folder) = Folder::find(&self.root, &place.folders)? else {
            return Ok(());
        };
        match rustix::fs::unlinkat(&folder, name, AtFlags::empty()) {
            Ok(()) => folder.sync()?,
            Err(Errno::NOENT) => return Ok(()),
            Err(error) => {
                let path = folder.path.join(name);
                return Err(io_failure(format!("remove `{}`", path.display()), error.into()));
            }
        }
        self.tidy(&place.folders)
    }
}

impl LocalStore {
    fn begin(&self, key: &Key, options: &PutOptions) -> Result<LocalUpload> {
        let staged = self.stage(key)?;
        let is_remembered = !staged.set_token(&options.token);
        let upload = LocalUpload {
            store: self.clone(),
            key: key.clone(),
            token: options.token.clone(),
            staged,
            state: Mutex::new(State::default()),
        };
        if is_remembered {
            upload.remember_token()?;
        }
        Ok(upload)
    }
}

/// An object on its way: one temporary file, into which each part is written at its place.
struct LocalUpload {
    store: LocalStore,
    key: Key,
    token: String,
    staged: Staged,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    has_ended: bool,
    is_published: bool,
    /// Offset and length of each part that has been written.
    parts: BTreeMap<u32, (u64, u64)>,
}

impl LocalUpload {
    fn remember_token(&self) -> Result<()> {
        let meta = self
            .staged
            .file()
            .metadata()
            .doing(|| format!("look at `{}`", self.key))?;
        let mut tokens = lock(&self.store.tokens);
        if tokens.len() >= TOKENS_REMEMBERED_MAX {
            tokens.pop_front();
        }
        tokens.push_back(RememberedToken {
            device: meta.dev(),
            inode: meta.ino(),
            token: self.token.clone(),
        });
        Ok(())
    }

    fn check_open(&self) -> Result<()> {
        if lock(&self.state).has_ended {
            return Err(Failure::new(
                Kind::Failed,
                format!("The upload of `{}` has ended already", self.key),
            ));
        }
        Ok(())
    }

    /// Removes the temporary file, and the folders that were created for it.
    fn throw_away(&self) -> Result<()> {
        if lock(&self.state).is_published {
            return Ok(());
        }
        self.staged.unlink()?;
        self.store.tidy(&Place::of(self.key.as_str())?.folders)
    }

    fn publish(&self, object_bytes: u64) -> Result<ObjectMeta> {
        self.staged.publish(object_bytes)?;
        self.published()
    }

    fn replace(&self, object_bytes: u64) -> Result<ObjectMeta> {
        self.staged.replace(object_bytes)?;
        self.published()
    }

    fn published(&self) -> Result<ObjectMeta> {
        lock(&self.state).is_published = true;
        let meta = self
            .staged
            .file()
            .metadata()
            .doing(|| format!("look at `{}`", self.key))?;
        Ok(self.store.meta(&self.key, &meta, Some(self.token.clone())))
    }
}

impl Upload for LocalUpload {
    fn put_part(&self, part: Part) -> Result<PartReceipt> {
        self.check_open()?;
        let bytes = part.body.len() as u64;
        if !(1..=PARTS_MAX).contains(&part.number) {
            return Err(Failure::new(
                Kind::Unsupported,
                format!("Parts are numbered from 1 to {PARTS_MAX}: {}", part.number),
            ));
        }
        // The MD5 is not compared: the bytes have not left this process, and no wire could have changed them.
        self.staged.write_at(&part.body, part.offset)?;
        lock(&self.state).parts.insert(part.number, (part.offset, bytes));
        // An abort may have passed by meanwhile; what was written is gone then.
        self.check_open()?;
        Ok(PartReceipt {
            number: part.number,
            bytes,
            md5: part.md5,
            etag: None,
        })
    }

    fn complete(&self, receipts: &[PartReceipt], object_bytes: u64) -> Result<ObjectMeta> {
        self.check_open()?;
        {
            let mut state = lock(&self.state);
            state
                .check(receipts, object_bytes)
                .map_err(|failure| failure.context(format!("Could not complete the object `{}`", self.key)))?;
            // Whatever comes of it: nothing can be added any more, and what fails here cannot be tried again.
            state.has_ended = true;
        }
        // A part that was sent again in a shorter form leaves its old tail behind the end.
        self.staged
            .file()
            .set_len(object_bytes)
            .doing(|| format!("complete the object `{}`", self.key))?;
        self.publish(object_bytes)
    }

    fn abort(&self) -> Result<()> {
        lock(&self.state).has_ended = true;
        self.throw_away()
    }
}

impl State {
    /// Tells whether the parts lie one after the other, without a gap, up to the object's end.
    fn check(&self, receipts: &[PartReceipt], object_bytes: u64) -> Result<()> {
        let mut position = 0u64;
        for (number, receipt) in (1u32..).zip(receipts) {
            let written = self.parts.get(&number).copied();
            if receipt.number != number || written != Some((position, receipt.bytes)) {
                return Err(Failure::new(
                    Kind::Failed,
                    format!(
                        "Part {} was not written as its receipt says ({} bytes at {position})",
                        receipt.number, receipt.bytes
                    ),
                ));
            }
            position = position.saturating_add(receipt.bytes);
        }
        if position != object_bytes {
            return Err(Failure::new(
                Kind::Failed,
                format!("The parts have {position} bytes together instead of {object_bytes}"),
            ));
        }
        Ok(())
    }
}

impl Drop for LocalUpload {
    fn drop(&mut self) {
        // A failure has no listener here.
        drop(self.throw_away());
    }
}

/// Reads a range and takes an early end for the error that it is.
#[derive(Debug)]
struct RangeReader {
    key: Key,
    file: File,
    range: Range<u64>,
}

impl Read for RangeReader {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let left = usize::try_from(self.range.end - self.range.start).unwrap_or(usize::MAX);
        let wanted = left.min(buffer.len());
        if wanted == 0 {
            return Ok(0);
        }
        let count = std::os::unix::fs::FileExt::read_at(&self.file, &mut buffer[..wanted], self.range.start)?;
        if count == 0 {
            return Err(into_io(Failure::new(
                Kind::Damaged,
                format!(
                    "The object `{}` ended at byte {} while it was read up to byte {}",
                    self.key, self.range.start, self.range.end
                ),
            )));
        }
        self.range.start += count as u64;
        Ok(count)
    }
}

/// What kept an object from being begun.
fn begun(failure: Failure, key: &Key) -> Failure {
    let failure = failure.context(format!("Could not begin the object `{key}`"));
    match failure.kind() {
        Kind::Denied => failure.hint("Run it as a user that may write there, or give that user the folder"),
        _ => failure,
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
