//! The rooms: how many are in each, and what was said there last.
//!
//! Invariants: the lobby exists; any other room exists while somebody is in it; there are at most
//! [`MAX_ROOMS`], each with at most [`MAX_HISTORY`] messages.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use super::event::{Message, RoomCount};
use super::words::{Mid, RoomName};

/// Rooms at a time, the lobby included.
const MAX_ROOMS: usize = 50;

/// Messages that a room remembers. All rooms' histories together stay below 25 MB.
const MAX_HISTORY: usize = 50;

#[derive(Debug)]
pub(super) struct Rooms {
    rooms: BTreeMap<RoomName, Room>,
    lobby: RoomName,
}

#[derive(Debug, Default)]
struct Room {
    count: usize,
    /// Oldest first.
    history: VecDeque<Arc<Message>>,
}

impl Rooms {
    pub(super) fn new() -> Self {
        let lobby = RoomName::lobby();
        Self { rooms: BTreeMap::from([(lobby.clone(), Room::default())]), lobby }
    }

    /// Whether the room exists, or could be made.
    pub(super) fn has_place_for(&self, room: &RoomName) -> bool {
        self.rooms.contains_key(room) || self.rooms.len() < MAX_ROOMS
    }

    /// One more is in the room, which is made if need be.
    pub(super) fn enter(&mut self, room: &RoomName) {
        self.rooms.entry(room.clone()).or_default().count += 1;
    }

    /// One less is in the room. Any but the lobby is forgotten with the last one.
    pub(super) fn leave(&mut self, room: &RoomName) {
        let Some(left) = self.rooms.get_mut(room) else { return };
        left.count = left.count.saturating_sub(1);
        if left.count == 0 && *room != self.lobby {
            self.rooms.remove(room);
        }
    }

    /// All rooms, the lobby first, then by name.
    pub(super) fn list(&self) -> Vec<RoomCount> {
        let counted =
            |(name, room): (&RoomName, &Room)| RoomCount { name: name.clone(), count: room.count };
        let lobby = self.rooms.get_key_value(&self.lobby);
        let others = self.rooms.iter().filter(|(name, _)| **name != self.lobby);
        lobby.into_iter().chain(others).map(counted).collect()
    }

    /// The room's last messages, oldest first.
    pub(super) fn history(&self, room: &RoomName) -> Vec<Arc<Message>> {
        self.rooms.get(room).map(|room| room.history.iter().cloned().collect()).unwrap_or_default()
    }

    /// The message with this id, if the room remembers it.
    pub(super) fn find(&self, room: &RoomName, mid: &Mid) -> Option<&Message> {
        let history = &self.rooms.get(room)?.history;
        history.iter().find(|message| message.mid == *mid).map(|message| &**message)
    }

    /// Remembers a message to its room.
    pub(super) fn remember(&mut self, message: Arc<Message>) {
        let Some(room) = self.rooms.get_mut(&message.room) else { return };
        if room.history.len() == MAX_HISTORY {
            room.history.pop_front();
        }
        room.history.push_back(message);
    }
}
