//! Connection state recovery, as users turn it on.

use std::fmt;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::io;
use std::sync::{Arc, Weak};
use std::thread;
use std::time::Duration;

use sockeye_engineio as engineio;
use sockeye_net::clock;
use sockeye_recovery::{Epoch, Limits, Log, MemoryStore, Opening, Store};

use crate::children::Children;
use crate::options::millis;

/// Keeps what clients miss while they are away: see
/// [`connection_state_recovery`](crate::ServerBuilder::connection_state_recovery).
pub struct Recovery {
    opening: Opening,
    limits: Limits,
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
    /// a client hears of it, and so is what a socket's rooms and data are before the call that changes them
    /// returns; see [`durable`](Self::durable) for the loss of power. That takes some microseconds, in which the
    /// thread does nothing else, and another one that emits waits for its turn. A disk that cannot follow, by
    /// tens of megabytes, so holds the server up: take one that writes faster than the server emits, or
    /// [`memory`](Self::memory). The directory may take about three times [`max_bytes`](Self::max_bytes) and 128 MiB. If it
    /// cannot be written later, events still reach whoever is connected, and clients that missed them get new
    /// sessions; after the first failure it is not written any more, and the next process begins with no
    /// sessions.
    ///
    /// While no process has it open, no time passes: a client that was there when the server was killed
    /// may be away for [`max_disconnection`](Self::max_disconnection) from the restart on.
    ///
    /// # Errors
    ///
    /// The directory cannot be read or written, another process has it open, or it holds a store that is broken
    /// or of another version. Who would rather lose what clients missed than not start removes it.
    #[cfg(feature = "disk")]
    pub fn disk(path: impl AsRef<std::path::Path>) -> io::Result<Self> {
        Self::open(Box::new(sockeye_recovery::DiskStore::open(path)?))
    }

    /// As [`disk`](Self::disk), and what a client has heard outlives the loss of power, too. Each event, and
    /// each change of a socket's rooms and data, then waits for the disk: milliseconds, in which its
    /// thread does nothing else, nor any other that emits.
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
        let max_bytes = 64 * 1024 * 1024;
        let limits = Limits { max_disconnection: 120_000, heartbeat: 0, max_bytes };
        // An epoch is no secret: it tells one log from the next.
        let [a, b, c, ..] = RandomState::new().build_hasher().finish().to_ne_bytes();
        let opening = Opening::of(store, Epoch::new([a, b, c]))?;
        Ok(Self { opening, limits, skip_middlewares: true })
    }

    /// How long a client may be away. Default: 2 min, as in Node.
    #[doc(alias = "maxDisconnectionDuration")]
    pub fn max_disconnection(mut self, duration: Duration) -> Self {
        self.limits.max_disconnection = millis(duration);
        self
    }

    /// The most bytes of events, and of the rooms and data of sockets whose clients are away (these may be a
    /// quarter of it). What is over is forgotten, the oldest first; a client that may have missed it
    /// gets a new session. Default: 64 MiB; Node has no limit.
    ///
    /// Events are also forgotten when no client can have missed them: `max_disconnection` and a heartbeat
    /// after they were emitted.
    pub fn max_bytes(mut self, bytes: usize) -> Self {
        self.limits.max_bytes = bytes;
        self
    }

    /// Whether a client that is recovered passes by what else decides who is let in. Default: `true`, as in
    /// Node: it has been let in before.
    #[doc(alias = "skipMiddlewares")]
    pub fn skip_middlewares(mut self, skip: bool) -> Self {
        self.skip_middlewares = skip;
        self
    }

    /// Begins to keep, for a server with such a heartbeat that stops reading for so long at most.
    pub(crate) fn start(self, engine: &engineio::Config, max_stall: u64) -> Kept {
        let limits = Limits { heartbeat: longest_silence(engine, max_stall), ..self.limits };
        let log = Arc::new(self.opening.log(limits, clock::now()));
        Kept { log, skip_middlewares: self.skip_middlewares }
    }
}

/// The longest time for which a client that has heard nothing may be taken for connected: from a ping that it
/// answers to its end for want of a pong. Any packet gives a ping's answer its time once more, and so does each
/// time that the server itself did not read.
fn longest_silence(engine: &engineio::Config, max_stall: u64) -> u64 {
    let answer = engine.ping_timeout.saturating_mul(2).saturating_add(max_stall);
    answer.saturating_mul(2).saturating_add(engine.ping_interval)
}

impl Kept {
    /// Forgets what is too old, as long as the server is there. In a thread of its own, since it may wait for a
    /// disk.
    pub(crate) fn tidy(log: Weak<Log>, children: Weak<Children>) {
        let work = move || {
            loop {
                thread::sleep(TIDY_INTERVAL);
                let Some(log) = log.upgrade() else { return };
                log.tidy(clock::now());
                drop(log);
                if let Some(children) = children.upgrade() {
                    children.sweep();
                }
            }
        };
        if let Err(error) = thread::Builder::new().name("sockeye-recovery".into()).spawn(work) {
            tracing::error!(%error, "no thread to forget what is too old");
        }
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
            .field("limits", &self.limits)
            .field("skip_middlewares", &self.skip_middlewares)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use sockeye_engineio::{Action, Revision, Session};

    #[test]
    fn no_connection_is_dead_for_longer_than_the_longest_silence() {
        let engine =
            engineio::Config { ping_interval: 300, ping_timeout: 200, ..Default::default() };
        let stall = 1000;
        let mut session = Session::open(0, Revision::V4, &engine);
        // A client that answers as late as it may, and as the last thing that it does begins to say something.
        let late = |session: &mut Session| {
            let pinged = session.poll_timeout();
            assert_eq!(session.handle_timeout(pinged, &engine), Some(Action::SendPing));
            session.pause(pinged, stall);
            session.resume(pinged + stall);
            let said = session.poll_timeout() - 1;
            session.receive_text(said, &engine, "4").unwrap();
            pinged
        };
        let heard = late(&mut session);
        let answered = session.poll_timeout() - 1;
        session.receive_text(answered, &engine, "3").unwrap();
        late(&mut session);
        let end = session.poll_timeout();
        assert!(matches!(session.handle_timeout(end, &engine), Some(Action::Close(_))));
        assert!(end - heard <= longest_silence(&engine, stall));
        assert!(end - heard + 5 > longest_silence(&engine, stall));
    }
}
