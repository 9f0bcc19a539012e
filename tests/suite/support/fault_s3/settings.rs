//! What the server knows beside objects: the settings of its buckets, each document kept as it came, and the roles of its
//! account.
//!
//! Both are one table of papers by their names, so that a test can compare all of it before and after.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use hyper::{Method, Response, StatusCode};
use md5::Md5;
use sha2::{Digest, Sha256};

use super::error_xml;
use super::identity::ask;
use super::plan::{Op, Request};

/// All documents by their names, such as `lifecycle of bucket-1` and `role backup-cli-writer`.
pub type Papers = BTreeMap<String, String>;

/// The parameters that name settings, and what the server says of one that is not made.
const SETTINGS: [(&str, &str); 10] = [
    ("cors", "NoSuchCORSConfiguration"),
    ("encryption", "ServerSideEncryptionConfigurationNotFoundError"),
    ("lifecycle", "NoSuchLifecycleConfiguration"),
    ("location", ""),
    ("object-lock", "ObjectLockConfigurationNotFoundError"),
    ("ownershipControls", "OwnershipControlsNotFoundError"),
    ("policy", "NoSuchBucketPolicy"),
    ("policyStatus", "NoSuchBucketPolicy"),
    ("publicAccessBlock", "NoSuchPublicAccessBlockConfiguration"),
    ("versioning", ""),
];

/// Whether a parameter names a setting.
pub fn is_setting(parameter: &str) -> bool {
    SETTINGS.iter().any(|(name, _)| *name == parameter)
}

/// The name of a setting's paper.
pub fn paper_of(setting: &str, bucket: &str) -> String {
    format!("{setting} of {bucket}")
}

/// The table; what is asked and answered goes through here before it would reach the crate, which knows nothing of it.
#[derive(Debug, Default)]
pub struct Settings(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    papers: Papers,
    written: Vec<(String, String)>,
}

impl State {
    /// Changes the papers, and remembers what has been written.
    fn change<T>(&mut self, change: impl FnOnce(&mut Papers) -> T) -> T {
        let before = self.papers.clone();
        let outcome = change(&mut self.papers);
        let is_new = |(name, text): &(&String, &String)| before.get(*name) != Some(*text);
        let new = self.papers.iter().filter(is_new);
        self.written
            .extend(new.map(|(name, text)| (name.clone(), text.clone())));
        outcome
    }
}

/// What is asked.
pub struct Asked<'a> {
    pub request: &'a Request,
    pub method: &'a Method,
    pub body: &'a [u8],
    /// The secret of the one who is said to ask; `None` if nobody has such a key.
    pub secret: Option<String>,
    pub bucket_exists: bool,
}

pub(super) type Answer = (u16, String);

impl Settings {
    /// Everything that stands.
    pub fn papers(&self) -> Papers {
        self.lock().papers.clone()
    }

    /// Replaces all of it.
    pub fn set(&self, papers: Papers) {
        self.lock().papers = papers;
    }

    /// Every document that a request has made, by its name, in order.
    pub fn written(&self) -> BTreeMap<String, Vec<String>> {
        let mut all = BTreeMap::<_, Vec<_>>::new();
        for (name, text) in &self.lock().written {
            all.entry(name.clone()).or_default().push(text.clone());
        }
        all
    }

    /// What a new bucket is set to by the request that makes it.
    pub fn created(&self, request: &Request) {
        let mut state = self.lock();
        let mut put = |setting, text: &str| {
            state.change(|papers| papers.insert(paper_of(setting, &request.bucket), text.to_owned()))
        };
        if request.header("x-amz-bucket-object-lock-enabled") == Some("true") {
            put(
                "object-lock",
                "<ObjectLockConfiguration><ObjectLockEnabled>Enabled</ObjectLockEnabled></ObjectLockConfiguration>",
            );
            put(
                "versioning",
                "<VersioningConfiguration><Status>Enabled</Status></VersioningConfiguration>",
            );
        }
        if let Some(ownership) = request.header("x-amz-object-ownership") {
            put(
                "ownershipControls",
                &format!(
                    "<OwnershipControls><Rule><ObjectOwnership>{ownership}</ObjectOwnership></Rule></OwnershipControls>"
                ),
            );
        }
    }

    /// The answer; `None` for what this room does not know.
    pub fn answer(&self, asked: &Asked<'_>) -> Option<Response<s3s::Body>> {
        let (status, body) = match asked.request.op {
            Op::Identity | Op::Caller => self.lock().change(|papers| ask(papers, asked)),
            Op::ReadSetting | Op::WriteSetting => {
                let (setting, unset) = SETTINGS
                    .into_iter()
                    .find(|(name, _)| asked.request.parameter(name).is_some())?;
                self.lock().change(|papers| of_a_bucket(papers, asked, setting, unset))
            }
            _ => return None,
        };
        let content_type = match body.starts_with('{') {
            true => "application/json",
            false => "application/xml",
        };
        let mut response = Response::new(s3s::Body::from(body));
        *response.status_mut() = StatusCode::from_u16(status).expect("a status");
        let headers = response.headers_mut();
        headers.insert("content-type", content_type.parse().expect("a type"));
        headers.insert("x-amz-request-id", "SETTINGS".parse().expect("an id"));
        Some(response)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn of_a_bucket(papers: &mut Papers, asked: &Asked<'_>, setting: &str, unset: &str) -> Answer {
    let refused = |status, code| (status, error_xml(code, ""));
    if !asked.bucket_exists {
        return refused(404, "NoSuchBucket");
    }
    if let Some(code) = changed_on_the_way(asked) {
        return refused(400, code);
    }
    let paper = paper_of(setting, &asked.request.bucket);
    match asked.method.as_str() {
        "PUT" => {
            let text = String::from_utf8(asked.body.to_vec()).expect("a document in UTF-8");
            papers.insert(paper, text);
            (200, String::new())
        }
        "DELETE" => {
            papers.remove(&paper);
            (204, String::new())
        }
        _ => match (papers.get(&paper), setting) {
            (Some(text), _) => (200, text.clone()),
            (None, "location") => (200, "<LocationConstraint/>".to_owned()),
            (None, "versioning") => (200, "<VersioningConfiguration/>".to_owned()),
            (None, "policyStatus") if papers.contains_key(&paper_of("policy", &asked.request.bucket)) => (
                200,
                "<PolicyStatus><IsPublic>false</IsPublic></PolicyStatus>".to_owned(),
            ),
            _ => refused(404, unset),
        },
    }
}

/// The error of a body that is not what its sender says of it.
fn changed_on_the_way(asked: &Asked<'_>) -> Option<&'static str> {
    let sha256 = asked.request.header("x-amz-content-sha256");
    if sha256.is_some_and(|said| said.len() == 64 && said != hex::encode(Sha256::digest(asked.body))) {
        return Some("XAmzContentSHA256Mismatch");
    }
    let md5 = asked.request.header("content-md5");
    let is_other = md5.is_some_and(|said| said != BASE64_STANDARD.encode(Md5::digest(asked.body)));
    is_other.then_some("BadDigest")
}
