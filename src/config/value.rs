//! One value of one setting: what it may look like, how it is read, and where it came from.

use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::base::units;
use crate::ops::drill::check::Check;
use crate::ops::lifecycle::Step;
use crate::retention::{Count, KeepSpan};
use crate::store::address::StoreAddress;

/// A value as it was found, before it is read as what the setting expects.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Raw {
    /// A text, from anywhere.
    Text(String),
    /// A TOML boolean, or a flag without a value.
    Switch(bool),
    /// A TOML integer.
    Integer(i64),
    /// A TOML array of strings, or a flag that may be repeated.
    List(Vec<String>),
}

/// Where a value came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// A flag, or the positional argument in capitals.
    Flag(&'static str),
    /// A variable of the environment.
    Environment(String),
    /// A variable that `--env-file` brought in.
    EnvFile {
        /// The variable.
        variable: String,
        /// The file.
        file: PathBuf,
    },
    /// A profile of the configuration file.
    Profile {
        /// The profile's name.
        profile: String,
        /// The file.
        file: PathBuf,
        /// The line, from 1.
        line: usize,
    },
    /// The name of the profile itself.
    ProfileName(String),
    /// The `[defaults]` of the configuration file.
    Defaults {
        /// The file.
        file: PathBuf,
        /// The line, from 1.
        line: usize,
    },
    /// Nobody said anything.
    BuiltIn,
}

impl std::fmt::Display for Origin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Flag(flag) => write!(f, "flag {flag}"),
            Self::Environment(variable) => write!(f, "environment {variable}"),
            Self::EnvFile { variable, file } => write!(f, "{} {variable}", file.display()),
            Self::Profile { profile, file, line } => write!(f, "profile {profile} ({}:{line})", file.display()),
            Self::ProfileName(profile) => write!(f, "profile {profile}"),
            Self::Defaults { file, line } => write!(f, "defaults ({}:{line})", file.display()),
            Self::BuiltIn => f.write_str("built-in"),
        }
    }
}

impl Origin {
    /// The folder that relative paths start from: a file's own, so that a schedule's working directory does not matter.
    fn base_folder(&self) -> Option<&Path> {
        match self {
            Self::Profile { file, .. } | Self::Defaults { file, .. } => file.parent(),
            _ => None,
        }
    }
}

/// A resolved value with its origin.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Setting<T> {
    /// The value.
    pub value: T,
    /// Where it came from.
    pub origin: Origin,
}

impl<T> Setting<T> {
    /// A value that nobody set.
    pub fn built_in(value: T) -> Self {
        Self {
            value,
            origin: Origin::BuiltIn,
        }
    }

    /// Another value of the same origin.
    pub fn map<U>(self, change: impl FnOnce(T) -> U) -> Setting<U> {
        Setting {
            value: change(self.value),
            origin: self.origin,
        }
    }

    /// Whether nobody set it.
    pub fn is_built_in(&self) -> bool {
        self.origin == Origin::BuiltIn
    }
}

impl<T> std::ops::Deref for Setting<T> {
    type Target = T;
    fn deref(&self) -> &T {
        &self.value
    }
}

/// What a setting's value looks like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// Any text.
    Text,
    /// Yes or no.
    Switch,
    /// A whole number between two bounds, both included.
    Integer {
        /// The least.
        min: u64,
        /// The greatest.
        max: u64,
    },
    /// A size such as `64MiB`.
    Bytes,
    /// A duration such as `15m`.
    Duration,
    /// A number of backups, or `unlimited`.
    Count,
    /// Years, months, days and hours such as `2y5m7d3h`.
    Span,
    /// A part of a whole such as `50%`, or `off`, which is read as 0.
    PercentOrOff,
    /// One of a few words.
    Choice(&'static [&'static str]),
    /// A file or folder.
    Path,
    /// Files or folders: an array, or one a line.
    Paths,
    /// `s3://bucket/prefix`, `file:///folder`, a folder, or `@PROFILE`: one, an array, or one a line.
    Stores,
    /// What to back up: URLs, paths, or `-`: an array, or one a line.
    Sources,
    /// Texts: an array, or separated by commas or line ends.
    List,
    /// Texts that may hold commas: an array, or one a line.
    Lines,
    /// A command line: an array of arguments, or a text that is split as a shell would.
    Words,
    /// What must hold of a restored backup: an array of texts and tables, or one a line, tables as JSON.
    Checks,
    /// `key=value` texts: an array, or separated by commas or line ends.
    Pairs,
    /// Moves to storage classes, `DAYS:CLASS`: an array, or separated by commas or line ends.
    Transitions,
}

/// A value that has been read as what its setting expects.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    /// [`Shape::Text`], [`Shape::Choice`], [`Shape::Count`] and [`Shape::Span`].
    Text(String),
    /// [`Shape::Switch`].
    Switch(bool),
    /// [`Shape::Integer`], [`Shape::Bytes`] and [`Shape::PercentOrOff`].
    Number(u64),
    /// [`Shape::Duration`].
    Duration(Duration),
    /// [`Shape::Path`].
    Path(PathBuf),
    /// [`Shape::Paths`].
    Paths(Vec<PathBuf>),
    /// [`Shape::Stores`].
    Stores(Vec<StoreName>),
    /// All other lists.
    List(Vec<String>),
}

/// A store as it is named in settings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StoreName {
    /// By its address, with the endpoint and the credentials of the run.
    Address(StoreAddress),
    /// The store of a profile, with that profile's endpoint, credentials and so on.
    Profile(String),
}

impl StoreName {
    fn read(text: &str, origin: &Origin) -> Result<Self, String> {
        if let Some(profile) = text.strip_prefix('@').filter(|profile| !profile.is_empty()) {
            return Ok(Self::Profile(profile.to_owned()));
        }
        let text = match ["./", "../", "~/"].iter().any(|start| text.starts_with(start)) {
            true => located(text, origin).to_string_lossy().into_owned(),
            false => text.to_owned(),
        };
        StoreAddress::parse(&text)
            .map(Self::Address)
            .map_err(|failure| one_sentence(&failure))
    }
}

impl std::fmt::Display for StoreName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Address(address) => address.fmt(f),
            Self::Profile(profile) => write!(f, "@{profile}"),
        }
    }
}

impl Shape {
    /// What is expected, for messages.
    #[must_use]
    pub fn expectation(self) -> String {
        match self {
            Self::Text => "a text".to_owned(),
            Self::Switch => "true or false".to_owned(),
            Self::Integer { min, max: u64::MAX } => format!("a whole number of at least {min}"),
            Self::Integer { min, max } => format!("a whole number from {min} to {max}"),
            Self::Bytes => "a size such as 64MiB".to_owned(),
            Self::Duration => "a duration such as 15m".to_owned(),
            Self::Count => "a whole number, or unlimited".to_owned(),
            Self::Span => "years, months, days and hours such as 2y5m7d3h".to_owned(),
            Self::PercentOrOff => "a percentage from 1% to 99%, or off".to_owned(),
            Self::Choice(words) => format!("one of {}", words.join(", ")),
            Self::Path => "a path".to_owned(),
            Self::Paths => "an array of paths".to_owned(),
            Self::Stores => "s3://bucket/prefix, file:///folder, a folder or @PROFILE, or an array of such".to_owned(),
            Self::Sources => "an array of URLs or paths".to_owned(),
            Self::List | Self::Lines => "an array of texts".to_owned(),
            Self::Checks => "an array of questions, paths and tables".to_owned(),
            Self::Words => "an array of arguments".to_owned(),
            Self::Pairs => "an array of key=value texts".to_owned(),
            Self::Transitions => "an array of texts DAYS:CLASS".to_owned(),
        }
    }

    /// Reads a value.
    ///
    /// # Errors
    /// A sentence that says what was expected and what was found; never the value of a secret, which has no shape to miss.
    pub fn read(self, raw: &Raw, origin: &Origin) -> Result<Value, String> {
        let wrong = |found: &str| format!("Expected {}, found {found}", self.expectation());
        let described = || match raw {
            Raw::Text(text) => wrong(&format!("`{}`", crate::base::secret::redact(text))),
            Raw::Switch(switch) => wrong(&format!("`{switch}`")),
            Raw::Integer(number) => wrong(&format!("`{number}`")),
            Raw::List(_) => wrong("an array"),
        };
        match (self, raw) {
            (Self::Text, Raw::Text(text)) => Ok(Value::Text(text.clone())),
            (Self::Choice(words), Raw::Text(text)) => words
                .iter()
                .find(|word| word.eq_ignore_ascii_case(text))
                .map(|word| Value::Text((*word).to_owned()))
                .ok_or_else(described),
            (Self::Switch, Raw::Switch(switch)) => Ok(Value::Switch(*switch)),
            (Self::Switch, Raw::Text(text)) => match text.to_ascii_lowercase().as_str() {
                "true" | "yes" | "on" | "1" => Ok(Value::Switch(true)),
                "false" | "no" | "off" | "0" => Ok(Value::Switch(false)),
                _ => Err(described()),
            },
            (Self::Integer { min, max }, Raw::Integer(_) | Raw::Text(_)) => match raw {
                Raw::Integer(number) => u64::try_from(*number).ok(),
                Raw::Text(text) => text.trim().parse().ok(),
                _ => None,
            }
            .filter(|number| (min..=max).contains(number))
            .map(Value::Number)
            .ok_or_else(described),
            (Self::Bytes, Raw::Integer(number)) => u64::try_from(*number).map(Value::Number).map_err(|_| described()),
            (Self::Bytes, Raw::Text(text)) => units::parse_bytes(text).map(Value::Number).map_err(|_| described()),
            (Self::Duration, Raw::Integer(number)) => u64::try_from(*number)
                .map(|secs| Value::Duration(Duration::from_secs(secs)))
                .map_err(|_| described()),
            (Self::Duration, Raw::Text(text)) => units::parse_duration(text)
                .map(Value::Duration)
                .map_err(|_| described()),
            (Self::Count, Raw::Integer(_) | Raw::Text(_)) => {
                let text = match raw {
                    Raw::Text(text) => text.clone(),
                    Raw::Integer(number) => number.to_string(),
                    Raw::Switch(_) | Raw::List(_) => String::new(),
                };
                let count: Result<Count, _> = text.parse();
                count
                    .map(|count| Value::Text(count.to_string()))
                    .map_err(|_| described())
            }
            (Self::Span, Raw::Text(text)) => {
                let span: Result<KeepSpan, _> = text.parse();
                span.map(|span| Value::Text(span.to_string())).map_err(|_| described())
            }
            (Self::PercentOrOff, Raw::Text(text)) => {
                match text.trim().strip_suffix('%').map(|digits| digits.trim().parse()) {
                    Some(Ok(percent @ 1..=99)) => Ok(Value::Number(percent)),
                    None if matches!(text.trim().to_ascii_lowercase().as_str(), "off" | "no" | "false") => {
                        Ok(Value::Number(0))
                    }
                    _ => Err(described()),
                }
            }
            (Self::PercentOrOff, Raw::Switch(false)) => Ok(Value::Number(0)),
            (Self::Path, Raw::Text(text)) => Ok(Value::Path(located(text, origin))),
            (Self::Stores, Raw::Text(_) | Raw::List(_)) => {
                let texts = match raw {
                    // A text without a line end is one store, as it stands.
                    Raw::Text(text) if !text.contains('\n') => vec![text.clone()],
                    _ => items(raw, &['\n']),
                };
                let names: Result<Vec<StoreName>, String> =
                    texts.iter().map(|text| StoreName::read(text, origin)).collect();
                match names?.as_slice() {
                    [] => Err(wrong("an empty array")),
                    names => match names.iter().enumerate().find(|(at, name)| names[..*at].contains(name)) {
                        Some((_, twice)) => Err(format!("The store `{twice}` is named twice")),
                        None => Ok(Value::Stores(names.to_vec())),
                    },
                }
            }
            (Self::Paths, Raw::Text(_) | Raw::List(_)) => Ok(Value::Paths(
                items(raw, &['\n']).iter().map(|text| located(text, origin)).collect(),
            )),
            (Self::Sources, Raw::Text(_) | Raw::List(_)) => Ok(Value::List(
                items(raw, &['\n'])
                    .into_iter()
                    .map(|text| match (is_path(&text), text.strip_prefix("sqlite://")) {
                        (true, _) => located(&text, origin).to_string_lossy().into_owned(),
                        (false, Some(path)) => format!("sqlite://{}", located(path, origin).display()),
                        (false, None) => text,
                    })
                    .collect(),
            )),
            (Self::List, Raw::Text(_) | Raw::List(_)) => Ok(Value::List(items(raw, &['\n', ',']))),
            (Self::Lines, Raw::Text(_) | Raw::List(_)) => Ok(Value::List(items(raw, &['\n']))),
            (Self::Checks, Raw::Text(_) | Raw::List(_)) => {
                let checks = items(raw, &['\n']);
                match checks.iter().find_map(|check| Check::parse(check).err()) {
                    Some(failure) => Err(one_sentence(&failure)),
                    None => Ok(Value::List(checks)),
                }
            }
            (Self::Pairs, Raw::Text(_) | Raw::List(_)) => {
                let pairs = items(raw, &['\n', ',']);
                match pairs.iter().find(|pair| pair.find('=').is_none_or(|at| at == 0)) {
                    Some(pair) => Err(wrong(&format!("`{pair}`"))),
                    None => Ok(Value::List(pairs)),
                }
            }
            (Self::Transitions, Raw::Text(_) | Raw::List(_)) => {
                let steps = items(raw, &['\n', ',']);
                match steps.iter().find_map(|step| Step::parse(step).err()) {
                    Some(why) => Err(why),
                    None => Ok(Value::List(steps)),
                }
            }
            (Self::Words, Raw::List(words)) => match words.is_empty() {
                true => Err(wrong("an empty array")),
                false => Ok(Value::List(words.clone())),
            },
            (Self::Words, Raw::Text(text)) => shell_words::split(text)
                .map(Value::List)
                .map_err(|error| wrong(&format!("`{text}` ({error})"))),
            _ => Err(described()),
        }
    }
}

/// A failure with what caused it in one sentence; what to do stands on further lines.
pub(super) fn one_sentence(failure: &crate::base::failure::Failure) -> String {
    let mut parts = vec![failure.message().to_owned()];
    parts.extend(failure.causes());
    let mut lines = vec![parts.join("; ")];
    lines.extend(failure.hints().iter().cloned());
    lines.join("\n")
}

/// The items of an array, or of a text with separators; empty items of a text are dropped.
fn items(raw: &Raw, separators: &[char]) -> Vec<String> {
    match raw {
        Raw::List(items) => items.clone(),
        Raw::Text(text) => text
            .split(separators)
            .map(str::trim)
            .filter(|item| !item.is_empty())
            .map(str::to_owned)
            .collect(),
        Raw::Switch(_) | Raw::Integer(_) => Vec::new(),
    }
}

/// Whether a source is a path: not a URL, and not standard input.
fn is_path(source: &str) -> bool {
    source != "-" && !source.contains("://")
}

/// A path of a configuration file starts from the file's folder, and `~/` there is the user's home.
fn located(text: &str, origin: &Origin) -> PathBuf {
    let Some(folder) = origin.base_folder() else {
        return PathBuf::from(text);
    };
    match (text.strip_prefix("~/"), etcetera::home_dir()) {
        (Some(rest), Ok(home)) => home.join(rest),
        _ => folder.join(text),
    }
}

/// Takes a typed value out of a [`Value`].
pub trait FromValue: Sized {
    /// The value, if it is of this type.
    fn from_value(value: Value) -> Option<Self>;
}

macro_rules! from_value {
    ($($variant:ident => $type:ty),* $(,)?) => {$(
        impl FromValue for $type {
            fn from_value(value: Value) -> Option<Self> {
                match value {
                    Value::$variant(inner) => Some(inner),
                    _ => None,
                }
            }
        }
    )*};
}

from_value! {
    Text => String,
    Switch => bool,
    Number => u64,
    Duration => Duration,
    Path => PathBuf,
    Paths => Vec<PathBuf>,
    Stores => Vec<StoreName>,
    List => Vec<String>,
}

impl Value {
    /// The value for people, secrets of URLs masked.
    #[must_use]
    pub fn display(&self) -> String {
        let quoted = |items: &[String]| shell_words::join(items);
        let text = match self {
            Self::Text(text) => text.clone(),
            Self::Switch(switch) => switch.to_string(),
            Self::Number(number) => number.to_string(),
            Self::Duration(duration) => format_exact(*duration),
            Self::Path(path) => path.display().to_string(),
            Self::Paths(paths) => quoted(&paths.iter().map(|path| path.display().to_string()).collect::<Vec<_>>()),
            Self::Stores(names) => match names.as_slice() {
                [one] => one.to_string(),
                several => quoted(&several.iter().map(ToString::to_string).collect::<Vec<_>>()),
            },
            Self::List(items) => quoted(items),
        };
        crate::base::secret::redact(&text)
    }

    /// The value as JSON, secrets of URLs masked.
    #[must_use]
    pub fn json(&self) -> serde_json::Value {
        let redacted = |text: &String| serde_json::Value::String(crate::base::secret::redact(text));
        match self {
            Self::Switch(switch) => (*switch).into(),
            Self::Number(number) => (*number).into(),
            Self::List(items) => items.iter().map(redacted).collect(),
            Self::Paths(paths) => paths.iter().map(|path| path.to_string_lossy()).collect(),
            Self::Stores(names) if names.len() > 1 => names.iter().map(|name| redacted(&name.to_string())).collect(),
            _ => self.display().into(),
        }
    }
}

/// A duration that reads back as itself: `15m`, `90s`.
fn format_exact(duration: Duration) -> String {
    if duration.subsec_millis() != 0 {
        return format!("{}ms", duration.as_millis());
    }
    let secs = duration.as_secs();
    for (unit_secs, unit) in [(86_400, "d"), (3600, "h"), (60, "m")] {
        if secs >= unit_secs && secs.is_multiple_of(unit_secs) {
            return format!("{}{unit}", secs / unit_secs);
        }
    }
    format!("{secs}s")
}

#[cfg(test)]
mod tests;
