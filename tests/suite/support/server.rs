//! Server processes that cannot outlive the tests, however those end.
//!
//! Each server is the child of a small shell, its keeper, whose standard input is a pipe from this process. When this
//! process ends, by itself, by a panic or by `kill -9`, the system closes the pipe, and the keeper ends its server. The
//! server in turn dies with its keeper (`setpriv --pdeathsig`). Nothing of this depends on destructors.

use std::fs::File;
use std::io::Read;
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU16, Ordering};
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

/// How long a server may take to answer for the first time: on a busy machine a second becomes many.
pub const START_MAX: Duration = Duration::from_secs(90);

/// Waits for the end of this process, then removes its folder; servers that are just ending may still write there.
const JANITOR: &str = r#"cat >/dev/null
for attempt in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do
    chmod -R u+rwX "$1" 2>/dev/null; rm -rf -- "$1" 2>/dev/null
    [ -e "$1" ] || exit 0
    sleep 0.5
done"#;

/// Starts the server, says its process id, waits for the end of the test process, ends the server.
///
/// The signal comes first, so that the server may give back shared memory; `kill -9` follows if it does not hurry.
/// Some servers leave sockets in places that cannot be chosen; those are removed at the end.
const KEEPER: &str = r#"exec 3>&1 >&2
signal=$1; leftovers=$2; shift 2
"$@" </dev/null 3>&- &
server=$!
echo "$server" >&3
exec 3>&-
cat >/dev/null
kill -s "$signal" "$server" 2>/dev/null
for attempt in 1 2 3 4 5 6 7 8 9 10; do
    kill -0 "$server" 2>/dev/null || break
    sleep 0.1
done
kill -s KILL "$server" 2>/dev/null
wait "$server" 2>/dev/null
rm -f $leftovers
exit 0"#;

/// The folder of this test process, removed when the process has ended in whatever way.
///
/// Everyone may pass through it, because PostgreSQL runs as another user.
pub fn process_folder() -> &'static Path {
    static FOLDER: OnceLock<(PathBuf, Child)> = OnceLock::new();
    let (folder, _) = FOLDER.get_or_init(|| {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::Builder::new()
            .prefix("backup-cli-tests-")
            .permissions(std::fs::Permissions::from_mode(0o711))
            .tempdir()
            .expect("a temporary folder")
            .keep();
        let janitor = Command::new("/bin/sh")
            .args(["-c", JANITOR, "janitor"])
            .arg(&folder)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            // Ctrl-C on a terminal reaches the whole group; the janitor has to survive it.
            .process_group(0)
            .current_dir("/")
            .spawn()
            .expect("/bin/sh starts");
        (folder, janitor)
    });
    folder
}

/// A fresh folder for one test, below [`process_folder`]; removed when dropped.
pub fn fresh_folder(name: &str) -> tempfile::TempDir {
    tempfile::Builder::new()
        .prefix(&format!("{name}-"))
        .tempdir_in(process_folder())
        .expect("a temporary folder")
}

/// Free ports on the loopback interface, none handed out twice; the port 10,000 above each is free too, where SeaweedFS
/// listens for gRPC.
///
/// They lie below the range from which the system takes ports for outgoing connections. Another process may still take
/// one before the server does, so whoever starts a server tries again with other ports.
pub fn free_ports<const N: usize>() -> [u16; N] {
    const FIRST: u16 = 12_000;
    const LAST: u16 = 22_000;
    static NEXT: AtomicU16 = AtomicU16::new(0);
    static LOCK: Mutex<()> = Mutex::new(());
    let _guard = LOCK.lock().unwrap_or_else(PoisonError::into_inner);
    if NEXT.load(Ordering::Relaxed) == 0 {
        // Processes that run side by side should not all begin at the same port.
        let spread = u16::try_from(std::process::id() * 97 % u32::from(LAST - FIRST)).expect("it is below the range");
        NEXT.store(FIRST + spread, Ordering::Relaxed);
    }
    std::array::from_fn(|_| {
        loop {
            let port = NEXT.load(Ordering::Relaxed);
            NEXT.store(if port >= LAST { FIRST } else { port + 1 }, Ordering::Relaxed);
            let is_free = |port: u16| TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok();
            if is_free(port) && is_free(port + 10_000) {
                return port;
            }
        }
    })
}

/// The prefix of a command line that makes a program die with its keeper, as the given user if this process is root.
pub fn die_with_keeper(user: Option<&str>) -> Vec<String> {
    let mut argv = vec![
        super::system_tool("setpriv").display().to_string(),
        "--pdeathsig".to_owned(),
        "KILL".to_owned(),
    ];
    if let Some(user) = user {
        argv.extend([
            format!("--reuid={user}"),
            format!("--regid={user}"),
            "--init-groups".to_owned(),
        ]);
    }
    argv.push("--".to_owned());
    argv
}

/// What a server process is.
#[derive(Debug)]
pub struct ServerOptions<'a> {
    /// For messages and for the log's file name.
    pub name: &'a str,
    /// The program and its arguments.
    pub argv: Vec<String>,
    /// All of its environment but `PATH`, `LANG` and `TZ`.
    pub environment: Vec<(&'a str, &'a str)>,
    /// Who it runs as, if this process is root; `None` is whoever runs the tests.
    pub user: Option<&'a str>,
    /// The name of the signal that asks it to end, such as `KILL`.
    pub end_signal: &'a str,
    /// Its working folder, where its log goes too.
    pub folder: &'a Path,
    /// Files that it leaves elsewhere, to be removed when it has ended.
    pub leftovers: Vec<String>,
}

/// A running server process.
#[derive(Debug)]
pub struct Server {
    name: String,
    keeper: Child,
    pid: Pid,
    log: PathBuf,
}

impl Server {
    /// Starts a program under a keeper.
    pub fn start(options: &ServerOptions<'_>) -> Self {
        let log = options.folder.join(format!("{}.log", options.name));
        let log_file = File::create(&log).expect("a log file");
        let (mut said, says) = std::io::pipe().expect("a pipe");
        let mut command = Command::new("/bin/sh");
        // The keeper tells the process id on descriptor 3; standard output belongs to the server's log.
        command
            .args(["-c", KEEPER, "keeper", options.end_signal, &options.leftovers.join(" ")])
            .args(die_with_keeper(options.user))
            .args(&options.argv)
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("LANG", "C.UTF-8")
            .env("TZ", "UTC")
            .envs(options.environment.iter().copied())
            .stdin(Stdio::piped())
            .stdout(says)
            .stderr(log_file)
            .process_group(0)
            .current_dir(options.folder);
        let keeper = command.spawn().expect("/bin/sh starts");
        // The command holds the pipe's writing end until it is gone.
        drop(command);
        let mut line = String::new();
        let mut byte = [0_u8];
        while said.read(&mut byte).expect("the keeper speaks") == 1 && byte[0] != b'\n' {
            line.push(char::from(byte[0]));
        }
        let pid = line
            .parse()
            .ok()
            .and_then(Pid::from_raw)
            .expect("the keeper said a process id");
        Self {
            name: options.name.to_owned(),
            keeper,
            pid,
            log,
        }
    }

    /// The server's process id.
    pub fn pid(&self) -> Pid {
        self.pid
    }

    /// Whether the process is still there.
    pub fn is_running(&self) -> bool {
        is_running(self.pid)
    }

    /// Ends the server as a power cut would.
    pub fn kill(&self) {
        // It may be gone already, which is what is wanted.
        let _ = kill_process(self.pid, Signal::KILL);
        let began = Instant::now();
        while self.is_running() && began.elapsed() < START_MAX {
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// The last lines of the server's output, for messages.
    pub fn last_words(&self) -> String {
        let text = std::fs::read(&self.log).unwrap_or_default();
        let text = String::from_utf8_lossy(&text);
        let lines: Vec<&str> = text.lines().collect();
        lines[lines.len().saturating_sub(20)..].join("\n")
    }

    /// Waits until `ready` says yes.
    ///
    /// # Errors
    /// The server's last words, if it ends first or takes longer than [`START_MAX`].
    pub fn wait_until(&self, what: &str, mut ready: impl FnMut() -> bool) -> Result<(), String> {
        let began = Instant::now();
        let mut pause = Duration::from_millis(10);
        loop {
            if ready() {
                return Ok(());
            }
            let running = self.is_running();
            if !running || began.elapsed() > START_MAX {
                return Err(format!(
                    "{} {} before {what}; its last words:\n{}",
                    self.name,
                    if running { "took too long" } else { "ended" },
                    self.last_words()
                ));
            }
            std::thread::sleep(pause);
            pause = (pause * 2).min(Duration::from_millis(100));
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.keeper.stdin.take());
        let _ = self.keeper.wait();
    }
}

/// Whether a process exists and is not a zombie.
pub fn is_running(pid: Pid) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", pid.as_raw_nonzero())).unwrap_or_default();
    // The name may hold anything, the state stands after its closing parenthesis.
    stat.rsplit_once(") ")
        .is_some_and(|(_, rest)| !rest.starts_with(['Z', 'X']))
}

/// Whether somebody listens on a port of the loopback interface.
pub fn is_listening(port: u16) -> bool {
    let address = (Ipv4Addr::LOCALHOST, port).into();
    TcpStream::connect_timeout(&address, Duration::from_secs(2)).is_ok()
}
