//! The entity tags of objects that were written in parts: MD5s of the MD5s of the parts, made again from what is read.

use super::Checked;
use crate::catalog::manifest::ObjectRecord;
use crate::store::{Key, ObjectMeta};

/// How long the parts of an object are, if its entity tag is made of theirs and can be made again: all but the last are
/// as long as the first.
pub(super) fn part_bytes_of(record: &ObjectRecord, meta: &ObjectMeta) -> Option<u64> {
    let etag = meta.etag.as_deref().filter(|_| meta.etag_is_md5)?;
    let parts: u32 = etag.rsplit_once('-')?.1.parse().ok()?;
    let parts = u64::from(parts);
    let last = record
        .bytes
        .checked_sub(record.part_bytes.checked_mul(parts.checked_sub(1)?)?)?;
    let is_even = (1..=record.part_bytes).contains(&last) && parts == u64::from(record.parts);
    is_even.then_some(record.part_bytes)
}

/// Compares the entity tag that the store computed when the object was written in parts with that of what it delivers.
pub(super) fn judge_etag(key: &Key, is_right: bool, found: &str, etag: &str, checked: &mut Checked) {
    let is_same = found.eq_ignore_ascii_case(etag);
    match (is_right, is_same) {
        (true, true) => {}
        (true, false) => checked.remark(format!(
            "The entity tag of `{key}` is {etag} and by its parts should be {found}; its content is right."
        )),
        (false, true) => checked.remark(format!(
            "The entity tag of `{key}` is that of what is there now: it was written so, and has not decayed since."
        )),
        (false, false) => checked.remark(format!(
            "The entity tag of `{key}`, which the store computed when it was written, is not that of what is there now: it has changed in the store."
        )),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::store::Role;

    #[test]
    fn only_even_parts_of_an_md5_can_be_made_again() {
        let record = |bytes, part_bytes, parts| ObjectRecord {
            role: Role::Data,
            key: Key::new("x"),
            version_id: None,
            bytes,
            sha256: String::new(),
            md5: String::new(),
            etag: None,
            part_bytes,
            parts,
            token: String::new(),
        };
        let meta = |etag: &str, etag_is_md5| ObjectMeta {
            key: Key::new("x"),
            bytes: 0,
            modified: None,
            etag: Some(etag.to_owned()),
            etag_is_md5,
            version_id: None,
            storage_class: None,
            archive: None,
            token: None,
        };
        for (bytes, part_bytes, parts, etag, is_md5, wanted) in [
            (25, 10, 3, "abc-3", true, Some(10)),
            (30, 10, 3, "abc-3", true, Some(10)),
            (5, 10, 1, "abc-1", true, Some(10)),
            // Parts that grew, another number of parts, one in one step, one that means nothing.
            (45, 10, 3, "abc-3", true, None),
            (20, 10, 3, "abc-3", true, None),
            (25, 10, 3, "abc-4", true, None),
            (25, 0, 0, "abc", true, None),
            (25, 0, 3, "abc-3", true, None),
            (25, 10, 3, "abc-3", false, None),
            (25, 10, 3, "abc-0", true, None),
        ] {
            let found = part_bytes_of(&record(bytes, part_bytes, parts), &meta(etag, is_md5));
            assert_eq!(found, wanted, "{bytes} {part_bytes} {parts} {etag}");
        }
    }
}
