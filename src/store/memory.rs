//! A store in memory, for the tests of what is built above stores: it behaves like a strict S3 and shows what it holds.

use std::collections::BTreeMap;
use std::io::{Cursor, Read};
use std::ops::{Bound, ControlFlow, Range};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::{Bytes, BytesMut};
use jiff::Timestamp;
use md5::{Digest, Md5};

use super::archive::ThawRequest;
use super::object_lock::{LockSeen, ObjectLock};
use super::removal::{Deletion, Doomed, Retained};
use super::{Key, Limits, ObjectMeta, Part, PartReceipt, PutOptions, Store, UnfinishedUpload, Upload, not_expected};
use crate::base::clock::{Clock, SystemClock};
use crate::base::failure::{Failure, Kind, Result};
use crate::base::units::{GIB, TIB};

/// S3's limits, except that parts may be as small as a test likes.
pub const MEMORY_LIMITS: Limits = Limits {
    part_bytes_min: 1,
    part_bytes_max: 5 * GIB,
    parts_max: 10_000,
    parts_equal: false,
    object_bytes_max: 5 * TIB,
};

/// A store that lives as long as its last clone; clones share the content.
#[derive(Clone)]
pub struct MemoryStore {
    content: Arc<Mutex<Content>>,
    clock: Arc<dyn Clock>,
    limits: Limits,
    prefix: String,
    locks: MemoryLocks,
}

/// What a [`MemoryStore`] makes of locks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum MemoryLocks {
    /// It has none, like a folder.
    #[default]
    Never,
    /// It keeps them.
    Kept,
    /// It takes no notice of them in uploads of parts, but for a later request.
    IgnoredInUploads,
    /// It takes no notice of any, and says that it did.
    Ignored,
    /// It is not set up for them.
    Missing,
}

#[derive(Default)]
struct Content {
    objects: BTreeMap<String, Object>,
    uploads: BTreeMap<u64, UploadState>,
    uploads_begun: u64,
}

struct Object {
    body: Bytes,
    options: Option<PutOptions>,
    modified: Timestamp,
    etag: String,
    lock: Option<ObjectLock>,
}

struct UploadState {
    key: Key,
    options: PutOptions,
    initiated: Timestamp,
    parts: BTreeMap<u32, Part>,
}

impl std::fmt::Debug for MemoryStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("MemoryStore").field("keys", &self.keys()).finish()
    }
}

impl Default for MemoryStore {
    fn default() -> Self {
        Self::new()
    }
}

impl MemoryStore {
    /// An empty store with [`MEMORY_LIMITS`].
    #[must_use]
    pub fn new() -> Self {
        Self {
            content: Arc::default(),
            clock: Arc::new(SystemClock),
            limits: MEMORY_LIMITS,
            prefix: String::new(),
            locks: MemoryLocks::Never,
        }
    }

    /// The same store with locks.
    #[must_use]
    pub fn with_locks(self, locks: MemoryLocks) -> Self {
        Self { locks, ..self }
    }

    /// The same store with other limits, which it enforces.
    #[must_use]
    pub fn with_limits(self, limits: Limits) -> Self {
        Self { limits, ..self }
    }

    /// The same store with a prefix, given without slashes at its ends.
    #[must_use]
    pub fn with_prefix(self, prefix: &str) -> Self {
        Self {
            prefix: prefix.to_owned(),
            ..self
        }
    }

    /// The same store with another clock, by which objects are dated.
    #[must_use]
    pub fn with_clock(self, clock: Arc<dyn Clock>) -> Self {
        Self { clock, ..self }
    }

    /// Every key, in order.
    #[must_use]
    pub fn keys(&self) -> Vec<String> {
        self.content().objects.keys().cloned().collect()
    }

    /// An object's content.
    #[must_use]
    pub fn body(&self, key: &str) -> Option<Bytes> {
        self.content().objects.get(key).map(|object| object.body.clone())
    }

    /// How an object was created; `None` if there is none or if [`MemoryStore::set_body`] made it.
    #[must_use]
    pub fn options(&self, key: &str) -> Option<PutOptions> {
        self.content()
            .objects
            .get(key)
            .and_then(|object| object.options.clone())
    }

    /// Sets an object's content behind the back of the contract: to damage it, or to place one that another tool made.
    pub fn set_body(&self, key: &str, body: impl Into<Bytes>) {
        let body = body.into();
        let modified = self.clock.now();
        let mut content = self.content();
        let etag = hex::encode(Md5::digest(&body));
        let old = content.objects.get(key);
        let (options, lock) = old.map_or((None, None), |object| (object.options.clone(), object.lock));
        content.objects.insert(
            key.to_owned(),
            Object {
                body,
                options,
                modified,
                etag,
                lock,
            },
        );
    }

    /// Changes an object's content as a disk does that decays: nothing else of it changes.
    pub fn decay(&self, key: &str, body: impl Into<Bytes>) {
        if let Some(object) = self.content().objects.get_mut(key) {
            object.body = body.into();
        }
    }

    fn content(&self) -> MutexGuard<'_, Content> {
        self.content.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Content {
    fn meta(key: &str, object: &Object, with_token: bool) -> ObjectMeta {
        ObjectMeta {
            key: Key::new(key),
            bytes: object.body.len() as u64,
            modified: Some(object.modified),
            etag: Some(object.etag.clone()),
            etag_is_md5: true,
            version_id: None,
            storage_class: None,
            archive: None,
            token: object
                .options
                .as_ref()
                .filter(|_| with_token)
                .map(|options| options.token.clone()),
        }
    }

    fn create(&mut self, key: &Key, object: Object) -> Result<ObjectMeta> {
        if self.objects.contains_key(key.as_str()) {
            return Err(Failure::new(
                Kind::Conflict,
                format!("The object exists already: `{key}`"),
            ));
        }
        let meta = Self::meta(key.as_str(), &object, true);
        self.objects.insert(key.as_str().to_owned(), object);
        Ok(meta)
    }

    /// The first key after a place, if it begins with the prefix.
    fn next_key(&self, prefix: &str, after: Bound<&str>) -> Option<(&String, &Object)> {
        self.objects
            .range::<str, _>((after, Bound::Unbounded))
            .next()
            .filter(|(key, _)| key.starts_with(prefix))
    }
}

fn refused(message: String) -> Failure {
    Failure::new(Kind::Unsupported, message)
}

impl Store for MemoryStore {
    fn url(&self) -> String {
        if self.prefix.is_empty() {
            "memory://".to_owned()
        } else {
            format!("memory:///{}", self.prefix)
        }
    }

    fn prefix(&self) -> &str {
        &self.prefix
    }

    fn limits(&self) -> Limits {
        self.limits
    }

    fn put(&self, key: &Key, body: Bytes, options: &PutOptions) -> Result<ObjectMeta> {
        let object = Object {
            etag: hex::encode(Md5::digest(&body)),
            body,
            options: Some(options.clone()),
            modified: self.clock.now(),
            lock: options
                .lock
                .filter(|_| matches!(self.locks, MemoryLocks::Kept | MemoryLocks::IgnoredInUploads)),
        };
        self.content().create(key, object)
    }

    fn replace_if(&self, key: &Key, body: Bytes, options: &PutOptions, expected: &ObjectMeta) -> Result<ObjectMeta> {
        let object = Object {
            etag: hex::encode(Md5::digest(&body)),
            body,
            options: Some(options.clone()),
            modified: self.clock.now(),
            lock: options.lock.filter(|_| self.locks == MemoryLocks::Kept),
        };
        let mut content = self.content();
        let stands = content.objects.get(key.as_str());
        let is_expected = stands.is_some_and(|stands| expected.is_still(&Content::meta(key.as_str(), stands, true)));
        if !is_expected {
            return Err(not_expected(key));
        }
        let meta = Content::meta(key.as_str(), &object, true);
        content.objects.insert(key.as_str().to_owned(), object);
        Ok(meta)
    }

    fn start_upload(&self, key: &Key, options: &PutOptions) -> Result<Box<dyn Upload>> {
        let initiated = self.clock.now();
        let mut content = self.content();
        content.uploads_begun += 1;
        let id = content.uploads_begun;
        content.uploads.insert(
            id,
            UploadState {
                key: key.clone(),
                options: options.clone(),
                initiated,
                parts: BTreeMap::new(),
            },
        );
        Ok(Box::new(MemoryUpload {
            store: self.clone(),
            id,
        }))
    }

    fn get(&self, key: &Key, range: Option<Range<u64>>) -> Result<Box<dyn Read + Send>> {
        let Some(body) = self.body(key.as_str()) else {
            return Err(Failure::new(Kind::NotFound, format!("No such object: `{key}`")));
        };
        let length = body.len() as u64;
        let range = range.unwrap_or(0..length);
        if range.start > range.end || range.end > length {
            return Err(Failure::new(
                Kind::Damaged,
                format!(
                    "The object `{key}` has {length} bytes; bytes {} to {} were asked for",
                    range.start, range.end
                ),
            ));
        }
        // The bounds are those of a slice that is in memory, so they fit.
        Ok(Box::new(Cursor::new(
            body.slice(range.start as usize..range.end as usize),
        )))
    }

    fn head(&self, key: &Key) -> Result<Option<ObjectMeta>> {
        let content = self.content();
        Ok(content
            .objects
            .get(key.as_str())
            .map(|object| Content::meta(key.as_str(), object, true)))
    }

    fn list(&self, prefix: &str, visit: &mut dyn FnMut(ObjectMeta) -> Result<ControlFlow<()>>) -> Result<()> {
        // The lock is not held while the visitor runs: it may well call this store.
        let mut last: Option<String> = None;
        loop {
            let meta = {
                let content = self.content();
                let after = last.as_deref().map_or(Bound::Included(prefix), Bound::Excluded);
                content
                    .next_key(prefix, after)
                    .map(|(key, object)| Content::meta(key, object, false))
            };
            let Some(meta) = meta else {
                return Ok(());
            };
            last = Some(meta.key.as_str().to_owned());
            if visit(meta)?.is_break() {
                return Ok(());
            }
        }
    }

    fn list_folders(&self, prefix: &str, visit: &mut dyn FnMut(&str) -> Result<ControlFlow<()>>) -> Result<()> {
        let mut from = prefix.to_owned();
        loop {
            let key = {
                let content = self.content();
                match content.next_key(prefix, Bound::Included(&from)) {
                    Some((key, _)) => key.clone(),
                    None => return Ok(()),
                }
            };
            match key[prefix.len()..].find('/') {
                Some(slash) => {
                    let folder = &key[..=prefix.len() + slash];
                    if visit(folder)?.is_break() {
                        return Ok(());
                    }
                    // `0` follows `/` in ASCII: the first text that is greater than every key in the folder.
                    from = format!("{}0", folder.trim_end_matches('/'));
                }
                None => from = key + "\0",
            }
        }
    }

    fn delete(&self, key: &Key) -> Result<()> {
        if let Some(Retained { until: Some(until) }) = self.retained(key)? {
            return Err(Failure::new(Kind::Denied, format!("`{key}` is locked until {until}")));
        }
        self.content().objects.remove(key.as_str());
        Ok(())
    }

    fn delete_many(&self, objects: &[Doomed]) -> Result<Vec<Deletion>> {
        let remove = |doomed: &Doomed| match self.retained(&doomed.key)? {
            Some(retained) => Ok(Deletion::Retained(retained)),
            None => self.delete(&doomed.key).map(|()| Deletion::Gone),
        };
        objects.iter().map(remove).collect()
    }

    fn retained(&self, key: &Key) -> Result<Option<Retained>> {
        let lock = self.content().objects.get(key.as_str()).and_then(|object| object.lock);
        Ok(lock.filter(|lock| lock.until > self.clock.now()).map(|lock| Retained {
            until: Some(lock.until),
        }))
    }

    fn prepare_locks(&self) -> Result<bool> {
        match self.locks {
            MemoryLocks::Never => Ok(false),
            MemoryLocks::Missing => Err(Failure::new(Kind::Config, "The store has no object lock")),
            MemoryLocks::Kept | MemoryLocks::IgnoredInUploads | MemoryLocks::Ignored => Ok(true),
        }
    }

    fn lock_of(&self, key: &Key, _: Option<&str>) -> Result<LockSeen> {
        let lock = self.content().objects.get(key.as_str()).and_then(|object| object.lock);
        Ok(lock.map_or(LockSeen::Unlocked, LockSeen::Locked))
    }

    fn extend_lock(&self, key: &Key, _: Option<&str>, lock: &ObjectLock) -> Result<()> {
        let mut content = self.content();
        let Some(object) = content.objects.get_mut(key.as_str()) else {
            return Err(Failure::new(Kind::NotFound, format!("No such object: `{key}`")));
        };
        if object.lock.is_some_and(|old| !lock.covers(&old)) {
            return Err(Failure::new(
                Kind::Denied,
                format!("The lock of `{key}` cannot be weakened"),
            ));
        }
        if matches!(self.locks, MemoryLocks::Kept | MemoryLocks::IgnoredInUploads) {
            object.lock = Some(*lock);
        }
        Ok(())
    }

    fn thaw(&self, key: &Key, _: &ThawRequest) -> Result<()> {
        Err(Failure::new(Kind::Unsupported, format!("`{key}` is in no archive")))
    }

    fn abort_unfinished(&self, upload: &UnfinishedUpload) -> Result<()> {
        let id = upload.upload_id.parse().unwrap_or(0);
        self.content().uploads.remove(&id);
        Ok(())
    }

    fn now(&self) -> Result<Option<Timestamp>> {
        Ok(Some(self.clock.now()))
    }

    fn unfinished_uploads(&self, prefix: &str) -> Result<Vec<UnfinishedUpload>> {
        let content = self.content();
        Ok(content
            .uploads
            .iter()
            .filter(|(_, upload)| upload.key.as_str().starts_with(prefix))
            .map(|(id, upload)| UnfinishedUpload {
                key: upload.key.clone(),
                upload_id: id.to_string(),
                initiated: Some(upload.initiated),
            })
            .collect())
    }
}

/// An upload into memory. Dropping it leaves its parts, as S3 does, so that tests notice one that nobody aborted.
struct MemoryUpload {
    store: MemoryStore,
    id: u64,
}

impl MemoryUpload {
    fn ended(&self) -> Failure {
        Failure::new(Kind::Failed, format!("The upload {} has ended already", self.id))
    }
}

impl Upload for MemoryUpload {
    fn put_part(&self, part: Part) -> Result<PartReceipt> {
        let limits = self.store.limits;
        let bytes = part.body.len() as u64;
        if !(1..=limits.parts_max).contains(&part.number) {
            return Err(refused(format!(
                "Parts are numbered from 1 to {}: {}",
                limits.parts_max, part.number
            )));
        }
        if bytes > limits.part_bytes_max {
            return Err(refused(format!("Part {} is too large: {bytes} bytes", part.number)));
        }
        let found: [u8; 16] = Md5::digest(&part.body).into();
        if found != part.md5 {
            return Err(Failure::new(
                Kind::Damaged,
                format!("Part {} does not have the MD5 that was sent with it", part.number),
            ));
        }
        let receipt = PartReceipt {
            number: part.number,
            bytes,
            md5: part.md5,
            etag: Some(hex::encode(part.md5)),
        };
        let mut content = self.store.content();
        let upload = content.uploads.get_mut(&self.id).ok_or_else(|| self.ended())?;
        upload.parts.insert(part.number, part);
        Ok(receipt)
    }

    fn complete(&self, receipts: &[PartReceipt], object_bytes: u64) -> Result<ObjectMeta> {
        let modified = self.store.clock.now();
        let mut content = self.store.content();
        let upload = content.uploads.get(&self.id).ok_or_else(|| self.ended())?;
        let (body, etag) = upload.assemble(receipts, object_bytes, &self.store.limits)?;
        let object = Object {
            body,
            options: Some(upload.options.clone()),
            modified,
            etag,
            lock: upload.options.lock.filter(|_| self.store.locks == MemoryLocks::Kept),
        };
        let key = upload.key.clone();
        let meta = content.create(&key, object)?;
        content.uploads.remove(&self.id);
        Ok(meta)
    }

    fn abort(&self) -> Result<()> {
        self.store.content().uploads.remove(&self.id);
        Ok(())
    }
}

impl UploadState {
    /// Joins the parts as strictly as the strictest provider, and computes the entity tag as S3 does.
    fn assemble(&self, receipts: &[PartReceipt], object_bytes: u64, limits: &Limits) -> Result<(Bytes, String)> {
        if receipts.is_empty() {
            return Err(refused(format!("An upload needs at least one part: `{}`", self.key)));
        }
        if object_bytes > limits.object_bytes_max {
            return Err(refused(format!(
                "The object `{}` is too large: {object_bytes} bytes",
                self.key
            )));
        }
        let mut body = BytesMut::new();
        let mut md5s = Md5::new();
        for (at, (number, receipt)) in (1u32..).zip(receipts).enumerate() {
            let sent = self.parts.get(&receipt.number);
            let Some(part) = sent.filter(|part| receipt.number == number && part.md5 == receipt.md5) else {
                return Err(refused(format!(
                    "Part {} was not sent, or not in this order",
                    receipt.number
                )));
            };
            if part.offset != body.len() as u64 {
                return Err(refused(format!(
                    "Part {number} says that it begins at byte {}; it begins at byte {}",
                    part.offset,
                    body.len()
                )));
            }
            let is_last = at + 1 == receipts.len();
            let bytes = part.body.len() as u64;
            if !is_last && bytes < limits.part_bytes_min {
                return Err(refused(format!("Part {number} is too small: {bytes} bytes")));
            }
            let first_bytes = receipts[0].bytes;
            if limits.parts_equal && (bytes > first_bytes || (!is_last && bytes != first_bytes)) {
                return Err(refused(format!(
                    "Part {number} does not have the size of the first one"
                )));
            }
            body.extend_from_slice(&part.body);
            md5s.update(part.md5);
        }
        if body.len() as u64 != object_bytes {
            return Err(refused(format!(
                "The parts have {} bytes together instead of {object_bytes}",
                body.len()
            )));
        }
        let etag = format!("{}-{}", hex::encode(md5s.finalize()), receipts.len());
        Ok((body.freeze(), etag))
    }
}

#[cfg(test)]
mod tests;
