//! `bucket`: the bucket itself, apart from the backups in it.

use clap::{Args as ClapArgs, Subcommand};
use serde::Serialize;

use super::assemble::{of_first_store, s3_store};
use super::words::count;
use super::{Context, help};
use crate::base::failure::{Failure, Kind, Result};
use crate::bucket::Bucket;
use crate::ops::bucket_check::{Point, Verdict, check_bucket};
use crate::store::Store;
use crate::store::address::StoreAddress;
use crate::ui::table::{Column, render};

/// Look at the bucket of the store
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
/// [`Kind::Failed`] if the bucket differs; [`Kind::Usage`] if the store is a folder.
pub fn run(args: &Args, context: &Context) -> Result<()> {
    match args.action {
        Action::Check => check(context),
    }
}

fn check(context: &Context) -> Result<()> {
    let settings = of_first_store(&context.settings);
    let run = context.run();
    let StoreAddress::S3 { bucket, prefix } = &settings.store.value else {
        return Err(
            Failure::new(Kind::Usage, format!("The store is no bucket: {}", settings.store.value))
                .hint("Name one with --store s3://BUCKET/PREFIX; `backup-cli doctor` looks at a folder"),
        );
    };
    let store = s3_store(settings, bucket, prefix, &run, |_| {})?;
    let folder = match store.prefix() {
        "" => String::new(),
        prefix => format!("{prefix}/"),
    };
    let points = check_bucket(&Bucket::of(&store), &folder)?;
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
        0 => Ok(()),
        different => Err(Failure::new(
            Kind::Failed,
            format!(
                "The bucket `{bucket}` differs in {}",
                count(different as u64, "point", "points")
            ),
        )
        .hint("Change what the table calls different in the provider's console, or with `aws s3api`")),
    }
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
