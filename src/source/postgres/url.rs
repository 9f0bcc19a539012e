//! PostgreSQL URLs as libpq reads them, with the password kept apart.

use std::fmt;

use percent_encoding::utf8_percent_encode;

use crate::base::failure::{Failure, Kind, Result};
use crate::base::secret::Secret;
use crate::source::url_text::{self, ESCAPED, Undecodable, shown};

/// Parameters of libpq that a URL may carry, and the environment variable of each; without one it goes into the connection string.
const PARAMETERS: &[(&str, Option<&str>)] = &[
    ("application_name", Some("PGAPPNAME")),
    ("channel_binding", Some("PGCHANNELBINDING")),
    ("client_encoding", Some("PGCLIENTENCODING")),
    ("connect_timeout", Some("PGCONNECT_TIMEOUT")),
    ("fallback_application_name", None),
    ("gssdelegation", Some("PGGSSDELEGATION")),
    ("gssencmode", Some("PGGSSENCMODE")),
    ("gsslib", Some("PGGSSLIB")),
    ("hostaddr", Some("PGHOSTADDR")),
    ("keepalives", None),
    ("keepalives_count", None),
    ("keepalives_idle", None),
    ("keepalives_interval", None),
    ("krbsrvname", Some("PGKRBSRVNAME")),
    ("load_balance_hosts", Some("PGLOADBALANCEHOSTS")),
    ("options", Some("PGOPTIONS")),
    ("passfile", Some("PGPASSFILE")),
    ("require_auth", Some("PGREQUIREAUTH")),
    ("requirepeer", Some("PGREQUIREPEER")),
    ("service", Some("PGSERVICE")),
    ("servicefile", Some("PGSERVICEFILE")),
    ("ssl_max_protocol_version", Some("PGSSLMAXPROTOCOLVERSION")),
    ("ssl_min_protocol_version", Some("PGSSLMINPROTOCOLVERSION")),
    ("sslcert", Some("PGSSLCERT")),
    ("sslcertmode", Some("PGSSLCERTMODE")),
    ("sslcompression", Some("PGSSLCOMPRESSION")),
    ("sslcrl", Some("PGSSLCRL")),
    ("sslcrldir", Some("PGSSLCRLDIR")),
    ("sslkey", Some("PGSSLKEY")),
    ("sslmode", Some("PGSSLMODE")),
    ("sslnegotiation", Some("PGSSLNEGOTIATION")),
    ("sslrootcert", Some("PGSSLROOTCERT")),
    ("sslsni", Some("PGSSLSNI")),
    ("target_session_attrs", Some("PGTARGETSESSIONATTRS")),
    ("tcp_user_timeout", None),
];

/// Parameters that application frameworks put into the same URL for their own pools; they mean nothing to a dump.
const FOREIGN_PARAMETERS: &[&str] = &[
    "connection_limit",
    "pgbouncer",
    "pool",
    "pool_timeout",
    "schema",
    "socket_timeout",
    "sslaccept",
    "statement_cache_size",
];

/// Where a database is and who one is there.
///
/// Whatever the URL leaves out is left to libpq: `PG*` variables, a service file, defaults. `Display` and `Debug` leave the password out.
#[derive(Clone, Debug, Default)]
pub struct PostgresUrl {
    hosts: Vec<String>,
    ports: Vec<String>,
    user: Option<String>,
    password: Option<Secret>,
    database: Option<String>,
    parameters: Vec<(String, String)>,
}

impl PostgresUrl {
    /// Reads `postgres://` or `postgresql://` with any of user, password, hosts, ports, database and libpq's parameters.
    ///
    /// # Errors
    /// [`Kind::Usage`] if it is not such a URL or names a parameter that libpq does not have. The message holds no password.
    pub fn parse(text: &str) -> Result<Self> {
        Self::read(text).map_err(|failure| match failure.hints().is_empty() {
            true => failure.hint(
                "Write postgres://USER@HOST:5432/DATABASE; special characters in a part are percent-encoded, such as %40 for @",
            ),
            false => failure,
        })
    }

    fn read(text: &str) -> Result<Self> {
        let rest = ["postgres://", "postgresql://"]
            .iter()
            .find_map(|scheme| {
                let head = text.get(..scheme.len())?;
                head.eq_ignore_ascii_case(scheme).then(|| &text[scheme.len()..])
            })
            .ok_or_else(|| {
                wrong("it does not begin with `postgres://` or `postgresql://`")
                    .hint("Write for example postgres://user@host:5432/database")
            })?;
        let (rest, query) = match rest.split_once('?') {
            Some((rest, query)) => (rest, Some(query)),
            None => (rest, None),
        };
        let (authority, path) = match rest.split_once('/') {
            Some((authority, path)) => (authority, Some(path)),
            None => (rest, None),
        };
        let mut url = Self::default();
        // libpq ends the user part at the first `@`; a password may hold one all the same in the wild, and no host can.
        let hosts = match authority.rsplit_once('@') {
            Some((who, hosts)) => {
                let (user, password) = match who.split_once(':') {
                    Some((user, password)) => (user, Some(password)),
                    None => (who, None),
                };
                url.user = decode("the user", user)?;
                if let Some(password) = password.map(|text| decode("the password", text)).transpose()?.flatten() {
                    url.set_password(password)?;
                }
                hosts
            }
            None => authority,
        };
        if !hosts.is_empty() {
            for host in hosts.split(',') {
                url.add_host(host)?;
            }
        }
        if let Some(path) = path {
            url.database = decode("the database", path)?;
        }
        for pair in query.unwrap_or("").split('&').filter(|pair| !pair.is_empty()) {
            url.add_parameter(pair)?;
        }
        Ok(url)
    }

    /// The database's name, if the URL has one.
    #[must_use]
    pub fn database(&self) -> Option<&str> {
        self.database.as_deref()
    }

    /// The user's name, if the URL has one.
    #[must_use]
    pub fn user(&self) -> Option<&str> {
        self.user.as_deref()
    }

    /// The same place with another database.
    #[must_use]
    pub fn with_database(&self, database: impl Into<String>) -> Self {
        Self {
            database: Some(database.into()),
            ..self.clone()
        }
    }

    /// The password, if the URL has one.
    pub(super) fn password(&self) -> Option<&Secret> {
        self.password.as_ref()
    }

    /// Whether the URL says where the server is.
    pub(super) fn names_server(&self) -> bool {
        !self.hosts.is_empty() || self.parameter("hostaddr").is_some()
    }

    /// The value of a parameter of libpq.
    pub(super) fn parameter(&self, name: &str) -> Option<&str> {
        self.parameters
            .iter()
            .find(|(key, _)| key == name)
            .map(|(_, value)| value.as_str())
    }

    /// What goes to libpq by environment variable; no password, no database.
    pub(super) fn variables(&self) -> Vec<(&'static str, String)> {
        let mut variables = Vec::new();
        if !self.hosts.is_empty() {
            variables.push(("PGHOST", self.hosts.join(",")));
        }
        if self.ports.iter().any(|port| !port.is_empty()) {
            variables.push(("PGPORT", self.ports.join(",")));
        }
        if let Some(user) = &self.user {
            variables.push(("PGUSER", user.clone()));
        }
        for (name, variable) in PARAMETERS {
            if let (Some(variable), Some(value)) = (variable, self.parameter(name)) {
                variables.push((variable, value.to_owned()));
            }
        }
        variables
    }

    /// What goes to libpq in the connection string, for want of an environment variable; no secret.
    pub(super) fn settings(&self) -> Vec<(&'static str, &str)> {
        PARAMETERS
            .iter()
            .filter(|(_, variable)| variable.is_none())
            .filter_map(|(name, _)| Some((*name, self.parameter(name)?)))
            .collect()
    }

    fn set_password(&mut self, password: String) -> Result<()> {
        if password.contains(['\n', '\r', '\0']) {
            return Err(wrong("the password holds a line end"));
        }
        self.password = Some(Secret::new(password));
        Ok(())
    }

    fn add_host(&mut self, text: &str) -> Result<()> {
        let (host, port) = match text.strip_prefix('[') {
            Some(address) => {
                let (address, rest) = address
                    .split_once(']')
                    .ok_or_else(|| wrong("an IPv6 address has no closing bracket"))?;
                let port = match rest {
                    "" => "",
                    _ => rest
                        .strip_prefix(':')
                        .ok_or_else(|| wrong("something else than a port follows an IPv6 address"))?,
                };
                (address, port)
            }
            None => match text.split_once(':') {
                Some((_, port)) if port.contains(':') => {
                    return Err(wrong("an IPv6 address stands without brackets").hint("Write [::1]:5432"));
                }
                Some((host, port)) => (host, port),
                None => (text, ""),
            },
        };
        check_port(port)?;
        self.hosts.push(decode("the host", host)?.unwrap_or_default());
        self.ports.push(port.to_owned());
        Ok(())
    }

    fn add_parameter(&mut self, pair: &str) -> Result<()> {
        let (name, value) = pair
            .split_once('=')
            .ok_or_else(|| wrong(format!("the parameter `{}` has no value", shown(pair))))?;
        let name = decode("a parameter", name)?.unwrap_or_default();
        let value = decode("a parameter", value)?.unwrap_or_default();
        match name.as_str() {
            "host" => self.hosts = value.split(',').map(str::to_owned).collect(),
            "port" => {
                let ports = value.split(',').map(str::to_owned).collect::<Vec<_>>();
                ports.iter().try_for_each(|port| check_port(port))?;
                self.ports = ports;
            }
            "user" => self.user = Some(value),
            "password" => self.set_password(value)?,
            "dbname" => self.database = Some(value),
            // JDBC's word, which libpq knows too.
            "ssl" if value == "true" => self.parameters.push(("sslmode".to_owned(), "require".to_owned())),
            "sslpassword" => {
                return Err(wrong("a key's passphrase cannot be given in the URL")
                    .hint("Put `sslpassword` into a service file (mode 0600) and name it by `?service=`"));
            }
            _ if PARAMETERS.iter().any(|(known, _)| *known == name) => {
                if value.contains('\0') {
                    return Err(wrong(format!("the parameter `{name}` holds a zero byte")));
                }
                self.parameters.retain(|(key, _)| *key != name);
                self.parameters.push((name, value));
            }
            _ if FOREIGN_PARAMETERS.contains(&name.as_str()) => {}
            _ => {
                let failure = wrong(format!("it has an unknown parameter: `{}`", shown(&name)));
                let nearest = PARAMETERS
                    .iter()
                    .map(|(known, _)| *known)
                    .min_by_key(|known| strsim::levenshtein(known, &name))
                    .filter(|known| strsim::levenshtein(known, &name) <= 3);
                return Err(match nearest {
                    Some(nearest) => failure.hint(format!("Did you mean `{nearest}`?")),
                    None => failure.hint("Remove it; only parameters of libpq mean something here"),
                });
            }
        }
        Ok(())
    }
}

impl fmt::Display for PostgresUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let escape = |text| utf8_percent_encode(text, ESCAPED);
        f.write_str("postgres://")?;
        if let Some(user) = &self.user {
            write!(f, "{}@", escape(user))?;
        }
        for (index, host) in self.hosts.iter().enumerate() {
            if index > 0 {
                f.write_str(",")?;
            }
            if host.contains(':') {
                write!(f, "[{host}]")?;
            } else {
                write!(f, "{}", escape(host))?;
            }
            let port = match self.ports.len() {
                1 => self.ports.first(),
                _ => self.ports.get(index),
            };
            if let Some(port) = port.filter(|port| !port.is_empty()) {
                write!(f, ":{port}")?;
            }
        }
        if let Some(database) = &self.database {
            write!(f, "/{}", escape(database))?;
        }
        let port = self.ports.first().filter(|_| self.hosts.is_empty());
        let port = port.map(|port| ("port", port.as_str()));
        let parameters = self
            .parameters
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()));
        for (index, (name, value)) in port.into_iter().chain(parameters).enumerate() {
            write!(f, "{}{name}={}", if index == 0 { '?' } else { '&' }, escape(value))?;
        }
        Ok(())
    }
}

fn wrong(why: impl fmt::Display) -> Failure {
    Failure::new(Kind::Usage, format!("Not a PostgreSQL URL: {why}"))
}

/// Percent-decodes; an empty part counts as not given, as libpq has it.
fn decode(part: &str, text: &str) -> Result<Option<String>> {
    url_text::decode(text).map_err(|why| {
        let failure = wrong(format!("{part} {why}"));
        match why {
            Undecodable::Percent => failure.hint("Write a percent sign as %25"),
            Undecodable::NotUtf8 | Undecodable::Zero => failure,
        }
    })
}

fn check_port(port: &str) -> Result<()> {
    if port.is_empty() || port.parse::<u16>().is_ok_and(|port| port > 0) {
        return Ok(());
    }
    Err(
        wrong(format!("the port is not a number from 1 to 65535: `{}`", shown(port)))
            .hint("A `/`, `?`, `#`, `:` or `@` inside a password must be percent-encoded, for example %2F"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn variables(text: &str) -> String {
        let url = PostgresUrl::parse(text).unwrap();
        let mut out: Vec<String> = url
            .variables()
            .iter()
            .map(|(key, value)| format!("{key}={value}"))
            .collect();
        out.extend(url.database().map(|name| format!("db={name}")));
        out.extend(url.password().map(|secret| format!("pw={}", secret.expose())));
        out.extend(url.settings().iter().map(|(key, value)| format!("{key}={value}")));
        out.join(" ")
    }

    #[test]
    fn urls_read_as_libpq_reads_them() {
        for (text, expected) in [
            ("postgres://", ""),
            ("postgresql://", ""),
            ("POSTGRES://h/d", "PGHOST=h db=d"),
            ("postgres://h", "PGHOST=h"),
            ("postgres:///d", "db=d"),
            ("postgres://u@h:5433/d", "PGHOST=h PGPORT=5433 PGUSER=u db=d"),
            ("postgres://u:p%40%2f%3A@h/d", "PGHOST=h PGUSER=u db=d pw=p@/:"),
            ("postgres://u:p@ss@h/d", "PGHOST=h PGUSER=u db=d pw=p@ss"),
            ("postgres://u:@h/d", "PGHOST=h PGUSER=u db=d"),
            ("postgres://[::1]:5433/d", "PGHOST=::1 PGPORT=5433 db=d"),
            ("postgres://[fe80::1]/d", "PGHOST=fe80::1 db=d"),
            ("postgres://a:1,b,[::1]:3/d", "PGHOST=a,b,::1 PGPORT=1,,3 db=d"),
            (
                "postgres://%2Fvar%2Frun%2Fpostgresql/d",
                "PGHOST=/var/run/postgresql db=d",
            ),
            (
                "postgres:///d?host=/tmp/x&port=7&user=u",
                "PGHOST=/tmp/x PGPORT=7 PGUSER=u db=d",
            ),
            (
                "postgres://h/d?sslmode=verify-full",
                "PGHOST=h PGSSLMODE=verify-full db=d",
            ),
            ("postgres://h/d?ssl=true", "PGHOST=h PGSSLMODE=require db=d"),
            ("postgres://h/my%20db%2Fx", "PGHOST=h db=my db/x"),
            ("postgres://h?dbname=x&password=geheim", "PGHOST=h db=x pw=geheim"),
            ("postgres://h/d?keepalives_idle=5", "PGHOST=h db=d keepalives_idle=5"),
            ("postgres://h/d?schema=public&pgbouncer=true", "PGHOST=h db=d"),
            (
                "postgres://h/d?options=-c%20geqo%3Doff",
                "PGHOST=h PGOPTIONS=-c geqo=off db=d",
            ),
        ] {
            assert_eq!(variables(text), expected, "{text}");
        }
    }

    #[test]
    fn what_is_not_a_url_is_refused_without_showing_the_password() {
        for text in [
            "",
            "mysql://h/d",
            "postgres:/h/d",
            "postgres://u:geheim1@h:port/d",
            "postgres://u:geheim1@h:0/d",
            "postgres://u:geheim1@h:99999/d",
            "postgres://u:geheim1%4@h/d",
            "postgres://u:geheim1%00@h/d",
            "postgres://u:geheim1%0A@h/d",
            "postgres://u:geheim1@::1/d",
            "postgres://u:geheim1@[::1/d",
            "postgres://u:geheim1@[::1]5/d",
            "postgres://u:geheim1@h/d?sslmod=require",
            "postgres://u:geheim1@h/d?sslmode",
            "postgres://u@h/d?sslpassword=geheim1",
            "postgres://u@h/%ff",
        ] {
            let failure = PostgresUrl::parse(text).unwrap_err();
            assert_eq!(failure.kind(), Kind::Usage, "{text}");
            assert!(
                !format!("{failure:?} {:?}", failure.hints()).contains("geheim1"),
                "{text}"
            );
        }
        let failure = PostgresUrl::parse("postgres://h/d?sslmod=require").unwrap_err();
        assert_eq!(failure.hints(), ["Did you mean `sslmode`?"]);
    }

    #[test]
    fn display_leaves_the_password_out_and_reads_back() {
        for (text, shown) in [
            ("postgres://", "postgres://"),
            (
                "postgresql://u:geheim2@h:1/d?sslmode=require",
                "postgres://u@h:1/d?sslmode=require",
            ),
            ("postgres://a:1,[::1]/d", "postgres://a:1,[::1]/d"),
            ("postgres:///d?host=/tmp&port=5", "postgres://%2Ftmp:5/d"),
            ("postgres:///d?port=5&password=geheim2", "postgres:///d?port=5"),
            ("postgres://o%27r@h/a%20b", "postgres://o%27r@h/a%20b"),
        ] {
            let url = PostgresUrl::parse(text).unwrap();
            assert_eq!(url.to_string(), shown, "{text}");
            assert!(!format!("{url:?}").contains("geheim2"));
            let again = PostgresUrl::parse(shown).unwrap();
            assert_eq!(again.variables(), url.variables(), "{text}");
        }
        let url = PostgresUrl::parse("postgres://u:geheim2@h/d")
            .unwrap()
            .with_database("x");
        assert_eq!(url.to_string(), "postgres://u@h/x");
        assert!(url.password().is_some());
    }
}
