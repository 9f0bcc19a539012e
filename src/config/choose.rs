//! The two questions that several settings answer together: what is backed up, and where backups live.

use std::sync::Arc;

use super::environment::Environment;
use super::file::{ConfigFile, Found};
use super::layers::{Flags, Layer, Layers};
use super::resolve::{Resolver, Secrets};
use super::settings::{Settings, StoreChoice};
use super::table;
use super::value::{FromValue, Origin, Raw, Setting, StoreName, Value, one_sentence};
use crate::base::failure::{Failure, Kind, Result};
use crate::store::address::StoreAddress;

/// Whether the bucket was named by itself, not as part of an address.
fn is_bucket_variable(origin: &Origin) -> bool {
    let named = match origin {
        Origin::Environment(variable) | Origin::EnvFile { variable, .. } => variable,
        _ => return false,
    };
    table::S3_BUCKET.environment.contains(&named.as_str())
}

/// The settings of the store that a profile names, for `@PROFILE`.
///
/// Flags and this tool's variables speak of the run's own store, so here the profile has the first word.
pub(super) fn of_store(
    profile: &str,
    environment: &Environment,
    file: &ConfigFile,
    secrets: Secrets,
) -> Result<Settings, Vec<Failure>> {
    let entries = file.profile(profile).map_err(|failure| vec![failure])?;
    let wrong = |why: &str| {
        let failure = Failure::new(Kind::Config, format!("The profile `{profile}` {why}"));
        vec![failure.hint(format!(
            "Set `store` in [profile.{profile}] to the address of one store"
        ))]
    };
    let Some(found) = entries.get(table::STORE.key) else {
        return Err(wrong(&format!("names no store, so `@{profile}` means none")));
    };
    // A wrong value is told by the resolution itself.
    if let Ok(Value::Stores(names)) = table::STORE.shape.read(&found.raw, &found.origin)
        && !matches!(names.as_slice(), [StoreName::Address(_)])
    {
        return Err(wrong(
            "names other profiles or several stores; `@` means the one of a profile",
        ));
    }
    let layers = Layers {
        flags: &Flags::default(),
        environment: &environment.without(table::variables_of_stores()),
        file,
        profile: Some(profile),
    };
    Settings::resolve(&layers, secrets)
}

impl Resolver<'_> {
    /// Sources or a command, from the first layer that names either; then the database that everyone falls back to.
    pub(super) fn what(
        &mut self,
        database_url: &Setting<Option<String>>,
        shell: bool,
    ) -> (Setting<Vec<String>>, Setting<Option<Vec<String>>>) {
        self.show_unset(&table::SOURCES);
        self.show_unset(&table::COMMAND);
        for layer in Layer::ALL {
            let sources = self.value_in(&table::SOURCES, layer);
            let command = match self.layers.in_layer(&table::COMMAND, layer) {
                Ok(found) => found.map(|(found, _)| found),
                Err(failure) => {
                    self.problems.push(failure);
                    None
                }
            };
            match (sources, command) {
                (None, None) => {}
                (Some(sources), Some(command)) => {
                    let (kind, one, other) = (Kind::Config, &sources.origin, &command.origin);
                    let kind = if matches!(one, Origin::Flag(_)) {
                        Kind::Usage
                    } else {
                        kind
                    };
                    self.problems.push(
                        Failure::new(kind, format!("Both sources ({one}) and a command ({other}) are set"))
                            .hint("A backup has either; leave one of them out"),
                    );
                    break;
                }
                (Some(sources), None) => {
                    self.show(&table::SOURCES, &sources);
                    let sources = sources.map(|value| Vec::from_value(value).unwrap_or_default());
                    return (sources, Setting::built_in(None));
                }
                (None, Some(command)) => {
                    let command = self.command(command, shell);
                    return (Setting::built_in(Vec::new()), command);
                }
            }
        }
        let sources = match &database_url.value {
            Some(url) => {
                let sources = Setting {
                    value: vec![url.clone()],
                    origin: database_url.origin.clone(),
                };
                self.show(&table::SOURCES, &sources.clone().map(Value::List));
                sources
            }
            None => Setting::built_in(Vec::new()),
        };
        (sources, Setting::built_in(None))
    }

    /// A command for a shell is one text, which only the shell may take apart.
    fn command(&mut self, Found { raw, origin }: Found, shell: bool) -> Setting<Option<Vec<String>>> {
        let read = match (&raw, shell) {
            (Raw::Text(text), true) => Ok(Value::List(vec![text.clone()])),
            (Raw::List(words), true) if words.len() != 1 => {
                Err("Expected one text for the shell, found an array of arguments".to_owned())
            }
            _ => table::COMMAND.shape.read(&raw, &origin).and_then(|value| match &value {
                Value::List(words) if words.is_empty() => Err("Expected a command, found nothing".to_owned()),
                _ => Ok(value),
            }),
        };
        match read {
            Ok(value) => {
                let found = Setting { value, origin };
                self.show(&table::COMMAND, &found);
                found.map(Vec::from_value)
            }
            Err(why) => {
                self.problem(&table::COMMAND, &origin, &why);
                Setting::built_in(None)
            }
        }
    }

    /// The stores: addresses and profiles, a bucket by itself, or a folder where nothing is configured or AWS is declined.
    pub(super) fn store(&mut self) -> (Setting<StoreAddress>, Vec<StoreChoice>) {
        let prefix: String = self.required(&table::S3_PREFIX).value;
        let prefix = match prefix.trim_matches('/') {
            "" => table::S3_PREFIX_DEFAULT,
            prefix => prefix,
        }
        .to_owned();
        let use_aws: Setting<Option<bool>> = self.optional(&table::USE_AWS);
        let mut bucket_shown = false;
        let mut chosen: Option<Setting<Vec<StoreName>>> = None;
        for layer in Layer::ALL {
            let names = self
                .value_in(&table::STORE, layer)
                .map(|found| found.map(|value| Vec::<StoreName>::from_value(value).unwrap_or_default()))
                .filter(|names| !names.is_empty());
            let bucket = self.value_in(&table::S3_BUCKET, layer);
            if let Some(bucket) = bucket.as_ref().filter(|_| !bucket_shown) {
                self.show(&table::S3_BUCKET, bucket);
                bucket_shown = true;
            }
            let candidate = match (names, bucket) {
                (Some(names), _) => names,
                (None, Some(bucket)) => match self.bucket(bucket, &prefix) {
                    Some(found) => found.map(|address| vec![StoreName::Address(address)]),
                    None => continue,
                },
                (None, None) => continue,
            };
            // Declining AWS is said in the environment: it outranks what files say, but not a store that is named as directly.
            let is_local = |name: &StoreName| matches!(name, StoreName::Address(StoreAddress::Local { .. }));
            let declined = use_aws.value == Some(false)
                && !candidate.value.iter().all(is_local)
                && (layer > Layer::Environment || is_bucket_variable(&candidate.origin));
            if !declined {
                chosen = Some(candidate);
                break;
            }
        }
        if !bucket_shown {
            self.show_unset(&table::S3_BUCKET);
        }
        let names = chosen.unwrap_or_else(|| Setting {
            value: vec![StoreName::Address(StoreAddress::Local {
                folder: self.local_folder(),
            })],
            origin: match use_aws.value {
                Some(false) => use_aws.origin.clone(),
                _ => Origin::BuiltIn,
            },
        });
        self.show(&table::STORE, &names.clone().map(Value::Stores));
        let stores = self.store_choices(&names.value);
        // Where a profile is wrong, its problems are told and nothing is made of this.
        let address = stores.first().map_or_else(
            || StoreAddress::Local {
                folder: std::path::PathBuf::new(),
            },
            |first| first.address.clone(),
        );
        let all_local = stores
            .iter()
            .all(|store| matches!(store.address, StoreAddress::Local { .. }));
        if use_aws.value == Some(true) && all_local {
            self.problems.push(
                Failure::new(Kind::Config, "BACKUP_USE_AWS is true, but no bucket is named")
                    .hint("Set BACKUP_S3_BUCKET, or `--store s3://bucket/prefix`"),
            );
        }
        (names.map(|_| address), stores)
    }

    /// Each store with the settings that hold for it.
    fn store_choices(&mut self, names: &[StoreName]) -> Vec<StoreChoice> {
        let mut choices = Vec::new();
        for name in names {
            match name {
                StoreName::Address(address) => choices.push(StoreChoice {
                    address: address.clone(),
                    settings: None,
                }),
                StoreName::Profile(profile) => {
                    match of_store(profile, self.layers.environment, self.layers.file, self.secrets) {
                        Ok(settings) => choices.push(StoreChoice {
                            address: settings.store.value.clone(),
                            settings: Some(Arc::new(settings)),
                        }),
                        Err(problems) => self.problems.extend(problems),
                    }
                }
            }
        }
        choices
    }

    /// A bucket that was named by itself, with the prefix that goes with it.
    fn bucket(&mut self, bucket: Setting<Value>, prefix: &str) -> Option<Setting<StoreAddress>> {
        let name = String::from_value(bucket.value).unwrap_or_default();
        match StoreAddress::parse(&format!("s3://{name}/{prefix}")) {
            Ok(value) => Some(Setting {
                value,
                origin: bucket.origin,
            }),
            Err(failure) => {
                self.problem(&table::S3_BUCKET, &bucket.origin, &one_sentence(&failure));
                None
            }
        }
    }

    fn local_folder(&mut self) -> std::path::PathBuf {
        match self.user_folder("XDG_DATA_HOME", ".local/share") {
            Some(folder) => folder.join("backups"),
            None => {
                self.problems.push(
                    Failure::new(
                        Kind::Config,
                        "No store is configured, and there is no home directory for one",
                    )
                    .hint("Name a store, for example `--store s3://bucket/prefix` or `--store /var/backups`"),
                );
                std::path::PathBuf::new()
            }
        }
    }
}
