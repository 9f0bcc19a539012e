//! One line of the answer.

use serde::Serialize;

use crate::base::failure::Failure;

/// How a check went.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// As it should be.
    Ok,
    /// It could not be looked at, or does not apply; the message says why.
    Skipped,
    /// Backups work, but something should be looked into.
    Warning,
    /// Backups, or restores, do not work so.
    Failed,
}

impl Status {
    /// The word for it.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Skipped => "skipped",
            Self::Warning => "warning",
            Self::Failed => "failed",
        }
    }
}

/// One check.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Check {
    /// Its name, which stays the same for ever.
    pub id: &'static str,
    /// What was looked at: a store, a source, this machine.
    pub subject: String,
    /// How it went.
    pub status: Status,
    /// What was found.
    pub message: String,
    /// What to do now.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
}

impl Check {
    /// A check that went well.
    pub fn ok(id: &'static str, message: impl Into<String>) -> Self {
        Self::new(id, Status::Ok, message)
    }

    /// A check that could not be made.
    pub fn skipped(id: &'static str, why: impl Into<String>) -> Self {
        Self::new(id, Status::Skipped, why)
    }

    /// Something to look into.
    pub fn warning(id: &'static str, message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self::new(id, Status::Warning, message).with_hint(hint)
    }

    /// Something that keeps backups or restores from working.
    pub fn failed(id: &'static str, message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self::new(id, Status::Failed, message).with_hint(hint)
    }

    /// A check that ended in a failure.
    #[must_use]
    pub fn of_failure(id: &'static str, status: Status, failure: &Failure) -> Self {
        let check = Self::new(id, status, failure.in_one_line());
        match failure.hints() {
            [] => check,
            hints => check.with_hint(hints.join(". ")),
        }
    }

    fn new(id: &'static str, status: Status, message: impl Into<String>) -> Self {
        Self {
            id,
            subject: String::new(),
            status,
            message: message.into(),
            hint: None,
        }
    }

    /// The same with something to do.
    #[must_use]
    pub fn with_hint(self, hint: impl Into<String>) -> Self {
        Self {
            hint: Some(hint.into()),
            ..self
        }
    }
}

/// The checks of one subject.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Section {
    /// The subject.
    pub subject: String,
    /// Its checks, in the order in which they are shown.
    pub checks: Vec<Check>,
}

impl Section {
    /// The checks of a subject.
    #[must_use]
    pub fn new(subject: impl Into<String>, checks: Vec<Check>) -> Self {
        let subject = subject.into();
        let checks = checks
            .into_iter()
            .map(|check| Check {
                subject: subject.clone(),
                ..check
            })
            .collect();
        Self { subject, checks }
    }
}

/// The worst status of some checks.
#[must_use]
pub fn worst<'a>(checks: impl IntoIterator<Item = &'a Check>) -> Status {
    checks.into_iter().map(|check| check.status).max().unwrap_or(Status::Ok)
}

/// Puts checks into the order of `ids`; those that were not made are skipped for one reason.
#[must_use]
pub fn in_order(ids: &[&'static str], mut checks: Vec<Check>, why_not: &str) -> Vec<Check> {
    ids.iter()
        .map(|id| match checks.iter().position(|check| check.id == *id) {
            Some(at) => checks.swap_remove(at),
            None => Check::skipped(id, why_not),
        })
        .collect()
}
