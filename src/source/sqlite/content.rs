//! What is in a database file that was brought back, as the index of a backup names it.

use std::path::Path;

use super::backup::entry;
use super::check::{check, tables};
use super::restore::open_unused;
use crate::base::cancel::Cancel;
use crate::base::failure::{IoContext, Kind, Result};
use crate::catalog::index::Entry;
use crate::catalog::manifest::Counts;

/// What was found out about a database file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DatabaseContent {
    /// Why it is damaged; `None` if it is whole.
    pub fault: Option<String>,
    /// Its tables; none of a damaged one.
    pub entries: Vec<Entry>,
    /// Their sums.
    pub counts: Counts,
    /// What the user should look into, in sentences.
    pub warnings: Vec<String>,
}

/// Checks a file that nobody else knows of, and lists its tables.
///
/// # Errors
/// [`Kind::Interrupted`]; what keeps the check itself from being made.
pub fn look_into(path: &Path, cancel: &Cancel) -> Result<DatabaseContent> {
    super::check_library()?;
    let bytes = std::fs::metadata(path)
        .doing(|| format!("look at `{}`", path.display()))?
        .len();
    let looked = open_unused(path).and_then(|connection| {
        let findings = check(&connection, cancel)?;
        if !findings.damage.is_empty() {
            let failure = findings.failure(Kind::Damaged, "The database");
            return Ok(DatabaseContent {
                fault: Some(failure.causes().join(": ")),
                ..DatabaseContent::default()
            });
        }
        let tables = tables(&connection, bytes, cancel)?;
        Ok(DatabaseContent {
            fault: None,
            entries: tables.iter().map(|table| entry(table, bytes)).collect(),
            counts: Counts {
                tables: Some(tables.len() as u64),
                rows: tables.iter().map(|table| table.rows).sum(),
                ..Counts::default()
            },
            warnings: findings.warnings,
        })
    });
    match looked {
        Err(failure) if failure.kind() == Kind::Damaged => Ok(DatabaseContent {
            fault: Some(failure.message().to_owned()),
            ..DatabaseContent::default()
        }),
        other => other,
    }
}
