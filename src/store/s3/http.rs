//! The HTTP client: the SDK's own connector with a pool that forgets idle connections soon.

use std::sync::OnceLock;
use std::time::Duration;

use aws_smithy_http_client::proxy::ProxyConfig;
use aws_smithy_http_client::tls::Provider;
use aws_smithy_http_client::tls::rustls_provider::CryptoMode;
use aws_smithy_http_client::{Connector, ConnectorBuilder};
use aws_smithy_runtime_api::client::http::{HttpClient, HttpConnectorSettings, SharedHttpConnector};
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;

/// A dump that pauses for minutes leaves connections idle that a load balancer drops without a word; a request on
/// such a connection hangs. Most of them drop after 60 s or more, some servers after 10 or 20.
const POOL_IDLE_TIMEOUT: Duration = Duration::from_secs(8);

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
