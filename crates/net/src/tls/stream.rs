//! A byte stream through TLS, in either role.

use std::fmt;
use std::future::poll_fn;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::buffers::{BATCH, Buffers, INPUT};
use super::error::Error;
use super::session::{Role, SEALED_RECORD, Session};

/// A stream through TLS: what is written is sealed, what is read was opened, and the handshake is over.
///
/// While it is idle it has no buffer; see the [module](super) for what it costs.
///
/// *End of input*: reading ends with nothing only after the peer has said in TLS that it ends
/// (`close_notify`). A connection that just ends is [`UnexpectedEof`](io::ErrorKind::UnexpectedEof): somebody
/// on the way may have cut it. Whatever else the peer does wrong is
/// [`InvalidData`](io::ErrorKind::InvalidData) with an [`Error`] inside, and the peer is sent the alert for it.
///
/// *Output*: a write takes up to 48 KiB, and leaves as few records as there can be. What the stream below
/// does not take of it waits here, less than 64 KiB, and until it is gone no write takes anything. Flush to
/// know that all is out. Shutting down says `close_notify` and ends the output below; reading goes on.
///
/// *Cancel safety*: no bytes are lost or doubled when a read or a write is dropped.
///
/// It is a pointer: rustls' part of it has more than a kilobyte.
pub struct Stream<S>(Box<Parts<S>>);

struct Parts<S> {
    io: S,
    session: Session,
}

impl<S> Stream<S> {
    /// The protocol that both sides agreed on (RFC 7301), if they spoke of it.
    #[must_use]
    pub fn alpn(&self) -> Option<&[u8]> {
        self.0.session.alpn()
    }

    /// The certificates that the peer has shown, in DER: its own first, then those that lead to its issuer.
    pub fn peer_certificates(&self) -> impl Iterator<Item = &[u8]> {
        self.0.session.peer_certificates()
    }

    /// The stream below.
    #[must_use]
    pub fn get_ref(&self) -> &S {
        &self.0.io
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Stream<S> {
    pub(super) fn new(io: S, role: Role) -> Self {
        Self(Box::new(Parts { io, session: Session::new(role) }))
    }

    /// Shakes hands. Dropped or failed, the stream below is dropped, too.
    pub(super) async fn shake_hands(mut self) -> Result<Self, Error> {
        let parts = &mut *self.0;
        let done = match parts.session.begin() {
            Ok(()) => poll_fn(|cx| parts.poll_handshake(cx)).await,
            Err(error) => Err(error),
        };
        if done.is_err() {
            // The alert is a courtesy: whoever does not take it at once does without.
            poll_fn(|cx| {
                if let Poll::Ready(Ok(())) = parts.poll_unsent(cx) {
                    let _ = Pin::new(&mut parts.io).poll_shutdown(cx);
                }
                Poll::Ready(())
            })
            .await;
        }
        done.map(|()| self)
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Parts<S> {
    fn poll_handshake(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        loop {
            let sent = self.poll_unsent(cx)?;
            if !self.session.is_handshaking() && self.session.may_send_later() {
                return Poll::Ready(Ok(()));
            }
            ready!(sent);
            // The stream below may hold back what the peer waits for.
            ready!(Pin::new(&mut self.io).poll_flush(cx))?;
            if !self.session.is_handshaking() {
                return Poll::Ready(Ok(()));
            }
            ready!(self.poll_receive(cx, &mut ReadBuf::new(&mut [])))?;
        }
    }

    /// Reads from below once, and opens what came.
    fn poll_receive(
        &mut self,
        cx: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<Result<(), Error>> {
        let mut buffers = Buffers::take();
        let received = self.receive_through(cx, into, &mut buffers);
        buffers.put_back();
        received
    }

    fn receive_through(
        &mut self,
        cx: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
        buffers: &mut Buffers,
    ) -> Poll<Result<(), Error>> {
        let carried = self.session.carried();
        // As much as the reader has room for, so that little has to wait here.
        let most = into.remaining().clamp(SEALED_RECORD, INPUT);
        let input = buffers.input(carried + most);
        let mut fresh = ReadBuf::new(&mut input[carried..]);
        ready!(Pin::new(&mut self.io).poll_read(cx, &mut fresh))?;
        match fresh.filled().len() {
            0 => Poll::Ready(self.session.receive_eof().map_err(Error::Io)),
            count => Poll::Ready(self.session.receive(&mut input[..carried + count], into)),
        }
    }

    /// Gives the stream below what it has not taken yet.
    fn poll_unsent(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.session.unsent.is_empty() {
            let unsent = self.session.unsent.as_slice();
            match ready!(Pin::new(&mut self.io).poll_write(cx, unsent)) {
                Ok(0) => {
                    self.session.abandon();
                    return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
                }
                Ok(count) => self.session.unsent.consume(count),
                Err(error) => {
                    self.session.abandon();
                    return Poll::Ready(Err(error));
                }
            }
        }
        Poll::Ready(Ok(()))
    }

    /// Writes what is sealed; what is not taken at once waits in the session.
    fn send(&mut self, cx: &mut Context<'_>, mut sealed: &[u8]) -> io::Result<()> {
        if !self.session.unsent.is_empty() {
            self.session.unsent.push(sealed);
            return match self.poll_unsent(cx) {
                Poll::Ready(Err(error)) => Err(error),
                _ => Ok(()),
            };
        }
        while !sealed.is_empty() {
            let error = match Pin::new(&mut self.io).poll_write(cx, sealed) {
                Poll::Pending => {
                    self.session.unsent.push(sealed);
                    return Ok(());
                }
                Poll::Ready(Ok(0)) => io::ErrorKind::WriteZero.into(),
                Poll::Ready(Ok(count)) => {
                    sealed = &sealed[count..];
                    continue;
                }
                Poll::Ready(Err(error)) => error,
            };
            self.session.abandon();
            return Err(error);
        }
        Ok(())
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncRead for Stream<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self.get_mut().0;
        if into.remaining() == 0 {
            return Poll::Ready(Ok(()));
        }
        loop {
            // What TLS itself has to say must not wait for somebody to write. An error of that is the next
            // write's; there may still be something to read.
            if this.poll_unsent(cx).is_ready() {
                let _ = Pin::new(&mut this.io).poll_flush(cx);
            }
            if this.session.is_readable() {
                return Poll::Ready(this.session.read(into));
            }
            let before = into.filled().len();
            let received = ready!(this.poll_receive(cx, into));
            if into.filled().len() > before {
                // An error behind it is said next time.
                return Poll::Ready(Ok(()));
            }
            match received {
                Ok(()) => {}
                Err(Error::Io(error)) => return Poll::Ready(Err(error)),
                Err(error) => {
                    let _ = this.poll_unsent(cx);
                    return Poll::Ready(Err(io::Error::new(io::ErrorKind::InvalidData, error)));
                }
            }
        }
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Stream<S> {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.poll_write_vectored(cx, &[IoSlice::new(bytes)])
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = &mut *self.get_mut().0;
        ready!(this.poll_unsent(cx))?;
        let mut buffers = Buffers::take();
        let Buffers { gathered, sealed, .. } = &mut *buffers;
        let plaintext = match slices.iter().find(|slice| !slice.is_empty()) {
            None => &[],
            Some(first) if first.len() >= BATCH || slices.len() == 1 => {
                &first[..first.len().min(BATCH)]
            }
            Some(_) => {
                for slice in slices {
                    let count = slice.len().min(BATCH - gathered.len());
                    gathered.extend_from_slice(&slice[..count]);
                }
                &**gathered
            }
        };
        let written = if plaintext.is_empty() {
            Ok(0)
        } else {
            let sent = this.session.write(plaintext, sealed);
            sent.and_then(|()| this.send(cx, sealed.as_slice())).map(|()| plaintext.len())
        };
        buffers.put_back();
        Poll::Ready(written)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self.get_mut().0;
        ready!(this.poll_unsent(cx))?;
        Pin::new(&mut this.io).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self.get_mut().0;
        let mut buffers = Buffers::take();
        this.session.close(&mut buffers.sealed);
        let sent = match buffers.sealed.as_slice() {
            [] => Ok(()),
            sealed => this.send(cx, sealed),
        };
        buffers.put_back();
        sent?;
        ready!(this.poll_unsent(cx))?;
        Pin::new(&mut this.io).poll_shutdown(cx)
    }
}

impl<S: fmt::Debug> fmt::Debug for Stream<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Stream").field("io", &self.0.io).finish_non_exhaustive()
    }
}
