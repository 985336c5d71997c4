//! The socket: one session's membership of one namespace, and the handle that users hold of it.

mod context;
mod delivery;

use std::convert::Infallible;
use std::fmt;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use serde::de::DeserializeOwned;
use sockeye_engineio::{Revision, Sid, Transport};
use sockeye_hub::{Packet, Slot};
use sockeye_net::clock;
use sockeye_outbox::{Class, Outbox, Refused};
use sockeye_socketio::{DisconnectReason, decode_args, encode, revision4};
use sockeye_transport::{Ending, Entry, Handshake, Shared};

use crate::journal::{Journal, Membership};
use crate::link::{Command, Link};
use crate::local::{Answer, Local};
use crate::namespace::Inner as NamespaceInner;

/// One client in one namespace.
///
/// A clone is another handle of the same socket. A handle may outlive the connection: then
/// [`is_connected`](Self::is_connected) says so, emits fail, and [`closed`](Self::closed) is ready.
#[derive(Clone)]
pub struct Socket {
    pub(crate) inner: Arc<Inner>,
}

pub(crate) struct Inner {
    pub(crate) id: Sid,
    pub(crate) namespace: Arc<NamespaceInner>,
    pub(crate) link: Arc<Link>,
    /// The link's session: one step less for every packet.
    pub(crate) session: Arc<Shared>,
    slot: OnceLock<Slot>,
    /// What [`State`] is, for those who only look.
    phase: AtomicU8,
    state: Mutex<State>,
    auth: Option<Box<str>>,
    /// What most sockets never need.
    local: OnceLock<Box<Local>>,
}

const CONNECTING: u8 = 0;
const CONNECTED: u8 = 1;
const DISCONNECTED: u8 = 2;
/// A bit beside the phase: somebody listens to what is emitted. Nobody else has to look for it: it makes
/// `CONNECTED` another number.
const HEARD: u8 = 4;

/// Where a socket stands.
///
/// ```text
///     Connecting ──the middleware agrees──▶ Connected ──▶ Disconnected
///          └───────it refuses, or the client leaves───────────▲
/// ```
enum State {
    /// The middleware has not answered. What is emitted meanwhile is held back, so that the
    /// client sees its `connect` first.
    Connecting {
        held: Vec<(Arc<Packet>, Source)>,
        held_bytes: usize,
    },
    Connected,
    Disconnected(DisconnectReason),
}

/// To whom a packet was said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Source {
    /// To this socket.
    Own,
    /// To several, and this socket is one of them: not for a client that is never let in.
    Broadcast,
}

/// Why a packet was not queued for a socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Undelivered {
    /// Too much waits for this client already.
    Full,
    /// The socket is not connected.
    Disconnected,
}

impl Socket {
    pub(crate) fn new(
        id: Sid,
        namespace: Arc<NamespaceInner>,
        link: Arc<Link>,
        auth: Option<Box<str>>,
    ) -> Self {
        let heard = if namespace.outgoing.is_empty() { 0 } else { HEARD };
        let phase = AtomicU8::new(CONNECTING | heard);
        Self {
            inner: Arc::new(Inner {
                id,
                namespace,
                session: link.session.clone(),
                link,
                slot: OnceLock::new(),
                phase,
                state: Mutex::new(State::Connecting { held: Vec::new(), held_bytes: 0 }),
                auth,
                local: OnceLock::new(),
            }),
        }
    }

    /// The socket's public id: 20 characters of `A-Za-z0-9_-`, random, another one in each
    /// namespace and after each connection. It is also a room that only this socket is in.
    ///
    /// It may be shown to others. The session's own id, which may not, is never shown.
    ///
    /// A client of the 2.x versions ([`allow_eio3`](crate::Builder::allow_eio3)) is not told this id, and
    /// takes its session's for `socket.id`: tell it this one in an event where it needs it.
    pub fn id(&self) -> &str {
        self.inner.id.as_str()
    }

    /// The path of the namespace, such as `/`.
    #[doc(alias = "nsp")]
    pub fn namespace(&self) -> &str {
        &self.inner.namespace.path
    }

    /// The HTTP request that opened the client's session.
    pub fn handshake(&self) -> &Handshake {
        self.inner.session.handshake()
    }

    /// The JSON object that the client sent as `auth`, if any, as text; of a client of the 2.x versions,
    /// the query that it put behind the namespace's name, as an object of strings. Middleware and connect
    /// handlers get it as [`Data<T>`](crate::Data), too.
    pub fn auth(&self) -> Option<&str> {
        self.inner.auth.as_deref()
    }

    /// The client's `auth`, as [`Data`](crate::Data) decodes it; `None` if it is absent or of
    /// another shape.
    pub fn auth_as<T: DeserializeOwned>(&self) -> Option<T> {
        decode_args(self.auth()?, &[]).ok()
    }

    /// Whether events go both ways: the middleware has agreed, and nobody has disconnected.
    #[doc(alias = "connected")]
    pub fn is_connected(&self) -> bool {
        self.inner.phase.load(Ordering::Acquire) & !HEARD == CONNECTED
    }

    /// Why the socket is not connected any more.
    pub fn disconnect_reason(&self) -> Option<DisconnectReason> {
        match &*self.state() {
            State::Disconnected(reason) => Some(*reason),
            State::Connecting { .. } | State::Connected => None,
        }
    }

    /// What is known beside the [reason](Self::disconnect_reason), such as `message too large` or `too slow a
    /// consumer`: the second argument of Node's event `disconnect`. `None` if the reason says it all.
    ///
    /// ```
    /// # use sockeye_server::{DisconnectReason, Namespace, Socket};
    /// let chat = Namespace::new("/").on_disconnect(|socket: Socket, reason: DisconnectReason| {
    ///     println!("{} left: {reason} {:?}", socket.id(), socket.disconnect_details());
    /// });
    /// ```
    pub fn disconnect_details(&self) -> Option<&'static str> {
        match self.disconnect_reason()? {
            DisconnectReason::ClientNamespaceDisconnect
            | DisconnectReason::ServerNamespaceDisconnect => None,
            _ => self.inner.link.session.ending()?.details(),
        }
    }

    /// Ready with the reason once the socket is disconnected.
    ///
    /// Handlers run on after a disconnect; this tells them. It may be dropped and awaited again.
    pub async fn closed(&self) -> DisconnectReason {
        let local = self.local();
        loop {
            let notified = local.closed.notified();
            if let Some(reason) = self.disconnect_reason() {
                return reason;
            }
            notified.await;
        }
    }

    /// Adds the socket to a room. `false` if it was in it, or is disconnected. Of a client that is away, it
    /// counts when that [comes back](crate::ServerBuilder::connection_state_recovery).
    pub fn join(&self, room: &str) -> bool {
        let Some(slot) = self.slot() else { return false };
        if let Some((journal, membership)) = self.journal() {
            // First, so that no event can come to the socket of which the log says that it was not for it.
            journal.log.join(membership.visit, room);
        }
        let joined = self.inner.namespace.hub.join(slot, room).unwrap_or(false);
        if joined {
            tracing::trace!(target: "socket.io-adapter", socket = self.id(), room, "joins");
        }
        if joined && let Some(observer) = self.inner.namespace.server.observer() {
            observer.joined(self, room);
        }
        joined
    }

    /// Takes the socket out of a room. `false` if it was not in it.
    pub fn leave(&self, room: &str) -> bool {
        let left = self.slot().is_some_and(|slot| self.inner.namespace.hub.leave(slot, room));
        if let Some((journal, membership)) = self.journal()
            && *room != *self.id()
        {
            journal.log.leave(membership.visit, room);
        }
        if left {
            tracing::trace!(target: "socket.io-adapter", socket = self.id(), room, "leaves");
        }
        if left && let Some(observer) = self.inner.namespace.server.observer() {
            observer.left(self, room);
        }
        left
    }

    /// The rooms that the socket is in: first the one that bears its id, as in Node. Empty once it
    /// is disconnected.
    pub fn rooms(&self) -> Vec<Box<str>> {
        self.slot().map(|slot| self.inner.namespace.hub.rooms(slot)).unwrap_or_default()
    }

    /// Whether this is what the client had before it lost its connection: the id, the rooms and the data
    /// are those that it had then, and it is told what it missed. See
    /// [`connection_state_recovery`](crate::ServerBuilder::connection_state_recovery).
    pub fn recovered(&self) -> bool {
        self.membership().is_some_and(|membership| membership.recovered)
    }

    /// Bytes that wait to be written to the client, by all of its namespaces.
    pub fn buffered_bytes(&self) -> usize {
        self.outbox().buffered_bytes()
    }

    /// Whether a volatile event would go out now: the last write did not block, little is queued, and
    /// of a client that polls a poll waits.
    #[doc(alias = "writable")]
    pub fn is_writable(&self) -> bool {
        self.is_connected() && self.outbox().is_writable()
    }

    /// The id of the client's session, on which several sockets may be, each in a namespace of its own. It is
    /// a secret, other than [`id`](Self::id): whoever knows it can speak as the client.
    #[doc(alias = "conn.id")]
    pub fn session_id(&self) -> Sid {
        self.inner.session.sid()
    }

    /// The transport that the client's session uses now.
    #[doc(alias = "conn.transport.name")]
    pub fn transport(&self) -> Transport {
        self.inner.session.transport()
    }

    /// The revision of Engine.IO that the client speaks: 3 for those of the 2.x versions.
    #[doc(alias = "conn.protocol")]
    pub fn revision(&self) -> Revision {
        self.inner.session.revision()
    }

    /// Takes the socket out of its namespace. The client is told, hears `io server disconnect`, and
    /// does not reconnect by itself. What was emitted before still arrives. A client that is away
    /// [comes back](crate::ServerBuilder::connection_state_recovery) as a new one.
    pub fn disconnect(&self) {
        if self.inner.link.is_closed() {
            // The client may be away: it is not to come back as this.
            if let Some((journal, membership)) = self.journal() {
                journal.log.end(membership.visit);
            }
            return;
        }
        // A client is told of its end only in a namespace that it has joined.
        self.let_in(&[Source::Own]);
        self.put_out(Command::Ended);
    }

    /// The client has come back on another connection: this one is dead, whether that is known or not.
    pub(crate) fn evict(&self) {
        let was_connected = self.is_connected();
        self.let_in(&[]);
        self.put_out(Command::Evicted);
        if was_connected && let Some(observer) = self.inner.namespace.server.observer() {
            // Now, before they are told of the new one: it has the same id.
            observer.disconnected(self, DisconnectReason::ServerNamespaceDisconnect.as_str());
        }
        // Whoever is just ending it may not have come so far.
        if let Some(slot) = self.slot() {
            drop(self.inner.namespace.hub.remove(slot));
        }
    }

    /// Another socket has this one's id by now.
    pub(crate) fn is_replaced(&self) -> bool {
        self.inner.namespace.hub.find(self.id()).is_some_and(|bearer| bearer != *self)
    }

    /// The client gets what was held back, after all that it missed.
    pub(crate) fn has_caught_up(&self) {
        if let Some(membership) = self.membership() {
            membership.has_caught_up();
        }
        self.open();
    }

    /// The client was not let in again: its session is there for the next time.
    pub(crate) fn set_aside(&self) {
        if let Some((journal, membership)) = self.journal()
            && membership.recovered
        {
            journal.log.set_aside(clock::now(), membership.visit);
        }
    }

    fn put_out(&self, word: impl FnOnce(Self) -> Command) {
        let Ok(farewell) = Packet::message(|buffer| {
            encode::disconnect(buffer, self.namespace());
            Ok::<_, Infallible>(Vec::new())
        });
        if self.end(DisconnectReason::ServerNamespaceDisconnect) {
            // Word first: a client may answer its DISCONNECT with the next CONNECT at once.
            self.inner.link.push(word(self.clone()));
            let _ = self.inner.session.push(Entry::Packet(farewell), Class::Reserved);
        }
    }

    /// Takes all of the client's sockets out of their namespaces, then closes its connection.
    pub fn disconnect_client(&self) {
        self.disconnect();
        self.inner.link.push(Command::EndAll);
    }

    /// Puts the socket into its namespace's hub.
    pub(crate) fn enter(&self) -> bool {
        let hub = &self.inner.namespace.hub;
        let Ok(slot) = hub.insert(self.inner.id, self.clone()) else { return false };
        let entered = self.inner.slot.set(slot).is_ok();
        if self.disconnect_reason().is_some() {
            // Whoever found it in the hub and ended it could not know its slot.
            drop(hub.remove(slot));
        }
        entered
    }

    /// The middleware agreed: the client gets its CONNECT, then what was held back.
    pub(crate) fn open(&self) {
        self.let_in(&[Source::Own, Source::Broadcast]);
    }

    /// Lets the client in and gives it what was held back from these sources.
    fn let_in(&self, sources: &[Source]) {
        let mut state = self.state();
        let State::Connecting { held, .. } = &mut *state else { return };
        let held = std::mem::take(held);
        let held = held.into_iter().filter(|(_, source)| sources.contains(source));
        for packet in self.greeting().into_iter().chain(held.map(|(packet, _)| packet)) {
            let entry = Entry::Packet(packet);
            if let Err(Refused::Full(_)) = self.inner.session.push(entry, Class::Reserved) {
                // No gap that nobody knows of.
                self.inner.session.discard(Ending::TOO_SLOW);
                break;
            }
        }
        *state = State::Connected;
        self.enter_phase(CONNECTED);
    }

    /// The client's CONNECT, unless it has it.
    fn greeting(&self) -> Option<Arc<Packet>> {
        let membership = self.membership();
        if membership.is_some_and(|it| it.greeted.swap(true, Ordering::Relaxed)) {
            return None;
        }
        let pid = membership.map(|membership| membership.visit.pid());
        let Ok(reply) = Packet::message(|buffer| {
            match self.revision() {
                Revision::V3 => revision4::connect(buffer, self.namespace()),
                Revision::V4 => {
                    let pid = pid.as_ref().map(Sid::as_str);
                    encode::connect(buffer, self.namespace(), self.id(), pid);
                }
            }
            Ok::<_, Infallible>(Vec::new())
        });
        Some(reply)
    }

    /// The client gets its CONNECT, but nothing else yet.
    pub(crate) fn greet(&self) {
        let _state = self.state();
        if let Some(reply) = self.greeting()
            && let Err(Refused::Full(_)) =
                self.inner.session.push(Entry::Packet(reply), Class::Reserved)
        {
            self.inner.session.discard(Ending::TOO_SLOW);
        }
    }

    /// Leaves the namespace, its rooms and whoever awaits an ack. `false` if it had left before.
    pub(crate) fn end(&self, reason: DisconnectReason) -> bool {
        let before = {
            let mut state = self.state();
            if matches!(*state, State::Disconnected(_)) {
                return false;
            }
            self.enter_phase(DISCONNECTED);
            std::mem::replace(&mut *state, State::Disconnected(reason))
        };
        if matches!(before, State::Connected) {
            tracing::debug!(
                target: "socket.io:socket",
                socket = self.id(), namespace = self.namespace(), reason = reason.as_str(), "leaves the namespace"
            );
            self.tell_leaving(reason);
        }
        drop(before);
        if let Some(slot) = self.slot() {
            let observer = self.inner.namespace.server.observer();
            let rooms = observer.map(|_| self.inner.namespace.hub.rooms(slot)).unwrap_or_default();
            let removed = self.inner.namespace.hub.remove(slot);
            drop(removed);
            if let Some(observer) = observer {
                rooms.iter().for_each(|room| observer.left(self, room));
            }
        }
        if let Some((journal, membership)) = self.journal() {
            // Whoever was never let in has nothing to come back for.
            let was_in = membership.recovered || membership.greeted.load(Ordering::Relaxed);
            if was_in && reason.is_recoverable() {
                journal.log.away(clock::now(), membership.visit);
            } else {
                journal.log.end(membership.visit);
            }
        }
        if let Some(local) = self.inner.local.get() {
            let unanswered = local.disconnected();
            self.inner.namespace.counters().acks.disconnected.add(unanswered);
        }
        self.inner.namespace.gathers.gone(self.inner.id);
        self.inner.namespace.left();
        true
    }

    /// The client has answered an event.
    pub(crate) fn answered(&self, ack: u64, answer: Answer) {
        match self.local_if_used().and_then(|local| local.take_ack(ack)) {
            Some(waiting) => {
                self.inner.namespace.counters().acks.answered.count();
                drop(waiting.send(answer));
            }
            None => self.inner.namespace.gathers.answered(ack, self.inner.id, answer),
        }
    }

    fn enter_phase(&self, phase: u8) {
        // Only the bit may change meanwhile: the state's lock is held.
        let heard = self.inner.phase.load(Ordering::Acquire) & HEARD;
        let before = self.inner.phase.swap(phase | heard, Ordering::AcqRel);
        if before & HEARD != heard {
            self.hear();
        }
    }

    /// From here on, somebody listens to what is emitted.
    pub(crate) fn hear(&self) {
        self.inner.phase.fetch_or(HEARD, Ordering::AcqRel);
    }

    /// Whether somebody listens to what is emitted.
    pub(crate) fn is_heard(&self) -> bool {
        self.inner.phase.load(Ordering::Acquire) & HEARD != 0
    }

    /// Ends the client's session: it has missed something, and is to learn that it did.
    pub(crate) fn drop_client(&self) {
        self.inner.session.discard(Ending::TOO_SLOW);
    }

    pub(crate) fn outbox(&self) -> &Outbox<Entry> {
        self.inner.session.outbox()
    }

    pub(crate) fn slot(&self) -> Option<Slot> {
        self.inner.slot.get().copied()
    }

    pub(crate) fn local(&self) -> &Local {
        self.inner.local.get_or_init(Box::default)
    }

    pub(crate) fn local_if_used(&self) -> Option<&Local> {
        self.inner.local.get().map(|local| &**local)
    }

    /// Where this client can be recovered, and by what.
    pub(crate) fn journal(&self) -> Option<(&Journal, &Membership)> {
        // Hardly any server has one: whoever has none does not look further.
        let journal = self.inner.namespace.journal.as_ref()?;
        Some((journal, self.membership()?))
    }

    fn is_catching_up(&self) -> bool {
        self.membership().is_some_and(Membership::is_catching_up)
    }

    pub(crate) fn membership(&self) -> Option<&Membership> {
        self.local_if_used()?.membership.get().map(|membership| &**membership)
    }

    pub(crate) fn set_membership(&self, membership: Membership) {
        let _ = self.local().membership.set(Box::new(membership));
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.inner.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl PartialEq for Socket {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.inner, &other.inner)
    }
}

impl Eq for Socket {}

impl fmt::Debug for Socket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Socket")
            .field("id", &self.id())
            .field("namespace", &self.namespace())
            .field("connected", &self.is_connected())
            .finish()
    }
}
