//! What goes wrong, and when: rules that match requests, and the record of the requests that came.

use std::ops::Range;
use std::sync::atomic::{AtomicBool, AtomicU16, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use hyper::Method;
use hyper::header::HeaderValue;

use super::settings::is_setting;

/// An operation of the S3 protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Op {
    ListBuckets,
    CreateBucket,
    HeadBucket,
    ListObjects,
    PutObject,
    GetObject,
    HeadObject,
    DeleteObject,
    DeleteObjects,
    CreateMultipartUpload,
    UploadPart,
    CompleteMultipartUpload,
    AbortMultipartUpload,
    ListParts,
    ListMultipartUploads,
    RestoreObject,
    /// The reading of one of a bucket's settings.
    ReadSetting,
    /// The making or taking away of one.
    WriteSetting,
    /// The service of roles.
    Identity,
    /// The service that tells whose credentials these are.
    Caller,
    /// Tagging and what else there is.
    Other,
}

impl Op {
    /// The operation that a path-style request means.
    pub fn of(method: &Method, key: &str, bucket: &str, query: &str) -> Self {
        let has = |name: &str| query.split('&').any(|pair| pair.split('=').next() == Some(name));
        let is_setting = !bucket.is_empty()
            && key.is_empty()
            && query
                .split('&')
                .any(|pair| is_setting(pair.split('=').next().unwrap_or_default()));
        match (method.as_str(), bucket.is_empty(), key.is_empty()) {
            ("GET", false, true) if is_setting => Self::ReadSetting,
            ("PUT" | "DELETE", false, true) if is_setting => Self::WriteSetting,
            ("POST", true, _) => Self::Identity,
            ("GET", true, _) => Self::ListBuckets,
            ("PUT", false, true) if query.is_empty() => Self::CreateBucket,
            ("HEAD", false, true) => Self::HeadBucket,
            ("GET", false, true) if has("uploads") => Self::ListMultipartUploads,
            ("GET", false, true) if query.is_empty() || has("list-type") || has("prefix") => Self::ListObjects,
            ("POST", false, true) if has("delete") => Self::DeleteObjects,
            ("PUT", false, false) if has("partNumber") => Self::UploadPart,
            ("PUT", false, false) if !has("tagging") => Self::PutObject,
            ("GET", false, false) if has("uploadId") => Self::ListParts,
            ("GET", false, false) if !has("tagging") => Self::GetObject,
            ("HEAD", false, false) => Self::HeadObject,
            ("DELETE", false, false) if has("uploadId") => Self::AbortMultipartUpload,
            ("DELETE", false, false) if !has("tagging") => Self::DeleteObject,
            ("POST", false, false) if has("restore") => Self::RestoreObject,
            ("POST", false, false) if has("uploads") => Self::CreateMultipartUpload,
            ("POST", false, false) if has("uploadId") => Self::CompleteMultipartUpload,
            _ => Self::Other,
        }
    }

    /// The same; of forms, which all go to one place, the signature tells the service that they are for.
    pub fn of_service(self, authorization: Option<&HeaderValue>) -> Self {
        let signed = authorization.and_then(|value| value.to_str().ok()).unwrap_or_default();
        match self {
            Self::Identity if signed.contains("/sts/") => Self::Caller,
            _ => self,
        }
    }
}

/// Which requests a fault befalls.
#[derive(Clone, Debug)]
pub struct When {
    op: Option<Op>,
    key_contains: Option<String>,
    occurrences: Range<u64>,
}

impl When {
    /// Every request of an operation, until narrowed.
    pub fn every(op: Op) -> Self {
        Self {
            op: Some(op),
            key_contains: None,
            occurrences: 1..u64::MAX,
        }
    }

    /// Every request of any operation, until narrowed.
    pub fn everything() -> Self {
        Self {
            op: None,
            key_contains: None,
            occurrences: 1..u64::MAX,
        }
    }

    /// The first request of an operation.
    pub fn first(op: Op) -> Self {
        Self::nth(op, 1)
    }

    /// The nth request of an operation, from 1.
    pub fn nth(op: Op, n: u64) -> Self {
        Self {
            occurrences: n..n + 1,
            ..Self::every(op)
        }
    }

    /// Only requests whose key holds this text; only these are counted.
    #[must_use]
    pub fn key_contains(mut self, text: &str) -> Self {
        self.key_contains = Some(text.to_owned());
        self
    }

    /// Only these occurrences among the matching requests, from 1.
    #[must_use]
    pub fn occurrences(mut self, occurrences: Range<u64>) -> Self {
        self.occurrences = occurrences;
        self
    }

    fn matches(&self, op: Op, key: &str) -> bool {
        self.op.is_none_or(|wanted| wanted == op)
            && self
                .key_contains
                .as_ref()
                .is_none_or(|text| key.contains(text.as_str()))
    }
}

/// What goes wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// An error is answered and nothing has happened.
    Error { status: u16, code: &'static str },
    /// An error is answered although the request took effect.
    ErrorAfterEffect { status: u16, code: &'static str },
    /// Status 200 with an error in the body; whether the request took effect can be chosen.
    OkWithError { code: &'static str, effect: bool },
    /// An answer of the test's own, and nothing has happened.
    Reply {
        status: u16,
        headers: Vec<(&'static str, String)>,
        body: String,
    },
    /// The connection is reset before the request's body is read.
    ResetBefore,
    /// The connection is reset when so many bytes of the request's body have been read.
    ResetInBody { after_bytes: u64 },
    /// The request takes effect, and the connection is reset instead of an answer.
    ResetAfterEffect,
    /// The request takes effect, and the connection is closed in an orderly way instead of an answer.
    CloseAfterEffect,
    /// The answer's body ends early: the connection is closed after so many bytes of it.
    TruncateReply { after_bytes: u64 },
    /// The connection is reset after so many bytes of the answer's body.
    ResetReply { after_bytes: u64 },
    /// One byte of the answer's body is another one.
    FlipReply { at_byte: u64 },
    /// Nothing is read or answered for this long; then the connection is reset.
    Stall { time: Duration },
    /// The answer's body stands still for this long after so many bytes, then goes on.
    StallReply { after_bytes: u64, time: Duration },
    /// The request waits for this long, then goes its normal way.
    Delay { time: Duration },
    /// The bucket lives in another region: status 301 or 400, with the region in `x-amz-bucket-region`.
    WrongRegion { status: u16, region: String },
    /// One byte of the request's body arrives as another one.
    FlipRequest { at_byte: u64 },
    /// The right answer, but for one header.
    WrongHeader { name: &'static str, value: &'static str },
    /// The answer's `Content-Length` says so many bytes more (or fewer) than there are.
    WrongLength { more: i64 },
    /// The answer is sent twice.
    Twice,
    /// The answer to the request of the same operation before this one is sent again; the first has its own.
    Stale,
}

impl Fault {
    pub const INTERNAL_ERROR: Self = Self::Error {
        status: 500,
        code: "InternalError",
    };
    pub const SLOW_DOWN: Self = Self::Error {
        status: 503,
        code: "SlowDown",
    };
    pub const REQUEST_TIMEOUT: Self = Self::Error {
        status: 400,
        code: "RequestTimeout",
    };
    pub const ACCESS_DENIED: Self = Self::Error {
        status: 403,
        code: "AccessDenied",
    };
    pub const EXPIRED_TOKEN: Self = Self::Error {
        status: 400,
        code: "ExpiredToken",
    };
    pub const CLOCK_SKEW: Self = Self::Error {
        status: 403,
        code: "RequestTimeTooSkewed",
    };
    pub const CONFLICT: Self = Self::Error {
        status: 409,
        code: "ConditionalRequestConflict",
    };
    pub const NO_SUCH_UPLOAD: Self = Self::Error {
        status: 404,
        code: "NoSuchUpload",
    };
}

#[derive(Debug)]
struct Rule {
    when: When,
    fault: Fault,
    seen: u64,
    fired: u64,
}

/// The rules of a server.
#[derive(Debug, Default)]
pub struct Plan {
    rules: Mutex<Vec<Rule>>,
    chaos: Mutex<Option<Chaos>>,
}

/// Faults by chance: what befalls a request follows from the seed, its operation and key, and how many such came before,
/// so that the order in which threads get their turn changes nothing.
#[derive(Debug)]
struct Chaos {
    draw: fn(seed: u64, op: Op) -> Option<Fault>,
    seed: u64,
    seen: std::collections::BTreeMap<(Op, String), u64>,
}

impl Plan {
    pub fn add(&self, when: When, fault: Fault) {
        self.rules().push(Rule {
            when,
            fault,
            seen: 0,
            fired: 0,
        });
    }

    pub fn clear(&self) {
        self.rules().clear();
        *self.chaos.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    /// From now on what no rule decides is drawn.
    pub fn draw(&self, seed: u64, draw: fn(seed: u64, op: Op) -> Option<Fault>) {
        *self.chaos.lock().unwrap_or_else(PoisonError::into_inner) = Some(Chaos {
            draw,
            seed,
            seen: std::collections::BTreeMap::new(),
        });
    }

    fn drawn(&self, op: Op, key: &str) -> Option<Fault> {
        use std::hash::{DefaultHasher, Hash, Hasher};
        let mut chaos = self.chaos.lock().unwrap_or_else(PoisonError::into_inner);
        let chaos = chaos.as_mut()?;
        let seen = chaos.seen.entry((op, key.to_owned())).or_default();
        *seen += 1;
        let mut hasher = DefaultHasher::new();
        (chaos.seed, op, key, *seen).hash(&mut hasher);
        (chaos.draw)(hasher.finish(), op)
    }

    /// Counts the request in every rule that matches, and returns the fault of the first that fires.
    pub fn decide(&self, op: Op, key: &str) -> Option<Fault> {
        let mut decided = None;
        for rule in self.rules().iter_mut().filter(|rule| rule.when.matches(op, key)) {
            rule.seen += 1;
            if decided.is_none() && rule.when.occurrences.contains(&rule.seen) {
                rule.fired += 1;
                decided = Some(rule.fault.clone());
            }
        }
        decided.or_else(|| self.drawn(op, key))
    }

    /// The rules that have not fired: a test whose fault never happened proves nothing.
    pub fn unfired(&self) -> Vec<String> {
        self.rules()
            .iter()
            .filter(|rule| rule.fired == 0)
            .map(|rule| format!("{:?} on {:?} (matching requests: {})", rule.fault, rule.when, rule.seen))
            .collect()
    }

    fn rules(&self) -> std::sync::MutexGuard<'_, Vec<Rule>> {
        self.rules.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A request that came.
#[derive(Clone, Debug)]
pub struct Request {
    pub op: Op,
    pub bucket: String,
    pub key: String,
    pub query: String,
    /// The bytes asked for by a `Range` header of the form `bytes=a-b`.
    pub range: Option<Range<u64>>,
    pub headers: Vec<(String, String)>,
    /// Bytes of the request's body that were read.
    pub received_bytes: u64,
    /// Bytes of the answer's body that were handed to the connection.
    pub sent_bytes: u64,
    /// The answer's status; `None` if there was no answer.
    pub status: Option<u16>,
    /// Whether a fault befell it.
    pub faulty: bool,
    /// Since the server's start.
    pub began: Duration,
}

impl Request {
    /// The value of a header.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(have, _)| have == name)
            .map(|(_, value)| value.as_str())
    }

    /// The value of a parameter, decoded; empty for one without a value.
    pub fn parameter(&self, name: &str) -> Option<String> {
        let mut pairs = url::form_urlencoded::parse(self.query.as_bytes());
        pairs
            .find(|(have, _)| have == name)
            .map(|(_, value)| value.into_owned())
    }
}

/// What the counters of one request live in while it runs.
#[derive(Debug)]
pub struct Live {
    pub request: Request,
    pub received_bytes: AtomicU64,
    pub sent_bytes: AtomicU64,
    pub status: AtomicU16,
    pub faulty: AtomicBool,
}

impl Live {
    pub fn snapshot(&self) -> Request {
        let status = self.status.load(Ordering::SeqCst);
        Request {
            received_bytes: self.received_bytes.load(Ordering::SeqCst),
            sent_bytes: self.sent_bytes.load(Ordering::SeqCst),
            status: (status != 0).then_some(status),
            faulty: self.faulty.load(Ordering::SeqCst),
            ..self.request.clone()
        }
    }
}

/// How many requests of each operation are being served now, and the most there ever were.
#[derive(Debug, Default)]
pub struct Gauge(Mutex<std::collections::BTreeMap<Op, (usize, usize)>>);

/// One request in flight; counts itself out when dropped.
#[derive(Debug)]
pub struct InFlight {
    gauge: Arc<Gauge>,
    op: Op,
}

impl Gauge {
    pub fn enter(self: &Arc<Self>, op: Op) -> InFlight {
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (now, most) = counts.entry(op).or_default();
        *now += 1;
        *most = (*most).max(*now);
        InFlight {
            gauge: self.clone(),
            op,
        }
    }

    pub fn most(&self, op: Op) -> usize {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .get(&op)
            .map_or(0, |(_, most)| *most)
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        let mut counts = self.gauge.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((now, _)) = counts.get_mut(&self.op) {
            *now -= 1;
        }
    }
}
