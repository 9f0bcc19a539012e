//! What the store knows of one object: HEAD, and what can be read from other answers.

use aws_sdk_s3::Client;
use aws_sdk_s3::operation::head_object::HeadObjectOutput;
use aws_sdk_s3::primitives::DateTime;
use aws_sdk_s3::types::{ServerSideEncryption, StorageClass};
use jiff::Timestamp;

use crate::base::failure::{Failure, Kind, Result};
use crate::store::{Key, ObjectMeta, TOKEN_METADATA};

use super::errors::{Class, Problem};
use super::session::{Request, Session, Stop, Tries};
use super::thaw::archive_of;

/// Whose object stands at a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Standing {
    /// Nobody's.
    Free,
    /// The one with our token, of the right size.
    Ours(ObjectMeta),
    /// The one with our token, but not of the right size.
    OursBroken(ObjectMeta),
    /// Somebody else's.
    Taken,
}

/// What a GET tells of a refused HEAD.
enum Why {
    /// The reason.
    Told(Problem),
    /// There is none any more: the object can be read.
    Readable,
    /// Nothing.
    Untold,
}

/// How often a HEAD that is refused without a reason is made.
const MUTE_HEADS_MAX: u32 = 3;

fn is_mute(problem: &Problem) -> bool {
    problem.code.as_deref().unwrap_or_default().is_empty()
}

impl Session {
    /// What is known of an object; `None` only if it is certain that there is none.
    pub(super) async fn stat(&self, key: &Key, stop: &Stop) -> Result<Option<ObjectMeta>> {
        self.stat_as(key, stop, true).await
    }

    /// The same, between the attempts of another request: that it is answered does not mean that the other gets anywhere.
    pub(super) async fn stat_between(&self, key: &Key, stop: &Stop) -> Result<Option<ObjectMeta>> {
        self.stat_as(key, stop, false).await
    }

    async fn stat_as(&self, key: &Key, stop: &Stop, answer_is_progress: bool) -> Result<Option<ObjectMeta>> {
        let request = Request {
            answer_is_progress,
            ..Request::new(
                format!("look at {}", self.object(key.as_str())),
                "s3:GetObject",
                Some(key.as_str()),
            )
        }
        .stopped_by(stop);
        match self.stat_with(key, &request).await {
            Ok(meta) => Ok(meta),
            Err(problem) if problem.class == Class::Denied => Err(self.explain(&request, &problem).hint(
                "Without s3:ListBucket on the bucket, the store answers so for an object that does not exist, too",
            )),
            Err(problem) => Err(self.explain(&request, &problem)),
        }
    }

    /// All that one HEAD tells of an object, or of one version of it.
    pub(super) async fn head(
        &self,
        request: &Request,
        key: &Key,
        version_id: Option<&str>,
    ) -> Result<HeadObjectOutput, Problem> {
        let mut asked = 1;
        loop {
            let outcome = self
                .call(request, |client: Client, overrides| {
                    client
                        .head_object()
                        .bucket(&self.options.bucket)
                        .key(key.as_str())
                        .set_version_id(version_id.map(str::to_owned))
                        .customize()
                        .config_override(overrides)
                        .send()
                })
                .await;
            match outcome {
                // Without a body it does not say why; of what a 400 may mean, much passes.
                Err(problem) if asked < MUTE_HEADS_MAX && problem.status == Some(400) && is_mute(&problem) => {
                    asked += 1;
                    self.wait(request, self.options.retry.first_wait).await?;
                }
                other => return other,
            }
        }
    }

    async fn stat_with(&self, key: &Key, request: &Request) -> Result<Option<ObjectMeta>, Problem> {
        let mut tries = Tries::new();
        let mut contradicted = false;
        let bucket = self.options.bucket.as_str();
        let operation = |client: Client, overrides| {
            client
                .head_object()
                .bucket(bucket)
                .key(key.as_str())
                .customize()
                .config_override(overrides)
                .send()
        };
        loop {
            let bucket_seen = self.bucket_seen();
            let problem = match self.attempt(request, &mut tries, &operation).await {
                // Every S3 server tells both; a web server that has a page for every path tells neither.
                Ok(answer) if answer.e_tag().is_none() && answer.last_modified().is_none() => {
                    let mut problem = Problem::new(Class::NotS3, "").not_s3();
                    problem.status = Some(200);
                    return Err(problem);
                }
                Ok(answer) => return Ok(Some(self.meta_of_head(key, &answer))),
                Err(problem) => problem,
            };
            // The answer to a HEAD has no body, so it does not say why. A GET of the first byte does.
            let says_nothing = match problem.status {
                Some(400 | 403) => is_mute(&problem),
                Some(404) => !bucket_seen,
                _ => false,
            };
            let problem = match says_nothing {
                true => match self.why(key, request).await {
                    Why::Told(told) => told,
                    // What ailed the store has passed, unless it says so again.
                    Why::Readable if !std::mem::replace(&mut contradicted, true) => continue,
                    Why::Readable | Why::Untold => problem,
                },
                false => problem,
            };
            match problem.class {
                Class::NoKey => {
                    // A server without the bucket would have said so by now.
                    self.see_bucket();
                    return Ok(None);
                }
                _ => self.recover(request, &mut tries, problem).await?,
            }
        }
    }

    /// The reason why the store refuses to talk about an object.
    async fn why(&self, key: &Key, request: &Request) -> Why {
        let bucket = self.options.bucket.as_str();
        let outcome = self
            .attempt(request, &mut Tries::new(), &|client: Client, overrides| {
                client
                    .get_object()
                    .bucket(bucket)
                    .key(key.as_str())
                    .range("bytes=0-0")
                    .customize()
                    .config_override(overrides)
                    .send()
            })
            .await;
        match outcome {
            Ok(_) => Why::Readable,
            Err(problem) if problem.code.is_some() && problem.class != Class::Range => Why::Told(problem),
            Err(_) => Why::Untold,
        }
    }

    /// Whose object stands at a key, by the token and the size.
    pub(super) async fn standing(&self, key: &Key, token: &str, bytes: u64, stop: &Stop) -> Result<Standing> {
        Ok(match self.stat(key, stop).await? {
            None => Standing::Free,
            Some(meta) if meta.token.as_deref() != Some(token) => Standing::Taken,
            Some(meta) if meta.bytes != bytes => Standing::OursBroken(meta),
            Some(meta) => Standing::Ours(meta),
        })
    }

    /// The failure to create an object whose key is taken.
    pub(super) fn taken(&self, key: &Key) -> Failure {
        Failure::new(
            Kind::Conflict,
            format!("Another object has the key already: {}", self.object(key.as_str())),
        )
        .hint("Nothing was overwritten; if two runs began in the same second, run this one again")
    }

    /// The failure of an object that arrived with another size than was sent.
    pub(super) fn broken(&self, key: &Key, meta: &ObjectMeta, bytes: u64) -> Failure {
        Failure::new(
            Kind::Damaged,
            format!(
                "The store holds {} bytes of {} instead of {bytes}",
                meta.bytes,
                self.object(key.as_str())
            ),
        )
    }

    fn meta_of_head(&self, key: &Key, answer: &HeadObjectOutput) -> ObjectMeta {
        ObjectMeta {
            key: key.clone(),
            bytes: answer
                .content_length()
                .and_then(|bytes| u64::try_from(bytes).ok())
                .unwrap_or(0),
            modified: answer.last_modified().and_then(timestamp),
            etag: answer.e_tag().map(bare_etag),
            etag_is_md5: self.etag_is_md5(answer.server_side_encryption(), answer.sse_customer_algorithm()),
            version_id: real_version(answer.version_id()),
            storage_class: special_class(answer.storage_class().map(StorageClass::as_str)),
            archive: archive_of(answer),
            token: answer
                .metadata()
                .and_then(|metadata| metadata.get(TOKEN_METADATA))
                .cloned(),
        }
    }

    /// Whether an ETag is an MD5: only if the provider computes it so, and the content is not under a key of KMS or of
    /// the client.
    pub(super) fn etag_is_md5(&self, sse: Option<&ServerSideEncryption>, customer_algorithm: Option<&str>) -> bool {
        self.provider.etag_is_md5
            && customer_algorithm.is_none()
            && matches!(sse, None | Some(ServerSideEncryption::Aes256))
    }
}

/// An ETag without its quotes.
pub(super) fn bare_etag(etag: &str) -> String {
    etag.trim().trim_matches('"').to_owned()
}

/// A version that can be asked for; stores without versions say "null".
pub(super) fn real_version(version: Option<&str>) -> Option<String> {
    version
        .filter(|version| !version.is_empty() && *version != "null")
        .map(str::to_owned)
}

/// A storage class other than the standard one.
pub(super) fn special_class(class: Option<&str>) -> Option<String> {
    class
        .filter(|class| !class.is_empty() && *class != "STANDARD")
        .map(str::to_owned)
}

/// The SDK's time as ours.
pub(super) fn timestamp(time: &DateTime) -> Option<Timestamp> {
    Timestamp::new(time.secs(), i32::try_from(time.subsec_nanos()).ok()?).ok()
}
