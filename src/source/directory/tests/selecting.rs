//! Restoring a part: from a whole archive, and from entries picked by the index.

use super::tree::facts;
use super::*;
use crate::base::failure::Kind;

fn sample(base: &Path) -> MemorySink {
    let tree = base.join("www");
    std::fs::create_dir_all(tree.join("a/deep")).unwrap();
    std::fs::create_dir_all(tree.join("b")).unwrap();
    std::fs::write(tree.join("a/deep/wanted.txt"), "wanted").unwrap();
    std::fs::write(tree.join("a/other"), "other").unwrap();
    std::fs::write(tree.join("b/x"), "x").unwrap();
    std::fs::hard_link(tree.join("a/other"), tree.join("b/link")).unwrap();
    super::tree::set_mtime(&tree.join("a/deep"), 1_000_000, 77);
    super::tree::set_mtime(&tree.join("a"), 2_000_000, 88);
    back_up(&tree).0
}

fn options(target: &Path, include: &[&str], exclude: &[&str]) -> TreeRestoreOptions {
    let owned = |patterns: &[&str]| patterns.iter().map(|pattern| (*pattern).to_owned()).collect::<Vec<_>>();
    TreeRestoreOptions {
        selection: PathSelection::new(&owned(include), &owned(exclude)).unwrap(),
        ..restore_options(target)
    }
}

#[test]
fn a_file_comes_with_its_folders_and_what_they_had() {
    let (_guard, base) = scratch();
    let sink = sample(&base);
    let target = base.join("target");
    let report = restore_with(&options(&target, &["*.txt"], &[]), &sink.bytes).unwrap();
    assert_eq!((report.files, report.folders, report.problem_count), (1, 0, 0));
    let (before, after) = (facts(&base.join("www")), facts(&target.join("www")));
    assert_eq!(after.len(), 3);
    for path in ["a", "a/deep", "a/deep/wanted.txt"] {
        assert_eq!(before.get(Path::new(path)), after.get(Path::new(path)), "{path}");
    }
}

#[test]
fn excludes_leave_the_rest() {
    let (_guard, base) = scratch();
    let sink = sample(&base);
    let target = base.join("target");
    restore_with(&options(&target, &[], &["www/a"]), &sink.bytes).unwrap();
    assert!(target.join("www/b/x").exists());
    assert!(!target.join("www/a").exists());
}

#[test]
fn a_link_without_its_file_is_named() {
    let (_guard, base) = scratch();
    let sink = sample(&base);
    let target = base.join("target");
    let report = restore_with(&options(&target, &["www/b"], &[]), &sink.bytes).unwrap();
    assert_eq!(report.problem_count, 1);
    assert_eq!(report.problems[0].item, "www/b/link");
    assert!(
        report.problems[0].message.contains("`www/a/other`"),
        "{:?}",
        report.problems
    );
    assert!(target.join("www/b/x").exists());
}

#[test]
fn what_is_not_in_the_archive_is_not_found_and_nothing_is_made() {
    let (_guard, base) = scratch();
    let sink = sample(&base);
    let target = base.join("target");
    let spelled_out = |paths: &[&str]| {
        let mut options = options(&target, &[], &[]);
        let paths: Vec<Vec<u8>> = paths.iter().map(|path| path.as_bytes().to_vec()).collect();
        options.selection = options.selection.with_paths(&paths);
        options
    };
    for (options, words) in [
        (
            options(&target, &["*.none"], &[]),
            "Nothing in the archive matches the selection",
        ),
        (
            options(&target, &["www/a"], &["www"]),
            "Nothing in the archive matches the selection",
        ),
        (
            spelled_out(&["www/b/x", "www/none"]),
            "Nothing at `www/none` in the archive",
        ),
    ] {
        let failure = restore_with(&options, &sink.bytes).unwrap_err();
        assert_eq!((failure.kind(), failure.message()), (Kind::NotFound, words));
        assert!(!target.exists());
    }
    // Many archives have no entries of their folders.
    let mut bare = Vec::new();
    for entry in sink
        .entries
        .iter()
        .filter(|entry| entry.path.display().starts_with("www/a/deep/"))
    {
        bare.extend_from_slice(&sink.bytes[entry.offset as usize..(entry.offset + entry.length) as usize]);
    }
    bare.extend_from_slice(&[0; 1024]);
    restore_with(&spelled_out(&["www/a/deep"]), &bare).unwrap();
    assert!(target.join("www/a/deep/wanted.txt").exists());
}

#[test]
fn picked_entries_restore_the_same_and_lend_content_to_links() {
    let (_guard, base) = scratch();
    let sink = sample(&base);
    let mut picked = Vec::new();
    for entry in &sink.entries {
        if ["www", "www/a/other", "www/b", "www/b/link", "www/b/x"].contains(&entry.path.display().as_str()) {
            picked.extend_from_slice(&sink.bytes[entry.offset as usize..(entry.offset + entry.length) as usize]);
        }
    }
    let target = base.join("target");
    let options = TreeRestoreOptions {
        expect_end: false,
        ..options(&target, &["www/b"], &[])
    };
    let report = restore_with(&options, &picked).unwrap();
    assert_eq!((report.files, report.problem_count), (2, 0), "{:?}", report.problems);
    assert_eq!(std::fs::read(target.join("www/b/link")).unwrap(), b"other");
    assert!(!target.join("www/a").exists());
    let names: Vec<_> = std::fs::read_dir(&target).unwrap().collect();
    assert_eq!(names.len(), 1);
}

#[test]
fn a_part_never_replaces_the_whole() {
    let (_guard, base) = scratch();
    let sink = sample(&base);
    let options = TreeRestoreOptions {
        existing: Existing::Replace,
        ..options(&base, &["*.txt"], &[])
    };
    let before = facts(&base);
    assert_eq!(restore_with(&options, &sink.bytes).unwrap_err().kind(), Kind::Usage);
    assert_eq!(facts(&base), before);
}
