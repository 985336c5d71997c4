//! Where a log keeps its events and sessions.

use std::io;

use hashbrown::HashMap;
use sockeye_engineio::Sid;

use crate::event::{Event, Meta};
use crate::offset::{Epoch, Position};
use crate::session::Session;

/// Where a [`Log`](crate::Log) keeps its events and sessions. It decides nothing: what is kept, and for
/// how long, the log says.
///
/// All of it may be called from several threads; events come in the order of their positions. What
/// returned `Ok` must outlive the process if the store does at all.
pub trait Store: Send + Sync + 'static {
    /// What is there, when it is opened. Called once, before all else.
    ///
    /// # Errors
    ///
    /// It cannot be read.
    fn load(&self) -> io::Result<Loaded>;

    /// Says in which epoch and from which position on it will be written to.
    ///
    /// # Errors
    ///
    /// It cannot be written.
    fn begin(&self, epoch: Epoch, runs: &[Run]) -> io::Result<()>;

    /// Keeps an event.
    ///
    /// # Errors
    ///
    /// It cannot be written.
    fn append(&self, meta: &Meta, event: Event) -> io::Result<()>;

    /// Keeps that there is no event in a place, whatever was there before.
    ///
    /// # Errors
    ///
    /// It cannot be written.
    fn mark(&self, meta: &Meta) -> io::Result<()>;

    /// The event in a place; `None` if there is none.
    ///
    /// # Errors
    ///
    /// It cannot be read.
    fn read(&self, position: Position) -> io::Result<Option<Event>>;

    /// Up to this event, nothing will be read any more. Must be quick: what takes time is for
    /// [`tidy`](Self::tidy).
    fn forget(&self, last: Forgotten);

    /// Does what can wait, such as removing forgotten events, and keeping which they are; called now
    /// and then, from a thread that may block.
    ///
    /// # Errors
    ///
    /// It cannot be written.
    fn tidy(&self) -> io::Result<()>;

    /// Keeps a session, all but its rooms and stays.
    ///
    /// # Errors
    ///
    /// It cannot be written.
    fn put_session(&self, pid: Sid, session: &Session) -> io::Result<()>;

    /// Keeps that a session's socket is in a room since a position, or is not.
    ///
    /// # Errors
    ///
    /// It cannot be written.
    fn put_room(&self, pid: Sid, room: &str, joined: Option<Position>) -> io::Result<()>;

    /// Keeps the session's stays, in place of the former ones.
    ///
    /// # Errors
    ///
    /// It cannot be written.
    fn put_stays(&self, pid: Sid, session: &Session) -> io::Result<()>;

    /// Forgets a session.
    ///
    /// # Errors
    ///
    /// It cannot be written.
    fn remove_session(&self, pid: Sid, session: &Session) -> io::Result<()>;
}

/// What a store holds when it is opened.
#[derive(Debug, Default)]
pub struct Loaded {
    /// Its epoch; `None` if it is new.
    pub epoch: Option<Epoch>,
    /// The runs of the processes that wrote it, the last one's end aside.
    pub runs: Vec<Run>,
    /// The last event that is forgotten.
    pub forgotten: Forgotten,
    /// The events behind it, in the order of their positions.
    pub events: Vec<Meta>,
    /// The sessions, by their pid.
    pub sessions: HashMap<Sid, Session>,
}

/// The positions that one process has given out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Run {
    /// The position before its first one.
    pub start: Position,
    /// Its last one.
    pub end: Position,
}

/// The last event of which the log knows nothing any more.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Forgotten {
    /// Its place.
    pub position: Position,
    /// When it was emitted, in milliseconds of the store's time.
    pub time: u64,
}
