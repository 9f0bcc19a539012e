//! Hands a connection to the clients without a secret on their command lines, in their environment or in a file.

use std::path::{Path, PathBuf};

use super::clients::{Client, Maker};
use super::url::{MysqlUrl, SslMode};
use crate::base::process::{Program, env_var};
use crate::base::secret::Secret;

/// Seconds that a client waits for the server; by itself it waits for as long as the network stack does.
const CONNECT_TIMEOUT_SECS: &str = "30";

/// A folder without a `.my.cnf`: what the user's own file says is included where it does not win over the URL.
const NO_HOME: &str = "/dev/null";

/// What the children of one run are told about the server.
#[derive(Clone, Debug)]
pub struct Connection {
    url: MysqlUrl,
}

impl Connection {
    /// To the server of `url`.
    #[must_use]
    pub fn new(url: &MysqlUrl) -> Self {
        Self { url: url.clone() }
    }

    /// The URL, which shows no password.
    #[must_use]
    pub fn url(&self) -> &MysqlUrl {
        &self.url
    }

    /// A client program that will connect to the server; `asks` if it is one that asks rather than dumps.
    #[must_use]
    pub fn program(&self, client: &Client, asks: bool) -> Program {
        let host = env_var("MYSQL_HOST");
        let own = own_options();
        let text = options(&self.url, host.as_deref(), own.as_deref(), client.maker, asks);
        let mut program = Program::new(&client.path)
            .with_secret("--defaults-extra-file=", Secret::new(text))
            .env("HOME", NO_HOME)
            // Messages are read by this program before a person reads them.
            .env("LC_ALL", "C")
            .env_remove("LANGUAGE")
            .env_remove("MYSQL_HISTFILE")
            .env_remove("MARIADB_HISTFILE");
        if self.url.password().is_some() {
            program = program.env_remove("MYSQL_PWD");
        }
        program
    }
}

/// The user's own option file, which the clients would read last and let win over what they are told in another file.
fn own_options() -> Option<PathBuf> {
    let path = Path::new(&env_var("HOME")?).join(".my.cnf");
    std::fs::File::open(&path).is_ok().then_some(path)
}

/// An option file: the user's own first, then what the URL says.
fn options(url: &MysqlUrl, default_host: Option<&str>, own: Option<&Path>, maker: Maker, asks: bool) -> String {
    let mut text = String::new();
    if let Some(path) = own.and_then(Path::to_str) {
        text.push_str(&format!("!include {path}\n"));
    }
    text.push_str("[client]\n");
    let mut set = |name: &str, value: &str| text.push_str(&format!("{name}={}\n", quoted(value)));
    if let Some(user) = url.user() {
        set("user", user);
    }
    if let Some(password) = url.password() {
        set("password", password.expose());
    }
    let has_socket = url.parameters().iter().any(|(name, _)| *name == "socket");
    let host = url.host().or(default_host.filter(|_| !has_socket));
    if let Some(host) = host {
        set("host", host);
    }
    if let Some(port) = url.port() {
        set("port", &port.to_string());
    }
    if has_socket {
        set("protocol", "socket");
    } else if url.port().is_some() {
        // To the clients `localhost` means the socket, whatever the port.
        set("protocol", "tcp");
    }
    let mut waits = false;
    for (name, value) in url.parameters() {
        let is_timeout = *name == "connect-timeout";
        waits |= is_timeout;
        // The dumper has no such option.
        if asks || !is_timeout {
            set(name, value);
        }
    }
    if asks && !waits {
        set("connect-timeout", CONNECT_TIMEOUT_SECS);
    }
    if let Some(mode) = url.ssl_mode() {
        match maker {
            Maker::MySql => set("ssl-mode", mode.word()),
            Maker::MariaDb => text.push_str(match mode {
                SslMode::Disabled => "skip-ssl\n",
                SslMode::Preferred | SslMode::Required => "ssl\nskip-ssl-verify-server-cert\n",
                // It knows only the stricter of the two.
                SslMode::VerifyCa | SslMode::VerifyIdentity => "ssl\nssl-verify-server-cert\n",
            }),
        }
    }
    text
}

/// A value as option files have it: in quotes, so that neither `#` nor white space ends it.
fn quoted(value: &str) -> String {
    format!("\"{}\"", value.replace('\\', "\\\\").replace('"', "\\\""))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(url: &str, maker: Maker, asks: bool) -> String {
        let url = MysqlUrl::parse(url).unwrap();
        options(&url, Some("env-host"), None, maker, asks).replace('\n', " ")
    }

    #[test]
    fn option_files_say_what_the_url_says() {
        for (url, asks, expected) in [
            ("mysql:///d", false, "[client] host=\"env-host\" "),
            ("mysql://h/d", true, "[client] host=\"h\" connect-timeout=\"30\" "),
            (
                "mysql://u:p%23%22%5C@localhost:3307/d",
                false,
                "[client] user=\"u\" password=\"p#\\\"\\\\\" host=\"localhost\" port=\"3307\" protocol=\"tcp\" ",
            ),
            (
                "mysql:///d?socket=/s&connect-timeout=5",
                false,
                "[client] protocol=\"socket\" socket=\"/s\" ",
            ),
            (
                "mysql:///d?socket=/s&connect-timeout=5",
                true,
                "[client] protocol=\"socket\" socket=\"/s\" connect-timeout=\"5\" ",
            ),
        ] {
            assert_eq!(said(url, Maker::MariaDb, asks), expected, "{url}");
        }
    }

    #[test]
    fn each_maker_has_its_own_words_for_encryption() {
        for (mode, mariadb) in [
            ("DISABLED", "skip-ssl "),
            ("PREFERRED", "ssl skip-ssl-verify-server-cert "),
            ("REQUIRED", "ssl skip-ssl-verify-server-cert "),
            ("VERIFY_CA", "ssl ssl-verify-server-cert "),
            ("VERIFY_IDENTITY", "ssl ssl-verify-server-cert "),
        ] {
            let url = format!("mysql://h/d?ssl-mode={mode}");
            assert!(said(&url, Maker::MariaDb, false).ends_with(&format!("host=\"h\" {mariadb}")));
            assert!(said(&url, Maker::MySql, false).ends_with(&format!("ssl-mode=\"{mode}\" ")));
        }
    }

    #[test]
    fn the_users_own_options_stand_before_those_of_the_url() {
        let url = MysqlUrl::parse("mysql://u@h/d").unwrap();
        let text = options(&url, None, Some(Path::new("/home/u/.my.cnf")), Maker::MySql, false);
        assert!(text.starts_with("!include /home/u/.my.cnf\n[client]\nuser="), "{text}");
    }
}
