// One wanted range is a list of ranges with one element, not a mistyped list of numbers.
#![allow(clippy::single_range_in_vec_init)]

use std::io::Write;
use std::sync::Mutex;

use proptest::prelude::*;

use super::*;
use crate::base::failure::from_io;
use crate::base::report::Recorder;
use crate::catalog::index::MemberSize;
use crate::pipeline::deflate::{DeflateOptions, MembersWriter};
use crate::pipeline::download::StoredObject;
use crate::pipeline::testing::{Faults, TestStore, noise, prose};
use crate::store::Key;

/// A backup of some pieces, a member or more for each, in objects that are cut anywhere.
struct Backup {
    store: Arc<TestStore>,
    objects: Vec<StoredObject>,
    runs: Vec<MemberRun>,
    plain: Vec<u8>,
    options: DownloadOptions,
}

impl Backup {
    fn new(pieces: &[Vec<u8>], object_bytes: usize) -> Self {
        let runs = Arc::new(Mutex::new(Vec::new()));
        let kept = runs.clone();
        let on_run = Box::new(move |run| {
            kept.lock().unwrap().push(run);
            Ok(())
        });
        let options = DeflateOptions {
            level: 6,
            threads: 2,
            ..DeflateOptions::default()
        };
        let mut writer = MembersWriter::new(Vec::new(), on_run, &options, &Cancel::new()).unwrap();
        for piece in pieces {
            writer.cut().unwrap();
            writer.write_all(piece).unwrap();
        }
        let stored = writer.finish().unwrap().0;
        let store = Arc::new(TestStore::new());
        let mut objects = Vec::new();
        for (index, content) in stored.chunks(object_bytes).enumerate() {
            let key = format!("data-{index}");
            store.insert(&key, content);
            objects.push(StoredObject {
                key: Key::new(key),
                bytes: content.len() as u64,
                sha256: None,
            });
        }
        let runs = std::mem::take(&mut *runs.lock().unwrap());
        Self {
            store,
            objects,
            runs,
            plain: pieces.concat(),
            options: DownloadOptions {
                block_bytes: 1000,
                in_flight: 3,
            },
        }
    }

    fn reader(&self, wanted: Vec<Range<u64>>) -> Result<RangesReader> {
        let recorder = Arc::new(Recorder::default());
        let (store, objects) = (self.store.clone(), self.objects.clone());
        RangesReader::new(
            store,
            &StoredData::plain(objects, Some(Codec::Gzip)),
            &self.runs,
            wanted,
            &self.options,
            2,
            Cancel::new(),
            recorder,
        )
    }

    fn read(&self, wanted: &[Range<u64>]) -> Result<Vec<u8>> {
        let mut reader = self.reader(wanted.to_vec())?;
        let mut plain = Vec::new();
        reader.read_to_end(&mut plain).map_err(|error| from_io("read", error))?;
        assert_eq!(reader.read(&mut [0; 4]).unwrap(), 0, "the end stays the end");
        Ok(plain)
    }

    fn expected(&self, wanted: &[Range<u64>]) -> Vec<u8> {
        let slices = wanted
            .iter()
            .map(|range| &self.plain[range.start as usize..range.end as usize]);
        slices.collect::<Vec<_>>().concat()
    }

    fn stored_bytes(&self) -> u64 {
        self.objects.iter().map(|object| object.bytes).sum()
    }

    fn gets(&self) -> Vec<Range<u64>> {
        let mut gets = std::mem::take(&mut self.store.state.lock().unwrap().gets);
        gets.sort_by_key(|range| range.start);
        gets
    }
}

fn pieces(count: usize, length: usize) -> Vec<Vec<u8>> {
    (0..count).map(|index| noise(length, index as u64)).collect()
}

#[test]
fn one_piece_is_fetched_by_one_request_of_its_member_alone() {
    let backup = Backup::new(&pieces(1000, 2000), usize::MAX);
    let wanted = [2000 * 700..2000 * 701];
    let mut reader = backup.reader(wanted.to_vec()).unwrap();
    let mut plain = Vec::new();
    reader.read_to_end(&mut plain).unwrap();
    assert_eq!(plain, backup.expected(&wanted));
    assert!(
        reader.transferred_bytes() < 2100,
        "{} bytes",
        reader.transferred_bytes()
    );
    assert_eq!(backup.gets().len(), 1);
}

#[test]
fn neighbours_share_requests_and_distant_pieces_do_not() {
    let mut backup = Backup::new(&pieces(100, 20_000), usize::MAX);
    backup.options.block_bytes = 1024 * 1024;
    let wanted = [0..100, 60_000..60_100, 100_000..100_100, 1_900_000..1_900_100];
    assert_eq!(backup.read(&wanted).unwrap(), backup.expected(&wanted));
    assert_eq!(backup.gets().len(), 2);
}

#[test]
fn nothing_wanted_is_an_empty_stream_and_no_request() {
    let backup = Backup::new(&pieces(3, 100), usize::MAX);
    assert_eq!(backup.read(&[]).unwrap(), b"");
    assert_eq!(backup.read(&[5..5, 300..300]).unwrap(), b"");
    assert!(backup.gets().is_empty());
}

#[test]
fn everything_wanted_is_everything() {
    let backup = Backup::new(&[prose(3_000_000, 1), prose(500, 2)], 100_000);
    let all = 0..backup.plain.len() as u64;
    assert!(backup.read(&[all]).unwrap() == backup.plain);
    assert!(backup.stored_bytes() > 0);
}

#[test]
fn a_member_wanted_twice_in_a_row_is_fetched_once() {
    let backup = Backup::new(&pieces(4, 1000), usize::MAX);
    let wanted = [1100..1200, 1300..1400, 1250..1260];
    assert_eq!(backup.read(&wanted).unwrap(), backup.expected(&wanted));
    assert_eq!(backup.gets().len(), 1);
}

#[test]
fn ranges_out_of_order_come_in_the_order_asked_for() {
    let backup = Backup::new(&pieces(4, 1000), 700);
    let wanted = [2500..3500, 0..10, 2999..3001, 500..2600];
    assert_eq!(backup.read(&wanted).unwrap(), backup.expected(&wanted));
}

#[test]
fn bytes_that_the_index_does_not_place_are_damage() {
    let mut backup = Backup::new(&pieces(600, 10), usize::MAX);
    let end = backup.plain.len() as u64;
    for wanted in [end - 1..end + 1, end + 5..end + 6, 0..u64::MAX] {
        assert_eq!(backup.read(&[wanted]).unwrap_err().kind(), Kind::Damaged);
    }
    // A run is missing in the middle.
    assert_eq!(backup.runs.len(), 3);
    backup.runs.remove(1);
    assert_eq!(backup.read(&[2000..6000]).unwrap_err().kind(), Kind::Damaged);
    assert_eq!(backup.read(&[3000..3001]).unwrap_err().kind(), Kind::Damaged);
    assert_eq!(backup.read(&[0..2560]).unwrap(), backup.expected(&[0..2560]));
    assert_eq!(backup.read(&[5500..6000]).unwrap(), backup.expected(&[5500..6000]));
    backup.runs.clear();
    assert_eq!(backup.read(&[0..1]).unwrap_err().kind(), Kind::Damaged);
}

#[test]
fn an_index_that_is_not_that_of_the_data_is_damage() {
    let honest = Backup::new(&pieces(4, 1000), usize::MAX);
    let all = [0..4000];
    let spoil = |change: &dyn Fn(&mut MemberRun)| {
        let mut backup = Backup::new(&pieces(4, 1000), usize::MAX);
        change(&mut backup.runs[0]);
        let failure = backup.read(&all).unwrap_err();
        assert_eq!(failure.kind(), Kind::Damaged, "{failure:?}");
    };
    assert_eq!(honest.read(&all).unwrap(), honest.plain);
    spoil(&|run| run.stored_offset = 1);
    spoil(&|run| run.stored_offset = u64::MAX);
    spoil(&|run| run.members[1].stored += 1);
    spoil(&|run| run.members[1].stored = 0);
    spoil(&|run| run.members[1].stored = u32::MAX);
    spoil(&|run| run.members[3].stored += 1);
    spoil(&|run| run.members[1].plain = u32::MAX);
    spoil(&|run| {
        run.members[1].plain -= 1;
        run.members[2].plain += 1;
    });
    spoil(&|run| run.members[2] = MemberSize { plain: 0, stored: 30 });
}

#[test]
fn damaged_data_is_damage() {
    let backup = Backup::new(&pieces(4, 1000), usize::MAX);
    let mut content = backup.store.content("data-0").unwrap();
    let middle = content.len() / 2;
    content[middle] ^= 4;
    backup.store.insert("data-0", &content);
    assert_eq!(backup.read(&[0..4000]).unwrap_err().kind(), Kind::Damaged);
    assert_eq!(backup.read(&[0..1000]).unwrap(), backup.expected(&[0..1000]));
}

#[test]
fn a_broken_connection_is_taken_up_again() {
    let backup = Backup::new(&pieces(4, 1000), 1500);
    *backup.store.faults.lock().unwrap() = Faults {
        broken_reads: 2,
        ..Faults::default()
    };
    assert_eq!(backup.read(&[500..3500]).unwrap(), backup.expected(&[500..3500]));
}

#[test]
fn a_store_that_fails_comes_out_as_itself() {
    let backup = Backup::new(&pieces(4, 1000), usize::MAX);
    backup.store.delete(&Key::new("data-0")).unwrap();
    assert_eq!(backup.read(&[0..10]).unwrap_err().kind(), Kind::NotFound);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn any_ranges_are_read(
        lengths in proptest::collection::vec(0usize..3000, 1..40),
        cuts in proptest::collection::vec((any::<prop::sample::Index>(), any::<prop::sample::Index>()), 0..12),
        object_bytes in 200usize..20_000,
        block_bytes in 1u64..10_000,
        in_flight in 1usize..4,
    ) {
        let pieces: Vec<Vec<u8>> = lengths.iter().enumerate().map(|(i, length)| prose(*length, i as u64)).collect();
        let mut backup = Backup::new(&pieces, object_bytes);
        backup.options = DownloadOptions { block_bytes, in_flight };
        let total = backup.plain.len();
        let wanted: Vec<Range<u64>> = cuts
            .iter()
            .map(|(a, b)| (a.index(total + 1) as u64, b.index(total + 1) as u64))
            .map(|(a, b)| a.min(b)..a.max(b))
            .collect();
        prop_assert_eq!(backup.read(&wanted).unwrap(), backup.expected(&wanted));
    }
}
