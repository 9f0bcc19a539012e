//! Which backups are checked where none is named.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::super::Run;
use super::Subject;
use crate::base::failure::{Kind, Result};
use crate::catalog::layout::Layout;
use crate::catalog::listing::{Found, load_manifest, scan};
use crate::catalog::selection::{Chosen, SAFETY_SUFFIX};
use crate::store::Store;

/// Everything in the store, or in one series as far as the keys tell, newest first.
///
/// # Errors
/// If the listing fails.
pub fn find_all(store: &Arc<dyn Store>, layout: &Layout, name: Option<&str>, run: &Run) -> Result<Vec<Found>> {
    let prefix = match name {
        Some(name) => layout.series_prefix(name),
        None if store.prefix().is_empty() => String::new(),
        None => format!("{}/", store.prefix()),
    };
    scan(store.as_ref(), &prefix, &run.cancel)
}

/// How many of these are backups of the series, as far as the keys tell, in which damage was found that stands.
#[must_use]
pub fn count_damaged(found: &[Found], name: &str) -> u64 {
    let is_one =
        |found: &&Found| found.name_hint == name && found.manifest_key.is_some() && found.known_damage().is_some();
    found.iter().filter(is_one).count() as u64
}

/// The newest committed backup of each series, newest first; safety backups only if they are asked for by name. One whose
/// manifest cannot be read stands for its series together with the newest that can.
///
/// # Errors
/// If the store cannot tell.
pub fn newest_of_each(
    store: &Arc<dyn Store>,
    found: Vec<Found>,
    name: Option<&str>,
    run: &Run,
) -> Result<Vec<Subject>> {
    let mut subjects = Vec::new();
    let mut series: BTreeSet<String> = BTreeSet::new();
    let mut hints: BTreeSet<String> = BTreeSet::new();
    for candidate in found {
        run.cancel.check()?;
        let Some(key) = &candidate.manifest_key else { continue };
        // A key of the built-in template names its series exactly.
        if hints.contains(&candidate.name_hint) {
            continue;
        }
        match load_manifest(store.as_ref(), key) {
            Ok(manifest) => {
                let is_wanted = match name {
                    Some(name) => manifest.name == name,
                    None => !manifest.name.ends_with(SAFETY_SUFFIX),
                };
                if candidate.name_hint != candidate.id {
                    hints.insert(candidate.name_hint.clone());
                }
                if is_wanted && series.insert(manifest.name.clone()) {
                    subjects.push(Subject::Chosen(Box::new(Chosen {
                        found: candidate,
                        manifest: Some(manifest),
                    })));
                }
            }
            Err(failure) if matches!(failure.kind(), Kind::Damaged | Kind::Unsupported) => {
                if name.is_none_or(|name| name == candidate.name_hint) {
                    subjects.push(Subject::Found(candidate));
                }
            }
            // It was removed between the listing and now.
            Err(failure) if failure.kind() == Kind::NotFound => {}
            Err(failure) => return Err(failure),
        }
    }
    Ok(subjects)
}
