//! `bucket create`: from nothing, again, over what others have set, and after a crash at any step.

pub mod settings_server;

use std::sync::Arc;
use std::time::Duration;

use backup_cli::base::cancel::Cancel;
use backup_cli::base::clock::SystemClock;
use backup_cli::base::failure::Kind;
use backup_cli::base::report::Recorder;
use backup_cli::base::secret::Secret;
use backup_cli::bucket::{Bucket, Retention};
use backup_cli::ops::Run;
use backup_cli::ops::bucket_create::{CreateOutcome, LeftBecause, Wanted, WantedCors, create_bucket, plan_creation};
use backup_cli::pipeline::crypt::Keys;
use backup_cli::store::s3::{RetryOptions, S3Options, S3Store, StaticCredentials};

use super::support::aws;
use super::support::cli::Cli;
use super::support::ministack::Ministack;
use super::support::weed::Weed;
use settings_server::{Crash, SettingsServer};

fn run() -> Run {
    Run {
        cancel: Cancel::new(),
        reporter: Arc::new(Recorder::default()),
        clock: Arc::new(SystemClock),
        keys: Keys::default(),
    }
}

fn bucket(server: &SettingsServer, change: impl FnOnce(&mut S3Options)) -> Bucket {
    let mut options = S3Options::new("b", "backups");
    options.region = Some("us-east-1".to_owned());
    options.endpoint_url = Some(server.endpoint());
    options.path_style = Some(true);
    options.credentials = Some(StaticCredentials {
        access_key_id: "key".to_owned(),
        secret_access_key: Secret::new("canary/settings+server00000000000000000"),
        session_token: None,
    });
    options.retry = RetryOptions {
        first_wait: Duration::from_millis(1),
        max_wait: Duration::from_millis(1),
        budget: Duration::from_millis(1),
        ..RetryOptions::default()
    };
    change(&mut options);
    Bucket::of(&S3Store::open(options, Cancel::new(), Arc::new(Recorder::default())).unwrap())
}

/// Everything that can be asked for.
fn everything() -> Wanted {
    Wanted {
        folder: "backups/".to_owned(),
        tls_only: Some(true),
        create_only: true,
        abort_days: 7,
        noncurrent_days: Some(30),
        object_lock: Some(Some(Retention {
            mode: "GOVERNANCE".to_owned(),
            days: 30,
        })),
        cors: Some(WantedCors {
            origins: vec!["https://backups.example.org".to_owned()],
            methods: vec!["GET".to_owned(), "HEAD".to_owned()],
        }),
        ..Wanted::default()
    }
}

fn points(outcome: &CreateOutcome, verdict: &str) -> Vec<&'static str> {
    let is = |point: &&backup_cli::ops::bucket_check::Point| point.verdict.word() == verdict;
    outcome.points.iter().filter(is).map(|point| point.id).collect()
}

#[test]
fn a_crash_at_any_request_leaves_what_the_next_run_completes() {
    let calm = SettingsServer::start();
    let outcome = create_bucket(&bucket(&calm, |_| {}), &everything(), &run()).unwrap();
    assert!(outcome.left.is_empty(), "{:?}", outcome.left);
    assert_eq!(points(&outcome, "different"), [""; 0]);
    let writes = calm.state().writes.clone();
    assert_eq!(
        writes,
        [
            "create",
            "publicAccessBlock",
            "ownershipControls",
            "encryption",
            "object-lock",
            "policy",
            "cors",
            "lifecycle",
            "policy"
        ]
    );
    // Nothing is to be done twice.
    let again = create_bucket(&bucket(&calm, |_| {}), &everything(), &run()).unwrap();
    assert_eq!(again.done, [""; 0]);
    assert!(
        plan_creation(&bucket(&calm, |_| {}), &everything())
            .unwrap()
            .steps
            .is_empty()
    );
    assert_eq!(calm.state().writes.len(), writes.len());

    for at in 0..writes.len() {
        for crash in [Crash::Before(at), Crash::After(at)] {
            let server = SettingsServer::start();
            server.state().crash = Some(crash);
            match create_bucket(&bucket(&server, |_| {}), &everything(), &run()) {
                Err(failure) => assert_eq!(failure.kind(), Kind::Denied, "{crash:?}: {failure:?}"),
                Ok(outcome) => assert!(!outcome.left.is_empty(), "{crash:?}: {outcome:?}"),
            }
            server.state().crash = None;
            let outcome = create_bucket(&bucket(&server, |_| {}), &everything(), &run()).unwrap();
            assert!(outcome.left.is_empty(), "{crash:?}: {:?}", outcome.left);
            let (mended, untroubled) = (server.state(), calm.state());
            assert_eq!(mended.settings, untroubled.settings, "{crash:?}");
            assert_eq!(mended.writes, writes, "{crash:?}: nothing is written twice");
        }
    }
}

#[test]
fn what_a_server_lacks_or_forbids_is_told_and_all_else_is_done() {
    let server = SettingsServer::start();
    server.state().unknown = vec!["publicAccessBlock", "object-lock"];
    let usual = Wanted {
        folder: "backups/".to_owned(),
        tls_only: Some(true),
        abort_days: 7,
        ..Wanted::default()
    };
    let outcome = create_bucket(&bucket(&server, |_| {}), &usual, &run()).unwrap();
    let left: Vec<_> = outcome
        .left
        .iter()
        .map(|left| (left.point, left.because, left.asked))
        .collect();
    assert_eq!(left, [("public-access", LeftBecause::NotThere, false)]);
    assert_eq!(
        outcome.done,
        [
            "bucket",
            "ownership",
            "encryption",
            "versioning",
            "lifecycle",
            "tls-only"
        ]
    );

    // Asked for, it counts; and what may not be written is named with its permission.
    server.state().forbidden = vec!["cors"];
    let outcome = create_bucket(&bucket(&server, |_| {}), &everything(), &run()).unwrap();
    let left: Vec<_> = outcome
        .left
        .iter()
        .map(|left| (left.point, left.because, left.asked))
        .collect();
    assert_eq!(
        left,
        [
            ("public-access", LeftBecause::NotThere, false),
            ("object-lock", LeftBecause::NotThere, true),
            ("cors", LeftBecause::NotAllowed, true)
        ]
    );
    assert!(outcome.left[2].why.contains("s3:PutBucketCORS"), "{:?}", outcome.left);
    assert_eq!(outcome.done, ["create-only", "lifecycle"]);
}

/// The tool with its store on such a server.
fn settings_tool(server: &SettingsServer, bucket: &str, provider: Option<&str>) -> Cli {
    let cli = Cli::new()
        .env("BACKUP_STORE", format!("s3://{bucket}/backups"))
        .env("BACKUP_ENDPOINT_URL", server.endpoint())
        .env("BACKUP_PATH_STYLE", "true")
        .env("AWS_REGION", "us-east-1")
        .env("BACKUP_AWS_ACCESS_KEY_ID", "AKTESTSETTINGS000002")
        .env(
            "BACKUP_AWS_SECRET_ACCESS_KEY",
            "canary/settings+tool000000000000000000000",
        );
    match provider {
        Some(provider) => cli.env("BACKUP_PROVIDER", provider),
        None => cli,
    }
}

#[test]
fn plain_http_is_refused_last_so_that_it_locks_nothing_out() {
    let server = SettingsServer::start();
    server.state().obeys_tls_only = true;
    let cli = settings_tool(&server, "settled", None);
    let arguments = [
        "bucket",
        "create",
        "--tls-only",
        "--create-only",
        "--cors-origin",
        "https://backups.example.org",
        "--noncurrent-days",
        "30",
        "-y",
    ];
    let made = cli.run(arguments).exits_with(0);
    let made = made.stderr_has("can only be looked at, and backups only be made, by an https:// endpoint");
    assert!(!made.stdout().contains("right in every point"), "{made}");
    assert!(!made.stderr().contains("policy changes while"), "{made}");
    {
        let state = server.state();
        assert_eq!(state.writes.last().map(String::as_str), Some("policy"));
        assert_eq!(state.writes.iter().filter(|write| *write == "policy").count(), 2);
        assert!(state.settings.contains_key("cors") && state.settings.contains_key("lifecycle"));
        assert!(state.settings["policy"].contains("BackupCliCreateOnly"));
    }
    let _ = cli
        .run(arguments)
        .exits_with(1)
        .stderr_has("If its policy refuses plain HTTP, reach it by an https:// endpoint");
}

#[test]
fn what_nobody_could_look_at_is_not_right() {
    let server = SettingsServer::start();
    let cli = settings_tool(&server, "settled", None);
    // By plain HTTP refusing it is a choice, so that everything can be right.
    let _ = cli
        .run(["bucket", "create", "--noncurrent-days", "30", "-y"])
        .exits_with(0)
        .stdout_has("`bucket check` finds it right in every point.");
    let whole = cli.run(["bucket", "check", "--json"]).exits_with(0).json();
    assert_eq!(
        (&whole["different"], &whole["unknown"]),
        (&0.into(), &0.into()),
        "{whole:#}"
    );
    // What the server does not have is no failure either.
    server.state().unknown = vec!["publicAccessBlock"];
    let _ = cli.run(["bucket", "check"]).exits_with(0);
    server.state().unknown.clear();

    server.state().missing = Some("s3:GetBucketPolicy".to_owned());
    let part = cli.run(["bucket", "check", "--json"]).exits_with(3).json();
    assert_eq!(
        (&part["different"], &part["unknown"]),
        (&0.into(), &2.into()),
        "{part:#}"
    );
    let _ = cli
        .run(["bucket", "check"])
        .exits_with(3)
        .stderr_has("2 points of the bucket `settled` could not be looked at")
        .stderr_has(
            "Hint: Not looked at: tls-only, create-only; the credentials need the permission s3:GetBucketPolicy",
        );

    // Nothing that is to be written hangs on this one.
    server.state().missing = Some("s3:GetBucketPolicyStatus".to_owned());
    let made = cli
        .run(["bucket", "create", "--cors-origin", "https://a.example", "-y"])
        .exits_with(0)
        .stderr_has("s3:GetBucketPolicyStatus");
    assert!(!made.stdout().contains("right in every point"), "{made}");

    // What differs comes first, and what was not seen is told beside it.
    server.state().settings.remove("encryption");
    let _ = cli
        .run(["bucket", "check"])
        .exits_with(1)
        .stderr_has("differs in 1 point")
        .stderr_has("s3:GetBucketPolicyStatus");
}

#[test]
fn a_name_that_the_provider_does_not_take_is_told_with_its_rule() {
    let server = SettingsServer::start();
    for (name, rule) in [
        ("xn--foo", "`xn--` at its beginning"),
        ("foo-s3alias", "`-s3alias` at its end"),
        ("Forb", "lower-case"),
    ] {
        let refused = settings_tool(&server, name, Some("aws")).run(["bucket", "create", "--dry-run"]);
        let _ = refused
            .exits_with(Kind::Config.exit_code().into())
            .stderr_has(&format!("AWS does not take the name `{name}` for a bucket"))
            .stderr_has(rule);
    }
    // One of the days before the rules is as good as any.
    server.state().exists = true;
    let _ = settings_tool(&server, "Forb", Some("aws"))
        .run(["bucket", "create", "--dry-run"])
        .exits_with(0);
    server.state().refuses_name = true;
    for (provider, hint) in [
        (None, "Perhaps the server does not take the name `a_b`"),
        (Some("aws"), "AWS does not take the name `a_b`"),
    ] {
        let refused = settings_tool(&server, "a_b", provider).run(["bucket", "create", "-y"]);
        assert_ne!(refused.code(), 0, "{refused}");
        let _ = refused.stderr_has(hint);
    }
    assert!(server.state().writes.is_empty());
}

#[test]
fn a_name_of_somebody_else_and_a_bucket_elsewhere_are_told_apart() {
    let server = SettingsServer::start();
    server.state().is_taken = true;
    let failure = plan_creation(&bucket(&server, |_| {}), &everything()).unwrap_err();
    assert_eq!(failure.kind(), Kind::Denied);
    assert!(
        failure.hints().iter().any(|hint| hint.contains("somebody else's")),
        "{failure:?}"
    );

    // The bucket is in another region than was asked for.
    let aws = |options: &mut S3Options| options.provider = Some("aws".to_owned());
    let server = SettingsServer::start();
    {
        let mut state = server.state();
        state.exists = true;
        state.location = "eu-west-3".to_owned();
    }
    let wanted = Wanted {
        region: Some("us-east-1".to_owned()),
        ..everything()
    };
    let failure = plan_creation(&bucket(&server, aws), &wanted).unwrap_err();
    assert_eq!(failure.kind(), Kind::Config, "{failure:?}");
    assert!(
        failure.message().contains("is in eu-west-3 and not in us-east-1"),
        "{failure:?}"
    );
    assert!(server.state().writes.is_empty());
}

#[test]
fn the_first_region_is_named_by_naming_none() {
    for (region, body) in [
        ("us-east-1", ""),
        ("eu-central-1", "<LocationConstraint>eu-central-1</LocationConstraint>"),
    ] {
        let server = SettingsServer::start();
        let here = bucket(&server, |options| options.region = Some(region.to_owned()));
        let _ = create_bucket(
            &here,
            &Wanted {
                abort_days: 7,
                ..Wanted::default()
            },
            &run(),
        )
        .unwrap();
        let state = server.state();
        assert_eq!(state.creations.len(), 1);
        assert!(state.creations[0].contains(body), "{:?}", state.creations);
        assert_eq!(state.creations[0].is_empty(), body.is_empty(), "{:?}", state.creations);
    }
}

/// The tool with a store in a bucket of its own that is not there yet.
fn tool(access: &super::support::s3_client::S3Access, name: &str) -> Cli {
    Cli::new()
        .envs(access.environment())
        .env("BACKUP_STORE", format!("s3://{name}/backups"))
        .env("BACKUP_REGION", &access.region)
}

#[test]
fn a_real_server_has_the_bucket_afterwards_and_what_others_set_stays() {
    let weed = Weed::shared();
    let cli = tool(weed.access(), "created-from-nothing");
    let _ = cli
        .run(["bucket", "create", "--dry-run"])
        .exits_with(0)
        .stdout_has("Create the bucket");
    let _ = cli.run(["list"]).exits_with(10);
    // Nobody is there to be asked.
    let _ = cli
        .run(["bucket", "create"])
        .exits_with(21)
        .stderr_has("needs a confirmation");
    let _ = cli.run(["list"]).exits_with(10);
    let made = cli
        .run([
            "bucket",
            "create",
            "--create-only",
            "--object-lock",
            "governance:1",
            "-y",
            "--json",
        ])
        .exits_with(0);
    let document = made.json();
    assert_eq!(document["existed"], false);
    let done: Vec<&str> = document["done"]
        .as_array()
        .unwrap()
        .iter()
        .filter_map(|done| done.as_str())
        .collect();
    assert!(
        done.contains(&"bucket") && done.contains(&"create-only"),
        "{document:#}"
    );
    // This server stores the policy and does not know its condition: what is told is what the policy says.
    let _ = cli
        .run(["bucket", "check"])
        .stdout_has("the policy refuses writes that could replace an object");
    let again = cli
        .run([
            "bucket",
            "create",
            "--create-only",
            "--object-lock",
            "governance:1",
            "-y",
            "--json",
        ])
        .exits_with(0);
    assert_eq!(again.json()["changes"], serde_json::json!([]), "{:#}", again.json());

    // Every write of a backup carries what the policy demands. (This server stores the statement and does not know its
    // conditions, so that it refuses nobody.)
    std::fs::write(cli.home().join("x"), "x").unwrap();
    let _ = cli.run(["backup", "x", "--name", "x"]).exits_with(0);
    let keys = weed.client().keys("created-from-nothing", "backups/");
    assert_eq!(keys.len(), 3, "{keys:?}");
    assert!(weed.client().try_put("created-from-nothing", "elsewhere", b"y").is_ok());
}

#[test]
fn an_imitation_of_aws_is_right_in_every_point_afterwards() {
    let bucket = Ministack::shared().bucket();
    let foreign = format!(
        r#"{{"Version":"2012-10-17","Statement":[{{"Sid":"Web","Effect":"Allow","Principal":{{"AWS":"arn:aws:iam::000000000000:root"}},"Action":"s3:GetObject","Resource":"arn:aws:s3:::{}/web/*"}}]}}"#,
        bucket.name
    );
    let cors = r#"{"CORSRules":[{"ID":"theirs","AllowedOrigins":["https://web.example"],"AllowedMethods":["PUT"],"MaxAgeSeconds":7}]}"#;
    let script = r#"
        s3() { aws --endpoint-url "$AWS_ENDPOINT_URL" s3api "$@" --bucket "$NAME"; }
        s3 put-bucket-policy --policy "$POLICY"
        s3 put-bucket-cors --cors-configuration "$CORS"
        s3 put-public-access-block --public-access-block-configuration BlockPublicAcls=true,IgnorePublicAcls=false,BlockPublicPolicy=false,RestrictPublicBuckets=true
    "#;
    let variables = [
        ("NAME", bucket.name.as_str()),
        ("POLICY", &foreign),
        ("CORS", cors),
        ("AWS_ENDPOINT_URL", &bucket.access.endpoint),
    ];
    let _ = aws::shell(&bucket.access, script, &variables);
    let cli = Cli::new().envs(bucket.environment());
    let arguments = [
        "bucket",
        "create",
        "--tls-only",
        "--create-only",
        "--cors-origin",
        "https://backups.example.org",
        "--noncurrent-days",
        "30",
        "-y",
        "--json",
    ];
    let made = cli.run(arguments).exits_with(0).json();
    let changes = |document: &serde_json::Value| -> Vec<String> {
        let all = document["changes"].as_array().unwrap();
        all.iter()
            .map(|change| change["point"].as_str().unwrap().to_owned())
            .collect()
    };
    for point in ["public-access", "versioning", "tls-only", "create-only", "cors"] {
        assert!(changes(&made).contains(&point.to_owned()), "{point}: {made:#}");
    }
    assert_eq!(made["existed"], true);
    assert_eq!(changes(&cli.run(arguments).exits_with(0).json()), [""; 0]);

    let script = r#"
        s3() { aws --endpoint-url "$AWS_ENDPOINT_URL" s3api "$@" --bucket "$NAME"; }
        s3 get-bucket-policy --query Policy --output text
        s3 get-bucket-cors --output json | tr -d '\n'
    "#;
    let said = aws::shell(&bucket.access, script, &variables);
    let said = String::from_utf8_lossy(&said);
    let (policy, rules) = said.split_once('\n').unwrap();
    let policy: serde_json::Value = serde_json::from_str(policy).unwrap();
    let theirs: serde_json::Value = serde_json::from_str(&foreign).unwrap();
    assert_eq!(policy["Statement"][0], theirs["Statement"][0]);
    assert_eq!(policy["Statement"].as_array().unwrap().len(), 3, "{policy:#}");
    let rules: serde_json::Value = serde_json::from_str(rules).unwrap();
    assert_eq!(
        rules["CORSRules"][0]["AllowedOrigins"][0], "https://web.example",
        "{rules:#}"
    );
    assert_eq!(rules["CORSRules"][0]["MaxAgeSeconds"], 7, "{rules:#}");
    assert_eq!(rules["CORSRules"].as_array().unwrap().len(), 2, "{rules:#}");

    let _ = cli.run(["bucket", "check"]).exits_with(0);
}
