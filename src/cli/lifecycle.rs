//! `lifecycle`: what the bucket does by itself as backups grow old.

use clap::{Args as ClapArgs, Subcommand};

use super::assemble::{of_first_store, s3_store};
use super::words::count;
use super::{Context, help};
use crate::base::failure::{Failure, Kind, Result};
use crate::bucket::{Bucket, Lifecycle, LifecycleRule};
use crate::config::settings::Settings;
use crate::config::{Flags, table};
use crate::ops::lifecycle::{
    Beside, Change, LifecyclePlan, Owner, Patience, Remarks, RuleChange, Step, Wanted, actions, carry_out, owner,
    plan_rules, read_rules, remarks, scope, sentence,
};
use crate::store::Store;
use crate::store::address::StoreAddress;
use crate::store::s3::S3Store;
use crate::ui::escape::escape_text;
use crate::ui::table::{Column, render};

mod bill;
mod documents;

use bill::estimate;
use documents::{ChangeDocument, Document, RuleDocument, ShowDocument, ShownRule, owner_word};

/// Let the bucket move backups to cheaper classes and remove them as they grow old
///
/// S3 does by itself, once a day, what the lifecycle rules of a bucket say. These commands write the rules for the prefix of
/// the store and leave those of others as they are, to the byte; ours are known by their names, backup-cli/…/PREFIX.
#[derive(Clone, Debug, ClapArgs)]
#[command(after_long_help = help::closing("lifecycle"), arg_required_else_help = true)]
pub struct Args {
    /// What to do.
    #[command(subcommand)]
    pub action: Action,
}

/// What to do with the rules.
// What stands above a variant would replace the help that its arguments bring along.
#[allow(missing_docs)]
#[derive(Clone, Debug, Subcommand)]
pub enum Action {
    Apply(ApplyArgs),
    Show(ShowArgs),
    Remove(RemoveArgs),
}

/// Write the rules that the settings ask for
///
/// Shows first what becomes of each rule, and asks on a terminal. Without settings there is one rule: unfinished uploads are
/// thrown away after 7 days. --transition and --delete-days, or the settings of the profile and the environment
/// (BACKUP_S3_GLACIER_DAYS, BACKUP_S3_DELETE_DAYS), add moves and removal. Where nothing is to be changed, nothing is written.
///
/// Objects of up to 1 MiB are never moved: manifests, which every listing reads, are no larger. Data above that is removed 2
/// days later than manifests: S3 counts from the beginning of an upload up to the next midnight UTC, a manifest is written at
/// its end, and so the manifest goes first, or in the same night, of every backup that took up to two days. Of one that took
/// longer, and of data up to 1 MiB that was begun before midnight and ended after it, the manifest can outlive the data for as
/// long as it took and at most for the days after which unfinished uploads are thrown away; to restore it then fails, and
/// nothing else. Of the bucket's rules, of `prune` and of the classes' least time of billing it is said where they contradict
/// each other.
///
/// S3 replaces all rules of a bucket at once, and has nothing against two who write at the same time: the rules are read once
/// more right before they are written, and compared right after. Permissions: s3:GetLifecycleConfiguration and
/// s3:PutLifecycleConfiguration; s3:GetBucketVersioning and s3:GetBucketObjectLockConfiguration for some of the warnings, and
/// s3:ListBucket for the estimate of what a month costs before and after, which is made as `backup-cli cost` makes it.
#[derive(Clone, Debug, Default, ClapArgs)]
#[command(after_long_help = help::closing("lifecycle apply"))]
pub struct ApplyArgs {
    /// Move data to a storage class after some days, such as 30:GLACIER_IR; may be repeated
    #[arg(long, value_name = "DAYS:CLASS")]
    pub transition: Vec<String>,

    /// Move data to GLACIER after so many days
    #[arg(long, value_name = "DAYS")]
    pub glacier_days: Option<String>,

    /// Remove backups after so many days, whether or not there are newer ones
    #[arg(long, value_name = "DAYS")]
    pub delete_days: Option<String>,

    /// In a bucket that keeps versions, remove for good what was removed so many days ago
    #[arg(long, value_name = "DAYS")]
    pub noncurrent_days: Option<String>,

    /// Throw unfinished uploads away after so many days [default: 7]
    #[arg(long, value_name = "DAYS")]
    pub abort_days: Option<String>,

    /// Take the prices for the estimate of the cost from this file
    #[arg(long, value_name = "FILE", value_hint = clap::ValueHint::FilePath)]
    pub prices: Option<std::path::PathBuf>,

    #[allow(missing_docs)]
    #[command(flatten)]
    pub going_ahead: GoingAhead,
}

/// Show all rules of the bucket
///
/// Ours and those of others, with what they are for and what they do. Permission: s3:GetLifecycleConfiguration.
#[derive(Clone, Debug, Default, ClapArgs)]
#[command(after_long_help = help::closing("lifecycle show"))]
pub struct ShowArgs {}

/// Remove the rules of this store
///
/// Those of others stay as they are; with the last one the bucket has no lifecycle any more. Unfinished uploads then stay
/// until `backup-cli cleanup`. Permissions: s3:GetLifecycleConfiguration and s3:PutLifecycleConfiguration.
#[derive(Clone, Debug, Default, ClapArgs)]
#[command(after_long_help = help::closing("lifecycle remove"))]
pub struct RemoveArgs {
    #[allow(missing_docs)]
    #[command(flatten)]
    pub going_ahead: GoingAhead,
}

/// Whether to go ahead.
#[derive(Clone, Copy, Debug, Default, ClapArgs)]
pub struct GoingAhead {
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
        let Action::Apply(apply) = &self.action else {
            return Flags::default();
        };
        let prices = apply.prices.as_ref().map(|path| path.to_string_lossy());
        Flags::default()
            .list(&table::LIFECYCLE_TRANSITIONS, "--transition", &apply.transition)
            .text(
                &table::LIFECYCLE_GLACIER_DAYS,
                "--glacier-days",
                apply.glacier_days.as_deref(),
            )
            .text(
                &table::LIFECYCLE_DELETE_DAYS,
                "--delete-days",
                apply.delete_days.as_deref(),
            )
            .text(
                &table::LIFECYCLE_NONCURRENT_DAYS,
                "--noncurrent-days",
                apply.noncurrent_days.as_deref(),
            )
            .text(
                &table::LIFECYCLE_ABORT_DAYS,
                "--abort-days",
                apply.abort_days.as_deref(),
            )
            .text(&table::PRICES, "--prices", prices.as_deref())
    }
}

/// Plans, asks and writes, or shows.
///
/// # Errors
/// [`Kind::Usage`] if the store is a folder; [`Kind::Config`] for rules that make no sense; [`Kind::Refused`] where the user
/// says no; those of [`carry_out`].
pub fn run(args: &Args, context: &Context) -> Result<()> {
    let place = Place::of(context)?;
    match &args.action {
        Action::Apply(apply) => {
            let wanted = wanted(place.settings)?.checked(place.store.provider().name == AMAZON)?;
            change(Some(&wanted), apply.going_ahead, &place, context)
        }
        Action::Show(_) => show(&place, context),
        Action::Remove(remove) => change(None, remove.going_ahead, &place, context),
    }
}

/// The name of Amazon's line in the table of providers.
const AMAZON: &str = "aws";

/// The bucket of the store, and what is under its prefix.
struct Place<'a> {
    settings: &'a Settings,
    store: S3Store,
    bucket: Bucket,
    folder: String,
    url: String,
}

impl<'a> Place<'a> {
    fn of(context: &'a Context) -> Result<Self> {
        let settings = of_first_store(&context.settings);
        let StoreAddress::S3 { bucket, prefix } = &settings.store.value else {
            return Err(Failure::new(
                Kind::Usage,
                format!("The store is no bucket, and has no lifecycle: {}", settings.store.value),
            )
            .hint("Name one with --store s3://BUCKET/PREFIX; in a folder `backup-cli prune` removes what is old"));
        };
        let store = s3_store(settings, bucket, prefix, &context.run(), |_| {})?;
        Ok(Self {
            settings,
            bucket: Bucket::of(&store),
            folder: match store.prefix() {
                "" => String::new(),
                prefix => format!("{prefix}/"),
            },
            url: store.url(),
            store,
        })
    }
}

/// What the settings ask for.
fn wanted(settings: &Settings) -> Result<Wanted> {
    // They have been read once by their shapes, which give better messages.
    let step = |text: &String| Step::parse(text).map_err(|why| Failure::new(Kind::Config, why));
    let days = |days: u64| u32::try_from(days).unwrap_or(u32::MAX);
    let mut steps: Vec<Step> = settings
        .lifecycle_transitions
        .value
        .iter()
        .map(step)
        .collect::<Result<_>>()?;
    steps.extend(settings.lifecycle_glacier_days.value.map(|after| Step {
        days: days(after),
        class: "GLACIER".to_owned(),
    }));
    // The same step from two places is one.
    steps.sort();
    steps.dedup();
    Ok(Wanted {
        steps,
        delete_days: settings.lifecycle_delete_days.value.map(days),
        noncurrent_days: settings.lifecycle_noncurrent_days.value.map(days),
        abort_days: days(settings.lifecycle_abort_days.value),
    })
}

fn change(wanted: Option<&Wanted>, going_ahead: GoingAhead, place: &Place<'_>, context: &Context) -> Result<()> {
    let run = context.run();
    let console = &context.console;
    let plan = plan_rules(read_rules(&place.bucket)?, wanted, &place.folder)?;
    let versioning = place.bucket.versioning();
    let cost = match plan.is_idle() {
        true => None,
        false => Some(estimate(&plan, &versioning, place, context, &run)?),
    };
    let mut remarks = match wanted {
        Some(wanted) => remarks(
            wanted,
            &plan.after.lifecycle(),
            &place.folder,
            &Beside {
                keep_days: context.settings.policy.days_max(),
                keeps_tagged: context.settings.policy.needs_tags(),
                starts_in: place.settings.storage_class.value.clone(),
                versioning,
                object_lock: place.bucket.object_lock(),
            },
        ),
        None => Remarks::default(),
    };
    place.bucket.check()?;
    context.listener.end();
    let cost = match cost {
        Some(Ok(estimate)) => Some(estimate),
        Some(Err(why)) => {
            remarks.notes.push(why);
            None
        }
        None => None,
    };
    let answer = |is_done| Document {
        bucket: place.bucket.name(),
        prefix: &place.folder,
        changed: is_done,
        changes: plan.changes.iter().map(ChangeDocument::of).collect(),
        warnings: &remarks.warnings,
        notes: &remarks.notes,
        cost: cost.as_ref(),
    };
    print_plan(&plan, &remarks, going_ahead.dry_run, place, context)?;
    if let Some(cost) = &cost {
        console.summary(&escape_text(cost.words()))?;
    }
    if going_ahead.dry_run || plan.is_idle() {
        return match console.is_json() {
            true => console.answer_json(&answer(false)),
            false => Ok(()),
        };
    }
    if !going_ahead.confirm {
        let question = format!(
            "The lifecycle rules of `s3://{}` will be written anew. Go ahead?",
            place.bucket.name()
        );
        if !console.confirm(&question, &context.cancel)? {
            return Err(Failure::new(Kind::Refused, "Not confirmed, so no rule was changed")
                .hint("Answer `y` to go ahead, or look first with --dry-run"));
        }
    }
    carry_out(&place.bucket, &plan, Patience::default(), &run)?;
    context.listener.end();
    if console.is_json() {
        console.answer_json(&answer(true))?;
    }
    console.summary(&escape_text(&match plan.leaves_nothing() {
        true => format!("The bucket `{}` has no lifecycle rules any more.", place.bucket.name()),
        false => format!(
            "The lifecycle rules of `{}` were written, and read back as they should be.",
            place.bucket.name()
        ),
    }))
}

fn print_plan(
    plan: &LifecyclePlan,
    remarks: &Remarks,
    is_dry_run: bool,
    place: &Place<'_>,
    context: &Context,
) -> Result<()> {
    let console = &context.console;
    for change in &plan.changes {
        console.summary(&escape_text(&told(change)))?;
    }
    if !console.is_json() {
        remarks.notes.iter().for_each(|note| console.note(note));
        remarks.warnings.iter().for_each(|warning| console.warning(warning));
    }
    if plan.is_idle() {
        let (ours, others) = (of_owner(plan, true), of_owner(plan, false));
        let others = match others {
            0 => "no others".to_owned(),
            others => format!("{others} of others"),
        };
        return console.summary(&escape_text(&match ours {
            0 => format!(
                "Nothing to change: there is none of ours for {}, and {others}.",
                place.url
            ),
            ours => format!(
                "Nothing to change: the rules are as they should be; {} for {}, and {others}.",
                count(ours, "rule", "rules"),
                place.url
            ),
        }));
    }
    let number = |change: Change| plan.changes.iter().filter(|other| other.change == change).count() as u64;
    let (verb, end) = match is_dry_run {
        true => ("would be", " This is a dry run, and nothing was written."),
        false => ("to be", ""),
    };
    console.summary(&format!(
        "{} {verb} added, {} changed, {} removed; {} stay as they are.{end}",
        count(number(Change::Added), "rule", "rules"),
        number(Change::Changed),
        number(Change::Removed),
        number(Change::Kept)
    ))
}

fn of_owner(plan: &LifecyclePlan, is_ours: bool) -> u64 {
    let belongs = |change: &&RuleChange| (change.owner == Owner::Ours) == is_ours;
    plan.changes.iter().filter(belongs).count() as u64
}

/// What becomes of a rule, on a line or two.
fn told(change: &RuleChange) -> String {
    let (id, says) = (change.id(), |rule: &Option<LifecycleRule>| {
        rule.as_ref().map_or_else(String::new, sentence)
    });
    match change.change {
        Change::Added => format!("add     {id}\n          {}", says(&change.after)),
        Change::Removed => format!("remove  {id}\n          {}", says(&change.before)),
        Change::Kept => format!("keep    {id}\n          {}", says(&change.after)),
        Change::Changed => format!(
            "change  {id}\n     from {}\n       to {}",
            says(&change.before),
            says(&change.after)
        ),
    }
}

fn show(place: &Place<'_>, context: &Context) -> Result<()> {
    let document = read_rules(&place.bucket)?;
    context.listener.end();
    let lifecycle = document
        .as_ref()
        .map(|document| document.lifecycle())
        .unwrap_or_default();
    let console = &context.console;
    if console.is_json() {
        let xml = document.iter().flat_map(|document| document.rule_texts());
        return console.answer_json(&ShowDocument {
            bucket: place.bucket.name(),
            prefix: &place.folder,
            spares_small_objects: lifecycle.spares_small_objects,
            rules: xml
                .map(|(rule, text)| ShownRule {
                    rule: RuleDocument::of(rule),
                    owner: owner_word(owner(rule, &place.folder)),
                    xml: text,
                })
                .collect(),
        });
    }
    if lifecycle.rules.is_empty() {
        return console.answer(&format!("The bucket `{}` has no lifecycle rules.", place.bucket.name()));
    }
    console.answer(&page(&lifecycle, &place.folder))
}

fn page(lifecycle: &Lifecycle, folder: &str) -> String {
    let columns = [
        Column::left("RULE"),
        Column::left("WHOSE"),
        Column::left("STATE"),
        Column::left("FOR"),
        Column::left("DOES"),
    ];
    render(
        &columns,
        lifecycle.rules.iter().map(|rule| {
            vec![
                rule.id.clone(),
                match owner(rule, folder) {
                    Owner::Ours => "ours",
                    Owner::OtherPrefix => "another store's",
                    Owner::Foreign => "others'",
                }
                .to_owned(),
                if rule.is_enabled { "on" } else { "off" }.to_owned(),
                scope(rule),
                actions(rule).join("; "),
            ]
        }),
    )
}
