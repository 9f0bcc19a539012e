//! Names and places of what a drill makes and removes again, and what drills that were killed have left.

use std::cell::Cell;
use std::fs::File;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use jiff::{SignedDuration, Timestamp};
use rustix::fs::{FlockOperation, flock};

use crate::base::failure::{Failure, IoContext, Kind, Result};
use crate::catalog::layout::{name_from, time_of_stamp};
use crate::source::dated::free_name;
use crate::source::directory::remove_tree;

/// What stands in the names of scratch databases between what they are made of and the rest.
const INFIX: &str = "__drill_";

/// The same for those that are to stay, which no later drill takes for a leftover.
const KEPT_INFIX: &str = "__kept_drill_";

/// How much of a series' or database's name a scratch database carries, in bytes. A restore into PostgreSQL works under
/// the name with 34 more bytes, for which it is cut to 29: so much, that infix and tag are still there.
const STEM_BYTES_MAX: usize = 15;

/// A scratch database whose drill ran on another machine is a leftover if nobody has been connected and it is this old.
const LEFTOVER_AGE: SignedDuration = SignedDuration::from_hours(1);

/// What stands in a scratch name after which a restore has put its own date.
const RESTORE_INFIX: &str = "__restore_";

/// What scratch folders' names begin with.
const FOLDER_PREFIX: &str = "backup-cli-drill-";

/// The file in a scratch folder whose lock says that its drill is running.
const FOLDER_LOCK: &str = "lock";

/// Says that a drill is running for as long as it is held, by a lock that goes with the process.
#[derive(Debug)]
pub(super) struct RunningDrill {
    /// Six random hexadecimal digits, which stand in the names of what the drill makes.
    pub tag: String,
    path: PathBuf,
    may_leave: Cell<bool>,
    _file: File,
}

impl RunningDrill {
    /// Begins a drill.
    ///
    /// # Errors
    /// If the lock cannot be written.
    pub(super) fn begin(lock_folder: &Path) -> Result<Self> {
        std::fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(lock_folder)
            .doing(|| format!("make the folder for locks `{}`", lock_folder.display()))?;
        let tag = hex::encode(rand::random::<[u8; 3]>());
        let path = lock_path(lock_folder, &tag);
        let file = File::options()
            .create(true)
            .truncate(false)
            .write(true)
            .open(&path)
            .doing(|| format!("open the lock `{}`", path.display()))?;
        flock(&file, FlockOperation::NonBlockingLockExclusive)
            .map_err(std::io::Error::from)
            .doing(|| format!("take the lock `{}`", path.display()))?;
        Ok(Self {
            tag,
            path,
            may_leave: Cell::new(false),
            _file: file,
        })
    }

    /// Says whether a database of this drill may be on its server when the drill has ended.
    pub(super) fn may_leave(&self, may_leave: bool) {
        self.may_leave.set(may_leave);
    }
}

impl Drop for RunningDrill {
    fn drop(&mut self) {
        // The file that stays, and that nobody holds, tells the next drill that what has its tag is left over.
        if !self.may_leave.get() {
            // What stays of it does no harm.
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

/// Whether a database was made by the drill of this tag, not to stay.
pub(super) fn is_of_drill(name: &str, tag: &str) -> bool {
    read_name(name).is_some_and(|(found, _)| found == tag)
}

fn lock_path(lock_folder: &Path, tag: &str) -> PathBuf {
    lock_folder.join(format!("drill-{tag}.lock"))
}

/// The name of a scratch database.
pub(super) fn database_name(
    stem: &str,
    drill: &RunningDrill,
    keeps: bool,
    now: Timestamp,
    is_taken: impl FnMut(&str) -> bool,
) -> String {
    let stem = name_from(stem);
    let stem = &stem[..stem.floor_char_boundary(STEM_BYTES_MAX)];
    let infix = if keeps { KEPT_INFIX } else { INFIX };
    free_name(now, |date| format!("{stem}{infix}{}_{date}", drill.tag), is_taken)
}

/// The tag of a scratch database's name and when it was made; `None` for any other name.
fn read_name(name: &str) -> Option<(&str, Option<Timestamp>)> {
    let (_, rest) = name.rsplit_once(INFIX)?;
    let tag = rest
        .get(..6)
        .filter(|tag| tag.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b)))?;
    let stamp = |text: &str| text.get(..15).and_then(time_of_stamp);
    let made = match rest.split_once(RESTORE_INFIX) {
        Some((_, date)) => stamp(date),
        None => stamp(rest.get(6..)?.strip_prefix('_')?),
    };
    Some((tag, made))
}

/// Which of a server's databases drills that were killed have left; each comes with the number of sessions on it.
pub(super) fn leftovers(databases: &[(String, u64)], lock_folder: &Path, now: Timestamp) -> Vec<String> {
    let is_left = |(name, sessions): &&(String, u64)| {
        let Some((tag, made)) = read_name(name) else {
            return false;
        };
        match File::open(lock_path(lock_folder, tag)) {
            // It ran on this machine, and tells exactly.
            Ok(lock) => flock(&lock, FlockOperation::NonBlockingLockShared).is_ok(),
            Err(_) => *sessions == 0 && made.is_some_and(|made| now.duration_since(made) > LEFTOVER_AGE),
        }
    };
    databases.iter().filter(is_left).map(|(name, _)| name.clone()).collect()
}

/// Forgets the lock of a drill whose leftover is gone.
pub(super) fn forget(name: &str, lock_folder: &Path) {
    if let Some((tag, _)) = read_name(name) {
        let _ = std::fs::remove_file(lock_path(lock_folder, tag));
    }
}

/// A folder that is removed again, with all that is in it.
#[derive(Debug)]
pub(super) struct ScratchFolder {
    path: PathBuf,
    keeps: bool,
    is_closed: bool,
    _lock: File,
}

impl ScratchFolder {
    /// Makes a folder for this user alone in `place`, and removes what drills that were killed have left there.
    ///
    /// # Errors
    /// The system's.
    pub(super) fn make(place: &Path, keeps: bool, now: Timestamp) -> Result<(Self, Vec<PathBuf>)> {
        let removed = remove_left(place, now);
        let random = hex::encode(rand::random::<[u8; 4]>());
        let kept = if keeps { "kept-" } else { "" };
        let path = place.join(format!(
            "{FOLDER_PREFIX}{kept}{}_{random}",
            now.strftime("%Y%m%d_%H%M%S")
        ));
        std::fs::DirBuilder::new()
            .mode(0o700)
            .create(&path)
            .doing(|| format!("make the scratch folder `{}`", path.display()))
            .map_err(|failure| match failure.kind() {
                Kind::NotFound => failure
                    .with_kind(Kind::Failed)
                    .hint("Name a folder that is there with --to, with space for the whole backup"),
                _ => failure,
            })?;
        let lock = lock_in(&path).inspect_err(|_| {
            // An empty folder, which the next drill removes.
            let _ = std::fs::remove_dir_all(&path);
        })?;
        let folder = Self {
            path,
            keeps,
            is_closed: false,
            _lock: lock,
        };
        Ok((folder, removed))
    }

    /// Where something goes that is restored into it.
    pub(super) fn below(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// The folder.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Removes the folder, unless it is to stay.
    ///
    /// # Errors
    /// What keeps it from being removed.
    pub(super) fn close(mut self) -> Result<()> {
        self.is_closed = true;
        match self.keeps {
            true => Ok(()),
            false => remove_tree(&self.path),
        }
    }
}

impl Drop for ScratchFolder {
    fn drop(&mut self) {
        if !self.is_closed && !self.keeps {
            // Whatever led here is the news; the next drill tries again.
            let _ = remove_tree(&self.path);
        }
    }
}

fn lock_in(folder: &Path) -> Result<File> {
    let path = folder.join(FOLDER_LOCK);
    let doing = || format!("make `{}`", path.display());
    let file = File::options()
        .create_new(true)
        .write(true)
        .mode(0o600)
        .open(&path)
        .doing(doing)?;
    flock(&file, FlockOperation::NonBlockingLockExclusive)
        .map_err(std::io::Error::from)
        .doing(doing)?;
    Ok(file)
}

/// Removes the scratch folders in `place` whose drills have ended without doing so; what cannot be removed stays.
fn remove_left(place: &Path, now: Timestamp) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(place) else {
        return Vec::new();
    };
    let mut removed = Vec::new();
    for entry in entries.flatten() {
        let name = entry.file_name();
        let stamp = name
            .to_str()
            .and_then(|name| name.strip_prefix(FOLDER_PREFIX)?.get(..15));
        let Some(made) = stamp.and_then(time_of_stamp) else {
            continue;
        };
        let path = entry.path();
        let is_left = match File::open(path.join(FOLDER_LOCK)) {
            Ok(lock) => flock(&lock, FlockOperation::NonBlockingLockShared).is_ok(),
            // Without a lock it is being made, being removed, or was left in the middle of that.
            Err(error) => error.kind() == std::io::ErrorKind::NotFound && now.duration_since(made) > LEFTOVER_AGE,
        };
        if is_left && remove_tree(&path).is_ok() {
            removed.push(path);
        }
    }
    removed
}

/// The failure of a target that is not for this drill to write to.
pub(super) fn refused(what: String) -> Failure {
    Failure::new(Kind::Refused, what)
        .hint("A drill makes a database of its own; name only the server, for example --to postgres://admin@host/")
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    #[test]
    fn scratch_names_are_read_back_even_when_a_restore_has_cut_them() {
        let locks = tempfile::tempdir().unwrap();
        let drill = RunningDrill::begin(locks.path()).unwrap();
        let now = at("2026-01-31T02:03:04Z");
        let name = database_name("a name that is rather long", &drill, false, now, |_| false);
        assert_eq!(name, format!("a_name_that_is___drill_{}_20260131_020304", drill.tag));
        assert_eq!(read_name(&name), Some((drill.tag.as_str(), Some(now))));
        let cut = format!("{}__restore_20260131_020305_0123abcd", &name[..29]);
        assert_eq!(cut.len(), 63);
        assert_eq!(
            read_name(&cut),
            Some((drill.tag.as_str(), Some(at("2026-01-31T02:03:05Z"))))
        );
        for other in [
            "shop",
            "shop__restore_20260131_020305_0123abcd",
            "__drill_",
            "a__drill_xyzxyz_20260131_020304",
        ] {
            assert_eq!(read_name(other), None, "{other}");
        }
        let kept = database_name("shop", &drill, true, now, |_| false);
        assert_eq!(read_name(&kept).map(|(tag, _)| tag), None, "{kept}");
    }

    #[test]
    fn only_what_nobody_works_with_is_a_leftover() {
        let locks = tempfile::tempdir().unwrap();
        let now = at("2026-01-31T12:00:00Z");
        let running = RunningDrill::begin(locks.path()).unwrap();
        let mine = format!("a__drill_{}_20260101_000000", running.tag);
        // A process that was killed leaves the file of its lock, which nobody holds.
        std::fs::write(lock_path(locks.path(), "00000a"), "").unwrap();
        let databases: Vec<(String, u64)> = [
            (mine.as_str(), 0),
            ("a__drill_00000a_20260131_115959", 1),
            ("b__drill_00000b_20260131_105959", 0),
            ("c__drill_00000c_20260131_105959", 1),
            ("d__drill_00000d_20260131_110001", 0),
            ("shop", 0),
            ("e__kept_drill_00000e_20250131_110001", 0),
        ]
        .map(|(name, sessions)| (name.to_owned(), sessions))
        .to_vec();
        assert_eq!(
            leftovers(&databases, locks.path(), now),
            ["a__drill_00000a_20260131_115959", "b__drill_00000b_20260131_105959"]
        );
        forget("a__drill_00000a_20260131_115959", locks.path());
        assert!(!lock_path(locks.path(), "00000a").exists());
    }

    #[test]
    fn what_a_drill_could_not_drop_is_a_leftover_for_the_next_one_at_once() {
        let locks = tempfile::tempdir().unwrap();
        let now = at("2026-01-31T12:00:00Z");
        for may_leave in [true, false] {
            let drill = RunningDrill::begin(locks.path()).unwrap();
            let name = database_name("shop", &drill, false, now, |_| false);
            assert!(is_of_drill(&name, &drill.tag) && !is_of_drill(&name, "00000a"));
            drill.may_leave(true);
            drill.may_leave(may_leave);
            let databases = [(name.clone(), 1)];
            assert!(leftovers(&databases, locks.path(), now).is_empty(), "it runs");
            let path = drill.path.clone();
            drop(drill);
            assert_eq!(path.exists(), may_leave);
            assert_eq!(leftovers(&databases, locks.path(), now).len(), usize::from(may_leave));
        }
    }

    #[test]
    fn scratch_folders_go_with_their_drill_and_leftovers_with_the_next() {
        let place = tempfile::tempdir().unwrap();
        let now = at("2026-01-31T12:00:00Z");
        let (running, _) = ScratchFolder::make(place.path(), false, now).unwrap();
        let left = place.path().join("backup-cli-drill-20260131_115900_00000000");
        std::fs::create_dir_all(left.join("tree/below")).unwrap();
        std::fs::write(left.join(FOLDER_LOCK), "").unwrap();
        let young = place.path().join("backup-cli-drill-20260131_115901_00000000");
        let old = place.path().join("backup-cli-drill-20260130_115901_00000000");
        let kept = place.path().join("backup-cli-drill-kept-20260130_115901_00000000");
        for folder in [&young, &old, &kept] {
            std::fs::create_dir(folder).unwrap();
        }
        let (second, mut removed) = ScratchFolder::make(place.path(), false, now).unwrap();
        removed.sort();
        assert_eq!(removed, [old, left]);
        assert!(running.path().exists() && young.exists() && kept.exists());
        std::fs::write(second.below("x"), "x").unwrap();
        let path = second.path().to_owned();
        second.close().unwrap();
        assert!(!path.exists());
        let path = running.path().to_owned();
        drop(running);
        assert!(!path.exists());
    }
}
