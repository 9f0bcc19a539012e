//! Frames: what is made is read, what is not whole or not right is told.

use std::io::Read;

use super::*;
use crate::pipeline::deflate::thread_bytes;

/// Bytes that cannot be compressed, the same each time.
fn noise(bytes: usize) -> Vec<u8> {
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    std::iter::repeat_with(|| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 24) as u8
    })
    .take(bytes)
    .collect()
}

fn make(level: u32, plain: &[u8]) -> Vec<u8> {
    let mut stored = vec![0; FRAME_STORED_BYTES_MAX];
    let bytes = FrameMaker::new(level).unwrap().make(plain, &mut stored).unwrap();
    stored.truncate(bytes);
    stored
}

fn read(stored: &[u8]) -> std::result::Result<Vec<u8>, &'static str> {
    let mut plain = vec![0; MEMBER_PLAIN_BYTES_MAX];
    let bytes = FrameReader::default().read(stored, &mut plain)?;
    plain.truncate(bytes);
    Ok(plain)
}

#[test]
fn a_member_is_read_by_us_and_by_any_zstd_at_every_level() {
    let text: Vec<u8> = (0..40_000u32)
        .flat_map(|n| format!("{} ", n * n % 977).into_bytes())
        .collect();
    let noise = noise(MEMBER_PLAIN_BYTES_MAX);
    for level in Codec::Zstd.levels() {
        for plain in [&b""[..], b"x", &text, &noise] {
            // The slow levels gain nothing on noise and take long.
            if level > 12 && plain.len() == noise.len() && level != 19 {
                continue;
            }
            let stored = make(level, plain);
            assert_eq!(read(&stored).unwrap(), plain, "level {level}");
            assert_eq!(
                parse_head(&stored),
                Head::Ours {
                    stored_bytes: stored.len() as u32
                }
            );
            let mut stock = Vec::new();
            zstd::stream::read::Decoder::new(&stored[..])
                .unwrap()
                .read_to_end(&mut stock)
                .unwrap();
            assert_eq!(stock, plain);
        }
    }
    assert!(FrameMaker::new(0).is_err() && FrameMaker::new(20).is_err());
}

#[test]
fn a_member_that_is_cut_or_changed_anywhere_is_told() {
    let stored = make(3, b"some content, some content, and some more of it");
    for end in 0..stored.len() {
        assert!(read(&stored[..end]).is_err(), "cut at {end}");
    }
    for at in 0..stored.len() {
        for bit in 0..8 {
            let mut changed = stored.clone();
            changed[at] ^= 1 << bit;
            assert!(read(&changed).is_err(), "bit {bit} of byte {at}");
        }
    }
    let mut longer = stored.clone();
    longer.push(0);
    assert!(read(&longer).is_err());
}

#[test]
fn a_prefix_that_covers_two_frames_is_told() {
    let one = make(3, b"one");
    let mut both = [one.clone(), one[PREFIX_BYTES..].to_vec()].concat();
    let length = (both.len() - PREFIX_BYTES) as u32;
    both[8..12].copy_from_slice(&length.to_le_bytes());
    assert_eq!(read(&both), Err("its header lies about its length"));
}

#[test]
fn frames_of_others_are_told_apart() {
    let ours = make(3, b"one");
    let mut without_checksum = Vec::new();
    let mut encoder = zstd::stream::write::Encoder::new(&mut without_checksum, 3).unwrap();
    std::io::Write::write_all(&mut encoder, b"one").unwrap();
    encoder.finish().unwrap();
    let prefixed = [&ours[..PREFIX_BYTES], &without_checksum].concat();
    for (bytes, head) in [
        (&ours[PREFIX_BYTES..], Head::Foreign),
        (&without_checksum[..], Head::Foreign),
        (&prefixed[..], Head::Foreign),
        (&ours[..FRAME_HEAD_BYTES - 18 + 4], Head::Foreign),
        (b"\x5f\x2a\x4d\x18\0\0\0\0", Head::Foreign),
        (b"\x1f\x8b", Head::Other),
        (b"", Head::Other),
    ] {
        assert_eq!(parse_head(bytes), head, "{bytes:?}");
    }
}

#[test]
fn no_compressor_outgrows_what_a_thread_may_hold() {
    let plain = noise(MEMBER_PLAIN_BYTES_MAX);
    let mut stored = vec![0; FRAME_STORED_BYTES_MAX];
    for level in Codec::Zstd.levels() {
        let mut maker = FrameMaker::new(level).unwrap();
        maker.make(&plain, &mut stored).unwrap();
        let bytes = maker.compressor.context_mut().sizeof();
        let tables = thread_bytes(Codec::Zstd, level) - thread_bytes(Codec::None, 0);
        assert!(bytes <= tables, "level {level} takes {bytes} bytes");
    }
}
