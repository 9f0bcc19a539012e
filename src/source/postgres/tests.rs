//! The dump side as a whole: outlines of real dumps, and `pg_dump`s that end badly.

use super::samples;
use super::watch::PostgresWatch;
use crate::base::report::{Recorder, Reporter};
use crate::catalog::index::{Entry, EntryKind};
use crate::source::dump_writer::{DumpSummary, DumpWriter};
use crate::source::testing::MemorySink;

fn through(dump: &[u8], pieces: impl Iterator<Item = usize>) -> (MemorySink, DumpSummary) {
    let mut sink = MemorySink::default();
    let recorder = Recorder::default();
    let mut writer = DumpWriter::new(&mut sink, recorder.progress(), PostgresWatch::default());
    let mut rest = dump;
    for piece in pieces {
        let (now, later) = rest.split_at(piece.min(rest.len()));
        writer.write(now).unwrap();
        rest = later;
        if rest.is_empty() {
            break;
        }
    }
    writer.write(rest).unwrap();
    let summary = writer.finish().unwrap();
    (sink, summary)
}

fn outline(dump: &str, pieces: impl Iterator<Item = usize>) -> Vec<(String, u64, u64, u64)> {
    let (sink, summary) = through(dump.as_bytes(), pieces);
    assert_eq!(sink.bytes, dump.as_bytes());
    assert_eq!(summary.fault, None);
    let is_table = |entry: &&Entry| entry.kind == EntryKind::Table;
    assert_eq!(summary.tables, sink.entries.iter().filter(is_table).count() as u64);
    for entry in sink.entries.iter().filter(is_table) {
        assert!(sink.cuts.contains(&entry.offset) && sink.cuts.contains(&(entry.offset + entry.length)));
    }
    sink.entries
        .iter()
        .filter(is_table)
        .map(|entry| {
            let rows = entry.rows.unwrap();
            (entry.path.display(), entry.offset, entry.length, rows)
        })
        .collect()
}

const ROWS: [(&str, u64); 4] = [
    ("Odd; Schema.a.b\"c; Type: TABLE DATA; Schema: s; Owner: o", 3),
    ("public.empty", 0),
    ("public.line\nend", 3),
    ("public.plain", 6),
];

#[test]
fn tables_are_found_where_they_are_and_nowhere_else() {
    for (dump, first) in [
        (samples::RESTRICTED, "COPY "),
        (samples::OLDER, "COPY "),
        (samples::INSERTS, "INSERT INTO "),
        (samples::ESCAPES, "INSERT INTO "),
    ] {
        let tables = outline(dump, std::iter::empty());
        let rows: Vec<_> = tables.iter().map(|(path, _, _, rows)| (path.clone(), *rows)).collect();
        assert_eq!(rows, ROWS.map(|(path, rows)| (path.to_owned(), rows)));
        for (path, offset, length, rows) in &tables {
            let text = &dump[*offset as usize..(offset + length) as usize];
            assert!(text.starts_with("--\n-- Data for Name: "), "{path}: {text}");
            assert!(text.ends_with("\n\n"), "{path}: {text:?}");
            assert!(*rows == 0 || text.contains(first), "{path}: {text}");
            assert!(dump[(offset + length) as usize..].starts_with("--\n"), "{path}");
        }
    }
}

fn objects(dump: &str, pieces: impl Iterator<Item = usize>) -> Vec<Entry> {
    let (sink, _) = through(dump.as_bytes(), pieces);
    sink.entries
}

#[test]
fn objects_are_found_with_what_they_belong_to() {
    let dump = samples::RESTRICTED;
    let entries = objects(dump, std::iter::empty());
    let text = |entry: &Entry| &dump[entry.range().start as usize..entry.range().end as usize];
    let found: Vec<(String, &str, String)> = entries
        .iter()
        .filter(|entry| entry.kind == EntryKind::Object)
        .map(|entry| {
            let owner = entry.link.as_ref().map(|link| link.display()).unwrap_or_default();
            (entry.path.display(), entry.object.as_deref().unwrap(), owner)
        })
        .collect();
    for (path, what, owner) in [
        ("Odd; Schema", "SCHEMA", ""),
        ("public.std(integer)", "FUNCTION", ""),
        ("default_tablespace", "SETTING", ""),
        ("default_table_access_method", "SETTING", ""),
        ("Odd; Schema.a.b\"c; Type: TABLE DATA; Schema: s; Owner: o", "TABLE", ""),
        ("public.line\nend", "TABLE", ""),
        ("public.plain", "TABLE", ""),
        ("public.TABLE plain", "COMMENT", "public.plain"),
        ("public.s", "SEQUENCE", ""),
        ("public.s", "SEQUENCE SET", ""),
        ("public.plain_pkey", "CONSTRAINT", "public.plain"),
        ("public.empty r", "RULE", "public.empty"),
    ] {
        let wanted = (path.to_owned(), what, owner.to_owned());
        assert!(found.contains(&wanted), "{wanted:?} in {found:#?}");
    }
    for entry in &entries {
        let begin = match (entry.kind, entry.object.as_deref()) {
            (EntryKind::Table, _) => "--\n-- Data for Name: ",
            (_, Some("SETTING")) => "SET ",
            _ => "--\n-- Name: ",
        };
        assert!(text(entry).starts_with(begin), "{entry:?}: {}", text(entry));
        assert!(text(entry).ends_with("\n\n"), "{entry:?}: {:?}", text(entry));
    }
    // One begins where the other ends, but for the large objects, which are nobody's.
    let gaps: Vec<&str> = entries
        .windows(2)
        .map(|two| &dump[two[0].range().end as usize..two[1].range().start as usize])
        .filter(|gap| !gap.is_empty())
        .collect();
    assert_eq!(gaps.len(), 1, "{gaps:?}");
    assert!(gaps[0].contains("BLOBS"), "{gaps:?}");
}

#[test]
fn the_outline_does_not_depend_on_how_the_dump_arrives() {
    for dump in [samples::RESTRICTED, samples::INSERTS, samples::ESCAPES] {
        let whole = outline(dump, std::iter::empty());
        let every = objects(dump, std::iter::empty());
        for piece in [1, 2, 3, 5, 64, 1000] {
            assert_eq!(outline(dump, std::iter::repeat(piece)), whole, "{piece}");
            assert_eq!(objects(dump, std::iter::repeat(piece)), every, "{piece}");
        }
    }
}

#[test]
fn what_is_held_back_stays_small() {
    let header = "--\n-- PostgreSQL database dump\n--\n\n";
    let long = "x".repeat(5_000_000);
    for script in [
        format!("{header}--\n-- Name: f\n--\n\nSELECT '{long}';\n"),
        format!("{header}--\nSELECT {long};\n"),
        format!("{header}-- {long}\n"),
        format!("{header}--\n-- Data for Name: {long}\n"),
        format!("{header}\\restrict {long}\n"),
    ] {
        let mut sink = MemorySink::default();
        let recorder = Recorder::default();
        let mut writer = DumpWriter::new(&mut sink, recorder.progress(), PostgresWatch::default());
        writer.write(&script.as_bytes()[..4_000_000]).unwrap();
        drop(writer);
        assert!(sink.bytes.len() > 3_990_000, "{}: {}", &script[..60], sink.bytes.len());
    }
}
