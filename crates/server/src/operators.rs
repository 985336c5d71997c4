//! Whom a broadcast reaches.

use std::fmt;
use std::sync::Arc;

use serde::Serialize;
use sockeye_hub::Selection;
use sockeye_outbox::Class;

use crate::emit::{EmitError, encode_event};
use crate::namespace;
use crate::socket::{Socket, Source};

/// A choice of a namespace's sockets, and what to do with them.
///
/// Made by [`Server::to`](crate::Server::to), [`Socket::broadcast`] and the like, and narrowed or
/// widened step by step. Rooms add up, exceptions are taken off the sum, and nobody is reached
/// twice.
#[derive(Clone)]
#[must_use = "nothing is sent before `emit`"]
pub struct Broadcast {
    namespace: Arc<namespace::Inner>,
    selection: Selection,
    class: Class,
}

/// One room or several, by name: `"a"`, `["a", "b"]`, a `Vec<String>`.
pub trait Rooms {
    /// Calls `each` with every room's name.
    #[doc(hidden)]
    fn each(self, each: impl FnMut(&str));
}

impl Rooms for &str {
    fn each(self, mut each: impl FnMut(&str)) {
        each(self);
    }
}

impl Rooms for &String {
    fn each(self, mut each: impl FnMut(&str)) {
        each(self);
    }
}

impl Rooms for String {
    fn each(self, mut each: impl FnMut(&str)) {
        each(&self);
    }
}

impl<S: AsRef<str>, const N: usize> Rooms for [S; N] {
    fn each(self, mut each: impl FnMut(&str)) {
        self.iter().for_each(|room| each(room.as_ref()));
    }
}

impl<S: AsRef<str>> Rooms for &[S] {
    fn each(self, mut each: impl FnMut(&str)) {
        self.iter().for_each(|room| each(room.as_ref()));
    }
}

impl<S: AsRef<str>> Rooms for Vec<S> {
    fn each(self, mut each: impl FnMut(&str)) {
        self.iter().for_each(|room| each(room.as_ref()));
    }
}

impl Broadcast {
    pub(crate) fn new(namespace: Arc<namespace::Inner>) -> Self {
        Self { namespace, selection: Selection::everyone(), class: Class::Data }
    }

    fn but_for(socket: &Socket) -> Self {
        let mut broadcast = Self::new(socket.inner.namespace.clone());
        if let Some(slot) = socket.slot() {
            broadcast.selection = broadcast.selection.skip(slot);
        }
        broadcast
    }

    /// Also the sockets in these rooms; without any room, it is everyone.
    #[doc(alias = "in")]
    pub fn to(mut self, rooms: impl Rooms) -> Self {
        rooms.each(|room| self.selection = std::mem::take(&mut self.selection).to(room));
        self
    }

    /// But not the sockets in these rooms.
    pub fn except(mut self, rooms: impl Rooms) -> Self {
        rooms.each(|room| self.selection = std::mem::take(&mut self.selection).except(room));
        self
    }

    /// Only the sockets of this server, where there are others. (There are none yet.)
    pub fn local(self) -> Self {
        self
    }

    /// Drops the event for sockets that cannot be written to right now, instead of queueing it.
    pub fn volatile(mut self) -> Self {
        self.class = Class::Volatile;
        self
    }

    /// Sends an event to all of them, encoded once. The data are as in [`Socket::emit`].
    ///
    /// Each socket gets the events of one emitter in the order of its calls. A socket for which
    /// too much waits is disconnected, and the others are not held up.
    ///
    /// # Errors
    ///
    /// [`EmitError::Encode`]; that nobody is there to hear it is no error.
    pub fn emit(&self, event: &str, data: impl Serialize) -> Result<(), EmitError> {
        let packet = encode_event(&self.namespace, event, None, &data)?;
        self.namespace.hub.for_each(&self.selection, |socket| {
            let _ = socket.deliver_or_disconnect(&packet, self.class, Source::Broadcast);
        });
        Ok(())
    }

    /// The sockets themselves, those of clients that are just connecting included.
    #[doc(alias = "fetchSockets")]
    pub fn sockets(&self) -> Vec<Socket> {
        let mut sockets = Vec::new();
        self.namespace.hub.for_each(&self.selection, |socket| sockets.push(socket.clone()));
        sockets
    }

    /// Adds all of them to the rooms.
    #[doc(alias = "socketsJoin")]
    pub fn join(&self, rooms: impl Rooms) {
        let sockets = self.sockets();
        rooms.each(|room| {
            for socket in &sockets {
                socket.join(room);
            }
        });
    }

    /// Takes all of them out of the rooms.
    #[doc(alias = "socketsLeave")]
    pub fn leave(&self, rooms: impl Rooms) {
        let sockets = self.sockets();
        rooms.each(|room| {
            for socket in &sockets {
                socket.leave(room);
            }
        });
    }

    /// Takes all of them out of the namespace; see [`Socket::disconnect`].
    #[doc(alias = "disconnectSockets")]
    pub fn disconnect(&self) {
        self.sockets().iter().for_each(Socket::disconnect);
    }

    /// Closes the connections of all of their clients; see [`Socket::disconnect_client`].
    pub fn disconnect_clients(&self) {
        self.sockets().iter().for_each(Socket::disconnect_client);
    }
}

impl Socket {
    /// Everyone in the namespace, this socket included: what `io` is to a handler in Node.
    #[doc(alias = "nsp")]
    pub fn everyone(&self) -> Broadcast {
        Broadcast::new(self.inner.namespace.clone())
    }

    /// Everyone in the namespace but this socket.
    pub fn broadcast(&self) -> Broadcast {
        Broadcast::but_for(self)
    }

    /// The sockets in these rooms, but for this one.
    pub fn to(&self, rooms: impl Rooms) -> Broadcast {
        self.broadcast().to(rooms)
    }

    /// Everyone in the namespace but this socket and those in these rooms.
    pub fn except(&self, rooms: impl Rooms) -> Broadcast {
        self.broadcast().except(rooms)
    }
}

impl fmt::Debug for Broadcast {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Broadcast")
            .field("namespace", &self.namespace.path)
            .field("selection", &self.selection)
            .field("class", &self.class)
            .finish()
    }
}
