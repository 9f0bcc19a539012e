//! Finds `pg_dump` and `psql`, of a version that suits the server.

use std::cmp::Reverse;
use std::fmt;
use std::path::{Path, PathBuf};

use crate::base::cancel::Cancel;
use crate::base::failure::{Failure, Kind, Result};
use crate::base::process::{Program, env_var};

/// Where distributions put the clients of each major version: a folder, and what stands between it and the programs.
const VERSIONED_FOLDERS: &[(&str, &str, &str)] = &[
    ("/usr/lib/postgresql", "", "bin"),
    ("/usr", "pgsql-", "bin"),
    ("/usr/libexec", "postgresql", ""),
    ("/opt/homebrew/opt", "postgresql@", "bin"),
    ("/usr/local/opt", "postgresql@", "bin"),
];

/// The first minor version of each major one that knows `\restrict`; every later major version does.
const RESTRICT_SINCE: &[(u32, u32)] = &[(13, 22), (14, 19), (15, 14), (16, 10), (17, 6)];

/// The version of a client or server: `15.18`, or `9.6.24` as major 9, minor 6.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Version {
    /// The first number.
    pub major: u32,
    /// The second number; 0 for a version under development.
    pub minor: u32,
}

impl Version {
    /// Reads it from the output of `pg_dump --version`, or from a dump's header.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        text.split_ascii_whitespace().find_map(|word| {
            let digits = |text: &str| text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
            let (major, rest) = word.split_at(digits(word));
            let major = major.parse().ok()?;
            let minor = match rest.strip_prefix('.') {
                Some(rest) => rest[..digits(rest)].parse().ok()?,
                // `18devel`, `18beta1`
                None => 0,
            };
            Some(Self { major, minor })
        })
    }

    /// Reads `server_version_num`: `150018`, or `90624` for 9.6.
    #[must_use]
    pub fn from_number(number: u32) -> Self {
        if number >= 100_000 {
            Self {
                major: number / 10_000,
                minor: number % 10_000,
            }
        } else {
            Self {
                major: number / 10_000,
                minor: number / 100 % 100,
            }
        }
    }

    /// What decides whether a dump is possible: the first number, before 10 the first two.
    #[must_use]
    pub fn generation(self) -> (u32, u32) {
        if self.major >= 10 {
            (self.major, 0)
        } else {
            (self.major, self.minor)
        }
    }

    /// Whether a `psql` of this version knows `\restrict`.
    #[must_use]
    pub fn knows_restrict(self) -> bool {
        match RESTRICT_SINCE.iter().find(|(major, _)| *major == self.major) {
            Some((_, minor)) => self.minor >= *minor,
            None => self.major > 17,
        }
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.major, self.minor)
    }
}

/// A client program that is there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Client {
    /// Its path.
    pub path: PathBuf,
    /// Its version.
    pub version: Version,
    /// Its version as it says itself: `15.18 (Debian 15.18-0+deb12u1)`.
    pub version_text: String,
}

/// All clients of one name, in the order in which they were found: `PATH` first.
///
/// # Errors
/// [`Kind::Tool`] if there is none that says its version, [`Kind::Interrupted`].
pub fn find_clients(name: &str, folder: Option<&Path>, cancel: &Cancel) -> Result<Vec<Client>> {
    let folders = match folder {
        Some(folder) => vec![folder.to_owned()],
        None => default_folders(),
    };
    let mut clients: Vec<Client> = Vec::new();
    let mut unusable = Vec::new();
    for folder in &folders {
        let path = folder.join(name);
        if !path.is_file() || is_wrapper(&path) || clients.iter().any(|client| client.path == path) {
            continue;
        }
        cancel.check()?;
        let said = Program::new(&path)
            .arg("--version")
            .env("LC_ALL", "C")
            .output(Kind::Tool, cancel);
        match said.as_deref().map(Version::parse) {
            Ok(Some(version)) => clients.push(Client {
                path,
                version,
                version_text: version_text(said.as_deref().unwrap_or_default()),
            }),
            _ => unusable.push(path.display().to_string()),
        }
    }
    cancel.check()?;
    if !clients.is_empty() {
        return Ok(clients);
    }
    let failure = match (unusable.first(), folder) {
        (Some(path), _) => Failure::new(Kind::Tool, format!("`{path}` does not tell its version")),
        (None, Some(folder)) => Failure::new(Kind::Tool, format!("There is no `{name}` in `{}`", folder.display())),
        (None, None) => Failure::new(Kind::Tool, format!("`{name}` is not installed")),
    };
    Err(match folder {
        Some(_) => failure.hint("Mend the setting `pg-client-folder` (BACKUP_PG_CLIENT_FOLDER), or leave it out"),
        None => failure.hint("Install PostgreSQL's client programs, for example: apt-get install postgresql-client"),
    })
}

/// The `pg_dump` (or `pg_dumpall`: `name`) for a server: of the server's own version if there is one, else of the next newer one.
///
/// A dump by a much newer `pg_dump` may hold settings that the server itself does not know.
///
/// # Errors
/// [`Kind::Tool`] if every one is older than the server.
pub fn choose_dumper(name: &str, clients: &[Client], server: Version) -> Result<Client> {
    let suitable = clients
        .iter()
        .filter(|client| client.version.generation() >= server.generation())
        .min_by_key(|client| (client.version.generation(), Reverse(client.version.minor)));
    if let Some(client) = suitable {
        return Ok(client.clone());
    }
    let newest = clients.iter().max_by_key(|client| client.version);
    let found = newest.map_or_else(String::new, |client| {
        format!(
            "; the newest found is {} at `{}`",
            client.version,
            client.path.display()
        )
    });
    let (first, second) = server.generation();
    let package = if first >= 10 {
        first.to_string()
    } else {
        format!("{first}.{second}")
    };
    Err(Failure::new(
        Kind::Tool,
        format!("The server is PostgreSQL {server}, and `{name}` must not be older{found}"),
    )
    .hint(format!(
        "Install it, for example: apt-get install postgresql-client-{package}"
    )))
}

/// The newest client.
#[must_use]
pub fn newest(clients: &[Client]) -> Option<&Client> {
    // Of equals the first found wins, which is the one in PATH.
    clients.iter().rev().max_by_key(|client| client.version)
}

/// Debian's wrapper runs one of the versions that are found anyway, and which one depends on more than its arguments.
fn is_wrapper(path: &Path) -> bool {
    path.canonicalize()
        .is_ok_and(|path| path.file_name().is_some_and(|name| name == "pg_wrapper"))
}

fn version_text(said: &str) -> String {
    let said = said.trim();
    said.split_once(") ").map_or(said, |(_, version)| version).to_owned()
}

fn default_folders() -> Vec<PathBuf> {
    let mut folders: Vec<PathBuf> = std::env::split_paths(&env_var("PATH").unwrap_or_default())
        .filter(|folder| folder.is_absolute())
        .collect();
    for (parent, prefix, below) in VERSIONED_FOLDERS {
        let Ok(entries) = std::fs::read_dir(parent) else {
            continue;
        };
        let mut found: Vec<PathBuf> = entries
            .flatten()
            .filter(|entry| {
                let name = entry.file_name();
                let rest = name.to_str().and_then(|name| name.strip_prefix(prefix));
                rest.is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()))
            })
            .map(|entry| entry.path().join(below))
            .collect();
        found.sort();
        folders.append(&mut found);
    }
    folders
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(major: u32, minor: u32) -> Client {
        let version = Version { major, minor };
        Client {
            path: PathBuf::from(format!("/opt/{version}/pg_dump")),
            version,
            version_text: version.to_string(),
        }
    }

    #[test]
    fn versions_read_from_all_that_programs_say() {
        for (text, major, minor) in [
            ("pg_dump (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)", 15, 18),
            ("psql (PostgreSQL) 9.6.24", 9, 6),
            ("psql (PostgreSQL) 18beta2", 18, 0),
            ("pg_dump (PostgreSQL) 17devel", 17, 0),
            ("psql (PostgreSQL) 10.23", 10, 23),
            ("pg_dump (EnterpriseDB) 14.2.1", 14, 2),
        ] {
            assert_eq!(Version::parse(text), Some(Version { major, minor }), "{text}");
        }
        assert_eq!(Version::parse("no number here"), None);
        assert_eq!(Version::from_number(150_018), Version { major: 15, minor: 18 });
        assert_eq!(Version::from_number(90_624), Version { major: 9, minor: 6 });
        let text = "pg_dump (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)\n";
        assert_eq!(version_text(text), "15.18 (Debian 15.18-0+deb12u1)");
    }

    #[test]
    fn the_dumper_is_of_the_servers_version_or_the_next_newer_one() {
        let clients = [
            client(14, 3),
            client(15, 1),
            client(15, 9),
            client(17, 2),
            client(18, 0),
        ];
        let choose =
            |major, minor| choose_dumper("pg_dump", &clients, Version { major, minor }).map(|client| client.version);
        assert_eq!(choose(15, 20).unwrap(), Version { major: 15, minor: 9 });
        assert_eq!(choose(16, 0).unwrap(), Version { major: 17, minor: 2 });
        assert_eq!(choose(9, 6).unwrap(), Version { major: 14, minor: 3 });
        let failure = choose(19, 1).unwrap_err();
        assert_eq!(failure.kind(), Kind::Tool);
        assert!(failure.message().contains("19.1"), "{failure}");
        assert!(failure.message().contains("18.0 at `/opt/18.0/pg_dump`"), "{failure}");
        assert!(failure.hints()[0].contains("postgresql-client-19"));
        assert_eq!(newest(&clients).unwrap().version.major, 18);
    }

    #[test]
    fn restrict_came_with_minor_versions() {
        for (major, minor, knows) in [
            (12, 22, false),
            (13, 21, false),
            (13, 22, true),
            (15, 13, false),
            (15, 14, true),
            (17, 5, false),
            (17, 6, true),
            (18, 0, true),
        ] {
            assert_eq!(Version { major, minor }.knows_restrict(), knows, "{major}.{minor}");
        }
    }

    #[test]
    fn a_folder_without_the_program_is_a_tool_failure() {
        let folder = tempfile::tempdir().unwrap();
        let failure = find_clients("pg_dump", Some(folder.path()), &Cancel::new()).unwrap_err();
        assert_eq!(failure.kind(), Kind::Tool);
        assert!(failure.hints()[0].contains("pg-client-folder"));
    }
}
