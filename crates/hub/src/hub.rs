//! The members and rooms of one namespace.

use std::fmt;

use sockeye_engineio::Sid;

use crate::members::Members;
use crate::observer::{Observer, RoomEvent};
use crate::registry::Registry;
use crate::rooms::Rooms;
use crate::shard::{Hasher, Name};
use crate::slot::{Gone, IdTaken, Slot};
use crate::sync::RwLock;

/// Who is in a namespace, and who of them in which room.
///
/// `M` is the handle of a member, in practice an `Arc`: it is cloned under locks, so its `clone`
/// must do nothing else. All methods may be called from any thread, and from within the closure of
/// [`for_each`](Self::for_each).
pub struct Hub<M> {
    pub(crate) hasher: Hasher,
    pub(crate) registry: Registry,
    pub(crate) rooms: Rooms,
    pub(crate) members: RwLock<Members<M>>,
    observer: Observer,
}

impl<M> Default for Hub<M> {
    fn default() -> Self {
        Self {
            hasher: Hasher::default(),
            registry: Registry::default(),
            rooms: Rooms::default(),
            members: RwLock::new(Members::default()),
            observer: Observer::default(),
        }
    }
}

impl<M> fmt::Debug for Hub<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Hub").finish_non_exhaustive()
    }
}

impl<M: Clone + Send + Sync + 'static> Hub<M> {
    /// A hub with nobody in it.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Has `each` called with everything that happens to rooms from now on; `false`, and no effect,
    /// if somebody else is told already.
    ///
    /// It is called after the fact and without a lock, by whoever made it happen. So what two threads
    /// do to one room at a time may be told in either order: who keeps an account of rooms looks at
    /// [`room_len`](Self::room_len) when told. Who does not observe pays for one look at a flag.
    pub fn observe(&self, each: impl Fn(RoomEvent<'_>) + Send + Sync + 'static) -> bool {
        self.observer.set(Box::new(each))
    }

    /// Adds a member, which from now on is among everyone and in the room that bears its id: the
    /// public one, never the session's.
    ///
    /// # Errors
    ///
    /// [`IdTaken`] while another member bears the id.
    pub fn insert(&self, id: Sid, member: M) -> Result<Slot, IdTaken> {
        let mut shard = self.registry.write_by_id(&self.hasher, id);
        let slot = shard.insert(&self.hasher, id)?;
        self.members.write().insert(slot.index(), member);
        drop(shard);
        self.observer.tell(|each| {
            each(RoomEvent::Created { room: id.as_str() });
            each(RoomEvent::Joined { room: id.as_str(), id });
        });
        Ok(slot)
    }

    /// Removes a member from all its rooms and from the hub. `None` if it was gone already.
    ///
    /// Once this returns, no walk that starts will find the member. A [`join`](Self::join) that
    /// races with it either came before and is undone, or fails.
    pub fn remove(&self, slot: Slot) -> Option<M> {
        let (id, rooms) = {
            let mut shard = self.registry.write(slot);
            let id = shard.get(slot)?.id;
            (id, shard.retire(&self.hasher, slot)?)
        };
        // Nobody can join on the member's behalf now and its slot is not free yet, so these are all
        // its rooms, and the registry need not wait while a member of thousands leaves them.
        for key in rooms {
            let room = self.observer.is_set().then(|| self.rooms.name(key)).flatten();
            let left = self.rooms.leave_by_key(&self.hasher, key, slot.index());
            if let (Some(room), Some(left)) = (room, left) {
                self.tell_left(&room, id, left.last);
            }
        }
        let member = self.members.write().remove(slot.index());
        self.registry.write(slot).free(slot);
        self.tell_left(id.as_str(), id, true);
        member
    }

    /// Puts a member into a room. `false` if it was in it already, as it always is in the room that
    /// bears its id.
    ///
    /// # Errors
    ///
    /// [`Gone`] if the member has been removed.
    pub fn join(&self, slot: Slot, room: &str) -> Result<bool, Gone> {
        let name = Name::new(&self.hasher, room);
        let mut shard = self.registry.write(slot);
        let entry = shard.get_mut(slot).ok_or(Gone)?;
        if entry.id.as_str() == room {
            return Ok(false);
        }
        let Some((key, created)) = self.rooms.join(&self.hasher, name, slot.index()) else {
            return Ok(false);
        };
        entry.rooms.push(key);
        let id = entry.id;
        drop(shard);
        self.observer.tell(|each| {
            if created {
                each(RoomEvent::Created { room });
            }
            each(RoomEvent::Joined { room, id });
        });
        Ok(true)
    }

    /// Takes a member out of a room. `false` if it was not in it, if it is gone, or if the room
    /// bears its id: that one cannot be left.
    ///
    /// Takes time in proportion to the number of the member's rooms, but less than a nanosecond for
    /// each.
    pub fn leave(&self, slot: Slot, room: &str) -> bool {
        let name = Name::new(&self.hasher, room);
        let mut shard = self.registry.write(slot);
        let Some(entry) = shard.get_mut(slot) else { return false };
        let Some((key, left)) = self.rooms.leave(&self.hasher, name, slot.index()) else {
            return false;
        };
        if let Some(at) = entry.rooms.iter().position(|other| *other == key) {
            entry.rooms.swap_remove(at);
        }
        let id = entry.id;
        drop(shard);
        self.tell_left(room, id, left.last);
        true
    }

    fn tell_left(&self, room: &str, id: Sid, last: bool) {
        self.observer.tell(|each| {
            each(RoomEvent::Left { room, id });
            if last {
                each(RoomEvent::Deleted { room });
            }
        });
    }

    /// The rooms that a member is in: first the one that bears its id, the others in no order.
    /// Empty if it is gone.
    pub fn rooms(&self, slot: Slot) -> Vec<Box<str>> {
        let shard = self.registry.read(slot);
        let Some(entry) = shard.get(slot) else { return Vec::new() };
        // The lock is kept: a key is valid only while the member cannot leave.
        let own = Box::from(entry.id.as_str());
        let others = entry.rooms.iter().filter_map(|key| self.rooms.name(*key));
        std::iter::once(own).chain(others).collect()
    }

    /// Whether a member is in a room. `false` if it is gone.
    pub fn contains(&self, slot: Slot, room: &str) -> bool {
        let name = Name::new(&self.hasher, room);
        let shard = self.registry.read(slot);
        let Some(entry) = shard.get(slot) else { return false };
        entry.id.as_str() == room || self.rooms.contains(name, slot.index())
    }

    /// The member that bears the id.
    pub fn find(&self, id: &str) -> Option<M> {
        self.find_name(Name::new(&self.hasher, id)).map(|(_, member)| member)
    }

    pub(crate) fn find_name(&self, id: Name<'_>) -> Option<(u32, M)> {
        let shard = self.registry.read_by_id(id)?;
        let index = shard.find(id)?.index();
        // The lock is kept: the slot is this member's as long as the registry cannot change.
        let member = self.members.read().get(index)?;
        Some((index, member))
    }

    /// The names of all rooms, those that bear an id included, in no order.
    pub fn all_rooms(&self) -> Vec<Box<str>> {
        let mut names = self.rooms.names();
        self.registry.ids(|id| names.push(id.as_str().into()));
        names
    }

    /// How many members there are.
    pub fn len(&self) -> usize {
        self.members.read().len()
    }

    /// Whether there are no members.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How many members are in a room, the one that bears its name included.
    pub fn room_len(&self, room: &str) -> usize {
        let name = Name::new(&self.hasher, room);
        let bearer = self.registry.read_by_id(name).is_some_and(|shard| shard.find(name).is_some());
        usize::from(bearer) + self.rooms.len(name)
    }
}
