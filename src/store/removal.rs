//! Removing many objects, and what keeps some of them: versions and locks.

use jiff::Timestamp;

use super::Key;
use crate::base::failure::Failure;

/// An object that is to go, or one version of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Doomed {
    /// The object's key.
    pub key: Key,
    /// The version, as the store calls it. Without one a bucket that keeps versions only covers the object with a marker.
    pub version_id: Option<String>,
}

impl Doomed {
    /// The object itself, whatever version it has.
    #[must_use]
    pub fn object(key: &Key) -> Self {
        Self {
            key: key.clone(),
            version_id: None,
        }
    }

    /// One version.
    #[must_use]
    pub fn version(version: &Version) -> Self {
        Self {
            key: version.key.clone(),
            version_id: Some(version.version_id.clone()),
        }
    }
}

/// What became of an object that was to go.
#[derive(Debug)]
pub enum Deletion {
    /// It is not there any more.
    Gone,
    /// It is covered by a marker: nobody sees it, and its versions stay and cost money.
    Covered,
    /// It is locked.
    Retained(Retained),
    /// It may still be there.
    Failed(Failure),
}

/// That an object is locked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retained {
    /// Until when; `None` for a legal hold, or if the store does not say.
    pub until: Option<Timestamp>,
}

/// One version of an object, or a marker that covers the others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Version {
    /// The object's key.
    pub key: Key,
    /// The store's name for the version.
    pub version_id: String,
    /// Whether it is the one that is seen.
    pub is_latest: bool,
    /// Whether it is a marker, which has no content.
    pub is_marker: bool,
    /// Its length in bytes; 0 of a marker.
    pub bytes: u64,
    /// The storage class, where it is not the standard one.
    pub storage_class: Option<String>,
}
