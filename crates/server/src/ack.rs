//! Events that the client answers.

use std::fmt;
use std::pin::Pin;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll};
use std::time::Duration;

use serde::de::DeserializeOwned;
use serde::{Serialize, Serializer};
use sockeye_handler::yield_place;
use sockeye_hub::adapter::Flags;
use sockeye_net::wheel::{Sleep, sleep};
use sockeye_socketio::{ArgsError, decode_args};
use tokio::sync::oneshot;

use crate::emit::{EmitError, class};
use crate::local::Answer;
use crate::socket::{Socket, Source};

/// Why there is no answer.
#[derive(Debug)]
#[non_exhaustive]
pub enum AckError {
    /// The client did not answer in time.
    Timeout,
    /// The socket was disconnected before the answer came.
    Disconnected,
    /// The event was not sent.
    Emit(EmitError),
    /// The answer has another shape than was asked for.
    Data(ArgsError),
}

/// The client's answer, decoded as [`Data`](crate::Data) is. It always resolves: with the value, or
/// because time is up, or because the socket was disconnected.
///
/// Dropping it forgets about the answer.
#[must_use = "the event is sent, but its answer is only seen by who awaits this"]
pub struct AckFuture<T> {
    socket: Socket,
    id: u64,
    waiting: Result<oneshot::Receiver<Answer>, Option<EmitError>>,
    timeout: Sleep,
    decode: fn(&Answer) -> Result<T, ArgsError>,
}

impl Socket {
    /// Emits an event and returns a future of its answer.
    ///
    /// The event is queued by this call, in order with other emits; the wait ends after the
    /// server's [ack timeout](crate::ServerBuilder::ack_timeout), or another
    /// [`timeout`](AckFuture::timeout).
    ///
    /// ```
    /// # async fn example(socket: sockeye_server::Socket) -> Result<(), sockeye_server::AckError> {
    /// let sum: u32 = socket.emit_with_ack("add", (1, 2)).await?;
    /// # Ok(()) }
    /// ```
    #[doc(alias = "emitWithAck")]
    pub fn emit_with_ack<T: DeserializeOwned>(
        &self,
        event: &str,
        data: impl Serialize,
    ) -> AckFuture<T> {
        self.ack_with(Flags::default(), None, event, &data)
    }

    /// Emits with modifiers and returns a future of the answer.
    pub(crate) fn ack_with<T: DeserializeOwned, D: Serialize>(
        &self,
        flags: Flags,
        timeout: Option<Duration>,
        event: &str,
        data: &D,
    ) -> AckFuture<T> {
        let id = self.inner.namespace.next_ack.fetch_add(1, Ordering::Relaxed);
        let (answer, waiting) = oneshot::channel();
        // From here on: it forgets about the answer even if the data panic.
        let mut future = AckFuture {
            socket: self.clone(),
            id,
            waiting: Ok(waiting),
            timeout: sleep(timeout.unwrap_or(self.inner.namespace.config().ack_timeout)),
            decode: |answer| decode_args(&answer.args, &answer.attachments),
        };
        let awaited = self.local().await_ack(self, id, answer);
        let sent = awaited.and_then(|()| {
            Ok(self.publish(event, Some(id), flags, data, |packet| {
                self.deliver_or_disconnect(packet, class(flags), Source::Own)
            })??)
        });
        if let Err(error) = sent {
            future.abandon();
            future.waiting = Err(Some(error));
        }
        future
    }
}

impl<T> AckFuture<T> {
    /// Waits at most this long, instead of the server's ack timeout.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = sleep(timeout);
        self
    }

    fn abandon(&self) {
        if self.forget() {
            self.socket.inner.namespace.counters().acks.abandoned.count();
        }
    }

    /// The answer is not awaited any more; whether it was until now.
    fn forget(&self) -> bool {
        let local = self.socket.local_if_used();
        local.and_then(|local| local.take_ack(self.id)).is_some()
    }
}

impl<T> Future for AckFuture<T> {
    type Output = Result<T, AckError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = &mut *self;
        let waiting = match &mut this.waiting {
            Ok(waiting) => waiting,
            Err(error) => {
                let error = error.take().map_or(AckError::Disconnected, AckError::Emit);
                return Poll::Ready(Err(error));
            }
        };
        match Pin::new(waiting).poll(cx) {
            Poll::Ready(Ok(answer)) => {
                return Poll::Ready((this.decode)(&answer).map_err(AckError::Data));
            }
            Poll::Ready(Err(_)) => return Poll::Ready(Err(AckError::Disconnected)),
            Poll::Pending => {}
        }
        // If it is taken already, it is being handed over at this moment, or the socket is ending.
        if Pin::new(&mut this.timeout).poll(cx).is_ready() && this.forget() {
            this.socket.inner.namespace.counters().acks.timed_out.count();
            tracing::debug!(
                target: "socket.io:socket",
                socket = this.socket.id(), namespace = this.socket.namespace(), ack = this.id,
                "an ack does not come in time"
            );
            return Poll::Ready(Err(AckError::Timeout));
        }
        // The answer stands behind this client's other events: they must not wait for us.
        yield_place(&this.socket.inner.link.places);
        Poll::Pending
    }
}

impl<T> Drop for AckFuture<T> {
    fn drop(&mut self) {
        self.abandon();
    }
}

impl fmt::Display for AckError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Timeout => f.write_str("the client did not answer in time"),
            Self::Disconnected => f.write_str("the socket was disconnected before the answer came"),
            Self::Emit(_) => f.write_str("the event was not sent"),
            Self::Data(_) => f.write_str("the answer has another shape than was asked for"),
        }
    }
}

/// As its words, so that a handler can fail with it by `?`.
impl Serialize for AckError {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl std::error::Error for AckError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Timeout | Self::Disconnected => None,
            Self::Emit(error) => Some(error),
            Self::Data(error) => Some(error),
        }
    }
}

impl<T> fmt::Debug for AckFuture<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AckFuture").field("socket", &self.socket).field("id", &self.id).finish()
    }
}
