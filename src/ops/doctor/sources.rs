//! The sources: reached, with the programs that dump them, as far as can be told before the first byte.

use super::Section;
use super::check::{Check, Status, in_order};
use crate::base::failure::{Failure, Kind, Result};
use crate::base::units::format_bytes;
use crate::catalog::manifest::SourceInfo;
use crate::ops::Run;
use crate::source::{Concern, Source, Topic};

/// What is backed up.
pub struct SourceToCheck {
    /// The series.
    pub name: String,
    /// Where the bytes come from; it has not looked at anything yet.
    pub source: Box<dyn Source>,
}

/// What came out for a source.
#[derive(Clone, Debug)]
pub struct SourceVerdict {
    /// The checks.
    pub section: Section,
    /// How much it holds, in bytes, where that is known.
    pub plain_bytes: Option<u64>,
    /// How much temporary room it takes, in bytes.
    pub temporary_bytes: u64,
}

/// What sort of source it is, and so which checks apply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sort {
    Database,
    File,
    Files,
    Program,
}

impl Sort {
    fn of(info: &SourceInfo) -> Self {
        match info.kind.as_str() {
            "directory" => Self::Files,
            "sqlite" => Self::File,
            "command" | "stdin" => Self::Program,
            _ => Self::Database,
        }
    }

    pub(super) fn ids(self) -> &'static [&'static str] {
        match self {
            Self::Database => &[
                "source.connection",
                "source.tools",
                "source.rights",
                "source.consistency",
                "source.size",
            ],
            Self::File => &["source.readable", "source.size"],
            Self::Files => &["source.readable", "source.size"],
            Self::Program => &["source.tools", "source.size"],
        }
    }
}

/// Looks at a source.
///
/// # Errors
/// [`Kind::Interrupted`]; everything else is a check that went badly.
pub fn check_source(to_check: SourceToCheck, run: &Run) -> Result<SourceVerdict> {
    let mut source = to_check.source;
    let context = run.source_context();
    let before = source.info();
    let sort = Sort::of(&before);
    let subject = match before.what.as_str() {
        "" => to_check.name,
        what => what.to_owned(),
    };
    let mut verdict = SourceVerdict {
        section: Section::new(subject.clone(), Vec::new()),
        plain_bytes: None,
        temporary_bytes: 0,
    };
    let checks = match source.prepare(&context) {
        Err(failure) if failure.kind() == Kind::Interrupted => return Err(failure),
        Err(failure) => failed(sort, &failure),
        Ok(()) => {
            let concerns = source.concerns(&context)?;
            let estimate = match source.estimate(&context) {
                Err(failure) if failure.kind() == Kind::Interrupted => return Err(failure),
                Err(failure) => Err(failure),
                Ok(estimate) => Ok((estimate.plain_bytes, estimate.items)),
            };
            if let Ok((plain_bytes, _)) = estimate {
                verdict.plain_bytes = plain_bytes;
                if sort == Sort::File {
                    verdict.temporary_bytes = plain_bytes.unwrap_or(0);
                }
            }
            judge(sort, &source.info(), &concerns, &estimate)
        }
    };
    run.cancel.check()?;
    verdict.section = Section::new(subject, in_order(sort.ids(), checks, "the source cannot be used"));
    Ok(verdict)
}

/// Which check a source that cannot be used has failed.
pub(super) fn failed(sort: Sort, failure: &Failure) -> Vec<Check> {
    let of = |id| Check::of_failure(id, Status::Failed, failure);
    match (sort, failure.kind()) {
        (Sort::File | Sort::Files, _) => vec![of("source.readable")],
        (Sort::Program, _) => vec![of("source.tools")],
        (Sort::Database, Kind::Tool) => vec![of("source.tools")],
        // It is what the account may do on a database that answers.
        (Sort::Database, Kind::Denied) if failure.message().contains("lacks rights") => vec![
            Check::ok("source.connection", "The server lets the account in"),
            of("source.rights"),
        ],
        (Sort::Database, _) => vec![of("source.connection")],
    }
}

/// Judges a source that can be used.
pub(super) fn judge(
    sort: Sort,
    info: &SourceInfo,
    concerns: &[Concern],
    estimate: &Result<(Option<u64>, Option<u64>)>,
) -> Vec<Check> {
    let about = |topic: Topic| {
        let texts: Vec<&str> = concerns
            .iter()
            .filter(|concern| concern.topic == topic)
            .map(|concern| concern.text.trim_end_matches('.'))
            .collect();
        Some(texts.join(". ")).filter(|text| !text.is_empty())
    };
    let tool = match (&info.tool, &info.tool_version) {
        (Some(tool), Some(version)) => format!("`{tool}` {version}"),
        (Some(tool), None) => format!("`{tool}`"),
        _ => "The program is there".to_owned(),
    };
    let mut checks = vec![size(estimate)];
    match sort {
        Sort::Database => {
            let server = info
                .server_version
                .as_deref()
                .unwrap_or("of a version that it does not tell");
            checks.push(Check::ok("source.connection", format!("The server answers: {server}")));
            checks.push(match about(Topic::Tools) {
                None => Check::ok("source.tools", format!("{tool}, for a server {server}")),
                Some(text) => Check::warning(
                    "source.tools",
                    text,
                    "Install the client programs of the server's own version",
                ),
            });
            checks.push(match about(Topic::Rights) {
                None => Check::ok("source.rights", "The account sees what is to be dumped"),
                Some(text) => Check::warning("source.rights", text, "Grant what is named, or leave it out on purpose"),
            });
            checks.push(match about(Topic::Consistency) {
                None => Check::ok("source.consistency", "All tables are dumped as they are at one moment"),
                Some(text) => Check::warning(
                    "source.consistency",
                    text,
                    "Turn them into tables with transactions, or let nobody write during the backup",
                ),
            });
        }
        Sort::Program => checks.push(Check::ok("source.tools", tool)),
        Sort::File => checks.push(Check::ok("source.readable", "The database can be read")),
        Sort::Files => checks.push(match about(Topic::Rights) {
            None => Check::ok("source.readable", "Everything can be read"),
            Some(text) => Check::warning(
                "source.readable",
                text,
                "Run the backup as a user that may read them, or leave them out with --exclude",
            ),
        }),
    }
    checks
}

fn size(estimate: &Result<(Option<u64>, Option<u64>)>) -> Check {
    const ID: &str = "source.size";
    match estimate {
        Err(failure) => Check::of_failure(ID, Status::Warning, failure),
        Ok((Some(bytes), Some(items))) => Check::ok(ID, format!("About {} in {items} items", format_bytes(*bytes))),
        Ok((Some(bytes), None)) => Check::ok(ID, format!("About {}", format_bytes(*bytes))),
        Ok((None, _)) => Check::skipped(ID, "nobody can tell before it is read"),
    }
}
