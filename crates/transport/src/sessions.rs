//! Who is there: the sessions of one engine, by their ids.

use std::hash::BuildHasher;
use std::net::IpAddr;
use std::ops::Deref;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use hashbrown::{DefaultHashBuilder, HashSet, HashTable};
use sockeye_engineio::{CloseReason, Refusal, Sid};
use sockeye_net::addresses::{self, Addresses, Admission, Limits};
use sockeye_net::clock;

use crate::config::Config;
use crate::deflate::Deflate;
use crate::ending::Ending;
use crate::fault::Fault;
use crate::hooks::ConnectionError;
use crate::request::Request;
use crate::shared::Shared;
use crate::traffic::Traffic;

/// The open sessions in counts, at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Census {
    /// Sessions that poll.
    pub polling: usize,
    /// Sessions over a websocket, those that have upgraded included.
    pub websocket: usize,
    /// Plain connections.
    pub plain: usize,
    /// Bytes that wait to be written, to all of them.
    pub buffered_bytes: usize,
}

/// All open sessions, and what they have in common.
pub(crate) struct Sessions {
    pub(crate) config: Config,
    pub(crate) deflate: Option<Deflate>,
    /// By their ids, which they hold themselves.
    open: Mutex<HashTable<Arc<Shared>>>,
    hasher: DefaultHashBuilder,
    /// Ids of the application's making whose sessions are not entered yet.
    reserved: Mutex<HashSet<Sid>>,
    /// Set when all sessions are to end, for those that are only about to open.
    closing: OnceLock<CloseReason>,
    /// No session is opened any more, while those that are open go on.
    draining: AtomicBool,
    /// Sessions that are not over, answers on their way, and websockets that try to take over.
    alive: AtomicUsize,
    addresses: Addresses,
    pub(crate) traffic: Arc<Traffic>,
    upgrades: AtomicU64,
    opened: AtomicU64,
    /// By [`CloseReason::index`].
    ended: [AtomicU64; CloseReason::ALL.len()],
    /// Requests that were refused, by [`Refusal::index`].
    refusals: [AtomicU64; Refusal::ALL.len()],
    /// Requests of sessions that were not served, by [`Fault::index`].
    faults: [AtomicU64; Fault::ALL.len()],
}

impl Sessions {
    pub(crate) fn new(config: Config) -> Self {
        Self {
            deflate: Deflate::new(&config),
            traffic: Arc::new(Traffic::new(config.hooks.listener())),
            config,
            open: Mutex::default(),
            hasher: DefaultHashBuilder::default(),
            reserved: Mutex::default(),
            closing: OnceLock::new(),
            draining: AtomicBool::new(false),
            alive: AtomicUsize::new(0),
            addresses: Addresses::new(),
            upgrades: AtomicU64::new(0),
            opened: AtomicU64::new(0),
            ended: Default::default(),
            refusals: Default::default(),
            faults: Default::default(),
        }
    }

    fn open(&self) -> MutexGuard<'_, HashTable<Arc<Shared>>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn all(&self) -> Vec<Arc<Shared>> {
        self.open().iter().cloned().collect()
    }

    pub(crate) fn len(&self) -> usize {
        self.open().len()
    }

    pub(crate) fn find(&self, sid: &str) -> Option<Arc<Shared>> {
        let sid: Sid = sid.parse().ok()?;
        let hash = self.hasher.hash_one(sid);
        self.open().find(hash, |open| open.sid() == sid).cloned()
    }

    fn reserved(&self) -> MutexGuard<'_, HashSet<Sid>> {
        self.reserved.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes an id of the application's making, until it is [given back](Self::give_back); `false` if it
    /// is in use. A session on a websocket is entered only when its client has been answered, and no other
    /// may get its id meanwhile.
    pub(crate) fn reserve(&self, sid: Sid) -> bool {
        let mut reserved = self.reserved();
        self.find(sid.as_str()).is_none() && reserved.insert(sid)
    }

    /// The session of this id has been entered, or will never be.
    pub(crate) fn give_back(&self, sid: Sid) {
        // Random ids are not reserved.
        if self.config.hooks.makes_ids() {
            self.reserved().remove(&sid);
        }
    }

    pub(crate) fn insert(&self, session: &Arc<Shared>) {
        let hash = |session: &Arc<Shared>| self.hasher.hash_one(session.sid());
        self.open().insert_unique(hash(session), session.clone(), hash);
        if let Some(reason) = self.closing.get() {
            session.close(Ending::of(*reason));
        }
    }

    /// Closes every session that is there, and from here on every one that is entered.
    pub(crate) fn close_all(&self, reason: CloseReason) {
        let _ = self.closing.set(reason);
        for session in self.all() {
            session.close(Ending::of(reason));
        }
    }

    /// Who is there, by transport, and what waits for them. One walk, with the table locked.
    pub(crate) fn census(&self) -> Census {
        let mut census = Census::default();
        for session in &*self.open() {
            let count = match () {
                () if session.is_plain() => &mut census.plain,
                () if session.websocket.load(Ordering::Relaxed) => &mut census.websocket,
                () => &mut census.polling,
            };
            *count += 1;
            census.buffered_bytes += session.outbox().buffered_bytes();
        }
        census
    }

    /// A session goes on over a websocket.
    pub(crate) fn count_upgrade(&self) {
        self.upgrades.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn count_opened(&self) {
        self.opened.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn opened(&self) -> u64 {
        self.opened.load(Ordering::Relaxed)
    }

    /// A session that had been open is over.
    pub(crate) fn count_ended(&self, reason: CloseReason) {
        self.ended[reason.index()].fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn ended(&self) -> [u64; CloseReason::ALL.len()] {
        std::array::from_fn(|index| self.ended[index].load(Ordering::Relaxed))
    }

    pub(crate) fn upgrades(&self) -> u64 {
        self.upgrades.load(Ordering::Relaxed)
    }

    /// Counts a session until the [`Admission`] is dropped; none if nothing is limited.
    pub(crate) fn admit(&self, client: IpAddr) -> Result<Option<Admission>, Refusal> {
        let mut limits = self.config.limits;
        if client.is_unspecified() {
            // The HTTP server does not tell addresses: all clients would be one.
            limits = Limits { max_open: limits.max_open, ..Limits::default() };
        }
        if limits == Limits::default() {
            return Ok(None);
        }
        let admitted = self.addresses.admit(clock::now(), client, &limits);
        admitted.map(Some).map_err(|refused| match refused {
            addresses::Refused::Full | addresses::Refused::TooMany => Refusal::TooManySessions,
            addresses::Refused::TooFast { .. } => Refusal::TooManyHandshakes,
        })
    }

    /// From here on no session is opened.
    pub(crate) fn drain(&self) {
        self.draining.store(true, Ordering::Release);
    }

    /// Whether sessions are opened at all.
    pub(crate) fn is_accepting(&self) -> bool {
        self.closing.get().is_none() && !self.draining.load(Ordering::Acquire)
    }

    /// What a closing server waits for: how many are [`Alive`].
    pub(crate) fn alive(&self) -> usize {
        self.alive.load(Ordering::Relaxed)
    }

    /// Counts a request that is refused, and lets the application hear of it.
    pub(crate) fn refuse(&self, request: &Request, refusal: Refusal, message: &str) {
        tracing::debug!(target: "engine", address = %request.address, %refusal, "refused");
        self.count_refusal(refusal);
        self.config.hooks.refused(&ConnectionError { request, refusal, message });
    }

    pub(crate) fn count_refusal(&self, refusal: Refusal) {
        self.refusals[refusal.index()].fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn refusals(&self) -> [u64; Refusal::ALL.len()] {
        std::array::from_fn(|index| self.refusals[index].load(Ordering::Relaxed))
    }

    /// Counts what a client did wrong without an end to its session.
    pub(crate) fn note(&self, session: &Shared, fault: Fault) {
        tracing::debug!(target: "engine:transport", sid = ?session.sid(), %fault, "a request is not served");
        self.faults[fault.index()].fetch_add(1, Ordering::Relaxed);
    }

    /// A client has used its transport in a way that Node counts as the transport's failure.
    pub(crate) fn fail(&self, session: &Shared, fault: Fault) {
        self.note(session, fault);
        session.discard(Ending::fault(fault));
    }

    pub(crate) fn faults(&self) -> [u64; Fault::ALL.len()] {
        std::array::from_fn(|index| self.faults[index].load(Ordering::Relaxed))
    }

    /// Forgets a session, if it is there.
    pub(crate) fn remove(&self, session: &Shared) {
        let hash = self.hasher.hash_one(session.sid());
        let mut open = self.open();
        let removed = match open.find_entry(hash, |open| std::ptr::eq(&**open, session)) {
            Ok(found) => found.remove().0,
            Err(_) => return,
        };
        // A burst's table is given back, but not while it may soon be needed again.
        if open.capacity() > 256 && open.len() < open.capacity() / 8 {
            let twice = open.len() * 2;
            open.shrink_to(twice, |session| self.hasher.hash_one(session.sid()));
        }
        drop(open);
        drop(removed);
    }
}

/// Keeps a server that closes waiting until it is dropped: somebody still uses a connection.
pub(crate) struct Alive(Arc<Sessions>);

impl Alive {
    pub(crate) fn new(sessions: &Arc<Sessions>) -> Self {
        sessions.alive.fetch_add(1, Ordering::Relaxed);
        Self(sessions.clone())
    }
}

impl Deref for Alive {
    type Target = Arc<Sessions>;

    fn deref(&self) -> &Arc<Sessions> {
        &self.0
    }
}

impl Drop for Alive {
    fn drop(&mut self) {
        self.0.alive.fetch_sub(1, Ordering::Relaxed);
    }
}
