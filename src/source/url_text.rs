//! Parts of URLs: what they hold when they are decoded, and how they are written again.

use std::fmt;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str};

/// Bytes of a part of a URL that need no escape.
pub const ESCAPED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');

/// Why a part cannot be decoded; `Display` continues a sentence that begins with the part's name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Undecodable {
    /// A percent sign stands alone.
    Percent,
    /// The bytes are no text.
    NotUtf8,
    /// There is a zero byte.
    Zero,
}

impl fmt::Display for Undecodable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Percent => "has a `%` that two hexadecimal digits do not follow",
            Self::NotUtf8 => "is not UTF-8",
            Self::Zero => "holds a zero byte",
        })
    }
}

/// Percent-decodes; an empty part counts as not given.
///
/// # Errors
/// Why it cannot be decoded.
pub fn decode(text: &str) -> Result<Option<String>, Undecodable> {
    let hex = |byte: Option<&u8>| byte.is_some_and(u8::is_ascii_hexdigit);
    let bytes = text.as_bytes();
    for (at, byte) in bytes.iter().enumerate() {
        if *byte == b'%' && !(hex(bytes.get(at + 1)) && hex(bytes.get(at + 2))) {
            return Err(Undecodable::Percent);
        }
    }
    let decoded = percent_decode_str(text)
        .decode_utf8()
        .map_err(|_| Undecodable::NotUtf8)?;
    if decoded.contains('\0') {
        return Err(Undecodable::Zero);
    }
    Ok(Some(decoded.into_owned()).filter(|text| !text.is_empty()))
}

/// A text for a message, unless it is long enough to be something that should not be in one.
#[must_use]
pub fn shown(text: &str) -> String {
    text.chars().take(40).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_decoded_or_refused() {
        assert_eq!(decode("a%20b"), Ok(Some("a b".to_owned())));
        assert_eq!(decode(""), Ok(None));
        assert_eq!(decode("a%2"), Err(Undecodable::Percent));
        assert_eq!(decode("%ff"), Err(Undecodable::NotUtf8));
        assert_eq!(decode("%00"), Err(Undecodable::Zero));
    }
}
