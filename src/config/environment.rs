//! The environment, as one snapshot that is taken once.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use super::table;
use super::value::Origin;
use crate::base::failure::{Failure, Kind, Result};

/// The variables of this process, and which of them `--env-file` brought in.
#[derive(Clone, Debug, Default)]
pub struct Environment {
    variables: BTreeMap<String, String>,
    not_unicode: BTreeSet<String>,
    env_file: Option<PathBuf>,
    from_env_file: BTreeSet<String>,
}

/// Shorter values of variables that look secret may be words of every message, such as `true`.
const SECRET_CHARS_MIN: usize = 8;

/// Whether a variable by its name holds a secret, whoever reads it.
fn looks_secret(name: &str) -> bool {
    ["SECRET", "TOKEN"].iter().any(|word| name.contains(word))
        && !["_FILE", "_COMMAND"].iter().any(|end| name.ends_with(end))
}

impl Environment {
    /// The environment of this process.
    #[must_use]
    pub fn of_process() -> Self {
        let mut environment = Self::default();
        for (name, value) in std::env::vars_os() {
            let Some(name) = name.to_str() else { continue };
            match value.into_string() {
                Ok(value) => {
                    if looks_secret(name) && value.len() >= SECRET_CHARS_MIN {
                        // A program that we start may print its environment when it fails.
                        drop(crate::base::secret::Secret::new(value.as_str()));
                    }
                    environment.variables.insert(name.to_owned(), value);
                }
                Err(_) => {
                    environment.not_unicode.insert(name.to_owned());
                }
            }
        }
        if let Some((file, names)) = super::dotenv::applied(&environment) {
            environment.env_file = Some(file);
            environment.from_env_file = names;
        }
        environment
    }

    /// An environment of these variables.
    pub fn from_pairs<K: Into<String>, V: Into<String>>(pairs: impl IntoIterator<Item = (K, V)>) -> Self {
        Self {
            variables: pairs
                .into_iter()
                .map(|(name, value)| (name.into(), value.into()))
                .collect(),
            ..Self::default()
        }
    }

    /// The same environment without these variables.
    #[must_use]
    pub fn without<S: AsRef<str>>(&self, names: impl IntoIterator<Item = S>) -> Self {
        let mut rest = self.clone();
        for name in names {
            rest.variables.remove(name.as_ref());
            rest.not_unicode.remove(name.as_ref());
        }
        rest
    }

    /// A variable's value; one that is empty counts as unset.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        self.variables
            .get(name)
            .map(String::as_str)
            .filter(|value| !value.is_empty())
    }

    /// Whether there is such a variable, empty or not.
    #[must_use]
    pub fn has(&self, name: &str) -> bool {
        self.variables.contains_key(name) || self.not_unicode.contains(name)
    }

    /// A variable's value, if it can be one.
    ///
    /// # Errors
    /// [`Kind::Config`] if it is not UTF-8.
    pub fn read(&self, name: &str) -> Result<Option<&str>> {
        if self.not_unicode.contains(name) {
            return Err(Failure::new(
                Kind::Config,
                format!("The value of the variable `{name}` is not UTF-8"),
            ));
        }
        Ok(self.get(name))
    }

    /// How a variable's value is named in messages.
    #[must_use]
    pub fn origin(&self, name: &str) -> Origin {
        match &self.env_file {
            Some(file) if self.from_env_file.contains(name) => Origin::EnvFile {
                variable: name.to_owned(),
                file: file.clone(),
            },
            _ => Origin::Environment(name.to_owned()),
        }
    }

    /// Sentences on variables that look like ours and have no effect.
    #[must_use]
    pub fn warnings(&self) -> Vec<String> {
        let known: BTreeSet<String> = table::variables().collect();
        let mut warnings = Vec::new();
        let ours = |name: &&String| name.starts_with("BACKUP_") && *name != super::dotenv::MARKER;
        for name in self.variables.keys().chain(&self.not_unicode).filter(ours) {
            if table::NOT_YET.contains(&name.as_str()) {
                if self.get(name).is_some() {
                    warnings.push(format!("This version of backup-cli does not act on {name}."));
                }
            } else if !known.contains(name) {
                let meant = table::nearest(name, &known)
                    .map(|meant| format!(" Did you mean {meant}?"))
                    .unwrap_or_default();
                warnings.push(format!("The variable {name} is not known and has no effect.{meant}"));
            }
        }
        warnings
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_variable_is_unset() {
        let environment = Environment::from_pairs([("BACKUP_S3_BUCKET", ""), ("BACKUP_NAME", "x")]);
        assert_eq!(environment.get("BACKUP_S3_BUCKET"), None);
        assert_eq!(environment.get("BACKUP_NAME"), Some("x"));
    }

    #[test]
    fn unknown_variables_are_warned_about_with_the_nearest_name() {
        let environment = Environment::from_pairs([
            ("BACKUP_S3_BUCKETT", "x"),
            ("BACKUP_ZZZZZZZZZZZZ", "x"),
            ("BACKUP_LEVEL", "6"),
            ("BACKUP_HEALTHCHECK_URL", "https://x"),
            ("BACKUP_AWS_SECRET_ACCESS_KEY_FILE", "/x"),
            ("OTHER", "x"),
        ]);
        assert_eq!(
            environment.warnings(),
            [
                "This version of backup-cli does not act on BACKUP_HEALTHCHECK_URL.",
                "The variable BACKUP_S3_BUCKETT is not known and has no effect. Did you mean BACKUP_S3_BUCKET?",
                "The variable BACKUP_ZZZZZZZZZZZZ is not known and has no effect.",
            ]
        );
    }
}
