//! Reads a backup's data once, all of it, and goes on where something is damaged: every member is judged by itself.
//!
//! One thread reads and decrypts and cuts the compressed bytes into members, by the index or by the members' own headers;
//! worker threads inflate; one brings the answers in order and takes the plaintext's digests; one takes MD5s.

use std::io::{self, BufRead};
use std::ops::Range;
use std::sync::Arc;

use crossbeam_channel::{Receiver, Sender, bounded};
use sha2::{Digest, Sha256};

use super::codec::Expected;
use super::codec::frame::{FRAME_HEAD_BYTES, FRAME_STORED_BYTES_MAX, FRAME_STORED_BYTES_MIN, Head, parse_head};
use super::inflate::Input;
use super::member::{
    Header, MEMBER_HEADER_BYTES, MEMBER_STORED_BYTES_MAX, MEMBER_STORED_BYTES_MIN, MemberReader, parse_header,
};
use super::stop::Stop;
use super::stored::StoredData;
use super::workers::{Answer, Inflated, Inflaters};
use crate::base::cancel::{Cancel, CancelGuard};
use crate::base::failure::{Failure, Kind, Result};
use crate::catalog::codec::Codec;
use crate::catalog::index::MemberSize;

mod compressed;
mod whole;

use compressed::{CompressedReader, read_failure};
pub use whole::{ReadObject, WantedObject, WholeReader};

/// How far a search for the next member looks at once, in bytes.
const SEARCH_BYTES: usize = 64 * 1024;

/// A member as the index knows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IndexedMember {
    /// How long it is.
    pub size: MemberSize,
    /// CRC-32 of its plaintext, where it holds no checksum itself.
    pub crc32: Option<u32>,
}

/// From where it is known where members begin.
pub enum Members {
    /// The index names all of them, in order and without gaps; each stream ends with one of them.
    Indexed(Box<dyn Iterator<Item = Result<IndexedMember>> + Send>),
    /// Each begins with its length.
    Hopped,
}

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
pub enum Piece<'a> {
    /// A member and its plaintext.
    Plain(&'a MemberPlace, &'a [u8]),
    /// Something that is damaged, and why, as the end of a sentence.
    Lost(&'a MemberPlace, &'static str),
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
    lost: Option<(MemberPlace, &'static str)>,
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
        let feeder = Feeder {
            codec: data.codec.unwrap_or_default(),
            ends: stream_ends(&data),
            input: CompressedReader::new(stored, data),
            inflaters: inflaters.clone(),
            order,
            stop: stop.clone(),
            at: At::default(),
        };
        stop.spawn("members", move |_| feeder.run(members))?;
        stop.spawn("plain-digest", move |stop| bring_in_order(stop, &items, &ready_sender))?;
        Ok(Self {
            current: None,
            lost: None,
            ready,
            ended: None,
            inflaters,
            stop,
            _guard: guard,
        })
    }

    /// What comes next; `None` at the end.
    ///
    /// # Errors
    /// [`Kind::WrongKey`]; the store's failures; never damage.
    pub fn next_piece(&mut self) -> Result<Option<Piece<'_>>> {
        if let Some((_, done)) = self.current.take() {
            self.inflaters.recycle(done);
        }
        if self.ended.is_some() {
            return Ok(None);
        }
        match self.stop.receive(&self.ready) {
            Some(Ready::Plain(place, inflated)) => {
                let (place, inflated) = self.current.insert((place, inflated));
                Ok(Some(Piece::Plain(place, inflated.plain())))
            }
            Some(Ready::Lost(place, why)) => {
                let (place, why) = self.lost.insert((place, why));
                Ok(Some(Piece::Lost(place, why)))
            }
            Some(Ready::End(read)) => {
                self.ended = Some(read);
                Ok(None)
            }
            Some(Ready::Failed(failure)) => {
                self.stop.fail(failure);
                Err(self.stop.failure())
            }
            None => Err(self.stop.failure()),
        }
    }

    /// Reads what is left, and says what all of it was.
    ///
    /// # Errors
    /// As [`Checker::next_piece`].
    pub fn finish(mut self) -> Result<ReadData> {
        while self.next_piece()?.is_some() {}
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

fn bring_in_order(stop: &Stop, items: &Receiver<Item>, ready: &Sender<Ready>) {
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
    /// `None` after something whose length in plaintext is unknown.
    plain: Option<u64>,
}

struct Feeder {
    codec: Codec,
    ends: Vec<u64>,
    input: CompressedReader,
    inflaters: Inflaters,
    order: Sender<Item>,
    stop: Arc<Stop>,
    at: At,
}

impl Feeder {
    fn run(mut self, members: Members) {
        self.at.plain = Some(0);
        let fed = match members {
            Members::Indexed(members) => self.feed_indexed(members),
            Members::Hopped => self.feed_hopped(),
        };
        let last = match fed {
            Ok(()) => match self.input.into_stored().finish() {
                Ok(objects) => Item::End(objects),
                Err(failure) => Item::Failed(failure),
            },
            Err(Some(failure)) => Item::Failed(failure),
            Err(None) => return,
        };
        self.stop.send(&self.order, last);
    }

    fn feed_indexed(
        &mut self,
        mut members: Box<dyn Iterator<Item = Result<IndexedMember>> + Send>,
    ) -> Result<(), Early> {
        while let Some(stream) = self.input.next_stream().map_err(Some)? {
            self.at.stream = stream;
            let end = self.ends.get(stream).copied().unwrap_or(u64::MAX);
            let mut began = false;
            while self.at.stored < end || !began {
                let Some(member) = members.next() else { break };
                began = true;
                let member = member.map_err(Some)?;
                let plain = self.inflaters.plain_buffer(&self.stop).ok_or(None)?;
                let mut stored = self.inflaters.stored_buffer();
                io::Read::take(&mut self.input, u64::from(member.size.stored))
                    .read_to_end_into(&mut stored)
                    .map_err(|error| Some(read_failure(error)))?;
                let place = self.step(u64::from(member.size.stored), Some(u64::from(member.size.plain)));
                let expected = Expected {
                    plain_bytes: Some(member.size.plain),
                    crc32: member.crc32,
                };
                self.submit(place, stored, plain, expected)?;
            }
            self.pass_on(Item::EndStream)?;
        }
        Ok(())
    }

    fn feed_hopped(&mut self) -> Result<(), Early> {
        let mut checker = MemberReader::new();
        let _ = &mut checker;
        while let Some(stream) = self.input.next_stream().map_err(Some)? {
            self.at.stream = stream;
            self.hop_stream()?;
            self.pass_on(Item::EndStream)?;
        }
        Ok(())
    }
}
