//! Follows a script on its way into `psql` and stops what would leave the database that it is restored into.

use std::collections::HashSet;

use super::ending::{Ending, Flavour};
use super::lexer::{Statement, Visitor};
use super::names::header;
use super::outline::OPENING_BYTES_MAX;
use crate::base::failure::{Failure, Kind};

/// First words of statements that change other databases or the server, and are never in a dump of one database.
const ESCAPES: &[&str] = &[
    "alter database",
    "alter system",
    "create database",
    "create tablespace",
    "drop database",
    "drop tablespace",
];

/// What a dump of single tables holds without the schema that it lies in.
const IN_SCHEMAS: [&str; 5] = ["TABLE", "FOREIGN TABLE", "VIEW", "MATERIALIZED VIEW", "SEQUENCE"];

/// Follows a script and keeps the first reason to stop.
#[derive(Debug, Default)]
pub struct Screen {
    /// Whether the script is whole.
    pub ending: Ending,
    refusal: Option<Failure>,
    current: Option<String>,
    copies: u64,
    markers: Vec<(u64, usize)>,
    // The `--` line that may open a header.
    opened: Option<u64>,
    schemas: HashSet<Vec<u8>>,
    missing: Vec<(u64, Vec<u8>)>,
}

impl Screen {
    /// The reason to stop, if there is one.
    pub fn take_refusal(&mut self) -> Option<Failure> {
        self.refusal.take()
    }

    /// The table whose rows come next, if another one has begun.
    pub fn take_current(&mut self) -> Option<String> {
        self.current.take()
    }

    /// How many tables have ended since the last call.
    pub fn take_copies(&mut self) -> u64 {
        std::mem::take(&mut self.copies)
    }

    /// Where the dump's own `\restrict` and `\unrestrict` stand that have been met since the last call, and how many
    /// bytes they have.
    pub fn take_markers(&mut self) -> Vec<(u64, usize)> {
        std::mem::take(&mut self.markers)
    }

    /// The schemas met since the last call that the script puts something into and does not make, and where the first
    /// header stands that names each.
    pub fn take_missing_schemas(&mut self) -> Vec<(u64, Vec<u8>)> {
        std::mem::take(&mut self.missing)
    }

    fn note_schema(&mut self, start: u64, text: &[u8]) {
        let opened = self.opened.take();
        if text.is_empty() {
            self.opened = Some(start);
            return;
        }
        if opened.is_none_or(|opened| start > opened + OPENING_BYTES_MAX) {
            return;
        }
        let Some(header) = header(text) else { return };
        if header.what == "SCHEMA" {
            self.schemas.insert(header.path);
        } else if let Some(schema) = header.schema
            && IN_SCHEMAS.contains(&header.what.as_str())
            && !header.is_data
            && !is_there_anyway(&schema)
            && self.schemas.insert(schema.clone())
        {
            self.missing.push((start, schema));
        }
    }

    fn refuse(&mut self, message: String, hint: &str) {
        if self.refusal.is_none() {
            self.refusal = Some(Failure::new(Kind::Refused, message).hint(hint));
        }
    }
}

/// Whether every database has a schema of this name; the server makes those of its own itself.
fn is_there_anyway(schema: &[u8]) -> bool {
    schema == b"public" || schema == b"information_schema" || schema.starts_with(b"pg_")
}

impl Visitor for Screen {
    fn comment(&mut self, start: u64, text: &[u8]) {
        self.ending.comment(start, text);
        self.note_schema(start, text);
        if self.ending.flavour() == Flavour::Cluster {
            self.refuse(
                "The dump holds a whole server (`pg_dumpall`), not one database".to_owned(),
                "Restore it by hand into a server of its own: restore --to - | psql -X -v ON_ERROR_STOP=1 -d postgres",
            );
        }
    }

    fn command(&mut self, start: u64, text: &[u8]) {
        self.ending.command(start, text);
        let mut words = text.split(u8::is_ascii_whitespace).filter(|word| !word.is_empty());
        let (name, key, more) = (words.next(), words.next(), words.next());
        let is_plain = key.is_some_and(|key| key.iter().all(u8::is_ascii_alphanumeric)) && more.is_none();
        match name {
            Some(b"\\restrict" | b"\\unrestrict") if is_plain => self.markers.push((start, text.len())),
            Some(name @ (b"\\connect" | b"\\c")) => self.refuse(
                format!("The dump leaves its database with `{}`", String::from_utf8_lossy(name)),
                "Dumps made with `pg_dump --create` go back where they came from; make it again without that option, or \
                 restore it by hand: restore --to - | psql -X -v ON_ERROR_STOP=1 -d postgres",
            ),
            name => self.refuse(
                format!(
                    "The dump has a command for `psql` that no dump needs: `{}`",
                    String::from_utf8_lossy(name.unwrap_or_default())
                ),
                "It could run programs on this machine; if you trust it: restore --to - | psql -X -v ON_ERROR_STOP=1",
            ),
        }
    }

    fn statement(&mut self, statement: &Statement<'_>) {
        self.ending.statement(statement);
        let lead = statement.lead;
        let escapes = |begin: &&&str| {
            lead.strip_prefix(**begin)
                .is_some_and(|rest| rest.is_empty() || rest.starts_with(' '))
        };
        if let Some(begin) = ESCAPES.iter().find(escapes) {
            self.refuse(
                format!(
                    "The dump would change more than its own database: `{}`",
                    begin.to_ascii_uppercase()
                ),
                "Make it again without `--create`, or restore it by hand: restore --to - | psql -X -v ON_ERROR_STOP=1",
            );
        }
        if lead.starts_with("copy") {
            let text = String::from_utf8_lossy(statement.head);
            let name = text.trim_start().get(4..).unwrap_or_default().split(" (").next();
            self.current = name.map(|name| name.trim().to_owned());
        }
    }

    fn copy(&mut self, start: u64, data_end: u64, end: u64, rows: u64) {
        self.ending.copy(start, data_end, end, rows);
        self.copies += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::super::lexer::Lexer;
    use super::super::samples;
    use super::*;

    fn refusal(script: &str) -> Option<Failure> {
        let mut lexer = Lexer::default();
        let mut screen = Screen::default();
        lexer.scan(script.as_bytes(), &mut screen);
        lexer.finish(&mut screen);
        screen.take_refusal()
    }

    #[test]
    fn ordinary_dumps_pass() {
        for dump in [samples::RESTRICTED, samples::OLDER, samples::INSERTS, samples::ESCAPES] {
            assert!(refusal(dump).is_none());
        }
        for script in [
            "COPY t (a) FROM stdin;\n\\connect other\nCREATE DATABASE x;\n\\.\nSELECT 1;\n",
            "SELECT 'x\n\\connect other\n';",
            "SELECT $$\n\\! rm\nDROP DATABASE x;\n$$;",
            "COMMENT ON DATABASE x IS 'drop database x;';",
            "/* \\connect x */ -- \\connect x\n",
        ] {
            assert!(refusal(script).is_none(), "{script}");
        }
    }

    #[test]
    fn schemas_that_a_script_needs_and_does_not_make_are_found_once() {
        let header = |name: &str, what: &str, schema: &str| {
            format!("--\n-- Name: {name}; Type: {what}; Schema: {schema}; Owner: me\n--\n\nSELECT 1;\n\n")
        };
        let script = [
            header("made", "SCHEMA", "-"),
            header("t", "TABLE", "made"),
            header("t", "TABLE", "public"),
            header("f()", "FUNCTION", "functions"),
            header("t", "TABLE", "App"),
            header("s", "SEQUENCE", "App"),
            header("v", "VIEW", "log; x"),
            "-- Name: t; Type: TABLE; Schema: no_header; Owner: me\n".to_owned(),
        ]
        .concat();
        let mut lexer = Lexer::default();
        let mut screen = Screen::default();
        lexer.scan(script.as_bytes(), &mut screen);
        let at = |text: &str| script.find(text).unwrap() as u64;
        let found = screen.take_missing_schemas();
        assert_eq!(
            found,
            [
                (at("-- Name: t; Type: TABLE; Schema: App"), b"App".to_vec()),
                (at("-- Name: v;"), b"log; x".to_vec()),
            ]
        );
        assert!(screen.take_missing_schemas().is_empty());
    }

    #[test]
    fn ways_out_of_the_database_are_refused() {
        for script in [
            "\\connect other\n",
            "\\c other",
            "SELECT 1 \\connect other\n",
            "SELECT 1;\\connect other\n",
            "create /* x */ database y;",
            "SELECT 1; DROP\nDATABASE y;",
            "ALTER DATABASE y SET a = 1;",
            "ALTER SYSTEM SET a = 1;",
            "\\! rm -rf /\n",
            "\\set ON_ERROR_STOP off\n",
            "\\restrict `id`\n",
            "\\unrestrict a b\n",
            "COPY t FROM stdin;\n\\.\n\\connect x\n",
            "SELECT 'a\\';\\connect x\n",
            "--\n-- PostgreSQL database cluster dump\n--\n",
        ] {
            let failure = refusal(script).unwrap_or_else(|| panic!("passed: {script}"));
            assert_eq!(failure.kind(), Kind::Refused, "{script}");
            assert!(!failure.hints().is_empty());
        }
    }
}
