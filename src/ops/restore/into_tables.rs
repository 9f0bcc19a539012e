//! Single tables to where they are to go: a file, a stream, or a database, where they are checked before, come in one
//! transaction, and what is replaced is backed up first.

use std::cell::RefCell;
use std::io::{Read, Write};
use std::path::PathBuf;
use std::rc::Rc;

use super::super::Run;
use super::super::located::Backup;
use super::database::back_up_first;
use super::raw::{Checked, check_file, to_file, to_stream};
use super::tables::{Script, Tables, find};
use super::{RestoreOptions, RestoreReport, RestoreTarget};
use crate::base::failure::{Failure, Kind, Result};
use crate::base::units::format_bytes;
use crate::catalog::manifest::Counts;
use crate::catalog::patterns::TablePatterns;
use crate::source::detect::SqlDialect;
use crate::source::directory::Existing;
use crate::source::postgres::{PostgresTables, PostgresTablesOptions, PostgresUrl};

/// Tables that were found, and where they go.
pub(super) struct TablesWay {
    counts: Counts,
    to: To,
}

enum To {
    File { path: PathBuf, script: Script },
    Stream(Script),
    Database(Box<IntoTables>),
}

/// Finds the tables and looks at the target; says what would be lost, and changes nothing.
pub(super) fn plan(
    backup: &Backup<'_>,
    options: &RestoreOptions,
    remarks: &mut Vec<String>,
) -> Result<(TablesWay, Option<String>)> {
    let patterns = TablePatterns::new(&options.tables)?;
    let found = find(backup, &patterns, options.with_schema, remarks)?;
    let counts = Counts {
        tables: Some(found.chosen.len() as u64),
        rows: Some(found.chosen.iter().map(|table| table.rows).sum()),
        ..Counts::default()
    };
    let progress = backup.run.reporter.progress();
    progress.set_totals(found.plain_bytes, found.chosen.len() as u64);
    if !options.with_schema && matches!(options.target, RestoreTarget::Stream | RestoreTarget::Path(_)) {
        remarks.push(
            "These are rows alone: the triggers of the table that they are loaded into fire for each, as for any other."
                .to_owned(),
        );
    }
    let (to, destructive) = match &options.target {
        RestoreTarget::Stream => (To::Stream(found.script(backup, "", "", None)?), None),
        RestoreTarget::Path(path) => {
            if path.is_dir() {
                return Err(Failure::new(Kind::Usage, format!("`{}` is a folder", path.display()))
                    .hint("Tables are written into one file as SQL: `--to ./FILE`, or to standard output: `--to -`"));
            }
            let destructive = check_file(path, options.existing)?;
            let script = found.script(backup, "", "", None)?;
            (
                To::File {
                    path: path.clone(),
                    script,
                },
                destructive,
            )
        }
        RestoreTarget::Mysql(url) => {
            return Err(Failure::new(
                Kind::Usage,
                format!("Tables alone do not go into `{url}` by themselves"),
            )
            .hint("Write them to standard output: `restore … --table NAME --to - | mariadb --binary-mode DATABASE`"));
        }
        RestoreTarget::Sqlite(_) => {
            return Err(
                Failure::new(Kind::Usage, "Tables of a dump do not go into an SQLite file")
                    .hint("Write them into a file as SQL: `--to ./FILE.sql`, or to standard output: `--to -`"),
            );
        }
        RestoreTarget::Database(url) => {
            let into = open(backup, &found, url, options)?;
            let destructive = into.destruction(options);
            (To::Database(Box::new(into)), destructive)
        }
    };
    Ok((TablesWay { counts, to }, destructive))
}

/// Brings the tables.
pub(super) fn restore(
    way: TablesWay,
    options: &RestoreOptions,
    output: &mut dyn Write,
    report: &mut RestoreReport,
    run: &Run,
) -> Result<()> {
    report.tables = Some(way.counts);
    match way.to {
        To::File { path, script } => to_file(script, &path, options.existing, report, run),
        To::Stream(script) => to_stream(script, output, report, run),
        To::Database(into) => into.restore(options, report, run),
    }
}

/// Tables of a database, looked at, and the script that will fill them.
struct IntoTables {
    url: PostgresUrl,
    target: PostgresTables,
    script: Script,
}

/// Looks at the target and opens what is needed of the backup; changes nothing.
fn open(backup: &Backup<'_>, tables: &Tables, url: &PostgresUrl, options: &RestoreOptions) -> Result<IntoTables> {
    if tables.dialect != SqlDialect::Postgres {
        let id = &backup.chosen.found.id;
        return Err(Failure::new(
            Kind::Usage,
            format!("`{id}` is no dump of PostgreSQL, whose tables `{url}` could take"),
        )
        .hint(format!(
            "Write the tables to a file: `backup-cli restore {id} --table NAME --to ./FILE`"
        )));
    }
    let cancel = &backup.run.cancel;
    let target = PostgresTables::inspect(
        PostgresTablesOptions {
            url: url.clone(),
            tables: tables.chosen.iter().map(|table| table.path.clone()).collect(),
            with_schema: options.with_schema,
            replace: options.existing == Existing::Replace,
            client_folder: options.client_folder.clone(),
        },
        cancel,
    )?;
    let order = (!options.with_schema).then_some(target.order.as_slice());
    let script = tables.script(backup, &target.before(), &target.after(cancel)?, order)?;
    Ok(IntoTables {
        url: url.clone(),
        target,
        script,
    })
}

impl IntoTables {
    /// What will be lost.
    fn destruction(&self, options: &RestoreOptions) -> Option<String> {
        let names: Vec<&str> = self
            .target
            .replaced()
            .filter_map(|table| table.name.as_deref())
            .collect();
        if names.is_empty() {
            return None;
        }
        let bytes = self.target.replaced().map(|table| table.bytes).sum();
        let fate = match options.with_schema {
            true => "will be dropped and made anew",
            false => "will be replaced by those of the backup",
        };
        let what = match options.with_schema {
            true => "The tables",
            false => "The rows of",
        };
        Some(format!(
            "{what} {} in `{}` ({}) {fate}",
            names.join(", "),
            self.url,
            format_bytes(bytes)
        ))
    }

    /// Takes the safety backup if something is replaced, then restores.
    fn restore(self, options: &RestoreOptions, report: &mut RestoreReport, run: &Run) -> Result<()> {
        if self.target.replaced().next().is_some() {
            back_up_first(&self.url, "what is replaced", options, report, run)?;
        }
        let totals = run.reporter.progress();
        totals.reset();
        let script = Rc::new(RefCell::new(self.script));
        let mut dump = Shared(script.clone());
        let mut verify = || script.borrow_mut().verify();
        report.warnings = self.target.restore(&mut dump, &mut verify, &run.source_context())?;
        report.plain_bytes = totals.snapshot().plain_bytes;
        Ok(())
    }
}

struct Shared(Rc<RefCell<Script>>);

impl Read for Shared {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        self.0.borrow_mut().read(buffer)
    }
}
