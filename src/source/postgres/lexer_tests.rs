//! Scripts that are made piece by piece, so that it is known what is in them, and read back.

use proptest::prelude::*;

use super::lexer::{Lexer, Statement, Visitor};

/// What a script holds, in order.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Seen {
    Comment(u64, String),
    Command(u64, String),
    Statement(u64, u64, String),
    Copy(u64, u64, u64, u64),
}

#[derive(Default)]
struct Record(Vec<Seen>);

impl Visitor for Record {
    fn comment(&mut self, start: u64, text: &[u8]) {
        self.0
            .push(Seen::Comment(start, String::from_utf8_lossy(text).into_owned()));
    }
    fn command(&mut self, start: u64, text: &[u8]) {
        self.0
            .push(Seen::Command(start, String::from_utf8_lossy(text).into_owned()));
    }
    fn statement(&mut self, statement: &Statement<'_>) {
        let lead = statement.lead.to_owned();
        self.0.push(Seen::Statement(statement.start, statement.end, lead));
    }
    fn copy(&mut self, start: u64, data_end: u64, end: u64, rows: u64) {
        self.0.push(Seen::Copy(start, data_end, end, rows));
    }
}

fn read(script: &[u8], piece: usize) -> (Vec<Seen>, Option<&'static str>) {
    let mut lexer = Lexer::default();
    let mut record = Record::default();
    for piece in script.chunks(piece.max(1)) {
        lexer.scan(piece, &mut record);
    }
    lexer.finish(&mut record);
    assert_eq!(lexer.offset(), script.len() as u64);
    (record.0, lexer.open_end())
}

fn leads(script: &str) -> Vec<String> {
    let (seen, open) = read(script.as_bytes(), usize::MAX);
    assert_eq!(open, None, "{script}");
    seen.into_iter()
        .filter_map(|seen| match seen {
            Seen::Statement(_, _, lead) => Some(lead),
            _ => None,
        })
        .collect()
}

#[test]
fn semicolons_end_statements_where_psql_says_so() {
    for (script, expected) in [
        ("select 1; select 2;", vec!["select", "select"]),
        (";;\n ; ", vec![]),
        (
            "select ';', \";\", $$;$$, $a$;$$;$a$, e'\\';', 'it'';s';",
            vec!["select e"],
        ),
        ("select 'a\\'; select 2;", vec!["select", "select"]),
        (
            "create rule r as on insert to t do (delete from a; delete from b);",
            vec!["create rule r as on"],
        ),
        (
            "create function f() returns int begin atomic select case when a then 1 end; select 2; end; select 1;",
            vec!["create function f returns int", "select"],
        ),
        (
            "create table \"begin\" (a int); begin; select 1; end;",
            vec!["create table a int", "begin", "select", "end"],
        ),
        ("select a - b -- ;\n / c /* ; /* ; */ ; */;", vec!["select a b c"]),
        ("select $1, a$b$c; select 1;", vec!["select a$b$c", "select"]),
        ("- 1;", vec![""]),
        (
            "set standard_conforming_strings = off; select 'a\\'; b'; select 1;",
            vec!["set standard_conforming_strings off", "select", "select"],
        ),
        ("select e'''\\'; '; select 1;", vec!["select e", "select"]),
        ("select 1e5, x'1f', \"e\"'a\\'; select 2;", vec!["select x", "select"]),
    ] {
        assert_eq!(leads(script), expected, "{script}");
    }
}

#[test]
fn rows_begin_after_the_line_of_the_statement() {
    for (script, expected) in [
        ("copy t from stdin;\na\nb\n\\.\n", Seen::Copy(19, 23, 26, 2)),
        ("copy t from stdin; -- so\na\n\\.\n", Seen::Copy(25, 27, 30, 1)),
        (
            "COPY \"from stdin\" (a) FROM STDIN WITH (FORMAT csv);\n\\.\n",
            Seen::Copy(52, 52, 55, 0),
        ),
        ("copy t from stdin;\r\na\r\n\\.\r\n", Seen::Copy(20, 23, 27, 1)),
        (
            "copy t from stdin;\n\\.x\n.\n\\\\.\n\\\n\\.\n",
            Seen::Copy(19, 31, 34, 4),
        ),
    ] {
        for piece in [1, 2, 1000] {
            let (seen, open) = read(script.as_bytes(), piece);
            assert_eq!(open, None, "{script}");
            assert!(seen.contains(&expected), "{script}: {seen:?}");
        }
    }
    for script in [
        "copy (select 1 from stdin) to stdout; select 1;\n",
        "copy t to stdout;\nselect 1;\n",
        "copy t from 'stdin';\nselect 1;\n",
        "copy t from \"stdin\";\nselect 1;\n",
        "select a from stdin;\nselect 1;\n",
    ] {
        assert_eq!(leads(script).len(), 2.min(script.matches(';').count()), "{script}");
    }
}

#[test]
fn what_is_open_at_the_end_is_known() {
    for (script, open) in [
        ("", None),
        ("select 1;", None),
        ("-- x", None),
        ("select 1", Some("in a statement")),
        ("select 'a", Some("in a text constant")),
        ("select \"a", Some("in a quoted name")),
        ("select $x$ $y$ $", Some("in a dollar-quoted text")),
        ("/* /* */", Some("in a comment")),
        ("copy t from stdin;", Some("before the rows of a table")),
        ("copy t from stdin;\n", Some("in the rows of a table")),
        ("copy t from stdin;\n1\n\\.", Some("in the rows of a table")),
        ("select (1;", Some("in a statement")),
    ] {
        assert_eq!(read(script.as_bytes(), 3).1, open, "{script}");
    }
}

/// Text that is as misleading as text can be.
fn tricky() -> impl Strategy<Value = String> {
    prop::collection::vec(
        prop::sample::select(vec![
            "'",
            "\"",
            "$",
            "$$",
            "$a$",
            "\\",
            "\\.",
            "\n",
            "\n\\.\n",
            ";",
            "--",
            "/*",
            "*/",
            "(",
            ")",
            "e",
            "E'",
            " ",
            "\r",
            "\t",
            "copy t from stdin;\n",
            "\n--\n-- Data for Name: x; Type: TABLE DATA; Schema: y; Owner: z\n--\n",
            "begin",
            "ä",
            "\\connect x\n",
            "1",
            "x",
        ]),
        0..12,
    )
    .prop_map(|parts| parts.concat())
}

#[derive(Clone, Debug)]
enum Piece {
    Text(String),
    Escaped(String),
    Name(String),
    Dollar(String),
    Comment(String),
    Block(String),
    Word(&'static str),
}

fn pieces() -> impl Strategy<Value = Vec<Piece>> {
    let piece = prop_oneof![
        tricky().prop_map(Piece::Text),
        tricky().prop_map(Piece::Escaped),
        tricky().prop_map(Piece::Name),
        tricky().prop_map(Piece::Dollar),
        tricky().prop_map(Piece::Comment),
        tricky().prop_map(Piece::Block),
        prop::sample::select(vec![
            "from", "stdin", "1.5", "a", "-", "/", "+", "(;)", "a$b", "::", "E"
        ])
        .prop_map(Piece::Word),
    ];
    prop::collection::vec(piece, 0..6)
}

impl Piece {
    fn sql(&self) -> String {
        match self {
            Self::Text(text) => format!(" '{}'", text.replace('\'', "''")),
            Self::Escaped(text) => format!(" E'{}'", text.replace('\\', "\\\\").replace('\'', "\\'")),
            Self::Name(text) => format!(" \"{}\"", text.replace('"', "\"\"")),
            Self::Dollar(text) => format!(" $q_1${}\n$q_1$", text.replace("$q", "")),
            Self::Comment(text) => format!(" --{}\n", text.replace('\n', " ")),
            Self::Block(text) => format!(
                " /* {} */",
                text.replace("/*", "").replace("*/", "").replace(['/', '*'], "")
            ),
            Self::Word(word) => format!(" {word} "),
        }
    }
}

#[derive(Clone, Debug)]
enum Item {
    Statement(Vec<Piece>),
    Copy(Vec<String>),
    Comment(String),
    Command(String),
}

fn items() -> impl Strategy<Value = Vec<Item>> {
    let line = || tricky().prop_map(|text| text.replace(['\n', '\r'], ""));
    let item = prop_oneof![
        pieces().prop_map(Item::Statement),
        // As COPY writes rows: a backslash is doubled, a line end is spelled out.
        prop::collection::vec(
            tricky().prop_map(|text| text.replace('\\', "\\\\").replace('\n', "\\n").replace('\r', "\\r")),
            0..5
        )
        .prop_map(Item::Copy),
        line().prop_map(Item::Comment),
        line().prop_map(Item::Command),
    ];
    prop::collection::vec(item, 0..8)
}

fn build(items: &[Item]) -> (Vec<u8>, Vec<Seen>) {
    let mut script = String::new();
    let mut expected = Vec::new();
    for item in items {
        let start = script.len() as u64;
        match item {
            Item::Statement(pieces) => {
                script.push_str("select");
                pieces.iter().for_each(|piece| script.push_str(&piece.sql()));
                script.push(';');
                expected.push(Seen::Statement(start, script.len() as u64, String::new()));
                script.push('\n');
            }
            Item::Copy(rows) => {
                script.push_str("COPY public.\"from;\" (a, \"x)\") FROM stdin;");
                expected.push(Seen::Statement(start, script.len() as u64, String::new()));
                script.push('\n');
                let begin = script.len() as u64;
                rows.iter().for_each(|row| script.push_str(&format!("{row}\n")));
                let data_end = script.len() as u64;
                script.push_str("\\.\n");
                expected.push(Seen::Copy(begin, data_end, script.len() as u64, rows.len() as u64));
            }
            Item::Comment(text) => {
                script.push_str(&format!("--{text}\n"));
                expected.push(Seen::Comment(start, text.trim().to_owned()));
            }
            Item::Command(text) => {
                script.push_str(&format!("\\{text}\n"));
                expected.push(Seen::Command(start, format!("\\{text}").trim_end().to_owned()));
            }
        }
    }
    (script.into_bytes(), expected)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn whatever_texts_hold_the_script_is_read_as_it_was_made(items in items(), piece in 1usize..40) {
        let (script, expected) = build(&items);
        let (seen, open) = read(&script, piece);
        let seen: Vec<Seen> = seen
            .into_iter()
            .map(|seen| match seen {
                Seen::Statement(start, end, _) => Seen::Statement(start, end, String::new()),
                seen => seen,
            })
            .collect();
        prop_assert_eq!(open, None);
        prop_assert_eq!(seen, expected);
    }

    #[test]
    fn any_bytes_are_read_the_same_in_pieces_of_any_size(bytes in tricky_bytes(), piece in 1usize..20) {
        prop_assert_eq!(read(&bytes, piece), read(&bytes, usize::MAX));
    }
}

fn tricky_bytes() -> impl Strategy<Value = Vec<u8>> {
    prop::collection::vec(
        prop_oneof![
            tricky().prop_map(String::into_bytes),
            prop::collection::vec(any::<u8>(), 0..4)
        ],
        0..10,
    )
    .prop_map(|parts| parts.concat())
}
