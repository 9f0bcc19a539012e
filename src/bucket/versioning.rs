//! Whether a bucket keeps what is overwritten and removed.

use aws_sdk_s3::types::{BucketVersioningStatus, MfaDeleteStatus, VersioningConfiguration};

use super::{Bucket, Reading, Refusal};

/// What becomes of an object that is overwritten or removed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Versioning {
    /// It is kept as an older version; otherwise versions from an earlier time may still be there.
    pub is_enabled: bool,
    /// Removing a version takes a second factor.
    pub needs_second_factor: bool,
}

impl Bucket {
    /// Whether the bucket keeps versions; not configured if it never did.
    #[must_use]
    pub fn versioning(&self) -> Reading<Versioning> {
        self.read(
            "whether versions are kept",
            "s3:GetBucketVersioning",
            &[],
            |client, overrides| {
                client
                    .get_bucket_versioning()
                    .bucket(self.name())
                    .customize()
                    .config_override(overrides)
                    .send()
            },
            |answer| match answer.status() {
                None => Reading::NotConfigured,
                Some(status) => Reading::Is(Versioning {
                    is_enabled: *status == BucketVersioningStatus::Enabled,
                    needs_second_factor: answer.mfa_delete() == Some(&MfaDeleteStatus::Enabled),
                }),
            },
        )
    }

    /// Has versions kept from now on.
    ///
    /// # Errors
    /// The refusal.
    pub fn keep_versions(&self) -> Result<(), Refusal> {
        let wanted = VersioningConfiguration::builder()
            .status(BucketVersioningStatus::Enabled)
            .build();
        self.write(
            "that versions are kept",
            "s3:PutBucketVersioning",
            |client, overrides| {
                client
                    .put_bucket_versioning()
                    .bucket(self.name())
                    .versioning_configuration(wanted.clone())
                    .customize()
                    .config_override(overrides)
                    .send()
            },
        )
    }
}
