//! The way out of a WebSocket: cloneable, usable from any thread.

use std::error;
use std::fmt;
use std::future::poll_fn;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use futures_sink::Sink;
use sockeye_outbox::{Class, Refused};
use sockeye_websocket::CloseCode;

use super::ending::{Ending, Why};
use super::message::Message;
use super::prepared::Prepared;
use super::shared::{Outgoing, Shared};

/// Sends on a WebSocket. A clone sends on the same one; messages of one sender leave in the order
/// in which they were sent.
///
/// What is sent is queued, and leaves with the next write: the kernel takes it at once as long as
/// the peer keeps up. A sender does not keep the connection open.
#[derive(Clone)]
pub struct Sender {
    pub(crate) shared: Arc<Shared>,
}

/// A message was not sent.
#[derive(Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SendError {
    /// The connection is closed or closing. The message comes back.
    Closed(Message),
    /// More than [`Options::max_buffered_bytes`](crate::websocket::Options::max_buffered_bytes)
    /// wait to be taken by the peer, which has now been given up. The message comes back.
    SlowConsumer(Message),
}

/// A message was not sent, and comes back.
#[derive(Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum TrySendError {
    /// The connection is closed or closing.
    Closed(Message),
    /// There is no room for it now.
    Full(Message),
}

impl Sender {
    /// Queues a message. A peer that has not taken
    /// [`max_buffered_bytes`](crate::websocket::Options::max_buffered_bytes) of earlier ones is too
    /// slow, and is disconnected.
    ///
    /// # Errors
    ///
    /// [`SendError`] hands the message back.
    pub fn send(&self, message: impl Into<Message>) -> Result<(), SendError> {
        self.try_send(message).map_err(|error| match error {
            TrySendError::Closed(message) => SendError::Closed(message),
            TrySendError::Full(message) => {
                self.shared.end(Why::SlowConsumer);
                SendError::SlowConsumer(message)
            }
        })
    }

    /// Queues a message if there is room for it.
    ///
    /// # Errors
    ///
    /// [`TrySendError`] hands the message back.
    pub fn try_send(&self, message: impl Into<Message>) -> Result<(), TrySendError> {
        self.push_message(message.into(), Class::Data)
    }

    /// Queues a message as soon as there is room for it. Dropping the future queues nothing.
    ///
    /// # Errors
    ///
    /// [`SendError::Closed`] hands the message back.
    pub async fn send_wait(&self, message: impl Into<Message>) -> Result<(), SendError> {
        let mut slot = Some(Outgoing::Message(message.into()));
        let pushed = poll_fn(|cx| self.shared.outbox().poll_push(cx, &mut slot));
        match (pushed.await, slot) {
            (Err(()), Some(entry)) => Err(SendError::Closed(entry.into_message())),
            _ => Ok(()),
        }
    }

    /// As [`send`](Self::send), for a message that others are sent, too.
    ///
    /// # Errors
    ///
    /// As [`send`](Self::send).
    pub fn send_prepared(&self, message: &Prepared) -> Result<(), SendError> {
        self.push(Outgoing::Prepared(message.clone()), Class::Data).map_err(|error| {
            let message = message.message().clone();
            match error {
                Refused::Sealed(_) => SendError::Closed(message),
                Refused::Full(_) => {
                    self.shared.end(Why::SlowConsumer);
                    SendError::SlowConsumer(message)
                }
            }
        })
    }

    fn push(&self, entry: Outgoing, class: Class) -> Result<(), Refused<Outgoing>> {
        let first = self.shared.outbox().push_quietly(entry, class)?;
        self.shared.flush_soon(first);
        Ok(())
    }

    fn push_message(&self, message: Message, class: Class) -> Result<(), TrySendError> {
        self.push(Outgoing::Message(message), class).map_err(|refused| match refused {
            Refused::Full(entry) => TrySendError::Full(entry.into_message()),
            Refused::Sealed(entry) => TrySendError::Closed(entry.into_message()),
        })
    }

    /// How many bytes are sent and not yet taken by the kernel, frame heads included.
    #[must_use]
    pub fn buffered_bytes(&self) -> usize {
        self.shared.outbox().buffered_bytes()
    }

    /// Waits until the kernel has taken all that was sent, or the connection is over. Cancel-safe.
    pub async fn drained(&self) {
        poll_fn(|cx| self.shared.outbox().poll_drained(cx)).await;
    }

    /// Begins the closing handshake (RFC 6455 §7.1.2), after all that was sent. What the peer still
    /// sends is discarded. Only the first close counts. Wait for [`closed`](Self::closed) to see it
    /// through; it goes on without that, too.
    ///
    /// A reason longer than 123 bytes is cut.
    pub fn close(&self, code: CloseCode, reason: &str) {
        self.shared.end(Why::Local(code, reason.into()));
    }

    /// Waits until the connection is over, and says how it ended. Cancel-safe.
    pub async fn closed(&self) -> Ending {
        poll_fn(|cx| self.shared.poll_gone(cx)).await
    }

    /// Whether the connection is closed or closing: nothing more can be sent.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.shared.is_closing()
    }

    /// The peer's address, where it is known.
    #[must_use]
    pub fn peer(&self) -> Option<SocketAddr> {
        self.shared.peer()
    }

    /// The subprotocol that both ends agreed on.
    #[must_use]
    pub fn subprotocol(&self) -> Option<&str> {
        self.shared.subprotocol()
    }
}

/// Ready to send while half of the room is free; flushed when the kernel has taken all; closing
/// sends code 1000 and waits for the end.
impl Sink<Message> for Sender {
    type Error = SendError;

    fn poll_ready(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), SendError>> {
        // A closed connection is found out by the message itself, so that it comes back.
        let _ = ready!(self.shared.outbox().poll_room(cx));
        Poll::Ready(Ok(()))
    }

    fn start_send(self: Pin<&mut Self>, message: Message) -> Result<(), SendError> {
        self.push_message(message, Class::Promised).map_err(|error| match error {
            TrySendError::Closed(message) | TrySendError::Full(message) => {
                SendError::Closed(message)
            }
        })
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), SendError>> {
        self.shared.outbox().poll_drained(cx).map(Ok)
    }

    fn poll_close(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), SendError>> {
        self.close(CloseCode::NORMAL, "");
        self.shared.poll_gone(cx).map(|_| Ok(()))
    }
}

impl SendError {
    /// The message that was not sent.
    #[must_use]
    pub fn into_message(self) -> Message {
        match self {
            Self::Closed(message) | Self::SlowConsumer(message) => message,
        }
    }
}

impl TrySendError {
    /// The message that was not sent.
    #[must_use]
    pub fn into_message(self) -> Message {
        match self {
            Self::Closed(message) | Self::Full(message) => message,
        }
    }
}

impl fmt::Display for SendError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Closed(_) => "the WebSocket is closed",
            Self::SlowConsumer(_) => "the peer did not take what it was sent, and was given up",
        })
    }
}

impl fmt::Display for TrySendError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Closed(_) => "the WebSocket is closed",
            Self::Full(_) => "the WebSocket has no room for the message now",
        })
    }
}

impl error::Error for SendError {}
impl error::Error for TrySendError {}

impl fmt::Debug for Sender {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sender").field("peer", &self.peer()).finish_non_exhaustive()
    }
}
