//! Sans-IO Socket.IO, protocol revisions 5 and 4, server role: packets, arguments, attachments,
//! namespaces.
//!
//! Socket.IO stands on an Engine.IO session and gives it namespaces, named events with positional
//! arguments, acks, and binary inside of arguments. The words are those of the [protocol's
//! specification][spec]; where that is silent, the official Node packages `socket.io` and
//! `socket.io-parser` decide, and the comments say so.
//!
//! - In: [`Connection`] takes what an Engine.IO session brings, keeps the state, and answers with
//!   [`Event`]s, which borrow from the message. [`decode_args`] turns their arguments into Rust
//!   types once somebody knows which; who never does takes [`Value`] and [`Args`].
//! - Out: the functions of [`encode`] append packets to a buffer. They keep no state, so that any
//!   thread can encode, once for many receivers.
//! - [`parser`]: the same packets in another form than the protocol's text and attachments.
//! - [`rewrite`]: what functions make of a packet's data: the default parser's replacer and reviver.
//! - [`revision4`]: what is different for the JavaScript clients 1.x and 2.x.
//! - [`plain`]: the same events, both ways, for programs that have a WebSocket and no Socket.IO.
//!
//! # Invariants
//!
//! - No input, no output, no clock: time is handed in as milliseconds on any monotonic clock.
//! - Nothing that a peer sends can panic, or make this crate hold more than [`Limits`] allows.
//! - An [`Error`] is the end of the session, for its [reason](Error::reason). An [`ArgsError`] is
//!   not: that arguments do not fit is between the peer and one handler.
//! - Encoding either appends a whole packet, or leaves the buffer as it was.
//!
//! [spec]: https://socket.io/docs/v4/socket-io-protocol/

#![no_std]

extern crate alloc;

mod args;
mod attachments;
mod connection;
pub mod encode;
mod error;
mod extract;
mod failure;
mod limits;
mod namespaces;
mod packet;
pub mod parser;
pub mod plain;
mod reason;
mod restore;
pub mod revision4;
pub mod rewrite;
mod spread;
mod surrogates;
mod value;

pub use args::{ArgsError, all::Args, decode_args};
pub use connection::{Connection, Event};
pub use encode::EncodeError;
pub use error::{Error, Limit, Malformed, Misbehaviour};
pub use failure::failure;
pub use limits::Limits;
pub use namespaces::Membership;
pub use packet::{Body, Kind, Packet, RESERVED_EVENTS, decode, is_reserved, is_valid_namespace};
pub use parser::{JsonParser, MsgpackParser, Parser};
pub use reason::DisconnectReason;
pub use serde_json::Number;
pub use value::{Map, Value};
