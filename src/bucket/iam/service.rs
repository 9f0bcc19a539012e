//! The identity service: roles, their policies, and providers of tokens.
//!
//! It takes eleven requests of a protocol of forms, whose answers are a few elements of XML. They are signed by the SDK's own
//! signer and sent by its own client; a generated client for the whole service would be as large as that of S3.

use std::time::{Duration, SystemTime};

use aws_sdk_s3::config::http::HttpRequest;
use aws_sdk_s3::config::{Credentials, ProvideCredentials};
use aws_sdk_s3::primitives::{ByteStream, SdkBody};
use aws_sigv4::http_request::{SignableBody, SignableRequest, SigningSettings, sign};
use aws_sigv4::sign::v4;
use aws_smithy_http_client::Connector;
use aws_smithy_http_client::proxy::ProxyConfig;
use aws_smithy_http_client::tls::Provider;
use aws_smithy_http_client::tls::rustls_provider::CryptoMode;
use aws_smithy_runtime_api::client::http::HttpConnector;
use aws_smithy_runtime_api::client::identity::Identity;
use aws_smithy_xml::decode::{Document, ScopedDecoder, try_data};

use super::policy::Partition;
use crate::base::failure::{Failure, Kind, Result};
use crate::bucket::Bucket;

/// The version of the protocol.
const VERSION: &str = "2010-05-08";

/// How often a request is tried that fails in a way that passes.
const TRIES_MAX: u32 = 4;

/// The wait after the first failure; it doubles with each further one.
const FIRST_WAIT: Duration = Duration::from_millis(500);

/// No answer of the service is longer; a policy has at most 10,240 letters, each written as at most twelve.
const ANSWER_BYTES_MAX: usize = 1 << 20;

/// A role's own policies have 10,240 letters together, and a page has a hundred of them.
const POLICY_PAGES_MAX: usize = 100;

/// Where the service of each partition is, and for which region its requests are signed.
const HOMES: [(&str, &str, &str); 6] = [
    ("aws", "https://iam.amazonaws.com", "us-east-1"),
    ("aws-cn", "https://iam.cn-north-1.amazonaws.com.cn", "cn-north-1"),
    ("aws-us-gov", "https://iam.us-gov.amazonaws.com", "us-gov-west-1"),
    ("aws-eusc", "https://iam.eusc-de-east-1.amazonaws.eu", "eusc-de-east-1"),
    ("aws-iso", "https://iam.us-iso-east-1.c2s.ic.gov", "us-iso-east-1"),
    (
        "aws-iso-b",
        "https://iam.us-isob-east-1.sc2s.sgov.gov",
        "us-isob-east-1",
    ),
];

/// The identity service of the account that a bucket's credentials belong to.
#[derive(Debug)]
pub struct IdentityService {
    bucket: Bucket,
    connector: Connector,
    endpoint: String,
    region: String,
}

/// A role as it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RoleFound {
    /// Its full name.
    pub arn: String,
    /// Whom it trusts, JSON.
    pub trust: String,
}

/// What the service says no with.
struct Refused {
    status: u16,
    code: String,
    message: String,
}

/// What one request is about.
#[derive(Clone, Copy)]
struct Asked<'a> {
    action: &'static str,
    permission: &'static str,
    doing: &'a str,
    on: &'a str,
}

impl Bucket {
    /// The identity service beside the bucket.
    ///
    /// # Errors
    /// [`Kind::Unsupported`] if nobody knows where it is.
    pub fn identity_service(&self) -> Result<IdentityService> {
        let partition = Partition::of_region(&self.region_in_use());
        let home = HOMES.iter().find(|(name, _, _)| *name == partition.name);
        let (endpoint, region) = match (self.service_elsewhere("IAM"), home) {
            (Some(endpoint), home) => (endpoint, home.map_or("us-east-1", |(_, _, region)| region)),
            (None, Some((_, endpoint, region))) => ((*endpoint).to_owned(), *region),
            (None, None) => {
                return Err(Failure::new(
                    Kind::Unsupported,
                    format!(
                        "Nobody told where the identity service of the partition `{}` is",
                        partition.name
                    ),
                )
                .hint("Name it in AWS_ENDPOINT_URL_IAM"));
            }
        };
        Ok(IdentityService {
            bucket: self.clone(),
            connector: Connector::builder()
                .proxy_config(ProxyConfig::from_env())
                .tls_provider(Provider::Rustls(CryptoMode::AwsLc))
                .build(),
            endpoint: endpoint.trim_end_matches('/').to_owned(),
            region: region.to_owned(),
        })
    }
}

impl IdentityService {
    /// A role; `None` if there is none of this name.
    ///
    /// # Errors
    /// [`Kind::Denied`] without the permission; the service's failures.
    pub fn role(&self, name: &str) -> Result<Option<RoleFound>> {
        let asked = Asked {
            action: "GetRole",
            permission: "iam:GetRole",
            doing: "look at the role",
            on: name,
        };
        let Some(answer) = self.look(asked, &[("RoleName", name)])? else {
            return Ok(None);
        };
        match (text(&answer, "Arn"), text(&answer, "AssumeRolePolicyDocument")) {
            (Some(arn), Some(trust)) => Ok(Some(RoleFound {
                arn,
                trust: decoded(&trust),
            })),
            _ => Err(self.senseless(asked)),
        }
    }

    /// Makes a role.
    ///
    /// # Errors
    /// As [`IdentityService::role`].
    pub fn create_role(&self, name: &str, trust: &str, description: &str) -> Result<()> {
        let asked = Asked {
            action: "CreateRole",
            permission: "iam:CreateRole",
            doing: "make the role",
            on: name,
        };
        let fields = [
            ("RoleName", name),
            ("AssumeRolePolicyDocument", trust),
            ("Description", description),
        ];
        self.change(asked, &fields)
    }

    /// Changes whom a role trusts.
    ///
    /// # Errors
    /// As [`IdentityService::role`].
    pub fn set_trust(&self, role: &str, trust: &str) -> Result<()> {
        let asked = Asked {
            action: "UpdateAssumeRolePolicy",
            permission: "iam:UpdateAssumeRolePolicy",
            doing: "change whom the role trusts:",
            on: role,
        };
        self.change(asked, &[("RoleName", role), ("PolicyDocument", trust)])
    }

    /// A policy of a role, JSON; `None` if it has none of this name.
    ///
    /// # Errors
    /// As [`IdentityService::role`].
    pub fn role_policy(&self, role: &str, policy: &str) -> Result<Option<String>> {
        let asked = Asked {
            action: "GetRolePolicy",
            permission: "iam:GetRolePolicy",
            doing: "read the policy of the role",
            on: role,
        };
        let Some(answer) = self.look(asked, &[("RoleName", role), ("PolicyName", policy)])? else {
            return Ok(None);
        };
        match text(&answer, "PolicyDocument") {
            Some(policy) => Ok(Some(decoded(&policy))),
            None => Err(self.senseless(asked)),
        }
    }

    /// Writes a policy of a role.
    ///
    /// # Errors
    /// As [`IdentityService::role`].
    pub fn put_role_policy(&self, role: &str, policy: &str, document: &str) -> Result<()> {
        let asked = Asked {
            action: "PutRolePolicy",
            permission: "iam:PutRolePolicy",
            doing: "write the policy of the role",
            on: role,
        };
        let fields = [("RoleName", role), ("PolicyName", policy), ("PolicyDocument", document)];
        self.change(asked, &fields)
    }

    /// The names of a role's own policies; none if there is no such role.
    ///
    /// # Errors
    /// As [`IdentityService::role`].
    pub fn role_policies(&self, role: &str) -> Result<Vec<String>> {
        let asked = Asked {
            action: "ListRolePolicies",
            permission: "iam:ListRolePolicies",
            doing: "list the policies of the role",
            on: role,
        };
        let mut names = Vec::new();
        let mut marker: Option<String> = None;
        for _ in 0..POLICY_PAGES_MAX {
            let mut fields = vec![("RoleName", role)];
            if let Some(marker) = &marker {
                fields.push(("Marker", marker));
            }
            let Some(answer) = self.look(asked, &fields)? else {
                return Ok(Vec::new());
            };
            names.extend(members(&answer, "PolicyNames"));
            marker = text(&answer, "Marker").filter(|_| text(&answer, "IsTruncated").as_deref() == Some("true"));
            if marker.is_none() {
                return Ok(names);
            }
        }
        Err(self.senseless(asked))
    }

    /// Removes a policy of a role, or finds it gone.
    ///
    /// # Errors
    /// As [`IdentityService::role`].
    pub fn delete_role_policy(&self, role: &str, policy: &str) -> Result<()> {
        let asked = Asked {
            action: "DeleteRolePolicy",
            permission: "iam:DeleteRolePolicy",
            doing: "remove a policy of the role",
            on: role,
        };
        self.look(asked, &[("RoleName", role), ("PolicyName", policy)])
            .map(drop)
    }

    /// The audiences that a provider of tokens takes; `None` if there is no such provider.
    ///
    /// # Errors
    /// As [`IdentityService::role`].
    pub fn provider_audiences(&self, arn: &str) -> Result<Option<Vec<String>>> {
        let asked = Asked {
            action: "GetOpenIDConnectProvider",
            permission: "iam:GetOpenIDConnectProvider",
            doing: "look at the provider of tokens",
            on: arn,
        };
        let answer = self.look(asked, &[("OpenIDConnectProviderArn", arn)])?;
        Ok(answer.map(|answer| members(&answer, "ClientIDList")))
    }

    /// Makes a provider of tokens, with one audience.
    ///
    /// # Errors
    /// As [`IdentityService::role`].
    pub fn create_provider(&self, url: &str, audience: &str) -> Result<()> {
        let asked = Asked {
            action: "CreateOpenIDConnectProvider",
            permission: "iam:CreateOpenIDConnectProvider",
            doing: "make the provider of tokens",
            on: url,
        };
        self.change(asked, &[("Url", url), ("ClientIDList.member.1", audience)])
    }

    /// Adds an audience to a provider of tokens.
    ///
    /// # Errors
    /// As [`IdentityService::role`].
    pub fn add_audience(&self, arn: &str, audience: &str) -> Result<()> {
        let asked = Asked {
            action: "AddClientIDToOpenIDConnectProvider",
            permission: "iam:AddClientIDToOpenIDConnectProvider",
            doing: "add an audience to the provider of tokens",
            on: arn,
        };
        self.change(asked, &[("OpenIDConnectProviderArn", arn), ("ClientID", audience)])
    }

    /// The answer; `None` if there is no such thing.
    fn look(&self, asked: Asked<'_>, fields: &[(&str, &str)]) -> Result<Option<String>> {
        match self.ask(asked, fields)? {
            Ok(answer) => Ok(Some(answer)),
            Err(refused) if refused.code == "NoSuchEntity" => Ok(None),
            Err(refused) => Err(self.explain(asked, &refused)),
        }
    }

    fn change(&self, asked: Asked<'_>, fields: &[(&str, &str)]) -> Result<()> {
        match self.ask(asked, fields)? {
            Ok(_) => Ok(()),
            Err(refused) => Err(self.explain(asked, &refused)),
        }
    }

    /// Asks until there is an answer that stands.
    fn ask(&self, asked: Asked<'_>, fields: &[(&str, &str)]) -> Result<Result<String, Refused>> {
        let form = url::form_urlencoded::Serializer::new(String::new())
            .extend_pairs([("Action", asked.action), ("Version", VERSION)])
            .extend_pairs(fields)
            .finish();
        let mut wait = FIRST_WAIT;
        let mut tries = 1;
        loop {
            self.bucket.check()?;
            let attempt = match self.bucket.requests.block_on(self.attempt(&form)) {
                // What hangs may answer the next time.
                Err(failure) if failure.kind() == Kind::Unreachable => Err(failure.to_string()),
                attempt => attempt??,
            };
            match attempt {
                Ok((200..=299, body)) if is_answer_to(asked.action, &body) => return Ok(Ok(body)),
                // Whatever answers so is not the service, or something between here and there has lost its words.
                Ok((200..=299, _)) if tries < TRIES_MAX => {}
                Ok((200..=299, _)) => return Err(self.senseless(asked)),
                Ok((status, body)) if tries < TRIES_MAX && passes(status, &body) => {}
                Ok((status, body)) => {
                    return Ok(Err(Refused {
                        status,
                        code: text(&body, "Code").unwrap_or_default(),
                        message: text(&body, "Message").unwrap_or_default(),
                    }));
                }
                Err(_) if tries < TRIES_MAX => {}
                Err(why) => {
                    return Err(
                        Failure::new(Kind::Unreachable, format!("Could not {} `{}`", asked.doing, asked.on))
                            .caused_by(anyhow::anyhow!(why))
                            .hint(format!("Check the way to `{}`", self.endpoint)),
                    );
                }
            }
            // The timer is one of the runtime's, and can be made only there.
            self.bucket
                .requests
                .block_on(async { tokio::time::sleep(wait).await })?;
            wait *= 2;
            tries += 1;
        }
    }

    /// One attempt: the status and the text of the answer, or why there is none.
    async fn attempt(&self, form: &str) -> Result<Result<(u16, String), String>> {
        let credentials = self.credentials().await?;
        let unbuilt = |error: anyhow::Error| {
            Failure::new(Kind::Failed, "Could not make a request of the identity service").caused_by(error)
        };
        let mut request = HttpRequest::new(SdkBody::from(form));
        request.set_method("POST").map_err(|error| unbuilt(error.into()))?;
        request
            .set_uri(format!("{}/", self.endpoint))
            .map_err(|error| unbuilt(error.into()))?;
        let headers = request.headers_mut();
        headers.insert("content-type", "application/x-www-form-urlencoded; charset=utf-8");
        headers.insert("content-length", form.len().to_string());
        let identity: Identity = credentials.into();
        let parameters = v4::SigningParams::builder()
            .identity(&identity)
            .region(&self.region)
            .name("iam")
            .time(SystemTime::now())
            .settings(SigningSettings::default())
            .build()
            .map_err(|error| unbuilt(error.into()))?;
        let signable = SignableRequest::new(
            "POST",
            request.uri(),
            request.headers().iter().filter(|(name, _)| *name == "content-type"),
            SignableBody::Bytes(form.as_bytes()),
        )
        .map_err(|error| unbuilt(error.into()))?;
        let (instructions, _) = sign(signable, &parameters.into())
            .map_err(|error| unbuilt(error.into()))?
            .into_parts();
        let (signed, _) = instructions.into_parts();
        for header in signed {
            request.headers_mut().insert(header.name(), header.value().to_owned());
        }
        let answer = match self.connector.call(request).await {
            Ok(answer) => answer,
            Err(error) => return Ok(Err(crate::base::secret::redact(&format!("{error}")))),
        };
        let status = answer.status().as_u16();
        let mut body = ByteStream::new(answer.into_body());
        let mut content = Vec::new();
        while let Some(piece) = body.next().await {
            match piece {
                Ok(piece) if content.len() + piece.len() <= ANSWER_BYTES_MAX => content.extend_from_slice(&piece),
                Ok(_) => return Ok(Err("The answer has no end".to_owned())),
                Err(error) => return Ok(Err(format!("The answer broke off: {error}"))),
            }
        }
        Ok(Ok((status, String::from_utf8_lossy(&content).into_owned())))
    }

    async fn credentials(&self) -> Result<Credentials> {
        let none = || Failure::new(Kind::Denied, "No credentials for the identity service");
        let provider = self.bucket.requests.sdk().credentials_provider().ok_or_else(none)?;
        provider
            .provide_credentials()
            .await
            .map_err(|error| none().caused_by(error))
    }

    fn explain(&self, asked: Asked<'_>, refused: &Refused) -> Failure {
        let could_not = format!("Could not {} `{}`", asked.doing, asked.on);
        let said = match (refused.code.as_str(), refused.message.as_str()) {
            ("", _) => format!("The service answered with status {}", refused.status),
            (code, "") => format!("The service answered {code}"),
            (code, message) => format!("The service answered {code}: {message}"),
        };
        let said = anyhow::anyhow!("{}", crate::base::secret::redact(&said));
        match refused.code.as_str() {
            "AccessDenied" | "AccessDeniedException" => Failure::new(Kind::Denied, could_not).caused_by(said).hint(format!(
                "The credentials need the permission {} on `{}`; an administrator of the account has it",
                asked.permission, asked.on
            )),
            "InvalidClientTokenId" | "SignatureDoesNotMatch" | "UnrecognizedClientException" | "ExpiredToken" => {
                Failure::new(Kind::Denied, could_not)
                    .caused_by(said)
                    .hint("Check the credentials, and that they are of this partition's account")
            }
            "EntityAlreadyExists" => Failure::new(Kind::Conflict, could_not)
                .caused_by(said)
                .hint("Somebody else has made it meanwhile; run this again, which starts from what is there now"),
            "MalformedPolicyDocument" | "LimitExceeded" => Failure::new(Kind::Failed, could_not).caused_by(said).hint(
                "The account does not take the document: look at its limits, or write it by hand from `backup-cli iam policy`",
            ),
            _ => Failure::new(Kind::Failed, could_not)
                .caused_by(said)
                .hint(format!("`{}` refuses the request, and will again", self.endpoint)),
        }
    }

    fn senseless(&self, asked: Asked<'_>) -> Failure {
        Failure::new(
            Kind::Failed,
            format!("Could not {} `{}`: the answer makes no sense", asked.doing, asked.on),
        )
        .hint(format!("Check that `{}` is the identity service", self.endpoint))
    }
}

/// Whether an answer is one to this action: every one says so in the name of its outermost element.
fn is_answer_to(action: &str, body: &str) -> bool {
    let mut document = Document::new(body);
    let Ok(root) = document.root_element() else {
        return false;
    };
    root.start_el().local().strip_suffix("Response") == Some(action)
}

/// Whether the same request may succeed later.
fn passes(status: u16, body: &str) -> bool {
    let code = text(body, "Code").unwrap_or_default();
    status >= 500
        || status == 429
        || matches!(
            code.as_str(),
            "RequestTimeout"
                | "Throttling"
                | "ThrottlingException"
                | "ConcurrentModification"
                | "EntityTemporarilyUnmodifiable"
        )
}

/// The text of the first element of this name, however deep.
fn text(xml: &str, name: &str) -> Option<String> {
    let mut document = Document::new(xml);
    let mut root = document.root_element().ok()?;
    find(&mut root, name, &|element| {
        try_data(element).ok().map(|text| text.into_owned())
    })
}

/// The texts of the members of the first list of this name.
fn members(xml: &str, name: &str) -> Vec<String> {
    let mut document = Document::new(xml);
    let Ok(mut root) = document.root_element() else {
        return Vec::new();
    };
    let all = find(&mut root, name, &|list| {
        let mut all = Vec::new();
        while let Some(mut member) = list.next_tag() {
            if let Ok(text) = try_data(&mut member) {
                all.push(text.into_owned());
            }
        }
        Some(all)
    });
    all.unwrap_or_default()
}

fn find<T>(
    parent: &mut ScopedDecoder<'_, '_>,
    name: &str,
    take: &dyn Fn(&mut ScopedDecoder<'_, '_>) -> Option<T>,
) -> Option<T> {
    while let Some(mut element) = parent.next_tag() {
        let found = match element.start_el().local() == name {
            true => take(&mut element),
            false => find(&mut element, name, take),
        };
        if found.is_some() {
            return found;
        }
    }
    None
}

/// Documents come percent-encoded; some servers leave that out.
fn decoded(document: &str) -> String {
    match document.trim_start().starts_with('{') {
        true => document.to_owned(),
        false => percent_encoding::percent_decode_str(document)
            .decode_utf8_lossy()
            .into_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_read_however_deep_their_elements_lie() {
        let xml = "<?xml version=\"1.0\"?><GetRoleResponse xmlns=\"https://iam\"><GetRoleResult><Role><Path>/</Path>\
                   <Arn>arn:aws:iam::1:role/a</Arn><AssumeRolePolicyDocument>%7B%22a%22%3A1%7D</AssumeRolePolicyDocument>\
                   </Role></GetRoleResult></GetRoleResponse>";
        assert_eq!(text(xml, "Arn").as_deref(), Some("arn:aws:iam::1:role/a"));
        assert_eq!(
            decoded(&text(xml, "AssumeRolePolicyDocument").unwrap_or_default()),
            "{\"a\":1}"
        );
        assert_eq!(text(xml, "Nothing"), None);
        assert_eq!(text("no XML", "Arn"), None);
        let list = "<A><B><Url>x</Url><ClientIDList><member>one</member><member>two</member></ClientIDList></B></A>";
        assert_eq!(members(list, "ClientIDList"), ["one", "two"]);
        assert_eq!(members(list, "Other"), [""; 0]);
    }

    #[test]
    fn what_is_no_answer_to_the_question_is_none() {
        let body = "<?xml version=\"1.0\"?><PutRolePolicyResponse xmlns=\"https://iam\"/>";
        assert!(is_answer_to("PutRolePolicy", body));
        assert!(!is_answer_to("GetRole", body));
        for other in [
            "",
            "no XML",
            "<html><body/></html>",
            "<Error><Code>InternalError</Code></Error>",
        ] {
            assert!(!is_answer_to("PutRolePolicy", other), "{other}");
        }
    }

    #[test]
    fn only_what_may_pass_is_tried_again() {
        assert!(passes(503, "") && passes(429, "") && passes(400, "<E><Error><Code>Throttling</Code></Error></E>"));
        assert!(!passes(403, "<E><Error><Code>AccessDenied</Code></Error></E>") && !passes(404, ""));
    }
}
