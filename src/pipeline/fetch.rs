//! Fetches ranges of a backup's data, several at once, and hands them out in order.
//!
//! A range counts from the beginning of the first object, over all of them as `cat` joins them.

use std::collections::VecDeque;
use std::io::Read;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crossbeam_channel::{Receiver, Sender, bounded};

use super::download::{DownloadOptions, StoredObject};
use super::stop::Stop;
use crate::base::cancel::{Cancel, CancelGuard};
use crate::base::failure::{Failure, Kind, Result, from_io};
use crate::base::report::{Event, Reporter};
use crate::store::{Key, Store};

/// How often in a row a range is asked for without a byte coming back. The store retries each request by itself; these
/// are for connections that break while the content streams.
const ATTEMPTS_MAX: u32 = 5;

/// How long to wait after the first failed attempt; twice as long after each further one.
const FIRST_WAIT: Duration = Duration::from_millis(500);

/// The objects of a backup, as one range of bytes.
pub(super) struct Source {
    store: Arc<dyn Store>,
    objects: Vec<StoredObject>,
    /// Where each object begins, and after the last one where it ends.
    starts: Vec<u64>,
    reporter: Arc<dyn Reporter>,
    transferred_bytes: AtomicU64,
}

impl Source {
    pub(super) fn new(store: Arc<dyn Store>, objects: Vec<StoredObject>, reporter: Arc<dyn Reporter>) -> Self {
        let mut starts = Vec::with_capacity(objects.len() + 1);
        let mut at = 0u64;
        starts.push(at);
        for object in &objects {
            at = at.saturating_add(object.bytes);
            starts.push(at);
        }
        Self {
            store,
            objects,
            starts,
            reporter,
            transferred_bytes: AtomicU64::new(0),
        }
    }

    pub(super) fn objects(&self) -> &[StoredObject] {
        &self.objects
    }

    pub(super) fn store(&self) -> &dyn Store {
        self.store.as_ref()
    }

    /// The length of all objects.
    pub(super) fn bytes(&self) -> u64 {
        self.starts.last().copied().unwrap_or(0)
    }

    pub(super) fn transferred_bytes(&self) -> u64 {
        self.transferred_bytes.load(Ordering::Relaxed)
    }

    /// Which object holds the byte at `offset`, and where in it.
    pub(super) fn locate(&self, offset: u64) -> Option<(usize, u64)> {
        // Of objects that begin at the same place all but the last are empty.
        let index = self.starts.partition_point(|start| *start <= offset).checked_sub(1)?;
        let object = self.objects.get(index)?;
        let within = offset - self.starts[index];
        (within < object.bytes).then_some((index, within))
    }

    fn fetch_from(&self, stop: &Stop, object: &StoredObject, range: Range<u64>, buffer: &mut Vec<u8>) -> Result<()> {
        let mut at = range.start;
        let mut failed_attempts = 0;
        let mut wait = FIRST_WAIT;
        while at < range.end {
            stop.check()?;
            let before = buffer.len();
            let outcome = self.read_once(&object.key, at..range.end, buffer);
            let got = (buffer.len() - before) as u64;
            at += got;
            self.transferred_bytes.fetch_add(got, Ordering::Relaxed);
            self.reporter.progress().add_stored(got);
            let Err(failure) = outcome else {
                continue;
            };
            if got > 0 {
                (failed_attempts, wait) = (0, FIRST_WAIT);
            }
            failed_attempts += 1;
            if failure.kind() != Kind::Unreachable || failed_attempts >= ATTEMPTS_MAX {
                return Err(self.explain(object, failure));
            }
            self.reporter.event(Event::Retrying {
                what: format!("Reading `{}` from byte {at} on", object.key),
                attempt: failed_attempts,
                wait_millis: u64::try_from(wait.as_millis()).unwrap_or(u64::MAX),
                cause: failure.message().to_owned(),
            });
            if !stop.sleep(wait) {
                return Err(stop.failure());
            }
            wait *= 2;
        }
        Ok(())
    }

    /// Appends what comes of the range; `Ok` only if it is all of it.
    fn read_once(&self, key: &Key, range: Range<u64>, buffer: &mut Vec<u8>) -> Result<()> {
        let wanted = range.end - range.start;
        let before = buffer.len();
        let reader = self.store.get(key, Some(range.clone()))?;
        let read = reader.take(wanted).read_to_end(buffer);
        let got = (buffer.len() - before) as u64;
        read.map_err(|error| from_io(format!("read `{key}`"), error))?;
        if got < wanted {
            return Err(Failure::new(
                Kind::Damaged,
                format!(
                    "The object `{key}` ends at byte {}, before byte {}",
                    range.start + got,
                    range.end
                ),
            ));
        }
        Ok(())
    }

    /// A range that cannot be read because the object is not as long as it was says so.
    fn explain(&self, object: &StoredObject, failure: Failure) -> Failure {
        if matches!(
            failure.kind(),
            Kind::Interrupted | Kind::Unreachable | Kind::Denied | Kind::NotFound
        ) {
            return failure;
        }
        match self.store.head(&object.key) {
            Ok(Some(meta)) if meta.bytes != object.bytes => wrong_length(object, meta.bytes).caused_by(failure),
            _ => failure,
        }
    }
}

impl FetchRange for Source {
    fn fetch(&self, stop: &Stop, range: Range<u64>, buffer: &mut Vec<u8>) -> Result<()> {
        buffer.clear();
        buffer.reserve_exact(usize::try_from(range.end - range.start).unwrap_or(usize::MAX));
        let mut at = range.start;
        while at < range.end {
            let Some((index, within)) = self.locate(at) else {
                return Err(Failure::new(
                    Kind::Damaged,
                    format!("The backup's objects end before byte {}", range.end),
                ));
            };
            let object = &self.objects[index];
            let end = object.bytes.min(within + (range.end - at));
            self.fetch_from(stop, object, within..end, buffer)?;
            at += end - within;
        }
        Ok(())
    }
}

/// The failure of an object that is not as long as the manifest says.
pub(super) fn wrong_length(object: &StoredObject, bytes: u64) -> Failure {
    Failure::new(
        Kind::Damaged,
        format!(
            "The object `{}` has {bytes} bytes instead of {}",
            object.key, object.bytes
        ),
    )
    .hint("It was cut, replaced or written to after the backup; restore another backup, or an older version of the object")
}

struct Job {
    range: Range<u64>,
    buffer: Vec<u8>,
    reply: Sender<Result<Vec<u8>>>,
}

/// Something that is read by ranges.
pub(super) trait FetchRange: Send + Sync {
    /// Reads the range into `buffer`, which it fills exactly.
    fn fetch(&self, stop: &Stop, range: Range<u64>, buffer: &mut Vec<u8>) -> Result<()>;
}

/// Fetches the ranges that an iterator names, in its order, some ahead of the one that is asked for.
pub(super) struct Fetcher {
    ranges: Box<dyn Iterator<Item = Range<u64>> + Send>,
    pending: VecDeque<Receiver<Result<Vec<u8>>>>,
    in_flight: usize,
    spare: Vec<Vec<u8>>,
    jobs: Sender<Job>,
    stop: Arc<Stop>,
    _guard: CancelGuard,
}

impl Fetcher {
    pub(super) fn new(
        source: Arc<dyn FetchRange>,
        ranges: Box<dyn Iterator<Item = Range<u64>> + Send>,
        options: &DownloadOptions,
        cancel: &Cancel,
    ) -> Self {
        let in_flight = options.in_flight.max(1);
        let stop = Stop::new();
        let guard = stop.watch(cancel);
        let (jobs, work) = bounded::<Job>(in_flight);
        for _ in 0..in_flight {
            let (source, work) = (source.clone(), work.clone());
            // Not joined: a thread that waits for the network must not hold up whoever gave up reading. It ends with its
            // request, and it holds nothing but its own buffer.
            if let Err(failure) = stop.spawn("fetch", move |stop| fetch_ranges(stop, source.as_ref(), &work)) {
                stop.fail(failure);
                break;
            }
        }
        Self {
            ranges,
            pending: VecDeque::with_capacity(in_flight),
            in_flight,
            spare: Vec::new(),
            jobs,
            stop,
            _guard: guard,
        }
    }

    /// The content of the next range; `None` after the last.
    pub(super) fn next_block(&mut self) -> Result<Option<Vec<u8>>> {
        self.stop.check()?;
        while self.pending.len() < self.in_flight {
            let Some(range) = self.ranges.next() else {
                break;
            };
            let (reply, answer) = bounded(1);
            let job = Job {
                range,
                buffer: self.spare.pop().unwrap_or_default(),
                reply,
            };
            if !self.stop.send(&self.jobs, job) {
                return Err(self.stop.failure());
            }
            self.pending.push_back(answer);
        }
        let Some(answer) = self.pending.pop_front() else {
            return Ok(None);
        };
        match self.stop.receive(&answer) {
            Some(Ok(bytes)) => Ok(Some(bytes)),
            Some(Err(failure)) => {
                self.stop.fail(failure);
                Err(self.stop.failure())
            }
            None => Err(self.stop.failure()),
        }
    }

    /// Gives a block's memory back.
    pub(super) fn recycle(&mut self, block: Vec<u8>) {
        self.spare.push(block);
    }
}

impl Drop for Fetcher {
    fn drop(&mut self) {
        self.stop.end();
    }
}

fn fetch_ranges(stop: &Stop, source: &dyn FetchRange, work: &Receiver<Job>) {
    while let Some(Job {
        range,
        mut buffer,
        reply,
    }) = stop.receive(work)
    {
        let fetched = source.fetch(stop, range, &mut buffer).map(|()| buffer);
        let _ = reply.send(fetched);
    }
}
