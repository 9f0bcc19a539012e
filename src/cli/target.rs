//! Which backup the user means, in which store.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use jiff::Timestamp;

use super::assemble::{layout, of_first_store, open_store, open_store_at};
use super::context::Context;
pub use crate::base::clock::{DayTime, parse_time};
use crate::base::failure::{Failure, Kind, Result};
use crate::catalog::listing::{Found, contradiction};
use crate::catalog::notes::{KnownDamage, known_damage, notes_beside};
use crate::catalog::selection::{BackupRef, Choice, Chosen, OnDamage, choose_with, key_of};
use crate::ops::Run;
use crate::ops::shape::{flag_of, last_good_before};
use crate::store::address::StoreAddress;
use crate::store::{Key, Store};

/// A backup that was found, and the store that holds it.
pub struct Target {
    /// The store.
    pub store: Arc<dyn Store>,
    /// The backup.
    pub chosen: Chosen,
    /// Whether a listing found it, and its notes with it.
    pub is_listed: bool,
}

/// What becomes of damaged backups where one is chosen by its age.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Damaged {
    /// They are passed over, which is said.
    PassOver,
    /// They are what is looked for as well.
    Take,
}

/// Finds the backup that `text` names: `latest`, an id, an `s3://` URL, or a path with a slash. Of those that are chosen by
/// their age, the ones in which a verification found damage are passed over, which is said.
///
/// # Errors
/// [`Kind::NotFound`] if there is none.
pub fn find(text: &str, at: Option<Timestamp>, context: &Context, run: &Run) -> Result<Target> {
    find_as(text, at, Damaged::PassOver, context, run)
}

/// Finds the backup that `text` names, a damaged one like any other: for whoever looks for damage.
///
/// # Errors
/// As [`find`].
pub fn find_even_damaged(text: &str, context: &Context, run: &Run) -> Result<Target> {
    find_as(text, None, Damaged::Take, context, run)
}

fn find_as(text: &str, at: Option<Timestamp>, damaged: Damaged, context: &Context, run: &Run) -> Result<Target> {
    if let Some(rest) = text.strip_prefix("s3://") {
        let (store, key) = object_of_bucket(text, rest, context, run)?;
        return find_in(store, &BackupRef::Object(key), at, damaged, context, run);
    }
    if let Some(path) = text.strip_prefix("file://") {
        return find_file(Path::new(path), context, run);
    }
    if text.contains('/') {
        return find_file(Path::new(text), context, run);
    }
    let store = open_store(&context.settings, run)?;
    find_in(store, &BackupRef::parse(text), at, damaged, context, run)
}

/// The object that an `s3://` URL names, of which `rest` is what follows the scheme.
fn object_of_bucket(text: &str, rest: &str, context: &Context, run: &Run) -> Result<(Arc<dyn Store>, Key)> {
    let (bucket, key) = rest.split_once('/').unwrap_or((rest, ""));
    if key.is_empty() || key.ends_with('/') {
        return Err(Failure::new(Kind::Usage, format!("`{text}` names no object")).hint(
            "Write the whole URL of one, as `backup-cli list --json` shows it; or --store s3://bucket/prefix and an id",
        ));
    }
    let address = match &context.settings.store.value {
        // The configured store's prefix stays, so that messages and safety backups name the same place.
        StoreAddress::S3 {
            bucket: configured,
            prefix,
        } if configured == bucket => StoreAddress::S3 {
            bucket: bucket.to_owned(),
            prefix: prefix.clone(),
        },
        _ => StoreAddress::S3 {
            bucket: bucket.to_owned(),
            prefix: String::new(),
        },
    };
    let store = open_store_at(&address, of_first_store(&context.settings), run)?;
    Ok((store, Key::new(key)))
}

/// Finds the backup whose data (or index, or manifest) is the file at `path`.
///
/// # Errors
/// [`Kind::NotFound`] if there is no such file.
pub fn find_file(path: &Path, context: &Context, run: &Run) -> Result<Target> {
    let (_, folder, name) = file_of(path)?;
    let address = StoreAddress::Local { folder };
    let store = open_store_at(&address, &context.settings, run)?;
    let reference = BackupRef::Object(Key::new(name));
    find_in(store, &reference, None, Damaged::Take, context, run)
}

/// A backup file: its whole path, its folder and its name.
fn file_of(path: &Path) -> Result<(PathBuf, PathBuf, String)> {
    let missing = |error: std::io::Error| {
        Failure::new(Kind::NotFound, format!("No backup file at `{}`", path.display()))
            .caused_by(error)
            .hint("Check the path; `backup-cli list` shows the backups of the store")
    };
    let path = std::fs::canonicalize(path).map_err(missing)?;
    let (Some(folder), Some(name)) = (path.parent(), path.file_name().and_then(|name| name.to_str())) else {
        return Err(
            Failure::new(Kind::Usage, format!("`{}` is not a backup file", path.display()))
                .hint("Name the .gz file itself"),
        );
    };
    if path.is_dir() {
        return Err(Failure::new(
            Kind::Usage,
            format!("`{}` is a folder, not a backup file", path.display()),
        )
        .hint(format!(
            "For a store in that folder: --store {} and `latest`",
            path.display()
        )));
    }
    let (folder, name) = (folder.to_owned(), name.to_owned());
    Ok((path, folder, name))
}

fn find_in(
    store: Arc<dyn Store>,
    reference: &BackupRef,
    at: Option<Timestamp>,
    damaged: Damaged,
    context: &Context,
    run: &Run,
) -> Result<Target> {
    let choice = Choice {
        name: context.settings.name.value.as_deref(),
        at,
    };
    let layout = layout(&context.settings, store.as_ref())?;
    let mut tell = |found: &Found| {
        if let Some(known) = found.known_damage() {
            context
                .console
                .warning(&format!("{} It is passed over.", damage_of(&found.id, &known)));
        }
    };
    let on_damage = match damaged {
        Damaged::PassOver => OnDamage::PassOver(&mut tell),
        Damaged::Take => OnDamage::Take,
    };
    let chosen = choose_with(store.as_ref(), &layout, reference, &choice, on_damage, &run.cancel)?;
    Ok(Target {
        store,
        chosen,
        is_listed: !matches!(reference, BackupRef::Object(_)),
    })
}

/// Finds an object or a backup by its key or its id, without reading a manifest: for whoever mends one.
///
/// # Errors
/// [`Kind::NotFound`] if there is none; [`Kind::Usage`] if it is named by its age.
pub fn find_unread(text: &str, context: &Context, run: &Run) -> Result<(Arc<dyn Store>, Key)> {
    if let Some(rest) = text.strip_prefix("s3://") {
        let (store, key) = object_of_bucket(text, rest, context, run)?;
        return Ok((store, key));
    }
    let path = text.strip_prefix("file://").unwrap_or(text);
    if path.contains('/') {
        return object_of_folder(Path::new(path), context, run);
    }
    let store = open_store(&context.settings, run)?;
    let key = key_of(store.as_ref(), &BackupRef::parse(text), &run.cancel)?;
    Ok((store, key))
}

/// A file of the configured store, or else one of a store of its own in its folder.
fn object_of_folder(path: &Path, context: &Context, run: &Run) -> Result<(Arc<dyn Store>, Key)> {
    let (path, folder, name) = file_of(path)?;
    if let StoreAddress::Local { folder: root } = &context.settings.store.value
        && let Ok(root) = std::fs::canonicalize(root)
        && let Ok(within) = path.strip_prefix(&root)
        && let Some(key) = within.to_str()
    {
        return Ok((open_store(&context.settings, run)?, Key::new(key)));
    }
    let address = StoreAddress::Local { folder };
    Ok((open_store_at(&address, &context.settings, run)?, Key::new(name)))
}

fn damage_of(id: &str, known: &KnownDamage) -> String {
    format!("`{id}`: {}.", known.in_words())
}

/// Says of a backup in which a verification found damage that it did.
///
/// # Errors
/// [`Kind::Interrupted`]; what cannot be told otherwise keeps nobody from using the backup.
pub fn warn_if_damaged(target: &Target, context: &Context) -> Result<()> {
    let found = &target.chosen.found;
    let known = match target.is_listed {
        true => found.known_damage(),
        false => match notes_beside(target.store.as_ref(), &found.data_key) {
            Ok(notes) => known_damage(&notes),
            Err(failure) if failure.kind() == Kind::Interrupted => return Err(failure),
            Err(_) => None,
        },
    };
    if let Some(known) = known {
        let manifest = target.chosen.manifest.as_ref();
        let can_be_read = manifest.is_none_or(|manifest| contradiction(found, manifest).is_none());
        let more = match can_be_read {
            true => " What is not lost of it can be restored.",
            // Whoever reads it is told why not.
            false => "",
        };
        context
            .console
            .warning(&format!("{}{more}", damage_of(&found.id, &known)));
    }
    Ok(())
}

/// Says of a flagged backup what is wrong with it, and which older one is not.
///
/// # Errors
/// [`Kind::Interrupted`]; what cannot be told otherwise keeps nobody from using the backup.
pub fn warn_if_flagged(store: &Arc<dyn Store>, chosen: &Chosen, context: &Context, run: &Run) -> Result<()> {
    let told = flag_of(store, chosen).and_then(|shape| {
        let Some(why) = shape.and_then(|shape| shape.why.as_deref()) else {
            return Ok(());
        };
        let older = match last_good_before(store, &layout(&context.settings, store.as_ref())?, chosen, run)? {
            Some(id) => format!("the newest one before it that is not flagged is `{id}`"),
            None => "none of the last ones before it is without a flag".to_owned(),
        };
        context
            .console
            .warning(&format!("`{}` is flagged. {why}; {older}.", chosen.found.id));
        Ok(())
    });
    match told {
        Err(failure) if failure.kind() != Kind::Interrupted => {
            context.console.warning(&format!(
                "Whether `{}` is flagged for its size could not be told: {failure}.",
                chosen.found.id
            ));
            Ok(())
        }
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_read_as_people_write_them() {
        assert_eq!(
            parse_time("2025-01-31T12:00:00Z", DayTime::Last).unwrap().as_second(),
            1_738_324_800
        );
        assert_eq!(
            parse_time("2025-01-31T12:00:00+01:00", DayTime::Last)
                .unwrap()
                .as_second(),
            1_738_321_200
        );
        assert!(parse_time("2025-01-31", DayTime::Last).is_ok());
        assert!(parse_time("2025-01-31 12:00", DayTime::Last).is_ok());
        assert_eq!(parse_time("yesterday", DayTime::Last).unwrap_err().kind(), Kind::Usage);
    }
}
