//! `iam`: the documents that it prints, and the roles that it makes, in an account whose server enforces them.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::OnceLock;

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;

use super::support::cli::{Cli, Outcome};
use super::support::ministack::{Ministack, SECRET_KEY};
use super::support::project;
use super::support::weed::Bucket;

const STORE: [&str; 4] = ["--store", "s3://my-backups/web", "--region", "eu-central-1"];
const ACCOUNT: &str = "210987654321";

fn print(arguments: &[&str]) -> Outcome {
    Cli::new().run(arguments.iter().chain(&STORE))
}

/// Compares with a file beside this one; `BACKUP_CLI_TEST_BLESS=1` writes it.
#[track_caller]
fn is_golden(name: &str, found: &str) {
    let path = project().join("tests/suite/iam").join(name);
    if std::env::var_os("BACKUP_CLI_TEST_BLESS").is_some() {
        std::fs::write(&path, found).unwrap();
    }
    let golden = std::fs::read_to_string(&path).unwrap_or_default();
    assert_eq!(found, golden, "{name}");
}

#[test]
fn the_documents_are_those_that_were_looked_at() {
    let key = "arn:aws:kms:eu-central-1:210987654321:key/0a1b2c3d-0000-4000-8000-000000000000";
    let github = ["--for", "github", "--repo", "acme@12/web@345", "--environment", "prod"];
    let fly = ["--for", "fly", "--org", "acme", "--app", "web"];
    let account = ["--account-id", ACCOUNT];
    let terraform = ["--format", "terraform"];
    let documents: [(&str, &[&[&str]]); 9] = [
        ("writer.json", &[&["iam", "policy", "--role", "writer"]]),
        (
            "writer-kms.json",
            &[&["iam", "policy", "--role", "writer", "--kms-key", key, "--object-lock"]],
        ),
        (
            "restorer.json",
            &[&["iam", "policy", "--role", "restorer", "--kms-key", key]],
        ),
        (
            "pruner.json",
            &[&["iam", "policy", "--role", "pruner", "--purge-versions"]],
        ),
        ("admin.json", &[&["iam", "policy", "--role", "admin"]]),
        ("writer.tf", &[&["iam", "policy", "--role", "writer"], &terraform]),
        ("github.json", &[&["iam", "trust"], &github, &account]),
        ("fly.json", &[&["iam", "trust"], &fly, &account]),
        ("github.tf", &[&["iam", "trust"], &github, &terraform]),
    ];
    for (name, arguments) in documents {
        let outcome = print(&arguments.concat()).success();
        is_golden(name, outcome.stdout());
        assert_eq!(outcome.stderr(), "");
        if name.ends_with(".json") {
            let _ = outcome.json();
        }
    }
}

/// With a program that formats Terraform's files in `BACKUP_CLI_TEST_TERRAFORM`, it has to take ours as they are.
#[test]
fn terraform_takes_its_documents_as_they_are() {
    for name in ["writer.tf", "github.tf"] {
        let path = project().join("tests/suite/iam").join(name);
        let text = std::fs::read_to_string(&path).unwrap();
        for (open, close) in [('{', '}'), ('(', ')'), ('[', ']')] {
            assert_eq!(text.matches(open).count(), text.matches(close).count(), "{name}");
        }
        assert_eq!(text.matches('"').count() % 2, 0, "{name}");
        if let Some(program) = std::env::var_os("BACKUP_CLI_TEST_TERRAFORM") {
            let output = std::process::Command::new(program)
                .args(["fmt", "-check", "-diff"])
                .arg(&path)
                .output()
                .unwrap();
            assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
        }
    }
}

#[test]
fn what_would_let_others_in_is_a_usage_error() {
    let policy = ["iam", "policy", "--role", "writer"];
    let trust = ["iam", "trust", "--account-id", ACCOUNT];
    let github = [&trust[..], &["--for", "github"]].concat();
    let fly = [&trust[..], &["--for", "fly"]].concat();
    for (arguments, further, text) in [
        (
            &policy[..],
            &["--kms-key", "alias/backups"][..],
            "An alias grants nothing",
        ),
        (
            &policy,
            &["--kms-key", "arn:aws-cn:kms:cn-north-1:210987654321:key/1"],
            "arn:aws:kms",
        ),
        (
            &github,
            &["--repo", "acme/*", "--environment", "prod"],
            "let other repositories in",
        ),
        (
            &github,
            &["--repo", "acme/web", "--branch", "*"],
            "a pattern would let others in",
        ),
        (
            &github,
            &["--repo", "acme/web"],
            "every pull request could take the role",
        ),
        (&github, &["--environment", "prod"], "--repo"),
        (
            &github,
            &["--repo", "acme/web", "--tag", "v1", "--org", "x"],
            "fly.io takes --org",
        ),
        (&fly, &["--org", "acme", "--app", "*"], "let others in"),
        (
            &fly,
            &["--org", "acme", "--app", "web", "--audience", "*"],
            "Not one audience",
        ),
        (
            &["iam", "trust"],
            &["--for", "fly", "--org", "acme", "--app", "web"],
            "--account-id",
        ),
        (
            &["iam", "trust"],
            &[
                "--for",
                "fly",
                "--org",
                "acme",
                "--app",
                "web",
                "--account-id",
                "123456789012",
            ],
            "not yours",
        ),
        (
            &["iam", "trust"],
            &[
                "--for",
                "fly",
                "--org",
                "acme",
                "--app",
                "web",
                "--account-id",
                "ACCOUNT_ID",
            ],
            "twelve digits",
        ),
    ] {
        let outcome = print(&[arguments, further].concat()).exits_with(2);
        assert!(outcome.stderr().contains(text), "`{text}` is not in\n{outcome}");
        assert_eq!(outcome.stdout(), "");
    }
    // What git puts before a name is taken away, as a token has it only once; what it puts before others is refused.
    for (option, name, subject) in [
        ("--branch", "refs/heads/main", "acme@12/web@345:ref:refs/heads/main\""),
        ("--tag", "refs/tags/v1", "acme@12/web@345:ref:refs/tags/v1\""),
    ] {
        let printed = print(&[&github[..], &["--repo", "acme@12/web@345", option, name]].concat()).success();
        assert!(printed.stdout().contains(subject), "{printed}");
        let _ = print(&[&github[..], &["--repo", "acme@12/web@345", option, "refs/pull/1/merge"]].concat())
            .exits_with(2)
            .stderr_has("Write the bare name");
    }
    let folder = Cli::new().run(["iam", "policy", "--role", "writer", "--store", "/srv/backups"]);
    let _ = folder.exits_with(2).stderr_has("The store is no bucket");
    let by_name = [&github[..], &["--repo", "acme/web", "--environment", "prod"]].concat();
    let _ = print(&by_name).success().stderr_has("ORG@ID/REPO@ID");
}

/// A server whose one almighty user makes the roles; nobody else may do anything without one.
pub(crate) fn stack() -> &'static Ministack {
    static SERVER: OnceLock<Ministack> = OnceLock::new();
    SERVER.get_or_init(Ministack::start_strict)
}

fn as_root(bucket: &Bucket) -> Cli {
    Cli::new()
        .envs(bucket.access.environment())
        .env("BACKUP_STORE", bucket.store("backups"))
}

/// Somebody with nothing but a token, who wants to be the role.
fn with_token(bucket: &Bucket, role_arn: &str, issuer: &str, subject: &str, audience: &str) -> Cli {
    let cli = Cli::new()
        .env("AWS_REGION", &bucket.access.region)
        .env("AWS_ENDPOINT_URL", &bucket.access.endpoint)
        .env("BACKUP_STORE", bucket.store("backups"))
        .env("AWS_ROLE_ARN", role_arn);
    let encoded = |value: serde_json::Value| BASE64_URL_SAFE_NO_PAD.encode(value.to_string());
    let token = format!(
        "{}.{}.{}",
        encoded(serde_json::json!({ "alg": "RS256", "typ": "JWT" })),
        encoded(serde_json::json!({ "iss": issuer, "sub": subject, "aud": audience, "exp": 4_102_444_800_u64 })),
        BASE64_URL_SAFE_NO_PAD.encode("no signature")
    );
    let path = cli.home().join("token");
    std::fs::write(&path, token).unwrap();
    std::fs::create_dir(cli.home().join("www")).unwrap();
    std::fs::write(cli.home().join("www/index.html"), "x").unwrap();
    cli.env("AWS_WEB_IDENTITY_TOKEN_FILE", path)
}

#[test]
fn a_role_is_made_once_and_lets_in_whom_it_trusts_for_what_it_is_for() {
    const GITHUB: &str = "https://token.actions.githubusercontent.com";
    const SUBJECT: &str = "repo:acme@12/web@345:environment:prod";
    let bucket = stack().bucket();
    let root = as_root(&bucket);
    let apply = |role: &str, further: &[&str]| {
        let whom = ["--for", "github", "--repo", "acme@12/web@345", "--environment", "prod"];
        let arguments = [&["iam", "apply", "--role", role], &whom[..], further].concat();
        root.run(arguments).nowhere(SECRET_KEY)
    };
    // Looked at, not confirmed, made, and as it should be.
    let _ = apply("writer", &["--dry-run"])
        .success()
        .stdout_has("would be made     role backup-cli-writer: whom it trusts")
        .stdout_has("Nothing was changed: this is a dry run.");
    let _ = apply("writer", &[])
        .exits_with(21)
        .stdout_has("would be made     role backup-cli-writer: whom it trusts")
        .stderr_has("--confirm")
        .stderr_has("Nothing was changed");
    let made = apply("writer", &["--json", "-y"]).success().json();
    assert_eq!(made["role_name"], "backup-cli-writer", "{made:#}");
    assert_eq!(
        (&made["role"]["step"], &made["changed"]),
        (&"made".into(), &true.into()),
        "{made:#}"
    );
    let _ = apply("writer", &["-y"]).success().stdout_has("is as it should be");
    let again = apply("writer", &["--dry-run", "--json"]).success().json();
    assert_eq!(
        (&again["policy"]["step"], &again["changed"]),
        (&"stays".into(), &false.into()),
        "{again:#}"
    );

    let writer_arn = made["role_arn"].as_str().unwrap();
    let writer = with_token(&bucket, writer_arn, GITHUB, SUBJECT, "sts.amazonaws.com");
    let _ = writer.run(["backup", "www"]).success();
    assert_eq!(bucket.keys().len(), 3, "{:?}", bucket.keys());
    for (arguments, missing) in [
        (&["list"][..], "s3:ListBucket"),
        (&["prune", "--keep-last", "1", "-y"], "s3:ListBucket"),
    ] {
        let outcome = writer.run(arguments);
        assert_ne!(outcome.code(), 0, "{outcome}");
        let _ = outcome.stderr_has(&format!(
            "Hint: The credentials need the permission {missing} on `arn:aws:s3:::"
        ));
    }
    // The wrong place in the repository, another repository, another audience.
    for (subject, audience) in [
        ("repo:acme@12/web@345:ref:refs/heads/main", "sts.amazonaws.com"),
        ("repo:evil@13/web@345:environment:prod", "sts.amazonaws.com"),
        (SUBJECT, "https://github.com/acme"),
    ] {
        let stranger = with_token(&bucket, writer_arn, GITHUB, subject, audience);
        let outcome = stranger.run(["backup", "www"]);
        assert_ne!(outcome.code(), 0, "{subject} {audience}\n{outcome}");
    }

    // Another role for the machines of an app.
    let whom = ["--for", "fly", "--org", "acme", "--app", "web"];
    let arguments = [&["iam", "apply", "--role", "restorer", "-y", "--json"], &whom[..]].concat();
    let made = root.run(arguments).success().json();
    let restorer_arn = made["role_arn"].as_str().unwrap();
    let restorer = with_token(
        &bucket,
        restorer_arn,
        "https://oidc.fly.io/acme",
        "acme:web:machine-1",
        "sts.amazonaws.com",
    );
    let _ = restorer.run(["list"]).success().stdout_has("www_backup_");
    let _ = restorer.run(["restore", "latest", "--to", "back"]).success();
    let outcome = restorer.run(["backup", "www", "--shape-guard", "off"]).exits_with(1);
    let _ = outcome.stderr_has("Hint: The credentials need the permission s3:PutObject on `arn:aws:s3:::");
    let other = with_token(
        &bucket,
        restorer_arn,
        "https://oidc.fly.io/acme",
        "acme:other:machine-1",
        "sts.amazonaws.com",
    );
    assert_ne!(other.run(["list"]).code(), 0);

    // Who may not make roles is told which permission it takes.
    let outcome = writer.run([
        "iam", "apply", "--role", "admin", "-y", "--for", "fly", "--org", "acme", "--app", "web",
    ]);
    let _ = outcome
        .exits_with(1)
        .stderr_has("Hint: The credentials need the permission iam:GetOpenIDConnectProvider");
}

#[test]
fn what_others_wrote_into_a_role_stays_and_what_differs_is_shown() {
    let bucket = stack().bucket();
    let root = as_root(&bucket);
    let apply = |environment: &str, further: &[&str]| {
        let whom = [
            "--for",
            "github",
            "--repo",
            "acme@12/web@345",
            "--environment",
            environment,
        ];
        let role = ["iam", "apply", "--role", "pruner", "--role-name", "shared"];
        root.run([&role[..], &whom, further].concat())
    };
    let others = r#"{"Version":"2012-10-17","Statement":[{"Sid":"Ops","Effect":"Allow","Principal":{"AWS":"arn:aws:iam::000000000000:root"},"Action":"sts:AssumeRole"}]}"#;
    let foreign =
        r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"s3:ListAllMyBuckets","Resource":"*"}]}"#;
    let ask = |action: &str, fields: &[(&str, &str)]| identity(&bucket, action, fields);
    ask(
        "CreateRole",
        &[
            ("RoleName", "shared"),
            ("AssumeRolePolicyDocument", others),
            ("Description", "Ours for long"),
        ],
    );
    let mine = [
        ("RoleName", "shared"),
        ("PolicyName", "mine"),
        ("PolicyDocument", foreign),
    ];
    ask("PutRolePolicy", &mine);
    let shown = apply("prod", &["--dry-run"]).success();
    let shown = shown
        .stdout_has("would be changed  role shared: whom it trusts")
        .stdout_has("One more statement");
    assert!(!shown.stdout().contains("- "), "{shown}");
    let _ = apply("prod", &["-y"]).success();
    let _ = apply("prod", &["-y"]).success().stdout_has("is as it should be");
    // Another environment takes the place of the first.
    let shown = apply("stage", &["-y"]).success();
    let sub = "\"repo:acme@12/web@345:environment:";
    assert!(
        shown.stdout().contains(&format!("{sub}stage\"")) && shown.stdout().contains(&format!("{sub}prod\"")),
        "{shown}"
    );
    let role = ask("GetRole", &[("RoleName", "shared")]);
    assert!(
        role.contains("Ours for long") && role.contains("Ops") && role.contains("environment%3Astage"),
        "{role}"
    );
    assert!(!role.contains("environment%3Aprod"), "{role}");
    let policies = ask("ListRolePolicies", &[("RoleName", "shared")]);
    assert!(
        policies.contains("mine") && policies.contains("backup-cli-pruner"),
        "{policies}"
    );
}

#[test]
fn a_policy_for_other_roles_goes_and_one_that_somebody_changed_is_told() {
    let bucket = stack().bucket();
    let root = as_root(&bucket);
    let whom = ["--for", "fly", "--org", "acme", "--app", "web", "--role-name", "grown"];
    let both = [&["iam", "apply", "--role", "writer", "--role", "pruner"], &whom[..]].concat();
    let apply = |further: &[&str]| root.run(both.iter().chain(further));
    let policies = || identity(&bucket, "ListRolePolicies", &[("RoleName", "grown")]);
    let _ = root
        .run([&["iam", "apply", "--role", "writer", "-y"], &whom[..]].concat())
        .success();
    let _ = apply(&["--dry-run"])
        .success()
        .stdout_has("would be removed  role grown: its policy backup-cli-writer, which is for other roles");
    let _ = apply(&[]).exits_with(21).stdout_has("would be removed");
    assert!(policies().contains("backup-cli-writer<"), "{}", policies());
    let made = apply(&["-y", "--json"]).success().json();
    assert_eq!(made["beside"]["superseded"][0]["step"], "removed", "{made:#}");
    let left = policies();
    assert!(
        left.contains("backup-cli-writer-pruner<") && !left.contains("backup-cli-writer<"),
        "{left}"
    );
    let _ = apply(&["-y"]).success().stdout_has("is as it should be");

    // What the writer was refused is not refused any more.
    let arn = made["role_arn"].as_str().unwrap();
    let taken = || {
        with_token(
            &bucket,
            arn,
            "https://oidc.fly.io/acme",
            "acme:web:m",
            "sts.amazonaws.com",
        )
    };
    let grown = taken();
    let _ = grown.run(["backup", "www"]).success();
    let _ = grown.run(["pin", "www@latest"]).success();
    let _ = grown.run(["unpin", "www@latest"]).success();
    assert_eq!(bucket.keys().len(), 3, "{:?}", bucket.keys());

    // One with such a name and something of somebody else's in it stays, and who has no right to look is told.
    let put = |name: &str, document: &str| {
        let fields = [
            ("RoleName", "grown"),
            ("PolicyName", name),
            ("PolicyDocument", document),
        ];
        identity(&bucket, "PutRolePolicy", &fields)
    };
    let edited =
        r#"{"Version":"2012-10-17","Statement":[{"Effect":"Deny","Action":"s3:PutBucketCORS","Resource":"*"}]}"#;
    put("backup-cli-admin", edited);
    let _ = apply(&["-y"])
        .success()
        .stderr_has("It refuses s3:PutBucketCORS")
        .stderr_has("`aws iam delete-role-policy --role-name grown --policy-name backup-cli-admin`")
        .stdout_has("is as it should be");
    assert!(policies().contains("backup-cli-admin<"), "{}", policies());
    let looking = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"iam:Get*","Resource":"*"}]}"#;
    put("looking", looking);
    let _ = taken()
        .run(both.iter().chain(&["--dry-run"]))
        .success()
        .stderr_has("it takes iam:ListRolePolicies");
}

/// One request of the identity service by the almighty user, whose signature this server does not check.
pub(crate) fn identity(bucket: &Bucket, action: &str, fields: &[(&str, &str)]) -> String {
    let host = bucket.access.endpoint.trim_start_matches("http://");
    let body = url::form_urlencoded::Serializer::new(String::new())
        .extend_pairs([("Action", action), ("Version", "2010-05-08")])
        .extend_pairs(fields)
        .finish();
    let key = &bucket.access.access_key;
    let mut stream = TcpStream::connect(host).unwrap();
    let head = format!(
        "POST / HTTP/1.1\r\nHost: {host}\r\nAuthorization: AWS4-HMAC-SHA256 Credential={key}/20260131/us-east-1/iam/aws4_request, \
         SignedHeaders=host, Signature=0\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: {}\r\n\
         Connection: close\r\n\r\n",
        body.len()
    );
    stream.write_all(head.as_bytes()).unwrap();
    stream.write_all(body.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200"), "{action}: {answer}");
    answer
}
