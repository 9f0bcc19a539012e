//! Reads pieces of a backup's plaintext by fetching only the members that hold them.

use std::io::{self, Read};
use std::ops::Range;
use std::sync::Arc;

use crossbeam_channel::{Receiver, Sender, bounded};

use super::download::DownloadOptions;
use super::fetch::{Fetcher, Source};
use super::stop::Stop;
use super::stored::StoredData;
use super::streams::Compressed;
use super::workers::{Answer, Inflated, Inflaters};
use crate::base::cancel::{Cancel, CancelGuard};
use crate::base::failure::{Failure, Kind, Result, into_io};
use crate::base::report::Reporter;
use crate::catalog::codec::Codec;
use crate::catalog::index::MemberRun;
use crate::store::Store;

mod wanted;
use wanted::{Fetch, Member, fetches_for, members_for, tidy};

/// A reader of the wanted ranges of the plaintext, one after the other and nothing between them.
///
/// An end of file means that every byte of every range was there, in members that the index describes rightly.
pub struct RangesReader {
    wanted: std::vec::IntoIter<Range<u64>>,
    /// What is still wanted of the range being read.
    range: Range<u64>,
    current: Option<(Member, Inflated)>,
    ended: bool,
    items: Receiver<Item>,
    inflaters: Inflaters,
    source: Arc<Source>,
    stop: Arc<Stop>,
    _guard: CancelGuard,
}

enum Item {
    Member(Member, Receiver<Answer>),
    Failed(Failure),
    /// Said explicitly, so that a thread that dies is never taken for the end.
    End,
}

impl RangesReader {
    /// A reader of `wanted` in the given order. `runs` are the index's.
    ///
    /// # Errors
    /// [`Kind::WrongKey`] if the data is encrypted and no key opens it; [`Kind::Damaged`] if the index does not say where a wanted byte is, or contradicts itself or the objects' lengths;
    /// if a thread cannot be started.
    #[allow(clippy::too_many_arguments)]
    pub fn new(
        store: Arc<dyn Store>,
        data: &StoredData,
        runs: &[MemberRun],
        wanted: Vec<Range<u64>>,
        options: &DownloadOptions,
        threads: usize,
        cancel: Cancel,
        reporter: Arc<dyn Reporter>,
    ) -> Result<Self> {
        cancel.check()?;
        let source = Arc::new(Source::new(store, data.objects(), reporter));
        let stop = Stop::new();
        let guard = stop.watch(&cancel);
        let codec = data.codec.unwrap_or_default();
        let compressed = Compressed::open(source.clone(), data, &stop)?;
        let wanted = tidy(wanted);
        let members = members_for(codec, runs, &wanted, compressed.bytes())?;
        let fetches = fetches_for(&members, options.block_bytes);
        for fetch in &fetches {
            compressed.unlock(&fetch.range, &stop)?;
        }

        let inflaters = Inflaters::start(&stop, threads)?;
        let (order, items) = bounded(inflaters.in_flight_max());
        let feeder = Feeder {
            codec,
            compressed: Arc::new(compressed),
            inflaters: inflaters.clone(),
            order,
            members,
        };
        let options = options.clone();
        stop.spawn("ranges", move |stop| feeder.run(stop, fetches, &options, &cancel))?;
        Ok(Self {
            wanted: wanted.into_iter(),
            range: 0..0,
            current: None,
            ended: false,
            items,
            inflaters,
            source,
            stop,
            _guard: guard,
        })
    }

    /// How many stored bytes have been fetched so far.
    #[must_use]
    pub fn transferred_bytes(&self) -> u64 {
        self.source.transferred_bytes()
    }

    fn read_some(&mut self, buffer: &mut [u8]) -> Result<usize> {
        loop {
            if self.range.is_empty() {
                match self.wanted.next() {
                    Some(range) => self.range = range,
                    None => return self.expect_end(),
                }
            }
            if let Some((member, inflated)) = &self.current
                && let Some(unread) = member.slice(inflated.plain(), &self.range)
            {
                let count = unread.len().min(buffer.len());
                buffer[..count].copy_from_slice(&unread[..count]);
                self.range.start += count as u64;
                return Ok(count);
            }
            if let Some((_, done)) = self.current.take() {
                self.inflaters.recycle(done);
            }
            let member = self.next_member()?;
            if member.is_none() {
                return Err(self.failed(Failure::new(
                    Kind::Failed,
                    "The members ended before the wanted ranges, which is a bug",
                )));
            }
            self.current = member;
        }
    }

    fn expect_end(&mut self) -> Result<usize> {
        if !self.ended && self.next_member()?.is_some() {
            return Err(self.failed(Failure::new(
                Kind::Failed,
                "More members were fetched than wanted, which is a bug",
            )));
        }
        Ok(0)
    }

    fn next_member(&mut self) -> Result<Option<(Member, Inflated)>> {
        match self.stop.receive(&self.items) {
            Some(Item::Member(member, answer)) => match self.stop.receive(&answer) {
                Some(Ok(inflated)) => Ok(Some((member, inflated))),
                Some(Err(reason)) => Err(self.failed(
                    Failure::new(
                        Kind::Damaged,
                        format!(
                            "The data at byte {} is not the member that the index says",
                            member.stored_offset
                        ),
                    )
                    .caused_by(anyhow::anyhow!("Of that member, {reason}"))
                    .hint(
                        "Restore without a selection, which needs no index; if that fails too, choose an older backup",
                    ),
                )),
                None => Err(self.stop.failure()),
            },
            Some(Item::Failed(failure)) => Err(self.failed(failure)),
            Some(Item::End) => {
                self.ended = true;
                Ok(None)
            }
            None => Err(self.stop.failure()),
        }
    }

    fn failed(&self, failure: Failure) -> Failure {
        self.stop.fail(failure);
        self.stop.failure()
    }
}

impl Read for RangesReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if buffer.is_empty() {
            return Ok(0);
        }
        self.read_some(buffer).map_err(into_io)
    }
}

impl Drop for RangesReader {
    fn drop(&mut self) {
        self.stop.end();
    }
}

/// Fetches the members and hands them to the inflaters, in order.
struct Feeder {
    codec: Codec,
    compressed: Arc<Compressed>,
    inflaters: Inflaters,
    order: Sender<Item>,
    members: Vec<Member>,
}

impl Feeder {
    fn run(self, stop: &Stop, fetches: Vec<Fetch>, options: &DownloadOptions, cancel: &Cancel) {
        let last = match self.feed(stop, fetches, options, cancel) {
            Ok(true) => Item::End,
            // The group has ended, and somebody else says why.
            Ok(false) => return,
            Err(failure) => Item::Failed(failure),
        };
        stop.send(&self.order, last);
    }

    fn feed(&self, stop: &Stop, fetches: Vec<Fetch>, options: &DownloadOptions, cancel: &Cancel) -> Result<bool> {
        let ranges: Vec<Range<u64>> = fetches.iter().map(|fetch| fetch.range.clone()).collect();
        let mut fetcher = Fetcher::new(self.compressed.clone(), Box::new(ranges.into_iter()), options, cancel);
        for fetch in fetches {
            let Some(block) = fetcher.next_block()? else {
                return Ok(false);
            };
            for member in &self.members[fetch.members.clone()] {
                let begin = usize::try_from(member.stored_offset - fetch.range.start).unwrap_or(usize::MAX);
                let end = begin.saturating_add(member.stored_bytes as usize);
                let Some(bytes) = block.get(begin..end) else {
                    return Ok(false);
                };
                let Some(plain) = self.inflaters.plain_buffer(stop) else {
                    return Ok(false);
                };
                let mut stored = self.inflaters.stored_buffer();
                stored.extend_from_slice(bytes);
                let submitted = self
                    .inflaters
                    .submit(stop, self.codec, stored, plain, member.expected());
                let Some(answer) = submitted else {
                    return Ok(false);
                };
                if !stop.send(&self.order, Item::Member(*member, answer)) {
                    return Ok(false);
                }
            }
            fetcher.recycle(block);
        }
        Ok(true)
    }
}

#[cfg(test)]
mod tests;
