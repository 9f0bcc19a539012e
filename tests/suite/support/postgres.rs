//! PostgreSQL: a real server, one process shared by the tests of this binary, run by an unprivileged user.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

use super::server::{Server, ServerOptions, free_ports, process_folder};
use super::system_tool;

/// The superuser of the test server.
pub const USER: &str = "backup_tests";
/// Its password: a canary that must not turn up in any output, with every character that a URL would mangle.
pub const PASSWORD: &str = "canary p@ss:w/rd%?#&";
/// How often a start is tried: another process may take the port in the moment before the server does.
const STARTS_MAX: u32 = 4;

/// A running PostgreSQL server.
#[derive(Debug)]
pub struct PostgresServer {
    server: Server,
    folder: PathBuf,
    port: u16,
}

/// A database of its own for one test, dropped with this value.
#[derive(Debug)]
pub struct Database {
    server: &'static PostgresServer,
    pub name: String,
}

impl PostgresServer {
    /// The server that all tests of this process share; started by the first one that asks.
    pub fn shared() -> &'static Self {
        static SHARED: OnceLock<PostgresServer> = OnceLock::new();
        SHARED.get_or_init(Self::start)
    }

    /// A server of its own, for a test that means to harm it. It ends when dropped.
    pub fn start() -> Self {
        let mut last = String::new();
        for _ in 0..STARTS_MAX {
            match Self::try_start() {
                Ok(server) => return server,
                Err(why) => last = why,
            }
        }
        panic!("PostgreSQL did not start: {last}");
    }

    fn try_start() -> Result<Self, String> {
        let programs = server_programs();
        let [port] = free_ports();
        let folder = tempfile::Builder::new()
            .prefix("pg-")
            .permissions(std::fs::Permissions::from_mode(0o755))
            .tempdir_in(process_folder())
            .expect("a temporary folder")
            .keep();
        let user = unprivileged_user();
        let data = folder.join("data");
        let password_file = folder.join("password");
        std::fs::write(&password_file, PASSWORD).expect("the password is written");
        let initdb = programs.join("initdb");
        let mut argv = as_user(user);
        argv.extend(
            [
                &initdb.display().to_string(),
                "--pgdata",
                &data.display().to_string(),
                "--username",
                USER,
                "--pwfile",
                &password_file.display().to_string(),
                // Over the socket too: a wrong password is refused whichever way it comes.
                "--auth=scram-sha-256",
                "--encoding=UTF8",
                "--locale=C.UTF-8",
                "--no-sync",
            ]
            .map(str::to_owned),
        );
        if let Some(user) = user {
            chown(user, &folder);
        }
        let output = Command::new(&argv[0])
            .args(&argv[1..])
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("LANG", "C.UTF-8")
            .current_dir(&folder)
            .stdin(Stdio::null())
            .output()
            .expect("initdb starts");
        assert!(
            output.status.success(),
            "initdb failed: {}{}",
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr)
        );
        let mut argv = vec![
            programs.join("postgres").display().to_string(),
            "-D".to_owned(),
            data.display().to_string(),
        ];
        for setting in [
            "listen_addresses=127.0.0.1".to_owned(),
            format!("port={port}"),
            format!("unix_socket_directories={}", folder.display()),
            "max_connections=200".to_owned(),
            // Nothing here has to survive a power cut.
            "fsync=off".to_owned(),
            "synchronous_commit=off".to_owned(),
            "full_page_writes=off".to_owned(),
            // In the data folder rather than in /dev/shm: it goes away with the folder.
            "dynamic_shared_memory_type=mmap".to_owned(),
            "shared_buffers=32MB".to_owned(),
            "timezone=UTC".to_owned(),
        ] {
            argv.extend(["-c".to_owned(), setting]);
        }
        let server = Server::start(&ServerOptions {
            name: "postgres",
            argv,
            environment: Vec::new(),
            user,
            // An immediate shutdown, which gives shared memory back.
            end_signal: "QUIT",
            folder: &folder,
            leftovers: Vec::new(),
        });
        let postgres = Self { server, folder, port };
        postgres.server.wait_until("its first answer", || {
            postgres.try_psql("postgres", PASSWORD, "SELECT 1").is_ok()
        })?;
        Ok(postgres)
    }

    /// The port on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The folder of the Unix socket, as `PGHOST` takes it.
    pub fn socket_folder(&self) -> &Path {
        &self.folder
    }

    /// The URL of a database, with the password, over TCP.
    pub fn url(&self, database: &str) -> String {
        self.url_with(PASSWORD, database)
    }

    /// The URL of a database with a password of the caller's choice.
    pub fn url_with(&self, password: &str, database: &str) -> String {
        let password = utf8_percent_encode(password, NON_ALPHANUMERIC);
        let database = utf8_percent_encode(database, NON_ALPHANUMERIC);
        format!("postgres://{USER}:{password}@127.0.0.1:{}/{database}", self.port)
    }

    /// The URL of a database over the Unix socket.
    pub fn socket_url(&self, database: &str) -> String {
        let password = utf8_percent_encode(PASSWORD, NON_ALPHANUMERIC);
        let folder = utf8_percent_encode(self.folder.to_str().expect("a path in UTF-8"), NON_ALPHANUMERIC);
        let database = utf8_percent_encode(database, NON_ALPHANUMERIC);
        format!(
            "postgres:///{database}?host={folder}&port={}&user={USER}&password={password}",
            self.port
        )
    }

    /// The `PG*` variables by which every PostgreSQL program finds the server.
    pub fn environment(&self) -> Vec<(String, String)> {
        [
            ("PGHOST", "127.0.0.1".to_owned()),
            ("PGPORT", self.port.to_string()),
            ("PGUSER", USER.to_owned()),
            ("PGPASSWORD", PASSWORD.to_owned()),
        ]
        .map(|(name, value)| (name.to_owned(), value))
        .to_vec()
    }

    /// Runs SQL with `psql`, each statement by itself, and returns what it prints, unaligned and without headers.
    pub fn psql(&self, database: &str, sql: &str) -> String {
        self.try_psql(database, PASSWORD, sql)
            .unwrap_or_else(|why| panic!("psql failed on `{database}`: {why}\n{sql}"))
    }

    /// As [`Self::psql`], with a password of the caller's choice.
    ///
    /// # Errors
    /// What psql said.
    pub fn try_psql(&self, database: &str, password: &str, sql: &str) -> Result<String, String> {
        let mut child = self
            .program("psql")
            .args(["-XAtq", "-w", "-v", "ON_ERROR_STOP=1", "-d", database, "-f", "-"])
            .env("PGPASSWORD", password)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("psql starts");
        let mut stdin = child.stdin.take().expect("a pipe");
        let output = std::thread::scope(|scope| {
            // psql may refuse before it reads.
            scope.spawn(move || std::io::Write::write_all(&mut stdin, sql.as_bytes()));
            child.wait_with_output().expect("psql ends")
        });
        if output.status.success() {
            Ok(String::from_utf8_lossy(&output.stdout).into_owned())
        } else {
            Err(String::from_utf8_lossy(&output.stderr).into_owned())
        }
    }

    /// The logical content of a database: a plain dump without what differs from run to run, for comparisons.
    pub fn dump(&self, database: &str) -> String {
        let output = self
            .program("pg_dump")
            .args(["-w", "-d", database])
            .env("PGPASSWORD", PASSWORD)
            .stdin(Stdio::null())
            .output()
            .expect("pg_dump starts");
        assert!(
            output.status.success(),
            "pg_dump failed: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        String::from_utf8(output.stdout)
            .expect("the dump is UTF-8")
            .lines()
            // The key of these two lines is random by design.
            .filter(|line| !line.starts_with("\\restrict ") && !line.starts_with("\\unrestrict "))
            .collect::<Vec<_>>()
            .join("\n")
    }

    /// A client program of the server's own version, told where the server is but not the password.
    pub fn program(&self, name: &str) -> Command {
        let mut path = server_programs().join(name);
        if !path.is_file() {
            path = system_tool(name);
        }
        let mut command = Command::new(path);
        command
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("LANG", "C.UTF-8")
            .env("HOME", &self.folder)
            .env("PGHOST", "127.0.0.1")
            .env("PGPORT", self.port.to_string())
            .env("PGUSER", USER)
            .env("PGCONNECT_TIMEOUT", "10")
            .current_dir("/");
        command
    }

    /// The names of all databases but the templates, sorted.
    pub fn databases(&self) -> Vec<String> {
        self.psql(
            "postgres",
            "SELECT datname FROM pg_database WHERE NOT datistemplate ORDER BY 1",
        )
        .lines()
        .map(str::to_owned)
        .collect()
    }

    /// A new database, empty. Its name needs quoting, as real ones do now and then.
    pub fn fresh_database(&'static self) -> Database {
        static NEXT: AtomicU32 = AtomicU32::new(1);
        let name = format!("test-db-{}", NEXT.fetch_add(1, Ordering::Relaxed));
        self.psql("postgres", &format!("CREATE DATABASE \"{name}\""));
        Database { server: self, name }
    }

    /// The process, for tests that kill it.
    pub fn server(&self) -> &Server {
        &self.server
    }
}

impl Database {
    /// A new database on the shared server.
    pub fn fresh() -> Self {
        PostgresServer::shared().fresh_database()
    }

    /// Its URL, with the password.
    pub fn url(&self) -> String {
        self.server.url(&self.name)
    }

    /// Runs SQL in it; see [`PostgresServer::psql`].
    pub fn psql(&self, sql: &str) -> String {
        self.server.psql(&self.name, sql)
    }

    /// Its logical content; see [`PostgresServer::dump`].
    pub fn dump(&self) -> String {
        self.server.dump(&self.name)
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        // A failing test must show its own failure, and the server goes away in any case.
        let sql = format!("DROP DATABASE IF EXISTS \"{}\" WITH (FORCE)", self.name);
        let _ = self.server.try_psql("postgres", PASSWORD, &sql);
    }
}

/// The folder with the newest installed server's programs; Debian keeps them out of `PATH`.
pub fn server_programs() -> PathBuf {
    let version = |path: &PathBuf| -> u32 {
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        name.parse().unwrap_or_default()
    };
    let mut versions: Vec<PathBuf> = std::fs::read_dir("/usr/lib/postgresql")
        .into_iter()
        .flatten()
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| path.join("bin/postgres").is_file() && path.join("bin/initdb").is_file())
        .collect();
    versions.sort_by_key(version);
    match versions.pop() {
        Some(newest) => newest.join("bin"),
        None => system_tool("initdb").parent().expect("a folder").to_owned(),
    }
}

/// Who runs the server: PostgreSQL refuses to be root.
fn unprivileged_user() -> Option<&'static str> {
    if !rustix::process::geteuid().is_root() {
        return None;
    }
    Some(if uzers::get_user_by_name("postgres").is_some() {
        "postgres"
    } else {
        "nobody"
    })
}

fn as_user(user: Option<&str>) -> Vec<String> {
    super::server::die_with_keeper(user)
}

fn chown(user: &str, path: &Path) {
    let user = uzers::get_user_by_name(user).expect("the user exists");
    std::os::unix::fs::chown(path, Some(user.uid()), Some(user.primary_group_id())).expect("root may give files away");
}
