//! The log: what is kept, for how long, and who may have it.

mod opening;

use std::collections::{BTreeSet, VecDeque};
use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use hashbrown::HashMap;
use sockeye_engineio::Sid;
use sockeye_hub::Packet;

pub use self::opening::Opening;
use crate::event::{Event, Gap, Meta};
use crate::offset::{Epoch, Offset, Position};
use crate::session::{MAX_STAYS, Session, Stay};
use crate::store::{Forgotten, Run, Store};
use crate::unrecoverable::Unrecoverable;

/// How much is kept, and for how long. Times are milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// How long a client may be away.
    pub max_disconnection: u64,
    /// The longest time for which a connection can be dead before its end is noticed.
    pub heartbeat: u64,
    /// The most bytes of events and of the sessions of clients that are away. These may be a quarter
    /// of it. The oldest go first.
    pub max_bytes: usize,
}

/// The longest name of a room that is kept, which stores take for a key. Names may be made by clients.
const MAX_ROOM: usize = 65_000;

/// The most places that are looked at without letting others have the lock.
const SCAN: usize = 1024;

/// What was emitted, and what the sockets were. See the [crate](crate).
pub struct Log {
    store: Box<dyn Store>,
    limits: Limits,
    epoch: Epoch,
    /// The store's time when the log was opened, and the caller's.
    opened: (u64, u64),
    state: Mutex<State>,
    failures: AtomicU64,
}

struct State {
    /// The store's time.
    time: u64,
    /// The last position that was given out.
    head: Position,
    /// The runs of processes; the last one is ours.
    runs: Vec<Run>,
    index: VecDeque<Meta>,
    bytes: usize,
    forgotten: Forgotten,
    sessions: HashMap<Sid, Session>,
    /// The sessions of clients that are away, the longest away first.
    away: BTreeSet<(u64, Sid)>,
    away_bytes: usize,
    /// How many of them each namespace has.
    awaited: HashMap<Arc<str>, usize>,
    visits: u64,
}

/// A socket's hold of its session. It loses it to whoever comes with the same pid later.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Visit {
    pid: Sid,
    number: u64,
}

impl Visit {
    /// The secret by which the client can come back.
    #[must_use]
    pub fn pid(&self) -> Sid {
        self.pid
    }
}

/// A client that has come back, and is being told what it missed.
#[derive(Clone, Debug)]
pub struct Claim {
    /// Its hold of the session.
    pub visit: Visit,
    /// The session, as it was when the client came back.
    pub session: Session,
    /// It had heard everything up to here.
    told: Position,
    /// It has been told everything up to here.
    cursor: Position,
}

/// A part of what a client missed.
#[derive(Debug, Default)]
pub struct Missed {
    /// The next events for it, in order.
    pub packets: Vec<Arc<Packet>>,
    /// There are no more.
    pub caught_up: bool,
}

impl Log {
    /// Where the log stands: the offset of whoever has heard everything so far.
    #[must_use]
    pub fn offset(&self) -> Offset {
        Offset { epoch: self.epoch, position: self.state().head }
    }

    /// Gives an event its place, and keeps it.
    ///
    /// `event` is called with the offset, which it puts into the packet; it must be quick. Whoever
    /// needs the order of the events to be that of their delivery, delivers them before the next call.
    ///
    /// If the store cannot write it, it is returned all the same, and whoever has not heard it will
    /// not be recovered.
    pub fn append(&self, now: u64, event: impl FnOnce(Offset) -> Event) -> (Position, Arc<Packet>) {
        let mut state = self.at(now);
        let (position, time) = (state.head.next(), state.time);
        let event = event(Offset { epoch: self.epoch, position });
        let (bytes, namespace) = (event.bytes(), event.namespace.clone());
        let packet = event.packet.clone();
        let mut meta = Meta { position, time, bytes, namespace, gap: Gap::None };
        if !self.wrote(self.store.append(&meta, event)) {
            meta.gap = Gap::Lost;
        }
        state.head = position;
        state.bytes += bytes;
        state.index.push_back(meta);
        self.trim(&mut state);
        (position, packet)
    }

    /// Takes back an event that was given to nobody.
    pub fn withdraw(&self, position: Position) {
        let mut state = self.state();
        let Ok(at) = state.index.binary_search_by_key(&position, |meta| meta.position) else {
            return;
        };
        state.index[at].gap = Gap::Withdrawn;
        self.wrote(self.store.mark(&state.index[at]));
    }

    /// Begins the session of a socket that was not there before. Nobody else must know `pid`.
    pub fn begin(&self, now: u64, pid: Sid, namespace: Arc<str>, sid: Sid) -> Visit {
        let mut state = self.at(now);
        let mut session = Session::new(namespace, sid, state.head, state.time);
        session.visit = state.next_visit();
        let visit = Visit { pid, number: session.visit };
        self.wrote(self.store.put_session(pid, &session));
        state.sessions.insert(pid, session);
        visit
    }

    /// The socket is in a room from now on. In one with a name of more than 65 000 bytes, it is not kept.
    pub fn join(&self, visit: Visit, room: &str) {
        let mut state = self.state();
        let head = state.head;
        let Some(session) = state.session(visit) else { return };
        if session.rooms.contains_key(room) {
            return;
        }
        if room.len() > MAX_ROOM {
            self.remove(&mut state, visit.pid);
            return;
        }
        session.rooms.insert(room.into(), head);
        self.wrote(self.store.put_room(visit.pid, room, Some(head)));
        self.grew(&mut state, visit.pid);
    }

    /// The socket is not in a room any more.
    pub fn leave(&self, visit: Visit, room: &str) {
        let mut state = self.state();
        let (head, forgotten) = (state.head, state.forgotten.position);
        let Some(session) = state.session(visit) else { return };
        let Some((room, joined)) = session.rooms.remove_entry(room) else { return };
        self.wrote(self.store.put_room(visit.pid, &room, None));
        let over = forgotten.max(session.floor);
        while session.stays.front().is_some_and(|stay| stay.left <= over) {
            session.stays.pop_front();
        }
        if head > joined {
            if session.stays.len() >= MAX_STAYS {
                session.stays.pop_front();
            }
            session.stays.push_back(Stay { room, joined, left: head });
            self.wrote(self.store.put_stays(visit.pid, session));
        }
        self.grew(&mut state, visit.pid);
    }

    /// The socket has other data, as JSON.
    pub fn set_data(&self, visit: Visit, data: &str) {
        let mut state = self.state();
        let Some(session) = state.session(visit) else { return };
        session.data = Some(data.into());
        self.wrote(self.store.put_session(visit.pid, session));
        self.grew(&mut state, visit.pid);
    }

    /// The client is gone, and may come back.
    pub fn away(&self, now: u64, visit: Visit) {
        let mut state = self.at(now);
        if state.session(visit).is_some() {
            self.set_away(&mut state, visit.pid);
            self.trim(&mut state);
        }
    }

    /// The client came and was sent away: it may come again, and this visit has no say any more.
    pub fn set_aside(&self, now: u64, visit: Visit) {
        let mut state = self.at(now);
        let number = state.next_visit();
        if let Some(session) = state.session(visit) {
            session.visit = number;
            self.set_away(&mut state, visit.pid);
            self.trim(&mut state);
        }
    }

    /// The socket is gone for good.
    pub fn end(&self, visit: Visit) {
        let mut state = self.state();
        if state.session(visit).is_some() {
            self.remove(&mut state, visit.pid);
        }
    }

    /// A client comes back. Whoever had its session has lost it, be it a socket or another claim.
    ///
    /// The client is told what it [missed](Self::missed), then it [resumes](Self::resume). If it does
    /// not, nothing is to be done: the client is away again.
    ///
    /// # Errors
    ///
    /// [`Unrecoverable`].
    pub fn claim(
        &self,
        now: u64,
        namespace: &str,
        pid: Sid,
        offset: Option<&str>,
    ) -> Result<Claim, Unrecoverable> {
        let mut state = self.at(now);
        let cursor = self.look(&state, namespace, pid, offset)?;
        let number = state.next_visit();
        // It has until then to hear what it missed; else a slow client's session would end under it.
        self.set_away(&mut state, pid);
        let session = state.sessions.get_mut(&pid).ok_or(Unrecoverable::Unknown)?;
        session.visit = number;
        let (visit, session) = (Visit { pid, number }, session.clone());
        Ok(Claim { visit, session, told: cursor, cursor })
    }

    /// The next events that a client missed, of at least one and at most about `max_bytes`.
    ///
    /// # Errors
    ///
    /// [`Unrecoverable::Incomplete`] and [`Unrecoverable::Superseded`].
    pub fn missed(&self, claim: &mut Claim, max_bytes: usize) -> Result<Missed, Unrecoverable> {
        let mut missed = Missed::default();
        let mut bytes = 0;
        while bytes < max_bytes {
            let metas = self.scan(claim)?;
            let Some(metas) = metas else {
                missed.caught_up = true;
                break;
            };
            // Read without the lock, so that whoever emits need not wait.
            for meta in metas {
                if bytes >= max_bytes {
                    return Ok(missed);
                }
                claim.cursor = meta.position;
                if meta.gap == Gap::Withdrawn || *meta.namespace != *claim.session.namespace {
                    continue;
                }
                let event = if meta.gap == Gap::Lost { None } else { self.read(meta.position) };
                let event = event.ok_or(Unrecoverable::Incomplete)?;
                if event.is_for(meta.position, &claim.session) {
                    bytes += event.packet.bytes();
                    missed.packets.push(event.packet);
                }
            }
        }
        Ok(missed)
    }

    /// The client has been told everything: from here on it is a socket as any other. To be called
    /// before the next event of its namespace.
    ///
    /// # Errors
    ///
    /// [`Unrecoverable::Superseded`].
    pub fn resume(&self, now: u64, claim: &Claim) -> Result<Visit, Unrecoverable> {
        let mut state = self.at(now);
        let time = state.time;
        let Some(session) = state.session(claim.visit) else {
            return Err(Unrecoverable::Superseded);
        };
        session.came = time;
        // It has heard what it said; of what it was told since, nobody knows yet.
        session.floor = claim.told;
        let since = session.away_since.take();
        let counted = std::mem::take(&mut session.counted);
        self.wrote(self.store.put_session(claim.visit.pid, session));
        let namespace = session.namespace.clone();
        state.away_bytes -= counted;
        if let Some(since) = since {
            state.away.remove(&(since, claim.visit.pid));
            state.returned(&namespace);
        }
        Ok(claim.visit)
    }

    /// Forgets what is too old, and does what the store left for later. To be called now and then,
    /// from a thread that may block.
    pub fn tidy(&self, now: u64) {
        self.trim(&mut self.at(now));
        self.wrote(self.store.tidy());
    }

    /// Whether this visit's session is still there, be it somebody else's by now.
    #[must_use]
    pub fn is_kept(&self, visit: Visit) -> bool {
        self.state().sessions.contains_key(&visit.pid)
    }

    /// Whether there are clients that may come back to this namespace.
    #[must_use]
    pub fn awaits(&self, namespace: &str) -> bool {
        self.state().awaited.contains_key(namespace)
    }

    /// The namespaces to which clients may come back.
    #[must_use]
    pub fn awaited(&self) -> Vec<Arc<str>> {
        self.state().awaited.keys().cloned().collect()
    }

    /// How many sessions are kept, those of connected clients included.
    #[must_use]
    pub fn sessions(&self) -> usize {
        self.state().sessions.len()
    }

    /// How many bytes are kept of events, and of the sessions of clients that are away.
    #[must_use]
    pub fn bytes(&self) -> usize {
        let state = self.state();
        state.bytes + state.away_bytes
    }

    /// How often the store has failed.
    #[must_use]
    pub fn failures(&self) -> u64 {
        self.failures.load(Ordering::Relaxed)
    }

    /// What a client that comes with this has heard, if it can be told all the rest.
    fn look(
        &self,
        state: &State,
        namespace: &str,
        pid: Sid,
        offset: Option<&str>,
    ) -> Result<Position, Unrecoverable> {
        let session = state.sessions.get(&pid).ok_or(Unrecoverable::Unknown)?;
        if *session.namespace != *namespace || self.is_expired(session, state.time) {
            return Err(Unrecoverable::Unknown);
        }
        let told = match offset {
            // An offset of another log is what the client has of a session before this one, of which
            // it has heard nothing yet.
            Some(offset) => Offset::parse(offset).ok_or(Unrecoverable::BadOffset)?,
            None => Offset { epoch: self.epoch, position: session.floor },
        };
        let mut cursor = session.floor;
        if told.epoch == self.epoch && told.position > cursor {
            if !state.was_given(told.position) {
                return Err(Unrecoverable::BadOffset);
            }
            cursor = told.position;
        }
        let heard = session.heard_by(state.time, self.limits.heartbeat);
        if state.forgotten.position > cursor && state.forgotten.time >= heard {
            return Err(Unrecoverable::Incomplete);
        }
        Ok(cursor)
    }

    /// The next places to look at; none if the claim has caught up.
    fn scan(&self, claim: &mut Claim) -> Result<Option<Vec<Meta>>, Unrecoverable> {
        let mut state = self.state();
        let forgotten = state.forgotten;
        let session = state.session(claim.visit).ok_or(Unrecoverable::Superseded)?;
        if forgotten.position > claim.cursor && forgotten.time >= session.heard {
            return Err(Unrecoverable::Incomplete);
        }
        // They may have changed since it came.
        claim.session.rooms.clone_from(&session.rooms);
        claim.session.stays.clone_from(&session.stays);
        let from = state.index.partition_point(|meta| meta.position <= claim.cursor);
        let metas: Vec<_> = state.index.range(from..).take(SCAN).cloned().collect();
        Ok((!metas.is_empty()).then_some(metas))
    }

    fn read(&self, position: Position) -> Option<Event> {
        let event = self.store.read(position);
        let found = event.as_ref().is_ok_and(Option::is_some);
        if let Err(error) = &event {
            self.failed(error);
        }
        if found { event.ok().flatten() } else { None }
    }

    fn set_away(&self, state: &mut State, pid: Sid) {
        let time = state.time;
        let Some(session) = state.sessions.get_mut(&pid) else { return };
        let before = session.away_since;
        session.leave(time, self.limits.heartbeat);
        self.wrote(self.store.put_session(pid, session));
        let namespace = session.namespace.clone();
        state.count(pid);
        match before {
            Some(before) => drop(state.away.remove(&(before, pid))),
            None => *state.awaited.entry(namespace).or_default() += 1,
        }
        state.away.insert((time, pid));
    }

    /// A session has other rooms or data; it may be one that counts.
    fn grew(&self, state: &mut State, pid: Sid) {
        state.count(pid);
        self.trim(state);
    }

    fn remove(&self, state: &mut State, pid: Sid) {
        let Some(session) = state.sessions.remove(&pid) else { return };
        if let Some(since) = session.away_since {
            state.away.remove(&(since, pid));
            state.returned(&session.namespace);
        }
        state.away_bytes -= session.counted;
        self.wrote(self.store.remove_session(pid, &session));
        shrink(&mut state.sessions);
    }

    /// Forgets what is too old or too much.
    fn trim(&self, state: &mut State) {
        let time = state.time;
        while let Some((_, pid)) = state.away.first().copied() {
            let expired = state.sessions.get(&pid).is_none_or(|s| self.is_expired(s, time));
            if !expired && state.away_bytes <= self.limits.max_bytes / 4 {
                break;
            }
            self.remove(state, pid);
        }
        let keep = self.limits.max_disconnection.saturating_add(self.limits.heartbeat);
        let before = state.forgotten;
        while let Some(first) = state.index.front() {
            let is_old = first.time.saturating_add(keep) < time;
            if !is_old && state.bytes + state.away_bytes <= self.limits.max_bytes {
                break;
            }
            state.bytes -= first.bytes;
            if first.gap != Gap::Withdrawn {
                state.forgotten = Forgotten { position: first.position, time: first.time };
            } else {
                state.forgotten.position = first.position;
            }
            state.index.pop_front();
        }
        if state.forgotten != before {
            self.store.forget(state.forgotten);
        }
        if state.index.capacity() > 1024 && state.index.len() < state.index.capacity() / 4 {
            let room = state.index.len() * 2;
            state.index.shrink_to(room);
        }
    }

    fn is_expired(&self, session: &Session, time: u64) -> bool {
        let last = |since: u64| since.saturating_add(self.limits.max_disconnection);
        session.away_since.is_some_and(|since| last(since) < time)
    }

    /// The state, whose time is now. It does not go back: threads read the clock before they come here.
    fn at(&self, now: u64) -> MutexGuard<'_, State> {
        let (time, opened) = self.opened;
        let mut state = self.state();
        state.time = state.time.max(time.saturating_add(now.saturating_sub(opened)));
        state
    }

    fn wrote(&self, outcome: io::Result<()>) -> bool {
        outcome.map_err(|error| self.failed(&error)).is_ok()
    }

    fn failed(&self, error: &io::Error) {
        if self.failures.fetch_add(1, Ordering::Relaxed) == 0 {
            tracing::error!(
                target: "socket.io:recovery", %error,
                "the store of connection state recovery fails: clients may not be recovered; further \
                 failures are only counted"
            );
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// The session, if it is still this visit's.
    fn session(&mut self, visit: Visit) -> Option<&mut Session> {
        self.sessions.get_mut(&visit.pid).filter(|session| session.visit == visit.number)
    }

    /// Counts the bytes of a session anew, if its client is away.
    fn count(&mut self, pid: Sid) {
        let Some(session) = self.sessions.get_mut(&pid) else { return };
        if session.away_since.is_some() {
            let bytes = session.bytes();
            self.away_bytes -= std::mem::replace(&mut session.counted, bytes);
            self.away_bytes += bytes;
        }
    }

    /// A session of this namespace is not that of a client that is away any more.
    fn returned(&mut self, namespace: &str) {
        if let Some(awaited) = self.awaited.get_mut(namespace) {
            *awaited -= 1;
            if *awaited == 0 {
                self.awaited.remove(namespace);
                shrink(&mut self.awaited);
            }
        }
    }

    fn next_visit(&mut self) -> u64 {
        self.visits += 1;
        self.visits
    }

    /// Whether a client can have heard of this position.
    fn was_given(&self, position: Position) -> bool {
        let ours = self.runs.len() - 1;
        self.runs.iter().enumerate().any(|(at, run)| {
            let end = if at == ours { self.head } else { run.end };
            run.start <= position && position <= end
        })
    }
}

/// After a burst, a table gives most of its room back.
fn shrink<K: Eq + std::hash::Hash, V>(table: &mut HashMap<K, V>) {
    if table.capacity() > 1024 && table.len() < table.capacity() / 8 {
        table.shrink_to(table.len() * 2);
    }
}

impl std::fmt::Debug for Log {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Log").field("limits", &self.limits).finish_non_exhaustive()
    }
}
