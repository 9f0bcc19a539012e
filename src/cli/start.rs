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
    /// Set by a signal.
    pub cancel: Cancel,
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
        let loaded = Arc::new(loaded);
        let mut contexts = Vec::new();
        let console = match loaded.profiles.len() {
            0 | 1 => self.console.clone(),
            _ => self.console.with_documents_in_lines(),
        };
        for profile in loaded.runs() {
            let settings = loaded.settings(flags, profile, Secrets::Read).map_err(first_problem)?;
            contexts.push(Context {
                settings,
                loaded: loaded.clone(),
                console: console.clone(),
                cancel: self.cancel.clone(),
                listener: Arc::new(Listener::new(&console)),
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
    if help || error.kind() == ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand {
        // Help that nobody reads to its end (`| head`) is no failure.
        let _ = error.print();
        return if help { 0 } else { usage };
    }
    // The command line could not be parsed, so only its words can say in which form to complain.
    let mut settings = console::resolve(&Flags::default(), &Environment::of_process()).unwrap_or_default();
    settings.json |= std::env::args_os().any(|argument| argument == "--json");
    Console::new(settings, false).failure(&usage_failure(&error.render().to_string()));
    usage
}

/// What the parser of the command line says, in the words and the form of every other failure.
fn usage_failure(text: &str) -> Failure {
    let plain = |text: &str| text.replace('\'', "`");
    let mut message = String::new();
    let mut hints = Vec::new();
    let mut usage = None;
    for line in text.lines() {
        if let Some(first) = line.strip_prefix("error: ") {
            message = plain(first);
        } else if let Some(tip) = line.trim_start().strip_prefix("tip: ") {
            hints.push(capitalised(&plain(tip)));
        } else if let Some(line) = line.strip_prefix("Usage: ") {
            usage = Some(line.to_owned());
        } else if line.starts_with("  ") && usage.is_none() && !line.trim().is_empty() {
            // What is missing, or what may be written.
            message.push_str(&format!(" {}", line.trim()));
        }
    }
    let failure = Failure::new(Kind::Usage, capitalised(&message));
    let failure = hints.into_iter().fold(failure, Failure::hint);
    match usage {
        Some(usage) => {
            let command: Vec<&str> = usage
                .split_whitespace()
                .take_while(|word| !word.starts_with(['-', '<', '[']))
                .collect();
            failure.hint(format!("Usage: {usage}; `{} --help` explains it", command.join(" ")))
        }
        None => failure.hint("`backup-cli --help` explains the command line"),
    }
}

fn capitalised(sentence: &str) -> String {
    let mut characters = sentence.chars();
    characters
        .next()
        .map_or_else(String::new, |first| first.to_uppercase().chain(characters).collect())
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
