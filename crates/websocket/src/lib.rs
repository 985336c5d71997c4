//! Sans-IO WebSocket (RFC 6455): frames, messages, compression (RFC 7692), the opening and the
//! closing handshake.
//!
//! The lowest protocol of the stack. It opens no socket, reads no clock and draws no random number:
//! bytes, milliseconds and masking keys are handed in.
//!
//! - **In:** [`Connection::receive`] takes whatever bytes have come, in the caller's buffer, and
//!   lends out [`Event`]s.
//! - **Out:** [`frame`] holds stateless encoders, so that any thread can make a frame and many
//!   connections can share it.
//! - **Compressing:** [`deflate`], if both ends agree on it.
//! - **Opening:** [`handshake::server`] judges the request; the HTTP around it is the caller's.
//! - **Closing:** [`Connection::close`], [`Connection::reply_close`] and [`State`], which has the
//!   diagram.
//!
//! ```
//! use sockeye_websocket::{Connection, Event, Limits, OpCode, Role, deflate::Inflater, frame};
//!
//! let limits = Limits::default();
//! let mut inflater = Inflater::new();
//! let mut connection = Connection::new(Role::Server);
//! let mut input = [0x81, 0x85, 0x37, 0xFA, 0x21, 0x3D, 0x7F, 0x9F, 0x4D, 0x51, 0x58];
//! let mut output = Vec::new();
//!
//! let mut events = connection.receive(&limits, &mut inflater, &mut input);
//! while let Some(event) = events.next() {
//!     match event? {
//!         Event::Text(text) => frame::append(&mut output, OpCode::Text, text.as_bytes()),
//!         Event::Binary(bytes) => frame::append(&mut output, OpCode::Binary, &bytes),
//!         Event::Ping(payload) => frame::append(&mut output, OpCode::Pong, payload),
//!         Event::Pong(_) | Event::Close(_) => {}
//!     }
//! }
//! assert_eq!(output, b"\x81\x05Hello");
//! # Ok::<(), sockeye_websocket::Error>(())
//! ```

#![no_std]

extern crate alloc;

mod assembly;
pub mod close;
mod connection;
pub mod copy;
pub mod deflate;
mod error;
mod extension;
pub mod frame;
pub mod handshake;
pub mod head;
mod limits;
pub mod mask;
mod receive;
mod utf8;

pub use crate::{
    close::CloseCode,
    connection::{Connection, Eof, Role, State},
    error::{Error, Limit, PeerMisbehaved},
    head::{Head, OpCode},
    limits::Limits,
    receive::{Event, Events},
};
