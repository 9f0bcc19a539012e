use std::io::{BufRead, Read};
use std::process::{Command, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use proptest::prelude::*;

use super::*;
use crate::pipeline::digest::sha256_of;
use crate::pipeline::member::{Header, parse_header};
use crate::pipeline::testing::{noise, prose};

fn options(level: u32, threads: usize) -> DeflateOptions {
    DeflateOptions {
        codec: Codec::Gzip,
        level,
        threads,
    }
}

fn no_runs() -> OnRun {
    Box::new(|_| Ok(()))
}

/// Keeps the runs that are reported.
fn kept_runs() -> (Arc<Mutex<Vec<MemberRun>>>, OnRun) {
    let runs = Arc::new(Mutex::new(Vec::new()));
    let kept = runs.clone();
    let on_run: OnRun = Box::new(move |run| {
        kept.lock().unwrap().push(run);
        Ok(())
    });
    (runs, on_run)
}

/// Deflates the pieces, cutting between them; gives the stored bytes, the report and the runs.
fn deflate(pieces: &[&[u8]], level: u32, threads: usize) -> (Vec<u8>, MembersReport, Vec<MemberRun>) {
    let (runs, on_run) = kept_runs();
    let mut writer = MembersWriter::new(Vec::new(), on_run, &options(level, threads), &Cancel::new()).unwrap();
    for piece in pieces {
        writer.cut().unwrap();
        writer.write_all(piece).unwrap();
    }
    let total: usize = pieces.iter().map(|piece| piece.len()).sum();
    assert_eq!(writer.position(), total as u64);
    let (stored, report) = writer.finish().unwrap();
    let runs = std::mem::take(&mut *runs.lock().unwrap());
    (stored, report, runs)
}

fn gunzip(stored: &[u8]) -> Vec<u8> {
    let mut plain = Vec::new();
    flate2::read::MultiGzDecoder::new(stored)
        .read_to_end(&mut plain)
        .unwrap();
    plain
}

fn run_program(program: &str, arguments: &[&str], input: &[u8]) -> Vec<u8> {
    let mut child = Command::new(program)
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let input = input.to_vec();
    let feeder = std::thread::spawn(move || stdin.write_all(&input));
    let output = child.wait_with_output().unwrap();
    feeder.join().unwrap().unwrap();
    assert!(output.status.success(), "{program}");
    output.stdout
}

#[test]
fn a_stream_of_nothing_is_one_empty_member() {
    let (stored, report, runs) = deflate(&[b""], 6, 2);
    assert_eq!(gunzip(&stored), b"");
    assert_eq!((report.members, report.plain_bytes), (1, 0));
    assert_eq!(report.plain_sha256, sha256_of(b""));
    assert_eq!(runs.len(), 1);
    assert_eq!(runs[0].members, [MemberSize { plain: 0, stored: 33 }]);
}

#[test]
fn stock_programs_read_it() {
    let plain = prose(3 * MEMBER_PLAIN_BYTES_MAX + 12_345, 3);
    let (stored, ..) = deflate(&[&plain], 6, 2);
    assert!(gunzip(&stored) == plain);
    assert!(run_program("gzip", &["-dc"], &stored) == plain);
    let script = "import gzip,sys; sys.stdout.buffer.write(gzip.decompress(sys.stdin.buffer.read()))";
    assert!(run_program("python3", &["-c", script], &stored) == plain);
}

#[test]
fn the_bytes_do_not_depend_on_the_threads() {
    let mut plain = prose(2 * MEMBER_PLAIN_BYTES_MAX, 5);
    plain.extend(noise(MEMBER_PLAIN_BYTES_MAX + 77, 6));
    plain.extend(vec![0; MEMBER_PLAIN_BYTES_MAX]);
    plain.extend(prose(100_000, 8));
    for level in Codec::Gzip.levels() {
        let one = deflate(&[&plain], level, 1);
        assert_eq!(one.0, deflate(&[&plain], level, 3).0, "level {level}");
        assert!(gunzip(&one.0) == plain, "level {level}");
        assert_eq!(one.1.plain_sha256, sha256_of(&plain));
        assert_eq!(one.1.stored_bytes, one.0.len() as u64);
    }
}

#[test]
fn a_cut_begins_a_member_and_never_an_empty_one() {
    let mut writer = MembersWriter::new(Vec::new(), no_runs(), &options(6, 2), &Cancel::new()).unwrap();
    writer.cut().unwrap();
    writer.write_all(b"one").unwrap();
    writer.cut().unwrap();
    writer.cut().unwrap();
    writer.flush().unwrap();
    writer.write_all(b"two").unwrap();
    writer.flush().unwrap();
    writer.write_all(b"three").unwrap();
    writer.cut().unwrap();
    let (stored, report) = writer.finish().unwrap();
    assert_eq!(report.members, 2);
    let Header::Ours { stored_bytes } = parse_header(&stored) else {
        panic!("not ours");
    };
    assert_eq!(gunzip(&stored[..stored_bytes as usize]), b"one");
    assert_eq!(gunzip(&stored[stored_bytes as usize..]), b"twothree");
}

#[test]
fn runs_name_every_member_in_order() {
    let pieces: Vec<Vec<u8>> = (0..600).map(|i| vec![b'x'; i % 7 + 1]).collect();
    let slices: Vec<&[u8]> = pieces.iter().map(Vec::as_slice).collect();
    let (stored, report, runs) = deflate(&slices, 1, 2);
    assert_eq!(
        runs.iter().map(|run| run.members.len()).collect::<Vec<_>>(),
        [256, 256, 88]
    );
    let (mut plain_at, mut stored_at) = (0u64, 0u64);
    for run in &runs {
        assert_eq!((run.plain_offset, run.stored_offset), (plain_at, stored_at));
        for member in &run.members {
            let at = stored_at as usize;
            assert_eq!(
                parse_header(&stored[at..]),
                Header::Ours {
                    stored_bytes: member.stored
                }
            );
            plain_at += u64::from(member.plain);
            stored_at += u64::from(member.stored);
        }
    }
    assert_eq!((plain_at, stored_at), (report.plain_bytes, report.stored_bytes));
    assert_eq!(report.members, 600);
}

/// A sink that fails after some bytes, counts, and says when it is dropped.
struct Sink {
    room: usize,
    written: Arc<AtomicUsize>,
    dropped: Arc<AtomicBool>,
    delay: Duration,
}

impl Write for Sink {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        std::thread::sleep(self.delay);
        if self.room < bytes.len() {
            return Err(into_io(
                Failure::new(Kind::NoSpace, "The sink is full").hint("Empty it"),
            ));
        }
        self.room -= bytes.len();
        self.written.fetch_add(bytes.len(), Ordering::SeqCst);
        Ok(bytes.len())
    }
    fn flush(&mut self) -> io::Result<()> {
        panic!("nobody asked for a flush")
    }
}

impl Drop for Sink {
    fn drop(&mut self) {
        self.dropped.store(true, Ordering::SeqCst);
    }
}

fn sink(room: usize) -> (Sink, Arc<AtomicUsize>, Arc<AtomicBool>) {
    let (written, dropped) = (Arc::default(), Arc::default());
    let sink = Sink {
        room,
        written: Arc::clone(&written),
        dropped: Arc::clone(&dropped),
        delay: Duration::ZERO,
    };
    (sink, written, dropped)
}

#[test]
fn a_failing_sink_comes_out_of_a_later_write_as_itself() {
    let (sink, _, dropped) = sink(2_000_000);
    let mut writer = MembersWriter::new(sink, no_runs(), &options(1, 2), &Cancel::new()).unwrap();
    let plain = noise(MEMBER_PLAIN_BYTES_MAX, 1);
    let error = (0..100)
        .find_map(|_| writer.write_all(&plain).err())
        .expect("the failure comes within a bounded number of members");
    let failure = from_io("write", error);
    assert_eq!(failure.kind(), Kind::NoSpace);
    assert_eq!(failure.message(), "The sink is full");
    assert_eq!(failure.hints(), ["Empty it"]);
    // It stays failed, in the same words.
    assert_eq!(writer.cut().map_err(|f| f.kind()), Err(Kind::NoSpace));
    let failure = writer.finish().err().unwrap();
    assert_eq!((failure.kind(), failure.message()), (Kind::NoSpace, "The sink is full"));
    assert!(dropped.load(Ordering::SeqCst));
}

#[test]
fn a_sink_that_fails_at_the_very_end_fails_the_finish() {
    let (sink, ..) = sink(10);
    let mut writer = MembersWriter::new(sink, no_runs(), &options(6, 2), &Cancel::new()).unwrap();
    writer.write_all(b"a few bytes").unwrap();
    assert_eq!(writer.finish().err().map(|f| f.kind()), Some(Kind::NoSpace));
}

#[test]
fn a_failing_run_callback_fails_the_stream() {
    let on_run: OnRun = Box::new(|_| Err(Failure::new(Kind::NoSpace, "No room for the index")));
    let mut writer = MembersWriter::new(Vec::new(), on_run, &options(6, 2), &Cancel::new()).unwrap();
    writer.write_all(b"a few bytes").unwrap();
    let failure = writer.finish().err().unwrap();
    assert_eq!(failure.message(), "No room for the index");
}

#[test]
fn a_panicking_sink_is_a_failure_and_not_an_end() {
    struct Panics;
    impl Write for Panics {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            panic!("on purpose")
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let mut writer = MembersWriter::new(Panics, no_runs(), &options(6, 2), &Cancel::new()).unwrap();
    writer.write_all(b"a few bytes").unwrap();
    assert!(writer.finish().is_err());
}

#[test]
fn dropping_the_writer_drops_the_sink_and_writes_nothing_more() {
    let (mut sink, written, dropped) = sink(usize::MAX);
    sink.delay = Duration::from_millis(20);
    let mut writer = MembersWriter::new(sink, no_runs(), &options(1, 2), &Cancel::new()).unwrap();
    writer.write_all(&noise(3 * MEMBER_PLAIN_BYTES_MAX, 1)).unwrap();
    writer.write_all(b"a rest that is no whole block").unwrap();
    drop(writer);
    assert!(dropped.load(Ordering::SeqCst));
    let after = written.load(Ordering::SeqCst);
    assert!(after <= 3 * STORED_BYTES_MAX);
    std::thread::sleep(Duration::from_millis(50));
    assert_eq!(written.load(Ordering::SeqCst), after);
}

#[test]
fn a_cancellation_ends_a_writer_that_waits_for_its_sink() {
    let cancel = Cancel::new();
    let (mut sink, ..) = sink(usize::MAX);
    sink.delay = Duration::from_millis(300);
    let mut writer = MembersWriter::new(sink, no_runs(), &options(1, 2), &cancel).unwrap();
    let token = cancel.clone();
    let canceller = std::thread::spawn(move || {
        std::thread::sleep(Duration::from_millis(100));
        token.cancel();
    });
    let started = Instant::now();
    let plain = vec![7; MEMBER_PLAIN_BYTES_MAX];
    let error = (0..1000).find_map(|_| writer.write_all(&plain).err()).unwrap();
    assert_eq!(from_io("write", error).kind(), Kind::Interrupted);
    assert!(started.elapsed() < Duration::from_secs(20));
    canceller.join().unwrap();
    assert_eq!(writer.finish().err().map(|f| f.kind()), Some(Kind::Interrupted));
    let refused = MembersWriter::new(Vec::new(), no_runs(), &options(1, 2), &cancel);
    assert_eq!(refused.err().map(|f| f.kind()), Some(Kind::Interrupted));
}

#[test]
fn memory_bounds_the_threads() {
    assert_eq!(threads_within_memory(&options(6, 0)), 1);
    assert_eq!(threads_within_memory(&options(6, 2)), 2);
    for level in Codec::Gzip.levels() {
        let threads = threads_within_memory(&options(level, 1000));
        assert!((4..=16).contains(&threads), "level {level}: {threads}");
    }
    // The default level has the tables of two.
    assert!(thread_bytes(Codec::Gzip, LEVEL_DEFAULT) > thread_bytes(Codec::Gzip, LEVEL_DEFAULT + 1));
}

#[test]
fn levels_outside_the_range_are_refused() {
    for level in [0, 13] {
        let writer = MembersWriter::new(Vec::new(), no_runs(), &options(level, 1), &Cancel::new());
        assert_eq!(writer.err().map(|f| f.kind()), Some(Kind::Usage));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn any_stream_comes_back_whatever_the_writes(
        lengths in proptest::collection::vec(prop_oneof![0usize..300, 0usize..700_000], 0..6),
        seed in any::<u64>(),
        level in 1u32..=9,
        threads in 1usize..4,
    ) {
        let pieces: Vec<Vec<u8>> = lengths.iter().enumerate().map(|(i, length)| prose(*length, seed ^ i as u64)).collect();
        let slices: Vec<&[u8]> = pieces.iter().map(Vec::as_slice).collect();
        let (stored, report, runs) = deflate(&slices, level, threads);
        let plain = pieces.concat();
        prop_assert!(gunzip(&stored) == plain);
        prop_assert_eq!(report.plain_sha256, sha256_of(&plain));
        prop_assert_eq!(runs.iter().map(|run| run.members.len() as u64).sum::<u64>(), report.members);
        // A cut decides where members begin: each piece is a stream of its own.
        let mut reader = flate2::bufread::MultiGzDecoder::new(&stored[..]);
        prop_assert!(reader.read_to_end(&mut Vec::new()).is_ok());
        prop_assert!(reader.get_mut().fill_buf().unwrap().is_empty());
    }
}

#[test]
fn what_belongs_together_stands_in_one_member_where_it_is_short_enough() {
    let (runs, on_run) = kept_runs();
    let mut writer = MembersWriter::new(Vec::new(), on_run, &options(1, 1), &Cancel::new()).unwrap();
    let long = TOGETHER_BYTES_MAX + 1;
    // Nothing to end, fits to the byte, does not fit, is too long to be kept together.
    let pieces = [
        3 * 1024,
        MEMBER_PLAIN_BYTES_MAX - 3 * 1024,
        1000,
        MEMBER_PLAIN_BYTES_MAX - 1000 - 5,
        6,
        long,
    ];
    let mut plain = Vec::new();
    for (number, bytes) in pieces.into_iter().enumerate() {
        let piece = noise(bytes, number as u64);
        plain.extend_from_slice(&piece);
        // What is not wanted after all leaves no trace.
        writer
            .write_together(bytes, &mut |block| {
                assert!(block.capacity() - block.len() >= bytes);
                block.extend_from_slice(&piece[1..]);
                false
            })
            .unwrap();
        writer
            .write_together(bytes, &mut |block| {
                block.extend_from_slice(&piece);
                true
            })
            .unwrap();
        assert_eq!(writer.position(), plain.len() as u64);
    }
    writer.write_together(MEMBER_PLAIN_BYTES_MAX, &mut |_| true).unwrap();
    let (stored, _) = writer.finish().unwrap();
    assert!(gunzip(&stored) == plain);
    let members: Vec<u32> = runs
        .lock()
        .unwrap()
        .iter()
        .flat_map(|run| run.members.iter().map(|member| member.plain))
        .collect();
    let full = MEMBER_PLAIN_BYTES_MAX as u32;
    assert_eq!(members, [full, full - 5, 6 + long as u32]);
}

#[test]
fn more_than_was_announced_is_refused() {
    let mut writer = MembersWriter::new(Vec::new(), no_runs(), &options(1, 1), &Cancel::new()).unwrap();
    let failure = writer
        .write_together(3, &mut |block| {
            block.extend_from_slice(b"four");
            true
        })
        .unwrap_err();
    assert!(failure.message().contains("which is a bug"), "{failure}");
}

#[test]
fn at_the_default_level_great_variety_is_compressed_as_at_the_level_below() {
    let rows: Vec<u8> = (0..12_000)
        .flat_map(|row| {
            let (words, state) = (prose(40, row), ["paid", "sent", "new"][row as usize * 7 % 3]);
            [
                format!("{row}\t{}\t{state}\t", row * 13 % 100).as_bytes(),
                &words,
                b"\n",
            ]
            .concat()
        })
        .collect();
    let stored = |level: u32, plain: &[u8]| deflate(&[plain], level, 1).0;
    // A hundred and fifty words, of which hardly any two follow each other twice within a window.
    let letters = noise(1_050, 3);
    let words: Vec<&[u8]> = letters.chunks(7).collect();
    let speech: Vec<u8> = noise(200_000, 4)
        .chunks(2)
        .flat_map(|choice| words[(usize::from(choice[0]) << 8 | usize::from(choice[1])) % words.len()])
        .copied()
        .collect();
    assert!(stored(6, &speech) == stored(5, &speech));
    assert!(stored(7, &speech) != stored(6, &speech));
    assert!(stored(6, &rows).len() < stored(5, &rows).len());
    assert!(gunzip(&stored(6, &rows)) == rows);
}
