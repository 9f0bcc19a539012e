//! All settings of a bucket at once.

use super::{Bucket, CorsRule, Encryption, Lifecycle, ObjectLock, PublicAccessBlock, Reading, Versioning};

/// What a bucket is set to.
#[derive(Debug)]
pub struct BucketSettings {
    /// Whether versions are kept.
    pub versioning: Reading<Versioning>,
    /// Whether objects can be locked.
    pub object_lock: Reading<ObjectLock>,
    /// How what arrives is encrypted.
    pub encryption: Reading<Encryption>,
    /// The four blocks of public access.
    pub public_access_block: Reading<PublicAccessBlock>,
    /// Whether the policy lets everybody in.
    pub is_public_by_policy: Reading<bool>,
    /// The policy, JSON.
    pub policy: Reading<String>,
    /// Who owns new objects.
    pub ownership: Reading<String>,
    /// Which web pages may use it.
    pub cors: Reading<Vec<CorsRule>>,
    /// What it does by itself.
    pub lifecycle: Reading<Lifecycle>,
}

impl Bucket {
    /// Reads all settings; nothing is changed.
    #[must_use]
    pub fn settings(&self) -> BucketSettings {
        BucketSettings {
            versioning: self.versioning(),
            object_lock: self.object_lock(),
            encryption: self.encryption(),
            public_access_block: self.public_access_block(),
            is_public_by_policy: self.is_public_by_policy(),
            policy: self.policy(),
            ownership: self.ownership(),
            cors: self.cors(),
            lifecycle: self.lifecycle(),
        }
    }
}
