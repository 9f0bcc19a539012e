//! `key`: makes keys for encryption, and tells their public halves.

use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use clap::{Args as ClapArgs, Subcommand};

use super::assemble;
use super::help;
use crate::base::cancel::Cancel;
use crate::base::failure::{Failure, IoContext, Kind, Result};
use crate::base::secret::Secret;
use crate::config::{Environment, Flags, Loaded, Secrets, Settings, first_problem};
use crate::pipeline::crypt::{Keys, KeysOptions, PublicKey, generate_identity, protect};
use crate::ui::Console;

/// Make keys for encryption, and tell their public halves
///
/// The machine that makes backups needs only the public key (--recipient); whoever restores needs the file of the secret
/// key (--identity). Keys and files are those of age: age, rage and age-keygen read them.
#[derive(Clone, Debug, ClapArgs)]
#[command(after_long_help = help::closing("key"), arg_required_else_help = true)]
pub struct Args {
    /// What to do.
    #[command(subcommand)]
    pub action: Action,
}

/// What to do with keys.
#[derive(Clone, Debug, Subcommand)]
pub enum Action {
    /// Make a key pair
    ///
    /// Keep the file in a safe place, apart from the backups and from the machine that makes them: what is encrypted for it
    /// is lost with it.
    #[command(after_long_help = help::closing("key generate"))]
    Generate {
        /// The file to write, readable by its owner only; one that exists is never overwritten [default: standard output]
        #[arg(long, short, value_name = "FILE", value_hint = clap::ValueHint::FilePath)]
        output: Option<PathBuf>,

        /// Encrypt the file by a passphrase: that of the settings, else it is asked for
        #[arg(long, requires = "output")]
        passphrase: bool,
    },

    /// Print the public keys of a file of secret keys
    #[command(after_long_help = help::closing("key public"), visible_alias = "show")]
    Public {
        /// The file
        #[arg(value_name = "FILE", value_hint = clap::ValueHint::FilePath)]
        file: PathBuf,
    },
}

/// What the command works with.
pub struct Surroundings<'a> {
    /// The command line.
    pub flags: &'a Flags,
    /// The variables.
    pub environment: &'a Environment,
    /// Where answers go.
    pub console: &'a Console,
    /// Set by a signal.
    pub cancel: &'a Cancel,
}

/// Does it.
///
/// # Errors
/// [`Kind::Refused`] rather than overwrite a file; [`Kind::WrongKey`] for a file that holds no key.
pub fn run(args: &Args, around: &Surroundings<'_>) -> Result<()> {
    match &args.action {
        Action::Generate { output, passphrase } => generate(output.as_deref(), *passphrase, around),
        Action::Public { file } => public(file, around),
    }
}

fn generate(output: Option<&Path>, is_protected: bool, around: &Surroundings<'_>) -> Result<()> {
    let console = around.console;
    let (secret, PublicKey(public)) = generate_identity();
    let now = jiff::Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ");
    let text = format!("# created: {now}\n# public key: {public}\n{}\n", secret.expose());
    let Some(path) = output else {
        return match console.is_json() {
            true => console.answer_json(&serde_json::json!({ "public_key": public, "identity": secret.expose() })),
            false => console.answer(&text),
        };
    };
    let content = match is_protected {
        true => protect(text.as_bytes(), new_passphrase(around)?)?,
        false => text.into_bytes(),
    };
    write_new(path, &content)?;
    match console.is_json() {
        true => console.answer_json(&serde_json::json!({ "public_key": public, "file": path.to_string_lossy() })),
        false => console.answer(&format!("Public key: {public}\n")),
    }
}

/// Writes a file that did not exist, for its owner only.
fn write_new(path: &Path, content: &[u8]) -> Result<()> {
    let doing = || format!("write `{}`", path.display());
    let mut file = std::fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)
        .map_err(|error| match error.kind() {
            std::io::ErrorKind::AlreadyExists => Failure::new(
                Kind::Refused,
                format!("`{}` exists already, and a key is never overwritten", path.display()),
            )
            .hint("Choose another path: what is encrypted for a key that is lost cannot be read any more"),
            _ => crate::base::failure::io_failure(doing(), error)
                .with_kind(Kind::Failed)
                .hint("Make the folder first, or choose a path that this user may write"),
        })?;
    file.write_all(content).and_then(|()| file.sync_all()).doing(doing)
}

fn settings(around: &Surroundings<'_>) -> Result<Settings> {
    let loaded = Loaded::load(around.flags, around.environment.clone()).map_err(first_problem)?;
    let profile = loaded.runs().into_iter().next().flatten();
    loaded
        .settings(around.flags, profile, Secrets::Leave)
        .map_err(first_problem)
}

/// The passphrase of the settings, or one that is typed twice.
fn new_passphrase(around: &Surroundings<'_>) -> Result<Secret> {
    if let Some(source) = settings(around)?.passphrase.value {
        return source.read();
    }
    let ask = |prompt| around.console.ask_passphrase(prompt, around.cancel);
    match (ask("Passphrase for the new key")?, ask("The same again")?) {
        (Some(first), Some(second)) if first.expose() == second.expose() => Ok(first),
        (Some(_), _) => Err(Failure::new(Kind::Refused, "The two passphrases differ")),
        (None, _) => Err(Failure::new(Kind::Usage, "No passphrase was given").hint(
            "Set BACKUP_PASSPHRASE_FILE or BACKUP_PASSPHRASE_COMMAND, or run it on a terminal, where it is asked for",
        )),
    }
}

fn public(file: &Path, around: &Surroundings<'_>) -> Result<()> {
    let plain = KeysOptions {
        identity_files: vec![file.to_owned()],
        ..KeysOptions::default()
    };
    // The settings are only asked for what a file that is encrypted needs.
    let keys = match Keys::new(plain.clone()).public_keys() {
        Err(failure) if failure.kind() == Kind::WrongKey => Keys::new(KeysOptions {
            passphrase: settings(around)?.passphrase.value,
            ask: Some(assemble::ask(around.console, around.cancel)),
            ..plain
        })
        .public_keys()?,
        found => found?,
    };
    let keys: Vec<String> = keys.into_iter().map(|PublicKey(key)| key).collect();
    match around.console.is_json() {
        true => around.console.answer_json(&serde_json::json!({ "public_keys": keys })),
        false => around.console.answer(&format!("{}\n", keys.join("\n"))),
    }
}
