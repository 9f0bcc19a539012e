//! Objects in an S3 bucket, or in a bucket of any server that speaks S3.
//!
//! The trait is synchronous: every call runs its future on the caller's own thread, over connections that a small
//! runtime of the store carries. All requests go through `session`.

use std::io::Read;
use std::ops::{ControlFlow, Range};
use std::sync::Arc;

use aws_sdk_s3::Client;
use bytes::Bytes;
use jiff::Timestamp;

use crate::base::cancel::Cancel;
use crate::base::failure::{Failure, Kind, Result};
use crate::base::report::Reporter;

use super::archive::ThawRequest;
use super::object_lock::{LockSeen, ObjectLock};
use super::removal::{Deletion, Doomed, Retained, Version};
use super::{Key, Limits, ObjectMeta, PutOptions, Store, UnfinishedUpload, Upload};

mod certificate;
mod client;
mod errors;
mod explain;
mod http;
mod list;
mod locks;
mod options;
mod partition;
mod provider;
mod put;
mod race;
mod read;
mod remove;
mod replace;
mod request;
mod requests;
mod retry;
mod session;
mod stat;
mod thaw;
mod timer;
mod upload;

#[cfg(test)]
mod tests;

pub use options::{ChecksumMode, MIN_THROUGHPUT_BYTES_PER_SEC, S3Options, Sse, StaticCredentials};
pub use partition::Partition;
pub use provider::{ConditionalWrites, PROVIDERS, Provider};
pub(crate) use put::Creation;
pub(crate) use requests::{About, Requests};
pub use requests::{Heads, Refusal, Why};
pub use retry::RetryOptions;

use errors::Class;
use session::{Request, Session, Stop};

/// A bucket and a prefix in it.
#[derive(Debug)]
pub struct S3Store {
    session: Arc<Session>,
}

impl S3Store {
    /// Resolves settings, region and endpoint. The bucket is not looked at, and nothing is sent.
    ///
    /// # Errors
    /// [`Kind::Config`] if a setting makes no sense.
    pub fn open(options: S3Options, cancel: Cancel, reporter: Arc<dyn Reporter>) -> Result<Self> {
        let bucket = options.bucket.as_str();
        if bucket.is_empty() || bucket.contains(|c: char| c == '/' || c.is_whitespace() || c.is_control()) {
            return Err(Failure::new(Kind::Config, format!("Not a bucket's name: `{bucket}`"))
                .hint("Write the store as s3://BUCKET/PREFIX"));
        }
        Ok(Self {
            session: Arc::new(Session::open(options, &cancel, reporter)?),
        })
    }

    /// The line of the provider table that holds for this store.
    #[must_use]
    pub fn provider(&self) -> &'static Provider {
        self.session.provider
    }
}

impl Store for S3Store {
    fn url(&self) -> String {
        let bucket = &self.session.options.bucket;
        match self.prefix() {
            "" => format!("s3://{bucket}"),
            prefix => format!("s3://{bucket}/{prefix}"),
        }
    }

    fn prefix(&self) -> &str {
        &self.session.prefix
    }

    fn limits(&self) -> Limits {
        self.session.provider.limits
    }

    fn put(&self, key: &Key, body: Bytes, options: &PutOptions) -> Result<ObjectMeta> {
        self.session.block_on(self.session.put(key, body, options))
    }

    fn replace_if(&self, key: &Key, body: Bytes, options: &PutOptions, expected: &ObjectMeta) -> Result<ObjectMeta> {
        self.session
            .block_on(self.session.replace(key, body, options, expected))
    }

    fn start_upload(&self, key: &Key, options: &PutOptions) -> Result<Box<dyn Upload>> {
        Ok(Box::new(upload::start(&self.session, key, options)?))
    }

    fn get(&self, key: &Key, range: Option<Range<u64>>) -> Result<Box<dyn Read + Send>> {
        read::open(&self.session, key, range)
    }

    fn head(&self, key: &Key) -> Result<Option<ObjectMeta>> {
        self.session
            .block_on(self.session.stat(key, &self.session.stop_from_now()))
    }

    fn list(&self, prefix: &str, visit: &mut dyn FnMut(ObjectMeta) -> Result<ControlFlow<()>>) -> Result<()> {
        self.session.list(prefix, visit)
    }

    fn list_folders(&self, prefix: &str, visit: &mut dyn FnMut(&str) -> Result<ControlFlow<()>>) -> Result<()> {
        self.session.list_folders(prefix, visit)
    }

    fn delete(&self, key: &Key) -> Result<()> {
        let remove = |stop: &Stop| self.session.block_on(self.session.remove(key, None, stop));
        match remove(&self.session.stop_from_now()) {
            // What a run that was asked to stop has made is removed all the same.
            Err(failure) if failure.kind() == Kind::Interrupted => remove(&self.session.stop_from_now()),
            outcome => outcome,
        }
    }

    fn thaw(&self, key: &Key, request: &ThawRequest) -> Result<()> {
        self.session.block_on(self.session.thaw(key, request))
    }

    fn unfinished_uploads(&self, prefix: &str) -> Result<Vec<UnfinishedUpload>> {
        self.session.unfinished_uploads(prefix)
    }

    fn now(&self) -> Result<Option<Timestamp>> {
        self.session.store_time().map(Some)
    }

    fn delete_many(&self, objects: &[Doomed]) -> Result<Vec<Deletion>> {
        self.session.remove_many(objects)
    }

    fn retained(&self, key: &Key) -> Result<Option<Retained>> {
        self.session
            .block_on(self.session.retained(key, None, &self.session.stop_from_now()))
    }

    fn prepare_locks(&self) -> Result<bool> {
        self.session.block_on(self.session.prepare_locks()).map(|()| true)
    }

    fn lock_of(&self, key: &Key, version_id: Option<&str>) -> Result<LockSeen> {
        self.session.block_on(self.session.lock_of(key, version_id))
    }

    fn extend_lock(&self, key: &Key, version_id: Option<&str>, lock: &ObjectLock) -> Result<()> {
        self.session.block_on(self.session.extend_lock(key, version_id, lock))
    }

    fn list_versions(&self, prefix: &str, visit: &mut dyn FnMut(Version) -> Result<ControlFlow<()>>) -> Result<()> {
        self.session.versions(prefix, visit)
    }

    fn abort_unfinished(&self, upload: &UnfinishedUpload) -> Result<()> {
        self.session.abort_unfinished(upload)
    }
}

impl Session {
    /// Removes an object (or one version of it); one that is not there is removed already.
    async fn remove(&self, key: &Key, version_id: Option<&str>, stop: &Stop) -> Result<()> {
        let request = Request::new(
            format!("remove {}", self.object(key.as_str())),
            "s3:DeleteObject",
            Some(key.as_str()),
        )
        .stopped_by(stop);
        let outcome = self
            .call(&request, |client: Client, overrides| {
                client
                    .delete_object()
                    .bucket(&self.options.bucket)
                    .key(key.as_str())
                    .set_version_id(version_id.map(str::to_owned))
                    .customize()
                    .config_override(overrides)
                    .send()
            })
            .await;
        match outcome {
            Ok(_) => Ok(()),
            Err(problem) if problem.class == Class::NoKey => Ok(()),
            Err(problem) => Err(self.explain(&request, &problem)),
        }
    }
}
