//! Reads all objects of a backup from their first byte to their last, and goes on where one is cut, gone or changed.

use std::io::{self, Read};
use std::ops::Range;
use std::sync::Arc;
use std::thread::JoinHandle;

use crossbeam_channel::{Receiver, Sender, bounded};
use md5::Md5;
use sha2::{Digest, Sha256};

use crate::base::cancel::Cancel;
use crate::base::failure::{Failure, Kind, Result, into_io};
use crate::base::report::Reporter;
use crate::pipeline::download::{DownloadOptions, StoredObject};
use crate::pipeline::fetch::{Fetcher, Source};
use crate::pipeline::stop::Stop;
use crate::store::Store;

/// Blocks that wait for their MD5, which takes longer than everything else that is done to stored bytes.
const MD5_BLOCKS: usize = 2;

/// An object that is to be read, and how much of it there is.
#[derive(Clone, Debug)]
pub struct WantedObject {
    /// The object as it should be.
    pub object: StoredObject,
    /// How many of its bytes can be read: fewer than it should have if it is cut, none if it is gone.
    pub available_bytes: u64,
    /// The length of its parts in bytes, of which only the last may be shorter, if the MD5 of theirs is wanted.
    pub part_bytes: Option<u64>,
}

/// An object that was read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ReadObject {
    /// How many of its bytes were read.
    pub bytes: u64,
    /// SHA-256 of its bytes, if all of them were read.
    pub sha256: Option<[u8; 32]>,
    /// MD5 of its bytes, if all of them were read.
    pub md5: Option<[u8; 16]>,
    /// MD5 of the MD5s of its parts, if it was wanted and all of its bytes were read.
    pub parts_md5: Option<[u8; 16]>,
    /// Why it could not be read to its end, if it broke off.
    pub trouble: Option<String>,
}

/// A reader of all objects, joined in order. In the place of bytes that are not there it gives zeros, so that what follows
/// stays in its place, or fails, if [`WholeReader::without_gaps`] says so.
pub struct WholeReader {
    store: Arc<dyn Store>,
    wanted: Vec<WantedObject>,
    options: DownloadOptions,
    cancel: Cancel,
    reporter: Arc<dyn Reporter>,
    /// Which object is being read, and from which of its bytes on.
    at: usize,
    within: u64,
    fetcher: Option<Fetcher>,
    block: Option<Arc<Vec<u8>>>,
    consumed: usize,
    sha256: Sha256,
    md5: Md5Thread,
    /// The same by parts, if that is wanted of any object.
    parts_md5: Option<Md5Thread>,
    /// Up to which byte the current object can be read.
    limit: u64,
    trouble: Option<String>,
    done: Vec<ReadObject>,
    fails_at_gaps: bool,
}

impl WholeReader {
    /// A reader that begins to fetch with the first read.
    ///
    /// # Errors
    /// If a thread cannot be started.
    pub fn new(
        store: Arc<dyn Store>,
        wanted: Vec<WantedObject>,
        options: &DownloadOptions,
        cancel: Cancel,
        reporter: Arc<dyn Reporter>,
    ) -> Result<Self> {
        let limit = limit_of(wanted.first());
        let parts: Vec<u64> = wanted.iter().map(|wanted| wanted.part_bytes.unwrap_or(0)).collect();
        let parts_md5 = match parts.iter().any(|bytes| *bytes > 0) {
            true => Some(Md5Thread::start(parts)?),
            false => None,
        };
        Ok(Self {
            store,
            wanted,
            options: options.clone(),
            cancel,
            reporter,
            at: 0,
            within: 0,
            fetcher: None,
            block: None,
            consumed: 0,
            sha256: Sha256::new(),
            md5: Md5Thread::start(Vec::new())?,
            parts_md5,
            limit,
            trouble: None,
            done: Vec::new(),
            fails_at_gaps: false,
        })
    }

    /// Fails as [`Kind::Damaged`] where bytes are not there, for whoever cannot go on behind a gap.
    #[must_use]
    pub fn without_gaps(mut self) -> Self {
        self.fails_at_gaps = true;
        self
    }

    /// Reads what is left, and says what was read of each object.
    ///
    /// # Errors
    /// The store's failures.
    pub fn finish(mut self) -> Result<Vec<ReadObject>> {
        self.skip(u64::MAX)?;
        let mut digests = self.md5.finish()?.into_iter();
        for object in &mut self.done {
            let digest = digests.next();
            object.md5 = digest.filter(|_| object.sha256.is_some());
        }
        if let Some(parts_md5) = &mut self.parts_md5 {
            let digests = parts_md5.finish()?;
            for ((object, wanted), digest) in self.done.iter_mut().zip(&self.wanted).zip(digests) {
                let is_whole = object.sha256.is_some() && wanted.part_bytes.is_some();
                object.parts_md5 = is_whole.then_some(digest);
            }
        }
        Ok(self.done)
    }

    /// Goes past the next `bytes`, or as many as there are, and returns how many those were. What is there is read and
    /// digested; what is not takes no time, however much a manifest claims.
    ///
    /// # Errors
    /// The store's failures.
    pub(super) fn skip(&mut self, bytes: u64) -> Result<u64> {
        let mut skipped = 0;
        while skipped < bytes && self.advance()? {
            let now = match &self.block {
                Some(block) => (block.len() - self.consumed) as u64,
                None => self.bytes_of_current() - self.within,
            };
            let now = now.min(bytes - skipped);
            self.consume(now);
            skipped += now;
        }
        Ok(skipped)
    }

    /// How many bytes from here on are known not to be there.
    pub(super) fn missing_bytes(&self) -> u64 {
        match self.block.as_ref().is_none_or(|block| self.consumed == block.len()) && self.within >= self.limit {
            true => self.bytes_of_current() - self.within,
            false => 0,
        }
    }

    /// That nothing can be read here, and why, if it was not known beforehand.
    fn gap(&self) -> Failure {
        let place = match self.wanted.get(self.at) {
            Some(wanted) => format!("byte {} of the object `{}`", self.within, wanted.object.key),
            None => "its end".to_owned(),
        };
        let failure = Failure::new(Kind::Damaged, format!("The data breaks off at {place}"));
        match &self.trouble {
            Some(trouble) => failure.caused_by(anyhow::anyhow!(trouble.clone())),
            None => failure,
        }
    }

    /// What is at hand and not yet consumed.
    fn unread(&self) -> &[u8] {
        static ZEROS: [u8; 64 * 1024] = [0; 64 * 1024];
        match &self.block {
            Some(block) => &block[self.consumed..],
            None => {
                let missing = self.bytes_of_current() - self.within;
                &ZEROS[..usize::try_from(missing).unwrap_or(usize::MAX).min(ZEROS.len())]
            }
        }
    }

    fn bytes_of_current(&self) -> u64 {
        self.wanted
            .get(self.at)
            .map_or(self.within, |wanted| wanted.object.bytes)
    }

    fn consume(&mut self, count: u64) {
        self.within += count;
        if self.block.is_some() {
            self.consumed += count as usize;
        }
    }

    /// Makes sure that something is at hand; `false` at the end.
    fn advance(&mut self) -> Result<bool> {
        loop {
            if self.block.as_ref().is_some_and(|block| self.consumed < block.len()) {
                return Ok(true);
            }
            self.recycle();
            let Some(wanted) = self.wanted.get(self.at) else {
                return Ok(false);
            };
            if self.within >= wanted.object.bytes {
                self.close();
                continue;
            }
            if self.within >= self.limit {
                return Ok(true);
            }
            let key = wanted.object.key.clone();
            if self.fetcher.is_none() {
                self.fetcher = Some(self.fetch(wanted.object.clone()));
            }
            let fetched = match &mut self.fetcher {
                Some(fetcher) => fetcher.next_block(),
                None => Ok(None),
            };
            match fetched {
                Ok(Some(block)) => {
                    self.sha256.update(&block);
                    self.reporter.progress().add_plain(block.len() as u64);
                    let block = Arc::new(block);
                    self.md5.update(&block)?;
                    if let Some(parts_md5) = &self.parts_md5 {
                        parts_md5.update(&block)?;
                    }
                    self.block = Some(block);
                }
                Ok(None) => self.break_off(format!("The object `{key}` ended early")),
                // It was there when it was looked at.
                Err(failure) if matches!(failure.kind(), Kind::Damaged | Kind::NotFound) => {
                    match self.store.head(&key)? {
                        Some(meta) if meta.bytes >= self.limit => {
                            return Err(failure.with_kind(Kind::Unreachable).context(format!(
                                "The store says that `{key}` is whole, and does not deliver all of it"
                            )));
                        }
                        _ => self.break_off(failure.message().to_owned()),
                    }
                }
                Err(failure) => return Err(failure),
            }
        }
    }

    fn break_off(&mut self, trouble: String) {
        self.limit = self.within;
        self.trouble = Some(trouble);
        self.fetcher = None;
    }

    fn fetch(&self, mut object: StoredObject) -> Fetcher {
        object.bytes = self.limit;
        let (end, block_bytes) = (self.limit, self.options.block_bytes.max(1));
        let mut at = self.within;
        let ranges = std::iter::from_fn(move || {
            let range: Range<u64> = at..end.min(at.saturating_add(block_bytes));
            at = range.end;
            (!range.is_empty()).then_some(range)
        });
        let source = Source::new(self.store.clone(), vec![object], self.reporter.clone());
        Fetcher::new(Arc::new(source), Box::new(ranges), &self.options, &self.cancel)
    }

    fn recycle(&mut self) {
        self.consumed = 0;
        if let (Some(block), Some(fetcher)) = (self.block.take(), &mut self.fetcher)
            && let Ok(block) = Arc::try_unwrap(block)
        {
            fetcher.recycle(block);
        }
    }

    /// Ends the current object.
    fn close(&mut self) {
        let sha256: [u8; 32] = self.sha256.finalize_reset().into();
        let is_whole = self.limit == self.within;
        self.md5.end_object();
        if let Some(parts_md5) = &self.parts_md5 {
            parts_md5.end_object();
        }
        self.done.push(ReadObject {
            bytes: self.limit,
            sha256: is_whole.then_some(sha256),
            md5: None,
            parts_md5: None,
            trouble: self.trouble.take(),
        });
        self.fetcher = None;
        self.at += 1;
        self.within = 0;
        self.limit = limit_of(self.wanted.get(self.at));
    }
}

fn limit_of(wanted: Option<&WantedObject>) -> u64 {
    wanted.map_or(0, |wanted| wanted.available_bytes.min(wanted.object.bytes))
}

impl Read for WholeReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if buffer.is_empty() || !self.advance().map_err(into_io)? {
            return Ok(0);
        }
        if self.fails_at_gaps && self.missing_bytes() > 0 {
            return Err(into_io(self.gap()));
        }
        let unread = self.unread();
        let count = unread.len().min(buffer.len());
        buffer[..count].copy_from_slice(&unread[..count]);
        self.consume(count as u64);
        Ok(count)
    }
}

/// Takes MD5s on a thread of its own.
struct Md5Thread {
    jobs: Option<Sender<Md5Job>>,
    thread: Option<JoinHandle<Vec<[u8; 16]>>>,
}

enum Md5Job {
    Block(Arc<Vec<u8>>),
    EndObject,
}

/// The MD5 of an object, or that of the MD5s of its parts.
#[derive(Default)]
struct Taking {
    md5: Md5,
    of_parts: Md5,
    /// How long the parts are; 0 if there are none.
    part_bytes: u64,
    /// How much of the current part is to come.
    left: u64,
}

impl Taking {
    fn of(part_bytes: u64) -> Self {
        Self {
            part_bytes,
            left: part_bytes,
            ..Self::default()
        }
    }

    fn update(&mut self, mut bytes: &[u8]) {
        if self.part_bytes == 0 {
            self.md5.update(bytes);
            return;
        }
        while !bytes.is_empty() {
            let left = usize::try_from(self.left).unwrap_or(usize::MAX);
            let (now, later) = bytes.split_at(left.min(bytes.len()));
            self.md5.update(now);
            self.left -= now.len() as u64;
            bytes = later;
            if self.left == 0 {
                self.end_part();
            }
        }
    }

    fn end_part(&mut self) {
        self.of_parts.update(self.md5.finalize_reset());
        self.left = self.part_bytes;
    }

    fn finish(mut self) -> [u8; 16] {
        if self.left < self.part_bytes {
            self.end_part();
        }
        match self.part_bytes {
            0 => self.md5.finalize().into(),
            _ => self.of_parts.finalize().into(),
        }
    }
}

impl Md5Thread {
    /// Digests of objects, or, where the length of an object's parts stands among `parts`, of those of its parts.
    fn start(parts: Vec<u64>) -> Result<Self> {
        let (jobs, work): (Sender<Md5Job>, Receiver<Md5Job>) = bounded(MD5_BLOCKS);
        let thread = Stop::new().spawn("stored-digest", move |_| {
            let mut parts = parts.into_iter();
            let mut taking = Taking::of(parts.next().unwrap_or(0));
            let mut done = Vec::new();
            for job in work {
                match job {
                    Md5Job::Block(block) => taking.update(&block[..]),
                    Md5Job::EndObject => {
                        let next = Taking::of(parts.next().unwrap_or(0));
                        done.push(std::mem::replace(&mut taking, next).finish());
                    }
                }
            }
            done
        })?;
        Ok(Self {
            jobs: Some(jobs),
            thread: Some(thread),
        })
    }

    fn update(&self, block: &Arc<Vec<u8>>) -> Result<()> {
        match self.jobs.as_ref().map(|jobs| jobs.send(Md5Job::Block(block.clone()))) {
            Some(Ok(())) => Ok(()),
            _ => Err(died()),
        }
    }

    fn end_object(&self) {
        if let Some(jobs) = &self.jobs {
            // A thread that is gone is found out by `finish`.
            let _ = jobs.send(Md5Job::EndObject);
        }
    }

    fn finish(&mut self) -> Result<Vec<[u8; 16]>> {
        self.jobs = None;
        let thread = self.thread.take().ok_or_else(died)?;
        thread.join().map_err(|_| died())
    }
}

fn died() -> Failure {
    Failure::new(Kind::Failed, "The thread `stored-digest` ended early, which is a bug")
}
