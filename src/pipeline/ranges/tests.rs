// One wanted range is a list of ranges with one element, not a mistyped list of numbers.
#![allow(clippy::single_range_in_vec_init)]

use std::io::Write;
use std::sync::Mutex;

use proptest::prelude::*;

use super::*;
use crate::base::failure::from_io;
use crate::base::report::Recorder;
use crate::base::secret::SecretSource;
use crate::catalog::index::MemberSize;
use crate::pipeline::crypt::{Keys, KeysOptions, Recipients, Sealer, generate_identity};
use crate::pipeline::deflate::{DeflateOptions, MembersWriter};
use crate::pipeline::download::{ObjectsReader, StoredObject};
use crate::pipeline::inflate::{InflateOptions, MembersReader};
use crate::pipeline::stored::StoredStream;
use crate::pipeline::streams::StreamsReader;
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

/// Two streams in objects of `object_bytes`, made by a codec and encrypted if there are recipients.
struct Streams {
    store: Arc<TestStore>,
    data: StoredData,
    runs: Vec<MemberRun>,
    plain: Vec<u8>,
}

impl Streams {
    fn new(codec: Codec, recipients: Option<&Recipients>, keys: &Keys, object_bytes: usize) -> Self {
        let store = Arc::new(TestStore::new());
        let mut made = Self {
            store,
            data: StoredData {
                streams: Vec::new(),
                is_encrypted: Some(recipients.is_some()),
                keys: keys.clone(),
                ..StoredData::plain(Vec::new(), Some(codec))
            },
            runs: Vec::new(),
            plain: Vec::new(),
        };
        let mut compressed_start = 0;
        for stream in 0..2 {
            let runs = Arc::new(Mutex::new(Vec::new()));
            let kept = runs.clone();
            let on_run = Box::new(move |run| {
                kept.lock().unwrap().push(run);
                Ok(())
            });
            let options = DeflateOptions {
                codec,
                level: codec.level_default(),
                threads: 2,
            };
            let sealer = Sealer::new(Vec::new(), recipients).unwrap();
            let mut writer = MembersWriter::new(sealer, on_run, &options, &Cancel::new()).unwrap();
            let plain_start = made.plain.len() as u64;
            for piece in 0..10 {
                let content = noise(30_000, stream * 10 + piece);
                writer.cut().unwrap();
                writer.write_all(&content).unwrap();
                made.plain.extend(content);
            }
            let (sealer, report) = writer.finish().unwrap();
            let stored = sealer.finish().unwrap();
            for run in runs.lock().unwrap().drain(..) {
                made.runs.push(MemberRun {
                    plain_offset: run.plain_offset + plain_start,
                    stored_offset: run.stored_offset + compressed_start,
                    ..run
                });
            }
            compressed_start += report.stored_bytes;
            let objects = stored.chunks(object_bytes).enumerate().map(|(number, content)| {
                let key = format!("stream-{stream}-{number}");
                made.store.insert(&key, content);
                StoredObject {
                    key: Key::new(key),
                    bytes: content.len() as u64,
                    sha256: None,
                }
            });
            made.data.streams.push(StoredStream {
                objects: objects.collect(),
                compressed_bytes: Some(report.stored_bytes),
                plain_bytes: Some(report.plain_bytes),
                plain_sha256: Some(report.plain_sha256),
            });
        }
        made
    }

    fn ranges(&self, wanted: Vec<Range<u64>>) -> Result<(Vec<u8>, u64)> {
        let options = DownloadOptions {
            block_bytes: 100_000,
            in_flight: 2,
        };
        let mut reader = RangesReader::new(
            self.store.clone(),
            &self.data,
            &self.runs,
            wanted,
            &options,
            2,
            Cancel::new(),
            Arc::new(Recorder::default()),
        )?;
        let mut plain = Vec::new();
        reader.read_to_end(&mut plain).map_err(|error| from_io("read", error))?;
        Ok((plain, reader.transferred_bytes()))
    }

    /// The whole, and the digests of the streams.
    fn whole(&self) -> Result<(Vec<u8>, Vec<[u8; 32]>)> {
        let objects = ObjectsReader::new(
            self.store.clone(),
            self.data.objects(),
            &DownloadOptions::default(),
            Cancel::new(),
            Arc::new(Recorder::default()),
        );
        let options = InflateOptions {
            codec: self.data.codec,
            segment_ends: vec![300_000, 600_000],
            threads: 2,
        };
        let streams = StreamsReader::open(objects, self.data.clone())?;
        let mut reader = MembersReader::open(streams, options, &Cancel::new())?;
        let mut plain = Vec::new();
        reader.read_to_end(&mut plain).map_err(|error| from_io("read", error))?;
        let (streams, report) = reader.finish()?;
        streams.into_inner()?.verify()?;
        Ok((plain, report.plain_sha256s))
    }
}

#[test]
fn several_streams_are_read_whole_and_by_ranges_of_every_codec_encrypted_or_not() {
    let (secret, public) = generate_identity();
    let keys = Keys::new(KeysOptions {
        identity: Some(SecretSource::Text(secret)),
        ..KeysOptions::default()
    });
    let recipients = Recipients::of_keys(&[public.0]).unwrap();
    for codec in Codec::ALL {
        for recipients in [None, Some(&recipients)] {
            for object_bytes in [usize::MAX, 70_000] {
                let streams = Streams::new(codec, recipients, &keys, object_bytes);
                let (plain, digests) = streams.whole().unwrap();
                assert!(plain == streams.plain, "{codec}");
                let expected: Vec<_> = streams
                    .data
                    .streams
                    .iter()
                    .filter_map(|stream| stream.plain_sha256)
                    .collect();
                assert_eq!(digests, expected);
                // In the first, in the second, across both, and all.
                for wanted in [
                    0..1,
                    299_999..300_000,
                    300_000..300_001,
                    599_000..600_000,
                    290_000..310_000,
                    0..600_000,
                ] {
                    let (found, transferred) = streams.ranges(vec![wanted.clone()]).unwrap();
                    let expected = &streams.plain[wanted.start as usize..wanted.end as usize];
                    assert!(found == expected, "{codec} {wanted:?}");
                    if wanted.end - wanted.start == 1 {
                        assert!(transferred < 150_000, "{codec}: {transferred} bytes for one");
                    }
                }
            }
        }
    }
}

#[test]
fn encrypted_ranges_need_a_key_before_anything_is_read_and_tell_damage() {
    let (secret, public) = generate_identity();
    let keys = Keys::new(KeysOptions {
        identity: Some(SecretSource::Text(secret)),
        ..KeysOptions::default()
    });
    let recipients = Recipients::of_keys(&[public.0]).unwrap();
    let mut streams = Streams::new(Codec::None, Some(&recipients), &Keys::default(), usize::MAX);
    assert_eq!(streams.ranges(vec![0..1]).unwrap_err().kind(), Kind::WrongKey);
    assert_eq!(streams.whole().unwrap_err().kind(), Kind::WrongKey);
    streams.data.keys = keys;
    streams.ranges(vec![0..1]).unwrap();
    let mut content = streams.store.content("stream-1-0").unwrap();
    let last = content.len() - 1;
    content[last] ^= 1;
    streams.store.insert("stream-1-0", &content);
    streams.ranges(vec![0..300_000]).unwrap();
    assert_eq!(
        streams.ranges(vec![599_999..600_000]).unwrap_err().kind(),
        Kind::Damaged
    );
    assert_eq!(streams.whole().unwrap_err().kind(), Kind::Damaged);
    // A length that the manifest does not know.
    streams.data.streams[0].compressed_bytes = Some(299_999);
    assert_eq!(streams.ranges(vec![0..1]).unwrap_err().kind(), Kind::Damaged);
}

#[test]
fn a_piece_that_is_not_compressed_is_compared_with_the_checksum_of_the_index() {
    let mut streams = Streams::new(Codec::None, None, &Keys::default(), usize::MAX);
    streams.ranges(vec![0..600_000]).unwrap();
    let mut content = streams.store.content("stream-0-0").unwrap();
    content[40_000] ^= 1;
    streams.store.insert("stream-0-0", &content);
    streams.ranges(vec![0..30_000]).unwrap();
    assert_eq!(streams.ranges(vec![30_000..30_001]).unwrap_err().kind(), Kind::Damaged);
    // Without a checksum nothing would prove the piece.
    streams.runs[0].crc32s.clear();
    assert_eq!(streams.ranges(vec![0..1]).unwrap_err().kind(), Kind::Damaged);
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
