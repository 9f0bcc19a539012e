//! What happens to a target: all, or nothing.

use std::io::Read;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};

use super::tree::{facts, make_nasty};
use super::*;
use crate::base::failure::{Failure, Kind};
use crate::base::report::Event;

/// A target with things of its own, some at paths that the backup has.
fn make_target(target: &Path) {
    std::fs::create_dir_all(target.join("www/kept")).unwrap();
    std::fs::create_dir_all(target.join("elsewhere")).unwrap();
    std::fs::write(target.join("www/plain.txt"), "old").unwrap();
    std::fs::write(target.join("www/kept/file"), "kept").unwrap();
    std::fs::write(target.join("www/z"), "a file where the backup has a folder").unwrap();
    std::fs::write(target.join("other"), "other").unwrap();
    // A folder of the backup is a link here: it must not be followed.
    symlink("../elsewhere", target.join("www/long")).unwrap();
    std::fs::set_permissions(target.join("www"), PermissionsExt::from_mode(0o711)).unwrap();
    for path in ["www/kept", "www", "elsewhere", "."] {
        super::tree::set_mtime(&target.join(path), 1_200_000_000, 5);
    }
}

fn archive_of_nasty(base: &Path) -> Vec<u8> {
    make_nasty(&base.join("www"));
    back_up(&base.join("www")).0.bytes
}

fn with(target: &Path, existing: Existing) -> TreeRestoreOptions {
    TreeRestoreOptions {
        existing,
        ..restore_options(target)
    }
}

/// Everything about a target, itself included.
fn state(target: &Path) -> (std::collections::BTreeMap<PathBuf, tree::Facts>, (i64, i64, u32)) {
    let metadata = std::fs::metadata(target).unwrap();
    (
        facts(target),
        (metadata.mtime(), metadata.mtime_nsec(), metadata.mode()),
    )
}

#[test]
fn a_target_that_holds_something_is_refused_before_anything_happens() {
    let (_guard, base) = scratch();
    let archive = archive_of_nasty(&base);
    let target = base.join("target");
    make_target(&target);
    let before = state(&target);
    let failure = restore_with(&with(&target, Existing::Refuse), &archive).unwrap_err();
    assert_eq!(failure.kind(), Kind::Refused);
    assert!(
        failure
            .hints()
            .iter()
            .any(|hint| hint.contains("--merge") && hint.contains("--replace"))
    );
    assert_eq!(state(&target), before);
}

#[test]
fn merging_replaces_files_and_keeps_the_rest() {
    let (_guard, base) = scratch();
    let archive = archive_of_nasty(&base);
    let target = base.join("target");
    make_target(&target);
    let report = restore_with(&with(&target, Existing::Merge), &archive).unwrap();
    assert_eq!(report.problems, []);
    let (wanted, mut found) = (facts(&base.join("www")), facts(&target.join("www")));
    for (path, wanted) in wanted {
        assert_eq!(Some(wanted), found.remove(&path), "{path:?}");
    }
    assert_eq!(
        found.keys().collect::<Vec<_>>(),
        [Path::new("kept"), Path::new("kept/file")]
    );
    assert_eq!(std::fs::read(target.join("other")).unwrap(), b"other");
    assert_eq!(std::fs::read_dir(target.join("elsewhere")).unwrap().count(), 0);
    let top = std::fs::metadata(target.join("www")).unwrap();
    assert_eq!((top.mtime(), top.mtime_nsec()), (1_600_000_000, 600_000_000));
    assert_eq!(std::fs::read_dir(&target).unwrap().count(), 3);
}

#[test]
fn replacing_replaces_what_has_the_same_name_at_the_top() {
    let (_guard, base) = scratch();
    let archive = archive_of_nasty(&base);
    let target = base.join("target");
    make_target(&target);
    restore_with(&with(&target, Existing::Replace), &archive).unwrap();
    assert_eq!(facts(&base.join("www")), facts(&target.join("www")));
    assert_eq!(std::fs::read(target.join("other")).unwrap(), b"other");
    assert_eq!(std::fs::read_dir(&target).unwrap().count(), 3);
}

#[test]
fn a_folder_is_not_merged_into_a_file() {
    let (_guard, base) = scratch();
    let archive = archive_of_nasty(&base);
    let target = base.join("target");
    make_target(&target);
    // It comes late in the order, so that much has been moved by then.
    std::fs::create_dir(target.join("www/size-513")).unwrap();
    std::fs::write(target.join("www/size-513/precious"), "x").unwrap();
    super::tree::set_mtime(&target.join("www"), 1_200_000_000, 5);
    let before = state(&target);
    let failure = restore_with(&with(&target, Existing::Merge), &archive).unwrap_err();
    assert_eq!(failure.kind(), Kind::Refused);
    assert_eq!(state(&target), before);
}

#[test]
fn an_archive_that_fails_at_any_point_leaves_the_target_as_it_was() {
    struct Failing<'a>(&'a [u8]);
    impl Read for Failing<'_> {
        fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
            if self.0.is_empty() {
                return Err(crate::base::failure::into_io(Failure::new(
                    Kind::Damaged,
                    "The object is not what was stored",
                )));
            }
            self.0.read(buffer)
        }
    }
    let (_guard, base) = scratch();
    let tree = base.join("www");
    std::fs::create_dir_all(tree.join("folder/below")).unwrap();
    std::fs::write(tree.join("a"), vec![1; 2000]).unwrap();
    std::fs::write(tree.join("folder/b"), vec![2; 600]).unwrap();
    let archive = back_up(&tree).0.bytes;
    let target = base.join("target");
    make_target(&target);
    let before = state(&target);
    let content = archive.len() - archive.iter().rev().take_while(|byte| **byte == 0).count();
    for length in (0..content + 600).step_by(256) {
        for existing in [Existing::Merge, Existing::Replace] {
            let options = with(&target, existing);
            let surroundings = Surroundings::default();
            let failure = restore_tree(
                &mut Failing(&archive[..length]),
                &options,
                &mut || Ok(()),
                &surroundings.context(),
            )
            .unwrap_err();
            assert_eq!(failure.kind(), Kind::Damaged);
            assert_eq!(failure.message(), "The object is not what was stored");
            let failure = restore_with(&options, &archive[..length.min(content)]).unwrap_err();
            assert_eq!(failure.kind(), Kind::Damaged, "cut at {length}");
        }
    }
    assert_eq!(state(&target), before);
    assert_eq!(
        restore_with(&restore_options(&base.join("new/er/target")), b"")
            .unwrap_err()
            .kind(),
        Kind::Damaged
    );
    assert!(!base.join("new").exists());
}

#[test]
fn a_verdict_against_the_backup_leaves_the_target_as_it_was() {
    let (_guard, base) = scratch();
    let archive = archive_of_nasty(&base);
    let target = base.join("target");
    make_target(&target);
    let before = state(&target);
    for (target, existing) in [
        (target.clone(), Existing::Merge),
        (target.clone(), Existing::Replace),
        (base.join("made/by/us"), Existing::Refuse),
    ] {
        let surroundings = Surroundings::default();
        let failure = restore_tree(
            &mut archive.as_slice(),
            &with(&target, existing),
            &mut || Err(Failure::new(Kind::Damaged, "The checksum is not the manifest's")),
            &surroundings.context(),
        )
        .unwrap_err();
        assert_eq!(failure.kind(), Kind::Damaged);
    }
    assert_eq!(state(&target), before);
    assert!(!base.join("made").exists());
}

#[test]
fn an_interruption_leaves_the_target_as_it_was() {
    let (_guard, base) = scratch();
    let archive = archive_of_nasty(&base);
    let target = base.join("target");
    make_target(&target);
    let before = state(&target);
    let surroundings = Surroundings::default();
    // Set while the verdict is taken, it takes effect in the middle of the moves.
    let failure = restore_tree(
        &mut archive.as_slice(),
        &with(&target, Existing::Merge),
        &mut || {
            surroundings.cancel.cancel();
            Ok(())
        },
        &surroundings.context(),
    )
    .unwrap_err();
    assert_eq!(failure.kind(), Kind::Interrupted);
    assert_eq!(state(&target), before);
}

#[test]
fn what_appears_in_the_target_meanwhile_is_not_overwritten() {
    let (_guard, base) = scratch();
    let archive = archive_of_nasty(&base);
    let target = base.join("target");
    let surroundings = Surroundings::default();
    let failure = restore_tree(
        &mut archive.as_slice(),
        &restore_options(&target),
        &mut || {
            std::fs::write(target.join("www"), "somebody else's").unwrap();
            Ok(())
        },
        &surroundings.context(),
    )
    .unwrap_err();
    assert_eq!(failure.kind(), Kind::Refused);
    assert_eq!(std::fs::read(target.join("www")).unwrap(), b"somebody else's");
    assert_eq!(std::fs::read_dir(&target).unwrap().count(), 1);
}

#[test]
fn a_full_disk_is_called_by_its_name() {
    // A file system of its own with a few kilobytes needs root; a limit on file sizes does not, but is another error.
    // The device that is always full gives the very error.
    let full = std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    let errno = rustix::io::write(&full, b"x").unwrap_err();
    let super::super::folders::Trouble::Fatal(failure) = super::super::folders::Trouble::from_errno(errno, b"www/x")
    else {
        panic!("a full disk must end the restore");
    };
    assert_eq!(failure.kind(), Kind::NoSpace);
    assert!(failure.message().contains("www/x"));
}

#[test]
fn bad_targets_have_clear_errors() {
    let (_guard, base) = scratch();
    std::fs::write(base.join("file"), "x").unwrap();
    symlink("nowhere", base.join("dangling")).unwrap();
    std::fs::create_dir(base.join(".backup-cli-restore-abc")).unwrap();
    let kind = |target: &Path| check_tree_target(&restore_options(target)).map_err(|failure| failure.kind());
    assert_eq!(kind(&base.join("file")), Err(Kind::Usage));
    assert_eq!(kind(&base.join("dangling")), Err(Kind::Usage));
    assert_eq!(kind(Path::new("")), Err(Kind::Usage));
    assert_eq!(kind(&base.join("new/folder")), Ok(()));
    assert_eq!(kind(&base.join("file/below")), Err(Kind::Failed));
    std::fs::remove_file(base.join("file")).unwrap();
    std::fs::remove_file(base.join("dangling")).unwrap();
    let failure = check_tree_target(&restore_options(&base)).unwrap_err();
    assert!(failure.hints()[0].contains("killed"), "{:?}", failure.hints());
}

#[test]
fn progress_counts_what_is_restored() {
    let (_guard, base) = scratch();
    let archive = archive_of_nasty(&base);
    let surroundings = Surroundings::default();
    let report = restore_tree(
        &mut archive.as_slice(),
        &restore_options(&base.join("target")),
        &mut || Ok(()),
        &surroundings.context(),
    )
    .unwrap();
    let progress = crate::base::report::Reporter::progress(&surroundings.recorder).snapshot();
    assert_eq!(progress.items, report.files + report.folders + report.others);
    assert!(progress.plain_bytes > 4_000_000);
    assert!(
        !surroundings
            .recorder
            .events()
            .iter()
            .any(|event| matches!(event, Event::ItemFailed { .. }))
    );
}

#[test]
fn a_folder_that_became_read_only_does_not_keep_the_target_from_getting_its_files_back() {
    // Root is let into every folder, so that only others can see this go wrong.
    let (_guard, base) = scratch();
    std::fs::create_dir_all(base.join("www/first")).unwrap();
    std::fs::write(base.join("www/first/file"), "new").unwrap();
    std::fs::write(base.join("www/second"), "a file in the backup").unwrap();
    std::fs::set_permissions(base.join("www/first"), PermissionsExt::from_mode(0o555)).unwrap();
    let archive = back_up(&base.join("www")).0.bytes;
    let target = base.join("target");
    std::fs::create_dir_all(target.join("www/first")).unwrap();
    std::fs::create_dir_all(target.join("www/second/folder")).unwrap();
    std::fs::write(target.join("www/first/file"), "the only copy").unwrap();
    let before = state(&target);
    let failure = restore_with(&with(&target, Existing::Merge), &archive).unwrap_err();
    assert_eq!(failure.kind(), Kind::Refused);
    assert_eq!(state(&target), before);
    std::fs::set_permissions(base.join("www/first"), PermissionsExt::from_mode(0o755)).unwrap();
}
