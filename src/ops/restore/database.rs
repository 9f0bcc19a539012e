//! A database: a new one beside the old, a safety backup before, a swap by rename at the end.

use std::cell::RefCell;
use std::io::Read;
use std::rc::Rc;

use super::super::Run;
use super::super::backup::backup;
use super::super::plaintext::Plaintext;
use super::{RestoreOptions, RestoreReport};
use crate::base::failure::{Failure, Kind, Result};
use crate::base::report::Phase;
use crate::catalog::selection::Chosen;
use crate::source::detect::Content;
use crate::source::postgres::{
    PostgresOptions, PostgresRestoreOptions, PostgresSource, PostgresTarget, PostgresUrl, inspect_target,
    restore_database,
};

/// Checks that the content is a dump that psql can load, and looks at the target.
pub(super) fn inspect(
    url: &PostgresUrl,
    content: Content,
    chosen: &Chosen,
    options: &RestoreOptions,
    run: &Run,
) -> Result<PostgresTarget> {
    if content != Content::Sql {
        let id = &chosen.found.id;
        let failure = Failure::new(
            Kind::Usage,
            format!("`{id}` is {}, which psql cannot load into `{url}`", content.describe()),
        );
        return Err(match content {
            Content::PgDumpCustom => failure.hint(format!(
                "`backup-cli restore {id} --to - | pg_restore --dbname NAME` loads it"
            )),
            Content::Tar => failure.hint(format!("It holds files: `backup-cli restore {id} --to DIR`")),
            _ => failure.hint(format!(
                "Write it to a file first: `backup-cli restore {id} --to ./FILE`"
            )),
        });
    }
    inspect_target(&restore_options(url, options, false), &run.source_context())
}

fn restore_options(url: &PostgresUrl, options: &RestoreOptions, replace: bool) -> PostgresRestoreOptions {
    PostgresRestoreOptions {
        url: url.clone(),
        replace,
        drop_replaced: options.drop_replaced,
        client_folder: options.client_folder.clone(),
    }
}

/// What will be replaced.
pub(super) fn destruction(
    url: &PostgresUrl,
    before: &PostgresTarget,
    chosen: &Chosen,
    options: &RestoreOptions,
) -> Option<String> {
    if !before.exists || before.empty {
        return None;
    }
    let fate = if options.drop_replaced {
        "dropped at the end"
    } else {
        "kept under a dated name"
    };
    // The database may have been named by the environment, for an application that this backup is not of.
    let other = chosen
        .manifest
        .as_ref()
        .and_then(|manifest| manifest.source.database.as_deref())
        .filter(|database| url.database().is_some_and(|target| target != *database))
        .map(|database| format!(" by a backup of the database `{database}`"))
        .unwrap_or_default();
    Some(format!(
        "The database `{url}` ({}) will be replaced{other}; the old one is {fate}, and sessions on it are ended",
        crate::base::units::format_bytes(before.bytes)
    ))
}

struct Shared(Rc<RefCell<Plaintext>>);

impl Read for Shared {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        self.0.borrow_mut().read(buffer)
    }
}

/// Takes the safety backup, then restores into a new database and swaps.
pub(super) fn restore(
    plaintext: Plaintext,
    url: PostgresUrl,
    before: &PostgresTarget,
    options: &RestoreOptions,
    report: &mut RestoreReport,
    run: &Run,
) -> Result<()> {
    if before.exists && !before.empty {
        match &options.safety {
            None => run.warn("No safety backup of the database that is replaced, as asked."),
            Some(safety) => {
                let mut source = PostgresSource::new(PostgresOptions {
                    url: url.clone(),
                    extra_arguments: Vec::new(),
                    client_folder: options.client_folder.clone(),
                });
                run.note(format!("First a safety backup of `{url}`."));
                let outcome = backup(&safety.store, &mut source, &safety.options, run).map_err(|failure| {
                    failure
                        .context(format!("The safety backup of `{url}` failed, so nothing was restored"))
                        .hint("--no-safety-backup restores without one")
                })?;
                run.note(format!("The safety backup is `{}`.", outcome.manifest.id));
                report.safety_backup = Some(outcome.manifest.id);
                run.phase(Phase::Restoring);
            }
        }
    }
    let totals = run.reporter.progress();
    totals.reset();
    let shared = Rc::new(RefCell::new(plaintext));
    let mut dump = Shared(shared.clone());
    let restored = restore_database(
        &mut dump,
        // What the plan has shown may be replaced; what has been made there since then was neither confirmed nor backed up.
        &restore_options(&url, options, before.exists && !before.empty),
        &mut || shared.borrow_mut().verify(),
        &run.source_context(),
    )?;
    report.plain_bytes = totals.snapshot().plain_bytes;
    report.replaced_as = restored.replaced_as;
    report.warnings = restored.warnings;
    Ok(())
}
