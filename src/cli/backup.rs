//! `backup`: makes a backup of one source.

use clap::Args as ClapArgs;

use super::{Context, TransferArgs, given, help};
use crate::base::failure::{Failure, Kind, Result};
use crate::config::{Flags, table};

/// Back up directories, a database, or the output of a command
///
/// A source is a directory or a file, a URL such as postgres://user@host/database, or `-` for standard input. Several
/// paths go into one backup. Without a source, the profile's is taken, or the database of DATABASE_URL.
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

    /// A further argument for pg_dump; may be repeated
    #[arg(long, value_name = "ARGUMENT", allow_hyphen_values = true, hide_short_help = true)]
    pub pg_dump_arg: Vec<String>,

    /// Show what would be done, without doing it
    #[arg(long, short = 'n')]
    pub dry_run: bool,

    /// How long to wait for another run of the same series [default: 0s]
    #[arg(long, value_name = "DURATION", hide_short_help = true)]
    pub lock_timeout: Option<String>,

    /// The host name to record [default: this machine's]
    #[arg(long, value_name = "HOST", hide_short_help = true)]
    pub host: Option<String>,

    /// The layout of keys below the prefix
    #[arg(long, value_name = "TEMPLATE", hide_short_help = true)]
    pub key_template: Option<String>,

    /// The level of gzip, from 1 (fast) to 12 (small) [default: 6]
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
    #[arg(long, value_name = "KIND", value_parser = ["AES256", "aws:kms", "aws:kms:dsse"], help_heading = "S3", hide_short_help = true)]
    pub sse: Option<String>,

    /// The KMS key for encryption by the server
    #[arg(long, value_name = "KEY", help_heading = "S3", hide_short_help = true)]
    pub sse_kms_key_id: Option<String>,

    /// An S3 object tag; may be repeated
    #[arg(long, value_name = "KEY=VALUE", help_heading = "S3", hide_short_help = true)]
    pub object_tag: Vec<String>,

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
            .list(&table::PG_DUMP_ARGUMENTS, "--pg-dump-arg", &self.pg_dump_arg)
            .text(&table::LOCK_TIMEOUT, "--lock-timeout", self.lock_timeout.as_deref())
            .text(&table::HOST, "--host", self.host.as_deref())
            .text(&table::KEY_TEMPLATE, "--key-template", self.key_template.as_deref())
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
            .and(self.transfer.flags())
    }
}

/// Makes the backup.
///
/// # Errors
/// Whatever keeps it from being made; [`Kind::Incomplete`] if it was made without some items.
pub fn run(_args: &Args, _context: &Context) -> Result<()> {
    Err(Failure::new(Kind::Unsupported, "This build cannot make backups"))
}
