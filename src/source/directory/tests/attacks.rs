//! Archives that want to get out of the target.

use std::os::unix::fs::{MetadataExt, symlink};

use super::super::header::{Item, ItemKind, encode, pad, push_record};
use super::tree::facts;
use super::*;

/// An archive written item by item, without any of a writer's manners.
#[derive(Default)]
pub(super) struct Evil {
    pub(super) bytes: Vec<u8>,
}

impl Evil {
    pub(super) fn item(self, kind: ItemKind, path: &str, link: &str) -> Self {
        self.full(kind, path, link, 0o755, b"", (1, 3))
    }

    pub(super) fn file(self, path: &str, content: &str) -> Self {
        self.full(ItemKind::File, path, "", 0o644, content.as_bytes(), (0, 0))
    }

    pub(super) fn full(
        mut self,
        kind: ItemKind,
        path: &str,
        link: &str,
        mode: u32,
        content: &[u8],
        device: (u32, u32),
    ) -> Self {
        let item = Item {
            kind,
            path: path.as_bytes(),
            link: link.as_bytes(),
            mode,
            uid: 0,
            gid: 0,
            user: "",
            group: "",
            mtime: 1_000_000,
            mtime_nanos: 0,
            device,
            stored_bytes: content.len() as u64,
            sparse_bytes: None,
            attributes: b"",
        };
        encode(&item, &mut Vec::new(), &mut self.bytes);
        self.bytes.extend_from_slice(content);
        pad(&mut self.bytes, content.len() as u64);
        self
    }

    pub(super) fn extension(mut self, flag: u8, body: &[u8]) -> Self {
        let mut header = ::tar::Header::new_ustar();
        header.set_entry_type(::tar::EntryType::new(flag));
        header.set_size(body.len() as u64);
        header.set_cksum();
        self.bytes.extend_from_slice(header.as_bytes());
        self.bytes.extend_from_slice(body);
        pad(&mut self.bytes, body.len() as u64);
        self
    }

    pub(super) fn end(mut self) -> Vec<u8> {
        self.bytes.resize(self.bytes.len() + 1024, 0);
        self.bytes
    }
}

/// Restores into a target beside which something must stay as it is; gives the report and the target.
pub(super) fn attack(
    archive: Evil,
    existing: Existing,
    prepare: impl Fn(&Path),
) -> (TreeRestoreReport, tempfile::TempDir, PathBuf) {
    let (guard, base) = scratch();
    let outside = base.join("outside");
    std::fs::create_dir(&outside).unwrap();
    std::fs::write(outside.join("victim"), "untouched").unwrap();
    std::fs::set_permissions(&outside, std::os::unix::fs::PermissionsExt::from_mode(0o751)).unwrap();
    let target = base.join("target");
    std::fs::create_dir(&target).unwrap();
    prepare(&target);
    let before = (facts(&outside), std::fs::metadata(&outside).unwrap().ctime_nsec());
    let options = TreeRestoreOptions {
        existing,
        ..restore_options(&target)
    };
    let report = restore_with(&options, &archive.end()).unwrap();
    assert_eq!(
        before,
        (facts(&outside), std::fs::metadata(&outside).unwrap().ctime_nsec())
    );
    let beside: Vec<_> = std::fs::read_dir(&base)
        .unwrap()
        .map(|entry| entry.unwrap().file_name())
        .collect();
    assert_eq!(beside.len(), 2, "{beside:?}");
    (report, guard, target)
}

pub(super) fn plain_attack(archive: Evil) -> (TreeRestoreReport, tempfile::TempDir, PathBuf) {
    attack(archive, Existing::Refuse, |_| {})
}

#[test]
fn paths_that_lead_upwards_are_refused_and_absolute_ones_stay_inside() {
    let (report, _guard, target) = plain_attack(
        Evil::default()
            .file("../outside/victim", "x")
            .file("a/../../outside/victim", "x")
            .file("..", "x")
            .file("/planted", "inside")
            .item(ItemKind::Folder, "../outside", "")
            .item(ItemKind::Symlink, "../outside/link", "x")
            .file("good", "good"),
    );
    assert_eq!(report.problem_count, 5);
    assert_eq!(std::fs::read(target.join("planted")).unwrap(), b"inside");
    assert_eq!(std::fs::read(target.join("good")).unwrap(), b"good");
}

#[test]
fn nothing_is_written_through_a_link_of_the_archive() {
    let (report, _guard, target) = plain_attack(
        Evil::default()
            .item(ItemKind::Symlink, "exit", "../outside")
            .file("exit/victim", "x")
            .file("exit/new", "x")
            .item(ItemKind::Folder, "exit/folder", "")
            .item(ItemKind::Symlink, "chain", "exit")
            .file("chain/victim", "x")
            .item(ItemKind::Symlink, "absolute", "/")
            .file("absolute/tmp/planted", "x")
            .item(ItemKind::Symlink, "staging", "../../..")
            .file("staging/outside/victim", "x"),
    );
    assert_eq!(report.problem_count, 6, "{:?}", report.problems);
    assert_eq!(
        std::fs::read_link(target.join("exit")).unwrap(),
        Path::new("../outside")
    );
}

#[test]
fn a_file_at_the_path_of_a_link_replaces_the_link_and_not_what_it_points_to() {
    let (report, _guard, target) = plain_attack(
        Evil::default()
            .item(ItemKind::Symlink, "x", "../outside/victim")
            .file("x", "mine"),
    );
    assert_eq!(report.problem_count, 0);
    assert_eq!(std::fs::read(target.join("x")).unwrap(), b"mine");
    assert!(!std::fs::symlink_metadata(target.join("x")).unwrap().is_symlink());
}

#[test]
fn a_folder_at_the_path_of_a_link_changes_no_mode_outside() {
    // The folder's mode and time once went to what the link points to (RUSTSEC-2026-0067).
    let (report, _guard, target) = plain_attack(
        Evil::default()
            .item(ItemKind::Symlink, "x", "../outside")
            .full(ItemKind::Folder, "x", "", 0o777, b"", (0, 0))
            .file("x/victim", "mine"),
    );
    assert_eq!(report.problem_count, 0);
    assert_eq!(std::fs::read(target.join("x/victim")).unwrap(), b"mine");
}

#[test]
fn hard_links_reach_nothing_outside() {
    let (report, _guard, target) = plain_attack(
        Evil::default()
            .item(ItemKind::Hardlink, "up", "../outside/victim")
            .item(ItemKind::Hardlink, "absolute", "/etc/passwd")
            .item(ItemKind::Symlink, "link", "../outside")
            .item(ItemKind::Hardlink, "through", "link/victim")
            .item(ItemKind::Symlink, "soft", "../outside/victim")
            .item(ItemKind::Hardlink, "of-the-link", "soft")
            .file("of-the-link", "mine")
            .item(ItemKind::Hardlink, "of-a-folder", ".")
            .item(ItemKind::Hardlink, "missing", "never"),
    );
    assert_eq!(report.problem_count, 5, "{:?}", report.problems);
    for name in ["up", "absolute", "through", "missing"] {
        assert!(std::fs::symlink_metadata(target.join(name)).is_err(), "{name}");
    }
    assert_eq!(std::fs::read(target.join("of-the-link")).unwrap(), b"mine");
}

#[test]
fn links_in_the_target_are_not_followed_when_merging() {
    for existing in [Existing::Merge, Existing::Replace] {
        let (report, _guard, target) = attack(
            Evil::default()
                .item(ItemKind::Folder, "planted", "")
                .file("planted/victim", "mine")
                .file("file", "mine"),
            existing,
            |target| {
                symlink("../outside", target.join("planted")).unwrap();
                symlink("../outside/victim", target.join("file")).unwrap();
            },
        );
        assert_eq!(report.problem_count, 0);
        assert_eq!(std::fs::read(target.join("planted/victim")).unwrap(), b"mine");
        assert_eq!(std::fs::read(target.join("file")).unwrap(), b"mine");
    }
}

#[test]
fn devices_and_lent_rights_come_only_with_owners() {
    let archive = Evil::default()
        .item(ItemKind::CharDevice, "null", "")
        .full(ItemKind::File, "su", "", 0o4755, b"x", (0, 0))
        .full(ItemKind::Folder, "shared", "", 0o2775, b"", (0, 0))
        .end();
    let (_guard, base) = scratch();
    // Only root can restore owners; what others get when they ask for it is in the report.
    let with_owners = match rustix::process::geteuid().is_root() {
        true => (Some(true), 0, 0o4755),
        false => (Some(true), 3, 0o755),
    };
    for (owners, problems, mode) in [(Some(false), 1, 0o755), with_owners] {
        let target = base.join(format!("target-{owners:?}"));
        let options = TreeRestoreOptions {
            owners,
            ..restore_options(&target)
        };
        let report = restore_with(&options, &archive).unwrap();
        assert_eq!(report.problem_count, problems, "{:?}", report.problems);
        assert_eq!(std::fs::metadata(target.join("su")).unwrap().mode() & 0o7777, mode);
        assert_eq!(
            std::fs::metadata(target.join("shared")).unwrap().mode() & 0o7777,
            0o2775
        );
    }
}

#[test]
fn the_later_of_two_items_wins() {
    let (report, _guard, target) = plain_attack(
        Evil::default()
            .file("a", "first")
            .file("a", "second")
            .item(ItemKind::Folder, "b", "")
            .file("b", "a file now")
            .file("c", "a file")
            .item(ItemKind::Folder, "c", "")
            .file("c/inside", "a folder now")
            .file("d/full", "x")
            .file("d", "refused")
            .item(ItemKind::Hardlink, "a", "a"),
    );
    assert_eq!(report.problem_count, 1, "{:?}", report.problems);
    assert_eq!(std::fs::read(target.join("a")).unwrap(), b"second");
    assert_eq!(std::fs::read(target.join("b")).unwrap(), b"a file now");
    assert_eq!(std::fs::read(target.join("c/inside")).unwrap(), b"a folder now");
    assert_eq!(std::fs::read(target.join("d/full")).unwrap(), b"x");
}

#[test]
fn records_and_long_names_lead_nowhere_either() {
    let mut path = Vec::new();
    push_record(&mut path, b"path", b"../outside/victim");
    let mut link = Vec::new();
    push_record(&mut link, b"linkpath", b"../outside/victim");
    let (report, _guard, target) = plain_attack(
        Evil::default()
            .extension(b'x', &path)
            .file("innocent", "x")
            .extension(b'L', b"../outside/victim\0")
            .file("innocent", "x")
            .extension(b'x', &link)
            .item(ItemKind::Hardlink, "innocent", "x")
            .extension(b'g', &path)
            .file("innocent", "x"),
    );
    assert_eq!(report.problem_count, 4, "{:?}", report.problems);
    assert_eq!(std::fs::read_dir(&target).unwrap().count(), 0);
}

#[test]
fn a_long_name_is_one_thing_whatever_the_order() {
    let mut path = Vec::new();
    push_record(&mut path, b"path", b"from-pax");
    let both = |first: (u8, &[u8]), second: (u8, &[u8])| {
        let archive = Evil::default()
            .extension(first.0, first.1)
            .extension(second.0, second.1)
            .file("header", "x");
        let (_, guard, target) = plain_attack(archive);
        let names: Vec<_> = std::fs::read_dir(&target)
            .unwrap()
            .map(|entry| entry.unwrap().file_name())
            .collect();
        drop(guard);
        names
    };
    assert_eq!(both((b'x', &path), (b'L', b"from-gnu\0")), ["from-pax"]);
    assert_eq!(both((b'L', b"from-gnu\0"), (b'x', &path)), ["from-pax"]);
}

#[test]
fn what_cannot_be_named_here_is_recorded_and_the_rest_restored() {
    let (report, _guard, target) = plain_attack(
        Evil::default()
            .file(&"n".repeat(300), "a name that no file system takes")
            .file(&format!("{}x", "deep/".repeat(10_000)), "too deep")
            .file(&format!("{}x", "deep/".repeat(1000)), "deep")
            .file("good", "good"),
    );
    assert_eq!(report.problem_count, 2, "{:?}", report.problems);
    assert_eq!(report.problems[0].message, "File name too long");
    assert_eq!(std::fs::read(target.join("good")).unwrap(), b"good");
    let top = std::fs::File::open(&target).unwrap();
    super::super::remove::remove(std::os::fd::AsFd::as_fd(&top), b"deep").unwrap();
}

#[test]
fn links_to_nothing_and_unknown_kinds_are_recorded() {
    let (report, _guard, _target) = plain_attack(
        Evil::default()
            .item(ItemKind::Symlink, "empty", "")
            .extension(b'Q', b"unknown")
            .extension(b'V', b""),
    );
    assert_eq!(report.problem_count, 2, "{:?}", report.problems);
}

#[test]
fn headers_before_headers_without_end_are_refused() {
    let mut long = tar::Header::new_gnu();
    long.set_entry_type(tar::EntryType::GNULongName);
    long.set_size(1 << 20);
    long.set_cksum();
    let mut bytes = Vec::new();
    for _ in 0..40 {
        bytes.extend_from_slice(long.as_bytes());
        bytes.resize(bytes.len() + (1 << 20), b'x');
    }
    let mut input = bytes.as_slice();
    let failure = crate::source::directory::archive::ArchiveReader::new(&mut input, true)
        .next()
        .unwrap_err();
    assert!(failure.causes()[0].contains("larger than any"), "{failure:?}");
}
