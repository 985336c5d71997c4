//! Connection state recovery, as users turn it on.

use std::fmt;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::io;
use std::sync::{Arc, Weak};
use std::thread;
use std::time::Duration;

use sockeye_net::clock;
use sockeye_recovery::{Epoch, Limits, Log, MemoryStore, Store};

use crate::options::millis;

/// Keeps what clients miss while they are away: see
/// [`connection_state_recovery`](crate::ServerBuilder::connection_state_recovery).
pub struct Recovery {
    log: Log,
    skip_middlewares: bool,
}

/// How often what is too old is forgotten. (It is not given to anybody meanwhile.)
const TIDY_INTERVAL: Duration = Duration::from_secs(5);

impl Recovery {
    /// Keeps it in memory: clients are recovered as long as the process lives.
    pub fn memory() -> Self {
        let store = Box::new(MemoryStore::default());
        Self::open(store).expect("a store in memory does no I/O that could fail")
    }

    /// Keeps it in a directory, which is made if it is not there: clients are recovered even by the
    /// process that takes this one's place, after a deploy, a crash or a `kill -9`.
    ///
    /// One process at a time can have the directory open. What is emitted is in the kernel's hands before
    /// a client hears of it, which takes some microseconds; see [`durable`](Self::durable) for the loss of
    /// power. The directory may take about three times [`max_bytes`](Self::max_bytes) and 128 MiB. If it
    /// cannot be written later, events still reach whoever is connected, and clients that missed them get new
    /// sessions.
    ///
    /// While no process has it open, no time passes: a client that was there when the server was killed
    /// may be away for [`max_disconnection`](Self::max_disconnection) from the restart on.
    ///
    /// # Errors
    ///
    /// The directory cannot be read or written, another process has it open, or it holds something else.
    #[cfg(feature = "disk")]
    pub fn disk(path: impl AsRef<std::path::Path>) -> io::Result<Self> {
        Self::open(Box::new(sockeye_recovery::DiskStore::open(path)?))
    }

    /// As [`disk`](Self::disk), and what a client has heard outlives the loss of power, too. Each event, and
    /// each change of a socket's rooms and data, then waits for the disk: milliseconds, in which its
    /// thread does nothing else.
    ///
    /// Without it, what the kernel had not written by then is lost with the power (some seconds' worth);
    /// clients that have heard it get new sessions.
    ///
    /// # Errors
    ///
    /// As [`disk`](Self::disk).
    #[cfg(feature = "disk")]
    pub fn durable(path: impl AsRef<std::path::Path>) -> io::Result<Self> {
        use sockeye_recovery::{DiskStore, Durability};
        Self::open(Box::new(DiskStore::open(path)?.durability(Durability::Power)))
    }

    fn open(store: Box<dyn Store>) -> io::Result<Self> {
        let limits =
            Limits { max_disconnection: 120_000, heartbeat: 65_000, max_bytes: 64 * 1024 * 1024 };
        // An epoch is no secret: it tells one log from the next.
        let [a, b, c, ..] = RandomState::new().build_hasher().finish().to_ne_bytes();
        let log = Log::open(store, limits, Epoch::new([a, b, c]), clock::now())?;
        Ok(Self { log, skip_middlewares: true })
    }

    /// How long a client may be away. Default: 2 min, as in Node.
    #[doc(alias = "maxDisconnectionDuration")]
    pub fn max_disconnection(mut self, duration: Duration) -> Self {
        let limits = Limits { max_disconnection: millis(duration), ..self.log.limits() };
        self.log.set_limits(limits);
        self
    }

    /// The most bytes of events, and of the rooms and data of sockets whose clients are away (these may be a
    /// quarter of it). What is over is forgotten, the oldest first; a client that may have missed it
    /// gets a new session. Default: 64 MiB; Node has no limit.
    ///
    /// Events are also forgotten when no client can have missed them: `max_disconnection` and a heartbeat
    /// after they were emitted.
    pub fn max_bytes(mut self, bytes: usize) -> Self {
        let limits = Limits { max_bytes: bytes, ..self.log.limits() };
        self.log.set_limits(limits);
        self
    }

    /// Whether a client that is recovered passes by what else decides who is let in. Default: `true`, as in
    /// Node: it has been let in before.
    #[doc(alias = "skipMiddlewares")]
    pub fn skip_middlewares(mut self, skip: bool) -> Self {
        self.skip_middlewares = skip;
        self
    }

    /// Begins to keep, for a server with such a heartbeat.
    pub(crate) fn start(mut self, ping_interval: u64, ping_timeout: u64) -> Kept {
        // An answered ping, the next one an interval after the answer, and that one's timeout.
        let heartbeat = ping_interval.saturating_add(ping_timeout.saturating_mul(2));
        self.log.set_limits(Limits { heartbeat, ..self.log.limits() });
        let log = Arc::new(self.log);
        let weak = Arc::downgrade(&log);
        let spawned =
            thread::Builder::new().name("sockeye-recovery".into()).spawn(move || tidy(&weak));
        if let Err(error) = spawned {
            tracing::error!(%error, "no thread to forget what is too old");
        }
        Kept { log, skip_middlewares: self.skip_middlewares }
    }
}

/// Forgets what is too old, as long as anybody has the log. In a thread of its own, since it may wait for a
/// disk.
fn tidy(log: &Weak<Log>) {
    loop {
        thread::sleep(TIDY_INTERVAL);
        let Some(log) = log.upgrade() else { return };
        log.tidy(clock::now());
    }
}

/// What a server keeps for all of its namespaces.
pub(crate) struct Kept {
    pub(crate) log: Arc<Log>,
    pub(crate) skip_middlewares: bool,
}

impl fmt::Debug for Recovery {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Recovery")
            .field("limits", &self.log.limits())
            .field("skip_middlewares", &self.skip_middlewares)
            .finish_non_exhaustive()
    }
}
