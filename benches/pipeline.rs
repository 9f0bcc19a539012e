//! How fast the pipeline is by itself, without a source, a network or a disk.
//!
//! `cargo bench --bench pipeline [-- FILE]` measures over the content of FILE (a tar of source code is a fair one), or over
//! the sources of the crates in cargo's registry if there is none, and prints megabytes (10^6) of plaintext a second of wall
//! time and of processor time, over all threads.

#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout
)]

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::ops::{ControlFlow, Range};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use backup_cli::base::cancel::Cancel;
use backup_cli::base::failure::Result;
use backup_cli::base::report::Recorder;
use backup_cli::base::units::{GIB, MIB, TIB};
use backup_cli::pipeline::deflate::{DeflateOptions, MembersWriter};
use backup_cli::pipeline::digest::{Digester, md5_of, sha256_of};
use backup_cli::pipeline::download::{DownloadOptions, ObjectsReader, StoredObject};
use backup_cli::pipeline::inflate::MembersReader;
use backup_cli::pipeline::plan::{MEMORY_BYTES_DEFAULT, PlanInput, plan};
use backup_cli::pipeline::upload::PartsWriter;
use backup_cli::store::archive::ThawRequest;
use backup_cli::store::{
    Key, Limits, ObjectMeta, Part, PartReceipt, PutOptions, Role, Store, UnfinishedUpload, Upload,
};
use bytes::Bytes;

/// How much of the registry's sources is read: enough to last for seconds, little enough for any machine's memory.
const SAMPLE_BYTES: usize = 300_000_000;

/// Acknowledges everything, and serves one object.
struct NullStore {
    object: Bytes,
}

struct NullUpload {
    key: Key,
    token: String,
}

fn meta(key: &Key, bytes: u64, token: &str) -> ObjectMeta {
    ObjectMeta {
        key: key.clone(),
        bytes,
        modified: None,
        etag: None,
        etag_is_md5: false,
        version_id: None,
        storage_class: None,
        archive: None,
        token: Some(token.to_owned()),
    }
}

impl Upload for NullUpload {
    fn put_part(&self, part: Part) -> Result<PartReceipt> {
        Ok(PartReceipt {
            number: part.number,
            bytes: part.body.len() as u64,
            md5: part.md5,
            etag: None,
        })
    }
    fn complete(&self, _receipts: &[PartReceipt], object_bytes: u64) -> Result<ObjectMeta> {
        WRITTEN.store(object_bytes, std::sync::atomic::Ordering::SeqCst);
        Ok(meta(&self.key, object_bytes, &self.token))
    }
    fn abort(&self) -> Result<()> {
        Ok(())
    }
}

static WRITTEN: std::sync::atomic::AtomicU64 = std::sync::atomic::AtomicU64::new(0);

impl Store for NullStore {
    fn url(&self) -> String {
        "null://".to_owned()
    }
    fn prefix(&self) -> &str {
        ""
    }
    fn limits(&self) -> Limits {
        Limits {
            part_bytes_min: 5 * MIB,
            part_bytes_max: 5 * GIB,
            parts_max: 10_000,
            parts_equal: false,
            object_bytes_max: 5 * TIB,
        }
    }
    fn put(&self, _: &Key, _: Bytes, _: &PutOptions) -> Result<ObjectMeta> {
        panic!("not part of the bench")
    }
    fn start_upload(&self, key: &Key, options: &PutOptions) -> Result<Box<dyn Upload>> {
        Ok(Box::new(NullUpload {
            key: key.clone(),
            token: options.token.clone(),
        }))
    }
    fn get(&self, _: &Key, range: Option<Range<u64>>) -> Result<Box<dyn Read + Send>> {
        let range = range.unwrap_or(0..self.object.len() as u64);
        let slice = self.object.slice(range.start as usize..range.end as usize);
        Ok(Box::new(std::io::Cursor::new(slice)))
    }
    fn head(&self, key: &Key) -> Result<Option<ObjectMeta>> {
        let bytes = match self.object.len() as u64 {
            0 => WRITTEN.load(std::sync::atomic::Ordering::SeqCst),
            bytes => bytes,
        };
        Ok(Some(meta(key, bytes, "bench")))
    }
    fn list(&self, _: &str, _: &mut dyn FnMut(ObjectMeta) -> Result<ControlFlow<()>>) -> Result<()> {
        Ok(())
    }
    fn list_folders(&self, _: &str, _: &mut dyn FnMut(&str) -> Result<ControlFlow<()>>) -> Result<()> {
        Ok(())
    }
    fn delete(&self, _: &Key) -> Result<()> {
        Ok(())
    }
    fn thaw(&self, _: &Key, _: &ThawRequest) -> Result<()> {
        Ok(())
    }

    fn unfinished_uploads(&self, _: &str) -> Result<Vec<UnfinishedUpload>> {
        Ok(Vec::new())
    }
}

fn main() {
    let file = std::env::args().skip(1).find(|argument| !argument.starts_with("--"));
    let plain = match file {
        Some(file) => std::fs::read(file).unwrap(),
        None => registry_sources(),
    };
    println!(
        "{} MB of plaintext, {} cores",
        plain.len() / 1_000_000,
        backup_cli::pipeline::default_threads()
    );

    measure("MD5", plain.len(), || {
        std::hint::black_box(md5_of(&plain));
    });
    measure("SHA-256", plain.len(), || {
        std::hint::black_box(sha256_of(&plain));
    });
    measure("MD5 and SHA-256 together", plain.len(), || {
        let mut digester = Digester::new();
        digester.update(&plain);
        std::hint::black_box(digester.finish());
    });
    for threads in [1, 2] {
        let written = measure(&format!("members, level 6, {threads} thread(s)"), plain.len(), || {
            deflate(&plain, threads, std::io::sink()).1
        });
        println!("{:>44}: {:.2}", "ratio", plain.len() as f64 / written as f64);
    }
    measure("members into parts, level 6, 2 threads", plain.len(), || {
        upload(&plain);
    });

    let stored = deflate(&plain, 2, Vec::new()).0;
    for threads in [1, 2] {
        let input = std::io::Cursor::new(stored.clone());
        measure(
            &format!("inflate our members, {threads} thread(s)"),
            plain.len(),
            || inflate(input, threads),
        );
    }
    let bytes = Bytes::from(stored);
    measure("download and inflate, 2 threads", plain.len(), || {
        download(&bytes);
    });
    let foreign = {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(&plain).unwrap();
        encoder.finish().unwrap()
    };
    measure("inflate one foreign member", plain.len(), || {
        inflate(std::io::Cursor::new(foreign), 2)
    });
}

fn deflate<W: Write + Send + 'static>(plain: &[u8], threads: usize, sink: W) -> (W, u64) {
    let options = DeflateOptions {
        level: 6,
        threads,
        ..DeflateOptions::default()
    };
    let mut writer = MembersWriter::new(sink, Box::new(|_| Ok(())), &options, &Cancel::new()).unwrap();
    for piece in plain.chunks(64 * 1024) {
        writer.write_all(piece).unwrap();
    }
    let (sink, report) = writer.finish().unwrap();
    (sink, report.stored_bytes)
}

fn upload(plain: &[u8]) {
    let store = Arc::new(NullStore { object: Bytes::new() });
    let plan = plan(&PlanInput {
        limits: store.limits(),
        expected_stored_bytes: None,
        part_bytes: None,
        in_flight: None,
        memory_bytes: MEMORY_BYTES_DEFAULT,
    })
    .unwrap();
    let options = PutOptions {
        role: Role::Data,
        token: "bench".to_owned(),
        content_type: "application/gzip",
        metadata: BTreeMap::new(),
        lock: None,
    };
    let reporter = Arc::new(Recorder::default());
    let parts = PartsWriter::new(store, Key::new("data"), options, plan, Cancel::new(), reporter);
    let (parts, _) = deflate(plain, 2, parts);
    parts.finish().unwrap();
}

fn inflate(input: impl Read + Send + 'static, threads: usize) {
    let reader = MembersReader::new(input, threads, &Cancel::new()).unwrap();
    reader.finish().unwrap();
}

fn download(stored: &Bytes) {
    let object = StoredObject {
        key: Key::new("data"),
        bytes: stored.len() as u64,
        sha256: None,
    };
    let store = Arc::new(NullStore { object: stored.clone() });
    let reporter = Arc::new(Recorder::default());
    let options = DownloadOptions::default();
    let objects = ObjectsReader::new(store, vec![object], &options, Cancel::new(), reporter);
    let reader = MembersReader::new(objects, 2, &Cancel::new()).unwrap();
    let (mut objects, _) = reader.finish().unwrap();
    objects.verify().unwrap();
}

fn measure<T>(what: &str, plain_bytes: usize, work: impl FnOnce() -> T) -> T {
    let (started, cpu_before) = (Instant::now(), cpu_secs());
    let result = work();
    let (wall, cpu) = (started.elapsed().as_secs_f64(), cpu_secs() - cpu_before);
    let megabytes = plain_bytes as f64 / 1e6;
    println!(
        "{what:>44}: {:7.0} MB/s wall, {:7.0} MB/s of one core",
        megabytes / wall,
        megabytes / cpu
    );
    result
}

/// Processor time of all threads so far, user and system; Linux counts it in hundredths of a second.
fn cpu_secs() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or("").split_whitespace().collect();
    let ticks = |at: usize| {
        fields
            .get(at)
            .and_then(|field| field.parse::<f64>().ok())
            .unwrap_or(0.0)
    };
    (ticks(11) + ticks(12)) / 100.0
}

fn registry_sources() -> Vec<u8> {
    let home = std::env::var_os("CARGO_HOME").map_or_else(
        || PathBuf::from(std::env::var_os("HOME").unwrap_or_default()).join(".cargo"),
        PathBuf::from,
    );
    let mut plain = Vec::with_capacity(SAMPLE_BYTES);
    read_tree(&home.join("registry/src"), &mut plain);
    assert!(!plain.is_empty(), "no sources in cargo's registry; name a file");
    plain
}

fn read_tree(folder: &Path, plain: &mut Vec<u8>) {
    let mut entries: Vec<_> = std::fs::read_dir(folder).into_iter().flatten().flatten().collect();
    entries.sort_by_key(std::fs::DirEntry::file_name);
    for entry in entries {
        let path = entry.path();
        if plain.len() >= SAMPLE_BYTES {
            return;
        }
        match entry.file_type() {
            Ok(kind) if kind.is_dir() => read_tree(&path, plain),
            Ok(kind) if kind.is_file() => plain.extend(std::fs::read(&path).unwrap_or_default()),
            _ => {}
        }
    }
}
