//! From layers to [`Settings`].

use std::collections::BTreeMap;
use std::path::PathBuf;

use super::file::{Found, wrong_value};
use super::layers::{Form, Layer, Layers};
use super::settings::{ChecksumMode, Credentials, Settings, Shown, StoreChoice};
use super::table::{self, Privacy, Spec};
use super::value::{FromValue, Origin, Raw, Setting, Shape, Value};
use crate::base::failure::{Failure, Kind, Result};
use crate::base::secret::{MASK, Secret};

/// Whether secrets are wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Secrets {
    /// Files are read and commands are run.
    Read,
    /// Files are looked at and commands are looked for; for `config show` and `config check`.
    Leave,
}

impl Settings {
    /// Resolves the settings of one run.
    ///
    /// # Errors
    /// Every problem, in the order of the table.
    pub fn resolve(layers: &Layers<'_>, secrets: Secrets) -> Result<Self, Vec<Failure>> {
        let mut resolver = Resolver {
            layers,
            secrets,
            problems: Vec::new(),
            shown: BTreeMap::new(),
        };
        if let Some(name) = layers.profile {
            layers.file.profile(name).map_err(|failure| vec![failure])?;
        }
        let settings = resolver.settings();
        match resolver.problems.is_empty() {
            true => Ok(settings),
            false => Err(resolver.problems),
        }
    }
}

pub(super) struct Resolver<'a> {
    pub(super) layers: &'a Layers<'a>,
    pub(super) secrets: Secrets,
    pub(super) problems: Vec<Failure>,
    shown: BTreeMap<&'static str, Shown>,
}

impl Resolver<'_> {
    fn settings(&mut self) -> Settings {
        let database_url = self.database_url();
        let shell: Setting<bool> = self.required(&table::SHELL);
        let (sources, command) = self.what(&database_url, shell.value);
        let (store, stores) = self.store();
        let compression = self.codec();
        let policy = self.policy();
        let mut settings = Settings {
            profile: self.layers.profile.map(str::to_owned),
            sources,
            command,
            shell,
            database_url,
            stdin_name: self.optional(&table::STDIN_NAME),
            extension: self.optional(&table::EXTENSION),
            excludes: self.required(&table::EXCLUDES),
            exclude_files: self.required(&table::EXCLUDE_FILES),
            exclude_caches: self.required(&table::EXCLUDE_CACHES),
            one_file_system: self.required(&table::ONE_FILE_SYSTEM),
            pg_format: self.required(&table::PG_FORMAT),
            jobs: self.required::<u64>(&table::JOBS).map(as_usize),
            globals: self.required(&table::GLOBALS),
            all_databases: self.required(&table::ALL_DATABASES),
            tables: self.required(&table::TABLES),
            exclude_tables: self.required(&table::EXCLUDE_TABLES),
            schemas: self.required(&table::SCHEMAS),
            exclude_schemas: self.required(&table::EXCLUDE_SCHEMAS),
            exclude_table_data: self.required(&table::EXCLUDE_TABLE_DATA),
            pg_dump_arguments: self.required(&table::PG_DUMP_ARGUMENTS),
            pg_client_folder: self.optional(&table::PG_CLIENT_FOLDER),
            mysql_dump_arguments: self.required(&table::MYSQL_DUMP_ARGUMENTS),
            mysql_client_folder: self.optional(&table::MYSQL_CLIENT_FOLDER),
            mysql_password: self.secret(&table::MYSQL_PASSWORD),
            name: self.name(),
            key_template: self.required(&table::KEY_TEMPLATE),
            region: self.optional(&table::REGION),
            endpoint_url: self.endpoint(),
            path_style: self.optional(&table::PATH_STYLE),
            provider: self.optional(&table::PROVIDER),
            credentials: self.credentials(stores.iter().any(StoreChoice::needs_credentials)),
            aws_profile: self.optional(&table::AWS_PROFILE),
            store,
            stores,
            storage_class: self.optional(&table::STORAGE_CLASS),
            sse: self.optional(&table::SSE),
            sse_kms_key_id: self.optional(&table::SSE_KMS_KEY_ID),
            object_tags: self.required::<Vec<String>>(&table::OBJECT_TAGS).map(|pairs| {
                let split = |pair: &String| {
                    pair.split_once('=')
                        .map(|(key, value)| (key.to_owned(), value.to_owned()))
                };
                pairs.iter().filter_map(split).collect()
            }),
            checksum: self
                .required::<String>(&table::CHECKSUM)
                .map(|mode| match mode.as_str() {
                    "when_supported" => ChecksumMode::WhenSupported,
                    "when_required" => ChecksumMode::WhenRequired,
                    _ => ChecksumMode::Auto,
                }),
            tags: self.tags(),
            level: self.level(compression.value),
            compression,
            recipients: self.required(&table::RECIPIENTS),
            recipients_files: self.required(&table::RECIPIENTS_FILES),
            passphrase: self.secret_source(&table::PASSPHRASE),
            identities: self.required(&table::IDENTITIES),
            identity: self.identity(),
            threads: self.threads(),
            part_bytes: self.optional(&table::PART_SIZE),
            parts_in_flight: self
                .optional::<u64>(&table::PARTS_IN_FLIGHT)
                .map(|parts| parts.map(as_usize)),
            memory_bytes: self.required(&table::MEMORY),
            expected_bytes: self.optional(&table::EXPECTED_SIZE),
            retry_delay: self.required(&table::RETRY_DELAY),
            retry_delay_max: self.required(&table::RETRY_DELAY_MAX),
            retry_budget: self.required(&table::RETRY_BUDGET),
            request_timeout: self.required(&table::REQUEST_TIMEOUT),
            stall_timeout: self.required(&table::STALL_TIMEOUT),
            lock_timeout: self.required(&table::LOCK_TIMEOUT),
            shape_guard_percent: self
                .required::<u64>(&table::SHAPE_GUARD)
                .map(|percent| u8::try_from(percent).ok().filter(|percent| *percent > 0)),
            lock_folder: self.lock_folder(),
            host: self.host(),
            safety_backup: self.required(&table::SAFETY_BACKUP),
            lock: self.lock(&policy),
            policy,
            min_keep: self.required::<u64>(&table::MIN_KEEP).map(as_usize),
            prune: self.required(&table::PRUNE),
            purge_versions: self.required(&table::PURGE_VERSIONS),
            cleanup_older_than: self.required(&table::CLEANUP_OLDER_THAN),
            lifecycle_transitions: self.required(&table::LIFECYCLE_TRANSITIONS),
            lifecycle_glacier_days: self.optional(&table::LIFECYCLE_GLACIER_DAYS),
            lifecycle_delete_days: self.optional(&table::LIFECYCLE_DELETE_DAYS),
            lifecycle_noncurrent_days: self.optional(&table::LIFECYCLE_NONCURRENT_DAYS),
            lifecycle_abort_days: self.required(&table::LIFECYCLE_ABORT_DAYS),
            drill_to: self.required(&table::DRILL_TO),
            drill_checks: self.required(&table::DRILL_CHECKS),
            prices: self.optional(&table::PRICES),
            metrics_file: self.optional(&table::METRICS_FILE),
            warnings: Vec::new(),
            shown: Vec::new(),
        };
        self.check_encryption(&mut settings);
        settings.warnings.clone_from(&self.layers.file.warnings);
        settings.warnings.extend(self.layers.environment.warnings());
        settings.shown = table::ALL
            .iter()
            .filter_map(|spec| self.shown.remove(spec.key))
            .collect();
        settings
    }

    /// The value that the layers give, read as the setting's shape; a problem counts as no value and is kept.
    pub(super) fn value(&mut self, spec: &'static Spec) -> Option<(Layer, Setting<Value>)> {
        match self.layers.find(spec) {
            Ok(Some((layer, found, _))) => self.read(spec, found).map(|value| (layer, value)),
            Ok(None) => None,
            Err(failure) => {
                self.problems.push(failure);
                None
            }
        }
    }

    /// The value that one layer gives.
    pub(super) fn value_in(&mut self, spec: &'static Spec, layer: Layer) -> Option<Setting<Value>> {
        match self.layers.in_layer(spec, layer) {
            Ok(found) => found.and_then(|(found, _)| self.read(spec, found)),
            Err(failure) => {
                self.problems.push(failure);
                None
            }
        }
    }

    fn read(&mut self, spec: &'static Spec, Found { raw, origin }: Found) -> Option<Setting<Value>> {
        match spec.shape.read(&raw, &origin) {
            Ok(value) => Some(Setting { value, origin }),
            Err(why) => {
                self.problem(spec, &origin, &why);
                None
            }
        }
    }

    pub(super) fn problem(&mut self, spec: &Spec, origin: &Origin, why: &str) {
        let kind = match origin {
            Origin::Flag(_) => Kind::Usage,
            _ => Kind::Config,
        };
        let named = match origin {
            Origin::Flag(flag) => format!("`{flag}`"),
            Origin::Environment(variable) => format!("`{variable}`"),
            _ => format!("`{}` ({origin})", spec.key),
        };
        self.problems
            .push(wrong_value(kind, format!("Wrong value of {named}"), why, Some(spec)));
    }

    /// A setting that may be unset.
    pub(super) fn optional<T: FromValue>(&mut self, spec: &'static Spec) -> Setting<Option<T>> {
        match self.value(spec) {
            Some((_, found)) => {
                self.show(spec, &found);
                found.map(T::from_value)
            }
            None => {
                self.show_unset(spec);
                Setting::built_in(None)
            }
        }
    }

    /// A setting with a built-in value; lists are empty by default.
    pub(super) fn required<T: FromValue + Default>(&mut self, spec: &'static Spec) -> Setting<T> {
        let found = self.value(spec).map(|(_, found)| found).or_else(|| {
            let default = Raw::Text(spec.default.unwrap_or_default().to_owned());
            let value = spec.shape.read(&default, &Origin::BuiltIn).ok()?;
            Some(Setting::built_in(value))
        });
        match found {
            Some(found) => {
                if found.is_built_in() && spec.default.is_none() {
                    self.show_unset(spec);
                } else {
                    self.show(spec, &found);
                }
                found.map(|value| T::from_value(value).unwrap_or_default())
            }
            None => Setting::built_in(T::default()),
        }
    }

    pub(super) fn show(&mut self, spec: &'static Spec, setting: &Setting<Value>) {
        let (text, json) = match spec.privacy {
            Privacy::Secret => (MASK.to_owned(), MASK.into()),
            Privacy::Open | Privacy::Url => {
                let mut text = setting.value.display();
                match (spec.shape, &setting.value) {
                    (Shape::Bytes, Value::Number(bytes)) => text = crate::base::units::format_bytes(*bytes),
                    (Shape::PercentOrOff, Value::Number(0)) => text = "off".to_owned(),
                    (Shape::PercentOrOff, Value::Number(percent)) => text = format!("{percent}%"),
                    _ => {}
                }
                (text, setting.value.json())
            }
        };
        self.show_as(spec, Some(text), json, setting.origin.to_string());
    }

    pub(super) fn show_as(
        &mut self,
        spec: &'static Spec,
        text: Option<String>,
        json: serde_json::Value,
        origin: String,
    ) {
        let key = spec.key;
        self.shown.insert(
            key,
            Shown {
                key,
                text,
                json,
                origin,
            },
        );
    }

    pub(super) fn show_unset(&mut self, spec: &'static Spec) {
        self.show_as(spec, None, serde_json::Value::Null, Origin::BuiltIn.to_string());
    }

    /// The database's URL, which may have a password inside.
    fn database_url(&mut self) -> Setting<Option<String>> {
        let spec = &table::DATABASE_URL;
        match self.layers.find(spec) {
            // It is not remembered as a secret as a whole, so that messages may name the host and the database.
            Ok(Some((_, found, Form::Plain))) => match self.read(spec, found) {
                Some(found) => {
                    let text = url_without_password(&found.value);
                    self.show_as(spec, Some(text.clone()), text.into(), found.origin.to_string());
                    found.map(String::from_value)
                }
                None => Setting::built_in(None),
            },
            Ok(Some((_, found, form))) => {
                let secret = self.secret_from(spec, Some((found, form)));
                secret.map(|secret| secret.map(|secret| secret.expose().to_owned()))
            }
            Ok(None) => {
                self.show_unset(spec);
                Setting::built_in(None)
            }
            Err(failure) => {
                self.problems.push(failure);
                Setting::built_in(None)
            }
        }
    }

    /// A secret, from the first layer that has it.
    fn secret(&mut self, spec: &'static Spec) -> Setting<Option<Secret>> {
        match self.layers.find(spec) {
            Ok(found) => self.secret_from(spec, found.map(|(_, found, form)| (found, form))),
            Err(failure) => {
                self.problems.push(failure);
                Setting::built_in(None)
            }
        }
    }

    fn secret_from(&mut self, spec: &'static Spec, found: Option<(Found, Form)>) -> Setting<Option<Secret>> {
        let Some((Found { raw, origin }, form)) = found else {
            self.show_unset(spec);
            return Setting::built_in(None);
        };
        match self.read_secret(&raw, &origin, form) {
            Ok(secret) => {
                self.show_as(spec, Some(MASK.to_owned()), MASK.into(), origin.to_string());
                Setting { value: secret, origin }
            }
            Err(failure) => {
                let failure = failure
                    .with_kind(Kind::Config)
                    .context(format!("Could not take `{}` from {origin}", spec.key));
                self.problems.push(match form {
                    Form::Plain => failure,
                    Form::File => {
                        failure.hint("Check the path and its permissions; the file holds nothing but the secret")
                    }
                    Form::Command => {
                        failure.hint("Run that command by hand: it has to print the secret and to exit with 0")
                    }
                });
                Setting::built_in(None)
            }
        }
    }

    fn read_secret(&self, raw: &Raw, origin: &Origin, form: Form) -> Result<Option<Secret>> {
        let wrong = |why: String| Failure::new(Kind::Config, why);
        match form {
            Form::Plain => match raw {
                Raw::Text(text) => Ok(Some(Secret::new(text.as_str()))),
                _ => Err(wrong("Expected a text".to_owned())),
            },
            Form::File => {
                let Value::Path(path) = Shape::Path.read(raw, origin).map_err(wrong)? else {
                    return Err(wrong("Expected a path".to_owned()));
                };
                Secret::from_file(&path).map(Some)
            }
            Form::Command => {
                let Value::List(words) = Shape::Words.read(raw, origin).map_err(wrong)? else {
                    return Err(wrong("Expected a command".to_owned()));
                };
                match (self.secrets, words.first()) {
                    (_, None) => Err(wrong("The command is empty".to_owned())),
                    (Secrets::Read, _) => Secret::from_command(&shell_words::join(&words)).map(Some),
                    (Secrets::Leave, Some(program)) => match crate::base::process::find_program(program) {
                        Some(_) => Ok(None),
                        None => {
                            Err(wrong(format!("No such program: `{program}`")).hint("Is it installed and in PATH?"))
                        }
                    },
                }
            }
        }
    }

    fn endpoint(&mut self) -> Setting<Option<String>> {
        let mut endpoint: Setting<Option<String>> = self.optional(&table::ENDPOINT_URL);
        if let Some(url) = endpoint.value.take() {
            let with_scheme = match url.contains("://") {
                true => url,
                false => format!("https://{url}"),
            };
            match url::Url::parse(&with_scheme) {
                Ok(parsed) if matches!(parsed.scheme(), "http" | "https") && parsed.has_host() => {
                    endpoint.value = Some(with_scheme);
                }
                _ => self.problem(
                    &table::ENDPOINT_URL,
                    &endpoint.origin,
                    &format!("Expected a URL such as https://s3.example.org, found `{with_scheme}`"),
                ),
            }
        }
        endpoint
    }

    /// A name that is nowhere set is the profile's: two profiles must not end up in one series by accident.
    fn name(&mut self) -> Setting<Option<String>> {
        let found = self.value(&table::NAME);
        let implied = match (&found, self.layers.profile) {
            (Some((Layer::Flags | Layer::Environment | Layer::Profile, _)), _) | (_, None) => None,
            (_, Some(profile)) => Some(profile),
        };
        let setting = match (implied, found) {
            (Some(profile), _) => Setting {
                value: Value::Text(profile.to_owned()),
                origin: Origin::ProfileName(profile.to_owned()),
            },
            (None, Some((_, found))) => found,
            (None, None) => {
                self.show_unset(&table::NAME);
                return Setting::built_in(None);
            }
        };
        self.show(&table::NAME, &setting);
        setting.map(String::from_value)
    }

    fn threads(&mut self) -> Setting<usize> {
        match self.value(&table::THREADS) {
            Some((_, found)) => {
                self.show(&table::THREADS, &found);
                found.map(|value| u64::from_value(value).map_or(1, as_usize))
            }
            None => {
                let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
                self.show(&table::THREADS, &Setting::built_in(Value::Number(cores as u64)));
                Setting::built_in(cores)
            }
        }
    }

    fn host(&mut self) -> Setting<String> {
        match self.value(&table::HOST) {
            Some((_, found)) => {
                self.show(&table::HOST, &found);
                found.map(|value| String::from_value(value).unwrap_or_default())
            }
            None => {
                let name = rustix::system::uname().nodename().to_string_lossy().into_owned();
                self.show(&table::HOST, &Setting::built_in(Value::Text(name.clone())));
                Setting::built_in(name)
            }
        }
    }

    fn lock_folder(&mut self) -> Setting<PathBuf> {
        match self.value(&table::LOCK_FOLDER) {
            Some((_, found)) => {
                self.show(&table::LOCK_FOLDER, &found);
                found.map(|value| PathBuf::from_value(value).unwrap_or_default())
            }
            None => {
                // Without a home there is still the temporary folder, which every run of this user shares.
                let folder = self
                    .user_folder("XDG_STATE_HOME", ".local/state")
                    .unwrap_or_else(|| {
                        let user = rustix::process::geteuid().as_raw();
                        std::env::temp_dir().join(format!("backup-cli-{user}"))
                    })
                    .join("locks");
                self.show(&table::LOCK_FOLDER, &Setting::built_in(Value::Path(folder.clone())));
                Setting::built_in(folder)
            }
        }
    }

    /// This tool's folder in one of the user's standard places.
    pub(super) fn user_folder(&self, variable: &str, below_home: &str) -> Option<PathBuf> {
        let environment = self.layers.environment;
        let named = environment
            .get(variable)
            .map(PathBuf::from)
            .filter(|path| path.is_absolute());
        let standard = || {
            let home = environment
                .get("HOME")
                .map(PathBuf::from)
                .or_else(|| etcetera::home_dir().ok());
            home.filter(|home| home.is_absolute()).map(|home| home.join(below_home))
        };
        named.or_else(standard).map(|folder| folder.join("backup-cli"))
    }

    fn check_encryption(&mut self, settings: &mut Settings) {
        if settings.sse_kms_key_id.is_some() {
            match settings.sse.value.as_deref() {
                // A key says it all.
                None => {
                    settings.sse = Setting {
                        value: Some("aws:kms".to_owned()),
                        origin: settings.sse_kms_key_id.origin.clone(),
                    }
                }
                Some("AES256") => self.problems.push(
                    Failure::new(Kind::Config, "A KMS key is named, but the encryption is AES256")
                        .hint("Set `sse` to aws:kms, or leave the key out"),
                ),
                Some(_) => {}
            }
        }
    }

    /// Static credentials: key, secret and token from the first layer that has any of them, never mixed.
    fn credentials(&mut self, needed: bool) -> Setting<Option<Credentials>> {
        const PARTS: [&Spec; 3] = [&table::ACCESS_KEY_ID, &table::SECRET_ACCESS_KEY, &table::SESSION_TOKEN];
        for spec in PARTS {
            self.show_unset(spec);
        }
        // A profile of AWS's that is named nearer to the user than any key is meant instead of that key.
        let profile_layer = match self.layers.find(&table::AWS_PROFILE) {
            Ok(Some((layer, ..))) => layer,
            _ => Layer::Fallback,
        };
        for layer in Layer::ALL.into_iter().filter(|layer| *layer <= profile_layer) {
            let mut found = Vec::new();
            for spec in PARTS {
                match self.layers.in_layer(spec, layer) {
                    Ok(one) => found.push(one),
                    Err(failure) if needed => {
                        self.problems.push(failure);
                        return Setting::built_in(None);
                    }
                    Err(_) => return Setting::built_in(None),
                }
            }
            let [key, secret, token] = found.as_slice() else {
                continue;
            };
            let missing = match (key, secret, token) {
                (None, None, None) => continue,
                (Some(_), Some(_), _) => None,
                (Some((found, _)), None, _) => Some(("secret access key", &found.origin)),
                (None, Some((found, _)), _) | (None, None, Some((found, _))) => Some(("access key id", &found.origin)),
            };
            if !needed {
                // A local folder needs none, and a command that prints a secret may ask somebody for it.
                return Setting::built_in(None);
            }
            if let Some((missing, origin)) = missing {
                self.problems.push(
                    Failure::new(Kind::Config, format!("The credentials have no {missing}")).hint(format!(
                        "A part of them is set by {origin}; set the rest in the same place"
                    )),
                );
                return Setting::built_in(None);
            }
            let id = key
                .clone()
                .and_then(|(found, _)| self.read(&table::ACCESS_KEY_ID, found));
            if let Some(id) = &id {
                self.show(&table::ACCESS_KEY_ID, id);
            }
            let secret = self.secret_from(&table::SECRET_ACCESS_KEY, secret.clone());
            let token = self.secret_from(&table::SESSION_TOKEN, token.clone());
            return match (id, secret.value) {
                (Some(id), Some(secret_access_key)) => id.map(|id| {
                    Some(Credentials {
                        access_key_id: String::from_value(id).unwrap_or_default(),
                        secret_access_key,
                        session_token: token.value,
                    })
                }),
                _ => Setting::built_in(None),
            };
        }
        Setting::built_in(None)
    }
}

fn as_usize(number: u64) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}

/// The URL with the password masked by its place, whatever it is; masked as a whole if it is not a URL.
fn url_without_password(value: &Value) -> String {
    let Value::Text(url) = value else {
        return MASK.to_owned();
    };
    match url::Url::parse(url) {
        Ok(mut parsed) if parsed.password().is_some() => match parsed.set_password(Some(MASK)) {
            Ok(()) => parsed.to_string(),
            Err(()) => MASK.to_owned(),
        },
        Ok(_) => url.to_owned(),
        Err(_) => MASK.to_owned(),
    }
}
