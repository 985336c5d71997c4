//! What the server counts: every outcome that costs somebody something.

use std::sync::atomic::{AtomicU64, Ordering};

use sockeye_engineio::Refusal;
use sockeye_transport::{Engine, Fault};

/// A count that any thread may raise.
#[derive(Debug, Default)]
pub(crate) struct Counter(AtomicU64);

impl Counter {
    pub(crate) fn count(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    fn value(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

#[derive(Debug, Default)]
pub(crate) struct Counters {
    pub(crate) slow_consumers: Counter,
    pub(crate) volatile_dropped: Counter,
    pub(crate) handed_back: Counter,
    pub(crate) events_queued: Counter,
    pub(crate) connects_refused: Counter,
    pub(crate) violations: Counter,
}

/// Counts since the server was built; see [`Server::metrics`](crate::Server::metrics).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Metrics {
    /// Clients with an open session, now.
    pub clients: usize,
    /// Clients that were disconnected because more waited for them than
    /// [`max_buffered_bytes`](crate::Builder::max_buffered_bytes); one may count several
    /// times if several emits meet it at once.
    pub slow_consumers: u64,
    /// Volatile events that were dropped for a socket that could not be written to.
    pub volatile_dropped: u64,
    /// Events that [`Socket::try_emit`](crate::Socket::try_emit) handed back.
    pub handed_back: u64,
    /// Events from clients that had to wait for a place among the running handlers, or for their
    /// connect handler.
    pub events_queued: u64,
    /// Clients that were not let into a namespace: refused by its connect handler, or no such
    /// namespace.
    pub connects_refused: u64,
    /// Sessions that ended because the client broke the Socket.IO protocol or one of its limits.
    pub violations: u64,
    /// Requests that were refused by reason: they opened no session, or named none that is open.
    pub refusals: Refusals,
    /// Requests of open sessions that were not served, by reason.
    pub faults: Faults,
}

/// How many requests were refused, by reason.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Refusals([u64; Refusal::ALL.len()]);

impl Refusals {
    pub(crate) fn of(engine: &Engine) -> Self {
        Self(engine.refusals())
    }

    /// How many were refused for this reason.
    pub fn get(&self, refusal: Refusal) -> u64 {
        self.0[refusal.index()]
    }

    /// Every reason with its count.
    pub fn iter(&self) -> impl Iterator<Item = (Refusal, u64)> {
        Refusal::ALL.into_iter().zip(self.0)
    }
}

/// How many requests of open sessions were not served, by reason.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Faults([u64; Fault::ALL.len()]);

impl Faults {
    pub(crate) fn of(engine: &Engine) -> Self {
        Self(engine.faults())
    }

    /// How many were not served for this reason.
    pub fn get(&self, fault: Fault) -> u64 {
        self.0[fault.index()]
    }

    /// Every reason with its count.
    pub fn iter(&self) -> impl Iterator<Item = (Fault, u64)> {
        Fault::ALL.into_iter().zip(self.0)
    }
}

impl Counters {
    pub(crate) fn read(&self, engine: &Engine) -> Metrics {
        Metrics {
            clients: engine.len(),
            refusals: Refusals::of(engine),
            faults: Faults::of(engine),
            slow_consumers: self.slow_consumers.value(),
            volatile_dropped: self.volatile_dropped.value(),
            handed_back: self.handed_back.value(),
            events_queued: self.events_queued.value(),
            connects_refused: self.connects_refused.value(),
            violations: self.violations.value(),
        }
    }
}
