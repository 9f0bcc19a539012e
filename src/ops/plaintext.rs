//! The plaintext of a stored backup as a stream, with a verdict at its end.

use std::io::{Cursor, Read};
use std::sync::Arc;

use super::Run;
use super::reveal::judge_key;
use crate::base::failure::{Failure, Kind, Result, from_io};
use crate::catalog::layout::{ENCRYPTED_SUFFIX, index_key_of, place_of};
use crate::catalog::manifest::Manifest;
use crate::catalog::selection::Chosen;
use crate::pipeline::download::{DownloadOptions, ObjectsReader, StoredObject};
use crate::pipeline::inflate::{InflateOptions, MembersReader};
use crate::pipeline::stored::{StoredData, StoredStream};
use crate::pipeline::streams::StreamsReader;
use crate::source::detect::{Content, DETECT_BYTES, detect};
use crate::store::{Key, Store};

/// The data of a backup, with what is known of it.
///
/// # Errors
/// [`Kind::Damaged`] if an object is missing or a digest in the manifest is not one.
pub fn stored_data(chosen: &Chosen, run: &Run) -> Result<StoredData> {
    let what = format!("`{}`", chosen.found.data_key);
    let Some(manifest) = &chosen.manifest else {
        return Ok(StoredData {
            what,
            streams: streams_by_name(chosen),
            codec: None,
            is_encrypted: None,
            recipients: Vec::new(),
            keys: run.keys.clone(),
        });
    };
    if let Some(contradiction) = crate::catalog::listing::contradiction(&chosen.found, manifest) {
        return Err(
            Failure::new(Kind::Damaged, format!("The backup `{}` is damaged", manifest.id))
                .caused_by(anyhow::anyhow!(contradiction))
                .hint("Choose an older backup: `backup-cli list` shows them"),
        );
    }
    Ok(StoredData {
        what,
        streams: streams_of(manifest)?,
        codec: Some(manifest.codec),
        is_encrypted: Some(manifest.is_encrypted()),
        recipients: manifest.recipients.clone(),
        keys: run.keys.clone(),
    })
}

/// The streams that a manifest names; all data objects are one if it names none.
pub(super) fn streams_of(manifest: &Manifest) -> Result<Vec<StoredStream>> {
    let digest = |text: &Option<String>| text.as_deref().map(|text| sha256_from_hex(text, manifest)).transpose();
    let mut objects = manifest
        .data_objects()
        .map(|object| {
            Ok(StoredObject {
                key: object.key.clone(),
                bytes: object.bytes,
                sha256: Some(sha256_from_hex(&object.sha256, manifest)?),
            })
        })
        .collect::<Result<Vec<_>>>()?
        .into_iter();
    if manifest.streams.is_empty() {
        return Ok(vec![StoredStream {
            objects: objects.collect(),
            compressed_bytes: None,
            plain_bytes: Some(manifest.plain_bytes),
            plain_sha256: digest(&manifest.plain_sha256)?,
        }]);
    }
    manifest
        .streams
        .iter()
        .map(|stream| {
            let count = usize::try_from(stream.objects).unwrap_or(usize::MAX);
            Ok(StoredStream {
                objects: objects.by_ref().take(count).collect(),
                compressed_bytes: Some(stream.compressed_bytes),
                plain_bytes: Some(stream.plain_bytes),
                plain_sha256: digest(&stream.plain_sha256)?,
            })
        })
        .collect()
}

/// The streams of objects without a manifest, by the numbers in their names.
pub(super) fn streams_by_name(chosen: &Chosen) -> Vec<StoredStream> {
    let mut streams: Vec<(u64, StoredStream)> = Vec::new();
    for (key, bytes) in &chosen.found.data {
        let number = place_of(key).1.stream;
        if streams.last().is_none_or(|(last, _)| *last != number) {
            streams.push((number, StoredStream::default()));
        }
        if let Some((_, stream)) = streams.last_mut() {
            stream.objects.push(StoredObject {
                key: key.clone(),
                bytes: *bytes,
                sha256: None,
            });
        }
    }
    streams.into_iter().map(|(_, stream)| stream).collect()
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
        // Only a manifest tells for certain whether a backup is encrypted; its name does so well enough.
        None => index_key_of(
            &chosen.found.data_key,
            chosen.found.data_key.as_str().ends_with(ENCRYPTED_SUFFIX),
        ),
    }
}

/// The least that is asked for at once of a stream that is read beside others, in bytes: requests must not become too many.
const STREAM_BLOCK_BYTES_MIN: u64 = crate::base::units::MIB;

/// A backup's plaintext from its first byte to its last: that of its streams, one after the other.
pub struct Plaintext {
    head: Cursor<Vec<u8>>,
    reader: Option<MembersReader<StreamsReader<ObjectsReader>>>,
    /// What is known of each stream, if there is a manifest.
    expected: Option<Vec<StoredStream>>,
    what: String,
    run: Run,
}

impl Plaintext {
    /// Opens a backup and looks at its first bytes.
    ///
    /// # Errors
    /// The store's failures; [`Kind::WrongKey`] if it is encrypted and no key opens it; [`Kind::Damaged`] if the first bytes
    /// cannot be inflated.
    pub fn open(store: &Arc<dyn Store>, chosen: &Chosen, threads: usize, run: &Run) -> Result<(Self, Content)> {
        Self::open_data(
            store,
            chosen,
            stored_data(chosen, run)?,
            &DownloadOptions::default(),
            threads,
            run,
        )
    }

    /// Opens one stream of a backup, from 0 on, of which `at_once` are read at the same time and share the memory.
    ///
    /// # Errors
    /// As [`Plaintext::open`]; [`Kind::Damaged`] if there is no such stream.
    pub fn open_stream(
        store: &Arc<dyn Store>,
        chosen: &Chosen,
        number: usize,
        at_once: usize,
        threads: usize,
        run: &Run,
    ) -> Result<Self> {
        let mut data = stored_data(chosen, run)?;
        if number >= data.streams.len() {
            return Err(Failure::new(
                Kind::Damaged,
                format!("{} has no stream {}", data.what, number + 1),
            ));
        }
        data.what = format!("{} (stream {})", data.what, number + 1);
        data.streams = vec![data.streams.swap_remove(number)];
        let all = DownloadOptions::default();
        let download = DownloadOptions {
            block_bytes: (all.block_bytes / at_once.max(1) as u64).max(STREAM_BLOCK_BYTES_MIN),
            ..all
        };
        let threads = (threads / at_once.max(1)).max(1);
        Self::open_data(store, chosen, data, &download, threads, run).map(|(plaintext, _)| plaintext)
    }

    fn open_data(
        store: &Arc<dyn Store>,
        chosen: &Chosen,
        data: StoredData,
        download: &DownloadOptions,
        threads: usize,
        run: &Run,
    ) -> Result<(Self, Content)> {
        let what = data.what.clone();
        let expected = chosen.manifest.is_some().then(|| data.streams.clone());
        let objects = ObjectsReader::new(
            store.clone(),
            data.objects(),
            download,
            run.cancel.clone(),
            run.reporter.clone(),
        );
        let options = InflateOptions {
            codec: data.codec,
            segment_ends: segment_ends(&data.streams),
            threads,
        };
        let streams = StreamsReader::open(objects, data)
            .map_err(|failure| judge_key(store, chosen, run.interruption_or(failure), run))?;
        let mut reader = MembersReader::open(streams, options, &run.cancel)?;
        let mut head = Vec::new();
        (&mut reader)
            .take(DETECT_BYTES as u64)
            .read_to_end(&mut head)
            .map_err(|error| run.interruption_or(from_io(format!("read {what}"), error)))?;
        let content = detect(&head);
        let plaintext = Self {
            head: Cursor::new(head),
            reader: Some(reader),
            expected,
            what,
            run: run.clone(),
        };
        Ok((plaintext, content))
    }

    /// The first bytes, by which the content was told.
    #[must_use]
    pub fn head(&self) -> &[u8] {
        self.head.get_ref()
    }

    /// Reads what is left and compares everything with the manifest: the stored objects and the plaintext of each stream.
    ///
    /// An object without a manifest is only known to inflate to its end.
    ///
    /// # Errors
    /// [`Kind::Damaged`] if anything differs.
    pub fn verify(&mut self) -> Result<()> {
        let Some(reader) = self.reader.take() else {
            return Ok(());
        };
        let (streams, plain) = reader.finish()?;
        streams.into_inner()?.verify()?;
        let Some(expected) = &self.expected else {
            return Ok(());
        };
        let bytes: u64 = expected.iter().filter_map(|stream| stream.plain_bytes).sum();
        let digests = expected.iter().zip(&plain.plain_sha256s);
        let mut wrong = digests.filter_map(|(stream, sha256)| {
            let expected = stream.plain_sha256.filter(|expected| expected != sha256)?;
            Some((expected, sha256))
        });
        let cause = match wrong.next() {
            _ if plain.plain_bytes != bytes => format!("{} bytes instead of {bytes}", plain.plain_bytes),
            Some((expected, found)) => format!(
                "Its SHA-256 is {} instead of {}",
                hex::encode(found),
                hex::encode(expected)
            ),
            None if plain.plain_sha256s.len() < expected.len() => "A stream of it is missing".to_owned(),
            None => return Ok(()),
        };
        Err(Failure::new(
            Kind::Damaged,
            format!("The content of {} is not what was backed up", self.what),
        )
        .caused_by(anyhow::anyhow!(cause))
        .hint("Choose an older backup: `backup-cli list` shows them"))
    }
}

/// Where in the plaintext each stream ends, if there are several.
pub(super) fn segment_ends(streams: &[StoredStream]) -> Vec<u64> {
    let mut end = 0u64;
    let mut ends: Vec<u64> = streams
        .iter()
        .map_while(|stream| {
            end = end.saturating_add(stream.plain_bytes?);
            Some(end)
        })
        .collect();
    if streams.len() < 2 || ends.len() < streams.len() {
        ends.clear();
    }
    ends
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
