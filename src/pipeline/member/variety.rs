//! How much variety there is in a member's plaintext.

/// How many windows are looked at, evenly spread.
const WINDOWS: usize = 8;

/// How long a window is, in bytes: as far as gzip looks back for repetitions.
const WINDOW_BYTES: usize = 32 * 1024;

/// From one position looked at to the next, in bytes. What repeats at any distance repeats at eight times that as well. All of
/// it together takes 1 % of the time of its compression.
const STEP_BYTES: usize = 8;

/// Eight bits for each position of a window that is looked at.
const SEEN_BITS: usize = 8 * WINDOW_BYTES / STEP_BYTES;

/// The share of positions at which something new begins above which the variety is great, in percent.
///
/// Measured (benches/README.md): of source code nine members in ten have 26 to 49, the median is 40; dumps of tables have 21 to
/// 29, dumps of digests and other noise 46 to 90. In the tenth of the source code with the least variety the deeper search
/// saves 4.5 MB for each second more that it takes, in the tenth with the greatest 1.6 MB. With 39 a tree of sources is as
/// large as gzip makes it, index included; with 41 it is smaller.
const NEW_PERCENT_MAX: usize = 41;

/// Whether most of what stands there has not been seen just before, so that a deep search for repetitions is not worth
/// its time. The same plaintext always gets the same answer.
pub(super) fn is_great(plain: &[u8]) -> bool {
    let (new, all) = new_of_all(plain);
    new * 100 > all * NEW_PERCENT_MAX
}

/// At how many of the positions looked at four bytes begin that did not stand at any before in their window, and how many
/// positions there were.
fn new_of_all(plain: &[u8]) -> (usize, usize) {
    let (mut new, mut all) = (0, 0);
    let step = (plain.len() / WINDOWS).max(WINDOW_BYTES);
    for place in plain.chunks(step) {
        let window = &place[..place.len().min(WINDOW_BYTES)];
        let mut seen = [0u64; SEEN_BITS / 64];
        for four in window.windows(4).step_by(STEP_BYTES) {
            let four = u32::from_le_bytes([four[0], four[1], four[2], four[3]]);
            // Multiplicative hashing: the upper bits depend on all four bytes.
            let bit = (four.wrapping_mul(0x9E37_79B1) >> (u32::BITS - SEEN_BITS.ilog2())) as usize;
            new += usize::from(seen[bit / 64] >> (bit % 64) & 1 == 0);
            seen[bit / 64] |= 1 << (bit % 64);
        }
        all += window.len().saturating_sub(3).div_ceil(STEP_BYTES);
    }
    (new, all)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pipeline::testing::{noise, prose};

    #[test]
    fn noise_has_great_variety_and_a_table_has_not() {
        assert!(is_great(&noise(1024 * 1024, 1)));
        let rows: String = (0..20_000)
            .map(|row| format!("{row}\t2021-01-01 00:{:02}:00\tpaid\n", row % 60))
            .collect();
        assert!(!is_great(rows.as_bytes()));
        assert!(!is_great(&vec![0; 1024 * 1024]));
    }

    #[test]
    fn all_of_it_is_looked_at_in_eight_places() {
        let plain = prose(1024 * 1024, 3);
        let (new, all) = new_of_all(&plain);
        assert_eq!(all, WINDOWS * WINDOW_BYTES / STEP_BYTES);
        assert!(new > 0 && new < all);
        // What is new is told by what stands there, not by how often a bit happens to be taken: noise fills most of them.
        let (new, all) = new_of_all(&noise(1024 * 1024, 1));
        assert!(new * 10 > all * 7, "{new} of {all}");
    }

    #[test]
    fn short_plaintext_is_looked_at_whole_and_none_is_no_variety() {
        for (bytes, looked_at) in [
            (0, 0),
            (3, 0),
            (4, 1),
            (11, 1),
            (12, 2),
            (WINDOW_BYTES, 4096),
            (WINDOW_BYTES + 12, 4098),
        ] {
            assert_eq!(new_of_all(&vec![b'x'; bytes]).1, looked_at, "{bytes}");
        }
        assert!(!is_great(b""));
    }
}
