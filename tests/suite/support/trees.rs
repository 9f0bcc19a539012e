//! Directory trees as nasty as real ones, and their comparison byte by byte.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::fs::{self, File};
use std::io::{Read, Write};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, CWD, Mode, Timespec, Timestamps, XattrFlags, lgetxattr, llistxattr, lsetxattr, utimensat};

/// Which of the nasty things a tree holds beyond those that every file system and user can have.
#[derive(Clone, Copy, Debug)]
pub struct TreeOptions {
    /// A named pipe.
    pub fifo: bool,
    /// Files without read permission; only root can back them up.
    pub unreadable: bool,
    /// Other owners, setuid bits, a device; only root can make them.
    pub owners: bool,
}

impl TreeOptions {
    /// All that the user who runs the tests can make and read.
    pub fn all() -> Self {
        let root = rustix::process::geteuid().is_root();
        Self {
            fifo: true,
            unreadable: root,
            owners: root,
        }
    }
}

/// A generator of bytes that do not compress, the same at every run (xorshift).
#[derive(Clone, Debug)]
pub struct Noise(u64);

impl Noise {
    pub fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1)
    }

    pub fn number(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    pub fn bytes(&mut self, count: usize) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(count + 8);
        while bytes.len() < count {
            bytes.extend_from_slice(&self.number().to_le_bytes());
        }
        bytes.truncate(count);
        bytes
    }

    /// Text that compresses as prose and source code do, some four to one.
    pub fn text(&mut self, count: usize) -> Vec<u8> {
        const WORDS: [&str; 16] = [
            "backup", "restore", "member", "fn ", "return ", "stream", "{\n", "}\n", "let ", " = ", "manifest",
            "index", "(offset)", ";\n    ", "if ", "bytes",
        ];
        let mut bytes = Vec::with_capacity(count + 16);
        while bytes.len() < count {
            let number = self.number();
            bytes.extend_from_slice(WORDS[usize::try_from(number % 16).expect("below 16")].as_bytes());
            if number & 0x300 == 0 {
                bytes.extend_from_slice(format!("{:x}", number >> 40).as_bytes());
            }
        }
        bytes.truncate(count);
        bytes
    }
}

/// Sets the modification time of anything, a symbolic link itself included.
pub fn set_modified(path: &Path, seconds: i64, nanoseconds: i64) {
    let time = Timespec {
        tv_sec: seconds,
        tv_nsec: nanoseconds,
    };
    let times = Timestamps {
        last_access: time,
        last_modification: time,
    };
    utimensat(CWD, path, &times, AtFlags::SYMLINK_NOFOLLOW).expect("the time is set");
}

/// Sets an extended attribute.
pub fn set_xattr(path: &Path, name: &str, value: &[u8]) {
    lsetxattr(path, name, value, XattrFlags::empty())
        .unwrap_or_else(|error| panic!("set `{name}` on `{}`: {error}", path.display()));
}

fn write(path: &Path, content: &[u8]) {
    fs::write(path, content).unwrap_or_else(|error| panic!("write `{}`: {error}", path.display()));
}

fn folder(path: &Path) {
    fs::create_dir_all(path).unwrap_or_else(|error| panic!("make `{}`: {error}", path.display()));
}

fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("the mode is set");
}

/// Fills `top` (which is made) with everything that a tree can hold.
pub fn make_nasty_tree(top: &Path, options: TreeOptions) {
    folder(top);
    let mut noise = Noise::new(7);

    let sizes = top.join("sizes");
    folder(&sizes);
    for bytes in [
        0,
        1,
        511,
        512,
        513,
        10_239,
        10_240,
        10_241,
        1 << 20,
        (1 << 20) + 1,
        3 << 20,
    ] {
        write(&sizes.join(format!("noise-{bytes}")), &noise.bytes(bytes));
        write(&sizes.join(format!("text-{bytes}")), &noise.text(bytes));
    }
    write(&sizes.join("zeros"), &vec![0; 2 << 20]);

    let many = top.join("many");
    for number in 0..300_usize {
        let below = many.join(format!("{:02}", number % 10));
        folder(&below);
        write(&below.join(format!("file-{number:03}.rs")), &noise.text(number * 7));
    }

    make_names(&top.join("names"), &mut noise);
    make_links(&top.join("links"), &mut noise);
    make_modes(&top.join("modes"), options);
    make_times(&top.join("times"));
    make_attributes(&top.join("attributes"));
    make_sparse(&top.join("sparse"), &mut noise);
    folder(&top.join("empty folder/with an empty one inside"));
    if options.fifo {
        rustix::fs::mknodat(
            CWD,
            top.join("fifo"),
            rustix::fs::FileType::Fifo,
            Mode::from_raw_mode(0o640),
            0,
        )
        .expect("a named pipe");
    }
    if options.owners {
        make_owners(&top.join("owners"));
    }
    // A folder that cannot be written comes last, and its time would not survive what is made inside.
    let closed = top.join("modes/read-only folder");
    folder(&closed);
    write(&closed.join("inside"), b"still restored\n");
    set_mode(&closed, 0o555);
    set_modified(&closed, 1_234_567_890, 123_456_789);
    set_modified(top, 1_600_000_000, 1);
}

fn make_names(top: &Path, noise: &mut Noise) {
    folder(top);
    let names: [&[u8]; 26] = [
        b" leading space",
        b"trailing space ",
        b"-rf",
        b"--help",
        b"new\nline",
        b"tab\tand\rreturn",
        b"\xff\xfe not utf-8 \x80",
        b"\x1b[31mred\x1b[0m",
        b"glob*?[a-z]{x,y}",
        b"back\\slash",
        b"quo\"te's",
        b"dollar $HOME `id`",
        b"percent %s %00",
        b"equals=sign",
        b"#comment",
        b"~",
        b".hidden",
        b"...",
        "größe-naïve-日本語-🎒".as_bytes(),
        // The same letter composed and decomposed: two files.
        "é".as_bytes(),
        "e\u{301}".as_bytes(),
        b"case",
        b"CASE",
        b"@LongLink",
        b"PaxHeaders.0",
        b"con",
    ];
    for name in names {
        write(&top.join(OsStr::from_bytes(name)), &[b"content of ", name].concat());
    }
    // Where ustar's fields end: 100 for a name, 155 for a prefix.
    for length in [99, 100, 101, 155, 156, 254, 255] {
        write(&top.join("n".repeat(length)), &noise.bytes(10));
    }
    let mut deep = top.to_owned();
    for level in 0..12 {
        deep.push(format!("level-{level:02}-{}", "d".repeat(90)));
    }
    folder(&deep);
    write(&deep.join("bottom"), b"more than a thousand bytes down\n");
    symlink("bottom", deep.join("link")).expect("a symbolic link");
    folder(
        &top.join(OsStr::from_bytes(b"folder \xc3\x28 with bytes"))
            .join("inside"),
    );
}

fn make_links(top: &Path, noise: &mut Noise) {
    folder(&top.join("a/b"));
    write(&top.join("target"), b"pointed at\n");
    let link = |target: &[u8], name: &str| symlink(OsStr::from_bytes(target), top.join(name)).expect("a symbolic link");
    link(b"target", "relative");
    link(b"/etc/passwd", "absolute");
    link(b"nowhere", "dangling");
    link(b"a", "to a folder");
    link(b"loop", "loop");
    link(b"../../../../../../etc", "outside");
    link(b"./a/../a/b/", "roundabout");
    link(b"\xff not utf-8 \n", "odd target");
    link("t".repeat(100).as_bytes(), "target of 100");
    link("t".repeat(101).as_bytes(), "target of 101");
    link(format!("{}x", "long/".repeat(200)).as_bytes(), "target of 1001");
    set_modified(&top.join("relative"), 1_111_111_111, 111_111_111);

    let hard = |from: &str, to: &str| fs::hard_link(top.join(from), top.join(to)).expect("a hard link");
    write(&top.join("hard-1"), &noise.bytes(100_000));
    hard("hard-1", "a/hard-2");
    hard("hard-1", "a/b/hard-3");
    write(&top.join("a/z-first"), b"");
    hard("a/z-first", "empty-twin");
    hard("dangling", "link-twin");
    let long = "h".repeat(200);
    write(&top.join(&long), b"a hard link with a long name\n");
    hard(&long, "short");
    // The same content, but not the same file.
    write(&top.join("copy-1"), b"copy\n");
    write(&top.join("copy-2"), b"copy\n");
}

fn make_modes(top: &Path, options: TreeOptions) {
    folder(top);
    for mode in [0o400, 0o444, 0o600, 0o644, 0o755, 0o777, 0o711] {
        let path = top.join(format!("file-{mode:o}"));
        write(&path, b"mode\n");
        set_mode(&path, mode);
    }
    for mode in [0o700, 0o755, 0o1777, 0o2775] {
        let path = top.join(format!("folder-{mode:o}"));
        folder(&path);
        set_mode(&path, mode);
    }
    if options.unreadable {
        let path = top.join("file-000");
        write(&path, b"nobody may read this\n");
        set_mode(&path, 0);
        let path = top.join("folder-000");
        folder(&path.join("inside"));
        set_mode(&path, 0);
    }
}

fn make_times(top: &Path) {
    folder(top);
    let times: [(&str, i64, i64); 8] = [
        ("epoch", 0, 0),
        ("a nanosecond after", 0, 1),
        ("before the epoch", -86_400, 500_000_000),
        ("1901", -2_147_483_648, 0),
        ("almost a second", 1_700_000_000, 999_999_999),
        ("2038", 2_147_483_648, 1),
        ("2106", 4_294_967_296, 10),
        // Beyond the eleven octal digits of a tar header.
        ("2242", 8_589_934_592, 100),
    ];
    for (name, seconds, nanoseconds) in times {
        write(&top.join(name), name.as_bytes());
        set_modified(&top.join(name), seconds, nanoseconds);
    }
    folder(&top.join("folder/inside"));
    set_modified(&top.join("folder/inside"), 1_000_000_000, 3);
    set_modified(&top.join("folder"), 1_000_000_000, 2);
    set_modified(top, 1_000_000_000, 1);
}

fn make_attributes(top: &Path) {
    folder(&top.join("folder"));
    let file = top.join("file");
    write(&file, b"with attributes\n");
    set_xattr(&file, "user.text", b"value");
    set_xattr(&file, "user.empty", b"");
    set_xattr(&file, "user.binary", b"\0\x01\n=\xff 12 \n");
    set_xattr(&file, "user.name with = and spaces", b"odd name");
    set_xattr(&file, "user.long", &Noise::new(3).bytes(2000));
    set_xattr(&top.join("folder"), "user.of a folder", b"yes");
    // An access list of the kernel's own format: version 2; owner, user 65534, group, mask, others.
    let mut list = 2_u32.to_le_bytes().to_vec();
    for (tag, permissions, id) in [
        (1_u16, 6_u16, u32::MAX),
        (2, 4, 65_534),
        (4, 4, u32::MAX),
        (16, 4, u32::MAX),
        (32, 0, u32::MAX),
    ] {
        list.extend(tag.to_le_bytes());
        list.extend(permissions.to_le_bytes());
        list.extend(id.to_le_bytes());
    }
    let listed = top.join("with an access list");
    write(&listed, b"acl\n");
    set_xattr(&listed, "system.posix_acl_access", &list);
}

fn make_sparse(top: &Path, noise: &mut Noise) {
    use std::os::unix::fs::FileExt;
    folder(top);
    let make = |name: &str, bytes: u64, islands: &[(u64, Vec<u8>)]| {
        let file = File::create(top.join(name)).expect("a file");
        for (offset, content) in islands {
            file.write_all_at(content, *offset).expect("an island is written");
        }
        file.set_len(bytes).expect("the length is set");
    };
    const MIB: u64 = 1 << 20;
    make("only a hole", 16 * MIB, &[]);
    make(
        "islands",
        64 * MIB,
        &[
            (0, noise.bytes(5000)),
            (20 * MIB, noise.bytes(70_000)),
            (64 * MIB - 4096, noise.bytes(4096)),
        ],
    );
    make("hole at the end", 8 * MIB + 1, &[(0, noise.bytes(10))]);
    make("data at the end", 8 * MIB + 1, &[(8 * MIB, vec![b'x'])]);
    // More islands than a sparse header of any kind holds in one block.
    let many: Vec<(u64, Vec<u8>)> = (0..200)
        .map(|number| (number * 256 * 1024, noise.bytes(4096)))
        .collect();
    make("many islands", 200 * 256 * 1024, &many);
}

fn make_owners(top: &Path) {
    folder(top);
    let own = |path: &Path, user: u32, group: u32| {
        std::os::unix::fs::lchown(path, Some(user), Some(group)).expect("root may give files away");
    };
    write(&top.join("nobody's"), b"nobody\n");
    own(&top.join("nobody's"), 65_534, 65_534);
    write(&top.join("numbers only"), b"no such user\n");
    own(&top.join("numbers only"), 54_321, 54_322);
    write(&top.join("large numbers"), b"beyond seven octal digits\n");
    own(&top.join("large numbers"), 3_000_000, 4_000_000_000);
    symlink("nobody's", top.join("link")).expect("a symbolic link");
    own(&top.join("link"), 1, 2);
    write(&top.join("setuid"), b"#!\n");
    own(&top.join("setuid"), 65_534, 65_534);
    set_mode(&top.join("setuid"), 0o6755);
    // A file capability (cap_net_raw, effective), as `ping` has it.
    write(&top.join("capable"), b"#!\n");
    let capability = [1_u8, 0, 0, 2, 0, 32, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    set_xattr(&top.join("capable"), "security.capability", &capability);
    folder(&top.join("folder"));
    own(&top.join("folder"), 33, 33);
}

/// What to compare.
#[derive(Clone, Copy, Debug)]
pub struct Compare {
    /// Owner and group numbers.
    pub owners: bool,
    /// Extended attributes, access lists and capabilities.
    pub attributes: bool,
    /// That holes are holes: a file takes up at most a tenth more room than its original.
    pub holes: bool,
}

impl Compare {
    /// Everything that the user who runs the tests can have restored.
    pub fn all() -> Self {
        Self {
            owners: rustix::process::geteuid().is_root(),
            attributes: true,
            holes: true,
        }
    }

    /// Content, kinds, modes, times and links: what any tar program brings back.
    pub fn basics() -> Self {
        Self {
            owners: false,
            attributes: false,
            holes: false,
        }
    }
}

/// One thing in a tree.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Item {
    kind: &'static str,
    mode: u32,
    bytes: u64,
    blocks: u64,
    modified: (i64, i64),
    owner: (u32, u32),
    target: Option<PathBuf>,
    /// The first path, in byte order, that is the same file.
    twin_of: Option<PathBuf>,
    attributes: BTreeMap<OsString, Vec<u8>>,
    device: u64,
}

fn read_tree(top: &Path) -> BTreeMap<PathBuf, Item> {
    let mut items = BTreeMap::new();
    let mut waiting = vec![PathBuf::new()];
    while let Some(relative) = waiting.pop() {
        let path = if relative.as_os_str().is_empty() {
            top.to_owned()
        } else {
            top.join(&relative)
        };
        let meta = fs::symlink_metadata(&path).unwrap_or_else(|error| panic!("stat `{}`: {error}", path.display()));
        let kind = meta.file_type();
        if kind.is_dir() {
            let entries = fs::read_dir(&path).unwrap_or_else(|error| panic!("list `{}`: {error}", path.display()));
            waiting.extend(entries.map(|entry| relative.join(entry.expect("an entry").file_name())));
        }
        let item = Item {
            kind: match kind {
                _ if kind.is_dir() => "folder",
                _ if kind.is_file() => "file",
                _ if kind.is_symlink() => "symbolic link",
                _ if kind.is_fifo() => "named pipe",
                _ if kind.is_socket() => "socket",
                _ if kind.is_char_device() => "character device",
                _ => "block device",
            },
            mode: meta.mode() & 0o7777,
            bytes: if kind.is_dir() { 0 } else { meta.size() },
            blocks: meta.blocks(),
            modified: (meta.mtime(), meta.mtime_nsec()),
            owner: (meta.uid(), meta.gid()),
            target: kind.is_symlink().then(|| fs::read_link(&path).expect("a target")),
            twin_of: (!kind.is_dir() && meta.nlink() > 1)
                .then(|| PathBuf::from(format!("{}:{}", meta.dev(), meta.ino()))),
            attributes: read_attributes(&path),
            device: meta.rdev(),
        };
        items.insert(relative, item);
    }
    // Inode numbers differ between two trees; which paths share one does not.
    let mut first = BTreeMap::new();
    for (path, item) in &mut items {
        if let Some(inode) = item.twin_of.take() {
            item.twin_of = Some(first.entry(inode).or_insert_with(|| path.clone()).clone());
        }
    }
    items
}

fn read_attributes(path: &Path) -> BTreeMap<OsString, Vec<u8>> {
    let mut names = vec![0_u8; 64 * 1024];
    let count = match llistxattr(path, &mut names) {
        Ok(count) => count,
        Err(rustix::io::Errno::NOTSUP) => return BTreeMap::new(),
        Err(error) => panic!("list the attributes of `{}`: {error}", path.display()),
    };
    names[..count]
        .split(|byte| *byte == 0)
        .filter(|name| !name.is_empty())
        .map(|name| {
            let mut value = vec![0_u8; 64 * 1024];
            let count = lgetxattr(path, OsStr::from_bytes(name), &mut value)
                .unwrap_or_else(|error| panic!("read an attribute of `{}`: {error}", path.display()));
            value.truncate(count);
            (OsString::from_vec(name.to_vec()), value)
        })
        .collect()
}

/// All differences between two trees, each a line of text; empty if there are none.
pub fn differences(expected: &Path, found: &Path, compare: Compare) -> Vec<String> {
    let (left, right) = (read_tree(expected), read_tree(found));
    let mut lines = Vec::new();
    for path in right.keys().filter(|path| !left.contains_key(*path)) {
        lines.push(format!("{path:?}: should not be there"));
    }
    for (path, want) in &left {
        let Some(have) = right.get(path) else {
            lines.push(format!("{path:?}: is missing"));
            continue;
        };
        let mut differ = |what: &str, want: &dyn std::fmt::Debug, have: &dyn std::fmt::Debug| {
            lines.push(format!("{path:?}: {what} should be {want:?} and is {have:?}"));
        };
        if want.kind != have.kind {
            differ("kind", &want.kind, &have.kind);
            continue;
        }
        // The mode of a symbolic link means nothing.
        if want.mode != have.mode && want.target.is_none() {
            differ("mode", &format!("{:o}", want.mode), &format!("{:o}", have.mode));
        }
        if want.modified != have.modified {
            differ("modification time", &want.modified, &have.modified);
        }
        if want.target != have.target {
            differ("target", &want.target, &have.target);
        }
        if want.twin_of != have.twin_of {
            differ("hard link", &want.twin_of, &have.twin_of);
        }
        if want.device != have.device {
            differ("device number", &want.device, &have.device);
        }
        if compare.owners && want.owner != have.owner {
            differ("owner", &want.owner, &have.owner);
        }
        if compare.attributes && want.attributes != have.attributes {
            differ("attributes", &want.attributes, &have.attributes);
        }
        if want.bytes != have.bytes {
            differ("length", &want.bytes, &have.bytes);
        } else if want.kind == "file" {
            // 64 blocks of 512 bytes are how a file system may round.
            if compare.holes && have.blocks > want.blocks + want.blocks / 10 + 64 {
                differ("number of blocks", &want.blocks, &have.blocks);
            }
            if let Some(offset) = first_difference(&expected.join(path), &found.join(path)) {
                lines.push(format!("{path:?}: content differs at byte {offset}"));
            }
        }
    }
    lines
}

/// Asserts that two trees are the same.
#[track_caller]
pub fn assert_same_tree(expected: &Path, found: &Path, compare: Compare) {
    let lines = differences(expected, found, compare);
    let shown = lines.len().min(40);
    assert!(
        lines.is_empty(),
        "`{}` and `{}` differ in {} places:\n{}",
        expected.display(),
        found.display(),
        lines.len(),
        lines[..shown].join("\n")
    );
}

fn first_difference(left: &Path, right: &Path) -> Option<u64> {
    let open = |path: &Path| File::open(path).unwrap_or_else(|error| panic!("open `{}`: {error}", path.display()));
    let (mut left, mut right) = (open(left), open(right));
    let (mut a, mut b) = (vec![0; 256 * 1024], vec![0; 256 * 1024]);
    let mut offset = 0;
    loop {
        let count = read_full(&mut left, &mut a);
        let other = read_full(&mut right, &mut b);
        if a[..count] != b[..other] {
            let at = a[..count]
                .iter()
                .zip(&b[..other])
                .position(|(x, y)| x != y)
                .unwrap_or(count.min(other));
            return Some(offset + u64::try_from(at).expect("a position"));
        }
        if count == 0 {
            return None;
        }
        offset += u64::try_from(count).expect("a length");
    }
}

fn read_full(file: &mut File, block: &mut [u8]) -> usize {
    let mut filled = 0;
    while filled < block.len() {
        match file.read(&mut block[filled..]).expect("the file is read") {
            0 => break,
            count => filled += count,
        }
    }
    filled
}

/// A small plain tree for tests that are not about trees: three files in two folders.
pub fn make_small_tree(top: &Path) {
    folder(&top.join("folder"));
    write(&top.join("hello.txt"), b"hello\n");
    write(&top.join("folder/numbers"), &Noise::new(1).text(10_000));
    let mut file = File::create(top.join("folder/noise")).expect("a file");
    file.write_all(&Noise::new(2).bytes(100_000))
        .expect("the file is written");
}
