//! The few settings that must be known before anything can be said: how to say it.

use super::environment::Environment;
use super::file::ConfigFile;
use super::layers::{Flags, Layer, Layers};
use super::table::{self, Spec};
use super::value::{FromValue, Origin, Raw, Setting};
use crate::base::failure::{Failure, Kind, Result};

/// When to use colour.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ColorChoice {
    /// On a terminal that wants it.
    #[default]
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

/// How to talk to the user.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ConsoleSettings {
    /// Print JSON.
    pub json: bool,
    /// Print errors only.
    pub quiet: bool,
    /// How much to log: 0 warnings, 1 information, 2 debugging, 3 everything.
    pub verbose: u8,
    /// Show no progress.
    pub no_progress: bool,
    /// Messages on standard error are JSON lines.
    pub log_json: bool,
    /// When to use colour.
    pub color: ColorChoice,
    /// Whether `NO_COLOR` is set to something.
    pub no_color: bool,
    /// Whether `TERM` says that the terminal cannot move its cursor.
    pub dumb_terminal: bool,
}

impl ConsoleSettings {
    /// Resolves them from flags and environment; configuration files do not hold them.
    ///
    /// # Errors
    /// [`Kind::Usage`] or [`Kind::Config`] if one has a wrong value.
    pub fn resolve(flags: &Flags, environment: &Environment) -> Result<Self> {
        let one = Lookup { flags, environment };
        Ok(Self {
            json: one.get(&table::JSON)?,
            quiet: one.get(&table::QUIET)?,
            verbose: u8::try_from(one.get::<u64>(&table::VERBOSE)?).unwrap_or(u8::MAX),
            no_progress: one.get(&table::NO_PROGRESS)?,
            log_json: one.get::<String>(&table::LOG_FORMAT)? == "json",
            color: match one.get::<String>(&table::COLOR)?.as_str() {
                "always" => ColorChoice::Always,
                "never" => ColorChoice::Never,
                _ => ColorChoice::Auto,
            },
            no_color: environment.get("NO_COLOR").is_some(),
            dumb_terminal: environment.get("TERM") == Some("dumb"),
        })
    }
}

/// A setting that only flags and the environment can give: `--config`, `--profile`, `--env-file`.
///
/// # Errors
/// [`Kind::Config`] if it has a wrong value.
pub fn early<T: FromValue>(
    spec: &'static Spec,
    flags: &Flags,
    environment: &Environment,
) -> Result<Option<Setting<T>>> {
    Lookup { flags, environment }.find(spec)
}

struct Lookup<'a> {
    flags: &'a Flags,
    environment: &'a Environment,
}

impl Lookup<'_> {
    fn find<T: FromValue>(&self, spec: &'static Spec) -> Result<Option<Setting<T>>> {
        let file = ConfigFile::default();
        let layers = Layers {
            flags: self.flags,
            environment: self.environment,
            file: &file,
            profile: None,
        };
        for layer in [Layer::Flags, Layer::Environment] {
            if let Some((found, _)) = layers.in_layer(spec, layer)? {
                let kind = match found.origin {
                    Origin::Flag(_) => Kind::Usage,
                    _ => Kind::Config,
                };
                let value = spec.shape.read(&found.raw, &found.origin).map_err(|why| {
                    Failure::new(kind, format!("Wrong value of {}", found.origin)).caused_by(anyhow::anyhow!(why))
                })?;
                return Ok(T::from_value(value).map(|value| Setting {
                    value,
                    origin: found.origin,
                }));
            }
        }
        Ok(None)
    }

    fn get<T: FromValue + Default>(&self, spec: &'static Spec) -> Result<T> {
        if let Some(found) = self.find(spec)? {
            return Ok(found.value);
        }
        let default = Raw::Text(spec.default.unwrap_or_default().to_owned());
        Ok(spec
            .shape
            .read(&default, &Origin::BuiltIn)
            .ok()
            .and_then(T::from_value)
            .unwrap_or_default())
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn flags_win_over_the_environment_and_both_over_nothing() {
        let environment =
            Environment::from_pairs([("BACKUP_JSON", "1"), ("BACKUP_COLOR", "always"), ("NO_COLOR", "1")]);
        let flags = Flags::default().text(&table::COLOR, "--color", Some("never"));
        let settings = ConsoleSettings::resolve(&flags, &environment).unwrap();
        assert!(settings.json && settings.no_color && !settings.quiet);
        assert_eq!(settings.color, ColorChoice::Never);
    }

    #[test]
    fn a_wrong_word_is_named_with_its_origin() {
        let environment = Environment::from_pairs([("BACKUP_LOG_FORMAT", "xml")]);
        let failure = ConsoleSettings::resolve(&Flags::default(), &environment).unwrap_err();
        assert_eq!(failure.message(), "Wrong value of environment BACKUP_LOG_FORMAT");
        assert_eq!(failure.causes(), ["Expected one of text, json, found `xml`"]);
        assert_eq!(failure.kind(), Kind::Config);
    }
}
