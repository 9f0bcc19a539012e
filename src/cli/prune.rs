//! `prune`: removes what the policy does not keep.

use std::sync::Arc;

use clap::Args as ClapArgs;
use serde::ser::SerializeMap as _;
use serde::{Serialize, Serializer};

use super::assemble::{layout, open_store};
use super::retention::RetentionArgs;
use super::words::{count, time};
use super::{Context, help};
use crate::base::failure::{Failure, Kind, Result};
use crate::base::units::format_bytes;
use crate::config::{Flags, Settings, table};
use crate::ops::Run;
use crate::ops::prune::{LEFTOVERS_HINT, Planned, PruneOptions, PrunePlan, Removal, SeriesPlan, plan_prune, prune};
use crate::store::Store;
use crate::ui::escape::escape_text;
use crate::ui::table::{Column, render_long};

/// How many objects that could not be removed are named.
const FAILURES_SHOWN: usize = 20;

/// Remove the backups that the rules do not keep
///
/// Shows first, of every backup, what becomes of it and why, and asks on a terminal. Each series is judged by itself; what
/// any rule keeps is kept. The rules are restic's: the newest backup of each period is kept, periods without backups use
/// up nothing, the oldest backup is kept while a count lasts, and one backup may use up several counts. Spans and
/// --retention-days count from the newest backup of the series, so that an outage removes nothing. Times are UTC. Rules of
/// the command line stand beside those of the profile and the environment (BACKUP_S3_RETENTION_DAYS).
///
/// Only complete backups count. Partial and flagged ones are judged by the same rules among themselves, so that they never push
/// out a good one; nothing older goes while the newest of a series is flagged. Those in which `verify` found damage are judged
/// among themselves, too, and count for nothing. Always kept are the newest --min-keep complete ones, pinned ones, what is
/// dated in the future or was begun within the last 10 minutes, what cannot be read (its manifest damaged, objects missing, or
/// of a newer version), and objects without a manifest. Nothing at all is removed if the store cannot be listed as a whole, or
/// if its clock is more than 5 minutes from this machine's.
///
/// In a bucket that keeps versions, what is removed is only hidden, and goes on costing money, without --purge-versions.
/// Objects that are locked are retained and named. Permissions: s3:ListBucket, s3:GetObject, s3:DeleteObject, and with
/// --purge-versions s3:ListBucketVersions, s3:DeleteObjectVersion and s3:GetObjectRetention.
#[derive(Clone, Debug, Default, ClapArgs)]
#[command(after_long_help = help::closing("prune"))]
pub struct Args {
    #[allow(missing_docs)]
    #[command(flatten)]
    pub retention: RetentionArgs,

    /// Show what would be done, without doing it
    #[arg(long, short = 'n')]
    pub dry_run: bool,

    /// Go ahead without asking
    #[arg(long, short = 'y', visible_alias = "yes")]
    pub confirm: bool,

    /// How long to wait for another run of the same series [default: 0s]
    #[arg(long, value_name = "DURATION", hide_short_help = true)]
    pub lock_timeout: Option<String>,
}

impl Args {
    /// These options as a layer of settings.
    #[must_use]
    pub fn flags(&self) -> Flags {
        Flags::default()
            .text(&table::LOCK_TIMEOUT, "--lock-timeout", self.lock_timeout.as_deref())
            .and(self.retention.flags())
    }
}

/// How a series, or every series, of a store is pruned.
///
/// # Errors
/// [`Kind::Config`] if the layout of the keys makes no sense.
pub fn prune_options(settings: &Settings, store: &dyn Store, name: Option<String>) -> Result<PruneOptions> {
    Ok(PruneOptions {
        name,
        layout: layout(settings, store)?,
        policy: settings.policy.clone(),
        keep_min: settings.min_keep.value,
        purge_versions: settings.purge_versions.value,
        leftovers_older_than: settings.cleanup_older_than.value,
        lock_folder: settings.lock_folder.value.clone(),
        lock_timeout: settings.lock_timeout.value,
    })
}

/// Plans, asks and removes.
///
/// # Errors
/// [`Kind::Usage`] without a rule; [`Kind::Refused`] where a guard or the user says no; [`Kind::Incomplete`] if something
/// could not be removed.
pub fn run(args: &Args, context: &Context) -> Result<()> {
    let run = context.run();
    let store = open_store(&context.settings, &run)?;
    let options = prune_options(&context.settings, store.as_ref(), context.settings.name.value.clone())?;
    let mut plan = plan_prune(&store, &options, &run)?;
    context.listener.end();
    print_plan(&plan, &options, args.dry_run, &store.url(), context)?;
    if args.dry_run || plan.is_idle() {
        if context.console.is_json() {
            context.console.answer_json_streamed(&Groups {
                plan: &plan,
                removal: None,
            })?;
        }
        return unread(&plan);
    }
    if !args.confirm {
        let question = format!(
            "{} of {} will be removed for good from {}. Go ahead?",
            what_goes(&plan),
            format_bytes(plan.removal_bytes()),
            store.url()
        );
        if !context.console.confirm(&question, &context.cancel)? {
            return Err(Failure::new(Kind::Refused, "Not confirmed, so nothing was removed")
                .hint("Answer `y` to go ahead, or look first with --dry-run"));
        }
        // Time has passed; what somebody pinned meanwhile stays.
        plan = plan.and(&plan_prune(&store, &options, &run)?);
    }
    let removal = prune(&store, &plan, &options, &run)?;
    context.listener.end();
    if context.console.is_json() {
        context.console.answer_json_streamed(&Groups {
            plan: &plan,
            removal: Some(&removal),
        })?;
    }
    finish(&removal, &plan, &options, &store, context)?;
    unread(&plan)
}

/// What could not be looked at makes the run incomplete, whatever else it did: rules that nobody can apply keep everything.
fn unread(plan: &PrunePlan) -> Result<()> {
    let Some(unread) = &plan.unread else {
        return Ok(());
    };
    let failure = Failure::new(
        Kind::Incomplete,
        format!(
            "{} not be looked at, and so nothing of it is removed",
            count(unread.count, "backup could", "backups could")
        ),
    )
    .caused_by(anyhow::anyhow!("{}", unread.why));
    Err(match &unread.hint {
        Some(hint) => failure.hint(hint.clone()),
        None => failure.hint("Run it again; `backup-cli verify` tells whether the manifest can be read"),
    })
}

/// Prunes the series of a backup that was just made.
///
/// # Errors
/// As [`run`].
pub fn after_backup(store: &Arc<dyn Store>, options: &PruneOptions, context: &Context, run: &Run) -> Result<()> {
    let plan = plan_prune(store, options, run)?;
    if plan.is_idle() {
        return unread(&plan);
    }
    let removal = prune(store, &plan, options, run)?;
    finish(&removal, &plan, options, store, context)?;
    unread(&plan)
}

fn what_goes(plan: &PrunePlan) -> String {
    let backups = count(plan.removal_count() as u64, "backup", "backups");
    match plan.leftovers.len() as u64 {
        0 => backups,
        leftovers => format!(
            "{backups} and {}",
            count(leftovers, "leftover of an earlier run", "leftovers of earlier runs")
        ),
    }
}

fn print_plan(plan: &PrunePlan, options: &PruneOptions, is_dry_run: bool, url: &str, context: &Context) -> Result<()> {
    let console = &context.console;
    if plan.series.is_empty() && plan.leftovers.is_empty() {
        let of = options
            .name
            .as_ref()
            .map(|name| format!(" of `{name}`"))
            .unwrap_or_default();
        return console.summary(&escape_text(&format!("No backups{of} in {url}.")));
    }
    console.summary(&escape_text(&format!("Kept by: {}", options.policy)))?;
    for series in &plan.series {
        print_series(series, context)?;
    }
    for leftover in &plan.leftovers {
        console.summary(&escape_text(&format!(
            "remove  {}  left behind by an earlier run: {} of {}",
            leftover.data_key(),
            count(leftover.count as u64, "object", "objects"),
            format_bytes(leftover.bytes)
        )))?;
    }
    if plan.unmanaged > 0 {
        console.note(&format!(
            "{} no manifest and {} not touched.",
            count(plan.unmanaged, "object has", "objects have"),
            if plan.unmanaged == 1 { "is" } else { "are" }
        ));
    }
    if plan.keeps_versions && !options.purge_versions && plan.removal_count() > 0 {
        console.note(
            "The bucket keeps versions: what is removed is only hidden and goes on costing money. --purge-versions removes all versions of it.",
        );
    }
    let kept: usize = plan.series.iter().map(|series| series.backups.len()).sum::<usize>() - plan.removal_count();
    let verb = if is_dry_run {
        "would be removed, but this is a dry run"
    } else {
        "to be removed"
    };
    let locked = match plan.locked_count() as u64 {
        0 => String::new(),
        1 => " 1 of these is locked, and stays until its lock ends.".to_owned(),
        locked => format!(" {locked} of these are locked, and stay until their locks end."),
    };
    console.summary(&format!(
        "{} kept; {} of {} {verb}.{locked}",
        count(kept as u64, "backup is", "backups are"),
        what_goes(plan),
        format_bytes(plan.removal_bytes())
    ))
}

fn print_series(series: &SeriesPlan, context: &Context) -> Result<()> {
    let columns = [
        Column::left(""),
        Column::left("ID"),
        Column::left("TIME"),
        Column::right("STORED"),
        Column::left("WHY"),
    ];
    let cells = |backup: &Planned| {
        let verb = if backup.decision.keep { "keep" } else { "remove" };
        vec![
            verb.to_owned(),
            backup.id.clone(),
            time(backup.time),
            format_bytes(backup.bytes),
            reasons(backup)
                .into_iter()
                .chain(locked(backup))
                .collect::<Vec<_>>()
                .join(", "),
        ]
    };
    render_long(&columns, &series.backups, cells, |piece| context.console.summary(piece))
}

/// That it cannot go yet; nothing of what is kept anyway.
fn locked(backup: &Planned) -> Option<String> {
    backup.retained.map(|retained| match retained.until {
        Some(until) => format!("locked until {}", time(until)),
        None => "locked".to_owned(),
    })
}

/// The reasons in the words of people: backups are no snapshots here.
fn reasons(backup: &Planned) -> Vec<String> {
    let words = backup.decision.reasons.iter().map(ToString::to_string);
    words
        .map(|word| match word.strip_suffix(" snapshot") {
            Some(rule) => rule.to_owned(),
            None => word,
        })
        .collect()
}

/// The plan, and what was done, in the shape of restic's `forget`; written as it comes to be.
struct Groups<'a> {
    plan: &'a PrunePlan,
    removal: Option<&'a Removal>,
}

impl Serialize for Groups<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.plan.series.iter().map(|series| Group {
            series,
            removal: self.removal,
        }))
    }
}

/// One series of [`Groups`].
struct Group<'a> {
    series: &'a SeriesPlan,
    removal: Option<&'a Removal>,
}

impl Group<'_> {
    fn snapshot(&self, backup: &Planned) -> serde_json::Value {
        let mut snapshot = serde_json::json!({
            "id": backup.id,
            "short_id": backup.id,
            "time": backup.time,
            "name": self.series.name,
            "hostname": backup.host,
            "tags": backup.tags,
            "stored_bytes": backup.bytes,
        });
        if let Some(retained) = backup.retained {
            snapshot["locked"] = true.into();
            snapshot["locked_until"] = serde_json::json!(retained.until);
        }
        snapshot
    }

    fn told(&self, backup: &Planned) -> serde_json::Value {
        let words: Vec<String> = backup.decision.reasons.iter().map(ToString::to_string).collect();
        serde_json::json!({ "snapshot": self.snapshot(backup), "matches": words })
    }
}

impl Serialize for Group<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let kept = || self.series.backups.iter().filter(|backup| backup.decision.keep);
        let gone = || self.series.removals();
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("name", &self.series.name)?;
        map.serialize_entry("tags", &())?;
        map.serialize_entry("host", "")?;
        map.serialize_entry("paths", &())?;
        map.serialize_entry("keep", &Lazy(|| kept().map(|backup| self.snapshot(backup))))?;
        map.serialize_entry("remove", &Lazy(|| gone().map(|backup| self.snapshot(backup))))?;
        map.serialize_entry("reasons", &Lazy(|| kept().map(|backup| self.told(backup))))?;
        map.serialize_entry("remove_reasons", &Lazy(|| gone().map(|backup| self.told(backup))))?;
        if let Some(removal) = self.removal {
            let removed = || gone().filter(|backup| removal.removed.contains(backup.data_key()));
            map.serialize_entry("removed", &Lazy(|| removed().map(|backup| backup.id.as_str())))?;
        }
        map.end()
    }
}

/// An array whose items are made one after the other.
struct Lazy<F>(F);

impl<F: Fn() -> I, I: Iterator<Item: Serialize>> Serialize for Lazy<F> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq((self.0)())
    }
}

/// Says what was done; what was not makes the run incomplete.
fn finish(
    removal: &Removal,
    plan: &PrunePlan,
    options: &PruneOptions,
    store: &Arc<dyn Store>,
    context: &Context,
) -> Result<()> {
    let console = &context.console;
    let mut text = format!(
        "Removed {} of {} from {}.",
        count(removal.removed.len() as u64, "backup", "backups"),
        format_bytes(removal.backups_bytes),
        store.url()
    );
    if !removal.leftovers.is_empty() {
        text.push_str(&format!(
            " Took away {}.",
            count(
                removal.leftovers.len() as u64,
                "leftover of an earlier run",
                "leftovers of earlier runs"
            )
        ));
    }
    match removal.unlisted.len() as u64 {
        0 => {}
        1 => text.push_str(" 1 more is in no list any more, and something of it could not be removed."),
        more => text.push_str(&format!(
            " {more} more are in no list any more, and something of them could not be removed."
        )),
    }
    console.summary(&escape_text(&text))?;
    print_retained(removal, context);
    if removal.covered > 0 && !options.purge_versions {
        console.note(&format!(
            "The bucket keeps versions: {} only hidden and still cost money. A rule of the bucket on noncurrent versions removes them; with --purge-versions the versions go together with what is removed.",
            count(removal.covered, "object is", "objects are")
        ));
    }
    let left = plan.removal_count() - removal.removed.len().min(plan.removal_count());
    incomplete(removal, left, context)
}

/// Says which objects are locked, and until when.
pub fn print_retained(removal: &Removal, context: &Context) {
    for (key, retained) in &removal.retained {
        let until = match retained.until {
            Some(until) => format!("until {}", time(until)),
            None => "by a lock or a legal hold".to_owned(),
        };
        context.console.note(&format!("`{key}` is retained {until}."));
    }
}

/// One failure of all that could not be removed.
///
/// # Errors
/// [`Kind::Incomplete`], or [`Kind::Locked`] if nothing but locks was in the way.
pub fn incomplete(removal: &Removal, backups_left: usize, context: &Context) -> Result<()> {
    for (name, backups, failure) in &removal.skipped {
        context.console.warning(&format!(
            "{} of `{name}` {} not removed: {}.",
            count(*backups as u64, "backup", "backups"),
            if *backups == 1 { "was" } else { "were" },
            failure.message()
        ));
    }
    for (key, failure) in removal.failed.iter().take(FAILURES_SHOWN) {
        let cause = failure
            .causes()
            .into_iter()
            .next()
            .map(|cause| format!(": {cause}"))
            .unwrap_or_default();
        context
            .console
            .item_failed(key.as_str(), "prune", &format!("{}{cause}", failure.message()));
    }
    if removal.is_complete() {
        return Ok(());
    }
    let kind = match removal.failed.is_empty() {
        true => Kind::Locked,
        false => Kind::Incomplete,
    };
    let mut failure = Failure::new(
        kind,
        match removal.failed.len() {
            0 => format!(
                "{} not removed",
                count(backups_left as u64, "backup was", "backups were")
            ),
            failed => format!(
                "{} not be removed",
                count(failed as u64, "object could", "objects could")
            ),
        },
    );
    if let Some(hint) = removal.failed.first().and_then(|(_, failure)| failure.hints().first()) {
        failure = failure.hint(hint.clone());
    }
    Err(match removal.unlisted.is_empty() {
        true => failure.hint("Run it again for the rest"),
        false => failure.hint(LEFTOVERS_HINT),
    })
}
