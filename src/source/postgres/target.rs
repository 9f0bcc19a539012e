//! The database that a dump is restored to, as it is before.

use std::path::Path;

use super::clients::{Client, Version, find_clients, newest};
use super::server::{Server, quote_literal, quote_name};
use super::url::PostgresUrl;
use crate::base::cancel::Cancel;
use crate::base::failure::{Failure, Kind, Result};
use crate::base::process::env_var;

/// Encodings that clients may have and databases may not.
const CLIENT_ENCODINGS: &[&str] = &["BIG5", "GB18030", "GBK", "JOHAB", "SHIFT_JIS_2004", "SJIS", "UHC"];

/// Where a restore goes.
#[derive(Debug)]
pub struct Target {
    /// How to ask.
    pub server: Server,
    /// Every `psql` there is.
    pub psqls: Vec<Client>,
    /// The database's name.
    pub name: String,
    /// A database to stand in meanwhile.
    pub maintenance: &'static str,
    /// The server's version.
    pub version: Version,
    /// The server's version as it says itself.
    pub version_text: String,
    /// The database that stands there now.
    pub existing: Option<Existing>,
}

/// A database that stands where the restored one is to stand.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Existing {
    /// Its number.
    pub oid: String,
    /// Its size on the server's disk.
    pub bytes: u64,
    /// Whether there is nothing in it that a user made.
    pub empty: bool,
    /// What a database of the same kind is created with.
    pub create_options: String,
}

/// Numbers below this one are those of what a server brings along (FirstNormalObjectId in PostgreSQL's `transam.h`).
const FIRST_OWN_OID: u32 = 16_384;

/// Where it is recorded what a user makes in a schema, and the column that names the schema. What hangs on it (columns,
/// triggers, policies, statistics) need not be asked for.
const IN_SCHEMAS: [(&str, &str); 12] = [
    ("pg_class", "relnamespace"),
    ("pg_proc", "pronamespace"),
    ("pg_type", "typnamespace"),
    ("pg_operator", "oprnamespace"),
    ("pg_opclass", "opcnamespace"),
    ("pg_opfamily", "opfnamespace"),
    ("pg_collation", "collnamespace"),
    ("pg_conversion", "connamespace"),
    ("pg_ts_config", "cfgnamespace"),
    ("pg_ts_dict", "dictnamespace"),
    ("pg_ts_parser", "prsnamespace"),
    ("pg_ts_template", "tmplnamespace"),
];

/// Where it is recorded what a user makes in no schema. Event triggers and transforms need functions, which do.
const IN_NO_SCHEMA: [&str; 5] = [
    "pg_am",
    "pg_cast",
    "pg_language",
    "pg_foreign_data_wrapper",
    "pg_default_acl",
];

/// What is told by more than its number. A schema can have been made anew by an upgrade, and whoever makes a large object
/// may choose its number. An extension counts by itself, for its tables may hold what nothing else has.
const BY_MORE: [&str; 3] = [
    "pg_namespace o WHERE o.nspname !~ '^pg_' AND o.nspname NOT IN ('information_schema', 'public')",
    "pg_extension o WHERE o.extname <> 'plpgsql'",
    "pg_largeobject_metadata o",
];

/// The major version that logical replication came with.
const REPLICATES_SINCE: u32 = 10;

/// The question whether there is nothing in a database that a user made. Rights and comments on the schema `public`, which
/// every database has, are nothing.
fn is_empty_question(major: u32) -> String {
    let in_schemas = IN_SCHEMAS.iter().map(|(catalog, schema)| {
        format!(
            "{catalog} o JOIN pg_namespace n ON n.oid = o.{schema} WHERE o.oid >= {FIRST_OWN_OID} \
             AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'"
        )
    });
    let in_no_schema = IN_NO_SCHEMA
        .iter()
        .map(|catalog| format!("{catalog} o WHERE o.oid >= {FIRST_OWN_OID}"));
    let replication = [
        format!("pg_publication o WHERE o.oid >= {FIRST_OWN_OID}"),
        "pg_subscription o JOIN pg_database d ON d.oid = o.subdbid WHERE d.datname = current_database()".to_owned(),
    ];
    let nothing: Vec<String> = in_schemas
        .chain(in_no_schema)
        .chain(BY_MORE.map(str::to_owned))
        .chain(replication.into_iter().filter(|_| major >= REPLICATES_SINCE))
        .map(|made| format!("NOT EXISTS (SELECT 1 FROM {made})"))
        .collect();
    format!("SELECT {}", nothing.join(" AND "))
}

impl Target {
    /// Looks at the server and the database, changing nothing.
    ///
    /// # Errors
    /// [`Kind::Tool`] without `psql`; the way to the server; [`Kind::Usage`] if no database is named;
    /// [`Kind::Refused`] on a standby or for a template; [`Kind::Denied`] without the rights to create and replace it.
    pub fn inspect(url: &PostgresUrl, client_folder: Option<&Path>, cancel: &Cancel) -> Result<Self> {
        let name = target_name(url)?;
        let psqls = find_clients("psql", client_folder, cancel)?;
        let psql = newest(&psqls)
            .cloned()
            .ok_or_else(|| Failure::new(Kind::Tool, "`psql` is not installed"))?;
        let server = Server::new(url, psql)?;
        let (maintenance, version) = server.maintenance(&name, cancel)?;
        let asking = "ask the server about the database";
        let question = "SELECT current_setting('server_version'), pg_is_in_recovery(), rolname, \
             rolsuper OR rolcreatedb FROM pg_roles WHERE rolname = current_user";
        let [version_text, is_standby, role, may_create] = server
            .ask_row(Some(maintenance), question, cancel)
            .map_err(|unanswered| unanswered.failure(asking, url))?;
        if is_standby == "t" {
            return Err(Failure::new(
                Kind::Refused,
                format!("The server at `{url}` is a standby, which cannot be written"),
            )
            .hint("Restore on the primary"));
        }
        if may_create != "t" {
            return Err(
                Failure::new(Kind::Denied, format!("The role `{role}` may not create databases"))
                    .hint(format!("As a superuser: ALTER ROLE {} CREATEDB", quote_name(&role))),
            );
        }
        let mut target = Self {
            server,
            psqls,
            name,
            maintenance,
            version,
            version_text,
            existing: None,
        };
        target.existing = target.inspect_existing(&role, cancel)?;
        Ok(target)
    }

    fn inspect_existing(&self, role: &str, cancel: &Cancel) -> Result<Option<Existing>> {
        let url = self.server.connection().url();
        let provider = if self.version.major >= 15 {
            "datlocprovider"
        } else {
            "'c'"
        };
        let locale = match self.version.major {
            17.. => "datlocale",
            15 | 16 => "daticulocale",
            _ => "NULL",
        };
        let rules = if self.version.major >= 16 {
            "daticurules"
        } else {
            "NULL"
        };
        let question = format!(
            "SELECT d.oid, CASE WHEN has_database_privilege(d.oid, 'CONNECT') THEN pg_database_size(d.oid) ELSE 0 END, \
             pg_encoding_to_char(d.encoding), d.datcollate, d.datctype, {provider}, {locale}, {rules}, t.spcname, \
             pg_get_userbyid(d.datdba), pg_has_role(d.datdba, 'USAGE'), d.datallowconn, d.datistemplate \
             FROM pg_database d JOIN pg_tablespace t ON t.oid = d.dattablespace WHERE d.datname = {}",
            quote_literal(&self.name)
        );
        let rows = self
            .server
            .ask(Some(self.maintenance), &[question], cancel)
            .map_err(|unanswered| unanswered.failure("ask the server about the database", url))?;
        let Some(row) = rows.into_iter().next() else {
            return Ok(None);
        };
        let [
            oid,
            bytes,
            encoding,
            collate,
            ctype,
            provider,
            locale,
            rules,
            tablespace,
            owner,
            owns,
            connects,
            template,
        ] = <[String; 13]>::try_from(row).map_err(|_| {
            Failure::new(
                Kind::Failed,
                "The server's answer about the database has an unexpected shape",
            )
        })?;
        if template == "t" {
            return Err(Failure::new(
                Kind::Refused,
                format!("The database `{}` is a template for others", self.name),
            )
            .hint("Restore into a database of another name"));
        }
        if owns != "t" {
            return Err(Failure::new(
                Kind::Denied,
                format!(
                    "The role `{role}` does not own the database `{}` and so cannot replace it",
                    self.name
                ),
            )
            .hint(format!(
                "Restore as its owner `{owner}` or as a superuser, or into a database of another name"
            )));
        }
        let empty = connects == "t" && self.is_empty(&self.name, cancel)?;
        let mut create_options = format!(
            "ENCODING {} LC_COLLATE {} LC_CTYPE {}",
            quote_literal(&encoding),
            quote_literal(&collate),
            quote_literal(&ctype)
        );
        match provider.as_str() {
            "i" => {
                create_options.push_str(&format!(" LOCALE_PROVIDER icu ICU_LOCALE {}", quote_literal(&locale)));
                if !rules.is_empty() {
                    create_options.push_str(&format!(" ICU_RULES {}", quote_literal(&rules)));
                }
            }
            "b" => create_options.push_str(&format!(
                " LOCALE_PROVIDER builtin BUILTIN_LOCALE {}",
                quote_literal(&locale)
            )),
            _ if self.version.major >= 15 => create_options.push_str(" LOCALE_PROVIDER libc"),
            _ => {}
        }
        // Naming the ordinary one would ask for a right on it that nobody has been given.
        if tablespace != "pg_default" {
            create_options.push_str(&format!(" TABLESPACE {}", quote_name(&tablespace)));
        }
        create_options.push_str(&format!(" OWNER {}", quote_name(&owner)));
        Ok(Some(Existing {
            oid,
            bytes: bytes.parse().unwrap_or(0),
            empty,
            create_options,
        }))
    }

    /// Whether a database holds nothing that a user made.
    ///
    /// # Errors
    /// The way to it.
    pub fn is_empty(&self, database: &str, cancel: &Cancel) -> Result<bool> {
        match self
            .server
            .ask_row::<1>(Some(database), &is_empty_question(self.version.major), cancel)
        {
            Ok([empty]) => Ok(empty == "t"),
            Err(unanswered) => Err(unanswered.failure("look into the database", self.server.connection().url())),
        }
    }

    /// What a new database is created with: as the one that it replaces, else as the dump needs it.
    ///
    /// # Errors
    /// The way to the server.
    pub fn create_options(&self, dump_encoding: Option<&str>, cancel: &Cancel) -> Result<String> {
        if let Some(existing) = &self.existing {
            return Ok(existing.create_options.clone());
        }
        let question = "SELECT pg_encoding_to_char(encoding) FROM pg_database WHERE datname = 'template0'";
        let [server_encoding] =
            self.server
                .ask_row(Some(self.maintenance), question, cancel)
                .map_err(|unanswered| {
                    unanswered.failure("ask for the server's encoding", self.server.connection().url())
                })?;
        Ok(encoding_options(dump_encoding, &server_encoding))
    }
}

/// The server's own encoding serves if it holds all that the dump may hold; else the dump's, with the locale that fits all.
fn encoding_options(dump: Option<&str>, server: &str) -> String {
    match dump {
        Some(dump)
            if dump != server && !CLIENT_ENCODINGS.contains(&dump) && (server != "UTF8" || dump == "SQL_ASCII") =>
        {
            format!("ENCODING {} LC_COLLATE 'C' LC_CTYPE 'C'", quote_literal(dump))
        }
        _ => String::new(),
    }
}

/// The database that is to be restored: a guess by libpq's defaults would be too dangerous here.
fn target_name(url: &PostgresUrl) -> Result<String> {
    let name = url
        .database()
        .map(str::to_owned)
        .or_else(|| env_var("PGDATABASE"))
        .ok_or_else(|| {
            Failure::new(
                Kind::Usage,
                format!("The URL names no database to restore into: `{url}`"),
            )
            .hint("Write for example postgres://user@host/database")
        })?;
    if matches!(name.as_str(), "template0" | "template1") {
        return Err(
            Failure::new(Kind::Refused, format!("The database `{name}` is a template for others"))
                .hint("Restore into a database of another name"),
        );
    }
    Ok(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_database_can_hold_what_the_dump_holds() {
        for (dump, server, options) in [
            (None, "UTF8", ""),
            (Some("UTF8"), "UTF8", ""),
            (Some("LATIN1"), "UTF8", ""),
            (Some("SJIS"), "EUC_JP", ""),
            (Some("UTF8"), "SQL_ASCII", "ENCODING 'UTF8' LC_COLLATE 'C' LC_CTYPE 'C'"),
            (
                Some("SQL_ASCII"),
                "UTF8",
                "ENCODING 'SQL_ASCII' LC_COLLATE 'C' LC_CTYPE 'C'",
            ),
            (Some("UTF8"), "LATIN1", "ENCODING 'UTF8' LC_COLLATE 'C' LC_CTYPE 'C'"),
        ] {
            assert_eq!(encoding_options(dump, server), options, "{dump:?} {server}");
        }
    }

    #[test]
    fn templates_are_no_targets() {
        let failure = target_name(&PostgresUrl::parse("postgres://h/template1").unwrap()).unwrap_err();
        assert_eq!(failure.kind(), Kind::Refused);
    }
}
