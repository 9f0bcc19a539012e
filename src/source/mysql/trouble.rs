//! What the clients say when something is wrong, sorted into kinds by the server's numbers.

use std::fmt;

use super::url::MysqlUrl;
use crate::base::failure::{Failure, Kind};

/// Numbers of errors about who one is and what one may do.
const DENIED: &[u32] = &[
    1044, 1045, 1095, 1130, 1142, 1143, 1227, 1251, 1370, 1396, 1410, 1419, 1524, 1698, 1820, 1862, 2059, 2061, 3118,
    3879, 4151,
];

/// Numbers of errors of the way to the server, or of a server that is going or overrun.
const UNREACHABLE: &[u32] = &[
    1040, 1053, 1077, 1079, 1129, 1159, 1160, 1161, 1203, 1226, 1317, 1927, 1969, 2002, 2003, 2004, 2005, 2006, 2007,
    2012, 2013, 2026, 2027, 2055, 4031, 5014,
];

/// Numbers for a full disk.
const NO_SPACE: &[u32] = &[3, 28, 1021, 1114, 1878];

/// The first number that the clients themselves give; these are about the connection.
const CLIENT_ERRORS_MIN: u32 = 2000;
const CLIENT_ERRORS_MAX: u32 = 2999;

/// A failure of the server or of the way to it, as the clients report it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Trouble {
    /// The number that the server or the client gives each sort of error, if it was shown.
    pub number: Option<u32>,
    /// What was said.
    pub lines: Vec<String>,
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.lines.join("\n"))
    }
}

impl std::error::Error for Trouble {}

impl Trouble {
    /// Reads the last lines of a client's standard error.
    ///
    /// The statement that failed, which the clients repeat, is left out: it may be rows of somebody's data.
    #[must_use]
    pub fn read(stderr: &[String]) -> Self {
        let first = stderr.iter().position(|line| number_of(line).is_some());
        let lines: Vec<String> = match first {
            Some(first) => stderr[first..]
                .iter()
                .filter(|line| !line.trim().is_empty())
                .cloned()
                .collect(),
            None => without_statements(stderr),
        };
        Self {
            number: first.and_then(|first| number_of(&stderr[first])),
            lines,
        }
    }

    /// Whether these words were said.
    #[must_use]
    pub fn says(&self, words: &str) -> bool {
        self.lines.iter().any(|line| line.contains(words))
    }

    /// The kind, which decides the exit status.
    #[must_use]
    pub fn kind(&self) -> Kind {
        match self.number {
            Some(number) if DENIED.contains(&number) => Kind::Denied,
            Some(1049) => Kind::NotFound,
            Some(number) if NO_SPACE.contains(&number) => Kind::NoSpace,
            Some(number)
                if UNREACHABLE.contains(&number) || (CLIENT_ERRORS_MIN..=CLIENT_ERRORS_MAX).contains(&number) =>
            {
                Kind::Unreachable
            }
            _ => Kind::Failed,
        }
    }

    /// As a failure to do `doing`.
    #[must_use]
    pub fn failure(self, doing: &str, url: &MysqlUrl) -> Failure {
        let hint = self.hint(url);
        let message = match (self.kind(), self.number) {
            (Kind::Unreachable, Some(CLIENT_ERRORS_MIN..=CLIENT_ERRORS_MAX)) if self.is_of_connecting() => {
                format!("The MySQL or MariaDB server at `{url}` cannot be reached")
            }
            (Kind::Denied, Some(1045 | 1130 | 1698)) => {
                format!("The MySQL or MariaDB server at `{url}` refused the connection")
            }
            _ => format!("Could not {doing} at `{url}`"),
        };
        let failure = Failure::new(self.kind(), message).caused_by(self);
        match hint {
            Some(hint) => failure.hint(hint),
            None => failure.hint("The server's log may say more"),
        }
    }

    /// Whether it came before the first statement.
    fn is_of_connecting(&self) -> bool {
        !self.lines.first().is_some_and(|line| line.contains(" at line "))
    }

    /// What to do about it, where that can be told.
    #[must_use]
    pub fn hint(&self, url: &MysqlUrl) -> Option<String> {
        let user = url.user().unwrap_or("the system user's name");
        let hint = match self.number? {
            1045 | 1698 if url.password().is_none() => {
                "No password is in the URL; MYSQL_PWD, BACKUP_MYSQL_PASSWORD or `password` in ~/.my.cnf can hold it"
                    .to_owned()
            }
            1045 | 1698 => format!("Check the password, and that `{user}` may log in from this host"),
            1044 => format!("Does the database exist, and has `{user}` been granted rights on it?"),
            1049 => "Check the database's name; SHOW DATABASES lists those that one may see".to_owned(),
            1130 => "The server lets no one in from this host; its accounts name the hosts".to_owned(),
            1227 | 4151 => format!(
                "Grant `{user}` the right that is named; objects with another DEFINER need SET USER (MariaDB) or \
                 SET_ANY_DEFINER (MySQL), or SUPER"
            ),
            1419 => "Functions and triggers with binary logging need SUPER, or log_bin_trust_function_creators".to_owned(),
            1142 | 1143 | 1370 => format!("Grant `{user}` the right that is named"),
            1820 | 1862 => "The password has expired; log in by hand and set another one".to_owned(),
            2059 | 1251 | 2061 => {
                "The client does not know this way to log in, or will not use it without TLS; install the server's own client".to_owned()
            }
            2002 if self.says("socket") => "Is the server running, and is this its socket? `?socket=/path` names another one".to_owned(),
            2002 | 2003 => "Is the server running, and does a firewall let this host through?".to_owned(),
            2005 => "Check the host's name".to_owned(),
            2026 => "Check the certificates, and `ssl-mode` in the URL".to_owned(),
            1040 | 1203 | 1226 => "The server has too many connections; try again later, or raise max_connections".to_owned(),
            1021 | 1114 | 1878 => "Free space on the server's disk".to_owned(),
            1053 | 1077 | 1079 | 1927 | 2006 | 2013 | 1317 => {
                "The server ended the session; its log says why".to_owned()
            }
            _ => return None,
        };
        Some(hint)
    }
}

/// The number in a line by `mysql` (`ERROR 1045 (28000): …`) or `mysqldump` (`Got error: 1045: …`, `Error 2013: …`, `… (1044)`).
fn number_of(line: &str) -> Option<u32> {
    let digits = |text: &str| {
        let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
        text[..end].parse::<u32>().ok()
    };
    if let Some(rest) = line.strip_prefix("ERROR ") {
        return digits(rest);
    }
    let (program, rest) = line.split_once(": ")?;
    if program.contains(char::is_whitespace)
        || !(program.contains("dump") || program.contains("mysql") || program.contains("mariadb"))
    {
        return None;
    }
    for begin in ["Got error: ", "Error "] {
        if let Some(number) = rest.strip_prefix(begin).and_then(digits) {
            return Some(number);
        }
    }
    let number = rest.trim_end().strip_suffix(')')?.rsplit_once('(')?.1;
    (!number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit())).then(|| digits(number))?
}

/// Without what stands between two lines of dashes.
fn without_statements(stderr: &[String]) -> Vec<String> {
    let mut inside = false;
    let mut lines = Vec::new();
    for line in stderr {
        if line == "--------------" {
            inside = !inside;
        } else if !inside && !line.trim().is_empty() {
            lines.push(line.clone());
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Trouble {
        Trouble::read(&text.lines().map(str::to_owned).collect::<Vec<_>>())
    }

    #[test]
    fn words_of_clients_and_servers_are_sorted_into_kinds() {
        for (text, number, kind) in [
            (
                "ERROR 1045 (28000): Access denied for user 'u'@'h' (using password: YES)",
                1045,
                Kind::Denied,
            ),
            ("ERROR 1049 (42000): Unknown database 'd'", 1049, Kind::NotFound),
            (
                "ERROR 2002 (HY000): Can't connect to local server through socket '/x' (2)",
                2002,
                Kind::Unreachable,
            ),
            (
                "ERROR 2003 (HY000): Can't connect to MySQL server on 'h:3306' (111)",
                2003,
                Kind::Unreachable,
            ),
            (
                "ERROR 2026 (HY000): TLS/SSL error: certificate verify failed",
                2026,
                Kind::Unreachable,
            ),
            (
                "mariadb-dump: Got error: 1045: \"Access denied for user\" when trying to connect",
                1045,
                Kind::Denied,
            ),
            (
                "mysqldump: Error 2013: Lost connection to server during query when dumping table `t` at row: 9",
                2013,
                Kind::Unreachable,
            ),
            (
                "mariadb-dump: Couldn't execute 'show events': Access denied for user (1044)",
                1044,
                Kind::Denied,
            ),
            (
                "mysqldump: Error 1412: Table definition has changed, please retry transaction when dumping",
                1412,
                Kind::Failed,
            ),
            (
                "ERROR 1114 (HY000) at line 9: The table 't' is full",
                1114,
                Kind::NoSpace,
            ),
            ("ERROR 1062 (23000) at line 5: Duplicate entry", 1062, Kind::Failed),
        ] {
            let trouble = read(text);
            assert_eq!((trouble.number, trouble.kind()), (Some(number), kind), "{text}");
        }
        assert_eq!(read("mysqldump: user has insufficient privileges").number, None);
        assert_eq!(read("note: x (12)").number, None);
    }

    #[test]
    fn statements_with_data_are_not_repeated() {
        for end in ["\nERROR 1062 (23000) at line 5: Duplicate entry", "\nwarned"] {
            let trouble = read(&format!(
                "--------------\ninsert into t values ('private')\n--------------\n{end}"
            ));
            assert!(!trouble.to_string().contains("private"), "{trouble}");
            assert!(!trouble.to_string().is_empty());
        }
    }
}
