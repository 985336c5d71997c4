//! The chat of `sockeye serve`, by `page/PROTOCOL.md`.
//!
//! [`state`] is the chat as a plain machine: a request goes in, a reply and effects come out, and
//! no socket is in sight. One task, the [`desk`], owns it: it takes the requests of all sockets one
//! after another and carries out all of one's effects before it looks at the next. So what every
//! client sees (who joined, who left, the rooms, the answers to its own requests) comes in the order
//! of the state's changes, as in a single-threaded server, and there is no lock to hold meanwhile.
//! The [`handlers`] only read what clients send and put it into the desk's inbox.

mod desk;
mod event;
mod handlers;
mod rooms;
mod state;
mod words;

pub(crate) use handlers::open;
