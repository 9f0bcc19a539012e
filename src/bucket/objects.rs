//! Single looks at objects, each of which tells whether the credentials allow it.

use aws_sdk_s3::types::EncodingType;
use bytes::Bytes;

use crate::base::failure::{Failure, Kind, Result};
use crate::store::Key;
use crate::store::s3::About;

use super::{Bucket, Refusal, Why};

/// How often an object is asked for whose body breaks off: a connection that fails every time is no accident.
const BODY_TRIES_MAX: u32 = 3;

impl Bucket {
    /// The content of an object, or its beginning. A body that breaks off is asked for again.
    ///
    /// # Errors
    /// The refusal; [`Why::NotThere`] if there is none.
    pub fn read_object(&self, key: &Key, first_bytes: Option<u64>) -> Result<Bytes, Refusal> {
        let mut tries = 1;
        loop {
            match self.read_object_once(key, first_bytes) {
                Err(refusal) if refusal.why == Why::Unreachable && tries < BODY_TRIES_MAX => tries += 1,
                other => return other,
            }
        }
    }

    fn read_object_once(&self, key: &Key, first_bytes: Option<u64>) -> Result<Bytes, Refusal> {
        let about = About::object(
            format!("read `s3://{}/{key}`", self.name()),
            "s3:GetObject",
            key.as_str(),
        );
        let answer = self.requests.ask(about, |client, overrides| {
            let range = first_bytes.map(|count| format!("bytes=0-{}", count.saturating_sub(1)));
            client
                .get_object()
                .bucket(self.name())
                .key(key.as_str())
                .set_range(range)
                .customize()
                .config_override(overrides)
                .send()
        })?;
        // Whoever stops meanwhile does not wait for a body that may not come.
        self.requests.check().map_err(|failure| Refusal {
            why: Why::Interrupted,
            status: None,
            code: None,
            is_senseless: false,
            permission: "s3:GetObject",
            failure,
        })?;
        let collected = self.requests.block_on(async move { answer.body.collect().await });
        let failed = |failure| Refusal {
            why: Why::Unreachable,
            status: None,
            code: None,
            is_senseless: false,
            permission: "s3:GetObject",
            failure,
        };
        collected
            .map_err(failed)?
            .map(|bytes| bytes.into_bytes())
            .map_err(|error| {
                failed(
                    Failure::new(
                        Kind::Unreachable,
                        format!("Could not read `s3://{}/{key}`", self.name()),
                    )
                    .caused_by(error),
                )
            })
    }

    /// Up to so many keys that begin with `prefix`.
    ///
    /// # Errors
    /// The refusal.
    pub fn first_keys(&self, prefix: &str, keys_max: i32) -> Result<Vec<Key>, Refusal> {
        let about = About::bucket(
            format!("list the objects of `s3://{}/{prefix}`", self.name()),
            "s3:ListBucket",
        );
        let answer = self.requests.ask(about, |client, overrides| {
            client
                .list_objects_v2()
                .bucket(self.name())
                .prefix(prefix)
                .max_keys(keys_max)
                .encoding_type(EncodingType::Url)
                .customize()
                .config_override(overrides)
                .send()
        })?;
        let is_encoded = answer.encoding_type() == Some(&EncodingType::Url);
        Ok(answer
            .contents()
            .iter()
            .filter_map(|object| object.key())
            .map(|key| match is_encoded {
                // The encoding is that of forms, in which a space is a plus.
                true => percent_encoding::percent_decode_str(&key.replace('+', " "))
                    .decode_utf8_lossy()
                    .into_owned(),
                false => key.to_owned(),
            })
            .map(Key::new)
            .collect())
    }
}
