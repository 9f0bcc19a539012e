//! Notes: small JSON objects beside a backup's data that say something of it later, and are no part of its commit.
//!
//! Their keys alone tell what they are, so that the one pass over the keys finds them: `<data key>.pin.json` keeps the
//! backup from being pruned, `<data key>.accepted.json` takes a warning about its shape back,
//! `<data key>.drill-<YYYYMMDD>_<HHMMSS>.json` is the evidence of a drill, and
//! `<data key>.damaged-<depth>-<YYYYMMDD>_<HHMMSS>.json` and `….whole-…` are what verifications found. Each is created only
//! if its key is free, and never changed; to take one back is to delete it.

use jiff::Timestamp;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::layout::{check_key_length, time_of_stamp};
use super::listing::read_small;
use crate::base::failure::{Failure, Kind, Result};
use crate::base::units::MIB;
use crate::store::{Key, Store};

/// The newest format of notes. Readers refuse a newer one; that a note stands there counts all the same.
pub const NOTE_FORMAT: u32 = 1;

/// A note may not be larger than this: it is read whole, from a store that may lie.
pub const NOTE_BYTES_MAX: u64 = MIB;

const PIN_SUFFIX: &str = ".pin.json";
const ACCEPTED_SUFFIX: &str = ".accepted.json";
const DRILL_INFIX: &str = ".drill-";
const DAMAGED_INFIX: &str = ".damaged-";
const WHOLE_INFIX: &str = ".whole-";
const DATED_SUFFIX: &str = ".json";

/// What a note says, by its key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum NoteKind {
    /// The backup is kept, whatever the retention says.
    Pin,
    /// The backup's shape was looked at and found right.
    Accepted,
    /// The evidence of a drill that began at this time, UTC, in whole seconds.
    Drill(Timestamp),
    /// A verification so deep found damage at this time, UTC, in whole seconds.
    Damaged(Depth, Timestamp),
    /// A later one so deep found the backup whole.
    Whole(Depth, Timestamp),
}

/// How deep a verification went that left a note.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Depth {
    /// The manifest, and a look at each object.
    Quick,
    /// Every stored byte against its digest, without a key.
    Stored,
    /// Every stored byte and all plaintext.
    Data,
    /// The content too.
    Deep,
    /// It was restored, and compared or asked there.
    Restore,
}

impl Depth {
    const ALL: [Self; 5] = [Self::Quick, Self::Stored, Self::Data, Self::Deep, Self::Restore];

    /// The word in a note's key.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Quick => "quick",
            Self::Stored => "stored",
            Self::Data => "data",
            Self::Deep => "deep",
            Self::Restore => "restore",
        }
    }

    /// Whether what is found whole so deep answers damage that was found at `other`. A restore looks at other things than
    /// a verification does, so neither answers the other.
    #[must_use]
    pub fn covers(self, other: Self) -> bool {
        self >= other && (self == Self::Restore) == (other == Self::Restore)
    }
}

impl std::fmt::Display for Depth {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.word())
    }
}

impl NoteKind {
    /// The word in the note's field `kind`.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Pin => "pin",
            Self::Accepted => "accepted",
            Self::Drill(_) => "drill",
            Self::Damaged(..) => "damaged",
            Self::Whole(..) => "whole",
        }
    }

    fn suffix(self) -> String {
        match self {
            Self::Pin => PIN_SUFFIX.to_owned(),
            Self::Accepted => ACCEPTED_SUFFIX.to_owned(),
            Self::Drill(at) => format!("{DRILL_INFIX}{}{DATED_SUFFIX}", stamp(at)),
            Self::Damaged(depth, at) => format!("{DAMAGED_INFIX}{depth}-{}{DATED_SUFFIX}", stamp(at)),
            Self::Whole(depth, at) => format!("{WHOLE_INFIX}{depth}-{}{DATED_SUFFIX}", stamp(at)),
        }
    }
}

fn stamp(at: Timestamp) -> String {
    at.strftime("%Y%m%d_%H%M%S").to_string()
}

/// A note that a listing found; its content was not read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FoundNote {
    /// Its key.
    pub key: Key,
    /// What it says.
    pub kind: NoteKind,
}

/// The data key and the kind, if a key's name is that of a note.
#[must_use]
pub fn note_of(key: &Key) -> Option<(Key, NoteKind)> {
    let text = key.as_str();
    for (suffix, kind) in [(PIN_SUFFIX, NoteKind::Pin), (ACCEPTED_SUFFIX, NoteKind::Accepted)] {
        if let Some(of) = text.strip_suffix(suffix) {
            return is_name(of).then(|| (Key::new(of), kind));
        }
    }
    let text = text.strip_suffix(DATED_SUFFIX)?;
    if let Some((of, stamp)) = text.rsplit_once(DRILL_INFIX)
        && let Some(at) = time_of_stamp(stamp)
    {
        return is_name(of).then(|| (Key::new(of), NoteKind::Drill(at)));
    }
    let verdict = |infix: &str| {
        let (of, rest) = text.rsplit_once(infix)?;
        let (word, stamp) = rest.split_once('-')?;
        let depth = Depth::ALL.into_iter().find(|depth| depth.word() == word)?;
        is_name(of).then_some((Key::new(of), depth, time_of_stamp(stamp)?))
    };
    let damaged = verdict(DAMAGED_INFIX).map(|(of, depth, at)| (of, NoteKind::Damaged(depth, at)));
    damaged.or_else(|| verdict(WHOLE_INFIX).map(|(of, depth, at)| (of, NoteKind::Whole(depth, at))))
}

/// A file that is called `.pin.json` and no more is a note of nothing.
fn is_name(of: &str) -> bool {
    !of.is_empty() && !of.ends_with('/')
}

/// Damage that stands: a verification found it, and none that would have seen it has found the backup whole since.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KnownDamage {
    /// When the first of it was found.
    pub since: Timestamp,
    /// How deep the last verification was that found any.
    pub depth: Depth,
    /// The note of that one.
    pub key: Key,
}

impl KnownDamage {
    /// What is known, as a sentence without a stop.
    #[must_use]
    pub fn in_words(&self) -> String {
        let how = match self.depth {
            Depth::Restore => "a drill".to_owned(),
            depth => format!("a verification to `{depth}`"),
        };
        format!(
            "Damage stands since {}, last found by {how}; `backup-cli show` tells more",
            self.since
        )
    }
}

/// The damage that stands by these notes, whose keys alone tell; `None` if none does.
#[must_use]
pub fn known_damage(notes: &[FoundNote]) -> Option<KnownDamage> {
    let standing = || {
        standing_damage(notes).filter_map(|note| match note.kind {
            NoteKind::Damaged(depth, at) => Some((at, depth, &note.key)),
            _ => None,
        })
    };
    let (since, ..) = standing().min()?;
    let (_, depth, key) = standing().max()?;
    Some(KnownDamage {
        since,
        depth,
        key: key.clone(),
    })
}

/// The notes of damage that no later note has answered.
pub fn standing_damage(notes: &[FoundNote]) -> impl Iterator<Item = &FoundNote> {
    notes.iter().filter(|note| match note.kind {
        NoteKind::Damaged(found, at) => !notes.iter().any(|other| match other.kind {
            NoteKind::Whole(depth, later) => later > at && depth.covers(found),
            _ => false,
        }),
        _ => false,
    })
}

/// The key of a note beside the data at `data_key`.
///
/// # Errors
/// [`Kind::Usage`] if no store could hold it.
pub fn note_key(data_key: &Key, kind: NoteKind) -> Result<Key> {
    let key = data_key.with_suffix(&kind.suffix());
    check_key_length(&key)?;
    Ok(key)
}

/// What every note begins with.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NoteHead {
    /// The format's number, up to [`NOTE_FORMAT`].
    pub format: u32,
    /// [`NoteKind::word`].
    pub kind: String,
    /// When it was written, UTC.
    pub at: Timestamp,
    /// The host that wrote it.
    pub host: String,
    /// The version of this tool.
    pub tool_version: String,
}

/// A note: the head that all share, and what its kind adds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Note<B> {
    /// What every note begins with.
    #[serde(flatten)]
    pub head: NoteHead,
    /// The fields of its kind.
    #[serde(flatten)]
    pub body: B,
}

/// What a pin says.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PinBody {
    /// Who pinned it, where the system knows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<String>,
    /// Why, in the user's words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
}

impl<B: Serialize> Note<B> {
    /// A note of this version, written now.
    pub fn new(kind: NoteKind, at: Timestamp, host: &str, body: B) -> Self {
        Self {
            head: NoteHead {
                format: NOTE_FORMAT,
                kind: kind.word().to_owned(),
                at,
                host: host.to_owned(),
                tool_version: env!("CARGO_PKG_VERSION").to_owned(),
            },
            body,
        }
    }

    /// The note as it is stored.
    ///
    /// # Errors
    /// If it cannot be written as JSON, or is longer than [`NOTE_BYTES_MAX`], which no reader takes.
    pub fn to_json(&self) -> Result<Vec<u8>> {
        let mut json = serde_json::to_vec_pretty(self)
            .map_err(|error| Failure::new(Kind::Failed, "Could not write the note").caused_by(error))?;
        json.push(b'\n');
        match json.len() as u64 <= NOTE_BYTES_MAX {
            true => Ok(json),
            false => Err(Failure::new(
                Kind::Usage,
                format!(
                    "The note has {} bytes; no more than {NOTE_BYTES_MAX} can be read",
                    json.len()
                ),
            )
            .hint("Say it in fewer words")),
        }
    }
}

impl<B: DeserializeOwned> Note<B> {
    /// Reads a note that stands at `key`.
    ///
    /// # Errors
    /// [`Kind::Unsupported`] if a later version of this tool made it, [`Kind::Damaged`] if it is not a note.
    pub fn from_json(key: &Key, json: &[u8]) -> Result<Self> {
        #[derive(Deserialize)]
        struct FormatOnly {
            format: u32,
        }
        let damaged = |error: serde_json::Error| {
            Failure::new(Kind::Damaged, format!("Not a readable note: `{key}`")).caused_by(error)
        };
        let FormatOnly { format } = serde_json::from_slice(json).map_err(damaged)?;
        if format > NOTE_FORMAT {
            return Err(Failure::new(
                Kind::Unsupported,
                format!("The note `{key}` has format {format}; this version of backup-cli reads up to {NOTE_FORMAT}"),
            )
            .hint("Install a newer backup-cli"));
        }
        serde_json::from_slice(json).map_err(damaged)
    }
}

/// Reads and checks a note.
///
/// # Errors
/// [`Kind::NotFound`] if it is gone; those of [`Note::from_json`].
pub fn load_note<B: DeserializeOwned>(store: &dyn Store, key: &Key) -> Result<Note<B>> {
    Note::from_json(key, &read_small(store, key, NOTE_BYTES_MAX)?)
}

/// The notes that stand beside the data at `data_key`, in the order of their keys: for whoever found a backup without a
/// listing.
///
/// # Errors
/// The store's failures.
pub fn notes_beside(store: &dyn Store, data_key: &Key) -> Result<Vec<FoundNote>> {
    let mut notes = Vec::new();
    // Not below `KEY.`: a server that keeps versions in a folder of that name answers with the key itself.
    store.list(data_key.as_str(), &mut |meta| {
        if let Some((of, kind)) = note_of(&meta.key)
            && of == *data_key
        {
            notes.push(FoundNote { key: meta.key, kind });
        }
        Ok(std::ops::ControlFlow::Continue(()))
    })?;
    Ok(notes)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::base::cancel::Cancel;
    use crate::catalog::layout::{KeyRole, role_of};
    use crate::catalog::listing::scan;
    use crate::store::memory::MemoryStore;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    #[test]
    fn a_notes_key_tells_its_kind_and_its_backup() {
        let data = Key::new("p/20260131/app_backup_20260131_020000.sql.gz");
        for kind in [
            NoteKind::Pin,
            NoteKind::Accepted,
            NoteKind::Drill(at("2026-02-01T03:04:05Z")),
            NoteKind::Damaged(Depth::Data, at("2026-02-01T03:04:05Z")),
            NoteKind::Whole(Depth::Restore, at("2026-02-01T03:04:05Z")),
        ] {
            let key = note_key(&data, kind).unwrap();
            assert_eq!(note_of(&key), Some((data.clone(), kind)), "{key}");
        }
        assert_eq!(
            note_key(&data, NoteKind::Drill(at("2026-02-01T03:04:05.9Z")))
                .unwrap()
                .as_str(),
            "p/20260131/app_backup_20260131_020000.sql.gz.drill-20260201_030405.json"
        );
    }

    #[test]
    fn other_names_are_no_notes() {
        for name in [
            "p/x.sql.gz",
            "p/x.sql.gz.manifest.json",
            "p/x.json",
            "p/.pin.json",
            ".accepted.json",
            "p/x.drill-20260230_000000.json",
            "p/x.drill-2026020_1030405.json",
            "p/x.drill-20260201_030405",
            "p/x.damaged-20260201_030405.json",
            "p/x.damaged-shallow-20260201_030405.json",
            "p/.whole-data-20260201_030405.json",
            "p/x.pin.json.gz",
        ] {
            assert_eq!(note_of(&Key::new(name)), None, "{name}");
        }
    }

    #[test]
    fn damage_stands_until_a_look_as_deep_finds_the_backup_whole() {
        let note = |kind: NoteKind| FoundNote {
            key: note_key(&Key::new("p/x.sql.gz"), kind).unwrap(),
            kind,
        };
        let (first, second, third) = (
            at("2026-02-01T00:00:00Z"),
            at("2026-02-02T00:00:00Z"),
            at("2026-02-03T00:00:00Z"),
        );
        let known = |kinds: &[NoteKind]| {
            let notes: Vec<FoundNote> = kinds.iter().copied().map(note).collect();
            known_damage(&notes).map(|known| (known.since, known.depth))
        };
        use Depth::{Data, Deep, Quick, Restore, Stored};
        use NoteKind::{Damaged, Whole};
        assert_eq!(known(&[NoteKind::Pin, Whole(Deep, first)]), None);
        assert_eq!(known(&[Damaged(Quick, first)]), Some((first, Quick)));
        for (found, looked, stands) in [
            (Data, Quick, true),
            (Data, Stored, true),
            (Data, Data, false),
            (Data, Deep, false),
            (Quick, Stored, false),
            (Data, Restore, true),
            (Restore, Deep, true),
            (Restore, Restore, false),
        ] {
            let kinds = [Damaged(found, first), Whole(looked, second)];
            assert_eq!(known(&kinds).is_some(), stands, "{kinds:?}");
        }
        // What was whole before says nothing of later damage, and an answered note says nothing of another.
        assert_eq!(
            known(&[Whole(Deep, first), Damaged(Quick, first)]),
            Some((first, Quick))
        );
        assert_eq!(
            known(&[Damaged(Data, first), Damaged(Restore, second), Whole(Deep, third)]),
            Some((second, Restore))
        );
        assert_eq!(
            known(&[Damaged(Deep, first), Damaged(Data, third), Whole(Data, second)]),
            Some((first, Data))
        );
    }

    #[test]
    fn a_note_whose_key_no_store_could_hold_is_refused() {
        let data = Key::new(format!("p/{}", "n".repeat(240)));
        assert!(note_key(&data, NoteKind::Pin).is_ok());
        assert_eq!(
            note_key(&data, NoteKind::Drill(at("2026-02-01T03:04:05Z")))
                .unwrap_err()
                .kind(),
            Kind::Usage
        );
    }

    #[test]
    fn a_note_survives_its_json_and_a_newer_one_is_refused() {
        let key = Key::new("p/x.sql.gz.pin.json");
        let body = PinBody {
            by: Some("ann".to_owned()),
            why: Some("before the migration".to_owned()),
        };
        let note = Note::new(NoteKind::Pin, at("2026-02-01T03:04:05Z"), "h", body);
        let json = note.to_json().unwrap();
        assert_eq!(Note::<PinBody>::from_json(&key, &json).unwrap(), note);
        let newer = String::from_utf8(json)
            .unwrap()
            .replace("\"format\": 1", "\"format\": 2");
        assert_eq!(
            Note::<PinBody>::from_json(&key, newer.as_bytes()).unwrap_err().kind(),
            Kind::Unsupported
        );
        assert_eq!(
            Note::<PinBody>::from_json(&key, b"{}").unwrap_err().kind(),
            Kind::Damaged
        );
        let long = PinBody {
            why: Some("x".repeat(NOTE_BYTES_MAX as usize)),
            by: None,
        };
        let long = Note::new(NoteKind::Pin, at("2026-02-01T03:04:05Z"), "h", long);
        assert_eq!(long.to_json().unwrap_err().kind(), Kind::Usage);
    }

    #[test]
    fn one_pass_over_the_keys_finds_the_notes_and_takes_none_for_a_backup() {
        let store = MemoryStore::new();
        let data = "20260131/app_backup_20260131_020000.sql.gz";
        for suffix in [
            "",
            ".accepted.json",
            ".drill-20260201_030405.json",
            ".manifest.json",
            ".pin.json",
        ] {
            store.set_body(&format!("{data}{suffix}"), "{}");
        }
        // Its backup is gone.
        store.set_body("20260130/app_backup_20260130_020000.sql.gz.pin.json", "{}");
        let found = scan(&store, "", &Cancel::new()).unwrap();
        assert_eq!(found.len(), 1, "{found:?}");
        let kinds: Vec<NoteKind> = found[0].notes.iter().map(|note| note.kind).collect();
        let drill = NoteKind::Drill(at("2026-02-01T03:04:05Z"));
        assert_eq!(kinds, [NoteKind::Accepted, drill, NoteKind::Pin]);
        assert!(found[0].has_note(NoteKind::Pin) && found[0].manifest_key.is_some());
        assert_eq!(found[0].data.len(), 1);
        assert_eq!(notes_beside(&store, &Key::new(data)).unwrap(), found[0].notes);
        let pin = Key::new(format!("{data}.pin.json"));
        assert_eq!(
            role_of(&pin),
            KeyRole::Note {
                of: Key::new(data),
                kind: NoteKind::Pin
            }
        );
    }
}
