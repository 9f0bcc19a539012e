//! Restoring a tree: into a staging folder first, and into place only when everything has proved to be whole.

use std::io::Read;
use std::path::{Path, PathBuf};

use cap_std::ambient_authority;
use cap_std::fs::Dir;
use rustix::fs::{Access, AtFlags, CWD};

use super::archive::ArchiveReader;
use super::content_log::ContentLog;
use super::extract::Extractor;
use super::place::place;
use super::selection::PathSelection;
use super::staging::{SIDE, Staging, TREE, names_in, not_empty};
use crate::base::failure::{Failure, IoContext, Kind, Result};
use crate::base::report::Event;
use crate::catalog::manifest::Problem;
use crate::source::SourceContext;

/// What to do with what is in the target already.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Existing {
    /// The target has to be empty, or not to exist.
    #[default]
    Refuse,
    /// Folders that exist on both sides become one, files of the backup replace those of the same path, all else stays.
    /// A link of the target is never followed: it counts as a file.
    Merge,
    /// What has the same name at the top of the backup is replaced as a whole; what else the target holds stays.
    Replace,
}

/// What is restored, and where to.
#[derive(Clone, Debug, Default)]
pub struct TreeRestoreOptions {
    /// The folder that gets the archive's top; made if it is missing.
    pub target: PathBuf,
    /// Which paths are wanted.
    pub selection: PathSelection,
    /// What to do with what is there.
    pub existing: Existing,
    /// Whether owners are restored, and with them devices and the bits that lend an owner's rights; `None` for "if root".
    pub owners: Option<bool>,
    /// Whether the archive is fed as a whole, so that its end marker must be there.
    ///
    /// If not, it is made of single entries, picked by the index: what the selection wants, the folders on the way, and
    /// what lends its content to a hard link that is wanted. The latter is used for that, and not restored itself.
    pub expect_end: bool,
    /// Where to write down what the content of each file was, if anybody wants to know.
    pub content_log: Option<ContentLog>,
}

/// What was restored.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TreeRestoreReport {
    /// Regular files, hard links included.
    pub files: u64,
    /// Folders that the archive names.
    pub folders: u64,
    /// Links, pipes, devices.
    pub others: u64,
    /// The sizes of the files, in bytes; further names of a file are not counted.
    pub bytes: u64,
    /// Items that are missing or not as they were; the first of them.
    pub problems: Vec<Problem>,
    /// How many problems there were in all.
    pub problem_count: u64,
}

/// Checks a target before anything is fetched.
///
/// # Errors
/// [`Kind::Refused`] if it holds something and may not; [`Kind::Usage`] if it is no folder, or if a part of a backup is
/// to replace the whole; [`Kind::Denied`] if it may not be written to.
pub fn check_tree_target(options: &TreeRestoreOptions) -> Result<()> {
    let target = options.target.as_path();
    if target.as_os_str().is_empty() {
        return Err(Failure::new(Kind::Usage, "No folder to restore into was named").hint("Name one with --to"));
    }
    if options.existing == Existing::Replace && !options.selection.is_everything() {
        return Err(Failure::new(
            Kind::Usage,
            "A selection of paths cannot replace a whole tree: what is not selected would be lost",
        )
        .hint("Use --merge to put the selected files among those that are there"));
    }
    match std::fs::metadata(target) {
        Ok(metadata) if !metadata.is_dir() => {
            return Err(Failure::new(
                Kind::Usage,
                format!("The target `{}` is not a folder", target.display()),
            )
            .hint("Name a folder; a single file is restored into a folder with --include"));
        }
        Ok(_) => {
            let doing = || format!("look into the target `{}`", target.display());
            let folder = Dir::open_ambient_dir(target, ambient_authority()).doing(doing)?;
            let names = names_in(&folder, None).doing(doing)?;
            if options.existing == Existing::Refuse && !names.is_empty() {
                return Err(not_empty(target, &names));
            }
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            if std::fs::symlink_metadata(target).is_ok() {
                return Err(Failure::new(
                    Kind::Usage,
                    format!(
                        "The target `{}` is a symbolic link that points nowhere",
                        target.display()
                    ),
                )
                .caused_by(error)
                .hint("Name a folder"));
            }
        }
        Err(error) => return Err(error).doing(|| format!("restore into `{}`", target.display())),
    }
    check_writable(target)
}

/// Whether new names can be made in the target, or in the nearest folder above it that exists.
fn check_writable(target: &Path) -> Result<()> {
    let absolute = std::path::absolute(target).doing(|| format!("restore into `{}`", target.display()))?;
    let Some(nearest) = absolute.ancestors().find(|folder| folder.exists()) else {
        return Ok(());
    };
    rustix::fs::accessat(CWD, nearest, Access::WRITE_OK | Access::EXEC_OK, AtFlags::EACCESS)
        .map_err(std::io::Error::from)
        .doing(|| format!("write into `{}`", nearest.display()))
        .map_err(|failure| failure.hint("Restore into a folder that you may write to, or run the restore as its owner"))
}

/// Restores an archive into a folder.
///
/// Everything is made in a staging folder (`.backup-cli-restore-…`, for nobody else) on the target's file system. When the
/// archive has been read to its end, `verify` is asked whether it was whole; only then is anything moved into place. After
/// any failure the target is as before: a target that was made is gone, what was moved has been moved back.
///
/// No path of the archive leads out of the target: `..` is refused, a leading slash dropped, links are never followed.
/// What cannot be restored of single items is in the report.
///
/// # Errors
/// [`Kind::Damaged`] for an archive that is cut off or broken; what [`check_tree_target`] and `verify` fail with;
/// [`Kind::NotFound`] if a selection finds nothing in a whole archive, or not each path that it spells out;
/// [`Kind::NoSpace`]; cancellation; the input's own failure.
pub fn restore_tree(
    archive: &mut dyn Read,
    options: &TreeRestoreOptions,
    verify: &mut dyn FnMut() -> Result<()>,
    context: &SourceContext<'_>,
) -> Result<TreeRestoreReport> {
    check_tree_target(options)?;
    let mut staging = Staging::create(&options.target)?;
    let mut reader = ArchiveReader::new(archive, options.expect_end);
    let mut extractor = Extractor::new(
        context,
        &options.selection,
        !options.expect_end,
        options.owners,
        options.content_log.clone(),
        staging.open(TREE)?.into_std_file().into(),
        staging.open(SIDE)?.into_std_file().into(),
    )?;
    extractor.run(&mut reader)?;
    context.cancel.check()?;
    verify()?;
    // Entries that were picked by the index are known to be what was asked for.
    if options.expect_end {
        extractor.check_found()?;
    }
    let (made, problems) = extractor.into_parts();
    place(&mut staging, options.existing, context.cancel)?;
    if let Err(failure) = staging.finish() {
        context.reporter.event(Event::Warning(format!(
            "{failure}: {}. {}.",
            failure.causes().join(": "),
            failure.hints().join(". ")
        )));
    }
    let (problems, problem_count) = problems.into_parts();
    Ok(TreeRestoreReport {
        files: made.files,
        folders: made.folders,
        others: made.others,
        bytes: made.bytes,
        problems,
        problem_count,
    })
}
