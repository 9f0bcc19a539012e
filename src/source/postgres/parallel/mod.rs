//! One database by several `pg_dump`s at once: what stands before the rows, the rows in several streams, what comes after.
//!
//! All of them see one snapshot, which a session of its own holds together with a lock on every table until the last has
//! ended. Joined in their order, the streams are a dump like that of a single `pg_dump`, and `psql` takes them one by one.

use std::collections::BTreeSet;
use std::io::Write;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use super::arguments::selecting;
use super::dump::{Dumped, Prepared, dump_plain};
use crate::base::cancel::Cancel;
use crate::base::failure::{Failure, Kind, Result};
use crate::catalog::index::{Entry, EntryKind};
use crate::source::{SourceContext, SourceSink, SourceSinks, StreamSink};

mod load;
mod snapshot;
mod split;

pub use load::{DumpStream, restore_streams};

use snapshot::Snapshot;
use split::{Share, Table, pattern, split};

/// How often the session that holds the snapshot is asked whether it still does.
const WATCH_INTERVAL: Duration = Duration::from_secs(1);

/// How long a worker waits for a lock, unless the user says otherwise. The session with the snapshot holds one of the same
/// kind already, so whatever it waits for is somebody who waits for that one: without a limit both would wait for ever.
const WORKER_LOCK_TIMEOUT: &str = "60s";

const LOCK_TIMEOUT_OPTION: &str = "--lock-wait-timeout";

/// Options of `pg_dump` that cannot be divided among workers: long name, short letter.
const INDIVISIBLE: &[(&str, char)] = &[
    ("blobs", 'b'),
    ("clean", 'c'),
    ("data-only", 'a'),
    ("extension", 'e'),
    ("filter", '-'),
    ("large-objects", 'b'),
    ("schema", 'n'),
    ("schema-only", 's'),
    ("section", '-'),
    ("serializable-deferrable", '-'),
    ("snapshot", '-'),
    ("table", 't'),
    ("table-and-children", '-'),
];

/// Refuses further arguments that say what to dump in a way that does not go with several workers.
///
/// # Errors
/// [`Kind::Config`].
pub fn check_divisible(arguments: &[String]) -> Result<()> {
    for argument in arguments {
        let found = INDIVISIBLE
            .iter()
            .find(|(long, letter)| match argument.strip_prefix("--") {
                Some(name) => {
                    let name = name.split_once('=').map_or(name, |(name, _)| name);
                    name.len() > 2 && long.starts_with(name)
                }
                None => argument
                    .strip_prefix('-')
                    .is_some_and(|letters| letters.starts_with(*letter)),
            });
        if found.is_some() {
            return Err(Failure::new(
                Kind::Config,
                format!("`pg_dump` cannot be given `{argument}` together with --jobs"),
            )
            .hint("Choose with --table, --schema and their like of `backup` itself, or leave --jobs out"));
        }
    }
    Ok(())
}

/// Dumps a database by up to `jobs` workers at once.
///
/// # Errors
/// What any of them fails with; [`Kind::Source`] if the snapshot was lost on the way.
pub(super) fn dump_parallel(
    prepared: &Prepared,
    arguments: &[String],
    jobs: usize,
    sinks: &dyn SourceSinks,
    context: &SourceContext<'_>,
) -> Result<Dumped> {
    // The first failure ends the others, which are not the run's own to end.
    let local = Cancel::new();
    let ends_too = local.clone();
    let _guard = context.cancel.on_cancel(move || ends_too.cancel());
    let own = SourceContext {
        cancel: &local,
        reporter: context.reporter,
    };
    let lock_timeout = value_of(arguments, LOCK_TIMEOUT_OPTION);
    let mut snapshot = Snapshot::take(
        &prepared.server,
        &prepared.database,
        prepared.version,
        lock_timeout.as_deref(),
        &local,
    )?;
    let id = snapshot.id.clone();
    let dumped: Result<Dumped> = (|| {
        let (tables, other_bytes) = snapshot.tables()?;
        // Of a part of a database it is not known yet which tables are meant, and others may be anybody's to hold.
        let is_whole = selecting(arguments).is_empty();
        if is_whole {
            snapshot.lock(&tables)?;
        }
        let (before, defined) = dump_before(prepared, &section(arguments, &id, "pre-data"), sinks, &own)?;
        if !is_whole {
            let is_defined = |table: &&Table| defined.contains(table.path().as_bytes());
            let locked: Vec<Table> = tables.iter().filter(is_defined).cloned().collect();
            snapshot.lock(&locked)?;
        }
        snapshot.check_content(&defined)?;
        let is_utf8 =
            prepared.encoding == "UTF8" && value_of(arguments, "--encoding").is_none() && !has_short(arguments, 'E');
        let shares = split(&tables, other_bytes, &defined, jobs, is_utf8);
        let mut all = before;
        let last = shares.len() as u64 + 1;
        all.add(dump_rows(
            prepared,
            arguments,
            &id,
            &shares,
            sinks,
            &mut snapshot,
            &local,
            &own,
        )?);
        all.add(dump_stream(
            prepared,
            &section(arguments, &id, "post-data"),
            last,
            None,
            sinks,
            &own,
        )?);
        Ok(all)
    })();
    context.cancel.check()?;
    match dumped {
        Ok(dumped) => {
            snapshot.end()?;
            Ok(dumped)
        }
        Err(failure) => Err(match snapshot.is_lost() && failure.causes().is_empty() {
            true => snapshot.last_words(failure),
            false => failure,
        }),
    }
}

/// Everything before the rows; the names of the tables that it defines.
fn dump_before(
    prepared: &Prepared,
    arguments: &[String],
    sinks: &dyn SourceSinks,
    context: &SourceContext<'_>,
) -> Result<(Dumped, BTreeSet<Vec<u8>>)> {
    let mut sink = Defined {
        sink: sinks.open(0, None)?,
        tables: BTreeSet::new(),
    };
    let dumped = dump_plain(prepared, arguments, &mut sink, context)?;
    sink.sink.finish()?;
    Ok((dumped, sink.tables))
}

fn dump_stream(
    prepared: &Prepared,
    arguments: &[String],
    number: u64,
    expected_bytes: Option<u64>,
    sinks: &dyn SourceSinks,
    context: &SourceContext<'_>,
) -> Result<Dumped> {
    let mut sink = sinks.open(number, expected_bytes)?;
    let dumped = dump_plain(prepared, arguments, sink.as_mut(), context)?;
    sink.finish()?;
    Ok(dumped)
}

/// The rows, by one worker for each share, while the snapshot is watched.
#[allow(
    clippy::too_many_arguments,
    reason = "it is the one place where everything of a parallel dump comes together"
)]
fn dump_rows(
    prepared: &Prepared,
    arguments: &[String],
    id: &str,
    shares: &[Share],
    sinks: &dyn SourceSinks,
    snapshot: &mut Snapshot,
    local: &Cancel,
    context: &SourceContext<'_>,
) -> Result<Dumped> {
    let all = Mutex::new(Dumped::default());
    let first: Mutex<Option<Failure>> = Mutex::default();
    let fail = |failure: Failure| {
        let mut first = first.lock().unwrap_or_else(PoisonError::into_inner);
        if first.is_none() {
            *first = Some(failure);
        }
        local.cancel();
    };
    let (done, over) = crossbeam_channel::bounded::<()>(0);
    std::thread::scope(|scope| {
        for (at, share) in shares.iter().enumerate() {
            let own = section(&share_arguments(arguments, shares, at), id, "data");
            // All of them hold one, so that the watch sees when the last is gone.
            let (all, fail, done) = (&all, &fail, done.clone());
            scope.spawn(move || {
                match dump_stream(prepared, &own, at as u64 + 1, Some(share.bytes), sinks, context) {
                    Ok(dumped) => all.lock().unwrap_or_else(PoisonError::into_inner).add(dumped),
                    Err(failure) => fail(failure),
                }
                drop(done);
            });
        }
        drop(done);
        while over.recv_timeout(WATCH_INTERVAL) == Err(crossbeam_channel::RecvTimeoutError::Timeout) {
            if let Err(failure) = snapshot.check() {
                fail(failure);
                break;
            }
        }
    });
    match first.into_inner().unwrap_or_else(PoisonError::into_inner) {
        Some(failure) => Err(failure),
        None => Ok(all.into_inner().unwrap_or_else(PoisonError::into_inner)),
    }
}

/// The arguments of one section of a dump of the snapshot.
fn section(arguments: &[String], id: &str, section: &str) -> Vec<String> {
    let mut all = arguments.to_vec();
    all.push(format!("--snapshot={id}"));
    all.push(format!("--section={section}"));
    if value_of(arguments, LOCK_TIMEOUT_OPTION).is_none() {
        all.push(format!("{LOCK_TIMEOUT_OPTION}={WORKER_LOCK_TIMEOUT}"));
    }
    all
}

/// What the worker of a share is told to dump.
///
/// A table that is named brings the sequences of its columns along, whose values stay in the rest.
fn share_arguments(arguments: &[String], shares: &[Share], at: usize) -> Vec<String> {
    let without = |schema: &str, name: &str| format!("--exclude-table-data={}", pattern(schema, name));
    if at == 0 {
        let named = shares.iter().flat_map(|share| &share.tables);
        let left_out = named.map(|table| without(&table.schema, &table.name));
        return arguments.iter().cloned().chain(left_out).collect();
    }
    // What chooses among schemas and tables has done so already: only what is dumped is named.
    let mut own: Vec<String> = arguments
        .iter()
        .filter(|argument| {
            !["--table=", "--schema="]
                .iter()
                .any(|begin| argument.starts_with(begin))
        })
        .filter(|argument| *argument != "--strict-names")
        .cloned()
        .collect();
    own.push("--strict-names".to_owned());
    for table in &shares[at].tables {
        own.push(format!("--table={}", pattern(&table.schema, &table.name)));
        own.extend(table.sequences.iter().map(|(schema, name)| without(schema, name)));
    }
    own
}

/// The value of a long option, written in either way.
fn value_of(arguments: &[String], option: &str) -> Option<String> {
    let mut arguments = arguments.iter();
    while let Some(argument) = arguments.next() {
        match argument.strip_prefix(option) {
            Some("") => return arguments.next().cloned(),
            Some(rest) if rest.starts_with('=') => return Some(rest[1..].to_owned()),
            _ => {}
        }
    }
    None
}

fn has_short(arguments: &[String], letter: char) -> bool {
    arguments
        .iter()
        .any(|argument| !argument.starts_with("--") && argument.starts_with('-') && argument.contains(letter))
}

/// Passes everything on and keeps the names of the tables.
struct Defined<'a> {
    sink: Box<dyn StreamSink + 'a>,
    tables: BTreeSet<Vec<u8>>,
}

impl Write for Defined<'_> {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.sink.write(bytes)
    }
    fn flush(&mut self) -> std::io::Result<()> {
        self.sink.flush()
    }
}

impl SourceSink for Defined<'_> {
    fn position(&self) -> u64 {
        self.sink.position()
    }
    fn cut(&mut self) -> Result<()> {
        self.sink.cut()
    }
    fn entry(&mut self, entry: &Entry) -> Result<()> {
        if entry.kind == EntryKind::Object && entry.object.as_deref() == Some("TABLE") {
            self.tables.insert(entry.path.0.clone());
        }
        self.sink.entry(entry)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(line: &str) -> Vec<String> {
        line.split_whitespace().map(str::to_owned).collect()
    }

    #[test]
    fn what_is_named_by_one_worker_is_left_out_by_the_rest() {
        let table = |name: &str, sequences: &[&str]| Table {
            schema: "s".to_owned(),
            name: name.to_owned(),
            bytes: 1,
            sequences: sequences
                .iter()
                .map(|name| ("s".to_owned(), (*name).to_owned()))
                .collect(),
        };
        let shares = [
            Share::default(),
            Share {
                tables: vec![table("a", &["a_id_seq"]), table("b", &[])],
                bytes: 2,
            },
        ];
        let arguments = words("--schema=s --exclude-table-data=s.log --strict-names --no-owner");
        assert_eq!(
            share_arguments(&arguments, &shares, 0)[4..],
            ["--exclude-table-data=\"s\".\"a\"", "--exclude-table-data=\"s\".\"b\""]
        );
        assert_eq!(
            share_arguments(&arguments, &shares, 1),
            [
                "--exclude-table-data=s.log",
                "--no-owner",
                "--strict-names",
                "--table=\"s\".\"a\"",
                "--exclude-table-data=\"s\".\"a_id_seq\"",
                "--table=\"s\".\"b\"",
            ]
        );
    }

    #[test]
    fn arguments_that_cannot_be_divided_are_refused() {
        for line in [
            "-t x",
            "-nx",
            "--data-only",
            "--sect=data",
            "--snapshot=1",
            "-b",
            "--clean",
            "-e x",
        ] {
            assert_eq!(
                check_divisible(&words(line)).unwrap_err().kind(),
                Kind::Config,
                "{line}"
            );
        }
        for line in [
            "",
            "--no-owner -O",
            "--exclude-table=x -T y",
            "--exclude-table-data=z",
            "--inserts",
        ] {
            assert!(check_divisible(&words(line)).is_ok(), "{line}");
        }
    }

    #[test]
    fn a_lock_timeout_of_the_users_own_counts() {
        assert_eq!(
            value_of(&words("--lock-wait-timeout 5s"), LOCK_TIMEOUT_OPTION).as_deref(),
            Some("5s")
        );
        let own = section(&words("--lock-wait-timeout=7s"), "1-2", "data");
        assert_eq!(own, words("--lock-wait-timeout=7s --snapshot=1-2 --section=data"));
        assert!(section(&[], "1-2", "data").contains(&"--lock-wait-timeout=60s".to_owned()));
    }
}
