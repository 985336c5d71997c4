//! Whom a message is for.

use smallvec::SmallVec;

use crate::slot::Slot;

/// Whom a message is for: the union of some rooms, without the union of others, each member once.
///
/// Every member is in the room that bears its id, so an id may stand wherever a room may.
///
/// ```
/// use sockeye_hub::Selection;
///
/// let everyone = Selection::everyone();
/// let teams = Selection::everyone().to("red").to("blue").except("muted");
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Selection {
    /// Members of any of these. Empty: everyone.
    pub rooms: SmallVec<[Box<str>; 1]>,
    /// But members of none of these.
    pub except: SmallVec<[Box<str>; 1]>,
    /// And not this one: the sender of a broadcast. A member that is gone skips nobody.
    pub skip: Option<Slot>,
}

impl Selection {
    /// All members of the namespace.
    #[must_use]
    pub fn everyone() -> Self {
        Self::default()
    }

    /// Adds a room. The first one narrows the selection from everyone to that room.
    #[must_use]
    pub fn to(mut self, room: impl Into<Box<str>>) -> Self {
        self.rooms.push(room.into());
        self
    }

    /// Leaves out the members of a room.
    #[must_use]
    pub fn except(mut self, room: impl Into<Box<str>>) -> Self {
        self.except.push(room.into());
        self
    }

    /// Leaves out one member, in place of whoever was left out so before.
    #[must_use]
    pub fn skip(mut self, slot: Slot) -> Self {
        self.skip = Some(slot);
        self
    }
}
