//! The fields of a header as they are read.

use tar::Header;

pub(super) fn until_nul(field: &[u8]) -> &[u8] {
    field.split(|byte| *byte == 0).next().unwrap_or_default()
}

pub(super) fn header_path(header: &Header) -> Vec<u8> {
    let name = until_nul(&header.as_old().name);
    match header.as_ustar() {
        // GNU's own format has other things where ustar has the prefix; `as_ustar` tells them apart by the magic.
        Some(ustar) if ustar.prefix[0] != 0 => [until_nul(&ustar.prefix), b"/", name].concat(),
        _ => name.to_vec(),
    }
}

pub(super) fn owners_and_device(header: &Header) -> (Vec<u8>, Vec<u8>, (u32, u32)) {
    let small = |field: &[u8]| {
        unsigned(field)
            .and_then(|number| u32::try_from(number).ok())
            .unwrap_or(0)
    };
    if let Some(ustar) = header.as_ustar() {
        (
            until_nul(&ustar.uname).to_vec(),
            until_nul(&ustar.gname).to_vec(),
            (small(&ustar.dev_major), small(&ustar.dev_minor)),
        )
    } else if let Some(gnu) = header.as_gnu() {
        (
            until_nul(&gnu.uname).to_vec(),
            until_nul(&gnu.gname).to_vec(),
            (small(&gnu.dev_major), small(&gnu.dev_minor)),
        )
    } else {
        (Vec::new(), Vec::new(), (0, 0))
    }
}

pub(super) fn has_right_sum(header: &Header) -> bool {
    let bytes = header.as_bytes();
    let (mut plain, mut signed_bytes) = (0i64, 0i64);
    for (index, byte) in bytes.iter().enumerate() {
        let byte = if (148..156).contains(&index) { b' ' } else { *byte };
        plain += i64::from(byte);
        // Some old writers added the bytes as signed numbers.
        signed_bytes += i64::from(byte as i8);
    }
    unsigned(&header.as_old().cksum)
        .and_then(|sum| i64::try_from(sum).ok())
        .is_some_and(|sum| sum == plain || sum == signed_bytes)
}

pub(super) fn unsigned(field: &[u8]) -> Option<u64> {
    signed(field).and_then(|number| u64::try_from(number).ok())
}

/// A number: octal digits with spaces or NULs around them, or GNU's big-endian binary form, whose first bit is set.
pub(super) fn signed(field: &[u8]) -> Option<i64> {
    let (first, rest) = field.split_first()?;
    if first & 0x80 != 0 {
        let is_negative = first & 0x40 != 0;
        // In the first byte the top bit is the mark and the next one the sign.
        let mut value = if is_negative {
            i128::from(first | 0x80) - 256
        } else {
            i128::from(first & 0x3f)
        };
        for byte in rest {
            value = value.checked_mul(256)?.checked_add(i128::from(*byte))?;
        }
        return i64::try_from(value).ok();
    }
    let mut value = 0i64;
    let mut digits = field
        .iter()
        .copied()
        .skip_while(|byte| *byte == b' ')
        .take_while(|byte| *byte != b' ' && *byte != 0);
    digits.try_for_each(|digit| {
        if !(b'0'..=b'7').contains(&digit) {
            return None;
        }
        value = value.checked_mul(8)?.checked_add(i64::from(digit - b'0'))?;
        Some(())
    })?;
    Some(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_read_in_both_forms() {
        assert_eq!(signed(b"0000644\0"), Some(0o644));
        assert_eq!(signed(b"   644 \0"), Some(0o644));
        assert_eq!(signed(b"\0\0\0"), Some(0));
        assert_eq!(signed(b"12x"), None);
        assert_eq!(signed(&[0x80, 0, 0, 1, 0]), Some(256));
        assert_eq!(signed(&[0xff; 12]), Some(-1));
        assert_eq!(signed(&[0x80, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff]), None);
        assert_eq!(unsigned(&[0xff; 12]), None);
        assert_eq!(signed(&[b'7'; 30]), None);
    }
}
