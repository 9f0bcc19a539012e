//! Reads a backup's data once, all of it, and goes on where something is damaged: every member is judged by itself.
//!
//! One thread reads and decrypts and cuts the compressed bytes into members, by the index;
//! worker threads inflate; one brings the answers in order and takes the plaintext's digests; one takes MD5s.

use std::io::Read;
use std::ops::Range;
use std::sync::Arc;

use crossbeam_channel::{Receiver, Sender, bounded};
use sha2::{Digest, Sha256};

use super::codec::Expected;
use super::stop::Stop;
use super::stored::StoredData;
use super::workers::{Answer, Inflated, Inflaters};
use crate::base::cancel::{Cancel, CancelGuard};
use crate::base::failure::{Failure, Result};
use crate::catalog::codec::Codec;
use crate::catalog::index::MemberSize;

mod compressed;
mod whole;

use compressed::{CompressedReader, read_failure};
pub use whole::{ReadObject, WantedObject, WholeReader};

/// A member as the index knows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IndexedMember {
    /// How long it is.
    pub size: MemberSize,
    /// CRC-32 of its plaintext, where it holds no checksum itself.
    pub crc32: Option<u32>,
}

/// All members in order and without gaps, as the index names them; each stream ends with one of them.
pub type Members = Box<dyn Iterator<Item = Result<IndexedMember>> + Send>;

/// Where a member is: offsets count over all streams.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MemberPlace {
    /// The number of its stream, from 0.
    pub stream: usize,
    /// Where it lies in the compressed bytes.
    pub stored: Range<u64>,
    /// Where its plaintext lies; where that is unknown, because something before it is damaged, `None`.
    pub plain: Option<Range<u64>>,
}

/// What comes next.
pub enum Step {
    /// A member; [`Checker::place`] and [`Checker::plain`] are its own until the next step.
    Plain,
    /// Something that is damaged, and why, as the end of a sentence.
    Lost(MemberPlace, &'static str),
    /// Nothing more.
    End,
}

/// What a stream was.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ReadStream {
    /// Its members that are whole.
    pub members: u64,
    /// Their plaintext bytes.
    pub plain_bytes: u64,
    /// SHA-256 of its plaintext, if nothing of it is lost.
    pub plain_sha256: Option<[u8; 32]>,
}

/// All that was read.
#[derive(Clone, Debug, Default)]
pub struct ReadData {
    /// The objects, in order.
    pub objects: Vec<ReadObject>,
    /// The streams, in order.
    pub streams: Vec<ReadStream>,
}

/// A reader of all members, damaged ones included.
pub struct Checker {
    current: Option<(MemberPlace, Inflated)>,
    ready: Receiver<Ready>,
    ended: Option<ReadData>,
    inflaters: Inflaters,
    stop: Arc<Stop>,
    _guard: CancelGuard,
}

enum Item {
    Member(MemberPlace, Receiver<Answer>),
    Lost(MemberPlace, &'static str),
    EndStream,
    Failed(Failure),
    /// Said explicitly, so that a thread that dies is never taken for the end.
    End(Vec<ReadObject>),
}

enum Ready {
    Plain(MemberPlace, Inflated),
    Lost(MemberPlace, &'static str),
    Failed(Failure),
    End(ReadData),
}

impl Checker {
    /// Begins to read.
    ///
    /// # Errors
    /// If a thread cannot be started.
    pub fn start(
        stored: WholeReader,
        data: StoredData,
        members: Members,
        threads: usize,
        cancel: &Cancel,
    ) -> Result<Self> {
        cancel.check()?;
        let stop = Stop::new();
        let guard = stop.watch(cancel);
        let inflaters = Inflaters::start(&stop, threads)?;
        let (order, items) = bounded(inflaters.in_flight_max());
        let (ready_sender, ready) = bounded(1);
        let codec = data.codec.unwrap_or_default();
        let feeder = Feeder {
            ends: stream_ends(&data),
            input: CompressedReader::new(stored, data),
            outlet: Outlet {
                codec,
                inflaters: inflaters.clone(),
                order,
                stop: stop.clone(),
                at: At::default(),
            },
        };
        stop.spawn("members", move |_| feeder.run(members))?;
        let home = inflaters.clone();
        stop.spawn("plain-digest", move |stop| {
            bring_in_order(stop, &home, &items, &ready_sender)
        })?;
        Ok(Self {
            current: None,
            ready,
            ended: None,
            inflaters,
            stop,
            _guard: guard,
        })
    }

    /// Goes on to what comes next.
    ///
    /// # Errors
    /// [`Kind::WrongKey`](crate::base::failure::Kind::WrongKey); the store's failures; never damage.
    pub fn next_step(&mut self) -> Result<Step> {
        if let Some((_, done)) = self.current.take() {
            self.inflaters.recycle(done);
        }
        if self.ended.is_some() {
            return Ok(Step::End);
        }
        match self.stop.receive(&self.ready) {
            Some(Ready::Plain(place, inflated)) => {
                self.current = Some((place, inflated));
                Ok(Step::Plain)
            }
            Some(Ready::Lost(place, why)) => Ok(Step::Lost(place, why)),
            Some(Ready::End(read)) => {
                self.ended = Some(read);
                Ok(Step::End)
            }
            Some(Ready::Failed(failure)) => {
                self.stop.fail(failure);
                Err(self.stop.failure())
            }
            None => Err(self.stop.failure()),
        }
    }

    /// The current member's plaintext.
    #[must_use]
    pub fn plain(&self) -> &[u8] {
        self.current.as_ref().map_or(&[], |(_, inflated)| inflated.plain())
    }

    /// Reads what is left, and says what all of it was.
    ///
    /// # Errors
    /// As [`Checker::next_step`].
    pub fn finish(mut self) -> Result<ReadData> {
        while !matches!(self.next_step()?, Step::End) {}
        self.ended.take().ok_or_else(|| self.stop.failure())
    }
}

impl Drop for Checker {
    fn drop(&mut self) {
        self.stop.end();
    }
}

/// Where each stream ends among the compressed bytes, as far as that is known.
fn stream_ends(data: &StoredData) -> Vec<u64> {
    let mut end = 0u64;
    let bytes = |stream: &super::stored::StoredStream| match data.is_encrypted {
        Some(true) => stream.compressed_bytes.unwrap_or(u64::MAX),
        _ => stream.stored_bytes(),
    };
    let ends = data.streams.iter().map(|stream| {
        end = end.saturating_add(bytes(stream));
        end
    });
    ends.collect()
}

fn bring_in_order(stop: &Stop, inflaters: &Inflaters, items: &Receiver<Item>, ready: &Sender<Ready>) {
    let mut streams = Vec::new();
    let mut stream = ReadStream::default();
    let mut sha256 = Sha256::new();
    let mut is_whole = true;
    while let Some(item) = stop.receive(items) {
        let next = match item {
            Item::Member(place, answer) => match stop.receive(&answer) {
                Some(Ok(inflated)) => {
                    sha256.update(inflated.plain());
                    stream.members += 1;
                    stream.plain_bytes += inflated.bytes as u64;
                    Ready::Plain(place, inflated)
                }
                Some(Err(why)) => {
                    is_whole = false;
                    // Its plaintext's memory is gone with it; the right to hold one more member is not.
                    inflaters.recycle(Inflated {
                        buffer: Vec::new(),
                        bytes: 0,
                    });
                    Ready::Lost(place, why)
                }
                None => return,
            },
            Item::Lost(place, why) => {
                is_whole = false;
                Ready::Lost(place, why)
            }
            Item::EndStream => {
                let digest: [u8; 32] = sha256.finalize_reset().into();
                stream.plain_sha256 = is_whole.then_some(digest);
                streams.push(std::mem::take(&mut stream));
                is_whole = true;
                continue;
            }
            Item::Failed(failure) => Ready::Failed(failure),
            Item::End(objects) => Ready::End(ReadData {
                objects,
                streams: std::mem::take(&mut streams),
            }),
        };
        if !stop.send(ready, next) {
            return;
        }
    }
}

/// Why the feeder stops early: a failure, or the end of the group, of which somebody else says why.
type Early = Option<Failure>;

/// How far the members have come.
#[derive(Clone, Copy, Default)]
struct At {
    stream: usize,
    stored: u64,
    /// Where the next member's plaintext begins, where members are known beforehand.
    plain: Option<u64>,
}

/// Cuts the compressed bytes into members and has them inflated.
struct Feeder {
    input: CompressedReader,
    /// Where each stream ends among the compressed bytes.
    ends: Vec<u64>,
    outlet: Outlet,
}

/// Where members go.
struct Outlet {
    codec: Codec,
    inflaters: Inflaters,
    order: Sender<Item>,
    stop: Arc<Stop>,
    at: At,
}

impl Feeder {
    fn run(mut self, members: Members) {
        let last = match self.feed(members) {
            Ok(()) => match self.input.into_stored().finish() {
                Ok(objects) => Item::End(objects),
                Err(failure) => Item::Failed(failure),
            },
            Err(Some(failure)) => Item::Failed(failure),
            Err(None) => return,
        };
        self.outlet.stop.send(&self.outlet.order, last);
    }

    fn feed(&mut self, members: Members) -> Result<(), Early> {
        let mut members = members.peekable();
        let outlet = &mut self.outlet;
        outlet.at.plain = Some(0);
        while let Some(stream) = self.input.next_stream().map_err(Some)? {
            outlet.at.stream = stream;
            let end = self.ends.get(stream).copied().unwrap_or(u64::MAX);
            while let Some(member) = members.next_if(|member| match member {
                Ok(member) => outlet.at.stored < end || member.size.stored == 0,
                Err(_) => true,
            }) {
                let member = member.map_err(Some)?;
                // The plaintext buffer first: having one is the right to hold a member in memory.
                let plain = outlet.inflaters.plain_buffer(&outlet.stop).ok_or(None)?;
                let mut stored = outlet.inflaters.stored_buffer();
                (&mut self.input)
                    .take(u64::from(member.size.stored))
                    .read_to_end(&mut stored)
                    .map_err(|error| Some(read_failure(error)))?;
                let place = outlet.step(u64::from(member.size.stored), Some(u64::from(member.size.plain)));
                let expected = Expected {
                    plain_bytes: Some(member.size.plain),
                    crc32: member.crc32,
                };
                outlet.submit(place, stored, plain, expected)?;
            }
            let left = self.input.skip_rest().map_err(Some)?;
            if left > 0 {
                let place = outlet.step(left, None);
                outlet.pass_on(Item::Lost(place, "the index does not name it"))?;
            }
            outlet.pass_on(Item::EndStream)?;
        }
        Ok(())
    }
}

impl Outlet {
    /// The place of what comes next, and goes on behind it.
    fn step(&mut self, stored_bytes: u64, plain_bytes: Option<u64>) -> MemberPlace {
        let stored = self.at.stored..self.at.stored.saturating_add(stored_bytes);
        let plain = match (self.at.plain, plain_bytes) {
            (Some(begin), Some(bytes)) => Some(begin..begin.saturating_add(bytes)),
            _ => None,
        };
        self.at.stored = stored.end;
        if let Some(plain) = &plain {
            self.at.plain = Some(plain.end);
        }
        MemberPlace {
            stream: self.at.stream,
            stored,
            plain,
        }
    }

    fn submit(&self, place: MemberPlace, stored: Vec<u8>, plain: Vec<u8>, expected: Expected) -> Result<(), Early> {
        let answer = self
            .inflaters
            .submit(&self.stop, self.codec, stored, plain, expected)
            .ok_or(None)?;
        self.pass_on(Item::Member(place, answer))
    }

    fn pass_on(&self, item: Item) -> Result<(), Early> {
        match self.stop.send(&self.order, item) {
            true => Ok(()),
            false => Err(None),
        }
    }
}
