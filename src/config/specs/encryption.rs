//! Settings: compression and encryption.

use super::super::table::{Chapter, Privacy, Spec};
use super::super::value::Shape;
use super::BASE;

specs! {
    /// How members are made.
    COMPRESSION = {
        key: "compression",
        shape: Shape::Choice(&["gzip", "zstd", "none"]),
        environment: &["BACKUP_COMPRESSION"],
        default: Some("gzip"),
        chapter: Chapter::Transfer,
        doc: "How backups are compressed: gzip, zstd or none.",
        example: r#""zstd""#,
    }
    /// The level of the codec.
    LEVEL = {
        key: "level",
        shape: Shape::Integer { min: 1, max: 19 },
        environment: &["BACKUP_LEVEL"],
        chapter: Chapter::Transfer,
        unset: "6 for gzip, 3 for zstd",
        doc: "The level of compression, from 1 (fast) to 12 (small) for gzip, to 19 for zstd.",
        example: "6",
    }
    /// Public keys to encrypt for.
    RECIPIENTS = {
        key: "recipients",
        shape: Shape::List,
        environment: &["BACKUP_RECIPIENT", "BACKUP_RECIPIENTS"],
        chapter: Chapter::Encryption,
        doc: "Encrypt backups for the holders of these public keys of age.",
        example: r#"["age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p"]"#,
    }
    /// Files of public keys.
    RECIPIENTS_FILES = {
        key: "recipients-files",
        shape: Shape::Paths,
        environment: &["BACKUP_RECIPIENTS_FILE", "BACKUP_RECIPIENTS_FILES"],
        chapter: Chapter::Encryption,
        doc: "Files of such public keys, one a line.",
        example: r#"["/etc/backup-cli/recipients"]"#,
    }
    /// A passphrase to encrypt and to decrypt by.
    PASSPHRASE = {
        key: "passphrase",
        environment: &["BACKUP_PASSPHRASE"],
        privacy: Privacy::Secret,
        chapter: Chapter::Encryption,
        unset: "asked for on a terminal where one is needed to decrypt",
        doc: "A passphrase: backups are encrypted by it if there are no recipients; it opens such backups, and identity files that are encrypted by it.",
        example: r#""…""#,
    }
    /// Files of secret keys.
    IDENTITIES = {
        key: "identities",
        shape: Shape::Paths,
        environment: &["BACKUP_IDENTITIES"],
        chapter: Chapter::Encryption,
        doc: "Files of secret keys of age, which open encrypted backups; only needed to read.",
        example: r#"["/root/backup-key.txt"]"#,
    }
    /// A secret key, or the file that holds it.
    IDENTITY = {
        key: "identity",
        environment: &["BACKUP_IDENTITY"],
        privacy: Privacy::Secret,
        chapter: Chapter::Encryption,
        doc: "A further secret key: AGE-SECRET-KEY-1…, or the path of a file of such keys.",
        example: r#""/root/backup-key.txt""#,
    }
}
