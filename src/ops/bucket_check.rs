//! Compares a bucket, point by point, with what a bucket of backups should be set to. Nothing is changed.

use serde::Serialize;

use crate::base::failure::Result;
use crate::bucket::{Bucket, BucketSettings, Reading, Why, demands_new_keys, demands_tls};

/// What a comparison came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// It is as it should be.
    Right,
    /// It is different, and should be changed.
    Different,
    /// It is a choice, and how it was made.
    Optional,
    /// The credentials may not look, or the question failed.
    Unknown,
    /// This server does not have it.
    NotSupported,
}

impl Verdict {
    /// The word for it.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Right => "right",
            Self::Different => "different",
            Self::Optional => "optional",
            Self::Unknown => "unknown",
            Self::NotSupported => "not there",
        }
    }
}

/// One point.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Point {
    /// Its name, which stays the same for ever.
    pub id: &'static str,
    /// What the comparison came to.
    pub verdict: Verdict,
    /// What is set.
    pub found: String,
    /// What should be.
    pub wanted: &'static str,
    /// Why it matters.
    pub why: &'static str,
    /// The permission without which nobody could look.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub permission: Option<&'static str>,
}

/// Compares a bucket; what begins with `folder` is what backups lie in.
///
/// # Errors
/// If the bucket cannot be asked at all.
pub fn check_bucket(bucket: &Bucket, folder: &str) -> Result<Vec<Point>> {
    match bucket.location() {
        // Not every credentials may ask this, and not every server knows it.
        Err(refusal)
            if !matches!(
                refusal.why,
                Why::NotAllowed | Why::NotSupported | Why::NotThere | Why::Rejected
            ) =>
        {
            return Err(refusal.failure);
        }
        _ => {}
    }
    let settings = bucket.settings();
    bucket.check()?;
    Ok(compare(&settings, folder, bucket.is_reached_by_tls()))
}

/// Compares settings of a bucket that is reached by TLS, or by plain HTTP.
#[must_use]
pub fn compare(settings: &BucketSettings, folder: &str, is_tls: bool) -> Vec<Point> {
    vec![
        point(
            "versioning",
            "on",
            "a backup that is removed or replaced, by mistake or by an intruder, can be brought back",
            &settings.versioning,
            || (Verdict::Different, "off".to_owned()),
            |versioning| match versioning.is_enabled {
                true => (Verdict::Right, "on".to_owned()),
                false => (Verdict::Different, "suspended".to_owned()),
            },
        ),
        point(
            "encryption",
            "on",
            "who gets hold of a disk or of a copy of the store reads nothing",
            &settings.encryption,
            || (Verdict::Different, "off".to_owned()),
            |encryption| (Verdict::Right, encryption.algorithm.clone()),
        ),
        point(
            "public-access",
            "all four blocks on",
            "one wrong policy or access list would make the backups public",
            &settings.public_access_block,
            || (Verdict::Different, "all four off".to_owned()),
            |blocks| match blocks.missing().as_slice() {
                [] => (Verdict::Right, "all four on".to_owned()),
                missing => (Verdict::Different, format!("off: {}", missing.join(", "))),
            },
        ),
        point(
            "public-policy",
            "not public",
            "everybody could come in",
            &settings.is_public_by_policy,
            || (Verdict::Right, "no policy".to_owned()),
            |is_public| match is_public {
                true => (Verdict::Different, "public".to_owned()),
                false => (Verdict::Right, "not public".to_owned()),
            },
        ),
        tls_only(settings, is_tls),
        point(
            "create-only",
            "a policy that refuses writes without If-None-Match",
            "not even the machine that makes backups could replace one",
            &settings.policy,
            || (Verdict::Optional, "no policy".to_owned()),
            |policy| match demands_new_keys(policy, folder) {
                true => (Verdict::Right, DEMANDS_NEW_KEYS.to_owned()),
                false => (Verdict::Optional, "the policy lets objects be replaced".to_owned()),
            },
        ),
        point(
            "ownership",
            "BucketOwnerEnforced",
            "an access list could give a single backup away, or to another account",
            &settings.ownership,
            || (Verdict::Different, "nothing is set".to_owned()),
            |who| match who.as_str() {
                "BucketOwnerEnforced" => (Verdict::Right, who.clone()),
                _ => (Verdict::Different, who.clone()),
            },
        ),
        point(
            "object-lock",
            "on, with a default retention",
            "backups could not be removed before their time, by whatever credentials",
            &settings.object_lock,
            || (Verdict::Optional, "off".to_owned()),
            |lock| match (lock.is_enabled, &lock.default_retention) {
                (true, Some(default)) => (Verdict::Right, format!("{} for {} d", default.mode, default.days)),
                (true, None) => (Verdict::Optional, "on, without a default".to_owned()),
                (false, _) => (Verdict::Optional, "off".to_owned()),
            },
        ),
        point(
            "cors",
            "none",
            "web pages of others could read backups with the browser of who is logged in",
            &settings.cors,
            || (Verdict::Right, "none".to_owned()),
            |rules| {
                let origins: Vec<&str> = rules
                    .iter()
                    .flat_map(|rule| &rule.origins)
                    .map(String::as_str)
                    .collect();
                match origins.contains(&"*") {
                    true => (Verdict::Different, "every web page".to_owned()),
                    false => (Verdict::Optional, origins.join(", ")),
                }
            },
        ),
        point(
            "unfinished-uploads",
            "a lifecycle rule that removes them",
            "after a crash their parts stay, unseen, and go on costing money",
            &settings.lifecycle,
            || (Verdict::Different, "no lifecycle rules".to_owned()),
            |lifecycle| {
                let days = lifecycle
                    .rules
                    .iter()
                    .filter(|rule| rule.covers(folder))
                    .filter_map(|rule| rule.abort_days)
                    .min();
                match days {
                    Some(days) => (Verdict::Right, format!("removed after {days} d")),
                    None => (Verdict::Different, "kept for ever".to_owned()),
                }
            },
        ),
        old_versions(settings, folder),
    ]
}

/// A policy can be stored by a server that does not know its conditions: only a trial tells.
const DEMANDS_NEW_KEYS: &str =
    "the policy refuses writes that could replace an object; `backup-cli doctor` tries whether the server obeys";

/// Where the store itself is reached by plain HTTP, refusing that would lock it out: then it is a choice.
fn tls_only(settings: &BucketSettings, is_tls: bool) -> Point {
    let (otherwise, wanted, why) = match is_tls {
        true => (
            Verdict::Different,
            "a policy that refuses plain HTTP",
            "a client that was set up wrongly would send backups in the clear",
        ),
        false => (
            Verdict::Optional,
            "a policy that refuses plain HTTP, once the store is reached by https",
            "this store is reached by plain HTTP, and such a policy would lock it out",
        ),
    };
    point(
        "tls-only",
        wanted,
        why,
        &settings.policy,
        || (otherwise, "no policy".to_owned()),
        |policy| match demands_tls(policy) {
            true => (Verdict::Right, "plain HTTP is refused".to_owned()),
            false => (otherwise, "the policy allows plain HTTP".to_owned()),
        },
    )
}

/// Old versions need a rule only where there are any.
fn old_versions(settings: &BucketSettings, folder: &str) -> Point {
    let has_versions = !matches!(settings.versioning, Reading::NotConfigured | Reading::NotSupported);
    point(
        "old-versions",
        "a lifecycle rule that removes them after some time",
        "what was removed only hides, and goes on costing money",
        &settings.lifecycle,
        || match has_versions {
            true => (Verdict::Different, "no lifecycle rules".to_owned()),
            false => (Verdict::Right, "no versions are kept".to_owned()),
        },
        |lifecycle| {
            let days = lifecycle
                .rules
                .iter()
                .filter(|rule| rule.covers(folder))
                .filter_map(|rule| rule.noncurrent_days)
                .min();
            match days {
                Some(days) => (Verdict::Right, format!("removed after {days} d")),
                None if has_versions => (Verdict::Different, "kept for ever".to_owned()),
                None => (Verdict::Right, "no versions are kept".to_owned()),
            }
        },
    )
}

fn point<T>(
    id: &'static str,
    wanted: &'static str,
    why: &'static str,
    reading: &Reading<T>,
    unset: impl FnOnce() -> (Verdict, String),
    set: impl FnOnce(&T) -> (Verdict, String),
) -> Point {
    let (verdict, found) = match reading {
        Reading::Is(value) => set(value),
        Reading::NotConfigured => unset(),
        Reading::NotSupported => (Verdict::NotSupported, "this server does not have it".to_owned()),
        Reading::NotAllowed { permission } => (Verdict::Unknown, format!("not allowed: {permission}")),
        Reading::Failed(failure) => (Verdict::Unknown, failure.in_one_line()),
    };
    let permission = match reading {
        Reading::NotAllowed { permission } => Some(*permission),
        _ => None,
    };
    Point {
        id,
        verdict,
        found,
        wanted,
        why,
        permission,
    }
}

/// The points of this verdict.
pub fn points_of(points: &[Point], verdict: Verdict) -> impl Iterator<Item = &Point> {
    points.iter().filter(move |point| point.verdict == verdict)
}

/// The permissions without which some points could not be looked at, each once.
#[must_use]
pub fn missing_permissions(points: &[Point]) -> Vec<&'static str> {
    let mut missing: Vec<&'static str> = Vec::new();
    for permission in points.iter().filter_map(|point| point.permission) {
        if !missing.contains(&permission) {
            missing.push(permission);
        }
    }
    missing
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::bucket::{
        CorsRule, Encryption, Lifecycle, LifecycleRule, ObjectLock, PublicAccessBlock, Retention, Versioning,
    };

    fn hardened() -> BucketSettings {
        BucketSettings {
            versioning: Reading::Is(Versioning {
                is_enabled: true,
                needs_second_factor: false,
            }),
            object_lock: Reading::Is(ObjectLock {
                is_enabled: true,
                default_retention: Some(Retention {
                    mode: "GOVERNANCE".to_owned(),
                    days: 30,
                }),
            }),
            encryption: Reading::Is(Encryption {
                algorithm: "AES256".to_owned(),
                kms_key_id: None,
                has_bucket_key: false,
            }),
            public_access_block: Reading::Is(PublicAccessBlock {
                blocks_acls: true,
                ignores_acls: true,
                blocks_policy: true,
                restricts_buckets: true,
            }),
            is_public_by_policy: Reading::Is(false),
            policy: Reading::Is(
                r#"{"Statement":[
                    {"Effect":"Deny","Principal":"*","Action":"s3:*","Condition":{"Bool":{"aws:SecureTransport":"false"}}},
                    {"Effect":"Deny","Principal":"*","Action":"s3:PutObject","Condition":{"Null":{"s3:if-none-match":"true"}}}]}"#
                    .to_owned(),
            ),
            ownership: Reading::Is("BucketOwnerEnforced".to_owned()),
            cors: Reading::NotConfigured,
            lifecycle: Reading::Is(Lifecycle {
                rules: vec![LifecycleRule {
                    is_enabled: true,
                    abort_days: Some(7),
                    noncurrent_days: Some(30),
                    ..LifecycleRule::default()
                }],
                spares_small_objects: true,
            }),
        }
    }

    /// A change of a hardened bucket, and what it makes of a point.
    type Change = (&'static str, Verdict, fn(&mut BucketSettings));

    #[test]
    fn a_hardened_bucket_is_right_in_every_point_and_each_can_differ() {
        let right = compare(&hardened(), "backups/", true);
        assert!(right.iter().all(|point| point.verdict == Verdict::Right), "{right:#?}");
        let changes: &[Change] = &[
            ("versioning", Verdict::Different, |s| {
                s.versioning = Reading::NotConfigured
            }),
            ("versioning", Verdict::Unknown, |s| {
                s.versioning = Reading::NotAllowed {
                    permission: "s3:GetBucketVersioning",
                };
            }),
            ("encryption", Verdict::Different, |s| {
                s.encryption = Reading::NotConfigured
            }),
            ("public-access", Verdict::Different, |s| {
                s.public_access_block = Reading::NotConfigured
            }),
            ("public-access", Verdict::NotSupported, |s| {
                s.public_access_block = Reading::NotSupported
            }),
            ("public-policy", Verdict::Different, |s| {
                s.is_public_by_policy = Reading::Is(true)
            }),
            ("tls-only", Verdict::Different, |s| s.policy = Reading::NotConfigured),
            ("tls-only", Verdict::Different, |s| {
                s.policy = Reading::Is("{}".to_owned())
            }),
            ("create-only", Verdict::Optional, |s| {
                s.policy = Reading::Is("{}".to_owned())
            }),
            ("ownership", Verdict::Different, |s| {
                s.ownership = Reading::Is("ObjectWriter".to_owned())
            }),
            ("object-lock", Verdict::Optional, |s| {
                s.object_lock = Reading::NotConfigured
            }),
            ("cors", Verdict::Different, |s| {
                s.cors = Reading::Is(vec![CorsRule {
                    id: None,
                    origins: vec!["*".to_owned()],
                    methods: Vec::new(),
                }]);
            }),
            ("unfinished-uploads", Verdict::Different, |s| {
                s.lifecycle = Reading::NotConfigured
            }),
            ("old-versions", Verdict::Different, |s| {
                s.lifecycle = Reading::NotConfigured
            }),
            ("old-versions", Verdict::Right, |s| {
                s.lifecycle = Reading::NotConfigured;
                s.versioning = Reading::NotConfigured;
            }),
        ];
        for (id, verdict, change) in changes {
            let mut settings = hardened();
            change(&mut settings);
            let points = compare(&settings, "backups/", true);
            let point = points.iter().find(|point| point.id == *id).unwrap();
            assert_eq!(point.verdict, *verdict, "{point:?}");
        }
    }

    #[test]
    fn by_plain_http_a_policy_that_allows_it_is_a_choice_and_says_why() {
        for policy in [Reading::NotConfigured, Reading::Is("{}".to_owned())] {
            let settings = BucketSettings { policy, ..hardened() };
            let points = compare(&settings, "backups/", false);
            let point = points.iter().find(|point| point.id == "tls-only").unwrap();
            assert_eq!(point.verdict, Verdict::Optional, "{point:?}");
            assert!(point.why.contains("is reached by plain HTTP"), "{point:?}");
            assert_eq!(points_of(&points, Verdict::Different).count(), 0, "{points:?}");
        }
    }

    #[test]
    fn what_the_policy_says_is_not_taken_for_what_the_server_does() {
        let points = compare(&hardened(), "backups/", true);
        let point = points.iter().find(|point| point.id == "create-only").unwrap();
        assert!(point.found.starts_with("the policy refuses writes"), "{point:?}");
        assert!(point.found.contains("`backup-cli doctor`"), "{point:?}");
    }

    #[test]
    fn a_permission_that_hides_several_points_is_named_once() {
        let settings = BucketSettings {
            policy: Reading::NotAllowed {
                permission: "s3:GetBucketPolicy",
            },
            ..hardened()
        };
        let points = compare(&settings, "backups/", true);
        let unknown: Vec<_> = points_of(&points, Verdict::Unknown).map(|point| point.id).collect();
        assert_eq!(unknown, ["tls-only", "create-only"]);
        assert_eq!(missing_permissions(&points), ["s3:GetBucketPolicy"]);
    }
}
