//! Files that change while they are read never break the archive.

use std::cell::Cell;
use std::os::unix::fs::FileExt;

use super::super::archive::ArchiveReader;
use super::*;
use crate::base::failure::Kind;
use crate::catalog::manifest::ProblemKind;

const SIZE: usize = 2_000_000;

/// Backs up a folder with one large file between two small ones, and changes it once `change_at` bytes are written.
fn back_up_while(change_at: u64, change: impl Fn(&Path) + 'static) -> (MemorySink, SourceReport) {
    let (_guard, base) = scratch();
    let tree = base.join("www");
    std::fs::create_dir(&tree).unwrap();
    std::fs::write(tree.join("a"), "before").unwrap();
    std::fs::write(tree.join("b"), vec![b'b'; SIZE]).unwrap();
    std::fs::write(tree.join("c"), "after").unwrap();
    let changed = Cell::new(false);
    let watched = tree.clone();
    let sink = MemorySink {
        before_write: Some(Box::new(move |position| {
            if position >= change_at && !changed.replace(true) {
                change(&watched);
            }
        })),
        ..MemorySink::default()
    };
    back_up_with(options_for(&[&tree]), sink).unwrap()
}

/// The content of each file in the archive.
fn contents(archive: &[u8]) -> Vec<(String, Vec<u8>)> {
    let mut input = archive;
    let mut reader = ArchiveReader::new(&mut input, true);
    let mut all = Vec::new();
    while let Some(item) = reader.next().unwrap() {
        let mut content = Vec::new();
        loop {
            let block = reader.content().unwrap();
            if block.is_empty() {
                break;
            }
            content.extend_from_slice(block);
        }
        all.push((String::from_utf8(item.path).unwrap(), content));
    }
    all
}

fn only_problem(report: &SourceReport) -> (&str, ProblemKind) {
    assert_eq!(report.problem_count, 1, "{:?}", report.problems);
    (report.problems[0].item.as_str(), report.problems[0].kind)
}

#[test]
fn a_file_that_shrinks_is_filled_up_with_zeros() {
    let (sink, report) = back_up_while(600_000, |tree| {
        let file = std::fs::OpenOptions::new().write(true).open(tree.join("b")).unwrap();
        file.set_len(500_000).unwrap();
    });
    assert_eq!(only_problem(&report), ("www/b", ProblemKind::Shrank));
    let all = contents(&sink.bytes);
    assert_eq!(all.len(), 4);
    assert_eq!(all[2].1.len(), SIZE);
    assert!(all[2].1[SIZE - 1000..].iter().all(|byte| *byte == 0));
    assert_eq!(all[3], ("www/c".to_owned(), b"after".to_vec()));
}

#[test]
fn a_file_that_grows_is_cut_at_its_size() {
    let (sink, report) = back_up_while(600_000, |tree| {
        let file = std::fs::OpenOptions::new().append(true).open(tree.join("b")).unwrap();
        file.write_all_at(b"more", SIZE as u64).unwrap();
    });
    assert_eq!(only_problem(&report), ("www/b", ProblemKind::Grew));
    assert_eq!(contents(&sink.bytes)[2].1, vec![b'b'; SIZE]);
}

#[test]
fn a_file_that_is_written_to_is_recorded() {
    let (sink, report) = back_up_while(600_000, |tree| {
        // The clock of file times may tick as slowly as a hundred times a second.
        std::thread::sleep(std::time::Duration::from_millis(30));
        let file = std::fs::OpenOptions::new().write(true).open(tree.join("b")).unwrap();
        file.write_all_at(b"X", 10).unwrap();
    });
    assert_eq!(only_problem(&report), ("www/b", ProblemKind::Changed));
    assert_eq!(contents(&sink.bytes).len(), 4);
}

#[test]
fn a_name_added_meanwhile_is_no_change_of_content() {
    let (_, report) = back_up_while(600_000, |tree| {
        std::thread::sleep(std::time::Duration::from_millis(30));
        std::fs::hard_link(tree.join("b"), tree.join("../another")).unwrap();
    });
    assert_eq!(report.problems, []);
}

#[test]
fn what_vanishes_after_listing_is_left_out_and_recorded() {
    let (sink, report) = back_up_while(600, |tree| std::fs::remove_file(tree.join("c")).unwrap());
    assert_eq!(only_problem(&report), ("www/c", ProblemKind::Vanished));
    let names: Vec<_> = contents(&sink.bytes).into_iter().map(|(name, _)| name).collect();
    assert_eq!(names, ["www/", "www/a", "www/b"]);
}

#[test]
fn a_file_replaced_by_a_link_is_stored_as_the_link() {
    let (sink, report) = back_up_while(600, |tree| {
        std::fs::remove_file(tree.join("c")).unwrap();
        std::os::unix::fs::symlink("/etc/passwd", tree.join("c")).unwrap();
    });
    assert_eq!(report.problems, []);
    assert_eq!(sink.entries[3].kind, crate::catalog::index::EntryKind::Symlink);
}

#[test]
fn a_file_replaced_by_a_pipe_blocks_nobody() {
    let (sink, report) = back_up_while(600, |tree| {
        use rustix::fs::{CWD, FileType, Mode};
        std::fs::remove_file(tree.join("c")).unwrap();
        rustix::fs::mknodat(CWD, tree.join("c"), FileType::Fifo, Mode::RUSR, 0).unwrap();
    });
    assert_eq!(report.problems, []);
    assert_eq!(sink.entries[3].kind, crate::catalog::index::EntryKind::Fifo);
}

#[test]
fn a_file_that_nobody_may_read_is_left_out_and_recorded() {
    // The kernel refuses to read this one even to root.
    let (sink, report) = back_up(Path::new("/sys/bus/cpu"));
    let problem = report
        .problems
        .iter()
        .find(|problem| problem.item == "cpu/drivers_probe")
        .unwrap();
    assert_eq!(problem.kind, ProblemKind::Unreadable);
    assert!(sink.entries.iter().all(|entry| entry.path.0 != b"cpu/drivers_probe"));
    // And this small one claims a page and holds two bytes.
    let problem = report
        .problems
        .iter()
        .find(|problem| problem.item == "cpu/drivers_autoprobe")
        .unwrap();
    assert_eq!(problem.kind, ProblemKind::Shrank);
    let (_, content) = contents(&sink.bytes)
        .into_iter()
        .find(|(name, _)| name == "cpu/drivers_autoprobe")
        .unwrap();
    assert_eq!(content.len(), 4096);
}

#[test]
fn a_backup_does_not_contain_the_store_it_goes_to() {
    let (_folder, path) = scratch();
    let home = path.join("home");
    std::fs::create_dir_all(home.join("files/backups")).unwrap();
    std::fs::write(home.join("files/backups/kept"), "kept").unwrap();
    // It is made by the backup itself, and after the source has been prepared.
    let store = home.join("backups");
    let made = store.clone();
    let sink = MemorySink {
        before_write: Some(Box::new(move |_| {
            std::fs::create_dir_all(made.join("20260131")).unwrap();
            std::fs::write(made.join("20260131/growing"), "growing").unwrap();
        })),
        ..MemorySink::default()
    };
    std::fs::write(home.join("aaa"), "first").unwrap();
    std::fs::create_dir_all(store.join("20260130")).unwrap();
    std::os::unix::fs::symlink(&home, path.join("link")).unwrap();
    let options = DirectoryOptions {
        store_folders: vec![path.join("link/backups"), path.join("elsewhere")],
        ..options_for(&[&home])
    };
    let (sink, report) = back_up_with(options, sink).unwrap();
    let paths: Vec<String> = sink.entries.iter().map(|entry| entry.path.display()).collect();
    assert_eq!(
        paths,
        [
            "home",
            "home/aaa",
            "home/backups",
            "home/files",
            "home/files/backups",
            "home/files/backups/kept"
        ]
    );
    assert_eq!(report.problem_count, 0);
}

#[test]
fn the_store_itself_is_no_source_for_itself() {
    let (_folder, path) = scratch();
    let options = DirectoryOptions {
        store_folders: vec![path.clone()],
        ..options_for(&[&path])
    };
    let failure = back_up_with(options, MemorySink::default()).map(|_| ()).unwrap_err();
    assert_eq!(failure.kind(), Kind::Usage);
}
