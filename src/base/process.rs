//! Child processes: started without a shell, killed on cancellation, judged by their exit status and last words.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::ffi::{OsStr, OsString};
use std::io::{BufRead, BufReader, Write};
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::PathBuf;
use std::process::{Child, ChildStdin, ChildStdout, Command, ExitStatus, Stdio};
use std::sync::mpsc::Receiver;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use super::cancel::{Cancel, CancelGuard};
use super::failure::{Failure, IoContext, Kind, Result};
use super::secret::{Secret, redact};

/// Lines of standard error kept: enough for a stack of errors, bounded however much a tool complains.
pub const STDERR_LINES_MAX: usize = 50;
/// Bytes of one line of standard error kept.
pub const STDERR_LINE_BYTES_MAX: usize = 1000;

/// The longest text that a child is handed in secret, in bytes: what every pipe takes without a reader.
const SECRET_BYTES_MAX: usize = 4096;

/// How long the last words of a child that has ended are waited for. What it started may hold its standard error open for
/// ever (a daemon, the master of a shared SSH connection), and its own words are in the pipe already.
const LAST_WORDS_PATIENCE: Duration = Duration::from_secs(2);

/// The variable of the environment, if it is set and not empty.
#[must_use]
pub fn env_var(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

/// Finds a program in `PATH`, or checks a path with a slash.
#[must_use]
pub fn find_program(name: &str) -> Option<PathBuf> {
    let executable = |path: &PathBuf| {
        use std::os::unix::fs::PermissionsExt;
        path.metadata()
            .is_ok_and(|meta| meta.is_file() && meta.permissions().mode() & 0o111 != 0)
    };
    if name.contains('/') {
        return Some(PathBuf::from(name)).filter(executable);
    }
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path)
        .map(|folder| folder.join(name))
        .find(executable)
}

/// How a finished child ended.
#[derive(Debug)]
pub struct Exit {
    /// The status that the system gave.
    pub status: ExitStatus,
    /// The last lines of standard error, secrets masked.
    pub stderr_tail: Vec<String>,
    /// How many lines of standard error there were in all.
    pub stderr_lines: u64,
}

impl Exit {
    /// Whether the child exited by itself with status 0.
    #[must_use]
    pub fn is_success(&self) -> bool {
        self.status.success()
    }

    /// `exit status 1` or `signal 9 (killed)`, for messages.
    #[must_use]
    pub fn describe(&self) -> String {
        match (self.status.code(), self.status.signal()) {
            (Some(code), _) => format!("exit status {code}"),
            (None, Some(signal)) => format!("signal {signal}"),
            (None, None) => self.status.to_string(),
        }
    }

    /// The failure of a child that should have exited with 0, with its last words as the cause.
    #[must_use]
    pub fn failure(&self, kind: Kind, program: &str) -> Failure {
        let failure = Failure::new(kind, format!("`{program}` failed with {}", self.describe()));
        if self.stderr_tail.is_empty() {
            failure.hint(format!(
                "`{program}` said nothing on standard error; run it by hand to see why"
            ))
        } else {
            failure
                .caused_by(anyhow::anyhow!("{}", self.stderr_tail.join("\n")))
                .hint(format!(
                    "These are `{program}`'s own last words; run it by hand to see more"
                ))
        }
    }
}

/// What is to be started.
///
/// Secrets go into the environment or into files, never into `arguments`: the command line of a process is world-readable.
pub struct Program {
    path: PathBuf,
    arguments: Vec<OsString>,
    environment: Vec<(OsString, OsString)>,
    unset: Vec<OsString>,
    takes_input: bool,
    secret: Option<(&'static str, Secret)>,
}

impl std::fmt::Debug for Program {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // Of the environment only the names: the values may be secrets.
        let variables: Vec<_> = self.environment.iter().map(|(name, _)| name).collect();
        f.debug_struct("Program")
            .field("path", &self.path)
            .field("arguments", &self.arguments)
            .field("environment", &variables)
            .finish_non_exhaustive()
    }
}

impl Program {
    /// A program by its path.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self {
            path: path.into(),
            arguments: Vec::new(),
            environment: Vec::new(),
            unset: Vec::new(),
            takes_input: false,
            secret: None,
        }
    }

    /// Adds one argument.
    #[must_use]
    pub fn arg(mut self, argument: impl AsRef<OsStr>) -> Self {
        self.arguments.push(argument.as_ref().to_owned());
        self
    }

    /// Adds arguments.
    #[must_use]
    pub fn args<S: AsRef<OsStr>>(mut self, arguments: impl IntoIterator<Item = S>) -> Self {
        self.arguments
            .extend(arguments.into_iter().map(|a| a.as_ref().to_owned()));
        self
    }

    /// Sets a variable of the child's environment.
    #[must_use]
    pub fn env(mut self, name: impl AsRef<OsStr>, value: impl AsRef<OsStr>) -> Self {
        self.environment
            .push((name.as_ref().to_owned(), value.as_ref().to_owned()));
        self
    }

    /// Removes a variable from the child's environment.
    #[must_use]
    pub fn env_remove(mut self, name: impl AsRef<OsStr>) -> Self {
        self.unset.push(name.as_ref().to_owned());
        self
    }

    /// Gives the child a pipe as standard input; without this it is `/dev/null`.
    #[must_use]
    pub fn with_input(mut self) -> Self {
        self.takes_input = true;
        self
    }

    /// Hands the child a text that it can read once, from a pipe: `option` with that pipe's path is its first argument.
    ///
    /// So the text is in no file, on no command line and in no environment, and when the child has read it, nowhere.
    #[must_use]
    pub fn with_secret(mut self, option: &'static str, text: Secret) -> Self {
        self.secret = Some((option, text));
        self
    }

    /// The program's file name, for messages.
    #[must_use]
    pub fn name(&self) -> String {
        self.path
            .file_name()
            .unwrap_or(self.path.as_os_str())
            .to_string_lossy()
            .into_owned()
    }

    /// Starts it in a process group of its own, with standard output and error as pipes.
    ///
    /// The group is killed when `cancel` is set: a terminal's Ctrl-C must not end the dump before the upload is poisoned.
    ///
    /// # Errors
    /// [`Kind::Tool`] if the program cannot be started.
    pub fn start(self, cancel: &Cancel) -> Result<Running> {
        cancel.check()?;
        let name = self.name();
        let mut command = Command::new(&self.path);
        let secret_pipe = match &self.secret {
            None => None,
            Some((option, text)) => {
                let pipe = secret_pipe(text)?;
                command.arg(format!("{option}/dev/fd/{}", pipe.as_raw_fd()));
                Some(pipe)
            }
        };
        command
            .args(&self.arguments)
            .stdin(if self.takes_input {
                Stdio::piped()
            } else {
                Stdio::null()
            })
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0);
        for variable in &self.unset {
            command.env_remove(variable);
        }
        for (variable, value) in &self.environment {
            command.env(variable, value);
        }
        let mut child = command.spawn().map_err(|error| {
            Failure::new(Kind::Tool, format!("Could not start `{}`", self.path.display()))
                .caused_by(error)
                .hint(format!("Is `{name}` installed, in PATH and executable?"))
        })?;
        drop(secret_pipe);
        let tail = Arc::new(Mutex::new(Tail::default()));
        let stderr_ended = child.stderr.take().map(|stderr| {
            let tail = tail.clone();
            let (ends, ended) = std::sync::mpsc::channel::<Infallible>();
            std::thread::spawn(move || {
                keep_tail(BufReader::new(stderr), &tail);
                drop(ends);
            });
            ended
        });
        let group = rustix::process::Pid::from_child(&child);
        let guard = cancel.on_cancel(move || kill_group(group));
        Ok(Running {
            name,
            stdout: child.stdout.take(),
            stdin: child.stdin.take(),
            child,
            tail,
            stderr_ended,
            guard,
            waited: false,
        })
    }

    /// Runs it to its end and returns standard output as text, for short answers such as `--version`.
    ///
    /// # Errors
    /// [`Kind::Tool`] if it cannot be started; the given kind if it does not exit with 0.
    pub fn output(self, failed: Kind, cancel: &Cancel) -> Result<String> {
        let name = self.name();
        let mut running = self.start(cancel)?;
        drop(running.stdin.take());
        let mut text = Vec::new();
        if let Some(mut stdout) = running.stdout.take() {
            std::io::Read::read_to_end(&mut stdout, &mut text)
                .map_err(|error| super::failure::io_failure(format!("read the output of `{name}`"), error))?;
        }
        let exit = running.wait()?;
        cancel.check()?;
        if exit.is_success() {
            Ok(String::from_utf8_lossy(&text).into_owned())
        } else {
            Err(exit.failure(failed, &name))
        }
    }
}

/// The reading end of a pipe that holds the text and that children inherit.
///
/// Children that another thread starts at the same moment inherit it too; they are programs of the same run and user.
fn secret_pipe(text: &Secret) -> Result<OwnedFd> {
    let doing = || "hand a secret to a program";
    let bytes = text.expose().as_bytes();
    if bytes.len() > SECRET_BYTES_MAX {
        return Err(Failure::new(
            Kind::Config,
            format!("A program's secret settings have more than {SECRET_BYTES_MAX} bytes"),
        )
        .hint("Is the password really a password?"));
    }
    let (reading, mut writing) = std::io::pipe().doing(doing)?;
    writing.write_all(bytes).doing(doing)?;
    let reading = OwnedFd::from(reading);
    rustix::io::fcntl_setfd(&reading, rustix::io::FdFlags::empty())
        .map_err(std::io::Error::from)
        .doing(doing)?;
    Ok(reading)
}

fn kill_group(group: rustix::process::Pid) {
    // It may have ended by itself in the meantime, which is just as well.
    let _ = rustix::process::kill_process_group(group, rustix::process::Signal::KILL);
}

/// A child that has been started. Dropping it before [`Running::wait`] kills its process group.
#[derive(Debug)]
pub struct Running {
    name: String,
    /// The child's standard output.
    pub stdout: Option<ChildStdout>,
    /// The child's standard input, if asked for.
    pub stdin: Option<ChildStdin>,
    child: Child,
    tail: Arc<Mutex<Tail>>,
    /// Never gets a message; its other end is gone when standard error has ended.
    stderr_ended: Option<Receiver<Infallible>>,
    guard: CancelGuard,
    waited: bool,
}

impl Running {
    /// The program's name, for messages.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Kills the child and everything it started.
    pub fn kill(&mut self) {
        if !self.waited {
            kill_group(rustix::process::Pid::from_child(&self.child));
        }
    }

    /// Waits for the end of the child, and a moment for that of its standard error.
    ///
    /// Standard input is closed first. Standard output must have been read to its end, or the child may never end.
    ///
    /// # Errors
    /// If the system cannot tell.
    pub fn wait(mut self) -> Result<Exit> {
        drop(self.stdin.take());
        drop(self.stdout.take());
        let status = self
            .child
            .wait()
            .map_err(|error| super::failure::io_failure(format!("wait for `{}`", self.name), error))?;
        self.waited = true;
        if let Some(ended) = self.stderr_ended.take() {
            // Either way the words that are there are taken; the thread ends by itself.
            let _ = ended.recv_timeout(LAST_WORDS_PATIENCE);
        }
        let tail = self.tail.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(Exit {
            status,
            stderr_tail: tail.lines.iter().map(|line| redact(line)).collect(),
            stderr_lines: tail.count,
        })
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if !self.waited {
            kill_group(rustix::process::Pid::from_child(&self.child));
            let _ = self.child.wait();
        }
        let _ = &self.guard;
    }
}

#[derive(Debug, Default)]
struct Tail {
    lines: VecDeque<String>,
    count: u64,
}

fn keep_tail(mut from: impl BufRead, tail: &Mutex<Tail>) {
    let mut line = Vec::new();
    loop {
        line.clear();
        match read_line_bounded(&mut from, &mut line) {
            Ok(0) | Err(_) => return,
            Ok(_) => {
                let text = String::from_utf8_lossy(&line).trim_end().to_owned();
                let mut tail = tail.lock().unwrap_or_else(PoisonError::into_inner);
                tail.count += 1;
                if tail.lines.len() == STDERR_LINES_MAX {
                    tail.lines.pop_front();
                }
                tail.lines.push_back(text);
            }
        }
    }
}

/// Reads one line, keeping its first [`STDERR_LINE_BYTES_MAX`] bytes; returns the bytes consumed.
fn read_line_bounded(from: &mut impl BufRead, line: &mut Vec<u8>) -> std::io::Result<usize> {
    let mut consumed = 0;
    loop {
        let available = from.fill_buf()?;
        if available.is_empty() {
            return Ok(consumed);
        }
        let end = available.iter().position(|b| *b == b'\n');
        let take = end.map_or(available.len(), |at| at + 1);
        let room = STDERR_LINE_BYTES_MAX.saturating_sub(line.len());
        line.extend_from_slice(&available[..take.min(room)]);
        from.consume(take);
        consumed += take;
        if end.is_some() {
            return Ok(consumed);
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn sh(script: &str) -> Program {
        Program::new("/bin/sh").arg("-c").arg(script)
    }

    #[test]
    fn the_last_words_are_kept_and_bounded() {
        let exit = sh("i=0; while [ $i -lt 200 ]; do echo line $i >&2; i=$((i+1)); done; exit 7")
            .start(&Cancel::new())
            .unwrap()
            .wait()
            .unwrap();
        assert_eq!(exit.describe(), "exit status 7");
        assert_eq!(exit.stderr_lines, 200);
        assert_eq!(exit.stderr_tail.len(), STDERR_LINES_MAX);
        assert_eq!(exit.stderr_tail.last().unwrap(), "line 199");
    }

    #[test]
    fn cancelling_kills_what_the_child_started_too() {
        let cancel = Cancel::new();
        let mut running = sh("sleep 60 & sleep 60").start(&cancel).unwrap();
        let began = std::time::Instant::now();
        cancel.cancel();
        let mut out = Vec::new();
        std::io::Read::read_to_end(running.stdout.as_mut().unwrap(), &mut out).unwrap();
        assert!(!running.wait().unwrap().is_success());
        assert!(began.elapsed().as_secs() < 30);
    }

    #[test]
    fn what_the_child_left_running_does_not_hold_up_its_end() {
        let began = std::time::Instant::now();
        let script = "echo why >&2; setsid sleep 30 >/dev/null & exit 3";
        let exit = sh(script).start(&Cancel::new()).unwrap().wait().unwrap();
        assert!(began.elapsed().as_secs() < 20, "{:?}", began.elapsed());
        assert_eq!(
            (exit.describe().as_str(), exit.stderr_tail),
            ("exit status 3", vec!["why".to_owned()])
        );
    }

    #[test]
    fn a_program_is_shown_without_the_values_of_its_environment() {
        let shown = format!("{:?}", sh("true").env("PGPASSWORD", "canary-of-debug"));
        assert!(shown.contains("PGPASSWORD") && !shown.contains("canary"), "{shown}");
    }

    #[test]
    fn a_secret_reaches_the_child_and_no_place_where_others_look() {
        let folder = tempfile::tempdir().unwrap();
        let show = folder.path().join("show");
        std::fs::write(
            &show,
            "#!/bin/sh\ncat \"${1#--from=}\"\ntr '\\0' ' ' </proc/$$/cmdline\nenv\ncat \"${1#--from=}\"\n",
        )
        .unwrap();
        std::fs::set_permissions(&show, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
        let text = Program::new(&show)
            .arg("more")
            .with_secret("--from=", Secret::new("canary-of-the-pipe"))
            .output(Kind::Failed, &Cancel::new())
            .unwrap();
        assert!(text.starts_with("canary-of-the-pipe"), "{text}");
        assert!(text.contains(" more"), "{text}");
        assert_eq!(text.matches("canary").count(), 1, "{text}");
        let long = Secret::new("x".repeat(SECRET_BYTES_MAX + 1));
        let failure = Program::new(&show)
            .with_secret("--from=", long)
            .start(&Cancel::new())
            .unwrap_err();
        assert_eq!(failure.kind(), Kind::Config);
    }

    #[test]
    fn a_missing_program_is_a_tool_failure_with_a_hint() {
        let failure = Program::new("/nonexistent/pg_dump").start(&Cancel::new()).unwrap_err();
        assert_eq!(failure.kind(), Kind::Tool);
        assert!(!failure.hints().is_empty());
    }
}
