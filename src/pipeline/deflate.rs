//! Makes members out of a stream, on every core, in order.
//!
//! The caller fills blocks of plaintext; worker threads turn each into a proven member; one thread takes the plaintext's
//! digest and one writes the members, in the order of the blocks, into the sink.

use std::io::{self, Write};
use std::sync::Arc;
use std::thread::JoinHandle;

use crossbeam_channel::{Receiver, Sender, bounded};
use sha2::{Digest, Sha256};

use super::codec::{Maker, STORED_BYTES_MAX};
use super::member::LEVEL_DEFAULT;
pub use super::member::MEMBER_PLAIN_BYTES_MAX;
use super::stop::Stop;
use crate::base::cancel::{Cancel, CancelGuard};
use crate::base::failure::{Failure, Kind, Result, from_io, into_io};
use crate::catalog::codec::Codec;
use crate::catalog::index::{MemberRun, MemberSize};

/// What all members in flight may hold in memory together, in bytes. With the 64 MiB of the parts it keeps a backup under
/// 128 MiB on a machine of any number of cores.
const MEMORY_BYTES_MAX: usize = 48 * 1024 * 1024;

/// What one thread holds: a block of plaintext, its member, the inflated copy.
const THREAD_BUFFERS_BYTES: usize = 3 * 1024 * 1024;

/// Blocks beyond one for each thread: the one being filled, and one ready for whoever is done first.
const BLOCKS_EXTRA: usize = 2;

/// What belongs together is kept in one member up to this length, in bytes: members end early by no more than this, and what
/// is longer spans two.
const TOGETHER_BYTES_MAX: usize = 256 * 1024;

/// How many members are reported in one run: some tens of lines of index for each gigabyte.
const RUN_MEMBERS_MAX: usize = 256;

/// How members are made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeflateOptions {
    /// How members are made.
    pub codec: Codec,
    /// One of the codec's levels.
    pub level: u32,
    /// How many threads compress at most; fewer if their memory would exceed its bound. At least 1.
    pub threads: usize,
}

impl Default for DeflateOptions {
    fn default() -> Self {
        Self {
            codec: Codec::Gzip,
            level: Codec::Gzip.level_default(),
            threads: super::default_threads(),
        }
    }
}

/// What a whole stream of members was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MembersReport {
    /// Plaintext bytes.
    pub plain_bytes: u64,
    /// The plaintext's SHA-256.
    pub plain_sha256: [u8; 32],
    /// Bytes written to the sink.
    pub stored_bytes: u64,
    /// Members written to the sink; at least one.
    pub members: u64,
}

/// Takes each run of members as it reaches the sink.
pub type OnRun = Box<dyn FnMut(MemberRun) -> Result<()> + Send>;

/// A writer that passes members on to a sink.
///
/// [`Write::flush`] does nothing: members are cut where they are full or where [`MembersWriter::cut`] says.
/// If it is dropped before [`MembersWriter::finish`], its threads end, nothing more is written, and the sink is dropped.
/// A failure of the sink, of the codec or of the run callback comes out of the next call, as itself.
pub struct MembersWriter<W: Write + Send + 'static> {
    filling: Option<Vec<u8>>,
    position: u64,
    dispatched: u64,
    free: Receiver<Vec<u8>>,
    home: Sender<Vec<u8>>,
    outlets: Option<Outlets>,
    stop: Arc<Stop>,
    threads: Option<Threads<W>>,
    _guard: CancelGuard,
}

/// Where a full block goes; dropping them is the end of the stream.
struct Outlets {
    digest: Sender<Arc<PlainBlock>>,
    order: Sender<Receiver<Result<StoredMember>>>,
    jobs: Sender<Job>,
}

struct Threads<W> {
    workers: Vec<JoinHandle<()>>,
    digester: JoinHandle<[u8; 32]>,
    collector: JoinHandle<Option<(W, Collected)>>,
}

/// A block of plaintext that goes back to the pool when its last user is done.
struct PlainBlock {
    bytes: Vec<u8>,
    home: Sender<Vec<u8>>,
}

impl Drop for PlainBlock {
    fn drop(&mut self) {
        let mut bytes = std::mem::take(&mut self.bytes);
        bytes.clear();
        // The pool has room for every block there is; if it is gone, the writer is too.
        let _ = self.home.try_send(bytes);
    }
}

struct Job {
    block: Arc<PlainBlock>,
    reply: Sender<Result<StoredMember>>,
}

struct StoredMember {
    buffer: Vec<u8>,
    size: MemberSize,
    crc32: Option<u32>,
}

#[derive(Clone, Copy)]
struct Collected {
    plain_bytes: u64,
    stored_bytes: u64,
    members: u64,
}

/// What one thread holds in memory: its buffers and the codec's own tables, which grow with the level.
pub(super) fn thread_bytes(codec: Codec, level: u32) -> usize {
    const KIB: usize = 1024;
    let tables = match (codec, level) {
        (Codec::None, _) => 0,
        // Two of them, of which each member takes one.
        (Codec::Gzip, LEVEL_DEFAULT) => 2 * 768 * KIB,
        (Codec::Gzip, ..10) => 768 * KIB,
        // Near-optimal parsing.
        (Codec::Gzip, _) => 9 * 1024 * KIB,
        (Codec::Zstd, ..5) => 3 * 1024 * KIB,
        (Codec::Zstd, ..9) => 9 * 1024 * KIB,
        // Binary trees and optimal parsing.
        (Codec::Zstd, _) => 21 * 1024 * KIB,
    };
    THREAD_BUFFERS_BYTES + tables
}

/// How many of the wanted threads each of several streams may have that are made at the same time: together they stay
/// within the memory of one, and each has at least one.
#[must_use]
pub fn threads_within_share(codec: Codec, level: u32, threads: usize, streams: usize) -> usize {
    let all = MEMORY_BYTES_MAX / thread_bytes(codec, level);
    threads.clamp(1, (all / streams.max(1)).max(1))
}

/// How many threads fit into the memory bound.
fn threads_within_memory(options: &DeflateOptions) -> usize {
    let each = thread_bytes(options.codec, options.level);
    options.threads.clamp(1, MEMORY_BYTES_MAX / each)
}

impl<W: Write + Send + 'static> MembersWriter<W> {
    /// Starts the threads that turn what is written into members in `sink`; `on_run` hears of them in order.
    ///
    /// # Errors
    /// [`Kind::Usage`] for a level that does not exist; if a thread cannot be started.
    pub fn new(sink: W, on_run: OnRun, options: &DeflateOptions, cancel: &Cancel) -> Result<Self> {
        cancel.check()?;
        let thread_count = threads_within_memory(options);
        let block_count = thread_count + BLOCKS_EXTRA;
        let makers = (0..thread_count)
            .map(|_| Maker::new(options.codec, options.level))
            .collect::<Result<Vec<_>>>()?;
        let stop = Stop::new();
        let guard = stop.watch(cancel);

        let (home, free) = bounded(block_count);
        for _ in 0..block_count {
            // A block takes memory only once it is filled for the first time.
            let _ = home.try_send(Vec::new());
        }
        let (digest, digest_blocks) = bounded(block_count);
        let (order, replies) = bounded(block_count);
        let (jobs, work) = bounded::<Job>(block_count);
        let (spare_home, spare) = bounded(block_count + thread_count);

        let mut workers = Vec::with_capacity(thread_count);
        for maker in makers {
            let (work, spare) = (work.clone(), spare.clone());
            workers.push(stop.spawn("deflate", move |stop| compress_blocks(stop, maker, &work, &spare))?);
        }
        let digester = stop.spawn("plain-digest", move |stop| digest_blocks_in_order(stop, &digest_blocks))?;
        let collector = stop.spawn("members", move |stop| {
            let mut collector = Collector::new(sink, on_run, spare_home);
            match collector.run(stop, &replies) {
                Ok(()) if !stop.is_stopped() => Some((collector.sink, collector.collected)),
                Ok(()) => None,
                Err(failure) => {
                    stop.fail(failure);
                    None
                }
            }
        })?;
        Ok(Self {
            filling: None,
            position: 0,
            dispatched: 0,
            free,
            home,
            outlets: Some(Outlets { digest, order, jobs }),
            stop,
            threads: Some(Threads {
                workers,
                digester,
                collector,
            }),
            _guard: guard,
        })
    }

    /// How many plaintext bytes have been written so far.
    #[must_use]
    pub fn position(&self) -> u64 {
        self.position
    }

    /// Ends the member at this position, so that the next byte begins another; does nothing if it does already.
    ///
    /// # Errors
    /// A failure of the sink, the codec, the run callback, or a cancellation.
    pub fn cut(&mut self) -> Result<()> {
        self.stop.check()?;
        match self.filling.take() {
            Some(block) if !block.is_empty() => self.dispatch(block),
            other => {
                self.filling = other;
                Ok(())
            }
        }
    }

    /// Writes what `fill` appends to the vector that it is given, `bytes_max` at most, for which there is room; nothing if it
    /// says no. Where they do not all fit into the member begun, they stand in the next one if they are short enough, and
    /// else span both.
    ///
    /// A file that spans no two members is fetched alone with one of them, and compresses better: what it repeats of itself is
    /// in its own window. What is read straight into the member's block need not be copied there.
    ///
    /// # Errors
    /// As [`MembersWriter::cut`].
    pub fn write_together(&mut self, bytes_max: usize, fill: &mut dyn FnMut(&mut Vec<u8>) -> bool) -> Result<()> {
        let filled = self.filling.as_ref().map_or(0, Vec::len);
        if filled + bytes_max > MEMBER_PLAIN_BYTES_MAX {
            if bytes_max > TOGETHER_BYTES_MAX {
                let mut bytes = Vec::with_capacity(bytes_max);
                return match fill(&mut bytes) {
                    true => self.write_all(&bytes).map_err(|error| from_io("compress", error)),
                    false => Ok(()),
                };
            }
            self.cut()?;
        }
        self.stop.check()?;
        let mut block = self.block()?;
        let begin = block.len();
        if !fill(&mut block) {
            block.truncate(begin);
        }
        let written = block.len().saturating_sub(begin);
        if written > bytes_max {
            return Err(Failure::new(
                Kind::Failed,
                "More was read than there was room for, which is a bug",
            ));
        }
        self.keep(block)?;
        self.position += written as u64;
        Ok(())
    }

    /// Writes what is left, waits until the sink has everything, and gives it back, neither flushed nor finished.
    ///
    /// A stream of nothing becomes one empty member, which every gunzip accepts.
    ///
    /// # Errors
    /// As [`MembersWriter::cut`]; the sink is dropped then.
    pub fn finish(mut self) -> Result<(W, MembersReport)> {
        self.cut()?;
        if self.dispatched == 0 {
            self.dispatch(Vec::new())?;
        }
        self.outlets = None;
        let ended = self.threads.take().map(Threads::join);
        self.stop.check()?;
        match ended {
            Some(Some((sink, collected, plain_sha256))) if collected.plain_bytes == self.position => Ok((
                sink,
                MembersReport {
                    plain_bytes: collected.plain_bytes,
                    plain_sha256,
                    stored_bytes: collected.stored_bytes,
                    members: collected.members,
                },
            )),
            _ => Err(Failure::new(
                Kind::Failed,
                "The members that were made do not add up to the plaintext, which is a bug",
            )),
        }
    }

    fn dispatch(&mut self, bytes: Vec<u8>) -> Result<()> {
        let block = Arc::new(PlainBlock {
            bytes,
            home: self.home.clone(),
        });
        let (reply, answer) = bounded(1);
        let sent = self.outlets.as_ref().is_some_and(|outlets| {
            self.stop.send(&outlets.digest, block.clone())
                && self.stop.send(&outlets.order, answer)
                && self.stop.send(&outlets.jobs, Job { block, reply })
        });
        if sent {
            self.dispatched += 1;
            Ok(())
        } else {
            Err(self.stop.failure())
        }
    }

    fn write_some(&mut self, bytes: &[u8]) -> Result<usize> {
        self.stop.check()?;
        let mut block = self.block()?;
        let count = bytes.len().min(MEMBER_PLAIN_BYTES_MAX - block.len());
        block.extend_from_slice(&bytes[..count]);
        self.keep(block)?;
        self.position += count as u64;
        Ok(count)
    }

    /// The block that is being filled, or the next one.
    fn block(&mut self) -> Result<Vec<u8>> {
        if let Some(block) = self.filling.take() {
            return Ok(block);
        }
        let mut block = self.stop.receive(&self.free).ok_or_else(|| self.stop.failure())?;
        block.reserve_exact(MEMBER_PLAIN_BYTES_MAX);
        Ok(block)
    }

    /// Keeps the block that is being filled; once it is full it becomes a member.
    fn keep(&mut self, block: Vec<u8>) -> Result<()> {
        if block.len() == MEMBER_PLAIN_BYTES_MAX {
            return self.dispatch(block);
        }
        self.filling = Some(block);
        Ok(())
    }
}

impl<W: Write + Send + 'static> Write for MembersWriter<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if bytes.is_empty() {
            return Ok(0);
        }
        self.write_some(bytes).map_err(into_io)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.stop.check().map_err(into_io)
    }
}

impl<W: Write + Send + 'static> Drop for MembersWriter<W> {
    fn drop(&mut self) {
        if let Some(threads) = self.threads.take() {
            // First the end, then the outlets: an ordinary end of the stream must never be seen.
            self.stop.end();
            self.outlets = None;
            threads.join();
        }
    }
}

impl<W> Threads<W> {
    /// Waits for all threads; `None` if any of them did not come to a good end.
    fn join(self) -> Option<(W, Collected, [u8; 32])> {
        let mut whole = true;
        for worker in self.workers {
            whole &= worker.join().is_ok();
        }
        let sha256 = self.digester.join().ok();
        let collected = self.collector.join().ok().flatten();
        let (sink, collected) = collected?;
        whole.then_some((sink, collected, sha256?))
    }
}

fn compress_blocks(stop: &Stop, mut maker: Maker, work: &Receiver<Job>, spare: &Receiver<Vec<u8>>) {
    while let Some(Job { block, reply }) = stop.receive(work) {
        let mut buffer = spare.try_recv().unwrap_or_else(|_| vec![0; STORED_BYTES_MAX]);
        let made = maker.make(&block.bytes, &mut buffer).map(|made| StoredMember {
            size: MemberSize {
                plain: block.bytes.len() as u32,
                stored: made.stored_bytes as u32,
            },
            crc32: made.crc32,
            buffer,
        });
        drop(block);
        // Nobody waits for the answer if the group has ended.
        let _ = reply.send(made);
    }
}

fn digest_blocks_in_order(stop: &Stop, blocks: &Receiver<Arc<PlainBlock>>) -> [u8; 32] {
    let mut sha256 = Sha256::new();
    while let Some(block) = stop.receive(blocks) {
        sha256.update(&block.bytes);
    }
    sha256.finalize().into()
}

struct Collector<W> {
    sink: W,
    on_run: OnRun,
    spare_home: Sender<Vec<u8>>,
    collected: Collected,
    run: Vec<MemberSize>,
    /// Either one for each member of the run, or none at all.
    run_crc32s: Vec<u32>,
    run_plain_offset: u64,
    run_stored_offset: u64,
}

impl<W: Write> Collector<W> {
    fn new(sink: W, on_run: OnRun, spare_home: Sender<Vec<u8>>) -> Self {
        Self {
            sink,
            on_run,
            spare_home,
            collected: Collected {
                plain_bytes: 0,
                stored_bytes: 0,
                members: 0,
            },
            run: Vec::with_capacity(RUN_MEMBERS_MAX),
            run_crc32s: Vec::new(),
            run_plain_offset: 0,
            run_stored_offset: 0,
        }
    }

    fn run(&mut self, stop: &Stop, replies: &Receiver<Receiver<Result<StoredMember>>>) -> Result<()> {
        while let Some(reply) = stop.receive(replies) {
            // No answer: the group has ended, and whoever ended it said why; or a worker's panic is about to end it.
            let Some(member) = stop.receive(&reply) else {
                return Err(Failure::new(Kind::Failed, "A compressing thread ended early"));
            };
            self.take(member?)?;
        }
        if stop.is_stopped() { Ok(()) } else { self.report_run() }
    }

    fn take(&mut self, member: StoredMember) -> Result<()> {
        let StoredMember { buffer, size, crc32 } = member;
        self.sink
            .write_all(&buffer[..size.stored as usize])
            .map_err(|error| from_io("write the compressed stream", error))?;
        // The pool has room for all of them.
        let _ = self.spare_home.try_send(buffer);
        self.collected.plain_bytes += u64::from(size.plain);
        self.collected.stored_bytes += u64::from(size.stored);
        self.collected.members += 1;
        self.run.push(size);
        self.run_crc32s.extend(crc32);
        if self.run.len() == RUN_MEMBERS_MAX {
            self.report_run()?;
        }
        Ok(())
    }

    fn report_run(&mut self) -> Result<()> {
        if self.run.is_empty() {
            return Ok(());
        }
        let run = MemberRun {
            plain_offset: self.run_plain_offset,
            stored_offset: self.run_stored_offset,
            members: std::mem::replace(&mut self.run, Vec::with_capacity(RUN_MEMBERS_MAX)),
            crc32s: std::mem::take(&mut self.run_crc32s),
        };
        self.run_plain_offset = self.collected.plain_bytes;
        self.run_stored_offset = self.collected.stored_bytes;
        (self.on_run)(run)
    }
}

#[cfg(test)]
mod tests;
