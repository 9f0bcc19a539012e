//! The bytes of a copy on their way: read in ranges, compared with the manifest, sent in the target's own parts.

use std::io::{Read, Write};
use std::sync::Arc;

use super::super::Run;
use super::super::commit::{index_options, object_record, put_options};
use super::super::plaintext::{sha256_from_hex, stored_data};
use crate::base::failure::{Failure, Kind, Result, from_io};
use crate::base::report::{Event, Progress, Reporter};
use crate::catalog::manifest::{Manifest, ObjectRecord};
use crate::catalog::selection::Chosen;
use crate::pipeline::download::{DownloadOptions, ObjectsReader, StoredObject};
use crate::pipeline::plan::PartPlan;
use crate::pipeline::upload::PartsWriter;
use crate::store::object_lock::ObjectLock;
use crate::store::{Key, Role, Store};

/// How much is handed from the reader to the writer at a time, in bytes.
const COPY_BYTES: usize = 256 * 1024;

/// Objects that are one stream of bytes, as `cat` joins them.
pub(super) struct Stream {
    pub(super) role: Role,
    /// The key of its first object at the target.
    key: Key,
    objects: Vec<StoredObject>,
}

impl Stream {
    /// The length of the stream, in bytes.
    pub(super) fn bytes(&self) -> u64 {
        self.objects.iter().map(|object| object.bytes).sum()
    }
}

/// The streams of a backup in the order of its manifest, the index last, each with its key at the target.
///
/// # Errors
/// [`Kind::Damaged`] if an object is missing or a digest in the manifest is not one.
pub(super) fn streams_of(chosen: &Chosen, manifest: &Manifest, data_key: &Key, run: &Run) -> Result<Vec<Stream>> {
    let key_of = |key: &Key| match key.as_str().strip_prefix(chosen.found.data_key.as_str()) {
        Some(suffix) => data_key.with_suffix(suffix),
        None => beside(data_key, key.file_name()),
    };
    let mut streams = Vec::new();
    for stream in stored_data(chosen, run)?.streams {
        // The target decides by itself where a stream goes on in another object.
        if let Some(first) = stream.objects.first() {
            streams.push(Stream {
                role: Role::Data,
                key: key_of(&first.key),
                objects: stream.objects,
            });
        }
    }
    if let Some(index) = manifest.index_object() {
        streams.push(Stream {
            role: Role::Index,
            key: key_of(&index.key),
            objects: vec![StoredObject {
                key: index.key.clone(),
                bytes: index.bytes,
                sha256: Some(sha256_from_hex(&index.sha256, manifest)?),
            }],
        });
    }
    Ok(streams)
}

fn beside(data_key: &Key, file_name: &str) -> Key {
    match data_key.as_str().rsplit_once('/') {
        Some((folder, _)) => Key::new(format!("{folder}/{file_name}")),
        None => Key::new(file_name),
    }
}

/// From where to where the streams of a backup are copied, and what they are put with.
pub(super) struct Way<'a> {
    /// Where they are.
    pub source: &'a Arc<dyn Store>,
    /// Where they go.
    pub target: &'a Arc<dyn Store>,
    /// How what arrives is locked.
    pub lock: Option<ObjectLock>,
    /// What the tokens of this run begin with.
    pub identity: &'a str,
    /// The backup.
    pub manifest: &'a Manifest,
}

/// Copies a stream; its objects become visible when all of it has been read and is what was backed up.
pub(super) fn copy_stream(way: &Way<'_>, stream: &Stream, parts: PartPlan, run: &Run) -> Result<Vec<ObjectRecord>> {
    let Way { identity, lock, .. } = *way;
    let name = &way.manifest.name;
    let mut options = match stream.role {
        Role::Index => index_options(&stream.key, name),
        role => put_options(role, name),
    };
    options.lock = lock;
    // The second half stays random.
    options.token.replace_range(..identity.len(), identity);
    let mut reader = ObjectsReader::new(
        way.source.clone(),
        stream.objects.clone(),
        &DownloadOptions::default(),
        run.cancel.clone(),
        Arc::new(ReadingSide {
            to: run.reporter.clone(),
            progress: Progress::default(),
        }),
    );
    // If it is dropped without `finish`, the upload is aborted.
    let mut writer = PartsWriter::new(
        way.target.clone(),
        stream.key.clone(),
        options,
        parts,
        run.cancel.clone(),
        run.reporter.clone(),
    );
    let mut buffer = vec![0; COPY_BYTES];
    loop {
        let read = reader
            .read(&mut buffer)
            .map_err(|error| lost(from_io("read the backup", error)))?;
        if read == 0 {
            break;
        }
        writer
            .write_all(&buffer[..read])
            .map_err(|error| from_io(format!("write `{}`", stream.key), error))?;
        run.reporter.progress().add_plain(read as u64);
    }
    reader.verify().map_err(lost)?;
    let objects = writer.finish()?;
    if stream.role == Role::Index && objects.len() != 1 {
        let records: Vec<_> = objects
            .iter()
            .map(|object| object_record(stream.role, object))
            .collect();
        super::roll_back(way.target.as_ref(), &records, lock, run);
        return Err(Failure::new(
            Kind::Unsupported,
            format!(
                "The index of {} bytes does not fit into one object of the target",
                stream.bytes()
            ),
        ));
    }
    Ok(objects
        .iter()
        .map(|object| object_record(stream.role, object))
        .collect())
}

/// An object that a manifest names and that is not there is damage; "not found" is said of whole backups.
fn lost(failure: Failure) -> Failure {
    match failure.kind() {
        Kind::NotFound => failure
            .with_kind(Kind::Damaged)
            .hint("The backup at the source is damaged and was not copied; choose another one"),
        _ => failure,
    }
}

/// What is fetched is not counted as stored: the bytes of a copy are counted where they arrive.
struct ReadingSide {
    to: Arc<dyn Reporter>,
    progress: Progress,
}

impl Reporter for ReadingSide {
    fn event(&self, event: Event) {
        self.to.event(event);
    }

    fn progress(&self) -> &Progress {
        &self.progress
    }
}
