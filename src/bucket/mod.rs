//! A bucket as a whole: what it is set to, who uses it, and what its server can do.
//!
//! Each room reads one of the bucket's settings, and makes it. A setting that is not made, one that the server does not know, and one
//! that these credentials may not read are three different answers, and none of them is a failure.

mod access;
mod creation;
mod encryption;
pub mod iam;
mod identity;
mod lifecycle;
mod location;
mod name;
mod object_lock;
mod objects;
mod policy;
mod settings;
mod trial;
mod versioning;

use std::future::Future;

use aws_sdk_s3::Client;
use aws_sdk_s3::config::Builder;
use aws_sdk_s3::config::http::HttpResponse;
use aws_sdk_s3::error::{ProvideErrorMetadata, SdkError};

use crate::base::failure::{Failure, Result};
use crate::store::s3::{About, Heads, Provider, Requests, S3Store};

pub use access::{CorsRule, OWN_CORS_ID, PublicAccessBlock};
pub use creation::Created;
pub use encryption::Encryption;
pub use identity::{Caller, CredentialsFound};
pub use lifecycle::{Deviation, Lifecycle, LifecycleDocument, LifecycleRule, RULES_MAX, Transition};
pub use name::{broken_rule, foreign_ending};
pub use object_lock::{ObjectLock, Retention};
pub use policy::{NotAPolicy, PolicyWish, demands_new_keys, demands_tls};
pub use settings::BucketSettings;
pub use trial::{Checked, Seen, Trial, TrialUpload, Written};
pub use versioning::Versioning;

pub use crate::store::s3::{Refusal, Why};

/// What a bucket says of one of its settings.
#[derive(Debug)]
pub enum Reading<T> {
    /// It is set so.
    Is(T),
    /// Nothing is set.
    NotConfigured,
    /// This server does not know the setting.
    NotSupported,
    /// The credentials may not read it.
    NotAllowed {
        /// What they lack.
        permission: &'static str,
    },
    /// The question failed.
    Failed(Failure),
}

/// A bucket, asked with the credentials and the options of a store.
#[derive(Clone, Debug)]
pub struct Bucket {
    requests: Requests,
}

impl Bucket {
    /// The bucket of a store.
    #[must_use]
    pub fn of(store: &S3Store) -> Self {
        Self {
            requests: store.requests(),
        }
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        self.requests.bucket()
    }

    /// The line of the provider table that holds for it.
    #[must_use]
    pub fn provider(&self) -> &'static Provider {
        self.requests.provider()
    }

    /// The endpoint as a URL; `None` is AWS.
    #[must_use]
    pub fn endpoint(&self) -> Option<url::Url> {
        self.requests.endpoint()
    }

    /// Whether requests go by TLS.
    #[must_use]
    pub fn is_reached_by_tls(&self) -> bool {
        self.endpoint().is_none_or(|endpoint| endpoint.scheme() == "https")
    }

    /// The region in use; after the first answer the bucket's own.
    #[must_use]
    pub fn region_in_use(&self) -> String {
        self.requests.region()
    }

    /// What the answers so far said of the server.
    #[must_use]
    pub fn heads(&self) -> Heads {
        self.requests.heads()
    }

    /// Fails once the run has been asked to stop.
    ///
    /// # Errors
    /// [`crate::base::failure::Kind::Interrupted`].
    pub fn check(&self) -> Result<()> {
        self.requests.check()
    }

    /// Asks for a setting: `take` reads the answer, `unset` are the server's words for one that is not made. An answer that says
    /// nothing of the setting counts if it comes twice.
    fn read<Answer, E, F, W, T>(
        &self,
        what: &str,
        permission: &'static str,
        unset: &[&str],
        operation: F,
        take: impl Fn(Answer) -> Reading<T>,
    ) -> Reading<T>
    where
        E: ProvideErrorMetadata + std::error::Error + 'static,
        F: Fn(Client, Builder) -> W,
        W: Future<Output = Result<Answer, SdkError<E, HttpResponse>>>,
    {
        let about =
            About::bucket(format!("read {what} of `s3://{}`", self.name()), permission).taking_any_answer_twice();
        let asked = match self.requests.ask(about.clone(), &operation) {
            Ok(answer) => match take(answer) {
                Reading::NotSupported => self.requests.ask(about, &operation),
                reading => return reading,
            },
            refused => refused,
        };
        match asked {
            Ok(answer) => take(answer),
            Err(refusal) if refusal.says(unset) => Reading::NotConfigured,
            // A server that does not know the question answers another one: with a list of objects, for example.
            Err(refusal) if refusal.is_senseless => Reading::NotSupported,
            Err(refusal) => match refusal.why {
                Why::NotAllowed => Reading::NotAllowed { permission },
                // Servers that lack a setting answer with whatever they have for a path that does not exist.
                Why::NotSupported | Why::NotThere => Reading::NotSupported,
                Why::Rejected if refusal.says(UNKNOWN_REQUEST) => Reading::NotSupported,
                _ => Reading::Failed(refusal.failure),
            },
        }
    }
}

impl Bucket {
    /// Makes a setting.
    fn write<Answer, E, F, W>(&self, what: &str, permission: &'static str, operation: F) -> Result<(), Refusal>
    where
        E: ProvideErrorMetadata + std::error::Error + 'static,
        F: Fn(Client, Builder) -> W,
        W: Future<Output = Result<Answer, SdkError<E, HttpResponse>>>,
    {
        let about = About::bucket(format!("set {what} of `s3://{}`", self.name()), permission);
        self.requests.ask(about, operation).map(|_| ())
    }
}

impl Refusal {
    /// Whether the server does not have what was asked for, whatever it calls that.
    #[must_use]
    pub fn is_not_supported(&self) -> bool {
        match self.why {
            Why::NotSupported => true,
            // There is a bucket, so that what is not there is the setting.
            Why::NotThere => true,
            Why::Rejected => self.says(UNKNOWN_REQUEST),
            _ => false,
        }
    }
}

/// Servers' words for a request that they do not know.
const UNKNOWN_REQUEST: &[&str] = &["InvalidRequest", "MalformedXML", "UnsupportedOperation", "NotSupported"];
