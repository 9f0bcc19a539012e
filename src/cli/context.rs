//! What a command works with.

use std::sync::Arc;

use super::assemble::{ask, keys};
use crate::base::cancel::Cancel;
use crate::base::clock::SystemClock;
use crate::config::{Loaded, Settings};
use crate::ops::Run;
use crate::ui::{Console, Listener};

/// What one run of a command works with.
pub struct Context {
    /// The settings, resolved.
    pub settings: Settings,
    /// What they were resolved from, for the stores of other profiles.
    pub loaded: Arc<Loaded>,
    /// Where answers and messages go.
    pub console: Console,
    /// Set by a signal.
    pub cancel: Cancel,
    /// Shows the run.
    pub listener: Arc<Listener>,
}

impl Context {
    /// What the use cases need from their caller.
    #[must_use]
    pub fn run(&self) -> Run {
        Run {
            cancel: self.cancel.clone(),
            reporter: self.listener.clone(),
            clock: Arc::new(SystemClock),
            keys: keys(&self.settings, Some(ask(&self.console, &self.cancel))),
        }
    }
}
