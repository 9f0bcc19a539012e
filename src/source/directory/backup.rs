//! The directory source: files and folders as a tar archive.

use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::fs::{Access, AtFlags, CWD};

use super::archiver::{Archiver, RECORD_BYTES};
use super::estimate::{COUNT_TIME_MAX, ESTIMATE_TIME_MAX, Estimator, used_bytes};
use super::excludes::Excludes;
use super::roots::{self, Root};
use super::walk::{WalkOptions, walk};
use crate::base::cancel::Cancel;
use crate::base::failure::{Failure, IoContext, Kind, Result};
use crate::base::report::Event;
use crate::catalog::manifest::SourceInfo;
use crate::source::{Bounded, Concern, Estimate, Source, SourceContext, SourceReport, SourceSink, Topic};

/// What is backed up, and what is left out.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DirectoryOptions {
    /// Files and folders. Each is stored under the last part of its path; what `/` holds is stored under `root`.
    pub paths: Vec<PathBuf>,
    /// Patterns in gitignore's syntax, relative to each path. They come after those of `exclude_files`; the last match decides.
    pub exclude: Vec<String>,
    /// Files of such patterns.
    pub exclude_files: Vec<PathBuf>,
    /// Of a folder with a `CACHEDIR.TAG`, keep only the folder and the tag.
    pub exclude_caches: bool,
    /// The folders of the stores that the backup goes to, as far as they are on this machine: a backup must not contain
    /// itself. What they hold is left out; they need not exist yet.
    pub store_folders: Vec<PathBuf>,
    /// Keep folders that are on another file system than their source, but not what is in them.
    pub one_file_system: bool,
}

/// Files and folders as a [`Source`]; its extension is `tar`.
///
/// The source adds items and errors to the progress; the bytes are for the sink to count. Content of 1 MiB or more stands
/// in members of its own. Extended attributes (and with them ACLs) of files and folders are stored, those of links,
/// pipes and devices are not.
#[derive(Debug)]
pub struct DirectorySource {
    options: DirectoryOptions,
    prepared: Option<Prepared>,
}

#[derive(Clone, Debug)]
struct Prepared {
    roots: Vec<Root>,
    excludes: Excludes,
    store_folders: Vec<PathBuf>,
}

/// The path without links, as far as it exists.
fn real_path(path: &Path) -> PathBuf {
    for above in path.ancestors() {
        if let (Ok(real), Ok(rest)) = (above.canonicalize(), path.strip_prefix(above)) {
            return if rest == Path::new("") { real } else { real.join(rest) };
        }
    }
    path.to_owned()
}

impl DirectorySource {
    /// A source that has not looked at anything yet.
    #[must_use]
    pub fn new(options: DirectoryOptions) -> Self {
        Self {
            options,
            prepared: None,
        }
    }

    fn prepared(&self) -> Result<Prepared> {
        match &self.prepared {
            Some(prepared) => Ok(prepared.clone()),
            None => Ok(Prepared {
                roots: roots::resolve(&self.options.paths)?,
                excludes: Excludes::new(&self.options.exclude, &self.options.exclude_files)?,
                store_folders: self
                    .options
                    .store_folders
                    .iter()
                    .map(|folder| real_path(folder))
                    .collect(),
            }),
        }
    }
}

fn walk_options<'a>(options: &DirectoryOptions, prepared: &'a Prepared) -> WalkOptions<'a> {
    WalkOptions {
        excludes: &prepared.excludes,
        store_folders: &prepared.store_folders,
        exclude_caches: options.exclude_caches,
        one_file_system: options.one_file_system,
    }
}

/// Adds up what an archive would hold; nothing is known if that takes too long.
fn count(options: &DirectoryOptions, prepared: &Prepared, time_max: Duration, cancel: &Cancel) -> Result<Estimate> {
    let mut estimator = Estimator::new(time_max);
    for root in &prepared.roots {
        if let Err(failure) = walk(root, &walk_options(options, prepared), &mut estimator, cancel) {
            if failure.kind() != Kind::Interrupted && estimator.gave_up() {
                return Ok(Estimate::default());
            }
            return Err(failure);
        }
    }
    Ok(Estimate {
        plain_bytes: Some(estimator.plain_bytes.saturating_add(RECORD_BYTES)),
        items: Some(estimator.items),
    })
}

impl Source for DirectorySource {
    fn prepare(&mut self, context: &SourceContext<'_>) -> Result<()> {
        let prepared = self.prepared()?;
        for root in &prepared.roots {
            if prepared.store_folders.iter().any(|store| root.real.starts_with(store)) {
                return Err(Failure::new(
                    Kind::Usage,
                    format!(
                        "`{}` lies in the store that the backup would go to",
                        root.given.display()
                    ),
                )
                .hint("Back up something else, or to another store with --store"));
            }
            if root.is_link {
                context.reporter.event(Event::Note(format!(
                    "`{}` is a symbolic link; what it points to, `{}`, is backed up under the link's name.",
                    root.given.display(),
                    root.real.display()
                )));
            }
            rustix::fs::accessat(CWD, &root.real, Access::READ_OK, AtFlags::EACCESS)
                .map_err(std::io::Error::from)
                .doing(|| format!("read `{}`", root.given.display()))
                .map_err(|failure| failure.hint("Run the backup as a user that may read it"))?;
        }
        self.prepared = Some(prepared);
        Ok(())
    }

    fn info(&self) -> SourceInfo {
        let paths: Vec<String> = match &self.prepared {
            Some(prepared) => prepared
                .roots
                .iter()
                .map(|root| root.real.display().to_string())
                .collect(),
            None => self
                .options
                .paths
                .iter()
                .map(|path| path.display().to_string())
                .collect(),
        };
        let mut options: Vec<String> = Vec::new();
        options.extend(
            self.options
                .exclude
                .iter()
                .map(|pattern| format!("--exclude={pattern}")),
        );
        options.extend(
            self.options
                .exclude_files
                .iter()
                .map(|file| format!("--exclude-file={}", file.display())),
        );
        if self.options.exclude_caches {
            options.push("--exclude-caches".to_owned());
        }
        if self.options.one_file_system {
            options.push("--one-file-system".to_owned());
        }
        SourceInfo {
            kind: "directory".to_owned(),
            what: paths.join(" "),
            options,
            ..SourceInfo::default()
        }
    }

    fn extension(&self) -> &str {
        "tar"
    }

    fn estimate(&mut self, context: &SourceContext<'_>) -> Result<Estimate> {
        count(&self.options, &self.prepared()?, ESTIMATE_TIME_MAX, context.cancel)
    }

    fn bounded(&self) -> Option<Bounded> {
        let prepared = self.prepared().ok()?;
        let plain_bytes_max = used_bytes(&prepared.roots)?;
        let options = self.options.clone();
        Some(Bounded {
            plain_bytes_max,
            count: Box::new(move |cancel| count(&options, &prepared, COUNT_TIME_MAX, cancel).unwrap_or_default()),
        })
    }

    fn concerns(&mut self, context: &SourceContext<'_>) -> Result<Vec<Concern>> {
        let prepared = self.prepared()?;
        let mut estimator = Estimator::new(ESTIMATE_TIME_MAX).looking_closely();
        for root in &prepared.roots {
            match walk(
                root,
                &walk_options(&self.options, &prepared),
                &mut estimator,
                context.cancel,
            ) {
                Err(failure) if failure.kind() == Kind::Interrupted => return Err(failure),
                // What has been looked at by then is worth telling.
                Err(_) => break,
                Ok(()) => {}
            }
        }
        let concern = |(count, first): (u64, Vec<u8>)| Concern {
            topic: Topic::Rights,
            text: format!(
                "This user cannot read {count} of the {} items, which will be missing in the backup; the first is `{}`.",
                estimator.items,
                String::from_utf8_lossy(&first)
            ),
        };
        Ok(estimator.unreadable.clone().map(concern).into_iter().collect())
    }

    fn stream(&mut self, sink: &mut dyn SourceSink, context: &SourceContext<'_>) -> Result<SourceReport> {
        let prepared = self.prepared()?;
        let given: Vec<String> = prepared
            .roots
            .iter()
            .map(|root| format!("`{}`", root.given.display()))
            .collect();
        let begin = sink.position();
        let mut archiver = Archiver::new(sink, context);
        for root in &prepared.roots {
            walk(
                root,
                &walk_options(&self.options, &prepared),
                &mut archiver,
                context.cancel,
            )?;
        }
        if archiver.is_empty() {
            return Err(
                Failure::new(Kind::Source, format!("Nothing could be read of {}", given.join(", ")))
                    .hint("What was there when the backup began is gone, or cannot be read"),
            );
        }
        archiver.finish(begin)
    }
}
