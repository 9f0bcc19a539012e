//! A restored tree against the index, and each file's content against what stood in the archive.

use std::fs::File;
use std::io::Read;
use std::ops::ControlFlow;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileTypeExt, MetadataExt, OpenOptionsExt};
use std::path::Path;

use sha2::{Digest, Sha256};

use super::super::located::{Backup, is_index_trouble};
use super::super::ls::{IndexItem, read_index};
use super::check::PathChecks;
use super::compare::{Against, Compared};
use super::reach::reach;
use crate::base::failure::Result;
use crate::catalog::index::{Entry, EntryKind};
use crate::catalog::kinds::KindCounts;
use crate::source::directory::ContentLog;

/// How much of a file is read at a time, in bytes.
const READ_BYTES: usize = 256 * 1024;

/// Compares everything below `folder` with the index, and the contents with the log of the restore.
///
/// # Errors
/// The store's failures; interruption; what keeps the log from being read.
pub(super) fn compare_tree(
    backup: &Backup<'_>,
    folder: &Path,
    log: &ContentLog,
    checks: &mut PathChecks<'_>,
) -> Result<Compared> {
    let mut compared = Compared::default();
    let (mut files, mut others, mut bytes) = (0u64, 0u64, 0u64);
    let mut kinds = KindCounts::default();
    let is_root = rustix::process::geteuid().is_root();
    let mut skipped = 0u64;
    let read = match backup.chosen.manifest {
        None => {
            compared
                .not_compared
                .push("It has no manifest, so that sizes and times are not compared.".to_owned());
            Ok(())
        }
        Some(_) => read_index(backup.store, backup.chosen, backup.run, |item| {
            if let IndexItem::Entry(entry) = item {
                kinds.add(entry.kind);
                match entry.kind {
                    EntryKind::Device if !is_root => skipped += 1,
                    EntryKind::File | EntryKind::Hardlink => files += 1,
                    _ => others += 1,
                }
                if entry.kind != EntryKind::Device || is_root {
                    compare_entry(&entry, folder, &mut compared);
                }
            }
            Ok(ControlFlow::Continue(()))
        }),
    };
    let has_index = match read {
        Ok(()) => backup.chosen.manifest.is_some(),
        Err(failure) if is_index_trouble(&failure) => {
            compared.not_compared.push(format!(
                "The index cannot be used, so sizes and times are not compared: {failure}."
            ));
            false
        }
        Err(failure) => return Err(failure),
    };
    if skipped > 0 {
        compared
            .not_compared
            .push(format!("{skipped} devices, which only root restores."));
    }
    let mut logged = 0u64;
    let mut holes = 0u64;
    let mut buffer = vec![0; READ_BYTES];
    log.visit(|content| {
        backup.run.cancel.check()?;
        logged += 1;
        checks.see(&content.path, content.size);
        let Some(expected) = content.sha256 else {
            holes += 1;
            return Ok(());
        };
        let name = || String::from_utf8_lossy(&content.path).into_owned();
        let digested = reach(folder, &content.path).and_then(|path| digest_of(path.as_ref(), &mut buffer, backup));
        match digested {
            Ok((sha256, read)) => {
                bytes += read;
                if sha256 != expected {
                    compared.differs(name(), hex::encode(expected), hex::encode(sha256));
                }
            }
            Err(error) => {
                backup.run.cancel.check()?;
                compared.differs(name(), "a file that can be read", error.to_string());
            }
        }
        Ok(())
    })?;
    if holes > 0 {
        compared
            .not_compared
            .push(format!("The content of {holes} files with holes; their sizes are."));
    }
    compared.against = if has_index { Against::Each } else { Against::Sums };
    compared.files = Some(if has_index { files } else { logged });
    compared.others = has_index.then_some(others);
    compared.bytes = Some(bytes);
    // The manifest's sums have to agree with what the index names one by one.
    if let Some(manifest) = backup.chosen.manifest.as_ref().filter(|_| has_index) {
        for (what, said, found) in kinds.contradictions(&manifest.counts) {
            compared.differs(format!("{what} in all"), said.to_string(), found.to_string());
        }
    }
    Ok(compared)
}

/// What is there against one line of the index.
fn compare_entry(entry: &Entry, folder: &Path, compared: &mut Compared) {
    let relative: Vec<u8> = entry.path.0.iter().copied().skip_while(|byte| *byte == b'/').collect();
    if relative.is_empty() || relative == b"." {
        return;
    }
    let name = entry.path.display();
    let reached = reach(folder, &relative).and_then(|path| path.as_ref().symlink_metadata().map(|found| (path, found)));
    let (path, found) = match reached {
        Ok(reached) => reached,
        Err(error) => return compared.differs(name, kind_word(entry.kind), error.to_string()),
    };
    let kind = found.file_type();
    let is_same_kind = match entry.kind {
        EntryKind::File => kind.is_file(),
        EntryKind::Folder => kind.is_dir(),
        EntryKind::Symlink => kind.is_symlink(),
        EntryKind::Fifo => kind.is_fifo(),
        EntryKind::Device => kind.is_char_device() || kind.is_block_device(),
        EntryKind::Hardlink => !kind.is_dir(),
        EntryKind::Table | EntryKind::Object => true,
    };
    if !is_same_kind {
        return compared.differs(name, kind_word(entry.kind), "something else");
    }
    match entry.kind {
        EntryKind::File if found.len() != entry.size => {
            compared.differs(name, format!("{} bytes", entry.size), format!("{} bytes", found.len()));
        }
        EntryKind::File => {
            let time = (found.mtime(), found.mtime_nsec());
            if let Some(mtime) = entry
                .mtime
                .filter(|mtime| (*mtime, i64::from(entry.mtime_nanos)) != time)
            {
                compared.differs(
                    name,
                    format!("changed at {mtime}.{:09}", entry.mtime_nanos),
                    format!("changed at {}.{:09}", time.0, time.1),
                );
            }
        }
        EntryKind::Symlink => {
            let points = std::fs::read_link(path.as_ref()).map(|link| link.as_os_str().as_bytes().to_vec());
            if let Some(link) = entry.link.as_ref().filter(|link| points.as_ref().ok() != Some(&link.0)) {
                let points = points.map_or_else(
                    |error| error.to_string(),
                    |to| String::from_utf8_lossy(&to).into_owned(),
                );
                compared.differs(
                    name,
                    format!("a link to {}", link.display()),
                    format!("a link to {points}"),
                );
            }
        }
        EntryKind::Hardlink => {
            let first = entry
                .link
                .as_ref()
                .and_then(|link| reach(folder, &link.0).ok()?.as_ref().symlink_metadata().ok());
            if first.is_none_or(|first| (first.dev(), first.ino()) != (found.dev(), found.ino())) {
                let link = entry.link.as_ref().map(|link| link.display()).unwrap_or_default();
                compared.differs(name, format!("another name of {link}"), "a file of its own");
            }
        }
        _ => {}
    }
}

fn kind_word(kind: EntryKind) -> &'static str {
    match kind {
        EntryKind::File | EntryKind::Hardlink => "a file",
        EntryKind::Folder => "a folder",
        EntryKind::Symlink => "a link",
        EntryKind::Fifo => "a pipe",
        EntryKind::Device => "a device",
        EntryKind::Table | EntryKind::Object => "a part of a dump",
    }
}

/// The digest of a restored file, read back from the disk.
pub(super) fn digest_of(path: &Path, buffer: &mut [u8], backup: &Backup<'_>) -> std::io::Result<([u8; 32], u64)> {
    let mut file: File = File::options()
        .read(true)
        .custom_flags(
            (rustix::fs::OFlags::NOFOLLOW | rustix::fs::OFlags::NONBLOCK)
                .bits()
                .cast_signed(),
        )
        .open(path)?;
    let mut digest = Sha256::new();
    let mut total = 0;
    loop {
        if backup.run.cancel.check().is_err() {
            return Err(std::io::ErrorKind::Interrupted.into());
        }
        let read = match file.read(buffer) {
            Ok(0) => return Ok((digest.finalize().into(), total)),
            Ok(read) => read,
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        digest.update(&buffer[..read]);
        total += read as u64;
    }
}

/// A buffer for [`digest_of`].
pub(super) fn buffer() -> Vec<u8> {
    vec![0; READ_BYTES]
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::super::super::Run;
    use super::super::check::Check;
    use super::*;
    use crate::base::cancel::Cancel;
    use crate::base::clock::SystemClock;
    use crate::base::report::Recorder;
    use crate::catalog::index::RawPath;
    use crate::catalog::listing::Found;
    use crate::catalog::selection::Chosen;
    use crate::pipeline::crypt::Keys;
    use crate::source::directory::LoggedContent;
    use crate::store::memory::MemoryStore;
    use crate::store::{Key, Store};
    use std::sync::Arc;

    fn entry(kind: EntryKind, path: &str) -> Entry {
        Entry::new(kind, RawPath::from(path), 0..0)
    }

    #[test]
    fn each_line_that_differs_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        std::fs::write(at("file"), "12345").unwrap();
        std::fs::hard_link(at("file"), at("same")).unwrap();
        std::fs::create_dir(at("folder")).unwrap();
        std::os::unix::fs::symlink("file", at("link")).unwrap();
        let meta = at("file").metadata().unwrap();
        let file = Entry {
            size: 5,
            mtime: Some(meta.mtime()),
            mtime_nanos: u32::try_from(meta.mtime_nsec()).unwrap(),
            ..entry(EntryKind::File, "file")
        };
        let link = |kind, path: &str, to: &str| Entry {
            link: Some(RawPath::from(to)),
            ..entry(kind, path)
        };
        let said = |entry: &Entry| {
            let mut compared = Compared::default();
            compare_entry(entry, folder.path(), &mut compared);
            compared.differences.first().map(ToString::to_string)
        };
        for good in [
            file.clone(),
            entry(EntryKind::Folder, "folder"),
            link(EntryKind::Symlink, "link", "file"),
            link(EntryKind::Hardlink, "same", "file"),
        ] {
            assert_eq!(said(&good), None, "{good:?}");
        }
        let shorter = Entry {
            size: 4,
            ..file.clone()
        };
        let older = Entry { mtime: Some(7), ..file };
        for (bad, words) in [
            (shorter, "file: 5 bytes instead of 4 bytes"),
            (older, "instead of changed at 7."),
            (entry(EntryKind::File, "gone"), "instead of a file"),
            (entry(EntryKind::File, "folder"), "something else instead of a file"),
            (
                link(EntryKind::Symlink, "link", "other"),
                "a link to file instead of a link to other",
            ),
            (
                link(EntryKind::Hardlink, "same", "link"),
                "instead of another name of link",
            ),
        ] {
            let found = said(&bad).unwrap_or_default();
            assert!(found.contains(words), "{words}: {found}");
        }
    }

    #[test]
    fn content_that_is_not_what_stood_in_the_archive_is_found() {
        let folder = tempfile::tempdir().unwrap();
        let log = ContentLog::new().unwrap();
        for (path, logged, found) in [("good", "same", "same"), ("bad", "one", "two"), ("gone", "x", "")] {
            log.add(&LoggedContent {
                path: path.as_bytes().to_vec(),
                size: logged.len() as u64,
                sha256: Some(Sha256::digest(logged).into()),
            })
            .unwrap();
            if !found.is_empty() {
                std::fs::write(folder.path().join(path), found).unwrap();
            }
        }
        let store: Arc<dyn Store> = Arc::new(MemoryStore::new());
        let run = Run {
            cancel: Cancel::new(),
            reporter: Arc::new(Recorder::default()),
            clock: Arc::new(SystemClock),
            keys: Keys::default(),
        };
        let chosen = Chosen {
            found: Found {
                id: "x".to_owned(),
                name_hint: "x".to_owned(),
                time: jiff::Timestamp::UNIX_EPOCH,
                data_key: Key::new("x"),
                data: Vec::new(),
                storage_class: None,
                manifest_key: None,
                notes: Vec::new(),
            },
            manifest: None,
        };
        let backup = Backup {
            store: &store,
            chosen: &chosen,
            threads: 1,
            run: &run,
        };
        let checks = [Check::parse("g*d").unwrap()];
        let mut of_paths = PathChecks::new(&checks).unwrap();
        let compared = compare_tree(&backup, folder.path(), &log, &mut of_paths).unwrap();
        let names: Vec<&str> = compared
            .differences
            .iter()
            .map(|difference| difference.item.as_str())
            .collect();
        assert_eq!(names, ["bad", "gone"]);
        assert_eq!((compared.files, compared.bytes), (Some(3), Some(7)));
        assert!(of_paths.outcomes()[0].holds);
    }
}
