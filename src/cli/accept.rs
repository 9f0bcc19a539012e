//! `accept`: says of a flagged backup that it is right as it is.

use clap::Args as ClapArgs;

use super::target::find_even_damaged;
use super::{Context, help};
use crate::base::failure::Result;
use crate::ops::shape::{Acceptance, accept};
use crate::ui::escape::escape_text;

/// Say that a flagged backup is right as it is
///
/// A backup that is far smaller than those of its series before it is made, but flagged: `list` and `show` say so, and
/// `prune` removes nothing older of the series, which may be all that is left. This takes the flag back, by a small object
/// beside the backup. From then on the next backups are compared with this one.
#[derive(Clone, Debug, Default, ClapArgs)]
#[command(after_long_help = help::closing("accept"))]
pub struct Args {
    /// An id, a unique prefix of one, latest, NAME@latest, or an s3:// URL or path
    #[arg(value_name = "BACKUP")]
    pub backup: String,

    /// Why it is right, to be read by others
    #[arg(long, value_name = "TEXT")]
    pub why: Option<String>,
}

/// Writes the note.
///
/// # Errors
/// [`crate::base::failure::Kind::NotFound`] if there is no such backup; what keeps the note from being written.
pub fn run(args: &Args, context: &Context) -> Result<()> {
    let run = context.run();
    let target = find_even_damaged(&args.backup, context, &run)?;
    let host = &context.settings.host.value;
    let acceptance = accept(&target.store, &target.chosen, host, args.why.clone(), &run)?;
    context.listener.end();
    let id = &target.chosen.found.id;
    if context.console.is_json() {
        return context.console.answer_json(&serde_json::json!({
            "id": id,
            "accepted": acceptance != Acceptance::NotFlagged,
            "written": matches!(acceptance, Acceptance::Written(_)),
        }));
    }
    let text = match acceptance {
        Acceptance::Written(_) => format!("`{id}` is accepted as it is.\n"),
        Acceptance::Stands => format!("`{id}` was accepted before.\n"),
        Acceptance::NotFlagged => format!("`{id}` is not flagged, so there is nothing to accept.\n"),
    };
    context.console.summary(&escape_text(&text))
}
