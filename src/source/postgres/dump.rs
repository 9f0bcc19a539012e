//! A PostgreSQL database as a source: `pg_dump`, checked before, followed while it streams, judged at its end.

use std::io::Read;
use std::path::PathBuf;

use super::archive::{ArchiveCheck, find_restorer};
use super::arguments::{check_arguments, warnings};
use super::clients::{Client, Version, choose_dumper, find_clients, newest};
use super::ending::Flavour;
use super::parallel::{check_divisible, dump_parallel};
use super::selection::DumpSelection;
use super::server::Server;
use super::trouble::Trouble;
use super::url::PostgresUrl;
use super::watch::PostgresWatch;
use crate::base::failure::{Failure, IoContext, Kind, Result, from_io};
use crate::base::process::{Exit, Running};
use crate::catalog::manifest::{Counts, SourceInfo};
use crate::source::dump_writer::{DumpWriter, READ_BYTES};
use crate::source::{Estimate, Source, SourceContext, SourceReport, SourceSink, SourceSinks, stream_one};

/// How the manifest's options record that several workers made a dump.
pub const JOBS_OPTION: &str = "--jobs";

/// What `pg_dump` writes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum DumpFormat {
    /// SQL as text, for `psql`.
    #[default]
    Plain,
    /// An archive for `pg_restore`, which it does not compress itself: gzip on every core is faster and smaller.
    Custom,
}

/// How to dump a database.
#[derive(Clone, Debug, Default)]
pub struct PostgresOptions {
    /// The server and the database.
    pub url: PostgresUrl,
    /// What it becomes.
    pub format: DumpFormat,
    /// What of it is dumped.
    pub selection: DumpSelection,
    /// How many workers dump its rows at once, into streams of their own; 0 and 1 make one stream.
    pub jobs: usize,
    /// What `pg_dump` is told beyond the ordinary.
    pub extra_arguments: Vec<String>,
    /// The folder with the client programs; without one, `PATH` and the distributions' folders are searched.
    pub client_folder: Option<PathBuf>,
}

/// One database.
#[derive(Debug)]
pub struct PostgresSource {
    options: PostgresOptions,
    prepared: Option<Prepared>,
}

#[derive(Debug)]
pub(super) struct Prepared {
    pub server: Server,
    dumper: Client,
    /// Reads an archive to its end while it is written.
    restorer: Option<Client>,
    pub version: Version,
    server_version: String,
    pub database: String,
    /// The encoding of the database.
    pub encoding: String,
    bytes: u64,
    tables: u64,
}

/// What a `pg_dump` that ended well has dumped.
#[derive(Debug, Default)]
pub(super) struct Dumped {
    counts: Counts,
    warnings: Vec<String>,
}

impl Dumped {
    /// Joins what another one has dumped; what both warned of is said once.
    pub fn add(&mut self, other: Self) {
        let sum = |a: Option<u64>, b: Option<u64>| a.or(b).map(|_| a.unwrap_or(0).saturating_add(b.unwrap_or(0)));
        self.counts.tables = sum(self.counts.tables, other.counts.tables);
        self.counts.rows = sum(self.counts.rows, other.counts.rows);
        for warning in other.warnings {
            if !self.warnings.contains(&warning) {
                self.warnings.push(warning);
            }
        }
    }
}

impl PostgresSource {
    /// A source that has not looked at anything yet.
    #[must_use]
    pub fn new(options: PostgresOptions) -> Self {
        Self {
            options,
            prepared: None,
        }
    }

    fn is_parallel(&self) -> bool {
        self.options.jobs > 1
    }

    /// What `pg_dump` is told of what to dump.
    fn arguments(&self) -> Vec<String> {
        let mut arguments = self.options.selection.arguments();
        arguments.extend_from_slice(&self.options.extra_arguments);
        arguments
    }

    fn prepared(&self) -> Result<&Prepared> {
        self.prepared
            .as_ref()
            .ok_or_else(|| Failure::new(Kind::Failed, "The PostgreSQL source was not prepared"))
    }
}

impl Source for PostgresSource {
    fn prepare(&mut self, context: &SourceContext<'_>) -> Result<()> {
        check_arguments(&self.options.extra_arguments)?;
        if self.is_parallel() {
            check_divisible(&self.options.extra_arguments)?;
            if self.options.format == DumpFormat::Custom {
                return Err(
                    Failure::new(Kind::Usage, "An archive of `pg_dump` cannot be made by several workers")
                        .hint("Leave out either --jobs or --format custom"),
                );
            }
        }
        let folder = self.options.client_folder.as_deref();
        let dumpers = find_clients("pg_dump", folder, context.cancel)?;
        let psqls = find_clients("psql", folder, context.cancel)?;
        let psql = newest(&psqls)
            .cloned()
            .ok_or_else(|| Failure::new(Kind::Tool, "`psql` is not installed"))?;
        let url = &self.options.url;
        let server = Server::new(url, psql)?;
        let version: Version = server.version(None, context.cancel)?;
        let dumper = choose_dumper("pg_dump", &dumpers, version)?;
        let restorer = match self.options.format {
            DumpFormat::Plain => None,
            DumpFormat::Custom => Some(find_restorer(folder, Some(&dumper), context.cancel)?),
        };
        let question = "SELECT current_setting('server_version'), current_database(), \
             (SELECT pg_encoding_to_char(encoding) FROM pg_database WHERE datname = current_database()), \
             pg_database_size(current_database()), (SELECT count(*) FROM pg_class c JOIN pg_namespace n \
             ON n.oid = c.relnamespace WHERE c.relkind = 'r' AND c.relpersistence <> 't' \
             AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema')";
        let [server_version, database, encoding, bytes, tables] = server
            .ask_row(None, question, context.cancel)
            .map_err(|unanswered| unanswered.failure("ask the server about the database", url))?;
        self.options.selection.check(&server, url, context.cancel)?;
        self.prepared = Some(Prepared {
            server,
            dumper,
            restorer,
            version,
            server_version,
            database,
            encoding,
            bytes: bytes.parse().unwrap_or(0),
            tables: tables.parse().unwrap_or(0),
        });
        Ok(())
    }

    fn info(&self) -> SourceInfo {
        let prepared = self.prepared.as_ref();
        SourceInfo {
            kind: "postgresql".to_owned(),
            what: self.options.url.to_string(),
            database: prepared
                .map(|prepared| prepared.database.clone())
                .or_else(|| self.options.url.database().map(str::to_owned)),
            server_version: prepared.map(|prepared| prepared.server_version.clone()),
            tool: Some("pg_dump".to_owned()),
            tool_version: prepared.map(|prepared| prepared.dumper.version_text.clone()),
            options: {
                let mut options = self.arguments();
                if self.is_parallel() {
                    options.push(format!("{JOBS_OPTION}={}", self.options.jobs));
                }
                options
            },
            ..SourceInfo::default()
        }
    }

    fn extension(&self) -> &'static str {
        match self.options.format {
            DumpFormat::Plain => "sql",
            DumpFormat::Custom => "dump",
        }
    }

    fn estimate(&mut self, _context: &SourceContext<'_>) -> Result<Estimate> {
        let prepared = self.prepared()?;
        Ok(Estimate {
            plain_bytes: Some(prepared.bytes).filter(|bytes| *bytes > 0),
            items: Some(prepared.tables),
        })
    }

    fn streams_at_once(&self) -> usize {
        self.options.jobs.max(1)
    }

    fn stream_all(&mut self, sinks: &dyn SourceSinks, context: &SourceContext<'_>) -> Result<SourceReport> {
        if !self.is_parallel() {
            return stream_one(self, sinks, context);
        }
        let arguments = self.arguments();
        let dumped = dump_parallel(self.prepared()?, &arguments, self.options.jobs, sinks, context)?;
        Ok(report(&arguments, dumped))
    }

    fn stream(&mut self, sink: &mut dyn SourceSink, context: &SourceContext<'_>) -> Result<SourceReport> {
        let prepared = self.prepared()?;
        let arguments = self.arguments();
        let dumped = match &prepared.restorer {
            None => dump_plain(prepared, &arguments, sink, context)?,
            Some(restorer) => dump_custom(prepared, restorer, &arguments, sink, context)?,
        };
        Ok(report(&arguments, dumped))
    }
}

fn report(arguments: &[String], dumped: Dumped) -> SourceReport {
    let mut all_warnings = warnings(arguments);
    all_warnings.extend(dumped.warnings);
    SourceReport {
        warnings: all_warnings,
        counts: dumped.counts,
        ..SourceReport::default()
    }
}

/// Dumps SQL into a sink.
///
/// # Errors
/// [`Kind::Source`] if `pg_dump` fails, or does not but the dump is not whole.
pub(super) fn dump_plain(
    prepared: &Prepared,
    arguments: &[String],
    sink: &mut dyn SourceSink,
    context: &SourceContext<'_>,
) -> Result<Dumped> {
    let url = prepared.server.connection().url();
    let mut child = prepared
        .server
        .connection()
        .program(&prepared.dumper.path, Some(&prepared.database))
        .arg("--format=plain")
        .args(arguments)
        .start(context.cancel)?;
    let mut writer = DumpWriter::new(sink, context.reporter.progress(), PostgresWatch::by(Flavour::Database));
    let exit = pass_output(&mut child, context, &mut |bytes| writer.write(bytes)).and_then(|()| child.wait())?;
    context.cancel.check()?;
    if !exit.is_success() {
        return Err(dump_failure("pg_dump", &exit, url));
    }
    let summary = writer.finish()?;
    if let Some(fault) = summary.fault {
        return Err(not_whole("pg_dump", url, &fault, &exit));
    }
    let counts = Counts {
        tables: Some(summary.tables),
        rows: Some(summary.rows),
        ..Counts::default()
    };
    Ok(Dumped {
        counts,
        warnings: dump_warnings(&exit.stderr_tail),
    })
}

/// An archive is read to its end by `pg_restore` on its way: only that tells a whole one from one that was cut off.
fn dump_custom(
    prepared: &Prepared,
    restorer: &Client,
    arguments: &[String],
    sink: &mut dyn SourceSink,
    context: &SourceContext<'_>,
) -> Result<Dumped> {
    let url = prepared.server.connection().url();
    let mut child = prepared
        .server
        .connection()
        .program(&prepared.dumper.path, Some(&prepared.database))
        .args(["--format=custom", "--compress=0"])
        .args(arguments)
        .start(context.cancel)?;
    let mut check = ArchiveCheck::start(restorer, context.cancel)?;
    let exit = pass_output(&mut child, context, &mut |bytes| {
        check.write(bytes)?;
        sink.write_all(bytes)
            .map_err(|error| from_io("pass the dump on", error))
    })
    .and_then(|()| child.wait())?;
    context.cancel.check()?;
    if !exit.is_success() {
        return Err(dump_failure("pg_dump", &exit, url));
    }
    let fault = check.finish()?;
    context.cancel.check()?;
    match fault {
        Some(fault) => Err(not_whole("pg_dump", url, &fault, &exit)),
        None => Ok(Dumped {
            counts: Counts::default(),
            warnings: dump_warnings(&exit.stderr_tail),
        }),
    }
}

/// Hands on what a program writes, to the end of it.
pub(super) fn pass_output(
    child: &mut Running,
    context: &SourceContext<'_>,
    pass: &mut dyn FnMut(&[u8]) -> Result<()>,
) -> Result<()> {
    let name = child.name().to_owned();
    let Some(stdout) = child.stdout.as_mut() else {
        return Ok(());
    };
    let mut buffer = vec![0; READ_BYTES];
    loop {
        context.cancel.check()?;
        let count = stdout
            .read(&mut buffer)
            .doing(|| format!("read the output of `{name}`"))?;
        if count == 0 {
            return Ok(());
        }
        pass(&buffer[..count])?;
    }
}

/// A dump that its program calls whole and that is not.
pub(super) fn not_whole(program: &str, url: &PostgresUrl, fault: &str, exit: &Exit) -> Failure {
    let failure = Failure::new(
        Kind::Source,
        format!("The dump of `{url}` is not whole, although `{program}` exited with 0: {fault}"),
    )
    .hint(format!(
        "Was `{program}` replaced by a script, or told to leave something out? Run it by hand and look at its last lines"
    ));
    match exit.stderr_tail.is_empty() {
        true => failure,
        false => failure.caused_by(Trouble::read(&exit.stderr_tail)),
    }
}

/// A dump whose program did not end well.
pub(super) fn dump_failure(program: &str, exit: &Exit, url: &PostgresUrl) -> Failure {
    let message = format!("`{program}` of `{url}` failed with {}", exit.describe());
    if exit.stderr_tail.is_empty() {
        return Failure::new(Kind::Source, message).hint(format!(
            "`{program}` said nothing; was it killed, perhaps for want of memory?"
        ));
    }
    let trouble = Trouble::read(&exit.stderr_tail);
    let hint = if trouble.says("row-level security") {
        Some("Dump as the tables' owner or as a role with BYPASSRLS".to_owned())
    } else if trouble.says("permission denied") {
        Some("Dump as the owner, as a superuser, or as a member of pg_read_all_data".to_owned())
    } else if trouble.says("canceling statement due to conflict with recovery") {
        Some("Raise max_standby_streaming_delay on the standby, or dump from the primary".to_owned())
    } else if trouble.says("server closed the connection") || trouble.says("terminating connection") {
        Some("The server ended the session; its log says why".to_owned())
    } else if trouble.says("unrecognized option") || trouble.says("invalid option") {
        Some("Check the extra arguments against this version of `pg_dump`".to_owned())
    } else if trouble.says("canceling statement due to lock timeout") {
        Some("Somebody holds or waits for a lock on that table; run it again when that is done".to_owned())
    } else {
        trouble.hint(url)
    };
    let failure = Failure::new(Kind::Source, message).caused_by(trouble);
    match hint {
        Some(hint) => failure.hint(hint),
        None => failure.hint("The server's log may say more; run the backup again when it is well"),
    }
}

/// Warnings among the last words of a `pg_dump` that went well; with `--verbose` most of its words are none.
pub(super) fn dump_warnings(stderr: &[String]) -> Vec<String> {
    let mut warnings: Vec<String> = Vec::new();
    for line in stderr {
        let said = line.split_once(": ").map_or("", |(_, said)| said);
        let continues = ["detail: ", "hint: "].iter().find_map(|begin| said.strip_prefix(begin));
        match (continues, warnings.last_mut()) {
            (Some(more), Some(last)) => {
                last.push_str("; ");
                last.push_str(more.trim());
            }
            _ if line.to_ascii_lowercase().contains("warning") => warnings.push(line.clone()),
            _ => {}
        }
    }
    warnings
}
