//! What sets the bucket up, under exactly its role, on a server that knows nothing but settings.

use backup_cli::bucket::iam::{Grant, Need, When, needs_of};

use super::policy::{Enforced, Policy};
use super::{Stage, policy_of, scene};
use crate::bucket_create::settings_server::SettingsServer;
use crate::support::cli::{Cli, Outcome};

/// A command line, and what was there before.
struct Scene<'a> {
    exists: bool,
    before: &'a [&'a [&'a str]],
    arguments: &'a [&'a str],
}

impl Scene<'_> {
    /// Runs it on a server of its own, on which one permission is missing; what comes before may do everything.
    fn run(&self, missing: Option<&str>) -> (SettingsServer, Outcome) {
        let server = SettingsServer::start();
        server.state().exists = self.exists;
        let cli = Cli::new()
            .env("BACKUP_STORE", "s3://set/backups")
            .env("BACKUP_ENDPOINT_URL", server.endpoint())
            // Where the bucket is counts only there.
            .env("BACKUP_PROVIDER", "aws")
            .env("BACKUP_PATH_STYLE", "true")
            .env("AWS_REGION", "us-east-1")
            .env("BACKUP_AWS_ACCESS_KEY_ID", "AKTESTSETTINGS000001")
            .env(
                "BACKUP_AWS_SECRET_ACCESS_KEY",
                "canary/settings+role000000000000000000000",
            );
        for earlier in self.before {
            let _ = cli.run(*earlier).success();
        }
        server.state().taken.clear();
        server.state().missing = missing.map(str::to_owned);
        let outcome = cli.run(self.arguments);
        (server, outcome)
    }
}

/// Runs a command with its role, and without each permission of its own where that is asked for.
fn check(command: &str, scenes: &[Scene<'_>], degraded: fn(&Need, Outcome)) {
    let role = policy_of(&["admin"], &[]);
    let needs = needs_of(command).expect("the command is in the table").needs;
    let mut taken = Vec::new();
    for scene in scenes {
        let (server, outcome) = scene.run(None);
        let _ = outcome.success();
        let actions = server.state().taken.clone();
        for action in &actions {
            assert!(
                role.grants(action),
                "{command} takes {action}, and its role does not grant it"
            );
            assert!(
                needs.iter().any(|need| need.action == *action),
                "{command} takes {action}, which is not in the table"
            );
        }
        taken.push(actions);
    }
    for need in needs.iter().filter(|need| need.when == When::Always) {
        let place = taken.iter().position(|actions| actions.contains(need.action));
        let place = place.unwrap_or_else(|| panic!("{command} never takes {}", need.action));
        let (_, outcome) = scenes[place].run(Some(need.action));
        match need.grant {
            Grant::Required => refused(need, &outcome),
            Grant::Advised(_) => degraded(need, outcome),
            Grant::Withheld(_) => {}
        }
    }
}

#[track_caller]
fn refused(need: &Need, outcome: &Outcome) {
    assert!(
        !matches!(outcome.code(), 0 | 130),
        "{} is missing, and nothing fails\n{outcome}",
        need.action
    );
    let hinted = outcome
        .stderr()
        .lines()
        .any(|line| line.starts_with("Hint: ") && line.contains(need.action));
    assert!(hinted, "no hint names {}\n{outcome}", need.action);
}

#[track_caller]
fn told(need: &Need, outcome: &Outcome) {
    let is_told = outcome.stdout().contains(need.action) || outcome.stderr().contains(need.action);
    assert!(is_told, "{} is not told\n{outcome}", need.action);
}

#[test]
fn who_makes_a_bucket_is_told_each_right_that_is_missing() {
    let standing = [
        "bucket",
        "create",
        "--create-only",
        "--tls-only",
        "--cors-origin",
        "https://backups.example.org",
        "--noncurrent-days",
        "30",
        "--confirm",
    ];
    let lockable = [&standing[..], &["--object-lock", "governance:3"]].concat();
    let scene = |exists, arguments| Scene {
        exists,
        before: &[],
        arguments,
    };
    let scenes = [scene(false, &lockable[..]), scene(true, &standing[..])];
    check("bucket create", &scenes, |need, outcome| {
        // Where the bucket is then follows from the answers to other questions.
        if need.action != "s3:GetBucketLocation" {
            told(need, &outcome);
            assert!(!outcome.stdout().contains("right in every point"), "{outcome}");
        }
    });
}

#[test]
fn who_sets_rules_is_told_each_right_that_is_missing() {
    let create: &[&str] = &["bucket", "create", "--noncurrent-days", "30", "--confirm"];
    let apply: &[&str] = &["lifecycle", "apply", "--delete-days", "400", "--confirm"];
    for (command, before, arguments) in [
        ("lifecycle apply", &[create][..], apply),
        ("lifecycle show", &[create, apply], &["lifecycle", "show"]),
        (
            "lifecycle remove",
            &[create, apply],
            &["lifecycle", "remove", "--confirm"],
        ),
    ] {
        let scene = Scene {
            exists: false,
            before,
            arguments,
        };
        check(command, &[scene], |_, outcome| drop(outcome.success()));
    }
}

#[test]
fn a_bucket_that_is_create_only_takes_backups_and_lets_nobody_replace_one() {
    let create = Scene {
        exists: false,
        before: &[],
        arguments: &["bucket", "create", "--create-only", "--confirm"],
    };
    let (settings, outcome) = create.run(None);
    let _ = outcome.success();
    let written = settings.state().settings["policy"].replace(":::set/", ":::fault-bucket-*/");
    let mut document: serde_json::Value = serde_json::from_str(&written).unwrap();
    // Whoever uses the bucket may do everything, as far as the bucket lets them.
    let everything = serde_json::json!({ "Effect": "Allow", "Action": "*", "Resource": "*" });
    document["Statement"].as_array_mut().unwrap().push(everything);
    let policy = Policy::parse(&document.to_string());
    let stage = Stage::new(&policy);
    let tree = stage.cli.home().join("files");
    std::fs::write(tree.join("noise"), crate::support::trees::Noise::new(3).bytes(11 << 20)).unwrap();
    let _ = stage.cli.run(["backup", "files", "--part-size", "5MiB"]).success();
    let _ = stage.cli.run(["pin", "files@latest"]).success();
    for (arguments, code) in [
        (&["verify", "--all"][..], 0),
        (&["doctor"], 0),
        (&["prune", "--name", "files", "--keep-last", "1", "--confirm"], 0),
    ] {
        let _ = stage.cli.run(arguments).exits_with(code);
    }
    let keys = scene().server.keys(&stage.bucket);
    let thief = scene().server.user(std::sync::Arc::new(Enforced::new(policy))).client();
    for key in keys.iter().map(String::as_str).chain(["backups/new"]) {
        assert!(thief.try_put(&stage.bucket, key, b"ransom").is_err(), "{key}");
    }
    // What is not below the prefix is nobody's business here.
    thief.try_put(&stage.bucket, "elsewhere", b"x").unwrap();
}
