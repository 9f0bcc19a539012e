//! Proof that the fixtures do what the tests believe of them.

use std::io::Read;
use std::path::Path;
use std::time::{Duration, Instant};

use crate::support::cli::{Cli, normalised};
use crate::support::fault_s3::{Fault, FaultS3, Op, Options, When};
use crate::support::postgres::{Database, PASSWORD, PostgresServer};
use crate::support::server::{Server, ServerOptions, fresh_folder, is_running, process_folder};
use crate::support::three_nodes::ThreeNodes;
use crate::support::trees::{Compare, Noise, TreeOptions, assert_same_tree, differences, make_nasty_tree};
use crate::support::weed::{Bucket, Weed};
use crate::support::{aws, project};

// ---- processes

/// A test process that is killed leaves no server and no folder behind: this test starts itself again and kills that.
#[test]
fn servers_end_with_a_killed_test_process() {
    const ROLE: &str = "BACKUP_CLI_TESTS_VICTIM";
    if let Ok(report) = std::env::var(ROLE) {
        let folder = fresh_folder("victim").keep();
        let server = Server::start(&ServerOptions {
            name: "sleeper",
            argv: vec!["sleep".to_owned(), "600".to_owned()],
            environment: Vec::new(),
            user: None,
            end_signal: "TERM",
            folder: &folder,
            leftovers: Vec::new(),
        });
        let text = format!("{} {}", server.pid(), process_folder().display());
        std::fs::write(format!("{report}.new"), text).unwrap();
        std::fs::rename(format!("{report}.new"), &report).unwrap();
        std::thread::sleep(Duration::from_secs(600));
        return;
    }
    let folder = fresh_folder("killer");
    let report = folder.path().join("report");
    let mut victim = std::process::Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "support_selftest::servers_end_with_a_killed_test_process"])
        .env(ROLE, &report)
        .stdout(std::process::Stdio::null())
        .stderr(std::process::Stdio::null())
        .spawn()
        .unwrap();
    wait_for("the victim's report", || report.exists());
    let text = std::fs::read_to_string(&report).unwrap();
    let (pid, left) = text.split_once(' ').unwrap();
    let pid = rustix::process::Pid::from_raw(pid.parse().unwrap()).unwrap();
    assert!(is_running(pid));
    assert!(Path::new(left).exists());
    victim.kill().unwrap();
    victim.wait().unwrap();
    wait_for("the end of the server", || !is_running(pid));
    wait_for("the end of the folder", || !Path::new(left).exists());
}

fn wait_for(what: &str, mut condition: impl FnMut() -> bool) {
    let began = Instant::now();
    while !condition() {
        assert!(began.elapsed() < Duration::from_secs(60), "{what} did not come");
        std::thread::sleep(Duration::from_millis(20));
    }
}

// ---- SeaweedFS

#[test]
fn seaweedfs_keeps_what_the_aws_cli_puts() {
    let bucket = Bucket::fresh();
    let content = Noise::new(1).bytes(9_000_000);
    let url = format!("s3://{}/a/b", bucket.name);
    let output = aws::try_run(&bucket.access, &["s3", "cp", "-", &url], &content);
    assert!(output.status.success(), "{output:?}");
    assert!(aws::run(&bucket.access, &["s3", "cp", &url, "-"]) == content);
    assert_eq!(bucket.keys(), ["a/b"]);
    assert!(bucket.get("a/b") == content);
    assert_eq!(bucket.client().head(&bucket.name, "a/b").unwrap().bytes, 9_000_000);
    assert_eq!(bucket.client().head(&bucket.name, "a"), None);
    assert!(bucket.uploads().is_empty());
    let piped = aws::shell(&bucket.access, "aws s3 cp \"$URL\" - | wc -c", &[("URL", &url)]);
    assert_eq!(String::from_utf8_lossy(&piped).trim(), "9000000");
}

#[test]
fn seaweedfs_refuses_a_wrong_secret() {
    let bucket = Bucket::fresh();
    let access = bucket.access.with_wrong_secret();
    let url = format!("s3://{}/a", bucket.name);
    let output = aws::try_run(&access, &["s3", "cp", "-", &url], b"x");
    assert!(!output.status.success());
    let words = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(words.contains("SignatureDoesNotMatch"), "{words}");
    assert!(access.client().try_put(&bucket.name, "a", b"x").is_err());
    assert!(bucket.keys().is_empty());
}

#[test]
fn seaweedfs_has_room_for_a_bucket_for_each_test() {
    for _ in 0..40 {
        let bucket = Bucket::fresh();
        bucket.put("key", b"value");
        assert_eq!(bucket.get("key"), b"value");
    }
}

#[test]
fn seaweedfs_refuses_what_the_commit_protocol_relies_on() {
    let bucket = Bucket::fresh();
    bucket.put("taken", b"first");
    let name = bucket.name.as_str();
    let put = [
        "s3api",
        "put-object",
        "--bucket",
        name,
        "--key",
        "taken",
        "--if-none-match",
        "*",
    ];
    let output = aws::try_run(&bucket.access, &put, b"");
    assert!(
        String::from_utf8_lossy(&output.stderr).contains("PreconditionFailed"),
        "{output:?}"
    );
    assert_eq!(bucket.get("taken"), b"first");
}

#[test]
fn a_killed_seaweedfs_is_gone_and_another_can_start() {
    let weed = Weed::start();
    assert!(weed.server().is_running());
    weed.server().kill();
    assert!(!weed.server().is_running());
    let client = weed.client();
    assert!(client.try_put("ready", "after", b"x").is_err());
}

#[test]
fn a_cluster_survives_the_death_of_one_node_in_the_middle_of_an_upload() {
    let cluster = ThreeNodes::start();
    let bucket = cluster.bucket("three");
    let content = Noise::new(5).bytes(80 << 20);
    let url = "s3://three/object";
    let mut upload = aws::command(&bucket.access, &["s3", "cp", "-", url])
        .env("AWS_MAX_ATTEMPTS", "10")
        .env("AWS_RETRY_MODE", "standard")
        .stdin(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = upload.stdin.take().unwrap();
    std::io::Write::write_all(&mut stdin, &content[..40 << 20]).unwrap();
    cluster.kill_node(1);
    assert_eq!(cluster.nodes_alive(), 2);
    std::io::Write::write_all(&mut stdin, &content[40 << 20..]).unwrap();
    drop(stdin);
    assert!(upload.wait().unwrap().success(), "{}", cluster.last_words());
    assert!(bucket.get("object") == content);
}

// ---- PostgreSQL

#[test]
fn postgres_takes_the_right_password_and_no_other() {
    let database = Database::fresh();
    database.psql("CREATE TABLE t (a int); INSERT INTO t VALUES (1), (2);");
    assert_eq!(database.psql("SELECT sum(a) FROM t").trim(), "3");
    let server = PostgresServer::shared();
    for password in ["wrong", "", &PASSWORD.to_uppercase()] {
        let why = server.try_psql(&database.name, password, "SELECT 1").unwrap_err();
        assert!(why.contains("password"), "{why}");
    }
    let by_url = |url: &str| {
        let output = server
            .program("psql")
            .args(["-XAtqw", "-c", "SELECT 1", url])
            .output()
            .unwrap();
        output.status.success()
    };
    assert!(by_url(&database.url()));
    assert!(by_url(&server.socket_url(&database.name)));
    assert!(!by_url(&server.url_with("wrong", &database.name)));
    assert!(!by_url(&server.url("nonexistent")));
}

#[test]
fn a_database_goes_away_with_its_test() {
    let server = PostgresServer::shared();
    let database = Database::fresh();
    let name = database.name.clone();
    assert!(server.databases().contains(&name));
    drop(database);
    assert!(!server.databases().contains(&name));
}

#[test]
fn two_dumps_of_one_database_are_the_same_text() {
    let database = Database::fresh();
    database.psql("CREATE TABLE t (a int PRIMARY KEY); INSERT INTO t SELECT generate_series(1, 100);");
    let dump = database.dump();
    assert!(dump.contains("COPY public.t"));
    assert_eq!(dump, database.dump());
}

// ---- trees

#[test]
fn a_nasty_tree_is_itself_and_tar_brings_it_back() {
    let folder = fresh_folder("trees");
    let top = folder.path().join("tree");
    make_nasty_tree(&top, TreeOptions::all());
    assert_same_tree(&top, &top, Compare::all());
    let copy = folder.path().join("copy");
    std::fs::create_dir(&copy).unwrap();
    let script = "tar --acls --xattrs --xattrs-include='*' --sparse --format=posix -C \"$0\" -cf - tree \
                  | tar --warning=no-timestamp --acls --xattrs --xattrs-include='*' --same-permissions --delay-directory-restore -C \"$1\" -xf -";
    let status = std::process::Command::new("/bin/bash")
        .args(["-euo", "pipefail", "-c", script])
        .arg(folder.path())
        .arg(&copy)
        .status()
        .unwrap();
    assert!(status.success());
    assert_same_tree(&top, &copy.join("tree"), Compare::all());
}

#[test]
fn every_kind_of_difference_is_found() {
    let folder = fresh_folder("differences");
    let top = folder.path().join("tree");
    let options = TreeOptions {
        fifo: true,
        unreadable: false,
        owners: false,
    };
    make_nasty_tree(&top, options);
    let spoil = |what: &str, expected: &str, change: &dyn Fn(&Path)| {
        let copy = folder.path().join(what);
        let status = std::process::Command::new("cp")
            .arg("-a")
            .arg(&top)
            .arg(&copy)
            .status()
            .unwrap();
        assert!(status.success());
        assert_eq!(
            differences(&top, &copy, Compare::all()),
            Vec::<String>::new(),
            "a faithful copy"
        );
        change(&copy);
        let found = differences(&top, &copy, Compare::all()).join("\n");
        assert!(found.contains(expected), "{what}: `{expected}` is not among\n{found}");
    };
    spoil("content", "content differs at byte 100", &|copy| {
        let path = copy.join("sizes/noise-511");
        let mut content = std::fs::read(&path).unwrap();
        content[100] ^= 1;
        std::fs::write(&path, content).unwrap();
    });
    spoil("missing", "\"links/relative\": is missing", &|copy| {
        std::fs::remove_file(copy.join("links/relative")).unwrap()
    });
    spoil("more", "\"many/more\": should not be there", &|copy| {
        std::fs::write(copy.join("many/more"), b"").unwrap()
    });
    spoil("unlinked", "\"links/a/hard-2\": hard link", &|copy| {
        let path = copy.join("links/a/hard-2");
        let content = std::fs::read(&path).unwrap();
        std::fs::remove_file(&path).unwrap();
        std::fs::write(&path, content).unwrap();
    });
    spoil("linked", "hard link should be None", &|copy| {
        std::fs::remove_file(copy.join("links/copy-2")).unwrap();
        std::fs::hard_link(copy.join("links/copy-1"), copy.join("links/copy-2")).unwrap();
    });
    spoil("a nanosecond", "modification time", &|copy| {
        crate::support::trees::set_modified(&copy.join("times/epoch"), 0, 1);
    });
    spoil("attribute", "attributes", &|copy| {
        crate::support::trees::set_xattr(&copy.join("attributes/file"), "user.text", b"other");
    });
    spoil("holes", "number of blocks", &|copy| {
        let path = copy.join("sparse/only a hole");
        std::fs::remove_file(&path).unwrap();
        std::fs::write(&path, vec![0; 16 << 20]).unwrap();
    });
    spoil("mode", "mode should be \"600\" and is \"601\"", &|copy| {
        use std::os::unix::fs::PermissionsExt;
        std::fs::set_permissions(copy.join("modes/file-600"), std::fs::Permissions::from_mode(0o601)).unwrap();
    });
    spoil("target", "target should be", &|copy| {
        std::fs::remove_file(copy.join("links/loop")).unwrap();
        std::os::unix::fs::symlink("pool", copy.join("links/loop")).unwrap();
    });
}

// ---- the binary

#[test]
fn the_binary_sees_nothing_of_the_tests_own_environment() {
    let cli = Cli::new().env("BACKUP_NAME", "only this");
    let outcome = cli.run(["--version"]).success();
    assert!(outcome.took() < Duration::from_secs(60));
    assert!(
        std::fs::read_dir(cli.home()).unwrap().next().is_none(),
        "printing a version touches no disk"
    );
}

#[test]
fn what_differs_from_run_to_run_is_replaced() {
    let home = Path::new("/tmp/x/home-1");
    let text = "stored /tmp/x/home-1/a as backups/20250120/a_backup_20250120_143000.sql.gz\n\
                at 2025-01-20T14:30:00Z (2025-01-20 14:30) in 1.25 s, 12 MiB/s, 12 files, 3 parts of 16 MiB";
    let wanted = "stored [HOME]/a as backups/[DAY]/a_backup_[STAMP].sql.gz\n\
                  at [TIME] ([TIME]) in [DURATION], [RATE], 12 files, 3 parts of 16 MiB";
    assert_eq!(normalised(text, home), wanted);
}

#[test]
fn nothing_of_the_servers_stands_in_the_project_folder() {
    assert!(!process_folder().starts_with(project()));
}

// ---- faults

#[test]
fn without_faults_the_aws_cli_finds_an_ordinary_server() {
    let server = FaultS3::start();
    let bucket = server.bucket();
    let content = Noise::new(9).bytes(20 << 20);
    let url = format!("s3://{bucket}/dir/object");
    let output = aws::try_run(&server.access(), &["s3", "cp", "-", &url], &content);
    assert!(output.status.success(), "{output:?}");
    assert!(aws::run(&server.access(), &["s3", "cp", &url, "-"]) == content);
    assert_eq!(server.keys(&bucket), ["dir/object"]);
    let object = server.object(&bucket, "dir/object").unwrap();
    assert_eq!(object.part_bytes, [8 << 20, 8 << 20, 4 << 20]);
    assert!(object.etag.ends_with("-3"));
    let parts = server.requests_of(Op::UploadPart);
    assert_eq!(parts.iter().map(|part| part.received_bytes).sum::<u64>() >> 20, 20);
    let sent: u64 = server.requests_of(Op::GetObject).iter().map(|get| get.sent_bytes).sum();
    assert_eq!(sent, 20 << 20);
    let listed = aws::run(
        &server.access(),
        &["s3", "ls", "--recursive", &format!("s3://{bucket}")],
    );
    assert!(String::from_utf8_lossy(&listed).contains("dir/object"));
    aws::run(&server.access(), &["s3", "rm", &url]);
    assert!(server.keys(&bucket).is_empty());
    let wrong = server.access().with_wrong_secret();
    let output = aws::try_run(&wrong, &["s3", "ls", &format!("s3://{bucket}")], b"");
    assert!(
        String::from_utf8_lossy(&output.stderr).contains("SignatureDoesNotMatch"),
        "{output:?}"
    );
}

#[test]
fn a_listing_comes_in_pages() {
    let server = FaultS3::with(Options {
        page_keys_max: 3,
        ..Options::default()
    });
    let bucket = server.bucket();
    let keys: Vec<String> = (0..20).map(|number| format!("d{}/k{number:02}", number % 4)).collect();
    for key in &keys {
        server.client().put(&bucket, key, b"x");
    }
    let mut sorted = keys.clone();
    sorted.sort_unstable();
    assert_eq!(server.client().keys(&bucket, ""), sorted);
    assert_eq!(server.requests_of(Op::ListObjects).len(), 7);
    let listed = aws::run(&server.access(), &["s3", "ls", &format!("s3://{bucket}")]);
    assert_eq!(
        String::from_utf8_lossy(&listed)
            .split_whitespace()
            .filter(|word| *word != "PRE")
            .count(),
        4
    );
}

/// A request over a bare connection to an object that anybody may not read: enough to see how connections end.
fn raw(server: &FaultS3, request: &str) -> Result<String, std::io::ErrorKind> {
    let mut stream = std::net::TcpStream::connect(server.address()).unwrap();
    std::io::Write::write_all(&mut stream, request.as_bytes()).unwrap();
    let mut reply = String::new();
    match stream.read_to_string(&mut reply) {
        Ok(_) => Ok(reply),
        Err(error) => Err(error.kind()),
    }
}

const RAW_GET: &str = "GET /bucket/k HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";

#[test]
fn every_fault_without_an_answer_ends_the_connection_in_its_own_way() {
    use std::io::ErrorKind::ConnectionReset;
    let server = FaultS3::start();
    let try_with = |fault: Fault| {
        server.heal();
        server.fault(When::every(Op::GetObject), fault);
        let reply = raw(&server, RAW_GET);
        server.assert_all_faults_happened();
        reply
    };
    assert_eq!(try_with(Fault::ResetBefore), Err(ConnectionReset));
    assert_eq!(try_with(Fault::ResetAfterEffect), Err(ConnectionReset));
    assert_eq!(try_with(Fault::CloseAfterEffect), Ok(String::new()));
    assert_eq!(
        try_with(Fault::Stall {
            time: Duration::from_millis(50)
        }),
        Err(ConnectionReset)
    );
    let reply = try_with(Fault::SLOW_DOWN).unwrap();
    assert!(
        reply.starts_with("HTTP/1.1 503") && reply.contains("<Code>SlowDown</Code>"),
        "{reply}"
    );
    let reply = try_with(Fault::WrongRegion {
        status: 301,
        region: "eu-central-1".to_owned(),
    })
    .unwrap();
    assert!(
        reply.starts_with("HTTP/1.1 301") && reply.contains("x-amz-bucket-region: eu-central-1"),
        "{reply}"
    );
    let reply = try_with(Fault::OkWithError {
        code: "InternalError",
        effect: false,
    })
    .unwrap();
    assert!(
        reply.starts_with("HTTP/1.1 200") && reply.contains("<Code>InternalError</Code>"),
        "{reply}"
    );
    let began = Instant::now();
    let reply = try_with(Fault::Delay {
        time: Duration::from_millis(100),
    })
    .unwrap();
    assert!(
        reply.starts_with("HTTP/1.1 403"),
        "the bare request is not signed: {reply}"
    );
    assert!(began.elapsed() >= Duration::from_millis(100));
    let statuses: Vec<_> = server.requests().iter().map(|request| request.status).collect();
    assert_eq!(statuses[..4], [None, None, None, None]);
    assert_eq!(statuses[4..], [Some(503), Some(301), Some(200), Some(403)]);
}

#[test]
fn answers_are_cut_changed_and_delayed_at_the_byte_that_was_named() {
    let server = FaultS3::start();
    let bucket = server.bucket();
    let content = Noise::new(4).bytes(1_000_000);
    server.client().put(&bucket, "k", &content);
    let get = |arguments: &[&str]| {
        let mut words = vec!["s3api", "get-object", "--bucket", &bucket, "--key", "k"];
        words.extend_from_slice(arguments);
        let folder = fresh_folder("get");
        let file = folder.path().join("out").display().to_string();
        words.push(&file);
        let output = aws::try_run(&server.access(), &words, b"");
        (output.status.success(), std::fs::read(&file).unwrap_or_default())
    };

    server.fault(
        When::first(Op::GetObject),
        Fault::TruncateReply { after_bytes: 123_456 },
    );
    let (success, got) = get(&[]);
    assert!(!success);
    assert_eq!(got.len(), 123_456);

    server.heal();
    server.fault(When::first(Op::GetObject), Fault::ResetReply { after_bytes: 10 });
    assert!(!get(&[]).0);
    server.assert_all_faults_happened();

    server.heal();
    server.fault(When::first(Op::GetObject), Fault::FlipReply { at_byte: 700_000 });
    let (success, got) = get(&[]);
    assert!(success);
    let changed: Vec<usize> = (0..content.len()).filter(|at| got[*at] != content[*at]).collect();
    assert_eq!(changed, [700_000]);

    server.heal();
    let time = Duration::from_secs(2);
    server.fault(
        When::first(Op::GetObject),
        Fault::StallReply {
            after_bytes: 300_000,
            time,
        },
    );
    let began = Instant::now();
    let (success, got) = get(&["--range", "bytes=100000-599999"]);
    assert!(success && began.elapsed() >= time);
    assert!(got == content[100_000..600_000]);
    let last = server.requests_of(Op::GetObject).pop().unwrap();
    assert_eq!(
        (last.range, last.sent_bytes, last.status),
        (Some(100_000..600_000), 500_000, Some(206))
    );
}

#[test]
fn a_lost_reply_to_complete_leaves_a_whole_object_and_a_lost_request_none() {
    let server = FaultS3::start();
    let bucket = server.bucket();
    let content = Noise::new(6).bytes(9 << 20);
    let copy = |key: &str| {
        let url = format!("s3://{bucket}/{key}");
        aws::try_run(&server.access(), &["s3", "cp", "-", &url], &content)
            .status
            .success()
    };
    server.fault(When::first(Op::CompleteMultipartUpload), Fault::ResetAfterEffect);
    assert!(!copy("lost-reply"));
    assert_eq!(server.object(&bucket, "lost-reply").unwrap().bytes(), 9 << 20);
    server.heal();
    server.fault(
        When::first(Op::CompleteMultipartUpload),
        Fault::OkWithError {
            code: "InternalError",
            effect: false,
        },
    );
    assert!(!copy("ok-with-error"));
    assert!(server.object(&bucket, "ok-with-error").is_none());
    server.heal();
    server.fault(
        When::nth(Op::UploadPart, 2),
        Fault::ResetInBody { after_bytes: 100_000 },
    );
    assert!(!copy("cut-part"));
    server.assert_all_faults_happened();
    assert!(server.object(&bucket, "cut-part").is_none());
    let cut = server
        .requests_of(Op::UploadPart)
        .into_iter()
        .find(|part| part.faulty)
        .unwrap();
    assert!(cut.received_bytes >= 100_000 && cut.received_bytes < 1 << 20, "{cut:?}");
    assert_eq!(cut.status, None);
}

#[test]
fn the_server_is_as_strict_as_the_strictest_provider() {
    let server = FaultS3::with(Options {
        parts_equal: true,
        ..Options::default()
    });
    let bucket = server.bucket();
    let folder = fresh_folder("strict");
    let file = |bytes: usize| {
        let path = folder.path().join(bytes.to_string());
        std::fs::write(&path, Noise::new(1).bytes(bytes)).unwrap();
        path.display().to_string()
    };
    let call = |arguments: &[&str]| {
        let mut words = vec!["s3api", arguments[0], "--bucket", &bucket, "--key", "k"];
        words.extend_from_slice(&arguments[1..]);
        let output = aws::try_run(&server.access(), &words, b"");
        if output.status.success() {
            Ok(String::from_utf8(output.stdout).unwrap())
        } else {
            Err(String::from_utf8(output.stderr).unwrap())
        }
    };
    let refused = |code: &str, arguments: &[&str]| {
        let why = call(arguments).unwrap_err();
        assert!(why.contains(code), "{arguments:?}: {why}");
    };
    let begin = || {
        let answer: serde_json::Value = serde_json::from_str(&call(&["create-multipart-upload"]).unwrap()).unwrap();
        answer["UploadId"].as_str().unwrap().to_owned()
    };
    let send = |id: &str, number: &str, path: &str| {
        let answer = call(&[
            "upload-part",
            "--upload-id",
            id,
            "--part-number",
            number,
            "--body",
            path,
        ])
        .unwrap();
        let answer: serde_json::Value = serde_json::from_str(&answer).unwrap();
        answer["ETag"].as_str().unwrap().trim_matches('"').to_owned()
    };
    let list = |parts: &[(u32, &str)]| {
        let parts: Vec<_> = parts
            .iter()
            .map(|(number, tag)| serde_json::json!({"PartNumber": number, "ETag": tag}))
            .collect();
        serde_json::json!({ "Parts": parts }).to_string()
    };
    let (small, six, seven) = (file(1000), file(6 << 20), file(7 << 20));
    let md5 = "1B2M2Y8AsgTpgAmY7PhCfg==";
    refused("BadDigest", &["put-object", "--body", &small, "--content-md5", md5]);
    refused(
        "BadDigest",
        &["put-object", "--body", &small, "--checksum-crc64-nvme", "AAAAAAAAAAA="],
    );
    refused(
        "InvalidStorageClass",
        &["put-object", "--body", &small, "--storage-class", "NO_SUCH_CLASS"],
    );

    let id = begin();
    refused(
        "InvalidArgument",
        &[
            "upload-part",
            "--upload-id",
            &id,
            "--part-number",
            "10001",
            "--body",
            &small,
        ],
    );
    let (a, b, c) = (send(&id, "1", &six), send(&id, "2", &small), send(&id, "3", &seven));
    let complete = |parts: &[(u32, &str)]| list(parts);
    let try_complete = |code: &str, parts: String, more: &[&str]| {
        let mut words = vec![
            "complete-multipart-upload",
            "--upload-id",
            &id,
            "--multipart-upload",
            &parts,
        ];
        words.extend_from_slice(more);
        refused(code, &words);
    };
    try_complete("InvalidPart", complete(&[(1, &b)]), &[]);
    try_complete("InvalidPart", complete(&[(1, &a), (4, &b)]), &[]);
    try_complete("InvalidPartOrder", complete(&[(3, &c), (1, &a)]), &[]);
    try_complete("EntityTooSmall", complete(&[(1, &a), (2, &b), (3, &c)]), &[]);
    try_complete("InvalidPart", complete(&[(1, &a), (3, &c)]), &[]);
    try_complete(
        "InvalidRequest",
        complete(&[(1, &a), (2, &b)]),
        &["--mpu-object-size", "7"],
    );
    assert_eq!(server.open_uploads(&bucket).len(), 1);
    let parts = complete(&[(1, &a), (2, &b)]);
    let words = [
        "complete-multipart-upload",
        "--upload-id",
        &id,
        "--multipart-upload",
        &parts,
        "--if-none-match",
        "*",
    ];
    call(&words).unwrap();
    call(&words).expect("a Complete that is sent again is answered as the first was");
    assert_eq!(server.object(&bucket, "k").unwrap().bytes(), (6 << 20) + 1000);

    let id = begin();
    let a = send(&id, "1", &small);
    let parts = list(&[(1, &a)]);
    refused(
        "PreconditionFailed",
        &[
            "complete-multipart-upload",
            "--upload-id",
            &id,
            "--multipart-upload",
            &parts,
            "--if-none-match",
            "*",
        ],
    );
    call(&["abort-multipart-upload", "--upload-id", &id]).unwrap();
    refused(
        "NoSuchUpload",
        &[
            "upload-part",
            "--upload-id",
            &id,
            "--part-number",
            "1",
            "--body",
            &small,
        ],
    );
    refused("NoSuchUpload", &["abort-multipart-upload", "--upload-id", &id]);
    assert!(server.open_uploads(&bucket).is_empty());
    refused(
        "PreconditionFailed",
        &["put-object", "--body", &small, "--if-none-match", "*"],
    );
}

#[test]
fn a_bucket_elsewhere_refuses_requests_signed_for_another_region() {
    for status in [301, 400] {
        let region = Some(("eu-central-1".to_owned(), status));
        let server = FaultS3::with(Options {
            region,
            ..Options::default()
        });
        let bucket = server.bucket();
        let right = server.access();
        assert_eq!(right.region, "eu-central-1");
        right.client().put(&bucket, "k", b"x");
        let wrong = crate::support::s3_client::S3Access {
            region: "us-east-1".to_owned(),
            ..right
        };
        let why = wrong.client().try_put(&bucket, "k", b"y").unwrap_err();
        assert!(
            why.contains("PermanentRedirect") || why.contains("AuthorizationHeaderMalformed"),
            "{why}"
        );
        assert_eq!(server.object(&bucket, "k").unwrap().content(), b"x");
    }
}

#[test]
fn a_sink_counts_without_keeping() {
    let server = FaultS3::with(Options {
        sink: true,
        ..Options::default()
    });
    let bucket = server.bucket();
    let content = vec![7; 10 << 20];
    let output = aws::try_run(
        &server.access(),
        &["s3", "cp", "-", &format!("s3://{bucket}/k")],
        &content,
    );
    assert!(output.status.success(), "{output:?}");
    let object = server.object(&bucket, "k").unwrap();
    assert_eq!(object.bytes(), 10 << 20);
    assert!(object.content().iter().all(|byte| *byte == 0));
}
