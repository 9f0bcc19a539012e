//! `show`: one backup in full.

use clap::Args as ClapArgs;
use serde::Serialize;

use super::assemble::keys;
use super::drill::in_words;
use super::target::{Target, find_even_damaged};
use super::words::{count, counts, lines, sizes, time, until};
use super::{Context, help};
use crate::base::failure::{Kind, Result};
use crate::base::units::{format_bytes, format_duration};
use crate::catalog::codec::Codec;
use crate::catalog::listing::contradiction;
use crate::catalog::manifest::{Manifest, State};
use crate::catalog::notes::{FoundNote, KnownDamage, Note, NoteKind, known_damage, load_note, notes_beside};
use crate::catalog::selection::Chosen;
use crate::ops::Run;
use crate::ops::drill::DrillBody;
use crate::ops::drill::check::Open;
use crate::ops::pin::pin_of;
use crate::ops::reveal::reveal;
use crate::ops::shape::flag_of;
use crate::ops::verify::VerdictBody;
use crate::source::{mysql, postgres};
use crate::ui::escape::escape_text;

/// What made a dump a part of its database; nothing for a whole one.
fn part(manifest: &Manifest) -> String {
    let options = &manifest.source.options;
    let selecting = match manifest.source.kind.as_str() {
        "postgresql" => postgres::selecting(options).join(" "),
        "mysql" | "mariadb" => mysql::selecting(options).join(" "),
        _ => String::new(),
    };
    match selecting.is_empty() {
        true => selecting,
        false => format!("only a part of the database: {selecting}"),
    }
}

/// How many drills are shown, the newest.
const DRILLS_SHOWN: usize = 5;

/// How many problems are shown for people; --json has all that the manifest names.
const PROBLEMS_SHOWN: usize = 20;

/// Show what is known of a backup
///
/// Prints the manifest for people, or with --json as it is stored, and what drills have found since.
#[derive(Clone, Debug, Default, ClapArgs)]
#[command(after_long_help = help::closing("show"))]
pub struct Args {
    /// An id, a unique prefix of one, latest, oldest, NAME@latest, or an s3:// URL or path
    #[arg(value_name = "BACKUP", default_value = "latest")]
    pub backup: String,
}

/// Prints the backup.
///
/// # Errors
/// [`Kind::NotFound`] if there is no such backup.
pub fn run(args: &Args, context: &Context) -> Result<()> {
    let run = context.run();
    let mut target = find_even_damaged(&args.backup, context, &run)?;
    // Whoever only looks is not asked for a passphrase.
    let run = Run {
        keys: keys(&context.settings, None),
        ..run
    };
    match reveal(&target.store, &mut target.chosen, &run) {
        Err(failure) if failure.kind() == Kind::Interrupted => return Err(failure),
        Err(failure) => context.console.note(&format!(
            "What was backed up, problems and warnings are encrypted and cannot be shown: {failure}."
        )),
        Ok(()) => {}
    }
    context.listener.end();
    match &target.chosen.manifest {
        Some(manifest) => {
            let notes = notes_of(&target)?;
            let drills = drills_of(&target, &notes);
            let damaged = damage_of(&target, &notes);
            if context.console.is_json() {
                return context.console.answer_json(&WithNotes {
                    manifest,
                    damaged_since: damaged.as_ref().map(|(known, _)| known.since),
                    damaged: damaged.and_then(|(_, note)| note),
                    drills,
                });
            }
            let shape = shape_of(manifest, &target)?;
            let known = damaged.as_ref().map(|(known, _)| known);
            let mut text = describe(manifest, &target.chosen, known, shape, pinned(&target));
            text.push_str(&describe_damage(damaged.and_then(|(_, note)| note)));
            text.push_str(&describe_drills(&drills));
            context.console.answer(&text)
        }
        None if context.console.is_json() => context.console.answer_json(&serde_json::json!({
            "id": target.chosen.found.id,
            "name": target.chosen.found.name_hint,
            "started": target.chosen.found.time,
            "state": "unmanaged",
            "objects": target.chosen.found.data.iter()
                .map(|(key, bytes)| serde_json::json!({ "role": "data", "key": key, "bytes": bytes }))
                .collect::<Vec<_>>(),
        })),
        None => context.console.answer(&describe_unmanaged(&target.chosen)),
    }
}

/// The manifest as it is stored, and what verifications and drills have found since.
#[derive(Serialize)]
struct WithNotes<'a> {
    #[serde(flatten)]
    manifest: &'a Manifest,
    #[serde(skip_serializing_if = "Option::is_none")]
    damaged_since: Option<jiff::Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    damaged: Option<Note<VerdictBody>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    drills: Vec<Note<DrillBody>>,
}

/// The notes beside the backup.
fn notes_of(target: &Target) -> Result<Vec<FoundNote>> {
    match notes_beside(target.store.as_ref(), &target.chosen.found.data_key) {
        // Who may read but not list sees none.
        Err(failure) if failure.kind() == Kind::Denied => Ok(Vec::new()),
        other => other,
    }
}

/// The damage that stands, and what its last note says, if that can be read.
fn damage_of(target: &Target, notes: &[FoundNote]) -> Option<(KnownDamage, Option<Note<VerdictBody>>)> {
    let known = known_damage(notes)?;
    let note = load_note(target.store.as_ref(), &known.key).ok();
    Some((known, note))
}

fn describe_damage(note: Option<Note<VerdictBody>>) -> String {
    let Some(Note { head, body }) = note else {
        return String::new();
    };
    let mut text = format!(
        "  damage   found {} on {}, {}: {}\n",
        time(head.at),
        head.host,
        body.depth,
        count(body.damage_count, "finding", "findings")
    );
    for finding in &body.damage {
        let object = finding.object.as_ref().map(|key| key.as_str());
        let what = match finding.what.as_str() {
            "" => object.unwrap_or_default(),
            what => what,
        };
        text.push_str(&format!("             {what}\n"));
    }
    escape_text(&text).into_owned()
}

/// The evidence of the last drills, the newest first. What cannot be read of it is left out.
fn drills_of(target: &Target, notes: &[FoundNote]) -> Vec<Note<DrillBody>> {
    let drills = notes.iter().filter(|note| matches!(note.kind, NoteKind::Drill(_)));
    drills
        .rev()
        .take(DRILLS_SHOWN)
        .filter_map(|note| load_note(target.store.as_ref(), &note.key).ok())
        .collect()
}

fn describe_drills(drills: &[Note<DrillBody>]) -> String {
    let mut text = String::new();
    for Note { body, .. } in drills {
        let open = match body.checks_open {
            0 => String::new(),
            open => format!(", {} without an answer", count(open, "check", "checks")),
        };
        let checks = match body.checks_made {
            0 => String::new(),
            made => format!(
                ", {} of {} hold",
                made - body.checks_failed.min(made),
                count(made, "check", "checks")
            ),
        };
        text.push_str(&format!(
            "  drill    {} {} in {}: {}{checks}{open}\n",
            time(body.started),
            body.result,
            format_duration(std::time::Duration::try_from_secs_f64(body.seconds).unwrap_or_default()),
            match body.not_restored.is_empty() {
                true => in_words(&body.compared),
                false => "not restored".to_owned(),
            },
        ));
        let broken = body.checks.iter().filter(|check| !check.holds);
        let details = std::iter::once(body.not_restored.join(": "))
            .filter(|why| !why.is_empty())
            .chain(body.compared.differences.iter().map(ToString::to_string))
            .chain(broken.map(|check| match check.open {
                None => format!("{} does not hold: {}", check.check, check.found),
                Some(Open::Unanswered) => format!("{} has no answer: {}", check.check, check.found),
                Some(Open::NotMade) => format!("{} was not made: {}", check.check, check.found),
            }));
        for detail in details.take(PROBLEMS_SHOWN) {
            text.push_str(&format!("             {detail}\n"));
        }
    }
    escape_text(&text).into_owned()
}

/// How it compares with the backups before it; nothing if it was not compared.
fn shape_of(manifest: &Manifest, target: &Target) -> Result<String> {
    let Some(shape) = &manifest.shape else {
        return Ok(String::new());
    };
    let others = count(u64::from(shape.compared_with), "backup", "backups");
    Ok(match (&shape.why, flag_of(&target.store, &target.chosen)?) {
        (None, _) => format!("as the {others} before it"),
        (Some(why), Some(_)) => format!("FLAGGED: {why} (the {others} before it)"),
        (Some(why), None) => format!("accepted: {why} (the {others} before it)"),
    })
}

/// Who pinned it, when and why; nothing if it is not pinned. That a pin stands there counts, whatever it says.
fn pinned(target: &Target) -> String {
    let found = &target.chosen.found;
    match pin_of(target.store.as_ref(), &found.data_key) {
        Ok(Some(note)) => {
            let by = note.body.by.map(|by| format!(" by {by}")).unwrap_or_default();
            let why = note.body.why.map(|why| format!(": {why}")).unwrap_or_default();
            format!("{}{by} on {}{why}", time(note.head.at), note.head.host)
        }
        Ok(None) => String::new(),
        Err(failure) if matches!(failure.kind(), Kind::Damaged | Kind::Unsupported) => {
            format!("yes, by a note that cannot be read: {}", failure.message())
        }
        Err(_) if found.has_note(NoteKind::Pin) => "yes".to_owned(),
        Err(_) => String::new(),
    }
}

fn describe(
    manifest: &Manifest,
    chosen: &Chosen,
    known: Option<&KnownDamage>,
    shape: String,
    pinned: String,
) -> String {
    let source = &manifest.source;
    let took = manifest.finished.duration_since(manifest.started).unsigned_abs();
    let state = match manifest.state {
        State::Complete => "complete".to_owned(),
        State::Partial => format!(
            "partial: {}",
            count(manifest.problem_count, "item is", "items are") + " missing or changed"
        ),
    };
    let mut pairs = vec![
        ("name", manifest.name.clone()),
        (
            "state",
            match (contradiction(&chosen.found, manifest), known) {
                (Some(trouble), _) => format!("damaged: {trouble}"),
                (None, Some(known)) => format!("damaged, known since {} ({state} when it was made)", time(known.since)),
                (None, None) => state,
            },
        ),
        (
            "source",
            format!("{} {}", source.kind, source.what).trim_end().to_owned(),
        ),
        ("part", part(manifest)),
        ("host", manifest.host.clone()),
        ("started", time(manifest.started)),
        ("took", format_duration(took)),
        ("content", counts(&manifest.counts)),
        ("size", sizes(manifest)),
        ("shape", shape),
        ("format", format_of(manifest)),
        (
            "sha256",
            manifest
                .plain_sha256
                .as_ref()
                .map_or_else(String::new, |sha256| format!("{sha256} (content)")),
        ),
        ("encrypted", manifest.recipients.join(", ")),
        ("tags", manifest.tags.join(", ")),
        ("locked", manifest.lock.as_ref().map_or_else(String::new, until)),
        ("pinned", pinned),
        ("made by", made_by(manifest)),
    ];
    pairs.retain(|(_, value)| !value.is_empty());
    let mut text = format!("{}\n{}", manifest.id, lines(&pairs));
    text.push_str("  objects\n");
    for object in &manifest.objects {
        let parts = match object.parts {
            0 | 1 => String::new(),
            parts => format!(" in {parts} parts"),
        };
        text.push_str(&format!("    {}  {}{parts}\n", object.key, format_bytes(object.bytes)));
    }
    for warning in &manifest.warnings {
        text.push_str(&format!("  warning  {warning}\n"));
    }
    for problem in manifest.problems.iter().take(PROBLEMS_SHOWN) {
        text.push_str(&format!("  problem  {}: {}\n", problem.item, problem.message));
    }
    if manifest.problem_count > PROBLEMS_SHOWN as u64 {
        text.push_str("  problem  … and more: --json shows them\n");
    }
    escape_text(&text).into_owned()
}

fn format_of(manifest: &Manifest) -> String {
    let mut parts = vec![manifest.extension.clone()];
    match manifest.codec {
        Codec::None => parts.push("not compressed".to_owned()),
        codec => parts.push(format!("{codec} level {}", manifest.level)),
    }
    if !manifest.streams.is_empty() {
        parts.push(count(manifest.streams.len() as u64, "stream", "streams"));
    }
    parts.push(count(manifest.members, "member", "members"));
    parts.join(", ")
}

fn made_by(manifest: &Manifest) -> String {
    let mut text = format!("backup-cli {}", manifest.tool_version);
    if let (Some(tool), Some(version)) = (&manifest.source.tool, &manifest.source.tool_version) {
        text.push_str(&format!(", {tool} {version}"));
    }
    if let Some(version) = &manifest.source.server_version {
        text.push_str(&format!(", server {version}"));
    }
    text
}

fn describe_unmanaged(chosen: &Chosen) -> String {
    let found = &chosen.found;
    let pairs = [
        (
            "state",
            "unmanaged: there is no manifest, so nothing is known of how it was made".to_owned(),
        ),
        ("name", found.name_hint.clone()),
        ("time", time(found.time)),
        ("object", found.data_key.to_string()),
        ("size", format!("stored as {}", format_bytes(found.data_bytes()))),
    ];
    escape_text(&format!("{}\n{}", found.id, lines(&pairs))).into_owned()
}
