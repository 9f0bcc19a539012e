//! A dump into a scratch database of its own, which is dropped on every way out.

use super::super::Run;
use super::super::located::Backup;
use super::super::restore::RestoreTarget;
use super::check::Check;
use super::compare::{compare_tables, recorded_tables};
use super::scratch::{RunningDrill, database_name, forget, is_of_drill, leftovers, refused};
use super::{DrillOptions, DrillReport, restore_to};
use crate::base::cancel::Cancel;
use crate::base::failure::{Failure, Kind, Result};
use crate::source::mysql::{MysqlOptions, MysqlScratch, MysqlUrl};
use crate::source::postgres::{PostgresScratch, PostgresUrl};
use crate::source::scratch::{Answer, ScratchServer, TableRows};

/// The databases that a URL of a server may name because it has to name one: nobody's data is in them.
const HARMLESS_DATABASES: &[&str] = &["postgres"];

/// The server that a scratch database is made on.
pub(super) enum ScratchDatabase {
    Postgres(PostgresUrl),
    Mysql(MysqlUrl),
}

impl ScratchDatabase {
    /// The database that the URL names, which must not be there.
    fn named(&self) -> Option<&str> {
        match self {
            Self::Postgres(url) => url.database().filter(|name| !HARMLESS_DATABASES.contains(name)),
            Self::Mysql(url) => url.database(),
        }
    }

    fn with_database(&self, name: &str) -> Self {
        match self {
            Self::Postgres(url) => Self::Postgres(url.with_database(name)),
            Self::Mysql(url) => Self::Mysql(url.with_database(name)),
        }
    }

    fn target(&self) -> RestoreTarget {
        match self {
            Self::Postgres(url) => RestoreTarget::Database(url.clone()),
            Self::Mysql(url) => RestoreTarget::Mysql(url.clone()),
        }
    }

    fn reach(&self, options: &DrillOptions, cancel: &Cancel) -> Result<Server> {
        match self {
            Self::Postgres(url) => {
                PostgresScratch::inspect(url, options.pg_client_folder.as_deref(), cancel).map(Server::Postgres)
            }
            Self::Mysql(url) => {
                let place = MysqlOptions {
                    url: url.clone(),
                    extra_arguments: Vec::new(),
                    client_folder: options.mysql_client_folder.clone(),
                };
                MysqlScratch::inspect(&place, cancel).map(Server::Mysql)
            }
        }
    }
}

enum Server {
    Postgres(PostgresScratch),
    Mysql(MysqlScratch),
}

impl Server {
    fn about(&self) -> ScratchServer {
        match self {
            Self::Postgres(server) => server.about(),
            Self::Mysql(server) => server.about(),
        }
    }

    fn exists(&self) -> bool {
        match self {
            Self::Postgres(server) => server.exists(),
            Self::Mysql(server) => server.exists(),
        }
    }

    fn databases(&self, cancel: &Cancel) -> Result<Vec<(String, u64)>> {
        match self {
            Self::Postgres(server) => server.databases(cancel),
            Self::Mysql(server) => server.databases(cancel),
        }
    }

    fn has_database(&self, name: &str, cancel: &Cancel) -> Result<bool> {
        match self {
            Self::Postgres(server) => server.has_database(name, cancel),
            Self::Mysql(server) => server.has_database(name, cancel),
        }
    }

    fn drop_database(&self, name: &str) -> Result<()> {
        match self {
            Self::Postgres(server) => server.drop_database(name),
            Self::Mysql(server) => server.drop_database(name),
        }
    }

    fn count(&self, cancel: &Cancel) -> Result<Vec<TableRows>> {
        match self {
            Self::Postgres(server) => server.count(cancel),
            Self::Mysql(server) => server.count(cancel),
        }
    }

    fn query(&self, query: &str, cancel: &Cancel) -> Result<Answer> {
        match self {
            Self::Postgres(server) => server.query(query, cancel),
            Self::Mysql(server) => server.query(query, cancel),
        }
    }

    fn is_fault_of_dump(&self, failure: &Failure) -> bool {
        match self {
            Self::Postgres(_) => PostgresScratch::is_fault_of_dump(failure),
            Self::Mysql(_) => MysqlScratch::is_fault_of_dump(failure),
        }
    }
}

/// Drops the scratch database when it goes out of scope, by whatever way.
struct Dropped<'a> {
    server: &'a Server,
    name: &'a str,
    is_open: bool,
}

impl Dropped<'_> {
    fn close(mut self) -> Result<()> {
        self.is_open = false;
        self.server.drop_database(self.name)
    }
}

impl Drop for Dropped<'_> {
    fn drop(&mut self) {
        if self.is_open {
            // A panic is on its way; the next drill tries again.
            let _ = self.server.drop_database(self.name);
        }
    }
}

/// Restores the dump into a database that is made for it, compares and asks it, and drops it again.
pub(super) fn drill(
    backup: &Backup<'_>,
    place: ScratchDatabase,
    options: &DrillOptions,
    report: &mut DrillReport,
) -> Result<()> {
    let cancel = &backup.run.cancel;
    let drill = RunningDrill::begin(&options.lock_folder)?;
    let stem = place.named().unwrap_or_else(|| backup.chosen.name()).to_owned();
    let mut name = String::new();
    let name_now = |is_taken: &mut dyn FnMut(&str) -> bool| {
        database_name(&stem, &drill, options.keeps, backup.run.clock.now(), is_taken)
    };
    name.push_str(&name_now(&mut |_| false));
    let scratch = place.with_database(&name);
    let server = scratch.reach(options, cancel)?;
    refuse_existing(&place, &server, &name, backup, cancel)?;
    clear_leftovers(&server, options, backup.run)?;
    report.target = scratch.target().to_string();
    report.server = Some(server.about());

    let dropped = Dropped {
        server: &server,
        name: &name,
        is_open: !options.keeps,
    };
    // A database that is to stay is none to clear up after.
    drill.may_leave(!options.keeps);
    let outcome = prove(backup, &scratch, &server, options, report);
    if options.keeps {
        report.kept = Some(report.target.clone());
        return outcome;
    }
    let closed = dropped.close();
    drill.may_leave(closed.is_err() || (outcome.is_err() && leaves(&server, &drill.tag)));
    if let Err(failure) = closed {
        // Said at once: a drill that failed for another reason has no report.
        backup.run.warn(format!(
            "The scratch database `{name}` could not be dropped: {}. The next drill on that server tries again.",
            failure.in_one_line().lines().next().unwrap_or_default()
        ));
    }
    outcome
}

/// Whether a database of this drill stands on the server, or may stand there: a restore that failed may have left the one
/// that it was filling.
fn leaves(server: &Server, tag: &str) -> bool {
    match server.databases(&Cancel::new()) {
        Ok(databases) => databases.iter().any(|(name, _)| is_of_drill(name, tag)),
        Err(_) => true,
    }
}

fn prove(
    backup: &Backup<'_>,
    scratch: &ScratchDatabase,
    server: &Server,
    options: &DrillOptions,
    report: &mut DrillReport,
) -> Result<()> {
    let cancel = &backup.run.cancel;
    let recorded = recorded_tables(backup)?;
    let restored = restore_to(backup, scratch.target(), None, options).map_err(|failure| {
        match failure.kind() == Kind::Failed && server.is_fault_of_dump(&failure) {
            true => failure.with_kind(Kind::Damaged),
            false => failure,
        }
    })?;
    report.restored_bytes = restored.plain_bytes;
    report.warnings.extend(restored.warnings);
    backup.run.note("Now it is compared with what was recorded.");
    report.compared = compare_tables(&recorded, &server.count(cancel)?);
    for check in &options.checks {
        cancel.check()?;
        if let Check::Query { query, .. } = check {
            report.checks.push(check.judge(&server.query(query, cancel)?));
        }
    }
    Ok(())
}

/// Nothing that is there is written to, least of all what was backed up.
fn refuse_existing(
    place: &ScratchDatabase,
    server: &Server,
    name: &str,
    backup: &Backup<'_>,
    cancel: &Cancel,
) -> Result<()> {
    if server.exists() {
        return Err(refused(format!("A database `{name}` is there already")));
    }
    let Some(named) = place.named() else {
        return Ok(());
    };
    if !server.has_database(named, cancel)? {
        return Ok(());
    }
    let source = backup
        .chosen
        .manifest
        .as_ref()
        .and_then(|manifest| manifest.source.database.as_deref());
    Err(refused(match source == Some(named) {
        true => format!("The database `{named}` is, or is called like, the one that was backed up"),
        false => format!("The database `{named}` exists, and a drill writes to none that does"),
    }))
}

/// Drops what drills that were killed have left on the server.
fn clear_leftovers(server: &Server, options: &DrillOptions, run: &Run) -> Result<()> {
    let databases = server.databases(&run.cancel)?;
    for name in leftovers(&databases, &options.lock_folder, run.clock.now()) {
        match server.drop_database(&name) {
            Ok(()) => {
                forget(&name, &options.lock_folder);
                run.note(format!(
                    "Dropped `{name}`, which a drill that was killed had left, or one that could not drop it."
                ));
            }
            Err(failure) => run.warn(format!(
                "`{name}` was left by an earlier drill, and could not be dropped: {}.",
                failure.causes().join(": ")
            )),
        }
    }
    Ok(())
}
