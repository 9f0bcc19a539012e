//! A drill: a backup is restored into a scratch target, compared with what was recorded when it was made, and asked what
//! the user says must hold; then the target is removed again, and the outcome is written down beside the backup.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::Timestamp;

use super::Run;
use super::located::Backup;
use super::plaintext::Plaintext;
use super::restore::{RestoreOptions, RestoreReport, RestoreTarget, plan_restore, restore};
use super::reveal::reveal;
use crate::base::failure::{Failure, Kind, Result};
use crate::catalog::selection::Chosen;
use crate::source::detect::{Content, SqlDialect, sql_dialect};
use crate::source::directory::ContentLog;
use crate::source::mysql::MysqlUrl;
use crate::source::postgres::{GLOBALS_KIND, PostgresUrl};
use crate::source::scratch::ScratchServer;
use crate::source::sqlite::SqliteScratch;
use crate::store::Store;

pub mod check;
pub mod compare;
mod databases;
mod evidence;
mod grounds;
mod reach;
mod scratch;
mod tree;

pub use evidence::{DrillBody, write_evidence};
pub use grounds::{Grounds, RestoredAs};

use check::{Check, CheckOutcome, Open, PathChecks};
use compare::{Against, Compared};
use databases::ScratchDatabase;
use scratch::ScratchFolder;

/// How many rows of an answer are read: one is judged, and a second one is one too many.
const ANSWER_ROWS_MAX: usize = 2;

/// Where drills may restore into.
#[derive(Clone, Debug, Default)]
pub struct DrillPlaces {
    /// The PostgreSQL server, and perhaps the name that scratch databases begin with.
    pub postgres: Option<PostgresUrl>,
    /// The same of MySQL or MariaDB.
    pub mysql: Option<MysqlUrl>,
    /// The folder for scratch folders; the system's for temporary files if not given.
    pub folder: Option<PathBuf>,
}

/// What is asked of a drill.
#[derive(Clone, Debug, Default)]
pub struct DrillOptions {
    /// Where it may restore into.
    pub places: DrillPlaces,
    /// What must hold.
    pub checks: Vec<Check>,
    /// Checks of earlier drills that this one does not make were wrong, and count no more if it passes.
    pub withdraws_checks: bool,
    /// Leave the scratch target where it is.
    pub keeps: bool,
    /// Threads that inflate.
    pub threads: usize,
    /// The one folder in which PostgreSQL's clients are looked for.
    pub pg_client_folder: Option<PathBuf>,
    /// The one folder in which MySQL's and MariaDB's clients are looked for.
    pub mysql_client_folder: Option<PathBuf>,
    /// Where locks lie.
    pub lock_folder: PathBuf,
}

/// What a drill has found out.
#[derive(Clone, Debug, Default)]
pub struct DrillReport {
    /// What the backup holds, for people.
    pub content: String,
    /// Where it was restored to, without secrets; empty if it did not come to that.
    pub target: String,
    /// As what it was restored, if it came to that.
    pub restored_as: Option<RestoredAs>,
    /// When the drill began.
    pub started: Timestamp,
    /// How long it took.
    pub took: Duration,
    /// Plaintext bytes that were restored.
    pub restored_bytes: u64,
    /// The scratch server, for a database.
    pub server: Option<ScratchServer>,
    /// Why the backup could not be restored, the sentences of the failure; empty if it could.
    pub not_restored: Vec<String>,
    /// What was compared.
    pub compared: Compared,
    /// What became of the user's checks.
    pub checks: Vec<CheckOutcome>,
    /// As [`DrillOptions::withdraws_checks`].
    pub withdraws_checks: bool,
    /// Where the scratch target stands that was to be kept.
    pub kept: Option<String>,
    /// What the user should look into, in sentences.
    pub warnings: Vec<String>,
}

impl DrillReport {
    /// Whether the backup has proved good in all that was asked.
    #[must_use]
    pub fn passed(&self) -> bool {
        !self.is_damaged() && self.checks.iter().all(|check| check.holds)
    }

    /// Whether the backup is not as it should be.
    #[must_use]
    pub fn is_damaged(&self) -> bool {
        !self.not_restored.is_empty()
            || self.compared.difference_count > 0
            || self.checks.iter().any(CheckOutcome::fails)
    }

    /// The checks that say nothing of the backup for this reason.
    pub fn open(&self, why: Open) -> impl Iterator<Item = &CheckOutcome> {
        self.checks.iter().filter(move |check| check.open == Some(why))
    }
}

/// What becomes of a backup of one kind.
enum Way {
    Postgres(PostgresUrl),
    Mysql(MysqlUrl),
    Tree,
    Sqlite,
    File,
}

/// Restores the backup into a scratch target, compares it, and removes the target again, whatever happens.
///
/// # Errors
/// What says nothing about the backup: a scratch server or folder that fails, a wrong setting, an interruption. A backup
/// that is not as it should be is no error here but a report that has not passed.
pub fn drill(store: &Arc<dyn Store>, mut chosen: Chosen, options: &DrillOptions, run: &Run) -> Result<DrillReport> {
    let began = Instant::now();
    let mut report = DrillReport {
        started: run.clock.now(),
        withdraws_checks: options.withdraws_checks,
        ..DrillReport::default()
    };
    let outcome = match reveal(store, &mut chosen, run) {
        // The data needs no index.
        Err(failure) if !matches!(failure.kind(), Kind::NotFound | Kind::Damaged) => Err(failure),
        _ => drill_chosen(store, &chosen, options, &mut report, run),
    };
    report.took = began.elapsed();
    match outcome {
        Ok(()) => Ok(report),
        Err(failure) if failure.kind() == Kind::Damaged => {
            report.not_restored = std::iter::once(failure.message().to_owned())
                .chain(failure.causes())
                .collect();
            Ok(report)
        }
        Err(failure) => Err(failure),
    }
}

fn drill_chosen(
    store: &Arc<dyn Store>,
    chosen: &Chosen,
    options: &DrillOptions,
    report: &mut DrillReport,
    run: &Run,
) -> Result<()> {
    let (plaintext, content) = Plaintext::open(store, chosen, options.threads, run)?;
    report.content = content.describe().to_owned();
    let way = way_of(chosen, content, sql_dialect(plaintext.head()), options, report)?;
    drop(plaintext);
    let backup = Backup {
        store,
        chosen,
        threads: options.threads,
        run,
    };
    note_unused_checks(&way, options, report);
    report.restored_as = Some(match way {
        Way::Postgres(_) | Way::Mysql(_) => RestoredAs::Database,
        Way::Sqlite => RestoredAs::Sqlite,
        Way::Tree => RestoredAs::Files,
        Way::File => RestoredAs::File,
    });
    match way {
        Way::Postgres(url) => databases::drill(&backup, ScratchDatabase::Postgres(url), options, report),
        Way::Mysql(url) => databases::drill(&backup, ScratchDatabase::Mysql(url), options, report),
        Way::Tree => in_folder(&backup, options, report, drill_tree),
        Way::Sqlite => in_folder(&backup, options, report, drill_sqlite),
        Way::File => in_folder(&backup, options, report, drill_file),
    }
}

/// Where a backup goes, by its content and by what made it.
fn way_of(
    chosen: &Chosen,
    content: Content,
    dialect: SqlDialect,
    options: &DrillOptions,
    report: &mut DrillReport,
) -> Result<Way> {
    let kind = chosen
        .manifest
        .as_ref()
        .map_or("", |manifest| manifest.source.kind.as_str());
    let places = &options.places;
    let as_a_file = |report: &mut DrillReport, what: &str| {
        report.compared.not_compared.push(format!(
            "{what} was restored as a file: its bytes are proved, and not that a server takes them."
        ));
        Ok(Way::File)
    };
    match (content, dialect) {
        (Content::Tar, _) => Ok(Way::Tree),
        (Content::Sqlite, _) => Ok(Way::Sqlite),
        (Content::Sql, _) if kind == GLOBALS_KIND => as_a_file(report, "The dump of roles"),
        (Content::Sql, SqlDialect::Postgres) | (Content::PgDumpCustom, _) => match &places.postgres {
            Some(url) => Ok(Way::Postgres(url.clone())),
            None if kind == "postgresql" => Err(no_server(
                chosen,
                "PostgreSQL",
                places.mysql.as_ref().map(|_| "MySQL or MariaDB"),
                "postgres://admin@host/",
            )),
            None => as_a_file(report, "The dump"),
        },
        (Content::Sql, SqlDialect::Mysql) => match &places.mysql {
            Some(url) => Ok(Way::Mysql(url.clone())),
            None if matches!(kind, "mysql" | "mariadb") => Err(no_server(
                chosen,
                "MySQL or MariaDB",
                places.postgres.as_ref().map(|_| "PostgreSQL"),
                "mysql://admin@host/",
            )),
            None => as_a_file(report, "The dump"),
        },
        _ => Ok(Way::File),
    }
}

fn no_server(chosen: &Chosen, make: &str, other: Option<&str>, example: &str) -> Failure {
    let other = other.map(|other| format!(", only one of {other}")).unwrap_or_default();
    Failure::new(
        Kind::Usage,
        format!(
            "`{}` is a dump of {make}, and no {make} server for a scratch database was named{other}",
            chosen.found.id
        ),
    )
    .hint(format!(
        "Name one with --to {example}, or as `to` in the profile's table `drill`; better not the one that was backed up"
    ))
}

/// Checks that do not go with this kind of backup leave the drill incomplete: nobody would notice a question with a slip of
/// the pen that is passed over for ever.
fn note_unused_checks(way: &Way, options: &DrillOptions, report: &mut DrillReport) {
    let is_unused = |check: &&Check| {
        !matches!(
            (way, check),
            (Way::Postgres(_) | Way::Mysql(_) | Way::Sqlite, Check::Query { .. }) | (Way::Tree, Check::Path { .. })
        )
    };
    let unused = options.checks.iter().filter(is_unused);
    report
        .checks
        .extend(unused.map(|check| check.not_made(&report.content)));
    if !report.checks.is_empty() {
        report.warnings.push(format!(
            "{} of {} checks do not go with {} and were not made.",
            report.checks.len(),
            options.checks.len(),
            report.content
        ));
    }
}

/// Restores into a target that did not exist before.
fn restore_to(
    backup: &Backup<'_>,
    target: RestoreTarget,
    log: Option<ContentLog>,
    options: &DrillOptions,
) -> Result<RestoreReport> {
    let client_folder = match &target {
        RestoreTarget::Mysql(_) => &options.mysql_client_folder,
        _ => &options.pg_client_folder,
    };
    let restore_options = RestoreOptions {
        client_folder: client_folder.clone(),
        threads: options.threads,
        content_log: log,
        ..RestoreOptions::new(target)
    };
    let plan = plan_restore(backup.store, backup.chosen.clone(), &restore_options, backup.run)?;
    plan.remarks.iter().for_each(|remark| backup.run.note(remark.clone()));
    restore(plan, &restore_options, &mut NoStream, backup.run)
}

/// Nothing is restored to a stream here.
struct NoStream;

impl Write for NoStream {
    fn write(&mut self, _: &[u8]) -> std::io::Result<usize> {
        Err(std::io::ErrorKind::Unsupported.into())
    }
    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// What is done in a scratch folder.
type InFolder = fn(&Backup<'_>, &Path, &DrillOptions, &mut DrillReport) -> Result<()>;

/// Makes a scratch folder, works in it, and removes it on every way out.
fn in_folder(backup: &Backup<'_>, options: &DrillOptions, report: &mut DrillReport, work: InFolder) -> Result<()> {
    let place = options.places.folder.clone().unwrap_or_else(std::env::temp_dir);
    let (folder, removed) = ScratchFolder::make(&place, options.keeps, backup.run.clock.now())?;
    for path in removed {
        backup.run.note(format!(
            "Removed `{}`, which a drill that was killed had left.",
            path.display()
        ));
    }
    let target = folder.below("restored");
    report.target = target.display().to_string();
    let outcome = work(backup, &target, options, report);
    if options.keeps {
        report.kept = Some(folder.path().display().to_string());
    }
    if let Err(failure) = folder.close() {
        backup.run.warn(format!(
            "The scratch folder could not be removed: {}.",
            failure.in_one_line()
        ));
    }
    outcome
}

fn drill_tree(backup: &Backup<'_>, target: &Path, options: &DrillOptions, report: &mut DrillReport) -> Result<()> {
    let mut checks = PathChecks::new(&options.checks)?;
    let log = ContentLog::new()?;
    let restored = restore_to(
        backup,
        RestoreTarget::Path(target.to_owned()),
        Some(log.clone()),
        options,
    )?;
    report.restored_bytes = restored.plain_bytes;
    report.warnings.extend(restored.warnings);
    for problem in &restored.problems {
        report.warnings.push(format!(
            "`{}` was not restored as it was: {}.",
            problem.item, problem.message
        ));
    }
    let not_compared = std::mem::take(&mut report.compared.not_compared);
    report.compared = tree::compare_tree(backup, target, &log, &mut checks)?;
    report.compared.not_compared.extend(not_compared);
    report.checks.extend(checks.outcomes());
    Ok(())
}

fn drill_sqlite(backup: &Backup<'_>, target: &Path, options: &DrillOptions, report: &mut DrillReport) -> Result<()> {
    let restored = restore_to(backup, RestoreTarget::Sqlite(target.to_owned()), None, options)?;
    report.restored_bytes = restored.plain_bytes;
    report.warnings.extend(restored.warnings);
    let database = SqliteScratch::open(target)?;
    let cancel = &backup.run.cancel;
    let recorded = compare::recorded_tables(backup)?;
    report.compared = compare::compare_tables(&recorded, &database.rows(cancel)?);
    for check in &options.checks {
        if let Check::Query { query, .. } = check {
            let answer = database.query(query, ANSWER_ROWS_MAX, cancel);
            report.checks.push(check.judge(&answer?));
        }
    }
    Ok(())
}

/// What nobody can look into is proved byte by byte.
fn drill_file(backup: &Backup<'_>, target: &Path, options: &DrillOptions, report: &mut DrillReport) -> Result<()> {
    let restored = restore_to(backup, RestoreTarget::Path(target.to_owned()), None, options)?;
    report.restored_bytes = restored.plain_bytes;
    report.warnings.extend(restored.warnings);
    let mut buffer = tree::buffer();
    let (sha256, bytes) = tree::digest_of(target, &mut buffer, backup).map_err(|error| {
        let failure = crate::base::failure::io_failure(format!("read `{}` back", target.display()), error);
        backup.run.interruption_or(failure)
    })?;
    report.compared.files = Some(1);
    report.compared.bytes = Some(bytes);
    match &backup.chosen.manifest {
        None => report
            .compared
            .not_compared
            .push("It has no manifest, so that nothing was recorded to compare with.".to_owned()),
        Some(manifest) => {
            let found = hex::encode(sha256);
            report.compared.against = match manifest.plain_sha256 {
                Some(_) => Against::Each,
                None => Against::Sums,
            };
            if manifest.plain_bytes != bytes {
                report.compared.differs(
                    "content",
                    format!("{} bytes", manifest.plain_bytes),
                    format!("{bytes} bytes"),
                );
            } else if let Some(recorded) = manifest.plain_sha256.as_ref().filter(|recorded| **recorded != found) {
                report.compared.differs("content", recorded.clone(), found);
            }
        }
    }
    Ok(())
}
