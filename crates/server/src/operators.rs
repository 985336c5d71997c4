//! Whom a broadcast reaches.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use serde::Serialize;
use sockeye_engineio::Sid;
use sockeye_hub::Selection;
use sockeye_hub::adapter::{Adapter, Delivery, Flags};
use sockeye_socketio::{EncodeError, encode};

use crate::emit::{EmitError, class};
use crate::namespace;
use crate::publish::{Outgoing, To};
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
    /// The id of the socket that the selection skips, for servers that do not know its slot.
    skipped: Option<Sid>,
    flags: Flags,
    local: bool,
    timeout: Option<Duration>,
}

/// One room or several, by name: `"a"`, `["a", "b"]`, a `Vec<String>`, what
/// [`Socket::rooms`] has.
#[diagnostic::on_unimplemented(
    message = "`{Self}` does not name rooms",
    note = "one room is a `&str`, `String`, `Box<str>`, `Arc<str>` or `Cow<str>`, or a reference to one; \
            several are an array, a slice or a `Vec` of these"
)]
pub trait Rooms {
    /// Calls `each` with every room's name.
    #[doc(hidden)]
    fn each(self, each: impl FnMut(&str));
}

macro_rules! one_room {
    ($($type:ty),*) => {$(
        impl Rooms for $type {
            fn each(self, mut each: impl FnMut(&str)) {
                each(self.as_ref());
            }
        }
    )*};
}

one_room!(
    &str,
    String,
    &String,
    Box<str>,
    &Box<str>,
    Arc<str>,
    &Arc<str>,
    Cow<'_, str>,
    &Cow<'_, str>
);

macro_rules! several_rooms {
    ($([$($length:tt)*] $type:ty),*) => {$(
        impl<S: AsRef<str>, $($length)*> Rooms for $type {
            fn each(self, mut each: impl FnMut(&str)) {
                self.iter().for_each(|room| each(room.as_ref()));
            }
        }
    )*};
}

several_rooms!(
    [const N: usize] [S; N], [const N: usize] &[S; N], [] &[S], [] Vec<S>, [] &Vec<S>
);

impl Broadcast {
    pub(crate) fn new(namespace: Arc<namespace::Inner>) -> Self {
        Self {
            namespace,
            selection: Selection::everyone(),
            skipped: None,
            flags: Flags::default(),
            local: false,
            timeout: None,
        }
    }

    /// What another server has asked this one to do.
    pub(crate) fn inbound(namespace: Arc<namespace::Inner>, sockets: &Selection) -> Self {
        Self { selection: sockets.clone(), local: true, ..Self::new(namespace) }
    }

    pub(crate) fn with(mut self, flags: Flags, timeout: Option<Duration>) -> Self {
        (self.flags, self.timeout) = (flags, timeout);
        self
    }

    fn but_for(socket: &Socket) -> Self {
        let mut broadcast = Self::new(socket.inner.namespace.clone());
        if broadcast.namespace.journal.is_some() {
            // The client may be back by now, as another socket of the same id.
            return broadcast.except(socket.id());
        }
        if let Some(slot) = socket.slot() {
            broadcast.selection = broadcast.selection.skip(slot);
        }
        broadcast.skipped = Some(socket.inner.id);
        broadcast
    }

    /// The way to the other servers, where there are any and they are meant.
    pub(crate) fn others(&self) -> Option<&Arc<dyn Adapter>> {
        self.namespace.adapter().filter(|_| !self.local)
    }

    /// The selection in words that other servers know.
    pub(crate) fn by_name(&self) -> Selection {
        let mut selection = self.selection.clone();
        selection.skip = None;
        match &self.skipped {
            Some(id) => selection.except(id.as_str()),
            None => selection,
        }
    }

    pub(crate) fn namespace(&self) -> &Arc<namespace::Inner> {
        &self.namespace
    }

    pub(crate) fn selection(&self) -> &Selection {
        &self.selection
    }

    pub(crate) fn flags(&self) -> Flags {
        self.flags
    }

    /// What was [set](Self::timeout).
    pub(crate) fn own_timeout(&self) -> Option<Duration> {
        self.timeout
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

    /// Only the sockets of this server, where there are [others](crate::ServerBuilder::adapter).
    pub fn local(mut self) -> Self {
        self.local = true;
        self
    }

    /// Drops the event for sockets that cannot be written to right now, instead of queueing it.
    pub fn volatile(mut self) -> Self {
        self.flags.volatile = true;
        self
    }

    /// Whether the event may be compressed, where a socket's transport does that. Default: yes.
    pub fn compress(mut self, compress: bool) -> Self {
        self.flags.compress = compress;
        self
    }

    /// How long answers are awaited: those of [sockets](Self::emit_with_acks) instead of the server's
    /// [ack timeout](crate::ServerBuilder::ack_timeout), those of other servers instead of 5 s.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = Some(timeout);
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
        let path = &self.namespace.path;
        self.publish(event, |buffer| encode::event(buffer, path, None, event, &data))
    }

    pub(crate) fn publish(
        &self,
        event: &str,
        encode: impl FnOnce(&mut Vec<u8>) -> Result<Vec<Bytes>, EncodeError>,
    ) -> Result<(), EmitError> {
        let class = class(self.flags);
        let outgoing = Outgoing { event, ack: None, flags: self.flags, to: To::Many(self) };
        self.namespace.publish(outgoing, encode, |packet, delivery| {
            if delivery == Delivery::Now {
                self.namespace.hub.for_each(&self.selection, |socket| {
                    let _ = socket.deliver_or_disconnect(packet, class, Source::Broadcast);
                });
            }
        })
    }

    /// Emits the event `message`, as Node's `io.send` does.
    ///
    /// # Errors
    ///
    /// As [`emit`](Self::emit).
    #[doc(alias = "write")]
    pub fn send(&self, data: impl Serialize) -> Result<(), EmitError> {
        self.emit("message", data)
    }

    /// This server's own sockets of the selection, those of clients that are just connecting
    /// included: handles, with everything that a [`Socket`] can do. For those of all servers there is
    /// [`fetch_sockets`](Self::fetch_sockets).
    #[doc(alias = "fetchSockets")]
    pub fn sockets(&self) -> Vec<Socket> {
        let mut sockets = Vec::new();
        self.namespace.hub.for_each(&self.selection, |socket| sockets.push(socket.clone()));
        sockets
    }

    /// Adds all of them to the rooms. Those of this server are in them when this returns; other
    /// servers are told.
    #[doc(alias = "socketsJoin")]
    pub fn join(&self, rooms: impl Rooms) {
        let rooms = names(rooms);
        if let Some(others) = self.others() {
            others.join(&self.by_name(), &rooms);
        }
        for socket in self.sockets() {
            for room in &rooms {
                socket.join(room);
            }
        }
    }

    /// Takes all of them out of the rooms, as [`join`](Self::join) puts them in.
    #[doc(alias = "socketsLeave")]
    pub fn leave(&self, rooms: impl Rooms) {
        let rooms = names(rooms);
        if let Some(others) = self.others() {
            others.leave(&self.by_name(), &rooms);
        }
        for socket in self.sockets() {
            for room in &rooms {
                socket.leave(room);
            }
        }
    }

    /// Takes all of them out of the namespace, on other servers, too; see [`Socket::disconnect`].
    #[doc(alias = "disconnectSockets")]
    pub fn disconnect(&self) {
        if let Some(others) = self.others() {
            others.disconnect(&self.by_name(), false);
        }
        self.sockets().iter().for_each(Socket::disconnect);
    }

    /// Closes the connections of all of their clients, on other servers, too; see
    /// [`Socket::disconnect_client`].
    #[doc(alias = "disconnectSockets")]
    pub fn disconnect_clients(&self) {
        if let Some(others) = self.others() {
            others.disconnect(&self.by_name(), true);
        }
        self.sockets().iter().for_each(Socket::disconnect_client);
    }
}

fn names(rooms: impl Rooms) -> Vec<Box<str>> {
    let mut names = Vec::new();
    rooms.each(|room| names.push(room.into()));
    names
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
    #[doc(alias = "in")]
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
            .field("flags", &self.flags)
            .field("local", &self.local)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whatever_holds_text_names_rooms() {
        let boxed: Box<str> = "c".into();
        let shared: Arc<str> = "d".into();
        let list = vec!["i".to_owned()];
        let all = [
            names("a"),
            names(String::from("b")),
            names(&boxed),
            names(boxed),
            names(&shared),
            names(shared),
            names(Cow::from("e")),
            names(["f", "g"]),
            names(&[String::from("h")]),
            names(&list),
            names(list),
            names(&["j"][..]),
        ];
        assert_eq!(all.concat().concat(), "abccddefghiij");
    }
}
