use super::*;

fn read_all(bytes: &[u8], expect_end: bool) -> Result<Vec<(ArchiveItem, Vec<u8>)>> {
    let mut input = bytes;
    let mut reader = ArchiveReader::new(&mut input, expect_end);
    let mut all = Vec::new();
    while let Some(item) = reader.next()? {
        let mut content = Vec::new();
        loop {
            let block = reader.content()?;
            if block.is_empty() {
                break;
            }
            content.extend_from_slice(block);
        }
        all.push((item, content));
    }
    Ok(all)
}

fn sample() -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    for (path, content) in [("a", &b"one"[..]), (&"long/".repeat(60), &[7; 1000]), ("empty", b"")] {
        let mut header = Header::new_gnu();
        header.set_size(content.len() as u64);
        header.set_mode(0o640);
        header.set_mtime(12);
        header.set_uid(5);
        let path = path.trim_end_matches('/');
        builder.append_data(&mut header, path, content).unwrap();
    }
    builder.into_inner().unwrap()
}

#[test]
fn archives_of_the_tar_crate_are_read() {
    let all = read_all(&sample(), true).unwrap();
    assert_eq!(all.len(), 3);
    assert_eq!(all[0].0.path, b"a");
    assert_eq!((all[0].0.mode, all[0].0.uid, all[0].0.mtime), (0o640, Some(5), 12));
    assert_eq!(all[0].1, b"one");
    assert_eq!(all[1].0.path, "long/".repeat(60).trim_end_matches('/').as_bytes());
    assert_eq!(all[1].1, [7; 1000]);
    assert_eq!(all[2].1, b"");
}

#[test]
fn a_cut_at_any_byte_is_noticed() {
    let whole = sample();
    // The last two blocks are the end marker; one of them suffices.
    for length in 0..whole.len() - 1024 {
        let failure = read_all(&whole[..length], true).unwrap_err();
        assert_eq!(failure.kind(), Kind::Damaged, "cut at {length}");
    }
    assert!(read_all(&whole[..whole.len() - 1024], false).is_ok());
    assert!(read_all(b"", false).unwrap().is_empty());
}

#[test]
fn a_changed_header_is_noticed() {
    let mut bytes = sample();
    bytes[3] ^= 1;
    assert_eq!(read_all(&bytes, true).unwrap_err().kind(), Kind::Damaged);
}

#[test]
fn the_size_in_a_record_wins_over_the_header() {
    // A reader that took the header's size would see the content as further headers.
    let mut hidden = Vec::new();
    let mut inner = Header::new_ustar();
    inner.set_path("planted").unwrap();
    inner.set_size(0);
    inner.set_cksum();
    hidden.extend_from_slice(inner.as_bytes());
    let mut bytes = Vec::new();
    let mut records = Vec::new();
    super::super::header::push_record(&mut records, b"size", b"512");
    let mut pax = Header::new_ustar();
    pax.set_entry_type(tar::EntryType::XHeader);
    pax.set_size(records.len() as u64);
    pax.set_cksum();
    bytes.extend_from_slice(pax.as_bytes());
    bytes.extend_from_slice(&records);
    bytes.resize(1024, 0);
    let mut outer = Header::new_ustar();
    outer.set_path("outer").unwrap();
    outer.set_size(0);
    outer.set_cksum();
    bytes.extend_from_slice(outer.as_bytes());
    bytes.extend_from_slice(&hidden);
    bytes.resize(bytes.len() + 1024, 0);
    let all = read_all(&bytes, true).unwrap();
    assert_eq!(all.len(), 1);
    assert_eq!(all[0].0.path, b"outer");
    assert_eq!(all[0].1, hidden);
}

#[test]
fn a_header_that_claims_gigabytes_is_refused_before_it_is_read() {
    let mut pax = Header::new_ustar();
    pax.set_entry_type(tar::EntryType::XHeader);
    pax.set_size(1 << 40);
    pax.set_cksum();
    assert_eq!(read_all(pax.as_bytes(), true).unwrap_err().kind(), Kind::Damaged);
}

proptest::proptest! {
    #[test]
    fn no_bytes_make_the_reader_panic(
        mut bytes in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..3000),
        flag in proptest::sample::select(b"0123456SxgLKDVM\0".to_vec()),
    ) {
        // With a right checksum the rest of the header is looked at as well.
        if bytes.len() >= 512 {
            bytes[156] = flag;
            bytes[257..265].copy_from_slice(b"ustar  \0");
            let mut header = Header::new_old();
            header.as_mut_bytes().copy_from_slice(&bytes[..512]);
            header.set_size(700);
            header.set_cksum();
            bytes[..512].copy_from_slice(header.as_bytes());
        }
        let _ = read_all(&bytes, true);
    }
}
