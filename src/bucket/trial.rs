//! Real requests with a throw-away object, to see what a server does and what the credentials allow.
//!
//! All of them are about one key. What they create is noted, so that it can be removed on every way out.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use aws_sdk_s3::primitives::ByteStream;
use aws_sdk_s3::types::{ChecksumAlgorithm, ChecksumType, CompletedMultipartUpload, CompletedPart};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;
use md5::{Digest as _, Md5};

use crate::base::failure::{IoContext, Result};
use crate::store::s3::{About, Creation};
use crate::store::{Key, PutOptions, Role};

use super::{Bucket, Refusal, Why};

mod questions;

/// How a body is vouched for besides its MD5.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Checked {
    /// Not at all.
    Plainly,
    /// By an MD5 that belongs to other bytes: whoever accepts it does not look.
    ByWrongMd5,
    /// By a CRC64-NVME in a header, as this tool's own uploads are.
    ByCrc64Nvme,
    /// By a CRC-32 in a header.
    ByCrc32,
    /// By a CRC-32 behind the body, as the newer AWS SDKs send it.
    ByTrailer,
}

/// What a server answers to a write.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Written {
    /// The entity tag without its quotes.
    pub etag: Option<String>,
    /// The version, in a bucket that keeps versions.
    pub version_id: Option<String>,
    /// How the server encrypted it: `AES256`, `aws:kms`.
    pub encryption: Option<String>,
}

/// What a server knows of the object.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Seen {
    /// Its length in bytes.
    pub bytes: u64,
    /// The entity tag without its quotes.
    pub etag: Option<String>,
    /// `aws-chunked`, for example, where a server keeps what belongs to the transfer.
    pub content_encoding: Option<String>,
    /// The version, in a bucket that keeps versions.
    pub version_id: Option<String>,
    /// How the server encrypted it: `AES256`, `aws:kms`.
    pub encryption: Option<String>,
}

/// What has been created and not been removed.
#[derive(Debug, Default)]
struct Standing {
    /// The versions of the object; `None` for one of a bucket without versions.
    objects: Vec<Option<String>>,
    uploads: Vec<String>,
}

/// A throw-away object.
pub struct Trial<'a> {
    bucket: &'a Bucket,
    key: Key,
    creation: Creation,
    standing: Mutex<Standing>,
}

/// An upload of the throw-away object in parts.
#[derive(Clone, Debug)]
pub struct TrialUpload {
    upload_id: String,
    parts: Vec<(i32, String)>,
}

impl<'a> Trial<'a> {
    /// Nothing is created yet. The headers are those of the settings, but for the storage class: cold classes bill every
    /// object for months.
    #[must_use]
    pub fn new(bucket: &'a Bucket, key: Key) -> Self {
        let creation = bucket.requests.creation(&PutOptions {
            role: Role::Index,
            token: "doctor".to_owned(),
            content_type: CONTENT_TYPE,
            metadata: BTreeMap::new(),
            lock: None,
        });
        Self {
            bucket,
            key,
            creation,
            standing: Mutex::default(),
        }
    }

    /// The object's key.
    #[must_use]
    pub fn key(&self) -> &Key {
        &self.key
    }

    /// The object's address, for messages.
    #[must_use]
    pub fn address(&self) -> String {
        format!("s3://{}/{}", self.bucket.name(), self.key)
    }

    /// Notes that the object stands there already, from a run that could not remove it; `None` is one of a bucket without
    /// versions.
    pub fn found_standing(&self, version: Option<String>) {
        let mut standing = self.standing();
        if standing.objects.is_empty() {
            standing.objects.push(version);
        }
    }

    /// Whether anything that was created has not been removed.
    #[must_use]
    pub fn is_standing(&self) -> bool {
        let standing = self.standing();
        !standing.objects.is_empty() || !standing.uploads.is_empty()
    }

    /// A multipart object's own checksum is made of the parts', as in this tool's uploads.
    fn checksum_type(&self) -> Option<ChecksumType> {
        self.creation.checksum.as_ref().map(|_| ChecksumType::FullObject)
    }

    fn standing(&self) -> MutexGuard<'_, Standing> {
        self.standing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn about(&self, doing: &str, permission: &'static str) -> About<'_> {
        About::object(format!("{doing} `{}`", self.address()), permission, self.key.as_str())
    }

    /// Writes the object; with `only_new` only if there is none.
    ///
    /// # Errors
    /// The refusal.
    pub fn put(&self, body: &'static [u8], only_new: bool, checked: Checked) -> Result<Written, Refusal> {
        let mut about = self.about("write", "s3:PutObject").carrying(body.len());
        if checked == Checked::ByWrongMd5 {
            about = about.taking_any_answer();
        }
        let digest = match checked {
            Checked::ByWrongMd5 => Md5::digest(b"something else"),
            _ => Md5::digest(body),
        };
        // Only a body of which the SDK has not all bytes at hand gets its checksum behind it.
        let spooled = match checked {
            Checked::ByTrailer => Some(self.spool(body)?),
            _ => None,
        };
        let answer = self.bucket.requests.ask(about, |client, overrides| {
            let spooled = spooled.as_ref().map(|file| file.path().to_owned());
            let md5 = BASE64_STANDARD.encode(digest);
            async move {
                let content = match &spooled {
                    None => ByteStream::from_static(body),
                    Some(path) => ByteStream::from_path(path)
                        .await
                        .map_err(aws_sdk_s3::error::SdkError::construction_failure)?,
                };
                client
                    .put_object()
                    .bucket(self.bucket.name())
                    .key(self.key.as_str())
                    .content_type(CONTENT_TYPE)
                    .set_content_md5((checked != Checked::ByTrailer).then_some(md5))
                    .set_if_none_match(only_new.then(|| "*".to_owned()))
                    .set_server_side_encryption(self.creation.sse.clone())
                    .set_ssekms_key_id(self.creation.kms_key_id.clone())
                    .set_tagging(self.creation.tagging.clone())
                    .set_metadata(Some(self.creation.metadata.clone()))
                    .set_checksum_algorithm(match checked {
                        Checked::Plainly | Checked::ByWrongMd5 => self.creation.checksum.clone(),
                        Checked::ByCrc64Nvme => Some(ChecksumAlgorithm::Crc64Nvme),
                        Checked::ByCrc32 | Checked::ByTrailer => Some(ChecksumAlgorithm::Crc32),
                    })
                    .body(content)
                    .customize()
                    .config_override(overrides)
                    .send()
                    .await
            }
        })?;
        let written = Written {
            etag: answer.e_tag().map(bare),
            version_id: answer.version_id().and_then(real),
            encryption: answer.server_side_encryption().map(|sse| sse.as_str().to_owned()),
        };
        self.note(&written);
        Ok(written)
    }

    fn spool(&self, body: &[u8]) -> Result<tempfile::NamedTempFile, Refusal> {
        use std::io::Write as _;
        tempfile::NamedTempFile::new()
            .and_then(|mut file| file.write_all(body).map(|()| file))
            .doing(|| "write a temporary file")
            .map_err(|failure| Refusal {
                why: Why::Rejected,
                status: None,
                code: None,
                is_senseless: false,
                permission: "",
                failure,
            })
    }

    fn note(&self, written: &Written) {
        let mut standing = self.standing();
        // Without versions there is one object, however often it is written.
        if written.version_id.is_some() || standing.objects.is_empty() {
            standing.objects.push(written.version_id.clone());
        }
    }

    /// What the server knows of the object.
    ///
    /// # Errors
    /// The refusal; [`Why::NotThere`] if there is none, [`Why::NoStore`] if no S3 server answers so.
    pub fn head(&self) -> Result<Seen, Refusal> {
        let answer = self
            .bucket
            .requests
            .ask(self.about("look at", "s3:GetObject"), |client, overrides| {
                client
                    .head_object()
                    .bucket(self.bucket.name())
                    .key(self.key.as_str())
                    .customize()
                    .config_override(overrides)
                    .send()
            })?;
        // Every S3 server tells both; a web server that has a page for every path tells neither.
        if answer.e_tag().is_none() && answer.last_modified().is_none() {
            return Err(self.bucket.requests.no_store(self.about("look at", "s3:GetObject")));
        }
        Ok(Seen {
            bytes: answer
                .content_length()
                .and_then(|bytes| u64::try_from(bytes).ok())
                .unwrap_or(0),
            etag: answer.e_tag().map(bare),
            content_encoding: answer.content_encoding().map(str::to_owned),
            version_id: answer.version_id().and_then(real),
            encryption: answer.server_side_encryption().map(|sse| sse.as_str().to_owned()),
        })
    }

    /// The object's content.
    ///
    /// # Errors
    /// The refusal; [`Why::NotThere`] if there is none.
    pub fn read(&self) -> Result<Bytes, Refusal> {
        self.bucket.read_object(&self.key, None)
    }

    /// Whether a listing shows the object.
    ///
    /// # Errors
    /// The refusal.
    pub fn is_listed(&self) -> Result<bool, Refusal> {
        let keys = self.bucket.first_keys(self.key.as_str(), 1)?;
        Ok(keys.contains(&self.key))
    }

    /// Removes what stands there. In a bucket that keeps versions each of ours is removed, not only hidden.
    ///
    /// # Errors
    /// The refusal; what could not be removed still stands.
    pub fn delete(&self) -> Result<(), Refusal> {
        loop {
            let Some(version) = self.standing().objects.last().cloned() else {
                return Ok(());
            };
            let permission = match version {
                Some(_) => "s3:DeleteObjectVersion",
                None => "s3:DeleteObject",
            };
            self.ask_to_delete(self.about("remove", permission), version.as_deref(), None)?;
            self.standing().objects.pop();
        }
    }

    fn ask_to_delete(&self, about: About<'_>, version: Option<&str>, if_match: Option<&str>) -> Result<(), Refusal> {
        let asked = self.bucket.requests.ask(about, |client, overrides| {
            client
                .delete_object()
                .bucket(self.bucket.name())
                .key(self.key.as_str())
                .set_version_id(version.map(str::to_owned))
                .set_if_match(if_match.map(str::to_owned))
                .customize()
                .config_override(overrides)
                .send()
        });
        asked.map(|_| ())
    }

    /// Begins an upload in parts.
    ///
    /// # Errors
    /// The refusal.
    pub fn start_upload(&self) -> Result<TrialUpload, Refusal> {
        let about = self.about("begin an upload of", "s3:PutObject");
        let answer = self.bucket.requests.ask(about, |client, overrides| {
            client
                .create_multipart_upload()
                .bucket(self.bucket.name())
                .key(self.key.as_str())
                .content_type(CONTENT_TYPE)
                .set_server_side_encryption(self.creation.sse.clone())
                .set_ssekms_key_id(self.creation.kms_key_id.clone())
                .set_tagging(self.creation.tagging.clone())
                .set_metadata(Some(self.creation.metadata.clone()))
                .set_checksum_algorithm(self.creation.checksum.clone())
                .set_checksum_type(self.checksum_type())
                .customize()
                .config_override(overrides)
                .send()
        })?;
        let upload_id = answer.upload_id().unwrap_or_default().to_owned();
        self.standing().uploads.push(upload_id.clone());
        Ok(TrialUpload {
            upload_id,
            parts: Vec::new(),
        })
    }

    /// Sends the next part.
    ///
    /// # Errors
    /// The refusal.
    pub fn send_part(&self, upload: &mut TrialUpload, body: Bytes) -> Result<(), Refusal> {
        let number = i32::try_from(upload.parts.len() + 1).unwrap_or(i32::MAX);
        let about = self
            .about(&format!("send part {number} of"), "s3:PutObject")
            .carrying(body.len());
        let md5 = BASE64_STANDARD.encode(Md5::digest(&body));
        let answer = self.bucket.requests.ask(about, |client, overrides| {
            client
                .upload_part()
                .bucket(self.bucket.name())
                .key(self.key.as_str())
                .upload_id(&upload.upload_id)
                .part_number(number)
                .content_md5(&md5)
                .set_checksum_algorithm(self.creation.checksum.clone())
                .body(ByteStream::from(body.clone()))
                .customize()
                .config_override(overrides)
                .send()
        })?;
        upload
            .parts
            .push((number, answer.e_tag().unwrap_or_default().to_owned()));
        Ok(())
    }

    /// Completes an upload; with `only_new` only if there is no object.
    ///
    /// # Errors
    /// The refusal; the upload still stands then.
    pub fn complete(&self, upload: &TrialUpload, only_new: bool) -> Result<Written, Refusal> {
        let parts = upload.parts.iter().map(|(number, etag)| {
            CompletedPart::builder()
                .part_number(*number)
                .e_tag(etag.clone())
                .build()
        });
        let parts = CompletedMultipartUpload::builder()
            .set_parts(Some(parts.collect()))
            .build();
        let about = self.about("complete an upload of", "s3:PutObject");
        let answer = self.bucket.requests.ask(about, |client, overrides| {
            client
                .complete_multipart_upload()
                .bucket(self.bucket.name())
                .key(self.key.as_str())
                .upload_id(&upload.upload_id)
                .multipart_upload(parts.clone())
                .set_if_none_match(only_new.then(|| "*".to_owned()))
                .set_checksum_type(self.checksum_type())
                .customize()
                .config_override(overrides)
                .send()
        })?;
        self.standing().uploads.retain(|id| *id != upload.upload_id);
        let written = Written {
            etag: answer.e_tag().map(bare),
            version_id: answer.version_id().and_then(real),
            encryption: answer.server_side_encryption().map(|sse| sse.as_str().to_owned()),
        };
        self.note(&written);
        Ok(written)
    }

    /// Throws an upload away.
    ///
    /// # Errors
    /// The refusal.
    pub fn abort(&self, upload: &TrialUpload) -> Result<(), Refusal> {
        let about = self.about("abort an upload of", "s3:AbortMultipartUpload");
        self.ask_to_abort(about, &upload.upload_id)?;
        self.standing().uploads.retain(|id| *id != upload.upload_id);
        Ok(())
    }

    /// Some servers answer that what is not there has been aborted, others that it is not there.
    fn ask_to_abort(&self, about: About<'_>, upload_id: &str) -> Result<(), Refusal> {
        let asked = self.bucket.requests.ask(about, |client, overrides| {
            client
                .abort_multipart_upload()
                .bucket(self.bucket.name())
                .key(self.key.as_str())
                .upload_id(upload_id)
                .customize()
                .config_override(overrides)
                .send()
        });
        match asked {
            Err(refusal) if refusal.why != Why::NotThere => Err(refusal),
            _ => Ok(()),
        }
    }

    /// The uploads of the object that earlier runs began and could not end.
    ///
    /// # Errors
    /// The refusal.
    pub fn old_uploads(&self) -> Result<Vec<TrialUpload>, Refusal> {
        let about = About::bucket(
            format!("list the unfinished uploads of `{}`", self.address()),
            "s3:ListBucketMultipartUploads",
        );
        let answer = self.bucket.requests.ask(about, |client, overrides| {
            client
                .list_multipart_uploads()
                .bucket(self.bucket.name())
                .prefix(self.key.as_str())
                .customize()
                .config_override(overrides)
                .send()
        })?;
        Ok(answer
            .uploads()
            .iter()
            .filter(|upload| upload.key() == Some(self.key.as_str()))
            .filter_map(|upload| {
                Some(TrialUpload {
                    upload_id: upload.upload_id()?.to_owned(),
                    parts: Vec::new(),
                })
            })
            .collect())
    }

    /// Removes all that still stands; works after a cancellation too.
    ///
    /// # Errors
    /// The first refusal; all is tried.
    pub fn clear(&self) -> Result<(), Refusal> {
        let uploads: Vec<TrialUpload> = self
            .standing()
            .uploads
            .iter()
            .map(|id| TrialUpload {
                upload_id: id.clone(),
                parts: Vec::new(),
            })
            .collect();
        let mut outcome = self.delete();
        for upload in &uploads {
            outcome = outcome.and(self.abort(upload));
        }
        outcome
    }
}

/// What the throw-away object says it is.
const CONTENT_TYPE: &str = "application/octet-stream";

fn bare(etag: &str) -> String {
    etag.trim().trim_matches('"').to_owned()
}

fn real(version: &str) -> Option<String> {
    Some(version.to_owned()).filter(|version| !version.is_empty() && version != "null")
}
