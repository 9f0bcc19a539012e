//! What went wrong with a request: the SDK's many errors, read once into a [`Problem`].

use std::error::Error;
use std::time::{Duration, SystemTime};

use aws_sdk_s3::config::http::HttpResponse;
use aws_sdk_s3::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_s3::primitives::{DateTime, DateTimeFormat};

use crate::base::secret::redact;

/// What sort of problem it is; decides what is done about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Class {
    /// The run was asked to stop, or the upload was aborted meanwhile.
    Interrupted,
    /// The host name has no address.
    Dns,
    /// Nobody listens there.
    Refused,
    /// No connection came about for another reason.
    Connect,
    /// The other side does not speak TLS, or its certificate is not trusted.
    Tls,
    /// The connection ended, or no answer came in time: the request may or may not have been carried out.
    Lost,
    /// The server says that it could not do it now.
    Busy,
    /// The bytes that arrived are not those that were sent.
    Corrupted,
    /// The bucket is in another region.
    Region,
    /// No credentials were found.
    NoCredentials,
    /// The credentials have expired.
    Expired,
    /// The credentials are unknown or wrong.
    BadCredentials,
    /// The credentials do not allow it.
    Denied,
    /// The clocks are too far apart.
    Skew,
    /// There is no such bucket.
    NoBucket,
    /// There is no such object.
    NoKey,
    /// There is no such upload (any more).
    NoUpload,
    /// A condition of the request does not hold: the key is taken, or the object has changed.
    Precondition,
    /// Another write to the same key is going on.
    Conflict,
    /// The object lies in an archive and must be thawed first.
    Archived,
    /// The object lies in an archive and was asked for already.
    Thawing,
    /// The archive cannot be that fast now.
    NotExpedited,
    /// The range is outside the object.
    Range,
    /// The server does not know this request or one of its headers.
    NotImplemented,
    /// The server calls an argument invalid.
    InvalidArgument,
    /// Whatever answers is no S3 server.
    NotS3,
    /// Anything else that will not pass by itself.
    Fatal,
}

impl Class {
    /// Whether the same request may succeed later.
    pub(super) fn passes(self) -> bool {
        matches!(
            self,
            Self::Dns | Self::Refused | Self::Connect | Self::Lost | Self::Busy | Self::Corrupted
        )
    }

    /// Whether no connection came about, so that the server has never seen the request.
    pub(super) fn unconnected(self) -> bool {
        matches!(self, Self::Dns | Self::Refused | Self::Connect | Self::Tls)
    }
}

/// One failed attempt.
#[derive(Clone, Debug)]
pub(super) struct Problem {
    /// What sort it is.
    pub(super) class: Class,
    /// The HTTP status, if there was an answer.
    pub(super) status: Option<u16>,
    /// The service's code for the error.
    pub(super) code: Option<String>,
    /// What happened, for people, secrets masked.
    pub(super) message: String,
    /// The region that the answer names.
    pub(super) region: Option<String>,
    /// The endpoint that the answer names.
    pub(super) endpoint: Option<String>,
    /// How far the server's clock is ahead of ours, in seconds.
    pub(super) server_ahead_secs: Option<i64>,
    /// Whether all of the answer came, so that what makes no sense of it is not for want of its end.
    pub(super) is_whole: bool,
    /// Whether a web page came instead of an answer that an S3 server gives.
    pub(super) web_page: bool,
    /// The request's id, by which the provider's support finds it.
    pub(super) request_id: Option<String>,
}

impl Problem {
    /// A problem that no answer of a server stands behind.
    pub(super) fn new(class: Class, message: impl Into<String>) -> Self {
        Self {
            class,
            status: None,
            code: None,
            message: message.into(),
            region: None,
            endpoint: None,
            server_ahead_secs: None,
            is_whole: false,
            web_page: false,
            request_id: None,
        }
    }

    /// The same as the answer of something that is no S3 server.
    pub(super) fn not_s3(self) -> Self {
        Self {
            class: Class::NotS3,
            message: "A web page, or something else that S3 never sends".to_owned(),
            ..self
        }
    }

    /// One line: the code, the status and the words.
    pub(super) fn summary(&self) -> String {
        let mut out = String::new();
        match (self.status, &self.code) {
            (Some(status), Some(code)) => out.push_str(&format!("The store answered {status} {code}")),
            (Some(status), None) => out.push_str(&format!("The store answered {status}")),
            (None, _) => return self.message.clone(),
        }
        if !self.message.is_empty() {
            out.push_str(": ");
            out.push_str(&self.message);
        }
        if let Some(id) = &self.request_id {
            out.push_str(&format!(" (request {id})"));
        }
        out
    }

    /// Reads the SDK's error.
    pub(super) fn of<E>(error: &SdkError<E, HttpResponse>) -> Self
    where
        E: ProvideErrorMetadata + Error + 'static,
    {
        match error {
            SdkError::TimeoutError(_) => Self::new(Class::Lost, "No answer came in time"),
            SdkError::DispatchFailure(failure) => {
                let chain = failure.as_connector_error().map_or_else(Vec::new, |inner| chain(inner));
                let text = chain.join(": ");
                match class_of_dispatch(&text) {
                    // The last words would be about the last place only.
                    Class::NoCredentials if text.contains("no providers in chain") || text.contains("IMDS") => {
                        Self::new(
                            Class::NoCredentials,
                            "Neither the environment nor a profile, a web identity, a container or an instance has any",
                        )
                    }
                    class => Self::new(class, last_words(&chain)),
                }
            }
            SdkError::ConstructionFailure(_) => {
                let chain = chain(error);
                let class = match credentials_missing(&chain.join(": ")) {
                    true => Class::NoCredentials,
                    false => Class::Fatal,
                };
                Self::new(class, last_words(&chain))
            }
            SdkError::ResponseError(inner) => {
                let mut problem = Self::of_response(inner.raw(), None, None);
                // An answer that cannot be read may stand for a success.
                problem.class = Class::Lost;
                problem.message = format!("The answer could not be read: {}", last_words(&chain(error)));
                problem
            }
            SdkError::ServiceError(inner) => Self::of_response(inner.raw(), inner.err().code(), inner.err().message()),
            _ => Self::new(Class::Fatal, last_words(&chain(error))),
        }
    }

    /// Reads an answer that is an error.
    fn of_response(raw: &HttpResponse, code: Option<&str>, message: Option<&str>) -> Self {
        let status = raw.status().as_u16();
        let headers = raw.headers();
        let body = raw
            .body()
            .bytes()
            .map(|bytes| String::from_utf8_lossy(bytes).into_owned())
            .unwrap_or_default();
        let code = code.map(str::to_owned).or_else(|| element(&body, "Code"));
        let message = message
            .map(str::to_owned)
            .or_else(|| element(&body, "Message"))
            .unwrap_or_default();
        let region = headers
            .get("x-amz-bucket-region")
            .map(str::to_owned)
            .or_else(|| element(&body, "Region"))
            .filter(|region| !region.is_empty());
        let class = match class_of_answer(status, code.as_deref()) {
            // A HEAD has no body: a wrong region looks like any bad request, but for the header.
            Class::Fatal if status == 400 && code.is_none() && region.is_some() => Class::Region,
            class => class,
        };
        Self {
            class,
            status: Some(status),
            region,
            endpoint: element(&body, "Endpoint"),
            server_ahead_secs: headers
                .get("date")
                .and_then(|date| server_ahead(date, SystemTime::now())),
            is_whole: raw.body().bytes().is_some(),
            web_page: is_web_page(&body),
            request_id: headers.get("x-amz-request-id").map(str::to_owned),
            message: redact(message.trim()),
            code,
        }
    }
}

/// Whether a body is HTML, which no S3 server sends.
fn is_web_page(body: &str) -> bool {
    let begin: String = body.trim_start().chars().take(14).collect();
    let begin = begin.to_ascii_lowercase();
    begin.starts_with("<html") || begin.starts_with("<!doctype html")
}

/// The text of the first `<name>` element of an S3 error document.
pub(super) fn element(body: &str, name: &str) -> Option<String> {
    let open = format!("<{name}>");
    let start = body.find(&open)? + open.len();
    let length = body[start..].find("</")?;
    Some(body[start..start + length].trim().to_owned())
}

/// How far the server's clock is ahead of ours, from its `Date` header.
pub(super) fn server_ahead(date: &str, now: SystemTime) -> Option<i64> {
    let server = DateTime::from_str(date, DateTimeFormat::HttpDate).ok()?.secs();
    let now = now.duration_since(SystemTime::UNIX_EPOCH).unwrap_or(Duration::ZERO);
    Some(server - i64::try_from(now.as_secs()).ok()?)
}

fn class_of_dispatch(text: &str) -> Class {
    let lower = text.to_ascii_lowercase();
    let has = |needle: &str| lower.contains(needle);
    if credentials_missing(&lower) {
        Class::NoCredentials
    } else if has("dns error") || has("failed to lookup address") {
        Class::Dns
    } else if has("connection refused") {
        Class::Refused
    } else if has("invalid peer certificate") || has("corrupt message") || has("tls handshake") {
        Class::Tls
    } else if has("connect") && (has("tcp connect error") || has("client error (connect)") || has("connect timeout")) {
        Class::Connect
    } else {
        Class::Lost
    }
}

/// Whether the SDK looked for credentials and found none. Its error types for that are not public, its words are.
fn credentials_missing(text: &str) -> bool {
    let lower = text.to_ascii_lowercase();
    [
        "no providers in chain provided credentials",
        "failed to load credentials",
        "error occurred while loading credentials",
        "credentials provider was not enabled",
        "the credential provider was not enabled",
        "no credentials",
        "credentials provider timed out",
        "failed to select an auth scheme",
    ]
    .iter()
    .any(|needle| lower.contains(needle))
}

fn class_of_answer(status: u16, code: Option<&str>) -> Class {
    match code.unwrap_or_default() {
        "NoSuchBucket" => Class::NoBucket,
        "NoSuchKey" | "NoSuchVersion" => Class::NoKey,
        "NoSuchUpload" => Class::NoUpload,
        "AccessDenied" | "AllAccessDisabled" | "AccountProblem" | "UnauthorizedAccess" | "InvalidObjectOwner" => {
            Class::Denied
        }
        "InvalidAccessKeyId"
        | "SignatureDoesNotMatch"
        | "InvalidSecurity"
        | "InvalidToken"
        | "InvalidClientTokenId"
        | "UnrecognizedClientException" => Class::BadCredentials,
        "ExpiredToken" | "ExpiredTokenException" | "TokenRefreshRequired" | "RequestExpired" => Class::Expired,
        "RequestTimeTooSkewed" => Class::Skew,
        "PermanentRedirect" | "AuthorizationHeaderMalformed" | "IllegalLocationConstraintException" => Class::Region,
        "PreconditionFailed" => Class::Precondition,
        "ConditionalRequestConflict" => Class::Conflict,
        "InvalidObjectState" => Class::Archived,
        "RestoreAlreadyInProgress" => Class::Thawing,
        "GlacierExpeditedRetrievalNotAvailable" => Class::NotExpedited,
        "InvalidRange" => Class::Range,
        "NotImplemented" => Class::NotImplemented,
        "InvalidArgument" => Class::InvalidArgument,
        "BadDigest"
        | "InvalidDigest"
        | "XAmzContentSHA256Mismatch"
        | "XAmzContentChecksumMismatch"
        | "ChecksumMismatch" => Class::Corrupted,
        "SlowDown"
        | "ServiceUnavailable"
        | "InternalError"
        | "RequestTimeout"
        | "RequestTimeoutException"
        | "Throttling"
        | "ThrottlingException"
        | "ThrottledException"
        | "RequestThrottled"
        | "RequestThrottledException"
        | "RequestLimitExceeded"
        | "TooManyRequests"
        | "TooManyRequestsException"
        | "BandwidthLimitExceeded"
        | "OperationAborted"
        | "IncompleteBody"
        | "TemporaryRedirect"
        | "EC2ThrottledException"
        | "PriorRequestNotComplete"
        | "TransactionInProgressException" => Class::Busy,
        // An error inside a success is as final as its code says; without one it cannot be understood.
        "" if (200..300).contains(&status) => Class::Lost,
        _ => class_of_status(status),
    }
}

fn class_of_status(status: u16) -> Class {
    match status {
        301 | 307 | 308 => Class::Region,
        401 | 403 => Class::Denied,
        404 => Class::NoKey,
        405 | 501 => Class::NotImplemented,
        408 | 429 | 500 | 502 | 503 | 504 => Class::Busy,
        409 => Class::Conflict,
        412 => Class::Precondition,
        416 => Class::Range,
        _ => Class::Fatal,
    }
}

/// The sentences of an error and its causes, each different from the one before.
fn chain(error: &(dyn Error + 'static)) -> Vec<String> {
    let mut out: Vec<String> = Vec::new();
    let mut next = Some(error);
    while let Some(error) = next {
        let text = error.to_string();
        if !text.is_empty() && out.last().is_none_or(|last| !last.contains(&text)) {
            out.push(text);
        }
        next = error.source();
    }
    out
}

/// The innermost sentences say what happened; the outer ones name the SDK's own layers.
fn last_words(chain: &[String]) -> String {
    let tail = &chain[chain.len().saturating_sub(2)..];
    redact(&tail.join(": "))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_web_page_is_told_from_an_answer() {
        assert!(is_web_page("\n <!DOCTYPE html><html>"));
        assert!(is_web_page("<html lang=\"en\">"));
        assert!(!is_web_page("<?xml version=\"1.0\"?><Error/>"));
        assert!(!is_web_page(""));
    }

    #[test]
    fn codes_and_bare_statuses_have_their_class() {
        for (status, code, class) in [
            (404, Some("NoSuchBucket"), Class::NoBucket),
            (404, Some("NoSuchKey"), Class::NoKey),
            (404, None, Class::NoKey),
            (404, Some("NoSuchUpload"), Class::NoUpload),
            (403, None, Class::Denied),
            (403, Some("SignatureDoesNotMatch"), Class::BadCredentials),
            (400, Some("ExpiredToken"), Class::Expired),
            (403, Some("RequestTimeTooSkewed"), Class::Skew),
            (301, None, Class::Region),
            (400, None, Class::Fatal),
            (400, Some("AuthorizationHeaderMalformed"), Class::Region),
            (412, None, Class::Precondition),
            (409, Some("ConditionalRequestConflict"), Class::Conflict),
            (409, Some("OperationAborted"), Class::Busy),
            (403, Some("InvalidObjectState"), Class::Archived),
            (409, Some("RestoreAlreadyInProgress"), Class::Thawing),
            (503, Some("GlacierExpeditedRetrievalNotAvailable"), Class::NotExpedited),
            (416, None, Class::Range),
            (501, None, Class::NotImplemented),
            (400, Some("BadDigest"), Class::Corrupted),
            (503, Some("SlowDown"), Class::Busy),
            (200, Some("InternalError"), Class::Busy),
            (200, None, Class::Lost),
            (200, Some("InvalidPart"), Class::Fatal),
            (400, Some("EntityTooSmall"), Class::Fatal),
            (400, Some("InvalidPart"), Class::Fatal),
        ] {
            assert_eq!(class_of_answer(status, code), class, "{status} {code:?}");
        }
        assert!(Class::Busy.passes() && Class::Lost.passes());
        assert!(!Class::Fatal.passes() && !Class::Tls.passes() && !Class::Denied.passes());
    }

    #[test]
    fn the_words_of_a_failed_connection_have_their_class() {
        for (text, class) in [
            (
                "client error (Connect): dns error: failed to lookup address information",
                Class::Dns,
            ),
            (
                "client error (Connect): tcp connect error: Connection refused (os error 111)",
                Class::Refused,
            ),
            (
                "client error (Connect): tcp connect error: Network is unreachable",
                Class::Connect,
            ),
            (
                "client error (Connect): invalid peer certificate: UnknownIssuer",
                Class::Tls,
            ),
            (
                "client error (Connect): received corrupt message of type InvalidContentType",
                Class::Tls,
            ),
            ("HTTP connect timeout occurred after 3.1s", Class::Connect),
            (
                "client error (SendRequest): connection closed before message completed",
                Class::Lost,
            ),
            (
                "client error (SendRequest): connection error: Connection reset by peer",
                Class::Lost,
            ),
            ("no providers in chain provided credentials", Class::NoCredentials),
        ] {
            assert_eq!(class_of_dispatch(text), class, "{text}");
        }
    }

    #[test]
    fn region_and_endpoint_are_read_from_an_error_document() {
        let body = "<?xml version=\"1.0\"?><Error><Code>AuthorizationHeaderMalformed</Code>\
                    <Message>the region 'a' is wrong</Message><Region>eu-west-3</Region></Error>";
        assert_eq!(element(body, "Region").unwrap(), "eu-west-3");
        assert_eq!(element(body, "Endpoint"), None);
        assert_eq!(element("<Region>cut", "Region"), None);
    }

    #[test]
    fn the_skew_is_measured_from_the_date_header() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000);
        assert_eq!(server_ahead("Tue, 14 Nov 2023 22:13:20 GMT", now), Some(0));
        assert_eq!(server_ahead("Tue, 14 Nov 2023 22:43:20 GMT", now), Some(1800));
        assert_eq!(server_ahead("yesterday", now), None);
    }
}
