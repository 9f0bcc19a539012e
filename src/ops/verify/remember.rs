//! What a verification found is remembered beside the backup: damage, and that there is none any more.
//!
//! Notes are created and never changed. The newest one that was as deep counts, so that a look that would not have seen the
//! damage takes nothing back; only the first finding of a kind is written down, and only a finding that changes something.

use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::super::Run;
use super::super::drill::{DrillReport, Grounds};
use super::super::notes::put_note;
use super::{Checked, Damage, Level, Reached, Subject, VerifyOptions, verify};
use crate::base::failure::{Kind, Result};
use crate::base::secret::redact;
use crate::catalog::notes::{Depth, FoundNote, Note, NoteKind, known_damage, load_note, notes_beside, standing_damage};
use crate::catalog::selection::Chosen;
use crate::store::{Key, Store};

/// How many findings a note names; the rest are counted.
const FINDINGS_MAX: usize = 20;

/// How many notes of verifications may gather beside a backup before those that are answered are taken away: enough to tell
/// a history, few enough that a listing does not consist of them.
const VERDICTS_MAX: usize = 16;

/// How many seconds a note's time steps forward to find a key that is free.
const FREE_KEY_TRIES_MAX: i64 = 60;

/// What the note of a verification says, beside what all notes say. Of an encrypted backup no texts, which may quote it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct VerdictBody {
    /// The backup's id.
    pub id: String,
    /// How deep the verification was: [`Depth::word`].
    pub depth: String,
    /// What is damaged: the first of it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub damage: Vec<Finding>,
    /// How much is damaged in all.
    pub damage_count: u64,
    /// How many bytes of plaintext are lost, where that is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lost_bytes: Option<u64>,
    /// Of how many files or tables something is lost, where that is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lost_entries: Option<u64>,
    /// Of a drill that found damage: what it had done, which one that is to take that back has to do as well.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub drill: Option<Grounds>,
}

/// One thing that is damaged, in a note.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Finding {
    /// The object, where it is one's fault.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub object: Option<Key>,
    /// What is wrong, in a sentence without a stop.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub what: String,
}

/// Where the notes that stand beside a backup are known from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Known {
    /// The listing that found the backup showed them.
    Listed,
    /// They have to be looked for.
    Unlisted,
}

/// What became of a finding.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Remembered {
    /// It changes nothing that is known, or is about somebody else's object.
    Nothing,
    /// Damage was written down.
    Damaged(Key),
    /// That earlier damage is not there any more was written down; what stands all the same, because it was found by a
    /// deeper look.
    Whole(Key, Option<Depth>),
    /// Earlier damage stands, which a look so deep as this cannot answer, or a drill that did less than the one before.
    Stands(Depth),
}

/// A finding as it is to be remembered.
struct Verdict<'a> {
    data_key: &'a Key,
    name: &'a str,
    depth: Depth,
    found: Finds,
    body: VerdictBody,
}

/// What a finding says of damage that was found so deep before.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Finds {
    /// It is there.
    Damage,
    /// It is there, and more.
    MoreDamage,
    /// It is not there any more.
    Whole,
    /// Nothing.
    Nothing,
}

impl Finds {
    fn of(is_damaged: bool) -> Self {
        if is_damaged { Self::Damage } else { Self::Whole }
    }
}

/// Remembers what a verification found of a backup.
///
/// # Errors
/// The store's failures; the finding stands all the same.
pub fn remember(store: &Arc<dyn Store>, checked: &Checked, known: Known, host: &str, run: &Run) -> Result<Remembered> {
    let depth = depth_of(checked);
    if !checked.is_managed {
        return Ok(Remembered::Nothing);
    }
    let notes = match known {
        Known::Listed => checked.notes.clone(),
        Known::Unlisted => notes_beside(store.as_ref(), &checked.data_key)?,
    };
    let verdict = Verdict {
        data_key: &checked.data_key,
        name: &checked.name,
        depth,
        found: Finds::of(checked.is_damaged()),
        body: VerdictBody {
            id: checked.id.clone(),
            depth: depth.word().to_owned(),
            damage: findings(&checked.damage, checked.is_encrypted),
            damage_count: checked.damage_count,
            lost_bytes: checked.loss.as_ref().map(|loss| loss.plain_bytes),
            lost_entries: checked
                .loss
                .as_ref()
                .filter(|loss| loss.is_known)
                .map(|loss| loss.entries_lost),
            drill: None,
        },
    };
    write(store.as_ref(), &verdict, &notes, host, run)
}

/// Remembers what a drill found. That a backup could not be restored is believed only if a verification finds the damage
/// too, for bytes may be changed on their way; what was restored and differs, or does not answer as it must, is believed.
///
/// A drill that finds nothing takes earlier damage back only if it restored, compared and asked all that this was found by.
///
/// # Errors
/// What keeps the verification from being made; the store's failures. What the drill found stands all the same.
pub fn remember_drill(
    store: &Arc<dyn Store>,
    chosen: &Chosen,
    report: &DrillReport,
    options: &VerifyOptions,
    host: &str,
    run: &Run,
) -> Result<Remembered> {
    let Some(manifest) = &chosen.manifest else {
        return Ok(Remembered::Nothing);
    };
    if !report.not_restored.is_empty() {
        return match look_again(store, chosen, options, run)? {
            Some(checked) if checked.is_damaged() => remember(store, &checked, Known::Unlisted, host, run),
            _ => Ok(Remembered::Nothing),
        };
    }
    let notes = notes_beside(store.as_ref(), &chosen.found.data_key)?;
    let id = manifest.id.as_str();
    let standing = standing_grounds(store.as_ref(), &notes)?;
    let known: Vec<Grounds> = standing.iter().flatten().cloned().collect();
    let grounds = report.is_damaged().then(|| Grounds::of(id, report));
    let answers = |standing: &Option<Grounds>| {
        let standing = standing.as_ref();
        standing.is_some_and(|standing| standing.are_answered_by(id, report))
    };
    let found = match &grounds {
        Some(grounds) if grounds.are_among(&known) => Finds::Damage,
        Some(_) => Finds::MoreDamage,
        None if standing.iter().all(answers) && report.passed() => Finds::Whole,
        None => Finds::Nothing,
    };
    let broken = report.checks.iter().filter(|check| check.fails());
    let damage: Vec<Damage> = report
        .compared
        .differences
        .iter()
        .map(|difference| format!("Restored, it differs from what was recorded: {difference}"))
        .chain(broken.map(|check| format!("Restored, this does not hold: {} ({})", check.check, check.found)))
        .map(|what| Damage { object: None, what })
        .collect();
    let verdict = Verdict {
        data_key: &chosen.found.data_key,
        name: &manifest.name,
        depth: Depth::Restore,
        found,
        body: VerdictBody {
            id: manifest.id.clone(),
            depth: Depth::Restore.word().to_owned(),
            damage: findings(&damage, manifest.is_encrypted()),
            damage_count: report.compared.difference_count
                + report.checks.iter().filter(|check| check.fails()).count() as u64,
            drill: grounds,
            ..VerdictBody::default()
        },
    };
    write(store.as_ref(), &verdict, &notes, host, run)
}

/// On what drills found the damage that stands; `None` for a note that cannot be read, which nothing answers then.
fn standing_grounds(store: &dyn Store, notes: &[FoundNote]) -> Result<Vec<Option<Grounds>>> {
    let of_drills = |note: &&FoundNote| matches!(note.kind, NoteKind::Damaged(Depth::Restore, _));
    let mut all = Vec::new();
    for note in standing_damage(notes).filter(of_drills) {
        match load_note::<VerdictBody>(store, &note.key) {
            Ok(note) => all.push(Some(note.body.drill.unwrap_or_default())),
            Err(failure) if failure.kind() == Kind::NotFound => {}
            Err(failure) if matches!(failure.kind(), Kind::Damaged | Kind::Unsupported) => all.push(None),
            Err(failure) => return Err(failure),
        }
    }
    Ok(all)
}

/// A backup that was repaired.
#[derive(Clone, Copy, Debug)]
pub struct Repaired<'a> {
    /// Where its data begins.
    pub data_key: &'a Key,
    /// Its series.
    pub name: &'a str,
    /// Its id.
    pub id: &'a str,
}

/// Remembers that a repair has read a backup so deep and left it whole: what was found by a look like that is mended.
///
/// # Errors
/// The store's failures; the repair stands all the same.
pub fn remember_repair(
    store: &dyn Store,
    repaired: &Repaired<'_>,
    depth: Depth,
    host: &str,
    run: &Run,
) -> Result<Remembered> {
    let verdict = Verdict {
        data_key: repaired.data_key,
        name: repaired.name,
        depth,
        found: Finds::Whole,
        body: VerdictBody {
            id: repaired.id.to_owned(),
            depth: depth.word().to_owned(),
            ..VerdictBody::default()
        },
    };
    write(store, &verdict, &notes_beside(store, repaired.data_key)?, host, run)
}

/// Verifies one backup as deep as it goes.
fn look_again(store: &Arc<dyn Store>, chosen: &Chosen, options: &VerifyOptions, run: &Run) -> Result<Option<Checked>> {
    let options = VerifyOptions {
        level: Level::Deep,
        sample: None,
        ..options.clone()
    };
    let subjects = vec![Subject::Chosen(Box::new(chosen.clone()))];
    let mut looked = None;
    verify(store, subjects, None, &options, run, &mut |_, checked| {
        looked = Some(checked?);
        Ok(())
    })?;
    Ok(looked)
}

/// How deep a verification was: what it would have seen if it had been there.
fn depth_of(checked: &Checked) -> Depth {
    match checked.reached {
        Reached::Nothing | Reached::Quick => Depth::Quick,
        Reached::Stored => Depth::Stored,
        // A share of the members proves no others; damage in one is answered only by all of them.
        Reached::Sample if checked.is_damaged() => Depth::Data,
        Reached::Sample => Depth::Quick,
        Reached::Data => Depth::Data,
        Reached::Deep => Depth::Deep,
    }
}

fn findings(damage: &[Damage], is_encrypted: bool) -> Vec<Finding> {
    damage
        .iter()
        .take(FINDINGS_MAX)
        .map(|damage| Finding {
            object: damage.object.clone(),
            what: match is_encrypted {
                true => String::new(),
                false => redact(&damage.what),
            },
        })
        .filter(|finding| *finding != Finding::default())
        .collect()
}

fn write(store: &dyn Store, verdict: &Verdict<'_>, notes: &[FoundNote], host: &str, run: &Run) -> Result<Remembered> {
    let standing: Vec<(Depth, Timestamp)> = standing_damage(notes)
        .filter_map(|note| verdict_of(note.kind))
        .collect();
    let kind: fn(Depth, Timestamp) -> NoteKind = match verdict.found {
        Finds::Damage if standing.iter().any(|(depth, _)| depth.covers(verdict.depth)) => {
            return Ok(Remembered::Nothing);
        }
        Finds::Damage | Finds::MoreDamage => NoteKind::Damaged,
        Finds::Whole if standing.iter().any(|(depth, _)| verdict.depth.covers(*depth)) => NoteKind::Whole,
        Finds::Whole | Finds::Nothing => {
            return Ok(match standing.iter().map(|(depth, _)| *depth).max() {
                Some(depth) => Remembered::Stands(depth),
                None => Remembered::Nothing,
            });
        }
    };
    let now = run.clock.now();
    // Behind all that stands there already, whatever the clocks of those who wrote it said.
    let last = notes
        .iter()
        .filter_map(|note| verdict_of(note.kind))
        .map(|(_, at)| at)
        .max();
    let mut at = match last.and_then(|last| last.checked_add(SignedDuration::from_secs(1)).ok()) {
        Some(after) => now.max(after),
        None => now,
    };
    let mut tries = 0;
    let key = loop {
        let kind = kind(verdict.depth, at);
        let note = Note::new(kind, now, host, verdict.body.clone());
        match put_note(store, verdict.data_key, verdict.name, kind, &note) {
            // Another verification of the same second.
            Err(failure) if failure.kind() == Kind::Conflict && tries < FREE_KEY_TRIES_MAX => {
                tries += 1;
                at = at.checked_add(SignedDuration::from_secs(1)).unwrap_or(at);
            }
            other => break other?,
        }
    };
    let kind = kind(verdict.depth, at);
    let mut notes = notes.to_vec();
    notes.push(FoundNote { key: key.clone(), kind });
    tidy(store, &notes);
    Ok(match verdict.found {
        Finds::Damage | Finds::MoreDamage => Remembered::Damaged(key),
        Finds::Whole | Finds::Nothing => Remembered::Whole(key, known_damage(&notes).map(|known| known.depth)),
    })
}

fn verdict_of(kind: NoteKind) -> Option<(Depth, Timestamp)> {
    match kind {
        NoteKind::Damaged(depth, at) | NoteKind::Whole(depth, at) => Some((depth, at)),
        NoteKind::Pin | NoteKind::Accepted | NoteKind::Drill(_) => None,
    }
}

/// Takes away what is answered, once there is much of it: the damage first, so that what answers it never goes before it.
/// Whoever may not remove anything leaves it.
fn tidy(store: &dyn Store, notes: &[FoundNote]) {
    let mut verdicts: Vec<&FoundNote> = notes.iter().filter(|note| verdict_of(note.kind).is_some()).collect();
    if verdicts.len() <= VERDICTS_MAX {
        return;
    }
    verdicts.sort_by_key(|note| verdict_of(note.kind).map(|(_, at)| at));
    let standing: Vec<&Key> = standing_damage(notes).map(|note| &note.key).collect();
    let newest_whole = verdicts
        .iter()
        .rev()
        .find(|note| matches!(note.kind, NoteKind::Whole(..)))
        .map(|note| &note.key);
    let answered = |note: &&&FoundNote| matches!(note.kind, NoteKind::Damaged(..)) && !standing.contains(&&note.key);
    let spare = |note: &&&FoundNote| matches!(note.kind, NoteKind::Whole(..)) && newest_whole != Some(&note.key);
    let doomed = verdicts.iter().filter(answered).chain(verdicts.iter().filter(spare));
    for note in doomed {
        if store.delete(&note.key).is_err() {
            return;
        }
    }
}
