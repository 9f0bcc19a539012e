//! The evidence of a drill: a note beside the backup that says what was restored where, compared with what, and the result.

use std::sync::Arc;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::super::Run;
use super::super::notes::put_note;
use super::DrillReport;
use super::check::CheckOutcome;
use super::compare::Compared;
use crate::base::failure::{Kind, Result};
use crate::base::secret::redact;
use crate::catalog::notes::{Note, NoteKind};
use crate::catalog::selection::Chosen;
use crate::store::{Key, Store};

/// How many seconds the note's time steps forward to find a key that is free.
const FREE_KEY_TRIES_MAX: i64 = 60;

/// What the note of a drill says, beside what all notes say. Of an encrypted backup no names, questions or answers.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct DrillBody {
    /// The backup's id.
    pub id: String,
    /// `passed`, `failed`, or `incomplete` if nothing is wrong and not all that was asked has an answer.
    pub result: String,
    /// What the backup holds, for people.
    pub content: String,
    /// Where it was restored to, without secrets.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub target: String,
    /// When the drill began.
    pub started: Timestamp,
    /// How long it took, in seconds, to the millisecond.
    pub seconds: f64,
    /// Plaintext bytes that were restored.
    pub restored_bytes: u64,
    /// The scratch server's version.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub server_version: Option<String>,
    /// The program that asked it, and its version.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client: Option<String>,
    /// Why the backup could not be restored.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub not_restored: Vec<String>,
    /// What was compared.
    pub compared: Compared,
    /// How many of the user's checks have an answer.
    pub checks_made: u64,
    /// How many of them do not hold.
    pub checks_failed: u64,
    /// How many checks beside these were not made, or have no answer.
    pub checks_open: u64,
    /// Each check.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub checks: Vec<CheckOutcome>,
}

impl DrillBody {
    /// Whether the backup has proved good.
    #[must_use]
    pub fn passed(&self) -> bool {
        self.result == PASSED
    }

    /// Whether nothing was found wrong and not all that was asked has an answer.
    #[must_use]
    pub fn is_incomplete(&self) -> bool {
        self.result == INCOMPLETE
    }

    /// What a drill found out, for everybody who may read the store if `is_public`, else for its user.
    #[must_use]
    pub fn of(id: &str, report: &DrillReport, is_public: bool) -> Self {
        let clean = |text: &String| redact(text);
        let mut body = Self {
            id: id.to_owned(),
            result: match (report.is_damaged(), report.passed()) {
                (true, _) => FAILED,
                (false, true) => PASSED,
                (false, false) => INCOMPLETE,
            }
            .to_owned(),
            content: report.content.clone(),
            target: clean(&report.target),
            started: report.started,
            seconds: report.took.as_millis() as f64 / 1000.0,
            restored_bytes: report.restored_bytes,
            server_version: report.server.as_ref().map(|server| server.version.clone()),
            client: report
                .server
                .as_ref()
                .map(|server| format!("{} {}", server.client, server.client_version)),
            not_restored: report.not_restored.iter().map(clean).collect(),
            compared: report.compared.clone(),
            checks_made: report.checks.iter().filter(|check| check.open.is_none()).count() as u64,
            checks_failed: report.checks.iter().filter(|check| check.fails()).count() as u64,
            checks_open: report.checks.iter().filter(|check| check.open.is_some()).count() as u64,
            checks: report.checks.clone(),
        };
        if is_public {
            body.target.clear();
            body.compared.differences.clear();
            body.compared.not_compared.clear();
            body.checks.clear();
            body.not_restored = match body.not_restored.is_empty() {
                true => Vec::new(),
                false => vec!["It could not be restored".to_owned()],
            };
        }
        for outcome in &mut body.checks {
            outcome.check = clean(&outcome.check);
            outcome.found = clean(&outcome.found);
        }
        body
    }
}

const PASSED: &str = "passed";
const FAILED: &str = "failed";
const INCOMPLETE: &str = "incomplete";

/// Writes the note; `None` for an object without a manifest, which is somebody else's.
///
/// # Errors
/// The store's failures.
pub fn write_evidence(
    store: &Arc<dyn Store>,
    chosen: &Chosen,
    report: &DrillReport,
    host: &str,
    run: &Run,
) -> Result<Option<Key>> {
    let Some(manifest) = &chosen.manifest else {
        return Ok(None);
    };
    let body = DrillBody::of(&manifest.id, report, manifest.is_encrypted());
    let note = Note::new(NoteKind::Drill(report.started), run.clock.now(), host, body);
    let mut seconds = 0;
    loop {
        let at = report
            .started
            .checked_add(jiff::SignedDuration::from_secs(seconds))
            .unwrap_or(report.started);
        let put = put_note(
            store.as_ref(),
            &chosen.found.data_key,
            &manifest.name,
            NoteKind::Drill(at),
            &note,
        );
        match put {
            // Another drill of the same second.
            Err(failure) if failure.kind() == Kind::Conflict && seconds < FREE_KEY_TRIES_MAX => seconds += 1,
            other => return other.map(Some),
        }
    }
}
