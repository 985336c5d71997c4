//! The log: what is kept, for how long, and who may have it.

use std::collections::{BTreeSet, VecDeque};
use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use hashbrown::HashMap;
use sockeye_engineio::Sid;
use sockeye_hub::Packet;

use crate::event::{Event, Gap, Meta};
use crate::offset::{Epoch, Offset, Position};
use crate::session::{MAX_STAYS, Session, Stay};
use crate::store::{Forgotten, Loaded, Run, Store};
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

/// The positions between two runs of processes. What the first wrote last may be lost with the power;
/// a client that has heard it must not take what the second writes for it. More than that is not
/// written between two syncs of the kernel, which are 30 s apart.
const BETWEEN_RUNS: u64 = 1 << 24;

/// Former runs that are known. An older offset is below the floor of every session.
const MAX_RUNS: usize = 64;

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
    /// Opens a log. `epoch` is for a store that has none yet, and must be random; `now` is on the
    /// clock of all later calls, in milliseconds. Nothing is forgotten yet.
    ///
    /// # Errors
    ///
    /// The store cannot be read or written.
    pub fn open(store: Box<dyn Store>, limits: Limits, epoch: Epoch, now: u64) -> io::Result<Self> {
        let Loaded { epoch: former, mut runs, forgotten, events, mut sessions } = store.load()?;
        let epoch = former.unwrap_or(epoch);
        let events: VecDeque<_> =
            events.into_iter().filter(|event| event.position > forgotten.position).collect();
        let bytes = events.iter().map(|event| event.bytes).sum();
        let last = events.back().map_or(forgotten.position, |event| event.position);
        let mut head = last;
        if let Some(run) = runs.last_mut() {
            run.end = last.max(run.start);
            head = Position(run.end.0 + BETWEEN_RUNS);
        }
        runs.push(Run { start: head, end: head });
        runs.drain(..runs.len().saturating_sub(MAX_RUNS));
        store.begin(epoch, &runs)?;
        // While nobody could come back, no time has passed: the store's goes on where it stood.
        let times = sessions.values().map(|session| session.away_since.unwrap_or(session.came));
        let times = times.chain(events.back().map(|event| event.time));
        let time = times.max().unwrap_or(0).max(forgotten.time);
        for session in sessions.values_mut() {
            if session.away_since.is_none() {
                session.leave(time, limits.heartbeat);
            }
            session.counted = session.bytes();
        }
        let away = sessions.iter().filter_map(|(pid, session)| Some((session.away_since?, *pid)));
        let state = State {
            head,
            runs,
            bytes,
            forgotten,
            away: away.collect(),
            away_bytes: sessions.values().map(|session| session.counted).sum(),
            visits: 0,
            index: events,
            sessions,
        };
        let (state, failures) = (Mutex::new(state), AtomicU64::new(0));
        Ok(Self { store, limits, epoch, opened: (time, now), state, failures })
    }

    /// Sets other limits, before it is used.
    pub fn set_limits(&mut self, limits: Limits) {
        self.limits = limits;
    }

    /// How much is kept.
    #[must_use]
    pub fn limits(&self) -> Limits {
        self.limits
    }

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
        let time = self.time(now);
        let mut state = self.state();
        let position = state.head.next();
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
        self.trim(&mut state, time);
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
        let mut state = self.state();
        let mut session = Session::new(namespace, sid, state.head, self.time(now));
        session.visit = state.next_visit();
        let visit = Visit { pid, number: session.visit };
        self.wrote(self.store.put_session(pid, &session));
        self.wrote(self.store.put_room(pid, sid.as_str(), Some(session.floor)));
        state.sessions.insert(pid, session);
        visit
    }

    /// The socket is in a room from now on.
    pub fn join(&self, visit: Visit, room: &str) {
        let mut state = self.state();
        let head = state.head;
        let Some(session) = state.session(visit) else { return };
        if session.rooms.contains_key(room) {
            return;
        }
        session.rooms.insert(room.into(), head);
        self.wrote(self.store.put_room(visit.pid, room, Some(head)));
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
    }

    /// The socket has other data, as JSON.
    pub fn set_data(&self, visit: Visit, data: &str) {
        let mut state = self.state();
        let Some(session) = state.session(visit) else { return };
        session.data = Some(data.into());
        self.wrote(self.store.put_session(visit.pid, session));
    }

    /// The client is gone, and may come back.
    pub fn away(&self, now: u64, visit: Visit) {
        let time = self.time(now);
        let mut state = self.state();
        if state.session(visit).is_some() {
            self.set_away(&mut state, visit.pid, time);
            self.trim(&mut state, time);
        }
    }

    /// The client came and was sent away: it may come again, and this visit has no say any more.
    pub fn set_aside(&self, now: u64, visit: Visit) {
        let time = self.time(now);
        let mut state = self.state();
        let number = state.next_visit();
        if let Some(session) = state.session(visit) {
            session.visit = number;
            self.set_away(&mut state, visit.pid, time);
            self.trim(&mut state, time);
        }
    }

    /// The socket is gone for good.
    pub fn end(&self, visit: Visit) {
        let mut state = self.state();
        if state.session(visit).is_some() {
            self.remove(&mut state, visit.pid);
        }
    }

    /// Whether a client that comes with this can be told all that it missed, and its session if so.
    ///
    /// # Errors
    ///
    /// [`Unrecoverable`].
    pub fn find(
        &self,
        now: u64,
        namespace: &str,
        pid: Sid,
        offset: Option<&str>,
    ) -> Result<Session, Unrecoverable> {
        let state = self.state();
        let (session, _) = self.look(&state, self.time(now), namespace, pid, offset)?;
        Ok(session.clone())
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
        let time = self.time(now);
        let mut state = self.state();
        let (_, cursor) = self.look(&state, time, namespace, pid, offset)?;
        let number = state.next_visit();
        // It has until then to hear what it missed; else a slow client's session would end under it.
        self.set_away(&mut state, pid, time);
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
        let time = self.time(now);
        let mut state = self.state();
        let Some(session) = state.session(claim.visit) else {
            return Err(Unrecoverable::Superseded);
        };
        session.came = time;
        // It has heard what it said; of what it was told since, nobody knows yet.
        session.floor = claim.told;
        let since = session.away_since.take();
        let counted = std::mem::take(&mut session.counted);
        self.wrote(self.store.put_session(claim.visit.pid, session));
        state.away_bytes -= counted;
        if let Some(since) = since {
            state.away.remove(&(since, claim.visit.pid));
        }
        Ok(claim.visit)
    }

    /// Forgets what is too old, and does what the store left for later. To be called now and then,
    /// from a thread that may block.
    pub fn tidy(&self, now: u64) {
        let time = self.time(now);
        self.trim(&mut self.state(), time);
        self.wrote(self.store.tidy());
    }

    /// Whether this visit's session is still there, be it somebody else's by now.
    #[must_use]
    pub fn is_kept(&self, visit: Visit) -> bool {
        self.state().sessions.contains_key(&visit.pid)
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

    fn look<'a>(
        &self,
        state: &'a State,
        time: u64,
        namespace: &str,
        pid: Sid,
        offset: Option<&str>,
    ) -> Result<(&'a Session, Position), Unrecoverable> {
        let session = state.sessions.get(&pid).ok_or(Unrecoverable::Unknown)?;
        if *session.namespace != *namespace || self.is_expired(session, time) {
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
        let heard = session.heard_by(time, self.limits.heartbeat);
        if state.forgotten.position > cursor && state.forgotten.time >= heard {
            return Err(Unrecoverable::Incomplete);
        }
        Ok((session, cursor))
    }

    /// The next places to look at; none if the claim has caught up.
    fn scan(&self, claim: &Claim) -> Result<Option<Vec<Meta>>, Unrecoverable> {
        let mut state = self.state();
        let forgotten = state.forgotten;
        let session = state.session(claim.visit).ok_or(Unrecoverable::Superseded)?;
        if forgotten.position > claim.cursor && forgotten.time >= session.heard {
            return Err(Unrecoverable::Incomplete);
        }
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

    fn set_away(&self, state: &mut State, pid: Sid, time: u64) {
        let Some(session) = state.sessions.get_mut(&pid) else { return };
        let before = session.away_since;
        session.leave(time, self.limits.heartbeat);
        let bytes = session.bytes();
        state.away_bytes -= std::mem::replace(&mut session.counted, bytes);
        state.away_bytes += bytes;
        self.wrote(self.store.put_session(pid, session));
        if let Some(before) = before {
            state.away.remove(&(before, pid));
        }
        state.away.insert((time, pid));
    }

    fn remove(&self, state: &mut State, pid: Sid) {
        let Some(session) = state.sessions.remove(&pid) else { return };
        if let Some(since) = session.away_since {
            state.away.remove(&(since, pid));
        }
        state.away_bytes -= session.counted;
        self.wrote(self.store.remove_session(pid, &session));
    }

    /// Forgets what is too old or too much.
    fn trim(&self, state: &mut State, time: u64) {
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

    fn time(&self, now: u64) -> u64 {
        let (time, opened) = self.opened;
        time + now.saturating_sub(opened)
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

impl std::fmt::Debug for Log {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Log").field("limits", &self.limits).finish_non_exhaustive()
    }
}
