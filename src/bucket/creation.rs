//! Bringing a bucket into being.

use aws_sdk_s3::types::{BucketLocationConstraint, CreateBucketConfiguration, ObjectOwnership};

use super::{Bucket, Refusal, Why};
use crate::store::s3::About;

/// The oldest region, which a bucket is created in by naming none.
const FIRST_REGION: &str = "us-east-1";

/// How the creation of a bucket ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Created {
    /// It is new.
    New,
    /// It was there already, and is the caller's.
    WasThere,
    /// Somebody else has a bucket of this name.
    Taken,
}

impl Bucket {
    /// Whether there is such a bucket.
    ///
    /// # Errors
    /// The refusal. One that is not allowed leaves open whose the bucket is.
    pub fn exists(&self) -> Result<bool, Refusal> {
        match self.look() {
            // The answer to a HEAD has no body, so it does not say why. Another question does, and what ailed the server may
            // have passed with it.
            Err(refusal) if matches!(refusal.status, Some(400 | 403)) && refusal.code.is_none() => {
                let _ = self.location();
                self.look()
            }
            looked => looked,
        }
    }

    fn look(&self) -> Result<bool, Refusal> {
        let about = About::bucket(format!("look for the bucket `{}`", self.name()), "s3:ListBucket");
        let outcome = self.requests.ask(about, |client, overrides| {
            client
                .head_bucket()
                .bucket(self.name())
                .customize()
                .config_override(overrides)
                .send()
        });
        match outcome {
            Ok(_) => Ok(true),
            Err(refusal) if matches!(refusal.why, Why::NoBucket | Why::NotThere) => Ok(false),
            Err(refusal) => Err(refusal),
        }
    }

    /// Creates the bucket in the region in use. Whether objects can be locked is decided here, on many servers for ever.
    ///
    /// It is for a bucket that is not there: in the oldest region, creating one's own again takes its access lists back.
    ///
    /// # Errors
    /// The refusal.
    pub fn create(&self, with_object_lock: bool) -> Result<Created, Refusal> {
        let region = self.region_in_use();
        let place = (region != FIRST_REGION).then(|| {
            CreateBucketConfiguration::builder()
                .location_constraint(BucketLocationConstraint::from(region.as_str()))
                .build()
        });
        // Other servers may not know the header.
        let ownership = (self.provider().name == "aws").then_some(ObjectOwnership::BucketOwnerEnforced);
        let about = About::bucket(format!("create the bucket `{}`", self.name()), "s3:CreateBucket");
        let outcome = self.requests.ask(about, |client, overrides| {
            client
                .create_bucket()
                .bucket(self.name())
                .set_create_bucket_configuration(place.clone())
                .set_object_ownership(ownership.clone())
                .set_object_lock_enabled_for_bucket(with_object_lock.then_some(true))
                .customize()
                .config_override(overrides)
                .send()
        });
        match outcome {
            Ok(_) => Ok(Created::New),
            // Also the answer to a request of ours whose first answer was lost.
            Err(refusal) if refusal.says(&["BucketAlreadyOwnedByYou"]) => Ok(Created::WasThere),
            Err(refusal) if refusal.says(&["BucketAlreadyExists"]) => Ok(Created::Taken),
            Err(refusal) => Err(refusal),
        }
    }
}
