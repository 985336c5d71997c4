//! Who is connected, who is in which room, and how one message reaches many.
//!
//! A [`Hub`] is one namespace. It stands above the protocols and below the server, knows threads
//! but no runtime, does no I/O and starts nothing.
//!
//! | part | holds | lock |
//! |---|---|---|
//! | `registry` | ids, slots, each slot's list of rooms | 16 shards, by the id's hash |
//! | `rooms` | names, each room's set of slots | 16 shards, by the name's hash |
//! | `members` | the members, by slot | one |
//! | `walk` | what a [`Selection`] means | |
//! | `packet` | what is sent to them, encoded once | |
//! | `observer` | who is told of rooms that come and go | |
//! | [`adapter`] | how a namespace is spread over several servers | |
//!
//! # The order of locks
//!
//! 1. one shard of the registry,
//! 2. shards of the rooms, ascending,
//! 3. the members.
//!
//! Nobody waits for a lock while holding one that stands below it in this list, and nobody holds
//! two shards of the registry. No user code runs under a lock (`M::clone` excepted, an `Arc`'s),
//! nothing is encoded, nothing is read or written.
//!
//! # Invariants
//!
//! - A bit in a room is a member of the hub: a slot is cleared from all rooms, then its member is
//!   removed, then the slot is free. So a room needs no generations, and whoever holds a room's
//!   lock may take its bits for members.
//! - A room is in a member's list exactly if the member is in the room's set, whenever neither the
//!   registry's nor the room's shard is locked for writing and the member is not on its way out.
//! - A room exists exactly while its set is not empty.
//!
//! # Memory
//!
//! Heap per item, for an `M` of a pointer:
//!
//! | item | bytes |
//! |---|---|
//! | member | 48 entry, 8 in its page, 1 of the page's head, 6 to 11 in the table of ids: 69 to 72 measured from 1 000 members on, spare room included |
//! | membership, in the member's list | 0 for the first four rooms, then 4 to 8 |
//! | membership, in the room | 0.25 where members are neighbours, 8 to 16 where they are scattered; the first two scattered ones are part of the room |
//! | room | 40 and its name, 6 to 11 in the table of names, spare room included |
//! | namespace | 4.2 KiB |
//!
//! After a burst it goes back to the allocator as far as the members that stay permit it: slots are
//! given out from the front, so the far end empties.
//!
//! # Time
//!
//! On a virtual core of a current x86 server, not counting `f`: a walk over everyone or over a room
//! of 1 000 takes 1.3 ns a member, over a room of scattered members 10 ns a member; a walk over one
//! member, by room or by id, 0.1 µs. A join, a leave, an insert or a removal takes 0.05 to 0.6 µs,
//! most of it cache misses.

pub mod adapter;
mod compressed;
mod hub;
mod members;
mod observer;
mod packet;
mod registry;
mod room;
mod rooms;
mod selection;
mod shard;
mod slab;
mod slot;
mod sync;
mod walk;

pub use compressed::Compressed;
pub use hub::Hub;
pub use observer::RoomEvent;
pub use packet::{MAX_PARSERS, Packet, Piece};
pub use selection::Selection;
pub use slot::{Gone, IdTaken, Slot};
