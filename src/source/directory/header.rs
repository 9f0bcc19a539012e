//! How one item's headers are written: ustar where it suffices, PAX records where it does not.
//!
//! What stock readers take without a warning decides the form. ASCII names too long for ustar become PAX records. Other
//! bytes stand in the ustar header as they are, and in a GNU long-name entry if they are too long: GNU tar does not know
//! `hdrcharset=BINARY`, and bsdtar complains about a PAX name that its locale cannot write.

use tar::Header;

use super::sparse::Extent;

/// The unit of a tar archive.
pub(super) const BLOCK_BYTES: u64 = 512;

/// The largest numbers that ustar's octal fields hold.
const OCTAL_7_MAX: u64 = 0o7_777_777;
const OCTAL_11_MAX: u64 = 0o77_777_777_777;

/// Bytes of a user's or group's name that fit into ustar, with the NUL that some readers expect.
const OWNER_BYTES_MAX: usize = 31;

/// What an item is, in tar's words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ItemKind {
    File,
    Hardlink,
    Symlink,
    CharDevice,
    BlockDevice,
    Folder,
    Fifo,
}

impl ItemKind {
    fn type_flag(self) -> u8 {
        match self {
            Self::File => b'0',
            Self::Hardlink => b'1',
            Self::Symlink => b'2',
            Self::CharDevice => b'3',
            Self::BlockDevice => b'4',
            Self::Folder => b'5',
            Self::Fifo => b'6',
        }
    }
}

/// One item to be written.
#[derive(Clone, Debug)]
pub(super) struct Item<'a> {
    pub(super) kind: ItemKind,
    /// Without a slash at its end.
    pub(super) path: &'a [u8],
    /// Where a link points.
    pub(super) link: &'a [u8],
    pub(super) mode: u32,
    pub(super) uid: u32,
    pub(super) gid: u32,
    pub(super) user: &'a str,
    pub(super) group: &'a str,
    pub(super) mtime: i64,
    pub(super) mtime_nanos: u32,
    /// A device's major and minor number.
    pub(super) device: (u32, u32),
    /// Bytes that follow the headers, padding excluded.
    pub(super) stored_bytes: u64,
    /// The file's own size, if it is stored sparse.
    pub(super) sparse_bytes: Option<u64>,
    /// Extended attributes as PAX records, made by [`push_xattr_record`].
    pub(super) attributes: &'a [u8],
}

/// Bytes stored for a sparse file: its map and its data.
pub(super) fn sparse_stored_bytes(map: &[u8], extents: &[Extent]) -> u64 {
    map.len() as u64 + extents.iter().map(|extent| extent.length).sum::<u64>()
}

/// Appends the item's headers to `out`.
pub(super) fn encode(item: &Item<'_>, records: &mut Vec<u8>, out: &mut Vec<u8>) {
    records.clear();
    let mut header = Header::new_ustar();
    let Some(ustar) = header.as_ustar_mut() else {
        // `new_ustar` makes a ustar header; there is nothing else that it could be.
        return;
    };
    ustar.typeflag = [item.kind.type_flag()];
    octal(&mut ustar.mode, u64::from(item.mode));

    let slash = item.kind == ItemKind::Folder;
    let path_bytes = item.path.len() + usize::from(slash);
    match split(item.path, slash) {
        Some((prefix, name)) => {
            ustar.prefix[..prefix.len()].copy_from_slice(prefix);
            ustar.name[..name.len()].copy_from_slice(name);
            if slash {
                ustar.name[name.len()] = b'/';
            }
        }
        None => {
            let mut full = Vec::with_capacity(path_bytes);
            full.extend_from_slice(item.path);
            if slash {
                full.push(b'/');
            }
            let short = full.len().min(ustar.name.len());
            ustar.name[..short].copy_from_slice(&full[..short]);
            long_name(&full, "path", b'L', records, out);
        }
    }
    let short = item.link.len().min(ustar.linkname.len());
    ustar.linkname[..short].copy_from_slice(&item.link[..short]);
    if item.link.len() > ustar.linkname.len() {
        long_name(item.link, "linkpath", b'K', records, out);
    }

    number(&mut ustar.uid, u64::from(item.uid), OCTAL_7_MAX, "uid", records);
    number(&mut ustar.gid, u64::from(item.gid), OCTAL_7_MAX, "gid", records);
    number(&mut ustar.size, item.stored_bytes, OCTAL_11_MAX, "size", records);
    owner(&mut ustar.uname, item.user, "uname", records);
    owner(&mut ustar.gname, item.group, "gname", records);
    time(&mut ustar.mtime, item.mtime, item.mtime_nanos, records);
    if matches!(item.kind, ItemKind::CharDevice | ItemKind::BlockDevice) {
        // Numbers beyond seven octal digits do not occur: Linux has 12 bits of major and 20 of minor.
        octal(&mut ustar.dev_major, u64::from(item.device.0));
        octal(&mut ustar.dev_minor, u64::from(item.device.1));
    }
    if let Some(bytes) = item.sparse_bytes {
        // The name stays in the header: `GNU.sparse.name` would only be needed if that held a stand-in.
        push_record(records, b"GNU.sparse.major", b"1");
        push_record(records, b"GNU.sparse.minor", b"0");
        push_record(records, b"GNU.sparse.realsize", bytes.to_string().as_bytes());
    }
    records.extend_from_slice(item.attributes);

    if !records.is_empty() {
        extension(b"././@PaxHeader", b'x', records, out);
    }
    seal(&mut header);
    out.extend_from_slice(header.as_bytes());
}

/// Appends one PAX record: its length in decimal (of the whole record), the keyword, the value.
pub(super) fn push_record(records: &mut Vec<u8>, keyword: &[u8], value: &[u8]) {
    // A space, an equals sign and a newline stand beside the length's own digits.
    let rest = keyword.len() + value.len() + 3;
    let mut length = rest + 1;
    while length != rest + decimal_digits(length) {
        length = rest + decimal_digits(length);
    }
    records.extend_from_slice(length.to_string().as_bytes());
    records.push(b' ');
    records.extend_from_slice(keyword);
    records.push(b'=');
    records.extend_from_slice(value);
    records.push(b'\n');
}

/// Appends an extended attribute as the PAX record that GNU tar and bsdtar share.
pub(super) fn push_xattr_record(records: &mut Vec<u8>, name: &[u8], value: &[u8]) {
    let mut keyword = b"SCHILY.xattr.".to_vec();
    for byte in name {
        // The record's first equals sign ends the keyword; GNU tar escapes those in names, and the escape itself.
        match byte {
            b'=' => keyword.extend_from_slice(b"%3D"),
            b'%' => keyword.extend_from_slice(b"%25"),
            _ => keyword.push(*byte),
        }
    }
    push_record(records, &keyword, value);
}

fn decimal_digits(number: usize) -> usize {
    number.checked_ilog10().map_or(1, |log| log as usize + 1)
}

/// Splits a path at a slash so that it fits into ustar's two fields.
fn split(path: &[u8], slash: bool) -> Option<(&[u8], &[u8])> {
    const NAME_BYTES: usize = 100;
    const PREFIX_BYTES: usize = 155;
    let name_bytes_max = NAME_BYTES - usize::from(slash);
    if path.len() <= name_bytes_max {
        return Some((b"", path));
    }
    // The earliest slash that leaves a name short enough keeps the prefix shortest.
    let from = path.len() - name_bytes_max - 1;
    let at = from + path[from..].iter().position(|byte| *byte == b'/')?;
    (at > 0 && at <= PREFIX_BYTES && at + 1 < path.len()).then(|| (&path[..at], &path[at + 1..]))
}

fn long_name(name: &[u8], keyword: &str, type_flag: u8, records: &mut Vec<u8>, out: &mut Vec<u8>) {
    if name.is_ascii() {
        push_record(records, keyword.as_bytes(), name);
    } else {
        let mut body = name.to_vec();
        body.push(0);
        extension(b"././@LongLink", type_flag, &body, out);
    }
}

/// Appends an entry that only says something about the next one. Its header has no times and no owners: a constant costs
/// nothing once compressed.
fn extension(name: &[u8], type_flag: u8, body: &[u8], out: &mut Vec<u8>) {
    let mut header = Header::new_ustar();
    if let Some(ustar) = header.as_ustar_mut() {
        ustar.name[..name.len()].copy_from_slice(name);
        ustar.typeflag = [type_flag];
        octal(&mut ustar.mode, 0o644);
        octal(&mut ustar.uid, 0);
        octal(&mut ustar.gid, 0);
        octal(&mut ustar.size, body.len() as u64);
        octal(&mut ustar.mtime, 0);
    }
    seal(&mut header);
    out.extend_from_slice(header.as_bytes());
    out.extend_from_slice(body);
    pad(out, body.len() as u64);
}

/// Appends the zeros that fill `content_bytes` up to whole blocks.
pub(super) fn pad(out: &mut Vec<u8>, content_bytes: u64) {
    out.resize(out.len() + padding_bytes(content_bytes), 0);
}

/// How many zeros fill `content_bytes` up to whole blocks.
pub(super) fn padding_bytes(content_bytes: u64) -> usize {
    ((BLOCK_BYTES - content_bytes % BLOCK_BYTES) % BLOCK_BYTES) as usize
}

/// Writes octal digits and a NUL; the caller knows that they fit.
fn octal(field: &mut [u8], mut value: u64) {
    let digits = field.len() - 1;
    for digit in field[..digits].iter_mut().rev() {
        *digit = b'0' + (value & 7) as u8;
        value >>= 3;
    }
    field[digits] = 0;
}

/// Writes a number, and a PAX record as well if the field is too small for it; the field then has GNU's binary form, for
/// readers that know no PAX.
fn number(field: &mut [u8], value: u64, max: u64, keyword: &str, records: &mut Vec<u8>) {
    if value <= max {
        octal(field, value);
        return;
    }
    push_record(records, keyword.as_bytes(), value.to_string().as_bytes());
    field.fill(0);
    field[0] = 0x80;
    let binary = value.to_be_bytes();
    let take = binary.len().min(field.len() - 1);
    let start = field.len() - take;
    field[start..].copy_from_slice(&binary[binary.len() - take..]);
}

fn owner(field: &mut [u8; 32], name: &str, keyword: &str, records: &mut Vec<u8>) {
    if name.len() <= OWNER_BYTES_MAX {
        field[..name.len()].copy_from_slice(name.as_bytes());
    } else if name.is_ascii() {
        push_record(records, keyword.as_bytes(), name.as_bytes());
    }
    // A long name beyond ASCII has no form that every reader takes; the number stands for it.
}

fn time(field: &mut [u8; 12], seconds: i64, nanos: u32, records: &mut Vec<u8>) {
    let in_field = u64::try_from(seconds).ok().filter(|seconds| *seconds <= OCTAL_11_MAX);
    octal(field, in_field.unwrap_or(0));
    if nanos == 0 && in_field.is_some() {
        return;
    }
    // Half a second before 1970 is second -1 and 500,000,000 nanoseconds in the file system, and -0.5 in PAX.
    let (sign, whole, fraction) = if seconds < 0 && nanos > 0 {
        ("-", (seconds + 1).unsigned_abs(), 1_000_000_000 - nanos)
    } else if seconds < 0 {
        ("-", seconds.unsigned_abs(), 0)
    } else {
        ("", seconds.unsigned_abs(), nanos)
    };
    let mut text = format!("{sign}{whole}");
    if fraction > 0 {
        text.push_str(&format!(".{fraction:09}"));
        text.truncate(text.trim_end_matches('0').len());
    }
    push_record(records, b"mtime", text.as_bytes());
}

fn seal(header: &mut Header) {
    let bytes = header.as_mut_bytes();
    bytes[148..156].fill(b' ');
    let sum: u64 = bytes.iter().map(|byte| u64::from(*byte)).sum();
    // Six digits, a NUL and a space: the form that every tar writes.
    octal(&mut bytes[148..155], sum);
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn item(path: &[u8]) -> Item<'_> {
        Item {
            kind: ItemKind::File,
            path,
            link: b"",
            mode: 0o644,
            uid: 0,
            gid: 0,
            user: "root",
            group: "root",
            mtime: 1,
            mtime_nanos: 0,
            device: (0, 0),
            stored_bytes: 0,
            sparse_bytes: None,
            attributes: b"",
        }
    }

    fn encoded(item: &Item<'_>) -> Vec<u8> {
        let mut out = Vec::new();
        encode(item, &mut Vec::new(), &mut out);
        out
    }

    #[test]
    fn a_plain_item_is_one_block() {
        assert_eq!(encoded(&item(b"www/index.html")).len(), 512);
        let long = [b"d/".repeat(70), b"x".repeat(99)].concat();
        assert_eq!(encoded(&item(&long)).len(), 512);
        assert_eq!(encoded(&item("www/\u{fc}".as_bytes())).len(), 512);
        assert_eq!(encoded(&item(b"www/\xff")).len(), 512);
    }

    #[test]
    fn record_lengths_count_themselves() {
        for value in [
            0, 1, 85, 86, 87, 88, 89, 90, 91, 980, 985, 986, 987, 988, 990, 9970, 9980, 9985, 9990,
        ] {
            let mut records = Vec::new();
            push_record(&mut records, b"keyword", &vec![b'v'; value]);
            let text = String::from_utf8(records).unwrap();
            let (length, _) = text.split_once(' ').unwrap();
            assert_eq!(length.parse::<usize>().unwrap(), text.len());
        }
    }

    #[test]
    fn times_before_1970_and_fractions_are_exact() {
        let record = |seconds, nanos| {
            let mut records = Vec::new();
            time(&mut [0; 12], seconds, nanos, &mut records);
            String::from_utf8(records).unwrap()
        };
        assert_eq!(record(5, 0), "");
        assert_eq!(record(5, 500_000_000), "13 mtime=5.5\n");
        assert_eq!(record(1, 1), "21 mtime=1.000000001\n");
        assert_eq!(record(-1, 500_000_000), "14 mtime=-0.5\n");
        assert_eq!(record(-2, 0), "12 mtime=-2\n");
        assert_eq!(record(1 << 33, 0), "20 mtime=8589934592\n");
    }

    #[test]
    fn a_size_beyond_octal_is_in_the_record_and_in_the_field() {
        let mut big = item(b"big");
        big.stored_bytes = 9 << 30;
        let bytes = encoded(&big);
        assert_eq!(&bytes[512..531], b"19 size=9663676416\n");
        assert_eq!(Header::from_byte_slice(&bytes[1024..1536]).size().unwrap(), 9 << 30);
    }

    // Lines are left out because the crate takes the end of one for the end of a record.
    fn path() -> impl Strategy<Value = Vec<u8>> {
        let part = proptest::collection::vec(
            any::<u8>().prop_filter("no separators", |byte| !b"/\0\n".contains(byte)),
            1..80,
        )
        .prop_filter("a name", |part| part != b"." && part != b"..");
        proptest::collection::vec(part, 1..8).prop_map(|parts| parts.join(&b'/'))
    }

    proptest! {
        #[test]
        fn what_is_written_is_what_the_tar_crate_reads(
            path in path(),
            link in path(),
            mode in 0u32..0o10000,
            uid: u32,
            gid: u32,
            user in "[a-z]{0,40}",
            mtime in 0i64..(1 << 34),
            nanos in 0u32..1_000_000_000,
            content in proptest::collection::vec(any::<u8>(), 0..2000),
            value in proptest::collection::vec(any::<u8>().prop_filter("no lines", |byte| *byte != b'\n'), 0..200),
        ) {
            let mut attributes = Vec::new();
            push_xattr_record(&mut attributes, b"user.test", &value);
            let mut archive = Vec::new();
            let file = Item {
                mode, uid, gid, mtime, mtime_nanos: nanos, user: &user, attributes: &attributes,
                stored_bytes: content.len() as u64,
                ..item(&path)
            };
            encode(&file, &mut Vec::new(), &mut archive);
            archive.extend_from_slice(&content);
            pad(&mut archive, content.len() as u64);
            let symlink = Item { kind: ItemKind::Symlink, link: &link, ..item(&path) };
            encode(&symlink, &mut Vec::new(), &mut archive);
            archive.resize(archive.len() + 1024, 0);

            let mut reader = tar::Archive::new(archive.as_slice());
            let mut entries = reader.entries().unwrap();
            let mut entry = entries.next().unwrap().unwrap();
            prop_assert_eq!(entry.path_bytes().into_owned(), path.clone());
            prop_assert_eq!(entry.header().mode().unwrap(), mode);
            prop_assert_eq!(entry.header().uid().unwrap(), u64::from(uid));
            prop_assert_eq!(entry.header().gid().unwrap(), u64::from(gid));
            let mut records = std::collections::HashMap::new();
            for record in entry.pax_extensions().unwrap().into_iter().flatten() {
                let record = record.unwrap();
                records.insert(record.key_bytes().to_vec(), record.value_bytes().to_vec());
            }
            prop_assert_eq!(records.get(b"SCHILY.xattr.user.test".as_slice()), Some(&value));
            if nanos > 0 {
                let text = String::from_utf8(records[b"mtime".as_slice()].clone()).unwrap();
                let (whole, fraction) = text.split_once('.').unwrap();
                prop_assert_eq!(whole.parse::<i64>().unwrap(), mtime);
                prop_assert_eq!(format!("{fraction:0<9}").parse::<u32>().unwrap(), nanos);
            }
            if user.len() > OWNER_BYTES_MAX {
                prop_assert_eq!(&records[b"uname".as_slice()], user.as_bytes());
            } else {
                prop_assert_eq!(entry.header().username_bytes().unwrap_or_default(), user.as_bytes());
            }
            let mut read = Vec::new();
            std::io::Read::read_to_end(&mut entry, &mut read).unwrap();
            prop_assert_eq!(read, content);
            let entry = entries.next().unwrap().unwrap();
            prop_assert_eq!(entry.link_name_bytes().unwrap().into_owned(), link);
            prop_assert!(entries.next().is_none());
        }
    }
}
