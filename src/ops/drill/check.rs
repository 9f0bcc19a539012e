//! What the user says must hold of a restored backup: a question that a database answers, or a path that must be there.

use std::cmp::Ordering;

use serde::{Deserialize, Serialize};

use crate::base::failure::{Failure, Kind, Result};
use crate::base::units::parse_bytes;
use crate::source::directory::PathSelection;
use crate::source::scratch::Answer;

/// How a question to a database may begin: with what returns rows and changes nothing.
const QUERY_WORDS: &[&str] = &["select", "with", "values", "table", "show"];

/// A question is no longer than this, in bytes; a drill asks, it does not compute.
const QUERY_BYTES_MAX: usize = 64 * 1024;

/// How much of an answer is shown and recorded, in characters.
const VALUE_CHARS_MAX: usize = 200;

/// Something that must hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Check {
    /// A question whose answer, one field of one row, must be as expected.
    Query {
        /// The question, without a semicolon at its end.
        query: String,
        /// What it must be; `None` if it must be true.
        expect: Option<Expectation>,
    },
    /// A path of an archive of files that must be there.
    Path {
        /// A glob.
        glob: String,
        /// The least size of one of the files that match, in bytes.
        bytes_min: u64,
    },
}

/// What a value must be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Expectation {
    relation: Relation,
    value: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Relation {
    Equal,
    Different,
    Less,
    AtMost,
    Greater,
    AtLeast,
}

/// The longer ones first.
const RELATIONS: [(&str, Relation); 7] = [
    (">=", Relation::AtLeast),
    ("<=", Relation::AtMost),
    ("!=", Relation::Different),
    ("==", Relation::Equal),
    (">", Relation::Greater),
    ("<", Relation::Less),
    ("=", Relation::Equal),
];

impl Expectation {
    fn parse(text: &str) -> Result<Self> {
        let text = text.trim();
        let (relation, value) = RELATIONS
            .iter()
            .find_map(|(sign, relation)| Some((*relation, text.strip_prefix(sign)?.trim())))
            .unwrap_or((Relation::Equal, text));
        match value.is_empty() {
            true => Err(wrong(text, "Nothing follows the sign in `expect`")),
            false => Ok(Self {
                relation,
                value: value.to_owned(),
            }),
        }
    }

    /// Numbers are compared as such; anything else as a text, which suits times and dates.
    fn holds(&self, found: &str) -> bool {
        let found = found.trim();
        let order = match (number(&self.value), number(found)) {
            (Some(expected), Some(found)) => found.partial_cmp(&expected),
            (Some(_), None) => None,
            (None, _) => Some(found.cmp(&self.value)),
        };
        match (self.relation, order) {
            (Relation::Different, order) => order != Some(Ordering::Equal),
            (_, None) => false,
            (Relation::Equal, Some(order)) => order.is_eq(),
            (Relation::Less, Some(order)) => order.is_lt(),
            (Relation::AtMost, Some(order)) => order.is_le(),
            (Relation::Greater, Some(order)) => order.is_gt(),
            (Relation::AtLeast, Some(order)) => order.is_ge(),
        }
    }
}

impl std::fmt::Display for Expectation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let sign = RELATIONS
            .iter()
            .rev()
            .find(|(_, relation)| *relation == self.relation)
            .map_or("=", |(sign, _)| sign);
        write!(f, "{sign} {}", self.value)
    }
}

fn number(text: &str) -> Option<f64> {
    text.parse::<f64>().ok().filter(|number| number.is_finite())
}

/// Whether a server's answer means yes.
fn is_true(found: &str) -> bool {
    let found = found.trim().to_ascii_lowercase();
    matches!(found.as_str(), "t" | "true" | "y" | "yes" | "on") || number(&found).is_some_and(|number| number != 0.0)
}

fn wrong(text: &str, why: &str) -> Failure {
    Failure::new(Kind::Config, format!("Not a check: `{text}`"))
        .caused_by(anyhow::anyhow!("{why}"))
        .hint("Write a question such as \"select count(*) > 0 from users\", or { query = \"select count(*) from users\", expect = \">= 1000\" }")
        .hint("For files: a path or glob such as \"www/index.html\", or { path = \"www/**/*.jpg\", min-size = \"1KiB\" }")
}

/// A check as a table of a configuration file.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct Table {
    query: Option<String>,
    expect: Option<serde_json::Value>,
    path: Option<String>,
    min_size: Option<serde_json::Value>,
}

impl Check {
    /// Reads a check: a text that begins like a question is one, any other is a path; a table is written as JSON.
    ///
    /// # Errors
    /// [`Kind::Config`].
    pub fn parse(text: &str) -> Result<Self> {
        let text = text.trim();
        if !text.starts_with('{') {
            return match is_query(text) {
                true => Self::query(text, None),
                false => Self::path(text, 0),
            };
        }
        let table: Table = serde_json::from_str(text).map_err(|error| wrong(text, &error.to_string()))?;
        let word = |value: serde_json::Value| match value {
            serde_json::Value::String(text) => text,
            other => other.to_string(),
        };
        match table {
            Table {
                query: Some(query),
                expect,
                path: None,
                min_size: None,
            } => Self::query(
                &query,
                expect.map(|expect| Expectation::parse(&word(expect))).transpose()?,
            ),
            Table {
                query: None,
                expect: None,
                path: Some(path),
                min_size,
            } => {
                let bytes = min_size.map_or(Ok(0), |size| parse_bytes(&word(size)));
                Self::path(&path, bytes.map_err(|failure| wrong(text, failure.message()))?)
            }
            _ => Err(wrong(
                text,
                "It needs `query` and perhaps `expect`, or `path` and perhaps `min-size`",
            )),
        }
    }

    fn query(query: &str, expect: Option<Expectation>) -> Result<Self> {
        let trimmed = query.trim().trim_end_matches(';').trim_end();
        if !is_query(trimmed) {
            return Err(wrong(
                query,
                "A question begins with select, with, values, table or show",
            ));
        }
        // The clients' own commands begin with a backslash, and a second statement could end what keeps the first harmless.
        if trimmed.contains(['\\', ';', '\0']) || trimmed.len() > QUERY_BYTES_MAX {
            return Err(wrong(
                query,
                "A question is one statement, without a backslash or a semicolon",
            ));
        }
        Ok(Self::Query {
            query: trimmed.to_owned(),
            expect,
        })
    }

    fn path(glob: &str, bytes_min: u64) -> Result<Self> {
        let glob = glob.trim_matches('/');
        if glob.is_empty() {
            return Err(wrong(glob, "The path is empty"));
        }
        PathSelection::new(&[glob.to_owned()], &[]).map_err(|failure| wrong(glob, failure.message()))?;
        Ok(Self::Path {
            glob: glob.to_owned(),
            bytes_min,
        })
    }

    /// Judges what a database answered.
    #[must_use]
    pub fn judge(&self, answer: &Answer) -> CheckOutcome {
        let rows = match answer {
            Answer::None(why) => return self.unanswered(why),
            Answer::Rows(rows) => rows,
        };
        let row = match rows.as_slice() {
            [] => return self.outcome(false, "no row"),
            [row] => row.as_slice(),
            _ => return self.unanswered("more than one row, of which none is meant more than the others"),
        };
        let [found] = row else {
            return self.unanswered(&format!("{} fields, where one is to be judged", row.len()));
        };
        let holds = match self {
            Self::Query {
                expect: Some(expect), ..
            } => expect.holds(found),
            Self::Query { expect: None, .. } => is_true(found),
            Self::Path { .. } => false,
        };
        self.outcome(holds, if found.is_empty() { "null or empty" } else { found })
    }

    fn outcome(&self, holds: bool, found: &str) -> CheckOutcome {
        CheckOutcome {
            check: self.to_string(),
            holds,
            found: found.chars().take(VALUE_CHARS_MAX).collect(),
            open: None,
        }
    }

    /// The outcome of a question that has no answer, and why.
    fn unanswered(&self, why: &str) -> CheckOutcome {
        CheckOutcome {
            open: Some(Open::Unanswered),
            ..self.outcome(false, why.lines().next().unwrap_or_default())
        }
    }

    /// The outcome of a check that does not go with `content` and is not made.
    #[must_use]
    pub fn not_made(&self, content: &str) -> CheckOutcome {
        let why = match self {
            Self::Query { .. } => format!("{content} was restored as files, which answer no questions"),
            Self::Path { .. } => format!(
                "{content} has no paths, and a question begins with {}",
                QUERY_WORDS.join(", ")
            ),
        };
        CheckOutcome {
            open: Some(Open::NotMade),
            ..self.outcome(false, &why)
        }
    }
}

fn is_query(text: &str) -> bool {
    let word = text
        .split(|c: char| !c.is_ascii_alphabetic())
        .next()
        .unwrap_or_default();
    let rest = &text[word.len()..];
    // `table.txt` and `show/x` are paths.
    QUERY_WORDS.contains(&word.to_ascii_lowercase().as_str()) && rest.starts_with([' ', '\t', '\n', '(', '*', '\''])
}

impl std::fmt::Display for Check {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Query { query, expect: None } => f.write_str(query),
            Self::Query {
                query,
                expect: Some(expect),
            } => write!(f, "{query} {expect}"),
            Self::Path { glob, bytes_min: 0 } => f.write_str(glob),
            Self::Path { glob, bytes_min } => write!(f, "{glob} of at least {bytes_min} bytes"),
        }
    }
}

/// What became of a check.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CheckOutcome {
    /// The check.
    pub check: String,
    /// Whether it holds.
    pub holds: bool,
    /// What was found, or why nothing was.
    pub found: String,
    /// Why it says nothing of the backup, where it does not hold and does not fail either.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub open: Option<Open>,
}

impl CheckOutcome {
    /// Whether the backup is not as it must be by this check.
    #[must_use]
    pub fn fails(&self) -> bool {
        !self.holds && self.open.is_none()
    }
}

/// Why a check says nothing of the backup.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Open {
    /// The question has no answer: it is wrong, or the server does not take it.
    Unanswered,
    /// It does not go with what the backup holds, so that it was not made.
    NotMade,
}

/// Collects what the paths of a tree say to the checks of paths.
pub struct PathChecks<'a> {
    checks: Vec<(&'a Check, PathSelection, u64, Option<u64>)>,
}

impl<'a> PathChecks<'a> {
    /// For those among `checks` that are of paths.
    ///
    /// # Errors
    /// [`Kind::Config`] for a glob that is none.
    pub fn new(checks: &'a [Check]) -> Result<Self> {
        let mut of_paths = Vec::new();
        for check in checks {
            if let Check::Path { glob, bytes_min } = check {
                let selection = PathSelection::new(std::slice::from_ref(glob), &[])?;
                of_paths.push((check, selection, *bytes_min, None));
            }
        }
        Ok(Self { checks: of_paths })
    }

    /// Takes a path that was restored and its size.
    pub fn see(&mut self, path: &[u8], bytes: u64) {
        for (_, selection, _, largest) in &mut self.checks {
            if selection.matches(path) {
                *largest = Some(largest.unwrap_or(0).max(bytes));
            }
        }
    }

    /// What became of each check.
    #[must_use]
    pub fn outcomes(self) -> Vec<CheckOutcome> {
        self.checks
            .into_iter()
            .map(|(check, _, bytes_min, largest)| CheckOutcome {
                check: check.to_string(),
                holds: largest.is_some_and(|bytes| bytes >= bytes_min),
                open: None,
                found: match largest {
                    None => "nothing matches".to_owned(),
                    Some(bytes) => format!("{bytes} bytes"),
                },
            })
            .collect()
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn holds(check: &str, found: &str) -> bool {
        let answer = Answer::Rows(vec![vec![found.to_owned()]]);
        let outcome = Check::parse(check).unwrap().judge(&answer);
        assert_eq!(outcome.fails(), !outcome.holds);
        outcome.holds
    }

    #[test]
    fn both_forms_of_a_question_are_judged() {
        for (check, found, is) in [
            ("select count(*) > 0 from users", "t", true),
            ("select count(*) > 0 from users;", "f", false),
            ("SELECT 1", "1", true),
            ("select 0", "0", false),
            ("select ''", "", false),
            ("with a as (select 1) select 'yes'", "yes", true),
            (
                r#"{"query":"select count(*) from users","expect":">= 1000"}"#,
                "1000",
                true,
            ),
            (
                r#"{"query":"select count(*) from users","expect":">= 1000"}"#,
                "999",
                false,
            ),
            (r#"{"query":"select 1","expect":1}"#, "1", true),
            (r#"{"query":"select 1","expect":"< 10"}"#, "9.5", true),
            (
                r#"{"query":"select max(day) from d","expect":"> 2026-01-01"}"#,
                "2026-01-02",
                true,
            ),
            (r#"{"query":"select name from d","expect":"!= x"}"#, "x", false),
            (r#"{"query":"select name from d","expect":"a b"}"#, "a b", true),
            (r#"{"query":"select 1","expect":"> 1"}"#, "text", false),
        ] {
            assert_eq!(holds(check, found), is, "{check} of {found}");
        }
    }

    #[test]
    fn only_one_field_of_one_row_is_an_answer() {
        let check = Check::parse("select x from t").unwrap();
        let judged = |rows: &[&[&str]]| {
            let texts = |row: &&[&str]| row.iter().map(|field| (*field).to_owned()).collect();
            let outcome = check.judge(&Answer::Rows(rows.iter().map(texts).collect()));
            (outcome.fails(), outcome.open, outcome.found)
        };
        assert_eq!(judged(&[&["t"]]), (false, None, "t".to_owned()));
        assert_eq!(judged(&[]), (true, None, "no row".to_owned()));
        assert_eq!(judged(&[&[""]]), (true, None, "null or empty".to_owned()));
        for rows in [&[&["t", "f"][..]][..], &[&["t"], &["f"]], &[&[]]] {
            let (fails, open, _) = judged(rows);
            assert_eq!((fails, open), (false, Some(Open::Unanswered)), "{rows:?}");
        }
        let refused = check.judge(&Answer::None("ERROR: no such table\nLINE 1".to_owned()));
        assert_eq!((refused.fails(), refused.holds), (false, false));
        assert_eq!(refused.found, "ERROR: no such table");
    }

    #[test]
    fn what_is_no_single_harmless_question_is_refused() {
        for check in [
            "",
            "/",
            "{",
            r#"{"query":"delete from users"}"#,
            r#"{"query":"select 1; drop table x"}"#,
            r#"{"query":"select 1 \\g /tmp/x"}"#,
            r#"{"query":"select 1","expect":">="}"#,
            r#"{"query":"select 1","path":"x"}"#,
            r#"{"path":"x","min-size":"many"}"#,
            r#"{"querry":"select 1"}"#,
            "select 1; select 2",
        ] {
            assert!(Check::parse(check).is_err(), "{check}");
        }
    }

    #[test]
    fn paths_are_globs_with_a_least_size() {
        let checks: Vec<Check> = [
            "www/index.html",
            "table.txt",
            r#"{"path":"www/**/*.jpg","min-size":"1KiB"}"#,
            "gone",
        ]
        .iter()
        .map(|text| Check::parse(text).unwrap())
        .collect();
        let mut paths = PathChecks::new(&checks).unwrap();
        paths.see(b"www/index.html", 0);
        paths.see(b"table.txt", 1);
        paths.see(b"www/a/small.jpg", 1023);
        paths.see(b"www/a/b/large.jpg", 1024);
        let outcomes = paths.outcomes();
        let holds: Vec<bool> = outcomes.iter().map(|outcome| outcome.holds).collect();
        assert_eq!(holds, [true, true, true, false], "{outcomes:?}");
    }
}
