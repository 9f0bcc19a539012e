//! What of a database is dumped, if not everything: patterns as `pg_dump` and `psql` take them.

use super::server::Server;
use super::url::PostgresUrl;
use crate::base::cancel::Cancel;
use crate::base::failure::{Failure, Kind, Result};

/// Patterns of tables and schemas; all empty for a whole database.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DumpSelection {
    /// Only these tables, views and sequences.
    pub tables: Vec<String>,
    /// Not these.
    pub exclude_tables: Vec<String>,
    /// Only these schemas, with what is in them.
    pub schemas: Vec<String>,
    /// Not these.
    pub exclude_schemas: Vec<String>,
    /// Of these tables the definition and no rows.
    pub exclude_table_data: Vec<String>,
}

/// What a pattern is matched against.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Thing {
    Table,
    Schema,
}

impl DumpSelection {
    /// Whether a whole database is meant.
    #[must_use]
    pub fn is_everything(&self) -> bool {
        self.lists().iter().all(|(_, _, patterns)| patterns.is_empty())
    }

    fn lists(&self) -> [(&'static str, Thing, &[String]); 5] {
        [
            ("--table", Thing::Table, &self.tables),
            ("--exclude-table", Thing::Table, &self.exclude_tables),
            ("--schema", Thing::Schema, &self.schemas),
            ("--exclude-schema", Thing::Schema, &self.exclude_schemas),
            ("--exclude-table-data", Thing::Table, &self.exclude_table_data),
        ]
    }

    /// The selection as arguments for `pg_dump`.
    #[must_use]
    pub fn arguments(&self) -> Vec<String> {
        let mut arguments: Vec<String> = self
            .lists()
            .iter()
            .flat_map(|(option, _, patterns)| patterns.iter().map(move |pattern| format!("{option}={pattern}")))
            .collect();
        if !self.tables.is_empty() || !self.schemas.is_empty() {
            // What has been dropped since the patterns were looked at is missed all the same.
            arguments.push("--strict-names".to_owned());
        }
        arguments
    }

    /// Checks that every pattern matches something in the database, those included that leave something out: with a
    /// misspelt one, what was to stay here would be uploaded.
    ///
    /// # Errors
    /// [`Kind::Usage`] for a pattern that matches nothing; the way to the server.
    pub fn check(&self, server: &Server, url: &PostgresUrl, cancel: &Cancel) -> Result<()> {
        for (option, thing, patterns) in self.lists() {
            for pattern in patterns {
                let command = match thing {
                    Thing::Table => "\\dtvmsE",
                    Thing::Schema => "\\dn",
                };
                // `pg_dump` looks for names without a schema where the user's own search path leads.
                let questions = [
                    "RESET search_path".to_owned(),
                    format!("{command} {}", quote_argument(pattern)),
                ];
                let found = server
                    .ask(None, &questions, cancel)
                    .map_err(|unanswered| unanswered.failure(&format!("look for what `{pattern}` matches"), url))?;
                if found.is_empty() {
                    let what = match thing {
                        Thing::Table => "table",
                        Thing::Schema => "schema",
                    };
                    return Err(Failure::new(
                        Kind::Usage,
                        format!("No {what} of `{url}` matches `{option} {pattern}`"),
                    )
                    .hint(
                        "Patterns are those of pg_dump: `schema.table`, `*` and `?`; names with capitals stand in double quotes, as in '\"Orders\"'",
                    ));
                }
            }
        }
        Ok(())
    }
}

/// An argument of one of psql's own commands, in which nothing is expanded and no shell is called.
fn quote_argument(text: &str) -> String {
    let mut quoted = String::from("'");
    for c in text.chars() {
        match c {
            '\\' => quoted.push_str("\\\\"),
            '\'' => quoted.push_str("\\'"),
            '\n' => quoted.push_str("\\n"),
            '\r' => quoted.push_str("\\r"),
            c => quoted.push(c),
        }
    }
    quoted.push('\'');
    quoted
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_selection_becomes_arguments_that_must_match() {
        assert!(DumpSelection::default().is_everything());
        assert_eq!(DumpSelection::default().arguments(), Vec::<String>::new());
        let selection = DumpSelection {
            tables: vec!["a.*".to_owned()],
            exclude_table_data: vec!["a.log".to_owned()],
            ..DumpSelection::default()
        };
        assert!(!selection.is_everything());
        assert_eq!(
            selection.arguments(),
            ["--table=a.*", "--exclude-table-data=a.log", "--strict-names"]
        );
    }

    #[test]
    fn patterns_are_nothing_but_patterns_to_psql() {
        assert_eq!(quote_argument("a.\"B\""), "'a.\"B\"'");
        assert_eq!(quote_argument("`id` :x '\\\n"), "'`id` :x \\'\\\\\\n'");
    }
}
