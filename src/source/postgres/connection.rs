//! Hands a connection to `psql` and `pg_dump` without a secret on their command lines.

use std::io::Write;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use super::url::PostgresUrl;
use crate::base::failure::{IoContext, Result};
use crate::base::process::{Program, env_var};

/// Seconds that libpq waits for each address of a server; by itself it waits for as long as the network stack does.
const CONNECT_TIMEOUT_SECS: &str = "30";

/// What the children of one run are told about the server.
#[derive(Debug)]
pub struct Connection {
    url: PostgresUrl,
    password_file: Option<PasswordFile>,
}

#[derive(Debug)]
struct PasswordFile {
    path: PathBuf,
    // Removed, with the file in it, when the connection is dropped.
    _folder: TempDir,
}

impl Connection {
    /// Writes the password, if there is one, into a file that only this user can read.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub fn new(url: &PostgresUrl) -> Result<Self> {
        let password_file = match url.password() {
            None => None,
            Some(password) => {
                let folder = tempfile::Builder::new()
                    .prefix("backup-cli-")
                    .permissions(std::fs::Permissions::from_mode(0o700))
                    .tempdir()
                    .doing(|| "create a private temporary folder")?;
                let path = folder.path().join("pgpass");
                let mut file = std::fs::OpenOptions::new()
                    .write(true)
                    .create_new(true)
                    .mode(0o600)
                    .open(&path)
                    .doing(|| format!("create `{}`", path.display()))?;
                let escaped = password.expose().replace('\\', "\\\\").replace(':', "\\:");
                file.write_all(format!("*:*:*:*:{escaped}\n").as_bytes())
                    .doing(|| format!("write `{}`", path.display()))?;
                Some(PasswordFile { path, _folder: folder })
            }
        };
        Ok(Self {
            url: url.clone(),
            password_file,
        })
    }

    /// The URL, which shows no password.
    #[must_use]
    pub fn url(&self) -> &PostgresUrl {
        &self.url
    }

    /// A client program that will connect to `database`, or to the one that the URL, the environment or libpq's defaults name.
    #[must_use]
    pub fn program(&self, path: &Path, database: Option<&str>) -> Program {
        let mut program = Program::new(path)
            .arg("--no-password")
            // Messages are read by this program before a person reads them.
            .env("LC_ALL", "C")
            .env_remove("LANGUAGE")
            // A dump is in the encoding of its database, whatever the caller's terminal uses.
            .env_remove("PGCLIENTENCODING");
        if self.url.names_server() {
            // Both would win over, or be mixed with, the server that the URL names.
            program = program.env_remove("PGSERVICE").env_remove("PGHOSTADDR");
        }
        if env_var("PGAPPNAME").is_none() {
            program = program.env("PGAPPNAME", "backup-cli");
        }
        if env_var("PGCONNECT_TIMEOUT").is_none() {
            program = program.env("PGCONNECT_TIMEOUT", CONNECT_TIMEOUT_SECS);
        }
        for (name, value) in self.url.variables() {
            program = program.env(name, value);
        }
        if let Some(file) = &self.password_file {
            program = program.env("PGPASSFILE", &file.path).env_remove("PGPASSWORD");
        }
        let mut settings = self.url.settings();
        // In the connection string, because a service file would win over PGDATABASE.
        settings.extend(database.or(self.url.database()).map(|name| ("dbname", name)));
        if settings.is_empty() {
            return program;
        }
        let quoted = settings.iter().map(|(name, value)| {
            let value = value.replace('\\', "\\\\").replace('\'', "\\'");
            format!("{name}='{value}'")
        });
        program.arg("--dbname").arg(quoted.collect::<Vec<_>>().join(" "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::cancel::Cancel;
    use crate::base::failure::Kind;

    #[test]
    fn the_password_is_in_a_private_file_and_nowhere_else() {
        let url = PostgresUrl::parse("postgres://u:ge%3Aheim%5C3@h:5/it's%20one").unwrap();
        let connection = Connection::new(&url).unwrap();
        let path = connection.password_file.as_ref().unwrap().path.clone();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "*:*:*:*:ge\\:heim\\\\3\n");
        assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o600);
        let folder = path.parent().unwrap().to_owned();
        assert_eq!(folder.metadata().unwrap().permissions().mode() & 0o777, 0o700);
        let seen = connection.program(Path::new("/bin/sh"), None).env("SHOW", "1");
        let debug = format!("{seen:?}");
        assert!(!debug.contains("heim"), "{debug}");
        assert!(debug.contains("dbname='it\\\\'s one'"), "{debug}");
        drop(connection);
        assert!(!folder.exists());
    }

    #[test]
    fn children_see_the_server_in_their_environment() {
        let folder = tempfile::tempdir().unwrap();
        let script = folder.path().join("show");
        std::fs::write(&script, "#!/bin/sh\nenv | grep '^PG\\|^LC_ALL' | sort\necho \"$@\"\n").unwrap();
        std::fs::set_permissions(&script, std::fs::Permissions::from_mode(0o755)).unwrap();
        let url = PostgresUrl::parse("postgres://ann@h:5/d?sslmode=require&keepalives_idle=9").unwrap();
        let said = Connection::new(&url)
            .unwrap()
            .program(&script, Some("other"))
            .output(Kind::Failed, &Cancel::new())
            .unwrap();
        for line in [
            "LC_ALL=C",
            "PGHOST=h",
            "PGPORT=5",
            "PGUSER=ann",
            "PGSSLMODE=require",
            "PGAPPNAME=backup-cli",
        ] {
            assert!(said.lines().any(|said| said == line), "{line} in {said}");
        }
        assert!(
            said.contains("--no-password --dbname keepalives_idle='9' dbname='other'"),
            "{said}"
        );
    }
}
