//! What the log keeps of an event.

use std::sync::Arc;

use sockeye_hub::Packet;

use crate::offset::Position;
use crate::session::Session;

/// What an event costs beside its bytes: its places in the log and in its index.
const OVERHEAD: usize = 128;

/// An event that was emitted, and to whom.
#[derive(Clone, Debug)]
pub struct Event {
    /// The namespace.
    pub namespace: Arc<str>,
    /// To the members of any of these rooms; to everyone, if there is none.
    pub rooms: Vec<Box<str>>,
    /// But to the members of none of these.
    pub except: Vec<Box<str>>,
    /// What they were sent, its offset included.
    pub packet: Arc<Packet>,
}

impl Event {
    /// The bytes that it counts against the limit.
    #[must_use]
    pub fn bytes(&self) -> usize {
        let names: usize = self.rooms.iter().chain(&self.except).map(|room| room.len() + 16).sum();
        self.packet.bytes() + names + OVERHEAD
    }

    /// Whether it was for the socket of this session, by the rooms that it was in when the event was
    /// emitted.
    #[must_use]
    pub fn is_for(&self, position: Position, session: &Session) -> bool {
        let was_in_any =
            |rooms: &[Box<str>]| rooms.iter().any(|room| session.was_in(room, position));
        (self.rooms.is_empty() || was_in_any(&self.rooms)) && !was_in_any(&self.except)
    }
}

/// What is known of an event without reading it.
#[derive(Clone, Debug)]
pub struct Meta {
    /// Its place.
    pub position: Position,
    /// When it was emitted, in milliseconds of the store's time.
    pub time: u64,
    /// The bytes that it counts.
    pub bytes: usize,
    /// The namespace.
    pub namespace: Arc<str>,
    /// It is not there: it was withdrawn, or could not be written.
    pub gap: Gap,
}

/// Whether an event is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Gap {
    /// It is.
    None,
    /// It was never sent, and nobody has missed it.
    Withdrawn,
    /// It was sent and could not be kept: whoever has not heard it cannot be recovered.
    Lost,
}
