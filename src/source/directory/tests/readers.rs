//! GNU tar, which every machine has, reads the archives without a word. (The suite asks bsdtar the same.)

use std::process::Command;

use super::tree::{facts, make_nasty};
use super::*;

fn tar(arguments: &[&str], folder: &Path, archive: &Path) -> String {
    let output = Command::new("tar")
        .env("LC_ALL", "C")
        .args(arguments)
        .arg("-f")
        .arg(archive)
        .current_dir(folder)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(said, "", "tar {arguments:?}");
    assert!(output.status.success());
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[test]
fn gnu_tar_finds_no_difference_and_extracts_the_same() {
    let (_guard, base) = scratch();
    let tree = base.join("www");
    make_nasty(&tree);
    // GNU tar has its doubts about times before 1970 and in the future, whoever wrote the archive.
    for name in ["mode-0000", "size-511"] {
        super::tree::set_mtime(&tree.join(name), 1_000_000, 500_000_000);
    }
    let (sink, _) = back_up(&tree);
    let archive = base.join("www.tar");
    std::fs::write(&archive, &sink.bytes).unwrap();
    let listed = tar(&["--list", "--quoting-style=literal", "--null"], &base, &archive);
    assert!(listed.contains("www/plain.txt"));
    assert_eq!(
        tar(&["--compare", "--xattrs", "--xattrs-include=*"], &base, &archive),
        ""
    );
    let target = base.join("target");
    std::fs::create_dir(&target).unwrap();
    tar(
        &["--extract", "-p", "--xattrs", "--xattrs-include=*"],
        &target,
        &archive,
    );
    let (before, mut after) = (facts(&tree), facts(&target.join("www")));
    for (path, wanted) in &before {
        let mut found = after.remove(path).unwrap();
        // GNU tar gives links the time of a PAX header's whole seconds only on some systems; content and target count.
        if matches!(wanted.content, tree::Content::Link(_)) {
            found.mtime = wanted.mtime;
        }
        assert_eq!(wanted, &found, "{path:?}");
    }
    assert!(after.is_empty());
}

#[test]
fn what_gnu_tar_writes_in_every_format_is_restored() {
    let (_guard, base) = scratch();
    let tree = base.join("www");
    make_nasty(&tree);
    // What the older formats cannot hold.
    for name in ["mode-0000", "size-511"] {
        super::tree::set_mtime(&tree.join(name), 1_000_000, 0);
    }
    let whole_seconds = |mut facts: std::collections::BTreeMap<PathBuf, tree::Facts>| {
        for fact in facts.values_mut() {
            fact.mtime.1 = 0;
            fact.attributes.clear();
        }
        facts
    };
    for arguments in [
        &["--create", "--format=gnu", "--sparse"][..],
        &["--create", "--format=pax", "--sparse", "--sparse-version=0.0"],
        &["--create", "--format=pax", "--sparse", "--sparse-version=0.1"],
        &["--create", "--format=pax", "--sparse", "--sparse-version=1.0"],
        &["--create", "--format=oldgnu"],
    ] {
        let archive = base.join("made.tar");
        tar(&[arguments, &["www"]].concat(), &base, &archive);
        let target = base.join(arguments.join(" "));
        let report = restore(&target, &std::fs::read(&archive).unwrap());
        assert_eq!(report.problems, [], "{arguments:?}");
        let (before, after) = (whole_seconds(facts(&tree)), whole_seconds(facts(&target.join("www"))));
        for (path, wanted) in &before {
            assert_eq!(Some(wanted), after.get(path), "{arguments:?} {path:?}");
        }
        assert_eq!(before.len(), after.len());
    }
}

#[test]
fn attributes_and_exact_times_of_gnu_tar_come_back() {
    let (_guard, base) = scratch();
    let tree = base.join("www");
    make_nasty(&tree);
    let archive = base.join("made.tar");
    tar(
        &["--create", "--format=pax", "--xattrs", "--sparse", "www"],
        &base,
        &archive,
    );
    restore(&base.join("target"), &std::fs::read(&archive).unwrap());
    assert_eq!(facts(&tree), facts(&base.join("target/www")));
}
