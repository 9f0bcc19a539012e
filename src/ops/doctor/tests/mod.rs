//! Each verdict on a bucket by itself: what is good, and for every check something that makes it bad.

mod machine;

use jiff::{SignedDuration, Timestamp};
use md5::{Digest as _, Md5};

use super::check::{Check, Status, in_order};
use super::s3::facts::{Advice, Condition, Facts, No, Reached, Trailer, TrialFacts, Tried};
use super::s3::trial::{BODIES, MULTIPART_BODY};
use super::s3::{IDS, bucket, habits, lifecycle, rights, way};
use super::sources::Sort;
use super::stores::Retention;
use super::{TRIAL_NAME, local};
use crate::base::failure::{Failure, Kind};
use crate::bucket::{
    BucketSettings, Caller, CredentialsFound, Encryption, Lifecycle, LifecycleRule, ObjectLock, PublicAccessBlock,
    Reading, Retention as Lock, Seen, Transition, Versioning, Why, Written,
};
use crate::catalog::layout::{KeyRole, role_of};
use crate::store::Key;
use crate::store::s3::{Heads, PROVIDERS, Provider};

const FOLDER: &str = "backups/";

fn now() -> Timestamp {
    "2026-01-31T02:00:00Z".parse().unwrap()
}

fn provider(name: &str) -> &'static Provider {
    PROVIDERS.iter().find(|line| line.name == name).unwrap()
}

fn no(why: Why, permission: &'static str) -> No {
    No {
        why,
        permission,
        code: None,
        text: "It was refused".to_owned(),
        hint: None,
    }
}

fn denied<T>(permission: &'static str) -> Tried<T> {
    Tried::Refused(no(Why::NotAllowed, permission))
}

fn seen() -> Seen {
    Seen {
        bytes: BODIES[0].len() as u64,
        etag: Some(hex::encode(Md5::digest(BODIES[0]))),
        ..Seen::default()
    }
}

/// A bucket and a server as they should be.
fn good() -> Facts {
    let blocks = PublicAccessBlock {
        blocks_acls: true,
        ignores_acls: true,
        blocks_policy: true,
        restricts_buckets: true,
    };
    let rule = LifecycleRule {
        id: "tidy".to_owned(),
        is_enabled: true,
        noncurrent_days: Some(30),
        abort_days: Some(7),
        ..LifecycleRule::default()
    };
    let parts = format!("{}-1", hex::encode(Md5::digest(Md5::digest(MULTIPART_BODY))));
    Facts {
        location: Tried::Is("eu-central-1".to_owned()),
        region_first: "eu-central-1".to_owned(),
        region_last: "eu-central-1".to_owned(),
        heads: Heads {
            server: Some("AmazonS3".to_owned()),
            ahead_secs: Some(1),
        },
        credentials: Tried::Is(CredentialsFound {
            access_key_id: "AKEXAMPLE".to_owned(),
            found_in: Some("the instance's role".to_owned()),
            expires: None,
            is_temporary: false,
        }),
        reached: Some(Reached {
            caller: Reading::Is(Caller {
                account: "111122223333".to_owned(),
                arn: "arn:aws:iam::111122223333:user/backup".to_owned(),
            }),
            settings: BucketSettings {
                versioning: Reading::Is(Versioning {
                    is_enabled: true,
                    needs_second_factor: false,
                }),
                object_lock: Reading::NotConfigured,
                encryption: Reading::Is(Encryption {
                    algorithm: "AES256".to_owned(),
                    kms_key_id: None,
                    has_bucket_key: false,
                }),
                public_access_block: Reading::Is(blocks),
                is_public_by_policy: Reading::Is(false),
                policy: Reading::NotConfigured,
                cors: Reading::NotConfigured,
                ownership: Reading::Is("BucketOwnerEnforced".to_owned()),
                lifecycle: Reading::Is(Lifecycle {
                    rules: vec![rule],
                    spares_small_objects: false,
                }),
            },
            trial: TrialFacts {
                write: Tried::Is(Written::default()),
                create_only: Tried::Is(Condition::Obeyed),
                read: Tried::Is(true),
                list: Tried::Is(true),
                seen: Tried::Is(seen()),
                delete: Tried::Is(()),
                hide: Tried::untried("no need"),
                abort: Tried::Is(()),
                create_only_parts: Tried::Is(Condition::Obeyed),
                multipart: Tried::Is(Written {
                    etag: Some(parts),
                    ..Written::default()
                }),
                replace: Tried::Is(false),
                least_part: Tried::Is(true),
                unequal_parts: Tried::Is(true),
                wrong_md5: Tried::Is(true),
                crc64: Tried::Is(()),
                crc32: Tried::Is(()),
                trailer: Tried::Is(Trailer {
                    content_encoding: None,
                    is_intact: Some(true),
                }),
                ..TrialFacts::none(format!("s3://bucket/{FOLDER}{TRIAL_NAME}"), "")
            },
            unfinished: Tried::Is(Vec::new()),
        }),
    }
}

/// What else there is, as it should be.
struct World {
    facts: Facts,
    around: way::Around,
    provider: &'static Provider,
    sends_checksums: bool,
    encryption: Option<&'static str>,
    is_sealed: bool,
    makes_backups: bool,
    retention: Retention,
}

impl World {
    fn good() -> Self {
        Self {
            facts: good(),
            around: way::Around {
                now: now(),
                ..way::Around::default()
            },
            provider: provider("aws"),
            sends_checksums: true,
            encryption: None,
            is_sealed: false,
            makes_backups: true,
            retention: Retention::default(),
        }
    }

    fn reached(&mut self) -> &mut Reached {
        self.facts.reached.as_mut().unwrap()
    }

    fn trial(&mut self) -> &mut TrialFacts {
        &mut self.reached().trial
    }

    fn settings(&mut self) -> &mut BucketSettings {
        &mut self.reached().settings
    }

    fn rule(&mut self) -> &mut LifecycleRule {
        match &mut self.settings().lifecycle {
            Reading::Is(lifecycle) => &mut lifecycle.rules[0],
            _ => panic!("there is no rule"),
        }
    }

    fn judge(&self) -> (Vec<Check>, Advice) {
        let mut advice = Advice::new();
        let mut checks = way::judge(&self.facts, &self.around, &mut advice);
        if let Some(reached) = &self.facts.reached {
            let expected = habits::Expected {
                provider: self.provider,
                sends_checksums: self.sends_checksums,
                encryption: self.encryption,
                server: self.facts.heads.server.as_deref(),
            };
            let beside = bucket::Beside {
                retention: self.retention,
                is_sealed: self.is_sealed,
                encrypted_with: None,
                folder: FOLDER,
            };
            checks.extend(rights::judge(reached, self.makes_backups, now()));
            checks.extend(habits::judge(reached, expected, &mut advice));
            checks.extend(bucket::judge(&reached.settings, beside));
            checks.extend(lifecycle::judge(&reached.settings.lifecycle, self.retention, FOLDER));
        }
        (in_order(IDS, checks, way::why_not(&self.facts)), advice)
    }
}

/// One change of a good world, and what it makes of a check.
type Change = (&'static str, Status, fn(&mut World));

const CHANGES: &[Change] = &[
    ("store.connection", Status::Failed, |w| {
        w.facts.location = Tried::Refused(no(Why::Unreachable, ""));
        w.facts.reached = None;
    }),
    ("store.connection", Status::Failed, |w| {
        w.facts.location = Tried::Refused(no(Why::NoBucket, ""));
        w.facts.reached = None;
    }),
    ("store.connection", Status::Failed, |w| {
        w.facts.location = Tried::Refused(no(Why::NoStore, ""));
        w.facts.reached = None;
    }),
    ("store.tls", Status::Failed, |w| {
        w.facts.location = Tried::Refused(no(Why::Tls, ""));
        w.facts.reached = None;
    }),
    ("store.tls", Status::Warning, |w| {
        w.around.endpoint = Some("http://nas.example:9000".parse().unwrap());
    }),
    ("store.credentials", Status::Failed, |w| {
        w.facts.location = Tried::Refused(no(Why::Credentials, ""));
        w.facts.reached = None;
    }),
    ("store.credentials", Status::Failed, |w| {
        w.facts.credentials = Tried::Refused(no(Why::Credentials, ""));
    }),
    ("store.credentials", Status::Warning, |w| {
        w.facts.credentials = Tried::Is(CredentialsFound {
            access_key_id: "ASEXAMPLE".to_owned(),
            found_in: Some("the environment".to_owned()),
            expires: Some(now() + SignedDuration::from_mins(10)),
            is_temporary: true,
        });
    }),
    ("store.identity", Status::Warning, |w| {
        w.reached().caller = Reading::Is(Caller {
            account: "1".to_owned(),
            arn: "arn:aws:iam::1:root".to_owned(),
        });
    }),
    ("store.identity", Status::Skipped, |w| {
        w.reached().caller = Reading::NotSupported
    }),
    ("store.region", Status::Warning, |w| {
        w.facts.region_first = "us-east-1".to_owned()
    }),
    ("store.region", Status::Failed, |w| {
        w.facts.location = Tried::Refused(no(Why::Region, ""));
        w.facts.reached = None;
    }),
    ("store.clock", Status::Warning, |w| w.facts.heads.ahead_secs = Some(-90)),
    ("store.clock", Status::Failed, |w| w.facts.heads.ahead_secs = Some(3600)),
    ("store.clock", Status::Failed, |w| {
        w.facts.location = Tried::Refused(no(Why::Clock, ""));
        w.facts.reached = None;
    }),
    ("store.write", Status::Failed, |w| {
        w.trial().write = denied("s3:PutObject")
    }),
    ("store.write", Status::Warning, |w| {
        w.makes_backups = false;
        w.trial().write = denied("s3:PutObject");
    }),
    ("store.write", Status::Failed, |w| {
        w.trial().write = Tried::Refused(no(Why::Rejected, "s3:PutObject"))
    }),
    ("store.read", Status::Warning, |w| {
        w.trial().read = denied("s3:GetObject")
    }),
    ("store.read", Status::Failed, |w| w.trial().read = Tried::Is(false)),
    ("store.read", Status::Failed, |w| {
        w.trial().read = Tried::Refused(no(Why::NotThere, "s3:GetObject"))
    }),
    ("store.list", Status::Warning, |w| {
        w.trial().list = denied("s3:ListBucket")
    }),
    ("store.list", Status::Failed, |w| w.trial().list = Tried::Is(false)),
    ("store.delete", Status::Warning, |w| {
        w.trial().delete = denied("s3:DeleteObject");
        w.trial().left = Some(no(Why::NotAllowed, "s3:DeleteObject"));
    }),
    ("store.delete", Status::Warning, |w| {
        w.trial().delete = denied("s3:DeleteObjectVersion");
        w.trial().hide = Tried::Is(());
    }),
    ("store.delete", Status::Warning, |w| {
        w.trial().left = Some(no(Why::Unreachable, "s3:DeleteObject"))
    }),
    ("store.create-only", Status::Warning, |w| {
        w.trial().create_only = Tried::Is(Condition::Ignored)
    }),
    ("store.create-only", Status::Warning, |w| {
        w.trial().create_only = Tried::Is(Condition::Unknown)
    }),
    ("store.create-only", Status::Warning, |w| {
        w.provider = provider("other");
        w.trial().create_only = Tried::Is(Condition::Ignored);
    }),
    ("store.replace", Status::Ok, |w| w.trial().replace = Tried::Is(true)),
    ("store.replace", Status::Failed, |w| {
        w.trial().replace = Tried::Refused(no(Why::Rejected, "s3:PutObject"))
    }),
    ("store.multipart", Status::Failed, |w| {
        w.trial().multipart = denied("s3:PutObject")
    }),
    ("store.multipart", Status::Failed, |w| {
        w.trial().multipart = Tried::Refused(no(Why::NotSupported, ""))
    }),
    ("store.create-only-multipart", Status::Warning, |w| {
        w.trial().create_only_parts = Tried::Is(Condition::Ignored);
    }),
    ("store.abort", Status::Warning, |w| {
        w.trial().abort = denied("s3:AbortMultipartUpload")
    }),
    ("store.abort", Status::Failed, |w| {
        w.trial().abort = Tried::Refused(no(Why::Rejected, ""))
    }),
    ("store.part-minimum", Status::Failed, |w| {
        w.trial().unequal_parts = Tried::Refused(No {
            code: Some("EntityTooSmall".to_owned()),
            ..no(Why::Rejected, "")
        });
    }),
    ("store.part-minimum", Status::Warning, |w| {
        w.trial().least_part = Tried::Refused(no(Why::Rejected, ""))
    }),
    ("store.parts-equal", Status::Warning, |w| {
        w.trial().unequal_parts = Tried::Is(false)
    }),
    ("store.part-count", Status::Ok, |_| {}),
    ("store.etag", Status::Failed, |w| {
        w.trial().seen = Tried::Is(Seen {
            etag: Some("0123456789abcdef0123456789abcdef".to_owned()),
            ..seen()
        });
    }),
    ("store.etag", Status::Failed, |w| {
        w.trial().multipart = Tried::Is(Written {
            etag: Some("0123456789abcdef0123456789abcdef-1".to_owned()),
            ..Written::default()
        });
    }),
    ("store.etag", Status::Warning, |w| {
        w.encryption = Some("aws:kms");
        w.trial().seen = Tried::Is(Seen {
            encryption: Some("AES256".to_owned()),
            ..seen()
        });
    }),
    ("store.integrity", Status::Warning, |w| {
        w.trial().wrong_md5 = Tried::Is(false)
    }),
    ("store.checksum", Status::Failed, |w| {
        w.trial().crc64 = Tried::Refused(no(Why::NotSupported, ""))
    }),
    ("store.checksum", Status::Ok, |w| {
        w.sends_checksums = false;
        w.trial().crc64 = Tried::Refused(no(Why::NotSupported, ""));
    }),
    ("store.checksum-trailer", Status::Warning, |w| {
        w.trial().trailer = Tried::Is(Trailer {
            content_encoding: None,
            is_intact: Some(false),
        });
    }),
    ("store.provider", Status::Warning, |w| {
        w.trial().unequal_parts = Tried::Is(false)
    }),
    ("store.unfinished", Status::Warning, |w| {
        w.reached().unfinished = Tried::Is(vec![None, Some(now() - SignedDuration::from_hours(24 * 8))]);
    }),
    ("store.unfinished", Status::Ok, |w| {
        w.reached().unfinished = Tried::Is(vec![Some(now() - SignedDuration::from_hours(24 * 6))]);
    }),
    ("bucket.versioning", Status::Warning, |w| {
        w.rule().noncurrent_days = None
    }),
    ("bucket.versioning", Status::Warning, |w| {
        w.settings().versioning = Reading::Is(Versioning {
            is_enabled: false,
            needs_second_factor: false,
        });
    }),
    ("bucket.versioning", Status::Warning, |w| {
        w.settings().versioning = Reading::Is(Versioning {
            is_enabled: true,
            needs_second_factor: true,
        });
    }),
    ("bucket.versioning", Status::Skipped, |w| {
        w.settings().versioning = Reading::NotAllowed {
            permission: "s3:GetBucketVersioning",
        };
    }),
    ("bucket.versioning", Status::Warning, |w| {
        w.settings().versioning = Reading::Failed(Failure::new(Kind::Unreachable, "No answer"));
    }),
    ("bucket.object-lock", Status::Warning, |w| {
        w.retention.keep_days = Some(14);
        w.settings().object_lock = Reading::Is(ObjectLock {
            is_enabled: true,
            default_retention: Some(Lock {
                mode: "COMPLIANCE".to_owned(),
                days: 30,
            }),
        });
    }),
    ("bucket.encryption", Status::Warning, |w| {
        w.settings().encryption = Reading::NotConfigured
    }),
    ("bucket.encryption", Status::Ok, |w| {
        w.is_sealed = true;
        w.settings().encryption = Reading::NotConfigured;
    }),
    ("bucket.public-access", Status::Warning, |w| {
        w.settings().public_access_block = Reading::NotConfigured;
    }),
    ("bucket.public-policy", Status::Failed, |w| {
        w.settings().is_public_by_policy = Reading::Is(true)
    }),
    ("bucket.ownership", Status::Warning, |w| {
        w.settings().ownership = Reading::Is("ObjectWriter".to_owned());
    }),
    ("bucket.lifecycle-expiry", Status::Warning, |w| {
        w.rule().expires_days = Some(30)
    }),
    ("bucket.lifecycle-expiry", Status::Failed, |w| {
        w.retention.keep_days = Some(90);
        w.rule().expires_days = Some(30);
    }),
    ("bucket.lifecycle-expiry", Status::Ok, |w| {
        w.retention.keep_days = Some(30);
        w.rule().expires_days = Some(30);
    }),
    ("bucket.lifecycle-expiry", Status::Failed, |w| {
        w.retention.delete_days = Some(365);
        w.rule().expires_days = Some(30);
    }),
    ("bucket.lifecycle-expiry", Status::Failed, |w| {
        w.rule().expires_on_date = true
    }),
    ("bucket.lifecycle-expiry", Status::Warning, |w| {
        w.rule().expires_days = Some(3650);
        w.rule().above_bytes = Some(1);
    }),
    ("bucket.lifecycle-expiry", Status::Ok, |w| {
        w.rule().expires_days = Some(1);
        w.rule().prefix = "logs/".to_owned();
    }),
    ("bucket.lifecycle-archive", Status::Warning, |w| {
        w.rule().transitions = vec![Transition {
            days: Some(30),
            class: "GLACIER".to_owned(),
        }];
    }),
    ("bucket.lifecycle-archive", Status::Ok, |w| {
        w.rule().transitions = vec![Transition {
            days: Some(30),
            class: "STANDARD_IA".to_owned(),
        }];
    }),
    ("bucket.lifecycle-uploads", Status::Warning, |w| {
        w.settings().lifecycle = Reading::NotConfigured
    }),
    ("bucket.lifecycle-uploads", Status::Warning, |w| {
        w.rule().abort_days = Some(1)
    }),
    ("bucket.lifecycle-uploads", Status::Warning, |w| {
        w.rule().is_enabled = false
    }),
];

#[test]
fn a_good_bucket_has_nothing_but_good_checks() {
    let (checks, advice) = World::good().judge();
    let bad: Vec<&Check> = checks.iter().filter(|check| check.status != Status::Ok).collect();
    assert!(bad.is_empty(), "{bad:#?}");
    assert_eq!(checks.len(), IDS.len());
    assert!(advice.is_empty(), "{advice:?}");
}

#[test]
fn every_check_of_a_bucket_can_turn_bad_and_says_what_to_do() {
    for (at, (id, status, change)) in CHANGES.iter().enumerate() {
        let mut world = World::good();
        change(&mut world);
        let (checks, _) = world.judge();
        assert_eq!(checks.len(), IDS.len());
        let check = checks.iter().find(|check| check.id == *id).unwrap();
        assert_eq!(check.status, *status, "change {at}: {check:#?}");
        let must_hint = *status >= Status::Warning && !check.message.contains("No answer");
        assert!(!must_hint || check.hint.is_some(), "change {at}: {check:#?}");
        assert!(!check.message.ends_with('.'), "change {at}: {check:#?}");
    }
    let can_turn: Vec<&str> = CHANGES
        .iter()
        .filter(|(_, status, _)| *status >= Status::Warning)
        .map(|(id, ..)| *id)
        .collect();
    // Of the greatest number of parts only the table speaks.
    for id in IDS.iter().filter(|id| **id != "store.part-count") {
        assert!(can_turn.contains(id), "nothing makes `{id}` bad");
    }
}

#[test]
fn what_an_unreachable_bucket_keeps_from_being_looked_at_is_skipped_with_the_reason() {
    let mut world = World::good();
    world.facts.location = Tried::Refused(no(Why::NoBucket, ""));
    world.facts.reached = None;
    let (checks, _) = world.judge();
    let skipped = checks
        .iter()
        .filter(|check| check.status == Status::Skipped && check.message == "there is no such bucket")
        .count();
    assert!(skipped >= 25, "{checks:#?}");
}

#[test]
fn a_server_that_lacks_what_the_settings_rely_on_gets_careful_settings() {
    let mut world = World::good();
    world.facts.heads.server = Some("Garage".to_owned());
    world.trial().create_only = Tried::Is(Condition::Ignored);
    let (_, advice) = world.judge();
    assert_eq!(advice["provider"], "garage");
    let mut world = World::good();
    world.facts.heads.server = None;
    world.trial().unequal_parts = Tried::Is(false);
    let (checks, advice) = world.judge();
    assert_eq!(advice["provider"], "other");
    let check = checks.iter().find(|check| check.id == "store.parts-equal").unwrap();
    assert!(check.hint.as_ref().unwrap().contains("--provider other"), "{check:?}");
    let mut world = World::good();
    world.provider = provider("other");
    world.facts.heads.server = Some("SeaweedFS 4.48".to_owned());
    let (checks, advice) = world.judge();
    assert_eq!(advice["provider"], "seaweedfs");
    let check = checks.iter().find(|check| check.id == "store.provider").unwrap();
    assert_eq!(check.status, Status::Ok, "{check:?}");
    // A name alone is not believed.
    world.trial().create_only = Tried::Is(Condition::Ignored);
    assert!(world.judge().1.is_empty());
}

#[test]
fn the_throw_away_object_is_taken_for_no_backup() {
    for prefix in ["", "backups/", "backups/20260131/"] {
        let role = role_of(&Key::new(format!("{prefix}{TRIAL_NAME}")));
        assert!(matches!(role, KeyRole::Index { .. }), "{role:?}");
    }
}

#[test]
fn the_ids_stay_the_same() {
    assert_ids(&[
        IDS,
        local::IDS,
        Sort::Database.ids(),
        Sort::File.ids(),
        Sort::Files.ids(),
        Sort::Program.ids(),
    ]);
}

/// Monitoring relies on these words: one that is changed or removed breaks somebody's alarm.
fn assert_ids(all: &[&[&str]]) {
    let mut ids: Vec<&str> = all.iter().flat_map(|ids| ids.iter().copied()).collect();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(
        ids.join(" "),
        "bucket.encryption bucket.lifecycle-archive bucket.lifecycle-expiry bucket.lifecycle-uploads bucket.object-lock \
         bucket.ownership bucket.public-access bucket.public-policy bucket.versioning source.connection source.consistency \
         source.readable source.rights source.size source.tools store.abort store.case store.checksum \
         store.checksum-trailer store.clock store.connection store.create-only store.create-only-multipart \
         store.credentials store.delete store.durable store.etag store.folder store.free-space store.identity \
         store.integrity store.list store.multipart store.part-count store.part-minimum store.parts-equal \
         store.permissions store.provider store.read store.region store.replace store.tls store.unfinished store.write"
    );
}
