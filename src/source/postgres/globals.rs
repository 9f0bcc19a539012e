//! What a server has beside its databases: roles, their memberships and settings, tablespaces. By `pg_dumpall`.

use std::path::PathBuf;

use super::clients::{Client, choose_dumper, find_clients, newest};
use super::dump::{dump_failure, dump_warnings, not_whole, pass_output};
use super::ending::Flavour;
use super::server::Server;
use super::url::PostgresUrl;
use super::watch::PostgresWatch;
use crate::base::failure::{Failure, Kind, Result};
use crate::catalog::manifest::SourceInfo;
use crate::source::dump_writer::DumpWriter;
use crate::source::{Estimate, Source, SourceContext, SourceReport, SourceSink};

/// What the manifest calls such a source.
pub const GLOBALS_KIND: &str = "postgresql-globals";

const NO_PASSWORDS: &str = "--no-role-passwords";

/// How to dump what is not in any database.
#[derive(Clone, Debug, Default)]
pub struct GlobalsOptions {
    /// The server; if it names a database, that is where the questions are asked.
    pub url: PostgresUrl,
    /// The folder with the client programs; without one, `PATH` and the distributions' folders are searched.
    pub client_folder: Option<PathBuf>,
}

/// Roles and tablespaces of one server.
#[derive(Debug)]
pub struct GlobalsSource {
    options: GlobalsOptions,
    prepared: Option<Prepared>,
}

#[derive(Debug)]
struct Prepared {
    server: Server,
    dumper: Client,
    server_version: String,
    database: String,
    role: String,
    may_read_passwords: bool,
}

impl GlobalsSource {
    /// A source that has not looked at anything yet.
    #[must_use]
    pub fn new(options: GlobalsOptions) -> Self {
        Self {
            options,
            prepared: None,
        }
    }
}

impl Source for GlobalsSource {
    fn prepare(&mut self, context: &SourceContext<'_>) -> Result<()> {
        let folder = self.options.client_folder.as_deref();
        let cancel = context.cancel;
        let dumpers = find_clients("pg_dumpall", folder, cancel)?;
        let psqls = find_clients("psql", folder, cancel)?;
        let psql = newest(&psqls)
            .cloned()
            .ok_or_else(|| Failure::new(Kind::Tool, "`psql` is not installed"))?;
        let url = &self.options.url;
        let server = Server::new(url, psql)?;
        let (database, version) = server.any_database(cancel)?;
        let dumper = choose_dumper("pg_dumpall", &dumpers, version)?;
        let question = "SELECT current_setting('server_version'), current_user, \
             has_table_privilege('pg_catalog.pg_authid', 'SELECT')";
        let [server_version, role, may_read] = server
            .ask_row(Some(&database), question, cancel)
            .map_err(|unanswered| unanswered.failure("ask the server about its roles", url))?;
        self.prepared = Some(Prepared {
            server,
            dumper,
            server_version,
            database,
            role,
            may_read_passwords: may_read == "t",
        });
        Ok(())
    }

    fn info(&self) -> SourceInfo {
        let prepared = self.prepared.as_ref();
        let hides = prepared.is_some_and(|prepared| !prepared.may_read_passwords);
        SourceInfo {
            kind: GLOBALS_KIND.to_owned(),
            what: self.options.url.to_string(),
            database: None,
            server_version: prepared.map(|prepared| prepared.server_version.clone()),
            tool: Some("pg_dumpall".to_owned()),
            tool_version: prepared.map(|prepared| prepared.dumper.version_text.clone()),
            options: ["--globals-only"]
                .into_iter()
                .chain(hides.then_some(NO_PASSWORDS))
                .map(str::to_owned)
                .collect(),
            ..SourceInfo::default()
        }
    }

    fn extension(&self) -> &'static str {
        "sql"
    }

    fn estimate(&mut self, _context: &SourceContext<'_>) -> Result<Estimate> {
        Ok(Estimate::default())
    }

    fn stream(&mut self, sink: &mut dyn SourceSink, context: &SourceContext<'_>) -> Result<SourceReport> {
        let prepared = self
            .prepared
            .as_ref()
            .ok_or_else(|| Failure::new(Kind::Failed, "The PostgreSQL source was not prepared"))?;
        let url = &self.options.url;
        let mut program = prepared
            .server
            .connection()
            .program(&prepared.dumper.path, Some(&prepared.database))
            .arg("--globals-only")
            .arg(format!("--database={}", prepared.database));
        let mut warnings = Vec::new();
        if !prepared.may_read_passwords {
            program = program.arg(NO_PASSWORDS);
            warnings.push(format!(
                "The role `{}` may not read the passwords of the server's roles; they are not in this backup.",
                prepared.role
            ));
        }
        let mut child = program.start(context.cancel)?;
        let mut writer = DumpWriter::new(sink, context.reporter.progress(), PostgresWatch::by(Flavour::Cluster));
        let exit = pass_output(&mut child, context, &mut |bytes| writer.write(bytes)).and_then(|()| child.wait())?;
        context.cancel.check()?;
        if !exit.is_success() {
            return Err(dump_failure("pg_dumpall", &exit, url));
        }
        if let Some(fault) = writer.finish()?.fault {
            return Err(not_whole("pg_dumpall", url, &fault, &exit));
        }
        warnings.extend(dump_warnings(&exit.stderr_tail));
        Ok(SourceReport {
            warnings,
            ..SourceReport::default()
        })
    }
}
