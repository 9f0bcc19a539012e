//! What stands at the target where a copy is to go.

use std::ops::ControlFlow;

use super::super::Run;
use super::CopyTarget;
use crate::base::cancel::Cancel;
use crate::base::failure::{Failure, Kind, Result};
use crate::catalog::layout::{KeyRole, id_of, role_of};
use crate::catalog::listing::{Found, contradiction, load_manifest, scan};
use crate::catalog::manifest::{Manifest, ObjectRecord};
use crate::store::{Key, Role};

/// What stands at the target.
pub(super) enum Standing {
    /// Nothing.
    Free,
    /// The very backup, committed.
    AlreadyThere,
    /// Objects without a manifest.
    Leftovers(Vec<Key>),
}

/// Looks for the id where the copy would go.
///
/// # Errors
/// [`Kind::Refused`] if another backup has the id, [`Kind::Damaged`] if the copy that is there lacks objects.
pub(super) fn look(target: &CopyTarget, data_key: &Key, manifest: &Manifest, cancel: &Cancel) -> Result<Standing> {
    let store = target.store.as_ref();
    let folder_bytes = data_key.as_str().len() - data_key.file_name().len();
    let beside = format!("{}{}.", &data_key.as_str()[..folder_bytes], id_of(data_key));
    let found = match scan(store, &beside, cancel) {
        Ok(found) => found,
        // A folder that the first copy will make; or whoever may only write, and is kept from overwriting all the same:
        // every object is created only if its key is free.
        Err(failure) if matches!(failure.kind(), Kind::NotFound | Kind::Denied) => {
            return match store.head(data_key) {
                Ok(None) => Ok(Standing::Free),
                Ok(Some(_)) => Err(failure),
                Err(other) if other.kind() == Kind::Denied => Ok(Standing::Free),
                Err(other) => Err(other),
            };
        }
        Err(failure) => return Err(failure),
    };
    let committed: Vec<&Found> = found
        .iter()
        .filter(|candidate| candidate.manifest_key.is_some())
        .collect();
    for candidate in &committed {
        compare(target, candidate, manifest)?;
    }
    if !committed.is_empty() {
        return Ok(Standing::AlreadyThere);
    }
    let mut leftovers = Vec::new();
    store.list(&beside, &mut |meta| {
        leftovers.push(meta.key);
        Ok(ControlFlow::Continue(()))
    })?;
    // A note that outlived its backup is in nobody's way.
    leftovers.retain(|key| !matches!(role_of(key), KeyRole::Manifest { .. } | KeyRole::Note { .. }));
    Ok(match leftovers.is_empty() {
        true => Standing::Free,
        false => Standing::Leftovers(leftovers),
    })
}

/// Compares with a committed backup that has the id.
fn compare(target: &CopyTarget, found: &Found, manifest: &Manifest) -> Result<()> {
    let Some(key) = &found.manifest_key else { return Ok(()) };
    let url = target.store.url();
    let other = load_manifest(target.store.as_ref(), key)
        .map_err(|failure| failure.context(format!("Could not compare with the copy at {url}")))?;
    if !is_same(manifest, &other) {
        return Err(Failure::new(
            Kind::Refused,
            format!("Another backup at {url} has the id `{}`: `{key}`", manifest.id),
        )
        .hint(
            "Nothing was overwritten; choose a target with another prefix, or remove that backup if it is of no use",
        ));
    }
    match contradiction(found, &other) {
        None => Ok(()),
        Some(trouble) => Err(Failure::new(
            Kind::Damaged,
            format!("The copy of `{}` at {url} is damaged", manifest.id),
        )
        .caused_by(anyhow::anyhow!(trouble))
        .hint(format!(
            "Remove `{key}` and the objects beside it there, and copy it again"
        ))),
    }
}

/// Whether two manifests are of the same run: they differ in nothing but where and how the objects are stored.
fn is_same(one: &Manifest, other: &Manifest) -> bool {
    let told = |manifest: &Manifest| {
        let mut told = Manifest {
            objects: Vec::new(),
            copied_from: None,
            // Each store has a history of its own to be compared with.
            shape: None,
            lock: None,
            ..manifest.clone()
        };
        told.streams.iter_mut().for_each(|stream| stream.objects = 0);
        told
    };
    let digests = |manifest: &Manifest| -> Vec<(Role, u64, String)> {
        let digest = |object: &ObjectRecord| (object.role, object.bytes, object.sha256.clone());
        manifest.objects.iter().map(digest).collect()
    };
    told(one) == told(other)
        && one.data_bytes() == other.data_bytes()
        // The stream may be cut into objects in another way, which no digest tells.
        && (one.objects.len() != other.objects.len() || digests(one) == digests(other))
}

/// Removes what an earlier copy on this machine left when it was killed. The lock is held, and `identity` is its name: so
/// nobody is at work on what carries it.
///
/// # Errors
/// [`Kind::Conflict`] if somebody else made the objects.
pub(super) fn remove_leftovers(target: &CopyTarget, keys: &[Key], identity: &str, run: &Run) -> Result<()> {
    let store = target.store.as_ref();
    for key in keys {
        let Some(meta) = store.head(key)? else { continue };
        if !meta.token.is_some_and(|token| token.starts_with(identity)) {
            return Err(Failure::new(
                Kind::Conflict,
                format!("`{key}` stands at {} and belongs to no backup", store.url()),
            )
            .hint("A run on another machine may be copying it now, or may have been killed while it did: if there is none, remove the object and run this again"));
        }
    }
    run.note(format!(
        "An earlier copy was cut off; its {} removed from {} first.",
        if keys.len() == 1 { "object is" } else { "objects are" },
        store.url()
    ));
    keys.iter().try_for_each(|key| store.delete(key))
}
