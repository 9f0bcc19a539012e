//! Single tables of a database: rows into tables that are there, or the tables themselves, in one transaction.

use std::io::Read;
use std::path::PathBuf;

use super::clients::{Client, Version, find_clients, newest};
use super::feed::{Destination, Dump};
use super::server::{Server, quote_literal};
use super::url::PostgresUrl;
use crate::base::cancel::Cancel;
use crate::base::failure::{Failure, Kind, Result};
use crate::source::SourceContext;

/// Where tables go.
#[derive(Clone, Debug, Default)]
pub struct PostgresTablesOptions {
    /// The server and the database, which has to exist.
    pub url: PostgresUrl,
    /// The tables, as the index has them: `schema.name`.
    pub tables: Vec<Vec<u8>>,
    /// Whether the tables themselves come with their rows.
    pub with_schema: bool,
    /// Whether rows, or with the schema tables, that are there may be replaced.
    pub replace: bool,
    /// The folder with the client programs; without one, `PATH` and the distributions' folders are searched.
    pub client_folder: Option<PathBuf>,
}

/// A table as it is before.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PostgresTable {
    /// Its name in SQL, with its schema; `None` if it does not exist.
    pub name: Option<String>,
    /// Whether it is partitioned.
    pub is_partitioned: bool,
    /// Whether it holds rows.
    pub has_rows: bool,
    /// Its size on the server's disk, indexes included.
    pub bytes: u64,
    oid: String,
}

/// The tables of a database, looked at.
#[derive(Debug)]
pub struct PostgresTables {
    server: Server,
    psqls: Vec<Client>,
    version: Version,
    options: PostgresTablesOptions,
    /// In the order of the options.
    pub tables: Vec<PostgresTable>,
    /// In which order rows can come so that foreign keys find what they refer to; places in `tables`.
    pub order: Vec<usize>,
}

/// A setting of the transaction that remembers how triggers were.
const TRIGGERS_SETTING: &str = "backup_cli.triggers";

const ASKING: &str = "ask the server about the tables";

impl PostgresTables {
    /// Looks at the tables and decides whether they can be restored; changes nothing.
    ///
    /// # Errors
    /// The way to the server; [`Kind::NotFound`] if a table is not there and is not to be made; [`Kind::Refused`] if there is
    /// something that would be lost and may not be replaced, or a relation of another kind.
    pub fn inspect(options: PostgresTablesOptions, cancel: &Cancel) -> Result<Self> {
        let psqls = find_clients("psql", options.client_folder.as_deref(), cancel)?;
        let psql = newest(&psqls)
            .cloned()
            .ok_or_else(|| Failure::new(Kind::Tool, "`psql` is not installed"))?;
        let server = Server::new(&options.url, psql)?;
        let version = server.version(None, cancel)?;
        let mut inspected = Self {
            server,
            psqls,
            version,
            options,
            tables: Vec::new(),
            order: Vec::new(),
        };
        inspected.look(cancel)?;
        inspected.check()?;
        inspected.order = inspected.order(cancel)?;
        Ok(inspected)
    }

    fn ask(&self, statements: &[String], cancel: &Cancel) -> Result<Vec<Vec<String>>> {
        self.server
            .ask(None, statements, cancel)
            .map_err(|unanswered| unanswered.failure(ASKING, &self.options.url))
    }

    fn shown(&self, at: usize) -> String {
        String::from_utf8_lossy(&self.options.tables[at]).into_owned()
    }

    fn look(&mut self, cancel: &Cancel) -> Result<()> {
        for at in 0..self.options.tables.len() {
            let path = quote_literal(&self.shown(at));
            let question = format!(
                "SELECT c.oid, format('%I.%I', n.nspname, c.relname), c.relkind, pg_total_relation_size(c.oid) \
                 FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace \
                 WHERE n.nspname || '.' || c.relname = {path}"
            );
            let rows = self.ask(&[question], cancel)?;
            let mut table = PostgresTable {
                name: None,
                is_partitioned: false,
                has_rows: false,
                bytes: 0,
                oid: String::new(),
            };
            if let Some(row) = rows.into_iter().next() {
                let [oid, name, kind, bytes] = <[String; 4]>::try_from(row)
                    .map_err(|_| Failure::new(Kind::Failed, "The server's answer has an unexpected shape"))?;
                if !matches!(kind.as_str(), "r" | "p") {
                    return Err(Failure::new(
                        Kind::Refused,
                        format!("`{}` is no ordinary table in `{}`", self.shown(at), self.options.url),
                    )
                    .hint("Rename what stands there, or restore into another database"));
                }
                table.is_partitioned = kind == "p";
                table.bytes = bytes.parse().unwrap_or(0);
                // Rows that a policy hides are rows: the server says so instead of answering.
                let has_rows = [
                    "SET row_security TO off".to_owned(),
                    format!("SELECT EXISTS (SELECT 1 FROM {}{name})", only(table.is_partitioned)),
                ];
                let answer = self.ask(&has_rows, cancel)?;
                table.has_rows = answer
                    .first()
                    .and_then(|row| row.first())
                    .is_none_or(|said| said != "f");
                table.name = Some(name);
                table.oid = oid;
            }
            self.tables.push(table);
        }
        Ok(())
    }

    fn check(&self) -> Result<()> {
        let url = &self.options.url;
        for (at, table) in self.tables.iter().enumerate() {
            let shown = self.shown(at);
            match (&table.name, self.options.with_schema) {
                (None, false) => {
                    return Err(
                        Failure::new(Kind::NotFound, format!("There is no table `{shown}` in `{url}`"))
                            .hint("Add --with-schema to make it, with its indexes, constraints and triggers"),
                    );
                }
                (Some(_), true) if !self.options.replace => {
                    return Err(
                        Failure::new(Kind::Refused, format!("The table `{shown}` exists in `{url}`"))
                            .hint("Leave --with-schema out to fill it, or add --replace to drop it and make it anew"),
                    );
                }
                (Some(_), false) if table.has_rows && !self.options.replace => {
                    return Err(
                        Failure::new(Kind::Refused, format!("The table `{shown}` in `{url}` holds rows"))
                            .hint("Add --replace to put those of the backup in their place")
                            .hint("Restore into another database to look at them first"),
                    );
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// Those that are replaced, with what they hold.
    pub fn replaced(&self) -> impl Iterator<Item = &PostgresTable> {
        let with_schema = self.options.with_schema;
        self.tables
            .iter()
            .filter(move |table| table.name.is_some() && (with_schema || table.has_rows))
    }

    /// Tables before those that refer to them; where they refer to each other in a circle, as they stand.
    fn order(&self, cancel: &Cancel) -> Result<Vec<usize>> {
        let oids: Vec<&str> = self
            .tables
            .iter()
            .map(|table| table.oid.as_str())
            .filter(|oid| !oid.is_empty())
            .collect();
        let mut waits: Vec<(usize, usize)> = Vec::new();
        if oids.len() > 1 {
            let list = oids.join(", ");
            let question = format!(
                "SELECT conrelid, confrelid FROM pg_constraint WHERE contype = 'f' AND conrelid <> confrelid \
                 AND conrelid IN ({list}) AND confrelid IN ({list})"
            );
            let place = |oid: &str| self.tables.iter().position(|table| table.oid == oid);
            for row in self.ask(&[question], cancel)? {
                if let [from, to] = row.as_slice()
                    && let (Some(from), Some(to)) = (place(from), place(to))
                {
                    waits.push((from, to));
                }
            }
        }
        Ok(sorted(self.tables.len(), waits))
    }

    /// What makes room before the rows come. It is run in their transaction, and looks again: between the plan and now
    /// somebody may have written.
    #[must_use]
    pub fn before(&self) -> String {
        let mut sql = String::new();
        if self.options.with_schema {
            let names: Vec<&str> = self.tables.iter().filter_map(|table| table.name.as_deref()).collect();
            if !names.is_empty() {
                sql.push_str(&format!("DROP TABLE {};\n\n", names.join(", ")));
            }
            return sql;
        }
        let mut replaced = Vec::new();
        for table in &self.tables {
            let Some(name) = &table.name else { continue };
            let target = format!("{}{name}", only(table.is_partitioned));
            sql.push_str(&format!("LOCK TABLE {target} IN ACCESS EXCLUSIVE MODE;\n"));
        }
        // Before anything is emptied: a trigger may wait for that too.
        sql.push_str(&self.triggers_off());
        for table in &self.tables {
            let Some(name) = &table.name else { continue };
            let target = format!("{}{name}", only(table.is_partitioned));
            if table.has_rows {
                replaced.push(target);
            } else {
                let message = quote_literal(&format!("The table {name} holds rows now").replace('%', "%%"));
                let body = quote_literal(&format!(
                    "BEGIN IF EXISTS (SELECT 1 FROM {target}) THEN RAISE EXCEPTION {message}; END IF; END"
                ));
                sql.push_str(&format!("DO {body};\n"));
            }
        }
        if !replaced.is_empty() {
            // Together, because they may refer to each other.
            sql.push_str(&format!("TRUNCATE TABLE {};\n", replaced.join(", ")));
        }
        sql.push('\n');
        sql
    }

    /// Switches the tables' own triggers off, and notes which and how they were on for [`triggers_on`].
    ///
    /// The rows are those of the backup, in which the triggers have had their say. Foreign keys go on being checked: their
    /// triggers are the server's. One by one, and not by the word `USER`, because that would ask for the rights of the
    /// owner even where there is no trigger.
    fn triggers_off(&self) -> String {
        let oids: Vec<&str> = self.tables.iter().map(|table| table.oid.as_str()).collect();
        let body = format!(
            "DECLARE t record; again text := ''; BEGIN FOR t IN WITH RECURSIVE tree (oid) AS (SELECT oid FROM pg_class \
             WHERE oid IN ({}) UNION SELECT c.oid FROM tree JOIN pg_inherits i ON i.inhparent = tree.oid \
             JOIN pg_class c ON c.oid = i.inhrelid AND c.relispartition) \
             SELECT format('ALTER TABLE ONLY %I.%I ', n.nspname, c.relname) AS alters, format(' TRIGGER %I', g.tgname) AS name, \
             CASE g.tgenabled WHEN 'R' THEN 'ENABLE REPLICA' WHEN 'A' THEN 'ENABLE ALWAYS' ELSE 'ENABLE' END AS enables \
             FROM tree JOIN pg_class c ON c.oid = tree.oid JOIN pg_namespace n ON n.oid = c.relnamespace \
             JOIN pg_trigger g ON g.tgrelid = c.oid WHERE NOT g.tgisinternal AND g.tgenabled <> 'D' \
             LOOP EXECUTE t.alters || 'DISABLE' || t.name; again := again || t.alters || t.enables || t.name || ';'; END LOOP; \
             PERFORM set_config('{TRIGGERS_SETTING}', again, true); END",
            oids.join(", ")
        );
        format!("DO {};\n", quote_literal(&body))
    }

    /// What comes after the rows: sequences of columns go on behind the greatest value, and never back; and triggers are
    /// what they were.
    ///
    /// # Errors
    /// The way to the server.
    pub fn after(&self, cancel: &Cancel) -> Result<String> {
        if self.options.with_schema {
            return Ok(String::new());
        }
        let mut sql = String::new();
        for table in &self.tables {
            let Some(name) = &table.name else { continue };
            let question = format!(
                "SELECT format('%I.%I', n.nspname, s.relname), format('%I', a.attname) FROM pg_depend d \
                 JOIN pg_class s ON s.oid = d.objid AND s.relkind = 'S' JOIN pg_namespace n ON n.oid = s.relnamespace \
                 JOIN pg_sequence q ON q.seqrelid = s.oid AND q.seqincrement > 0 \
                 JOIN pg_attribute a ON a.attrelid = d.refobjid AND a.attnum = d.refobjsubid \
                 WHERE d.classid = 'pg_class'::regclass AND d.refobjid = {} AND d.deptype IN ('a', 'i') \
                 AND a.atttypid IN ('int2'::regtype, 'int4'::regtype, 'int8'::regtype)",
                table.oid
            );
            for row in self.ask(&[question], cancel)? {
                if let [sequence, column] = row.as_slice() {
                    sql.push_str(&format!(
                        "SELECT pg_catalog.setval({}, m.m) FROM (SELECT max({column}) AS m FROM {name}) m, {sequence} s \
                         WHERE m.m > s.last_value OR (m.m = s.last_value AND NOT s.is_called);\n",
                        quote_literal(sequence)
                    ));
                }
            }
        }
        sql.push_str(&triggers_on());
        Ok(sql)
    }

    /// Pours a script of the tables into the database, in one transaction.
    ///
    /// # Errors
    /// The script's own failure to be read, `verify`'s, the server's words; then nothing has changed.
    pub fn restore(
        &self,
        script: &mut dyn Read,
        verify: &mut dyn FnMut() -> Result<()>,
        context: &SourceContext<'_>,
    ) -> Result<Vec<String>> {
        let dump = Dump::open(script)?;
        let psql = dump.choose_psql(&self.psqls)?;
        let mut warnings = dump.pour(&self.server, &psql, Destination::Tables, self.version, verify, context)?;
        warnings.extend(self.analyze(context)?);
        Ok(warnings)
    }

    /// Statistics for the planner; the tables work without.
    fn analyze(&self, context: &SourceContext<'_>) -> Result<Option<String>> {
        let mut names: Vec<&str> = self.tables.iter().filter_map(|table| table.name.as_deref()).collect();
        names.dedup();
        if names.is_empty() {
            return Ok(None);
        }
        let statements = [
            "SET statement_timeout TO 0".to_owned(),
            format!("ANALYZE {}", names.join(", ")),
        ];
        match self.server.ask(None, &statements, context.cancel) {
            Ok(_) => Ok(None),
            Err(unanswered) => {
                context.cancel.check()?;
                let why = unanswered.failure("analyze the restored tables", &self.options.url);
                Ok(Some(format!(
                    "The restored tables have no new statistics yet; run ANALYZE: {}.",
                    why.causes().join(": ")
                )))
            }
        }
    }
}

/// Switches on again what was switched off. Foreign keys that are checked at the end of the transaction are checked now:
/// a table about which something is still to be checked cannot be altered.
fn triggers_on() -> String {
    let body = format!(
        "BEGIN IF current_setting('{TRIGGERS_SETTING}') <> '' THEN SET CONSTRAINTS ALL IMMEDIATE; \
         EXECUTE current_setting('{TRIGGERS_SETTING}'); END IF; END"
    );
    format!("DO {};\n", quote_literal(&body))
}

fn only(is_partitioned: bool) -> &'static str {
    if is_partitioned { "" } else { "ONLY " }
}

/// Places from 0 to `count`, each behind those that it waits for.
fn sorted(count: usize, waits: Vec<(usize, usize)>) -> Vec<usize> {
    let mut order = Vec::with_capacity(count);
    let mut is_done = vec![false; count];
    while order.len() < count {
        let is_free = |at: usize| waits.iter().all(|(from, to)| *from != at || is_done[*to]);
        let open = |at: &usize| !is_done[*at];
        let next = (0..count).filter(open).find(|at| is_free(*at));
        // In a circle none is free; then the first one goes.
        let Some(next) = next.or_else(|| (0..count).find(open)) else {
            break;
        };
        is_done[next] = true;
        order.push(next);
    }
    order
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_come_before_those_that_refer_to_them() {
        assert_eq!(sorted(3, vec![]), [0, 1, 2]);
        assert_eq!(sorted(3, vec![(0, 2), (2, 1)]), [1, 2, 0]);
        assert_eq!(sorted(3, vec![(0, 1), (1, 0), (2, 0)]), [0, 1, 2]);
    }
}
