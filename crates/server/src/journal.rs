//! The order of a namespace's events, where clients can be recovered.
//!
//! An event is kept before anybody hears it, and whoever is to hear it has it in its outbox before the
//! next event of the namespace is kept: that is a *turn*. So the order of the offsets is the order of
//! delivery, and a client's last offset says what it has heard. In a turn no user's code runs, but for
//! parsers and for who hears of session events, who must not emit; and nothing waits, except for the `write`
//! by which a store on disk keeps an event.
//!
//! A client that comes back gets its `connect` first, and then what it missed. (Node has it the other
//! way round: but what comes before a `connect`, the official client keeps until there is one, beyond
//! the end of the connection, so that it would hear twice what a connection brought that broke in
//! between.) It is read from the log, piece by piece as the client takes it, and so is what is emitted
//! meanwhile; the last piece is delivered in a turn, after which the socket is one as any other.

mod request;

use std::cell::RefCell;
use std::collections::VecDeque;
use std::future::poll_fn;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use sockeye_engineio::Sid;
use sockeye_hub::adapter::Delivery;
use sockeye_hub::{Packet, Selection};
use sockeye_net::clock;
use sockeye_outbox::{Class, Refused};
use sockeye_recovery::{Claim, Event, Log, Position, Unrecoverable, Visit};
use sockeye_transport::Entry;

pub(crate) use self::request::Request;
use crate::namespace;
use crate::publish::{Outgoing, To};
use crate::recovery::Kept;
use crate::socket::Socket;

/// A namespace's part of the log.
pub(crate) struct Journal {
    pub(crate) log: Arc<Log>,
    pub(crate) skip_middlewares: bool,
    path: Arc<str>,
    turn: Mutex<()>,
    /// The place of the last event that was kept.
    kept: AtomicU64,
    door: Mutex<()>,
}

/// What is read from the log at a time, in bytes: some hundred microseconds' worth from a disk.
const PIECE: usize = 64 * 1024;

/// A socket's part in it.
pub(crate) struct Membership {
    pub(crate) visit: Visit,
    pub(crate) recovered: bool,
    /// What the client has missed and is not told yet.
    claim: Mutex<Option<Claim>>,
    /// Events reach the client by the log. Changes in a turn.
    catching_up: AtomicBool,
    /// The client has its `connect`.
    pub(crate) greeted: AtomicBool,
}

impl Membership {
    fn new(visit: Visit, claim: Option<Claim>) -> Self {
        let recovered = claim.is_some();
        Self {
            visit,
            recovered,
            claim: Mutex::new(claim),
            catching_up: AtomicBool::new(recovered),
            greeted: AtomicBool::new(false),
        }
    }

    pub(crate) fn is_catching_up(&self) -> bool {
        self.catching_up.load(Ordering::Acquire)
    }

    pub(crate) fn has_caught_up(&self) {
        self.catching_up.store(false, Ordering::Release);
    }

    /// What the client is to be told; once.
    pub(crate) fn take_claim(&self) -> Option<Claim> {
        self.claim.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

impl Journal {
    pub(crate) fn new(kept: &Kept, path: &str) -> Self {
        Self {
            log: kept.log.clone(),
            skip_middlewares: kept.skip_middlewares,
            path: path.into(),
            turn: Mutex::default(),
            kept: AtomicU64::new(0),
            door: Mutex::default(),
        }
    }

    fn turn(&self) -> Turn<'_> {
        let guard = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        LATER.set(Some(Vec::new()));
        Turn { guard: Some(guard) }
    }

    /// Keeps an event, if it is one to be kept, and has it delivered with its offset.
    pub(crate) fn publish<R>(
        &self,
        outgoing: Outgoing<'_>,
        packet: Arc<Packet>,
        delivery: Delivery,
        deliver: impl FnOnce(&Arc<Packet>, Delivery) -> R,
    ) -> R {
        if delivery == Delivery::ByAdapter {
            // It comes again, when the adapter knows its place.
            return deliver(&packet, delivery);
        }
        let _turn = self.turn();
        let packet = match outgoing.to {
            // The client takes no offset from an event that it is to answer.
            _ if outgoing.ack.is_some() => packet,
            // From one that is not kept, it takes the last string for an offset, be it a user's.
            _ if outgoing.flags.volatile => {
                Packet::with_offset(packet, &self.log.offset().to_string())
            }
            To::Many(broadcast) => {
                let Selection { rooms, except, .. } = broadcast.by_name();
                self.keep(packet, rooms.into_vec(), except.into_vec())
            }
            To::One(socket) => match socket.membership() {
                Some(membership) if self.log.is_kept(membership.visit) => {
                    self.keep(packet, vec![socket.id().into()], Vec::new())
                }
                _ => packet,
            },
        };
        deliver(&packet, delivery)
    }

    fn keep(
        &self,
        packet: Arc<Packet>,
        rooms: Vec<Box<str>>,
        except: Vec<Box<str>>,
    ) -> Arc<Packet> {
        let namespace = self.path.clone();
        let (position, packet) = self.log.append(clock::now(), |offset| {
            let packet = Packet::with_offset(packet, &offset.to_string());
            Event { namespace, rooms, except, packet }
        });
        self.kept.store(position.0, Ordering::Relaxed);
        packet
    }

    /// The event of this turn was not sent. Called within it.
    pub(crate) fn withdraw(&self) {
        self.log.withdraw(Position(self.kept.load(Ordering::Relaxed)));
    }

    /// Lets a new socket into the hub, with a session of its own.
    pub(crate) fn enter(&self, socket: &Socket, pid: Sid) -> bool {
        let visit = self.log.begin(clock::now(), pid, self.path.clone(), socket.inner.id);
        socket.set_membership(Membership::new(visit, None));
        let entered = socket.enter();
        if !entered {
            self.log.end(visit);
        }
        entered
    }

    /// Makes a socket again, and puts it into the hub and its rooms, from where the one that had its
    /// session is put out. `None` if that cannot be.
    pub(crate) fn restore(
        &self,
        namespace: &namespace::Inner,
        request: &Request<'_>,
        make: impl FnOnce(Sid) -> Socket,
    ) -> Option<Socket> {
        // One after the other: of two with one pid, the second puts the first one out.
        let _door = self.door.lock().unwrap_or_else(PoisonError::into_inner);
        let Request { pid, offset } = request;
        let claim = match self.log.claim(clock::now(), &self.path, *pid, offset.as_deref()) {
            Ok(claim) => claim,
            Err(reason) => {
                tracing::debug!(target: "socket.io:recovery", %reason, "the client gets a new session");
                return None;
            }
        };
        if let Some(former) = namespace.hub.find(claim.session.sid.as_str()) {
            former.evict();
        }
        let socket = make(claim.session.sid);
        if let Some(data) = &claim.session.data {
            socket.local().put_data(data.clone());
        }
        socket.set_membership(Membership::new(claim.visit, Some(claim.clone())));
        let slot = if socket.enter() { socket.slot() } else { None };
        let resumed = slot.is_some() && self.log.resume(clock::now(), &claim).is_ok();
        let Some(slot) = slot.filter(|_| resumed) else {
            drop(slot.and_then(|slot| namespace.hub.remove(slot)));
            self.log.away(clock::now(), claim.visit);
            return None;
        };
        for room in claim.session.rooms.keys() {
            let _ = namespace.hub.join(slot, room);
        }
        Some(socket)
    }

    /// Tells a client what it missed. Ready when it has been told, or is gone.
    pub(crate) async fn catch_up(&self, socket: Socket, mut claim: Claim) {
        let mut rest = VecDeque::new();
        loop {
            if !rest.is_empty() {
                // Others of this thread may want it after a piece.
                tokio::task::yield_now().await;
            }
            while let Some(packet) = rest.pop_front() {
                if !queue(&socket, packet).await {
                    return;
                }
            }
            match self.log.missed(&mut claim, PIECE) {
                Ok(missed) if missed.caught_up => {
                    rest.extend(missed.packets);
                    if rest.is_empty() && self.end_catching_up(&socket, &mut claim, &mut rest) {
                        return;
                    }
                }
                Ok(missed) => rest.extend(missed.packets),
                Err(reason) => {
                    self.lose(&socket, claim.visit, reason);
                    return;
                }
            }
        }
    }

    /// The client has been told all but what was emitted just now. `false` if that is too much for its
    /// outbox: it is in `rest`.
    fn end_catching_up(
        &self,
        socket: &Socket,
        claim: &mut Claim,
        rest: &mut VecDeque<Arc<Packet>>,
    ) -> bool {
        let _turn = self.turn();
        match self.log.missed(claim, PIECE) {
            Ok(missed) => {
                rest.extend(missed.packets);
                while let Some(packet) = rest.pop_front() {
                    match socket.inner.session.push(Entry::Packet(packet), Class::Data) {
                        Ok(()) => {}
                        Err(Refused::Full(Entry::Packet(packet))) => {
                            rest.push_front(packet);
                            return false;
                        }
                        Err(_) => return true,
                    }
                }
                if missed.caught_up {
                    socket.has_caught_up();
                }
                missed.caught_up
            }
            Err(reason) => {
                self.lose(socket, claim.visit, reason);
                true
            }
        }
    }

    /// The client has been told that it is recovered, and cannot be: it gets a new session when it comes
    /// again.
    fn lose(&self, socket: &Socket, visit: Visit, reason: Unrecoverable) {
        if reason == Unrecoverable::Superseded {
            return;
        }
        tracing::warn!(
            target: "socket.io:recovery", socket = socket.id(), %reason,
            "a client cannot be told all that it missed: it is disconnected"
        );
        self.log.end(visit);
        socket.drop_client();
    }
}

/// Queues a packet as soon as there is room for it; `false` if the client is gone.
async fn queue(socket: &Socket, packet: Arc<Packet>) -> bool {
    let packet = match socket.inner.session.push(Entry::Packet(packet), Class::Data) {
        Ok(()) => return true,
        Err(Refused::Full(packet)) => packet,
        Err(Refused::Sealed(_)) => return false,
    };
    let room = poll_fn(|cx| socket.outbox().poll_room(cx)).await;
    room.is_ok() && socket.inner.session.push(packet, Class::Promised).is_ok()
}

/// A turn, until it is dropped.
struct Turn<'a> {
    guard: Option<MutexGuard<'a, ()>>,
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        let later = LATER.take();
        self.guard = None;
        for work in later.into_iter().flatten() {
            match work {
                Owned::Heard(socket, packet) => socket.heard(&packet),
                Owned::TooSlow(socket) => socket.tell_too_slow(),
            }
        }
    }
}

/// What runs users' code because of an event.
pub(crate) enum Later<'a> {
    Heard(&'a Socket, &'a Arc<Packet>),
    TooSlow(&'a Socket),
}

enum Owned {
    Heard(Socket, Arc<Packet>),
    TooSlow(Socket),
}

thread_local! {
    /// What is left for the end of this thread's turn, if it has one: a listener may emit, too.
    static LATER: RefCell<Option<Vec<Owned>>> = const { RefCell::new(None) };
}

/// Does it, or leaves it for the end of the turn.
pub(crate) fn after_turn(work: Later<'_>) {
    let left = LATER.with_borrow_mut(|later| {
        let Some(later) = later else { return false };
        later.push(match work {
            Later::Heard(socket, packet) => Owned::Heard(socket.clone(), packet.clone()),
            Later::TooSlow(socket) => Owned::TooSlow(socket.clone()),
        });
        true
    });
    if !left {
        match work {
            Later::Heard(socket, packet) => socket.heard(packet),
            Later::TooSlow(socket) => socket.tell_too_slow(),
        }
    }
}
