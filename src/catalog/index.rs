//! The index: gzipped JSON lines that say where members and entries lie.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;

use base64::Engine;
use serde::de::value::MapAccessDeserializer;
use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Serialize};

/// The newest format of this version; what needs nothing of it is written in the older one.
pub const INDEX_FORMAT: u32 = 2;

/// What an entry is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum EntryKind {
    /// A regular file.
    File,
    /// A folder.
    Folder,
    /// A symbolic link.
    Symlink,
    /// A further name of a file that stands earlier in the archive.
    Hardlink,
    /// A named pipe.
    Fifo,
    /// A character or block device.
    Device,
    /// A table of a database: its `COPY` block or its `INSERT`s.
    Table,
    /// Something else in a dump: what makes a table, an index, a function; or a setting between them.
    Object,
}

/// Bytes that are mostly UTF-8: a path. In JSON a string, or `{"base64": …}` if it is not UTF-8.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RawPath(pub Vec<u8>);

impl RawPath {
    /// The path for people.
    #[must_use]
    pub fn display(&self) -> String {
        String::from_utf8_lossy(&self.0).into_owned()
    }

    /// The path for the system.
    #[must_use]
    pub fn as_os_str(&self) -> &OsStr {
        OsStr::from_bytes(&self.0)
    }
}

impl std::fmt::Debug for RawPath {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:?}", self.display())
    }
}

impl From<&str> for RawPath {
    fn from(text: &str) -> Self {
        Self(text.as_bytes().to_vec())
    }
}

#[derive(Serialize, Deserialize)]
struct Base64Path {
    base64: String,
}

impl Serialize for RawPath {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match std::str::from_utf8(&self.0) {
            Ok(text) => serializer.serialize_str(text),
            Err(_) => Base64Path {
                base64: base64::engine::general_purpose::STANDARD.encode(&self.0),
            }
            .serialize(serializer),
        }
    }
}

impl<'de> Deserialize<'de> for RawPath {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(RawPathVisitor)
    }
}

/// Reads either form as it comes; a derived choice between the two would copy each path first.
struct RawPathVisitor;

impl<'de> Visitor<'de> for RawPathVisitor {
    type Value = RawPath;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a string, or an object with the field `base64`")
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<RawPath, E> {
        Ok(RawPath(text.as_bytes().to_vec()))
    }

    fn visit_string<E: serde::de::Error>(self, text: String) -> Result<RawPath, E> {
        Ok(RawPath(text.into_bytes()))
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<RawPath, A::Error> {
        let raw = Base64Path::deserialize(MapAccessDeserializer::new(map))?;
        base64::engine::general_purpose::STANDARD
            .decode(raw.base64)
            .map(RawPath)
            .map_err(serde::de::Error::custom)
    }
}

fn is_zero(value: &u32) -> bool {
    *value == 0
}

/// The offset of an entry that begins where the one before it ends; no plaintext is that long.
pub(super) const FOLLOWS: u64 = u64::MAX;

fn follows() -> u64 {
    FOLLOWS
}

/// One thing inside a backup.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// The path inside the archive, without a slash at its end; `schema.table` for a table.
    pub path: RawPath,
    /// What it is.
    pub kind: EntryKind,
    /// Where its bytes begin in the plaintext: its first tar header, or the first byte of the table's data.
    ///
    /// A line of an index leaves it out where the entry begins at the end of the one before it; [`FOLLOWS`] stands for it
    /// until the reader of the index has put the number in.
    #[serde(default = "follows")]
    pub offset: u64,
    /// How many bytes of the plaintext belong to it, headers and padding included.
    pub length: u64,
    /// The content's size in bytes.
    #[serde(default)]
    pub size: u64,
    /// Permission bits, for a file tree.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mode: Option<u32>,
    /// The numeric owner.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uid: Option<u32>,
    /// The numeric group.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gid: Option<u32>,
    /// The owner's name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// The group's name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
    /// Seconds since 1970, UTC, of the last change of the content.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mtime: Option<i64>,
    /// Nanoseconds beyond `mtime`.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub mtime_nanos: u32,
    /// Where a symbolic link points, or which earlier path a hard link shares.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub link: Option<RawPath>,
    /// Rows, for a table.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rows: Option<u64>,
    /// What an [`EntryKind::Object`] is, in the words of the program that dumped it: `TABLE`, `INDEX`, `TRIGGER`; its `link`
    /// is what it belongs to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub object: Option<String>,
}

impl Entry {
    /// An entry of which nothing is known but what it is called and where it lies.
    #[must_use]
    pub fn new(kind: EntryKind, path: RawPath, range: std::ops::Range<u64>) -> Self {
        Self {
            path,
            kind,
            offset: range.start,
            length: range.end.saturating_sub(range.start),
            size: 0,
            mode: None,
            uid: None,
            gid: None,
            user: None,
            group: None,
            mtime: None,
            mtime_nanos: 0,
            link: None,
            rows: None,
            object: None,
        }
    }

    /// Where its bytes lie in the plaintext.
    #[must_use]
    pub fn range(&self) -> std::ops::Range<u64> {
        self.offset..self.offset.saturating_add(self.length)
    }
}

/// The place of one member: `plain` bytes of plaintext, `stored` bytes when compressed and not yet encrypted.
///
/// In JSON the pair `[plain, stored]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "(u32, u32)", into = "(u32, u32)")]
pub struct MemberSize {
    /// Plaintext bytes.
    pub plain: u32,
    /// Compressed bytes.
    pub stored: u32,
}

/// Consecutive members, from a known place on.
///
/// Offsets count from the beginning of the backup's data, over all its data objects as `cat` joins them. Of an encrypted
/// backup they count in the compressed stream, before encryption, over all streams one after the other.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MemberRun {
    /// Where the first member's content begins in the plaintext.
    pub plain_offset: u64,
    /// Where the first member begins in the stored bytes.
    pub stored_offset: u64,
    /// The members, in order.
    pub members: Vec<MemberSize>,
    /// CRC-32 of each member's plaintext, where the members themselves hold no checksum.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub crc32s: Vec<u32>,
}

impl From<(u32, u32)> for MemberSize {
    fn from((plain, stored): (u32, u32)) -> Self {
        Self { plain, stored }
    }
}

impl From<MemberSize> for (u32, u32) {
    fn from(size: MemberSize) -> Self {
        (size.plain, size.stored)
    }
}
