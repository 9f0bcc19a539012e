//! `copy`: copies committed backups to another store.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use clap::{ArgGroup, Args as ClapArgs};

use super::assemble::{layout, open_named_store, open_store, transfer_options};
use super::object_lock::ObjectLockArgs;
use super::start::worse;
use super::target::find;
use super::words::count;
use super::{Context, TransferArgs, help};
use crate::base::failure::{Failure, Kind, Result};
use crate::base::units::{format_bytes, format_duration};
use crate::catalog::manifest::State;
use crate::catalog::selection::Chosen;
use crate::config::{Flags, Secrets, first_problem, table};
use crate::ops::Run;
use crate::ops::copy::{CopyOptions, CopyOutcome, CopyTarget, copy, plan_copy, select};
use crate::ops::lock_until::{LockRequest, begin_in_one};
use crate::store::Store;
use crate::ui::escape::escape_text;

/// Copy committed backups to another store
///
/// The objects are copied byte for byte: nothing is compressed anew, and encrypted backups need no key. Everything that is
/// read is compared with the digests of the manifest, and a backup that is damaged is never committed at the target. Id,
/// name and time stay the same; the folders are those of the target's key template.
///
/// The target is an address, which is reached with this run's endpoint and credentials, or @PROFILE: the store of that
/// profile of the configuration file, with its own endpoint, credentials, key template, storage class and so on. Flags and
/// BACKUP_* variables on stores do not count for it.
///
/// A lock is a matter of the copy: it is asked for by the options here, or by the profile that the target is named by.
///
/// A backup that the target holds already is passed over, so a copy can be repeated. Another backup with the same id is
/// never overwritten. Partial backups are copied as they are. Objects without a manifest cannot be proved right and are
/// not copied.
#[derive(Clone, Debug, Default, ClapArgs)]
#[command(
    after_long_help = help::closing("copy"),
    group = ArgGroup::new("which").args(["backups", "all"]).required(true),
)]
pub struct Args {
    /// Ids, unique prefixes of such, latest, oldest, NAME@latest, or s3:// URLs or paths
    #[arg(value_name = "BACKUP")]
    pub backups: Vec<String>,

    /// Copy every backup that the target lacks, newest first; with --name or a profile, of that series
    #[arg(long)]
    pub all: bool,

    /// With --all, look at no more than the newest N of each series: what the target has pruned does not come back
    #[arg(long, value_name = "N", conflicts_with = "backups", value_parser = clap::value_parser!(u32).range(1..))]
    pub last: Option<u32>,

    /// Where to: s3://bucket/prefix, file:///folder, a folder, or @PROFILE
    #[arg(long, value_name = "STORE", required = true)]
    pub to: String,

    /// Show what would be done, without doing it
    #[arg(long, short = 'n')]
    pub dry_run: bool,

    /// How long to wait for another run of the same series at the target [default: 0s]
    #[arg(long, value_name = "DURATION", hide_short_help = true)]
    pub lock_timeout: Option<String>,

    #[allow(missing_docs)]
    #[command(flatten)]
    pub object_lock: ObjectLockArgs,

    #[allow(missing_docs)]
    #[command(flatten)]
    pub transfer: TransferArgs,
}

impl Args {
    /// These options as a layer of settings.
    #[must_use]
    pub fn flags(&self) -> Flags {
        Flags::default()
            .text(&table::LOCK_TIMEOUT, "--lock-timeout", self.lock_timeout.as_deref())
            .and(self.object_lock.flags())
            .and(self.transfer.flags())
    }
}

/// A backup that was asked for: how the user named it, and the store it is in, or why there is none.
struct Wanted {
    named: String,
    found: Result<(Arc<dyn Store>, Chosen)>,
}

/// What became of one backup.
struct Done {
    named: String,
    /// `None` if it was not tried, because a failure before it would have befallen it, too.
    result: Option<Result<CopyOutcome>>,
    took: Duration,
}

impl Done {
    fn outcome(&self) -> Option<&CopyOutcome> {
        self.result.as_ref()?.as_ref().ok()
    }

    /// Whether it failed in a way that is not about this backup but about a store.
    fn ends_all(&self) -> bool {
        let kinds = [Kind::Unreachable, Kind::Denied, Kind::NoSpace, Kind::Config];
        matches!(&self.result, Some(Err(failure)) if kinds.contains(&failure.kind()))
    }
}

/// Copies the backups.
///
/// # Errors
/// The failure of the one backup that was asked for; of several, the worst kind of all.
pub fn run(args: &Args, context: &Context) -> Result<()> {
    let run = context.run();
    let began = Instant::now();
    let (store, layout_there) = open_named_store(&args.to, context, &run)?;
    let target = CopyTarget {
        store,
        layout: layout_there,
    };
    let options = CopyOptions {
        transfer: transfer_options(&context.settings),
        lock: lock_of(args, context)?,
        lock_folder: context.settings.lock_folder.value.clone(),
        lock_timeout: context.settings.lock_timeout.value,
    };
    // Better now than after the first backup has been read.
    begin_in_one(target.store.as_ref(), options.lock.as_ref(), &run)?;
    context.listener.name_items("backups");
    let wanted = match args.all {
        true => all(args, context, &run)?,
        false => named(args, context, &run)?,
    };
    let planned = plan(wanted, &target, context, &run)?;
    let is_one = planned.len() == 1 && !args.all;
    let done = match args.dry_run {
        true => planned.into_iter().map(|(done, _)| done).collect(),
        false => copy_all(planned, &target, &options, is_one, context, &run)?,
    };
    context.listener.end();
    finish(done, args, &target, is_one, began.elapsed(), context)
}

/// How the copies are locked: as the command line says, else as the profile says that names the target. That of the run's
/// own profile is a matter of the store that backups are made in.
fn lock_of(args: &Args, context: &Context) -> Result<Option<LockRequest>> {
    match args.to.strip_prefix('@') {
        _ if args.object_lock.is_given() => context.settings.lock.request(),
        Some(profile) => {
            let settings = context.loaded.store_settings(profile, Secrets::Leave);
            settings.map_err(first_problem)?.lock.request()
        }
        None => Ok(None),
    }
}

/// The backups that were named, each once.
fn named(args: &Args, context: &Context, run: &Run) -> Result<Vec<Wanted>> {
    let mut seen = BTreeSet::new();
    let mut wanted = Vec::new();
    for text in &args.backups {
        let found = find(text, None, context, run).map(|target| (target.store, target.chosen));
        match &found {
            Ok((store, chosen)) if !seen.insert((store.url(), chosen.found.data_key.clone())) => continue,
            Err(failure) if failure.kind() == Kind::Interrupted => run.cancel.check()?,
            _ => {}
        }
        wanted.push(Wanted {
            named: text.clone(),
            found,
        });
    }
    Ok(wanted)
}

/// Every committed backup of the store, or of the series.
fn all(args: &Args, context: &Context, run: &Run) -> Result<Vec<Wanted>> {
    let store = open_store(&context.settings, run)?;
    let layout = layout(&context.settings, store.as_ref())?;
    let name = context.settings.name.value.as_deref();
    let last = args.last.map(|last| usize::try_from(last).unwrap_or(usize::MAX));
    let selection = select(&store, &layout, name, last, run)?;
    if selection.unmanaged > 0 {
        context.console.note(&format!(
            "{} no manifest and will not be copied.",
            count(selection.unmanaged, "object has", "objects have")
        ));
    }
    if selection.candidates.is_empty() {
        let of = name.map(|name| format!(" of `{name}`")).unwrap_or_default();
        context.console.note(&format!("No backups{of} in {}.", store.url()));
    }
    let candidates = selection.candidates.into_iter();
    Ok(candidates
        .map(|candidate| Wanted {
            named: candidate.id,
            found: candidate.chosen.map(|chosen| (store.clone(), chosen)),
        })
        .collect())
}

type Planned = (Done, Option<(Arc<dyn Store>, Chosen)>);

/// Looks at each on both sides; what fails here is told with the others at the end.
fn plan(wanted: Vec<Wanted>, target: &CopyTarget, context: &Context, run: &Run) -> Result<Vec<Planned>> {
    let mut planned: Vec<Planned> = Vec::new();
    for Wanted { named, found } in wanted {
        run.cancel.check()?;
        let is_over = planned
            .last()
            .is_some_and(|(done, _)| done.result.is_none() || done.ends_all());
        let (result, source) = match found {
            Ok((store, chosen)) => {
                let planned = (!is_over).then(|| plan_copy(&chosen, target, run));
                (planned, Some((store, chosen)))
            }
            Err(failure) => (Some(Err(failure)), None),
        };
        if let Some((_, chosen)) = &source
            && let Some(manifest) = chosen
                .manifest
                .as_ref()
                .filter(|manifest| manifest.state == State::Partial)
        {
            context.console.note(&format!(
                "`{}` is partial: it is copied without the items that could not be read when it was made.",
                manifest.id
            ));
        }
        let done = Done {
            named,
            result,
            took: Duration::ZERO,
        };
        planned.push((done, source));
    }
    run.cancel.check()?;
    let to_copy = planned
        .iter()
        .filter_map(|(done, _)| done.outcome())
        .filter(|outcome| !outcome.already_there);
    let (bytes, items) = to_copy.fold((0, 0), |(bytes, items), outcome| {
        (bytes + outcome.data_bytes, items + 1)
    });
    run.reporter.progress().set_totals(bytes, items);
    Ok(planned)
}

fn copy_all(
    planned: Vec<Planned>,
    target: &CopyTarget,
    options: &CopyOptions,
    is_one: bool,
    context: &Context,
    run: &Run,
) -> Result<Vec<Done>> {
    let mut all: Vec<Done> = Vec::new();
    for (mut done, source) in planned {
        if all.last().is_some_and(|done| done.result.is_none() || done.ends_all()) {
            done.result = None;
        }
        if let (Some(outcome), Some((store, chosen))) = (done.outcome(), &source)
            && !outcome.already_there
        {
            let began = Instant::now();
            run.reporter.progress().set_current(&outcome.id);
            let result = copy(store, chosen, target, options, run);
            done.took = began.elapsed();
            match &result {
                Ok(_) => run.reporter.progress().add_item(),
                Err(_) => run.reporter.progress().add_error(),
            }
            done.result = Some(match result {
                Err(failure) if failure.kind() == Kind::Interrupted => {
                    return Err(
                        failure.hint("What was copied before is committed at the target; run it again for the rest")
                    );
                }
                result => result,
            });
        }
        if let (Some(outcome), false) = (done.outcome(), is_one || context.console.is_json()) {
            context
                .console
                .summary(&escape_text(&line(outcome, false, done.took)))?;
        }
        all.push(done);
    }
    Ok(all)
}

/// One backup in a line.
fn line(outcome: &CopyOutcome, is_dry_run: bool, took: Duration) -> String {
    let size = format_bytes(outcome.data_bytes);
    match (outcome.already_there, is_dry_run) {
        (true, _) => format!("  {}  {size}, already there", outcome.id),
        (false, true) => format!("  {}  {size}, would be copied", outcome.id),
        (false, false) => format!("  {}  {size}, copied in {}", outcome.id, format_duration(took)),
    }
}

/// What to do when some were not copied: those that were are not copied again.
const AGAIN_HINT: &str = "Mend what is told above and run it again; what is there already is not copied again";

/// A failure that says what to do now, if nothing below has said it.
fn with_hint(failure: Failure) -> Failure {
    match failure.hints().is_empty() && failure.kind() != Kind::Interrupted {
        true => failure.hint("Nothing of it was kept at the target; mend the cause and run it again"),
        false => failure,
    }
}

/// Prints what was done, and makes one failure of all.
fn finish(
    done: Vec<Done>,
    args: &Args,
    target: &CopyTarget,
    is_one: bool,
    took: Duration,
    context: &Context,
) -> Result<()> {
    let console = &context.console;
    if console.is_json() {
        console.json_line(&summary_json(&done, args.dry_run, target, took))?;
    } else {
        print_summary(&done, args.dry_run, target, is_one, took, context)?;
    }
    let untried = done.iter().filter(|done| done.result.is_none()).count() as u64;
    let unlocked = done
        .iter()
        .filter_map(Done::outcome)
        .find_map(|outcome| Some((outcome.id.clone(), outcome.unlocked.clone()?)));
    let mut failures: Vec<Failure> = done.into_iter().filter_map(|done| done.result?.err()).collect();
    match (failures.pop(), is_one) {
        (None, _) => match unlocked {
            None => Ok(()),
            Some((id, why)) => Err(Failure::new(
                Kind::Incomplete,
                format!("The copy of `{id}` was made, but is not locked"),
            )
            .caused_by(anyhow::anyhow!("{why}"))
            .hint(
                "Look whether the target keeps object locks, and whether the credentials allow s3:PutObjectRetention",
            )),
        },
        (Some(failure), true) => Err(with_hint(failure)),
        (Some(failure), false) => {
            failures.push(failure);
            failures.iter().for_each(|failure| console.failure(failure));
            let kind = failures.iter().map(Failure::kind).reduce(worse).unwrap_or(Kind::Failed);
            let number = count(failures.len() as u64 + untried, "backup was", "backups were");
            let failure = Failure::new(kind, format!("{number} not copied to {}", target.store.url()));
            Err(match untried {
                0 => failure.hint(AGAIN_HINT),
                _ => failure.hint(format!(
                    "{} not tried after the last failure; run it again when its cause is mended",
                    count(untried, "of them was", "of them were")
                )),
            })
        }
    }
}

fn print_summary(
    done: &[Done],
    is_dry_run: bool,
    target: &CopyTarget,
    is_one: bool,
    took: Duration,
    context: &Context,
) -> Result<()> {
    let outcomes: Vec<&CopyOutcome> = done.iter().filter_map(Done::outcome).collect();
    let url = target.store.url();
    if is_dry_run {
        let mut text = format!("Would copy to {url}, but this is a dry run:\n");
        for outcome in &outcomes {
            text.push_str(&line(outcome, true, Duration::ZERO));
            text.push('\n');
        }
        return context.console.summary(&escape_text(&text));
    }
    let copied: Vec<&&CopyOutcome> = outcomes.iter().filter(|outcome| !outcome.already_there).collect();
    let text = match (outcomes.as_slice(), is_one) {
        ([], true) => return Ok(()),
        ([one], true) if one.already_there => format!("`{}` is already there: {url} holds it.", one.id),
        ([one], true) => format!(
            "Copied {} to {url} in {}.\n  {}, {}",
            one.id,
            format_duration(took),
            format_bytes(one.data_bytes),
            one.data_key
        ),
        _ => format!(
            "Copied {} of {} to {url} in {}; {} already there.",
            count(copied.len() as u64, "backup", "backups"),
            format_bytes(copied.iter().map(|outcome| outcome.data_bytes).sum()),
            format_duration(took),
            count((outcomes.len() - copied.len()) as u64, "was", "were")
        ),
    };
    context.console.summary(&escape_text(&text))
}

fn summary_json(done: &[Done], is_dry_run: bool, target: &CopyTarget, took: Duration) -> serde_json::Value {
    let (mut copied, mut already_there, mut failed, mut bytes) = (0, 0, 0, 0);
    let mut backups = Vec::new();
    for Done { named, result, took } in done {
        backups.push(match result {
            Some(Ok(outcome)) => {
                let state = match (outcome.already_there, is_dry_run) {
                    (true, _) => "already_there",
                    (false, true) => "would_copy",
                    (false, false) => "copied",
                };
                if outcome.already_there {
                    already_there += 1;
                } else {
                    copied += 1;
                    bytes += outcome.data_bytes;
                }
                serde_json::json!({
                    "snapshot_id": outcome.id,
                    "name": outcome.name,
                    "state": state,
                    "key": outcome.data_key,
                    "data_bytes": outcome.data_bytes,
                    "total_duration": took.as_secs_f64(),
                })
            }
            None => {
                failed += 1;
                serde_json::json!({ "snapshot_id": named, "state": "not_tried" })
            }
            Some(Err(failure)) => {
                failed += 1;
                serde_json::json!({
                    "snapshot_id": named,
                    "state": "failed",
                    "error": failure.message(),
                    "code": failure.kind().exit_code(),
                })
            }
        });
    }
    serde_json::json!({
        "message_type": "summary",
        "dry_run": is_dry_run,
        "store": target.store.url(),
        "copied": copied,
        "already_there": already_there,
        "error_count": failed,
        "bytes_copied": bytes,
        "backups": backups,
        "total_duration": took.as_secs_f64(),
    })
}
