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
    "alter group",
    "alter role",
    "alter system",
    "alter tablespace",
    "alter user",
    "comment on role",
    "comment on tablespace",
    "create database",
    "create group",
    "create role",
    "create tablespace",
    "create user",
    "drop database",
    "drop group",
    "drop owned",
    "drop role",
    "drop tablespace",
    "drop user",
    "load",
    "reassign owned",
];

/// What begins like one of those and stays in its database. By the next word, for a role may be called `mapping`.
const NO_ESCAPES: &[&str] = &[
    "alter user mapping for",
    "create user mapping for",
    "create user mapping if",
    "drop user mapping for",
    "drop user mapping if",
];

/// What rights are granted on that every database of the server shares.
const SHARED_OBJECTS: &[&str] = &["database", "parameter", "tablespace"];

/// Functions that read and write files of the server, or run in it by name; `pg_dump` calls none of them.
const FILE_FUNCTIONS: &[&str] = &["lo_export", "lo_import"];

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

    fn refuse_escape(&mut self, what: &str) {
        self.refuse(
            format!("The dump would change more than its own database: `{what}`"),
            "No dump of one database has that: make it again without `--create`, and roles by themselves with --globals; if you \
             trust it, restore it by hand: restore --to - | psql -X -v ON_ERROR_STOP=1",
        );
    }

    fn refuse(&mut self, message: String, hint: &str) {
        if self.refusal.is_none() {
            self.refusal = Some(Failure::new(Kind::Refused, message).hint(hint));
        }
    }
}

/// What a statement would do beyond its database that its first words do not tell.
fn escape_within(statement: &Statement<'_>) -> Option<&'static str> {
    let first = statement.lead.split(' ').next().unwrap_or_default();
    match first {
        "copy" if !statement.reads_stdin => Some("COPY with a file or a program"),
        "grant" | "revoke" => {
            let mut words = bare_words(statement.head);
            // `GRANT SELECT ON TABLE t TO u`, but `GRANT a_role TO u`.
            match words.find(|word| ["on", "to", "from"].contains(&word.as_str())) {
                Some(word) if word == "on" => {
                    let on = words.next()?;
                    SHARED_OBJECTS
                        .contains(&on.as_str())
                        .then_some("GRANT ON what is the server's")
                }
                _ => Some("GRANT of a role"),
            }
        }
        "select" | "values" | "with" | "call" => bare_words(statement.head)
            .any(|word| FILE_FUNCTIONS.contains(&word.as_str()))
            .then_some("a large object from or to a file of the server"),
        _ => None,
    }
}

/// The words of a statement that stand outside of quotes and comments, in lower case.
fn bare_words(head: &[u8]) -> impl Iterator<Item = String> {
    let mut rest = head;
    std::iter::from_fn(move || {
        loop {
            let skipped = match rest {
                [] => return None,
                [b'-', b'-', ..] => memchr::memchr(b'\n', rest),
                [b'/', b'*', ..] => memchr::memmem::find(rest, b"*/").map(|at| at + 1),
                [quote @ (b'"' | b'\''), ..] => memchr::memchr(*quote, &rest[1..]).map(|at| at + 1),
                [byte, ..] if byte.is_ascii_alphabetic() || *byte == b'_' || *byte >= 0x80 => {
                    let is_word =
                        |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'$') || *byte >= 0x80;
                    let end = rest.iter().position(|byte| !is_word(byte)).unwrap_or(rest.len());
                    let (word, more) = rest.split_at(end);
                    rest = more;
                    return Some(String::from_utf8_lossy(word).to_ascii_lowercase());
                }
                _ => Some(0),
            };
            // What does not end in the head has no words behind it.
            rest = skipped.and_then(|at| rest.get(at + 1..)).unwrap_or_default();
        }
    })
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
        if let Some(begin) = ESCAPES.iter().find(escapes)
            && !NO_ESCAPES.iter().any(|begin| escapes(&begin))
        {
            self.refuse_escape(&begin.to_ascii_uppercase());
        } else if let Some(what) = escape_within(statement) {
            self.refuse_escape(what);
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
            "CREATE USER MAPPING FOR u SERVER s; CREATE USER MAPPING IF NOT EXISTS FOR u SERVER s;",
            "CREATE EXTENSION IF NOT EXISTS hstore WITH SCHEMA public;",
            "GRANT SELECT,INSERT,REFERENCES,DELETE,TRIGGER,TRUNCATE,UPDATE ON TABLE public.t TO \"to\";",
            "GRANT SELECT(a),UPDATE(\"from\") ON TABLE public.t TO u;",
            "REVOKE GRANT OPTION FOR ALL ON SCHEMA public FROM PUBLIC;",
            "GRANT ALL ON FOREIGN SERVER s TO u; GRANT SELECT ON LARGE OBJECT 7 TO u;",
            "ALTER DEFAULT PRIVILEGES FOR ROLE u GRANT ALL ON TABLES TO v;",
            "ALTER TABLE t OWNER TO role; COMMENT ON COLUMN role.x IS 'lo_export';",
            "COPY t (\"from\", program) FROM stdin;\nx\ty\n\\.\n",
            "SELECT pg_catalog.lo_open('7', 131072);\nSELECT pg_catalog.lowrite(0, '\\x');",
            "SELECT 'lo_export', \"lo_import\" FROM t;",
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
            "CREATE ROLE evil SUPERUSER;",
            "create /* x */ user evil;",
            "CREATE USER mapping SUPERUSER;",
            "ALTER ROLE postgres SET a = 1;",
            "ALTER USER u SUPERUSER;",
            "DROP GROUP g;",
            "GRANT pg_execute_server_program TO u;",
            "GRANT a TO u /* on */ -- on\n;",
            "GRANT \"on\" TO u;",
            "REVOKE ADMIN OPTION FOR a FROM u;",
            "GRANT ALL ON DATABASE other TO u;",
            "GRANT SET ON PARAMETER log_min_messages TO u;",
            "CREATE TABLESPACE s LOCATION '/x';",
            "DROP OWNED BY u;",
            "LOAD 'x';",
            "COPY (select 1) TO PROGRAM 'touch F';",
            "COPY (select 1 from stdin) TO '/tmp/x';",
            "COPY t FROM PROGRAM 'touch F';",
            "COPY t FROM '/etc/passwd';",
            "COPY t FROM PROGRAM 'touch F' WHERE x IS DISTINCT FROM stdin;",
            "SELECT pg_catalog.lo_export(7, '/tmp/x');",
            "select lo_import ('/etc/passwd');",
        ] {
            let failure = refusal(script).unwrap_or_else(|| panic!("passed: {script}"));
            assert_eq!(failure.kind(), Kind::Refused, "{script}");
            assert!(!failure.hints().is_empty());
        }
    }
}
