//! Engine.IO on tokio: sessions and their transports.
//!
//! A session is one task: [`sockeye_net::Driver`] over a [`Session`], which owns the Engine.IO
//! state and whatever [`Handler`] the layer above put on it. Other tasks reach a session through
//! its [`Shared`] part: they leave packets in its outbox, or ask it to close.
//!
//! [`Engine`] is where sessions come from: it judges a handshake request by the rules of Engine.IO
//! and of WebSocket, in the order of the official server's checks, and knows all open sessions.
//!
//! The transport is websocket. Long polling will be another way in and out of the same session:
//! what waits in an outbox is a logical packet whose wire form is chosen when it is taken out.

mod config;
mod engine;
mod entry;
mod handler;
mod handshake;
mod session;
mod shared;

pub use config::Config;
pub use engine::{Engine, Request};
pub use entry::Entry;
pub use handler::{Flow, Handler};
pub use handshake::Handshake;
pub use session::Session;
pub use shared::Shared;
