//! The dump side as a whole: statements and outlines of real dumps, in pieces of any size and of any content.

pub(in crate::source::mysql) mod samples;

use proptest::prelude::*;

use super::lexer::{Lexer, Statement, Visitor};
use super::watch::{Ending, MysqlWatch};
use crate::base::report::{Recorder, Reporter};
use crate::catalog::index::EntryKind;
use crate::source::dump_writer::{DumpSummary, DumpWriter};
use crate::source::testing::MemorySink;

use samples::{MARIADB, MYSQL};

/// Everything that the lexer tells.
#[derive(Debug, Default, PartialEq, Eq)]
struct Told {
    statements: Vec<(u64, u64, u64, String, Vec<u8>, u64)>,
    comments: Vec<(u64, Vec<u8>)>,
}

impl Visitor for Told {
    fn comment(&mut self, start: u64, text: &[u8]) {
        self.comments.push((start, text.to_vec()));
    }
    fn statement(&mut self, statement: &Statement<'_>) {
        self.statements.push((
            statement.start,
            statement.text_end,
            statement.end,
            statement.lead.to_owned(),
            statement.head.to_vec(),
            statement.rows,
        ));
    }
}

fn told(script: &[u8], piece: usize) -> (Told, Option<&'static str>) {
    let mut told = Told::default();
    let mut lexer = Lexer::default();
    for piece in script.chunks(piece) {
        lexer.scan(piece, &mut told);
    }
    lexer.finish(&mut told);
    assert_eq!(lexer.offset(), script.len() as u64);
    (told, lexer.open_end())
}

/// The texts of the statements, by their places.
fn texts(script: &str) -> Vec<&str> {
    let (told, _) = told(script.as_bytes(), usize::MAX);
    let place = |at: u64| usize::try_from(at).unwrap();
    told.statements
        .iter()
        .map(|(start, text_end, ..)| &script[place(*start)..place(*text_end)])
        .collect()
}

#[test]
fn statements_end_where_the_clients_end_them() {
    for (script, expected) in [
        ("a; b;c", &["a", "b", "c"][..]),
        ("select ';'; b", &["select ';'", "b"]),
        ("select 'it''s;'; b", &["select 'it''s;'", "b"]),
        (r"select 'a\';'; b", &[r"select 'a\';'", "b"]),
        (r"select `a\`; b", &[r"select `a\`", "b"]),
        ("select `a``;`; b", &["select `a``;`", "b"]),
        ("select \"a;\\\";\"; b", &["select \"a;\\\";\"", "b"]),
        ("a -- ; x\n;b", &["a -- ; x\n", "b"]),
        ("a --;b", &["a --", "b"]),
        ("-- x; y\nb", &["b"]),
        ("--x; y\nb", &["b"]),
        ("a # ; x\n;b", &["a # ; x\n", "b"]),
        ("a /* ; */;b", &["a /* ; */", "b"]),
        ("/* ; */ a /**/;b", &["a /**/", "b"]),
        ("/*!40101 SET a='*/;' */;b", &["/*!40101 SET a='*/;' */", "b"]),
        ("/*M!100100 SET a */;b", &["/*M!100100 SET a */", "b"]),
        ("/*M!999999\\- enable the sandbox mode */ \nb;", &["b"]),
        ("/*!999999\\- enable the sandbox mode */\nb;", &["b"]),
        ("DELIMITER ;;\na; b;;\nDELIMITER ;\nc;", &["a; b", "c"]),
        ("delimiter $$\na;$b$$c$$", &["a;$b", "c"]),
        ("delimiter //\na / b /* // */ // c//", &["a / b /* // */ ", "c"]),
        ("select delimiter ; b", &["select delimiter ", "b"]),
        ("/ a; - b", &["/ a", "- b"]),
        (
            "set sql_mode='NO_BACKSLASH_ESCAPES'; a '\\'; b",
            &["set sql_mode='NO_BACKSLASH_ESCAPES'", "a '\\'", "b"],
        ),
    ] {
        let found: Vec<_> = texts(script).iter().map(|text| text.trim_end()).collect();
        let expected: Vec<_> = expected.iter().map(|text| text.trim_end()).collect();
        assert_eq!(found, expected, "{script}");
    }
}

#[test]
fn words_and_rows_of_statements_are_known() {
    let (told, open) = told(MYSQL.as_bytes(), 7);
    assert_eq!(open, None);
    let leads: Vec<_> = told
        .statements
        .iter()
        .map(|(.., lead, _, rows)| (lead.as_str(), *rows))
        .collect();
    for expected in [
        ("set names utf8mb4", 0),
        ("lock tables write", 0),
        ("insert into values", 2),
        ("create definer @ trigger before insert", 0),
        ("create definer @ procedure begin select", 0),
    ] {
        assert!(leads.contains(&expected), "{expected:?} in {leads:?}");
    }
}

fn through(dump: &[u8], piece: usize) -> (MemorySink, DumpSummary) {
    let mut sink = MemorySink::default();
    let recorder = Recorder::default();
    let mut writer = DumpWriter::new(&mut sink, recorder.progress(), MysqlWatch::default());
    for piece in dump.chunks(piece) {
        writer.write(piece).unwrap();
    }
    let summary = writer.finish().unwrap();
    (sink, summary)
}

#[test]
fn tables_and_objects_are_found_where_they_are_and_nowhere_else() {
    let rows = |sink: &MemorySink| -> Vec<(String, u64)> {
        let tables = sink.entries.iter().filter(|entry| entry.kind == EntryKind::Table);
        tables
            .map(|entry| (entry.path.display(), entry.rows.unwrap()))
            .collect()
    };
    let (mysql, summary) = through(MYSQL.as_bytes(), usize::MAX);
    assert_eq!(rows(&mysql), [("a".to_owned(), 4), ("b".to_owned(), 0)]);
    assert_eq!((summary.tables, summary.rows, summary.fault), (2, 4, None));
    let (mariadb, summary) = through(MARIADB.as_bytes(), usize::MAX);
    let expected = [
        ("child", 2),
        ("empty", 0),
        ("latin", 1),
        ("mem", 1),
        ("parent", 3),
        ("parts", 20),
        ("ver", 1),
        ("we`ird; \"name\" (x)", 2),
    ];
    assert_eq!(rows(&mariadb), expected.map(|(name, rows)| (name.to_owned(), rows)));
    assert_eq!((summary.tables, summary.fault), (8, None));
    for (dump, sink) in [(MYSQL, &mysql), (MARIADB, &mariadb)] {
        for entry in &sink.entries {
            let range = entry.range();
            let text = &dump[usize::try_from(range.start).unwrap()..usize::try_from(range.end).unwrap()];
            if entry.kind == EntryKind::Table {
                assert!(text.starts_with("--\n-- Dumping data for table `"), "{text}");
                assert!(text.ends_with("UNLOCK TABLES;"), "{text}");
                assert!(sink.cuts.contains(&range.start) && sink.cuts.contains(&range.end));
            } else if entry.object.as_deref() == Some("TRIGGERS") {
                assert_eq!(entry.link.as_ref(), Some(&entry.path));
                assert!(
                    text.starts_with("/*!50003 SET @saved_") && text.contains("DELIMITER ;;"),
                    "{text}"
                );
            } else {
                assert!(text.starts_with("--\n-- "), "{text}");
            }
        }
    }
    let objects: Vec<_> = mariadb
        .entries
        .iter()
        .filter_map(|entry| Some(format!("{} {}", entry.object.as_ref()?, entry.path.display())))
        .collect();
    for expected in [
        "SEQUENCE sq",
        "VIEW bview",
        "TABLE child",
        "TRIGGERS child",
        "EVENTS shop",
        "ROUTINES shop",
    ] {
        assert!(
            objects.iter().any(|object| object == expected),
            "{expected} in {objects:?}"
        );
    }
}

#[test]
fn the_size_of_the_pieces_makes_no_difference() {
    for dump in [MYSQL, MARIADB] {
        let (whole, summary) = through(dump.as_bytes(), usize::MAX);
        let lexed = told(dump.as_bytes(), usize::MAX);
        for piece in [1, 2, 3, 5, 64, 1000] {
            let (sink, other) = through(dump.as_bytes(), piece);
            assert!(sink.bytes == dump.as_bytes());
            assert_eq!(
                (&sink.entries, &sink.cuts),
                (&whole.entries, &whole.cuts),
                "pieces of {piece}"
            );
            assert_eq!(other, summary);
            assert_eq!(told(dump.as_bytes(), piece), lexed);
        }
    }
}

#[test]
fn a_dump_cut_before_its_marker_is_not_whole() {
    let fault = |bytes: &[u8]| {
        let mut ending = Ending::default();
        ending.scan(bytes);
        // The marker alone is looked at here; a lexer that has read nothing is in the middle of nothing.
        ending.fault(&Lexer::default())
    };
    for dump in [MYSQL, MARIADB] {
        let marker = dump.rfind("-- Dump completed").unwrap() + "-- Dump completed".len();
        for cut in 0..marker {
            assert!(fault(&dump.as_bytes()[..cut]).is_some(), "cut at {cut}");
        }
        assert_eq!(fault(dump.as_bytes()), None);
        assert_eq!(through(dump.as_bytes(), 9).1.fault, None);
        let more = format!("{dump}SELECT 1;\n");
        assert!(fault(more.as_bytes()).is_some());
    }
}

#[test]
fn a_line_like_the_marker_in_a_body_or_a_name_is_not_the_end_of_the_dump() {
    let marker = "-- Dump completed on 2026-01-02  3:04:05\n";
    let body = MYSQL.replacen("begin set @x", &format!("begin\n{marker}set @x"), 1);
    let text = MYSQL.replacen("set @x='\\';", &format!("set @x='\\', @z='\n{marker}';"), 1);
    let name = MYSQL.replacen("CREATE TABLE `b`", &format!("CREATE TABLE `b\n{marker}`"), 1);
    for dump in [body, text, name] {
        let cut = dump.find(marker).expect("the line") + marker.len();
        for piece in [1, 9, usize::MAX] {
            assert!(
                through(&dump.as_bytes()[..cut], piece).1.fault.is_some(),
                "{}",
                &dump[..cut]
            );
            assert_eq!(through(dump.as_bytes(), piece).1.fault, None);
        }
    }
}

#[test]
fn a_table_in_doubt_is_left_out_and_the_dump_is_whole_all_the_same() {
    // Rows of another table than the header says.
    let odd = MYSQL.replacen("LOCK TABLES `b` WRITE", "LOCK TABLES `c` WRITE", 1);
    let (sink, summary) = through(odd.as_bytes(), 11);
    assert_eq!(sink.bytes, odd.as_bytes());
    assert_eq!((summary.tables, summary.fault), (1, None));
    // A quote that never closes swallows the rest.
    let lost = MYSQL.replacen("DROP TABLE IF EXISTS `a`;", "DROP TABLE IF EXISTS 'a;", 1);
    let (sink, summary) = through(lost.as_bytes(), 11);
    assert_eq!(sink.bytes, lost.as_bytes());
    assert_eq!(summary.fault, None);
}

/// A value of a row as the dumpers write it, with whatever in it.
fn value() -> impl Strategy<Value = String> {
    prop_oneof![
        Just("NULL".to_owned()),
        any::<i64>().prop_map(|number| number.to_string()),
        "[ -~\u{e9}\n]{0,40}".prop_map(|text| {
            let escaped = text.replace('\\', "\\\\").replace('\'', "\\'").replace('\n', "\\n");
            format!("'{escaped}'")
        }),
        "(--|\\(|\\)|,|;|`|UNLOCK TABLES;|/\\*|\\*/|# ){0,6}".prop_map(|text| format!("'{text}'")),
        Just("0x00FF27".to_owned()),
        Just("_binary '\\0\\'\\\\'".to_owned()),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn rows_of_any_content_are_counted_and_never_pass_for_anything_else(
        rows in prop::collection::vec(prop::collection::vec(value(), 1..4), 1..12),
        name in "[a-z;`' (\"-]{1,12}",
        piece in 1usize..40,
    ) {
        let quoted = format!("`{}`", name.replace('`', "``"));
        let values: Vec<_> = rows.iter().map(|row| format!("({})", row.join(","))).collect();
        let table = format!(
            "--\n-- Dumping data for table {quoted}\n--\n\nLOCK TABLES {quoted} WRITE;\nINSERT INTO {quoted} VALUES {};\nUNLOCK TABLES;",
            values.join(",")
        );
        let dump = format!("-- MySQL dump 10.13\n--\n\n{table}\n\n--\n-- Table structure for table `z`\n--\n\nDROP TABLE `z`;\n-- Dump completed\n");
        let (sink, summary) = through(dump.as_bytes(), piece);
        prop_assert_eq!(&sink.bytes, dump.as_bytes());
        prop_assert_eq!(summary, DumpSummary { tables: 1, rows: rows.len() as u64, fault: None });
        let entry = &sink.entries[0];
        prop_assert_eq!(&entry.path.0, name.as_bytes());
        let range = entry.range();
        let text = &dump[usize::try_from(range.start).unwrap()..usize::try_from(range.end).unwrap()];
        prop_assert_eq!(text, table);
    }

    #[test]
    fn any_bytes_pass_unchanged_and_are_read_alike_in_pieces(
        bytes in prop::collection::vec(
            prop_oneof![
                any::<u8>().prop_map(|byte| vec![byte]),
                prop::sample::select(vec![
                    "'", "\"", "`", "\\", ";", "--", "-- ", "\n", "/*", "/*!", "*/", "#", "DELIMITER ;;\n", "(", "insert into `t` values ",
                    "-- Dumping data for table `t`\n", "UNLOCK TABLES;", "M", "/",
                ]).prop_map(|text| text.as_bytes().to_vec()),
            ],
            0..60,
        ),
        piece in 1usize..9,
    ) {
        let script = bytes.concat();
        let (sink, _) = through(&script, piece);
        prop_assert_eq!(&sink.bytes, &script);
        prop_assert_eq!(told(&script, piece), told(&script, usize::MAX));
    }
}
