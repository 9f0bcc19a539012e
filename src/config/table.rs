//! The table of settings: one place for each one's name, environment names, shape, default and explanation.
//!
//! Look-up in the environment, the check of configuration files, `config show`, the example configuration and the
//! ENVIRONMENT section of the manual are all made from it.

use super::value::Shape;

pub use super::specs::*;

/// Whether a value may be shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Privacy {
    /// It may; passwords inside URLs are masked all the same.
    Open,
    /// It is masked, and may be given by a file or by a command instead.
    Secret,
    /// It has a secret inside (a URL with a password): shown with that masked, and has the same twins.
    Url,
}

impl Privacy {
    /// Whether `…_FILE` and `…_COMMAND` may stand for the value.
    #[must_use]
    pub fn has_twins(self) -> bool {
        self != Self::Open
    }
}

/// Which chapter of the example and of the manual a setting belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Chapter {
    /// What is backed up.
    Source,
    /// Where backups live.
    Store,
    /// Who may go there.
    Credentials,
    /// How objects are stored there.
    Objects,
    /// Who may read them.
    Encryption,
    /// How bytes are moved.
    Transfer,
    /// What is kept.
    Retention,
    /// How a run behaves.
    Run,
    /// What is said and how; not in configuration files.
    Console,
}

impl Chapter {
    /// The chapters in the order in which they are shown.
    pub const ALL: [Self; 9] = [
        Self::Source,
        Self::Store,
        Self::Credentials,
        Self::Objects,
        Self::Encryption,
        Self::Transfer,
        Self::Retention,
        Self::Run,
        Self::Console,
    ];

    /// The chapter's heading.
    #[must_use]
    pub fn title(self) -> &'static str {
        match self {
            Self::Source => "Source",
            Self::Store => "Store",
            Self::Credentials => "Credentials",
            Self::Objects => "Objects",
            Self::Encryption => "Encryption",
            Self::Transfer => "Transfer",
            Self::Retention => "Retention",
            Self::Run => "Runs",
            Self::Console => "Command line and output",
        }
    }
}

/// One setting.
#[derive(Debug, PartialEq, Eq)]
pub struct Spec {
    /// Its name: the key in configuration files and, with `--` before it, in most cases the flag.
    pub key: &'static str,
    /// Whether a configuration file may hold it.
    pub in_file: bool,
    /// What its value looks like.
    pub shape: Shape,
    /// Variables that win over configuration files; the first that is set counts.
    pub environment: &'static [&'static str],
    /// Variables of other tools, looked at when nothing else says anything; the first that is set counts.
    pub fallback: &'static [&'static str],
    /// The built-in value, written as in the environment.
    pub default: Option<&'static str>,
    /// What happens when nothing is set, where there is no fixed value.
    pub unset: &'static str,
    /// Whether it may be shown.
    pub privacy: Privacy,
    /// Its chapter.
    pub chapter: Chapter,
    /// What it does, in full sentences.
    pub doc: &'static str,
    /// A value for the example, as TOML.
    pub example: &'static str,
}

/// The setting with this key.
#[must_use]
pub fn by_key(key: &str) -> Option<&'static Spec> {
    ALL.iter().copied().find(|spec| spec.key == key)
}

/// The keys that a configuration file may hold, twins included.
pub fn file_keys() -> impl Iterator<Item = String> {
    ALL.iter().filter(|spec| spec.in_file).flat_map(|spec| {
        let twins = spec.privacy.has_twins();
        std::iter::once(spec.key.to_owned()).chain(
            ["-file", "-command"]
                .into_iter()
                .filter(move |_| twins)
                .map(|suffix| format!("{}{suffix}", spec.key)),
        )
    })
}

/// Every variable that is looked at, twins included.
pub fn variables() -> impl Iterator<Item = String> {
    ALL.iter().flat_map(|spec| {
        spec.environment
            .iter()
            .chain(spec.fallback)
            .flat_map(|name| with_twins(spec, name))
    })
}

/// This tool's own variables that say where a store is, who may go there and how objects are kept, twins included.
pub fn variables_of_stores() -> impl Iterator<Item = String> {
    ALL.iter()
        .filter(|spec| matches!(spec.chapter, Chapter::Store | Chapter::Credentials | Chapter::Objects))
        .flat_map(|spec| spec.environment.iter().flat_map(|name| with_twins(spec, name)))
}

fn with_twins(spec: &Spec, name: &str) -> impl Iterator<Item = String> + use<> {
    let suffixes: &[&str] = match spec.privacy.has_twins() {
        true => &["", "_FILE", "_COMMAND"],
        false => &[""],
    };
    let name = name.to_owned();
    suffixes.iter().map(move |suffix| format!("{name}{suffix}"))
}

/// The text nearest to `wrong` among `known`, if one is near enough to have been meant.
pub fn nearest<S: AsRef<str>>(wrong: &str, known: impl IntoIterator<Item = S>) -> Option<String> {
    /// Below this likeness a suggestion is noise.
    const LIKENESS_MIN: f64 = 0.6;
    known
        .into_iter()
        .map(|known| {
            let likeness = strsim::normalized_damerau_levenshtein(wrong, known.as_ref());
            (likeness, known.as_ref().to_owned())
        })
        .filter(|(likeness, _)| *likeness >= LIKENESS_MIN)
        .max_by(|a, b| a.0.total_cmp(&b.0).then_with(|| b.1.cmp(&a.1)))
        .map(|(_, known)| known)
}

#[cfg(test)]
mod tests {
    use super::super::value::{Origin, Raw};
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn names_are_unique_and_every_setting_is_explained() {
        let mut keys = BTreeSet::new();
        let mut names = BTreeSet::new();
        for spec in ALL {
            assert!(keys.insert(spec.key), "{}", spec.key);
            assert!(spec.doc.ends_with('.'), "{}", spec.key);
            assert!(!spec.example.is_empty(), "{}", spec.key);
            assert!(!spec.environment.is_empty(), "{}", spec.key);
            assert!(spec.environment.iter().all(|name| name.starts_with("BACKUP_")));
            assert!(spec.fallback.iter().all(|name| !name.starts_with("BACKUP_")));
        }
        for name in variables() {
            assert!(names.insert(name.clone()), "{name}");
        }
        for name in NOT_YET {
            assert!(names.insert((*name).to_owned()), "{name}");
        }
    }

    #[test]
    fn every_built_in_value_has_its_own_shape() {
        for spec in ALL {
            if let Some(default) = spec.default {
                let read = spec.shape.read(&Raw::Text(default.to_owned()), &Origin::BuiltIn);
                assert!(read.is_ok(), "{}: {read:?}", spec.key);
            }
        }
    }

    #[test]
    fn the_names_in_the_field_are_known() {
        let known: BTreeSet<String> = variables()
            .chain(NOT_YET.iter().map(|name| (*name).to_owned()))
            .collect();
        for name in [
            "BACKUP_S3_BUCKET",
            "BACKUP_S3_PREFIX",
            "BACKUP_S3_RETENTION_DAYS",
            "BACKUP_S3_GLACIER_DAYS",
            "BACKUP_S3_DELETE_DAYS",
            "BACKUP_AWS_ACCESS_KEY_ID",
            "BACKUP_AWS_SECRET_ACCESS_KEY",
            "BACKUP_AWS_SECRET_ACCESS_KEY_FILE",
            "BACKUP_AWS_SESSION_TOKEN_COMMAND",
            "BACKUP_USE_AWS",
            "BACKUP_HEALTHCHECK_URL",
            "BACKUP_HEALTHCHECK_FAIL_URL",
            "BACKUP_LEVEL",
            "BACKUP_STORE",
            "BACKUP_ENDPOINT_URL",
            "DATABASE_URL",
            "AWS_S3_BUCKET",
            "AWS_S3_REGION",
            "AWS_S3_ENDPOINT",
            "AWS_REGION",
            "AWS_ENDPOINT_URL",
            "AWS_ENDPOINT_URL_S3",
        ] {
            assert!(known.contains(name), "{name}");
        }
    }

    #[test]
    fn the_nearest_name_is_one_that_may_have_been_meant() {
        for (wrong, meant) in [
            ("exclude", Some("excludes")),
            ("part_size", Some("part-size")),
            ("endpoint", Some("endpoint-url")),
            ("stor", Some("store")),
            ("zzz", None),
        ] {
            assert_eq!(nearest(wrong, file_keys()).as_deref(), meant, "{wrong}");
        }
    }
}
