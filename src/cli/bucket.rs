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
use crate::ops::bucket_check::{Point, Verdict, check_bucket};
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
    /// s3:GetBucketPolicy; what may not be read is said. What is a choice, such as object lock, is shown and is no difference.
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
    points: &'a [Point],
}

/// Does it.
///
/// # Errors
/// [`Kind::Failed`] if the bucket differs; [`Kind::Incomplete`] if a question failed; [`Kind::Usage`] if the store is a folder.
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
    let different = points
        .iter()
        .filter(|point| point.verdict == Verdict::Different)
        .count();
    let console = &context.console;
    match console.is_json() {
        true => console.answer_json(&Document {
            bucket,
            different,
            points: &points,
        })?,
        false => console.answer(&page(&points))?,
    }
    match different {
        0 => all_answered(&points, bucket),
        different => Err(Failure::new(
            Kind::Failed,
            format!(
                "The bucket `{bucket}` differs in {}",
                count(different as u64, "point", "points")
            ),
        )
        .hint("`backup-cli bucket create --dry-run` shows what it would change, and without --dry-run changes it; rules on old versions and unfinished uploads are those of the bucket's lifecycle")),
    }
}

/// What could not be asked is not right.
fn all_answered(points: &[Point], bucket: &str) -> Result<()> {
    let unanswered: Vec<&Point> = points.iter().filter(|point| point.is_unanswered).collect();
    if unanswered.is_empty() {
        return Ok(());
    }
    let names: Vec<&str> = unanswered.iter().map(|point| point.id).collect();
    let mut failure = Failure::new(
        Kind::Incomplete,
        format!("The bucket `{bucket}` could not be compared in: {}", names.join(", ")),
    );
    for point in unanswered {
        failure = failure.hint(format!("`{}`: {}", point.id, point.found));
    }
    Err(failure.hint("Run it again when the server answers"))
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
