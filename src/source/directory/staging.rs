//! The folder inside the target in which a restore is made before anything of the target changes.

use std::os::fd::AsFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use cap_std::ambient_authority;
use cap_std::fs::{Dir, DirBuilder, DirBuilderExt};
use rand::Rng;
use rustix::fs::{FlockOperation, Mode, Timespec, Timestamps};

use super::handles::FOLDER_FLAGS;
use super::remove::remove;
use crate::base::failure::{Failure, IoContext, Kind, Result, io_failure};

/// What staging folders' names begin with.
pub(super) const STAGING_PREFIX: &str = ".backup-cli-restore-";

/// Where the restored tree stands.
pub(super) const TREE: &str = "tree";
/// Where files stand that only lend their content to hard links.
pub(super) const SIDE: &str = "side";
/// Where the target's own items wait until the restore is safe.
pub(super) const REPLACED: &str = "replaced";
/// Where it is written down what has been moved.
pub(super) const JOURNAL: &str = "journal";

/// A staging folder. Dropped without [`Staging::finish`], it removes itself and every folder that it made above.
pub(super) struct Staging {
    target: Dir,
    target_path: PathBuf,
    folder: Dir,
    name: String,
    /// Folders made for the target's sake, outermost first.
    made: Vec<PathBuf>,
    target_times: Timestamps,
    is_finished: bool,
}

impl Staging {
    /// Makes the target if it is missing, and the staging folder in it.
    ///
    /// # Errors
    /// The system's; nothing is left behind then.
    pub(super) fn create(target_path: &Path) -> Result<Self> {
        let made = make_missing(target_path)?;
        match Self::create_in(target_path) {
            Ok(mut staging) => {
                staging.made = made;
                Ok(staging)
            }
            Err(failure) => {
                remove_made(&made);
                Err(failure)
            }
        }
    }

    fn create_in(target_path: &Path) -> Result<Self> {
        let doing = || format!("restore into `{}`", target_path.display());
        let target = Dir::open_ambient_dir(target_path, ambient_authority())
            .and_then(|target| usable(&target, "."))
            .doing(doing)?;
        let stat = rustix::fs::fstat(&target).map_err(std::io::Error::from).doing(doing)?;
        let suffix: String = rand::rng()
            .sample_iter(rand::distr::Alphanumeric)
            .take(8)
            .map(char::from)
            .collect();
        let name = format!("{STAGING_PREFIX}{suffix}");
        let mut private = DirBuilder::new();
        private.mode(0o700);
        target.create_dir_with(&name, &private).doing(doing)?;
        let folder = usable(&target, &name)
            .and_then(|folder| {
                // A folder inherits the set-group bit from its parent, and would pass it on.
                rustix::fs::fchmod(&folder, Mode::RWXU)?;
                for below in [TREE, SIDE, REPLACED] {
                    folder.create_dir_with(below, &private)?;
                }
                Ok(folder)
            })
            .doing(doing);
        let folder = match folder {
            Ok(folder) => folder,
            Err(failure) => {
                // The first failure is what matters; a folder that cannot be removed is empty.
                let _ = remove(target.as_fd(), name.as_bytes());
                return Err(failure);
            }
        };
        // The lock goes with the process, however it ends. File systems without locks keep what was left behind. Nobody but
        // who looks whether it is held can have it by now, for a moment.
        if rustix::fs::flock(&folder, FlockOperation::LockExclusive).is_ok() {
            remove_left_behind(&target, &name);
        }
        Ok(Self {
            target,
            target_path: target_path.to_owned(),
            folder,
            name,
            made: Vec::new(),
            target_times: Timestamps {
                last_access: Timespec {
                    tv_sec: stat.st_atime,
                    tv_nsec: stat.st_atime_nsec as _,
                },
                last_modification: Timespec {
                    tv_sec: stat.st_mtime,
                    tv_nsec: stat.st_mtime_nsec as _,
                },
            },
            is_finished: false,
        })
    }

    /// The target.
    pub(super) fn target(&self) -> &Dir {
        &self.target
    }

    /// The target's path, for messages.
    pub(super) fn target_path(&self) -> &Path {
        &self.target_path
    }

    /// The staging folder's name in the target.
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// Opens one of the folders inside.
    ///
    /// # Errors
    /// The system's.
    pub(super) fn open(&self, name: &str) -> Result<Dir> {
        usable(&self.folder, name).doing(|| format!("restore into `{}`", self.target_path.display()))
    }

    /// The staging folder itself.
    pub(super) fn folder(&self) -> &Dir {
        &self.folder
    }

    /// Removes the staging folder after everything has been moved out of it; the target stays as it is now.
    ///
    /// # Errors
    /// If something is left, which the failure names. The restore stands all the same.
    pub(super) fn finish(mut self) -> Result<()> {
        self.is_finished = true;
        remove(self.target.as_fd(), self.name.as_bytes())
            .map_err(std::io::Error::from)
            .doing(|| format!("remove `{}`", self.target_path.join(&self.name).display()))
            .map_err(|failure| {
                failure.hint("The restore itself is whole; remove that folder by hand, it holds what was replaced")
            })
    }
}

impl Staging {
    /// Leaves the staging folder where it is, because it holds what belongs into the target; says where that is.
    pub(super) fn keep(&mut self) -> PathBuf {
        self.is_finished = true;
        self.target_path.join(&self.name)
    }
}

impl Drop for Staging {
    fn drop(&mut self) {
        if self.is_finished {
            return;
        }
        // The failure that led here is being reported; a second one would only hide it.
        let _ = remove(self.target.as_fd(), self.name.as_bytes());
        let _ = rustix::fs::futimens(&self.target, &self.target_times);
        remove_made(&self.made);
    }
}

/// Removes the staging folders of restores that were killed, unless they hold what the target held before.
fn remove_left_behind(target: &Dir, own_name: &str) {
    let Ok(entries) = target.entries() else { return };
    for entry in entries.flatten() {
        let name = entry.file_name();
        let Some(name) = name
            .to_str()
            .filter(|name| name.starts_with(STAGING_PREFIX) && *name != own_name)
        else {
            continue;
        };
        // Whoever is at work in it holds its lock.
        let Ok(folder) = usable(target, name) else { continue };
        if rustix::fs::flock(&folder, FlockOperation::NonBlockingLockExclusive).is_err() {
            continue;
        }
        let holds_nothing = match folder.read_dir(REPLACED) {
            Ok(mut items) => items.next().is_none(),
            // It was killed before it made that one.
            Err(error) => error.kind() == std::io::ErrorKind::NotFound,
        };
        if holds_nothing {
            // A folder that cannot be removed is told of when the target is looked at.
            let _ = remove(target.as_fd(), name.as_bytes());
        }
    }
}

/// Opens a folder so that it can be listed and its mode and times be set, which a handle of cap-std alone does not allow.
fn usable(folder: &Dir, name: &str) -> std::io::Result<Dir> {
    let opened = rustix::fs::openat(folder, name, FOLDER_FLAGS, Mode::empty())?;
    Ok(Dir::from_std_file(opened.into()))
}

/// Makes the folders of `path` that are missing, and says which.
fn make_missing(path: &Path) -> Result<Vec<PathBuf>> {
    let mut missing = Vec::new();
    for folder in path.ancestors() {
        if folder.as_os_str().as_bytes().is_empty() || folder.exists() {
            break;
        }
        missing.push(folder.to_owned());
    }
    missing.reverse();
    for (index, folder) in missing.iter().enumerate() {
        match std::fs::create_dir(folder) {
            Ok(()) => {}
            // `a/.` and `a/b/..` appear once `a` is there.
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists && folder.is_dir() => {}
            Err(error) => {
                remove_made(&missing[..index]);
                let failure = io_failure(format!("create the folder `{}`", folder.display()), error);
                // What is above it is there, so that nothing that the user named is missing (exit 10).
                let failure = match failure.kind() {
                    Kind::NotFound => failure.with_kind(Kind::Failed),
                    _ => failure,
                };
                return Err(match failure.hints() {
                    [] => failure.hint("Choose a target in a folder in which folders can be made"),
                    _ => failure,
                });
            }
        }
    }
    Ok(missing)
}

/// Removes folders again that were made, if nobody has put anything into them.
fn remove_made(made: &[PathBuf]) {
    for folder in made.iter().rev() {
        if std::fs::remove_dir(folder).is_err() {
            break;
        }
    }
}

/// The names in a target, its staging folder excepted, up to two of them: whether it is empty, and what to name.
pub(super) fn names_in(target: &Dir, except: Option<&str>) -> std::io::Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in target.entries()? {
        let name = entry?.file_name().to_string_lossy().into_owned();
        if except != Some(name.as_str()) {
            names.push(name);
            if names.len() == 2 {
                break;
            }
        }
    }
    Ok(names)
}

/// Whether somebody restores in the staging folder of this name: who does holds its lock.
fn is_at_work(target: &Path, name: &str) -> bool {
    name.starts_with(STAGING_PREFIX)
        && std::fs::File::open(target.join(name))
            .is_ok_and(|folder| rustix::fs::flock(&folder, FlockOperation::NonBlockingLockShared).is_err())
}

/// The refusal of a target that holds something.
pub(super) fn not_empty(target: &Path, names: &[String]) -> Failure {
    let failure = Failure::new(
        Kind::Refused,
        format!(
            "The target `{}` is not empty: it holds `{}`",
            target.display(),
            names.join("`, `")
        ),
    );
    if let Some(name) = names.iter().find(|name| is_at_work(target, name)) {
        return Failure::new(
            Kind::Locked,
            format!("Another restore into `{}` is at work", target.display()),
        )
        .hint(format!(
            "Wait until it has ended, or restore into another folder; it works in `{}`, which is not to be touched",
            target.join(name).display()
        ));
    }
    if names.iter().all(|name| name.starts_with(STAGING_PREFIX)) {
        let holds_something = |name: &&String| {
            std::fs::read_dir(target.join(name).join(REPLACED)).is_ok_and(|mut items| items.next().is_some())
        };
        match names.iter().find(holds_something) {
            Some(name) => failure.hint(format!(
                "A restore was killed while it moved things: what the target held before is in `{}`; move it away from \
                 there before you remove that folder and run the restore again",
                target.join(name).join(REPLACED).display()
            )),
            None => {
                failure.hint("A restore that was killed left that folder behind; remove it and run the restore again")
            }
        }
    } else {
        failure
            .hint("Restore into an empty or a new folder")
            .hint("Use --merge to put the backup's files among those, or --replace to replace what has the same name")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_staging_folder_goes_unless_it_is_kept() {
        let top = tempfile::tempdir().unwrap();
        drop(Staging::create(top.path()).unwrap());
        assert_eq!(std::fs::read_dir(top.path()).unwrap().count(), 0);
        let kept = Staging::create(top.path()).unwrap().keep();
        assert!(kept.join(REPLACED).is_dir());
    }

    #[test]
    fn what_a_killed_restore_left_goes_with_the_next_one_and_what_one_at_work_has_stays() {
        let top = tempfile::tempdir().unwrap();
        let names = || -> Vec<PathBuf> {
            let entries = std::fs::read_dir(top.path()).unwrap();
            entries.map(|entry| entry.unwrap().path()).collect()
        };
        let left = Staging::create(top.path()).unwrap().keep();
        std::fs::write(left.join(TREE).join("half"), "of a restore").unwrap();
        let moved = Staging::create(top.path()).unwrap();
        assert!(!left.exists());
        std::fs::write(top.path().join(moved.name()).join(REPLACED).join("0"), "the only copy").unwrap();
        let moved = { moved }.keep();
        let at_work = Staging::create(top.path()).unwrap();
        assert!(moved.exists());
        drop(Staging::create(top.path()).unwrap());
        assert!(top.path().join(at_work.name()).exists());
        drop(at_work);
        assert_eq!(names(), [moved]);
    }

    #[test]
    fn a_folder_that_the_system_does_not_make_is_a_failure() {
        let failure = Staging::create(Path::new("/proc/none/x")).err().unwrap();
        assert_eq!(failure.kind(), Kind::Failed, "{failure:?}");
        assert!(!failure.hints().is_empty());
    }

    #[test]
    fn what_is_at_work_is_not_called_dead() {
        let top = tempfile::tempdir().unwrap();
        let at_work = Staging::create(top.path()).unwrap();
        let names = vec![at_work.name().to_owned()];
        let failure = not_empty(top.path(), &names);
        assert_eq!(failure.kind(), Kind::Locked);
        assert!(failure.hints()[0].contains("not to be touched"), "{failure:?}");
        drop(at_work);
    }

    #[test]
    fn what_a_killed_restore_moved_aside_is_not_called_rubbish() {
        let top = tempfile::tempdir().unwrap();
        let kept = Staging::create(top.path()).unwrap().keep();
        let name = vec![kept.file_name().unwrap().to_string_lossy().into_owned()];
        assert!(not_empty(top.path(), &name).hints()[0].contains("remove it and run"));
        assert_eq!(not_empty(top.path(), &name).kind(), Kind::Refused);
        std::fs::write(kept.join(REPLACED).join("0"), "the only copy").unwrap();
        let hint = not_empty(top.path(), &name).hints()[0].clone();
        assert!(hint.contains("/replaced`; move it away"), "{hint}");
    }
}
