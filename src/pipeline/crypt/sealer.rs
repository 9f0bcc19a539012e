//! Passes a stream on, encrypted if there is somebody to encrypt for.

use std::io::{self, Write};
use std::sync::{Arc, Mutex, PoisonError, Weak};

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
    Age(Box<StreamWriter<Sink<W>>>),
}

/// A sink whose error while the header is written is kept: age makes words of it, and with the words alone nobody could
/// tell an interruption from a refusal.
pub struct Sink<W: Write> {
    inner: W,
    kept: Weak<Mutex<Option<io::Error>>>,
}

impl<W: Write> Write for Sink<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let error = match self.inner.write(bytes) {
            Ok(count) => return Ok(count),
            Err(error) => error,
        };
        let Some(kept) = self.kept.upgrade() else {
            return Err(error);
        };
        let kind = error.kind();
        *kept.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
        Err(kind.into())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

impl<W: Write> Sealer<W> {
    /// Encrypts for the recipients, if there are any; the sink then receives the header at once.
    ///
    /// # Errors
    /// The sink's failures.
    pub fn new(sink: W, recipients: Option<&Recipients>) -> Result<Self> {
        match recipients {
            None => Ok(Self::Plain(sink)),
            Some(recipients) => {
                let kept = Arc::new(Mutex::new(None));
                let sink = Sink {
                    inner: sink,
                    kept: Arc::downgrade(&kept),
                };
                let writer = recipients.encrypt(sink).map_err(|failure| {
                    match kept.lock().unwrap_or_else(PoisonError::into_inner).take() {
                        Some(error) => from_io("write the header of the encrypted stream", error),
                        None => failure,
                    }
                })?;
                Ok(Self::Age(Box::new(writer)))
            }
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
                .map(|sink| sink.inner)
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
