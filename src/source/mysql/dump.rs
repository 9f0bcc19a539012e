//! A MySQL or MariaDB database as a source: checked before, followed while it streams, judged at its end.

use std::io::Read;
use std::path::PathBuf;

use super::arguments::{check_arguments, dump_arguments, skips, warnings};
use super::clients::{CLIENTS, Client, DUMPERS, choose, find_clients, mismatch};
use super::history::History;
use super::rights::Rights;
use super::server::{About, Server, quote_literal, quote_name};
use super::trouble::Trouble;
use super::url::MysqlUrl;
use super::watch::MysqlWatch;
use crate::base::cancel::Cancel;
use crate::base::failure::{Failure, IoContext, Kind, Result};
use crate::base::process::Exit;
use crate::catalog::manifest::{Counts, SourceInfo};
use crate::source::dump_writer::{DumpWriter, READ_BYTES};
use crate::source::{Concern, Estimate, Source, SourceContext, SourceReport, SourceSink, Topic};

/// Databases of the server itself.
const SYSTEM_DATABASES: &[&str] = &["information_schema", "mysql", "performance_schema", "sys"];

/// How many tables a warning names.
const NAMES_MAX: usize = 20;

/// How to dump a database.
#[derive(Clone, Debug, Default)]
pub struct MysqlOptions {
    /// The server and the database.
    pub url: MysqlUrl,
    /// What the dumper is told beyond the ordinary.
    pub extra_arguments: Vec<String>,
    /// The folder with the client programs; without one, `PATH` and the usual folders are searched.
    pub client_folder: Option<PathBuf>,
}

/// One database, dumped as plain SQL.
#[derive(Debug)]
pub struct MysqlSource {
    options: MysqlOptions,
    prepared: Option<Prepared>,
}

#[derive(Debug)]
struct Prepared {
    server: Server,
    about: About,
    dumper: Client,
    database: String,
    collation: String,
    bytes: u64,
    tables: u64,
    history: History,
    concerns: Vec<Concern>,
}

impl MysqlSource {
    /// A source that has not looked at anything yet.
    #[must_use]
    pub fn new(options: MysqlOptions) -> Self {
        Self {
            options,
            prepared: None,
        }
    }

    fn prepared(&self) -> Result<&Prepared> {
        self.prepared
            .as_ref()
            .ok_or_else(|| Failure::new(Kind::Failed, "The MySQL source was not prepared"))
    }
}

/// The database that a URL names, which must be one of a user's.
///
/// # Errors
/// [`Kind::Usage`] if it names none, [`Kind::Unsupported`] if it is one of the server's own.
pub fn database_of(url: &MysqlUrl) -> Result<&str> {
    let database = url.database().ok_or_else(|| {
        Failure::new(Kind::Usage, format!("The URL names no database: `{url}`"))
            .hint("Write for example mysql://user@host/database")
    })?;
    if SYSTEM_DATABASES
        .iter()
        .any(|system| database.eq_ignore_ascii_case(system))
    {
        return Err(Failure::new(
            Kind::Unsupported,
            format!("The database `{database}` belongs to the server itself"),
        )
        .hint("Accounts and rights of MariaDB: --command 'mariadb-dump --system=users' --extension sql"));
    }
    Ok(database)
}

/// Reaches the server with whatever client there is, and goes on with the one that suits it.
///
/// # Errors
/// [`Kind::Tool`] without a client; the way to the server.
pub fn reach(options: &MysqlOptions, cancel: &Cancel) -> Result<(Server, About)> {
    let clients = find_clients(CLIENTS, options.client_folder.as_deref(), cancel)?;
    let any = clients
        .first()
        .cloned()
        .ok_or_else(|| Failure::new(Kind::Tool, "`mariadb` is not installed"))?;
    let server = Server::new(&options.url, any);
    let about = server.about(cancel)?;
    Ok(match choose(&clients, about.maker, about.version) {
        Some(client) => (server.through(client.clone()), about),
        None => (server, about),
    })
}

impl Source for MysqlSource {
    fn prepare(&mut self, context: &SourceContext<'_>) -> Result<()> {
        let cancel = context.cancel;
        let extra = &self.options.extra_arguments;
        check_arguments(extra)?;
        let database = database_of(&self.options.url)?.to_owned();
        let dumpers = find_clients(DUMPERS, self.options.client_folder.as_deref(), cancel)?;
        let (server, about) = reach(&self.options, cancel)?;
        let dumper = choose(&dumpers, about.maker, about.version)
            .cloned()
            .ok_or_else(|| Failure::new(Kind::Tool, "`mariadb-dump` is not installed"))?;
        let url = &self.options.url;
        let collation = collation(&server, &database, cancel)?;
        let literal = quote_literal(&database);
        let asking = "ask the server about the database";
        let [bytes, tables] = server
            .ask_row(
                &format!(
                    "SELECT COALESCE(SUM(DATA_LENGTH), 0), COUNT(*) FROM information_schema.TABLES \
                     WHERE TABLE_SCHEMA = {literal} AND TABLE_TYPE NOT IN ('VIEW', 'SYSTEM VIEW', 'SEQUENCE');"
                ),
                cancel,
            )
            .map_err(|unanswered| unanswered.failure(asking, url))?;
        let concern = |topic| move |text| Concern { topic, text };
        let mut concerns: Vec<Concern> = warnings(extra).into_iter().map(concern(Topic::Selection)).collect();
        concerns.extend(mismatch(&dumper, about.maker, about.version).map(concern(Topic::Tools)));
        concerns.extend(inconsistent_tables(&server, &database, cancel)?.map(concern(Topic::Consistency)));
        let history = History::of(&server, &about, &dumper, &database, cancel)?;
        if let History::LeftOut(why) = &history {
            concerns.push(concern(Topic::Consistency)(why.clone()));
        }
        concerns.extend(check_rights(&server, &about, &database, extra, cancel)?.map(concern(Topic::Rights)));
        self.prepared = Some(Prepared {
            server,
            about,
            dumper,
            database,
            collation,
            bytes: bytes.parse().unwrap_or(0),
            tables: tables.parse().unwrap_or(0),
            history,
            concerns,
        });
        Ok(())
    }

    fn info(&self) -> SourceInfo {
        let prepared = self.prepared.as_ref();
        SourceInfo {
            kind: match prepared.map(|prepared| prepared.about.maker) {
                Some(super::clients::Maker::MariaDb) => "mariadb".to_owned(),
                _ => "mysql".to_owned(),
            },
            what: self.options.url.to_string(),
            database: self.options.url.database().map(str::to_owned),
            collation: prepared.map(|prepared| prepared.collation.clone()),
            server_version: prepared.map(|prepared| prepared.about.version_text.clone()),
            tool: prepared.map(|prepared| prepared.dumper.name()),
            tool_version: prepared.map(|prepared| prepared.dumper.version_text()),
            options: self.options.extra_arguments.clone(),
        }
    }

    fn extension(&self) -> &'static str {
        "sql"
    }

    fn estimate(&mut self, _context: &SourceContext<'_>) -> Result<Estimate> {
        let prepared = self.prepared()?;
        Ok(Estimate {
            plain_bytes: Some(prepared.bytes).filter(|bytes| *bytes > 0),
            items: Some(prepared.tables),
        })
    }

    fn concerns(&mut self, _context: &SourceContext<'_>) -> Result<Vec<Concern>> {
        Ok(self.prepared()?.concerns.clone())
    }

    fn stream(&mut self, sink: &mut dyn SourceSink, context: &SourceContext<'_>) -> Result<SourceReport> {
        let prepared = self.prepared()?;
        let name = prepared.dumper.name();
        let arguments = dump_arguments(
            &prepared.dumper,
            &prepared.about,
            &prepared.history,
            &self.options.extra_arguments,
            &prepared.database,
        );
        let mut child = prepared
            .server
            .connection()
            .program(&prepared.dumper, false)
            .args(arguments)
            .start(context.cancel)?;
        let mut writer = DumpWriter::new(sink, context.reporter.progress(), MysqlWatch::default());
        if let Some(stdout) = child.stdout.as_mut() {
            let mut buffer = vec![0; READ_BYTES];
            loop {
                context.cancel.check()?;
                let count = stdout
                    .read(&mut buffer)
                    .doing(|| format!("read the output of `{name}`"))?;
                if count == 0 {
                    break;
                }
                writer.write(&buffer[..count])?;
            }
        }
        let exit = child.wait()?;
        context.cancel.check()?;
        let url = &self.options.url;
        if !exit.is_success() {
            return Err(dump_failure(&exit, &name, url));
        }
        let summary = writer.finish()?;
        if let Some(fault) = summary.fault {
            let failure = Failure::new(
                Kind::Source,
                format!("The dump of `{url}` is not whole, although `{name}` exited with 0: {fault}"),
            )
            .hint(format!(
                "Was `{name}` replaced by a script, or told by an option file to leave something out? Run it by hand and look at its last lines"
            ));
            return Err(match exit.stderr_tail.is_empty() {
                true => failure,
                false => failure.caused_by(Trouble::read(&exit.stderr_tail)),
            });
        }
        let mut all_warnings: Vec<String> = prepared.concerns.iter().map(|concern| concern.text.clone()).collect();
        all_warnings.extend(dump_warnings(&exit.stderr_tail));
        Ok(SourceReport {
            warnings: all_warnings,
            counts: Counts {
                tables: Some(summary.tables),
                rows: Some(summary.rows),
                ..Counts::default()
            },
            ..SourceReport::default()
        })
    }
}

/// A database's default collation.
///
/// # Errors
/// The way to the server; [`Kind::NotFound`] if there is no such database.
pub fn collation(server: &Server, database: &str, cancel: &Cancel) -> Result<String> {
    let url = server.connection().url();
    let question = format!(
        "SELECT DEFAULT_COLLATION_NAME FROM information_schema.SCHEMATA WHERE SCHEMA_NAME = {};",
        quote_literal(database)
    );
    let rows = server
        .ask_texts(&question, cancel)
        .map_err(|unanswered| unanswered.failure("ask the server about the database", url))?;
    rows.into_iter().flatten().next().ok_or_else(|| {
        Failure::new(
            Kind::NotFound,
            format!("There is no database `{database}` at `{url}`, or none that this account may see"),
        )
        .hint("Check its name; SHOW DATABASES lists those that one may see")
    })
}

/// A warning that names the tables whose engine has no transactions, so that a dump under writes may mix their states.
fn inconsistent_tables(server: &Server, database: &str, cancel: &Cancel) -> Result<Option<String>> {
    let question = format!(
        "SELECT TABLE_NAME, ENGINE FROM information_schema.TABLES WHERE TABLE_SCHEMA = {} \
         AND TABLE_TYPE NOT IN ('VIEW', 'SYSTEM VIEW') AND ENGINE NOT IN ('InnoDB', 'ROCKSDB') ORDER BY TABLE_NAME;",
        quote_literal(database)
    );
    let rows = server
        .ask_texts(&question, cancel)
        .map_err(|unanswered| unanswered.failure("ask the server about its tables", server.connection().url()))?;
    let names: Vec<String> = rows
        .iter()
        .filter_map(|row| Some(format!("{} ({})", quote_name(row.first()?), row.get(1)?)))
        .collect();
    if names.is_empty() {
        return Ok(None);
    }
    let more = names.len().saturating_sub(NAMES_MAX);
    let rest = if more > 0 {
        format!(" and {more} more")
    } else {
        String::new()
    };
    Ok(Some(format!(
        "Tables without transactions are dumped as they are at the moment, not all of one state: {}{rest}. \
         ALTER TABLE … ENGINE=InnoDB, or no writers during the backup, would change that.",
        names[..names.len().min(NAMES_MAX)].join(", ")
    )))
}

/// Refuses an account for which the server would leave things out without a word; returns a warning where it may.
fn check_rights(
    server: &Server,
    about: &About,
    database: &str,
    extra: &[String],
    cancel: &Cancel,
) -> Result<Option<String>> {
    let url = server.connection().url();
    let rows = server
        .ask_texts("SHOW GRANTS;", cancel)
        .map_err(|unanswered| unanswered.failure("ask what the account may do", url))?;
    let lines: Vec<String> = rows.into_iter().flatten().collect();
    let rights = Rights::read(&lines, database);
    let mut wanted = Vec::new();
    if !skips(extra, "triggers") {
        wanted.push("TRIGGER");
    }
    if !skips(extra, "events") {
        wanted.push("EVENT");
    }
    let missing = rights.missing(&wanted);
    if !missing.is_empty() {
        let rights = missing.join(", ");
        return Err(Failure::new(
            Kind::Denied,
            format!("The account of `{url}` lacks rights on the database, without which the dump would not be whole: {rights}"),
        )
        .hint(format!(
            "GRANT {rights} ON {}.* TO the account; or leave such objects out with --mysql-dump-arg=--skip-triggers or --skip-events",
            quote_name(database)
        )));
    }
    Ok((!skips(extra, "routines") && !rights.sees_routines()).then(|| {
        format!(
            "The account cannot see stored routines of others, so if there are any, they are not in the backup: {} TO the account.",
            Rights::routine_grant(about)
        )
    }))
}

fn dump_failure(exit: &Exit, name: &str, url: &MysqlUrl) -> Failure {
    let message = format!("`{name}` of `{url}` failed with {}", exit.describe());
    if exit.stderr_tail.is_empty() {
        return Failure::new(Kind::Source, message).hint(format!(
            "`{name}` said nothing; was it killed, perhaps for want of memory?"
        ));
    }
    let trouble = Trouble::read(&exit.stderr_tail);
    let hint = match trouble.number {
        Some(1412 | 1146) => Some(
            "A table was altered, emptied, renamed or dropped while it was dumped; run the backup when nobody does that".to_owned(),
        ),
        Some(1449) => Some(
            "A view's definer does not exist any more: ALTER the view with another DEFINER, or create that account".to_owned(),
        ),
        Some(1356) => Some("A view refers to what is not there any more: mend or DROP it".to_owned()),
        _ if trouble.says("Couldn't find table") => {
            Some("A table was dropped or renamed while it was dumped; run the backup when nobody does that".to_owned())
        }
        _ if trouble.says("insufficient privileges to SHOW CREATE") => Some(
            "The account may not see the routine's body: GRANT SELECT ON mysql.proc (MariaDB), SHOW_ROUTINE (MySQL 8), \
             or leave routines out with --mysql-dump-arg=--skip-routines"
                .to_owned(),
        ),
        _ if trouble.says("unknown option") || trouble.says("unknown variable") || trouble.says("unrecognized option") => {
            Some(format!("Check the extra arguments and the option files against this version of `{name}`"))
        }
        _ => trouble.hint(url),
    };
    let failure = Failure::new(Kind::Source, message).caused_by(trouble);
    match hint {
        Some(hint) => failure.hint(hint),
        None => failure.hint("The server's log may say more; run the backup again when it is well"),
    }
}

/// Warnings among the last words of a dumper that went well, but for those about itself.
fn dump_warnings(stderr: &[String]) -> Vec<String> {
    const OF_ITSELF: &[&str] = &["Deprecated program name", "password on the command line"];
    stderr
        .iter()
        .filter(|line| line.to_ascii_lowercase().contains("warning"))
        .filter(|line| !OF_ITSELF.iter().any(|words| line.contains(words)))
        .cloned()
        .collect()
}
