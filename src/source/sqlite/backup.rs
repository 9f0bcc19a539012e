//! A database as a source: a copy of one moment, checked before the first byte leaves.

use std::path::PathBuf;
use std::time::Duration;

use super::check::{Table, check, tables};
use super::copy::{Copy, Measure, check_room, free_bytes, measure};
use super::files::DatabaseFile;
use crate::base::failure::{Failure, Kind, Result, from_io, io_failure};
use crate::base::units::format_bytes;
use crate::catalog::index::{Entry, EntryKind, RawPath};
use crate::catalog::manifest::{Counts, SourceInfo};
use crate::source::{Estimate, Source, SourceContext, SourceReport, SourceSink};

/// How long to wait for a lock: longer than a transaction of any application should take.
const LOCK_WAIT: Duration = Duration::from_secs(30);

/// How much of the copy is passed on at a time.
const READ_BYTES: usize = 256 * 1024;

/// Which database is backed up, and how.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SqliteOptions {
    /// The database file.
    pub path: PathBuf,
    /// How long to wait for whoever keeps it locked.
    pub lock_wait: Duration,
}

impl SqliteOptions {
    /// The database at `path`.
    #[must_use]
    pub fn new(path: PathBuf) -> Self {
        Self {
            path,
            lock_wait: LOCK_WAIT,
        }
    }
}

/// An SQLite database.
#[derive(Debug)]
pub struct SqliteSource {
    options: SqliteOptions,
    prepared: Option<Prepared>,
}

#[derive(Debug)]
struct Prepared {
    file: DatabaseFile,
    measure: Measure,
    has_log: bool,
}

impl SqliteSource {
    /// Nothing is opened yet.
    #[must_use]
    pub fn new(options: SqliteOptions) -> Self {
        Self {
            options,
            prepared: None,
        }
    }

    fn prepared(&self) -> Result<&Prepared> {
        self.prepared
            .as_ref()
            .ok_or_else(|| Failure::new(Kind::Failed, "The database was not looked at before it was read"))
    }
}

impl Source for SqliteSource {
    fn prepare(&mut self, context: &SourceContext<'_>) -> Result<()> {
        super::check_library()?;
        let file = DatabaseFile::find(&self.options.path)?;
        let has_log = file.header()?.has_log();
        let measure = measure(&file, self.options.lock_wait, context.cancel)?;
        check_room(&file, &measure)?;
        self.prepared = Some(Prepared { file, measure, has_log });
        Ok(())
    }

    fn info(&self) -> SourceInfo {
        let path = match &self.prepared {
            Some(prepared) => &prepared.file.path,
            None => &self.options.path,
        };
        let journal = |prepared: &Prepared| if prepared.has_log { "wal" } else { "rollback" };
        SourceInfo {
            kind: "sqlite".to_owned(),
            what: path.display().to_string(),
            database: path.file_name().map(|name| name.to_string_lossy().into_owned()),
            tool: Some("SQLite".to_owned()),
            tool_version: Some(super::library_version().to_owned()),
            options: self
                .prepared
                .iter()
                .map(|prepared| format!("journal={}", journal(prepared)))
                .collect(),
            ..SourceInfo::default()
        }
    }

    fn extension(&self) -> &'static str {
        "sqlite"
    }

    fn estimate(&mut self, _context: &SourceContext<'_>) -> Result<Estimate> {
        Ok(Estimate {
            plain_bytes: Some(self.prepared()?.measure.bytes),
            items: None,
        })
    }

    fn remarks(&self) -> Vec<String> {
        let Some(prepared) = &self.prepared else {
            return Vec::new();
        };
        let folder = std::env::temp_dir();
        let free =
            free_bytes(&folder).map_or_else(String::new, |free| format!(", where {} are free", format_bytes(free)));
        let mut remarks = vec![format!(
            "A temporary copy takes {} in {}{free}.",
            format_bytes(prepared.measure.temporary_bytes),
            folder.display()
        )];
        if prepared.measure.writers_wait {
            remarks.push("Who writes to the database waits while it is copied: it has no write-ahead log.".to_owned());
        }
        remarks
    }

    fn stream(&mut self, sink: &mut dyn SourceSink, context: &SourceContext<'_>) -> Result<SourceReport> {
        let (cancel, progress) = (context.cancel, context.reporter.progress());
        let file = &self.prepared()?.file;
        progress.set_current("copying the database");
        let copy = Copy::make(file, self.options.lock_wait, cancel)?;
        let bytes = copy.bytes()?;
        progress.set_current("checking the copy");
        let (findings, tables) = copy.look(|connection| {
            let findings = check(connection, cancel)?;
            let tables = match findings.damage.is_empty() {
                true => tables(connection, bytes, cancel)?,
                false => Vec::new(),
            };
            Ok((findings, tables))
        })?;
        if !findings.damage.is_empty() {
            return Err(findings
                .failure(Kind::Source, &format!("The database `{}`", file.path.display()))
                .hint("`sqlite3 FILE .recover` salvages what can be read; earlier backups are as they were: `backup-cli list`"));
        }
        progress.set_totals(bytes, tables.len() as u64);
        progress.set_current("");
        pass_on(&copy, sink, context)?;
        for table in &tables {
            sink.entry(&entry(table, bytes))?;
            progress.add_item();
        }
        let rows = tables.iter().map(|table| table.rows).sum::<Option<u64>>();
        Ok(SourceReport {
            warnings: findings.warnings,
            counts: Counts {
                tables: Some(tables.len() as u64),
                rows,
                ..Counts::default()
            },
            ..SourceReport::default()
        })
    }
}

fn pass_on(copy: &Copy, sink: &mut dyn SourceSink, context: &SourceContext<'_>) -> Result<()> {
    let mut buffer = vec![0; READ_BYTES];
    let mut offset = 0;
    loop {
        context.cancel.check()?;
        match copy.read_at(&mut buffer, offset) {
            Ok(0) => return Ok(()),
            Ok(read) => {
                sink.write_all(&buffer[..read])
                    .map_err(|error| from_io("pass the copy of the database on", error))?;
                offset += read as u64;
            }
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Err(error) => return Err(io_failure("read the copy of the database", error)),
        }
    }
}

/// A table's pages lie all over the file, so that the whole of it belongs to each.
pub(super) fn entry(table: &Table, bytes: u64) -> Entry {
    Entry {
        path: RawPath(table.name.clone().into_bytes()),
        kind: EntryKind::Table,
        offset: 0,
        length: bytes,
        size: table.bytes,
        mode: None,
        uid: None,
        gid: None,
        user: None,
        group: None,
        mtime: None,
        mtime_nanos: 0,
        link: None,
        rows: table.rows,
        object: None,
    }
}
