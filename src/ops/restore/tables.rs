//! Single tables out of a plain dump: their rows, and on request all that belongs to them, as a script of its own.

use std::collections::{HashMap, HashSet};
use std::io::{Cursor, Read};
use std::ops::{ControlFlow, Range};

use super::super::located::{Backup, From, Parts};
use super::super::ls::IndexItem;
use super::raw::Checked;
use crate::base::failure::{Failure, Kind, Result, from_io};
use crate::catalog::index::{Entry, EntryKind, MemberRun};
use crate::catalog::patterns::TablePatterns;
use crate::source::detect::{Content, SqlDialect, detect, sql_dialect};
use crate::source::script::{Frame, frame_of};

/// How much of a dump is looked at for its head: settings and first comments, some 2 KiB.
const HEAD_BYTES_MAX: u64 = 64 * 1024;

/// Objects that are what they are called: chosen by their own path. All others are chosen by what they belong to.
const BY_PATH: [&str; 5] = [
    "TABLE",
    "FOREIGN TABLE",
    "SEQUENCE",
    "SEQUENCE SET",
    "SEQUENCE OWNED BY",
];

/// Objects that tie two others together, and are wanted only if both are.
const TIES: [&str; 2] = [PARTITION, "INDEX ATTACH"];

/// What makes a table a partition of another.
const PARTITION: &str = "TABLE ATTACH";

/// What other objects of a table belong to in turn.
const OWNERS: [&str; 4] = ["INDEX", "CONSTRAINT", "SEQUENCE", "SEQUENCE OWNED BY"];

/// What a setting between two objects is called.
const SETTING: &str = "SETTING";

/// A table that was chosen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ChosenTable {
    /// `schema.name`.
    pub(super) path: Vec<u8>,
    /// Its rows.
    pub(super) rows: u64,
}

/// The tables that are wanted, and where everything of them lies.
pub(super) struct Tables {
    pub(super) chosen: Vec<ChosenTable>,
    pub(super) dialect: SqlDialect,
    frame: Frame,
    /// In the order of the dump.
    pieces: Vec<Piece>,
    runs: Vec<MemberRun>,
    from: From,
    pub(super) plain_bytes: u64,
}

/// A piece of the dump.
struct Piece {
    range: Range<u64>,
    /// Which of the tables it has the rows of.
    rows_of: Option<usize>,
}

struct Object {
    path: Vec<u8>,
    owner: Option<Vec<u8>>,
    what: String,
    range: Range<u64>,
}

#[derive(Default)]
struct Found {
    /// All that have rows until it is known which are wanted.
    tables: Vec<(ChosenTable, Range<u64>)>,
    /// Wanted tables that the schema defines, whether or not they have rows.
    defined: Vec<Vec<u8>>,
    objects: Vec<Object>,
    runs: Vec<MemberRun>,
    first: Option<u64>,
}

/// Finds what is wanted of the dump; nothing of it is written yet.
///
/// # Errors
/// [`Kind::Usage`] if it is no plain dump; [`Kind::NotFound`] if a pattern means no table.
pub(super) fn find(
    backup: &Backup<'_>,
    patterns: &TablePatterns,
    with_schema: bool,
    remarks: &mut Vec<String>,
) -> Result<Tables> {
    let (found, from) = backup.locate(remarks, |from| look_up(backup, from, patterns, with_schema))?;
    let head = head(backup, from, &found)?;
    let dialect = match detect(&head) {
        Content::Sql => sql_dialect(&head),
        content => return Err(no_dump(backup, content)),
    };
    let frame = frame_of(dialect, &head);
    if with_schema && dialect == SqlDialect::Postgres {
        remarks.extend(found.without_rows());
    }
    let pieces = pieces(&found, with_schema);
    let mut chosen: Vec<ChosenTable> = found.tables.iter().map(|(table, _)| table.clone()).collect();
    for path in &found.defined {
        if chosen.iter().all(|table| table.path != *path) {
            chosen.push(ChosenTable {
                path: path.clone(),
                rows: 0,
            });
        }
    }
    Ok(Tables {
        plain_bytes: pieces.iter().map(|piece| piece.range.end - piece.range.start).sum(),
        chosen,
        dialect,
        frame,
        pieces,
        runs: found.runs,
        from,
    })
}

fn look_up(backup: &Backup<'_>, from: From, patterns: &TablePatterns, with_schema: bool) -> Result<Found> {
    if from == From::Index
        && let Some(manifest) = &backup.chosen.manifest
        && manifest.extension != "sql"
    {
        return Err(not_plain(
            backup,
            &format!("has the extension `{}`", manifest.extension),
        ));
    }
    let mut found = Found::default();
    let mut used = Vec::new();
    backup.visit(from, &mut |item| {
        match item {
            IndexItem::Members(run) => found.runs.push(run),
            IndexItem::Entry(entry) => found.take(entry),
        }
        Ok(ControlFlow::Continue(()))
    })?;
    let without_rows = found.choose(patterns, with_schema, &mut used);
    if with_schema && from == From::Index && found.objects.is_empty() && !found.tables.is_empty() {
        return Err(Failure::new(
            Kind::Damaged,
            "It was made by a version that did not write down what belongs to a table",
        ));
    }
    if let Some(pattern) = patterns.first_unused(&used) {
        let id = &backup.chosen.found.id;
        let is_meant = |table: &Vec<u8>| {
            TablePatterns::new(&[pattern.to_owned()]).is_ok_and(|one| one.matches(table, &mut Vec::new()))
        };
        if let Some(table) = without_rows.filter(is_meant) {
            let table = String::from_utf8_lossy(&table).into_owned();
            return Err(Failure::new(
                Kind::NotFound,
                format!("`{table}` has no rows in `{id}`, nor has it partitions there"),
            )
            .hint("Its rows were left out when the backup was made; --with-schema makes the table without them"));
        }
        return Err(
            Failure::new(Kind::NotFound, format!("No table in `{id}` matches `{pattern}`")).hint(format!(
                "`backup-cli ls {id}` shows the tables; a pattern with a dot is for `schema.table`, a name that has one stands in double quotes, `*` for any letters"
            )),
        );
    }
    // A parallel dump has several streams, which are indexed as they come.
    found.tables.sort_by_key(|(_, range)| range.start);
    found.objects.sort_by_key(|object| object.range.start);
    Ok(found)
}

impl Found {
    fn take(&mut self, entry: Entry) {
        self.first = Some(self.first.map_or(entry.offset, |first| first.min(entry.offset)));
        let range = entry.range();
        match (entry.kind, entry.object) {
            (EntryKind::Table, _) => {
                let table = ChosenTable {
                    path: entry.path.0,
                    rows: entry.rows.unwrap_or(0),
                };
                self.tables.push((table, range));
            }
            (EntryKind::Object, Some(what)) => self.objects.push(Object {
                path: entry.path.0,
                owner: entry.link.map(|link| link.0),
                what,
                range,
            }),
            _ => {}
        }
    }

    /// Says which of the tables come without rows because the dump has none of them, or of their partitions.
    fn without_rows(&self) -> Option<String> {
        let with_rows = self.tables.iter().map(|(table, _)| table.path.as_slice());
        let ties = self.objects.iter().filter(|object| object.what == PARTITION);
        let parents = ties.filter_map(|object| object.owner.as_deref());
        let full: HashSet<&[u8]> = with_rows.chain(parents).collect();
        let names: Vec<String> = self
            .defined
            .iter()
            .filter(|path| !full.contains(path.as_slice()))
            .map(|path| format!("`{}`", String::from_utf8_lossy(path)))
            .collect();
        (!names.is_empty()).then(|| format!("The backup has no rows of {}, which come empty.", names.join(", ")))
    }

    /// Keeps the tables that are meant, with the partitions of those that have some: all their rows lie there. Returns one
    /// that is meant and has no rows to come, if rows are all that is wanted.
    fn choose(&mut self, patterns: &TablePatterns, with_schema: bool, used: &mut Vec<bool>) -> Option<Vec<u8>> {
        let mut partitions: HashMap<&[u8], Vec<&[u8]>> = HashMap::new();
        for object in self.objects.iter().filter(|object| object.what == PARTITION) {
            if let Some(parent) = &object.owner {
                partitions.entry(parent).or_default().push(&object.path);
            }
        }
        let is_table = |object: &&Object| matches!(object.what.as_str(), "TABLE" | "FOREIGN TABLE");
        let defined = || {
            self.objects
                .iter()
                .filter(is_table)
                .map(|object| object.path.as_slice())
        };
        let with_rows: HashSet<&[u8]> = self.tables.iter().map(|(table, _)| table.path.as_slice()).collect();
        let mut wanted: HashSet<&[u8]> = HashSet::new();
        let mut without_rows = None;
        for path in defined().chain(with_rows.iter().copied()) {
            let has_rows = with_rows.contains(path) || partitions.contains_key(path);
            if !with_schema && !has_rows {
                if patterns.matches(path, &mut Vec::new()) {
                    without_rows = Some(path.to_vec());
                }
            } else if patterns.matches(path, used) {
                let mut open = vec![path];
                while let Some(path) = open.pop() {
                    if wanted.insert(path) {
                        open.extend(partitions.get(path).into_iter().flatten());
                    }
                }
            }
        }
        let chosen = |path: &[u8]| wanted.contains(path);
        let is_chosen: Vec<bool> = self.tables.iter().map(|(table, _)| chosen(&table.path)).collect();
        if with_schema {
            self.defined = defined().filter(|path| chosen(path)).map(<[u8]>::to_vec).collect();
        }
        let mut is_chosen = is_chosen.into_iter();
        self.tables.retain(|_| is_chosen.next().unwrap_or(false));
        without_rows
    }
}

/// What of the dump is wanted, in its order, each with the settings that go for it.
fn pieces(found: &Found, with_schema: bool) -> Vec<Piece> {
    let mut pieces: Vec<Piece> = Vec::new();
    let mut wanted: Vec<Piece> = found
        .tables
        .iter()
        .enumerate()
        .map(|(at, (_, range))| Piece {
            range: range.clone(),
            rows_of: Some(at),
        })
        .collect();
    if with_schema {
        let related = related(found);
        wanted.extend(
            found
                .objects
                .iter()
                .filter(|object| is_wanted(object, &related))
                .map(|object| Piece {
                    range: object.range.clone(),
                    rows_of: None,
                }),
        );
    }
    wanted.sort_by_key(|piece| piece.range.start);
    let mut settings: HashMap<&[u8], (&Range<u64>, bool)> = HashMap::new();
    let mut all_settings = found.objects.iter().filter(|object| object.what == SETTING).peekable();
    for piece in wanted {
        while let Some(setting) = all_settings.next_if(|setting| setting.range.start < piece.range.start) {
            settings.insert(&setting.path, (&setting.range, false));
        }
        let mut unsaid: Vec<&Range<u64>> = settings
            .values_mut()
            .filter(|(_, is_said)| !*is_said)
            .map(|(range, is_said)| {
                *is_said = true;
                *range
            })
            .collect();
        unsaid.sort_by_key(|range| range.start);
        pieces.extend(unsaid.into_iter().map(|range| Piece {
            range: range.clone(),
            rows_of: None,
        }));
        pieces.push(piece);
    }
    pieces
}

/// The tables, and whatever of theirs has something of its own.
fn related(found: &Found) -> HashSet<&[u8]> {
    let with_rows = found.tables.iter().map(|(table, _)| &table.path);
    let mut related: HashSet<&[u8]> = with_rows.chain(&found.defined).map(Vec::as_slice).collect();
    let owned = |object: &&Object, related: &HashSet<&[u8]>| {
        OWNERS.contains(&object.what.as_str())
            && object
                .owner
                .as_ref()
                .is_some_and(|owner| related.contains(owner.as_slice()))
    };
    let more: Vec<&[u8]> = found
        .objects
        .iter()
        .filter(|object| owned(object, &related))
        .map(|object| object.path.as_slice())
        .collect();
    related.extend(more);
    related
}

fn is_wanted(object: &Object, related: &HashSet<&[u8]>) -> bool {
    let what = object.what.as_str();
    let by_path = related.contains(object.path.as_slice());
    let by_owner = object
        .owner
        .as_ref()
        .is_some_and(|owner| related.contains(owner.as_slice()));
    if TIES.contains(&what) {
        by_path && by_owner
    } else {
        by_owner || (by_path && BY_PATH.contains(&what))
    }
}

/// What stands before the first table or object of the dump.
fn head(backup: &Backup<'_>, from: From, found: &Found) -> Result<Vec<u8>> {
    let end = found.first.unwrap_or(0).min(HEAD_BYTES_MAX);
    let whole = 0..end;
    let mut parts = backup.open(from, &found.runs, vec![whole])?;
    let mut head = Vec::new();
    parts
        .read_to_end(&mut head)
        .map_err(|error| from_io("read the beginning of the dump", error))?;
    Ok(head)
}

fn not_plain(backup: &Backup<'_>, why: &str) -> Failure {
    let id = &backup.chosen.found.id;
    Failure::new(
        Kind::Usage,
        format!("--table takes a table out of a plain SQL dump, but `{id}` {why}"),
    )
    .hint(format!(
        "Of an archive of pg_dump: `backup-cli restore {id} --to - | pg_restore --table NAME --file -`; files are chosen with --include"
    ))
}

fn no_dump(backup: &Backup<'_>, content: Content) -> Failure {
    not_plain(backup, &format!("is {}", content.describe()))
}

impl Tables {
    /// The script that brings the tables, with statements of the caller's after its head and before its end.
    ///
    /// `order` says in which order the tables' rows come, as places in `chosen`; `None` keeps the dump's.
    ///
    /// # Errors
    /// As [`Backup::open`].
    pub(super) fn script(
        &self,
        backup: &Backup<'_>,
        before: &str,
        after: &str,
        order: Option<&[usize]>,
    ) -> Result<Script> {
        let mut ranges: Vec<Range<u64>> = self.pieces.iter().map(|piece| piece.range.clone()).collect();
        if let Some(order) = order {
            let mut sorted = order.iter().filter_map(|table| {
                let rows = |piece: &&Piece| piece.rows_of == Some(*table);
                self.pieces.iter().find(rows).map(|piece| piece.range.clone())
            });
            for (range, piece) in ranges.iter_mut().zip(&self.pieces) {
                if piece.rows_of.is_some()
                    && let Some(next) = sorted.next()
                {
                    *range = next;
                }
            }
        }
        let mut head = self.frame.head.clone();
        head.extend_from_slice(before.as_bytes());
        let mut tail = after.as_bytes().to_vec();
        tail.extend_from_slice(&self.frame.tail);
        Ok(Script {
            head: Cursor::new(head),
            parts: backup.open(self.from, &self.runs, ranges)?,
            tail: Cursor::new(tail),
        })
    }
}

/// The script of a few tables.
pub(super) struct Script {
    head: Cursor<Vec<u8>>,
    parts: Parts,
    tail: Cursor<Vec<u8>>,
}

impl Checked for Script {
    fn verify(&mut self) -> Result<()> {
        self.parts.verify()
    }
}

impl Read for Script {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        match self.head.read(buffer)? {
            0 => {}
            count => return Ok(count),
        }
        match self.parts.read(buffer)? {
            0 => self.tail.read(buffer),
            count => Ok(count),
        }
    }
}
