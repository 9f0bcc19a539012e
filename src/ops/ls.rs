//! What is inside a backup, from its index alone.

use std::io::Read;
use std::ops::ControlFlow;
use std::sync::Arc;

use super::Run;
use super::plaintext::index_key;
use super::reveal::decrypted;
use crate::base::failure::{Failure, Kind, Result, from_io};
use crate::catalog::index::{Entry, EntryKind, MemberRun};
use crate::catalog::index_file::{IndexReader, Line};
use crate::catalog::manifest::Manifest;
use crate::catalog::selection::Chosen;
use crate::pipeline::digest::DigestReader;
use crate::store::Store;

/// Visits every line of the backup's index; damage is found before the last line was taken for the last.
///
/// # Errors
/// [`Kind::NotFound`] if it has none; [`Kind::WrongKey`] if it is encrypted and no key opens it; [`Kind::Damaged`] if it is not whole, or not the one that the manifest names.
pub fn read_index(
    store: &Arc<dyn Store>,
    chosen: &Chosen,
    run: &Run,
    mut visit: impl FnMut(IndexItem) -> Result<ControlFlow<()>>,
) -> Result<()> {
    let key = index_key(chosen);
    let input = store.get(&key, None).map_err(|failure| match failure.kind() {
        Kind::NotFound => Failure::new(
            Kind::NotFound,
            format!("`{}` has no index, so what is inside cannot be listed", chosen.found.id),
        )
        .caused_by(failure)
        .hint("Restore the whole backup instead; that needs no index"),
        _ => failure,
    })?;
    let what = format!("`{key}`");
    let mut digest = DigestReader::new(input);
    let read = read_lines(chosen, &mut digest, &what, run, &mut visit);
    if let Err(failure) = &read
        && failure.kind() != Kind::Unsupported
    {
        return read;
    }
    // Who has seen enough, and who cannot read this format, does not know yet whether these are the bytes that were written.
    // The rest is digested for that, and not inflated.
    std::io::copy(&mut digest, &mut std::io::sink()).map_err(|error| from_io(format!("read {what}"), error))?;
    run.cancel.check()?;
    let (_, bytes, sha256) = digest.finish();
    match chosen.manifest.as_ref().and_then(Manifest::index_object) {
        Some(record) if record.bytes != bytes || record.sha256 != hex::encode(sha256) => Err(Failure::new(
            Kind::Damaged,
            format!("The index `{key}` is not the one of this backup"),
        )
        .caused_by(anyhow::anyhow!(
            "{bytes} bytes with SHA-256 {} instead of {} bytes with {}",
            hex::encode(sha256),
            record.bytes,
            record.sha256
        ))
        .hint("The data does not need it: restore the whole backup, without --include")),
        _ => read,
    }
}

/// Visits the lines until the last, or until nothing more is wanted.
fn read_lines(
    chosen: &Chosen,
    input: &mut dyn Read,
    what: &str,
    run: &Run,
    visit: &mut dyn FnMut(IndexItem) -> Result<ControlFlow<()>>,
) -> Result<()> {
    let mut reader = IndexReader::open(decrypted(chosen, input, what, run)?, what)?;
    while let Some(line) = reader.next_line()? {
        run.cancel.check()?;
        let flow = match line {
            Line::Entry(entry) => visit(IndexItem::Entry(entry))?,
            Line::Members(members) => visit(IndexItem::Members(members))?,
            Line::Index { .. } | Line::Private(_) | Line::Warning { .. } | Line::Problem(_) | Line::End { .. } => {
                ControlFlow::Continue(())
            }
        };
        if flow.is_break() {
            break;
        }
    }
    Ok(())
}

/// A line of an index.
#[derive(Clone, Debug)]
pub enum IndexItem {
    /// Something inside the backup.
    Entry(Entry),
    /// Where its bytes lie.
    Members(MemberRun),
}

/// Visits the entries at or below `path` (everything, if `None`), in the order of the archive; of a dump the tables, or
/// with `objects` all that is in it.
///
/// # Errors
/// [`Kind::NotFound`] if nothing is at or below `path`; the visitor's own failure; those of [`read_index`].
pub fn ls(
    store: &Arc<dyn Store>,
    chosen: &Chosen,
    path: Option<&str>,
    objects: bool,
    run: &Run,
    mut visit: impl FnMut(&Entry) -> Result<()>,
) -> Result<u64> {
    let wanted = path.map(|path| path.trim_end_matches('/').as_bytes());
    let mut shown = 0u64;
    read_index(store, chosen, run, |item| {
        if let IndexItem::Entry(entry) = item
            && (objects || entry.kind != EntryKind::Object)
            && wanted.is_none_or(|wanted| is_at_or_below(&entry.path.0, wanted))
        {
            shown += 1;
            visit(&entry)?;
        }
        Ok(ControlFlow::Continue(()))
    })?;
    match path {
        Some(path) if shown == 0 => {
            Err(
                Failure::new(Kind::NotFound, format!("Nothing at `{path}` in `{}`", chosen.found.id)).hint(format!(
                    "Paths begin with the source's base name; `backup-cli ls {}` shows them all",
                    chosen.found.id
                )),
            )
        }
        _ => Ok(shown),
    }
}

pub(super) fn is_at_or_below(path: &[u8], wanted: &[u8]) -> bool {
    path.strip_prefix(wanted)
        .is_some_and(|rest| rest.is_empty() || rest[0] == b'/' || wanted.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_means_itself_and_what_is_below_it() {
        for (path, wanted, is) in [
            ("www", "www", true),
            ("www/a", "www", true),
            ("www2", "www", false),
            ("a", "", true),
            ("w", "www", false),
        ] {
            assert_eq!(
                is_at_or_below(path.as_bytes(), wanted.as_bytes()),
                is,
                "{path} {wanted}"
            );
        }
    }
}
