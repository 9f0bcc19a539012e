//! The streams of a backup on their way into the store: one for most sources, several at once for some.
//!
//! Each has an upload of its own, compressed and encrypted by itself, and a spool for its lines of the index. They become
//! visible only together, when the whole source has ended well.

use std::io::Write;
use std::sync::{Arc, Mutex, PoisonError};

use super::Run;
use super::backup::{BackupOptions, BackupPlan, sharing};
use super::commit::{object_record, put_options, roll_back};
use crate::base::failure::{Failure, Kind, Result, into_io};
use crate::catalog::index::{Entry, MemberRun};
use crate::catalog::index_file::IndexSpool;
use crate::catalog::layout::stream_key;
use crate::catalog::manifest::{ObjectRecord, StreamRecord};
use crate::pipeline::crypt::Sealer;
use crate::pipeline::deflate::{DeflateOptions, MembersReport, MembersWriter, threads_within_share};
use crate::pipeline::plan::{PlanInput, plan};
use crate::pipeline::upload::{PartsWriter, SealedParts};
use crate::source::{SourceSink, SourceSinks, StreamSink};
use crate::store::object_lock::ObjectLock;
use crate::store::{PutOptions, Role, Store};

/// The streams of one backup. Whatever has not been made visible when it is dropped is thrown away.
pub(super) struct Streams<'a> {
    store: &'a Arc<dyn Store>,
    planned: &'a BackupPlan,
    options: &'a BackupOptions,
    /// How many of them share the memory.
    at_once: usize,
    run: &'a Run,
    /// By their numbers: `None` while one is open.
    streams: Mutex<Vec<Option<Ended>>>,
}

/// A stream whose last byte has been sent.
struct Ended {
    number: u64,
    parts: SealedParts,
    members: MembersReport,
    index: IndexSpool,
}

/// All streams, of which nobody can see anything yet.
pub(super) struct EndedStreams {
    parts: Vec<SealedParts>,
    /// What is known of each stream.
    pub members: Vec<MembersReport>,
    /// The lines of all of them.
    pub index: IndexSpool,
}

impl<'a> Streams<'a> {
    pub(super) fn new(
        store: &'a Arc<dyn Store>,
        planned: &'a BackupPlan,
        options: &'a BackupOptions,
        at_once: usize,
        run: &'a Run,
    ) -> Self {
        Self {
            store,
            planned,
            options,
            at_once: at_once.max(1),
            run,
            streams: Mutex::default(),
        }
    }

    /// Joins what the streams hold. The source has ended well.
    ///
    /// # Errors
    /// If a stream was opened and not ended, or one is left out; if the index cannot be spooled.
    pub(super) fn end(self) -> Result<EndedStreams> {
        let streams = self.streams.into_inner().unwrap_or_else(PoisonError::into_inner);
        let streams: Option<Vec<Ended>> = streams.into_iter().collect();
        let mut streams = streams
            .filter(|streams| !streams.is_empty())
            .ok_or_else(|| Failure::new(Kind::Failed, "The source ended before its streams did, which is a bug"))?;
        streams.sort_by_key(|stream| stream.number);
        if streams.iter().zip(0..).any(|(stream, number)| stream.number != number) {
            return Err(Failure::new(
                Kind::Failed,
                "The source left a stream of the backup out, which is a bug",
            ));
        }
        let mut all = EndedStreams {
            parts: Vec::with_capacity(streams.len()),
            members: Vec::with_capacity(streams.len()),
            index: IndexSpool::create()?,
        };
        let (mut plain_bytes, mut stored_bytes) = (0, 0);
        for Ended {
            parts, members, index, ..
        } in streams
        {
            match all.parts.is_empty() {
                true => all.index = index,
                false => all.index.append(index, plain_bytes, stored_bytes)?,
            }
            plain_bytes += members.plain_bytes;
            stored_bytes += members.stored_bytes;
            all.parts.push(parts);
            all.members.push(members);
        }
        Ok(all)
    }
}

impl EndedStreams {
    /// Makes every stream visible, the first one last: without it the others are no backup to anybody.
    ///
    /// # Errors
    /// If any cannot be; then none is left, as far as the store lets them be removed.
    pub(super) fn finish(
        parts: Vec<SealedParts>,
        store: &dyn Store,
        lock: Option<ObjectLock>,
        run: &Run,
    ) -> Result<Vec<Vec<ObjectRecord>>> {
        let mut records: Vec<Vec<ObjectRecord>> = Vec::with_capacity(parts.len());
        for parts in parts.into_iter().rev() {
            match parts.finish() {
                Ok(objects) => records.push(objects.iter().map(|object| object_record(Role::Data, object)).collect()),
                Err(failure) => {
                    let objects: Vec<ObjectRecord> = records.into_iter().flatten().collect();
                    roll_back(store, &objects, lock, run);
                    return Err(failure);
                }
            }
        }
        records.reverse();
        Ok(records)
    }

    /// Takes the parts out, to be made visible.
    pub(super) fn take_parts(&mut self) -> Vec<SealedParts> {
        std::mem::take(&mut self.parts)
    }

    /// How many bytes of plaintext all streams have together.
    pub(super) fn plain_bytes(&self) -> u64 {
        self.members.iter().map(|members| members.plain_bytes).sum()
    }

    /// How many members all streams have together.
    pub(super) fn member_count(&self) -> u64 {
        self.members.iter().map(|members| members.members).sum()
    }

    /// The manifest's record of each stream; none if there is only one. How many objects each has is not known yet.
    pub(super) fn records(&self) -> Vec<StreamRecord> {
        if self.members.len() < 2 {
            return Vec::new();
        }
        let record = |members: &MembersReport| StreamRecord {
            objects: 0,
            extension: None,
            plain_bytes: members.plain_bytes,
            plain_sha256: Some(hex::encode(members.plain_sha256)),
            compressed_bytes: members.stored_bytes,
            members: members.members,
        };
        self.members.iter().map(record).collect()
    }
}

impl SourceSinks for Streams<'_> {
    fn open(&self, number: u64, expected_bytes: Option<u64>) -> Result<Box<dyn StreamSink + '_>> {
        let place = {
            let mut streams = self.streams.lock().unwrap_or_else(PoisonError::into_inner);
            streams.push(None);
            streams.len() - 1
        };
        let plan = match (self.at_once, expected_bytes) {
            (1, _) => self.planned.parts.clone(),
            (at_once, expected_bytes) => plan(&PlanInput {
                limits: self.store.limits(),
                expected_stored_bytes: self.options.expected_bytes.or(expected_bytes),
                part_bytes: self.options.transfer.part_bytes,
                in_flight: self.options.transfer.parts_in_flight,
                memory_bytes: self.options.transfer.memory_bytes / at_once as u64,
            })
            .map_err(|failure| sharing(failure, at_once))?,
        };
        let parts = PartsWriter::new(
            self.store.clone(),
            stream_key(&self.planned.data_key, number + 1)?,
            PutOptions {
                lock: self.planned.lock,
                ..put_options(Role::Data, &self.options.name)
            },
            plan,
            self.run.cancel.clone(),
            self.run.reporter.clone(),
        );
        let index = Arc::new(Mutex::new(IndexSpool::create()?));
        let deflate = DeflateOptions {
            codec: self.options.codec,
            level: self.options.level,
            threads: threads_within_share(
                self.options.codec,
                self.options.level,
                self.options.transfer.threads,
                self.at_once,
            ),
        };
        let members_index = index.clone();
        let members = MembersWriter::new(
            Sealer::new(parts, self.options.recipients.as_ref())?,
            Box::new(move |members: MemberRun| {
                members_index
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner)
                    .members(&members)
            }),
            &deflate,
            &self.run.cancel,
        )?;
        Ok(Box::new(Sink {
            members,
            index,
            number,
            place,
            streams: self,
        }))
    }
}

/// One stream. Dropping it without `finish` throws its upload away.
struct Sink<'a> {
    members: MembersWriter<Sealer<PartsWriter>>,
    index: Arc<Mutex<IndexSpool>>,
    number: u64,
    place: usize,
    streams: &'a Streams<'a>,
}

impl Write for Sink<'_> {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.streams.run.cancel.check().map_err(into_io)?;
        let written = self.members.write(bytes)?;
        self.streams.run.reporter.progress().add_plain(written as u64);
        Ok(written)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.members.flush()
    }
}

impl SourceSink for Sink<'_> {
    fn position(&self) -> u64 {
        self.members.position()
    }

    fn cut(&mut self) -> Result<()> {
        self.members.cut()
    }

    fn write_together(&mut self, bytes_max: usize, fill: &mut dyn FnMut(&mut Vec<u8>) -> bool) -> Result<()> {
        self.streams.run.cancel.check()?;
        let before = self.members.position();
        self.members.write_together(bytes_max, fill)?;
        let written = self.members.position() - before;
        self.streams.run.reporter.progress().add_plain(written);
        Ok(())
    }

    fn entry(&mut self, entry: &Entry) -> Result<()> {
        self.index.lock().unwrap_or_else(PoisonError::into_inner).entry(entry)
    }
}

impl StreamSink for Sink<'_> {
    fn finish(self: Box<Self>) -> Result<()> {
        let Self {
            members,
            index,
            number,
            place,
            streams,
        } = *self;
        let (sealer, members) = members.finish()?;
        let parts = sealer.finish()?.seal()?;
        let index = std::mem::replace(
            &mut *index.lock().unwrap_or_else(PoisonError::into_inner),
            IndexSpool::create()?,
        );
        let ended = Ended {
            number,
            parts,
            members,
            index,
        };
        let mut all = streams.streams.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(own) = all.get_mut(place) {
            *own = Some(ended);
        }
        Ok(())
    }
}
