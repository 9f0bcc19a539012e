//! Each command under exactly its role: the policy that the tool prints, enforced by a server that refuses all else.
//!
//! Then the same once more for each single permission that the command's table calls required or advised, without it: the
//! command either fails and names the permission in its hint, or works with the loss that the table tells.

mod bucket;
mod now_and_then;
mod policy;
mod repair;

use std::sync::{Arc, OnceLock};

use backup_cli::bucket::iam::{Grant, Need, When, needs_of};

use super::support::cli::{Cli, Outcome};
use super::support::fault_s3::{Content, FaultS3};
use super::support::project;
use policy::{Enforced, Policy};

/// A backup of January, of which the store holds another one of today.
const OLD: &str = "files_backup_20260131_020000";
const KMS_KEY: &str = "arn:aws:kms:us-east-1:210987654321:key/0a1b2c3d-0000-4000-8000-000000000000";

/// A server, and what each bucket begins with.
struct Scene {
    server: FaultS3,
    content: Content,
}

fn scene() -> &'static Scene {
    static SCENE: OnceLock<Scene> = OnceLock::new();
    SCENE.get_or_init(|| {
        let server = FaultS3::start();
        let bucket = server.bucket();
        let client = server.client();
        let samples = project().join("tests/samples/v1/store/20260131");
        for entry in std::fs::read_dir(samples).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_str().unwrap();
            if name.starts_with("files_") || name.starts_with("words_") {
                client.put(
                    &bucket,
                    &format!("backups/20260131/{name}"),
                    &std::fs::read(&path).unwrap(),
                );
            }
        }
        let root = Cli::new().envs(server.environment(&bucket));
        std::fs::create_dir(root.home().join("files")).unwrap();
        std::fs::write(root.home().join("files/text"), "new").unwrap();
        let _ = root.run(["backup", "files", "--shape-guard", "off"]).success();
        let _ = root.run(["pin", "words@latest"]).success();
        for (bytes, code) in [("9000", 0), ("9000", 0), ("9000", 0), ("9", 3)] {
            let dump = format!("head -c {bytes} /dev/urandom");
            let _ = root
                .run(["backup", "--command", &dump, "--name", "shrunk"])
                .exits_with(code);
        }
        let content = server.content(&bucket);
        Scene { server, content }
    })
}

/// A bucket of its own, and a user whose policy is enforced.
struct Stage {
    bucket: String,
    gate: Arc<Enforced>,
    cli: Cli,
}

impl Stage {
    fn new(policy: &Policy) -> Self {
        Self::of(policy, &scene().content)
    }

    fn of(policy: &Policy, content: &Content) -> Self {
        let server = &scene().server;
        let bucket = server.bucket_with(content);
        let gate = Arc::new(Enforced::new(policy.clone()));
        let user = server.user(gate.clone());
        let cli = Cli::new()
            .envs(user.environment())
            .env("BACKUP_STORE", format!("s3://{bucket}/backups"));
        std::fs::create_dir(cli.home().join("files")).unwrap();
        std::fs::write(cli.home().join("files/text"), "newer").unwrap();
        Self { bucket, gate, cli }
    }
}

/// The policy of roles, as the tool prints it, for any bucket of the server.
fn policy_of(roles: &[&str], further: &[&str]) -> Policy {
    let mut arguments = vec!["iam", "policy"];
    arguments.extend(roles.iter().flat_map(|role| ["--role", role]));
    arguments.extend(further);
    printed(&Cli::new(), &arguments)
}

/// A user of the strict server with the policy of a role, as the tool prints it.
pub(crate) fn user_of_a_role(bucket: &super::support::weed::Bucket, role: &str) -> Cli {
    now_and_then::user(bucket, &policy_of(&[role], &[]))
}

/// A policy as the tool prints it.
fn printed(cli: &Cli, arguments: &[&str]) -> Policy {
    let store = ["--store", "s3://anybucket/backups", "--region", "us-east-1"];
    let printed = cli.run(arguments.iter().chain(&store)).success();
    Policy::parse(&printed.stdout().replace("anybucket", "fault-bucket-*"))
}

/// A command, its role, and what is seen of it.
struct Case {
    command: &'static str,
    roles: &'static [&'static str],
    arguments: &'static [&'static str],
    /// The exit status with exactly the role.
    code: i32,
    /// What lies in the bucket.
    content: fn() -> &'static Content,
    /// What happens in the bucket before, by somebody who may.
    before: fn(&Stage),
    /// What is seen of a run in which an advised permission is missing.
    degraded: fn(&Need, &Stage, Outcome),
}

impl Case {
    const fn new(command: &'static str, roles: &'static [&'static str], arguments: &'static [&'static str]) -> Self {
        Self {
            command,
            roles,
            arguments,
            code: 0,
            content: || &scene().content,
            before: |_| {},
            degraded: |need, _, outcome| panic!("{} is not to be advised\n{outcome}", need.action),
        }
    }

    fn run(&self, policy: &Policy) -> (Stage, Outcome) {
        let stage = Stage::of(policy, (self.content)());
        (self.before)(&stage);
        let outcome = stage.cli.run(self.arguments);
        (stage, outcome)
    }

    /// Runs it with its role, and without each permission of its own.
    fn check(&self) {
        let role = policy_of(self.roles, &[]);
        let (stage, outcome) = self.run(&role);
        let outcome = outcome.exits_with(self.code);
        let needs = needs_of(self.command).expect("the command is in the table").needs;
        for refused in stage.gate.refused() {
            let withheld = needs
                .iter()
                .any(|need| need.action == refused && matches!(need.grant, Grant::Withheld(_)));
            assert!(withheld, "{refused} was asked for and is not in the table\n{outcome}");
        }
        for need in needs
            .iter()
            .filter(|need| need.when == When::Always && role.grants(need.action))
        {
            let (stage, outcome) = self.run(&role.without(need.action));
            let was_asked = stage.gate.refused().iter().any(|refused| refused == need.action);
            match need.grant {
                Grant::Required => {
                    assert!(was_asked, "{} was never asked for\n{outcome}", need.action);
                    fails_and_names(need.action, &outcome);
                }
                Grant::Advised(_) => (self.degraded)(need, &stage, outcome),
                Grant::Withheld(_) => {}
            }
        }
    }
}

#[track_caller]
fn fails_and_names(action: &str, outcome: &Outcome) {
    assert!(
        !matches!(outcome.code(), 0 | 130),
        "{action} is missing, and nothing fails\n{outcome}"
    );
    let hinted = outcome
        .stderr()
        .lines()
        .any(|line| line.contains("Hint: ") && line.contains(&format!("{action} on `arn:aws:s3:::")));
    assert!(hinted, "no hint names {action}\n{outcome}");
}

#[test]
fn a_writer_makes_backups_and_sees_and_harms_none() {
    let case = Case {
        // Neither is missed by a backup that ends well.
        degraded: |_, _, outcome| drop(outcome.success()),
        ..Case::new("backup", &["writer"], &["backup", "files"])
    };
    case.check();
    let policy = policy_of(&["writer"], &[]);
    let (stage, _) = case.run(&policy);
    let keys = scene().server.keys(&stage.bucket);
    assert_eq!(keys.len(), scene().content.len() + 3, "{keys:?}");
    for (arguments, missing) in [
        (&["list"][..], "s3:ListBucket"),
        (&["restore", "latest", "--to", "here"], "s3:ListBucket"),
        (&["prune", "--keep-last", "1", "--confirm"], "s3:ListBucket"),
        (&["cleanup", "--confirm"], "s3:ListBucketMultipartUploads"),
    ] {
        fails_and_names(missing, &stage.cli.run(arguments));
    }
    assert_eq!(scene().server.keys(&stage.bucket), keys);
    // A machine that was taken over cannot replace what stands, whatever it leaves out of its requests.
    let thief = scene().server.user(Arc::new(Enforced::new(policy))).client();
    let victim = format!("backups/20260131/{OLD}.tar.gz");
    assert!(thief.try_put(&stage.bucket, &victim, b"ransom").is_err());
    assert!(thief.try_put(&stage.bucket, "backups/new", b"x").is_err());
}

#[test]
fn a_writer_with_a_key_tags_and_locks_has_what_these_take() {
    let further = ["--kms-key", KMS_KEY];
    let role = policy_of(&["writer"], &further);
    let run = |policy: &Policy| {
        let stage = Stage::new(policy);
        let outcome = stage
            .cli
            .run(["backup", "files", "--sse", "aws:kms", "--sse-kms-key-id", KMS_KEY]);
        (stage, outcome)
    };
    let (stage, outcome) = run(&role);
    let _ = outcome.success();
    for action in ["kms:GenerateDataKey", "kms:Decrypt"] {
        let (_, outcome) = run(&role.without(action));
        let outcome = outcome.exits_with(1);
        let hint = format!("Hint: The credentials need the permission {action} on `{KMS_KEY}`");
        assert!(outcome.stderr().contains(&hint), "{outcome}");
    }
    // Who is to read them needs the key too.
    for (further, code) in [(&further[..], 0), (&[], 1)] {
        let reader = scene()
            .server
            .user(Arc::new(Enforced::new(policy_of(&["restorer"], further))));
        let cli = Cli::new().envs(reader.environment());
        let store = format!("s3://{}/backups", stage.bucket);
        let outcome = cli.run(["--store", &store, "show", "files@latest"]).exits_with(code);
        assert_eq!(outcome.stderr().contains("kms:Decrypt"), code != 0, "{outcome}");
    }
    let tagging = |policy: &Policy| {
        let stage = Stage::new(policy);
        let cli = stage.cli.env("BACKUP_OBJECT_TAGS", "team=ops");
        cli.run(["backup", "files"])
    };
    fails_and_names("s3:PutObjectTagging", &tagging(&policy_of(&["writer"], &[])));
    let cli = Cli::new().env("BACKUP_OBJECT_TAGS", "team=ops");
    let _ = tagging(&printed(&cli, &["iam", "policy", "--role", "writer"])).success();
}

#[test]
fn a_restorer_reads_and_verifies() {
    const RESTORER: &[&str] = &["restorer"];
    for case in [
        Case::new("list", RESTORER, &["list"]),
        Case::new("show", RESTORER, &["show", "files@latest"]),
        Case::new("ls", RESTORER, &["ls", "files@latest"]),
        Case::new("find", RESTORER, &["find", "text"]),
        Case::new("diff", RESTORER, &["diff", "files@oldest", "files@latest"]),
        Case::new("restore", RESTORER, &["restore", "words@latest", "--to", "here"]),
        Case::new("copy", RESTORER, &["copy", "words@latest", "--to", "./elsewhere"]),
        Case {
            degraded: |need, _, outcome| {
                assert_eq!(need.action, "s3:PutObject");
                let outcome = outcome.success();
                assert!(outcome.stderr().contains("s3:PutObject on `arn:aws:s3:::"), "{outcome}");
            },
            ..Case::new("verify", RESTORER, &["verify", "--restore", "files@latest"])
        },
    ] {
        case.check();
    }
    let policy = policy_of(RESTORER, &[]);
    for level in ["quick", "data", "deep"] {
        let stage = Stage::new(&policy);
        let _ = stage.cli.run(["verify", "--all", "--level", level]).success();
    }
    let stage = Stage::new(&policy);
    fails_and_names(
        "s3:PutObject",
        &stage.cli.run(["backup", "files", "--shape-guard", "off"]),
    );
    let outcome = stage.cli.run(["prune", "--keep-last", "1", "--confirm"]);
    fails_and_names("s3:DeleteObject", &outcome);
    assert_eq!(scene().server.content(&stage.bucket).len(), scene().content.len());
}

#[test]
fn a_pruner_removes_and_pins() {
    const PRUNER: &[&str] = &["pruner"];
    for case in [
        Case {
            degraded: |need, _, outcome| {
                // Locks are looked at where something could not be removed.
                match need.action {
                    "s3:GetObject" => {
                        let outcome = outcome.exits_with(3).stdout_has("its manifest cannot be read");
                        fails_and_names(need.action, &outcome);
                    }
                    _ => drop(outcome.success()),
                }
            },
            ..Case::new("prune", PRUNER, &["prune", "--keep-last", "1", "--confirm"])
        },
        Case::new("accept", PRUNER, &["accept", "shrunk@latest"]),
        Case::new("pin", PRUNER, &["pin", "files@latest"]),
        Case::new("unpin", PRUNER, &["unpin", "words@latest"]),
    ] {
        case.check();
    }
    // Both roles together make a backup and prune its series.
    let Stage { bucket, cli, .. } = Stage::new(&policy_of(&["writer", "pruner"], &[]));
    let cli = cli.env("BACKUP_KEEP_LAST", "1");
    let _ = cli.run(["backup", "files", "--prune"]).success();
    let keys = scene().server.keys(&bucket);
    assert!(!keys.iter().any(|key| key.contains(OLD)), "{keys:?}");
}

#[test]
fn who_looks_after_the_bucket_is_told_each_right_that_is_missing() {
    for (command, arguments) in [
        ("doctor", &["doctor", "--json"][..]),
        ("bucket check", &["bucket", "check", "--json"]),
    ] {
        let case = Case {
            code: 0,
            degraded: |need, stage, outcome| {
                let refused = stage.gate.refused();
                if need.action == "s3:GetBucketLocation" {
                    // Where the bucket is then follows from the answers to other questions.
                    assert_eq!(outcome.code(), 0, "{outcome}");
                } else if refused.iter().any(|refused| refused == need.action) {
                    assert!(
                        outcome.stdout().contains(need.action),
                        "{} is not told\n{outcome}",
                        need.action
                    );
                    // What nobody could look at is not right.
                    let compares = outcome.stdout().contains("\"different\"");
                    assert!(!compares || outcome.code() == 3, "{outcome}");
                } else {
                    // Versions are removed where there are any.
                    assert_eq!(need.action, "s3:DeleteObjectVersion", "{outcome}");
                }
            },
            ..Case::new(command, &["admin"], arguments)
        };
        case.check();
    }
}

#[test]
fn a_hundred_doctors_leave_what_one_leaves() {
    let only = |actions: &[&str]| {
        let document = serde_json::json!({
            "Version": "2012-10-17",
            "Statement": [{ "Effect": "Allow", "Action": actions, "Resource": ["arn:aws:s3:::fault-bucket-*/backups/*"] }],
        });
        Policy::parse(&document.to_string())
    };
    let admin = policy_of(&["admin"], &[]);
    for (whose, policy, stays) in [
        ("a key that can only write", only(&["s3:PutObject"]), 1),
        (
            "a key that writes and aborts",
            only(&["s3:PutObject", "s3:AbortMultipartUpload"]),
            1,
        ),
        (
            "a key that writes and removes",
            only(&["s3:PutObject", "s3:DeleteObject"]),
            0,
        ),
        ("the writer", policy_of(&["writer"], &[]), 1),
        ("an admin who removes nothing", admin.without("s3:DeleteObject"), 1),
        (
            "an admin who aborts nothing",
            admin.without("s3:AbortMultipartUpload"),
            0,
        ),
        ("an admin who reads nothing", admin.without("s3:GetObject"), 0),
    ] {
        let stage = Stage::of(&policy, &Content::default());
        let server = &scene().server;
        let mut said = None;
        for run in 1..=3 {
            let outcome = stage.cli.run(["doctor", "--json"]).success();
            let left = server.keys(&stage.bucket);
            assert_eq!(left.len(), stays, "{whose}, run {run}: {left:?}\n{outcome}");
            assert_eq!(server.open_uploads(&stage.bucket), [], "{whose}, run {run}\n{outcome}");
            let checks = outcome.json()["checks"].clone();
            let of_rights: Vec<_> = ["store.write", "store.delete", "store.multipart", "store.abort"]
                .iter()
                .map(|id| {
                    checks
                        .as_array()
                        .unwrap()
                        .iter()
                        .find(|check| check["id"] == *id)
                        .cloned()
                })
                .collect();
            // No run says anything else than the first.
            let first = said.get_or_insert_with(|| of_rights.clone());
            assert_eq!(*first, of_rights, "{whose}, run {run}");
        }
    }
}

#[test]
fn every_command_that_talks_to_a_store_stands_in_the_table() {
    use clap::CommandFactory;
    const ELSEWHERE: &[&str] = &[
        "key",
        "config",
        "completions",
        "version",
        "generate",
        "iam policy",
        "iam trust",
    ];
    let mut leaves = std::collections::BTreeSet::new();
    for command in backup_cli::cli::Cli::command().get_subcommands() {
        let name = command.get_name().to_owned();
        match command.has_subcommands() {
            false => drop(leaves.insert(name)),
            true => leaves.extend(
                command
                    .get_subcommands()
                    .map(|sub| format!("{name} {}", sub.get_name())),
            ),
        }
    }
    let is_elsewhere = |name: &str| {
        ELSEWHERE.contains(&name) || name.split(' ').next().is_some_and(|first| ELSEWHERE.contains(&first))
    };
    let missing: Vec<_> = leaves
        .iter()
        .filter(|name| !is_elsewhere(name) && needs_of(name).is_none())
        .collect();
    assert!(
        missing.is_empty(),
        "what these commands need is not in the table: {missing:?}"
    );
}

#[test]
fn the_readme_has_the_table() {
    let readme = std::fs::read_to_string(project().join("README.md")).unwrap();
    let table = backup_cli::cli::permissions::markdown();
    assert!(readme.contains(&table), "README.md is to hold this table:\n{table}");
}
