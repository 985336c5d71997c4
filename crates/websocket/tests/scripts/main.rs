//! The WebSocket core against scripts: what a peer sends, and what has to come of it.
//!
//! Nearly every script goes through [`check::check`], which also cuts it at every byte.

mod answer;
mod check;
mod closing;
mod deflate;
mod deflate_properties;
mod handshake;
mod limits;
mod messages;
mod negotiation;
mod properties;
mod rfc1951;
mod text;
mod violations;
