//! The faults: what a server, a proxy or the network between can do to one request.

use std::time::Duration;

use crate::support::fault_s3::{Fault, Op};

/// One kind of fault.
#[derive(Clone, Debug)]
pub struct Kind {
    pub name: &'static str,
    pub fault: Fault,
    /// Which requests it can befall.
    befalls: fn(Op) -> bool,
    /// Which requests survive it if it happens once: what is left of these may fail, but cleanly.
    survived: fn(Op) -> bool,
}

impl Kind {
    pub fn befalls(&self, op: Op) -> bool {
        (self.befalls)(op)
    }

    pub fn is_survived_once(&self, op: Op) -> bool {
        (self.survived)(op)
    }

    /// Whether it lets the runs wait for their time limits.
    pub fn waits(&self) -> bool {
        matches!(self.fault, Fault::Stall { .. } | Fault::StallReply { .. })
    }

    /// Nobody can tell from the answer that it is wrong, or it says that an object is damaged: S3 has no sums of listings,
    /// and an object that is sent instead of another one is shown as what it is.
    pub fn is_undetectable(&self, op: Op) -> bool {
        match op {
            Op::ListObjects => matches!(self.name, "empty list" | "the answer before this one" | "reply twice"),
            // Nothing says what a document is, and if it is always read as another one, that is what it is.
            Op::ReadSetting => self.name == "corrupted byte of the reply",
            Op::GetObject => matches!(self.name, "wrong ETag" | "the answer before this one" | "reply twice"),
            _ => false,
        }
    }

    /// What is read or told of an object is not what it is, so that it may be called damaged.
    pub fn is_like_damage(&self, op: Op) -> bool {
        let is_like = matches!(
            self.name,
            "corrupted byte of the reply"
                | "length too short"
                | "length too long"
                | "nothing in a 200"
                | "a web page in a 200"
                | "the answer before this one"
                | "reply twice"
                | "wrong ETag"
                | "404 NoSuchKey"
        );
        is_like && matches!(op, Op::GetObject | Op::HeadObject | Op::ListObjects)
    }

    /// A store that says so of a setting, or to its making, does not have it for all that anybody knows.
    pub fn is_taken_for_lacking(&self, op: Op) -> bool {
        let is_like = matches!(
            self.name,
            "404 NoSuchKey"
                | "404 NoSuchUpload"
                | "501 NotImplemented"
                | "400 InvalidRequest"
                | "nothing in a 200"
                | "a web page in a 200"
                | "malformed XML"
                | "a document cut between entries"
                | "length too short"
                | "corrupted byte of the reply"
                | "the answer before this one"
                | "reply twice"
        );
        is_like && matches!(op, Op::ReadSetting | Op::WriteSetting)
    }

    /// A store that says for ever of an object that it is not there, or is another one, cannot be proved wrong.
    pub fn is_a_lie_about_what_is_there(&self, op: Op) -> bool {
        op == Op::HeadObject && (self.name.starts_with("404 ") || self.name == "the answer before this one")
    }
}

/// Longer than the request timeout of the runs under test.
const STALL: Duration = Duration::from_secs(8);

fn any(_: Op) -> bool {
    true
}

fn none(_: Op) -> bool {
    false
}

fn has_request_body(op: Op) -> bool {
    matches!(
        op,
        Op::PutObject
            | Op::UploadPart
            | Op::CompleteMultipartUpload
            | Op::DeleteObjects
            | Op::RestoreObject
            | Op::WriteSetting
            | Op::Identity
            | Op::Caller
    )
}

/// The answer is a document in XML.
fn answers_xml(op: Op) -> bool {
    matches!(
        op,
        Op::ListBuckets
            | Op::ListObjects
            | Op::CreateMultipartUpload
            | Op::CompleteMultipartUpload
            | Op::DeleteObjects
            | Op::ListParts
            | Op::ListMultipartUploads
            | Op::ReadSetting
            | Op::Identity
            | Op::Caller
    )
}

fn answers_with_a_body(op: Op) -> bool {
    answers_xml(op) || op == Op::GetObject
}

/// The services of roles and of who asks know neither digests nor regions nor a clock that can be set by their answers.
fn is_of_the_store(op: Op) -> bool {
    !matches!(op, Op::Identity | Op::Caller)
}

fn lists(op: Op) -> bool {
    matches!(op, Op::ListObjects | Op::ListMultipartUploads | Op::ListParts)
}

/// The SDK looks for an error in the answer of whatever is no stream of bytes.
fn answers_errors_in_a_200(op: Op) -> bool {
    answers_xml(op) || matches!(op, Op::PutObject | Op::UploadPart)
}

fn names_a_tag(op: Op) -> bool {
    matches!(
        op,
        Op::PutObject | Op::UploadPart | Op::CompleteMultipartUpload | Op::GetObject | Op::HeadObject
    )
}

fn answer(status: u16, content_type: &str, body: &str) -> Fault {
    Fault::Reply {
        status,
        headers: vec![("content-type", content_type.to_owned())],
        body: body.to_owned(),
    }
}

const fn error(status: u16, code: &'static str) -> Fault {
    Fault::Error { status, code }
}

const PAGE: &str = "<!DOCTYPE html><html><body>Please log in to the guest network</body></html>";

const EMPTY_LISTING: &str = "<?xml version=\"1.0\" encoding=\"UTF-8\"?><ListBucketResult><Name>b</Name><Prefix></Prefix>\
     <KeyCount>0</KeyCount><MaxKeys>1000</MaxKeys><IsTruncated>false</IsTruncated></ListBucketResult>";

const CUT_LISTING: &str = "<?xml version=\"1.0\" encoding=\"UTF-8\"?><ListBucketResult><Name>b</Name><Contents><Ke";

/// The SDK takes it for a listing of nothing.
const CUT_BETWEEN_ENTRIES: &str = "<?xml version=\"1.0\" encoding=\"UTF-8\"?><ListBucketResult><Name>b</Name><KeyCount>3</KeyCount>\
     <MaxKeys>1000</MaxKeys><IsTruncated>false</IsTruncated>";

/// All of them.
pub fn all() -> Vec<Kind> {
    let kind = |name, fault, befalls: fn(Op) -> bool, survived: fn(Op) -> bool| Kind {
        name,
        fault,
        befalls,
        survived,
    };
    vec![
        // The server cannot do it now.
        kind("500 InternalError", Fault::INTERNAL_ERROR, any, any),
        kind("503 SlowDown", Fault::SLOW_DOWN, any, any),
        kind("429 without a word", answer(429, "text/plain", ""), any, any),
        kind("502 from a proxy", answer(502, "text/html", PAGE), any, any),
        kind("400 RequestTimeout", Fault::REQUEST_TIMEOUT, any, any),
        kind(
            "an error after the effect",
            Fault::ErrorAfterEffect {
                status: 500,
                code: "InternalError",
            },
            any,
            any,
        ),
        kind(
            "200 with an error",
            Fault::OkWithError {
                code: "InternalError",
                effect: false,
            },
            answers_errors_in_a_200,
            any,
        ),
        kind(
            "200 with an error after the effect",
            Fault::OkWithError {
                code: "InternalError",
                effect: true,
            },
            answers_errors_in_a_200,
            any,
        ),
        // The connection.
        kind("reset before the effect", Fault::ResetBefore, any, any),
        kind(
            "reset in the request's body",
            Fault::ResetInBody { after_bytes: 50 },
            has_request_body,
            any,
        ),
        kind("reset after the effect", Fault::ResetAfterEffect, any, any),
        kind("closed after the effect", Fault::CloseAfterEffect, any, any),
        kind(
            "truncated reply",
            Fault::TruncateReply { after_bytes: 60 },
            answers_with_a_body,
            any,
        ),
        kind(
            "reset in the reply",
            Fault::ResetReply { after_bytes: 60 },
            answers_with_a_body,
            any,
        ),
        kind("stall", Fault::Stall { time: STALL }, any, any),
        kind(
            "stall in the reply",
            Fault::StallReply {
                after_bytes: 60,
                time: STALL,
            },
            answers_with_a_body,
            any,
        ),
        kind(
            "delay",
            Fault::Delay {
                time: Duration::from_millis(250),
            },
            any,
            any,
        ),
        kind("reply twice", Fault::Twice, any, none),
        // The bytes.
        kind(
            "corrupted byte of the request",
            Fault::FlipRequest { at_byte: 45 },
            has_request_body,
            is_of_the_store,
        ),
        kind(
            "corrupted byte of the reply",
            Fault::FlipReply { at_byte: 38 },
            answers_with_a_body,
            answers_xml,
        ),
        kind(
            "length too long",
            Fault::WrongLength { more: 1000 },
            answers_with_a_body,
            any,
        ),
        kind(
            "length too short",
            Fault::WrongLength { more: -7 },
            answers_with_a_body,
            answers_xml,
        ),
        kind(
            "malformed XML",
            answer(200, "application/xml", CUT_LISTING),
            answers_xml,
            none,
        ),
        kind(
            "a document cut between entries",
            answer(200, "application/xml", CUT_BETWEEN_ENTRIES),
            answers_xml,
            none,
        ),
        kind("nothing in a 200", answer(200, "application/xml", ""), any, none),
        kind("a web page in a 200", answer(200, "text/html", PAGE), any, none),
        // What it says is wrong.
        kind(
            "empty list",
            answer(200, "application/xml", EMPTY_LISTING),
            |op| op == Op::ListObjects,
            none,
        ),
        kind("the answer before this one", Fault::Stale, any, none),
        kind(
            "wrong ETag",
            Fault::WrongHeader {
                name: "etag",
                value: "\"00000000000000000000000000000000\"",
            },
            names_a_tag,
            none,
        ),
        kind("404 NoSuchKey", error(404, "NoSuchKey"), any, none),
        kind("404 NoSuchBucket", error(404, "NoSuchBucket"), any, none),
        kind("404 NoSuchUpload", Fault::NO_SUCH_UPLOAD, any, none),
        kind("409 conflict", Fault::CONFLICT, any, |op| op == Op::PutObject),
        kind("412 PreconditionFailed", error(412, "PreconditionFailed"), any, |op| {
            matches!(op, Op::PutObject | Op::CompleteMultipartUpload)
        }),
        kind("400 BadDigest", error(400, "BadDigest"), any, is_of_the_store),
        kind("400 InvalidRequest", error(400, "InvalidRequest"), any, none),
        // Who asks, when, and where.
        kind("403 AccessDenied", Fault::ACCESS_DENIED, any, none),
        kind("400 ExpiredToken", Fault::EXPIRED_TOKEN, any, none),
        kind("403 RequestTimeTooSkewed", Fault::CLOCK_SKEW, any, is_of_the_store),
        kind(
            "403 SignatureDoesNotMatch",
            error(403, "SignatureDoesNotMatch"),
            any,
            none,
        ),
        kind(
            "301 with the right region",
            Fault::WrongRegion {
                status: 301,
                region: "eu-central-1".to_owned(),
            },
            any,
            is_of_the_store,
        ),
        kind(
            "400 with the right region",
            Fault::WrongRegion {
                status: 400,
                region: "eu-central-1".to_owned(),
            },
            any,
            is_of_the_store,
        ),
        kind("301 without a region", error(301, "PermanentRedirect"), any, none),
        kind(
            "400 without a region",
            error(400, "AuthorizationHeaderMalformed"),
            any,
            none,
        ),
        kind("501 NotImplemented", error(501, "NotImplemented"), any, none),
        // Listings.
        kind(
            "a list that breaks off",
            Fault::TruncateReply { after_bytes: 400 },
            lists,
            any,
        ),
    ]
}
