//! What takes permissions only now and then: versions to purge, locks, archives. The server has them, and enforces the policies
//! of its users by itself.

use std::sync::atomic::{AtomicU32, Ordering};

use backup_cli::bucket::iam::{Grant, When, needs_of};

use super::policy::Policy;
use super::policy_of;
use crate::iam::{identity, stack};
use crate::prune_cli::{days, fill};
use crate::support::cli::{Cli, Outcome};
use crate::support::s3_client::S3Access;
use crate::support::weed::Bucket;

/// A bucket with locks, and so with versions.
fn bucket() -> Bucket {
    static NEXT: AtomicU32 = AtomicU32::new(1);
    let access = stack().bucket().access;
    let name = format!("now-and-then-{}", NEXT.fetch_add(1, Ordering::Relaxed));
    access.client().create_lockable_bucket(&name);
    Bucket { name, access }
}

/// A new user of the account with one policy.
pub(super) fn user(bucket: &Bucket, policy: &Policy) -> Cli {
    static NEXT: AtomicU32 = AtomicU32::new(1);
    let name = format!("user-{}", NEXT.fetch_add(1, Ordering::Relaxed));
    let name = ("UserName", name.as_str());
    let document = policy.json().replace("fault-bucket-*", &bucket.name);
    identity(bucket, "CreateUser", &[name]);
    identity(
        bucket,
        "PutUserPolicy",
        &[name, ("PolicyName", "role"), ("PolicyDocument", &document)],
    );
    let answer = identity(bucket, "CreateAccessKey", &[name]);
    let field = |tag: &str| {
        let after = answer.split_once(&format!("<{tag}>")).expect("a field").1;
        after.split_once('<').expect("its end").0.to_owned()
    };
    let access = S3Access {
        access_key: field("AccessKeyId"),
        secret_key: field("SecretAccessKey"),
        ..bucket.access.clone()
    };
    let cli = Cli::new()
        .envs(access.environment())
        .env("BACKUP_STORE", bucket.store("backups"))
        .env("BACKUP_PATH_STYLE", "true");
    std::fs::create_dir(cli.home().join("files")).unwrap();
    std::fs::write(cli.home().join("files/text"), "newer").unwrap();
    cli
}

/// A command that takes something now and then.
struct Case {
    command: &'static str,
    when: When,
    role: &'static [&'static str],
    /// What the policy is told of it.
    further: &'static [&'static str],
    arguments: &'static [&'static str],
    /// What lies in the bucket before.
    before: fn(&Bucket),
    /// What is seen of it with exactly its role.
    done: fn(&Bucket, Outcome),
    /// What is seen of a run in which an advised permission is missing.
    degraded: fn(&str, Outcome),
}

impl Case {
    fn run(&self, policy: &Policy) -> (Bucket, Outcome) {
        let bucket = bucket();
        (self.before)(&bucket);
        let outcome = user(&bucket, policy).run(self.arguments);
        (bucket, outcome)
    }

    fn check(&self) {
        let role = policy_of(self.role, self.further);
        let (bucket, outcome) = self.run(&role);
        (self.done)(&bucket, outcome);
        let needs = needs_of(self.command).expect("the command is in the table").needs;
        let mut checked = 0;
        for need in needs.iter().filter(|need| need.when == self.when) {
            match need.grant {
                Grant::Required => {
                    let (_, outcome) = self.run(&role.without(need.action));
                    assert_ne!(outcome.code(), 0, "{outcome}");
                    let names = |line: &str| line.starts_with("Hint: ") && line.contains(need.action);
                    assert!(
                        outcome.stderr().lines().any(names),
                        "no hint names {}\n{outcome}",
                        need.action
                    );
                }
                Grant::Advised(_) => (self.degraded)(need.action, self.run(&role.without(need.action)).1),
                Grant::Withheld(_) => assert!(!role.grants(need.action), "{}", need.action),
            }
            checked += 1;
        }
        assert_ne!(checked, 0);
    }
}

#[test]
fn who_purges_versions_is_told_each_right_that_is_missing() {
    Case {
        command: "prune",
        when: When::Purging,
        role: &["pruner"],
        further: &["--purge-versions"],
        arguments: &["prune", "--keep-last", "1", "--purge-versions", "--confirm"],
        before: |bucket| {
            fill(bucket, &days("app", 3));
            // The older of two versions is locked.
            let twice = "backups/20200101/app_backup_20200101_020000.bin.gz";
            bucket.client().lock(&bucket.name, twice);
            bucket.put(twice, &bucket.get(twice));
        },
        done: |bucket, outcome| {
            let _ = outcome.success().stderr_has("is retained until ");
            assert_eq!(bucket.client().versions(&bucket.name).len(), 4);
        },
        degraded: |action, outcome| {
            assert_eq!(action, "s3:GetObjectVersion");
            let outcome = outcome.success().stderr_has("is retained by a lock or a legal hold");
            assert!(!outcome.stderr().contains("retained until"), "{outcome}");
        },
    }
    .check();
    Case {
        command: "cleanup",
        when: When::Purging,
        role: &["pruner"],
        further: &["--purge-versions"],
        arguments: &["cleanup", "--older-than", "0s", "--purge-versions", "--confirm"],
        before: |bucket| {
            let data = |(key, _): &(String, bytes::Bytes)| key.ends_with(".bin.gz");
            fill(bucket, &days("app", 1).into_iter().filter(data).collect::<Vec<_>>());
        },
        done: |bucket, outcome| {
            let _ = outcome.success();
            assert_eq!(bucket.client().versions(&bucket.name), [""; 0]);
        },
        degraded: |action, _| panic!("{action} is not to be advised"),
    }
    .check();
}

#[test]
fn who_locks_is_told_each_right_that_is_missing() {
    Case {
        command: "backup",
        when: When::Locks,
        role: &["writer"],
        further: &["--object-lock"],
        arguments: &["backup", "files", "--lock-mode", "governance", "--lock-days", "1"],
        before: |_| {},
        done: |bucket, outcome| {
            let _ = outcome.success();
            for key in bucket.keys() {
                assert!(bucket.client().lock_of(&bucket.name, &key).is_some(), "{key}");
            }
            assert_eq!(bucket.keys().len(), 3);
        },
        degraded: |action, _| panic!("{action} is not to be advised"),
    }
    .check();
}

#[test]
fn who_thaws_is_told_each_right_that_is_missing() {
    Case {
        command: "restore",
        when: When::Thawing,
        role: &["restorer"],
        further: &[],
        arguments: &["restore", "latest", "--to", "here", "--thaw", "--wait"],
        before: |bucket| {
            let cli = user(bucket, &policy_of(&["writer"], &[]));
            let class = ["--storage-class", "GLACIER", "--shape-guard", "off"];
            let _ = cli.run(["backup", "files"].iter().chain(&class)).success();
        },
        done: |_, outcome| drop(outcome.success()),
        degraded: |action, _| panic!("{action} is not to be advised"),
    }
    .check();
}
