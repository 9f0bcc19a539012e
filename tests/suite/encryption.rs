//! Encryption and the codecs through the binary: stock tools open every object, nobody reads it without a key, and nothing
//! that is secret is said anywhere.

use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::process::Signal;

use crate::round_trips::{back_up, id_of};
use crate::support::cli::Cli;
use crate::support::fault_s3::{FaultS3, Op};
use crate::support::place::{Place, PlaceKind, files_below};
use crate::support::postgres::Database;
use crate::support::server::fresh_folder;
use crate::support::trees::{Compare, Noise, assert_same_tree};

/// What a name, an item or a digest may not say to those without a key.
const CANARY: &str = "canary-in-a-name";

/// A key pair in the user's home, made by the tool itself.
pub struct KeyPair {
    pub file: PathBuf,
    pub public: String,
}

impl KeyPair {
    pub fn generate(folder: &Path, name: &str) -> Self {
        let file = folder.join(name);
        let run = Cli::new()
            .run([Path::new("key"), Path::new("generate"), Path::new("--output"), &file])
            .success();
        let public = run
            .stdout()
            .trim()
            .strip_prefix("Public key: ")
            .expect("a key")
            .to_owned();
        Self { file, public }
    }

    pub fn path(&self) -> &str {
        self.file.to_str().expect("a path in UTF-8")
    }

    /// The secret line of the file.
    pub fn secret(&self) -> String {
        let text = std::fs::read_to_string(&self.file).expect("the file");
        text.lines().last().expect("a line").to_owned()
    }
}

fn make_tree(top: &Path) -> PathBuf {
    let tree = top.join("tree");
    std::fs::create_dir_all(tree.join("small")).unwrap();
    let mut noise = Noise::new(5);
    std::fs::write(tree.join("first"), noise.bytes(1 << 20)).unwrap();
    std::fs::write(tree.join("small").join(CANARY), noise.text(9_000)).unwrap();
    std::fs::write(tree.join("text"), noise.text(400_000)).unwrap();
    tree
}

/// The words of a shell that undo what the extensions of a file name say, last first.
pub fn undoing(key: &str, identity: &str) -> String {
    let mut words = String::new();
    for extension in key.rsplit('.') {
        words.push_str(&match extension {
            "age" => format!(" | age -d -i '{identity}'"),
            "gz" => " | gunzip".to_owned(),
            "zst" => " | zstd -d -q".to_owned(),
            _ => return words,
        });
    }
    words
}

#[test]
fn stock_tools_open_every_object_of_every_combination() {
    let place = Place::fresh(PlaceKind::Folder);
    let cli = place.cli();
    let key = KeyPair::generate(cli.home(), "key.txt");
    let tree = make_tree(cli.home());
    for codec in ["gzip", "zstd", "none"] {
        for recipient in [None, Some(key.public.as_str())] {
            let mut arguments = vec![tree.to_str().unwrap(), "--compression", codec, "--name", "stock"];
            arguments.extend(recipient.iter().flat_map(|public| ["--recipient", public]));
            let id = back_up(&cli, &arguments);
            let keys = place.keys();
            let ending = match (codec, recipient) {
                ("gzip", None) => ".tar.gz",
                ("gzip", _) => ".tar.gz.age",
                ("zstd", None) => ".tar.zst",
                ("zstd", _) => ".tar.zst.age",
                (_, None) => ".tar",
                _ => ".tar.age",
            };
            let data = keys
                .iter()
                .find(|key| key.ends_with(&format!("{id}{ending}")))
                .expect("the data");
            let index = keys
                .iter()
                .find(|key| key.contains(&id) && key.contains(".index.gz"))
                .expect("the index");
            assert_eq!(index.ends_with(".age"), recipient.is_some());

            let target = fresh_folder("stock");
            let script = format!(
                "{}{} | tar x -C \"$TO\"",
                place.reading(data),
                undoing(data, key.path())
            );
            place.shell(&script, &[("TO", target.path().to_str().unwrap())]);
            assert_same_tree(&tree, &target.path().join("tree"), Compare::basics());
            let lines = place.shell(&format!("{}{}", place.reading(index), undoing(index, key.path())), &[]);
            let lines = String::from_utf8(lines).unwrap();
            assert!(lines.contains(CANARY) && lines.trim_end().ends_with('}'), "{lines}");

            // Nothing of an encrypted backup can be read, guessed or compressed.
            if recipient.is_some() {
                for object in place.keys().iter().filter(|key| key.contains(&id)) {
                    let stored = std::fs::read(place.store_folder().join(object)).unwrap();
                    let text = String::from_utf8_lossy(&stored);
                    for word in [
                        CANARY,
                        "small",
                        "plain_sha256",
                        key.secret().as_str(),
                        tree.to_str().unwrap(),
                    ] {
                        assert!(!text.contains(word), "`{word}` is in {object}");
                    }
                }
            }
            cli.run(["ls", &id, "--identity", key.path()])
                .success()
                .stdout_has(CANARY);
            let to = cli.home().join(format!("out-{codec}-{}", recipient.is_some()));
            cli.run(["restore", &id, "--identity", key.path(), "--to", to.to_str().unwrap()])
                .success()
                .nowhere(&key.secret());
            assert_same_tree(&tree, &to.join("tree"), Compare::basics());
            std::fs::remove_dir_all(place.store_folder()).unwrap();
        }
    }
}

#[test]
fn each_of_several_recipients_and_each_way_to_give_a_key_opens_a_backup() {
    let place = Place::fresh(PlaceKind::Folder);
    let cli = place.cli();
    let keys = ["one", "two"].map(|name| KeyPair::generate(cli.home(), name));
    let other = KeyPair::generate(cli.home(), "other");
    let tree = make_tree(cli.home());
    let recipients = cli.home().join("recipients");
    std::fs::write(&recipients, format!("# second\n{}\n", keys[1].public)).unwrap();
    let id = back_up(
        &cli,
        &[
            tree.to_str().unwrap(),
            "--recipient",
            &keys[0].public,
            "--recipients-file",
            recipients.to_str().unwrap(),
        ],
    );
    let shown = cli.run(["show", &id, "--json"]).success().json();
    assert_eq!(shown["recipients"], serde_json::json!([keys[0].public, keys[1].public]));
    assert_eq!(shown["format"], 2);
    for field in ["plain_sha256", "warnings", "problems"] {
        assert!(shown.get(field).is_none(), "{field}: {shown}");
    }
    assert_eq!(shown["source"], serde_json::json!({"kind": "directory"}));
    cli.run(["list"]).success().stdout_has(&id);

    let ls = |variables: &[(&str, &str)]| {
        let command = cli.command(["ls", &id]);
        variables
            .iter()
            .fold(command, |command, (name, value)| command.env(name, value))
            .run()
    };
    for key in &keys {
        let secret = key.secret();
        for variables in [
            [("BACKUP_IDENTITY", key.path())],
            [("BACKUP_IDENTITY", secret.as_str())],
            [("BACKUP_IDENTITY_FILE", key.path())],
            [("BACKUP_IDENTITY_COMMAND", &format!("cat '{}'", key.path()))],
            [("BACKUP_IDENTITIES", key.path())],
        ] {
            ls(&variables).success().stdout_has(CANARY).nowhere(&secret);
        }
        let shown = cli
            .run(["show", &id, "--json", "--identity", key.path()])
            .success()
            .json();
        assert_eq!(shown["source"]["what"], tree.to_str().unwrap());
        assert_eq!(shown["plain_sha256"].as_str().map(str::len), Some(64));
    }
    for variables in [
        &[][..],
        &[("BACKUP_IDENTITY", other.path())],
        &[("BACKUP_PASSPHRASE", "unrelated")],
    ] {
        let run = ls(variables)
            .exits_with(12)
            .stderr_has(&keys[0].public)
            .stderr_has("--identity");
        assert_eq!(run.stdout(), "");
    }
}

#[test]
fn without_the_right_key_nothing_is_written_or_changed() {
    let place = Place::fresh(PlaceKind::Folder);
    let cli = place.cli();
    let key = KeyPair::generate(cli.home(), "key");
    let other = KeyPair::generate(cli.home(), "other");
    let tree = make_tree(cli.home());
    let id = back_up(&cli, &[tree.to_str().unwrap(), "--recipient", &key.public]);
    let before = place.keys();
    let target = cli.home().join("target");
    let to = target.to_str().unwrap();
    for more in [
        &[][..],
        &["--include", "tree/text"],
        &["--dry-run"],
        &["--replace", "--confirm"],
    ] {
        for identity in [&[][..], &["--identity", other.path()], &["--identity", "/nowhere/key"]] {
            let run = cli
                .run([&["restore", &id, "--to", to], more, identity].concat())
                .exits_with(12);
            assert!(run.stderr().contains("Hint:"), "{run}");
            assert!(!target.exists(), "{run}");
        }
    }
    let run = cli.run(["restore", &id, "--to", "-"]).exits_with(12);
    assert_eq!(run.stdout_bytes(), b"");
    assert_eq!(place.keys(), before);
}

#[test]
fn a_passphrase_encrypts_and_opens_and_stock_age_asks_for_the_same() {
    let place = Place::fresh(PlaceKind::Folder);
    let passphrase = "canary and some words";
    let cli = place.cli();
    let file = cli.home().join("passphrase");
    std::fs::write(&file, format!("{passphrase}\n")).unwrap();
    let tree = make_tree(cli.home());
    let with = |arguments: &[&str]| cli.command(arguments).env("BACKUP_PASSPHRASE_FILE", &file).run();
    let id = id_of(
        &with(&["backup", "--json", tree.to_str().unwrap()])
            .success()
            .nowhere(passphrase),
    );
    with(&["ls", &id]).success().stdout_has(CANARY);
    with(&["restore", &id, "--to", "out"]).success().nowhere(passphrase);
    assert_same_tree(&tree, &cli.home().join("out/tree"), Compare::basics());
    let shown = with(&["show", &id, "--json"]).success().nowhere(passphrase).json();
    assert_eq!(shown["recipients"], serde_json::json!(["passphrase"]));
    cli.command(["ls", &id])
        .env("BACKUP_PASSPHRASE", "wrong")
        .run()
        .exits_with(12);
    cli.run(["ls", &id]).exits_with(12).stderr_has("BACKUP_PASSPHRASE_FILE");

    // On a terminal it is asked for: by age, and by us.
    let data = place
        .keys()
        .into_iter()
        .find(|key| key.ends_with(".tar.gz.age"))
        .unwrap();
    let data = place.store_folder().join(data);
    let plain = cli.home().join("plain.gz");
    let script = format!(
        "echo '{passphrase}' | script -qec \"age -d -o '{}' '{}'\" /dev/null",
        plain.display(),
        data.display()
    );
    place.shell(&script, &[]);
    let gunzipped = place.shell(&format!("gunzip -c '{}' | tar t", plain.display()), &[]);
    assert!(String::from_utf8(gunzipped).unwrap().contains(CANARY));
    let script = format!(
        "echo '{passphrase}' | script -qec \"'{}' ls {id}\" /dev/null",
        env!("CARGO_BIN_EXE_backup-cli")
    );
    let store = place.store_folder();
    let said = place.shell(&script, &[("BACKUP_STORE", store.to_str().unwrap())]);
    let said = String::from_utf8_lossy(&said);
    assert!(said.contains("Passphrase for") && said.contains(CANARY), "{said}");
}

#[test]
fn keys_are_those_of_age_and_never_overwritten() {
    let cli = Cli::new();
    let key = KeyPair::generate(cli.home(), "key");
    use std::os::unix::fs::PermissionsExt;
    let mode = std::fs::metadata(&key.file).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let place = Place::fresh(PlaceKind::Folder);
    let public = place.shell(&format!("age-keygen -y '{}'", key.path()), &[]);
    assert_eq!(String::from_utf8(public).unwrap().trim(), key.public);
    assert_eq!(
        cli.run(["key", "public", key.path()]).success().stdout(),
        format!("{}\n", key.public)
    );
    let before = std::fs::read(&key.file).unwrap();
    cli.run(["key", "generate", "--output", key.path()]).exits_with(21);
    assert_eq!(std::fs::read(&key.file).unwrap(), before);
    cli.run(["key", "public", "/nowhere/key"]).exits_with(12);

    let printed = cli.run(["key", "generate"]).success();
    assert!(printed.stdout().contains("\nAGE-SECRET-KEY-1"), "{printed}");
    let run = cli
        .command(["key", "generate", "--output", "protected", "--passphrase"])
        .env("BACKUP_PASSPHRASE", "canary pass")
        .run()
        .success()
        .nowhere("canary pass")
        .nowhere("AGE-SECRET");
    let public = run.stdout().trim().strip_prefix("Public key: ").unwrap().to_owned();
    let protected = cli.home().join("protected");
    assert!(
        std::fs::read(&protected)
            .unwrap()
            .starts_with(b"age-encryption.org/v1\n")
    );
    cli.run(["key", "show", "protected"]).exits_with(12);
    let shown = cli
        .command(["key", "show", "protected"])
        .env("BACKUP_PASSPHRASE", "canary pass")
        .run()
        .success();
    assert_eq!(shown.stdout().trim(), public);
    cli.run(["key", "generate", "--passphrase", "--output", "x"])
        .exits_with(2);
}

#[test]
fn a_source_that_dies_and_a_signal_leave_nothing_encrypted_either() {
    for place in Place::both() {
        let cli = place.cli();
        let key = KeyPair::generate(cli.home(), "key");
        for codec in ["gzip", "zstd", "none"] {
            for script in [
                "head -c 7000000 /dev/urandom; exit 3",
                "exit 1",
                "head -c 7000000 /dev/urandom; kill -9 $$",
            ] {
                let run = cli
                    .run([
                        "backup",
                        "--shell",
                        "--command",
                        script,
                        "--recipient",
                        &key.public,
                        "--compression",
                        codec,
                        "--part-size",
                        "5MiB",
                    ])
                    .exits_with(1);
                assert_eq!(place.leftovers(), Vec::<String>::new(), "{script}: {run}");
            }
        }
        let mut running = cli
            .command([
                "backup",
                "--shell",
                "--command",
                "head -c 12000000 /dev/urandom; sleep 60",
                "--recipient",
                &key.public,
                "--part-size",
                "5MiB",
            ])
            .start();
        running.wait_until("the first part", |_| match place.kind {
            PlaceKind::Folder => !files_below(&place.store_folder()).is_empty(),
            _ => !place.bucket().uploads().is_empty(),
        });
        // The header alone begins the upload; let some of the content follow it.
        std::thread::sleep(Duration::from_millis(300));
        running.signal(Signal::TERM);
        let run = running.wait().exits_with(130);
        assert_eq!(place.leftovers(), Vec::<String>::new(), "{run}");
    }
}

#[test]
fn one_file_out_of_every_combination_costs_its_own_members_only() {
    let server = FaultS3::start();
    let bucket = server.bucket();
    let cli = Cli::new()
        .envs(server.environment(&bucket))
        .env("BACKUP_PROVIDER", "aws")
        .env("BACKUP_PATH_STYLE", "true");
    let key = KeyPair::generate(cli.home(), "key");
    let tree = cli.home().join("tree");
    std::fs::create_dir_all(tree.join("small")).unwrap();
    let mut noise = Noise::new(12);
    for name in ["a", "b", "z"] {
        std::fs::write(tree.join(name), noise.bytes(3 << 20)).unwrap();
    }
    std::fs::write(tree.join("small/wanted"), noise.bytes(10_000)).unwrap();
    for codec in ["gzip", "zstd", "none"] {
        for recipient in [None, Some(key.public.as_str())] {
            let mut arguments = vec![tree.to_str().unwrap(), "--compression", codec, "--name", codec];
            arguments.extend(recipient.iter().flat_map(|public| ["--recipient", public]));
            let id = back_up(&cli, &arguments);
            server.forget_requests();
            let target = cli.home().join(format!("target-{id}-{}", recipient.is_some()));
            let to = target.to_str().unwrap();
            let _ = cli
                .run([
                    "restore",
                    &id,
                    "--include",
                    "tree/small/wanted",
                    "--to",
                    to,
                    "--identity",
                    key.path(),
                ])
                .success();
            let found = std::fs::read(target.join("tree/small/wanted")).unwrap();
            assert_eq!(found, std::fs::read(tree.join("small/wanted")).unwrap());
            let mut sent = 0;
            for get in server.requests_of(Op::GetObject) {
                if !get.key.contains(".index.gz") && !get.key.ends_with(".manifest.json") {
                    assert!(get.range.is_some(), "{get:?}");
                    sent += get.sent_bytes;
                }
            }
            // Encrypted, the chunks of 64 KiB around each member, and the header.
            let most = if recipient.is_some() { 450_000 } else { 100_000 };
            assert!(
                (10_000..most).contains(&sent),
                "{codec}: {sent} bytes of data were fetched"
            );
            for object in server.keys(&bucket) {
                server.tamper(&bucket, &object, |_| None);
            }
        }
    }
}

#[test]
fn what_a_restore_replaces_is_backed_up_encrypted_too() {
    let place = Place::fresh(PlaceKind::Folder);
    let cli = place.cli();
    let key = KeyPair::generate(cli.home(), "key");
    let database = Database::fresh();
    database.psql(&format!("CREATE TABLE t AS SELECT '{CANARY}' AS v"));
    back_up(&cli, &[&database.url(), "--recipient", &key.public]);
    let run = cli
        .run([
            "restore",
            "--to",
            &database.url(),
            "--confirm",
            "--drop-replaced",
            "--recipient",
            &key.public,
            "--identity",
            key.path(),
        ])
        .success();
    let objects = place.keys();
    let safety: Vec<_> = objects.iter().filter(|key| key.contains("-before-restore")).collect();
    assert_eq!(safety.len(), 3, "{run}");
    for object in objects {
        assert!(object.contains(".sql.gz.age"), "{object}");
        let stored = std::fs::read(place.store_folder().join(&object)).unwrap();
        assert!(!String::from_utf8_lossy(&stored).contains(CANARY), "{object}");
    }
    assert_eq!(database.psql("SELECT v FROM t"), format!("{CANARY}\n"));
}

#[test]
fn an_encrypted_backup_is_copied_found_and_compared() {
    let place = Place::fresh(PlaceKind::Folder);
    let cli = place.cli();
    let key = KeyPair::generate(cli.home(), "key");
    let tree = make_tree(cli.home());
    let id = back_up(
        &cli,
        &[
            tree.to_str().unwrap(),
            "--recipient",
            &key.public,
            "--compression",
            "zstd",
        ],
    );
    // A copy needs no key.
    let other = cli.home().join("other");
    cli.run(["copy", &id, "--to", other.to_str().unwrap()]).success();
    let there = |arguments: &[&str]| {
        let store = ["--store", other.to_str().unwrap(), "--identity", key.path()];
        cli.run([arguments, &store[..]].concat())
    };
    there(&["ls", &id]).success().stdout_has(CANARY);
    there(&["restore", &id, "--to", "copied"]).success();
    assert_same_tree(&tree, &cli.home().join("copied/tree"), Compare::basics());
    there(&["find", CANARY]).success().stdout_has(&id);
    let file = there(&["restore", &id, &format!("tree/small/{CANARY}"), "--to", "-"]).success();
    assert_eq!(
        file.stdout_bytes(),
        std::fs::read(tree.join("small").join(CANARY)).unwrap()
    );
    std::fs::write(tree.join("added"), "more").unwrap();
    std::thread::sleep(Duration::from_millis(1100));
    let later = back_up(&cli, &[tree.to_str().unwrap(), "--recipient", &key.public]);
    cli.run(["diff", &id, &later, "--identity", key.path()])
        .success()
        .stdout_has("tree/added");
    cli.run(["diff", &id, &later]).exits_with(12);
}

#[test]
fn damage_of_an_encrypted_object_is_found_and_nothing_is_restored() {
    let place = Place::fresh(PlaceKind::Folder);
    let cli = place.cli();
    let key = KeyPair::generate(cli.home(), "key");
    let tree = make_tree(cli.home());
    let id = back_up(&cli, &[tree.to_str().unwrap(), "--recipient", &key.public]);
    let data = place
        .keys()
        .into_iter()
        .find(|key| key.ends_with(".tar.gz.age"))
        .unwrap();
    let path = place.store_folder().join(&data);
    let whole = std::fs::read(&path).unwrap();
    type Damage = fn(&mut Vec<u8>);
    let damages: [(&str, Damage); 4] = [
        ("a bit", |bytes| {
            let middle = bytes.len() / 2;
            bytes[middle] ^= 1;
        }),
        ("the end", |bytes| bytes.truncate(bytes.len() - 1)),
        ("two chunks", |bytes| {
            let at = bytes.len() - 5 * 65_552;
            let (first, second) = bytes[at..].split_at_mut(65_552);
            first.swap_with_slice(&mut second[..65_552]);
        }),
        ("another file", |bytes| bytes.reverse()),
    ];
    for (what, damage) in damages {
        let mut bytes = whole.clone();
        damage(&mut bytes);
        std::fs::write(&path, bytes).unwrap();
        let run = cli
            .run(["restore", &id, "--identity", key.path(), "--to", "out"])
            .exits_with(20);
        assert!(!cli.home().join("out").exists(), "{what}: {run}");
    }
    // Without its index, and without its manifest, it is restored all the same; in the end even by its bytes alone.
    std::fs::write(&path, &whole).unwrap();
    let index = place.keys().into_iter().find(|key| key.contains(".index.gz")).unwrap();
    std::fs::remove_file(place.store_folder().join(index)).unwrap();
    cli.run(["restore", &id, "--identity", key.path(), "--to", "no-index"])
        .success()
        .stderr_has("The index cannot be read");
    assert_same_tree(&tree, &cli.home().join("no-index/tree"), Compare::basics());
    let copy = cli.home().join("renamed");
    std::fs::copy(&path, &copy).unwrap();
    let file = copy.to_str().unwrap();
    cli.run([
        "restore",
        "--backup-file",
        file,
        "--identity",
        key.path(),
        "--to",
        "by-bytes",
    ])
    .success()
    .stderr_has("unmanaged");
    assert_same_tree(&tree, &cli.home().join("by-bytes/tree"), Compare::basics());
    cli.run(["restore", "--backup-file", file, "--to", "without-key"])
        .exits_with(12);
}
