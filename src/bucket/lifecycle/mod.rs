//! What a bucket does to its objects by itself as they grow old.

use super::{Bucket, Reading};

mod document;
mod requests;
mod rule;
#[cfg(test)]
mod tests;
mod xml;

pub use document::{Deviation, LifecycleDocument, RULES_MAX};
pub use rule::{LifecycleRule, Transition};

/// What a bucket does to its objects by itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Lifecycle {
    /// The rules.
    pub rules: Vec<LifecycleRule>,
    /// Whether objects below 128 KiB stay in their class whatever the rules say.
    pub spares_small_objects: bool,
}

impl Bucket {
    /// The rules of the lifecycle.
    #[must_use]
    pub fn lifecycle(&self) -> Reading<Lifecycle> {
        match self.lifecycle_document() {
            Reading::Is(document) if document.rules().len() == 0 => Reading::NotConfigured,
            Reading::Is(document) => Reading::Is(document.lifecycle()),
            Reading::NotConfigured => Reading::NotConfigured,
            Reading::NotSupported => Reading::NotSupported,
            Reading::NotAllowed { permission } => Reading::NotAllowed { permission },
            Reading::Failed(failure) => Reading::Failed(failure),
        }
    }
}
