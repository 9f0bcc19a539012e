use std::io::Write;
use std::time::{Duration, Instant};

use proptest::prelude::*;

use super::*;
use crate::pipeline::deflate::{DeflateOptions, MEMBER_PLAIN_BYTES_MAX, MembersWriter};
use crate::pipeline::digest::sha256_of;
use crate::pipeline::testing::{noise, prose};

/// Members of ours, one for each piece.
fn ours(pieces: &[&[u8]]) -> Vec<u8> {
    let options = DeflateOptions {
        level: 6,
        threads: 2,
        ..DeflateOptions::default()
    };
    let mut writer = MembersWriter::new(Vec::new(), Box::new(|_| Ok(())), &options, &Cancel::new()).unwrap();
    for piece in pieces {
        writer.cut().unwrap();
        writer.write_all(piece).unwrap();
    }
    writer.finish().unwrap().0
}

/// One member as gzip(1) makes it, with a name.
fn foreign(plain: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::GzBuilder::new()
        .filename("dump.sql")
        .mtime(1_700_000_000)
        .write(Vec::new(), flate2::Compression::default());
    encoder.write_all(plain).unwrap();
    encoder.finish().unwrap()
}

fn read_from(
    reader: Result<MembersReader<impl Read + Send + 'static>>,
) -> Result<(Vec<u8>, PlainReport), (Vec<u8>, Failure)> {
    let mut reader = reader.map_err(|failure| (Vec::new(), failure))?;
    let mut plain = Vec::new();
    if let Err(error) = reader.read_to_end(&mut plain) {
        return Err((plain, from_io("read", error)));
    }
    assert_eq!(reader.plain_bytes(), plain.len() as u64);
    match reader.finish() {
        Ok((_, report)) => {
            assert_eq!(report.plain_bytes, plain.len() as u64);
            assert_eq!(report.plain_sha256s, [sha256_of(&plain)]);
            Ok((plain, report))
        }
        Err(failure) => Err((plain, failure)),
    }
}

fn gzip_only() -> InflateOptions {
    InflateOptions {
        codec: Some(Codec::Gzip),
        threads: 2,
        ..InflateOptions::default()
    }
}

fn read(stored: &[u8]) -> Result<(Vec<u8>, PlainReport), (Vec<u8>, Failure)> {
    let input = io::Cursor::new(stored.to_vec());
    read_from(MembersReader::open(input, gzip_only(), &Cancel::new()))
}

fn read_anything(stored: &[u8]) -> (Vec<u8>, PlainReport) {
    let input = io::Cursor::new(stored.to_vec());
    read_from(MembersReader::new(input, 2, &Cancel::new())).unwrap()
}

fn damage(stored: &[u8]) -> String {
    let (_, failure) = read(stored).unwrap_err();
    assert_eq!(failure.kind(), Kind::Damaged, "{failure:?}");
    failure.message().to_owned()
}

#[test]
fn our_members_come_back_in_order() {
    let plain = [
        prose(3 * MEMBER_PLAIN_BYTES_MAX, 1),
        noise(MEMBER_PLAIN_BYTES_MAX + 5, 2),
    ]
    .concat();
    let (read_back, report) = read(&ours(&[&plain])).unwrap();
    assert!(read_back == plain);
    assert_eq!((report.members, report.codec), (5, Codec::Gzip));
}

#[test]
fn an_empty_member_is_an_empty_stream() {
    assert_eq!(read(&ours(&[b""])).unwrap().0, b"");
    assert_eq!(read(&foreign(b"")).unwrap().0, b"");
}

#[test]
fn foreign_members_of_any_length_and_number_are_read() {
    let plain = prose(3 * MEMBER_PLAIN_BYTES_MAX + 17, 1);
    assert!(read(&foreign(&plain)).unwrap().0 == plain);
    let two = [foreign(&plain), foreign(b"and more")].concat();
    let (read_back, report) = read(&two).unwrap();
    assert!(read_back == [&plain[..], b"and more"].concat());
    assert_eq!(report.members, 2);
}

#[test]
fn ours_and_foreign_members_may_follow_each_other() {
    let stored = [
        ours(&[b"one ", b"two "]),
        foreign(b"three "),
        ours(&[b"four "]),
        foreign(b""),
        ours(&[b"five"]),
    ];
    let (plain, report) = read(&stored.concat()).unwrap();
    assert_eq!(plain, b"one two three four five");
    assert_eq!(report.members, 6);
}

#[test]
fn zeros_after_the_end_are_padding_and_anything_else_is_damage() {
    for stored in [ours(&[b"content"]), foreign(b"content")] {
        for zeros in [1, 7, 10_240, 500_000] {
            let padded = [stored.clone(), vec![0; zeros]].concat();
            assert_eq!(read(&padded).unwrap().0, b"content");
            let end = stored.len() + zeros;
            let spoiled = [padded, b"x".to_vec()].concat();
            assert!(damage(&spoiled).ends_with(&format!("at byte {end}")));
        }
        let followed = [stored.clone(), b"garbage".to_vec()].concat();
        assert!(damage(&followed).ends_with(&format!("at byte {}", stored.len())));
    }
}

#[test]
fn what_is_not_gzip_is_passed_through_or_damaged_as_asked() {
    for plain in [
        &b"-- PostgreSQL database dump\n"[..],
        b"",
        b"\x1f",
        b"\0\0\0",
        &prose(3 * MEMBER_PLAIN_BYTES_MAX, 1),
    ] {
        let (passed, report) = read_anything(plain);
        assert!(passed == plain);
        assert_eq!((report.codec, report.members), (Codec::None, 0));
        damage(plain);
    }
    let (plain, report) = read_anything(&ours(&[b"text"]));
    assert_eq!((plain.as_slice(), report.codec), (&b"text"[..], Codec::Gzip));
}

#[test]
fn a_cut_at_any_byte_is_damage_and_says_where() {
    let streams = [
        ours(&[b"first piece", b"", &noise(300, 1)]),
        foreign(&prose(2000, 2)),
        [ours(&[b"ours"]), foreign(b"theirs")].concat(),
        [foreign(b"theirs"), ours(&[b"ours"])].concat(),
    ];
    for stored in streams {
        let (whole, _) = read(&stored).unwrap();
        for cut in 0..stored.len() {
            match read(&stored[..cut]) {
                // A stream that ends between two members is a whole stream; its length is known elsewhere.
                Ok((plain, _)) => {
                    assert!(cut > 0 && whole.starts_with(&plain) && plain.len() < whole.len());
                    assert!(parse_header(&stored[cut..]) != Header::Other, "cut at {cut}");
                }
                Err((plain, failure)) => {
                    assert_eq!(failure.kind(), Kind::Damaged, "cut at {cut}: {failure:?}");
                    assert!(whole.starts_with(&plain));
                    if cut > 1 {
                        let place = format!("byte {cut}");
                        assert!(
                            failure.message().contains(&place),
                            "cut at {cut}: {}",
                            failure.message()
                        );
                    }
                }
            }
        }
    }
}

#[test]
fn a_header_that_lies_about_its_length_is_damage() {
    let honest = ours(&[&prose(5000, 1)]);
    let next = ours(&[b"next"]);
    let length = honest.len() as u32;
    for lie in [
        0,
        1,
        29,
        length - 1,
        length + 1,
        length + next.len() as u32,
        1024 * 1024,
        0x7fff_ffff,
        u32::MAX,
    ] {
        let mut stored = [honest.clone(), next.clone()].concat();
        stored[16..20].copy_from_slice(&lie.to_le_bytes());
        damage(&stored);
    }
    // Equal members: the checksum of the second is the first one's, too.
    let mut stored = ours(&[b"same", b"same"]);
    let both = stored.len() as u32;
    stored[16..20].copy_from_slice(&both.to_le_bytes());
    assert!(damage(&stored).contains("lies about its length"));
}

#[test]
fn a_trailer_that_claims_too_much_is_damage() {
    let mut stored = ours(&[b"text"]);
    let end = stored.len();
    stored[end - 4..].copy_from_slice(&u32::MAX.to_le_bytes());
    assert!(damage(&stored).contains("claims more plaintext"));
}

#[test]
fn plaintext_before_the_damage_is_delivered() {
    let mut stored = ours(&[b"good one", b"good two", b"bad"]);
    let end = stored.len();
    stored[end - 6] ^= 1;
    let (plain, failure) = read(&stored).unwrap_err();
    assert_eq!(plain, b"good onegood two");
    assert_eq!(failure.kind(), Kind::Damaged);
}

/// Yields some bytes and then fails, for ever.
struct Failing(io::Cursor<Vec<u8>>);

impl Read for Failing {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self.0.read(buffer)? {
            0 => Err(into_io(
                Failure::new(Kind::Unreachable, "The network is gone").hint("Plug it in"),
            )),
            count => Ok(count),
        }
    }
}

#[test]
fn a_failing_input_comes_out_as_itself_wherever_it_fails() {
    for stored in [
        ours(&[&prose(500, 1), b"x"]),
        foreign(&prose(500, 1)),
        b"plain text".to_vec(),
        [ours(&[b"x"]), vec![0; 20]].concat(),
    ] {
        for cut in 0..=stored.len() {
            let input = Failing(io::Cursor::new(stored[..cut].to_vec()));
            let (_, failure) = read_from(MembersReader::new(input, 1, &Cancel::new())).unwrap_err();
            assert_eq!(
                (failure.kind(), failure.hints()),
                (Kind::Unreachable, &["Plug it in".to_owned()][..]),
                "cut at {cut}: {failure:?}"
            );
        }
    }
}

#[test]
fn a_failure_stays_and_is_never_followed_by_an_end() {
    let stored = ours(&[&prose(500, 1)]);
    let input = io::Cursor::new(stored[..100].to_vec());
    let mut reader = MembersReader::new(input, 2, &Cancel::new()).unwrap();
    let mut buffer = [0; 64];
    for _ in 0..3 {
        assert!(reader.read(&mut buffer).is_err());
    }
    assert_eq!(reader.finish().err().map(|f| f.kind()), Some(Kind::Damaged));
}

#[test]
fn finishing_reads_the_rest_and_gives_the_input_back() {
    let stored = ours(&[b"first", b"second"]);
    let length = stored.len() as u64;
    let mut reader = MembersReader::new(io::Cursor::new(stored), 2, &Cancel::new()).unwrap();
    reader.read_exact(&mut [0; 3]).unwrap();
    assert_eq!(reader.plain_bytes(), 3);
    let (input, report) = reader.finish().unwrap();
    assert_eq!(input.position(), length);
    assert_eq!(report.plain_sha256s, [sha256_of(b"firstsecond")]);
}

#[test]
fn lines_can_be_read() {
    let reader = MembersReader::new(io::Cursor::new(ours(&[b"one\ntw", b"o\nthree"])), 2, &Cancel::new()).unwrap();
    let lines: Vec<String> = reader.lines().map(|line| line.unwrap()).collect();
    assert_eq!(lines, ["one", "two", "three"]);
}

#[test]
fn a_panicking_input_is_a_failure_and_not_an_end() {
    struct Panics;
    impl Read for Panics {
        fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
            panic!("on purpose")
        }
    }
    let mut reader = MembersReader::new(Panics, 1, &Cancel::new()).unwrap();
    assert!(reader.read(&mut [0; 10]).is_err());
}

#[test]
fn a_reader_whose_input_hangs_can_be_cancelled_and_dropped() {
    struct Hangs;
    impl Read for Hangs {
        fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
            std::thread::sleep(Duration::from_secs(5));
            Ok(0)
        }
    }
    let cancel = Cancel::new();
    let mut reader = MembersReader::new(Hangs, 1, &cancel).unwrap();
    let token = cancel.clone();
    let canceller = std::thread::spawn(move || {
        std::thread::sleep(Duration::from_millis(50));
        token.cancel();
    });
    let started = Instant::now();
    let error = reader.read(&mut [0; 10]).unwrap_err();
    assert_eq!(from_io("read", error).kind(), Kind::Interrupted);
    drop(reader);
    assert!(started.elapsed() < Duration::from_secs(4));
    canceller.join().unwrap();
}

#[test]
fn a_reader_that_nobody_reads_holds_only_so_much() {
    struct Endless(Vec<u8>, std::sync::Arc<std::sync::atomic::AtomicU64>);
    impl Read for Endless {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            let count = buffer.len().min(self.0.len());
            buffer[..count].copy_from_slice(&self.0[..count]);
            self.0.rotate_left(count);
            self.1.fetch_add(count as u64, std::sync::atomic::Ordering::SeqCst);
            Ok(count)
        }
    }
    let taken = std::sync::Arc::default();
    let member = ours(&[&noise(MEMBER_PLAIN_BYTES_MAX, 1)]);
    let reader = MembersReader::new(Endless(member, Arc::clone(&taken)), 2, &Cancel::new()).unwrap();
    std::thread::sleep(Duration::from_millis(300));
    assert!(taken.load(std::sync::atomic::Ordering::SeqCst) < 8 * MEMBER_PLAIN_BYTES_MAX as u64);
    drop(reader);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn any_mixture_comes_back(
        pieces in proptest::collection::vec((any::<bool>(), 0usize..5000), 1..6),
        threads in 1usize..4,
        read_bytes in 1usize..4000,
    ) {
        let mut stored = Vec::new();
        let mut plain = Vec::new();
        for (index, (is_ours, length)) in pieces.iter().enumerate() {
            let piece = prose(*length, index as u64);
            stored.extend(if *is_ours { ours(&[&piece]) } else { foreign(&piece) });
            plain.extend(piece);
        }
        let mut reader = MembersReader::new(io::Cursor::new(stored), threads, &Cancel::new()).unwrap();
        let mut read_back = Vec::new();
        let mut buffer = vec![0; read_bytes];
        loop {
            match reader.read(&mut buffer).unwrap() {
                0 => break,
                count => read_back.extend_from_slice(&buffer[..count]),
            }
        }
        prop_assert!(read_back == plain);
        prop_assert_eq!(reader.finish().unwrap().1.plain_sha256s, [sha256_of(&plain)]);
    }

    #[test]
    fn a_changed_byte_never_gives_other_content(
        at in any::<prop::sample::Index>(),
        flip in 1u8..=255,
        seed in any::<u64>(),
    ) {
        let mut stored = [ours(&[&prose(400, seed), b"more"]), foreign(&prose(300, seed ^ 1)), ours(&[b"end"])].concat();
        let (whole, _) = read(&stored).unwrap();
        let at = at.index(stored.len());
        stored[at] ^= flip;
        match read(&stored) {
            Ok((plain, _)) => prop_assert_eq!(plain, whole),
            Err((plain, failure)) => {
                prop_assert_eq!(failure.kind(), Kind::Damaged);
                // A streamed member is proven at its end only.
                prop_assert!(plain.len() <= whole.len() + 2000);
            }
        }
    }
}

/// Zstandard members of ours, one for each piece.
fn ours_by_zstd(pieces: &[&[u8]]) -> Vec<u8> {
    let options = DeflateOptions {
        codec: Codec::Zstd,
        level: 3,
        threads: 2,
    };
    let mut writer = MembersWriter::new(Vec::new(), Box::new(|_| Ok(())), &options, &Cancel::new()).unwrap();
    for piece in pieces {
        writer.cut().unwrap();
        writer.write_all(piece).unwrap();
    }
    writer.finish().unwrap().0
}

/// One frame as zstd(1) makes it of a pipe: of unknown size.
fn foreign_by_zstd(plain: &[u8]) -> Vec<u8> {
    zstd::stream::encode_all(plain, 3).unwrap()
}

fn read_zstd(stored: &[u8]) -> Result<(Vec<u8>, PlainReport), (Vec<u8>, Failure)> {
    let options = InflateOptions {
        codec: Some(Codec::Zstd),
        threads: 2,
        ..InflateOptions::default()
    };
    read_from(MembersReader::open(
        io::Cursor::new(stored.to_vec()),
        options,
        &Cancel::new(),
    ))
}

#[test]
fn frames_of_ours_and_of_others_are_read_in_any_order() {
    let plain = [prose(3 * MEMBER_PLAIN_BYTES_MAX, 1), noise(MEMBER_PLAIN_BYTES_MAX, 2)].concat();
    for stored in [ours_by_zstd(&[&plain]), foreign_by_zstd(&plain)] {
        let (back, report) = read_zstd(&stored).unwrap();
        assert!(back == plain);
        assert_eq!(report.codec, Codec::Zstd);
        // Its first bytes tell what it is.
        let (back, report) = read_anything(&stored);
        assert!(back == plain);
        assert_eq!(report.codec, Codec::Zstd);
    }
    let skippable = b"\x5a\x2a\x4d\x18\x03\0\0\0abc".to_vec();
    let mixed = [
        ours_by_zstd(&[b"one ", b"two "]),
        foreign_by_zstd(b"three "),
        skippable,
        ours_by_zstd(&[b"four "]),
        foreign_by_zstd(b""),
        ours_by_zstd(&[b"five"]),
    ];
    assert_eq!(read_zstd(&mixed.concat()).unwrap().0, b"one two three four five");
    assert_eq!(read_zstd(&ours_by_zstd(&[b""])).unwrap().0, b"");
}

#[test]
fn a_zstd_stream_that_is_cut_or_followed_by_something_is_damage() {
    for stored in [
        ours_by_zstd(&[b"one piece", b"another piece"]),
        foreign_by_zstd(b"one piece and another piece"),
    ] {
        let boundary = ours_by_zstd(&[b"one piece"]).len();
        for end in 0..stored.len() {
            match read_zstd(&stored[..end]) {
                // Between two members nothing tells that more should follow; the manifest does.
                Ok((plain, _)) => assert!(end == boundary && plain == b"one piece", "cut at {end}"),
                Err((_, failure)) => assert_eq!(failure.kind(), Kind::Damaged, "cut at {end}"),
            }
        }
        for rest in [&b"x"[..], b"\0\0\0\0\0\0\0\0", b"\x1f\x8b\x08\0", b"\x28\xb5\x2f"] {
            let (_, failure) = read_zstd(&[&stored[..], rest].concat()).unwrap_err();
            assert_eq!(failure.kind(), Kind::Damaged, "{rest:?}");
        }
    }
    for other in [&b""[..], b"plain", &ours(&[b"gzip"])] {
        assert_eq!(read_zstd(other).unwrap_err().1.kind(), Kind::Damaged);
    }
}

#[test]
fn what_is_stored_as_it_is_comes_back_as_it_is_whatever_it_looks_like() {
    for content in [
        ours(&[b"gzip"]),
        foreign_by_zstd(b"zstd"),
        Vec::new(),
        noise(3_000_000, 5),
    ] {
        let options = InflateOptions {
            codec: Some(Codec::None),
            threads: 2,
            ..InflateOptions::default()
        };
        let input = io::Cursor::new(content.clone());
        let (plain, report) = read_from(MembersReader::open(input, options, &Cancel::new())).unwrap();
        assert!(plain == content);
        assert_eq!((report.codec, report.members), (Codec::None, 0));
    }
}
