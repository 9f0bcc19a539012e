//! The manifest: the JSON document that commits a backup and describes it.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::codec::Codec;
use super::private::{Private, PrivateCore};
use super::seal;
use super::shape::Shape;
use crate::base::failure::{Failure, Kind, Result};
use crate::store::object_lock::ObjectLock;
use crate::store::{Key, Role};

/// The newest format of this version. Readers accept this and every older one; what needs nothing of a newer format is
/// written in the older one, so that older readers go on reading it.
pub const MANIFEST_FORMAT: u32 = 2;

/// The format of gzip that is not encrypted, in one stream.
const FORMAT_PLAIN_GZIP: u32 = 1;

/// A manifest may not be larger than this: it is read whole, from a store that may lie.
pub const MANIFEST_BYTES_MAX: u64 = 16 * crate::base::units::MIB;

/// A manifest is not written larger than this as long as that can be helped: by this size the rules of a bucket tell what
/// has to stay readable from data, which may move into an archive.
pub const MANIFEST_WRITTEN_BYTES_MAX: u64 = crate::base::units::MIB;

/// How many problems a manifest names; the rest are only counted.
pub const PROBLEMS_MAX: usize = 1000;

/// To this many bytes the words of a problem are cut in a manifest that would be too long.
const PROBLEM_BYTES_CUT: usize = 256;

/// Whether everything that was asked for is in the backup.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// Everything is there.
    Complete,
    /// Some items could not be read, or changed while they were; the manifest names them.
    Partial,
}

/// What happened to an item that is missing or not as it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ProblemKind {
    /// It could not be opened or read; it is not in the backup, or its rest is zeros.
    Unreadable,
    /// It was there when the folder was listed and gone when it was opened.
    Vanished,
    /// It became shorter while it was read; the rest is zeros.
    Shrank,
    /// It became longer while it was read; what was added is not in the backup.
    Grew,
    /// Its time of change moved while it was read; the content may be a mixture.
    Changed,
    /// Its content is there, but something beside it (an attribute) is not.
    Attributes,
}

/// An item that is missing from a backup or is not as it was.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Problem {
    /// The path inside the backup, lossily if it is not UTF-8.
    pub item: String,
    /// What happened.
    pub kind: ProblemKind,
    /// The system's words.
    pub message: String,
}

/// Where a backup came from.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SourceInfo {
    /// `directory`, `postgresql`, `mysql`, `mariadb`, `sqlite`, `command`, `stdin`.
    pub kind: String,
    /// What was backed up, without secrets: a path, a URL, a command line. Empty where only the holders of a key may know.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub what: String,
    /// The database's name, for a database.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub database: Option<String>,
    /// The database's default collation, where a dump does not hold it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub collation: Option<String>,
    /// The server's version, for a database.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub server_version: Option<String>,
    /// The program that made the dump.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tool: Option<String>,
    /// That program's version.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tool_version: Option<String>,
    /// Options that shaped the content.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub options: Vec<String>,
}

/// Sums over the content, where they are known.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    /// Regular files, hard links included.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub files: Option<u64>,
    /// Folders.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub folders: Option<u64>,
    /// Everything else in a tree: links, pipes, devices.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub others: Option<u64>,
    /// Sockets and excluded items that were left out on purpose.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub skipped: Option<u64>,
    /// Tables.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tables: Option<u64>,
    /// Rows, where the dump shows them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rows: Option<u64>,
}

/// One object of a backup.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ObjectRecord {
    /// What it is for. Data objects are listed in the order in which `cat` joins them.
    pub role: Role,
    /// Its key.
    pub key: Key,
    /// Its version, in a bucket that keeps versions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version_id: Option<String>,
    /// Its length in bytes.
    pub bytes: u64,
    /// SHA-256 of the stored bytes, in hexadecimal.
    pub sha256: String,
    /// MD5 of the stored bytes, in hexadecimal.
    pub md5: String,
    /// The store's entity tag, without quotes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub etag: Option<String>,
    /// The size of the first part, in bytes; later ones may be larger, the last one smaller. 0 if it was written in one step.
    #[serde(default)]
    pub part_bytes: u64,
    /// How many parts it was written in; 0 if it was written in one step.
    #[serde(default)]
    pub parts: u32,
    /// The random token in the object's metadata.
    pub token: String,
}

/// The store that a copy was read from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CopiedFrom {
    /// Its URL, without secrets.
    pub store: String,
    /// The first data object's key there.
    pub key: Key,
    /// When it was copied, UTC.
    pub time: Timestamp,
}

/// That the backup was made of an object that something else had made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Adopted {
    /// When that was done, UTC.
    pub time: Timestamp,
    /// Where the time is from at which the backup was begun.
    pub time_from: TimeFrom,
    /// Whether its index names members, by which a part can be had without reading all of it.
    #[serde(default)]
    pub ranged: bool,
}

/// Where the time of an adopted backup is from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TimeFrom {
    /// The object's name tells it.
    Name,
    /// It is that at which the store received the object.
    Modified,
}

/// One of several streams that a backup consists of.
///
/// The backup's plaintext is that of its streams, one after the other.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StreamRecord {
    /// How many of the data objects, in their order, are this stream's.
    pub objects: u64,
    /// What it holds, where it has an extension of its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub extension: Option<String>,
    /// The length of its plaintext in bytes.
    pub plain_bytes: u64,
    /// SHA-256 of its plaintext, in hexadecimal; in an encrypted backup the index holds it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub plain_sha256: Option<String>,
    /// Its length in bytes when compressed and not yet encrypted.
    pub compressed_bytes: u64,
    /// How many members it has.
    pub members: u64,
}

/// The commit record of a backup.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// The format's number, up to [`MANIFEST_FORMAT`]; set when it is written.
    pub format: u32,
    /// The base name of the data object without extensions.
    pub id: String,
    /// The series.
    pub name: String,
    /// The host that made it; for people, never for grouping.
    pub host: String,
    /// Where it came from.
    pub source: SourceInfo,
    /// When it was begun, UTC.
    pub started: Timestamp,
    /// When its source ended well, UTC.
    pub finished: Timestamp,
    /// Whether everything is in it.
    pub state: State,
    /// What is missing or not as it was; the first [`PROBLEMS_MAX`], or fewer if they are very long.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub problems: Vec<Problem>,
    /// How many problems there were in all.
    #[serde(default)]
    pub problem_count: u64,
    /// Its objects: data in order, then the index.
    pub objects: Vec<ObjectRecord>,
    /// The extension of the plaintext: `tar`, `sql`.
    pub extension: String,
    /// The plaintext's length in bytes.
    pub plain_bytes: u64,
    /// SHA-256 of the plaintext, in hexadecimal. Unknown if there are several streams, each of which has its own, and in
    /// an encrypted backup until its index has been read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub plain_sha256: Option<String>,
    /// The streams, if there are several; empty if all data objects are one.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub streams: Vec<StreamRecord>,
    /// How the members are made.
    pub codec: Codec,
    /// The codec's level; 0 if nothing is compressed.
    pub level: u32,
    /// How many members the data has.
    pub members: u64,
    /// Those who can decrypt it: public keys, or the word `passphrase`. Empty if it is not encrypted.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub recipients: Vec<String>,
    /// The user's tags.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<String>,
    /// What the user should look into.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<String>,
    /// Sums over the content.
    #[serde(default)]
    pub counts: Counts,
    /// How it compares with the backups of its series before it, if it was compared.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shape: Option<Shape>,
    /// How its objects are locked, as far as the store was seen to keep it. Locks may have been changed since.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lock: Option<ObjectLock>,
    /// Where it was copied from, if another store holds the backup that was made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub copied_from: Option<CopiedFrom>,
    /// How it came to be a backup, if something else had made the object.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub adopted: Option<Adopted>,
    /// The version of this tool.
    pub tool_version: String,
    /// Fields of a later minor version, kept as they are.
    #[serde(flatten)]
    pub other: BTreeMap<String, serde_json::Value>,
}

impl Manifest {
    /// The data objects, in the order in which `cat` joins them.
    pub fn data_objects(&self) -> impl Iterator<Item = &ObjectRecord> {
        self.objects.iter().filter(|object| object.role == Role::Data)
    }

    /// The index object.
    #[must_use]
    pub fn index_object(&self) -> Option<&ObjectRecord> {
        self.objects.iter().find(|object| object.role == Role::Index)
    }

    /// The stored length of all data objects, in bytes.
    #[must_use]
    pub fn data_bytes(&self) -> u64 {
        self.data_objects()
            .fold(0, |sum, object| sum.saturating_add(object.bytes))
    }

    /// Whether a part of it can be had without reading all of it, as far as its index is whole.
    #[must_use]
    pub fn is_ranged(&self) -> bool {
        self.adopted.as_ref().is_none_or(|adopted| adopted.ranged)
    }

    /// Whether the data and the index are encrypted.
    #[must_use]
    pub fn is_encrypted(&self) -> bool {
        !self.recipients.is_empty()
    }

    /// The lowest format whose readers understand this.
    fn format_needed(&self) -> u32 {
        match self.codec == Codec::Gzip && !self.is_encrypted() && self.streams.is_empty() {
            true => FORMAT_PLAIN_GZIP,
            false => MANIFEST_FORMAT,
        }
    }

    /// What the manifest of an encrypted backup leaves to its index; `None` if the backup is not encrypted.
    #[must_use]
    pub fn private(&self) -> Option<Private> {
        let private = Private {
            core: PrivateCore {
                source: self.source.clone(),
                plain_sha256: self.plain_sha256.clone(),
                stream_sha256s: self
                    .streams
                    .iter()
                    .filter_map(|stream| stream.plain_sha256.clone())
                    .collect(),
            },
            problems: self.problems.clone(),
            warnings: self.warnings.clone(),
        };
        self.is_encrypted().then(|| private.bounded())
    }

    /// Adds what an encrypted backup's index says.
    pub fn reveal(&mut self, private: Private) {
        self.source = private.core.source;
        self.plain_sha256 = private.core.plain_sha256;
        for (stream, sha256) in self.streams.iter_mut().zip(private.core.stream_sha256s) {
            stream.plain_sha256 = Some(sha256);
        }
        self.problems = private.problems;
        self.warnings = private.warnings;
    }

    /// What anybody may read of it.
    fn public(&self) -> Self {
        let mut public = self.clone();
        public.format = public.format.max(public.format_needed());
        if public.is_encrypted() {
            public.source = SourceInfo {
                kind: public.source.kind,
                server_version: public.source.server_version,
                tool: public.source.tool,
                tool_version: public.source.tool_version,
                ..SourceInfo::default()
            };
            public.plain_sha256 = None;
            for stream in &mut public.streams {
                stream.plain_sha256 = None;
            }
            public.problems.clear();
            public.warnings.clear();
        }
        public
    }

    /// The manifest as it is stored: of an encrypted backup only what anybody may read. If problems would make it longer
    /// than [`MANIFEST_WRITTEN_BYTES_MAX`], they are cut short, and then dropped from its end; they stay counted.
    ///
    /// # Errors
    /// If it cannot be written as JSON, or without them is longer than [`MANIFEST_BYTES_MAX`], which no reader takes.
    pub fn to_json(&mut self) -> Result<Vec<u8>> {
        self.format = self.format.max(self.format_needed());
        loop {
            let mut json = serde_json::to_vec_pretty(&self.public())
                .map_err(|error| Failure::new(Kind::Failed, "Could not write the manifest").caused_by(error))?;
            json.push(b'\n');
            let json = seal::seal(&json);
            let can_shrink = !self.problems.is_empty() && !self.is_encrypted();
            let bytes_max = match can_shrink {
                true => MANIFEST_WRITTEN_BYTES_MAX,
                false => MANIFEST_BYTES_MAX,
            };
            if json.len() as u64 <= bytes_max {
                return Ok(json);
            }
            if !can_shrink {
                return Err(Failure::new(
                    Kind::Failed,
                    format!(
                        "The manifest has {} bytes; no more than {MANIFEST_BYTES_MAX} can be read",
                        json.len()
                    ),
                )
                .hint("Record fewer or shorter tags"));
            }
            if !self.cut_problems() {
                self.problems.truncate(self.problems.len() / 2);
            }
        }
    }

    /// Shortens what is long in the problems; `false` if nothing is.
    fn cut_problems(&mut self) -> bool {
        let mut is_cut = false;
        for text in self
            .problems
            .iter_mut()
            .flat_map(|problem| [&mut problem.item, &mut problem.message])
            .filter(|text| text.len() > PROBLEM_BYTES_CUT + '…'.len_utf8())
        {
            text.truncate(text.floor_char_boundary(PROBLEM_BYTES_CUT));
            text.push('…');
            is_cut = true;
        }
        is_cut
    }

    /// Reads a manifest that stands at `key`.
    ///
    /// # Errors
    /// [`Kind::Unsupported`] if a later version of this tool made it, [`Kind::Damaged`] if it is not a manifest or contradicts itself.
    pub fn from_json(key: &Key, json: &[u8]) -> Result<Self> {
        #[derive(Deserialize)]
        struct FormatOnly {
            format: u32,
        }
        let damaged = |cause: anyhow::Error| {
            Failure::new(Kind::Damaged, format!("Not a readable manifest: `{key}`"))
                .caused_by(cause)
                .hint("The data beside it may be whole: `backup-cli adopt` with the backup's id makes a new manifest from it; or name that object itself, by its s3:// URL or its path, and it is restored without one")
        };
        let FormatOnly { format } = serde_json::from_slice(json).map_err(|error| damaged(error.into()))?;
        // Before the format is believed.
        seal::check(json).map_err(|why| damaged(anyhow::anyhow!(why)))?;
        if format > MANIFEST_FORMAT {
            return Err(Failure::new(
                Kind::Unsupported,
                format!(
                    "The manifest `{key}` has format {format}; this version of backup-cli reads up to {MANIFEST_FORMAT}"
                ),
            )
            .hint("Install a newer backup-cli; or fetch the data object itself, which stock tools open"));
        }
        let mut manifest: Self = serde_json::from_slice(json).map_err(|error| damaged(error.into()))?;
        // It is made anew when the manifest is written.
        manifest.other.retain(|name, _| !seal::FIELDS.contains(&name.as_str()));
        if manifest.format == 0 {
            return Err(damaged(anyhow::anyhow!("Format 0 does not exist")));
        }
        if manifest.data_objects().next().is_none() {
            return Err(damaged(anyhow::anyhow!("It names no data object")));
        }
        if let Some(contradiction) = manifest.stream_contradiction() {
            return Err(damaged(anyhow::anyhow!(contradiction)));
        }
        Ok(manifest)
    }

    fn stream_contradiction(&self) -> Option<&'static str> {
        if self.streams.is_empty() {
            return None;
        }
        let sum = |value: fn(&StreamRecord) -> u64| {
            self.streams
                .iter()
                .try_fold(0u64, |sum, stream| sum.checked_add(value(stream)))
        };
        if self.streams.iter().any(|stream| stream.objects == 0) {
            Some("A stream has no object")
        } else if sum(|stream| stream.objects) != Some(self.data_objects().count() as u64) {
            Some("Its streams have other objects than it names")
        } else if sum(|stream| stream.plain_bytes) != Some(self.plain_bytes) {
            Some("Its streams have another length than it says")
        } else {
            None
        }
    }
}
