//! A database that is made to prove a backup and dropped again: what is on its server, what is in it, how it goes.

use std::path::Path;

use super::names::join;
use super::server::{Unanswered, quote_literal};
use super::target::Target;
use super::trouble::Trouble;
use super::url::PostgresUrl;
use crate::base::cancel::Cancel;
use crate::base::failure::{Failure, Kind, Result};
use crate::source::scratch::{Answer, ScratchServer, TABLES_AT_ONCE, TableRows};

/// The tables that hold rows of their own, each with the schema, the name, both quoted, and whether an extension brings it.
const TABLES: &str = "SELECT n.nspname, c.relname, quote_ident(n.nspname) || '.' || quote_ident(c.relname), \
     EXISTS (SELECT 1 FROM pg_depend d WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e') \
     FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace \
     WHERE c.relkind = 'r' AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema' ORDER BY 1, 2";

/// What the server's codes for faults of statements or rows begin with: of a dump that was made well they speak of the dump.
const FAULTS_OF_DUMPS: &[&str] = &[
    "22", "23", "42601", "42602", "42622", "42701", "42703", "42P01", "42P07", "42710",
];

/// A scratch database and its server. The database is made by a restore into [`PostgresScratch::url`].
#[derive(Debug)]
pub struct PostgresScratch {
    target: Target,
}

impl PostgresScratch {
    /// Looks at the server and the name that the database is to have there; changes nothing.
    ///
    /// # Errors
    /// As for a restore to that name: tools, the way to the server, missing rights.
    pub fn inspect(url: &PostgresUrl, client_folder: Option<&Path>, cancel: &Cancel) -> Result<Self> {
        let target = Target::inspect(url, client_folder, cancel)?;
        Ok(Self { target })
    }

    /// Whether a database of the name stands there.
    #[must_use]
    pub fn exists(&self) -> bool {
        self.target.existing.is_some()
    }

    /// What is asked, and through what.
    #[must_use]
    pub fn about(&self) -> ScratchServer {
        ScratchServer {
            version: self.target.version_text.clone(),
            client: "psql".to_owned(),
            client_version: super::clients::newest(&self.target.psqls)
                .map(|client| client.version_text.clone())
                .unwrap_or_default(),
        }
    }

    /// The names of all databases of the server, and how many sessions each has.
    ///
    /// # Errors
    /// The way to the server.
    pub fn databases(&self, cancel: &Cancel) -> Result<Vec<(String, u64)>> {
        let question = "SELECT d.datname, count(a.pid) FROM pg_database d LEFT JOIN pg_stat_activity a \
             ON a.datid = d.oid GROUP BY d.datname ORDER BY d.datname";
        let rows = self.ask(
            self.target.maintenance,
            question.to_owned(),
            "list the databases",
            cancel,
        )?;
        Ok(rows
            .into_iter()
            .filter_map(|row| {
                let [name, sessions] = <[String; 2]>::try_from(row).ok()?;
                Some((name, sessions.parse().unwrap_or(u64::MAX)))
            })
            .collect())
    }

    /// Drops a database with the sessions on it; one that is not there is gone as well. Not to be interrupted.
    ///
    /// # Errors
    /// The server's words.
    pub fn drop_database(&self, name: &str) -> Result<()> {
        self.target.drop_database(name)
    }

    /// Counts the rows of every table of the scratch database.
    ///
    /// # Errors
    /// The way to the server.
    pub fn count(&self, cancel: &Cancel) -> Result<Vec<TableRows>> {
        let doing = "count the rows of the restored tables";
        let name = self.target.name.as_str();
        let tables: Vec<[String; 4]> = self
            .ask(name, TABLES.to_owned(), doing, cancel)?
            .into_iter()
            .filter_map(|row| row.try_into().ok())
            .collect();
        let mut counted = Vec::with_capacity(tables.len());
        for some in tables.chunks(TABLES_AT_ONCE) {
            // A table's own rows: what inherits from it stands in the dump by itself.
            let counts: Vec<String> = some
                .iter()
                .enumerate()
                .map(|(at, [_, _, quoted, _])| format!("SELECT {at}, count(*) FROM ONLY {quoted}"))
                .collect();
            let question = format!("{} ORDER BY 1", counts.join(" UNION ALL "));
            let rows = self.ask(name, question, doing, cancel)?;
            for ([schema, table, _, extension], row) in some.iter().zip(rows) {
                let rows = row.get(1).and_then(|rows| rows.parse().ok()).ok_or_else(|| {
                    Failure::new(
                        Kind::Failed,
                        format!("The server did not say how many rows `{schema}.{table}` has"),
                    )
                })?;
                counted.push(TableRows {
                    path: join(schema.as_bytes(), table.as_bytes()),
                    rows,
                    is_shared: extension == "t",
                });
            }
        }
        Ok(counted)
    }

    /// Asks the scratch database something that changes nothing.
    ///
    /// # Errors
    /// The way to the server, and a server that goes or is full.
    pub fn query(&self, query: &str, cancel: &Cancel) -> Result<Answer> {
        let statements = [
            "RESET search_path".to_owned(),
            "BEGIN TRANSACTION READ ONLY".to_owned(),
            query.to_owned(),
        ];
        match self
            .target
            .server
            .ask_exactly(Some(&self.target.name), &statements, cancel)
        {
            Ok(rows) => Ok(Answer::Rows(rows)),
            Err(Unanswered::Trouble(trouble))
                if !trouble.no_connection && matches!(trouble.kind(), Kind::Failed | Kind::Denied) =>
            {
                Ok(Answer::None(trouble.to_string()))
            }
            Err(other) => Err(self.failed(other, "ask the check")),
        }
    }

    /// Whether a failed restore was due to what the dump holds, and not to the server.
    #[must_use]
    pub fn is_fault_of_dump(failure: &Failure) -> bool {
        let mut cause: Option<&(dyn std::error::Error + 'static)> = std::error::Error::source(failure);
        while let Some(error) = cause {
            if let Some(state) = error
                .downcast_ref::<Trouble>()
                .and_then(|trouble| trouble.sqlstate.as_deref())
            {
                return FAULTS_OF_DUMPS.iter().any(|begin| state.starts_with(begin));
            }
            cause = error.source();
        }
        false
    }

    fn failed(&self, unanswered: Unanswered, doing: &str) -> Failure {
        unanswered.failure(doing, self.target.server.connection().url())
    }

    fn ask(&self, database: &str, question: String, doing: &str, cancel: &Cancel) -> Result<Vec<Vec<String>>> {
        self.target
            .server
            .ask(
                Some(database),
                &["SET statement_timeout TO 0".to_owned(), question],
                cancel,
            )
            .map_err(|unanswered| self.failed(unanswered, doing))
    }

    /// Whether the server has a database of this name.
    ///
    /// # Errors
    /// The way to the server.
    pub fn has_database(&self, name: &str, cancel: &Cancel) -> Result<bool> {
        let question = format!("SELECT 1 FROM pg_database WHERE datname = {}", quote_literal(name));
        self.ask(self.target.maintenance, question, "look for a database", cancel)
            .map(|rows| !rows.is_empty())
    }
}
