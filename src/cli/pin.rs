//! `pin` and `unpin`: keep a backup, whatever the retention says.

use clap::Args as ClapArgs;

use super::target::find;
use super::{Context, help};
use crate::base::failure::Result;
use crate::catalog::notes::PinBody;
use crate::ops::pin::{pin, unpin};
use crate::ui::escape::escape_text;

/// Keep a backup, whatever the retention says
///
/// Writes a small object beside it that `prune` obeys and that `list` and `show` tell of. Permissions: s3:PutObject beside
/// what finding it needs.
#[derive(Clone, Debug, Default, ClapArgs)]
#[command(after_long_help = help::closing("pin"))]
pub struct PinArgs {
    /// An id, a unique prefix of one, latest, oldest, NAME@latest, or an s3:// URL or path
    #[arg(value_name = "BACKUP")]
    pub backup: String,

    /// Why, for those who wonder later
    #[arg(long, value_name = "TEXT")]
    pub why: Option<String>,
}

/// Take a pin back
///
/// The backup is under the retention again. Permissions: s3:DeleteObject beside what finding it needs.
#[derive(Clone, Debug, Default, ClapArgs)]
#[command(after_long_help = help::closing("unpin"))]
pub struct UnpinArgs {
    /// An id, a unique prefix of one, latest, oldest, NAME@latest, or an s3:// URL or path
    #[arg(value_name = "BACKUP")]
    pub backup: String,
}

/// Pins the backup.
///
/// # Errors
/// [`crate::base::failure::Kind::NotFound`] if there is no such backup.
pub fn run_pin(args: &PinArgs, context: &Context) -> Result<()> {
    let run = context.run();
    let target = find(&args.backup, None, context, &run)?;
    let host = &context.settings.host.value;
    let body = PinBody {
        by: uzers::get_current_username().map(|name| name.to_string_lossy().into_owned()),
        why: args.why.clone(),
    };
    let is_new = pin(target.store.as_ref(), &target.chosen, host, body, &run)?;
    context.listener.end();
    let id = &target.chosen.found.id;
    if context.console.is_json() {
        return context
            .console
            .answer_json(&serde_json::json!({ "id": id, "pinned": true, "changed": is_new }));
    }
    context.console.summary(&escape_text(&match is_new {
        true => format!("Pinned {id}."),
        false => format!("{id} was pinned already."),
    }))
}

/// Takes the pin back.
///
/// # Errors
/// [`crate::base::failure::Kind::NotFound`] if there is no such backup.
pub fn run_unpin(args: &UnpinArgs, context: &Context) -> Result<()> {
    let run = context.run();
    let target = find(&args.backup, None, context, &run)?;
    let was_pinned = unpin(target.store.as_ref(), &target.chosen.found.data_key)?;
    context.listener.end();
    let id = &target.chosen.found.id;
    if context.console.is_json() {
        return context
            .console
            .answer_json(&serde_json::json!({ "id": id, "pinned": false, "changed": was_pinned }));
    }
    context.console.summary(&escape_text(&match was_pinned {
        true => format!("Unpinned {id}."),
        false => format!("{id} was not pinned."),
    }))
}
