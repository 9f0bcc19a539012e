//! `doctor`: tries everything that a backup depends on.

use std::sync::Arc;

use clap::Args as ClapArgs;
use serde::Serialize;

use super::assemble::{Job, jobs, open_store_at, recipients, s3_store};
use super::words::count;
use super::{Context, help};
use crate::base::failure::{Failure, Kind, Result};
use crate::base::report::Recorder;
use crate::catalog::layout::Layout;
use crate::config::settings::{ChecksumMode as ConfiguredChecksums, Settings, StoreChoice};
use crate::config::{Flags, table};
use crate::ops::Run;
use crate::ops::doctor::{
    Beside, Check, Machine, Retention, Sealing, Section, SourceToCheck, Status, StoreToCheck, StoreVerdict,
    check_machine, check_series, check_source, check_store, worst,
};
use crate::pipeline::crypt::{Keys, KeysOptions};
use crate::store::Store;
use crate::store::address::StoreAddress;
use crate::store::local::LocalStore;
use crate::store::s3::{ChecksumMode, RetryOptions};
use crate::ui::escape::escape_line;

/// Try everything that backups depend on, and say what to do about what is wrong
///
/// Looks at every store with a throw-away object and real requests: credentials and who they are, region, clocks, the rights
/// to write, read, list and remove one by one, conditional writes, uploads in parts, checksums, versions, locks, encryption,
/// public access, lifecycle rules; at every source: its server, the programs that dump it, tables without transactions, files
/// that cannot be read; and at this machine: room, locks, keys, timers. Nothing that exists is changed, and what is made for
/// a trial is removed again; with credentials that may not remove, one object of a few bytes stays, however many runs there are.
/// Without --json the lines that were skipped for one reason are put together.
#[derive(Clone, Debug, Default, ClapArgs)]
#[command(after_long_help = help::closing("doctor"))]
pub struct Args {
    /// What would be backed up, as for `backup`: URLs and paths [default: the sources of the profile]
    #[arg(value_name = "SOURCE", value_hint = clap::ValueHint::AnyPath)]
    pub sources: Vec<String>,
}

impl Args {
    /// These options as a layer of settings.
    #[must_use]
    pub fn flags(&self) -> Flags {
        Flags::default().list(&table::SOURCES, "the command line", &self.sources)
    }
}

/// A passing trouble is waited for this long at most: who asks what is wrong wants an answer.
const RETRY: RetryOptions = RetryOptions {
    first_wait: std::time::Duration::from_secs(1),
    max_wait: std::time::Duration::from_secs(1),
    budget: std::time::Duration::from_secs(5),
    sdk_attempts: 1,
};

/// An answer to a small request that takes longer is as good as none.
const ANSWER_TIME_MAX: std::time::Duration = std::time::Duration::from_secs(15);

/// A run's whole answer.
#[derive(Serialize)]
struct Document<'a> {
    status: Status,
    profile: Option<&'a str>,
    checks: Vec<&'a Check>,
    settings: Vec<StoreSettings<'a>>,
}

/// What would fit a store better.
#[derive(Serialize)]
struct StoreSettings<'a> {
    store: &'a str,
    set: &'a std::collections::BTreeMap<&'static str, String>,
}

/// Looks at everything and prints it.
///
/// # Errors
/// [`Kind::Failed`] if a check failed.
pub fn run(args: &Args, context: &Context) -> Result<()> {
    let settings = &context.settings;
    let run = Run {
        // A note about a region, for example, is a check's own message here.
        reporter: Arc::new(Recorder::default()),
        ..context.run()
    };
    let mut sections = Vec::new();
    let mut plain_bytes = None::<u64>;
    let mut temporary_bytes = 0_u64;
    let mut names = Vec::new();
    let jobs = match has_sources(settings) || !args.sources.is_empty() {
        false => Ok(Vec::new()),
        true => jobs(settings, &run),
    };
    match jobs {
        Ok(jobs) => {
            for job in jobs {
                names.push(series_of(&job, settings));
                let verdict = check_source(source_of(job), &run)?;
                plain_bytes = match (plain_bytes, verdict.plain_bytes) {
                    (sum, None) => sum,
                    (sum, Some(bytes)) => Some(sum.unwrap_or(0).saturating_add(bytes)),
                };
                temporary_bytes = temporary_bytes.max(verdict.temporary_bytes);
                sections.push(verdict.section);
            }
        }
        Err(failure) if matches!(failure.kind(), Kind::Usage | Kind::Config | Kind::Interrupted) => {
            return Err(failure);
        }
        Err(failure) => sections.push(Section::new(
            "sources",
            vec![Check::of_failure("source.connection", Status::Failed, &failure)],
        )),
    }
    let recipients = recipients(settings);
    let beside = Beside {
        retention: retention(settings),
        is_sealed: matches!(recipients, Ok(Some(_))),
        makes_backups: !names.is_empty() || has_sources(settings),
        plain_bytes,
    };
    let mut verdicts = Vec::new();
    for choice in &settings.stores {
        verdicts.push(check_one_store(choice, settings, beside, &names, &run)?);
    }
    let machine = check_machine(
        &Machine {
            lock_folder: settings.lock_folder.value.clone(),
            temporary_folder: std::env::temp_dir(),
            temporary_bytes: Some(temporary_bytes).filter(|bytes| *bytes > 0),
            sealing: Sealing {
                recipients: recipients.map(|recipients| recipients.map(|all| all.names()).unwrap_or_default()),
                identities: identities(settings),
                has_passphrase: settings.passphrase.value.is_some(),
            },
        },
        &run,
    )?;
    let advice: Vec<StoreVerdict> = verdicts.clone();
    let sections: Vec<Section> = verdicts
        .into_iter()
        .map(|verdict| verdict.section)
        .chain(sections)
        .chain([machine])
        .collect();
    context.listener.end();
    answer(&sections, &advice, context)
}

/// How long backups are meant to be kept.
fn retention(settings: &Settings) -> Retention {
    Retention {
        keep_days: settings.policy.days_max(),
        delete_days: settings.lifecycle_delete_days.value,
    }
}

fn has_sources(settings: &Settings) -> bool {
    !settings.sources.value.is_empty() || settings.command.value.is_some()
}

fn series_of(job: &Job, settings: &Settings) -> String {
    match &settings.name.value {
        Some(name) if !settings.all_databases.value => name.clone(),
        _ => job.default_name.clone(),
    }
}

fn source_of(job: Job) -> SourceToCheck {
    SourceToCheck {
        name: job.default_name,
        source: job.source,
    }
}

/// The public keys of the identities at hand. Nobody is asked for a passphrase.
fn identities(settings: &Settings) -> Result<Vec<String>> {
    let keys = Keys::new(KeysOptions {
        identity_files: settings.identities.value.clone(),
        identity: settings.identity.value.clone(),
        passphrase: settings.passphrase.value.clone(),
        ask: None,
    });
    Ok(keys.public_keys()?.into_iter().map(|key| key.0).collect())
}

fn check_one_store(
    choice: &StoreChoice,
    settings: &Settings,
    beside: Beside,
    names: &[String],
    run: &Run,
) -> Result<StoreVerdict> {
    let own = choice.settings.as_deref().unwrap_or(settings);
    let to_check = match &choice.address {
        StoreAddress::Local { folder } => StoreToCheck::Local {
            store: Arc::new(LocalStore::open(folder.clone())?),
            folder: folder.clone(),
        },
        StoreAddress::S3 { bucket, prefix } => {
            let store = s3_store(own, bucket, prefix, run, |options| {
                options.retry = RETRY;
                options.attempt_timeout_min = ANSWER_TIME_MAX;
            })?;
            let sends_checksums = match own.checksum.value {
                ConfiguredChecksums::Auto => store.provider().checksum == ChecksumMode::WhenSupported,
                ConfiguredChecksums::WhenSupported => true,
                ConfiguredChecksums::WhenRequired => false,
            };
            StoreToCheck::S3 {
                store: Arc::new(store),
                credentials_origin: own
                    .credentials
                    .value
                    .is_some()
                    .then(|| own.credentials.origin.to_string()),
                sends_checksums,
                encryption: own.sse.value.clone(),
            }
        }
    };
    let mut verdict = check_store(&to_check, beside, run)?;
    let subject = verdict.section.subject.clone();
    if verdict.answers {
        let store: Arc<dyn Store> = match &to_check {
            StoreToCheck::S3 { store, .. } => store.clone(),
            StoreToCheck::Local { .. } => open_store_at(&choice.address, own, run)?,
        };
        let layout = Layout::new(
            store.prefix(),
            &own.key_template.value,
            std::collections::BTreeMap::new(),
        )?;
        for name in names {
            let check = check_series(&store, &layout, name, run)?;
            verdict.section.checks.push(Check {
                subject: subject.clone(),
                ..check
            });
        }
    }
    Ok(verdict)
}

fn answer(sections: &[Section], verdicts: &[StoreVerdict], context: &Context) -> Result<()> {
    let checks: Vec<&Check> = sections.iter().flat_map(|section| &section.checks).collect();
    let settings: Vec<StoreSettings<'_>> = verdicts
        .iter()
        .filter(|verdict| !verdict.advice.is_empty())
        .map(|verdict| StoreSettings {
            store: &verdict.section.subject,
            set: &verdict.advice,
        })
        .collect();
    let console = &context.console;
    match console.is_json() {
        true => console.answer_json(&Document {
            status: worst(checks.iter().copied()),
            profile: context.settings.profile.as_deref(),
            checks: checks.clone(),
            settings,
        })?,
        false => console.answer(&page(
            sections,
            &settings,
            console.settings().quiet,
            crate::ui::table::terminal_columns(),
        ))?,
    }
    let failed: Vec<&str> = checks
        .iter()
        .filter(|check| check.status == Status::Failed)
        .map(|check| check.id)
        .collect();
    match failed.as_slice() {
        [] => Ok(()),
        failed => Err(Failure::new(
            Kind::Failed,
            format!(
                "{} failed: {}",
                count(failed.len() as u64, "check", "checks"),
                failed.join(", ")
            ),
        )
        .hint("Each failed line of the table says what to do now")),
    }
}

/// So many lines that were skipped for one reason are put together.
const TOGETHER: usize = 3;

/// A message has so many columns even on a narrow terminal, which breaks the lines then.
const ROOM_MIN: usize = 30;

/// Breaks a text between words so that no line is longer than `room`, in letters; a longer word stays whole.
fn fold(text: &str, room: Option<usize>) -> Vec<String> {
    let Some(room) = room else {
        return vec![text.to_owned()];
    };
    let mut lines = vec![String::new()];
    for word in text.split(' ') {
        let Some(last) = lines.last_mut() else { continue };
        let (taken, needed) = (last.chars().count(), word.chars().count());
        if taken > 0 && taken + 1 + needed > room {
            lines.push(word.to_owned());
        } else {
            if taken > 0 {
                last.push(' ');
            }
            last.push_str(word);
        }
    }
    lines
}

/// The answer for people: a block for each subject, a line for each check, below it what to do.
fn page(sections: &[Section], settings: &[StoreSettings<'_>], is_quiet: bool, columns: Option<usize>) -> String {
    let width = sections
        .iter()
        .flat_map(|section| &section.checks)
        .map(|check| check.id.len())
        .max()
        .unwrap_or(0);
    let mut text = String::new();
    let line = |status: &str, id: &str, message: &str| {
        let indent = 2 + 8 + 1 + width + 2;
        let room = columns.map(|columns| columns.saturating_sub(indent).max(ROOM_MIN));
        let folded = fold(&escape_line(message), room);
        let folded = folded.join(&format!("\n{:indent$}", ""));
        format!("  {status:<8} {id:<width$}  {folded}\n")
    };
    for section in sections {
        let mut lines = String::new();
        let mut told: Vec<&str> = Vec::new();
        for check in &section.checks {
            if is_quiet && check.status == Status::Ok {
                continue;
            }
            if check.status == Status::Skipped {
                let same = section
                    .checks
                    .iter()
                    .filter(|other| other.status == Status::Skipped && other.message == check.message)
                    .count();
                if same >= TOGETHER {
                    if !told.contains(&check.message.as_str()) {
                        told.push(&check.message);
                        lines.push_str(&line(Status::Skipped.word(), &format!("{same} checks"), &check.message));
                    }
                    continue;
                }
            }
            lines.push_str(&line(check.status.word(), check.id, &check.message));
            if let Some(hint) = check.hint.as_deref().filter(|_| check.status != Status::Ok) {
                lines.push_str(&line("", "", &format!("-> {hint}")));
            }
        }
        if !lines.is_empty() {
            text.push_str(&format!("{}\n{lines}\n", escape_line(&section.subject)));
        }
    }
    for settings in settings {
        text.push_str(&format!(
            "What fits {} better, for the profile:\n",
            escape_line(settings.store)
        ));
        for (name, value) in settings.set {
            text.push_str(&format!("  {name} = \"{}\"\n", escape_line(value)));
        }
        text.push('\n');
    }
    let of = |status: Status| {
        sections
            .iter()
            .flat_map(|section| &section.checks)
            .filter(|check| check.status == status)
            .count()
    };
    text.push_str(&format!(
        "{} failed, {}, {} ok, {} skipped.\n",
        of(Status::Failed),
        count(of(Status::Warning) as u64, "warning", "warnings"),
        of(Status::Ok),
        of(Status::Skipped)
    ));
    text
}

#[cfg(test)]
mod tests {
    use super::fold;

    #[test]
    fn words_stay_whole_on_a_terminal_and_lines_elsewhere() {
        let text = "Not allowed: s3:ListBucket. Right for a machine";
        assert_eq!(fold(text, None), [text]);
        assert_eq!(
            fold(text, Some(14)),
            ["Not allowed:", "s3:ListBucket.", "Right for a", "machine"]
        );
        assert_eq!(fold("a longer_word b", Some(3)), ["a", "longer_word", "b"]);
        assert_eq!(fold("", Some(9)), [""]);
    }
}
