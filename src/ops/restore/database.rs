//! A database: a new one beside the old, a safety backup before, a swap by rename at the end.

use std::io::Read;
use std::sync::{Arc, Mutex, PoisonError};

use super::super::Run;
use super::super::backup::backup;
use super::super::plaintext::Plaintext;
use super::{RestoreOptions, RestoreReport};
use crate::base::failure::{Failure, Kind, Result};
use crate::base::report::Phase;
use crate::catalog::manifest::Manifest;
use crate::catalog::selection::Chosen;
use crate::source::detect::Content;
use crate::source::postgres::{
    DumpStream, GLOBALS_KIND, JOBS_OPTION, PostgresOptions, PostgresRestoreOptions, PostgresSource, PostgresTarget,
    PostgresUrl, inspect_target, restore_database, restore_streams, selecting,
};
use crate::source::{Source, mysql};
use crate::store::Store;

/// Checks that the content is a dump that psql or pg_restore can load, and looks at the target.
pub(super) fn inspect(
    url: &PostgresUrl,
    content: Content,
    chosen: &Chosen,
    options: &RestoreOptions,
    run: &Run,
) -> Result<PostgresTarget> {
    let id = &chosen.found.id;
    if chosen
        .manifest
        .as_ref()
        .is_some_and(|manifest| manifest.source.kind == GLOBALS_KIND)
    {
        return Err(Failure::new(
            Kind::Usage,
            format!("`{id}` holds the roles and tablespaces of a server, which belong to no database"),
        )
        .hint(format!(
            "`backup-cli restore {id} --to - | psql -X -d postgres` brings them back; what it says of roles that exist already can be passed over, but they get the passwords and settings of the backup"
        )));
    }
    if !matches!(content, Content::Sql | Content::PgDumpCustom) {
        let failure = Failure::new(
            Kind::Usage,
            format!("`{id}` is {}, which cannot be loaded into `{url}`", content.describe()),
        );
        return Err(match content {
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
    Some(loss(
        &url.to_string(),
        url.database(),
        before.bytes,
        "sessions on it are ended",
        chosen,
        options,
    ))
}

/// A sentence on the database at `url` that will be replaced, called `name`, and on what else that means.
pub(super) fn loss(
    url: &str,
    name: Option<&str>,
    bytes: u64,
    sessions: &str,
    chosen: &Chosen,
    options: &RestoreOptions,
) -> String {
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
        .filter(|database| name.is_some_and(|target| target != *database))
        .map(|database| format!(" by a backup of the database `{database}`"))
        .unwrap_or_default();
    let mut text = format!(
        "The database `{url}` ({}) will be replaced{other}; the old one is {fate}, and {sessions}",
        crate::base::units::format_bytes(bytes)
    );
    if let Some(part) = part_of(chosen) {
        text.push_str(&format!(
            ". THIS BACKUP IS ONLY A PART of its database ({part}): whatever else `{url}` holds will be missing from the restored one"
        ));
    }
    text
}

/// The options that made a dump a part of its database, for people; `None` for a whole one.
fn part_of(chosen: &Chosen) -> Option<String> {
    let manifest = chosen.manifest.as_ref()?;
    let options = &manifest.source.options;
    let part = match manifest.source.kind.as_str() {
        "postgresql" => selecting(options).join(" "),
        "mysql" | "mariadb" => mysql::selecting(options).join(" "),
        _ => return None,
    };
    Some(part).filter(|part| !part.is_empty())
}

/// What to say of a dump of a part wherever it goes.
pub(super) fn part_remark(chosen: &Chosen) -> Option<String> {
    let part = part_of(chosen)?;
    Some(format!("`{}` is only a part of its database: {part}.", chosen.found.id))
}

/// What is restored.
pub(super) enum From {
    /// One dump, from its beginning to its end.
    Whole(Box<Plaintext>),
    /// A dump by several workers, whose streams are loaded several at a time.
    Streams {
        store: Arc<dyn Store>,
        chosen: Box<Chosen>,
        count: usize,
    },
}

impl From {
    /// Of a backup whose plaintext has been opened.
    pub(super) fn new(plaintext: Plaintext, store: &Arc<dyn Store>, chosen: &Chosen) -> Self {
        let by_workers = |manifest: &&Manifest| {
            let options = &manifest.source.options;
            manifest.source.kind == "postgresql" && options.iter().any(|option| option.starts_with(JOBS_OPTION))
        };
        let count = chosen
            .manifest
            .as_ref()
            .filter(by_workers)
            .map_or(0, |manifest| manifest.streams.len());
        match count > 1 {
            false => Self::Whole(Box::new(plaintext)),
            true => Self::Streams {
                store: store.clone(),
                chosen: Box::new(chosen.clone()),
                count,
            },
        }
    }
}

#[derive(Clone)]
struct Shared(Arc<Mutex<Plaintext>>);

impl Shared {
    fn new(plaintext: Plaintext) -> Self {
        Self(Arc::new(Mutex::new(plaintext)))
    }

    fn verify(&self) -> Result<()> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).verify()
    }
}

impl DumpStream for Shared {
    fn verify(&mut self) -> Result<()> {
        Shared::verify(self)
    }
}

impl Read for Shared {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).read(buffer)
    }
}

/// Takes the safety backup of the whole PostgreSQL database, unless the user declined it.
pub(super) fn back_up_first(
    url: &PostgresUrl,
    of: &str,
    options: &RestoreOptions,
    report: &mut RestoreReport,
    run: &Run,
) -> Result<()> {
    let mut source = PostgresSource::new(PostgresOptions {
        url: url.clone(),
        client_folder: options.client_folder.clone(),
        ..PostgresOptions::default()
    });
    take_safety_backup(&url.to_string(), &mut source, of, options, report, run)
}

/// Backs up `source`, of which something will be replaced, unless the user declined, and notes which backup that is.
pub(super) fn take_safety_backup(
    url: &str,
    source: &mut dyn Source,
    of: &str,
    options: &RestoreOptions,
    report: &mut RestoreReport,
    run: &Run,
) -> Result<()> {
    let Some(safety) = &options.safety else {
        run.warn(format!("No safety backup of {of}, as asked."));
        return Ok(());
    };
    run.note(format!("First a safety backup of `{url}`."));
    let outcome = backup(&safety.store, source, &safety.options, run).map_err(|failure| {
        failure
            .context(format!("The safety backup of `{url}` failed, so nothing was restored"))
            .hint("--no-safety-backup restores without one")
    })?;
    run.note(format!("The safety backup is `{}`.", outcome.manifest.id));
    report.safety_backup = Some(outcome.manifest.id);
    run.phase(Phase::Restoring);
    Ok(())
}

/// Takes the safety backup, then restores into a new database and swaps.
pub(super) fn restore(
    from: From,
    url: PostgresUrl,
    before: &PostgresTarget,
    options: &RestoreOptions,
    report: &mut RestoreReport,
    run: &Run,
) -> Result<()> {
    if before.exists && !before.empty {
        back_up_first(&url, "the database that is replaced", options, report, run)?;
    }
    let totals = run.reporter.progress();
    totals.reset();
    // What the plan has shown may be replaced; what has been made there since then was neither confirmed nor backed up.
    let restore_options = restore_options(&url, options, before.exists && !before.empty);
    let restored = match from {
        From::Whole(plaintext) => {
            let mut dump = Shared::new(*plaintext);
            let judge = dump.clone();
            restore_database(
                &mut dump,
                &restore_options,
                &mut || judge.verify(),
                &run.source_context(),
            )?
        }
        From::Streams { store, chosen, count } => {
            let open = |number, at_once| -> Result<Box<dyn DumpStream>> {
                let plaintext = Plaintext::open_stream(&store, &chosen, number, at_once, options.threads, run)?;
                Ok(Box::new(Shared::new(plaintext)))
            };
            restore_streams(count, &open, &restore_options, &run.source_context())?
        }
    };
    report.plain_bytes = totals.snapshot().plain_bytes;
    report.replaced_as = restored.replaced_as;
    report.warnings = restored.warnings;
    Ok(())
}
