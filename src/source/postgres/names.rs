//! Names in a plain SQL dump: in the headers that `pg_dump` writes, and in statements.

/// What a header says of the object below it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Header {
    /// `TABLE`, `INDEX`, `FK CONSTRAINT` and so on.
    pub what: String,
    /// The schema; `None` for what is in none.
    pub schema: Option<Vec<u8>>,
    /// `schema.name`, or the name alone for what is in no schema; line ends have become blanks.
    pub path: Vec<u8>,
    /// Whether the data of a table follows.
    pub is_data: bool,
}

/// Reads `Name: t; Type: TABLE; Schema: s; Owner: o`, or the same of a table's data.
///
/// It is read from its end, because names may hold anything.
#[must_use]
pub fn header(text: &[u8]) -> Option<Header> {
    let (text, is_data) = match text.strip_prefix(b"Data for ") {
        Some(rest) => (rest, true),
        None => (text, false),
    };
    let text = text.strip_prefix(b"Name: ")?;
    let at = |part: &[u8], text: &[u8]| memchr::memmem::rfind(text, part);
    let text = &text[..at(b"; Owner: ", text)?];
    let split = at(b"; Schema: ", text)?;
    let (text, schema) = (&text[..split], &text[split + b"; Schema: ".len()..]);
    let split = at(b"; Type: ", text)?;
    let (name, what) = (&text[..split], &text[split + b"; Type: ".len()..]);
    let is_type = !what.is_empty() && what.iter().all(|byte| byte.is_ascii_uppercase() || *byte == b' ');
    if !is_type || (is_data && what != b"TABLE DATA") {
        return None;
    }
    let schema = (schema != b"-").then_some(schema);
    Some(Header {
        what: String::from_utf8_lossy(what).into_owned(),
        schema: schema.map(<[u8]>::to_vec),
        path: schema.map_or_else(|| name.to_vec(), |schema| join(schema, name)),
        is_data,
    })
}

/// `schema.name`.
#[must_use]
pub fn join(schema: &[u8], name: &[u8]) -> Vec<u8> {
    [schema, b".", name].concat()
}

/// A name as headers show it.
#[must_use]
pub fn without_line_ends(name: &[u8]) -> Vec<u8> {
    name.iter()
        .map(|byte| if matches!(byte, b'\n' | b'\r') { b' ' } else { *byte })
        .collect()
}

/// A part of a statement that matters to whoever looks for names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Token {
    /// A name or a keyword, its parts without quotes; `"a.b".c` has two.
    Name {
        /// The parts.
        parts: Vec<Vec<u8>>,
        /// Whether it is one part without quotes, which may be a keyword.
        is_bare: bool,
    },
    /// Any other byte outside of constants.
    Symbol(u8),
}

impl Token {
    /// Whether it is this keyword, which is in lower case here.
    #[must_use]
    pub fn is(&self, keyword: &str) -> bool {
        matches!(self, Self::Name { parts, is_bare: true } if parts[0].eq_ignore_ascii_case(keyword.as_bytes()))
    }

    /// The parts of the name, joined by dots.
    #[must_use]
    pub fn path(&self) -> Option<Vec<u8>> {
        match self {
            Self::Name { parts, .. } => Some(parts.join(&b'.')),
            Self::Symbol(_) => None,
        }
    }
}

/// The tokens of the beginning of a statement; one that is cut off at its end is left out.
#[must_use]
pub fn tokens(statement: &[u8]) -> Vec<Token> {
    let mut found = Vec::new();
    let mut rest = statement;
    while let Some(first) = rest.first() {
        match first {
            byte if byte.is_ascii_whitespace() => rest = &rest[1..],
            b'\'' => match memchr::memchr(b'\'', &rest[1..]) {
                // A doubled quote closes and opens again, which comes to the same.
                Some(end) => rest = &rest[end + 2..],
                None => break,
            },
            b'-' if rest.starts_with(b"--") => match memchr::memchr(b'\n', rest) {
                Some(end) => rest = &rest[end..],
                None => break,
            },
            byte if *byte == b'"' || is_name_byte(*byte) => match name(rest) {
                Some((token, after)) => {
                    found.push(token);
                    rest = after;
                }
                None => break,
            },
            byte => {
                found.push(Token::Symbol(*byte));
                rest = &rest[1..];
            }
        }
    }
    found
}

fn is_name_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'$') || byte >= 0x80
}

/// A name of one or more parts at the beginning of `text`, and what follows it.
fn name(text: &[u8]) -> Option<(Token, &[u8])> {
    let mut parts = Vec::new();
    let mut is_bare = true;
    let mut rest = text;
    loop {
        let mut part = Vec::new();
        if rest.starts_with(b"\"") {
            is_bare = false;
            let mut is_doubled = false;
            while let Some(quoted) = rest.strip_prefix(b"\"") {
                let end = memchr::memchr(b'"', quoted)?;
                if is_doubled {
                    part.push(b'"');
                }
                part.extend_from_slice(&quoted[..end]);
                rest = &quoted[end + 1..];
                is_doubled = true;
            }
        } else {
            let end = rest.iter().position(|byte| !is_name_byte(*byte))?;
            part.extend_from_slice(&rest[..end]);
            rest = &rest[end..];
        }
        parts.push(part);
        match rest.strip_prefix(b".") {
            Some(more) if more.first().is_some_and(|byte| *byte == b'"' || is_name_byte(*byte)) => rest = more,
            _ => break,
        }
    }
    let is_bare = is_bare && parts.len() == 1;
    Some((Token::Name { parts, is_bare }, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_are_read_from_their_end() {
        let read = |text: &str| header(text.as_bytes()).map(|header| (header.what, header.path, header.is_data));
        let found = |what: &str, path: &str, is_data| Some((what.to_owned(), path.as_bytes().to_vec(), is_data));
        assert_eq!(
            read(
                "Data for Name: a; Type: TABLE DATA; Schema: x; Owner: y; Type: TABLE DATA; Schema: public; Owner: me"
            ),
            found("TABLE DATA", "public.a; Type: TABLE DATA; Schema: x; Owner: y", true)
        );
        assert_eq!(
            read("Name: t; Type: TABLE; Schema: public; Owner: me; Tablespace: fast"),
            found("TABLE", "public.t", false)
        );
        assert_eq!(
            read("Name: Odd; Schema; Type: SCHEMA; Schema: -; Owner: postgres"),
            found("SCHEMA", "Odd; Schema", false)
        );
        for text in [
            "Data for Name: BLOBS; Type: BLOBS; Schema: -; Owner: -",
            "Name: t; Type: ; Schema: public; Owner: me",
            "Name: t",
            "PostgreSQL database dump",
        ] {
            assert_eq!(read(text), None, "{text}");
        }
    }

    #[test]
    fn names_come_from_statements_as_they_are() {
        for (statement, paths) in [
            (
                "COPY public.t (a) FROM stdin;",
                &["COPY", "public.t", "a", "FROM", "stdin"][..],
            ),
            ("A \"My Schema\".\"a.b\"\"c\nd\" ;", &["A", "My Schema.a.b\"c\nd"]),
            ("IS 'it''s \"x\"' y ", &["IS", "y"]),
            ("a -- b\n c(", &["a", "c"]),
            ("\"\"\"\" x.y.z;", &["\"", "x.y.z"]),
            ("COPY \"never closed", &["COPY"]),
            ("cut off", &["cut"]),
        ] {
            let found: Vec<Vec<u8>> = tokens(statement.as_bytes()).iter().filter_map(Token::path).collect();
            assert_eq!(
                found,
                paths.iter().map(|path| path.as_bytes()).collect::<Vec<_>>(),
                "{statement}"
            );
        }
        assert!(tokens(b"on \"on\" ")[0].is("on"));
        assert!(!tokens(b"on \"on\" ")[1].is("on"));
    }
}
