//! All settings of a bucket at once.

use crate::base::failure::{Failure, Kind};

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
        let mut asking = Asking::default();
        BucketSettings {
            versioning: asking.ask(|| self.versioning()),
            object_lock: asking.ask(|| self.object_lock()),
            encryption: asking.ask(|| self.encryption()),
            public_access_block: asking.ask(|| self.public_access_block()),
            is_public_by_policy: asking.ask(|| self.is_public_by_policy()),
            policy: asking.ask(|| self.policy()),
            ownership: asking.ask(|| self.ownership()),
            cors: asking.ask(|| self.cors()),
            lifecycle: asking.ask(|| self.lifecycle()),
        }
    }
}

/// Asks one question after the other, until the server stays away: each further one would wait as long as the one that was
/// given up.
#[derive(Debug, Default)]
struct Asking {
    is_away: bool,
}

impl Asking {
    fn ask<T>(&mut self, question: impl FnOnce() -> Reading<T>) -> Reading<T> {
        if self.is_away {
            return Reading::Failed(
                Failure::new(
                    Kind::Unreachable,
                    "Not asked, since the server gave no answer to the question before",
                )
                .hint("Run this again when the server answers"),
            );
        }
        let reading = question();
        self.is_away = matches!(&reading, Reading::Failed(failure) if failure.kind() == Kind::Unreachable);
        reading
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_that_stays_away_is_not_asked_again_and_again() {
        let mut asking = Asking::default();
        assert!(matches!(asking.ask(|| Reading::Is(1)), Reading::Is(1)));
        let refused: Reading<u8> = asking.ask(|| Reading::Failed(Failure::new(Kind::Failed, "no")));
        assert!(matches!(refused, Reading::Failed(_)));
        assert!(matches!(asking.ask(|| Reading::Is(2)), Reading::Is(2)));
        let _: Reading<u8> = asking.ask(|| Reading::Failed(Failure::new(Kind::Unreachable, "no answer")));
        let mut was_asked = false;
        let left: Reading<u8> = asking.ask(|| {
            was_asked = true;
            Reading::Is(3)
        });
        assert!(!was_asked && matches!(left, Reading::Failed(failure) if failure.kind() == Kind::Unreachable));
    }
}
