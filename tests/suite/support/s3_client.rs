//! A look into an S3 server that does not go through the code under test: the AWS SDK, made blocking.

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::OnceLock;

use aws_sdk_s3::config::{BehaviorVersion, Credentials, Region};
use aws_sdk_s3::primitives::ByteStream;
use tokio::runtime::Runtime;

/// Where an S3 server is and who may use it.
#[derive(Clone, Debug)]
pub struct S3Access {
    pub endpoint: String,
    pub region: String,
    pub access_key: String,
    pub secret_key: String,
}

impl S3Access {
    /// The variables by which the tool under test, the AWS CLI and every SDK find the server.
    pub fn environment(&self) -> Vec<(String, String)> {
        [
            ("AWS_ACCESS_KEY_ID", &self.access_key),
            ("AWS_SECRET_ACCESS_KEY", &self.secret_key),
            ("AWS_REGION", &self.region),
            ("AWS_ENDPOINT_URL", &self.endpoint),
        ]
        .into_iter()
        .map(|(name, value)| (name.to_owned(), value.clone()))
        .collect()
    }

    /// The same server with a secret that is not the right one.
    pub fn with_wrong_secret(&self) -> Self {
        Self {
            secret_key: format!("{}-wrong", self.secret_key),
            ..self.clone()
        }
    }

    /// A blocking client.
    pub fn client(&self) -> S3Client {
        let config = aws_sdk_s3::Config::builder()
            .behavior_version(BehaviorVersion::v2026_01_12())
            .endpoint_url(&self.endpoint)
            .region(Region::new(self.region.clone()))
            .credentials_provider(Credentials::new(
                &self.access_key,
                &self.secret_key,
                None,
                None,
                "tests",
            ))
            .force_path_style(true)
            .build();
        S3Client {
            inner: aws_sdk_s3::Client::from_conf(config),
        }
    }
}

fn wait_for<F: Future>(future: F) -> F::Output {
    static RUNTIME: OnceLock<Runtime> = OnceLock::new();
    RUNTIME
        .get_or_init(|| {
            tokio::runtime::Builder::new_multi_thread()
                .worker_threads(1)
                .enable_all()
                .build()
                .expect("a runtime")
        })
        .block_on(future)
}

/// What a HEAD tells of an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ObjectFacts {
    pub bytes: u64,
    pub etag: String,
    pub metadata: BTreeMap<String, String>,
    pub content_type: Option<String>,
    pub storage_class: Option<String>,
    pub encryption: Option<String>,
}

/// A blocking S3 client that answers or panics.
#[derive(Clone, Debug)]
pub struct S3Client {
    inner: aws_sdk_s3::Client,
}

impl S3Client {
    /// Creates a bucket.
    ///
    /// # Errors
    /// What the server said.
    pub fn try_create_bucket(&self, bucket: &str) -> Result<(), String> {
        wait_for(self.inner.create_bucket().bucket(bucket).send())
            .map(|_| ())
            .map_err(|error| format!("{:?}", aws_sdk_s3::Error::from(error)))
    }

    /// Writes an object.
    ///
    /// # Errors
    /// What the server said.
    pub fn try_put(&self, bucket: &str, key: &str, body: &[u8]) -> Result<(), String> {
        let body = ByteStream::from(body.to_vec());
        wait_for(self.inner.put_object().bucket(bucket).key(key).body(body).send())
            .map(|_| ())
            .map_err(|error| format!("{:?}", aws_sdk_s3::Error::from(error)))
    }

    /// Writes an object.
    pub fn put(&self, bucket: &str, key: &str, body: &[u8]) {
        self.try_put(bucket, key, body).expect("the server takes the object");
    }

    /// Reads an object.
    ///
    /// # Errors
    /// What the server said.
    pub fn try_get(&self, bucket: &str, key: &str) -> Result<Vec<u8>, String> {
        wait_for(async {
            let reply = self
                .inner
                .get_object()
                .bucket(bucket)
                .key(key)
                .send()
                .await
                .map_err(|error| format!("{:?}", aws_sdk_s3::Error::from(error)))?;
            let body = reply.body.collect().await.map_err(|error| error.to_string())?;
            Ok(body.to_vec())
        })
    }

    /// Reads an object.
    pub fn get(&self, bucket: &str, key: &str) -> Vec<u8> {
        self.try_get(bucket, key).expect("the server gives the object")
    }

    /// Removes an object.
    pub fn delete(&self, bucket: &str, key: &str) {
        wait_for(self.inner.delete_object().bucket(bucket).key(key).send()).expect("the server removes the object");
    }

    /// The keys below a prefix, sorted.
    pub fn keys(&self, bucket: &str, prefix: &str) -> Vec<String> {
        wait_for(async {
            let mut pages = self
                .inner
                .list_objects_v2()
                .bucket(bucket)
                .prefix(prefix)
                .into_paginator()
                .send();
            let mut keys = Vec::new();
            while let Some(page) = pages.next().await {
                let page = page.expect("the server lists");
                keys.extend(
                    page.contents()
                        .iter()
                        .filter_map(|object| object.key().map(str::to_owned)),
                );
            }
            keys.sort_unstable();
            keys
        })
    }

    /// What the server knows of an object; `None` if there is none.
    pub fn head(&self, bucket: &str, key: &str) -> Option<ObjectFacts> {
        match wait_for(self.inner.head_object().bucket(bucket).key(key).send()) {
            Ok(reply) => Some(ObjectFacts {
                bytes: u64::try_from(reply.content_length().unwrap_or_default()).expect("a length"),
                etag: reply.e_tag().unwrap_or_default().trim_matches('"').to_owned(),
                metadata: reply.metadata().cloned().unwrap_or_default().into_iter().collect(),
                content_type: reply.content_type().map(str::to_owned),
                storage_class: reply.storage_class().map(|class| class.as_str().to_owned()),
                encryption: reply.server_side_encryption().map(|sse| sse.as_str().to_owned()),
            }),
            Err(error) => {
                let error = error.into_service_error();
                assert!(error.is_not_found(), "HEAD of `{key}`: {error:?}");
                None
            }
        }
    }

    /// The tags of an object.
    pub fn tags(&self, bucket: &str, key: &str) -> BTreeMap<String, String> {
        wait_for(self.inner.get_object_tagging().bucket(bucket).key(key).send())
            .expect("the server tells the tags")
            .tag_set()
            .iter()
            .map(|tag| (tag.key().to_owned(), tag.value().to_owned()))
            .collect()
    }

    /// Creates a bucket that keeps versions and can lock them.
    pub fn create_lockable_bucket(&self, bucket: &str) {
        let request = self
            .inner
            .create_bucket()
            .bucket(bucket)
            .object_lock_enabled_for_bucket(true);
        wait_for(request.send()).expect("the server makes a bucket with locks");
        self.enable_versioning(bucket);
    }

    /// Makes a bucket keep versions.
    pub fn enable_versioning(&self, bucket: &str) {
        let configuration = aws_sdk_s3::types::VersioningConfiguration::builder()
            .status(aws_sdk_s3::types::BucketVersioningStatus::Enabled)
            .build();
        let request = self.inner.put_bucket_versioning().bucket(bucket);
        wait_for(request.versioning_configuration(configuration).send()).expect("the server keeps versions");
    }

    /// Locks an object for an hour; who may bypass it can still remove it.
    pub fn lock(&self, bucket: &str, key: &str) {
        let until = std::time::SystemTime::now() + std::time::Duration::from_secs(3600);
        let retention = aws_sdk_s3::types::ObjectLockRetention::builder()
            .mode(aws_sdk_s3::types::ObjectLockRetentionMode::Compliance)
            .retain_until_date(until.into())
            .build();
        let request = self.inner.put_object_retention().bucket(bucket).key(key);
        wait_for(request.retention(retention).send()).expect("the server locks the object");
    }

    /// The mode and the end of an object's lock, the latter in seconds since 1970; `None` if it has none.
    pub fn lock_of(&self, bucket: &str, key: &str) -> Option<(String, i64)> {
        let reply = wait_for(self.inner.head_object().bucket(bucket).key(key).send()).expect("the server tells");
        let until = reply.object_lock_retain_until_date()?.secs();
        Some((reply.object_lock_mode()?.as_str().to_owned(), until))
    }

    /// Makes a governance lock end in a second, as who may bypass it can.
    pub fn lift_lock(&self, bucket: &str, key: &str) {
        let until = std::time::SystemTime::now() + std::time::Duration::from_secs(1);
        let retention = aws_sdk_s3::types::ObjectLockRetention::builder()
            .mode(aws_sdk_s3::types::ObjectLockRetentionMode::Governance)
            .retain_until_date(until.into())
            .build();
        let request = self.inner.put_object_retention().bucket(bucket).key(key);
        let request = request.retention(retention).bypass_governance_retention(true);
        wait_for(request.send()).expect("the server lifts the lock");
    }

    /// Removes every version and every marker below a prefix, over governance locks if asked to; what the server refused.
    pub fn delete_versions(&self, bucket: &str, prefix: &str, bypass: bool) -> Vec<String> {
        let listed = wait_for(self.inner.list_object_versions().bucket(bucket).prefix(prefix).send())
            .expect("the server lists versions");
        let versions = listed.versions().iter().map(|one| (one.key(), one.version_id()));
        let markers = listed.delete_markers().iter().map(|one| (one.key(), one.version_id()));
        let mut refused = Vec::new();
        for (key, version) in versions.chain(markers) {
            let request = self
                .inner
                .delete_object()
                .bucket(bucket)
                .set_key(key.map(str::to_owned));
            let request = request.set_version_id(version.map(str::to_owned));
            let request = request.set_bypass_governance_retention(bypass.then_some(true));
            if wait_for(request.send()).is_err() {
                refused.push(key.unwrap_or_default().to_owned());
            }
        }
        refused
    }

    /// Every version, as its key, and every marker, as its key with `(marker)` behind it; sorted.
    pub fn versions(&self, bucket: &str) -> Vec<String> {
        let reply =
            wait_for(self.inner.list_object_versions().bucket(bucket).send()).expect("the server lists versions");
        let versions = reply
            .versions()
            .iter()
            .filter_map(|version| version.key().map(str::to_owned));
        let markers = reply.delete_markers().iter();
        let markers = markers.filter_map(|marker| marker.key().map(|key| format!("{key} (marker)")));
        let mut all: Vec<String> = versions.chain(markers).collect();
        all.sort();
        all
    }

    /// Begins an upload and leaves it.
    pub fn begin_upload(&self, bucket: &str, key: &str) {
        let request = self.inner.create_multipart_upload().bucket(bucket).key(key);
        wait_for(request.send()).expect("the server begins an upload");
    }

    /// The keys of the uploads that are neither completed nor aborted.
    pub fn uploads(&self, bucket: &str) -> Vec<String> {
        let reply =
            wait_for(self.inner.list_multipart_uploads().bucket(bucket).send()).expect("the server lists uploads");
        reply
            .uploads()
            .iter()
            .filter_map(|upload| upload.key().map(str::to_owned))
            .collect()
    }
}
