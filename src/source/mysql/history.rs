//! System-versioned tables: their earlier rows are part of the database, and the dumper leaves them out unless it is told.

use super::clients::{Client, Maker, Version};
use super::server::{About, Server, quote_literal, quote_name};
use crate::base::cancel::Cancel;
use crate::base::failure::Result;

/// The first version of MariaDB whose dumper writes earlier rows, and whose server takes them back
/// (MariaDB's documentation of `mariadb-dump --dump-history` and `system_versioning_insert_history`).
const HISTORY_SINCE: Version = Version(10, 11, 0);

/// How many tables a warning names.
const NAMES_MAX: usize = 20;

/// What becomes of the earlier rows of a database.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum History {
    /// There are none.
    #[default]
    None,
    /// The dumper is told to write them.
    Dumped,
    /// They cannot be dumped, and why, in a full sentence.
    LeftOut(String),
}

impl History {
    /// Looks for system-versioned tables.
    ///
    /// # Errors
    /// The way to the server.
    pub fn of(server: &Server, about: &About, dumper: &Client, database: &str, cancel: &Cancel) -> Result<Self> {
        if about.maker != Maker::MariaDb {
            return Ok(Self::None);
        }
        let literal = quote_literal(database);
        let names_of = |question: String| -> Result<Vec<String>> {
            let rows = server.ask_texts(&question, cancel).map_err(|unanswered| {
                unanswered.failure("ask the server about its versioned tables", server.connection().url())
            })?;
            Ok(rows
                .iter()
                .filter_map(|row| row.first())
                .map(|name| quote_name(name))
                .collect())
        };
        let versioned = names_of(format!(
            "SELECT TABLE_NAME FROM information_schema.TABLES WHERE TABLE_SCHEMA = {literal} \
             AND TABLE_TYPE = 'SYSTEM VERSIONED' ORDER BY TABLE_NAME;"
        ))?;
        if versioned.is_empty() {
            return Ok(Self::None);
        }
        // Those by transactions name numbers that mean nothing on another server.
        let by_transaction = names_of(format!(
            "SELECT DISTINCT TABLE_NAME FROM information_schema.COLUMNS WHERE TABLE_SCHEMA = {literal} \
             AND GENERATION_EXPRESSION = 'ROW START' AND DATA_TYPE = 'bigint' ORDER BY TABLE_NAME;"
        ))?;
        let is_able =
            dumper.maker == Maker::MariaDb && dumper.version >= HISTORY_SINCE && about.version >= HISTORY_SINCE;
        Ok(match (is_able, by_transaction.is_empty()) {
            (true, true) => Self::Dumped,
            (true, false) => Self::LeftOut(format!(
                "The earlier rows of the system-versioned tables are not in the dump, because these are versioned by \
                 transactions, which no dump keeps: {}. Only the rows of now will come back.",
                some_of(&by_transaction)
            )),
            (false, _) => Self::LeftOut(format!(
                "The earlier rows of system-versioned tables are not in the dump, because a server and a mariadb-dump of 10.11 \
                 or later are needed for that: {}. Only the rows of now will come back.",
                some_of(&versioned)
            )),
        })
    }
}

fn some_of(names: &[String]) -> String {
    let more = match names.len().saturating_sub(NAMES_MAX) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    format!("{}{more}", names[..names.len().min(NAMES_MAX)].join(", "))
}
