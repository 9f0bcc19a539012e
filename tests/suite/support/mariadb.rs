//! MariaDB: a real server, one process shared by the tests of this binary, run by an unprivileged user.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

use super::server::{Server, ServerOptions, free_ports, process_folder};
use super::system_tool;

/// The administrator of the test server.
pub const USER: &str = "backup_tests";
/// Its password: a canary that must not turn up in any output, with every character that a URL or an option file would mangle.
pub const PASSWORD: &str = "canary p@ss:w/rd%?#&'\"\\n=;";
/// How often a start is tried: another process may take the port in the moment before the server does.
const STARTS_MAX: u32 = 4;

/// A running MariaDB server.
#[derive(Debug)]
pub struct MariaDbServer {
    server: Server,
    folder: PathBuf,
    port: u16,
}

/// A database of its own for one test, dropped with this value, together with those that were made beside it.
#[derive(Debug)]
pub struct Database {
    server: &'static MariaDbServer,
    pub name: String,
}

impl MariaDbServer {
    /// The server that all tests of this process share; started by the first one that asks.
    pub fn shared() -> &'static Self {
        static SHARED: OnceLock<MariaDbServer> = OnceLock::new();
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
        panic!("MariaDB did not start: {last}");
    }

    fn try_start() -> Result<Self, String> {
        let [port] = free_ports();
        let folder = tempfile::Builder::new()
            .prefix("my-")
            .permissions(std::fs::Permissions::from_mode(0o755))
            .tempdir_in(process_folder())
            .expect("a temporary folder")
            .keep();
        let user = unprivileged_user();
        if let Some(user) = user {
            let user = uzers::get_user_by_name(user).expect("the user exists");
            std::os::unix::fs::chown(&folder, Some(user.uid()), Some(user.primary_group_id()))
                .expect("root may give files away");
        }
        let data = folder.join("data").display().to_string();
        let mut argv = super::server::die_with_keeper(user);
        argv.push(system_tool("mariadb-install-db").display().to_string());
        argv.extend(
            [
                "--no-defaults",
                &format!("--datadir={data}"),
                "--auth-root-authentication-method=normal",
                "--skip-test-db",
                "--skip-name-resolve",
            ]
            .map(str::to_owned),
        );
        let output = Command::new(&argv[0])
            .args(&argv[1..])
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("LANG", "C.UTF-8")
            .current_dir(&folder)
            .stdin(Stdio::null())
            .output()
            .expect("mariadb-install-db starts");
        assert!(
            output.status.success(),
            "mariadb-install-db failed: {}{}",
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr)
        );
        let mut argv = vec![server_program().display().to_string(), "--no-defaults".to_owned()];
        for setting in [
            format!("datadir={data}"),
            format!("socket={}", folder.join("socket").display()),
            format!("pid-file={}", folder.join("pid").display()),
            format!("port={port}"),
            "bind-address=127.0.0.1".to_owned(),
            "skip-name-resolve".to_owned(),
            "max-connections=200".to_owned(),
            "event-scheduler=ON".to_owned(),
            "character-set-server=utf8mb4".to_owned(),
            // Nothing here has to survive a power cut.
            "innodb-flush-log-at-trx-commit=0".to_owned(),
            "innodb-doublewrite=0".to_owned(),
            "innodb-flush-method=nosync".to_owned(),
            "sync-frm=0".to_owned(),
            "innodb-buffer-pool-size=64M".to_owned(),
            "innodb-log-file-size=64M".to_owned(),
            "aria-pagecache-buffer-size=8M".to_owned(),
            "key-buffer-size=1M".to_owned(),
            "performance-schema=OFF".to_owned(),
            "max-allowed-packet=64M".to_owned(),
        ] {
            argv.push(format!("--{setting}"));
        }
        let server = Server::start(&ServerOptions {
            name: "mariadbd",
            argv,
            environment: Vec::new(),
            user,
            end_signal: "KILL",
            folder: &folder,
            leftovers: Vec::new(),
        });
        let mariadb = Self { server, folder, port };
        let password = PASSWORD.replace('\\', "\\\\").replace('\'', "''");
        let account = format!(
            "CREATE USER '{USER}'@'%' IDENTIFIED BY '{password}'; GRANT ALL ON *.* TO '{USER}'@'%' WITH GRANT OPTION; \
             DROP USER root@localhost;"
        );
        mariadb.server.wait_until("its first answer", || {
            mariadb.try_sql_as("root", "", "", &account).is_ok()
        })?;
        Ok(mariadb)
    }

    /// The port on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The Unix socket.
    pub fn socket(&self) -> PathBuf {
        self.folder.join("socket")
    }

    /// The URL of a database, with the password, over TCP.
    pub fn url(&self, database: &str) -> String {
        self.url_of(USER, PASSWORD, database)
    }

    /// The URL of a database for an account of the caller's choice.
    pub fn url_of(&self, user: &str, password: &str, database: &str) -> String {
        let escape = |text| utf8_percent_encode(text, NON_ALPHANUMERIC);
        format!(
            "mysql://{user}:{}@127.0.0.1:{}/{}",
            escape(password),
            self.port,
            escape(database)
        )
    }

    /// The URL of a database over the socket, with the password.
    pub fn socket_url(&self, database: &str) -> String {
        let escape = |text| utf8_percent_encode(text, NON_ALPHANUMERIC);
        let socket = self.socket().display().to_string();
        format!(
            "mariadb://{USER}:{}@/{}?socket={}",
            escape(PASSWORD),
            escape(database),
            escape(&socket)
        )
    }

    /// Runs SQL with the client and returns what it prints, tab-separated and without headers.
    pub fn sql(&self, database: &str, sql: &str) -> String {
        self.try_sql(database, sql)
            .unwrap_or_else(|why| panic!("SQL failed on `{database}`: {why}\n{sql}"))
    }

    /// As [`Self::sql`].
    ///
    /// # Errors
    /// What the client said.
    pub fn try_sql(&self, database: &str, sql: &str) -> Result<String, String> {
        self.try_sql_as(USER, PASSWORD, database, sql)
    }

    fn try_sql_as(&self, user: &str, password: &str, database: &str, sql: &str) -> Result<String, String> {
        let mut child = self
            .program("mariadb", user, password)
            .args(["--batch", "--skip-column-names", database])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("mariadb starts");
        let mut stdin = child.stdin.take().expect("a pipe");
        let output = std::thread::scope(|scope| {
            // The client may refuse before it reads.
            scope.spawn(move || std::io::Write::write_all(&mut stdin, sql.as_bytes()));
            child.wait_with_output().expect("mariadb ends")
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
            .program("mariadb-dump", USER, PASSWORD)
            .args([
                "--single-transaction",
                "--routines",
                "--events",
                "--triggers",
                "--hex-blob",
            ])
            .args(["--skip-comments", "--skip-dump-date", "--", database])
            .stdin(Stdio::null())
            .output()
            .expect("mariadb-dump starts");
        assert!(
            output.status.success(),
            "mariadb-dump failed: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        String::from_utf8(output.stdout)
            .expect("the dump is UTF-8")
            .replace(&format!("`{database}`"), "`DATABASE`")
    }

    /// A client program that is told where the server is and who one is there, and no more than that.
    pub fn program(&self, name: &str, user: &str, password: &str) -> Command {
        let mut command = Command::new(system_tool(name));
        command
            .arg("--no-defaults")
            .arg(format!("--socket={}", self.socket().display()))
            .arg(format!("--user={user}"))
            .arg("--default-character-set=utf8mb4")
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("LANG", "C.UTF-8")
            .env("HOME", &self.folder)
            .current_dir("/");
        if !password.is_empty() {
            command.env("MYSQL_PWD", password);
        }
        command
    }

    /// The names of all databases but the server's own, sorted.
    pub fn databases(&self) -> Vec<String> {
        self.sql(
            "",
            "SELECT SCHEMA_NAME FROM information_schema.SCHEMATA \
             WHERE SCHEMA_NAME NOT IN ('mysql', 'sys', 'information_schema', 'performance_schema') ORDER BY 1",
        )
        .lines()
        .map(str::to_owned)
        .collect()
    }

    /// The databases that restores have made beside another one: kept ones and leftovers.
    pub fn relatives(&self, name: &str) -> Vec<String> {
        let begin = format!("{name}__");
        let mut all = self.databases();
        all.retain(|other| other.starts_with(&begin));
        all
    }

    /// A new database, empty. Its name needs quoting, as real ones do now and then.
    pub fn fresh_database(&'static self) -> Database {
        static NEXT: AtomicU32 = AtomicU32::new(1);
        let name = format!("test-db-{}", NEXT.fetch_add(1, Ordering::Relaxed));
        self.sql("", &format!("CREATE DATABASE `{name}`"));
        Database { server: self, name }
    }

    /// The process, for tests that kill it.
    pub fn server(&self) -> &Server {
        &self.server
    }

    /// The folder in which the server lives.
    pub fn folder(&self) -> &Path {
        &self.folder
    }
}

impl Database {
    /// A new database on the shared server.
    pub fn fresh() -> Self {
        MariaDbServer::shared().fresh_database()
    }

    /// Its URL, with the password.
    pub fn url(&self) -> String {
        self.server.url(&self.name)
    }

    /// Runs SQL in it; see [`MariaDbServer::sql`].
    pub fn sql(&self, sql: &str) -> String {
        self.server.sql(&self.name, sql)
    }

    /// Its logical content; see [`MariaDbServer::dump`].
    pub fn dump(&self) -> String {
        self.server.dump(&self.name)
    }

    /// The databases beside it; see [`MariaDbServer::relatives`].
    pub fn relatives(&self) -> Vec<String> {
        self.server.relatives(&self.name)
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        // A failing test must show its own failure, and the server goes away in any case.
        let mut names = vec![self.name.clone()];
        if let Ok(all) = self.server.try_sql("", "SHOW DATABASES") {
            let begins = [format!("{}__", self.name), format!("{}-", self.name)];
            let beside = all
                .lines()
                .filter(|name| begins.iter().any(|begin| name.starts_with(begin)));
            names.extend(beside.map(str::to_owned));
        }
        for name in names {
            let _ = self.server.try_sql("", &format!("DROP DATABASE IF EXISTS `{name}`"));
        }
    }
}

/// Debian keeps the server's program out of the `PATH` of ordinary users.
fn server_program() -> PathBuf {
    let usual = Path::new("/usr/sbin/mariadbd");
    if usual.is_file() {
        usual.to_owned()
    } else {
        system_tool("mariadbd")
    }
}

/// Who runs the server: MariaDB refuses to be root.
fn unprivileged_user() -> Option<&'static str> {
    if !rustix::process::geteuid().is_root() {
        return None;
    }
    Some(if uzers::get_user_by_name("mysql").is_some() {
        "mysql"
    } else {
        "nobody"
    })
}
