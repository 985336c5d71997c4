//! A WebSocket as its user holds it.

use std::fmt;
use std::future::poll_fn;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use futures_core::Stream;
use futures_sink::Sink;
use sockeye_websocket::CloseCode;

use super::ending::Ending;
use super::message::Message;
use super::prepared::Prepared;
use super::sender::{SendError, Sender, TrySendError};
use super::shared::Shared;

/// An open WebSocket: receives, and sends; [`sender`](Self::sender) gives the sending part to others, too.
///
/// Pings are answered and sent, and closing handshakes completed, whether or not anybody receives.
/// While nobody does, up to [`max_unread_bytes`](crate::websocket::Options::max_unread_bytes) are
/// kept; then the peer has to wait.
///
/// A peer's close is answered when all that it said before has been received and [`recv`](Self::recv) is asked for
/// more, so that answers leave before; after a second it is answered in any case, and nothing can be sent any more.
///
/// Dropping it closes the connection with code 1000, after all that was sent; by a panic, with code
/// 1011.
pub struct WebSocket {
    sender: Sender,
}

/// The receiving part of a WebSocket: see [`WebSocket::split`].
///
/// Dropping it closes the connection with code 1000, after all that was sent.
pub struct Receiver {
    socket: WebSocket,
}

impl WebSocket {
    pub(crate) fn new(shared: Arc<Shared>) -> Self {
        Self { sender: Sender { shared } }
    }

    /// The next message; `None` once the connection is closed or closing and all that came before
    /// was received. [`closed`](Sender::closed) says how it ended.
    ///
    /// Cancel-safe: no message is lost with the future.
    pub async fn recv(&mut self) -> Option<Message> {
        poll_fn(|cx| self.poll_recv(cx)).await
    }

    /// [`recv`](Self::recv) for hand-written futures.
    pub fn poll_recv(&mut self, cx: &mut Context<'_>) -> Poll<Option<Message>> {
        self.sender.shared.poll_message(cx)
    }

    /// A sender on this connection, to be moved elsewhere.
    #[must_use]
    pub fn sender(&self) -> Sender {
        self.sender.clone()
    }

    /// Both directions apart. They share no lock that one would hold while the other waits.
    #[must_use]
    pub fn split(self) -> (Sender, Receiver) {
        (self.sender(), Receiver { socket: self })
    }
}

impl Receiver {
    /// As [`WebSocket::recv`].
    pub async fn recv(&mut self) -> Option<Message> {
        self.socket.recv().await
    }

    /// As [`WebSocket::poll_recv`].
    pub fn poll_recv(&mut self, cx: &mut Context<'_>) -> Poll<Option<Message>> {
        self.socket.poll_recv(cx)
    }

    /// Puts both directions together again.
    #[must_use]
    pub fn unsplit(self) -> WebSocket {
        self.socket
    }
}

/// What its [`Sender`] does, without a detour. Methods of its own, so that they are meant also where `SinkExt` is in
/// scope, whose `send` and `close` wait for the peer. Only on a `&mut WebSocket` Rust finds those first;
/// `(*socket).send(..)` means these.
///
/// ```
/// use futures_util::{SinkExt, StreamExt};
/// use sockeye_net::websocket::{CloseCode, WebSocket};
///
/// async fn echo(mut socket: WebSocket) {
///     while let Some(message) = socket.next().await {
///         if socket.send(message).is_err() {
///             break;
///         }
///     }
///     socket.close(CloseCode::NORMAL, "that was all");
///     println!("{}", socket.closed().await);
/// }
///
/// async fn echo_by_traits(socket: &mut WebSocket) {
///     while let Some(message) = socket.next().await {
///         if socket.send(message).await.is_err() {
///             break;
///         }
///     }
///     let _ = socket.close().await;
/// }
/// ```
impl WebSocket {
    /// As [`Sender::send`].
    ///
    /// # Errors
    ///
    /// [`SendError`] hands the message back.
    pub fn send(&self, message: impl Into<Message>) -> Result<(), SendError> {
        self.sender.send(message)
    }

    /// As [`Sender::try_send`].
    ///
    /// # Errors
    ///
    /// [`TrySendError`] hands the message back.
    pub fn try_send(&self, message: impl Into<Message>) -> Result<(), TrySendError> {
        self.sender.try_send(message)
    }

    /// As [`Sender::send_wait`]. Dropping the future queues nothing.
    ///
    /// # Errors
    ///
    /// [`SendError::Closed`] hands the message back.
    pub async fn send_wait(&self, message: impl Into<Message>) -> Result<(), SendError> {
        self.sender.send_wait(message).await
    }

    /// As [`Sender::send_prepared`].
    ///
    /// # Errors
    ///
    /// As [`send`](Self::send).
    pub fn send_prepared(&self, message: &Prepared) -> Result<(), SendError> {
        self.sender.send_prepared(message)
    }

    /// As [`Sender::buffered_bytes`].
    #[must_use]
    pub fn buffered_bytes(&self) -> usize {
        self.sender.buffered_bytes()
    }

    /// As [`Sender::drained`]. Cancel-safe.
    pub async fn drained(&self) {
        self.sender.drained().await;
    }

    /// As [`Sender::close`].
    pub fn close(&self, code: CloseCode, reason: &str) {
        self.sender.close(code, reason);
    }

    /// As [`Sender::closed`]. Cancel-safe.
    pub async fn closed(&self) -> Ending {
        self.sender.closed().await
    }

    /// As [`Sender::is_closed`].
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.sender.is_closed()
    }

    /// As [`Sender::peer`].
    #[must_use]
    pub fn peer(&self) -> Option<SocketAddr> {
        self.sender.peer()
    }

    /// As [`Sender::subprotocol`].
    #[must_use]
    pub fn subprotocol(&self) -> Option<&str> {
        self.sender.subprotocol()
    }
}

impl Drop for WebSocket {
    fn drop(&mut self) {
        self.sender.shared.abandon();
    }
}

/// The messages, as by [`recv`](WebSocket::recv).
impl Stream for WebSocket {
    type Item = Message;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Message>> {
        self.poll_recv(cx)
    }
}

/// The messages, as by [`recv`](Receiver::recv).
impl Stream for Receiver {
    type Item = Message;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Message>> {
        self.poll_recv(cx)
    }
}

/// As of its [`Sender`].
impl Sink<Message> for WebSocket {
    type Error = SendError;

    fn poll_ready(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), SendError>> {
        Pin::new(&mut self.sender).poll_ready(cx)
    }

    fn start_send(mut self: Pin<&mut Self>, message: Message) -> Result<(), SendError> {
        Pin::new(&mut self.sender).start_send(message)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), SendError>> {
        Pin::new(&mut self.sender).poll_flush(cx)
    }

    fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), SendError>> {
        Pin::new(&mut self.sender).poll_close(cx)
    }
}

impl fmt::Debug for WebSocket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WebSocket").field("peer", &self.peer()).finish_non_exhaustive()
    }
}

impl fmt::Debug for Receiver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Receiver").field("peer", &self.socket.peer()).finish_non_exhaustive()
    }
}
