//! Small objects written over the ones that stand at their keys, in one request.
//!
//! A PUT over a key is one step on every server. `If-Match` makes it fail if another object stands there by then; not every
//! provider obeys that, so the key is looked at before and after, too.

use aws_sdk_s3::Client;
use aws_sdk_s3::primitives::ByteStream;
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;
use md5::{Digest as _, Md5};

use crate::base::failure::{Failure, Kind, Result};
use crate::store::{Key, ObjectMeta, PutOptions, not_expected};

use super::errors::{Class, Problem};
use super::provider::ConditionalWrites;
use super::put::{may_refuse_condition, put_request};
use super::session::{Request, Session, Stop, Tries};

/// Whose object stands at a key that is to be written over.
enum Stands {
    /// The one with our token, of the right size: an earlier attempt's.
    Ours(ObjectMeta),
    /// The one that was expected.
    Expected,
    /// Another one, or none.
    Other,
}

impl Session {
    /// Writes over an object in one request; a repetition that finds its own earlier success is a success.
    pub(super) async fn replace(
        &self,
        key: &Key,
        body: Bytes,
        options: &PutOptions,
        expected: &ObjectMeta,
    ) -> Result<ObjectMeta> {
        let bytes = body.len() as u64;
        let request = Request {
            attempt_timeout: Some(self.timeout_for(bytes)),
            ..Request::new(
                format!("write over {}", self.object(key.as_str())),
                "s3:PutObject",
                Some(key.as_str()),
            )
        };
        let Some(etag) = &expected.etag else {
            return Err(not_expected(key));
        };
        let creation = self.creation(options);
        let md5 = BASE64_STANDARD.encode(Md5::digest(&body));
        let mut tries = Tries::new();
        let mut is_refused = false;
        let mut is_contradicted = false;
        loop {
            let habit = match is_refused {
                true => ConditionalWrites::Ignored,
                false => self.conditional_writes(),
            };
            // Who obeys one condition may not know the other, so the key is looked at in any case.
            match self.stands(key, options, bytes, expected, &request.stop).await? {
                Stands::Ours(meta) => return Ok(meta),
                Stands::Expected => {}
                Stands::Other => return Err(not_expected(key)),
            }
            let operation = |client: Client, overrides| {
                let condition = (habit != ConditionalWrites::Ignored).then(|| format!("\"{etag}\""));
                put_request(&client, &creation)
                    .bucket(&self.options.bucket)
                    .key(key.as_str())
                    .content_type(options.content_type)
                    .content_md5(&md5)
                    .set_if_match(condition)
                    .body(ByteStream::from(body.clone()))
                    .customize()
                    .config_override(overrides)
                    .send()
            };
            let mut problem = match self.attempt(&request, &mut tries, &operation).await {
                // Only a look proves that it stands there, whatever the provider makes of conditions.
                Ok(_) => return self.replaced(key, options, bytes, expected, &request.stop).await,
                Err(problem) => problem,
            };
            match problem.class {
                Class::Precondition | Class::NoKey => {
                    return match self.stands(key, options, bytes, expected, &request.stop).await? {
                        Stands::Ours(meta) => Ok(meta),
                        // It said that the condition does not hold, and it holds: unless it says so again, that has passed.
                        Stands::Expected if !std::mem::replace(&mut is_contradicted, true) => continue,
                        Stands::Expected | Stands::Other => Err(not_expected(key)),
                    };
                }
                // Another write to the key is going on, perhaps our own earlier attempt; its end decides.
                Class::Conflict => problem.class = Class::Busy,
                _ if !is_refused && may_refuse_condition(&problem, habit) => {
                    is_refused = true;
                    continue;
                }
                _ => {}
            }
            self.recover(&request, &mut tries, problem)
                .await
                .map_err(|problem| self.not_replaced(&request, &problem))?;
        }
    }

    async fn stands(
        &self,
        key: &Key,
        options: &PutOptions,
        bytes: u64,
        expected: &ObjectMeta,
        stop: &Stop,
    ) -> Result<Stands> {
        Ok(match self.stat_between(key, stop).await? {
            Some(meta) if meta.token.as_deref() == Some(&options.token) && meta.bytes == bytes => Stands::Ours(meta),
            Some(meta) if expected.is_still(&meta) => Stands::Expected,
            _ => Stands::Other,
        })
    }

    async fn replaced(
        &self,
        key: &Key,
        options: &PutOptions,
        bytes: u64,
        expected: &ObjectMeta,
        stop: &Stop,
    ) -> Result<ObjectMeta> {
        match self.stands(key, options, bytes, expected, stop).await? {
            Stands::Ours(meta) => Ok(meta),
            Stands::Expected => Err(Failure::new(
                Kind::Failed,
                format!("The store took {} and shows the old one", self.object(key.as_str())),
            )
            .hint("The store does not show at once what was written; look again a little later")),
            Stands::Other => Err(not_expected(key)),
        }
    }

    fn not_replaced(&self, request: &Request, problem: &Problem) -> Failure {
        let failure = self.explain(request, problem);
        match failure.kind() {
            Kind::Denied => failure.hint(
                "Where a lock of the bucket keeps objects from being written over, it has to end first; the old object is as it was",
            ),
            _ => failure,
        }
    }
}
