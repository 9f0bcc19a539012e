//! What runs left behind: objects of ours that belong to no backup.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use super::Run;
use super::many::in_parallel;
use super::prune::{LockHint, Objects};
use crate::base::failure::{Kind, Result};
use crate::catalog::layout::{Layout, MANIFEST_SUFFIX};
use crate::catalog::listing::Family;
use crate::store::{Key, Store};

/// Objects without a manifest that a run of this tool made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Leftover {
    /// How many objects there are.
    pub count: usize,
    /// The stored length of the data among them, in bytes.
    pub bytes: u64,
    /// When the store received the youngest.
    pub modified: Option<Timestamp>,
    pub(super) objects: Objects,
}

impl Leftover {
    /// The key of the data object that they belong to, whether or not it is there.
    #[must_use]
    pub fn data_key(&self) -> &Key {
        &self.objects.data_key
    }
}

/// Whether objects without a manifest may be what a run left behind, as far as a listing tells: their names are ours, and
/// the youngest is older than any run can last.
pub(super) fn is_left_behind(
    family: &Family,
    layout: &Layout,
    name: Option<&str>,
    now: Timestamp,
    older_than: Duration,
) -> bool {
    let is_ours = layout
        .own_series_of(&family.data_key)
        .is_some_and(|series| name.is_none_or(|name| name == series));
    family.manifest.is_none()
        && is_ours
        && family
            .modified
            .is_some_and(|modified| is_older(modified, now, older_than))
}

/// Whether a time lies further back than a bound.
pub(super) fn is_older(time: Timestamp, now: Timestamp, than: Duration) -> bool {
    let bound = SignedDuration::try_from(than).unwrap_or(SignedDuration::MAX);
    now.duration_since(time) >= bound
}

/// Looks once more for a manifest, and at each object for the token that all of ours carry: the leftovers, and how many data objects are somebody else's.
/// If any object of a family is not ours, none of them is touched.
///
/// # Errors
/// If the store cannot tell.
pub(super) fn find_leftovers(store: &dyn Store, families: Vec<Family>, run: &Run) -> Result<(Vec<Leftover>, u64)> {
    let looked = in_parallel(&families, |family| -> Result<Option<Leftover>> {
        let mut objects = Objects::of(family);
        // A run that was killed may have locked them.
        objects.lock = LockHint::Possible;
        // A listing that was cut short and looks whole would show data without its manifest.
        if store.head(&family.data_key.with_suffix(MANIFEST_SUFFIX))?.is_some() {
            return Ok(None);
        }
        let mut count = 0;
        for key in objects.keys() {
            run.cancel.check()?;
            match store.head(&key) {
                Ok(Some(meta)) if meta.token.is_some() => count += 1,
                Ok(Some(_)) => return Ok(None),
                // It has just gone.
                Ok(None) => {}
                // Who may not look cannot know whose it is.
                Err(failure) if failure.kind() == Kind::Denied => return Ok(None),
                Err(failure) => return Err(failure),
            }
        }
        let first = family.data.iter().map(|meta| meta.bytes);
        Ok((count > 0).then(|| Leftover {
            count,
            bytes: first.chain(family.continuations.iter().map(|(_, bytes)| *bytes)).sum(),
            modified: family.modified,
            objects,
        }))
    });
    run.cancel.check()?;
    let mut leftovers = Vec::new();
    let mut others = 0;
    for (family, looked) in families.iter().zip(looked) {
        match looked? {
            Some(leftover) => leftovers.push(leftover),
            None => others += u64::from(family.data.is_some()),
        }
    }
    Ok((leftovers, others))
}
