//! Passes a stream on, encrypted if there is somebody to encrypt for.

use std::io::{self, Write};

use age::stream::StreamWriter;

use super::Recipients;
use crate::base::failure::{Result, from_io};

/// A writer that encrypts, or does nothing.
///
/// If it is dropped before [`Sealer::finish`], what was encrypted has no end and cannot be decrypted.
pub enum Sealer<W: Write> {
    /// As it is.
    Plain(W),
    /// As an age file.
    Age(Box<StreamWriter<W>>),
}

impl<W: Write> Sealer<W> {
    /// Encrypts for the recipients, if there are any; the sink then receives the header at once.
    ///
    /// # Errors
    /// The sink's failures.
    pub fn new(sink: W, recipients: Option<&Recipients>) -> Result<Self> {
        match recipients {
            None => Ok(Self::Plain(sink)),
            Some(recipients) => Ok(Self::Age(Box::new(recipients.encrypt(sink)?))),
        }
    }

    /// Ends the stream and gives the sink back, neither flushed nor finished.
    ///
    /// # Errors
    /// The sink's failures.
    pub fn finish(self) -> Result<W> {
        match self {
            Self::Plain(sink) => Ok(sink),
            Self::Age(writer) => writer
                .finish()
                .map_err(|error| from_io("write the end of the encrypted stream", error)),
        }
    }
}

impl<W: Write> Write for Sealer<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Plain(sink) => sink.write(bytes),
            Self::Age(writer) => writer.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Plain(sink) => sink.flush(),
            Self::Age(writer) => writer.flush(),
        }
    }
}
