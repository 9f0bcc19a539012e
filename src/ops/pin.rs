//! Pinning: a note by which a backup is kept, whatever the retention says.

use super::Run;
use super::notes::put_note;
use crate::base::failure::{Failure, Kind, Result};
use crate::catalog::notes::{Note, NoteKind, PinBody, load_note, note_key};
use crate::catalog::selection::Chosen;
use crate::store::{Key, Store};

/// Pins a backup; `false` if it was pinned already.
///
/// # Errors
/// [`Kind::Usage`] if it is an object without a manifest, which is never pruned anyway; the store's failures.
pub fn pin(store: &dyn Store, chosen: &Chosen, host: &str, body: PinBody, run: &Run) -> Result<bool> {
    if chosen.manifest.is_none() {
        return Err(Failure::new(
            Kind::Usage,
            format!("`{}` has no manifest: it is no backup of this tool", chosen.found.id),
        )
        .hint("`prune` never removes such objects, so there is nothing to pin"));
    }
    let note = Note::new(NoteKind::Pin, run.clock.now(), host, body);
    match put_note(store, &chosen.found.data_key, chosen.name(), NoteKind::Pin, &note) {
        Ok(_) => Ok(true),
        Err(failure) if failure.kind() == Kind::Conflict => Ok(false),
        Err(failure) => Err(failure),
    }
}

/// Takes a pin back; `false` if there was none.
///
/// # Errors
/// The store's failures; [`Kind::Failed`] if it says that the pin is gone and still has it.
pub fn unpin(store: &dyn Store, data_key: &Key) -> Result<bool> {
    let key = note_key(data_key, NoteKind::Pin)?;
    let is_pinned = store.head(&key)?.is_some();
    store.delete(&key)?;
    // Whoever takes a pin back relies on it, and an answer of success to a removal has nothing in it that proves it.
    if is_pinned && store.head(&key)?.is_some() {
        return Err(Failure::new(
            Kind::Failed,
            format!("The store said that `{key}` was removed, and still has it"),
        )
        .hint("Something on the way may answer in the store's place; look for a proxy, and run it again"));
    }
    Ok(is_pinned)
}

/// What the pin beside a backup says; `None` if there is none.
///
/// # Errors
/// [`Kind::Damaged`] or [`Kind::Unsupported`] if it cannot be read, which does not make it less of a pin.
pub fn pin_of(store: &dyn Store, data_key: &Key) -> Result<Option<Note<PinBody>>> {
    match load_note(store, &note_key(data_key, NoteKind::Pin)?) {
        Ok(note) => Ok(Some(note)),
        Err(failure) if failure.kind() == Kind::NotFound => Ok(None),
        Err(failure) => Err(failure),
    }
}
