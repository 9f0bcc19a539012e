//! What an object of a dump is called, and which table, index or sequence it belongs to, by its own first statement.

use super::names::{Header, Token, join, tokens, without_line_ends};

/// An object by its names.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Relation {
    /// `schema.name`.
    pub path: Vec<u8>,
    /// What it belongs to: a table most often.
    pub owner: Option<Vec<u8>>,
}

/// Reads the first statement below a header.
#[must_use]
pub fn relation(header: &Header, statement: &[u8]) -> Relation {
    let all = tokens(statement);
    let schema = header.schema.as_deref();
    let after = |keyword: &str| all.iter().position(|token| token.is(keyword)).map(|at| &all[at + 1..]);
    let subject = || subject(&all).and_then(|token| qualified(token, schema));
    // The header shows names with line ends made blank; the statement has them as they are.
    let own = |name: Option<Vec<u8>>| match name {
        Some(name) if without_line_ends(&name) == header.path => name,
        _ => header.path.clone(),
    };
    let (path, owner) = match header.what.as_str() {
        "TABLE" | "FOREIGN TABLE" | "VIEW" | "MATERIALIZED VIEW" => (own(subject()), None),
        // A column's own sequence is made by altering its table.
        "SEQUENCE" if all.first().is_some_and(|token| token.is("alter")) => (header.path.clone(), subject()),
        "SEQUENCE" => (own(subject()), None),
        "SEQUENCE OWNED BY" => {
            let column = after("by").and_then(<[Token]>::first);
            (own(subject()), column.and_then(|column| table_of(column, schema)))
        }
        "TABLE ATTACH" | "INDEX ATTACH" => {
            let part = after("partition").and_then(|rest| qualified(rest.first()?, schema));
            (part.unwrap_or_else(|| header.path.clone()), subject())
        }
        "CONSTRAINT" => {
            // It makes an index of the same name, in the schema of its table.
            let name = after("constraint").and_then(|rest| qualified(rest.first()?, schema));
            (name.unwrap_or_else(|| header.path.clone()), subject())
        }
        "INDEX" => {
            let name = after("index").and_then(|rest| qualified(rest.first()?, schema));
            (own(name), after("on").and_then(|rest| table(rest, schema)))
        }
        what => {
            let owner = match what {
                "DEFAULT" | "FK CONSTRAINT" | "CHECK CONSTRAINT" | "ROW SECURITY" => subject(),
                "TRIGGER" | "POLICY" => after("on").and_then(|rest| table(rest, schema)),
                "RULE" => after("to").and_then(|rest| table(rest, schema)),
                "STATISTICS" => after("from").and_then(|rest| table(rest, schema)),
                "COMMENT" | "SECURITY LABEL" => after("on").and_then(|rest| described(rest, schema)),
                "ACL" => after("on").and_then(|rest| granted(rest, schema)),
                _ => None,
            };
            (header.path.clone(), owner)
        }
    };
    Relation { path, owner }
}

/// What a `CREATE` or an `ALTER` is about.
fn subject(tokens: &[Token]) -> Option<&Token> {
    const KINDS: [&str; 4] = ["table", "view", "sequence", "index"];
    let kind = tokens
        .iter()
        .position(|token| KINDS.iter().any(|kind| token.is(kind)))?;
    without_options(&tokens[kind + 1..]).first()
}

fn without_options(mut tokens: &[Token]) -> &[Token] {
    const OPTIONS: [&str; 4] = ["only", "if", "not", "exists"];
    while let Some((first, rest)) = tokens.split_first()
        && OPTIONS.iter().any(|option| first.is(option))
    {
        tokens = rest;
    }
    tokens
}

fn table(tokens: &[Token], schema: Option<&[u8]>) -> Option<Vec<u8>> {
    qualified(without_options(tokens).first()?, schema)
}

/// Dumps of old versions name what is in the header's schema without it.
fn qualified(token: &Token, schema: Option<&[u8]>) -> Option<Vec<u8>> {
    match (token, schema) {
        (Token::Name { parts, .. }, Some(schema)) if parts.len() == 1 => Some(join(schema, &parts[0])),
        _ => token.path(),
    }
}

/// The table of a column.
fn table_of(column: &Token, schema: Option<&[u8]>) -> Option<Vec<u8>> {
    let Token::Name { parts, .. } = column else { return None };
    match (parts.as_slice(), schema) {
        ([table, _], Some(schema)) => Some(join(schema, table)),
        ([above @ .., _], _) if !above.is_empty() => Some(above.join(&b'.')),
        _ => None,
    }
}

/// What a comment is on.
fn described(tokens: &[Token], schema: Option<&[u8]>) -> Option<Vec<u8>> {
    let (kind, rest) = tokens.split_first()?;
    let is = |kinds: &[&str]| kinds.iter().any(|word| kind.is(word));
    if is(&["table", "view", "index", "sequence"]) {
        qualified(rest.first()?, schema)
    } else if is(&["materialized", "foreign"]) {
        qualified(rest.get(1)?, schema)
    } else if is(&["column"]) {
        table_of(rest.first()?, schema)
    } else if is(&["constraint", "trigger", "rule", "policy"]) && !rest.get(2)?.is("domain") {
        qualified(rest.get(2)?, schema)
    } else {
        None
    }
}

/// What a right is on.
fn granted(tokens: &[Token], schema: Option<&[u8]>) -> Option<Vec<u8>> {
    let (first, second) = (tokens.first()?, tokens.get(1)?);
    if second.is("to") || second.is("from") {
        qualified(first, schema)
    } else if first.is("table") || first.is("sequence") {
        qualified(second, schema)
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statements_tell_what_they_belong_to() {
        for (what, name, statement, path, owner) in [
            ("TABLE", "t", "CREATE TABLE public.t (\n    a int\n);", "public.t", ""),
            (
                "TABLE",
                "sequence",
                "CREATE UNLOGGED TABLE sequence (a int);",
                "public.sequence",
                "",
            ),
            (
                "TABLE",
                "a b",
                "CREATE TABLE public.\"a\nb\" (x int);",
                "public.a\nb",
                "",
            ),
            (
                "VIEW",
                "v",
                "CREATE OR REPLACE VIEW public.v AS SELECT 1;",
                "public.v",
                "",
            ),
            (
                "SEQUENCE",
                "s",
                "CREATE SEQUENCE public.s\n START WITH 1;",
                "public.s",
                "",
            ),
            (
                "SEQUENCE",
                "t_id_seq",
                "ALTER TABLE public.t ALTER COLUMN id ADD GENERATED ALWAYS AS IDENTITY (SEQUENCE NAME public.t_id_seq);",
                "public.t_id_seq",
                "public.t",
            ),
            (
                "SEQUENCE OWNED BY",
                "s",
                "ALTER SEQUENCE public.s OWNED BY public.t.id;",
                "public.s",
                "public.t",
            ),
            (
                "SEQUENCE OWNED BY",
                "s",
                "ALTER SEQUENCE s OWNED BY t.id;",
                "public.s",
                "public.t",
            ),
            (
                "SEQUENCE SET",
                "s",
                "SELECT pg_catalog.setval('public.s', 1, true);",
                "public.s",
                "",
            ),
            (
                "TABLE ATTACH",
                "p1",
                "ALTER TABLE ONLY public.p ATTACH PARTITION public.p1 FOR VALUES FROM (0) TO (10);",
                "public.p1",
                "public.p",
            ),
            (
                "INDEX ATTACH",
                "p1_k",
                "ALTER INDEX public.p_k ATTACH PARTITION public.p1_k;",
                "public.p1_k",
                "public.p_k",
            ),
            (
                "DEFAULT",
                "t id",
                "ALTER TABLE ONLY public.t ALTER COLUMN id SET DEFAULT 1;",
                "public.t id",
                "public.t",
            ),
            (
                "CONSTRAINT",
                "t t_pkey",
                "ALTER TABLE ONLY public.t\n    ADD CONSTRAINT t_pkey PRIMARY KEY (id);",
                "public.t_pkey",
                "public.t",
            ),
            (
                "FK CONSTRAINT",
                "c f",
                "ALTER TABLE ONLY c\n    ADD CONSTRAINT f FOREIGN KEY (a) REFERENCES public.t(id);",
                "public.c f",
                "public.c",
            ),
            (
                "INDEX",
                "i",
                "CREATE UNIQUE INDEX i ON ONLY public.t USING btree (a);",
                "public.i",
                "public.t",
            ),
            (
                "TRIGGER",
                "t g",
                "CREATE CONSTRAINT TRIGGER g AFTER UPDATE OF \"on\", b ON public.t FOR EACH ROW EXECUTE FUNCTION public.f();",
                "public.t g",
                "public.t",
            ),
            (
                "RULE",
                "t r",
                "CREATE RULE r AS\n    ON INSERT TO public.t DO NOTHING;",
                "public.t r",
                "public.t",
            ),
            (
                "POLICY",
                "t p",
                "CREATE POLICY p ON public.t USING (true);",
                "public.t p",
                "public.t",
            ),
            (
                "ROW SECURITY",
                "t",
                "ALTER TABLE public.t ENABLE ROW LEVEL SECURITY;",
                "public.t",
                "public.t",
            ),
            (
                "STATISTICS",
                "st",
                "CREATE STATISTICS public.st ON a, b FROM public.t;",
                "public.st",
                "public.t",
            ),
            (
                "COMMENT",
                "TABLE t",
                "COMMENT ON TABLE public.t IS 'on x';",
                "public.TABLE t",
                "public.t",
            ),
            (
                "COMMENT",
                "COLUMN t.a",
                "COMMENT ON COLUMN public.t.a IS '';",
                "public.COLUMN t.a",
                "public.t",
            ),
            (
                "COMMENT",
                "x",
                "COMMENT ON MATERIALIZED VIEW public.m IS '';",
                "public.x",
                "public.m",
            ),
            (
                "COMMENT",
                "x",
                "COMMENT ON CONSTRAINT c ON public.t IS '';",
                "public.x",
                "public.t",
            ),
            (
                "COMMENT",
                "x",
                "COMMENT ON CONSTRAINT c ON DOMAIN public.d IS '';",
                "public.x",
                "",
            ),
            ("COMMENT", "x", "COMMENT ON FUNCTION public.f() IS '';", "public.x", ""),
            (
                "ACL",
                "TABLE t",
                "GRANT SELECT(id,a) ON TABLE public.t TO PUBLIC;",
                "public.TABLE t",
                "public.t",
            ),
            ("ACL", "t", "REVOKE ALL ON t FROM PUBLIC;", "public.t", "public.t"),
            ("ACL", "x", "GRANT ALL ON SCHEMA public TO me;", "public.x", ""),
            (
                "FUNCTION",
                "f()",
                "CREATE FUNCTION public.f() RETURNS int LANGUAGE sql AS 'x';",
                "public.f()",
                "",
            ),
        ] {
            let header = Header {
                what: what.to_owned(),
                schema: Some(b"public".to_vec()),
                path: format!("public.{name}").into_bytes(),
                is_data: false,
            };
            let found = relation(&header, statement.as_bytes());
            let shown = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
            assert_eq!(shown(&found.path), path, "{statement}");
            assert_eq!(shown(&found.owner.unwrap_or_default()), owner, "{statement}");
        }
    }
}
