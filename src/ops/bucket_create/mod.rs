//! Creates a bucket, and sets one to what a bucket of backups should be set to.
//!
//! It reads, plans, and makes the changes one by one, each of which is right by itself: whatever interrupts it, the next run
//! goes on from what it finds. What was there of others, in the policy and among the rules for web pages, stays.

use std::time::Duration;

use serde::Serialize;

use super::Run;
use super::bucket_check::{Point, compare};
use crate::base::failure::{Failure, Kind, Result};
use crate::bucket::{Bucket, BucketSettings, Created, Reading, Refusal, Why, broken_rule, foreign_ending};

mod plan;
mod tidy;

pub use plan::{CreatePlan, Left, LeftBecause, Planned, Step, Surroundings, Wanted, WantedCors, plan};

/// How often it is looked whether the changes have come about: large providers take some seconds to agree on them.
const LOOKS_MAX: u32 = 5;

/// How often it is looked once more after what had no effect was made again.
const LAST_LOOKS: u32 = 2;

/// How long to wait between two looks.
const LOOK_WAIT: Duration = Duration::from_millis(500);

/// What was done.
#[derive(Debug, Serialize)]
pub struct CreateOutcome {
    /// The points that were changed, in order.
    pub done: Vec<&'static str>,
    /// What is left as it is.
    pub left: Vec<Left>,
    /// The bucket now, as `bucket check` compares it.
    pub points: Vec<Point>,
}

/// Says what would be changed; changes nothing.
///
/// # Errors
/// If the bucket cannot be looked at, is somebody else's, or is in another region than was asked for.
pub fn plan_creation(bucket: &Bucket, wanted: &Wanted) -> Result<CreatePlan> {
    if !exists(bucket)? {
        return Ok(plan(None, wanted, &surroundings(bucket, &bucket.region_in_use())));
    }
    check_region(bucket, wanted)?;
    let settings = bucket.settings();
    bucket.check()?;
    Ok(plan(
        Some(&settings),
        wanted,
        &surroundings(bucket, &bucket.region_in_use()),
    ))
}

fn surroundings<'a>(bucket: &'a Bucket, region: &'a str) -> Surroundings<'a> {
    Surroundings {
        bucket: bucket.name(),
        region,
        is_tls: bucket.is_reached_by_tls(),
    }
}

/// Whether the bucket is there. One that was made before AWS had a rule for names keeps its name, so that only a name that
/// would be a new one is held against them; and what can be no bucket at all is not asked for.
fn exists(bucket: &Bucket) -> Result<bool> {
    let is_aws = bucket.provider().name == "aws";
    if is_aws && foreign_ending(bucket.name()).is_some() {
        return Err(not_a_name(bucket));
    }
    let is_bad = is_aws && broken_rule(bucket.name()).is_some();
    match bucket.exists() {
        Ok(false) if is_bad => Err(not_a_name(bucket)),
        Ok(is_there) => Ok(is_there),
        Err(refusal) => Err(match refusal.why {
            Why::Rejected if is_bad => not_a_name(bucket).caused_by(anyhow::anyhow!(refusal.failure.in_one_line())),
            Why::Rejected if refusal.status == Some(400) => refusal.failure.hint(format!(
                "Perhaps the server does not take the name `{}`: most take 3 to 63 lower-case letters, digits, hyphens and dots",
                bucket.name()
            )),
            Why::NotAllowed => not_allowed(refusal, bucket, is_bad),
            _ => refusal.failure,
        }),
    }
}

/// A bucket that may not be looked at may be anybody's, or none.
fn not_allowed(refusal: Refusal, bucket: &Bucket, is_bad: bool) -> Failure {
    let mut failure = refusal
        .failure
        .hint("If the bucket is somebody else's, choose another name: all users of the provider share them");
    if !bucket.is_reached_by_tls() {
        failure = failure.hint("If its policy refuses plain HTTP, reach it by an https:// endpoint");
    }
    match broken_rule(bucket.name()).filter(|_| is_bad) {
        Some(rule) => failure.hint(format!("AWS takes no such name for a new bucket: {rule}")),
        None => failure,
    }
}

fn not_a_name(bucket: &Bucket) -> Failure {
    let rule = broken_rule(bucket.name()).unwrap_or_default();
    Failure::new(
        Kind::Config,
        format!("AWS does not take the name `{}` for a bucket: {rule}", bucket.name()),
    )
    .hint("Choose another name: 3 to 63 lower-case letters, digits and hyphens, such as `acme-backups`")
}

/// A bucket cannot move.
fn check_region(bucket: &Bucket, wanted: &Wanted) -> Result<()> {
    let Some(region) = wanted.region.as_ref().filter(|_| bucket.provider().name == "aws") else {
        return Ok(());
    };
    match bucket.location() {
        Ok(place) if !place.is_empty() && place != *region => Err(Failure::new(
            Kind::Config,
            format!("The bucket `{}` is in {place} and not in {region}", bucket.name()),
        )
        .hint(format!(
            "A bucket cannot move: set the region to {place}, or choose another name"
        ))),
        // Not every credentials may ask this, and not every server knows it.
        Ok(_) => Ok(()),
        Err(refusal)
            if matches!(
                refusal.why,
                Why::NotAllowed | Why::NotSupported | Why::NotThere | Why::Rejected
            ) =>
        {
            Ok(())
        }
        Err(refusal) => Err(refusal.failure),
    }
}

/// Makes the changes, whatever they are by now, and looks what has become of them.
///
/// # Errors
/// [`Kind::Conflict`] if the name is somebody else's; what makes it pointless to go on. A single change that could not be
/// made stands in the outcome.
pub fn create_bucket(bucket: &Bucket, wanted: &Wanted, run: &Run) -> Result<CreateOutcome> {
    let mut outcome = CreateOutcome {
        done: Vec::new(),
        left: Vec::new(),
        points: Vec::new(),
    };
    let was_there = exists(bucket)?;
    if was_there {
        check_region(bucket, wanted)?;
    } else {
        match bucket.create(wanted.object_lock.is_some()) {
            Ok(Created::New | Created::WasThere) => outcome.done.push("bucket"),
            Ok(Created::Taken) => return Err(taken(bucket)),
            Err(refusal) => return Err(refusal.failure),
        }
    }
    let region = bucket.region_in_use();
    let around = surroundings(bucket, &region);
    let settings = bucket.settings();
    bucket.check()?;
    let now = plan(Some(&settings), wanted, &around);
    outcome.left = now.left;
    let said_to_lack: Vec<&'static str> = outcome
        .left
        .iter()
        .filter(|left| left.because == LeftBecause::NotThere)
        .map(|left| left.point)
        .collect();
    for planned in now.steps {
        match carry_out(bucket, &planned.step, wanted, &around, run)? {
            None => outcome.done.push(planned.step.point()),
            Some(left) => outcome.left.push(left),
        }
    }
    let settings = look_again(bucket, wanted, &around, &mut outcome, run)?;
    let open = plan(Some(&settings), wanted, &around).steps;
    for left in outcome
        .left
        .iter_mut()
        .filter(|left| said_to_lack.contains(&left.point))
    {
        if open.iter().any(|planned| planned.step.point() == left.point) {
            left.because = LeftBecause::Failed;
            left.why = "This server said that it does not have it, and has it".to_owned();
        }
    }
    outcome.points = compare(&settings, &wanted.folder, around.is_tls);
    Ok(outcome)
}

/// Makes one change, or says why it could not be made.
///
/// # Errors
/// What makes it pointless to go on.
fn carry_out(
    bucket: &Bucket,
    step: &Step,
    wanted: &Wanted,
    around: &Surroundings<'_>,
    run: &Run,
) -> Result<Option<Left>> {
    run.cancel.check()?;
    let point = step.point();
    let outcome = match step {
        Step::Tidy => tidy::tidy(bucket, wanted, run).map_err(|failure| tidy::left(point, failure, wanted)),
        step => make(bucket, step, wanted, around).map_err(|refusal| left(point, refusal, wanted)),
    };
    match outcome {
        Ok(()) => Ok(None),
        Err(left) => left.map(Some),
    }
}

fn taken(bucket: &Bucket) -> Failure {
    Failure::new(
        Kind::Conflict,
        format!(
            "The name `{}` is taken: somebody else has a bucket of this name",
            bucket.name()
        ),
    )
    .hint("All users of a provider share the names; choose another, for example with the name of your company in it")
}

fn make(bucket: &Bucket, step: &Step, wanted: &Wanted, around: &Surroundings<'_>) -> std::result::Result<(), Refusal> {
    match step {
        Step::Create { .. } | Step::Tidy => Ok(()),
        Step::PublicAccess => bucket.block_public_access(),
        Step::Ownership => bucket.enforce_ownership(),
        Step::Encryption(encryption) => bucket.set_encryption(encryption),
        Step::Versioning => bucket.keep_versions(),
        Step::ObjectLock(default) => bucket.set_object_lock(default.as_ref()),
        Step::TlsOnly => add_to_policy(bucket, wanted, around, true),
        Step::CreateOnly => add_to_policy(bucket, wanted, around, false),
        Step::Cors(cors) => bucket.set_cors(&cors.origins, &cors.methods),
    }
}

/// Adds a statement to the policy as it is at this moment: somebody else may have changed it since the plan.
fn add_to_policy(
    bucket: &Bucket,
    wanted: &Wanted,
    around: &Surroundings<'_>,
    of_tls: bool,
) -> std::result::Result<(), Refusal> {
    let known = match bucket.policy_to_change() {
        Reading::Is(policy) => Some(policy),
        Reading::NotConfigured => None,
        other => return Err(unread(other)),
    };
    let mut wish = plan::wish(wanted, around);
    wish.tls_only &= of_tls;
    wish.create_only &= !of_tls;
    match wish.added_to(known.as_deref()) {
        Ok(Some(policy)) => bucket.set_policy(&policy),
        Ok(None) => Ok(()),
        Err(_) => Err(unread(Reading::<String>::NotSupported)),
    }
}

/// That the policy cannot be read now: whoever cannot read it must not write it.
fn unread<T>(reading: Reading<T>) -> Refusal {
    const PERMISSION: &str = "s3:GetBucketPolicy";
    let (why, failure) = match reading {
        Reading::Failed(failure) => (Why::Rejected, failure),
        Reading::NotAllowed { permission } => (
            Why::NotAllowed,
            Failure::new(Kind::Denied, "The bucket's policy may not be read any more")
                .hint(format!("The credentials need the permission {permission}")),
        ),
        _ => (
            Why::Rejected,
            Failure::new(Kind::Failed, "The bucket's policy changes while it is worked on")
                .hint("Run it again when nobody else changes it"),
        ),
    };
    Refusal {
        why,
        status: None,
        code: None,
        is_senseless: false,
        permission: PERMISSION,
        failure,
    }
}

/// A change that could not be made.
///
/// # Errors
/// What makes it pointless to go on.
fn left(point: &'static str, refusal: Refusal, wanted: &Wanted) -> Result<Left> {
    let asked = match point {
        "encryption" => wanted.encryption.is_some(),
        "tls-only" => wanted.tls_only == Some(true),
        "create-only" | "object-lock" | "cors" => true,
        "versioning" => wanted.object_lock.is_some(),
        _ => false,
    };
    let because = match refusal.why {
        Why::Interrupted
        | Why::Credentials
        | Why::Unreachable
        | Why::NoStore
        | Why::Tls
        | Why::Clock
        | Why::NoBucket => {
            return Err(refusal.failure);
        }
        Why::NotAllowed => LeftBecause::NotAllowed,
        _ if refusal.is_not_supported() => LeftBecause::NotThere,
        _ => LeftBecause::Failed,
    };
    let why = match because {
        LeftBecause::NotThere => "This server does not have it".to_owned(),
        LeftBecause::NotAllowed => format!("It takes the permission {}", refusal.permission),
        _ => refusal.failure.in_one_line(),
    };
    Ok(Left {
        point,
        because,
        why,
        asked,
    })
}

/// Reads everything again. What was accepted and is not there is made once more, and told if that is in vain, too.
fn look_again(
    bucket: &Bucket,
    wanted: &Wanted,
    around: &Surroundings<'_>,
    outcome: &mut CreateOutcome,
    run: &Run,
) -> Result<BucketSettings> {
    let mut looks = 0;
    let mut looks_max = LOOKS_MAX;
    loop {
        looks += 1;
        let settings = bucket.settings();
        bucket.check()?;
        let open = plan(Some(&settings), wanted, around).steps;
        let missing: Vec<&Planned> = open
            .iter()
            .filter(|planned| outcome.done.contains(&planned.step.point()))
            .collect();
        if missing.is_empty() {
            return Ok(settings);
        }
        if looks == LOOKS_MAX {
            for planned in &missing {
                // Whatever comes of it is what the next look finds.
                let _ = carry_out(bucket, &planned.step, wanted, around, run)?;
            }
            looks_max += LAST_LOOKS;
        }
        if looks >= looks_max {
            for point in missing.iter().map(|planned| planned.step.point()) {
                outcome.done.retain(|done| *done != point);
                outcome.left.push(Left {
                    point,
                    because: LeftBecause::NotThere,
                    why: "This server accepted it without any effect".to_owned(),
                    asked: matches!(point, "create-only" | "object-lock" | "cors"),
                });
            }
            return Ok(settings);
        }
        run.cancel.check()?;
        std::thread::sleep(LOOK_WAIT);
    }
}

#[cfg(test)]
mod plan_tests;
