//! A WebSocket as its user holds it.

use std::fmt;
use std::future::poll_fn;
use std::ops::Deref;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use futures_core::Stream;
use futures_sink::Sink;

use super::message::Message;
use super::sender::{SendError, Sender};
use super::shared::Shared;

/// An open WebSocket: receives by itself, and sends by the [`Sender`] that it derefs to.
///
/// Pings are answered and sent, and closing handshakes completed, whether or not anybody receives.
/// While nobody does, up to [`max_unread_bytes`](crate::websocket::Options::max_unread_bytes) are
/// kept; then the peer has to wait.
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

impl Deref for WebSocket {
    type Target = Sender;

    fn deref(&self) -> &Sender {
        &self.sender
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
