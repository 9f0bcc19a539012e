//! A database that is made to prove a backup and dropped again: what is on its server, what is in it, how it goes.

use super::dump::{MysqlOptions, reach};
use super::server::{Unanswered, quote_literal, quote_name};
use super::target::Target;
use super::trouble::Trouble;
use crate::base::cancel::Cancel;
use crate::base::failure::{Failure, Kind, Result};
use crate::source::scratch::{Answer, ScratchServer, TABLES_AT_ONCE, TableRows};

/// The server's numbers for faults of statements or rows: of a dump that was made well they speak of the dump.
const FAULTS_OF_DUMPS: &[u32] = &[
    1050, 1051, 1054, 1060, 1061, 1062, 1064, 1068, 1136, 1146, 1215, 1216, 1217, 1264, 1265, 1292, 1366, 1367, 1406,
    1411, 1451, 1452, 1524, 3140, 4025,
];

/// The server's numbers for what an account may not do or what takes too long, which the connection survives.
const FAULTS_OF_QUESTIONS: &[u32] = &[1142, 1143, 1227, 1370, 1969];

/// A scratch database and its server.
#[derive(Debug)]
pub struct MysqlScratch {
    target: Target,
    about: ScratchServer,
}

impl MysqlScratch {
    /// Looks at the server and the name that the database is to have there; changes nothing.
    ///
    /// # Errors
    /// As for a restore to that name: tools, the way to the server.
    pub fn inspect(options: &MysqlOptions, cancel: &Cancel) -> Result<Self> {
        let target = Target::inspect(options, cancel)?;
        let (server, about) = reach(options, cancel)?;
        Ok(Self {
            target,
            about: ScratchServer {
                version: about.version_text,
                client: server.client().name(),
                client_version: server.client().version_text(),
            },
        })
    }

    /// Whether a database of the name stands there.
    #[must_use]
    pub fn exists(&self) -> bool {
        self.target.existing.is_some()
    }

    /// What is asked, and through what.
    #[must_use]
    pub fn about(&self) -> ScratchServer {
        self.about.clone()
    }

    /// The names of all databases that the account sees, and how many of its sessions each has.
    ///
    /// # Errors
    /// The way to the server.
    pub fn databases(&self, cancel: &Cancel) -> Result<Vec<(String, u64)>> {
        let question = "SELECT s.SCHEMA_NAME, COUNT(p.ID) FROM information_schema.SCHEMATA s \
             LEFT JOIN information_schema.PROCESSLIST p ON p.DB = s.SCHEMA_NAME GROUP BY s.SCHEMA_NAME ORDER BY 1;";
        Ok(self
            .ask(question, "list the databases", cancel)?
            .into_iter()
            .filter_map(|row| {
                let [name, sessions] = <[String; 2]>::try_from(row).ok()?;
                Some((name, sessions.parse().unwrap_or(u64::MAX)))
            })
            .collect())
    }

    /// Whether the account sees a database of this name.
    ///
    /// # Errors
    /// The way to the server.
    pub fn has_database(&self, name: &str, cancel: &Cancel) -> Result<bool> {
        let question = format!(
            "SELECT 1 FROM information_schema.SCHEMATA WHERE SCHEMA_NAME = {};",
            quote_literal(name)
        );
        self.ask(&question, "look for a database", cancel)
            .map(|rows| !rows.is_empty())
    }

    /// Drops a database; one that is not there is gone as well. Not to be interrupted.
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
        let name = &self.target.name;
        let question = format!(
            "SELECT TABLE_NAME FROM information_schema.TABLES WHERE TABLE_SCHEMA = {} \
             AND TABLE_TYPE NOT IN ('VIEW', 'SYSTEM VIEW', 'SEQUENCE') ORDER BY 1;",
            quote_literal(name)
        );
        let tables: Vec<String> = self.ask(&question, doing, cancel)?.into_iter().flatten().collect();
        let mut counted = Vec::with_capacity(tables.len());
        for some in tables.chunks(TABLES_AT_ONCE) {
            let script: String = some
                .iter()
                .map(|table| format!("SELECT COUNT(*) FROM {}.{};\n", quote_name(name), quote_name(table)))
                .collect();
            let rows = self.ask(&script, doing, cancel)?;
            for (table, row) in some.iter().zip(rows) {
                let rows = row.first().and_then(|rows| rows.parse().ok()).ok_or_else(|| {
                    Failure::new(
                        Kind::Failed,
                        format!("The server did not say how many rows `{table}` has"),
                    )
                })?;
                counted.push(TableRows {
                    path: table.clone().into_bytes(),
                    rows,
                    is_shared: false,
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
        let script = format!("START TRANSACTION READ ONLY;\n{query};\n");
        let asked = self
            .target
            .server
            .ask(Some(&self.target.name), script.as_bytes(), cancel);
        match asked {
            Ok(rows) => {
                let texts = |row: Vec<Vec<u8>>| row.iter().map(|field| super::server::text(field)).collect();
                Ok(Answer::Rows(rows.into_iter().map(texts).collect()))
            }
            Err(Unanswered::Trouble(trouble))
                if trouble
                    .number
                    .is_some_and(|number| trouble.kind() == Kind::Failed || FAULTS_OF_QUESTIONS.contains(&number)) =>
            {
                Ok(Answer::None(trouble.to_string()))
            }
            Err(other) => Err(self.target.failed(other, "ask the check")),
        }
    }

    /// Whether a failed restore was due to what the dump holds, and not to the server.
    #[must_use]
    pub fn is_fault_of_dump(failure: &Failure) -> bool {
        let mut cause: Option<&(dyn std::error::Error + 'static)> = std::error::Error::source(failure);
        while let Some(error) = cause {
            if let Some(number) = error.downcast_ref::<Trouble>().and_then(|trouble| trouble.number) {
                return FAULTS_OF_DUMPS.contains(&number);
            }
            cause = error.source();
        }
        false
    }

    fn ask(&self, question: &str, doing: &str, cancel: &Cancel) -> Result<Vec<Vec<String>>> {
        self.target
            .server
            .ask_texts(question, cancel)
            .map_err(|unanswered| self.target.failed(unanswered, doing))
    }
}
