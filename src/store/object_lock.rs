//! Object lock: that a store refuses to remove what an object holds before its time.

use std::fmt;
use std::str::FromStr;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::base::failure::{Failure, Kind};

/// How firmly an object is locked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LockMode {
    /// A special right overrides it.
    Governance,
    /// Nobody can remove it, shorten the lock or take it back.
    Compliance,
}

impl LockMode {
    /// The word in settings and manifests.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Governance => "governance",
            Self::Compliance => "compliance",
        }
    }
}

impl fmt::Display for LockMode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

impl FromStr for LockMode {
    type Err = Failure;

    fn from_str(text: &str) -> Result<Self, Failure> {
        [Self::Governance, Self::Compliance]
            .into_iter()
            .find(|mode| text.eq_ignore_ascii_case(mode.word()))
            .ok_or_else(|| {
                Failure::new(Kind::Usage, format!("Not a mode of a lock: `{text}`"))
                    .hint("Write governance, or compliance")
            })
    }
}

/// How an object is locked, and until when.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ObjectLock {
    /// How firmly.
    pub mode: LockMode,
    /// Until when, UTC, in whole seconds.
    pub until: Timestamp,
}

impl ObjectLock {
    /// Whether it holds as firmly and as long as another one.
    #[must_use]
    pub fn covers(&self, wanted: &Self) -> bool {
        let is_as_firm = self.mode == LockMode::Compliance || wanted.mode == LockMode::Governance;
        is_as_firm && self.until.as_second() >= wanted.until.as_second()
    }
}

/// What a store says of an object's lock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LockSeen {
    /// It is locked so.
    Locked(ObjectLock),
    /// It is not locked.
    Unlocked,
    /// The credentials may not look.
    Untold,
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_lock_covers_what_is_no_firmer_and_no_longer() {
        let lock = |mode, until: &str| ObjectLock {
            mode,
            until: until.parse().unwrap(),
        };
        let wanted = lock(LockMode::Governance, "2030-01-01T00:00:00Z");
        assert!(wanted.covers(&wanted));
        assert!(lock(LockMode::Compliance, "2030-01-01T00:00:00Z").covers(&wanted));
        assert!(lock(LockMode::Governance, "2030-01-01T00:00:00.9Z").covers(&wanted));
        assert!(!lock(LockMode::Governance, "2029-12-31T23:59:59Z").covers(&wanted));
        let firm = lock(LockMode::Compliance, "2030-01-01T00:00:00Z");
        assert!(!lock(LockMode::Governance, "2031-01-01T00:00:00Z").covers(&firm));
        assert_eq!("COMPLIANCE".parse::<LockMode>().unwrap(), LockMode::Compliance);
        assert_eq!("none".parse::<LockMode>().unwrap_err().kind(), Kind::Usage);
    }
}
