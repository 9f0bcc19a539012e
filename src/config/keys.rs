//! How backups are compressed and encrypted, and with which keys they are read.

use super::file::Found;
use super::layers::Form;
use super::resolve::Resolver;
use super::settings::Settings;
use super::table::{self, Spec};
use super::value::{FromValue, Origin, Raw, Setting, Shape, Value};
use crate::base::failure::{Failure, Kind, Result};
use crate::base::secret::{MASK, Secret, SecretSource};
use crate::catalog::codec::Codec;

/// With what a secret key begins; anything else is the path of a file.
const SECRET_KEY_START: &str = "AGE-SECRET-KEY-";

impl Resolver<'_> {
    pub(super) fn codec(&mut self) -> Setting<Codec> {
        self.required::<String>(&table::COMPRESSION)
            .map(|name| Codec::parse(&name).unwrap_or_default())
    }

    /// The level: the codec's own default if nobody chose one, and nothing for a codec that has none.
    pub(super) fn level(&mut self, codec: Codec) -> Setting<u32> {
        let spec = &table::LEVEL;
        let levels = codec.levels();
        let built_in = Setting::built_in(codec.level_default());
        let Some((_, found)) = self.value(spec) else {
            self.show(spec, &built_in.clone().map(|level| Value::Number(u64::from(level))));
            return built_in;
        };
        self.show(spec, &found);
        if codec == Codec::None {
            return built_in;
        }
        let level = found.map(|value| u64::from_value(value).and_then(|level| u32::try_from(level).ok()));
        match level.value {
            Some(chosen) if levels.contains(&chosen) => level.map(|_| chosen),
            chosen => {
                let why = format!(
                    "Expected a whole number from {} to {}, found `{}`",
                    levels.start(),
                    levels.end(),
                    chosen.unwrap_or_default()
                );
                self.problem(spec, &level.origin, &why);
                built_in
            }
        }
    }

    /// A secret that is read only once it is needed. What can be told without reading it is told now.
    pub(super) fn secret_source(&mut self, spec: &'static Spec) -> Setting<Option<SecretSource>> {
        let found = match self.layers.find(spec) {
            Ok(Some((_, found, form))) => Some((found, form)),
            Ok(None) => None,
            Err(failure) => {
                self.problems.push(failure);
                None
            }
        };
        let Some((Found { raw, origin }, form)) = found else {
            self.show_unset(spec);
            return Setting::built_in(None);
        };
        match source_of(&raw, &origin, form) {
            Ok(source) => {
                self.show_as(spec, Some(MASK.to_owned()), MASK.into(), origin.to_string());
                Setting {
                    value: Some(source),
                    origin,
                }
            }
            Err(failure) => {
                self.problems
                    .push(failure.context(format!("Could not take `{}` from {origin}", spec.key)));
                Setting::built_in(None)
            }
        }
    }

    /// A secret key by itself, or the path of its file where a text is expected.
    pub(super) fn identity(&mut self) -> Setting<Option<SecretSource>> {
        self.secret_source(&table::IDENTITY).map(|source| {
            source.map(|source| match source {
                SecretSource::Text(text) if !text.expose().contains(SECRET_KEY_START) => {
                    SecretSource::File(text.expose().into())
                }
                other => other,
            })
        })
    }
}

fn source_of(raw: &Raw, origin: &Origin, form: Form) -> Result<SecretSource> {
    let wrong = |why: String| Failure::new(Kind::Config, why);
    match form {
        Form::Plain => match raw {
            Raw::Text(text) => Ok(SecretSource::Text(Secret::new(text.as_str()))),
            _ => Err(wrong("Expected a text".to_owned())),
        },
        Form::File => match Shape::Path.read(raw, origin).map_err(wrong)? {
            Value::Path(path) => Ok(SecretSource::File(path)),
            _ => Err(wrong("Expected a path".to_owned())),
        },
        Form::Command => match Shape::Words.read(raw, origin).map_err(wrong)? {
            Value::List(words) => match words.first() {
                None => Err(wrong("The command is empty".to_owned())),
                Some(program) if crate::base::process::find_program(program).is_none() => {
                    Err(wrong(format!("No such program: `{program}`")).hint("Is it installed and in PATH?"))
                }
                Some(_) => Ok(SecretSource::Command(shell_words::join(&words))),
            },
            _ => Err(wrong("Expected a command".to_owned())),
        },
    }
}

impl Settings {
    /// Whether backups are encrypted.
    #[must_use]
    pub fn is_encrypting(&self) -> bool {
        !self.recipients.value.is_empty() || !self.recipients_files.value.is_empty() || self.passphrase.value.is_some()
    }
}
