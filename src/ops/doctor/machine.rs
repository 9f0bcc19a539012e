//! This machine: room for temporary files, the folder of locks, the keys.

use std::path::{Path, PathBuf};

use super::Section;
use super::check::{Check, Status};
use crate::base::failure::{Failure, IoContext, Result};
use crate::base::units::{MIB, format_bytes};
use crate::ops::Run;
use crate::pipeline::crypt::PASSPHRASE_RECIPIENT;

/// With less room than this nothing useful can be written: indexes and small copies need some.
const ROOM_MIN_BYTES: u64 = 64 * MIB;

/// How much room there is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Room {
    /// The system does not say.
    Unknown,
    /// Enough.
    Enough(String),
    /// Less than what was asked for.
    Tight(String),
    /// Next to nothing.
    None(String),
}

/// How much room a folder has for something of this size, in bytes.
pub(super) fn room_for(folder: &Path, wanted_bytes: Option<u64>) -> Room {
    match rustix::fs::statvfs(folder) {
        Ok(stat) => judge_room(folder, stat.f_bavail.saturating_mul(stat.f_frsize), wanted_bytes),
        Err(_) => Room::Unknown,
    }
}

pub(super) fn judge_room(folder: &Path, free_bytes: u64, wanted_bytes: Option<u64>) -> Room {
    let free = format!("{} are free in `{}`", format_bytes(free_bytes), folder.display());
    if free_bytes < ROOM_MIN_BYTES {
        return Room::None(free);
    }
    match wanted_bytes {
        None => Room::Enough(free),
        Some(wanted) => {
            let said = format!("{free}, and the sources hold {}", format_bytes(wanted));
            match free_bytes >= wanted {
                true => Room::Enough(said),
                false => Room::Tight(said),
            }
        }
    }
}

/// For whom backups are encrypted, and what this machine could open.
#[derive(Debug)]
pub struct Sealing {
    /// The recipients' names, or what is wrong with them; none if nothing is encrypted.
    pub recipients: Result<Vec<String>>,
    /// The public keys of the identities at hand, or what is wrong with them.
    pub identities: Result<Vec<String>>,
    /// Whether a passphrase is at hand.
    pub has_passphrase: bool,
}

/// What is to be looked at.
#[derive(Debug)]
pub struct Machine {
    /// Where locks are kept.
    pub lock_folder: PathBuf,
    /// Where temporary files go.
    pub temporary_folder: PathBuf,
    /// How much of it the sources take at once, in bytes.
    pub temporary_bytes: Option<u64>,
    /// For whom backups are encrypted.
    pub sealing: Sealing,
}

impl Machine {
    /// Everything but what starts the backups.
    pub(super) fn checks(&self) -> Vec<Check> {
        vec![
            temporary(self),
            locks(&self.lock_folder),
            recipients(&self.sealing),
            identities(&self.sealing),
        ]
    }
}

/// Looks at this machine.
///
/// # Errors
/// [`crate::base::failure::Kind::Interrupted`].
pub fn check_machine(machine: &Machine, run: &Run) -> Result<Section> {
    let mut checks = machine.checks();
    checks.push(super::timers::check_timers(run)?);
    run.cancel.check()?;
    Ok(Section::new("this machine", checks))
}

fn temporary(machine: &Machine) -> Check {
    const ID: &str = "machine.temporary-space";
    let folder = &machine.temporary_folder;
    let attempt = tempfile::tempfile_in(folder).doing(|| format!("make a temporary file in `{}`", folder.display()));
    if let Err(failure) = attempt {
        return Check::of_failure(ID, Status::Failed, &failure)
            .with_hint("Point TMPDIR at a folder in which this user may write, on a disk with room");
    }
    let hint = "Point TMPDIR at a folder with more room";
    match room_for(folder, machine.temporary_bytes) {
        Room::Unknown => Check::skipped(ID, "the system does not tell how much is free"),
        Room::Enough(said) => Check::ok(ID, said),
        Room::Tight(said) => Check::failed(ID, format!("{said}, which are copied there first"), hint),
        Room::None(said) => Check::warning(ID, format!("{said}, and indexes are put together there"), hint),
    }
}

fn locks(folder: &Path) -> Check {
    const ID: &str = "machine.lock-folder";
    // It is created by the first backup; to look at it must not create it.
    let Some(existing) = folder.ancestors().find(|above| above.exists()) else {
        return Check::failed(
            ID,
            format!("There is no folder `{}`, and none above it", folder.display()),
            "Set `lock-folder`, or BACKUP_LOCK_FOLDER",
        );
    };
    let attempt = || -> Result<(), Failure> {
        let file = tempfile::tempfile_in(existing).doing(|| format!("make a file in `{}`", existing.display()))?;
        rustix::fs::flock(&file, rustix::fs::FlockOperation::NonBlockingLockExclusive)
            .map_err(std::io::Error::from)
            .doing(|| format!("lock a file in `{}`", existing.display()))
    };
    match attempt() {
        Ok(()) if existing == folder => Check::ok(ID, format!("Locks can be taken in `{}`", folder.display())),
        Ok(()) => Check::ok(ID, format!("`{}` will be made by the first backup", folder.display())),
        Err(failure) => Check::of_failure(ID, Status::Failed, &failure).with_hint(
            "Every backup takes a lock: give this user the right to write there, or set `lock-folder` (BACKUP_LOCK_FOLDER)",
        ),
    }
}

fn recipients(sealing: &Sealing) -> Check {
    const ID: &str = "encryption.recipients";
    match &sealing.recipients {
        Err(failure) => Check::of_failure(ID, Status::Failed, failure),
        Ok(names) if names.is_empty() => Check::skipped(ID, "backups are not encrypted by age"),
        Ok(names) => Check::ok(ID, format!("Backups are encrypted for {}", names.join(", "))),
    }
}

fn identities(sealing: &Sealing) -> Check {
    const ID: &str = "encryption.identity";
    let recipients = match &sealing.recipients {
        Ok(names) if !names.is_empty() => names,
        _ => return Check::skipped(ID, "backups are not encrypted by age"),
    };
    if recipients.iter().any(|name| name == PASSPHRASE_RECIPIENT) {
        return match sealing.has_passphrase {
            true => Check::ok(ID, "The passphrase at hand opens what is made from now on"),
            false => Check::skipped(ID, "no passphrase is at hand"),
        };
    }
    match &sealing.identities {
        // Nobody is asked for a passphrase here; a restore asks.
        Err(failure) if failure.message().contains("which was not given") => Check::skipped(ID, failure.in_one_line()),
        Err(failure) => Check::failed(
            ID,
            failure.in_one_line(),
            "Nothing encrypted can be restored here until it is mended: --identity, BACKUP_IDENTITY",
        ),
        Ok(keys) if keys.is_empty() => Check::ok(
            ID,
            "No identity is at hand, so this machine cannot restore; right for one that only makes backups, if the key is safe elsewhere",
        ),
        Ok(keys) if keys.iter().any(|key| recipients.contains(key)) => {
            Check::ok(ID, "An identity at hand opens what is made from now on")
        }
        Ok(_) => Check::warning(
            ID,
            "None of the identities at hand opens what is made from now on",
            "Name the identity that belongs to a recipient (--identity), or encrypt for the one at hand as well (--recipient)",
        ),
    }
}
