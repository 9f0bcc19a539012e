//! Whether a bucket can keep objects from being removed before their time.

use aws_sdk_s3::types::{
    DefaultRetention, ObjectLockConfiguration, ObjectLockEnabled, ObjectLockRetentionMode, ObjectLockRule,
};

use super::{Bucket, Reading, Refusal};

/// A bucket's object lock.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ObjectLock {
    /// Objects can be locked.
    pub is_enabled: bool,
    /// What new objects get by themselves.
    pub default_retention: Option<Retention>,
}

/// How long an object is locked, and how firmly.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Retention {
    /// `GOVERNANCE`, which a special right overrides, or `COMPLIANCE`, which nothing does.
    pub mode: String,
    /// How long, in days.
    pub days: u32,
}

/// A year in the terms of a retention.
const YEAR_DAYS: u32 = 365;

impl Bucket {
    /// The object lock.
    #[must_use]
    pub fn object_lock(&self) -> Reading<ObjectLock> {
        self.read(
            "the object lock",
            "s3:GetBucketObjectLockConfiguration",
            &["ObjectLockConfigurationNotFoundError", "NoSuchObjectLockConfiguration"],
            |client, overrides| {
                client
                    .get_object_lock_configuration()
                    .bucket(self.name())
                    .customize()
                    .config_override(overrides)
                    .send()
            },
            |answer| {
                let Some(lock) = answer.object_lock_configuration() else {
                    return Reading::NotSupported;
                };
                let retention = lock.rule().and_then(|rule| rule.default_retention());
                Reading::Is(ObjectLock {
                    is_enabled: lock.object_lock_enabled() == Some(&ObjectLockEnabled::Enabled),
                    default_retention: retention.map(|retention| {
                        let days = retention.days().or_else(|| {
                            retention
                                .years()
                                .and_then(|years| years.checked_mul(i32::try_from(YEAR_DAYS).ok()?))
                        });
                        Retention {
                            mode: retention
                                .mode()
                                .map_or_else(String::new, |mode| mode.as_str().to_owned()),
                            days: days.and_then(|days| u32::try_from(days).ok()).unwrap_or(0),
                        }
                    }),
                })
            },
        )
    }

    /// Lets objects be locked, and locks new ones by themselves for a time. That of a bucket cannot be taken back.
    ///
    /// # Errors
    /// The refusal; some servers allow it only as the bucket is created.
    pub fn set_object_lock(&self, default: Option<&Retention>) -> Result<(), Refusal> {
        let retention = default.map(|default| {
            DefaultRetention::builder()
                .mode(ObjectLockRetentionMode::from(default.mode.as_str()))
                .days(i32::try_from(default.days).unwrap_or(i32::MAX))
                .build()
        });
        let rule = retention.map(|retention| ObjectLockRule::builder().default_retention(retention).build());
        let lock = ObjectLockConfiguration::builder()
            .object_lock_enabled(ObjectLockEnabled::Enabled)
            .set_rule(rule)
            .build();
        self.write(
            "the object lock",
            "s3:PutBucketObjectLockConfiguration",
            |client, overrides| {
                client
                    .put_object_lock_configuration()
                    .bucket(self.name())
                    .object_lock_configuration(lock.clone())
                    .customize()
                    .config_override(overrides)
                    .send()
            },
        )
    }
}
