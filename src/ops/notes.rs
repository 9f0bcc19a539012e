//! Writing notes beside a backup.

use bytes::Bytes;
use serde::Serialize;

use super::commit::put_options;
use crate::base::failure::Result;
use crate::catalog::notes::{Note, NoteKind, note_key};
use crate::store::{Key, PutOptions, Role, Store};

/// Writes a note beside the data at `data_key` of a backup of the series `name`, only if there is none of this kind.
///
/// # Errors
/// [`crate::base::failure::Kind::Conflict`] if there is one already; the store's failures.
pub fn put_note<B: Serialize>(
    store: &dyn Store,
    data_key: &Key,
    name: &str,
    kind: NoteKind,
    note: &Note<B>,
) -> Result<Key> {
    let key = note_key(data_key, kind)?;
    let options: PutOptions = put_options(Role::Note, name);
    store.put(&key, Bytes::from(note.to_json()?), &options)?;
    Ok(key)
}
