//! For whom something is encrypted.

use std::io::Write;

use age::secrecy::SecretString;
use age::stream::StreamWriter;
use age::{Encryptor, scrypt, x25519};

use super::SCRYPT_LOG_N;
use crate::base::failure::{Failure, Kind, Result, from_io};
use crate::base::secret::Secret;

/// What stands for a passphrase in a list of recipients.
pub const PASSPHRASE_RECIPIENT: &str = "passphrase";

/// Those who will be able to decrypt: the holders of some keys, or whoever knows a passphrase.
#[derive(Clone)]
pub struct Recipients(Kinds);

#[derive(Clone)]
enum Kinds {
    Keys(Vec<x25519::Recipient>),
    Passphrase(Secret),
}

impl Recipients {
    /// The holders of these public keys, each `age1…`.
    ///
    /// # Errors
    /// [`Kind::Config`] if one of them is not a public key, or there is none.
    pub fn of_keys<S: AsRef<str>>(texts: &[S]) -> Result<Self> {
        let mut keys: Vec<x25519::Recipient> = Vec::with_capacity(texts.len());
        for text in texts {
            let key = parse(text.as_ref())?;
            if !keys.contains(&key) {
                keys.push(key);
            }
        }
        match keys.is_empty() {
            true => Err(Failure::new(Kind::Config, "There is no recipient to encrypt for")),
            false => Ok(Self(Kinds::Keys(keys))),
        }
    }

    /// Whoever knows the passphrase.
    ///
    /// # Errors
    /// [`Kind::Config`] if it is empty.
    pub fn of_passphrase(passphrase: Secret) -> Result<Self> {
        match passphrase.expose().is_empty() {
            true => Err(Failure::new(Kind::Config, "The passphrase is empty")
                .hint("Look at what was to give it: BACKUP_PASSPHRASE, its _FILE or _COMMAND, or the profile")),
            false => Ok(Self(Kinds::Passphrase(passphrase))),
        }
    }

    /// The public keys of a recipients file: one a line, with comments after `#`.
    ///
    /// # Errors
    /// [`Kind::Config`] if a line is not a public key, or there is none.
    pub fn read_file(path: &std::path::Path) -> Result<Vec<String>> {
        let failed = |failure: Failure| failure.with_kind(Kind::Config);
        let text = std::fs::read_to_string(path)
            .map_err(|error| failed(from_io(format!("read the recipients file `{}`", path.display()), error)))?;
        let keys: Vec<String> = text
            .lines()
            .map(str::trim)
            .filter(|line| !line.is_empty() && !line.starts_with('#'))
            .map(str::to_owned)
            .collect();
        for key in &keys {
            parse(key).map_err(|failure| failure.context(format!("In the recipients file `{}`", path.display())))?;
        }
        match keys.is_empty() {
            true => Err(Failure::new(
                Kind::Config,
                format!("The recipients file `{}` names nobody", path.display()),
            )
            .hint("It holds one public key a line, as `age-keygen -y` prints it")),
            false => Ok(keys),
        }
    }

    /// Their names, as manifests list them: public keys, or the word `passphrase`.
    #[must_use]
    pub fn names(&self) -> Vec<String> {
        match &self.0 {
            Kinds::Keys(keys) => keys.iter().map(ToString::to_string).collect(),
            Kinds::Passphrase(_) => vec![PASSPHRASE_RECIPIENT.to_owned()],
        }
    }

    /// Begins an age file in `sink`, which receives its header at once. Without [`StreamWriter::finish`] nobody can decrypt
    /// it to its end.
    ///
    /// # Errors
    /// The sink's failures.
    pub fn encrypt<W: Write>(&self, sink: W) -> Result<StreamWriter<W>> {
        let encryptor = match &self.0 {
            Kinds::Keys(keys) => Encryptor::with_recipients(keys.iter().map(|key| key as &dyn age::Recipient)),
            Kinds::Passphrase(passphrase) => {
                let mut recipient = scrypt::Recipient::new(SecretString::from(passphrase.expose()));
                recipient.set_work_factor(SCRYPT_LOG_N);
                Encryptor::with_recipients(std::iter::once(&recipient as &dyn age::Recipient))
            }
        };
        encryptor
            .map_err(|error| {
                Failure::new(Kind::Failed, "Could not encrypt for the recipients").caused_by(anyhow::anyhow!(error))
            })?
            .wrap_output(sink)
            .map_err(|error| from_io("write the header of the encrypted stream", error))
    }
}

fn parse(text: &str) -> Result<x25519::Recipient> {
    let is_secret = text
        .get(..15)
        .is_some_and(|start| start.eq_ignore_ascii_case("AGE-SECRET-KEY-"));
    if is_secret {
        return Err(
            Failure::new(Kind::Config, "A secret key stands where a recipient is expected").hint(
                "A recipient is a public key, age1…; `backup-cli key public FILE` prints it. Treat the secret key as known to others if it was on a command line",
            ),
        );
    }
    text.parse().map_err(|why: &str| {
        Failure::new(Kind::Config, format!("Not a recipient: `{text}`"))
            .caused_by(anyhow::anyhow!(why))
            .hint("A recipient is a public key that begins with age1, as `backup-cli key generate` or age-keygen prints it")
    })
}

impl std::fmt::Debug for Recipients {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Recipients").field(&self.names()).finish()
    }
}
