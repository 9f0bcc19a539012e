//! `bucket create`: creates the bucket of the store, and hardens it.

use clap::Args as ClapArgs;
use serde::Serialize;

use super::{Opened, not_seen, open, page};
use crate::base::failure::{Failure, Kind, Result};
use crate::bucket::{Bucket, Encryption, Retention};
use crate::cli::words::count;
use crate::cli::{Context, help};
use crate::config::{Flags, Settings, table};
use crate::ops::bucket_check::{Point, Verdict, points_of};
use crate::ops::bucket_create::{
    CreateOutcome, CreatePlan, Left, LeftBecause, Wanted, WantedCors, create_bucket, plan_creation,
};
use crate::ui::escape::escape_text;

/// What a web page may do, if nothing else is said.
const CORS_METHODS_USUAL: [&str; 2] = ["GET", "HEAD"];

/// A default retention longer than this is a slip of the hand: nothing takes a lock of compliance back.
const LOCK_DAYS_MAX: u32 = 36_500;

/// Create the bucket and set it to what a bucket of backups should be set to; again and again, if need be
///
/// Creates the bucket in the region of the settings if it is not there. Then, of a new one and of one that was there: blocks
/// public access in all four ways, has everything belong to the bucket's owner without access lists, encrypts what arrives
/// (AES256, or what --sse says), keeps versions, refuses plain HTTP by a statement in the bucket's policy, and has unfinished
/// uploads below the prefix thrown away by a lifecycle rule. On request it refuses to replace objects (--create-only), locks
/// them (--object-lock), lets web pages in (--cors-origin), and removes older versions after some days (--noncurrent-days):
/// before that, whatever is removed stays as an older version and costs money.
///
/// --create-only lets through only writes on the condition that the key is free, as all of this tool's own are; whoever copies
/// into the prefix by other means is refused. A server other than AWS may take the statement and not obey it.
///
/// Every change is shown first, in words. What is right already is not touched, and the statements and rules of others in the
/// policy and for web pages stay. A setting that the server does not have is said, and is a failure only if it was asked for.
/// Whatever interrupts it, the next run goes on. Plain HTTP is refused last of all. Afterwards it is compared as by `bucket
/// check`.
///
/// Permissions: s3:CreateBucket, s3:ListBucket, s3:PutBucketPublicAccessBlock, s3:PutBucketOwnershipControls,
/// s3:PutEncryptionConfiguration, s3:PutBucketVersioning, s3:PutBucketPolicy, s3:PutLifecycleConfiguration, and on request
/// s3:PutBucketObjectLockConfiguration and s3:PutBucketCORS; and those of `bucket check` to read what is set.
#[derive(Clone, Debug, Default, ClapArgs)]
#[command(after_long_help = help::closing("bucket create"))]
pub struct Args {
    /// Refuse writes below the prefix that could replace an object, even by this machine's credentials
    #[arg(long)]
    pub create_only: bool,

    /// Let objects be locked: `on`, or with a default for new ones, governance:DAYS or compliance:DAYS
    #[arg(long, value_name = "LOCK", value_parser = lock)]
    pub object_lock: Option<Lock>,

    /// Let web pages from here read objects, such as https://backups.example.org; may be repeated
    #[arg(long, value_name = "URL", value_parser = origin)]
    pub cors_origin: Vec<String>,

    /// What these web pages may send [default: GET and HEAD]; may be repeated
    #[arg(long, value_name = "METHOD", value_parser = ["GET", "HEAD", "PUT", "POST", "DELETE"], requires = "cors_origin", hide_short_help = true)]
    pub cors_method: Vec<String>,

    /// Encrypt what arrives by this: AES256 or aws:kms
    #[arg(long, value_name = "METHOD")]
    pub sse: Option<String>,

    /// The KMS key for it
    #[arg(long, value_name = "KEY", hide_short_help = true)]
    pub sse_kms_key_id: Option<String>,

    /// Remove for good, after so many days, what was replaced or removed and stays as an older version
    #[arg(long, value_name = "DAYS")]
    pub noncurrent_days: Option<String>,

    /// Refuse plain HTTP even where this store is reached by it, or (with =false) nowhere [default: where it is reached by TLS]
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true", hide_short_help = true)]
    pub tls_only: Option<bool>,

    /// Show what would be done, without doing it
    #[arg(long, short = 'n')]
    pub dry_run: bool,

    /// Go ahead without asking
    #[arg(long, short = 'y', visible_alias = "yes")]
    pub confirm: bool,
}

/// A lock that was asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lock(Option<Retention>);

fn lock(text: &str) -> Result<Lock, String> {
    if text.eq_ignore_ascii_case("on") {
        return Ok(Lock(None));
    }
    let wrong = || "Write on, governance:DAYS or compliance:DAYS".to_owned();
    let (mode, days) = text.split_once(':').ok_or_else(wrong)?;
    let mode = mode.to_ascii_uppercase();
    let days = days.strip_suffix('d').unwrap_or(days).parse::<u32>();
    match (mode.as_str(), days) {
        ("GOVERNANCE" | "COMPLIANCE", Ok(days)) if (1..=LOCK_DAYS_MAX).contains(&days) => {
            Ok(Lock(Some(Retention { mode, days })))
        }
        ("GOVERNANCE" | "COMPLIANCE", Ok(_)) => Err(format!("The days are from 1 to {LOCK_DAYS_MAX}")),
        _ => Err(wrong()),
    }
}

/// An origin as browsers send it: scheme, host and port, and no path.
fn origin(text: &str) -> Result<String, String> {
    let wrong = || "Write it as a browser sends it, without a path: https://backups.example.org".to_owned();
    if text == "*" {
        return Err("Every web page of the world could read backups then; name those that may".to_owned());
    }
    let url = url::Url::parse(text).map_err(|_| wrong())?;
    let is_origin = matches!(url.scheme(), "http" | "https") && url.has_host() && url.path() == "/";
    match is_origin && url.query().is_none() && url.fragment().is_none() && url.username().is_empty() {
        true => Ok(url.origin().ascii_serialization()),
        false => Err(wrong()),
    }
}

impl Args {
    /// These options as a layer of settings.
    #[must_use]
    pub fn flags(&self) -> Flags {
        Flags::default()
            .text(&table::SSE, "--sse", self.sse.as_deref())
            .text(
                &table::SSE_KMS_KEY_ID,
                "--sse-kms-key-id",
                self.sse_kms_key_id.as_deref(),
            )
            .text(
                &table::LIFECYCLE_NONCURRENT_DAYS,
                "--noncurrent-days",
                self.noncurrent_days.as_deref(),
            )
    }

    fn wanted(&self, settings: &Settings, folder: String) -> Wanted {
        let methods = match self.cors_method.is_empty() {
            true => CORS_METHODS_USUAL.map(str::to_owned).to_vec(),
            false => self.cors_method.clone(),
        };
        let days = |days: u64| u32::try_from(days).unwrap_or(u32::MAX);
        Wanted {
            folder,
            encryption: encryption(settings),
            tls_only: self.tls_only,
            create_only: self.create_only,
            object_lock: self.object_lock.clone().map(|lock| lock.0),
            cors: (!self.cors_origin.is_empty()).then(|| WantedCors {
                origins: self.cors_origin.clone(),
                methods,
            }),
            abort_days: days(settings.lifecycle_abort_days.value),
            noncurrent_days: settings.lifecycle_noncurrent_days.value.map(days),
            region: settings.region.value.clone(),
        }
    }
}

/// The default encryption that the settings ask for.
fn encryption(settings: &Settings) -> Option<Encryption> {
    let key = settings.sse_kms_key_id.value.clone();
    let algorithm = match (&settings.sse.value, &key) {
        (Some(algorithm), _) => algorithm.clone(),
        (None, Some(_)) => "aws:kms".to_owned(),
        (None, None) => return None,
    };
    Some(Encryption {
        // One key of the bucket spares most requests to the key management service, which cost money.
        has_bucket_key: algorithm != "AES256",
        algorithm,
        kms_key_id: key,
    })
}

/// Plans, asks and makes the changes.
///
/// # Errors
/// [`Kind::Refused`] without a confirmation; [`Kind::Unsupported`] if the server lacks what was asked for;
/// [`Kind::Incomplete`] if something could not be changed.
pub fn run(args: &Args, context: &Context) -> Result<()> {
    let run = context.run();
    let Opened {
        bucket,
        settings,
        folder,
    } = open(context, &run)?;
    let wanted = args.wanted(settings, folder);
    let plan = plan_creation(&bucket, &wanted)?;
    context.listener.end();
    print_plan(&plan, args, &bucket, context)?;
    if args.dry_run || plan.steps.is_empty() {
        if context.console.is_json() {
            context
                .console
                .answer_json(&Document::of(&bucket, &plan, args.dry_run, None))?;
        }
        return judge(&plan.left, &bucket);
    }
    if !args.confirm {
        let question = format!(
            "{} will be made to the bucket `{}`. Go ahead?",
            count(plan.steps.len() as u64, "change", "changes"),
            bucket.name()
        );
        if !context.console.confirm(&question, &context.cancel)? {
            return Err(Failure::new(Kind::Refused, "Not confirmed, so nothing was changed")
                .hint("Answer `y` to go ahead, or look first with --dry-run"));
        }
    }
    let outcome = create_bucket(&bucket, &wanted, &run)?;
    context.listener.end();
    match context.console.is_json() {
        true => context
            .console
            .answer_json(&Document::of(&bucket, &plan, false, Some(&outcome)))?,
        false => print_outcome(&outcome, &plan, &bucket, context)?,
    }
    judge(&outcome.left, &bucket)
}

fn print_plan(plan: &CreatePlan, args: &Args, bucket: &Bucket, context: &Context) -> Result<()> {
    let console = &context.console;
    for planned in &plan.steps {
        console.summary(&escape_text(&format!("{:14}  {}", planned.step.point(), planned.words)))?;
    }
    for left in &plan.left {
        console.note(&said(left));
    }
    let name = bucket.name();
    match (plan.steps.is_empty(), args.dry_run) {
        (true, _) => console.summary(&escape_text(&format!(
            "There is nothing to change of the bucket `{name}`."
        ))),
        (false, true) => console.summary(&format!(
            "{} would be made, but this is a dry run.",
            count(plan.steps.len() as u64, "change", "changes")
        )),
        (false, false) => Ok(()),
    }
}

/// Why a point is left as it is, in a sentence.
fn said(left: &Left) -> String {
    format!("`{}` is left as it is. {}.", left.point, left.why.trim_end_matches('.'))
}

fn print_outcome(outcome: &CreateOutcome, plan: &CreatePlan, bucket: &Bucket, context: &Context) -> Result<()> {
    let console = &context.console;
    // What the plan said already is not said twice.
    for left in outcome.left.iter().filter(|left| !plan.left.contains(left)) {
        console.note(&said(left));
    }
    console.summary(&escape_text(&format!(
        "Changed {} of the bucket `{}`: {}.",
        count(outcome.done.len() as u64, "point", "points"),
        bucket.name(),
        outcome.done.join(", ")
    )))?;
    let told: Vec<Point> = [Verdict::Different, Verdict::Unknown]
        .into_iter()
        .flat_map(|verdict| points_of(&outcome.points, verdict))
        .cloned()
        .collect();
    let is_all_seen = points_of(&outcome.points, Verdict::Unknown).next().is_none();
    if told.is_empty() {
        return console.summary("`bucket check` finds it right in every point.");
    }
    console.answer(&page(&told))?;
    if is_all_seen {
        return Ok(());
    }
    match outcome.done.contains(&"tls-only") && !bucket.is_reached_by_tls() {
        true => console.note(
            "The bucket refuses plain HTTP now, by which it is reached here: how it is set can only be looked at, and backups only be made, by an https:// endpoint.",
        ),
        false => console.note(&format!(
            "So it is not known to be right in every point. {}.",
            not_seen(&outcome.points)
        )),
    }
    Ok(())
}

/// One failure of what could not be done.
fn judge(left: &[Left], bucket: &Bucket) -> Result<()> {
    let of = |which: &dyn Fn(&Left) -> bool| -> Vec<&Left> { left.iter().filter(|left| which(left)).collect() };
    let failed = of(&|left| matches!(left.because, LeftBecause::NotAllowed | LeftBecause::Failed));
    let lacking = of(&|left| left.asked && left.because == LeftBecause::NotThere);
    let names = |some: &[&Left]| some.iter().map(|left| left.point).collect::<Vec<_>>().join(", ");
    if !failed.is_empty() {
        let mut failure = Failure::new(
            Kind::Incomplete,
            format!("The bucket `{}` could not be set in: {}", bucket.name(), names(&failed)),
        );
        for left in failed {
            failure = failure.hint(format!("`{}`: {}", left.point, left.why));
        }
        return Err(failure.hint("Run it again when that is mended: what has been done is not done twice"));
    }
    match lacking.is_empty() {
        true => Ok(()),
        false => Err(Failure::new(
            Kind::Unsupported,
            format!("The server does not have what was asked for: {}", names(&lacking)),
        )
        .hint("All else was done; leave it out, or choose a server that has it")),
    }
}

/// The answer for programs.
#[derive(Serialize)]
struct Document<'a> {
    bucket: &'a str,
    existed: bool,
    dry_run: bool,
    changes: Vec<Change<'a>>,
    left: &'a [Left],
    done: Option<&'a [&'static str]>,
    points: Option<&'a [Point]>,
}

#[derive(Serialize)]
struct Change<'a> {
    point: &'static str,
    change: &'a str,
}

impl<'a> Document<'a> {
    fn of(bucket: &'a Bucket, plan: &'a CreatePlan, dry_run: bool, outcome: Option<&'a CreateOutcome>) -> Self {
        Self {
            bucket: bucket.name(),
            existed: plan.exists,
            dry_run,
            changes: plan
                .steps
                .iter()
                .map(|planned| Change {
                    point: planned.step.point(),
                    change: &planned.words,
                })
                .collect(),
            left: outcome.map_or(&plan.left, |outcome| &outcome.left),
            done: outcome.map(|outcome| outcome.done.as_slice()),
            points: outcome.map(|outcome| outcome.points.as_slice()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn locks_and_origins_are_read() {
        let retention = |mode: &str, days| {
            Lock(Some(Retention {
                mode: mode.to_owned(),
                days,
            }))
        };
        assert_eq!(lock("on"), Ok(Lock(None)));
        assert_eq!(lock("governance:30"), Ok(retention("GOVERNANCE", 30)));
        assert_eq!(lock("COMPLIANCE:7d"), Ok(retention("COMPLIANCE", 7)));
        for text in [
            "",
            "off",
            "governance",
            "governance:",
            "governance:0",
            "forever:3",
            "governance:99999999999",
        ] {
            assert!(lock(text).is_err(), "{text}");
        }
        assert_eq!(origin("https://a.example"), Ok("https://a.example".to_owned()));
        assert_eq!(origin("http://localhost:3000/"), Ok("http://localhost:3000".to_owned()));
        for text in ["*", "a.example", "ftp://a", "https://a/b", "https://u@a", "https://a?x"] {
            assert!(origin(text).is_err(), "{text}");
        }
    }
}
