//! Sans-IO Engine.IO, protocol revisions 4 and 3, server role: packets, payloads, the handshake's
//! query and its refusals, the open packet, the session's heartbeat.
//!
//! Engine.IO stands between a transport and Socket.IO. It gives a connection a *session* with a
//! secret id ([`Sid`]), notices dead peers, and will let a session change its transport while it
//! lives. The words are those of the [protocol's specification][spec]; where that is silent, the
//! behaviour of the official Node package `engine.io` decides, and the comments say so.
//!
//! The way of a byte: a websocket message comes in, [`Session::receive_text`] or
//! [`Session::receive_binary`] judges it, and what is left is a Socket.IO packet. The way out needs
//! no state: whoever has something to send writes the packet type (`'4'` for a message) and its
//! data, see [`Packet::encode_text`].
//!
//! # Invariants
//!
//! - No input, no output, no clock, no randomness: time is handed in as milliseconds on any
//!   monotonic clock, random bytes are handed in, and nothing here blocks.
//! - Nothing that a peer sends can panic; what breaks the protocol is an [`Error`].
//! - A deadline that decides whether the peer lives is never late: [`Session::poll_timeout`] names
//!   the millisecond at which it has passed.
//!
//! [spec]: https://socket.io/docs/v4/engine-io-protocol/

#![no_std]

extern crate alloc;

mod close;
mod config;
mod handshake;
pub mod jsonp;
mod open;
mod packet;
pub mod payload;
mod query;
mod revision;
mod session;
mod sid;

pub use close::CloseReason;
pub use config::Config;
pub use handshake::{Intent, KnownSession, Refusal, Request, verify};
pub use open::{Open, Transport};
pub use packet::{Error, Packet, PacketType};
pub use query::{Query, pairs};
pub use revision::Revision;
pub use session::{Action, Event, Session};
pub use sid::{ParseSidError, Sid};
