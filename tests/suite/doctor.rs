//! `doctor` against servers that are as they should be, and against those that are not.

use std::os::unix::fs::PermissionsExt;
use std::sync::OnceLock;
use std::time::Duration;

use rustix::process::Signal;

use super::support::cli::{Cli, Outcome};
use super::support::fault_s3::{Fault, FaultS3, Op, Options, Request, When};
use super::support::ministack::Ministack;
use super::support::s3_client::S3Access;
use super::support::server::free_ports;
use super::support::weed::{ACCESS_KEY, Bucket, SECRET_KEY, Weed};
use super::support::{aws, mariadb, postgres, system_tool};

/// What the throw-away object is called, whatever happens.
const TRIAL_KEY: &str = "backups/backup-cli-doctor.index.gz";

const WRITER: (&str, &str) = ("AKTESTDOCTORWRITER01", "canary/doctor+writer00000000000000000000");
const READER: (&str, &str) = ("AKTESTDOCTORREADER01", "canary/doctor+reader00000000000000000000");

/// A real server with one user who may do everything, one who may only write, and one who may only read.
fn weed() -> &'static Weed {
    static SERVER: OnceLock<Weed> = OnceLock::new();
    SERVER.get_or_init(|| {
        let user = |name: &str, (key, secret): (&str, &str), actions: &[&str]| {
            serde_json::json!({
                "name": name,
                "credentials": [{ "accessKey": key, "secretKey": secret }],
                "actions": actions,
            })
        };
        let identities = serde_json::json!({ "identities": [
            user("root", (ACCESS_KEY, SECRET_KEY), &["Admin", "Read", "List", "Tagging", "Write"]),
            user("writer", WRITER, &["Write"]),
            user("reader", READER, &["Read", "List"]),
        ] });
        Weed::with_identities(&identities.to_string())
    })
}

fn as_user(bucket: &Bucket, (key, secret): (&str, &str)) -> Cli {
    let access = S3Access {
        access_key: key.to_owned(),
        secret_key: secret.to_owned(),
        ..bucket.access.clone()
    };
    Cli::new()
        .envs(access.environment())
        .env("BACKUP_STORE", bucket.store("backups"))
        .env("BACKUP_REGION", &bucket.access.region)
}

/// The checks of a run, by id.
struct Checks(serde_json::Value);

impl Checks {
    #[track_caller]
    fn of(cli: &Cli, arguments: &[&str]) -> (Self, Outcome) {
        let outcome = cli.run(["doctor", "--json"].iter().chain(arguments));
        let outcome = outcome
            .nowhere(SECRET_KEY)
            .nowhere(WRITER.1)
            .nowhere(READER.1)
            .nowhere(super::support::fault_s3::SECRET_KEY);
        (Self(outcome.json()), outcome)
    }

    #[track_caller]
    fn find(&self, id: &str) -> &serde_json::Value {
        self.0["checks"]
            .as_array()
            .and_then(|checks| checks.iter().find(|check| check["id"] == id))
            .unwrap_or_else(|| panic!("there is no check `{id}`: {:#}", self.0))
    }

    /// Asserts a status, and that the message holds a text.
    #[track_caller]
    fn has(&self, id: &str, status: &str, text: &str) -> &Self {
        let check = self.find(id);
        let message = check["message"].as_str().unwrap_or_default();
        assert_eq!(check["status"], status, "{check:#}");
        assert!(message.contains(text), "`{text}` is not in {check:#}");
        self
    }

    /// Asserts that what to do now holds a text.
    #[track_caller]
    fn hints(&self, id: &str, text: &str) -> &Self {
        let check = self.find(id);
        let hint = check["hint"].as_str().unwrap_or_default();
        assert!(hint.contains(text), "`{text}` is not in {check:#}");
        self
    }

    /// The ids of what failed.
    fn failed(&self) -> Vec<&str> {
        self.0["checks"]
            .as_array()
            .into_iter()
            .flatten()
            .filter(|check| check["status"] == "failed")
            .filter_map(|check| check["id"].as_str())
            .collect()
    }
}

#[track_caller]
fn nothing_is_left(bucket: &Bucket) {
    assert_eq!(bucket.keys(), [""; 0]);
    assert_eq!(bucket.uploads(), [""; 0]);
}

#[test]
fn a_real_server_is_well_for_who_may_do_everything() {
    let bucket = weed().bucket();
    let cli = as_user(&bucket, (ACCESS_KEY, SECRET_KEY));
    std::fs::create_dir(cli.home().join("www")).unwrap();
    std::fs::write(cli.home().join("www/index.html"), "x").unwrap();
    let (checks, outcome) = Checks::of(&cli, &["www", "--provider", "seaweedfs"]);
    assert_eq!(outcome.code(), 0, "{outcome}");
    for id in [
        "store.connection",
        "store.tls",
        "store.credentials",
        "store.region",
        "store.clock",
        "store.write",
        "store.read",
        "store.list",
        "store.delete",
        "store.create-only",
        "store.replace",
        "store.multipart",
        "store.create-only-multipart",
        "store.abort",
        "store.part-minimum",
        "store.parts-equal",
        "store.etag",
        "store.integrity",
        "store.checksum",
        "store.checksum-trailer",
        "store.provider",
        "store.unfinished",
        "bucket.versioning",
        "bucket.lifecycle-expiry",
        "bucket.lifecycle-archive",
        "source.readable",
        "source.size",
        "machine.temporary-space",
        "machine.lock-folder",
    ] {
        checks.has(id, "ok", "");
    }
    checks
        .has("store.part-minimum", "ok", "few bytes are refused")
        .has("store.checksum-trailer", "ok", "Accepted behind the body")
        .has("store.provider", "ok", "agrees")
        .has("bucket.public-access", "skipped", "does not have it")
        .has("bucket.lifecycle-uploads", "warning", "No lifecycle rule")
        .has("series.age", "warning", "`www` has no backup yet")
        .hints("series.age", "`backup-cli restore www@latest --to ./restored`");
    assert_eq!(checks.0["status"], "warning");
    nothing_is_left(&bucket);
    // The name of the server is enough to know it, and a real backup counts.
    let _ = cli.run(["backup", "www"]).success();
    let _ = cli.run(["restore", "www@latest", "--to", "./restored"]).success();
    let (checks, outcome) = Checks::of(&cli, &["www"]);
    assert_eq!(outcome.code(), 0, "{outcome}");
    checks
        .has("series.age", "ok", "`www` is")
        .has("store.provider", "ok", "SeaweedFS");
    assert_eq!(
        checks.0["settings"][0]["set"]["provider"], "seaweedfs",
        "{:#}",
        checks.0
    );
    assert_eq!(bucket.keys().len(), 3, "{:?}", bucket.keys());
}

#[test]
fn a_bucket_that_keeps_or_locks_what_is_written_does_not_fill_up() {
    let kept = weed().bucket();
    let blind = weed().bucket();
    let locked = weed().bucket();
    let endpoint = kept.access.endpoint.as_str();
    let policy = format!(
        r#"{{"Version":"2012-10-17","Statement":[{{"Effect":"Deny","Principal":"*","Action":"s3:DeleteObjectVersion",
            "Resource":"arn:aws:s3:::{}/*"}}]}}"#,
        kept.name
    );
    // Who may not look does not know which version stands there.
    let blinding = policy.replace(&kept.name, &blind.name).replace(
        r#""s3:DeleteObjectVersion""#,
        r#"["s3:DeleteObjectVersion","s3:DeleteObject","s3:GetObject"]"#,
    );
    let script = r#"
        aws --endpoint-url "$URL" s3api put-bucket-versioning --bucket "$BLIND" --versioning-configuration Status=Enabled
        aws --endpoint-url "$URL" s3api put-bucket-policy --bucket "$BLIND" --policy "$BLINDING"
        aws --endpoint-url "$URL" s3api put-bucket-versioning --bucket "$KEPT" --versioning-configuration Status=Enabled
        aws --endpoint-url "$URL" s3api put-bucket-policy --bucket "$KEPT" --policy "$POLICY"
        aws --endpoint-url "$URL" s3api create-bucket --bucket "$LOCKED-lock" --object-lock-enabled-for-bucket >/dev/null
        aws --endpoint-url "$URL" s3api put-object-lock-configuration --bucket "$LOCKED-lock" --object-lock-configuration \
            '{"ObjectLockEnabled":"Enabled","Rule":{"DefaultRetention":{"Mode":"GOVERNANCE","Days":30}}}'
    "#;
    let variables = [
        ("URL", endpoint),
        ("KEPT", &kept.name),
        ("LOCKED", &locked.name),
        ("POLICY", &policy),
        ("BLIND", &blind.name),
        ("BLINDING", &blinding),
    ];
    let _ = aws::shell(&kept.access, script, &variables);
    let locked = Bucket {
        name: format!("{}-lock", locked.name),
        ..locked
    };
    for _ in 0..3 {
        let (checks, outcome) = Checks::of(&as_user(&blind, (ACCESS_KEY, SECRET_KEY)), &[]);
        assert_eq!(outcome.code(), 0, "{outcome}");
        checks
            .has("store.read", "warning", "Not allowed: s3:GetObject")
            .has("store.delete", "warning", "Not allowed: s3:DeleteObjectVersion")
            .has("store.delete", "warning", "further runs add nothing")
            .has("store.multipart", "ok", "up to the last step");
        let (checks, outcome) = Checks::of(&as_user(&kept, (ACCESS_KEY, SECRET_KEY)), &[]);
        assert_eq!(outcome.code(), 0, "{outcome}");
        checks
            .has("store.delete", "warning", "Not allowed: s3:DeleteObjectVersion")
            .has("store.delete", "warning", "backup-cli-doctor.index.gz` stays")
            .has("store.parts-equal", "skipped", "cannot be removed");
        let cli = as_user(&locked, (ACCESS_KEY, SECRET_KEY)).env("BACKUP_S3_RETENTION_DAYS", "14");
        let (checks, outcome) = Checks::of(&cli, &[]);
        assert_eq!(outcome.code(), 0, "{outcome}");
        checks
            .has(
                "bucket.object-lock",
                "warning",
                "locked for 30 days (GOVERNANCE), longer than the 14 days",
            )
            .has("store.delete", "skipped", "locks every new object")
            .has("store.abort", "ok", "");
    }
    for bucket in [&kept, &blind, &locked] {
        assert_eq!(bucket.client().versions(&bucket.name), [TRIAL_KEY]);
        assert_eq!(bucket.uploads(), [""; 0]);
    }
}

/// The user of whom everybody is told: with the policy that is printed, in a bucket that keeps versions.
#[test]
fn the_role_of_a_writer_leaves_one_version_however_often_it_is_looked_at() {
    let bucket = super::iam::stack().bucket();
    bucket.client().enable_versioning(&bucket.name);
    let writer = super::permissions::user_of_a_role(&bucket, "writer");
    for _ in 0..3 {
        let (checks, outcome) = Checks::of(&writer, &[]);
        assert_eq!(outcome.code(), 0, "{outcome}");
        checks
            .has("store.write", "ok", "")
            .has("store.delete", "warning", "further runs add nothing")
            .hints("store.delete", "s3:DeleteObjectVersion")
            .has("store.multipart", "ok", "");
    }
    assert_eq!(bucket.client().versions(&bucket.name), [TRIAL_KEY]);
    assert_eq!(bucket.uploads(), [""; 0]);
}

#[test]
fn who_may_only_write_is_told_what_could_not_be_looked_at() {
    let bucket = weed().bucket();
    let (checks, outcome) = Checks::of(&as_user(&bucket, WRITER), &[]);
    assert_eq!(outcome.code(), 0, "{outcome}");
    checks
        .has("store.write", "ok", "")
        .has("store.multipart", "ok", "")
        .has("store.create-only", "ok", "")
        .has(
            "store.read",
            "warning",
            "Not allowed: s3:GetObject. Right for a machine that only makes backups",
        )
        .has(
            "store.list",
            "warning",
            "Not allowed: s3:ListBucket. Right for a machine that only makes backups",
        )
        .hints("store.list", "grant s3:ListBucket on `arn:aws:s3:::test-bucket-")
        .has("store.etag", "skipped", "not allowed: s3:GetObject")
        .has("bucket.versioning", "skipped", "not allowed: s3:GetBucketVersioning")
        .has(
            "bucket.lifecycle-expiry",
            "skipped",
            "not allowed: s3:GetLifecycleConfiguration",
        );
    nothing_is_left(&bucket);
}

#[test]
fn who_may_only_read_can_restore_but_makes_no_backup() {
    let bucket = weed().bucket();
    bucket.put("backups/20260131/app_backup_20260131_020000.sql.gz", b"x");
    let cli = as_user(&bucket, READER);
    let (checks, outcome) = Checks::of(&cli, &[]);
    assert_eq!(outcome.code(), 0, "{outcome}");
    checks
        .has("store.write", "warning", "Not allowed: s3:PutObject")
        .has("store.read", "ok", "")
        .has("store.list", "ok", "")
        .has("store.delete", "skipped", "nothing could be written");
    let (checks, outcome) = Checks::of(&cli, &["/etc/hostname"]);
    assert_eq!(outcome.code(), 1, "{outcome}");
    assert_eq!(checks.failed(), ["store.write"]);
    checks.hints("store.write", "Grant s3:PutObject on `arn:aws:s3:::");
    assert_eq!(bucket.keys().len(), 1);
}

#[test]
fn what_is_wrong_on_the_way_to_the_bucket_is_told_apart() {
    let bucket = weed().bucket();
    let (checks, outcome) = Checks::of(&as_user(&bucket, (ACCESS_KEY, "wrong-secret")), &[]);
    assert_eq!(outcome.code(), 1, "{outcome}");
    assert_eq!(checks.failed(), ["store.credentials"]);
    checks.hints("store.credentials", "secret access key").has(
        "store.write",
        "skipped",
        "the credentials are not accepted",
    );
    let missing = as_user(&bucket, (ACCESS_KEY, SECRET_KEY)).env("BACKUP_STORE", "s3://no-such-bucket-here/backups");
    let (checks, _) = Checks::of(&missing, &[]);
    assert_eq!(checks.failed(), ["store.connection"]);
    checks
        .has("store.connection", "failed", "No such bucket: `no-such-bucket-here`")
        .has("store.write", "skipped", "there is no such bucket");
    let [port] = free_ports();
    let nobody = as_user(&bucket, WRITER).env("BACKUP_ENDPOINT_URL", format!("http://127.0.0.1:{port}"));
    let (checks, outcome) = Checks::of(&nobody, &[]);
    assert_eq!(checks.failed(), ["store.connection"]);
    assert!(outcome.took() < Duration::from_secs(20), "{outcome}");
    let no_tls = as_user(&bucket, WRITER).env(
        "BACKUP_ENDPOINT_URL",
        bucket.access.endpoint.replace("http://", "https://"),
    );
    let (checks, _) = Checks::of(&no_tls, &[]);
    assert_eq!(checks.failed(), ["store.tls"]);
    nothing_is_left(&bucket);
}

/// A hotel's page, a proxy's, a console's: it greets whatever it is asked.
#[test]
fn a_page_that_answers_everything_is_no_store() {
    for page in ["<!DOCTYPE html><html>Log in!</html>", "Welcome"] {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let answer = format!(
            "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nConnection: close\r\nContent-Length: {}\r\n\r\n",
            page.len()
        );
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                use std::io::{Read as _, Write as _};
                let mut stream = stream.unwrap();
                let mut request = [0; 16 * 1024];
                let count = stream.read(&mut request).unwrap_or(0);
                let _ = stream.write_all(answer.as_bytes());
                if !request[..count].starts_with(b"HEAD") {
                    let _ = stream.write_all(page.as_bytes());
                }
            }
        });
        let cli = Cli::new()
            .env("BACKUP_STORE", "s3://bucket/backups")
            .env("BACKUP_ENDPOINT_URL", format!("http://127.0.0.1:{port}"))
            .env("BACKUP_AWS_ACCESS_KEY_ID", WRITER.0)
            .env("BACKUP_AWS_SECRET_ACCESS_KEY", WRITER.1);
        let (checks, outcome) = Checks::of(&cli, &[]);
        assert_eq!(outcome.code(), 1, "{outcome}");
        assert_eq!(checks.failed(), ["store.connection"], "{outcome}");
        checks
            .has("store.connection", "failed", "is no S3 server")
            .hints("store.connection", "a console or a web site has another host or port")
            .has("store.write", "skipped", "what answers is no S3 server");
    }
}

#[test]
fn each_fault_of_a_certificate_is_told_apart_by_every_command() {
    let folder = super::support::project().join("tests/suite/doctor/certificates");
    for (name, is_trusted, cause, hint) in [
        ("expired", true, "ended on 2021-01-31 at 02:00:00 UTC", "Renew"),
        ("future", true, "begins on 2110-01-31 at 02:00:00 UTC", "NTP"),
        (
            "other-name",
            true,
            "is for `s3.example.com`, `*.s3.example.com`, not for `127.0.0.1`",
            "subjectAltName=IP:127.0.0.1",
        ),
        (
            "own",
            false,
            "comes from nobody whom this machine trusts",
            "SSL_CERT_FILE",
        ),
        (
            "authority",
            true,
            "one of an authority (CA:TRUE)",
            "basicConstraints=critical,CA:FALSE",
        ),
    ] {
        let certificate = folder.join(format!("{name}.pem"));
        let [port] = free_ports();
        let mut server = std::process::Command::new(system_tool("openssl"))
            .args(["s_server", "-quiet", "-accept", &format!("127.0.0.1:{port}"), "-cert"])
            .arg(&certificate)
            .arg("-key")
            .arg(folder.join("key.pem"))
            .stdin(std::process::Stdio::piped())
            .stdout(std::process::Stdio::null())
            .stderr(std::process::Stdio::null())
            .spawn()
            .unwrap();
        let is_up = (0..500).any(|_| {
            std::thread::sleep(Duration::from_millis(10));
            std::net::TcpStream::connect(("127.0.0.1", port)).is_ok()
        });
        let cli = Cli::new()
            .env("BACKUP_STORE", "s3://bucket/backups")
            .env("BACKUP_ENDPOINT_URL", format!("https://127.0.0.1:{port}"))
            .env("BACKUP_AWS_ACCESS_KEY_ID", WRITER.0)
            .env("BACKUP_AWS_SECRET_ACCESS_KEY", WRITER.1);
        let cli = match is_trusted {
            true => cli.env("SSL_CERT_FILE", &certificate),
            false => cli,
        };
        let (checks, outcome) = Checks::of(&cli, &[]);
        let listed = cli.run(["list"]);
        let _ = server.kill();
        let _ = server.wait();
        assert!(is_up, "openssl s_server did not start");
        assert_eq!(checks.failed(), ["store.tls"], "{outcome}");
        checks.has("store.tls", "failed", cause).hints("store.tls", hint);
        let listed = listed
            .exits_with(1)
            .stderr_has(&format!("No secure connection to `https://127.0.0.1:{port}`"))
            .stderr_has(cause)
            .stderr_has(hint);
        assert!(!listed.stderr().contains("http://"), "{listed}");
    }
}

fn faults_user(server: &FaultS3, bucket: &str) -> Cli {
    Cli::new().envs(server.environment(bucket))
}

#[test]
fn a_server_with_other_habits_than_the_table_has_is_noticed() {
    let server = FaultS3::with(Options {
        conditions: false,
        parts_equal: true,
        etags_are_md5: false,
        clock_ahead_secs: 600,
        region: Some(("eu-west-3".to_owned(), 400)),
        ..Options::default()
    });
    let bucket = server.bucket();
    let cli = faults_user(&server, &bucket)
        .env("BACKUP_PROVIDER", "aws")
        .env("BACKUP_REGION", "us-east-1");
    let (checks, outcome) = Checks::of(&cli, &[]);
    assert_eq!(outcome.code(), 1, "{outcome}");
    checks
        .has("store.region", "warning", "in `eu-west-3`, not in `us-east-1`")
        .has("store.clock", "failed", "behind the store's")
        .hints("store.clock", "NTP")
        .has("store.create-only", "warning", "ignores If-None-Match")
        .has("store.create-only-multipart", "warning", "ignores If-None-Match")
        .has("store.parts-equal", "warning", "Parts must be equal")
        .hints("store.parts-equal", "--provider other")
        .has("store.etag", "failed", "no MD5 sums")
        .hints("store.etag", "--provider other")
        .has("store.provider", "warning", "does not do what is known of AWS");
    // Checksums behind the body are really sent so.
    let has_trailer = |request: &Request| request.headers.iter().any(|(name, _)| name == "x-amz-trailer");
    assert!(server.requests_of(Op::PutObject).iter().any(has_trailer));
    let set = &checks.0["settings"][0]["set"];
    assert_eq!(
        (&set["provider"], &set["region"]),
        (&"other".into(), &"eu-west-3".into())
    );
    assert_eq!(server.keys(&bucket), [""; 0]);
    assert_eq!(server.open_uploads(&bucket), []);
    // With these settings it is well.
    let cli = faults_user(&server, &bucket).env("BACKUP_PROVIDER", "other");
    let (checks, _) = Checks::of(&cli, &[]);
    checks
        .has("store.region", "ok", "")
        .has("store.parts-equal", "ok", "")
        .has("store.etag", "ok", "not relied upon")
        .has("store.provider", "ok", "agrees");
    assert_eq!(checks.failed(), ["store.clock"]);
}

#[test]
fn each_missing_right_is_named_and_nothing_piles_up() {
    let server = FaultS3::start();
    for (op, id, status, permission) in [
        (Op::PutObject, "store.write", "warning", "s3:PutObject"),
        (Op::GetObject, "store.read", "warning", "s3:GetObject"),
        (Op::ListObjects, "store.list", "warning", "s3:ListBucket"),
        (Op::DeleteObject, "store.delete", "warning", "s3:DeleteObject"),
        (Op::CreateMultipartUpload, "store.multipart", "failed", "s3:PutObject"),
        (
            Op::AbortMultipartUpload,
            "store.abort",
            "warning",
            "s3:AbortMultipartUpload",
        ),
        (
            Op::ListMultipartUploads,
            "store.unfinished",
            "skipped",
            "s3:ListBucketMultipartUploads",
        ),
    ] {
        let bucket = server.bucket();
        server.heal();
        server.fault(When::every(op), Fault::ACCESS_DENIED);
        let cli = faults_user(&server, &bucket);
        for _ in 0..3 {
            let (checks, outcome) = Checks::of(&cli, &[]);
            assert_eq!(outcome.code(), i32::from(status == "failed"), "{outcome}");
            let check = checks.find(id);
            assert_eq!(check["status"], status, "{check:#}");
            let text = format!("{} {}", check["message"], check["hint"]);
            assert!(text.contains(permission), "{check:#}");
        }
        let left = server.keys(&bucket);
        match op {
            Op::DeleteObject => {
                assert_eq!(left, [TRIAL_KEY]);
                let object = server.object(&bucket, TRIAL_KEY).unwrap();
                assert!(object.bytes() < 100, "{} bytes", object.bytes());
                // It is no backup for anybody.
                server.heal();
                let listed = cli.run(["list", "--json"]).success().json();
                assert_eq!(listed, serde_json::json!([]));
                // Whoever may remove it does so.
                let _ = Checks::of(&cli, &[]);
                assert_eq!(server.keys(&bucket), [""; 0]);
            }
            _ => assert_eq!(left, [""; 0], "{op:?}"),
        }
        assert_eq!(server.open_uploads(&bucket), [], "{op:?}");
    }
}

#[test]
fn an_interruption_leaves_nothing_behind() {
    for op in [Op::HeadObject, Op::UploadPart, Op::CompleteMultipartUpload] {
        let server = FaultS3::start();
        let bucket = server.bucket();
        server.fault(
            When::first(op),
            Fault::Delay {
                time: Duration::from_secs(2),
            },
        );
        let mut run = faults_user(&server, &bucket).command(["doctor"]).start();
        run.wait_until("the request", |_| !server.requests_of(op).is_empty());
        run.signal(Signal::INT);
        let outcome = run.wait();
        assert_eq!(outcome.code(), 130, "{outcome}");
        assert_eq!(server.keys(&bucket), [""; 0], "{op:?}");
        assert_eq!(server.open_uploads(&bucket), [], "{op:?}");
    }
}

#[test]
fn a_body_that_stalls_can_be_interrupted() {
    let server = FaultS3::start();
    let bucket = server.bucket();
    let stalls = Fault::StallReply {
        after_bytes: 5,
        time: Duration::from_secs(100),
    };
    server.fault(When::first(Op::GetObject), stalls);
    let mut run = faults_user(&server, &bucket).command(["doctor"]).start();
    run.wait_until("the request", |_| !server.requests_of(Op::GetObject).is_empty());
    let signalled = std::time::Instant::now();
    run.signal(Signal::INT);
    let outcome = run.wait();
    assert_eq!(outcome.code(), 130, "{outcome}");
    assert!(signalled.elapsed() < Duration::from_secs(10), "{outcome}");
    assert_eq!(server.keys(&bucket), [""; 0]);
}

#[test]
fn what_a_bucket_is_set_to_is_judged() {
    let bucket = Ministack::shared().bucket();
    let name = bucket.name.as_str();
    let rules = r#"{"Rules":[
        {"ID":"cold","Status":"Enabled","Filter":{"Prefix":""},"Transitions":[{"Days":30,"StorageClass":"GLACIER"}]},
        {"ID":"old","Status":"Enabled","Filter":{"Prefix":"backups/"},"Expiration":{"Days":60}}]}"#;
    let script = r#"
        aws --endpoint-url "$AWS_ENDPOINT_URL" s3api put-bucket-lifecycle-configuration --bucket "$NAME" --lifecycle-configuration "$RULES"
        aws --endpoint-url "$AWS_ENDPOINT_URL" s3api put-bucket-versioning --bucket "$NAME" --versioning-configuration Status=Enabled
        aws --endpoint-url "$AWS_ENDPOINT_URL" s3api put-public-access-block --bucket "$NAME" \
            --public-access-block-configuration BlockPublicAcls=true,IgnorePublicAcls=true,BlockPublicPolicy=false,RestrictPublicBuckets=true
        aws --endpoint-url "$AWS_ENDPOINT_URL" kms create-key --query KeyMetadata.KeyId --output text
    "#;
    let endpoint = bucket.access.endpoint.as_str();
    let variables = [("NAME", name), ("RULES", rules), ("AWS_ENDPOINT_URL", endpoint)];
    let said = aws::shell(&bucket.access, script, &variables);
    let said = String::from_utf8_lossy(&said);
    let key = said.lines().last().expect("the key's id");
    let cli = Cli::new()
        .envs(bucket.environment())
        .env("BACKUP_SSE", "aws:kms")
        .env("BACKUP_SSE_KMS_KEY_ID", key);
    let (checks, outcome) = Checks::of(&cli, &[]);
    assert_eq!(outcome.code(), 0, "{outcome}");
    checks
        .has("store.identity", "warning", ":root")
        .has("bucket.public-access", "warning", "BlockPublicPolicy")
        .has("bucket.versioning", "warning", "nothing removes them")
        .has(
            "bucket.lifecycle-expiry",
            "warning",
            "`old` removes backups after 60 days",
        )
        .has(
            "bucket.lifecycle-archive",
            "ok",
            "`cold` moves backups to GLACIER after 30 days; manifests and indexes below 128 KiB stay",
        )
        .has("bucket.lifecycle-uploads", "warning", "No lifecycle rule")
        .has("store.etag", "ok", "KMS")
        .has("store.delete", "ok", "");
    // The settings alone, point by point.
    let compared = cli.run(["bucket", "check", "--json"]).exits_with(1);
    let document = compared.json();
    let verdict = |id: &str| {
        let points = document["points"].as_array().unwrap();
        points.iter().find(|point| point["id"] == id).unwrap()["verdict"].clone()
    };
    assert_eq!(verdict("versioning"), "right", "{document:#}");
    assert_eq!(verdict("public-access"), "different", "{document:#}");
    assert_eq!(verdict("unfinished-uploads"), "different", "{document:#}");
    let _ = cli
        .run(["bucket", "check"])
        .exits_with(1)
        .stdout_has("off: BlockPublicPolicy")
        .stdout_has("would make the backups public")
        .stderr_has("differs in");
    let _ = cli
        .run(["bucket", "check", "--store", "s3://no-such-bucket-here"])
        .exits_with(10);
    let _ = cli.run(["bucket", "check", "--store", "./store"]).exits_with(2);
    assert_eq!(bucket.keys(), [""; 0]);
    // With what is to be kept, the rule that removes too soon is a failure.
    let (checks, outcome) = Checks::of(&cli.env("BACKUP_S3_RETENTION_DAYS", "90"), &[]);
    assert_eq!(outcome.code(), 1, "{outcome}");
    assert_eq!(checks.failed(), ["bucket.lifecycle-expiry"]);
    checks.hints("bucket.lifecycle-expiry", "Set the rule to 90 days");
    // In a bucket that keeps versions nothing stays either, not even hidden.
    let versions = aws::run(
        &bucket.access,
        &[
            "--endpoint-url",
            endpoint,
            "s3api",
            "list-object-versions",
            "--bucket",
            name,
        ],
    );
    let versions = String::from_utf8_lossy(&versions);
    assert!(!versions.contains("backup-cli-doctor"), "{versions}");
}

#[test]
fn sources_are_tried_with_the_programs_that_dump_them() {
    let database = postgres::Database::fresh();
    let url = database.url();
    let cli = Cli::new();
    let (checks, outcome) = Checks::of(&cli, &[url.as_str()]);
    assert_eq!(outcome.code(), 0, "{outcome}");
    checks
        .has("source.connection", "ok", "The server answers")
        .has("source.tools", "ok", "`pg_dump`")
        .has("source.rights", "ok", "")
        .has("source.size", "ok", "About");
    // A server that is newer than every `pg_dump`.
    let clients = cli.home().join("clients");
    std::fs::create_dir(&clients).unwrap();
    let pg_dump = clients.join("pg_dump");
    std::fs::write(&pg_dump, "#!/bin/sh\necho 'pg_dump (PostgreSQL) 9.6.24'\n").unwrap();
    std::fs::set_permissions(&pg_dump, std::fs::Permissions::from_mode(0o755)).unwrap();
    std::os::unix::fs::symlink(postgres::server_programs().join("psql"), clients.join("psql")).unwrap();
    let old = cli
        .command(["doctor", "--json", &url])
        .env("BACKUP_PG_CLIENT_FOLDER", &clients)
        .run();
    assert_eq!(old.code(), 1, "{old}");
    Checks(old.json())
        .has("source.tools", "failed", "`pg_dump` must not be older")
        .hints("source.tools", "postgresql-client-")
        .has("source.connection", "skipped", "cannot be used");
    let (checks, _) = Checks::of(&cli, &["postgres://nobody@127.0.0.1:1/app"]);
    assert_eq!(checks.failed(), ["source.connection"]);

    let tables = mariadb::Database::fresh();
    tables.sql("CREATE TABLE kept (id INT PRIMARY KEY) ENGINE=InnoDB; CREATE TABLE loose (id INT) ENGINE=MyISAM;");
    let url = tables.url();
    let (checks, outcome) = Checks::of(&cli, &[url.as_str()]);
    assert_eq!(outcome.code(), 0, "{outcome}");
    checks
        .has("source.consistency", "warning", "`loose` (MyISAM)")
        .has("source.tools", "ok", "mariadb-dump");
    tables.sql("DROP TABLE loose;");
    Checks::of(&cli, &[url.as_str()]).0.has("source.consistency", "ok", "");
}

#[test]
fn a_file_that_cannot_be_read_is_named_and_a_missing_source_fails() {
    let setpriv = system_tool("setpriv").display().to_string();
    let cli = match rustix::process::geteuid().is_root() {
        true => Cli::new().through([&setpriv, "--bounding-set=-dac_override,-dac_read_search", "--"]),
        false => Cli::new(),
    };
    let tree = cli.home().join("tree");
    std::fs::create_dir(&tree).unwrap();
    std::fs::write(tree.join("open"), "x").unwrap();
    std::fs::write(tree.join("shut"), "x").unwrap();
    std::fs::set_permissions(tree.join("shut"), std::fs::Permissions::from_mode(0o000)).unwrap();
    let (checks, outcome) = Checks::of(&cli, &["tree"]);
    assert_eq!(outcome.code(), 0, "{outcome}");
    checks.has("source.readable", "warning", "cannot read 1 of the 3 items");
    let (checks, outcome) = Checks::of(&cli, &["tree/gone"]);
    assert_eq!(outcome.code(), 1, "{outcome}");
    assert_eq!(checks.failed(), ["source.readable"]);
    std::fs::write(tree.join("broken.db"), b"SQLite format 3\0 and no more").unwrap();
    let (checks, _) = Checks::of(&cli, &["tree/broken.db"]);
    assert_eq!(checks.failed(), ["source.readable"]);
}

#[test]
fn a_folder_that_is_read_only_or_full_or_open_to_all_is_noticed() {
    let mounted = |script: &str| {
        let flags = match rustix::process::geteuid().is_root() {
            true => "-m",
            false => "-rm",
        };
        let unshare = system_tool("unshare").display().to_string();
        let script = format!("mkdir -p store; {script}\nexec \"$@\"");
        Cli::new()
            .through([unshare.as_str(), flags, "/bin/sh", "-ec", &script, "sh"])
            .env("BACKUP_STORE", "./store")
    };
    let (checks, outcome) = Checks::of(&mounted("mount -t tmpfs -o ro tmpfs store"), &[]);
    assert_eq!(outcome.code(), 1, "{outcome}");
    assert_eq!(checks.failed(), ["store.write"]);
    checks.has("store.write", "failed", "Read-only file system");
    let full = "mount -t tmpfs -o size=64k tmpfs store; head -c 100000 /dev/zero >store/fill 2>/dev/null || true";
    let (checks, _) = Checks::of(&mounted(full), &[]);
    assert_eq!(checks.failed(), ["store.write", "store.free-space"]);
    let (checks, outcome) = Checks::of(&mounted("chmod 755 store"), &[]);
    assert_eq!(outcome.code(), 0, "{outcome}");
    checks
        .has("store.write", "ok", "")
        .has("store.durable", "ok", "")
        .has("store.create-only", "ok", "")
        .has("store.case", "ok", "")
        .has("store.permissions", "warning", "mode 755")
        .hints("store.permissions", "chmod 700");
    // What doctors that were killed left goes with the next one, and `cleanup` knows it too.
    let left_behind = Cli::new().env("BACKUP_STORE", "./store");
    let store = left_behind.home().join("store");
    std::fs::create_dir(&store).unwrap();
    let is_left = |name: &str| store.join(name).exists();
    let leave = |name: &str, age_secs: u64| {
        std::fs::write(store.join(name), "x").unwrap();
        let old = std::time::SystemTime::now() - Duration::from_secs(age_secs);
        let file = std::fs::File::options().write(true).open(store.join(name)).unwrap();
        file.set_modified(old).unwrap();
    };
    const KILLED: &str = ".backup-cli-unfinished.Doctor-aB3xYz.backup-cli-doctor.index.gz";
    const SHORT: &str = ".backup-cli-unfinished.Doctor-aB3xYz";
    const FOREIGN: &str = ".backup-cli-unfinished.0123.www_backup_20260131_020000.tar.gz";
    leave(KILLED, 30);
    leave(FOREIGN, 700);
    let (checks, _) = Checks::of(&left_behind, &[]);
    checks.has("store.unfinished", "ok", "last week: 1");
    assert!(is_left(KILLED) && is_left(FOREIGN));
    leave(KILLED, 700);
    leave(SHORT, 700);
    let (checks, _) = Checks::of(&left_behind, &[]);
    checks.has("store.unfinished", "ok", "last week: 1");
    assert!(!is_left(KILLED) && !is_left(SHORT) && is_left(FOREIGN));
    leave(KILLED, 9 * 24 * 60 * 60);
    let outcome = left_behind.run(["cleanup", "--confirm"]).success();
    assert!(!outcome.to_string().contains("not ours"), "{outcome}");
    assert!(!is_left(KILLED), "{outcome}");
    // Each of several stores has its own lines.
    let several = Cli::new();
    std::fs::create_dir(several.home().join("a")).unwrap();
    let (checks, _) = Checks::of(&several, &["--store", "./a", "--store", "./file/b"]);
    let subjects: Vec<&str> = checks.0["checks"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|check| check["id"] == "store.folder")
        .filter_map(|check| check["subject"].as_str())
        .collect();
    assert!(subjects.len() == 2 && subjects[0] != subjects[1], "{subjects:?}");
    let nowhere = Cli::new().env("BACKUP_STORE", "./file/store");
    std::fs::write(nowhere.home().join("file"), "x").unwrap();
    let (checks, _) = Checks::of(&nowhere, &[]);
    assert_eq!(checks.failed(), ["store.folder"]);
    checks.has("store.write", "skipped", "the folder cannot be used");
}

#[test]
fn the_machines_own_troubles_are_told() {
    let cli = Cli::new().env("BACKUP_STORE", "./store");
    std::fs::create_dir(cli.home().join("bin")).unwrap();
    let systemctl = cli.home().join("bin/systemctl");
    let said = "#!/bin/sh\n[ \"$1\" = --system ] || exit 1\nprintf 'Id=backup-cli.service\\nResult=exit-code\\nExecMainStatus=1\\n'\n";
    std::fs::write(&systemctl, said).unwrap();
    std::fs::set_permissions(&systemctl, std::fs::Permissions::from_mode(0o755)).unwrap();
    let path = format!(
        "{}:{}",
        cli.home().join("bin").display(),
        std::env::var("PATH").unwrap_or_default()
    );
    let run = cli
        .command(["doctor", "--json"])
        .env("PATH", path)
        .env("TMPDIR", "/nonexistent")
        .env("BACKUP_LOCK_FOLDER", "/proc/locks-of-mine")
        .env("BACKUP_RECIPIENTS", "age1nonsense")
        .run();
    let checks = Checks(run.json());
    checks
        .has(
            "machine.timer",
            "failed",
            "`backup-cli.service` did not end well: exit-code, exit status 1",
        )
        .hints("machine.timer", "journalctl --unit=backup-cli.service")
        .has("machine.temporary-space", "failed", "/nonexistent")
        .has("machine.lock-folder", "failed", "/proc")
        .has("encryption.recipients", "failed", "Not a recipient");
    assert_eq!(run.code(), 1, "{run}");
    let generated = cli.run(["key", "generate", "--json"]).success().json();
    let key = |name: &str| generated[name].as_str().unwrap().to_owned();
    let other = cli.run(["key", "generate", "--json"]).success().json();
    let recipient = key("public_key");
    for (identity, status) in [
        (Some(key("identity")), "ok"),
        (other["identity"].as_str().map(str::to_owned), "warning"),
        (None, "ok"),
    ] {
        let mut command = cli.command(["doctor", "--json", "--recipient", &recipient]);
        if let Some(identity) = &identity {
            command = command.env("BACKUP_IDENTITY", identity);
        }
        let run = command.run();
        Checks(run.json())
            .has("encryption.recipients", "ok", &recipient)
            .has("encryption.identity", status, "");
    }
}

/// The answer for people as a whole: nothing that differs from run to run is in these two.
#[test]
fn the_table_reads_well_when_all_is_well_and_when_it_is_not() {
    let cli = Cli::new().env("BACKUP_STORE", "./store");
    std::fs::create_dir(cli.home().join("www")).unwrap();
    std::fs::write(cli.home().join("www/a"), "x").unwrap();
    let _ = cli.run(["backup", "www"]).success();
    let good = cli.run(["doctor", "www"]);
    reads_as(&stable(&good), "good_table.txt");
    let server = FaultS3::start();
    let bucket = server.bucket();
    server.fault(When::every(Op::PutObject), Fault::ACCESS_DENIED);
    server.fault(When::every(Op::ListObjects), Fault::ACCESS_DENIED);
    let bad = faults_user(&server, &bucket).run(["doctor", "/nonexistent/www"]);
    let text = stable(&bad)
        .replace(&bucket, "BUCKET")
        .replace(&server.address().to_string(), "SERVER");
    reads_as(&text, "bad_table.txt");
}

/// Compares with what is stored beside this file.
#[track_caller]
fn reads_as(text: &str, name: &str) {
    let path = super::support::project().join("tests/suite/doctor").join(name);
    let expected = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(text == expected, "this is not what `{}` holds:\n{text}", path.display());
}

/// What a run printed without sizes, which differ from machine to machine.
fn stable(outcome: &Outcome) -> String {
    let text = outcome.snapshot();
    let mut lines = Vec::new();
    for line in text.split('\n') {
        let mut words: Vec<String> = Vec::new();
        for word in line.split(' ') {
            let is_unit = matches!(word.trim_end_matches(','), "B" | "KiB" | "MiB" | "GiB" | "TiB");
            match words.last_mut() {
                Some(number) if is_unit && number.starts_with(|c: char| c.is_ascii_digit()) => {
                    *number = format!("[N]{}", &word[word.trim_end_matches(',').len()..]);
                }
                _ => words.push(word.to_owned()),
            }
        }
        lines.push(words.join(" "));
    }
    lines.join("\n")
}
