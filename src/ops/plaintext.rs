//! The plaintext of a stored backup as a stream, with a verdict at its end.

use std::io::{Cursor, Read};
use std::sync::Arc;

use super::Run;
use crate::base::failure::{Failure, Kind, Result, from_io};
use crate::catalog::layout::INDEX_SUFFIX;
use crate::catalog::manifest::Manifest;
use crate::catalog::selection::Chosen;
use crate::pipeline::download::{DownloadOptions, ObjectsReader, StoredObject};
use crate::pipeline::inflate::MembersReader;
use crate::source::detect::{Content, DETECT_BYTES, detect};
use crate::store::{Key, Store};

/// The data objects of a backup, in order, with what is known of them.
///
/// # Errors
/// [`Kind::Damaged`] if an object is missing or a digest in the manifest is not one.
pub fn stored_objects(chosen: &Chosen) -> Result<Vec<StoredObject>> {
    let Some(manifest) = &chosen.manifest else {
        return Ok(chosen
            .found
            .data
            .iter()
            .map(|(key, bytes)| StoredObject {
                key: key.clone(),
                bytes: *bytes,
                sha256: None,
            })
            .collect());
    };
    if let Some(contradiction) = crate::catalog::listing::contradiction(&chosen.found, manifest) {
        return Err(
            Failure::new(Kind::Damaged, format!("The backup `{}` is damaged", manifest.id))
                .caused_by(anyhow::anyhow!(contradiction))
                .hint("Choose an older backup: `backup-cli list` shows them"),
        );
    }
    manifest
        .data_objects()
        .map(|object| {
            Ok(StoredObject {
                key: object.key.clone(),
                bytes: object.bytes,
                sha256: Some(sha256_from_hex(&object.sha256, manifest)?),
            })
        })
        .collect()
}

pub(super) fn sha256_from_hex(text: &str, manifest: &Manifest) -> Result<[u8; 32]> {
    let mut digest = [0; 32];
    hex::decode_to_slice(text, &mut digest).map_err(|error| {
        Failure::new(
            Kind::Damaged,
            format!("A digest in the manifest of `{}` is not one: `{text}`", manifest.id),
        )
        .caused_by(error)
    })?;
    Ok(digest)
}

/// The key of the backup's index, whether or not it is there.
#[must_use]
pub fn index_key(chosen: &Chosen) -> Key {
    match chosen.manifest.as_ref().and_then(Manifest::index_object) {
        Some(object) => object.key.clone(),
        None => chosen.found.data_key.with_suffix(INDEX_SUFFIX),
    }
}

/// A backup's plaintext from its first byte to its last.
pub struct Plaintext {
    head: Cursor<Vec<u8>>,
    reader: Option<MembersReader<ObjectsReader>>,
    expected: Option<(u64, [u8; 32])>,
    what: String,
    run: Run,
}

impl Plaintext {
    /// Opens a backup and looks at its first bytes.
    ///
    /// # Errors
    /// The store's failures; [`Kind::Damaged`] if the first bytes cannot be inflated.
    pub fn open(store: &Arc<dyn Store>, chosen: &Chosen, threads: usize, run: &Run) -> Result<(Self, Content)> {
        let objects = ObjectsReader::new(
            store.clone(),
            stored_objects(chosen)?,
            &DownloadOptions::default(),
            run.cancel.clone(),
            run.reporter.clone(),
        );
        let mut reader = MembersReader::new(objects, threads, &run.cancel)?;
        let what = format!("`{}`", chosen.found.data_key);
        let mut head = Vec::new();
        (&mut reader)
            .take(DETECT_BYTES as u64)
            .read_to_end(&mut head)
            .map_err(|error| run.interruption_or(from_io(format!("read {what}"), error)))?;
        let content = detect(&head);
        let expected = match &chosen.manifest {
            Some(manifest) => Some((manifest.plain_bytes, sha256_from_hex(&manifest.plain_sha256, manifest)?)),
            None => None,
        };
        let plaintext = Self {
            head: Cursor::new(head),
            reader: Some(reader),
            expected,
            what,
            run: run.clone(),
        };
        Ok((plaintext, content))
    }

    /// Reads what is left and compares everything with the manifest: the stored objects and the plaintext.
    ///
    /// An object without a manifest is only known to inflate to its end.
    ///
    /// # Errors
    /// [`Kind::Damaged`] if anything differs.
    pub fn verify(&mut self) -> Result<()> {
        let Some(reader) = self.reader.take() else {
            return Ok(());
        };
        let (mut objects, plain) = reader.finish()?;
        objects.verify()?;
        if let Some((bytes, sha256)) = self.expected
            && (plain.plain_bytes != bytes || plain.plain_sha256 != sha256)
        {
            return Err(Failure::new(
                Kind::Damaged,
                format!("The content of {} is not what was backed up", self.what),
            )
            .caused_by(anyhow::anyhow!(
                "{} bytes with SHA-256 {} instead of {bytes} bytes with {}",
                plain.plain_bytes,
                hex::encode(plain.plain_sha256),
                hex::encode(sha256)
            ))
            .hint("Choose an older backup: `backup-cli list` shows them"));
        }
        Ok(())
    }
}

impl Read for Plaintext {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        self.run.cancel.check().map_err(crate::base::failure::into_io)?;
        let read = self.head.read(buffer)?;
        if read > 0 {
            return Ok(read);
        }
        match &mut self.reader {
            Some(reader) => reader.read(buffer),
            None => Ok(0),
        }
    }
}
