//! From the process's arguments and environment to contexts in which commands run.

use std::sync::Arc;

use clap::Parser;

use super::signals::{self, Current};
use super::{Cli, Context, console};
use crate::base::cancel::Cancel;
use crate::base::failure::{Failure, Kind, Result};
use crate::config::{Environment, Flags, Loaded, Secrets, dotenv, early, first_problem, table};
use crate::ui::{Console, ConsoleSettings, Listener};

/// What is there before any command runs.
pub struct Started {
    /// Where output goes.
    pub console: Console,
    /// The environment.
    pub environment: Environment,
    cancel: Cancel,
    current: Current,
}

/// Parses the command line, applies the environment file, and starts console, log and signals.
///
/// # Errors
/// The exit code, when all that is to be said has been printed: help, version, a usage error.
pub fn start() -> Result<(Cli, Started), u8> {
    let cli = Cli::try_parse().map_err(|error| print_usage(&error))?;
    let flags = cli.global.flags();
    let mut environment = Environment::of_process();
    let plain = |failure: &Failure, settings: ConsoleSettings| {
        Console::new(settings, false).failure(failure);
        failure.kind().exit_code()
    };
    let settings =
        console::resolve(&flags, &environment).map_err(|failure| plain(&failure, ConsoleSettings::default()))?;
    let env_file = early::find::<std::path::PathBuf>(&table::ENV_FILE, &flags, &environment)
        .map_err(|failure| plain(&failure, settings.clone()))?;
    if let Some(file) = env_file {
        dotenv::apply(&file, &environment).map_err(|failure| plain(&failure, settings.clone()))?;
        environment = Environment::of_process();
    }
    let console = Console::new(settings, cli.command.writes_data_to_stdout());
    crate::ui::panic::report_to(console.clone());
    crate::ui::log::start(&console);
    let (cancel, current) = (Cancel::new(), Current::default());
    signals::watch(&cancel, &current).map_err(|failure| plain(&failure, console.settings().clone()))?;
    let started = Started {
        console,
        environment,
        cancel,
        current,
    };
    Ok((cli, started))
}

impl Started {
    /// Prints a failure and returns its kind.
    pub fn print(&self, failure: &Failure) -> Kind {
        self.console.failure(failure);
        failure.kind()
    }

    /// A context for each profile, all resolved before the first one runs.
    ///
    /// # Errors
    /// Whatever is wrong with the settings of any of them.
    pub fn contexts(&self, flags: &Flags, several: bool) -> Result<Vec<Context>> {
        let loaded = Loaded::load(flags, self.environment.clone()).map_err(first_problem)?;
        if loaded.profiles.len() > 1 && !several {
            return Err(Failure::new(Kind::Usage, "This command takes one profile")
                .hint(format!("These were given: {}", loaded.profiles.join(", "))));
        }
        let mut contexts = Vec::new();
        for profile in loaded.runs() {
            let settings = loaded.settings(flags, profile, Secrets::Read).map_err(first_problem)?;
            contexts.push(Context {
                settings,
                console: self.console.clone(),
                cancel: self.cancel.clone(),
                listener: Arc::new(Listener::new(&self.console)),
            });
        }
        if let Some(first) = contexts.first() {
            first
                .settings
                .warnings
                .iter()
                .for_each(|warning| self.console.warning(warning));
            if first.settings.store.is_built_in() {
                self.console.note(&format!(
                    "No store is configured: backups live in {}. To send them to S3: --store s3://bucket/prefix, or set BACKUP_S3_BUCKET.",
                    first.settings.store.value
                ));
            }
        }
        Ok(contexts)
    }

    /// Runs a command in its context; what is drawn ends with it. One of several says which one it was.
    ///
    /// # Errors
    /// The command's own.
    pub fn run_one(&self, context: &Context, is_one_of_several: bool, run: impl FnOnce() -> Result<()>) -> Result<()> {
        self.current.set(&context.listener);
        let result = run();
        context.listener.end();
        match (&context.settings.profile, result) {
            (Some(profile), Err(failure)) if is_one_of_several && failure.kind() != Kind::Interrupted => {
                Err(failure.context(format!("The run of profile `{profile}` did not end well")))
            }
            (_, result) => result,
        }
    }
}

/// Prints what the parser has to say and returns the exit code.
fn print_usage(error: &clap::Error) -> u8 {
    use clap::error::ErrorKind;
    let usage = Kind::Usage.exit_code();
    let help = matches!(error.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion);
    // The command line could not be parsed, so only its words can say in which form to complain.
    if !help && std::env::args_os().any(|argument| argument == "--json") {
        let text = error.render().to_string();
        let message = text.lines().next().unwrap_or_default().trim_start_matches("error: ");
        let settings = ConsoleSettings {
            json: true,
            ..ConsoleSettings::default()
        };
        Console::new(settings, false).failure(&Failure::new(Kind::Usage, message));
        return usage;
    }
    // Help that nobody reads to its end (`| head`) is no failure.
    let _ = error.print();
    if help { 0 } else { usage }
}

/// Which of two failures decides the exit code of several runs: the one that says most about lost backups.
pub(super) fn worse(a: Kind, b: Kind) -> Kind {
    let weight = |kind: Kind| match kind {
        Kind::Incomplete => 0,
        Kind::TooOld | Kind::Refused | Kind::Locked => 1,
        Kind::Interrupted => 4,
        Kind::Damaged | Kind::WrongKey => 3,
        _ => 2,
    };
    if weight(b) > weight(a) { b } else { a }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_worst_run_decides() {
        for (a, b, worst) in [
            (Kind::Incomplete, Kind::Failed, Kind::Failed),
            (Kind::Failed, Kind::Incomplete, Kind::Failed),
            (Kind::NotFound, Kind::Failed, Kind::NotFound),
            (Kind::Locked, Kind::Source, Kind::Source),
            (Kind::Failed, Kind::Interrupted, Kind::Interrupted),
        ] {
            assert_eq!(worse(a, b), worst);
        }
    }
}
