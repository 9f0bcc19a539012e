//! The S3 server's memory: objects and uploads, and rules that are stricter than those of the real thing.

use std::collections::BTreeMap;
use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::{Duration, SystemTime};

use super::users::Users;
use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use bytes::Bytes;
use hyper::body::{Body, Frame, SizeHint};
use md5::{Digest, Md5};
use s3s::checksum::ChecksumHasher;
use s3s::crypto::Checksum as _;
use s3s::dto::*;
use s3s::{S3, S3Error, S3ErrorCode, S3Request, S3Response, S3Result, s3_error};

/// How the server behaves; the default is AWS, only stricter.
#[derive(Clone, Debug)]
pub struct Options {
    /// The least size of a part that is not the last, in bytes.
    pub part_bytes_min: u64,
    /// How many parts an object may have.
    pub parts_max: i32,
    /// Whether all parts but the last must be equal, as on R2.
    pub parts_equal: bool,
    /// Whether a Complete that is sent again succeeds, as on AWS, or answers `NoSuchUpload`, as on MinIO.
    pub complete_twice: bool,
    /// Whether `If-None-Match` is honoured; some providers ignore it.
    pub conditions: bool,
    /// Whether entity tags are MD5 sums; some providers make them up.
    pub etags_are_md5: bool,
    /// How many keys a page of a listing holds.
    pub page_keys_max: usize,
    /// The bucket's region; a request that is signed for another one is refused with this status (301 or 400).
    pub region: Option<(String, u16)>,
    /// Bodies of parts are counted and thrown away: for measuring throughput. Reads give zeros.
    pub sink: bool,
    /// By how many seconds the server's clock is ahead; its answers tell the time.
    pub clock_ahead_secs: i64,
    /// How many looks at an object that was asked for find it still in the archive.
    pub thaw_looks: u32,
    /// Whether it knows the settings of buckets and the account beside them; many servers answer `NotImplemented`.
    pub has_settings: bool,
}

/// How far an archived object is thawed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Thaw {
    /// Nobody has asked for it, or it has expired.
    #[default]
    Frozen,
    /// It was asked for; so many looks find it still in the archive.
    Thawing(u32),
    /// It can be read.
    Thawed,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            part_bytes_min: 5 << 20,
            parts_max: 10_000,
            parts_equal: false,
            complete_twice: true,
            conditions: true,
            etags_are_md5: true,
            page_keys_max: 1000,
            region: None,
            sink: false,
            clock_ahead_secs: 0,
            thaw_looks: 0,
            has_settings: false,
        }
    }
}

/// An object as the server holds it.
#[derive(Clone, Debug)]
pub struct StoredObject {
    /// The content in pieces; `None` for what a sink has thrown away.
    pieces: Vec<Piece>,
    pub etag: String,
    pub metadata: BTreeMap<String, String>,
    pub content_type: Option<String>,
    pub storage_class: Option<String>,
    pub thaw: Thaw,
    pub encryption: Option<String>,
    pub kms_key: Option<String>,
    pub tags: BTreeMap<String, String>,
    pub modified: SystemTime,
    /// The sizes of its parts; empty if it was put in one piece.
    pub part_bytes: Vec<u64>,
}

/// What a HEAD says of a thawed object.
const THAWED: &str = "ongoing-request=\"false\", expiry-date=\"Fri, 01 Jan 2100 00:00:00 GMT\"";

#[derive(Clone, Debug)]
struct Piece {
    bytes: u64,
    content: Option<Bytes>,
}

impl StoredObject {
    /// Its length.
    pub fn bytes(&self) -> u64 {
        self.pieces.iter().map(|piece| piece.bytes).sum()
    }

    /// Its content; zeros where a sink has thrown it away.
    pub fn content(&self) -> Vec<u8> {
        self.slices(0..self.bytes()).into_iter().flatten().collect()
    }

    fn slices(&self, wanted: std::ops::Range<u64>) -> VecDeque<Bytes> {
        /// What a discarded piece is read back as.
        static ZEROS: [u8; 256 * 1024] = [0; 256 * 1024];
        let mut slices = VecDeque::new();
        let mut offset = 0;
        for piece in &self.pieces {
            let from = wanted.start.clamp(offset, offset + piece.bytes) - offset;
            let to = wanted.end.clamp(offset, offset + piece.bytes) - offset;
            offset += piece.bytes;
            if from == to {
                continue;
            }
            let at = |position: u64| usize::try_from(position).expect("a position in memory");
            match &piece.content {
                Some(content) => slices.push_back(content.slice(at(from)..at(to))),
                None => {
                    let mut left = at(to - from);
                    while left > 0 {
                        let count = left.min(ZEROS.len());
                        slices.push_back(Bytes::from_static(&ZEROS[..count]));
                        left -= count;
                    }
                }
            }
        }
        slices
    }

    fn is_archived(&self) -> bool {
        matches!(self.storage_class.as_deref(), Some("GLACIER" | "DEEP_ARCHIVE"))
    }

    fn facts(&self) -> S3Result<Facts> {
        Ok(Facts {
            length: i64::try_from(self.bytes()).map_err(S3Error::internal_error)?,
            etag: ETag::Strong(self.etag.clone()),
            modified: Timestamp::from(self.modified),
            metadata: Some(self.metadata.clone().into_iter().collect()),
            storage_class: self.storage_class.clone().map(StorageClass::from),
            encryption: self.encryption.clone().map(ServerSideEncryption::from),
        })
    }
}

struct Facts {
    length: i64,
    etag: ETag,
    modified: Timestamp,
    metadata: Option<Metadata>,
    storage_class: Option<StorageClass>,
    encryption: Option<ServerSideEncryption>,
}

#[derive(Debug)]
struct Part {
    piece: Piece,
    etag: String,
    modified: SystemTime,
}

#[derive(Debug)]
struct Multipart {
    key: String,
    initiated: SystemTime,
    /// What the object will be but for its content.
    object: StoredObject,
    parts: BTreeMap<i32, Part>,
    completed: Option<String>,
}

/// The objects of a bucket by their keys.
pub type Content = BTreeMap<String, StoredObject>;

#[derive(Debug, Default)]
struct BucketState {
    objects: Content,
    uploads: BTreeMap<String, Multipart>,
}

#[derive(Debug, Default)]
struct State {
    buckets: BTreeMap<String, BucketState>,
    uploads_begun: u64,
}

/// The server's memory; clones share it.
#[derive(Clone, Debug)]
pub struct Memory {
    pub options: Arc<Options>,
    pub users: Users,
    state: Arc<Mutex<State>>,
}

/// An upload that has neither been completed nor aborted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OpenUpload {
    pub key: String,
    pub upload_id: String,
    pub parts: usize,
}

impl Memory {
    pub fn new(options: Options, users: Users) -> Self {
        Self {
            options: Arc::new(options),
            users,
            state: Arc::default(),
        }
    }

    pub fn create_bucket_now(&self, bucket: &str) {
        self.lock().buckets.entry(bucket.to_owned()).or_default();
    }

    pub fn has_bucket(&self, bucket: &str) -> bool {
        self.lock().buckets.contains_key(bucket)
    }

    pub fn object(&self, bucket: &str, key: &str) -> Option<StoredObject> {
        self.lock().buckets.get(bucket)?.objects.get(key).cloned()
    }

    /// What an upload is to be, without its content.
    pub fn upload(&self, bucket: &str, upload_id: &str) -> Option<StoredObject> {
        let state = self.lock();
        let upload = state.buckets.get(bucket)?.uploads.get(upload_id)?;
        Some(upload.object.clone())
    }

    /// Changes an object behind everybody's back; `None` removes it.
    pub fn tamper(&self, bucket: &str, key: &str, change: impl FnOnce(Vec<u8>) -> Option<Vec<u8>>) {
        let mut state = self.lock();
        let objects = &mut state.buckets.get_mut(bucket).expect("the bucket exists").objects;
        let object = objects.get_mut(key).expect("the object exists");
        match change(object.content()) {
            Some(content) => object.pieces = vec![Piece::kept(content.into())],
            None => drop(objects.remove(key)),
        }
    }

    pub fn set_thaw(&self, bucket: &str, key: &str, thaw: Thaw) {
        let mut state = self.lock();
        let objects = &mut state.buckets.get_mut(bucket).expect("the bucket exists").objects;
        objects.get_mut(key).expect("the object exists").thaw = thaw;
    }

    /// All objects of a bucket.
    pub fn content(&self, bucket: &str) -> Content {
        let state = self.lock();
        state
            .buckets
            .get(bucket)
            .map(|bucket| bucket.objects.clone())
            .unwrap_or_default()
    }

    /// Puts objects into a bucket.
    pub fn fill(&self, bucket: &str, content: &Content) {
        let mut state = self.lock();
        let objects = &mut state.buckets.get_mut(bucket).expect("the bucket exists").objects;
        objects.extend(content.iter().map(|(key, object)| (key.clone(), object.clone())));
    }

    pub fn keys(&self, bucket: &str) -> Vec<String> {
        self.lock()
            .buckets
            .get(bucket)
            .map(|bucket| bucket.objects.keys().cloned().collect())
            .unwrap_or_default()
    }

    pub fn open_uploads(&self, bucket: &str) -> Vec<OpenUpload> {
        let state = self.lock();
        let uploads = state.buckets.get(bucket).into_iter().flat_map(|bucket| &bucket.uploads);
        uploads
            .filter(|(_, upload)| upload.completed.is_none())
            .map(|(id, upload)| OpenUpload {
                key: upload.key.clone(),
                upload_id: id.clone(),
                parts: upload.parts.len(),
            })
            .collect()
    }

    /// Everything of a bucket is from so long before.
    pub fn age(&self, bucket: &str, by: Duration) {
        let mut state = self.lock();
        let bucket = state.buckets.get_mut(bucket).expect("the bucket exists");
        for object in bucket.objects.values_mut() {
            object.modified -= by;
        }
        for upload in bucket.uploads.values_mut() {
            upload.initiated -= by;
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Reads a body, checks it against everything that the client said of it, and returns it with its entity tag.
    async fn receive(&self, body: Option<StreamingBlob>, claims: Claims) -> S3Result<(Piece, String)> {
        let mut body = Box::pin(s3s::Body::from(body.ok_or_else(|| s3_error!(IncompleteBody))?));
        let mut hasher = claims.hasher();
        let mut md5 = Md5::new();
        let mut content = Vec::new();
        let mut bytes = 0_u64;
        while let Some(frame) = std::future::poll_fn(|context| body.as_mut().poll_frame(context)).await {
            let frame = frame.map_err(|error| S3Error::with_source(S3ErrorCode::IncompleteBody, error))?;
            let Ok(data) = frame.into_data() else { continue };
            bytes += data.len() as u64;
            if !self.options.sink {
                md5.update(&data);
                hasher.update(&data);
                content.extend_from_slice(&data);
            }
        }
        if claims.length.is_some_and(|length| u64::try_from(length) != Ok(bytes)) {
            return Err(s3_error!(
                IncompleteBody,
                "The body is not as long as Content-Length says"
            ));
        }
        if self.options.sink {
            // The tag is what the client expects it to be: the sum that it sent, if it sent one.
            let sum = claims.md5.as_deref().and_then(|sum| BASE64.decode(sum).ok());
            let etag = sum.map_or_else(|| "d41d8cd98f00b204e9800998ecf8427e".to_owned(), hex::encode);
            return Ok((Piece { bytes, content: None }, etag));
        }
        let digest = md5.finalize();
        if let Some(claimed) = &claims.md5 {
            let claimed = BASE64.decode(claimed).map_err(|_| s3_error!(InvalidDigest))?;
            if claimed != digest[..] {
                return Err(s3_error!(
                    BadDigest,
                    "The Content-MD5 you specified did not match what we received"
                ));
            }
        }
        claims.check(hasher)?;
        Ok((Piece::kept(content.into()), self.etag(&digest)))
    }

    fn etag(&self, digest: &[u8]) -> String {
        if self.options.etags_are_md5 {
            hex::encode(digest)
        } else {
            // As long as an MD5, and not one.
            let mut other = digest.to_vec();
            other.reverse();
            hex::encode(other)
        }
    }

    fn refuse_if_taken(&self, bucket: &BucketState, key: &str, condition: Option<&IfNoneMatch>) -> S3Result<()> {
        match condition {
            Some(condition) if self.options.conditions => {
                if !condition.is_any() {
                    return Err(s3_error!(NotImplemented, "If-None-Match takes * only"));
                }
                if bucket.objects.contains_key(key) {
                    return Err(s3_error!(PreconditionFailed));
                }
                Ok(())
            }
            _ => Ok(()),
        }
    }
}

impl Piece {
    fn kept(content: Bytes) -> Self {
        Self {
            bytes: content.len() as u64,
            content: Some(content),
        }
    }
}

/// What a client says of a body that it sends.
struct Claims {
    length: Option<i64>,
    md5: Option<String>,
    sums: Checksum,
}

impl Claims {
    fn hasher(&self) -> ChecksumHasher {
        ChecksumHasher {
            crc32: self.sums.checksum_crc32.as_ref().map(|_| s3s::crypto::Crc32::new()),
            crc32c: self.sums.checksum_crc32c.as_ref().map(|_| s3s::crypto::Crc32c::new()),
            sha1: self.sums.checksum_sha1.as_ref().map(|_| s3s::crypto::Sha1::new()),
            sha256: self.sums.checksum_sha256.as_ref().map(|_| s3s::crypto::Sha256::new()),
            crc64nvme: self
                .sums
                .checksum_crc64nvme
                .as_ref()
                .map(|_| s3s::crypto::Crc64Nvme::new()),
        }
    }

    fn check(&self, hasher: ChecksumHasher) -> S3Result<()> {
        let found = hasher.finalize();
        let same = found.checksum_crc32 == self.sums.checksum_crc32
            && found.checksum_crc32c == self.sums.checksum_crc32c
            && found.checksum_sha1 == self.sums.checksum_sha1
            && found.checksum_sha256 == self.sums.checksum_sha256
            && found.checksum_crc64nvme == self.sums.checksum_crc64nvme;
        if same {
            Ok(())
        } else {
            Err(s3_error!(
                BadDigest,
                "A checksum you specified did not match what we received"
            ))
        }
    }
}

/// The sums that an input holds, by the names that all inputs share.
macro_rules! sums_of {
    ($input:expr) => {
        Checksum {
            checksum_crc32: $input.checksum_crc32.clone(),
            checksum_crc32c: $input.checksum_crc32c.clone(),
            checksum_crc64nvme: $input.checksum_crc64nvme.clone(),
            checksum_sha1: $input.checksum_sha1.clone(),
            checksum_sha256: $input.checksum_sha256.clone(),
            checksum_type: None,
        }
    };
}

/// What an object is but for its content, by the names that PutObject and CreateMultipartUpload share.
macro_rules! described_by {
    ($input:expr) => {
        StoredObject {
            pieces: Vec::new(),
            etag: String::new(),
            metadata: $input.metadata.clone().unwrap_or_default().into_iter().collect(),
            content_type: $input.content_type.as_ref().map(ToString::to_string),
            storage_class: known_class($input.storage_class.as_ref())?,
            thaw: Thaw::default(),
            encryption: $input
                .server_side_encryption
                .as_ref()
                .map(|sse| sse.as_str().to_owned()),
            kms_key: $input.ssekms_key_id.clone(),
            tags: parse_tags($input.tagging.as_deref().unwrap_or_default())?,
            modified: SystemTime::now(),
            part_bytes: Vec::new(),
        }
    };
}

fn known_class(class: Option<&StorageClass>) -> S3Result<Option<String>> {
    const KNOWN: [&str; 9] = [
        "STANDARD",
        "REDUCED_REDUNDANCY",
        "STANDARD_IA",
        "ONEZONE_IA",
        "INTELLIGENT_TIERING",
        "GLACIER",
        "DEEP_ARCHIVE",
        "GLACIER_IR",
        "EXPRESS_ONEZONE",
    ];
    match class.map(StorageClass::as_str) {
        None | Some("STANDARD") => Ok(None),
        Some(class) if KNOWN.contains(&class) => Ok(Some(class.to_owned())),
        Some(_) => Err(s3_error!(InvalidStorageClass)),
    }
}

fn parse_tags(header: &str) -> S3Result<BTreeMap<String, String>> {
    let pairs = url::form_urlencoded::parse(header.as_bytes());
    let tags: BTreeMap<String, String> = pairs.into_owned().collect();
    if tags.len() > 10 {
        Err(s3_error!(InvalidTag))
    } else {
        Ok(tags)
    }
}

/// A body made of pieces that are in memory already.
struct Pieces {
    slices: VecDeque<Bytes>,
    left: u64,
}

impl Body for Pieces {
    type Data = Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        /// As a network would deliver it.
        const FRAME_BYTES_MAX: usize = 256 * 1024;
        let Some(mut slice) = self.slices.pop_front() else {
            return Poll::Ready(None);
        };
        if slice.len() > FRAME_BYTES_MAX {
            let rest = slice.split_off(FRAME_BYTES_MAX);
            self.slices.push_front(rest);
        }
        self.left -= slice.len() as u64;
        Poll::Ready(Some(Ok(Frame::data(slice))))
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.left)
    }
}

#[async_trait::async_trait]
impl S3 for Memory {
    async fn list_buckets(&self, _: S3Request<ListBucketsInput>) -> S3Result<S3Response<ListBucketsOutput>> {
        let buckets = self
            .lock()
            .buckets
            .keys()
            .map(|name| Bucket {
                name: Some(name.clone()),
                ..Bucket::default()
            })
            .collect();
        Ok(S3Response::new(ListBucketsOutput {
            buckets: Some(buckets),
            ..ListBucketsOutput::default()
        }))
    }

    async fn create_bucket(&self, request: S3Request<CreateBucketInput>) -> S3Result<S3Response<CreateBucketOutput>> {
        let mut state = self.lock();
        if state.buckets.contains_key(&request.input.bucket) {
            return Err(s3_error!(BucketAlreadyOwnedByYou));
        }
        state.buckets.insert(request.input.bucket, BucketState::default());
        Ok(S3Response::new(CreateBucketOutput::default()))
    }

    async fn head_bucket(&self, request: S3Request<HeadBucketInput>) -> S3Result<S3Response<HeadBucketOutput>> {
        self.lock().bucket(&request.input.bucket)?;
        let bucket_region = self.options.region.as_ref().map(|(region, _)| region.clone());
        Ok(S3Response::new(HeadBucketOutput {
            bucket_region,
            ..HeadBucketOutput::default()
        }))
    }

    async fn get_bucket_location(
        &self,
        request: S3Request<GetBucketLocationInput>,
    ) -> S3Result<S3Response<GetBucketLocationOutput>> {
        self.lock().bucket(&request.input.bucket)?;
        Ok(S3Response::new(GetBucketLocationOutput::default()))
    }

    async fn put_object(&self, request: S3Request<PutObjectInput>) -> S3Result<S3Response<PutObjectOutput>> {
        let mut input = request.input;
        let mut object = described_by!(input);
        let claims = Claims {
            length: input.content_length,
            md5: input.content_md5.take(),
            sums: sums_of!(input),
        };
        let (piece, etag) = self.receive(input.body.take(), claims).await?;
        object.pieces = vec![piece];
        object.etag = etag.clone();
        let mut state = self.lock();
        let bucket = state.bucket(&input.bucket)?;
        // Judged at the end: of two writers at once the one that ends first wins.
        self.refuse_if_taken(bucket, &input.key, input.if_none_match.as_ref())?;
        let server_side_encryption = object.encryption.clone().map(ServerSideEncryption::from);
        bucket.objects.insert(input.key, object);
        let e_tag = Some(ETag::Strong(etag));
        Ok(S3Response::new(PutObjectOutput {
            e_tag,
            server_side_encryption,
            ..PutObjectOutput::default()
        }))
    }

    async fn get_object(&self, request: S3Request<GetObjectInput>) -> S3Result<S3Response<GetObjectOutput>> {
        let input = request.input;
        let object = self.lock().object(&input.bucket, &input.key)?.clone();
        if object.is_archived() && object.thaw != Thaw::Thawed {
            return Err(s3_error!(
                InvalidObjectState,
                "The operation is not valid for the object's storage class"
            ));
        }
        let etag = ETag::Strong(object.etag.clone());
        if input
            .if_match
            .is_some_and(|condition| condition.as_etag().is_some_and(|wanted| !wanted.strong_cmp(&etag)))
        {
            return Err(s3_error!(PreconditionFailed));
        }
        let total = object.bytes();
        let wanted = match &input.range {
            Some(range) => range.check(total).map_err(|_| s3_error!(InvalidRange))?,
            None => 0..total,
        };
        let facts = object.facts()?;
        let content_range = input
            .range
            .map(|_| format!("bytes {}-{}/{total}", wanted.start, wanted.end - 1));
        let left = wanted.end - wanted.start;
        let body = s3s::Body::http_body(Pieces {
            slices: object.slices(wanted),
            left,
        });
        Ok(S3Response::new(GetObjectOutput {
            accept_ranges: Some("bytes".to_owned()),
            body: Some(StreamingBlob::from(body)),
            content_length: Some(i64::try_from(left).map_err(S3Error::internal_error)?),
            content_range,
            e_tag: Some(facts.etag),
            last_modified: Some(facts.modified),
            metadata: facts.metadata,
            storage_class: facts.storage_class,
            server_side_encryption: facts.encryption,
            ..GetObjectOutput::default()
        }))
    }

    async fn head_object(&self, request: S3Request<HeadObjectInput>) -> S3Result<S3Response<HeadObjectOutput>> {
        let (facts, restore) = {
            let mut state = self.lock();
            let bucket = state.bucket(&request.input.bucket)?;
            let object = bucket
                .objects
                .get_mut(&request.input.key)
                .ok_or_else(|| s3_error!(NoSuchKey))?;
            let restore = match object.thaw {
                Thaw::Frozen => None,
                Thaw::Thawing(0) => {
                    object.thaw = Thaw::Thawed;
                    Some(THAWED)
                }
                Thaw::Thawing(looks) => {
                    object.thaw = Thaw::Thawing(looks - 1);
                    Some("ongoing-request=\"true\"")
                }
                Thaw::Thawed => Some(THAWED),
            };
            (object.facts()?, restore)
        };
        Ok(S3Response::new(HeadObjectOutput {
            restore: restore.map(str::to_owned),
            accept_ranges: Some("bytes".to_owned()),
            content_length: Some(facts.length),
            e_tag: Some(facts.etag),
            last_modified: Some(facts.modified),
            metadata: facts.metadata,
            storage_class: facts.storage_class,
            server_side_encryption: facts.encryption,
            ..HeadObjectOutput::default()
        }))
    }

    async fn restore_object(
        &self,
        request: S3Request<RestoreObjectInput>,
    ) -> S3Result<S3Response<RestoreObjectOutput>> {
        let input = request.input;
        let wanted = input.restore_request.ok_or_else(|| s3_error!(MalformedXML))?;
        if wanted.days.is_none_or(|days| days < 1) {
            return Err(s3_error!(MalformedXML));
        }
        let mut state = self.lock();
        let bucket = state.bucket(&input.bucket)?;
        let object = bucket.objects.get_mut(&input.key).ok_or_else(|| s3_error!(NoSuchKey))?;
        if !object.is_archived() {
            return Err(s3_error!(
                InvalidObjectState,
                "Restore is not allowed for the object's storage class"
            ));
        }
        match object.thaw {
            Thaw::Thawing(_) => return Err(s3_error!(RestoreAlreadyInProgress)),
            Thaw::Frozen => object.thaw = Thaw::Thawing(self.options.thaw_looks),
            Thaw::Thawed => {}
        }
        Ok(S3Response::new(RestoreObjectOutput::default()))
    }

    async fn get_object_tagging(
        &self,
        request: S3Request<GetObjectTaggingInput>,
    ) -> S3Result<S3Response<GetObjectTaggingOutput>> {
        let tags = self
            .lock()
            .object(&request.input.bucket, &request.input.key)?
            .tags
            .clone();
        let tag_set = tags
            .into_iter()
            .map(|(key, value)| Tag {
                key: Some(key),
                value: Some(value),
            })
            .collect();
        Ok(S3Response::new(GetObjectTaggingOutput {
            tag_set,
            version_id: None,
        }))
    }

    async fn delete_object(&self, request: S3Request<DeleteObjectInput>) -> S3Result<S3Response<DeleteObjectOutput>> {
        self.lock()
            .bucket(&request.input.bucket)?
            .objects
            .remove(&request.input.key);
        Ok(S3Response::new(DeleteObjectOutput::default()))
    }

    async fn delete_objects(
        &self,
        request: S3Request<DeleteObjectsInput>,
    ) -> S3Result<S3Response<DeleteObjectsOutput>> {
        let access_key = request.credentials.as_ref().map(|credentials| &credentials.access_key);
        let gate = access_key.and_then(|access_key| self.users.gate(access_key));
        let mut state = self.lock();
        let bucket = state.bucket(&request.input.bucket)?;
        let mut deleted = Vec::new();
        let mut errors = Vec::new();
        for object in request.input.delete.objects {
            if gate
                .as_ref()
                .is_some_and(|gate| !gate.removes(&request.input.bucket, &object.key))
            {
                errors.push(Error {
                    code: Some("AccessDenied".to_owned()),
                    message: Some("Access Denied".to_owned()),
                    key: Some(object.key),
                    ..Error::default()
                });
                continue;
            }
            bucket.objects.remove(&object.key);
            deleted.push(DeletedObject {
                key: Some(object.key),
                ..DeletedObject::default()
            });
        }
        Ok(S3Response::new(DeleteObjectsOutput {
            deleted: Some(deleted),
            errors: Some(errors).filter(|errors| !errors.is_empty()),
            ..DeleteObjectsOutput::default()
        }))
    }

    async fn list_objects_v2(
        &self,
        request: S3Request<ListObjectsV2Input>,
    ) -> S3Result<S3Response<ListObjectsV2Output>> {
        let input = request.input;
        let mut state = self.lock();
        let bucket = state.bucket(&input.bucket)?;
        let prefix = input.prefix.clone().unwrap_or_default();
        let delimiter = input.delimiter.clone().filter(|delimiter| !delimiter.is_empty());
        let page = usize::try_from(input.max_keys.unwrap_or(1000))
            .unwrap_or(0)
            .min(self.options.page_keys_max);
        let token = input.continuation_token.as_deref().map(|token| {
            let bytes = BASE64
                .decode(token)
                .map_err(|_| s3_error!(InvalidArgument, "The continuation token is not ours"))?;
            String::from_utf8(bytes).map_err(|_| s3_error!(InvalidArgument, "The continuation token is not ours"))
        });
        let after = token.transpose()?.or(input.start_after.clone()).unwrap_or_default();
        let mut contents: Vec<Object> = Vec::new();
        let mut folders: Vec<String> = Vec::new();
        let mut last = String::new();
        let mut is_truncated = false;
        for (key, object) in bucket.objects.iter().filter(|(key, _)| key.starts_with(&prefix)) {
            let folder = delimiter.as_ref().and_then(|delimiter| {
                let end = prefix.len() + key[prefix.len()..].find(delimiter.as_str())? + delimiter.len();
                Some(key[..end].to_owned())
            });
            // What a page has told of is not told again: neither the key nor the folder that stands for it.
            let told = folder.as_ref().unwrap_or(key);
            if *told <= after && !after.is_empty() || folders.last() == Some(told) {
                continue;
            }
            if contents.len() + folders.len() == page {
                is_truncated = true;
                break;
            }
            last.clone_from(told);
            match folder {
                Some(folder) => folders.push(folder),
                None => {
                    let facts = object.facts()?;
                    contents.push(Object {
                        key: Some(key.clone()),
                        size: Some(facts.length),
                        e_tag: Some(facts.etag),
                        last_modified: Some(facts.modified),
                        storage_class: object.storage_class.clone().map(ObjectStorageClass::from),
                        ..Object::default()
                    });
                }
            }
        }
        let key_count = i32::try_from(contents.len() + folders.len()).map_err(S3Error::internal_error)?;
        let common_prefixes = folders
            .into_iter()
            .map(|folder| CommonPrefix { prefix: Some(folder) })
            .collect();
        Ok(S3Response::new(ListObjectsV2Output {
            name: Some(input.bucket),
            prefix: input.prefix,
            delimiter: input.delimiter,
            max_keys: input.max_keys,
            key_count: Some(key_count),
            is_truncated: Some(is_truncated),
            next_continuation_token: is_truncated.then(|| BASE64.encode(last)),
            continuation_token: input.continuation_token,
            contents: Some(contents),
            common_prefixes: Some(common_prefixes),
            ..ListObjectsV2Output::default()
        }))
    }

    async fn create_multipart_upload(
        &self,
        request: S3Request<CreateMultipartUploadInput>,
    ) -> S3Result<S3Response<CreateMultipartUploadOutput>> {
        let input = request.input;
        let object = described_by!(input);
        let mut state = self.lock();
        state.uploads_begun += 1;
        let upload_id = format!("upload-{}", state.uploads_begun);
        let server_side_encryption = object.encryption.clone().map(ServerSideEncryption::from);
        let upload = Multipart {
            key: input.key.clone(),
            initiated: SystemTime::now(),
            object,
            parts: BTreeMap::new(),
            completed: None,
        };
        state.bucket(&input.bucket)?.uploads.insert(upload_id.clone(), upload);
        Ok(S3Response::new(CreateMultipartUploadOutput {
            bucket: Some(input.bucket),
            key: Some(input.key),
            upload_id: Some(upload_id),
            server_side_encryption,
            ..CreateMultipartUploadOutput::default()
        }))
    }

    async fn upload_part(&self, request: S3Request<UploadPartInput>) -> S3Result<S3Response<UploadPartOutput>> {
        let mut input = request.input;
        if !(1..=self.options.parts_max).contains(&input.part_number) {
            return Err(s3_error!(InvalidArgument, "The part number is out of range"));
        }
        self.lock().upload(&input.bucket, &input.key, &input.upload_id)?;
        let claims = Claims {
            length: input.content_length,
            md5: input.content_md5.take(),
            sums: sums_of!(input),
        };
        let (piece, etag) = self.receive(input.body.take(), claims).await?;
        let mut state = self.lock();
        // It may have been aborted in the meantime.
        let upload = state.upload(&input.bucket, &input.key, &input.upload_id)?;
        let part = Part {
            piece,
            etag: etag.clone(),
            modified: SystemTime::now(),
        };
        upload.parts.insert(input.part_number, part);
        Ok(S3Response::new(UploadPartOutput {
            e_tag: Some(ETag::Strong(etag)),
            ..UploadPartOutput::default()
        }))
    }

    async fn complete_multipart_upload(
        &self,
        request: S3Request<CompleteMultipartUploadInput>,
    ) -> S3Result<S3Response<CompleteMultipartUploadOutput>> {
        let input = request.input;
        let mut state = self.lock();
        let bucket = state.bucket(&input.bucket)?;
        let upload = bucket
            .uploads
            .get(&input.upload_id)
            .filter(|upload| upload.key == input.key);
        let upload = upload.ok_or_else(|| s3_error!(NoSuchUpload))?;
        if let Some(etag) = &upload.completed {
            if !self.options.complete_twice {
                return Err(s3_error!(NoSuchUpload));
            }
            return Ok(S3Response::new(completed(&input, etag)));
        }
        self.refuse_if_taken(bucket, &input.key, input.if_none_match.as_ref())?;
        let listed = input
            .multipart_upload
            .as_ref()
            .and_then(|list| list.parts.clone())
            .unwrap_or_default();
        let (object, etag) = self.assemble(upload, &listed, &input)?;
        bucket.objects.insert(input.key.clone(), object);
        if let Some(upload) = bucket.uploads.get_mut(&input.upload_id) {
            upload.completed = Some(etag.clone());
            upload.parts.clear();
        }
        Ok(S3Response::new(completed(&input, &etag)))
    }

    async fn abort_multipart_upload(
        &self,
        request: S3Request<AbortMultipartUploadInput>,
    ) -> S3Result<S3Response<AbortMultipartUploadOutput>> {
        let input = request.input;
        let mut state = self.lock();
        state.upload(&input.bucket, &input.key, &input.upload_id)?;
        state.bucket(&input.bucket)?.uploads.remove(&input.upload_id);
        Ok(S3Response::new(AbortMultipartUploadOutput::default()))
    }

    async fn list_parts(&self, request: S3Request<ListPartsInput>) -> S3Result<S3Response<ListPartsOutput>> {
        let input = request.input;
        let after = input.part_number_marker.unwrap_or(0);
        let page = usize::try_from(input.max_parts.unwrap_or(1000))
            .unwrap_or(0)
            .min(self.options.page_keys_max);
        let mut state = self.lock();
        let upload = state.upload(&input.bucket, &input.key, &input.upload_id)?;
        let mut rest = upload.parts.range(after + 1..);
        let mut parts = Vec::new();
        for (number, part) in rest.by_ref().take(page) {
            parts.push(s3s::dto::Part {
                part_number: Some(*number),
                size: Some(i64::try_from(part.piece.bytes).map_err(S3Error::internal_error)?),
                e_tag: Some(ETag::Strong(part.etag.clone())),
                last_modified: Some(Timestamp::from(part.modified)),
                ..s3s::dto::Part::default()
            });
        }
        let is_truncated = rest.next().is_some();
        Ok(S3Response::new(ListPartsOutput {
            bucket: Some(input.bucket),
            key: Some(input.key),
            upload_id: Some(input.upload_id),
            is_truncated: Some(is_truncated),
            next_part_number_marker: parts.last().and_then(|part| part.part_number).filter(|_| is_truncated),
            parts: Some(parts),
            ..ListPartsOutput::default()
        }))
    }

    async fn list_multipart_uploads(
        &self,
        request: S3Request<ListMultipartUploadsInput>,
    ) -> S3Result<S3Response<ListMultipartUploadsOutput>> {
        let input = request.input;
        let prefix = input.prefix.clone().unwrap_or_default();
        let page = usize::try_from(input.max_uploads.unwrap_or(1000))
            .unwrap_or(0)
            .min(self.options.page_keys_max);
        let after = (
            input.key_marker.clone().unwrap_or_default(),
            input.upload_id_marker.clone(),
        );
        let mut state = self.lock();
        let bucket = state.bucket(&input.bucket)?;
        let mut open: Vec<(&String, &String, &Multipart)> = bucket
            .uploads
            .iter()
            .filter(|(_, upload)| upload.completed.is_none() && upload.key.starts_with(&prefix))
            .map(|(id, upload)| (&upload.key, id, upload))
            .filter(|(key, id, _)| match &after {
                (marker, Some(id_marker)) => (*key, *id) > (marker, id_marker),
                (marker, None) => *key > marker,
            })
            .collect();
        open.sort_by_key(|(key, id, _)| (*key, *id));
        let is_truncated = open.len() > page;
        open.truncate(page);
        let last = open.last().filter(|_| is_truncated);
        let next_key_marker = last.map(|(key, _, _)| (*key).clone());
        let next_upload_id_marker = last.map(|(_, id, _)| (*id).clone());
        let uploads = open.into_iter().map(|(key, id, upload)| MultipartUpload {
            key: Some(key.clone()),
            upload_id: Some(id.clone()),
            initiated: Some(Timestamp::from(upload.initiated)),
            ..MultipartUpload::default()
        });
        Ok(S3Response::new(ListMultipartUploadsOutput {
            uploads: Some(uploads.collect()),
            bucket: Some(input.bucket),
            prefix: input.prefix,
            is_truncated: Some(is_truncated),
            next_key_marker,
            next_upload_id_marker,
            ..ListMultipartUploadsOutput::default()
        }))
    }
}

fn completed(input: &CompleteMultipartUploadInput, etag: &str) -> CompleteMultipartUploadOutput {
    CompleteMultipartUploadOutput {
        bucket: Some(input.bucket.clone()),
        key: Some(input.key.clone()),
        e_tag: Some(ETag::Strong(etag.to_owned())),
        ..CompleteMultipartUploadOutput::default()
    }
}

impl Memory {
    /// Joins the listed parts into an object, with every check that some provider makes.
    fn assemble(
        &self,
        upload: &Multipart,
        listed: &[CompletedPart],
        input: &CompleteMultipartUploadInput,
    ) -> S3Result<(StoredObject, String)> {
        if listed.is_empty() {
            return Err(s3_error!(MalformedXML, "A completed upload needs a part"));
        }
        let mut object = upload.object.clone();
        let mut sums = Md5::new();
        let mut last_number = 0;
        for (index, named) in listed.iter().enumerate() {
            let number = named.part_number.ok_or_else(|| s3_error!(MalformedXML))?;
            if number <= last_number {
                return Err(s3_error!(InvalidPartOrder));
            }
            last_number = number;
            let part = upload
                .parts
                .get(&number)
                .ok_or_else(|| s3_error!(InvalidPart, "There is no such part"))?;
            // AWS takes a part without a tag; a client that sends none cannot notice a mix-up.
            let tag = named
                .e_tag
                .as_ref()
                .ok_or_else(|| s3_error!(InvalidPart, "The part's ETag is missing"))?;
            if tag.value() != part.etag {
                return Err(s3_error!(InvalidPart, "The part's ETag is another one"));
            }
            let is_last = index + 1 == listed.len();
            if !is_last && part.piece.bytes < self.options.part_bytes_min {
                return Err(s3_error!(EntityTooSmall));
            }
            let first_bytes = object.part_bytes.first().copied();
            let differs =
                first_bytes.is_some_and(|first| part.piece.bytes != first && !is_last || part.piece.bytes > first);
            if self.options.parts_equal && differs {
                return Err(s3_error!(
                    InvalidPart,
                    "All parts but the last must have the same length"
                ));
            }
            sums.update(hex::decode(&part.etag).map_err(S3Error::internal_error)?);
            object.part_bytes.push(part.piece.bytes);
            object.pieces.push(part.piece.clone());
        }
        if input
            .mpu_object_size
            .is_some_and(|bytes| u64::try_from(bytes) != Ok(object.bytes()))
        {
            return Err(s3_error!(
                InvalidRequest,
                "The object is not as long as x-amz-mp-object-size says"
            ));
        }
        if input
            .checksum_type
            .as_ref()
            .is_some_and(|kind| kind.as_str() == "FULL_OBJECT")
            && !self.options.sink
        {
            let claims = Claims {
                length: None,
                md5: None,
                sums: sums_of!(input),
            };
            let mut hasher = claims.hasher();
            for slice in object.slices(0..object.bytes()) {
                hasher.update(&slice);
            }
            claims.check(hasher)?;
        }
        let etag = format!("{}-{}", self.etag(&sums.finalize()), listed.len());
        object.etag.clone_from(&etag);
        object.modified = SystemTime::now();
        Ok((object, etag))
    }
}

impl State {
    fn bucket(&mut self, bucket: &str) -> S3Result<&mut BucketState> {
        self.buckets.get_mut(bucket).ok_or_else(|| s3_error!(NoSuchBucket))
    }

    fn object(&mut self, bucket: &str, key: &str) -> S3Result<&StoredObject> {
        self.bucket(bucket)?
            .objects
            .get(key)
            .ok_or_else(|| s3_error!(NoSuchKey))
    }

    fn upload(&mut self, bucket: &str, key: &str, upload_id: &str) -> S3Result<&mut Multipart> {
        let uploads = &mut self.bucket(bucket)?.uploads;
        let upload = uploads
            .get_mut(upload_id)
            .filter(|upload| upload.key == key && upload.completed.is_none());
        upload.ok_or_else(|| s3_error!(NoSuchUpload))
    }
}
