//! What was restored against what was recorded when the backup was made.

use std::collections::BTreeMap;
use std::ops::ControlFlow;

use serde::{Deserialize, Serialize};

use super::super::located::{Backup, is_index_trouble};
use super::super::ls::{IndexItem, read_index};
use crate::base::failure::Result;
use crate::catalog::index::EntryKind;
use crate::catalog::manifest::Counts;
use crate::source::scratch::TableRows;

/// How many differences are named; the rest are only counted.
pub const DIFFERENCES_MAX: usize = 100;

/// A table or file that is not as it was recorded.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Difference {
    /// Which.
    pub item: String,
    /// What was recorded.
    pub recorded: String,
    /// What was restored.
    pub found: String,
}

impl std::fmt::Display for Difference {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {} instead of {}", self.item, self.found, self.recorded)
    }
}

/// With what was recorded a restored backup was compared, from the least to the most.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Against {
    /// Nothing was recorded, or it cannot be read.
    #[default]
    Nothing,
    /// What was recorded of all tables together, or the size of a file; of an archive of files without an index, the archive.
    Sums,
    /// Each table with its rows, each file with its content.
    Each,
}

/// The result of a comparison.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Compared {
    /// With what.
    #[serde(default)]
    pub against: Against,
    /// Tables that were restored.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tables: Option<u64>,
    /// Their rows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rows: Option<u64>,
    /// Files that were compared, each with its content.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub files: Option<u64>,
    /// Folders, links and other items that were compared.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub others: Option<u64>,
    /// Bytes that were read back from the restored files.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bytes: Option<u64>,
    /// How many items are not as recorded.
    pub difference_count: u64,
    /// The first of them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub differences: Vec<Difference>,
    /// What could not be compared, in sentences.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub not_compared: Vec<String>,
}

impl Compared {
    /// Adds a difference.
    pub fn differs(&mut self, item: impl Into<String>, recorded: impl Into<String>, found: impl Into<String>) {
        self.difference_count += 1;
        if self.differences.len() < DIFFERENCES_MAX {
            self.differences.push(Difference {
                item: item.into(),
                recorded: recorded.into(),
                found: found.into(),
            });
        }
    }
}

/// What the index and the manifest say of tables.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct RecordedTables {
    /// Rows by table, where they were counted; `None` if there is no usable index, or it tells of no rows.
    pub by_table: Option<BTreeMap<Vec<u8>, u64>>,
    /// The sums.
    pub counts: Counts,
    /// Why the index was of no use.
    pub trouble: Option<String>,
}

/// Reads what was recorded of tables.
///
/// # Errors
/// The store's failures; a lost or damaged index is told in the result.
pub(super) fn recorded_tables(backup: &Backup<'_>) -> Result<RecordedTables> {
    let mut recorded = RecordedTables {
        counts: backup
            .chosen
            .manifest
            .as_ref()
            .map(|manifest| manifest.counts.clone())
            .unwrap_or_default(),
        ..RecordedTables::default()
    };
    if backup.chosen.manifest.is_none() {
        recorded.trouble = Some("It has no manifest, so that nothing was recorded to compare with.".to_owned());
        return Ok(recorded);
    }
    let mut by_table: BTreeMap<Vec<u8>, u64> = BTreeMap::new();
    let read = read_index(backup.store, backup.chosen, backup.run, |item| {
        if let IndexItem::Entry(entry) = item
            && entry.kind == EntryKind::Table
            && let Some(rows) = entry.rows
        {
            *by_table.entry(entry.path.0).or_default() += rows;
        }
        Ok(ControlFlow::Continue(()))
    });
    match read {
        Ok(()) => recorded.by_table = (!by_table.is_empty()).then_some(by_table),
        Err(failure) if is_index_trouble(&failure) => {
            recorded.trouble = Some(format!(
                "The index cannot be used, so single tables are not compared: {failure}."
            ));
        }
        Err(failure) => return Err(failure),
    }
    Ok(recorded)
}

/// Compares the tables of a restored database with those that were recorded.
#[must_use]
pub(super) fn compare_tables(recorded: &RecordedTables, restored: &[TableRows]) -> Compared {
    let rows = |number: u64| match number {
        1 => "1 row".to_owned(),
        number => format!("{number} rows"),
    };
    let name = |path: &[u8]| String::from_utf8_lossy(path).into_owned();
    let total: u64 = restored.iter().map(|table| table.rows).sum();
    let mut compared = Compared {
        tables: Some(restored.len() as u64),
        rows: Some(total),
        not_compared: recorded.trouble.iter().cloned().collect(),
        ..Compared::default()
    };
    if let Some(by_table) = &recorded.by_table {
        compared.against = Against::Each;
        let mut left: BTreeMap<&[u8], &TableRows> =
            restored.iter().map(|table| (table.path.as_slice(), table)).collect();
        for (path, expected) in by_table {
            match left.remove(path.as_slice()) {
                None => compared.differs(name(path), rows(*expected), "no such table"),
                // Whatever else fills it may have added rows, but cannot have taken any.
                Some(table) if table.is_shared && table.rows >= *expected => {}
                Some(table) if table.rows != *expected => {
                    compared.differs(name(path), rows(*expected), rows(table.rows));
                }
                Some(_) => {}
            }
        }
        for (path, table) in left {
            if table.rows > 0 && !table.is_shared {
                compared.differs(name(path), "no table", rows(table.rows));
            }
        }
        check_sums(&mut compared, &recorded.counts, by_table);
    } else {
        // A dump of the same kind was counted as a whole.
        if let Some(expected) = recorded.counts.rows
            && restored.iter().all(|table| !table.is_shared)
        {
            compared.against = Against::Sums;
            if expected != total {
                compared.differs("all tables", rows(expected), rows(total));
            }
        }
        if recorded.counts.rows.is_none() && recorded.trouble.is_none() {
            compared
                .not_compared
                .push("How many rows each table had was not recorded when the backup was made.".to_owned());
        }
    }
    compared
}

/// What the manifest says of all tables together has to agree with what the index says of each.
fn check_sums(compared: &mut Compared, counts: &Counts, by_table: &BTreeMap<Vec<u8>, u64>) {
    let sum: u64 = by_table.values().sum();
    for (noun, recorded, found) in [
        ("tables in all", counts.tables, by_table.len() as u64),
        ("rows in all", counts.rows, sum),
    ] {
        if let Some(recorded) = recorded.filter(|recorded| *recorded != found) {
            compared.differs(noun, recorded.to_string(), found.to_string());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(path: &str, rows: u64) -> TableRows {
        TableRows {
            path: path.as_bytes().to_vec(),
            rows,
            is_shared: false,
        }
    }

    fn recorded(tables: &[(&str, u64)]) -> RecordedTables {
        RecordedTables {
            by_table: Some(
                tables
                    .iter()
                    .map(|(path, rows)| (path.as_bytes().to_vec(), *rows))
                    .collect(),
            ),
            counts: Counts {
                tables: Some(tables.len() as u64),
                rows: Some(tables.iter().map(|(_, rows)| rows).sum()),
                ..Counts::default()
            },
            trouble: None,
        }
    }

    fn said(recorded: &RecordedTables, restored: &[TableRows]) -> Vec<String> {
        let compared = compare_tables(recorded, restored);
        compared.differences.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn each_table_that_differs_is_named() {
        let was = recorded(&[("public.a", 3), ("public.b", 1), ("public.c", 0)]);
        let same = [
            table("public.a", 3),
            table("public.b", 1),
            table("public.c", 0),
            table("public.empty", 0),
        ];
        assert!(said(&was, &same).is_empty());
        assert_eq!(
            said(
                &was,
                &[table("public.a", 2), table("public.c", 0), table("public.d", 7)]
            ),
            [
                "public.a: 2 rows instead of 3 rows",
                "public.b: no such table instead of 1 row",
                "public.d: 7 rows instead of no table",
            ]
        );
        let shared = |rows| TableRows {
            is_shared: true,
            ..table("public.a", rows)
        };
        let was = recorded(&[("public.a", 3)]);
        assert!(said(&was, &[shared(9)]).is_empty());
        assert_eq!(said(&was, &[shared(2)]).len(), 1);
    }

    #[test]
    fn sums_are_compared_where_single_tables_were_not_recorded() {
        let mut was = recorded(&[("a", 3)]);
        was.counts.rows = Some(4);
        assert_eq!(said(&was, &[table("a", 3)]), ["rows in all: 3 instead of 4"]);
        was.by_table = None;
        assert_eq!(said(&was, &[table("a", 3)]), ["all tables: 3 rows instead of 4 rows"]);
        let against = |was: &RecordedTables| compare_tables(was, &[table("a", 3)]).against;
        assert_eq!(against(&was), Against::Sums);
        was.counts.rows = None;
        assert!(said(&was, &[table("a", 3)]).is_empty());
        assert_eq!(compare_tables(&was, &[]).not_compared.len(), 1);
        assert_eq!(against(&was), Against::Nothing, "nothing was recorded");
        assert_eq!(against(&recorded(&[("a", 3)])), Against::Each);
    }

    #[test]
    fn thousands_of_differences_are_counted_and_the_first_named() {
        let names: Vec<String> = (0..1000).map(|number| format!("t{number}")).collect();
        let tables: Vec<(&str, u64)> = names.iter().map(|name| (name.as_str(), 1)).collect();
        let compared = compare_tables(&recorded(&tables), &[]);
        assert_eq!(compared.difference_count, 1000);
        assert_eq!(compared.differences.len(), DIFFERENCES_MAX);
    }
}
