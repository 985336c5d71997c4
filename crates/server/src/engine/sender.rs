//! The way to a client.

use std::fmt;
use std::future::poll_fn;
use std::sync::Arc;

use sockeye_engineio::payload::SEPARATOR;
use sockeye_engineio::{CloseReason, Revision, Sid, Transport};
use sockeye_hub::Packet;
use sockeye_net::Wired;
use sockeye_outbox::{Class, Refused};
use sockeye_transport::{Ending, Entry, Handshake, Shared};
use tokio::sync::watch;

use super::connection::Message;

/// Sends to one client. A clone is another handle of the same client; it may outlive it.
#[derive(Clone)]
pub struct Sender {
    session: Arc<Shared>,
    /// Whether the session has upgraded; its sender goes with the session.
    upgraded: watch::Receiver<bool>,
}

/// Why a message was not sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SendError {
    /// The client is gone.
    Closed,
    /// More waits for this client than it may; it has been disconnected as a slow consumer.
    SlowConsumer,
    /// The text holds U+001E, which separates the packets of a poll: revision 4 of the protocol has no way
    /// to send it.
    Separator,
}

/// Why [`Sender::try_send`] did not send; the message comes back.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum TrySendError {
    /// The client is gone.
    Closed(Message),
    /// As much waits for this client as may.
    Full(Message),
    /// As [`SendError::Separator`].
    Separator(Message),
}

impl Sender {
    pub(super) fn new(session: Arc<Shared>, upgraded: watch::Receiver<bool>) -> Self {
        Self { session, upgraded }
    }

    /// Queues a message. A client for which too much waits is disconnected, so that it learns that it
    /// missed something instead of missing it silently.
    ///
    /// # Errors
    ///
    /// [`SendError`].
    pub fn send(&self, message: impl Into<Message>) -> Result<(), SendError> {
        self.send_or_disconnect(message.into(), true)
    }

    /// As [`send`](Self::send), for a message that is not worth compressing.
    ///
    /// # Errors
    ///
    /// [`SendError`].
    pub fn send_uncompressed(&self, message: impl Into<Message>) -> Result<(), SendError> {
        self.send_or_disconnect(message.into(), false)
    }

    fn send_or_disconnect(&self, message: Message, compress: bool) -> Result<(), SendError> {
        match self.queue(message, compress) {
            Ok(()) => Ok(()),
            Err(TrySendError::Closed(_)) => Err(SendError::Closed),
            Err(TrySendError::Separator(_)) => Err(SendError::Separator),
            Err(TrySendError::Full(message)) => {
                // Within a wake-up nothing is written before its end: that is no fault of the client.
                self.session.flush(&mut Box::default());
                if self.queue(message, compress).is_ok() {
                    return Ok(());
                }
                self.session.discard(Ending::TOO_SLOW);
                Err(SendError::SlowConsumer)
            }
        }
    }

    /// Queues a message if there is room for it.
    ///
    /// # Errors
    ///
    /// [`TrySendError`] hands the message back.
    pub fn try_send(&self, message: impl Into<Message>) -> Result<(), TrySendError> {
        self.queue(message.into(), true)
    }

    /// Queues a message as soon as there is room for it. Dropping the future before it is ready queues
    /// nothing.
    ///
    /// # Errors
    ///
    /// [`SendError::Closed`] and [`SendError::Separator`].
    pub async fn send_wait(&self, message: impl Into<Message>) -> Result<(), SendError> {
        let packet = self.packet(&message.into()).ok_or(SendError::Separator)?;
        let mut slot = Some(Entry::Packet(packet));
        let queued = poll_fn(|cx| self.session.poll_push(cx, &mut slot)).await;
        queued.map_err(|()| SendError::Closed)
    }

    /// Ready when nothing waits to be written to this client any more, or its connection is over. Written is
    /// not received: the client's system may still hold it, or the network. Cancel safe.
    #[doc(alias = "drain")]
    pub async fn drained(&self) {
        poll_fn(|cx| self.session.outbox().poll_drained(cx)).await;
    }

    /// Ends the session once what is queued has been written; the reason is `forced close`.
    pub fn close(&self) {
        self.end(CloseReason::ForcedClose);
    }

    /// Ends the session at once, as Node's `close(true)`: what is queued is dropped. The reason is `forced
    /// close`, or that of a [`close`](Self::close) before.
    pub fn discard(&self) {
        self.session.discard(Ending::of(CloseReason::ForcedClose));
    }

    /// Why the session is over, or about to be.
    pub fn close_reason(&self) -> Option<CloseReason> {
        self.session.close_reason()
    }

    /// What is known beside the [reason](Self::close_reason), such as `message too large`.
    pub fn close_details(&self) -> Option<&'static str> {
        self.session.ending()?.details()
    }

    /// Whether the client can be sent to.
    pub fn is_open(&self) -> bool {
        self.session.is_open()
    }

    /// The session's id. It is a secret: whoever knows it can speak as the client.
    pub fn id(&self) -> Sid {
        self.session.sid()
    }

    /// The transport that the session uses now.
    pub fn transport(&self) -> Transport {
        self.session.transport()
    }

    /// The revision of the protocol that the client speaks.
    #[doc(alias = "protocol")]
    pub fn revision(&self) -> Revision {
        self.session.revision()
    }

    /// Ready with `true` once the session is on a websocket, with `false` if it ends before. Cancel
    /// safe.
    pub async fn upgraded(&self) -> bool {
        self.upgraded.clone().wait_for(|upgraded| *upgraded).await.is_ok()
    }

    /// The request that opened the session.
    pub fn handshake(&self) -> &Handshake {
        self.session.handshake()
    }

    /// Bytes that wait to be written to the client.
    pub fn buffered_bytes(&self) -> usize {
        self.session.outbox().buffered_bytes()
    }

    /// Whether a message would go out now: the last write did not block, little is queued, and of a
    /// client that polls a poll waits.
    #[doc(alias = "writable")]
    pub fn is_writable(&self) -> bool {
        self.session.outbox().is_writable()
    }

    pub(super) fn session(&self) -> &Arc<Shared> {
        &self.session
    }

    pub(super) fn end(&self, reason: CloseReason) {
        self.session.close(Ending::of(reason));
    }

    /// There is room again for what the client sends.
    pub(super) fn read_on(&self) {
        self.session.outbox().notify();
    }

    fn queue(&self, message: Message, compress: bool) -> Result<(), TrySendError> {
        let Some(mut packet) = self.packet(&message) else {
            return Err(TrySendError::Separator(message));
        };
        if !compress {
            packet = Packet::uncompressed(packet);
        }
        match self.session.push(Entry::Packet(packet), Class::Data) {
            Ok(()) => Ok(()),
            Err(Refused::Full(_)) => Err(TrySendError::Full(message)),
            Err(Refused::Sealed(_)) => Err(TrySendError::Closed(message)),
        }
    }

    /// The packet of a message; none if it cannot be sent.
    fn packet(&self, message: &Message) -> Option<Arc<Packet>> {
        match message {
            Message::Binary(bytes) => Some(Packet::binary(bytes.clone())),
            // Payloads of revision 3 separate nothing: they say how long each packet is.
            Message::Text(text) if self.revision() == Revision::V4 && text.contains(SEPARATOR) => {
                None
            }
            Message::Text(text) => Some(Packet::raw(text)),
        }
    }
}

impl fmt::Debug for Sender {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.session.fmt(f)
    }
}

impl fmt::Display for SendError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Closed => "the client is gone",
            Self::SlowConsumer => "too much waits for the client; it was disconnected",
            Self::Separator => "the text holds U+001E, which Engine.IO cannot send",
        })
    }
}

impl std::error::Error for SendError {}

impl fmt::Display for TrySendError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Closed(_) => "the client is gone",
            Self::Full(_) => "as much waits for the client as may",
            Self::Separator(_) => "the text holds U+001E, which Engine.IO cannot send",
        })
    }
}

impl std::error::Error for TrySendError {}
