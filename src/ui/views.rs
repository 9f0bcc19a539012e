//! The ways to show a run: a bar, a line now and then, JSON lines, nothing.

use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::console::Console;
use super::escape::escape_line;
use super::listener::Moment;
use crate::base::report::Phase;
use crate::base::units::{format_bytes, format_duration};

/// Draws a run, moment by moment.
pub(super) trait View: Send {
    /// How often to draw; `None` never.
    fn interval(&self) -> Option<Duration>;
    /// A new phase begins.
    fn phase(&mut self, moment: &Moment, console: &Console);
    /// Draws the moment.
    fn draw(&mut self, moment: &Moment, console: &Console);
    /// Nothing more will come.
    fn end(&mut self, console: &Console);
}

/// What a phase is called.
fn title(phase: Phase) -> &'static str {
    match phase {
        Phase::Preparing => "Preparing",
        Phase::BackingUp => "Backing up",
        Phase::Committing => "Committing",
        Phase::Restoring => "Restoring",
        Phase::Copying => "Copying",
        Phase::Thawing => "Thawing",
        Phase::Verifying => "Verifying",
        Phase::Finishing => "Finishing",
    }
}

/// The same for programs.
fn action(phase: Phase) -> &'static str {
    match phase {
        Phase::Preparing => "preparing",
        Phase::BackingUp => "backing_up",
        Phase::Committing => "committing",
        Phase::Restoring => "restoring",
        Phase::Copying => "copying",
        Phase::Thawing => "thawing",
        Phase::Verifying => "verifying",
        Phase::Finishing => "finishing",
    }
}

/// `1.20 GiB of 3.40 GiB (35 %), 120.0 MiB/s, 1234 of 46000 files, 2 errors, about 18 s left`.
fn facts(moment: &Moment) -> String {
    let counters = &moment.counters;
    let mut facts = vec![match moment.fraction() {
        Some(fraction) => format!(
            "{} of {} ({:.0} %)",
            format_bytes(counters.plain_bytes),
            format_bytes(counters.total_plain_bytes),
            (fraction * 100.0).floor()
        ),
        None => format_bytes(counters.plain_bytes),
    }];
    facts.push(format!("{}/s", format_bytes(moment.rate as u64)));
    match (counters.items, counters.total_items) {
        (0, 0) => {}
        (done, total) if total >= done => facts.push(format!("{done} of {total} {}", moment.noun)),
        (done, _) => facts.push(format!("{done} {}", moment.noun)),
    }
    match counters.errors {
        0 => {}
        1 => facts.push("1 error".to_owned()),
        errors => facts.push(format!("{errors} errors")),
    }
    if let Some(remaining) = moment.remaining() {
        facts.push(format!("about {} left", format_duration(remaining)));
    }
    facts.join(", ")
}

/// `1.20 GiB / 3.40 GiB  120 MiB/s  ETA 18 s  1234/46000 files`: the same where every column counts.
pub(super) fn short_facts(moment: &Moment) -> String {
    let counters = &moment.counters;
    let mut facts = vec![match moment.fraction() {
        Some(_) => format!(
            "{} / {}",
            format_bytes(counters.plain_bytes),
            format_bytes(counters.total_plain_bytes)
        ),
        None => format_bytes(counters.plain_bytes),
    }];
    facts.push(format!("{}/s", format_bytes(moment.rate as u64)));
    if let Some(remaining) = moment.remaining() {
        facts.push(format!("ETA {}", format_duration(remaining)));
    }
    match (counters.items, counters.total_items) {
        (0, 0) => {}
        (done, total) if total >= done => facts.push(format!("{done}/{total} {}", moment.noun)),
        (done, _) => facts.push(format!("{done} {}", moment.noun)),
    }
    if counters.errors > 0 {
        facts.push(format!("errors: {}", counters.errors));
    }
    facts.join("  ")
}

/// Nothing at all.
#[derive(Debug)]
pub(super) struct Silent;

impl View for Silent {
    fn interval(&self) -> Option<Duration> {
        None
    }
    fn phase(&mut self, _: &Moment, _: &Console) {}
    fn draw(&mut self, _: &Moment, _: &Console) {}
    fn end(&mut self, _: &Console) {}
}

/// A line now and then, for logs.
#[derive(Debug)]
pub(super) struct Lines;

impl View for Lines {
    fn interval(&self) -> Option<Duration> {
        Some(Duration::from_secs(30))
    }
    fn phase(&mut self, _: &Moment, _: &Console) {}
    fn draw(&mut self, moment: &Moment, console: &Console) {
        let text = format!("{}: {}.", title(moment.phase), facts(moment));
        if console.settings().log_json {
            console.error_json(&serde_json::json!({
                "timestamp": jiff::Timestamp::now().to_string(),
                "level": "INFO",
                "message": text,
            }));
        } else {
            console.error_line(&text);
        }
    }
    fn end(&mut self, _: &Console) {}
}

/// `status` lines in restic's vocabulary, once a second: enough for a display, little enough for a log.
#[derive(Debug)]
pub(super) struct JsonLines;

impl View for JsonLines {
    fn interval(&self) -> Option<Duration> {
        Some(Duration::from_secs(1))
    }

    fn phase(&mut self, moment: &Moment, console: &Console) {
        if console.settings().verbose > 0 {
            // A reader that cannot be written to is found out by the answer itself.
            let _ = console.json_line(&serde_json::json!({
                "message_type": "verbose_status",
                "action": action(moment.phase),
                "duration": moment.elapsed.as_secs_f64(),
            }));
        }
    }

    fn draw(&mut self, moment: &Moment, console: &Console) {
        let counters = &moment.counters;
        let mut line = serde_json::json!({
            "message_type": "status",
            "action": action(moment.phase),
            "seconds_elapsed": moment.elapsed.as_secs(),
            "percent_done": moment.fraction().unwrap_or(0.0),
            "bytes_stored": counters.stored_bytes,
            "error_count": counters.errors,
        });
        let (files, bytes) = match moment.phase {
            Phase::Restoring | Phase::Finishing => ("files_restored", "bytes_restored"),
            _ => ("files_done", "bytes_done"),
        };
        line[files] = counters.items.into();
        line[bytes] = counters.plain_bytes.into();
        if counters.total_plain_bytes > 0 {
            line["total_bytes"] = counters.total_plain_bytes.into();
        }
        if counters.total_items > 0 {
            line["total_files"] = counters.total_items.into();
        }
        if let Some(remaining) = moment.remaining() {
            line["seconds_remaining"] = remaining.as_secs().into();
        }
        if !counters.current.is_empty() {
            line["current_files"] = vec![counters.current.as_str()].into();
        }
        let _ = console.json_line(&line);
    }

    fn end(&mut self, _: &Console) {}
}

/// A bar on a terminal.
#[derive(Debug)]
pub(super) struct Bar {
    bar: Option<ProgressBar>,
    has_total: bool,
}

impl Bar {
    /// A bar that is not yet drawn.
    pub(super) fn new() -> Self {
        Self {
            bar: None,
            has_total: false,
        }
    }

    fn style(has_total: bool) -> ProgressStyle {
        let template = match has_total {
            true => "{prefix} [{bar:10}] {wide_msg}",
            false => "{prefix} {spinner} {wide_msg}",
        };
        // The templates are constants; the plain style is there so that a mistake in one could not end a backup.
        ProgressStyle::with_template(template)
            .unwrap_or_else(|_| ProgressStyle::default_bar())
            .progress_chars("#> ")
            .tick_chars("|/-\\ ")
    }
}

impl View for Bar {
    fn interval(&self) -> Option<Duration> {
        Some(Duration::from_millis(150))
    }

    fn phase(&mut self, moment: &Moment, console: &Console) {
        if self.bar.is_none() {
            let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr());
            bar.set_style(Self::style(false));
            console.set_bar(Some(bar.clone()));
            self.bar = Some(bar);
        }
        self.draw(moment, console);
    }

    fn draw(&mut self, moment: &Moment, _: &Console) {
        let Some(bar) = &self.bar else { return };
        let has_total = moment.fraction().is_some();
        if has_total != self.has_total {
            bar.set_style(Self::style(has_total));
            self.has_total = has_total;
        }
        if has_total {
            bar.set_length(moment.counters.total_plain_bytes);
        }
        bar.set_position(moment.counters.plain_bytes);
        bar.set_prefix(title(moment.phase));
        let current = escape_line(&moment.counters.current);
        bar.set_message(match current.is_empty() {
            true => short_facts(moment),
            false => format!("{}  {current}", short_facts(moment)),
        });
        bar.tick();
    }

    fn end(&mut self, console: &Console) {
        if let Some(bar) = self.bar.take() {
            console.set_bar(None);
            bar.finish_and_clear();
        }
    }
}
