//! What the manifest of an encrypted backup does not say: it stands at the beginning of the encrypted index instead.
//!
//! Names of files and tables, and whatever quotes them, are for the holders of a key; a digest of the plaintext would let
//! anybody confirm a guess of it.

use serde::{Deserialize, Serialize};

use super::manifest::{Problem, SourceInfo};

/// The longest text of a line, in bytes: a line stays readable whatever a command line or a tool's words are.
const TEXT_BYTES_MAX: usize = 64 * 1024;

/// What only the holders of a key read of a backup's description.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Private {
    /// The first of its lines.
    pub core: PrivateCore,
    /// What is missing or not as it was; the first of them.
    pub problems: Vec<Problem>,
    /// What the user should look into.
    pub warnings: Vec<String>,
}

/// The part that every encrypted backup has.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PrivateCore {
    /// Where the backup came from.
    pub source: SourceInfo,
    /// SHA-256 of the plaintext, in hexadecimal, unless it has several streams.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub plain_sha256: Option<String>,
    /// SHA-256 of each stream's plaintext, in hexadecimal, if there are several.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub stream_sha256s: Vec<String>,
}

impl Private {
    /// The same with every text cut to what a line may hold.
    #[must_use]
    pub fn bounded(mut self) -> Self {
        let source = &mut self.core.source;
        let texts = std::iter::once(&mut source.what)
            .chain(&mut source.database)
            .chain(&mut source.options)
            .chain(&mut self.warnings)
            .chain(
                self.problems
                    .iter_mut()
                    .flat_map(|problem| [&mut problem.item, &mut problem.message]),
            );
        for text in texts {
            if text.len() > TEXT_BYTES_MAX {
                let end = text.floor_char_boundary(TEXT_BYTES_MAX);
                text.truncate(end);
                text.push('…');
            }
        }
        // Each option is short now; so are all together.
        let mut left = TEXT_BYTES_MAX;
        source.options.retain(|option| {
            left = left.saturating_sub(option.len());
            left > 0
        });
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_text_is_longer_than_a_line_may_be() {
        let long = "ä".repeat(TEXT_BYTES_MAX);
        let private = Private {
            core: PrivateCore {
                source: SourceInfo {
                    what: long.clone(),
                    options: vec![long.clone(), "short".to_owned()],
                    ..SourceInfo::default()
                },
                ..PrivateCore::default()
            },
            problems: Vec::new(),
            warnings: vec![long],
        };
        let bounded = private.bounded();
        let longest = TEXT_BYTES_MAX + '…'.len_utf8();
        assert!(bounded.core.source.what.len() <= longest && bounded.warnings[0].len() <= longest);
        assert!(bounded.core.source.options.iter().map(String::len).sum::<usize>() <= longest);
    }
}
