//! Golden tables of the way from layers to settings.
#![allow(clippy::unwrap_used)]

use std::path::{Path, PathBuf};

use super::*;
use crate::base::failure::Kind;
use crate::base::secret::SecretSource;

const HOME: (&str, &str) = ("HOME", "/home/ann");

fn try_resolve(
    flags: Flags,
    variables: &[(&str, &str)],
    file: &str,
    profile: Option<&str>,
) -> Result<Settings, Vec<Failure>> {
    let environment = Environment::from_pairs([HOME].into_iter().chain(variables.iter().copied()));
    let file = ConfigFile::parse(file, Path::new("/c.toml")).unwrap();
    let layers = Layers {
        flags: &flags,
        environment: &environment,
        file: &file,
        profile,
    };
    Settings::resolve(&layers, Secrets::Read)
}

fn resolve(flags: Flags, variables: &[(&str, &str)], file: &str, profile: Option<&str>) -> Settings {
    try_resolve(flags, variables, file, profile).unwrap()
}

fn with_variables(variables: &[(&str, &str)]) -> Settings {
    resolve(Flags::default(), variables, "", None)
}

#[test]
fn each_layer_wins_over_those_below_it() {
    let file = "[defaults]\nlevel = 2\nregion = \"defaults\"\n[profile.web]\nlevel = 3\nregion = \"profile\"\n";
    let flag = || Flags::default().text(&table::LEVEL, "--level", Some("5"));
    let variables = [("BACKUP_LEVEL", "4"), ("AWS_REGION", "fallback")];
    for (flags, variables, profile, level, origin) in [
        (flag(), &variables[..], Some("web"), 5, "flag --level"),
        (
            Flags::default(),
            &variables[..],
            Some("web"),
            4,
            "environment BACKUP_LEVEL",
        ),
        (
            Flags::default(),
            &variables[1..],
            Some("web"),
            3,
            "profile web (/c.toml:5)",
        ),
        (Flags::default(), &variables[1..], None, 2, "defaults (/c.toml:2)"),
    ] {
        let settings = resolve(flags, variables, file, profile);
        assert_eq!(*settings.level, level);
        assert_eq!(settings.level.origin.to_string(), origin);
        // Variables of other tools do not move a backup away from where the file says that it goes.
        assert_ne!(settings.region.as_deref(), Some("fallback"));
    }
    let nothing = with_variables(&[("AWS_REGION", "fallback")]);
    assert_eq!(
        (*nothing.level, nothing.level.origin.to_string().as_str()),
        (6, "built-in")
    );
    assert_eq!(nothing.region.as_deref(), Some("fallback"));
    assert_eq!(nothing.region.origin.to_string(), "environment AWS_REGION");
}

#[test]
fn the_store_comes_from_the_first_layer_that_names_one() {
    let s3_file = "[defaults]\nstore = \"s3://file/p\"\n";
    let local = "file:///home/ann/.local/share/backup-cli/backups";
    for (variables, file, expected) in [
        (&[][..], "", local),
        (&[("XDG_DATA_HOME", "/data")], "", "file:///data/backup-cli/backups"),
        (&[("BACKUP_S3_BUCKET", "bkt")], "", "s3://bkt/backups"),
        (&[("BACKUP_S3_BUCKET", "")], "", local),
        (
            &[("BACKUP_S3_BUCKET", "bkt"), ("BACKUP_S3_PREFIX", "/a/b/")],
            "",
            "s3://bkt/a/b",
        ),
        (
            &[("BACKUP_S3_BUCKET", "bkt"), ("BACKUP_STORE", "s3://cold")],
            "",
            "s3://cold",
        ),
        (&[("BACKUP_S3_BUCKET", "bkt")], s3_file, "s3://bkt/backups"),
        (&[("AWS_S3_BUCKET", "bkt")], "", "s3://bkt/backups"),
        (&[("AWS_S3_BUCKET", "bkt")], s3_file, "s3://file/p"),
        (
            &[("BACKUP_USE_AWS", "false"), ("BACKUP_S3_BUCKET", "bkt")],
            s3_file,
            local,
        ),
        (
            &[("BACKUP_USE_AWS", "false"), ("BACKUP_STORE", "s3://cold")],
            "",
            "s3://cold",
        ),
        (
            &[("BACKUP_USE_AWS", "false")],
            "[defaults]\nstore = \"/var/b\"\n",
            "file:///var/b",
        ),
        (
            &[("BACKUP_USE_AWS", "true"), ("BACKUP_S3_BUCKET", "bkt")],
            "",
            "s3://bkt/backups",
        ),
    ] {
        let settings = resolve(Flags::default(), variables, file, None);
        assert_eq!(settings.store.to_string(), expected, "{variables:?} {file}");
    }
    assert!(with_variables(&[]).store.is_built_in());
    assert!(!with_variables(&[("BACKUP_USE_AWS", "false")]).store.is_built_in());
    let problems = try_resolve(Flags::default(), &[("BACKUP_USE_AWS", "true")], "", None).unwrap_err();
    assert_eq!(problems[0].message(), "BACKUP_USE_AWS is true, but no bucket is named");
}

#[test]
fn sources_and_commands_displace_each_other_by_layer() {
    let file = "[profile.web]\nsources = [\"/srv\"]\n[profile.mongo]\ncommand = [\"mongodump\", \"--archive\"]\n";
    let database = [("DATABASE_URL", "postgres://u:geheim@h/d")];
    let source = || Flags::default().list(&table::SOURCES, "SOURCE", &["x"]);
    let command = || Flags::default().text(&table::COMMAND, "--command", Some("echo 'a b'"));
    for (flags, profile, sources, words) in [
        (Flags::default(), None, &["postgres://u:geheim@h/d"][..], None),
        (Flags::default(), Some("web"), &["/srv"], None),
        (
            Flags::default(),
            Some("mongo"),
            &[],
            Some(vec!["mongodump", "--archive"]),
        ),
        (source(), Some("mongo"), &["x"], None),
        (command(), Some("web"), &[], Some(vec!["echo", "a b"])),
    ] {
        let settings = resolve(flags, &database, file, profile);
        assert_eq!(*settings.sources, sources);
        let found: Option<Vec<&str>> = settings
            .command
            .as_ref()
            .map(|words| words.iter().map(String::as_str).collect());
        assert_eq!(found, words);
    }
    let both = try_resolve(source().and(command()), &[], "", None).unwrap_err();
    assert_eq!(both[0].kind(), Kind::Usage);
    assert_eq!(
        both[0].message(),
        "Both sources (flag SOURCE) and a command (flag --command) are set"
    );
}

#[test]
fn a_shell_command_stays_one_text() {
    let flags = Flags::default()
        .text(&table::COMMAND, "--command", Some("a 'b | c"))
        .switch(&table::SHELL, "--shell", Some(true));
    let settings = resolve(flags, &[], "", None);
    assert_eq!(settings.command.value, Some(vec!["a 'b | c".to_owned()]));
}

#[test]
fn credentials_are_never_mixed_between_layers() {
    let s3 = ("BACKUP_STORE", "s3://bkt");
    let application = [
        s3,
        ("AWS_ACCESS_KEY_ID", "app"),
        ("AWS_SECRET_ACCESS_KEY", "app-secret"),
        ("AWS_SESSION_TOKEN", "app-token"),
    ];
    let settings = with_variables(&application);
    let credentials = settings.credentials.value.unwrap();
    assert_eq!(credentials.access_key_id, "app");
    assert_eq!(credentials.session_token.unwrap().expose(), "app-token");

    let mut own = application.to_vec();
    own.extend([
        ("BACKUP_AWS_ACCESS_KEY_ID", "own"),
        ("BACKUP_AWS_SECRET_ACCESS_KEY", "own-secret"),
    ]);
    let credentials = with_variables(&own).credentials.value.unwrap();
    assert_eq!(credentials.access_key_id, "own");
    assert_eq!(credentials.secret_access_key.expose(), "own-secret");
    assert!(credentials.session_token.is_none());

    let mut half = application.to_vec();
    half.push(("BACKUP_AWS_ACCESS_KEY_ID", "own"));
    let problems = try_resolve(Flags::default(), &half, "", None).unwrap_err();
    assert_eq!(problems[0].message(), "The credentials have no secret access key");
    assert_eq!(
        problems[0].hints(),
        ["A part of them is set by environment BACKUP_AWS_ACCESS_KEY_ID; set the rest in the same place"]
    );
    let mut profile = application.to_vec();
    profile.push(("BACKUP_AWS_PROFILE", "backup"));
    let settings = with_variables(&profile);
    assert!(settings.credentials.is_none());
    assert_eq!(settings.aws_profile.as_deref(), Some("backup"));

    // A local folder needs none.
    assert!(with_variables(&half[1..]).credentials.is_none());
    assert!(with_variables(&[s3]).credentials.is_none());
}

#[test]
fn a_secret_may_come_from_a_file_or_a_command_but_only_in_one_way() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("secret");
    std::fs::write(&file, "from-file\n").unwrap();
    let file = file.to_str().unwrap();
    let base = [("BACKUP_STORE", "s3://bkt"), ("BACKUP_AWS_ACCESS_KEY_ID", "id")];
    let secret = |extra: &[(&str, &str)]| {
        let mut variables = base.to_vec();
        variables.extend_from_slice(extra);
        try_resolve(Flags::default(), &variables, "", None).map(|settings| {
            settings
                .credentials
                .value
                .unwrap()
                .secret_access_key
                .expose()
                .to_owned()
        })
    };
    assert_eq!(
        secret(&[("BACKUP_AWS_SECRET_ACCESS_KEY_FILE", file)]).unwrap(),
        "from-file"
    );
    assert_eq!(
        secret(&[("BACKUP_AWS_SECRET_ACCESS_KEY_COMMAND", "echo 'from command'")]).unwrap(),
        "from command"
    );
    let both = secret(&[
        ("BACKUP_AWS_SECRET_ACCESS_KEY_FILE", file),
        ("BACKUP_AWS_SECRET_ACCESS_KEY", "plain"),
    ])
    .unwrap_err();
    assert_eq!(
        both[0].message(),
        "Both `BACKUP_AWS_SECRET_ACCESS_KEY` and `BACKUP_AWS_SECRET_ACCESS_KEY_FILE` are set"
    );
    assert_eq!(both[0].kind(), Kind::Config);
    let missing = secret(&[("BACKUP_AWS_SECRET_ACCESS_KEY_FILE", "/nonexistent/secret")]).unwrap_err();
    assert_eq!(missing[0].kind(), Kind::Config);
    assert_eq!(
        missing[0].message(),
        "Could not take `aws-secret-access-key` from environment BACKUP_AWS_SECRET_ACCESS_KEY_FILE"
    );
}

#[test]
fn nothing_secret_is_shown() {
    let settings = with_variables(&[
        ("BACKUP_STORE", "s3://bkt"),
        ("BACKUP_AWS_ACCESS_KEY_ID", "AKID"),
        ("BACKUP_AWS_SECRET_ACCESS_KEY", "canary-secret-1"),
        ("BACKUP_AWS_SESSION_TOKEN", "canary-token-2"),
        ("DATABASE_URL", "postgres://ann:canary-3@db/app"),
        ("BACKUP_SOURCES", "postgres://ann:canary-4@db/app"),
    ]);
    let shown = format!("{:?} {settings:?}", settings.shown());
    assert!(!shown.contains("canary"), "{shown}");
    assert!(shown.contains("AKID") && shown.contains("@db/app"));
}

#[test]
fn every_setting_of_a_file_is_resolved_and_shown() {
    let settings = with_variables(&[]);
    let shown: Vec<&str> = settings.shown().iter().map(|shown| shown.key).collect();
    for spec in table::ALL.iter().filter(|spec| spec.chapter != table::Chapter::Console) {
        assert!(shown.contains(&spec.key), "{}", spec.key);
    }
}

#[test]
fn every_setting_arrives_in_its_field() {
    let file = r#"
[defaults]
shell = false
extension = "archive"
excludes = ["*.tmp"]
exclude-files = ["excludes"]
exclude-caches = true
one-file-system = true
pg-dump-args = ["--no-owner"]
store = "s3://bkt/p"
name = "n"
key-template = "{date}/x"
region = "r"
endpoint-url = "minio.example.org:9000"
path-style = true
provider = "minio"
aws-profile = "ap"
storage-class = "STANDARD_IA"
sse-kms-key-id = "k"
object-tags = ["a=b=c"]
checksum = "when_required"
tags = ["t"]
level = 1
threads = 3
part-size = "16MiB"
parts-in-flight = 7
memory = "64MiB"
expected-size = "1GiB"
retry-delay = "1s"
retry-delay-max = "2s"
retry-budget = 3
lock-timeout = "4s"
lock-folder = "locks"
pg-client-folder = "clients"
host = "h"
safety-backup = false
"#;
    let settings = resolve(Flags::default(), &[], file, None);
    let text = |text: &str| Some(text.to_owned());
    assert_eq!(settings.extension.value, text("archive"));
    assert_eq!(*settings.excludes, ["*.tmp"]);
    assert_eq!(*settings.exclude_files, [PathBuf::from("/excludes")]);
    assert!(*settings.exclude_caches && *settings.one_file_system && !*settings.safety_backup);
    assert_eq!(*settings.pg_dump_arguments, ["--no-owner"]);
    assert_eq!(settings.pg_client_folder.value, Some(PathBuf::from("/clients")));
    assert_eq!(settings.store.to_string(), "s3://bkt/p");
    assert_eq!(settings.name.value, text("n"));
    assert_eq!(*settings.key_template, "{date}/x");
    assert_eq!(settings.region.value, text("r"));
    assert_eq!(settings.endpoint_url.value, text("https://minio.example.org:9000"));
    assert_eq!(settings.path_style.value, Some(true));
    assert_eq!(settings.provider.value, text("minio"));
    assert_eq!(settings.aws_profile.value, text("ap"));
    assert_eq!(settings.storage_class.value, text("STANDARD_IA"));
    assert_eq!(settings.sse.value, text("aws:kms"));
    assert_eq!(settings.sse_kms_key_id.value, text("k"));
    assert_eq!(*settings.object_tags, [("a".to_owned(), "b=c".to_owned())]);
    assert_eq!(*settings.checksum, ChecksumMode::WhenRequired);
    assert_eq!(*settings.tags, ["t"]);
    assert_eq!((*settings.level, *settings.threads), (1, 3));
    assert_eq!(settings.part_bytes.value, Some(16 << 20));
    assert_eq!(settings.parts_in_flight.value, Some(7));
    assert_eq!(*settings.memory_bytes, 64 << 20);
    assert_eq!(settings.expected_bytes.value, Some(1 << 30));
    let waits = [
        &settings.retry_delay,
        &settings.retry_delay_max,
        &settings.retry_budget,
        &settings.lock_timeout,
    ];
    assert_eq!(waits.map(|wait| wait.as_secs()), [1, 2, 3, 4]);
    assert_eq!(*settings.lock_folder, PathBuf::from("/locks"));
    assert_eq!(*settings.host, "h");
}

#[test]
fn every_variable_of_this_tool_arrives() {
    for spec in table::ALL.iter().filter(|spec| spec.chapter != table::Chapter::Console) {
        // The examples are TOML; the few that are arrays are written as the environment has them.
        let value = spec
            .example
            .trim_matches(['[', ']'])
            .replace(['"', ' '], "")
            .replace(',', "\n");
        for name in spec.environment {
            let mut variables = vec![(*name, value.as_str())];
            let credentials = spec.chapter == table::Chapter::Credentials;
            if credentials {
                variables.extend([
                    ("BACKUP_STORE", "s3://bkt"),
                    ("BACKUP_AWS_ACCESS_KEY_ID", "id"),
                    ("BACKUP_AWS_SECRET_ACCESS_KEY", "secret"),
                ]);
                variables.dedup_by_key(|(name, _)| *name);
            }
            let settings = with_variables(&variables);
            let shown = settings.shown().iter().find(|shown| shown.key == spec.key).unwrap();
            assert!(shown.text.is_some(), "{name}");
            assert!(shown.origin.starts_with("environment "), "{name}: {}", shown.origin);
        }
    }
}

#[test]
fn a_profile_without_a_name_is_a_series_of_its_own() {
    let file = "[defaults]\nname = \"all\"\n[profile.web]\n[profile.mail]\nname = \"post\"\n";
    for (profile, variables, name) in [
        (None, &[][..], Some("all")),
        (Some("web"), &[], Some("web")),
        (Some("mail"), &[], Some("post")),
        (Some("web"), &[("BACKUP_NAME", "x")], Some("x")),
    ] {
        let settings = resolve(Flags::default(), variables, file, profile);
        assert_eq!(settings.name.as_deref(), name, "{profile:?}");
    }
    assert_eq!(with_variables(&[]).name.value, None);
}

#[test]
fn every_problem_is_reported_and_flags_are_usage() {
    let flags = Flags::default().text(&table::LEVEL, "--level", Some("13"));
    let variables = [("BACKUP_PART_SIZE", "big"), ("BACKUP_ENDPOINT_URL", "ftp://x")];
    let problems = try_resolve(flags, &variables, "", None).unwrap_err();
    let found: Vec<(Kind, String)> = problems
        .iter()
        .map(|failure| {
            let why = failure.causes().join("; ");
            (failure.kind(), format!("{}: {why}", failure.message()))
        })
        .collect();
    let found: Vec<(Kind, &str)> = found.iter().map(|(kind, text)| (*kind, text.as_str())).collect();
    assert_eq!(
        found,
        [
            (
                Kind::Config,
                "Wrong value of `BACKUP_ENDPOINT_URL`: Expected a URL such as https://s3.example.org, found `ftp://x`"
            ),
            (
                Kind::Usage,
                "Wrong value of `--level`: Expected a whole number from 1 to 12, found `13`"
            ),
            (
                Kind::Config,
                "Wrong value of `BACKUP_PART_SIZE`: Expected a size such as 64MiB, found `big`"
            ),
        ]
    );
    let first = first_problem(problems);
    assert_eq!(
        first.hints().last().map(String::as_str),
        Some("There are 2 more problems; `backup-cli config check` lists them all")
    );
}

#[test]
fn the_level_belongs_to_the_codec() {
    for (variables, level) in [
        (&[][..], Ok(6)),
        (&[("BACKUP_COMPRESSION", "zstd")], Ok(3)),
        (&[("BACKUP_COMPRESSION", "none")], Ok(0)),
        (&[("BACKUP_LEVEL", "12")], Ok(12)),
        (
            &[("BACKUP_LEVEL", "13")],
            Err("Expected a whole number from 1 to 12, found `13`"),
        ),
        (&[("BACKUP_COMPRESSION", "zstd"), ("BACKUP_LEVEL", "19")], Ok(19)),
        (&[("BACKUP_COMPRESSION", "none"), ("BACKUP_LEVEL", "9")], Ok(0)),
        (
            &[("BACKUP_COMPRESSION", "lz4")],
            Err("Expected one of gzip, zstd, none, found `lz4`"),
        ),
    ] {
        let found = try_resolve(Flags::default(), variables, "", None)
            .map(|settings| settings.level.value)
            .map_err(|problems| problems[0].causes().join("; "));
        assert_eq!(found, level.map_err(str::to_owned), "{variables:?}");
    }
}

#[test]
fn keys_are_read_only_once_they_are_needed() {
    let folder = tempfile::tempdir().unwrap();
    let missing = folder.path().join("missing");
    let missing = missing.to_str().unwrap();
    let settings = with_variables(&[
        ("BACKUP_IDENTITY_FILE", missing),
        ("BACKUP_PASSPHRASE_COMMAND", "false"),
    ]);
    for source in [settings.identity.value.unwrap(), settings.passphrase.value.unwrap()] {
        assert!(source.read().is_err());
    }
    let settings = with_variables(&[("BACKUP_IDENTITY", missing)]);
    assert!(matches!(settings.identity.value, Some(SecretSource::File(path)) if path.to_str() == Some(missing)));
    let settings = with_variables(&[("BACKUP_IDENTITY", "AGE-SECRET-KEY-1CANARY")]);
    assert!(matches!(&settings.identity.value, Some(SecretSource::Text(_))));
    assert!(!format!("{settings:?}").contains("CANARY"));
    let problems = try_resolve(
        Flags::default(),
        &[("BACKUP_PASSPHRASE", "x"), ("BACKUP_PASSPHRASE_FILE", "/x")],
        "",
        None,
    );
    assert_eq!(problems.unwrap_err()[0].kind(), Kind::Config);
}

#[test]
fn an_unknown_profile_is_not_found() {
    let problems = try_resolve(Flags::default(), &[], "[profile.web]\n", Some("wbe")).unwrap_err();
    assert_eq!(problems[0].kind(), Kind::NotFound);
}

#[test]
fn an_empty_variable_does_not_turn_encryption_off() {
    for variable in [
        "BACKUP_PASSPHRASE",
        "BACKUP_PASSPHRASE_FILE",
        "BACKUP_PASSPHRASE_COMMAND",
        "BACKUP_RECIPIENT",
        "BACKUP_RECIPIENTS",
        "BACKUP_RECIPIENTS_FILE",
        "BACKUP_RECIPIENTS_FILES",
    ] {
        for file in ["", "[defaults]\nrecipients = [\"age1x\"]\n"] {
            let problems = try_resolve(Flags::default(), &[(variable, "")], file, None).unwrap_err();
            assert_eq!(problems[0].kind(), Kind::Config);
            assert!(
                problems[0]
                    .message()
                    .starts_with(&format!("`{variable}` is set and empty")),
                "{:?}",
                problems[0]
            );
        }
    }
    // What only opens backups is not there if it is empty.
    assert!(
        with_variables(&[("BACKUP_IDENTITY", ""), ("BACKUP_NAME", "")])
            .identity
            .value
            .is_none()
    );
}
