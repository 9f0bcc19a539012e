//! `lifecycle`: rules of others stay to the byte, and ours are where they should be, on real servers and on one that goes
//! wrong.

mod server;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use md5::{Digest as _, Md5};

use super::support::aws;
use super::support::cli::Cli;
use super::support::fault_s3::{Fault as S3Fault, FaultS3, Op, When};
use super::support::ministack::Ministack;
use super::support::server::fresh_folder;
use super::support::trees::Noise;
use super::support::weed::Bucket;
use server::{Fault, Request, RuleServer};

/// Rules of others in odd ways of writing, one of them with what nobody knows.
const FOREIGN: &str = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<LifecycleConfiguration xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\" xmlns:v=\"urn:v\">\n\
    \x20 <Rule><!-- since 2019 --><ID>old &amp; &#x67;old</ID><Prefix>logs/</Prefix><Status>Enabled</Status><Expiration><Days>30</Days></Expiration></Rule>\r\n\
    \t<Rule><Filter><And><Prefix/><Tag><Key>k</Key><Value><![CDATA[<v>]]></Value></Tag></And></Filter><ID>theirs</ID>\
    <v:Shredding v:mode='fine'><v:Passes>7</v:Passes></v:Shredding><Status>Disabled</Status></Rule>\n</LifecycleConfiguration>\n";

const APPLY: [&str; 8] = [
    "lifecycle",
    "apply",
    "--transition",
    "30:GLACIER_IR",
    "--delete-days",
    "365",
    "--noncurrent-days",
    "14",
];

fn apply_with(extra: &[&'static str]) -> Vec<&'static str> {
    [&APPLY[..], extra].concat()
}

#[test]
fn a_round_trip_leaves_the_rules_of_others_to_the_byte() {
    let server = RuleServer::with(Some(FOREIGN)).minimum("varies_by_storage_class");
    let cli = server.user();
    // Looking and asking changes nothing.
    let dry = cli.run(apply_with(&["--dry-run"])).success();
    let _ = dry
        .stdout_has("add     backup-cli/records/backups/\n          backups/, up to 1 MiB: removed after 365 days\n")
        .stdout_has("backups/, above 1 MiB: moves to GLACIER_IR after 30 days; removed after 367 days\n")
        .stdout_has("older versions removed after 14 days")
        .stdout_has("unfinished uploads removed after 7 days")
        .stdout_has("keep    old & gold\n          logs/: removed after 30 days\n")
        .stdout_has("3 rules would be added, 0 changed, 0 removed; 2 stay as they are. This is a dry run")
        .stderr_has("by age alone");
    let _ = cli
        .run(apply_with(&[]))
        .exits_with(21)
        .stdout_has("add     backup-cli/data/backups/")
        .stderr_has("--confirm");
    assert_eq!(server.writes(), 0);
    assert_eq!(server.document().as_deref(), Some(FOREIGN));
    // Ours come in before the end, and not a byte of the rest is another.
    let _ = cli
        .run(apply_with(&["--confirm"]))
        .success()
        .stdout_has("read back as they should be");
    let [put]: [Request; 1] = server.take("PUT").try_into().expect("one write");
    let document = server.document().expect("rules");
    let (head, tail) = FOREIGN.split_at(FOREIGN.find("</LifecycleConfiguration>").expect("an end"));
    let ours = document
        .strip_prefix(head)
        .and_then(|rest| rest.strip_suffix(tail))
        .expect("the rest as it was");
    assert_eq!(ours.matches("<Rule>").count(), 3, "{ours}");
    // It is signed and summed as it was sent, with what the server said of small objects.
    assert_eq!(put.body, document);
    assert_eq!(
        put.header("x-amz-transition-default-minimum-object-size"),
        Some("varies_by_storage_class")
    );
    assert_eq!(
        put.header("content-md5"),
        Some(BASE64_STANDARD.encode(Md5::digest(&document)).as_str())
    );
    let sha256 = hex::encode(<sha2::Sha256 as sha2::Digest>::digest(document.as_bytes()));
    assert_eq!(put.header("x-amz-content-sha256"), Some(sha256.as_str()));
    assert!(put.header("x-amz-checksum-crc32").is_some(), "{put:?}");
    // Again, nothing is to be done; another number changes what has it.
    let _ = cli
        .run(apply_with(&["--confirm"]))
        .success()
        .stdout_has("Nothing to change: the rules are as they should be");
    assert_eq!(server.writes(), 0);
    let _ = cli
        .run(["lifecycle", "apply", "--delete-days", "100", "-y"])
        .success()
        .stdout_has("change  backup-cli/data/backups/\n     from backups/, above 1 MiB: moves to GLACIER_IR")
        .stdout_has("to backups/, above 1 MiB: removed after 102 days")
        .stdout_has("0 rules to be added, 3 changed, 0 removed; 2 stay as they are.");
    assert_eq!(server.writes(), 1);
    // All of them are shown, for programs to the byte.
    let _ = cli
        .run(["lifecycle", "show"])
        .success()
        .stdout_has("others'  off    everything, tagged k=<v>  and `Shredding`, which this version does not know")
        .stdout_has("backup-cli/records/backups/  ours     on");
    let shown = cli.run(["lifecycle", "show", "--json"]).success().json();
    assert_eq!(shown["rules"].as_array().map(Vec::len), Some(5), "{shown:#}");
    assert!(FOREIGN.contains(shown["rules"][1]["xml"].as_str().expect("the text")));
    assert_eq!(
        (&shown["rules"][1]["owner"], &shown["rules"][4]["owner"]),
        (&"foreign".into(), &"ours".into())
    );
    // Another prefix of the bucket has its own.
    let other = server.user().env("BACKUP_STORE", "s3://bucket/web");
    let _ = other
        .run(["lifecycle", "apply", "-y"])
        .success()
        .stdout_has("add     backup-cli/tidy/web/");
    let gone = cli.run(["lifecycle", "remove", "-y", "--json"]).success().json();
    assert_eq!(gone["changed"], true, "{gone:#}");
    let removed = gone["changes"]
        .as_array()
        .expect("changes")
        .iter()
        .filter(|change| change["change"] == "remove");
    assert_eq!(removed.count(), 3, "{gone:#}");
    assert!(server.document().expect("rules").contains("backup-cli/tidy/web/"));
    let _ = other.run(["lifecycle", "remove", "-y"]).success();
    assert_eq!(server.document().as_deref(), Some(FOREIGN));
    server.writes();
    let _ = cli
        .run(["lifecycle", "remove", "-y"])
        .success()
        .stdout_has("there is none of ours");
    assert_eq!(server.writes(), 0);
}

#[test]
fn the_first_rule_and_the_last_one() {
    let server = RuleServer::with(None);
    let config = server.user();
    let folder = config.home().join(".config/backup-cli");
    std::fs::create_dir_all(&folder).expect("a folder");
    std::fs::write(
        folder.join("config.toml"),
        "[profile.app.lifecycle]\ntransitions = [\"45:glacier_ir\"]\nabort-days = 3\n",
    )
    .expect("a file");
    let cli = config
        .env("BACKUP_S3_GLACIER_DAYS", "150")
        .env("BACKUP_S3_DELETE_DAYS", "240");
    let _ = cli
        .run(["lifecycle", "show"])
        .success()
        .stdout_has("has no lifecycle rules");
    let done = cli
        .run(["lifecycle", "apply", "-p", "app", "-y", "--json"])
        .success()
        .json();
    let data = &done["changes"][1]["after"];
    assert_eq!(data["transitions"][0]["class"], "GLACIER_IR", "{done:#}");
    assert_eq!(data["transitions"][1]["days"], 150, "{done:#}");
    assert_eq!(
        (&data["delete_days"], &data["above_bytes"]),
        (&242.into(), &(1 << 20).into())
    );
    assert_eq!(done["changes"][2]["after"]["abort_days"], 3, "{done:#}");
    assert_eq!(server.take("PUT").len(), 1);
    let _ = cli
        .run(["lifecycle", "remove", "-y"])
        .success()
        .stdout_has("no lifecycle rules any more");
    assert_eq!((server.take("DELETE").len(), server.document()), (1, None));
}

/// What goes wrong, what the run ends with, and whether the rules are then those that were there.
struct Wrong {
    method: &'static str,
    faults: Vec<Fault>,
    code: i32,
    says: &'static str,
    is_as_before: bool,
}

#[test]
fn whatever_goes_wrong_is_told_and_nothing_of_others_is_lost() {
    const OTHER: &str = "<LifecycleConfiguration><Rule><ID>new</ID><Prefix>new/</Prefix><Status>Enabled</Status></Rule></LifecycleConfiguration>";
    let cases = [
        Wrong {
            method: "GET",
            faults: vec![Fault::Refused(403, "AccessDenied")],
            code: 1,
            says: "need the permission s3:GetLifecycleConfiguration on `arn:aws:s3:::bucket`",
            is_as_before: true,
        },
        Wrong {
            method: "GET",
            faults: vec![Fault::Refused(500, "InternalError"); 99],
            code: 1,
            says: "Could not read the lifecycle rules",
            is_as_before: true,
        },
        Wrong {
            method: "GET",
            faults: vec![Fault::Refused(404, "NoSuchBucket")],
            code: 10,
            says: "No such bucket",
            is_as_before: true,
        },
        Wrong {
            method: "GET",
            faults: vec![Fault::Says("<ListBucketResult></ListBucketResult>"); 2],
            code: 1,
            says: "has no lifecycle rules",
            is_as_before: true,
        },
        // Somebody else writes between the look and the write.
        Wrong {
            method: "GET",
            faults: vec![Fault::None, Fault::Says(OTHER)],
            code: 21,
            says: "Somebody else has changed the lifecycle rules",
            is_as_before: true,
        },
        Wrong {
            method: "PUT",
            faults: vec![Fault::Refused(403, "AccessDenied")],
            code: 1,
            says: "need the permission s3:PutLifecycleConfiguration on `arn:aws:s3:::bucket`",
            is_as_before: true,
        },
        Wrong {
            method: "PUT",
            faults: vec![Fault::Refused(400, "MalformedXML")],
            code: 1,
            says: "not taken beside newer ones by AWS; write anew with a filter: `old & gold`",
            is_as_before: true,
        },
        Wrong {
            method: "PUT",
            faults: vec![Fault::Refused(503, "SlowDown"); 99],
            code: 1,
            says: "The rules are as they were; run this again",
            is_as_before: true,
        },
        // The answer is lost once, and every time.
        Wrong {
            method: "PUT",
            faults: vec![Fault::Lost],
            code: 0,
            says: "",
            is_as_before: false,
        },
        Wrong {
            method: "PUT",
            faults: vec![Fault::Lost; 99],
            code: 0,
            says: "",
            is_as_before: false,
        },
        // What comes back is not what was written.
        Wrong {
            method: "PUT",
            faults: vec![Fault::Altered(|text| text.replace("<v:Passes>7</v:Passes>", ""))],
            code: 1,
            says: "`theirs` says something else",
            is_as_before: false,
        },
        Wrong {
            method: "PUT",
            faults: vec![Fault::Altered(|text| {
                text.replace("<ObjectSizeGreaterThan>1048576</ObjectSizeGreaterThan>", "")
            })],
            code: 1,
            says: "`backup-cli/data/backups/` says something else",
            is_as_before: false,
        },
        Wrong {
            method: "PUT",
            faults: vec![Fault::Altered(|_| OTHER.to_owned())],
            code: 1,
            says: "`new` was not written; `old & gold` is missing; `theirs` is missing",
            is_as_before: false,
        },
        // Old rules for a moment longer.
        Wrong {
            method: "GET",
            faults: vec![Fault::None, Fault::None, Fault::Says(FOREIGN)],
            code: 0,
            says: "",
            is_as_before: false,
        },
        Wrong {
            method: "GET",
            faults: vec![Fault::None, Fault::None, Fault::Refused(403, "AccessDenied")],
            code: 1,
            says: "were written, and could not be read again to compare them",
            is_as_before: false,
        },
    ];
    for (number, case) in cases.iter().enumerate() {
        let server = RuleServer::with(Some(FOREIGN));
        server.faults(case.method, case.faults.clone());
        let run = server.user().run(apply_with(&["--confirm"])).nowhere("canary/rules");
        assert_eq!(run.code(), case.code, "case {number}: {run}");
        assert!(run.stderr().contains(case.says), "case {number}: {run}");
        let is_as_before = server.document().as_deref() == Some(FOREIGN);
        assert_eq!(
            is_as_before,
            case.is_as_before,
            "case {number}: {:?}",
            server.document()
        );
        if case.code == 0 {
            let document = server.document().expect("rules");
            assert!(
                document.contains("<v:Passes>7</v:Passes>") && document.contains("backup-cli/tidy/"),
                "{document}"
            );
        }
        if case.method == "GET" && case.is_as_before {
            assert_eq!(server.writes(), 0, "case {number}");
        }
    }
}

#[test]
fn a_bucket_that_goes_on_showing_its_old_rules_is_not_waited_for_for_ever() {
    use backup_cli::base::cancel::Cancel;
    use backup_cli::base::failure::Kind;
    use backup_cli::bucket::Bucket;
    use backup_cli::ops::lifecycle::{Patience, Wanted, carry_out, plan_rules, read_rules};
    use backup_cli::store::s3::{S3Options, S3Store, StaticCredentials};
    use std::time::Duration;

    let server = RuleServer::with(Some(FOREIGN));
    server.faults("PUT", [Fault::Unheard]);
    let mut options = S3Options::new("bucket", "backups");
    options.endpoint_url = Some(server.endpoint());
    options.region = Some("us-east-1".to_owned());
    options.credentials = Some(StaticCredentials {
        access_key_id: "key".to_owned(),
        secret_access_key: backup_cli::base::secret::Secret::new("secret"),
        session_token: None,
    });
    let (run, recorder) = super::support::library::run_at("2026-01-31T02:00:00Z");
    let store = S3Store::open(options, Cancel::new(), recorder).expect("a store");
    let bucket = Bucket::of(&store);
    let wanted = Wanted {
        abort_days: 7,
        ..Wanted::default()
    };
    let plan = plan_rules(read_rules(&bucket).expect("rules"), Some(&wanted), "backups/").expect("a plan");
    let patience = Patience {
        first: Duration::from_millis(1),
        looks: 3,
    };
    let failure = carry_out(&bucket, &plan, patience, &run).expect_err("nothing was heard");
    assert_eq!(failure.kind(), Kind::Failed);
    assert!(
        failure
            .causes()
            .join(" ")
            .contains("`backup-cli/tidy/backups/` is missing"),
        "{failure:?}"
    );
    assert!(
        failure.hints().join(" ").contains("S3 has no way to refuse that"),
        "{failure:?}"
    );
    // Two looks before the write, and three after it.
    assert_eq!(server.take("GET").len(), 5);
}

#[test]
fn an_index_that_rules_may_have_moved_is_asked_for_with_its_backup() {
    // So many names of which no compressor makes less that the index is longer than what stays.
    let folder = fresh_folder("long-index");
    let tree = folder.path().join("tree");
    std::fs::create_dir(&tree).expect("a folder");
    for name in Noise::new(11).bytes(6000 * 189).chunks(189) {
        let name = base64::prelude::BASE64_URL_SAFE_NO_PAD.encode(name);
        std::fs::write(tree.join(name), "").expect("a file");
    }
    let server = FaultS3::start();
    let bucket = server.bucket();
    let cli = Cli::new().envs(server.environment(&bucket)).in_folder(folder.path());
    let _ = cli.run(["backup", "tree"]).success();
    let index = server.keys(&bucket).into_iter().find(|key| key.ends_with(".index.gz"));
    let index = index.expect("an index");
    let bytes = server.client().get(&bucket, &index).len() as u64;
    assert!(bytes > backup_cli::ops::lifecycle::RECORD_BYTES_MAX, "{bytes}");
    let archived = S3Fault::WrongHeader {
        name: "x-amz-storage-class",
        value: "GLACIER",
    };
    server.fault(When::every(Op::HeadObject).key_contains(".index.gz"), archived);
    let frozen = S3Fault::Reply {
        status: 403,
        headers: Vec::new(),
        body: "<Error><Code>InvalidObjectState</Code><Message>It lies in an archive</Message></Error>".to_owned(),
    };
    server.fault(When::every(Op::GetObject).key_contains(".index.gz"), frozen);
    let accepted = S3Fault::Reply {
        status: 202,
        headers: Vec::new(),
        body: String::new(),
    };
    server.fault(When::every(Op::RestoreObject), accepted);
    let _ = cli
        .run(["restore", "latest", "--to", "out"])
        .exits_with(1)
        .stderr_has("The index of `tree_backup_")
        .stderr_has("--thaw");
    let _ = cli.run(["restore", "latest", "--to", "out", "--thaw"]).exits_with(3);
    let asked: Vec<String> = server
        .requests_of(Op::RestoreObject)
        .into_iter()
        .map(|request| request.key)
        .collect();
    assert_eq!(asked, [index]);
    assert!(!folder.path().join("out").exists());
    // What lists backups needs no index.
    let _ = cli.run(["list"]).success().stdout_has("tree_backup_");
    let _ = cli.run(["show", "latest"]).success();
}

/// What the server says of its rules to somebody else.
fn rules_of(bucket: &Bucket) -> serde_json::Value {
    let arguments = [
        "--endpoint-url",
        bucket.access.endpoint.as_str(),
        "s3api",
        "get-bucket-lifecycle-configuration",
        "--bucket",
        &bucket.name,
    ];
    serde_json::from_slice(&aws::run(&bucket.access, &arguments)).expect("JSON")
}

fn put_rules(bucket: &Bucket, rules: &str) {
    let arguments = [
        "--endpoint-url",
        bucket.access.endpoint.as_str(),
        "s3api",
        "put-bucket-lifecycle-configuration",
        "--bucket",
        &bucket.name,
        "--lifecycle-configuration",
        rules,
    ];
    let _ = aws::run(&bucket.access, &arguments);
}

/// Applies, changes and removes beside a rule of somebody else's; returns the rules in between.
fn round_trip(bucket: &Bucket, apply: &[&str]) -> serde_json::Value {
    put_rules(
        bucket,
        r#"{"Rules":[{"ID":"theirs & <co>","Status":"Enabled","Filter":{"And":{"Prefix":"logs/","Tags":[{"Key":"k","Value":"v"}]}},"Expiration":{"Days":9}}]}"#,
    );
    let cli = Cli::new().envs(bucket.environment());
    let shown = || cli.run(["lifecycle", "show", "--json"]).success().json();
    let before = shown();
    let arguments = |extra: &'static str| [&["lifecycle", "apply"][..], apply, &[extra]].concat();
    let _ = cli
        .run(arguments("-y"))
        .success()
        .stdout_has("read back as they should be");
    let _ = cli.run(arguments("-y")).success().stdout_has("Nothing to change");
    let between = rules_of(bucket);
    assert_eq!(between["Rules"].as_array().map(Vec::len), Some(4), "{between:#}");
    let _ = cli.run(["lifecycle", "remove", "-y"]).success();
    assert_eq!(shown(), before);
    between
}

#[test]
fn seaweedfs_keeps_the_rules() {
    // It moves nothing into archives.
    let rules = round_trip(&Bucket::fresh(), &["--delete-days", "30", "--noncurrent-days", "5"]);
    let text = rules.to_string();
    for part in [
        r#""ObjectSizeLessThan":1048577"#,
        r#""ObjectSizeGreaterThan":1048576"#,
        r#""Days":32"#,
        r#""NoncurrentDays":5"#,
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
}

#[test]
fn ministack_keeps_the_rules_and_doctor_likes_them() {
    let stack = Ministack::shared();
    let bucket = stack.bucket();
    let apply = [
        "--transition",
        "30:GLACIER_IR",
        "--glacier-days",
        "120",
        "--delete-days",
        "300",
    ];
    let rules = round_trip(&bucket, &apply);
    let text = rules.to_string();
    for part in [
        r#""Days":120,"StorageClass":"GLACIER""#,
        r#""ObjectSizeGreaterThan":1048576"#,
        r#""DaysAfterInitiation":7"#,
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
    // Without rules of others, the last of ours takes the lifecycle along.
    let bare = stack.bucket();
    bare.client().enable_versioning(&bare.name);
    let cli = Cli::new()
        .envs(bare.environment())
        .env("BACKUP_S3_RETENTION_DAYS", "200");
    // What a month costs goes by what the listing shows.
    for day in 1..=4 {
        let key = format!("backups/2026010{day}/app_backup_2026010{day}_020000.sql.gz");
        bare.put(&key, &vec![0; 3 << 19]);
        bare.put(&format!("{key}.manifest.json"), b"{}");
    }
    let cli = cli.env("BACKUP_PROVIDER", "aws").env("BACKUP_PATH_STYLE", "true");
    let dry = cli
        .run([&["lifecycle", "apply", "-n", "--json"][..], &apply[..]].concat())
        .success()
        .json();
    let month = |when: &str| dry["cost"][format!("per_month_{when}")].as_f64().unwrap_or_default();
    assert!(month("now") > 0.0 && month("before") > month("now"), "{dry:#}");
    assert!(month("after") > 0.0 && month("after") < month("before"), "{dry:#}");
    let _ = cli
        .run([&["lifecycle", "apply", "-y"][..], &apply[..]].concat())
        .success()
        .stdout_has("Estimated cost a month: $")
        .stderr_has("keeps versions, and nothing removes older ones");
    let checked = cli.run(["doctor", "--json"]).json();
    let check = |id: &str| {
        let checks = checked["checks"].as_array().expect("checks");
        checks
            .iter()
            .find(|check| check["id"] == id)
            .expect("the check")
            .clone()
    };
    for (id, says) in [
        ("bucket.lifecycle-expiry", "after 300 days, not before the 200"),
        ("bucket.lifecycle-archive", "GLACIER after 120 days"),
        ("bucket.lifecycle-uploads", "removed after 7 days"),
    ] {
        let check = check(id);
        assert_eq!(check["status"], "ok", "{check:#}");
        assert!(
            check["message"].as_str().unwrap_or_default().contains(says),
            "{check:#}"
        );
    }
    let _ = cli
        .run(["lifecycle", "remove", "--confirm"])
        .success()
        .stdout_has("no lifecycle rules any more");
    let _ = cli
        .run(["lifecycle", "show"])
        .success()
        .stdout_has("has no lifecycle rules");
}
