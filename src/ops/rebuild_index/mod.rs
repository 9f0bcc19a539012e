//! Making a lost or damaged index again from the data, and the commit record that names it.
//!
//! The backup stays one at every step: nothing is written before all of the data has proved right, the index is needed by
//! no restore of all of it, and the manifest is written over in one step.

use std::io::Read;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use sha2::{Digest, Sha256};

use super::Run;
use super::commit::{IndexUpload, index_options, put_options, upload_index};
use super::lock::SeriesLock;
use super::plaintext::{sha256_from_hex, stored_data};
use super::reveal::reveal;
use super::thaw::require_readable;
use super::verify::index_trouble;
use crate::base::failure::{Failure, IoContext, Kind, Result};
use crate::base::report::Phase;
use crate::catalog::codec::Codec;
use crate::catalog::index_file::FinishedIndex;
use crate::catalog::layout::{MANIFEST_SUFFIX, index_key_of};
use crate::catalog::listing::load_manifest;
use crate::catalog::manifest::{Manifest, ObjectRecord};
use crate::catalog::selection::Chosen;
use crate::pipeline::crypt::{PASSPHRASE_RECIPIENT, Recipients, Sealer};
use crate::store::{Key, ObjectMeta, Role, Store};

pub(super) mod read;

use read::{How, Reading, read_all};

/// An index up to this size, before encryption, is replaced in one request, from memory; it names some hundred thousand files.
const REPLACED_INDEX_BYTES_MAX: u64 = 8 << 20;

/// What is asked of a rebuild.
#[derive(Clone, Debug)]
pub struct RebuildOptions {
    /// Only find out what would be done.
    pub is_dry_run: bool,
    /// Threads that inflate.
    pub threads: usize,
    /// What the parts in flight may occupy, in bytes.
    pub memory_bytes: u64,
    /// Where locks lie.
    pub lock_folder: PathBuf,
    /// How long to wait for another run of the series.
    pub lock_timeout: Duration,
}

/// What became of the commit record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Commit {
    /// The index that stands is as it should be; nothing was done.
    IndexIsGood,
    /// The new index is the one that the manifest names, to the byte; the manifest stays as it was.
    Stays,
    /// The manifest was written over with one that names the new index.
    Replaced,
}

/// What a rebuild has done, or would do.
#[derive(Clone, Debug)]
pub struct RebuildOutcome {
    /// The backup's id.
    pub id: String,
    /// Where its data begins.
    pub data_key: Key,
    /// Its series.
    pub name: String,
    /// The index.
    pub index_key: Key,
    /// What was wrong with the index that stood there.
    pub trouble: Option<String>,
    /// What became of the commit record.
    pub commit: Commit,
    /// The length of the new index in bytes, before encryption.
    pub bytes: u64,
    /// How many files or tables it names.
    pub entries: u64,
    /// How many members it names.
    pub members: u64,
    /// What the user should know, each in a sentence.
    pub remarks: Vec<String>,
}

/// Makes the index of a backup again, unless it is as it should be.
///
/// # Errors
/// [`Kind::Damaged`] if the data is not what was backed up; [`Kind::WrongKey`]; [`Kind::Locked`]; [`Kind::Usage`] for an
/// object without a manifest. Whatever fails, the backup is listed and restores as before.
pub fn rebuild_index(
    store: &Arc<dyn Store>,
    mut chosen: Chosen,
    options: &RebuildOptions,
    run: &Run,
) -> Result<RebuildOutcome> {
    let name = committed(&chosen)?.name.clone();
    let _lock = match options.is_dry_run {
        true => None,
        false => Some(SeriesLock::take(
            &options.lock_folder,
            &store.url(),
            &name,
            options.lock_timeout,
            run,
        )?),
    };
    run.phase(Phase::Preparing);
    let manifest_key = chosen.found.data_key.with_suffix(MANIFEST_SUFFIX);
    // Before it is read again: what is written over later is what was read here.
    let standing = store.head(&manifest_key)?.ok_or_else(|| gone(&chosen))?;
    chosen.manifest = Some(load_manifest(store.as_ref(), &manifest_key)?);
    require_readable(store, &chosen, run)?;

    let mut remarks = Vec::new();
    match reveal(store, &mut chosen, run) {
        Err(failure) if matches!(failure.kind(), Kind::NotFound | Kind::Damaged) => remarks.push(
            "What only the index said of the encrypted backup (its source, problems and warnings) is lost with it."
                .to_owned(),
        ),
        other => other?,
    }
    let manifest = committed(&chosen)?;
    let recipients = recipients_of(manifest)?;
    let index_key = index_key_of(&chosen.found.data_key, manifest.is_encrypted());
    let mut outcome = RebuildOutcome {
        id: manifest.id.clone(),
        data_key: chosen.found.data_key.clone(),
        name: name.clone(),
        index_key: index_key.clone(),
        trouble: index_trouble(store, &chosen, manifest, run)?,
        commit: Commit::IndexIsGood,
        bytes: manifest.index_object().map_or(0, |record| record.bytes),
        entries: 0,
        members: manifest.members,
        remarks,
    };
    if outcome.trouble.is_none() {
        return Ok(outcome);
    }

    run.phase(Phase::Verifying);
    let (reading, manifest) = read_and_prove(store, &chosen, manifest, options, run)?;
    outcome.entries = reading.entries;
    outcome.members = manifest.members;
    if reading.members.is_none() && reading.plain.plain_bytes > 0 {
        outcome.remarks.push(
            "Its members are not this program's, so that a part of it is restored by reading all of it.".to_owned(),
        );
    }
    let index = reading.index.finish(manifest.private().as_ref())?;
    outcome.bytes = index.bytes();
    let recipients = match recipients {
        Some(Whom::Keys(keys)) => Some(keys),
        Some(Whom::Passphrase) => Some(by_passphrase(run)?),
        None => None,
    };
    let is_same = recipients.is_none() && is_named(&index, &index_key, &manifest)?;
    outcome.commit = match is_same {
        true => Commit::Stays,
        false => Commit::Replaced,
    };
    if options.is_dry_run {
        return Ok(outcome);
    }
    run.cancel.check()?;
    run.phase(Phase::Committing);
    tell_of_locks(store.as_ref(), &manifest_key, &mut outcome.remarks);
    let upload = IndexUpload {
        name: &manifest.name,
        recipients: recipients.as_ref(),
        memory_bytes: options.memory_bytes,
        // The same index is the same object.
        token: manifest
            .index_object()
            .filter(|_| is_same)
            .map(|record| record.token.as_str()),
        // Where the store locks new objects by itself, it locks this one, too.
        lock: None,
    };
    let record = put_index(store, &chosen.found.data_key, &index_key, &index, &upload, run)?;
    if !is_same {
        commit_over(store.as_ref(), &manifest_key, &standing, manifest, record, run)?;
    }
    Ok(outcome)
}

fn committed(chosen: &Chosen) -> Result<&Manifest> {
    chosen.manifest.as_ref().ok_or_else(|| {
        Failure::new(
            Kind::Usage,
            format!(
                "`{}` has no manifest that can be read, so nothing says what its data should be",
                chosen.found.id
            ),
        )
        .hint(format!(
            "`backup-cli adopt {}` makes a manifest for it, and an index",
            chosen.found.data_key
        ))
    })
}

fn gone(chosen: &Chosen) -> Failure {
    Failure::new(Kind::NotFound, format!("`{}` was removed meanwhile", chosen.found.id))
        .hint("`backup-cli list` shows what is there")
}

/// Reads all of the data, compares it with the manifest, and returns that with what a new index changes in it.
fn read_and_prove(
    store: &Arc<dyn Store>,
    chosen: &Chosen,
    manifest: &Manifest,
    options: &RebuildOptions,
    run: &Run,
) -> Result<(Reading, Manifest)> {
    let data = stored_data(chosen, run)?;
    let how = How {
        store,
        threads: options.threads,
        names_members: true,
        restorer: None,
        run,
    };
    let prove = || -> Result<Reading> {
        let reading = read_all(&how, &data)?;
        compare(&reading, manifest)?;
        Ok(reading)
    };
    let reading = prove().or_else(|failure| match failure.kind() {
        // Only what is wrong twice is wrong where it lies.
        Kind::Damaged => prove(),
        _ => Err(failure),
    });
    let reading = reading.map_err(|failure| match failure.kind() {
        Kind::Damaged => failure
            .context(format!(
                "The index of `{}` was not made: its data is damaged",
                manifest.id
            ))
            .hint(format!("`backup-cli verify {}` tells what is lost of it", manifest.id)),
        _ => failure,
    })?;
    let mut renewed = manifest.clone();
    renewed.members = reading.plain.members;
    // What is compressed was cut as it is; what is not may have been cut otherwise.
    if let Some(members) = reading.members.as_ref().filter(|_| manifest.codec == Codec::None) {
        renewed.members = members.iter().sum();
        for (stream, members) in renewed.streams.iter_mut().zip(members) {
            stream.members = *members;
        }
    }
    // In an encrypted backup they stood in the index alone.
    let digests: Vec<String> = reading.plain.plain_sha256s.iter().map(hex::encode).collect();
    match (renewed.streams.is_empty(), digests.as_slice()) {
        (true, [only]) => renewed.plain_sha256 = Some(only.clone()),
        (true, _) => {}
        (false, digests) => {
            for (stream, digest) in renewed.streams.iter_mut().zip(digests) {
                stream.plain_sha256 = Some(digest.clone());
            }
        }
    }
    Ok((reading, renewed))
}

/// Compares the data with the digests of the manifest.
fn compare(reading: &Reading, manifest: &Manifest) -> Result<()> {
    let damaged = |what: String| Err(Failure::new(Kind::Damaged, what));
    for (record, object) in manifest.data_objects().zip(&reading.objects) {
        if object.sha256 != Some(sha256_from_hex(&record.sha256, manifest)?) {
            return damaged(format!(
                "The content of the object `{}` is not what was backed up",
                record.key
            ));
        }
    }
    if reading.plain.plain_bytes != manifest.plain_bytes {
        return damaged(format!(
            "It holds {} bytes of content instead of {}",
            reading.plain.plain_bytes, manifest.plain_bytes
        ));
    }
    let recorded: Vec<&String> = match manifest.streams.is_empty() {
        true => manifest.plain_sha256.iter().collect(),
        false => manifest
            .streams
            .iter()
            .filter_map(|stream| stream.plain_sha256.as_ref())
            .collect(),
    };
    let found: Vec<String> = reading.plain.plain_sha256s.iter().map(hex::encode).collect();
    // An encrypted backup has none in its manifest.
    match recorded.is_empty() || recorded.iter().copied().eq(&found) {
        true => Ok(()),
        false => damaged("The content is not what was backed up: its SHA-256 is another".to_owned()),
    }
}

/// For whom an index is encrypted.
enum Whom {
    Keys(Recipients),
    Passphrase,
}

fn recipients_of(manifest: &Manifest) -> Result<Option<Whom>> {
    match manifest.recipients.as_slice() {
        [] => Ok(None),
        [only] if only == PASSPHRASE_RECIPIENT => Ok(Some(Whom::Passphrase)),
        keys => Recipients::of_keys(keys).map(|keys| Some(Whom::Keys(keys))),
    }
}

/// The passphrase that has opened the data.
pub(super) fn by_passphrase(run: &Run) -> Result<Recipients> {
    let passphrase = run.keys.known_passphrase().ok_or_else(|| {
        Failure::new(
            Kind::WrongKey,
            "The passphrase that the index has to be encrypted by is not known",
        )
        .hint("Set BACKUP_PASSPHRASE_FILE or BACKUP_PASSPHRASE_COMMAND")
    })?;
    Recipients::of_passphrase(passphrase)
}

/// Whether the manifest names this very index.
fn is_named(index: &FinishedIndex, key: &Key, manifest: &Manifest) -> Result<bool> {
    let Some(record) = manifest.index_object().filter(|record| record.key == *key) else {
        return Ok(false);
    };
    if record.bytes != index.bytes() {
        return Ok(false);
    }
    let mut sha256 = Sha256::new();
    let mut reader = index.reader();
    let mut buffer = vec![0; 64 * 1024];
    loop {
        let read = reader
            .read(&mut buffer)
            .doing(|| "read the index back from its temporary file")?;
        if read == 0 {
            return Ok(record.sha256 == hex::encode(sha256.finalize()));
        }
        sha256.update(&buffer[..read]);
    }
}

/// What a lock means for what is about to be written. Who may not ask is told by the store's refusal.
fn tell_of_locks(store: &dyn Store, manifest_key: &Key, remarks: &mut Vec<String>) {
    if let Ok(Some(retained)) = store.retained(manifest_key) {
        let until = match retained.until {
            Some(until) => format!("until {until}"),
            None => "without an end".to_owned(),
        };
        remarks.push(format!(
            "The manifest is locked {until}: the version that stands stays as it is beneath the new one."
        ));
    }
}

/// Puts the index where the lost or damaged one was.
pub(super) fn put_index(
    store: &Arc<dyn Store>,
    data_key: &Key,
    index_key: &Key,
    index: &FinishedIndex,
    upload: &IndexUpload<'_>,
    run: &Run,
) -> Result<ObjectRecord> {
    let put = || {
        if store.head(index_key)?.is_some() {
            store.delete(index_key)?;
        }
        upload_index(store, data_key, index, upload, run)
    };
    put().map_err(|failure| not_stored(failure, index_key))
}

fn not_stored(failure: Failure, index_key: &Key) -> Failure {
    let failure = failure.context(format!("The index was made but could not be stored as `{index_key}`"));
    match failure.kind() {
        Kind::Denied => failure.hint(
            "It takes s3:PutObject and s3:DeleteObject; where a lock of the bucket keeps the damaged index, wait for its end. All of the backup is restored without the index",
        ),
        _ => failure.hint("Run it again; all of the backup is restored without the index"),
    }
}

/// Puts the index over one that may be right, in one step where it is small enough for that: what only the old one says is
/// not to be lost before the new one stands.
pub(super) fn replace_index(
    store: &Arc<dyn Store>,
    data_key: &Key,
    index_key: &Key,
    index: &FinishedIndex,
    standing: &ObjectMeta,
    upload: &IndexUpload<'_>,
    run: &Run,
) -> Result<ObjectRecord> {
    if index.bytes() > REPLACED_INDEX_BYTES_MAX {
        return put_index(store, data_key, index_key, index, upload, run);
    }
    let mut sealer = Sealer::new(Vec::new(), upload.recipients)?;
    std::io::copy(&mut index.reader(), &mut sealer).doing(|| "read the index back from its temporary file")?;
    let body = sealer.finish()?;
    let (sha256, md5) = (hex::encode(Sha256::digest(&body)), hex::encode(md5::Md5::digest(&body)));
    let put = index_options(index_key, upload.name);
    let meta = match store.replace_if(index_key, Bytes::from(body), &put, standing) {
        Err(failure) if failure.kind() == Kind::Unsupported => {
            return put_index(store, data_key, index_key, index, upload, run);
        }
        replaced => replaced.map_err(|failure| not_stored(failure, index_key))?,
    };
    Ok(ObjectRecord {
        role: Role::Index,
        key: index_key.clone(),
        version_id: meta.version_id,
        bytes: meta.bytes,
        sha256,
        md5,
        etag: meta.etag,
        part_bytes: 0,
        parts: 0,
        token: put.token,
    })
}

/// Writes the manifest over with one that names the new index.
fn commit_over(
    store: &dyn Store,
    manifest_key: &Key,
    standing: &ObjectMeta,
    mut manifest: Manifest,
    record: ObjectRecord,
    run: &Run,
) -> Result<()> {
    manifest.objects.retain(|object| object.role != Role::Index);
    manifest.objects.push(record);
    replace_manifest(store, manifest_key, standing, manifest, run)
}

/// Writes a manifest over the one that stands, in one step. A lost reply is resolved by looking.
///
/// # Errors
/// [`Kind::Conflict`] if it was changed or removed meanwhile. Whatever fails, the old one or the new one stands, whole.
pub(super) fn replace_manifest(
    store: &dyn Store,
    manifest_key: &Key,
    standing: &ObjectMeta,
    mut manifest: Manifest,
    run: &Run,
) -> Result<()> {
    run.cancel.check()?;
    let json = Bytes::from(manifest.to_json()?);
    let bytes = json.len() as u64;
    let put = put_options(Role::Manifest, &manifest.name);
    let is_ours = || {
        let meta = store.head(manifest_key);
        meta.map(|meta| meta.is_some_and(|meta| meta.bytes == bytes && meta.token.as_deref() == Some(&put.token)))
    };
    let written = store.replace_if(manifest_key, json, &put, standing);
    let failure = match (written, is_ours()) {
        (_, Ok(true)) | (Ok(_), Err(_)) => return Ok(()),
        (Ok(_), Ok(false)) => Failure::new(
            Kind::Failed,
            format!("The store acknowledged the new `{manifest_key}` and shows another"),
        ),
        (Err(failure), _) => failure,
    };
    let failure = failure.context("The new index was stored, but the manifest could not be made to name it");
    Err(match failure.kind() {
        Kind::Denied => failure.hint(
            "Where a lock of the bucket keeps the manifest, wait for its end and run it again. The backup is listed and restores as before",
        ),
        _ => failure.hint("Run it again. The backup is listed and restores as before"),
    })
}
