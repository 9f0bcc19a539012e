//! The store against a scripted server: what happens on the wire when things go wrong.

mod outages;
mod reading;
mod replacing;
mod requests;
mod server;
mod virtual_time;
mod writing;

use std::sync::Arc;
use std::time::Duration;

use md5::{Digest as _, Md5};

use super::*;
use crate::base::report::{Event, Recorder};
use crate::base::secret::Secret;
use crate::store::{Part, PartReceipt, Role};

use server::{Reply, Seen, Server};

const TOKEN: &str = "token-of-this-run";
const KEY: &str = "backups/20250120/a.tar.gz";

/// A store whose every request goes to the server, with waits that a test can afford.
struct Bench {
    server: Server,
    store: S3Store,
    cancel: Cancel,
    recorder: Arc<Recorder>,
}

impl Bench {
    /// A provider that obeys conditions, so that no request looks at a key unasked.
    fn new(answer: impl FnMut(&Seen) -> Reply + Send + 'static) -> Self {
        Self::with(answer, |options| options.provider = Some("minio".to_owned()))
    }

    fn with(answer: impl FnMut(&Seen) -> Reply + Send + 'static, change: impl FnOnce(&mut S3Options)) -> Self {
        let server = Server::start(answer);
        let mut options = S3Options::new("bucket", "/backups/");
        options.endpoint_url = Some(server.url());
        options.credentials = Some(credentials());
        options.retry = quick();
        change(&mut options);
        let cancel = Cancel::new();
        let recorder = Arc::new(Recorder::default());
        let store = S3Store::open(options, cancel.clone(), recorder.clone()).unwrap();
        Self {
            server,
            store,
            cancel,
            recorder,
        }
    }

    fn put(&self) -> Result<ObjectMeta> {
        self.store.put(&Key::new(KEY), Bytes::from_static(b"hello"), &data())
    }

    fn upload(&self) -> Box<dyn Upload> {
        self.store.start_upload(&Key::new(KEY), &data()).unwrap()
    }

    /// `METHOD query` of every request so far.
    fn requests(&self) -> Vec<String> {
        self.server.seen().iter().map(Seen::line).collect()
    }

    fn retries(&self) -> usize {
        let is_retry = |event: &&Event| matches!(event, Event::Retrying { .. });
        self.recorder.events().iter().filter(is_retry).count()
    }

    fn notes(&self) -> Vec<String> {
        self.recorder
            .events()
            .into_iter()
            .filter_map(|event| match event {
                Event::Note(text) | Event::Warning(text) => Some(text),
                _ => None,
            })
            .collect()
    }
}

fn credentials() -> StaticCredentials {
    StaticCredentials {
        access_key_id: "AKIDEXAMPLE".to_owned(),
        secret_access_key: Secret::new("wire-test-secret"),
        session_token: None,
    }
}

fn quick() -> RetryOptions {
    RetryOptions {
        first_wait: Duration::from_millis(5),
        max_wait: Duration::from_millis(20),
        budget: Duration::from_secs(2),
        sdk_attempts: 1,
    }
}

fn data() -> PutOptions {
    PutOptions {
        role: Role::Data,
        token: TOKEN.to_owned(),
        content_type: "application/gzip",
        metadata: Default::default(),
        lock: None,
    }
}

fn part(number: u32, body: &'static [u8]) -> Part {
    Part {
        number,
        offset: 0,
        body: Bytes::from_static(body),
        md5: Md5::digest(body).into(),
    }
}

fn receipt(number: u32, body: &'static [u8]) -> PartReceipt {
    PartReceipt {
        number,
        bytes: body.len() as u64,
        md5: Md5::digest(body).into(),
        etag: Some("\"tag\"".to_owned()),
    }
}
