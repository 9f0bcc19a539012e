//! The paths that a user names, and what each is called in the archive.

use std::collections::HashMap;
use std::io::ErrorKind;
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf};

use crate::base::failure::{Failure, IoContext, Kind, Result};

/// What `/` is called in an archive, having no name of its own.
const FILE_SYSTEM_ROOT_NAME: &[u8] = b"root";

/// A path to be backed up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Root {
    /// As the user wrote it, for messages.
    pub(super) given: PathBuf,
    /// Without symbolic links; opened one folder above, so that it is looked at without following anything.
    pub(super) real: PathBuf,
    /// What its entries' paths begin with.
    pub(super) name: Vec<u8>,
    /// Whether the path that the user wrote is itself a symbolic link.
    pub(super) is_link: bool,
}

/// Finds the paths and their names in the archive.
///
/// A path named by the user is followed if it is a symbolic link (it keeps the link's name): storing the bare link would
/// be a backup of nothing. Links inside are never followed.
///
/// # Errors
/// [`Kind::NotFound`] for a path that does not exist, [`Kind::Usage`] if there is none or if two have the same name.
pub(super) fn resolve(paths: &[PathBuf]) -> Result<Vec<Root>> {
    if paths.is_empty() {
        return Err(Failure::new(Kind::Usage, "No path to back up was named")
            .hint("Name at least one file or folder, for example `backup-cli backup /srv/www`"));
    }
    let mut roots: Vec<Root> = Vec::with_capacity(paths.len());
    let mut names: HashMap<Vec<u8>, PathBuf> = HashMap::new();
    for path in paths {
        let root = resolve_one(path)?;
        if let Some(other) = names.insert(root.name.clone(), path.clone()) {
            return Err(Failure::new(
                Kind::Usage,
                format!(
                    "`{}` and `{}` would both be called `{}` in the archive",
                    other.display(),
                    path.display(),
                    String::from_utf8_lossy(&root.name)
                ),
            )
            .hint("Back up the folder that holds both, or make two backups under different names"));
        }
        roots.push(root);
    }
    Ok(roots)
}

fn resolve_one(path: &Path) -> Result<Root> {
    let doing = || format!("back up `{}`", path.display());
    let link = match std::fs::symlink_metadata(path) {
        Ok(metadata) => metadata.file_type().is_symlink(),
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {
            return Err(
                Failure::new(Kind::NotFound, format!("No such file or folder: `{}`", path.display()))
                    .caused_by(error)
                    .hint("Check the spelling; a relative path starts at the current folder"),
            );
        }
        Err(error) => return Err(error).doing(doing),
    };
    let real = match std::fs::canonicalize(path) {
        Ok(real) => real,
        Err(error) if link && error.kind() == ErrorKind::NotFound => {
            return Err(Failure::new(
                Kind::NotFound,
                format!("`{}` is a symbolic link that points nowhere", path.display()),
            )
            .caused_by(error)
            .hint("Name the folder that is to be backed up itself"));
        }
        Err(error) => return Err(error).doing(doing),
    };
    // `.` and `..` have no name of their own: `Path::file_name` knows about `..`, and drops `.` at the end of a path.
    let named = match path.components().next_back() {
        Some(Component::Normal(name)) if !ends_with_dot(path) => Some(name),
        _ => None,
    };
    let name = match named.or_else(|| real.file_name()) {
        Some(name) => name.as_bytes().to_vec(),
        None => FILE_SYSTEM_ROOT_NAME.to_vec(),
    };
    Ok(Root {
        given: path.to_owned(),
        is_link: link && named.is_some(),
        real,
        name,
    })
}

fn ends_with_dot(path: &Path) -> bool {
    let bytes = path.as_os_str().as_bytes();
    let trimmed = bytes
        .iter()
        .rposition(|byte| *byte != b'/')
        .map_or(bytes, |last| &bytes[..=last]);
    trimmed == b"." || trimmed.ends_with(b"/.")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_the_last_part_of_the_path() {
        let folder = tempfile::tempdir().unwrap();
        let base = folder.path().canonicalize().unwrap();
        std::fs::create_dir_all(base.join("a/b")).unwrap();
        let name = |path: PathBuf| String::from_utf8(resolve_one(&path).unwrap().name).unwrap();
        assert_eq!(name(base.join("a")), "a");
        assert_eq!(name(base.join("a/b/")), "b");
        assert_eq!(name(base.join("a/b/..")), "a");
        assert_eq!(name(base.join("a/b/.")), "b");
        assert_eq!(name(base.join("a/b/./")), "b");
        assert_eq!(name(PathBuf::from("/")), "root");
        let here = std::env::current_dir().unwrap().canonicalize().unwrap();
        assert_eq!(
            resolve_one(Path::new(".")).unwrap().name,
            here.file_name().unwrap().as_bytes()
        );
    }

    #[test]
    fn a_named_link_is_followed_and_keeps_its_name() {
        let folder = tempfile::tempdir().unwrap();
        let base = folder.path().canonicalize().unwrap();
        std::fs::create_dir(base.join("data")).unwrap();
        std::os::unix::fs::symlink("data", base.join("www")).unwrap();
        let root = resolve_one(&base.join("www")).unwrap();
        assert_eq!((root.name.as_slice(), root.is_link), (b"www".as_slice(), true));
        assert_eq!(root.real, base.join("data"));
    }

    #[test]
    fn missing_paths_dangling_links_and_equal_names_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let base = folder.path();
        assert_eq!(resolve(&[]).unwrap_err().kind(), Kind::Usage);
        assert_eq!(resolve(&[base.join("none")]).unwrap_err().kind(), Kind::NotFound);
        std::os::unix::fs::symlink("nowhere", base.join("dangling")).unwrap();
        assert_eq!(resolve(&[base.join("dangling")]).unwrap_err().kind(), Kind::NotFound);
        std::fs::create_dir_all(base.join("a/www")).unwrap();
        std::fs::create_dir_all(base.join("b/www")).unwrap();
        let failure = resolve(&[base.join("a/www"), base.join("b/www")]).unwrap_err();
        assert_eq!(failure.kind(), Kind::Usage);
        assert!(!failure.hints().is_empty());
    }
}
