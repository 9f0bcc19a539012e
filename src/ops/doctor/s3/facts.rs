//! What was found out about a bucket: plain data, for others to judge.

use std::collections::BTreeMap;

use jiff::Timestamp;

use crate::base::failure::Failure;
use crate::bucket::{BucketSettings, Caller, CredentialsFound, Reading, Refusal, Seen, Why, Written};
use crate::store::s3::Heads;

/// What became of something that was tried.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::ops::doctor) enum Tried<T> {
    /// It worked.
    Is(T),
    /// It was refused.
    Refused(No),
    /// It was not tried, for this reason.
    Untried(String),
}

impl<T> Tried<T> {
    /// For what was left out because something else did not work.
    pub(in crate::ops::doctor) fn untried(why: impl Into<String>) -> Self {
        Self::Untried(why.into())
    }

    pub(in crate::ops::doctor) fn of(outcome: Result<T, Refusal>) -> Self {
        match outcome {
            Ok(value) => Self::Is(value),
            Err(refusal) => Self::Refused(No::of(&refusal)),
        }
    }

    pub(in crate::ops::doctor) fn is(&self) -> Option<&T> {
        match self {
            Self::Is(value) => Some(value),
            _ => None,
        }
    }
}

/// A refusal in words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::ops::doctor) struct No {
    pub(in crate::ops::doctor) why: Why,
    pub(in crate::ops::doctor) permission: &'static str,
    pub(in crate::ops::doctor) code: Option<String>,
    pub(in crate::ops::doctor) text: String,
    pub(in crate::ops::doctor) hint: Option<String>,
}

impl No {
    pub(in crate::ops::doctor) fn of(refusal: &Refusal) -> Self {
        Self {
            why: refusal.why,
            permission: refusal.permission,
            code: refusal.code.clone(),
            ..Self::of_failure(&refusal.failure)
        }
    }

    pub(in crate::ops::doctor) fn of_failure(failure: &Failure) -> Self {
        Self {
            why: Why::Rejected,
            permission: "",
            code: None,
            text: failure.in_one_line(),
            hint: Some(failure.hints().join(". ")).filter(|hint| !hint.is_empty()),
        }
    }
}

/// What a server makes of `If-None-Match: *`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::ops::doctor) enum Condition {
    /// The second write was refused.
    Obeyed,
    /// The second write went through.
    Ignored,
    /// A request that has it is refused.
    Unknown,
}

/// What the bodies with a checksum behind them came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::ops::doctor) struct Trailer {
    /// What stands in the object's encoding afterwards.
    pub(in crate::ops::doctor) content_encoding: Option<String>,
    /// Whether the content is what was sent; `None` if it could not be read.
    pub(in crate::ops::doctor) is_intact: Option<bool>,
}

/// Everything that was found out about a bucket.
#[derive(Debug)]
pub(in crate::ops::doctor) struct Facts {
    /// The first answer: where the bucket says it is, or why it says nothing.
    pub(in crate::ops::doctor) location: Tried<String>,
    /// The region that was asked for at first.
    pub(in crate::ops::doctor) region_first: String,
    /// The region that answered in the end.
    pub(in crate::ops::doctor) region_last: String,
    pub(in crate::ops::doctor) heads: Heads,
    pub(in crate::ops::doctor) credentials: Tried<CredentialsFound>,
    /// Everything else; `None` if nothing could be asked.
    pub(in crate::ops::doctor) reached: Option<Reached>,
}

/// What is known of a bucket that answers.
#[derive(Debug)]
pub(in crate::ops::doctor) struct Reached {
    pub(in crate::ops::doctor) caller: Reading<Caller>,
    pub(in crate::ops::doctor) settings: BucketSettings,
    pub(in crate::ops::doctor) trial: TrialFacts,
    /// When the uploads below the prefix that nobody ended were begun.
    pub(in crate::ops::doctor) unfinished: Tried<Vec<Option<Timestamp>>>,
}

/// What the throw-away object told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::ops::doctor) struct TrialFacts {
    /// Its address.
    pub(in crate::ops::doctor) address: String,
    pub(in crate::ops::doctor) write: Tried<Written>,
    pub(in crate::ops::doctor) create_only: Tried<Condition>,
    /// Whether the content is what was written; of somebody else's object only that it can be read.
    pub(in crate::ops::doctor) read: Tried<bool>,
    /// Whether the listing shows what was written.
    pub(in crate::ops::doctor) list: Tried<bool>,
    pub(in crate::ops::doctor) seen: Tried<Seen>,
    pub(in crate::ops::doctor) delete: Tried<()>,
    /// In a bucket that keeps versions: whether the object could be hidden where its version cannot be removed.
    pub(in crate::ops::doctor) hide: Tried<()>,
    pub(in crate::ops::doctor) abort: Tried<()>,
    pub(in crate::ops::doctor) create_only_parts: Tried<Condition>,
    pub(in crate::ops::doctor) multipart: Tried<Written>,
    /// Where nothing could be completed: whether an upload took its part, before it was aborted.
    pub(in crate::ops::doctor) part_sent: Tried<()>,
    /// Whether a write without a condition replaces the object.
    pub(in crate::ops::doctor) replace: Tried<bool>,
    /// Whether parts of a few bytes are refused.
    pub(in crate::ops::doctor) least_part: Tried<bool>,
    /// Whether parts of different sizes are accepted.
    pub(in crate::ops::doctor) unequal_parts: Tried<bool>,
    /// Whether a body that does not belong to its MD5 is refused.
    pub(in crate::ops::doctor) wrong_md5: Tried<bool>,
    pub(in crate::ops::doctor) crc64: Tried<()>,
    pub(in crate::ops::doctor) crc32: Tried<()>,
    pub(in crate::ops::doctor) trailer: Tried<Trailer>,
    /// Why something that was made still stands.
    pub(in crate::ops::doctor) left: Option<No>,
}

impl TrialFacts {
    /// Nothing has been tried, for this reason.
    pub(in crate::ops::doctor) fn none(address: String, why: &str) -> Self {
        Self {
            address,
            write: Tried::untried(why),
            create_only: Tried::untried(why),
            read: Tried::untried(why),
            list: Tried::untried(why),
            seen: Tried::untried(why),
            delete: Tried::untried(why),
            hide: Tried::untried(why),
            abort: Tried::untried(why),
            create_only_parts: Tried::untried(why),
            multipart: Tried::untried(why),
            part_sent: Tried::untried(why),
            replace: Tried::untried(why),
            least_part: Tried::untried(why),
            unequal_parts: Tried::untried(why),
            wrong_md5: Tried::untried(why),
            crc64: Tried::untried(why),
            crc32: Tried::untried(why),
            trailer: Tried::untried(why),
            left: None,
        }
    }
}

/// Settings for the profile that fit the server better, by name.
pub(in crate::ops::doctor) type Advice = BTreeMap<&'static str, String>;
