//! Objects in an archive: they are there, and have to be thawed before they can be read.

use jiff::Timestamp;

/// How an object lies in an archive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Archive {
    /// Whether it is the kind from which nothing comes back within minutes.
    pub is_deep: bool,
    /// Whether a thawed object moves back to where it can be read, instead of being a copy for some days.
    pub returns: bool,
    /// Whether it can be read now.
    pub state: ThawState,
}

/// Whether an archived object can be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ThawState {
    /// It cannot, and nobody has asked for it.
    Frozen,
    /// It was asked for.
    Thawing,
    /// It can be read.
    Thawed {
        /// Until when, if the store says so.
        until: Option<Timestamp>,
    },
}

/// How fast an archived object is wanted; faster costs more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ThawTier {
    /// Within minutes, where the store offers it.
    Expedited,
    /// Within hours.
    Standard,
    /// Within half a day or two days.
    Bulk,
}

/// What is asked of the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ThawRequest {
    /// How many days the thawed copy is to stay; `None` for an object that moves back ([`Archive::returns`]).
    pub days: Option<u32>,
    /// How fast.
    pub tier: ThawTier,
}
