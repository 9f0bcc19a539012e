//! What was read of a backup's data, compared with what its manifest says of it.

use std::ops::Range;

use super::super::plaintext::sha256_from_hex;
use super::Checked;
use super::data::{Findings, Job};
use super::etag::judge_etag;
use crate::base::failure::{Failure, Kind, Result};
use crate::catalog::manifest::ObjectRecord;
use crate::pipeline::check::{ReadObject, WantedObject, WholeReader};
use crate::pipeline::download::DownloadOptions;
use crate::store::Key;

/// Compares the objects that were read with the manifest; returns how many are damaged.
pub(super) fn judge_objects(job: &Job<'_>, read: &[ReadObject], checked: &mut Checked) -> Result<u64> {
    checked.amount.stored_bytes += read.iter().map(|object| object.bytes).sum::<u64>();
    let mut damaged = 0;
    for (wanted, read) in job.wanted.iter().zip(read) {
        let key = &wanted.object.key;
        let manifest = job.chosen.manifest.as_ref();
        let record: Option<&ObjectRecord> =
            manifest.and_then(|manifest| manifest.objects.iter().find(|record| record.key == *key));
        let is_told = checked.damage.iter().any(|damage| damage.object.as_ref() == Some(key));
        let (Some(sha256), Some(md5)) = (read.sha256, read.md5) else {
            damaged += 1;
            if !is_told {
                let why = read
                    .trouble
                    .clone()
                    .unwrap_or_else(|| format!("The object `{key}` is cut short"));
                checked.damaged(Some(key), why);
            }
            continue;
        };
        let (Some(record), Some(manifest)) = (record, manifest) else {
            continue;
        };
        let is_right = sha256 == sha256_from_hex(&record.sha256, manifest)?;
        if let (Some(parts_md5), Some(etag)) = (read.parts_md5, job.etags.get(key)) {
            judge_etag(
                key,
                is_right,
                &format!("{}-{}", hex::encode(parts_md5), record.parts),
                etag,
                checked,
            );
        }
        if !is_right {
            damaged += 1;
            confirm(job, wanted, sha256)?;
            checked.damaged(
                Some(key),
                format!(
                    "The content of the object `{key}` is not what was backed up: its SHA-256 is {} instead of {}",
                    hex::encode(sha256),
                    record.sha256
                ),
            );
        } else if !hex::encode(md5).eq_ignore_ascii_case(&record.md5) {
            checked.damaged(
                job.chosen.found.manifest_key.as_ref(),
                format!(
                    "The manifest names a wrong MD5 of `{key}`: {} instead of {}",
                    record.md5,
                    hex::encode(md5)
                ),
            );
        }
    }
    Ok(damaged)
}

/// Reads an object once more: only what is wrong in the same way twice is damage where it lies.
fn confirm(job: &Job<'_>, wanted: &WantedObject, sha256: [u8; 32]) -> Result<()> {
    let reader = WholeReader::new(
        job.store.clone(),
        vec![wanted.clone()],
        &DownloadOptions::default(),
        job.run.cancel.clone(),
        job.run.reporter.clone(),
    )?;
    let again = reader.finish()?;
    match again.first().and_then(|object| object.sha256) {
        Some(second) if second == sha256 => Ok(()),
        _ => Err(Failure::new(
            Kind::Failed,
            format!("`{}` has other bytes each time it is read", wanted.object.key),
        )
        .hint("The network, a proxy or this machine's memory changes them on the way: check it from another machine")),
    }
}

/// Compares the members and the plaintext with the manifest.
pub(super) fn judge_content(job: &Job<'_>, findings: &Findings, checked: &mut Checked) {
    for (place, what) in &findings.places {
        let object = object_of(job, place, checked);
        checked.damaged(object, what.clone());
    }
    let more = findings.members_lost.saturating_sub(findings.places.len() as u64);
    checked.damage_count += more;
    let Some(manifest) = job.chosen.manifest.as_ref().filter(|_| findings.members_lost == 0) else {
        return;
    };
    let data_key = &job.chosen.found.data_key;
    let streams = &findings.read.streams;
    for (number, (expected, found)) in job.data.streams.iter().zip(streams).enumerate() {
        let differs = expected.plain_sha256.is_some() && expected.plain_sha256 != found.plain_sha256;
        if differs {
            checked.damaged(
                Some(data_key),
                format!(
                    "The plaintext of stream {} has another SHA-256 than was backed up",
                    number + 1
                ),
            );
        }
    }
    for (what, expected, found) in [
        ("streams", job.data.streams.len() as u64, streams.len() as u64),
        (
            "members",
            manifest.members,
            streams.iter().map(|stream| stream.members).sum(),
        ),
        (
            "bytes of plaintext",
            manifest.plain_bytes,
            streams.iter().map(|stream| stream.plain_bytes).sum(),
        ),
    ] {
        // Without an index nothing tells where what is not compressed was cut.
        let is_unknown = what == "members" && found == 0;
        if expected != found && !is_unknown {
            checked.damaged(Some(data_key), format!("It has {found} {what} instead of {expected}"));
        }
    }
}

/// The object in which something lies that is damaged: of several the one that is known to be, so that no good one is named.
fn object_of<'a>(job: &'a Job<'_>, compressed: &Range<u64>, checked: &Checked) -> Option<&'a Key> {
    let objects = job.data.objects_of(compressed);
    let is_told = |key: &Key| checked.damage.iter().any(|damage| damage.object.as_ref() == Some(key));
    let told = objects.iter().find(|object| is_told(&object.key));
    told.or(objects.first()).map(|object| &object.key)
}
