//! Reads a stream of members, whoever made them, as plaintext.
//!
//! One thread reads the input and hops from member to member; ours are inflated by worker threads, all others by that
//! thread itself, as a stream; one thread brings them in order and takes the plaintext's digest. An end of file means that
//! every member was whole and right.

use std::io::{self, BufRead, Read};
use std::sync::Arc;
use std::thread::JoinHandle;

use crossbeam_channel::{Receiver, Sender, bounded};

use super::codec::Expected;
use super::codec::frame::{
    FRAME_HEAD_BYTES, FRAME_STORED_BYTES_MAX, FRAME_STORED_BYTES_MIN, Head, is_bare_prefix, parse_head,
};
use super::member::{Header, MEMBER_HEADER_BYTES, MEMBER_STORED_BYTES_MAX, MEMBER_STORED_BYTES_MIN, parse_header};
use super::stop::Stop;
use super::workers::{Answer, Inflated, Inflaters};
use crate::base::cancel::{Cancel, CancelGuard};
use crate::base::failure::{Failure, Kind, Result, from_io, into_io};
use crate::catalog::codec::Codec;
use crate::catalog::index::MemberSize;

mod input;
mod segments;
use input::Input;
use segments::Segments;

/// How a stream is read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct InflateOptions {
    /// How it is stored; `None` if its first bytes are to tell. What is neither gzip nor zstd is passed through then.
    pub codec: Option<Codec>,
    /// Where in the plaintext a segment ends that has a digest of its own, in order; what follows the last is one more.
    pub segment_ends: Vec<u64>,
    /// How many threads inflate.
    pub threads: usize,
}

/// A piece of the stream as it passes, in order.
pub enum Seen<'a> {
    /// A whole member of ours.
    Member(MemberSize),
    /// A piece of what is not compressed.
    Piece(&'a [u8]),
    /// A piece out of a member of somebody else's.
    Foreign,
}

/// Is shown each piece of the stream, once it has proved right. Its failure is the reader's.
pub type OnSeen = Box<dyn FnMut(Seen<'_>) -> Result<()> + Send>;

/// What a whole stream was.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlainReport {
    /// Plaintext bytes.
    pub plain_bytes: u64,
    /// SHA-256 of each segment of the plaintext: of all of it, if no segments were asked for.
    pub plain_sha256s: Vec<[u8; 32]>,
    /// How the stream was stored.
    pub codec: Codec,
    /// How many members there were, ours and others; none if nothing was compressed.
    pub members: u64,
}

/// A reader of the plaintext of a stream of members.
///
/// Zeros after the last gzip member are padding, as tapes and some tools leave it; anything else there is an error. If the
/// reader is dropped early, its threads end as soon as the input's current read returns.
pub struct MembersReader<R: Read + Send + 'static> {
    current: Option<Inflated>,
    consumed: usize,
    plain_bytes: u64,
    ended: Option<Ended>,
    ready: Receiver<Ready>,
    inflaters: Inflaters,
    stop: Arc<Stop>,
    feeder: Option<JoinHandle<R>>,
    _guard: CancelGuard,
}

#[derive(Clone)]
struct Ended {
    codec: Codec,
    members: u64,
    sha256s: Vec<[u8; 32]>,
}

/// What the feeder passes on, in order.
enum Item {
    /// A member of ours that began at this byte of the input.
    Member {
        codec: Codec,
        offset: u64,
        stored_bytes: usize,
        answer: Receiver<Answer>,
    },
    /// Plaintext that the feeder made itself, out of a member of somebody else's.
    Foreign(Inflated),
    /// Plaintext that was never compressed.
    Piece(Inflated),
    Failed(Failure),
    /// Said explicitly, so that a thread that dies is never taken for the end of the stream.
    End {
        codec: Codec,
        members: u64,
    },
}

/// What reaches the caller.
enum Ready {
    Plain(Inflated),
    Failed(Failure),
    End(Ended),
}

/// Why the feeder stops early: a failure, or the end of the group, of which somebody else says why.
type Early = Option<Failure>;

impl<R: Read + Send + 'static> MembersReader<R> {
    /// A reader of what its first bytes tell it to be; input that is not compressed, or empty, is passed through.
    ///
    /// # Errors
    /// If a thread cannot be started.
    pub fn new(input: R, threads: usize, cancel: &Cancel) -> Result<Self> {
        let options = InflateOptions {
            threads,
            ..InflateOptions::default()
        };
        Self::open(input, options, cancel)
    }

    /// A reader to which input that is not as the options say is damaged.
    ///
    /// # Errors
    /// If a thread cannot be started.
    pub fn open(input: R, options: InflateOptions, cancel: &Cancel) -> Result<Self> {
        Self::open_showing(input, options, Box::new(|_| Ok(())), cancel)
    }

    /// The same, which shows what passes.
    ///
    /// # Errors
    /// If a thread cannot be started.
    pub fn open_showing(input: R, options: InflateOptions, on_seen: OnSeen, cancel: &Cancel) -> Result<Self> {
        let InflateOptions {
            codec,
            segment_ends,
            threads,
        } = options;
        cancel.check()?;
        let stop = Stop::new();
        let guard = stop.watch(cancel);
        let inflaters = Inflaters::start(&stop, threads)?;
        let (order, items) = bounded(inflaters.in_flight_max());
        let (ready_sender, ready) = bounded(1);
        let feeder = Feeder {
            input: Input::new(input),
            inflaters: inflaters.clone(),
            stop: stop.clone(),
            order,
            codec,
            members: 0,
        };
        let feeder = stop.spawn("members", move |_| feeder.run())?;
        stop.spawn("plain-digest", move |stop| {
            bring_in_order(stop, Segments::new(segment_ends), on_seen, &items, &ready_sender);
        })?;
        Ok(Self {
            current: None,
            consumed: 0,
            plain_bytes: 0,
            ended: None,
            ready,
            inflaters,
            stop,
            feeder: Some(feeder),
            _guard: guard,
        })
    }

    /// How many plaintext bytes have been read so far.
    #[must_use]
    pub fn plain_bytes(&self) -> u64 {
        self.plain_bytes
    }

    /// Reads what is left, proves it, and gives the input back, which is at its end.
    ///
    /// # Errors
    /// [`Kind::Damaged`] if the stream is cut or damaged anywhere; a failure of the input, as itself.
    pub fn finish(mut self) -> Result<(R, PlainReport)> {
        loop {
            let count = self.unread()?.len();
            if count == 0 {
                break;
            }
            self.skip(count);
        }
        let input = self.feeder.take().and_then(|feeder| feeder.join().ok());
        match (input, self.ended.take()) {
            (Some(input), Some(ended)) => Ok((
                input,
                PlainReport {
                    plain_bytes: self.plain_bytes,
                    plain_sha256s: ended.sha256s,
                    codec: ended.codec,
                    members: ended.members,
                },
            )),
            _ => Err(self.stop.failure()),
        }
    }

    /// The plaintext that is at hand; empty only at the end.
    fn unread(&mut self) -> Result<&[u8]> {
        while self
            .current
            .as_ref()
            .is_none_or(|current| self.consumed == current.bytes)
        {
            if let Some(done) = self.current.take() {
                self.inflaters.recycle(done);
            }
            self.consumed = 0;
            if self.ended.is_some() {
                return Ok(&[]);
            }
            match self.stop.receive(&self.ready) {
                Some(Ready::Plain(inflated)) => self.current = Some(inflated),
                Some(Ready::End(ended)) => self.ended = Some(ended),
                Some(Ready::Failed(failure)) => {
                    self.stop.fail(failure);
                    return Err(self.stop.failure());
                }
                None => return Err(self.stop.failure()),
            }
        }
        Ok(self
            .current
            .as_ref()
            .map_or(&[], |current| &current.plain()[self.consumed..]))
    }

    fn skip(&mut self, count: usize) {
        self.consumed += count;
        self.plain_bytes += count as u64;
    }
}

impl<R: Read + Send + 'static> Read for MembersReader<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if buffer.is_empty() {
            return Ok(0);
        }
        let unread = self.unread().map_err(into_io)?;
        let count = unread.len().min(buffer.len());
        buffer[..count].copy_from_slice(&unread[..count]);
        self.skip(count);
        Ok(count)
    }
}

impl<R: Read + Send + 'static> BufRead for MembersReader<R> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        self.unread().map_err(into_io)
    }

    fn consume(&mut self, count: usize) {
        self.skip(count);
    }
}

impl<R: Read + Send + 'static> Drop for MembersReader<R> {
    fn drop(&mut self) {
        // Not joined: the input may be waiting for a network that never answers.
        self.stop.end();
    }
}

fn bring_in_order(
    stop: &Stop,
    mut segments: Segments,
    mut on_seen: OnSeen,
    items: &Receiver<Item>,
    ready: &Sender<Ready>,
) {
    while let Some(item) = stop.receive(items) {
        let (next, shown) = match item {
            Item::Member {
                codec,
                offset,
                stored_bytes,
                answer,
            } => match stop.receive(&answer) {
                Some(Ok(inflated)) => {
                    // A member of ours is far shorter than these numbers can say.
                    let size = MemberSize {
                        plain: inflated.bytes as u32,
                        stored: stored_bytes as u32,
                    };
                    let shown = on_seen(Seen::Member(size));
                    (Ready::Plain(inflated), shown)
                }
                Some(Err(reason)) => (Ready::Failed(damaged_member(codec, offset, reason)), Ok(())),
                None => return,
            },
            Item::Foreign(inflated) => (Ready::Plain(inflated), on_seen(Seen::Foreign)),
            Item::Piece(inflated) => {
                let shown = on_seen(Seen::Piece(inflated.plain()));
                (Ready::Plain(inflated), shown)
            }
            Item::Failed(failure) => (Ready::Failed(failure), Ok(())),
            Item::End { codec, members } => {
                let ended = Ended {
                    codec,
                    members,
                    sha256s: segments.finish(),
                };
                (Ready::End(ended), Ok(()))
            }
        };
        if let Ready::Plain(inflated) = &next {
            segments.update(inflated.plain());
        }
        let next = match shown {
            Ok(()) => next,
            Err(failure) => Ready::Failed(failure),
        };
        if !stop.send(ready, next) {
            return;
        }
    }
}

fn damaged_member(codec: Codec, offset: u64, reason: &str) -> Failure {
    Failure::new(
        Kind::Damaged,
        format!("The {codec} member at byte {offset} is damaged: {reason}"),
    )
}

struct Feeder<R> {
    input: Input<R>,
    inflaters: Inflaters,
    stop: Arc<Stop>,
    order: Sender<Item>,
    codec: Option<Codec>,
    members: u64,
}

impl<R: Read> Feeder<R> {
    fn run(mut self) -> R {
        let last = match self.feed() {
            Ok(codec) => Some(Item::End {
                codec,
                members: self.members,
            }),
            Err(early) => early.map(Item::Failed),
        };
        if let Some(last) = last {
            self.stop.send(&self.order, last);
        }
        self.input.into_inner()
    }

    fn feed(&mut self) -> Result<Codec, Early> {
        let head = self.input.peek(FRAME_HEAD_BYTES)?;
        let codec = self.codec.unwrap_or_else(|| match parse_head(head) {
            _ if parse_header(head) != Header::Other => Codec::Gzip,
            Head::Other => Codec::None,
            Head::Ours { .. } | Head::Foreign => Codec::Zstd,
        });
        match codec {
            Codec::Gzip => self.feed_gzip()?,
            Codec::Zstd => self.feed_zstd()?,
            Codec::None => self.feed_plain()?,
        }
        Ok(codec)
    }

    fn feed_gzip(&mut self) -> Result<(), Early> {
        loop {
            let offset = self.input.offset();
            let head = self.input.peek(MEMBER_HEADER_BYTES)?;
            let (first, length) = (head.first().copied(), head.len() as u64);
            match parse_header(head) {
                Header::Ours { stored_bytes } => self.feed_member(Codec::Gzip, offset, stored_bytes as usize)?,
                Header::Foreign => self.feed_foreign(Codec::Gzip, offset)?,
                Header::Other => {
                    return match first {
                        None if self.members > 0 => Ok(()),
                        Some(0) if self.members > 0 => self.skip_padding(),
                        // The first byte of a member, and no second one.
                        Some(0x1f) if self.members > 0 && length == 1 => {
                            Err(Some(cut_short(Codec::Gzip, offset + 1, offset)))
                        }
                        Some(_) if self.members > 0 => Err(garbage(Codec::Gzip, offset)),
                        _ => Err(of_another_kind(Codec::Gzip, first.is_none())),
                    };
                }
            }
            self.members += 1;
        }
    }

    fn feed_zstd(&mut self) -> Result<(), Early> {
        /// The beginnings of frames, of which fewer bytes than these tell nothing.
        const MAGIC_BYTES: u64 = 4;
        loop {
            let offset = self.input.offset();
            let head = self.input.peek(FRAME_HEAD_BYTES)?;
            let length = head.len() as u64;
            match parse_head(head) {
                Head::Foreign if is_bare_prefix(head) => {
                    return Err(Some(cut_short(Codec::Zstd, offset + length, offset)));
                }
                Head::Ours { stored_bytes } => self.feed_member(Codec::Zstd, offset, stored_bytes as usize)?,
                Head::Foreign => self.feed_foreign(Codec::Zstd, offset)?,
                Head::Other => {
                    return match length {
                        0 if self.members > 0 => Ok(()),
                        1..MAGIC_BYTES if self.members > 0 => {
                            Err(Some(cut_short(Codec::Zstd, offset + length, offset)))
                        }
                        _ if self.members > 0 => Err(garbage(Codec::Zstd, offset)),
                        _ => Err(of_another_kind(Codec::Zstd, length == 0)),
                    };
                }
            }
            self.members += 1;
        }
    }

    fn feed_member(&mut self, codec: Codec, offset: u64, stored_bytes: usize) -> Result<(), Early> {
        let possible = match codec {
            Codec::Zstd => FRAME_STORED_BYTES_MIN..=FRAME_STORED_BYTES_MAX,
            Codec::Gzip | Codec::None => MEMBER_STORED_BYTES_MIN..=MEMBER_STORED_BYTES_MAX,
        };
        if !possible.contains(&stored_bytes) {
            return Err(Some(damaged_member(codec, offset, "its header lies about its length")));
        }
        // The plaintext buffer first: having one is the right to hold a member in memory.
        let plain = self.inflaters.plain_buffer(&self.stop).ok_or(None)?;
        let mut stored = self.inflaters.stored_buffer();
        self.input.read_into(&mut stored, stored_bytes)?;
        if stored.len() < stored_bytes {
            return Err(Some(cut_short(codec, self.input.offset(), offset)));
        }
        let answer = self
            .inflaters
            .submit(&self.stop, codec, stored, plain, Expected::default())
            .ok_or(None)?;
        self.pass_on(Item::Member {
            codec,
            offset,
            stored_bytes,
            answer,
        })
    }

    /// Streams one member of somebody else's, of any length.
    fn feed_foreign(&mut self, codec: Codec, offset: u64) -> Result<(), Early> {
        let mut inflater: Box<dyn Read + '_> = match codec {
            // A frame that wants a larger window than zstd itself takes by default is refused.
            Codec::Zstd => match zstd::stream::read::Decoder::with_buffer(&mut self.input) {
                Ok(decoder) => Box::new(decoder.single_frame()),
                Err(error) => return Err(Some(from_io("start to decompress", error))),
            },
            Codec::Gzip | Codec::None => Box::new(flate2::bufread::GzDecoder::new(&mut self.input)),
        };
        loop {
            let buffer = self.inflaters.plain_buffer(&self.stop).ok_or(None)?;
            let mut inflated = Inflated { buffer, bytes: 0 };
            let outcome = fill(&mut inflater, &mut inflated);
            let ended = inflated.bytes < inflated.buffer.len();
            if inflated.bytes == 0 {
                self.inflaters.recycle(inflated);
            } else if !self.stop.send(&self.order, Item::Foreign(inflated)) {
                return Err(None);
            }
            match outcome {
                Ok(()) if ended => return Ok(()),
                Ok(()) => {}
                Err(error) => {
                    drop(inflater);
                    return Err(Some(self.explain_foreign(codec, offset, error)));
                }
            }
        }
    }

    fn explain_foreign(&self, codec: Codec, offset: u64, error: io::Error) -> Failure {
        if self.input.has_failed() {
            from_io("read the stored stream", error)
        } else if error.kind() == io::ErrorKind::UnexpectedEof {
            cut_short(codec, self.input.offset(), offset)
        } else {
            damaged_member(codec, offset, &error.to_string())
        }
    }

    fn feed_plain(&mut self) -> Result<(), Early> {
        loop {
            let buffer = self.inflaters.plain_buffer(&self.stop).ok_or(None)?;
            let mut inflated = Inflated { buffer, bytes: 0 };
            fill(&mut self.input, &mut inflated).map_err(|error| from_io("read the stored stream", error))?;
            if inflated.bytes == 0 {
                self.inflaters.recycle(inflated);
                return Ok(());
            }
            self.pass_on(Item::Piece(inflated))?;
        }
    }

    fn skip_padding(&mut self) -> Result<(), Early> {
        loop {
            let offset = self.input.offset();
            let buffered = self
                .input
                .fill_buf()
                .map_err(|error| from_io("read the stored stream", error))?;
            let count = buffered.len();
            if count == 0 {
                return Ok(());
            }
            if let Some(at) = buffered.iter().position(|byte| *byte != 0) {
                return Err(garbage(Codec::Gzip, offset + at as u64));
            }
            self.input.consume(count);
            self.stop.check().map_err(Some)?;
        }
    }

    fn pass_on(&self, item: Item) -> Result<(), Early> {
        if self.stop.send(&self.order, item) {
            Ok(())
        } else {
            Err(None)
        }
    }
}

/// Reads until the buffer is full or the input ends; what was read before a failure is kept.
fn fill(input: &mut impl Read, inflated: &mut Inflated) -> io::Result<()> {
    while inflated.bytes < inflated.buffer.len() {
        match input.read(&mut inflated.buffer[inflated.bytes..]) {
            Ok(0) => break,
            Ok(count) => inflated.bytes += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

fn cut_short(codec: Codec, end: u64, member: u64) -> Failure {
    Failure::new(
        Kind::Damaged,
        format!("The stream ends at byte {end}, inside the {codec} member that begins at byte {member}"),
    )
}

fn garbage(codec: Codec, offset: u64) -> Early {
    Some(Failure::new(
        Kind::Damaged,
        format!("After the {codec} data something else follows, at byte {offset}"),
    ))
}

fn of_another_kind(codec: Codec, is_empty: bool) -> Early {
    let what = match is_empty {
        true => format!("The stream is empty; not even an empty {codec} file is"),
        false => format!("The stream is not {codec}: its first bytes are wrong"),
    };
    Some(Failure::new(Kind::Damaged, what))
}

#[cfg(test)]
mod tests;
