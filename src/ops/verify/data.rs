//! Every stored byte read once: the objects' digests, each member by itself, the plaintext's digests, the sums.

use std::collections::BTreeMap;
use std::io::Read;
use std::ops::Range;
use std::sync::Arc;

use super::super::Run;
use super::super::plaintext::{segment_ends, streams_by_name, streams_of};
use super::super::reveal::{judge_key, reveal};
use super::content::{Content, Verdict};
use super::etag::part_bytes_of;
use super::index::{IndexFacts, MemberTable, read_facts};
use super::judge::{judge_content, judge_objects};
use super::loss::{LostPlaces, find_loss};
use super::quick::is_frozen;
use super::{Checked, Level, Reached, VerifyOptions};
use crate::base::failure::{Failure, Kind, Result, from_io, into_io};
use crate::catalog::manifest::Manifest;
use crate::catalog::selection::Chosen;
use crate::pipeline::check::{Checker, MemberPlace, ReadData, ReadStream, Step, WantedObject, WholeReader};
use crate::pipeline::download::{DownloadOptions, StoredObject};
use crate::pipeline::inflate::{InflateOptions, MembersReader};
use crate::pipeline::stored::StoredData;
use crate::pipeline::streams::StreamsReader;
use crate::source::detect::DETECT_BYTES;
use crate::store::{Key, ObjectMeta, Store};

/// A backup whose data is to be read.
pub(super) struct Job<'a> {
    pub(super) store: &'a Arc<dyn Store>,
    pub(super) chosen: &'a Chosen,
    pub(super) data: StoredData,
    /// The data objects with as many bytes as there are of them.
    pub(super) wanted: Vec<WantedObject>,
    /// The entity tags that the store has of them.
    pub(super) etags: BTreeMap<Key, String>,
    pub(super) options: &'a VerifyOptions,
    pub(super) run: &'a Run,
}

/// What one pass over the data has found.
#[derive(Default)]
pub(super) struct Findings {
    pub(super) read: ReadData,
    pub(super) lost: LostPlaces,
    /// What is damaged inside the data: where among the compressed bytes, and one line for each place.
    pub(super) places: Vec<(Range<u64>, String)>,
    pub(super) members_lost: u64,
    pub(super) verdict: Option<Verdict>,
}

/// What ends so is never empty: the least stream of each has some bytes.
const COMPRESSED_SUFFIXES: [&str; 3] = [".gz", ".zst", ".age"];

/// Reads the data of a backup and tells `checked` what is wrong with it.
///
/// # Errors
/// [`Kind::WrongKey`] if a key was given and opens nothing; the store's failures; never damage.
pub(super) fn check_data(
    store: &Arc<dyn Store>,
    chosen: &Chosen,
    metas: &[Option<ObjectMeta>],
    checked: &mut Checked,
    options: &VerifyOptions,
    run: &Run,
) -> Result<()> {
    if metas.iter().flatten().any(is_frozen) {
        checked.remark("Its data was not read.");
        checked.is_incomplete = true;
        return Ok(());
    }
    if let (None, Some(Some(meta))) = (&chosen.manifest, metas.first())
        && meta.bytes == 0
        && COMPRESSED_SUFFIXES
            .iter()
            .any(|suffix| meta.key.as_str().ends_with(suffix))
    {
        checked.damaged(
            Some(&meta.key),
            "It is empty, and by its name should hold what was compressed",
        );
        checked.reached = Reached::Data;
        return Ok(());
    }
    match read_with_keys(store, chosen, metas, checked, options, run) {
        // A header that was changed may look like one for another key, or of another version: the digests know.
        Err(failure) if matches!(failure.kind(), Kind::WrongKey | Kind::Unsupported) => {
            let before = checked.damage_count;
            read_without_keys(store, chosen, metas, checked, options, run)?;
            if checked.damage_count > before {
                checked.remark(format!("It could not be decrypted: {}.", failure.in_one_line()));
                return Ok(());
            }
            let failure = judge_key(store, chosen, failure, run);
            if failure.kind() == Kind::Damaged {
                checked.damaged(Some(&chosen.found.data_key), failure.message());
                return Ok(());
            }
            if failure.kind() != Kind::WrongKey || !run.keys.has_none() {
                return Err(failure);
            }
            checked.remark(
                "It is encrypted and no key was given: the stored bytes were compared with their digests, but not decrypted. Its members, its index and its content were not checked; --identity FILE does that.",
            );
            checked.is_incomplete |= options.level == Level::Deep;
            Ok(())
        }
        other => other,
    }
}

fn read_with_keys(
    store: &Arc<dyn Store>,
    chosen: &Chosen,
    metas: &[Option<ObjectMeta>],
    checked: &mut Checked,
    options: &VerifyOptions,
    run: &Run,
) -> Result<()> {
    let mut revealed = chosen.clone();
    match reveal(store, &mut revealed, run) {
        // That the index cannot be read is told when it is read.
        Err(failure) if matches!(failure.kind(), Kind::NotFound | Kind::Damaged) => {}
        other => other?,
    }
    let chosen = &revealed;
    let facts = match &chosen.manifest {
        Some(manifest) => read_facts(store, chosen, manifest, checked, run)?,
        None => IndexFacts::default(),
    };
    let job = Job::new(store, chosen, metas, facts.table.as_ref(), options, run)?;
    if let Some(sample) = &options.sample
        && super::sample::check(&job.sampled(facts.table.as_ref()), sample, checked)?
    {
        return Ok(());
    }
    let mut findings = job.read(facts.table.as_ref())?;
    let damaged = judge_objects(&job, &findings.read.objects, checked)?;
    if facts.table.is_some() && findings.members_lost > 0 && damaged == 0 {
        // The stored bytes are those that were written, so it may be the index that is wrong.
        let without_index = job.read(None)?;
        if without_index.members_lost == 0
            && let Some(index) = chosen.manifest.as_ref().and_then(Manifest::index_object)
        {
            checked.damaged(Some(&index.key), "The index names places at which there is no member");
            findings = without_index;
        }
    }
    judge_content(&job, &findings, checked);
    if let Some(verdict) = findings.verdict.take() {
        verdict.tell(checked);
    }
    checked.amount.plain_bytes += findings
        .read
        .streams
        .iter()
        .map(|stream| stream.plain_bytes)
        .sum::<u64>();
    checked.amount.members += findings.read.streams.iter().map(|stream| stream.members).sum::<u64>();
    checked.reached = checked.reached.max(Reached::Data);
    if findings.members_lost > 0 {
        let index_is_good = facts.table.is_some();
        checked.loss = Some(find_loss(store, chosen, &findings.lost, index_is_good, run)?);
    }
    Ok(())
}

/// Compares the stored bytes with their digests, which needs no key.
fn read_without_keys(
    store: &Arc<dyn Store>,
    chosen: &Chosen,
    metas: &[Option<ObjectMeta>],
    checked: &mut Checked,
    options: &VerifyOptions,
    run: &Run,
) -> Result<()> {
    let mut job = Job::new(store, chosen, metas, None, options, run)?;
    if let (Some(record), Some(Some(meta))) = (
        chosen.manifest.as_ref().and_then(Manifest::index_object),
        metas.get(job.wanted.len()),
    ) {
        job.wanted.push(wanted(record.key.clone(), record.bytes, meta.bytes));
    }
    if let Some(sample) = &options.sample {
        job.wanted
            .retain(|wanted| sample.takes_whole(&chosen.found.id, wanted.object.key.as_str()));
    }
    let read = job.reader()?.finish()?;
    judge_objects(&job, &read, checked)?;
    checked.reached = Reached::Stored;
    Ok(())
}

fn wanted(key: Key, bytes: u64, available_bytes: u64) -> WantedObject {
    WantedObject {
        object: StoredObject {
            key,
            bytes,
            sha256: None,
        },
        available_bytes,
        part_bytes: None,
    }
}

impl<'a> Job<'a> {
    fn new(
        store: &'a Arc<dyn Store>,
        chosen: &'a Chosen,
        metas: &[Option<ObjectMeta>],
        table: Option<&MemberTable>,
        options: &'a VerifyOptions,
        run: &'a Run,
    ) -> Result<Self> {
        let manifest = chosen.manifest.as_ref();
        let mut streams = match manifest {
            Some(manifest) => streams_of(manifest)?,
            None => streams_by_name(chosen),
        };
        if let ([only], Some(table)) = (streams.as_mut_slice(), table) {
            only.compressed_bytes = Some(table.stored_bytes);
        }
        let data = StoredData {
            what: format!("`{}`", chosen.found.data_key),
            streams,
            codec: manifest.map(|manifest| manifest.codec),
            is_encrypted: manifest.map(Manifest::is_encrypted),
            recipients: manifest.map(|manifest| manifest.recipients.clone()).unwrap_or_default(),
            keys: run.keys.clone(),
        };
        let meta_of = |key: &Key| metas.iter().flatten().find(|meta| meta.key == *key);
        let record_of = |key: &Key| {
            let objects = manifest.map(|manifest| manifest.objects.iter());
            objects.and_then(|mut objects| objects.find(|record| record.key == *key))
        };
        let wanted = data
            .objects()
            .into_iter()
            .map(|object| {
                let meta = meta_of(&object.key);
                let parts = record_of(&object.key).zip(meta);
                WantedObject {
                    available_bytes: meta.map_or(0, |meta| meta.bytes),
                    part_bytes: parts.and_then(|(record, meta)| part_bytes_of(record, meta)),
                    object,
                }
            })
            .collect();
        let etags = metas
            .iter()
            .flatten()
            .filter_map(|meta| Some((meta.key.clone(), meta.etag.clone()?)));
        Ok(Self {
            etags: etags.collect(),
            store,
            chosen,
            data,
            wanted,
            options,
            run,
        })
    }

    fn sampled<'b>(&'b self, table: Option<&'b MemberTable>) -> super::sample::Sampled<'b> {
        super::sample::Sampled {
            store: self.store,
            id: &self.chosen.found.id,
            data: &self.data,
            table,
            threads: self.options.threads,
            run: self.run,
        }
    }

    fn reader(&self) -> Result<WholeReader> {
        WholeReader::new(
            self.store.clone(),
            self.wanted.clone(),
            &DownloadOptions::default(),
            self.run.cancel.clone(),
            self.run.reporter.clone(),
        )
    }

    fn read(&self, table: Option<&MemberTable>) -> Result<Findings> {
        let found = match table {
            Some(table) => self.read_members(table),
            None => self.read_streams(),
        };
        found.map_err(|failure| self.run.interruption_or(failure))
    }

    /// Member by member, as the index names them.
    fn read_members(&self, table: &MemberTable) -> Result<Findings> {
        let mut findings = Findings::default();
        let mut plain = MembersPlain {
            checker: Checker::start(
                self.reader()?,
                self.data.clone(),
                Box::new(table.iter()),
                self.options.threads,
                &self.run.cancel,
            )?,
            consumed: 0,
            available: 0,
            findings: &mut findings,
        };
        let verdict = self.look_inside(&mut plain)?;
        plain.drain()?;
        let read = plain.checker.finish()?;
        findings.read = read;
        findings.verdict = verdict;
        Ok(findings)
    }

    /// As one stream, whoever made its members; what follows damage is not read, but for the objects' digests.
    fn read_streams(&self) -> Result<Findings> {
        let mut findings = Findings::default();
        match self.read_plaintext(&mut findings) {
            Ok(()) => Ok(findings),
            Err(failure) if failure.kind() == Kind::Damaged => {
                findings.members_lost += 1;
                findings.places.push((0..u64::MAX, failure.in_one_line()));
                findings.lost.add(None);
                findings.verdict = None;
                findings.read.objects = self.reader()?.finish()?;
                Ok(findings)
            }
            Err(failure) => Err(failure),
        }
    }

    fn read_plaintext(&self, findings: &mut Findings) -> Result<()> {
        let streams = StreamsReader::open(self.reader()?.without_gaps(), self.data.clone())?;
        let options = InflateOptions {
            codec: self.data.codec,
            segment_ends: segment_ends(&self.data.streams),
            threads: self.options.threads,
        };
        let mut members = MembersReader::open(streams, options, &self.run.cancel)?;
        findings.verdict = self.look_inside(&mut members)?;
        let (streams, plain) = members.finish()?;
        findings.read.objects = streams.into_inner()?.finish()?;
        // Members of a stream are not told apart; the first stands for all.
        findings.read.streams = plain
            .plain_sha256s
            .iter()
            .map(|sha256| ReadStream {
                plain_sha256: Some(*sha256),
                ..ReadStream::default()
            })
            .collect();
        if let Some(first) = findings.read.streams.first_mut() {
            first.members = plain.members;
            first.plain_bytes = plain.plain_bytes;
        }
        Ok(())
    }

    /// Has the content looked at, if that was asked for; what of it is not read then is left to the caller.
    fn look_inside(&self, plain: &mut dyn Read) -> Result<Option<Verdict>> {
        if self.options.level < Level::Deep {
            return Ok(None);
        }
        let mut head = Vec::new();
        let begun = plain.take(DETECT_BYTES as u64).read_to_end(&mut head);
        let looked = begun
            .map_err(|error| from_io("read the content", error))
            .and_then(|_| Content::of(&head, self.store, self.chosen, self.options, self.run).check(&head, plain));
        match looked {
            Ok(verdict) => Ok(Some(verdict)),
            Err(failure) if failure.kind() == Kind::Damaged => Ok(Some(Verdict::Faulty(failure.in_one_line()))),
            Err(failure) => Err(failure),
        }
    }
}

/// The plaintext of the members; it breaks off at the first that is damaged, and is drained to the end all the same.
struct MembersPlain<'a> {
    checker: Checker,
    consumed: usize,
    available: usize,
    findings: &'a mut Findings,
}

impl MembersPlain<'_> {
    /// Goes on to the next member; `false` at the end.
    fn advance(&mut self) -> Result<bool> {
        (self.consumed, self.available) = (0, 0);
        match self.checker.next_step()? {
            Step::Plain => {
                self.available = self.checker.plain().len();
                Ok(true)
            }
            Step::Lost(place, why) => {
                self.findings.lose(&place, why);
                Ok(true)
            }
            Step::End => Ok(false),
        }
    }

    fn drain(&mut self) -> Result<()> {
        while self.advance()? {}
        Ok(())
    }
}

impl Read for MembersPlain<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        if buffer.is_empty() {
            return Ok(0);
        }
        while self.consumed == self.available {
            if !self.advance().map_err(into_io)? {
                return Ok(0);
            }
            if self.findings.members_lost > 0 {
                return Err(into_io(Failure::new(Kind::Damaged, "A member of it is damaged")));
            }
        }
        let unread = self.checker.plain().get(self.consumed..).unwrap_or_default();
        let count = unread.len().min(buffer.len());
        buffer[..count].copy_from_slice(&unread[..count]);
        self.consumed += count;
        Ok(count)
    }
}

impl Findings {
    fn lose(&mut self, place: &MemberPlace, why: &str) {
        self.members_lost += 1;
        self.lost.add(place.plain.clone());
        if self.places.len() < super::DAMAGE_NAMED_MAX {
            let text = format!(
                "The member at bytes {} to {} of the data is damaged: {why}",
                place.stored.start, place.stored.end
            );
            self.places.push((place.stored.clone(), text));
        }
    }
}
