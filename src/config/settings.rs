//! What a run goes by, resolved once from all layers.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use super::lock::LockSettings;
use super::value::Setting;
use crate::base::secret::{Secret, SecretSource};
use crate::catalog::codec::Codec;
use crate::retention::Policy;
use crate::store::address::StoreAddress;

/// The settings of one run, each with its origin.
#[derive(Clone)]
pub struct Settings {
    /// The selected profile.
    pub profile: Option<String>,
    /// What to back up: URLs, paths, `-`; empty if there is a command, or nothing was said.
    pub sources: Setting<Vec<String>>,
    /// A program whose output is backed up instead. With `shell`, one text for `sh -c`.
    pub command: Setting<Option<Vec<String>>>,
    /// Whether the command goes through a shell.
    pub shell: Setting<bool>,
    /// The database that backups and restores fall back to; already in `sources` where that applies.
    pub database_url: Setting<Option<String>>,
    /// The name of a backup of standard input.
    pub stdin_name: Setting<Option<String>>,
    /// The extension of a command's or standard input's content.
    pub extension: Setting<Option<String>>,
    /// Patterns to leave out, in the syntax of `.gitignore`.
    pub excludes: Setting<Vec<String>>,
    /// Files of such patterns.
    pub exclude_files: Setting<Vec<PathBuf>>,
    /// Whether folders with a `CACHEDIR.TAG` are left out.
    pub exclude_caches: Setting<bool>,
    /// Whether other file systems are left out.
    pub one_file_system: Setting<bool>,
    /// What `pg_dump` writes: `plain` or `custom`.
    pub pg_format: Setting<String>,
    /// How many workers dump a PostgreSQL database.
    pub jobs: Setting<usize>,
    /// Whether the globals of a PostgreSQL server are backed up instead of a database.
    pub globals: Setting<bool>,
    /// Whether every database of a PostgreSQL server is backed up, with its globals.
    pub all_databases: Setting<bool>,
    /// Patterns of tables that are dumped; empty for all.
    pub tables: Setting<Vec<String>>,
    /// Patterns of tables that are left out.
    pub exclude_tables: Setting<Vec<String>>,
    /// Patterns of schemas that are dumped; empty for all.
    pub schemas: Setting<Vec<String>>,
    /// Patterns of schemas that are left out.
    pub exclude_schemas: Setting<Vec<String>>,
    /// Patterns of tables whose rows are left out.
    pub exclude_table_data: Setting<Vec<String>>,
    /// Further arguments for `pg_dump`.
    pub pg_dump_arguments: Setting<Vec<String>>,
    /// The one folder in which PostgreSQL's clients are looked for.
    pub pg_client_folder: Setting<Option<PathBuf>>,
    /// Further arguments for `mariadb-dump` or `mysqldump`.
    pub mysql_dump_arguments: Setting<Vec<String>>,
    /// The one folder in which MySQL's and MariaDB's clients are looked for.
    pub mysql_client_folder: Setting<Option<PathBuf>>,
    /// The password for MySQL or MariaDB where the URL has none.
    pub mysql_password: Setting<Option<Secret>>,
    /// Where backups live. Built-in means that nothing is configured and a folder of the user's is taken.
    pub store: Setting<StoreAddress>,
    /// All stores that backups go to, the one above first.
    pub stores: Vec<StoreChoice>,
    /// The series; `None` if the source tells it.
    pub name: Setting<Option<String>>,
    /// The layout of keys below the prefix.
    pub key_template: Setting<String>,
    /// The region.
    pub region: Setting<Option<String>>,
    /// An S3 server other than AWS, with its scheme.
    pub endpoint_url: Setting<Option<String>>,
    /// Whether the bucket stands in the path of requests; `None` if the provider decides.
    pub path_style: Setting<Option<bool>>,
    /// Whose limits count; `None` if the endpoint tells it.
    pub provider: Setting<Option<String>>,
    /// Static credentials; `None` leaves it to AWS's own chain.
    pub credentials: Setting<Option<Credentials>>,
    /// The profile of AWS's own configuration files.
    pub aws_profile: Setting<Option<String>>,
    /// The storage class of data objects.
    pub storage_class: Setting<Option<String>>,
    /// Encryption by the server: `AES256` or `aws:kms`.
    pub sse: Setting<Option<String>>,
    /// The key of that encryption.
    pub sse_kms_key_id: Setting<Option<String>>,
    /// Tags of S3 objects.
    pub object_tags: Setting<Vec<(String, String)>>,
    /// Additional checksums of requests.
    pub checksum: Setting<ChecksumMode>,
    /// How what is written is locked.
    pub lock: LockSettings,
    /// Words that are recorded with a backup.
    pub tags: Setting<Vec<String>>,
    /// How backups are compressed.
    pub compression: Setting<Codec>,
    /// One of the codec's levels.
    pub level: Setting<u32>,
    /// Public keys for whose holders backups are encrypted.
    pub recipients: Setting<Vec<String>>,
    /// Files of such keys.
    pub recipients_files: Setting<Vec<PathBuf>>,
    /// The passphrase by which backups are encrypted if there are no recipients, and by which they are read.
    pub passphrase: Setting<Option<SecretSource>>,
    /// Files of secret keys by which backups are read.
    pub identities: Setting<Vec<PathBuf>>,
    /// A further secret key.
    pub identity: Setting<Option<SecretSource>>,
    /// How many threads compress or inflate.
    pub threads: Setting<usize>,
    /// The size of a part, in bytes; `None` if it is to be chosen.
    pub part_bytes: Setting<Option<u64>>,
    /// How many parts are in flight; `None` if it is to be chosen.
    pub parts_in_flight: Setting<Option<usize>>,
    /// How much memory the whole run may take, in bytes.
    pub memory_bytes: Setting<u64>,
    /// The expected size before compression, in bytes.
    pub expected_bytes: Setting<Option<u64>>,
    /// The first delay before a part is sent again.
    pub retry_delay: Setting<Duration>,
    /// The longest delay.
    pub retry_delay_max: Setting<Duration>,
    /// How long to go on without any progress.
    pub retry_budget: Setting<Duration>,
    /// How long an attempt of a request may take at least.
    pub request_timeout: Setting<Duration>,
    /// How long nothing may arrive of an answer.
    pub stall_timeout: Setting<Duration>,
    /// How long to wait for the lock of the series; zero refuses at once.
    pub lock_timeout: Setting<Duration>,
    /// Below which part of the median of earlier backups, in percent, a backup is flagged; `None` switches this off.
    pub shape_guard_percent: Setting<Option<u8>>,
    /// Where locks are kept.
    pub lock_folder: Setting<PathBuf>,
    /// The host name that is recorded.
    pub host: Setting<String>,
    /// Whether a restore backs up first what it replaces.
    pub safety_backup: Setting<bool>,
    /// Which backups are kept.
    pub policy: Policy,
    /// How many of the newest complete backups of a series stay whatever the policy says.
    pub min_keep: Setting<usize>,
    /// Whether a backup prunes its series afterwards.
    pub prune: Setting<bool>,
    /// Whether all versions of what is pruned go.
    pub purge_versions: Setting<bool>,
    /// How old leftovers must be to be cleared up.
    pub cleanup_older_than: Setting<Duration>,
    /// The file of prices; `None` for the built-in ones.
    pub prices: Setting<Option<PathBuf>>,
    /// How the bucket moves data to other classes, each step as [`crate::ops::lifecycle::Step`] reads it.
    pub lifecycle_transitions: Setting<Vec<String>>,
    /// After how many days the bucket moves data to GLACIER.
    pub lifecycle_glacier_days: Setting<Option<u64>>,
    /// After how many days the bucket removes backups.
    pub lifecycle_delete_days: Setting<Option<u64>>,
    /// After how many days the bucket removes older versions.
    pub lifecycle_noncurrent_days: Setting<Option<u64>>,
    /// After how many days the bucket throws unfinished uploads away.
    pub lifecycle_abort_days: Setting<u64>,
    /// Where drills may restore into: URLs of servers, a folder.
    pub drill_to: Setting<Vec<String>>,
    /// What must hold of a backup that a drill has restored, as [`crate::ops::drill::check::Check`] reads it.
    pub drill_checks: Setting<Vec<String>>,
    /// Where metrics are written.
    pub metrics_file: Setting<Option<PathBuf>>,
    /// What the user should look into, in full sentences.
    pub warnings: Vec<String>,
    /// Every setting as it is shown, in the order of the table.
    pub(super) shown: Vec<Shown>,
}

impl std::fmt::Debug for Settings {
    /// Sources may be URLs with passwords, so the fields are shown as `config show` shows them.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_map()
            .entries(self.shown.iter().map(|shown| (shown.key, &shown.text)))
            .finish()
    }
}

impl Settings {
    /// Every setting with its value and origin, for `config show`; secrets are masked.
    #[must_use]
    pub fn shown(&self) -> &[Shown] {
        &self.shown
    }
}

/// One of the stores that backups go to.
#[derive(Clone, Debug)]
pub struct StoreChoice {
    /// Its address.
    pub address: StoreAddress,
    /// The settings of the profile that it was named by; `None` if those of the run hold.
    pub settings: Option<Arc<Settings>>,
}

impl StoreChoice {
    /// Whether it is reached with the run's own credentials.
    #[must_use]
    pub fn needs_credentials(&self) -> bool {
        self.settings.is_none() && matches!(self.address, StoreAddress::S3 { .. })
    }
}

/// A setting as it is shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shown {
    /// Its key.
    pub key: &'static str,
    /// Its value for people; `None` if nothing is set.
    pub text: Option<String>,
    /// Its value for programs.
    pub json: serde_json::Value,
    /// Where it came from.
    pub origin: String,
}

/// Static credentials for S3.
#[derive(Clone, Debug)]
pub struct Credentials {
    /// The public half.
    pub access_key_id: String,
    /// The secret half.
    pub secret_access_key: Secret,
    /// The token of temporary ones.
    pub session_token: Option<Secret>,
}

/// When requests carry additional checksums.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ChecksumMode {
    /// `WhenSupported` on AWS, `WhenRequired` elsewhere.
    #[default]
    Auto,
    /// Wherever the protocol allows it.
    WhenSupported,
    /// Only where the protocol demands it.
    WhenRequired,
}
