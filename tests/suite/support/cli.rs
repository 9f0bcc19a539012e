//! The binary as a subprocess, in an environment that holds nothing but what the test gives it.

use std::ffi::{OsStr, OsString};
use std::io::{Read, Write};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process, kill_process_group};

use super::server::fresh_folder;

/// How long a run may take before it is killed and its test fails.
pub const RUN_MAX: Duration = Duration::from_secs(120);

/// A user of the tool: a home of its own, an environment of its own.
#[derive(Debug)]
pub struct Cli {
    home: tempfile::TempDir,
    environment: Vec<(OsString, OsString)>,
    current_folder: Option<PathBuf>,
    wrapper: Vec<OsString>,
}

impl Cli {
    /// A user with nothing configured.
    pub fn new() -> Self {
        Self {
            home: fresh_folder("home"),
            environment: Vec::new(),
            current_folder: None,
            wrapper: Vec::new(),
        }
    }

    /// Starts every run through another program, such as `setpriv`, that takes the binary as its last arguments.
    #[must_use]
    pub fn through<S: AsRef<OsStr>>(mut self, wrapper: impl IntoIterator<Item = S>) -> Self {
        self.wrapper = wrapper.into_iter().map(|word| word.as_ref().to_owned()).collect();
        self
    }

    /// Sets a variable for every run.
    #[must_use]
    pub fn env(mut self, name: impl AsRef<OsStr>, value: impl AsRef<OsStr>) -> Self {
        self.environment
            .push((name.as_ref().to_owned(), value.as_ref().to_owned()));
        self
    }

    /// Sets variables for every run.
    #[must_use]
    pub fn envs<N: AsRef<OsStr>, V: AsRef<OsStr>>(self, variables: impl IntoIterator<Item = (N, V)>) -> Self {
        variables
            .into_iter()
            .fold(self, |cli, (name, value)| cli.env(name, value))
    }

    /// Runs in a folder instead of in the user's home.
    #[must_use]
    pub fn in_folder(mut self, folder: impl Into<PathBuf>) -> Self {
        self.current_folder = Some(folder.into());
        self
    }

    /// The user's home, empty at first, removed with this value.
    pub fn home(&self) -> &Path {
        self.home.path()
    }

    /// One run, to be described further.
    pub fn command<S: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = S>) -> CliCommand {
        self.command_through::<&str, S>(&[], arguments)
    }

    /// One run through another program, after those of all runs.
    pub fn command_through<W: AsRef<OsStr>, S: AsRef<OsStr>>(
        &self,
        wrapper: &[W],
        arguments: impl IntoIterator<Item = S>,
    ) -> CliCommand {
        let home = self.home.path();
        let mut words = self.wrapper.clone();
        words.extend(wrapper.iter().map(|word| word.as_ref().to_owned()));
        words.push(env!("CARGO_BIN_EXE_backup-cli").into());
        let mut command = Command::new(&words[0]);
        command.args(&words[1..]);
        let arguments: Vec<OsString> = arguments
            .into_iter()
            .map(|argument| argument.as_ref().to_owned())
            .collect();
        command
            .args(&arguments)
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("LANG", "C.UTF-8")
            .env("TZ", "UTC")
            .env("HOME", home)
            .env("XDG_CONFIG_HOME", home.join(".config"))
            .env("XDG_DATA_HOME", home.join(".local/share"))
            .env("XDG_STATE_HOME", home.join(".local/state"))
            .env("XDG_CACHE_HOME", home.join(".cache"))
            // Without these a run outside of a cloud waits for a metadata service that is not there.
            .env("AWS_EC2_METADATA_DISABLED", "true")
            .env("NO_COLOR", "1")
            .envs(self.environment.iter().map(|(name, value)| (name, value)))
            .current_dir(self.current_folder.as_deref().unwrap_or(home))
            .process_group(0);
        CliCommand {
            command,
            arguments,
            home: home.to_owned(),
            input: Vec::new(),
            time_max: RUN_MAX,
        }
    }

    /// Runs to the end with nothing on standard input.
    #[must_use = "assert the exit status or look at the output"]
    pub fn run<S: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = S>) -> Outcome {
        self.command(arguments).run()
    }
}

impl Default for Cli {
    fn default() -> Self {
        Self::new()
    }
}

/// One run of the tool that has not started yet.
#[derive(Debug)]
pub struct CliCommand {
    command: Command,
    arguments: Vec<OsString>,
    home: PathBuf,
    input: Vec<u8>,
    time_max: Duration,
}

impl CliCommand {
    /// Sets a variable for this run.
    #[must_use]
    pub fn env(mut self, name: impl AsRef<OsStr>, value: impl AsRef<OsStr>) -> Self {
        self.command.env(name, value);
        self
    }

    /// Removes a variable for this run.
    #[must_use]
    pub fn env_remove(mut self, name: impl AsRef<OsStr>) -> Self {
        self.command.env_remove(name);
        self
    }

    /// Gives the run a standard input; without this it is empty.
    #[must_use]
    pub fn input(mut self, input: impl Into<Vec<u8>>) -> Self {
        self.input = input.into();
        self
    }

    /// Kills the run, and fails the test, after this time instead of [`RUN_MAX`].
    #[must_use]
    pub fn time_max(mut self, time_max: Duration) -> Self {
        self.time_max = time_max;
        self
    }

    /// Runs to the end.
    #[must_use = "assert the exit status or look at the output"]
    pub fn run(self) -> Outcome {
        self.start().wait()
    }

    /// Starts the run and returns at once.
    pub fn start(mut self) -> RunningCli {
        self.command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = self.command.spawn().expect("the binary starts");
        let mut stdin = child.stdin.take().expect("a pipe");
        let input = std::mem::take(&mut self.input);
        // A run that fails early does not read its input, and that is its right.
        let feeder = std::thread::spawn(move || drop(stdin.write_all(&input)));
        let stdout = Collected::from(child.stdout.take().expect("a pipe"));
        let stderr = Collected::from(child.stderr.take().expect("a pipe"));
        let arguments: Vec<_> = self
            .arguments
            .iter()
            .map(|argument| argument.to_string_lossy())
            .collect();
        RunningCli {
            line: format!("backup-cli {}", arguments.join(" ")),
            child,
            feeder: Some(feeder),
            stdout,
            stderr,
            home: self.home,
            began: Instant::now(),
            time_max: self.time_max,
        }
    }
}

/// A pipe that is read to its end in the background.
#[derive(Debug)]
struct Collected {
    bytes: Arc<Mutex<Vec<u8>>>,
    thread: Option<JoinHandle<()>>,
}

impl Collected {
    fn from(mut pipe: impl Read + Send + 'static) -> Self {
        let bytes = Arc::new(Mutex::new(Vec::new()));
        let sink = bytes.clone();
        let thread = std::thread::spawn(move || {
            let mut block = vec![0; 64 * 1024];
            while let Ok(count @ 1..) = pipe.read(&mut block) {
                sink.lock()
                    .unwrap_or_else(PoisonError::into_inner)
                    .extend_from_slice(&block[..count]);
            }
        });
        Self {
            bytes,
            thread: Some(thread),
        }
    }

    fn so_far(&self) -> Vec<u8> {
        self.bytes.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn all(&mut self) -> Vec<u8> {
        if let Some(thread) = self.thread.take() {
            thread.join().expect("the reader of a pipe ends");
        }
        std::mem::take(&mut *self.bytes.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// A run that has started. Dropping it kills it.
#[derive(Debug)]
pub struct RunningCli {
    line: String,
    child: Child,
    feeder: Option<JoinHandle<()>>,
    stdout: Collected,
    stderr: Collected,
    home: PathBuf,
    began: Instant,
    time_max: Duration,
}

impl RunningCli {
    /// The process id.
    pub fn pid(&self) -> Pid {
        Pid::from_child(&self.child)
    }

    /// Sends a signal to the process alone, as `kill` and systemd do.
    pub fn signal(&self, signal: Signal) {
        kill_process(self.pid(), signal).expect("the run is still there");
    }

    /// Sends a signal to the whole process group, as a terminal's Ctrl-C does.
    pub fn signal_group(&self, signal: Signal) {
        kill_process_group(self.pid(), signal).expect("the run is still there");
    }

    /// What it has written to standard error so far.
    pub fn stderr_so_far(&self) -> String {
        String::from_utf8_lossy(&self.stderr.so_far()).into_owned()
    }

    /// Whether it has ended.
    pub fn has_ended(&mut self) -> bool {
        self.child.try_wait().expect("the system can tell").is_some()
    }

    /// The command lines of the run and of all its descendants, for tests that look for secrets in them.
    pub fn command_lines(&self) -> Vec<String> {
        let mut family = vec![self.child.id()];
        let parents: Vec<(u32, u32)> = std::fs::read_dir("/proc")
            .expect("/proc is there")
            .filter_map(|entry| {
                let pid: u32 = entry.ok()?.file_name().to_str()?.parse().ok()?;
                let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
                let parent = stat.rsplit_once(") ")?.1.split(' ').nth(1)?.parse().ok()?;
                Some((pid, parent))
            })
            .collect();
        let mut next = 0;
        while let Some(parent) = family.get(next).copied() {
            family.extend(parents.iter().filter(|(_, of)| *of == parent).map(|(pid, _)| *pid));
            next += 1;
        }
        family
            .iter()
            .filter_map(|pid| std::fs::read(format!("/proc/{pid}/cmdline")).ok())
            .map(|line| String::from_utf8_lossy(&line).replace('\0', " "))
            .collect()
    }

    /// Waits until a condition holds while the run goes on.
    ///
    /// # Panics
    /// If the run ends first, or takes longer than it may.
    pub fn wait_until(&mut self, what: &str, mut condition: impl FnMut(&Self) -> bool) {
        while !condition(self) {
            let ended = self.has_ended();
            if ended || self.began.elapsed() > self.time_max {
                let outcome = self.collect(None);
                panic!("`{what}` did not come before the end or in time\n{outcome}");
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Waits for the end.
    ///
    /// # Panics
    /// If it takes longer than it may; it is killed then.
    #[must_use = "assert the exit status or look at the output"]
    pub fn wait(mut self) -> Outcome {
        let mut pause = Duration::from_millis(1);
        loop {
            if let Some(status) = self.child.try_wait().expect("the system can tell") {
                return self.collect(Some(status));
            }
            if self.began.elapsed() > self.time_max {
                let outcome = self.collect(None);
                panic!("killed after {} s\n{outcome}", self.time_max.as_secs());
            }
            std::thread::sleep(pause);
            pause = (pause * 2).min(Duration::from_millis(20));
        }
    }

    fn collect(&mut self, status: Option<ExitStatus>) -> Outcome {
        // What it started must not hold the pipes open, nor live on.
        let _ = kill_process_group(self.pid(), Signal::KILL);
        let status = status.unwrap_or_else(|| self.child.wait().expect("a killed run ends"));
        if let Some(feeder) = self.feeder.take() {
            feeder.join().expect("the writer of a pipe ends");
        }
        Outcome {
            line: self.line.clone(),
            status,
            stdout: self.stdout.all(),
            stderr: String::from_utf8_lossy(&self.stderr.all()).into_owned(),
            home: self.home.clone(),
            took: self.began.elapsed(),
        }
    }
}

impl Drop for RunningCli {
    fn drop(&mut self) {
        if let Ok(None) = self.child.try_wait() {
            let _ = kill_process_group(self.pid(), Signal::KILL);
            let _ = self.child.wait();
        }
    }
}

/// How a run ended.
#[derive(Debug)]
pub struct Outcome {
    line: String,
    status: ExitStatus,
    stdout: Vec<u8>,
    stderr: String,
    home: PathBuf,
    took: Duration,
}

impl std::fmt::Display for Outcome {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        writeln!(f, "$ {}", self.line)?;
        writeln!(f, "{} after {:.1} s", self.status, self.took.as_secs_f64())?;
        writeln!(f, "--- standard output\n{}", String::from_utf8_lossy(&self.stdout))?;
        write!(f, "--- standard error\n{}", self.stderr)
    }
}

impl Outcome {
    /// The exit code; 128 + N after signal N, as shells say it.
    pub fn code(&self) -> i32 {
        self.status
            .code()
            .unwrap_or_else(|| 128 + self.status.signal().unwrap_or_default())
    }

    /// Asserts exit code 0.
    #[track_caller]
    pub fn success(self) -> Self {
        self.exits_with(0)
    }

    /// Asserts an exit code.
    #[track_caller]
    pub fn exits_with(self, code: i32) -> Self {
        assert_eq!(self.code(), code, "the exit code is not {code}\n{self}");
        self
    }

    /// Standard output as text.
    #[track_caller]
    pub fn stdout(&self) -> &str {
        std::str::from_utf8(&self.stdout).unwrap_or_else(|_| panic!("standard output is not UTF-8\n{self}"))
    }

    /// Standard output as bytes.
    pub fn stdout_bytes(&self) -> &[u8] {
        &self.stdout
    }

    /// Standard error.
    pub fn stderr(&self) -> &str {
        &self.stderr
    }

    /// How long the run took.
    pub fn took(&self) -> Duration {
        self.took
    }

    /// Standard output as one JSON document.
    #[track_caller]
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.stdout)
            .unwrap_or_else(|error| panic!("standard output is not one JSON document: {error}\n{self}"))
    }

    /// Standard output as JSON lines.
    #[track_caller]
    pub fn json_lines(&self) -> Vec<serde_json::Value> {
        self.stdout()
            .lines()
            .map(|line| {
                serde_json::from_str(line).unwrap_or_else(|error| panic!("`{line}` is not JSON: {error}\n{self}"))
            })
            .collect()
    }

    /// Asserts that standard output holds a text.
    #[track_caller]
    pub fn stdout_has(self, text: &str) -> Self {
        assert!(
            self.stdout().contains(text),
            "standard output does not hold `{text}`\n{self}"
        );
        self
    }

    /// Asserts that standard error holds a text.
    #[track_caller]
    pub fn stderr_has(self, text: &str) -> Self {
        assert!(
            self.stderr.contains(text),
            "standard error does not hold `{text}`\n{self}"
        );
        self
    }

    /// Asserts that a text, a secret for example, stands nowhere in the output, neither as it is nor percent-encoded.
    #[track_caller]
    pub fn nowhere(self, secret: &str) -> Self {
        let encoded = percent_encoding::utf8_percent_encode(secret, percent_encoding::NON_ALPHANUMERIC).to_string();
        let stdout = String::from_utf8_lossy(&self.stdout).into_owned();
        for text in [secret, &encoded] {
            assert!(
                !stdout.contains(text) && !self.stderr.contains(text),
                "the output holds `{text}`\n{self}"
            );
        }
        self
    }

    /// Exit code, standard output and standard error as one text in which what differs from run to run is replaced:
    /// the home by `[HOME]`, times by `[TIME]`, dates by `[DATE]`, durations by `[DURATION]`, byte rates by `[RATE]`.
    pub fn snapshot(&self) -> String {
        let text = format!(
            "exit code: {}\n--- standard output\n{}--- standard error\n{}",
            self.code(),
            String::from_utf8_lossy(&self.stdout),
            self.stderr
        );
        normalised(&text, &self.home)
    }
}

/// Replaces what differs from run to run; see [`Outcome::snapshot`].
pub fn normalised(text: &str, home: &Path) -> String {
    const DIGIT: char = '0';
    // In a pattern `0` stands for any digit; the longest come first.
    const TIMES: [(&str, &str); 10] = [
        ("0000-00-00T00:00:00.000000000Z", "[TIME]"),
        ("0000-00-00T00:00:00.000000Z", "[TIME]"),
        ("0000-00-00T00:00:00.000Z", "[TIME]"),
        ("0000-00-00T00:00:00Z", "[TIME]"),
        ("0000-00-00 00:00:00", "[TIME]"),
        ("0000-00-00 00:00", "[TIME]"),
        ("00000000_000000", "[STAMP]"),
        ("0000-00-00", "[DATE]"),
        ("00:00:00", "[CLOCK]"),
        ("00000000/", "[DAY]/"),
    ];
    let text = text.replace(home.to_str().expect("a path in UTF-8"), "[HOME]");
    let mut out = String::with_capacity(text.len());
    let mut rest = text.as_str();
    'text: while let Some(first) = rest.chars().next() {
        let after_digit = out.ends_with(|c: char| c.is_ascii_digit());
        if first.is_ascii_digit() && !after_digit {
            for (pattern, name) in TIMES {
                let fits = rest.len() >= pattern.len()
                    && pattern.bytes().zip(rest.bytes()).all(|(p, b)| {
                        if char::from(p) == DIGIT {
                            b.is_ascii_digit()
                        } else {
                            p == b
                        }
                    });
                if fits && !rest[pattern.len()..].starts_with(|c: char| c.is_ascii_digit()) {
                    out.push_str(name);
                    rest = &rest[pattern.len()..];
                    continue 'text;
                }
            }
            let number = rest.bytes().take_while(|b| b.is_ascii_digit() || *b == b'.').count();
            for (unit, name) in [
                (" B/s", "[RATE]"),
                (" kB/s", "[RATE]"),
                (" KiB/s", "[RATE]"),
                (" MB/s", "[RATE]"),
                (" MiB/s", "[RATE]"),
                (" GiB/s", "[RATE]"),
                (" ms", "[DURATION]"),
                (" s", "[DURATION]"),
            ] {
                let after = &rest[number..];
                if after.starts_with(unit) && !after[unit.len()..].starts_with(|c: char| c.is_alphanumeric()) {
                    out.push_str(name);
                    rest = &after[unit.len()..];
                    continue 'text;
                }
            }
        }
        out.push(first);
        rest = &rest[first.len_utf8()..];
    }
    out
}
