//! The one way in which requests are made: attempts, timeouts, cancellation, retries, and the repair of a wrong region
//! or of expired credentials.

use std::future::Future;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::task::Poll;
use std::time::{Duration, Instant};

use aws_sdk_s3::Client;
use aws_sdk_s3::config::http::HttpResponse;
use aws_sdk_s3::error::{ProvideErrorMetadata, SdkError};
use tokio::runtime::Runtime;
use tokio::sync::watch;

use crate::base::cancel::{Cancel, CancelGuard};
use crate::base::failure::{Failure, Result};
use crate::base::report::{Event, Reporter};

use super::client::{self, ClientFactory, Surroundings};
use super::errors::{Class, Problem};
use super::options::{CLEAN_UP_PATIENCE, S3Options};
use super::provider::{self, ConditionalWrites, Provider};
use super::remove::BatchHabit;
use super::retry::{Budget, Next};

/// Bytes that arrive damaged this many times in a row will not arrive whole.
const CORRUPTED_MAX: u32 = 3;

/// How often one request may have the credentials looked up again.
const RENEWALS_MAX: u32 = 2;

/// What stops a request.
#[derive(Clone, Debug)]
pub(super) enum Stop {
    /// The run's cancellation.
    OnCancel,
    /// The run's cancellation, or this flag.
    OnCancelOr(watch::Receiver<bool>),
    /// The run's cancellation, so much later: for what is better answered than dropped half-way.
    LateOnCancel(Duration),
    /// Nothing but this much time: for what must be done after a cancellation too.
    After(Duration),
}

/// A request of the clean-up that gets no answer in this time is repeated.
const CLEAN_UP_ATTEMPT_TIMEOUT: Duration = Duration::from_secs(15);

/// What is asked of the store, apart from the SDK's own input.
#[derive(Clone, Debug)]
pub(super) struct Request {
    /// An infinitive with its object, for messages.
    pub(super) doing: String,
    /// The permission that it needs.
    pub(super) permission: &'static str,
    /// The object's key, if it is about one.
    pub(super) key: Option<String>,
    /// How long one attempt may take; `None` for what carries next to nothing.
    pub(super) attempt_timeout: Option<Duration>,
    /// Whether the SDK may repeat it by itself.
    pub(super) sdk_retries: bool,
    /// Whether its answer proves that the store works; the head of a body that never comes does not.
    pub(super) answer_is_progress: bool,
    /// What stops it.
    pub(super) stop: Stop,
}

impl Request {
    /// A request without a body to speak of.
    pub(super) fn new(doing: String, permission: &'static str, key: Option<&str>) -> Self {
        Self {
            doing,
            permission,
            key: key.map(str::to_owned),
            attempt_timeout: None,
            sdk_retries: true,
            answer_is_progress: true,
            stop: Stop::OnCancel,
        }
    }

    /// The same request, stopped by something else; an attempt takes no longer than the patience allows.
    pub(super) fn stopped_by(self, stop: &Stop) -> Self {
        let attempt_timeout = match stop {
            Stop::After(_) => Some(self.attempt_timeout.map_or(CLEAN_UP_ATTEMPT_TIMEOUT, |timeout| {
                timeout.min(CLEAN_UP_ATTEMPT_TIMEOUT)
            })),
            Stop::OnCancel | Stop::OnCancelOr(_) | Stop::LateOnCancel(_) => self.attempt_timeout,
        };
        Self {
            attempt_timeout,
            stop: stop.clone(),
            ..self
        }
    }
}

/// What a request has been through.
#[derive(Debug)]
pub(super) struct Tries {
    started: Instant,
    generation: u64,
    failures: u32,
    corrupted: u32,
    renewals: u32,
    clock_set: bool,
}

impl Tries {
    pub(super) fn new() -> Self {
        Self {
            started: Instant::now(),
            generation: 0,
            failures: 0,
            corrupted: 0,
            renewals: 0,
            clock_set: false,
        }
    }
}

/// The client in use; replaced as a whole when region or credentials turn out wrong.
#[derive(Debug)]
struct Link {
    generation: u64,
    client: Client,
    region: String,
    surroundings: Surroundings,
    region_repaired: bool,
}

/// What all requests of a store share.
pub(super) struct Session {
    runtime: Option<Runtime>,
    pub(super) options: S3Options,
    pub(super) prefix: String,
    pub(super) provider: &'static Provider,
    factory: ClientFactory,
    link: RwLock<Link>,
    repairing: tokio::sync::Mutex<()>,
    budget: Budget,
    clock_start: Instant,
    contacted: AtomicBool,
    bucket_seen: AtomicBool,
    conditional_writes_off: AtomicBool,
    pub(super) batches: BatchHabit,
    cancelled: watch::Receiver<bool>,
    reporter: Arc<dyn Reporter>,
    _guard: CancelGuard,
}

impl std::fmt::Debug for Session {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Session")
            .field("bucket", &self.options.bucket)
            .finish_non_exhaustive()
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        // Waiting for a name lookup that hangs would keep a finished program alive.
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

impl Session {
    /// Resolves the configuration; no request is made.
    pub(super) fn open(options: S3Options, cancel: &Cancel, reporter: Arc<dyn Reporter>) -> Result<Self> {
        let runtime = client::runtime()?;
        let surroundings = runtime.block_on(client::surroundings(&options))?;
        let host = surroundings.endpoint.as_ref().and_then(|url| url.host_str());
        let provider = provider::detect(options.provider.as_deref(), host)?;
        let factory = ClientFactory::new(&options, provider);
        let client = factory.client(&surroundings, &surroundings.region, surroundings.endpoint.as_ref());
        let (sender, cancelled) = watch::channel(false);
        // The session's receivers must outlive the callback, so it does not own the only sender.
        let sender = Arc::new(sender);
        let guard = cancel.on_cancel(move || {
            sender.send_replace(true);
        });
        if cancel.is_cancelled() {
            cancel.check()?;
        }
        Ok(Self {
            runtime: Some(runtime),
            prefix: options.prefix.trim_matches('/').to_owned(),
            provider,
            factory,
            link: RwLock::new(Link {
                generation: 0,
                client,
                region: surroundings.region.clone(),
                surroundings,
                region_repaired: false,
            }),
            repairing: tokio::sync::Mutex::new(()),
            budget: Budget::default(),
            clock_start: Instant::now(),
            contacted: AtomicBool::new(false),
            bucket_seen: AtomicBool::new(false),
            conditional_writes_off: AtomicBool::new(provider.conditional_writes == ConditionalWrites::Ignored),
            batches: BatchHabit::default(),
            cancelled,
            reporter,
            options,
            _guard: guard,
        })
    }

    /// Runs a future to its end on the calling thread.
    pub(super) fn block_on<T>(&self, future: impl Future<Output = Result<T>>) -> Result<T> {
        match &self.runtime {
            Some(runtime) => runtime.handle().block_on(future),
            None => Err(Failure::new(
                crate::base::failure::Kind::Failed,
                "The store has been closed",
            )),
        }
    }

    /// An object's name in messages.
    pub(super) fn object(&self, key: &str) -> String {
        format!("`s3://{}/{key}`", self.options.bucket)
    }

    /// The region in use.
    pub(super) fn region(&self) -> String {
        self.link.read().unwrap_or_else(PoisonError::into_inner).region.clone()
    }

    /// The endpoint in use; `None` is AWS.
    pub(super) fn endpoint(&self) -> Option<url::Url> {
        let link = self.link.read().unwrap_or_else(PoisonError::into_inner);
        link.surroundings.endpoint.clone()
    }

    /// The SDK's view of environment and configuration files.
    pub(super) fn sdk(&self) -> aws_types::SdkConfig {
        let link = self.link.read().unwrap_or_else(PoisonError::into_inner);
        link.surroundings.sdk.clone()
    }

    /// The connections.
    pub(super) fn http_client(&self) -> aws_sdk_s3::config::SharedHttpClient {
        self.factory.http_client()
    }

    /// The endpoint in use, in backticks.
    pub(super) fn endpoint_for_people(&self) -> String {
        let link = self.link.read().unwrap_or_else(PoisonError::into_inner);
        match &link.surroundings.endpoint {
            Some(url) => format!("`{}`", url.as_str().trim_end_matches('/')),
            None => format!("AWS region `{}`", link.region),
        }
    }

    /// Whether the run was asked to stop.
    pub(super) fn is_cancelled(&self) -> bool {
        *self.cancelled.borrow()
    }

    /// What stops a request that begins now. What is begun after the run was asked to stop is clean-up (a look at what
    /// stands there, a removal): it must not fail because of the very cancellation that made it necessary.
    pub(super) fn stop_from_now(&self) -> Stop {
        match self.is_cancelled() {
            true => Stop::After(CLEAN_UP_PATIENCE),
            false => Stop::OnCancel,
        }
    }

    /// Whether requests carry checksums besides their MD5.
    pub(super) fn checksums(&self) -> bool {
        self.factory.checksums()
    }

    /// How long an attempt that carries `bytes` may take.
    pub(super) fn timeout_for(&self, bytes: u64) -> Duration {
        self.options.attempt_timeout(bytes)
    }

    /// Whether the store is known to obey `If-None-Match: *`.
    pub(super) fn conditional_writes(&self) -> ConditionalWrites {
        if self.conditional_writes_off.load(Ordering::Acquire) {
            ConditionalWrites::Ignored
        } else {
            self.provider.conditional_writes
        }
    }

    /// Goes on without `If-None-Match`, and says so the first time.
    pub(super) fn give_up_conditional_writes(&self) {
        if !self.conditional_writes_off.swap(true, Ordering::AcqRel) {
            self.reporter.event(Event::Warning(format!(
                "{} refuses conditional writes. Keys are looked at before and after each write instead; two runs that write the same key in the same second could still meet.",
                self.endpoint_for_people()
            )));
        }
    }

    /// Notes that the bucket exists.
    pub(super) fn see_bucket(&self) {
        self.bucket_seen.store(true, Ordering::Release);
    }

    /// Whether any answer has proved that the bucket exists.
    pub(super) fn bucket_seen(&self) -> bool {
        self.bucket_seen.load(Ordering::Acquire)
    }

    /// Bytes have arrived: the store is alive.
    pub(super) fn progress(&self) {
        self.budget.success();
    }

    /// Makes a request until it succeeds or its failure stands.
    pub(super) async fn call<T, E, F, W>(&self, request: &Request, operation: F) -> Result<T, Problem>
    where
        E: ProvideErrorMetadata + std::error::Error + 'static,
        F: Fn(Client, aws_sdk_s3::config::Builder) -> W,
        W: Future<Output = Result<T, SdkError<E, HttpResponse>>>,
    {
        let mut tries = Tries::new();
        loop {
            match self.attempt(request, &mut tries, &operation).await {
                Ok(answer) => return Ok(answer),
                Err(problem) => self.recover(request, &mut tries, problem).await?,
            }
        }
    }

    /// Makes a request once (or as often as the SDK does by itself).
    pub(super) async fn attempt<T, E, F, W>(
        &self,
        request: &Request,
        tries: &mut Tries,
        operation: &F,
    ) -> Result<T, Problem>
    where
        E: ProvideErrorMetadata + std::error::Error + 'static,
        F: Fn(Client, aws_sdk_s3::config::Builder) -> W,
        W: Future<Output = Result<T, SdkError<E, HttpResponse>>>,
    {
        let client = {
            let link = self.link.read().unwrap_or_else(PoisonError::into_inner);
            tries.generation = link.generation;
            link.client.clone()
        };
        // Until the store has answered once, the SDK's own retries would only delay "no such host".
        let attempts = match request.sdk_retries && self.contacted.load(Ordering::Acquire) {
            true => self.options.retry.sdk_attempts,
            false => 1,
        };
        // The SDK's futures are large; the callers' stacks need not be.
        let timeout = request.attempt_timeout.unwrap_or_else(|| self.timeout_for(0));
        let work = Box::pin(operation(client, client::overrides(attempts, timeout)));
        let outcome = match race(self.stopped(&request.stop), work).await {
            Either::First(()) => return Err(interrupted()),
            Either::Second(outcome) => outcome,
        };
        match outcome {
            Ok(answer) => {
                self.contacted.store(true, Ordering::Release);
                self.see_bucket();
                if request.answer_is_progress {
                    self.progress();
                }
                Ok(answer)
            }
            Err(error) => {
                let mut problem = Problem::of(&error);
                // Later on, a page is a passing trouble of something in between.
                if problem.web_page && !self.bucket_seen() && problem.status.is_some_and(|status| status < 500) {
                    problem = problem.not_s3();
                }
                if problem.status.is_some() {
                    self.contacted.store(true, Ordering::Release);
                }
                Err(problem)
            }
        }
    }

    /// Returns when the request should be made again; gives the problem back if it should not.
    pub(super) async fn recover(&self, request: &Request, tries: &mut Tries, problem: Problem) -> Result<(), Problem> {
        let contacted = self.contacted.load(Ordering::Acquire);
        match problem.class {
            Class::Region => return self.repair_region(request, tries, problem).await,
            Class::Expired => return self.renew_credentials(tries, problem).await,
            // The answer told the SDK the time, and it signs the next request by that.
            Class::Skew if !tries.clock_set => {
                tries.clock_set = true;
                return Ok(());
            }
            // A metadata service that hiccups in the middle of a run is no missing configuration.
            Class::NoCredentials if contacted => {}
            class if class.passes() => {}
            _ => return Err(problem),
        }
        tries.failures += 1;
        if problem.class == Class::Corrupted {
            tries.corrupted += 1;
            if tries.corrupted >= CORRUPTED_MAX {
                return Err(problem);
            }
        }
        if let Stop::After(patience) = request.stop
            && tries.started.elapsed() >= patience
        {
            return Err(problem);
        }
        let now = self.clock_start.elapsed();
        let first_contact = problem.class.unconnected() && !contacted;
        let random = rand::random::<f64>();
        match self
            .budget
            .failed(&self.options.retry, tries.failures, first_contact, now, random)
        {
            Next::GiveUp => Err(problem),
            Next::Wait(wait) => {
                self.reporter.event(Event::Retrying {
                    what: request.doing.clone(),
                    attempt: tries.failures,
                    wait_millis: u64::try_from(wait.as_millis()).unwrap_or(u64::MAX),
                    cause: problem.summary(),
                });
                self.wait(request, wait).await
            }
        }
    }

    /// Sleeps, unless the request is stopped.
    pub(super) async fn wait(&self, request: &Request, wait: Duration) -> Result<(), Problem> {
        match race(self.stopped(&request.stop), tokio::time::sleep(wait)).await {
            Either::First(()) => Err(interrupted()),
            Either::Second(()) => Ok(()),
        }
    }

    /// Runs a future, unless the request is stopped or the time is up (`None`).
    pub(super) async fn within<T>(
        &self,
        stop: &Stop,
        limit: Duration,
        future: impl Future<Output = T>,
    ) -> Result<Option<T>, Problem> {
        match race(self.stopped(stop), tokio::time::timeout(limit, future)).await {
            Either::First(()) => Err(interrupted()),
            Either::Second(outcome) => Ok(outcome.ok()),
        }
    }

    async fn stopped(&self, stop: &Stop) {
        let cancelled = wait_for(self.cancelled.clone());
        match stop {
            Stop::OnCancel => cancelled.await,
            Stop::OnCancelOr(flag) => {
                race(cancelled, wait_for(flag.clone())).await;
            }
            Stop::LateOnCancel(grace) => {
                cancelled.await;
                tokio::time::sleep(*grace).await;
            }
            Stop::After(_) => std::future::pending().await,
        }
    }

    /// Turns to the region that the answer names, once.
    async fn repair_region(&self, request: &Request, tries: &Tries, problem: Problem) -> Result<(), Problem> {
        let _one_at_a_time = self.repairing.lock().await;
        let (generation, old, repaired) = {
            let link = self.link.read().unwrap_or_else(PoisonError::into_inner);
            (link.generation, link.region.clone(), link.region_repaired)
        };
        if generation != tries.generation {
            return Ok(());
        }
        if repaired {
            return Err(problem);
        }
        let named = match problem.region.clone().filter(|region| *region != old) {
            Some(region) => Some(region),
            None => self.ask_for_region(request).await,
        };
        let Some(region) = named.filter(|region| *region != old) else {
            return Err(problem);
        };
        {
            let mut link = self.link.write().unwrap_or_else(PoisonError::into_inner);
            if let Some(endpoint) = &link.surroundings.endpoint
                && client::is_regional_aws_endpoint(endpoint, &old)
            {
                link.surroundings.endpoint = None;
            }
            link.client = self
                .factory
                .client(&link.surroundings, &region, link.surroundings.endpoint.as_ref());
            link.region.clone_from(&region);
            link.region_repaired = true;
            link.generation += 1;
        }
        self.reporter.event(Event::Note(format!(
            "The bucket `{}` is in the region `{region}`, not in `{old}`; going on there. Set the region to save the detour.",
            self.options.bucket
        )));
        Ok(())
    }

    async fn ask_for_region(&self, request: &Request) -> Option<String> {
        let asking = Request {
            stop: request.stop.clone(),
            ..Request::new("find the bucket's region".to_owned(), "s3:ListBucket", None)
        };
        let bucket = self.options.bucket.clone();
        let outcome = self
            .attempt(&asking, &mut Tries::new(), &|client: Client, overrides| {
                client
                    .head_bucket()
                    .bucket(&bucket)
                    .customize()
                    .config_override(overrides)
                    .send()
            })
            .await;
        match outcome {
            Ok(answer) => answer.bucket_region,
            Err(problem) => problem.region,
        }
    }

    /// Looks the credentials up again.
    async fn renew_credentials(&self, tries: &mut Tries, problem: Problem) -> Result<(), Problem> {
        let _one_at_a_time = self.repairing.lock().await;
        let (generation, region) = {
            let link = self.link.read().unwrap_or_else(PoisonError::into_inner);
            (link.generation, link.region.clone())
        };
        if generation != tries.generation {
            return Ok(());
        }
        tries.renewals += 1;
        // Fixed credentials do not become fresh by looking again.
        if self.options.credentials.is_some() || tries.renewals > RENEWALS_MAX {
            return Err(problem);
        }
        let Ok(fresh) = client::surroundings(&self.options).await else {
            return Err(problem);
        };
        let mut link = self.link.write().unwrap_or_else(PoisonError::into_inner);
        let endpoint = link.surroundings.endpoint.clone();
        link.client = self.factory.client(&fresh, &region, endpoint.as_ref());
        link.surroundings = Surroundings { endpoint, ..fresh };
        link.generation += 1;
        Ok(())
    }
}

fn interrupted() -> Problem {
    Problem::new(Class::Interrupted, "The run was asked to stop")
}

async fn wait_for(mut flag: watch::Receiver<bool>) {
    if flag.wait_for(|set| *set).await.is_err() {
        // The sender is gone, so nobody can ever set it.
        std::future::pending::<()>().await;
    }
}

/// The one of two that ended first.
enum Either<A, B> {
    First(A),
    Second(B),
}

/// Runs two futures until one of them ends; the first is looked at first.
async fn race<A: Future, B: Future>(first: A, second: B) -> Either<A::Output, B::Output> {
    let mut first = pin!(first);
    let mut second = pin!(second);
    std::future::poll_fn(move |context| {
        if let Poll::Ready(value) = first.as_mut().poll(context) {
            return Poll::Ready(Either::First(value));
        }
        if let Poll::Ready(value) = second.as_mut().poll(context) {
            return Poll::Ready(Either::Second(value));
        }
        Poll::Pending
    })
    .await
}
