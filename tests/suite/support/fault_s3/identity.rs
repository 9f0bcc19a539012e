//! The account: who asks, its roles with their policies, and its providers of tokens. A request counts only if its
//! signature fits it, since nothing else here tells whether it came as it was sent.

use aws_sdk_s3::config::Credentials;
use aws_sigv4::http_request::{SignableBody, SignableRequest, SigningSettings, sign};
use aws_sigv4::sign::v4;
use aws_smithy_runtime_api::client::identity::Identity;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

use super::plan::Request;
use super::settings::{Answer, Asked, Papers};

/// The number of the server's account.
pub const ACCOUNT: &str = "210987654321";

/// The fields of a form.
struct Form(Vec<(String, String)>);

impl Form {
    fn field(&self, name: &str) -> &str {
        let found = self.0.iter().find(|(known, _)| known == name);
        found.map_or("", |(_, value)| value.as_str())
    }
}

/// The answer to a form.
pub(super) fn ask(papers: &mut Papers, asked: &Asked<'_>) -> Answer {
    let is_right = asked.secret.as_ref().is_some_and(|secret| {
        let signature = signed_anew(asked.request, asked.body, secret);
        signature.is_some_and(|signature| asked.request.header("authorization") == Some(&signature))
    });
    if !is_right {
        return refused(403, "SignatureDoesNotMatch");
    }
    let form = Form(url::form_urlencoded::parse(asked.body).into_owned().collect());
    let action = form.field("Action");
    let done = |result: String| {
        let name = format!("{action}Response");
        let body = format!(
            "<{name} xmlns=\"https://iam.amazonaws.com/doc/2010-05-08/\">{result}<ResponseMetadata><RequestId>IDENTITY\
             </RequestId></ResponseMetadata></{name}>"
        );
        (200, body)
    };
    let role = format!("role {}", form.field("RoleName"));
    let policy = format!("policy {} of {role}", form.field("PolicyName"));
    let provider = format!("provider {}", form.field("OpenIDConnectProviderArn"));
    let missing = refused(404, "NoSuchEntity");
    match action {
        "GetCallerIdentity" => done(format!(
            "<GetCallerIdentityResult><Arn>arn:aws:iam::{ACCOUNT}:user/test</Arn><UserId>AIDATEST</UserId>\
             <Account>{ACCOUNT}</Account></GetCallerIdentityResult>"
        )),
        "GetRole" => match papers.get(&role) {
            None => missing,
            Some(trust) => done(format!(
                "<GetRoleResult><Role><Path>/</Path><RoleName>{name}</RoleName><Arn>arn:aws:iam::{ACCOUNT}:role/{name}</Arn>\
                 <AssumeRolePolicyDocument>{}</AssumeRolePolicyDocument></Role></GetRoleResult>",
                encoded(trust),
                name = form.field("RoleName"),
            )),
        },
        "CreateRole" if papers.contains_key(&role) => refused(409, "EntityAlreadyExists"),
        "CreateRole" => {
            papers.insert(role, form.field("AssumeRolePolicyDocument").to_owned());
            done("<CreateRoleResult/>".to_owned())
        }
        "UpdateAssumeRolePolicy" | "PutRolePolicy" if !papers.contains_key(&role) => missing,
        "UpdateAssumeRolePolicy" => {
            papers.insert(role, form.field("PolicyDocument").to_owned());
            done(String::new())
        }
        "PutRolePolicy" => {
            papers.insert(policy, form.field("PolicyDocument").to_owned());
            done(String::new())
        }
        "GetRolePolicy" => match papers.get(&policy) {
            None => missing,
            Some(document) => done(format!(
                "<GetRolePolicyResult><PolicyDocument>{}</PolicyDocument></GetRolePolicyResult>",
                encoded(document)
            )),
        },
        "ListRolePolicies" if !papers.contains_key(&role) => missing,
        "ListRolePolicies" => {
            let names = papers.keys().filter_map(|paper| {
                let name = paper.strip_prefix("policy ")?.strip_suffix(&format!(" of {role}"))?;
                Some(format!("<member>{name}</member>"))
            });
            done(format!(
                "<ListRolePoliciesResult><PolicyNames>{}</PolicyNames><IsTruncated>false</IsTruncated></ListRolePoliciesResult>",
                names.collect::<String>()
            ))
        }
        "DeleteRolePolicy" => match papers.remove(&policy) {
            None => missing,
            Some(_) => done(String::new()),
        },
        "GetOpenIDConnectProvider" => match papers.get(&provider) {
            None => missing,
            Some(audiences) => {
                let members: String = audiences
                    .lines()
                    .map(|line| format!("<member>{line}</member>"))
                    .collect();
                done(format!(
                    "<GetOpenIDConnectProviderResult><ClientIDList>{members}</ClientIDList></GetOpenIDConnectProviderResult>"
                ))
            }
        },
        "CreateOpenIDConnectProvider" => {
            let host = form.field("Url").trim_start_matches("https://");
            let provider = format!("provider arn:aws:iam::{ACCOUNT}:oidc-provider/{host}");
            if papers.contains_key(&provider) {
                return refused(409, "EntityAlreadyExists");
            }
            papers.insert(provider, form.field("ClientIDList.member.1").to_owned());
            done("<CreateOpenIDConnectProviderResult/>".to_owned())
        }
        "AddClientIDToOpenIDConnectProvider" => match papers.get_mut(&provider) {
            None => missing,
            Some(audiences) => {
                if !audiences.lines().any(|line| line == form.field("ClientID")) {
                    audiences.push_str(&format!("\n{}", form.field("ClientID")));
                }
                done(String::new())
            }
        },
        _ => refused(400, "InvalidAction"),
    }
}

fn refused(status: u16, code: &str) -> Answer {
    let body = format!(
        "<ErrorResponse xmlns=\"https://iam.amazonaws.com/doc/2010-05-08/\"><Error><Type>Sender</Type><Code>{code}</Code>\
         <Message>The service says no</Message></Error><RequestId>IDENTITY</RequestId></ErrorResponse>"
    );
    (status, body)
}

/// Documents leave the service percent-encoded.
fn encoded(document: &str) -> String {
    utf8_percent_encode(document, NON_ALPHANUMERIC).to_string()
}

/// The authorization that a request of this content has; `None` if it says too little of itself to tell.
fn signed_anew(request: &Request, body: &[u8], secret: &str) -> Option<String> {
    let authorization = request.header("authorization")?;
    let (_, rest) = authorization.split_once("Credential=")?;
    let mut scope = rest.split(',').next()?.split('/');
    let (access_key, _, region, service) = (scope.next()?, scope.next()?, scope.next()?, scope.next()?);
    let signed = authorization.split_once("SignedHeaders=")?.1.split(',').next()?;
    let time = jiff::civil::DateTime::strptime("%Y%m%dT%H%M%SZ", request.header("x-amz-date")?).ok()?;
    let time = time.to_zoned(jiff::tz::TimeZone::UTC).ok()?.timestamp();
    let identity: Identity = Credentials::new(access_key, secret, None, None, "tests").into();
    let parameters = v4::SigningParams::builder()
        .identity(&identity)
        .region(region)
        .name(service)
        .time(time.into())
        .settings(SigningSettings::default())
        .build()
        .ok()?;
    let url = format!("http://{}/", request.header("host")?);
    // The others are the signer's own.
    let headers = request
        .headers
        .iter()
        .filter(|(name, _)| signed.split(';').any(|known| known == name) && !["host", "x-amz-date"].contains(&&**name))
        .map(|(name, value)| (name.as_str(), value.as_str()));
    let signable = SignableRequest::new("POST", url, headers, SignableBody::Bytes(body)).ok()?;
    let (instructions, _) = sign(signable, &parameters.into()).ok()?.into_parts();
    let (made, _) = instructions.into_parts();
    let mut made = made.iter().filter(|header| header.name() == "authorization");
    made.next().map(|header| header.value().to_owned())
}
