//! The digest that a manifest carries of itself: whatever byte of it changes, it is noticed.
//!
//! A sealed document begins with the line `"sealed": "sha256"` and ends with the line `"seal": "…"`, the SHA-256 in
//! hexadecimal of all bytes before the comma and the line break that precede that line. The first line says that the last
//! one has to be there, so that a document whose last line is spoiled is not taken for one that never had it.

use sha2::{Digest, Sha256};

/// What a sealed document begins with.
const HEAD: &[u8] = b"{\n  \"sealed\": \"sha256\",\n";

/// What an object begins with as it is written for people.
const OPEN: &[u8] = b"{\n";

/// What stands between the digested bytes and the digest.
const BEFORE_DIGEST: &[u8] = b",\n  \"seal\": \"";

/// What follows the digest.
const AFTER_DIGEST: &[u8] = b"\"\n}\n";

/// How long the digest is in hexadecimal.
const DIGEST_BYTES: usize = 64;

/// The names of the two fields.
pub(super) const FIELDS: [&str; 2] = ["sealed", "seal"];

/// The document, a JSON object of one field a line, with its seal.
pub(super) fn seal(document: &[u8]) -> Vec<u8> {
    let body = document.strip_prefix(OPEN).unwrap_or(document).trim_ascii_end();
    let body = body.strip_suffix(b"\n}").unwrap_or(body);
    let mut sealed = [HEAD, body].concat();
    let digest = hex::encode(Sha256::digest(&sealed));
    for piece in [BEFORE_DIGEST, digest.as_bytes(), AFTER_DIGEST] {
        sealed.extend_from_slice(piece);
    }
    sealed
}

/// Checks a document's seal; one that has none at all is from before there were seals.
///
/// # Errors
/// What is wrong, as a sentence.
pub(super) fn check(document: &[u8]) -> Result<(), &'static str> {
    match split(document) {
        Some((sealed, digest)) => match hex::encode(Sha256::digest(sealed)).as_bytes() == digest {
            true => Ok(()),
            false => Err("It is not what was written: its own digest is another"),
        },
        None if document.starts_with(HEAD) => Err("It is not what was written: the digest at its end is missing"),
        None => Ok(()),
    }
}

/// The bytes that are sealed, and the digest that is said to be theirs.
fn split(document: &[u8]) -> Option<(&[u8], &[u8])> {
    let rest = document.strip_suffix(AFTER_DIGEST)?;
    let (rest, digest) = rest.split_at_checked(rest.len().checked_sub(DIGEST_BYTES)?)?;
    Some((rest.strip_suffix(BEFORE_DIGEST)?, digest))
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLAIN: &[u8] = b"{\n  \"format\": 1,\n  \"name\": \"app\"\n}\n";

    #[test]
    fn a_document_without_a_seal_is_an_older_one() {
        assert_eq!(check(PLAIN), Ok(()));
        assert_eq!(check(b""), Ok(()));
    }

    #[test]
    fn every_changed_byte_is_noticed_or_makes_it_no_json() {
        let sealed = seal(PLAIN);
        assert_eq!(check(&sealed), Ok(()));
        let value: serde_json::Value = serde_json::from_slice(&sealed).unwrap();
        assert_eq!((&value["format"], &value["name"]), (&1.into(), &"app".into()));
        for at in 0..sealed.len() {
            for bit in 0..8 {
                let mut changed = sealed.clone();
                changed[at] ^= 1 << bit;
                let noticed =
                    check(&changed).is_err() || serde_json::from_slice::<serde_json::Value>(&changed).is_err();
                assert!(noticed, "byte {at}, bit {bit}: {}", String::from_utf8_lossy(&changed));
            }
        }
    }

    #[test]
    fn every_cut_is_noticed_or_makes_it_no_json() {
        let sealed = seal(PLAIN);
        for end in 0..sealed.len() {
            let cut = &sealed[..end];
            let noticed = check(cut).is_err() || serde_json::from_slice::<serde_json::Value>(cut).is_err();
            assert!(noticed, "{end}");
        }
    }
}
