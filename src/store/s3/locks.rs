//! Object lock: whether the bucket has it, how an object is locked, and making a lock last longer.

use aws_sdk_s3::Client;
use aws_sdk_s3::primitives::DateTime;
use aws_sdk_s3::types::{ObjectLockEnabled, ObjectLockMode, ObjectLockRetention, ObjectLockRetentionMode};

use crate::base::failure::{Failure, Kind, Result};
use crate::store::Key;
use crate::store::object_lock::{LockMode, LockSeen, ObjectLock};

use super::errors::{Class, Problem};
use super::session::{Request, Session};
use super::stat::timestamp;

/// What servers answer when nothing is locked: of a bucket, and of an object.
const UNSET: [&str; 3] = [
    "ObjectLockConfigurationNotFoundError",
    "NoSuchObjectLockConfiguration",
    "InvalidRequest",
];

const NO_LOCK_HINT: &str = "Object lock is switched on when a bucket is made, or later with versioning: `aws s3api put-object-lock-configuration`; or leave the lock out";

/// The header's word for a mode.
pub(super) fn header_of(mode: LockMode) -> ObjectLockMode {
    match mode {
        LockMode::Governance => ObjectLockMode::Governance,
        LockMode::Compliance => ObjectLockMode::Compliance,
    }
}

impl Session {
    /// Whether the bucket can lock objects. Who may not ask is told when the first object is written.
    ///
    /// # Errors
    /// [`Kind::Config`] if it cannot.
    pub(super) async fn prepare_locks(&self) -> Result<()> {
        let request = Request::new(
            format!("look whether `s3://{}` has object lock", self.options.bucket),
            "s3:GetBucketObjectLockConfiguration",
            None,
        );
        let lacking = || {
            Failure::new(
                Kind::Config,
                format!(
                    "The bucket `{}` has no object lock, so that nothing can be locked there",
                    self.options.bucket
                ),
            )
            .hint(NO_LOCK_HINT)
        };
        let outcome = self
            .call(&request, |client: Client, overrides| {
                client
                    .get_object_lock_configuration()
                    .bucket(&self.options.bucket)
                    .customize()
                    .config_override(overrides)
                    .send()
            })
            .await;
        match outcome {
            Ok(answer) => {
                let configuration = answer.object_lock_configuration();
                match configuration.and_then(|lock| lock.object_lock_enabled()) {
                    Some(ObjectLockEnabled::Enabled) => Ok(()),
                    _ => Err(lacking()),
                }
            }
            Err(problem) if problem.class == Class::Denied => Ok(()),
            // Servers that lack locks answer with whatever they have for a path that does not exist.
            Err(problem) if is_unset(&problem) || matches!(problem.class, Class::NotImplemented | Class::NoKey) => {
                Err(lacking().caused_by(anyhow::anyhow!(problem.summary())))
            }
            Err(problem) => Err(self.explain(&request, &problem)),
        }
    }

    /// How an object is locked.
    pub(super) async fn lock_of(&self, key: &Key, version_id: Option<&str>) -> Result<LockSeen> {
        let request = Request::new(
            format!("look at the lock of {}", self.object(key.as_str())),
            "s3:GetObjectRetention",
            Some(key.as_str()),
        );
        let headed = self.head(&request, key, version_id).await;
        match headed {
            Ok(answer) => {
                let mode = answer.object_lock_mode().and_then(|mode| mode.as_str().parse().ok());
                let until = answer.object_lock_retain_until_date().and_then(timestamp);
                if let (Some(mode), Some(until)) = (mode, until) {
                    return Ok(LockSeen::Locked(ObjectLock { mode, until }));
                }
            }
            Err(problem) if problem.class == Class::Denied => {}
            Err(problem) => return Err(self.explain(&request, &problem)),
        }
        // Who may read an object but not its lock is shown none: only this answer tells the two apart.
        let asked = self
            .call(&request, |client: Client, overrides| {
                client
                    .get_object_retention()
                    .bucket(&self.options.bucket)
                    .key(key.as_str())
                    .set_version_id(version_id.map(str::to_owned))
                    .customize()
                    .config_override(overrides)
                    .send()
            })
            .await;
        match asked {
            Ok(answer) => {
                let retention = answer.retention();
                let mode = retention
                    .and_then(|retention| retention.mode())
                    .and_then(|mode| mode.as_str().parse().ok());
                let until = retention
                    .and_then(|retention| retention.retain_until_date())
                    .and_then(timestamp);
                Ok(match (mode, until) {
                    (Some(mode), Some(until)) => LockSeen::Locked(ObjectLock { mode, until }),
                    _ => LockSeen::Unlocked,
                })
            }
            Err(problem) if problem.class == Class::Denied => Ok(LockSeen::Untold),
            Err(problem) if is_unset(&problem) || matches!(problem.class, Class::NotImplemented | Class::NoKey) => {
                Ok(LockSeen::Unlocked)
            }
            Err(problem) => Err(self.explain(&request, &problem)),
        }
    }

    /// Locks an object, or lengthens its lock.
    pub(super) async fn extend_lock(&self, key: &Key, version_id: Option<&str>, lock: &ObjectLock) -> Result<()> {
        let request = Request::new(
            format!("lock {}", self.object(key.as_str())),
            "s3:PutObjectRetention",
            Some(key.as_str()),
        );
        let mode = match lock.mode {
            LockMode::Governance => ObjectLockRetentionMode::Governance,
            LockMode::Compliance => ObjectLockRetentionMode::Compliance,
        };
        let retention = ObjectLockRetention::builder()
            .mode(mode)
            .retain_until_date(DateTime::from_secs(lock.until.as_second()))
            .build();
        self.call(&request, |client: Client, overrides| {
            client
                .put_object_retention()
                .bucket(&self.options.bucket)
                .key(key.as_str())
                .set_version_id(version_id.map(str::to_owned))
                .retention(retention.clone())
                .customize()
                .config_override(overrides)
                .send()
        })
        .await
        .map(drop)
        .map_err(|problem| self.explain(&request, &problem))
    }
}

/// Whether an answer says that there is no lock.
fn is_unset(problem: &Problem) -> bool {
    problem.code.as_deref().is_some_and(|code| UNSET.contains(&code))
}
