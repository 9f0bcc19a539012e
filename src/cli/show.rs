//! `show`: one backup in full.

use clap::Args as ClapArgs;

use super::{Context, help};
use crate::base::failure::{Failure, Kind, Result};

/// Show what is known of a backup
///
/// Prints the manifest for people, or with --json as it is stored.
#[derive(Clone, Debug, Default, ClapArgs)]
#[command(after_long_help = help::closing("show"))]
pub struct Args {
    /// An id, a unique prefix of one, latest, oldest, NAME@latest, or an s3:// URL or path
    #[arg(value_name = "BACKUP", default_value = "latest")]
    pub backup: String,
}

/// Prints the backup.
///
/// # Errors
/// [`Kind::NotFound`] if there is no such backup.
pub fn run(_args: &Args, _context: &Context) -> Result<()> {
    Err(Failure::new(Kind::Unsupported, "This build cannot show backups"))
}
