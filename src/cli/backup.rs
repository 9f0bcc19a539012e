//! `backup`: makes a backup of one source.

use clap::Args as ClapArgs;

use std::time::Duration;

use super::afterwards::{prune_stores, tidy};
use super::assemble::{Job, backup_options, destinations, jobs};
use super::backed_up::{print_plan, print_summary};
use super::metrics::tell;
use super::object_lock::ObjectLockArgs;
use super::start::worse;
use super::stores::{committed, judge};
use super::words::{count, lines};
use super::{Context, TransferArgs, given, help};
use crate::base::failure::{Failure, Kind, Result};
use crate::catalog::manifest::State;
use crate::config::{Flags, table};
use crate::ops::Run;
use crate::ops::backup::BackupOptions;
use crate::ops::metrics::{MadeBackup, Told};
use crate::ops::several::{Destination, StoreOutcome, backup_to_several, plan_several};
use crate::ui::escape::escape_text;

/// Back up directories, a database, or the output of a command
///
/// A source is a directory or a file, a URL such as postgres://user@host/database, or `-` for standard input. Several
/// paths go into one backup, but a file that is an SQLite database gets one of its own, for which it is copied
/// consistently while others write. Without a source, the profile's is taken, or the database of DATABASE_URL.
///
/// Nothing is listed before the source has proved that it ended well. For this, --command is safer than a pipe into `-`:
/// of a command the exit status is judged, while a pipe whose writer died looks just like one whose writer was done.
#[derive(Clone, Debug, Default, ClapArgs)]
#[command(after_long_help = help::closing("backup"))]
pub struct Args {
    /// What to back up: paths, a URL, or `-` for standard input
    #[arg(value_name = "SOURCE", value_hint = clap::ValueHint::AnyPath, conflicts_with = "command")]
    pub sources: Vec<String>,

    /// Back up the standard output of this command; it is split into words, but no shell is involved
    #[arg(long, value_name = "COMMAND", value_hint = clap::ValueHint::CommandString)]
    pub command: Option<String>,

    /// Hand the command to `sh -c`
    #[arg(long)]
    pub shell: bool,

    /// The name of a backup of standard input
    #[arg(long, value_name = "NAME")]
    pub stdin_name: Option<String>,

    /// The extension of what a command or standard input yields, such as `sql`
    #[arg(long, value_name = "EXTENSION", hide_short_help = true)]
    pub extension: Option<String>,

    /// Record a word with the backup; may be repeated
    #[arg(long, value_name = "TAG")]
    pub tag: Vec<String>,

    /// Leave out what matches, in the syntax of .gitignore; may be repeated
    #[arg(long, value_name = "PATTERN")]
    pub exclude: Vec<String>,

    /// Read such patterns from a file; may be repeated
    #[arg(long, value_name = "FILE", value_hint = clap::ValueHint::FilePath)]
    pub exclude_file: Vec<std::path::PathBuf>,

    /// Leave out the content of folders that hold a CACHEDIR.TAG
    #[arg(long)]
    pub exclude_caches: bool,

    /// Do not descend into other file systems
    #[arg(long, short = 'x')]
    pub one_file_system: bool,

    /// Of a PostgreSQL database only the tables that match, without large objects; may be repeated
    #[arg(long, value_name = "PATTERN", help_heading = "PostgreSQL")]
    pub table: Vec<String>,

    /// Leave out the tables that match; may be repeated
    #[arg(long, value_name = "PATTERN", help_heading = "PostgreSQL", hide_short_help = true)]
    pub exclude_table: Vec<String>,

    /// Only the schemas that match, without large objects; may be repeated
    #[arg(long, value_name = "PATTERN", help_heading = "PostgreSQL")]
    pub schema: Vec<String>,

    /// Leave out the schemas that match; may be repeated
    #[arg(long, value_name = "PATTERN", help_heading = "PostgreSQL", hide_short_help = true)]
    pub exclude_schema: Vec<String>,

    /// Leave out the rows of the tables that match, but not their definitions; may be repeated
    #[arg(long, value_name = "PATTERN", help_heading = "PostgreSQL", hide_short_help = true)]
    pub exclude_table_data: Vec<String>,

    /// What pg_dump writes: SQL for psql, or an archive for pg_restore [default: plain]
    #[arg(long, value_name = "FORMAT", value_parser = ["plain", "custom"], help_heading = "PostgreSQL")]
    pub format: Option<String>,

    /// How many pg_dump workers dump the rows at once, on one snapshot, each into an object of its own [default: 1]
    ///
    /// The first object holds what comes before the rows, `.stream-0002` and so on the rows, the one with the highest number
    /// what comes after them. All become visible together, or none does. Stock tools restore them joined in this order:
    /// each is fetched and inflated by itself, and all of them go into one `psql -X -v ON_ERROR_STOP=1 -1`, which is one
    /// transaction only without large objects: their part has a BEGIN and a COMMIT of its own, so take a new database.
    #[arg(long, value_name = "NUMBER", help_heading = "PostgreSQL")]
    pub jobs: Option<String>,

    /// The roles and tablespaces of the server instead of a database; the series is called `globals`
    #[arg(long, help_heading = "PostgreSQL")]
    pub globals: bool,

    /// Every database of the server, each a backup of its own, and the roles and tablespaces
    ///
    /// Each series is called after its database; with --name NAME, NAME-DATABASE and NAME-globals. One that fails does not
    /// keep the others from being made; the exit status is that of the worst.
    #[arg(long, help_heading = "PostgreSQL")]
    pub all_databases: bool,

    /// A further argument for pg_dump; may be repeated
    #[arg(
        long,
        value_name = "ARGUMENT",
        allow_hyphen_values = true,
        help_heading = "PostgreSQL",
        hide_short_help = true
    )]
    pub pg_dump_arg: Vec<String>,

    /// A further argument for mariadb-dump or mysqldump; may be repeated
    #[arg(long, value_name = "ARGUMENT", allow_hyphen_values = true, hide_short_help = true)]
    pub mysql_dump_arg: Vec<String>,

    /// Show what would be done, without doing it
    #[arg(long, short = 'n')]
    pub dry_run: bool,

    /// Prune the series afterwards, by the rules of the profile and the --keep options of `prune` in it
    ///
    /// Only after a backup that was made without any trouble: not after one that is partial, flagged, or not in every store.
    #[arg(long)]
    pub prune: bool,

    /// Flag a backup that is smaller than this part of the median of the last ones, or `off` [default: 50%]
    ///
    /// Stored size, plain size, tables, rows and files are compared, whichever are known, with the newest complete backups of
    /// the series that are not flagged themselves, up to seven; with fewer than three nothing is said. A flagged backup is
    /// published like any other, but `list` and `show` say so, `prune` removes nothing older of its series, and the exit
    /// status is 3, until `accept` says that it is right as it is.
    #[arg(long, value_name = "PERCENT")]
    pub shape_guard: Option<String>,

    /// How long to wait for another run of the same series [default: 0s]
    #[arg(long, value_name = "DURATION", hide_short_help = true)]
    pub lock_timeout: Option<String>,

    /// Write metrics for Prometheus into this file, beside what others have written there
    #[arg(long, value_name = "FILE", value_hint = clap::ValueHint::FilePath, hide_short_help = true)]
    pub metrics_file: Option<std::path::PathBuf>,

    /// The host name to record [default: this machine's]
    #[arg(long, value_name = "HOST", hide_short_help = true)]
    pub host: Option<String>,

    /// The layout of keys below the prefix
    #[arg(long, value_name = "TEMPLATE", hide_short_help = true)]
    pub key_template: Option<String>,

    /// How the backup is compressed [default: gzip]
    #[arg(long, value_name = "CODEC", value_parser = ["gzip", "zstd", "none"], help_heading = "Performance")]
    pub compression: Option<String>,

    /// The level of compression, from 1 (fast) to 12 (small), for zstd to 19 [default: 6, for zstd 3]
    #[arg(long, value_name = "LEVEL", help_heading = "Performance")]
    pub level: Option<String>,

    #[allow(missing_docs)]
    #[command(flatten)]
    pub transfer: TransferArgs,

    /// The size of a part of a multipart upload [default: chosen from the expected size]
    #[arg(long, value_name = "SIZE", help_heading = "Performance", hide_short_help = true)]
    pub part_size: Option<String>,

    /// How large the backup may become, where the source cannot tell
    #[arg(long, value_name = "SIZE", help_heading = "Performance", hide_short_help = true)]
    pub expected_size: Option<String>,

    /// The storage class of data objects, such as STANDARD_IA
    #[arg(long, value_name = "CLASS", help_heading = "S3", hide_short_help = true)]
    pub storage_class: Option<String>,

    /// Encryption by the server
    #[arg(long, value_name = "KIND", value_parser = ["AES256", "aws:kms"], help_heading = "S3", hide_short_help = true)]
    pub sse: Option<String>,

    /// The KMS key for encryption by the server
    #[arg(long, value_name = "KEY", help_heading = "S3", hide_short_help = true)]
    pub sse_kms_key_id: Option<String>,

    /// An S3 object tag; may be repeated
    #[arg(long, value_name = "KEY=VALUE", help_heading = "S3", hide_short_help = true)]
    pub object_tag: Vec<String>,

    #[allow(missing_docs)]
    #[command(flatten)]
    pub object_lock: ObjectLockArgs,

    /// Additional checksums of requests [default: auto]
    #[arg(long, value_name = "MODE", value_parser = ["auto", "when_supported", "when_required"], help_heading = "S3", hide_short_help = true)]
    pub checksum: Option<String>,
}

impl Args {
    /// These options as a layer of settings.
    #[must_use]
    pub fn flags(&self) -> Flags {
        Flags::default()
            .list(&table::SOURCES, "SOURCE", &self.sources)
            .text(&table::COMMAND, "--command", self.command.as_deref())
            .switch(&table::SHELL, "--shell", given(self.shell))
            .text(&table::STDIN_NAME, "--stdin-name", self.stdin_name.as_deref())
            .text(&table::EXTENSION, "--extension", self.extension.as_deref())
            .list(&table::TAGS, "--tag", &self.tag)
            .list(&table::EXCLUDES, "--exclude", &self.exclude)
            .list(&table::EXCLUDE_FILES, "--exclude-file", &self.exclude_file)
            .switch(&table::EXCLUDE_CACHES, "--exclude-caches", given(self.exclude_caches))
            .switch(
                &table::ONE_FILE_SYSTEM,
                "--one-file-system",
                given(self.one_file_system),
            )
            .list(&table::TABLES, "--table", &self.table)
            .list(&table::EXCLUDE_TABLES, "--exclude-table", &self.exclude_table)
            .list(&table::SCHEMAS, "--schema", &self.schema)
            .list(&table::EXCLUDE_SCHEMAS, "--exclude-schema", &self.exclude_schema)
            .list(
                &table::EXCLUDE_TABLE_DATA,
                "--exclude-table-data",
                &self.exclude_table_data,
            )
            .text(&table::PG_FORMAT, "--format", self.format.as_deref())
            .text(&table::JOBS, "--jobs", self.jobs.as_deref())
            .switch(&table::GLOBALS, "--globals", given(self.globals))
            .switch(&table::ALL_DATABASES, "--all-databases", given(self.all_databases))
            .list(&table::PG_DUMP_ARGUMENTS, "--pg-dump-arg", &self.pg_dump_arg)
            .list(&table::MYSQL_DUMP_ARGUMENTS, "--mysql-dump-arg", &self.mysql_dump_arg)
            .switch(&table::PRUNE, "--prune", given(self.prune))
            .text(&table::SHAPE_GUARD, "--shape-guard", self.shape_guard.as_deref())
            .text(&table::LOCK_TIMEOUT, "--lock-timeout", self.lock_timeout.as_deref())
            .text(
                &table::METRICS_FILE,
                "--metrics-file",
                self.metrics_file.as_ref().map(|path| path.to_string_lossy()).as_deref(),
            )
            .text(&table::HOST, "--host", self.host.as_deref())
            .text(&table::KEY_TEMPLATE, "--key-template", self.key_template.as_deref())
            .text(&table::COMPRESSION, "--compression", self.compression.as_deref())
            .text(&table::LEVEL, "--level", self.level.as_deref())
            .text(&table::PART_SIZE, "--part-size", self.part_size.as_deref())
            .text(&table::EXPECTED_SIZE, "--expected-size", self.expected_size.as_deref())
            .text(&table::STORAGE_CLASS, "--storage-class", self.storage_class.as_deref())
            .text(&table::SSE, "--sse", self.sse.as_deref())
            .text(
                &table::SSE_KMS_KEY_ID,
                "--sse-kms-key-id",
                self.sse_kms_key_id.as_deref(),
            )
            .list(&table::OBJECT_TAGS, "--object-tag", &self.object_tag)
            .text(&table::CHECKSUM, "--checksum", self.checksum.as_deref())
            .and(self.object_lock.flags())
            .and(self.transfer.flags())
    }
}

/// Makes the backup.
///
/// # Errors
/// Whatever keeps it from being made; [`Kind::Incomplete`] if it was made without some items.
pub fn run(args: &Args, context: &Context) -> Result<()> {
    let run = context.run();
    let stores = destinations(&context.settings, &run)?;
    let mut jobs = jobs(&context.settings, &run)?;
    let is_many = jobs.len() > 1;
    let Some(last) = jobs.pop() else { return Ok(()) };
    let mut ends = Vec::new();
    let mut worst: Option<Kind> = None;
    for job in jobs {
        let name = series_of(&job, context);
        let end = one(args, job, &name, &stores, context, &run);
        if let Err(failure) = &end {
            if failure.kind() == Kind::Interrupted {
                return end.map(drop);
            }
            context.console.failure(failure);
            worst = Some(worst.map_or(failure.kind(), |worst| worse(worst, failure.kind())));
        }
        ends.push(End::of(name, &end));
    }
    let name = series_of(&last, context);
    let end = one(args, last, &name, &stores, context, &run);
    ends.push(End::of(name, &end));
    if is_many && !args.dry_run && !matches!(&end, Err(failure) if failure.kind() == Kind::Interrupted) {
        print_ends(&ends, context)?;
    }
    // The last failure is printed by whoever called; the exit code is that of the worst one.
    match (end, worst) {
        (result, None) => result.map(drop),
        (Ok(_), Some(kind)) => Err(Failure::new(kind, "Not every backup of this run ended well")),
        (Err(failure), Some(kind)) => {
            let kind = worse(kind, failure.kind());
            Err(failure.with_kind(kind))
        }
    }
}

/// How one of several backups ended.
struct End {
    name: String,
    id: Option<String>,
    failure: Option<String>,
}

impl End {
    fn of(name: String, end: &Result<Option<String>>) -> Self {
        Self {
            name,
            id: end.as_ref().ok().and_then(Clone::clone),
            failure: end.as_ref().err().map(|failure| failure.message().to_owned()),
        }
    }
}

/// What became of each of several backups, in one place at the end.
fn print_ends(ends: &[End], context: &Context) -> Result<()> {
    let good = ends.iter().filter(|end| end.failure.is_none()).count();
    if context.console.is_json() {
        let backups: Vec<_> = ends
            .iter()
            .map(|end| serde_json::json!({ "name": end.name, "snapshot_id": end.id, "failure": end.failure }))
            .collect();
        return context.console.json_line(&serde_json::json!({
            "message_type": "run_summary",
            "backups_made": good,
            "backups_failed": ends.len() - good,
            "backups": backups,
        }));
    }
    let pairs: Vec<(&str, String)> = ends
        .iter()
        .map(|end| {
            let fate = match (&end.failure, &end.id) {
                (Some(failure), _) => format!("FAILED: {failure}"),
                (None, Some(id)) => id.clone(),
                (None, None) => "nothing to do".to_owned(),
            };
            (end.name.as_str(), fate)
        })
        .collect();
    let text = format!("{good} of {} backups were made.\n{}", ends.len(), lines(&pairs));
    context.console.summary(&escape_text(&text))
}

/// The series of a job: what the user calls it, unless that stands before the names of several already.
fn series_of(job: &Job, context: &Context) -> String {
    match &context.settings.name.value {
        Some(name) if !context.settings.all_databases.value => name.clone(),
        _ => job.default_name.clone(),
    }
}

/// Makes one backup and returns its id; of a dry run `None`.
fn one(
    args: &Args,
    mut job: Job,
    name: &str,
    stores: &[Destination],
    context: &Context,
    run: &Run,
) -> Result<Option<String>> {
    let Some(first) = stores.first() else { return Ok(None) };
    let options = BackupOptions {
        lock: context.settings.lock.request()?,
        ..backup_options(&context.settings, first.store.as_ref(), name)?
    };
    if context.settings.prune.value && context.settings.policy.is_empty() {
        return Err(Failure::new(
            Kind::Usage,
            "The series is to be pruned afterwards, but no rule says what is to be kept",
        )
        .hint("Set rules in the profile, for example keep-daily = 7, or leave --prune out"));
    }
    job.warnings.iter().for_each(|warning| context.console.warning(warning));
    if args.dry_run {
        let planned = plan_several(stores, job.source.as_mut(), &options, run)?;
        context.listener.end();
        print_plan(&planned, job.source.as_ref(), name, context)?;
        return Ok(None);
    }
    let began = std::time::Instant::now();
    let outcomes = backup_to_several(stores, job.source.as_mut(), &options, run).map_err(|failure| {
        let told = Told::Backup {
            made: None,
            is_good: false,
        };
        tell(context, name, told);
        match failure.kind() {
            Kind::Interrupted => failure.hint("Nothing of this backup was kept; run it again when it suits"),
            _ => failure,
        }
    })?;
    context.listener.end();
    tell(context, name, told_of(&outcomes, began.elapsed()));
    let Some((_, outcome)) = committed(&outcomes).next() else {
        return judge(outcomes, context).map(|()| None);
    };
    let manifest = outcome.manifest.clone();
    manifest
        .warnings
        .iter()
        .for_each(|warning| context.console.warning(&sentence(warning)));
    print_summary(&manifest, began.elapsed(), &outcomes, context)?;
    tidy(name, stores, context, run);
    let flagged = why_flagged(&outcomes);
    let unlocked = why_unlocked(&outcomes);
    judge(outcomes, context)?;
    // Partial is the greater trouble; the flag stands in `list` either way.
    if let (State::Complete, Some(why)) = (manifest.state, flagged) {
        return Err(Failure::new(
            Kind::Incomplete,
            format!("The backup `{}` was made and is listed, but flagged", manifest.id),
        )
        .caused_by(anyhow::anyhow!("{why}"))
        .hint("Look whether the source has lost something; until then `prune` keeps the backups before it")
        .hint(format!("If it is right as it is: `backup-cli accept {}`", manifest.id)));
    }
    if manifest.state == State::Partial {
        return Err(Failure::new(
            Kind::Incomplete,
            format!(
                "The backup `{}` is partial: {} missing or changed",
                manifest.id,
                count(manifest.problem_count, "item is", "items are")
            ),
        )
        .hint(format!(
            "It can be restored as it is; `backup-cli show {}` names what is missing",
            manifest.id
        )));
    }
    if let Some(why) = unlocked {
        return Err(Failure::new(
            Kind::Incomplete,
            format!("The backup `{}` was made and is listed, but is not locked", manifest.id),
        )
        .caused_by(anyhow::anyhow!("{why}"))
        .hint("It can be restored like any other. Look whether the store keeps object locks, and whether the credentials allow s3:PutObjectRetention"));
    }
    if context.settings.prune.value {
        prune_stores(name, stores, context, run).map_err(|failure| {
            failure.context(format!(
                "The backup `{}` was made, but the series could not be pruned",
                manifest.id
            ))
        })?;
    }
    Ok(Some(manifest.id))
}

/// What the outcomes are for metrics.
fn told_of(outcomes: &[StoreOutcome], took: Duration) -> Told {
    let first = committed(outcomes).next().map(|(_, made)| &made.manifest);
    Told::Backup {
        made: first.map(|manifest| MadeBackup {
            started: manifest.started,
            secs: took.as_secs_f64(),
            stored_bytes: manifest.data_bytes(),
            plain_bytes: manifest.plain_bytes,
        }),
        is_good: committed(outcomes).count() == outcomes.len()
            && first.is_some_and(|manifest| manifest.state == State::Complete)
            && why_flagged(outcomes).is_none(),
    }
}

/// Why the backup is flagged in the first store where it is.
fn why_flagged(outcomes: &[StoreOutcome]) -> Option<String> {
    committed(outcomes).find_map(|(url, made)| {
        let why = made.manifest.shape.as_ref()?.why.clone()?;
        Some(match outcomes.len() {
            1 => why,
            _ => format!("{why} in {url}"),
        })
    })
}

/// Why the backup is not locked as was asked for, in the first store where it is not.
fn why_unlocked(outcomes: &[StoreOutcome]) -> Option<String> {
    committed(outcomes).find_map(|(url, made)| {
        let why = made.unlocked.clone()?;
        Some(match outcomes.len() {
            1 => why,
            _ => format!("{why} in {url}"),
        })
    })
}

/// A warning of a tool as a sentence: tools do not end theirs with a stop.
fn sentence(text: &str) -> String {
    match text.ends_with(['.', '!', '?']) {
        true => text.to_owned(),
        false => format!("{text}."),
    }
}
