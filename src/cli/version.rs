//! `version`: which version this is.

use clap::Args as ClapArgs;

use super::help;
use crate::base::failure::Result;
use crate::catalog::manifest::MANIFEST_FORMAT;
use crate::ui::Console;

/// Print the version
#[derive(Clone, Debug, Default, ClapArgs)]
#[command(after_long_help = help::closing("version"))]
pub struct Args {}

/// Prints the version, and with `--json` also the format that this version writes.
///
/// # Errors
/// If standard output cannot be written.
pub fn run(_args: &Args, console: &Console) -> Result<()> {
    if console.is_json() {
        return console.answer_json(&serde_json::json!({
            "message_type": "version",
            "name": env!("CARGO_PKG_NAME"),
            "version": env!("CARGO_PKG_VERSION"),
            "format": MANIFEST_FORMAT,
            "os": std::env::consts::OS,
            "arch": std::env::consts::ARCH,
        }));
    }
    console.answer(&format!("{} {}", env!("CARGO_PKG_NAME"), env!("CARGO_PKG_VERSION")))
}
