//! What a command works with.

use std::sync::Arc;

use crate::base::cancel::Cancel;
use crate::base::report::Reporter;
use crate::config::Settings;
use crate::ui::{Console, Listener};

/// What one run of a command works with.
pub struct Context {
    /// The settings, resolved.
    pub settings: Settings,
    /// Where answers and messages go.
    pub console: Console,
    /// Set by a signal.
    pub cancel: Cancel,
    /// Shows the run.
    pub listener: Arc<Listener>,
}

impl Context {
    /// The listener as what the use cases report to.
    #[must_use]
    pub fn reporter(&self) -> Arc<dyn Reporter> {
        self.listener.clone()
    }
}
