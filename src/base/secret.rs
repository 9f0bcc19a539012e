//! Secrets as a type that cannot be printed, and a redactor for text that others wrote.

use std::sync::{Mutex, PoisonError};

use secrecy::{ExposeSecret, SecretString};

use super::failure::{Failure, IoContext, Kind, Result};

/// A secret text: a password, a key. `Debug` prints a placeholder and there is no `Display`.
#[derive(Clone)]
pub struct Secret(SecretString);

impl Secret {
    /// Wraps a text; from here on [`redact`] removes it from any text that passes through it.
    pub fn new(text: impl Into<String>) -> Self {
        let text: String = text.into();
        remember(&text);
        Self(SecretString::from(text))
    }

    /// The text, for the one place that must hand it on.
    #[must_use]
    pub fn expose(&self) -> &str {
        self.0.expose_secret()
    }

    /// Reads a secret from a file, without the line's end.
    ///
    /// # Errors
    /// If the file cannot be read.
    pub fn from_file(path: &std::path::Path) -> Result<Self> {
        let text = std::fs::read_to_string(path).doing(|| format!("read the secret file `{}`", path.display()))?;
        Ok(Self::new(text.trim_end_matches(['\r', '\n'])))
    }

    /// Takes a secret from the standard output of a command, without the line's end.
    ///
    /// # Errors
    /// If the command cannot be split, started, or does not exit with 0.
    pub fn from_command(command: &str) -> Result<Self> {
        let failed = || Failure::new(Kind::Config, "The command that should print a secret failed");
        let argv = shell_words::split(command).map_err(|error| failed().caused_by(error))?;
        let Some((program, arguments)) = argv.split_first() else {
            return Err(failed().hint("The setting is empty"));
        };
        let output = std::process::Command::new(program)
            .args(arguments)
            .stdin(std::process::Stdio::null())
            .output()
            .map_err(|error| {
                failed()
                    .caused_by(error)
                    .hint(format!("Is `{program}` installed and in PATH?"))
            })?;
        if !output.status.success() {
            let said = redact(String::from_utf8_lossy(&output.stderr).trim());
            let said = match said.is_empty() {
                true => " and said nothing".to_owned(),
                false => format!(": {said}"),
            };
            return Err(failed().caused_by(anyhow::anyhow!("`{program}` ended with {}{said}", output.status)));
        }
        let text = String::from_utf8(output.stdout).map_err(|error| failed().caused_by(error))?;
        Ok(Self::new(text.trim_end_matches(['\r', '\n'])))
    }
}

/// Where a secret comes from, to be read only once it is needed: a command may ask somebody for it.
#[derive(Clone, Debug)]
pub enum SecretSource {
    /// It is at hand.
    Text(Secret),
    /// A file that holds nothing else.
    File(std::path::PathBuf),
    /// A command that prints it.
    Command(String),
}

impl SecretSource {
    /// Reads it.
    ///
    /// # Errors
    /// As [`Secret::from_file`] and [`Secret::from_command`].
    pub fn read(&self) -> Result<Secret> {
        match self {
            Self::Text(secret) => Ok(secret.clone()),
            Self::File(path) => Secret::from_file(path).map_err(|failure| {
                failure.hint("Check the path and its permissions; the file holds nothing but the secret")
            }),
            Self::Command(command) => Secret::from_command(command).map_err(|failure| {
                failure.hint(format!(
                    "Run `{command}` by hand: it has to print the secret and to exit with 0"
                ))
            }),
        }
    }
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("[secret]")
    }
}

/// What stands in place of a secret.
pub const MASK: &str = "********";

/// Shorter texts are not searched for: masking every `a` would make messages unreadable.
const REDACTED_CHARS_MIN: usize = 4;

static KNOWN: Mutex<Vec<String>> = Mutex::new(Vec::new());

fn remember(text: &str) {
    if text.len() < REDACTED_CHARS_MIN {
        return;
    }
    let mut known = KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
    let encoded = percent_encoding::utf8_percent_encode(text, percent_encoding::NON_ALPHANUMERIC).to_string();
    for form in [text.to_owned(), encoded] {
        if !known.contains(&form) {
            known.push(form);
        }
    }
    // Longest first, so that a secret that contains another one is masked whole.
    known.sort_by_key(|form| std::cmp::Reverse(form.len()));
}

/// Masks every known secret, and the password of every URL, in a text that came from elsewhere.
#[must_use]
pub fn redact(text: &str) -> String {
    let mut out = text.to_owned();
    for secret in KNOWN.lock().unwrap_or_else(PoisonError::into_inner).iter() {
        if out.contains(secret.as_str()) {
            out = out.replace(secret.as_str(), MASK);
        }
    }
    redact_urls(&out)
}

/// Masks `password` in `scheme://user:password@host` wherever it stands.
fn redact_urls(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find("://") {
        let (before, after) = rest.split_at(at + 3);
        out.push_str(before);
        let end = after
            .find(|c: char| c.is_whitespace() || matches!(c, '/' | '?' | '#' | '"' | '\'' | '`'))
            .unwrap_or(after.len());
        let authority = &after[..end];
        match authority
            .rfind('@')
            .and_then(|a| authority[..a].find(':').map(|c| (c, a)))
        {
            Some((colon, at)) => {
                out.push_str(&authority[..=colon]);
                out.push_str(MASK);
                out.push_str(&authority[at..]);
            }
            None => out.push_str(authority),
        }
        rest = &after[end..];
    }
    out.push_str(rest);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_cannot_be_printed_and_is_masked_elsewhere() {
        let secret = Secret::new("canary-7Q!x");
        assert_eq!(format!("{secret:?}"), "[secret]");
        assert_eq!(redact("password=canary-7Q!x;"), format!("password={MASK};"));
        assert_eq!(redact("p=canary%2D7Q%21x"), format!("p={MASK}"));
    }

    #[test]
    fn passwords_in_urls_are_masked() {
        assert_eq!(
            redact("could not reach postgres://ann:s3@ret@db:5432/app and https://x/y"),
            format!("could not reach postgres://ann:{MASK}@db:5432/app and https://x/y")
        );
        assert_eq!(redact("s3://bucket/key"), "s3://bucket/key");
        assert_eq!(redact("no url: a:b@c"), "no url: a:b@c");
    }
}
