//! Where a backup's objects lie: the key template, ids, and the companions of a data object.
//!
//! With the default template a backup of the series `app` lies at
//! `<prefix>/20260131/app_backup_20260131_020000.sql.gz`, its index and manifest beside it.

use std::collections::BTreeMap;

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use sha2::{Digest, Sha256};

use super::notes::{NoteKind, note_of};
use crate::base::failure::{Failure, Kind, Result};
use crate::store::Key;

/// The template that is used when the user gives none.
pub const DEFAULT_TEMPLATE: &str = "{date}/{name}_backup_{date}_{time}";

/// What follows a data object's key to name its index.
pub const INDEX_SUFFIX: &str = ".index.gz";
/// What follows a data object's key to name its index, if that is encrypted.
pub const ENCRYPTED_INDEX_SUFFIX: &str = ".index.gz.age";
/// The last extension of what is encrypted, with its dot.
pub const ENCRYPTED_SUFFIX: &str = ".age";
/// What follows a data object's key, with a number of four or more digits, to name the first object of its second stream
/// and so on; a stream's own continuations follow that.
pub const STREAM_SUFFIX: &str = ".stream-";
/// What follows a data object's key to name its manifest.
pub const MANIFEST_SUFFIX: &str = ".manifest.json";
/// What follows a data object's key, with a number of four or more digits, to name its continuation.
pub const PART_SUFFIX: &str = ".part-";

/// A series name may not be longer than this, so that keys stay below S3's 1,024 bytes.
const NAME_BYTES_MAX: usize = 128;

/// What S3 allows for a key.
const KEY_BYTES_MAX: usize = 1024;

/// What file systems allow for one name; a bucket's content can then be copied into a folder and back.
const SEGMENT_BYTES_MAX: usize = 255;

/// Checks a series name: letters, digits, `.`, `_` and `-`, not beginning with a dot or a dash.
///
/// # Errors
/// [`Kind::Usage`].
pub fn check_name(name: &str) -> Result<()> {
    if name.is_empty()
        || name.len() > NAME_BYTES_MAX
        || !name.chars().all(is_name_character)
        || name.starts_with(['.', '-'])
    {
        return Err(Failure::new(Kind::Usage, format!("Not a name for a backup: `{name}`")).hint(
            "Use up to 128 letters, digits, `.`, `_` and `-`, beginning with a letter or a digit, for example --name app",
        ));
    }
    Ok(())
}

fn is_name_character(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-')
}

/// Checks the extension of a data object: as a name, in one or several parts such as `custom.ext`.
fn check_extension(extension: &str) -> Result<()> {
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    let is_one = !extension.starts_with('.') && !extension.ends_with('.') && extension.chars().all(allowed);
    // The last time in a name is the backup's own, and what stands before it the series.
    (is_one && stamp_start(extension).is_none()).then_some(()).ok_or_else(|| {
        Failure::new(Kind::Usage, format!("Not an extension: `{extension}`"))
            .hint("Use letters, digits, `.`, `_` and `-`, but nothing that looks like a time, for example --extension sql")
    })
}

/// Checks that a store can hold a data object's key and those of its companions.
fn check_length(key: &Key) -> Result<()> {
    check_key_length(&key.with_suffix(MANIFEST_SUFFIX))
}

pub(super) fn check_key_length(longest: &Key) -> Result<()> {
    let segment_bytes = longest.as_str().split('/').map(str::len).max().unwrap_or(0);
    if longest.as_str().len() <= KEY_BYTES_MAX && segment_bytes <= SEGMENT_BYTES_MAX {
        return Ok(());
    }
    Err(Failure::new(Kind::Usage, format!("A key of the backup would be too long: `{longest}`")).hint(format!(
        "A key has at most {KEY_BYTES_MAX} bytes, and {SEGMENT_BYTES_MAX} between two slashes: take a shorter name, prefix or key template"
    )))
}

/// Makes a series name out of any text: what is not allowed becomes `_`.
#[must_use]
pub fn name_from(text: &str) -> String {
    let mut name: String = text
        .chars()
        .map(|c| {
            if c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-') {
                c
            } else {
                '_'
            }
        })
        .take(NAME_BYTES_MAX)
        .collect();
    while name.starts_with(['.', '-', '_']) {
        name.remove(0);
    }
    if name.is_empty() { "backup".to_owned() } else { name }
}

/// Hexadecimal digits that tell names apart which become the same as the name of a series.
const TELLING_DIGITS: usize = 8;

/// [`name_from`], followed by a part of the text's digest: for a text that its name does not tell from others, so that two of
/// them do not share a series.
#[must_use]
pub fn digested_name_from(text: &str) -> String {
    let digest = hex::encode(Sha256::digest(text.as_bytes()));
    let mut name = name_from(text);
    name.truncate(NAME_BYTES_MAX - 1 - TELLING_DIGITS);
    format!("{name}-{}", &digest[..TELLING_DIGITS])
}

/// The series of what is called `text` and is not told apart by it alone, such as a file: a digest follows where letters
/// were lost.
#[must_use]
pub fn name_of_file(text: &str) -> String {
    match text.is_ascii() {
        true => name_from(text),
        false => digested_name_from(text),
    }
}

/// The series of a database: a digest follows a name that had to be changed.
#[must_use]
pub fn name_of_database(database: &str) -> String {
    let plain = name_from(database);
    match plain == database {
        true => plain,
        false => digested_name_from(database),
    }
}

/// How keys are made: a template with `{name}`, `{host}`, `{date}`, `{time}` and the user's own variables.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layout {
    prefix: String,
    template: String,
    variables: BTreeMap<String, String>,
}

impl Layout {
    /// A layout below `prefix` (no slash at its end; may be empty).
    ///
    /// # Errors
    /// [`Kind::Config`] if the template misses `{name}`, `{date}` or `{time}`, or names an unknown variable.
    pub fn new(prefix: &str, template: &str, variables: BTreeMap<String, String>) -> Result<Self> {
        let wrong = |why: String| {
            Failure::new(Kind::Config, format!("Not a usable key template: `{template}`"))
                .caused_by(anyhow::anyhow!(why))
                .hint(format!("The built-in template is `{DEFAULT_TEMPLATE}`"))
        };
        let layout = Self {
            prefix: prefix.trim_matches('/').to_owned(),
            template: template.trim_matches('/').to_owned(),
            variables,
        };
        for needed in ["{name}", "{date}", "{time}"] {
            if !layout.template.contains(needed) {
                return Err(wrong(format!(
                    "`{needed}` is missing, so that two backups could get one key"
                )));
            }
        }
        let base = layout.template.rsplit('/').next().unwrap_or_default();
        if !base.contains("{date}") || !base.contains("{time}") {
            return Err(wrong(
                "The last segment needs `{date}` and `{time}`: it is the backup's id".to_owned(),
            ));
        }
        let probe = layout
            .expand("probe", "host", DateTime::constant(2026, 1, 31, 2, 0, 0, 0))
            .map_err(|failure| wrong(failure.message().to_owned()))?;
        if probe.split('/').any(|segment| matches!(segment, "" | "." | "..")) {
            return Err(wrong("A segment is empty, `.` or `..`".to_owned()));
        }
        Ok(layout)
    }

    /// The default layout below `prefix`.
    ///
    /// # Errors
    /// Never for the built-in template; the signature is that of [`Layout::new`].
    pub fn with_prefix(prefix: &str) -> Result<Self> {
        Self::new(prefix, DEFAULT_TEMPLATE, BTreeMap::new())
    }

    fn expand(&self, name: &str, host: &str, at: DateTime) -> Result<String> {
        let mut out = String::new();
        let mut rest = self.template.as_str();
        while let Some(open) = rest.find('{') {
            out.push_str(&rest[..open]);
            let Some(close) = rest[open..].find('}') else {
                return Err(Failure::new(Kind::Config, "A `{` has no `}`"));
            };
            let variable = &rest[open + 1..open + close];
            match variable {
                "name" => out.push_str(name),
                "host" => out.push_str(&name_from(host)),
                "date" => out.push_str(&at.strftime("%Y%m%d").to_string()),
                "time" => out.push_str(&at.strftime("%H%M%S").to_string()),
                other => match self.variables.get(other) {
                    Some(value) => out.push_str(&name_from(value)),
                    None => {
                        return Err(Failure::new(Kind::Config, format!("Nothing is known of `{{{other}}}`")));
                    }
                },
            }
            rest = &rest[open + close + 1..];
        }
        out.push_str(rest);
        Ok(out)
    }

    /// The key of a data object, for example `backups/20260131/app_backup_20260131_020000.tar.gz`.
    ///
    /// # Errors
    /// [`Kind::Usage`] if an extension is not one, or if no store could hold the key or its companions' keys: better before
    /// the first byte than when the manifest is written.
    pub fn data_key(
        &self,
        name: &str,
        host: &str,
        started: Timestamp,
        extension: &str,
        codec_extension: &str,
    ) -> Result<Key> {
        let stem = self.expand(name, host, TimeZone::UTC.to_datetime(started))?;
        let mut key = String::new();
        if !self.prefix.is_empty() {
            key.push_str(&self.prefix);
            key.push('/');
        }
        key.push_str(&stem);
        for extension in [extension, codec_extension] {
            if !extension.is_empty() {
                check_extension(extension)?;
                key.push('.');
                key.push_str(extension);
            }
        }
        let key = Key::new(key);
        if role_of(&key) != KeyRole::Data {
            return Err(Failure::new(
                Kind::Usage,
                format!("The extension `{extension}` would make the data look like an index, a manifest or a note"),
            )
            .hint("Choose another one, for example --extension bin"));
        }
        check_length(&key)?;
        Ok(key)
    }

    /// The key of a data object that keeps its file name, as a copy from another store does: the folder is this layout's.
    ///
    /// # Errors
    /// [`Kind::Config`] if a listing of the series would not find it there; [`Kind::Usage`] if no store could hold the key.
    pub fn key_of_copy(&self, name: &str, host: &str, started: Timestamp, file_name: &str) -> Result<Key> {
        let stem = self.expand(name, host, TimeZone::UTC.to_datetime(started))?;
        let folder = stem.rsplit_once('/').map_or("", |(folder, _)| folder);
        let segments = [self.prefix.as_str(), folder, file_name];
        let key = Key::new(
            segments
                .into_iter()
                .filter(|segment| !segment.is_empty())
                .collect::<Vec<_>>()
                .join("/"),
        );
        if !key.as_str().starts_with(&self.series_prefix(name)) {
            return Err(Failure::new(
                Kind::Config,
                format!(
                    "A copy keeps its name, and with the key template `{}` it would not be found: `{key}`",
                    self.template
                ),
            )
            .hint("Give both stores key templates with the same last segment"));
        }
        check_length(&key)?;
        Ok(key)
    }

    /// What every key of the series `name` begins with: everything before the first variable that changes from run to run.
    #[must_use]
    pub fn series_prefix(&self, name: &str) -> String {
        let stable = ["{date}", "{time}", "{host}"]
            .iter()
            .filter_map(|variable| self.template.find(variable))
            .min()
            .unwrap_or(0);
        let head = Self {
            template: self.template[..stable].to_owned(),
            ..self.clone()
        };
        let folders = head
            .expand(name, "", DateTime::constant(2026, 1, 1, 0, 0, 0, 0))
            .unwrap_or_default();
        self.below_prefix(&folders)
    }

    fn below_prefix(&self, key: &str) -> String {
        match self.prefix.is_empty() {
            true => key.to_owned(),
            false => format!("{}/{key}", self.prefix),
        }
    }

    /// What follows in the template after what every key of a series begins with.
    fn changing_part(&self) -> &str {
        let first = ["{date}", "{time}", "{host}"]
            .iter()
            .filter_map(|variable| self.template.find(variable))
            .min();
        &self.template[first.unwrap_or(0)..]
    }

    /// Whether the "folders" right below [`Layout::series_prefix`] are called by the days on which backups were begun.
    #[must_use]
    pub fn has_folders_of_days(&self) -> bool {
        let stable = &self.template[..self.template.len() - self.changing_part().len()];
        self.changing_part().starts_with("{date}/") && (stable.is_empty() || stable.ends_with('/'))
    }

    /// Whether the day on which a backup was begun follows [`Layout::series_prefix`] in its key.
    #[must_use]
    pub fn has_days_in_names(&self) -> bool {
        self.changing_part().starts_with("{date}")
    }

    /// What the keys of the series `name` begin with that were begun on `day` (`YYYYMMDD`), if the template has the date
    /// first among what changes.
    #[must_use]
    pub fn day_prefix(&self, name: &str, day: &str) -> String {
        let known = ["{time}", "{host}"]
            .iter()
            .filter_map(|variable| self.template.find(variable))
            .min()
            .unwrap_or(self.template.len());
        let head = Self {
            template: self.template[..known].replace("{date}", day),
            ..self.clone()
        };
        let key = head
            .expand(name, "", DateTime::constant(2026, 1, 1, 0, 0, 0, 0))
            .unwrap_or_default();
        self.below_prefix(&key)
    }
}

/// What a key is, by its name alone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeyRole {
    /// A data object, or somebody else's object.
    Data,
    /// A continuation of the data object `of`.
    Continuation {
        /// The first data object's key.
        of: Key,
    },
    /// The index of the data object `of`.
    Index {
        /// The data object's key.
        of: Key,
    },
    /// The manifest of the data object `of`.
    Manifest {
        /// The data object's key.
        of: Key,
    },
    /// A note beside the data object `of`.
    Note {
        /// The data object's key.
        of: Key,
        /// What it says.
        kind: NoteKind,
    },
}

/// Says what a key is, by its name alone.
#[must_use]
pub fn role_of(key: &Key) -> KeyRole {
    let text = key.as_str();
    if let Some(of) = text.strip_suffix(MANIFEST_SUFFIX) {
        return KeyRole::Manifest { of: Key::new(of) };
    }
    for suffix in [INDEX_SUFFIX, ENCRYPTED_INDEX_SUFFIX] {
        if let Some(of) = text.strip_suffix(suffix) {
            return KeyRole::Index { of: Key::new(of) };
        }
    }
    if let Some((of, kind)) = note_of(key) {
        return KeyRole::Note { of, kind };
    }
    match place_of(key) {
        (of, _) if of != *key => KeyRole::Continuation { of },
        _ => KeyRole::Data,
    }
}

/// Which of a backup's data objects one is, by its name: `cat` joins the parts of a stream in this order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ObjectPlace {
    /// The stream, from 1.
    pub stream: u64,
    /// The part of the stream, from 1.
    pub part: u64,
}

impl Default for ObjectPlace {
    fn default() -> Self {
        Self { stream: 1, part: 1 }
    }
}

/// The key of the backup's first data object, and which of its objects this one is.
#[must_use]
pub fn place_of(key: &Key) -> (Key, ObjectPlace) {
    let (of, part) = numbered(key.as_str(), PART_SUFFIX);
    let (of, stream) = numbered(of, STREAM_SUFFIX);
    (Key::new(of), ObjectPlace { stream, part })
}

/// The text before a suffix with a number, and the number; 1 if there is no such suffix.
fn numbered<'a>(text: &'a str, suffix: &str) -> (&'a str, u64) {
    match text.rsplit_once(suffix) {
        Some((of, number)) if number.len() >= 4 && number.bytes().all(|b| b.is_ascii_digit()) => {
            (of, number.parse().unwrap_or(u64::MAX))
        }
        _ => (text, 1),
    }
}

/// The key of the first object of a backup's stream, whose number counts from 1.
///
/// # Errors
/// [`Kind::Usage`] if no store could hold the key or those of the stream's continuations.
pub fn stream_key(data_key: &Key, number: u64) -> Result<Key> {
    if number <= 1 {
        return Ok(data_key.clone());
    }
    let key = data_key.with_suffix(&format!("{STREAM_SUFFIX}{number:04}"));
    check_key_length(&key.with_suffix(&format!("{PART_SUFFIX}0002")))?;
    Ok(key)
}

/// The key of the index of the backup whose first data object is `data_key`.
#[must_use]
pub fn index_key_of(data_key: &Key, is_encrypted: bool) -> Key {
    data_key.with_suffix(match is_encrypted {
        true => ENCRYPTED_INDEX_SUFFIX,
        false => INDEX_SUFFIX,
    })
}

/// The extensions that may stand at the end of a data object's name, and are not part of the id.
const EXTENSIONS: [&str; 15] = [
    "age", "gz", "zst", "tar", "sql", "dump", "sqlite", "sqlite3", "db", "bin", "tgz", "json", "archive", "rdb", "out",
];

/// The id of the backup whose data lies at `key`: the file name without its extensions.
#[must_use]
pub fn id_of(key: &Key) -> String {
    let mut id = key.file_name();
    // With our own pattern everything after the seconds is an extension, whatever the user called it.
    if let Some(end) = stamp_end(id) {
        return id[..end].to_owned();
    }
    while let Some((stem, extension)) = id.rsplit_once('.') {
        if stem.is_empty() || !EXTENSIONS.contains(&extension.to_ascii_lowercase().as_str()) {
            break;
        }
        id = stem;
    }
    id.to_owned()
}

/// Where the last `YYYYMMDD_HHMMSS` of a name ends, if a dot or nothing follows it.
fn stamp_end(name: &str) -> Option<usize> {
    stamp_start(name).map(|start| start + STAMP_BYTES)
}

const STAMP_BYTES: usize = "YYYYMMDD_HHMMSS".len();

fn stamp_start(name: &str) -> Option<usize> {
    let bytes = name.as_bytes();
    (0..=bytes.len().checked_sub(STAMP_BYTES)?).rev().find(|start| {
        let stamp = &bytes[*start..start + STAMP_BYTES];
        stamp.iter().enumerate().all(|(at, b)| {
            if at == 8 {
                matches!(b, b'_' | b'-')
            } else {
                b.is_ascii_digit()
            }
        }) && (*start == 0 || !bytes[start - 1].is_ascii_digit())
            && bytes.get(start + STAMP_BYTES).is_none_or(|b| *b == b'.')
    })
}

/// The series and the time that an object's name tells, if it follows the pattern `<name>_backup_<YYYYMMDD>_<HHMMSS>`
/// or at least ends in such a time.
#[must_use]
pub fn name_and_time_of(key: &Key) -> (String, Option<Timestamp>) {
    let id = id_of(key);
    let Some(start) = stamp_start(&id) else {
        return (id, None);
    };
    let time = time_of_stamp(&id[start..start + STAMP_BYTES]);
    let head = id[..start].trim_end_matches(['_', '-', '.']);
    let name = head
        .strip_suffix("_backup")
        .or_else(|| head.strip_suffix("-backup"))
        .unwrap_or(head);
    let name = if name.is_empty() { "backup" } else { name };
    (name.to_owned(), time)
}

/// The time of a `YYYYMMDD_HHMMSS`, UTC; `None` if there is no such time.
#[must_use]
pub fn time_of_stamp(stamp: &str) -> Option<Timestamp> {
    if stamp.len() != STAMP_BYTES || stamp_start(stamp) != Some(0) {
        return None;
    }
    let number = |from: usize, to: usize| stamp[from..to].parse::<i16>().unwrap_or(-1);
    let small = |from: usize, to: usize| i8::try_from(number(from, to)).unwrap_or(-1);
    DateTime::new(
        number(0, 4),
        small(4, 6),
        small(6, 8),
        small(9, 11),
        small(11, 13),
        small(13, 15),
        0,
    )
    .ok()
    .and_then(|at| TimeZone::UTC.to_timestamp(at).ok())
}

mod matching;

#[cfg(test)]
mod tests;
