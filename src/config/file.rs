//! The configuration file: `[defaults]` and `[profile.NAME]` tables of settings.
//!
//! The whole file is checked, selected or not, and every problem in it is found with its line.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::table::{self, Spec};
use super::value::{Origin, Raw, Shape};
use crate::base::failure::{Failure, IoContext, Kind, Result};

/// A configuration file larger than this is not one.
const FILE_BYTES_MAX: u64 = crate::base::units::MIB;

/// Tables within a profile's, whose keys are those of the settings that begin with the table's name and a dash.
const TABLES: [&str; 2] = ["drill", "lifecycle"];

/// The settings of one table of the file, by key.
pub type Entries = BTreeMap<String, Found>;

/// A value of the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// The value.
    pub raw: Raw,
    /// Where it stands.
    pub origin: Origin,
}

/// A configuration file that has been read.
#[derive(Clone, Debug, Default)]
pub struct ConfigFile {
    /// Where it is; `None` if there is none.
    pub path: Option<PathBuf>,
    /// What counts for all profiles.
    pub defaults: Entries,
    /// The profiles, by name.
    pub profiles: BTreeMap<String, Entries>,
    /// What the user should look into, in full sentences.
    pub warnings: Vec<String>,
}

/// Where configuration files are looked for when none is named, first to last.
#[must_use]
pub fn standard_paths(environment: &super::environment::Environment) -> Vec<PathBuf> {
    let user = match environment
        .get("XDG_CONFIG_HOME")
        .map(PathBuf::from)
        .filter(|path| path.is_absolute())
    {
        Some(folder) => Some(folder),
        None => environment.get("HOME").map(|home| Path::new(home).join(".config")),
    };
    user.into_iter()
        .chain([PathBuf::from("/etc")])
        .map(|folder| folder.join("backup-cli/config.toml"))
        .collect()
}

impl ConfigFile {
    /// Reads the file that was named, or else the first of the standard ones that exists, or else nothing.
    ///
    /// # Errors
    /// Every problem of the file; a file that was named must exist.
    pub fn find(named: Option<&Path>, standard: &[PathBuf]) -> Result<Self, Vec<Failure>> {
        if let Some(path) = named {
            return Self::read(path);
        }
        for path in standard {
            match path.try_exists() {
                Ok(true) => return Self::read(path),
                Ok(false) => {}
                Err(error) if error.kind() == std::io::ErrorKind::NotADirectory => {}
                Err(error) => {
                    let failure = crate::base::failure::io_failure(format!("look for `{}`", path.display()), error);
                    return Err(vec![failure.with_kind(Kind::Config)]);
                }
            }
        }
        Ok(Self::default())
    }

    /// Reads a file.
    ///
    /// # Errors
    /// Every problem of the file.
    pub fn read(path: &Path) -> Result<Self, Vec<Failure>> {
        let unreadable = |failure: Failure| {
            let failure = failure.with_kind(Kind::Config);
            vec![failure.hint("`backup-cli config init` writes an example")]
        };
        let doing = || format!("read the configuration file `{}`", path.display());
        let meta = std::fs::metadata(path).doing(doing).map_err(unreadable)?;
        if meta.len() > FILE_BYTES_MAX {
            return Err(vec![Failure::new(
                Kind::Config,
                format!(
                    "The configuration file `{}` is larger than {FILE_BYTES_MAX} bytes",
                    path.display()
                ),
            )]);
        }
        let text = std::fs::read_to_string(path).doing(doing).map_err(unreadable)?;
        let path = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
        let mut file = Self::parse(&text, &path)?;
        use std::os::unix::fs::PermissionsExt;
        if file.has_secret() && meta.permissions().mode() & 0o077 != 0 {
            file.warnings.push(format!(
                "The configuration file {} holds a secret and others may read it; chmod 600 would keep it.",
                path.display()
            ));
        }
        Ok(file)
    }

    /// Reads a file's text.
    ///
    /// # Errors
    /// Every problem of the text.
    pub fn parse(text: &str, path: &Path) -> Result<Self, Vec<Failure>> {
        let mut reader = Reader {
            text,
            path,
            problems: Vec::new(),
        };
        let (root, errors) = DeTable::parse_recoverable(text);
        for error in errors {
            let line = error.span().map_or(1, |span| reader.line(span.start));
            let failure = Failure::new(Kind::Config, format!("Not TOML: `{}`, line {line}", path.display()))
                .caused_by(anyhow::anyhow!("{}", capitalised(error.message().trim())))
                .hint("Texts stand in quotes: name = \"web\"; `backup-cli config init -` prints a whole example");
            reader.problems.push((line, failure));
        }
        if !reader.problems.is_empty() {
            // What a parser makes of the rest of a broken file is guesswork, and so would be complaints about it.
            return Err(reader.sorted());
        }
        let mut file = Self {
            path: Some(path.to_owned()),
            ..Self::default()
        };
        for (key, value) in root.get_ref() {
            let line = reader.line(key.span().start);
            match (key.get_ref().as_ref(), value.get_ref()) {
                ("defaults", DeValue::Table(entries)) => {
                    file.defaults = reader.entries(entries, None);
                }
                ("profile", DeValue::Table(profiles)) => {
                    for (name, entries) in profiles {
                        let name_line = reader.line(name.span().start);
                        match entries.get_ref() {
                            DeValue::Table(entries) => {
                                let entries = reader.entries(entries, Some(name.get_ref()));
                                file.profiles.insert(name.get_ref().to_string(), entries);
                            }
                            _ => reader.problem(
                                name_line,
                                format!("`profile.{}` is not a table", name.get_ref()),
                                Some(format!("Begin a profile with [profile.{}]", name.get_ref())),
                            ),
                        }
                    }
                }
                (key @ ("defaults" | "profile"), _) => {
                    reader.problem(line, format!("`{key}` is not a table"), None);
                }
                (key, _) => {
                    let hint = if table::file_keys().any(|known| known == key) {
                        "Put it under [defaults] or [profile.NAME]".to_owned()
                    } else {
                        match table::nearest(key, ["defaults", "profile"]) {
                            Some(meant) => format!("Did you mean `{meant}`?"),
                            None => "The tables of this file are [defaults] and [profile.NAME]".to_owned(),
                        }
                    };
                    reader.problem(line, format!("Unknown key: `{key}`"), Some(hint));
                }
            }
        }
        if reader.problems.is_empty() {
            Ok(file)
        } else {
            Err(reader.sorted())
        }
    }

    fn has_secret(&self) -> bool {
        std::iter::once(&self.defaults)
            .chain(self.profiles.values())
            .any(|entries| {
                entries.iter().any(|(key, found)| {
                    let inline_password =
                        matches!(&found.raw, Raw::Text(text) if crate::base::secret::redact(text) != *text);
                    table::by_key(key).is_some_and(|spec| match spec.privacy {
                        table::Privacy::Secret => true,
                        table::Privacy::Url => inline_password,
                        table::Privacy::Open => false,
                    })
                })
            })
    }

    /// The settings of a profile.
    ///
    /// # Errors
    /// [`Kind::NotFound`] if there is no such profile; the hint lists those that there are.
    pub fn profile(&self, name: &str) -> Result<&Entries> {
        self.profiles.get(name).ok_or_else(|| {
            let failure = Failure::new(Kind::NotFound, format!("No such profile: `{name}`"));
            let known: Vec<&str> = self.profiles.keys().map(String::as_str).collect();
            match (&self.path, known.is_empty()) {
                (None, _) => failure.hint("There is no configuration file; `backup-cli config init` writes an example"),
                (Some(path), true) => failure.hint(format!("`{}` has no profile", path.display())),
                (Some(path), false) => {
                    let failure = match table::nearest(name, &known) {
                        Some(meant) => failure.hint(format!("Did you mean `{meant}`?")),
                        None => failure,
                    };
                    failure.hint(format!(
                        "The profiles of `{}` are: {}",
                        path.display(),
                        known.join(", ")
                    ))
                }
            }
        })
    }
}

/// Walks through a parsed file and collects its problems.
struct Reader<'a> {
    text: &'a str,
    path: &'a Path,
    problems: Vec<(usize, Failure)>,
}

impl Reader<'_> {
    fn line(&self, offset: usize) -> usize {
        self.text.as_bytes()[..offset.min(self.text.len())]
            .iter()
            .filter(|byte| **byte == b'\n')
            .count()
            + 1
    }

    fn problem(&mut self, line: usize, message: String, hint: Option<String>) {
        let failure = Failure::new(
            Kind::Config,
            format!("{message} in `{}`, line {line}", self.path.display()),
        );
        let failure = match hint {
            Some(hint) => failure.hint(hint),
            None => failure,
        };
        self.problems.push((line, failure));
    }

    /// The problems in the order of their lines.
    fn sorted(mut self) -> Vec<Failure> {
        self.problems.sort_by_key(|(line, _)| *line);
        self.problems.into_iter().map(|(_, failure)| failure).collect()
    }

    fn entries(&mut self, table: &DeTable<'_>, profile: Option<&str>) -> Entries {
        let mut entries = Entries::new();
        for (key, value) in table {
            let line = self.line(key.span().start);
            match (key.get_ref().as_ref(), value.get_ref()) {
                // The keys of a table of its own are those of settings with its name before them.
                (name, DeValue::Table(below)) if TABLES.contains(&name) => {
                    for (key, value) in below {
                        let line = self.line(key.span().start);
                        let key = format!("{name}-{}", key.get_ref());
                        self.entry(&key, value, line, profile, &mut entries);
                    }
                }
                (key, _) => self.entry(key, value, line, profile, &mut entries),
            }
        }
        self.check_twins(&entries);
        entries
    }

    fn entry(
        &mut self,
        key: &str,
        value: &Spanned<DeValue<'_>>,
        line: usize,
        profile: Option<&str>,
        entries: &mut Entries,
    ) {
        let origin = match profile {
            Some(profile) => Origin::Profile {
                profile: profile.to_owned(),
                file: self.path.to_owned(),
                line,
            },
            None => Origin::Defaults {
                file: self.path.to_owned(),
                line,
            },
        };
        let Some((shape, secret)) = shape_of(key) else {
            let hint = table::nearest(key, table::file_keys())
                .map(|meant| format!("Did you mean `{meant}`?"))
                .unwrap_or_else(|| "`backup-cli config init -` prints all keys".to_owned());
            self.problem(line, format!("Unknown key: `{key}`"), Some(hint));
            return;
        };
        let checked = raw(value, shape).and_then(|raw| shape.read(&raw, &origin).map(|_| raw));
        match checked {
            Ok(raw) => {
                entries.insert(key.to_owned(), Found { raw, origin });
            }
            // A secret of the wrong type is still a secret.
            Err(why) => {
                // A secret of the wrong type is still a secret.
                let why = if secret { "Expected a text" } else { why.as_str() };
                let message = format!("Wrong value of `{key}` in `{}`, line {line}", self.path.display());
                let failure = wrong_value(Kind::Config, message, why, table::by_key(key));
                self.problems.push((line, failure));
            }
        }
    }

    fn check_twins(&mut self, entries: &Entries) {
        for spec in table::ALL.iter().filter(|spec| spec.privacy.has_twins()) {
            let set: Vec<String> = twin_keys(spec)
                .into_iter()
                .filter(|key| entries.contains_key(key))
                .collect();
            if let [first, second, ..] = set.as_slice() {
                let line = match entries.get(second).map(|found| &found.origin) {
                    Some(Origin::Profile { line, .. } | Origin::Defaults { line, .. }) => *line,
                    _ => 1,
                };
                self.problem(
                    line,
                    format!("Both `{first}` and `{second}` are set"),
                    Some("Keep one of them".to_owned()),
                );
            }
        }
        let command_line = match entries.get("command").map(|found| &found.origin) {
            Some(Origin::Profile { line, .. } | Origin::Defaults { line, .. }) => *line,
            _ => return,
        };
        if entries.contains_key("sources") {
            self.problem(
                command_line,
                "Both `sources` and `command` are set".to_owned(),
                Some("Make two profiles: a backup has one source or one command".to_owned()),
            );
        }
    }
}

/// A setting's key and those of its twins.
pub(super) fn twin_keys(spec: &Spec) -> [String; 3] {
    ["", "-file", "-command"].map(|suffix| format!("{}{suffix}", spec.key))
}

/// The shape that a key's value must have, and whether it is a secret; `None` for an unknown key.
fn shape_of(key: &str) -> Option<(Shape, bool)> {
    if let Some(spec) = table::by_key(key).filter(|spec| spec.in_file) {
        return Some((spec.shape, spec.privacy != table::Privacy::Open));
    }
    let twin = |suffix: &str| {
        let spec = table::by_key(key.strip_suffix(suffix)?)?;
        (spec.in_file && spec.privacy.has_twins()).then_some(())
    };
    match (twin("-file"), twin("-command")) {
        (Some(()), _) => Some((Shape::Path, false)),
        (_, Some(())) => Some((Shape::Words, false)),
        _ => None,
    }
}

/// A TOML value as a raw one; numbers in quotes are not numbers here, where there are types.
fn raw(value: &Spanned<DeValue<'_>>, shape: Shape) -> Result<Raw, String> {
    let wrong = |found: &str| Err(format!("Expected {}, found {found}", shape.expectation()));
    match value.get_ref() {
        DeValue::String(text) => match shape {
            Shape::Switch => wrong("a text; write true or false without quotes"),
            Shape::Integer { .. } => wrong("a text; write the number without quotes"),
            _ => Ok(Raw::Text(text.to_string())),
        },
        DeValue::Boolean(switch) => Ok(Raw::Switch(*switch)),
        DeValue::Integer(number) => match i64::from_str_radix(number.as_str(), number.radix()) {
            Ok(number) => Ok(Raw::Integer(number)),
            Err(_) => wrong("a number that is too large"),
        },
        DeValue::Array(items) => items
            .iter()
            .map(|item| match item.get_ref() {
                DeValue::String(text) => Ok(text.to_string()),
                DeValue::Table(table) if shape == Shape::Checks => json_of(table),
                other => Err(format!(
                    "Expected {}, found an item that is {}",
                    shape.expectation(),
                    article(other.type_str())
                )),
            })
            .collect::<Result<_, _>>()
            .map(Raw::List),
        other => wrong(&article(other.type_str())),
    }
}

/// A table of plain values as JSON, in which form it is checked and passed on.
fn json_of(table: &DeTable<'_>) -> Result<String, String> {
    let mut object = serde_json::Map::new();
    for (key, value) in table {
        let value = match value.get_ref() {
            DeValue::String(text) => text.as_ref().into(),
            DeValue::Boolean(switch) => (*switch).into(),
            DeValue::Integer(number) => match i64::from_str_radix(number.as_str(), number.radix()) {
                Ok(number) => number.into(),
                Err(_) => return Err(format!("`{}` is too large a number", key.get_ref())),
            },
            DeValue::Float(number) => number.as_str().into(),
            other => {
                return Err(format!("`{}` is {}", key.get_ref(), article(other.type_str())));
            }
        };
        object.insert(key.get_ref().to_string(), value);
    }
    Ok(serde_json::Value::Object(object).to_string())
}

fn article(noun: &str) -> String {
    match noun.starts_with(['a', 'e', 'i', 'o']) {
        true => format!("an {noun}"),
        false => format!("a {noun}"),
    }
}

/// The sentence with a capital first letter.
fn capitalised(sentence: &str) -> String {
    let mut characters = sentence.chars();
    characters
        .next()
        .map_or_else(String::new, |first| first.to_uppercase().chain(characters).collect())
}

/// A value that cannot be: why, and what the setting is for. Further lines of `why` are hints of its own.
pub(super) fn wrong_value(kind: Kind, message: String, why: &str, spec: Option<&Spec>) -> Failure {
    let mut lines = why.lines();
    let failure = Failure::new(kind, message).caused_by(anyhow::anyhow!("{}", lines.next().unwrap_or_default()));
    let failure = lines.fold(failure, |failure, hint| failure.hint(hint));
    match (failure.hints().is_empty(), spec) {
        (true, Some(spec)) => failure.hint(format!("{} For example: {}", spec.doc, spec.example)),
        (true, None) => failure.hint("`backup-cli config init -` explains every key"),
        (false, _) => failure,
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<ConfigFile, Vec<Failure>> {
        ConfigFile::parse(text, Path::new("/c.toml"))
    }

    fn problems(text: &str) -> Vec<(String, Vec<String>)> {
        parse(text)
            .unwrap_err()
            .iter()
            .map(|failure| {
                assert_eq!(failure.kind(), Kind::Config);
                (failure.message().to_owned(), failure.hints().to_vec())
            })
            .collect()
    }

    #[test]
    fn tables_become_entries_with_their_lines() {
        let file =
            parse("[defaults]\nlevel = 9\n\n[profile.web]\nsources = [\"/srv\"]\npart-size = 16777216\n").unwrap();
        assert_eq!(file.defaults["level"].raw, Raw::Integer(9));
        let web = file.profile("web").unwrap();
        assert_eq!(web["sources"].raw, Raw::List(vec!["/srv".to_owned()]));
        assert_eq!(web["part-size"].origin.to_string(), "profile web (/c.toml:6)");
    }

    #[test]
    fn every_problem_is_found_with_its_line_and_the_nearest_key() {
        let text = "[defaults]\nlevell = 6\nlevel = \"6\"\n[profile.web]\nstore = 1\nendpoint = \"x\"\nlevel = 20\n\
                    sources = [\"/a\", 2]\nshell = 1.5\n[default]\n";
        let found: Vec<String> = parse(text)
            .unwrap_err()
            .iter()
            .map(|failure| match failure.causes().first() {
                Some(why) => format!("{}: {why}", failure.message()),
                None => failure.message().to_owned(),
            })
            .collect();
        assert_eq!(
            found,
            [
                "Unknown key: `levell` in `/c.toml`, line 2",
                "Wrong value of `level` in `/c.toml`, line 3: Expected a whole number from 1 to 19, found a text; write the number without quotes",
                "Wrong value of `store` in `/c.toml`, line 5: Expected s3://bucket/prefix, file:///folder, a folder or @PROFILE, or an array of such, found `1`",
                "Unknown key: `endpoint` in `/c.toml`, line 6",
                "Wrong value of `level` in `/c.toml`, line 7: Expected a whole number from 1 to 19, found `20`",
                "Wrong value of `sources` in `/c.toml`, line 8: Expected an array of URLs or paths, found an item that is an integer",
                "Wrong value of `shell` in `/c.toml`, line 9: Expected true or false, found a float",
                "Unknown key: `default` in `/c.toml`, line 10",
            ]
        );
        assert_eq!(problems("[defaults]\nlevell = 6\n")[0].1, ["Did you mean `level`?"]);
        assert_eq!(problems("[default]\n")[0].1, ["Did you mean `defaults`?"]);
        assert_eq!(
            problems("store = \"/x\"\n")[0].1,
            ["Put it under [defaults] or [profile.NAME]"]
        );
    }

    #[test]
    fn a_table_for_drills_is_settings_with_its_name_before_them() {
        let text = "[profile.shop.drill]\nto = \"postgres://h/\"\nchecks = [\"select 1\", { query = \"select 2\", expect = 2 }]\n";
        let file = parse(text).unwrap();
        let shop = file.profile("shop").unwrap();
        assert_eq!(shop["drill-to"].raw, Raw::Text("postgres://h/".to_owned()));
        assert_eq!(shop["drill-checks"].origin.to_string(), "profile shop (/c.toml:3)");
        let checks = ["select 1", r#"{"expect":2,"query":"select 2"}"#].map(str::to_owned);
        assert_eq!(shop["drill-checks"].raw, Raw::List(checks.to_vec()));
        let wrong = &problems("[defaults.drill]\nchecks = [\"select 1; drop table x\"]\nchekcs = 1\n");
        assert_eq!(wrong[0].0, "Wrong value of `drill-checks` in `/c.toml`, line 2");
        assert_eq!(wrong[1].1, ["Did you mean `drill-checks`?"]);
    }

    #[test]
    fn a_malformed_file_is_named_with_its_line() {
        let found = problems("[defaults]\nlevel = \n");
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].0, "Not TOML: `/c.toml`, line 2");
        let twice = parse("[defaults]\nlevel = 1\nlevel = 2\n").unwrap_err();
        assert_eq!(twice[0].causes(), ["Duplicate key"]);
    }

    #[test]
    fn one_way_to_give_a_secret_is_enough() {
        let (message, _) =
            &problems("[defaults]\naws-secret-access-key = \"x\"\naws-secret-access-key-file = \"/x\"\n")[0];
        assert_eq!(
            message,
            "Both `aws-secret-access-key` and `aws-secret-access-key-file` are set in `/c.toml`, line 3"
        );
    }

    #[test]
    fn a_secret_of_the_wrong_type_is_not_printed() {
        let (message, _) = &problems("[defaults]\naws-secret-access-key = 123456789\n")[0];
        assert!(!message.contains("123456789"), "{message}");
    }

    #[test]
    fn an_unknown_profile_is_not_found_and_the_known_are_listed() {
        let file = parse("[profile.web]\n[profile.mail]\n").unwrap();
        let failure = file.profile("wep").unwrap_err();
        assert_eq!(failure.kind(), Kind::NotFound);
        assert_eq!(
            failure.hints(),
            ["Did you mean `web`?", "The profiles of `/c.toml` are: mail, web"]
        );
    }

    #[test]
    fn a_file_that_was_named_must_exist() {
        let missing = ConfigFile::find(Some(Path::new("/nonexistent/c.toml")), &[]).unwrap_err();
        assert_eq!(missing[0].kind(), Kind::Config);
        let none = ConfigFile::find(None, &[PathBuf::from("/nonexistent/c.toml")]).unwrap();
        assert_eq!(none.path, None);
    }
}
