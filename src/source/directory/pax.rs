//! PAX records as they are read: what they say about the next item, or about all that follow.

use super::sparse::{EXTENTS_MAX, Extent};

/// Extended attributes of one item: the kernel lists at most 64 KiB of names, none of them shorter than `user.x`. Each is
/// compared with those before it, so that without a bound an archive could keep the reader busy for days.
const ATTRIBUTES_MAX: usize = 8192;

/// What PAX records said. `None` leaves the matter to the header.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Records {
    pub(super) path: Option<Vec<u8>>,
    pub(super) link: Option<Vec<u8>>,
    pub(super) size: Option<u64>,
    pub(super) uid: Option<u64>,
    pub(super) gid: Option<u64>,
    pub(super) user: Option<Vec<u8>>,
    pub(super) group: Option<Vec<u8>>,
    pub(super) mtime: Option<(i64, u32)>,
    /// Names and values of extended attributes.
    pub(super) attributes: Vec<(Vec<u8>, Vec<u8>)>,
    /// The version of GNU's sparse format, if it has one.
    pub(super) sparse_version: Option<(u64, u64)>,
    pub(super) sparse_name: Option<Vec<u8>>,
    pub(super) sparse_size: Option<u64>,
    /// The map of versions 0.0 and 0.1.
    pub(super) extents: Vec<Extent>,
    is_sparse: bool,
}

impl Records {
    /// Reads records and lays them over those here; the error says what is wrong with them.
    pub(super) fn read(&mut self, mut bytes: &[u8]) -> Result<(), String> {
        while !bytes.is_empty() {
            // Some writers fill the last block with NULs and count them in.
            if bytes.iter().all(|byte| *byte == 0) {
                break;
            }
            let space = bytes
                .iter()
                .position(|byte| *byte == b' ')
                .ok_or("a record has no length")?;
            let length: usize = std::str::from_utf8(&bytes[..space])
                .ok()
                .and_then(|digits| digits.parse().ok())
                .ok_or("a record's length is not a number")?;
            if length <= space + 1 || length > bytes.len() {
                return Err("a record is longer than its header".to_owned());
            }
            let record = &bytes[space + 1..length];
            let Some((b'\n', record)) = record.split_last() else {
                return Err("a record does not end with its line".to_owned());
            };
            let equals = record
                .iter()
                .position(|byte| *byte == b'=')
                .ok_or("a record has no value")?;
            self.take(&record[..equals], &record[equals + 1..])?;
            bytes = &bytes[length..];
        }
        Ok(())
    }

    /// Whether the records make the item a sparse file.
    pub(super) fn is_sparse(&self) -> bool {
        self.is_sparse
    }

    fn take(&mut self, keyword: &[u8], value: &[u8]) -> Result<(), String> {
        match keyword {
            b"path" => self.path = text(value),
            b"linkpath" => self.link = text(value),
            b"uname" => self.user = text(value),
            b"gname" => self.group = text(value),
            b"size" => self.size = number(value)?,
            b"uid" => self.uid = number(value)?,
            b"gid" => self.gid = number(value)?,
            b"mtime" => self.mtime = time(value)?,
            b"GNU.sparse.major" => self.sparse(|this| this.sparse_version.get_or_insert_default().0 = plain(value)),
            b"GNU.sparse.minor" => self.sparse(|this| this.sparse_version.get_or_insert_default().1 = plain(value)),
            b"GNU.sparse.name" => self.sparse(|this| this.sparse_name = text(value)),
            b"GNU.sparse.size" | b"GNU.sparse.realsize" => {
                self.sparse_size = number(value)?;
                self.is_sparse = true;
            }
            b"GNU.sparse.map" => {
                self.is_sparse = true;
                self.extents = map(value)?;
            }
            // Version 0.0 repeats these two, in pairs.
            b"GNU.sparse.offset" => {
                let offset = number(value)?.ok_or("a sparse offset is empty")?;
                self.is_sparse = true;
                self.push(Extent { offset, length: 0 })?;
            }
            b"GNU.sparse.numbytes" => {
                let length = number(value)?.ok_or("a sparse length is empty")?;
                let last = self.extents.last_mut().ok_or("a sparse length has no offset")?;
                last.length = length;
            }
            _ => {
                if let Some(name) = keyword.strip_prefix(b"SCHILY.xattr.") {
                    let name = unescape(name);
                    self.attributes.retain(|(known, _)| *known != name);
                    if self.attributes.len() >= ATTRIBUTES_MAX {
                        return Err("an item has more extended attributes than any system keeps".to_owned());
                    }
                    self.attributes.push((name, value.to_vec()));
                }
            }
        }
        Ok(())
    }

    fn sparse(&mut self, change: impl FnOnce(&mut Self)) {
        self.is_sparse = true;
        change(self);
    }

    fn push(&mut self, extent: Extent) -> Result<(), String> {
        if self.extents.len() >= EXTENTS_MAX {
            return Err("a sparse file has too many pieces".to_owned());
        }
        self.extents.push(extent);
        Ok(())
    }
}

/// An empty value takes the keyword back.
fn text(value: &[u8]) -> Option<Vec<u8>> {
    (!value.is_empty()).then(|| value.to_vec())
}

fn number(value: &[u8]) -> Result<Option<u64>, String> {
    if value.is_empty() {
        return Ok(None);
    }
    std::str::from_utf8(value)
        .ok()
        .and_then(|digits| digits.parse().ok())
        .map(Some)
        .ok_or_else(|| format!("not a number: `{}`", String::from_utf8_lossy(value)))
}

fn plain(value: &[u8]) -> u64 {
    // A version that cannot be read is none that is known.
    number(value).ok().flatten().unwrap_or(u64::MAX)
}

/// Seconds and nanoseconds, rounded down: -0.5 is second -1 and half a second.
fn time(value: &[u8]) -> Result<Option<(i64, u32)>, String> {
    if value.is_empty() {
        return Ok(None);
    }
    let wrong = || format!("not a time: `{}`", String::from_utf8_lossy(value));
    let text = std::str::from_utf8(value).map_err(|_| wrong())?;
    let (is_negative, digits) = match text.strip_prefix('-') {
        Some(digits) => (true, digits),
        None => (false, text),
    };
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    if !whole.bytes().chain(fraction.bytes()).all(|byte| byte.is_ascii_digit()) {
        return Err(wrong());
    }
    let whole: i64 = match whole {
        "" => 0,
        _ => whole.parse().map_err(|_| wrong())?,
    };
    let nanos: u32 = format!("{:0<9.9}", fraction).parse().map_err(|_| wrong())?;
    Ok(Some(match (is_negative, nanos) {
        (false, _) => (whole, nanos),
        (true, 0) => (-whole, 0),
        (true, _) => ((-whole).checked_sub(1).ok_or_else(wrong)?, 1_000_000_000 - nanos),
    }))
}

fn map(value: &[u8]) -> Result<Vec<Extent>, String> {
    let wrong = || "a sparse map is not a list of numbers".to_owned();
    let mut numbers = value.split(|byte| *byte == b',');
    let mut extents = Vec::new();
    while let Some(offset) = numbers.next() {
        let length = numbers.next().ok_or_else(wrong)?;
        if extents.len() >= EXTENTS_MAX {
            return Err("a sparse file has too many pieces".to_owned());
        }
        extents.push(Extent {
            offset: number(offset)?.ok_or_else(wrong)?,
            length: number(length)?.ok_or_else(wrong)?,
        });
    }
    Ok(extents)
}

fn unescape(name: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(name.len());
    let mut rest = name;
    while let Some((byte, tail)) = rest.split_first() {
        let (byte, tail) = match rest {
            [b'%', b'3', b'D', tail @ ..] => (&b'=', tail),
            [b'%', b'2', b'5', tail @ ..] => (&b'%', tail),
            _ => (byte, tail),
        };
        out.push(*byte);
        rest = tail;
    }
    out
}

#[cfg(test)]
mod tests {
    use super::super::header::{push_record, push_xattr_record};
    use super::*;
    use proptest::prelude::*;

    fn read(pairs: &[(&str, &str)]) -> Result<Records, String> {
        let mut bytes = Vec::new();
        for (keyword, value) in pairs {
            push_record(&mut bytes, keyword.as_bytes(), value.as_bytes());
        }
        let mut records = Records::default();
        records.read(&bytes).map(|()| records)
    }

    #[test]
    fn times_round_down() {
        assert_eq!(time(b"1.5"), Ok(Some((1, 500_000_000))));
        assert_eq!(time(b"-0.5"), Ok(Some((-1, 500_000_000))));
        assert_eq!(time(b"-2"), Ok(Some((-2, 0))));
        assert_eq!(time(b"7.1234567891234"), Ok(Some((7, 123_456_789))));
        assert_eq!(time(b".25"), Ok(Some((0, 250_000_000))));
        assert!(time(b"1.x").is_err() && time(b"x").is_err() && time(b"--1").is_err());
    }

    #[test]
    fn sparse_maps_of_both_old_versions_are_read() {
        let old = read(&[
            ("GNU.sparse.size", "100"),
            ("GNU.sparse.numblocks", "2"),
            ("GNU.sparse.offset", "0"),
            ("GNU.sparse.numbytes", "5"),
            ("GNU.sparse.offset", "90"),
            ("GNU.sparse.numbytes", "10"),
        ])
        .unwrap();
        let newer = read(&[("GNU.sparse.size", "100"), ("GNU.sparse.map", "0,5,90,10")]).unwrap();
        assert!(old.is_sparse() && newer.is_sparse());
        assert_eq!(old.extents, newer.extents);
        assert_eq!(old.sparse_size, Some(100));
        assert!(read(&[("GNU.sparse.map", "0,5,90")]).is_err());
        assert!(read(&[("GNU.sparse.numbytes", "5")]).is_err());
    }

    #[test]
    fn later_records_win_and_empty_ones_take_back() {
        let records = read(&[
            ("path", "a"),
            ("path", "b"),
            ("linkpath", "x"),
            ("linkpath", ""),
            ("comment", "x"),
        ])
        .unwrap();
        assert_eq!(records.path.as_deref(), Some(b"b".as_slice()));
        assert_eq!(records.link, None);
    }

    #[test]
    fn attributes_without_end_are_refused() {
        let mut bytes = Vec::new();
        for number in 0..=ATTRIBUTES_MAX {
            push_xattr_record(&mut bytes, format!("user.{number}").as_bytes(), b"");
        }
        assert!(Records::default().read(&bytes).is_err());
    }

    #[test]
    fn broken_records_are_refused() {
        for bytes in [
            b"x".as_slice(),
            b"99 path=a\n",
            b"3 path=a\n",
            b"9 path=aX",
            b"7 path\n",
            b"-9 path=a\n",
            b"99999999999999999999999 path=a\n",
            b"12 size=1x2\n",
        ] {
            assert!(Records::default().read(bytes).is_err(), "{bytes:?}");
        }
    }

    proptest! {
        #[test]
        fn attributes_of_any_name_and_value_come_back(
            name in proptest::collection::vec(1u8..255, 1..30),
            value in proptest::collection::vec(any::<u8>(), 0..300),
        ) {
            let mut bytes = Vec::new();
            push_xattr_record(&mut bytes, &name, &value);
            let mut records = Records::default();
            records.read(&bytes).unwrap();
            prop_assert_eq!(records.attributes, [(name, value)]);
        }

        #[test]
        fn no_bytes_make_the_reader_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = Records::default().read(&bytes);
        }
    }
}
