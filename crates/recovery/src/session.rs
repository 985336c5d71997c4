//! What is kept of a socket, to make it again.

use std::collections::VecDeque;
use std::sync::Arc;

use hashbrown::HashMap;
use sockeye_engineio::Sid;

use crate::offset::Position;

/// The rooms of a socket, each with the position of the log at which it was joined: what was emitted
/// to the room before is not for this socket.
pub type Rooms = HashMap<Box<str>, Position>;

/// A socket's stay in a room that it has left since.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stay {
    /// The room.
    pub room: Box<str>,
    /// It heard what came behind this position ..
    pub joined: Position,
    /// .. up to this one.
    pub left: Position,
}

/// Stays that are remembered. A client that has left more rooms since it was last heard of may miss an
/// event of the first of them, or get one that was for everyone else.
pub(crate) const MAX_STAYS: usize = 64;

/// What a session costs beside its rooms and data.
const OVERHEAD: usize = 192;

/// What is kept of a socket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Session {
    /// The namespace.
    pub namespace: Arc<str>,
    /// The socket's public id.
    pub sid: Sid,
    /// The client has heard what was emitted up to here, if it cannot tell itself: the position at
    /// its CONNECT, or with what it came back.
    pub floor: Position,
    /// Its rooms, the one that bears its id included.
    pub rooms: Rooms,
    /// Its stays in rooms that it has left, the oldest first.
    pub stays: VecDeque<Stay>,
    /// Its data, as JSON.
    pub data: Option<Box<str>>,
    /// When the client came or came back, in milliseconds of the store's time, as all times here.
    pub came: u64,
    /// The client has heard for certain whatever was emitted to it before this time.
    pub heard: u64,
    /// Since when the client is gone; `None` while it is here.
    pub away_since: Option<u64>,
    /// Who came for it last. Whoever came before has no say any more.
    pub(crate) visit: u64,
    /// The bytes that it counts against the limit, while the client is away.
    pub(crate) counted: usize,
}

impl Session {
    /// The session of a socket that is in no room but its own.
    #[must_use]
    pub fn new(namespace: Arc<str>, sid: Sid, floor: Position, now: u64) -> Self {
        let rooms = Rooms::from_iter([(Box::from(sid.as_str()), floor)]);
        let (came, heard) = (now, now);
        let (stays, data, away_since, visit, counted) = (VecDeque::new(), None, None, 0, 0);
        Self { namespace, sid, floor, rooms, stays, data, came, heard, away_since, visit, counted }
    }

    /// Whether the socket was in a room when the event in this place was emitted.
    #[must_use]
    pub fn was_in(&self, room: &str, position: Position) -> bool {
        self.rooms.get(room).is_some_and(|joined| *joined < position)
            || self
                .stays
                .iter()
                .any(|stay| stay.joined < position && position <= stay.left && *stay.room == *room)
    }

    /// Up to when the client has heard for certain what was emitted to it, if its connection ends now.
    ///
    /// What was sent before its last answer to a ping it has heard, since connections keep the order;
    /// and that answer came no longer than `heartbeat` ago, else the connection would have ended.
    pub(crate) fn heard_by(&self, now: u64, heartbeat: u64) -> u64 {
        if self.away_since.is_none() && now >= self.came.saturating_add(heartbeat) {
            self.heard.max(now - heartbeat)
        } else {
            self.heard
        }
    }

    /// The client is gone, or its connection is not to be trusted any more.
    pub(crate) fn leave(&mut self, now: u64, heartbeat: u64) {
        self.heard = self.heard_by(now, heartbeat);
        self.away_since = Some(now);
    }

    pub(crate) fn bytes(&self) -> usize {
        let rooms: usize = self.rooms.keys().map(|room| room.len() + 32).sum();
        let stays: usize = self.stays.iter().map(|stay| stay.room.len() + 32).sum();
        rooms + stays + self.data.as_ref().map_or(0, |data| data.len()) + OVERHEAD
    }
}
