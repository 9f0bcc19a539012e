//! Gathers a stream into parts and sends several at once, as one object or, when that is full, as several.
//!
//! The caller fills a part buffer; uploader threads hash and send full ones; one thread takes the digests of the whole
//! object in order. Objects become visible only in [`PartsWriter::finish`], all together at the end.

use std::io::{self, Write};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use bytes::Bytes;
use crossbeam_channel::{Receiver, Sender, bounded, unbounded};

use super::digest::{Digests, multipart_etag};
use super::plan::PartPlan;
use super::stop::Stop;
use crate::base::cancel::{Cancel, CancelGuard};
use crate::base::failure::{Failure, Kind, Result, into_io};
use crate::base::report::{Event, Reporter};
use crate::store::{Key, ObjectMeta, PartReceipt, PutOptions, Store, Upload};

mod parts;
use parts::{DigestJob, Job, Outlets, PartBuffer, Permit, digest_in_order, send_parts};

/// An object that was completed and looked at again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UploadedObject {
    /// What the store says of it.
    pub meta: ObjectMeta,
    /// SHA-256 of its content.
    pub sha256: [u8; 32],
    /// MD5 of its content.
    pub md5: [u8; 16],
    /// The size of its first part, in bytes.
    pub part_bytes: u64,
    /// How many parts it was sent in.
    pub parts: u32,
    /// The token in its metadata.
    pub token: String,
    /// The entity tag that a store gives it which computes tags from content.
    pub etag_expected: String,
}

/// A writer that passes what it is given on to a store, in parts.
///
/// Nothing can be seen in the store before [`PartsWriter::finish`]. If it is dropped before that, every upload is aborted;
/// what could not be aborted is reported as a warning.
pub struct PartsWriter {
    store: Arc<dyn Store>,
    key: Key,
    options: PutOptions,
    plan: PartPlan,
    reporter: Arc<dyn Reporter>,
    cancel: Cancel,
    stop: Arc<Stop>,
    objects: Vec<Object>,
    filling: Option<Filling>,
    permits: Receiver<()>,
    permit_home: Sender<()>,
    spare: Receiver<Vec<u8>>,
    spare_home: Sender<Vec<u8>>,
    outlets: Option<Outlets>,
    uploaders: Vec<JoinHandle<()>>,
    digester: Option<JoinHandle<Vec<Digests>>>,
    _guard: CancelGuard,
}

/// Objects whose last byte has been sent, and which nobody can see yet. If it is dropped, every upload is aborted.
pub struct SealedParts {
    writer: PartsWriter,
    digests: Vec<Digests>,
}

impl SealedParts {
    /// Makes every object visible, and looks at each again: size, token, and the entity tag where the store computes it
    /// from content.
    ///
    /// # Errors
    /// A failure of the completion; [`Kind::Damaged`] if what the store holds is not what was sent. No object of this
    /// writer is left then, as far as the store lets them be removed; what may be left is reported as a warning.
    pub fn finish(mut self) -> Result<Vec<UploadedObject>> {
        self.writer.complete_all(&self.digests)
    }
}

/// One object on its way.
struct Object {
    key: Key,
    upload: Arc<dyn Upload>,
    bytes: u64,
    parts: u32,
    part_bytes: u64,
    receipts: Arc<Mutex<Vec<PartReceipt>>>,
    completed: bool,
}

/// The part that is being filled.
struct Filling {
    buffer: Vec<u8>,
    part_bytes: usize,
    permit: Permit,
}

impl PartsWriter {
    /// A writer for the object `key`, and for `key` with `.part-0002` and so on once that is full. The upload is started by
    /// the first byte.
    pub fn new(
        store: Arc<dyn Store>,
        key: Key,
        options: PutOptions,
        plan: PartPlan,
        cancel: Cancel,
        reporter: Arc<dyn Reporter>,
    ) -> Self {
        let buffer_count = plan.in_flight.max(1) + 1;
        let (permit_home, permits) = bounded(buffer_count);
        for _ in 0..buffer_count {
            let _ = permit_home.try_send(());
        }
        let (spare_home, spare) = bounded(buffer_count);
        let stop = Stop::new();
        let guard = stop.watch(&cancel);
        // The permits bound what is in these two.
        let (jobs, work) = unbounded::<Job>();
        let (digest, bodies) = unbounded::<DigestJob>();
        let mut uploaders = Vec::with_capacity(plan.in_flight);
        let start = || -> Result<JoinHandle<Vec<Digests>>> {
            for _ in 0..plan.in_flight.max(1) {
                let (work, reporter) = (work.clone(), reporter.clone());
                uploaders.push(stop.spawn("upload", move |stop| send_parts(stop, &work, reporter.as_ref()))?);
            }
            stop.spawn("stored-digest", move |stop| digest_in_order(stop, &bodies))
        };
        let digester = match start() {
            Ok(digester) => Some(digester),
            Err(failure) => {
                // The first write returns it.
                stop.fail(failure);
                None
            }
        };
        Self {
            store,
            key,
            options,
            plan,
            reporter,
            cancel,
            stop,
            objects: Vec::new(),
            filling: None,
            permits,
            permit_home,
            spare,
            spare_home,
            outlets: Some(Outlets { jobs, digest }),
            uploaders,
            digester,
            _guard: guard,
        }
    }

    /// Sends what is left and gives the memory back; nothing can be seen in the store yet.
    ///
    /// # Errors
    /// A failure of any part. Nothing of this writer is left then; what may be left is reported as a warning.
    pub fn seal(mut self) -> Result<SealedParts> {
        match self.send_rest() {
            Ok(digests) => Ok(SealedParts { writer: self, digests }),
            Err(failure) => {
                // An upload is aborted when none of its parts is on the way any more, or parts may be left over.
                self.stop.end();
                self.join();
                let _ = self.abort_all();
                Err(failure)
            }
        }
    }

    /// Sends what is left, makes every object visible, and looks at each again: size, token, and the entity tag where the
    /// store computes it from content.
    ///
    /// # Errors
    /// As [`PartsWriter::seal`] and [`SealedParts::finish`].
    pub fn finish(self) -> Result<Vec<UploadedObject>> {
        self.seal()?.finish()
    }

    /// Throws everything away.
    ///
    /// # Errors
    /// If parts may still be in the store; each such upload is reported as a warning, too.
    pub fn abort(mut self) -> Result<()> {
        self.stop.end();
        self.join();
        self.abort_all()
    }

    fn write_some(&mut self, bytes: &[u8]) -> Result<usize> {
        self.stop.check()?;
        if self.filling.is_none() {
            self.filling = Some(self.next_part()?);
        }
        let Some(filling) = &mut self.filling else {
            return Ok(0);
        };
        let count = bytes.len().min(filling.part_bytes - filling.buffer.len());
        filling.buffer.extend_from_slice(&bytes[..count]);
        if filling.buffer.len() == filling.part_bytes {
            self.dispatch()?;
        }
        Ok(count)
    }

    /// Waits for a buffer and decides what the next part is; starts an upload where one is needed.
    fn next_part(&mut self) -> Result<Filling> {
        let index = self.objects.len().saturating_sub(1);
        let place = self
            .objects
            .last()
            .map_or((1, 0), |object| (object.parts + 1, object.bytes));
        let room = match self.plan.part_bytes_at(index, place.0, place.1) {
            Some(room) if !self.objects.is_empty() => room,
            room => {
                self.start_object()?;
                // The first part of an object always has room: the plan says so.
                let room = if self.objects.len() == 1 {
                    room
                } else {
                    self.plan.part_bytes_at(self.objects.len() - 1, 1, 0)
                };
                room.unwrap_or(self.plan.part_bytes)
            }
        };
        let part_bytes = usize::try_from(room.max(1))
            .map_err(|error| Failure::new(Kind::Usage, "Parts are larger than memory").caused_by(error))?;
        self.stop.receive(&self.permits).ok_or_else(|| self.stop.failure())?;
        let permit = Permit(self.permit_home.clone());
        let mut buffer = self.spare.try_recv().unwrap_or_default();
        if buffer.capacity() < part_bytes {
            // Parts that grow: the old buffer goes first, so that both are never held.
            drop(buffer);
            buffer = Vec::with_capacity(part_bytes);
        }
        Ok(Filling {
            buffer,
            part_bytes,
            permit,
        })
    }

    fn start_object(&mut self) -> Result<()> {
        let key = match self.objects.len() {
            0 => self.key.clone(),
            before => self.key.with_suffix(&format!(".part-{:04}", before + 1)),
        };
        let upload = self.store.start_upload(&key, &self.options).map_err(|failure| {
            self.stop.fail(failure);
            self.stop.failure()
        })?;
        self.objects.push(Object {
            key,
            upload: Arc::from(upload),
            bytes: 0,
            parts: 0,
            part_bytes: 0,
            receipts: Arc::default(),
            completed: false,
        });
        Ok(())
    }

    /// Hands the filled part over to the uploaders and the digest.
    fn dispatch(&mut self) -> Result<()> {
        let (Some(filling), Some(outlets)) = (self.filling.take(), &self.outlets) else {
            return self.stop.check();
        };
        let index = self.objects.len().saturating_sub(1);
        let Some(object) = self.objects.last_mut() else {
            return self.stop.check();
        };
        let bytes = filling.buffer.len() as u64;
        let body = Bytes::from_owner(PartBuffer {
            bytes: filling.buffer,
            home: self.spare_home.clone(),
        });
        let permit = Arc::new(filling.permit);
        let offset = object.bytes;
        object.bytes += bytes;
        object.parts += 1;
        if object.parts == 1 {
            object.part_bytes = bytes;
        }
        let digest = DigestJob {
            object: index,
            body: body.clone(),
            permit: permit.clone(),
        };
        let job = Job {
            upload: object.upload.clone(),
            number: object.parts,
            offset,
            body,
            receipts: object.receipts.clone(),
            permit,
        };
        if self.stop.send(&outlets.digest, digest) && self.stop.send(&outlets.jobs, job) {
            Ok(())
        } else {
            Err(self.stop.failure())
        }
    }

    fn send_rest(&mut self) -> Result<Vec<Digests>> {
        self.stop.check()?;
        if self.objects.is_empty() {
            // A stream of nothing is one empty part, so that its object comes to be in the same way.
            self.filling = Some(self.next_part()?);
        }
        if self.filling.is_some() {
            self.dispatch()?;
        }
        self.outlets = None;
        let digests = self.join();
        self.stop.check()?;
        self.cancel.check()?;
        digests
            .filter(|digests| {
                digests.len() == self.objects.len()
                    && digests
                        .iter()
                        .zip(&self.objects)
                        .all(|(digest, object)| digest.bytes == object.bytes)
            })
            .ok_or_else(|| Failure::new(Kind::Failed, "The parts that were sent do not add up, which is a bug"))
    }

    fn join(&mut self) -> Option<Vec<Digests>> {
        self.outlets = None;
        let mut whole = true;
        for uploader in self.uploaders.drain(..) {
            whole &= uploader.join().is_ok();
        }
        let digests = self.digester.take().and_then(|digester| digester.join().ok());
        digests.filter(|_| whole)
    }

    fn complete_all(&mut self, digests: &[Digests]) -> Result<Vec<UploadedObject>> {
        let mut uploaded = Vec::with_capacity(self.objects.len());
        for (index, digest) in digests.iter().enumerate() {
            match self.complete_one(index, digest) {
                Ok(object) => uploaded.push(object),
                Err(failure) => {
                    // This one may be there in spite of the failure; the later ones are not.
                    self.remove_completed(index);
                    let _ = self.abort_all();
                    return Err(failure);
                }
            }
        }
        // Nothing is left to be aborted.
        self.objects.clear();
        Ok(uploaded)
    }

    fn complete_one(&mut self, index: usize, digest: &Digests) -> Result<UploadedObject> {
        let object = &self.objects[index];
        self.cancel.check()?;
        let mut receipts = std::mem::take(&mut *object.receipts.lock().unwrap_or_else(PoisonError::into_inner));
        receipts.sort_by_key(|receipt| receipt.number);
        if receipts.len() != object.parts as usize {
            return Err(Failure::new(
                Kind::Failed,
                format!("Not every part of `{}` was acknowledged, which is a bug", object.key),
            ));
        }
        let md5s: Vec<[u8; 16]> = receipts.iter().map(|receipt| receipt.md5).collect();
        let etag_expected = multipart_etag(&md5s);
        let completed = object.upload.complete(&receipts, object.bytes)?;
        let mut meta = match self.store.head(&object.key) {
            // Who may only write cannot look; the acknowledgement has the tag that follows from the parts.
            Err(failure) if failure.kind() == Kind::Denied => completed.clone(),
            found => found?.ok_or_else(|| not_kept(&object.key))?,
        };
        meta.version_id = meta.version_id.or(completed.version_id);
        compare(&object.key, object.bytes, &self.options.token, &meta, &etag_expected)?;
        // Only now: the parts of an upload whose completion was acknowledged and did not happen are to be aborted.
        self.objects[index].completed = true;
        let object = &self.objects[index];
        Ok(UploadedObject {
            meta,
            sha256: digest.sha256,
            md5: digest.md5,
            part_bytes: object.part_bytes,
            parts: object.parts,
            token: self.options.token.clone(),
            etag_expected,
        })
    }

    /// Removes the objects up to `last` that became visible, if they are this writer's.
    fn remove_completed(&self, last: usize) {
        for object in &self.objects[..=last] {
            let removed = self.store.head(&object.key).and_then(|meta| match meta {
                Some(meta) if meta.token.as_deref() == Some(self.options.token.as_str()) => {
                    self.store.delete(&object.key)
                }
                _ => Ok(()),
            });
            if let Err(failure) = removed {
                self.warn(format!(
                    "The object `{}` may be left over from this failed run: {}. `backup-cli cleanup` removes it.",
                    object.key,
                    failure.in_one_line()
                ));
            }
        }
    }

    /// Aborts all uploads that were not completed.
    fn abort_all(&mut self) -> Result<()> {
        let mut outcome = Ok(());
        for object in self.objects.drain(..).filter(|object| !object.completed) {
            if let Err(failure) = object.upload.abort() {
                self.reporter.event(Event::Warning(format!(
                    "Parts of `{}` may be left over in the store and cost money: {}. `backup-cli cleanup` throws them away.",
                    object.key,
                    failure.in_one_line()
                )));
                outcome = outcome.and(Err(failure));
            }
        }
        outcome
    }

    fn warn(&self, message: String) {
        self.reporter.event(Event::Warning(message));
    }
}

/// An object that was acknowledged and is not there.
pub(super) fn not_kept(key: &Key) -> Failure {
    Failure::new(
        Kind::Damaged,
        format!("The store acknowledged `{key}` and then has no such object"),
    )
    .hint("The store does not keep what it takes, or something else removes objects there; run it again when that is mended")
}

/// Compares what a store says of an object with what was sent to it.
pub(super) fn compare(key: &Key, bytes: u64, token: &str, meta: &ObjectMeta, etag_expected: &str) -> Result<()> {
    let differs = |what: &str, expected: &str, found: &str| {
        Failure::new(
            Kind::Damaged,
            format!("What the store holds as `{key}` is not what was sent"),
        )
        .caused_by(anyhow::anyhow!("Its {what} is {found} instead of {expected}"))
        .hint("Run the backup again; if it happens again, the store or the way to it damages data")
    };
    if meta.bytes != bytes {
        return Err(differs("length in bytes", &bytes.to_string(), &meta.bytes.to_string()));
    }
    if meta.token.as_deref() != Some(token) {
        return Err(differs("token", token, meta.token.as_deref().unwrap_or("missing")));
    }
    match &meta.etag {
        Some(etag) if meta.etag_is_md5 && !etag.trim_matches('"').eq_ignore_ascii_case(etag_expected) => {
            Err(differs("entity tag", etag_expected, etag))
        }
        _ => Ok(()),
    }
}

impl Write for PartsWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if bytes.is_empty() {
            return Ok(0);
        }
        self.write_some(bytes).map_err(into_io)
    }

    /// Does nothing: parts are sent when they are full.
    fn flush(&mut self) -> io::Result<()> {
        self.stop.check().map_err(into_io)
    }
}

impl Drop for PartsWriter {
    fn drop(&mut self) {
        self.stop.end();
        self.join();
        let _ = self.abort_all();
    }
}

#[cfg(test)]
mod tests;
