//! A stream of HTTP/2 as a stream of bytes: what a WebSocket is spoken over (RFC 8441 §5).
//!
//! Its peer may send as much as the window has room for, which is opened by what is *read* here and nothing else.
//! What is written waits until the peer's window, and a bounded buffer, have room.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes, BytesMut};
use h2::{RecvStream, SendStream};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::places::Counted;
use super::{SEND_BUFFER, io_error};

/// What lives as long as a stream, for others to see that it does.
pub(crate) enum Held {
    /// A client's stream keeps its connection.
    #[cfg(feature = "dial")]
    Place {
        _place: super::client::Place,
    },
    Counted {
        _counted: Counted,
    },
}

/// Both directions of a stream. Dropped before both have ended, it is reset, behind what was written.
pub(crate) struct Stream {
    sender: SendStream<Bytes>,
    receiver: RecvStream,
    /// What came of the last frame and was not read yet.
    rest: Bytes,
    /// What came behind that while nobody read. Taken out of h2's hands, where each frame costs 256 bytes and
    /// holds on to the buffer that it came in; the window stays as it is.
    unread: Option<Box<BytesMut>>,
    /// The output has ended.
    is_shut: bool,
    _held: Held,
}

impl Stream {
    pub(crate) fn new(sender: SendStream<Bytes>, receiver: RecvStream, held: Held) -> Self {
        Self { sender, receiver, rest: Bytes::new(), unread: None, is_shut: false, _held: held }
    }

    /// Whether the peer is known to have reset the stream, or to be gone, without reading what came before.
    ///
    /// To be asked by who does not read now, and again when woken up: what comes meanwhile is put where it takes
    /// least room.
    pub(crate) fn is_hung_up(&mut self, cx: &mut Context<'_>) -> bool {
        while let Poll::Ready(Some(Ok(data))) = self.receiver.poll_data(cx) {
            self.unread.get_or_insert_default().extend_from_slice(&data);
        }
        self.sender.poll_reset(cx).is_ready()
    }

    /// Why nothing can be written any more.
    fn why(&mut self, cx: &mut Context<'_>) -> io::Error {
        match self.sender.poll_reset(cx) {
            Poll::Ready(Ok(reason)) => io_error(reason.into()),
            Poll::Ready(Err(error)) => io_error(error),
            Poll::Pending => io::ErrorKind::BrokenPipe.into(),
        }
    }
}

impl AsyncRead for Stream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let mut count = 0;
        while buffer.remaining() > 0 {
            if self.rest.is_empty()
                && let Some(unread) = self.unread.take()
            {
                self.rest = unread.freeze();
            }
            if self.rest.is_empty() {
                match self.receiver.poll_data(cx) {
                    Poll::Ready(Some(Ok(data))) => self.rest = data,
                    // What comes first is what was there first; this comes again.
                    _ if count > 0 => break,
                    Poll::Ready(Some(Err(error))) => return Poll::Ready(Err(io_error(error))),
                    Poll::Ready(None) => return Poll::Ready(Ok(())),
                    Poll::Pending => return Poll::Pending,
                }
            }
            let some = self.rest.len().min(buffer.remaining());
            buffer.put_slice(&self.rest[..some]);
            self.rest.advance(some);
            count += some;
        }
        // One that has ended has no window.
        let _ = self.receiver.flow_control().release_capacity(count);
        if self.rest.is_empty() {
            // Its frames' buffer would live as long as the connection says nothing more.
            self.rest = Bytes::new();
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Stream {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.poll_write_vectored(cx, &[IoSlice::new(bytes)])
    }

    /// As much as there is room for becomes one frame, or as few as there may be.
    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        // Reserved is only what is there to be written: room that one stream has, others have not.
        let wanted = slices.iter().map(|slice| slice.len()).sum::<usize>().min(SEND_BUFFER);
        if wanted == 0 {
            return Poll::Ready(Ok(0));
        }
        self.sender.reserve_capacity(wanted);
        let mut room = self.sender.capacity();
        while room == 0 {
            room = match ready!(self.sender.poll_capacity(cx)) {
                Some(Ok(room)) => room,
                Some(Err(error)) => return Poll::Ready(Err(io_error(error))),
                None => return Poll::Ready(Err(self.why(cx))),
            };
        }
        let count = wanted.min(room);
        let mut data = Vec::with_capacity(count);
        for slice in slices {
            let left = count - data.len();
            data.extend_from_slice(&slice[..slice.len().min(left)]);
        }
        match self.sender.send_data(data.into(), false) {
            Ok(()) => Poll::Ready(Ok(count)),
            Err(_) => Poll::Ready(Err(self.why(cx))),
        }
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    /// The connection's task writes what there is, without being asked.
    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.is_shut {
            return Poll::Ready(Ok(()));
        }
        match self.sender.send_data(Bytes::new(), true) {
            Ok(()) => {
                self.is_shut = true;
                Poll::Ready(Ok(()))
            }
            Err(_) => Poll::Ready(Err(self.why(cx))),
        }
    }
}

impl std::fmt::Debug for Stream {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Stream").field(&self.sender.stream_id()).finish()
    }
}
