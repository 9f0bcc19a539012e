//! The parts of an upload on their way: their memory, and the threads that send and digest them.

use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use crossbeam_channel::{Receiver, Sender};

use crate::base::failure::{Failure, Kind};
use crate::base::report::Reporter;
use crate::pipeline::digest::{Digester, Digests, md5_of};
use crate::pipeline::stop::Stop;
use crate::store::{Part, PartReceipt, Upload};

/// The right to hold one part in memory; goes back when the part is neither being sent nor hashed any more.
pub(super) struct Permit(pub(super) Sender<()>);

impl Drop for Permit {
    fn drop(&mut self) {
        // The channel has room for every permit; if it is gone, the writer is too.
        let _ = self.0.try_send(());
    }
}

/// A part's content, which gives its buffer back when the last user is done with it.
pub(super) struct PartBuffer {
    pub(super) bytes: Vec<u8>,
    pub(super) home: Sender<Vec<u8>>,
}

impl AsRef<[u8]> for PartBuffer {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl Drop for PartBuffer {
    fn drop(&mut self) {
        let mut bytes = std::mem::take(&mut self.bytes);
        bytes.clear();
        let _ = self.home.try_send(bytes);
    }
}

/// Where a full part goes; dropping them is the end of the stream.
pub(super) struct Outlets {
    pub(super) jobs: Sender<Job>,
    pub(super) digest: Sender<DigestJob>,
}

// In both jobs the body is dropped before its permit, so that a permit finds a spare buffer.
pub(super) struct Job {
    pub(super) upload: Arc<dyn Upload>,
    pub(super) number: u32,
    pub(super) offset: u64,
    pub(super) body: Bytes,
    pub(super) receipts: Arc<Mutex<Vec<PartReceipt>>>,
    pub(super) permit: Arc<Permit>,
}

pub(super) struct DigestJob {
    pub(super) object: usize,
    pub(super) body: Bytes,
    pub(super) permit: Arc<Permit>,
}

pub(super) fn send_parts(stop: &Stop, work: &Receiver<Job>, reporter: &dyn Reporter) {
    while let Some(job) = stop.receive(work) {
        let Job {
            upload,
            number,
            offset,
            body,
            receipts,
            permit,
        } = job;
        let bytes = body.len() as u64;
        let md5 = md5_of(&body);
        let sent = upload.put_part(Part {
            number,
            offset,
            body,
            md5,
        });
        match sent {
            Ok(receipt) if receipt.number == number && receipt.bytes == bytes && receipt.md5 == md5 => {
                reporter.progress().add_stored(bytes);
                receipts.lock().unwrap_or_else(PoisonError::into_inner).push(receipt);
            }
            Ok(_) => stop.fail(Failure::new(
                Kind::Failed,
                format!("The store acknowledged another part than part {number}, which is a bug"),
            )),
            Err(failure) => stop.fail(failure),
        }
        drop(permit);
    }
}

pub(super) fn digest_in_order(stop: &Stop, bodies: &Receiver<DigestJob>) -> Vec<Digests> {
    let mut done = Vec::new();
    let mut current = Digester::new();
    let mut current_object = None;
    while let Some(DigestJob { object, body, permit }) = stop.receive(bodies) {
        if current_object.is_some_and(|current| current != object) {
            done.push(std::mem::take(&mut current).finish());
        }
        current_object = Some(object);
        current.update(&body);
        drop(body);
        drop(permit);
    }
    if current_object.is_some() {
        done.push(current.finish());
    }
    done
}
