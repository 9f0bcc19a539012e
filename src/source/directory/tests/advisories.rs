//! Archives after what has been reported against other readers, each under the name of its report.

use std::os::unix::fs::MetadataExt;

use super::super::header::{ItemKind, pad, push_record, push_xattr_record};
use super::attacks::{Evil, attack, plain_attack};
use super::*;
use crate::base::failure::Kind;

/// The largest archive here unpacks to less; what a lie claims must not be allotted.
const ROOM_BYTES_MAX: u64 = 1 << 20;

fn names(target: &Path) -> Vec<String> {
    let mut names: Vec<String> = std::fs::read_dir(target)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned())
        .collect();
    names.sort();
    names
}

fn record(keyword: &str, value: &[u8]) -> Vec<u8> {
    let mut records = Vec::new();
    push_record(&mut records, keyword.as_bytes(), value);
    records
}

impl Evil {
    /// A header with a size of the test's choice, and whatever content after it.
    fn header(mut self, flag: u8, path: &str, size: u64, content: &[u8]) -> Self {
        let mut header = ::tar::Header::new_ustar();
        header.set_path(path).unwrap();
        header.set_entry_type(::tar::EntryType::new(flag));
        header.set_mode(0o644);
        header.set_size(size);
        header.set_cksum();
        self.bytes.extend_from_slice(header.as_bytes());
        self.bytes.extend_from_slice(content);
        pad(&mut self.bytes, content.len() as u64);
        self
    }
}

/// An archive inside a file's content, whose headers must never be followed.
fn inner() -> Vec<u8> {
    Evil::default()
        .file("smuggled", "inner")
        .item(ItemKind::Symlink, "smuggled-link", "../outside")
        .end()
}

/// Restores something that is damaged: it fails as such, and nothing is left.
fn is_refused(archive: &[u8]) {
    let (_guard, base) = scratch();
    let target = base.join("target");
    let failure = restore_with(&restore_options(&target), archive).unwrap_err();
    assert_eq!(failure.kind(), Kind::Damaged, "{failure:?}");
    assert!(!target.exists());
    assert_eq!(std::fs::read_dir(&base).unwrap().count(), 0);
}

#[test]
fn rustsec_2026_0068_a_size_in_a_record_hides_no_headers() {
    // The header says that nothing follows; the record tells the truth, and the content looks like an archive.
    let inner = inner();
    let (report, _guard, target) = plain_attack(
        Evil::default()
            .extension(b'x', &record("size", inner.len().to_string().as_bytes()))
            .header(b'0', "outer.tar", 0, &inner)
            .file("last", "x"),
    );
    assert_eq!(report.problem_count, 0, "{:?}", report.problems);
    assert_eq!(names(&target), ["last", "outer.tar"]);
    assert_eq!(std::fs::read(target.join("outer.tar")).unwrap(), inner);
}

#[test]
fn rustsec_2025_0110_headers_inside_the_content_of_a_file_are_content() {
    // The other way round: the header counts an archive in that the record says is not there, so what comes next are
    // headers to some and content to others. Records win, for all of the item.
    let inner = inner();
    let (report, _guard, target) = plain_attack(
        Evil::default()
            .extension(b'x', &record("size", b"0"))
            .header(b'0', "empty", inner.len() as u64, b"")
            .file("visible", "x"),
    );
    assert_eq!(report.problem_count, 0, "{:?}", report.problems);
    assert_eq!(names(&target), ["empty", "visible"]);
    // For everything that has content in some reader's eyes: no kind of item lets headers be swallowed or shown.
    for flag in [b'0', b'7', b'1', b'2', b'5', b'6', b'Q'] {
        let archive = Evil::default()
            .extension(b'x', &record("size", inner.len().to_string().as_bytes()))
            .header(flag, "odd", 0, &inner)
            .file("last", "x")
            .end();
        let (_guard, base) = scratch();
        let target = base.join("target");
        match restore_with(&restore_options(&target), &archive) {
            Err(failure) => assert_eq!(failure.kind(), Kind::Damaged),
            // A hard link has no content whoever says so; then what follows are items of the archive like any other.
            Ok(_) if flag == b'1' => {}
            Ok(_) => assert!(
                !names(&target).contains(&"smuggled".to_owned()),
                "{}",
                flag.escape_ascii()
            ),
        }
    }
}

#[test]
fn astral_tokio_tar_records_and_links_of_every_order_stay_inside() {
    let inner = inner();
    let size = record("size", inner.len().to_string().as_bytes());
    let up = record("path", b"../outside/victim");
    // GHSA-3cv2-h65g-fgmm: a record is about the next item, not about the long name between the two.
    let (report, _guard, target) = plain_attack(
        Evil::default()
            .extension(b'x', &size)
            .extension(b'L', b"outer.tar\0")
            .header(b'0', "short", 0, &inner)
            .extension(b'L', b"second\0")
            .extension(b'x', &record("size", b"1"))
            .header(b'0', "short", 0, b"2"),
    );
    assert_eq!(report.problem_count, 0, "{:?}", report.problems);
    assert_eq!(names(&target), ["outer.tar", "second"]);
    assert_eq!(std::fs::read(target.join("outer.tar")).unwrap(), inner);
    // Several records and long names before one item: the last of each counts, and each of them is checked.
    let (report, _guard, target) = plain_attack(
        Evil::default()
            .extension(b'x', &up)
            .extension(b'x', &record("path", b"one"))
            .file("short", "1")
            .extension(b'L', b"../outside/victim\0")
            .extension(b'L', b"two\0")
            .file("short", "2")
            .extension(b'g', &record("path", b"three"))
            .extension(b'x', &up)
            .file("short", "3")
            .extension(b'x', &record("path", b""))
            .file("short", "4"),
    );
    assert_eq!(report.problem_count, 1, "{:?}", report.problems);
    let found = names(&target);
    assert!(
        found.contains(&"one".to_owned()) && found.contains(&"two".to_owned()),
        "{found:?}"
    );
    // RUSTSEC-2026-0066: a broken record is refused, not skipped, so that no two readers see two archives.
    for broken in [
        b"x".as_slice(),
        b"99 path=a\n",
        b"11 path=good",
        b"-5 path=a\n",
        b"0 path=a\n",
        b"+9 path=a\n",
        b"20 size=1234567890123456789012\n",
        b"10 size=-1\n",
        b"10 size=+1\n",
        b"11 size=0x1\n",
        b"9 path=a\n9 path=bX",
    ] {
        is_refused(&Evil::default().extension(b'x', broken).file("a", "x").end());
        is_refused(&Evil::default().extension(b'g', broken).file("a", "x").end());
    }
}

#[test]
fn duplicacy_691_nothing_planted_in_the_target_is_followed_or_waited_for() {
    use rustix::fs::{CWD, FileType, Mode};
    for existing in [Existing::Merge, Existing::Replace] {
        let (report, _guard, target) = attack(
            Evil::default()
                .file("pipe", "mine")
                .file("up", "mine")
                .file("chain/deep/victim", "mine")
                .item(ItemKind::Hardlink, "other-name", "up")
                .full(ItemKind::Folder, "chain", "", 0o700, b"", (0, 0)),
            existing,
            |target| {
                // Writing into a pipe would wait for ever, and into a link for somebody else.
                rustix::fs::mknodat(CWD, target.join("pipe"), FileType::Fifo, Mode::RWXU, 0).unwrap();
                std::os::unix::fs::symlink("../outside/victim", target.join("up")).unwrap();
                std::os::unix::fs::symlink("loop", target.join("loop")).unwrap();
                std::os::unix::fs::symlink("../outside", target.join("chain")).unwrap();
            },
        );
        assert_eq!(report.problem_count, 0, "{:?}", report.problems);
        for name in ["pipe", "up", "chain/deep/victim", "other-name"] {
            assert_eq!(std::fs::read(target.join(name)).unwrap(), b"mine", "{name}");
        }
    }
}

#[test]
fn findajob_960_a_folder_that_becomes_a_link_is_not_written_through() {
    let (report, _guard, target) = plain_attack(
        Evil::default()
            // An empty folder makes room for the link, one with content does not.
            .item(ItemKind::Folder, "empty", "")
            .item(ItemKind::Symlink, "empty", "../outside")
            .file("empty/victim", "x")
            .file("full/x", "x")
            .item(ItemKind::Symlink, "full", "../outside")
            .file("full/victim", "inside")
            // With a slash, with a dot, with both.
            .item(ItemKind::Symlink, "slash/", "../outside")
            .file("slash/victim", "x")
            .item(ItemKind::Symlink, "./dot/.", "../outside")
            .file("dot/./victim", "x")
            .item(ItemKind::Symlink, ".", "../outside")
            .item(ItemKind::Symlink, "/", "../outside")
            // A link to the staging folder's own names.
            .item(ItemKind::Symlink, "self", ".")
            .file("self/../../outside/victim", "x")
            .file("self/inside", "x"),
    );
    assert_eq!(std::fs::read(target.join("full/victim")).unwrap(), b"inside");
    assert!(report.problem_count >= 7, "{:?}", report.problems);
}

#[test]
fn keysync_132_further_names_are_no_way_to_write_elsewhere() {
    let (report, _guard, target) = plain_attack(
        Evil::default()
            .file("a", "first")
            .item(ItemKind::Hardlink, "b", "a")
            // What is written under one name must not change what the other one is.
            .file("b", "second")
            .item(ItemKind::Symlink, "link", "../outside/victim")
            .item(ItemKind::Hardlink, "of-link", "link")
            .item(ItemKind::Hardlink, "of-link-2", "of-link")
            .file("of-link-2", "mine")
            .item(ItemKind::Hardlink, "..", "a")
            .item(ItemKind::Hardlink, "c", "./../target/a")
            .item(ItemKind::Hardlink, "d", "/a")
            .item(ItemKind::Hardlink, "e", ""),
    );
    assert_eq!(std::fs::read(target.join("a")).unwrap(), b"first");
    assert_eq!(std::fs::read(target.join("b")).unwrap(), b"second");
    assert_eq!(std::fs::read(target.join("of-link-2")).unwrap(), b"mine");
    assert_eq!(
        std::fs::read_link(target.join("of-link")).unwrap(),
        Path::new("../outside/victim")
    );
    assert_eq!(report.problem_count, 3, "{:?}", report.problems);
}

#[test]
fn names_with_nuls_of_other_systems_and_of_any_case_are_names_or_nothing() {
    let long = "n".repeat(4000);
    let (report, _guard, target) = plain_attack(
        Evil::default()
            .extension(b'x', &record("path", b"nul\0/../../outside/victim"))
            .file("x", "1")
            .extension(b'x', &record("linkpath", b"a\0b"))
            .item(ItemKind::Symlink, "nul-link", "x")
            .extension(b'L', b"before\0/../../outside/victim\0")
            .file("x", "2")
            .file("C:\\windows\\victim", "3")
            .file("..\\outside\\victim", "4")
            .item(ItemKind::Symlink, "Link", "../outside")
            .file("link/victim", "5")
            .file("LINK/victim", "6")
            .file("con", "7")
            .file("name.", "8")
            .file("\u{202e}gpj", "9")
            .extension(b'L', long.as_bytes())
            .file("x", "10"),
    );
    let found = names(&target);
    for name in [
        "before",
        "C:\\windows\\victim",
        "..\\outside\\victim",
        "link",
        "LINK",
        "con",
        "name.",
    ] {
        assert!(found.contains(&name.to_owned()), "{name}: {found:?}");
    }
    // The two with a NUL where the system takes none, and the one that no file system takes.
    assert_eq!(report.problem_count, 3, "{:?}", report.problems);
}

#[test]
fn claims_of_huge_sizes_take_no_room_and_no_memory() {
    let sizes = [1u64 << 33, 1 << 40, (1 << 62) - 1, u64::MAX / 4 + 1];
    for size in sizes {
        let said = record("size", size.to_string().as_bytes());
        for flag in [b'0', b'7', b'2', b'5', b'Q'] {
            is_refused(
                &Evil::default()
                    .extension(b'x', &said)
                    .header(flag, "huge", 0, b"little")
                    .end(),
            );
        }
    }
    // Before one item, and of one record alone.
    for flag in [b'x', b'g', b'L', b'K'] {
        let mut header = ::tar::Header::new_gnu();
        header.set_entry_type(::tar::EntryType::new(flag));
        header.set_size(1 << 40);
        header.set_cksum();
        is_refused(header.as_bytes());
    }
}

fn sparse(version: (&str, &str), size: u64, map: &[(u64, u64)], data: &[u8]) -> Evil {
    let mut records = Vec::new();
    push_record(&mut records, b"GNU.sparse.major", version.0.as_bytes());
    push_record(&mut records, b"GNU.sparse.minor", version.1.as_bytes());
    push_record(&mut records, b"GNU.sparse.name", b"holes");
    push_record(&mut records, b"GNU.sparse.realsize", size.to_string().as_bytes());
    let mut content = Vec::new();
    if version == ("1", "0") {
        let mut text = format!("{}\n", map.len());
        for (offset, length) in map {
            text.push_str(&format!("{offset}\n{length}\n"));
        }
        content.extend_from_slice(text.as_bytes());
        content.resize(content.len().next_multiple_of(512), 0);
    }
    content.extend_from_slice(data);
    Evil::default()
        .extension(b'x', &records)
        .header(b'0', "x", content.len() as u64, &content)
}

#[test]
fn sparse_maps_that_lie_are_refused_and_a_huge_hole_takes_no_room() {
    let data = [7; 512];
    for (size, map) in [
        // Behind the end, over each other, backwards, more and less than there is, beyond all numbers.
        (100, vec![(0, 512)]),
        (4096, vec![(0, 512), (256, 256)]),
        (4096, vec![(1024, 256), (0, 256)]),
        (4096, vec![(0, 1024)]),
        (4096, vec![(0, 256)]),
        (u64::MAX, vec![(u64::MAX - 100, 512)]),
        (u64::MAX, vec![(u64::MAX, 1), (0, 511)]),
    ] {
        is_refused(&sparse(("1", "0"), size, &map, &data).end());
    }
    is_refused(&sparse(("1", "0"), 4096, &vec![(0, 0); 2_000_000], &[]).end());
    for size in [1u64 << 40, 1 << 62, i64::MAX as u64, u64::MAX] {
        let (_guard, base) = scratch();
        let target = base.join("target");
        let archive = sparse(("1", "0"), size, &[(0, 512)], &data).file("good", "good").end();
        // What no file system holds is one item that is missing; what one does hold is a hole.
        match restore_with(&restore_options(&target), &archive) {
            Ok(report) => {
                assert!(report.problem_count <= 1, "{:?}", report.problems);
                assert_eq!(std::fs::read(target.join("good")).unwrap(), b"good");
                if report.problem_count == 0 {
                    let found = std::fs::metadata(target.join("holes")).unwrap();
                    assert_eq!(found.len(), size);
                    assert!(found.blocks() * 512 < ROOM_BYTES_MAX);
                }
            }
            Err(failure) => assert_eq!(failure.kind(), Kind::Damaged, "{failure:?}"),
        }
    }
}

#[test]
fn capabilities_and_other_attributes_that_lend_rights_come_only_with_owners() {
    // The first is a capability set of `cap_setuid`, as `setcap` writes it.
    let capability = b"\x01\0\0\x02\x80\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0";
    let mut records = Vec::new();
    push_xattr_record(&mut records, b"security.capability", capability);
    push_xattr_record(&mut records, b"trusted.overlay.opaque", b"y");
    push_xattr_record(&mut records, b"security.selinux", b"system_u:object_r:shadow_t:s0");
    push_xattr_record(&mut records, b"user.note", b"kept");
    let archive = Evil::default().extension(b'x', &records).file("tool", "x").end();
    let (_guard, base) = scratch();
    let target = base.join("target");
    let options = TreeRestoreOptions {
        owners: Some(false),
        ..restore_options(&target)
    };
    restore_with(&options, &archive).unwrap();
    let mut list = vec![0u8; 4096];
    let length = rustix::fs::listxattr(target.join("tool"), &mut list[..]).unwrap();
    assert_eq!(&list[..length], b"user.note\0");
}
