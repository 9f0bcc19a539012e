//! Settings of a bucket, roles of an account, and small objects that are written over, on a server that goes wrong once or
//! for good: what passes is survived, what others have set stays, and what could not be asked is called neither right nor lacking.

use std::sync::Arc;
use std::time::{Duration, Instant};

use backup_cli::base::cancel::Cancel;
use backup_cli::base::failure::Kind;
use backup_cli::base::report::Recorder;
use backup_cli::store::s3::S3Store;
use backup_cli::store::{Key, PutOptions, Role, Store};
use bytes::Bytes;

use crate::store_contract::s3_options;
use crate::support::cli::{Cli, Outcome};
use crate::support::fault_s3::{Content, Fault, FaultS3, Op, Options, Papers, SECRET_KEY, When, paper_of};

const BUCKET: &str = "set";

const THEIRS: &str = r#"{"Version":"2012-10-17","Statement":[{"Sid":"Readers","Effect":"Allow","Principal":{"AWS":"arn:aws:iam::210987654321:role/readers"},"Action":"s3:GetObject","Resource":"arn:aws:s3:::set/reports/*"}]}"#;

const CREATE: [&str; 5] = ["bucket", "create", "--create-only", "--tls-only", "--confirm"];

const APPLY: [&str; 11] = [
    "iam", "apply", "--role", "writer", "--for", "fly", "--org", "acme", "--app", "web", "-y",
];

/// A server with a bucket and what others have set of it.
fn server(papers: Papers) -> FaultS3 {
    let server = FaultS3::with(Options {
        has_settings: true,
        ..Options::default()
    });
    server.bucket_named(BUCKET, &Content::new());
    server.set_papers(papers);
    server
}

fn with_policy() -> FaultS3 {
    server(Papers::from([(paper_of("policy", BUCKET), THEIRS.to_owned())]))
}

fn run(server: &FaultS3, words: &[&str]) -> Outcome {
    let cli = Cli::new()
        .envs(server.environment(BUCKET))
        .env("BACKUP_PROVIDER", "aws")
        .env("BACKUP_PATH_STYLE", "true")
        .env("BACKUP_RETRY_DELAY", "10ms")
        .env("BACKUP_RETRY_BUDGET", "200ms")
        .env("BACKUP_REQUEST_TIMEOUT", "3s");
    cli.run(words).nowhere(SECRET_KEY)
}

fn answer(body: &str) -> Fault {
    Fault::Reply {
        status: 200,
        headers: vec![("content-type", "application/xml".to_owned())],
        body: body.to_owned(),
    }
}

#[test]
fn a_request_for_roles_whose_answer_is_lost_or_senseless_is_made_again() {
    let clean = server(Papers::new());
    let _ = run(&clean, &APPLY).success();
    let made = clean.papers();
    assert_eq!(made.len(), 3, "{made:?}");
    let asked = clean.requests_of(Op::Identity).len() as u64;
    let faults = [Fault::ResetAfterEffect, Fault::INTERNAL_ERROR, answer("<html/>")];
    let cases = (1..=asked).map(|nth| (Op::Identity, nth)).chain([(Op::Caller, 1)]);
    std::thread::scope(|scope| {
        for (number, (op, nth)) in cases.enumerate() {
            let fault = faults[number % faults.len()].clone();
            let lost = (op == Op::Identity).then_some(Fault::ResetAfterEffect);
            for fault in [Some(fault), lost].into_iter().flatten() {
                let made = &made;
                scope.spawn(move || {
                    let server = server(Papers::new());
                    server.fault(When::nth(op, nth), fault);
                    let outcome = run(&server, &APPLY).success();
                    server.assert_all_faults_happened();
                    assert_eq!(server.papers(), *made, "{op:?} {nth}\n{outcome}");
                });
            }
        }
    });
}

#[test]
fn a_role_that_others_make_meanwhile_is_not_taken_for_ours() {
    let theirs = r#"{"Version":"2012-10-17","Statement":[]}"#;
    let server = server(Papers::from([("role backup-cli-writer".to_owned(), theirs.to_owned())]));
    // It is not there when it is looked for, and is when it is made.
    server.fault(
        When::nth(Op::Identity, 2),
        Fault::Error {
            status: 404,
            code: "NoSuchEntity",
        },
    );
    let outcome = run(&server, &APPLY).exits_with(1);
    let _ = outcome.stderr_has("EntityAlreadyExists").stderr_has("run this again");
    assert_eq!(server.papers()["role backup-cli-writer"], theirs);
}

#[test]
fn a_service_of_roles_that_writes_nothing_and_says_so_to_nobody_is_a_failure() {
    let server = server(Papers::new());
    server.fault(When::every(Op::Identity).occurrences(5..u64::MAX), answer(""));
    let _ = run(&server, &APPLY).exits_with(1).stderr_has("makes no sense");
}

#[test]
fn a_policy_that_is_not_shown_is_not_written_over() {
    let clean = with_policy();
    let _ = run(&clean, &CREATE).success();
    let reads = clean.requests_of(Op::ReadSetting);
    let of_policy = reads.iter().enumerate().filter(|(_, read)| read.query == "policy");
    let places: Vec<u64> = of_policy.map(|(place, _)| place as u64 + 1).collect();
    assert!(places.len() >= 4, "{places:?}");
    std::thread::scope(|scope| {
        for place in places {
            for last in [place + 1, u64::MAX] {
                scope.spawn(move || {
                    let server = with_policy();
                    server.fault(When::every(Op::ReadSetting).occurrences(place..last), answer(""));
                    let outcome = run(&server, &CREATE);
                    let policy = &server.papers()[&paper_of("policy", BUCKET)];
                    assert!(policy.contains("Readers"), "{policy}\n{outcome}");
                    if last == place + 1 {
                        let _ = outcome.success();
                        assert!(policy.contains("BackupCliCreateOnly"), "{policy}");
                    }
                });
            }
        }
    });
}

#[test]
fn a_setting_that_was_accepted_without_effect_is_made_once_more() {
    let server = with_policy();
    server.fault(When::first(Op::WriteSetting), answer(""));
    let outcome = run(&server, &CREATE).success();
    assert!(
        server.papers().contains_key(&paper_of("publicAccessBlock", BUCKET)),
        "{outcome}"
    );
}

#[test]
fn a_setting_that_a_server_says_once_to_lack_and_has_is_no_success() {
    let clean = with_policy();
    let _ = run(&clean, &CREATE).success();
    let reads = clean.requests_of(Op::ReadSetting);
    let of_versions = reads.iter().enumerate().filter(|(_, read)| read.query == "versioning");
    // The first look is the plan's, the second is what the changes are made from.
    let place = of_versions.map(|(place, _)| place as u64 + 1).nth(1).unwrap();
    let server = with_policy();
    server.fault(
        When::nth(Op::ReadSetting, place),
        Fault::Error {
            status: 501,
            code: "NotImplemented",
        },
    );
    let _ = run(&server, &CREATE).exits_with(3).stderr_has("`versioning`");
    let _ = run(&server, &CREATE).success();
    assert!(server.papers().contains_key(&paper_of("versioning", BUCKET)));
}

#[test]
fn what_a_bucket_did_not_answer_is_neither_right_nor_asked_for_hours() {
    let server = with_policy();
    let create = [&CREATE[..], &["--noncurrent-days", "30"]].concat();
    let _ = run(&server, &create).success();
    let _ = run(&server, &["bucket", "check"]).success();
    // One question of nine is refused in a way that does not pass.
    server.fault(When::nth(Op::ReadSetting, 4), Fault::CONFLICT);
    let outcome = run(&server, &["bucket", "check"]).exits_with(3);
    let _ = outcome.stderr_has("Not looked at: encryption").stderr_has("Hint: ");
    server.heal();
    server.forget_requests();
    server.fault(When::every(Op::ReadSetting).occurrences(4..u64::MAX), Fault::SLOW_DOWN);
    let outcome = run(&server, &["bucket", "check"]).exits_with(3);
    let _ = outcome.stdout_has("gave no answer to the question before");
    let asked: std::collections::BTreeSet<String> = server
        .requests_of(Op::ReadSetting)
        .into_iter()
        .map(|request| request.query)
        .collect();
    assert_eq!(asked.len(), 4, "{asked:?}");
    // And who makes changes does not say that all is right.
    server.heal();
    server.fault(When::every(Op::ReadSetting).occurrences(20..u64::MAX), Fault::CONFLICT);
    let outcome = run(&server, &CREATE);
    assert!(!outcome.stdout().contains("finds it right in every point"), "{outcome}");
}

#[test]
fn rules_that_arrive_cut_short_are_asked_for_again_and_not_called_lacking() {
    let rules = "<LifecycleConfiguration><Rule><ID>theirs</ID><Filter><Prefix>logs/</Prefix></Filter><Status>Enabled</Status>\
         <Expiration><Days>30</Days></Expiration></Rule></LifecycleConfiguration>";
    let server = server(Papers::from([(paper_of("lifecycle", BUCKET), rules.to_owned())]));
    let show = ["lifecycle", "show", "--json"];
    let clean = run(&server, &show).success();
    for fault in [
        Fault::TruncateReply { after_bytes: 60 },
        Fault::WrongLength { more: -7 },
        Fault::OkWithError {
            code: "InternalError",
            effect: false,
        },
        answer("<ListBucketResult></ListBucketResult>"),
    ] {
        server.fault(When::first(Op::ReadSetting), fault);
        let outcome = run(&server, &show).success();
        assert_eq!(outcome.stdout(), clean.stdout(), "{outcome}");
        server.assert_all_faults_happened();
        server.heal();
    }
    server.fault(When::every(Op::ReadSetting), Fault::TruncateReply { after_bytes: 60 });
    let outcome = run(&server, &show).exits_with(1);
    assert!(!outcome.stderr().contains("has no lifecycle rules"), "{outcome}");
}

#[test]
fn a_bucket_that_says_no_without_a_reason_is_asked_for_it() {
    for fault in [Fault::REQUEST_TIMEOUT, Fault::CLOCK_SKEW] {
        let server = with_policy();
        server.fault(When::first(Op::HeadBucket), fault);
        let _ = run(&server, &CREATE).success();
        server.assert_all_faults_happened();
    }
}

#[test]
fn writing_over_an_object_ends_with_the_budget_and_survives_a_condition_that_is_met() {
    let server = FaultS3::start();
    let bucket = server.bucket();
    let mut options = s3_options(&server.access(), &bucket, Some("aws"));
    options.retry.max_wait = Duration::from_millis(50);
    options.retry.budget = Duration::from_millis(500);
    let store = S3Store::open(options, Cancel::new(), Arc::new(Recorder::default())).unwrap();
    let key = Key::new("backups/a");
    let put = |token: &str| PutOptions {
        role: Role::Manifest,
        token: token.to_owned(),
        content_type: "application/json",
        metadata: Default::default(),
        lock: None,
    };
    let _ = store.put(&key, Bytes::from_static(b"old"), &put("one")).unwrap();
    let standing = store.head(&key).unwrap().unwrap();
    server.fault(
        When::first(Op::PutObject),
        Fault::Error {
            status: 412,
            code: "PreconditionFailed",
        },
    );
    let over =
        |body: &'static [u8], token: &str| store.replace_if(&key, Bytes::from_static(body), &put(token), &standing);
    let _ = over(b"new", "two").unwrap();
    server.assert_all_faults_happened();
    let standing = store.head(&key).unwrap().unwrap();
    // Every look at the key is answered, and no write of it.
    server.heal();
    server.fault(When::every(Op::PutObject), Fault::SLOW_DOWN);
    let began = Instant::now();
    let failure = store
        .replace_if(&key, Bytes::from_static(b"newer"), &put("three"), &standing)
        .unwrap_err();
    assert_eq!(failure.kind(), Kind::Unreachable, "{failure:?}");
    assert!(began.elapsed() < Duration::from_secs(10), "{:?}", began.elapsed());
    assert_eq!(server.object(&bucket, "backups/a").unwrap().content(), b"new");
}
