//! Files with holes: where their data lies, and how GNU's sparse format 1.0 writes that down.

use std::os::fd::BorrowedFd;

use rustix::fs::SeekFrom;
use rustix::io::Errno;

use super::header::BLOCK_BYTES;

/// How many pieces of data one file's map may have; 16 bytes each in memory. A file in more pieces has its smallest holes
/// written as zeros.
pub(super) const EXTENTS_MAX: usize = 1_000_000;

/// Holes below this are not looked at at first; a file system's blocks are not smaller.
const HOLE_BYTES_MIN: u64 = 4096;

/// A piece of a file that holds data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Extent {
    /// Where it begins in the file.
    pub(super) offset: u64,
    /// How many bytes it has.
    pub(super) length: u64,
}

/// Finds the data of a file of `size` bytes; `None` if it has no holes, or the file system cannot tell.
///
/// Pieces begin and end at multiples of a tar block, the file's end excepted: readers disagree on padding between others.
pub(super) fn find_extents(file: BorrowedFd<'_>, size: u64) -> Option<Vec<Extent>> {
    let mut hole_bytes_min = HOLE_BYTES_MIN;
    loop {
        match scan(file, size, hole_bytes_min, EXTENTS_MAX) {
            Scan::Extents(extents) => {
                let data: u64 = extents.iter().map(|extent| extent.length).sum();
                return (data < size).then_some(extents);
            }
            Scan::TooMany => hole_bytes_min = hole_bytes_min.saturating_mul(8),
            Scan::Unknown => return None,
        }
    }
}

enum Scan {
    Extents(Vec<Extent>),
    TooMany,
    Unknown,
}

fn scan(file: BorrowedFd<'_>, size: u64, hole_bytes_min: u64, extents_max: usize) -> Scan {
    let mut extents: Vec<Extent> = Vec::new();
    let mut at = 0;
    while at < size {
        let start = match rustix::fs::seek(file, SeekFrom::Data(at)) {
            Ok(start) if start < size => start,
            // No data from here on: the rest is one hole.
            Ok(_) | Err(Errno::NXIO) => break,
            Err(_) => return Scan::Unknown,
        };
        let end = match rustix::fs::seek(file, SeekFrom::Hole(start)) {
            Ok(end) => end.min(size),
            Err(_) => return Scan::Unknown,
        };
        if end <= start {
            return Scan::Unknown;
        }
        let start = start - start % BLOCK_BYTES;
        let end = end.next_multiple_of(BLOCK_BYTES).min(size);
        let count = extents.len();
        match extents.last_mut() {
            Some(last) if start < last.offset + last.length + hole_bytes_min => last.length = end - last.offset,
            _ if count == extents_max => return Scan::TooMany,
            _ => extents.push(Extent {
                offset: start,
                length: end - start,
            }),
        }
        at = end;
    }
    Scan::Extents(extents)
}

/// The map as it stands in front of the data: decimal numbers on lines of their own, padded to a block.
pub(super) fn encode_map(extents: &[Extent], size: u64) -> Vec<u8> {
    use std::io::Write;

    // An empty piece at the end tells readers how long the file is when it ends in a hole.
    let ends_in_hole = extents.last().is_none_or(|last| last.offset + last.length < size);
    let count = extents.len() + usize::from(ends_in_hole);
    let mut map = Vec::new();
    let line = |map: &mut Vec<u8>, number: u64| {
        // Writing into memory cannot fail.
        let _ = writeln!(map, "{number}");
    };
    line(&mut map, count as u64);
    for extent in extents {
        line(&mut map, extent.offset);
        line(&mut map, extent.length);
    }
    if ends_in_hole {
        line(&mut map, size);
        line(&mut map, 0);
    }
    map.resize(map.len().next_multiple_of(BLOCK_BYTES as usize), 0);
    map
}

/// Whether a map read from an archive makes sense for a file of `size` bytes with `stored` bytes of data.
pub(super) fn is_valid_map(extents: &[Extent], size: u64, stored: u64) -> bool {
    let mut at = 0u64;
    let mut data = 0u64;
    for extent in extents {
        let Some(end) = extent.offset.checked_add(extent.length) else {
            return false;
        };
        if extent.offset < at || end > size {
            return false;
        }
        at = end;
        data += extent.length;
    }
    data == stored
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::fd::AsFd;
    use std::os::unix::fs::FileExt;

    #[test]
    fn data_is_found_between_holes() {
        let file = tempfile::tempfile().unwrap();
        file.set_len(10 << 20).unwrap();
        file.write_all_at(b"one", 1 << 20).unwrap();
        file.write_all_at(b"two", (5 << 20) + 100).unwrap();
        let extents = find_extents(file.as_fd(), 10 << 20).unwrap();
        assert_eq!(extents.len(), 2, "{extents:?}");
        assert!(extents[0].offset <= 1 << 20 && extents[0].length <= 128 * 1024);
        assert!(
            extents
                .iter()
                .all(|extent| extent.offset % 512 == 0 && extent.length % 512 == 0)
        );
        let data = extents.iter().map(|extent| extent.length).sum();
        assert!(is_valid_map(&extents, 10 << 20, data));
        assert!(matches!(scan(file.as_fd(), 10 << 20, 4096, 1), Scan::TooMany));
    }

    #[test]
    fn a_file_without_holes_has_no_map_and_one_without_data_an_empty_one() {
        let file = tempfile::tempfile().unwrap();
        file.write_all_at(&[1; 10_000], 0).unwrap();
        assert_eq!(find_extents(file.as_fd(), 10_000), None);
        let empty = tempfile::tempfile().unwrap();
        empty.set_len(1 << 40).unwrap();
        assert_eq!(find_extents(empty.as_fd(), 1 << 40), Some(Vec::new()));
    }

    #[test]
    fn the_map_is_what_gnu_tar_writes() {
        let extents = [Extent {
            offset: 1024,
            length: 512,
        }];
        let map = encode_map(&extents, 4096);
        assert_eq!(map.len(), 512);
        assert!(map.starts_with(b"2\n1024\n512\n4096\n0\n\0"));
        assert!(encode_map(&extents, 1536).starts_with(b"1\n1024\n512\n\0"));
    }

    #[test]
    fn maps_that_overlap_or_overrun_are_refused() {
        let extent = |offset, length| Extent { offset, length };
        assert!(is_valid_map(&[extent(0, 5), extent(5, 5)], 10, 10));
        assert!(!is_valid_map(&[extent(0, 6), extent(5, 5)], 10, 11));
        assert!(!is_valid_map(&[extent(0, 11)], 10, 11));
        assert!(!is_valid_map(&[extent(u64::MAX, 2)], 10, 2));
        assert!(!is_valid_map(&[extent(0, 5)], 10, 6));
    }
}
