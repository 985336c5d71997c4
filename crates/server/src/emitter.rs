//! Emitting to one socket with modifiers.

use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;
use sockeye_hub::adapter::Flags;

use crate::ack::AckFuture;
use crate::emit::EmitError;
use crate::operators::{Broadcast, Rooms};
use crate::socket::Socket;

/// One socket, and how to send to it: what [`Socket::volatile`], [`Socket::compress`] and
/// [`Socket::timeout`] return, each of which it has, too. The socket itself is not changed.
///
/// ```
/// # use std::time::Duration;
/// # async fn example(socket: sockeye_server::Socket) -> Result<(), Box<dyn std::error::Error>> {
/// socket.volatile().compress(false).emit("position", (1, 2))?;
/// let answer: String = socket.timeout(Duration::from_secs(5)).emit_with_ack("ask", ()).await?;
/// # Ok(()) }
/// ```
#[derive(Clone, Debug)]
#[must_use = "nothing is sent before `emit`"]
pub struct Emitter {
    socket: Socket,
    flags: Flags,
    timeout: Option<Duration>,
}

impl Socket {
    fn emitter(&self) -> Emitter {
        Emitter { socket: self.clone(), flags: Flags::default(), timeout: None }
    }

    /// Sends what follows only if the client can be written to right now, and drops it if not: for
    /// what the next event replaces. [`emit_volatile`](Self::emit_volatile) tells which it was.
    pub fn volatile(&self) -> Emitter {
        self.emitter().volatile()
    }

    /// Whether what follows may be compressed, where the client's transport does that. Default: yes.
    pub fn compress(&self, compress: bool) -> Emitter {
        self.emitter().compress(compress)
    }

    /// How long the answers to what follows are awaited, instead of the server's
    /// [ack timeout](crate::ServerBuilder::ack_timeout).
    pub fn timeout(&self, timeout: Duration) -> Emitter {
        self.emitter().timeout(timeout)
    }
}

impl Emitter {
    /// See [`Socket::volatile`].
    pub fn volatile(mut self) -> Self {
        self.flags.volatile = true;
        self
    }

    /// See [`Socket::compress`].
    pub fn compress(mut self, compress: bool) -> Self {
        self.flags.compress = compress;
        self
    }

    /// See [`Socket::timeout`].
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = Some(timeout);
        self
    }

    /// As [`Socket::emit`]. That a volatile event was dropped is no error.
    ///
    /// # Errors
    ///
    /// As [`Socket::emit`].
    pub fn emit(&self, event: &str, data: impl Serialize) -> Result<(), EmitError> {
        match self.socket.emit_with(self.flags, event, &data) {
            Err(EmitError::SlowConsumer) if self.flags.volatile => Ok(()),
            outcome => outcome,
        }
    }

    /// As [`Socket::emit_with_ack`].
    #[doc(alias = "emitWithAck")]
    pub fn emit_with_ack<T: DeserializeOwned>(
        &self,
        event: &str,
        data: impl Serialize,
    ) -> AckFuture<T> {
        self.socket.ack_with(self.flags, self.timeout, event, &data)
    }

    /// Everyone in the namespace but this socket, with the same modifiers.
    pub fn broadcast(&self) -> Broadcast {
        self.socket.broadcast().with(self.flags, self.timeout)
    }

    /// The sockets in these rooms but for this one, with the same modifiers.
    #[doc(alias = "in")]
    pub fn to(&self, rooms: impl Rooms) -> Broadcast {
        self.broadcast().to(rooms)
    }

    /// Everyone but this socket and those in these rooms, with the same modifiers.
    pub fn except(&self, rooms: impl Rooms) -> Broadcast {
        self.broadcast().except(rooms)
    }
}
