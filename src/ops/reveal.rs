//! What the manifest of an encrypted backup does not say, read from the beginning of its index with a key.

use std::io::Read;
use std::sync::Arc;

use super::Run;
use super::plaintext::index_key;
use crate::base::failure::{Failure, Kind, Result};
use crate::catalog::index_file::IndexReader;
use crate::catalog::manifest::Manifest;
use crate::catalog::selection::Chosen;
use crate::pipeline::crypt::Sealed;
use crate::pipeline::streams::decrypt;
use crate::store::Store;

/// Decrypts the index that `input` reads, if it is encrypted.
pub(super) fn decrypted<'a>(
    chosen: &Chosen,
    input: impl Read + 'a,
    what: &str,
    run: &Run,
) -> Result<Box<dyn Read + 'a>> {
    let recipients = chosen.manifest.as_ref().map(|manifest| &manifest.recipients[..]);
    let is_encrypted = match recipients {
        Some(recipients) => !recipients.is_empty(),
        None => index_key(chosen)
            .as_str()
            .ends_with(crate::catalog::layout::ENCRYPTED_SUFFIX),
    };
    if !is_encrypted {
        return Ok(Box::new(input));
    }
    let sealed = Sealed {
        what,
        recipients: recipients.unwrap_or_default(),
    };
    Ok(Box::new(decrypt(input, &run.keys, &sealed)?))
}

/// A failure in the light of the index: the key that opens it is right, so that data which it does not open is damaged.
pub(super) fn judge_key(store: &Arc<dyn Store>, chosen: &Chosen, failure: Failure, run: &Run) -> Failure {
    let is_encrypted = chosen.manifest.as_ref().is_some_and(Manifest::is_encrypted);
    if failure.kind() != Kind::WrongKey || !is_encrypted || reveal(store, &mut chosen.clone(), run).is_err() {
        return failure;
    }
    Failure::new(
        Kind::Damaged,
        format!(
            "The header of the encryption of `{}` was changed: the key that opens its index does not open its data",
            chosen.found.data_key
        ),
    )
    .caused_by(anyhow::anyhow!("{}", failure.in_one_line()))
    .hint("Choose an older backup: `backup-cli list` shows them")
}

/// Completes the manifest of an encrypted backup; does nothing for one that is not encrypted.
///
/// # Errors
/// [`Kind::WrongKey`] if no key opens the index; [`Kind::NotFound`] if it has none, [`Kind::Damaged`] if it cannot be read.
pub fn reveal(store: &Arc<dyn Store>, chosen: &mut Chosen, run: &Run) -> Result<()> {
    if !chosen.manifest.as_ref().is_some_and(|manifest| manifest.is_encrypted()) {
        return Ok(());
    }
    let key = index_key(chosen);
    let what = format!("`{key}`");
    let input = store.get(&key, None)?;
    let private = IndexReader::open(decrypted(chosen, input, &what, run)?, &what)?
        .private()?
        .ok_or_else(|| Failure::new(Kind::Damaged, format!("The index {what} does not describe its backup")))?;
    if let Some(manifest) = &mut chosen.manifest {
        manifest.reveal(private);
    }
    Ok(())
}
