//! The samples of format 2: every codec, encrypted and not, in several objects and in several streams.

use std::io::Write;
use std::path::Path;
use std::sync::{Arc, Mutex};

use backup_cli::base::cancel::Cancel;
use backup_cli::base::secret::Secret;
use backup_cli::catalog::codec::Codec;
use backup_cli::catalog::index_file::IndexSpool;
use backup_cli::catalog::layout::{MANIFEST_SUFFIX, index_key_of, stream_key};
use backup_cli::catalog::manifest::{Counts, Manifest, ObjectRecord, SourceInfo, State, StreamRecord};
use backup_cli::ops::backup::{BackupOptions, backup};
use backup_cli::pipeline::crypt::{PublicKey, Recipients, Sealer};
use backup_cli::pipeline::deflate::{DeflateOptions, MembersWriter};
use backup_cli::pipeline::digest::{md5_of, sha256_of};
use backup_cli::source::Source;
use backup_cli::store::local::LocalStore;
use backup_cli::store::{Key, PutOptions, Role, Store};

use super::{Elsewhere, PASSPHRASE, directory, limited, long_tree, vanishing};
use crate::support::library::{options, run_at};
use crate::support::trees::{Noise, set_modified};

/// Makes them all in `folder/store`.
pub(super) fn make(folder: &Path, public: &PublicKey, scratch: &Path) {
    let store: Arc<dyn Store> = Arc::new(LocalStore::open(folder.join("store")).unwrap());
    let age = Some(Recipients::of_keys(&[&public.0]).unwrap());
    let passphrase = Some(Recipients::of_passphrase(Secret::new(PASSPHRASE)).unwrap());
    let tree = small_tree(scratch);
    let small = || directory(&tree);
    let long = long_tree(scratch);
    let of = |codec, recipients: &Option<Recipients>| Way {
        codec,
        recipients: recipients.clone(),
    };
    for (second, name, way, source) in [
        (0, "gzip-age", of(Codec::Gzip, &age), small()),
        (1, "gzip-passphrase", of(Codec::Gzip, &passphrase), small()),
        (2, "zstd", of(Codec::Zstd, &None), small()),
        (3, "zstd-age", of(Codec::Zstd, &age), small()),
        (4, "none", of(Codec::None, &None), small()),
        (5, "none-age", of(Codec::None, &age), small()),
        (
            6,
            "part-gzip-age",
            of(Codec::Gzip, &age),
            vanishing(&scratch.join("part")),
        ),
    ] {
        way.back_up(&store, name, second, None, source);
    }
    of(Codec::None, &age).back_up(&limited(&store), "long-none-age", 7, Some(4_000), directory(&long));
    let streams: [&[u8]; 3] = [b"-- first\n", b"", b"-- third\nSELECT 1;\n"];
    several_streams(&store, "streams-gzip", 8, &of(Codec::Gzip, &None), &streams);
    several_streams(&store, "streams-zstd-age", 9, &of(Codec::Zstd, &age), &streams);
}

fn small_tree(scratch: &Path) -> std::path::PathBuf {
    let top = scratch.join("small");
    std::fs::create_dir_all(top.join("deep")).unwrap();
    let mut noise = Noise::new(40);
    for (name, content) in [
        ("empty", Vec::new()),
        ("text", noise.text(3_000)),
        ("deep/noise", noise.bytes(2_000)),
    ] {
        std::fs::write(top.join(name), content).unwrap();
        set_modified(&top.join(name), 1_700_000_000, 0);
    }
    for folder in [top.join("deep"), top.clone()] {
        set_modified(&folder, 1_700_000_000, 0);
    }
    top
}

/// How a sample is stored.
struct Way {
    codec: Codec,
    recipients: Option<Recipients>,
}

impl Way {
    fn back_up(
        &self,
        store: &Arc<dyn Store>,
        name: &str,
        second: u32,
        part_bytes: Option<u64>,
        inner: Box<dyn Source>,
    ) {
        let (run, _) = run_at(&format!("2026-01-31T02:01:{second:02}Z"));
        let options = BackupOptions {
            codec: self.codec,
            level: self.codec.level_default(),
            recipients: self.recipients.clone(),
            host: "sample".to_owned(),
            tags: vec!["sample".to_owned()],
            ..options(name, part_bytes)
        };
        let mut source = Elsewhere {
            inner,
            what: "/srv/sample",
        };
        backup(store, &mut source, &options, &run).unwrap();
    }
}

fn put(store: &Arc<dyn Store>, role: Role, key: &Key, content: Vec<u8>) -> ObjectRecord {
    let token = "00".repeat(16);
    let options = PutOptions {
        role,
        token: token.clone(),
        content_type: "application/octet-stream",
        metadata: Default::default(),
        lock: None,
    };
    let record = ObjectRecord {
        role,
        key: key.clone(),
        version_id: None,
        bytes: content.len() as u64,
        sha256: hex::encode(sha256_of(&content)),
        md5: hex::encode(md5_of(&content)),
        etag: None,
        part_bytes: 0,
        parts: 0,
        token,
    };
    store.put(key, content.into(), &options).unwrap();
    record
}

/// A backup of several streams as the format describes it, put together by hand.
fn several_streams(store: &Arc<dyn Store>, name: &str, second: u32, way: &Way, streams: &[&[u8]]) {
    let extension = match way.recipients {
        None => way.codec.extension().to_owned(),
        Some(_) => format!("{}.age", way.codec.extension()),
    };
    let id = format!("{name}_backup_20260131_0201{second:02}");
    let data_key = Key::new(format!("20260131/{id}.sql.{extension}"));
    let mut index = IndexSpool::create().unwrap();
    let mut objects = Vec::new();
    let mut records = Vec::new();
    let (mut plain_start, mut compressed_start, mut members) = (0, 0, 0);
    for (number, plain) in streams.iter().enumerate() {
        let runs = Arc::new(Mutex::new(Vec::new()));
        let kept = runs.clone();
        let on_run = Box::new(move |run| {
            kept.lock().unwrap().push(run);
            Ok(())
        });
        let options = DeflateOptions {
            codec: way.codec,
            level: way.codec.level_default(),
            threads: 1,
        };
        let sealer = Sealer::new(Vec::new(), way.recipients.as_ref()).unwrap();
        let mut writer = MembersWriter::new(sealer, on_run, &options, &Cancel::new()).unwrap();
        writer.write_all(plain).unwrap();
        let (sealer, report) = writer.finish().unwrap();
        let stored = sealer.finish().unwrap();
        for mut run in runs.lock().unwrap().drain(..) {
            run.plain_offset += plain_start;
            run.stored_offset += compressed_start;
            index.members(&run).unwrap();
        }
        plain_start += report.plain_bytes;
        compressed_start += report.stored_bytes;
        members += report.members;
        let key = stream_key(&data_key, number as u64 + 1).unwrap();
        objects.push(put(store, Role::Data, &key, stored));
        records.push(StreamRecord {
            objects: 1,
            extension: None,
            plain_bytes: report.plain_bytes,
            plain_sha256: Some(hex::encode(report.plain_sha256)),
            compressed_bytes: report.stored_bytes,
            members: report.members,
        });
    }
    let time = format!("2026-01-31T02:01:{second:02}Z").parse().unwrap();
    let mut manifest = Manifest {
        format: 1,
        id,
        name: name.to_owned(),
        host: "sample".to_owned(),
        source: SourceInfo {
            kind: "postgresql".to_owned(),
            what: "postgres://localhost/app".to_owned(),
            ..SourceInfo::default()
        },
        started: time,
        finished: time,
        state: State::Complete,
        problems: Vec::new(),
        problem_count: 0,
        objects,
        extension: "sql".to_owned(),
        plain_bytes: plain_start,
        plain_sha256: None,
        streams: records,
        shape: None,
        lock: None,
        copied_from: None,
        adopted: None,
        codec: way.codec,
        level: way.codec.level_default(),
        members,
        recipients: way.recipients.as_ref().map(Recipients::names).unwrap_or_default(),
        tags: vec!["sample".to_owned()],
        warnings: Vec::new(),
        counts: Counts::default(),
        tool_version: env!("CARGO_PKG_VERSION").to_owned(),
        other: Default::default(),
    };
    let index = index.finish(manifest.private().as_ref()).unwrap();
    let mut sealer = Sealer::new(Vec::new(), way.recipients.as_ref()).unwrap();
    std::io::copy(&mut index.reader(), &mut sealer).unwrap();
    let index_key = index_key_of(&data_key, way.recipients.is_some());
    let record = put(store, Role::Index, &index_key, sealer.finish().unwrap());
    manifest.objects.push(record);
    let json = manifest.to_json().unwrap();
    put(store, Role::Manifest, &data_key.with_suffix(MANIFEST_SUFFIX), json);
}
