//! The log of what happens inside, for `--verbose`: on standard error, with secrets masked.

use std::io::Write;

use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::MakeWriter;

use super::console::Console;
use super::failure::clean;

/// What is logged at each `-v`; the libraries below speak one level later than this program.
///
/// None of them may reach `trace`: there the HTTP libraries print whole requests.
const LEVELS: [&str; 4] = [
    "off,backup_cli=warn",
    "warn,backup_cli=info",
    "warn,aws_config=info,backup_cli=debug",
    "info,aws_config=debug,aws_smithy_runtime=debug,backup_cli=trace",
];

/// Starts the log. A second call has no effect.
pub fn start(console: &Console) {
    let settings = console.settings();
    let level = usize::from(settings.verbose).min(LEVELS.len() - 1);
    let filter = EnvFilter::new(if settings.quiet { "off" } else { LEVELS[level] });
    let lines = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(false)
        .with_writer(LogWriter(console.clone()));
    let started = if settings.log_json || settings.json {
        lines.json().flatten_event(true).try_init()
    } else {
        lines.with_target(settings.verbose > 1).try_init()
    };
    // Somebody has set a log up already, as tests do; theirs is as good.
    drop(started);
}

#[derive(Clone)]
struct LogWriter(Console);

impl<'a> MakeWriter<'a> for LogWriter {
    type Writer = Self;
    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

impl Write for LogWriter {
    /// The formatter hands over whole lines.
    fn write(&mut self, line: &[u8]) -> std::io::Result<usize> {
        self.0.error_line(&clean(&String::from_utf8_lossy(line)));
        Ok(line.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_level_is_a_filter() {
        for level in LEVELS {
            assert!(level.parse::<EnvFilter>().is_ok(), "{level}");
        }
    }
}
