//! The two questions that several settings answer together: what is backed up, and where backups live.

use super::file::Found;
use super::layers::Layer;
use super::resolve::Resolver;
use super::table;
use super::value::{FromValue, Origin, Raw, Setting, Value, one_sentence};
use crate::base::failure::{Failure, Kind};
use crate::store::address::StoreAddress;

/// Whether the bucket was named by itself, not as part of an address.
fn is_bucket_variable(origin: &Origin) -> bool {
    let named = match origin {
        Origin::Environment(variable) | Origin::EnvFile { variable, .. } => variable,
        _ => return false,
    };
    table::S3_BUCKET.environment.contains(&named.as_str())
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

    /// The store: an address, a bucket by itself, or a folder where nothing is configured or AWS is declined.
    pub(super) fn store(&mut self) -> Setting<StoreAddress> {
        let prefix: String = self.required(&table::S3_PREFIX).value;
        let prefix = match prefix.trim_matches('/') {
            "" => table::S3_PREFIX_DEFAULT,
            prefix => prefix,
        }
        .to_owned();
        let use_aws: Setting<Option<bool>> = self.optional(&table::USE_AWS);
        let mut bucket_shown = false;
        let mut chosen = None;
        for layer in Layer::ALL {
            let address = self
                .value_in(&table::STORE, layer)
                .map(|found| found.map(StoreAddress::from_value));
            let bucket = self.value_in(&table::S3_BUCKET, layer);
            if let Some(bucket) = bucket.as_ref().filter(|_| !bucket_shown) {
                self.show(&table::S3_BUCKET, bucket);
                bucket_shown = true;
            }
            let candidate = match (address, bucket) {
                (
                    Some(Setting {
                        value: Some(address),
                        origin,
                    }),
                    _,
                ) => Setting { value: address, origin },
                (_, Some(bucket)) => match self.bucket(bucket, &prefix) {
                    Some(found) => found,
                    None => continue,
                },
                _ => continue,
            };
            // Declining AWS is said in the environment: it outranks what files say, but not a store that is named as directly.
            let declined = use_aws.value == Some(false)
                && matches!(candidate.value, StoreAddress::S3 { .. })
                && (layer > Layer::Environment || is_bucket_variable(&candidate.origin));
            if !declined {
                chosen = Some(candidate);
                break;
            }
        }
        if !bucket_shown {
            self.show_unset(&table::S3_BUCKET);
        }
        let store = match chosen {
            Some(store) => store,
            None => Setting {
                value: StoreAddress::Local {
                    folder: self.local_folder(),
                },
                origin: match use_aws.value {
                    Some(false) => use_aws.origin.clone(),
                    _ => Origin::BuiltIn,
                },
            },
        };
        if use_aws.value == Some(true) && matches!(store.value, StoreAddress::Local { .. }) {
            self.problems.push(
                Failure::new(Kind::Config, "BACKUP_USE_AWS is true, but no bucket is named")
                    .hint("Set BACKUP_S3_BUCKET, or `--store s3://bucket/prefix`"),
            );
        }
        self.show(&table::STORE, &store.clone().map(Value::Address));
        store
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
