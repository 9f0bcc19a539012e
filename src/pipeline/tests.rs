//! The whole way: members into parts into objects, and back.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::sync::{Arc, Mutex};

use super::deflate::{DeflateOptions, MEMBER_PLAIN_BYTES_MAX, MembersWriter};
use super::download::{DownloadOptions, ObjectsReader, StoredObject};
use super::inflate::{InflateOptions, MembersReader};
use super::plan::{Growth, PartPlan};
use super::ranges::RangesReader;
use super::stored::StoredData;
use super::testing::{Faults, TestStore, noise, prose};
use super::upload::{PartsWriter, UploadedObject};
use crate::base::cancel::Cancel;
use crate::base::failure::{Kind, from_io};
use crate::base::report::Recorder;
use crate::catalog::codec::Codec;
use crate::catalog::index::MemberRun;
use crate::store::{Key, PutOptions, Role};

/// Objects of at most 8 parts of 100 kB.
fn writer(store: &Arc<TestStore>, runs: &Arc<Mutex<Vec<MemberRun>>>) -> MembersWriter<PartsWriter> {
    let plan = PartPlan {
        part_bytes: 100_000,
        in_flight: 2,
        parts_max: 8,
        growth: Growth::Fixed,
        object_bytes_max: u64::MAX,
    };
    let options = PutOptions {
        role: Role::Data,
        token: "token".to_owned(),
        content_type: "application/gzip",
        metadata: BTreeMap::new(),
        lock: None,
    };
    let reporter = Arc::new(Recorder::default());
    let parts = PartsWriter::new(store.clone(), Key::new("data"), options, plan, Cancel::new(), reporter);
    let kept = runs.clone();
    let on_run = Box::new(move |run| {
        kept.lock().unwrap().push(run);
        Ok(())
    });
    MembersWriter::new(
        parts,
        on_run,
        &DeflateOptions {
            level: 6,
            threads: 2,
            ..DeflateOptions::default()
        },
        &Cancel::new(),
    )
    .unwrap()
}

fn stored(uploaded: &[UploadedObject]) -> Vec<StoredObject> {
    let object = |uploaded: &UploadedObject| StoredObject {
        key: uploaded.meta.key.clone(),
        bytes: uploaded.meta.bytes,
        sha256: Some(uploaded.sha256),
    };
    uploaded.iter().map(object).collect()
}

#[test]
fn a_stream_goes_up_in_several_objects_and_comes_back_whole_and_in_pieces() {
    let store = Arc::new(TestStore::new());
    let runs = Arc::default();
    let plain = [prose(2_000_000, 1), noise(1_800_000, 2), prose(500_000, 3)].concat();
    let mut members = writer(&store, &runs);
    for piece in plain.chunks(70_001) {
        members.write_all(piece).unwrap();
    }
    let (parts, report) = members.finish().unwrap();
    let uploaded = parts.finish().unwrap();
    assert!(uploaded.len() > 2);
    assert_eq!(
        uploaded.iter().map(|object| object.meta.bytes).sum::<u64>(),
        report.stored_bytes
    );

    let joined: Vec<u8> = uploaded
        .iter()
        .flat_map(|object| store.content(object.meta.key.as_str()).unwrap())
        .collect();
    let mut stock = Vec::new();
    flate2::read::MultiGzDecoder::new(&joined[..])
        .read_to_end(&mut stock)
        .unwrap();
    assert!(stock == plain, "a stock reader opens what `cat` joins");

    let options = DownloadOptions {
        block_bytes: 33_333,
        in_flight: 3,
    };
    let reporter = Arc::new(Recorder::default());
    let objects = ObjectsReader::new(
        store.clone(),
        stored(&uploaded),
        &options,
        Cancel::new(),
        reporter.clone(),
    );
    let mut reader = MembersReader::open(
        objects,
        InflateOptions {
            codec: Some(Codec::Gzip),
            threads: 2,
            ..InflateOptions::default()
        },
        &Cancel::new(),
    )
    .unwrap();
    let mut back = Vec::new();
    reader.read_to_end(&mut back).unwrap();
    assert!(back == plain);
    let (mut objects, read) = reader.finish().unwrap();
    objects.verify().unwrap();
    assert_eq!(
        (read.plain_bytes, read.plain_sha256s, read.members),
        (report.plain_bytes, vec![report.plain_sha256], report.members)
    );

    let wanted = 2_500_000..2_500_100;
    let runs = runs.lock().unwrap();
    let mut ranges = RangesReader::new(
        store,
        &StoredData::plain(stored(&uploaded), Some(Codec::Gzip)),
        &runs,
        vec![wanted],
        &options,
        2,
        Cancel::new(),
        reporter,
    )
    .unwrap();
    let mut piece = Vec::new();
    ranges.read_to_end(&mut piece).unwrap();
    assert_eq!(piece, plain[2_500_000..2_500_100]);
    assert!(ranges.transferred_bytes() < MEMBER_PLAIN_BYTES_MAX as u64 + 5000);
}

#[test]
fn a_stream_that_is_dropped_at_any_point_leaves_nothing() {
    for length in [0, 1, 1_000_000, 3_000_000] {
        let store = Arc::new(TestStore::new());
        let mut members = writer(&store, &Arc::default());
        members.write_all(&noise(length, 1)).unwrap();
        drop(members);
        let state = store.state.lock().unwrap();
        assert!(state.objects.is_empty() && state.open.is_empty());
    }
}

#[test]
fn a_part_that_fails_comes_out_of_the_writer_of_members_as_itself() {
    let store = Arc::new(TestStore::with_faults(Faults {
        fail_part: Some(2),
        ..Faults::default()
    }));
    let mut members = writer(&store, &Arc::default());
    let piece = noise(MEMBER_PLAIN_BYTES_MAX, 1);
    let error = (0..100).find_map(|_| members.write_all(&piece).err()).unwrap();
    let failure = from_io("write", error);
    assert_eq!(
        (failure.kind(), failure.message()),
        (Kind::Unreachable, "Could not send part 2")
    );
    drop(members);
    let state = store.state.lock().unwrap();
    assert!(state.objects.is_empty() && state.open.is_empty());
}
