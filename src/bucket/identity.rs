//! Whose credentials these are, and where they were found.

use std::time::Duration;

use aws_credential_types::credential_feature::AwsCredentialFeature;
use aws_sdk_s3::config::retry::RetryConfig;
use aws_sdk_s3::config::timeout::TimeoutConfig;
use aws_sdk_s3::config::{BehaviorVersion, Credentials, ProvideCredentials, Region};
use aws_types::service_config::ServiceConfigKey;
use jiff::Timestamp;

use crate::base::failure::{Failure, Kind, Result};
use crate::store::s3::About;

use super::{Bucket, Reading, Why};

/// Who is asking is a question to the side: a service that takes longer is taken for absent.
const CALLER_TIMEOUT: Duration = Duration::from_secs(10);

/// How often it is asked where nothing goes on without the answer.
const TRIES_MAX: u32 = 4;

/// The wait after the first failure; it doubles with each further one.
const FIRST_WAIT: Duration = Duration::from_millis(500);

/// What became of the question.
enum Asked {
    /// There is an answer.
    Answered(Reading<Caller>),
    /// There is none, or one that says to come again.
    Passing(Failure),
    /// There was none in time.
    Hung(Failure),
}

/// The credentials that requests are signed with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CredentialsFound {
    /// The public half.
    pub access_key_id: String,
    /// Where AWS's own chain found them; `None` for those of the settings.
    pub found_in: Option<String>,
    /// When they end, if that is known.
    pub expires: Option<Timestamp>,
    /// Whether they are temporary ones.
    pub is_temporary: bool,
}

/// Who the credentials belong to, as the provider knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Caller {
    /// The account.
    pub account: String,
    /// The full name of the user or role.
    pub arn: String,
}

impl Bucket {
    /// The credentials in use.
    ///
    /// # Errors
    /// [`Kind::Denied`] if there are none.
    pub fn credentials(&self) -> Result<CredentialsFound> {
        let none = || Failure::new(Kind::Denied, format!("No credentials for `s3://{}`", self.name()));
        let provider = self.requests.sdk().credentials_provider().ok_or_else(none)?;
        let found = self
            .requests
            .block_on(async move { provider.provide_credentials().await })?
            .map_err(|error| none().caused_by(error))?;
        let is_ours = self.requests.options().credentials.is_some();
        Ok(CredentialsFound {
            access_key_id: found.access_key_id().to_owned(),
            found_in: (!is_ours).then(|| place(&found)),
            expires: found.expiry().and_then(|time| Timestamp::try_from(time).ok()),
            is_temporary: found.session_token().is_some(),
        })
    }

    /// Who the credentials belong to; not supported by a server without a token service.
    #[must_use]
    pub fn caller(&self) -> Reading<Caller> {
        match self.ask_caller() {
            // Servers that speak S3 alone answer with anything.
            Asked::Passing(_) if self.service_elsewhere("STS").is_some() => Reading::NotSupported,
            Asked::Passing(failure) => Reading::Failed(failure),
            Asked::Hung(failure) => Reading::Failed(failure),
            Asked::Answered(reading) => reading,
        }
    }

    /// The same, for who cannot go on without: what may pass is tried again.
    #[must_use]
    pub fn caller_for_sure(&self) -> Reading<Caller> {
        let mut wait = FIRST_WAIT;
        let mut tries = 1;
        loop {
            match self.ask_caller() {
                Asked::Answered(reading) => return reading,
                Asked::Passing(failure) | Asked::Hung(failure) if tries == TRIES_MAX => {
                    return Reading::Failed(failure);
                }
                Asked::Passing(_) | Asked::Hung(_) => {}
            }
            // The timer is one of the runtime's, and can be made only there.
            if let Err(failure) = self.requests.block_on(async { tokio::time::sleep(wait).await }) {
                return Reading::Failed(failure);
            }
            wait *= 2;
            tries += 1;
        }
    }

    fn ask_caller(&self) -> Asked {
        let endpoint = self.service_elsewhere("STS");
        let is_aws = endpoint.is_none();
        let mut config = aws_sdk_sts::config::Builder::from(&self.requests.sdk())
            .behavior_version(BehaviorVersion::v2026_01_12())
            .http_client(self.requests.http_client())
            .region(Region::new(self.region_in_use()))
            .retry_config(RetryConfig::disabled())
            .timeout_config(TimeoutConfig::builder().operation_timeout(CALLER_TIMEOUT).build());
        if let Some(endpoint) = endpoint {
            config.set_endpoint_url(Some(endpoint));
        }
        let client = aws_sdk_sts::Client::from_conf(config.build());
        let answer = match self.requests.block_on(client.get_caller_identity().send()) {
            Ok(answer) => answer,
            Err(failure) if failure.kind() == Kind::Unreachable => return Asked::Hung(failure),
            Err(failure) => return Asked::Answered(Reading::Failed(failure)),
        };
        Asked::Answered(match answer {
            Ok(caller) => match (caller.account(), caller.arn()) {
                (account, Some(arn)) => Reading::Is(Caller {
                    account: account.unwrap_or_default().to_owned(),
                    arn: arn.to_owned(),
                }),
                // Something answered that is no token service.
                _ => Reading::NotSupported,
            },
            Err(error) => {
                let about = About::bucket("ask whose credentials these are", "sts:GetCallerIdentity");
                let refusal = self.requests.refusal(about, &error);
                if refusal.why == Why::Unreachable {
                    return Asked::Passing(refusal.failure);
                }
                match refusal.why {
                    Why::NotAllowed if is_aws => Reading::NotAllowed {
                        permission: "sts:GetCallerIdentity",
                    },
                    _ if is_aws => Reading::Failed(refusal.failure),
                    // Servers that speak S3 alone answer with anything.
                    _ => Reading::NotSupported,
                }
            }
        })
    }

    /// Where another service of the provider is asked for; `None` is AWS's own, which nobody but AWS's users is sent to.
    pub(super) fn service_elsewhere(&self, service_id: &'static str) -> Option<String> {
        let own = ServiceConfigKey::builder()
            .service_id(service_id)
            .env("AWS_ENDPOINT_URL")
            .profile("endpoint_url")
            .build()
            .ok()
            .and_then(|key| self.requests.sdk().service_config()?.load_config(key));
        let store = self
            .endpoint()
            .filter(|_| self.provider().name != "aws")
            .map(|url| url.as_str().trim_end_matches('/').to_owned());
        own.or(store)
    }
}

/// Where credentials were found, in words.
fn place(credentials: &Credentials) -> String {
    let features = credentials
        .get_property::<Vec<AwsCredentialFeature>>()
        .map_or(&[][..], Vec::as_slice);
    // The last one is the outermost step: a role that a profile assumes, for example.
    let words: Vec<&str> = features.iter().filter_map(word).collect();
    match words.as_slice() {
        [] => "AWS's own chain".to_owned(),
        words => words.join(", then "),
    }
}

fn word(feature: &AwsCredentialFeature) -> Option<&'static str> {
    Some(match feature {
        AwsCredentialFeature::CredentialsEnvVars => "the environment",
        AwsCredentialFeature::CredentialsEnvVarsStsWebIdToken => "a web identity of the environment",
        AwsCredentialFeature::CredentialsStsAssumeRole => "a role that was assumed",
        AwsCredentialFeature::CredentialsStsAssumeRoleWebId => "a role assumed with a web identity",
        AwsCredentialFeature::CredentialsProfile
        | AwsCredentialFeature::CredentialsProfileSourceProfile
        | AwsCredentialFeature::CredentialsProfileNamedProvider => "a profile of AWS's own configuration",
        AwsCredentialFeature::CredentialsProfileStsWebIdToken => "a web identity of a profile",
        AwsCredentialFeature::CredentialsProfileProcess | AwsCredentialFeature::CredentialsProcess => {
            "a process that a profile names"
        }
        AwsCredentialFeature::CredentialsHttp => "the container's role",
        AwsCredentialFeature::CredentialsImds => "the instance's role",
        _ => return None,
    })
}
