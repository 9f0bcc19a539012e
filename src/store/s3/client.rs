//! From options to an SDK client: where region, endpoint and credentials come from.

use std::borrow::Cow;
use std::time::Duration;

use aws_config::SdkConfig;
use aws_config::environment::region::EnvironmentVariableRegionProvider;
use aws_config::meta::region::RegionProviderChain;
use aws_config::profile::region::ProfileFileRegionProvider;
use aws_sdk_s3::Client;
use aws_sdk_s3::config::retry::{RetryConfig, RetryPartition, TokenBucket};
use aws_sdk_s3::config::timeout::TimeoutConfig;
use aws_sdk_s3::config::{
    AppName, BehaviorVersion, Credentials, Region, RequestChecksumCalculation, ResponseChecksumValidation,
    SharedHttpClient, StalledStreamProtectionConfig,
};
use aws_types::service_config::ServiceConfigKey;
use url::Url;

use crate::base::failure::{Failure, Kind, Result};

use super::options::{ChecksumMode, S3Options};
use super::provider::Provider;
use super::timer::Timer;

/// A TCP and TLS handshake round the world takes less.
pub(super) const CONNECT_TIMEOUT: Duration = Duration::from_millis(3100);

/// The first wait between the SDK's own attempts.
const SDK_FIRST_WAIT: Duration = Duration::from_millis(500);

/// The longest wait between the SDK's own attempts.
const SDK_MAX_WAIT: Duration = Duration::from_secs(5);

/// The region that is tried if nobody names one; on AWS the answer then tells the right one.
const FALLBACK_REGION: &str = "us-east-1";

/// The SDK's view of the environment and its configuration files.
#[derive(Clone, Debug)]
pub(super) struct Surroundings {
    pub(super) sdk: SdkConfig,
    /// The region to begin with.
    pub(super) region: String,
    /// The endpoint to begin with; `None` is AWS.
    pub(super) endpoint: Option<Url>,
}

/// Reads the SDK's configuration. The network is not touched: an instance's region is found by the first answer.
pub(super) async fn surroundings(options: &S3Options) -> Result<Surroundings> {
    let mut profile = ProfileFileRegionProvider::builder();
    if let Some(name) = &options.profile {
        profile = profile.profile_name(name);
    }
    let region = RegionProviderChain::first_try(options.region.clone().map(Region::new))
        .or_else(EnvironmentVariableRegionProvider::new())
        .or_else(profile.build())
        .or_else(Region::new(FALLBACK_REGION));
    let mut loader = aws_config::defaults(BehaviorVersion::v2026_01_12()).region(region);
    if let Some(name) = &options.profile {
        loader = loader.profile_name(name);
    }
    if let Some(keys) = &options.credentials {
        let token = keys.session_token.as_ref().map(|token| token.expose().to_owned());
        let secret = keys.secret_access_key.expose();
        loader = loader.credentials_provider(Credentials::new(&keys.access_key_id, secret, token, None, "backup-cli"));
    }
    let sdk = loader.load().await;
    let endpoint = match options.endpoint_url.clone().or_else(|| configured_endpoint(&sdk)) {
        Some(text) => Some(parse_endpoint(&text)?),
        None => None,
    };
    Ok(Surroundings {
        region: sdk
            .region()
            .map_or_else(|| FALLBACK_REGION.to_owned(), |region| region.to_string()),
        endpoint,
        sdk,
    })
}

/// `AWS_ENDPOINT_URL_S3`, `AWS_ENDPOINT_URL` and their twins in the profile, as the SDK itself would take them.
fn configured_endpoint(sdk: &SdkConfig) -> Option<String> {
    let key = ServiceConfigKey::builder()
        .service_id("S3")
        .env("AWS_ENDPOINT_URL")
        .profile("endpoint_url")
        .build()
        .ok()?;
    sdk.service_config()
        .and_then(|config| config.load_config(key))
        .or_else(|| sdk.endpoint_url().map(str::to_owned))
}

fn parse_endpoint(text: &str) -> Result<Url> {
    let wrong = || {
        Failure::new(
            Kind::Config,
            format!("Not an endpoint: `{}`", crate::base::secret::redact(text)),
        )
        .hint("Write a URL with its scheme, for example https://s3.example.com or http://127.0.0.1:9000")
    };
    let url = Url::parse(text).map_err(|error| wrong().caused_by(error))?;
    if !matches!(url.scheme(), "http" | "https") || url.host_str().is_none_or(str::is_empty) {
        return Err(wrong());
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(wrong().hint("Credentials do not belong into it"));
    }
    Ok(url)
}

/// Makes clients that differ in region and endpoint only and share one connection pool.
#[derive(Clone, Debug)]
pub(super) struct ClientFactory {
    http: SharedHttpClient,
    timer: Timer,
    path_style: bool,
    checksum: ChecksumMode,
}

impl ClientFactory {
    pub(super) fn new(options: &S3Options, provider: &Provider, http: SharedHttpClient, timer: Timer) -> Self {
        Self {
            http,
            timer,
            path_style: options.path_style.unwrap_or(provider.path_style),
            checksum: options.checksum.unwrap_or(provider.checksum),
        }
    }

    /// The connections that all clients share.
    pub(super) fn http_client(&self) -> SharedHttpClient {
        self.http.clone()
    }

    /// Whether requests carry checksums besides their MD5.
    pub(super) fn checksums(&self) -> bool {
        self.checksum == ChecksumMode::WhenSupported
    }

    /// Whether requests name the bucket in the path and not in the host, where both are possible.
    pub(super) fn path_style(&self) -> bool {
        self.path_style
    }

    /// A client, with a cache of credentials of its own.
    pub(super) fn client(&self, surroundings: &Surroundings, region: &str, endpoint: Option<&Url>) -> Client {
        let checksums = match self.checksum {
            ChecksumMode::WhenSupported => RequestChecksumCalculation::WhenSupported,
            ChecksumMode::WhenRequired => RequestChecksumCalculation::WhenRequired,
        };
        // The SDK's shared bucket of retry tokens runs dry after some fifty failures and then stops retrying without
        // a word; how long to go on is decided by our own budget.
        let partition = RetryPartition::custom(Cow::Borrowed("backup-cli"))
            .token_bucket(TokenBucket::unlimited())
            .build();
        let mut config = aws_sdk_s3::config::Builder::from(&surroundings.sdk);
        config.set_endpoint_url(endpoint.map(|url| url.as_str().trim_end_matches('/').to_owned()));
        config.set_app_name(AppName::new("backup-cli").ok());
        let config = config
            .behavior_version(BehaviorVersion::v2026_01_12())
            .region(Region::new(region.to_owned()))
            .force_path_style(self.path_style)
            .request_checksum_calculation(checksums)
            // Every stored byte is checked against the manifest's SHA-256; a second opinion breaks on some servers.
            .response_checksum_validation(ResponseChecksumValidation::WhenRequired)
            // Attempts have a timeout by their size, and the reader of a body watches it itself.
            .stalled_stream_protection(StalledStreamProtectionConfig::disabled())
            .retry_partition(partition)
            .identity_cache(aws_sdk_s3::config::IdentityCache::lazy().build())
            .http_client(self.http.clone())
            .sleep_impl(self.timer.clone())
            .build();
        Client::from_conf(config)
    }
}

/// What one request sets differently from its client; without a timeout the caller watches it.
pub(super) fn overrides(attempts: u32, attempt_timeout: Option<Duration>) -> aws_sdk_s3::config::Builder {
    let mut timeouts = TimeoutConfig::builder().connect_timeout(CONNECT_TIMEOUT);
    timeouts.set_operation_attempt_timeout(attempt_timeout);
    aws_sdk_s3::Config::builder()
        .retry_config(
            RetryConfig::standard()
                .with_max_attempts(attempts.max(1))
                .with_initial_backoff(SDK_FIRST_WAIT)
                .with_max_backoff(SDK_MAX_WAIT),
        )
        .timeout_config(timeouts.build())
}

/// Whether a bucket in another region is reached by leaving this endpoint to the SDK.
pub(super) fn is_regional_aws_endpoint(endpoint: &Url, region: &str) -> bool {
    endpoint
        .host_str()
        .is_some_and(|host| host == "s3.amazonaws.com" || host == format!("s3.{region}.amazonaws.com"))
}

/// The runtime that carries the connections; the callers' threads do the rest.
pub(super) fn runtime() -> Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(WORKER_THREADS)
        .thread_name("s3")
        .enable_io()
        .enable_time()
        .build()
        .map_err(|error| crate::base::failure::io_failure("start the threads of the S3 client", error))
}

/// TLS at line rate needs about one; the second keeps timers and other connections alive meanwhile.
const WORKER_THREADS: usize = 2;

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn an_endpoint_is_a_url_with_a_scheme_and_a_host() {
        assert!(parse_endpoint("http://127.0.0.1:9000").is_ok());
        for text in ["127.0.0.1:9000", "minio", "ftp://x", "https://", "http://a:b@host"] {
            assert_eq!(parse_endpoint(text).unwrap_err().kind(), Kind::Config, "{text}");
        }
    }

    #[test]
    fn only_the_regions_own_aws_endpoint_is_left_for_another_region() {
        let url = |text| Url::parse(text).unwrap();
        assert!(is_regional_aws_endpoint(
            &url("https://s3.us-east-1.amazonaws.com"),
            "us-east-1"
        ));
        assert!(is_regional_aws_endpoint(&url("https://s3.amazonaws.com"), "eu-west-1"));
        assert!(!is_regional_aws_endpoint(
            &url("https://vpce-1.s3.us-east-1.vpce.amazonaws.com"),
            "us-east-1"
        ));
        assert!(!is_regional_aws_endpoint(&url("http://127.0.0.1:1"), "us-east-1"));
    }
}
