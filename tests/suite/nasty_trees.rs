//! Trees at their worst: changed while they are read, named to confuse, linked by the thousand, full of holes. What comes out
//! is an archive for GNU tar and bsdtar too, and what did not change is in it byte for byte.
//!
//! `BACKUP_CLI_TEST_TREES_SECS=60` goes on changing a tree and backing it up for so long.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileExt, MetadataExt, PermissionsExt, symlink};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use rustix::fs::{CWD, FileType, Mode, OFlags, mknodat};

use crate::round_trips::{back_up, id_of};
use crate::support::place::{Place, PlaceKind};
use crate::support::server::fresh_folder;
use crate::support::system_tool;
use crate::support::trees::{Compare, Noise, assert_same_tree};

/// Files that nobody touches while the others change.
const QUIET_FILES: usize = 40;
/// Files that change all the time.
const BUSY_FILES: u64 = 24;
/// Who changes them, each in a thread of its own.
const WRITERS: u64 = 3;
/// How many backups are made meanwhile.
const BACKUPS: u32 = 8;

/// Unpacks an archive with a stock tool, which must find it whole; it may have things to say of times in the future.
fn unpack(tool: &str, archive: &Path, target: &Path, more: &[&str]) {
    std::fs::create_dir_all(target).expect("a folder");
    for words in [&["-t"][..], &["-x", "-p"]] {
        let output = Command::new(system_tool(tool))
            .args(words)
            .args(more)
            .arg("-f")
            .arg(archive)
            .env("LC_ALL", "C.UTF-8")
            .current_dir(target)
            .stdin(Stdio::null())
            .output()
            .expect("it starts");
        assert!(
            output.status.success(),
            "{tool} {words:?}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
    }
}

/// Opens a busy file for writing: never through a link, which would be a file of somebody else's, and never waiting for
/// the other end of a pipe.
fn busy(path: &Path) -> std::io::Result<std::fs::File> {
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let file = rustix::fs::open(path, flags, Mode::RUSR | Mode::WUSR)?;
    Ok(std::fs::File::from(file))
}

fn write_busy(path: &Path, content: &[u8]) -> std::io::Result<()> {
    let file = busy(path)?;
    file.set_len(0)?;
    file.write_all_at(content, 0)
}

/// Changes one of the busy files in some way. `elsewhere` is what links point to; it must stay as it is.
fn disturb(folder: &Path, elsewhere: &Path, noise: &mut Noise) {
    let path = folder.join(format!("busy-{:02}", noise.number() % BUSY_FILES));
    let bytes = usize::try_from(noise.number() % 200_000).unwrap_or(0);
    // Another writer may have been faster at any of this.
    let _ = match noise.number() % 9 {
        0 => write_busy(&path, &noise.bytes(bytes)),
        1 => busy(&path).and_then(|file| file.set_len(bytes as u64)),
        2 => busy(&path).and_then(|file| file.write_all_at(b"more", bytes as u64)),
        3 => std::fs::rename(&path, folder.join(format!("busy-{:02}", noise.number() % BUSY_FILES))),
        4 => std::fs::remove_file(&path),
        5 => std::fs::remove_file(&path).and_then(|()| symlink(elsewhere, &path)),
        6 => std::fs::remove_file(&path)
            .and_then(|()| Ok(mknodat(CWD, &path, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0)?)),
        7 => std::fs::remove_file(&path)
            .and_then(|()| std::fs::create_dir(&path))
            .and_then(|()| write_busy(&path.join("inside"), b"x")),
        _ => std::fs::remove_dir_all(&path).and_then(|()| write_busy(&path, &noise.bytes(bytes))),
    };
}

#[test]
fn a_tree_that_changes_at_a_high_rate_is_an_archive_for_everybody_and_its_quiet_files_are_whole() {
    let folder = fresh_folder("busy");
    let tree = folder.path().join("www");
    let elsewhere = folder.path().join("elsewhere");
    std::fs::write(&elsewhere, "not a part of the tree").expect("a file");
    let mut noise = Noise::new(31);
    let mut quiet: BTreeMap<PathBuf, Vec<u8>> = BTreeMap::new();
    for number in 0..QUIET_FILES {
        // Between the busy ones, in the order in which they are read.
        let name = PathBuf::from(format!("d{}/busy-{number:02}-quiet", number % 4));
        let bytes = usize::try_from(noise.number() % 60_000).unwrap_or(0);
        let content = noise.bytes(bytes);
        std::fs::create_dir_all(tree.join(&name).parent().expect("a folder")).expect("a folder");
        std::fs::write(tree.join(&name), &content).expect("a file");
        quiet.insert(name, content);
    }
    let place = Place::fresh(PlaceKind::Folder);
    let cli = place.cli();
    let stop = AtomicBool::new(false);
    let changes = AtomicU64::new(0);
    let seconds = std::env::var("BACKUP_CLI_TEST_TREES_SECS")
        .ok()
        .and_then(|text| text.parse().ok());
    let until = seconds.map(|seconds| Instant::now() + Duration::from_secs(seconds));
    let (mut backups, mut partial) = (0, 0);
    std::thread::scope(|scope| {
        for writer in 0..WRITERS {
            let (tree, elsewhere, stop, changes) = (&tree, &elsewhere, &stop, &changes);
            scope.spawn(move || {
                let mut noise = Noise::new(100 + writer);
                while !stop.load(Ordering::Relaxed) {
                    disturb(&tree.join(format!("d{}", noise.number() % 4)), elsewhere, &mut noise);
                    changes.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        let _stops = Stops(&stop);
        while until.map_or(backups < BACKUPS, |until| Instant::now() < until) {
            let run = cli.run(["backup", "--json", "--level", "1", tree.to_str().expect("a path")]);
            assert!(matches!(run.code(), 0 | 3), "{run}");
            let id = id_of(&run);
            let manifest = cli.run(["show", &id, "--json"]).success().json();
            let problems = manifest["problem_count"].as_u64().unwrap_or(0);
            assert_eq!(run.code() == 3, problems > 0, "{run}");
            assert_eq!(manifest["state"], if problems > 0 { "partial" } else { "complete" });
            partial += u32::from(problems > 0);
            backups += 1;
            let base = folder.path().join("found");
            let data = place.store_folder().join(data_key(&manifest));
            let archive = folder.path().join("www.tar.gz");
            std::fs::copy(&data, &archive).expect("the data");
            let ours = base.join("ours");
            cli.run(["restore", &id, "--to", ours.to_str().expect("a path")])
                .success();
            unpack("tar", &archive, &base.join("tar"), &["-z"]);
            unpack("bsdtar", &archive, &base.join("bsdtar"), &[]);
            for by in ["ours", "tar", "bsdtar"] {
                for (name, content) in &quiet {
                    let found = std::fs::read(base.join(by).join("www").join(name)).expect("a quiet file");
                    assert!(found == *content, "{by}: {}", name.display());
                }
            }
            std::fs::remove_dir_all(&base).expect("it is removed");
        }
    });
    let changes = changes.load(Ordering::Relaxed);
    assert!(changes > u64::from(backups) * 20, "{changes}");
    assert_eq!(std::fs::read(&elsewhere).expect("a file"), b"not a part of the tree");
    let line = format!(
        "trees: {backups} backups beside {changes} changes, {partial} of them partial, {QUIET_FILES} quiet files whole in each\n"
    );
    let _ = std::io::Write::write_all(&mut std::io::stderr(), line.as_bytes());
}

/// Ends the writers when the test is over, however it ends.
struct Stops<'a>(&'a AtomicBool);

impl Drop for Stops<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

fn data_key(manifest: &serde_json::Value) -> String {
    manifest["objects"][0]["key"].as_str().expect("a key").to_owned()
}

/// Names that mean something to somebody who reads them carelessly.
fn names() -> Vec<OsString> {
    let mut names: Vec<Vec<u8>> = [
        " ",
        "  leading",
        "trailing ",
        "-",
        "--",
        "-rf",
        "--help",
        "-C",
        "--to-command=id",
        "...",
        "..x",
        ".-x",
        "~",
        "~root",
        "a\nb",
        "\n",
        "a\rb",
        "a\tb",
        "\u{1b}[31mred",
        "\u{7f}",
        "a\\b",
        "\\",
        "\\n",
        "%s%n",
        "$(id)",
        "`id`",
        ";id",
        "|id",
        "&",
        "*",
        "?",
        "[a]",
        "{a,b}",
        "'",
        "\"",
        "<>",
        "#",
        "=",
        "path=x",
        "1 path=x",
        "@LongLink",
        "././@LongLink".split('/').next_back().unwrap_or("x"),
        "PaxHeaders.0",
        "GNUSparseFile.0",
        "é",
        "e\u{301}",
        "\u{202e}txt",
        "日本語",
        "\u{1f600}",
        "CON",
        "a:b",
        ".git",
        "name.",
    ]
    .iter()
    .map(|name| name.as_bytes().to_vec())
    .collect();
    names.extend([
        b"\xff".to_vec(),
        b"\xff\xfe\xfd".to_vec(),
        b"latin-\xe9".to_vec(),
        b"\xc3".to_vec(),
        b"\xed\xa0\x80".to_vec(),
        vec![b'n'; 255],
        vec![0xfe; 255],
        "ü".repeat(127).into_bytes(),
        (1..=31u8).filter(|byte| *byte != b'/').collect(),
        (128..=254u8).collect(),
    ]);
    names
        .into_iter()
        .map(|name| OsStr::from_bytes(&name).to_owned())
        .collect()
}

#[test]
fn names_that_confuse_come_back_through_every_reader_as_files_folders_and_links() {
    let folder = fresh_folder("names");
    let tree = folder.path().join("www");
    for (number, name) in names().iter().enumerate() {
        let top = tree.join(format!("{number}"));
        std::fs::create_dir_all(top.join("folder").join(name).join(name)).expect("a folder");
        std::fs::write(top.join(name), name.as_bytes()).expect("a file");
        std::fs::write(top.join("folder").join(name).join("file"), "inside").expect("a file");
        symlink(name, top.join("link")).expect("a link");
        std::fs::hard_link(top.join(name), top.join("folder").join(name).join("other name")).expect("a hard link");
    }
    // A path of 4 KiB less one byte from the top of the tree, and empty folders in a row.
    let mut deep = tree.join("deep");
    while deep.as_os_str().len() < 3_800 {
        deep.push("d".repeat(199));
    }
    std::fs::create_dir_all(&deep).expect("a folder");
    std::fs::write(deep.join("file"), "deep").expect("a file");
    let mut narrow = tree.join("narrow");
    (0..400).for_each(|_| narrow.push("d"));
    std::fs::create_dir_all(narrow).expect("a folder");
    mknodat(CWD, tree.join("pipe"), FileType::Fifo, Mode::RUSR, 0).expect("a pipe");
    let _socket = UnixListener::bind(tree.join("socket")).expect("a socket");

    let place = Place::fresh(PlaceKind::Folder);
    let cli = place.cli();
    let run = cli.run(["backup", "--json", tree.to_str().expect("a path")]).success();
    assert!(run.stderr().contains("socket"), "{run}");
    let id = id_of(&run);
    let manifest = cli.run(["show", &id, "--json"]).success().json();
    let archive = folder.path().join("www.tar.gz");
    std::fs::copy(place.store_folder().join(data_key(&manifest)), &archive).expect("the data");
    drop(std::fs::remove_file(tree.join("socket")));
    // What nobody stores was there until a moment ago.
    let stamp = std::fs::metadata(&tree).expect("the tree");
    let target = folder.path().join("ours");
    cli.run(["restore", &id, "--to", target.to_str().expect("a path")])
        .success();
    unpack("tar", &archive, &folder.path().join("tar"), &["-z"]);
    unpack("bsdtar", &archive, &folder.path().join("bsdtar"), &[]);
    for by in ["ours", "tar", "bsdtar"] {
        let found = folder.path().join(by).join("www");
        // The socket's going moved the time of the top.
        std::fs::File::open(&found)
            .and_then(|file| file.set_modified(stamp.modified().expect("a time")))
            .expect("a time");
        assert_same_tree(&tree, &found, Compare::basics());
        for number in 0..names().len() {
            let one =
                std::fs::symlink_metadata(found.join(format!("{number}")).join(&names()[number])).expect("a file");
            assert_eq!(one.nlink(), 2, "{by}: {:?}", names()[number]);
        }
    }
    // And the list of what is inside says each of them in one line that steers no terminal.
    let listed = cli.run(["ls", &id]).success();
    assert!(!listed.stdout().contains('\u{1b}') && !listed.stdout().contains('\u{7f}'));
}

#[test]
fn a_farm_of_hard_links_is_stored_once_and_comes_back_as_one() {
    const NAMES: u64 = 6_000;
    const PAIRS: u64 = 1_500;
    let folder = fresh_folder("links");
    let tree = folder.path().join("www");
    for number in 0..30 {
        std::fs::create_dir_all(tree.join(format!("d{number:02}"))).expect("a folder");
    }
    let first = tree.join("d00/0000");
    std::fs::write(&first, Noise::new(5).bytes(1 << 20)).expect("a file");
    for number in 1..NAMES {
        std::fs::hard_link(&first, tree.join(format!("d{:02}/{number:04}", number % 30))).expect("a link");
    }
    for number in 0..PAIRS {
        let one = tree.join(format!("d{:02}/pair-{number:04}-a", number % 30));
        std::fs::write(&one, format!("{number}")).expect("a file");
        std::fs::hard_link(&one, tree.join(format!("d{:02}/pair-{number:04}-b", (number + 7) % 30))).expect("a link");
    }
    // A name that is not in the backup counts for the file and is no part of it.
    std::fs::hard_link(tree.join("d00/pair-0000-a"), folder.path().join("outside")).expect("a link");
    let place = Place::fresh(PlaceKind::Folder);
    let cli = place.cli();
    let id = back_up(&cli, &[tree.to_str().expect("a path")]);
    let manifest = cli.run(["show", &id, "--json"]).success().json();
    let stored = manifest["objects"][0]["bytes"].as_u64().expect("a number");
    assert!(stored < 3 << 20, "{stored}");
    let archive = folder.path().join("www.tar.gz");
    std::fs::copy(place.store_folder().join(data_key(&manifest)), &archive).expect("the data");
    let target = folder.path().join("ours");
    cli.run(["restore", &id, "--to", target.to_str().expect("a path")])
        .success();
    unpack("tar", &archive, &folder.path().join("tar"), &["-z"]);
    unpack("bsdtar", &archive, &folder.path().join("bsdtar"), &[]);
    for by in ["ours", "tar", "bsdtar"] {
        let found = folder.path().join(by).join("www");
        let one = std::fs::metadata(found.join("d00/0000")).expect("a file");
        assert_eq!((one.nlink(), one.len()), (NAMES, 1 << 20), "{by}");
        for number in 0..PAIRS {
            let [a, b] = [("a", number % 30), ("b", (number + 7) % 30)].map(|(side, at)| {
                std::fs::metadata(found.join(format!("d{at:02}/pair-{number:04}-{side}"))).expect("a file")
            });
            assert_eq!((a.ino(), a.nlink()), (b.ino(), 2), "{by}: {number}");
        }
    }
}

#[test]
fn a_file_of_a_terabyte_with_islands_takes_the_room_of_its_islands_in_every_reader() {
    const TERABYTE: u64 = 1 << 40;
    let folder = fresh_folder("holes");
    let tree = folder.path().join("www");
    std::fs::create_dir_all(&tree).expect("a folder");
    let file = std::fs::File::create(tree.join("disk.img")).expect("a file");
    file.set_len(TERABYTE).expect("a length");
    let islands = [
        (0, b"first".as_slice()),
        (TERABYTE / 2 + 12_345, b"middle"),
        (TERABYTE - 4, b"last"),
    ];
    for (at, content) in islands {
        file.write_all_at(content, at).expect("an island");
    }
    // One that ends in a hole, and one that is nothing but a hole.
    let tail = std::fs::File::create(tree.join("tail")).expect("a file");
    tail.write_all_at(b"x", 1 << 30).expect("an island");
    tail.set_len(TERABYTE / 4 + 1).expect("a length");
    std::fs::File::create(tree.join("void"))
        .and_then(|file| file.set_len(TERABYTE))
        .expect("a file");
    let place = Place::fresh(PlaceKind::Folder);
    let cli = place.cli();
    let began = Instant::now();
    let id = back_up(&cli, &[tree.to_str().expect("a path")]);
    let manifest = cli.run(["show", &id, "--json"]).success().json();
    assert!(
        manifest["plain_bytes"].as_u64().expect("a number") < 1 << 20,
        "{manifest}"
    );
    let archive = folder.path().join("www.tar.gz");
    std::fs::copy(place.store_folder().join(data_key(&manifest)), &archive).expect("the data");
    let target = folder.path().join("ours");
    cli.run(["restore", &id, "--to", target.to_str().expect("a path")])
        .success();
    unpack("tar", &archive, &folder.path().join("tar"), &["-z"]);
    unpack("bsdtar", &archive, &folder.path().join("bsdtar"), &[]);
    for by in ["ours", "tar", "bsdtar"] {
        let found = folder.path().join(by).join("www");
        for name in ["disk.img", "tail", "void"] {
            let (wanted, got) = (
                std::fs::metadata(tree.join(name)).expect("a file"),
                std::fs::metadata(found.join(name)).expect("a file"),
            );
            assert_eq!(got.len(), wanted.len(), "{by}: {name}");
            assert!(got.blocks() * 512 < 4 << 20, "{by}: {name}: {}", got.blocks());
        }
        let disk = std::fs::File::open(found.join("disk.img")).expect("a file");
        for (at, content) in islands {
            let mut read = vec![0; content.len()];
            disk.read_exact_at(&mut read, at).expect("an island");
            assert_eq!(read, content, "{by} at {at}");
        }
    }
    assert!(began.elapsed() < Duration::from_secs(60), "{:?}", began.elapsed());
}

#[test]
fn folders_and_files_without_rights_are_named_and_the_rest_is_backed_up() {
    let folder = fresh_folder("rights");
    std::fs::set_permissions(folder.path(), PermissionsExt::from_mode(0o755)).expect("a mode");
    let tree = folder.path().join("www");
    for name in ["open", "closed", "unlisted", "untraversed"] {
        std::fs::create_dir_all(tree.join(name)).expect("a folder");
        std::fs::write(tree.join(name).join("file"), name).expect("a file");
        std::fs::set_permissions(tree.join(name).join("file"), PermissionsExt::from_mode(0o644)).expect("a mode");
    }
    std::fs::write(tree.join("secret"), "x").expect("a file");
    for (name, mode) in [
        ("open", 0o755),
        ("secret", 0o000),
        ("closed", 0o000),
        ("unlisted", 0o311),
        ("untraversed", 0o444),
        (".", 0o755),
    ] {
        std::fs::set_permissions(tree.join(name), PermissionsExt::from_mode(mode)).expect("a mode");
    }
    let place = Place::fresh(PlaceKind::Folder);
    let (store, home) = (folder.path().join("store"), folder.path().join("home"));
    let mut cli = place.cli();
    // Root may read everything, so somebody else has to ask.
    if rustix::process::geteuid().is_root() {
        for made in [&store, &home] {
            std::fs::create_dir(made).expect("a folder");
            std::os::unix::fs::chown(made, Some(65_534), Some(65_534)).expect("root may give files away");
        }
        let setpriv = system_tool("setpriv").display().to_string();
        cli = cli
            .through([
                setpriv.as_str(),
                "--reuid=65534",
                "--regid=65534",
                "--clear-groups",
                "--",
            ])
            .env("HOME", &home)
            .env("XDG_CONFIG_HOME", &home)
            .env("XDG_DATA_HOME", &home)
            .env("XDG_STATE_HOME", &home)
            .env("XDG_CACHE_HOME", &home)
            .in_folder("/");
    }
    let cli = cli.env("BACKUP_STORE", &store);
    let run = cli
        .run(["backup", "--json", tree.to_str().expect("a path")])
        .exits_with(3);
    let id = id_of(&run);
    let manifest = cli.run(["show", &id, "--json"]).success().json();
    let named: Vec<&str> = manifest["problems"]
        .as_array()
        .expect("problems")
        .iter()
        .filter_map(|problem| problem["item"].as_str())
        .collect();
    for name in ["www/closed", "www/secret", "www/unlisted", "www/untraversed/file"] {
        assert!(named.contains(&name), "{name}: {named:?}");
    }
    assert_eq!(named.len(), 4, "{named:?}");
    let target = home_or(&home, folder.path()).join("restored");
    cli.run(["restore", &id, "--to", target.to_str().expect("a path")])
        .exits_with(0);
    assert_eq!(std::fs::read(target.join("www/open/file")).expect("the file"), b"open");
    for name in ["closed", "unlisted", "untraversed"] {
        std::fs::set_permissions(tree.join(name), PermissionsExt::from_mode(0o755)).expect("a mode");
    }
}

fn home_or(home: &Path, other: &Path) -> PathBuf {
    match home.is_dir() {
        true => home.to_owned(),
        false => other.to_owned(),
    }
}
