//! The shape of a backup: how large it is and how much is in it, compared with the backups of its series before it.

use serde::{Deserialize, Serialize};

/// What is measured of a backup; a measure that is not known is left out.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Measures {
    /// The stored length of its data, in bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stored_bytes: Option<u64>,
    /// The length of its plaintext, in bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub plain_bytes: Option<u64>,
    /// Regular files.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub files: Option<u64>,
    /// Tables.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tables: Option<u64>,
    /// Rows.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rows: Option<u64>,
}

impl Measures {
    /// How many measures there are.
    pub const COUNT: usize = 5;

    /// All of them, always in the same order.
    #[must_use]
    pub fn all(&self) -> [Option<u64>; Self::COUNT] {
        [self.stored_bytes, self.plain_bytes, self.files, self.tables, self.rows]
    }

    /// From what [`Measures::all`] gives.
    #[must_use]
    pub fn of(all: [Option<u64>; Self::COUNT]) -> Self {
        let [stored_bytes, plain_bytes, files, tables, rows] = all;
        Self {
            stored_bytes,
            plain_bytes,
            files,
            tables,
            rows,
        }
    }
}

/// The comparison of a backup with those of its series before it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Shape {
    /// What was measured.
    pub measured: Measures,
    /// The median of each measure over the earlier backups, where it is known of enough of them.
    pub medians: Measures,
    /// How many earlier backups it was compared with.
    pub compared_with: u32,
    /// Below this part of a median, in percent, the backup is flagged.
    pub threshold_percent: u8,
    /// Whether it is so much smaller than those before it that somebody should look.
    pub flagged: bool,
    /// Why it is flagged, in a sentence without a stop.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
}
