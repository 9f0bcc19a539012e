// What the fuzzer calls, and what the suite calls with every file of the corpus: each reader of bytes that may be anybody's.
//
// A target panics if a promise is broken: a reader that panics, gives something else the second time, or writes outside of
// its target. It returns for every input, good or bad.

use std::io::{Cursor, Read, Write};
use std::ops::ControlFlow;
use std::path::Path;

use backup_cli::base::cancel::Cancel;
use backup_cli::base::report::Recorder;
use backup_cli::catalog::index_file::IndexReader;
use backup_cli::catalog::manifest::Manifest;
use backup_cli::config::{ConfigFile, dotenv};
use backup_cli::pipeline::codec::frame;
use backup_cli::pipeline::inflate::MembersReader;
use backup_cli::pipeline::member;
use backup_cli::source::directory::{TreeRestoreOptions, restore_tree, scan_archive};
use backup_cli::source::{SourceContext, detect};
use backup_cli::store::Key;

/// Plaintext that is looked at; a small input may stand for any amount of it, and all of it comes the same way.
const PLAIN_BYTES_MAX: u64 = 32 << 20;

/// A stream of members: ours, others', gzip, Zstandard, and what is neither.
pub fn member(bytes: &[u8]) {
    let _ = member::parse_header(bytes);
    let _ = frame::parse_head(bytes);
    let read = |threads: usize| -> Result<Vec<u8>, ()> {
        let reader = MembersReader::new(Cursor::new(bytes.to_vec()), threads, &Cancel::new()).map_err(|_| ())?;
        let mut plain = Vec::new();
        let mut limited = reader.take(PLAIN_BYTES_MAX);
        match limited.read_to_end(&mut plain) {
            Ok(_) => Ok(plain),
            Err(_) => Err(()),
        }
    };
    let once = read(1);
    assert!(once == read(2), "the threads change what is read");
    // What is no stream of members comes back as it is.
    if let Ok(plain) = once
        && !bytes.is_empty()
        && detect::detect(bytes) != detect::Content::Gzip
        && detect::detect(bytes) != detect::Content::Zstd
    {
        assert!(plain == bytes, "other bytes are not passed through");
    }
}

/// An index, as it lies in a store if the first byte is even, otherwise its lines before they were compressed.
pub fn index(bytes: &[u8]) {
    let Some((first, rest)) = bytes.split_first() else {
        return;
    };
    let stored = match first % 2 {
        0 => rest.to_vec(),
        _ => {
            let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
            if encoder.write_all(rest).is_err() {
                return;
            }
            encoder.finish().unwrap_or_default()
        }
    };
    let lines = || -> Result<u64, String> {
        let mut reader =
            IndexReader::open(stored.as_slice(), "of the fuzzer").map_err(|failure| failure.to_string())?;
        let mut lines = 0;
        while let Some(line) = reader.next_line().map_err(|failure| failure.to_string())? {
            lines += u64::from(!format!("{line:?}").is_empty());
            if lines > 200_000 {
                break;
            }
        }
        Ok(lines)
    };
    assert_eq!(lines(), lines(), "it is read in two ways");
    if let Ok(mut reader) = IndexReader::open(stored.as_slice(), "of the fuzzer") {
        let _ = reader.private();
    }
}

/// A manifest. What is accepted is written, read and written again without a change.
pub fn manifest(bytes: &[u8]) {
    let key = Key::new("20260131/app_backup_20260131_020000.sql.gz.manifest.json");
    let Ok(mut manifest) = Manifest::from_json(&key, bytes) else {
        return;
    };
    let _ = (
        manifest.data_bytes(),
        manifest.index_object().is_some(),
        manifest.private(),
    );
    let Ok(written) = manifest.to_json() else { return };
    let mut again = Manifest::from_json(&key, &written).expect("what was written is read");
    let rewritten = again.to_json().expect("and written");
    assert!(written == rewritten, "a manifest changes on its way through");
}

/// An archive: listed, and restored beside something that must stay as it is.
pub fn tar(bytes: &[u8]) {
    let _ = scan_archive(&mut &*bytes, &mut |entry| {
        let leaves = entry.path.0.split(|byte| *byte == b'/').any(|name| name == b"..");
        assert!(!leaves && !entry.path.0.starts_with(b"/"), "{entry:?}");
        Ok(ControlFlow::Continue(()))
    });
    let folder = tempfile::tempdir().expect("a folder");
    let outside = folder.path().join("outside");
    std::fs::create_dir(&outside).expect("a folder");
    std::fs::write(outside.join("victim"), "untouched").expect("a file");
    let (cancel, recorder) = (Cancel::new(), Recorder::default());
    let context = SourceContext {
        cancel: &cancel,
        reporter: &recorder,
    };
    let options = TreeRestoreOptions {
        target: folder.path().join("target"),
        owners: Some(false),
        expect_end: true,
        ..TreeRestoreOptions::default()
    };
    let _ = restore_tree(&mut &*bytes, &options, &mut || Ok(()), &context);
    let mut beside: Vec<_> = std::fs::read_dir(folder.path())
        .expect("the folder")
        .map(|entry| entry.expect("an entry").file_name())
        .collect();
    beside.retain(|name| name != "target");
    assert_eq!(beside, ["outside"], "something stands beside the target");
    assert_eq!(std::fs::read_dir(&outside).expect("the folder").count(), 1);
    assert_eq!(std::fs::read(outside.join("victim")).expect("the file"), b"untouched");
    remove(folder.path());
}

/// Folders without any right are part of what may be restored.
fn remove(top: &Path) {
    use std::os::unix::fs::PermissionsExt;
    for entry in std::fs::read_dir(top).into_iter().flatten().flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            let _ = std::fs::set_permissions(entry.path(), std::fs::Permissions::from_mode(0o700));
            remove(&entry.path());
        }
    }
}

/// A configuration file, and a file of variables.
pub fn config(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let path = Path::new("/etc/backup-cli/config.toml");
    let parsed = || {
        format!(
            "{:?}",
            ConfigFile::parse(text, path).map(|file| (file.defaults, file.profiles))
        )
    };
    assert_eq!(parsed(), parsed(), "it is read in two ways");
    let _ = dotenv::parse(text, path);
}
