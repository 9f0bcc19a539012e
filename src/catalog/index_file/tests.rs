use std::io::{BufRead, BufReader, Read, Write};

use flate2::read::MultiGzDecoder;

use super::spool::{EntryRef, FORMAT_PLAIN};
use super::*;
use crate::base::failure::{Kind, Result};
use crate::catalog::index::{EntryKind, INDEX_FORMAT, MemberSize, RawPath};
use crate::catalog::private::Private;

fn entry(path: &[u8]) -> Entry {
    Entry {
        size: 3,
        mode: Some(0o644),
        uid: Some(0),
        gid: Some(0),
        user: Some("root".into()),
        mtime: Some(-1),
        mtime_nanos: 5,
        ..Entry::new(EntryKind::File, RawPath(path.to_vec()), 512..1536)
    }
}

fn sample() -> Vec<u8> {
    let mut spool = IndexSpool::create().unwrap();
    spool.entry(&entry(b"www/a\nb")).unwrap();
    spool.entry(&entry(b"www/\xff\xfe")).unwrap();
    spool
        .members(&MemberRun {
            plain_offset: 0,
            stored_offset: 0,
            members: vec![MemberSize { plain: 10, stored: 5 }],
            crc32s: Vec::new(),
        })
        .unwrap();
    content_of(spool.finish(None).unwrap())
}

fn content_of(index: FinishedIndex) -> Vec<u8> {
    let mut content = Vec::new();
    for _ in 0..2 {
        content.clear();
        index.reader().read_to_end(&mut content).unwrap();
        assert_eq!(content.len() as u64, index.bytes());
    }
    content
}

fn read_all(content: &[u8]) -> Result<Vec<Line>> {
    let mut reader = IndexReader::open(content, "x")?;
    let mut lines = Vec::new();
    while let Some(line) = reader.next_line()? {
        lines.push(line);
    }
    Ok(lines)
}

#[test]
fn what_was_written_is_read_non_utf8_included() {
    let lines = read_all(&sample()).unwrap();
    assert_eq!(lines[0], Line::Entry(entry(b"www/a\nb")));
    assert_eq!(lines[1], Line::Entry(entry(b"www/\xff\xfe")));
    assert_eq!(lines.len(), 3);
}

#[test]
fn an_index_of_many_members_is_read_line_by_line() {
    let mut spool = IndexSpool::create().unwrap();
    let long = entry(&[b'l'; 700_000]);
    for number in 0..6_000 {
        spool.entry(&entry(format!("www/{number}").as_bytes())).unwrap();
        if number % 2_000 == 0 {
            spool.entry(&long).unwrap();
        }
    }
    let content = content_of(spool.finish(None).unwrap());
    let members = content.windows(4).filter(|bytes| *bytes == [0x1f, 0x8b, 8, 0]).count();
    assert!(members >= 3, "{members}");
    let lines = read_all(&content).unwrap();
    assert_eq!(lines.len(), 6_003);
    assert_eq!(lines[1], Line::Entry(long));
    assert_eq!(lines[6_002], Line::Entry(entry(b"www/5999")));
}

#[test]
fn an_index_cut_anywhere_is_damaged_never_shorter() {
    let content = sample();
    for end in 0..content.len() {
        assert_eq!(
            read_all(&content[..end]).unwrap_err().kind(),
            Kind::Damaged,
            "cut at {end}"
        );
    }
}

#[test]
fn what_is_private_stands_first_and_needs_the_newer_format() {
    use crate::catalog::manifest::{ProblemKind, SourceInfo};
    let private = Private {
        core: PrivateCore {
            source: SourceInfo {
                kind: "directory".to_owned(),
                what: "/srv/www".to_owned(),
                ..SourceInfo::default()
            },
            plain_sha256: Some("00".repeat(32)),
            stream_sha256s: Vec::new(),
        },
        problems: vec![Problem {
            item: "www/a".to_owned(),
            kind: ProblemKind::Vanished,
            message: "gone".to_owned(),
        }],
        warnings: vec!["Look.".to_owned(), "Again.".to_owned()],
    };
    let mut spool = IndexSpool::create().unwrap();
    spool.entry(&entry(b"www/b")).unwrap();
    let content = content_of(spool.finish(Some(&private)).unwrap());
    assert_eq!(
        IndexReader::open(&content[..], "x").unwrap().private().unwrap(),
        Some(private)
    );
    assert_eq!(read_all(&content).unwrap().len(), 5);
    for (content, format) in [(content, INDEX_FORMAT), (sample(), FORMAT_PLAIN)] {
        let mut first = String::new();
        BufReader::new(MultiGzDecoder::new(&content[..]))
            .read_line(&mut first)
            .unwrap();
        assert_eq!(first, format!("{{\"t\":\"index\",\"format\":{format}}}\n"));
    }
    assert_eq!(IndexReader::open(&sample()[..], "x").unwrap().private().unwrap(), None);
}

#[test]
fn the_index_of_a_later_stream_is_moved_to_where_it_begins() {
    let run = |plain_offset, stored_offset| MemberRun {
        plain_offset,
        stored_offset,
        members: vec![MemberSize { plain: 10, stored: 4 }],
        crc32s: Vec::new(),
    };
    let moved = |name: &[u8], by: u64| {
        let mut entry = entry(name);
        entry.offset += by;
        entry
    };
    let mut first = IndexSpool::create().unwrap();
    first.entry(&entry(b"a")).unwrap();
    first.members(&run(0, 0)).unwrap();
    let mut second = IndexSpool::create().unwrap();
    second.members(&run(0, 0)).unwrap();
    second.entry(&entry(b"b")).unwrap();
    first.append(second, 10, 4).unwrap();
    let content = content_of(first.finish(None).unwrap());
    assert_eq!(
        read_all(&content).unwrap(),
        [
            Line::Entry(entry(b"a")),
            Line::Members(run(0, 0)),
            Line::Members(run(10, 4)),
            Line::Entry(moved(b"b", 10)),
        ]
    );
}

#[test]
fn checksums_of_members_need_the_newer_format() {
    let run = MemberRun {
        plain_offset: 0,
        stored_offset: 0,
        members: vec![MemberSize { plain: 5, stored: 5 }],
        crc32s: vec![7],
    };
    let mut spool = IndexSpool::create().unwrap();
    spool.members(&run).unwrap();
    let content = content_of(spool.finish(None).unwrap());
    assert_eq!(read_all(&content).unwrap(), [Line::Members(run)]);
}

#[test]
fn an_offset_is_left_out_where_the_entry_before_ends() {
    let mut first = entry(b"www");
    first.offset = 0;
    first.length = 1536;
    let mut second = entry(b"www/a");
    second.offset = 1536;
    let mut apart = entry(b"www/b");
    apart.offset = 9000;
    let mut spool = IndexSpool::create().unwrap();
    for entry in [&first, &second, &apart] {
        spool.entry(entry).unwrap();
    }
    let content = content_of(spool.finish(None).unwrap());
    let mut text = String::new();
    MultiGzDecoder::new(&content[..]).read_to_string(&mut text).unwrap();
    let offsets: Vec<bool> = text
        .lines()
        .filter(|line| line.starts_with("{\"t\":\"e\""))
        .map(|line| line.contains("\"offset\":"))
        .collect();
    assert_eq!(offsets, [false, false, true], "{text}");
    assert!(text.starts_with("{\"t\":\"index\",\"format\":2}\n"), "{text}");
    let lines = read_all(&content).unwrap();
    assert_eq!(lines, [first, second, apart].map(Line::Entry));
}

#[test]
fn every_field_of_an_entry_is_written() {
    let mut full = entry(b"www/full");
    full.group = Some("staff".into());
    full.link = Some("www/other".into());
    full.rows = Some(7);
    full.object = Some("TABLE".into());
    let written = serde_json::to_value(EntryRef::new(&full, 0)).unwrap();
    assert_eq!(written, serde_json::to_value(&full).unwrap());
}

#[test]
fn a_later_format_is_refused_by_name() {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(b"{\"t\":\"index\",\"format\":99}\n").unwrap();
    let content = encoder.finish().unwrap();
    assert_eq!(read_all(&content).unwrap_err().kind(), Kind::Unsupported);
}
