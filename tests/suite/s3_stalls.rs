//! A server that takes a request and then says nothing: the attempt is given up, and the next one succeeds.

use std::io::Read;
use std::sync::Arc;
use std::time::{Duration, Instant};

use backup_cli::base::cancel::Cancel;
use backup_cli::base::failure::Kind;
use backup_cli::base::report::{Event, Recorder};
use backup_cli::store::s3::S3Store;
use backup_cli::store::{Key, Part, PutOptions, Role, Store};
use md5::{Digest, Md5};

use crate::support::fault_s3::{Fault, FaultS3, Op, When};
use crate::support::trees::Noise;

/// Longer than any test may take: what does not end the wait fails by it.
const FOR_EVER: Duration = Duration::from_secs(600);

struct Scene {
    server: FaultS3,
    store: S3Store,
    recorder: Arc<Recorder>,
    began: Instant,
}

impl Scene {
    fn new() -> Self {
        let server = FaultS3::start();
        let bucket = server.bucket();
        let mut options = super::store_contract::s3_options(&server.access(), &bucket, Some("aws"));
        options.attempt_timeout_min = Duration::from_millis(500);
        options.stall_timeout = Duration::from_millis(500);
        options.retry.budget = Duration::from_secs(3);
        let recorder = Arc::new(Recorder::default());
        let store = S3Store::open(options, Cancel::new(), recorder.clone()).unwrap();
        Self {
            server,
            store,
            recorder,
            began: Instant::now(),
        }
    }

    fn put_options(&self) -> PutOptions {
        PutOptions {
            role: Role::Data,
            token: "0123456789abcdef".to_owned(),
            content_type: "application/octet-stream",
            metadata: std::collections::BTreeMap::new(),
            lock: None,
        }
    }

    fn end(self) {
        self.server.assert_all_faults_happened();
        assert!(
            self.began.elapsed() < Duration::from_secs(30),
            "{:?}",
            self.began.elapsed()
        );
    }
}

#[test]
fn a_request_that_gets_no_answer_is_made_again() {
    let scene = Scene::new();
    for op in [
        Op::CreateMultipartUpload,
        Op::UploadPart,
        Op::PutObject,
        Op::HeadObject,
        Op::ListObjects,
    ] {
        scene.server.fault(When::first(op), Fault::Stall { time: FOR_EVER });
    }
    let key = Key::new("backups/x");
    let body = Noise::new(1).bytes(200_000);
    let upload = scene.store.start_upload(&key, &scene.put_options()).unwrap();
    let part = Part {
        number: 1,
        offset: 0,
        body: body.clone().into(),
        md5: Md5::digest(&body).into(),
    };
    let receipt = upload.put_part(part).unwrap();
    upload.complete(&[receipt], 200_000).unwrap();
    let small = Key::new("backups/y");
    scene.store.put(&small, body.into(), &scene.put_options()).unwrap();
    assert_eq!(scene.store.head(&key).unwrap().unwrap().bytes, 200_000);
    let mut keys = Vec::new();
    scene
        .store
        .list("backups/", &mut |meta| {
            keys.push(meta.key);
            Ok(std::ops::ControlFlow::Continue(()))
        })
        .unwrap();
    assert_eq!(keys, [key, small]);
    scene.end();
}

#[test]
fn a_body_that_stands_still_is_resumed_where_it_stood() {
    let scene = Scene::new();
    let key = Key::new("backups/x");
    let body = Noise::new(2).bytes(3_000_000);
    scene
        .store
        .put(&key, body.clone().into(), &scene.put_options())
        .unwrap();
    for (nth, after_bytes) in [(1, 0), (2, 1_000), (3, 1_500_000)] {
        scene.server.fault(
            When::nth(Op::GetObject, nth),
            Fault::StallReply {
                after_bytes,
                time: FOR_EVER,
            },
        );
    }
    let mut read = Vec::new();
    scene
        .store
        .get(&key, Some(10..2_999_990))
        .unwrap()
        .read_to_end(&mut read)
        .unwrap();
    assert!(read == body[10..2_999_990]);
    let starts: Vec<u64> = scene
        .server
        .requests_of(Op::GetObject)
        .iter()
        .map(|get| get.range.clone().unwrap().start)
        .collect();
    assert_eq!(starts.len(), 4);
    assert!(starts[0] == 10 && starts[3] > 1_000_000, "{starts:?}");
    scene.end();
}

#[test]
fn a_server_that_never_answers_is_given_up_after_the_budget() {
    let scene = Scene::new();
    scene.server.fault(When::everything(), Fault::Stall { time: FOR_EVER });
    let failure = scene.store.head(&Key::new("backups/x")).unwrap_err();
    assert_eq!(failure.kind(), Kind::Unreachable, "{failure:?}");
    let retries = scene
        .recorder
        .events()
        .into_iter()
        .filter(|event| matches!(event, Event::Retrying { .. }))
        .count();
    assert!(retries >= 1);
    scene.end();
}
