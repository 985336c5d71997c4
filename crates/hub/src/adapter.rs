//! How a namespace is spread over several servers.
//!
//! An [`Adapter`] carries what one server does to *all* sockets of a namespace to the others, and
//! their word to this one, which takes it as [`Local`]. There is one for each namespace, made by a
//! [`Factory`]; a server without one is alone, and pays nothing for this.
//!
//! ```text
//!     Broadcast::emit ──▶ Adapter::broadcast ──▶ (broker) ──▶ another Adapter ──▶ its Local::broadcast
//!            └─▶ this server's own sockets                                     its server's sockets ◀─┘
//! ```
//!
//! What an operation is about is a [`Selection`] that speaks of rooms alone: it never has a
//! [`skip`](Selection::skip), since a slot means nothing elsewhere; who is to be left out is named
//! among the exceptions by the room that bears its id.
//!
//! This module knows no runtime and no clock: what takes time is a boxed future ([`Pending`]), which
//! whoever asked polls, and dropping it cancels what it waits for. The calls themselves must not
//! block: they are made from handlers.
//!
//! Answers that do not come are never an error. What was asked of several servers ends when all have
//! answered or time is up, with what has come by then and with the names of those that are
//! [silent](Gathered::silent).

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

pub use crate::observer::RoomEvent;
pub use crate::selection::Selection;

/// What takes time. Dropping it cancels it.
pub type Pending<T> = Pin<Box<dyn Future<Output = T> + Send>>;

/// The arguments of an event or of an answer: JSON, with binary beside it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Arguments {
    /// As JSON, separated by commas, without enclosing brackets; empty if there are none. The first
    /// one of an event is its name. Binary is `{"_placeholder":true,"num":n}`.
    pub json: Box<str>,
    /// The binary, in the order of its placeholders.
    pub attachments: Vec<Bytes>,
}

/// How an event is to be sent. The default is as an emit without modifiers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Flags {
    /// Not to those that cannot be written to right now, and to no log.
    pub volatile: bool,
    /// Compressed where the transport does that.
    pub compress: bool,
}

impl Default for Flags {
    fn default() -> Self {
        Self { volatile: false, compress: true }
    }
}

/// What several servers have answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Gathered<T> {
    /// What has come, in no order.
    pub found: Vec<T>,
    /// The servers that have not answered in time, by whatever the adapter calls them; `unknown` stands
    /// for all of an adapter that did not end in time itself.
    pub silent: Vec<Box<str>>,
}

impl<T> Default for Gathered<T> {
    fn default() -> Self {
        Self { found: Vec::new(), silent: Vec::new() }
    }
}

/// A socket, as its server describes it to others.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SocketRecord {
    /// The public id.
    pub id: Box<str>,
    /// The handshake in the shape that Node gives it: one argument, an object.
    pub handshake: Arguments,
    /// The rooms it is in, the one that bears its id included.
    pub rooms: Vec<Box<str>>,
    /// What its program keeps with it: one argument, an object where nothing is kept.
    pub data: Arguments,
}

/// Who applies an event to this server's own sockets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Delivery {
    /// The server, now.
    Now,
    /// The adapter, by [`Local::broadcast`], once it knows the event's place among all others. Until
    /// then nobody hears it, here or elsewhere.
    ByAdapter,
}

/// One namespace's link to the other servers of its cluster.
///
/// What a broker does to messages is the adapter's to mend: it hands over each of another server's words
/// and answers once, and nothing that this server said itself, unless it [delivers](Delivery::ByAdapter).
/// Answers to what nobody waits for any more may come at any time, and are dropped.
pub trait Adapter: Send + Sync + 'static {
    /// Carries an event to the selected sockets of the other servers.
    fn broadcast(&self, event: Arguments, to: &Selection, flags: Flags) -> Delivery;

    /// As [`broadcast`](Self::broadcast), always [now](Delivery::Now) for this server, and each
    /// socket is to answer.
    ///
    /// The others' answers go to `answers`. Ready when every server has said how many sockets it asks
    /// and all of them have answered, or after `timeout` at the latest: with the servers that have
    /// not said how many.
    fn broadcast_with_acks(
        &self,
        event: Arguments,
        to: &Selection,
        flags: Flags,
        timeout: Duration,
        answers: Arc<dyn Answers>,
    ) -> Pending<Vec<Box<str>>>;

    /// Has the selected sockets of the other servers join these rooms.
    fn join(&self, sockets: &Selection, rooms: &[Box<str>]);

    /// Has the selected sockets of the other servers leave these rooms.
    fn leave(&self, sockets: &Selection, rooms: &[Box<str>]);

    /// Disconnects the selected sockets of the other servers: from the namespace, or with `close`
    /// their clients altogether.
    fn disconnect(&self, sockets: &Selection, close: bool);

    /// The selected sockets of the other servers. Ready after `timeout` at the latest.
    fn fetch_sockets(
        &self,
        sockets: &Selection,
        timeout: Duration,
    ) -> Pending<Gathered<SocketRecord>>;

    /// Carries an event to the other servers themselves.
    fn server_side_emit(&self, event: Arguments);

    /// As [`server_side_emit`](Self::server_side_emit), and each server is to answer. Ready after
    /// `timeout` at the latest; at once, if there are no others.
    fn server_side_emit_with_acks(
        &self,
        event: Arguments,
        timeout: Duration,
    ) -> Pending<Gathered<Arguments>>;

    /// How many servers there are, this one included.
    fn server_count(&self) -> Pending<usize>;

    /// Something has happened to a room of this server; see [`Hub::observe`](crate::Hub::observe).
    /// For adapters that subscribe to rooms.
    fn room(&self, event: RoomEvent<'_>) {
        let _ = event;
    }

    /// Takes this server out of the cluster. Ready when nothing more comes from the others. May be called
    /// more than once.
    fn close(&self) -> Pending<()>;
}

/// Gets the answers of other servers' sockets. May be called from any thread.
pub trait Answers: Send + Sync {
    /// A server asks so many sockets, be it none. Once for each server, before or behind its answers.
    fn expect(&self, sockets: usize);

    /// A socket has answered. Its id is known only where the adapter's protocol carries it.
    fn answer(&self, id: Option<&str>, answer: Arguments);
}

/// Gets the answer of a server to an event of another one; dropped unused, there is none.
pub type Respond = Box<dyn FnOnce(Arguments) + Send>;

/// This server's part of the namespace, for what others want of it. None of it is sent on to other
/// servers. When the server is gone, nothing happens and nobody is found.
pub trait Local: Send + Sync {
    /// Sends an event to the selected sockets.
    fn broadcast(&self, event: Arguments, to: &Selection, flags: Flags);

    /// As [`broadcast`](Self::broadcast), and each socket is to answer.
    ///
    /// Before this returns, [`Answers::expect`] is called once. Ready when all have answered or are
    /// gone, or after `timeout`.
    fn broadcast_with_acks(
        &self,
        event: Arguments,
        to: &Selection,
        flags: Flags,
        timeout: Duration,
        answers: Arc<dyn Answers>,
    ) -> Pending<()>;

    /// Has the selected sockets join these rooms.
    fn join(&self, sockets: &Selection, rooms: &[Box<str>]);

    /// Has the selected sockets leave these rooms.
    fn leave(&self, sockets: &Selection, rooms: &[Box<str>]);

    /// Disconnects the selected sockets: from the namespace, or with `close` their clients altogether.
    fn disconnect(&self, sockets: &Selection, close: bool);

    /// The selected sockets.
    fn fetch_sockets(&self, sockets: &Selection) -> Vec<SocketRecord>;

    /// Hands an event of another server to the namespace's handlers of such. `respond` is there if an
    /// answer is wanted.
    fn server_side_emit(&self, event: Arguments, respond: Option<Respond>);

    /// How many sockets are in a room.
    fn room_len(&self, room: &str) -> usize;

    /// All rooms, those that bear an id included.
    fn rooms(&self) -> Vec<Box<str>>;
}

/// Makes the adapter of each namespace, when the namespace comes to be.
///
/// A closure is one. `local` may be kept: it does not keep the server alive; and used, be it before the
/// adapter is made. A namespace that comes and goes
/// with its sockets may come again while the adapter that it had before is still
/// [closing](Adapter::close): what one ends must not be what the other has begun.
pub trait Factory: Send + Sync + 'static {
    /// The adapter of the namespace with this path.
    fn adapter(&self, namespace: &str, local: Arc<dyn Local>) -> Arc<dyn Adapter>;
}

impl<F> Factory for F
where
    F: Fn(&str, Arc<dyn Local>) -> Arc<dyn Adapter> + Send + Sync + 'static,
{
    fn adapter(&self, namespace: &str, local: Arc<dyn Local>) -> Arc<dyn Adapter> {
        self(namespace, local)
    }
}

impl fmt::Debug for dyn Adapter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Adapter").finish_non_exhaustive()
    }
}
