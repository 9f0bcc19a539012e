//! Paths below a folder that are longer than the system takes at once.

use std::ffi::OsStr;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, OFlags};

/// How much of a path is taken in one step, in bytes. Linux takes 4,096 with the NUL at the end (`PATH_MAX`); a name has
/// 255 at most, so that a step always ends at a slash well before that.
const STEP_BYTES: usize = 2_048;

/// A path for the system's calls; it means what it says as long as this lives.
#[derive(Debug)]
pub(super) struct Reached {
    path: PathBuf,
    _folder: Option<OwnedFd>,
}

impl AsRef<Path> for Reached {
    fn as_ref(&self) -> &Path {
        &self.path
    }
}

/// What lies at `path` below `folder`, however deep. It need not be there; if it is a link, that is not followed here.
///
/// # Errors
/// If a folder on the way to it cannot be opened.
pub(super) fn reach(folder: &Path, path: &[u8]) -> io::Result<Reached> {
    let whole = folder.join(OsStr::from_bytes(path));
    if whole.as_os_str().len() <= STEP_BYTES {
        return Ok(Reached {
            path: whole,
            _folder: None,
        });
    }
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let mut reached = rustix::fs::open(folder, flags, Mode::empty())?;
    let mut rest = path;
    while rest.len() > STEP_BYTES {
        let Some(slash) = rest[..STEP_BYTES].iter().rposition(|byte| *byte == b'/') else {
            return Err(io::Error::from_raw_os_error(
                rustix::io::Errno::NAMETOOLONG.raw_os_error(),
            ));
        };
        reached = rustix::fs::openat(&reached, OsStr::from_bytes(&rest[..slash]), flags, Mode::empty())?;
        rest = &rest[slash + 1..];
    }
    let path = Path::new("/proc/self/fd")
        .join(reached.as_raw_fd().to_string())
        .join(OsStr::from_bytes(rest));
    Ok(Reached {
        path,
        _folder: Some(reached),
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn what_lies_deeper_than_a_path_may_be_long_is_reached() {
        let top = tempfile::tempdir().unwrap();
        let name = "d".repeat(200);
        let mut path = String::new();
        for _ in 0..40 {
            std::fs::create_dir(reach(top.path(), format!("{path}{name}").as_bytes()).unwrap()).unwrap();
            path = format!("{path}{name}/");
        }
        let leaf = format!("{path}leaf");
        assert!(leaf.len() > 2 * 4096 - 200);
        std::fs::write(reach(top.path(), leaf.as_bytes()).unwrap(), b"deep").unwrap();
        assert_eq!(
            std::fs::read(reach(top.path(), leaf.as_bytes()).unwrap()).unwrap(),
            b"deep"
        );
        let missing = reach(top.path(), format!("{path}none").as_bytes()).unwrap();
        assert_eq!(
            missing.as_ref().symlink_metadata().unwrap_err().kind(),
            io::ErrorKind::NotFound
        );
        let nowhere = format!("{}/x", "e".repeat(200)).repeat(20);
        assert_eq!(
            reach(top.path(), nowhere.as_bytes()).unwrap_err().kind(),
            io::ErrorKind::NotFound
        );
    }

    #[test]
    fn no_step_ends_at_a_link_and_the_last_name_may_be_one() {
        let top = tempfile::tempdir().unwrap();
        std::os::unix::fs::symlink("/", top.path().join("l")).unwrap();
        let long = "etc/../".repeat(600);
        assert!(reach(&top.path().join("l"), long.as_bytes()).is_err());
        assert!(
            reach(top.path(), b"l")
                .unwrap()
                .as_ref()
                .symlink_metadata()
                .unwrap()
                .is_symlink()
        );
    }
}
