//! `ls`: what is inside a backup.

use clap::Args as ClapArgs;

use super::{Context, help};
use crate::base::failure::{Failure, Kind, Result};

/// List the files or tables inside a backup
///
/// Reads the index only, not the data.
#[derive(Clone, Debug, Default, ClapArgs)]
#[command(after_long_help = help::closing("ls"))]
pub struct Args {
    /// An id, a unique prefix of one, latest, oldest, NAME@latest, or an s3:// URL or path
    #[arg(value_name = "BACKUP", default_value = "latest")]
    pub backup: String,

    /// List only this path and what is below it
    #[arg(value_name = "PATH")]
    pub path: Option<String>,

    /// Print mode, owner, size and time too
    #[arg(long, short)]
    pub long: bool,
}

/// Prints what is inside.
///
/// # Errors
/// [`Kind::NotFound`] if there is no such backup or path.
pub fn run(_args: &Args, _context: &Context) -> Result<()> {
    Err(Failure::new(Kind::Unsupported, "This build cannot look into backups"))
}
