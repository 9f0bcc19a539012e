//! Settings: found in flags, environment and configuration file, resolved once, each with its origin.
//!
//! [`table`] says what settings there are; [`layers`] looks one up; [`resolve`](Settings::resolve) makes [`Settings`] of
//! all; [`early`] looks up the few that are needed before that. Nothing here touches the network.

use std::path::Path;

mod choose;
pub mod dotenv;
pub mod early;
pub mod environment;
pub mod example;
pub mod file;
mod keys;
pub mod layers;
mod lock;
mod resolve;
mod retention;
pub mod settings;
mod specs;
pub mod table;
pub mod value;

pub use environment::Environment;
pub use file::ConfigFile;
pub use layers::{Flags, Layers};
pub use lock::LockSettings;
pub use resolve::Secrets;
pub use settings::{ChecksumMode, Credentials, Settings, Shown, StoreChoice};
pub use value::{Origin, Setting};

use crate::base::failure::{Failure, Kind, Result};

/// Everything that settings are made of but the flags: read once, before anything is done.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// The variables.
    pub environment: Environment,
    /// The configuration file.
    pub file: ConfigFile,
    /// The profiles that were asked for; none means a run without one.
    pub profiles: Vec<String>,
}

impl Loaded {
    /// Reads the configuration file that flags or environment name, or a standard one.
    ///
    /// # Errors
    /// Every problem of the file.
    pub fn load(flags: &Flags, environment: Environment) -> Result<Self, Vec<Failure>> {
        let one = |failure| vec![failure];
        let named = early::find::<std::path::PathBuf>(&table::CONFIG, flags, &environment).map_err(one)?;
        let profiles = early::find::<Vec<String>>(&table::PROFILE, flags, &environment).map_err(one)?;
        let standard = file::standard_paths(&environment);
        let file = ConfigFile::find(named.as_ref().map(|path| path.value.as_path()), &standard)?;
        Ok(Self {
            environment,
            file,
            profiles: profiles.map(|profiles| profiles.value).unwrap_or_default(),
        })
    }

    /// The profiles to run, one after the other; one run without a profile if none was asked for.
    #[must_use]
    pub fn runs(&self) -> Vec<Option<&str>> {
        match self.profiles.is_empty() {
            true => vec![None],
            false => self.profiles.iter().map(|name| Some(name.as_str())).collect(),
        }
    }

    /// The settings of one run.
    ///
    /// # Errors
    /// Every problem.
    pub fn settings(&self, flags: &Flags, profile: Option<&str>, secrets: Secrets) -> Result<Settings, Vec<Failure>> {
        let layers = Layers {
            flags,
            environment: &self.environment,
            file: &self.file,
            profile,
        };
        Settings::resolve(&layers, secrets)
    }
}

impl Loaded {
    /// The settings of the store that a profile names, for `@PROFILE`.
    ///
    /// Flags and this tool's variables speak of the run's own store, so here the profile has the first word.
    ///
    /// # Errors
    /// Every problem; [`Kind::Config`] if the profile does not name a store itself.
    pub fn store_settings(&self, profile: &str, secrets: Secrets) -> Result<Settings, Vec<Failure>> {
        choose::of_store(profile, &self.environment, &self.file, secrets)
    }
}

/// Several problems as one failure: the first, and how to see the others.
#[must_use]
pub fn first_problem(problems: Vec<Failure>) -> Failure {
    let others = problems.len().saturating_sub(1);
    let mut problems = problems.into_iter();
    let Some(first) = problems.next() else {
        return Failure::new(Kind::Failed, "The settings have a problem that has no description");
    };
    match others {
        0 => first,
        1 => first.hint("There is one more problem; `backup-cli config check` lists them all"),
        others => first.hint(format!(
            "There are {others} more problems; `backup-cli config check` lists them all"
        )),
    }
}

/// Where `config init` writes when no file is named: the first of the standard places.
///
/// # Errors
/// [`Kind::Config`] if there is none.
pub fn file_to_write(named: Option<&Path>, environment: &Environment) -> Result<std::path::PathBuf> {
    match named {
        Some(path) => Ok(path.to_owned()),
        None => file::standard_paths(environment).into_iter().next().ok_or_else(|| {
            Failure::new(Kind::Config, "There is no folder for a configuration file")
                .hint("Name the file, for example `backup-cli config init config.toml`")
        }),
    }
}

#[cfg(test)]
mod tests;
