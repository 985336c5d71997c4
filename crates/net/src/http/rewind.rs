//! A stream whose first bytes were looked at: they are read again by whoever it is for.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, ReadBuf};

use crate::io::write_through;

/// The most bytes that are looked at: what HTTP/2 begins with (RFC 9113 §3.4).
pub(crate) const MOST: usize = 24;

/// The stream, and what was read of it and has to be read once more. The first read that comes takes
/// all of that, so nothing of it is left when HTTP has read a head.
#[derive(Debug)]
pub(crate) struct Rewind<S> {
    stream: S,
    seen: [u8; MOST],
    next: u8,
    end: u8,
}

impl<S> Rewind<S> {
    /// A stream that nobody has read from.
    pub(crate) fn new(stream: S) -> Self {
        Self { stream, seen: [0; MOST], next: 0, end: 0 }
    }

    #[cfg(feature = "http2")]
    pub(crate) fn get_ref(&self) -> &S {
        &self.stream
    }

    pub(crate) fn into_inner(self) -> S {
        self.stream
    }
}

#[cfg(feature = "http2")]
impl<S: AsyncRead + Unpin> Rewind<S> {
    /// Reads on, to what was looked at: the whole of that, and whether there was more.
    pub(crate) async fn look(&mut self) -> io::Result<(&[u8], bool)> {
        use tokio::io::AsyncReadExt;

        let end = usize::from(self.end);
        let count = self.stream.read(&mut self.seen[end..]).await?;
        self.end += count as u8;
        Ok((&self.seen[..usize::from(self.end)], count > 0))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Rewind<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let (next, end) = (usize::from(self.next), usize::from(self.end));
        if next == end {
            return Pin::new(&mut self.stream).poll_read(cx, buffer);
        }
        let count = buffer.remaining().min(end - next);
        buffer.put_slice(&self.seen[next..next + count]);
        self.next += count as u8;
        // What is there already comes along, so that the reader has the whole of a head at once: for a second
        // read, hyper would double its buffer. What goes wrong here goes wrong again.
        let _ = Pin::new(&mut self.stream).poll_read(cx, buffer);
        Poll::Ready(Ok(()))
    }
}

write_through!(Rewind);
