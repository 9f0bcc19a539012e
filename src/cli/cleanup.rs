//! `cleanup`: takes away what runs left behind.

use clap::Args as ClapArgs;

use super::assemble::{layout, open_store};
use super::prune::{incomplete, print_retained};
use super::words::{count, time};
use super::{Context, help};
use crate::base::failure::{Failure, Kind, Result};
use crate::base::units::{format_bytes, format_duration};
use crate::config::{Flags, table};
use crate::ops::cleanup::{CleanupOptions, CleanupOutcome, CleanupPlan, cleanup, plan_cleanup};
use crate::ui::escape::escape_text;

/// A bound below this may hit a run that goes on, on this machine or another.
const BOUND_USUAL: std::time::Duration = std::time::Duration::from_secs(86_400);

/// Remove what interrupted runs left behind
///
/// Throws away unfinished uploads, whose parts cost money and are in no listing, and removes data, indexes and notes that
/// belong to no backup: of both only what is ours and older than --older-than. An upload is ours if its key is one that the
/// key template makes; an object, if it also carries the token of this tool. Objects of others are never touched.
///
/// A run that takes longer than --older-than would be hit: its upload would be thrown away, and it would fail. Every backup
/// does the part for the uploads of its own series by itself. Permissions: s3:ListBucket, s3:ListBucketMultipartUploads,
/// s3:AbortMultipartUpload, s3:GetObject, s3:DeleteObject.
#[derive(Clone, Debug, Default, ClapArgs)]
#[command(after_long_help = help::closing("cleanup"))]
pub struct Args {
    /// How old something must be to count as left behind [default: 7d]
    #[arg(long, value_name = "DURATION")]
    pub older_than: Option<String>,

    /// In a bucket that keeps versions, remove all versions of what is removed
    #[arg(long, hide_short_help = true)]
    pub purge_versions: bool,

    /// Show what would be done, without doing it
    #[arg(long, short = 'n')]
    pub dry_run: bool,

    /// Go ahead without asking
    #[arg(long, short = 'y', visible_alias = "yes")]
    pub confirm: bool,
}

impl Args {
    /// These options as a layer of settings.
    #[must_use]
    pub fn flags(&self) -> Flags {
        Flags::default()
            .text(&table::CLEANUP_OLDER_THAN, "--older-than", self.older_than.as_deref())
            .switch(
                &table::PURGE_VERSIONS,
                "--purge-versions",
                self.purge_versions.then_some(true),
            )
    }
}

/// Plans, asks and removes.
///
/// # Errors
/// [`Kind::Refused`] where a guard or the user says no; [`Kind::Incomplete`] if something could not be removed.
pub fn run(args: &Args, context: &Context) -> Result<()> {
    let run = context.run();
    let store = open_store(&context.settings, &run)?;
    let options = CleanupOptions {
        name: context.settings.name.value.clone(),
        layout: layout(&context.settings, store.as_ref())?,
        older_than: context.settings.cleanup_older_than.value,
        purge_versions: context.settings.purge_versions.value,
    };
    let mut plan = plan_cleanup(&store, &options, &run)?;
    context.listener.end();
    print_plan(&plan, &options, &store.url(), context)?;
    if args.dry_run || plan.is_idle() {
        return match context.console.is_json() {
            true => context.console.answer_json(&document(&plan, None)),
            false => Ok(()),
        };
    }
    if !args.confirm {
        let question = format!("{} will be removed from {}. Go ahead?", what_goes(&plan), store.url());
        if !context.console.confirm(&question, &context.cancel)? {
            return Err(Failure::new(Kind::Refused, "Not confirmed, so nothing was removed")
                .hint("Answer `y` to go ahead, or look first with --dry-run"));
        }
        // Time has passed; what was committed meanwhile stays.
        plan = plan.and(&plan_cleanup(&store, &options, &run)?);
    }
    let outcome = cleanup(&store, &plan, &options, &run)?;
    context.listener.end();
    if context.console.is_json() {
        context.console.answer_json(&document(&plan, Some(&outcome)))?;
    }
    context.console.summary(&format!(
        "Threw away {} and removed {}.",
        count(outcome.uploads, "unfinished upload", "unfinished uploads"),
        count(outcome.removal.leftovers.len() as u64, "leftover", "leftovers")
    ))?;
    print_retained(&outcome.removal, context);
    for (key, failure) in &outcome.failed_uploads {
        context.console.item_failed(key.as_str(), "cleanup", failure.message());
    }
    incomplete(&outcome.removal, 0, context)?;
    match outcome.is_complete() {
        true => Ok(()),
        false => {
            let failure = Failure::new(
                Kind::Incomplete,
                format!(
                    "{} not be thrown away",
                    count(outcome.failed_uploads.len() as u64, "upload could", "uploads could")
                ),
            );
            let first = outcome.failed_uploads.first();
            let hint = first.and_then(|(_, failure)| failure.hints().first()).cloned();
            let failure = hint.into_iter().fold(failure, Failure::hint);
            Err(failure.hint("Run it again, with credentials that may abort uploads"))
        }
    }
}

fn what_goes(plan: &CleanupPlan) -> String {
    format!(
        "{} and {}",
        count(plan.uploads.len() as u64, "unfinished upload", "unfinished uploads"),
        count(plan.leftovers.len() as u64, "leftover", "leftovers")
    )
}

fn print_plan(plan: &CleanupPlan, options: &CleanupOptions, url: &str, context: &Context) -> Result<()> {
    let console = &context.console;
    if options.older_than < BOUND_USUAL {
        console.warning(&format!(
            "What is older than {} is taken for left behind: a run that goes on, here or on another machine, may be hit.",
            format_duration(options.older_than)
        ));
    }
    for upload in &plan.uploads {
        let begun = upload.initiated.map(time).unwrap_or_default();
        console.summary(&escape_text(&format!("upload   {}  begun {begun}", upload.key)))?;
    }
    for leftover in &plan.leftovers {
        let since = leftover.modified.map(time).unwrap_or_default();
        console.summary(&escape_text(&format!(
            "objects  {}  {} of {}, since {since}",
            leftover.data_key(),
            count(leftover.count as u64, "object", "objects"),
            format_bytes(leftover.bytes)
        )))?;
    }
    if let Some(why) = &plan.uploads_unknown {
        console.note(&format!("Unfinished uploads could not be looked for: {why}."));
    }
    for (number, one, many) in [
        (
            plan.young_uploads,
            "unfinished upload is younger and stays",
            "unfinished uploads are younger and stay",
        ),
        (
            plan.foreign_uploads,
            "unfinished upload is not ours and stays",
            "unfinished uploads are not ours and stay",
        ),
    ] {
        if number > 0 {
            console.note(&format!("{}.", count(number, one, many)));
        }
    }
    if plan.unmanaged > 0 {
        console.note(&format!(
            "{}: too young, or not ours.",
            count(
                plan.unmanaged,
                "data object has no manifest and stays",
                "data objects have no manifest and stay"
            )
        ));
    }
    match plan.is_idle() {
        true if plan.young_uploads + plan.foreign_uploads + plan.unmanaged > 0 => {
            console.summary(&escape_text(&format!("Nothing is to be removed from {url} now.")))
        }
        true => console.summary(&escape_text(&format!("Nothing was left behind in {url}."))),
        false => Ok(()),
    }
}

fn document(plan: &CleanupPlan, outcome: Option<&CleanupOutcome>) -> serde_json::Value {
    let uploads: Vec<_> = plan
        .uploads
        .iter()
        .map(|upload| serde_json::json!({ "key": upload.key, "upload_id": upload.upload_id, "initiated": upload.initiated }))
        .collect();
    let leftovers: Vec<_> = plan
        .leftovers
        .iter()
        .map(|leftover| {
            serde_json::json!({
                "key": leftover.data_key(),
                "objects": leftover.count,
                "bytes": leftover.bytes,
                "modified": leftover.modified,
            })
        })
        .collect();
    serde_json::json!({
        "uploads": uploads,
        "leftovers": leftovers,
        "uploads_aborted": outcome.map(|outcome| outcome.uploads),
        "leftovers_removed": outcome.map(|outcome| outcome.removal.leftovers.len()),
        "dry_run": outcome.is_none(),
    })
}
