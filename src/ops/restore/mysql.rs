//! A MySQL or MariaDB database: looked through first, a safety backup before, a swap of tables at the end.

use std::sync::Arc;

use super::super::Run;
use super::super::plaintext::Plaintext;
use super::database::{loss, take_safety_backup};
use super::{RestoreOptions, RestoreReport};
use crate::base::failure::{Failure, Kind, Result};
use crate::catalog::selection::Chosen;
use crate::source::detect::Content;
use crate::source::mysql::{
    CheckedDump, MysqlOptions, MysqlRestoreOptions, MysqlSource, MysqlTarget, MysqlUrl, inspect_target,
    restore_database,
};
use crate::store::Store;

/// What is needed to read the backup again from its beginning.
pub(super) struct Reopen {
    /// Where it lies.
    pub store: Arc<dyn Store>,
    /// Which one it is.
    pub chosen: Chosen,
    /// Threads that inflate.
    pub threads: usize,
}

/// Checks that the content is a dump that a client can load, and looks at the target.
pub(super) fn inspect(
    url: &MysqlUrl,
    content: Content,
    chosen: &Chosen,
    options: &RestoreOptions,
    run: &Run,
) -> Result<MysqlTarget> {
    let id = &chosen.found.id;
    if content != Content::Sql {
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
    inspect_target(&restore_options(url, chosen, options, false), &run.source_context())
}

fn restore_options(url: &MysqlUrl, chosen: &Chosen, options: &RestoreOptions, replace: bool) -> MysqlRestoreOptions {
    MysqlRestoreOptions {
        place: place(url, options),
        replace,
        drop_replaced: options.drop_replaced,
        collation: chosen
            .manifest
            .as_ref()
            .and_then(|manifest| manifest.source.collation.clone()),
    }
}

fn place(url: &MysqlUrl, options: &RestoreOptions) -> MysqlOptions {
    MysqlOptions {
        url: url.clone(),
        extra_arguments: Vec::new(),
        client_folder: options.client_folder.clone(),
    }
}

/// What will be replaced.
pub(super) fn destruction(
    url: &MysqlUrl,
    before: &MysqlTarget,
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
        "whatever writes to it meanwhile had better be stopped",
        chosen,
        options,
    ))
}

impl CheckedDump for Plaintext {
    fn verify(&mut self) -> Result<()> {
        Self::verify(self)
    }
}

/// Takes the safety backup, then looks through the dump, restores it and swaps.
pub(super) fn restore(
    plaintext: Plaintext,
    reopen: &Reopen,
    url: &MysqlUrl,
    before: &MysqlTarget,
    options: &RestoreOptions,
    report: &mut RestoreReport,
    run: &Run,
) -> Result<()> {
    let replaces = before.exists && !before.empty;
    if replaces {
        let mut source = MysqlSource::new(place(url, options));
        take_safety_backup(
            &url.to_string(),
            &mut source,
            "the database that is replaced",
            options,
            report,
            run,
        )?;
    }
    let totals = run.reporter.progress();
    totals.reset();
    let manifest = reopen.chosen.manifest.as_ref();
    let plain_bytes = manifest.map_or(0, |manifest| manifest.plain_bytes);
    let tables = manifest.and_then(|manifest| manifest.counts.tables).unwrap_or(0);
    totals.set_totals(plain_bytes, tables);
    run.note("First the whole backup is read and checked.");
    let mut first = Some(plaintext);
    let mut open = || -> Result<Box<dyn CheckedDump>> {
        let plaintext = match first.take() {
            Some(plaintext) => plaintext,
            None => Plaintext::open(&reopen.store, &reopen.chosen, reopen.threads, run)?.0,
        };
        Ok(Box::new(plaintext))
    };
    let restored = restore_database(
        &mut open,
        // What the plan has shown may be replaced; what has been made there since then was neither confirmed nor backed up.
        &restore_options(url, &reopen.chosen, options, replaces),
        &run.source_context(),
    )?;
    report.plain_bytes = totals.snapshot().plain_bytes;
    report.replaced_as = restored.replaced_as;
    report.warnings = restored.warnings;
    Ok(())
}
