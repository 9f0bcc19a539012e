//! `verify`: checks backups where they lie.

use std::sync::Arc;
use std::time::{Duration, Instant};

use clap::{Args as ClapArgs, ValueEnum};

use super::assemble::{layout, open_store};
use super::target::find;
use super::words::{count, time};
use super::{Context, TransferArgs, help};
use crate::base::failure::{Failure, Kind, Result};
use crate::base::units::{format_bytes, format_duration};
use crate::config::Flags;
use crate::ops::Run;
use crate::ops::verify::{Checked, Level, Subject, VerifyOptions, find_all, newest_of_each, verify, worse};
use crate::store::Store;
use crate::ui::escape::escape_text;
use crate::ui::table::{Column, render};

/// How many rows of the table are kept before they are printed: with a hundred thousand backups memory stays flat.
const ROWS_AT_ONCE: usize = 1000;

/// Check backups where they lie
///
/// Without BACKUP the newest backup of every series is checked, with --all every one. Damage is told by object, and nothing is
/// ever changed. A store that does not answer is a failure (1), never damage (20).
///
/// Levels: quick looks at the manifest and once at each object (presence, length, entity tag, parts, version) and reads no
/// data.
#[derive(Clone, Debug, Default, ClapArgs)]
#[command(after_long_help = help::closing("verify"))]
pub struct Args {
    /// Ids, unique prefixes of such, latest, oldest, NAME@latest, or s3:// URLs or paths
    #[arg(value_name = "BACKUP", conflicts_with = "all")]
    pub backups: Vec<String>,

    /// Check every backup of the store; with --name or a profile, of that series
    #[arg(long)]
    pub all: bool,

    /// How thoroughly [default: quick]
    #[arg(long, value_name = "LEVEL", value_enum)]
    pub level: Option<LevelArg>,

    #[allow(missing_docs)]
    #[command(flatten)]
    pub transfer: TransferArgs,
}

/// How thoroughly backups are checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum LevelArg {
    /// The manifest, and one look at each object
    Quick,
}

impl From<LevelArg> for Level {
    fn from(level: LevelArg) -> Self {
        match level {
            LevelArg::Quick => Self::Quick,
        }
    }
}

impl Args {
    /// These options as a layer of settings.
    #[must_use]
    pub fn flags(&self) -> Flags {
        self.transfer.flags()
    }
}

/// What is told while backups are checked, and what of it decides the end.
struct Tale<'a> {
    context: &'a Context,
    rows: Vec<Vec<String>>,
    details: Vec<String>,
    totals: Totals,
    failures: Vec<Failure>,
}

#[derive(Default)]
struct Totals {
    checked: u64,
    damaged: u64,
    incomplete: u64,
    findings: u64,
    objects: u64,
    stored_bytes: u64,
    plain_bytes: u64,
}

/// Checks the backups.
///
/// # Errors
/// [`Kind::Damaged`] if any is damaged; else the worst of what kept others from being checked.
pub fn run(args: &Args, context: &Context) -> Result<()> {
    let run = context.run();
    let began = Instant::now();
    context.listener.name_items("backups");
    let options = VerifyOptions {
        level: args.level.map_or(Level::Quick, Level::from),
        threads: context.settings.threads.value,
    };
    let mut tale = Tale {
        context,
        rows: Vec::new(),
        details: Vec::new(),
        totals: Totals::default(),
        failures: Vec::new(),
    };
    if args.backups.is_empty() {
        let store = open_store(&context.settings, &run)?;
        let subjects = unnamed(args, &store, context, &run)?;
        let name = context.settings.name.value.as_deref();
        run.reporter.progress().set_totals(0, subjects.len() as u64);
        verify(&store, subjects, name, &options, &run, &mut |id, result| {
            tale.tell(id, result)
        })?;
    } else {
        for text in &args.backups {
            match find(text, None, context, &run) {
                Ok(target) => {
                    let subjects = vec![Subject::Chosen(Box::new(target.chosen))];
                    verify(&target.store, subjects, None, &options, &run, &mut |id, result| {
                        tale.tell(id, result)
                    })?;
                }
                Err(failure) if failure.kind() == Kind::Interrupted => return Err(failure),
                Err(failure) => tale.tell(text, Err(failure))?,
            }
        }
    }
    context.listener.end();
    tale.finish(began.elapsed(), &options)
}

/// What is checked where nothing is named.
fn unnamed(args: &Args, store: &Arc<dyn Store>, context: &Context, run: &Run) -> Result<Vec<Subject>> {
    let layout = layout(&context.settings, store.as_ref())?;
    let name = context.settings.name.value.as_deref();
    let found = find_all(store, &layout, name, run)?;
    let subjects: Vec<Subject> = match args.all {
        true => found.into_iter().map(Subject::Found).collect(),
        false => newest_of_each(store, found, name, run)?,
    };
    if subjects.is_empty() {
        let of = name.map(|name| format!(" of `{name}`")).unwrap_or_default();
        return Err(
            Failure::new(Kind::NotFound, format!("No backups{of} in {}", store.url()))
                .hint("`backup-cli list` shows what is there; check --store, --profile and --name"),
        );
    }
    Ok(subjects)
}

impl Tale<'_> {
    fn tell(&mut self, id: &str, result: Result<Checked>) -> Result<()> {
        match result {
            Ok(checked) => self.tell_checked(&checked),
            Err(failure) => {
                let failure = match failure.message().contains(id) {
                    true => failure,
                    false => failure.context(format!("Could not check `{id}`")),
                };
                self.failures.push(failure);
                Ok(())
            }
        }
    }

    fn tell_checked(&mut self, checked: &Checked) -> Result<()> {
        let totals = &mut self.totals;
        totals.checked += 1;
        totals.damaged += u64::from(checked.is_damaged());
        totals.incomplete += u64::from(checked.is_incomplete);
        totals.findings += checked.damage_count;
        totals.objects += checked.amount.objects;
        totals.stored_bytes += checked.amount.stored_bytes;
        totals.plain_bytes += checked.amount.plain_bytes;
        let console = &self.context.console;
        for damage in &checked.damage {
            let item = damage.object.as_ref().unwrap_or(&checked.data_key);
            if console.is_json() {
                console.item_failed(item.as_str(), "check", &damage.what);
            }
        }
        if console.is_json() {
            return console.json_line(&as_json(checked));
        }
        self.rows.push(row(checked));
        if let Some(details) = details(checked) {
            self.details.push(details);
        }
        match self.rows.len() >= ROWS_AT_ONCE {
            true => self.print_rows(),
            false => Ok(()),
        }
    }

    fn print_rows(&mut self) -> Result<()> {
        if self.rows.is_empty() {
            return Ok(());
        }
        const COLUMNS: [Column; 6] = [
            Column::left("ID"),
            Column::left("TIME"),
            Column::left("LEVEL"),
            Column::right("OBJECTS"),
            Column::right("READ"),
            Column::left("STATE"),
        ];
        let mut text = render(&COLUMNS, self.rows.drain(..));
        for details in self.details.drain(..) {
            text.push('\n');
            text.push_str(&escape_text(&details));
        }
        self.context.console.summary(&text)
    }

    /// Prints what is left, the sums, and what went wrong.
    fn finish(mut self, took: Duration, options: &VerifyOptions) -> Result<()> {
        self.print_rows()?;
        let console = &self.context.console;
        let totals = &self.totals;
        if console.is_json() {
            console.json_line(&serde_json::json!({
                "message_type": "summary",
                "num_errors": totals.findings,
                "level": options.level.to_string(),
                "backups_checked": totals.checked,
                "backups_damaged": totals.damaged,
                "backups_incomplete": totals.incomplete,
                "backups_failed": self.failures.len(),
                "objects": totals.objects,
                "bytes_read": totals.stored_bytes,
                "bytes_checked": totals.plain_bytes,
                "total_duration": took.as_secs_f64(),
            }))?;
        } else if totals.checked > 0 {
            console.summary(&format!(
                "\nChecked {} in {}: {}, {} of it read; {}.",
                count(totals.checked, "backup", "backups"),
                format_duration(took),
                count(totals.objects, "object", "objects"),
                format_bytes(totals.stored_bytes),
                match totals.damaged {
                    0 => "no damage found".to_owned(),
                    damaged => count(damaged, "is damaged", "are damaged"),
                }
            ))?;
        }
        self.judge()
    }

    fn judge(mut self) -> Result<()> {
        let totals = &self.totals;
        if totals.damaged > 0 {
            let number = count(totals.checked, "backup", "backups");
            self.failures.push(
                Failure::new(
                    Kind::Damaged,
                    format!("{} of {number} damaged", count(totals.damaged, "is", "are")),
                )
                .hint("Keep older backups until this is understood; `backup-cli list` shows them"),
            );
        }
        if totals.incomplete > 0 {
            self.failures.push(Failure::new(
                Kind::Incomplete,
                format!(
                    "{} not be checked as far as was asked",
                    count(totals.incomplete, "backup could", "backups could")
                ),
            ));
        }
        let Some(worst) = self.failures.iter().map(Failure::kind).reduce(worse) else {
            return Ok(());
        };
        let at = self
            .failures
            .iter()
            .position(|failure| failure.kind() == worst)
            .unwrap_or(0);
        let last = self.failures.remove(at);
        self.failures
            .iter()
            .for_each(|failure| self.context.console.failure(failure));
        Err(last)
    }
}

fn row(checked: &Checked) -> Vec<String> {
    vec![
        checked.id.clone(),
        time(checked.time),
        checked.reached.to_string(),
        checked.amount.objects.to_string(),
        match checked.amount.stored_bytes {
            0 => "-".to_owned(),
            bytes => format_bytes(bytes),
        },
        match (checked.is_damaged(), checked.is_incomplete) {
            (true, _) => format!("damaged ({})", checked.damage_count),
            (false, true) => "not checked".to_owned(),
            (false, false) if !checked.is_managed => "unmanaged".to_owned(),
            (false, false) => "ok".to_owned(),
        },
    ]
}

/// What is to be said of one backup below the table.
fn details(checked: &Checked) -> Option<String> {
    if checked.damage.is_empty() && checked.remarks.is_empty() {
        return None;
    }
    let mut text = format!("{}:\n", checked.id);
    for damage in &checked.damage {
        text.push_str(&format!("  Damaged: {}.\n", damage.what));
    }
    let more = checked.damage_count - checked.damage.len() as u64;
    if more > 0 {
        text.push_str(&format!("  And {more} more.\n"));
    }
    for remark in &checked.remarks {
        text.push_str(&format!("  {remark}\n"));
    }
    Some(text)
}

fn as_json(checked: &Checked) -> serde_json::Value {
    serde_json::json!({
        "message_type": "backup",
        "snapshot_id": checked.id,
        "name": checked.name,
        "time": checked.time,
        "key": checked.data_key,
        "level": checked.asked.to_string(),
        "checked_to": checked.reached.to_string(),
        "num_errors": checked.damage_count,
        "damage": checked.damage.iter().map(|damage| serde_json::json!({
            "object": damage.object,
            "message": damage.what,
        })).collect::<Vec<_>>(),
        "remarks": checked.remarks,
        "incomplete": checked.is_incomplete,
        "objects": checked.amount.objects,
        "bytes_read": checked.amount.stored_bytes,
        "bytes_checked": checked.amount.plain_bytes,
        "members": checked.amount.members,
        "entries": checked.amount.entries,
    })
}
