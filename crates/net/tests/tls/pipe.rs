//! Streams below TLS that are as bad as streams can be.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, DuplexStream, ReadBuf, duplex};

/// Two ends that hold so many bytes in between.
pub(crate) fn pipe(holding: usize) -> (Pipe, Pipe) {
    let (one, other) = duplex(holding);
    (Pipe::new(one), Pipe::new(other))
}

/// One end.
#[derive(Debug)]
pub(crate) struct Pipe {
    end: DuplexStream,
    /// The most bytes of one read or write; with every other call it is not ready.
    step: Option<usize>,
    /// Whether reading, and writing, is ready when it is asked next.
    ready: [bool; 2],
    /// After so many bytes the output ends.
    cut: Option<usize>,
    /// The byte at this position of the output is flipped.
    flip: Option<usize>,
    written: usize,
    writes: usize,
}

impl Pipe {
    fn new(end: DuplexStream) -> Self {
        Self { end, step: None, ready: [false; 2], cut: None, flip: None, written: 0, writes: 0 }
    }

    /// Gives and takes so much at a time, and is not ready every other time it is asked.
    pub(crate) fn by_steps_of(mut self, bytes: usize) -> Self {
        self.step = Some(bytes);
        self
    }

    /// Ends the output after so many bytes.
    pub(crate) fn cut_after(mut self, bytes: usize) -> Self {
        self.cut = Some(bytes);
        self
    }

    /// Flips a bit of the byte at this position.
    pub(crate) fn flip_at(mut self, position: usize) -> Self {
        self.flip = Some(position);
        self
    }

    /// How many bytes the other end was given.
    pub(crate) fn written(&self) -> usize {
        self.written
    }

    /// By how many writes.
    pub(crate) fn writes(&self) -> usize {
        self.writes
    }

    fn take_turns(&mut self, cx: &Context<'_>, way: usize) -> bool {
        if self.step.is_none() {
            return true;
        }
        let ready = self.ready[way];
        self.ready[way] = !ready;
        if !ready {
            cx.waker().wake_by_ref();
        }
        ready
    }
}

impl AsyncRead for Pipe {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if !self.take_turns(cx, 0) {
            return Poll::Pending;
        }
        let most = self.step.unwrap_or(usize::MAX).min(into.remaining());
        let mut few = vec![0; most];
        let mut few = ReadBuf::new(&mut few);
        let polled = Pin::new(&mut self.end).poll_read(cx, &mut few);
        into.put_slice(few.filled());
        polled
    }
}

impl AsyncWrite for Pipe {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        if !self.take_turns(cx, 1) {
            return Poll::Pending;
        }
        let mut few = bytes[..bytes.len().min(self.step.unwrap_or(usize::MAX))].to_vec();
        if let Some(cut) = self.cut {
            few.truncate(cut - self.written);
            if few.is_empty() {
                let _ = Pin::new(&mut self.end).poll_shutdown(cx);
                return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
            }
        }
        let flipped = self.flip.and_then(|position| position.checked_sub(self.written));
        if let Some(byte) = flipped.and_then(|position| few.get_mut(position)) {
            *byte ^= 1;
        }
        let polled = Pin::new(&mut self.end).poll_write(cx, &few);
        if let Poll::Ready(Ok(count)) = polled {
            self.written += count;
            self.writes += 1;
        }
        polled
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        _: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        unreachable!("TLS has all it sends in one piece")
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.end).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.end).poll_shutdown(cx)
    }
}
