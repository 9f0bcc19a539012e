//! Encryption by age: for whom, with which keys, as a stream and by ranges.
//!
//! An age file is a header, which holds a random file key once for each recipient, and a payload of chunks of 64 KiB, each
//! encrypted and authenticated by itself and by its place.

mod chunks;
mod keys;
mod open;
mod recipients;
mod sealer;

pub use chunks::Chunks;
pub(super) use chunks::stored_range_in;
pub use keys::{Ask, Keys, KeysOptions, PublicKey, generate_identity, protect};
pub use open::{OpenReader, Sealed, Unlocked, is_age, read_header};
pub use recipients::{PASSPHRASE_RECIPIENT, Recipients};
pub use sealer::Sealer;

/// How much plaintext a chunk holds, in bytes; only the last one holds less.
const CHUNK_BYTES: u64 = 64 * 1024;

/// How much longer a chunk is when encrypted, in bytes.
const TAG_BYTES: u64 = 16;

/// The longest header that is read, in bytes. A recipient takes some 100 bytes of it, a post-quantum one some 2,000.
const HEADER_BYTES_MAX: u64 = 1024 * 1024;

/// The work factor of passphrases, as a power of two. It takes 64 MiB of memory for a moment, half of what a run may take.
const SCRYPT_LOG_N: u8 = 16;

/// The highest work factor that is read, as a power of two: four times what age itself writes. It takes 1 GiB of memory for a
/// moment; more might be an attempt to exhaust this machine.
const SCRYPT_LOG_N_MAX: u8 = 20;

#[cfg(test)]
mod tests;
