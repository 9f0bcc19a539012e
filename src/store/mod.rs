//! Where bytes live: the [`Store`] trait and its three homes.
//!
//! The trait has primitives only. It is synchronous and shared between threads: several parts in flight are
//! several threads that call [`Upload::put_part`] at once.

use std::collections::BTreeMap;
use std::io::Read;
use std::ops::{ControlFlow, Range};

use bytes::Bytes;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use self::object_lock::{LockSeen, ObjectLock};
use self::removal::{Deletion, Doomed, Retained, Version};
use crate::base::failure::{Failure, Kind, Result};

pub mod address;
pub mod archive;
#[doc(hidden)]
pub mod contract;
#[doc(hidden)]
pub mod faulty;
pub mod local;
pub mod memory;
pub mod object_lock;
pub mod removal;
pub mod s3;

/// The name of the metadata entry (`x-amz-meta-…` on S3) that holds an upload's random token.
pub const TOKEN_METADATA: &str = "backup-cli-token";

/// The full name of an object within a store's bucket or folder, prefix included: UTF-8, `/` between folders.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Key(String);

impl Key {
    /// A key as it stands in the store.
    pub fn new(key: impl Into<String>) -> Self {
        Self(key.into())
    }

    /// The key's text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The part after the last slash.
    #[must_use]
    pub fn file_name(&self) -> &str {
        self.0.rsplit('/').next().unwrap_or(&self.0)
    }

    /// The same key with a suffix, for an object's companions.
    #[must_use]
    pub fn with_suffix(&self, suffix: &str) -> Self {
        Self(format!("{}{suffix}", self.0))
    }
}

impl std::fmt::Display for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

/// What an object is for. Storage class, tags and locks are chosen by it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// The backup's bytes.
    Data,
    /// The table of members and entries.
    Index,
    /// The commit record; always in the store's standard class, so that it can be read at once.
    Manifest,
    /// A remark beside a backup, in the standard class too; it may be taken back, so that nothing locks it.
    Note,
}

/// How an object is to be created.
#[derive(Clone, Debug)]
pub struct PutOptions {
    /// What the object is for.
    pub role: Role,
    /// A random token, stored with the object, by which a lost reply is resolved.
    pub token: String,
    /// The MIME type.
    pub content_type: &'static str,
    /// Further metadata, small and not secret.
    pub metadata: BTreeMap<String, String>,
    /// How it is locked from its first moment on; a store that has no locks takes no notice.
    pub lock: Option<ObjectLock>,
}

/// What a store knows of one object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ObjectMeta {
    /// The object's key.
    pub key: Key,
    /// Its length in bytes.
    pub bytes: u64,
    /// When the store received it, by the store's clock.
    pub modified: Option<Timestamp>,
    /// The entity tag without its quotes.
    pub etag: Option<String>,
    /// Whether this store computes `etag` as the MD5 of the content (of the parts' MD5s, for a multipart object):
    /// not with SSE-KMS or SSE-C, and not on every provider.
    pub etag_is_md5: bool,
    /// The version, in a bucket that keeps versions.
    pub version_id: Option<String>,
    /// The storage class, where it is not the standard one.
    pub storage_class: Option<String>,
    /// How it lies in an archive, if it does; only [`Store::head`] knows it.
    pub archive: Option<archive::Archive>,
    /// The token given in [`PutOptions`]; only [`Store::head`] and the writing calls know it, a listing does not.
    pub token: Option<String>,
}

impl ObjectMeta {
    /// Whether an object that was looked at later is still the same: by what each store knows best of it.
    #[must_use]
    pub fn is_still(&self, later: &Self) -> bool {
        self.bytes == later.bytes
            && match (&self.etag, &later.etag) {
                (Some(etag), Some(other)) => etag == other,
                _ => self.token == later.token && self.modified == later.modified,
            }
    }
}

/// What a store's provider allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// The least size of a part that is not the last, in bytes.
    pub part_bytes_min: u64,
    /// The greatest size of a part, in bytes.
    pub part_bytes_max: u64,
    /// How many parts one object may have.
    pub parts_max: u32,
    /// Whether all parts but the last must have the same size.
    pub parts_equal: bool,
    /// The greatest size of an object, in bytes.
    pub object_bytes_max: u64,
}

/// One part of an upload.
#[derive(Clone, Debug)]
pub struct Part {
    /// From 1.
    pub number: u32,
    /// Where the part begins in the object, in bytes.
    pub offset: u64,
    /// The content.
    pub body: Bytes,
    /// The MD5 of the content, which the store checks on arrival where it can.
    pub md5: [u8; 16],
}

/// A store's acknowledgement of a part.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PartReceipt {
    /// The part's number.
    pub number: u32,
    /// The part's length in bytes.
    pub bytes: u64,
    /// The MD5 that was sent.
    pub md5: [u8; 16],
    /// The tag by which the store wants the part named at the end.
    pub etag: Option<String>,
}

/// An object that is being written in parts and that nobody can see yet.
///
/// Dropping it without [`Upload::complete`] or [`Upload::abort`] leaves no object; it may leave parts that cost money.
pub trait Upload: Send + Sync {
    /// Sends one part; idempotent, retried inside, callable from several threads at once.
    ///
    /// # Errors
    /// When the retries are used up, or at once if the failure will not pass.
    fn put_part(&self, part: Part) -> Result<PartReceipt>;

    /// Makes the object visible, in one step, only if its key is still free.
    ///
    /// A lost reply is resolved by looking for the token and the size; a success is never reported without proof.
    ///
    /// # Errors
    /// [`crate::base::failure::Kind::Conflict`] if another object has the key; anything else means that the object is not there, or
    /// that it cannot be told.
    fn complete(&self, receipts: &[PartReceipt], object_bytes: u64) -> Result<ObjectMeta>;

    /// Throws the parts away; works after a cancellation too, and more than once.
    ///
    /// # Errors
    /// If the parts may still be there.
    fn abort(&self) -> Result<()>;
}

/// A place that holds objects.
pub trait Store: Send + Sync {
    /// The store as a URL without secrets, for messages and manifests: `s3://bucket/prefix`, `file:///dir`.
    fn url(&self) -> String;

    /// The prefix that belongs to this tool, with no slash at its end; empty for the whole store.
    fn prefix(&self) -> &str;

    /// What the provider allows.
    fn limits(&self) -> Limits;

    /// Writes a small object in one step, only if its key is still free; durable when it returns.
    ///
    /// # Errors
    /// [`crate::base::failure::Kind::Conflict`] if another object has the key.
    fn put(&self, key: &Key, body: Bytes, options: &PutOptions) -> Result<ObjectMeta>;

    /// Writes a small object in one step over the one that stands at its key, only if that is still `expected`, as
    /// [`Store::head`] told it: whoever reads the key finds the old one or the new one, and never neither. Durable when it
    /// returns; in a store that keeps versions the old one becomes an older version.
    ///
    /// # Errors
    /// [`crate::base::failure::Kind::Conflict`] if another object stands there, or none. [`Kind::Unsupported`] if this
    /// store cannot do it. After any other failure either may stand there, whole.
    fn replace_if(&self, key: &Key, _: Bytes, _: &PutOptions, _: &ObjectMeta) -> Result<ObjectMeta> {
        Err(Failure::new(
            Kind::Unsupported,
            format!("`{key}` cannot be replaced in one step in this store"),
        ))
    }

    /// Begins an object of unknown length.
    ///
    /// # Errors
    /// If the store refuses.
    fn start_upload(&self, key: &Key, options: &PutOptions) -> Result<Box<dyn Upload>>;

    /// Opens an object, or a range of its bytes, for reading. Fails early or yields exactly the range asked for:
    /// a connection that ends early is an error, never an end of file.
    ///
    /// # Errors
    /// [`crate::base::failure::Kind::NotFound`] if there is no such object.
    fn get(&self, key: &Key, range: Option<Range<u64>>) -> Result<Box<dyn Read + Send>>;

    /// What is known of an object; `None` only if the store is sure that there is none. Works after a cancellation too,
    /// for whoever clears up.
    ///
    /// # Errors
    /// If the store cannot tell.
    fn head(&self, key: &Key) -> Result<Option<ObjectMeta>>;

    /// Visits every object whose key begins with `prefix`, in the order of the keys' bytes, until the visitor breaks.
    ///
    /// # Errors
    /// If any page fails: a listing is whole or an error. The visitor's own failure is passed on.
    fn list(&self, prefix: &str, visit: &mut dyn FnMut(ObjectMeta) -> Result<ControlFlow<()>>) -> Result<()>;

    /// Visits the "folders" right below `prefix` (which ends with a slash or is empty), in order, each with its slash.
    ///
    /// # Errors
    /// As [`Store::list`].
    fn list_folders(&self, prefix: &str, visit: &mut dyn FnMut(&str) -> Result<ControlFlow<()>>) -> Result<()>;

    /// Removes an object; removing what is not there is a success. Works after a cancellation too.
    ///
    /// # Errors
    /// If the object may still be there.
    fn delete(&self, key: &Key) -> Result<()>;

    /// Asks for an archived object, which can be read some time later; [`Store::head`] tells when. Asking again does no
    /// harm.
    ///
    /// # Errors
    /// [`crate::base::failure::Kind::Unsupported`] if this store has no archive, or not this tier.
    fn thaw(&self, key: &Key, request: &archive::ThawRequest) -> Result<()>;

    /// How many uploads that were begun below `prefix` are neither completed nor aborted, where the store can tell.
    ///
    /// # Errors
    /// If the store cannot tell.
    fn unfinished_uploads(&self, prefix: &str) -> Result<Vec<UnfinishedUpload>>;

    /// Throws away an upload that [`Store::unfinished_uploads`] found; one that has ended meanwhile is a success. Whoever
    /// may still be sending parts of it will fail.
    ///
    /// # Errors
    /// If it may still be there.
    fn abort_unfinished(&self, upload: &UnfinishedUpload) -> Result<()> {
        Err(Failure::new(
            Kind::Unsupported,
            format!("The upload of `{}` cannot be aborted in this store", upload.key),
        ))
    }

    /// The time by the store's own clock; `None` where that is this machine's.
    ///
    /// # Errors
    /// If the store has a clock and cannot be asked.
    fn now(&self) -> Result<Option<Timestamp>> {
        Ok(None)
    }

    /// Removes many objects with as few requests as the store allows; what became of each stands in the same order.
    /// Removing what is not there is a success.
    ///
    /// # Errors
    /// If a request fails as a whole: some of the objects may be gone, and it is not known which.
    fn delete_many(&self, objects: &[Doomed]) -> Result<Vec<Deletion>> {
        let remove = |doomed: &Doomed| match self.delete(&doomed.key) {
            Ok(()) => Ok(Deletion::Gone),
            Err(failure) if failure.kind() == Kind::Interrupted => Err(failure),
            Err(failure) => Ok(Deletion::Failed(failure)),
        };
        objects.iter().map(remove).collect()
    }

    /// Whether an object is locked, so that its content cannot be removed now.
    ///
    /// # Errors
    /// If the store cannot tell.
    fn retained(&self, _: &Key) -> Result<Option<Retained>> {
        Ok(None)
    }

    /// Whether objects can be locked, before any is written. `false` where no object ever is, as in a folder.
    ///
    /// # Errors
    /// If a store that could lock objects is not set up for it.
    fn prepare_locks(&self) -> Result<bool> {
        Ok(false)
    }

    /// How an object, or one version of it, is locked, ended locks included.
    ///
    /// # Errors
    /// If the store cannot be asked.
    fn lock_of(&self, _: &Key, _: Option<&str>) -> Result<LockSeen> {
        Ok(LockSeen::Unlocked)
    }

    /// Locks an object, or one version of it, or makes its lock last longer.
    ///
    /// # Errors
    /// If the store refuses, as it does if the lock would become shorter or less firm.
    fn extend_lock(&self, key: &Key, _: Option<&str>, _: &ObjectLock) -> Result<()> {
        Err(Failure::new(
            Kind::Unsupported,
            format!("`{key}` cannot be locked: this store has no locks"),
        ))
    }

    /// Visits every version of the objects whose keys begin with `prefix`, the ones that are covered by markers and the
    /// markers included. A store that keeps no versions has none to show.
    ///
    /// # Errors
    /// As [`Store::list`].
    fn list_versions(&self, _: &str, _: &mut dyn FnMut(Version) -> Result<ControlFlow<()>>) -> Result<()> {
        Ok(())
    }
}

/// The failure to replace an object that is not the expected one.
fn not_expected(key: &Key) -> Failure {
    Failure::new(
        Kind::Conflict,
        format!("Another object stands at `{key}` than the one that was to be replaced, or none any more"),
    )
    .hint("Nothing was changed; look at what else writes there, and run it again")
}

/// An upload that somebody began and nobody ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnfinishedUpload {
    /// The key that the object would have.
    pub key: Key,
    /// The store's name for the upload.
    pub upload_id: String,
    /// When it was begun, by the store's clock.
    pub initiated: Option<Timestamp>,
}
