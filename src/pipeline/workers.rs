//! The threads that inflate members, for every reader of members.

use std::sync::Arc;

use crossbeam_channel::{Receiver, Sender, bounded};

use super::codec::{Expected, Reader, STORED_BYTES_MAX};
use super::member::MEMBER_PLAIN_BYTES_MAX;
use super::stop::Stop;
use crate::base::failure::Result;
use crate::catalog::codec::Codec;

/// How many threads inflate at most: eight of them outrun any network and any disk, and hold some 20 MiB.
const THREADS_MAX: usize = 8;

/// Members beyond one for each thread: one being read by the caller, one on the way to it, one ready for whoever is done.
const MEMBERS_EXTRA: usize = 3;

/// Some plaintext: the first `bytes` of the buffer.
pub(super) struct Inflated {
    pub(super) buffer: Vec<u8>,
    pub(super) bytes: usize,
}

impl Inflated {
    pub(super) fn plain(&self) -> &[u8] {
        &self.buffer[..self.bytes]
    }
}

/// What becomes of a member: its plaintext, or what is wrong with it.
pub(super) type Answer = std::result::Result<Inflated, &'static str>;

struct Job {
    codec: Codec,
    stored: Vec<u8>,
    plain: Vec<u8>,
    expected: Expected,
    reply: Sender<Answer>,
}

/// Threads that inflate members, and the pool of buffers that bounds how many are in memory.
///
/// Whoever submits takes a plaintext buffer first, in the order of the members, so that the member that is waited for
/// always has one.
#[derive(Clone)]
pub(super) struct Inflaters {
    jobs: Sender<Job>,
    spare_stored: Receiver<Vec<u8>>,
    free: Receiver<Vec<u8>>,
    home: Sender<Vec<u8>>,
    in_flight_max: usize,
}

impl Inflaters {
    /// Starts the threads; they end with the group, or when the last clone of this is gone.
    pub(super) fn start(stop: &Arc<Stop>, threads: usize) -> Result<Self> {
        let thread_count = threads.clamp(1, THREADS_MAX);
        let buffer_count = thread_count + MEMBERS_EXTRA;
        let (jobs, work) = bounded::<Job>(buffer_count);
        let (stored_home, spare_stored) = bounded(buffer_count);
        let (home, free) = bounded(buffer_count);
        for _ in 0..buffer_count {
            // A buffer takes memory only when it is used for the first time.
            let _ = home.try_send(Vec::new());
        }
        for _ in 0..thread_count {
            let (work, stored_home) = (work.clone(), stored_home.clone());
            stop.spawn("inflate", move |stop| inflate_members(stop, &work, &stored_home))?;
        }
        Ok(Self {
            jobs,
            spare_stored,
            free,
            home,
            in_flight_max: buffer_count,
        })
    }

    /// How many members may be in memory at once.
    pub(super) fn in_flight_max(&self) -> usize {
        self.in_flight_max
    }

    /// An empty buffer for a stored member.
    pub(super) fn stored_buffer(&self) -> Vec<u8> {
        self.spare_stored
            .try_recv()
            .unwrap_or_else(|_| Vec::with_capacity(STORED_BYTES_MAX))
    }

    /// A buffer for a member's plaintext, once one is free; `None` if the group has ended.
    pub(super) fn plain_buffer(&self, stop: &Stop) -> Option<Vec<u8>> {
        let mut buffer = stop.receive(&self.free)?;
        if buffer.len() < MEMBER_PLAIN_BYTES_MAX {
            buffer = vec![0; MEMBER_PLAIN_BYTES_MAX];
        }
        Some(buffer)
    }

    /// Gives plaintext's memory back.
    pub(super) fn recycle(&self, inflated: Inflated) {
        // The pool has room for every buffer there is.
        let _ = self.home.try_send(inflated.buffer);
    }

    /// Has a member inflated, and compared with what is expected of it; `None` if the group has ended.
    pub(super) fn submit(
        &self,
        stop: &Stop,
        codec: Codec,
        stored: Vec<u8>,
        plain: Vec<u8>,
        expected: Expected,
    ) -> Option<Receiver<Answer>> {
        let (reply, answer) = bounded(1);
        let job = Job {
            codec,
            stored,
            plain,
            expected,
            reply,
        };
        stop.send(&self.jobs, job).then_some(answer)
    }
}

fn inflate_members(stop: &Stop, work: &Receiver<Job>, stored_home: &Sender<Vec<u8>>) {
    let mut reader = Reader::default();
    while let Some(job) = stop.receive(work) {
        let Job {
            codec,
            mut stored,
            plain: mut buffer,
            expected,
            reply,
        } = job;
        let answer = reader
            .read(codec, &stored, &mut buffer, expected)
            .map(|bytes| Inflated { buffer, bytes });
        stored.clear();
        let _ = stored_home.try_send(stored);
        let _ = reply.send(answer);
    }
}
