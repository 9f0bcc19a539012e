//! Requests that the store does not make for itself: of a bucket's configuration, and of trials. They go the same way as
//! the store's own, with its retries, its repair of a wrong region and its words.

use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use aws_sdk_s3::Client;
use aws_sdk_s3::config::http::HttpResponse;
use aws_sdk_s3::config::interceptors::BeforeDeserializationInterceptorContextRef;
use aws_sdk_s3::config::{Builder, ConfigBag, Intercept, RuntimeComponents, SharedHttpClient};
use aws_sdk_s3::error::{BoxError, ProvideErrorMetadata, SdkError};
use aws_types::SdkConfig;

use crate::base::failure::{Failure, Kind, Result};
use crate::store::PutOptions;

use super::S3Store;
use super::errors::{Class, Problem, server_ahead};
use super::options::S3Options;
use super::provider::Provider;
use super::put::Creation;
use super::session::{Request, Session, Tries};

/// Why a store refuses a request, as far as whoever asked has to tell the reasons apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// The run was asked to stop.
    Interrupted,
    /// The credentials do not allow it.
    NotAllowed,
    /// There are no credentials, or they are unknown, wrong or expired.
    Credentials,
    /// There is no such bucket.
    NoBucket,
    /// There is no such object or upload, or nothing is configured.
    NotThere,
    /// The server does not know this request or one of its headers.
    NotSupported,
    /// A condition of the request does not hold.
    Condition,
    /// No answer comes, or none that can be made sense of.
    Unreachable,
    /// What answers is no S3 server.
    NoStore,
    /// The other side does not speak TLS, or its certificate is not trusted.
    Tls,
    /// The clocks are too far apart.
    Clock,
    /// The bucket is in another region.
    Region,
    /// Anything else: the server does not like what was sent.
    Rejected,
}

/// A request that failed for good.
#[derive(Debug)]
pub struct Refusal {
    /// The reason in short.
    pub why: Why,
    /// The status of the answer, if there was one.
    pub status: Option<u16>,
    /// The server's own word for it, if it said one.
    pub code: Option<String>,
    /// Whether it is an answer that came whole, is no error, and makes no sense.
    pub is_senseless: bool,
    /// The permission that the request takes.
    pub permission: &'static str,
    /// The reason in full.
    pub failure: Failure,
}

impl Refusal {
    fn new(session: &Session, request: &Request, problem: &Problem) -> Self {
        let why = match problem.class {
            Class::Interrupted => Why::Interrupted,
            Class::Denied => Why::NotAllowed,
            Class::NoCredentials | Class::BadCredentials | Class::Expired => Why::Credentials,
            Class::NoBucket => Why::NoBucket,
            Class::NoKey | Class::NoUpload => Why::NotThere,
            Class::NotImplemented => Why::NotSupported,
            Class::Precondition | Class::Conflict => Why::Condition,
            Class::Dns | Class::Refused | Class::Connect | Class::Lost | Class::Busy => Why::Unreachable,
            Class::NotS3 => Why::NoStore,
            Class::Tls => Why::Tls,
            Class::Skew => Why::Clock,
            Class::Region => Why::Region,
            Class::Corrupted
            | Class::Archived
            | Class::Thawing
            | Class::NotExpedited
            | Class::Range
            | Class::InvalidArgument
            | Class::Fatal => Why::Rejected,
        };
        Self {
            why,
            status: problem.status,
            code: problem.code.clone(),
            is_senseless: is_senseless(problem),
            permission: request.permission,
            failure: session.explain(request, problem),
        }
    }

    /// Whether the server said one of these words.
    #[must_use]
    pub fn says(&self, codes: &[&str]) -> bool {
        self.code.as_deref().is_some_and(|code| codes.contains(&code))
    }
}

/// What a request is about.
#[derive(Clone, Debug)]
pub(crate) struct About<'a> {
    /// An infinitive with its object, for messages.
    pub(crate) doing: String,
    /// The permission that it takes.
    pub(crate) permission: &'static str,
    /// The object's key, if it is about one.
    pub(crate) key: Option<&'a str>,
    /// What becomes of an answer that makes no sense.
    pub(crate) senseless: Senseless,
    /// How much its body carries, in bytes.
    pub(crate) bytes: u64,
}

impl<'a> About<'a> {
    /// A request about the bucket.
    pub(crate) fn bucket(doing: impl Into<String>, permission: &'static str) -> Self {
        Self {
            doing: doing.into(),
            permission,
            key: None,
            senseless: Senseless::Fails,
            bytes: 0,
        }
    }

    /// A request about an object.
    pub(crate) fn object(doing: impl Into<String>, permission: &'static str, key: &'a str) -> Self {
        Self {
            key: Some(key),
            ..Self::bucket(doing, permission)
        }
    }

    /// The same, with a body of so many bytes.
    pub(crate) fn carrying(self, bytes: usize) -> Self {
        Self {
            bytes: bytes as u64,
            ..self
        }
    }

    /// The same, of which any answer is taken as it is.
    pub(crate) fn taking_any_answer(self) -> Self {
        Self {
            senseless: Senseless::Counts,
            ..self
        }
    }

    /// The same, of which any answer is taken that comes twice.
    pub(crate) fn taking_any_answer_twice(self) -> Self {
        Self {
            senseless: Senseless::CountsTwice,
            ..self
        }
    }
}

/// What becomes of an answer that came and that the client cannot make sense of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Senseless {
    /// It is a failure, and the question is asked again as after others.
    Fails,
    /// It is the answer: for what is sent wrong on purpose.
    Counts,
    /// It is the answer if it comes again: for what a server may answer in a way of its own. What happens once may have
    /// happened on the way.
    CountsTwice,
}

/// What the answers' heads said of the server.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Heads {
    /// The server's own name.
    pub server: Option<String>,
    /// By how many seconds the server's clock was ahead of this machine's at the last answer.
    pub ahead_secs: Option<i64>,
}

/// Makes further requests of a store's bucket.
#[derive(Clone, Debug)]
pub(crate) struct Requests {
    session: Arc<Session>,
    observer: Observer,
}

impl S3Store {
    /// A way to make further requests of the bucket.
    pub(crate) fn requests(&self) -> Requests {
        Requests {
            session: self.session.clone(),
            observer: Observer::default(),
        }
    }
}

impl Requests {
    /// The settings of the store.
    pub(crate) fn options(&self) -> &S3Options {
        &self.session.options
    }

    /// The bucket's name.
    pub(crate) fn bucket(&self) -> &str {
        &self.session.options.bucket
    }

    /// The headers that a new object has by the settings.
    pub(crate) fn creation(&self, options: &PutOptions) -> Creation {
        self.session.creation(options)
    }

    /// The line of the provider table that holds for the store.
    pub(crate) fn provider(&self) -> &'static Provider {
        self.session.provider
    }

    /// The region in use: after the first answer that of the bucket.
    pub(crate) fn region(&self) -> String {
        self.session.region()
    }

    /// The endpoint; `None` is AWS.
    pub(crate) fn endpoint(&self) -> Option<url::Url> {
        self.session.endpoint()
    }

    /// The SDK's view of the surroundings, for clients of other services.
    pub(crate) fn sdk(&self) -> SdkConfig {
        self.session.sdk()
    }

    /// The store's connections, for clients of other services.
    pub(crate) fn http_client(&self) -> SharedHttpClient {
        self.session.http_client()
    }

    /// What the answers so far said of the server.
    pub(crate) fn heads(&self) -> Heads {
        self.observer.heads()
    }

    /// Makes a request until it succeeds or its failure stands. It works after a cancellation too, for a little while, so
    /// that what was made can be removed.
    pub(crate) fn ask<T, E, F, W>(&self, about: About<'_>, operation: F) -> Result<T, Refusal>
    where
        E: ProvideErrorMetadata + std::error::Error + 'static,
        F: Fn(Client, Builder) -> W,
        W: Future<Output = Result<T, SdkError<E, HttpResponse>>>,
    {
        let session = &self.session;
        let request = Request {
            attempt_timeout: Some(session.timeout_for(about.bytes)),
            ..Request::new(about.doing, about.permission, about.key)
        }
        .stopped_by(&session.stop_from_now());
        let observed = |client, overrides: Builder| operation(client, overrides.interceptor(self.observer.clone()));
        let outcome = session.block_on(async {
            let mut tries = Tries::new();
            let mut senseless = 0;
            loop {
                match session.attempt(&request, &mut tries, &observed).await {
                    Err(problem) if about.senseless == Senseless::Counts && is_answer(&problem) => {
                        return Ok(Err(problem));
                    }
                    Err(problem) if about.senseless == Senseless::CountsTwice && is_senseless(&problem) => {
                        senseless += 1;
                        if senseless == 2 {
                            return Ok(Err(problem));
                        }
                    }
                    Err(problem) => match session.recover(&request, &mut tries, problem).await {
                        Ok(()) => {}
                        Err(problem) => return Ok(Err(problem)),
                    },
                    Ok(answer) => return Ok(Ok(answer)),
                }
            }
        });
        match outcome {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(problem)) => Err(Refusal::new(session, &request, &problem)),
            Err(failure) => Err(Refusal {
                why: Why::Rejected,
                status: None,
                code: None,
                is_senseless: false,
                permission: request.permission,
                failure,
            }),
        }
    }

    /// Runs a future on the store's connections: a request to another service of the same provider, or the rest of a body.
    /// It is given up when the run was asked to stop, or after the time that one attempt may take.
    pub(crate) fn block_on<T>(&self, future: impl Future<Output = T>) -> Result<T> {
        let session = &self.session;
        session.block_on(async {
            let limit = session.timeout_for(0);
            match session.within(&session.stop_from_now(), limit, future).await {
                Ok(Some(answer)) => Ok(answer),
                Ok(None) => Err(Failure::new(
                    Kind::Unreachable,
                    format!("{} began to answer and did not go on", session.endpoint_for_people()),
                )
                .hint("Try it again later; if it goes on so, look at the way to it")),
                Err(_) => Err(Failure::new(
                    Kind::Interrupted,
                    "Interrupted: the run was asked to stop",
                )),
            }
        })
    }

    /// Reads an error of another service of the same provider.
    pub(crate) fn refusal<E>(&self, about: About<'_>, error: &SdkError<E, HttpResponse>) -> Refusal
    where
        E: ProvideErrorMetadata + std::error::Error + 'static,
    {
        let request = Request::new(about.doing, about.permission, about.key);
        Refusal::new(&self.session, &request, &Problem::of(error))
    }

    /// The refusal of an answer that no S3 server gives.
    pub(crate) fn no_store(&self, about: About<'_>) -> Refusal {
        let request = Request::new(about.doing, about.permission, about.key);
        let mut problem = Problem::new(Class::NotS3, "").not_s3();
        problem.status = Some(200);
        Refusal::new(&self.session, &request, &problem)
    }

    /// Fails once the run has been asked to stop.
    pub(crate) fn check(&self) -> Result<()> {
        match self.session.is_cancelled() {
            true => Err(Failure::new(
                Kind::Interrupted,
                "Interrupted: the run was asked to stop",
            )),
            false => Ok(()),
        }
    }
}

/// Whether the server has answered to the point, although the client cannot make sense of it.
fn is_answer(problem: &Problem) -> bool {
    problem.class == Class::Corrupted || problem.status.is_some_and(|status| (200..300).contains(&status))
}

/// Whether all of an answer came that is no error, and that the client cannot make sense of.
fn is_senseless(problem: &Problem) -> bool {
    let is_success = problem.status.is_some_and(|status| (200..300).contains(&status));
    is_success && problem.is_whole && problem.code.is_none()
}

/// Looks at the head of every answer.
#[derive(Clone, Debug, Default)]
struct Observer(Arc<Mutex<Heads>>);

impl Observer {
    fn heads(&self) -> Heads {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Intercept for Observer {
    fn name(&self) -> &'static str {
        "heads of answers"
    }

    fn read_before_deserialization(
        &self,
        context: &BeforeDeserializationInterceptorContextRef<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let headers = context.response().headers();
        let mut heads = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(ahead) = headers
            .get("date")
            .and_then(|date| server_ahead(date, SystemTime::now()))
        {
            heads.ahead_secs = Some(ahead);
        }
        if let Some(server) = headers.get("server").filter(|server| !server.is_empty()) {
            heads.server = Some(server.to_owned());
        }
        Ok(())
    }
}
