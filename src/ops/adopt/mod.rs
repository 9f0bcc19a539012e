//! Adopting: an object that something else made becomes a backup, by a manifest and an index beside it.
//!
//! The object itself is never moved or written. It is read whole and judged as a source would be; what is cut short or
//! damaged stays what it was. A backup of this program whose manifest is damaged gets a new one in the same way.

use std::io::Read;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

mod describe;
mod naming;

use describe::{describe, recall};

use self::naming::{Told, series_and_time_of};
use super::Run;
use super::commit::{IndexUpload, put_options, roll_back, upload_index};
use super::lock::SeriesLock;
use super::plaintext::stored_data;
use super::prune::SETTLING;
use super::rebuild_index::read::{How, Reading, read_all};
use super::rebuild_index::{replace_index, replace_manifest};
use super::thaw::require_readable;
use crate::base::failure::{Failure, Kind, Result, from_io};
use crate::base::report::Phase;
use crate::catalog::layout::{KeyRole, Layout, MANIFEST_SUFFIX, check_name, index_key_of, name_from, role_of};
use crate::catalog::listing::{Found, load_manifest, scan};
use crate::catalog::manifest::{Manifest, ObjectRecord, TimeFrom};
use crate::catalog::selection::Chosen;
use crate::pipeline::crypt::is_age;
use crate::pipeline::stored::{StoredData, StoredStream};
use crate::source::detect::{Content, SqlDialect};
use crate::store::{Key, ObjectMeta, Role, Store};

/// How much of an object tells whether and for whom it is encrypted, in bytes: a header for hundreds of recipients.
const HEAD_BYTES: u64 = 64 * 1024;

/// What stands in the header of what is encrypted by a passphrase.
const SCRYPT_STANZA: &[u8] = b"\n-> scrypt ";

/// What is asked of an adoption.
#[derive(Clone, Debug)]
pub struct AdoptOptions {
    /// The series; by the object's name if not given.
    pub name: Option<String>,
    /// Where keys lie.
    pub layout: Layout,
    /// Only find out what would be done.
    pub is_dry_run: bool,
    /// The one folder in which PostgreSQL's clients are looked for.
    pub client_folder: Option<PathBuf>,
    /// Threads that inflate.
    pub threads: usize,
    /// What the parts in flight may occupy, in bytes.
    pub memory_bytes: u64,
    /// Where locks lie.
    pub lock_folder: PathBuf,
    /// How long to wait for another run of the series.
    pub lock_timeout: Duration,
}

/// What an adoption has done, or would do.
#[derive(Clone, Debug)]
pub struct AdoptOutcome {
    /// The commit record.
    pub manifest: Manifest,
    /// Where it lies.
    pub manifest_key: Key,
    /// What the object holds, for people.
    pub content: &'static str,
    /// How many files or tables the index names.
    pub entries: u64,
    /// Whether a damaged manifest was made anew.
    pub is_remade: bool,
    /// What the user should know, each in a sentence.
    pub remarks: Vec<String>,
}

/// What stands in the place of the manifest.
enum Before {
    Nothing,
    /// One that cannot be read.
    Damaged(ObjectMeta),
}

/// Makes a manifest and an index for an object that has none, or whose manifest is damaged.
///
/// # Errors
/// [`Kind::Damaged`] if the object is cut short or damaged; [`Kind::Refused`] if it cannot be told; [`Kind::Usage`] if it is
/// a backup already, or a listing of the series would not find it; [`Kind::WrongKey`]; [`Kind::Locked`]. Then nothing of it
/// is written.
pub fn adopt(store: &Arc<dyn Store>, key: &Key, options: &AdoptOptions, run: &Run) -> Result<AdoptOutcome> {
    let name = series_of(store.as_ref(), key, options)?;
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
    let found = find(store.as_ref(), key, run)?;
    let manifest_key = key.with_suffix(MANIFEST_SUFFIX);
    let before = look_before(store.as_ref(), &manifest_key)?;
    let chosen = Chosen {
        found: Found {
            manifest_key: None,
            ..found
        },
        manifest: None,
    };
    require_readable(store, &chosen, run)?;
    let metas = metas_of(store.as_ref(), &chosen.found)?;
    let is_uncommitted = matches!(before, Before::Nothing) && metas.first().is_some_and(|meta| meta.token.is_some());
    if is_uncommitted {
        refuse_unfinished(&metas, run)?;
    }

    run.phase(Phase::Verifying);
    let sealed = Sealing::of(store.as_ref(), key)?;
    let data = data_of(&chosen, &sealed, run)?;
    let reading = read(store, &data, &sealed, options, run)?;
    let mut remarks = reading.warnings.clone();
    judge(&reading, &chosen.found, is_uncommitted, &mut remarks)?;

    let (mut manifest, recipients) = describe(&name, &chosen.found, &metas, &reading, &sealed, run)?;
    if let Before::Damaged(_) = before {
        recall(store, &chosen, &mut manifest, &mut remarks, run)?;
    }
    if recipients.as_ref().is_some_and(|whom| whom.names().len() > 1) {
        remarks.push(
            "Each of the given keys is recorded as one that opens it; which of them did is not known.".to_owned(),
        );
    }
    if reading.members.is_none() && reading.plain.plain_bytes > 0 {
        remarks.push("A part of it is restored by reading all of it: its stream is not cut into members.".to_owned());
    }
    if let (_, Told::Day(_)) = series_and_time_of(key) {
        remarks.push("Its name tells the day and no time of it, so that its first moment counts, UTC.".to_owned());
    }
    if manifest
        .adopted
        .as_ref()
        .is_some_and(|adopted| adopted.time_from == TimeFrom::Modified)
    {
        remarks.push(
            "Its name tells no time, so that of its last change counts. If something writes it again, this backup is damaged."
                .to_owned(),
        );
    }
    let mut outcome = AdoptOutcome {
        manifest_key: manifest_key.clone(),
        content: reading.content.describe(),
        entries: reading.entries,
        is_remade: matches!(before, Before::Damaged(_)),
        remarks,
        manifest,
    };
    if options.is_dry_run {
        return Ok(outcome);
    }
    run.cancel.check()?;
    run.phase(Phase::Committing);
    let index = reading.index.finish(outcome.manifest.private().as_ref())?;
    let upload = IndexUpload {
        name: &name,
        recipients: recipients.as_ref(),
        memory_bytes: options.memory_bytes,
        token: None,
        lock: None,
    };
    let index_key = index_key_of(key, recipients.is_some());
    let record = match store.head(&index_key)? {
        None => upload_index(store, key, &index, &upload, run)?,
        Some(meta) if meta.token.is_some() => replace_index(store, key, &index_key, &index, &meta, &upload, run)?,
        Some(_) => {
            return Err(Failure::new(
                Kind::Conflict,
                format!("Somebody else's object stands where the index has to be: `{index_key}`"),
            )
            .hint("Nothing was written; move that object out of the way"));
        }
    };
    outcome.manifest.objects.push(record);
    match before {
        Before::Damaged(standing) => {
            replace_manifest(store.as_ref(), &manifest_key, &standing, outcome.manifest.clone(), run)?;
        }
        Before::Nothing => put_manifest(store.as_ref(), &manifest_key, &mut outcome.manifest, run)?,
    }
    Ok(outcome)
}

/// The series that the object becomes a backup of. A listing of the series has to find it where it is.
fn series_of(store: &dyn Store, key: &Key, options: &AdoptOptions) -> Result<String> {
    if role_of(key) != KeyRole::Data {
        return Err(Failure::new(
            Kind::Usage,
            format!("`{key}` is, by its name, not the first data object of a backup"),
        )
        .hint("Name the data itself: the object without .index.gz, .manifest.json or .part-0002 at its end"));
    }
    let (hint, _) = series_and_time_of(key);
    let name = match &options.name {
        Some(name) => name.clone(),
        None => name_from(&hint),
    };
    check_name(&name)?;
    let prefix = store.prefix();
    let is_below = prefix.is_empty() || key.as_str().starts_with(&format!("{prefix}/"));
    let is_found =
        is_below && key.as_str().contains(&name) && key.as_str().starts_with(&options.layout.series_prefix(&name));
    match is_found {
        true => Ok(name),
        false => Err(Failure::new(
            Kind::Usage,
            format!("As a backup of `{name}`, `{key}` would not be found by `list --name {name}` or by `prune`"),
        )
        .hint("The name of the series has to stand in the key: choose one that does with --name")
        .hint("Or move the object, below the store's prefix, to a key as backups have it, such as `20260131/NAME_backup_20260131_020000.sql.gz`")),
    }
}

/// The object and what goes on behind it, by their names.
fn find(store: &dyn Store, key: &Key, run: &Run) -> Result<Found> {
    let found = scan(store, key.as_str(), &run.cancel)?;
    found
        .into_iter()
        .find(|found| found.data_key == *key && found.data.iter().any(|(own, _)| own == key))
        .ok_or_else(|| {
            Failure::new(Kind::NotFound, format!("No object `{key}` in `{}`", store.url()))
                .hint("`backup-cli list` shows what is there")
        })
}

fn look_before(store: &dyn Store, manifest_key: &Key) -> Result<Before> {
    let Some(standing) = store.head(manifest_key)? else {
        return Ok(Before::Nothing);
    };
    let load = || load_manifest(store, manifest_key);
    // Only what is wrong twice is wrong where it lies.
    match load().or_else(|_| load()) {
        Ok(manifest) => Err(Failure::new(
            Kind::Usage,
            format!("`{}` is a backup already, of `{}`", manifest.id, manifest.name),
        )
        .hint(format!("`backup-cli verify {}` tells whether it is whole", manifest.id))),
        Err(failure) if failure.kind() == Kind::Damaged => Ok(Before::Damaged(standing)),
        Err(failure) => Err(failure),
    }
}

fn metas_of(store: &dyn Store, found: &Found) -> Result<Vec<ObjectMeta>> {
    found
        .data
        .iter()
        .map(|(key, bytes)| match store.head(key)? {
            Some(meta) if meta.bytes == *bytes => Ok(meta),
            // Only what is wrong twice is wrong where it lies.
            _ => match store.head(key)? {
                Some(meta) if meta.bytes == *bytes => Ok(meta),
                Some(_) => Err(changed(key)),
                None => Err(
                    Failure::new(Kind::NotFound, format!("The object `{key}` was removed meanwhile"))
                        .hint("`backup-cli list` shows what is there"),
                ),
            },
        })
        .collect()
}

fn changed(key: &Key) -> Failure {
    Failure::new(
        Kind::Failed,
        format!("The object `{key}` changes while it is looked at"),
    )
    .hint("Nothing was written; run this again when nothing writes to it any more")
}

/// Data of this program without a manifest may be that of a run that goes on.
fn refuse_unfinished(metas: &[ObjectMeta], run: &Run) -> Result<()> {
    let now = run.clock.now();
    let is_young = |meta: &ObjectMeta| {
        meta.modified
            .is_none_or(|modified| now.duration_since(modified) < SETTLING)
    };
    match metas.iter().find(|meta| is_young(meta)) {
        None => Ok(()),
        Some(meta) => Err(Failure::new(
            Kind::Refused,
            format!(
                "`{}` was written just now by this program, which may be about to commit it",
                meta.key
            ),
        )
        .hint("If the run has failed, try again ten minutes after it")),
    }
}

/// Whether the object is encrypted, and how.
struct Sealing {
    is_encrypted: bool,
    is_armored: bool,
    is_by_passphrase: bool,
}

impl Sealing {
    fn of(store: &dyn Store, key: &Key) -> Result<Self> {
        let mut head = Vec::new();
        store
            .get(key, None)?
            .take(HEAD_BYTES)
            .read_to_end(&mut head)
            .map_err(|error| from_io(format!("read `{key}`"), error))?;
        let is_encrypted = is_age(&head);
        let is_armored = is_encrypted && head.first() == Some(&b'-');
        Ok(Self {
            is_encrypted,
            is_armored,
            is_by_passphrase: is_encrypted && memchr::memmem::find(&head, SCRYPT_STANZA).is_some(),
        })
    }
}

/// All objects as one stream: members concatenate.
fn data_of(chosen: &Chosen, sealing: &Sealing, run: &Run) -> Result<StoredData> {
    let mut data = stored_data(chosen, run)?;
    if sealing.is_encrypted && data.streams.len() > 1 {
        return Err(Failure::new(
            Kind::Unsupported,
            format!(
                "`{}` consists of several encrypted streams, of which only its manifest tells",
                chosen.found.data_key
            ),
        )
        .hint("Restore it as it is: decrypt each stream by `age -d`, join what comes out"));
    }
    data.is_encrypted = Some(sealing.is_encrypted);
    data.streams = vec![StoredStream {
        objects: data.objects(),
        ..StoredStream::default()
    }];
    Ok(data)
}

fn read(
    store: &Arc<dyn Store>,
    data: &StoredData,
    sealing: &Sealing,
    options: &AdoptOptions,
    run: &Run,
) -> Result<Reading> {
    let how = How {
        store,
        threads: options.threads,
        // Ranges are not read out of an age file that is text.
        names_members: !sealing.is_armored,
        restorer: Some(options.client_folder.as_deref()),
        run,
    };
    let reading = read_all(&how, data).or_else(|failure| match failure.kind() {
        // Only what is wrong twice is wrong where it lies.
        Kind::Damaged => read_all(&how, data),
        _ => Err(failure),
    });
    reading.map_err(|failure| match failure.kind() {
        Kind::Damaged => not_adopted(failure, &data.what),
        _ => failure,
    })
}

fn not_adopted(failure: Failure, what: &str) -> Failure {
    failure
        .context(format!("{what} is no whole backup and was not adopted"))
        .hint("Nothing was written; what can be had of it can be restored all the same, as of any object without a manifest")
}

/// Judges what was read as the end of a source is judged.
fn judge(reading: &Reading, found: &Found, is_uncommitted: bool, remarks: &mut Vec<String>) -> Result<()> {
    let what = format!("`{}`", found.data_key);
    if let Some(fault) = &reading.fault {
        let failure = Failure::new(Kind::Damaged, format!("Its content is not whole: {fault}"));
        return Err(not_adopted(failure, &what));
    }
    if reading.content == Content::Empty {
        return Err(not_adopted(
            Failure::new(Kind::Damaged, "There is nothing in it"),
            &what,
        ));
    }
    if reading.is_proved {
        return Ok(());
    }
    if is_uncommitted {
        return Err(Failure::new(
            Kind::Refused,
            format!("{what} was never committed, and nothing in it tells whether it is whole"),
        )
        .hint("Restore it by its own key, as it is, if it is of use"));
    }
    let of = match (reading.content, reading.dialect) {
        (Content::Sql, SqlDialect::Other) => "an SQL dump of an unknown program",
        (content, _) => content.describe(),
    };
    remarks.push(format!(
        "Its content is {of}, and nothing in it tells whether it is whole: a stream that was cut before it was stored looks the same."
    ));
    Ok(())
}

/// Commits: from here on it is a backup. If that fails, the index goes again; the object is never touched.
fn put_manifest(store: &dyn Store, manifest_key: &Key, manifest: &mut Manifest, run: &Run) -> Result<()> {
    let put = put_options(Role::Manifest, &manifest.name);
    let written = run.cancel.check().and_then(|()| manifest.to_json()).and_then(|json| {
        let bytes = json.len() as u64;
        let stands = || {
            let meta = store.head(manifest_key);
            meta.map(|meta| meta.is_some_and(|meta| meta.token.as_deref() == Some(&put.token) && meta.bytes == bytes))
        };
        match store.put(manifest_key, Bytes::from(json), &put) {
            // It was acknowledged, and nothing speaks against it; only what is wrong twice does.
            Ok(_) => match stands().and_then(|stands_now| if stands_now { Ok(true) } else { stands() }) {
                Ok(true) | Err(_) => Ok(()),
                Ok(false) => Err(Failure::new(
                    Kind::Failed,
                    format!("The store acknowledged `{manifest_key}` and does not have it"),
                )),
            },
            Err(failure) => match stands() {
                Ok(true) => Ok(()),
                _ => Err(failure),
            },
        }
    });
    let Err(failure) = written else { return Ok(()) };
    // What is not certain to be without a manifest keeps its index.
    let is_free = failure.kind() != Kind::Conflict && matches!(store.head(manifest_key), Ok(None));
    if is_free {
        let index: Vec<ObjectRecord> = manifest.index_object().cloned().into_iter().collect();
        roll_back(store, &index, None, run);
    }
    Err(failure
        .context("The index was stored but the manifest could not be")
        .hint("Run it again"))
}
