//! Objects in parts: nothing is visible before the end, and the end is never reported without proof.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use aws_sdk_s3::Client;
use aws_sdk_s3::operation::complete_multipart_upload::CompleteMultipartUploadOutput;
use aws_sdk_s3::primitives::ByteStream;
use aws_sdk_s3::types::{ChecksumType, CompletedMultipartUpload, CompletedPart};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;
use md5::{Digest as _, Md5};
use tokio::sync::{Semaphore, watch};

use crate::base::failure::{Failure, Kind, Result};
use crate::store::{Key, ObjectMeta, Part, PartReceipt, PutOptions, Role, Upload};

use super::errors::{Class, Problem};
use super::options::COMPLETE_TIMEOUT_FACTOR;
use super::provider::ConditionalWrites;
use super::put::may_refuse_condition;
use super::session::{Request, Session, Stop, Tries};
use super::stat::{Standing, bare_etag, real_version};

/// How long the answer that names a new upload is waited for after the user has asked to stop.
///
/// Without the name nobody could abort it, and it would cost money until somebody cleans up.
const START_GRACE: Duration = Duration::from_secs(10);

/// Parts that were on their way may land after an abort; it is repeated until none is left.
const ABORTS_MAX: u32 = 4;

/// How often the key is looked at for an object whose completion may still be going on.
const SETTLE_LOOKS: u32 = 5;

const NO_ANSWER_OF_S3_HINT: &str =
    "That is no answer of an S3 server: look for a proxy or a log-in page on the way to it";

/// How far the end of an upload has come.
mod stage {
    pub(super) const OPEN: u8 = 0;
    /// A completion was sent, and its outcome is not known.
    pub(super) const DOUBTFUL: u8 = 1;
    pub(super) const COMPLETED: u8 = 2;
}

/// One multipart upload.
pub(super) struct S3Upload {
    session: Arc<Session>,
    key: Key,
    token: String,
    role: Role,
    upload_id: String,
    /// Whether the object's checksum is made of the parts'.
    checksum: bool,
    stage: AtomicU8,
    stop: watch::Sender<bool>,
    /// As many permits as the provider takes parts at once.
    gate: Semaphore,
    /// What the store answered for a part that we had to send by ourselves.
    empty_part: Mutex<Option<PartReceipt>>,
}

impl std::fmt::Debug for S3Upload {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("S3Upload")
            .field("key", &self.key)
            .field("upload_id", &self.upload_id)
            .finish_non_exhaustive()
    }
}

/// Begins an upload.
pub(super) fn start(session: &Arc<Session>, key: &Key, options: &PutOptions) -> Result<S3Upload> {
    let request = Request::new(
        format!("begin the upload of {}", session.object(key.as_str())),
        "s3:PutObject",
        Some(key.as_str()),
    );
    let creation = session.creation(options);
    let answer = session.block_on(async {
        // A taken key is better found before the first byte than after the last.
        if session.conditional_writes() != ConditionalWrites::Obeyed {
            session
                .look_before(key, &options.token, 0, session.conditional_writes(), &request.stop)
                .await?;
        }
        let sent = request.clone().stopped_by(&Stop::LateOnCancel(START_GRACE));
        let operation = |client: Client, overrides| {
            client
                .create_multipart_upload()
                .bucket(&session.options.bucket)
                .key(key.as_str())
                .content_type(options.content_type)
                .set_storage_class(creation.storage_class.clone())
                .set_server_side_encryption(creation.sse.clone())
                .set_ssekms_key_id(creation.kms_key_id.clone())
                .set_tagging(creation.tagging.clone())
                .set_metadata(Some(creation.metadata.clone()))
                .set_object_lock_mode(creation.lock_mode.clone())
                .set_object_lock_retain_until_date(creation.locked_until)
                .set_checksum_algorithm(creation.checksum.clone())
                .set_checksum_type(creation.checksum.as_ref().map(|_| ChecksumType::FullObject))
                .customize()
                .config_override(overrides)
                .send()
        };
        let mut tries = Tries::new();
        loop {
            match session.attempt(&sent, &mut tries, &operation).await {
                Ok(answer) => return Ok(answer),
                Err(problem) => session
                    .recover(&request, &mut tries, problem)
                    .await
                    .map_err(|problem| session.explain(&request, &problem))?,
            }
        }
    })?;
    let Some(upload_id) = answer.upload_id().filter(|id| !id.is_empty()) else {
        return Err(Failure::new(
            Kind::Failed,
            format!("Could not {}: the store gave the upload no id", request.doing),
        )
        .hint(NO_ANSWER_OF_S3_HINT));
    };
    Ok(S3Upload {
        session: Arc::clone(session),
        key: key.clone(),
        token: options.token.clone(),
        role: options.role,
        upload_id: upload_id.to_owned(),
        checksum: creation.checksum.is_some(),
        stage: AtomicU8::new(stage::OPEN),
        stop: watch::Sender::new(false),
        gate: Semaphore::new(session.provider.parts_in_flight_max),
        empty_part: Mutex::new(None),
    })
}

impl Upload for S3Upload {
    fn put_part(&self, part: Part) -> Result<PartReceipt> {
        self.session.block_on(self.send_part(part))
    }

    fn complete(&self, receipts: &[PartReceipt], object_bytes: u64) -> Result<ObjectMeta> {
        let mut receipts = receipts.to_vec();
        if receipts.is_empty() {
            // S3 knows no upload without a part.
            receipts.push(self.send_empty_part()?);
        }
        let parts = self.completed_parts(&receipts, object_bytes)?;
        self.stage.store(stage::DOUBTFUL, Ordering::SeqCst);
        let session = &self.session;
        let meta = session.block_on(self.complete_parts(parts, object_bytes))?;
        self.stage.store(stage::COMPLETED, Ordering::SeqCst);
        Ok(meta)
    }

    fn abort(&self) -> Result<()> {
        if self.stage.load(Ordering::SeqCst) == stage::COMPLETED {
            return Ok(());
        }
        self.stop.send_replace(true);
        self.session.block_on(self.throw_away())
    }
}

/// Whether a server that takes no content without a signature may have answered like this.
fn may_want_signature(problem: &Problem) -> bool {
    // What compares the content with the words that say that its digest is not given finds another one.
    problem.code.as_deref() == Some("XAmzContentSHA256Mismatch")
        || matches!(
            problem.class,
            Class::Denied | Class::BadCredentials | Class::NotImplemented | Class::InvalidArgument | Class::Fatal
        )
}

impl S3Upload {
    /// Sends a part as soon as the provider has room for one more.
    pub(super) async fn send_part(&self, part: Part) -> Result<PartReceipt> {
        let session = &self.session;
        let name = session.object(self.key.as_str());
        let bytes = part.body.len() as u64;
        let request = Request {
            attempt_timeout: Some(session.timeout_for(bytes)),
            shares_the_line: true,
            stop: Stop::OnCancelOr(self.stop.subscribe()),
            ..Request::new(
                format!("send part {} of {name}", part.number),
                "s3:PutObject",
                Some(self.key.as_str()),
            )
        };
        let limits = session.provider.limits;
        let number = match i32::try_from(part.number) {
            Ok(number) if number >= 1 && part.number <= limits.parts_max && bytes <= limits.part_bytes_max => number,
            _ => {
                return Err(Failure::new(
                    Kind::Unsupported,
                    format!(
                        "Part {} of {name} ({bytes} bytes) is beyond what {} takes",
                        part.number, session.provider.title
                    ),
                ));
            }
        };
        let md5 = BASE64_STANDARD.encode(part.md5);
        let _permit = session
            .within(&request.stop, Duration::MAX, self.gate.acquire())
            .await
            .map_err(|problem| session.explain(&request, &problem))?;
        let _on_its_way = session.send_bytes(bytes);
        let (md5, body) = (&md5, &part.body);
        let send = |signed: bool| {
            session.call(&request, move |client: Client, overrides| {
                let send = client
                    .upload_part()
                    .bucket(&session.options.bucket)
                    .key(self.key.as_str())
                    .upload_id(&self.upload_id)
                    .part_number(number)
                    .content_md5(md5)
                    .set_checksum_algorithm(self.checksum.then_some(aws_sdk_s3::types::ChecksumAlgorithm::Crc64Nvme))
                    .body(ByteStream::from(body.clone()))
                    .customize();
                let send = match signed {
                    true => send,
                    // The MD5 is a header and is signed: the SHA-256 would be a third digest of the same bytes, for both sides.
                    false => send.disable_payload_signing(),
                };
                send.config_override(overrides).send()
            })
        };
        let signed = session.signs_parts();
        let mut sent = send(signed).await;
        if !signed && sent.as_ref().is_err_and(may_want_signature) {
            sent = send(true).await;
            if sent.is_ok() {
                session.sign_parts();
            }
        }
        let etag = sent.map_err(|problem| match problem.class {
            Class::NoUpload | Class::NoKey => session
                .explain(&request, &problem)
                .with_kind(Kind::Failed)
                .hint("Something else ended the upload: a lifecycle rule, or a cleanup of unfinished uploads"),
            _ => session.explain(&request, &problem),
        })?;
        match etag.e_tag() {
            Some(etag) => Ok(PartReceipt {
                number: part.number,
                bytes,
                md5: part.md5,
                etag: Some(etag.to_owned()),
            }),
            None => Err(Failure::new(
                Kind::Failed,
                format!("Could not {}: the store gave the part no tag", request.doing),
            )
            .hint(NO_ANSWER_OF_S3_HINT)),
        }
    }

    fn send_empty_part(&self) -> Result<PartReceipt> {
        if let Some(sent) = self.empty_part.lock().unwrap_or_else(PoisonError::into_inner).clone() {
            return Ok(sent);
        }
        let receipt = self.put_part(Part {
            number: 1,
            offset: 0,
            body: Bytes::new(),
            md5: Md5::digest(b"").into(),
        })?;
        *self.empty_part.lock().unwrap_or_else(PoisonError::into_inner) = Some(receipt.clone());
        Ok(receipt)
    }

    fn completed_parts(&self, receipts: &[PartReceipt], object_bytes: u64) -> Result<CompletedMultipartUpload> {
        let wrong = |what: String| {
            Failure::new(
                Kind::Failed,
                format!("Could not complete {}: {what}", self.session.object(self.key.as_str())),
            )
        };
        let by_number: BTreeMap<u32, &PartReceipt> = receipts.iter().map(|receipt| (receipt.number, receipt)).collect();
        let sum: u64 = by_number.values().map(|receipt| receipt.bytes).sum();
        let last = by_number.keys().next_back().copied().unwrap_or(0);
        if by_number.len() != receipts.len() || by_number.len() as u64 != u64::from(last) || sum != object_bytes {
            return Err(wrong(format!(
                "{} parts with {sum} bytes were sent for {object_bytes} bytes",
                by_number.len()
            )));
        }
        let mut upload = CompletedMultipartUpload::builder();
        for receipt in by_number.values() {
            let number =
                i32::try_from(receipt.number).map_err(|error| wrong("a part's number".into()).caused_by(error))?;
            upload = upload.parts(
                CompletedPart::builder()
                    .part_number(number)
                    .set_e_tag(receipt.etag.clone())
                    .build(),
            );
        }
        Ok(upload.build())
    }

    async fn complete_parts(&self, parts: CompletedMultipartUpload, object_bytes: u64) -> Result<ObjectMeta> {
        let session = &self.session;
        let request = Request {
            attempt_timeout: Some(
                session
                    .timeout_for(0)
                    .saturating_mul(COMPLETE_TIMEOUT_FACTOR)
                    .max(session.timeout_for(object_bytes / COMPLETE_SPEED_UP)),
            ),
            silence_allowed: session.options.moving_time(object_bytes / COMPLETE_SPEED_UP),
            // Whether a completion whose reply was lost took place is asked before it is repeated.
            sdk_retries: false,
            ..Request::new(
                format!("complete {}", session.object(self.key.as_str())),
                "s3:PutObject",
                Some(self.key.as_str()),
            )
        };
        let size = i64::try_from(object_bytes)
            .ok()
            .filter(|_| session.provider.object_size_checked);
        let mut tries = Tries::new();
        let mut refused = false;
        loop {
            let habit = match refused {
                true => ConditionalWrites::Ignored,
                false => session.conditional_writes(),
            };
            if let Some(done) = session
                .look_before(&self.key, &self.token, object_bytes, habit, &request.stop)
                .await?
            {
                return Ok(done);
            }
            let operation = |client: Client, overrides| {
                client
                    .complete_multipart_upload()
                    .bucket(&session.options.bucket)
                    .key(self.key.as_str())
                    .upload_id(&self.upload_id)
                    .multipart_upload(parts.clone())
                    .set_if_none_match((habit != ConditionalWrites::Ignored).then(|| "*".to_owned()))
                    .set_mpu_object_size(size)
                    .set_checksum_type(self.checksum.then_some(ChecksumType::FullObject))
                    .customize()
                    .config_override(overrides)
                    .send()
            };
            let problem = match session.attempt(&request, &mut tries, &operation).await {
                Ok(answer) => {
                    if refused {
                        session.give_up_conditional_writes();
                    }
                    return self.prove(&answer, object_bytes, habit, &request).await;
                }
                Err(problem) => problem,
            };
            if !refused && may_refuse_condition(&problem, habit) {
                refused = true;
                continue;
            }
            if let Some(meta) = self.settle(&request, &problem, object_bytes).await? {
                return Ok(meta);
            }
            let problem = match problem.class {
                // The key is free after all, and the upload still there.
                Class::Precondition => Problem {
                    class: Class::Busy,
                    ..problem
                },
                _ => problem,
            };
            session
                .recover(&request, &mut tries, problem)
                .await
                .map_err(|problem| session.explain(&request, &problem))?;
        }
    }

    /// An answer of success is believed if it names the new object and the condition was obeyed; else the key is looked at.
    async fn prove(
        &self,
        answer: &CompleteMultipartUploadOutput,
        object_bytes: u64,
        habit: ConditionalWrites,
        request: &Request,
    ) -> Result<ObjectMeta> {
        let session = &self.session;
        let etag = answer.e_tag().filter(|etag| !etag.is_empty());
        let habit = match etag {
            Some(_) => habit,
            None => ConditionalWrites::Ignored,
        };
        if let Some(meta) = session
            .look_after(&self.key, &self.token, object_bytes, habit, &request.stop)
            .await?
        {
            return Ok(meta);
        }
        Ok(ObjectMeta {
            key: self.key.clone(),
            bytes: object_bytes,
            modified: None,
            etag: etag.map(bare_etag),
            etag_is_md5: session.etag_is_md5(answer.server_side_encryption(), None),
            version_id: real_version(answer.version_id()),
            storage_class: session.creation_class(self.role),
            archive: None,
            token: Some(self.token.clone()),
        })
    }

    /// After a completion that did not say yes: whether it took place all the same. `None` means that it may be
    /// repeated.
    async fn settle(&self, request: &Request, problem: &Problem, object_bytes: u64) -> Result<Option<ObjectMeta>> {
        let session = &self.session;
        // These end the upload, so that only the key can still tell; an earlier attempt may be at work on it.
        let upload_is_over = matches!(problem.class, Class::NoUpload | Class::NoKey | Class::Conflict);
        let ambiguous = upload_is_over || matches!(problem.class, Class::Lost | Class::Busy | Class::Precondition);
        if !ambiguous {
            return Ok(None);
        }
        let looks = if upload_is_over { SETTLE_LOOKS } else { 1 };
        for look in 1..=looks {
            let standing = session
                .standing(&self.key, &self.token, object_bytes, &request.stop)
                .await;
            match standing {
                Ok(Standing::Ours(meta)) => return Ok(Some(meta)),
                Ok(Standing::OursBroken(meta)) => return Err(session.broken(&self.key, &meta, object_bytes)),
                Ok(Standing::Taken) => return Err(session.taken(&self.key)),
                Ok(Standing::Free) => {}
                // Who may only write cannot look, but may repeat what is repeatable.
                Err(failure)
                    if failure.kind() == Kind::Denied && matches!(problem.class, Class::Lost | Class::Busy) =>
                {
                    return Ok(None);
                }
                Err(failure) => {
                    return Err(failure.context(format!(
                        "Could not tell whether {} was completed",
                        session.object(self.key.as_str())
                    )));
                }
            }
            if look < looks {
                session
                    .wait(request, session.options.retry.first_wait)
                    .await
                    .map_err(|problem| session.explain(request, &problem))?;
            }
        }
        if !upload_is_over {
            return Ok(None);
        }
        let failure = session.explain(request, problem);
        Err(match problem.class {
            Class::Conflict => failure
                .hint("Another write to the same key was going on, and the store gave up this upload; run it again"),
            _ => failure
                .with_kind(Kind::Failed)
                .hint("The upload is gone and so are its parts: a lifecycle rule or a cleanup ended it; run it again"),
        })
    }

    /// Aborts until no part is left, and removes an object that a completion of unknown outcome made.
    async fn throw_away(&self) -> Result<()> {
        let session = &self.session;
        let stop = session.clean_up();
        let request = Request::new(
            format!("abort the upload of {}", session.object(self.key.as_str())),
            "s3:AbortMultipartUpload",
            Some(self.key.as_str()),
        )
        .stopped_by(&stop);
        for _ in 0..ABORTS_MAX {
            let outcome = session
                .call(&request, |client: Client, overrides| {
                    client
                        .abort_multipart_upload()
                        .bucket(&session.options.bucket)
                        .key(self.key.as_str())
                        .upload_id(&self.upload_id)
                        .customize()
                        .config_override(overrides)
                        .send()
                })
                .await;
            match outcome {
                Ok(_) => {}
                Err(problem) if matches!(problem.class, Class::NoUpload | Class::NoKey) => break,
                Err(problem) => {
                    return Err(session.explain(&request, &problem).hint(format!(
                        "Its parts may go on costing money; remove them with `backup-cli cleanup` or `aws s3api abort-multipart-upload --bucket {} --key {} --upload-id {}`",
                        session.options.bucket, self.key, self.upload_id
                    )));
                }
            }
            if !self.has_parts(&stop).await {
                break;
            }
        }
        if self.stage.load(Ordering::SeqCst) == stage::DOUBTFUL {
            self.remove_if_completed(&stop).await?;
        }
        self.stage.store(stage::OPEN, Ordering::SeqCst);
        Ok(())
    }

    /// Whether the store still lists parts; not being able to tell is no reason to abort again.
    async fn has_parts(&self, stop: &Stop) -> bool {
        let session = &self.session;
        let request = Request::new(
            format!("list the parts of {}", session.object(self.key.as_str())),
            "s3:ListMultipartUploadParts",
            Some(self.key.as_str()),
        )
        .stopped_by(stop);
        let operation = |client: Client, overrides| {
            client
                .list_parts()
                .bucket(&session.options.bucket)
                .key(self.key.as_str())
                .upload_id(&self.upload_id)
                .max_parts(1)
                .customize()
                .config_override(overrides)
                .send()
        };
        match session.attempt(&request, &mut Tries::new(), &operation).await {
            Ok(answer) => !answer.parts().is_empty(),
            Err(_) => false,
        }
    }

    /// A completion was sent and nobody knows what became of it: an aborted upload must leave no object.
    async fn remove_if_completed(&self, stop: &Stop) -> Result<()> {
        match self.session.stat(&self.key, stop).await? {
            Some(meta) if meta.token.as_deref() == Some(&self.token) => {
                self.session.remove(&self.key, meta.version_id.as_deref(), stop).await
            }
            _ => Ok(()),
        }
    }
}

/// Completing goes over the parts' records, not over their bytes; even at this multiple of the slowest upload it ends.
const COMPLETE_SPEED_UP: u64 = 1000;
