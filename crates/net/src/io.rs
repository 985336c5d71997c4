//! The byte stream under a connection: a TCP socket where it could be had, else whatever the
//! HTTP server held.

use std::fmt;
use std::io::{self, IoSlice};
use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker};

use tokio::io::{AsyncRead, AsyncWrite, Interest, ReadBuf};
use tokio::net::TcpStream;

/// Any duplex stream.
pub trait Stream: AsyncRead + AsyncWrite + Send {}

impl<T: AsyncRead + AsyncWrite + Send> Stream for T {}

/// The stream of one connection.
pub enum Io {
    /// A TCP socket, without a detour.
    Tcp(TcpStream),
    /// Anything else: TLS, HTTP/2, a Unix socket, a test's pipe.
    Dyn(Pin<Box<dyn Stream>>),
}

impl Io {
    pub(crate) fn poll_read(
        &mut self,
        cx: &mut Context<'_>,
        buffer: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        let mut buffer = ReadBuf::new(buffer);
        let polled = match self {
            Self::Tcp(stream) => Pin::new(stream).poll_read(cx, &mut buffer),
            Self::Dyn(stream) => stream.as_mut().poll_read(cx, &mut buffer),
        };
        polled.map_ok(|()| buffer.filled().len())
    }

    pub(crate) fn poll_write(
        &mut self,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match (self, slices) {
            (Self::Tcp(stream), [one]) => Pin::new(stream).poll_write(cx, one),
            (Self::Tcp(stream), many) => Pin::new(stream).poll_write_vectored(cx, many),
            (Self::Dyn(stream), [one]) => stream.as_mut().poll_write(cx, one),
            (Self::Dyn(stream), many) => stream.as_mut().poll_write_vectored(cx, many),
        }
    }

    /// A TCP socket has no buffer of its own; other streams may hold bytes back until asked.
    pub(crate) fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self {
            Self::Tcp(_) => Poll::Ready(Ok(())),
            Self::Dyn(stream) => stream.as_mut().poll_flush(cx),
        }
    }

    pub(crate) fn poll_shutdown(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self {
            Self::Tcp(stream) => Pin::new(stream).poll_shutdown(cx),
            Self::Dyn(stream) => stream.as_mut().poll_shutdown(cx),
        }
    }

    /// Whether the peer is known to have shut down its side, without reading what came before.
    ///
    /// Only a TCP socket knows; there is no wake-up for it while unread bytes wait, so it is asked
    /// from time to time.
    pub(crate) fn is_hung_up(&self) -> bool {
        let Self::Tcp(stream) = self else { return false };
        let ready = pin!(stream.ready(Interest::READABLE));
        match ready.poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(Ok(ready)) => ready.is_read_closed(),
            Poll::Ready(Err(_)) => true,
            Poll::Pending => false,
        }
    }
}

impl From<TcpStream> for Io {
    fn from(stream: TcpStream) -> Self {
        Self::Tcp(stream)
    }
}

impl fmt::Debug for Io {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(stream) => f.debug_tuple("Tcp").field(stream).finish(),
            Self::Dyn(_) => f.write_str("Dyn(..)"),
        }
    }
}
