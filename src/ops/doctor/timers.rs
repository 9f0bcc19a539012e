//! What starts the backups of this machine, as far as it can be seen: timers of systemd, and lines of cron.

use std::path::PathBuf;

use jiff::Timestamp;

use super::check::Check;
use crate::base::failure::{Kind, Result};
use crate::base::process::{Program, find_program};
use crate::ops::Run;

/// What the names of units begin with, and what a line of cron has in it.
const NAME: &str = "backup-cli";

/// Where cron's lines for the whole machine are.
const CRON_FILES: &[&str] = &["/etc/crontab", "/etc/anacrontab"];

/// Folders of such files, and of scripts that cron runs.
const CRON_FOLDERS: &[&str] = &[
    "/etc/cron.d",
    "/etc/cron.hourly",
    "/etc/cron.daily",
    "/etc/cron.weekly",
    "/etc/cron.monthly",
];

/// Files of cron are small; a larger one is none.
const CRON_BYTES_MAX: u64 = 1024 * 1024;

/// A unit of systemd.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Unit {
    pub(super) id: String,
    /// `active`, `inactive`, `failed`.
    pub(super) state: String,
    /// How the last run ended: `success`, `exit-code`, `signal`.
    pub(super) result: String,
    /// The exit status of the last run.
    pub(super) exit_status: String,
    /// When a timer last started its service.
    pub(super) triggered: Option<Timestamp>,
}

/// Looks for timers.
///
/// # Errors
/// [`Kind::Interrupted`].
pub fn check_timers(run: &Run) -> Result<Check> {
    let mut units = Vec::new();
    if let Some(systemctl) = find_program("systemctl") {
        for scope in ["--system", "--user"] {
            let said = Program::new(&systemctl)
                .args([scope, "show", "--no-pager", "--timestamp=unix"])
                .arg("--property=Id,ActiveState,Result,ExecMainStatus,LastTriggerUSec")
                .arg(format!("{NAME}*"))
                .output(Kind::Tool, &run.cancel);
            run.cancel.check()?;
            // Without systemd, or without a session, it says so and knows of nothing.
            if let Ok(said) = said {
                units.extend(read_units(&said));
            }
        }
    }
    let mut cron = cron_files();
    if let Some(crontab) = find_program("crontab") {
        let said = Program::new(crontab).arg("-l").output(Kind::Tool, &run.cancel);
        run.cancel.check()?;
        if said.is_ok_and(|said| has_line(&said)) {
            cron.push("this user's crontab".to_owned());
        }
    }
    Ok(judge(&units, &cron))
}

/// Reads what `systemctl show` says: blocks of lines, one a unit.
pub(super) fn read_units(said: &str) -> Vec<Unit> {
    said.split("\n\n")
        .map(|block| {
            let mut unit = Unit::default();
            for (name, value) in block.lines().filter_map(|line| line.split_once('=')) {
                match name {
                    "Id" => value.clone_into(&mut unit.id),
                    "ActiveState" => value.clone_into(&mut unit.state),
                    "Result" => value.clone_into(&mut unit.result),
                    "ExecMainStatus" => value.clone_into(&mut unit.exit_status),
                    "LastTriggerUSec" => {
                        unit.triggered = value
                            .strip_prefix('@')
                            .and_then(|secs| secs.parse().ok())
                            .filter(|secs| *secs > 0)
                            .and_then(|secs| Timestamp::from_second(secs).ok());
                    }
                    _ => {}
                }
            }
            unit
        })
        .filter(|unit| unit.id.starts_with(NAME))
        .collect()
}

fn cron_files() -> Vec<String> {
    let of_folders = CRON_FOLDERS
        .iter()
        .filter_map(|folder| std::fs::read_dir(folder).ok())
        .flatten()
        .flatten()
        .map(|entry| entry.path());
    CRON_FILES
        .iter()
        .map(PathBuf::from)
        .chain(of_folders)
        .filter(|path| {
            path.metadata()
                .is_ok_and(|meta| meta.is_file() && meta.len() <= CRON_BYTES_MAX)
        })
        .filter(|path| std::fs::read(path).is_ok_and(|content| has_line(&String::from_utf8_lossy(&content))))
        .map(|path| format!("`{}`", path.display()))
        .collect()
}

/// Whether a line that is no comment names this program.
pub(super) fn has_line(text: &str) -> bool {
    text.lines()
        .any(|line| !line.trim_start().starts_with('#') && line.contains(NAME))
}

/// Judges what was found.
pub(super) fn judge(units: &[Unit], cron: &[String]) -> Check {
    const ID: &str = "machine.timer";
    let timers: Vec<&Unit> = units.iter().filter(|unit| unit.id.ends_with(".timer")).collect();
    let failed = units
        .iter()
        .find(|unit| unit.id.ends_with(".service") && !matches!(unit.result.as_str(), "" | "success"));
    if let Some(unit) = failed {
        return Check::failed(
            ID,
            format!(
                "The last run of `{}` did not end well: {}, exit status {}",
                unit.id, unit.result, unit.exit_status
            ),
            format!("Read why: journalctl --unit={} --lines=50", unit.id),
        );
    }
    if let Some(timer) = timers.iter().find(|timer| timer.state != "active") {
        return Check::failed(
            ID,
            format!("The timer `{}` does not run: it is {}", timer.id, timer.state),
            format!("systemctl enable --now {}", timer.id),
        );
    }
    match (timers.as_slice(), cron) {
        ([], []) => Check::skipped(
            ID,
            "no timer of systemd and no line of cron named backup-cli can be seen from here; what starts the backups is not known",
        ),
        ([], places) => Check::ok(
            ID,
            format!(
                "Started by cron, from {}; it does not tell when it last did so",
                places.join(", ")
            ),
        ),
        (timers, _) => {
            let last = timers.iter().filter_map(|timer| timer.triggered).max();
            match last {
                Some(last) => Check::ok(
                    ID,
                    format!(
                        "The timer `{}` runs, and last started a backup at {}",
                        timers[0].id,
                        last.strftime("%Y-%m-%d %H:%M:%SZ")
                    ),
                ),
                None => Check::warning(
                    ID,
                    format!("The timer `{}` runs, and has not started a backup yet", timers[0].id),
                    format!(
                        "Try it once: systemctl start {}",
                        timers[0].id.replace(".timer", ".service")
                    ),
                ),
            }
        }
    }
}
