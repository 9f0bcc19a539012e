//! Who may come in from outside: the blocks of public access, the bucket's policy, ownership of objects, CORS.

use aws_sdk_s3::config::http::HttpResponse;
use aws_sdk_s3::error::SdkError;
use aws_sdk_s3::types::{
    CorsConfiguration, CorsRule as SdkCorsRule, ObjectOwnership, OwnershipControls, OwnershipControlsRule,
    PublicAccessBlockConfiguration,
};

use super::{Bucket, Reading, Refusal, Why};
use crate::base::failure::{Failure, Kind};
use crate::store::s3::About;

/// How often what others have set is looked at until two looks agree, before it is written back.
const AGREEING_LOOKS_MAX: u32 = 3;

/// Two looks at something of others never agree.
fn changing(what: &str) -> Failure {
    Failure::new(Kind::Failed, format!("{what} changes while it is worked on"))
        .hint("Run it again when nobody else changes it")
}

/// The four blocks of public access.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PublicAccessBlock {
    /// New access lists that make something public are refused.
    pub blocks_acls: bool,
    /// Access lists that make something public do not count.
    pub ignores_acls: bool,
    /// New policies that make the bucket public are refused.
    pub blocks_policy: bool,
    /// A public policy lets in the owner's own account only.
    pub restricts_buckets: bool,
}

impl PublicAccessBlock {
    /// The names of those that are off, as the API has them.
    #[must_use]
    pub fn missing(self) -> Vec<&'static str> {
        [
            ("BlockPublicAcls", self.blocks_acls),
            ("IgnorePublicAcls", self.ignores_acls),
            ("BlockPublicPolicy", self.blocks_policy),
            ("RestrictPublicBuckets", self.restricts_buckets),
        ]
        .into_iter()
        .filter(|(_, is_on)| !is_on)
        .map(|(name, _)| name)
        .collect()
    }
}

/// By this id our rule is known among those of others.
pub const OWN_CORS_ID: &str = "backup-cli";

/// The server's word for that there are no rules.
const NO_CORS: &[&str] = &["NoSuchCORSConfiguration"];

/// For how long a browser may remember the answer, in seconds.
const CORS_MAX_AGE_SECS: i32 = 3600;

/// Which web pages may ask for the bucket's objects.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CorsRule {
    /// The rule's name, if it has one.
    pub id: Option<String>,
    /// Where the pages come from; `*` is everywhere.
    pub origins: Vec<String>,
    /// What they may do.
    pub methods: Vec<String>,
}

impl Bucket {
    /// The blocks of public access.
    #[must_use]
    pub fn public_access_block(&self) -> Reading<PublicAccessBlock> {
        self.read(
            "the blocks of public access",
            "s3:GetBucketPublicAccessBlock",
            &["NoSuchPublicAccessBlockConfiguration"],
            |client, overrides| {
                client
                    .get_public_access_block()
                    .bucket(self.name())
                    .customize()
                    .config_override(overrides)
                    .send()
            },
            |answer| match answer.public_access_block_configuration() {
                // A server that knows the setting sends all of it.
                None => Reading::NotSupported,
                Some(blocks) => Reading::Is(PublicAccessBlock {
                    blocks_acls: blocks.block_public_acls().unwrap_or(false),
                    ignores_acls: blocks.ignore_public_acls().unwrap_or(false),
                    blocks_policy: blocks.block_public_policy().unwrap_or(false),
                    restricts_buckets: blocks.restrict_public_buckets().unwrap_or(false),
                }),
            },
        )
    }

    /// Whether the bucket's policy lets everybody in; not configured without a policy.
    #[must_use]
    pub fn is_public_by_policy(&self) -> Reading<bool> {
        self.read(
            "whether the policy makes it public",
            "s3:GetBucketPolicyStatus",
            &["NoSuchBucketPolicy"],
            |client, overrides| {
                client
                    .get_bucket_policy_status()
                    .bucket(self.name())
                    .customize()
                    .config_override(overrides)
                    .send()
            },
            |answer| match answer.policy_status().and_then(|status| status.is_public()) {
                None => Reading::NotSupported,
                Some(is_public) => Reading::Is(is_public),
            },
        )
    }

    /// The bucket's policy, JSON.
    #[must_use]
    pub fn policy(&self) -> Reading<String> {
        match self.policy_once() {
            // Only what makes no sense twice makes none where it lies.
            Reading::Failed(failure) if failure.kind() == Kind::Failed => self.policy_once(),
            reading => reading,
        }
    }

    /// The policy as two looks agree on it: what is written back with something added has to be what stands.
    #[must_use]
    pub fn policy_to_change(&self) -> Reading<String> {
        let mut before = vec![self.policy()];
        for _ in 1..AGREEING_LOOKS_MAX {
            let now = self.policy();
            let agrees = |before: &Reading<String>| match (before, &now) {
                (Reading::Is(before), Reading::Is(now)) => before == now,
                (Reading::NotConfigured, Reading::NotConfigured) => true,
                (_, Reading::Is(_) | Reading::NotConfigured) => false,
                _ => true,
            };
            if before.iter().any(agrees) {
                return now;
            }
            before.push(now);
        }
        Reading::Failed(changing("The bucket's policy"))
    }

    fn policy_once(&self) -> Reading<String> {
        self.read(
            "the policy",
            "s3:GetBucketPolicy",
            &["NoSuchBucketPolicy"],
            |client, overrides| {
                client
                    .get_bucket_policy()
                    .bucket(self.name())
                    .customize()
                    .config_override(overrides)
                    .send()
            },
            |answer| match answer.policy().unwrap_or_default() {
                policy if serde_json::from_str::<serde_json::Map<String, serde_json::Value>>(policy).is_ok() => {
                    Reading::Is(policy.to_owned())
                }
                // A server that does not know the question answers another one.
                page if page.trim_start().starts_with('<') => Reading::NotSupported,
                // Nothing is no policy either: taken for none it would be written over.
                _ => Reading::Failed(
                    Failure::new(
                        Kind::Failed,
                        format!("The policy of `s3://{}` makes no sense", self.name()),
                    )
                    .hint("Look at it in the provider's console, or with `aws s3api get-bucket-policy`"),
                ),
            },
        )
    }

    /// Who owns new objects: `BucketOwnerEnforced` means the bucket's owner, without access lists.
    #[must_use]
    pub fn ownership(&self) -> Reading<String> {
        self.read(
            "who owns new objects",
            "s3:GetBucketOwnershipControls",
            &["OwnershipControlsNotFoundError", "NoSuchOwnershipControls"],
            |client, overrides| {
                client
                    .get_bucket_ownership_controls()
                    .bucket(self.name())
                    .customize()
                    .config_override(overrides)
                    .send()
            },
            |answer| {
                let Some(controls) = answer.ownership_controls() else {
                    return Reading::NotSupported;
                };
                match controls.rules().first() {
                    None => Reading::NotConfigured,
                    Some(rule) => Reading::Is(rule.object_ownership().as_str().to_owned()),
                }
            },
        )
    }

    /// Which web pages may ask for its objects.
    #[must_use]
    pub fn cors(&self) -> Reading<Vec<CorsRule>> {
        self.read(
            "which web pages may use it",
            "s3:GetBucketCORS",
            NO_CORS,
            |client, overrides| {
                client
                    .get_bucket_cors()
                    .bucket(self.name())
                    .customize()
                    .config_override(overrides)
                    .send()
            },
            |answer| match answer.cors_rules() {
                [] => Reading::NotConfigured,
                rules => Reading::Is(
                    rules
                        .iter()
                        .map(|rule| CorsRule {
                            id: rule.id().map(str::to_owned),
                            origins: rule.allowed_origins().to_vec(),
                            methods: rule.allowed_methods().to_vec(),
                        })
                        .collect(),
                ),
            },
        )
    }

    /// Blocks public access in all four ways.
    ///
    /// # Errors
    /// The refusal.
    pub fn block_public_access(&self) -> Result<(), Refusal> {
        let all = PublicAccessBlockConfiguration::builder()
            .block_public_acls(true)
            .ignore_public_acls(true)
            .block_public_policy(true)
            .restrict_public_buckets(true)
            .build();
        self.write(
            "the blocks of public access",
            "s3:PutBucketPublicAccessBlock",
            |client, overrides| {
                client
                    .put_public_access_block()
                    .bucket(self.name())
                    .public_access_block_configuration(all.clone())
                    .customize()
                    .config_override(overrides)
                    .send()
            },
        )
    }

    /// Has everything belong to the bucket's owner, without access lists.
    ///
    /// # Errors
    /// The refusal.
    pub fn enforce_ownership(&self) -> Result<(), Refusal> {
        let controls = OwnershipControlsRule::builder()
            .object_ownership(ObjectOwnership::BucketOwnerEnforced)
            .build()
            .and_then(|rule| OwnershipControls::builder().rules(rule).build())
            .map_err(|error| error.to_string());
        self.write(
            "who owns new objects",
            "s3:PutBucketOwnershipControls",
            |client, overrides| {
                let controls = controls.clone();
                async move {
                    let controls = controls.map_err(SdkError::<_, HttpResponse>::construction_failure)?;
                    client
                        .put_bucket_ownership_controls()
                        .bucket(self.name())
                        .ownership_controls(controls)
                        .customize()
                        .config_override(overrides)
                        .send()
                        .await
                }
            },
        )
    }

    /// Replaces the policy.
    ///
    /// # Errors
    /// The refusal.
    pub fn set_policy(&self, policy: &str) -> Result<(), Refusal> {
        self.write("the policy", "s3:PutBucketPolicy", |client, overrides| {
            client
                .put_bucket_policy()
                .bucket(self.name())
                .policy(policy)
                .customize()
                .config_override(overrides)
                .send()
        })
    }

    /// Lets web pages of these origins do this, by a rule of ours; the rules of others stay as they are.
    ///
    /// # Errors
    /// The refusal; without knowing the rules of others nothing is written.
    pub fn set_cors(&self, origins: &[String], methods: &[String]) -> Result<(), Refusal> {
        let others = self.cors_to_change()?;
        let own = SdkCorsRule::builder()
            .id(OWN_CORS_ID)
            .set_allowed_origins(Some(origins.to_vec()))
            .set_allowed_methods(Some(methods.to_vec()))
            .allowed_headers("*")
            .expose_headers("ETag")
            .max_age_seconds(CORS_MAX_AGE_SECS)
            .build()
            .map_err(|error| error.to_string());
        let is_foreign = |rule: &SdkCorsRule| {
            let is_same = rule.allowed_origins() == origins && rule.allowed_methods() == methods;
            rule.id() != Some(OWN_CORS_ID) && !(rule.id().is_none() && is_same)
        };
        let all = own.and_then(|own| {
            CorsConfiguration::builder()
                .set_cors_rules(Some(others.into_iter().filter(is_foreign).chain([own]).collect()))
                .build()
                .map_err(|error| error.to_string())
        });
        self.write("which web pages may use it", "s3:PutBucketCORS", |client, overrides| {
            let all = all.clone();
            async move {
                let all = all.map_err(SdkError::<_, HttpResponse>::construction_failure)?;
                client
                    .put_bucket_cors()
                    .bucket(self.name())
                    .cors_configuration(all)
                    .customize()
                    .config_override(overrides)
                    .send()
                    .await
            }
        })
    }

    /// The rules as two looks agree on them.
    fn cors_to_change(&self) -> Result<Vec<SdkCorsRule>, Refusal> {
        let mut before = vec![self.cors_as_they_are()?];
        for _ in 1..AGREEING_LOOKS_MAX {
            let now = self.cors_as_they_are()?;
            if before.contains(&now) {
                return Ok(now);
            }
            before.push(now);
        }
        Err(Refusal {
            why: Why::Rejected,
            status: None,
            code: None,
            is_senseless: false,
            permission: "s3:GetBucketCORS",
            failure: changing("What web pages may use the bucket"),
        })
    }

    /// The rules with everything that they say.
    fn cors_as_they_are(&self) -> Result<Vec<SdkCorsRule>, Refusal> {
        let about = About::bucket(
            format!("read which web pages may use `s3://{}`", self.name()),
            "s3:GetBucketCORS",
        );
        let outcome = self.requests.ask(about, |client, overrides| {
            client
                .get_bucket_cors()
                .bucket(self.name())
                .customize()
                .config_override(overrides)
                .send()
        });
        match outcome {
            Ok(answer) => Ok(answer.cors_rules().to_vec()),
            Err(refusal) if refusal.says(NO_CORS) => Ok(Vec::new()),
            Err(refusal) => Err(refusal),
        }
    }
}
