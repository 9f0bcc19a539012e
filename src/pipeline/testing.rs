//! A store in memory and streams of bytes, for the tests of this layer alone.

use std::collections::BTreeMap;
use std::io::{self, Read};
use std::ops::{ControlFlow, Range};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;

use super::digest::{md5_of, multipart_etag};
use crate::base::failure::{Failure, Kind, Result, into_io};
use crate::base::units::{GIB, TIB};
use crate::store::archive::ThawRequest;
use crate::store::{Key, Limits, ObjectMeta, Part, PartReceipt, PutOptions, Store, UnfinishedUpload, Upload};

/// Bytes that do not compress, the same for the same seed.
pub(super) fn noise(length: usize, seed: u64) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut bytes = Vec::with_capacity(length + 8);
    while bytes.len() < length {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend_from_slice(&state.to_le_bytes());
    }
    bytes.truncate(length);
    bytes
}

/// Bytes that compress about as well as text does, the same for the same seed.
pub(super) fn prose(length: usize, seed: u64) -> Vec<u8> {
    const WORDS: [&str; 16] = [
        "backup ", "store ", "the ", "member ", "of ", "stream\n", "a ", "0x1f8b ", "table ", "and ", "row ",
        "INSERT ", "\t", "public.", "restore ", "in ",
    ];
    let mut bytes = Vec::with_capacity(length + 16);
    for choice in noise(length / 2 + 16, seed) {
        bytes.extend_from_slice(WORDS[usize::from(choice & 15)].as_bytes());
        if choice > 250 {
            bytes.push(choice);
        }
        if bytes.len() >= length {
            break;
        }
    }
    bytes.truncate(length);
    bytes
}

/// What the store does wrong, if anything.
#[derive(Clone, Debug, Default)]
pub(super) struct Faults {
    /// This part of any upload fails for good.
    pub(super) fail_part: Option<u32>,
    /// Completing the object whose key ends so fails.
    pub(super) fail_complete: Option<&'static str>,
    /// What is stored differs in one byte from what was sent.
    pub(super) corrupt: bool,
    /// Aborting fails.
    pub(super) fail_abort: bool,
    /// So many reads end early with a passing failure.
    pub(super) broken_reads: u32,
    /// Each request takes so long.
    pub(super) delay: Option<Duration>,
    /// The store keeps the parts' own buffers.
    pub(super) keep_bodies: bool,
}

#[derive(Default)]
pub(super) struct State {
    pub(super) objects: BTreeMap<String, (Vec<u8>, ObjectMeta)>,
    pub(super) aborted: Vec<String>,
    pub(super) open: Vec<String>,
    pub(super) gets: Vec<Range<u64>>,
    pub(super) in_flight: usize,
    pub(super) in_flight_most: usize,
    pub(super) bodies: Vec<Bytes>,
}

pub(super) struct TestStore {
    pub(super) limits: Limits,
    pub(super) faults: Arc<Mutex<Faults>>,
    pub(super) state: Arc<Mutex<State>>,
}

impl TestStore {
    pub(super) fn new() -> Self {
        Self {
            limits: Limits {
                part_bytes_min: 1,
                part_bytes_max: 5 * GIB,
                parts_max: 10_000,
                parts_equal: false,
                object_bytes_max: 5 * TIB,
            },
            faults: Arc::default(),
            state: Arc::default(),
        }
    }

    pub(super) fn with_faults(faults: Faults) -> Self {
        let store = Self::new();
        *store.faults.lock().unwrap() = faults;
        store
    }

    pub(super) fn insert(&self, key: &str, content: &[u8]) {
        let meta = meta_of(
            &Key::new(key),
            content,
            "test-token",
            format!("{}-1", hex::encode(md5_of(content))),
        );
        self.state
            .lock()
            .unwrap()
            .objects
            .insert(key.to_owned(), (content.to_vec(), meta));
    }

    pub(super) fn content(&self, key: &str) -> Option<Vec<u8>> {
        self.state
            .lock()
            .unwrap()
            .objects
            .get(key)
            .map(|(content, _)| content.clone())
    }

    pub(super) fn keys(&self) -> Vec<String> {
        self.state.lock().unwrap().objects.keys().cloned().collect()
    }
}

fn meta_of(key: &Key, content: &[u8], token: &str, etag: String) -> ObjectMeta {
    ObjectMeta {
        key: key.clone(),
        bytes: content.len() as u64,
        modified: None,
        etag: Some(etag),
        etag_is_md5: true,
        version_id: None,
        storage_class: None,
        archive: None,
        token: Some(token.to_owned()),
    }
}

struct TestUpload {
    key: Key,
    token: String,
    faults: Arc<Mutex<Faults>>,
    state: Arc<Mutex<State>>,
    parts: Mutex<BTreeMap<u32, Vec<u8>>>,
}

impl Upload for TestUpload {
    fn put_part(&self, part: Part) -> Result<PartReceipt> {
        let faults = self.faults.lock().unwrap().clone();
        {
            let mut state = self.state.lock().unwrap();
            state.in_flight += 1;
            state.in_flight_most = state.in_flight_most.max(state.in_flight);
            if faults.keep_bodies {
                state.bodies.push(part.body.clone());
            }
        }
        if let Some(delay) = faults.delay {
            std::thread::sleep(delay);
        }
        self.state.lock().unwrap().in_flight -= 1;
        if faults.fail_part == Some(part.number) {
            return Err(
                Failure::new(Kind::Unreachable, format!("Could not send part {}", part.number)).hint("Test hint"),
            );
        }
        assert_eq!(md5_of(&part.body), part.md5);
        let receipt = PartReceipt {
            number: part.number,
            bytes: part.body.len() as u64,
            md5: part.md5,
            etag: Some(hex::encode(part.md5)),
        };
        self.parts.lock().unwrap().insert(part.number, part.body.to_vec());
        Ok(receipt)
    }

    fn complete(&self, receipts: &[PartReceipt], object_bytes: u64) -> Result<ObjectMeta> {
        let faults = self.faults.lock().unwrap().clone();
        if faults.fail_complete.is_some_and(|end| self.key.as_str().ends_with(end)) {
            return Err(Failure::new(Kind::Unreachable, "Could not complete"));
        }
        let parts = self.parts.lock().unwrap();
        let numbers: Vec<u32> = receipts.iter().map(|receipt| receipt.number).collect();
        assert_eq!(numbers, (1..=receipts.len() as u32).collect::<Vec<_>>());
        let md5s: Vec<[u8; 16]> = numbers.iter().map(|number| md5_of(&parts[number])).collect();
        let mut content: Vec<u8> = numbers.iter().flat_map(|number| parts[number].clone()).collect();
        assert_eq!(content.len() as u64, object_bytes);
        let mut etag = multipart_etag(&md5s);
        if faults.corrupt {
            content[0] ^= 1;
            etag = etag.replace(|_: char| true, "0");
        }
        let meta = meta_of(&self.key, &content, &self.token, etag);
        let mut state = self.state.lock().unwrap();
        if state.objects.contains_key(self.key.as_str()) {
            return Err(Failure::new(Kind::Conflict, format!("`{}` exists", self.key)));
        }
        state.open.retain(|key| key != self.key.as_str());
        state
            .objects
            .insert(self.key.as_str().to_owned(), (content, meta.clone()));
        Ok(meta)
    }

    fn abort(&self) -> Result<()> {
        if self.faults.lock().unwrap().fail_abort {
            return Err(Failure::new(Kind::Unreachable, "Could not abort"));
        }
        let mut state = self.state.lock().unwrap();
        state.open.retain(|key| key != self.key.as_str());
        state.aborted.push(self.key.as_str().to_owned());
        Ok(())
    }
}

/// Yields some bytes and then a passing failure.
struct Broken(io::Cursor<Vec<u8>>);

impl Read for Broken {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self.0.read(buffer)? {
            0 => Err(into_io(Failure::new(Kind::Unreachable, "The connection was lost"))),
            count => Ok(count),
        }
    }
}

impl Store for TestStore {
    fn url(&self) -> String {
        "test://store".to_owned()
    }
    fn prefix(&self) -> &str {
        ""
    }
    fn limits(&self) -> Limits {
        self.limits
    }
    fn put(&self, _key: &Key, _body: Bytes, _options: &PutOptions) -> Result<ObjectMeta> {
        panic!("this layer puts nothing in one step")
    }
    fn start_upload(&self, key: &Key, options: &PutOptions) -> Result<Box<dyn Upload>> {
        self.state.lock().unwrap().open.push(key.as_str().to_owned());
        Ok(Box::new(TestUpload {
            key: key.clone(),
            token: options.token.clone(),
            faults: self.faults.clone(),
            state: self.state.clone(),
            parts: Mutex::default(),
        }))
    }
    fn get(&self, key: &Key, range: Option<Range<u64>>) -> Result<Box<dyn Read + Send>> {
        let content = self
            .content(key.as_str())
            .ok_or_else(|| Failure::new(Kind::NotFound, format!("No object `{key}`")))?;
        let range = range.unwrap_or(0..content.len() as u64);
        let mut faults = self.faults.lock().unwrap();
        let mut state = self.state.lock().unwrap();
        state.gets.push(range.clone());
        let delay = faults.delay;
        if range.end > content.len() as u64 {
            return Err(Failure::new(Kind::Failed, format!("The range is not in `{key}`")));
        }
        let mut bytes = content[range.start as usize..range.end as usize].to_vec();
        let breaks = faults.broken_reads > 0;
        faults.broken_reads = faults.broken_reads.saturating_sub(1);
        drop((faults, state));
        if let Some(delay) = delay {
            std::thread::sleep(delay);
        }
        if breaks {
            bytes.truncate(bytes.len() / 2);
            return Ok(Box::new(Broken(io::Cursor::new(bytes))));
        }
        Ok(Box::new(io::Cursor::new(bytes)))
    }
    fn head(&self, key: &Key) -> Result<Option<ObjectMeta>> {
        Ok(self
            .state
            .lock()
            .unwrap()
            .objects
            .get(key.as_str())
            .map(|(_, meta)| meta.clone()))
    }
    fn list(&self, _prefix: &str, _visit: &mut dyn FnMut(ObjectMeta) -> Result<ControlFlow<()>>) -> Result<()> {
        panic!("this layer lists nothing")
    }
    fn list_folders(&self, _prefix: &str, _visit: &mut dyn FnMut(&str) -> Result<ControlFlow<()>>) -> Result<()> {
        panic!("this layer lists nothing")
    }
    fn delete(&self, key: &Key) -> Result<()> {
        self.state.lock().unwrap().objects.remove(key.as_str());
        Ok(())
    }
    fn thaw(&self, _key: &Key, _request: &ThawRequest) -> Result<()> {
        panic!("this layer thaws nothing")
    }
    fn unfinished_uploads(&self, _prefix: &str) -> Result<Vec<UnfinishedUpload>> {
        panic!("this layer asks for no uploads")
    }
}
