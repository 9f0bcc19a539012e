//! The entry point: parse, run, exit code.

use std::process::ExitCode;

use backup_cli::base::failure::Kind;
use backup_cli::cli;
use backup_cli::ui::panic;

fn main() -> ExitCode {
    let (cli, started) = match cli::start() {
        Ok(started) => started,
        Err(code) => return ExitCode::from(code),
    };
    // A panic has been printed by its hook; here it only must not become a success, in this thread or in another.
    let run = std::panic::AssertUnwindSafe(|| cli.run(&started));
    let kind = std::panic::catch_unwind(run).unwrap_or(Some(Kind::Failed));
    match kind {
        Some(kind) => ExitCode::from(kind.exit_code()),
        None if panic::happened() => ExitCode::from(Kind::Failed.exit_code()),
        None => ExitCode::SUCCESS,
    }
}
