//! How bytes change on their way: cut into members and back, encrypted and back, hashed, gathered into parts, sent and fetched.
//!
//! Everything here is a `Read` or a `Write` with its own threads behind it. Memory is bounded by named constants and by
//! the plan of the parts, whatever the length of the stream. Nothing is ever finished by being dropped: a writer that is
//! dropped leaves no object, a reader that meets damage never reports an end of file.

pub mod check;
pub mod codec;
pub mod crypt;
pub mod deflate;
pub mod digest;
pub mod download;
pub mod fan_out;
mod fetch;
pub mod inflate;
pub mod member;
pub mod plan;
pub mod ranges;
mod stop;
pub mod stored;
pub mod streams;
pub mod upload;
mod workers;

#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;

/// How many threads of this machine may work on members by default: one for each core.
#[must_use]
pub fn default_threads() -> usize {
    std::thread::available_parallelism().map_or(1, std::num::NonZero::get)
}
