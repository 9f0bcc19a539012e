//! Which tables' rows go into which stream. Pure functions.
//!
//! One stream, the rest, is dumped with all tables left out that others name; so whatever there is beside ordinary tables
//! (sequences, large objects, tables of extensions) is in it, and nothing is missing or there twice.

use std::collections::{BTreeMap, BTreeSet};

/// The most tables that are named. Those beyond it, which are the smallest, stay in the rest.
const NAMED_MAX: usize = 4096;

/// The most bytes of names and patterns together, far below what a system takes as the arguments of one program.
const PATTERN_BYTES_MAX: usize = 256 * 1024;

/// A smaller table is not worth a name.
const NAMED_TABLE_BYTES_MIN: u64 = 128 * 1024;

/// An ordinary table of the database.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Table {
    /// Its schema.
    pub schema: String,
    /// Its name.
    pub name: String,
    /// Its size on the server's disk, without its indexes.
    pub bytes: u64,
    /// The sequences that go with it wherever it goes, each a schema and a name.
    pub sequences: Vec<(String, String)>,
}

impl Table {
    /// `schema.name`, as the index of a dump has it.
    #[must_use]
    pub fn path(&self) -> String {
        format!("{}.{}", self.schema, self.name)
    }
}

/// The rows of one stream.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Share {
    /// What is given to this stream alone; empty for the rest, which is the first.
    pub tables: Vec<Table>,
    /// How many bytes they have on the server's disk, and so about as many in the dump.
    pub bytes: u64,
}

/// Splits tables over up to `streams` streams so that they end at about the same time. The first share is the rest.
///
/// `other_bytes` are those of everything that is not among the tables. `dumped` holds the paths of the tables that the
/// dump defines; others are not named, nor is a table whose name cannot be told from another's or cannot be passed on.
#[must_use]
pub fn split(
    tables: &[Table],
    other_bytes: u64,
    dumped: &BTreeSet<Vec<u8>>,
    streams: usize,
    is_utf8: bool,
) -> Vec<Share> {
    let mut paths: BTreeMap<String, usize> = BTreeMap::new();
    for table in tables {
        *paths.entry(table.path()).or_default() += 1;
    }
    let may_be_named = |table: &&Table| {
        let path = table.path();
        table.bytes >= NAMED_TABLE_BYTES_MIN
            && paths.get(&path) == Some(&1)
            && dumped.contains(path.as_bytes())
            && std::iter::once(path.as_str())
                .chain(
                    table
                        .sequences
                        .iter()
                        .flat_map(|(schema, name)| [schema.as_str(), name]),
                )
                .all(|name| !name.contains(char::is_control) && (is_utf8 || name.is_ascii()))
    };
    let mut candidates: Vec<&Table> = tables.iter().filter(may_be_named).collect();
    candidates.sort_by(|a, b| b.bytes.cmp(&a.bytes).then_with(|| a.path().cmp(&b.path())));
    let mut pattern_bytes = 0;
    let named = candidates
        .iter()
        .take(NAMED_MAX)
        .take_while(|table| {
            pattern_bytes += pattern_length(table);
            pattern_bytes <= PATTERN_BYTES_MAX
        })
        .count();
    candidates.truncate(named);

    let all: u64 = tables.iter().map(|table| table.bytes).sum();
    let candidate_bytes: u64 = candidates.iter().map(|table| table.bytes).sum();
    let mut shares = vec![Share::default(); streams.max(1)];
    shares[0].bytes = other_bytes.saturating_add(all - candidate_bytes);
    // The largest first, each to whoever has the least: with the rest last among equals, as it has the small things too.
    for table in candidates {
        let least = shares
            .iter()
            .enumerate()
            .min_by_key(|(at, share)| (share.bytes, *at == 0))
            .map_or(0, |(at, _)| at);
        shares[least].bytes += table.bytes;
        if least > 0 {
            shares[least].tables.push(table.clone());
        }
    }
    let mut at = 0;
    shares.retain(|share| {
        at += 1;
        at == 1 || !share.tables.is_empty()
    });
    shares
}

/// How long the patterns of a table are as arguments, roughly.
fn pattern_length(table: &Table) -> usize {
    const AROUND: usize = 32;
    let names = table
        .sequences
        .iter()
        .map(|(schema, name)| schema.len() + name.len() + AROUND);
    table.path().len() + AROUND + names.sum::<usize>()
}

/// A name as a pattern that matches nothing else.
#[must_use]
pub fn pattern(schema: &str, name: &str) -> String {
    let quoted = |text: &str| format!("\"{}\"", text.replace('"', "\"\""));
    format!("{}.{}", quoted(schema), quoted(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1024 * 1024;

    fn table(name: &str, mebibytes: u64) -> Table {
        Table {
            schema: "s".to_owned(),
            name: name.to_owned(),
            bytes: mebibytes * MIB,
            sequences: Vec::new(),
        }
    }

    fn all(tables: &[Table]) -> BTreeSet<Vec<u8>> {
        tables.iter().map(|table| table.path().into_bytes()).collect()
    }

    fn names(shares: &[Share]) -> Vec<Vec<String>> {
        let own = |share: &Share| share.tables.iter().map(|table| table.name.clone()).collect();
        shares.iter().map(own).collect()
    }

    fn lists(lists: &[&[&str]]) -> Vec<Vec<String>> {
        let own = |list: &&[&str]| list.iter().map(|name| (*name).to_owned()).collect();
        lists.iter().map(own).collect()
    }

    #[test]
    fn streams_are_about_equal_and_the_rest_has_what_is_not_named() {
        let tables = [table("a", 50), table("b", 30), table("c", 20), table("d", 10)];
        let shares = split(&tables, 0, &all(&tables), 2, true);
        assert_eq!(names(&shares), lists(&[&[], &["a", "d"]]));
        assert_eq!(shares[0].bytes, 50 * MIB);
        let shares = split(&tables, 40 * MIB, &all(&tables), 2, true);
        assert_eq!(names(&shares), lists(&[&[], &["a", "c", "d"]]));
        assert_eq!(shares[0].bytes, 70 * MIB);
        // A single one cannot be divided.
        let shares = split(&tables[..1], 0, &all(&tables), 3, true);
        assert_eq!(names(&shares), lists(&[&[], &["a"]]));
        assert_eq!(split(&[], 5, &BTreeSet::new(), 4, true).len(), 1);
    }

    #[test]
    fn nothing_is_named_that_is_not_dumped_or_could_be_something_else() {
        let mut tables = vec![table("a", 50), table("b.c", 40), table("line\nend", 30), table("ä", 20)];
        tables.push(Table {
            schema: "s.b".to_owned(),
            name: "c".to_owned(),
            bytes: 45 * MIB,
            sequences: Vec::new(),
        });
        let mut owner = table("owner", 60);
        owner.sequences.push(("s".to_owned(), "ö".to_owned()));
        tables.push(owner);
        let dumped = all(&tables);
        let shares = split(&tables, 0, &dumped, 9, false);
        assert_eq!(names(&shares), lists(&[&[], &["a"]]));
        let mut named = names(&split(&tables, 0, &dumped, 9, true)).concat();
        named.sort();
        assert_eq!(named, ["a", "owner", "ä"]);
        assert_eq!(split(&tables, 0, &BTreeSet::new(), 9, true).len(), 1);
        assert_eq!(
            split(&[table("small", 0)], 0, &all(&[table("small", 0)]), 2, true).len(),
            1
        );
    }

    #[test]
    fn ten_thousand_tables_do_not_make_arguments_too_long() {
        let tables: Vec<Table> = (0..10_000)
            .map(|n| table(&format!("a_rather_long_table_name_{n}"), 1))
            .collect();
        let shares = split(&tables, 0, &all(&tables), 4, true);
        assert_eq!(shares.len(), 4);
        let named: usize = shares.iter().map(|share| share.tables.len()).sum();
        assert!((1000..=NAMED_MAX).contains(&named), "{named}");
        let length: usize = shares
            .iter()
            .flat_map(|share| &share.tables)
            .map(|table| pattern(&table.schema, &table.name).len())
            .sum();
        assert!(length <= PATTERN_BYTES_MAX);
        let (least, most) = (
            shares.iter().map(|s| s.bytes).min(),
            shares[1..].iter().map(|s| s.bytes).max(),
        );
        assert!(least > Some(900 * MIB) && most < Some(1700 * MIB), "{least:?} {most:?}");
    }

    #[test]
    fn patterns_are_quoted() {
        assert_eq!(pattern("a.b", "c\"*"), "\"a.b\".\"c\"\"*\"");
    }
}
