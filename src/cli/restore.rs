//! `restore`: brings a backup back.

use clap::{ArgGroup, Args as ClapArgs};

use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;
use std::time::Duration;

use super::assemble::{UNNAMED_DATABASE, is_postgres, safety_backup, sqlite_stem};
use super::databases::mysql_url;
use super::target::{DayTime, Target, find, find_file, parse_time, warn_if_damaged, warn_if_flagged};
use super::words::{self, count, lines, time, trimmed};
use super::{Context, TransferArgs, help};
use crate::base::failure::{Failure, Kind, Result};
use crate::base::report::Reporter;
use crate::base::secret::redact;
use crate::base::units::{format_bytes, format_duration};
use crate::catalog::manifest::Counts;
use crate::catalog::selection::Chosen;
use crate::config::{Flags, table};
use crate::ops::Run;
use crate::ops::restore::{RestoreOptions, RestorePlan, RestoreReport, RestoreTarget, plan_restore, restore};
use crate::ops::thaw::{ThawOptions, archived_data, ask, check_tier, wait};
use crate::source::directory::Existing;
use crate::source::mysql::MysqlUrl;
use crate::source::postgres::{GLOBALS_KIND, PostgresUrl};
use crate::source::sqlite::{is_database, is_sqlite, parse_url};
use crate::store::address::StoreAddress;
use crate::store::archive::ThawTier;
use crate::ui::escape::escape_text;

/// Bring a backup back
///
/// The target of a directory is a folder, which must be empty or not exist, unless --merge or --replace is given. The
/// target of a database is its URL, or the file of an SQLite database; a database that is there already is backed up
/// first, then replaced. A PostgreSQL database that is replaced is kept under a dated name, the file of an SQLite database
/// only with --keep-replaced. What is replaced is left as it was until everything has been restored and checked.
///
/// Data in an archive such as GLACIER or DEEP_ARCHIVE has to be thawed first: --thaw asks for it, and the same command
/// restores it when it is there.
///
/// A restore that replaces something asks for confirmation on a terminal, and is refused elsewhere without --confirm. A
/// database in which nobody has made anything yet is filled without a question; sessions on it are ended.
#[derive(Clone, Debug, Default, ClapArgs)]
#[command(
    after_long_help = help::closing("restore"),
    group = ArgGroup::new("what").args(["backup", "from_s3_latest", "from_s3", "list_s3", "backup_file"]),
)]
pub struct Args {
    /// An id, a unique prefix of one, latest, oldest, NAME@latest, or an s3:// URL or path [default: latest]
    #[arg(value_name = "BACKUP")]
    pub backup: Option<String>,

    /// Restore only these files or folders, as `ls` shows them; with --to - the one file's content, or a folder as tar
    #[arg(value_name = "PATH", requires = "backup")]
    pub paths: Vec<OsString>,

    /// Restore the newest backup of the bucket
    #[arg(long)]
    pub from_s3_latest: bool,

    /// Restore this object
    #[arg(long, value_name = "URL")]
    pub from_s3: Option<String>,

    /// Restore this file
    #[arg(long, value_name = "FILE", value_hint = clap::ValueHint::FilePath)]
    pub backup_file: Option<std::path::PathBuf>,

    /// List what could be restored, and restore nothing
    #[arg(long)]
    pub list_s3: bool,

    /// Where to: a folder, a file, `-` for standard output, or a URL such as postgres://user@host/database, mysql://…, sqlite:///path
    #[arg(long, value_name = "TARGET", value_hint = clap::ValueHint::AnyPath, allow_hyphen_values = true)]
    pub to: Option<String>,

    /// Restore only what matches; may be repeated
    #[arg(long, value_name = "GLOB")]
    pub include: Vec<String>,

    /// Leave out what matches; may be repeated
    #[arg(long, value_name = "GLOB")]
    pub exclude: Vec<String>,

    /// Restore only these tables of a plain dump: [SCHEMA.]TABLE, `*` for any letters, double quotes around names with dots; may be repeated
    #[arg(long, value_name = "TABLE")]
    pub table: Vec<String>,

    /// With --table, what makes the tables too: definitions, sequences, indexes, constraints, triggers, rights
    #[arg(long, requires = "table")]
    pub with_schema: bool,

    /// Restore into a folder that is not empty; files of the backup replace those with the same path
    #[arg(long, conflicts_with = "replace")]
    pub merge: bool,

    /// Replace what is there: top-level items of the folder with the same names, the file, or the rows of the tables
    #[arg(long)]
    pub replace: bool,

    /// Drop the replaced database instead of keeping it under a dated name, as is done with an SQLite file anyway
    #[arg(long)]
    pub drop_replaced: bool,

    /// Keep the replaced file of an SQLite database under a dated name, as is done with a PostgreSQL database anyway
    #[arg(long, conflicts_with = "drop_replaced")]
    pub keep_replaced: bool,

    /// Do not back up first what is replaced
    #[arg(long)]
    pub no_safety_backup: bool,

    /// The newest backup that was there at this time, for example 2025-01-31T12:00:00Z
    #[arg(long, value_name = "TIME")]
    pub at: Option<String>,

    /// Ask for data that lies in an archive such as GLACIER; without --wait, that is all that is done (exit 3)
    #[arg(long, help_heading = "Archives")]
    pub thaw: bool,

    /// How fast archived data is wanted; faster costs more
    #[arg(long, value_name = "TIER", value_enum, default_value_t = Tier::Standard, requires = "thaw", help_heading = "Archives")]
    pub tier: Tier,

    /// How many days thawed copies stay
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=3650), requires = "thaw", help_heading = "Archives")]
    pub thaw_days: u32,

    /// Wait until the data has been thawed, and go on with the restore
    #[arg(long, requires = "thaw", help_heading = "Archives")]
    pub wait: bool,

    /// Show what would be done, without doing it
    #[arg(long, short = 'n')]
    pub dry_run: bool,

    /// Go ahead without asking
    #[arg(long, short = 'y', visible_alias = "yes")]
    pub confirm: bool,

    #[allow(missing_docs)]
    #[command(flatten)]
    pub transfer: TransferArgs,
}

/// How fast archived data is wanted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Tier {
    /// Within hours
    #[default]
    Standard,
    /// Within half a day, or two days out of a deep archive; the cheapest
    Bulk,
    /// Within minutes; not out of a deep archive
    Expedited,
}

impl Args {
    /// These options as a layer of settings.
    ///
    /// A backup that is named by its URL says which store it is in.
    #[must_use]
    pub fn flags(&self) -> Flags {
        let (flag, url) = match (&self.from_s3, &self.backup) {
            (Some(url), _) => ("--from-s3", Some(url)),
            (None, backup) => ("BACKUP", backup.as_ref()),
        };
        let store = url.and_then(|url| store_of_object(url));
        Flags::default()
            .text(&table::STORE, flag, store.as_deref())
            .switch(
                &table::SAFETY_BACKUP,
                "--no-safety-backup",
                self.no_safety_backup.then_some(false),
            )
            .and(self.transfer.flags())
    }
}

/// The store that an object's URL points into: without the file name, and without the folder of the date.
fn store_of_object(url: &str) -> Option<String> {
    let key_start = "s3://".len() + url.strip_prefix("s3://")?.find('/')?;
    let folder = &url[..url.rfind('/')?.max(key_start)];
    let is_date = |name: &str| name.len() == 8 && name.bytes().all(|byte| byte.is_ascii_digit());
    match folder.rsplit_once('/') {
        Some((above, name)) if is_date(name) && above.len() >= key_start => Some(above.to_owned()),
        _ => Some(folder.to_owned()),
    }
}

/// Brings the backup back.
///
/// # Errors
/// Whatever keeps it from being restored whole; [`Kind::Refused`] where a guard says no.
pub fn run(args: &Args, context: &Context) -> Result<()> {
    if args.from_s3_latest {
        refuse_folder(context)?;
    }
    if args.list_s3 {
        return super::list::run(&super::list::Args::default(), context);
    }
    let run = context.run();
    let began = std::time::Instant::now();
    let at = args.at.as_deref().map(|at| parse_time(at, DayTime::Last)).transpose()?;
    let found = match (&args.backup_file, args.from_s3.as_ref().or(args.backup.as_ref())) {
        (Some(file), _) => find_file(file, context, &run)?,
        (None, Some(text)) => find(text, at, context, &run)?,
        (None, None) => find("latest", at, context, &run)?,
    };
    warn_if_damaged(&found, context)?;
    warn_if_flagged(&found.store, &found.chosen, context, &run)?;
    let options = options(args, &found, context, &run)?;
    if args.thaw && !thaw_first(args, &found, context, &run)? {
        return Ok(());
    }
    let plan = plan_restore(&found.store, found.chosen, &options, &run)?;
    plan.remarks.iter().for_each(|remark| context.console.note(remark));
    if args.dry_run {
        context.listener.end();
        return print_plan(&plan, &options, &found.store.url(), context);
    }
    if let Some(loss) = &plan.destructive
        && !args.confirm
    {
        context.listener.end();
        if !context
            .console
            .confirm(&format!("{loss}. Go ahead?"), &context.cancel)?
        {
            return Err(Failure::new(Kind::Refused, "Not confirmed, so nothing was changed")
                .hint("Answer `y` to go ahead, or look first with --dry-run"));
        }
    }
    // Not locked for the whole run: the lines of --json go to standard output meanwhile, from another thread.
    let report = restore(plan, &options, &mut std::io::stdout(), &run)?;
    context.listener.end();
    report
        .warnings
        .iter()
        .for_each(|warning| context.console.warning(warning));
    print_summary(&report, began.elapsed(), context)?;
    if report.problem_count > 0 {
        return Err(Failure::new(
            Kind::Incomplete,
            format!(
                "{} not restored as they were",
                count(report.problem_count, "item was", "items were")
            ),
        )
        .hint("Everything else is in its place; each of them was named above"));
    }
    Ok(())
}

/// Has the data thawed if it lies in an archive; whether the restore can go on.
fn thaw_first(args: &Args, found: &Target, context: &Context, run: &Run) -> Result<bool> {
    let options = ThawOptions {
        tier: match args.tier {
            Tier::Standard => ThawTier::Standard,
            Tier::Bulk => ThawTier::Bulk,
            Tier::Expedited => ThawTier::Expedited,
        },
        days: args.thaw_days,
    };
    let data = match args.dry_run {
        true => {
            let data = archived_data(&found.store, &found.chosen, run)?;
            check_tier(&data, options.tier)?;
            data
        }
        false => ask(&found.store, &found.chosen, options, run)?,
    };
    if let (0, until) = (data.unreadable(), data.thawed_until()) {
        if let Some(until) = until {
            context
                .console
                .note(&format!("The data is thawed, and can be read until {}.", time(until)));
        }
        return Ok(true);
    }
    if args.wait && !args.dry_run {
        wait(&found.store, &found.chosen, options, run)?;
        return Ok(true);
    }
    context.listener.end();
    let id = &found.chosen.found.id;
    let expected = format_duration(data.expected(options.tier));
    if context.console.is_json() {
        context.console.json_line(&serde_json::json!({
            "message_type": "summary",
            "dry_run": args.dry_run,
            "snapshot_id": id,
            "state": "thawing",
            "objects_thawing": data.unreadable(),
            "objects_asked_for": data.unasked(),
            "seconds_expected": data.expected(options.tier).as_secs(),
        }))?;
    }
    let objects = |number| count(number, "data object", "data objects");
    if args.dry_run {
        if !context.console.is_json() {
            let asked = objects(data.unasked());
            context.console.summary(&escape_text(&format!(
                "Would ask for {asked} of {id}, which would take up to {expected}, but this is a dry run."
            )))?;
        }
        return Ok(false);
    }
    Err(Failure::new(
        Kind::Incomplete,
        format!(
            "`{id}` is not restored yet: {} of it {} being thawed, which takes up to {expected}",
            objects(data.unreadable()),
            if data.unreadable() == 1 { "is" } else { "are" }
        ),
    )
    .hint("Run the same command again then, or now with --wait to wait for it"))
}

/// The newest backup of the bucket is not the newest one of a folder that stands in for it.
fn refuse_folder(context: &Context) -> Result<()> {
    match &context.settings.store.value {
        StoreAddress::S3 { .. } => Ok(()),
        StoreAddress::Local { .. } => Err(Failure::new(
            Kind::Config,
            format!(
                "S3 is not configured: backups live in `{}`",
                context.settings.store.value
            ),
        )
        .hint("Set BACKUP_S3_BUCKET (and not BACKUP_USE_AWS=false), or write --store s3://bucket/prefix")
        .hint("`backup-cli restore latest` restores from the folder")),
    }
}

fn options(args: &Args, found: &Target, context: &Context, run: &Run) -> Result<RestoreOptions> {
    let target = target(args, &found.chosen, context)?;
    let safety = match &target {
        _ if !*context.settings.safety_backup => None,
        RestoreTarget::Database(url) => Some(url.database().unwrap_or(UNNAMED_DATABASE).to_owned()),
        RestoreTarget::Mysql(url) => url.database().map(str::to_owned),
        RestoreTarget::Path(path) | RestoreTarget::Sqlite(path) => is_database(path).then(|| sqlite_stem(path)),
        RestoreTarget::Stream => None,
    };
    let safety = safety
        .map(|database| safety_backup(&context.settings, &database, run))
        .transpose()?;
    let client_folder = match &target {
        RestoreTarget::Mysql(_) => &context.settings.mysql_client_folder.value,
        _ => &context.settings.pg_client_folder.value,
    };
    Ok(RestoreOptions {
        target,
        paths: paths(args)?,
        tables: args.table.clone(),
        with_schema: args.with_schema,
        include: args.include.clone(),
        exclude: args.exclude.clone(),
        existing: match (args.merge, args.replace) {
            (true, _) => Existing::Merge,
            (false, true) => Existing::Replace,
            (false, false) => Existing::Refuse,
        },
        drop_replaced: args.drop_replaced,
        keep_replaced: args.keep_replaced,
        safety,
        client_folder: client_folder.clone(),
        threads: context.settings.threads.value,
        content_log: None,
    })
}

/// The paths as an index has them: without slashes at their ends.
fn paths(args: &Args) -> Result<Vec<Vec<u8>>> {
    args.paths
        .iter()
        .map(|path| match trimmed(path.as_bytes()) {
            [] => Err(
                Failure::new(Kind::Usage, format!("Not a path in a backup: `{}`", path.display()))
                    .hint("Leave it out to restore everything; `backup-cli ls BACKUP` shows the paths"),
            ),
            path => Ok(path.to_vec()),
        })
        .collect()
}

/// Where to: what `--to` says; for a database, else the one that the settings name.
fn target(args: &Args, chosen: &Chosen, context: &Context) -> Result<RestoreTarget> {
    match args.to.as_deref() {
        Some("-") => return Ok(RestoreTarget::Stream),
        Some(url) if is_database_url(url) => return database_target(url, context),
        Some(url) if url.contains("://") => {
            return Err(
                Failure::new(Kind::Usage, format!("This version cannot restore to `{}`", redact(url)))
                    .hint("Write a folder, a file, postgres://…/NAME, mysql://…/NAME, sqlite:///PATH, or `-` for standard output"),
            );
        }
        Some(path) => return Ok(RestoreTarget::Path(PathBuf::from(path))),
        None => {}
    }
    let settings = &context.settings;
    let mut databases = settings
        .sources
        .value
        .iter()
        .map(String::as_str)
        .chain(settings.database_url.value.as_deref());
    let database = match kind_of(chosen) {
        Some(Database::Sqlite) => databases.find(|url| is_sqlite(url)),
        Some(Database::Postgres) => databases.find(|url| is_postgres(url)),
        Some(Database::Mysql) => databases.find(|url| MysqlUrl::is_one(url)),
        Some(Database::Dump) => databases.find(|url| is_postgres(url) || MysqlUrl::is_one(url)),
        None => None,
    };
    match database {
        Some(url) => database_target(url, context),
        None => Err(Failure::new(Kind::Usage, format!("Where `{}` is to be restored to was not said", chosen.found.id)).hint(
            "Write --to DIR for files, --to postgres://…/NAME or mysql://…/NAME (or DATABASE_URL) for a database, --to FILE or --to - for the plain content",
        )),
    }
}

fn is_database_url(url: &str) -> bool {
    is_postgres(url) || MysqlUrl::is_one(url) || is_sqlite(url)
}

fn database_target(url: &str, context: &Context) -> Result<RestoreTarget> {
    if MysqlUrl::is_one(url) {
        Ok(RestoreTarget::Mysql(mysql_url(url, &context.settings)?))
    } else if is_sqlite(url) {
        Ok(RestoreTarget::Sqlite(parse_url(url)?))
    } else {
        Ok(RestoreTarget::Database(PostgresUrl::parse(url)?))
    }
}

/// What the manifest says of dumps of MySQL and MariaDB, and of PostgreSQL.
const MYSQL_KINDS: &[&str] = &["mysql", "mariadb"];
const POSTGRES_KIND: &str = "postgresql";

/// What a backup can be restored into if nobody says where to.
enum Database {
    Postgres,
    Mysql,
    Sqlite,
    /// A dump of nobody known.
    Dump,
}

/// By the manifest, else by the name: the bytes decide in the end, this only decides which target is worth offering.
fn kind_of(chosen: &Chosen) -> Option<Database> {
    if let Some(manifest) = &chosen.manifest {
        return match manifest.extension.as_str() {
            "sql" if MYSQL_KINDS.contains(&manifest.source.kind.as_str()) => Some(Database::Mysql),
            "sql" | "dump" if manifest.source.kind == POSTGRES_KIND => Some(Database::Postgres),
            "sql" | "dump" if manifest.source.kind != GLOBALS_KIND => Some(Database::Dump),
            "sqlite" => Some(Database::Sqlite),
            _ => None,
        };
    }
    let name = chosen.found.data_key.file_name();
    let has = |extension: &str| name.split('.').skip(1).any(|part| part == extension);
    if ["sqlite", "sqlite3", "db"].iter().any(|extension| has(extension)) {
        Some(Database::Sqlite)
    } else {
        let is_dump = [".sql", ".dump"].iter().any(|extension| name.contains(extension));
        is_dump.then_some(Database::Dump)
    }
}

fn print_plan(plan: &RestorePlan, options: &RestoreOptions, store_url: &str, context: &Context) -> Result<()> {
    let found = &plan.chosen.found;
    let expected = context.listener.progress().snapshot();
    if context.console.is_json() {
        return context.console.json_line(&serde_json::json!({
            "message_type": "summary",
            "dry_run": true,
            "snapshot_id": found.id,
            "name": plan.chosen.name(),
            "time": plan.chosen.time(),
            "store": store_url,
            "target": options.target.to_string(),
            "content": plan.content.describe(),
            "total_bytes": expected.total_plain_bytes,
            "total_files": expected.total_items,
            "destructive": plan.destructive,
        }));
    }
    let mut size = format!("stored as {}", format_bytes(found.data_bytes()));
    if expected.total_plain_bytes > 0 {
        size = format!("{}, {size}", format_bytes(expected.total_plain_bytes));
    }
    let mut pairs = vec![
        ("backup", format!("{} of {}", found.id, time(plan.chosen.time()))),
        ("from", store_url.to_owned()),
        ("content", plan.content.describe().to_owned()),
        ("size", size),
        ("to", options.target.to_string()),
    ];
    if let Some(loss) = &plan.destructive {
        pairs.push(("loss", loss.clone()));
        if options.safety.is_some() {
            pairs.push(("before", "what is replaced is backed up first".to_owned()));
        }
    }
    let text = format!("Would restore, but this is a dry run:\n{}", lines(&pairs));
    context.console.summary(&escape_text(&text))
}

fn print_summary(report: &RestoreReport, took: Duration, context: &Context) -> Result<()> {
    if context.console.is_json() {
        return context.console.json_line(&serde_json::json!({
            "message_type": "summary",
            "dry_run": false,
            "snapshot_id": report.id,
            "target": report.target,
            "total_files": report.tree.as_ref().map(|tree| tree.files),
            "files_restored": report.tree.as_ref().map(|tree| tree.files),
            "tables": report.tables.as_ref().map(|counts| counts.tables),
            "bytes_restored": report.plain_bytes,
            "error_count": report.problem_count,
            "replaced_as": report.replaced_as,
            "safety_backup": report.safety_backup,
            "total_duration": took.as_secs_f64(),
        }));
    }
    let mut pairs = Vec::new();
    if let Some(tree) = &report.tree {
        let counts = Counts {
            files: Some(tree.files),
            folders: Some(tree.folders),
            others: Some(tree.others),
            ..Counts::default()
        };
        pairs.push(("content", words::counts(&counts)));
    }
    if let Some(counts) = &report.tables {
        pairs.push(("content", words::counts(counts)));
    }
    pairs.push(("size", format_bytes(report.plain_bytes)));
    if let Some(kept) = &report.replaced_as {
        pairs.push(("replaced", format!("the database that was there is kept as `{kept}`")));
    }
    if let Some(id) = &report.safety_backup {
        pairs.push(("safety backup", id.clone()));
    }
    let text = format!(
        "Restored {} to {} in {}.\n{}",
        report.id,
        report.target,
        format_duration(took),
        lines(&pairs)
    );
    context.console.summary(&escape_text(&text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_url_of_an_object_says_which_store_it_is_in() {
        for (url, store) in [
            (
                "s3://b/backups/20250128/a_backup_20250128_143000.sql.gz",
                Some("s3://b/backups"),
            ),
            ("s3://b/20250128/a.sql.gz", Some("s3://b")),
            ("s3://b/deep/er/a.sql.gz", Some("s3://b/deep/er")),
            ("s3://b/a.sql.gz", Some("s3://b")),
            ("s3://b", None),
            ("latest", None),
            ("/var/backups/20250128/a.sql.gz", None),
        ] {
            assert_eq!(store_of_object(url).as_deref(), store, "{url}");
        }
    }
}
