//! The stored stream, with a look ahead and a count.

use std::io::{self, BufRead, Read};

use crate::base::failure::{Failure, from_io};

/// How much is read at once where nobody asks for more.
const BUFFER_BYTES: usize = 128 * 1024;

/// A buffered reader that knows where it is and whether the input itself has failed.
pub(super) struct Input<R> {
    inner: R,
    buffer: Vec<u8>,
    begin: usize,
    end: usize,
    offset: u64,
    failed: bool,
}

impl<R: Read> Input<R> {
    pub(super) fn new(inner: R) -> Self {
        Self {
            inner,
            buffer: vec![0; BUFFER_BYTES],
            begin: 0,
            end: 0,
            offset: 0,
            failed: false,
        }
    }

    /// How many bytes have been consumed.
    pub(super) fn offset(&self) -> u64 {
        self.offset
    }

    /// Whether the inner reader has failed; what a decoder says of the data is not the point then.
    pub(super) fn has_failed(&self) -> bool {
        self.failed
    }

    pub(super) fn into_inner(self) -> R {
        self.inner
    }

    /// The next bytes, without consuming them: `count`, fewer only at the end.
    pub(super) fn peek(&mut self, count: usize) -> Result<&[u8], Option<Failure>> {
        if self.end - self.begin < count {
            self.buffer.copy_within(self.begin..self.end, 0);
            (self.begin, self.end) = (0, self.end - self.begin);
            while self.end < count {
                let got = self.read_inner_at_end().map_err(failed)?;
                if got == 0 {
                    break;
                }
                self.end += got;
            }
        }
        Ok(&self.buffer[self.begin..self.end.min(self.begin + count)])
    }

    /// Appends the next `count` bytes to `target`, fewer only at the end.
    pub(super) fn read_into(&mut self, target: &mut Vec<u8>, count: usize) -> Result<(), Option<Failure>> {
        let buffered = count.min(self.end - self.begin);
        target.extend_from_slice(&self.buffer[self.begin..self.begin + buffered]);
        self.consume(buffered);
        let left = (count - buffered) as u64;
        if left > 0 {
            let read = (&mut self.inner).take(left).read_to_end(target);
            self.failed |= read.is_err();
            self.offset += read.map_err(failed)? as u64;
        }
        Ok(())
    }

    fn read_inner_at_end(&mut self) -> io::Result<usize> {
        loop {
            match self.inner.read(&mut self.buffer[self.end..]) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                result => {
                    self.failed |= result.is_err();
                    return result;
                }
            }
        }
    }
}

fn failed(error: io::Error) -> Option<Failure> {
    Some(from_io("read the stored stream", error))
}

impl<R: Read> Read for Input<R> {
    fn read(&mut self, target: &mut [u8]) -> io::Result<usize> {
        let buffered = self.fill_buf()?;
        let count = buffered.len().min(target.len());
        target[..count].copy_from_slice(&buffered[..count]);
        self.consume(count);
        Ok(count)
    }
}

impl<R: Read> BufRead for Input<R> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if self.begin == self.end {
            (self.begin, self.end) = (0, 0);
            self.end = self.read_inner_at_end()?;
        }
        Ok(&self.buffer[self.begin..self.end])
    }

    fn consume(&mut self, count: usize) {
        self.begin += count;
        self.offset += count as u64;
    }
}
