//! `restore`: brings a backup back.

use clap::{ArgGroup, Args as ClapArgs};

use super::{Context, TransferArgs, help};
use crate::base::failure::{Failure, Kind, Result};
use crate::config::{Flags, table};

/// Bring a backup back
///
/// The target of a directory is a folder, which must be empty or not exist, unless --merge or --replace is given. The
/// target of a database is the URL of a database that does not exist; with --replace, the one that does is renamed, kept
/// under a dated name, and backed up first. What is replaced is left as it was until everything has been restored and
/// checked.
///
/// A restore that replaces something asks for confirmation on a terminal, and is refused elsewhere without --confirm.
#[derive(Clone, Debug, Default, ClapArgs)]
#[command(
    after_long_help = help::closing("restore"),
    group = ArgGroup::new("what").args(["backup", "from_s3_latest", "from_s3", "list_s3", "backup_file"]),
)]
pub struct Args {
    /// An id, a unique prefix of one, latest, oldest, NAME@latest, or an s3:// URL or path [default: latest]
    #[arg(value_name = "BACKUP")]
    pub backup: Option<String>,

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

    /// Where to: a folder, a file, a URL such as postgres://user@host/database, or `-` for standard output
    #[arg(long, value_name = "TARGET", value_hint = clap::ValueHint::AnyPath, allow_hyphen_values = true)]
    pub to: Option<String>,

    /// Restore only what matches; may be repeated
    #[arg(long, value_name = "GLOB")]
    pub include: Vec<String>,

    /// Leave out what matches; may be repeated
    #[arg(long, value_name = "GLOB")]
    pub exclude: Vec<String>,

    /// Restore into a folder that is not empty; files of the backup replace those with the same path
    #[arg(long, conflicts_with = "replace")]
    pub merge: bool,

    /// Replace the folder or database that is there
    #[arg(long)]
    pub replace: bool,

    /// Drop the replaced database instead of keeping it under a dated name
    #[arg(long, requires = "replace")]
    pub drop_replaced: bool,

    /// Do not back up first what is replaced
    #[arg(long)]
    pub no_safety_backup: bool,

    /// The newest backup that was there at this time, for example 2025-01-31T12:00:00Z
    #[arg(long, value_name = "TIME")]
    pub at: Option<String>,

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
pub fn run(_args: &Args, _context: &Context) -> Result<()> {
    Err(Failure::new(Kind::Unsupported, "This build cannot restore backups"))
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
