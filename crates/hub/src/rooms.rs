//! The rooms of a namespace, sharded by the hash of their names. A room exists while somebody is in
//! it.

use hashbrown::HashTable;

use crate::room::SlotSet;
use crate::shard::{Hasher, Name, SHARDS, hash};
use crate::slab::Slab;
use crate::sync::{ReadGuard, RwLock};

/// Where a room is: its place in its shard, and in the low bits the shard.
///
/// Valid as long as its holder is in the room, since the room stays as long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct RoomKey(u32);

impl RoomKey {
    fn new(shard: usize, place: u32) -> Self {
        Self(place * SHARDS as u32 + shard as u32)
    }

    fn shard(self) -> usize {
        self.0 as usize % SHARDS
    }

    fn place(self) -> u32 {
        self.0 / SHARDS as u32
    }
}

#[derive(Debug)]
struct Room {
    name: Box<str>,
    slots: SlotSet,
}

/// The rooms whose names hash to this shard.
#[derive(Debug, Default)]
pub(crate) struct Shard {
    names: HashTable<u32>,
    rooms: Slab<Room>,
}

impl Shard {
    pub(crate) fn find(&self, name: Name<'_>) -> Option<&SlotSet> {
        self.rooms.get(self.place(name)?).map(|room| &room.slots)
    }

    fn place(&self, name: Name<'_>) -> Option<u32> {
        let same =
            |&place: &u32| self.rooms.get(place).is_some_and(|room| *room.name == *name.text);
        self.names.find(name.hash, same).copied()
    }

    fn create(&mut self, hasher: &Hasher, name: Name<'_>) -> u32 {
        let Self { names, rooms } = self;
        let place = rooms.insert(Room { name: name.text.into(), slots: SlotSet::default() });
        let rehash = |&place: &u32| rooms.get(place).map_or(0, |room| hash(hasher, &room.name));
        names.insert_unique(name.hash, place, rehash);
        place
    }

    /// Takes the slot out of the room and, if it was the last one, the room out of the shard.
    fn leave(&mut self, hasher: &Hasher, place: u32, index: u32) -> Option<Left> {
        let room = self.rooms.get_mut(place)?;
        let left = room.slots.remove(index);
        let last = room.slots.is_empty();
        if last {
            let hash_of = |room: &Room| hash(hasher, &room.name);
            let hash = hash_of(room);
            if let Ok(entry) = self.names.find_entry(hash, |&other| other == place) {
                entry.remove();
            }
            self.rooms.remove(place);
            if self.names.capacity() > 64 && self.names.len() < self.names.capacity() / 8 {
                let rooms = &self.rooms;
                self.names
                    .shrink_to(2 * self.names.len(), |&place| rooms.get(place).map_or(0, hash_of));
            }
        }
        left.then_some(Left { last })
    }
}

/// A slot that was in a room is in it no more.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Left {
    /// Nobody else was in it: the room is gone.
    pub(crate) last: bool,
}

/// All rooms of a namespace.
#[derive(Debug)]
pub(crate) struct Rooms {
    shards: [RwLock<Shard>; SHARDS],
}

impl Default for Rooms {
    fn default() -> Self {
        Self { shards: std::array::from_fn(|_| RwLock::new(Shard::default())) }
    }
}

impl Rooms {
    pub(crate) fn read(&self, shard: usize) -> ReadGuard<'_, Shard> {
        self.shards[shard].read()
    }

    /// The key of the room, for the member's list, and whether the room is new, unless the slot was
    /// in it already.
    pub(crate) fn join(
        &self,
        hasher: &Hasher,
        name: Name<'_>,
        index: u32,
    ) -> Option<(RoomKey, bool)> {
        let mut shard = self.shards[name.shard()].write();
        let found = shard.place(name);
        let place = found.unwrap_or_else(|| shard.create(hasher, name));
        let joined = shard.rooms.get_mut(place)?.slots.insert(index);
        joined.then(|| (RoomKey::new(name.shard(), place), found.is_none()))
    }

    /// The key of the room that the slot was in, to be taken from the member's list.
    pub(crate) fn leave(
        &self,
        hasher: &Hasher,
        name: Name<'_>,
        index: u32,
    ) -> Option<(RoomKey, Left)> {
        let mut shard = self.shards[name.shard()].write();
        let place = shard.place(name)?;
        let left = shard.leave(hasher, place, index)?;
        Some((RoomKey::new(name.shard(), place), left))
    }

    /// Takes a slot out of a room that it is in.
    pub(crate) fn leave_by_key(&self, hasher: &Hasher, key: RoomKey, index: u32) -> Option<Left> {
        let left = self.shards[key.shard()].write().leave(hasher, key.place(), index);
        debug_assert!(left.is_some(), "a member's list names only rooms that it is in");
        left
    }

    pub(crate) fn contains(&self, name: Name<'_>, index: u32) -> bool {
        self.read(name.shard()).find(name).is_some_and(|slots| slots.contains(index))
    }

    pub(crate) fn len(&self, name: Name<'_>) -> usize {
        self.read(name.shard()).find(name).map_or(0, SlotSet::len)
    }

    /// The names of all of them, one shard after the other.
    pub(crate) fn names(&self) -> Vec<Box<str>> {
        let mut names = Vec::new();
        for shard in &self.shards {
            let shard = shard.read();
            let places = shard.names.iter();
            names.extend(places.filter_map(|place| Some(shard.rooms.get(*place)?.name.clone())));
        }
        names
    }

    /// The name of a room that the caller is in.
    pub(crate) fn name(&self, key: RoomKey) -> Option<Box<str>> {
        self.read(key.shard()).rooms.get(key.place()).map(|room| room.name.clone())
    }
}
