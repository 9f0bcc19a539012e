//! One look at each object: is it there, is it as long as it was, is it the one that was written.

use std::sync::Arc;

use super::super::Run;
use super::super::many::in_parallel;
use super::{Checked, Reached};
use crate::base::failure::Result;
use crate::catalog::manifest::{Manifest, ObjectRecord};
use crate::catalog::selection::Chosen;
use crate::ops::plaintext::index_key;
use crate::ops::thaw::can_be_read;
use crate::store::archive::ThawState;
use crate::store::{Key, ObjectMeta, Store};

/// Looks at every object of a backup; what the store knows of each, in order.
///
/// # Errors
/// If the store cannot tell.
pub(super) fn look_at_objects(
    store: &Arc<dyn Store>,
    chosen: &Chosen,
    checked: &mut Checked,
    run: &Run,
) -> Result<Vec<Option<ObjectMeta>>> {
    let keys: Vec<&Key> = match &chosen.manifest {
        Some(manifest) => manifest.objects.iter().map(|object| &object.key).collect(),
        None => chosen.found.data.iter().map(|(key, _)| key).collect(),
    };
    let metas = in_parallel(&keys, |key| {
        run.cancel.check()?;
        let mut meta = store.head(key)?;
        if let Some(meta) = meta.as_mut().filter(|meta| is_asleep(meta))
            && can_be_read(store.as_ref(), key)
        {
            meta.archive = None;
        }
        Ok(meta)
    });
    run.cancel.check()?;
    let mut metas = metas.into_iter().collect::<Result<Vec<_>>>()?;
    let records = chosen.manifest.iter().flat_map(|manifest| &manifest.objects);
    for (record, meta) in records.zip(&mut metas) {
        let is_doubtful = match &*meta {
            None => true,
            Some(meta) => matches!(compare(record, meta), Verdict::Damaged(_)),
        };
        // Only what is wrong twice is wrong where it lies.
        if is_doubtful {
            *meta = store.head(&record.key)?;
        }
    }
    checked.amount.objects += metas.len() as u64;
    let frozen = metas.iter().flatten().filter(|meta| is_frozen(meta)).count();
    match &chosen.manifest {
        Some(manifest) => {
            compare_all(manifest, &metas, checked);
            let missing = manifest.objects.iter().zip(&metas).filter(|(_, meta)| meta.is_none());
            for (record, _) in missing.take(HIDDEN_LOOKED_FOR_MAX) {
                if let Some(marker) = marker_over(store.as_ref(), &record.key) {
                    checked.remark(format!(
                        "`{}` is only hidden, by the delete marker {marker}: its content is still there, and comes back when that version is removed (`aws s3api delete-object` with --version-id).",
                        record.key
                    ));
                }
            }
        }
        None => {
            for (key, meta) in keys.iter().zip(&metas) {
                if meta.is_none() {
                    checked.damaged(Some(*key), format!("The object `{key}` is gone"));
                }
            }
            if chosen.found.manifest_key.is_none() {
                checked.remark("It has no manifest, so that nothing says what it should be.");
            }
            // Only what is being committed, or was a backup, has these.
            if chosen.found.manifest_key.is_none()
                && (!chosen.found.notes.is_empty() || has_index(store.as_ref(), chosen))
            {
                checked.remark(format!(
                    "Something of a backup stands beside it: its manifest was lost, unless a run or a prune is at it just now. `backup-cli adopt {}` makes one anew.",
                    chosen.found.id
                ));
            }
        }
    }
    if frozen > 0 {
        checked.remark(format!(
            "{frozen} of its {} objects lie in an archive and cannot be read now.",
            metas.len()
        ));
    }
    checked.has_unknown_tags = metas
        .iter()
        .flatten()
        .any(|meta| meta.etag.is_some() && !meta.etag_is_md5);
    checked.reached = Reached::Quick;
    Ok(metas)
}

/// How many missing objects are looked for beneath delete markers: if all are, the first ones tell.
const HIDDEN_LOOKED_FOR_MAX: usize = 4;

/// The delete marker that hides an object; `None` too if nobody may look.
fn marker_over(store: &dyn Store, key: &Key) -> Option<String> {
    let (mut marker, mut has_content) = (None, false);
    let visited = store.list_versions(key.as_str(), &mut |version| {
        if version.key == *key {
            match version.is_marker {
                true if version.is_latest => marker = Some(version.version_id),
                true => {}
                false => has_content = true,
            }
        }
        Ok(std::ops::ControlFlow::Continue(()))
    });
    visited.ok()?;
    marker.filter(|_| has_content)
}

fn has_index(store: &dyn Store, chosen: &Chosen) -> bool {
    matches!(store.head(&index_key(chosen)), Ok(Some(_)))
}

/// Whether an object's class is that of an archive, of which nobody has asked for it.
fn is_asleep(meta: &ObjectMeta) -> bool {
    meta.archive
        .as_ref()
        .is_some_and(|archive| archive.state == ThawState::Frozen)
}

/// Whether an object lies in an archive from which it cannot be read now.
pub(super) fn is_frozen(meta: &ObjectMeta) -> bool {
    meta.archive
        .as_ref()
        .is_some_and(|archive| !matches!(archive.state, ThawState::Thawed { .. }))
}

fn compare_all(manifest: &Manifest, metas: &[Option<ObjectMeta>], checked: &mut Checked) {
    for (record, meta) in manifest.objects.iter().zip(metas) {
        let Some(meta) = meta else {
            checked.damaged(Some(&record.key), format!("The object `{}` is missing", record.key));
            continue;
        };
        match compare(record, meta) {
            Verdict::Same => {}
            Verdict::Damaged(what) => checked.damaged(Some(&record.key), what),
            Verdict::Rewritten(what) => checked.remark(what),
        }
    }
    if manifest.index_object().is_none() {
        checked.remark("It has no index, which only lists and partial restores need.");
    }
}

enum Verdict {
    Same,
    Damaged(String),
    /// Something wrote it again: its bytes may be the same.
    Rewritten(String),
}

/// What the store knows of an object against what its manifest says.
fn compare(record: &ObjectRecord, meta: &ObjectMeta) -> Verdict {
    let key = &record.key;
    if meta.bytes != record.bytes {
        return Verdict::Damaged(format!(
            "The object `{key}` has {} bytes instead of {}",
            meta.bytes, record.bytes
        ));
    }
    let rewritten = |what: String| {
        Verdict::Rewritten(format!(
            "The object `{key}` {what}: something copied it since; `--level data` tells whether it is the same."
        ))
    };
    match meta.etag.as_deref().filter(|_| meta.etag_is_md5) {
        Some(etag) if !etag.contains('-') && etag.len() == record.md5.len() => {
            // The store has computed the digest of what it holds, however it was written.
            return match etag.eq_ignore_ascii_case(&record.md5) {
                true => Verdict::Same,
                false => Verdict::Damaged(format!(
                    "The store says that the MD5 of `{key}` is {etag} instead of {}",
                    record.md5
                )),
            };
        }
        Some(etag) if record.etag.as_deref().is_some_and(|recorded| recorded != etag) => {
            let parts = etag.rsplit_once('-').and_then(|(_, parts)| parts.parse().ok());
            let is_ours = parts == Some(record.parts) && meta.token.as_deref() == Some(record.token.as_str());
            return match (is_ours, parts) {
                (true, _) => Verdict::Damaged(format!(
                    "The entity tag of `{key}`, which its content decides, is {etag} instead of {}",
                    record.etag.as_deref().unwrap_or_default()
                )),
                (false, Some(parts)) if parts != record.parts => {
                    rewritten(format!("was written in {parts} parts instead of {}", record.parts))
                }
                (false, _) => rewritten(format!("has another entity tag, {etag}")),
            };
        }
        Some(_) if record.etag.is_some() => return Verdict::Same,
        _ => {}
    }
    match (&record.version_id, &meta.version_id) {
        (Some(recorded), Some(version)) if recorded != version => rewritten(format!("is another version, {version}")),
        _ => Verdict::Same,
    }
}
