//! Opens age files: their headers with keys, their payloads as streams.

use std::io::{self, Cursor, Read};
use std::sync::{Arc, Mutex, PoisonError};

use age::secrecy::{ExposeSecret, SecretBox};
use age::stream::StreamReader;
use age::{DecryptError, Decryptor, Identity};
use age_core::format::{FILE_KEY_BYTES, FileKey, Stanza};

use super::{HEADER_BYTES_MAX, PASSPHRASE_RECIPIENT, SCRYPT_LOG_N_MAX};
use crate::base::failure::{Failure, Kind, Result, from_io, into_io};

/// With what every age file begins.
const MAGIC: &[u8] = b"age-encryption.org/";
/// With what an armored age file begins.
const ARMOR: &[u8] = b"-----BEGIN AGE ENCRYPTED FILE-----";

/// Whether these first bytes are those of an age file, binary or armored.
#[must_use]
pub fn is_age(first_bytes: &[u8]) -> bool {
    first_bytes.starts_with(MAGIC) || first_bytes.starts_with(ARMOR)
}

/// What is to be opened, for messages.
#[derive(Clone, Copy, Debug)]
pub struct Sealed<'a> {
    /// What it is, with its name in backticks; it begins a sentence.
    pub what: &'a str,
    /// For whom it was encrypted, where that is known.
    pub recipients: &'a [String],
}

impl Sealed<'_> {
    /// No key was given at all.
    pub(super) fn no_key(&self) -> Failure {
        let failure = Failure::new(
            Kind::WrongKey,
            format!("{} is encrypted, and no key was given", self.what),
        );
        self.hinted(failure)
    }

    fn hinted(&self, failure: Failure) -> Failure {
        let failure = match self.recipients {
            [] => failure,
            [one] if one == PASSPHRASE_RECIPIENT => return failure.hint(
                "It was encrypted by a passphrase: set BACKUP_PASSPHRASE_FILE or BACKUP_PASSPHRASE_COMMAND, or run it on a terminal",
            ),
            recipients => failure.hint(format!("It was encrypted for {}", recipients.join(", "))),
        };
        failure.hint("Name the file that holds a matching key: --identity FILE, or BACKUP_IDENTITY")
    }
}

/// What the age library says, in our words.
pub(super) fn explain(error: DecryptError, sealed: &Sealed<'_>) -> Failure {
    let what = sealed.what;
    let damaged = |why: &str| {
        Failure::new(Kind::Damaged, format!("{what} is damaged: {why}"))
            .hint("Choose an older backup: `backup-cli list` shows them")
    };
    match error {
        DecryptError::NoMatchingKeys => sealed.hinted(Failure::new(
            Kind::WrongKey,
            format!("None of the given keys opens {}", lower_first(what)),
        )),
        DecryptError::DecryptionFailed | DecryptError::KeyDecryptionFailed => Failure::new(
            Kind::WrongKey,
            format!("The passphrase does not open {}", lower_first(what)),
        )
        .hint("Check BACKUP_PASSPHRASE, its file or its command; a passphrase counts to its last character"),
        DecryptError::ExcessiveWork { required, .. } => Failure::new(
            Kind::Unsupported,
            format!("{what} asks for more work than this version does: 2^{required}, at most 2^{SCRYPT_LOG_N_MAX}"),
        )
        .hint("If you trust it, open it with age itself"),
        DecryptError::UnknownFormat => Failure::new(
            Kind::Unsupported,
            format!("{what} has a newer format of age than this version knows"),
        )
        .hint("Install a newer backup-cli, or open it with age itself"),
        DecryptError::InvalidMac => damaged("the header of the encryption was changed"),
        DecryptError::Io(error) if error.kind() != io::ErrorKind::UnexpectedEof => {
            from_io(format!("read {}", lower_first(what)), error)
        }
        DecryptError::Io(_) => damaged("the header of the encryption is cut short"),
        _ => damaged("the header of the encryption is not one"),
    }
}

/// `The identity file` within a sentence.
fn lower_first(what: &str) -> String {
    match what.strip_prefix("The ") {
        Some(rest) => format!("the {rest}"),
        None => what.to_owned(),
    }
}

/// Passes reads through and keeps what was read.
struct Keeping<R> {
    inner: R,
    kept: Vec<u8>,
}

impl<R: Read> Read for Keeping<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buffer)?;
        self.kept.extend_from_slice(&buffer[..count]);
        Ok(count)
    }
}

/// Reads the header of an age file, and nothing of what follows it.
///
/// # Errors
/// [`Kind::Damaged`] if it is not one, the input's own failures.
pub fn read_header(input: impl Read, sealed: &Sealed<'_>) -> Result<Vec<u8>> {
    let mut input = Keeping {
        inner: input.take(HEADER_BYTES_MAX),
        kept: Vec::new(),
    };
    match Decryptor::new(&mut input) {
        Ok(_) => Ok(input.kept),
        Err(error) => Err(explain(error, sealed)),
    }
}

/// The header of an age file and the file key that one of our keys found in it: looked for once, however often the payload
/// is read.
#[derive(Clone)]
pub struct Unlocked {
    header: Arc<[u8]>,
    file_key: Arc<SecretBox<[u8; FILE_KEY_BYTES]>>,
}

/// Tries the identities in order and remembers the file key that one of them finds.
struct Finding<'a> {
    identities: &'a [Box<dyn Identity + Send + Sync>],
    found: Mutex<Option<SecretBox<[u8; FILE_KEY_BYTES]>>>,
}

impl Identity for Finding<'_> {
    fn unwrap_stanza(&self, stanza: &Stanza) -> Option<std::result::Result<FileKey, DecryptError>> {
        self.unwrap_stanzas(std::slice::from_ref(stanza))
    }

    fn unwrap_stanzas(&self, stanzas: &[Stanza]) -> Option<std::result::Result<FileKey, DecryptError>> {
        let unwrapped = self
            .identities
            .iter()
            .find_map(|identity| identity.unwrap_stanzas(stanzas))?;
        if let Ok(file_key) = &unwrapped {
            *self.found.lock().unwrap_or_else(PoisonError::into_inner) =
                Some(SecretBox::new(Box::new(*file_key.expose_secret())));
        }
        Some(unwrapped)
    }
}

/// Finds the file key in a header with one of the identities.
pub(super) fn unlock(
    header: &[u8],
    identities: &[Box<dyn Identity + Send + Sync>],
    sealed: &Sealed<'_>,
) -> Result<Unlocked> {
    let finding = Finding {
        identities,
        found: Mutex::new(None),
    };
    Decryptor::new_buffered(header)
        .and_then(|decryptor| decryptor.decrypt(std::iter::once(&finding as &dyn Identity)))
        .map_err(|error| explain(error, sealed))?;
    let found = finding.found.into_inner().unwrap_or_else(PoisonError::into_inner);
    let file_key = found.ok_or_else(|| explain(DecryptError::NoMatchingKeys, sealed))?;
    Ok(Unlocked {
        header: header.into(),
        file_key: Arc::new(file_key),
    })
}

/// An identity that knows the file key.
struct Knowing<'a>(&'a SecretBox<[u8; FILE_KEY_BYTES]>);

impl Identity for Knowing<'_> {
    fn unwrap_stanza(&self, _: &Stanza) -> Option<std::result::Result<FileKey, DecryptError>> {
        Some(Ok(FileKey::new(Box::new(*self.0.expose_secret()))))
    }
}

impl Unlocked {
    /// The header's length in bytes; the payload follows it.
    #[must_use]
    pub fn header_bytes(&self) -> u64 {
        self.header.len() as u64
    }

    pub(super) fn header(&self) -> Arc<[u8]> {
        self.header.clone()
    }

    /// Decrypts a whole age file, which `file` reads from its first byte on.
    pub(super) fn decrypt<R: Read>(&self, file: R) -> std::result::Result<StreamReader<R>, DecryptError> {
        Decryptor::new(file)?.decrypt(std::iter::once(&Knowing(&self.file_key) as &dyn Identity))
    }

    /// A reader of the plaintext; `payload` reads what follows the header.
    ///
    /// # Errors
    /// Never for a header that was unlocked; the signature is that of the library.
    pub fn reader<R: Read>(&self, payload: R, what: impl Into<String>) -> Result<OpenReader<R>> {
        let what = what.into();
        let file = Cursor::new(self.header.clone()).chain(payload);
        let sealed = Sealed {
            what: &what,
            recipients: &[],
        };
        let inner = self.decrypt(file).map_err(|error| explain(error, &sealed))?;
        Ok(OpenReader { inner, what })
    }
}

/// A reader of the plaintext of an age file. The end of file means that the last chunk was there.
pub struct OpenReader<R> {
    inner: StreamReader<io::Chain<Cursor<Arc<[u8]>>, R>>,
    what: String,
}

impl<R: Read> Read for OpenReader<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.inner
            .read(buffer)
            .map_err(|error| damaged_payload(error, &self.what))
    }
}

/// What the library says of a payload, as damage; a failure of the input stays what it is.
pub(super) fn damaged_payload(error: io::Error, what: &str) -> io::Error {
    let is_its_own = error
        .get_ref()
        .is_none_or(|inner| inner.downcast_ref::<Failure>().is_none());
    match error.kind() {
        io::ErrorKind::InvalidData | io::ErrorKind::UnexpectedEof if is_its_own => into_io(
            Failure::new(
                Kind::Damaged,
                format!("The encrypted content of {what} is damaged or cut short"),
            )
            .caused_by(anyhow::anyhow!(error.to_string()))
            .hint("Choose an older backup: `backup-cli list` shows them"),
        ),
        _ => error,
    }
}
