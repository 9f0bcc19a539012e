//! What a user can choose about an S3 store.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::base::secret::Secret;
use crate::base::units::KIB;

use super::retry::RetryOptions;

/// Everything that [`super::S3Store::open`] needs to know.
#[derive(Clone, Debug)]
pub struct S3Options {
    /// The bucket's name.
    pub bucket: String,
    /// The part of every key that belongs to this tool; slashes at its ends do not count.
    pub prefix: String,
    /// The bucket's region; `None` takes what the SDK's configuration says, then `us-east-1`. A wrong one is repaired.
    pub region: Option<String>,
    /// The server's URL; `None` takes what the SDK's configuration says, then AWS.
    pub endpoint_url: Option<String>,
    /// Whether the bucket stands in the path and not in the host name; `None` takes the provider's habit.
    pub path_style: Option<bool>,
    /// Fixed credentials; `None` is the SDK's default chain (environment, profile, web identity, container, instance).
    pub credentials: Option<StaticCredentials>,
    /// The profile of the SDK's configuration files.
    pub profile: Option<String>,
    /// The storage class of data objects. The index and the manifest always stay in the standard class.
    pub storage_class: Option<String>,
    /// How the server is to encrypt what it stores; `None` leaves it to the bucket.
    pub sse: Option<Sse>,
    /// Tags on every object.
    pub tags: BTreeMap<String, String>,
    /// When requests carry a checksum besides their MD5; `None` takes the provider's habit.
    pub checksum: Option<ChecksumMode>,
    /// The provider's short name, for one that the endpoint's host name does not tell.
    pub provider: Option<String>,
    /// How failed requests are tried again.
    pub retry: RetryOptions,
    /// A request that moves fewer bytes per second than this is taken for dead; at least 1.
    pub min_throughput_bytes_per_sec: u64,
    /// No attempt is given up sooner than this, however little it carries.
    pub attempt_timeout_min: Duration,
    /// A body of which nothing arrives for this long is taken for dead.
    pub stall_timeout: Duration,
}

impl S3Options {
    /// The defaults for a bucket.
    pub fn new(bucket: impl Into<String>, prefix: impl Into<String>) -> Self {
        Self {
            bucket: bucket.into(),
            prefix: prefix.into(),
            region: None,
            endpoint_url: None,
            path_style: None,
            credentials: None,
            profile: None,
            storage_class: None,
            sse: None,
            tags: BTreeMap::new(),
            checksum: None,
            provider: None,
            retry: RetryOptions::default(),
            min_throughput_bytes_per_sec: MIN_THROUGHPUT_BYTES_PER_SEC,
            attempt_timeout_min: Duration::from_secs(60),
            stall_timeout: Duration::from_secs(30),
        }
    }

    /// How long one attempt of a request that carries `bytes` may take.
    pub(super) fn attempt_timeout(&self, bytes: u64) -> Duration {
        self.attempt_timeout_min.max(self.moving_time(bytes))
    }

    /// How long so many bytes take at the slowest speed that counts as alive.
    pub(super) fn moving_time(&self, bytes: u64) -> Duration {
        Duration::from_secs(bytes / self.min_throughput_bytes_per_sec.max(1))
    }

    /// How long removing and aborting may go on trying.
    pub(super) fn clean_up_patience(&self) -> Duration {
        self.retry.budget.clamp(CLEAN_UP_PATIENCE_MIN, CLEAN_UP_PATIENCE)
    }
}

/// Half of what the slowest line that can still make a nightly backup delivers: 10 GiB a day.
pub const MIN_THROUGHPUT_BYTES_PER_SEC: u64 = 128 * KIB;

/// How long removing and aborting may go on trying after a failure, or after the run was asked to stop: the user is waiting.
/// Who gives the store less time than this gives the clean-up no more, but what one request needs.
const CLEAN_UP_PATIENCE: Duration = Duration::from_secs(45);

/// See [`CLEAN_UP_PATIENCE`].
const CLEAN_UP_PATIENCE_MIN: Duration = Duration::from_secs(5);

/// Completing a large object takes AWS minutes: ten, when any other request is given one.
pub(super) const COMPLETE_TIMEOUT_FACTOR: u32 = 10;

/// An access key that the user typed, or that came from the environment.
#[derive(Clone, Debug)]
pub struct StaticCredentials {
    /// The public half.
    pub access_key_id: String,
    /// The secret half.
    pub secret_access_key: Secret,
    /// The token that temporary credentials come with.
    pub session_token: Option<Secret>,
}

/// Encryption by the server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Sse {
    /// With keys that the store manages.
    Aes256,
    /// With a key of the key management service.
    Kms {
        /// The key's id or ARN; `None` is the account's default key for S3.
        key_id: Option<String>,
    },
}

/// When requests carry a checksum header besides their MD5.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChecksumMode {
    /// Whenever the request can carry one.
    WhenSupported,
    /// Only where S3 insists on one; many other servers refuse or ignore them.
    WhenRequired,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::units::MIB;

    #[test]
    fn an_attempts_time_grows_with_its_size() {
        let mut options = S3Options::new("bucket", "");
        assert_eq!(options.attempt_timeout(0), Duration::from_secs(60));
        assert_eq!(options.attempt_timeout(64 * MIB), Duration::from_secs(512));
        options.min_throughput_bytes_per_sec = 0;
        assert_eq!(options.attempt_timeout(100), Duration::from_secs(100));
    }
}
