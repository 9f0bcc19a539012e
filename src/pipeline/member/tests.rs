use std::io::Read;

use proptest::prelude::*;

use super::*;
use crate::pipeline::testing::noise;

fn make(level: u32, plain: &[u8]) -> Vec<u8> {
    let mut stored = vec![0; MEMBER_STORED_BYTES_MAX];
    let length = MemberMaker::new(level).unwrap().make(plain, &mut stored).unwrap();
    stored.truncate(length);
    stored
}

fn read(stored: &[u8]) -> std::result::Result<Vec<u8>, &'static str> {
    let mut plain = vec![0; MEMBER_PLAIN_BYTES_MAX];
    let length = MemberReader::new().read(stored, &mut plain)?;
    plain.truncate(length);
    Ok(plain)
}

fn set_length(member: &mut [u8], length: u32) {
    member[16..20].copy_from_slice(&length.to_le_bytes());
}

#[test]
fn an_empty_member_has_these_bytes() {
    assert_eq!(
        hex::encode(make(6, b"")),
        concat!(
            "1f8b0804",
            "00000000",
            "00ff",
            "0800",
            "424b0400",
            "21000000",
            "010000ffff",
            "00000000",
            "00000000"
        )
    );
}

#[test]
fn incompressible_plaintext_fits_at_every_level() {
    let plain = crate::pipeline::testing::noise(MEMBER_PLAIN_BYTES_MAX, 1);
    for level in LEVELS {
        let stored = make(level, &plain);
        assert!(stored.len() > plain.len() && stored.len() < MEMBER_STORED_BYTES_MAX);
        assert_eq!(read(&stored).unwrap(), plain);
    }
}

#[test]
fn a_stock_reader_gives_the_plaintext_back_at_every_level() {
    let plain = crate::pipeline::testing::prose(300_000, 7);
    for level in LEVELS {
        let stored = make(level, &plain);
        assert!(stored.len() < plain.len());
        let mut inflated = Vec::new();
        flate2::read::GzDecoder::new(&stored[..])
            .read_to_end(&mut inflated)
            .unwrap();
        assert_eq!(inflated, plain);
    }
}

#[test]
fn levels_outside_the_range_are_refused() {
    for level in [0, 13, u32::MAX] {
        assert_eq!(MemberMaker::new(level).err().map(|f| f.kind()), Some(Kind::Usage));
    }
}

#[test]
fn a_header_that_covers_the_next_member_of_the_same_content_is_a_lie() {
    let one = make(6, &[0; 5000]);
    for copies in 2..5 {
        let mut lie = one.repeat(copies);
        set_length(&mut lie, (one.len() * copies) as u32);
        assert_eq!(read(&lie), Err("its header lies about its length"));
    }
}

/// Four bytes behind which `prefix` has the checksum `wanted`: a CRC is linear, so each of their 32 bits turns bits of it
/// over, whatever the others are.
fn forge(prefix: &[u8], wanted: u32) -> [u8; 4] {
    let crc_with = |four: u32| crc32_of(&[prefix, &four.to_le_bytes()].concat());
    let none = crc_with(0);
    let mut rows: Vec<(u32, u32)> = (0..32).map(|bit| (crc_with(1 << bit) ^ none, 1 << bit)).collect();
    let (mut left, mut four) = (wanted ^ none, 0);
    for bit in 0..32 {
        let Some(at) = rows.iter().position(|(turns, _)| turns >> bit & 1 == 1) else {
            continue;
        };
        let pivot = rows.swap_remove(at);
        let reduce = |(turns, bits): &mut (u32, u32)| {
            if *turns >> bit & 1 == 1 {
                (*turns, *bits) = (*turns ^ pivot.0, *bits ^ pivot.1);
            }
        };
        rows.iter_mut().for_each(reduce);
        if left >> bit & 1 == 1 {
            (left, four) = (left ^ pivot.0, four ^ pivot.1);
        }
    }
    four.to_le_bytes()
}

#[test]
fn a_trailer_that_also_stands_inside_the_data_by_chance_is_no_lie() {
    // Noise is stored as it is, and this noise holds its own checksum and length.
    let crc = 0x600d_f00d_u32;
    let mut plain = noise(500, 1);
    plain.extend(crc.to_le_bytes());
    plain.extend((plain.len() as u32 + 8).to_le_bytes());
    plain.extend(forge(&plain, crc));
    let member = make(6, &plain);
    let (body, trailer) = member[MEMBER_HEADER_BYTES..].split_at(member.len() - MEMBER_HEADER_BYTES - 8);
    assert_eq!(trailer, &plain[500..508]);
    assert!(memmem::find(body, trailer).is_some());
    assert_eq!(read(&member), Ok(plain));
    assert_eq!(deflate_bytes_of(body), Some(body.len() as u64));
    assert_eq!(deflate_bytes_of(&body[..body.len() - 1]), None);
}

#[test]
fn headers_are_told_apart() {
    let ours = make(6, b"x");
    assert_eq!(
        parse_header(&ours),
        Header::Ours {
            stored_bytes: ours.len() as u32
        }
    );
    assert_eq!(parse_header(&ours[..19]), Header::Foreign);
    assert_eq!(parse_header(&[0x1f, 0x8b]), Header::Foreign);
    assert_eq!(parse_header(&[0x1f]), Header::Other);
    assert_eq!(parse_header(b"-- SQL"), Header::Other);
    let mut other_field = ours.clone();
    other_field[12] = b'A';
    assert_eq!(parse_header(&other_field), Header::Foreign);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn any_plaintext_comes_back(plain in proptest::collection::vec(any::<u8>(), 0..20_000), level in 1u32..=12) {
        prop_assert_eq!(read(&make(level, &plain)).unwrap(), plain);
    }

    #[test]
    fn a_changed_byte_is_never_taken_for_other_content(
        plain in proptest::collection::vec(0u8..4, 1..2000),
        at in any::<prop::sample::Index>(),
        flip in 1u8..=255,
    ) {
        let mut stored = make(6, &plain);
        let at = at.index(stored.len());
        stored[at] ^= flip;
        if let Ok(inflated) = read(&stored) {
            prop_assert_eq!(inflated, plain);
        }
    }

    #[test]
    fn a_lie_about_the_length_is_found(plain in proptest::collection::vec(0u8..4, 0..2000), tail in proptest::collection::vec(any::<u8>(), 0..64)) {
        let honest = make(6, &plain);
        let mut long = honest.clone();
        long.extend_from_slice(&tail);
        let length = long.len() as u32;
        set_length(&mut long, length);
        prop_assert_eq!(read(&long).is_ok(), tail.is_empty());
        for cut in 0..honest.len() {
            let mut short = honest[..cut].to_vec();
            if cut >= 20 {
                set_length(&mut short, cut as u32);
            }
            prop_assert!(read(&short).is_err());
        }
    }
}
