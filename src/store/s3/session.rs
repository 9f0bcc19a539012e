//! The one way in which requests are made: attempts, timeouts, cancellation, retries, and the repair of a wrong region
//! or of expired credentials.

use std::future::Future;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use aws_sdk_s3::Client;
use aws_sdk_s3::config::http::HttpResponse;
use aws_sdk_s3::config::{AsyncSleep as _, SharedHttpClient};
use aws_sdk_s3::error::{ProvideErrorMetadata, SdkError};
use tokio::runtime::Runtime;
use tokio::sync::watch;

use crate::base::cancel::{Cancel, CancelGuard};
use crate::base::failure::{Failure, Result};
use crate::base::report::{Event, Reporter};

use super::client::{self, ClientFactory, Surroundings};
use super::errors::{Class, Problem};
use super::http::{self, Moved, PooledClient, WatchedClient};
use super::options::S3Options;
use super::provider::{self, ConditionalWrites, Provider};
use super::race::{Either, race, wait_for};
use super::remove::BatchHabit;
use super::request::OnItsWay;
pub(super) use super::request::{Network, Request, Stop, Tries};
use super::retry::{Budget, FailedAttempt, Next};
use super::timer::Timer;

/// Bytes that arrive damaged this many times in a row will not arrive whole.
const CORRUPTED_MAX: u32 = 3;

/// How often one request may have the credentials looked up again.
const RENEWALS_MAX: u32 = 2;

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
    timer: Timer,
    /// The bytes of all parts that are being sent: they share the line.
    bytes_in_flight: AtomicU64,
    contacted: AtomicBool,
    bucket_seen: AtomicBool,
    conditional_writes_off: AtomicBool,
    parts_signed: AtomicBool,
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
        let network = Network {
            runtime: client::runtime()?,
            timer: Timer::real(),
            http: SharedHttpClient::new(WatchedClient(PooledClient::default())),
        };
        Self::on(network, options, cancel, reporter)
    }

    /// As [`Session::open`], on a given network.
    pub(super) fn on(
        network: Network,
        options: S3Options,
        cancel: &Cancel,
        reporter: Arc<dyn Reporter>,
    ) -> Result<Self> {
        let Network { runtime, timer, http } = network;
        let surroundings = runtime.block_on(client::surroundings(&options))?;
        let host = surroundings.endpoint.as_ref().and_then(|url| url.host_str());
        let provider = provider::detect(options.provider.as_deref(), host)?;
        let factory = ClientFactory::new(&options, provider, http, timer.clone());
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
            timer,
            bytes_in_flight: AtomicU64::new(0),
            contacted: AtomicBool::new(false),
            bucket_seen: AtomicBool::new(false),
            conditional_writes_off: AtomicBool::new(provider.conditional_writes == ConditionalWrites::Ignored),
            parts_signed: AtomicBool::new(false),
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
            Some(runtime) => runtime.block_on(future),
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

    /// The host that requests go to where it is not the endpoint's own: they name the bucket in it.
    pub(super) fn host_with_bucket(&self) -> Option<String> {
        let link = self.link.read().unwrap_or_else(PoisonError::into_inner);
        let bucket = &self.options.bucket;
        // The SDK names no other bucket in a host.
        let fits = bucket
            .bytes()
            .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-');
        match link.surroundings.endpoint.as_ref().and_then(url::Url::domain) {
            Some(host) if fits && !self.factory.path_style() => Some(format!("{bucket}.{host}")),
            _ => None,
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
            true => self.clean_up(),
            false => Stop::OnCancel,
        }
    }

    /// What stops a request of the clean-up.
    pub(super) fn clean_up(&self) -> Stop {
        Stop::After(self.options.clean_up_patience())
    }

    /// Whether requests carry checksums besides their MD5.
    pub(super) fn checksums(&self) -> bool {
        self.factory.checksums()
    }

    /// How long an attempt that carries `bytes` may take.
    pub(super) fn timeout_for(&self, bytes: u64) -> Duration {
        self.options.attempt_timeout(bytes)
    }

    /// A part of so many bytes is on its way as long as the answer is kept.
    pub(super) fn send_bytes(&self, bytes: u64) -> OnItsWay<'_> {
        OnItsWay::new(&self.bytes_in_flight, bytes)
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

    /// Whether the signature of a part covers the SHA-256 of its content, beside the MD5 that it always covers.
    pub(super) fn signs_parts(&self) -> bool {
        self.parts_signed.load(Ordering::Acquire)
    }

    /// Goes on with whole signatures: some buckets have a policy that takes nothing else.
    pub(super) fn sign_parts(&self) {
        self.parts_signed.store(true, Ordering::Release);
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
        self.budget.success(self.timer.now());
    }

    /// How long the rest of a body may not move: as long as its owner says, and as the budget lasts.
    pub(super) fn stall_limit(&self) -> Duration {
        let now = self.timer.now();
        let end = self.budget.end(&self.options.retry, now, Duration::ZERO);
        self.options.stall_timeout.min(end.saturating_sub(now))
    }

    /// Notes that the rest of a body is waited for from now on.
    pub(super) fn begin(&self, tries: &mut Tries) {
        tries.begin(self.timer.now());
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
        // Until the store has answered once, the SDK's own retries would only delay "no such host"; and they are for blips, not
        // for outages.
        let is_blip = self.contacted.load(Ordering::Acquire) && !self.budget.is_failing();
        let attempts = match request.sdk_retries && is_blip {
            true => self.options.retry.sdk_attempts,
            false => 1,
        };
        tries.begin(self.timer.now());
        let moved = Moved::now(&self.timer);
        let timeout = request.attempt_timeout.unwrap_or_else(|| self.timeout_for(0));
        let sdk_timeout = (!request.shares_the_line).then_some(timeout);
        // The SDK's futures are large; the callers' stacks need not be.
        let work = Box::pin(http::watched(
            moved.clone(),
            operation(client, client::overrides(attempts, sdk_timeout)),
        ));
        let given_up = race(
            self.stopped(&request.stop),
            self.too_long(request, tries, &moved, timeout),
        );
        let outcome = match race(given_up, work).await {
            Either::First(Either::First(())) => return Err(interrupted()),
            Either::First(Either::Second(words)) => {
                tries.silent_since = moved.last();
                tries.hung = true;
                return Err(Problem::new(Class::Lost, words));
            }
            Either::Second(outcome) => outcome,
        };
        tries.silent_since = moved.last();
        tries.hung = matches!(outcome, Err(SdkError::TimeoutError(_)));
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
        let now = self.timer.now();
        if let Stop::After(patience) = request.stop
            && now >= tries.started.unwrap_or(now) + patience
        {
            return Err(problem);
        }
        let failed = FailedAttempt {
            number: tries.failures,
            first_contact: problem.class.unconnected() && !contacted,
            began: tries.began,
            silent_since: tries.silent_since,
            hung: tries.hung,
            now,
        };
        match self.budget.failed(&self.options.retry, &failed, rand::random::<f64>()) {
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
        match race(self.stopped(&request.stop), self.timer.sleep(wait)).await {
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
        // What is there already counts, however little time there was.
        let in_time = race(future, self.timer.sleep(limit));
        match race(self.stopped(stop), in_time).await {
            Either::First(()) => Err(interrupted()),
            Either::Second(Either::First(answer)) => Ok(Some(answer)),
            Either::Second(Either::Second(())) => Ok(None),
        }
    }

    /// Returns, with words about it, when an attempt is to be given up: nothing moved and no answer came for as long as the
    /// budget lasts; or the line is too slow; or the patience is at its end. What else takes too long the SDK ends.
    async fn too_long(&self, request: &Request, tries: &Tries, moved: &Moved, timeout: Duration) -> String {
        let mut together_bytes = 0;
        loop {
            let last = moved.last();
            let mut quiet_end = self.budget.end(&self.options.retry, last, request.silence_allowed);
            if let Stop::After(patience) = request.stop {
                quiet_end = quiet_end.min(tries.started.unwrap_or(last).saturating_add(patience));
            }
            let mut slow_end = Duration::MAX;
            if request.shares_the_line {
                quiet_end = quiet_end.min(last.saturating_add(timeout));
                together_bytes = self.bytes_in_flight.load(Ordering::Acquire).max(together_bytes);
                let moving = self.options.moving_time(together_bytes);
                slow_end = moved.began() + moving + self.options.attempt_timeout_min;
            }
            let now = self.timer.now();
            if now >= quiet_end {
                let silent = now.saturating_sub(last);
                return format!("No answer, and nothing moved for {:.1} s", silent.as_secs_f64());
            }
            if now >= slow_end {
                let taken = now.saturating_sub(moved.began());
                return format!("No answer after {} s, and too slow", taken.as_secs());
            }
            self.timer.sleep(quiet_end.min(slow_end) - now).await;
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
                self.timer.sleep(*grace).await;
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
