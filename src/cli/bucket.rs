//! `bucket`: the bucket itself, apart from the backups in it.

mod create;

use clap::{Args as ClapArgs, Subcommand};
use serde::Serialize;

use super::assemble::{of_first_store, s3_store};
use super::words::count;
use super::{Context, help};
use crate::base::failure::{Failure, Kind, Result};
use crate::bucket::Bucket;
use crate::config::{Flags, Settings};
use crate::ops::Run;
use crate::ops::bucket_check::{Point, Verdict, check_bucket, missing_permissions, points_of};
use crate::store::Store;
use crate::store::address::StoreAddress;
use crate::ui::table::{Column, render};

/// Create the bucket of the store, harden it, and look at it
///
/// A bucket of backups should keep versions, encrypt, be closed to the public, refuse plain HTTP, and tidy up after itself.
#[derive(Clone, Debug, ClapArgs)]
#[command(after_long_help = help::closing("bucket"), arg_required_else_help = true)]
pub struct Args {
    /// What to do.
    #[command(subcommand)]
    pub action: Action,
}

/// What to do with the bucket.
#[derive(Clone, Debug, Subcommand)]
pub enum Action {
    /// Compare the bucket with what a bucket of backups should be set to, point by point
    ///
    /// Prints what is set, what should be, and why it matters where the two differ. Nothing is changed, and nothing is written
    /// into the bucket. It takes the rights to read the bucket's settings, such as s3:GetBucketVersioning and
    /// s3:GetBucketPolicy. What is a choice, such as object lock, is shown and is no difference; refusing plain HTTP is one
    /// where the store is reached by it.
    ///
    /// A difference ends it with 1. Where none is seen and something could not be looked at, it ends with 3 and names the
    /// permission: what nobody could look at is not taken for right. What this server does not have is no failure.
    #[command(after_long_help = help::closing("bucket check"))]
    Check,
    // What stands here would replace the help that its arguments bring along.
    #[allow(missing_docs)]
    Create(create::Args),
}

impl Args {
    /// These options as a layer of settings.
    #[must_use]
    pub fn flags(&self) -> Flags {
        match &self.action {
            Action::Check => Flags::default(),
            Action::Create(args) => args.flags(),
        }
    }
}

/// The answer for programs.
#[derive(Serialize)]
struct Document<'a> {
    bucket: &'a str,
    different: usize,
    unknown: usize,
    points: &'a [Point],
}

/// Does it.
///
/// # Errors
/// [`Kind::Failed`] if the bucket differs; [`Kind::Incomplete`] if something could not be looked at; [`Kind::Usage`] if the store is a folder.
pub fn run(args: &Args, context: &Context) -> Result<()> {
    match &args.action {
        Action::Check => check(context),
        Action::Create(args) => create::run(args, context),
    }
}

/// The bucket of the store, the store's settings, and what the keys of backups begin with.
struct Opened<'a> {
    bucket: Bucket,
    settings: &'a Settings,
    folder: String,
}

fn open<'a>(context: &'a Context, run: &Run) -> Result<Opened<'a>> {
    let settings = of_first_store(&context.settings);
    let StoreAddress::S3 { bucket, prefix } = &settings.store.value else {
        return Err(
            Failure::new(Kind::Usage, format!("The store is no bucket: {}", settings.store.value))
                .hint("Name one with --store s3://BUCKET/PREFIX; `backup-cli doctor` looks at a folder"),
        );
    };
    let store = s3_store(settings, bucket, prefix, run, |_| {})?;
    let folder = match store.prefix() {
        "" => String::new(),
        prefix => format!("{prefix}/"),
    };
    Ok(Opened {
        bucket: Bucket::of(&store),
        settings,
        folder,
    })
}

fn check(context: &Context) -> Result<()> {
    let run = context.run();
    let Opened { bucket, folder, .. } = open(context, &run)?;
    let points = check_bucket(&bucket, &folder)?;
    let bucket = bucket.name();
    context.listener.end();
    let different = points_of(&points, Verdict::Different).count();
    let unknown = points_of(&points, Verdict::Unknown).count();
    let console = &context.console;
    match console.is_json() {
        true => console.answer_json(&Document {
            bucket,
            different,
            unknown,
            points: &points,
        })?,
        false => console.answer(&page(&points))?,
    }
    if different > 0 {
        let failure = Failure::new(
            Kind::Failed,
            format!(
                "The bucket `{bucket}` differs in {}",
                count(different as u64, "point", "points")
            ),
        )
        .hint("`backup-cli bucket create --dry-run` shows what it would change, and without --dry-run changes it; rules on old versions and unfinished uploads are those of the bucket's lifecycle");
        return Err(match unknown {
            0 => failure,
            _ => failure.hint(not_seen(&points)),
        });
    }
    match unknown {
        0 => Ok(()),
        _ => Err(unseen(&points, bucket)),
    }
}

/// What could not be looked at is not right.
fn unseen(points: &[Point], bucket: &str) -> Failure {
    let unknown: Vec<&Point> = points_of(points, Verdict::Unknown).collect();
    let failure = Failure::new(
        Kind::Incomplete,
        format!(
            "{} of the bucket `{bucket}` could not be looked at",
            count(unknown.len() as u64, "point", "points")
        ),
    )
    .hint(not_seen(points));
    match unknown.iter().any(|point| point.permission.is_none()) {
        true => failure.hint("Run it again when the server answers"),
        false => failure,
    }
}

/// Which points could not be looked at, and what it takes.
fn not_seen(points: &[Point]) -> String {
    let ids: Vec<&str> = points_of(points, Verdict::Unknown).map(|point| point.id).collect();
    let failed: Vec<String> = points_of(points, Verdict::Unknown)
        .filter(|point| point.permission.is_none())
        .map(|point| format!("`{}`: {}", point.id, point.found))
        .collect();
    let mut parts = vec![format!("Not looked at: {}", ids.join(", "))];
    match missing_permissions(points).as_slice() {
        [] => {}
        [one] => parts.push(format!("the credentials need the permission {one}")),
        many => parts.push(format!("the credentials need the permissions {}", many.join(", "))),
    }
    parts.extend(failed);
    parts.join("; ")
}

fn page(points: &[Point]) -> String {
    let columns = [
        Column::left("POINT"),
        Column::left("VERDICT"),
        Column::left("FOUND"),
        Column::left("SHOULD BE"),
        Column::left("BECAUSE"),
    ];
    render(
        &columns,
        points.iter().map(|point| {
            let says_why = matches!(point.verdict, Verdict::Different | Verdict::Optional);
            vec![
                point.id.to_owned(),
                point.verdict.word().to_owned(),
                point.found.clone(),
                if says_why {
                    point.wanted.to_owned()
                } else {
                    String::new()
                },
                if says_why { point.why.to_owned() } else { String::new() },
            ]
        }),
    )
}
