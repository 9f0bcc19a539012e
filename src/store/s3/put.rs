//! Small objects in one request, created only if their key is free.

use aws_sdk_s3::Client;
use aws_sdk_s3::operation::put_object::PutObjectOutput;
use aws_sdk_s3::operation::put_object::builders::PutObjectFluentBuilder;
use aws_sdk_s3::primitives::{ByteStream, DateTime};
use aws_sdk_s3::types::{ChecksumAlgorithm, ObjectLockMode, ServerSideEncryption, StorageClass};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;
use md5::{Digest as _, Md5};

use crate::base::failure::{Failure, Kind, Result};
use crate::store::{Key, ObjectMeta, PutOptions, Role, TOKEN_METADATA};

use super::errors::{Class, Problem};
use super::locks::header_of;
use super::options::Sse;
use super::provider::ConditionalWrites;
use super::session::{Request, Session, Stop, Tries};
use super::stat::{Standing, bare_etag, real_version};

/// The headers that both ways of creating an object share.
pub(crate) struct Creation {
    pub(crate) storage_class: Option<StorageClass>,
    pub(crate) sse: Option<ServerSideEncryption>,
    pub(crate) kms_key_id: Option<String>,
    pub(crate) tagging: Option<String>,
    pub(crate) metadata: std::collections::HashMap<String, String>,
    pub(crate) checksum: Option<ChecksumAlgorithm>,
    pub(crate) lock_mode: Option<ObjectLockMode>,
    pub(crate) locked_until: Option<DateTime>,
}

impl Session {
    /// What the settings say about a new object.
    pub(super) fn creation(&self, options: &PutOptions) -> Creation {
        let mut metadata: std::collections::HashMap<_, _> = options.metadata.clone().into_iter().collect();
        metadata.insert(TOKEN_METADATA.to_owned(), options.token.clone());
        let (sse, kms_key_id) = match &self.options.sse {
            None => (None, None),
            Some(Sse::Aes256) => (Some(ServerSideEncryption::Aes256), None),
            Some(Sse::Kms { key_id }) => (Some(ServerSideEncryption::AwsKms), key_id.clone()),
        };
        let storage_class = match options.role {
            Role::Data => self.options.storage_class.as_deref().map(StorageClass::from),
            // They are read by every listing, and are smaller than the smallest size that cold classes bill.
            Role::Index | Role::Manifest | Role::Note => None,
        };
        let tags = url::form_urlencoded::Serializer::new(String::new())
            .extend_pairs(&self.options.tags)
            .finish();
        Creation {
            storage_class,
            sse,
            kms_key_id,
            tagging: Some(tags).filter(|tags| !tags.is_empty()),
            metadata,
            // The only algorithm whose value for a whole multipart object S3 computes from the parts.
            checksum: self.checksums().then_some(ChecksumAlgorithm::Crc64Nvme),
            lock_mode: options.lock.map(|lock| header_of(lock.mode)),
            locked_until: options.lock.map(|lock| DateTime::from_secs(lock.until.as_second())),
        }
    }

    /// Writes an object in one request; a repetition that finds its own earlier success is a success.
    pub(super) async fn put(&self, key: &Key, body: Bytes, options: &PutOptions) -> Result<ObjectMeta> {
        let bytes = body.len() as u64;
        let request = Request {
            attempt_timeout: Some(self.timeout_for(bytes)),
            ..Request::new(
                format!("write {}", self.object(key.as_str())),
                "s3:PutObject",
                Some(key.as_str()),
            )
        };
        let creation = self.creation(options);
        let md5 = BASE64_STANDARD.encode(Md5::digest(&body));
        let mut tries = Tries::new();
        let mut refused = false;
        loop {
            let habit = match refused {
                true => ConditionalWrites::Ignored,
                false => self.conditional_writes(),
            };
            if let Some(done) = self
                .look_before(key, &options.token, bytes, habit, &request.stop)
                .await?
            {
                return Ok(done);
            }
            let operation = |client: Client, overrides| {
                let condition = (habit != ConditionalWrites::Ignored).then(|| "*".to_owned());
                put_request(&client, &creation)
                    .bucket(&self.options.bucket)
                    .key(key.as_str())
                    .content_type(options.content_type)
                    .content_md5(&md5)
                    .set_if_none_match(condition)
                    .body(ByteStream::from(body.clone()))
                    .customize()
                    .config_override(overrides)
                    .send()
            };
            let mut problem = match self.attempt(&request, &mut tries, &operation).await {
                Ok(answer) => {
                    if refused {
                        self.give_up_conditional_writes();
                    }
                    // Every S3 server names what it has written; whatever does not may be a page of something in between.
                    let habit = match answer.e_tag().filter(|etag| !etag.is_empty()) {
                        Some(_) => habit,
                        None => ConditionalWrites::Ignored,
                    };
                    return match self
                        .look_after(key, &options.token, bytes, habit, &request.stop)
                        .await?
                    {
                        Some(meta) => Ok(meta),
                        None => Ok(self.meta_of_put(key, bytes, options, &answer)),
                    };
                }
                Err(problem) => problem,
            };
            match problem.class {
                Class::Precondition => match self.standing(key, &options.token, bytes, &request.stop).await? {
                    Standing::Ours(meta) => return Ok(meta),
                    Standing::OursBroken(meta) => return Err(self.broken(key, &meta, bytes)),
                    Standing::Taken => return Err(self.taken(key)),
                    // What had the key is gone again.
                    Standing::Free => problem.class = Class::Busy,
                },
                // Another write to the key is going on, perhaps our own earlier attempt; its end decides.
                Class::Conflict => problem.class = Class::Busy,
                _ if !refused && may_refuse_condition(&problem, habit) => {
                    refused = true;
                    continue;
                }
                _ => {}
            }
            self.recover(&request, &mut tries, problem)
                .await
                .map_err(|problem| self.explain(&request, &problem))?;
        }
    }

    /// Looks whether the key is free, where the store may not look by itself. An object of our own (from an attempt
    /// whose reply was lost) is returned.
    pub(super) async fn look_before(
        &self,
        key: &Key,
        token: &str,
        bytes: u64,
        habit: ConditionalWrites,
        stop: &Stop,
    ) -> Result<Option<ObjectMeta>> {
        if habit == ConditionalWrites::Obeyed {
            return Ok(None);
        }
        match self.standing(key, token, bytes, stop).await {
            Ok(Standing::Free) => Ok(None),
            Ok(Standing::Ours(meta)) => Ok(Some(meta)),
            Ok(Standing::OursBroken(meta)) => Err(self.broken(key, &meta, bytes)),
            Ok(Standing::Taken) => Err(self.taken(key)),
            // Who may only write cannot look; the condition in the request must do.
            Err(failure) if failure.kind() == Kind::Denied && habit == ConditionalWrites::Unproven => Ok(None),
            Err(failure) => Err(failure),
        }
    }

    /// Looks whether the object that was written is ours, where the store may have ignored the condition.
    pub(super) async fn look_after(
        &self,
        key: &Key,
        token: &str,
        bytes: u64,
        habit: ConditionalWrites,
        stop: &Stop,
    ) -> Result<Option<ObjectMeta>> {
        if habit == ConditionalWrites::Obeyed {
            return Ok(None);
        }
        match self.standing(key, token, bytes, stop).await {
            Ok(Standing::Ours(meta)) => Ok(Some(meta)),
            Ok(Standing::OursBroken(meta)) => Err(self.broken(key, &meta, bytes)),
            Ok(Standing::Taken) => Err(self.taken(key)),
            Ok(Standing::Free) => Err(Failure::new(
                Kind::Failed,
                format!("The store took {} and does not have it", self.object(key.as_str())),
            )
            .hint("Something else removes objects there, or the store does not show them at once")),
            Err(failure) if failure.kind() == Kind::Denied && habit == ConditionalWrites::Unproven => Ok(None),
            Err(failure) => Err(failure),
        }
    }

    fn meta_of_put(&self, key: &Key, bytes: u64, options: &PutOptions, answer: &PutObjectOutput) -> ObjectMeta {
        ObjectMeta {
            key: key.clone(),
            bytes,
            modified: None,
            etag: answer.e_tag().map(bare_etag),
            etag_is_md5: self.etag_is_md5(answer.server_side_encryption(), answer.sse_customer_algorithm()),
            version_id: real_version(answer.version_id()),
            storage_class: self.creation_class(options.role),
            archive: None,
            token: Some(options.token.clone()),
        }
    }

    /// The storage class that a new object of this role gets, unless it is the standard one.
    pub(super) fn creation_class(&self, role: Role) -> Option<String> {
        match role {
            Role::Data => super::stat::special_class(self.options.storage_class.as_deref()),
            Role::Index | Role::Manifest | Role::Note => None,
        }
    }
}

/// Whether a refusal may be aimed at `If-None-Match`: a header was sent, and the answer names no other one.
pub(super) fn may_refuse_condition(problem: &Problem, habit: ConditionalWrites) -> bool {
    habit != ConditionalWrites::Ignored
        && matches!(problem.class, Class::NotImplemented | Class::InvalidArgument)
        && !problem.message.to_ascii_lowercase().contains("x-amz-")
}

pub(super) fn put_request(client: &Client, creation: &Creation) -> PutObjectFluentBuilder {
    client
        .put_object()
        .set_storage_class(creation.storage_class.clone())
        .set_server_side_encryption(creation.sse.clone())
        .set_ssekms_key_id(creation.kms_key_id.clone())
        .set_tagging(creation.tagging.clone())
        .set_metadata(Some(creation.metadata.clone()))
        .set_checksum_algorithm(creation.checksum.clone())
        // S3 takes a locked object only with an MD5 or a checksum, which every request of ours has.
        .set_object_lock_mode(creation.lock_mode.clone())
        .set_object_lock_retain_until_date(creation.locked_until)
}
