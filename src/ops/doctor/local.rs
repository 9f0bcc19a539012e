//! A store in a folder.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::Duration;

use bytes::Bytes;
use jiff::Timestamp;

use super::TRIAL_NAME;
use super::check::{Check, Status};
use super::machine::{Room, room_for};
use crate::base::failure::{Failure, IoContext, Kind, Result};
use crate::ops::Run;
use crate::store::local::LocalStore;
use crate::store::{Key, PutOptions, Role, Store};

/// Every check of a folder, in the order in which it is shown.
pub(super) const IDS: &[&str] = &[
    "store.folder",
    "store.write",
    "store.durable",
    "store.create-only",
    "store.read",
    "store.list",
    "store.delete",
    "store.permissions",
    "store.case",
    "store.free-space",
    "store.unfinished",
];

const BODY: &[u8] = b"Written by `backup-cli doctor`, which removes it.\n";

/// An unfinished file that is older than this is nobody's any more.
const UNFINISHED_AGE: Duration = Duration::from_secs(7 * 24 * 60 * 60);

/// How the names of unfinished files begin, which no listing takes for backups.
const UNFINISHED_PREFIX: &str = ".backup-cli-unfinished.";

/// How the names of probes begin. They end with a dot and the name of the trial, as those of its unfinished files, so that
/// `cleanup` knows both as ours.
const PROBE_PREFIX: &str = ".backup-cli-unfinished.Doctor-";

/// A doctor needs a file of its own for less than a second: one that is older was left by a doctor that was killed.
const TRIAL_AGE_MAX: Duration = Duration::from_secs(10 * 60);

/// Looks at a folder.
///
/// # Errors
/// [`Kind::Interrupted`].
pub(super) fn look(store: &LocalStore, folder: &Path, plain_bytes: Option<u64>, run: &Run) -> Result<Vec<Check>> {
    run.cancel.check()?;
    let mut checks = vec![exists(folder)];
    if checks[0].status == Status::Failed {
        return Ok(checks);
    }
    if !folder.is_dir() {
        checks.push(free_space(&existing(folder), plain_bytes));
        return Ok(checks);
    }
    sweep(folder, run);
    let key = Key::new(TRIAL_NAME);
    let written = write(store, &key);
    let is_written = written.is_ok();
    checks.push(match &written {
        Ok(()) => Check::ok("store.write", "Files can be written"),
        Err(failure) => Check::of_failure("store.write", Status::Failed, failure),
    });
    if is_written {
        checks.push(create_only(store, &key));
        checks.push(read(store, &key));
        checks.push(list(store, &key));
        checks.push(match store.delete(&key) {
            Ok(()) => Check::ok("store.delete", "Files can be removed"),
            Err(failure) => Check::of_failure("store.delete", Status::Failed, &failure),
        });
        checks.push(durable(folder));
        checks.push(case(folder));
    }
    checks.push(permissions(folder));
    checks.push(free_space(folder, plain_bytes));
    checks.push(unfinished(store, run));
    run.cancel.check()?;
    Ok(checks)
}

/// The nearest folder above that exists.
fn existing(folder: &Path) -> std::path::PathBuf {
    folder
        .ancestors()
        .find(|above| above.is_dir())
        .unwrap_or(Path::new("/"))
        .to_owned()
}

fn exists(folder: &Path) -> Check {
    const ID: &str = "store.folder";
    if folder.is_dir() {
        return Check::ok(ID, format!("`{}` is there", folder.display()));
    }
    let above = existing(folder);
    // On the way there may be a file.
    let is_blocked = folder
        .ancestors()
        .find(|path| path.symlink_metadata().is_ok())
        .is_some_and(|path| !path.is_dir());
    if is_blocked {
        return Check::failed(
            ID,
            format!(
                "`{}` cannot be created: something on the way is no folder",
                folder.display()
            ),
            "Mend the path",
        );
    }
    match rustix::fs::accessat(
        rustix::fs::CWD,
        &above,
        rustix::fs::Access::WRITE_OK,
        rustix::fs::AtFlags::EACCESS,
    ) {
        Ok(()) => Check::warning(
            ID,
            format!("`{}` does not exist yet; the first backup creates it", folder.display()),
            "If it should be there, mount its disk, or mend the path",
        ),
        Err(error) => Check::failed(
            ID,
            format!(
                "`{}` does not exist, and cannot be created in `{}`: {}",
                folder.display(),
                above.display(),
                std::io::Error::from(error)
            ),
            "Mount its disk, mend the path, or give this user the right to write there",
        ),
    }
}

fn options() -> PutOptions {
    PutOptions {
        role: Role::Index,
        token: "doctor".to_owned(),
        content_type: "application/octet-stream",
        metadata: std::collections::BTreeMap::new(),
        lock: None,
    }
}

fn write(store: &LocalStore, key: &Key) -> Result<()> {
    match store.put(key, Bytes::from_static(BODY), &options()) {
        // Left by a run that was killed.
        Err(failure) if failure.kind() == Kind::Conflict => {
            store.delete(key)?;
            store.put(key, Bytes::from_static(BODY), &options()).map(|_| ())
        }
        other => other.map(|_| ()),
    }
}

fn create_only(store: &LocalStore, key: &Key) -> Check {
    const ID: &str = "store.create-only";
    match store.put(key, Bytes::from_static(BODY), &options()) {
        Err(failure) if failure.kind() == Kind::Conflict => Check::ok(ID, "A file is never replaced by another one"),
        Err(failure) => Check::of_failure(ID, Status::Failed, &failure),
        Ok(_) => Check::failed(
            ID,
            "A file was replaced by another one of the same name",
            "Take another file system for the store: two runs could replace each other's backups on this one",
        ),
    }
}

fn read(store: &LocalStore, key: &Key) -> Check {
    const ID: &str = "store.read";
    let mut content = Vec::new();
    let outcome = store
        .get(key, None)
        .and_then(|mut reader| std::io::Read::read_to_end(&mut reader, &mut content).doing(|| format!("read `{key}`")));
    match outcome {
        Ok(_) if content == BODY => Check::ok(ID, "Files can be read"),
        Ok(_) => Check::failed(
            ID,
            "What was read is not what had been written",
            "Look at the disk: `dmesg` may say more",
        ),
        Err(failure) => Check::of_failure(ID, Status::Failed, &failure),
    }
}

fn list(store: &LocalStore, key: &Key) -> Check {
    const ID: &str = "store.list";
    let mut found = false;
    let outcome = store.list(key.as_str(), &mut |meta| {
        found |= meta.key == *key;
        Ok(std::ops::ControlFlow::Continue(()))
    });
    match outcome {
        Ok(()) if found => Check::ok(ID, "The folder can be listed"),
        Ok(()) => Check::failed(
            ID,
            "The listing does not show a file that was just written",
            "Take another file system for the store",
        ),
        Err(failure) => Check::of_failure(ID, Status::Failed, &failure),
    }
}

fn durable(folder: &Path) -> Check {
    const ID: &str = "store.durable";
    let attempt = || -> Result<()> {
        let file = probe(folder)?;
        file.as_file()
            .sync_all()
            .doing(|| format!("make a file in `{}` durable", folder.display()))?;
        std::fs::File::open(folder)
            .and_then(|opened| opened.sync_all())
            .doing(|| format!("make the folder `{}` durable", folder.display()))
    };
    match attempt() {
        Ok(()) => Check::ok(ID, "Files and folders can be made durable (fsync)"),
        Err(failure) => Check::of_failure(ID, Status::Failed, &failure)
            .with_hint("A backup in this folder could be lost with the power: take another file system"),
    }
}

fn probe(folder: &Path) -> Result<tempfile::NamedTempFile, Failure> {
    tempfile::Builder::new()
        .prefix(PROBE_PREFIX)
        .suffix(&format!(".{TRIAL_NAME}"))
        .tempfile_in(folder)
        .doing(|| format!("make a file in `{}`", folder.display()))
}

/// Removes what doctors that were killed have left. What cannot be removed does no harm, and `store.delete` tells why.
fn sweep(folder: &Path, run: &Run) {
    let Ok(entries) = folder.read_dir() else { return };
    for entry in entries.flatten() {
        let name = entry.file_name();
        let name = name.to_string_lossy();
        let is_ours = name.starts_with(PROBE_PREFIX)
            || name.starts_with(UNFINISHED_PREFIX) && name.ends_with(&format!(".{TRIAL_NAME}"));
        let modified = || {
            let meta = entry.metadata().ok().filter(std::fs::Metadata::is_file)?;
            Timestamp::try_from(meta.modified().ok()?).ok()
        };
        if is_ours && modified().is_some_and(|modified| is_older(modified, TRIAL_AGE_MAX, run)) {
            let _ = std::fs::remove_file(entry.path());
        }
    }
}

fn is_older(time: Timestamp, than: Duration, run: &Run) -> bool {
    Duration::try_from(run.clock.now().duration_since(time)).is_ok_and(|age| age >= than)
}

fn case(folder: &Path) -> Check {
    const ID: &str = "store.case";
    let file = match probe(folder) {
        Ok(file) => file,
        Err(failure) => return Check::of_failure(ID, Status::Failed, &failure),
    };
    let name = file.path().file_name().unwrap_or_default().to_string_lossy();
    match folder.join(name.replacen("Doctor", "doctor", 1)).exists() {
        false => Check::ok(ID, "Upper and lower case are told apart"),
        true => Check::warning(
            ID,
            "Upper and lower case are the same here: series whose names differ only by that could meet",
            "Give series names that differ in more than case",
        ),
    }
}

fn permissions(folder: &Path) -> Check {
    const ID: &str = "store.permissions";
    match folder.metadata().doing(|| format!("look at `{}`", folder.display())) {
        Err(failure) => Check::of_failure(ID, Status::Warning, &failure),
        Ok(meta) => match meta.permissions().mode() & 0o077 {
            0 => Check::ok(ID, "Only its owner can look into the folder"),
            _ => Check::warning(
                ID,
                format!(
                    "Others can look into the folder (mode {:o}); the backups in it are for their owner alone",
                    meta.permissions().mode() & 0o7777
                ),
                format!("chmod 700 '{}'", folder.display()),
            ),
        },
    }
}

pub(super) fn free_space(folder: &Path, plain_bytes: Option<u64>) -> Check {
    const ID: &str = "store.free-space";
    match room_for(folder, plain_bytes) {
        Room::Unknown => Check::skipped(ID, "the system does not tell how much is free"),
        Room::Enough(said) => Check::ok(ID, said),
        Room::Tight(said) => Check::warning(
            ID,
            format!("{said}; compressed it may fit"),
            "Make room, or take a store on a larger disk",
        ),
        Room::None(said) => Check::failed(ID, said, "Make room, or take a store on another disk"),
    }
}

fn unfinished(store: &LocalStore, run: &Run) -> Check {
    const ID: &str = "store.unfinished";
    match store.unfinished_uploads("") {
        Err(failure) => Check::of_failure(ID, Status::Warning, &failure),
        Ok(mut uploads) => {
            // What a doctor is at work with, or was a moment ago.
            uploads.retain(|upload| upload.key.file_name() != TRIAL_NAME);
            let old = uploads
                .iter()
                .filter(|upload| {
                    upload
                        .initiated
                        .is_some_and(|begun| is_older(begun, UNFINISHED_AGE, run))
                })
                .count();
            match (old, uploads.len()) {
                (0, 0) => Check::ok(ID, "No file was left unfinished"),
                (0, all) => Check::ok(
                    ID,
                    format!("Files that are being written, or were left unfinished within the last week: {all}"),
                ),
                (old, _) => Check::warning(
                    ID,
                    format!("Files that were left unfinished more than a week ago: {old}"),
                    "Remove them with `backup-cli cleanup`",
                ),
            }
        }
    }
}
