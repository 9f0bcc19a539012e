//! Restores a dump into a new database and swaps it in at the very end; until then nothing that lives has changed.

use std::io::{Cursor, ErrorKind, Read};
use std::path::PathBuf;

use jiff::Timestamp;
use rand::Rng;

use super::archive::{find_restorer, with_script};
use super::feed::{Destination, Dump};
use super::server::quote_name;
use super::target::Target;
use super::url::PostgresUrl;
use crate::base::cancel::Cancel;
use crate::base::failure::{Failure, Kind, Result, from_io};
use crate::base::report::{Event, Phase};
use crate::source::SourceContext;
use crate::source::dated::free_name;
use crate::source::detect::{Content, DETECT_BYTES, detect};

/// Bytes that PostgreSQL keeps of a name.
const NAME_BYTES_MAX: usize = 63;

/// How to restore a database.
#[derive(Clone, Debug, Default)]
pub struct PostgresRestoreOptions {
    /// The server and the database, which need not exist.
    pub url: PostgresUrl,
    /// Whether a database that holds something may be replaced.
    pub replace: bool,
    /// Whether the replaced database is dropped at the end; otherwise it stays under another name.
    pub drop_replaced: bool,
    /// The folder with the client programs; without one, `PATH` and the distributions' folders are searched.
    pub client_folder: Option<PathBuf>,
}

/// What a restore would meet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PostgresTarget {
    /// Whether the database exists.
    pub exists: bool,
    /// Whether there is nothing in it that a user made; true if it does not exist.
    pub empty: bool,
    /// The server's version.
    pub server_version: String,
    /// The database's size on the server's disk; 0 if it does not exist.
    pub bytes: u64,
}

/// What a restore has done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PostgresRestoreReport {
    /// The database that was restored.
    pub database: String,
    /// The name under which the replaced database is kept.
    pub replaced_as: Option<String>,
    /// What the user should look into.
    pub warnings: Vec<String>,
}

/// Looks at the server and the database that would be restored, changing nothing.
///
/// # Errors
/// Whatever would make the restore fail before its first byte: tools, the way to the server, missing rights.
/// A database that holds something is no error here.
pub fn inspect_target(options: &PostgresRestoreOptions, context: &SourceContext<'_>) -> Result<PostgresTarget> {
    let target = Target::inspect(&options.url, options.client_folder.as_deref(), context.cancel)?;
    let existing = target.existing.as_ref();
    Ok(PostgresTarget {
        exists: existing.is_some(),
        empty: existing.is_none_or(|existing| existing.empty),
        bytes: existing.map_or(0, |existing| existing.bytes),
        server_version: target.version_text,
    })
}

/// Restores `dump` into a new database, then gives it the target's name.
///
/// `verify` is called after the dump's last byte and before anything is committed.
///
/// # Errors
/// As [`inspect_target`]; [`Kind::Refused`] if the database holds something and may not be replaced, or if the dump would
/// leave its database; [`Kind::Unsupported`] for other content than SQL or an archive of `pg_dump`; [`Kind::Damaged`] for a dump that is not whole;
/// the dump's and `verify`'s own failures; the server's words. In each case the new database is dropped again, and the
/// one that stands there is as it was.
pub fn restore_database(
    dump: &mut (dyn Read + Send),
    options: &PostgresRestoreOptions,
    verify: &mut dyn FnMut() -> Result<()>,
    context: &SourceContext<'_>,
) -> Result<PostgresRestoreReport> {
    let mut head = vec![0; DETECT_BYTES];
    let count = read_full(dump, &mut head)?;
    head.truncate(count);
    let content = detect(&head);
    let mut dump = Cursor::new(head).chain(dump);
    if content != Content::PgDumpCustom {
        return restore_script(&mut dump, options, verify, context);
    }
    let restorer = find_restorer(options.client_folder.as_deref(), None, context.cancel)?;
    with_script(&mut dump, &restorer, context.cancel, |script| {
        restore_script(script, options, verify, context)
    })
}

fn read_full(input: &mut dyn Read, buffer: &mut [u8]) -> Result<usize> {
    let mut filled = 0;
    while filled < buffer.len() {
        match input.read(&mut buffer[filled..]) {
            Ok(0) => break,
            Ok(count) => filled += count,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(from_io("read the dump", error)),
        }
    }
    Ok(filled)
}

fn restore_script(
    dump: &mut dyn Read,
    options: &PostgresRestoreOptions,
    verify: &mut dyn FnMut() -> Result<()>,
    context: &SourceContext<'_>,
) -> Result<PostgresRestoreReport> {
    let target = target_of(options, context)?;
    let dump = Dump::open(dump)?;
    let encoding = dump.encoding();
    let psql = dump.choose_psql(&target.psqls)?;
    replace(target, encoding.as_deref(), options, context, |target, new| {
        dump.pour(
            &target.server,
            &psql,
            Destination::NewDatabase(new),
            target.version,
            verify,
            context,
        )
    })
}

/// Looks at the target again, and refuses to replace what may not be.
pub(super) fn target_of(options: &PostgresRestoreOptions, context: &SourceContext<'_>) -> Result<Target> {
    let target = Target::inspect(&options.url, options.client_folder.as_deref(), context.cancel)?;
    if let Some(existing) = &target.existing
        && !existing.empty
        && !options.replace
    {
        return Err(Failure::new(
            Kind::Refused,
            format!("The database `{}` exists and is not empty", target.name),
        )
        .hint("Restore into a database of another name, or say that this one is to be replaced"));
    }
    Ok(target)
}

/// Creates a database, has it filled, and gives it the target's name. If anything fails, it is dropped.
pub(super) fn replace(
    target: Target,
    encoding: Option<&str>,
    options: &PostgresRestoreOptions,
    context: &SourceContext<'_>,
    fill: impl FnOnce(&Target, &str) -> Result<Vec<String>>,
) -> Result<PostgresRestoreReport> {
    let cancel = context.cancel;
    let create_options = target.create_options(encoding, cancel)?;
    let mut warnings = Vec::new();
    if let Some(leftover) = target.leftovers(cancel).first() {
        warnings.push(format!(
            "The database `{leftover}` is of a restore that runs now or was killed; drop it if none runs."
        ));
    }
    let now = Timestamp::now().strftime("%Y%m%d_%H%M%S").to_string();
    let random: u32 = rand::rng().random();
    let new = suffixed(&target.name, &format!("__restore_{now}_{random:08x}"));
    let replaced = target.existing.as_ref().map(|_| {
        let name_at = |date: &str| suffixed(&target.name, &format!("__replaced_{date}"));
        free_name(Timestamp::now(), name_at, |name| target.has_database(name, cancel))
    });

    context.reporter.event(Event::Phase(Phase::Restoring));
    let new_oid = match target.create(&new, &create_options, cancel) {
        Ok(oid) => oid,
        // An interruption may have come after the server had created it.
        Err(failure) => return Err(clear_up(&target, &new, failure)),
    };
    let filled = fill(&target, &new).and_then(|poured| {
        warnings.extend(poured);
        context.reporter.event(Event::Phase(Phase::Finishing));
        warnings.extend(analyze(&target, &new, context)?);
        if let Some(existing) = &target.existing {
            warnings.extend(target.dress(&new, existing, cancel)?);
        }
        cancel.check()?;
        target.swap(&new, &new_oid, replaced.as_deref())
    });
    if let Err(failure) = filled {
        return Err(clear_up(&target, &new, failure));
    }
    let replaced_as = match (&target.existing, replaced) {
        (Some(existing), Some(replaced)) => {
            let drops = options.drop_replaced || existing.empty;
            let kept = !drops || !dispose(&target, &replaced, options.drop_replaced, &mut warnings);
            kept.then_some(replaced)
        }
        _ => None,
    };
    Ok(PostgresRestoreReport {
        database: target.name,
        replaced_as,
        warnings,
    })
}

/// Statistics for the planner, which are in no dump; without them the database works, but slowly.
fn analyze(target: &Target, database: &str, context: &SourceContext<'_>) -> Result<Option<String>> {
    let statements = ["SET statement_timeout TO 0".to_owned(), "ANALYZE".to_owned()];
    match target.server.ask(Some(database), &statements, context.cancel) {
        Ok(_) => Ok(None),
        Err(unanswered) => {
            context.cancel.check()?;
            let why = unanswered.failure("analyze the restored database", target.server.connection().url());
            Ok(Some(format!(
                "The restored database has no statistics yet; run ANALYZE in it: {}.",
                why.causes().join(": ")
            )))
        }
    }
}

/// Drops the database that was replaced; false if it stays, because that fails or because it was dropped for being
/// empty and is not any more.
fn dispose(target: &Target, replaced: &str, asked_for: bool, warnings: &mut Vec<String>) -> bool {
    let never = Cancel::new();
    if !asked_for && !target.is_empty(replaced, &never).unwrap_or(false) {
        return false;
    }
    match target.drop_database(replaced) {
        Ok(()) => true,
        Err(failure) => {
            let why = failure.causes().join(": ");
            warnings.push(format!(
                "The replaced database `{replaced}` could not be dropped: {why}."
            ));
            false
        }
    }
}

/// Drops the database that was being filled, and says so in the failure if that cannot be done.
fn clear_up(target: &Target, new: &str, failure: Failure) -> Failure {
    match target.drop_database(new) {
        Ok(()) => failure,
        Err(_) => failure.hint(format!(
            "An unfinished database may be left on the server; drop it there: DROP DATABASE IF EXISTS {}",
            quote_name(new)
        )),
    }
}

/// A name with a suffix, of which the name gives way if both are too long.
fn suffixed(name: &str, suffix: &str) -> String {
    let end = name.floor_char_boundary(NAME_BYTES_MAX.saturating_sub(suffix.len()));
    format!("{}{suffix}", &name[..end])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_with_suffixes_fit() {
        assert_eq!(suffixed("app", "__x"), "app__x");
        let long = suffixed(&"\u{e9}".repeat(40), "__replaced_20260102_030405");
        assert!(
            long.len() <= NAME_BYTES_MAX && long.ends_with("__replaced_20260102_030405"),
            "{long}"
        );
    }
}
