//! `list`: the backups of a store.

use clap::Args as ClapArgs;

use super::{Context, help};
use crate::base::failure::{Failure, Kind, Result};

/// List backups, newest first
///
/// Prints id, name, time, age, size, stored size, state and storage class. Objects without a manifest, such as those of an
/// earlier script, are listed as unmanaged. --name lists one series only.
#[derive(Clone, Debug, Default, ClapArgs)]
#[command(after_long_help = help::closing("list"))]
pub struct Args {
    /// List every series, whatever name the profile or the environment sets
    #[arg(long)]
    pub all: bool,

    /// List no more than this many
    #[arg(long, value_name = "N")]
    pub limit: Option<usize>,
}

/// Prints the list.
///
/// # Errors
/// If the store cannot be listed.
pub fn run(_args: &Args, _context: &Context) -> Result<()> {
    Err(Failure::new(Kind::Unsupported, "This build cannot list backups"))
}
