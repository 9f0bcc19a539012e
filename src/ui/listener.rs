//! The listener of a run: takes events and counters, and shows them in the way that fits the console.

use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::console::Console;
use super::views::{Bar, JsonLines, Lines, Silent, View};
use crate::base::report::{Event, Phase, Progress, ProgressSnapshot, Reporter};

/// How many failed items are printed for people; the rest are counted, and the manifest names more of them.
const ITEM_FAILURES_SHOWN_MAX: u64 = 100;

/// A moment of a run, as a view draws it.
#[derive(Clone, Debug)]
pub(super) struct Moment {
    pub(super) phase: Phase,
    pub(super) elapsed: Duration,
    pub(super) counters: ProgressSnapshot,
    /// Smoothed, in bytes a second.
    pub(super) rate: f64,
    /// What the items are: `files`, `tables`.
    pub(super) noun: &'static str,
}

impl Moment {
    /// How much is done, from 0 to 1, where the total is known and has not turned out too small.
    pub(super) fn fraction(&self) -> Option<f64> {
        let (done, total) = (self.counters.plain_bytes, self.counters.total_plain_bytes);
        (total > 0 && done <= total).then(|| done as f64 / total as f64)
    }

    /// How long the rest will take.
    pub(super) fn remaining(&self) -> Option<Duration> {
        self.fraction()?;
        let rest = self
            .counters
            .total_plain_bytes
            .saturating_sub(self.counters.plain_bytes);
        (self.rate >= 1.0).then(|| Duration::from_secs((rest as f64 / self.rate) as u64))
    }
}

/// Listens to one run and shows it. Dropping it clears what is on the terminal.
pub struct Listener {
    shared: Arc<Shared>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

struct Shared {
    console: Console,
    progress: Progress,
    begun: Instant,
    state: Mutex<State>,
    wake: Condvar,
}

struct State {
    view: Box<dyn View>,
    phase: Phase,
    noun: &'static str,
    rate: Rate,
    item_failures: u64,
    ended: bool,
}

impl Listener {
    /// A listener in the way that fits: bars on a terminal, JSON lines for programs, a line now and then elsewhere.
    #[must_use]
    pub fn new(console: &Console) -> Self {
        let settings = console.settings();
        let view: Box<dyn View> = match (settings.quiet || settings.no_progress, settings.json) {
            (true, _) => Box::new(Silent),
            (false, true) => Box::new(JsonLines),
            (false, false) if console.has_terminal() && !settings.log_json => Box::new(Bar::new()),
            (false, false) => Box::new(Lines),
        };
        Self {
            shared: Arc::new(Shared {
                console: console.clone(),
                progress: Progress::default(),
                begun: Instant::now(),
                state: Mutex::new(State {
                    view,
                    phase: Phase::Preparing,
                    noun: "files",
                    rate: Rate::default(),
                    item_failures: 0,
                    ended: false,
                }),
                wake: Condvar::new(),
            }),
            thread: Mutex::new(None),
        }
    }

    /// Says what the items are, where they are not `files`.
    pub fn name_items(&self, noun: &'static str) {
        self.shared.state().noun = noun;
    }

    /// Prints the progress at once, whatever the settings: for SIGUSR1.
    pub fn print_now(&self) {
        let moment = self.shared.moment(&mut self.shared.state());
        if self.shared.console.is_json() {
            JsonLines.draw(&moment, &self.shared.console);
        } else {
            Lines.draw(&moment, &self.shared.console);
        }
    }

    /// Ends the drawing; the terminal is as if there had been none.
    pub fn end(&self) {
        self.shared.state().ended = true;
        self.shared.wake.notify_all();
        let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(thread) = thread {
            // It only draws; a panic there has been printed already.
            let _ = thread.join();
        }
        self.shared.state().view.end(&self.shared.console);
    }

    fn start_drawing(&self, interval: Duration) {
        let mut thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner);
        if thread.is_none() {
            let shared = self.shared.clone();
            *thread = Some(std::thread::spawn(move || shared.draw_every(interval)));
        }
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.end();
    }
}

impl Shared {
    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn moment(&self, state: &mut State) -> Moment {
        let elapsed = self.begun.elapsed();
        let counters = self.progress.snapshot();
        let rate = state.rate.after(elapsed, counters.plain_bytes);
        Moment {
            phase: state.phase,
            elapsed,
            counters,
            rate,
            noun: state.noun,
        }
    }

    fn draw_every(&self, interval: Duration) {
        let mut state = self.state();
        while !state.ended {
            state = self
                .wake
                .wait_timeout(state, interval)
                .unwrap_or_else(PoisonError::into_inner)
                .0;
            if !state.ended {
                let moment = self.moment(&mut state);
                state.view.draw(&moment, &self.console);
            }
        }
    }
}

impl Reporter for Listener {
    fn event(&self, event: Event) {
        let console = &self.shared.console;
        match event {
            Event::Phase(phase) => {
                let interval = {
                    let mut state = self.shared.state();
                    state.phase = phase;
                    let moment = self.shared.moment(&mut state);
                    state.view.phase(&moment, console);
                    if state.ended { None } else { state.view.interval() }
                };
                if let Some(interval) = interval {
                    self.start_drawing(interval);
                }
            }
            Event::Note(text) => console.note(&text),
            Event::Warning(text) => console.warning(&text),
            Event::ItemFailed { item, during, message } => {
                let count = {
                    let mut state = self.shared.state();
                    state.item_failures += 1;
                    state.item_failures
                };
                let unlimited = console.is_json() || console.settings().verbose > 0;
                if unlimited || count <= ITEM_FAILURES_SHOWN_MAX {
                    console.item_failed(&item, during, &message);
                } else if count == ITEM_FAILURES_SHOWN_MAX + 1 {
                    console.note("Further items that fail are only counted; --verbose prints them all.");
                }
            }
            Event::Retrying {
                what,
                attempt,
                wait_millis,
                cause,
            } => {
                let wait = crate::base::units::format_duration(Duration::from_millis(wait_millis));
                let cause = cause.trim_end().trim_end_matches('.');
                console.warning(&format!(
                    "Trying again in {wait} to {what}, after attempt {attempt} failed: {cause}."
                ));
            }
        }
    }

    fn progress(&self) -> &Progress {
        &self.shared.progress
    }

    fn shows_progress(&self) -> bool {
        self.shared.state().view.interval().is_some()
    }
}

/// A rate that follows changes within seconds and does not jump.
#[derive(Debug, Default)]
struct Rate {
    at: Duration,
    bytes: u64,
    value: f64,
    since: Duration,
}

impl Rate {
    /// After this long, an old rate counts for about a third.
    const SMOOTHING_SECS: f64 = 5.0;
    /// Shorter steps are noise.
    const STEP_SECS_MIN: f64 = 0.05;

    fn after(&mut self, now: Duration, bytes: u64) -> f64 {
        if bytes == 0 || bytes < self.bytes {
            // Nothing has moved yet, or another stream begins: the time before it says nothing of how fast it will be.
            *self = Self {
                since: now,
                at: now,
                bytes,
                ..Self::default()
            };
            return 0.0;
        }
        let step = now.saturating_sub(self.at).as_secs_f64();
        if step < Self::STEP_SECS_MIN {
            return self.value;
        }
        let current = bytes.saturating_sub(self.bytes) as f64 / step;
        // In the first seconds it is the plain average.
        let average = step / now.saturating_sub(self.since).as_secs_f64();
        let weight = average.max(1.0 - (-step / Self::SMOOTHING_SECS).exp());
        self.value += (current - self.value) * weight;
        self.at = now;
        self.bytes = bytes;
        self.value
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::super::console::Shared as Sink;
    use super::*;
    use crate::ui::ConsoleSettings;

    fn listener(settings: ConsoleSettings) -> (Listener, Sink, Sink) {
        let (out, err) = (Sink::default(), Sink::default());
        let console = Console::with_sinks(settings, false, false, Box::new(out.clone()), Box::new(err.clone()));
        (Listener::new(&console), out, err)
    }

    #[test]
    fn time_before_the_first_byte_does_not_slow_the_rate() {
        let mut rate = Rate::default();
        assert!(rate.after(Duration::from_secs(9), 0) < 0.1);
        assert!(rate.after(Duration::from_millis(9100), 100) > 900.0);
        assert!((rate.after(Duration::from_secs(10), 1000) - 1000.0).abs() < 1.0);
        // The next stream of the run counts from its own beginning.
        assert!(rate.after(Duration::from_secs(20), 5) < 0.1);
    }

    #[test]
    fn the_rate_follows_the_bytes() {
        let mut rate = Rate::default();
        assert!((rate.after(Duration::from_secs(1), 100) - 100.0).abs() < 0.1);
        let mut last = 0.0;
        for second in 2..60 {
            last = rate.after(Duration::from_secs(second), second * 1000);
        }
        assert!((last - 1000.0).abs() < 1.0, "{last}");
    }

    #[test]
    fn signals_print_progress_even_when_quiet() {
        let settings = ConsoleSettings {
            quiet: true,
            ..ConsoleSettings::default()
        };
        let (listener, _, err) = listener(settings);
        listener.event(Event::Phase(Phase::BackingUp));
        listener.progress().set_totals(2048, 10);
        listener.progress().add_plain(1024);
        listener.progress().add_item();
        listener.print_now();
        listener.end();
        let text = err.text();
        assert!(text.starts_with("Backing up: 1 KiB of 2 KiB (50 %), "), "{text}");
        assert!(text.contains(", 1 of 10 files"), "{text}");
    }

    #[test]
    fn json_status_has_restics_fields() {
        let settings = ConsoleSettings {
            json: true,
            ..ConsoleSettings::default()
        };
        let (listener, out, _) = listener(settings);
        listener.event(Event::Phase(Phase::BackingUp));
        listener.progress().set_totals(400, 4);
        listener.progress().add_plain(100);
        listener.progress().set_current("a/b");
        listener.print_now();
        listener.end();
        let line: serde_json::Value = serde_json::from_str(out.text().lines().last().unwrap()).unwrap();
        assert_eq!(line["message_type"], "status");
        assert_eq!(line["percent_done"], 0.25);
        assert_eq!(line["total_bytes"], 400);
        assert_eq!(line["bytes_done"], 100);
        assert_eq!(line["total_files"], 4);
        assert_eq!(line["current_files"][0], "a/b");
    }

    #[test]
    fn a_million_failed_items_do_not_fill_the_terminal() {
        let (listener, _, err) = listener(ConsoleSettings::default());
        for number in 0..1000 {
            listener.event(Event::ItemFailed {
                item: number.to_string(),
                during: "read",
                message: "no".to_owned(),
            });
        }
        assert_eq!(err.text().lines().count(), 101);
        assert!(err.text().ends_with("--verbose prints them all.\n"));
    }

    #[test]
    fn a_total_that_was_too_small_is_not_shown_as_done() {
        let moment = Moment {
            phase: Phase::BackingUp,
            elapsed: Duration::from_secs(1),
            counters: ProgressSnapshot {
                plain_bytes: 20,
                total_plain_bytes: 10,
                ..ProgressSnapshot::default()
            },
            rate: 10.0,
            noun: "files",
        };
        assert_eq!(super::super::views::short_facts(&moment), "20 B  10 B/s");
        assert_eq!(moment.fraction(), None);
        assert_eq!(moment.remaining(), None);
    }
}
