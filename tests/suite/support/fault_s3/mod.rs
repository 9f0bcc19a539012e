//! An S3 server inside the test process whose faults are chosen request by request.
//!
//! The protocol, signatures included, is the `s3s` crate's; what it stores is in memory. It is stricter than the real
//! thing, it records every request with the bytes that moved, and it can break a connection at any byte.

mod backend;
mod identity;
mod plan;
mod settings;
mod users;
mod wire;

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU16, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use hyper::body::{Body, Incoming};
use hyper::header::{CONTENT_LENGTH, HeaderMap, HeaderValue};
use hyper::service::service_fn;
use hyper::{Request as HttpRequest, Response, StatusCode};
use hyper_util::rt::TokioIo;
use s3s::service::{S3Service, S3ServiceBuilder};
use tokio::runtime::Runtime;

pub use backend::{Content, OpenUpload, Options, StoredObject, Thaw};
pub use identity::ACCOUNT;
pub use plan::{Fault, Op, Request, When};
pub use settings::{Papers, paper_of};
pub use users::Gate;

use backend::Memory;
use plan::{Gauge, InFlight, Live, Plan};
use settings::{Asked, Settings};
use users::Users;
use wire::{Ends, Received, Sent, Trouble, Wire};

use super::s3_client::{S3Access, S3Client};

/// The one user of the server. The secret is a canary: it must not turn up in any output.
pub const ACCESS_KEY: &str = "AKTESTFAULTS00000001";
/// See [`ACCESS_KEY`].
pub const SECRET_KEY: &str = "canary/fault+secret00000000000000000000";

/// A running server; it ends when dropped.
#[derive(Debug)]
pub struct FaultS3 {
    address: SocketAddr,
    shared: Arc<Shared>,
    runtime: Option<Runtime>,
}

#[derive(Debug)]
struct Shared {
    memory: Memory,
    settings: Settings,
    service: S3Service,
    plan: Plan,
    requests: Mutex<Vec<Arc<Live>>>,
    gauge: Arc<Gauge>,
    connections: AtomicU64,
    began: Instant,
    /// The last answer to each operation.
    answers: Mutex<BTreeMap<Op, (Head, Bytes)>>,
}

/// The head of an answer that was given.
#[derive(Clone, Debug)]
struct Head {
    status: StatusCode,
    headers: HeaderMap,
}

impl FaultS3 {
    /// A server that behaves like AWS until told otherwise.
    pub fn start() -> Self {
        Self::with(Options::default())
    }

    /// A server that behaves as the options say.
    pub fn with(options: Options) -> Self {
        let users = Users::default();
        users.add(ACCESS_KEY, SECRET_KEY, None);
        let memory = Memory::new(options, users.clone());
        let mut builder = S3ServiceBuilder::new(memory.clone());
        builder.set_auth(users);
        let shared = Arc::new(Shared {
            memory,
            settings: Settings::default(),
            service: builder.build(),
            plan: Plan::default(),
            requests: Mutex::default(),
            gauge: Arc::default(),
            connections: AtomicU64::new(0),
            began: Instant::now(),
            answers: Mutex::default(),
        });
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .thread_name("fault-s3")
            .enable_all()
            .build()
            .expect("a runtime");
        let listener = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
        listener.set_nonblocking(true).expect("a listener that does not block");
        let address = listener.local_addr().expect("an address");
        let accepting = shared.clone();
        runtime.spawn(async move {
            let listener = tokio::net::TcpListener::from_std(listener).expect("a listener");
            while let Ok((stream, _)) = listener.accept().await {
                accepting.connections.fetch_add(1, Ordering::SeqCst);
                tokio::spawn(serve(accepting.clone(), stream));
            }
        });
        Self {
            address,
            shared,
            runtime: Some(runtime),
        }
    }

    /// A new bucket with this content, which is shared until somebody changes it.
    pub fn bucket_with(&self, content: &Content) -> String {
        let name = self.bucket();
        self.shared.memory.fill(&name, content);
        name
    }

    /// Everything that a bucket holds.
    pub fn content(&self, bucket: &str) -> Content {
        self.shared.memory.content(bucket)
    }

    /// A bucket of this name, with this content; there is none yet.
    pub fn bucket_named(&self, name: &str, content: &Content) {
        self.shared.memory.create_bucket_now(name);
        self.shared.memory.fill(name, content);
    }

    /// The settings of all buckets and the roles of the account.
    pub fn papers(&self) -> Papers {
        self.shared.settings.papers()
    }

    /// Every document of these that a request has made, by its name, in order.
    pub fn papers_written(&self) -> BTreeMap<String, Vec<String>> {
        self.shared.settings.written()
    }

    /// Makes all of them what is given.
    pub fn set_papers(&self, papers: Papers) {
        self.shared.settings.set(papers);
    }

    /// Where it is and who may use it.
    pub fn access(&self) -> S3Access {
        let options = &self.shared.memory.options;
        S3Access {
            endpoint: format!("http://{}", self.address),
            region: options
                .region
                .as_ref()
                .map_or("us-east-1", |(region, _)| region)
                .to_owned(),
            access_key: ACCESS_KEY.to_owned(),
            secret_key: SECRET_KEY.to_owned(),
        }
    }

    /// A new user, of whose requests a gate decides.
    pub fn user(&self, gate: Arc<dyn Gate>) -> S3Access {
        static NEXT: AtomicU32 = AtomicU32::new(1);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let (access_key, secret_key) = (
            format!("AKTESTUSER{number:010}"),
            format!("canary/user+secret{number:022}"),
        );
        self.shared.memory.users.add(&access_key, &secret_key, Some(gate));
        S3Access {
            access_key,
            secret_key,
            ..self.access()
        }
    }

    /// The address it listens on.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// A new bucket, empty.
    pub fn bucket(&self) -> String {
        static NEXT: AtomicU32 = AtomicU32::new(1);
        let name = format!("fault-bucket-{}", NEXT.fetch_add(1, Ordering::Relaxed));
        self.shared.memory.create_bucket_now(&name);
        name
    }

    /// The variables for the tool under test, the bucket's `backups` prefix as its store.
    pub fn environment(&self, bucket: &str) -> Vec<(String, String)> {
        let mut variables = self.access().environment();
        variables.push(("BACKUP_STORE".to_owned(), format!("s3://{bucket}/backups")));
        variables
    }

    /// A client for looking behind the tool's back; its requests are recorded and befallen by faults like any other.
    pub fn client(&self) -> S3Client {
        self.access().client()
    }

    /// Adds a rule. Of several rules that match a request the first that fires decides.
    pub fn fault(&self, when: When, fault: Fault) -> &Self {
        self.shared.plan.add(when, fault);
        self
    }

    /// From now on a request that no rule befalls may be befallen by chance: what is drawn from a number that follows from
    /// the seed and from the request.
    pub fn chaos(&self, seed: u64, draw: fn(number: u64, op: Op) -> Option<Fault>) {
        self.shared.plan.draw(seed, draw);
    }

    /// Forgets all rules.
    pub fn heal(&self) {
        self.shared.plan.clear();
    }

    /// Asserts that every fault has happened: a test whose fault never came proves nothing.
    #[track_caller]
    pub fn assert_all_faults_happened(&self) {
        let unfired = self.shared.plan.unfired();
        assert!(
            unfired.is_empty(),
            "faults that never happened: {unfired:#?}\nrequests: {:#?}",
            self.operations()
        );
    }

    /// Every request so far, in the order of arrival.
    pub fn requests(&self) -> Vec<Request> {
        self.live().iter().map(|live| live.snapshot()).collect()
    }

    /// The requests of one operation.
    pub fn requests_of(&self, op: Op) -> Vec<Request> {
        self.requests().into_iter().filter(|request| request.op == op).collect()
    }

    /// The operations and keys of all requests, for messages.
    pub fn operations(&self) -> Vec<(Op, String, Option<u16>)> {
        self.requests()
            .into_iter()
            .map(|request| (request.op, request.key, request.status))
            .collect()
    }

    /// Forgets the requests so far.
    pub fn forget_requests(&self) {
        self.live().clear();
    }

    /// The most requests of an operation that were served at the same time.
    pub fn in_flight_most(&self, op: Op) -> usize {
        self.shared.gauge.most(op)
    }

    /// How many connections have been accepted.
    pub fn connections(&self) -> u64 {
        self.shared.connections.load(Ordering::SeqCst)
    }

    /// An object as the server holds it.
    pub fn object(&self, bucket: &str, key: &str) -> Option<StoredObject> {
        self.shared.memory.object(bucket, key)
    }

    /// Changes an object behind everybody's back; `None` removes it.
    pub fn tamper(&self, bucket: &str, key: &str, change: impl FnOnce(Vec<u8>) -> Option<Vec<u8>>) {
        self.shared.memory.tamper(bucket, key, change);
    }

    /// Everything of a bucket is from so long before: the clocks of a test tell full seconds only.
    pub fn age(&self, bucket: &str, by: Duration) {
        self.shared.memory.age(bucket, by);
    }

    /// How far an archived object is thawed, as from now on.
    pub fn set_thaw(&self, bucket: &str, key: &str, thaw: Thaw) {
        self.shared.memory.set_thaw(bucket, key, thaw);
    }

    /// All keys of a bucket, sorted.
    pub fn keys(&self, bucket: &str) -> Vec<String> {
        self.shared.memory.keys(bucket)
    }

    /// The uploads that are neither completed nor aborted.
    pub fn open_uploads(&self, bucket: &str) -> Vec<OpenUpload> {
        self.shared.memory.open_uploads(bucket)
    }

    fn live(&self) -> std::sync::MutexGuard<'_, Vec<Arc<Live>>> {
        self.shared.requests.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for FaultS3 {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            // A stalled request must not hold the test up.
            runtime.shutdown_background();
        }
    }
}

async fn serve(shared: Arc<Shared>, stream: tokio::net::TcpStream) {
    let _ = stream.set_nodelay(true);
    let ends = Arc::new(Ends::default());
    let wire = Wire::new(stream, ends.clone());
    let service = service_fn(move |request| answer(shared.clone(), ends.clone(), request));
    // That connections break is what this server is for.
    let _ = hyper::server::conn::http1::Builder::new()
        .serve_connection(TokioIo::new(wire), service)
        .await;
}

/// The reason for which a connection ends without an answer.
#[derive(Debug)]
struct Hangup;

impl std::fmt::Display for Hangup {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("the connection is ended on purpose")
    }
}

impl std::error::Error for Hangup {}

/// One exchange, and what it takes to end it in each way.
struct Exchange {
    shared: Arc<Shared>,
    ends: Arc<Ends>,
    live: Arc<Live>,
    in_flight: InFlight,
}

type Answer = Result<Response<Sent>, Hangup>;

async fn answer(shared: Arc<Shared>, ends: Arc<Ends>, request: HttpRequest<Incoming>) -> Answer {
    let live = Arc::new(record(&shared, &request));
    shared
        .requests
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .push(live.clone());
    let op = live.request.op;
    let fault = shared
        .plan
        .decide(op, &live.request.key)
        .or_else(|| wrong_region(&shared, &request))
        .or_else(|| refused(&shared, &live.request));
    live.faulty.store(fault.is_some(), Ordering::SeqCst);
    let in_flight = shared.gauge.enter(op);
    let (parts, body) = request.into_parts();
    let request = HttpRequest::from_parts(
        parts,
        Received {
            inner: body,
            live: live.clone(),
            flip_at_byte: match fault {
                Some(Fault::FlipRequest { at_byte }) => Some(at_byte),
                _ => None,
            },
        },
    );
    let exchange = Exchange {
        shared,
        ends,
        live,
        in_flight,
    };
    match fault {
        None => exchange.proceed(request, None).await,
        Some(fault) => exchange.go_wrong(request, fault).await,
    }
}

impl Exchange {
    async fn go_wrong(self, mut request: HttpRequest<Received>, fault: Fault) -> Answer {
        match fault {
            Fault::Error { status, code } => {
                request.body_mut().read(u64::MAX).await;
                let body = error_xml(code, &self.live.request.key);
                Ok(self.reply(status, &[("content-type", "application/xml".to_owned())], body))
            }
            Fault::ErrorAfterEffect { status, code } => {
                self.take_effect(request).await;
                let body = error_xml(code, &self.live.request.key);
                Ok(self.reply(status, &[("content-type", "application/xml".to_owned())], body))
            }
            Fault::OkWithError { code, effect } => {
                if effect {
                    self.take_effect(request).await;
                } else {
                    request.body_mut().read(u64::MAX).await;
                }
                let body = error_xml(code, &self.live.request.key);
                Ok(self.reply(200, &[("content-type", "application/xml".to_owned())], body))
            }
            Fault::Reply { status, headers, body } => {
                request.body_mut().read(u64::MAX).await;
                Ok(self.reply(status, &headers, body))
            }
            Fault::WrongRegion { status, region } => {
                request.body_mut().read(u64::MAX).await;
                Ok(self.reply_wrong_region(status, &region))
            }
            Fault::ResetBefore => self.hang_up(true),
            Fault::ResetInBody { after_bytes } => {
                request.body_mut().read(after_bytes).await;
                self.hang_up(true)
            }
            Fault::ResetAfterEffect => {
                self.take_effect(request).await;
                self.hang_up(true)
            }
            Fault::CloseAfterEffect => {
                self.take_effect(request).await;
                self.hang_up(false)
            }
            Fault::TruncateReply { after_bytes } => self.proceed(request, Some((after_bytes, Trouble::End))).await,
            Fault::ResetReply { after_bytes } => {
                self.ends.reset.store(true, Ordering::SeqCst);
                self.proceed(request, Some((after_bytes, Trouble::End))).await
            }
            Fault::FlipReply { at_byte } => self.proceed(request, Some((at_byte, Trouble::Flip))).await,
            Fault::StallReply { after_bytes, time } => {
                self.proceed(request, Some((after_bytes, Trouble::Pause(time)))).await
            }
            Fault::Stall { time } => {
                tokio::time::sleep(time).await;
                self.hang_up(true)
            }
            Fault::Delay { time } => {
                tokio::time::sleep(time).await;
                self.proceed(request, None).await
            }
            Fault::FlipRequest { .. } => self.proceed(request, None).await,
            Fault::WrongHeader { name, value } => {
                let mut response = self.proceed(request, None).await?;
                response.headers_mut().insert(name, HeaderValue::from_static(value));
                Ok(response)
            }
            Fault::WrongLength { more } => {
                let mut response = self.proceed(request, None).await?;
                let right = response.body().size_hint().exact().unwrap_or(0);
                response.body_mut().is_length_hidden = true;
                let wrong = right.saturating_add_signed(more);
                response.headers_mut().insert(CONTENT_LENGTH, wrong.into());
                Ok(response)
            }
            Fault::Twice => {
                self.ends.twice.store(true, Ordering::SeqCst);
                self.proceed(request, None).await
            }
            Fault::Stale => self.answer_again(request).await,
        }
    }

    /// The normal way, with a trouble on the way back if there is one.
    async fn proceed(self, request: HttpRequest<Received>, trouble: Option<(u64, Trouble)>) -> Answer {
        let Some(mut response) = self.perform(request).await else {
            return self.hang_up(true);
        };
        let ahead = self.shared.memory.options.clock_ahead_secs;
        if ahead != 0 {
            let time = jiff::Timestamp::now() + jiff::SignedDuration::from_secs(ahead);
            let date = time.strftime("%a, %d %b %Y %H:%M:%S GMT").to_string();
            response.headers_mut().insert("date", date.parse().expect("a date"));
        }
        self.live.status.store(response.status().as_u16(), Ordering::SeqCst);
        let response = self.keep(response).await;
        Ok(response.map(|body| Sent::new(body, self.live, trouble, self.in_flight)))
    }

    /// Keeps a copy of an answer that is small enough, for [`Fault::Stale`].
    async fn keep(&self, response: Response<s3s::Body>) -> Response<s3s::Body> {
        const KEPT_BYTES_MAX: u64 = 64 * 1024;
        let (head, mut body) = response.into_parts();
        if body.size_hint().upper().is_none_or(|bytes| bytes > KEPT_BYTES_MAX) {
            return Response::from_parts(head, body);
        }
        let mut content = Vec::new();
        while let Some(Ok(frame)) = std::future::poll_fn(|cx| Pin::new(&mut body).poll_frame(cx)).await {
            content.extend_from_slice(frame.data_ref().map_or(&[][..], |data| data));
        }
        let content = Bytes::from(content);
        let kept = Head {
            status: head.status,
            headers: head.headers.clone(),
        };
        self.shared
            .answers
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(self.live.request.op, (kept, content.clone()));
        Response::from_parts(head, s3s::Body::from(content))
    }

    /// The answer to the request before this one of the same operation.
    async fn answer_again(self, request: HttpRequest<Received>) -> Answer {
        let before = self.live.request.op;
        let kept = self
            .shared
            .answers
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .get(&before)
            .cloned();
        let Some((head, body)) = kept else {
            return self.proceed(request, None).await;
        };
        self.take_effect(request).await;
        self.live.status.store(head.status.as_u16(), Ordering::SeqCst);
        let mut response = Response::new(Sent::new(s3s::Body::from(body), self.live, None, self.in_flight));
        *response.status_mut() = head.status;
        *response.headers_mut() = head.headers;
        Ok(response)
    }

    /// Lets the request do what it should, and throws the answer away.
    async fn take_effect(&self, request: HttpRequest<Received>) {
        drop(self.perform(request).await);
    }

    /// Does what the request asks for; `None` if it cannot be answered.
    async fn perform(&self, mut request: HttpRequest<Received>) -> Option<Response<s3s::Body>> {
        let about = &self.live.request;
        let memory = &self.shared.memory;
        let is_known = memory.options.has_settings
            && matches!(about.op, Op::ReadSetting | Op::WriteSetting | Op::Identity | Op::Caller);
        if is_known {
            let body = request.body_mut().collect().await?;
            let access_key = about.header("authorization").and_then(signed_with);
            return self.shared.settings.answer(&Asked {
                request: about,
                method: request.method(),
                body: &body,
                secret: access_key
                    .and_then(|scope| scope.split('/').next())
                    .and_then(|access_key| memory.users.secret(access_key)),
                bucket_exists: memory.has_bucket(&about.bucket),
            });
        }
        let request = request.map(s3s::Body::http_body_unsync);
        let response = self.shared.service.call(request).await.ok()?;
        if about.op == Op::CreateBucket && memory.options.has_settings && response.status().is_success() {
            self.shared.settings.created(about);
        }
        Some(response)
    }

    fn hang_up(self, reset: bool) -> Answer {
        self.ends.reset.store(reset, Ordering::SeqCst);
        Err(Hangup)
    }

    fn reply(self, status: u16, headers: &[(&'static str, String)], body: String) -> Response<Sent> {
        self.live.status.store(status, Ordering::SeqCst);
        let mut response = Response::new(Sent::new(s3s::Body::from(body), self.live, None, self.in_flight));
        *response.status_mut() = hyper::StatusCode::from_u16(status).expect("a status");
        for (name, value) in headers {
            response
                .headers_mut()
                .insert(*name, value.parse().expect("a header's value"));
        }
        response
    }

    fn reply_wrong_region(self, status: u16, region: &str) -> Response<Sent> {
        let code = if status == 400 {
            "AuthorizationHeaderMalformed"
        } else {
            "PermanentRedirect"
        };
        let body = format!(
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Error><Code>{code}</Code><Message>The region is wrong; expecting \
             '{region}'</Message><Region>{region}</Region><RequestId>FAULT</RequestId></Error>"
        );
        let headers = [
            ("content-type", "application/xml".to_owned()),
            ("x-amz-bucket-region", region.to_owned()),
        ];
        self.reply(status, &headers, body)
    }
}

fn error_xml(code: &str, key: &str) -> String {
    let key = key.replace('&', "&amp;").replace('<', "&lt;");
    format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Error><Code>{code}</Code><Message>A fault of the test's \
         choice</Message><Key>{key}</Key><RequestId>FAULT</RequestId></Error>"
    )
}

/// The access key and the scope that a request is signed with.
fn signed_with(authorization: &str) -> Option<&str> {
    authorization.split("Credential=").nth(1)?.split(',').next()
}

/// The refusal of a request that its user may not make.
fn refused(shared: &Shared, request: &Request) -> Option<Fault> {
    let access_key = signed_with(request.header("authorization")?)?.split('/').next()?;
    let gate = shared.memory.users.gate(access_key)?;
    let stands = match request.parameter("uploadId") {
        Some(upload_id) => shared.memory.upload(&request.bucket, &upload_id),
        None => shared.memory.object(&request.bucket, &request.key),
    };
    let why = gate.refuse(request, stands.as_ref())?;
    Some(Fault::Reply {
        status: 403,
        headers: vec![("content-type", "application/xml".to_owned())],
        body: format!(
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Error><Code>AccessDenied</Code><Message>{why}</Message>\
             <RequestId>REFUSED</RequestId></Error>"
        ),
    })
}

/// The refusal of a request that is signed for another region than the bucket's.
fn wrong_region(shared: &Shared, request: &HttpRequest<Incoming>) -> Option<Fault> {
    let (region, status) = shared.memory.options.region.as_ref()?;
    let authorization = request.headers().get("authorization")?.to_str().ok()?;
    let scope = signed_with(authorization)?;
    let signed_for = scope.split('/').nth(2)?;
    (signed_for != region).then(|| Fault::WrongRegion {
        status: *status,
        region: region.clone(),
    })
}

fn record(shared: &Shared, request: &HttpRequest<Incoming>) -> Live {
    let path = percent_encoding::percent_decode_str(request.uri().path())
        .decode_utf8_lossy()
        .into_owned();
    let (bucket, key) = path
        .trim_start_matches('/')
        .split_once('/')
        .unwrap_or((path.trim_start_matches('/'), ""));
    // The SDK names the operation once more, for its own statistics.
    let query: Vec<&str> = request
        .uri()
        .query()
        .unwrap_or_default()
        .split('&')
        .filter(|q| !q.starts_with("x-id="))
        .collect();
    let query = query.join("&");
    let text = |value: &hyper::header::HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
    let range = request.headers().get("range").and_then(|value| {
        let (from, to) = value.to_str().ok()?.strip_prefix("bytes=")?.split_once('-')?;
        Some(from.parse().ok()?..to.parse::<u64>().ok()? + 1)
    });
    Live {
        request: Request {
            op: Op::of(request.method(), key, bucket, &query).of_service(request.headers().get("authorization")),
            bucket: bucket.to_owned(),
            key: key.to_owned(),
            query,
            range,
            headers: request
                .headers()
                .iter()
                .map(|(name, value)| (name.to_string(), text(value)))
                .collect(),
            received_bytes: 0,
            sent_bytes: 0,
            status: None,
            faulty: false,
            began: shared.began.elapsed(),
        },
        received_bytes: AtomicU64::new(0),
        sent_bytes: AtomicU64::new(0),
        status: AtomicU16::new(0),
        faulty: AtomicBool::new(false),
    }
}
