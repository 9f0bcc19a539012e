//! Where a case of bad input plays: a folder of its own, what is arranged in it, and what must be the same afterwards.

use std::any::Any;
use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::sqlite::session::sqlite3;
use crate::support::cli::{Cli, Outcome, RunningCli, normalised};
use crate::support::fault_s3::FaultS3;
use crate::support::postgres::{Database, PostgresServer, server_programs};
use crate::support::s3_client::{S3Access, S3Client};
use crate::support::server::{free_ports, fresh_folder};
use crate::support::system_tool;
use crate::support::trees::Noise;
use crate::support::weed::Bucket;

/// How long a case may take unless it says otherwise: nobody waits longer to be told of a mistake.
const TIME_MAX: Duration = Duration::from_secs(20);

/// A folder with a home, a store, a temporary folder, and whatever the case puts there.
pub struct Scene {
    folder: tempfile::TempDir,
    environment: Vec<(String, String)>,
    wrapper: Vec<String>,
    replaced: Vec<(String, String)>,
    watched: Option<(S3Client, String)>,
    database: Option<Database>,
    /// What lives as long as the case: servers, other runs.
    kept: Vec<Box<dyn Any + Send>>,
    /// How long the run may take.
    pub time_max: Duration,
    /// Something stays behind on purpose, such as a backup that is partial.
    pub leaves_something: bool,
}

/// Everything that a run could have changed.
#[derive(Debug, PartialEq, Eq)]
pub struct State {
    files: BTreeMap<PathBuf, String>,
    objects: Vec<String>,
    databases: Vec<String>,
    content: String,
}

impl Scene {
    pub fn new() -> Self {
        let folder = fresh_folder("bad");
        for name in ["home", "tmp"] {
            std::fs::create_dir(folder.path().join(name)).expect("a folder");
        }
        Self {
            folder,
            environment: Vec::new(),
            wrapper: Vec::new(),
            replaced: Vec::new(),
            watched: None,
            database: None,
            kept: Vec::new(),
            time_max: TIME_MAX,
            leaves_something: false,
        }
    }

    /// The folder in which the run plays.
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Writes a file, with the folders above it.
    pub fn write(&mut self, name: &str, content: impl AsRef<[u8]>) -> &mut Self {
        let path = self.path(name);
        std::fs::create_dir_all(path.parent().expect("a folder")).expect("folders");
        std::fs::write(path, content).expect("a file");
        self
    }

    /// Writes a program.
    pub fn program(&mut self, name: &str, script: &str) -> &mut Self {
        self.write(name, format!("#!/bin/sh\n{script}\n"));
        self.mode(name, 0o755)
    }

    /// Sets the permissions of a file or a folder.
    pub fn mode(&mut self, name: &str, mode: u32) -> &mut Self {
        std::fs::set_permissions(self.path(name), std::fs::Permissions::from_mode(mode)).expect("permissions");
        self
    }

    /// A small tree in `tree/`.
    pub fn tree(&mut self) -> &mut Self {
        self.write("tree/a.txt", "alpha\n").write("tree/below/b.txt", "beta\n")
    }

    /// A file that does not become smaller, in a tree of its own.
    pub fn noise(&mut self, name: &str, bytes: usize) -> &mut Self {
        let noise = Noise::new(7).bytes(bytes);
        self.write(name, noise)
    }

    /// Makes an SQLite database with one table.
    pub fn sqlite(&mut self, name: &str) -> &mut Self {
        sqlite3(&self.path(name), "CREATE TABLE t (v); INSERT INTO t VALUES ('seven')");
        self
    }

    /// Sets a variable.
    pub fn env(&mut self, name: &str, value: impl Into<String>) -> &mut Self {
        self.environment.push((name.to_owned(), value.into()));
        self
    }

    /// The line is run without it again.
    pub fn without_env(&mut self, name: &str) -> &mut Self {
        self.environment.retain(|(set, _)| set != name);
        self
    }

    /// What differs from run to run and is written as `[NAME]` in the expected words.
    pub fn replace(&mut self, text: impl Into<String>, name: &str) -> &mut Self {
        self.replaced.push((text.into(), format!("[{name}]")));
        self
    }

    /// Keeps something alive until the case is over.
    pub fn keep(&mut self, thing: impl Any + Send) -> &mut Self {
        self.kept.push(Box::new(thing));
        self
    }

    /// Starts the run through another program.
    pub fn through<S: Into<String>>(&mut self, wrapper: impl IntoIterator<Item = S>) -> &mut Self {
        self.wrapper = wrapper.into_iter().map(Into::into).collect();
        self
    }

    /// As whoever may not read what its mode forbids: root without the capabilities that root has for that.
    pub fn bound_by_modes(&mut self) -> &mut Self {
        if rustix::process::geteuid().is_root() {
            let setpriv = system_tool("setpriv").display().to_string();
            self.through([&setpriv, "--bounding-set=-dac_override,-dac_read_search", "--"]);
        }
        self
    }

    /// Runs in a world of mounts of its own, in which `script` has mounted something first.
    pub fn with_mounts(&mut self, script: &str) -> &mut Self {
        let flags = match rustix::process::geteuid().is_root() {
            true => "-m",
            false => "-rm",
        };
        let unshare = system_tool("unshare").display().to_string();
        let script = format!("{script}\nexec \"$@\"");
        self.through([&unshare, flags, "/bin/sh", "-ec", &script, "sh"])
    }

    /// Lays a file system of `size` over the folder `disk`; what is left in it is compared with `keeps`.
    pub fn small_disk(&mut self, size: &str, keeps: &[&str]) -> &mut Self {
        std::fs::create_dir_all(self.path("disk")).expect("a folder");
        self.with_mounts("true");
        let script = format!(
            "mount -t tmpfs -o size={size} tmpfs disk\ncode=0\n\"$@\" || code=$?\n\
             left=$(cd disk && find . -mindepth 1 | sort | tr '\\n' ' ')\n\
             [ \"$left\" = \"{}\" ] || echo \"LEFT ON THE DISK: $left\" >&2\nexit $code",
            keeps.iter().map(|name| format!("{name} ")).collect::<String>()
        );
        if let Some(place) = self.wrapper.iter().position(|word| word == "-ec") {
            self.wrapper[place + 1] = script;
        }
        self
    }

    /// Takes a bucket of the real server as the store.
    pub fn on_s3(&mut self) -> Bucket {
        let bucket = Bucket::fresh();
        self.s3(&bucket.access, &bucket.name);
        bucket
    }

    /// The name of the bucket.
    pub fn bucket(&self) -> String {
        let (_, bucket) = self.watched.as_ref().expect("a bucket");
        bucket.clone()
    }

    /// Takes a bucket of a server with faults as the store; the server lives as long as the case.
    pub fn on_faults(&mut self, server: FaultS3) -> &mut Self {
        let bucket = server.bucket();
        let access = server.access();
        self.s3(&access, &bucket);
        // Its requests would be befallen by the faults too.
        self.watched = None;
        self.keep(server)
    }

    /// Takes a bucket as the store.
    pub fn s3(&mut self, access: &S3Access, bucket: &str) -> &mut Self {
        for (name, value) in access.environment() {
            self.env(&name, value);
        }
        self.watched = Some((access.client(), bucket.to_owned()));
        self.env("BACKUP_STORE", format!("s3://{bucket}/backups"))
            .replace(bucket, "BUCKET")
            .replace(access.endpoint.clone(), "ENDPOINT")
    }

    /// Nobody's credentials, for a server that is none.
    pub fn s3_at(&mut self, endpoint: &str) -> &mut Self {
        self.env("AWS_ACCESS_KEY_ID", "AKTESTNOBODY00000001")
            .env("AWS_SECRET_ACCESS_KEY", "canary/nobody+secret")
            .env("AWS_REGION", "us-east-1")
            .env("AWS_ENDPOINT_URL", endpoint)
            .env("BACKUP_STORE", "s3://bucket/backups")
    }

    /// A database of its own on the real server.
    pub fn database(&mut self) -> &Database {
        let server = PostgresServer::shared();
        let database = Database::fresh();
        self.replace(server.port().to_string(), "PORT")
            .replace(database.name.clone(), "DATABASE");
        self.database.insert(database)
    }

    /// A folder `clients/` with the real psql and a `pg_dump` of the test's own.
    pub fn clients(&mut self, pg_dump: &str) -> &mut Self {
        self.program("clients/pg_dump", pg_dump);
        std::os::unix::fs::symlink(server_programs().join("psql"), self.path("clients/psql")).expect("a link");
        self.env("BACKUP_PG_CLIENT_FOLDER", "clients")
    }

    fn cli(&self) -> Cli {
        Cli::new()
            .in_folder(self.folder.path())
            .env("HOME", self.path("home"))
            .env("XDG_STATE_HOME", self.path("home/.local/state"))
            .env("XDG_DATA_HOME", self.path("home/.local/share"))
            .env("XDG_CONFIG_HOME", self.path("home/.config"))
            .env("TMPDIR", self.path("tmp"))
            .env("BACKUP_STORE", "./store")
            .envs(self.environment.iter().map(|(name, value)| (name, value)))
    }

    /// Makes a backup with the command line `backup WORDS`, before the case begins.
    pub fn backed_up(&mut self, words: &str) -> &mut Self {
        let mut arguments = vec!["backup".to_owned(), "--quiet".to_owned()];
        arguments.extend(shell_words::split(words).expect("a command line"));
        let _ = self.cli().run(arguments).success();
        self
    }

    /// Makes a backup of a tree that is encrypted for [`super::PUBLIC_KEY`].
    pub fn encrypted_tree(&mut self) -> &mut Self {
        let words = format!("tree --recipient {}", super::PUBLIC_KEY);
        self.tree().backed_up(&words)
    }

    /// Starts another run in the background and waits until it has made the file `started`.
    pub fn meanwhile(&mut self, arguments: &[&str]) -> &mut Self {
        let mut running = self.cli().command(arguments).start();
        let started = self.path("started");
        running.wait_until("the other run has started", |_| started.exists());
        self.keep(running)
    }

    /// The one file of the store whose name ends like this.
    pub fn stored(&self, ending: &str) -> PathBuf {
        let mut found: Vec<PathBuf> = files(&self.path("store"))
            .into_keys()
            .filter(|path| path.to_string_lossy().ends_with(ending))
            .collect();
        assert_eq!(found.len(), 1, "files that end with {ending}: {found:?}");
        self.path("store").join(found.remove(0))
    }

    /// Changes a file of the store.
    pub fn damage(&mut self, ending: &str, change: impl FnOnce(&mut Vec<u8>)) -> &mut Self {
        let path = self.stored(ending);
        let mut bytes = std::fs::read(&path).expect("the file");
        change(&mut bytes);
        std::fs::write(path, bytes).expect("the file");
        self
    }

    /// Puts the file of one series in the place of another's.
    pub fn swap(&mut self, to: &str, from: &str, ending: &str) -> &mut Self {
        let named = |name: &str| self.stored_of(name, ending);
        std::fs::copy(named(from), named(to)).expect("the file");
        self
    }

    /// Removes a file of the store.
    pub fn lose(&mut self, ending: &str) -> &mut Self {
        std::fs::remove_file(self.stored(ending)).expect("the file");
        self
    }

    /// The file of a series whose name ends like this.
    pub fn stored_of(&self, name: &str, ending: &str) -> PathBuf {
        let found = files(&self.path("store")).into_keys().find(|path| {
            let file = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            file.starts_with(name) && file.ends_with(ending)
        });
        self.path("store").join(found.expect("a file of that series"))
    }

    /// Starts the binary.
    pub fn start(&self, arguments: &[String]) -> RunningCli {
        self.cli().through(&self.wrapper).command(arguments).start()
    }

    /// Waits for a file, looks at the run, and waits for its end.
    pub fn wait_for<T>(&self, file: &str, mut running: RunningCli, look: fn(&RunningCli) -> T) -> (T, Outcome) {
        let file = self.path(file);
        running.wait_until("the file is there", |_| file.exists());
        let seen = look(&running);
        (seen, running.wait())
    }

    /// Runs the binary.
    pub fn run(&self, arguments: &[String]) -> Outcome {
        let cli = self.cli().through(&self.wrapper);
        cli.command(arguments).time_max(self.time_max).run()
    }

    /// What the run said on standard error, without what differs from run to run.
    pub fn words(&self, stderr: &str) -> String {
        let mut text = normalised(stderr, self.folder.path());
        for (from, to) in &self.replaced {
            text = text.replace(from, to);
        }
        // Requests, new databases and the day's folder have names of their own each time.
        let text = masked(&text, "(request ", |c| c != ')', "ID");
        let text = masked(&text, "__restore_[STAMP]_", |c| c.is_ascii_hexdigit(), "ID");
        let text = masked(&text, "/202", |c| c.is_ascii_digit(), "DAY");
        let text = masked(&text, ".backup-cli-restore-", |c| c.is_ascii_alphanumeric(), "ID");
        // Sizes depend on the times and owners in an archive, versions on the machine.
        let mut text = text.replace(server_programs().to_str().expect("UTF-8"), "[PROGRAMS]");
        for after in ["has ", "instead of ", "at byte ", "SHA-256 is "] {
            text = masked(&text, after, |c| c.is_ascii_hexdigit(), "N");
        }
        for after in ["(", "PostgreSQL ", "postgresql-client-"] {
            text = masked(&text, after, |c| c.is_ascii_digit() || c == '.', "N");
        }
        text.replace("/202[DAY]", "/[DAY]").replace("[HOME]", "[FOLDER]")
    }

    /// Everything that the run must leave as it is.
    pub fn state(&self) -> State {
        let mut files = files(self.folder.path());
        // The files of locks stay; what counts is who holds them.
        files.retain(|path, _| !path.starts_with("home/.local/state"));
        files.retain(|path, _| !path.starts_with("home/.local") || path.components().count() > 2);
        let objects = self.watched.as_ref().map_or_else(Vec::new, |(client, bucket)| {
            let mut keys = client.keys(bucket, "");
            keys.extend(client.uploads(bucket).into_iter().map(|key| format!("upload of {key}")));
            keys
        });
        let (databases, content) = self.database.as_ref().map_or_else(Default::default, |database| {
            let own = |name: &String| name.starts_with(&database.name);
            let databases = PostgresServer::shared().databases().into_iter().filter(own).collect();
            (databases, database.dump())
        });
        State {
            files,
            objects,
            databases,
            content,
        }
    }
}

/// Replaces what follows `after` by `[NAME]`.
fn masked(text: &str, after: &str, belongs: fn(char) -> bool, name: &str) -> String {
    let mut parts = text.split(after);
    let mut out = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let rest = part.trim_start_matches(belongs);
        out.push_str(after);
        if rest.len() == part.len() {
            out.push_str(part);
        } else {
            out.push_str(&format!("[{name}]{rest}"));
        }
    }
    out
}

/// Every path below a folder with what it holds.
fn files(folder: &Path) -> BTreeMap<PathBuf, String> {
    fn visit(top: &Path, folder: &Path, files: &mut BTreeMap<PathBuf, String>) {
        for entry in std::fs::read_dir(folder).into_iter().flatten() {
            let path = entry.expect("an entry").path();
            let meta = std::fs::symlink_metadata(&path).expect("what it is");
            let holds = match meta.is_file() {
                true => hex::encode(std::fs::read(&path).map(md5_of).unwrap_or_default()),
                false => format!("{:?}", meta.file_type()),
            };
            files.insert(path.strip_prefix(top).expect("it is below").to_owned(), holds);
            if meta.is_dir() {
                visit(top, &path, files);
            }
        }
    }
    let mut found = BTreeMap::new();
    visit(folder, folder, &mut found);
    found
}

fn md5_of(bytes: Vec<u8>) -> Vec<u8> {
    use md5::{Digest, Md5};
    Md5::digest(bytes).to_vec()
}

/// A port on which nobody listens.
pub fn closed_port() -> u16 {
    let [port] = free_ports();
    port
}

/// A server that gives one answer to every request, or none at all.
pub fn web_server(answer: Option<&'static str>) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("an address").port();
    // It ends with the process: nothing tells it to, and nothing depends on it.
    std::thread::spawn(move || {
        let mut silent = Vec::new();
        for stream in listener.incoming() {
            let Ok(mut stream) = stream else { continue };
            let Some(answer) = answer else {
                silent.push(stream);
                continue;
            };
            std::thread::spawn(move || {
                let mut block = [0; 4096];
                while let Ok(1..) = stream.read(&mut block) {
                    if stream.write_all(answer.as_bytes()).is_err() {
                        break;
                    }
                }
            });
        }
    });
    port
}
