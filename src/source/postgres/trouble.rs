//! What `psql` and `pg_dump` say when something is wrong, sorted into kinds.

use std::fmt;

use super::url::PostgresUrl;
use crate::base::failure::{Failure, Kind};

/// A failure of the server or of the way to it, as the clients report it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Trouble {
    /// The five characters that PostgreSQL gives each sort of error, if the client showed them.
    pub sqlstate: Option<String>,
    /// What was said, without codes and places in the server's source.
    pub lines: Vec<String>,
    /// Whether there was no connection at all.
    pub no_connection: bool,
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.lines.join("\n"))
    }
}

impl std::error::Error for Trouble {}

/// libpq's words when nobody, or nobody who speaks the protocol, answers.
const UNREACHABLE: &[&str] = &[
    "could not translate host name",
    "could not connect to server",
    "Connection refused",
    "Connection timed out",
    "timeout expired",
    "No such file or directory",
    "No route to host",
    "Network is unreachable",
    "Host is unreachable",
    "Connection reset by peer",
    "server closed the connection unexpectedly",
    "could not receive data from server",
    "could not send data to server",
    "could not look up local user",
    "the database system is starting up",
    "the database system is shutting down",
    "the database system is not yet accepting connections",
    "the database system is in recovery mode",
    "sorry, too many clients already",
    "remaining connection slots are reserved",
    "too many connections for",
    "SSL error",
    "server does not support SSL",
    "certificate verify failed",
    "root certificate file",
];

/// Words about who one is, from libpq and from the server.
const DENIED: &[&str] = &[
    "no password supplied",
    "password authentication failed",
    "authentication failed",
    "no pg_hba.conf entry",
    "pg_hba.conf rejects",
    "is not permitted to log in",
    "permission denied",
    "must be owner of",
    "must be superuser",
    "must be a superuser",
];

impl Trouble {
    /// Reads the last lines of a client's standard error.
    #[must_use]
    pub fn read(stderr: &[String]) -> Self {
        let mut trouble = Self::default();
        for line in stderr {
            // The second is about our own temporary file, which is none of the user's.
            if line.starts_with("LOCATION:") || line.starts_with("password retrieved from file") {
                continue;
            }
            let (shown, sqlstate) = without_sqlstate(line);
            let is_error = shown.contains("ERROR:") || shown.contains("FATAL:") || shown.contains("PANIC:");
            if sqlstate.is_some() && (trouble.sqlstate.is_none() || is_error) {
                trouble.sqlstate = sqlstate;
            }
            let connection = shown.contains("connection to server") && shown.contains("failed:");
            let older = shown.starts_with("psql: error: ") || shown.starts_with("psql: could not");
            trouble.no_connection |= connection || (older && trouble.sqlstate.is_none());
            trouble.lines.push(shown);
        }
        trouble
    }

    /// Whether any line has one of these words.
    #[must_use]
    pub fn says(&self, words: &str) -> bool {
        self.lines.iter().any(|line| line.contains(words))
    }

    fn says_one_of(&self, list: &[&str]) -> bool {
        list.iter().any(|words| self.says(words))
    }

    fn is_unreachable(&self) -> bool {
        match self.sqlstate {
            Some(_) => ["08", "57P", "53300"].iter().any(|state| self.has_state(state)),
            None => self.says_one_of(UNREACHABLE),
        }
    }

    fn has_state(&self, state: &str) -> bool {
        self.sqlstate.as_deref().is_some_and(|own| own.starts_with(state))
    }

    /// Whether the server knows the user but not the database.
    #[must_use]
    pub fn is_unknown_database(&self) -> bool {
        self.has_state("3D000") || (self.says("database \"") && self.says("\" does not exist") && !self.says("role \""))
    }

    /// Whether the server gave an answer whose meaning is not known here, as when it speaks another language.
    #[must_use]
    pub fn is_unclear(&self) -> bool {
        self.no_connection && self.kind() == Kind::Failed
    }

    /// What sort of failure this is.
    #[must_use]
    pub fn kind(&self) -> Kind {
        let unknown_role = self.no_connection && self.says("role \"") && self.says("does not exist");
        if self.is_unknown_database() {
            Kind::NotFound
        } else if self.has_state("28") || self.has_state("42501") || unknown_role {
            Kind::Denied
        } else if self.has_state("53100") || self.says("No space left on device") {
            Kind::NoSpace
        } else if self.sqlstate.is_none() && self.says_one_of(DENIED) {
            Kind::Denied
        } else if self.is_unreachable() {
            Kind::Unreachable
        } else {
            Kind::Failed
        }
    }

    /// This trouble as a failure to do `doing` on the server at `url`.
    #[must_use]
    pub fn failure(self, doing: &str, url: &PostgresUrl) -> Failure {
        let kind = self.kind();
        let hint = self.hint(url);
        let message = match (self.no_connection, kind) {
            (true, Kind::Unreachable) => format!("The PostgreSQL server at `{url}` cannot be reached"),
            (true, Kind::Denied) => format!("The PostgreSQL server at `{url}` refused the connection"),
            (true, Kind::NotFound) => format!("The PostgreSQL server has no such database: `{url}`"),
            (true, _) => format!("Could not connect to `{url}`"),
            (false, _) => format!("Could not {doing}"),
        };
        let failure = Failure::new(kind, message).caused_by(self);
        match hint {
            Some(hint) => failure.hint(hint),
            None => failure,
        }
    }

    /// What to do about it.
    #[must_use]
    pub fn hint(&self, url: &PostgresUrl) -> Option<String> {
        let hint = match self.kind() {
            Kind::NotFound => {
                "List the databases with `psql -l`; a name with special characters must be percent-encoded in the URL"
                    .to_owned()
            }
            Kind::Denied if self.says("no password supplied") => {
                "Put the password into the URL, PGPASSWORD or a password file (~/.pgpass, mode 0600)".to_owned()
            }
            Kind::Denied if self.says("password authentication failed") => {
                "Check user and password (from the URL, where special characters must be percent-encoded, PGPASSWORD or ~/.pgpass)".to_owned()
            }
            Kind::Denied if self.says("pg_hba.conf") => {
                "The server's pg_hba.conf does not let this user in from here; also try `?sslmode=require`".to_owned()
            }
            Kind::Denied if self.says("Peer authentication") => {
                "Over a local socket the server wants the system user of that name; use a host name and a password instead"
                    .to_owned()
            }
            Kind::Denied if self.no_connection => "Check user, password and the server's pg_hba.conf".to_owned(),
            Kind::Denied => "Use the owner of the objects, or a superuser".to_owned(),
            Kind::Unreachable if self.says("could not translate host name") => {
                "Check the host's name in the URL".to_owned()
            }
            Kind::Unreachable if self.says("Connection refused") || self.says("No such file") => {
                "Is the server running, and are host and port right?".to_owned()
            }
            Kind::Unreachable if self.says("does not support SSL") => {
                "Use `?sslmode=prefer`, or switch SSL on in the server".to_owned()
            }
            Kind::Unreachable if self.says("certificate") => {
                "Name the authority's certificate with `?sslrootcert=FILE`".to_owned()
            }
            Kind::Unreachable if self.says("too many") || self.says("connection slots") => {
                "The server has no free connection; try again later".to_owned()
            }
            Kind::NoSpace => "The server's disk is full; free some space there".to_owned(),
            _ if self.no_connection && url.database().is_none() => {
                "The URL names no database; libpq then takes PGDATABASE or the user's name".to_owned()
            }
            _ => return None,
        };
        Some(hint)
    }
}

/// What the server warned of while all went well, without codes.
///
/// `pg_dump` puts large objects into a transaction of their own, which inside another one is worth a warning to the server.
#[must_use]
pub fn warnings(stderr: &[String]) -> Vec<String> {
    const TRANSACTION_STATES: &[&str] = &["25001", "25P01"];
    stderr
        .iter()
        .filter(|line| !line.contains("NOTICE:") && !line.contains("INFO:"))
        .filter_map(|line| match without_sqlstate(line) {
            (shown, Some(state)) if !TRANSACTION_STATES.contains(&state.as_str()) => Some(shown),
            _ => None,
        })
        .collect()
}

/// Takes `42P01: ` out of `ERROR:  42P01: relation does not exist`, where verbose clients put it.
fn without_sqlstate(line: &str) -> (String, Option<String>) {
    let mut from = 0;
    while let Some(found) = line[from..].find(": ") {
        let after = from + found + 2;
        let rest = line[after..].trim_start();
        let state = rest.get(..5).filter(|state| {
            rest[5..].starts_with(": ")
                && state
                    .bytes()
                    .all(|byte| byte.is_ascii_digit() || byte.is_ascii_uppercase())
                && state.bytes().any(|byte| byte.is_ascii_digit())
        });
        if let Some(state) = state {
            let before = line[..after].trim_end();
            return (format!("{before} {}", rest[7..].trim_start()), Some(state.to_owned()));
        }
        from = after;
    }
    (line.to_owned(), None)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Trouble {
        Trouble::read(&text.lines().map(str::to_owned).collect::<Vec<_>>())
    }

    #[test]
    fn words_of_clients_and_servers_are_sorted_into_kinds() {
        let at = "psql: error: connection to server at \"10.0.0.1\", port 5432 failed: ";
        for (text, kind) in [
            (
                format!("{at}Connection refused\n\tIs the server running on that host?"),
                Kind::Unreachable,
            ),
            (format!("{at}timeout expired"), Kind::Unreachable),
            (
                format!("{at}FATAL:  the database system is starting up"),
                Kind::Unreachable,
            ),
            (
                format!("{at}FATAL:  sorry, too many clients already"),
                Kind::Unreachable,
            ),
            (
                format!("{at}FATAL:  password authentication failed for user \"u\""),
                Kind::Denied,
            ),
            (format!("{at}fe_sendauth: no password supplied"), Kind::Denied),
            (
                format!("{at}FATAL:  no pg_hba.conf entry for host \"x\", user \"u\""),
                Kind::Denied,
            ),
            (format!("{at}FATAL:  role \"u\" does not exist"), Kind::Denied),
            (
                format!("{at}FATAL:  Peer authentication failed for user \"u\""),
                Kind::Denied,
            ),
            (
                format!("{at}FATAL:  permission denied for database \"d\""),
                Kind::Denied,
            ),
            (format!("{at}FATAL:  database \"d\" does not exist"), Kind::NotFound),
            (format!("{at}FATAL:  Datenbank »d« existiert nicht"), Kind::Failed),
            (
                "psql: error: could not translate host name \"x\" to address: Name or service not known".to_owned(),
                Kind::Unreachable,
            ),
            (
                "psql: error: connection to server on socket \"/tmp/.s.PGSQL.1\" failed: No such file or directory"
                    .to_owned(),
                Kind::Unreachable,
            ),
            (
                "psql: error: FATAL:  database \"d\" does not exist".to_owned(),
                Kind::NotFound,
            ),
            ("ERROR:  42501: permission denied for table t".to_owned(), Kind::Denied),
            ("FEHLER:  42501: keine Berechtigung".to_owned(), Kind::Denied),
            ("FATAL:  57P01: terminating connection".to_owned(), Kind::Unreachable),
            ("ERROR:  53100: could not extend file".to_owned(), Kind::NoSpace),
            ("ERROR:  42704: role \"x\" does not exist".to_owned(), Kind::Failed),
        ] {
            assert_eq!(read(&text).kind(), kind, "{text}");
        }
        assert!(read(&format!("{at}FATAL:  Datenbank »d« existiert nicht")).is_unclear());
    }

    #[test]
    fn warnings_are_told_from_notices_and_from_the_dumps_own_doing() {
        let lines = [
            "psql:<stdin>:5: WARNING:  25001: there is already a transaction in progress",
            "psql:<stdin>:6: WARNUNG:  55000: »wal_level« reicht nicht",
            "HINT:  Set wal_level to logical.",
            "LOCATION:  CreatePublication, publicationcmds.c:1",
            "NOTICE:  42P07: relation \"t\" already exists, skipping",
        ];
        let found = warnings(&lines.map(str::to_owned));
        assert_eq!(found, ["psql:<stdin>:6: WARNUNG: »wal_level« reicht nicht"]);
    }

    #[test]
    fn codes_and_places_in_the_source_are_not_shown() {
        let trouble =
            read("psql:<stdin>:5: ERROR:  42704: role \"x\" does not exist\nLOCATION:  get_role_oid, acl.c:5205");
        assert_eq!(trouble.sqlstate.as_deref(), Some("42704"));
        assert_eq!(trouble.to_string(), "psql:<stdin>:5: ERROR: role \"x\" does not exist");
        assert!(!trouble.no_connection);
        assert_eq!(without_sqlstate("note: 12: x"), ("note: 12: x".to_owned(), None));
        assert_eq!(without_sqlstate("a: ABCDE: x").1, None);
    }
}
