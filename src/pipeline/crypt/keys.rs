//! With which keys something is decrypted: identity files, an identity by itself, a passphrase. They are read only once
//! something encrypted is met.

use std::io::{BufReader, Read};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use age::armor::ArmoredReader;
use age::secrecy::{ExposeSecret, SecretString};
use age::{Decryptor, Identity, IdentityFile, scrypt, x25519};

use super::open::{Sealed, Unlocked, explain, unlock};
use super::{Recipients, SCRYPT_LOG_N_MAX, is_age};
use crate::base::failure::{Failure, IoContext, Kind, Result, from_io};
use crate::base::secret::{Secret, SecretSource};

/// An identity file may not be larger than this, in bytes: it holds a few lines.
const IDENTITY_FILE_BYTES_MAX: u64 = 1024 * 1024;

/// How often somebody at a terminal may try.
const ASK_ATTEMPTS_MAX: u32 = 3;

/// Asks somebody for a passphrase; `None` if nobody is there.
pub type Ask = Arc<dyn Fn(&str) -> Result<Option<Secret>> + Send + Sync>;

/// Where keys come from.
#[derive(Clone, Default)]
pub struct KeysOptions {
    /// Files of identities, as age-keygen writes them; also encrypted by a passphrase.
    pub identity_files: Vec<PathBuf>,
    /// The content of such a file.
    pub identity: Option<SecretSource>,
    /// For what is encrypted by a passphrase, identity files included.
    pub passphrase: Option<SecretSource>,
    /// Who is asked for a passphrase that is not given.
    pub ask: Option<Ask>,
}

type Identities = Vec<Box<dyn Identity + Send + Sync>>;

/// The keys of this run; clones share what has been read.
#[derive(Clone, Default)]
pub struct Keys(Arc<Inner>);

#[derive(Default)]
struct Inner {
    options: KeysOptions,
    identities: Mutex<Option<Arc<Identities>>>,
    /// The passphrases that have opened something in this run, so that nobody is asked twice.
    known: Mutex<Vec<Secret>>,
}

impl Keys {
    /// Keys from these places.
    #[must_use]
    pub fn new(options: KeysOptions) -> Self {
        Self(Arc::new(Inner {
            options,
            ..Inner::default()
        }))
    }

    /// Whether no key at all was given, so that only somebody at a terminal could name one.
    #[must_use]
    pub fn has_none(&self) -> bool {
        let options = &self.0.options;
        options.identity_files.is_empty() && options.identity.is_none() && options.passphrase.is_none()
    }

    /// Finds the key of an age file by its header, as [`super::read_header`] gives it.
    ///
    /// # Errors
    /// [`Kind::WrongKey`] if no key opens it; [`Kind::Damaged`] if it is not the header of an age file.
    pub fn unlock(&self, header: Vec<u8>, sealed: &Sealed<'_>) -> Result<Unlocked> {
        let decryptor = Decryptor::new_buffered(&header[..]).map_err(|error| explain(error, sealed))?;
        match decryptor.is_scrypt() {
            true => self.by_passphrase(sealed.what, |passphrase| {
                let identities: Identities = vec![Box::new(scrypt_identity(passphrase))];
                unlock(&header, &identities, sealed)
            }),
            false => {
                let identities = self.identities()?;
                match identities.is_empty() {
                    true => Err(sealed.no_key()),
                    false => unlock(&header, &identities, sealed),
                }
            }
        }
    }

    /// The passphrase that has opened something in this run, if any has.
    #[must_use]
    pub fn known_passphrase(&self) -> Option<Secret> {
        let known = self.0.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.last().cloned()
    }

    /// Tries the passphrase that is given, or asks for one.
    fn by_passphrase<T>(&self, what: &str, mut attempt: impl FnMut(&Secret) -> Result<T>) -> Result<T> {
        let inner = &self.0;
        let known: Vec<Secret> = inner.known.lock().unwrap_or_else(PoisonError::into_inner).clone();
        for passphrase in &known {
            match attempt(passphrase) {
                Err(failure) if failure.kind() == Kind::WrongKey => {}
                other => return other,
            }
        }
        let mut keep = |passphrase: Secret| {
            let opened = attempt(&passphrase)?;
            inner
                .known
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .push(passphrase);
            Ok(opened)
        };
        if let Some(source) = &inner.options.passphrase {
            return keep(source.read().map_err(unusable)?);
        }
        for _ in 0..ASK_ATTEMPTS_MAX {
            let asked = match &inner.options.ask {
                Some(ask) => ask(&format!("Passphrase for {what}"))?,
                None => None,
            };
            match asked.map(&mut keep) {
                None => break,
                Some(Err(failure)) if failure.kind() == Kind::WrongKey => {}
                Some(other) => return other,
            }
        }
        Err(Failure::new(
            Kind::WrongKey,
            format!("{what} is encrypted by a passphrase, which was not given"),
        )
        .hint(
            "Set BACKUP_PASSPHRASE_FILE or BACKUP_PASSPHRASE_COMMAND, or run it on a terminal, where it is asked for",
        ))
    }

    fn identities(&self) -> Result<Arc<Identities>> {
        let mut slot = self.0.identities.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(identities) = &*slot {
            return Ok(identities.clone());
        }
        let mut identities = Identities::new();
        for path in &self.0.options.identity_files {
            let what = format!("The identity file `{}`", path.display());
            identities.extend(self.parse(&read_identity_file(path)?, &what)?);
        }
        if let Some(source) = &self.0.options.identity {
            let text = source.read().map_err(unusable)?;
            identities.extend(self.parse(text.expose().as_bytes(), "The identity")?);
        }
        let identities = Arc::new(identities);
        *slot = Some(identities.clone());
        Ok(identities)
    }

    /// The identities in the content of an identity file.
    fn parse(&self, content: &[u8], what: &str) -> Result<Identities> {
        let text = self.plain_identities(content, what)?;
        let wrong = |why: String| {
            Failure::new(Kind::WrongKey, format!("{what} cannot be used"))
                .caused_by(anyhow::anyhow!(why))
                .hint("It holds lines that begin with AGE-SECRET-KEY-1, as `backup-cli key generate` or age-keygen writes them")
        };
        let identities = IdentityFile::from_buffer(text.expose().as_bytes())
            .map_err(|error| wrong(error.to_string()))?
            .into_identities()
            .map_err(|error| wrong(error.to_string()))?;
        match identities.is_empty() {
            true => Err(wrong("There is no identity in it".to_owned())),
            false => Ok(identities),
        }
    }

    /// The lines of an identity file, decrypted if it is encrypted by a passphrase.
    fn plain_identities(&self, content: &[u8], what: &str) -> Result<Secret> {
        let mut text = Vec::new();
        if is_age(content) {
            let sealed = Sealed { what, recipients: &[] };
            text = self.by_passphrase(what, |passphrase| {
                let decryptor =
                    Decryptor::new_buffered(ArmoredReader::new(content)).map_err(|error| explain(error, &sealed))?;
                let identity = scrypt_identity(passphrase);
                let mut plain = Vec::new();
                decryptor
                    .decrypt(std::iter::once(&identity as &dyn Identity))
                    .map_err(|error| explain(error, &sealed))?
                    .take(IDENTITY_FILE_BYTES_MAX)
                    .read_to_end(&mut plain)
                    .map_err(|error| from_io("decrypt the identity", error))?;
                Ok(plain)
            })?;
        }
        let content = if is_age(content) { &text } else { content };
        let text = std::str::from_utf8(content).map_err(|error| {
            Failure::new(Kind::WrongKey, format!("{what} is not an identity file")).caused_by(error)
        })?;
        for line in text.lines().filter(|line| line.starts_with("AGE-SECRET-KEY-")) {
            // From here on it is masked in every message.
            drop(Secret::new(line.trim()));
        }
        Ok(Secret::new(text))
    }

    /// The public keys of the identities that these keys hold.
    ///
    /// # Errors
    /// [`Kind::WrongKey`] if one cannot be read.
    pub fn public_keys(&self) -> Result<Vec<PublicKey>> {
        let mut keys = Vec::new();
        let mut contents = Vec::new();
        for path in &self.0.options.identity_files {
            contents.push((
                read_identity_file(path)?,
                format!("The identity file `{}`", path.display()),
            ));
        }
        if let Some(source) = &self.0.options.identity {
            let text = source.read().map_err(unusable)?;
            contents.push((text.expose().as_bytes().to_vec(), "The identity".to_owned()));
        }
        for (content, what) in contents {
            let text = self.plain_identities(&content, &what)?;
            let known = keys.len();
            for line in text.expose().lines().filter(|line| line.starts_with("AGE-SECRET-KEY-")) {
                let identity: x25519::Identity = line.trim().parse().map_err(|why: &str| {
                    Failure::new(Kind::WrongKey, format!("{what} cannot be used")).caused_by(anyhow::anyhow!(why))
                })?;
                keys.push(PublicKey(identity.to_public().to_string()));
            }
            if keys.len() == known {
                return Err(Failure::new(Kind::WrongKey, format!("{what} holds no identity")));
            }
        }
        Ok(keys)
    }
}

impl std::fmt::Debug for Keys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Keys")
            .field("identity_files", &self.0.options.identity_files)
            .finish_non_exhaustive()
    }
}

fn unusable(failure: Failure) -> Failure {
    failure.with_kind(Kind::WrongKey)
}

fn scrypt_identity(passphrase: &Secret) -> scrypt::Identity {
    let mut identity = scrypt::Identity::new(SecretString::from(passphrase.expose()));
    identity.set_max_work_factor(SCRYPT_LOG_N_MAX);
    identity
}

fn read_identity_file(path: &Path) -> Result<Vec<u8>> {
    let doing = || format!("read the identity file `{}`", path.display());
    let mut content = Vec::new();
    std::fs::File::open(path)
        .and_then(|file| {
            BufReader::new(file)
                .take(IDENTITY_FILE_BYTES_MAX)
                .read_to_end(&mut content)
        })
        .doing(doing)
        .map_err(|failure| unusable(failure).hint("Check the path and its permissions: --identity, BACKUP_IDENTITY"))?;
    Ok(content)
}

/// A public key, `age1…`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PublicKey(pub String);

/// Makes a new identity: its secret text and its public key.
#[must_use]
pub fn generate_identity() -> (Secret, PublicKey) {
    let identity = x25519::Identity::generate();
    let secret = Secret::new(identity.to_string().expose_secret());
    (secret, PublicKey(identity.to_public().to_string()))
}

/// Encrypts the content of an identity file by a passphrase, as `age -p` does.
///
/// # Errors
/// [`Kind::Config`] if the passphrase is empty.
pub fn protect(content: &[u8], passphrase: Secret) -> Result<Vec<u8>> {
    let mut writer = super::Sealer::new(Vec::new(), Some(&Recipients::of_passphrase(passphrase)?))?;
    std::io::Write::write_all(&mut writer, content).map_err(|error| from_io("encrypt the identity", error))?;
    writer.finish()
}
