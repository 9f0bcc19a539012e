//! An SQLite database: checked beside the old one, which is backed up first, then put into its place by one rename.

use std::path::Path;

use super::super::Run;
use super::super::backup::backup;
use super::super::plaintext::Plaintext;
use super::{RestoreOptions, RestoreReport};
use crate::base::failure::{Failure, Kind, Result};
use crate::base::report::Phase;
use crate::base::units::format_bytes;
use crate::catalog::selection::Chosen;
use crate::source::detect::Content;
use crate::source::directory::Existing;
use crate::source::sqlite::{
    SqliteOptions, SqliteRestoreOptions, SqliteSource, SqliteTarget, inspect_target, restore_database,
};

/// Looks at what stands where the database is to go.
pub(super) fn inspect(path: &Path, options: &RestoreOptions, run: &Run) -> Result<SqliteTarget> {
    inspect_target(path, options.existing == Existing::Replace, &run.cancel)
}

/// The failure of a backup that holds something else than a database, where the target can only be one.
pub(super) fn check_content(path: &Path, content: Content, chosen: &Chosen) -> Result<()> {
    if content == Content::Sqlite {
        return Ok(());
    }
    let id = &chosen.found.id;
    let failure = Failure::new(
        Kind::Usage,
        format!("`{id}` is {}, not an SQLite database", content.describe()),
    );
    Err(match content {
        Content::Tar => failure.hint(format!("It holds files: `backup-cli restore {id} --to DIR`")),
        Content::Sql => failure.hint(format!(
            "A dump of SQLite is read by its own program: `backup-cli restore {id} --to - | sqlite3 {}`",
            path.display()
        )),
        _ => failure.hint(format!(
            "Write it to a file first: `backup-cli restore {id} --to ./FILE`"
        )),
    })
}

/// What will be replaced.
pub(super) fn destruction(before: &SqliteTarget, options: &RestoreOptions) -> Option<String> {
    if !before.holds_something() {
        return None;
    }
    let what = if before.is_database { "The database" } else { "The file" };
    let fate = match (options.keep_replaced, before.is_database && options.safety.is_some()) {
        (true, _) => "; the old one is kept under a dated name",
        (false, true) => "; the old one is backed up first and not kept",
        (false, false) => "; the old one is not kept",
    };
    Some(format!(
        "{what} `{}` ({}) will be replaced{fate}",
        before.path.display(),
        format_bytes(before.bytes)
    ))
}

/// Takes the safety backup, then restores.
pub(super) fn restore(
    mut plaintext: Plaintext,
    before: &SqliteTarget,
    options: &RestoreOptions,
    report: &mut RestoreReport,
    run: &Run,
) -> Result<()> {
    let shown = before.path.display();
    if before.is_database {
        match &options.safety {
            None => run.warn("No safety backup of the database that is replaced, as asked."),
            Some(safety) => {
                let mut source = SqliteSource::new(SqliteOptions::new(before.path.clone()));
                run.note(format!("First a safety backup of `{shown}`."));
                let outcome = backup(&safety.store, &mut source, &safety.options, run).map_err(|failure| {
                    failure
                        .context(format!("The safety backup of `{shown}` failed, so nothing was restored"))
                        .hint("If it is damaged, --no-safety-backup restores without one, and --keep-replaced keeps the file as it is")
                })?;
                run.note(format!("The safety backup is `{}`.", outcome.manifest.id));
                report.safety_backup = Some(outcome.manifest.id);
                run.phase(Phase::Restoring);
            }
        }
    }
    run.reporter.progress().reset();
    let restored = {
        let plaintext = std::cell::RefCell::new(&mut plaintext);
        let mut content = Shared(&plaintext);
        restore_database(
            &mut content,
            before,
            SqliteRestoreOptions {
                keep_replaced: options.keep_replaced,
            },
            &mut || plaintext.borrow_mut().verify(),
            &run.source_context(),
        )?
    };
    report.plain_bytes = restored.plain_bytes;
    report.replaced_as = restored.replaced_as.map(|path| path.display().to_string());
    report.warnings = restored.warnings;
    Ok(())
}

/// The plaintext, which is read to its end and then verified by somebody else.
struct Shared<'a, 'b>(&'a std::cell::RefCell<&'b mut Plaintext>);

impl std::io::Read for Shared<'_, '_> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        self.0.borrow_mut().read(buffer)
    }
}
