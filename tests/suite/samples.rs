//! Backups that earlier versions made, kept in `tests/samples/`: every later version restores them, byte for byte.
//!
//! Each folder there holds a `store`, as a local folder, and `expected.txt`: what is in it, written down when it was made.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fmt::Write as _;
use std::io::{Read, Write};
use std::ops::{ControlFlow, Range};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;

use backup_cli::base::failure::Result;
use backup_cli::base::secret::{Secret, SecretSource};
use backup_cli::catalog::codec::Codec;
use backup_cli::catalog::index::Entry;
use backup_cli::catalog::manifest::{Manifest, SourceInfo};
use backup_cli::ops::Run;
use backup_cli::ops::backup::{BackupOptions, backup};
use backup_cli::ops::plaintext::stored_data;
use backup_cli::ops::restore::{RestoreOptions, RestoreTarget, plan_restore, restore};
use backup_cli::ops::reveal::reveal;
use backup_cli::pipeline::crypt::{Keys, KeysOptions, generate_identity};
use backup_cli::source::command::CommandSource;
use backup_cli::source::directory::{DirectoryOptions, DirectorySource};
use backup_cli::source::postgres::{PostgresOptions, PostgresSource, PostgresUrl};
use backup_cli::source::{Estimate, Source, SourceContext, SourceReport, SourceSink};
use backup_cli::store::archive::ThawRequest;
use backup_cli::store::local::LocalStore;
use backup_cli::store::{Key, Limits, ObjectMeta, PutOptions, Store, UnfinishedUpload, Upload};
use sha2::{Digest, Sha256};

use crate::support::library::{find, list_all, options, read_back, run_at};
use crate::support::postgres::Database;
use crate::support::server::fresh_folder;
use crate::support::trees::{Noise, set_modified, set_xattr};
use crate::support::{project, system_tool};

mod newer;

/// A format that was once written: the folder of its samples, and what its store holds, in the order of the ids.
struct Format {
    name: &'static str,
    ids: &'static [&'static str],
}

/// Every format that was ever written.
const FORMATS: [Format; 2] = [
    Format {
        name: "v1",
        ids: &[
            "app_backup_20260131_020001",
            "files_backup_20260131_020000",
            "long_backup_20260131_020004",
            "part_backup_20260131_020003",
            "words_backup_20260131_020002",
        ],
    },
    Format {
        name: "v2",
        ids: &[
            "gzip-age_backup_20260131_020100",
            "gzip-passphrase_backup_20260131_020101",
            "long-none-age_backup_20260131_020107",
            "none-age_backup_20260131_020105",
            "none_backup_20260131_020104",
            "part-gzip-age_backup_20260131_020106",
            "streams-gzip_backup_20260131_020108",
            "streams-zstd-age_backup_20260131_020109",
            "zstd-age_backup_20260131_020103",
            "zstd_backup_20260131_020102",
        ],
    },
];

/// The passphrase of the samples that are encrypted by one.
const PASSPHRASE: &str = "a sample of a passphrase";

/// The file with the key of the samples that are encrypted for one.
const KEY_FILE: &str = "key.txt";

/// A run that can read the samples in a folder.
fn run_in(folder: &Path, time: &str) -> Run {
    let (run, _) = run_at(time);
    Run {
        keys: Keys::new(KeysOptions {
            identity_files: vec![folder.join(KEY_FILE)],
            passphrase: Some(SecretSource::Text(Secret::new(PASSPHRASE))),
            ..KeysOptions::default()
        }),
        ..run
    }
}

fn samples() -> PathBuf {
    project().join("tests/samples")
}

#[test]
fn every_sample_there_is_is_read() {
    let mut folders: Vec<String> = std::fs::read_dir(samples())
        .unwrap()
        .map(|entry| entry.unwrap())
        .filter(|entry| entry.path().is_dir())
        .map(|entry| entry.file_name().into_string().unwrap())
        .collect();
    folders.sort();
    assert_eq!(
        folders,
        FORMATS.map(|format| format.name),
        "the samples of a format are missing, or missing from this list"
    );
    for format in FORMATS {
        let folder = samples().join(format.name);
        let expected = std::fs::read_to_string(folder.join("expected.txt")).unwrap();
        let found = contents_of(&folder, format.ids);
        assert!(
            found == expected,
            "{}: expected\n{expected}\nand found\n{found}",
            format.name
        );
    }
}

#[test]
fn stock_tools_read_every_sample() {
    for format in FORMATS {
        let folder = samples().join(format.name);
        for (id, manifest, streams) in backups(&folder, format.ids) {
            // Of a passphrase age asks a terminal; the tests of encryption do that.
            if manifest.recipients == ["passphrase"] {
                continue;
            }
            let plains: Vec<Vec<u8>> = streams
                .into_iter()
                .map(|stored| {
                    let compressed = match manifest.is_encrypted() {
                        true => pipe("age", &["-d", "-i", folder.join(KEY_FILE).to_str().unwrap()], &stored),
                        false => stored,
                    };
                    match manifest.codec {
                        Codec::Gzip => pipe("gzip", &["-dc"], &compressed),
                        Codec::Zstd => pipe("zstd", &["-dc"], &compressed),
                        Codec::None => compressed,
                    }
                })
                .collect();
            let digests: Vec<_> = plains
                .iter()
                .map(|plain| Some(hex::encode(Sha256::digest(plain))))
                .collect();
            let expected: Vec<_> = match manifest.streams.is_empty() {
                true => vec![manifest.plain_sha256.clone()],
                false => manifest
                    .streams
                    .iter()
                    .map(|stream| stream.plain_sha256.clone())
                    .collect(),
            };
            assert_eq!(digests, expected, "{}: {id}", format.name);
            let plain = plains.concat();
            assert_eq!(plain.len() as u64, manifest.plain_bytes, "{}: {id}", format.name);
            if manifest.extension == "tar" {
                assert!(!pipe("tar", &["-tf", "-"], &plain).is_empty(), "{}: {id}", format.name);
            }
        }
    }
}

#[test]
fn a_sample_of_the_newer_format_says_nothing_that_is_secret() {
    let folder = samples().join("v2");
    let names = ["part/", "/srv/", "Vanished", "deep"];
    for (id, manifest, _) in backups(&folder, FORMATS[1].ids) {
        assert_eq!(manifest.format, 2, "{id}");
        if !manifest.is_encrypted() {
            continue;
        }
        for object in folder.join("store/20260131").read_dir().unwrap() {
            let path = object.unwrap().path();
            if path.file_name().unwrap().to_str().unwrap().starts_with(&id) {
                let text = String::from_utf8_lossy(&std::fs::read(&path).unwrap()).into_owned();
                assert!(names.iter().all(|name| !text.contains(name)), "{}", path.display());
                assert!(!text.contains("plain_sha256"), "{}", path.display());
            }
        }
    }
}

/// The byte layout as `backup-cli-format(5)` describes it, read without the code under test.
#[test]
fn the_first_format_is_laid_out_as_its_page_says() {
    for (id, manifest, streams) in backups(&samples().join("v1"), FORMATS[0].ids) {
        let data = streams.concat();
        let members = members_of(&data, &id);
        assert_eq!(members.len() as u64, manifest.members, "{id}");
        let plain: u64 = members.iter().map(|member| member.0).sum();
        assert_eq!(plain, manifest.plain_bytes, "{id}");

        let index = &manifest.index_object().unwrap().key;
        let index = std::fs::read(samples().join("v1/store").join(index.as_str())).unwrap();
        let lines = pipe("gzip", &["-dc"], &index);
        let lines: Vec<serde_json::Value> = lines
            .split(|byte| *byte == b'\n')
            .filter(|line| !line.is_empty())
            .map(|line| serde_json::from_slice(line).unwrap())
            .collect();
        assert_eq!(lines[0], serde_json::json!({"t": "index", "format": 1}), "{id}");
        let mut listed = Vec::new();
        let mut entries = 0;
        let (mut plain_offset, mut stored_offset) = (0, 0);
        for line in &lines[1..lines.len() - 1] {
            match line["t"].as_str().unwrap() {
                "e" => {
                    entries += 1;
                    let end = line["offset"].as_u64().unwrap() + line["length"].as_u64().unwrap();
                    assert!(end <= manifest.plain_bytes, "{id}: {line}");
                    assert!(
                        line["path"].is_string() || line["path"]["base64"].is_string(),
                        "{id}: {line}"
                    );
                    assert!(line["kind"].is_string() && line["size"].is_u64(), "{id}: {line}");
                }
                "m" => {
                    assert_eq!(line["plain_offset"], plain_offset, "{id}");
                    assert_eq!(line["stored_offset"], stored_offset, "{id}");
                    for pair in line["members"].as_array().unwrap() {
                        let pair = (pair[0].as_u64().unwrap(), pair[1].as_u64().unwrap());
                        plain_offset += pair.0;
                        stored_offset += pair.1;
                        listed.push(pair);
                    }
                }
                other => panic!("{id}: a line of the unknown kind `{other}`"),
            }
        }
        assert_eq!(listed, members, "{id}");
        let end = serde_json::json!({
            "t": "end",
            "entries": entries,
            "members": members.len(),
            "plain_bytes": plain_offset,
            "stored_bytes": stored_offset,
        });
        assert_eq!(lines[lines.len() - 1], end, "{id}");
    }
}

/// The plaintext's and the stored length of each member, found by hopping from header to header.
fn members_of(data: &[u8], id: &str) -> Vec<(u64, u64)> {
    const HEADER: [u8; 16] = [0x1f, 0x8b, 0x08, 0x04, 0, 0, 0, 0, 0, 0xff, 8, 0, 0x42, 0x4b, 4, 0];
    let number = |at: usize| u32::from_le_bytes(data[at..at + 4].try_into().unwrap());
    let mut members = Vec::new();
    let mut at = 0;
    while at < data.len() {
        assert_eq!(data[at..at + 16], HEADER, "{id}: the member at byte {at}");
        let length = number(at + 16) as usize;
        let member = &data[at..at + length];
        let mut plain = Vec::new();
        // Reads the one member and compares its checksum and length.
        let mut decoder = flate2::bufread::GzDecoder::new(member);
        decoder.read_to_end(&mut plain).unwrap();
        assert!(
            decoder.into_inner().is_empty(),
            "{id}: the member at byte {at} is shorter than it says"
        );
        assert_eq!(
            plain.len(),
            number(at + length - 4) as usize,
            "{id}: ISIZE at byte {at}"
        );
        assert!(
            plain.len() <= 1_048_576,
            "{id}: the member at byte {at} holds {}",
            plain.len()
        );
        assert!(
            !plain.is_empty() || length == data.len(),
            "{id}: an empty member at byte {at}"
        );
        members.push((plain.len() as u64, length as u64));
        at += length;
    }
    members
}

/// Makes every sample anew; `tests/samples/make` names a folder to keep them in.
#[test]
fn this_version_makes_samples_that_it_reads() {
    let scratch = fresh_folder("samples");
    // What the older format can hold is still written in it.
    let older = scratch.path().join("older");
    std::fs::create_dir_all(older.join("store")).unwrap();
    make_samples(&older.join("store"), scratch.path());
    let contents = contents_of(&older, FORMATS[0].ids);
    for kind in ["file", "folder", "symlink", "hard link", "pipe"] {
        assert!(contents.contains(&format!(" {kind} ")), "no {kind} in\n{contents}");
    }
}

/// The committed backups of a store: id, whole manifest, and the data objects of each stream joined.
fn backups(folder: &Path, expected: &[&str]) -> Vec<(String, Manifest, Vec<Vec<u8>>)> {
    let store: Arc<dyn Store> = Arc::new(LocalStore::open(folder.join("store")).unwrap());
    let run = run_in(folder, "2026-02-01T00:00:00Z");
    let mut ids: Vec<String> = list_all(&store, &run)
        .unwrap()
        .backups
        .into_iter()
        .map(|backup| backup.id)
        .collect();
    ids.sort();
    assert_eq!(ids, expected, "a sample is missing, or missing from this list");
    ids.into_iter()
        .map(|id| {
            let mut chosen = find(&store, &id, &run).unwrap();
            let streams = stored_data(&chosen, &run).unwrap().streams;
            let streams = streams.into_iter().map(|stream| {
                let mut data = Vec::new();
                for object in stream.objects {
                    store.get(&object.key, None).unwrap().read_to_end(&mut data).unwrap();
                }
                data
            });
            let streams = streams.collect();
            reveal(&store, &mut chosen, &run).unwrap();
            (id, chosen.manifest.unwrap(), streams)
        })
        .collect()
}

/// Everything in a store of samples, restored and written down.
fn contents_of(folder: &Path, ids: &[&str]) -> String {
    let store: Arc<dyn Store> = Arc::new(LocalStore::open(folder.join("store")).unwrap());
    let run = run_in(folder, "2026-02-01T00:00:00Z");
    let listed = list_all(&store, &run).unwrap();
    assert_eq!(listed.uncommitted, []);
    let mut text = String::new();
    for (id, manifest, _) in backups(folder, ids) {
        let row = listed.backups.iter().find(|row| row.id == id).unwrap();
        let plain = read_back(&store, &id, &run).unwrap();
        let digest = hex::encode(Sha256::digest(&plain));
        let objects = manifest.data_objects().count();
        writeln!(
            text,
            "{id}.{} format {} {:?}, {} problems, {objects} objects, {} bytes, {digest}",
            manifest.extension,
            manifest.format,
            row.state,
            manifest.problem_count,
            plain.len(),
        )
        .unwrap();
        for problem in &manifest.problems {
            writeln!(text, "    problem {:?} {}", problem.kind, problem.item).unwrap();
        }
        if manifest.extension == "tar" {
            let target = fresh_folder("sample-target");
            let to = target.path().join("target");
            let options = RestoreOptions {
                threads: 2,
                ..RestoreOptions::new(RestoreTarget::Path(to.clone()))
            };
            let plan = plan_restore(&store, find(&store, &id, &run).unwrap(), &options, &run).unwrap();
            let report = restore(plan, &options, &mut std::io::sink(), &run).unwrap();
            assert_eq!(report.problem_count, 0, "{id}: {:?}", report.problems);
            describe_tree(&to, &mut text);
        }
    }
    text
}

/// A line for each thing below a folder: path, kind, mode, time, and what it holds.
fn describe_tree(top: &Path, text: &mut String) {
    let mut first_names: BTreeMap<u64, Vec<u8>> = BTreeMap::new();
    let mut folders = vec![top.to_owned()];
    let mut paths = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).unwrap() {
            let entry = entry.unwrap();
            if entry.file_type().unwrap().is_dir() {
                folders.push(entry.path());
            }
            paths.push(entry.path());
        }
    }
    paths.sort();
    for path in paths {
        let meta = std::fs::symlink_metadata(&path).unwrap();
        let name = path.strip_prefix(top).unwrap().as_os_str().as_bytes().to_vec();
        let kind = meta.file_type();
        write!(text, "    {} ", name.escape_ascii()).unwrap();
        if let Some(first) = first_names.get(&meta.ino()) {
            writeln!(text, "hard link -> {}", first.escape_ascii()).unwrap();
            continue;
        }
        if meta.nlink() > 1 && !kind.is_dir() {
            first_names.insert(meta.ino(), name);
        }
        let what = if kind.is_symlink() {
            let link = std::fs::read_link(&path).unwrap();
            format!("symlink -> {}", link.as_os_str().as_bytes().escape_ascii())
        } else if kind.is_dir() {
            format!("folder {:o}", meta.permissions().mode() & 0o7777)
        } else if kind.is_fifo() {
            format!("pipe {:o}", meta.permissions().mode() & 0o7777)
        } else {
            let content = std::fs::read(&path).unwrap();
            let digest = hex::encode(Sha256::digest(&content));
            format!(
                "file {:o} {} bytes {digest}",
                meta.permissions().mode() & 0o7777,
                meta.len()
            )
        };
        write!(text, "{what} {}.{:09}", meta.mtime(), meta.mtime_nsec()).unwrap();
        let mut value = [0; 64];
        if let Ok(length) = rustix::fs::lgetxattr(&path, "user.sample", &mut value) {
            write!(text, " user.sample={}", value[..length].escape_ascii()).unwrap();
        }
        text.push('\n');
    }
}

fn pipe(program: &str, arguments: &[&str], input: &[u8]) -> Vec<u8> {
    let mut child = Command::new(system_tool(program))
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let output = std::thread::scope(|scope| {
        scope.spawn(move || stdin.write_all(input).unwrap());
        child.wait_with_output().unwrap()
    });
    assert!(output.status.success(), "{program} {arguments:?}: {}", output.status);
    output.stdout
}

/// Makes every sample of the newer format; `tests/samples/make` names a folder to keep them in.
#[test]
fn this_version_makes_samples_of_the_newer_format_that_it_reads() {
    let scratch = fresh_folder("samples");
    let folder = match std::env::var_os("BACKUP_CLI_SAMPLES") {
        Some(folder) => PathBuf::from(folder),
        None => scratch.path().join("samples"),
    };
    std::fs::create_dir_all(folder.join("store")).unwrap();
    let (secret, public) = generate_identity();
    std::fs::write(folder.join(KEY_FILE), format!("{}\n", secret.expose())).unwrap();
    newer::make(&folder, &public, scratch.path());
    let contents = contents_of(&folder, FORMATS[1].ids);
    std::fs::write(folder.join("expected.txt"), &contents).unwrap();
    assert!(contents.contains("problem Vanished part/b"), "{contents}");
}

fn make_samples(store: &Path, scratch: &Path) {
    let local: Arc<dyn Store> = Arc::new(LocalStore::open(store.to_owned()).unwrap());

    let files = scratch.join("files");
    make_tree(&files);
    make(&local, "files", 0, None, directory(&files), "/srv/files");

    let database = Database::fresh();
    database.psql(
        "CREATE TABLE words (id integer PRIMARY KEY, word text NOT NULL);
         INSERT INTO words VALUES (1, 'backup'), (2, E'tab\\tand \\\\backslash'), (3, 'Wörter');
         CREATE TABLE empty (nothing text);
         CREATE VIEW long_words AS SELECT word FROM words WHERE length(word) > 6;",
    );
    let source = PostgresSource::new(PostgresOptions {
        url: PostgresUrl::parse(&database.url()).unwrap(),
        ..PostgresOptions::default()
    });
    make(&local, "app", 1, None, Box::new(source), "postgres://localhost/app");

    let argv = ["printf", "%s\\n", "one", "two", "three"].map(str::to_owned).to_vec();
    let source = CommandSource::new(argv, false, "txt".to_owned());
    make(&local, "words", 2, None, Box::new(source), "printf");

    let source = vanishing(&scratch.join("part"));
    make(&local, "part", 3, None, source, "/srv/part");

    let long = long_tree(scratch);
    let limited = limited(&local);
    make(&limited, "long", 4, Some(4_000), directory(&long), "/srv/long");
}

/// A folder of which a file goes away while it is stored.
fn vanishing(part: &Path) -> Box<dyn Source> {
    std::fs::create_dir(part).unwrap();
    for name in ["a", "b", "c"] {
        std::fs::write(part.join(name), name).unwrap();
        set_modified(&part.join(name), 1_700_000_000, 0);
    }
    set_modified(part, 1_700_000_000, 0);
    Box::new(Vanishing {
        inner: directory(part),
        after: b"part/a",
        victim: part.join("b"),
        folder: part.to_owned(),
    })
}

/// A tree that takes more than one object of [`limited`].
fn long_tree(scratch: &Path) -> PathBuf {
    let long = scratch.join("long");
    std::fs::create_dir(&long).unwrap();
    for (number, name) in ["first", "second", "third"].iter().enumerate() {
        std::fs::write(long.join(name), Noise::new(number as u64 + 20).bytes(9_000)).unwrap();
        set_modified(&long.join(name), 1_700_000_000, 0);
    }
    set_modified(&long, 1_700_000_000, 0);
    long
}

/// A store whose objects hold three parts.
fn limited(store: &Arc<dyn Store>) -> Arc<dyn Store> {
    Arc::new(Limited {
        inner: store.clone(),
        parts_max: 3,
    })
}

fn directory(path: &Path) -> Box<dyn Source> {
    Box::new(DirectorySource::new(DirectoryOptions {
        paths: vec![path.to_owned()],
        ..DirectoryOptions::default()
    }))
}

fn make(
    store: &Arc<dyn Store>,
    name: &str,
    second: u32,
    part_bytes: Option<u64>,
    inner: Box<dyn Source>,
    what: &'static str,
) {
    let (run, _) = run_at(&format!("2026-01-31T02:00:{second:02}Z"));
    let options = BackupOptions {
        level: 6,
        host: "sample".to_owned(),
        tags: vec!["sample".to_owned()],
        ..options(name, part_bytes)
    };
    let mut source = Elsewhere { inner, what };
    backup(store, &mut source, &options, &run).unwrap();
}

/// The tree of the sample `files`: small, and with everything in it that a user without rights can restore.
fn make_tree(top: &Path) {
    std::fs::create_dir_all(top.join("deep").join("empty")).unwrap();
    let name = |bytes: &[u8]| top.join(OsStr::from_bytes(bytes));
    let mut noise = Noise::new(1);
    let files: [(PathBuf, Vec<u8>); 10] = [
        (name(b"empty"), Vec::new()),
        (name(b"block"), noise.text(512)),
        (name(b"text"), noise.text(5_000)),
        (name(b"\xff not UTF-8"), b"latin".to_vec()),
        (name("ümlaut and 漢字".as_bytes()), b"unicode".to_vec()),
        (name(b"new\nline"), b"newline".to_vec()),
        (name(&[b'n'; 255]), b"long name".to_vec()),
        (name(b"-dash *?[x]"), b"glob".to_vec()),
        (name(b"deep/large"), vec![b'z'; (1 << 20) + 1]),
        (name(b"deep/shared"), b"shared".to_vec()),
    ];
    for (path, content) in &files {
        std::fs::write(path, content).unwrap();
        set_modified(path, 1_700_000_000, 123_456_789);
    }
    std::fs::set_permissions(name(b"block"), std::fs::Permissions::from_mode(0o400)).unwrap();
    std::fs::set_permissions(name(b"text"), std::fs::Permissions::from_mode(0o751)).unwrap();
    set_xattr(&name(b"text"), "user.sample", b"va\0lue\xff");
    set_modified(&name(b"text"), -86_400, 500_000_000);
    let sparse = std::fs::File::create(name(b"sparse")).unwrap();
    std::os::unix::fs::FileExt::write_all_at(&sparse, b"data", 300_000).unwrap();
    sparse.set_len(900_000).unwrap();
    set_modified(&name(b"sparse"), 1_700_000_000, 0);
    std::fs::hard_link(name(b"deep/shared"), name(b"deep/shared too")).unwrap();
    symlink("deep/large", name(b"pointer")).unwrap();
    symlink("/nowhere/\u{fc}", name(b"dangling")).unwrap();
    for link in ["pointer", "dangling"] {
        set_modified(&top.join(link), 1_600_000_000, 1);
    }
    rustix::fs::mkfifoat(rustix::fs::CWD, name(b"pipe"), rustix::fs::Mode::from(0o640)).unwrap();
    set_modified(&name(b"pipe"), 1_700_000_000, 0);
    for folder in ["deep/empty", "deep", ""] {
        let path = top.join(folder);
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
        set_modified(&path, 1_700_000_000, 987_654_321);
    }
}

/// A source that says it was somewhere else, so that samples do not tell where they were made.
struct Elsewhere {
    inner: Box<dyn Source>,
    what: &'static str,
}

impl Source for Elsewhere {
    fn prepare(&mut self, context: &SourceContext<'_>) -> Result<()> {
        self.inner.prepare(context)
    }

    fn info(&self) -> SourceInfo {
        let info = self.inner.info();
        SourceInfo {
            what: self.what.to_owned(),
            database: info.database.as_ref().map(|_| "app".to_owned()),
            ..info
        }
    }

    fn extension(&self) -> &str {
        self.inner.extension()
    }

    fn estimate(&mut self, context: &SourceContext<'_>) -> Result<Estimate> {
        self.inner.estimate(context)
    }

    fn stream(&mut self, sink: &mut dyn SourceSink, context: &SourceContext<'_>) -> Result<SourceReport> {
        self.inner.stream(sink, context)
    }
}

/// A tree in which a file goes away while another one is stored.
struct Vanishing {
    inner: Box<dyn Source>,
    after: &'static [u8],
    victim: PathBuf,
    folder: PathBuf,
}

struct VanishingSink<'a> {
    inner: &'a mut dyn SourceSink,
    after: &'static [u8],
    victim: &'a Path,
    folder: &'a Path,
}

impl Source for Vanishing {
    fn prepare(&mut self, context: &SourceContext<'_>) -> Result<()> {
        self.inner.prepare(context)
    }

    fn info(&self) -> SourceInfo {
        self.inner.info()
    }

    fn extension(&self) -> &str {
        self.inner.extension()
    }

    fn estimate(&mut self, context: &SourceContext<'_>) -> Result<Estimate> {
        self.inner.estimate(context)
    }

    fn stream(&mut self, sink: &mut dyn SourceSink, context: &SourceContext<'_>) -> Result<SourceReport> {
        let mut sink = VanishingSink {
            inner: sink,
            after: self.after,
            victim: &self.victim,
            folder: &self.folder,
        };
        self.inner.stream(&mut sink, context)
    }
}

impl Write for VanishingSink<'_> {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.inner.write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.inner.flush()
    }
}

impl SourceSink for VanishingSink<'_> {
    fn position(&self) -> u64 {
        self.inner.position()
    }

    fn cut(&mut self) -> Result<()> {
        self.inner.cut()
    }

    fn entry(&mut self, entry: &Entry) -> Result<()> {
        if entry.path.0 == self.after {
            std::fs::remove_file(self.victim).unwrap();
            set_modified(self.folder, 1_700_000_000, 0);
        }
        self.inner.entry(entry)
    }
}

/// A store whose objects may have only a few parts.
struct Limited {
    inner: Arc<dyn Store>,
    parts_max: u32,
}

impl Store for Limited {
    fn url(&self) -> String {
        self.inner.url()
    }

    fn prefix(&self) -> &str {
        self.inner.prefix()
    }

    fn limits(&self) -> Limits {
        Limits {
            parts_max: self.parts_max,
            parts_equal: true,
            ..self.inner.limits()
        }
    }

    fn put(&self, key: &Key, body: bytes::Bytes, options: &PutOptions) -> Result<ObjectMeta> {
        self.inner.put(key, body, options)
    }

    fn start_upload(&self, key: &Key, options: &PutOptions) -> Result<Box<dyn Upload>> {
        self.inner.start_upload(key, options)
    }

    fn get(&self, key: &Key, range: Option<Range<u64>>) -> Result<Box<dyn Read + Send>> {
        self.inner.get(key, range)
    }

    fn head(&self, key: &Key) -> Result<Option<ObjectMeta>> {
        self.inner.head(key)
    }

    fn list(&self, prefix: &str, visit: &mut dyn FnMut(ObjectMeta) -> Result<ControlFlow<()>>) -> Result<()> {
        self.inner.list(prefix, visit)
    }

    fn list_folders(&self, prefix: &str, visit: &mut dyn FnMut(&str) -> Result<ControlFlow<()>>) -> Result<()> {
        self.inner.list_folders(prefix, visit)
    }

    fn delete(&self, key: &Key) -> Result<()> {
        self.inner.delete(key)
    }

    fn thaw(&self, key: &Key, request: &ThawRequest) -> Result<()> {
        self.inner.thaw(key, request)
    }

    fn unfinished_uploads(&self, prefix: &str) -> Result<Vec<UnfinishedUpload>> {
        self.inner.unfinished_uploads(prefix)
    }
}
