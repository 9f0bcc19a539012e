//! The connection and the bodies that go through it: counted, cut short, made to stand still.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use hyper::body::{Body, Frame, Incoming, SizeHint};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::Sleep;

use super::plan::{InFlight, Live};

type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// A connection that can end with a reset instead of an orderly close.
#[derive(Debug)]
pub struct Wire {
    stream: TcpStream,
    ends: Arc<Ends>,
    /// What is still to be sent before anything else is.
    again: Vec<u8>,
}

/// How a connection is to go on or to end, as its requests decide.
#[derive(Debug, Default)]
pub struct Ends {
    /// It ends with a reset.
    pub reset: AtomicBool,
    /// What is written next is written twice.
    pub twice: AtomicBool,
}

impl Wire {
    pub fn new(stream: TcpStream, ends: Arc<Ends>) -> Self {
        Self {
            stream,
            ends,
            again: Vec::new(),
        }
    }

    fn poll_again(&mut self, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        while !self.again.is_empty() {
            let count = std::task::ready!(Pin::new(&mut self.stream).poll_write(cx, &self.again))?;
            self.again.drain(..count);
        }
        Poll::Ready(Ok(()))
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        if self.ends.reset.load(Ordering::SeqCst) {
            // With no time to linger the kernel sends a reset and throws unsent bytes away.
            let _ = self.stream.set_zero_linger();
        }
    }
}

impl AsyncRead for Wire {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl AsyncWrite for Wire {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<std::io::Result<usize>> {
        std::task::ready!(self.poll_again(cx))?;
        let count = std::task::ready!(Pin::new(&mut self.stream).poll_write(cx, buf))?;
        if count > 0 && self.ends.twice.swap(false, Ordering::SeqCst) {
            self.again.extend_from_slice(&buf[..count]);
        }
        Poll::Ready(Ok(count))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        std::task::ready!(self.poll_again(cx))?;
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        if self.ends.reset.load(Ordering::SeqCst) {
            // A goodbye would tell the peer of the end before the reset does.
            return Poll::Ready(Ok(()));
        }
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

/// A request's body that is counted as it is read.
#[derive(Debug)]
pub struct Received {
    pub inner: Incoming,
    pub live: Arc<Live>,
    /// The byte that arrives as another one.
    pub flip_at_byte: Option<u64>,
}

impl Body for Received {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let mut polled = Pin::new(&mut self.inner).poll_frame(cx);
        if let Poll::Ready(Some(Ok(frame))) = &mut polled {
            let bytes = frame.data_ref().map_or(0, Bytes::len) as u64;
            let before = self.live.received_bytes.fetch_add(bytes, Ordering::SeqCst);
            let position = self.flip_at_byte.and_then(|at| at.checked_sub(before));
            if let Some(position) = position.and_then(|position| usize::try_from(position).ok())
                && let Some(data) = frame.data_mut()
                && position < data.len()
            {
                *data = flipped(data, position);
            }
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

impl Received {
    /// All of it; `None` if it breaks off.
    pub async fn collect(&mut self) -> Option<Vec<u8>> {
        let mut content = Vec::new();
        while let Some(frame) = std::future::poll_fn(|cx| Pin::new(&mut *self).poll_frame(cx)).await {
            content.extend_from_slice(frame.ok()?.data_ref().map_or(&[][..], |data| data));
        }
        Some(content)
    }

    /// Reads on until the body ends or so many bytes have come.
    pub async fn read(&mut self, bytes_max: u64) {
        while self.live.received_bytes.load(Ordering::SeqCst) < bytes_max {
            match std::future::poll_fn(|cx| Pin::new(&mut *self).poll_frame(cx)).await {
                Some(Ok(_)) => {}
                Some(Err(_)) | None => return,
            }
        }
    }
}

/// The bytes with one of them changed.
fn flipped(data: &Bytes, position: usize) -> Bytes {
    let mut changed = data.to_vec();
    changed[position] ^= 0x20;
    changed.into()
}

/// What happens to an answer's body at a certain byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trouble {
    /// The body ends with an error, and with it the connection.
    End,
    /// The next byte is another one.
    Flip,
    /// Nothing comes for a while.
    Pause(Duration),
}

/// An answer's body that is counted as it is handed out, with a trouble at a certain byte.
pub struct Sent {
    inner: Pin<Box<s3s::Body>>,
    live: Arc<Live>,
    trouble: Option<(u64, Trouble)>,
    passed_bytes: u64,
    rest: Option<Bytes>,
    sleep: Option<Pin<Box<Sleep>>>,
    /// What the head says of the length is not to be compared with the body.
    pub is_length_hidden: bool,
    /// The request is in flight until its answer is out.
    _in_flight: InFlight,
}

impl Sent {
    pub fn new(inner: s3s::Body, live: Arc<Live>, trouble: Option<(u64, Trouble)>, in_flight: InFlight) -> Self {
        Self {
            inner: Box::pin(inner),
            live,
            trouble,
            passed_bytes: 0,
            rest: None,
            sleep: None,
            is_length_hidden: false,
            _in_flight: in_flight,
        }
    }

    fn pass(&mut self, data: Bytes) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let bytes = data.len() as u64;
        self.passed_bytes += bytes;
        self.live.sent_bytes.fetch_add(bytes, Ordering::SeqCst);
        Poll::Ready(Some(Ok(Frame::data(data))))
    }
}

impl Body for Sent {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        /// So long the bytes before an early end have to leave this machine.
        const FLUSH: Duration = Duration::from_millis(50);
        if let Some(sleep) = &mut self.sleep {
            std::task::ready!(sleep.as_mut().poll(cx));
            self.sleep = None;
            if matches!(self.trouble.take(), Some((_, Trouble::End))) {
                return Poll::Ready(Some(Err("the answer is cut short on purpose".into())));
            }
        }
        if let Some((at, trouble)) = self.trouble
            && at == self.passed_bytes
            && let Trouble::End | Trouble::Pause(_) = trouble
        {
            let time = if let Trouble::Pause(time) = trouble {
                time
            } else {
                FLUSH
            };
            self.sleep = Some(Box::pin(tokio::time::sleep(time)));
            return self.poll_frame(cx);
        }
        let mut data = match self.rest.take() {
            Some(data) => data,
            None => match std::task::ready!(self.inner.as_mut().poll_frame(cx)) {
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(data) => data,
                    Err(frame) => return Poll::Ready(Some(Ok(frame))),
                },
                other => return Poll::Ready(other),
            },
        };
        let Some((at, trouble)) = self.trouble else {
            return self.pass(data);
        };
        let room = at - self.passed_bytes.min(at);
        match trouble {
            Trouble::Flip => {
                let position = usize::try_from(room).unwrap_or(usize::MAX);
                if position < data.len() && at >= self.passed_bytes {
                    data = flipped(&data, position);
                    self.trouble = None;
                }
            }
            Trouble::End | Trouble::Pause(_) => {
                let position = usize::try_from(room).unwrap_or(usize::MAX);
                if position < data.len() {
                    self.rest = Some(data.split_off(position));
                }
            }
        }
        self.pass(data)
    }

    fn size_hint(&self) -> SizeHint {
        if self.is_length_hidden {
            return SizeHint::default();
        }
        // The length is promised as if nothing were to go wrong.
        let promised = self.inner.size_hint();
        let rest = self.rest.as_ref().map_or(0, Bytes::len) as u64;
        promised
            .exact()
            .map_or_else(SizeHint::default, |exact| SizeHint::with_exact(exact + rest))
    }
}
