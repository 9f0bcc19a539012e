//! URLs of MySQL and MariaDB databases, with the password kept apart.

use std::fmt;

use percent_encoding::utf8_percent_encode;

use crate::base::failure::{Failure, Kind, Result};
use crate::base::secret::Secret;
use crate::source::url_text::{self, ESCAPED, Undecodable, shown};

/// The schemes, each as it is shown again.
const SCHEMES: &[&str] = &["mysql", "mariadb"];

/// Parameters that mean something here, each an option of the clients.
const PARAMETERS: &[&str] = &[
    "connect-timeout",
    "socket",
    "ssl-ca",
    "ssl-capath",
    "ssl-cert",
    "ssl-cipher",
    "ssl-crl",
    "ssl-crlpath",
    "ssl-key",
    "ssl-mode",
    "tls-version",
];

/// Other names of parameters, as drivers have them; without separators and in lower case.
const ALIASES: &[(&str, &str)] = &[
    ("unixsocket", "socket"),
    ("sslmode", "ssl-mode"),
    ("sslca", "ssl-ca"),
    ("sslcapath", "ssl-capath"),
    ("sslcert", "ssl-cert"),
    ("sslkey", "ssl-key"),
    ("sslcipher", "ssl-cipher"),
    ("sslcrl", "ssl-crl"),
    ("sslcrlpath", "ssl-crlpath"),
    ("tlsversion", "tls-version"),
    ("connecttimeout", "connect-timeout"),
];

/// Parameters that frameworks and drivers put into the same URL for themselves; they mean nothing to a dump.
const FOREIGN_PARAMETERS: &[&str] = &[
    "allownativepasswords",
    "allowpublickeyretrieval",
    "autoreconnect",
    "characterencoding",
    "charset",
    "collation",
    "connectionlimit",
    "encoding",
    "loc",
    "multistatements",
    "parsetime",
    "pool",
    "poolsize",
    "pooltimeout",
    "readtimeout",
    "reconnect",
    "serverversion",
    "servertimezone",
    "sockettimeout",
    "sslaccept",
    "timeout",
    "timezone",
    "useunicode",
    "writetimeout",
    "zerodatetimebehavior",
];

/// How a connection is encrypted, in the words of MySQL's `--ssl-mode`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SslMode {
    /// Not at all.
    Disabled,
    /// If the server can.
    Preferred,
    /// Or not at all made.
    Required,
    /// With a certificate that the authority has signed.
    VerifyCa,
    /// With one for this very host.
    VerifyIdentity,
}

impl SslMode {
    const ALL: [(Self, &str); 5] = [
        (Self::Disabled, "DISABLED"),
        (Self::Preferred, "PREFERRED"),
        (Self::Required, "REQUIRED"),
        (Self::VerifyCa, "VERIFY_CA"),
        (Self::VerifyIdentity, "VERIFY_IDENTITY"),
    ];

    /// The word of `--ssl-mode`.
    #[must_use]
    pub fn word(self) -> &'static str {
        Self::ALL
            .iter()
            .find(|(mode, _)| *mode == self)
            .map_or("", |(_, word)| word)
    }

    /// Reads the words of MySQL, and those that drivers have for the same.
    fn read(text: &str) -> Option<Self> {
        let word = text.to_ascii_uppercase().replace('-', "_");
        match word.as_str() {
            "FALSE" | "0" | "NO" | "DISABLE" => Some(Self::Disabled),
            "PREFER" => Some(Self::Preferred),
            "TRUE" | "1" | "YES" | "REQUIRE" | "SKIP_VERIFY" => Some(Self::Required),
            "VERIFY_FULL" => Some(Self::VerifyIdentity),
            _ => Self::ALL
                .iter()
                .find(|(_, known)| *known == word)
                .map(|(mode, _)| *mode),
        }
    }
}

/// Where a database is and who one is there.
///
/// Whatever the URL leaves out is left to the clients: `MYSQL_*` variables, `~/.my.cnf`, defaults. `Display` and `Debug`
/// leave the password out.
#[derive(Clone, Debug, Default)]
pub struct MysqlUrl {
    scheme: usize,
    host: Option<String>,
    port: Option<u16>,
    user: Option<String>,
    password: Option<Secret>,
    database: Option<String>,
    ssl_mode: Option<SslMode>,
    parameters: Vec<(&'static str, String)>,
}

impl MysqlUrl {
    /// Whether a text is such a URL, by its scheme.
    #[must_use]
    pub fn is_one(text: &str) -> bool {
        scheme_of(text).is_some()
    }

    /// Reads `mysql://` or `mariadb://` with any of user, password, host, port, database and the clients' options.
    ///
    /// # Errors
    /// [`Kind::Usage`] if it is not such a URL or names a parameter that nobody knows. The message holds no password.
    pub fn parse(text: &str) -> Result<Self> {
        Self::read(text).map_err(|failure| match failure.hints().is_empty() {
            true => failure.hint(
                "Write mysql://USER@HOST:3306/DATABASE; special characters in a part are percent-encoded, such as %40 for @",
            ),
            false => failure,
        })
    }

    fn read(text: &str) -> Result<Self> {
        let (scheme, rest) =
            scheme_of(text).ok_or_else(|| wrong("it does not begin with `mysql://` or `mariadb://`"))?;
        let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
        let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
        let mut url = Self {
            scheme,
            ..Self::default()
        };
        // No host holds an `@`, and a password may in the wild.
        let host = match authority.rsplit_once('@') {
            Some((who, host)) => {
                let (user, password) = match who.split_once(':') {
                    Some((user, password)) => (user, Some(password)),
                    None => (who, None),
                };
                url.user = decode("the user", user)?;
                if let Some(password) = password.map(|text| decode("the password", text)).transpose()?.flatten() {
                    url.set_password(password)?;
                }
                host
            }
            None => authority,
        };
        url.set_host(host)?;
        url.database = decode("the database", path)?;
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            url.add_parameter(pair)?;
        }
        for (part, text) in [
            ("the user", &url.user),
            ("the host", &url.host),
            ("the database", &url.database),
        ] {
            if text.as_ref().is_some_and(|text| text.contains(['\n', '\r'])) {
                return Err(wrong(format!("{part} holds a line end")));
            }
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

    /// The host, if the URL has one.
    pub(super) fn host(&self) -> Option<&str> {
        self.host.as_deref()
    }

    /// The port, if the URL has one.
    pub(super) fn port(&self) -> Option<u16> {
        self.port
    }

    /// The password, if the URL has one.
    pub(super) fn password(&self) -> Option<&Secret> {
        self.password.as_ref()
    }

    /// How the connection is encrypted, if the URL says so.
    pub(super) fn ssl_mode(&self) -> Option<SslMode> {
        self.ssl_mode
    }

    /// Further options of the clients, without `ssl-mode`.
    pub(super) fn parameters(&self) -> &[(&'static str, String)] {
        &self.parameters
    }

    /// The same server, another database.
    #[must_use]
    pub fn with_database(&self, database: impl Into<String>) -> Self {
        Self {
            database: Some(database.into()),
            ..self.clone()
        }
    }

    /// The same with a password, where the URL has none.
    #[must_use]
    pub fn with_password(mut self, password: Option<Secret>) -> Self {
        if self.password.is_none() {
            self.password = password;
        }
        self
    }

    fn set_password(&mut self, password: String) -> Result<()> {
        if password.contains(['\n', '\r', '\0']) {
            return Err(wrong("the password holds a line end"));
        }
        self.password = Some(Secret::new(password));
        Ok(())
    }

    fn set_host(&mut self, text: &str) -> Result<()> {
        let (host, port) = match text.strip_prefix('[') {
            Some(address) => {
                let (address, rest) = address
                    .split_once(']')
                    .ok_or_else(|| wrong("an IPv6 address has no closing bracket"))?;
                match rest.strip_prefix(':') {
                    Some(port) => (address, port),
                    None if rest.is_empty() => (address, ""),
                    None => return Err(wrong("something else than a port follows an IPv6 address")),
                }
            }
            None => text.split_once(':').unwrap_or((text, "")),
        };
        if port.contains(':') {
            return Err(wrong("an IPv6 address stands without brackets").hint("Write [::1]:3306"));
        }
        if !port.is_empty() {
            let number = port.parse::<u16>().ok().filter(|port| *port > 0);
            self.port = Some(number.ok_or_else(|| {
                wrong(format!("the port is not a number from 1 to 65535: `{}`", shown(port)))
                    .hint("A `/`, `?`, `#`, `:` or `@` inside a password must be percent-encoded, for example %2F")
            })?);
        }
        self.host = decode("the host", host)?;
        if self.host.as_ref().is_some_and(|host| host.contains(',')) {
            return Err(wrong("it names several hosts").hint("Name one of them; a replica serves well"));
        }
        Ok(())
    }

    fn add_parameter(&mut self, pair: &str) -> Result<()> {
        let (name, value) = pair
            .split_once('=')
            .ok_or_else(|| wrong(format!("the parameter `{}` has no value", shown(pair))))?;
        let name = decode("a parameter", name)?.unwrap_or_default();
        let value = decode("a parameter", value)?.unwrap_or_default();
        let bare = name.to_ascii_lowercase().replace(['-', '_'], "");
        let known = PARAMETERS
            .iter()
            .find(|known| known.replace('-', "") == bare)
            .or_else(|| ALIASES.iter().find(|(alias, _)| *alias == bare).map(|(_, name)| name))
            .copied();
        match (bare.as_str(), known) {
            ("user", _) => self.user = Some(value),
            ("password", _) => self.set_password(value)?,
            ("host", _) if value.starts_with('/') => self.parameters.push(("socket", value)),
            ("host", _) => self.set_host(&value)?,
            ("ssl" | "tls" | "usessl", _) | (_, Some("ssl-mode")) => {
                self.ssl_mode = Some(SslMode::read(&value).ok_or_else(|| {
                    wrong(format!("`{}` is no way to encrypt a connection", shown(&value)))
                        .hint("Write ssl-mode=DISABLED, PREFERRED, REQUIRED, VERIFY_CA or VERIFY_IDENTITY")
                })?);
            }
            ("sslverifyservercert", _) => self.ssl_mode = Some(SslMode::VerifyIdentity),
            (_, Some(known)) => {
                if value.contains(['\n', '\r']) {
                    return Err(wrong(format!("the parameter `{known}` holds a line end")));
                }
                self.parameters.retain(|(name, _)| *name != known);
                self.parameters.push((known, value));
            }
            (bare, None) if FOREIGN_PARAMETERS.contains(&bare) => {}
            (_, None) => {
                let failure = wrong(format!("it has an unknown parameter: `{}`", shown(&name)));
                let nearest = PARAMETERS
                    .iter()
                    .min_by_key(|known| strsim::levenshtein(known, &name))
                    .filter(|known| strsim::levenshtein(known, &name) <= 3);
                return Err(match nearest {
                    Some(nearest) => failure.hint(format!("Did you mean `{nearest}`?")),
                    None => failure.hint(format!("These mean something here: {}", PARAMETERS.join(", "))),
                });
            }
        }
        Ok(())
    }
}

impl fmt::Display for MysqlUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let escape = |text| utf8_percent_encode(text, ESCAPED);
        write!(f, "{}://", SCHEMES.get(self.scheme).copied().unwrap_or("mysql"))?;
        if let Some(user) = &self.user {
            write!(f, "{}@", escape(user))?;
        }
        match &self.host {
            Some(host) if host.contains(':') => write!(f, "[{host}]")?,
            Some(host) => write!(f, "{}", escape(host))?,
            None => {}
        }
        if let Some(port) = self.port {
            write!(f, ":{port}")?;
        }
        if let Some(database) = &self.database {
            write!(f, "/{}", escape(database))?;
        }
        let mode = self.ssl_mode.map(|mode| ("ssl-mode", mode.word()));
        let parameters = self.parameters.iter().map(|(name, value)| (*name, value.as_str()));
        for (index, (name, value)) in mode.into_iter().chain(parameters).enumerate() {
            write!(f, "{}{name}={}", if index == 0 { '?' } else { '&' }, escape(value))?;
        }
        Ok(())
    }
}

/// The number of the scheme, and what follows it.
fn scheme_of(text: &str) -> Option<(usize, &str)> {
    let (scheme, rest) = text.split_once("://")?;
    let number = SCHEMES.iter().position(|known| scheme.eq_ignore_ascii_case(known))?;
    Some((number, rest))
}

fn wrong(why: impl fmt::Display) -> Failure {
    Failure::new(Kind::Usage, format!("Not a MySQL URL: {why}"))
}

fn decode(part: &str, text: &str) -> Result<Option<String>> {
    url_text::decode(text).map_err(|why| {
        let failure = wrong(format!("{part} {why}"));
        match why {
            Undecodable::Percent => failure.hint("Write a percent sign as %25"),
            Undecodable::NotUtf8 | Undecodable::Zero => failure,
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> String {
        let url = MysqlUrl::parse(text).unwrap();
        let mut out: Vec<String> = Vec::new();
        out.extend(url.user().map(|user| format!("user={user}")));
        out.extend(url.password().map(|secret| format!("pw={}", secret.expose())));
        out.extend(url.host().map(|host| format!("host={host}")));
        out.extend(url.port().map(|port| format!("port={port}")));
        out.extend(url.database().map(|name| format!("db={name}")));
        out.extend(url.ssl_mode().map(|mode| mode.word().to_owned()));
        out.extend(url.parameters().iter().map(|(name, value)| format!("{name}={value}")));
        out.join(" ")
    }

    #[test]
    fn urls_are_read_as_drivers_write_them() {
        for (text, expected) in [
            ("mysql://", ""),
            ("MariaDB://h/d", "host=h db=d"),
            ("mysql://u@h:3307/d", "user=u host=h port=3307 db=d"),
            ("mysql://u:p%40%2f%3A@h/d", "user=u pw=p@/: host=h db=d"),
            ("mysql://u:p@ss@h/d", "user=u pw=p@ss host=h db=d"),
            ("mysql://u:@[::1]:3307/d", "user=u host=::1 port=3307 db=d"),
            ("mysql:///d?socket=/run/x.sock", "db=d socket=/run/x.sock"),
            ("mysql:///d?unix_socket=%2Frun%2Fx.sock", "db=d socket=/run/x.sock"),
            ("mysql:///d?host=/run/x.sock", "db=d socket=/run/x.sock"),
            ("mysql://h/d?ssl-mode=verify_identity", "host=h db=d VERIFY_IDENTITY"),
            (
                "mysql://h/d?sslMode=REQUIRED&ssl_ca=/ca.pem",
                "host=h db=d REQUIRED ssl-ca=/ca.pem",
            ),
            ("mysql://h/d?tls=skip-verify", "host=h db=d REQUIRED"),
            ("mysql://h/d?useSSL=false", "host=h db=d DISABLED"),
            (
                "mysql://h/d?charset=utf8mb4&parseTime=True&serverVersion=8.0",
                "host=h db=d",
            ),
            ("mysql://h/my%20db", "host=h db=my db"),
        ] {
            assert_eq!(read(text), expected, "{text}");
        }
    }

    #[test]
    fn what_is_not_a_url_is_refused_without_showing_the_password() {
        for text in [
            "",
            "postgres://h/d",
            "mysql:/h/d",
            "mysql://u:geheim5@h:port/d",
            "mysql://u:geheim5@h:0/d",
            "mysql://u:geheim5@h:99999/d",
            "mysql://u:geheim5%4@h/d",
            "mysql://u:geheim5%00@h/d",
            "mysql://u:geheim5%0A@h/d",
            "mysql://u:geheim5@::1/d",
            "mysql://u:geheim5@[::1/d",
            "mysql://u:geheim5@[::1]5/d",
            "mysql://u:geheim5@a,b/d",
            "mysql://u:geheim5@h/d?sslmod=required",
            "mysql://u:geheim5@h/d?ssl-mode=perhaps",
            "mysql://u:geheim5@h/d?socket",
            "mysql://u:geheim5@h/d?socket=a%0Ab",
            "mysql://u@h%0Apassword=x/d",
            "mysql://u@h/%ff",
        ] {
            let failure = MysqlUrl::parse(text).unwrap_err();
            assert_eq!(failure.kind(), Kind::Usage, "{text}");
            assert!(!failure.hints().is_empty(), "{text}");
            let said = format!("{failure:?} {:?}", failure.hints());
            assert!(!said.contains("geheim5"), "{text}");
        }
        let failure = MysqlUrl::parse("mysql://h/d?ssl-cet=x").unwrap_err();
        assert_eq!(failure.hints(), ["Did you mean `ssl-cert`?"]);
    }

    #[test]
    fn display_leaves_the_password_out_and_reads_back() {
        for (text, shown) in [
            ("mysql://", "mysql://"),
            (
                "mariadb://u:geheim6@h:1/d?ssl=true",
                "mariadb://u@h:1/d?ssl-mode=REQUIRED",
            ),
            (
                "mysql:///d?socket=/tmp/x&password=geheim6",
                "mysql:///d?socket=%2Ftmp%2Fx",
            ),
            ("mysql://o%27r@[::1]/a%20b", "mysql://o%27r@[::1]/a%20b"),
        ] {
            let url = MysqlUrl::parse(text).unwrap();
            assert_eq!(url.to_string(), shown, "{text}");
            assert!(!format!("{url:?}").contains("geheim6"));
            assert_eq!(MysqlUrl::parse(shown).unwrap().to_string(), shown);
        }
    }
}
