//! How names and ids are spread over the shards: one keyed hash serves the shard and the table
//! within it.

use std::hash::BuildHasher;

/// Shards of the registry, and of the rooms. A power of two, at most 64 (the walk keeps a set of
/// shards in a word).
///
/// Sixteen locks keep a machine of 64 cores from queueing, and cost an empty namespace 4 KiB. Loom
/// needs fewer: two still show an order of locks that is wrong.
pub(crate) const SHARDS: usize = if cfg!(loom) { 2 } else { 16 };

const _: () = assert!(SHARDS.is_power_of_two() && SHARDS <= 64);

/// Keyed at random per hub, since clients have a say in the names of rooms.
#[cfg(not(loom))]
pub(crate) type Hasher = hashbrown::DefaultHashBuilder;
/// Loom repeats a model many times and wants it to take the same locks each time: no random key.
#[cfg(loom)]
pub(crate) type Hasher = std::hash::BuildHasherDefault<std::hash::DefaultHasher>;

/// A name with its hash, computed once, outside all locks.
///
/// Rooms and ids share it, since a room's name may be a member's id.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Name<'a> {
    pub(crate) text: &'a str,
    pub(crate) hash: u64,
}

impl<'a> Name<'a> {
    pub(crate) fn new(hasher: &Hasher, text: &'a str) -> Self {
        Self { text, hash: hash(hasher, text) }
    }

    pub(crate) fn shard(self) -> usize {
        shard_of(self.hash)
    }
}

pub(crate) fn hash(hasher: &Hasher, name: &str) -> u64 {
    hasher.hash_one(name)
}

/// The bits between those that hashbrown uses: it takes the place from the low ones and a tag from
/// the top seven.
pub(crate) fn shard_of(hash: u64) -> usize {
    (hash >> 48) as usize % SHARDS
}
