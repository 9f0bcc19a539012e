//! What goes out comes back.

use std::io::Write;
use std::os::unix::fs::MetadataExt;

use super::super::archive::ArchiveReader;
use super::tree::{facts, make_deep, make_nasty, make_sparse};
use super::*;
use crate::base::failure::Kind;
use crate::catalog::index::EntryKind;
use crate::source::Estimate;

#[test]
fn everything_in_a_nasty_tree_comes_back() {
    let (_guard, base) = scratch();
    let tree = base.join("www");
    make_nasty(&tree);
    let (sink, report) = back_up(&tree);
    assert_eq!(report.problems, []);
    let restored = restore(&base.join("target"), &sink.bytes);
    assert_eq!(restored.problems, []);
    let (before, after) = (facts(&tree), facts(&base.join("target/www")));
    assert_eq!(before.keys().collect::<Vec<_>>(), after.keys().collect::<Vec<_>>());
    for (path, wanted) in &before {
        assert_eq!(Some(wanted), after.get(path), "{path:?}");
    }
    let top = std::fs::metadata(base.join("target/www")).unwrap();
    assert_eq!((top.mtime(), top.mtime_nsec()), (1_600_000_000, 600_000_000));
    assert_eq!(Some(restored.files), report.counts.files);
    assert_eq!(Some(restored.folders), report.counts.folders);
    assert_eq!(Some(restored.others), report.counts.others);
    let staging: Vec<_> = std::fs::read_dir(base.join("target")).unwrap().collect();
    assert_eq!(staging.len(), 1);
}

#[test]
fn sparse_files_stay_sparse_and_a_terabyte_of_nothing_is_instant() {
    let (_guard, base) = scratch();
    let tree = base.join("disks");
    std::fs::create_dir(&tree).unwrap();
    make_sparse(
        &tree.join("disk"),
        1 << 40,
        &[(0, b"boot"), (1 << 39, b"middle"), ((1 << 40) - 4, b"last")],
    );
    make_sparse(&tree.join("hole"), 1 << 40, &[]);
    let (sink, report) = back_up(&tree);
    assert_eq!(report.problems, []);
    assert!(sink.bytes.len() < 100_000, "{}", sink.bytes.len());
    assert_eq!(restore(&base.join("target"), &sink.bytes).problems, []);
    assert_eq!(facts(&tree), facts(&base.join("target/disks")));
    let disk = std::fs::metadata(base.join("target/disks/disk")).unwrap();
    assert!(disk.blocks() * 512 < 1 << 20);
}

#[test]
fn a_path_longer_than_the_system_takes_comes_back() {
    let (_guard, base) = scratch();
    make_deep(&base.join("deep"), 300);
    let (sink, report) = back_up(&base.join("deep"));
    assert_eq!(report.problems, []);
    assert_eq!(report.counts.folders, Some(301));
    let longest = sink.entries.iter().map(|entry| entry.path.0.len()).max().unwrap();
    assert!(longest > 4096);
    let restored = restore(&base.join("target"), &sink.bytes);
    assert_eq!(restored.problems, []);
    // Seen again from the restored tree, since no single call could reach its end.
    let (again, _) = back_up(&base.join("target/deep"));
    assert_eq!(again.bytes, sink.bytes);
    // A temporary folder this deep would not be removed by its guard.
    let base = std::fs::File::open(&base).unwrap();
    for name in [b"deep".as_slice(), b"target"] {
        super::super::remove::remove(std::os::fd::AsFd::as_fd(&base), name).unwrap();
    }
}

#[test]
fn the_same_tree_gives_the_same_archive() {
    let (_guard, base) = scratch();
    make_nasty(&base.join("www"));
    assert!(back_up(&base.join("www")).0.bytes == back_up(&base.join("www")).0.bytes);
}

#[test]
fn each_line_of_the_index_is_an_archive_of_one_item() {
    let (_guard, base) = scratch();
    make_nasty(&base.join("www"));
    let (sink, _) = back_up(&base.join("www"));
    let mut at = 0;
    for entry in &sink.entries {
        assert_eq!(entry.offset, at, "{entry:?}");
        at += entry.length;
        let bytes = &sink.bytes[entry.offset as usize..at as usize];
        let mut input = bytes;
        let mut reader = ArchiveReader::new(&mut input, false);
        let item = reader.next().unwrap().unwrap();
        assert_eq!(item.path.strip_suffix(b"/").unwrap_or(&item.path), entry.path.0);
        assert_eq!(item.size, entry.size);
        assert_eq!(
            (item.mtime, item.mtime_nanos),
            (entry.mtime.unwrap(), entry.mtime_nanos)
        );
        assert_eq!(Some(item.mode), entry.mode);
        let link = entry.link.as_ref().map(|link| link.0.as_slice()).unwrap_or_default();
        assert_eq!(item.link, link);
        assert!(reader.next().unwrap().is_none());
    }
    assert!(sink.bytes[at as usize..].iter().all(|byte| *byte == 0));
    assert_eq!(sink.bytes.len() % 10_240, 0);
    let kinds = |kind| sink.entries.iter().filter(|entry| entry.kind == kind).count();
    assert_eq!(kinds(EntryKind::Hardlink), 3);
    assert_eq!(kinds(EntryKind::Fifo), 1);
}

#[test]
fn large_content_is_cut_out_on_both_sides() {
    let (_guard, base) = scratch();
    let tree = base.join("www");
    std::fs::create_dir(&tree).unwrap();
    std::fs::write(tree.join("a"), b"small").unwrap();
    std::fs::write(tree.join("b"), vec![1; 1 << 20]).unwrap();
    std::fs::write(tree.join("c"), vec![1; (1 << 20) - 1]).unwrap();
    let (sink, _) = back_up(&tree);
    let large = sink.entries.iter().find(|entry| entry.path.0 == b"www/b").unwrap();
    assert_eq!(sink.cuts, [large.offset, large.offset + large.length]);
}

#[test]
fn several_sources_stand_beside_each_other() {
    let (_guard, base) = scratch();
    std::fs::create_dir_all(base.join("a/one")).unwrap();
    std::fs::write(base.join("a/one/x"), "x").unwrap();
    std::fs::write(base.join("single.txt"), "y").unwrap();
    let options = options_for(&[&base.join("a/one"), &base.join("single.txt")]);
    let (sink, report) = back_up_with(options, MemorySink::default()).unwrap();
    let paths: Vec<_> = sink.entries.iter().map(|entry| entry.path.display()).collect();
    assert_eq!(paths, ["one", "one/x", "single.txt"]);
    assert_eq!(report.counts.files, Some(2));
    restore(&base.join("target"), &sink.bytes);
    assert_eq!(std::fs::read(base.join("target/single.txt")).unwrap(), b"y");
}

#[test]
fn excludes_prune_and_are_counted() {
    let (_guard, base) = scratch();
    let tree = base.join("www");
    for folder in ["cache/sub", "keep", "tagged/deep"] {
        std::fs::create_dir_all(tree.join(folder)).unwrap();
    }
    std::fs::write(tree.join("cache/sub/x"), "x").unwrap();
    std::fs::write(tree.join("keep/a.tmp"), "x").unwrap();
    std::fs::write(tree.join("keep/b"), "x").unwrap();
    std::fs::write(
        tree.join("tagged/CACHEDIR.TAG"),
        "Signature: 8a477f597d28d172789f06886806bc55\n",
    )
    .unwrap();
    std::fs::write(tree.join("tagged/deep/x"), "x").unwrap();
    let options = DirectoryOptions {
        exclude: vec!["/cache/".to_owned(), "*.tmp".to_owned()],
        exclude_caches: true,
        ..options_for(&[&tree])
    };
    let (sink, report) = back_up_with(options, MemorySink::default()).unwrap();
    let paths: Vec<_> = sink.entries.iter().map(|entry| entry.path.display()).collect();
    assert_eq!(
        paths,
        ["www", "www/keep", "www/keep/b", "www/tagged", "www/tagged/CACHEDIR.TAG"]
    );
    assert_eq!(report.counts.skipped, Some(3));
}

#[test]
fn a_false_cache_tag_hides_nothing() {
    let (_guard, base) = scratch();
    let tree = base.join("www");
    std::fs::create_dir(&tree).unwrap();
    std::fs::write(tree.join("CACHEDIR.TAG"), "not the signature").unwrap();
    std::fs::write(tree.join("x"), "x").unwrap();
    let options = DirectoryOptions {
        exclude_caches: true,
        ..options_for(&[&tree])
    };
    let (sink, _) = back_up_with(options, MemorySink::default()).unwrap();
    assert_eq!(sink.entries.len(), 3);
}

#[test]
fn another_file_system_is_left_out_when_asked() {
    let options = DirectoryOptions {
        one_file_system: true,
        exclude: vec!["/*".to_owned(), "!/proc".to_owned()],
        ..options_for(&[Path::new("/")])
    };
    let (sink, _) = back_up_with(options, MemorySink::default()).unwrap();
    let paths: Vec<_> = sink.entries.iter().map(|entry| entry.path.display()).collect();
    assert_eq!(paths, ["root", "root/proc"]);
}

/// A source that has looked at its path.
fn prepared(path: &Path, surroundings: &Surroundings) -> DirectorySource {
    let mut source = DirectorySource::new(options_for(&[path]));
    source.prepare(&surroundings.context()).unwrap();
    source
}

#[test]
fn the_estimate_is_near_and_never_below_the_content() {
    let (_guard, base) = scratch();
    make_nasty(&base.join("www"));
    let surroundings = Surroundings::default();
    let mut source = prepared(&base.join("www"), &surroundings);
    let estimate = source.estimate(&surroundings.context()).unwrap();
    let (sink, _) = back_up(&base.join("www"));
    assert_eq!(estimate.items, Some(sink.entries.len() as u64));
    let (guess, real) = (estimate.plain_bytes.unwrap() as f64, sink.bytes.len() as f64);
    assert!((0.9..1.3).contains(&(guess / real)), "{guess} for {real}");

    // Counted meanwhile it is the same, but for a count that is stopped.
    assert_eq!((source.bounded().unwrap().count)(&surroundings.cancel), estimate);
    let stopped = Cancel::new();
    stopped.cancel();
    assert_eq!((source.bounded().unwrap().count)(&stopped), Estimate::default());
}

#[test]
fn a_tree_is_bounded_by_what_its_file_systems_hold() {
    let (_guard, base) = scratch();
    let surroundings = Surroundings::default();
    let source = prepared(&base, &surroundings);
    let used_by_df = || -> u64 {
        let df = std::process::Command::new("df")
            .args(["--output=used", "-B1"])
            .arg(&base)
            .output()
            .unwrap();
        let said = String::from_utf8(df.stdout).unwrap();
        said.lines().nth(1).unwrap().trim().parse().unwrap()
    };
    // Others write meanwhile; sooner or later both look at the same moment.
    let agree = || source.bounded().unwrap().plain_bytes_max.abs_diff(used_by_df()) <= used_by_df() / 100;
    assert!((0..100).any(|_| agree()));

    let kernel = prepared(Path::new("/proc/self"), &surroundings);
    assert!(
        kernel.bounded().is_none(),
        "a file system that holds nothing says nothing"
    );
}

#[test]
fn small_files_are_kept_together_with_their_headers_and_folders_come_after_files() {
    let (_guard, base) = scratch();
    let www = base.join("www");
    std::fs::create_dir_all(www.join("a-folder/deeper")).unwrap();
    for (path, bytes) in [
        ("z", 10),
        ("a-folder/b", 256 * 1024),
        ("a-folder/deeper/c", 256 * 1024 + 1),
    ] {
        std::fs::write(www.join(path), vec![b'x'; bytes]).unwrap();
    }
    let (sink, _) = back_up(&www);
    let paths: Vec<_> = sink.entries.iter().map(|entry| entry.path.display()).collect();
    assert_eq!(
        paths,
        [
            "www",
            "www/z",
            "www/a-folder",
            "www/a-folder/b",
            "www/a-folder/deeper",
            "www/a-folder/deeper/c"
        ]
    );
    let small: Vec<(u64, u64)> = sink
        .entries
        .iter()
        .filter(|entry| ["z", "b"].contains(&entry.path.display().rsplit('/').next().unwrap()))
        .map(|entry| (entry.offset, entry.length))
        .collect();
    assert_eq!(sink.together, small);
}

#[test]
fn an_interrupted_run_ends_with_its_kind_and_no_end_marker() {
    let (_guard, base) = scratch();
    make_nasty(&base.join("www"));
    let surroundings = Surroundings::default();
    surroundings.cancel.cancel();
    let mut source = DirectorySource::new(options_for(&[&base.join("www")]));
    let mut sink = MemorySink::default();
    let failure = source.stream(&mut sink, &surroundings.context()).unwrap_err();
    assert_eq!(failure.kind(), Kind::Interrupted);
    let mut input = sink.bytes.as_slice();
    let mut reader = ArchiveReader::new(&mut input, true);
    while let Ok(Some(_)) = reader.next() {}
    assert!(reader.next().is_err());
}

#[test]
fn a_sink_that_fails_ends_the_run_with_its_own_failure() {
    struct Full;
    impl Write for Full {
        fn write(&mut self, _: &[u8]) -> std::io::Result<usize> {
            Err(crate::base::failure::into_io(crate::base::failure::Failure::new(
                Kind::Unreachable,
                "No answer",
            )))
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
    impl SourceSink for Full {
        fn position(&self) -> u64 {
            0
        }
        fn cut(&mut self) -> Result<()> {
            Ok(())
        }
        fn entry(&mut self, _: &Entry) -> Result<()> {
            Ok(())
        }
    }
    let (_guard, base) = scratch();
    make_nasty(&base.join("www"));
    let surroundings = Surroundings::default();
    let mut source = DirectorySource::new(options_for(&[&base.join("www")]));
    let failure = source.stream(&mut Full, &surroundings.context()).unwrap_err();
    assert_eq!((failure.kind(), failure.message()), (Kind::Unreachable, "No answer"));
}

#[test]
fn sockets_are_left_out_with_a_warning() {
    let (_guard, base) = scratch();
    std::fs::create_dir(base.join("run")).unwrap();
    let _socket = std::os::unix::net::UnixListener::bind(base.join("run/daemon.sock")).unwrap();
    let (sink, report) = back_up(&base.join("run"));
    assert_eq!(sink.entries.len(), 1);
    assert_eq!(report.problem_count, 0);
    assert_eq!(report.counts.skipped, Some(1));
    assert_eq!(report.warnings, ["The socket `run/daemon.sock` was left out."]);
}

#[test]
fn many_names_of_one_file_are_stored_once() {
    let (_guard, base) = scratch();
    let tree = base.join("links");
    std::fs::create_dir(&tree).unwrap();
    std::fs::write(tree.join("0000"), vec![7; 500_000]).unwrap();
    for number in 1..50 {
        std::fs::hard_link(tree.join("0000"), tree.join(format!("{number:04}"))).unwrap();
    }
    let (sink, _) = back_up(&tree);
    assert!(sink.bytes.len() < 700_000);
    restore(&base.join("target"), &sink.bytes);
    assert_eq!(std::fs::metadata(base.join("target/links/0049")).unwrap().nlink(), 50);
    assert_eq!(facts(&tree), facts(&base.join("target/links")));
}

#[test]
fn an_access_list_comes_back() {
    let (_guard, base) = scratch();
    let tree = base.join("www");
    std::fs::create_dir(&tree).unwrap();
    std::fs::write(tree.join("file"), "x").unwrap();
    // Version 2, then tag, permissions and number of each: owner, user 1000, group, mask, others.
    let mut list = 2u32.to_le_bytes().to_vec();
    for (tag, permissions, id) in [
        (1u16, 6u16, u32::MAX),
        (2, 4, 1000),
        (4, 4, u32::MAX),
        (16, 4, u32::MAX),
        (32, 0, u32::MAX),
    ] {
        list.extend_from_slice(&tag.to_le_bytes());
        list.extend_from_slice(&permissions.to_le_bytes());
        list.extend_from_slice(&id.to_le_bytes());
    }
    let flags = rustix::fs::XattrFlags::empty();
    rustix::fs::setxattr(tree.join("file"), "system.posix_acl_access", &list, flags).unwrap();
    rustix::fs::setxattr(&tree, "system.posix_acl_default", &list, flags).unwrap();
    let (sink, _) = back_up(&base.join("www"));
    restore(&base.join("target"), &sink.bytes);
    let (before, after) = (facts(&tree), facts(&base.join("target/www")));
    assert_eq!(before, after);
    assert_eq!(after[Path::new("file")].attributes.len(), 1);
    let mut value = [0; 100];
    let length = rustix::fs::getxattr(base.join("target/www"), "system.posix_acl_default", &mut value[..]).unwrap();
    assert_eq!(&value[..length], list);
}

#[test]
fn a_source_that_is_gone_before_it_is_read_is_no_backup() {
    let (_guard, base) = scratch();
    std::fs::create_dir(base.join("www")).unwrap();
    let surroundings = Surroundings::default();
    let mut source = DirectorySource::new(options_for(&[&base.join("www")]));
    source.prepare(&surroundings.context()).unwrap();
    std::fs::remove_dir(base.join("www")).unwrap();
    let failure = source
        .stream(&mut MemorySink::default(), &surroundings.context())
        .unwrap_err();
    assert_eq!(failure.kind(), Kind::Source);
}
