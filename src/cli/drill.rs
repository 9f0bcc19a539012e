//! `verify --restore`: proves backups by restoring them into scratch targets.

use std::path::PathBuf;

use clap::Args as ClapArgs;

use super::Context;
use super::assemble::{is_postgres, layout};
use super::databases::mysql_url;
use super::metrics::tell;
use super::start::worse;
use super::target::{Target, find_even_damaged, warn_if_flagged};
use super::verified::tell_remembered;
use super::words::{count, lines};
use crate::base::failure::{Failure, Kind, Result};
use crate::base::secret::redact;
use crate::base::units::{format_bytes, format_duration};
use crate::catalog::manifest::Counts;
use crate::config::{Flags, table};
use crate::ops::Run;
use crate::ops::drill::check::{Check, CheckOutcome, Open};
use crate::ops::drill::compare::{Against, Compared};
use crate::ops::drill::{DrillBody, DrillOptions, DrillPlaces, DrillReport, drill, write_evidence};
use crate::ops::metrics::Told;
use crate::ops::verify::{Level, VerifyOptions, count_damaged, find_all, remember_drill};
use crate::source::mysql::MysqlUrl;
use crate::source::postgres::PostgresUrl;
use crate::store::Key;
use crate::ui::escape::escape_text;

/// How many differences a message names; the evidence has more.
const NAMED_MAX: usize = 10;

/// The options of drills.
#[derive(Clone, Debug, Default, ClapArgs)]
#[command(next_help_heading = "Drills")]
pub struct DrillArgs {
    /// Prove the backup by a restore into a scratch target, which is removed again [default backup: latest]
    ///
    /// A dump goes into a database with a name of its own on the server that --to names, never into one that exists; files
    /// go into a temporary folder, an SQLite database into a temporary file. Tables and rows, or files with their sizes,
    /// times and contents, are compared with what was recorded when the backup was made, and the checks of the profile must
    /// hold: a question is answered by one field of one row. The result is kept beside the backup, and `list` and `show` tell
    /// it. A backup that is not as it should be is damage (20), which only a drill takes back that restores, compares and asks
    /// as much (or has --withdraw-checks, where a check itself was wrong). A scratch server that fails, or a question that it does not take, is none (1), and neither is a check that does
    /// not go with what the backup holds and so is not made (3).
    ///
    /// A dump is run with the rights of the role that --to names: give it one that may create databases, and no more. What a
    /// dump of one database never has (roles, settings of the server, other databases, files and programs of the server) is
    /// refused (21), as by `restore`, but a function in a dump can do whatever its role may.
    #[arg(long, conflicts_with_all = ["all", "level", "sample", "max_age", "min_size", "max_shrink"])]
    pub restore: bool,

    /// Where scratch targets are made: postgres://admin@host/, mysql://…/, or a folder; may be repeated
    #[arg(long, value_name = "TARGET", requires = "restore")]
    pub to: Vec<String>,

    /// What must hold, beside the profile's checks: a question such as "select count(*) > 0 from users", or a path
    #[arg(long, value_name = "CHECK", requires = "restore")]
    pub check: Vec<String>,

    /// Checks of earlier drills that this one does not make were wrong: if it passes, what they found counts no more
    #[arg(long, requires = "restore")]
    pub withdraw_checks: bool,

    /// Leave the scratch target where it is, to look at it
    #[arg(long, requires = "restore")]
    pub keep: bool,

    /// Write metrics of the verification for Prometheus into this file, beside what others have written there
    #[arg(long, value_name = "FILE", value_hint = clap::ValueHint::FilePath)]
    pub metrics_file: Option<PathBuf>,
}

impl DrillArgs {
    /// These options as a layer of settings.
    #[must_use]
    pub fn flags(&self) -> Flags {
        let metrics = self.metrics_file.as_ref().map(|path| path.to_string_lossy());
        Flags::default().list(&table::DRILL_TO, "--to", &self.to).text(
            &table::METRICS_FILE,
            "--metrics-file",
            metrics.as_deref(),
        )
    }
}

/// Makes a drill of each backup that is named, or else of the newest one.
///
/// # Errors
/// [`Kind::Damaged`] if a backup has not proved good; else the worst of what kept others from being proved.
pub fn run(backups: &[String], args: &DrillArgs, context: &Context) -> Result<()> {
    let run = context.run();
    let latest = ["latest".to_owned()];
    let backups = if backups.is_empty() { &latest } else { backups };
    let mut last: Option<Failure> = None;
    for text in backups {
        let Err(failure) = one(text, args, context, &run) else {
            continue;
        };
        if failure.kind() == Kind::Interrupted {
            return Err(failure);
        }
        // The last failure is printed by whoever called, under the kind of the worst.
        if let Some(before) = last.take() {
            context.console.failure(&before);
            let kind = worse(before.kind(), failure.kind());
            last = Some(failure.with_kind(kind));
        } else {
            last = Some(failure);
        }
    }
    last.map_or(Ok(()), Err)
}

fn one(text: &str, args: &DrillArgs, context: &Context, run: &Run) -> Result<()> {
    let target = find_even_damaged(text, context, run)?;
    let name = target.chosen.name().to_owned();
    let outcome = prove(&target, args, context, run);
    let is_good = outcome.is_ok();
    if !matches!(&outcome, Err(failure) if matches!(failure.kind(), Kind::Usage | Kind::Config)) {
        let told = Told::Verify {
            is_good,
            is_drill: true,
            damaged: damaged_of(&target, &name, context, run),
        };
        tell(context, &name, told);
    }
    outcome
}

/// How many backups of the series are known to be damaged, for the metrics; unknown to whoever may not list.
fn damaged_of(target: &Target, name: &str, context: &Context, run: &Run) -> Option<u64> {
    context.settings.metrics_file.value.as_ref()?;
    let layout = layout(&context.settings, target.store.as_ref()).ok()?;
    let found = find_all(&target.store, &layout, Some(name), run).ok()?;
    Some(count_damaged(&found, name))
}

fn prove(target: &Target, args: &DrillArgs, context: &Context, run: &Run) -> Result<()> {
    warn_if_flagged(&target.store, &target.chosen, context, run)?;
    let options = options(args, context)?;
    let report =
        drill(&target.store, target.chosen.clone(), &options, run).map_err(|failure| match failure.kind() {
            Kind::Interrupted => failure,
            _ => failure.context(format!("The drill of `{}` could not be made", target.chosen.found.id)),
        })?;
    context.listener.end();
    report
        .warnings
        .iter()
        .for_each(|warning| context.console.warning(warning));
    let host = &context.settings.host.value;
    let evidence = match write_evidence(&target.store, &target.chosen, &report, host, run) {
        Ok(key) => key,
        Err(failure) => {
            let hint = failure.hints().first().map(|hint| format!(" {hint}."));
            context.console.warning(&format!(
                "The evidence of the drill could not be stored: {}.{}",
                failure.in_one_line(),
                hint.unwrap_or_default()
            ));
            None
        }
    };
    let look = VerifyOptions {
        level: Level::Deep,
        sample: None,
        client_folder: options.pg_client_folder.clone(),
        threads: options.threads,
    };
    let remembered = remember_drill(&target.store, &target.chosen, &report, &look, host, run);
    context.listener.end();
    tell_remembered(&target.chosen.found.id, remembered, context)?;
    print(&report, target, evidence.as_ref(), context)?;
    match (report.is_damaged(), report.passed()) {
        (true, _) => Err(failed(&report, &target.chosen.found.id)),
        (false, true) => Ok(()),
        (false, false) => Err(incomplete(&report, &target.chosen.found.id)),
    }
}

fn options(args: &DrillArgs, context: &Context) -> Result<DrillOptions> {
    let settings = &context.settings;
    let mut places = DrillPlaces::default();
    for place in settings.drill_to.iter() {
        let is_second = if is_postgres(place) {
            places.postgres.replace(PostgresUrl::parse(place)?).is_some()
        } else if MysqlUrl::is_one(place) {
            places.mysql.replace(mysql_url(place, settings)?).is_some()
        } else if place.contains("://") || place == "-" {
            return Err(
                Failure::new(Kind::Usage, format!("No drill can be made in `{}`", redact(place)))
                    .hint("Name postgres://admin@host/, mysql://admin@host/, or a folder"),
            );
        } else {
            places.folder.replace(PathBuf::from(place)).is_some()
        };
        if is_second {
            return Err(Failure::new(
                Kind::Usage,
                format!("Two places of one kind for drills: `{}`", redact(place)),
            )
            .hint("Name one server of each make and one folder"));
        }
    }
    let mut checks = Vec::new();
    for text in settings.drill_checks.iter() {
        checks.push(Check::parse(text)?);
    }
    for text in &args.check {
        checks.push(Check::parse(text).map_err(|failure| failure.with_kind(Kind::Usage))?);
    }
    Ok(DrillOptions {
        places,
        checks,
        withdraws_checks: args.withdraw_checks,
        keeps: args.keep,
        threads: settings.threads.value,
        pg_client_folder: settings.pg_client_folder.value.clone(),
        mysql_client_folder: settings.mysql_client_folder.value.clone(),
        lock_folder: settings.lock_folder.value.clone(),
    })
}

/// The failure of a backup that has not proved good.
fn failed(report: &DrillReport, id: &str) -> Failure {
    let mut reasons: Vec<String> = Vec::new();
    if let Some(first) = report.not_restored.first() {
        reasons.push(
            std::iter::once(first)
                .chain(&report.not_restored[1..])
                .cloned()
                .collect::<Vec<_>>()
                .join(": "),
        );
    }
    let compared = &report.compared;
    reasons.extend(compared.differences.iter().take(NAMED_MAX).map(ToString::to_string));
    let more = compared
        .difference_count
        .saturating_sub(compared.differences.len().min(NAMED_MAX) as u64);
    if more > 0 {
        reasons.push(format!("{} more", count(more, "difference", "differences")));
    }
    let broken = report.checks.iter().filter(|check| check.fails());
    reasons.extend(
        broken
            .take(NAMED_MAX)
            .map(|check| format!("does not hold: {} ({})", check.check, check.found)),
    );
    reasons.extend(open_checks(report));
    Failure::new(Kind::Damaged, format!("The drill of `{id}` failed"))
        .caused_by(anyhow::anyhow!("{}", reasons.join("; ")))
        .hint(format!(
            "`backup-cli show {id}` tells all that was found; try an older backup, and mend what makes them"
        ))
}

/// The checks without an answer, and why they have none.
fn open_checks(report: &DrillReport) -> Vec<String> {
    let said = |what: &'static str| move |check: &CheckOutcome| format!("{what}: {} ({})", check.check, check.found);
    let unanswered = report.open(Open::Unanswered).map(said("no answer"));
    let not_made = report.open(Open::NotMade).map(said("not made"));
    unanswered.chain(not_made).take(NAMED_MAX).collect()
}

/// The failure of a drill that found nothing wrong, and not all that was asked.
fn incomplete(report: &DrillReport, id: &str) -> Failure {
    let unanswered = report.open(Open::Unanswered).count();
    let failure = match unanswered {
        0 => Failure::new(Kind::Incomplete, format!("Not all checks of the drill of `{id}` were made"))
            .hint("Drop the checks that do not go with this backup, or mend their beginning; nothing was found wrong, and nothing is remembered"),
        _ => Failure::new(Kind::Failed, format!("Not all checks of the drill of `{id}` have an answer"))
            .hint("Look at the check, not at the backup: is the question right, and may this role ask it on this server? Nothing was found wrong, and nothing is remembered"),
    };
    failure.caused_by(anyhow::anyhow!("{}", open_checks(report).join("; ")))
}

fn print(report: &DrillReport, target: &Target, evidence: Option<&Key>, context: &Context) -> Result<()> {
    let id = &target.chosen.found.id;
    if context.console.is_json() {
        let mut summary = serde_json::to_value(DrillBody::of(id, report, false))
            .map_err(|error| Failure::new(Kind::Failed, "Could not write the summary").caused_by(error))?;
        summary["message_type"] = "summary".into();
        summary["snapshot_id"] = id.as_str().into();
        summary["total_duration"] = report.took.as_secs_f64().into();
        summary["evidence"] = evidence.map(|key| key.as_str()).into();
        summary["kept"] = report.kept.as_deref().into();
        return context.console.json_line(&summary);
    }
    let mut pairs = Vec::new();
    if !report.target.is_empty() {
        let restored = format!("{} to {}", format_bytes(report.restored_bytes), report.target);
        pairs.push(("restored", restored));
    }
    if let Some(server) = &report.server {
        let client = format!("{} {}", server.client, server.client_version);
        pairs.push(("server", format!("{}, through {client}", server.version)));
    }
    if report.not_restored.is_empty() {
        pairs.push(("compared", in_words(&report.compared)));
    }
    pairs.extend(
        report
            .compared
            .not_compared
            .iter()
            .map(|what| ("not compared", what.clone())),
    );
    if !report.checks.is_empty() {
        let good = report.checks.iter().filter(|check| check.holds).count();
        let open = report.checks.iter().filter(|check| check.open.is_some()).count();
        let open = match open {
            0 => String::new(),
            open => format!(", {open} without an answer"),
        };
        pairs.push(("checks", format!("{good} of {} hold{open}", report.checks.len())));
    }
    if let Some(key) = evidence {
        pairs.push(("evidence", key.to_string()));
    }
    if let Some(kept) = &report.kept {
        pairs.push(("kept", kept.clone()));
    }
    let result = match (report.is_damaged(), report.passed()) {
        (true, _) => "failed",
        (false, true) => "passed",
        (false, false) => "remained incomplete",
    };
    let text = format!(
        "The drill of {id} {result} in {}.\n{}",
        format_duration(report.took),
        lines(&pairs)
    );
    context.console.summary(&escape_text(&text))
}

/// What was compared with what, and how that ended.
pub(super) fn in_words(compared: &Compared) -> String {
    let what = super::words::counts(&Counts {
        tables: compared.tables,
        rows: compared.rows,
        files: compared.files,
        others: compared.others,
        ..Counts::default()
    });
    let outcome = match (compared.difference_count, compared.against) {
        (0, Against::Each) => "all as recorded",
        (0, Against::Sums) if compared.files.is_some() => "all as in the backup",
        (0, Against::Sums) => "as many in all as recorded",
        (0, Against::Nothing) if what.is_empty() => return "nothing".to_owned(),
        (0, Against::Nothing) => return format!("nothing, for nothing was recorded; restored: {what}"),
        (differences, _) => return format!("{what}: {}", count(differences, "difference", "differences")),
    };
    let what = if what.is_empty() { "nothing".to_owned() } else { what };
    format!("{what}: {outcome}")
}
