//! The byte stream under a connection: a TCP socket where it could be had, else whatever the
//! HTTP server held.

use std::fmt;
use std::io::{self, IoSlice};
use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker};

use tokio::io::{AsyncRead, AsyncWrite, Interest, ReadBuf};
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};

use crate::addresses::Admission;
#[cfg(feature = "http2")]
use crate::http2;
#[cfg(feature = "tls")]
use crate::tls;

/// Writes go to the field `stream` of a struct that is generic in it, as they are.
macro_rules! write_through {
    ($outer:ident) => {
        impl<S: tokio::io::AsyncWrite + Unpin> tokio::io::AsyncWrite for $outer<S> {
            fn poll_write(
                mut self: Pin<&mut Self>,
                cx: &mut Context<'_>,
                bytes: &[u8],
            ) -> Poll<io::Result<usize>> {
                Pin::new(&mut self.stream).poll_write(cx, bytes)
            }

            fn poll_write_vectored(
                mut self: Pin<&mut Self>,
                cx: &mut Context<'_>,
                slices: &[io::IoSlice<'_>],
            ) -> Poll<io::Result<usize>> {
                Pin::new(&mut self.stream).poll_write_vectored(cx, slices)
            }

            fn is_write_vectored(&self) -> bool {
                self.stream.is_write_vectored()
            }

            fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
                Pin::new(&mut self.stream).poll_flush(cx)
            }

            fn poll_shutdown(
                mut self: Pin<&mut Self>,
                cx: &mut Context<'_>,
            ) -> Poll<io::Result<()>> {
                Pin::new(&mut self.stream).poll_shutdown(cx)
            }
        }
    };
}

pub(crate) use write_through;

/// Any duplex stream.
pub trait Stream: AsyncRead + AsyncWrite + Send {}

impl<T: AsyncRead + AsyncWrite + Send> Stream for T {}

/// The stream of one connection, as it is handed over.
pub struct Io {
    kind: Kind,
    /// What the connection counts for, as long as it lives.
    admission: Option<Box<Admission>>,
}

enum Kind {
    /// A TCP socket, without a detour.
    Tcp(TcpStream),
    Whole(Whole),
}

/// A stream that is not taken apart: both directions go through it.
#[derive(Debug)]
enum Whole {
    /// TLS over a TCP socket.
    #[cfg(feature = "tls")]
    Tls(tls::Stream<TcpStream>),
    /// One of HTTP/2's.
    #[cfg(feature = "http2")]
    Http2(Box<http2::Stream>),
    /// Anything else.
    Dyn(Boxed),
}

/// Another server's HTTP/2, a Unix socket, a test's pipe. A pointer to the wide one, which would make every
/// driver wider.
struct Boxed(Box<Pin<Box<dyn Stream>>>);

impl Whole {
    fn as_stream(&mut self) -> Pin<&mut dyn Stream> {
        match self {
            #[cfg(feature = "tls")]
            Self::Tls(stream) => Pin::<&mut tls::Stream<TcpStream>>::new(stream),
            #[cfg(feature = "http2")]
            Self::Http2(stream) => Pin::<&mut http2::Stream>::new(stream),
            Self::Dyn(Boxed(stream)) => stream.as_mut().as_mut(),
        }
    }

    fn is_write_vectored(&self) -> bool {
        match self {
            #[cfg(feature = "tls")]
            Self::Tls(stream) => stream.is_write_vectored(),
            #[cfg(feature = "http2")]
            Self::Http2(stream) => stream.is_write_vectored(),
            Self::Dyn(Boxed(stream)) => stream.is_write_vectored(),
        }
    }
}

impl Kind {
    fn as_stream(&mut self) -> Pin<&mut dyn Stream> {
        match self {
            Self::Tcp(stream) => Pin::<&mut TcpStream>::new(stream),
            Self::Whole(whole) => whole.as_stream(),
        }
    }
}

impl Io {
    /// A stream that is neither a TCP socket nor TLS over one: another server's HTTP/2, a Unix socket, a test's pipe.
    pub fn boxed(stream: impl Stream + 'static) -> Self {
        Self { kind: Kind::Whole(Whole::Dyn(Boxed(Box::new(Box::pin(stream))))), admission: None }
    }

    /// Lets the connection count for this until it ends, whoever holds it by then.
    pub(crate) fn admitted(self, admission: Option<Admission>) -> Self {
        Self { admission: admission.map(Box::new), ..self }
    }

    /// The protocol that TLS has agreed on, if there was TLS and it spoke of one.
    pub fn alpn(&self) -> Option<&[u8]> {
        #[cfg(feature = "tls")]
        if let Kind::Whole(Whole::Tls(stream)) = &self.kind {
            return stream.alpn();
        }
        None
    }

    /// Whether it is TLS of ours.
    pub(crate) fn is_secure(&self) -> bool {
        #[cfg(feature = "tls")]
        if let Kind::Whole(Whole::Tls(_)) = &self.kind {
            return true;
        }
        false
    }

    /// The input, and the output where it can be separated.
    pub(crate) fn split(self) -> (Input, Option<OwnedWriteHalf>) {
        let Self { kind, admission } = self;
        let (source, half) = match kind {
            Kind::Tcp(stream) => {
                let (reader, writer) = stream.into_split();
                (Source::Tcp(reader), Some(writer))
            }
            Kind::Whole(whole) => (Source::Whole(whole), None),
        };
        (Input { source, _admission: admission }, half)
    }
}

impl AsyncRead for Io {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.get_mut().kind.as_stream().poll_read(cx, buffer)
    }
}

impl AsyncWrite for Io {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.get_mut().kind.as_stream().poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.get_mut().kind.as_stream().poll_write_vectored(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        match &self.kind {
            Kind::Tcp(stream) => stream.is_write_vectored(),
            Kind::Whole(whole) => whole.is_write_vectored(),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.get_mut().kind.as_stream().poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.get_mut().kind.as_stream().poll_shutdown(cx)
    }
}

/// The reading side of a connection; of a stream that cannot be split, both.
pub(crate) struct Input {
    source: Source,
    _admission: Option<Box<Admission>>,
}

enum Source {
    Tcp(OwnedReadHalf),
    Whole(Whole),
}

impl Input {
    pub(crate) fn poll_read(
        &mut self,
        cx: &mut Context<'_>,
        buffer: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        let mut buffer = ReadBuf::new(buffer);
        let polled = match &mut self.source {
            Source::Tcp(half) => Pin::new(half).poll_read(cx, &mut buffer),
            Source::Whole(whole) => whole.as_stream().poll_read(cx, &mut buffer),
        };
        polled.map_ok(|()| buffer.filled().len())
    }

    /// Whether the peer is known to have shut down its side, without reading what came before.
    ///
    /// Only a TCP socket knows, also one below TLS, and a stream of HTTP/2; there is no wake-up for it while unread bytes wait, so it is asked
    /// from time to time.
    pub(crate) fn is_hung_up(&mut self, cx: &mut Context<'_>) -> bool {
        #[cfg(not(feature = "http2"))]
        let _ = cx;
        let socket: &TcpStream = match &mut self.source {
            Source::Tcp(half) => (*half).as_ref(),
            #[cfg(feature = "tls")]
            Source::Whole(Whole::Tls(stream)) => stream.get_ref(),
            #[cfg(feature = "http2")]
            Source::Whole(Whole::Http2(stream)) => return stream.is_hung_up(cx),
            Source::Whole(Whole::Dyn(_)) => return false,
        };
        let ready = pin!(socket.ready(Interest::READABLE));
        match ready.poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(Ok(ready)) => ready.is_read_closed(),
            Poll::Ready(Err(_)) => true,
            Poll::Pending => false,
        }
    }
}

/// Where bytes go out.
pub(crate) trait Sink {
    /// Writes some of the slices' bytes.
    fn poll_write(
        &mut self,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>>;

    /// A TCP socket has no buffer of its own; other streams may hold bytes back until asked.
    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>>;

    /// Ends the output.
    fn poll_shutdown(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>>;
}

fn write<W: AsyncWrite + ?Sized>(
    to: Pin<&mut W>,
    cx: &mut Context<'_>,
    slices: &[IoSlice<'_>],
) -> Poll<io::Result<usize>> {
    match slices {
        [one] => to.poll_write(cx, one),
        many => to.poll_write_vectored(cx, many),
    }
}

impl Sink for Input {
    fn poll_write(
        &mut self,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match &mut self.source {
            Source::Tcp(_) => Poll::Ready(Err(io::ErrorKind::NotConnected.into())),
            Source::Whole(whole) => write(whole.as_stream(), cx, slices),
        }
    }

    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.source {
            Source::Tcp(_) => Poll::Ready(Ok(())),
            Source::Whole(whole) => whole.as_stream().poll_flush(cx),
        }
    }

    fn poll_shutdown(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.source {
            Source::Tcp(_) => Poll::Ready(Ok(())),
            Source::Whole(whole) => whole.as_stream().poll_shutdown(cx),
        }
    }
}

impl Sink for OwnedWriteHalf {
    fn poll_write(
        &mut self,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        write(Pin::new(self), cx, slices)
    }

    fn poll_flush(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        AsyncWrite::poll_shutdown(Pin::new(self), cx)
    }
}

impl From<TcpStream> for Io {
    fn from(stream: TcpStream) -> Self {
        Self { kind: Kind::Tcp(stream), admission: None }
    }
}

#[cfg(feature = "http2")]
impl From<http2::Stream> for Io {
    fn from(stream: http2::Stream) -> Self {
        Self { kind: Kind::Whole(Whole::Http2(Box::new(stream))), admission: None }
    }
}

#[cfg(feature = "tls")]
impl From<tls::Stream<TcpStream>> for Io {
    fn from(stream: tls::Stream<TcpStream>) -> Self {
        Self { kind: Kind::Whole(Whole::Tls(stream)), admission: None }
    }
}

impl fmt::Debug for Io {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.kind {
            Kind::Tcp(stream) => f.debug_tuple("Tcp").field(stream).finish(),
            Kind::Whole(whole) => whole.fmt(f),
        }
    }
}

impl fmt::Debug for Input {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.source {
            Source::Tcp(half) => f.debug_tuple("Tcp").field(half).finish(),
            Source::Whole(whole) => whole.fmt(f),
        }
    }
}

impl fmt::Debug for Boxed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("..")
    }
}
