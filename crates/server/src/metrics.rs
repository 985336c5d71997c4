//! What the server counts: every outcome that costs somebody something.

use std::fmt::Debug;
use std::marker::PhantomData;
use std::ops::Deref;

use sockeye_engineio::{CloseReason, Refusal};
use sockeye_net::TurnedAway;
use sockeye_transport::{Census, Fault, Volume};

use crate::counter::{Counter, Events};
use crate::server::Inner;
use crate::site::Site;
use crate::times::{HandlerTimes, Times};

#[derive(Debug, Default)]
pub(crate) struct Counters {
    pub(crate) events: Events,
    pub(crate) acks: AckCounters,
    pub(crate) handler_times: Times,
    pub(crate) slow_consumers: Counter,
    pub(crate) volatile_dropped: Counter,
    pub(crate) handed_back: Counter,
    pub(crate) events_queued: Counter,
    pub(crate) connects_refused: Counter,
    pub(crate) namespaces_refused: Counter,
    pub(crate) violations: Counter,
    pub(crate) handler_errors: Counter,
    pub(crate) handler_panics: Counter,
    pub(crate) events_refused: Counter,
    pub(crate) events_unhandled: Counter,
    pub(crate) many_attachments: Counter,
}

/// Each answer that is awaited of a client counts as asked for, and once more when it is clear what comes of it.
#[derive(Debug, Default)]
pub(crate) struct AckCounters {
    pub(crate) asked: Counter,
    pub(crate) answered: Counter,
    pub(crate) timed_out: Counter,
    pub(crate) disconnected: Counter,
    pub(crate) abandoned: Counter,
}

/// Answers that clients were asked for, and what became of them. Of an event that several sockets are to
/// answer, those of this server count, each by itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct AckCounts {
    /// Answers that were asked for.
    pub asked: u64,
    /// Those that came in time.
    pub answered: u64,
    /// Those that did not.
    pub timed_out: u64,
    /// Those whose socket was disconnected before.
    pub disconnected: u64,
    /// Those that nobody awaits any more: the event could not be sent, or the future was dropped.
    pub abandoned: u64,
}

impl AckCounts {
    /// Answers that are awaited now.
    pub fn pending(&self) -> u64 {
        let Self { asked, answered, timed_out, disconnected, abandoned } = *self;
        // They are not read at one moment.
        asked.saturating_sub(answered + timed_out + disconnected + abandoned)
    }
}

/// Counts since the server was built; see [`Server::metrics`](crate::Server::metrics). It has the
/// [fields](EngineMetrics) of what is below Socket.IO, too.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Metrics {
    /// What the server has in common with raw Engine.IO: sessions, packets, refusals.
    pub engine: EngineMetrics,
    /// Dynamic namespaces that are there now.
    pub dynamic_namespaces: usize,
    /// Events from clients, to sockets that are there.
    pub events_received: u64,
    /// Events that were emitted, those of other servers included. One to many sockets counts once: of how
    /// many packets it became, [`volume`](EngineMetrics::volume) tells.
    pub events_emitted: u64,
    /// Answers that clients were asked for.
    pub acks: AckCounts,
    /// How long the handlers of events took; all 0 unless the server [measures](crate::ServerBuilder::measure_handlers) it.
    pub handler_times: HandlerTimes,
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
    /// Clients that were not let into a namespace: refused by its middleware, or no such
    /// namespace.
    pub connects_refused: u64,
    /// Namespaces that did not come to be because there were
    /// [as many as there may](crate::ServerBuilder::max_dynamic_namespaces).
    pub namespaces_refused: u64,
    /// Sessions that ended because the client broke the Socket.IO protocol or one of its limits.
    pub violations: u64,
    /// Errors that handlers returned.
    pub handler_errors: u64,
    /// Handlers and packet middleware that panicked; their sockets were disconnected.
    pub handler_panics: u64,
    /// Events that a packet middleware refused, or whose data were not what a handler takes.
    pub events_refused: u64,
    /// Events that no handler was for.
    pub events_unhandled: u64,
    /// Events that were emitted with more than 10 attachments, at which JavaScript clients disconnect.
    pub many_attachments: u64,
}

/// Counts of what every server has, since it was built; see
/// [`Engine::metrics`](crate::engine::Engine::metrics).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct EngineMetrics {
    /// Clients with an open session, now, by transport, and the bytes that wait for them.
    pub sessions: Census,
    /// Sessions that have been opened.
    pub opened: u64,
    /// Those of them that are over, by reason.
    pub ended: Ends,
    /// Engine.IO packets and their bytes, both ways.
    pub volume: Volume,
    /// Sessions that polled and have gone on over a websocket.
    pub upgrades: u64,
    /// Requests that were refused by reason: they opened no session, or named none that is open.
    pub refusals: Refusals,
    /// Requests of open sessions that were not served, by reason.
    pub faults: Faults,
    /// Connections that were ended before, or while, they spoke HTTP, by reason; where the server owns
    /// its connections.
    pub turned_away: TurnedAways,
}

/// Why something was refused: one of a fixed list.
pub trait Reason: Copy + Debug + 'static {
    /// All of them.
    const ALL: &'static [Self];

    /// Its place in the list.
    fn index(self) -> usize;
}

macro_rules! reasons {
    ($($reason:ty),*) => {$(
        impl Reason for $reason {
            const ALL: &'static [Self] = &<$reason>::ALL;

            fn index(self) -> usize {
                <$reason>::index(self)
            }
        }
    )*};
}

reasons!(CloseReason, Refusal, Fault, TurnedAway);

/// How often something was refused, by reason.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Counts<R, const N: usize>([u64; N], PhantomData<R>);

/// Sessions that are over.
pub type Ends = Counts<CloseReason, { CloseReason::ALL.len() }>;
/// Requests that were refused.
pub type Refusals = Counts<Refusal, { Refusal::ALL.len() }>;
/// Requests of open sessions that were not served.
pub type Faults = Counts<Fault, { Fault::ALL.len() }>;
/// Connections that were ended before, or while, they spoke HTTP.
pub type TurnedAways = Counts<TurnedAway, { TurnedAway::ALL.len() }>;

impl<R: Reason, const N: usize> Counts<R, N> {
    pub(crate) fn new(counts: [u64; N]) -> Self {
        Self(counts, PhantomData)
    }

    /// How often for this reason.
    pub fn get(&self, reason: R) -> u64 {
        self.0[reason.index()]
    }

    /// How often for any reason.
    pub fn total(&self) -> u64 {
        self.0.iter().sum()
    }

    /// Every reason with its count.
    pub fn iter(&self) -> impl Iterator<Item = (R, u64)> {
        R::ALL.iter().copied().zip(self.0)
    }
}

impl<R, const N: usize> Default for Counts<R, N> {
    fn default() -> Self {
        Self([0; N], PhantomData)
    }
}

impl AckCounters {
    fn read(&self) -> AckCounts {
        // In this order: what is asked for meanwhile is not yet answered.
        let (answered, timed_out) = (self.answered.value(), self.timed_out.value());
        let (disconnected, abandoned) = (self.disconnected.value(), self.abandoned.value());
        let asked = self.asked.value();
        AckCounts { asked, answered, timed_out, disconnected, abandoned }
    }
}

impl EngineMetrics {
    pub(crate) fn read(Site { engine, gate, .. }: &Site) -> Self {
        Self {
            sessions: engine.census(),
            opened: engine.opened(),
            ended: Counts::new(engine.ended()),
            volume: engine.volume(),
            upgrades: engine.upgrades(),
            refusals: Counts::new(engine.refusals()),
            faults: Counts::new(engine.faults()),
            turned_away: Counts::new(gate.turned_away()),
        }
    }
}

impl Deref for Metrics {
    type Target = EngineMetrics;

    fn deref(&self) -> &EngineMetrics {
        &self.engine
    }
}

impl Metrics {
    pub(crate) fn read(server: &Inner) -> Self {
        let counters = &server.core.counters;
        Self {
            engine: EngineMetrics::read(&server.site),
            dynamic_namespaces: server.children.len(),
            events_received: counters.events.received(),
            events_emitted: counters.events.emitted(),
            acks: counters.acks.read(),
            handler_times: counters.handler_times.read(),
            slow_consumers: counters.slow_consumers.value(),
            volatile_dropped: counters.volatile_dropped.value(),
            handed_back: counters.handed_back.value(),
            events_queued: counters.events_queued.value(),
            connects_refused: counters.connects_refused.value(),
            namespaces_refused: counters.namespaces_refused.value(),
            violations: counters.violations.value(),
            handler_errors: counters.handler_errors.value(),
            handler_panics: counters.handler_panics.value(),
            events_refused: counters.events_refused.value(),
            events_unhandled: counters.events_unhandled.value(),
            many_attachments: counters.many_attachments.value(),
        }
    }
}
