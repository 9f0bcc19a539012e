//! Finds the programs that dump and ask, of the make and version that suit the server.

use std::cmp::Reverse;
use std::fmt;
use std::path::{Path, PathBuf};

use crate::base::cancel::Cancel;
use crate::base::failure::{Failure, Kind, Result};
use crate::base::process::{Program, env_var};

/// Names of the program that dumps: MariaDB's own, and the one that both makers have used.
pub const DUMPERS: &[&str] = &["mariadb-dump", "mysqldump"];

/// Names of the program that asks.
pub const CLIENTS: &[&str] = &["mariadb", "mysql"];

/// Where clients lie that are not in `PATH`.
const FOLDERS: &[&str] = &[
    "/usr/local/mysql/bin",
    "/opt/homebrew/opt/mysql-client/bin",
    "/opt/homebrew/opt/mariadb/bin",
    "/usr/local/opt/mysql-client/bin",
    "/usr/local/opt/mariadb/bin",
];

/// The first version of each series of MariaDB whose client knows the sandbox command; every later series does.
const SANDBOX_SINCE: &[Version] = &[
    Version(10, 5, 25),
    Version(10, 6, 18),
    Version(10, 11, 8),
    Version(11, 0, 6),
    Version(11, 1, 5),
    Version(11, 2, 4),
    Version(11, 4, 2),
];

/// Who makes a server or a client. The two have grown apart, and each dumps its own best.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Maker {
    /// MariaDB.
    MariaDb,
    /// Oracle, and those who build on its MySQL.
    MySql,
}

impl Maker {
    /// Of a program or server that says this of itself.
    #[must_use]
    pub fn of(said: &str) -> Self {
        if said.to_ascii_lowercase().contains("mariadb") {
            Self::MariaDb
        } else {
            Self::MySql
        }
    }

    fn package(self) -> &'static str {
        match self {
            Self::MariaDb => "Install MariaDB's client programs, for example: apt-get install mariadb-client",
            Self::MySql => "Install MySQL's client programs, for example: apt-get install mysql-client",
        }
    }
}

impl fmt::Display for Maker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::MariaDb => "MariaDB",
            Self::MySql => "MySQL",
        })
    }
}

/// The three numbers of a version.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Version(pub u32, pub u32, pub u32);

impl Version {
    /// The first two or three numbers with dots between them, at the beginning of a text.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let end = text
            .find(|c: char| !c.is_ascii_digit() && c != '.')
            .unwrap_or(text.len());
        let mut numbers = text[..end].split('.').map(str::parse::<u32>);
        let mut next = || numbers.next().and_then(Result::ok);
        let (major, minor) = (next()?, next()?);
        Some(Self(major, minor, next().unwrap_or(0)))
    }

    fn series(self) -> (u32, u32) {
        (self.0, self.1)
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.0, self.1, self.2)
    }
}

/// A client program that is there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Client {
    /// Its path.
    pub path: PathBuf,
    /// Who made it.
    pub maker: Maker,
    /// Its version.
    pub version: Version,
}

impl Client {
    /// Of a program that says this when asked for its version.
    fn read(path: PathBuf, said: &str) -> Option<Self> {
        // `… Ver 10.19 Distrib 10.11.6-MariaDB, …` has its own number first; newer ones say `… from 11.4.2-MariaDB, …`.
        let after = |word: &str| {
            said.split_once(word)
                .and_then(|(_, rest)| Version::parse(rest.trim_start()))
        };
        let version = after("Distrib ")
            .or_else(|| after(" from "))
            .or_else(|| after("Ver "))?;
        Some(Self {
            path,
            maker: Maker::of(said),
            version,
        })
    }

    /// The program's name.
    #[must_use]
    pub fn name(&self) -> String {
        Program::new(&self.path).name()
    }

    /// Its maker and version, as the manifest has them.
    #[must_use]
    pub fn version_text(&self) -> String {
        format!("{} ({})", self.version, self.maker)
    }

    /// Whether it understands the line by which newer dumps keep a client from running programs.
    #[must_use]
    pub fn knows_sandbox(&self) -> bool {
        if self.maker == Maker::MySql {
            return false;
        }
        match SANDBOX_SINCE
            .iter()
            .find(|since| since.series() == self.version.series())
        {
            Some(since) => self.version >= *since,
            None => self.version > Version(11, 4, 0),
        }
    }
}

/// All clients of these names, in the order in which they were found: `PATH` first.
///
/// # Errors
/// [`Kind::Tool`] if there is none that says its version, [`Kind::Interrupted`].
pub fn find_clients(names: &[&str], folder: Option<&Path>, cancel: &Cancel) -> Result<Vec<Client>> {
    let folders = match folder {
        Some(folder) => vec![folder.to_owned()],
        None => std::env::split_paths(&env_var("PATH").unwrap_or_default())
            .filter(|folder| folder.is_absolute())
            .chain(FOLDERS.iter().map(PathBuf::from))
            .collect(),
    };
    let mut clients: Vec<Client> = Vec::new();
    let mut seen = Vec::new();
    let mut unusable = None;
    for path in folders
        .iter()
        .flat_map(|folder| names.iter().map(|name| folder.join(name)))
    {
        // One of the names is mostly a link to the other.
        let Ok(real) = path.canonicalize() else { continue };
        if !real.is_file() || seen.contains(&real) {
            continue;
        }
        seen.push(real);
        cancel.check()?;
        let said = Program::new(&path)
            .arg("--version")
            .env("LC_ALL", "C")
            .output(Kind::Tool, cancel);
        match said.ok().and_then(|said| Client::read(path.clone(), &said)) {
            Some(client) => clients.push(client),
            None => unusable = Some(path),
        }
    }
    cancel.check()?;
    if !clients.is_empty() {
        return Ok(clients);
    }
    let names = names.join("` nor `");
    let failure = match (unusable, folder) {
        (Some(path), _) => Failure::new(Kind::Tool, format!("`{}` does not tell its version", path.display())),
        (None, Some(folder)) => Failure::new(
            Kind::Tool,
            format!("There is neither `{names}` in `{}`", folder.display()),
        ),
        (None, None) => Failure::new(Kind::Tool, format!("Neither `{names}` is installed")),
    };
    Err(match folder {
        Some(_) => failure.hint("Mend the setting `mysql-client-folder` (BACKUP_MYSQL_CLIENT_FOLDER), or leave it out"),
        None => failure
            .hint(Maker::MariaDb.package())
            .hint("For a MySQL server: apt-get install mysql-client"),
    })
}

/// The client for a server: of its maker; of its series, else of the next newer one, else the newest.
#[must_use]
pub fn choose(clients: &[Client], maker: Maker, server: Version) -> Option<&Client> {
    let own: Vec<&Client> = clients.iter().filter(|client| client.maker == maker).collect();
    let candidates = if own.is_empty() { clients.iter().collect() } else { own };
    let suits = candidates
        .iter()
        .filter(|client| client.version.series() >= server.series())
        .min_by_key(|client| (client.version.series(), Reverse(client.version)));
    // Of equals the first found wins, which is the one in PATH.
    let newest = || candidates.iter().rev().max_by_key(|client| client.version);
    suits.or_else(newest).copied()
}

/// What is to be said of a dump by `client` of a server that another one made, or made later.
#[must_use]
pub fn mismatch(client: &Client, maker: Maker, server: Version) -> Option<String> {
    let name = client.name();
    if client.maker != maker {
        return Some(format!(
            "The server is {maker} and `{name}` is {}'s: what only one of them knows may be missing or not come back. {}.",
            client.maker,
            maker.package()
        ));
    }
    (client.version.series() < server.series()).then(|| {
        format!(
            "The server is {maker} {server} and `{name}` only {}: what is new in the server may be missing. {}.",
            client.version,
            maker.package()
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(maker: Maker, major: u32, minor: u32, patch: u32) -> Client {
        Client {
            path: PathBuf::from("/opt/mysqldump"),
            maker,
            version: Version(major, minor, patch),
        }
    }

    #[test]
    fn versions_read_from_all_that_programs_say() {
        use Maker::{MariaDb, MySql};
        for (said, maker, version) in [
            (
                "mariadb-dump  Ver 10.19 Distrib 10.11.19-MariaDB, for debian-linux-gnu (x86_64)",
                MariaDb,
                Version(10, 11, 19),
            ),
            (
                "mariadb-dump from 11.4.2-MariaDB, client 10.19 for Linux (x86_64)",
                MariaDb,
                Version(11, 4, 2),
            ),
            (
                "mysqldump  Ver 8.0.36 for Linux on x86_64 (MySQL Community Server - GPL)",
                MySql,
                Version(8, 0, 36),
            ),
            (
                "mysqldump  Ver 10.13 Distrib 5.7.44, for Linux (x86_64)",
                MySql,
                Version(5, 7, 44),
            ),
            (
                "mysql  Ver 9.1 for macos15 on arm64 (Homebrew)",
                MySql,
                Version(9, 1, 0),
            ),
            (
                "/usr/bin/mysqldump from 11.8.1-MariaDB, client 10.19",
                MariaDb,
                Version(11, 8, 1),
            ),
        ] {
            let client = Client::read(PathBuf::from("x"), said).unwrap();
            assert_eq!((client.maker, client.version), (maker, version), "{said}");
        }
        assert_eq!(Client::read(PathBuf::from("x"), "no number"), None);
        assert_eq!(Version::parse("8.0.36-0ubuntu0.22.04.1"), Some(Version(8, 0, 36)));
    }

    #[test]
    fn the_client_is_of_the_servers_maker_and_series() {
        use Maker::{MariaDb, MySql};
        let clients = [
            client(MySql, 8, 0, 30),
            client(MariaDb, 10, 11, 6),
            client(MySql, 8, 4, 1),
            client(MariaDb, 10, 5, 1),
            client(MariaDb, 11, 4, 2),
        ];
        let chosen = |maker, server| choose(&clients, maker, server).map(|client| (client.maker, client.version));
        assert_eq!(chosen(MySql, Version(8, 0, 36)), Some((MySql, Version(8, 0, 30))));
        assert_eq!(chosen(MySql, Version(5, 7, 1)), Some((MySql, Version(8, 0, 30))));
        assert_eq!(chosen(MySql, Version(9, 1, 0)), Some((MySql, Version(8, 4, 1))));
        assert_eq!(chosen(MariaDb, Version(10, 6, 9)), Some((MariaDb, Version(10, 11, 6))));
        assert_eq!(chosen(MariaDb, Version(11, 4, 9)), Some((MariaDb, Version(11, 4, 2))));
        assert_eq!(chosen(MariaDb, Version(12, 0, 1)), Some((MariaDb, Version(11, 4, 2))));
        // Another maker's is better than none, and it is said.
        let other = choose(&clients[..1], MariaDb, Version(10, 11, 6)).unwrap();
        assert!(
            mismatch(other, MariaDb, Version(10, 11, 6))
                .unwrap()
                .contains("mariadb-client")
        );
        assert!(mismatch(&clients[0], MySql, Version(8, 0, 99)).is_none());
        assert!(
            mismatch(&clients[0], MySql, Version(8, 4, 0))
                .unwrap()
                .contains("only 8.0.30")
        );
        assert_eq!(choose(&[], MySql, Version(8, 0, 0)), None);
    }

    #[test]
    fn the_sandbox_came_with_minor_versions() {
        for (maker, version, knows) in [
            (Maker::MariaDb, (10, 4, 34), false),
            (Maker::MariaDb, (10, 5, 24), false),
            (Maker::MariaDb, (10, 5, 25), true),
            (Maker::MariaDb, (10, 11, 7), false),
            (Maker::MariaDb, (10, 11, 8), true),
            (Maker::MariaDb, (11, 3, 2), false),
            (Maker::MariaDb, (11, 4, 1), false),
            (Maker::MariaDb, (11, 5, 1), true),
            (Maker::MySql, (9, 9, 9), false),
        ] {
            let (major, minor, patch) = version;
            assert_eq!(client(maker, major, minor, patch).knows_sandbox(), knows, "{version:?}");
        }
    }

    #[test]
    fn a_folder_without_the_program_is_a_tool_failure() {
        let folder = tempfile::tempdir().unwrap();
        let failure = find_clients(DUMPERS, Some(folder.path()), &Cancel::new()).unwrap_err();
        assert_eq!(failure.kind(), Kind::Tool);
        assert!(failure.hints()[0].contains("mysql-client-folder"));
    }
}
