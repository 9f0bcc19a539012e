//! The database that a dump is restored to, as it is before.

use super::code;
use super::dump::{MysqlOptions, collation, database_of, reach};
use super::server::{Server, Unanswered, quote_literal, quote_name};
use crate::base::cancel::Cancel;
use crate::base::failure::{Failure, Kind, Result};

/// Characters that the servers keep of a name.
const NAME_CHARS_MAX: usize = 64;

/// How many names a message has.
const NAMES_MAX: usize = 5;

/// Where a restore goes.
#[derive(Debug)]
pub struct Target {
    /// How to ask.
    pub server: Server,
    /// The database's name.
    pub name: String,
    /// The database that stands there now.
    pub existing: Option<Existing>,
}

/// A database that stands where the restored one is to stand.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Existing {
    /// Its default collation.
    pub collation: String,
    /// Its size on the server's disk, about.
    pub bytes: u64,
    /// Whether there is nothing in it.
    pub empty: bool,
}

impl Target {
    /// Looks at the server and the database, changing nothing.
    ///
    /// # Errors
    /// [`Kind::Tool`] without a client; the way to the server; [`Kind::Usage`] if no database is named;
    /// [`Kind::Refused`] on a server that cannot be written, or for a database that others refer to.
    pub fn inspect(options: &MysqlOptions, cancel: &Cancel) -> Result<Self> {
        let name = database_of(&options.url)?.to_owned();
        let (server, _) = reach(options, cancel)?;
        let url = &options.url;
        let [read_only] = server
            .ask_row("SELECT @@global.read_only;", cancel)
            .map_err(|unanswered| unanswered.failure("ask whether the server can be written", url))?;
        if read_only != "0" {
            return Err(Failure::new(
                Kind::Refused,
                format!("The server at `{url}` is read-only, as replicas are"),
            )
            .hint("Restore on the primary"));
        }
        let mut target = Self {
            server,
            name,
            existing: None,
        };
        target.existing = target.inspect_existing(cancel)?;
        Ok(target)
    }

    /// The failure to do `doing`.
    pub fn failed(&self, unanswered: Unanswered, doing: &str) -> Failure {
        unanswered.failure(doing, self.server.connection().url())
    }

    fn inspect_existing(&self, cancel: &Cancel) -> Result<Option<Existing>> {
        let asking = "ask the server about the database";
        let ask = |question: String| {
            self.server
                .ask_texts(&question, cancel)
                .map_err(|unanswered| self.failed(unanswered, asking))
        };
        let name = quote_literal(&self.name);
        let rows = ask(format!(
            "SELECT DEFAULT_COLLATION_NAME FROM information_schema.SCHEMATA WHERE SCHEMA_NAME = {name};"
        ))?;
        let Some(collation) = rows.into_iter().flatten().next() else {
            return Ok(None);
        };
        let rows = ask(format!(
            "SELECT COALESCE(SUM(DATA_LENGTH + INDEX_LENGTH), 0), COUNT(*) FROM information_schema.TABLES \
             WHERE TABLE_SCHEMA = {name};"
        ))?;
        let numbers: Vec<u64> = rows.iter().flatten().map(|text| text.parse().unwrap_or(0)).collect();
        let (bytes, tables) = (
            numbers.first().copied().unwrap_or(0),
            numbers.get(1).copied().unwrap_or(0),
        );
        let code =
            code::list(&self.server, &self.name, cancel).map_err(|unanswered| self.failed(unanswered, asking))?;
        let referrers = ask(format!(
            "SELECT DISTINCT CONCAT(CONSTRAINT_SCHEMA, '.', TABLE_NAME) FROM information_schema.REFERENTIAL_CONSTRAINTS \
             WHERE UNIQUE_CONSTRAINT_SCHEMA = {name} AND CONSTRAINT_SCHEMA <> {name};"
        ))?;
        let referrers: Vec<String> = referrers.into_iter().flatten().take(NAMES_MAX).collect();
        if !referrers.is_empty() {
            return Err(Failure::new(
                Kind::Refused,
                format!(
                    "Tables of other databases refer to those of `{}` by foreign keys: {}",
                    self.name,
                    referrers.join(", ")
                ),
            )
            .hint("They would go on referring to the replaced tables. Drop those keys first, or restore into a database of another name"));
        }
        Ok(Some(Existing {
            collation,
            bytes,
            empty: tables == 0 && code.is_empty(),
        }))
    }

    /// The tables of a database, sequences included and views not.
    ///
    /// # Errors
    /// The way to the server.
    pub fn tables(&self, database: &str, cancel: &Cancel) -> Result<Vec<String>> {
        let question = format!(
            "SELECT TABLE_NAME FROM information_schema.TABLES WHERE TABLE_SCHEMA = {} AND TABLE_TYPE <> 'VIEW' ORDER BY 1;",
            quote_literal(database)
        );
        self.server
            .ask_texts(&question, cancel)
            .map(|rows| rows.into_iter().flatten().collect())
            .map_err(|unanswered| self.failed(unanswered, &format!("list the tables of `{database}`")))
    }

    /// Creates an empty database.
    ///
    /// # Errors
    /// The server's words.
    pub fn create(&self, name: &str, collation: Option<&str>, cancel: &Cancel) -> Result<()> {
        let collate = collation
            .map(|collation| format!(" COLLATE {}", quote_literal(collation)))
            .unwrap_or_default();
        let statement = format!("CREATE DATABASE {}{collate};", quote_name(name));
        let Err(unanswered) = self.server.ask(None, statement.as_bytes(), cancel) else {
            return Ok(());
        };
        let number = match &unanswered {
            Unanswered::Trouble(trouble) => trouble.number,
            Unanswered::Failure(_) => None,
        };
        let failure = self.failed(unanswered, &format!("create the database `{name}`"));
        Err(match number {
            // Somebody else's.
            Some(1007) => failure,
            Some(1044) => failure.hint(format!(
                "The restored tables are loaded into a database beside `{0}` first: \
                 GRANT ALL ON `{1}\\_\\_%`.* TO the account as well",
                self.name,
                self.name.replace('_', "\\_")
            )),
            // The reply may have been lost after the server had created it.
            _ => {
                self.drop_if_empty(name);
                failure
            }
        })
    }

    fn drop_if_empty(&self, name: &str) {
        let never = Cancel::new();
        let is_empty = self.tables(name, &never).is_ok_and(|tables| tables.is_empty())
            && code::list(&self.server, name, &never).is_ok_and(|code| code.is_empty());
        if is_empty {
            // If that fails too, an empty database is left, and no harm is done.
            let _ = self.drop_database(name);
        }
    }

    /// The default collation of a database.
    ///
    /// # Errors
    /// The way to the server; [`Kind::NotFound`] if there is no such database.
    pub fn collation_of(&self, database: &str, cancel: &Cancel) -> Result<String> {
        collation(&self.server, database, cancel)
    }

    /// Whether the server knows a collation.
    ///
    /// # Errors
    /// The way to the server.
    pub fn knows_collation(&self, collation: &str, cancel: &Cancel) -> Result<bool> {
        let question = format!(
            "SELECT COUNT(*) FROM information_schema.COLLATIONS WHERE COLLATION_NAME = {};",
            quote_literal(collation)
        );
        match self.server.ask_row::<1>(&question, cancel) {
            Ok([count]) => Ok(count != "0"),
            Err(unanswered) => Err(self.failed(unanswered, "ask for the server's collations")),
        }
    }

    /// Drops a database that this run has made. Not to be interrupted: it clears up.
    ///
    /// # Errors
    /// The server's words.
    pub fn drop_database(&self, name: &str) -> Result<()> {
        let statement = format!("DROP DATABASE IF EXISTS {};", quote_name(name));
        self.server
            .ask(None, statement.as_bytes(), &Cancel::new())
            .map(|_| ())
            .map_err(|unanswered| self.failed(unanswered, &format!("drop the database `{name}`")))
    }

    /// Whether the server has a database of this name; `false` if it does not answer, for the next request will say why.
    pub fn has_database(&self, name: &str, cancel: &Cancel) -> bool {
        let question = format!(
            "SELECT 1 FROM information_schema.SCHEMATA WHERE SCHEMA_NAME = {};",
            quote_literal(name)
        );
        self.server
            .ask_texts(&question, cancel)
            .is_ok_and(|rows| rows.into_iter().flatten().next().is_some())
    }

    /// Databases that earlier restores to this target left because they were killed.
    pub fn leftovers(&self, cancel: &Cancel) -> Vec<String> {
        let question = format!(
            "SELECT SCHEMA_NAME FROM information_schema.SCHEMATA WHERE LEFT(SCHEMA_NAME, CHAR_LENGTH({0})) = {0};",
            quote_literal(&suffixed(&self.name, "__restore_"))
        );
        self.server
            .ask_texts(&question, cancel)
            .map(|rows| rows.into_iter().flatten().collect())
            .unwrap_or_default()
    }
}

/// A name with a suffix, of which the name gives way if both are too long.
#[must_use]
pub fn suffixed(name: &str, suffix: &str) -> String {
    let kept = NAME_CHARS_MAX.saturating_sub(suffix.chars().count());
    name.chars().take(kept).chain(suffix.chars()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_with_suffixes_fit() {
        assert_eq!(suffixed("app", "__x"), "app__x");
        let long = suffixed(&"\u{e9}".repeat(64), "__replaced_20260102_030405");
        assert_eq!(long.chars().count(), NAME_CHARS_MAX);
        assert!(long.ends_with("\u{e9}__replaced_20260102_030405"), "{long}");
    }
}
