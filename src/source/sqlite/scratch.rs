//! A restored file that nobody uses, looked into to prove a backup.

use std::path::Path;

use rusqlite::types::ValueRef;
use rusqlite::{Connection, ErrorCode};

use super::check::tables;
use super::restore::open_unused;
use super::trouble;
use crate::base::cancel::Cancel;
use crate::base::failure::{Kind, Result};
use crate::source::scratch::{Answer, TableRows};

/// A database that is only read.
#[derive(Debug)]
pub struct SqliteScratch {
    connection: Connection,
    bytes: u64,
}

impl SqliteScratch {
    /// Opens the file, as one that never changes.
    ///
    /// # Errors
    /// [`Kind::Damaged`] if it is no database.
    pub fn open(path: &Path) -> Result<Self> {
        Ok(Self {
            connection: open_unused(path)?,
            bytes: super::files::length_of(path),
        })
    }

    /// Counts the rows of every table, unless the database is so large that a backup does not count them either.
    ///
    /// # Errors
    /// [`Kind::Interrupted`]; what keeps the schema from being read.
    pub fn count(&self, cancel: &Cancel) -> Result<Vec<(Vec<u8>, Option<u64>)>> {
        let tables = tables(&self.connection, self.bytes, cancel)?;
        Ok(tables
            .into_iter()
            .map(|table| (table.name.into_bytes(), table.rows))
            .collect())
    }

    /// As [`SqliteScratch::count`], as far as rows were counted.
    ///
    /// # Errors
    /// As there.
    pub fn rows(&self, cancel: &Cancel) -> Result<Vec<TableRows>> {
        Ok(self
            .count(cancel)?
            .into_iter()
            .map(|(path, rows)| TableRows {
                path,
                rows: rows.unwrap_or(0),
                is_shared: rows.is_none(),
            })
            .collect())
    }

    /// Asks something, of which the first rows are returned; the file cannot be written through this connection.
    ///
    /// # Errors
    /// [`Kind::Damaged`] if the file is; what keeps it from being read.
    pub fn query(&self, query: &str, rows_max: usize, cancel: &Cancel) -> Result<Answer> {
        let handle = self.connection.get_interrupt_handle();
        let _guard = cancel.on_cancel(move || handle.interrupt());
        cancel.check()?;
        let asked = || -> rusqlite::Result<Vec<Vec<String>>> {
            let mut statement = self.connection.prepare(query)?;
            let fields = statement.column_count();
            let mut rows = statement.query([])?;
            let mut answer = Vec::new();
            while let Some(row) = rows.next()? {
                if answer.len() == rows_max {
                    break;
                }
                let texts: rusqlite::Result<Vec<String>> = (0..fields).map(|at| row.get_ref(at).map(text)).collect();
                answer.push(texts?);
            }
            Ok(answer)
        };
        let answer = asked();
        cancel.check()?;
        match answer {
            Ok(rows) => Ok(Answer::Rows(rows)),
            Err(error) => match error.sqlite_error_code() {
                Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => {
                    Err(trouble::failure("ask the check", error).with_kind(Kind::Damaged))
                }
                Some(ErrorCode::SystemIoFailure | ErrorCode::DiskFull | ErrorCode::OutOfMemory) => {
                    Err(trouble::failure("ask the check", error))
                }
                _ => Ok(Answer::None(trouble::words(&error).to_string())),
            },
        }
    }
}

fn text(value: ValueRef<'_>) -> String {
    match value {
        ValueRef::Null => String::new(),
        ValueRef::Integer(number) => number.to_string(),
        ValueRef::Real(number) => number.to_string(),
        ValueRef::Text(bytes) | ValueRef::Blob(bytes) => String::from_utf8_lossy(bytes).into_owned(),
    }
}
