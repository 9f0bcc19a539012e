//! Puts a filled database into the place of another one, at once or not at all.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use super::server::{Unanswered, quote_literal, quote_name};
use super::target::{Existing, Target};
use crate::base::cancel::Cancel;
use crate::base::failure::{Failure, Kind, Result};

/// How often the renaming is tried; the server itself waits five seconds each time for sessions to end.
const SWAP_ATTEMPTS: u32 = 3;

/// How often sessions that come back are ended while the renaming waits for them.
const SESSIONS_INTERVAL: Duration = Duration::from_millis(200);

/// How often and at what distance a database is dropped whose last session may still be ending.
const DROP_ATTEMPTS: u32 = 10;
const DROP_INTERVAL: Duration = Duration::from_millis(500);

/// The server's code for a database that has sessions.
const IN_USE: &str = "55006";

/// Settings that are lists of names, stored with the names quoted.
const LIST_SETTINGS: &[&str] = &[
    "local_preload_libraries",
    "search_path",
    "session_preload_libraries",
    "shared_preload_libraries",
    "temp_tablespaces",
    "unix_socket_directories",
];

impl Target {
    fn run(&self, statements: &[String], cancel: &Cancel) -> Result<Vec<Vec<String>>, Unanswered> {
        self.server.ask(Some(self.maintenance), statements, cancel)
    }

    fn failed(&self, unanswered: Unanswered, doing: &str) -> Failure {
        unanswered.failure(doing, self.server.connection().url())
    }

    /// Creates an empty database and returns its number.
    ///
    /// # Errors
    /// The server's words.
    pub fn create(&self, name: &str, options: &str, cancel: &Cancel) -> Result<String> {
        let statements = [
            format!("CREATE DATABASE {} TEMPLATE template0 {options}", quote_name(name)),
            format!("SELECT oid FROM pg_database WHERE datname = {}", quote_literal(name)),
        ];
        let rows = self
            .run(&statements, cancel)
            .map_err(|unanswered| self.failed(unanswered, &format!("create the database `{name}`")))?;
        rows.into_iter().flatten().next().ok_or_else(|| {
            Failure::new(
                Kind::Failed,
                format!("The new database `{name}` is not there after it was created"),
            )
        })
    }

    /// Gives the database `new` what belongs to the existing database itself and is in no dump; returns what could not be given.
    ///
    /// # Errors
    /// If the rights on it cannot be given: an application would be locked out, or let in.
    pub fn dress(&self, new: &str, existing: &Existing, cancel: &Cancel) -> Result<Vec<String>> {
        let (name, oid) = (quote_name(new), &existing.oid);
        let rights = format!(
            "SELECT format('GRANT %s ON DATABASE %s TO %s%s', a.privilege_type, {}, \
             CASE WHEN a.grantee = 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(a.grantee)) END, \
             CASE WHEN a.is_grantable THEN ' WITH GRANT OPTION' ELSE '' END), \
             quote_ident(pg_get_userbyid(d.datdba)) \
             FROM pg_database d, aclexplode(d.datacl) a WHERE d.oid = {oid}",
            quote_literal(&name)
        );
        let asking = "read the properties of the database that is replaced";
        let ask = |question: String| {
            self.run(&[question], cancel)
                .map_err(|unanswered| self.failed(unanswered, asking))
        };
        let rows = ask(rights)?;
        if let Some(owner) = rows.first().and_then(|row| row.get(1)) {
            let mut statements = vec![format!("REVOKE ALL ON DATABASE {name} FROM PUBLIC, {owner}")];
            statements.extend(rows.iter().filter_map(|row| row.first().cloned()));
            self.run(&statements, cancel)
                .map_err(|unanswered| self.failed(unanswered, "give the rights on the old database to the new one"))?;
        }
        let as_shown = |statement: String| (statement.clone(), statement);
        let mut statements = Vec::new();
        for row in ask(format!(
            "SELECT coalesce(pg_get_userbyid(nullif(s.setrole, 0)), ''), substr(c, 1, strpos(c, '=') - 1), \
             substr(c, strpos(c, '=') + 1) FROM pg_db_role_setting s, unnest(s.setconfig) c WHERE s.setdatabase = {oid}"
        ))? {
            let [role, setting, value] = row.as_slice() else {
                continue;
            };
            let whose = if role.is_empty() {
                format!("DATABASE {name}")
            } else {
                format!("ROLE {} IN DATABASE {name}", quote_name(role))
            };
            // The value may be a secret of an application, so that messages leave it out.
            let shown = format!("ALTER {whose} SET {}", quote_name(setting));
            let statement = format!("{shown} TO {}", setting_value(setting, value));
            statements.push((shown, statement));
        }
        for row in ask(format!(
            "SELECT datconnlimit, coalesce(shobj_description(oid, 'pg_database'), ''), datallowconn \
             FROM pg_database WHERE oid = {oid}"
        ))? {
            let [limit, comment, connects] = row.as_slice() else {
                continue;
            };
            if limit != "-1" {
                statements.push(as_shown(format!("ALTER DATABASE {name} CONNECTION LIMIT {limit}")));
            }
            if !comment.is_empty() {
                statements.push(as_shown(format!(
                    "COMMENT ON DATABASE {name} IS {}",
                    quote_literal(comment)
                )));
            }
            if connects == "f" {
                statements.push(as_shown(format!("ALTER DATABASE {name} ALLOW_CONNECTIONS false")));
            }
        }
        let mut warnings = Vec::new();
        for (shown, statement) in statements {
            if let Err(unanswered) = self.run(std::slice::from_ref(&statement), cancel) {
                cancel.check()?;
                let why = self.failed(unanswered, "set it");
                warnings.push(format!(
                    "A property of the replaced database could not be given to the restored one: `{shown}`: {}.",
                    why.causes().join(": ")
                ));
            }
        }
        Ok(warnings)
    }

    /// Renames `new` to the target's name; what stands there becomes `replaced`. Both happen in one transaction.
    ///
    /// Sessions on the database that is replaced are ended. Not to be interrupted: it takes seconds.
    ///
    /// # Errors
    /// The server's words; then nothing has changed, or the failure says that it is not known.
    pub fn swap(&self, new: &str, new_oid: &str, replaced: Option<&str>) -> Result<()> {
        let never = Cancel::new();
        let mut statements = vec!["BEGIN".to_owned()];
        let rename = |from: &str, to: &str| format!("ALTER DATABASE {} RENAME TO {}", quote_name(from), quote_name(to));
        statements.extend(replaced.map(|replaced| rename(&self.name, replaced)));
        statements.push(rename(new, &self.name));
        statements.push("COMMIT".to_owned());
        let mut attempt = 0;
        let unanswered = loop {
            attempt += 1;
            let done = AtomicBool::new(false);
            let outcome = std::thread::scope(|scope| {
                if replaced.is_some() {
                    scope.spawn(|| {
                        // While the renaming waits it holds a lock that keeps new sessions out, so this comes to an end.
                        while !done.load(Ordering::SeqCst) {
                            self.end_sessions(&self.name, &never);
                            std::thread::sleep(SESSIONS_INTERVAL);
                        }
                    });
                }
                let outcome = self.run(&statements, &never);
                done.store(true, Ordering::SeqCst);
                outcome
            });
            match outcome {
                Ok(_) => return Ok(()),
                Err(Unanswered::Trouble(trouble))
                    if trouble.sqlstate.as_deref() == Some(IN_USE) && attempt < SWAP_ATTEMPTS => {}
                Err(unanswered) => break unanswered,
            }
        };
        // The reply may have been lost after the commit: the new database's own name tells.
        let question = format!("SELECT datname FROM pg_database WHERE oid = {new_oid}");
        let in_use = matches!(&unanswered, Unanswered::Trouble(trouble) if trouble.sqlstate.as_deref() == Some(IN_USE));
        let failure = self.failed(
            unanswered,
            &format!("put the restored database in the place of `{}`", self.name),
        );
        match self
            .run(&[question], &never)
            .map(|rows| rows.into_iter().flatten().next())
        {
            Ok(Some(name)) if name == self.name => Ok(()),
            Ok(_) if in_use => Err(failure
                .with_kind(Kind::Refused)
                .hint("Sessions on it could not be ended; stop the application, or restore as a superuser")),
            Ok(_) => Err(failure),
            Err(_) => Err(failure.hint(format!(
                "The server went away meanwhile: the restored database is called `{new}` or already `{}`",
                self.name
            ))),
        }
    }

    fn end_sessions(&self, database: &str, cancel: &Cancel) {
        let statement = format!(
            "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE datname = {} AND pid <> pg_backend_pid()",
            quote_literal(database)
        );
        // If it cannot be done, the renaming or dropping fails and says so.
        let _ = self.run(&[statement], cancel);
    }

    /// Drops a database, with the sessions on it. Not to be interrupted: it clears up.
    ///
    /// # Errors
    /// The server's words.
    pub fn drop_database(&self, name: &str) -> Result<()> {
        let never = Cancel::new();
        let force = if self.version.major >= 13 { " WITH (FORCE)" } else { "" };
        let statement = [format!("DROP DATABASE IF EXISTS {}{force}", quote_name(name))];
        let mut attempt = 0;
        loop {
            attempt += 1;
            match self.run(&statement, &never) {
                Ok(_) => return Ok(()),
                Err(Unanswered::Trouble(trouble))
                    if trouble.sqlstate.as_deref() == Some(IN_USE) && attempt < DROP_ATTEMPTS =>
                {
                    self.end_sessions(name, &never);
                    std::thread::sleep(DROP_INTERVAL);
                }
                Err(unanswered) => return Err(self.failed(unanswered, &format!("drop the database `{name}`"))),
            }
        }
    }

    /// Whether the server has a database of this name; `false` if it does not answer, for the next request will say why.
    pub fn has_database(&self, name: &str, cancel: &Cancel) -> bool {
        let question = format!("SELECT 1 FROM pg_database WHERE datname = {}", quote_literal(name));
        self.run(&[question], cancel)
            .is_ok_and(|rows| rows.into_iter().flatten().next().is_some())
    }

    /// Databases that earlier restores to this target left because they were killed.
    pub fn leftovers(&self, cancel: &Cancel) -> Vec<String> {
        let question = format!(
            "SELECT datname FROM pg_database WHERE left(datname, length({0})) = {0}",
            quote_literal(&format!("{}__restore_", self.name))
        );
        self.run(&[question], cancel)
            .map(|rows| rows.into_iter().flatten().collect())
            .unwrap_or_default()
    }
}

/// A setting's stored value as `ALTER … SET` takes it.
fn setting_value(setting: &str, value: &str) -> String {
    if !LIST_SETTINGS.contains(&setting) {
        return quote_literal(value);
    }
    let mut names = vec![String::new()];
    let mut quoted = false;
    let mut chars = value.chars().peekable();
    while let Some(c) = chars.next() {
        let last = names.len() - 1;
        match c {
            '"' if quoted && chars.peek() == Some(&'"') => {
                chars.next();
                names[last].push('"');
            }
            '"' => quoted = !quoted,
            ',' if !quoted => names.push(String::new()),
            c if c.is_whitespace() && !quoted => {}
            c => names[last].push(c),
        }
    }
    names
        .iter()
        .map(|name| quote_literal(name))
        .collect::<Vec<_>>()
        .join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_that_are_lists_stay_lists() {
        for (setting, value, text) in [
            ("work_mem", "4MB", "'4MB'"),
            ("app.note", "it's, so", "'it''s, so'"),
            ("search_path", "\"$user\", public", "'$user', 'public'"),
            ("search_path", "\"a, \"\"b\"\"\"", "'a, \"b\"'"),
            ("search_path", "\"\"", "''"),
        ] {
            assert_eq!(setting_value(setting, value), text);
        }
    }
}
