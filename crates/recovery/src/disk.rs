//! A store on disk, which outlives the process.
//!
//! It is [fjall], a log-structured engine: what is written goes into a journal first, by a `write` of its
//! own, so that the kernel has it when the call returns. That is what outlives a killed process; for the
//! loss of power see [`Durability`].
//!
//! Measured with events of 200 bytes on one virtual core, each written by itself and while old ones were
//! removed: 1.4 µs (median), 7 µs (one in a hundred is slower), 28 µs (one in a thousand). A bare `write`
//! to a file takes 0.75, 3.7 and 7 µs; SQLite (write-ahead log, without syncs) 10, 20 and 440 µs; redb,
//! where only synced commits outlive a kill, 280 µs, 3.5 ms and 7 ms.
//!
//! # Layout
//!
//! | keyspace | key | value |
//! |---|---|---|
//! | `meta` | a name | see [`codec`] |
//! | `events` | the position, big-endian | the event, or why there is none |
//! | `sessions` | the pid | the session without what follows |
//! | `sessions` | the pid and `-` | its stays in rooms that it has left |
//! | `sessions` | the pid and `/`, then the name of a room but its own | since when the socket is in it |
//!
//! [fjall]: https://github.com/fjall-rs/fjall

mod codec;

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use fjall::{Database, Keyspace, KeyspaceCreateOptions, PersistMode};
use hashbrown::HashMap;
use sockeye_engineio::Sid;

use self::codec::Part;
use crate::event::{Event, Gap, Meta};
use crate::offset::{Epoch, Position};
use crate::session::Session;
use crate::store::{Forgotten, Loaded, Run, Store};

/// What an event or a session must outlive.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Durability {
    /// The end of the process, however sudden: the kernel has the data when an emit returns. After a loss
    /// of power, or a crash of the kernel, the newest events may be missing; clients that have heard them
    /// get new sessions.
    #[default]
    Process,
    /// The loss of power, too: the disk has the data when an emit returns. Each event costs a sync, which
    /// takes milliseconds on most disks and keeps its thread for so long.
    Power,
}

/// The least that fjall takes for all of its journals.
const JOURNALS: u64 = 64 * 1024 * 1024;

/// What is written before a table is made of it. Smaller than the journals, so that they can be dropped.
const MEMTABLE: u64 = 8 * 1024 * 1024;

/// What is read twice is read by several clients that come back at a time, and by then the kernel has it.
const CACHE: u64 = 4 * 1024 * 1024;

/// Events that are removed in one step.
const BATCH: usize = 1024;

/// A file beside the store's own, which is there as long as no write has failed: to remove it takes no room. What is
/// emitted after that is not known to the next process, which so knows no sessions, either.
const WHOLE: &str = "whole";

const FORMAT: &str = "format";
const EPOCH: &str = "epoch";
const RUNS: &str = "runs";
const FORGOTTEN: &str = "forgotten";

/// Keeps events and sessions in a directory.
///
/// One process at a time can have it open. It may take about three times the log's limit of bytes there,
/// and 128 MiB more for journals.
pub struct DiskStore {
    database: Database,
    meta: Keyspace,
    events: Keyspace,
    sessions: Keyspace,
    durability: Durability,
    forgotten: Mutex<Tidying>,
    whole: PathBuf,
}

#[derive(Default)]
struct Tidying {
    forgotten: Forgotten,
    /// Up to here, events are removed.
    removed: Forgotten,
}

impl DiskStore {
    /// Opens the store in this directory, which is made if it is not there.
    ///
    /// # Errors
    ///
    /// The directory cannot be read or written, another process has it open, or it holds a store that is broken
    /// or of another version.
    pub fn open(path: impl AsRef<Path>) -> io::Result<Self> {
        let path = path.as_ref();
        Self::open_in(path).map_err(|error| {
            io::Error::new(error.kind(), format!("the store in {}: {error}", path.display()))
        })
    }

    fn open_in(path: &Path) -> io::Result<Self> {
        let database = Database::builder(path)
            .max_journaling_size(JOURNALS)
            .cache_size(CACHE)
            .worker_threads(1)
            .open()
            .map_err(into_io)?;
        let keyspace = |name: &str| {
            let options = || KeyspaceCreateOptions::default().max_memtable_size(MEMTABLE);
            database.keyspace(name, options).map_err(into_io)
        };
        let (meta, events, sessions) =
            (keyspace("meta")?, keyspace("events")?, keyspace("sessions")?);
        match meta.get(FORMAT).map_err(into_io)? {
            None => meta.insert(FORMAT, codec::FORMAT).map_err(into_io)?,
            Some(format) if *format == *codec::FORMAT => {}
            Some(_) => return Err(invalid("a store of another version of Sockeye")),
        }
        let (durability, forgotten) = (Durability::default(), Mutex::default());
        let whole = path.join(WHOLE);
        Ok(Self { database, meta, events, sessions, durability, forgotten, whole })
    }

    /// Sets what events and sessions must outlive. Default: [`Durability::Process`].
    #[must_use]
    pub fn durability(mut self, durability: Durability) -> Self {
        self.durability = durability;
        self
    }

    fn written(&self, outcome: fjall::Result<()>) -> io::Result<()> {
        self.handed_over(outcome)?;
        match self.durability {
            Durability::Process => Ok(()),
            Durability::Power => self.handed_over(self.database.persist(PersistMode::SyncData)),
        }
    }

    /// The kernel has it; or else nothing is written any more.
    fn handed_over(&self, outcome: fjall::Result<()>) -> io::Result<()> {
        outcome.map_err(|error| {
            let _ = fs::remove_file(&self.whole);
            into_io(error)
        })
    }

    fn tidying(&self) -> MutexGuard<'_, Tidying> {
        self.forgotten.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn load_events(&self, forgotten: Forgotten) -> io::Result<Vec<Meta>> {
        let mut namespaces = codec::Names::default();
        let mut events = Vec::new();
        for item in self.events.range(codec::position(forgotten.position.next())..) {
            let (key, value) = item.into_inner().map_err(into_io)?;
            let position = codec::read_position(&key).ok_or_else(broken)?;
            events.push(codec::read_meta(position, &value, &mut namespaces).ok_or_else(broken)?);
        }
        Ok(events)
    }

    fn load_sessions(&self) -> io::Result<HashMap<Sid, Session>> {
        let mut namespaces = codec::Names::default();
        let mut sessions: HashMap<Sid, Session> = HashMap::new();
        // A pid's own record comes before those of its rooms.
        for item in self.sessions.iter() {
            let (key, value) = item.into_inner().map_err(into_io)?;
            let (pid, part) = codec::read_session_key(&key).ok_or_else(broken)?;
            match (part, sessions.get_mut(&pid)) {
                (Part::Session, _) => {
                    let session =
                        codec::read_session(&value, &mut namespaces).ok_or_else(broken)?;
                    sessions.insert(pid, session);
                }
                (Part::Stays, Some(session)) => {
                    session.stays = codec::read_stays(&value).ok_or_else(broken)?;
                }
                (Part::Room(room), Some(session)) => {
                    let joined = codec::read_position(&value).ok_or_else(broken)?;
                    session.rooms.insert(room.into(), joined);
                }
                // Its session could not be written, or this not be removed.
                (Part::Stays | Part::Room(_), None) => {
                    self.sessions.remove(key).map_err(into_io)?
                }
            }
        }
        Ok(sessions)
    }
}

impl Store for DiskStore {
    fn load(&self) -> io::Result<Loaded> {
        let meta = |name: &str| self.meta.get(name).map_err(into_io);
        let forgotten = match meta(FORGOTTEN)? {
            Some(value) => codec::read_forgotten(&value).ok_or_else(broken)?,
            None => Forgotten::default(),
        };
        // What is before it may still be there.
        self.tidying().forgotten = forgotten;
        let epoch = match meta(EPOCH)? {
            Some(value) => Some(Epoch::new(value[..].try_into().map_err(|_| broken())?)),
            None => None,
        };
        let runs = match meta(RUNS)? {
            Some(value) => codec::read_runs(&value).ok_or_else(broken)?,
            None => Vec::new(),
        };
        if epoch.is_some() && !self.whole.try_exists()? {
            self.sessions.clear().map_err(into_io)?;
        }
        let (events, sessions) = (self.load_events(forgotten)?, self.load_sessions()?);
        Ok(Loaded { epoch, runs, forgotten, events, sessions })
    }

    fn begin(&self, epoch: Epoch, runs: &[Run]) -> io::Result<()> {
        self.meta.insert(EPOCH, epoch.bits()).map_err(into_io)?;
        self.written(self.meta.insert(RUNS, codec::runs(runs)))?;
        File::create(&self.whole).map(drop)
    }

    fn append(&self, meta: &Meta, event: Event) -> io::Result<()> {
        let value = codec::event(meta, &event);
        self.written(self.events.insert(codec::position(meta.position), value))
    }

    fn mark(&self, meta: &Meta) -> io::Result<()> {
        self.written(self.events.insert(codec::position(meta.position), codec::gap(meta)))
    }

    fn read(&self, position: Position) -> io::Result<Option<Event>> {
        let value = self.events.get(codec::position(position)).map_err(into_io)?;
        value.map_or(Ok(None), |value| codec::read_event(&value).ok_or_else(broken))
    }

    fn forget(&self, last: Forgotten) {
        self.tidying().forgotten = last;
    }

    fn tidy(&self) -> io::Result<()> {
        let (forgotten, removed) = {
            let tidying = self.tidying();
            (tidying.forgotten, tidying.removed)
        };
        if forgotten == removed {
            return Ok(());
        }
        // First, so that it is known of what is removed that it was there.
        self.handed_over(self.meta.insert(FORGOTTEN, codec::forgotten(forgotten)))?;
        let [from, to] = [removed.position.next(), forgotten.position].map(codec::position);
        let mut keys = self.events.range(from..=to).map(fjall::Guard::key).peekable();
        while keys.peek().is_some() {
            let mut batch = self.database.batch();
            for key in keys.by_ref().take(BATCH) {
                batch.remove(&self.events, key.map_err(into_io)?);
            }
            self.handed_over(batch.commit())?;
        }
        self.tidying().removed = forgotten;
        Ok(())
    }

    fn put_session(&self, pid: Sid, session: &Session) -> io::Result<()> {
        let outcome = self.sessions.insert(pid.as_str(), codec::session(session));
        if session.away_since.is_some() {
            // All are, when the store is opened. Many may go at once: they do not wait for the disk one by one.
            return self.handed_over(outcome);
        }
        self.written(outcome)
    }

    fn put_room(&self, pid: Sid, room: &str, joined: Option<Position>) -> io::Result<()> {
        let key = codec::room_key(pid, room);
        self.written(match joined {
            Some(joined) => self.sessions.insert(key, codec::position(joined)),
            None => self.sessions.remove(key),
        })
    }

    fn put_stays(&self, pid: Sid, session: &Session) -> io::Result<()> {
        self.written(self.sessions.insert(codec::stays_key(pid), codec::stays(&session.stays)))
    }

    fn remove_session(&self, pid: Sid, session: &Session) -> io::Result<()> {
        let mut batch = self.database.batch();
        batch.remove(&self.sessions, pid.as_str());
        batch.remove(&self.sessions, codec::stays_key(pid));
        for room in session.rooms.keys() {
            batch.remove(&self.sessions, codec::room_key(pid, room));
        }
        // If it comes back with the power, its time runs out once more.
        self.handed_over(batch.commit())
    }
}

impl std::fmt::Debug for DiskStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("DiskStore").field("durability", &self.durability).finish_non_exhaustive()
    }
}

fn into_io(error: fjall::Error) -> io::Error {
    match error {
        fjall::Error::Io(error) => error,
        fjall::Error::Locked => {
            io::Error::new(io::ErrorKind::ResourceBusy, "another process has it open")
        }
        fjall::Error::InvalidVersion(_) => invalid("it is not one of fjall 3"),
        fjall::Error::Poisoned => io::Error::other("an earlier write has failed"),
        error => io::Error::other(error),
    }
}

fn invalid(what: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}

fn broken() -> io::Error {
    invalid("a record in the store is not one of ours, or broken")
}

/// Whether an event is there, as a byte.
fn gap_byte(gap: Gap) -> u8 {
    match gap {
        Gap::None => 0,
        Gap::Withdrawn => 1,
        Gap::Lost => 2,
    }
}
