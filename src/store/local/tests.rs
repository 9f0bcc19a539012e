//! What a folder store does beyond the contract of all stores.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;

use tempfile::TempDir;

use super::*;
use crate::store::Role;
use crate::store::address::StoreAddress;
use crate::store::contract::{ContractOptions, check_contract};

fn options(token: &str) -> PutOptions {
    PutOptions {
        role: Role::Data,
        token: token.to_owned(),
        content_type: "application/octet-stream",
        metadata: BTreeMap::new(),
        lock: None,
    }
}

fn store() -> (TempDir, LocalStore) {
    let folder = tempfile::tempdir().unwrap();
    let store = LocalStore::open(folder.path().join("store")).unwrap();
    (folder, store)
}

fn put(store: &LocalStore, key: &str, body: &'static [u8]) -> Result<ObjectMeta> {
    store.put(&Key::new(key), Bytes::from_static(body), &options("t"))
}

fn part(number: u32, offset: u64, body: &'static [u8]) -> Part {
    Part {
        number,
        offset,
        body: Bytes::from_static(body),
        md5: [0; 16],
    }
}

fn keys(store: &LocalStore) -> Vec<String> {
    let mut keys = Vec::new();
    store
        .list("", &mut |meta| {
            keys.push(meta.key.to_string());
            Ok(ControlFlow::Continue(()))
        })
        .unwrap();
    keys
}

/// Every path below a folder, so that nothing hides.
fn everything(folder: &Path) -> Vec<String> {
    let mut paths = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            paths.extend(everything(&path));
        }
        paths.push(path.to_str().unwrap().to_owned());
    }
    paths
}

#[test]
fn the_contract_of_all_stores_holds() {
    let (_folder, store) = store();
    check_contract(&store, &ContractOptions { list_objects: 2100 }).unwrap();
    assert!(everything(&store.root).is_empty(), "the contract leaves nothing behind");
}

#[test]
fn a_folder_is_created_by_the_first_write_and_not_by_opening() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("a/b/c");
    let store = LocalStore::open(root.clone()).unwrap();
    let nothing = store.list("", &mut |_| Ok(ControlFlow::Continue(()))).unwrap_err();
    assert_eq!(nothing.kind(), Kind::NotFound);
    assert_eq!(nothing.hints().len(), 1);
    let nothing = store
        .list_folders("", &mut |_| Ok(ControlFlow::Continue(())))
        .unwrap_err();
    assert_eq!(nothing.kind(), Kind::NotFound);
    assert_eq!(store.head(&Key::new("x")).unwrap(), None);
    assert!(store.unfinished_uploads("").unwrap().is_empty());
    store.delete(&Key::new("x/y")).unwrap();
    assert!(!folder.path().join("a").exists());

    put(&store, "2025/x", b"x").unwrap();
    assert_eq!(fs::read(root.join("2025/x")).unwrap(), b"x");
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&root), 0o700);
    assert_eq!(mode(&root.join("2025")), 0o700);
    assert_eq!(mode(&root.join("2025/x")), 0o600);
}

#[test]
fn a_file_in_place_of_the_folder_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("file"), b"x").unwrap();
    for path in ["file", "file/store"] {
        let opened = LocalStore::open(folder.path().join(path));
        let failure = match opened {
            Err(failure) => failure,
            Ok(store) => put(&store, "x", b"x").unwrap_err(),
        };
        assert_eq!(failure.kind(), Kind::Config, "{path}: {failure:?}");
    }
}

#[test]
fn the_url_leads_back_to_the_same_folder() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("ä b%20?#");
    let store = LocalStore::open(root.clone()).unwrap();
    assert_eq!(
        StoreAddress::parse(&store.url()).unwrap(),
        StoreAddress::Local { folder: root }
    );
}

#[test]
fn names_that_are_taken_by_folders_and_files_are_conflicts() {
    let (_folder, store) = store();
    put(&store, "a/b", b"x").unwrap();
    assert_eq!(put(&store, "a", b"x").unwrap_err().kind(), Kind::Conflict);
    assert_eq!(put(&store, "a/b/c", b"x").unwrap_err().kind(), Kind::Conflict);
    assert_eq!(store.head(&Key::new("a")).unwrap(), None);
    assert_eq!(store.head(&Key::new("a/b/c")).unwrap(), None);
    store.delete(&Key::new("a")).unwrap();
    store.delete(&Key::new("a/b/c")).unwrap();
    assert_eq!(keys(&store), ["a/b"]);
    assert_eq!(everything(&store.root).len(), 2, "no temporary file stays behind");
}

#[test]
fn the_token_survives_in_the_file_system_or_in_memory() {
    let (_folder, store) = store();
    let key = Key::new("x");
    store.put(&key, Bytes::from_static(b"x"), &options("abc")).unwrap();
    assert_eq!(store.head(&key).unwrap().unwrap().token.as_deref(), Some("abc"));

    // As on a file system without extended attributes.
    let upload = store.begin(&Key::new("y"), &options("def")).unwrap();
    rustix::fs::fremovexattr(upload.staged.file(), "user.backup-cli.token").unwrap();
    upload.remember_token().unwrap();
    upload.publish(0).unwrap();
    assert_eq!(
        store.head(&Key::new("y")).unwrap().unwrap().token.as_deref(),
        Some("def")
    );
    let later = LocalStore::open(store.root.clone()).unwrap();
    assert_eq!(later.head(&Key::new("y")).unwrap().unwrap().token, None);
    assert_eq!(later.head(&key).unwrap().unwrap().token.as_deref(), Some("abc"));
}

#[test]
fn nothing_is_written_or_removed_through_a_link() {
    let (folder, store) = store();
    let outside = folder.path().join("outside");
    fs::create_dir(&outside).unwrap();
    fs::write(outside.join("precious"), b"x").unwrap();
    put(&store, "x", b"x").unwrap();
    symlink(&outside, store.root.join("linked")).unwrap();
    symlink(outside.join("precious"), store.root.join("file")).unwrap();
    symlink(outside.join("planted"), store.root.join("new")).unwrap();

    assert_eq!(put(&store, "linked/y", b"y").unwrap_err().kind(), Kind::Refused);
    assert_eq!(put(&store, "linked/deep/y", b"y").unwrap_err().kind(), Kind::Refused);
    assert_eq!(put(&store, "new", b"y").unwrap_err().kind(), Kind::Conflict);
    let failure = store.delete(&Key::new("linked/precious")).unwrap_err();
    assert_eq!(failure.kind(), Kind::Refused);
    assert_eq!(keys(&store), ["file", "linked/precious", "x"]);
    store.delete(&Key::new("file")).unwrap();
    assert_eq!(everything(&outside), [outside.join("precious").to_str().unwrap()]);
}

#[test]
fn an_unfinished_upload_is_a_hidden_file_beside_its_place() {
    let (_folder, store) = store();
    let upload = store.start_upload(&Key::new("2025/x.tar.gz"), &options("t")).unwrap();
    upload.put_part(part(1, 0, b"abc")).unwrap();
    let names: Vec<String> = everything(&store.root.join("2025"));
    assert_eq!(names.len(), 1);
    assert!(
        names[0].contains("/.backup-cli-unfinished.") && names[0].ends_with(".x.tar.gz"),
        "{names:?}"
    );

    for (prefix, count) in [("", 1), ("2025/", 1), ("2025/x", 1), ("2025/y", 0), ("2024/", 0)] {
        assert_eq!(store.unfinished_uploads(prefix).unwrap().len(), count, "{prefix}");
    }
    let unfinished = store.unfinished_uploads("").unwrap().remove(0);
    assert_eq!(unfinished.key, Key::new("2025/x.tar.gz"));
    assert!(store.root.join(&unfinished.upload_id).exists());
    assert!(unfinished.initiated.is_some());
    drop(upload);
    assert!(
        store.unfinished_uploads("").unwrap().is_empty(),
        "dropping it removes the file"
    );
}

#[test]
fn parts_that_leave_a_gap_or_were_never_sent_make_no_object() {
    let (_folder, store) = store();
    let key = Key::new("x");
    let upload = store.start_upload(&key, &options("t")).unwrap();
    let first = upload.put_part(part(1, 0, b"abc")).unwrap();
    let gap = upload.put_part(part(2, 4, b"def")).unwrap();
    assert!(upload.complete(&[first.clone(), gap.clone()], 6).is_err());
    let unsent = PartReceipt {
        number: 3,
        ..first.clone()
    };
    let second = upload.put_part(part(2, 3, b"def")).unwrap();
    assert!(upload.complete(&[first.clone(), second.clone(), unsent], 9).is_err());
    assert!(upload.complete(&[second.clone(), first.clone()], 6).is_err());
    assert!(upload.complete(&[first.clone(), second.clone()], 7).is_err());
    assert_eq!(store.head(&key).unwrap(), None);
    // The last part again, shorter: what was behind its end must not stay.
    let second = upload.put_part(part(2, 3, b"d")).unwrap();
    upload.complete(&[first, second], 4).unwrap();
    assert_eq!(fs::read(store.root.join("x")).unwrap(), b"abcd");
}

#[test]
fn a_file_that_is_cut_while_it_is_read_is_an_error() {
    let (_folder, store) = store();
    put(&store, "x", b"0123456789").unwrap();
    let mut reader = store.get(&Key::new("x"), Some(2..8)).unwrap();
    let mut buffer = [0; 2];
    reader.read_exact(&mut buffer).unwrap();
    assert_eq!(&buffer, b"23");
    fs::OpenOptions::new()
        .write(true)
        .open(store.root.join("x"))
        .unwrap()
        .set_len(5)
        .unwrap();
    let mut rest = Vec::new();
    let error = reader.read_to_end(&mut rest).unwrap_err();
    assert_eq!(rest, b"4");
    assert_eq!(crate::base::failure::from_io("read", error).kind(), Kind::Damaged);
}

#[test]
fn folders_that_a_removal_leaves_empty_go_too() {
    let (_folder, store) = store();
    put(&store, "a/b/c/x", b"x").unwrap();
    put(&store, "a/y", b"x").unwrap();
    store.delete(&Key::new("a/b/c/x")).unwrap();
    assert!(!store.root.join("a/b").exists());
    store.delete(&Key::new("a/y")).unwrap();
    assert!(everything(&store.root).is_empty());
    assert!(store.root.exists(), "the store's own folder stays");
}

#[test]
fn writing_wins_against_the_tidying_of_empty_folders() {
    let (_folder, store) = store();
    let store = &store;
    std::thread::scope(|scope| {
        for thread in 0..2 {
            scope.spawn(move || {
                for i in 0..200 {
                    let key = Key::new(format!("a/b/{thread}-{i}"));
                    store.put(&key, Bytes::from_static(b"x"), &options("t")).unwrap();
                    store.delete(&key).unwrap();
                }
            });
        }
    });
    assert!(everything(&store.root).is_empty());
}
