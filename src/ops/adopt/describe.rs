//! What an adopted object's manifest says.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::naming::{Told, series_and_time_of};
use super::{Sealing, changed};
use crate::base::failure::{Failure, Kind, Result};
use crate::catalog::layout::id_of;
use crate::catalog::listing::Found;
use crate::catalog::manifest::{Adopted, Manifest, ObjectRecord, SourceInfo, State, TimeFrom};
use crate::catalog::selection::Chosen;
use crate::ops::Run;
use crate::ops::rebuild_index::by_passphrase;
use crate::ops::rebuild_index::read::Reading;
use crate::ops::reveal::reveal;
use crate::pipeline::crypt::{PublicKey, Recipients};
use crate::source::detect::Content;
use crate::store::{Key, ObjectMeta, Role, Store};

/// The kind of source of what was adopted: nobody knows what made it.
const SOURCE_KIND: &str = "adopted";

/// The manifest, without the index, and for whom that is encrypted.
pub(super) fn describe(
    name: &str,
    found: &Found,
    metas: &[ObjectMeta],
    reading: &Reading,
    sealing: &Sealing,
    run: &Run,
) -> Result<(Manifest, Option<Recipients>)> {
    let (_, told) = series_and_time_of(&found.data_key);
    let modified = metas.iter().filter_map(|meta| meta.modified).max();
    let now = run.clock.now();
    let (started, time_from) = match told {
        Told::Time(at) | Told::Day(at) => (at, TimeFrom::Name),
        Told::Nothing => (modified.unwrap_or(now), TimeFrom::Modified),
    };
    let recipients = match (sealing.is_encrypted, sealing.is_by_passphrase) {
        (false, _) => None,
        (true, true) => Some(by_passphrase(run)?),
        (true, false) => {
            let keys: Vec<String> = run.keys.public_keys()?.into_iter().map(|PublicKey(key)| key).collect();
            Some(Recipients::of_keys(&keys)?)
        }
    };
    let objects = metas
        .iter()
        .zip(&reading.objects)
        .map(|(meta, object)| record(meta, object.sha256, object.md5))
        .collect::<Result<Vec<_>>>()?;
    let manifest = Manifest {
        // Raised to what the content needs when it is written.
        format: 1,
        id: id_of(&found.data_key),
        name: name.to_owned(),
        host: String::new(),
        source: SourceInfo {
            kind: SOURCE_KIND.to_owned(),
            ..SourceInfo::default()
        },
        started,
        finished: modified.unwrap_or(started).max(started),
        state: State::Complete,
        problems: Vec::new(),
        problem_count: 0,
        objects,
        extension: extension_of(reading.content, &found.data_key),
        plain_bytes: reading.plain.plain_bytes,
        plain_sha256: reading.plain.plain_sha256s.first().map(hex::encode),
        streams: Vec::new(),
        codec: reading.plain.codec,
        // Nothing tells the level by which a stream was compressed.
        level: 0,
        members: match &reading.members {
            Some(members) => members.iter().sum(),
            None => reading.plain.members,
        },
        recipients: recipients.as_ref().map(Recipients::names).unwrap_or_default(),
        tags: Vec::new(),
        warnings: Vec::new(),
        counts: reading.counts.clone(),
        shape: None,
        lock: None,
        copied_from: None,
        adopted: Some(Adopted {
            time: now,
            time_from,
            ranged: reading.members.is_some(),
        }),
        tool_version: env!("CARGO_PKG_VERSION").to_owned(),
        other: BTreeMap::new(),
    };
    Ok((manifest, recipients))
}

fn record(meta: &ObjectMeta, sha256: Option<[u8; 32]>, md5: Option<[u8; 16]>) -> Result<ObjectRecord> {
    let (Some(sha256), Some(md5)) = (sha256, md5) else {
        return Err(Failure::new(
            Kind::Damaged,
            format!("The object `{}` was not read to its end", meta.key),
        ));
    };
    let parts = meta.etag.as_ref().and_then(|etag| etag.rsplit_once('-'));
    let is_another = meta.etag_is_md5
        && parts.is_none()
        && meta
            .etag
            .as_ref()
            .is_some_and(|etag| !etag.eq_ignore_ascii_case(&hex::encode(md5)));
    if is_another {
        return Err(changed(&meta.key));
    }
    Ok(ObjectRecord {
        role: Role::Data,
        key: meta.key.clone(),
        version_id: meta.version_id.clone(),
        bytes: meta.bytes,
        sha256: hex::encode(sha256),
        md5: hex::encode(md5),
        etag: meta.etag.clone(),
        part_bytes: 0,
        parts: parts.and_then(|(_, parts)| parts.parse().ok()).unwrap_or(0),
        token: meta.token.clone().unwrap_or_default(),
    })
}

fn extension_of(content: Content, key: &Key) -> String {
    let known = match content {
        Content::Tar => "tar",
        Content::Sql => "sql",
        Content::PgDumpCustom => "dump",
        Content::Sqlite => "sqlite",
        _ => "",
    };
    if !known.is_empty() {
        return known.to_owned();
    }
    let stem = key.file_name().trim_end_matches(".age");
    let stem = [".gz", ".zst"]
        .iter()
        .fold(stem, |stem, codec| stem.trim_end_matches(codec));
    match stem.rsplit_once('.') {
        Some((_, extension)) if !extension.is_empty() && extension.bytes().all(|byte| byte.is_ascii_alphanumeric()) => {
            extension.to_owned()
        }
        _ => "bin".to_owned(),
    }
}

/// What the index of a backup with a damaged manifest still says, if it is encrypted; and what is lost.
pub(super) fn recall(
    store: &Arc<dyn Store>,
    chosen: &Chosen,
    manifest: &mut Manifest,
    remarks: &mut Vec<String>,
    run: &Run,
) -> Result<()> {
    remarks.push(
        "What only the damaged manifest said is lost: the host, tags, the source of a backup that is not encrypted, and whether it was partial."
            .to_owned(),
    );
    if !manifest.is_encrypted() {
        return Ok(());
    }
    let mut known = Chosen {
        found: chosen.found.clone(),
        manifest: Some(manifest.clone()),
    };
    match reveal(store, &mut known, run) {
        Err(failure) if matches!(failure.kind(), Kind::NotFound | Kind::Damaged | Kind::WrongKey) => return Ok(()),
        other => other?,
    }
    if let Some(known) = known.manifest {
        manifest.problem_count = known.problems.len() as u64;
        if !known.problems.is_empty() {
            manifest.state = State::Partial;
        }
        manifest.source = known.source;
        manifest.problems = known.problems;
        manifest.warnings = known.warnings;
    }
    Ok(())
}
