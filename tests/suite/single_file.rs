//! One file to standard output, one folder as an archive, and paths spelled out: only what holds them is fetched.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::support::cli::{Cli, Outcome};
use crate::support::fault_s3::{FaultS3, Op};
use crate::support::place::files_below;
use crate::support::system_tool;
use crate::support::trees::{Compare, Noise, assert_same_tree, set_modified};

const LARGE_BYTES: usize = 3 << 20;

/// A user with a tree of every sort of file, backed up.
struct Scene {
    cli: Cli,
    server: FaultS3,
    bucket: String,
}

impl Scene {
    fn new() -> Self {
        let server = FaultS3::start();
        let bucket = server.bucket();
        let cli = Cli::new()
            .envs(server.environment(&bucket))
            .env("BACKUP_PROVIDER", "aws")
            .env("BACKUP_PATH_STYLE", "true");
        let scene = Self { cli, server, bucket };
        let tree = scene.tree();
        for folder in ["a", "m/deep", "z"] {
            std::fs::create_dir_all(tree.join(folder)).unwrap();
        }
        let mut noise = Noise::new(12);
        for name in ["a/large", "m/large", "z/large"] {
            std::fs::write(tree.join(name), noise.bytes(LARGE_BYTES)).unwrap();
        }
        std::fs::write(tree.join("m/small"), noise.bytes(10_000)).unwrap();
        std::fs::write(tree.join("m/empty"), "").unwrap();
        std::fs::write(tree.join("m/[x]*"), "literal").unwrap();
        std::fs::write(tree.join("m/x"), "not meant").unwrap();
        std::fs::write(tree.join(odd()), "odd").unwrap();
        std::fs::hard_link(tree.join("a/large"), tree.join("m/deep/outside")).unwrap();
        std::fs::hard_link(tree.join("m/small"), tree.join("m/small2")).unwrap();
        symlink("small", tree.join("m/pointer")).unwrap();
        let sparse = std::fs::File::create(tree.join("m/sparse")).unwrap();
        sparse.set_len(5 << 20).unwrap();
        for (at, text) in [(1 << 20, "one"), ((4 << 20) + 5, "two")] {
            std::os::unix::fs::FileExt::write_all_at(&sparse, text.as_bytes(), at).unwrap();
        }
        let _ = scene.cli.run([Path::new("backup"), &tree]).success();
        scene.server.forget_requests();
        scene
    }

    fn tree(&self) -> PathBuf {
        self.cli.home().join("tree")
    }

    fn to_stdout(&self, path: impl AsRef<OsStr>) -> Outcome {
        let mut line: Vec<OsString> = ["restore", "latest", "--to", "-"].map(OsString::from).to_vec();
        line.insert(2, path.as_ref().to_owned());
        self.cli.run(line)
    }

    /// The key of the data.
    fn data_key(&self) -> String {
        let keys = self.server.keys(&self.bucket);
        keys.into_iter().find(|key| key.ends_with(".tar.gz")).unwrap()
    }

    /// What the server has sent of the data, in bytes; everything of it was asked for by ranges.
    fn data_sent(&self) -> u64 {
        let mut sent = 0;
        for get in self.server.requests_of(Op::GetObject) {
            if get.key.ends_with(".tar.gz") {
                assert!(get.range.is_some(), "{get:?}");
                sent += get.sent_bytes;
            }
        }
        self.server.forget_requests();
        sent
    }
}

/// A name that is no UTF-8, in two lines.
fn odd() -> PathBuf {
    PathBuf::from(OsStr::from_bytes(b"m/caf\xe9\nbar"))
}

#[test]
fn the_content_of_one_file_costs_its_own_members() {
    let scene = Scene::new();
    for (name, at_most) in [
        ("m/small", 60_000),
        ("m/small2", 60_000),
        ("m/empty", 60_000),
        ("m/[x]*", 60_000),
        ("m/large", LARGE_BYTES as u64 + 60_000),
        ("m/deep/outside", LARGE_BYTES as u64 + 60_000),
        ("m/sparse", 60_000),
    ] {
        let outcome = scene.to_stdout(format!("tree/{name}")).success();
        let wanted = std::fs::read(scene.tree().join(name)).unwrap();
        assert!(
            outcome.stdout_bytes() == wanted,
            "{name}: {} bytes",
            outcome.stdout_bytes().len()
        );
        let sent = scene.data_sent();
        assert!(sent <= at_most, "{name}: {sent} bytes were sent");
    }
    let odd_path = Path::new("/tree").join(odd());
    assert_eq!(scene.to_stdout(&odd_path).success().stdout_bytes(), b"odd");
}

#[test]
fn a_folder_comes_as_an_archive_that_tar_unpacks() {
    let scene = Scene::new();
    let outcome = scene.to_stdout("tree/m/").success();
    assert!(scene.data_sent() < 2 * LARGE_BYTES as u64 + 100_000);
    let target = scene.cli.home().join("target");
    std::fs::create_dir(&target).unwrap();
    let mut tar = Command::new(system_tool("tar"))
        .args(["-xf", "-", "-C"])
        .arg(&target)
        .stdin(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut input = tar.stdin.take().unwrap();
    std::io::Write::write_all(&mut input, outcome.stdout_bytes()).unwrap();
    drop(input);
    let ended = tar.wait_with_output().unwrap();
    assert!(ended.status.success() && ended.stderr.is_empty(), "{ended:?}");
    // The name whose file stands outside of the folder has come with its content, as a file.
    let both = [scene.tree(), target.join("tree")].map(|tree| tree.join("m/deep/outside"));
    let contents = both.each_ref().map(|path| std::fs::read(path).unwrap());
    assert!(contents[0] == contents[1]);
    let times = both.map(|path| std::fs::metadata(path).unwrap().modified().unwrap());
    assert_eq!(times[0], times[1]);
    std::fs::remove_file(scene.tree().join("m/deep/outside")).unwrap();
    std::fs::remove_file(target.join("tree/m/deep/outside")).unwrap();
    for folder in [scene.tree(), target.join("tree")] {
        set_modified(&folder.join("m/deep"), 5, 0);
    }
    assert_same_tree(&scene.tree().join("m"), &target.join("tree/m"), Compare::basics());
    assert_eq!(outcome.stdout_bytes().len() % 10_240, 0);
}

#[test]
fn paths_are_restored_into_a_folder_as_they_are_spelled() {
    let scene = Scene::new();
    let target = scene.cli.home().join("target");
    let to = target.to_str().unwrap();
    let mut line: Vec<OsString> = ["restore", "latest", "tree/m/[x]*", "tree/m/deep", "--to", to]
        .map(OsString::from)
        .to_vec();
    line.insert(2, Path::new("tree").join(odd()).into());
    let _ = scene.cli.run(line).success();
    let names = |folder: &str| {
        let mut names: Vec<OsString> = std::fs::read_dir(target.join(folder))
            .unwrap()
            .map(|entry| entry.unwrap().file_name())
            .collect();
        names.sort();
        names
    };
    assert_eq!(names("tree"), ["m"]);
    assert_eq!(
        names("tree/m"),
        [OsStr::new("[x]*"), odd().file_name().unwrap(), OsStr::new("deep")]
    );
    assert_eq!(names("tree/m/deep"), ["outside"]);
    // The last one is not there, so nothing is restored.
    let other = scene.cli.home().join("other");
    let _ = scene
        .cli
        .run([
            "restore",
            "latest",
            "tree/a",
            "tree/none",
            "--to",
            other.to_str().unwrap(),
        ])
        .exits_with(10)
        .stderr_has("Nothing at `tree/none`");
    assert!(!other.exists());
}

#[test]
fn what_cannot_go_to_standard_output_is_refused_before_the_first_byte() {
    let scene = Scene::new();
    for (line, code, words) in [
        (&["tree/none"][..], 10, "Nothing at `tree/none`"),
        (&["small"], 10, "Nothing at `small`"),
        (&["tree/m/pointer"], 2, "a symbolic link to `small`"),
        (&["tree/m/small", "tree/m/empty"], 2, "Only one file or folder"),
        (&["--include", "*small*"], 2, "Only one file or folder"),
        (&["tree/m/small", "--exclude", "x"], 2, "Only one file or folder"),
        (&["/"], 2, "Not a path in a backup"),
    ] {
        let outcome = scene.cli.run([&["restore", "latest", "--to", "-"][..], line].concat());
        let outcome = outcome.exits_with(code).stderr_has(words);
        assert_eq!(outcome.stdout_bytes(), b"", "{outcome}");
    }
    let file = scene.cli.home().join("file");
    std::fs::write(&file, "").unwrap();
    let _ = scene
        .cli
        .run(["restore", "latest", "tree/m", "--to", file.to_str().unwrap()])
        .exits_with(2)
        .stderr_has("is not a folder");
    let dump = scene
        .cli
        .command(["backup", "-", "--stdin-name", "dump.sql"])
        .input("SELECT 1;\n");
    let _ = dump.run().success();
    let _ = scene
        .cli
        .run(["restore", "dump@latest", "x", "--to", "-"])
        .exits_with(10);
    let _ = scene
        .cli
        .run(["restore", "dump@latest", "x", "--to", "postgres://h/d"])
        .exits_with(2);
}

#[test]
fn without_a_good_index_the_whole_backup_is_read_and_that_is_said() {
    let scene = Scene::new();
    let index = format!("{}.index.gz", scene.data_key());
    for damage in ["cut", "gone"] {
        scene.server.tamper(&scene.bucket, &index, |bytes| match damage {
            "cut" => Some(bytes[..bytes.len() - 20].to_vec()),
            _ => None,
        });
        for name in ["m/small", "m/small2", "m/sparse"] {
            let outcome = scene.to_stdout(format!("tree/{name}")).success();
            let wanted = std::fs::read(scene.tree().join(name)).unwrap();
            assert!(outcome.stdout_bytes() == wanted, "{damage} {name}");
            outcome.stderr_has("so the whole backup is read");
        }
        let _ = scene.to_stdout("tree/none").exits_with(10);
        // Its content stands before the folder, and would have to be read again.
        let outcome = scene.to_stdout("tree/m").exits_with(1);
        assert_eq!(outcome.stdout_bytes(), b"", "{outcome}");
        let deep = scene.to_stdout("tree/a").success();
        assert!(deep.stdout_bytes().len() > LARGE_BYTES);
    }
}

/// One bit of an index can move an offset or raise its format, and what it says reads well all the same.
#[test]
fn a_bit_of_the_index_sends_nobody_astray() {
    let cli = Cli::new();
    let tree = cli.home().join("tree");
    std::fs::create_dir_all(tree.join("sub")).unwrap();
    std::fs::write(tree.join("large"), Noise::new(3).bytes(1_500_000)).unwrap();
    std::fs::write(tree.join("sub/tiny"), "tiny\n").unwrap();
    let store = cli.home().join("store");
    let cli = cli.env("BACKUP_STORE", &store);
    cli.run(["backup", tree.to_str().unwrap()]).success();
    let index = files_below(&store)
        .into_iter()
        .find(|name| name.ends_with(".index.gz"))
        .expect("an index");
    let index = store.join(index);
    let whole = std::fs::read(&index).unwrap();
    // All of gzip's header and of the format's line, and some of the rest.
    for at in (0..40).chain((40..whole.len()).step_by(9)) {
        let mut bytes = whole.clone();
        bytes[at] ^= 4;
        std::fs::write(&index, &bytes).unwrap();
        let outcome = cli.run(["restore", "latest", "tree/sub/tiny", "--to", "-"]).success();
        assert_eq!(outcome.stdout(), "tiny\n", "byte {at}");
        outcome.stderr_has("so the whole backup is read");
    }
    std::fs::write(&index, &whole).unwrap();
    let outcome = cli.run(["restore", "latest", "tree/sub/tiny", "--to", "-"]).success();
    assert!(!outcome.stderr().contains("whole backup"), "{outcome}");
}

#[test]
fn damage_in_the_data_ends_in_failure() {
    let scene = Scene::new();
    scene.server.tamper(&scene.bucket, &scene.data_key(), |mut bytes| {
        let middle = bytes.len() / 2;
        bytes[middle..middle + 1000].fill(0);
        Some(bytes)
    });
    let _ = scene.to_stdout("tree/m/large").exits_with(20);
    let _ = scene.to_stdout("tree/m/small").success();
}

#[test]
fn archives_of_others_give_single_files_too() {
    let cli = Cli::new();
    let tree = cli.home().join("theirs");
    std::fs::create_dir_all(tree.join("below")).unwrap();
    std::fs::write(tree.join("below/file"), "content").unwrap();
    std::fs::hard_link(tree.join("below/file"), tree.join("below/name")).unwrap();
    let archive = cli.home().join("theirs.tar.gz");
    let made = Command::new(system_tool("tar"))
        .args(["-czf"])
        .arg(&archive)
        .args(["-C", cli.home().to_str().unwrap(), "./theirs"])
        .status()
        .unwrap();
    assert!(made.success());
    let archive = archive.to_str().unwrap();
    for name in ["file", "name"] {
        let path = format!("theirs/below/{name}");
        let outcome = cli.run(["restore", archive, &path, "--to", "-"]).success();
        assert_eq!(outcome.stdout_bytes(), b"content", "{outcome}");
    }
    let _ = cli.run(["restore", archive, "theirs/none", "--to", "-"]).exits_with(10);
}
