//! Whether a database is whole, and what is in it.

use std::collections::BTreeMap;

use rusqlite::Connection;

use super::trouble;
use crate::base::cancel::Cancel;
use crate::base::failure::{Failure, Kind, Result};
use crate::base::units::GIB;

/// How many findings of the check are read; a damaged file can have one for each of its pages.
const FINDINGS_MAX: usize = 100;

/// How many findings a message shows.
const FINDINGS_SHOWN_MAX: usize = 10;

/// Up to this size rows are counted and tables measured, which reads everything once more: what is larger is not in the
/// system's cache any more, so that counting would take as long as the check itself.
const COUNTED_BYTES_MAX: u64 = 8 * GIB;

/// How the check begins when it tells of rows that break a rule of the application, not of the file.
const BROKEN_RULE: &str = "CHECK constraint failed in ";

/// How it begins when it cannot look, for want of something that the application adds to SQLite.
const CANNOT_LOOK: &[&str] = &["unable to validate ", "no such module"];

/// What was found out about a database.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Findings {
    /// What is damaged, in SQLite's words; empty if the database is whole.
    pub(super) damage: Vec<String>,
    /// What the user should look into, in sentences.
    pub(super) warnings: Vec<String>,
}

impl Findings {
    /// The failure of a database that is damaged; `what` is the beginning of the sentence.
    pub(super) fn failure(&self, kind: Kind, what: &str) -> Failure {
        let shown = self.damage.len().min(FINDINGS_SHOWN_MAX);
        let mut text = self.damage[..shown].join("; ");
        match self.damage.len() - shown {
            0 => {}
            more => text.push_str(&format!("; and {more} more")),
        }
        Failure::new(
            kind,
            format!("{what} is damaged: SQLite's integrity check found faults"),
        )
        .caused_by(anyhow::anyhow!(text))
    }
}

/// A table and what is known of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Table {
    pub(super) name: String,
    /// Its pages and those of its indexes, in bytes.
    pub(super) bytes: u64,
    /// `None` if it was not counted.
    pub(super) rows: Option<u64>,
}

/// Ends what `connection` does when the run has to end.
fn interruptible<T>(connection: &Connection, cancel: &Cancel, ask: impl FnOnce() -> Result<T>) -> Result<T> {
    let handle = connection.get_interrupt_handle();
    let _guard = cancel.on_cancel(move || handle.interrupt());
    cancel.check()?;
    let answer = ask();
    // What an interrupted question ends with is a consequence.
    cancel.check()?;
    answer
}

/// Checks every page, index and reference. Damage is an answer, not a failure.
///
/// # Errors
/// [`Kind::Interrupted`]; what keeps the check itself from being made.
pub(super) fn check(connection: &Connection, cancel: &Cancel) -> Result<Findings> {
    let mut findings = integrity(connection, cancel)?;
    if findings.damage.is_empty() {
        findings.warnings.extend(references(connection, cancel)?);
    }
    Ok(findings)
}

fn integrity(connection: &Connection, cancel: &Cancel) -> Result<Findings> {
    let mut findings = Findings::default();
    let lines = match ask_integrity(connection, cancel, None)? {
        Ok(lines) => lines,
        // A collation or function that only the application has keeps the check from beginning at all.
        Err(reason) if !is_damage(&reason) => table_by_table(connection, cancel, &mut findings)?,
        Err(reason) => vec![reason.to_string()],
    };
    let is_rule = |line: &String| line.starts_with(BROKEN_RULE);
    let lines = match lines.iter().any(is_rule) {
        true => {
            let mut tables: Vec<&str> = lines.iter().filter_map(|line| line.strip_prefix(BROKEN_RULE)).collect();
            tables.dedup();
            findings.warnings.push(format!(
                "Rows break CHECK constraints of: {}. They are backed up as they are.",
                tables.join(", ")
            ));
            // One line for each such row may have left no place for real damage.
            let ask = |switch: &str| connection.execute_batch(&format!("PRAGMA ignore_check_constraints={switch}"));
            let failed = |error| trouble::failure("check the database", error);
            ask("ON").map_err(failed)?;
            let lines = ask_integrity(connection, cancel, None)?.unwrap_or_else(|reason| vec![reason.to_string()]);
            ask("OFF").map_err(failed)?;
            lines
        }
        false => lines,
    };
    for line in lines {
        match CANNOT_LOOK.iter().any(|begin| line.starts_with(begin)) {
            true => findings
                .warnings
                .push(format!("SQLite could not check everything: {line}.")),
            false => findings.damage.push(line),
        }
    }
    Ok(findings)
}

/// Whether an error is about the file and not about what the question needs.
fn is_damage(error: &rusqlite::Error) -> bool {
    use rusqlite::ErrorCode::{DatabaseCorrupt, NotADatabase, SystemIoFailure};
    matches!(
        error.sqlite_error_code(),
        Some(DatabaseCorrupt | NotADatabase | SystemIoFailure)
    )
}

/// The lines of the check of everything or of one table; none if all is well.
fn ask_integrity(
    connection: &Connection,
    cancel: &Cancel,
    table: Option<&str>,
) -> Result<std::result::Result<Vec<String>, rusqlite::Error>> {
    let argument = table.map_or_else(|| FINDINGS_MAX.to_string(), quoted);
    interruptible(connection, cancel, || {
        Ok(connection
            .prepare(&format!("PRAGMA integrity_check({argument})"))
            .and_then(|mut statement| {
                statement
                    .query_map([], |row| row.get::<_, String>(0))?
                    .collect::<rusqlite::Result<Vec<_>>>()
            })
            .map(|mut lines| {
                lines.retain(|line| line != "ok");
                lines
            }))
    })
}

/// The check of each table by itself; those that cannot be checked are named.
fn table_by_table(connection: &Connection, cancel: &Cancel, findings: &mut Findings) -> Result<Vec<String>> {
    let mut lines = Vec::new();
    for table in names(connection).map_err(|error| trouble::failure("list the tables", error))? {
        match ask_integrity(connection, cancel, Some(&table))? {
            Ok(more) => lines.extend(more),
            Err(reason) if is_damage(&reason) => lines.push(reason.to_string()),
            Err(reason) => findings.warnings.push(format!(
                "The table `{table}` could not be checked, because it needs what only its application has: {reason}."
            )),
        }
        if lines.len() >= FINDINGS_MAX {
            break;
        }
    }
    Ok(lines)
}

/// Rows that refer to rows that are not there. An application may want them so: they are told, and no fault of the file.
fn references(connection: &Connection, cancel: &Cancel) -> Result<Vec<String>> {
    let mut counts: BTreeMap<(String, String), u64> = BTreeMap::new();
    let asked = interruptible(connection, cancel, || {
        Ok(connection
            .prepare("PRAGMA foreign_key_check")
            .and_then(|mut statement| {
                let mut rows = statement.query([])?;
                while let Some(row) = rows.next()? {
                    *counts.entry((row.get(0)?, row.get(2)?)).or_default() += 1;
                }
                Ok(())
            }))
    })?;
    let mut warnings: Vec<String> = counts
        .into_iter()
        .map(|((table, parent), rows)| {
            let (rows, refer) = match rows {
                1 => ("1 row".to_owned(), "refers"),
                rows => (format!("{rows} rows"), "refer"),
            };
            format!("In the table `{table}`, {rows} {refer} to rows of `{parent}` that are not there.")
        })
        .collect();
    if let Err(reason) = asked {
        warnings.push(format!("Foreign keys could not be checked: {reason}."));
    }
    Ok(warnings)
}

/// The tables with their sizes and rows.
///
/// # Errors
/// [`Kind::Interrupted`]; what keeps the schema from being read.
pub(super) fn tables(connection: &Connection, bytes: u64, cancel: &Cancel) -> Result<Vec<Table>> {
    let failed = |error| trouble::failure("list the tables", error);
    let names = names(connection).map_err(failed)?;
    let counts = bytes <= COUNTED_BYTES_MAX;
    let sizes = match counts {
        true => interruptible(connection, cancel, || Ok(sizes(connection).unwrap_or_default()))?,
        false => BTreeMap::new(),
    };
    let mut tables = Vec::with_capacity(names.len());
    for name in names {
        let rows = match counts {
            true => interruptible(connection, cancel, || {
                // Not counting is no fault: a table may need what only its application has.
                Ok(connection
                    .query_row(&format!("SELECT count(*) FROM main.{}", quoted(&name)), [], |row| {
                        row.get::<_, i64>(0)
                    })
                    .ok())
            })?,
            false => None,
        };
        tables.push(Table {
            bytes: sizes.get(&name).copied().unwrap_or(0),
            rows: rows.map(i64::unsigned_abs),
            name,
        });
    }
    Ok(tables)
}

/// Tables that hold rows of their own: not SQLite's, and not the fronts of modules, whose rows are in other tables.
fn names(connection: &Connection) -> rusqlite::Result<Vec<String>> {
    connection
        .prepare(
            "SELECT name FROM main.sqlite_schema WHERE type = 'table' AND rootpage > 0 \
             AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\' ORDER BY name",
        )?
        .query_map([], |row| row.get(0))?
        .collect()
}

/// Bytes by table, with its indexes.
fn sizes(connection: &Connection) -> rusqlite::Result<BTreeMap<String, u64>> {
    connection
        .prepare(
            "SELECT s.tbl_name, sum(d.pgsize) FROM dbstat AS d JOIN main.sqlite_schema AS s ON s.name = d.name \
             WHERE d.aggregate = 1 GROUP BY s.tbl_name",
        )?
        .query_map([], |row| Ok((row.get(0)?, row.get::<_, i64>(1)?.unsigned_abs())))?
        .collect()
}

fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}
