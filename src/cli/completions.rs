//! `completions`: scripts that complete command lines.

use clap::{Args as ClapArgs, CommandFactory};
use clap_complete::Shell;

use super::{Cli, help};
use crate::base::failure::Result;
use crate::ui::Console;

/// Print a completion script for a shell
#[derive(Clone, Debug, ClapArgs)]
#[command(after_long_help = help::closing("completions"))]
pub struct Args {
    /// The shell
    #[arg(value_name = "SHELL")]
    pub shell: Shell,
}

/// Prints the script.
///
/// # Errors
/// If standard output cannot be written.
pub fn run(args: &Args, console: &Console) -> Result<()> {
    console.answer(&String::from_utf8_lossy(&script(args.shell)))
}

/// The completion script for a shell.
#[must_use]
pub fn script(shell: Shell) -> Vec<u8> {
    let mut script = Vec::new();
    let mut command = Cli::command();
    let name = command.get_name().to_owned();
    clap_complete::generate(shell, &mut command, name, &mut script);
    script
}
