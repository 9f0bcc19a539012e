//! `verify`: checks backups where they lie.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use clap::{Args as ClapArgs, ValueEnum};

use super::assemble::{layout, open_store};
use super::drill::{self, DrillArgs};
use super::metrics::tell;
use super::target::find_even_damaged;
use super::verified::{as_json, details, row, tell_remembered};
use super::words::count;
use super::{Context, TransferArgs, help};
use crate::base::failure::{Failure, Kind, Result};
use crate::base::units::{format_bytes, format_duration, parse_bytes, parse_duration};
use crate::catalog::listing::Found;
use crate::catalog::selection::Chosen;
use crate::config::Flags;
use crate::ops::Run;
use crate::ops::metrics::Told;
use crate::ops::verify::{
    Alarm, Checked, Guards, Known, Level, Reached, Sample, Subject, VerifyOptions, count_damaged, find_all,
    newest_of_each, remember, verify, watch, worse,
};
use crate::store::Store;
use crate::ui::escape::escape_text;
use crate::ui::table::{Column, render};

/// How many rows of the table are kept before they are printed: with a hundred thousand backups memory stays flat.
const ROWS_AT_ONCE: usize = 1000;

/// Check backups where they lie
///
/// Without BACKUP the newest backup of every series is checked, with --all every one; safety backups of a restore only with
/// --all or by name. No backup is ever changed. Damage is told by object, with what is lost (the files or tables whose bytes lie
/// in what is damaged), what can still be restored, and the next older backup that is all there. A store that does not answer
/// is a failure (1), never damage (20), and so are bytes that are different each time they are read.
///
/// Damage is remembered, by a small object beside the backup (which takes s3:PutObject; without it there is a warning): from
/// then on `list` and `show` say so, `latest` passes the backup over (only `show`, `accept`, `rebuild-index` and `verify`
/// itself go on meaning it), and `prune` counts it for nothing. A later verification that is as deep and finds the backup
/// whole takes that back; what a drill found, only a drill.
///
/// quick reads the manifest, whose digest of itself covers its every byte, and asks the store once about each object: is it
/// there, is it as long, is it the one that was written by its entity tag (where the store computes that from the content), its
/// parts, its version. It reads no data. data reads every stored byte once: SHA-256 and MD5 of each object, each member by its
/// own checksum and length, every line of the index against the members and the manifest, SHA-256 and length of the plaintext.
/// deep also reads what the bytes are: an archive of files to its end, each entry compared with the index; an SQL dump to its
/// end marker; an archive of pg_dump by pg_restore; an SQLite database by its integrity check, in a temporary file.
///
/// The level is data for backups that are named, because whoever names one wants to know whether it restores, and quick where
/// none is named: to read all of a store takes hours and, at most providers, money. --sample reads a share of the data.
///
/// An encrypted backup is checked as far as its stored bytes if no key is given, and that is said. Data that lies in an archive
/// cannot be read and is no damage; a backup that could not be checked as far as was asked makes the exit status 3. An object
/// without a manifest is known to inflate to its end, and no more.
///
/// Of several causes the exit status is that of the first of these: 130 interrupted, 20 damage, 12 a key that does not fit,
/// 1, 2 or 10 any other failure, 22 too old, 21 too small, 3 incomplete.
#[derive(Clone, Debug, Default, ClapArgs)]
#[command(after_long_help = help::closing("verify"))]
pub struct Args {
    /// Ids, unique prefixes of such, latest, oldest, NAME@latest, or s3:// URLs or paths
    #[arg(value_name = "BACKUP", conflicts_with = "all")]
    pub backups: Vec<String>,

    /// Check every backup of the store; with --name or a profile, of that series
    #[arg(long)]
    pub all: bool,

    /// How thoroughly [default: data for named backups or with --sample, else quick]
    #[arg(long, value_name = "LEVEL", value_enum)]
    pub level: Option<LevelArg>,

    /// Read only a share of the data: a random one (10%), or one of several that together are everything (2/7)
    #[arg(long, value_name = "SHARE")]
    pub sample: Option<String>,

    /// With a random sample, choose the same members as a run that named this number
    #[arg(long, value_name = "NUMBER", requires = "sample", hide_short_help = true)]
    pub seed: Option<u64>,

    /// Fail (22) for each series whose newest complete backup is older, for example 26h
    #[arg(long, value_name = "DURATION")]
    pub max_age: Option<String>,

    /// Fail (21) for each series whose newest complete backup has less content
    #[arg(long, value_name = "SIZE")]
    pub min_size: Option<String>,

    /// Fail (21) for each series whose newest complete backup is smaller than the median of up to ten before it by more than
    /// this, for example 50%
    #[arg(long, value_name = "PERCENT")]
    pub max_shrink: Option<String>,

    #[allow(missing_docs)]
    #[command(flatten)]
    pub drill: DrillArgs,

    #[allow(missing_docs)]
    #[command(flatten)]
    pub transfer: TransferArgs,
}

/// How thoroughly backups are checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum LevelArg {
    /// The manifest, and one look at each object
    Quick,
    /// Every stored byte
    Data,
    /// What the bytes are, too
    Deep,
}

impl From<LevelArg> for Level {
    fn from(level: LevelArg) -> Self {
        match level {
            LevelArg::Quick => Self::Quick,
            LevelArg::Data => Self::Data,
            LevelArg::Deep => Self::Deep,
        }
    }
}

impl Args {
    /// These options as a layer of settings.
    #[must_use]
    pub fn flags(&self) -> Flags {
        self.drill.flags().and(self.transfer.flags())
    }

    fn options(&self, context: &Context) -> Result<VerifyOptions> {
        let sample = match &self.sample {
            Some(text) => Some(Sample::parse(
                text,
                self.seed.unwrap_or_else(|| u64::from(rand::random::<u32>())),
            )?),
            None => None,
        };
        let level = match (self.level, &sample) {
            (Some(LevelArg::Quick), Some(_)) => {
                return Err(Failure::new(
                    Kind::Usage,
                    "--level quick reads no data, of which --sample could be a share",
                )
                .hint("Leave one of them out"));
            }
            (Some(level), _) => level.into(),
            (None, None) if self.backups.is_empty() => Level::Quick,
            (None, _) => Level::Data,
        };
        if level == Level::Deep && sample.is_some() {
            return Err(Failure::new(
                Kind::Usage,
                "--level deep reads the content as a whole, not a sample of it",
            )
            .hint("Use --level data with --sample"));
        }
        Ok(VerifyOptions {
            level,
            sample,
            client_folder: context.settings.pg_client_folder.value.clone(),
            threads: context.settings.threads.value,
        })
    }

    fn guards(&self) -> Result<Guards> {
        let percent = |text: &String| {
            let number = text.trim().strip_suffix('%').unwrap_or(text).trim().parse::<u32>();
            number.ok().filter(|number| (1..100).contains(number)).ok_or_else(|| {
                Failure::new(Kind::Usage, format!("Not a percentage: `{text}`"))
                    .hint("Write a number from 1 to 99, for example 50%")
            })
        };
        Ok(Guards {
            max_age: self.max_age.as_deref().map(parse_duration).transpose()?,
            min_bytes: self.min_size.as_deref().map(parse_bytes).transpose()?,
            max_shrink_percent: self.max_shrink.as_ref().map(percent).transpose()?,
        })
    }
}

/// What is told while backups are checked, and what of it decides the end.
struct Tale<'a> {
    context: &'a Context,
    rows: Vec<Vec<String>>,
    details: Vec<String>,
    totals: Totals,
    failures: Vec<Failure>,
    alarms: Vec<Alarm>,
    /// The series of what was checked.
    names: BTreeSet<String>,
    /// Those in which something wrong was found, or something could not be checked.
    bad_names: BTreeSet<String>,
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
    /// Of how many nothing vouches for the content after a look.
    untagged: u64,
}

/// Checks the backups.
///
/// # Errors
/// [`Kind::Damaged`] if any is damaged; else the worst of what kept others from being checked.
pub fn run(args: &Args, context: &Context) -> Result<()> {
    if args.drill.restore {
        return drill::run(&args.backups, &args.drill, context);
    }
    let run = context.run();
    let began = Instant::now();
    context.listener.name_items("backups");
    let options = args.options(context)?;
    let guards = args.guards()?;
    let mut tale = Tale {
        context,
        rows: Vec::new(),
        details: Vec::new(),
        totals: Totals::default(),
        failures: Vec::new(),
        alarms: Vec::new(),
        names: BTreeSet::new(),
        bad_names: BTreeSet::new(),
    };
    if let Some(sample) = &options.sample {
        context.console.note(&format!("Of the data {sample} is read."));
    }
    let name = context.settings.name.value.as_deref();
    if args.backups.is_empty() {
        let store = open_store(&context.settings, &run)?;
        let layout = layout(&context.settings, store.as_ref())?;
        let found = find_all(&store, &layout, name, &run)?;
        let subjects = unnamed(args, &store, &found, name, &run)?;
        let names = name.map(|name| BTreeSet::from([name.to_owned()]));
        if !guards.is_empty() {
            tale.alarms = watch(&store, &found, names.as_ref(), &guards, &run)?;
        }
        drop(found);
        run.reporter
            .progress()
            .set_totals(bytes_of(&subjects, &options), subjects.len() as u64);
        verify(&store, subjects, name, &options, &run, &mut |id, result| {
            tale.remember(&store, &result, Known::Listed, &run)?;
            tale.tell(id, result)
        })?;
    } else {
        for (store, chosen) in named(args, &mut tale, context, &run)? {
            let subjects = vec![Subject::Chosen(Box::new(chosen))];
            verify(&store, subjects, None, &options, &run, &mut |id, result| {
                tale.remember(&store, &result, Known::Unlisted, &run)?;
                tale.tell(id, result)
            })?;
        }
        if !guards.is_empty() {
            let store = open_store(&context.settings, &run)?;
            let layout = layout(&context.settings, store.as_ref())?;
            let found = find_all(&store, &layout, None, &run)?;
            tale.alarms = watch(&store, &found, Some(&tale.names), &guards, &run)?;
        }
    }
    context.listener.end();
    if let Some(name) = name.filter(|_| args.backups.is_empty() && tale.totals.checked == 0) {
        // Whoever watches over a series wants to hear that there is none: its name may be misspelt.
        tale.names.insert(name.to_owned());
        tale.bad_names.insert(name.to_owned());
        if tale.failures.is_empty() && tale.alarms.is_empty() {
            let store = &context.settings.store.value;
            tale.failures.push(no_backups(Some(name), &store.to_string()));
        }
    }
    let alarmed = tale.alarms.iter().map(|alarm| alarm.name.clone());
    tale.bad_names.extend(alarmed.collect::<Vec<_>>());
    tale.tell_metrics(&run)?;
    tale.finish(began.elapsed(), &options)
}

/// The backups that are named; why one is not found is told.
fn named(args: &Args, tale: &mut Tale<'_>, context: &Context, run: &Run) -> Result<Vec<(Arc<dyn Store>, Chosen)>> {
    let mut chosen = Vec::new();
    let mut places = BTreeSet::new();
    for text in &args.backups {
        match find_even_damaged(text, context, run) {
            Ok(target) => {
                let place = (target.store.url(), target.chosen.found.data_key.clone());
                if places.insert(place) {
                    chosen.push((target.store, target.chosen));
                }
            }
            Err(failure) if failure.kind() == Kind::Interrupted => return Err(failure),
            Err(failure) => tale.tell(text, Err(failure))?,
        }
    }
    let bytes = chosen.iter().map(|(_, chosen)| chosen.found.data_bytes()).sum();
    run.reporter.progress().set_totals(bytes, chosen.len() as u64);
    Ok(chosen)
}

/// How many stored bytes will be read, as far as that is known.
fn bytes_of(subjects: &[Subject], options: &VerifyOptions) -> u64 {
    let bytes = |subject: &Subject| match subject {
        Subject::Chosen(chosen) => chosen.found.data_bytes(),
        Subject::Found(found) => found.data_bytes(),
    };
    match (options.level, &options.sample) {
        (Level::Quick, _) | (_, Some(_)) => 0,
        (Level::Data | Level::Deep, None) => subjects.iter().map(bytes).sum(),
    }
}

/// What is checked where nothing is named.
fn unnamed(
    args: &Args,
    store: &Arc<dyn Store>,
    found: &[Found],
    name: Option<&str>,
    run: &Run,
) -> Result<Vec<Subject>> {
    let subjects: Vec<Subject> = match args.all {
        true => found.iter().cloned().map(Subject::Found).collect(),
        false => newest_of_each(store, found.to_vec(), name, run)?,
    };
    if subjects.is_empty() {
        return Err(no_backups(name, &store.url()));
    }
    Ok(subjects)
}

fn no_backups(name: Option<&str>, url: &str) -> Failure {
    let of = name.map(|name| format!(" of `{name}`")).unwrap_or_default();
    Failure::new(Kind::NotFound, format!("No backups{of} in {url}"))
        .hint("`backup-cli list` shows what is there; check --store, --profile and --name")
}

impl Tale<'_> {
    fn remember(&self, store: &Arc<dyn Store>, result: &Result<Checked>, known: Known, run: &Run) -> Result<()> {
        let Ok(checked) = result else { return Ok(()) };
        let host = &self.context.settings.host.value;
        tell_remembered(&checked.id, remember(store, checked, known, host, run), self.context)
    }

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
        self.names.insert(checked.name.clone());
        if checked.is_damaged() || checked.is_incomplete {
            self.bad_names.insert(checked.name.clone());
        }
        let totals = &mut self.totals;
        totals.checked += 1;
        totals.damaged += u64::from(checked.is_damaged());
        totals.incomplete += u64::from(checked.is_incomplete);
        totals.findings += checked.damage_count;
        totals.objects += checked.amount.objects;
        totals.untagged += u64::from(checked.has_unknown_tags && checked.reached == Reached::Quick);
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

    /// Tells the metrics of each series, if there is a file for them. A backup that could not be looked at at all is told
    /// of none: which series it is of is not known.
    fn tell_metrics(&self, run: &Run) -> Result<()> {
        let settings = &self.context.settings;
        if settings.metrics_file.value.is_none() || self.names.is_empty() {
            return Ok(());
        }
        let store = open_store(settings, run)?;
        let found = match find_all(&store, &layout(settings, store.as_ref())?, None, run) {
            Err(failure) if failure.kind() == Kind::Interrupted => return Err(failure),
            found => found.ok(),
        };
        for name in &self.names {
            let told = Told::Verify {
                is_good: !self.bad_names.contains(name) && self.failures.is_empty(),
                is_drill: false,
                damaged: found.as_ref().map(|found| count_damaged(found, name)),
            };
            tell(self.context, name, told);
        }
        Ok(())
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
                "backups_without_tags": totals.untagged,
                "alarms": self.alarms.iter().map(|alarm| serde_json::json!({
                    "name": alarm.name,
                    "code": alarm.kind.exit_code(),
                    "message": alarm.what,
                })).collect::<Vec<_>>(),
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
        if totals.untagged > 0 {
            console.note(
                "The content was not compared, not even by entity tags: this server is not known to compute them from it. `backup-cli doctor` tells whether it does, and --provider says so; --level data compares every byte.",
            );
        }
        self.judge()
    }

    fn judge(mut self) -> Result<()> {
        let totals = &self.totals;
        if totals.damaged > 0 {
            let number = count(totals.checked, "backup", "backups");
            let are = if totals.damaged == 1 { "is" } else { "are" };
            self.failures.push(
                Failure::new(Kind::Damaged, format!("{} of {number} {are} damaged", totals.damaged))
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
        for alarm in std::mem::take(&mut self.alarms) {
            let hint = match alarm.kind {
                Kind::TooOld => "Look at the last run of its backup: `backup-cli list` shows what is there",
                _ => "Compare it with the one before: `backup-cli diff`; if it is meant to be smaller, lower the bound",
            };
            self.failures.push(Failure::new(alarm.kind, alarm.what).hint(hint));
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
        let console = &self.context.console;
        for failure in &self.failures {
            match console.is_json() {
                // The last line alone tells of the end; alarms stand in the summary.
                true if matches!(failure.kind(), Kind::TooOld | Kind::Refused) => {}
                true => console.item_failed("", "check", &failure.in_one_line()),
                false => console.failure(failure),
            }
        }
        Err(last)
    }
}
