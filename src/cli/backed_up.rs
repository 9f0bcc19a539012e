//! What is said of a backup, planned or made.

use std::time::Duration;

use super::Context;
use super::stores::{as_json, committed};
use super::words::{count, counts, lines, sizes, until};
use crate::base::failure::Result;
use crate::base::units::{format_bytes, format_duration};
use crate::catalog::manifest::Manifest;
use crate::ops::several::{SeveralPlan, StoreOutcome};
use crate::source::Source;
use crate::ui::escape::escape_text;

/// What would be done.
pub(super) fn print_plan(several: &SeveralPlan, source: &dyn Source, name: &str, context: &Context) -> Result<()> {
    let info = source.info();
    let planned = &several.plan;
    let urls: Vec<&str> = several.stores.iter().map(|(url, _)| url.as_str()).collect();
    for (url, result) in &several.stores {
        if let Err(failure) = result {
            context
                .console
                .warning(&format!("{url} cannot take part: {}.", failure.message()));
        }
    }
    if context.console.is_json() {
        let mut summary = serde_json::json!({
            "message_type": "summary",
            "dry_run": true,
            "name": name,
            "source": info,
            "key": planned.data_key,
            "store": urls.first(),
            "total_bytes_processed": planned.estimate.plain_bytes,
            "expected_items": planned.estimate.items,
            "part_bytes": planned.parts.part_bytes,
            "parts_in_flight": planned.parts.in_flight,
            "remarks": source.remarks(),
        });
        if let Some(lock) = planned.lock {
            summary["lock"] = serde_json::json!(lock);
        }
        if urls.len() > 1 {
            let one = |(url, result): &(String, Result<_>)| match result {
                Ok(key) => serde_json::json!({ "store": url, "key": key }),
                Err(failure) => serde_json::json!({ "store": url, "error": failure.message() }),
            };
            summary["stores"] = several.stores.iter().map(one).collect();
        }
        return context.console.json_line(&summary);
    }
    let unknown = || "not known before it is read".to_owned();
    let size = planned
        .estimate
        .plain_bytes
        .map_or_else(unknown, |bytes| format!("about {}", format_bytes(bytes)));
    let size = match planned.estimate.items {
        Some(items) => format!("{size}, {}", count(items, "item", "items")),
        None => size,
    };
    let parts = format!(
        "{} each, {} at once",
        format_bytes(planned.parts.part_bytes),
        planned.parts.in_flight
    );
    let mut pairs = vec![
        ("source", format!("{} {}", info.kind, info.what)),
        ("size", size),
        ("name", name.to_owned()),
        ("store", urls.join(" and ")),
        ("object", planned.data_key.to_string()),
        ("parts", parts),
    ];
    pairs.extend(planned.lock.map(|lock| ("lock", until(&lock))));
    pairs.extend(source.remarks().into_iter().map(|remark| ("note", remark)));
    let text = format!("Would back up, but this is a dry run:\n{}", lines(&pairs));
    context.console.summary(&escape_text(&text))
}

/// What was done.
pub(super) fn print_summary(
    manifest: &Manifest,
    took: Duration,
    outcomes: &[StoreOutcome],
    context: &Context,
) -> Result<()> {
    let urls: Vec<&str> = committed(outcomes).map(|(url, _)| url).collect();
    if context.console.is_json() {
        let mut summary = serde_json::json!({
            "message_type": "summary",
            "dry_run": false,
            "snapshot_id": manifest.id,
            "name": manifest.name,
            "state": manifest.state,
            "store": urls.first(),
            "key": manifest.data_objects().next().map(|object| &object.key),
            "total_files_processed": manifest.counts.files,
            "total_bytes_processed": manifest.plain_bytes,
            "data_added": manifest.plain_bytes,
            "data_added_packed": manifest.data_bytes(),
            "counts": manifest.counts,
            "error_count": manifest.problem_count,
            "warnings": manifest.warnings,
            "backup_start": manifest.started,
            "backup_end": manifest.finished,
            "total_duration": took.as_secs_f64(),
        });
        if let Some(shape) = &manifest.shape {
            summary["shape"] = serde_json::json!(shape);
        }
        if let Some(lock) = manifest.lock {
            summary["lock"] = serde_json::json!(lock);
        }
        if outcomes.len() > 1 {
            summary["stores"] = as_json(outcomes);
        }
        return context.console.json_line(&summary);
    }
    let mut pairs = vec![("content", counts(&manifest.counts)), ("size", sizes(manifest))];
    pairs.extend(manifest.lock.map(|lock| ("lock", until(&lock))));
    pairs.retain(|(_, value)| !value.is_empty());
    let text = format!(
        "Backed up {} to {} in {}.\n  {}\n{}",
        manifest.source.what,
        urls.join(" and "),
        format_duration(took),
        manifest.id,
        lines(&pairs)
    );
    context.console.summary(&escape_text(&text))
}
