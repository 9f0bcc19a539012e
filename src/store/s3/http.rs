//! The HTTP client: the SDK's own connector with a pool that forgets idle connections soon, and with an eye on whether the
//! bytes of a request move.

use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use aws_sdk_s3::primitives::SdkBody;
use aws_smithy_http_client::proxy::ProxyConfig;
use aws_smithy_http_client::tls::Provider;
use aws_smithy_http_client::tls::rustls_provider::CryptoMode;
use aws_smithy_http_client::{Connector, ConnectorBuilder};
use aws_smithy_runtime_api::client::http::{
    HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpConnector,
};
use aws_smithy_runtime_api::client::orchestrator::HttpRequest;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};

use super::timer::Timer;

/// A dump that pauses for minutes leaves connections idle that a load balancer drops without a word; a request on
/// such a connection hangs. Most of them drop after 60 s or more, some servers after 10 or 20.
const POOL_IDLE_TIMEOUT: Duration = Duration::from_secs(8);

/// What a body hands to the connection at once: at the slowest speed that counts as alive, this much moves every other second.
const PIECE_BYTES: usize = 256 * 1024;

/// One connector with one pool, made for the first request.
#[derive(Debug, Default)]
pub(super) struct PooledClient {
    connector: OnceLock<SharedHttpConnector>,
}

impl HttpClient for PooledClient {
    fn http_connector(&self, settings: &HttpConnectorSettings, components: &RuntimeComponents) -> SharedHttpConnector {
        let make = || {
            let mut builder: ConnectorBuilder<_> = Connector::builder()
                .connector_settings(settings.clone())
                .pool_idle_timeout(POOL_IDLE_TIMEOUT)
                .proxy_config(ProxyConfig::from_env());
            builder.set_sleep_impl(components.sleep_impl());
            SharedHttpConnector::new(builder.tls_provider(Provider::Rustls(CryptoMode::AwsLc)).build())
        };
        self.connector.get_or_init(make).clone()
    }
}

/// When the last exchange of an attempt began, and when a byte of its body last moved.
#[derive(Clone, Debug)]
pub(super) struct Moved {
    times: Arc<Times>,
    timer: Timer,
}

#[derive(Debug, Default)]
struct Times {
    began_micros: AtomicU64,
    moved_micros: AtomicU64,
}

impl Moved {
    /// An attempt that begins now.
    pub(super) fn now(timer: &Timer) -> Self {
        let moved = Self {
            times: Arc::default(),
            timer: timer.clone(),
        };
        moved.begin();
        moved
    }

    fn begin(&self) {
        self.times.began_micros.store(self.micros(), Ordering::Release);
        self.touch();
    }

    fn touch(&self) {
        self.times.moved_micros.store(self.micros(), Ordering::Release);
    }

    fn micros(&self) -> u64 {
        u64::try_from(self.timer.now().as_micros()).unwrap_or(u64::MAX)
    }

    /// When the exchange began; the SDK may have made one before.
    pub(super) fn began(&self) -> Duration {
        Duration::from_micros(self.times.began_micros.load(Ordering::Acquire))
    }

    /// The time of the last movement, or of the beginning.
    pub(super) fn last(&self) -> Duration {
        Duration::from_micros(self.times.moved_micros.load(Ordering::Acquire))
    }
}

tokio::task_local! {
    static MOVED: Moved;
}

/// Runs an attempt whose body tells when it moves.
pub(super) async fn watched<F: Future>(moved: Moved, attempt: F) -> F::Output {
    MOVED.scope(moved, attempt).await
}

/// A client whose requests hand their bodies over in pieces.
#[derive(Debug)]
pub(super) struct WatchedClient<C>(pub(super) C);

impl<C: HttpClient> HttpClient for WatchedClient<C> {
    fn http_connector(&self, settings: &HttpConnectorSettings, components: &RuntimeComponents) -> SharedHttpConnector {
        SharedHttpConnector::new(WatchedConnector(self.0.http_connector(settings, components)))
    }
}

#[derive(Debug)]
struct WatchedConnector(SharedHttpConnector);

impl HttpConnector for WatchedConnector {
    fn call(&self, mut request: HttpRequest) -> HttpConnectorFuture {
        let length = request.body().bytes().map_or(0, <[u8]>::len);
        let moved = MOVED.try_with(Moved::clone).ok();
        if let Some(moved) = &moved {
            moved.begin();
        }
        if let Some(moved) = moved.filter(|_| length > PIECE_BYTES) {
            // It is signed and its length is in its head: only how it is handed over changes.
            let pieces = Pieces {
                whole: request.take_body(),
                piece: Bytes::new(),
                left_bytes: length as u64,
                moved,
            };
            *request.body_mut() = SdkBody::from_body_1_x(pieces);
        }
        self.0.call(request)
    }
}

/// A body in memory, piece by piece: that the next piece is asked for says that those before have gone.
struct Pieces {
    whole: SdkBody,
    piece: Bytes,
    left_bytes: u64,
    moved: Moved,
}

impl Body for Pieces {
    type Data = Bytes;
    type Error = <SdkBody as Body>::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        self.moved.touch();
        if self.piece.is_empty() {
            match ready!(Pin::new(&mut self.whole).poll_frame(context)) {
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(bytes) => self.piece = bytes,
                    Err(frame) => return Poll::Ready(Some(Ok(frame))),
                },
                end => return Poll::Ready(end),
            }
        }
        let count = self.piece.len().min(PIECE_BYTES);
        let piece = self.piece.split_to(count);
        self.left_bytes = self.left_bytes.saturating_sub(count as u64);
        Poll::Ready(Some(Ok(Frame::data(piece))))
    }

    fn is_end_stream(&self) -> bool {
        self.left_bytes == 0
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.left_bytes)
    }
}
