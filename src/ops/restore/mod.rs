//! Bringing a backup back: plan first, then act, and leave the target as it was if anything fails.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::Run;
use super::backup::BackupOptions;
use super::located::Backup;
use super::plaintext::Plaintext;
use super::reveal::{judge_key, reveal};
use super::thaw::require_readable;
use crate::base::failure::{Failure, Kind, Result};
use crate::base::report::Phase;
use crate::catalog::listing::is_uncommitted;
use crate::catalog::manifest::{Counts, Problem, State};
use crate::catalog::selection::Chosen;
use crate::source::detect::Content;
use crate::source::directory::{
    ContentLog, Existing, PathSelection, TreeRestoreOptions, TreeRestoreReport, check_tree_target,
};
use crate::source::mysql::{MysqlTarget, MysqlUrl, NOT_UNDONE};
use crate::source::postgres::{PostgresTarget, PostgresUrl};
use crate::source::sqlite::SqliteTarget;
use crate::store::Store;

mod database;
mod into_tables;
mod mysql;
mod one;
mod raw;
mod sqlite;
mod tables;
mod tree;

/// Where a backup is to go.
#[derive(Clone, Debug)]
pub enum RestoreTarget {
    /// A path: a folder for an archive of files, the file of an SQLite database, a file that receives the plaintext of
    /// anything else.
    Path(PathBuf),
    /// A database, for an SQL dump; the URL names it.
    Database(PostgresUrl),
    /// A MySQL or MariaDB database, for an SQL dump; the URL names it.
    Mysql(MysqlUrl),
    /// The file of an SQLite database, and nothing else.
    Sqlite(PathBuf),
    /// The caller's stream receives the plaintext as it is.
    Stream,
}

impl std::fmt::Display for RestoreTarget {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Path(path) => path.display().fmt(f),
            Self::Database(url) => url.fmt(f),
            Self::Mysql(url) => url.fmt(f),
            Self::Sqlite(path) => write!(f, "sqlite://{}", path.display()),
            Self::Stream => f.write_str("standard output"),
        }
    }
}

/// Where and how the backup of what will be replaced is made.
#[derive(Clone)]
pub struct SafetyBackup {
    /// Where it goes.
    pub store: Arc<dyn Store>,
    /// How it is made; its name is that of a series of its own.
    pub options: BackupOptions,
}

/// What is asked of a restore.
#[derive(Clone)]
pub struct RestoreOptions {
    /// Where the backup goes.
    pub target: RestoreTarget,
    /// Only these paths of an archive of files, without slashes at their ends; exactly one if the target is a stream.
    pub paths: Vec<Vec<u8>>,
    /// Only these tables of a plain dump: globs for `schema.table`, or without a dot for the name in any schema.
    pub tables: Vec<String>,
    /// With the tables all that belongs to them, as far as the dump shows it: what makes them, indexes, constraints, triggers.
    pub with_schema: bool,
    /// Only what matches these globs.
    pub include: Vec<String>,
    /// Not what matches these globs.
    pub exclude: Vec<String>,
    /// What to do if the target folder is not empty, or the target file exists.
    pub existing: Existing,
    /// Drop the replaced database instead of keeping it under a dated name.
    pub drop_replaced: bool,
    /// Keep the replaced file of an SQLite database under a dated name.
    pub keep_replaced: bool,
    /// How to back up what will be replaced; `None` if the user declined.
    pub safety: Option<SafetyBackup>,
    /// The one folder in which a database's clients are looked for.
    pub client_folder: Option<PathBuf>,
    /// Threads that inflate.
    pub threads: usize,
    /// Where to write down what the content of each file of an archive was.
    pub content_log: Option<ContentLog>,
}

impl RestoreOptions {
    /// Everything, to a target that is empty or not there.
    #[must_use]
    pub fn new(target: RestoreTarget) -> Self {
        Self {
            target,
            paths: Vec::new(),
            tables: Vec::new(),
            with_schema: false,
            include: Vec::new(),
            exclude: Vec::new(),
            existing: Existing::Refuse,
            drop_replaced: false,
            keep_replaced: false,
            safety: None,
            client_folder: None,
            threads: crate::pipeline::default_threads(),
            content_log: None,
        }
    }
}

/// What a restore is about to do; holds what it has opened.
pub struct RestorePlan {
    /// The backup.
    pub chosen: Chosen,
    /// What it is, found by its bytes.
    pub content: Content,
    /// What will be lost or changed at the target, in a sentence; `None` if nothing is.
    pub destructive: Option<String>,
    /// What the user should know before, each in a sentence.
    pub remarks: Vec<String>,
    store: Arc<dyn Store>,
    way: Way,
}

enum Way {
    Tree {
        options: TreeRestoreOptions,
        from: tree::From,
    },
    Database {
        url: PostgresUrl,
        before: PostgresTarget,
        from: database::From,
    },
    Sqlite {
        before: SqliteTarget,
        plaintext: Plaintext,
    },
    Mysql {
        url: MysqlUrl,
        before: MysqlTarget,
        plaintext: Plaintext,
        reopen: Box<mysql::Reopen>,
    },
    File {
        path: PathBuf,
        plaintext: Plaintext,
    },
    Stream {
        plaintext: Plaintext,
    },
    One(one::One),
    Tables(into_tables::TablesWay),
}

/// What a restore has done.
#[derive(Clone, Debug, Default)]
pub struct RestoreReport {
    /// The id of the backup.
    pub id: String,
    /// Where it went.
    pub target: String,
    /// Files, folders and other things brought back, for an archive of files.
    pub tree: Option<TreeRestoreReport>,
    /// Tables and rows, for single tables of a dump.
    pub tables: Option<Counts>,
    /// Plaintext bytes written.
    pub plain_bytes: u64,
    /// The name under which the replaced database is kept.
    pub replaced_as: Option<String>,
    /// The id of the safety backup.
    pub safety_backup: Option<String>,
    /// What the user should look into.
    pub warnings: Vec<String>,
    /// Items that could not be brought back as they were.
    pub problems: Vec<Problem>,
    /// How many there were in all.
    pub problem_count: u64,
}

/// Finds out what a restore would do; reads the beginning of the backup and looks at the target, changes nothing.
///
/// # Errors
/// Whatever would make the restore fail before it changes anything.
pub fn plan_restore(
    store: &Arc<dyn Store>,
    chosen: Chosen,
    options: &RestoreOptions,
    run: &Run,
) -> Result<RestorePlan> {
    let subject = chosen.clone();
    plan(store, chosen, options, run).map_err(|failure| judge_key(store, &subject, failure, run))
}

fn plan(store: &Arc<dyn Store>, mut chosen: Chosen, options: &RestoreOptions, run: &Run) -> Result<RestorePlan> {
    run.phase(Phase::Preparing);
    require_readable(store, &chosen, run)?;
    let mut remarks = remarks_on(store, &chosen)?;
    match reveal(store, &mut chosen, run) {
        // The data needs no index, and what was encrypted is known to be whole when it has been decrypted.
        Err(failure) if matches!(failure.kind(), Kind::NotFound | Kind::Damaged) => remarks.push(format!(
            "The index cannot be read, so the content is not compared with the digest that stands there: {failure}."
        )),
        other => other?,
    }
    remarks.extend(database::part_remark(&chosen));
    let selective = !options.include.is_empty() || !options.exclude.is_empty();
    if !options.tables.is_empty() && (selective || !options.paths.is_empty()) {
        return Err(Failure::new(Kind::Usage, "Tables and files are not chosen together")
            .hint("Leave out paths, --include and --exclude for a dump, and --table for an archive of files"));
    }
    match &options.target {
        RestoreTarget::Path(_) => {}
        RestoreTarget::Stream if selective || options.paths.len() > 1 => return Err(several_to_a_stream()),
        RestoreTarget::Stream => {}
        RestoreTarget::Database(_) | RestoreTarget::Mysql(_) | RestoreTarget::Sqlite(_) => {
            if selective || !options.paths.is_empty() {
                return Err(choice_without_files("the target is not a folder"));
            }
        }
    }
    let selective = selective || !options.paths.is_empty();
    if let Some(manifest) = &chosen.manifest {
        let items = manifest.counts.files.or(manifest.counts.tables);
        run.reporter
            .progress()
            .set_totals(manifest.plain_bytes, items.unwrap_or(0));
    }
    let (way, content, destructive) =
        plan_way(store, &chosen, options, selective, &mut remarks, run).map_err(|failure| match failure.kind() {
            Kind::Damaged => not_restored(failure, &chosen.found.id, &options.target.to_string(), options),
            _ => failure,
        })?;
    Ok(RestorePlan {
        store: store.clone(),
        chosen,
        content,
        destructive,
        remarks,
        way,
    })
}

/// How the content gets to its target, what it is, and what would be lost.
fn plan_way(
    store: &Arc<dyn Store>,
    chosen: &Chosen,
    options: &RestoreOptions,
    selective: bool,
    remarks: &mut Vec<String>,
    run: &Run,
) -> Result<(Way, Content, Option<String>)> {
    if !options.tables.is_empty() {
        let backup = Backup {
            store,
            chosen,
            threads: options.threads,
            run,
        };
        let (way, destructive) = into_tables::plan(&backup, options, remarks)?;
        return Ok((Way::Tables(way), Content::Sql, destructive));
    }
    match &options.target {
        RestoreTarget::Path(path) => plan_path(store, chosen, path, options, selective, remarks, run),
        RestoreTarget::Database(url) => {
            let (plaintext, content) = Plaintext::open(store, chosen, options.threads, run)?;
            let before = database::inspect(url, content, chosen, options, run)?;
            let destructive = database::destruction(url, &before, chosen, options);
            let way = Way::Database {
                url: url.clone(),
                before,
                from: database::From::new(plaintext, store, chosen),
            };
            Ok((way, content, destructive))
        }
        RestoreTarget::Mysql(url) => {
            let (plaintext, content) = Plaintext::open(store, chosen, options.threads, run)?;
            let before = mysql::inspect(url, content, chosen, options, run)?;
            let destructive = mysql::destruction(url, &before, chosen, options);
            let way = Way::Mysql {
                url: url.clone(),
                before,
                plaintext,
                reopen: Box::new(mysql::Reopen {
                    store: store.clone(),
                    chosen: chosen.clone(),
                    threads: options.threads,
                }),
            };
            Ok((way, content, destructive))
        }
        RestoreTarget::Sqlite(path) => {
            let (plaintext, content) = Plaintext::open(store, chosen, options.threads, run)?;
            sqlite::check_content(path, content, chosen)?;
            plan_sqlite(path, plaintext, options, run)
        }
        RestoreTarget::Stream if selective => {
            let backup = Backup {
                store,
                chosen,
                threads: options.threads,
                run,
            };
            let path = options.paths.first().map(Vec::as_slice).unwrap_or_default();
            let one = one::open(&backup, path, remarks)?;
            Ok((Way::One(one), Content::Tar, None))
        }
        RestoreTarget::Stream => {
            let (plaintext, content) = Plaintext::open(store, chosen, options.threads, run)?;
            Ok((Way::Stream { plaintext }, content, None))
        }
    }
}

/// Files go into a folder, from the whole archive or from the ranges of what is selected; anything else becomes a file.
fn plan_path(
    store: &Arc<dyn Store>,
    chosen: &Chosen,
    path: &Path,
    options: &RestoreOptions,
    selective: bool,
    remarks: &mut Vec<String>,
    run: &Run,
) -> Result<(Way, Content, Option<String>)> {
    let mut tree_options = TreeRestoreOptions {
        target: path.to_owned(),
        selection: PathSelection::new(&options.include, &options.exclude)?.with_paths(&options.paths),
        existing: options.existing,
        owners: None,
        expect_end: true,
        content_log: options.content_log.clone(),
    };
    let from = tree::open(
        store,
        chosen,
        &mut tree_options,
        &options.paths,
        options.threads,
        remarks,
        run,
    )?;
    let content = from.content();
    if content == Content::Tar {
        check_tree_target(&tree_options)?;
        let destructive = tree::destruction(&tree_options);
        let way = Way::Tree {
            options: tree_options,
            from,
        };
        return Ok((way, content, destructive));
    }
    if selective {
        return Err(choice_without_files(&format!(
            "`{}` is {}",
            chosen.found.id,
            content.describe()
        )));
    }
    if path.is_dir() {
        return Err(not_a_tree(chosen, content));
    }
    if content == Content::Sqlite {
        return plan_sqlite(path, from.into_plaintext()?, options, run);
    }
    let destructive = raw::check_file(path, options.existing)?;
    let way = Way::File {
        path: path.to_owned(),
        plaintext: from.into_plaintext()?,
    };
    Ok((way, content, destructive))
}

fn plan_sqlite(
    path: &Path,
    plaintext: Plaintext,
    options: &RestoreOptions,
    run: &Run,
) -> Result<(Way, Content, Option<String>)> {
    let before = sqlite::inspect(path, options, run)?;
    let destructive = sqlite::destruction(&before, options);
    Ok((Way::Sqlite { before, plaintext }, Content::Sqlite, destructive))
}

fn choice_without_files(why: &str) -> Failure {
    Failure::new(
        Kind::Usage,
        format!("Paths, --include and --exclude choose among files, but {why}"),
    )
    .hint("Leave them out, or restore an archive of files with --to DIR")
}

fn several_to_a_stream() -> Failure {
    Failure::new(
        Kind::Usage,
        "Only one file or folder goes to standard output, and it has to be spelled out",
    )
    .hint("Write its path after the backup, as `backup-cli ls` shows it: `backup-cli restore BACKUP PATH --to -`")
    .hint("Restore several into a folder: `--to DIR`")
}

/// The failure of a path that a backup does not hold.
fn not_there(id: &str, path: &[u8]) -> Failure {
    Failure::new(
        Kind::NotFound,
        format!("Nothing at `{}` in `{id}`", String::from_utf8_lossy(path)),
    )
    .hint(format!(
        "Paths begin with the source's base name; `backup-cli ls {id}` shows them all"
    ))
}

/// Does what was planned. `output` receives the plaintext if the target is [`RestoreTarget::Stream`].
///
/// # Errors
/// Anything that leaves the restore unproved; the target is then as it was before (a stream has received a part).
pub fn restore(
    plan: RestorePlan,
    options: &RestoreOptions,
    output: &mut dyn Write,
    run: &Run,
) -> Result<RestoreReport> {
    run.phase(Phase::Restoring);
    let mut report = RestoreReport {
        id: plan.chosen.found.id.clone(),
        target: options.target.to_string(),
        ..RestoreReport::default()
    };
    let (store, chosen) = (plan.store, plan.chosen);
    match plan.way {
        Way::Tree { options, from } => tree::restore(from, &options, &mut report, run),
        Way::Mysql {
            url,
            before,
            plaintext,
            reopen,
        } => mysql::restore(plaintext, &reopen, &url, &before, options, &mut report, run),
        Way::Sqlite { before, plaintext } => sqlite::restore(plaintext, &before, options, &mut report, run),
        Way::Database { url, before, from } => database::restore(from, url, &before, options, &mut report, run),
        Way::File { path, plaintext } => raw::to_file(plaintext, &path, options.existing, &mut report, run),
        Way::Tables(way) => into_tables::restore(way, options, output, &mut report, run),
        Way::One(one) => one::restore(one, output, &mut report, run),
        Way::Stream { plaintext } => raw::to_stream(plaintext, output, &mut report, run),
    }
    .map_err(|failure| {
        let failure = judge_key(&store, &chosen, failure, run);
        let failure = match is_undone(&failure) {
            true => run.interruption_or(failure),
            false => failure,
        };
        not_restored(failure, &report.id, &report.target, options)
    })?;
    Ok(report)
}

/// Whether the target is as it was before, as it is after all failures but those that say otherwise.
fn is_undone(failure: &Failure) -> bool {
    !failure.hints().iter().any(|hint| hint.starts_with(NOT_UNDONE))
}

/// Says of a restore that failed which one it was, and what became of the target.
fn not_restored(failure: Failure, id: &str, target: &str, options: &RestoreOptions) -> Failure {
    let is_stream = matches!(options.target, RestoreTarget::Stream);
    if failure.kind() == Kind::Interrupted {
        return match is_stream {
            true => failure,
            false => failure.hint("The target is as it was before"),
        };
    }
    let target = match is_stream {
        true => target.to_owned(),
        false => format!("`{target}`"),
    };
    let mut failure = failure.context(format!("Could not restore `{id}` to {target}"));
    if failure.kind() == Kind::Damaged && failure.hints().is_empty() {
        failure = failure.hint("Choose an older backup: `backup-cli list` shows them");
    }
    if !is_undone(&failure) {
        return failure;
    }
    match is_stream {
        true => failure.hint("What was written to standard output is not to be trusted; throw it away"),
        false => failure.hint("The target is as it was before"),
    }
}

fn remarks_on(store: &Arc<dyn Store>, chosen: &Chosen) -> Result<Vec<String>> {
    let mut remarks = Vec::new();
    match &chosen.manifest {
        None => {
            if chosen.found.manifest_key.is_some() {
                remarks.push(format!(
                    "The manifest of `{}` cannot be read, so only the data's own checksums can be checked.",
                    chosen.found.data_key
                ));
            } else if is_uncommitted(store.as_ref(), &chosen.found)? {
                remarks.push(format!(
                    "`{}` was left by a run of this tool that never committed it; whether it is whole is not known.",
                    chosen.found.data_key
                ));
            } else {
                remarks.push(format!(
                    "`{}` is unmanaged: it has no manifest, so only its own checksums can be checked.",
                    chosen.found.data_key
                ));
            }
        }
        Some(manifest) if manifest.state == State::Partial => remarks.push(format!(
            "`{}` is partial: {} items could not be read when it was made; `backup-cli show {}` names them.",
            manifest.id, manifest.problem_count, manifest.id
        )),
        Some(_) => {}
    }
    Ok(remarks)
}

fn not_a_tree(chosen: &Chosen, content: Content) -> Failure {
    let id = &chosen.found.id;
    let failure = Failure::new(
        Kind::Usage,
        format!(
            "`{id}` is {}, not an archive of files, and cannot be unpacked into a folder",
            content.describe()
        ),
    );
    match content {
        Content::Sql => failure.hint(format!(
            "Restore it into a database with --to postgres://…/NAME or mysql://…/NAME, or write it to a file: `backup-cli restore {id} --to ./dump.sql`"
        )),
        Content::PgDumpCustom => failure.hint(format!(
            "Restore it into a database with --to postgres://…/NAME, or write it to a file: `backup-cli restore {id} --to ./FILE.dump`"
        )),
        Content::Sqlite => failure.hint(format!("Name the file: `backup-cli restore {id} --to ./app.db`")),
        _ => failure.hint(format!("Write it to a file: `backup-cli restore {id} --to ./FILE`")),
    }
}
