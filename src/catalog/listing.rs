//! Finding backups in a store: one pass over the keys, manifests only when they are wanted.

use std::collections::BTreeMap;
use std::io::Read;
use std::ops::ControlFlow;

use jiff::Timestamp;

use super::layout::{KeyRole, id_of, name_and_time_of, place_of, role_of};
use super::manifest::{MANIFEST_BYTES_MAX, Manifest};
use super::notes::{FoundNote, NoteKind};
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

    /// The stored length of the data objects that are there, in bytes.
    #[must_use]
    pub fn data_bytes(&self) -> u64 {
        self.data.iter().map(|(_, bytes)| bytes).sum()
    }
}

#[derive(Default)]
struct Group {
    data: Option<ObjectMeta>,
    continuations: Vec<(Key, u64)>,
    manifest: Option<(Key, Option<Timestamp>)>,
    notes: Vec<FoundNote>,
}

/// Everything below `prefix`, newest first. An index, a continuation or a note alone is not a backup and is left out.
///
/// # Errors
/// If the listing fails anywhere: an incomplete listing is never taken for a whole one.
pub fn scan(store: &dyn Store, prefix: &str, cancel: &Cancel) -> Result<Vec<Found>> {
    let mut groups: BTreeMap<Key, Group> = BTreeMap::new();
    store.list(prefix, &mut |meta| {
        cancel.check()?;
        match role_of(&meta.key) {
            // A "folder" that a web console made.
            KeyRole::Data if meta.key.as_str().ends_with('/') => {}
            KeyRole::Data => {
                let key = meta.key.clone();
                groups.entry(key).or_default().data = Some(meta);
            }
            KeyRole::Continuation { of } => groups.entry(of).or_default().continuations.push((meta.key, meta.bytes)),
            KeyRole::Manifest { of } => groups.entry(of).or_default().manifest = Some((meta.key, meta.modified)),
            KeyRole::Note { of, kind } => groups
                .entry(of)
                .or_default()
                .notes
                .push(FoundNote { key: meta.key, kind }),
            KeyRole::Index { .. } => {}
        }
        Ok(ControlFlow::Continue(()))
    })?;
    let mut found: Vec<Found> = groups
        .into_iter()
        .filter(|(_, group)| group.data.is_some() || group.manifest.is_some())
        .map(|(data_key, group)| into_found(data_key, group))
        .collect();
    found.sort_by(|a, b| (b.time, &b.data_key).cmp(&(a.time, &a.data_key)));
    Ok(found)
}

fn into_found(data_key: Key, mut group: Group) -> Found {
    let (name_hint, named_time) = name_and_time_of(&data_key);
    let modified = group.data.as_ref().and_then(|meta| meta.modified);
    let manifest_modified = group.manifest.as_ref().and_then(|(_, modified)| *modified);
    group.continuations.sort_by_key(|(key, _)| place_of(key).1);
    let first = group.data.as_ref().map(|meta| (meta.key.clone(), meta.bytes));
    Found {
        id: id_of(&data_key),
        name_hint,
        time: named_time
            .or(modified)
            .or(manifest_modified)
            .unwrap_or(Timestamp::UNIX_EPOCH),
        data_key,
        data: first.into_iter().chain(group.continuations).collect(),
        storage_class: group.data.and_then(|meta| meta.storage_class),
        manifest_key: group.manifest.map(|(key, _)| key),
        notes: group.notes,
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
