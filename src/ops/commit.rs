//! The last steps of the commit protocol: index, then manifest. Before the manifest there is no backup.

use std::io::Read;
use std::sync::Arc;

use bytes::Bytes;

use super::Run;
use super::backup::{BackupOptions, BackupOutcome};
use super::lock_until::{self, Proof, at_commit, keys_of, prove};
use crate::base::failure::{Failure, IoContext, Kind, Result};
use crate::catalog::index_file::FinishedIndex;
use crate::catalog::layout::{ENCRYPTED_SUFFIX, MANIFEST_SUFFIX, index_key_of};
use crate::catalog::manifest::{Manifest, ObjectRecord};
use crate::pipeline::crypt::{Recipients, Sealer};
use crate::pipeline::plan::{PlanInput, plan};
use crate::pipeline::upload::{PartsWriter, UploadedObject};
use crate::store::object_lock::ObjectLock;
use crate::store::{Key, PutOptions, Role, Store};

/// How much of the index is copied at a time.
const COPY_BYTES: usize = 64 * 1024;

/// A random token by which an upload of ours is recognised after a lost reply.
pub(super) fn new_token() -> String {
    hex::encode(rand::random::<[u8; 16]>())
}

/// How an object of the given role is created by this run.
pub(super) fn put_options(role: Role, backup_name: &str) -> PutOptions {
    PutOptions {
        role,
        token: new_token(),
        content_type: match role {
            Role::Data => "application/octet-stream",
            Role::Index => "application/gzip",
            Role::Manifest | Role::Note => "application/json",
        },
        metadata: [("backup-cli-name".to_owned(), backup_name.to_owned())].into(),
        lock: None,
    }
}

/// How the index at `key` is created by this run.
pub(super) fn index_options(key: &Key, backup_name: &str) -> PutOptions {
    let mut options = put_options(Role::Index, backup_name);
    if key.as_str().ends_with(ENCRYPTED_SUFFIX) {
        options.content_type = "application/octet-stream";
    }
    options
}

/// The manifest's record of an object that has been uploaded.
pub(super) fn object_record(role: Role, object: &UploadedObject) -> ObjectRecord {
    ObjectRecord {
        role,
        key: object.meta.key.clone(),
        version_id: object.meta.version_id.clone(),
        bytes: object.meta.bytes,
        sha256: hex::encode(object.sha256),
        md5: hex::encode(object.md5),
        etag: object.meta.etag.clone(),
        part_bytes: object.part_bytes,
        parts: object.parts,
        token: object.token.clone(),
    }
}

/// Writes the index, then the manifest. If either fails, what stands in the store already is removed again.
///
/// `manifest.objects` holds the data objects; the index is added here, encrypted if the data is. `begun` is the lock that
/// the data was written with. A backup without the lock that it was to have is a backup all the same, and its outcome says
/// why it has none: after two days of an upload its loss would be the greater harm.
///
/// # Errors
/// Whatever the store says. The backup exists exactly if this succeeds.
pub(super) fn commit(
    store: &Arc<dyn Store>,
    data_key: &Key,
    begun: Option<ObjectLock>,
    index: &FinishedIndex,
    mut manifest: Manifest,
    options: &BackupOptions,
    run: &Run,
) -> Result<BackupOutcome> {
    let lock = at_commit(store.as_ref(), options.lock.as_ref(), begun, run);
    let upload = IndexUpload {
        name: &options.name,
        recipients: options.recipients.as_ref(),
        memory_bytes: options.transfer.memory_bytes,
        token: None,
        lock,
    };
    match upload_index(store, data_key, index, &upload, run) {
        Ok(record) => manifest.objects.push(record),
        Err(failure) => {
            roll_back(store.as_ref(), &manifest.objects, begun, run);
            return Err(failure.context(NOT_COMMITTED));
        }
    }
    let unlocked = lock_objects(store.as_ref(), begun, lock, &mut manifest, run);
    manifest.warnings.extend(unlocked.clone());
    let outcome = commit_manifest(store, data_key, manifest, run)?;
    Ok(BackupOutcome {
        unlocked: unlocked.or(outcome.unlocked),
        ..outcome
    })
}

/// Sees to it that the data and the index are locked, and records the lock in the manifest if they are; why it is not
/// there, if one was asked for.
pub(super) fn lock_objects(
    store: &dyn Store,
    begun: Option<ObjectLock>,
    lock: Option<ObjectLock>,
    manifest: &mut Manifest,
    run: &Run,
) -> Option<String> {
    let Some(lock) = lock else {
        return begun.map(|begun| lock_until::missing(&begun, "it was over before the backup was committed"));
    };
    match prove(store, &lock, keys_of(&manifest.objects)) {
        Proof::Missing(why) => return Some(lock_until::missing(&lock, &why)),
        Proof::Untold => run.warn(lock_until::untold(&lock)),
        Proof::Kept => {}
    }
    manifest.lock = Some(lock);
    None
}

/// Writes the manifest, locked as it says, whose objects all stand in the store. If it cannot be written, they are removed again.
///
/// # Errors
/// Whatever the store says. The backup exists exactly if this succeeds.
pub(super) fn commit_manifest(
    store: &Arc<dyn Store>,
    data_key: &Key,
    mut manifest: Manifest,
    run: &Run,
) -> Result<BackupOutcome> {
    let manifest_key = data_key.with_suffix(MANIFEST_SUFFIX);
    let json = match run.cancel.check().and_then(|()| manifest.to_json()) {
        Ok(json) => Bytes::from(json),
        Err(failure) => {
            roll_back(store.as_ref(), &manifest.objects, manifest.lock, run);
            return Err(failure.context(NOT_COMMITTED));
        }
    };
    let put = PutOptions {
        lock: manifest.lock,
        ..put_options(Role::Manifest, &manifest.name)
    };
    let bytes = json.len() as u64;
    let written = store
        .put(&manifest_key, json, &put)
        .and_then(|_| expect_manifest(store.as_ref(), &manifest_key, bytes));
    if let Err(failure) = written {
        settle(
            store.as_ref(),
            &manifest_key,
            bytes,
            &put.token,
            &manifest,
            run,
            failure,
        )?;
    }
    let unlocked = manifest
        .lock
        .and_then(|lock| match prove(store.as_ref(), &lock, [(&manifest_key, None)]) {
            Proof::Missing(why) => Some(lock_until::missing(&lock, &why)),
            Proof::Kept | Proof::Untold => None,
        });
    Ok(BackupOutcome {
        manifest,
        manifest_key,
        unlocked,
    })
}

const NOT_KEPT_HINT: &str =
    "The store does not keep what it takes, or something else removes objects there; run it again when that is mended";

const NOT_COMMITTED: &str = "The backup was uploaded but could not be committed";

/// A store that acknowledges a manifest and does not keep it would make a backup that nobody ever finds.
fn expect_manifest(store: &dyn Store, key: &Key, bytes: u64) -> Result<()> {
    let found = match store.head(key) {
        Ok(Some(meta)) if meta.bytes == bytes => return Ok(()),
        Ok(Some(meta)) => format!("holds {} bytes of it instead of {bytes}", meta.bytes),
        Ok(None) => "then has no such object".to_owned(),
        // It was acknowledged, and nothing speaks against it.
        Err(_) => return Ok(()),
    };
    Err(Failure::new(Kind::Damaged, format!("The store acknowledged `{key}` and {found}")).hint(NOT_KEPT_HINT))
}

/// After a manifest whose writing failed: it may stand there all the same. Objects that it names are removed only when it
/// is certain that it does not.
fn settle(
    store: &dyn Store,
    manifest_key: &Key,
    bytes: u64,
    token: &str,
    manifest: &Manifest,
    run: &Run,
    failure: Failure,
) -> Result<()> {
    let stands = match store.head(manifest_key) {
        Ok(Some(meta)) if meta.token.as_deref() != Some(token) => {
            return Err(Failure::new(
                Kind::Conflict,
                format!("Another run committed `{manifest_key}` in the same second"),
            )
            .caused_by(failure)
            .hint("Run it again; give runs on different machines different names"));
        }
        Ok(Some(meta)) if meta.bytes == bytes => return Ok(()),
        Ok(stands) => stands,
        Err(_) => return Err(untold(failure)),
    };
    // What arrived of it is not the manifest. It goes first, so that nothing is ever named that is not there.
    if stands.is_some() && store.delete(manifest_key).is_err() {
        return Err(untold(failure));
    }
    roll_back(store, &manifest.objects, manifest.lock, run);
    // A request whose reply was lost may have been carried out after the first look.
    let came_late = store
        .head(manifest_key)
        .is_ok_and(|meta| meta.is_some_and(|meta| meta.token.as_deref() == Some(token)));
    if came_late && let Err(late) = store.delete(manifest_key) {
        run.warn(format!(
            "`{manifest_key}` describes a backup that was not committed and could not be removed: {late}. Remove it by hand."
        ));
    }
    Err(failure.context(NOT_COMMITTED))
}

fn untold(failure: Failure) -> Failure {
    failure
        .context("The backup was uploaded but it cannot be told whether it was committed")
        .hint("`backup-cli list` shows it if it was; run the backup again if it was not")
}

/// How an index is stored.
pub(super) struct IndexUpload<'a> {
    /// The series.
    pub(super) name: &'a str,
    /// For whom it is encrypted, if it is.
    pub(super) recipients: Option<&'a Recipients>,
    /// What its parts may occupy in memory, in bytes.
    pub(super) memory_bytes: u64,
    /// The token that it has, if not a new one.
    pub(super) token: Option<&'a str>,
    /// How it is locked.
    pub(super) lock: Option<ObjectLock>,
}

/// Stores an index beside its data, only if there is none.
///
/// # Errors
/// Whatever the store says; [`Kind::Unsupported`] if it does not fit into one object.
pub(super) fn upload_index(
    store: &Arc<dyn Store>,
    data_key: &Key,
    index: &FinishedIndex,
    upload: &IndexUpload<'_>,
    run: &Run,
) -> Result<ObjectRecord> {
    let bytes = index.bytes();
    let plan = plan(&PlanInput {
        limits: store.limits(),
        expected_stored_bytes: Some(bytes),
        part_bytes: None,
        in_flight: Some(1),
        memory_bytes: upload.memory_bytes,
    })?;
    let key = index_key_of(data_key, upload.recipients.is_some());
    let mut put = index_options(&key, upload.name);
    put.lock = upload.lock;
    if let Some(token) = upload.token {
        token.clone_into(&mut put.token);
    }
    let parts = PartsWriter::new(store.clone(), key, put, plan, run.cancel.clone(), run.reporter.clone());
    let mut writer = Sealer::new(parts, upload.recipients)?;
    let mut reader = index.reader();
    let mut buffer = vec![0; COPY_BYTES];
    loop {
        let read = reader
            .read(&mut buffer)
            .doing(|| "read the index back from its temporary file")?;
        if read == 0 {
            break;
        }
        std::io::Write::write_all(&mut writer, &buffer[..read])
            .map_err(|error| crate::base::failure::from_io("upload the index", error))?;
    }
    let objects = writer.finish()?.finish()?;
    match objects.as_slice() {
        [object] => Ok(object_record(Role::Index, object)),
        _ => Err(Failure::new(
            Kind::Unsupported,
            format!("The index of {bytes} bytes does not fit into one object of this store"),
        )),
    }
}

/// Removes the objects of a backup that was not committed; what cannot be removed is named. What was written with a lock is
/// only hidden until that ends.
pub(super) fn roll_back(store: &dyn Store, objects: &[ObjectRecord], lock: Option<ObjectLock>, run: &Run) {
    let mut is_hidden = false;
    for object in objects.iter().rev() {
        let ours = store
            .head(&object.key)
            .map(|meta| meta.is_some_and(|meta| meta.token.as_deref() == Some(object.token.as_str())));
        let removed = match ours {
            Ok(false) => Ok(()),
            Ok(true) => {
                let removed = store.delete(&object.key);
                is_hidden |= removed.is_ok();
                removed
            }
            Err(failure) => Err(failure),
        };
        if let Err(failure) = removed {
            run.warn(format!(
                "`{}` belongs to no backup and could not be removed: {failure}. It is not listed; remove it by hand.",
                object.key
            ));
        }
    }
    if let Some(lock) = lock.filter(|_| is_hidden) {
        run.warn(format!(
            "What this run has written belongs to no backup and is hidden; its lock keeps the store from letting go of it before {}, and it costs money until then.",
            lock.until
        ));
    }
}
