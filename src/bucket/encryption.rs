//! How a bucket encrypts what arrives without a wish of its own.

use aws_sdk_s3::config::http::HttpResponse;
use aws_sdk_s3::error::SdkError;
use aws_sdk_s3::types::{
    ServerSideEncryption, ServerSideEncryptionByDefault, ServerSideEncryptionConfiguration, ServerSideEncryptionRule,
};

use super::{Bucket, Reading, Refusal};

/// A bucket's default encryption.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Encryption {
    /// `AES256`, `aws:kms` or `aws:kms:dsse`.
    pub algorithm: String,
    /// The key of the key management service; `None` is the account's default key.
    pub kms_key_id: Option<String>,
    /// Whether one key of the bucket spares most requests to the key management service.
    pub has_bucket_key: bool,
}

impl Bucket {
    /// The default encryption.
    #[must_use]
    pub fn encryption(&self) -> Reading<Encryption> {
        self.read(
            "the default encryption",
            "s3:GetEncryptionConfiguration",
            &[
                "ServerSideEncryptionConfigurationNotFoundError",
                "NoSuchEncryptionConfiguration",
            ],
            |client, overrides| {
                client
                    .get_bucket_encryption()
                    .bucket(self.name())
                    .customize()
                    .config_override(overrides)
                    .send()
            },
            |answer| {
                let Some(configuration) = answer.server_side_encryption_configuration() else {
                    return Reading::NotSupported;
                };
                let rule = configuration.rules().first();
                let default = rule.and_then(|rule| rule.apply_server_side_encryption_by_default());
                match default {
                    None => Reading::NotConfigured,
                    Some(default) => Reading::Is(Encryption {
                        algorithm: default.sse_algorithm().as_str().to_owned(),
                        kms_key_id: default.kms_master_key_id().map(str::to_owned),
                        has_bucket_key: rule.and_then(|rule| rule.bucket_key_enabled()).unwrap_or(false),
                    }),
                }
            },
        )
    }

    /// Has what arrives encrypted so.
    ///
    /// # Errors
    /// The refusal.
    pub fn set_encryption(&self, wanted: &Encryption) -> Result<(), Refusal> {
        let configuration = configuration(wanted);
        self.write(
            "the default encryption",
            "s3:PutEncryptionConfiguration",
            |client, overrides| {
                let configuration = configuration.clone();
                async move {
                    let configuration = configuration.map_err(SdkError::<_, HttpResponse>::construction_failure)?;
                    client
                        .put_bucket_encryption()
                        .bucket(self.name())
                        .server_side_encryption_configuration(configuration)
                        .customize()
                        .config_override(overrides)
                        .send()
                        .await
                }
            },
        )
    }
}

fn configuration(wanted: &Encryption) -> Result<ServerSideEncryptionConfiguration, String> {
    let by_default = ServerSideEncryptionByDefault::builder()
        .sse_algorithm(ServerSideEncryption::from(wanted.algorithm.as_str()))
        .set_kms_master_key_id(wanted.kms_key_id.clone())
        .build()
        .map_err(|error| error.to_string())?;
    let rule = ServerSideEncryptionRule::builder()
        .apply_server_side_encryption_by_default(by_default)
        .set_bucket_key_enabled(wanted.has_bucket_key.then_some(true))
        .build();
    ServerSideEncryptionConfiguration::builder()
        .rules(rule)
        .build()
        .map_err(|error| error.to_string())
}
