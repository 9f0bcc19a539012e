//! Restores a dump into a scratch database and swaps its content in at the very end; until then nothing that lives has changed.

use std::io::{ErrorKind, Read, Write};

use jiff::Timestamp;
use rand::Rng;
use sha2::{Digest, Sha256};

use super::dump::MysqlOptions;
use super::feed::Feed;
use super::server::{PACKET, quote_name};
use super::swap::{Swap, wake};
use super::target::{Target, suffixed};
use super::trouble::Trouble;
use crate::base::failure::{Failure, Kind, Result, from_io};
use crate::base::process::Running;
use crate::base::report::{Event, Phase};
use crate::source::SourceContext;
use crate::source::dated::free_name;
use crate::source::detect::{Content, DETECT_BYTES, SqlDialect, detect, sql_dialect};

/// Bytes read and poured at once.
const POUR_BYTES: usize = 256 * 1024;

/// How to restore a database.
#[derive(Clone, Debug, Default)]
pub struct MysqlRestoreOptions {
    /// The server, the database, which need not exist, and the folder with the clients.
    pub place: MysqlOptions,
    /// Whether a database that holds something may be replaced.
    pub replace: bool,
    /// Whether what was replaced is dropped at the end; otherwise it stays in a database of another name.
    pub drop_replaced: bool,
    /// The default collation of a database that has to be created.
    pub collation: Option<String>,
}

/// What a restore would meet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MysqlTarget {
    /// Whether the database exists.
    pub exists: bool,
    /// Whether there is nothing in it; true if it does not exist.
    pub empty: bool,
    /// The database's size on the server's disk; 0 if it does not exist.
    pub bytes: u64,
}

/// What a restore has done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MysqlRestoreReport {
    /// The database that was restored.
    pub database: String,
    /// The database in which what was replaced is kept.
    pub replaced_as: Option<String>,
    /// What the user should look into.
    pub warnings: Vec<String>,
}

/// A dump that can be compared at its end with what was backed up.
pub trait CheckedDump: Read {
    /// Compares everything that has been read.
    ///
    /// # Errors
    /// [`Kind::Damaged`] if it differs.
    fn verify(&mut self) -> Result<()>;
}

/// Looks at the server and the database that would be restored, changing nothing.
///
/// # Errors
/// Whatever would make the restore fail before its first byte. A database that holds something is no error here.
pub fn inspect_target(options: &MysqlRestoreOptions, context: &SourceContext<'_>) -> Result<MysqlTarget> {
    let target = Target::inspect(&options.place, context.cancel)?;
    let existing = target.existing.as_ref();
    Ok(MysqlTarget {
        exists: existing.is_some(),
        empty: existing.is_none_or(|existing| existing.empty),
        bytes: existing.map_or(0, |existing| existing.bytes),
    })
}

/// Restores a dump, which `open` opens from its beginning, twice: once to look at all of it, once to pour it.
///
/// # Errors
/// As [`inspect_target`]; [`Kind::Refused`] if the database holds something and may not be replaced, or if the dump would
/// leave its database; [`Kind::Unsupported`] for other content than SQL; [`Kind::Damaged`] for a dump that is not whole or
/// not twice the same; the dump's own failures; the server's words. In each case what stands there is as it was, or the
/// failure says what is not.
pub fn restore_database(
    open: &mut dyn FnMut() -> Result<Box<dyn CheckedDump>>,
    options: &MysqlRestoreOptions,
    context: &SourceContext<'_>,
) -> Result<MysqlRestoreReport> {
    let cancel = context.cancel;
    let target = Target::inspect(&options.place, cancel)?;
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
    let looked = look_through(open()?.as_mut(), context)?;
    let mut warnings: Vec<String> = looked.warnings.clone();
    if let Some(leftover) = target.leftovers(cancel).first() {
        warnings.push(format!(
            "The database `{leftover}` is of a restore that runs now or was killed; drop it if none runs."
        ));
    }
    context.reporter.event(Event::Phase(Phase::Restoring));
    context.reporter.progress().restart();
    let replaced_as = match &target.existing {
        None => {
            into_new(&target, open, &looked, options, &mut warnings, context)?;
            None
        }
        Some(existing) => {
            let now = Timestamp::now().strftime("%Y%m%d_%H%M%S").to_string();
            let replaced = (!existing.empty).then(|| {
                let name_at = |date: &str| suffixed(&target.name, &format!("__replaced_{date}"));
                free_name(Timestamp::now(), name_at, |name| {
                    target.has_database(name, context.cancel)
                })
            });
            let collation = &existing.collation;
            by_swap(
                &target,
                collation,
                replaced.as_deref(),
                &now,
                open,
                &looked,
                options,
                &mut warnings,
                context,
            )?;
            replaced.filter(|replaced| !options.drop_replaced || !dispose(&target, replaced, &mut warnings))
        }
    };
    Ok(MysqlRestoreReport {
        database: target.name,
        replaced_as,
        warnings,
    })
}

/// Creates the database and fills it; drops it again if anything fails.
fn into_new(
    target: &Target,
    open: &mut dyn FnMut() -> Result<Box<dyn CheckedDump>>,
    looked: &Looked,
    options: &MysqlRestoreOptions,
    warnings: &mut Vec<String>,
    context: &SourceContext<'_>,
) -> Result<()> {
    let mut collation = options.collation.as_deref();
    if let Some(wanted) = collation
        && !target.knows_collation(wanted, context.cancel)?
    {
        warnings.push(format!(
            "The server does not know the collation `{wanted}`; the database has the server's default instead."
        ));
        collation = None;
    }
    let name = &target.name;
    target.create(name, collation, context.cancel)?;
    pour(open()?.as_mut(), target, name, looked, context)
        .and_then(|events| {
            let collation = target.collation_of(name, context.cancel)?;
            context.cancel.check()?;
            wake(target, name, &collation, &events)
        })
        .map_err(|failure| clear_up(target, name, failure))
}

/// Fills a scratch database beside the target, then swaps the content of the two.
#[allow(clippy::too_many_arguments, reason = "one use case, told apart only to be read")]
fn by_swap(
    target: &Target,
    collation: &str,
    replaced: Option<&str>,
    now: &str,
    open: &mut dyn FnMut() -> Result<Box<dyn CheckedDump>>,
    looked: &Looked,
    options: &MysqlRestoreOptions,
    warnings: &mut Vec<String>,
    context: &SourceContext<'_>,
) -> Result<()> {
    let random: u32 = rand::rng().random();
    let scratch = suffixed(&target.name, &format!("__restore_{now}_{random:08x}"));
    target.create(&scratch, Some(collation), context.cancel)?;
    pour(open()?.as_mut(), target, &scratch, looked, context)
        .and_then(|events| {
            context.reporter.event(Event::Phase(Phase::Finishing));
            let swap = Swap::plan(target, collation, &scratch, replaced, context.cancel)?;
            context.cancel.check()?;
            swap.run(!options.drop_replaced, &events)
        })
        .map_err(|failure| clear_up(target, &scratch, failure))?;
    if let Err(failure) = target.drop_database(&scratch) {
        let why = failure.causes().join(": ");
        warnings.push(format!("The emptied database `{scratch}` could not be dropped: {why}."));
    }
    Ok(())
}

/// Drops what was replaced; false if it stays.
fn dispose(target: &Target, replaced: &str, warnings: &mut Vec<String>) -> bool {
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

/// What is known of a dump that has been read to its end once.
struct Looked {
    dialect: SqlDialect,
    sha256: [u8; 32],
    warnings: Vec<String>,
}

/// Reads all of a dump: that it is whole and what it claims to be, and that no statement of it leaves its database.
fn look_through(dump: &mut dyn CheckedDump, context: &SourceContext<'_>) -> Result<Looked> {
    let mut buffer = vec![0; POUR_BYTES];
    let mut filled = 0;
    while filled < DETECT_BYTES {
        match read(dump, &mut buffer[filled..])? {
            0 => break,
            count => filled += count,
        }
    }
    let dialect = check_content(&buffer[..filled.min(DETECT_BYTES)])?;
    let mut feed = Feed::new(dialect, false);
    let mut digest = Sha256::new();
    while filled > 0 {
        context.cancel.check()?;
        digest.update(&buffer[..filled]);
        feed.read(&buffer[..filled], &mut |_| Ok(()))?;
        context.reporter.progress().add_plain(filled as u64);
        filled = read(dump, &mut buffer)?;
    }
    dump.verify()?;
    feed.finish(&mut |_| Ok(()))?;
    Ok(Looked {
        dialect,
        sha256: digest.finalize().into(),
        warnings: feed.screen.warnings.into_iter().collect(),
    })
}

/// Pours a dump into a database and returns the events that are to run there, which do not yet.
fn pour(
    dump: &mut dyn CheckedDump,
    target: &Target,
    database: &str,
    looked: &Looked,
    context: &SourceContext<'_>,
) -> Result<Vec<String>> {
    let client = target.server.client();
    let knows_sandbox = client.knows_sandbox();
    let mut program = target
        .server
        .connection()
        .program(client, true)
        // In binary mode a client obeys no commands of its own but `DELIMITER`.
        .args([
            "--batch",
            "--binary-mode",
            "--skip-reconnect",
            "--skip-force",
            "--local-infile=0",
        ])
        .args(["--default-character-set=utf8mb4", PACKET]);
    if knows_sandbox {
        program = program.arg("--sandbox");
    }
    let mut running = program
        .arg(format!("--database={database}"))
        .with_input()
        .start(context.cancel)?;
    // Nothing should come, but a full pipe would stop everything.
    let drain = running.stdout.take().map(|mut stdout| {
        std::thread::spawn(move || {
            let _ = std::io::copy(&mut stdout, &mut std::io::sink());
        })
    });
    let mut feed = Feed::new(looked.dialect, !knows_sandbox);
    let poured = pour_all(dump, &mut feed, &mut running, looked, context);
    let taken = match poured {
        Ok(taken) => taken,
        Err(failure) => {
            running.kill();
            drop(running);
            context.cancel.check()?;
            return Err(failure);
        }
    };
    let exit = running.wait()?;
    if let Some(drain) = drain {
        let _ = drain.join();
    }
    context.cancel.check()?;
    if !exit.is_success() || !taken {
        let trouble = Trouble::read(&exit.stderr_tail);
        return Err(load_failure(trouble, &exit.describe(), target, database));
    }
    Ok(feed.screen.events.into_iter().collect())
}

/// Pours everything; false if the client did not take it all, in which case its own words say why.
fn pour_all(
    dump: &mut dyn CheckedDump,
    feed: &mut Feed,
    client: &mut Running,
    looked: &Looked,
    context: &SourceContext<'_>,
) -> Result<bool> {
    let progress = context.reporter.progress();
    let mut digest = Sha256::new();
    let mut buffer = vec![0; POUR_BYTES];
    let mut taken = true;
    let mut pass = |bytes: &[u8]| -> Result<()> {
        let Some(stdin) = client.stdin.as_mut().filter(|_| taken) else {
            return Ok(());
        };
        match stdin.write_all(bytes) {
            Ok(()) => Ok(()),
            Err(error) if error.kind() == ErrorKind::BrokenPipe => {
                taken = false;
                Ok(())
            }
            Err(error) => Err(from_io("write to the client", error)),
        }
    };
    loop {
        context.cancel.check()?;
        let count = read(dump, &mut buffer)?;
        if count == 0 {
            break;
        }
        digest.update(&buffer[..count]);
        feed.read(&buffer[..count], &mut pass)?;
        progress.add_plain(count as u64);
        (0..feed.take_tables()).for_each(|_| progress.add_item());
    }
    feed.finish(&mut pass)?;
    dump.verify()?;
    if <[u8; 32]>::from(digest.finalize()) != looked.sha256 {
        return Err(
            Failure::new(Kind::Damaged, "The dump was not the same when it was read again")
                .hint("Was it replaced meanwhile? Try again, and look at the store if that does not help"),
        );
    }
    Ok(taken)
}

fn read(dump: &mut dyn CheckedDump, buffer: &mut [u8]) -> Result<usize> {
    loop {
        match dump.read(buffer) {
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            other => return other.map_err(|error| from_io("read the dump", error)),
        }
    }
}

fn check_content(head: &[u8]) -> Result<SqlDialect> {
    let content = detect(head);
    let unsupported = |what: &str, hint: &str| {
        Err(Failure::new(
            Kind::Unsupported,
            format!("This is {what}, which cannot be restored into MySQL or MariaDB"),
        )
        .hint(hint))
    };
    match content {
        Content::Sql => {}
        Content::Empty => {
            return Err(Failure::new(Kind::Damaged, "The dump is empty").hint("Restore another backup"));
        }
        other => return unsupported(other.describe(), "Restore it to a file or a folder"),
    }
    match sql_dialect(head) {
        SqlDialect::Postgres => unsupported("a dump of PostgreSQL", "Restore it into PostgreSQL, or to a file"),
        SqlDialect::Sqlite => unsupported("a dump of SQLite", "Restore it to a file and read it with sqlite3"),
        dialect => Ok(dialect),
    }
}

fn load_failure(trouble: Trouble, ending: &str, target: &Target, database: &str) -> Failure {
    let hint = match trouble.number {
        Some(1273 | 1115) => Some(
            "The dump uses a collation or character set that this server does not know; restore into a server of the same make and version",
        ),
        Some(1153) => Some("Raise max_allowed_packet on the server: a row of the dump is longer"),
        Some(1064) => Some("The dump may be for another make or a newer version of the server; restore into that"),
        Some(1146) => Some("Something in the dump refers to a table that is not in it, perhaps of another database"),
        _ => None,
    };
    let hint = hint
        .map(str::to_owned)
        .or_else(|| trouble.hint(target.server.connection().url()));
    let kind = match trouble.kind() {
        Kind::NotFound => Kind::Failed,
        kind => kind,
    };
    let message = format!(
        "The dump could not be loaded into the new database `{database}`: `{}` ended with {ending}",
        target.server.client().name()
    );
    let failure = Failure::new(kind, message).caused_by(trouble);
    match hint {
        Some(hint) => failure.hint(hint),
        None => failure.hint("The server's log may say more"),
    }
}
