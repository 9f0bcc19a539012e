//! From settings to the things that use cases work on: stores, sources, options.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use super::context::Context;
use super::databases::{mysql_job, postgres_jobs, refuse_without_postgres};
use crate::base::cancel::Cancel;
use crate::base::failure::{Failure, Kind, Result};
use crate::catalog::layout::{Layout, name_from};
use crate::catalog::selection::SAFETY_SUFFIX;
use crate::config::settings::{ChecksumMode as ConfiguredChecksums, Settings};
use crate::config::{Secrets, first_problem};
use crate::ops::Run;
use crate::ops::backup::{BackupOptions, TransferOptions};
use crate::ops::restore::SafetyBackup;
use crate::ops::several::Destination;
use crate::pipeline::crypt::{Ask, Keys, KeysOptions, Recipients};
use crate::source::Source;
use crate::source::command::CommandSource;
use crate::source::directory::{DirectoryOptions, DirectorySource};
use crate::source::mysql::MysqlUrl;
use crate::source::sqlite::{SqliteOptions, SqliteSource, is_database, is_sqlite, parse_url};
use crate::source::stdin::StdinSource;
use crate::store::Store;
use crate::store::address::StoreAddress;
use crate::store::local::LocalStore;
use crate::store::s3::{ChecksumMode, RetryOptions, S3Options, S3Store, Sse, StaticCredentials};
use crate::ui::Console;

/// No wait for an answer is shorter than this, whatever the user says: what may take no time can never succeed.
const TIMEOUT_MIN: Duration = Duration::from_millis(100);

/// The extension of a stream whose kind nobody told.
const UNKNOWN_EXTENSION: &str = "bin";

/// The name of a backup of a database that only libpq's own settings name.
pub const UNNAMED_DATABASE: &str = "postgres";

/// One backup that a command line or a profile asks for.
pub struct Job {
    /// The series, unless the user names it.
    pub default_name: String,
    /// Where the bytes come from.
    pub source: Box<dyn Source>,
    /// What the user should know about the source, each in a sentence.
    pub warnings: Vec<String>,
}

/// Opens the store that the settings name; of several the first.
pub fn open_store(settings: &Settings, run: &Run) -> Result<Arc<dyn Store>> {
    open_store_at(&settings.store.value, of_first_store(settings), run)
}

/// The settings that hold for the first store: those of the profile that it was named by, or the run's own.
pub fn of_first_store(settings: &Settings) -> &Settings {
    let first = settings.stores.first().and_then(|store| store.settings.as_deref());
    first.unwrap_or(settings)
}

/// Opens every store that backups go to.
pub fn destinations(settings: &Settings, run: &Run) -> Result<Vec<Destination>> {
    settings
        .stores
        .iter()
        .map(|choice| {
            let own = choice.settings.as_deref().unwrap_or(settings);
            let store = open_store_at(&choice.address, own, run)?;
            let layout = Layout::new(store.prefix(), &own.key_template.value, BTreeMap::new())?;
            Ok(Destination { store, layout })
        })
        .collect()
}

/// Opens another store with the same credentials and options.
pub fn open_store_at(address: &StoreAddress, settings: &Settings, run: &Run) -> Result<Arc<dyn Store>> {
    match address {
        StoreAddress::Local { folder } => Ok(Arc::new(LocalStore::open(folder.clone())?)),
        StoreAddress::S3 { bucket, prefix } => Ok(Arc::new(s3_store(settings, bucket, prefix, run, |_| {})?)),
    }
}

/// Opens a bucket with the settings' options, of which `change` may make others.
pub fn s3_store(
    settings: &Settings,
    bucket: &str,
    prefix: &str,
    run: &Run,
    change: impl FnOnce(&mut S3Options),
) -> Result<S3Store> {
    let mut options = s3_options(settings, bucket, prefix)?;
    change(&mut options);
    S3Store::open(options, run.cancel.clone(), run.reporter.clone())
}

/// Opens the store that a text on the command line names, and says where keys lie in it: `@PROFILE` has that profile's
/// endpoint, credentials and layout; an address has this run's.
pub fn open_named_store(text: &str, context: &Context, run: &Run) -> Result<(Arc<dyn Store>, Layout)> {
    let (store, layout) = match text.strip_prefix('@') {
        Some(profile) => {
            let settings = context
                .loaded
                .store_settings(profile, Secrets::Read)
                .map_err(first_problem)?;
            let store = open_store(&settings, run)?;
            let layout = layout(&settings, store.as_ref())?;
            (store, layout)
        }
        None => {
            let address = StoreAddress::parse(text).map_err(|failure| failure.with_kind(Kind::Usage))?;
            let store = open_store_at(&address, &context.settings, run)?;
            let layout = layout(&context.settings, store.as_ref())?;
            (store, layout)
        }
    };
    Ok((store, layout))
}

fn s3_options(settings: &Settings, bucket: &str, prefix: &str) -> Result<S3Options> {
    let mut options = S3Options::new(bucket, prefix);
    options.region.clone_from(&settings.region.value);
    options.endpoint_url.clone_from(&settings.endpoint_url.value);
    options.path_style = settings.path_style.value;
    options.provider.clone_from(&settings.provider.value);
    options.profile.clone_from(&settings.aws_profile.value);
    options.storage_class.clone_from(&settings.storage_class.value);
    options.credentials = settings
        .credentials
        .value
        .as_ref()
        .map(|credentials| StaticCredentials {
            access_key_id: credentials.access_key_id.clone(),
            secret_access_key: credentials.secret_access_key.clone(),
            session_token: credentials.session_token.clone(),
        });
    options.sse = sse(settings)?;
    options.tags = settings.object_tags.value.iter().cloned().collect();
    options.checksum = match settings.checksum.value {
        ConfiguredChecksums::Auto => None,
        ConfiguredChecksums::WhenSupported => Some(ChecksumMode::WhenSupported),
        ConfiguredChecksums::WhenRequired => Some(ChecksumMode::WhenRequired),
    };
    options.retry = RetryOptions {
        first_wait: settings.retry_delay.value,
        max_wait: settings.retry_delay_max.value,
        budget: settings.retry_budget.value,
        ..RetryOptions::default()
    };
    options.attempt_timeout_min = settings.request_timeout.value.max(TIMEOUT_MIN);
    options.stall_timeout = settings.stall_timeout.value.max(TIMEOUT_MIN);
    Ok(options)
}

fn sse(settings: &Settings) -> Result<Option<Sse>> {
    let key_id = settings.sse_kms_key_id.value.clone();
    match (settings.sse.value.as_deref(), key_id) {
        (None, None) => Ok(None),
        (Some("AES256"), None) => Ok(Some(Sse::Aes256)),
        (None | Some("aws:kms"), key_id) => Ok(Some(Sse::Kms { key_id })),
        (Some(other), _) => Err(Failure::new(
            Kind::Config,
            format!("Not a server-side encryption that can be used here: `{other}`"),
        )
        .hint("Write AES256, or aws:kms with or without --sse-kms-key-id")),
    }
}

/// Where keys lie in `store`.
pub fn layout(settings: &Settings, store: &dyn Store) -> Result<Layout> {
    let template = &of_first_store(settings).key_template.value;
    Layout::new(store.prefix(), template, BTreeMap::new())
}

/// How bytes are moved.
pub fn transfer_options(settings: &Settings) -> TransferOptions {
    TransferOptions {
        threads: settings.threads.value,
        part_bytes: settings.part_bytes.value,
        parts_in_flight: settings.parts_in_flight.value,
        // The other half is the program itself, members in flight and the client's buffers.
        memory_bytes: settings.memory_bytes.value / 2,
    }
}

/// How a backup of the series `name` is made.
pub fn backup_options(settings: &Settings, store: &dyn Store, name: &str) -> Result<BackupOptions> {
    Ok(BackupOptions {
        name: name.to_owned(),
        host: settings.host.value.clone(),
        tags: settings.tags.value.clone(),
        layout: layout(settings, store)?,
        codec: settings.compression.value,
        level: settings.level.value,
        recipients: recipients(settings)?,
        transfer: transfer_options(settings),
        expected_bytes: settings.expected_bytes.value,
        shape_guard_percent: settings.shape_guard_percent.value,
        lock: None,
        lock_folder: settings.lock_folder.value.clone(),
        lock_timeout: settings.lock_timeout.value,
    })
}

/// For whom backups are encrypted: the recipients, else whoever knows the passphrase, else everybody.
///
/// # Errors
/// [`Kind::Config`] if a recipient is not one, or the passphrase cannot be had.
pub fn recipients(settings: &Settings) -> Result<Option<Recipients>> {
    let mut keys = settings.recipients.value.clone();
    for file in &settings.recipients_files.value {
        keys.extend(Recipients::read_file(file)?);
    }
    match &settings.passphrase.value {
        _ if !keys.is_empty() => Recipients::of_keys(&keys).map(Some),
        Some(passphrase) => {
            let passphrase = passphrase
                .read()
                .map_err(|failure| failure.with_kind(Kind::Config).context("Could not take the passphrase"))?;
            Recipients::of_passphrase(passphrase).map(Some)
        }
        None => Ok(None),
    }
}

/// Asks for passphrases on the terminal, if there is one.
pub fn ask(console: &Console, cancel: &Cancel) -> Ask {
    let (console, cancel) = (console.clone(), cancel.clone());
    Arc::new(move |prompt| console.ask_passphrase(prompt, &cancel))
}

/// With which keys encrypted backups are read, and who is asked for a passphrase.
pub fn keys(settings: &Settings, ask: Option<Ask>) -> Keys {
    Keys::new(KeysOptions {
        identity_files: settings.identities.value.clone(),
        identity: settings.identity.value.clone(),
        passphrase: settings.passphrase.value.clone(),
        ask,
    })
}

/// How the database that a restore replaces is backed up first.
pub fn safety_backup(settings: &Settings, database: &str, run: &Run) -> Result<SafetyBackup> {
    let store = open_store(settings, run)?;
    let mut name = settings.name.value.clone().unwrap_or_else(|| name_from(database));
    name.push_str(SAFETY_SUFFIX);
    let options = backup_options(settings, store.as_ref(), &name)?;
    Ok(SafetyBackup { store, options })
}

/// The backups that the settings ask for: paths together are one, every database is one, be it a file or a URL.
///
/// # Errors
/// [`Kind::Usage`] if there is nothing to back up, or several things under one name.
pub fn jobs(settings: &Settings, run: &Run) -> Result<Vec<Job>> {
    let sources = &settings.sources.value;
    if settings.command.value.is_some() || !sources.iter().any(|source| is_postgres(source)) {
        refuse_without_postgres(settings)?;
    }
    if let Some(argv) = &settings.command.value {
        return Ok(vec![command_job(argv, settings)]);
    }
    let mut paths: Vec<PathBuf> = Vec::new();
    let mut jobs = Vec::new();
    for source in &settings.sources.value {
        if source == "-" {
            jobs.push(stdin_job(settings));
        } else if is_postgres(source) {
            jobs.extend(postgres_jobs(source, settings, run)?);
        } else if MysqlUrl::is_one(source) {
            jobs.push(mysql_job(source, settings)?);
        } else if is_sqlite(source) {
            jobs.push(sqlite_job(parse_url(source)?));
        } else if let Some((scheme, _)) = source.split_once("://") {
            return Err(Failure::new(
                Kind::Usage,
                format!("This version cannot back up `{scheme}://…` directly"),
            )
            .hint("Use the program that dumps it: `backup-cli backup --command 'mongodump --archive' --extension archive`"));
        } else if is_database(Path::new(source)) {
            jobs.push(sqlite_job(PathBuf::from(source)));
        } else {
            paths.push(PathBuf::from(source));
        }
    }
    if !paths.is_empty() {
        jobs.insert(0, directory_job(paths, settings));
    }
    match jobs.len() {
        0 => Err(Failure::new(Kind::Usage, "Nothing to back up was named").hint(
            "Name a folder, postgres://…, mysql://…, --command 'PROGRAM …' or `-` for standard input; or set `sources` in the profile, or DATABASE_URL",
        )),
        1 => Ok(jobs),
        several => match &settings.name.value {
            None => Ok(jobs),
            // Each carries the name before its own.
            Some(_) if settings.all_databases.value && sources.len() == 1 => Ok(jobs),
            Some(name) => Err(Failure::new(Kind::Usage, format!("{several} backups cannot share the name `{name}`"))
                .hint("Leave --name out, so that each takes the name of its database or folder; or run it once for each")),
        },
    }
}

/// Whether a source or a target is the URL of a PostgreSQL database.
pub fn is_postgres(text: &str) -> bool {
    text.starts_with("postgres://") || text.starts_with("postgresql://")
}

fn command_job(argv: &[String], settings: &Settings) -> Job {
    let program = match settings.shell.value {
        true => argv.iter().flat_map(|text| text.split_whitespace()).next(),
        false => argv.first().map(String::as_str),
    };
    let program = Path::new(program.unwrap_or_default()).file_name().unwrap_or_default();
    let extension = settings
        .extension
        .value
        .clone()
        .unwrap_or_else(|| UNKNOWN_EXTENSION.to_owned());
    Job {
        default_name: name_from(&program.to_string_lossy()),
        source: Box::new(CommandSource::new(argv.to_vec(), settings.shell.value, extension)),
        warnings: Vec::new(),
    }
}

fn stdin_job(settings: &Settings) -> Job {
    let name = settings.stdin_name.value.clone().unwrap_or_else(|| "stdin".to_owned());
    let (stem, own_extension) = match name.rsplit_once('.') {
        Some((stem, extension)) if !stem.is_empty() => (stem.to_owned(), Some(extension.to_owned())),
        _ => (name, None),
    };
    let extension = settings
        .extension
        .value
        .clone()
        .or(own_extension)
        .unwrap_or_else(|| UNKNOWN_EXTENSION.to_owned());
    Job {
        default_name: name_from(&stem),
        source: Box::new(StdinSource::new(extension)),
        warnings: Vec::new(),
    }
}

fn sqlite_job(path: PathBuf) -> Job {
    Job {
        default_name: name_from(&sqlite_stem(&path)),
        source: Box::new(SqliteSource::new(SqliteOptions::new(path))),
        warnings: Vec::new(),
    }
}

/// By what a database is known: the name of its file without the extension.
pub fn sqlite_stem(path: &Path) -> String {
    path.file_stem().unwrap_or_default().to_string_lossy().into_owned()
}

fn directory_job(paths: Vec<PathBuf>, settings: &Settings) -> Job {
    let first = paths
        .first()
        .map(|path| std::fs::canonicalize(path).unwrap_or_else(|_| path.clone()));
    let base = first
        .as_deref()
        .and_then(Path::file_name)
        .unwrap_or_default()
        .to_string_lossy()
        .into_owned();
    Job {
        default_name: name_from(&base),
        source: Box::new(DirectorySource::new(DirectoryOptions {
            paths,
            exclude: settings.excludes.value.clone(),
            exclude_files: settings.exclude_files.value.clone(),
            exclude_caches: settings.exclude_caches.value,
            store_folders: settings
                .stores
                .iter()
                .filter_map(|store| match &store.address {
                    StoreAddress::Local { folder } => Some(folder.clone()),
                    StoreAddress::S3 { .. } => None,
                })
                .collect(),
            one_file_system: settings.one_file_system.value,
        })),
        warnings: Vec::new(),
    }
}
