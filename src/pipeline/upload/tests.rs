use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use proptest::prelude::*;

use super::*;
use crate::base::failure::from_io;
use crate::base::report::Recorder;
use crate::pipeline::digest::{md5_of, sha256_of};
use crate::pipeline::plan::Growth;
use crate::pipeline::testing::{Faults, TestStore, noise};
use crate::store::Role;

const KEY: &str = "backups/20250120/x_backup.sql.gz";

fn plan(part_bytes: u64, in_flight: usize) -> PartPlan {
    PartPlan {
        part_bytes,
        in_flight,
        parts_max: 10_000,
        growth: Growth::Fixed,
        object_bytes_max: u64::MAX,
    }
}

struct Run {
    store: Arc<TestStore>,
    recorder: Arc<Recorder>,
    cancel: Cancel,
}

impl Run {
    fn new(faults: Faults) -> Self {
        Self {
            store: Arc::new(TestStore::with_faults(faults)),
            recorder: Arc::default(),
            cancel: Cancel::new(),
        }
    }

    fn writer(&self, plan: PartPlan) -> PartsWriter {
        let options = PutOptions {
            role: Role::Data,
            token: "token-1".to_owned(),
            content_type: "application/gzip",
            metadata: BTreeMap::new(),
            lock: None,
        };
        let (store, reporter) = (self.store.clone(), self.recorder.clone());
        PartsWriter::new(store, Key::new(KEY), options, plan, self.cancel.clone(), reporter)
    }

    fn warnings(&self) -> Vec<String> {
        let events = self.recorder.events().into_iter();
        events
            .filter_map(|event| match event {
                Event::Warning(text) => Some(text),
                _ => None,
            })
            .collect()
    }

    /// Nothing can be seen, and nothing is left over.
    fn assert_clean(&self) {
        let state = self.store.state.lock().unwrap();
        assert!(state.objects.is_empty(), "{:?}", state.objects.keys());
        assert!(state.open.is_empty(), "{:?}", state.open);
    }
}

#[test]
fn a_stream_becomes_one_object_of_parts() {
    let run = Run::new(Faults::default());
    let content = noise(1000, 1);
    let mut writer = run.writer(plan(300, 3));
    writer.write_all(&content).unwrap();
    assert!(run.store.keys().is_empty(), "nothing is visible before the end");
    let uploaded = writer.finish().unwrap();
    assert_eq!(uploaded.len(), 1);
    let object = &uploaded[0];
    assert_eq!((object.parts, object.part_bytes, object.meta.bytes), (4, 300, 1000));
    assert_eq!(object.sha256, sha256_of(&content));
    assert_eq!(object.md5, md5_of(&content));
    assert_eq!(object.meta.etag.as_deref(), Some(object.etag_expected.as_str()));
    assert_eq!(object.token, "token-1");
    assert_eq!(run.store.content(KEY).unwrap(), content);
    assert_eq!(run.recorder.progress().snapshot().stored_bytes, 1000);
}

#[test]
fn a_stream_of_nothing_is_one_empty_part() {
    let run = Run::new(Faults::default());
    let uploaded = run.writer(plan(300, 3)).finish().unwrap();
    assert_eq!((uploaded[0].parts, uploaded[0].meta.bytes), (1, 0));
    assert_eq!(run.store.content(KEY).unwrap(), b"");
}

#[test]
fn a_stream_of_whole_parts_has_no_empty_one_at_its_end() {
    let run = Run::new(Faults::default());
    let mut writer = run.writer(plan(100, 2));
    writer.write_all(&noise(300, 1)).unwrap();
    assert_eq!(writer.finish().unwrap()[0].parts, 3);
}

#[test]
fn a_full_object_rolls_over_to_the_next() {
    let run = Run::new(Faults::default());
    let content = noise(1050, 2);
    let mut writer = run.writer(PartPlan {
        parts_max: 2,
        ..plan(100, 3)
    });
    for piece in content.chunks(33) {
        writer.write_all(piece).unwrap();
    }
    let uploaded = writer.finish().unwrap();
    let keys: Vec<&str> = uploaded.iter().map(|object| object.meta.key.as_str()).collect();
    assert_eq!(keys[0], KEY);
    assert_eq!(keys[1], format!("{KEY}.part-0002"));
    assert_eq!(keys.last().unwrap(), &format!("{KEY}.part-0006"));
    let joined: Vec<u8> = keys.iter().flat_map(|key| run.store.content(key).unwrap()).collect();
    assert_eq!(joined, content);
    for object in &uploaded {
        let content = run.store.content(object.meta.key.as_str()).unwrap();
        assert_eq!((object.sha256, object.md5), (sha256_of(&content), md5_of(&content)));
    }
}

#[test]
fn an_object_that_is_full_at_the_end_of_the_stream_has_no_empty_follower() {
    let run = Run::new(Faults::default());
    let mut writer = run.writer(PartPlan {
        parts_max: 2,
        ..plan(100, 3)
    });
    writer.write_all(&noise(200, 2)).unwrap();
    assert_eq!(writer.finish().unwrap().len(), 1);
}

#[test]
fn parts_grow_and_the_buffers_with_them() {
    const MIB: usize = 1024 * 1024;
    let run = Run::new(Faults::default());
    let content = noise(9 * MIB, 3);
    let mut writer = run.writer(PartPlan {
        growth: Growth::Grow {
            every_parts: 2,
            part_bytes_max: 2 * MIB as u64,
        },
        ..plan(MIB as u64, 2)
    });
    writer.write_all(&content).unwrap();
    let uploaded = writer.finish().unwrap();
    // 1 + 1 + 2 + 2 + 2 + 1
    assert_eq!((uploaded[0].parts, uploaded[0].part_bytes), (6, MIB as u64));
    assert!(run.store.content(KEY).unwrap() == content);
}

#[test]
fn parts_are_sent_at_once_and_no_more_than_planned() {
    let run = Run::new(Faults {
        delay: Some(Duration::from_millis(40)),
        ..Faults::default()
    });
    let mut writer = run.writer(plan(10, 3));
    writer.write_all(&noise(300, 4)).unwrap();
    writer.finish().unwrap();
    assert_eq!(run.store.state.lock().unwrap().in_flight_most, 3);
}

#[test]
fn a_store_that_keeps_the_bodies_does_not_stop_the_stream() {
    let run = Run::new(Faults {
        keep_bodies: true,
        ..Faults::default()
    });
    let content = noise(1000, 5);
    let mut writer = run.writer(plan(10, 2));
    writer.write_all(&content).unwrap();
    writer.finish().unwrap();
    let state = run.store.state.lock().unwrap();
    assert_eq!(state.bodies.iter().map(Bytes::len).sum::<usize>(), 1000);
    let mut pieces: Vec<&Bytes> = state.bodies.iter().collect();
    pieces.sort_by_key(|piece| content.windows(10).position(|window| window == &piece[..]));
    assert!(pieces.iter().flat_map(|piece| piece.iter()).eq(content.iter()));
}

#[test]
fn a_part_that_fails_for_good_fails_the_next_write_and_leaves_nothing() {
    let run = Run::new(Faults {
        fail_part: Some(3),
        delay: Some(Duration::from_millis(5)),
        ..Faults::default()
    });
    let mut writer = run.writer(plan(10, 2));
    let started = Instant::now();
    let error = (0..10_000)
        .find_map(|_| writer.write_all(&[7; 10]).err())
        .expect("the failure comes out of a write");
    assert!(started.elapsed() < Duration::from_secs(10));
    let failure = from_io("write", error);
    assert_eq!(
        (failure.kind(), failure.message(), failure.hints()),
        (
            Kind::Unreachable,
            "Could not send part 3",
            &["Test hint".to_owned()][..]
        )
    );
    assert!(run.store.content(KEY).is_none());
    let again = writer.finish().unwrap_err();
    assert_eq!(again.message(), "Could not send part 3");
    run.assert_clean();
}

#[test]
fn a_last_part_that_fails_fails_the_finish_and_leaves_nothing() {
    let run = Run::new(Faults {
        fail_part: Some(2),
        ..Faults::default()
    });
    let mut writer = run.writer(plan(10, 2));
    writer.write_all(&[7; 15]).unwrap();
    assert_eq!(writer.finish().unwrap_err().message(), "Could not send part 2");
    run.assert_clean();
    assert!(run.warnings().is_empty());
}

#[test]
fn dropping_or_aborting_leaves_nothing() {
    for drops in [true, false] {
        let run = Run::new(Faults::default());
        let mut writer = run.writer(PartPlan {
            parts_max: 2,
            ..plan(10, 2)
        });
        writer.write_all(&[7; 55]).unwrap();
        if drops {
            drop(writer);
        } else {
            writer.abort().unwrap();
        }
        run.assert_clean();
        assert_eq!(run.store.state.lock().unwrap().aborted.len(), 3);
        assert!(run.warnings().is_empty());
    }
}

#[test]
fn an_abort_that_fails_is_a_warning() {
    let run = Run::new(Faults {
        fail_abort: true,
        ..Faults::default()
    });
    let mut writer = run.writer(plan(10, 2));
    writer.write_all(&[7; 55]).unwrap();
    drop(writer);
    let warnings = run.warnings();
    assert_eq!(warnings.len(), 1);
    assert!(warnings[0].contains(KEY), "{warnings:?}");
    let mut writer = run.writer(plan(10, 2));
    writer.write_all(&[7; 55]).unwrap();
    assert_eq!(writer.abort().map_err(|f| f.kind()), Err(Kind::Unreachable));
}

#[test]
fn a_cancelled_writer_fails_and_leaves_nothing() {
    let run = Run::new(Faults::default());
    let mut writer = run.writer(plan(10, 2));
    writer.write_all(&[7; 55]).unwrap();
    run.cancel.cancel();
    let error = writer.write_all(&[7; 55]).unwrap_err();
    assert_eq!(from_io("write", error).kind(), Kind::Interrupted);
    assert_eq!(writer.finish().unwrap_err().kind(), Kind::Interrupted);
    run.assert_clean();
}

#[test]
fn a_key_that_is_taken_is_a_conflict_and_its_object_stays() {
    let run = Run::new(Faults::default());
    run.store.insert(KEY, b"somebody else's");
    let mut writer = run.writer(plan(10, 2));
    writer.write_all(&[7; 55]).unwrap();
    assert_eq!(writer.finish().unwrap_err().kind(), Kind::Conflict);
    assert_eq!(run.store.content(KEY).unwrap(), b"somebody else's");
    assert!(run.store.state.lock().unwrap().open.is_empty());
}

#[test]
fn an_object_that_is_not_what_was_sent_is_damaged_and_removed() {
    let run = Run::new(Faults {
        corrupt: true,
        ..Faults::default()
    });
    let mut writer = run.writer(plan(10, 2));
    writer.write_all(&[7; 55]).unwrap();
    let failure = writer.finish().unwrap_err();
    assert_eq!(failure.kind(), Kind::Damaged);
    assert!(failure.causes()[0].contains("entity tag"), "{failure:?}");
    run.assert_clean();
}

#[test]
fn a_later_object_that_cannot_be_completed_takes_the_earlier_ones_along() {
    let run = Run::new(Faults {
        fail_complete: Some(".part-0003"),
        ..Faults::default()
    });
    let mut writer = run.writer(PartPlan {
        parts_max: 2,
        ..plan(10, 2)
    });
    writer.write_all(&[7; 95]).unwrap();
    assert_eq!(writer.finish().unwrap_err().message(), "Could not complete");
    run.assert_clean();
    assert!(run.warnings().is_empty());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn any_stream_arrives_whatever_the_writes(
        length in 0usize..5000,
        write in 1usize..700,
        part_bytes in 1u64..400,
        parts_max in 1u32..20,
        object_bytes_max in 50u64..4000,
        in_flight in 1usize..4,
    ) {
        let run = Run::new(Faults::default());
        let content = noise(length, 9);
        let mut writer = run.writer(PartPlan { parts_max, object_bytes_max, ..plan(part_bytes, in_flight) });
        for piece in content.chunks(write) {
            writer.write_all(piece).unwrap();
        }
        let uploaded = writer.finish().unwrap();
        let joined: Vec<u8> = uploaded.iter().flat_map(|object| run.store.content(object.meta.key.as_str()).unwrap()).collect();
        prop_assert_eq!(joined, content);
        for object in &uploaded {
            prop_assert!(object.parts <= parts_max && object.meta.bytes <= object_bytes_max);
        }
    }
}
