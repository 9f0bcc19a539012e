//! Reading and writing the lifecycle byte for byte: the SDK signs and sends, and what it makes of the text is passed over.

use std::sync::{Arc, Mutex, PoisonError};

use aws_sdk_s3::config::http::HttpResponse;
use aws_sdk_s3::config::interceptors::{
    AfterDeserializationInterceptorContextRef, BeforeTransmitInterceptorContextMut,
};
use aws_sdk_s3::config::{ConfigBag, Intercept, RuntimeComponents};
use aws_sdk_s3::error::BoxError;
use aws_sdk_s3::types::BucketLifecycleConfiguration;
use aws_smithy_types::body::SdkBody;
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use md5::{Digest as _, Md5};

use super::LifecycleDocument;
use crate::base::failure::{Failure, Kind};
use crate::bucket::{Bucket, Reading, Refusal, UNKNOWN_REQUEST, Why};
use crate::store::s3::About;

/// The permission to read the rules.
const GET_PERMISSION: &str = "s3:GetLifecycleConfiguration";

/// The permission to write them, and to remove all of them.
const PUT_PERMISSION: &str = "s3:PutLifecycleConfiguration";

/// The smallest objects that move to other classes, where a rule says nothing of it; written anew with the rules.
const MINIMUM_HEADER: &str = "x-amz-transition-default-minimum-object-size";

impl Bucket {
    /// The lifecycle, to the byte.
    #[must_use]
    pub fn lifecycle_document(&self) -> Reading<LifecycleDocument> {
        match self.lifecycle_once() {
            // Only what makes no sense twice makes none where it lies.
            Reading::Failed(failure) if failure.kind() == Kind::Failed => self.lifecycle_once(),
            reading => reading,
        }
    }

    fn lifecycle_once(&self) -> Reading<LifecycleDocument> {
        let kept = KeptAnswer::default();
        let about = About::bucket(
            format!("read the lifecycle rules of `s3://{}`", self.name()),
            GET_PERMISSION,
        )
        .taking_any_answer_twice();
        let asked = self.requests.ask(about, |client, overrides| {
            client
                .get_bucket_lifecycle_configuration()
                .bucket(self.name())
                .customize()
                .config_override(overrides.interceptor(kept.clone()))
                .send()
        });
        let refusal = match asked {
            Ok(_) => None,
            // The text may make sense although the SDK sees none in it.
            Err(refusal) if refusal.is_senseless => Some(refusal),
            Err(refusal) => return unread(refusal),
        };
        match (kept.take().read(), refusal) {
            (Ok(document), _) => Reading::Is(document),
            // A server that does not know the question answers another one: with a list of objects, for example.
            (Err(_), Some(_)) => Reading::NotSupported,
            (Err(why), None) => Reading::Failed(
                Failure::new(
                    Kind::Failed,
                    format!("The lifecycle rules of `s3://{}` make no sense", self.name()),
                )
                .caused_by(anyhow::anyhow!("{why}"))
                .hint("Look at them in the provider's console, or with `aws s3api get-bucket-lifecycle-configuration`"),
            ),
        }
    }

    /// Replaces the whole lifecycle.
    ///
    /// # Errors
    /// Why it is refused. After an answer that never came, nobody knows which of the two holds.
    pub fn put_lifecycle(&self, document: &LifecycleDocument) -> Result<(), Refusal> {
        let body = ExactBody {
            text: document.text().to_owned(),
            minimum: document.minimum.clone(),
        };
        let about = About::bucket(
            format!("write the lifecycle rules of `s3://{}`", self.name()),
            PUT_PERMISSION,
        )
        .carrying(body.text.len());
        self.requests.ask(about, |client, overrides| {
            // What stands here is replaced before it is signed.
            let placeholder = BucketLifecycleConfiguration::builder()
                .set_rules(Some(Vec::new()))
                .build();
            let request = client
                .put_bucket_lifecycle_configuration()
                .bucket(self.name())
                .set_lifecycle_configuration(placeholder.ok())
                .customize()
                .config_override(overrides.interceptor(body.clone()));
            async move { request.send().await.map(|_| ()) }
        })
    }

    /// Removes all rules.
    ///
    /// # Errors
    /// As [`Bucket::put_lifecycle`].
    pub fn delete_lifecycle(&self) -> Result<(), Refusal> {
        let about = About::bucket(
            format!("remove the lifecycle rules of `s3://{}`", self.name()),
            PUT_PERMISSION,
        );
        self.requests.ask(about, |client, overrides| {
            let request = client
                .delete_bucket_lifecycle()
                .bucket(self.name())
                .customize()
                .config_override(overrides);
            async move { request.send().await.map(|_| ()) }
        })
    }
}

/// What a refusal to show the rules means.
fn unread(refusal: Refusal) -> Reading<LifecycleDocument> {
    if refusal.says(&["NoSuchLifecycleConfiguration"]) {
        return Reading::NotConfigured;
    }
    match refusal.why {
        Why::NotAllowed => Reading::NotAllowed {
            permission: GET_PERMISSION,
        },
        // Servers that lack a setting answer with whatever they have for a path that does not exist.
        Why::NotSupported | Why::NotThere => Reading::NotSupported,
        Why::Rejected if refusal.says(UNKNOWN_REQUEST) => Reading::NotSupported,
        _ => Reading::Failed(refusal.failure),
    }
}

/// An answer's body and the header beside it.
#[derive(Clone, Debug, Default)]
struct Answer {
    body: Vec<u8>,
    minimum: Option<String>,
}

impl Answer {
    fn read(self) -> Result<LifecycleDocument, String> {
        let text = String::from_utf8(self.body).map_err(|error| error.to_string())?;
        LifecycleDocument::read(text, self.minimum)
    }
}

/// Keeps the last answer as it came.
#[derive(Clone, Debug, Default)]
struct KeptAnswer(Arc<Mutex<Answer>>);

impl KeptAnswer {
    fn take(&self) -> Answer {
        std::mem::take(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn keep(&self, response: &HttpResponse) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Answer {
            body: response.body().bytes().unwrap_or_default().to_vec(),
            minimum: response.headers().get(MINIMUM_HEADER).map(str::to_owned),
        };
    }
}

impl Intercept for KeptAnswer {
    fn name(&self) -> &'static str {
        "answers as they come"
    }

    fn read_after_deserialization(
        &self,
        context: &AfterDeserializationInterceptorContextRef<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        self.keep(context.response());
        Ok(())
    }
}

/// Sends this text, whatever the SDK has made.
#[derive(Clone, Debug)]
struct ExactBody {
    text: String,
    minimum: Option<String>,
}

impl Intercept for ExactBody {
    fn name(&self) -> &'static str {
        "bodies as they are"
    }

    // Checksums are made, and requests are signed, after this.
    fn modify_before_retry_loop(
        &self,
        context: &mut BeforeTransmitInterceptorContextMut<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let request = context.request_mut();
        *request.body_mut() = SdkBody::from(self.text.as_str());
        let headers = request.headers_mut();
        headers.try_insert("content-length", self.text.len().to_string())?;
        // Older servers take nothing else for a checksum here.
        headers.try_insert("content-md5", BASE64_STANDARD.encode(Md5::digest(self.text.as_bytes())))?;
        if let Some(minimum) = &self.minimum {
            headers.try_insert(MINIMUM_HEADER, minimum.clone())?;
        }
        Ok(())
    }
}
