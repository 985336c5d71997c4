//! Emitting to one socket.

use std::fmt;
use std::future::poll_fn;
use std::sync::Arc;
use std::task::Poll;

use serde::{Serialize, Serializer};
use sockeye_hub::Packet;
use sockeye_hub::adapter::Flags;
use sockeye_outbox::Class;
use sockeye_socketio::{EncodeError, encode};
use sockeye_transport::Entry;

use crate::publish::{Outgoing, To};
use crate::socket::{Socket, Source, Undelivered};

/// Why an event was not sent.
#[derive(Debug)]
#[non_exhaustive]
pub enum EmitError {
    /// The socket is not connected.
    Disconnected,
    /// More waits for this client than it may; it has been disconnected as a slow consumer.
    SlowConsumer,
    /// The client owes as many answers as it may.
    TooManyAcks,
    /// The event's name is reserved, or the data cannot be made JSON.
    Encode(EncodeError),
}

/// Why [`Socket::try_emit`] did not send; the data come back.
#[derive(Debug)]
#[non_exhaustive]
pub enum TryEmitError<T> {
    /// Too much waits for this client right now.
    Full(T),
    /// The event can never be sent.
    Emit(EmitError, T),
}

impl Socket {
    /// Sends an event to this client. A tuple is several arguments, `()` is none, anything else is
    /// one; `bytes::Bytes` anywhere in it travel as binary.
    ///
    /// The event is queued, not sent, when this returns; events of one emitter arrive in the order
    /// of its calls. From within a handler it is written at the end of the wake-up in which the
    /// handler runs, so a handler must not block its thread on what the client answers. A client
    /// that does not read fast enough to stay below
    /// [`max_buffered_bytes`](crate::Builder::max_buffered_bytes) is disconnected.
    ///
    /// # Errors
    ///
    /// [`EmitError`] says why nothing was queued.
    pub fn emit(&self, event: &str, data: impl Serialize) -> Result<(), EmitError> {
        self.emit_with(Flags::default(), event, &data)
    }

    /// Like [`emit`](Self::emit), but hands the data back instead of disconnecting a slow client.
    ///
    /// # Errors
    ///
    /// [`TryEmitError::Full`] if too much waits already.
    pub fn try_emit<T: Serialize>(&self, event: &str, data: T) -> Result<(), TryEmitError<T>> {
        let outcome = self.publish(event, None, Flags::default(), &data, |packet| {
            let outcome =
                self.deliver_own(|bearer| bearer.deliver(packet, Class::Data, Source::Own));
            if outcome == Err(Undelivered::Full)
                && packet.has_offset()
                && let Some((journal, _)) = self.journal()
            {
                journal.withdraw();
            }
            outcome
        });
        match outcome {
            Ok(Ok(())) => Ok(()),
            Ok(Err(Undelivered::Full)) => {
                self.inner.namespace.counters().handed_back.count();
                Err(TryEmitError::Full(data))
            }
            Ok(Err(Undelivered::Disconnected)) => {
                Err(TryEmitError::Emit(EmitError::Disconnected, data))
            }
            Err(error) => Err(TryEmitError::Emit(error, data)),
        }
    }

    /// Like [`emit`](Self::emit), but waits until there is room. Dropping the future before it is
    /// ready sends nothing.
    ///
    /// # Errors
    ///
    /// [`EmitError`] says why nothing was queued.
    pub async fn emit_wait(&self, event: &str, data: impl Serialize) -> Result<(), EmitError> {
        if self.journal().is_some() {
            return self.emit_in_turn(event, data).await;
        }
        let packet = self.publish(event, None, Flags::default(), &data, Arc::clone)?;
        drop(data);
        if !self.is_connected() {
            // Held back until the socket is connected, or refused.
            return Ok(self.deliver_or_disconnect(&packet, Class::Data, Source::Own)?);
        }
        let observer = self.inner.namespace.server.observer();
        let told = (observer.is_some() || self.is_heard()).then(|| packet.clone());
        let mut entry = Some(Entry::Packet(packet));
        let pushed = poll_fn(|cx| {
            if self.is_connected() {
                self.inner.session.poll_push(cx, &mut entry)
            } else {
                Poll::Ready(Err(()))
            }
        });
        let outcome = tokio::select! {
            biased;
            pushed = pushed => pushed.map_err(|()| EmitError::Disconnected),
            // The socket may leave its namespace while the session stays.
            _ = self.closed() => Err(EmitError::Disconnected),
        };
        if let (Ok(()), Some(packet)) = (&outcome, told) {
            if let Some(observer) = observer {
                observer.sent(self, &packet);
            }
            if self.is_heard() {
                self.heard(&packet);
            }
        }
        outcome
    }

    /// Sends an event if the client can be written to right now, and drops it if not: for what the
    /// next event replaces. Whether it was queued.
    ///
    /// # Errors
    ///
    /// [`EmitError::Encode`].
    pub fn emit_volatile(&self, event: &str, data: impl Serialize) -> Result<bool, EmitError> {
        let flags = Flags { volatile: true, ..Flags::default() };
        match self.emit_with(flags, event, &data) {
            Ok(()) => Ok(true),
            Err(EmitError::SlowConsumer | EmitError::Disconnected) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Emits the event `message`, as Node's `socket.send` does.
    ///
    /// # Errors
    ///
    /// As [`emit`](Self::emit).
    pub fn send(&self, data: impl Serialize) -> Result<(), EmitError> {
        self.emit("message", data)
    }

    /// Ready when nothing waits to be written to this client any more, by whatever namespace, or its
    /// connection is over.
    ///
    /// Written is not received: the client's system may still hold it, or the network. It may be
    /// dropped and awaited again. Beside [`emit_wait`](Self::emit_wait), which waits for room for one
    /// event, this is the way to keep pace with a client; broadcasts have no such wait, since the
    /// slowest of all would be everyone's pace.
    #[doc(alias = "drain")]
    pub async fn drained(&self) {
        poll_fn(|cx| self.outbox().poll_drained(cx)).await;
    }

    /// Emits with modifiers.
    pub(crate) fn emit_with<T: Serialize>(
        &self,
        flags: Flags,
        event: &str,
        data: &T,
    ) -> Result<(), EmitError> {
        let class = class(flags);
        Ok(self.publish(event, None, flags, data, |packet| {
            self.deliver_own(|bearer| bearer.deliver_or_disconnect(packet, class, Source::Own))
        })??)
    }

    /// Delivers an event to this socket, or where clients can be recovered to the one that was made of its
    /// session since. That there is none yet is no failure: the event is kept.
    fn deliver_own(
        &self,
        deliver: impl Fn(&Self) -> Result<(), Undelivered>,
    ) -> Result<(), Undelivered> {
        let outcome = deliver(self);
        let Some((journal, membership)) = self.journal() else { return outcome };
        if outcome != Err(Undelivered::Disconnected) {
            return outcome;
        }
        match self.inner.namespace.hub.find(self.id()) {
            Some(bearer) if bearer != *self => deliver(&bearer),
            _ if journal.log.is_kept(membership.visit) => Ok(()),
            _ => outcome,
        }
    }

    /// Emits when there is room: the event's place in the log is known only then.
    async fn emit_in_turn(&self, event: &str, data: impl Serialize) -> Result<(), EmitError> {
        if self.is_connected() {
            tokio::select! {
                biased;
                room = poll_fn(|cx| self.outbox().poll_room(cx)) => {
                    room.map_err(|()| EmitError::Disconnected)?;
                }
                _ = self.closed() => return Err(EmitError::Disconnected),
            }
        }
        Ok(self.publish(event, None, Flags::default(), &data, |packet| {
            self.deliver_own(|bearer| {
                bearer.deliver_or_disconnect(packet, Class::Promised, Source::Own)
            })
        })??)
    }

    /// Encodes an event to this socket and hands it to `deliver`.
    pub(crate) fn publish<T: Serialize, R>(
        &self,
        event: &str,
        ack: Option<u64>,
        flags: Flags,
        data: &T,
        deliver: impl FnOnce(&Arc<Packet>) -> R,
    ) -> Result<R, EmitError> {
        let namespace = &self.inner.namespace;
        namespace.publish(
            Outgoing { event, ack, flags, to: To::One(self) },
            |buffer| encode::event(buffer, &namespace.path, ack, event, data),
            |packet, _| deliver(packet),
        )
    }
}

/// How the outboxes are to take an event.
pub(crate) fn class(flags: Flags) -> Class {
    if flags.volatile { Class::Volatile } else { Class::Data }
}

impl From<EncodeError> for EmitError {
    fn from(error: EncodeError) -> Self {
        Self::Encode(error)
    }
}

impl From<Undelivered> for EmitError {
    fn from(undelivered: Undelivered) -> Self {
        match undelivered {
            Undelivered::Full => Self::SlowConsumer,
            Undelivered::Disconnected => Self::Disconnected,
        }
    }
}

impl fmt::Display for EmitError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Disconnected => f.write_str("the socket is not connected"),
            Self::SlowConsumer => f.write_str("too much waits for this client: it is disconnected"),
            Self::TooManyAcks => f.write_str("the client owes as many answers as it may"),
            Self::Encode(_) => f.write_str("the event cannot be encoded"),
        }
    }
}

/// As its words, so that a handler can fail with it by `?`.
impl Serialize for EmitError {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl std::error::Error for EmitError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Disconnected | Self::SlowConsumer | Self::TooManyAcks => None,
            Self::Encode(error) => Some(error),
        }
    }
}

impl<T> fmt::Display for TryEmitError<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Full(_) => f.write_str("too much waits for this client right now"),
            Self::Emit(error, _) => error.fmt(f),
        }
    }
}

impl<T: fmt::Debug> std::error::Error for TryEmitError<T> {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Full(_) => None,
            // The error itself is what is displayed.
            Self::Emit(error, _) => error.source(),
        }
    }
}
