//! The binary against an S3 server whose answers go wrong: what passes is survived, what does not leaves nothing behind,
//! and no answer is believed that can be proved wrong.

use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::time::Duration;

use sha2::{Digest, Sha256};

use crate::support::cli::{Cli, Outcome};
use crate::support::fault_s3::{Fault, FaultS3, Op, Options, When};
use crate::support::server::process_folder;
use crate::support::trees::{Compare, Noise, assert_same_tree, make_small_tree};

/// A tree whose archive takes two parts of the least size.
fn tree() -> &'static Path {
    static TREE: OnceLock<PathBuf> = OnceLock::new();
    TREE.get_or_init(|| {
        let tree = process_folder().join("s3-faults-tree");
        make_small_tree(&tree);
        std::fs::write(tree.join("large"), Noise::new(5).bytes(6 << 20)).expect("a file");
        tree
    })
}

/// The data object that a backup of [`tree`] makes: equal input gives equal bytes.
fn expected_data() -> &'static [u8] {
    static DATA: OnceLock<Vec<u8>> = OnceLock::new();
    DATA.get_or_init(|| {
        let scene = Scene::new(Options::default(), "aws");
        let _ = scene.back_up().success();
        scene.data()
    })
}

struct Scene {
    server: FaultS3,
    bucket: String,
    cli: Cli,
}

impl Scene {
    fn new(options: Options, provider: &str) -> Self {
        let server = FaultS3::with(options);
        let bucket = server.bucket();
        let cli = Cli::new()
            .envs(server.environment(&bucket))
            .env("BACKUP_PROVIDER", provider)
            .env("BACKUP_PATH_STYLE", "true")
            .env("BACKUP_PART_SIZE", "5MiB")
            .env("BACKUP_LEVEL", "1")
            .env("BACKUP_RETRY_DELAY", "0s")
            .env("BACKUP_RETRY_DELAY_MAX", "1s");
        Self { server, bucket, cli }
    }

    fn back_up(&self) -> Outcome {
        self.cli
            .run([Path::new("backup"), Path::new("--name"), Path::new("web"), tree()])
    }

    fn keys(&self) -> Vec<String> {
        self.server.keys(&self.bucket)
    }

    fn key_of(&self, ending: &str) -> String {
        let keys = self.keys();
        keys.iter()
            .find(|key| key.ends_with(ending))
            .unwrap_or_else(|| panic!("no `{ending}` in {keys:?}"))
            .clone()
    }

    fn data(&self) -> Vec<u8> {
        self.server
            .object(&self.bucket, &self.key_of(".tar.gz"))
            .expect("the data")
            .content()
    }

    /// The backup is there, whole, and nothing else is.
    fn check_whole(&self, what: &str, uploads_max: usize) {
        let keys = self.keys();
        assert_eq!(keys.len(), 3, "{what}: {keys:?}");
        let uploads = self.server.open_uploads(&self.bucket);
        assert!(uploads.len() <= uploads_max, "{what}: {uploads:?}");
        let data = self.data();
        assert!(data == expected_data(), "{what}: the data differs");
        let manifest = self
            .server
            .object(&self.bucket, &self.key_of(".manifest.json"))
            .expect("the manifest")
            .content();
        let manifest: serde_json::Value = serde_json::from_slice(&manifest).expect("JSON");
        assert_eq!(
            manifest["objects"][0]["sha256"],
            hex::encode(Sha256::digest(&data)),
            "{what}"
        );
        assert_eq!(manifest["state"], "complete", "{what}");
    }

    fn check_nothing(&self, what: &str) {
        assert_eq!(self.keys(), Vec::<String>::new(), "{what}: objects");
        assert_eq!(self.server.open_uploads(&self.bucket), [], "{what}: uploads");
    }
}

fn survived(provider: &str, faults: &[(When, Fault)]) {
    for (when, fault) in faults {
        let what = format!("{provider}: {fault:?} on {when:?}");
        let scene = Scene::new(Options::default(), provider);
        scene.server.fault(when.clone(), fault.clone());
        let outcome = scene.back_up();
        assert_eq!(outcome.code(), 0, "{what}\n{outcome}");
        scene.server.assert_all_faults_happened();
        // The id of an upload whose creation got no answer is known to nobody.
        let unknown = matches!(fault, Fault::ResetAfterEffect | Fault::CloseAfterEffect);
        let unknown = unknown && format!("{when:?}").contains("CreateMultipartUpload");
        scene.check_whole(&what, usize::from(unknown));
    }
}

const WRITES: [Op; 4] = [
    Op::CreateMultipartUpload,
    Op::UploadPart,
    Op::CompleteMultipartUpload,
    Op::PutObject,
];

#[test]
fn an_error_that_passes_is_survived_on_every_operation() {
    for provider in ["aws", "other"] {
        let mut faults = Vec::new();
        for op in WRITES.into_iter().chain([Op::HeadObject]) {
            faults.push((When::first(op), Fault::INTERNAL_ERROR));
        }
        for op in WRITES {
            faults.push((When::every(op).occurrences(1..4), Fault::SLOW_DOWN));
        }
        survived(provider, &faults);
    }
}

#[test]
fn a_connection_that_breaks_before_or_after_the_effect_is_survived() {
    for provider in ["aws", "other"] {
        let mut faults = Vec::new();
        for op in WRITES {
            faults.push((When::first(op), Fault::ResetBefore));
            faults.push((When::first(op), Fault::ResetAfterEffect));
        }
        faults.push((
            When::nth(Op::UploadPart, 2),
            Fault::ResetInBody { after_bytes: 100_000 },
        ));
        faults.push((When::first(Op::CompleteMultipartUpload), Fault::CloseAfterEffect));
        faults.push((
            When::first(Op::UploadPart),
            Fault::Delay {
                time: Duration::from_secs(1),
            },
        ));
        survived(provider, &faults);
    }
}

#[test]
fn a_completion_whose_answer_cannot_be_trusted_is_settled_by_looking() {
    let complete = || When::first(Op::CompleteMultipartUpload);
    let after = |status, code| Fault::ErrorAfterEffect { status, code };
    for provider in ["aws", "other"] {
        survived(
            provider,
            &[
                (
                    complete(),
                    Fault::OkWithError {
                        code: "InternalError",
                        effect: false,
                    },
                ),
                (
                    complete(),
                    Fault::OkWithError {
                        code: "InternalError",
                        effect: true,
                    },
                ),
                (complete(), after(404, "NoSuchUpload")),
                (complete(), after(412, "PreconditionFailed")),
                (complete(), after(409, "ConditionalRequestConflict")),
                (complete(), after(500, "InternalError")),
                // Nothing has the key, so the answer was about something that is gone again.
                (
                    complete(),
                    Fault::Error {
                        status: 412,
                        code: "PreconditionFailed",
                    },
                ),
                (When::first(Op::PutObject), after(412, "PreconditionFailed")),
                (When::first(Op::PutObject), after(500, "InternalError")),
                (When::first(Op::PutObject), Fault::CONFLICT),
                (
                    When::first(Op::UploadPart),
                    Fault::Error {
                        status: 400,
                        code: "BadDigest",
                    },
                ),
                (When::first(Op::UploadPart), Fault::REQUEST_TIMEOUT),
            ],
        );
    }
}

#[test]
fn a_server_that_forgets_completed_uploads_is_understood() {
    let options = Options {
        complete_twice: false,
        ..Options::default()
    };
    for fault in [
        Fault::ResetAfterEffect,
        Fault::OkWithError {
            code: "InternalError",
            effect: true,
        },
    ] {
        let scene = Scene::new(options.clone(), "minio");
        scene.server.fault(
            When::every(Op::CompleteMultipartUpload).occurrences(1..3),
            fault.clone(),
        );
        let outcome = scene.back_up();
        assert_eq!(outcome.code(), 0, "{fault:?}\n{outcome}");
        scene.check_whole(&format!("{fault:?}"), 0);
    }
}

#[test]
fn what_does_not_pass_leaves_no_object_and_no_upload() {
    let always = |op| When::every(op);
    for (when, fault, words) in [
        (
            always(Op::CompleteMultipartUpload),
            Fault::NO_SUCH_UPLOAD,
            "NoSuchUpload",
        ),
        (
            always(Op::CompleteMultipartUpload),
            Fault::CONFLICT,
            "ConditionalRequestConflict",
        ),
        (
            always(Op::CompleteMultipartUpload),
            Fault::OkWithError {
                code: "InvalidPart",
                effect: false,
            },
            "InvalidPart",
        ),
        (
            always(Op::CompleteMultipartUpload),
            Fault::ACCESS_DENIED,
            "AccessDenied",
        ),
        (
            always(Op::UploadPart),
            Fault::Error {
                status: 400,
                code: "BadDigest",
            },
            "BadDigest",
        ),
        (always(Op::UploadPart), Fault::ACCESS_DENIED, "AccessDenied"),
        (When::nth(Op::UploadPart, 2), Fault::EXPIRED_TOKEN, "ExpiredToken"),
        (always(Op::CreateMultipartUpload), Fault::ACCESS_DENIED, "AccessDenied"),
        (always(Op::PutObject), Fault::ACCESS_DENIED, "AccessDenied"),
        (
            always(Op::PutObject),
            Fault::Error {
                status: 400,
                code: "InvalidRequest",
            },
            "InvalidRequest",
        ),
    ] {
        let what = format!("{fault:?} on {when:?}");
        let scene = Scene::new(Options::default(), "aws");
        scene.server.fault(when, fault);
        let outcome = scene.back_up();
        assert_eq!(outcome.code(), 1, "{what}\n{outcome}");
        assert!(outcome.stderr().contains(words), "{what}: no `{words}`\n{outcome}");
        scene.server.assert_all_faults_happened();
        scene.check_nothing(&what);
        let _ = scene.cli.run(["list"]).success().stdout_has("").nowhere("web_backup");
    }
}

#[test]
fn a_store_that_is_away_for_longer_than_the_budget_fails_the_run_and_nothing_is_listed() {
    let scene = Scene::new(Options::default(), "aws");
    scene.server.fault(When::every(Op::UploadPart), Fault::SLOW_DOWN);
    let outcome = scene
        .cli
        .command([Path::new("backup"), tree()])
        .env("BACKUP_RETRY_BUDGET", "2s")
        .env("BACKUP_RETRY_DELAY", "1s")
        .run()
        .exits_with(1)
        .stderr_has("SlowDown");
    assert!(outcome.took() < Duration::from_secs(60), "{outcome}");
    scene.check_nothing("the budget is used up");
}

#[test]
fn who_may_not_look_backs_up_by_what_the_store_acknowledges() {
    let scene = Scene::new(Options::default(), "aws");
    scene.server.fault(When::every(Op::HeadObject), Fault::ACCESS_DENIED);
    scene.server.fault(When::every(Op::GetObject), Fault::ACCESS_DENIED);
    let _ = scene.back_up().success();
    scene.server.heal();
    scene.check_whole("nothing could be looked at", 0);
    // An acknowledgement whose tag does not follow from the parts is no proof, and there is no other.
    let scene = Scene::new(
        Options {
            etags_are_md5: false,
            ..Options::default()
        },
        "aws",
    );
    scene.server.fault(When::every(Op::HeadObject), Fault::ACCESS_DENIED);
    scene.server.fault(When::every(Op::GetObject), Fault::ACCESS_DENIED);
    let outcome = scene.back_up();
    assert_ne!(outcome.code(), 0, "{outcome}");
    assert!(outcome.stderr().contains("entity tag"), "{outcome}");
}

#[test]
fn an_entity_tag_that_should_be_the_content_s_and_is_not_fails_the_run() {
    let options = Options {
        etags_are_md5: false,
        ..Options::default()
    };
    let scene = Scene::new(options.clone(), "aws");
    let outcome = scene.back_up();
    assert_ne!(outcome.code(), 0, "{outcome}");
    assert!(outcome.stderr().contains("entity tag"), "{outcome}");
    scene.check_nothing("wrong entity tags");
    // Where nothing is promised about them, nothing is read out of them.
    let scene = Scene::new(options, "other");
    let _ = scene.back_up().success();
    scene.check_whole("entity tags without meaning", 0);
}

#[test]
fn conditions_that_a_server_ignores_are_made_up_for() {
    let options = Options {
        conditions: false,
        ..Options::default()
    };
    let scene = Scene::new(options, "other");
    let _ = scene.back_up().success();
    scene.check_whole("conditions are ignored", 0);
}

#[test]
fn a_wrong_region_is_repaired_once_and_said() {
    for status in [301, 400] {
        let options = Options {
            region: Some(("eu-central-1".to_owned(), status)),
            ..Options::default()
        };
        let scene = Scene::new(options, "aws");
        let outcome = scene
            .cli
            .command([Path::new("backup"), Path::new("--name"), Path::new("web"), tree()])
            .env("AWS_REGION", "us-west-2")
            .run()
            .success()
            .stderr_has("`eu-central-1`");
        assert_eq!(outcome.stderr().matches("going on there").count(), 1, "{outcome}");
        scene.check_whole("another region", 0);
    }
}

#[test]
fn answers_that_break_off_are_resumed_on_the_way_back() {
    let scene = Scene::new(Options::default(), "aws");
    let _ = scene.back_up().success();
    let key = scene.key_of(".tar.gz");
    let data = |n: u64| When::nth(Op::GetObject, n).key_contains(&key);
    let first = |op| When::first(op);
    for (number, (when, fault)) in [
        (data(1), Fault::TruncateReply { after_bytes: 1000 }),
        (data(1), Fault::TruncateReply { after_bytes: 0 }),
        (data(1), Fault::ResetReply { after_bytes: 3_000_000 }),
        (data(2), Fault::ResetReply { after_bytes: 12_345 }),
        (data(1), Fault::ResetBefore),
        (data(1), Fault::SLOW_DOWN),
        (
            data(1),
            Fault::StallReply {
                after_bytes: 500_000,
                time: Duration::from_secs(1),
            },
        ),
        (first(Op::ListObjects), Fault::INTERNAL_ERROR),
        (first(Op::ListObjects), Fault::TruncateReply { after_bytes: 100 }),
        (
            first(Op::GetObject).key_contains("manifest"),
            Fault::TruncateReply { after_bytes: 100 },
        ),
    ]
    .into_iter()
    .enumerate()
    {
        scene.server.heal();
        scene.server.fault(when.clone(), fault.clone());
        let target = scene.cli.home().join(format!("target-{number}"));
        let outcome = scene
            .cli
            .run([Path::new("restore"), Path::new("latest"), Path::new("--to"), &target]);
        assert_eq!(outcome.code(), 0, "{fault:?} on {when:?}\n{outcome}");
        scene.server.assert_all_faults_happened();
        assert_same_tree(tree(), &target.join("s3-faults-tree"), Compare::basics());
    }
}

#[test]
fn bytes_that_were_changed_on_the_way_or_in_the_store_are_refused_and_the_target_is_untouched() {
    let scene = Scene::new(Options::default(), "aws");
    let _ = scene.back_up().success();
    let key = scene.key_of(".tar.gz");
    let whole = expected_data();
    let target = scene.cli.home().join("target");
    std::fs::create_dir(&target).unwrap();
    std::fs::write(target.join("mine"), "mine").unwrap();
    let refused = |what: &str| {
        for arguments in [
            &["--merge", "--confirm"][..],
            &["--merge", "--confirm", "--include", "large"],
        ] {
            let mut line = vec!["restore", "latest", "--to", target.to_str().unwrap()];
            line.extend(arguments);
            let outcome = scene.cli.run(&line);
            assert_eq!(outcome.code(), 20, "{what}\n{outcome}");
            let names: Vec<_> = std::fs::read_dir(&target)
                .unwrap()
                .map(|entry| entry.unwrap().file_name())
                .collect();
            assert_eq!(names, ["mine"], "{what}");
        }
    };

    // On the way: every answer with data has one wrong byte.
    scene.server.fault(
        When::every(Op::GetObject).key_contains(&key),
        Fault::FlipReply { at_byte: 40_000 },
    );
    refused("a byte changed on the way");
    scene.server.heal();

    // In the store, where it stays: head, middle and end changed, cut, and grown.
    let at = |place: usize| {
        move |mut data: Vec<u8>| {
            data[place] ^= 0x20;
            data
        }
    };
    type Damage<'a> = (&'a str, Box<dyn Fn(Vec<u8>) -> Vec<u8>>);
    let damages: [Damage<'_>; 5] = [
        ("the first header", Box::new(at(2))),
        ("the middle", Box::new(at(whole.len() / 2))),
        ("the largest file's end", Box::new(at(whole.len() / 4 * 3))),
        ("cut", Box::new(|data: Vec<u8>| data[..data.len() - 1].to_vec())),
        ("grown", Box::new(|data: Vec<u8>| [data.as_slice(), &[0]].concat())),
    ];
    for (what, damage) in damages {
        scene.server.tamper(&scene.bucket, &key, |data| Some(damage(data)));
        let whole_only = what == "the first header";
        if whole_only {
            let outcome = scene.cli.run([
                "restore",
                "latest",
                "--merge",
                "--confirm",
                "--to",
                target.to_str().unwrap(),
            ]);
            assert_eq!(outcome.code(), 20, "{what}\n{outcome}");
        } else {
            refused(what);
        }
        scene.server.tamper(&scene.bucket, &key, |_| Some(whole.to_vec()));
    }
    scene.server.tamper(&scene.bucket, &key, |_| None);
    refused("the data is gone");
    let _ = scene.cli.run(["list"]).success().stdout_has("damaged");
}

#[test]
fn an_interruption_between_the_data_and_the_manifest_removes_the_data() {
    for op in [Op::CompleteMultipartUpload, Op::PutObject, Op::UploadPart] {
        let scene = Scene::new(Options::default(), "aws");
        let time = Duration::from_secs(60);
        scene.server.fault(When::every(op), Fault::Stall { time });
        let mut run = scene.cli.command([Path::new("backup"), tree()]).start();
        run.wait_until("the request that stands still", |_| {
            !scene.server.requests_of(op).is_empty()
        });
        run.signal(rustix::process::Signal::INT);
        let outcome = run.wait();
        assert_eq!(outcome.code(), 130, "{op:?}\n{outcome}");
        assert!(outcome.took() < time / 2, "{op:?}\n{outcome}");
        scene.check_nothing(&format!("interrupted in {op:?}"));
    }
}

#[test]
fn a_listing_that_fails_is_never_a_shorter_list() {
    let options = Options {
        page_keys_max: 2,
        ..Options::default()
    };
    let scene = Scene::new(options, "aws");
    let _ = scene.back_up().success();
    let _ = scene.cli.run(["list"]).success().stdout_has("web_backup_");
    for (nth, fault) in [(1, Fault::ACCESS_DENIED), (2, Fault::ACCESS_DENIED)] {
        scene.server.heal();
        scene.server.fault(When::nth(Op::ListObjects, nth), fault.clone());
        let outcome = scene.cli.run(["list"]).exits_with(1);
        assert_eq!(outcome.stdout(), "", "page {nth}: {fault:?}\n{outcome}");
        scene.server.assert_all_faults_happened();
    }
}
