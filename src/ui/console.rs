//! Standard output and standard error: the answer, and everything else.

use std::io::{BufRead, IsTerminal, Write};
use std::sync::{Arc, Mutex, PoisonError};

use indicatif::ProgressBar;
use serde::Serialize;

use self::documents::Form;
use super::failure::{ExitError, Headings, clean, render};
use crate::base::cancel::Cancel;
use crate::base::failure::{Failure, IoContext, Kind, Result};

mod documents;

/// When to use colour.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ColorChoice {
    /// On a terminal that wants it.
    #[default]
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

/// How to talk to the user.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ConsoleSettings {
    /// Print JSON.
    pub json: bool,
    /// Print errors only.
    pub quiet: bool,
    /// How much to log: 0 warnings, 1 information, 2 debugging, 3 everything.
    pub verbose: u8,
    /// Show no progress.
    pub no_progress: bool,
    /// Messages on standard error are JSON lines.
    pub log_json: bool,
    /// When to use colour.
    pub color: ColorChoice,
    /// Whether `NO_COLOR` is set to something.
    pub no_color: bool,
    /// Whether `TERM` says that the terminal cannot move its cursor.
    pub dumb_terminal: bool,
}

/// Where output goes. Clones share it.
#[derive(Clone)]
pub struct Console {
    inner: Arc<Inner>,
    /// How documents are written, which is the one thing that a clone may have for itself.
    form: Form,
}

struct Inner {
    settings: ConsoleSettings,
    stdout: Mutex<Output>,
    stderr: Mutex<Box<dyn Write + Send>>,
    stderr_is_terminal: bool,
    stdout_is_data: bool,
    color: bool,
    /// The bar on the terminal, which has to make room for other lines.
    bar: Mutex<Option<ProgressBar>>,
}

struct Output {
    sink: Box<dyn Write + Send>,
    /// The reader went away; what would follow has no one to read it.
    closed: bool,
}

impl std::fmt::Debug for Console {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Console")
            .field("settings", &self.inner.settings)
            .finish_non_exhaustive()
    }
}

fn locked<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Console {
    /// The console of this process. With `stdout_is_data`, standard output carries a backup's content and messages for
    /// programs go to standard error instead.
    #[must_use]
    pub fn new(settings: ConsoleSettings, stdout_is_data: bool) -> Self {
        let stderr_is_terminal = std::io::stderr().is_terminal();
        Self::with_sinks(
            settings,
            stdout_is_data,
            stderr_is_terminal,
            Box::new(std::io::stdout()),
            Box::new(std::io::stderr()),
        )
    }

    /// A console that writes elsewhere, for tests.
    #[must_use]
    pub fn with_sinks(
        settings: ConsoleSettings,
        stdout_is_data: bool,
        stderr_is_terminal: bool,
        stdout: Box<dyn Write + Send>,
        stderr: Box<dyn Write + Send>,
    ) -> Self {
        let color = match settings.color {
            ColorChoice::Always => true,
            ColorChoice::Never => false,
            ColorChoice::Auto => stderr_is_terminal && !settings.no_color && !settings.dumb_terminal,
        };
        let stdout = Output {
            sink: stdout,
            closed: false,
        };
        let inner = Arc::new(Inner {
            settings,
            stdout: Mutex::new(stdout),
            stderr: Mutex::new(stderr),
            stderr_is_terminal,
            stdout_is_data,
            color,
            bar: Mutex::new(None),
        });
        Self {
            inner,
            form: Form::Pretty,
        }
    }

    /// The same console for a command that answers with several documents: each takes a line, so that they can be told apart.
    #[must_use]
    pub fn with_documents_in_lines(&self) -> Self {
        Self {
            inner: self.inner.clone(),
            form: Form::Line,
        }
    }

    /// How to talk to the user.
    #[must_use]
    pub fn settings(&self) -> &ConsoleSettings {
        &self.inner.settings
    }

    /// Whether answers are JSON.
    #[must_use]
    pub fn is_json(&self) -> bool {
        self.inner.settings.json
    }

    /// Whether a bar can be drawn.
    #[must_use]
    pub fn has_terminal(&self) -> bool {
        self.inner.stderr_is_terminal && !self.inner.settings.dumb_terminal
    }

    fn headings(&self) -> Headings {
        Headings::new(self.inner.color)
    }

    /// Prints an answer on standard output; a line end is added if there is none.
    ///
    /// A reader that went away (`| head`) has seen enough, which is no failure.
    ///
    /// # Errors
    /// If standard output cannot be written for another reason.
    pub fn answer(&self, text: &str) -> Result<()> {
        self.above_bar(|| {
            let mut stdout = locked(&self.inner.stdout);
            if stdout.closed || text.is_empty() {
                return Ok(());
            }
            let end = if text.ends_with('\n') { "" } else { "\n" };
            let written = stdout
                .sink
                .write_all(text.as_bytes())
                .and_then(|()| stdout.sink.write_all(end.as_bytes()))
                .and_then(|()| stdout.sink.flush());
            match written {
                Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => {
                    stdout.closed = true;
                    Ok(())
                }
                other => other.doing(|| "write to standard output"),
            }
        })
    }

    /// Prints one of the JSON lines of a long command, such as its `summary`.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn json_line<T: Serialize>(&self, line: &T) -> Result<()> {
        let text = serde_json::to_string(line).map_err(not_json)?;
        if self.inner.stdout_is_data {
            self.error_line(&text);
            Ok(())
        } else {
            self.answer(&text)
        }
    }

    /// Prints the summary of a command for people, where `--quiet` does not forbid it: on standard error if standard
    /// output carries a backup's content.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn summary(&self, text: &str) -> Result<()> {
        if self.inner.settings.quiet || self.inner.settings.json {
            return Ok(());
        }
        if self.inner.stdout_is_data {
            self.error_line(text);
            Ok(())
        } else {
            self.answer(text)
        }
    }

    /// Prints a JSON line on standard error; nothing can be done if that fails.
    pub fn error_json<T: Serialize>(&self, line: &T) {
        if let Ok(text) = serde_json::to_string(line) {
            self.error_line(&text);
        }
    }

    /// Prints lines on standard error; nothing can be done if that fails.
    pub fn error_line(&self, text: &str) {
        self.above_bar(|| {
            let mut stderr = locked(&self.inner.stderr);
            let end = if text.ends_with('\n') { "" } else { "\n" };
            let _ = stderr
                .write_all(format!("{text}{end}").as_bytes())
                .and_then(|()| stderr.flush());
        });
    }

    /// Says something that is good to know: a full sentence with a stop.
    pub fn note(&self, text: &str) {
        self.message("note", "INFO", None, text);
    }

    /// Says something to look into: a full sentence with a stop.
    pub fn warning(&self, text: &str) {
        self.message("warning", "WARN", Some(self.headings().warning()), text);
    }

    /// Says that one item of many failed.
    pub fn item_failed(&self, item: &str, during: &str, message: &str) {
        if self.is_json() {
            self.error_json(&serde_json::json!({
                "message_type": "error",
                "error": { "message": crate::base::secret::redact(message) },
                "during": during,
                "item": item,
            }));
        } else {
            let heading = self.headings().error();
            let text = format!("Could not {during} `{item}`: {message}");
            self.loud("ERROR", Some(heading), &text);
        }
    }

    fn message(&self, message_type: &str, level: &str, heading: Option<String>, text: &str) {
        if self.inner.settings.quiet {
            return;
        }
        if self.is_json() {
            self.error_json(&serde_json::json!({
                "message_type": message_type,
                "message": crate::base::secret::redact(text),
            }));
        } else {
            self.loud(level, heading, text);
        }
    }

    fn loud(&self, level: &str, heading: Option<String>, text: &str) {
        if self.inner.settings.log_json {
            self.error_json(&serde_json::json!({
                "timestamp": jiff::Timestamp::now().to_string(),
                "level": level,
                "message": crate::base::secret::redact(text),
            }));
            return;
        }
        let text = clean(text);
        match heading {
            Some(heading) => self.error_line(&format!("{heading} {text}")),
            None => self.error_line(&text),
        }
    }

    /// Prints a failure in the format of this console.
    pub fn failure(&self, failure: &Failure) {
        if self.is_json() {
            self.error_json(&ExitError::new(failure));
        } else if self.inner.settings.log_json {
            let mut line = serde_json::json!(ExitError::new(failure));
            line["timestamp"] = jiff::Timestamp::now().to_string().into();
            line["level"] = "ERROR".into();
            self.error_json(&line);
        } else {
            self.error_line(&render(failure, self.headings()));
        }
    }

    /// Asks a question that is answered with `y` or `yes`; anything else, and no terminal to ask on, is a no.
    ///
    /// # Errors
    /// [`Kind::Refused`] without a terminal, so that the reason is not taken for the user's own no.
    pub fn confirm(&self, question: &str, cancel: &Cancel) -> Result<bool> {
        cancel.check()?;
        if !std::io::stdin().is_terminal() || !self.inner.stderr_is_terminal || self.is_json() {
            return Err(Failure::new(
                Kind::Refused,
                "This needs a confirmation, and there is no terminal to ask on",
            )
            .caused_by(anyhow::anyhow!(
                "{}",
                question.trim_end_matches(" Go ahead?").trim_end_matches('.')
            ))
            .hint("Add --confirm to go ahead without a question, or --dry-run to see what would happen"));
        }
        // Nothing has been begun, and a read of the terminal cannot be interrupted: leave at once.
        let _leave = cancel.on_cancel(|| {
            // The question has no line end yet.
            let _ = std::io::stderr().write_all(b"\n");
            std::process::exit(i32::from(Kind::Interrupted.exit_code()))
        });
        let mut answer = String::new();
        self.above_bar(|| {
            let mut stderr = locked(&self.inner.stderr);
            let _ = stderr
                .write_all(format!("{} [y/N] ", clean(question)).as_bytes())
                .and_then(|()| stderr.flush());
            std::io::stdin().lock().read_line(&mut answer)
        })
        .doing(|| "read the answer")?;
        Ok(matches!(answer.trim().to_ascii_lowercase().as_str(), "y" | "yes"))
    }

    /// Runs `print` while the bar, if there is one, is out of the way.
    pub(super) fn above_bar<T>(&self, print: impl FnOnce() -> T) -> T {
        let bar = locked(&self.inner.bar).clone();
        match bar {
            Some(bar) => bar.suspend(print),
            None => print(),
        }
    }

    /// Registers the bar that is on the terminal, or that there is none any more.
    pub(super) fn set_bar(&self, bar: Option<ProgressBar>) {
        *locked(&self.inner.bar) = bar;
    }
}

fn not_json(error: serde_json::Error) -> Failure {
    Failure::new(Kind::Failed, "Could not write the answer as JSON").caused_by(error)
}

/// A sink that others can look into, for tests.
#[cfg(test)]
#[derive(Clone, Default)]
pub(crate) struct Shared(pub(crate) Arc<Mutex<Vec<u8>>>);

#[cfg(test)]
impl Shared {
    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&locked(&self.0)).into_owned()
    }
}

#[cfg(test)]
impl Write for Shared {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        locked(&self.0).extend_from_slice(bytes);
        Ok(bytes.len())
    }
    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    struct Broken(std::io::ErrorKind);

    impl Write for Broken {
        fn write(&mut self, _: &[u8]) -> std::io::Result<usize> {
            Err(self.0.into())
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    fn console(settings: ConsoleSettings, terminal: bool) -> (Console, Shared, Shared) {
        let (out, err) = (Shared::default(), Shared::default());
        let console = Console::with_sinks(settings, false, terminal, Box::new(out.clone()), Box::new(err.clone()));
        (console, out, err)
    }

    #[test]
    fn a_reader_that_went_away_is_no_failure_and_a_full_disk_is_one() {
        for (kind, is_ok) in [
            (std::io::ErrorKind::BrokenPipe, true),
            (std::io::ErrorKind::StorageFull, false),
        ] {
            let sink = Box::new(Broken(kind));
            let console = Console::with_sinks(
                ConsoleSettings::default(),
                false,
                false,
                sink,
                Box::new(std::io::sink()),
            );
            assert_eq!(console.answer("x").is_ok(), is_ok);
            assert_eq!(console.answer("x").is_ok(), is_ok);
        }
    }

    #[test]
    fn answers_and_messages_stay_apart() {
        let (console, out, err) = console(ConsoleSettings::default(), false);
        console.answer("answer").unwrap();
        console.note("A note.");
        console.warning("A warn\u{1b}ing.");
        console.item_failed("a/b", "read", "Permission denied");
        assert_eq!(out.text(), "answer\n");
        assert_eq!(
            err.text(),
            "A note.\nWarning: A warn\\u{1b}ing.\nError: Could not read `a/b`: Permission denied\n"
        );
    }

    #[test]
    fn quiet_leaves_errors_only() {
        let settings = ConsoleSettings {
            quiet: true,
            ..ConsoleSettings::default()
        };
        let (console, out, err) = console(settings, true);
        console.note("A note.");
        console.warning("A warning.");
        console.summary("done").unwrap();
        console.failure(&Failure::new(Kind::Failed, "It failed"));
        assert_eq!(out.text(), "");
        assert_eq!(err.text(), "\u{1b}[1;31mError:\u{1b}[0m It failed\n");
    }

    #[test]
    fn programs_get_json_on_both_sides() {
        let settings = ConsoleSettings {
            json: true,
            ..ConsoleSettings::default()
        };
        let (console, out, err) = console(settings, false);
        console
            .json_line(&serde_json::json!({"message_type": "summary"}))
            .unwrap();
        console.warning("Look.");
        console.item_failed("a", "read", "no");
        console.failure(&Failure::new(Kind::Locked, "Locked"));
        assert_eq!(out.text(), "{\"message_type\":\"summary\"}\n");
        let types: Vec<String> = err
            .text()
            .lines()
            .map(|line| {
                serde_json::from_str::<serde_json::Value>(line).unwrap()["message_type"]
                    .as_str()
                    .unwrap()
                    .to_owned()
            })
            .collect();
        assert_eq!(types, ["warning", "error", "exit_error"]);
    }

    #[test]
    fn data_on_standard_output_is_not_mixed_with_lines() {
        let (out, err) = (Shared::default(), Shared::default());
        let settings = ConsoleSettings {
            json: true,
            ..ConsoleSettings::default()
        };
        let console = Console::with_sinks(settings, true, false, Box::new(out.clone()), Box::new(err.clone()));
        console.json_line(&1).unwrap();
        assert_eq!((out.text().as_str(), err.text().as_str()), ("", "1\n"));
    }

    #[test]
    fn colour_follows_the_rules() {
        let always = ConsoleSettings {
            color: ColorChoice::Always,
            no_color: true,
            ..ConsoleSettings::default()
        };
        let no_color = ConsoleSettings {
            no_color: true,
            ..ConsoleSettings::default()
        };
        let dumb = ConsoleSettings {
            dumb_terminal: true,
            ..ConsoleSettings::default()
        };
        for (settings, terminal, painted) in [
            (ConsoleSettings::default(), true, true),
            (ConsoleSettings::default(), false, false),
            (always, false, true),
            (no_color, true, false),
            (dumb, true, false),
        ] {
            let (console, _, err) = console(settings.clone(), terminal);
            console.warning("x");
            assert_eq!(err.text().contains('\u{1b}'), painted, "{settings:?} {terminal}");
        }
    }
}
