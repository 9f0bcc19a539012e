//! The use cases: they read top to bottom, and know nothing of flags, printing or the environment.

use std::sync::Arc;

use crate::base::cancel::Cancel;
use crate::base::clock::Clock;
use crate::base::failure::Failure;
use crate::base::report::{Event, Phase, Reporter};
use crate::pipeline::crypt::Keys;
use crate::source::SourceContext;

pub mod adopt;
pub mod backup;
pub mod bucket_check;
pub mod bucket_create;
pub mod cleanup;
pub mod commit;
pub mod copy;
pub mod cost;
mod counting;
pub mod diff;
pub mod doctor;
pub mod drill;
pub mod find;
pub mod iam;
pub mod leftovers;
pub mod lifecycle;
pub mod list;
pub mod located;
pub mod lock;
pub mod lock_until;
pub mod ls;
mod many;
pub mod metrics;
pub mod notes;
pub mod pin;
pub mod plaintext;
pub mod prune;
pub mod rebuild_index;
mod recent;
pub mod restore;
pub mod reveal;
pub mod several;
pub mod shape;
mod streams;
pub mod thaw;
pub mod verify;

/// What every use case needs from whoever calls it.
#[derive(Clone)]
pub struct Run {
    /// Set when the run has to end.
    pub cancel: Cancel,
    /// Who listens.
    pub reporter: Arc<dyn Reporter>,
    /// The time of day.
    pub clock: Arc<dyn Clock>,
    /// With which keys encrypted backups are read.
    pub keys: Keys,
}

impl Run {
    /// The part that sources see.
    #[must_use]
    pub fn source_context(&self) -> SourceContext<'_> {
        SourceContext {
            cancel: &self.cancel,
            reporter: self.reporter.as_ref(),
        }
    }

    /// What an interrupted run fails with is a consequence; the interruption is the news.
    fn interruption_or(&self, failure: Failure) -> Failure {
        self.cancel.check().err().unwrap_or(failure)
    }

    fn phase(&self, phase: Phase) {
        self.reporter.event(Event::Phase(phase));
    }

    fn note(&self, text: impl Into<String>) {
        self.reporter.event(Event::Note(text.into()));
    }

    fn warn(&self, text: impl Into<String>) {
        self.reporter.event(Event::Warning(text.into()));
    }
}
