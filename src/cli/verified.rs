//! What a verification found, in words: for people, for programs, and of what is remembered.

use super::Context;
use super::words::{count, time};
use crate::base::failure::{Kind, Result};
use crate::base::units::format_bytes;
use crate::catalog::notes::Depth;
use crate::ops::verify::{Checked, Loss, Remembered};

/// The line of one backup in the table.
pub(super) fn row(checked: &Checked) -> Vec<String> {
    vec![
        checked.id.clone(),
        time(checked.time),
        checked.reached.to_string(),
        checked.amount.objects.to_string(),
        match checked.amount.stored_bytes {
            0 => "-".to_owned(),
            bytes => format_bytes(bytes),
        },
        match (checked.is_damaged(), checked.is_incomplete) {
            (true, _) => format!("damaged ({})", checked.damage_count),
            (false, true) => "not checked".to_owned(),
            (false, false) if !checked.is_managed => "unmanaged".to_owned(),
            (false, false) => "ok".to_owned(),
        },
    ]
}

/// What is to be said of one backup below the table.
pub(super) fn details(checked: &Checked) -> Option<String> {
    if checked.damage.is_empty() && checked.remarks.is_empty() {
        return None;
    }
    let mut text = format!("{}:\n", checked.id);
    for damage in &checked.damage {
        text.push_str(&format!("  Damaged: {}.\n", damage.what));
    }
    let more = checked.damage_count - checked.damage.len() as u64;
    if more > 0 {
        text.push_str(&format!("  And {more} more.\n"));
    }
    if let Some(loss) = &checked.loss {
        text.push_str(&loss_in_words(loss, &checked.id));
    }
    for remark in &checked.remarks {
        text.push_str(&format!("  {remark}\n"));
    }
    Some(text)
}

/// What is lost, what is not, and what can be had instead.
fn loss_in_words(loss: &Loss, id: &str) -> String {
    let mut text = String::new();
    match (loss.is_known, loss.is_divisible) {
        (false, _) => text.push_str("  Lost: what follows the damage cannot be told apart without a good index.\n"),
        (true, false) => text.push_str(&format!(
            "  Lost: {} of it, and with them the whole of it: nothing in it can be had alone.\n",
            format_bytes(loss.plain_bytes)
        )),
        (true, true) => {
            text.push_str(&format!(
                "  Lost: {} of content, in {}:\n",
                format_bytes(loss.plain_bytes),
                count(loss.entries_lost, "entry", "entries")
            ));
            for entry in &loss.entries {
                text.push_str(&format!("    {entry}\n"));
            }
            let more = loss.entries_lost - loss.entries.len() as u64;
            if more > 0 {
                text.push_str(&format!("    and {more} more\n"));
            }
            if loss.entries_whole > 0 {
                let whole = count(loss.entries_whole, "other entry", "other entries");
                text.push_str(&match loss.is_readable {
                    true => format!(
                        "  Not lost: {whole}. Choose among them: `backup-cli restore {id} PATH --to DIR`, or --table for a dump.\n"
                    ),
                    false => format!(
                        "  Not lost: {whole}. No restore reads a backup of which an object is cut or gone; bring that back, or read \
                         with gunzip, tar and age what stands before the gap.\n"
                    ),
                });
            }
        }
    }
    match &loss.older {
        Some(older) => text.push_str(&format!(
            "  The next older backup of which all is there at a look: {older}.\n"
        )),
        None => text.push_str("  There is no older backup of the series that is all there.\n"),
    }
    text
}

/// The same for a program.
pub(super) fn as_json(checked: &Checked) -> serde_json::Value {
    serde_json::json!({
        "message_type": "backup",
        "snapshot_id": checked.id,
        "name": checked.name,
        "time": checked.time,
        "key": checked.data_key,
        "level": checked.asked.to_string(),
        "checked_to": checked.reached.to_string(),
        "num_errors": checked.damage_count,
        "damage": checked.damage.iter().map(|damage| serde_json::json!({
            "object": damage.object,
            "message": damage.what,
        })).collect::<Vec<_>>(),
        "lost": checked.loss.as_ref().map(|loss| serde_json::json!({
            "bytes": loss.plain_bytes,
            "entries": loss.entries,
            "entries_lost": loss.entries_lost,
            "entries_whole": loss.entries_whole,
            "is_known": loss.is_known,
            "older_snapshot_id": loss.older,
        })),
        "remarks": checked.remarks,
        "incomplete": checked.is_incomplete,
        "objects": checked.amount.objects,
        "bytes_read": checked.amount.stored_bytes,
        "bytes_checked": checked.amount.plain_bytes,
        "members": checked.amount.members,
        "entries": checked.amount.entries,
    })
}

/// Says what became of a finding; what could not be written down is said, and changes nothing about the finding.
///
/// # Errors
/// [`Kind::Interrupted`].
pub fn tell_remembered(id: &str, remembered: Result<Remembered>, context: &Context) -> Result<()> {
    let console = &context.console;
    match remembered {
        Ok(Remembered::Nothing) => {}
        Ok(Remembered::Damaged(_)) => console.note(&format!(
            "It is remembered beside `{id}` that damage was found: `latest` passes it over, and it counts for nothing that `prune` keeps."
        )),
        Ok(Remembered::Whole(_, None)) => console.note(&format!(
            "It is remembered beside `{id}` that it was found whole: it counts as good again."
        )),
        Ok(Remembered::Whole(_, Some(depth)) | Remembered::Stands(depth)) => console.note(&format!(
            "`{id}` goes on counting as damaged: {} answers what was found there.",
            match depth {
                Depth::Restore => {
                    "only a drill, `verify --restore`, that restores it as that one did and makes its comparison and its checks again (or has --withdraw-checks, if those were wrong)"
                        .to_owned()
                }
                Depth::Stored => "only `verify --level data`".to_owned(),
                depth => format!("only `verify --level {depth}`"),
            }
        )),
        Err(failure) if failure.kind() == Kind::Interrupted => return Err(failure),
        Err(failure) => {
            let hint = failure.hints().first().map(|hint| format!(" {hint}."));
            console.warning(&format!(
                "What was found of `{id}` could not be remembered beside it, so that `latest` and `prune` know nothing of it: {}.{}",
                failure.in_one_line(),
                hint.unwrap_or_default()
            ));
        }
    }
    Ok(())
}
