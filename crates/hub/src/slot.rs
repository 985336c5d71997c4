//! The place of a member in its hub, and the two ways in which ids and places are refused.

use std::error::Error;
use std::fmt;
use std::num::NonZeroU32;

use crate::shard::SHARDS;

/// A member's place in its [`Hub`](crate::Hub), as [`insert`](crate::Hub::insert) gave it out.
///
/// The index is used again after the member has been removed; the generation is not (it comes round
/// after 2³² inserts), so a slot that outlives its member is noticed wherever it is handed in. A
/// slot means nothing to another hub.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Slot {
    index: u32,
    generation: NonZeroU32,
}

impl Slot {
    /// The low bits of an index name the registry's shard: while the shards fill evenly, so do the
    /// pages of neighbouring indices that [`SlotSet`](crate::room::SlotSet) and
    /// [`Members`](crate::members::Members) keep.
    pub(crate) fn new(shard: usize, local: u32, generation: NonZeroU32) -> Self {
        Self { index: local * SHARDS as u32 + shard as u32, generation }
    }

    pub(crate) fn index(self) -> u32 {
        self.index
    }

    pub(crate) fn generation(self) -> NonZeroU32 {
        self.generation
    }

    pub(crate) fn shard(self) -> usize {
        self.index as usize % SHARDS
    }

    pub(crate) fn local(self) -> u32 {
        self.index / SHARDS as u32
    }
}

/// The id is that of another member.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IdTaken;

impl fmt::Display for IdTaken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a member with this id is in the hub already")
    }
}

impl Error for IdTaken {}

/// The member has been removed: its slot is free or belongs to somebody else.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gone;

impl fmt::Display for Gone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the member has left the hub")
    }
}

impl Error for Gone {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slot_finds_back_to_shard_and_place() {
        let slot = Slot::new(SHARDS - 1, 1234, NonZeroU32::MIN);
        assert_eq!((slot.shard(), slot.local()), (SHARDS - 1, 1234));
        assert_eq!(size_of::<Option<Slot>>(), 8);
    }
}
