//! The layers that a value may come from: flag > environment > profile > `[defaults]` > other tools' variables.
//!
//! Variables of other tools (`AWS_REGION`, `DATABASE_URL`) come last: they are set for an application as often as for
//! this tool, and must not move a backup away from where a configuration file says that it goes.

use super::environment::Environment;
use super::file::{ConfigFile, Entries, Found, twin_keys};
use super::table::Spec;
use super::value::{Origin, Raw};
use crate::base::failure::{Failure, Kind, Result};

/// What flags say, by setting.
#[derive(Clone, Debug, Default)]
pub struct Flags(Vec<(&'static Spec, Found)>);

impl Flags {
    /// A flag that takes one text, as the user wrote it; the setting's shape reads it.
    #[must_use]
    pub fn text(self, spec: &'static Spec, flag: &'static str, text: Option<&str>) -> Self {
        self.with(spec, flag, text.map(|text| Raw::Text(text.to_owned())))
    }

    /// A flag that may be repeated; none at all says nothing.
    #[must_use]
    pub fn list<S: AsRef<std::ffi::OsStr>>(self, spec: &'static Spec, flag: &'static str, items: &[S]) -> Self {
        let items: Vec<String> = items
            .iter()
            .map(|item| item.as_ref().to_string_lossy().into_owned())
            .collect();
        let raw = (!items.is_empty()).then_some(Raw::List(items));
        self.with(spec, flag, raw)
    }

    /// A flag that turns something on, or off.
    #[must_use]
    pub fn switch(self, spec: &'static Spec, flag: &'static str, switch: Option<bool>) -> Self {
        self.with(spec, flag, switch.map(Raw::Switch))
    }

    fn with(mut self, spec: &'static Spec, flag: &'static str, raw: Option<Raw>) -> Self {
        if let Some(raw) = raw {
            let origin = Origin::Flag(flag);
            self.0.push((spec, Found { raw, origin }));
        }
        self
    }

    /// These flags and then those; the first that speaks of a setting counts.
    #[must_use]
    pub fn and(mut self, others: Self) -> Self {
        self.0.extend(others.0);
        self
    }

    fn get(&self, spec: &Spec) -> Option<&Found> {
        self.0
            .iter()
            .find(|(known, _)| known.key == spec.key)
            .map(|(_, found)| found)
    }
}

/// A layer; the first that says something counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Layer {
    /// Flags and arguments.
    Flags,
    /// Variables of this tool.
    Environment,
    /// The selected profile.
    Profile,
    /// `[defaults]`.
    Defaults,
    /// Variables of other tools.
    Fallback,
}

impl Layer {
    /// All layers, first to last.
    pub const ALL: [Self; 5] = [
        Self::Flags,
        Self::Environment,
        Self::Profile,
        Self::Defaults,
        Self::Fallback,
    ];
}

/// How a value is given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// As itself.
    Plain,
    /// By a file that holds it.
    File,
    /// By a command that prints it.
    Command,
}

/// All layers of one run.
#[derive(Clone, Copy, Debug)]
pub struct Layers<'a> {
    /// What the command line says.
    pub flags: &'a Flags,
    /// The variables.
    pub environment: &'a Environment,
    /// The configuration file.
    pub file: &'a ConfigFile,
    /// The selected profile.
    pub profile: Option<&'a str>,
}

/// Settings that, by being there, turn encryption on. An empty variable would turn it off without a word.
const DECIDES_ENCRYPTION: &[&str] = &["passphrase", "recipients", "recipients-files"];

impl Layers<'_> {
    /// What one layer says about a setting.
    ///
    /// # Errors
    /// [`Kind::Config`] if it says it twice, by a value and by a file or command; [`Kind::NotFound`] if there is no such profile.
    pub fn in_layer(&self, spec: &'static Spec, layer: Layer) -> Result<Option<(Found, Form)>> {
        match layer {
            Layer::Flags => Ok(self.flags.get(spec).map(|found| (found.clone(), Form::Plain))),
            Layer::Environment => self.variable(spec, spec.environment),
            Layer::Fallback => self.variable(spec, spec.fallback),
            Layer::Profile => match self.profile {
                Some(name) => Ok(entry(spec, self.file.profile(name)?)),
                None => Ok(None),
            },
            Layer::Defaults => Ok(entry(spec, &self.file.defaults)),
        }
    }

    /// What the first layer that says anything says about a setting.
    ///
    /// # Errors
    /// As [`Layers::in_layer`].
    pub fn find(&self, spec: &'static Spec) -> Result<Option<(Layer, Found, Form)>> {
        for layer in Layer::ALL {
            if let Some((found, form)) = self.in_layer(spec, layer)? {
                return Ok(Some((layer, found, form)));
            }
        }
        Ok(None)
    }

    fn variable(&self, spec: &Spec, names: &[&str]) -> Result<Option<(Found, Form)>> {
        for name in names {
            let mut forms = vec![((*name).to_owned(), Form::Plain)];
            if spec.privacy.has_twins() {
                forms.push((format!("{name}_FILE"), Form::File));
                forms.push((format!("{name}_COMMAND"), Form::Command));
            }
            let mut set = Vec::new();
            for (variable, form) in forms {
                let value = self.environment.read(&variable)?;
                if value.is_none() && DECIDES_ENCRYPTION.contains(&spec.key) && self.environment.has(&variable) {
                    return Err(Failure::new(
                        Kind::Config,
                        format!(
                            "`{variable}` is set and empty, so it cannot be told whether backups are to be encrypted"
                        ),
                    )
                    .hint("Give it its value: what was to fill it may have failed")
                    .hint(format!("Or unset `{variable}`")));
                }
                if let Some(value) = value {
                    let found = Found {
                        raw: Raw::Text(value.to_owned()),
                        origin: self.environment.origin(&variable),
                    };
                    set.push((variable, found, form));
                }
            }
            if let [(first, ..), (second, ..), ..] = set.as_slice() {
                return Err(
                    Failure::new(Kind::Config, format!("Both `{first}` and `{second}` are set"))
                        .hint("Unset one of them"),
                );
            }
            if let Some((_, found, form)) = set.into_iter().next() {
                return Ok(Some((found, form)));
            }
        }
        Ok(None)
    }
}

fn entry(spec: &Spec, entries: &Entries) -> Option<(Found, Form)> {
    twin_keys(spec)
        .into_iter()
        .zip([Form::Plain, Form::File, Form::Command])
        .find_map(|(key, form)| entries.get(&key).map(|found| (found.clone(), form)))
}
