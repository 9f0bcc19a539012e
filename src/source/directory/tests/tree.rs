//! Trees to be backed up, and everything that can be said about a tree.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::{FileExt, FileTypeExt, MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, FileType, Mode, Timespec, Timestamps, XattrFlags};

/// Everything that has to come back. The numbers of hard-linked files are those of the first path in order.
#[derive(Debug, PartialEq, Eq, Clone)]
pub(super) struct Facts {
    pub(super) mode: u32,
    pub(super) owner: (u32, u32),
    pub(super) mtime: (i64, i64),
    pub(super) content: Content,
    pub(super) attributes: BTreeMap<OsString, Vec<u8>>,
    pub(super) same_file_as: Option<PathBuf>,
}

#[derive(Debug, PartialEq, Eq, Clone)]
pub(super) enum Content {
    File(Vec<u8>),
    /// Size and a few samples, for files that no memory holds.
    Huge(u64, Vec<(u64, Vec<u8>)>),
    Folder,
    Link(PathBuf),
    Fifo,
    Device(u64),
}

pub(super) fn facts(top: &Path) -> BTreeMap<PathBuf, Facts> {
    let mut all = BTreeMap::new();
    let mut first_of = BTreeMap::new();
    let mut todo = vec![PathBuf::new()];
    while let Some(relative) = todo.pop() {
        let mut names: Vec<_> = std::fs::read_dir(top.join(&relative))
            .unwrap()
            .map(|entry| entry.unwrap().file_name())
            .collect();
        names.sort();
        for name in names {
            let path = relative.join(name);
            let full = top.join(&path);
            let metadata = std::fs::symlink_metadata(&full).unwrap();
            let kind = metadata.file_type();
            let content = if kind.is_dir() {
                todo.push(path.clone());
                Content::Folder
            } else if kind.is_symlink() {
                Content::Link(std::fs::read_link(&full).unwrap())
            } else if kind.is_fifo() {
                Content::Fifo
            } else if kind.is_file() && metadata.len() > 64 << 20 {
                let file = std::fs::File::open(&full).unwrap();
                let sample = |at: u64| {
                    let mut bytes = vec![0; 64];
                    let read = file.read_at(&mut bytes, at).unwrap();
                    bytes.truncate(read);
                    (at, bytes)
                };
                let samples = [0, 1 << 20, metadata.len() / 2, metadata.len() - 64];
                Content::Huge(metadata.len(), samples.into_iter().map(sample).collect())
            } else if kind.is_file() {
                Content::File(std::fs::read(&full).unwrap())
            } else {
                Content::Device(metadata.rdev())
            };
            let identity = (metadata.dev(), metadata.ino());
            let same_file_as = match metadata.nlink() > 1 && !kind.is_dir() {
                true => Some(first_of.entry(identity).or_insert_with(|| path.clone()).clone()),
                false => None,
            };
            all.insert(
                path,
                Facts {
                    mode: metadata.mode(),
                    owner: (metadata.uid(), metadata.gid()),
                    mtime: (metadata.mtime(), metadata.mtime_nsec()),
                    content,
                    attributes: attributes(&full, kind.is_file() || kind.is_dir()),
                    same_file_as,
                },
            );
        }
    }
    all
}

fn attributes(path: &Path, has: bool) -> BTreeMap<OsString, Vec<u8>> {
    let mut all = BTreeMap::new();
    if has {
        let mut list = vec![0; 65536];
        let length = rustix::fs::llistxattr(path, &mut list[..]).unwrap();
        for name in list[..length].split(|byte| *byte == 0).filter(|name| !name.is_empty()) {
            let mut value = vec![0; 65536];
            let length = rustix::fs::lgetxattr(path, name, &mut value[..]).unwrap();
            value.truncate(length);
            all.insert(OsString::from_vec(name.to_vec()), value);
        }
    }
    all
}

pub(super) fn set_mtime(path: &Path, seconds: i64, nanos: i64) {
    let time = Timespec {
        tv_sec: seconds,
        tv_nsec: nanos,
    };
    let times = Timestamps {
        last_access: time,
        last_modification: time,
    };
    rustix::fs::utimensat(CWD, path, &times, rustix::fs::AtFlags::SYMLINK_NOFOLLOW).unwrap();
}

/// A tree with everything that has ever broken a tar.
pub(super) fn make_nasty(top: &Path) {
    std::fs::create_dir(top).unwrap();
    let raw = |name: &[u8]| top.join(OsStr::from_bytes(name));
    for name in [
        b"plain.txt".as_slice(),
        b"-rf",
        b" leading and trailing ",
        b"new\nline",
        b"tab\tand\\backslash",
        b"\xff\xfe not utf-8",
        "umlaut \u{fc} \u{1f600}".as_bytes(),
        b"quote'\"$`*?[x]",
        b"...",
        b".hidden",
    ] {
        std::fs::write(raw(name), name).unwrap();
    }
    std::fs::write(top.join("empty"), b"").unwrap();
    for size in [
        1, 511, 512, 513, 1023, 1024, 262_143, 262_144, 262_145, 1_048_576, 3_000_001,
    ] {
        let content: Vec<u8> = (0..size).map(|index: u32| (index % 251) as u8).collect();
        std::fs::write(top.join(format!("size-{size}")), content).unwrap();
    }
    std::fs::create_dir(top.join("empty folder")).unwrap();
    // Names of every length around what the header's fields hold, in ASCII and beyond.
    let mut deep = top.join("long");
    for length in [90, 99, 100, 101, 120, 154, 155, 156, 200, 255] {
        deep.push("n".repeat(length));
        std::fs::create_dir_all(&deep).unwrap();
        std::fs::write(deep.join("f"), length.to_string()).unwrap();
        std::fs::write(deep.join("\u{fc}".repeat(60)), "beyond ascii").unwrap();
        std::fs::write(deep.join(OsStr::from_bytes(&[0xfe; 150])), "beyond utf-8").unwrap();
        symlink("t".repeat(length), deep.join("link")).unwrap();
    }
    // Others than root cannot read a file without the bits for it, and get no set-ID bits back.
    let is_root = rustix::process::geteuid().is_root();
    let mode = |as_root: u32, otherwise: u32| if is_root { as_root } else { otherwise };
    for (name, mode) in [
        ("mode-0000", mode(0, 0o400)),
        ("mode-0400", 0o400),
        ("mode-0777", 0o777),
        ("mode-4755", mode(0o4755, 0o755)),
        ("mode-2755", mode(0o2755, 0o755)),
    ] {
        std::fs::write(top.join(name), name).unwrap();
        std::fs::set_permissions(top.join(name), PermissionsExt::from_mode(mode)).unwrap();
    }
    for (name, mode) in [("folder-0500", 0o500), ("folder-1777", 0o1777), ("folder-2775", 0o2775)] {
        std::fs::create_dir(top.join(name)).unwrap();
        std::fs::write(top.join(name).join("inside"), name).unwrap();
        std::fs::set_permissions(top.join(name), PermissionsExt::from_mode(mode)).unwrap();
    }
    symlink("plain.txt", top.join("link-relative")).unwrap();
    symlink("/etc/hostname", top.join("link-absolute")).unwrap();
    symlink("../../../../nowhere", top.join("link-dangling")).unwrap();
    symlink(OsStr::from_bytes(b"\xff\n"), top.join("link-raw")).unwrap();
    symlink("x".repeat(1000), top.join("link-long")).unwrap();
    symlink(OsStr::from_bytes(&[0xfe; 1000]), top.join("link-long-raw")).unwrap();
    std::fs::hard_link(top.join("plain.txt"), top.join("hard-1")).unwrap();
    std::fs::create_dir(top.join("z")).unwrap();
    std::fs::hard_link(top.join("plain.txt"), top.join("z/hard-2")).unwrap();
    std::fs::hard_link(top.join("link-dangling"), top.join("z/hard-link-to-link")).unwrap();
    rustix::fs::mknodat(CWD, top.join("fifo"), FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
    let attribute = |path: &Path, name: &str, value: &[u8]| {
        rustix::fs::setxattr(path, name, value, XattrFlags::empty()).unwrap();
    };
    attribute(&top.join("plain.txt"), "user.one", b"value");
    attribute(&top.join("plain.txt"), "user.with=and%", b"\0\n\xff=");
    attribute(&top.join("size-513"), "user.empty", b"");
    attribute(&top.join("size-1023"), "user.large", &[b'x'; 3000]);
    attribute(&top.join("empty folder"), "user.folder", b"x");
    make_sparse(&top.join("sparse-middle"), 20 << 20, &[(5 << 20, b"middle")]);
    make_sparse(
        &top.join("sparse-start-and-end"),
        9 << 20,
        &[(0, b"start"), ((9 << 20) - 3, b"end")],
    );
    make_sparse(&top.join("sparse-empty"), 7 << 20, &[]);
    make_sparse(&top.join("sparse-odd"), (4 << 20) + 77, &[((1 << 20) + 13, b"odd")]);
    make_sparse(
        &top.join(OsStr::from_bytes(&[b"sparse-\xff-".as_slice(), &[b's'; 150]].concat())),
        3 << 20,
        &[(1 << 20, b"raw name")],
    );
    for (name, seconds, nanos) in [
        ("plain.txt", 1_234_567_890, 123_456_789),
        ("empty", 0, 0),
        ("size-1", 1_000_000_000, 1),
        ("size-511", 4_294_967_296, 999_999_999),
        ("link-relative", 1_111_111_111, 222_222_222),
        ("fifo", 1_333_333_333, 5_000_000),
        ("empty folder", 1_444_444_444, 444_444_444),
        ("folder-0500", 1_555_555_555, 0),
        ("z", 987_654_321, 100_000_000),
        ("long", 987_654_322, 1),
        ("mode-0000", -1_000_000, 500_000_000),
    ] {
        set_mtime(&top.join(name), seconds, nanos);
    }
    set_mtime(top, 1_600_000_000, 600_000_000);
}

pub(super) fn make_sparse(path: &Path, size: u64, pieces: &[(u64, &[u8])]) {
    let file = std::fs::File::create(path).unwrap();
    file.set_len(size).unwrap();
    for (at, piece) in pieces {
        file.write_all_at(piece, *at).unwrap();
    }
}

/// A chain of folders whose whole path is longer than the system takes in one call.
pub(super) fn make_deep(top: &Path, depth: usize) {
    use std::os::fd::AsFd;
    std::fs::create_dir(top).unwrap();
    let mut folder = rustix::fs::open(top, super::super::handles::FOLDER_FLAGS, Mode::empty()).unwrap();
    for level in 0..depth {
        let name = format!("folder-at-level-{level}");
        rustix::fs::mkdirat(folder.as_fd(), name.as_str(), Mode::RWXU).unwrap();
        let flags = rustix::fs::OFlags::CREATE | rustix::fs::OFlags::WRONLY;
        drop(rustix::fs::openat(&folder, "file", flags, Mode::RUSR).unwrap());
        folder = rustix::fs::openat(
            &folder,
            name.as_str(),
            super::super::handles::FOLDER_FLAGS,
            Mode::empty(),
        )
        .unwrap();
    }
}
