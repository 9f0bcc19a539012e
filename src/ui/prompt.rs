//! Asks for a passphrase on the terminal, without showing it.

use std::fs::{File, OpenOptions};
use std::io::{BufRead, BufReader, Write};
use std::sync::Arc;

use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcsetattr};

use super::console::Console;
use super::failure::clean;
use crate::base::cancel::Cancel;
use crate::base::failure::{IoContext, Kind, Result};
use crate::base::secret::Secret;

/// The terminal of this process, whatever its standard streams are.
const TERMINAL: &str = "/dev/tty";

/// The terminal without echo, until it is dropped.
struct Silent {
    terminal: File,
    before: Termios,
}

impl Silent {
    fn begin(terminal: &File) -> std::io::Result<Self> {
        let terminal = terminal.try_clone()?;
        let before = tcgetattr(&terminal)?;
        let mut silent = before.clone();
        silent.local_modes.remove(LocalModes::ECHO);
        silent.local_modes.insert(LocalModes::ECHONL);
        tcsetattr(&terminal, OptionalActions::Now, &silent)?;
        Ok(Self { terminal, before })
    }

    fn end(&self) {
        // Nothing can be done about a terminal that went away.
        let _ = tcsetattr(&self.terminal, OptionalActions::Now, &self.before);
    }
}

impl Drop for Silent {
    fn drop(&mut self) {
        self.end();
    }
}

impl Console {
    /// Asks for a passphrase; `None` if there is no terminal to ask on, or nothing was typed.
    ///
    /// # Errors
    /// If the terminal cannot be read.
    pub fn ask_passphrase(&self, prompt: &str, cancel: &Cancel) -> Result<Option<Secret>> {
        cancel.check()?;
        if self.is_json() || !self.has_terminal() {
            return Ok(None);
        }
        let Ok(terminal) = OpenOptions::new().read(true).write(true).open(TERMINAL) else {
            return Ok(None);
        };
        let doing = || "ask for a passphrase on the terminal";
        let answer = self.above_bar(|| -> Result<String> {
            let silent = Arc::new(Silent::begin(&terminal).doing(doing)?);
            let on_cancel = silent.clone();
            // A read of the terminal cannot be interrupted, and nothing has been begun: leave at once, with its echo.
            let _leave = cancel.on_cancel(move || {
                on_cancel.end();
                std::process::exit(i32::from(Kind::Interrupted.exit_code()))
            });
            (&terminal)
                .write_all(format!("{}: ", clean(prompt)).as_bytes())
                .doing(doing)?;
            let mut answer = String::new();
            BufReader::new(&terminal).read_line(&mut answer).doing(doing)?;
            Ok(answer)
        })?;
        let answer = answer.trim_end_matches(['\r', '\n']);
        Ok((!answer.is_empty()).then(|| Secret::new(answer)))
    }
}
