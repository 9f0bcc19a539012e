//! The plan, as a table: what a bucket is set to, what is wanted, and what is done about it.

use super::*;
use crate::bucket::{
    CorsRule, Encryption, Lifecycle, LifecycleRule, OWN_CORS_ID, ObjectLock, PublicAccessBlock, Retention, Versioning,
};

fn hardened() -> BucketSettings {
    let policy = crate::bucket::PolicyWish {
        bucket: "b",
        region: "us-east-1",
        folder: "backups/",
        tls_only: true,
        create_only: false,
    }
    .added_to(None);
    BucketSettings {
        versioning: Reading::Is(Versioning {
            is_enabled: true,
            needs_second_factor: false,
        }),
        object_lock: Reading::NotConfigured,
        encryption: Reading::Is(aes()),
        public_access_block: Reading::Is(PublicAccessBlock {
            blocks_acls: true,
            ignores_acls: true,
            blocks_policy: true,
            restricts_buckets: true,
        }),
        is_public_by_policy: Reading::Is(false),
        policy: Reading::Is(policy.unwrap().unwrap()),
        ownership: Reading::Is("BucketOwnerEnforced".to_owned()),
        cors: Reading::NotConfigured,
        lifecycle: Reading::Is(lifecycle("backups/", Some(7), None)),
    }
}

fn lifecycle(prefix: &str, abort_days: Option<u32>, noncurrent_days: Option<u32>) -> Lifecycle {
    Lifecycle {
        rules: vec![LifecycleRule {
            is_enabled: true,
            prefix: prefix.to_owned(),
            abort_days,
            noncurrent_days,
            ..LifecycleRule::default()
        }],
        spares_small_objects: true,
    }
}

fn aes() -> Encryption {
    Encryption {
        algorithm: "AES256".to_owned(),
        kms_key_id: None,
        has_bucket_key: false,
    }
}

fn kms(key: &str) -> Encryption {
    Encryption {
        algorithm: "aws:kms".to_owned(),
        kms_key_id: Some(key.to_owned()),
        has_bucket_key: true,
    }
}

fn thirty() -> Retention {
    Retention {
        mode: "GOVERNANCE".to_owned(),
        days: 30,
    }
}

fn wanted(change: impl FnOnce(&mut Wanted)) -> Wanted {
    let mut wanted = Wanted {
        folder: "backups/".to_owned(),
        abort_days: 7,
        ..Wanted::default()
    };
    change(&mut wanted);
    wanted
}

fn planned(settings: Option<&BucketSettings>, wanted: &Wanted, is_tls: bool) -> CreatePlan {
    let around = Surroundings {
        bucket: "b",
        region: "us-east-1",
        is_tls,
    };
    plan(settings, wanted, &around)
}

fn points(plan: &CreatePlan) -> Vec<&'static str> {
    plan.steps.iter().map(|planned| planned.step.point()).collect()
}

#[test]
fn a_bucket_that_is_not_there_is_created_and_closed_before_anything_else() {
    let plan = planned(None, &wanted(|_| ()), true);
    assert!(!plan.exists && plan.left.is_empty());
    assert_eq!(
        points(&plan),
        [
            "bucket",
            "public-access",
            "ownership",
            "encryption",
            "versioning",
            "lifecycle",
            "tls-only"
        ]
    );
    assert_eq!(plan.steps[0].words, "Create the bucket `b` in us-east-1");
    assert_eq!(plan.steps[3].words, "Encrypt what arrives by AES256");
    let all = planned(
        None,
        &wanted(|wanted| {
            wanted.create_only = true;
            wanted.object_lock = Some(Some(thirty()));
            wanted.encryption = Some(kms("k"));
            wanted.cors = Some(WantedCors {
                origins: vec!["https://example.org".to_owned()],
                methods: vec!["GET".to_owned()],
            });
        }),
        true,
    );
    assert_eq!(
        points(&all)[4..],
        [
            "versioning",
            "object-lock",
            "create-only",
            "cors",
            "lifecycle",
            "tls-only"
        ]
    );
    assert_eq!(all.steps[0].step, Step::Create { with_object_lock: true });
    // A lock without a default is there from the creation on.
    let bare = planned(None, &wanted(|wanted| wanted.object_lock = Some(None)), true);
    assert!(!points(&bare).contains(&"object-lock"), "{bare:?}");
}

#[test]
fn a_hardened_bucket_needs_nothing() {
    let plan = planned(Some(&hardened()), &wanted(|_| ()), true);
    assert!(plan.exists);
    assert_eq!((points(&plan), plan.left), (vec![], vec![]));
}

/// A change of a hardened bucket or of what is wanted, and the points that are changed then.
type Case = (fn(&mut BucketSettings), fn(&mut Wanted), &'static [&'static str]);

#[test]
fn only_what_differs_is_changed() {
    let cases: &[Case] = &[
        (|s| s.versioning = Reading::NotConfigured, |_| (), &["versioning"]),
        (|s| s.encryption = Reading::NotConfigured, |_| (), &["encryption"]),
        (|s| s.encryption = Reading::Is(kms("k")), |_| (), &[]),
        (|_| (), |w| w.encryption = Some(kms("k")), &["encryption"]),
        (
            |s| s.encryption = Reading::Is(kms("arn:aws:kms:r:1:key/k")),
            |w| w.encryption = Some(kms("k")),
            &[],
        ),
        (
            |s| s.encryption = Reading::Is(kms("k")),
            |w| w.encryption = Some(aes()),
            &["encryption"],
        ),
        (
            |s| {
                s.public_access_block = Reading::Is(PublicAccessBlock {
                    blocks_acls: true,
                    ..PublicAccessBlock::default()
                });
            },
            |_| (),
            &["public-access"],
        ),
        (
            |s| s.ownership = Reading::Is("ObjectWriter".to_owned()),
            |_| (),
            &["ownership"],
        ),
        (|s| s.policy = Reading::NotConfigured, |_| (), &["tls-only"]),
        (|s| s.policy = Reading::NotConfigured, |w| w.tls_only = Some(false), &[]),
        (|_| (), |w| w.create_only = true, &["create-only"]),
        (|_| (), |w| w.object_lock = Some(None), &["object-lock"]),
        (
            |s| {
                s.object_lock = Reading::Is(ObjectLock {
                    is_enabled: true,
                    default_retention: Some(thirty()),
                });
            },
            |w| w.object_lock = Some(Some(thirty())),
            &[],
        ),
        (
            |s| {
                s.object_lock = Reading::Is(ObjectLock {
                    is_enabled: true,
                    default_retention: None,
                });
            },
            |w| w.object_lock = Some(Some(thirty())),
            &["object-lock"],
        ),
        (
            |s| s.cors = Reading::Is(vec![cors(Some(OWN_CORS_ID), "https://a")]),
            |w| w.cors = Some(web("https://a")),
            &[],
        ),
        (|s| s.lifecycle = Reading::NotConfigured, |_| (), &["lifecycle"]),
        (|s| s.lifecycle = Reading::Is(lifecycle("", Some(3), None)), |_| (), &[]),
        (
            |s| s.lifecycle = Reading::Is(lifecycle("other/", Some(3), None)),
            |_| (),
            &["lifecycle"],
        ),
        (|_| (), |w| w.noncurrent_days = Some(30), &["lifecycle"]),
        (
            |s| s.lifecycle = Reading::Is(lifecycle("backups/", Some(7), Some(9))),
            |w| w.noncurrent_days = Some(30),
            &[],
        ),
        (
            |s| s.cors = Reading::Is(vec![cors(Some("theirs"), "https://a")]),
            |w| w.cors = Some(web("https://a")),
            &["cors"],
        ),
        (
            |s| s.cors = Reading::Is(vec![cors(Some(OWN_CORS_ID), "https://b")]),
            |w| w.cors = Some(web("https://a")),
            &["cors"],
        ),
    ];
    for (place, (change, wish, expected)) in cases.iter().enumerate() {
        let mut settings = hardened();
        change(&mut settings);
        let plan = planned(Some(&settings), &wanted(wish), true);
        assert_eq!(points(&plan), *expected, "case {place}: {plan:?}");
        assert!(plan.left.is_empty(), "case {place}: {plan:?}");
    }
}

fn web(origin: &str) -> WantedCors {
    WantedCors {
        origins: vec![origin.to_owned()],
        methods: vec!["GET".to_owned(), "HEAD".to_owned()],
    }
}

fn cors(id: Option<&str>, origin: &str) -> CorsRule {
    CorsRule {
        id: id.map(str::to_owned),
        origins: vec![origin.to_owned()],
        methods: vec!["GET".to_owned(), "HEAD".to_owned()],
    }
}

#[test]
fn what_a_server_lacks_is_left_and_counts_only_if_it_was_asked_for() {
    let mut settings = hardened();
    settings.public_access_block = Reading::NotSupported;
    settings.object_lock = Reading::NotSupported;
    settings.policy = Reading::NotAllowed {
        permission: "s3:GetBucketPolicy",
    };
    let plan = planned(
        Some(&settings),
        &wanted(|wanted| wanted.object_lock = Some(Some(thirty()))),
        true,
    );
    let left: Vec<_> = plan
        .left
        .iter()
        .map(|left| (left.point, left.because, left.asked))
        .collect();
    assert_eq!(
        left,
        [
            ("public-access", LeftBecause::NotThere, false),
            ("object-lock", LeftBecause::NotThere, true),
            ("tls-only", LeftBecause::NotAllowed, false),
        ]
    );
    assert!(plan.left[2].why.contains("s3:GetBucketPolicy"), "{plan:?}");
    assert!(points(&plan).is_empty());
}

#[test]
fn a_store_that_is_reached_by_plain_http_is_not_locked_out() {
    let mut settings = hardened();
    settings.policy = Reading::NotConfigured;
    let plan = planned(Some(&settings), &wanted(|_| ()), false);
    assert!(points(&plan).is_empty());
    assert_eq!(
        (plan.left[0].point, plan.left[0].because),
        ("tls-only", LeftBecause::NotHere)
    );
    let forced = planned(Some(&settings), &wanted(|wanted| wanted.tls_only = Some(true)), false);
    assert_eq!(points(&forced), ["tls-only"]);
    assert!(forced.steps[0].words.contains("by https afterwards"), "{forced:?}");
}

#[test]
fn a_policy_that_may_not_be_read_any_more_is_told_with_its_permission() {
    let refusal = super::unread::<String>(Reading::NotAllowed {
        permission: "s3:GetBucketPolicy",
    });
    let left = super::left("tls-only", refusal, &wanted(|_| ())).unwrap();
    assert_eq!(left.because, LeftBecause::NotAllowed, "{left:?}");
    assert!(left.why.contains("s3:GetBucketPolicy"), "{left:?}");
    assert!(!left.why.contains("changes while"), "{left:?}");
}

#[test]
fn a_policy_that_cannot_be_read_is_not_replaced() {
    let mut settings = hardened();
    settings.policy = Reading::Is("<xml/>".to_owned());
    let plan = planned(Some(&settings), &wanted(|wanted| wanted.create_only = true), true);
    assert!(points(&plan).is_empty(), "{plan:?}");
    assert_eq!(plan.left[0].because, LeftBecause::Failed);
}
