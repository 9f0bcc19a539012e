//! How plaintext is compressed: the names, extensions and levels of the codecs.

use std::ops::RangeInclusive;

use serde::{Deserialize, Serialize};

/// How the members of a backup are made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Codec {
    /// Gzip members (RFC 1952).
    #[default]
    Gzip,
    /// Zstandard frames (RFC 8878).
    Zstd,
    /// Not compressed: the plaintext as it is.
    None,
}

impl Codec {
    /// Every codec.
    pub const ALL: [Self; 3] = [Self::Gzip, Self::Zstd, Self::None];

    /// The name in settings and manifests.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Gzip => "gzip",
            Self::Zstd => "zstd",
            Self::None => "none",
        }
    }

    /// The codec of this name.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|codec| codec.name() == name)
    }

    /// What a data object's name ends in, without the dot; nothing if the plaintext is stored as it is.
    #[must_use]
    pub fn extension(self) -> &'static str {
        match self {
            Self::Gzip => "gz",
            Self::Zstd => "zst",
            Self::None => "",
        }
    }

    /// The stock program that opens it, if one is needed.
    #[must_use]
    pub fn tool(self) -> Option<&'static str> {
        match self {
            Self::Gzip => Some("gunzip"),
            Self::Zstd => Some("zstd -d"),
            Self::None => None,
        }
    }

    /// The levels that there are, from fast to small.
    #[must_use]
    pub fn levels(self) -> RangeInclusive<u32> {
        match self {
            Self::Gzip => 1..=12,
            Self::Zstd => 1..=19,
            Self::None => 0..=0,
        }
    }

    /// The level where nobody chose one.
    #[must_use]
    pub fn level_default(self) -> u32 {
        match self {
            Self::Gzip => 6,
            Self::Zstd => 3,
            Self::None => 0,
        }
    }
}

impl std::fmt::Display for Codec {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_codec_has_a_name_and_its_own_default_level() {
        for codec in Codec::ALL {
            assert_eq!(Codec::parse(codec.name()), Some(codec));
            assert!(codec.levels().contains(&codec.level_default()));
            assert_eq!(serde_json::to_string(&codec).unwrap(), format!("\"{codec}\""));
        }
        assert_eq!(Codec::parse("lz4"), None);
    }
}
