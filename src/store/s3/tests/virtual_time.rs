//! Time that passes by itself when everybody waits, and a network within it: hours of an outage take a moment.

use std::collections::BTreeMap;
use std::future::{pending, poll_fn};
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Poll, Waker};
use std::time::Duration;

use aws_sdk_s3::config::{AsyncSleep, SharedHttpClient, Sleep};
use aws_sdk_s3::primitives::SdkBody;
use aws_smithy_runtime_api::client::http::{HttpConnector, HttpConnectorFuture, SharedHttpConnector, http_client_fn};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_smithy_runtime_api::http::StatusCode;
use http_body::Body as _;

use super::super::http::WatchedClient;
use super::super::request::Network;
use super::super::timer::{Time, Timer};
use super::TOKEN;

/// The time, and who waits for which moment.
#[derive(Debug, Default)]
struct Moments {
    now: Duration,
    next: u64,
    waiting: BTreeMap<(Duration, u64), Waker>,
}

/// Time that jumps to the next moment that somebody waits for, whenever nobody has anything to do.
#[derive(Clone, Debug, Default)]
pub(super) struct VirtualTime(Arc<Mutex<Moments>>);

impl VirtualTime {
    /// Nobody has anything to do.
    fn pass(&self) {
        let mut moments = self.0.lock().unwrap();
        if let Some(((moment, _), waker)) = moments.waiting.pop_first() {
            moments.now = moments.now.max(moment);
            // The one that waited may have gone; then somebody else must go on.
            let others: Vec<Waker> = moments.waiting.values().cloned().collect();
            drop(moments);
            waker.wake();
            others.into_iter().for_each(Waker::wake);
        }
    }

    pub(super) fn secs(&self) -> f64 {
        self.now().as_secs_f64()
    }

    async fn until(self, moment: Duration) {
        let mut own = None;
        poll_fn(|context| {
            let mut moments = self.0.lock().unwrap();
            if moments.now >= moment {
                return Poll::Ready(());
            }
            let key = *own.get_or_insert_with(|| {
                moments.next += 1;
                (moment, moments.next)
            });
            moments.waiting.insert(key, context.waker().clone());
            Poll::Pending
        })
        .await;
    }
}

impl Time for VirtualTime {
    fn now(&self) -> Duration {
        self.0.lock().unwrap().now
    }
}

impl AsyncSleep for VirtualTime {
    fn sleep(&self, duration: Duration) -> Sleep {
        let moment = self.now().saturating_add(duration);
        Sleep::new(self.clone().until(moment))
    }
}

/// What an outage is like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outage {
    /// Connections are refused, and those that stand break.
    Refusing,
    /// Nothing comes back and nothing goes, on old connections for ever.
    Silent,
    /// Bytes are taken, and an answer never comes.
    Swallowing,
    /// Every request is answered with an error that passes.
    Busy,
    /// Every request is read to its end and then broken off.
    Breaking,
}

/// An S3 server that takes everything, at the end of a line.
#[derive(Clone, Debug)]
pub(super) struct Line {
    pub(super) time: VirtualTime,
    pub(super) bytes_per_sec: u64,
    /// From when to when, and what it is like.
    pub(super) outage: Option<(Duration, Duration, Outage)>,
    /// How long the server thinks about a completion.
    pub(super) completing: Duration,
    /// Until when the line is taken.
    busy_until: Arc<Mutex<Duration>>,
    /// What was asked, and when.
    pub(super) asked: Arc<Mutex<Vec<(Duration, String)>>>,
}

impl Line {
    pub(super) fn new(bytes_per_sec: u64) -> Self {
        Self {
            time: VirtualTime::default(),
            bytes_per_sec,
            outage: None,
            completing: Duration::from_millis(100),
            busy_until: Arc::default(),
            asked: Arc::default(),
        }
    }

    /// The network that ends at this line.
    pub(super) fn network(&self) -> Network {
        let time = self.time.clone();
        let runtime = tokio::runtime::Builder::new_current_thread()
            .on_thread_park(move || time.pass())
            .build()
            .unwrap();
        let connector = SharedHttpConnector::new(self.clone());
        Network {
            runtime,
            timer: Timer::new(self.time.clone()),
            http: SharedHttpClient::new(WatchedClient(http_client_fn(move |_, _| connector.clone()))),
        }
    }

    fn outage(&self) -> Option<Outage> {
        let now = self.time.now();
        let (from, to, outage) = self.outage?;
        (from..to).contains(&now).then_some(outage)
    }

    /// Fails or never returns if the line is not what it should be.
    async fn pass(&self) -> Result<(), ConnectorError> {
        match self.outage() {
            Some(Outage::Refusing) => Err(ConnectorError::io("Connection refused (os error 111)".into())),
            Some(Outage::Silent) => pending().await,
            _ => Ok(()),
        }
    }

    /// Waits until so many bytes have gone over the line, which all requests share.
    async fn carry(&self, bytes: usize) {
        let end = {
            let mut busy_until = self.busy_until.lock().unwrap();
            let start = self.time.now().max(*busy_until);
            *busy_until = start + Duration::from_secs_f64(bytes as f64 / self.bytes_per_sec as f64);
            *busy_until
        };
        self.time.clone().until(end).await;
    }

    async fn exchange(self, request: HttpRequest) -> Result<HttpResponse, ConnectorError> {
        let latency = Duration::from_millis(50);
        let uri = request.uri().to_owned();
        let method = request.method().to_owned();
        let has = |name: &str| uri.contains(name);
        let what = match method.as_str() {
            "POST" if has("uploads") => "Create",
            "POST" => "Complete",
            "PUT" if has("partNumber") => "Part",
            "PUT" => "Put",
            "DELETE" if has("uploadId") => "Abort",
            "HEAD" => "Head",
            "GET" if has("uploadId") => "ListParts",
            _ => "other",
        };
        self.asked.lock().unwrap().push((self.time.now(), what.to_owned()));
        self.pass().await?;
        let mut body = request.into_body();
        while let Some(frame) = poll_fn(|context| Pin::new(&mut body).poll_frame(context)).await {
            let frame = frame.map_err(ConnectorError::io)?;
            self.carry(frame.data_ref().map_or(0, bytes::Bytes::len)).await;
            self.pass().await?;
        }
        self.time.sleep(latency).await;
        self.pass().await?;
        if what == "Complete" {
            self.time.sleep(self.completing).await;
        }
        match self.outage() {
            Some(Outage::Swallowing) => pending().await,
            Some(Outage::Busy) => return Ok(reply(503, "<Error><Code>SlowDown</Code></Error>")),
            Some(Outage::Breaking) => return Err(ConnectorError::io("Connection reset by peer (os error 104)".into())),
            _ => {}
        }
        Ok(match what {
            "Create" => reply(
                200,
                "<InitiateMultipartUploadResult><UploadId>upload-1</UploadId></InitiateMultipartUploadResult>",
            ),
            "Complete" => reply(
                200,
                "<CompleteMultipartUploadResult><ETag>\"whole-1\"</ETag></CompleteMultipartUploadResult>",
            ),
            "Abort" => reply(204, ""),
            "ListParts" => reply(404, "<Error><Code>NoSuchUpload</Code></Error>"),
            "Head" => reply(404, ""),
            _ => reply(200, ""),
        })
    }
}

impl HttpConnector for Line {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        HttpConnectorFuture::new(self.clone().exchange(request))
    }
}

fn reply(status: u16, body: &'static str) -> HttpResponse {
    let mut response = HttpResponse::new(StatusCode::try_from(status).unwrap(), SdkBody::from(body));
    response.headers_mut().insert("etag", "\"tag\"");
    response.headers_mut().insert("x-amz-meta-backup-cli-token", TOKEN);
    response
}
