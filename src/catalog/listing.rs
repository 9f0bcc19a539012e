//! Finding backups in a store: one pass over the keys, manifests only when they are wanted.

use std::io::Read;
use std::ops::ControlFlow;

use jiff::Timestamp;

use super::layout::{KeyRole, MANIFEST_SUFFIX, id_of, name_and_time_of, place_of, role_of};
use super::manifest::{MANIFEST_BYTES_MAX, Manifest};
use super::notes::{FoundNote, KnownDamage, NoteKind, known_damage};
use crate::base::cancel::Cancel;
use crate::base::failure::{Failure, Kind, Result, from_io};
use crate::store::{Key, ObjectMeta, Store};

/// A backup, or somebody else's object, as far as the keys alone tell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// The id: the data object's file name without extensions.
    pub id: String,
    /// The series, by the name alone; the manifest knows better.
    pub name_hint: String,
    /// When it was begun, by the name; else when the store received it.
    pub time: Timestamp,
    /// The first data object's key, whether or not the object is there.
    pub data_key: Key,
    /// The data objects that are there, in order, with their lengths in bytes.
    pub data: Vec<(Key, u64)>,
    /// The storage class of the first data object, if it is not the standard one.
    pub storage_class: Option<String>,
    /// The manifest, if there is one: then the backup is committed.
    pub manifest_key: Option<Key>,
    /// The notes beside it, in the order of their keys; none are known of a backup that was found without a listing, for
    /// which [`super::notes::notes_beside`] looks.
    pub notes: Vec<FoundNote>,
}

impl Found {
    /// Whether a note of this kind stands beside it.
    #[must_use]
    pub fn has_note(&self, kind: NoteKind) -> bool {
        self.notes.iter().any(|note| note.kind == kind)
    }

    /// The damage that verifications found and that stands, by the notes beside it.
    #[must_use]
    pub fn known_damage(&self) -> Option<KnownDamage> {
        known_damage(&self.notes)
    }

    /// The stored length of the data objects that are there, in bytes.
    #[must_use]
    pub fn data_bytes(&self) -> u64 {
        self.data.iter().map(|(_, bytes)| bytes).sum()
    }
}

/// All objects that belong to one data object by their names, whether or not that one is there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Family {
    /// The first data object's key.
    pub data_key: Key,
    /// The first data object, if it is there.
    pub data: Option<ObjectMeta>,
    /// Its continuations and further streams, with their lengths in bytes.
    pub continuations: Vec<(Key, u64)>,
    /// Its indexes, of which there is one or none.
    pub indexes: Vec<Key>,
    /// Its manifest, and when the store received it.
    pub manifest: Option<(Key, Option<Timestamp>)>,
    /// The notes beside it, in the order of their keys.
    pub notes: Vec<FoundNote>,
    /// When the store received the youngest of all these.
    pub modified: Option<Timestamp>,
}

impl Family {
    fn new(data_key: Key) -> Self {
        Self {
            data_key,
            data: None,
            continuations: Vec::new(),
            indexes: Vec::new(),
            manifest: None,
            notes: Vec::new(),
            modified: None,
        }
    }

    fn take(&mut self, meta: ObjectMeta, role: KeyRole) {
        self.modified = self.modified.max(meta.modified);
        match role {
            KeyRole::Data => self.data = Some(meta),
            KeyRole::Continuation { .. } => self.continuations.push((meta.key, meta.bytes)),
            KeyRole::Index { .. } => self.indexes.push(meta.key),
            KeyRole::Manifest { .. } => self.manifest = Some((meta.key, meta.modified)),
            KeyRole::Note { kind, .. } => self.notes.push(FoundNote { key: meta.key, kind }),
        }
    }

    /// The objects in the order in which they go: what says that there is a backup first, then what only serves it, and
    /// the data last, of which the first object is the very last, so that what is left of it is found by it.
    #[must_use]
    pub fn keys_in_order_of_removal(&self) -> Vec<Key> {
        let manifest = self.manifest.iter().map(|(key, _)| key.clone());
        let notes = self.notes.iter().map(|note| note.key.clone());
        let indexes = self.indexes.iter().cloned();
        let continuations = self.continuations.iter().rev().map(|(key, _)| key.clone());
        let data = self.data.iter().map(|meta| meta.key.clone());
        manifest
            .chain(notes)
            .chain(indexes)
            .chain(continuations)
            .chain(data)
            .collect()
    }

    /// The backup, or somebody else's object; `None` if there is neither data nor a manifest.
    #[must_use]
    pub fn into_found(self) -> Option<Found> {
        (self.data.is_some() || self.manifest.is_some()).then(|| into_found(self))
    }
}

/// Visits the objects below `prefix` by families, in the order of their keys, in memory for one family.
///
/// # Errors
/// If the listing fails anywhere: an incomplete listing is never taken for a whole one. The visitor's own.
pub fn visit_families(
    store: &dyn Store,
    prefix: &str,
    cancel: &Cancel,
    visit: &mut dyn FnMut(Family) -> Result<()>,
) -> Result<()> {
    visit_members(store, prefix, cancel, &mut |data_key, members| {
        let mut family = Family::new(data_key);
        for (meta, role) in members {
            family.take(meta, role);
        }
        visit(family)
    })
}

/// An object, and what it is by its name.
pub type FamilyMember = (ObjectMeta, KeyRole);

/// As [`visit_families`], with all that the listing says of each object.
///
/// # Errors
/// As [`visit_families`].
pub fn visit_members(
    store: &dyn Store,
    prefix: &str,
    cancel: &Cancel,
    visit: &mut dyn FnMut(Key, Vec<FamilyMember>) -> Result<()>,
) -> Result<()> {
    // All keys of a family begin with its data object's key, so they stand together in the order of the keys, with at
    // most other families between them whose keys begin so, too.
    let mut open: Vec<(Key, Vec<FamilyMember>)> = Vec::new();
    store.list(prefix, &mut |meta| {
        cancel.check()?;
        // A "folder" that a web console made.
        if meta.key.as_str().ends_with('/') {
            return Ok(ControlFlow::Continue(()));
        }
        while let Some(at) = open
            .iter()
            .position(|(data_key, _)| !meta.key.as_str().starts_with(data_key.as_str()))
        {
            let (data_key, members) = open.remove(at);
            visit(data_key, members)?;
        }
        let role = role_of(&meta.key);
        let of = match &role {
            KeyRole::Data => &meta.key,
            KeyRole::Continuation { of }
            | KeyRole::Index { of }
            | KeyRole::Manifest { of }
            | KeyRole::Note { of, .. } => of,
        };
        let at = match open.iter().position(|(data_key, _)| data_key == of) {
            Some(at) => at,
            None => {
                open.push((of.clone(), Vec::new()));
                open.len() - 1
            }
        };
        open[at].1.push((meta, role));
        Ok(ControlFlow::Continue(()))
    })?;
    open.into_iter()
        .try_for_each(|(data_key, members)| visit(data_key, members))
}

/// Everything below `prefix`, newest first. An index, a continuation or a note alone is not a backup and is left out.
///
/// # Errors
/// If the listing fails anywhere: an incomplete listing is never taken for a whole one.
pub fn scan(store: &dyn Store, prefix: &str, cancel: &Cancel) -> Result<Vec<Found>> {
    let slim = scan_slim(store, prefix, cancel)?;
    Ok(slim.into_iter().map(Slim::into_found).collect())
}

/// As [`scan`], each in as little memory as its key takes: a hundred thousand are some 15 MB.
///
/// # Errors
/// As [`scan`].
pub fn scan_slim(store: &dyn Store, prefix: &str, cancel: &Cancel) -> Result<Vec<Slim>> {
    let mut slim: Vec<Slim> = Vec::new();
    visit_families(store, prefix, cancel, &mut |family| {
        slim.extend(family.into_found().map(Slim::of));
        Ok(())
    })?;
    slim.sort_unstable_by(|a, b| (b.time, &b.data_key).cmp(&(a.time, &a.data_key)));
    Ok(slim)
}

/// A [`Found`] without what its key tells anyway.
#[derive(Clone, Debug)]
pub struct Slim {
    time: Timestamp,
    data_key: Box<str>,
    /// The length of the first data object, if it is there.
    data_bytes: Option<u64>,
    is_committed: bool,
    rest: Option<Box<Rest>>,
}

/// What most backups have nothing of.
#[derive(Clone, Debug)]
struct Rest {
    continuations: Vec<(Key, u64)>,
    storage_class: Option<String>,
    notes: Vec<FoundNote>,
}

impl Slim {
    /// When it was begun, as of [`Found`].
    #[must_use]
    pub fn time(&self) -> Timestamp {
        self.time
    }

    /// The first data object's key.
    #[must_use]
    pub fn data_key(&self) -> &str {
        &self.data_key
    }

    /// Whether there is a manifest.
    #[must_use]
    pub fn is_committed(&self) -> bool {
        self.is_committed
    }

    fn of(mut found: Found) -> Self {
        let is_first = found.data.first().is_some_and(|(key, _)| *key == found.data_key);
        let data_bytes = is_first.then(|| found.data.remove(0).1);
        let is_plain = found.data.is_empty() && found.storage_class.is_none() && found.notes.is_empty();
        Self {
            time: found.time,
            data_key: found.data_key.as_str().into(),
            data_bytes,
            is_committed: found.manifest_key.is_some(),
            rest: (!is_plain).then(|| {
                Box::new(Rest {
                    continuations: found.data,
                    storage_class: found.storage_class,
                    notes: found.notes,
                })
            }),
        }
    }

    /// All of it again.
    #[must_use]
    pub fn into_found(self) -> Found {
        let data_key = Key::new(self.data_key);
        let (continuations, storage_class, notes) = match self.rest {
            Some(rest) => (rest.continuations, rest.storage_class, rest.notes),
            None => (Vec::new(), None, Vec::new()),
        };
        let first = self.data_bytes.map(|bytes| (data_key.clone(), bytes));
        Found {
            id: id_of(&data_key),
            name_hint: name_and_time_of(&data_key).0,
            time: self.time,
            data: first.into_iter().chain(continuations).collect(),
            storage_class,
            manifest_key: self.is_committed.then(|| data_key.with_suffix(MANIFEST_SUFFIX)),
            notes,
            data_key,
        }
    }
}

fn into_found(mut family: Family) -> Found {
    let (name_hint, named_time) = name_and_time_of(&family.data_key);
    let modified = family.data.as_ref().and_then(|meta| meta.modified);
    let manifest_modified = family.manifest.as_ref().and_then(|(_, modified)| *modified);
    family.continuations.sort_by_key(|(key, _)| place_of(key).1);
    let first = family.data.as_ref().map(|meta| (meta.key.clone(), meta.bytes));
    Found {
        id: id_of(&family.data_key),
        name_hint,
        time: named_time
            .or(modified)
            .or(manifest_modified)
            .unwrap_or(Timestamp::UNIX_EPOCH),
        data: first.into_iter().chain(family.continuations).collect(),
        storage_class: family.data.and_then(|meta| meta.storage_class),
        manifest_key: family.manifest.map(|(key, _)| key),
        notes: family.notes,
        data_key: family.data_key,
    }
}

/// Reads and checks a manifest.
///
/// The objects that it names are looked for beside it, so that a store that was copied elsewhere as a whole stays readable.
///
/// # Errors
/// [`Kind::NotFound`] if it is gone, [`Kind::Damaged`] or [`Kind::Unsupported`] as [`Manifest::from_json`].
pub fn load_manifest(store: &dyn Store, key: &Key) -> Result<Manifest> {
    let json = read_small(store, key, MANIFEST_BYTES_MAX).map_err(|failure| match failure.kind() {
        // That the store cannot read says nothing of the manifest's format.
        Kind::Unsupported => failure.with_kind(Kind::Failed),
        // Whoever finds it gone may pass over the backup, so it has to be.
        Kind::NotFound => match store.head(key) {
            Ok(Some(_)) => failure
                .with_kind(Kind::Failed)
                .hint("The store contradicts itself, as one that is being mended does; try again later"),
            Ok(None) => failure,
            Err(contradiction) => contradiction,
        },
        _ => failure,
    })?;
    let mut manifest = Manifest::from_json(key, &json)?;
    if let KeyRole::Manifest { of } = role_of(key)
        && manifest.id != id_of(&of)
    {
        return Err(Failure::new(
            Kind::Damaged,
            format!("`{key}` is the manifest of another backup: `{}`", manifest.id),
        )
        .hint("It was copied or moved by hand, or the store answered with another object than was asked for"));
    }
    let folder = match key.as_str().rsplit_once('/') {
        Some((folder, _)) => format!("{folder}/"),
        None => String::new(),
    };
    for object in &mut manifest.objects {
        object.key = Key::new(format!("{folder}{}", object.key.file_name()));
    }
    Ok(manifest)
}

/// Reads a whole small object, with a bound on how large it may be.
///
/// # Errors
/// [`Kind::Damaged`] if it is larger; the store's failures.
pub fn read_small(store: &dyn Store, key: &Key, bytes_max: u64) -> Result<Vec<u8>> {
    let mut content = Vec::new();
    store
        .get(key, None)?
        .take(bytes_max + 1)
        .read_to_end(&mut content)
        .map_err(|error| from_io(format!("read `{key}`"), error))?;
    if content.len() as u64 > bytes_max {
        return Err(Failure::new(
            Kind::Damaged,
            format!("`{key}` is larger than {bytes_max} bytes, which it cannot be"),
        ));
    }
    Ok(content)
}

/// Whether an object without a manifest is the leftover of a run of ours that was never committed.
///
/// # Errors
/// If the store cannot tell.
pub fn is_uncommitted(store: &dyn Store, found: &Found) -> Result<bool> {
    if found.manifest_key.is_some() {
        return Ok(false);
    }
    Ok(store.head(&found.data_key)?.is_some_and(|meta| meta.token.is_some()))
}

/// Compares what a manifest promises with what the listing showed; `None` if they agree.
#[must_use]
pub fn contradiction(found: &Found, manifest: &Manifest) -> Option<String> {
    for object in manifest.data_objects() {
        match found.data.iter().find(|(key, _)| *key == object.key) {
            None => return Some(format!("The data object `{}` is missing", object.key)),
            Some((_, bytes)) if *bytes != object.bytes => {
                return Some(format!(
                    "The data object `{}` has {bytes} bytes instead of {}",
                    object.key, object.bytes
                ));
            }
            Some(_) => {}
        }
    }
    None
}
