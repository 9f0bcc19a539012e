//! The command line: one file a command, with its arguments on top and what it does below.
//!
//! Parse, then resolve, then act: nothing touches disk or network before the settings of every run are known.

use clap::{Args as ClapArgs, Parser, Subcommand};

pub mod accept;
pub mod adopt;
mod afterwards;
pub mod assemble;
mod backed_up;
pub mod backup;
pub mod bucket;
pub mod cleanup;
pub mod completions;
pub mod config;
mod console;
pub mod context;
pub mod copy;
pub mod cost;
mod databases;
pub mod diff;
pub mod doctor;
pub mod drill;
pub mod find;
pub mod generate;
pub mod help;
pub mod iam;
pub mod key;
pub mod lifecycle;
pub mod list;
pub mod ls;
mod manual;
mod metrics;
mod object_lock;
pub mod page;
pub mod permissions;
pub mod pin;
pub mod prune;
pub mod rebuild_index;
pub mod restore;
pub mod retention;
pub mod show;
pub mod signals;
mod start;
mod stores;
pub mod target;
mod verified;
pub mod verify;
pub mod version;
pub mod words;

pub use context::Context;
pub use start::{Started, start};

use crate::base::failure::{Kind, Result};
use crate::config::{Flags, table};

/// Back up directories and databases to S3 or to a folder, and bring them back
///
/// Streams a directory, a PostgreSQL dump, an SQLite database or a command's output through gzip into S3 (or into a local
/// folder), and restores it. Every backup is a plain .tar.gz, .sql.gz or .sqlite.gz that stock tools open; nothing is
/// listed before its source has proved that it ended well.
#[derive(Debug, Parser)]
#[command(
    name = "backup-cli",
    version,
    arg_required_else_help = true,
    subcommand_required = true,
    disable_help_subcommand = true,
    max_term_width = 100,
    after_long_help = help::closing("backup-cli"),
)]
pub struct Cli {
    #[allow(missing_docs)]
    #[command(subcommand)]
    pub command: Command,
    #[allow(missing_docs)]
    #[command(flatten)]
    pub global: GlobalArgs,
}

/// The commands.
// What stands above a variant would replace the help that its arguments bring along.
#[allow(missing_docs)]
#[derive(Debug, Subcommand)]
pub enum Command {
    Backup(Box<backup::Args>),
    Accept(accept::Args),
    List(list::Args),
    Show(show::Args),
    Ls(ls::Args),
    Copy(copy::Args),
    Find(find::Args),
    Diff(diff::Args),
    Restore(Box<restore::Args>),
    Prune(Box<prune::Args>),
    Pin(pin::PinArgs),
    Unpin(pin::UnpinArgs),
    Cleanup(cleanup::Args),
    Cost(Box<cost::Args>),
    Doctor(doctor::Args),
    Verify(Box<verify::Args>),
    RebuildIndex(rebuild_index::Args),
    Adopt(adopt::Args),
    Bucket(bucket::Args),
    Iam(iam::Args),
    Lifecycle(lifecycle::Args),
    Key(key::Args),
    Config(config::Args),
    Completions(completions::Args),
    Version(version::Args),
    #[command(hide = true)]
    Generate(generate::Args),
}

/// Options that go with every command.
#[derive(Clone, Debug, Default, ClapArgs)]
#[command(next_help_heading = "Global options")]
pub struct GlobalArgs {
    /// Read this configuration file
    #[arg(long, global = true, value_name = "FILE", value_hint = clap::ValueHint::FilePath, hide_short_help = true)]
    pub config: Option<std::path::PathBuf>,

    /// Use this profile of the configuration file; repeat it for several runs, one after the other
    #[arg(short, long, global = true, value_name = "NAME")]
    pub profile: Vec<String>,

    /// Where backups live: s3://bucket/prefix, file:///folder, a folder, or @PROFILE; repeat it to back up into several at
    /// once, of which all other commands use the first
    #[arg(long, global = true, value_name = "URL")]
    pub store: Vec<String>,

    /// The name of the series: all backups under one name belong together
    #[arg(long, global = true, value_name = "NAME")]
    pub name: Option<String>,

    /// The URL of an S3 server other than AWS
    #[arg(long, global = true, value_name = "URL", value_hint = clap::ValueHint::Url, hide_short_help = true)]
    pub endpoint_url: Option<String>,

    /// The region of the bucket
    #[arg(long, global = true, value_name = "REGION", hide_short_help = true)]
    pub region: Option<String>,

    /// Whose limits and habits to expect, where the endpoint does not tell it
    #[arg(long, global = true, value_name = "NAME", hide_short_help = true)]
    pub provider: Option<String>,

    /// Name the bucket in the path of requests (or, with =false, in the host name)
    #[arg(
        long,
        global = true,
        value_name = "BOOL",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "true",
        hide_short_help = true
    )]
    pub path_style: Option<bool>,

    /// Encrypt backups for the holder of this public key of age; may be repeated
    #[arg(long, global = true, value_name = "KEY")]
    pub recipient: Vec<String>,

    /// Encrypt for the public keys in this file, too; may be repeated
    #[arg(long, global = true, value_name = "FILE", value_hint = clap::ValueHint::FilePath, hide_short_help = true)]
    pub recipients_file: Vec<std::path::PathBuf>,

    /// Open encrypted backups with the secret keys in this file; may be repeated
    #[arg(long, global = true, value_name = "FILE", value_hint = clap::ValueHint::FilePath)]
    pub identity: Vec<std::path::PathBuf>,

    /// Read variables from a dotenv file where the environment does not have them
    #[arg(long, global = true, value_name = "FILE", value_hint = clap::ValueHint::FilePath, hide_short_help = true)]
    pub env_file: Option<std::path::PathBuf>,

    /// Print JSON: one document, or lines with a message_type for long commands
    #[arg(long, global = true)]
    pub json: bool,

    /// Print errors only
    #[arg(short, long, global = true)]
    pub quiet: bool,

    /// Log what happens inside; repeat it for more
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    pub verbose: u8,

    /// Do not show progress
    #[arg(long, global = true, hide_short_help = true)]
    pub no_progress: bool,

    /// The format of messages on standard error
    #[arg(long, global = true, value_name = "FORMAT", value_parser = ["text", "json"], hide_short_help = true)]
    pub log_format: Option<String>,

    /// When to use colour
    #[arg(long, global = true, value_name = "WHEN", value_parser = ["auto", "always", "never"], hide_short_help = true)]
    pub color: Option<String>,
}

impl GlobalArgs {
    /// These options as a layer of settings.
    #[must_use]
    pub fn flags(&self) -> Flags {
        let path = |path: &Option<std::path::PathBuf>| path.as_ref().map(|path| path.to_string_lossy().into_owned());
        let verbose = (self.verbose > 0).then(|| self.verbose.min(3).to_string());
        Flags::default()
            .text(&table::CONFIG, "--config", path(&self.config).as_deref())
            .list(&table::PROFILE, "--profile", &self.profile)
            .list(&table::STORE, "--store", &self.store)
            .text(&table::NAME, "--name", self.name.as_deref())
            .text(&table::ENDPOINT_URL, "--endpoint-url", self.endpoint_url.as_deref())
            .text(&table::REGION, "--region", self.region.as_deref())
            .text(&table::PROVIDER, "--provider", self.provider.as_deref())
            .switch(&table::PATH_STYLE, "--path-style", self.path_style)
            .list(&table::RECIPIENTS, "--recipient", &self.recipient)
            .list(&table::RECIPIENTS_FILES, "--recipients-file", &self.recipients_file)
            .list(&table::IDENTITIES, "--identity", &self.identity)
            .text(&table::ENV_FILE, "--env-file", path(&self.env_file).as_deref())
            .switch(&table::JSON, "--json", given(self.json))
            .switch(&table::QUIET, "--quiet", given(self.quiet))
            .text(&table::VERBOSE, "--verbose", verbose.as_deref())
            .switch(&table::NO_PROGRESS, "--no-progress", given(self.no_progress))
            .text(&table::LOG_FORMAT, "--log-format", self.log_format.as_deref())
            .text(&table::COLOR, "--color", self.color.as_deref())
    }
}

/// A flag that can only turn something on says nothing when it is not there.
fn given(flag: bool) -> Option<bool> {
    flag.then_some(true)
}

/// Options on how bytes are moved, of the commands that move many.
#[derive(Clone, Debug, Default, ClapArgs)]
#[command(next_help_heading = "Performance")]
pub struct TransferArgs {
    /// How many threads compress or inflate [default: one for each core]
    #[arg(long, value_name = "N", hide_short_help = true)]
    pub threads: Option<String>,

    /// How many parts are sent or fetched at the same time [default: chosen from the memory]
    #[arg(long, value_name = "N", hide_short_help = true)]
    pub parts_in_flight: Option<String>,

    /// How much memory the run may take [default: 128MiB]
    #[arg(long, value_name = "SIZE", hide_short_help = true)]
    pub memory: Option<String>,
}

impl TransferArgs {
    fn flags(&self) -> Flags {
        Flags::default()
            .text(&table::THREADS, "--threads", self.threads.as_deref())
            .text(
                &table::PARTS_IN_FLIGHT,
                "--parts-in-flight",
                self.parts_in_flight.as_deref(),
            )
            .text(&table::MEMORY, "--memory", self.memory.as_deref())
    }
}

impl Command {
    /// What the command's own options say about settings.
    #[must_use]
    pub fn flags(&self) -> Flags {
        match self {
            Self::Backup(args) => args.flags(),
            Self::Restore(args) => args.flags(),
            Self::Copy(args) => args.flags(),
            Self::Prune(args) => args.flags(),
            Self::Cleanup(args) => args.flags(),
            Self::Cost(args) => args.flags(),
            Self::Bucket(args) => args.flags(),
            Self::Doctor(args) => args.flags(),
            Self::Lifecycle(args) => args.flags(),
            Self::Verify(args) => args.flags(),
            Self::Iam(args) => args.action.flags(),
            Self::RebuildIndex(args) => args.flags(),
            Self::Adopt(args) => args.flags(),
            _ => Flags::default(),
        }
    }

    /// Whether standard output carries a backup's content.
    #[must_use]
    pub fn writes_data_to_stdout(&self) -> bool {
        matches!(self, Self::Restore(args) if args.to.as_deref() == Some("-"))
    }

    /// Whether several profiles make sense: what is asked of each is independent of the others.
    fn takes_several_profiles(&self) -> bool {
        matches!(
            self,
            Self::Backup(_)
                | Self::List(_)
                | Self::Find(_)
                | Self::Copy(_)
                | Self::Doctor(_)
                | Self::Prune(_)
                | Self::Cleanup(_)
                | Self::Cost(_)
                | Self::Verify(_)
                | Self::Config(_)
        )
    }
}

impl Cli {
    /// Runs the command, once for each profile, and prints what fails.
    ///
    /// Returns how it ended: the worst of the runs, or `None` if all was done.
    #[must_use]
    pub fn run(&self, started: &Started) -> Option<Kind> {
        let console = &started.console;
        let one = |result: Result<()>| result.map_err(|failure| started.print(&failure)).err();
        match &self.command {
            Command::Completions(args) => one(completions::run(args, console)),
            Command::Generate(args) => one(generate::run(args, console)),
            Command::Version(args) => one(version::run(args, console)),
            Command::Cost(args) if args.print_prices => one(cost::print_prices(console)),
            Command::Key(args) => {
                let around = key::Surroundings {
                    flags: &self.flags(),
                    environment: &started.environment,
                    console,
                    cancel: &started.cancel,
                };
                one(key::run(args, &around))
            }
            Command::Config(args) => one(config::run(args, &self.flags(), &started.environment, console)),
            command => self.run_with_settings(command, started),
        }
    }

    fn flags(&self) -> Flags {
        self.command.flags().and(self.global.flags())
    }

    fn run_with_settings(&self, command: &Command, started: &Started) -> Option<Kind> {
        let contexts = match started.contexts(&self.flags(), command.takes_several_profiles()) {
            Ok(contexts) => contexts,
            Err(failure) => return Some(started.print(&failure)),
        };
        let several = contexts.len() > 1;
        let mut worst = None;
        for context in contexts {
            let result = started.run_one(&context, several, || match command {
                Command::Backup(args) => backup::run(args, &context),
                Command::Accept(args) => accept::run(args, &context),
                Command::List(args) => list::run(args, &context),
                Command::Show(args) => show::run(args, &context),
                Command::Ls(args) => ls::run(args, &context),
                Command::Copy(args) => copy::run(args, &context),
                Command::Find(args) => find::run(args, &context),
                Command::Diff(args) => diff::run(args, &context),
                Command::Restore(args) => restore::run(args, &context),
                Command::Prune(args) => prune::run(args, &context),
                Command::Pin(args) => pin::run_pin(args, &context),
                Command::Unpin(args) => pin::run_unpin(args, &context),
                Command::Cleanup(args) => cleanup::run(args, &context),
                Command::Cost(args) => cost::run(args, &context),
                Command::Doctor(args) => doctor::run(args, &context),
                Command::Verify(args) => verify::run(args, &context),
                Command::RebuildIndex(args) => rebuild_index::run(args, &context),
                Command::Adopt(args) => adopt::run(args, &context),
                Command::Bucket(args) => bucket::run(args, &context),
                Command::Iam(args) => iam::run(args, &context),
                Command::Lifecycle(args) => lifecycle::run(args, &context),
                // These have been dispatched before settings were asked for.
                Command::Key(_)
                | Command::Config(_)
                | Command::Completions(_)
                | Command::Generate(_)
                | Command::Version(_) => Ok(()),
            });
            if let Err(failure) = result {
                let kind = started.print(&failure);
                worst = Some(worst.map_or(kind, |worst| start::worse(worst, kind)));
                if kind == Kind::Interrupted {
                    break;
                }
            }
        }
        worst
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    fn parse(arguments: &[&str]) -> Cli {
        Cli::try_parse_from(std::iter::once(&"backup-cli").chain(arguments)).unwrap()
    }

    #[test]
    fn the_command_line_is_well_formed() {
        Cli::command().debug_assert();
    }

    #[test]
    fn the_words_of_the_seeds_are_understood() {
        for line in [
            "restore --from-s3-latest",
            "restore --from-s3-latest --confirm",
            "restore --from-s3-latest --dry-run",
            "restore --list-s3",
            "restore --from-s3 s3://b/backups/20250128/astro_backup_20250128_143000.sql.gz",
            "restore --backup-file /var/backups/astro_backup_20250128_143000.sql.gz",
            "restore latest --to /srv -y",
            "restore latest --to /srv --yes",
            "backup /srv/www --name www --tag a --tag b",
            "backup --command 'mongodump' --profile x -p y",
            "backup - --stdin-name dump",
            "--json list",
            "list --json --name x",
            "copy app@latest --to @offsite",
            "copy --all --name app --last 7 --to s3://other/backups -n",
            "config check",
        ] {
            parse(&line.split(' ').collect::<Vec<_>>());
        }
    }

    #[test]
    fn contradictions_are_usage_errors() {
        for line in [
            "restore latest --from-s3-latest",
            "restore --from-s3 s3://b/k --backup-file f",
            "restore latest --merge --replace",
            "backup /srv --command x",
            "copy --all latest --to @x",
            "copy --to @x",
            "copy latest",
            "copy latest --last 3 --to @x",
            "--color pink list",
        ] {
            let arguments = std::iter::once("backup-cli").chain(line.split(' '));
            let error = Cli::try_parse_from(arguments).unwrap_err();
            assert_eq!(error.exit_code(), 2, "{line}");
        }
    }

    #[test]
    fn every_command_says_its_exit_status() {
        let mut command = Cli::command();
        command.build();
        let mut stack: Vec<clap::Command> = vec![command];
        while let Some(mut command) = stack.pop() {
            let help = command.render_long_help().to_string();
            assert!(help.contains("EXIT STATUS"), "{}", command.get_name());
            assert!(help.contains("\n  0 "), "{}", command.get_name());
            stack.extend(
                command
                    .get_subcommands()
                    .filter(|sub| sub.get_name() != "help")
                    .cloned(),
            );
        }
    }
}
