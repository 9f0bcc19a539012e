//! Who may come in from outside: the blocks of public access, the bucket's policy, ownership of objects, CORS.

use super::{Bucket, Reading};

/// The four blocks of public access.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PublicAccessBlock {
    /// New access lists that make something public are refused.
    pub blocks_acls: bool,
    /// Access lists that make something public do not count.
    pub ignores_acls: bool,
    /// New policies that make the bucket public are refused.
    pub blocks_policy: bool,
    /// A public policy lets in the owner's own account only.
    pub restricts_buckets: bool,
}

impl PublicAccessBlock {
    /// The names of those that are off, as the API has them.
    #[must_use]
    pub fn missing(self) -> Vec<&'static str> {
        [
            ("BlockPublicAcls", self.blocks_acls),
            ("IgnorePublicAcls", self.ignores_acls),
            ("BlockPublicPolicy", self.blocks_policy),
            ("RestrictPublicBuckets", self.restricts_buckets),
        ]
        .into_iter()
        .filter(|(_, is_on)| !is_on)
        .map(|(name, _)| name)
        .collect()
    }
}

/// Which web pages may ask for the bucket's objects.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CorsRule {
    /// Where the pages come from; `*` is everywhere.
    pub origins: Vec<String>,
    /// What they may do.
    pub methods: Vec<String>,
}

impl Bucket {
    /// The blocks of public access.
    #[must_use]
    pub fn public_access_block(&self) -> Reading<PublicAccessBlock> {
        self.read(
            "the blocks of public access",
            "s3:GetBucketPublicAccessBlock",
            &["NoSuchPublicAccessBlockConfiguration"],
            |client, overrides| {
                client
                    .get_public_access_block()
                    .bucket(self.name())
                    .customize()
                    .config_override(overrides)
                    .send()
            },
            |answer| match answer.public_access_block_configuration() {
                // A server that knows the setting sends all of it.
                None => Reading::NotSupported,
                Some(blocks) => Reading::Is(PublicAccessBlock {
                    blocks_acls: blocks.block_public_acls().unwrap_or(false),
                    ignores_acls: blocks.ignore_public_acls().unwrap_or(false),
                    blocks_policy: blocks.block_public_policy().unwrap_or(false),
                    restricts_buckets: blocks.restrict_public_buckets().unwrap_or(false),
                }),
            },
        )
    }

    /// Whether the bucket's policy lets everybody in; not configured without a policy.
    #[must_use]
    pub fn is_public_by_policy(&self) -> Reading<bool> {
        self.read(
            "whether the policy makes it public",
            "s3:GetBucketPolicyStatus",
            &["NoSuchBucketPolicy"],
            |client, overrides| {
                client
                    .get_bucket_policy_status()
                    .bucket(self.name())
                    .customize()
                    .config_override(overrides)
                    .send()
            },
            |answer| match answer.policy_status().and_then(|status| status.is_public()) {
                None => Reading::NotSupported,
                Some(is_public) => Reading::Is(is_public),
            },
        )
    }

    /// The bucket's policy, JSON.
    #[must_use]
    pub fn policy(&self) -> Reading<String> {
        self.read(
            "the policy",
            "s3:GetBucketPolicy",
            &["NoSuchBucketPolicy"],
            |client, overrides| {
                client
                    .get_bucket_policy()
                    .bucket(self.name())
                    .customize()
                    .config_override(overrides)
                    .send()
            },
            |answer| match answer.policy() {
                None | Some("") => Reading::NotConfigured,
                Some(policy) => Reading::Is(policy.to_owned()),
            },
        )
    }

    /// Who owns new objects: `BucketOwnerEnforced` means the bucket's owner, without access lists.
    #[must_use]
    pub fn ownership(&self) -> Reading<String> {
        self.read(
            "who owns new objects",
            "s3:GetBucketOwnershipControls",
            &["OwnershipControlsNotFoundError", "NoSuchOwnershipControls"],
            |client, overrides| {
                client
                    .get_bucket_ownership_controls()
                    .bucket(self.name())
                    .customize()
                    .config_override(overrides)
                    .send()
            },
            |answer| {
                let rule = answer
                    .ownership_controls()
                    .and_then(|controls| controls.rules().first());
                match rule {
                    None => Reading::NotConfigured,
                    Some(rule) => Reading::Is(rule.object_ownership().as_str().to_owned()),
                }
            },
        )
    }

    /// Which web pages may ask for its objects.
    #[must_use]
    pub fn cors(&self) -> Reading<Vec<CorsRule>> {
        self.read(
            "which web pages may use it",
            "s3:GetBucketCORS",
            &["NoSuchCORSConfiguration"],
            |client, overrides| {
                client
                    .get_bucket_cors()
                    .bucket(self.name())
                    .customize()
                    .config_override(overrides)
                    .send()
            },
            |answer| match answer.cors_rules() {
                [] => Reading::NotConfigured,
                rules => Reading::Is(
                    rules
                        .iter()
                        .map(|rule| CorsRule {
                            origins: rule.allowed_origins().to_vec(),
                            methods: rule.allowed_methods().to_vec(),
                        })
                        .collect(),
                ),
            },
        )
    }
}
