//! The rows of the table of settings.

use super::table::{Chapter, Privacy, Spec};
use super::value::Shape;

/// What most settings have in common.
const BASE: Spec = Spec {
    key: "",
    in_file: true,
    shape: Shape::Text,
    environment: &[],
    fallback: &[],
    default: None,
    unset: "",
    privacy: Privacy::Open,
    chapter: Chapter::Run,
    doc: "",
    example: "",
};

macro_rules! specs {
    ($($(#[$attribute:meta])* $constant:ident = { $($field:ident: $value:expr),* $(,)? })*) => {
        $($(#[$attribute])* pub const $constant: Spec = Spec { $($field: $value,)* ..BASE };)*
        /// Every setting, in the order in which they are shown.
        pub const ALL: &[&Spec] = &[$(&$constant),*];
    };
}

specs! {
    /// See the documentation in the table itself; so for all that follow.
    SOURCES = {
        key: "sources",
        shape: Shape::Sources,
        environment: &["BACKUP_SOURCES", "BACKUP_SOURCE"],
        chapter: Chapter::Source,
        unset: "DATABASE_URL, if that is set",
        doc: "What to back up: directories, files, or URLs such as postgres://user@host/database.",
        example: r#"["/srv/www"]"#,
    }
    /// A program whose output is the backup.
    COMMAND = {
        key: "command",
        shape: Shape::Words,
        environment: &["BACKUP_COMMAND"],
        chapter: Chapter::Source,
        doc: "A program whose standard output is backed up, instead of `sources`; its exit status is judged.",
        example: r#"["mongodump", "--archive"]"#,
    }
    /// Whether the command goes through a shell.
    SHELL = {
        key: "shell",
        shape: Shape::Switch,
        environment: &["BACKUP_SHELL"],
        default: Some("false"),
        chapter: Chapter::Source,
        doc: "Hand the command to `sh -c` instead of running it directly.",
        example: "true",
    }
    /// The database that sources and restores fall back to.
    DATABASE_URL = {
        key: "database-url",
        shape: Shape::Text,
        environment: &["BACKUP_DATABASE_URL"],
        fallback: &["DATABASE_URL"],
        privacy: Privacy::Url,
        chapter: Chapter::Source,
        doc: "The database that is backed up when no source is named, and restored into when no target is.",
        example: r#""postgres://backup@localhost/app""#,
    }
    /// The name for standard input.
    STDIN_NAME = {
        key: "stdin-name",
        in_file: false,
        environment: &["BACKUP_STDIN_NAME"],
        chapter: Chapter::Source,
        unset: "`stdin`",
        doc: "The name of a backup of standard input.",
        example: r#""dump""#,
    }
    /// The extension of a command's or stdin's output.
    EXTENSION = {
        key: "extension",
        environment: &["BACKUP_EXTENSION"],
        chapter: Chapter::Source,
        unset: "told by the source, `bin` for a command",
        doc: "The extension of what a command or standard input yields, such as `sql` or `archive`.",
        example: r#""archive""#,
    }
    /// Patterns to leave out.
    EXCLUDES = {
        key: "excludes",
        shape: Shape::Lines,
        environment: &["BACKUP_EXCLUDE", "BACKUP_EXCLUDES"],
        chapter: Chapter::Source,
        doc: "Leave out what matches, in the syntax of .gitignore.",
        example: r#"["node_modules/", "*.tmp"]"#,
    }
    /// Files of patterns to leave out.
    EXCLUDE_FILES = {
        key: "exclude-files",
        shape: Shape::Paths,
        environment: &["BACKUP_EXCLUDE_FILE", "BACKUP_EXCLUDE_FILES"],
        chapter: Chapter::Source,
        doc: "Files with patterns to leave out, one a line.",
        example: r#"["/etc/backup-cli/excludes"]"#,
    }
    /// Whether tagged caches are left out.
    EXCLUDE_CACHES = {
        key: "exclude-caches",
        shape: Shape::Switch,
        environment: &["BACKUP_EXCLUDE_CACHES"],
        default: Some("false"),
        chapter: Chapter::Source,
        doc: "Leave out the content of folders that hold a CACHEDIR.TAG.",
        example: "true",
    }
    /// Whether mount points are crossed.
    ONE_FILE_SYSTEM = {
        key: "one-file-system",
        shape: Shape::Switch,
        environment: &["BACKUP_ONE_FILE_SYSTEM"],
        default: Some("false"),
        chapter: Chapter::Source,
        doc: "Do not descend into other file systems.",
        example: "true",
    }
    /// Further arguments of pg_dump.
    PG_DUMP_ARGUMENTS = {
        key: "pg-dump-args",
        shape: Shape::Words,
        environment: &["BACKUP_PG_DUMP_ARG", "BACKUP_PG_DUMP_ARGS"],
        chapter: Chapter::Source,
        doc: "Further arguments for pg_dump.",
        example: r#"["--exclude-table-data=sessions"]"#,
    }
    /// Where PostgreSQL's clients are.
    PG_CLIENT_FOLDER = {
        key: "pg-client-folder",
        shape: Shape::Path,
        environment: &["BACKUP_PG_CLIENT_FOLDER"],
        chapter: Chapter::Source,
        unset: "PATH and the distributions' folders",
        doc: "The one folder in which pg_dump and psql are looked for.",
        example: r#""/usr/lib/postgresql/17/bin""#,
    }
    /// The address of the store.
    STORE = {
        key: "store",
        shape: Shape::Address,
        environment: &["BACKUP_STORE"],
        chapter: Chapter::Store,
        unset: "a folder under the user's data directory",
        doc: "Where backups live: s3://bucket/prefix, file:///folder or a folder.",
        example: r#""s3://my-backups/web""#,
    }
    /// The bucket, for those who set it alone.
    S3_BUCKET = {
        key: "s3-bucket",
        in_file: false,
        environment: &["BACKUP_S3_BUCKET"],
        fallback: &["AWS_S3_BUCKET"],
        chapter: Chapter::Store,
        doc: "The bucket, where `store` is not set.",
        example: r#""my-backups""#,
    }
    /// The prefix that goes with the bucket.
    S3_PREFIX = {
        key: "s3-prefix",
        in_file: false,
        environment: &["BACKUP_S3_PREFIX"],
        default: Some(S3_PREFIX_DEFAULT),
        chapter: Chapter::Store,
        doc: "The prefix that goes with the bucket of BACKUP_S3_BUCKET or AWS_S3_BUCKET.",
        example: r#""backups""#,
    }
    /// Whether S3 is used at all.
    USE_AWS = {
        key: "use-aws",
        in_file: false,
        shape: Shape::Switch,
        environment: &["BACKUP_USE_AWS"],
        chapter: Chapter::Store,
        doc: "If false, backups go to a local folder even where a bucket is configured; for development.",
        example: "false",
    }
    /// The series.
    NAME = {
        key: "name",
        environment: &["BACKUP_NAME"],
        chapter: Chapter::Store,
        unset: "the profile's name, else told by the source",
        doc: "The name of the series: all backups under one name belong together.",
        example: r#""web""#,
    }
    /// The layout of keys.
    KEY_TEMPLATE = {
        key: "key-template",
        environment: &["BACKUP_KEY_TEMPLATE"],
        default: Some(KEY_TEMPLATE_DEFAULT),
        chapter: Chapter::Store,
        doc: "The layout of keys below the prefix; what stands before the date is what a series is listed by.",
        example: r#""{date}/{name}_backup_{date}_{time}""#,
    }
    /// The S3 region.
    REGION = {
        key: "region",
        environment: &["BACKUP_REGION", "BACKUP_S3_REGION"],
        fallback: &["AWS_S3_REGION", "AWS_REGION", "AWS_DEFAULT_REGION"],
        chapter: Chapter::Store,
        unset: "what AWS's own configuration says, else us-east-1",
        doc: "The region of the bucket.",
        example: r#""eu-central-1""#,
    }
    /// The S3 endpoint.
    ENDPOINT_URL = {
        key: "endpoint-url",
        environment: &["BACKUP_ENDPOINT_URL", "BACKUP_S3_ENDPOINT"],
        fallback: &["AWS_S3_ENDPOINT", "AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL"],
        chapter: Chapter::Store,
        unset: "AWS",
        doc: "The URL of an S3 server other than AWS.",
        example: r#""https://ACCOUNT.r2.cloudflarestorage.com""#,
    }
    /// How buckets are addressed.
    PATH_STYLE = {
        key: "path-style",
        shape: Shape::Switch,
        environment: &["BACKUP_PATH_STYLE"],
        chapter: Chapter::Store,
        unset: "chosen by the provider",
        doc: "Name the bucket in the path of requests (true) or in the host name (false).",
        example: "true",
    }
    /// Whose limits count.
    PROVIDER = {
        key: "provider",
        environment: &["BACKUP_PROVIDER"],
        chapter: Chapter::Store,
        unset: "told by the endpoint",
        doc: "Whose limits and habits to expect, where the endpoint's host name does not say it.",
        example: r#""minio""#,
    }
    /// The access key.
    ACCESS_KEY_ID = {
        key: "aws-access-key-id",
        environment: &["BACKUP_AWS_ACCESS_KEY_ID"],
        fallback: &["AWS_ACCESS_KEY_ID"],
        chapter: Chapter::Credentials,
        unset: "AWS's own chain: profiles, web identity, instance and container roles",
        doc: "The access key; its secret and its token are taken from the same place as the key itself.",
        example: r#""AKIAIOSFODNN7EXAMPLE""#,
    }
    /// The secret of the access key.
    SECRET_ACCESS_KEY = {
        key: "aws-secret-access-key",
        environment: &["BACKUP_AWS_SECRET_ACCESS_KEY"],
        fallback: &["AWS_SECRET_ACCESS_KEY"],
        privacy: Privacy::Secret,
        chapter: Chapter::Credentials,
        doc: "The secret of the access key.",
        example: r#""…""#,
    }
    /// The token of temporary credentials.
    SESSION_TOKEN = {
        key: "aws-session-token",
        environment: &["BACKUP_AWS_SESSION_TOKEN"],
        fallback: &["AWS_SESSION_TOKEN"],
        privacy: Privacy::Secret,
        chapter: Chapter::Credentials,
        doc: "The token of temporary credentials.",
        example: r#""…""#,
    }
    /// The profile of AWS's own configuration.
    AWS_PROFILE = {
        key: "aws-profile",
        environment: &["BACKUP_AWS_PROFILE"],
        chapter: Chapter::Credentials,
        unset: "AWS_PROFILE, else `default`",
        doc: "The profile of AWS's own configuration files to take credentials from.",
        example: r#""backup""#,
    }
    /// The storage class of data objects.
    STORAGE_CLASS = {
        key: "storage-class",
        environment: &["BACKUP_STORAGE_CLASS"],
        chapter: Chapter::Objects,
        unset: "the bucket's standard class",
        doc: "The storage class of data objects, such as STANDARD_IA or GLACIER_IR; manifests stay in the standard class.",
        example: r#""STANDARD_IA""#,
    }
    /// Encryption by the server.
    SSE = {
        key: "sse",
        shape: Shape::Choice(&["AES256", "aws:kms"]),
        environment: &["BACKUP_SSE"],
        chapter: Chapter::Objects,
        unset: "the bucket's default",
        doc: "Encryption by the server: AES256 or aws:kms.",
        example: r#""aws:kms""#,
    }
    /// The key for encryption by the server.
    SSE_KMS_KEY_ID = {
        key: "sse-kms-key-id",
        environment: &["BACKUP_SSE_KMS_KEY_ID"],
        chapter: Chapter::Objects,
        unset: "the account's default key",
        doc: "The KMS key for encryption by the server.",
        example: r#""arn:aws:kms:eu-central-1:111122223333:key/…""#,
    }
    /// Tags of S3 objects.
    OBJECT_TAGS = {
        key: "object-tags",
        shape: Shape::Pairs,
        environment: &["BACKUP_OBJECT_TAG", "BACKUP_OBJECT_TAGS"],
        chapter: Chapter::Objects,
        doc: "S3 object tags, as key=value.",
        example: r#"["team=web"]"#,
    }
    /// Checksums of requests.
    CHECKSUM = {
        key: "checksum",
        shape: Shape::Choice(&["auto", "when_supported", "when_required"]),
        environment: &["BACKUP_CHECKSUM"],
        default: Some("auto"),
        chapter: Chapter::Objects,
        doc: "Additional checksums of requests: when_supported, when_required, or auto (the former on AWS, the latter elsewhere).",
        example: r#""when_required""#,
    }
    /// The user's tags.
    TAGS = {
        key: "tags",
        shape: Shape::List,
        environment: &["BACKUP_TAG", "BACKUP_TAGS"],
        chapter: Chapter::Objects,
        doc: "Words that are recorded with a backup.",
        example: r#"["nightly"]"#,
    }
    /// The gzip level.
    LEVEL = {
        key: "level",
        shape: Shape::Integer { min: 1, max: 12 },
        environment: &["BACKUP_LEVEL"],
        default: Some("6"),
        chapter: Chapter::Transfer,
        doc: "The level of gzip, from 1 (fast) to 12 (small).",
        example: "6",
    }
    /// Threads for compression.
    THREADS = {
        key: "threads",
        shape: Shape::Integer { min: 1, max: 1024 },
        environment: &["BACKUP_THREADS"],
        chapter: Chapter::Transfer,
        unset: "one for each core",
        doc: "How many threads compress or inflate.",
        example: "4",
    }
    /// The size of parts.
    PART_SIZE = {
        key: "part-size",
        shape: Shape::Bytes,
        environment: &["BACKUP_PART_SIZE"],
        chapter: Chapter::Transfer,
        unset: "chosen from the expected size",
        doc: "The size of a part of a multipart upload.",
        example: r#""16MiB""#,
    }
    /// Parts in flight.
    PARTS_IN_FLIGHT = {
        key: "parts-in-flight",
        shape: Shape::Integer { min: 1, max: 256 },
        environment: &["BACKUP_PARTS_IN_FLIGHT"],
        chapter: Chapter::Transfer,
        unset: "chosen from the memory",
        doc: "How many parts are sent or fetched at the same time.",
        example: "4",
    }
    /// The bound of memory.
    MEMORY = {
        key: "memory",
        shape: Shape::Bytes,
        environment: &["BACKUP_MEMORY"],
        default: Some("128MiB"),
        chapter: Chapter::Transfer,
        doc: "How much memory a run may take; part size and parts in flight follow from it.",
        example: r#""64MiB""#,
    }
    /// The expected size.
    EXPECTED_SIZE = {
        key: "expected-size",
        shape: Shape::Bytes,
        environment: &["BACKUP_EXPECTED_SIZE"],
        chapter: Chapter::Transfer,
        unset: "asked of the source, else the series' last backup",
        doc: "How large the backup may become before compression, where the source cannot tell.",
        example: r#""2TiB""#,
    }
    /// The first delay between attempts.
    RETRY_DELAY = {
        key: "retry-delay",
        shape: Shape::Duration,
        environment: &["BACKUP_RETRY_DELAY"],
        default: Some("5s"),
        chapter: Chapter::Transfer,
        doc: "How long to wait before a part is sent again; doubled each time.",
        example: r#""5s""#,
    }
    /// The longest delay between attempts.
    RETRY_DELAY_MAX = {
        key: "retry-delay-max",
        shape: Shape::Duration,
        environment: &["BACKUP_RETRY_DELAY_MAX"],
        default: Some("60s"),
        chapter: Chapter::Transfer,
        doc: "The longest wait between two attempts.",
        example: r#""60s""#,
    }
    /// How long to try without progress.
    RETRY_BUDGET = {
        key: "retry-budget",
        shape: Shape::Duration,
        environment: &["BACKUP_RETRY_BUDGET"],
        default: Some("15m"),
        chapter: Chapter::Transfer,
        doc: "How long to go on trying without any progress.",
        example: r#""15m""#,
    }
    /// How long to wait for a lock.
    LOCK_TIMEOUT = {
        key: "lock-timeout",
        shape: Shape::Duration,
        environment: &["BACKUP_LOCK_TIMEOUT"],
        default: Some("0s"),
        chapter: Chapter::Run,
        doc: "How long to wait for another run of the same series on this machine; 0s refuses at once.",
        example: r#""10m""#,
    }
    /// Where locks are kept.
    LOCK_FOLDER = {
        key: "lock-folder",
        shape: Shape::Path,
        environment: &["BACKUP_LOCK_FOLDER"],
        chapter: Chapter::Run,
        unset: "a folder under the user's state directory",
        doc: "Where the locks of running backups are kept.",
        example: r#""/run/lock/backup-cli""#,
    }
    /// The recorded host name.
    HOST = {
        key: "host",
        environment: &["BACKUP_HOST"],
        chapter: Chapter::Run,
        unset: "this machine's name",
        doc: "The host name that is recorded with a backup; never used to group backups.",
        example: r#""web-1""#,
    }
    /// Whether a restore backs up first what it replaces.
    SAFETY_BACKUP = {
        key: "safety-backup",
        shape: Shape::Switch,
        environment: &["BACKUP_SAFETY_BACKUP"],
        default: Some("true"),
        chapter: Chapter::Run,
        doc: "Back up first what a restore will replace.",
        example: "false",
    }
    /// The configuration file.
    CONFIG = {
        key: "config",
        in_file: false,
        shape: Shape::Path,
        environment: &["BACKUP_CONFIG"],
        chapter: Chapter::Console,
        unset: "the first that exists of those under FILES",
        doc: "The configuration file.",
        example: r#""/etc/backup-cli/config.toml""#,
    }
    /// The profiles.
    PROFILE = {
        key: "profile",
        in_file: false,
        shape: Shape::List,
        environment: &["BACKUP_PROFILE"],
        chapter: Chapter::Console,
        doc: "The profiles to use, one run for each.",
        example: r#"["web"]"#,
    }
    /// The dotenv file.
    ENV_FILE = {
        key: "env-file",
        in_file: false,
        shape: Shape::Path,
        environment: &["BACKUP_ENV_FILE"],
        chapter: Chapter::Console,
        doc: "A dotenv file whose variables count where the environment does not have them.",
        example: r#""/srv/app/.env""#,
    }
    /// Machine-readable output.
    JSON = {
        key: "json",
        in_file: false,
        shape: Shape::Switch,
        environment: &["BACKUP_JSON"],
        default: Some("false"),
        chapter: Chapter::Console,
        doc: "Print JSON.",
        example: "true",
    }
    /// Silence.
    QUIET = {
        key: "quiet",
        in_file: false,
        shape: Shape::Switch,
        environment: &["BACKUP_QUIET"],
        default: Some("false"),
        chapter: Chapter::Console,
        doc: "Print errors only.",
        example: "true",
    }
    /// More words.
    VERBOSE = {
        key: "verbose",
        in_file: false,
        shape: Shape::Integer { min: 0, max: 3 },
        environment: &["BACKUP_VERBOSE"],
        default: Some("0"),
        chapter: Chapter::Console,
        doc: "How much to log, from 0 to 3.",
        example: "1",
    }
    /// No progress.
    NO_PROGRESS = {
        key: "no-progress",
        in_file: false,
        shape: Shape::Switch,
        environment: &["BACKUP_NO_PROGRESS"],
        default: Some("false"),
        chapter: Chapter::Console,
        doc: "Do not show progress.",
        example: "true",
    }
    /// The format of standard error.
    LOG_FORMAT = {
        key: "log-format",
        in_file: false,
        shape: Shape::Choice(&["text", "json"]),
        environment: &["BACKUP_LOG_FORMAT"],
        default: Some("text"),
        chapter: Chapter::Console,
        doc: "How messages on standard error look: text or json.",
        example: r#""json""#,
    }
    /// Colour.
    COLOR = {
        key: "color",
        in_file: false,
        shape: Shape::Choice(&["auto", "always", "never"]),
        environment: &["BACKUP_COLOR"],
        default: Some("auto"),
        chapter: Chapter::Console,
        doc: "When to use colour: auto, always or never. NO_COLOR is honoured too.",
        example: r#""never""#,
    }
}

/// The prefix in a bucket that was named by itself.
pub const S3_PREFIX_DEFAULT: &str = "backups";

/// The layout that the seeds of this project used already.
pub const KEY_TEMPLATE_DEFAULT: &str = "{date}/{name}_backup_{date}_{time}";

/// Variables of this tool that are in use in the field and that this version knows but does not act on.
pub const NOT_YET: &[&str] = &[
    "BACKUP_S3_RETENTION_DAYS",
    "BACKUP_S3_GLACIER_DAYS",
    "BACKUP_S3_DELETE_DAYS",
    "BACKUP_HEALTHCHECK_URL",
    "BACKUP_HEALTHCHECK_FAIL_URL",
];
