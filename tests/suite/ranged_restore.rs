//! One file out of a large archive: only the manifest, the index and the ranges that hold it are fetched.

use std::os::unix::fs::{MetadataExt, symlink};
use std::path::Path;

use crate::support::cli::Cli;
use crate::support::fault_s3::{FaultS3, Op};
use crate::support::place::files_below;
use crate::support::server::fresh_folder;
use crate::support::trees::{Compare, Noise, assert_same_tree};

/// `tree/small/wanted` of 10 KB between some twelve megabytes that do not compress.
fn make_tree(top: &Path) -> std::path::PathBuf {
    let tree = top.join("tree");
    for folder in ["a", "small", "z"] {
        std::fs::create_dir_all(tree.join(folder)).unwrap();
    }
    let mut noise = Noise::new(11);
    for name in ["a/one", "a/two", "z/one", "z/two"] {
        std::fs::write(tree.join(name), noise.bytes(3 << 20)).unwrap();
    }
    std::fs::write(tree.join("small/wanted"), noise.bytes(10_000)).unwrap();
    std::fs::write(tree.join("small/neighbour"), noise.bytes(10_000)).unwrap();
    tree
}

#[test]
fn one_file_costs_the_manifest_the_index_and_its_own_members() {
    let server = FaultS3::start();
    let bucket = server.bucket();
    let cli = Cli::new()
        .envs(server.environment(&bucket))
        .env("BACKUP_PROVIDER", "aws")
        .env("BACKUP_PATH_STYLE", "true");
    let tree = make_tree(cli.home());
    let _ = cli.run([Path::new("backup"), &tree]).success();
    server.forget_requests();

    let target = cli.home().join("target");
    let to = target.to_str().unwrap();
    let _ = cli
        .run(["restore", "latest", "--include", "tree/small/wanted", "--to", to])
        .success();
    let found = std::fs::read(target.join("tree/small/wanted")).unwrap();
    assert_eq!(found, std::fs::read(tree.join("small/wanted")).unwrap());
    assert!(!target.join("tree/small/neighbour").exists());
    assert!(!target.join("tree/a").exists());

    let ops: Vec<Op> = server.requests().iter().map(|request| request.op).collect();
    assert!(
        ops.iter()
            .all(|op| matches!(op, Op::ListObjects | Op::GetObject | Op::HeadObject)),
        "{ops:?}"
    );
    let (mut index, mut data) = (0, 0);
    for get in server.requests_of(Op::GetObject) {
        if get.key.ends_with(".tar.gz") {
            let range = get.range.clone().expect("data is only fetched by ranges");
            assert_eq!(range.end - range.start, get.sent_bytes, "{get:?}");
            data += get.sent_bytes;
        } else if get.key.ends_with(".index.gz") {
            index += 1;
        } else {
            assert!(get.key.ends_with(".manifest.json"), "{get:?}");
        }
    }
    assert_eq!(index, 1);
    // The file and the folders above it: members of a few files each, but none of the large ones.
    assert!((10_000..100_000).contains(&data), "{data} bytes of data were fetched");
}

#[test]
fn a_hard_link_that_is_selected_without_its_file_comes_back_with_the_content() {
    let folder = fresh_folder("links");
    let tree = make_tree(folder.path());
    std::fs::create_dir(tree.join("zlinks")).unwrap();
    std::fs::hard_link(tree.join("small/wanted"), tree.join("zlinks/first")).unwrap();
    std::fs::hard_link(tree.join("small/wanted"), tree.join("zlinks/second")).unwrap();
    symlink("nowhere", tree.join("small/pointer")).unwrap();
    std::fs::hard_link(tree.join("small/pointer"), tree.join("zlinks/pointer")).unwrap();
    std::fs::write(tree.join("zlinks/own"), "own").unwrap();

    let cli = Cli::new();
    let _ = cli.run([Path::new("backup"), &tree]).success();
    // A link that has lost its other name is what comes back.
    std::fs::remove_file(tree.join("small/pointer")).unwrap();
    let restore = |target: &Path, patterns: &[&str]| {
        let mut line = vec!["restore", "latest", "--to", target.to_str().unwrap()];
        line.extend(patterns);
        cli.run(line)
    };

    let target = cli.home().join("by-index");
    let _ = restore(&target, &["--include", "tree/zlinks"]).success();
    assert_same_tree(&tree.join("zlinks"), &target.join("tree/zlinks"), Compare::basics());
    let names: Vec<_> = std::fs::read_dir(target.join("tree"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name())
        .collect();
    assert_eq!(names, ["zlinks"], "what lent its content is not restored itself");
    assert_eq!(std::fs::metadata(target.join("tree/zlinks/first")).unwrap().nlink(), 2);
    assert_eq!(std::fs::read_dir(&target).unwrap().count(), 1);

    // Left out by name, it lends its content all the same.
    let target = cli.home().join("excluded");
    let _ = restore(
        &target,
        &["--exclude", "tree/small", "--exclude", "tree/a", "--exclude", "tree/z"],
    )
    .success();
    assert_same_tree(&tree.join("zlinks"), &target.join("tree/zlinks"), Compare::basics());
    assert!(!target.join("tree/small").exists());

    // Without an index the archive goes by once, and what was passed over cannot be had any more: that is said.
    let store = cli.home().join(".local/share/backup-cli");
    let index = find_file(&store, ".index.gz");
    std::fs::remove_file(index).unwrap();
    let target = cli.home().join("by-stream");
    let outcome = restore(&target, &["--include", "tree/zlinks"]).exits_with(3);
    assert!(outcome.stderr().contains("tree/small/wanted"), "{outcome}");
    assert_eq!(std::fs::read(target.join("tree/zlinks/own")).unwrap(), b"own");
    assert!(!target.join("tree/zlinks/first").exists());
}

fn find_file(folder: &Path, ending: &str) -> std::path::PathBuf {
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.to_str().unwrap().ends_with(ending) {
                return path;
            }
        }
    }
    panic!("no `{ending}` in `{}`", folder.display());
}

#[test]
fn what_verify_says_of_the_rest_of_a_damaged_backup_is_so() {
    let folder = fresh_folder("rest-of-damaged");
    let tree = make_tree(folder.path());
    let store = folder.path().join("store");
    let cli = Cli::new().env("BACKUP_STORE", &store);
    let _ = cli.run([Path::new("backup"), &tree]).success();
    let data = files_below(&store).into_iter().find(|name| name.ends_with(".tar.gz"));
    let data = store.join(data.expect("the data"));
    let id = data
        .file_name()
        .unwrap()
        .to_str()
        .unwrap()
        .strip_suffix(".tar.gz")
        .unwrap();
    let whole = std::fs::read(&data).unwrap();
    let wanted = |target: &str| {
        let to = folder.path().join(target);
        cli.run(["restore", id, "tree/small/wanted", "--to", to.to_str().unwrap()])
    };

    // A bit of the second file: all others come back by their paths, as is said.
    let mut flipped = whole.clone();
    flipped[4 << 20] ^= 1;
    std::fs::write(&data, &flipped).unwrap();
    let verified = cli.run(["verify", id]).exits_with(20);
    verified.stdout_has("Choose among them").stdout_has("    tree/a/two\n");
    wanted("flipped")
        .success()
        .stderr_has("What is not lost of it can be restored");
    let restored = std::fs::read(folder.path().join("flipped/tree/small/wanted")).unwrap();
    assert_eq!(restored, std::fs::read(tree.join("small/wanted")).unwrap());

    // Cut behind what is wanted: nothing reads it, and nothing is promised.
    std::fs::write(&data, &whole[..whole.len() - 1000]).unwrap();
    let verified = cli
        .run(["verify", id])
        .exits_with(20)
        .stdout_has("Not lost: ")
        .stdout_has("No restore reads a backup of which an object is cut or gone");
    assert!(
        !verified.stdout().contains("Choose among them"),
        "{}",
        verified.stdout()
    );
    let refused = wanted("cut")
        .exits_with(20)
        .stderr_has("Damage stands since")
        .stderr_has("bytes instead of");
    assert!(!refused.stderr().contains("can be restored"), "{}", refused.stderr());
    assert!(!folder.path().join("cut").exists());
}
