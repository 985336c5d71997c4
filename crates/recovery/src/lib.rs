//! What clients missed while they were away.
//!
//! Connections break. A client that comes back within a while gets its socket again, with the same id,
//! the same rooms and data, and hears what was emitted to it meanwhile: that is what Socket.IO calls
//! connection state recovery. For this a [`Log`] keeps
//!
//! * the events that were emitted, each with its [position](Position), and
//! * a [`Session`] for each socket, by a secret that only its client knows, the *pid*.
//!
//! The client gets a position with each event, as an [`Offset`], and hands in the last one when it
//! comes back. Where both are kept, a [`Store`] says: [`MemoryStore`] in memory, and
#![cfg_attr(feature = "disk", doc = "[`DiskStore`]")]
#![cfg_attr(not(feature = "disk"), doc = "`DiskStore` (with the feature `disk`)")]
//! on disk, so that sockets outlive their server's process.
//!
//! The crate stands beside the transports, above the hub, whose packets it keeps: what waits for a client
//! in the log are the very bytes that the others were sent. It knows threads, no runtime; the clock is
//! handed in.
//!
//! # Invariants
//!
//! * *Log before socket.* [`Log::append`] returns when the store has the event. Whoever delivers it only
//!   then, and one event of a namespace after the other, has clients whose last offset says what they
//!   have heard.
//! * *All or nothing.* A client is told each event that it missed, or gets a new session. An event that
//!   could not be kept, or is not kept any more, is known as such.
//! * *One socket for a session.* Whoever comes with a pid takes the session from whoever had it, and
//!   what that one does later has no effect.
//! * *Bounded* by [`Limits`], in bytes and in time.
//! * An offset is good for as long as its connection lives, however old it is: a client that heard
//!   nothing for an hour has missed nothing of what is forgotten by then. See [`Limits::heartbeat`].
//! * While a store is closed its time stands still: nobody could have come back.

#[cfg(feature = "disk")]
mod disk;
mod event;
mod log;
mod memory;
mod offset;
mod session;
mod store;
mod unrecoverable;

#[cfg(feature = "disk")]
pub use disk::{DiskStore, Durability};
pub use event::{Event, Gap, Meta};
pub use log::{Claim, Limits, Log, Missed, Opening, Visit};
pub use memory::MemoryStore;
pub use offset::{Epoch, Offset, Position};
pub use session::{Rooms, Session, Stay};
pub use store::{Forgotten, Loaded, Run, Store};
pub use unrecoverable::Unrecoverable;
