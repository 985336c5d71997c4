//! Who is connected: ids, slots, and for each slot the list of its rooms.

use std::num::NonZeroU32;

use hashbrown::HashTable;
use smallvec::SmallVec;
use sockeye_engineio::Sid;

use crate::rooms::RoomKey;
use crate::shard::{Hasher, Name, SHARDS, hash, shard_of};
use crate::slab::Slab;
use crate::slot::{IdTaken, Slot};
use crate::sync::{ReadGuard, RwLock, WriteGuard};

/// A member's rooms, in no order. Four of them cost no memory beyond the entry.
pub(crate) type RoomList = SmallVec<[RoomKey; 4]>;

#[derive(Debug)]
pub(crate) struct Entry {
    pub(crate) id: Sid,
    generation: NonZeroU32,
    pub(crate) rooms: RoomList,
}

// Three members share two cache lines; the figures of `lib.rs` build on it.
const _: () = assert!(size_of::<Option<Entry>>() == 48);

/// The members whose ids hash to this shard.
#[derive(Debug)]
pub(crate) struct Shard {
    number: usize,
    entries: Slab<Entry>,
    ids: HashTable<u32>,
    /// The last one used. One count for the shard, so that a place's memory can be given back.
    generation: NonZeroU32,
}

impl Shard {
    fn new(number: usize) -> Self {
        Self {
            number,
            entries: Slab::default(),
            ids: HashTable::new(),
            generation: NonZeroU32::MAX,
        }
    }

    pub(crate) fn insert(&mut self, hasher: &Hasher, id: Sid) -> Result<Slot, IdTaken> {
        let hash_of = |entry: &Entry| hash(hasher, entry.id.as_str());
        let name = Name::new(hasher, id.as_str());
        if self.find(name).is_some() {
            return Err(IdTaken);
        }
        let generation = self.next_generation();
        let place = self.entries.insert(Entry { id, generation, rooms: RoomList::new() });
        let entries = &self.entries;
        self.ids.insert_unique(name.hash, place, |&place| entries.get(place).map_or(0, hash_of));
        Ok(Slot::new(self.number, place, generation))
    }

    fn next_generation(&mut self) -> NonZeroU32 {
        self.generation = self.generation.checked_add(1).unwrap_or(NonZeroU32::MIN);
        self.generation
    }

    /// The member with this id, unless it is leaving.
    pub(crate) fn find(&self, id: Name<'_>) -> Option<Slot> {
        let same = |&place: &u32| {
            self.entries.get(place).is_some_and(|entry| entry.id.as_str() == id.text)
        };
        let place = *self.ids.find(id.hash, same)?;
        let generation = self.entries.get(place)?.generation;
        Some(Slot::new(self.number, place, generation))
    }

    pub(crate) fn get(&self, slot: Slot) -> Option<&Entry> {
        self.entries.get(slot.local()).filter(|entry| entry.generation == slot.generation())
    }

    pub(crate) fn get_mut(&mut self, slot: Slot) -> Option<&mut Entry> {
        self.entries.get_mut(slot.local()).filter(|entry| entry.generation == slot.generation())
    }

    /// Makes the member unreachable and hands out its rooms, which the caller clears before it
    /// calls [`free`](Self::free).
    pub(crate) fn retire(&mut self, hasher: &Hasher, slot: Slot) -> Option<RoomList> {
        self.get(slot)?;
        // One that nobody holds: the entry cannot be reached, and its place is not free yet.
        let generation = self.next_generation();
        let entry = self.entries.get_mut(slot.local())?;
        entry.generation = generation;
        let rooms = std::mem::take(&mut entry.rooms);
        let hash_of = |entry: &Entry| hash(hasher, entry.id.as_str());
        let hash = hash_of(entry);
        if let Ok(entry) = self.ids.find_entry(hash, |&place| place == slot.local()) {
            entry.remove();
        }
        if self.ids.capacity() > 64 && self.ids.len() < self.ids.capacity() / 8 {
            let entries = &self.entries;
            self.ids.shrink_to(2 * self.ids.len(), |&place| entries.get(place).map_or(0, hash_of));
        }
        Some(rooms)
    }

    /// Frees the place of a member that has retired and is in no room.
    pub(crate) fn free(&mut self, slot: Slot) {
        self.entries.remove(slot.local());
    }
}

/// All members of a namespace.
#[derive(Debug)]
pub(crate) struct Registry {
    shards: [RwLock<Shard>; SHARDS],
}

impl Default for Registry {
    fn default() -> Self {
        Self { shards: std::array::from_fn(|number| RwLock::new(Shard::new(number))) }
    }
}

impl Registry {
    pub(crate) fn read(&self, slot: Slot) -> ReadGuard<'_, Shard> {
        self.shards[slot.shard()].read()
    }

    /// The ids of all members, one shard after the other.
    pub(crate) fn ids(&self, mut each: impl FnMut(Sid)) {
        for shard in &self.shards {
            let shard = shard.read();
            let places = shard.ids.iter();
            places.filter_map(|place| shard.entries.get(*place)).for_each(|entry| each(entry.id));
        }
    }

    pub(crate) fn write(&self, slot: Slot) -> WriteGuard<'_, Shard> {
        self.shards[slot.shard()].write()
    }

    /// The shard that knows the id, if it is one: no other text has its length.
    pub(crate) fn read_by_id(&self, id: Name<'_>) -> Option<ReadGuard<'_, Shard>> {
        (id.text.len() == Sid::LEN).then(|| self.shards[id.shard()].read())
    }

    pub(crate) fn write_by_id(&self, hasher: &Hasher, id: Sid) -> WriteGuard<'_, Shard> {
        self.shards[shard_of(hash(hasher, id.as_str()))].write()
    }
}
