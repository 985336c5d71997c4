//! The stream of the HTTP phase, whose peer must take what it is sent: a slow reader is cut off.
//!
//! hyper has a deadline for heads, and the engine has one for bodies; nobody else watches a client that
//! asks for much and reads little. What waits for such a client is bounded, but its connection is not, so
//! there is a deadline for every bufferful.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::clock;
use crate::wheel::{Rounding, Timer};

/// Milliseconds that a byte which was taken adds to the deadline: slower than 1 KB/s is no network.
const PER_BYTE: u64 = 1;

/// The most bytes that a stream holds back of what it has taken, and that add to the deadline when it starts.
const HELD_BACK: u64 = 64 * 1024;

/// The stream, with the deadline of what is being written.
#[derive(Debug)]
pub(crate) struct Patient<S> {
    stream: S,
    patience: u64,
    /// What the stream has taken since it was last empty: a TCP socket is at once, and TLS holds some of it.
    held: u64,
    /// When the client must have taken what it was sent, if it does not at once.
    deadline: Option<u64>,
    timer: Timer,
}

impl<S> Patient<S> {
    /// Cuts the peer off when it has not taken what it is sent for `patience`, and a second more for each
    /// KB that it did take meanwhile.
    pub(crate) fn new(stream: S, patience: Duration) -> Self {
        let patience = u64::try_from(patience.as_millis()).unwrap_or(u64::MAX);
        Self { stream, patience, held: 0, deadline: None, timer: Timer::new() }
    }

    pub(crate) fn into_inner(self) -> S {
        self.stream
    }

    fn judge(
        &mut self,
        cx: &mut Context<'_>,
        written: Poll<io::Result<usize>>,
    ) -> Poll<io::Result<usize>> {
        match &written {
            Poll::Ready(Ok(count)) => {
                let count = *count as u64;
                self.held = self.held.saturating_add(count).min(HELD_BACK);
                if let Some(deadline) = &mut self.deadline {
                    *deadline = deadline.saturating_add(count * PER_BYTE);
                }
            }
            Poll::Ready(Err(_)) => {}
            Poll::Pending => self.wait(cx, self.patience)?,
        }
        written
    }

    /// The client takes nothing: an error if its time is over. Where that has not begun, it begins now.
    fn wait(&mut self, cx: &mut Context<'_>, patience: u64) -> io::Result<()> {
        let from_now = || clock::now().saturating_add(patience);
        let deadline = *self.deadline.get_or_insert_with(from_now);
        if self.timer.poll(cx, deadline, Rounding::Up).is_ready() {
            let slow = "the client does not take what it is sent";
            return Err(io::Error::new(io::ErrorKind::TimedOut, slow));
        }
        Ok(())
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Patient<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buffer)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Patient<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(cx, bytes);
        self.judge(cx, written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(cx, slices);
        self.judge(cx, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    /// hyper flushes when its buffer is empty: all was taken, unless the stream holds some of it back.
    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = Pin::new(&mut self.stream).poll_flush(cx);
        if flushed.is_pending() {
            let patience = self.patience.saturating_add(self.held * PER_BYTE);
            self.wait(cx, patience)?;
        } else {
            self.held = 0;
            self.deadline = None;
            self.timer.cancel();
        }
        flushed
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
