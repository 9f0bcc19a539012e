use std::time::{Duration, Instant};

use proptest::prelude::*;

use super::*;
use crate::base::failure::from_io;
use crate::base::report::{Event, Recorder};
use crate::pipeline::digest::sha256_of;
use crate::pipeline::testing::{Faults, TestStore, noise};

struct Run {
    store: Arc<TestStore>,
    recorder: Arc<Recorder>,
    objects: Vec<StoredObject>,
    cancel: Cancel,
}

impl Run {
    fn new(contents: &[&[u8]], faults: Faults) -> Self {
        let store = Arc::new(TestStore::with_faults(faults));
        let objects = contents
            .iter()
            .enumerate()
            .map(|(index, content)| {
                let key = format!("data-{index}");
                store.insert(&key, content);
                StoredObject {
                    key: Key::new(key),
                    bytes: content.len() as u64,
                    sha256: Some(sha256_of(content)),
                }
            })
            .collect();
        Self {
            store,
            recorder: Arc::default(),
            objects,
            cancel: Cancel::new(),
        }
    }

    fn reader(&self, block_bytes: u64, in_flight: usize) -> ObjectsReader {
        ObjectsReader::new(
            self.store.clone(),
            self.objects.clone(),
            &DownloadOptions { block_bytes, in_flight },
            self.cancel.clone(),
            self.recorder.clone(),
        )
    }

    fn read(&self) -> Result<Vec<u8>> {
        let mut reader = self.reader(100, 3);
        let mut content = Vec::new();
        reader
            .read_to_end(&mut content)
            .map_err(|error| from_io("read", error))?;
        reader.verify()?;
        Ok(content)
    }
}

#[test]
fn objects_are_joined_in_order_and_verified() {
    let (first, second) = (noise(1050, 1), noise(333, 2));
    let run = Run::new(&[&first, b"", &second, b""], Faults::default());
    assert_eq!(run.read().unwrap(), [first, second].concat());
    assert_eq!(run.recorder.progress().snapshot().stored_bytes, 1383);
}

#[test]
fn no_objects_and_empty_objects_are_an_empty_stream() {
    assert_eq!(Run::new(&[], Faults::default()).read().unwrap(), b"");
    assert_eq!(Run::new(&[b"", b""], Faults::default()).read().unwrap(), b"");
}

#[test]
fn a_short_object_is_damaged() {
    let mut run = Run::new(&[&noise(1000, 1)], Faults::default());
    run.objects[0].bytes = 1001;
    let failure = run.read().unwrap_err();
    assert_eq!(failure.kind(), Kind::Damaged);
    assert!(failure.message().contains("1000 bytes instead of 1001"), "{failure:?}");
}

#[test]
fn a_long_object_is_damaged() {
    let content = noise(1000, 1);
    let mut run = Run::new(&[&content], Faults::default());
    run.objects[0].bytes = 999;
    run.objects[0].sha256 = Some(sha256_of(&content[..999]));
    let failure = run.read().unwrap_err();
    assert_eq!(failure.kind(), Kind::Damaged);
    assert!(failure.message().contains("1000 bytes instead of 999"), "{failure:?}");
}

#[test]
fn another_content_of_the_same_length_is_damaged() {
    let run = Run::new(&[&noise(500, 1), &noise(500, 2)], Faults::default());
    run.store.insert("data-1", &noise(500, 3));
    let failure = run.read().unwrap_err();
    assert_eq!(failure.kind(), Kind::Damaged);
    assert!(failure.message().contains("data-1"));
}

#[test]
fn a_missing_object_keeps_its_kind() {
    let run = Run::new(&[b"x"], Faults::default());
    run.store.delete(&Key::new("data-0")).unwrap();
    assert_eq!(run.read().unwrap_err().kind(), Kind::NotFound);
}

#[test]
fn verifying_before_the_end_is_a_failure() {
    let run = Run::new(&[&noise(500, 1)], Faults::default());
    let mut reader = run.reader(100, 2);
    reader.read_exact(&mut [0; 120]).unwrap();
    assert_eq!(reader.verify().map_err(|f| f.kind()), Err(Kind::Damaged));
}

#[test]
fn broken_connections_are_taken_up_where_they_broke() {
    let content = noise(1000, 1);
    let run = Run::new(
        &[&content],
        Faults {
            broken_reads: 2,
            ..Faults::default()
        },
    );
    assert_eq!(run.read().unwrap(), content);
    let events = run.recorder.events();
    assert!(
        events.iter().all(|event| matches!(event, Event::Retrying { .. })),
        "{events:?}"
    );
    assert_eq!(events.len(), 2);
    // Nothing was fetched twice.
    assert_eq!(run.recorder.progress().snapshot().stored_bytes, 1000);
}

#[test]
fn requests_run_at_once() {
    let content = noise(1000, 1);
    let run = Run::new(
        &[&content],
        Faults {
            delay: Some(Duration::from_millis(100)),
            ..Faults::default()
        },
    );
    let started = Instant::now();
    let mut read = Vec::new();
    run.reader(100, 5).read_to_end(&mut read).unwrap();
    assert_eq!(read, content);
    assert!(
        started.elapsed() < Duration::from_millis(900),
        "{:?}",
        started.elapsed()
    );
}

#[test]
fn a_cancellation_ends_the_wait() {
    let run = Run::new(
        &[&noise(1000, 1)],
        Faults {
            delay: Some(Duration::from_secs(5)),
            ..Faults::default()
        },
    );
    let cancel = run.cancel.clone();
    let canceller = std::thread::spawn(move || {
        std::thread::sleep(Duration::from_millis(50));
        cancel.cancel();
    });
    let started = Instant::now();
    let error = run.reader(100, 2).read(&mut [0; 10]).unwrap_err();
    assert_eq!(from_io("read", error).kind(), Kind::Interrupted);
    assert!(started.elapsed() < Duration::from_secs(4));
    canceller.join().unwrap();
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn any_objects_are_joined(
        lengths in proptest::collection::vec(0usize..600, 0..6),
        block_bytes in 1u64..500,
        in_flight in 1usize..5,
        read in 1usize..300,
    ) {
        let contents: Vec<Vec<u8>> = lengths.iter().enumerate().map(|(i, length)| noise(*length, i as u64)).collect();
        let slices: Vec<&[u8]> = contents.iter().map(Vec::as_slice).collect();
        let run = Run::new(&slices, Faults::default());
        let mut reader = run.reader(block_bytes, in_flight);
        let mut joined = Vec::new();
        let mut buffer = vec![0; read];
        loop {
            match reader.read(&mut buffer).unwrap() {
                0 => break,
                count => joined.extend_from_slice(&buffer[..count]),
            }
        }
        prop_assert_eq!(joined, contents.concat());
        reader.verify().unwrap();
    }
}
