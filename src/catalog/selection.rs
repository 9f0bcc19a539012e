//! Choosing a backup: `latest`, `oldest`, `NAME@latest`, an id or a unique prefix of one, or an object's own key.

use std::collections::BTreeSet;

use jiff::Timestamp;

use super::layout::{KeyRole, Layout, role_of};
use super::listing::{Found, is_uncommitted, load_manifest, scan};
use super::manifest::Manifest;
use super::notes::Depth;
use crate::base::cancel::Cancel;
use crate::base::failure::{Failure, Kind, Result};
use crate::store::{Key, ObjectMeta, Store};

/// What is appended to a series' name for the backups that a restore takes of what it is about to replace.
///
/// They are a series of their own, and an unnamed `latest` never means one of them.
pub const SAFETY_SUFFIX: &str = "-before-restore";

/// How many candidates a message names.
const NAMED_MAX: usize = 8;

/// A backup as the user names it, within one store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BackupRef {
    /// The newest one, of a series if named.
    Latest {
        /// The series.
        name: Option<String>,
    },
    /// The oldest one, of a series if named.
    Oldest {
        /// The series.
        name: Option<String>,
    },
    /// An id, or a unique prefix of one.
    Id(String),
    /// An object by its own key: data, index or manifest.
    Object(Key),
}

impl BackupRef {
    /// Reads `latest`, `oldest`, `NAME@latest`, `NAME@oldest`, or an id. URLs and paths are the caller's.
    #[must_use]
    pub fn parse(text: &str) -> Self {
        let (name, word) = match text.rsplit_once('@') {
            Some((name, word)) if !name.is_empty() => (Some(name.to_owned()), word),
            _ => (None, text),
        };
        match word {
            "latest" => Self::Latest { name },
            "oldest" => Self::Oldest { name },
            _ => Self::Id(text.to_owned()),
        }
    }
}

/// A backup that has been found, with its manifest unless it is unmanaged.
#[derive(Clone, Debug)]
pub struct Chosen {
    /// What the keys tell.
    pub found: Found,
    /// The commit record; `None` for somebody else's object.
    pub manifest: Option<Manifest>,
}

impl Chosen {
    /// The series.
    #[must_use]
    pub fn name(&self) -> &str {
        self.manifest
            .as_ref()
            .map_or(&self.found.name_hint, |manifest| &manifest.name)
    }

    /// When it was begun.
    #[must_use]
    pub fn time(&self) -> Timestamp {
        self.manifest
            .as_ref()
            .map_or(self.found.time, |manifest| manifest.started)
    }
}

/// What limits the choice.
#[derive(Clone, Debug, Default)]
pub struct Choice<'a> {
    /// The series, if the user or the profile names one.
    pub name: Option<&'a str>,
    /// Only what was begun at or before this time.
    pub at: Option<Timestamp>,
}

/// What becomes of backups in which a verification found damage, where one is chosen by its age.
pub enum OnDamage<'a> {
    /// They are chosen like others.
    Take,
    /// They are passed over, and each is told.
    PassOver(&'a mut dyn FnMut(&Found)),
}

/// Finds the backup that `reference` means; `latest` and `oldest` mean none that is known to be damaged.
///
/// # Errors
/// [`Kind::NotFound`] if there is none; [`Kind::Usage`] if several are meant.
pub fn choose(
    store: &dyn Store,
    layout: &Layout,
    reference: &BackupRef,
    choice: &Choice<'_>,
    cancel: &Cancel,
) -> Result<Chosen> {
    choose_with(
        store,
        layout,
        reference,
        choice,
        OnDamage::PassOver(&mut |_| {}),
        cancel,
    )
}

/// Finds the backup that `reference` means, with a say in what becomes of damaged ones.
///
/// # Errors
/// As [`choose`].
pub fn choose_with(
    store: &dyn Store,
    layout: &Layout,
    reference: &BackupRef,
    choice: &Choice<'_>,
    on_damage: OnDamage<'_>,
    cancel: &Cancel,
) -> Result<Chosen> {
    let (name, is_newest) = match reference {
        BackupRef::Latest { name } => (name, true),
        BackupRef::Oldest { name } => (name, false),
        BackupRef::Id(id) => return by_id(store, id, cancel),
        BackupRef::Object(key) => return by_key(store, key),
    };
    let choice = Choice {
        name: name.as_deref().or(choice.name),
        at: choice.at,
    };
    by_age(store, layout, &choice, is_newest, on_damage, cancel)
}

fn prefix_folder(store: &dyn Store) -> String {
    match store.prefix() {
        "" => String::new(),
        prefix => format!("{prefix}/"),
    }
}

fn none_found(store: &dyn Store, what: &str) -> Failure {
    Failure::new(Kind::NotFound, format!("No {what} in `{}`", store.url()))
        .hint("`backup-cli list` shows what is there; check --store, --profile and --name")
}

fn by_age(
    store: &dyn Store,
    layout: &Layout,
    choice: &Choice<'_>,
    newest: bool,
    mut on_damage: OnDamage<'_>,
    cancel: &Cancel,
) -> Result<Chosen> {
    let Choice { name, at } = *choice;
    let prefix = name.map_or_else(|| prefix_folder(store), |name| layout.series_prefix(name));
    let mut found = scan(store, &prefix, cancel)?;
    found.retain(|candidate| at.is_none_or(|at| candidate.time <= at));
    if name.is_none() {
        found.retain(|candidate| !candidate.name_hint.ends_with(SAFETY_SUFFIX));
    }
    if !newest {
        found.reverse();
    }
    let what = match name {
        Some(name) => format!("backup of `{name}`"),
        None => "backup".to_owned(),
    };
    let what = match at {
        Some(at) => format!("{what} that was begun by {at}"),
        None => what,
    };
    // Committed backups first: somebody else's newer object has not been proved whole.
    let (managed, unmanaged): (Vec<_>, Vec<_>) = found
        .into_iter()
        .partition(|candidate| candidate.manifest_key.is_some());
    let mut chosen: Option<Chosen> = None;
    let mut passed_over: Option<(String, Depth)> = None;
    // What the names in the keys have told so far; the same hint again tells nothing new.
    let mut hints_seen: BTreeSet<String> = BTreeSet::new();
    for candidate in managed {
        cancel.check()?;
        // Every template puts the name into the key, but only the manifest tells where in it.
        if name.is_some_and(|name| !candidate.data_key.as_str().contains(name)) {
            continue;
        }
        // Without a time in the key the hint is the id, which is different each time and tells nothing either.
        let is_old_hint = hints_seen.contains(&candidate.name_hint) || candidate.name_hint == candidate.id;
        if chosen.is_some() && is_old_hint {
            continue;
        }
        let Some(key) = &candidate.manifest_key else { continue };
        let manifest = match load_manifest(store, key) {
            Ok(manifest) => manifest,
            // It was removed between the listing and now.
            Err(failure) if failure.kind() == Kind::NotFound => continue,
            Err(failure) if is_unreadable(&failure) && is_known_of(&candidate, name, &on_damage) => {
                if let OnDamage::PassOver(tell) = &mut on_damage {
                    tell(&candidate);
                }
                let depth = candidate.known_damage().map_or(Depth::Quick, |known| known.depth);
                passed_over.get_or_insert((candidate.id, depth));
                continue;
            }
            // By its key it is of another series, or it cannot change the choice.
            Err(failure) if is_unreadable(&failure) && (chosen.is_some() || is_of_another(&candidate, name)) => {
                continue;
            }
            Err(failure) => return Err(failure),
        };
        match (name, &chosen) {
            (Some(name), _) if manifest.name != name => continue,
            (None, _) if manifest.name.ends_with(SAFETY_SUFFIX) => continue,
            (None, Some(chosen)) if manifest.name != chosen.name() => {
                return Err(several(chosen.name(), &manifest.name));
            }
            _ => {}
        }
        if chosen.is_some() {
            hints_seen.insert(candidate.name_hint.clone());
            continue;
        }
        if let OnDamage::PassOver(tell) = &mut on_damage
            && let Some(known) = candidate.known_damage()
        {
            tell(&candidate);
            passed_over.get_or_insert((manifest.id, known.depth));
            continue;
        }
        hints_seen.insert(candidate.name_hint.clone());
        chosen = Some(Chosen {
            found: candidate,
            manifest: Some(manifest),
        });
        if name.is_some() {
            break;
        }
    }
    if let Some(chosen) = chosen {
        return Ok(chosen);
    }
    if let Some((id, depth)) = passed_over {
        let answer = match depth {
            Depth::Restore => "only a drill (`verify --restore`) that restores, compares and asks as much, and passes,",
            _ => "a verification as deep that finds it whole",
        };
        return Err(Failure::new(
            Kind::Damaged,
            format!("Every {what} in `{}` was found damaged", store.url()),
        )
        .hint(format!("Name one to use what is left of it, for example `{id}`"))
        .hint(format!(
            "`backup-cli show {id}` tells what was found; {answer} takes that back"
        )));
    }
    let mut chosen: Option<Chosen> = None;
    for candidate in unmanaged {
        cancel.check()?;
        if name.is_some_and(|name| candidate.name_hint != name) {
            continue;
        }
        if let Some(chosen) = &chosen {
            if candidate.name_hint != chosen.name() && is_named_by_us(&candidate) {
                return Err(several(chosen.name(), &candidate.name_hint));
            }
            continue;
        }
        if !is_uncommitted(store, &candidate)? {
            chosen = Some(Chosen {
                found: candidate,
                manifest: None,
            });
            if name.is_some() {
                break;
            }
        }
    }
    chosen.ok_or_else(|| none_found(store, &what))
}

/// With several series in a store, an unnamed `latest` would depend on which ran last.
fn several(first: &str, other: &str) -> Failure {
    // In the order of the alphabet: which one ran last does not matter.
    let (first, other) = (first.min(other), first.max(other));
    Failure::new(
        Kind::Usage,
        format!("There are backups of several names here, among them `{first}` and `{other}`"),
    )
    .hint(format!("Say which: --name {first}, or `{first}@latest`"))
}

fn is_unreadable(failure: &Failure) -> bool {
    matches!(failure.kind(), Kind::Damaged | Kind::Unsupported)
}

/// Whether a backup whose manifest cannot be read is passed over as damaged, which a verification has found before.
fn is_known_of(candidate: &Found, name: Option<&str>, on_damage: &OnDamage<'_>) -> bool {
    matches!(on_damage, OnDamage::PassOver(_))
        && name.is_none_or(|name| candidate.name_hint == name)
        && candidate.known_damage().is_some()
}

/// Whether a candidate's key says that it is of another series than `name`. It may err, where a template of the user's own
/// made the key, so it decides only about what cannot be read.
fn is_of_another(candidate: &Found, name: Option<&str>) -> bool {
    name.is_some_and(|name| candidate.name_hint != name && is_named_by_us(candidate))
}

/// Whether the name in the key follows the built-in template, so that it is the series' name exactly.
fn is_named_by_us(found: &Found) -> bool {
    found.id.starts_with(&format!("{}_backup_", found.name_hint))
}

/// The key of the first data object of what `reference` names, whose manifest need not be readable.
///
/// # Errors
/// [`Kind::NotFound`] if there is none; [`Kind::Usage`] if several are meant, or if it is named by its age.
pub fn key_of(store: &dyn Store, reference: &BackupRef, cancel: &Cancel) -> Result<Key> {
    match reference {
        BackupRef::Object(key) => Ok(key.clone()),
        BackupRef::Id(id) => found_by_id(store, id, cancel).map(|found| found.data_key),
        BackupRef::Latest { .. } | BackupRef::Oldest { .. } => Err(Failure::new(
            Kind::Usage,
            "An object is named by its key or its id here",
        )
        .hint("`backup-cli list` shows both; --json the keys")),
    }
}

fn by_id(store: &dyn Store, id: &str, cancel: &Cancel) -> Result<Chosen> {
    by_found(store, found_by_id(store, id, cancel)?)
}

fn found_by_id(store: &dyn Store, id: &str, cancel: &Cancel) -> Result<Found> {
    let found = scan(store, &prefix_folder(store), cancel)?;
    let exact: Vec<&Found> = found.iter().filter(|candidate| candidate.id == id).collect();
    let mut matching = if exact.is_empty() {
        found.iter().filter(|candidate| candidate.id.starts_with(id)).collect()
    } else {
        exact
    };
    if matching.len() > 1 && matching.iter().any(|candidate| candidate.manifest_key.is_some()) {
        matching.retain(|candidate| candidate.manifest_key.is_some());
    }
    match matching.as_slice() {
        [] => Err(none_found(store, &format!("backup with the id `{id}`"))
            .hint(format!("For a file on this machine, write a path with a slash: ./{id}"))),
        [one] => Ok((*one).clone()),
        several => {
            let names: Vec<&str> = several
                .iter()
                .take(NAMED_MAX)
                .map(|candidate| candidate.id.as_str())
                .collect();
            Err(Failure::new(
                Kind::Usage,
                format!("`{id}` begins {} ids, among them {}", several.len(), names.join(", ")),
            )
            .hint("Write more of the id"))
        }
    }
}

fn by_found(store: &dyn Store, found: Found) -> Result<Chosen> {
    let manifest = match &found.manifest_key {
        Some(key) => Some(load_manifest(store, key)?),
        None => None,
    };
    Ok(Chosen { found, manifest })
}

fn by_key(store: &dyn Store, key: &Key) -> Result<Chosen> {
    let data_key = match role_of(key) {
        KeyRole::Data => key.clone(),
        KeyRole::Continuation { of } | KeyRole::Index { of } | KeyRole::Manifest { of } | KeyRole::Note { of, .. } => {
            of
        }
    };
    let manifest_key = data_key.with_suffix(super::layout::MANIFEST_SUFFIX);
    let manifest_meta = store.head(&manifest_key)?;
    let manifest = match &manifest_meta {
        Some(_) => match load_manifest(store, &manifest_key) {
            // Whoever names the data itself wants it even where its record is lost.
            Err(failure) if failure.kind() == Kind::Damaged && data_key == *key => None,
            other => Some(other?),
        },
        None => None,
    };
    let has_manifest = manifest_meta.is_some();
    let keys: Vec<Key> = match &manifest {
        Some(manifest) => manifest.data_objects().map(|object| object.key.clone()).collect(),
        None => vec![data_key.clone()],
    };
    let mut metas: Vec<ObjectMeta> = Vec::new();
    for key in keys {
        if let Some(meta) = store.head(&key)? {
            metas.push(meta);
        }
    }
    if metas.is_empty() && manifest.is_none() {
        return Err(
            Failure::new(Kind::NotFound, format!("No object `{data_key}` in `{}`", store.url()))
                .hint("`backup-cli list` shows what is there"),
        );
    }
    let (name_hint, time) = super::layout::name_and_time_of(&data_key);
    let found = Found {
        id: super::layout::id_of(&data_key),
        name_hint,
        time: time
            .or_else(|| metas.first().and_then(|meta| meta.modified))
            .unwrap_or(Timestamp::UNIX_EPOCH),
        storage_class: metas.first().and_then(|meta| meta.storage_class.clone()),
        data: metas.into_iter().map(|meta| (meta.key, meta.bytes)).collect(),
        manifest_key: has_manifest.then_some(manifest_key),
        notes: Vec::new(),
        data_key,
    };
    Ok(Chosen { found, manifest })
}
