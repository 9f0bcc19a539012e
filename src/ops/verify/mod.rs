//! Checking backups where they lie: what a look at each object tells, what its bytes tell, what its content tells.
//!
//! Damage is an answer and not a failure: every backup is checked to its end, and what is lost of it is told by name. A
//! store that does not answer is a failure and never damage.

use std::path::PathBuf;
use std::sync::Arc;

use jiff::Timestamp;

use super::Run;
use super::many::in_parallel;
use crate::base::failure::{Failure, Kind, Result};
use crate::base::report::Phase;
use crate::catalog::layout::ENCRYPTED_SUFFIX;
use crate::catalog::listing::{Found, is_uncommitted, load_manifest};
use crate::catalog::manifest::State;
use crate::catalog::notes::FoundNote;
use crate::catalog::selection::Chosen;
use crate::store::{Key, ObjectMeta, Store};

mod content;
mod data;
mod etag;
mod guards;
mod index;
mod judge;
mod loss;
mod quick;
mod remember;
mod sample;
mod select;
mod verdict;

pub use guards::{Alarm, Guards, watch};
pub(in crate::ops) use index::index_trouble;
pub use loss::Loss;
pub use remember::{Known, Remembered, Repaired, VerdictBody, remember, remember_drill, remember_repair};
pub use sample::Sample;
pub use select::{count_damaged, find_all, newest_of_each};
pub use verdict::worse;

/// How many findings of one backup are named; the rest are counted.
const DAMAGE_NAMED_MAX: usize = 100;

/// How many backups are looked at before the first of them is told: as many as a pool of small requests has work for.
const QUICK_BATCH: usize = 64;

/// How thoroughly backups are checked; each level does what the ones before it do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// The manifest, and one look at each object.
    Quick,
    /// Every stored byte.
    Data,
    /// What the bytes are.
    Deep,
}

impl std::fmt::Display for Level {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Quick => "quick",
            Self::Data => "data",
            Self::Deep => "deep",
        })
    }
}

/// How backups are checked.
#[derive(Clone, Debug)]
pub struct VerifyOptions {
    /// How thoroughly.
    pub level: Level,
    /// Only a share of the data, of what is read.
    pub sample: Option<Sample>,
    /// The one folder in which a database's clients are looked for.
    pub client_folder: Option<PathBuf>,
    /// Threads that inflate.
    pub threads: usize,
}

/// How far a check came.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reached {
    /// Nothing could be checked.
    Nothing,
    /// The manifest and a look at each object.
    Quick,
    /// The stored bytes against their digests, but not what they hold: there is no key.
    Stored,
    /// A share of the members.
    Sample,
    /// Every stored byte and all plaintext.
    Data,
    /// The content too.
    Deep,
}

impl std::fmt::Display for Reached {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Nothing => "nothing",
            Self::Quick => "quick",
            Self::Stored => "stored",
            Self::Sample => "sample",
            Self::Data => "data",
            Self::Deep => "deep",
        })
    }
}

/// One thing that is not as it should be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Damage {
    /// The object, where it is one's fault.
    pub object: Option<Key>,
    /// What is wrong, in a sentence without a stop.
    pub what: String,
}

/// How much was looked at.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Amount {
    /// Objects that were looked at.
    pub objects: u64,
    /// Stored bytes that were read.
    pub stored_bytes: u64,
    /// Plaintext bytes that were checked.
    pub plain_bytes: u64,
    /// Members that were inflated.
    pub members: u64,
    /// Entries of the index that were compared.
    pub entries: u64,
}

/// What was found out about one backup.
#[derive(Clone, Debug)]
pub struct Checked {
    /// The id.
    pub id: String,
    /// The series.
    pub name: String,
    /// When it was begun.
    pub time: Timestamp,
    /// The first data object's key.
    pub data_key: Key,
    /// Whether it has a manifest, be it a damaged one.
    pub is_managed: bool,
    /// Whether it is encrypted, as far as is known.
    pub is_encrypted: bool,
    /// The notes beside it that a listing showed.
    pub notes: Vec<FoundNote>,
    /// What was asked for.
    pub asked: Level,
    /// How far the check came.
    pub reached: Reached,
    /// How much was looked at.
    pub amount: Amount,
    /// What is damaged: the first of it.
    pub damage: Vec<Damage>,
    /// How much is damaged in all.
    pub damage_count: u64,
    /// What was not checked and why, and what else the user should know, each in a sentence.
    pub remarks: Vec<String>,
    /// Whether something that was asked for could not be done.
    pub is_incomplete: bool,
    /// Whether the store tells entity tags of which it is not known that its content decides them.
    pub has_unknown_tags: bool,
    /// What is lost, if any of the data is.
    pub loss: Option<Loss>,
}

impl Checked {
    fn new(chosen: &Chosen, asked: Level) -> Self {
        Self {
            id: chosen.found.id.clone(),
            name: chosen.name().to_owned(),
            time: chosen.time(),
            data_key: chosen.found.data_key.clone(),
            is_managed: chosen.found.manifest_key.is_some(),
            is_encrypted: match &chosen.manifest {
                Some(manifest) => manifest.is_encrypted(),
                None => chosen.found.data_key.as_str().ends_with(ENCRYPTED_SUFFIX),
            },
            notes: chosen.found.notes.clone(),
            asked,
            reached: Reached::Nothing,
            amount: Amount::default(),
            damage: Vec::new(),
            damage_count: 0,
            remarks: Vec::new(),
            is_incomplete: false,
            has_unknown_tags: false,
            loss: None,
        }
    }

    /// Whether anything is damaged.
    #[must_use]
    pub fn is_damaged(&self) -> bool {
        self.damage_count > 0
    }

    fn damaged(&mut self, object: Option<&Key>, what: impl Into<String>) {
        self.damage_count += 1;
        if self.damage.len() < DAMAGE_NAMED_MAX {
            self.damage.push(Damage {
                object: object.cloned(),
                what: what.into(),
            });
        }
    }

    fn remark(&mut self, text: impl Into<String>) {
        self.remarks.push(text.into());
    }
}

/// A backup that is to be checked.
#[derive(Clone, Debug)]
pub enum Subject {
    /// One whose manifest has been read, or that has none.
    Chosen(Box<Chosen>),
    /// One of which only the keys are known.
    Found(Found),
}

/// Checks backups one after the other, those that are only looked at several at once, and tells `each` what was found, in
/// order. What belongs to another series than `name`, was never committed, or was removed meanwhile, is passed over.
///
/// # Errors
/// The visitor's own, and [`Kind::Interrupted`]; what keeps one backup from being checked is told with it.
pub fn verify(
    store: &Arc<dyn Store>,
    subjects: Vec<Subject>,
    name: Option<&str>,
    options: &VerifyOptions,
    run: &Run,
    each: &mut dyn FnMut(&str, Result<Checked>) -> Result<()>,
) -> Result<()> {
    run.phase(Phase::Verifying);
    let at_once = match options.level {
        Level::Quick => QUICK_BATCH,
        Level::Data | Level::Deep => 1,
    };
    for batch in subjects.chunks(at_once) {
        let looked = in_parallel(batch, |subject| {
            run.cancel.check()?;
            look(store, subject, name, options, run)
        });
        run.cancel.check()?;
        for (subject, looked) in batch.iter().zip(looked) {
            let id = match subject {
                Subject::Chosen(chosen) => &chosen.found.id,
                Subject::Found(found) => &found.id,
            };
            run.reporter.progress().set_current(id);
            match looked.and_then(|looked| read(store, looked, options, run)) {
                Ok(None) => {}
                Ok(Some(checked)) => {
                    run.reporter.progress().add_item();
                    each(id, Ok(checked))?;
                }
                Err(failure) if failure.kind() == Kind::Interrupted => return Err(failure),
                Err(failure) => {
                    run.reporter.progress().add_error();
                    each(id, Err(failure))?;
                }
            }
            run.cancel.check()?;
        }
    }
    Ok(())
}

/// Reads the data of a backup that has been looked at, if that was asked for.
fn read(store: &Arc<dyn Store>, looked: Option<Looked>, options: &VerifyOptions, run: &Run) -> Result<Option<Checked>> {
    let Some(Looked {
        chosen,
        metas,
        mut checked,
        can_be_read,
    }) = looked
    else {
        return Ok(None);
    };
    if options.level == Level::Quick || !can_be_read {
        return Ok(Some(checked));
    }
    match data::check_data(store, &chosen, &metas, &mut checked, options, run) {
        // Not every store says so when it is only looked at.
        Err(failure) if failure.kind() == Kind::Archived => {
            checked.remark(format!("Its data lies in an archive and was not read: {failure}."));
            checked.is_incomplete = true;
        }
        other => other?,
    }
    Ok((!was_removed(store, &chosen, &checked)?).then_some(checked))
}

/// What was removed while it was looked at is not damaged.
fn was_removed(store: &Arc<dyn Store>, chosen: &Chosen, checked: &Checked) -> Result<bool> {
    match &chosen.found.manifest_key {
        Some(key) if checked.is_damaged() => Ok(store.head(key)?.is_none()),
        _ => Ok(false),
    }
}

/// A backup after a look at it.
struct Looked {
    chosen: Chosen,
    /// What the store knows of its objects, in the order of the manifest.
    metas: Vec<Option<ObjectMeta>>,
    checked: Checked,
    can_be_read: bool,
}

/// Looks at one backup without reading its data; `None` if it is none, or not of the series.
fn look(
    store: &Arc<dyn Store>,
    subject: &Subject,
    name: Option<&str>,
    options: &VerifyOptions,
    run: &Run,
) -> Result<Option<Looked>> {
    let (chosen, trouble) = match subject {
        Subject::Chosen(chosen) => ((**chosen).clone(), None),
        Subject::Found(found) => match load(store, found)? {
            Some(loaded) => loaded,
            None => return Ok(None),
        },
    };
    if name.is_some_and(|name| chosen.name() != name) {
        return Ok(None);
    }
    let mut checked = Checked::new(&chosen, options.level);
    match trouble {
        Some(failure) if failure.kind() == Kind::Damaged => {
            checked.damaged(chosen.found.manifest_key.as_ref(), failure.in_one_line());
        }
        Some(failure) => {
            checked.remark(format!("{failure}; nothing of it was checked."));
            checked.is_incomplete = true;
            return Ok(Some(Looked {
                chosen,
                metas: Vec::new(),
                checked,
                can_be_read: false,
            }));
        }
        None => {}
    }
    if let Some(manifest) = chosen
        .manifest
        .as_ref()
        .filter(|manifest| manifest.state == State::Partial)
    {
        checked.remark(format!(
            "It is partial: {} items could not be read when it was made.",
            manifest.problem_count
        ));
    }
    let metas = quick::look_at_objects(store, &chosen, &mut checked, run)?;
    if was_removed(store, &chosen, &checked)? {
        return Ok(None);
    }
    Ok(Some(Looked {
        chosen,
        metas,
        checked,
        can_be_read: true,
    }))
}

/// Reads the manifest; what is wrong with it stands beside the backup.
fn load(store: &Arc<dyn Store>, found: &Found) -> Result<Option<(Chosen, Option<Failure>)>> {
    let without = |trouble| {
        let chosen = Chosen {
            found: found.clone(),
            manifest: None,
        };
        Ok(Some((chosen, trouble)))
    };
    let Some(key) = &found.manifest_key else {
        return match is_uncommitted(store.as_ref(), found)? {
            true => Ok(None),
            false => without(None),
        };
    };
    let loaded = load_manifest(store.as_ref(), key).or_else(|failure| match failure.kind() {
        // Only what is wrong twice is wrong where it lies.
        Kind::Damaged => load_manifest(store.as_ref(), key),
        _ => Err(failure),
    });
    match loaded {
        Ok(manifest) => Ok(Some((
            Chosen {
                found: found.clone(),
                manifest: Some(manifest),
            },
            None,
        ))),
        // It was removed between the listing and now.
        Err(failure) if failure.kind() == Kind::NotFound => Ok(None),
        Err(failure) if matches!(failure.kind(), Kind::Damaged | Kind::Unsupported) => without(Some(failure)),
        Err(failure) => Err(failure),
    }
}
