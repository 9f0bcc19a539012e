//! bsdtar, the other tar in the field, reads the archives of the directory source without a word and restores the same.
//!
//! The library's own tests ask GNU tar; this one needs the package that the set-up script installs.

#![allow(clippy::expect_used)]

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::io::Write;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileExt, MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use backup_cli::base::cancel::Cancel;
use backup_cli::base::failure::Result;
use backup_cli::base::report::Recorder;
use backup_cli::catalog::index::Entry;
use backup_cli::source::directory::{DirectoryOptions, DirectorySource, TreeRestoreOptions, restore_tree};
use backup_cli::source::{Source, SourceContext, SourceSink};

#[derive(Default)]
struct MemorySink(Vec<u8>);

impl Write for MemorySink {
    fn write(&mut self, buffer: &[u8]) -> std::io::Result<usize> {
        self.0.extend_from_slice(buffer);
        Ok(buffer.len())
    }
    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl SourceSink for MemorySink {
    fn position(&self) -> u64 {
        self.0.len() as u64
    }
    fn cut(&mut self) -> Result<()> {
        Ok(())
    }
    fn entry(&mut self, _: &Entry) -> Result<()> {
        Ok(())
    }
}

fn make_tree(top: &Path) {
    std::fs::create_dir_all(top.join("empty folder")).expect("folder");
    let raw = |name: &[u8]| top.join(OsStr::from_bytes(name));
    for name in [
        b"plain".as_slice(),
        b"new\nline",
        "\u{fc}\u{1f600}".as_bytes(),
        b"\xff\xfe",
        b"-rf",
    ] {
        std::fs::write(raw(name), name).expect("file");
    }
    let mut deep = top.join("long");
    for length in [99, 100, 101, 155, 156, 255] {
        deep.push("n".repeat(length));
        std::fs::create_dir_all(&deep).expect("folder");
        std::fs::write(deep.join("f"), b"deep").expect("file");
        std::fs::write(deep.join("\u{fc}".repeat(60)), b"beyond ascii").expect("file");
        std::fs::write(deep.join(OsStr::from_bytes(&[0xfe; 150])), b"beyond utf-8").expect("file");
        symlink("t".repeat(length * 3), deep.join("link")).expect("link");
        symlink(OsStr::from_bytes(&[0xfd; 200]), deep.join("raw link")).expect("link");
    }
    symlink("/nowhere", top.join("dangling")).expect("link");
    std::fs::hard_link(top.join("plain"), top.join("zz-hard")).expect("hard link");
    std::fs::write(top.join("large"), vec![7; 3_000_000]).expect("file");
    std::fs::set_permissions(top.join("large"), PermissionsExt::from_mode(0o640)).expect("mode");
    for (name, size, at) in [
        ("sparse", 20 << 20, 5 << 20),
        ("sparse-odd", (4 << 20) + 77, (4 << 20) + 70),
    ] {
        let file = std::fs::File::create(top.join(name)).expect("file");
        file.set_len(size).expect("size");
        file.write_all_at(b"data", at).expect("data");
    }
    let hole = std::fs::File::create(top.join("sparse-\u{fc}-nothing")).expect("file");
    hole.set_len(1 << 30).expect("size");
    rustix::fs::setxattr(
        top.join("plain"),
        "user.note",
        b"a\0b=\n",
        rustix::fs::XattrFlags::empty(),
    )
    .expect("xattr");
}

/// Mode, time, and content, target or size of everything in a tree.
fn facts(top: &Path) -> BTreeMap<PathBuf, (u32, i64, i64, Vec<u8>)> {
    let mut all = BTreeMap::new();
    let mut todo = vec![PathBuf::new()];
    while let Some(relative) = todo.pop() {
        for entry in std::fs::read_dir(top.join(&relative)).expect("listing") {
            let path = relative.join(entry.expect("entry").file_name());
            let full = top.join(&path);
            let metadata = std::fs::symlink_metadata(&full).expect("metadata");
            let content = if metadata.is_dir() {
                todo.push(path.clone());
                Vec::new()
            } else if metadata.is_symlink() {
                std::fs::read_link(&full)
                    .expect("target")
                    .as_os_str()
                    .as_bytes()
                    .to_vec()
            } else if metadata.len() > 64 << 20 {
                metadata.len().to_string().into_bytes()
            } else {
                std::fs::read(&full).expect("content")
            };
            all.insert(
                path,
                (metadata.mode(), metadata.mtime(), metadata.mtime_nsec(), content),
            );
        }
    }
    all
}

fn back_up(path: &Path, context: &SourceContext<'_>) -> Vec<u8> {
    let mut source = DirectorySource::new(DirectoryOptions {
        paths: vec![path.to_owned()],
        ..DirectoryOptions::default()
    });
    source.prepare(context).expect("prepare");
    let mut sink = MemorySink::default();
    let report = source.stream(&mut sink, context).expect("stream");
    assert_eq!(report.problems, []);
    sink.0
}

/// Runs bsdtar, and gives what it said.
fn bsdtar(locale: &str, arguments: &[&str], folder: &Path) -> String {
    let output = Command::new("bsdtar")
        .env("LC_ALL", locale)
        .args(arguments)
        .current_dir(folder)
        .output()
        .expect("bsdtar is missing: run the project's set-up script, which installs libarchive-tools");
    assert!(output.status.success() || arguments.contains(&"-c"));
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn bsdtar_extracts_what_was_backed_up_in_any_locale() {
    let scratch = tempfile::tempdir().expect("scratch");
    let tree = scratch.path().join("www");
    make_tree(&tree);
    let (cancel, recorder) = (Cancel::new(), Recorder::default());
    let context = SourceContext {
        cancel: &cancel,
        reporter: &recorder,
    };
    let archive = scratch.path().join("www.tar");
    std::fs::write(&archive, back_up(&tree, &context)).expect("archive");
    for locale in ["C", "C.UTF-8"] {
        let target = scratch.path().join(locale);
        std::fs::create_dir(&target).expect("target");
        assert_eq!(bsdtar(locale, &["-t", "-f", "../www.tar"], &target), "", "in {locale}");
        assert_eq!(
            bsdtar(locale, &["-x", "-p", "-f", "../www.tar"], &target),
            "",
            "in {locale}"
        );
        let (before, after) = (facts(&tree), facts(&target.join("www")));
        for (path, wanted) in &before {
            assert!(after.get(path) == Some(wanted), "{path:?} in {locale}");
        }
        assert_eq!(before.len(), after.len());
        let first = std::fs::metadata(target.join("www/plain")).expect("first name");
        let second = std::fs::metadata(target.join("www/zz-hard")).expect("second name");
        assert_eq!(first.ino(), second.ino());
        let mut value = [0; 16];
        let length = rustix::fs::getxattr(target.join("www/plain"), "user.note", &mut value[..]).expect("xattr");
        assert_eq!(&value[..length], b"a\0b=\n");
        let hole = std::fs::metadata(target.join("www/sparse-\u{fc}-nothing")).expect("hole");
        assert!(hole.blocks() < 2048);
    }
}

#[test]
fn what_bsdtar_writes_is_restored() {
    let scratch = tempfile::tempdir().expect("scratch");
    let tree = scratch.path().join("www");
    make_tree(&tree);
    let (cancel, recorder) = (Cancel::new(), Recorder::default());
    let context = SourceContext {
        cancel: &cancel,
        reporter: &recorder,
    };
    // It complains about names that are not UTF-8, and stores them all the same.
    bsdtar(
        "C.UTF-8",
        &["-c", "--format=pax", "-f", "made.tar", "www"],
        scratch.path(),
    );
    let target = scratch.path().join("target");
    let options = TreeRestoreOptions {
        target: target.clone(),
        expect_end: true,
        ..TreeRestoreOptions::default()
    };
    let bytes = std::fs::read(scratch.path().join("made.tar")).expect("archive");
    let report = restore_tree(&mut bytes.as_slice(), &options, &mut || Ok(()), &context).expect("restore");
    assert_eq!(report.problems, []);
    assert!(facts(&tree) == facts(&target.join("www")));
}
